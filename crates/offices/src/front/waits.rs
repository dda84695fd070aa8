//! Wallets that wait to be asked (decision 0029): a code that a person tells a platform leads to whoever shows it now. Bounded memory; who
//! the person is, nobody here knows.

use super::held::SecretHash;
use super::transactions::Tx;
use hufu_kernel::{Refusal, Timestamp};
use hufu_oidc::provider::WaitingCode;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Seconds a code can be used.
pub const WAITING_SECONDS: i64 = 120;

/// Codes shown at once, in all; who was found has no place any more. Of a thousand million codes so few that a guess finds nobody.
pub(super) const WAITING: usize = 2_000;

/// Wrong codes that one platform may try in [`TRIES_SECONDS`].
pub const WRONG_CODES: u32 = 20;

/// Seconds after which a platform's wrong codes are forgotten.
pub const TRIES_SECONDS: i64 = 600;

struct Wait {
    code: Option<WaitingCode>,
    found: Option<Tx>,
    exp: Timestamp,
}

#[derive(Default)]
struct Inner {
    by_secret: HashMap<SecretHash, Wait>,
    by_code: HashMap<WaitingCode, SecretHash>,
    by_end: BTreeSet<(Timestamp, SecretHash)>,
    /// Wrong codes of each platform since a time; platforms are few.
    wrong: HashMap<String, (Timestamp, u32)>,
}

/// Who waits.
pub(super) struct Waits {
    capacity: usize,
    inner: Mutex<Inner>,
}

impl Inner {
    fn sweep(&mut self, now: Timestamp) {
        while let Some((exp, secret)) = self.by_end.first().copied() {
            if exp > now {
                break;
            }
            self.remove(&secret);
        }
        self.wrong.retain(|_, (since, _)| now < *since + TRIES_SECONDS);
    }

    fn remove(&mut self, secret: &SecretHash) {
        if let Some(wait) = self.by_secret.remove(secret) {
            self.by_end.remove(&(wait.exp, *secret));
            if let Some(code) = wait.code {
                self.by_code.remove(&code);
            }
        }
    }
}

impl Waits {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Between two map operations at worst a wallet is found by one way only: it then simply waits in vain.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A wallet waits, by this code, until the time that is returned.
    pub(super) fn begin(&self, code: WaitingCode, secret: SecretHash, now: Timestamp) -> Result<Timestamp, Refusal> {
        let mut inner = self.lock();
        inner.sweep(now);
        if inner.by_code.len() >= self.capacity || inner.by_code.contains_key(&code) {
            return Err(Refusal::Busy);
        }
        let exp = now + WAITING_SECONDS;
        inner.by_code.insert(code, secret);
        inner.by_end.insert((exp, secret));
        inner.by_secret.insert(secret, Wait { code: Some(code), found: None, exp });
        Ok(exp)
    }

    /// The wallet that waits by this code. Wrong codes count against the platform, which after too many of them finds nobody.
    pub(super) fn find(&self, client_id: &str, code: &WaitingCode, now: Timestamp) -> Option<SecretHash> {
        let mut inner = self.lock();
        inner.sweep(now);
        if inner.wrong.get(client_id).is_some_and(|(_, wrong)| *wrong >= WRONG_CODES) {
            return None;
        }
        let found = inner.by_code.get(code).copied();
        if found.is_none() {
            inner.wrong.entry(client_id.to_owned()).or_insert((now, 0)).1 += 1;
        }
        found
    }

    /// The wallet's turn has come, and its code is used up: of two platforms that found it one has it.
    pub(super) fn take(&self, code: &WaitingCode, tx: Tx, exp: Timestamp) -> bool {
        let mut inner = self.lock();
        let Some(secret) = inner.by_code.remove(code) else { return false };
        let Some(wait) = inner.by_secret.get_mut(&secret) else { return false };
        let before = std::mem::replace(&mut wait.exp, exp);
        (wait.code, wait.found) = (None, Some(tx));
        inner.by_end.remove(&(before, secret));
        inner.by_end.insert((exp, secret));
        true
    }

