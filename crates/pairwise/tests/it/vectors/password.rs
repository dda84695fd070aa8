//! flows 3: the password key, with Argon2id's and HKDF's output written out.

use super::{filled, frozen, h};
use argon2::{Algorithm, Argon2, Params, Version};
use hkdf::Hkdf;
use hufu_pairwise::{ParamsId, check_password, harden};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

fn key(label: &str) -> Value {
    let y: [u8; 64] = Sha512::digest(format!("hufu vector y {label}")).into();
    let salt = filled(&format!("salt_u {label}"));
    let (m, t, p) = ParamsId::V1.costs();
    let mut stretched = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(m, t, p, Some(32)).expect("costs"))
        .hash_password_into(&y, &salt, &mut stretched)
        .expect("memory");
    let mut seed = [0; 32];
    Hkdf::<Sha256>::new(None, &stretched).expand(b"hufu-v1-password", &mut seed).expect("32 bytes");
    let key = harden(&y, &salt, ParamsId::V1).expect("memory");
    assert_eq!(key.public(), ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes());
    json!({
        "y": h(y),
        "salt_u": h(salt),
        "params_id": ParamsId::V1,
        "argon2id": h(stretched),
        "seed": h(seed),
        "public": h(key.public()),
        "message": h(b"hufu"),
        "signature": h(key.sign(b"hufu")),
    })
}

fn rule(digits: &str) -> Value {
    let born = [(1990, 3, 7)];
    let verdict = check_password(digits, &born).err().map(|why| format!("{why:?}"));
    json!({ "digits": digits, "birth_dates": born, "refused": verdict })
}

#[test]
fn password_vectors_are_frozen() {
    let digits = [
        "19283746", "12345679", "11112222", "1234567", "1234567a", "12345678", "34567890", "87654321", "32109876",
        "00000000", "12121212", "12341234", "19900307", "07031990", "03071990", "19900308",
    ];
    frozen(
        "password",
        &json!({
            "params": [{ "params_id": 1, "algorithm": "argon2id", "version": 19, "m_kib": 19456, "t": 2, "p": 1 }],
            "info": "hufu-v1-password",
            "keys": [key("one"), key("two")],
            "rule": digits.map(rule),
        }),
    );
}
