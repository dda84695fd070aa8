//! Selective Disclosure for JWTs (RFC 9901) and its verifiable-credential profile (SD-JWT VC, draft 24), as building
//! blocks: whoever signs signs bytes, and here nobody holds a key.
//!
//! Two nodes sign one payload, so both must build the very same bytes from the very same salts: salts are
//! [`salt`]`(seed, claim)` and payloads are written with sorted names ([`payload_with`]).

mod disclosure;
mod key_binding;
mod verify;

pub use disclosure::{Disclosure, salt};
pub use key_binding::{ExpectedBinding, HolderVerifier, KB_TYP, KeyBinding, Signer, bind, verify_key_binding};
pub use verify::verify_disclosures;

use hufu_kernel::{b64, unb64};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The media type in the `typ` header of an SD-JWT VC.
pub const VC_TYP: &str = "dc+sd-jwt";

/// The longest SD-JWT we read.
const MAX_LEN: usize = 64 * 1024;
/// The most disclosures we read.
const MAX_DISCLOSURES: usize = 128;
/// The deepest nesting of a value we process.
const MAX_DEPTH: usize = 16;

/// Names that mean something to SD-JWT itself (RFC 9901 section 4.1 and 4.2).
const RESERVED: [&str; 3] = ["_sd", "_sd_alg", "..."];

/// Claims that a verifier needs before it may believe anything; an issuer never lets the holder hide them
/// (RFC 9901 section 9.7; SD-JWT VC section 3.2.2.2).
const ALWAYS_SHOWN: [&str; 9] = ["iss", "aud", "iat", "nbf", "exp", "cnf", "vct", "vct#integrity", "status"];

/// Why an SD-JWT, a disclosure or a key binding is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SdJwtError {
    /// Longer, wider or deeper than we read.
    #[error("longer, wider or deeper than is read")]
    TooLarge,
    /// Not `<JWT>~<disclosure>~…~` with an optional JWT at the end.
    #[error("not an SD-JWT in compact form")]
    Shape,
    /// A disclosure is not base64url of a JSON array of two or three elements beginning with a salt.
    #[error("a disclosure does not parse")]
    Disclosure,
    /// A claim named `_sd`, `_sd_alg` or `...`, or an `_sd` or `...` that is not what RFC 9901 makes of it.
    #[error("a reserved name")]
    Reserved,
    /// The issuer may not make this claim selectively disclosable.
    #[error("this claim is always shown")]
    AlwaysShown,
    /// `_sd_alg` is not `sha-256`.
    #[error("another hash algorithm")]
    Algorithm,
    /// A claim of this name exists beside the disclosed one.
    #[error("the claim exists twice")]
    Collision,
    /// A digest occurs twice, or a disclosure is given twice.
    #[error("a digest occurs twice")]
    Duplicate,
    /// No digest refers to the disclosure.
    #[error("a disclosure that nothing refers to")]
    Unreferenced,
    /// Key binding is required and there is none, or there is one where none may be.
    #[error("key binding is missing or not expected")]
    Binding,
    /// The key binding JWT is of another type, for another audience, nonce or presentation.
    #[error("the key binding is for something else")]
    BindingMismatch,
    /// The key binding JWT was made too long ago or in the future.
    #[error("the key binding is not fresh")]
    BindingTime,
    /// The signature of the key binding JWT does not verify, or could not be made.
    #[error("the signature does not verify")]
    Signature,
}

/// A parsed SD-JWT or SD-JWT+KB. The signature of `jws` has *not* been checked.
#[derive(Clone, PartialEq, Debug)]
pub struct SdJwt {
    /// The issuer-signed JWT, three base64url parts.
    pub jws: String,
    /// The disclosures, in the order given.
    pub disclosures: Vec<Disclosure>,
    /// The key binding JWT of an SD-JWT+KB.
    pub key_binding: Option<String>,
}

impl SdJwt {
    /// Everything before the key binding JWT, the last tilde included: what `sd_hash` covers (RFC 9901 section 4.3.1).
    #[must_use]
    pub fn presented(&self) -> String {
        assemble(&self.jws, &self.disclosures)
    }

    /// The claims of the issuer-signed JWT with the disclosed ones in place. Call it only after the signature of `jws`
    /// has been checked.
    ///
    /// # Errors
    /// See [`verify_disclosures`]; `Shape` if the payload is no JSON object.
    pub fn claims(&self) -> Result<Map<String, Value>, SdJwtError> {
        let payload = self.jws.split('.').nth(1).and_then(unb64).ok_or(SdJwtError::Shape)?;
        let payload: Map<String, Value> = serde_json::from_slice(&payload).map_err(|_| SdJwtError::Shape)?;
        verify_disclosures(&payload, &self.disclosures)
    }

