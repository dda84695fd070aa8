"""IdpyOIDC, the Python relying party that its authors' tools of OpenID Connect's test suites grew from, signs in at a running sandbox.

Usage: as check.py. What it cannot do with this service would stand in exceptions-idpyoidc.json, each entry with the name of a check, what the library raises, and
the row of docs/standards that says why; an entry whose check works is reported. There is none. Not tried: profile fapi2, which openid-client
and oauth4webapi try.
"""

import json
import logging
import pathlib
import sys
import urllib.parse

from check import PLATFORMS, READY, REDIRECT, SECRET, send, sign_in
from cryptojwt import KeyJar
from idpyoidc.client.rp_handler import RPHandler

# It logs what it then raises.
logging.disable(logging.CRITICAL)
EXCEPTIONS = json.loads((pathlib.Path(__file__).parent / "exceptions-idpyoidc.json").read_text(encoding="utf-8"))
ISSUER = READY["issuer"]


def handler(client_id, method="client_secret_basic", secret=SECRET):
    """A relying party with one client, by discovery, code flow and PKCE."""
    config = {
        "issuer": ISSUER,
        "client_type": "oidc",
        "client_id": client_id,
        "client_secret": secret,
        "redirect_uris": [REDIRECT],
        "response_types_supported": ["code"],
        "client_authn_methods": [method],
        "token_endpoint_auth_method": method,
        "token_endpoint_auth_methods_supported": [method],
        "id_token_signed_response_alg": PLATFORMS[client_id],
        "id_token_signing_alg_values_supported": [PLATFORMS[client_id]],
        "scopes_supported": ["openid"],
        "add_ons": {
            "pkce": {
                "function": "idpyoidc.client.oauth2.add_on.pkce.add_support",
                "kwargs": {"code_challenge_length": 64, "code_challenge_method": "S256"},
            }
        },
    }
    # Without a key jar of ours it would write keys of its own into this folder.
    return RPHandler(base_url="http://localhost:3000", client_configs={ISSUER: config}, keyjar=KeyJar())


def parameters(url):
    return {name: values[0] for name, values in urllib.parse.parse_qs(urllib.parse.urlsplit(url).query).items()}


class Refused(Exception):
    """The answer is an error."""


def flow(client_id, persona, decision="agree", asked=None, change=None, **options):
    """The whole sign-in; the ID token's claims and userinfo."""
    rp = handler(client_id, **options)
    url = rp.begin(issuer_id=ISSUER, req_args=asked)
    answer = parameters(sign_in(url, persona, decision))
    answer.update(change or {})
    done = rp.finalize(ISSUER, answer)
    if "error" in done:
        raise Refused(done["error"])
    told = done["userinfo"]
    told = told.to_dict() if hasattr(told, "to_dict") else dict(told)
    token = done["id_token"].to_dict()
    assert told["sub"] == token["sub"], "sub"
    assert told["hufu"] == token["hufu"], "the same answers in both"
    return token, told


def refused(error, run):
    """Whatever it raises for it, or answers."""
    try:
        run()
    except Exception as thrown:  # noqa: BLE001 - the library has many kinds
        assert error in str(thrown), f"{type(thrown).__name__}: {thrown}, not {error}"
    else:
        raise AssertionError("not refused")


CLAIMS = {
    "userinfo": {
        "name": {"essential": True},
        "verified_claims": {"verification": {"trust_framework": None}, "claims": {"is_real_person": None}},
    },
    "id_token": {"auth_time": {"essential": True}, "acr": None},
}


def claims(persona):
    """The claims parameter: what is ours is answered, what is not is left out."""
    token, told = flow("judge-basic", persona, asked={"claims": CLAIMS})
    assert "name" not in told, "nobody's name is told"
    assert told["verified_claims"]["claims"] == {"is_real_person": True}, told
    assert "auth_time" in token and "acr" in token


def details(persona):
    """authorization_details (RFC 9396) instead of a scope."""
    wanted = [{"type": "urn:hufu:verification", "purpose": "adult", "answers": ["age_over_18"]}]
    token, _ = flow("judge-basic", persona, asked={"authorization_details": json.dumps(wanted)})
    assert list(token["hufu"]["answers"]) == ["age_over_18"], token["hufu"]


def exception(entry, run):
    """Something that is known not to work: if it does, the file is out of date."""
    try:
        run()
    except Exception as thrown:  # noqa: BLE001
        assert entry["raises"] in f"{type(thrown).__name__}: {thrown}", f"{type(thrown).__name__}: {thrown}"
    else:
        raise AssertionError(f"works now: take it out of exceptions-idpyoidc.json")


def main():
    status, _, text = send(f"{READY['wallet']}/sandbox/personas.json")
    assert status == 200, f"personas.json answers {status}"
    persona = json.loads(text)["personas"][0]["id"]
    checks = [(f"plain OpenID Connect by discovery, {PLATFORMS[id]}", lambda id=id: flow(id, persona)) for id in PLATFORMS]
    checks += [
        ("client_secret_post", lambda: flow("judge-basic", persona, method="client_secret_post")),
        ("the claims parameter and verified_claims", lambda: claims(persona)),
        ("authorization_details", lambda: details(persona)),
        ("a wrong secret is refused", lambda: refused("invalid_client", lambda: flow("judge-basic", persona, secret="another-secret-than-the-right-one"))),
        ("another state is refused", lambda: refused("Unknown state", lambda: flow("judge-basic", persona, change={"state": "x"}))),
        ("another issuer is refused", lambda: refused("Issuer mismatch", lambda: flow("judge-basic", persona, change={"iss": "https://evil.example"}))),
        ("a person who does not agree is access_denied", lambda: refused("access_denied", lambda: flow("judge-basic", persona, decision="refuse"))),
    ]
    known = {entry["name"]: entry for entry in EXCEPTIONS}
    failed = 0
    for name, run in checks:
        entry = known.pop(name, None)
        try:
            exception(entry, run) if entry else run()
            print(f"{'known  ' if entry else 'ok     '} IdpyOIDC: {name}")
        except Exception as error:  # noqa: BLE001 - every failure is reported, none ends the run
            failed += 1
            print(f"FAILED  IdpyOIDC: {name}: {type(error).__name__}: {error}")
    for name in known:
        failed += 1
        print(f"FAILED  exceptions-idpyoidc.json names «{name}», which is no check")
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
