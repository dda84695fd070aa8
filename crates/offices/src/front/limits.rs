//! How much one platform may ask: counted once it has proved who it is, so that nobody uses up another's by its `client_id`.

use super::Front;
use crate::buckets::{Buckets, Rate};
use hufu_kernel::Timestamp;
use hufu_oidc::provider::Fresh;
use hufu_oidc::{Challenge, OAuthError, Reply};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Platforms remembered while they ask; more than one front has at once.
const PLATFORMS: usize = 10_000;

/// Who asks too often is told so, and how long to wait: 429 (RFC 6585 section 4; RFC 9126 section 2.3) with the one code of OAuth's that
/// says "later" (decision 0025).
#[must_use]
pub fn too_often(wait: Duration) -> Reply {
    let mut reply = Reply::error(OAuthError::TooMany, Challenge::None);
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
    reply.headers.push(("retry-after", seconds.to_string()));
    reply
}

/// What platforms have asked lately.
pub(super) struct Asking {
    rate: Rate,
    buckets: Mutex<Buckets<String>>,
}

impl Asking {
    fn may(&self, client_id: &str, now: Timestamp) -> bool {
        let now = Duration::from_secs(u64::try_from(now.0).unwrap_or_default());
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(&client_id.to_owned(), now).is_ok()
    }
}

impl Front {
    /// The same front, at which each platform may ask so much.
    #[must_use]
    pub fn limited(self, client: Option<Rate>) -> Self {
        let asking = client.map(|rate| Asking { rate, buckets: Mutex::new(Buckets::new(rate, PLATFORMS)) });
        Self { asking, ..self }
    }

    /// After so long one more request of a platform is answered, however many it made.
    pub(super) fn wait(&self) -> Duration {
        // Time comes here in whole seconds.
        self.asking.as_ref().map_or(Duration::ZERO, |asking| asking.rate.every) + Duration::from_secs(1)
    }

    /// Uses every value, in order, or says which one was used before; and in between asks whether this client may. What proves it is used
    /// first: an assertion that somebody saw on its way counts against nobody. What it wants to spend is used last: who is told to wait
    /// still has its code and its proof.
    pub(super) async fn use_once_by(&self, client_id: &str, fresh: &[Fresh], now: Timestamp) -> Result<(), OAuthError> {
        let proves = |value: &&Fresh| value.otherwise == OAuthError::AssertionReplayed;
        let (proof, rest) = fresh.split_at(fresh.iter().take_while(proves).count());
        self.use_once(proof, now).await?;
        if self.asking.as_ref().is_some_and(|asking| !asking.may(client_id, now)) {
            return Err(OAuthError::TooMany);
        }
        self.use_once(rest, now).await
    }
}