    /// Forgets who waits no more, also when nobody else comes.
    pub(super) fn sweep(&self, now: Timestamp) {
        self.lock().sweep(now);
    }

    /// Whether a platform has asked. Answered with the transaction until it ends.
    pub(super) fn look(&self, secret: &SecretHash, now: Timestamp) -> Result<Option<Tx>, Refusal> {
        let mut inner = self.lock();
        inner.sweep(now);
        inner.by_secret.get(secret).map(|wait| wait.found).ok_or(Refusal::TransactionGone)
    }

    /// The wallet waits no more.
    pub(super) fn end(&self, secret: &SecretHash) {
        self.lock().remove(secret);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::{Octets, SeededRng};

    const NOW: Timestamp = Timestamp(1000);
    const ME: SecretHash = Octets([1; 32]);

    fn code(seed: u64) -> WaitingCode {
        WaitingCode::draw(&SeededRng::new(seed))
    }

    #[test]
    fn a_code_finds_its_wallet_once_within_two_minutes() {
        let waits = Waits::new(4);
        assert_eq!(waits.begin(code(1), ME, NOW), Ok(NOW + 120));
        assert_eq!(waits.look(&ME, NOW), Ok(None));
        assert_eq!(waits.find("shop", &code(1), NOW + 119), Some(ME));
        assert_eq!(waits.find("bank", &code(1), NOW + 119), Some(ME), "two at once");
        assert!(waits.take(&code(1), Octets([9; 32]), NOW + 400));
        assert!(!waits.take(&code(1), Octets([8; 32]), NOW + 500), "one has it");
        assert_eq!(waits.find("shop", &code(1), NOW + 119), None);
        assert_eq!(waits.look(&ME, NOW + 399), Ok(Some(Octets([9; 32]))));
        assert_eq!(waits.look(&ME, NOW + 400), Err(Refusal::TransactionGone));
        assert_eq!(waits.begin(code(1), ME, NOW), Ok(NOW + 120));
        assert_eq!(waits.find("shop", &code(1), NOW + 120), None);
    }

    #[test]
    fn wrong_codes_count_against_the_platform_and_against_no_other() {
        let waits = Waits::new(4);
        waits.begin(code(1), ME, NOW).unwrap();
        for seed in 0..u64::from(WRONG_CODES) {
            assert_eq!(waits.find("greedy", &code(100 + seed), NOW), None);
        }
        assert_eq!(waits.find("greedy", &code(1), NOW), None, "the right one is found no more");
        assert_eq!(waits.find("other", &code(1), NOW), Some(ME));
        waits.begin(code(2), Octets([2; 32]), NOW + TRIES_SECONDS).unwrap();
        assert!(waits.find("greedy", &code(2), NOW + TRIES_SECONDS).is_some());
    }

    #[test]
    fn so_many_wait_and_no_more_and_nothing_is_left_of_who_waited() {
        let waits = Waits::new(2);
        for seed in 1..=2 {
            waits.begin(code(seed), Octets([u8::try_from(seed).unwrap(); 32]), NOW).unwrap();
        }
        assert_eq!(waits.begin(code(3), Octets([3; 32]), NOW), Err(Refusal::Busy));
        waits.end(&ME);
        assert!(waits.begin(code(3), Octets([3; 32]), NOW).is_ok());
        assert_eq!(waits.begin(code(4), Octets([4; 32]), NOW), Err(Refusal::Busy));
        assert!(waits.take(&code(3), Octets([9; 32]), NOW + 120));
        assert!(waits.begin(code(4), Octets([4; 32]), NOW).is_ok(), "who was found has no place");
        assert_eq!(waits.look(&ME, NOW), Err(Refusal::TransactionGone));
        waits.sweep(NOW + 119);
        assert_eq!(waits.lock().by_secret.len(), 3, "the control");
        waits.sweep(NOW + 120);
        let inner = waits.lock();
        assert!(inner.by_secret.is_empty() && inner.by_code.is_empty() && inner.by_end.is_empty());
    }
}
