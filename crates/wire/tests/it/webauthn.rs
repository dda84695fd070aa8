//! WebAuthn: the table of `webauthn_corpus` before ourselves and before webauthn-rs; the device keys; the software device.

use crate::webauthn_corpus::{CHALLENGE, Case, Corpus, ORIGIN, RP_ID, WEBAUTHN_RS, World};
use hufu_kernel::{SeededRng, b64};
use hufu_wire::cose;
use hufu_wire::webauthn::{
    Assertion, AssertionError, DeviceKey, Expectation, Registration, SoftDevice, check, credential_hash, register,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use webauthn_rs::prelude::{
    Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential, Url, Uuid,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

fn expectation() -> Expectation<'static> {
    Expectation { rp_id: RP_ID, origin: ORIGIN, challenge: &CHALLENGE, require_uv: true }
}

fn key(world: &World, device: &str) -> DeviceKey {
    DeviceKey::from_cose(&world.devices()[device].cose_key.0).unwrap()
}

fn verdict<T>(result: Result<T, AssertionError>) -> String {
    result.map_or_else(|step| format!("{step:?}"), |_| "accept".into())
}

#[test]
fn every_row_of_the_table_gets_its_verdict() {
    let world = World::new();
    let corpus = Corpus::build(&world);
    let mut wrong = Vec::new();
    for row in &corpus.assertions {
        let got = verdict(check(&key(&world, row.device), &expectation(), &row.input));
        if got != row.verdict {
            wrong.push(format!("assertion {}: {got}, not {}", row.name, row.verdict));
        }
    }
    for row in &corpus.registrations {
        let got = verdict(register(&expectation(), &row.input));
        if got != row.verdict {
            wrong.push(format!("registration {}: {got}, not {}", row.name, row.verdict));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_vector_file_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/webauthn.json");
    let text = serde_json::to_string_pretty(&Corpus::build(&World::new())).unwrap() + "\n";
    if std::env::var_os("HUFU_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap() == text, "vectors/webauthn.json is stale: run with HUFU_BLESS=1");
}

/// webauthn-rs with our challenge in place of its own.
struct Judge(Webauthn);

impl Judge {
    fn new() -> Self {
        Self(WebauthnBuilder::new(RP_ID, &Url::parse(ORIGIN).unwrap()).unwrap().build().unwrap())
    }

    fn register(&self, registration: &Registration) -> Option<Passkey> {
        let (_, state) = self.0.start_passkey_registration(Uuid::nil(), "n", "n", None).unwrap();
        let mut state = serde_json::to_value(state).unwrap();
        state["rs"]["challenge"] = json!(b64(&CHALLENGE));
        state["rs"]["credential_algorithms"] = json!(["ES256", "EDDSA"]);
        let state: PasskeyRegistration = serde_json::from_value(state).unwrap();
        let answer: RegisterPublicKeyCredential = serde_json::from_value(json!({
            "id": "AA", "rawId": "AA", "type": "public-key",
            "response": {
                "clientDataJSON": registration.client_data_json,
                "attestationObject": registration.attestation_object,
            },
        }))
        .unwrap();
        self.0.finish_passkey_registration(&answer, &state).ok()
    }

    fn check(&self, passkey: &Passkey, assertion: &Assertion) -> bool {
        let (_, state) = self.0.start_passkey_authentication(std::slice::from_ref(passkey)).unwrap();
        let mut state = serde_json::to_value(state).unwrap();
        state["ast"]["challenge"] = json!(b64(&CHALLENGE));
        let state: PasskeyAuthentication = serde_json::from_value(state).unwrap();
        let answer: PublicKeyCredential = serde_json::from_value(json!({
            "id": assertion.credential_id, "rawId": assertion.credential_id, "type": "public-key",
            "response": {
                "authenticatorData": assertion.authenticator_data,
                "clientDataJSON": assertion.client_data_json,
                "signature": assertion.signature,
            },
        }))
        .unwrap();
        self.0.finish_passkey_authentication(&answer, &state).is_ok()
    }
}

/// Adds the row to `wrong` unless the judge agrees, or is named as differing and differs.
fn compare<T>(wrong: &mut Vec<String>, row: &Case<T>, accepted: bool) {
    let agrees = accepted == (row.verdict == "accept");
    match (agrees, row.differs.get(WEBAUTHN_RS)) {
        (true, None) | (false, Some(_)) => {}
        (true, Some(reason)) => wrong.push(format!("{}: agrees, though: {reason}", row.name)),
        (false, None) => wrong.push(format!("{}: accepts {accepted}, we say {}", row.name, row.verdict)),
    }
}

#[test]
fn webauthn_rs_agrees_but_for_the_named_differences() {
    let world = World::new();
    let corpus = Corpus::build(&world);
    let judge = Judge::new();
    let register = |name: &str| {
        let row = corpus.registrations.iter().find(|row| row.name == name).unwrap();
        judge.register(&row.input).unwrap()
    };
    let es256 = register("honest");
    let mut wrong = Vec::new();
    for row in &corpus.assertions {
        // An EdDSA key does not even register there, so its rows are refused.
        compare(&mut wrong, row, row.device == "es256" && judge.check(&es256, &row.input));
    }
    for row in &corpus.registrations {
        compare(&mut wrong, row, judge.register(&row.input).is_some());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_assertion_of_one_challenge_is_refused_for_every_other() {
    let device = SoftDevice::generate(&SeededRng::new(5)).unwrap();
    let assertion = device.get(RP_ID, ORIGIN, &CHALLENGE);
    assert!(check(&device.key(), &expectation(), &assertion).is_ok());
    let other = Expectation { challenge: &[1; 32], ..expectation() };
    assert_eq!(check(&device.key(), &other, &assertion), Err(AssertionError::Challenge));
    let other = Expectation { origin: "https://wallet.example:8443", ..expectation() };
    assert_eq!(check(&device.key(), &other, &assertion), Err(AssertionError::Origin));
    let other = Expectation { rp_id: "example", ..expectation() };
    assert_eq!(check(&device.key(), &other, &assertion), Err(AssertionError::RpId));
}

#[test]
fn user_verification_is_asked_for_only_where_required() {
    let device = SoftDevice::generate(&SeededRng::new(5)).unwrap();
    let honest = device.get(RP_ID, ORIGIN, &CHALLENGE);
    let mut data = honest.authenticator_data.0.clone();
    data[32] = 1;
    let unverified = device.sign(&data, &honest.client_data_json.0);
    assert_eq!(check(&device.key(), &expectation(), &unverified), Err(AssertionError::UserVerification));
    let lax = Expectation { require_uv: false, ..expectation() };
    assert!(!check(&device.key(), &lax, &unverified).unwrap().user_verified);
}

#[test]
fn the_facts_are_what_the_authenticator_said() {
    let device = SoftDevice::generate(&SeededRng::new(5)).unwrap();
    let honest = device.get(RP_ID, ORIGIN, &CHALLENGE);
    let mut data = honest.authenticator_data.0.clone();
    data[32] |= 0b1_1000;
    data[36] = 9;
    let facts = check(&device.key(), &expectation(), &device.sign(&data, &honest.client_data_json.0)).unwrap();
    assert!(facts.user_present && facts.user_verified && facts.backup_eligible && facts.backup_state);
    assert_eq!(facts.sign_count, 9);
}

#[test]
fn a_software_device_registers_saves_loads_and_signs() {
    let device = SoftDevice::generate(&SeededRng::new(6)).unwrap();
    let new = register(&expectation(), &device.create(RP_ID, ORIGIN, &CHALLENGE)).unwrap();
    assert_eq!(new.credential_id.0, device.credential_id());
    assert_eq!(new.key, device.key());
    let loaded = SoftDevice::load(device.save().as_bytes()).unwrap();
    let assertion = loaded.get(RP_ID, ORIGIN, &CHALLENGE);
    assert!(check(&new.key, &expectation(), &assertion).is_ok());
    assert_eq!(assertion, device.get(RP_ID, ORIGIN, &CHALLENGE));
    assert_eq!(credential_hash(b"abc").0[..4], [0xba, 0x78, 0x16, 0xbf]);
    for junk in ["", "{}", r#"{"credential_id":"AA","key":"{}"}"#] {
        assert!(SoftDevice::load(junk.as_bytes()).is_err());
    }
}

#[test]
fn unknown_members_of_our_own_messages_are_refused() {
    let device = SoftDevice::generate(&SeededRng::new(6)).unwrap();
    let mut assertion = serde_json::to_value(device.get(RP_ID, ORIGIN, &CHALLENGE)).unwrap();
    assert!(serde_json::from_value::<Assertion>(assertion.clone()).is_ok());
    assertion["user_handle"] = json!("AA");
    assert!(serde_json::from_value::<Assertion>(assertion).is_err());
    let mut registration = serde_json::to_value(device.create(RP_ID, ORIGIN, &CHALLENGE)).unwrap();
    registration["transports"] = json!([]);
    assert!(serde_json::from_value::<Registration>(registration).is_err());
}

#[test]
fn a_device_key_is_its_canonical_cose_key_in_json() {
    let world = World::new();
    for device in ["es256", "eddsa"] {
        let key = key(&world, device);
        let text = serde_json::to_value(&key).unwrap();
        assert_eq!(text, json!(b64(&key.to_cose())));
        assert_eq!(serde_json::from_value::<DeviceKey>(text).unwrap(), key);
    }
    for junk in [json!("AA"), json!(""), json!(1), Value::Null] {
        assert!(serde_json::from_value::<DeviceKey>(junk).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bit_of_an_assertion_changed_is_refused(part in 0..3, at: prop::sample::Index, bit in 0..8) {
        let world = World::new();
        let mut assertion = world.es256.get(RP_ID, ORIGIN, &CHALLENGE);
        let bytes = match part {
            0 => &mut assertion.authenticator_data.0,
            1 => &mut assertion.client_data_json.0,
            _ => &mut assertion.signature.0,
        };
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(check(&world.es256.key(), &expectation(), &assertion).is_err());
    }

    #[test]
    fn cbor_written_is_cbor_read(numbers: Vec<i64>, bytes: Vec<u8>, text: String) {
        let mut out = cose::Writer::default();
        for number in &numbers {
            out.int(*number);
        }
        out.bytes(&bytes).text(&text).map(0);
        let mut reader = cose::Reader::new(&out.0);
        for number in numbers {
            prop_assert_eq!(reader.item(), Ok(cose::Item::Int(number)));
        }
        prop_assert_eq!(reader.item(), Ok(cose::Item::Bytes(&bytes)));
        prop_assert_eq!(reader.item(), Ok(cose::Item::Text(&text)));
        prop_assert_eq!(reader.whole(), Ok(&[0xa0][..]));
        prop_assert_eq!(reader.end(), Ok(()));
    }
}
