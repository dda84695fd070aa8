//! Sign-ins under way: ten minutes in bounded memory, nowhere else.

use super::auth_requests::AuthReqId;
use super::held::{Agreed, Held, SecretHash};
use super::scan::ScanName;
use hufu_kernel::{Octets, Refusal, Timestamp};
use hufu_oidc::provider::{AuthorizationRequest, Client};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Seconds a transaction lives.
pub const TRANSACTION_SECONDS: i64 = 600;

/// A transaction's name: 32 random bytes that only the browser and the wallet see. It stands in no code: whoever has it may be served.
pub(super) type Tx = Octets<32>;

/// One sign-in under way.
pub(super) struct Pending {
    pub client: Arc<Client>,
    pub request: AuthorizationRequest,
    /// Names the pushed request, with the time its `request_uri` expires.
    pub pushed: Option<(Octets<32>, Timestamp)>,
    /// The secret of the browser that began, or of the wallet that waits.
    pub began: SecretHash,
    /// When the front was asked.
    pub begun: Timestamp,
    /// When it ends.
    pub exp: Timestamp,
    /// Of a request that came without a browser.
    pub backchannel: Option<Backchannel>,
}

/// A request that came without a browser (decision 0029).
pub(super) struct Backchannel {
    /// As the platform looks for it.
    pub id: AuthReqId,
    /// What the person is to compare; empty without.
    pub binding_message: String,
}

impl Pending {
    /// What the person is to compare, if there is something.
    pub(super) fn binding_message(&self) -> Option<String> {
        let backchannel = self.backchannel.as_ref()?;
        (!backchannel.binding_message.is_empty()).then(|| backchannel.binding_message.clone())
    }
}

struct Entry {
    pending: Arc<Pending>,
    held: Held,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Tx, Entry>,
    by_end: BTreeSet<(Timestamp, Tx)>,
    by_pushed: HashMap<Octets<32>, Tx>,
    /// What each showing of codes stands for; a transaction has at most one.
    by_scan: HashMap<ScanName, Tx>,
    /// How many each client has under way; no entry stands for none.
    by_client: HashMap<String, usize>,
}

/// The part of the memory that one client may fill: a platform that begins sign-ins nobody finishes must not keep people from
/// every other platform.
const SHARE: usize = 4;

pub(super) struct Transactions {
    capacity: usize,
    per_client: usize,
    inner: Mutex<Inner>,
}

impl Inner {
    fn remove(&mut self, tx: &Tx) -> Option<Entry> {
        let entry = self.entries.remove(tx)?;
        self.by_end.remove(&(entry.pending.exp, *tx));
        if let Some((pushed, _)) = &entry.pending.pushed {
            self.by_pushed.remove(pushed);
        }
        if let Some(name) = entry.held.scan_name() {
            self.by_scan.remove(&name);
        }
        let client_id = &entry.pending.client.certificate.client_id;
        if let Some(count) = self.by_client.get_mut(client_id) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(client_id);
            }
        }
        Some(entry)
    }

    fn sweep(&mut self, now: Timestamp) {
        while let Some((exp, tx)) = self.by_end.first().copied() {
            if exp > now {
                return;
            }
            self.remove(&tx);
        }
    }

    fn live(&mut self, tx: &Tx, now: Timestamp) -> Result<&mut Entry, Refusal> {
        self.entries.get_mut(tx).filter(|entry| now < entry.pending.exp).ok_or(Refusal::TransactionGone)
    }
}

