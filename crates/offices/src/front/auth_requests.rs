//! Requests of the back channel under way (CIBA Core sections 7.3, 11): what a platform looks for until the person has answered.

use hufu_kernel::{Octets, Timestamp};
use hufu_oidc::OAuthError;
use hufu_oidc::provider::{Code, INTERVAL_SECONDS};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `auth_req_id`: at least 128 bits of entropy (CIBA Core section 7.3).
pub(super) type AuthReqId = Octets<32>;

/// Seconds within which what was granted is to be fetched, and for which every ended request is told from one that never was.
pub(super) const FETCH_SECONDS: i64 = 120;

/// The part of the memory that one platform may fill, as with transactions.
const SHARE: usize = 4;

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
    /// Nothing is kept of it from then on.
    end: Timestamp,
    interval: i64,
    looked: Option<Timestamp>,
    ping: Option<Ping>,
    state: State,
}

#[derive(Default)]
struct Inner {
    requests: HashMap<AuthReqId, AuthRequest>,
    by_end: BTreeSet<(Timestamp, AuthReqId)>,
    /// How many each platform has; no entry stands for none.
    by_client: HashMap<String, usize>,
}

/// Requests under way, as many as there may be transactions.
pub(super) struct AuthRequests {
    capacity: usize,
    per_client: usize,
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
        self.by_end.remove(&(request.end, *id));
        if let Some(count) = self.by_client.get_mut(&request.client_id) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&request.client_id);
            }
        }
        Some(request)
    }
}

impl AuthRequests {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, per_client: (capacity / SHARE).max(1), inner: Mutex::default() }
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
        let under_way = inner.by_client.get(client_id).copied().unwrap_or_default();
        if inner.requests.len() >= self.capacity || under_way >= self.per_client {
            return Err(OAuthError::Unavailable);
        }
        let (client_id, end, interval) = (client_id.to_owned(), exp + FETCH_SECONDS, INTERVAL_SECONDS);
        inner.by_client.insert(client_id.clone(), under_way + 1);
        inner.by_end.insert((end, id));
        let request = AuthRequest { client_id, exp, end, interval, looked: None, ping, state: State::Pending };
        inner.requests.insert(id, request);
        Ok(())
    }

    /// Nobody was asked after all.
    pub(super) fn undo(&self, id: &AuthReqId) {
        self.lock().remove(id);
    }

    /// The person agreed; what they agreed to is gone with the code. Returns where the platform is told.
    pub(super) fn grant(&self, id: &AuthReqId, code: Code) -> Option<Ping> {
        let end = code.exp;
        self.answer(id, State::Granted(Box::new(code)), end)
    }

    /// The person did not.
    pub(super) fn deny(&self, id: &AuthReqId, now: Timestamp) -> Option<Ping> {
        self.answer(id, State::Denied, now + FETCH_SECONDS)
    }

    fn answer(&self, id: &AuthReqId, state: State, end: Timestamp) -> Option<Ping> {
        let mut inner = self.lock();
        let request = inner.requests.get_mut(id).filter(|request| matches!(request.state, State::Pending))?;
        request.state = state;
        let (before, ping) = (std::mem::replace(&mut request.end, end), request.ping.clone());
        inner.by_end.remove(&(before, *id));
        inner.by_end.insert((end, *id));
        ping
    }

    /// Forgets what has ended, also when nobody looks or asks any more.
    pub(super) fn sweep(&self, now: Timestamp) {
        self.lock().sweep(now);
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
        assert!(inner.requests.is_empty() && inner.by_end.is_empty() && inner.by_client.is_empty());
    }

    #[test]
    fn a_refusal_and_an_end_are_told_once_and_the_first_answer_stands() {
        let requests = asked();
        requests.deny(&ID, NOW);
        requests.grant(&ID, code(NOW));
        assert_eq!(look(&requests, NOW), Err(OAuthError::AuthRequestDenied));
        assert_eq!(look(&requests, NOW), Err(OAuthError::AuthRequestUnknown));
        let requests = asked();
        assert_eq!(look(&requests, NOW + 300), Err(OAuthError::AuthRequestExpired));
        let requests = asked();
        requests.grant(&ID, code(NOW));
        assert_eq!(look(&requests, NOW + FETCH_SECONDS), Err(OAuthError::AuthRequestUnknown));
        let forgotten = Err(OAuthError::AuthRequestUnknown);
        assert_eq!(look(&asked(), NOW + 300 + FETCH_SECONDS), forgotten, "and then forgotten");
    }

    #[test]
    fn what_has_ended_is_forgotten_though_nobody_looks() {
        let kept = |requests: &AuthRequests, now: Timestamp| {
            requests.sweep(now);
            let inner = requests.lock();
            assert_eq!(inner.requests.len(), inner.by_end.len());
            inner.requests.len()
        };
        let (granted, denied, open) = (asked(), asked(), asked());
        granted.grant(&ID, code(NOW));
        denied.deny(&ID, NOW);
        for one in [&granted, &denied] {
            assert_eq!((kept(one, NOW + FETCH_SECONDS - 1), kept(one, NOW + FETCH_SECONDS)), (1, 0));
        }
        assert_eq!((kept(&open, NOW + 299 + FETCH_SECONDS), kept(&open, NOW + 300 + FETCH_SECONDS)), (1, 0));
    }

    #[test]
    fn a_platform_that_fills_its_share_asks_nobody_more_and_every_other_goes_on() {
        let requests = AuthRequests::new(8);
        let begin =
            |name: u8, client: &str, now: i64| requests.begin(Octets([name; 32]), client, (NOW + 600, None), NOW + now);
        let full = Err(OAuthError::Unavailable);
        assert_eq!((begin(1, "greedy", 0), begin(2, "greedy", 0), begin(3, "greedy", 0)), (Ok(()), Ok(()), full));
        assert_eq!(begin(4, "other", 0), Ok(()));
        // What was answered gives its place back after two minutes, not when the request would have ended.
        requests.deny(&Octets([1; 32]), NOW);
        assert_eq!((begin(5, "greedy", FETCH_SECONDS - 1), begin(5, "greedy", FETCH_SECONDS)), (full, Ok(())));
        requests.undo(&Octets([5; 32]));
        assert_eq!(requests.lock().by_client, HashMap::from([("greedy".to_owned(), 1), ("other".to_owned(), 1)]));
    }

    #[test]
    fn so_many_and_no_more() {
        let requests = AuthRequests::new(2);
        let begin = |name: u8| requests.begin(Octets([name; 32]), &name.to_string(), (NOW + 300, None), NOW);
        assert_eq!((begin(1), begin(2), begin(3)), (Ok(()), Ok(()), Err(OAuthError::Unavailable)));
    }
}
