//! The codes that another device scans: new each second, an HMAC of their time, and worth something for three seconds (decision 0028;
//! Smart-ID+ shows none that is older).

use super::held::SecretHash;
use super::transactions::Tx;
use aws_lc_rs::hmac;
use hufu_kernel::{Octets, Timestamp, b64, framed, unb64};
use hufu_oidc::{Form, Pairs};
use subtle::ConstantTimeEq;

/// Seconds after which a code is too old.
pub const SCAN_SECONDS: i64 = 3;

/// Bytes of the HMAC that stand in a code: what is guessed at has three seconds and one transaction.
const MAC: usize = 16;

/// Makes and knows codes, under a key of the process.
pub(super) struct ScanCodes(hmac::Key);

/// A code as it was scanned: not yet one of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scanned {
    pub tx: Tx,
    made: Timestamp,
    mac: Vec<u8>,
}

impl ScanCodes {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn mac(&self, tx: &Tx, made: Timestamp, began: &SecretHash) -> Vec<u8> {
        let parts: [&[u8]; 4] = [b"hufu-v1-elsewhere", tx.as_slice(), &made.to_be_bytes(), began.as_slice()];
        hmac::sign(&self.0, &framed(&parts)).as_ref()[..MAC].to_vec()
    }

    /// The code of this second, as a query.
    pub(super) fn query(&self, tx: &Tx, began: &SecretHash, now: Timestamp) -> String {
        let pairs = Pairs::default().with("tx", &b64(tx.as_slice())).with("t", &now.0.to_string());
        pairs.with("code", &b64(&self.mac(tx, now, began))).encode()
    }

    /// Whether it was made here, for this transaction of this browser.
    pub(super) fn knows(&self, scanned: &Scanned, began: &SecretHash) -> bool {
        self.mac(&scanned.tx, scanned.made, began).ct_eq(&scanned.mac).into()
    }
}

impl Scanned {
    /// Reads a query.
    pub(super) fn read(query: &str) -> Option<Self> {
        let form = Form::parse(query).ok()?;
        let tx = Octets::try_from(unb64(form.get("tx")?)?.as_slice()).ok()?;
        let made = form.get("t").filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        let mac = unb64(form.get("code")?).filter(|mac| mac.len() == MAC)?;
        Some(Self { tx, made: Timestamp(made), mac })
    }

    /// Whether it was made in the last three seconds, and not in the future.
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        self.made <= now && now <= self.made + SCAN_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TX: Tx = Octets([1; 32]);
    const BEGAN: SecretHash = Octets([2; 32]);
    const NOW: Timestamp = Timestamp(1_900_000_000);

    #[test]
    fn a_code_is_known_by_its_own_front_for_its_own_browser_and_transaction() {
        let codes = ScanCodes::new(&[7; 32]);
        let scanned = Scanned::read(&codes.query(&TX, &BEGAN, NOW)).unwrap();
        assert_eq!(scanned.tx, TX);
        assert!(codes.knows(&scanned, &BEGAN));
        assert!(!codes.knows(&scanned, &Octets([3; 32])), "another browser's");
        assert!(!ScanCodes::new(&[8; 32]).knows(&scanned, &BEGAN), "another process's");
        assert!(!codes.knows(&Scanned { tx: Octets([9; 32]), ..scanned.clone() }, &BEGAN));
        assert!(!codes.knows(&Scanned { made: NOW + 1, ..scanned }, &BEGAN), "made fresh by whoever has it");
    }

    #[test]
    fn a_code_is_fresh_for_three_seconds() {
        let scanned = Scanned::read(&ScanCodes::new(&[7; 32]).query(&TX, &BEGAN, NOW)).unwrap();
        let fresh = [-1, 0, 3, 4].map(|after| scanned.is_fresh(NOW + after));
        assert_eq!(fresh, [false, true, true, false]);
    }

    proptest! {
        #[test]
        fn what_is_not_made_here_is_not_known(query in "(tx=[A-Za-z0-9_-]{0,44}&)?(t=-?[0-9]{0,20}&)?(code=[A-Za-z0-9_-]{0,23})?") {
            prop_assert!(Scanned::read(&query).is_none_or(|scanned| !ScanCodes::new(&[7; 32]).knows(&scanned, &BEGAN)));
        }
    }
}
