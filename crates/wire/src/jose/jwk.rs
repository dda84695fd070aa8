//! Public keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037 section 2) and their thumbprints (RFC 7638).

use super::primitive::{RsaPadding, Sec1, check_ed25519, check_p256, verify_ed25519, verify_es256, verify_rsa};
use super::{Alg, Compact, JoseError, Payload};
use hufu_kernel::{b64, unb64};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The members that only private or symmetric keys have (RFC 7518 sections 6.2.2, 6.3.2, 6.4; RFC 8037 section 2).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The key itself. A value exists only if its bytes passed the checks of its constructor.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PublicKey(Kind);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Ed25519([u8; 32]),
    P256(Sec1),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl PublicKey {
    /// An Ed25519 key (RFC 8032 encoding).
    ///
    /// # Errors
    /// [`JoseError::BadKey`] for no point, or one of small order.
    pub fn ed25519(bytes: [u8; 32]) -> Result<Self, JoseError> {
        check_ed25519(&bytes)?;
        Ok(Self(Kind::Ed25519(bytes)))
    }

    /// A P-256 key, 0x04 ‖ x ‖ y.
    ///
    /// # Errors
    /// [`JoseError::BadKey`] if it is not an uncompressed point of the curve.
    pub fn p256(sec1: [u8; 65]) -> Result<Self, JoseError> {
        check_p256(&sec1)?;
        Ok(Self(Kind::P256(sec1)))
    }

    /// An RSA key: big-endian modulus and exponent without leading zeros.
    ///
    /// # Errors
    /// [`JoseError::BadKey`] for an even modulus, one outside 2048 to 8192 bits, or an exponent that is even, below
    /// 65537 or above four bytes.
    pub fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, JoseError> {
        if !(256..=1024).contains(&n.len()) || n[0] < if n.len() == 256 { 0x80 } else { 1 } || n[n.len() - 1] & 1 == 0 {
            return Err(JoseError::BadKey("RSA modulus"));
        }
        let exponent = e.iter().fold(0_u64, |acc, byte| (acc << 8) | u64::from(*byte));
        if e.len() > 4 || e.first() == Some(&0) || exponent < 65_537 || exponent & 1 == 0 {
            return Err(JoseError::BadKey("RSA exponent"));
        }
        Ok(Self(Kind::Rsa { n, e }))
    }

    /// The Ed25519 bytes, if it is such a key.
    #[must_use]
    pub fn as_ed25519(&self) -> Option<&[u8; 32]> {
        match &self.0 {
            Kind::Ed25519(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The uncompressed SEC1 point, if it is a P-256 key.
    #[must_use]
    pub fn as_p256(&self) -> Option<&[u8; 65]> {
        match &self.0 {
            Kind::P256(sec1) => Some(sec1),
            _ => None,
        }
    }

    /// Whether a signature of this algorithm can be made with this type of key.
    #[must_use]
    pub fn fits(&self, alg: Alg) -> bool {
        matches!(
            (&self.0, alg),
            (Kind::Ed25519(_), Alg::EdDSA) | (Kind::P256(_), Alg::ES256) | (Kind::Rsa { .. }, Alg::PS256 | Alg::RS256)
        )
    }

    /// Verifies a signature in its JOSE form over `message`.
    ///
    /// # Errors
    /// [`JoseError::KeyMismatch`], [`JoseError::BadSignature`], or [`JoseError::Unsupported`] for RSA without `native`.
    pub fn verify(&self, alg: Alg, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        match (&self.0, alg) {
            (Kind::Ed25519(key), Alg::EdDSA) => verify_ed25519(key, message, signature),
            (Kind::P256(key), Alg::ES256) => verify_es256(key, message, signature),
            (Kind::Rsa { n, e }, Alg::PS256) => verify_rsa(RsaPadding::Pss, (n, e), message, signature),
            (Kind::Rsa { n, e }, Alg::RS256) => verify_rsa(RsaPadding::Pkcs1, (n, e), message, signature),
            _ => Err(JoseError::KeyMismatch),
        }
    }

    /// The required members in the lexicographic order of RFC 7638 section 3.
    fn members(&self) -> Vec<(&'static str, String)> {
        match &self.0 {
            Kind::Ed25519(x) => vec![("crv", "Ed25519".into()), ("kty", "OKP".into()), ("x", b64(x))],
            Kind::P256(sec1) => {
                vec![("crv", "P-256".into()), ("kty", "EC".into()), ("x", b64(&sec1[1..33])), ("y", b64(&sec1[33..]))]
            }
            Kind::Rsa { n, e } => vec![("e", b64(e)), ("kty", "RSA".into()), ("n", b64(n))],
        }
    }
}

/// The `use` of a key (RFC 7517 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyUse {
    /// Signatures.
    Sig,
    /// Encryption; never verifies anything here.
    Enc,
}

/// A public JWK. Unknown members are ignored when read, private ones refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Jwk {
    /// The key.
    pub key: PublicKey,
    /// `kid`.
    pub kid: Option<String>,
    /// `alg`: the one algorithm the key may be used with.
    pub alg: Option<Alg>,
    /// `use`.
    pub key_use: Option<KeyUse>,
}

impl Jwk {
    /// A JWK that says no more than the key.
    #[must_use]
    pub fn bare(key: PublicKey) -> Self {
        Self { key, kid: None, alg: None, key_use: None }
    }

    /// The SHA-256 thumbprint (RFC 7638), base64url: DPoP's `jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // No member needs escaping: all are base64url or fixed names.
        let members: Vec<_> =
            self.key.members().iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        b64(&Sha256::digest(format!("{{{}}}", members.join(","))))
    }

    /// Whether this key may verify a header with this `alg`: its type fits, and its own `alg` and `use` agree.
    #[must_use]
    pub fn fits(&self, alg: Alg) -> bool {
        self.key.fits(alg) && self.alg.is_none_or(|own| own == alg) && self.key_use != Some(KeyUse::Enc)
    }

    /// Reads a JWK from JSON text; refuses duplicate members.
    ///
    /// # Errors
    /// [`JoseError::Json`], [`JoseError::PrivateKey`], [`JoseError::BadKey`].
    pub fn from_json(text: &[u8]) -> Result<Self, JoseError> {
        Self::from_value(&super::strict_value(text)?)
    }

    /// Reads a JWK from a parsed value.
    ///
    /// # Errors
    /// [`JoseError::Json`], [`JoseError::PrivateKey`], [`JoseError::BadKey`].
    pub fn from_value(value: &Value) -> Result<Self, JoseError> {
        let members = value.as_object().ok_or_else(|| JoseError::Json("a JWK is an object".into()))?;
        if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
            return Err(JoseError::PrivateKey);
        }
        Ok(Self {
            key: public_key(members)?,
            kid: optional(members, "kid")?,
            alg: optional(members, "alg")?,
            key_use: optional(members, "use")?,
        })
    }
}

