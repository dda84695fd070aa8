//! Where an office's long-lived keys are and what may be asked of them. Adapters: software keys from a sealed file, PKCS#11.

use crate::{Bytes, Octets, Sealed};
use zeroize::Zeroizing;

/// Why a key operation failed.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// No key of that name: the office was started with another office's keys, or before its ceremony.
    #[error("no key named {0}")]
    Missing(String),
    /// There is a key of that name, which is not replaced.
    #[error("there is a key named {0} already")]
    Taken(String),
    /// The ciphertext was made under another key or other associated data, or was changed.
    #[error("sealed data does not open under {0}")]
    Open(String),
    /// The device or file behind the keys failed.
    #[error("the key store failed: {0}")]
    Device(String),
}

/// An office's keys, by name. Names and what each protects: docs/trust.md.
pub trait KeyStore: Send + Sync + 'static {
    /// HMAC-SHA-256 under a named key.
    ///
    /// # Errors
    /// [`KeyError`] if the key is missing or its device fails.
    fn hmac(&self, key: &str, message: &[u8]) -> Result<Octets<32>, KeyError>;

    /// AES-256-GCM under a named key with a fresh nonce; the nonce stands before the ciphertext.
    ///
    /// # Errors
    /// [`KeyError`] if the key is missing or its device fails.
    fn seal(&self, key: &str, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, KeyError>;

    /// Opens what [`KeyStore::seal`] made with the same key and associated data.
    ///
    /// # Errors
    /// [`KeyError::Open`] if it does not open.
    fn open(&self, key: &str, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeyError>;

    /// An Ed25519 signature (RFC 8032) under a named key.
    ///
    /// # Errors
    /// [`KeyError`] if the key is missing or its device fails.
    fn sign_ed25519(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError>;

    /// An ECDSA P-256 SHA-256 signature, r ‖ s (the JOSE form, RFC 7518 section 3.4).
    ///
    /// # Errors
    /// [`KeyError`] if the key is missing or its device fails.
    fn sign_es256(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError>;

    /// The public half of a signing key: of Ed25519 the 32 bytes of RFC 8032 section 5.1.5, of P-256 the 65 bytes of the
    /// uncompressed point (SEC 1 section 2.3.3: 0x04, x, y).
    ///
    /// # Errors
    /// [`KeyError::Missing`] for a name that is no signing key's; [`KeyError::Device`] if the device fails.
    fn public(&self, key: &str) -> Result<Bytes, KeyError>;

    /// A threshold share, unsealed into process memory (flows 2 says why).
    ///
    /// # Errors
    /// [`KeyError`] if the share is missing or does not open.
    fn share(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, KeyError>;

    /// Told by who holds a share when a signature was made with it, and which kind: signatures that the store does not make itself
    /// are counted this way. Kinds stand in the code; nothing of what was signed is told.
    fn used(&self, _kind: &'static str) {}
}
