//! Vectors both ways: `vectors/sd_jwt.json` is ours, recomputed here and judged by `conformance/sd-jwt`;
//! `vectors/sd_jwt_theirs.json` is written by that judge and verified here. `HUFU_BLESS=1` writes ours anew.

use super::*;
use hufu_kernel::Timestamp;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::json;

const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/sd_jwt.json");
const THEIRS: &str = include_str!("../../vectors/sd_jwt_theirs.json");
const IAT: Timestamp = Timestamp(1_800_000_000);
const AUD: &str = "https://verifier.example";
const NONCE: &str = "n-0S6_WzA2Mj";

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
struct File {
    issuer: Value,
    aud: String,
    nonce: String,
    now: i64,
    cases: Vec<Case>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    text: String,
    /// The processed claims; absent where it must be refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    claims: Option<Value>,
    /// Whether a key binding is required.
    bound: bool,
    /// The rule of RFC 9901 section 7.1 that refuses this and that `@sd-jwt/core` 0.19.0 does not check.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    judge_skips: Option<String>,
}

fn issuer() -> SigningKey {
    SigningKey::from_slice(&[0x11; 32]).unwrap()
}

fn holder() -> SigningKey {
    SigningKey::from_slice(&[0x22; 32]).unwrap()
}

fn jwk(key: &SigningKey) -> Value {
    let point = key.verifying_key().to_sec1_point(false);
    json!({ "kty": "EC", "crv": "P-256", "x": b64(point.x().unwrap()), "y": b64(point.y().unwrap()) })
}

fn sign(key: &SigningKey, input: &[u8]) -> Vec<u8> {
    // RFC 6979: the same bytes every time.
    let signature: Signature = key.sign(input);
    signature.to_bytes().to_vec()
}

fn verifies(jwk: &Value, input: &[u8], signature: &[u8]) -> bool {
    let coordinate = |name: &str| unb64(jwk[name].as_str().unwrap()).unwrap();
    let key = VerifyingKey::from_sec1_bytes(&[vec![4], coordinate("x"), coordinate("y")].concat()).unwrap();
    Signature::from_slice(signature).is_ok_and(|signature| key.verify(input, &signature).is_ok())
}

fn jws(payload: &[u8]) -> String {
    let header = json!({ "alg": "ES256", "typ": VC_TYP }).to_string();
    let input = format!("{}.{}", b64(header.as_bytes()), b64(payload));
    format!("{input}.{}", b64(&sign(&issuer(), input.as_bytes())))
}

fn credential(disclosures: &[Disclosure]) -> SdJwt {
    let claims = json!({
        "iss": "https://hufu.example", "vct": "https://hufu.example/vct/certificate", "exp": 1_900_000_000,
        "cnf": { "jwk": jwk(&holder()) },
    });
    let payload = payload_with(claims.as_object().unwrap(), disclosures).unwrap();
    SdJwt { jws: jws(&payload), disclosures: disclosures.to_vec(), key_binding: None }
}

fn disclosures() -> Vec<Disclosure> {
    [
        ("real", json!(true)),
        ("age_band", json!("18_or_over")),
        ("network_number", json!("KQ7MX3RT2C")),
        ("name", json!("古丽·艾山 \"'<&>\u{1f600}")),
        ("nested", json!({ "b": [1, { "d": null, "c": 0.5 }], "a": -7 })),
    ]
    .map(|(name, value)| Disclosure::new(&salt(&[3; 32], name), name, value).unwrap())
    .to_vec()
}

fn bound(sd_jwt: &SdJwt) -> String {
    let binding = KeyBinding { aud: AUD, nonce: NONCE, iat: IAT, alg: "ES256" };
    bind(sd_jwt, &binding, &|input| Some(sign(&holder(), input))).unwrap()
}

