//! JSON Object Signing: JWS compact serialisation (RFC 7515), JWK (RFC 7517, 7638), the algorithms of RFC 7518 and
//! RFC 8037 that we accept, and JWT claims (RFC 7519) under the best current practice of RFC 8725.

mod jwk;
mod jws;
mod jwt;
mod key;
mod primitive;
mod strict;

pub use jwk::{Jwk, Jwks, KeyUse, PublicKey};
pub use jws::{Compact, Header, MAX_JWS, Payload, assemble, sign, signing_input, signing_input_bytes, verify};
pub use jwt::{Audience, Claims, NumericDate};
#[cfg(feature = "native")]
pub use key::RsaKey;
pub use key::{SignError, Signer, SoftKey};
pub use primitive::raw_to_der;
pub(crate) use primitive::{der_to_raw, verify_ed25519, verify_es256};
pub use strict::{strict_json, strict_value};

use serde::{Deserialize, Serialize};

/// A signature algorithm. There is no `none` and no HMAC: such headers do not parse.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Alg {
    /// Ed25519 under its RFC 8037 name.
    EdDSA,
    /// ECDSA with P-256 and SHA-256 (RFC 7518 section 3.4).
    ES256,
    /// RSASSA-PSS with SHA-256 and a 32-byte salt (RFC 7518 section 3.5). Needs feature `native`.
    PS256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3), for outside judges only. Needs feature `native`.
    RS256,
}

impl Alg {
    /// The JOSE name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDSA => "EdDSA",
            Self::ES256 => "ES256",
            Self::PS256 => "PS256",
            Self::RS256 => "RS256",
        }
    }
}

/// Why a JOSE object was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JoseError {
    /// Longer than [`MAX_JWS`], or a number or string outside its limits.
    #[error("the object is too large")]
    TooLarge,
    /// Not three base64url parts without padding.
    #[error("not a JWS in compact serialisation")]
    Compact,
    /// Not one JSON value of the expected shape, or an object names a member twice.
    #[error("JSON refused: {0}")]
    Json(String),
    /// A `crit` or `b64` header: we know no extension (RFC 7515 section 4.1.11, RFC 7797).
    #[error("header parameter {0} is refused")]
    Extension(&'static str),
    /// The header's `alg` is none of ours, or not among those allowed here.
    #[error("the algorithm is not allowed here")]
    AlgNotAllowed,
    /// The key's type, `alg` or `use` does not fit the header's `alg`.
    #[error("the key does not fit the algorithm")]
    KeyMismatch,
    /// The key is malformed, off its curve, weak, or of a size outside 2048 to 8192 bits.
    #[error("the key is refused: {0}")]
    BadKey(&'static str),
    /// A private member in a place for public keys.
    #[error("a private key stands where a public one belongs")]
    PrivateKey,
    /// No key, or more than one, answers to the header.
    #[error("no single key answers to the header")]
    NoKey,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    BadSignature,
    /// This build cannot compute the algorithm (RSA without feature `native`).
    #[error("this build has no RSA")]
    Unsupported,
    /// The key at hand gave no signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A claim is missing or of another type.
    #[error("claim {0} is missing or malformed")]
    Claim(&'static str),
}
