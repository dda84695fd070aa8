//! DPoP nonces (RFC 9449 sections 8, 9): one for all platforms and five minutes, which is an HMAC of its time and no row. Only proofs made
//! since it was given out can carry it.

use aws_lc_rs::hmac;
use hufu_kernel::{Timestamp, b64};
use hufu_oidc::provider::Nonces;
use subtle::ConstantTimeEq;

/// Seconds for which one nonce is given out; it is taken for as long again.
pub const NONCE_SECONDS: i64 = 300;

/// The nonces of one process key, which fronts of one cluster share.
pub(super) struct ProofNonces(hmac::Key);

impl ProofNonces {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The one that is given out now.
    pub(super) fn current(&self, now: Timestamp) -> String {
        self.of(window(now))
    }

    fn of(&self, window: i64) -> String {
        b64(hmac::sign(&self.0, &window.to_be_bytes()).as_ref())
    }
}

fn window(now: Timestamp) -> i64 {
    now.0.div_euclid(NONCE_SECONDS)
}

impl Nonces for ProofNonces {
    fn knows(&self, nonce: &str, now: Timestamp) -> bool {
        let current = window(now);
        [current, current.saturating_sub(1)]
            .into_iter()
            .any(|window| self.of(window).as_bytes().ct_eq(nonce.as_bytes()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_nonce_is_taken_for_its_window_and_the_next_by_its_own_key_alone(now in 0i64..4_000_000_000, later in 0i64..2_000) {
            let (nonces, others) = (ProofNonces::new(&[1; 32]), ProofNonces::new(&[2; 32]));
            let (given, asked) = (Timestamp(now), Timestamp(now + later));
            let nonce = nonces.current(given);
            let fresh = window(asked) - window(given) <= 1;
            prop_assert_eq!(nonces.knows(&nonce, asked), fresh);
            prop_assert!(!others.knows(&nonce, asked));
            // None is told beforehand.
            prop_assert!(window(asked) == window(given) || !nonces.knows(&nonces.current(asked), given));
        }

        #[test]
        fn strangers_texts_are_no_nonces(text in ".{0,60}", now: i64) {
            prop_assert!(!ProofNonces::new(&[1; 32]).knows(&text, Timestamp(now)));
        }
    }
}
