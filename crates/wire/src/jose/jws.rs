//! JWS compact serialisation (RFC 7515 section 7.1): read, verify, and write in two steps, since nodes sign by threshold.

use super::{Alg, JoseError, Jwk, Signer, strict_json, strict_value};
use hufu_kernel::{b64, unb64};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest compact JWS that is read, in bytes.
pub const MAX_JWS: usize = 64 * 1024;

/// The longest header that is read, in bytes of base64url.
const MAX_HEADER: usize = 16 * 1024;

/// The protected header. Members that are not here are ignored (RFC 7515 section 4); `jku`, `x5u` and the like are never
/// followed, and [`Header::jwk`] is used by DPoP alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// `alg`.
    pub alg: Alg,
    /// `typ`; compare with [`Header::is_typ`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// `cty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cty: Option<String>,
    /// `kid`: a hint for choosing among keys already trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// `jwk`, unread: the signer's own claim about its key, which proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwk: Option<Value>,
    /// `x5c`: certificates, base64 DER; trusted only after a path check elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x5c: Option<Vec<String>>,
}

impl Header {
    /// A header with this algorithm alone.
    #[must_use]
    pub fn new(alg: Alg) -> Self {
        Self { alg, typ: None, cty: None, kid: None, jwk: None, x5c: None }
    }

    /// With `typ`.
    #[must_use]
    pub fn typ(mut self, typ: &str) -> Self {
        self.typ = Some(typ.to_owned());
        self
    }

    /// With `kid`.
    #[must_use]
    pub fn kid(mut self, kid: &str) -> Self {
        self.kid = Some(kid.to_owned());
        self
    }

    /// Whether `typ` is this media type, compared without case and with the `application/` prefix optional
    /// (RFC 7515 section 4.1.9).
    #[must_use]
    pub fn is_typ(&self, expected: &str) -> bool {
        fn short(typ: &str) -> String {
            let lower = typ.to_ascii_lowercase();
            match lower.strip_prefix("application/") {
                Some(rest) if !rest.contains('/') => rest.to_owned(),
                _ => lower,
            }
        }
        self.typ.as_deref().is_some_and(|typ| short(typ) == short(expected))
    }
}

/// A parsed compact JWS whose signature has not been checked. Its payload is reached through [`verify`], or under the
/// name that says what it is: [`Compact::unverified`].
#[derive(Clone, PartialEq, Debug)]
pub struct Compact {
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
    signing_input: String,
}

impl Compact {
    /// Reads a compact JWS: three base64url parts without padding, one header object without duplicate members, no
    /// `crit`, no `b64`.
    ///
    /// # Errors
    /// [`JoseError::TooLarge`], [`JoseError::Compact`], [`JoseError::Json`], [`JoseError::Extension`],
    /// [`JoseError::AlgNotAllowed`].
    pub fn parse(text: &str) -> Result<Self, JoseError> {
        if text.len() > MAX_JWS {
            return Err(JoseError::TooLarge);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JoseError::Compact);
        };
        if header.len() > MAX_HEADER {
            return Err(JoseError::TooLarge);
        }
        let signing_input = text[..header.len() + 1 + payload.len()].to_owned();
        let part = |part: &str| unb64(part).ok_or(JoseError::Compact);
        let (header, payload, signature) = (part(header)?, part(payload)?, part(signature)?);
        if signature.is_empty() {
            return Err(JoseError::Compact);
        }
        Ok(Self { header: parse_header(&header)?, payload, signature, signing_input })
    }

    /// The header, unverified like all the rest until [`verify`].
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The text that is signed: header part, a full stop, payload part.
    #[must_use]
    pub fn signing_input(&self) -> &str {
        &self.signing_input
    }

    /// The signature in its JOSE form.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The payload before any check: only to find out whose key to verify with.
    #[must_use]
    pub fn unverified(&self) -> Payload<'_> {
        Payload(&self.payload)
    }
}

fn parse_header(json: &[u8]) -> Result<Header, JoseError> {
    let value = strict_value(json)?;
    let members = value.as_object().ok_or_else(|| JoseError::Json("the header is an object".into()))?;
    for extension in ["crit", "b64"] {
        if members.contains_key(extension) {
            return Err(JoseError::Extension(extension));
        }
    }
    match members.get("alg") {
        Some(alg) if Alg::deserialize(alg).is_ok() => {}
        Some(Value::String(_)) => return Err(JoseError::AlgNotAllowed),
        _ => return Err(JoseError::Json("alg is missing".into())),
    }
    Header::deserialize(&value).map_err(|error| JoseError::Json(error.to_string()))
}

/// A payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload<'a>(&'a [u8]);

impl<'a> Payload<'a> {
    /// The bytes that were signed.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The payload read as JSON without duplicate members.
    ///
    /// # Errors
    /// [`JoseError::Json`].
    pub fn json<T: DeserializeOwned>(self) -> Result<T, JoseError> {
        strict_json(self.0)
    }
}

/// Verifies `jws` under a key that the caller already trusts. The header's `alg` must be among `allowed` and fit the
/// key's type, `alg` and `use` (RFC 8725 sections 3.1 and 3.2); keys named by the header are never used.
///
/// # Errors
/// [`JoseError::AlgNotAllowed`], [`JoseError::KeyMismatch`], [`JoseError::BadSignature`].
pub fn verify<'a>(jws: &'a Compact, key: &Jwk, allowed: &[Alg]) -> Result<Payload<'a>, JoseError> {
    let alg = jws.header.alg;
    if !allowed.contains(&alg) {
        return Err(JoseError::AlgNotAllowed);
    }
    if !key.fits(alg) {
        return Err(JoseError::KeyMismatch);
    }
    key.key.verify(alg, jws.signing_input.as_bytes(), &jws.signature)?;
    Ok(Payload(&jws.payload))
}

/// The text to be signed for `header` and `payload`, members in the order their types declare.
///
/// # Errors
/// [`JoseError::Json`] if the payload has no JSON form.
pub fn signing_input(header: &Header, payload: &impl Serialize) -> Result<String, JoseError> {
    let refuse = |error: serde_json::Error| JoseError::Json(error.to_string());
    let header = serde_json::to_string(header).map_err(refuse)?;
    Ok(signing_input_bytes(&header, &serde_json::to_string(payload).map_err(refuse)?))
}

/// The text to be signed for exactly these bytes: two nodes that agree on both texts sign the same input.
#[must_use]
pub fn signing_input_bytes(header_json: &str, payload_json: &str) -> String {
    format!("{}.{}", b64(header_json.as_bytes()), b64(payload_json.as_bytes()))
}

/// The compact serialisation of a signing input and its signature in JOSE form.
#[must_use]
pub fn assemble(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", b64(signature))
}

/// Signs `payload` with a key at hand; `header.alg` is set to the signer's.
///
/// # Errors
/// [`JoseError::Json`], or [`JoseError::Sign`] if the signer fails.
pub fn sign(signer: &dyn Signer, header: Header, payload: &impl Serialize) -> Result<String, JoseError> {
    let input = signing_input(&Header { alg: signer.alg(), ..header }, payload)?;
    let signature = signer.sign(input.as_bytes())?;
    Ok(assemble(&input, &signature))
}
