//! Requests of the back channel under way (CIBA Core sections 7.3, 11): what a platform looks for until the person has answered.

use hufu_kernel::{Octets, Timestamp};
use hufu_oidc::OAuthError;
use hufu_oidc::provider::{Code, INTERVAL_SECONDS};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `auth_req_id`: at least 128 bits of entropy (CIBA Core section 7.3).
pub(super) type AuthReqId = Octets<32>;

/// Seconds for which an ended request is told from one that never was.
const REMEMBERED_SECONDS: i64 = 300;

/// Seconds within which what was granted is to be fetched.
pub(super) const FETCH_SECONDS: i64 = 120;

/// Seconds between two looks at most, however often a platform looked too fast.
const LONGEST_INTERVAL: i64 = 60;

/// Where a platform is told that it may look.
#[derive(Clone)]
pub(super) struct Ping {
    pub uri: String,
    pub token: String,
}

enum State {
    Pending,
    Granted(Box<Code>),
    Denied,
}

struct AuthRequest {
    client_id: String,
    exp: Timestamp,
    interval: i64,
    looked: Option<Timestamp>,
    ping: Option<Ping>,
    state: State,
}

#[derive(Default)]
struct Inner {
    requests: HashMap<AuthReqId, AuthRequest>,
    by_end: BTreeSet<(Timestamp, AuthReqId)>,
}

/// Requests under way, as many as there may be transactions.
pub(super) struct AuthRequests {
    capacity: usize,
    inner: Mutex<Inner>,
}

impl Inner {
    fn sweep(&mut self, now: Timestamp) {
        while let Some((end, id)) = self.by_end.first().copied() {
            if end > now {
                break;
            }
            self.remove(&id);
        }
    }

    fn remove(&mut self, id: &AuthReqId) -> Option<AuthRequest> {
        let request = self.requests.remove(id)?;
        self.by_end.remove(&(request.exp + REMEMBERED_SECONDS, *id));
        Some(request)
    }
}

impl AuthRequests {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Between two map operations at worst a request is not swept: it is then answered as expired.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A platform has asked.
    pub(super) fn begin(
        &self,
        id: AuthReqId,
        client_id: &str,
        (exp, ping): (Timestamp, Option<Ping>),
        now: Timestamp,
    ) -> Result<(), OAuthError> {
        let mut inner = self.lock();
        inner.sweep(now);
        if inner.requests.len() >= self.capacity {
            return Err(OAuthError::Unavailable);
        }
        inner.by_end.insert((exp + REMEMBERED_SECONDS, id));
        let (client_id, interval) = (client_id.to_owned(), INTERVAL_SECONDS);
        let request = AuthRequest { client_id, exp, interval, looked: None, ping, state: State::Pending };
        inner.requests.insert(id, request);
        Ok(())
    }

    /// The person agreed. Returns where the platform is told.
    pub(super) fn grant(&self, id: &AuthReqId, code: Code) -> Option<Ping> {
        self.answer(id, State::Granted(Box::new(code)))
    }

    /// The person did not.
    pub(super) fn deny(&self, id: &AuthReqId) -> Option<Ping> {
        self.answer(id, State::Denied)
    }

    fn answer(&self, id: &AuthReqId, state: State) -> Option<Ping> {
        let mut inner = self.lock();
        let request = inner.requests.get_mut(id).filter(|request| matches!(request.state, State::Pending))?;
        request.state = state;
        request.ping.clone()
    }

    /// A platform looks. What was granted to who `fits` is given once.
    pub(super) fn look(
        &self,
        id: &AuthReqId,
        client_id: &str,
        fits: impl Fn(&Code) -> bool,
        now: Timestamp,
    ) -> Result<Code, OAuthError> {
        let mut inner = self.lock();
        inner.sweep(now);
        let request = inner.requests.get_mut(id).filter(|request| request.client_id == client_id);
        let request = request.ok_or(OAuthError::AuthRequestUnknown)?;
        let error = match &request.state {
            State::Pending if now >= request.exp => OAuthError::AuthRequestExpired,
            State::Pending => return Err(request.waits(now)),
            State::Denied => OAuthError::AuthRequestDenied,
            State::Granted(code) if now >= code.exp => OAuthError::AuthRequestExpired,
            // Whoever has another key has not used the answer up.
            State::Granted(code) if !fits(code) => return Err(OAuthError::CodeKey),
            State::Granted(_) => OAuthError::AuthRequestUnknown,
        };
        match inner.remove(id).map(|request| request.state) {
            Some(State::Granted(code)) if error == OAuthError::AuthRequestUnknown => Ok(*code),
            _ => Err(error),
        }
    }
}

