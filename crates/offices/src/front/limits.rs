//! How much one platform may ask: counted once it has proved who it is, so that nobody uses up another's by its `client_id`.

use super::{Front, plainly};
use crate::buckets::{Buckets, Rate, whole_seconds};
use hufu_kernel::Timestamp;
use hufu_oidc::provider::{self, Authenticated, Call, Client, Environment};
use hufu_oidc::{Challenge, OAuthError, Reply};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Platforms remembered while they ask; more than one front has at once.
const PLATFORMS: usize = 10_000;

/// Who asks too often is told so, and how long to wait: 429 (RFC 6585 section 4; RFC 9126 section 2.3) with the one code of OAuth's that
/// says "later" (decision 0025).
#[must_use]
pub fn too_often(wait: Duration) -> Reply {
    let mut reply = Reply::error(OAuthError::TooMany, Challenge::None);
    reply.headers.push(("retry-after", whole_seconds(wait).to_string()));
    reply
}

/// What platforms have asked lately.
pub(super) struct Asking {
    rate: Rate,
    buckets: Mutex<Buckets<String>>,
}

impl Asking {
    fn may(&self, client_id: &str, now: Timestamp) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(&client_id.to_owned(), since(now)).is_ok()
    }

    fn sweep(&self, now: Timestamp) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).sweep(since(now));
    }
}

fn since(now: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now.0).unwrap_or_default())
}

impl Front {
    /// The same front, at which each platform may ask so much.
    #[must_use]
    pub fn limited(self, client: Option<Rate>) -> Self {
        let asking = client.map(|rate| Asking { rate, buckets: Mutex::new(Buckets::new(rate, PLATFORMS)) });
        Self { asking, ..self }
    }

    /// After so long one more request of a platform is answered, however many it made.
    pub(super) fn pause(&self) -> Duration {
        // Time comes here in whole seconds.
        self.asking.as_ref().map_or(Duration::ZERO, |asking| asking.rate.every) + Duration::from_secs(1)
    }

    /// What a platform asks, if it may ask now: before what it asked is answered, so that a request with a mistake counts as any other and
    /// its assertion is used up. What proves the client is used first: an assertion that somebody saw on its way counts against nobody.
    /// What it wants to spend is used after this: who is told to wait still has its code and its proof.
    ///
    /// Who is told to ask again with a nonce may do so with the same assertion, as clients and the Foundation's suite do: that answer uses
    /// nothing up, and counts for the address alone.
    pub(super) async fn of_caller<T>(
        &self,
        env: &Environment<'_>,
        call: &Call<'_>,
        asked: impl FnOnce(Arc<Client>) -> Result<T, (OAuthError, Challenge)>,
    ) -> Result<T, (OAuthError, Challenge)> {
        let Authenticated { client, fresh } = provider::authenticate(env, call)?;
        let decided = asked(Arc::clone(&client));
        if !matches!(decided, Err((OAuthError::ProofNonce, _))) {
            self.use_once(&fresh, env.now).await.map_err(plainly)?;
            self.may_ask(&client.certificate.client_id, env.now).map_err(plainly)?;
        }
        decided
    }

    /// Counts one request of a platform that has proved who it is.
    pub(super) fn may_ask(&self, client_id: &str, now: Timestamp) -> Result<(), OAuthError> {
        let may = self.asking.as_ref().is_none_or(|asking| asking.may(client_id, now));
        if may { Ok(()) } else { Err(OAuthError::TooMany) }
    }

    /// Forgets the platforms whose requests make no difference any more, and what people answered and nobody came for: an ID token must
    /// not stay since nobody asks.
    pub fn sweep(&self) {
        let now = self.now();
        if let Some(asking) = &self.asking {
            asking.sweep(now);
        }
        self.transactions.sweep(now);
        self.auth_requests.sweep(now);
        self.waits.sweep(now);
    }
}
