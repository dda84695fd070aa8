//! An office's keys that count the signatures made with them, by kind and never by what was signed.

use hufu_kernel::{Bytes, KeyError, KeyStore, Octets, Sealed};
use hufu_offices::front::TRANSACTION_KEY;
use hufu_web::metrics::Metrics;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A key store and where its signatures are counted.
pub struct CountedKeys {
    /// The keys.
    pub keys: Arc<dyn KeyStore>,
    /// Whose they are.
    pub office: &'static str,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

/// Ed25519 keys by what they sign.
fn kind(key: &str) -> &'static str {
    match key {
        "office" => "office",
        TRANSACTION_KEY => "transaction",
        _ => "ed25519",
    }
}

impl KeyStore for CountedKeys {
    fn hmac(&self, key: &str, message: &[u8]) -> Result<Octets<32>, KeyError> {
        self.keys.hmac(key, message)
    }

    fn seal(&self, key: &str, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, KeyError> {
        self.keys.seal(key, aad, plaintext)
    }

    fn open(&self, key: &str, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.keys.open(key, aad, sealed)
    }

    fn sign_ed25519(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        self.used(kind(key));
        self.keys.sign_ed25519(key, message)
    }

    fn sign_es256(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        self.used("es256");
        self.keys.sign_es256(key, message)
    }

    fn public(&self, key: &str) -> Result<Bytes, KeyError> {
        self.keys.public(key)
    }

    fn share(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.keys.share(key)
    }

    fn used(&self, kind: &'static str) {
        self.metrics.signed(self.office, kind);
    }
}
