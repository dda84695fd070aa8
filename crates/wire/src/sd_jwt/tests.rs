use super::*;
use hufu_kernel::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use std::cell::Cell;

/// The SD-JWT+KB of RFC 9901 section 5.2.
const RFC: &str = include_str!("../../vectors/sd_jwt_rfc9901_5_2.txt");
/// The holder's key in its `cnf`.
const RFC_KEY: (&str, &str) =
    ("TCAER19Zvu3OHF4j4W4vfSVoHIP1ILilDls7vCeGemc", "ZxjiWWbZMQGHVWKVQ4hbSIirsVfuecCE6t4jT9F2HZQ");

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn jws_of(payload: &[u8]) -> String {
    format!("{}.{}.{}", b64(br#"{"alg":"EdDSA"}"#), b64(payload), b64(b"signature"))
}

fn disclosure(name: &str, value: Value) -> Disclosure {
    Disclosure::new(&salt(&[7; 32], name), name, value).unwrap()
}

fn es256(key: (&str, &str), input: &[u8], signature: &[u8]) -> bool {
    use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
    let point = [vec![4], unb64(key.0).unwrap(), unb64(key.1).unwrap()].concat();
    let key = VerifyingKey::from_sec1_bytes(&point).unwrap();
    Signature::from_slice(signature).is_ok_and(|signature| key.verify(input, &signature).is_ok())
}

fn rfc_expected() -> ExpectedBinding<'static> {
    ExpectedBinding {
        aud: "https://verifier.example.org",
        nonce: "1234567890",
        now: Timestamp(1_748_361_941),
        leeway: 60,
    }
}

#[test]
fn the_presentation_of_rfc_9901_section_5_2_verifies_as_printed() {
    let parsed = parse(RFC).unwrap();
    let claims = parsed.claims().unwrap();
    assert_eq!(
        Value::Object(claims),
        json!({
            "iss": "https://issuer.example.com", "iat": 1_683_000_000, "exp": 1_883_000_000, "sub": "user_42",
            "nationalities": ["US"],
            "cnf": { "jwk": { "kty": "EC", "crv": "P-256", "x": RFC_KEY.0, "y": RFC_KEY.1 } },
            "family_name": "Doe", "given_name": "John",
            "address": { "street_address": "123 Main St", "locality": "Anytown", "region": "Anystate", "country": "US" },
        })
    );
    let verify = |alg: &str, input: &[u8], signature: &[u8]| alg == "ES256" && es256(RFC_KEY, input, signature);
    assert_eq!(verify_key_binding(&parsed, &rfc_expected(), &verify), Ok(()));
    assert_eq!(format!("{}{}", parsed.presented(), parsed.key_binding.unwrap()), RFC);
}

#[test]
fn a_presentation_is_worth_nothing_to_another_verifier_at_another_time_or_with_other_disclosures() {
    let parsed = parse(RFC).unwrap();
    let yes = |_: &str, _: &[u8], _: &[u8]| true;
    let with = |change: &dyn Fn(&mut ExpectedBinding<'static>)| {
        let mut expected = rfc_expected();
        change(&mut expected);
        verify_key_binding(&parsed, &expected, &yes)
    };
    assert_eq!(with(&|e| e.aud = "https://other.example.org"), Err(SdJwtError::BindingMismatch));
    assert_eq!(with(&|e| e.nonce = "1234567891"), Err(SdJwtError::BindingMismatch));
    assert_eq!(with(&|e| e.now = e.now + 61), Err(SdJwtError::BindingTime));
    assert_eq!(with(&|e| e.now = e.now - 61), Err(SdJwtError::BindingTime));
    let no = |_: &str, _: &[u8], _: &[u8]| false;
    assert_eq!(verify_key_binding(&parsed, &rfc_expected(), &no), Err(SdJwtError::Signature));

    let mut fewer = parsed.clone();
    fewer.disclosures.pop();
    assert_eq!(verify_key_binding(&fewer, &rfc_expected(), &yes), Err(SdJwtError::BindingMismatch));
    let unbound = parsed.showing(&|_| true);
    assert_eq!(verify_key_binding(&unbound, &rfc_expected(), &yes), Err(SdJwtError::Binding));
}

#[test]
fn an_unsigned_or_mistyped_key_binding_is_refused_before_any_key_is_asked() {
    let sd_jwt = parse(&assemble(&jws_of(b"{}"), &[])).unwrap();
    let asked = Cell::new(false);
    let verify = |_: &str, _: &[u8], _: &[u8]| {
        asked.set(true);
        true
    };
    let expected = ExpectedBinding { aud: "a", nonce: "n", now: Timestamp(0), leeway: 0 };
    let body = json!({ "aud": "a", "nonce": "n", "iat": 0, "sd_hash": hash(&sd_jwt.presented()) });
    for (header, why) in [
        (json!({ "alg": "none", "typ": "kb+jwt" }), SdJwtError::Signature),
        (json!({ "alg": "ES256", "typ": "JWT" }), SdJwtError::BindingMismatch),
        (json!({ "alg": "ES256" }), SdJwtError::BindingMismatch),
        (json!({ "alg": "ES256", "typ": "kb+jwt", "crit": ["b64"] }), SdJwtError::BindingMismatch),
        (json!({ "typ": "kb+jwt" }), SdJwtError::Shape),
    ] {
        let jwt = format!("{}.{}.{}", b64(header.to_string().as_bytes()), b64(body.to_string().as_bytes()), b64(b"s"));
        let bound = SdJwt { key_binding: Some(jwt), ..sd_jwt.clone() };
        assert_eq!(verify_key_binding(&bound, &expected, &verify), Err(why), "{header}");
    }
    assert!(!asked.get());
}

#[test]
fn what_bind_makes_verify_key_binding_accepts() {
    use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
    let key = SigningKey::from_slice(&[1; 32]).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = (b64(point.x().unwrap()), b64(point.y().unwrap()));
    let disclosures = [disclosure("real", true.into()), disclosure("alive", true.into())];
    let payload = payload_with(&object(json!({ "iss": "https://hufu.example" })), &disclosures).unwrap();
    let full = parse(&assemble(&jws_of(&payload), &disclosures)).unwrap();
    let shown = full.showing(&|name| name == "real");
    let binding = KeyBinding { aud: "verifier", nonce: "n-1", iat: Timestamp(1_800_000_000), alg: "ES256" };
    let sign = |input: &[u8]| -> Option<Vec<u8>> {
        let signature: Signature = key.sign(input);
        Some(signature.to_bytes().to_vec())
    };
    let presentation = parse(&bind(&shown, &binding, &sign).unwrap()).unwrap();
    let verify = |alg: &str, input: &[u8], signature: &[u8]| alg == "ES256" && es256((&x, &y), input, signature);
    let expected = ExpectedBinding { aud: "verifier", nonce: "n-1", now: Timestamp(1_800_000_030), leeway: 60 };
    assert_eq!(verify_key_binding(&presentation, &expected, &verify), Ok(()));
    assert_eq!(Value::Object(presentation.claims().unwrap()), json!({ "iss": "https://hufu.example", "real": true }));
    assert_eq!(bind(&shown, &binding, &|_| None), Err(SdJwtError::Signature));
}

#[test]
fn digests_of_the_rfc_are_ours() {
    for (encoded, digest, name) in [
        (
            "WyIyR0xDNDJzS1F2ZUNmR2ZyeU5STjl3IiwgImdpdmVuX25hbWUiLCAiSm9obiJd",
            "jsu9yVulwQQlhFlM_3JlzMaSFzglhQG0DpfayQwLUK4",
            Some("given_name"),
        ),
        ("WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIlVTIl0", "pFndjkZ_VCzmyTa6UjlZo3dh-ko8aIKQc9DlGzhaVYo", None),
    ] {
        let disclosure = Disclosure::decode(encoded).unwrap();
        assert_eq!((disclosure.digest().as_str(), disclosure.name()), (digest, name));
    }
}

#[test]
fn recursive_disclosures_of_rfc_9901_section_6_3_need_their_parent() {
    let payload = object(json!({ "_sd": ["HvrKX6fPV0v9K_yCVFBiLFHsMaxcD_114Em6VT8x1lg"], "_sd_alg": "sha-256" }));
    let address = Disclosure::decode(concat!(
        "WyJRZ19PNjR6cUF4ZTQxMmExMDhpcm9BIiwgImFkZHJlc3MiLCB7Il9zZCI6IFsiNnZoOWJxLXpTNEdLTV83R3BnZ1ZiWXp6dTZvT0dYcm1O",
        "VkdQSFA3NVVkMCIsICI5Z2pWdVh0ZEZST0NnUnJ0TmNHVVhtRjY1cmRlemlfNkVyX2o3NmttWXlNIiwgIktVUkRQaDRaQzE5LTN0aXotRGYz",
        "OVY4ZWlkeTFvVjNhM0gxRGEyTjBnODgiLCAiV045cjlkQ0JKOEhUQ3NTMmpLQVN4VGpFeVc1bTV4NjVfWl8ycm8yamZYTSJdfV0"
    ))
    .unwrap();
    let country = Disclosure::decode("WyJlSThaV205UW5LUHBOUGVOZW5IZGhRIiwgImNvdW50cnkiLCAiREUiXQ").unwrap();
    let both = verify_disclosures(&payload, &[country.clone(), address]).unwrap();
    assert_eq!(Value::Object(both), json!({ "address": { "country": "DE" } }));
    assert_eq!(verify_disclosures(&payload, &[country]), Err(SdJwtError::Unreferenced));
}

#[test]
fn forged_payloads_and_disclosures_are_refused() {
    let real = disclosure("real", true.into());
    let digest = real.digest();
    let element = Disclosure::decode(&b64(br#"["salt","x"]"#)).unwrap();
    let given = std::slice::from_ref(&real);
    for (payload, disclosures, why) in [
        (json!({ "_sd": [] }), given, SdJwtError::Unreferenced),
        (json!({ "_sd": [digest, digest] }), given, SdJwtError::Duplicate),
        (json!({ "_sd": [digest], "a": { "_sd": [digest] } }), given, SdJwtError::Duplicate),
        (json!({ "_sd": ["decoy", "decoy"] }), &[], SdJwtError::Duplicate),
        (json!({ "_sd": [digest], "real": false }), given, SdJwtError::Collision),
        (json!({ "_sd": [digest], "_sd_alg": "sha-512" }), given, SdJwtError::Algorithm),
        (json!({ "_sd": [digest], "_sd_alg": null }), given, SdJwtError::Algorithm),
        (json!({ "_sd": digest }), given, SdJwtError::Reserved),
        (json!({ "_sd": [1] }), &[], SdJwtError::Reserved),
        (json!({ "a": { "_sd_alg": "sha-256" } }), &[], SdJwtError::Reserved),
        (json!({ "...": "x" }), &[], SdJwtError::Reserved),
        (json!({ "a": [{ "...": digest, "b": 1 }] }), &[], SdJwtError::Reserved),
        (json!({ "a": [{ "...": 1 }] }), &[], SdJwtError::Reserved),
        (json!({ "a": [{ "...": digest }] }), given, SdJwtError::Disclosure),
        (json!({ "_sd": [element.digest()] }), std::slice::from_ref(&element), SdJwtError::Disclosure),
    ] {
        assert_eq!(verify_disclosures(&object(payload.clone()), disclosures), Err(why), "{payload}");
    }
    let twice = [real.clone(), real.clone()];
    assert_eq!(verify_disclosures(&object(json!({ "_sd": [digest] })), &twice), Err(SdJwtError::Duplicate));
    assert_eq!(parse(&assemble(&jws_of(b"{}"), &twice)), Err(SdJwtError::Duplicate));
}

#[test]
fn a_bottomless_payload_is_refused() {
    let mut value = json!(1);
    for _ in 0..40 {
        value = json!([value]);
    }
    assert_eq!(verify_disclosures(&object(json!({ "a": value })), &[]), Err(SdJwtError::TooLarge));
}

#[test]
fn an_issuer_cannot_hide_what_a_verifier_must_see_nor_use_reserved_names() {
    let claims = object(json!({ "iss": "x", "real": true }));
    for (name, why) in [
        ("exp", SdJwtError::AlwaysShown),
        ("cnf", SdJwtError::AlwaysShown),
        ("status", SdJwtError::AlwaysShown),
        ("real", SdJwtError::Collision),
    ] {
        assert_eq!(payload_with(&claims, &[disclosure(name, 1.into())]), Err(why), "{name}");
    }
    let alive = disclosure("alive", true.into());
    assert_eq!(payload_with(&claims, &[alive.clone(), alive]), Err(SdJwtError::Collision));
    for name in RESERVED {
        assert_eq!(Disclosure::new(&[0; 16], name, Value::Null), Err(SdJwtError::Reserved));
        assert_eq!(Disclosure::decode(&b64(json!(["s", name, 1]).to_string().as_bytes())), Err(SdJwtError::Reserved));
        assert_eq!(payload_with(&object(json!({ name: 1 })), &[]), Err(SdJwtError::Reserved));
    }
}

#[test]
fn the_compact_form_has_one_spelling() {
    let jws = jws_of(b"{}");
    let shown = disclosure("a", 1.into());
    let good = assemble(&jws, std::slice::from_ref(&shown));
    assert_eq!(parse(&good).unwrap().presented(), good);
    for bad in [
        jws.clone(),
        format!("~{}~", shown.encoded()),
        format!("{jws}~~"),
        format!("{jws}~{}", shown.encoded()),
        format!("{jws}~{}=~", shown.encoded()),
        format!("{jws}~{}~a.b", shown.encoded()),
        format!("{jws}.x~"),
        format!("{jws} ~"),
        "a..b~".to_owned(),
        String::new(),
    ] {
        assert!(parse(&bad).is_err(), "{bad}");
    }
    assert_eq!(parse(&format!("{}~", "a".repeat(MAX_LEN))), Err(SdJwtError::TooLarge));
}

#[test]
fn two_signers_with_one_seed_build_the_same_bytes() {
    let seed = [9; 32];
    let build = |order: [&str; 3], claims: Value| {
        let disclosures =
            order.map(|name| Disclosure::new(&salt(&seed, name), name, json!({ "b": 1, "a": 2 })).unwrap());
        payload_with(&object(claims), &disclosures).unwrap()
    };
    let one = build(["real", "alive", "unique"], json!({ "iss": "i", "exp": 1 }));
    assert_eq!(one, build(["unique", "real", "alive"], json!({ "exp": 1, "iss": "i" })));
    assert!(one.starts_with(br#"{"_sd":[""#) && one.ends_with(br#""_sd_alg":"sha-256","exp":1,"iss":"i"}"#));
    assert_ne!(salt(&seed, "real"), salt(&seed, "alive"));
    assert_ne!(salt(&seed, "real"), salt(&[8; 32], "real"));
    assert_eq!(disclosure("n", json!({ "b": 1, "a": 2 })).encoded(), {
        b64(format!(r#"["{}","n",{{"a":2,"b":1}}]"#, b64(&salt(&[7; 32], "n"))).as_bytes())
    });
}

#[test]
fn debug_shows_names_and_no_values() {
    assert_eq!(format!("{:?}", disclosure("number", json!("KQ7MX3RT2C"))), "Disclosure(number)");
}

fn any_claims() -> impl Strategy<Value = std::collections::BTreeMap<String, String>> {
    proptest::collection::btree_map("[a-z]{5,9}", "\\PC{0,12}", 0..6)
}

proptest! {
    #[test]
    fn what_is_shown_is_exactly_what_verifies(hidden in any_claims(), mask: u8) {
        let disclosures: Vec<_> = hidden.iter().map(|(name, value)| disclosure(name, json!(value))).collect();
        let payload = payload_with(&object(json!({ "iss": "i" })), &disclosures)?;
        let full = parse(&assemble(&jws_of(&payload), &disclosures))?;
        let names: Vec<_> = hidden.keys().cloned().collect();
        let wanted = |name: &str| names.iter().position(|n| n == name).is_some_and(|i| mask >> i & 1 == 1);
        let claims = parse(&full.showing(&wanted).presented())?.claims()?;
        let mut expected = object(json!({ "iss": "i" }));
        expected.extend(hidden.iter().filter(|(n, _)| wanted(n)).map(|(n, v)| (n.clone(), json!(v))));
        prop_assert_eq!(claims, expected);
    }

    #[test]
    fn what_parses_is_written_back_as_it_came(text in "[a-zA-Z0-9_~.-]{0,80}|(WyJhIiwxXQ|e30)(\\.e30){2}(~WyJhIiwxXQ)?~") {
        if let Ok(parsed) = parse(&text) {
            prop_assert_eq!(format!("{}{}", parsed.presented(), parsed.key_binding.unwrap_or_default()), text);
        }
    }

    #[test]
    fn a_changed_character_never_goes_unnoticed(position in 0_usize..RFC.len(), replacement in "[A-Za-z0-9_~.-]") {
        let mut text = RFC.to_owned();
        prop_assume!(text[position..=position] != replacement);
        text.replace_range(position..=position, &replacement);
        let verify = |alg: &str, input: &[u8], signature: &[u8]| alg == "ES256" && es256(RFC_KEY, input, signature);
        // The issuer's signature is checked by whoever holds its key; the holder's covers everything.
        let accepted = parse(&text).is_ok_and(|p| verify_key_binding(&p, &rfc_expected(), &verify).is_ok());
        prop_assert!(!accepted);
    }
}

#[test]
fn fuzz_any_bytes() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(parsed) = std::str::from_utf8(bytes).map_err(|_| SdJwtError::Shape).and_then(parse) {
            let _ = parsed.claims();
            let _ = verify_key_binding(&parsed, &rfc_expected(), &|_, _, _| false);
        }
        if let Ok(payload) = serde_json::from_slice::<Map<String, Value>>(bytes) {
            let _ = verify_disclosures(&payload, &[]);
        }
    });
}
