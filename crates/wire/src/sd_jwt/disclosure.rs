//! One disclosure: salt, name and value, and the exact text whose hash the issuer signed.

use super::{RESERVED, SdJwtError, hash, write_sorted};
use hmac::{Hmac, KeyInit, Mac};
use hufu_kernel::{b64, unb64};
use serde_json::Value;
use sha2::Sha256;
use std::fmt;

/// The salt of a claim: the first 16 bytes of HMAC-SHA-256(seed, claim name). Every signer that knows the seed
/// makes the same one (flows 6); 128 bits are what RFC 9901 section 9.3 recommends.
#[must_use]
pub fn salt(seed: &[u8; 32], claim: &str) -> [u8; 16] {
    let mut out = [0; 16];
    // HMAC takes keys of any length, so this cannot fail.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(seed) {
        mac.update(claim.as_bytes());
        out.copy_from_slice(&mac.finalize().into_bytes()[..16]);
    }
    out
}

/// A disclosure. The encoded text is kept as it came: its digest is over these bytes and no others.
#[derive(Clone, PartialEq)]
pub struct Disclosure {
    encoded: String,
    name: Option<String>,
    value: Value,
}

impl Disclosure {
    /// Makes the disclosure of an object's property (RFC 9901 section 4.2.1): base64url of `["salt","name",value]`
    /// without white space and with sorted names.
    ///
    /// # Errors
    /// `Reserved` if the claim may not have this name.
    pub fn new(salt: &[u8; 16], name: &str, value: Value) -> Result<Self, SdJwtError> {
        if RESERVED.contains(&name) {
            return Err(SdJwtError::Reserved);
        }
        let mut json = Vec::new();
        write_sorted(&Value::Array(vec![b64(salt).into(), name.into(), value.clone()]), &mut json);
        Ok(Self { encoded: b64(&json), name: Some(name.to_owned()), value })
    }

    /// Reads a disclosure: of a property if it has three elements, of an array element if it has two.
    ///
    /// # Errors
    /// `Disclosure`, `Reserved`.
    pub fn decode(encoded: &str) -> Result<Self, SdJwtError> {
        let json = unb64(encoded).ok_or(SdJwtError::Disclosure)?;
        let elements: Vec<Value> = serde_json::from_slice(&json).map_err(|_| SdJwtError::Disclosure)?;
        let (salt, name, value) = match <[Value; 3]>::try_from(elements) {
            Ok([salt, Value::String(name), value]) => (salt, Some(name), value),
            Ok(_) => return Err(SdJwtError::Disclosure),
            Err(elements) => match <[Value; 2]>::try_from(elements) {
                Ok([salt, value]) => (salt, None, value),
                Err(_) => return Err(SdJwtError::Disclosure),
            },
        };
        if !salt.is_string() {
            return Err(SdJwtError::Disclosure);
        }
        if name.as_deref().is_some_and(|name| RESERVED.contains(&name)) {
            return Err(SdJwtError::Reserved);
        }
        Ok(Self { encoded: encoded.to_owned(), name, value })
    }

    /// The base64url text.
    #[must_use]
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// base64url(SHA-256(encoded)), RFC 9901 section 4.2.3.
    #[must_use]
    pub fn digest(&self) -> String {
        hash(&self.encoded)
    }

    /// The claim's name; `None` for an array element.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The claim's value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }
}

impl fmt::Debug for Disclosure {
    /// Values are about a person: only the name is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disclosure({})", self.name().unwrap_or("[]"))
    }
}
