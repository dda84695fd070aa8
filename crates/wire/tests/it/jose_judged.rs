//! JWS that jose, joserfc and jwcrypto made (`conformance/jose` writes them, and each judges the others'): ours takes and refuses the same.

use hufu_kernel::unb64;
use hufu_wire::jose::{Alg, Compact, Jwk, RsaKey, Signer, SoftKey, verify};
use serde_json::Value;

const FILE: &str = include_str!("../../vectors/jose.json");
const ALGS: [Alg; 4] = [Alg::EdDSA, Alg::ES256, Alg::PS256, Alg::RS256];

fn file() -> Value {
    serde_json::from_str(FILE).unwrap()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

fn alg(case: &Value) -> Alg {
    ALGS.into_iter().find(|alg| alg.name() == text(case, "alg")).unwrap()
}

/// The public key for an algorithm, which says nothing of algorithms itself.
fn key(file: &Value, alg: Alg) -> Jwk {
    let name = if matches!(alg, Alg::PS256 | Alg::RS256) { "RSA" } else { alg.name() };
    let mut jwk = file["keys"][name].clone();
    jwk.as_object_mut().unwrap().retain(|member, _| ["kty", "crv", "x", "y", "n", "e"].contains(&member.as_str()));
    Jwk::from_value(&jwk).unwrap()
}

#[test]
fn what_other_libraries_sign_verifies_by_its_own_algorithm_alone() {
    let file = file();
    let cases = file["accepted"].as_array().unwrap();
    assert_eq!(cases.len(), 3 * ALGS.len());
    for case in cases {
        let (alg, jws) = (alg(case), Compact::parse(text(case, "jws")).unwrap());
        let payload = verify(&jws, &key(&file, alg), &[alg]).unwrap();
        assert_eq!(payload.bytes(), text(case, "payload").as_bytes(), "{case}");
        for other in ALGS.into_iter().filter(|other| *other != alg) {
            assert!(verify(&jws, &key(&file, other), &ALGS).is_err() || key(&file, other).fits(alg), "{case}");
            assert!(verify(&jws, &key(&file, alg), &[other]).is_err(), "{case}");
        }
    }
}

#[test]
fn what_other_libraries_refuse_is_refused() {
    let file = file();
    let cases = file["refused"].as_array().unwrap();
    assert!(cases.len() > 30);
    for case in cases {
        let alg = alg(case);
        let taken = Compact::parse(text(case, "jws")).is_ok_and(|jws| verify(&jws, &key(&file, alg), &[alg]).is_ok());
        assert!(!taken, "{}", text(case, "name"));
        assert!(case.get("accepted_by").is_none(), "a library that is more lenient is told of in conformance/jose");
    }
}

/// Ed25519 and RSASSA-PKCS1-v1_5 have one signature for one message.
#[test]
fn signatures_without_randomness_are_the_same_bytes_as_theirs() {
    let file = file();
    let ed25519 = SoftKey::from_private_jwk(file["keys"]["EdDSA"].to_string().as_bytes()).unwrap();
    let rsa = RsaKey::from_pkcs8(&unb64(text(&file, "rsa_pkcs8")).unwrap(), Alg::RS256).unwrap();
    let mut compared = 0;
    for case in file["accepted"].as_array().unwrap() {
        let signer: &dyn Signer = match alg(case) {
            Alg::EdDSA => &ed25519,
            Alg::RS256 => &rsa,
            _ => continue,
        };
        let (input, signature) = text(case, "jws").rsplit_once('.').unwrap();
        assert_eq!(signer.sign(input.as_bytes()).unwrap(), unb64(signature).unwrap(), "{case}");
        compared += 1;
    }
    assert_eq!(compared, 6);
}
