//! The relying party's side of WebAuthn Level 3: what a node checks itself of every device assertion (section 7.2) and of
//! a new device (section 7.1), and a software authenticator that makes real bytes.

mod assertion;
mod authenticator_data;
mod client_data;
mod registration;
mod soft_device;

pub use assertion::{Assertion, check};
pub use authenticator_data::{Attested, AuthenticatorData, Flags};
pub use registration::{NewDevice, Registration, register};
pub use soft_device::SoftDevice;

use crate::cose::{self, CoseError};
use crate::jose::{Alg, PublicKey, der_to_raw, verify_ed25519, verify_es256};
use hufu_kernel::{Bytes, Octets, Refusal};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};

/// The longest credential id (section 4, "Credential ID").
pub const MAX_CREDENTIAL_ID: usize = 1023;

/// The longest client data and authenticator data that are read, in bytes; real ones stay below a tenth of it.
pub const MAX_PART: usize = 8 * 1024;

/// The index under which a node finds a device: SHA-256 of its credential id (flows 4).
#[must_use]
pub fn credential_hash(credential_id: &[u8]) -> Octets<32> {
    Octets(Sha256::digest(credential_id).into())
}

/// A device's public key: ES256 or EdDSA. In JSON its canonical COSE_Key, base64url.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DeviceKey {
    key: PublicKey,
    alg: Alg,
}

impl DeviceKey {
    /// Reads a COSE_Key.
    ///
    /// # Errors
    /// [`CoseError`].
    pub fn from_cose(bytes: &[u8]) -> Result<Self, CoseError> {
        cose::parse_key(bytes).map(|(key, alg)| Self { key, alg })
    }

    /// The canonical COSE_Key.
    #[must_use]
    pub fn to_cose(&self) -> Vec<u8> {
        // A device key is never RSA, the one kind without an encoding.
        cose::encode_key(&self.key).unwrap_or_default()
    }

    /// The algorithm.
    #[must_use]
    pub fn alg(&self) -> Alg {
        self.alg
    }

    /// The key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Verifies an assertion signature: DER for ES256 (section 6.5.5), 64 bytes for EdDSA.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match (self.key.as_p256(), self.key.as_ed25519()) {
            (Some(point), _) => der_to_raw(signature).is_ok_and(|raw| verify_es256(point, message, &raw).is_ok()),
            (_, Some(key)) => verify_ed25519(key, message, signature).is_ok(),
            _ => false,
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for DeviceKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DeviceKey".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        hufu_kernel::schema_of(serde_json::json!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]+$",
            "contentEncoding": "base64url",
            "description": "A device's public key: its canonical COSE_Key (RFC 9052 section 7), ES256 or EdDSA.",
        }))
    }
}

impl Serialize for DeviceKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes(self.to_cose()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DeviceKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_cose(&Bytes::deserialize(deserializer)?.0).map_err(D::Error::custom)
    }
}

/// What the signer must have seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expectation<'a> {
    /// The RP ID: the wallet's own site.
    pub rp_id: &'a str,
    /// The wallet's origin, compared byte by byte.
    pub origin: &'a str,
    /// The challenge that the checker computed itself (flows 4).
    pub challenge: &'a [u8; 32],
    /// Whether user verification (PIN, fingerprint, face) is required. Always true outside tests of this crate.
    pub require_uv: bool,
}

/// What the authenticator says about itself; for rules and counts, not for trust.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// UP.
    pub user_present: bool,
    /// UV.
    pub user_verified: bool,
    /// BE: the key may be synchronised. Section 7.2 has the caller compare it with what registration said.
    pub backup_eligible: bool,
    /// BS: the key is synchronised now.
    pub backup_state: bool,
    /// The signature counter; 0 where the authenticator has none.
    pub sign_count: u32,
}

/// Which step of WebAuthn Level 3 section 7.2 (for a registration: 7.1) refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssertionError {
    /// The credential id is empty or above 1023 bytes.
    #[error("the credential id has no valid length")]
    CredentialId,
    /// The client data is too long, not UTF-8 JSON, or names a member twice.
    #[error("the client data does not parse")]
    ClientData,
    /// `type` is not the ceremony's.
    #[error("the client data is of another type")]
    Type,
    /// `challenge` is another.
    #[error("the challenge is another")]
    Challenge,
    /// `origin` is another.
    #[error("the origin is another")]
    Origin,
    /// `crossOrigin` is true, or no boolean.
    #[error("the ceremony ran in a frame of another site")]
    CrossOrigin,
    /// `topOrigin` is present.
    #[error("the ceremony ran under another top-level site")]
    TopOrigin,
    /// The authenticator data ends early, has trailing bytes, or contradicts its own AT and ED flags.
    #[error("the authenticator data does not parse")]
    AuthenticatorData,
    /// `rpIdHash` is another site's.
    #[error("the RP ID is another")]
    RpId,
    /// UP is not set.
    #[error("the user was not present")]
    UserPresence,
    /// UV is required and not set.
    #[error("the user was not verified")]
    UserVerification,
    /// BS without BE.
    #[error("the backup flags contradict each other")]
    BackupFlags,
    /// The signature does not verify, or is no strict DER.
    #[error("the signature does not verify")]
    Signature,
    /// The attestation object does not parse, or `none` came with a statement.
    #[error("the attestation object does not parse")]
    AttestationObject,
    /// The new key is neither ES256 nor EdDSA, or malformed.
    #[error("the device key is refused")]
    DeviceKey,
}

impl From<AssertionError> for Refusal {
    /// Only a wrong challenge has a code of its own: its cause lies with the caller's inputs, not with the device.
    fn from(step: AssertionError) -> Self {
        match step {
            AssertionError::Challenge => Self::ChallengeMismatch,
            _ => Self::AssertionInvalid,
        }
    }
}