fn optional<T: serde::de::DeserializeOwned>(members: &Map<String, Value>, name: &str) -> Result<Option<T>, JoseError> {
    let Some(value) = members.get(name) else { return Ok(None) };
    T::deserialize(value).map(Some).map_err(|error| JoseError::Json(format!("{name}: {error}")))
}

fn text<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, JoseError> {
    members.get(name).and_then(Value::as_str).ok_or(JoseError::BadKey(name))
}

fn octets<const N: usize>(members: &Map<String, Value>, name: &'static str) -> Result<[u8; N], JoseError> {
    unb64(text(members, name)?).and_then(|bytes| bytes.try_into().ok()).ok_or(JoseError::BadKey(name))
}

pub(super) fn public_key(members: &Map<String, Value>) -> Result<PublicKey, JoseError> {
    match text(members, "kty")? {
        "OKP" if text(members, "crv")? == "Ed25519" => PublicKey::ed25519(octets(members, "x")?),
        "EC" if text(members, "crv")? == "P-256" => {
            let (x, y): ([u8; 32], [u8; 32]) = (octets(members, "x")?, octets(members, "y")?);
            let mut sec1 = [4; 65];
            sec1[1..33].copy_from_slice(&x);
            sec1[33..].copy_from_slice(&y);
            PublicKey::p256(sec1)
        }
        "RSA" => {
            let part = |name| text(members, name).and_then(|value| unb64(value).ok_or(JoseError::BadKey(name)));
            PublicKey::rsa(part("n")?, part("e")?)
        }
        _ => Err(JoseError::BadKey("kty or crv is none of ours")),
    }
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let optional = [
            ("kid", self.kid.as_deref()),
            ("alg", self.alg.map(Alg::name)),
            ("use", self.key_use.map(|key_use| if key_use == KeyUse::Sig { "sig" } else { "enc" })),
        ];
        let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned())));
        serializer.collect_map(self.key.members().into_iter().chain(optional))
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A JWK Set (RFC 7517 section 5). Keys of kinds we do not know are left out when it is read; a private key anywhere
/// refuses the whole set.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Jwks {
    /// The keys.
    pub keys: Vec<Jwk>,
}

impl Jwks {
    /// More keys than any party needs; a bound on the work of one look-up.
    pub const MAX_KEYS: usize = 64;

    /// Reads a set from JSON text; refuses duplicate members.
    ///
    /// # Errors
    /// [`JoseError::Json`], [`JoseError::PrivateKey`], [`JoseError::TooLarge`] above [`Jwks::MAX_KEYS`].
    pub fn from_json(text: &[u8]) -> Result<Self, JoseError> {
        Self::from_value(&super::strict_value(text)?)
    }

    fn from_value(value: &Value) -> Result<Self, JoseError> {
        let listed = value.get("keys").and_then(Value::as_array).ok_or_else(|| JoseError::Json("no keys".into()))?;
        if listed.len() > Self::MAX_KEYS {
            return Err(JoseError::TooLarge);
        }
        let mut keys = Vec::with_capacity(listed.len());
        for item in listed {
            match Jwk::from_value(item) {
                Ok(key) => keys.push(key),
                Err(JoseError::PrivateKey) => return Err(JoseError::PrivateKey),
                Err(_) => {}
            }
        }
        Ok(Self { keys })
    }

    /// The one key that answers to `kid` and fits `alg`; without a `kid`, the only key that fits.
    ///
    /// # Errors
    /// [`JoseError::NoKey`] if none or several do.
    pub fn select(&self, kid: Option<&str>, alg: Alg) -> Result<&Jwk, JoseError> {
        let answers = |key: &&Jwk| key.fits(alg) && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid));
        let mut found = self.keys.iter().filter(answers);
        match (found.next(), found.next()) {
            (Some(key), None) => Ok(key),
            _ => Err(JoseError::NoKey),
        }
    }

    /// Verifies `jws` under the key its header selects.
    ///
    /// # Errors
    /// As [`super::verify`], and [`JoseError::NoKey`].
    pub fn verify<'a>(&self, jws: &'a Compact, allowed: &[Alg]) -> Result<Payload<'a>, JoseError> {
        super::verify(jws, self.select(jws.header().kid.as_deref(), jws.header().alg)?, allowed)
    }
}

impl<'de> Deserialize<'de> for Jwks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
