//! Seals what must come back: pushed requests, codes, access tokens. The key lives and dies with the process.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use hufu_kernel::{Rng, Secret, b64, framed, random, unb64};
use hufu_oidc::provider::{Opener, SealedKind};

const SALT: usize = 16;

/// Longer than anything sealed here; a bound on the work for strangers' texts.
const MAX_SEALED: usize = 32 * 1024;

/// AES-256-GCM with a key of its own for every message: HMAC-SHA-256(process key, 16 random bytes). With one random nonce
/// space under one key a busy front would reach GCM's limit of 2^32 messages within days.
pub struct Sealer(hmac::Key);

impl Sealer {
    /// Seals under this key. Fronts of one cluster share a key only if they share the single-use set.
    #[must_use]
    pub fn new(key: &Secret<32>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }

    /// A fresh key.
    #[must_use]
    pub fn random(rng: &dyn Rng) -> Self {
        Self::new(&Secret::new(random(rng)))
    }

    /// A key for something else: no message's salt is as long as what is hashed here.
    pub(super) fn derived(&self, purpose: &str) -> hmac::Tag {
        hmac::sign(&self.0, &framed(&[b"hufu-v1-front-derived", purpose.as_bytes()]))
    }

    fn message_key(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let key = hmac::sign(&self.0, salt);
        UnboundKey::new(&AES_256_GCM, key.as_ref()).map(LessSafeKey::new).ok()
    }

    /// The sealed text, base64url; `None` only if the cipher fails.
    #[must_use]
    pub fn seal(&self, kind: SealedKind, client_id: &str, plaintext: &[u8], rng: &dyn Rng) -> Option<String> {
        let salt = random::<SALT>(rng);
        let mut body = plaintext.to_vec();
        // The key is used for this one message: the nonce may be constant.
        self.message_key(&salt)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), aad(kind, client_id), &mut body)
            .ok()?;
        Some(b64(&[&salt, body.as_slice()].concat()))
    }
}

fn aad(kind: SealedKind, client_id: &str) -> Aad<Vec<u8>> {
    Aad::from(framed(&[kind.as_str().as_bytes(), client_id.as_bytes()]))
}

impl Opener for Sealer {
    fn open(&self, kind: SealedKind, client_id: &str, sealed: &str) -> Option<Vec<u8>> {
        if sealed.len() > MAX_SEALED {
            return None;
        }
        let mut bytes = unb64(sealed)?;
        let (salt, body) = bytes.split_at_mut_checked(SALT)?;
        let key = self.message_key(salt)?;
        key.open_in_place(Nonce::assume_unique_for_key([0; 12]), aad(kind, client_id), body)
            .ok()
            .map(|plain| plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::SeededRng;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens_as_this_kind_for_this_client_only(plain: Vec<u8>, client in "[a-z]{0,8}", flip: u16) {
            let rng = SeededRng::new(1);
            let sealer = Sealer::random(&rng);
            let sealed = sealer.seal(SealedKind::Code, &client, &plain, &rng).unwrap();
            prop_assert_eq!(sealer.open(SealedKind::Code, &client, &sealed), Some(plain));
            prop_assert_eq!(sealer.open(SealedKind::Request, &client, &sealed), None);
            prop_assert_eq!(sealer.open(SealedKind::Code, "other-client", &sealed), None);
            prop_assert_eq!(Sealer::random(&rng).open(SealedKind::Code, &client, &sealed), None);
            let mut changed = unb64(&sealed).unwrap();
            let bit = usize::from(flip) % (changed.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(sealer.open(SealedKind::Code, &client, &b64(&changed)), None);
        }

        #[test]
        fn strangers_texts_never_open(text in ".{0,80}") {
            prop_assert_eq!(Sealer::random(&SeededRng::new(2)).open(SealedKind::Code, "c", &text), None);
        }
    }

    #[test]
    fn equal_messages_are_sealed_differently() {
        let rng = SeededRng::new(3);
        let sealer = Sealer::random(&rng);
        let seal = || sealer.seal(SealedKind::Code, "c", b"same", &rng);
        assert_ne!(seal(), seal());
    }
}
