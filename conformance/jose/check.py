"""JWS of several libraries (crates/wire/vectors/jose.json) before joserfc and jwcrypto: what crates/wire accepts and refuses of them is
compared with this. With --write keys, these libraries' own tokens and the ones to refuse are written anew; then `node check.mjs --write`.
"""

import base64
import json
import pathlib
import sys

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, OKPKey, RSAKey
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws

FILE = pathlib.Path(__file__).resolve().parents[2] / "crates/wire/vectors/jose.json"
ALGS = ["EdDSA", "ES256", "PS256", "RS256"]
PRIVATE = {"d", "p", "q", "dp", "dq", "qi"}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def key_of(file, alg):
    return file["keys"][alg if alg in ("EdDSA", "ES256") else "RSA"]


def public(jwk):
    return {name: value for name, value in jwk.items() if name not in PRIVATE}


def joserfc_key(jwk):
    return {"OKP": OKPKey, "EC": ECKey, "RSA": RSAKey}[jwk["kty"]].import_key(jwk)


def joserfc_sign(jwk, alg, header, payload):
    return joserfc_jws.serialize_compact({**header, "alg": alg}, payload, joserfc_key(jwk), algorithms=[alg])


def joserfc_verify(jwk, alg, jws):
    return joserfc_jws.deserialize_compact(jws, joserfc_key(jwk), algorithms=[alg]).payload


def jwcrypto_sign(jwk, alg, header, payload):
    token = jwcrypto_jws.JWS(payload)
    token.allowed_algs = [alg]
    token.add_signature(jwcrypto_jwk.JWK(**jwk), alg, json.dumps({**header, "alg": alg}), None)
    return token.serialize(compact=True)


def jwcrypto_verify(jwk, alg, jws):
    token = jwcrypto_jws.JWS()
    token.allowed_algs = [alg]
    token.deserialize(jws, jwcrypto_jwk.JWK(**jwk))
    return token.payload


JUDGES = {"joserfc": (joserfc_sign, joserfc_verify), "jwcrypto": (jwcrypto_sign, jwcrypto_verify)}


def fresh_keys():
    """For tests alone: everybody knows them."""
    keys = {}
    numbers = ec.generate_private_key(ec.SECP256R1())
    keys["ES256"] = json.loads(jwcrypto_jwk.JWK.from_pyca(numbers).export())
    keys["EdDSA"] = json.loads(jwcrypto_jwk.JWK.from_pyca(ed25519.Ed25519PrivateKey.generate()).export())
    pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    keys["RSA"] = json.loads(jwcrypto_jwk.JWK.from_pyca(pair).export())
    for jwk in keys.values():
        jwk.pop("kid", None)
    pkcs8 = pair.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return keys, b64(pkcs8)


def to_refuse(file):
    """Tokens that are to be refused under the key and the algorithm that they name."""
    sign = lambda alg, header, payload: joserfc_sign(key_of(file, alg), alg, header, payload)
    refused = []

    def add(name, alg, jws, accepted_by=()):
        refused.append({"name": name, "alg": alg, "jws": jws, **({"accepted_by": list(accepted_by)} if accepted_by else {})})

    for alg in ALGS:
        good = sign(alg, {"typ": "JWT"}, b'{"sub":"a"}')
        header, payload, signature = good.split(".")
        add(f"{alg}: another payload", alg, f"{header}.{b64(b'{}')}.{signature}")
        other = b64(json.dumps({"alg": alg, "typ": "other"}).encode())
        add(f"{alg}: another header", alg, f"{other}.{payload}.{signature}")
        changed = bytearray(unb64(signature))
        changed[len(changed) // 2] ^= 1
        add(f"{alg}: a bit of the signature", alg, f"{header}.{payload}.{b64(bytes(changed))}")
        add(f"{alg}: no signature", alg, f"{header}.{payload}.")
        add(f"{alg}: half a signature", alg, f"{header}.{payload}.{b64(unb64(signature)[:-1])}")
        none = b64(b'{"alg":"none"}')
        add(f"{alg}: alg none", alg, f"{none}.{payload}.")
        add(f"{alg}: alg none over a signature", alg, f"{none}.{payload}.{signature}")
        add(f"{alg}: four parts", alg, f"{good}.{signature}")
        zeros = b64(bytes(len(unb64(signature))))
        add(f"{alg}: zeros", alg, f"{header}.{payload}.{zeros}")
    crossed = sign("PS256", {}, b"{}").split(".")
    add("RS256 named over a signature by PS256", "RS256", ".".join([b64(b'{"alg":"RS256"}'), *crossed[1:]]))
    crossed = sign("RS256", {}, b"{}").split(".")
    add("PS256 named over a signature by RS256", "PS256", ".".join([b64(b'{"alg":"PS256"}'), *crossed[1:]]))
    add("RS256 where PS256 is registered", "PS256", sign("RS256", {}, b"{}"))
    pair = jwcrypto_jwk.JWK(**key_of(file, "ES256"))
    header = b64(b'{"alg":"ES256"}')
    der = pair.get_op_key("sign").sign(f"{header}.e30".encode(), ec.ECDSA(SHA256()))
    add("ES256: a signature in DER", "ES256", f"{header}.e30.{b64(der)}")
    return refused


def main():
    if "--write" in sys.argv:
        keys, pkcs8 = fresh_keys()
        file = {"keys": keys, "rsa_pkcs8": pkcs8, "accepted": [], "refused": []}
        for by, (sign, _) in JUDGES.items():
            for alg in ALGS:
                payload = json.dumps({"sub": by, "alg": alg, "n": 1.5, "text": "\u864e\u7b26 \U0001f42f"}, ensure_ascii=False)
                jws = sign(key_of(file, alg), alg, {"typ": "JWT", "kid": "k"}, payload.encode())
                file["accepted"].append({"by": by, "alg": alg, "jws": jws, "payload": payload})
        file["refused"] = to_refuse(file)
        FILE.write_text(json.dumps(file, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    file = json.loads(FILE.read_text(encoding="utf-8"))
    failed = 0
    for judge, (_, verify) in JUDGES.items():
        for one in file["accepted"]:
            try:
                ok = verify(public(key_of(file, one["alg"])), one["alg"], one["jws"]).decode() == one["payload"]
            except Exception as error:  # noqa: BLE001 - every failure is reported
                ok = error
            if ok is not True:
                failed += 1
                print(f"FAIL {judge}: {one['by']} {one['alg']}: {ok}")
        for one in file["refused"]:
            try:
                verify(public(key_of(file, one["alg"])), one["alg"], one["jws"])
                told = True
            except Exception:  # noqa: BLE001 - whatever the reason, it is refused
                told = False
            if told != (judge in one.get("accepted_by", [])):
                failed += 1
                print(f"FAIL {judge}: {one['name']}: {'accepted' if told else 'refused'}")
    checks = len(JUDGES) * (len(file["accepted"]) + len(file["refused"]))
    print(f"{checks - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
