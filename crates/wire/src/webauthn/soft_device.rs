//! A software authenticator: ES256, user always verified, key held in memory. For robots, personas and tests; nodes treat
//! it like any other device.

use super::assertion::{Assertion, signed_bytes};
use super::{DeviceKey, Flags, Registration};
use crate::cose::Writer;
use crate::jose::{Alg, JoseError, SoftKey, raw_to_der, strict_json};
use hufu_kernel::{Bytes, Rng, b64, random};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// One credential of a software authenticator.
#[derive(Debug)]
pub struct SoftDevice {
    credential_id: Vec<u8>,
    key: SoftKey,
}

/// The saved form; `key` is a private JWK.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    credential_id: Bytes,
    key: String,
}

impl Drop for Saved {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// Chromium's order of members, which parsers of client data meet most.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientDataJson<'a> {
    r#type: &'a str,
    challenge: String,
    origin: &'a str,
    cross_origin: bool,
}

impl SoftDevice {
    /// A fresh credential with a random 32-byte id.
    ///
    /// # Errors
    /// [`JoseError::BadKey`] if the generator is broken.
    pub fn generate(rng: &dyn Rng) -> Result<Self, JoseError> {
        Ok(Self { credential_id: random::<32>(rng).to_vec(), key: SoftKey::generate(Alg::ES256, rng)? })
    }

    /// Reads what [`SoftDevice::save`] wrote.
    ///
    /// # Errors
    /// [`JoseError`] if it is anything else.
    pub fn load(json: &[u8]) -> Result<Self, JoseError> {
        let saved: Saved = strict_json(json)?;
        let key = SoftKey::from_private_jwk(saved.key.as_bytes())?;
        if key.public().alg != Some(Alg::ES256) {
            return Err(JoseError::KeyMismatch);
        }
        Ok(Self { credential_id: saved.credential_id.0.clone(), key })
    }

    /// The credential with its private key, as JSON.
    #[must_use]
    pub fn save(&self) -> Zeroizing<String> {
        let saved =
            Saved { credential_id: self.credential_id.clone().into(), key: self.key.to_private_jwk().to_string() };
        // Two strings always have a JSON form.
        Zeroizing::new(serde_json::to_string(&saved).unwrap_or_default())
    }

    /// The credential id.
    #[must_use]
    pub fn credential_id(&self) -> &[u8] {
        &self.credential_id
    }

    /// The public key.
    #[must_use]
    pub fn key(&self) -> DeviceKey {
        DeviceKey { key: self.key.public().key.clone(), alg: Alg::ES256 }
    }

    /// What `navigator.credentials.create` returns: attestation `none`, aaguid of zeros.
    #[must_use]
    pub fn create(&self, rp_id: &str, origin: &str, challenge: &[u8; 32]) -> Registration {
        let mut data = authenticator_data(rp_id, Flags::UP | Flags::UV | Flags::AT);
        data.extend_from_slice(&[0; 16]);
        // 32 bytes, or what was saved: at most 1023.
        data.extend_from_slice(&u16::try_from(self.credential_id.len()).unwrap_or(u16::MAX).to_be_bytes());
        data.extend_from_slice(&self.credential_id);
        data.extend_from_slice(&self.key().to_cose());
        let mut object = Writer::default();
        object.map(3).text("fmt").text("none").text("attStmt").map(0).text("authData").bytes(&data);
        Registration {
            client_data_json: client_data("webauthn.create", origin, challenge).into(),
            attestation_object: object.0.into(),
        }
    }

    /// What `navigator.credentials.get` returns.
    #[must_use]
    pub fn get(&self, rp_id: &str, origin: &str, challenge: &[u8; 32]) -> Assertion {
        self.sign(&authenticator_data(rp_id, Flags::UP | Flags::UV), &client_data("webauthn.get", origin, challenge))
    }

    /// Signs any two parts: what [`SoftDevice::get`] ends with, and how tests play a faulty authenticator or browser. The
    /// signature is deterministic.
    #[must_use]
    pub fn sign(&self, authenticator_data: &[u8], client_data_json: &[u8]) -> Assertion {
        let raw = self.key.sign_deterministic(&signed_bytes(authenticator_data, client_data_json));
        Assertion {
            credential_id: self.credential_id.as_slice().into(),
            authenticator_data: authenticator_data.into(),
            client_data_json: client_data_json.into(),
            signature: raw_to_der(&raw).unwrap_or_default().into(),
        }
    }
}

fn authenticator_data(rp_id: &str, flags: u8) -> Vec<u8> {
    let mut data = Sha256::digest(rp_id).to_vec();
    data.push(flags);
    // No counter: copies of a software key could not agree on one.
    data.extend_from_slice(&[0; 4]);
    data
}

fn client_data(kind: &str, origin: &str, challenge: &[u8; 32]) -> Vec<u8> {
    let data = ClientDataJson { r#type: kind, challenge: b64(challenge), origin, cross_origin: false };
    serde_json::to_vec(&data).unwrap_or_default()
}