    /// The same SD-JWT with only the disclosures whose claim name `keep` wants, and without key binding: what a holder
    /// shows. Nested disclosures are kept or dropped by their own names.
    #[must_use]
    pub fn showing(&self, keep: &dyn Fn(&str) -> bool) -> Self {
        let disclosures = self.disclosures.iter().filter(|d| d.name().is_some_and(keep)).cloned().collect();
        Self { jws: self.jws.clone(), disclosures, key_binding: None }
    }
}

/// Reads the compact form, strictly: no empty part, no padding, one spelling.
///
/// # Errors
/// `TooLarge`, `Shape`, `Disclosure`, `Duplicate`.
pub fn parse(text: &str) -> Result<SdJwt, SdJwtError> {
    if text.len() > MAX_LEN {
        return Err(SdJwtError::TooLarge);
    }
    let (presented, last) = text.rsplit_once('~').ok_or(SdJwtError::Shape)?;
    let mut parts = presented.split('~');
    let jws = parts.next().filter(|jws| is_jws(jws)).ok_or(SdJwtError::Shape)?;
    let disclosures = parts.map(Disclosure::decode).collect::<Result<Vec<_>, _>>()?;
    if disclosures.len() > MAX_DISCLOSURES {
        return Err(SdJwtError::TooLarge);
    }
    if !last.is_empty() && !is_jws(last) {
        return Err(SdJwtError::Shape);
    }
    let distinct: BTreeSet<_> = disclosures.iter().map(Disclosure::encoded).collect();
    if distinct.len() != disclosures.len() {
        return Err(SdJwtError::Duplicate);
    }
    let key_binding = (!last.is_empty()).then(|| last.to_owned());
    Ok(SdJwt { jws: jws.to_owned(), disclosures, key_binding })
}

/// `<jws>~<disclosure>~…~`: an SD-JWT without key binding.
#[must_use]
pub fn assemble(jws: &str, disclosures: &[Disclosure]) -> String {
    let mut out = format!("{jws}~");
    for disclosure in disclosures {
        out.push_str(disclosure.encoded());
        out.push('~');
    }
    out
}

/// The payload to be signed: `claims` in the clear and the digests of `disclosures` sorted in `_sd`, `_sd_alg` beside
/// them. The JSON is deterministic: no white space, names sorted by their bytes at every depth.
///
/// # Errors
/// `Reserved` if a claim has a name of SD-JWT's own, `AlwaysShown` for a disclosure that an issuer may not hide,
/// `Disclosure` for one of an array element, `Collision` if a claim is given twice.
pub fn payload_with(claims: &Map<String, Value>, disclosures: &[Disclosure]) -> Result<Vec<u8>, SdJwtError> {
    if claims.keys().any(|name| RESERVED.contains(&name.as_str())) {
        return Err(SdJwtError::Reserved);
    }
    let mut names = BTreeSet::new();
    for disclosure in disclosures {
        let name = disclosure.name().ok_or(SdJwtError::Disclosure)?;
        if ALWAYS_SHOWN.contains(&name) {
            return Err(SdJwtError::AlwaysShown);
        }
        if claims.contains_key(name) || !names.insert(name) {
            return Err(SdJwtError::Collision);
        }
    }
    // Sorting hides the order in which the claims were given (RFC 9901 section 4.2.4.1).
    let digests: BTreeSet<String> = disclosures.iter().map(Disclosure::digest).collect();
    let mut payload = claims.clone();
    if !digests.is_empty() {
        payload.insert("_sd".into(), digests.into_iter().collect());
        payload.insert("_sd_alg".into(), "sha-256".into());
    }
    let mut out = Vec::new();
    write_sorted(&Value::Object(payload), &mut out);
    Ok(out)
}

/// base64url(SHA-256(ASCII)), the only hash we use in SD-JWT.
fn hash(text: &str) -> String {
    b64(&Sha256::digest(text.as_bytes()))
}

/// Three non-empty base64url parts.
fn is_jws(text: &str) -> bool {
    let mut parts = text.split('.');
    let three = parts.by_ref().take(3).filter(|part| !part.is_empty() && unb64(part).is_some()).count() == 3;
    three && parts.next().is_none()
}

/// JSON without white space and with sorted names, whatever the map type of `serde_json` was built with.
fn write_sorted(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut names: Vec<&String> = map.keys().collect();
            names.sort_unstable();
            out.push(b'{');
            for (position, name) in names.into_iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
                out.push(b':');
                write_sorted(&map[name], out);
            }
            out.push(b'}');
        }
        Value::Array(values) => {
            out.push(b'[');
            for (position, value) in values.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_sorted(value, out);
            }
            out.push(b']');
        }
        leaf => out.extend_from_slice(leaf.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
