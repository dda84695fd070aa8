//! The platform's checks of an ID token.

use hufu_kernel::{Octets, SeededRng, Strength, Timestamp, b64};
use hufu_oidc::client::{Expected, IdTokenError, verify_id_token};
use hufu_wire::api::sign_in::{Answers, IdToken, VerificationResult, acr, amr};
use hufu_wire::jose::{Alg, Header, Jwks, RsaKey, Signer, SoftKey, sign};
use serde_json::json;

const NOW: Timestamp = Timestamp(1_900_000_000);

fn token() -> IdToken {
    let strength = Strength::Certificate;
    IdToken {
        iss: "https://id.example".into(),
        sub: "s".into(),
        aud: "shop".into(),
        nonce: "n".into(),
        iat: NOW,
        exp: NOW + 300,
        auth_time: NOW,
        acr: acr(strength).into(),
        amr: amr(strength),
        hufu: VerificationResult {
            v: 1,
            ep: "e".into(),
            ctx: Octets::default(),
            strength,
            answers: Answers::default(),
            handle: None,
        },
    }
}

fn expected(keys: &Jwks, alg: Alg) -> Expected<'_> {
    let (issuer, client_id, nonce) = ("https://id.example", "shop", "n");
    Expected { issuer, client_id, nonce, keys, alg, strength: Strength::Certificate, now: NOW }
}

fn signed(signer: &dyn Signer, token: &IdToken) -> String {
    sign(signer, Header::new(signer.alg()).typ("JWT").kid(signer.kid()), token).unwrap()
}

#[test]
fn tokens_of_every_algorithm_verify_under_the_pinned_key_and_no_other_algorithm() {
    let rng = SeededRng::new(1);
    let soft = |alg| SoftKey::generate(alg, &rng).unwrap();
    let (ed, es, rs) = (soft(Alg::EdDSA), soft(Alg::ES256), RsaKey::generate(Alg::RS256).unwrap());
    let keys = Jwks { keys: vec![ed.public().clone(), es.public().clone(), rs.public().clone()] };
    let signers: [(&dyn Signer, Alg); 3] = [(&ed, Alg::EdDSA), (&es, Alg::ES256), (&rs, Alg::RS256)];
    for (signer, alg) in signers {
        let jws = signed(signer, &token());
        for wanted in [Alg::EdDSA, Alg::ES256, Alg::PS256, Alg::RS256] {
            let verified = verify_id_token(&jws, &expected(&keys, wanted));
            assert_eq!(verified.is_ok(), wanted == alg, "{alg:?} as {wanted:?}");
        }
    }
}

#[test]
fn each_mistake_is_refused_by_its_own_check() {
    let rng = SeededRng::new(2);
    let key = SoftKey::generate(Alg::EdDSA, &rng).unwrap();
    let keys = Jwks { keys: vec![key.public().clone()] };
    type Change = fn(&mut IdToken);
    let changes: [(Change, IdTokenError); 9] = [
        (|t| t.iss.push('/'), IdTokenError::Issuer),
        (|t| t.aud = "bank".into(), IdTokenError::Audience),
        (|t| (t.iat, t.exp) = (NOW - 400, NOW - 60), IdTokenError::Expired),
        (|t| (t.iat, t.exp) = (NOW + 61, NOW + 300), IdTokenError::Issued),
        (|t| t.iat = NOW - 601, IdTokenError::Issued),
        (|t| t.exp = t.iat, IdTokenError::Shape),
        (|t| t.nonce.clear(), IdTokenError::Nonce),
        (|t| t.acr = acr(Strength::CertificatePassword).into(), IdTokenError::Strength),
        (|t| t.hufu.strength = Strength::CertificatePassword, IdTokenError::Strength),
    ];
    for (at, (change, error)) in changes.into_iter().enumerate() {
        let mut token = token();
        change(&mut token);
        assert_eq!(verify_id_token(&signed(&key, &token), &expected(&keys, Alg::EdDSA)), Err(error), "change {at}");
    }
    let weak = Expected { strength: Strength::CertificatePassword, ..expected(&keys, Alg::EdDSA) };
    assert_eq!(verify_id_token(&signed(&key, &token()), &weak), Err(IdTokenError::Strength));
}

#[test]
fn strangers_and_other_kinds_of_things_are_refused() {
    let rng = SeededRng::new(3);
    let (key, stranger) = (SoftKey::generate(Alg::EdDSA, &rng).unwrap(), SoftKey::generate(Alg::EdDSA, &rng).unwrap());
    let keys = Jwks { keys: vec![key.public().clone()] };
    let expected = expected(&keys, Alg::EdDSA);
    let impostor = SoftKey::from_private_jwk(stranger.to_private_jwk().as_bytes()).unwrap().with_kid(key.kid());
    for forged in [signed(&stranger, &token()), signed(&impostor, &token())] {
        assert_eq!(verify_id_token(&forged, &expected), Err(IdTokenError::Signature));
    }
    let unsigned =
        format!("{}.{}.AA", b64(br#"{"alg":"none","typ":"JWT"}"#), b64(json!(token()).to_string().as_bytes()));
    assert_eq!(verify_id_token(&unsigned, &expected), Err(IdTokenError::Shape));
    let certificate = sign(&key, Header::new(Alg::EdDSA).typ("dc+sd-jwt"), &token()).unwrap();
    assert_eq!(verify_id_token(&certificate, &expected), Err(IdTokenError::Shape));
}
