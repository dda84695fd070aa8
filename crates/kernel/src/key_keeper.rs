//! The write side of a [`KeyStore`]: how keys come to be in it, move to a replacement, and go. Adapters: a sealed file, PKCS#11.

use crate::{Bytes, KeyError, KeyStore};
use serde::{Deserialize, Serialize};

/// How a key is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// HMAC-SHA-256.
    Hmac,
    /// AES-256-GCM.
    Seal,
    /// An Ed25519 seed.
    Ed25519,
    /// A P-256 key in PKCS#8.
    Es256,
    /// A threshold share, or a private key that a library takes as bytes.
    Share,
}

/// A key store that takes, makes, hands over and destroys keys: ceremonies work on it, offices at work never do.
///
/// Names: docs/trust.md. A key whose ceremony is not over stands under its name with [`PENDING`] before it.
pub trait KeyKeeper: KeyStore {
    /// The names of all keys.
    ///
    /// # Errors
    /// [`KeyError::Device`].
    fn names(&self) -> Result<Vec<String>, KeyError>;

    /// What a key is for.
    ///
    /// # Errors
    /// [`KeyError::Missing`], [`KeyError::Device`].
    fn usage(&self, name: &str) -> Result<KeyUse, KeyError>;

    /// Draws a key inside the keeper; a share cannot be drawn.
    ///
    /// # Errors
    /// [`KeyError::Taken`], [`KeyError::Device`].
    fn generate(&self, name: &str, usage: KeyUse) -> Result<(), KeyError>;

    /// Takes a key that several offices made together (HMAC-SHA-256), or a share.
    ///
    /// # Errors
    /// [`KeyError::Taken`], [`KeyError::Device`].
    fn import(&self, name: &str, usage: KeyUse, secret: &[u8]) -> Result<(), KeyError>;

    /// Renames keys, from and to, all at once or as near to it as the device can; one that has been renamed already is fine.
    ///
    /// # Errors
    /// [`KeyError::Missing`], [`KeyError::Taken`], [`KeyError::Device`].
    fn rename(&self, pairs: &[(String, String)]) -> Result<(), KeyError>;

    /// Destroys a key; one that is not there is fine.
    ///
    /// # Errors
    /// [`KeyError::Device`].
    fn destroy(&self, name: &str) -> Result<(), KeyError>;

    /// The public key under which other keepers wrap keys for this one. Its first byte names the method.
    ///
    /// # Errors
    /// [`KeyError::Device`].
    fn wrapping_key(&self) -> Result<Bytes, KeyError>;

    /// Wraps an HMAC key for the keeper whose wrapping key `to` is.
    ///
    /// # Errors
    /// [`KeyError::Missing`]; [`KeyError::Device`] for a wrapping key that this keeper does not trust or does not understand.
    fn wrap(&self, name: &str, to: &[u8], aad: &[u8]) -> Result<Bytes, KeyError>;

    /// Takes an HMAC key that another keeper wrapped for this one.
    ///
    /// # Errors
    /// [`KeyError::Open`], [`KeyError::Taken`], [`KeyError::Device`].
    fn unwrap_key(&self, name: &str, aad: &[u8], wrapped: &[u8]) -> Result<(), KeyError>;
}

/// What stands before the name of a key whose ceremony is not over.
pub const PENDING: &str = "new:";
