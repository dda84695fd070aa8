//! Signing in with another device (decision 0028). The browser that came from the platform shows codes; a device that scans one has the
//! transaction from then on; when its person has agreed, it shows a number, and only the browser that began, by the cookie of its
//! beginning, brings the platform its code for it.

use super::Front;
use super::held::{Progress, Shows, Side};
use super::scan::Scanned;
use super::sign_in::{read_tx, see_other};
use super::transactions::{Pending, Tx};
use hufu_kernel::{Lang, Octets, Refusal, b64, random};
use hufu_oidc::{Pairs, Reply, with_query};
use hufu_wire::api::platform::Bilingual;
use hufu_wire::api::sign_in::Continue;

/// What the browser that began shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elsewhere {
    /// The platform, by the registry's word.
    pub platform: Bilingual,
    /// The language that the platform asked for.
    pub lang: Option<Lang>,
    /// How far it is.
    pub progress: Progress,
    /// What another device may scan now: an address that is good for three seconds.
    pub scan: Option<String>,
}

/// What the other device shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnDevice {
    /// The platform, by the registry's word.
    pub platform: Bilingual,
    /// The language that the platform asked for.
    pub lang: Option<Lang>,
    /// What to do.
    pub shows: Shows,
}

impl Front {
    /// The browser that began wants to sign in with another device, or looks how far that is: codes are shown for a minute from now.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], [`Refusal::TransactionGone`], [`Refusal::TransactionCookie`].
    pub fn elsewhere(&self, tx: &str, cookies: &[&str]) -> Result<Elsewhere, Refusal> {
        self.seen_from_beginning(tx, cookies, true)
    }

    /// The same, without showing codes any longer than before: for what is looked at every second.
    ///
    /// # Errors
    /// As [`Front::elsewhere`].
    pub fn elsewhere_now(&self, tx: &str, cookies: &[&str]) -> Result<Elsewhere, Refusal> {
        self.seen_from_beginning(tx, cookies, false)
    }

    fn seen_from_beginning(&self, tx: &str, cookies: &[&str], show: bool) -> Result<Elsewhere, Refusal> {
        let (tx, now) = (read_tx(tx)?, self.now());
        if show {
            let pending = self.transactions.look(&tx, now)?;
            self.began(&pending, cookies)?;
            self.transactions.show(&tx, Octets(random(self.ports.rng.as_ref())), now)?;
        }
        self.transactions.with(&tx, now, |pending, held| {
            self.began(pending, cookies)?;
            let progress = held.progress(now);
            let shown = held.scan_name().filter(|_| progress == Progress::Showing);
            let scan = shown
                .map(|name| format!("{}/elsewhere/scanned?{}", self.provider.issuer, self.scans.query(&name, now)));
            let platform = pending.client.certificate.name.clone();
            Ok(Elsewhere { platform, lang: pending.request.lang, progress, scan })
        })
    }

    /// A device scanned a code: if it is one of the last three seconds and no other was faster, the device gets a secret of its own and
    /// is sent to the wallet's page. `query` is what stood in the code. Only that device learns the transaction's name.
    ///
    /// # Errors
    /// [`Refusal::Malformed`]; [`Refusal::TransactionGone`] for no code of ours, or one that was used; [`Refusal::ScanStale`].
    pub fn scanned(&self, query: &str, cookies: &[&str]) -> Result<Reply, Refusal> {
        let now = self.now();
        let scanned = Scanned::read(query).ok_or(Refusal::Malformed)?;
        if !self.scans.knows(&scanned) {
            return Err(Refusal::TransactionGone);
        }
        if !scanned.is_fresh(now) {
            return Err(Refusal::ScanStale);
        }
        let begun = self.cookies.begin(cookies, self.ports.rng.as_ref());
        let (tx, pending) = self.transactions.scan(&scanned.name, begun.hash, now)?;
        let mut reply = see_other(self.page_of(&pending.request, &tx, now, Side::Elsewhere));
        reply.headers.extend(begun.set.into_iter().map(|cookie| ("set-cookie", cookie)));
        Ok(reply)
    }

    /// What the device that scanned shows when its person has answered.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], [`Refusal::TransactionGone`], [`Refusal::TransactionCookie`].
    pub fn on_device(&self, tx: &str, cookies: &[&str]) -> Result<OnDevice, Refusal> {
        let (tx, now) = (read_tx(tx)?, self.now());
        self.transactions.with(&tx, now, |pending, held| {
            let shows = held.shows(|secret| self.cookies.holds(cookies, secret), now)?;
            let platform = pending.client.certificate.name.clone();
            Ok(OnDevice { platform, lang: pending.request.lang, shows })
        })
    }

    /// The browser that began brings the number that the other device shows, and gets the platform's code. `None`: it is another number,
    /// which counts.
    ///
    /// # Errors
    /// As [`Front::elsewhere`]; [`Refusal::TransactionGone`] also if there is nothing more to bring.
    pub async fn number(&self, tx: &str, typed: &str, cookies: &[&str]) -> Result<Option<Continue>, Refusal> {
        let (tx, now) = (read_tx(tx)?, self.now());
        let pending = self.transactions.look(&tx, now)?;
        self.began(&pending, cookies)?;
        match self.transactions.number(&tx, typed, now)? {
            Some(agreed) => Ok(Some(self.granted(&pending, &agreed).await?)),
            None => Ok(None),
        }
    }

    /// The browser that began goes back to the platform without an answer, whoever holds the transaction.
    ///
    /// # Errors
    /// As [`Front::elsewhere`].
    pub async fn give_up(&self, tx: &str, cookies: &[&str]) -> Result<Continue, Refusal> {
        let tx = read_tx(tx)?;
        let pending = self.transactions.look(&tx, self.now())?;
        self.began(&pending, cookies)?;
        self.transactions.end(&tx)?;
        self.denied(&pending).await
    }

    /// Where the other device's person reads what to do after answering.
    pub(super) fn number_page(&self, tx: &Tx) -> String {
        let query = Pairs::default().with("tx", &b64(tx.as_slice()));
        with_query(&format!("{}/elsewhere/number", self.provider.issuer), &query)
    }

    fn began(&self, pending: &Pending, cookies: &[&str]) -> Result<(), Refusal> {
        if self.cookies.holds(cookies, &pending.began) { Ok(()) } else { Err(Refusal::TransactionCookie) }
    }
}
