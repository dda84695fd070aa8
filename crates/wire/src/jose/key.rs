//! Signing keys in process memory. Offices' long-lived keys come through `kernel::KeyStore`; these are for clients,
//! platforms, one-key mode and tests.

use super::jwk::public_key;
use super::{Alg, JoseError, Jwk, KeyUse, PublicKey, strict_value};
use hufu_kernel::{Rng, b64, random, unb64};
use p256::ecdsa::signature::Signer as _;
use serde_json::{Value, json};
use std::fmt;
use zeroize::Zeroizing;

/// Why a signer gave no signature.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("signing failed: {0}")]
pub struct SignError(pub String);

/// Whatever signs: a key in memory, in an HSM, at another office.
pub trait Signer: Send + Sync {
    /// The algorithm.
    fn alg(&self) -> Alg;
    /// The key's `kid`.
    fn kid(&self) -> &str;
    /// The signature over `message` in its JOSE form.
    ///
    /// # Errors
    /// [`SignError`] if the key's device fails.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// An ES256 or EdDSA private key. Wiped on drop, never printed.
pub struct SoftKey {
    secret: Secret,
    #[cfg(feature = "native")]
    native: native::Key,
    public: Jwk,
    kid: String,
}

enum Secret {
    P256(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl Secret {
    fn from_bytes(alg: Alg, bytes: &[u8; 32]) -> Result<Self, JoseError> {
        match alg {
            Alg::ES256 => p256::ecdsa::SigningKey::from_slice(bytes)
                .map(Self::P256)
                .map_err(|_| JoseError::BadKey("not a P-256 scalar")),
            Alg::EdDSA => Ok(Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(bytes))),
            Alg::PS256 | Alg::RS256 => Err(JoseError::KeyMismatch),
        }
    }

    fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(match self {
            Self::P256(key) => key.to_bytes().into(),
            Self::Ed25519(key) => key.to_bytes(),
        })
    }

