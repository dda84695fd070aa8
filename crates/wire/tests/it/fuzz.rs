//! Every parser of untrusted bytes on random input: it returns, and what it accepts it means. `cargo bolero` runs the same
//! targets for longer.

use hufu_kernel::Timestamp;
use hufu_wire::api::ceremony::Message;
use hufu_wire::api::order::SignedOrder;
use hufu_wire::api::roster::{Identity, Roster};
use hufu_wire::cose::{self, Reader};
use hufu_wire::dpop::{Expected, normal_address, verify_proof};
use hufu_wire::jose::{Compact, Jwk, Jwks, SoftKey, assemble, strict_value};
use hufu_wire::subject_handle::{HALF, SubjectHandle};
use hufu_wire::webauthn::{
    Assertion, AuthenticatorData, DeviceKey, Expectation, Registration, SoftDevice, check, register,
};

const EXPECTATION: Expectation<'static> =
    Expectation { rp_id: "wallet.example", origin: "https://wallet.example", challenge: &[7; 32], require_uv: true };

#[test]
fn fuzz_jws() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(jws) = Compact::parse(text) {
            assert_eq!(assemble(jws.signing_input(), jws.signature()), text);
        }
        // The same bytes as a header.
        let _ = Compact::parse(&format!("{}.e30.AA", hufu_kernel::b64(bytes)));
    });
}

#[test]
fn fuzz_subject_handles() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(handle) = text.parse::<SubjectHandle>() {
            assert_eq!(handle.to_string(), text);
        }
        // The right shape around strange halves.
        let half = hufu_kernel::b64(bytes);
        let read = format!("13.{half}.{half}").parse::<SubjectHandle>();
        assert_eq!(read.is_ok(), bytes.len() == HALF);
    });
}

#[test]
fn fuzz_json_and_keys() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(value) = strict_value(bytes) {
            assert_eq!(serde_json::from_slice::<serde_json::Value>(bytes).unwrap(), value);
        }
        if let Ok(key) = Jwk::from_json(bytes) {
            assert_eq!(Jwk::from_json(serde_json::to_string(&key).unwrap().as_bytes()), Ok(key));
        }
        let _ = Jwks::from_json(bytes);
        let _ = SoftKey::from_private_jwk(bytes);
        let _ = SoftDevice::load(bytes);
    });
}

#[test]
fn fuzz_dpop() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let expected = Expected {
            method: "POST",
            htu: text,
            now: Timestamp(0),
            max_age: 60,
            access_token: Some(text),
            nonce: Some(text),
        };
        assert!(verify_proof(text, &expected).is_err());
        if let Some(once) = normal_address(text) {
            assert_eq!(normal_address(&once), Some(once.clone()));
        }
    });
}

#[test]
fn fuzz_cbor() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut reader = Reader::new(bytes);
        if let Ok(item) = reader.whole() {
            assert_eq!([item, reader.rest()].concat(), bytes);
        }
        if let Ok((key, _)) = cose::parse_key(bytes) {
            let canonical = cose::encode_key(&key).unwrap();
            assert_eq!(cose::parse_key(&canonical).unwrap().0, key);
        }
        let _ = DeviceKey::from_cose(bytes);
    });
}

#[test]
fn fuzz_webauthn() {
    let device = SoftDevice::generate(&hufu_kernel::SeededRng::new(1)).unwrap();
    let key = device.key();
    let honest = device.get("wallet.example", "https://wallet.example", &[7; 32]);
    let created = device.create("wallet.example", "https://wallet.example", &[7; 32]);
    bolero::check!().for_each(move |bytes: &[u8]| {
        let _ = AuthenticatorData::parse(bytes);
        for assertion in [
            Assertion { authenticator_data: bytes.into(), ..honest.clone() },
            Assertion { client_data_json: bytes.into(), ..honest.clone() },
            Assertion { signature: bytes.into(), ..honest.clone() },
            // Signed for, whatever it is.
            device.sign(bytes, &honest.client_data_json.0),
        ] {
            assert!(check(&key, &EXPECTATION, &assertion).is_err());
        }
        for registration in [
            Registration { attestation_object: bytes.into(), ..created.clone() },
            Registration { client_data_json: bytes.into(), ..created.clone() },
        ] {
            assert!(register(&EXPECTATION, &registration).is_err());
        }
    });
}

#[test]
fn fuzz_orders_and_ceremonies() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(order) = SignedOrder::parse(bytes) {
            assert_eq!(SignedOrder::parse(&serde_json::to_vec(&order).unwrap()), Ok(order));
        }
        if let Ok(message) = serde_json::from_slice::<Message>(bytes) {
            let again = serde_json::to_vec(&message).unwrap();
            assert_eq!(serde_json::from_slice::<Message>(&again).unwrap(), message);
        }
    });
}

#[test]
fn fuzz_roster() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(roster) = Roster::parse(bytes) {
            assert_eq!(Roster::parse(&serde_json::to_vec(&roster).unwrap()), Ok(roster));
        }
        if let Ok(identity) = Identity::parse(bytes) {
            assert_eq!(Identity::parse(&serde_json::to_vec(&identity).unwrap()), Ok(identity));
        }
    });
}