impl AuthRequest {
    /// Counts a look that came before the answer.
    fn waits(&mut self, now: Timestamp) -> OAuthError {
        let fast = self.looked.is_some_and(|looked| now < looked + self.interval);
        self.looked = Some(now);
        if fast {
            self.interval = (self.interval + INTERVAL_SECONDS).min(LONGEST_INTERVAL);
            return OAuthError::AuthRequestFast;
        }
        OAuthError::AuthRequestPending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_oidc::provider::{AuthorizationRequest, CodeId};

    const NOW: Timestamp = Timestamp(1000);
    const ID: AuthReqId = Octets([1; 32]);

    fn asked() -> AuthRequests {
        let requests = AuthRequests::new(2);
        requests.begin(ID, "shop", (NOW + 300, None), NOW).unwrap();
        requests
    }

    fn code(now: Timestamp) -> Code {
        let code = Code::of(&AuthorizationRequest::default(), CodeId(Octets([2; 16])), "token", now);
        Code { exp: now + FETCH_SECONDS, ..code }
    }

    fn look(requests: &AuthRequests, now: Timestamp) -> Result<(), OAuthError> {
        requests.look(&ID, "shop", |_| true, now).map(|_| ())
    }

    #[test]
    fn who_looks_too_fast_is_told_to_wait_longer() {
        let requests = asked();
        let pending = Err(OAuthError::AuthRequestPending);
        let fast = Err(OAuthError::AuthRequestFast);
        let said = [0, 5, 9, 15, 29, 49].map(|after| look(&requests, NOW + after));
        // 5 s, then 10 s after one look too many, then 15 s.
        assert_eq!(said, [pending, pending, fast, fast, fast, pending]);
    }

    #[test]
    fn an_answer_is_given_once_to_who_asked_and_has_the_key() {
        let requests = asked();
        assert!(requests.grant(&ID, code(NOW)).is_none());
        assert_eq!(requests.look(&ID, "bank", |_| true, NOW).err(), Some(OAuthError::AuthRequestUnknown));
        assert_eq!(requests.look(&ID, "shop", |_| false, NOW).err(), Some(OAuthError::CodeKey));
        assert_eq!(look(&requests, NOW), Ok(()));
        assert_eq!(look(&requests, NOW), Err(OAuthError::AuthRequestUnknown));
        let inner = requests.lock();
        assert!(inner.requests.is_empty() && inner.by_end.is_empty());
    }

    #[test]
    fn a_refusal_and_an_end_are_told_once_and_the_first_answer_stands() {
        let requests = asked();
        requests.deny(&ID);
        requests.grant(&ID, code(NOW));
        assert_eq!(look(&requests, NOW), Err(OAuthError::AuthRequestDenied));
        assert_eq!(look(&requests, NOW), Err(OAuthError::AuthRequestUnknown));
        let requests = asked();
        assert_eq!(look(&requests, NOW + 300), Err(OAuthError::AuthRequestExpired));
        let requests = asked();
        requests.grant(&ID, code(NOW));
        assert_eq!(look(&requests, NOW + FETCH_SECONDS), Err(OAuthError::AuthRequestExpired));
        assert_eq!(look(&asked(), NOW + 600), Err(OAuthError::AuthRequestUnknown), "and then forgotten");
    }

    #[test]
    fn so_many_and_no_more() {
        let requests = asked();
        let begin = |name: u8| requests.begin(Octets([name; 32]), "shop", (NOW + 300, None), NOW);
        assert_eq!((begin(2), begin(3)), (Ok(()), Err(OAuthError::Unavailable)));
    }
}
