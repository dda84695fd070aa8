//! The password key (flows 3): the threshold OPRF's output through Argon2id and HKDF into an Ed25519 key. Nodes hold the
//! public half only.

use crate::PairwiseError;
use argon2::{Algorithm, Argon2, Params, Version};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Which Argon2id parameters (RFC 9106) a row's password key was made with; an integer in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum ParamsId {
    /// 1: version 0x13, 19456 KiB, 2 passes, 1 lane: OWASP's second recommendation, bearable in a phone's browser.
    V1,
}

impl TryFrom<u8> for ParamsId {
    type Error = &'static str;
    fn try_from(id: u8) -> Result<Self, Self::Error> {
        match id {
            1 => Ok(Self::V1),
            _ => Err("unknown password parameters"),
        }
    }
}

impl From<ParamsId> for u8 {
    fn from(id: ParamsId) -> Self {
        match id {
            ParamsId::V1 => 1,
        }
    }
}

impl ParamsId {
    /// (memory in KiB, passes, lanes).
    #[must_use]
    pub fn costs(self) -> (u32, u32, u32) {
        match self {
            Self::V1 => (19_456, 2, 1),
        }
    }
}

/// The Ed25519 key (RFC 8032) of a password; wiped when dropped.
pub struct PasswordKey(SigningKey);

impl std::fmt::Debug for PasswordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordKey(…)")
    }
}

impl PasswordKey {
    /// The public half, as the three node rows hold it.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, msg: &[u8]) -> [u8; 64] {
        self.0.sign(msg).to_bytes()
    }
}

/// seed = HKDF-SHA256(ikm = Argon2id(password = y, salt = salt_u, 32 bytes), no salt, info = "hufu-v1-password", 32 bytes).
///
/// # Errors
/// [`PairwiseError::Argon2`] if the memory cannot be had.
pub fn harden(y: &[u8; 64], salt_u: &[u8; 32], params: ParamsId) -> Result<PasswordKey, PairwiseError> {
    let (memory, passes, lanes) = params.costs();
    let costs = Params::new(memory, passes, lanes, Some(32)).map_err(|_| PairwiseError::Argon2)?;
    let mut stretched = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, costs)
        .hash_password_into(y, salt_u, &mut *stretched)
        .map_err(|_| PairwiseError::Argon2)?;
    let mut seed = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, &*stretched)
        .expand(b"hufu-v1-password", &mut *seed)
        .map_err(|_| PairwiseError::Argon2)?;
    Ok(PasswordKey(SigningKey::from_bytes(&seed)))
}

/// Whether `sig` is the password key's signature over `msg`; strict: small-order keys and other encodings are refused.
#[must_use]
pub fn verify_password(public: &[u8; 32], msg: &[u8], sig: &[u8; 64]) -> bool {
    verify_ed25519(public, msg, sig)
}

pub(crate) fn verify_ed25519(public: &[u8; 32], msg: &[u8], sig: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(public).is_ok_and(|key| key.verify_strict(msg, &Signature::from_bytes(sig)).is_ok())
}

/// Why a password is refused before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PasswordRefusal {
    /// Not exactly eight ASCII digits.
    #[error("a password is eight digits")]
    Shape,
    /// 12345678, 98765432, 67890123: every digit one above or one below the last.
    #[error("a run of digits")]
    Sequence,
    /// One digit, or one block of two or four digits again and again: 11111111, 12121212, 12341234.
    #[error("a repeated block of digits")]
    Repeat,
    /// A birth date of the person or a ward, in the three usual orders.
    #[error("a birth date")]
    BirthDate,
}

/// The rule against trivial passwords (design 2). It runs in the wallet, the only place that sees the digits.
/// `birth_dates` are (year, month, day) of the person and of those the person guards.
///
/// # Errors
/// The first [`PasswordRefusal`] that applies.
pub fn check_password(digits: &str, birth_dates: &[(u16, u8, u8)]) -> Result<(), PasswordRefusal> {
    let bytes = digits.as_bytes();
    if bytes.len() != 8 || !bytes.iter().all(u8::is_ascii_digit) {
        return Err(PasswordRefusal::Shape);
    }
    // Keyboards wrap 9 to 0, so 67890123 is a run too.
    let step = |by: u8| bytes.windows(2).all(|pair| (pair[0] - b'0' + by) % 10 == pair[1] - b'0');
    if step(1) || step(9) {
        return Err(PasswordRefusal::Sequence);
    }
    if [1, 2, 4].into_iter().any(|block| bytes[block..] == bytes[..8 - block]) {
        return Err(PasswordRefusal::Repeat);
    }
    let is_date = |&(y, m, d): &(u16, u8, u8)| {
        [format!("{y:04}{m:02}{d:02}"), format!("{d:02}{m:02}{y:04}"), format!("{m:02}{d:02}{y:04}")]
            .iter()
            .any(|date| date == digits)
    };
    if birth_dates.iter().any(is_date) { Err(PasswordRefusal::BirthDate) } else { Ok(()) }
}

/// Whether [`check_password`] refuses.
#[must_use]
pub fn trivial_password(digits: &str, birth_dates: &[(u16, u8, u8)]) -> bool {
    check_password(digits, birth_dates).is_err()
}