/// Whole verification, as a verifier does it.
fn verify(file: &File, case: &Case) -> Result<Value, SdJwtError> {
    let parsed = parse(&case.text)?;
    let (input, signature) = parsed.jws.rsplit_once('.').ok_or(SdJwtError::Shape)?;
    if !verifies(&file.issuer, input.as_bytes(), &unb64(signature).ok_or(SdJwtError::Shape)?) {
        return Err(SdJwtError::Signature);
    }
    let claims = parsed.claims()?;
    if case.bound {
        let key = claims["cnf"]["jwk"].clone();
        let check = |alg: &str, input: &[u8], signature: &[u8]| alg == "ES256" && verifies(&key, input, signature);
        let expected = ExpectedBinding { aud: &file.aud, nonce: &file.nonce, now: Timestamp(file.now), leeway: 60 };
        verify_key_binding(&parsed, &expected, &check)?;
    }
    Ok(Value::Object(claims))
}

fn ours() -> File {
    let full = credential(&disclosures());
    let some = full.showing(&|name| matches!(name, "real" | "name"));
    let none = full.showing(&|_| false);
    let case = |name: &str, text: String, bound: bool| Case {
        name: name.into(),
        text,
        claims: None,
        bound,
        judge_skips: None,
    };
    let mut cases = vec![
        case("all claims shown", full.presented(), false),
        case("two of five shown, bound", bound(&some), true),
        case("nothing shown, bound", bound(&none), true),
        case("nothing is selective", credential(&[]).presented(), false),
    ];
    let mut file = File { issuer: jwk(&issuer()), aud: AUD.into(), nonce: NONCE.into(), now: IAT.0, cases: Vec::new() };
    for case in &mut cases {
        case.claims = Some(verify(&file, case).unwrap());
    }
    let stranger = Disclosure::new(&[9; 16], "real", true.into()).unwrap();
    let digest = disclosures()[0].digest();
    let signed =
        |payload: Value, disclosures: &[Disclosure]| assemble(&jws(payload.to_string().as_bytes()), disclosures);
    let more = bound(&some).replacen('~', &format!("~{}~", disclosures()[1].encoded()), 1);
    cases.extend([
        case("a disclosure nobody signed", assemble(&full.jws, &[stranger]), false),
        case("a disclosure added after binding", more, true),
        case("a digest twice", signed(json!({ "_sd": [digest, digest] }), &disclosures()[..1]), false),
        case("a claim twice", signed(json!({ "_sd": [digest], "real": false }), &disclosures()[..1]), false),
        case("another issuer's payload", full.presented().replacen("ey", "ez", 1), false),
        case("not bound", some.presented(), true),
        case("an unknown hash", signed(json!({ "_sd": [digest], "_sd_alg": "md5" }), &disclosures()[..1]), false),
    ]);
    for (name, step) in [("a disclosure nobody signed", "5"), ("a digest twice", "4"), ("a claim twice", "3.3.2.3")] {
        for case in cases.iter_mut().filter(|case| case.name == name) {
            case.judge_skips = Some(step.into());
        }
    }
    file.cases = cases;
    file
}

#[test]
fn our_vectors_are_frozen_and_we_judge_them_as_they_say() {
    let file = ours();
    if std::env::var_os("HUFU_BLESS").is_some() {
        std::fs::write(OURS, serde_json::to_string_pretty(&file).unwrap() + "\n").unwrap();
    }
    let committed: File = serde_json::from_str(&std::fs::read_to_string(OURS).unwrap()).unwrap();
    assert_eq!(committed, file);
    for case in &file.cases {
        assert_eq!(verify(&file, case).ok(), case.claims, "{}", case.name);
    }
}

#[test]
fn sd_jwts_of_an_implementation_not_ours_verify() {
    let file: File = serde_json::from_str(THEIRS).unwrap();
    assert!(file.cases.len() >= 5);
    for case in &file.cases {
        assert_eq!(verify(&file, case).ok(), case.claims, "{}", case.name);
    }
}