impl Transactions {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, per_client: (capacity / SHARE).max(1), inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Between two map operations at worst an entry is found by one way only: it then simply expires.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a transaction. One pushed request has at most one: a browser that loads the address again gets a new one in place of
    /// the old, so that one `request_uri` can neither be completed twice nor fill the memory. One client has at most its share.
    pub(super) fn open(&self, tx: Tx, pending: Pending, now: Timestamp) -> Result<(), Refusal> {
        let mut inner = self.lock();
        inner.sweep(now);
        if let Some(older) = pending.pushed.and_then(|(pushed, _)| inner.by_pushed.get(&pushed).copied()) {
            inner.remove(&older);
        }
        let client_id = &pending.client.certificate.client_id;
        let under_way = inner.by_client.get(client_id).copied().unwrap_or_default();
        if inner.entries.len() >= self.capacity || under_way >= self.per_client {
            return Err(Refusal::Busy);
        }
        inner.by_client.insert(client_id.clone(), under_way + 1);
        if let Some((pushed, _)) = pending.pushed {
            inner.by_pushed.insert(pushed, tx);
        }
        inner.by_end.insert((pending.exp, tx));
        let held = if pending.backchannel.is_some() { Held::by_wallet() } else { Held::by_browser() };
        inner.entries.insert(tx, Entry { pending: Arc::new(pending), held });
        Ok(())
    }

    /// Gives the transaction to the wallet, once for each device that holds it; says whether that is another one than began.
    pub(super) fn serve(&self, tx: &Tx, now: Timestamp) -> Result<(Arc<Pending>, bool), Refusal> {
        self.with(tx, now, |pending, held| {
            held.serve()?;
            Ok((Arc::clone(pending), held.is_elsewhere()))
        })
    }

    /// Looks at the transaction.
    pub(super) fn look(&self, tx: &Tx, now: Timestamp) -> Result<Arc<Pending>, Refusal> {
        self.with(tx, now, |pending, _| Ok(Arc::clone(pending)))
    }

    /// Looks at the transaction, and at who holds it, which may change.
    pub(super) fn with<T>(
        &self,
        tx: &Tx,
        now: Timestamp,
        act: impl FnOnce(&Arc<Pending>, &mut Held) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut inner = self.lock();
        let entry = inner.live(tx, now)?;
        act(&entry.pending, &mut entry.held)
    }

    /// Shows codes for another device, by `fresh` unless some are shown already.
    pub(super) fn show(&self, tx: &Tx, fresh: ScanName, now: Timestamp) -> Result<(), Refusal> {
        let mut inner = self.lock();
        let held = &mut inner.live(tx, now)?.held;
        let before = held.scan_name();
        held.show(fresh, now);
        let after = held.scan_name();
        if before != after {
            if let Some(before) = before {
                inner.by_scan.remove(&before);
            }
            inner.by_scan.extend(after.map(|name| (name, *tx)));
        }
        Ok(())
    }

    /// Gives the transaction whose codes go by `name` to the device that scanned one: of two, to one.
    pub(super) fn scan(
        &self,
        name: &ScanName,
        device: SecretHash,
        now: Timestamp,
    ) -> Result<(Tx, Arc<Pending>), Refusal> {
        let mut inner = self.lock();
        let tx = inner.by_scan.get(name).copied().ok_or(Refusal::TransactionGone)?;
        let entry = inner.live(&tx, now)?;
        entry.held.scan(device)?;
        let pending = Arc::clone(&entry.pending);
        inner.by_scan.remove(name);
        Ok((tx, pending))
    }

    /// Brings the number that another device shows; the right one ends the transaction, so that of two that bring it one succeeds.
    pub(super) fn number(&self, tx: &Tx, typed: &str, now: Timestamp) -> Result<Option<Agreed>, Refusal> {
        let mut inner = self.lock();
        let agreed = inner.live(tx, now)?.held.number(typed, now)?;
        if agreed.is_some() {
            inner.remove(tx);
        }
        Ok(agreed)
    }

    /// Drops what is over, also where nobody looks: ended transactions, and an ID token that another device brought and whose number was
    /// not typed in time. To be called every few seconds: the token is kept for two minutes and so much longer.
    pub(super) fn sweep(&self, now: Timestamp) {
        let mut inner = self.lock();
        inner.sweep(now);
        for entry in inner.entries.values_mut() {
            entry.held.settle(now);
        }
    }

    /// Ends the transaction: of two that try, one succeeds.
    pub(super) fn end(&self, tx: &Tx) -> Result<(), Refusal> {
        self.lock().remove(tx).map(|_| ()).ok_or(Refusal::TransactionGone)
    }

