//! The password key and the rule against trivial passwords.

use hufu_pairwise::{ParamsId, PasswordRefusal, check_password, harden, trivial_password, verify_password};
use proptest::prelude::*;

#[test]
fn a_signature_under_the_password_key_verifies_and_nothing_else_does() {
    let key = harden(&[1; 64], &[2; 32], ParamsId::V1).unwrap();
    let sig = key.sign(b"message");
    assert!(verify_password(&key.public(), b"message", &sig));
    assert!(!verify_password(&key.public(), b"other", &sig));
    let mut changed = sig;
    changed[0] ^= 1;
    assert!(!verify_password(&key.public(), b"message", &changed));
    // Another password, another salt: another key.
    assert_ne!(harden(&[3; 64], &[2; 32], ParamsId::V1).unwrap().public(), key.public());
    assert_ne!(harden(&[1; 64], &[3; 32], ParamsId::V1).unwrap().public(), key.public());
    assert_eq!(format!("{key:?}"), "PasswordKey(…)");
}

#[test]
fn small_order_keys_are_refused() {
    // The identity as key: a signature (R = identity, s = 0) satisfies the cofactored equation for every message.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut sig = [0; 64];
    sig[0] = 1;
    assert!(!verify_password(&identity, b"anything", &sig));
}

#[test]
fn parameters_are_an_integer_and_unknown_ones_are_refused() {
    assert_eq!(serde_json::to_string(&ParamsId::V1).unwrap(), "1");
    assert_eq!(serde_json::from_str::<ParamsId>("1").unwrap(), ParamsId::V1);
    assert!(serde_json::from_str::<ParamsId>("2").is_err());
    assert!(serde_json::from_str::<ParamsId>("0").is_err());
}

#[test]
fn trivial_passwords_are_refused_by_name() {
    let born = [(1990, 3, 7), (2015, 12, 25)];
    for (digits, why) in [
        ("1234567", PasswordRefusal::Shape),
        ("123456789", PasswordRefusal::Shape),
        ("1234567a", PasswordRefusal::Shape),
        ("１２３４", PasswordRefusal::Shape),
        ("12345678", PasswordRefusal::Sequence),
        ("01234567", PasswordRefusal::Sequence),
        ("34567890", PasswordRefusal::Sequence),
        ("87654321", PasswordRefusal::Sequence),
        ("32109876", PasswordRefusal::Sequence),
        ("11111111", PasswordRefusal::Repeat),
        ("12121212", PasswordRefusal::Repeat),
        ("12341234", PasswordRefusal::Repeat),
        ("19900307", PasswordRefusal::BirthDate),
        ("07031990", PasswordRefusal::BirthDate),
        ("03071990", PasswordRefusal::BirthDate),
        ("20151225", PasswordRefusal::BirthDate),
    ] {
        assert_eq!(check_password(digits, &born), Err(why), "{digits}");
        assert!(trivial_password(digits, &born));
    }
    for good in ["19283746", "12345679", "11112222", "12344321", "19900308"] {
        assert_eq!(check_password(good, &born), Ok(()), "{good}");
    }
    assert_eq!(check_password("19900307", &[]), Ok(()));
}

proptest! {
    #[test]
    fn only_eight_digits_pass(text in "\\PC{0,10}") {
        if check_password(&text, &[]).is_ok() {
            prop_assert!(text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()));
        }
    }
}

#[test]
fn the_rule_leaves_nearly_every_password() {
    let refused = (0..100_000_000_u32).step_by(997).filter(|n| trivial_password(&format!("{n:08}"), &[])).count();
    assert!(refused < 100, "{refused} of 100301");
}

#[test]
fn fuzz_verification_never_panics() {
    bolero::check!().with_type::<([u8; 32], Vec<u8>, [u8; 32], [u8; 32])>().for_each(|(public, msg, r, s)| {
        let sig: [u8; 64] = [*r, *s].concat().try_into().unwrap();
        assert!(!verify_password(public, msg, &sig));
    });
}
