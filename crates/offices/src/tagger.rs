//! The tagger ×3: a threshold tag of a document number that nobody can compute alone (flows 3).

use crate::ports;
use async_trait::async_trait;
use hufu_kernel::{Clock, KeyStore, Partial, Refusal, Rng, Secret, Timestamp};
use hufu_pairwise::oprf_evaluate;
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::EvaluateTag;
use hufu_wire::api::trust::Trust;
use std::sync::{Arc, Mutex, PoisonError};

/// Evaluations a registrar may ask for in an hour: without it, an 18-digit number could be searched for.
pub const HOURLY_QUOTA: u32 = 20_000;

/// A tagger.
pub struct Tagger {
    trust: Arc<Trust>,
    share: Secret<32>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    quota: u32,
    used: Mutex<(Timestamp, u32)>,
}

impl std::fmt::Debug for Tagger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tagger")
    }
}

impl Tagger {
    /// A tagger whose share is the key `tag-share`.
    ///
    /// # Errors
    /// [`Refusal::Internal`] if the share is missing.
    pub fn new(
        trust: Arc<Trust>,
        keys: &dyn KeyStore,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        quota: u32,
    ) -> Result<Self, Refusal> {
        let share = keys.share("tag-share").map_err(|_| Refusal::Internal)?;
        let share = Secret::new(share.as_slice().try_into().map_err(|_| Refusal::Internal)?);
        Ok(Self { trust, share, clock, rng, quota, used: Mutex::new((Timestamp(0), 0)) })
    }

    fn count(&self) -> Result<(), Refusal> {
        let now = self.clock.now();
        let hour = Timestamp(now.0 - now.0.rem_euclid(3600));
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.0 != hour {
            *used = (hour, 0);
        }
        if used.1 >= self.quota {
            tracing::warn!(quota = self.quota, "the registrar's quota of tag evaluations is used up for this hour");
            return Err(Refusal::OfficeRefused);
        }
        used.1 += 1;
        Ok(())
    }
}

#[async_trait]
impl ports::Tagger for Tagger {
    async fn evaluate(&self, request: &Signed<EvaluateTag>) -> Result<Partial, Refusal> {
        let request = crate::open_signed(&self.trust, "registrar", request)?;
        self.count()?;
        oprf_evaluate(&self.share, &request.blinded, self.rng.as_ref()).map_err(|_| Refusal::Malformed)
    }
}
