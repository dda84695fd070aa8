"""Authlib, the Python relying party, signs in at a running sandbox.

Usage: hufu demo --ready-file ready.json --platform platforms/judge-basic.toml (and its two siblings);
       HUFU_READY=ready.json python check.py
"""

import html
import http.client
import json
import os
import re
import sys
import urllib.parse

# The sandbox is on this machine, without TLS.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

SECRET = "sandbox-only-not-a-secret-0123456789"
REDIRECT = "http://localhost:3000/callback"
PLATFORMS = {"judge-basic": "RS256", "judge-basic-es256": "ES256", "judge-basic-eddsa": "EdDSA"}

with open(os.environ["HUFU_READY"], encoding="utf-8") as file:
    READY = json.load(file)


def send(url, form=None, headers=None):
    """One request without following redirects. Not every resolver knows *.localhost: all of it is this machine."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=60)
    headers = {"Host": parts.netloc, **(headers or {})}
    body = None
    if form is not None:
        body = urllib.parse.urlencode(form)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    connection.request("POST" if form is not None else "GET", path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer, text


def sign_in(authorization, persona, decision="agree"):
    """From an authorization address, through a persona's plain forms, to the platform's address with the answer."""
    status, answer, text = send(authorization)
    if status != 303:
        raise AssertionError(f"/authorize answers {status}: {text}")
    cookie = "; ".join(value.split(";")[0] for value in answer.headers.get_all("set-cookie", []))
    location = urllib.parse.urlsplit(answer.headers["location"])
    tx = urllib.parse.parse_qs(location.query)["tx"][0]
    wallet = READY["wallet"]
    send(f"{wallet}/sandbox/sign-in?tx={tx}")
    form = {"tx": tx, "persona": persona, "password": "", "decision": decision}
    status, _, text = send(f"{wallet}/sandbox/sign-in", form, {"Origin": wallet})
    action = re.search(r'<form method="post" action="([^"]+/(?:complete|refuse))">', text)
    if not action:
        raise AssertionError(f"the persona did not sign ({status}): {text}")
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text)
    form = {name: html.unescape(value) for name, value in fields}
    status, answer, text = send(html.unescape(action[1]), form, {"Origin": wallet, "Cookie": cookie})
    if status != 303:
        raise AssertionError(f"the front answers {status}: {text}")
    return answer.headers["location"]


def session(client_id, method="client_secret_basic", secret=SECRET):
    return OAuth2Session(
        client_id,
        secret,
        scope="openid profile",
        redirect_uri=REDIRECT,
        token_endpoint_auth_method=method,
        code_challenge_method="S256",
    )


def flow(client_id, persona, method="client_secret_basic", secret=SECRET, decision="agree", verifier=None):
    """The whole sign-in; returns the validated claims."""
    metadata = requests.get(f"{READY['issuer']}/.well-known/openid-configuration", timeout=30).json()
    client, nonce, own = session(client_id, method, secret), generate_token(), generate_token(48)
    url, state = client.create_authorization_url(metadata["authorization_endpoint"], nonce=nonce, code_verifier=own)
    answer = sign_in(url, persona, decision)
    parameters = urllib.parse.parse_qs(urllib.parse.urlsplit(answer).query)
    assert parameters["iss"] == [metadata["issuer"]], "iss (RFC 9207)"
    if "error" in parameters:
        # Authlib leaves the error of an authorization response to its caller.
        raise OAuthError(error=parameters["error"][0])
    token = client.fetch_token(
        metadata["token_endpoint"], authorization_response=answer, state=state, code_verifier=verifier or own
    )
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=30).json())
    signed = jwt.decode(token["id_token"], keys, algorithms=[PLATFORMS[client_id]])
    options = {"iss": {"essential": True, "value": metadata["issuer"]}, "aud": {"essential": True, "value": client_id}}
    claims = CodeIDToken(signed.claims, signed.header, options, {"nonce": nonce, "client_id": client_id})
    claims.validate(leeway=60)
    told = client.get(metadata["userinfo_endpoint"], timeout=30).json()
    assert told == {"sub": claims["sub"], "hufu": claims["hufu"]}, told
    return claims


def refused(error, run):
    try:
        run()
    except OAuthError as thrown:
        assert thrown.error == error, f"{thrown.error}, not {error}"
    else:
        raise AssertionError(f"not refused with {error}")


def main():
    status, _, text = send(f"{READY['wallet']}/sandbox/personas.json")
    assert status == 200, f"personas.json answers {status}"
    persona = json.loads(text)["personas"][0]["id"]
    checks = [
        (f"Authlib: plain OpenID Connect, client_secret_basic, {alg}", lambda id=id: flow(id, persona))
        for id, alg in PLATFORMS.items()
    ]
    checks += [
        ("Authlib: client_secret_post", lambda: flow("judge-basic", persona, method="client_secret_post")),
        ("Authlib: a wrong secret is invalid_client", lambda: refused("invalid_client", lambda: flow("judge-basic", persona, secret="wrong"))),
        ("Authlib: a wrong code_verifier is invalid_grant", lambda: refused("invalid_grant", lambda: flow("judge-basic", persona, verifier="x" * 43))),
        ("Authlib: a person who does not agree is access_denied", lambda: refused("access_denied", lambda: flow("judge-basic", persona, decision="refuse"))),
    ]
    failed = 0
    for name, run in checks:
        try:
            run()
            print(f"ok      {name}")
        except Exception as error:  # noqa: BLE001 - every failure is reported, none ends the run
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}")
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