    fn public(&self) -> Result<PublicKey, JoseError> {
        match self {
            Self::P256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                PublicKey::p256(point.as_bytes().try_into().map_err(|_| JoseError::BadKey("the point at infinity"))?)
            }
            Self::Ed25519(key) => PublicKey::ed25519(key.verifying_key().to_bytes()),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}

impl SoftKey {
    /// A fresh key for [`Alg::ES256`] or [`Alg::EdDSA`]; its `kid` is its thumbprint.
    ///
    /// # Errors
    /// [`JoseError::KeyMismatch`] for the RSA algorithms.
    pub fn generate(alg: Alg, rng: &dyn Rng) -> Result<Self, JoseError> {
        // One draw in 2^32 is not a P-256 scalar; the bound only keeps a broken generator from looping.
        for _ in 0..8 {
            let bytes = Zeroizing::new(random::<32>(rng));
            match Secret::from_bytes(alg, &bytes) {
                Ok(secret) => return Self::new(secret, None),
                Err(JoseError::BadKey(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(JoseError::BadKey("the generator gives no scalar"))
    }

    fn new(secret: Secret, kid: Option<String>) -> Result<Self, JoseError> {
        let key = secret.public()?;
        let alg = match secret {
            Secret::P256(_) => Alg::ES256,
            Secret::Ed25519(_) => Alg::EdDSA,
        };
        let bare = Jwk::bare(key.clone());
        let kid = kid.unwrap_or_else(|| bare.thumbprint());
        let public = Jwk { kid: Some(kid.clone()), alg: Some(alg), key_use: Some(KeyUse::Sig), ..bare };
        Ok(Self {
            #[cfg(feature = "native")]
            native: native::Key::new(&secret.to_bytes(), &key)?,
            secret,
            public,
            kid,
        })
    }

    /// Reads a private JWK (`d` present). The public members must belong to it; `alg`, if given, must fit.
    ///
    /// # Errors
    /// [`JoseError::Json`], [`JoseError::BadKey`], [`JoseError::KeyMismatch`].
    pub fn from_private_jwk(text: &[u8]) -> Result<Self, JoseError> {
        let value = strict_value(text)?;
        let members = value.as_object().ok_or_else(|| JoseError::Json("a JWK is an object".into()))?;
        let key = public_key(members)?;
        let alg = if key.fits(Alg::EdDSA) { Alg::EdDSA } else { Alg::ES256 };
        if members.get("alg").is_some_and(|own| own.as_str() != Some(alg.name())) || !key.fits(alg) {
            return Err(JoseError::KeyMismatch);
        }
        let d = members.get("d").and_then(Value::as_str).and_then(unb64).map(Zeroizing::new);
        let d: Option<Zeroizing<[u8; 32]>> = d.and_then(|d| d.as_slice().try_into().ok().map(Zeroizing::new));
        let secret = Secret::from_bytes(alg, &*d.ok_or(JoseError::BadKey("d"))?)?;
        if secret.public()? != key {
            return Err(JoseError::BadKey("d does not belong to the public members"));
        }
        Self::new(secret, members.get("kid").and_then(Value::as_str).map(str::to_owned))
    }

    /// The private JWK, for a platform's key file.
    #[must_use]
    pub fn to_private_jwk(&self) -> Zeroizing<String> {
        let mut value = json!(self.public);
        value["d"] = Value::String(b64(&*self.secret.to_bytes()));
        Zeroizing::new(value.to_string())
    }

    /// With another `kid`.
    #[must_use]
    pub fn with_kid(mut self, kid: &str) -> Self {
        self.kid = kid.to_owned();
        self.public.kid = Some(kid.to_owned());
        self
    }

    /// The public JWK with `kid`, `alg` and `use`.
    #[must_use]
    pub fn public(&self) -> &Jwk {
        &self.public
    }

    /// A deterministic signature (RFC 6979, RFC 8032) by RustCrypto whatever the features: for vectors.
    #[must_use]
    pub fn sign_deterministic(&self, message: &[u8]) -> Vec<u8> {
        self.secret.sign(message)
    }
}

impl fmt::Debug for SoftKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Signer for SoftKey {
    fn alg(&self) -> Alg {
        if matches!(self.secret, Secret::P256(_)) { Alg::ES256 } else { Alg::EdDSA }
    }

    fn kid(&self) -> &str {
        &self.kid
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        #[cfg(feature = "native")]
        return self.native.sign(message);
        #[cfg(not(feature = "native"))]
        Ok(self.secret.sign(message))
    }
}

#[cfg(feature = "native")]
pub use native::RsaKey;

#[cfg(feature = "native")]
mod native {
    use super::{Alg, JoseError, Jwk, KeyUse, PublicKey, SignError, Signer};
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair};
    use std::fmt;
    use zeroize::Zeroizing;

    pub(super) enum Key {
        // Boxed: the pairs differ much in size.
        P256(Box<EcdsaKeyPair>),
        Ed25519(Box<Ed25519KeyPair>),
    }

    impl Key {
        pub(super) fn new(secret: &[u8; 32], public: &PublicKey) -> Result<Self, JoseError> {
            let refused = |_| JoseError::BadKey("aws-lc refuses the pair");
            if let Some(point) = public.as_p256() {
                EcdsaKeyPair::from_private_key_and_public_key(
                    &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                    secret,
                    point,
                )
                .map(|pair| Self::P256(Box::new(pair)))
                .map_err(refused)
            } else {
                Ed25519KeyPair::from_seed_unchecked(secret).map(|pair| Self::Ed25519(Box::new(pair))).map_err(refused)
            }
        }

        pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
            match self {
                Self::P256(pair) => pair.sign(&SystemRandom::new(), message).map(|made| made.as_ref().to_vec()),
                Self::Ed25519(pair) => pair.try_sign(message).map(|made| made.as_ref().to_vec()),
            }
            .map_err(|_| SignError("aws-lc gave no signature".into()))
        }
    }

    /// An RSA private key for clients that cannot take anything newer: PS256, or RS256 for outside judges.
    pub struct RsaKey {
        pair: RsaKeyPair,
        alg: Alg,
        public: Jwk,
        kid: String,
    }

    impl RsaKey {
        /// A fresh 2048-bit key; takes seconds. Its randomness is aws-lc's own, which takes no other.
        ///
        /// # Errors
        /// [`JoseError::KeyMismatch`] unless `alg` is PS256 or RS256; [`JoseError::BadKey`] if generation fails.
        pub fn generate(alg: Alg) -> Result<Self, JoseError> {
            let pair =
                RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| JoseError::BadKey("RSA generation failed"))?;
            Self::new(pair, alg)
        }

        /// Reads an unencrypted PKCS#8 DER key.
        ///
        /// # Errors
        /// [`JoseError::BadKey`], or [`JoseError::KeyMismatch`] unless `alg` is PS256 or RS256.
        pub fn from_pkcs8(der: &[u8], alg: Alg) -> Result<Self, JoseError> {
            Self::new(RsaKeyPair::from_pkcs8(der).map_err(|_| JoseError::BadKey("not an RSA key in PKCS#8"))?, alg)
        }

        /// The key as PKCS#8 DER.
        ///
        /// # Errors
        /// [`JoseError::BadKey`] if the library gives no encoding.
        pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, JoseError> {
            let der: Pkcs8V1Der<'static> = self.pair.as_der().map_err(|_| JoseError::BadKey("no PKCS#8 encoding"))?;
            Ok(Zeroizing::new(der.as_ref().to_vec()))
        }

        fn new(pair: RsaKeyPair, alg: Alg) -> Result<Self, JoseError> {
            if !matches!(alg, Alg::PS256 | Alg::RS256) {
                return Err(JoseError::KeyMismatch);
            }
            let public = pair.public_key();
            let (n, e) = (public.modulus(), public.exponent());
            let bare = Jwk::bare(PublicKey::rsa(
                n.big_endian_without_leading_zero().to_vec(),
                e.big_endian_without_leading_zero().to_vec(),
            )?);
            let kid = bare.thumbprint();
            let public = Jwk { kid: Some(kid.clone()), alg: Some(alg), key_use: Some(KeyUse::Sig), ..bare };
            Ok(Self { pair, alg, public, kid })
        }

        /// The public JWK with `kid`, `alg` and `use`.
        #[must_use]
        pub fn public(&self) -> &Jwk {
            &self.public
        }
    }

    impl fmt::Debug for RsaKey {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("RsaKey").field("kid", &self.kid).finish_non_exhaustive()
        }
    }

    impl Signer for RsaKey {
        fn alg(&self) -> Alg {
            self.alg
        }

        fn kid(&self) -> &str {
            &self.kid
        }

        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
            let padding: &'static dyn RsaEncoding = match self.alg {
                Alg::PS256 => &signature::RSA_PSS_SHA256,
                _ => &signature::RSA_PKCS1_SHA256,
            };
            let mut made = vec![0; self.pair.public_modulus_len()];
            self.pair
                .sign(padding, &SystemRandom::new(), message, &mut made)
                .map_err(|_| SignError("aws-lc gave no signature".into()))?;
            Ok(made)
        }
    }
}
