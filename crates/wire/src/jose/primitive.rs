//! Signature verification by the libraries. `rustcrypto` is always built (no C); with feature `native` aws-lc-rs answers
//! instead, and a test holds the two equal.

use super::JoseError;

/// The uncompressed SEC1 form of a P-256 point: 0x04 ‖ x ‖ y.
pub(crate) type Sec1 = [u8; 65];

/// A strict DER ECDSA signature as r ‖ s; both libraries then see the same 64 bytes.
pub(crate) fn der_to_raw(der: &[u8]) -> Result<[u8; 64], JoseError> {
    p256::ecdsa::Signature::from_der(der)
        .map(|signature| signature.to_bytes().into())
        .map_err(|_| JoseError::BadSignature)
}

/// r ‖ s as the DER that X.509, TLS and WebAuthn want; `None` where r or s is no signature's.
#[must_use]
pub fn raw_to_der(raw: &[u8]) -> Option<Vec<u8>> {
    p256::ecdsa::Signature::from_slice(raw).map(|signature| signature.to_der().as_bytes().to_vec()).ok()
}

/// ECDSA P-256 SHA-256 over `message`; `signature` is r ‖ s.
pub(crate) fn verify_es256(key: &Sec1, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
    #[cfg(feature = "native")]
    return native::es256(key, message, signature);
    #[cfg(not(feature = "native"))]
    rustcrypto::es256(key, message, signature)
}

/// Ed25519 over `message`. The key was checked against small order when it was parsed.
pub(crate) fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
    #[cfg(feature = "native")]
    return native::ed25519(key, message, signature);
    #[cfg(not(feature = "native"))]
    rustcrypto::ed25519(key, message, signature)
}

/// Which RSA padding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RsaPadding {
    Pss,
    Pkcs1,
}

/// RSA with SHA-256; `modulus` and `exponent` big-endian.
pub(super) fn verify_rsa(
    padding: RsaPadding,
    (modulus, exponent): (&[u8], &[u8]),
    message: &[u8],
    signature: &[u8],
) -> Result<(), JoseError> {
    #[cfg(feature = "native")]
    return native::rsa(padding, (modulus, exponent), message, signature);
    #[cfg(not(feature = "native"))]
    {
        let _ = (padding, modulus, exponent, message, signature);
        Err(JoseError::Unsupported)
    }
}

/// Refuses points that are not on the curve.
pub(super) fn check_p256(key: &Sec1) -> Result<(), JoseError> {
    p256::PublicKey::from_sec1_bytes(key).map(|_| ()).map_err(|_| JoseError::BadKey("not a point of P-256"))
}

/// Refuses encodings of no point and points of small order, under which one signature fits many messages.
pub(super) fn check_ed25519(key: &[u8; 32]) -> Result<(), JoseError> {
    let point =
        ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| JoseError::BadKey("not a point of Ed25519"))?;
    if point.is_weak() { Err(JoseError::BadKey("a point of small order")) } else { Ok(()) }
}

#[cfg(any(test, not(feature = "native")))]
mod rustcrypto {
    use super::{JoseError, Sec1};
    use p256::ecdsa::signature::Verifier as _;

    pub(super) fn es256(key: &Sec1, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| JoseError::BadSignature)?;
        let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| JoseError::BadSignature)?;
        key.verify(message, &signature).map_err(|_| JoseError::BadSignature)
    }

    pub(super) fn ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| JoseError::BadSignature)?;
        let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| JoseError::BadSignature)?;
        key.verify(message, &signature).map_err(|_| JoseError::BadSignature)
    }
}

#[cfg(feature = "native")]
mod native {
    use super::{JoseError, RsaPadding, Sec1};
    use aws_lc_rs::signature::{self, UnparsedPublicKey};

    pub(super) fn es256(key: &Sec1, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key)
            .verify(message, signature)
            .map_err(|_| JoseError::BadSignature)
    }

    pub(super) fn ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature).map_err(|_| JoseError::BadSignature)
    }

    pub(super) fn rsa(
        padding: RsaPadding,
        (n, e): (&[u8], &[u8]),
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), JoseError> {
        let parameters = match padding {
            RsaPadding::Pss => &signature::RSA_PSS_2048_8192_SHA256,
            RsaPadding::Pkcs1 => &signature::RSA_PKCS1_2048_8192_SHA256,
        };
        signature::RsaPublicKeyComponents { n, e }
            .verify(parameters, message, signature)
            .map_err(|_| JoseError::BadSignature)
    }
}

#[cfg(all(test, feature = "native"))]
mod tests;
