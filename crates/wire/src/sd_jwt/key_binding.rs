//! The key binding JWT (RFC 9901 section 4.3 and 7.3): the holder's signature over one presentation, for one verifier.

use super::{SdJwt, SdJwtError, hash, write_sorted};
use hufu_kernel::{Timestamp, b64, unb64};
use serde_json::{Map, Value, json};

/// The `typ` header of a key binding JWT.
pub const KB_TYP: &str = "kb+jwt";

/// Makes the holder's signature over the signing input; `None` if the key refuses.
pub type Signer<'a> = &'a dyn Fn(&[u8]) -> Option<Vec<u8>>;

/// Checks a signature with the holder's key, taken from the issuer-signed `cnf`: `(alg, signing input, signature)`. It
/// must refuse any `alg` but the one that belongs to the key.
pub type HolderVerifier<'a> = &'a dyn Fn(&str, &[u8], &[u8]) -> bool;

/// What the holder binds a presentation to.
#[derive(Clone, Copy, Debug)]
pub struct KeyBinding<'a> {
    /// The verifier.
    pub aud: &'a str,
    /// The verifier's nonce.
    pub nonce: &'a str,
    /// Now.
    pub iat: Timestamp,
    /// The JOSE algorithm of the holder's key.
    pub alg: &'a str,
}

/// What a verifier expects.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedBinding<'a> {
    /// The verifier's own name.
    pub aud: &'a str,
    /// The nonce it gave.
    pub nonce: &'a str,
    /// Now.
    pub now: Timestamp,
    /// How many seconds `iat` may differ from `now`, either way.
    pub leeway: i64,
}

/// The SD-JWT+KB of `sd_jwt` (whose own key binding, if any, is ignored).
///
/// # Errors
/// `Signature` if the key refuses.
pub fn bind(sd_jwt: &SdJwt, binding: &KeyBinding<'_>, sign: Signer<'_>) -> Result<String, SdJwtError> {
    let presented = sd_jwt.presented();
    let header = json!({ "alg": binding.alg, "typ": KB_TYP });
    let payload = json!({
        "aud": binding.aud, "iat": binding.iat.0, "nonce": binding.nonce, "sd_hash": hash(&presented),
    });
    let input = format!("{}.{}", encode(&header), encode(&payload));
    let signature = sign(input.as_bytes()).ok_or(SdJwtError::Signature)?;
    Ok(format!("{presented}{input}.{}", b64(&signature)))
}

/// Checks that `sd_jwt` is bound, by the holder's key, to this verifier, nonce, time and selection of disclosures.
///
/// # Errors
/// `Binding` if there is no key binding, `BindingMismatch`, `BindingTime`, `Signature`, or `Shape` if it does not parse.
pub fn verify_key_binding(
    sd_jwt: &SdJwt,
    expected: &ExpectedBinding<'_>,
    verify: HolderVerifier<'_>,
) -> Result<(), SdJwtError> {
    let jwt = sd_jwt.key_binding.as_deref().ok_or(SdJwtError::Binding)?;
    let (input, signature) = jwt.rsplit_once('.').ok_or(SdJwtError::Shape)?;
    let (header, payload) = input.split_once('.').ok_or(SdJwtError::Shape)?;
    let (header, payload) = (decode(header)?, decode(payload)?);
    let signature = unb64(signature).ok_or(SdJwtError::Shape)?;
    let alg = text(&header, "alg").ok_or(SdJwtError::Shape)?;
    // `crit` names extensions that we would have to understand; we know none.
    let typed = text(&header, "typ") == Some(KB_TYP) && !header.contains_key("crit");
    let bound = text(&payload, "aud") == Some(expected.aud)
        && text(&payload, "nonce") == Some(expected.nonce)
        && text(&payload, "sd_hash") == Some(hash(&sd_jwt.presented()).as_str());
    if !typed || !bound {
        return Err(SdJwtError::BindingMismatch);
    }
    let iat = payload.get("iat").and_then(Value::as_i64).ok_or(SdJwtError::Shape)?;
    if !Timestamp(iat).within(expected.now, expected.leeway) {
        return Err(SdJwtError::BindingTime);
    }
    let signed = alg != "none" && verify(alg, input.as_bytes(), &signature);
    if signed { Ok(()) } else { Err(SdJwtError::Signature) }
}

fn encode(value: &Value) -> String {
    let mut out = Vec::new();
    write_sorted(value, &mut out);
    b64(&out)
}

fn decode(part: &str) -> Result<Map<String, Value>, SdJwtError> {
    let json = unb64(part).ok_or(SdJwtError::Shape)?;
    serde_json::from_slice(&json).map_err(|_| SdJwtError::Shape)
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name).and_then(Value::as_str)
}
