//! Device assertions, holder keys and platform certificates: what every request passes before a row is touched.

use super::{Node, Row};
use crate::registry;
use hufu_domain::holder::credential_hash;
use hufu_kernel::{Label, Octets, Refusal, Timestamp};
use hufu_pairwise::{Intl, challenge, statement_context};
use hufu_store::Versioned;
use hufu_wire::api::holder::HolderProof;
use hufu_wire::api::platform::PlatformCertificate;
use hufu_wire::jose::{Alg, PublicKey};
use hufu_wire::webauthn::{self, Assertion, AssertionError, DeviceKey, Expectation};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Seconds a device's clock may be off (flows 4).
pub const SKEW: i64 = hufu_kernel::DEVICE_SKEW;

/// Seconds a holder key may act after an assertion of its device (flows 4).
const HOLDER_WINDOW: i64 = 15 * 60;

/// Windows open at once: 15 minutes of 2,000 persons a second, about 150 MB.
const WINDOWS: usize = 1_800_000;

/// Certificates read at once; more platforms than any one front serves in a minute.
const CERTIFICATES: usize = 4096;

type Point = <Intl as hufu_pairwise::Group>::Point;

/// A platform certificate under the registry's key, with what is computed from it once.
#[derive(Debug)]
pub struct Certified {
    /// The certificate.
    pub certificate: PlatformCertificate,
    /// SHA-256 of its JWS.
    pub hash: Octets<32>,
    /// H2G(sector_id).
    pub sector: Point,
}

/// Caches in memory, of public things and of open windows; a line each in docs/trust.md.
pub struct Gate {
    registry: Octets<32>,
    certificates: Mutex<HashMap<Octets<32>, Arc<Certified>>>,
    windows: Mutex<HashMap<Octets<32>, Timestamp>>,
}

impl Gate {
    pub fn new(registry: Octets<32>) -> Self {
        Self { registry, certificates: Mutex::default(), windows: Mutex::default() }
    }

    /// The certificate in a JWS; signatures are checked once per certificate and process.
    pub fn certificate(&self, jws: &str) -> Result<Arc<Certified>, Refusal> {
        let hash = Octets(Sha256::digest(jws.as_bytes()).into());
        let mut certificates = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = certificates.get(&hash) {
            return Ok(Arc::clone(known));
        }
        let certificate = registry::read(&self.registry, jws)?;
        let sector = hufu_pairwise::sector_point::<Intl>(&certificate.sector_id);
        let certified = Arc::new(Certified { certificate, hash, sector });
        if certificates.len() >= CERTIFICATES {
            certificates.clear();
        }
        certificates.insert(hash, Arc::clone(&certified));
        Ok(certified)
    }

    /// Opens the quarter of an hour of a device's holder key.
    pub fn open_window(&self, credential: Octets<32>, now: Timestamp) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        // Beyond it a person is asked for one more assertion; memory stays bounded.
        if windows.len() < WINDOWS || windows.contains_key(&credential) {
            windows.insert(credential, now + HOLDER_WINDOW);
        }
    }

    /// Closes windows that are over.
    pub fn sweep(&self, now: Timestamp) {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, until| now < *until);
    }

    fn has_window(&self, credential: &Octets<32>, now: Timestamp) -> bool {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.get(credential).is_some_and(|until| now < *until)
    }
}

impl Node {
    /// Refuses a time that is more than a minute off.
    pub(super) fn fresh(&self, t: Timestamp) -> Result<Timestamp, Refusal> {
        let now = self.clock.now();
        if t.within(now, SKEW) { Ok(now) } else { Err(Refusal::StaleTime) }
    }

    /// Checks a device's assertion over a challenge this node computed itself.
    pub(super) fn assertion(&self, key: &DeviceKey, chal: &[u8; 32], assertion: &Assertion) -> Result<(), Refusal> {
        let expectation = Expectation {
            rp_id: &self.trust.rp_id,
            origin: &self.trust.wallet_origin,
            challenge: chal,
            require_uv: true,
        };
        match webauthn::check(key, &expectation, assertion) {
            Ok(_) => Ok(()),
            Err(AssertionError::Challenge) => Err(Refusal::ChallengeMismatch),
            Err(_) => Err(Refusal::AssertionInvalid),
        }
    }

    /// Finds the row by an assertion's credential, and checks the assertion for `label` over `bytes`.
    pub(super) async fn by_assertion(
        &self,
        label: Label,
        bytes: &[u8],
        t: Timestamp,
        assertion: &Assertion,
    ) -> Result<(Versioned<Row>, Octets<32>), Refusal> {
        let now = self.fresh(t)?;
        let credential = credential_hash(&assertion.credential_id.0);
        let found = self.row_of(&credential).await?;
        let device = found.record.holder.device(&credential, now)?;
        self.assertion(&device.key, &plain_challenge(label, bytes, t), assertion)?;
        Ok((found, credential))
    }

    /// Refuses a holder key outside its quarter of an hour; the device it belongs to.
    pub(super) fn within_window(&self, proof: &HolderProof) -> Result<Octets<32>, Refusal> {
        let now = self.fresh(proof.t)?;
        if self.gate.has_window(&proof.credential, now) { Ok(proof.credential) } else { Err(Refusal::HolderKeyRefused) }
    }

    /// Finds the row by a holder key's proof over `bytes`, within its quarter of an hour.
    pub(super) async fn by_holder_key(&self, proof: &HolderProof, bytes: &[u8]) -> Result<Versioned<Row>, Refusal> {
        let credential = self.within_window(proof)?;
        let found = self.row_of(&credential).await?;
        let device = found.record.holder.device(&credential, self.clock.now())?;
        verify_holder(&device.holder_key.0, &plain_challenge(Label::Pass, bytes, proof.t), &proof.signature)?;
        Ok(found)
    }
}

/// The challenge of every label but sign-in.
pub(super) fn plain_challenge(label: Label, bytes: &[u8], t: Timestamp) -> [u8; 32] {
    challenge::<Intl>(label, None, &[], &statement_context::<Intl>(bytes), None, t)
}

/// ES256 by a holder key over a challenge.
pub(super) fn verify_holder(holder_key: &[u8], chal: &[u8; 32], signature: &Octets<64>) -> Result<(), Refusal> {
    let sec1: [u8; 65] = holder_key.try_into().map_err(|_| Refusal::HolderKeyRefused)?;
    PublicKey::p256(sec1)
        .and_then(|key| key.verify(Alg::ES256, chal, signature.as_slice()))
        .map_err(|_| Refusal::HolderKeyRefused)
}
