//! The codes that another device scans: new each second, an HMAC of their time, and worth something for three seconds (decision 0028;
//! Smart-ID+ shows none that is older). They name the showing and never the transaction: whoever merely sees one has no name by which
//! the transaction could be fetched.

use aws_lc_rs::hmac;
use hufu_kernel::{Octets, Timestamp, b64, framed, unb64};
use hufu_oidc::{Form, Pairs};
use subtle::ConstantTimeEq;

/// Seconds after which a code is too old.
pub const SCAN_SECONDS: i64 = 3;

/// Bytes of the HMAC that stand in a code: what is guessed at has three seconds and one transaction.
const MAC: usize = 16;

/// What a showing of codes goes by: 16 random bytes that stand for a transaction as long as its codes are shown, and say nothing of it.
pub(super) type ScanName = Octets<16>;

/// Makes and knows codes, under a key of the process.
pub(super) struct ScanCodes(hmac::Key);

/// A code as it was scanned: not yet one of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scanned {
    pub name: ScanName,
    made: Timestamp,
    mac: Vec<u8>,
}

impl ScanCodes {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn mac(&self, name: &ScanName, made: Timestamp) -> Vec<u8> {
        let parts: [&[u8]; 3] = [b"hufu-v1-elsewhere", name.as_slice(), &made.to_be_bytes()];
        hmac::sign(&self.0, &framed(&parts)).as_ref()[..MAC].to_vec()
    }

    /// The code of this second, as a query.
    pub(super) fn query(&self, name: &ScanName, now: Timestamp) -> String {
        let pairs = Pairs::default().with("name", &b64(name.as_slice())).with("t", &now.0.to_string());
        pairs.with("code", &b64(&self.mac(name, now))).encode()
    }

    /// Whether it was made here.
    pub(super) fn knows(&self, scanned: &Scanned) -> bool {
        self.mac(&scanned.name, scanned.made).ct_eq(&scanned.mac).into()
    }
}

impl Scanned {
    /// Reads a query.
    pub(super) fn read(query: &str) -> Option<Self> {
        let form = Form::parse(query).ok()?;
        let name = Octets::try_from(unb64(form.get("name")?)?.as_slice()).ok()?;
        let made = form.get("t").filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        let mac = unb64(form.get("code")?).filter(|mac| mac.len() == MAC)?;
        Some(Self { name, made: Timestamp(made), mac })
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

    const NAME: ScanName = Octets([1; 16]);
    const NOW: Timestamp = Timestamp(1_900_000_000);

    #[test]
    fn a_code_is_known_by_its_own_front_for_its_own_showing() {
        let codes = ScanCodes::new(&[7; 32]);
        let scanned = Scanned::read(&codes.query(&NAME, NOW)).unwrap();
        assert_eq!(scanned.name, NAME);
        assert!(codes.knows(&scanned));
        assert!(!ScanCodes::new(&[8; 32]).knows(&scanned), "another process's");
        assert!(!codes.knows(&Scanned { name: Octets([9; 16]), ..scanned.clone() }), "another showing's");
        assert!(!codes.knows(&Scanned { made: NOW + 1, ..scanned }), "made fresh by whoever has it");
    }

    #[test]
    fn a_code_is_fresh_for_three_seconds() {
        let scanned = Scanned::read(&ScanCodes::new(&[7; 32]).query(&NAME, NOW)).unwrap();
        let fresh = [-1, 0, 3, 4].map(|after| scanned.is_fresh(NOW + after));
        assert_eq!(fresh, [false, true, true, false]);
    }

    proptest! {
        #[test]
        fn what_is_not_made_here_is_not_known(query in "(name=[A-Za-z0-9_-]{0,23}&)?(t=-?[0-9]{0,20}&)?(code=[A-Za-z0-9_-]{0,23})?") {
            prop_assert!(Scanned::read(&query).is_none_or(|scanned| !ScanCodes::new(&[7; 32]).knows(&scanned)));
        }
    }
}