    /// Ends it, unless another device has taken it meanwhile.
    pub(super) fn end_here(&self, tx: &Tx) -> Result<(), Refusal> {
        let mut inner = self.lock();
        if inner.entries.get(tx).is_none_or(|entry| !entry.held.is_here()) {
            return Err(Refusal::TransactionGone);
        }
        inner.remove(tx);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::held::NUMBER_SECONDS;
    use super::*;
    use hufu_wire::api::platform::{Bilingual, PlatformCertificate, Profile, Registration};
    use hufu_wire::jose::{Alg, Jwks};

    fn pending(pushed: Option<u8>, exp: i64) -> Pending {
        of_client("c", pushed, exp)
    }

    fn of_client(client_id: &str, pushed: Option<u8>, exp: i64) -> Pending {
        let certificate = PlatformCertificate {
            root: hufu_kernel::Root::Sandbox,
            client_id: client_id.into(),
            sector_id: "https://c.example".into(),
            name: Bilingual { zh: String::new(), en: String::new() },
            profile: Profile::Fapi2,
            redirect_uris: Vec::new(),
            entitled: Vec::new(),
            purposes: Vec::new(),
            id_token_signed_response_alg: Alg::EdDSA,
            jwks: Jwks::default(),
            client_secret_sha256: None,
            registration: Registration::default(),
            iat: Timestamp(0),
            exp: Timestamp(i64::MAX),
        };
        Pending {
            client: Arc::new(Client { certificate, jws: String::new(), hash: Octets::default() }),
            request: AuthorizationRequest::default(),
            pushed: pushed.map(|name| (Octets([name; 32]), Timestamp(60))),
            began: Octets::default(),
            begun: Timestamp(0),
            exp: Timestamp(exp),
            backchannel: None,
        }
    }

    #[test]
    fn full_is_busy_until_the_oldest_has_ended() {
        let transactions = Transactions::new(2);
        transactions.open(Octets([1; 32]), of_client("a", None, 10), Timestamp(0)).unwrap();
        transactions.open(Octets([2; 32]), of_client("b", None, 20), Timestamp(0)).unwrap();
        assert_eq!(transactions.open(Octets([3; 32]), pending(None, 30), Timestamp(9)), Err(Refusal::Busy));
        assert_eq!(transactions.open(Octets([3; 32]), pending(None, 30), Timestamp(10)), Ok(()));
        assert!(transactions.look(&Octets([1; 32]), Timestamp(10)).is_err());
        assert!(transactions.look(&Octets([2; 32]), Timestamp(10)).is_ok());
    }

    #[test]
    fn a_client_that_fills_its_share_is_busy_and_every_other_goes_on() {
        let transactions = Transactions::new(16);
        let open = |name: u8, client_id: &str, exp: i64, now: i64| {
            transactions.open(Octets([name; 32]), of_client(client_id, None, exp), Timestamp(now))
        };
        for name in 0..4 {
            assert_eq!(open(name, "greedy", 10, 0), Ok(()));
        }
        assert_eq!(open(4, "greedy", 10, 0), Err(Refusal::Busy));
        assert_eq!(open(5, "other", 10, 0), Ok(()));
        // What ends gives its place back: finished, and expired.
        transactions.end(&Octets([0; 32])).unwrap();
        assert_eq!((open(6, "greedy", 20, 0), open(7, "greedy", 20, 0)), (Ok(()), Err(Refusal::Busy)));
        assert_eq!(open(8, "greedy", 30, 10), Ok(()));
        assert_eq!(transactions.lock().by_client, HashMap::from([("greedy".to_owned(), 2)]));
    }

    #[test]
    fn a_pushed_request_has_one_transaction_at_a_time() {
        let transactions = Transactions::new(8);
        for tx in 0..100 {
            transactions.open(Octets([tx; 32]), pending(Some(7), 10), Timestamp(0)).unwrap();
        }
        assert!(transactions.look(&Octets([98; 32]), Timestamp(0)).is_err());
        assert!(transactions.look(&Octets([99; 32]), Timestamp(0)).is_ok());
        assert_eq!(transactions.lock().entries.len(), 1);
    }

    #[test]
    fn a_transaction_is_served_once_and_ended_once() {
        let transactions = Transactions::new(8);
        let tx = Octets([1; 32]);
        transactions.open(tx, pending(Some(1), 10), Timestamp(0)).unwrap();
        assert!(transactions.serve(&tx, Timestamp(0)).is_ok());
        assert!(transactions.serve(&tx, Timestamp(0)).is_err());
        assert!(transactions.end(&tx).is_ok());
        assert!(transactions.end(&tx).is_err());
        let inner = transactions.lock();
        assert!(
            inner.entries.is_empty()
                && inner.by_end.is_empty()
                && inner.by_pushed.is_empty()
                && inner.by_client.is_empty()
        );
    }

    #[test]
    fn a_showing_stands_for_its_transaction_until_it_is_scanned_shown_anew_or_over() {
        let transactions = Transactions::new(8);
        let (tx, name, other) = (Octets([1; 32]), Octets([2; 16]), Octets([3; 16]));
        let phone = Octets([4; 32]);
        let scan = |name: &ScanName, now: i64| transactions.scan(name, phone, Timestamp(now)).map(|(tx, _)| tx);
        transactions.open(tx, pending(None, 600), Timestamp(0)).unwrap();
        assert_eq!(scan(&name, 0), Err(Refusal::TransactionGone));
        transactions.show(&tx, name, Timestamp(0)).unwrap();
        transactions.show(&tx, other, Timestamp(100)).unwrap();
        assert_eq!(scan(&name, 100), Err(Refusal::TransactionGone));
        assert_eq!(scan(&other, 100), Ok(tx));
        assert_eq!(scan(&other, 100), Err(Refusal::TransactionGone));
        assert!(transactions.lock().by_scan.is_empty());
        // What nobody scans goes with its transaction.
        transactions.end(&tx).unwrap();
        transactions.open(tx, pending(None, 600), Timestamp(0)).unwrap();
        transactions.show(&tx, name, Timestamp(0)).unwrap();
        assert_eq!(transactions.lock().by_scan.len(), 1);
        assert_eq!(scan(&name, 600), Err(Refusal::TransactionGone));
        transactions.open(Octets([5; 32]), pending(None, 900), Timestamp(600)).unwrap();
        assert!(transactions.lock().by_scan.is_empty());
    }

    #[test]
    fn an_id_token_that_nobody_fetches_is_dropped_by_the_sweep_after_two_minutes() {
        let transactions = Transactions::new(8);
        let (tx, name, began) = (Octets([1; 32]), Octets([2; 16]), Timestamp(0));
        transactions.open(tx, pending(None, 600), began).unwrap();
        transactions.show(&tx, name, began).unwrap();
        transactions.scan(&name, Octets([4; 32]), began).unwrap();
        let agreed = Agreed {
            id_token: "token".into(),
            handle: None,
            sub: "sub".into(),
            strength: hufu_kernel::Strength::Certificate,
        };
        let rng = hufu_kernel::SeededRng::new(1);
        transactions.with(&tx, began, |_, held| held.agree(agreed, &rng, began)).unwrap();
        let keeps = || transactions.lock().entries.values().any(|entry| entry.held.keeps_token());
        transactions.sweep(began + (NUMBER_SECONDS - 1));
        assert!(keeps(), "the control: until then it is kept");
        transactions.sweep(began + NUMBER_SECONDS);
        assert!(!keeps());
        assert!(transactions.look(&tx, began + NUMBER_SECONDS).is_ok(), "the browser that began still hears why");
        transactions.sweep(began + 600);
        assert!(transactions.lock().entries.is_empty());
    }

    #[test]
    fn an_ended_transaction_is_gone_even_before_it_is_swept() {
        let transactions = Transactions::new(8);
        transactions.open(Octets([1; 32]), pending(None, 10), Timestamp(0)).unwrap();
        assert!(transactions.look(&Octets([1; 32]), Timestamp(9)).is_ok());
        assert_eq!(transactions.look(&Octets([1; 32]), Timestamp(10)).err(), Some(Refusal::TransactionGone));
        assert_eq!(transactions.serve(&Octets([1; 32]), Timestamp(10)).err(), Some(Refusal::TransactionGone));
    }
}
