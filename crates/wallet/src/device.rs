//! The person's device: a passkey for assertions, and a holder key beside it (flows 4).

use crate::WalletError;
use hufu_kernel::{Bytes, Octets, Rng};
use hufu_wire::jose::{Alg, SoftKey};
use hufu_wire::webauthn::{Assertion, DeviceKey, SoftDevice};
use std::future::Future;

/// What a wallet asks of its device.
pub trait Device {
    /// The credential's id.
    fn credential_id(&self) -> Bytes;

    /// The credential's public key, as registration gave it.
    fn key(&self) -> DeviceKey;

    /// The holder key: P-256, SEC1 uncompressed.
    fn holder_key(&self) -> Bytes;

    /// Signs a challenge with user verification.
    fn assert(&self, challenge: &[u8; 32]) -> impl Future<Output = Result<Assertion, WalletError>>;

    /// Signs with the holder key: ES256, r ‖ s. No prompt.
    fn sign(&self, message: &[u8]) -> impl Future<Output = Result<Octets<64>, WalletError>>;
}

/// A device in software: robots and the sandbox's personas. Its bytes pass the very same checks.
#[derive(Debug)]
pub struct SoftwareDevice {
    passkey: SoftDevice,
    holder: SoftKey,
    rp_id: String,
    origin: String,
}

impl SoftwareDevice {
    /// A fresh one for the wallet at `origin`.
    ///
    /// # Errors
    /// [`WalletError::Device`] if keys cannot be made.
    pub fn generate(rp_id: &str, origin: &str, rng: &dyn Rng) -> Result<Self, WalletError> {
        let failed = |error: hufu_wire::jose::JoseError| WalletError::Device(error.to_string());
        Ok(Self {
            passkey: SoftDevice::generate(rng).map_err(failed)?,
            holder: SoftKey::generate(Alg::ES256, rng).map_err(failed)?,
            rp_id: rp_id.to_owned(),
            origin: origin.to_owned(),
        })
    }

    /// Both private keys, as JSON texts.
    #[must_use]
    pub fn save(&self) -> (zeroize::Zeroizing<String>, zeroize::Zeroizing<String>) {
        (self.passkey.save(), self.holder.to_private_jwk())
    }

    /// What [`SoftwareDevice::save`] wrote.
    ///
    /// # Errors
    /// [`WalletError::Device`].
    pub fn load(passkey: &str, holder: &str, rp_id: &str, origin: &str) -> Result<Self, WalletError> {
        let failed = |error: hufu_wire::jose::JoseError| WalletError::Device(error.to_string());
        Ok(Self {
            passkey: SoftDevice::load(passkey.as_bytes()).map_err(failed)?,
            holder: SoftKey::from_private_jwk(holder.as_bytes()).map_err(failed)?,
            rp_id: rp_id.to_owned(),
            origin: origin.to_owned(),
        })
    }
}

/// The uncompressed point of a P-256 key.
pub(crate) fn sec1(key: &SoftKey) -> Bytes {
    Bytes(key.public().key.as_p256().map(|point| point.to_vec()).unwrap_or_default())
}

impl Device for SoftwareDevice {
    fn credential_id(&self) -> Bytes {
        Bytes(self.passkey.credential_id().to_vec())
    }

    fn key(&self) -> DeviceKey {
        self.passkey.key()
    }

    fn holder_key(&self) -> Bytes {
        sec1(&self.holder)
    }

    async fn assert(&self, challenge: &[u8; 32]) -> Result<Assertion, WalletError> {
        Ok(self.passkey.get(&self.rp_id, &self.origin, challenge))
    }

    async fn sign(&self, message: &[u8]) -> Result<Octets<64>, WalletError> {
        Octets::try_from(self.holder.sign_deterministic(message).as_slice())
            .map_err(|error| WalletError::Device(error.to_string()))
    }
}
