//! Who holds a transaction: whose wallet may fetch it, and who may complete it (decision 0028). Every way ends where it began, at the
//! browser that came from the platform.

use super::scan::ScanName;
use hufu_kernel::{Octets, Refusal, Rng, Strength, Timestamp, random};
use hufu_wire::subject_handle::SubjectHandle;
use subtle::ConstantTimeEq;

/// Seconds for which a browser shows codes at a stretch.
pub const SHOW_SECONDS: i64 = 60;

/// Seconds in which the number that the other device shows must be typed.
pub const NUMBER_SECONDS: i64 = 120;

/// How often it may be typed wrongly.
pub const NUMBER_TRIES: u8 = 3;

/// Digits of that number.
const DIGITS: usize = 8;

/// SHA-256 of a secret that a browser holds.
pub(super) type SecretHash = Octets<32>;

/// What the person's wallet brought, checked.
#[derive(Clone)]
pub(super) struct Agreed {
    /// As two nodes signed it.
    pub id_token: String,
    /// The subject handle that came with it, for who registered for one.
    pub handle: Option<SubjectHandle>,
    /// The token's `sub`.
    pub sub: String,
    /// How the person proved who they are.
    pub strength: Strength,
}

/// Why a sign-in on another device ended without one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The person refused there.
    Refused,
    /// The number was typed wrongly too often.
    Guessed,
    /// The number was not typed in time.
    Late,
}

/// How far a sign-in on another device is, as the browser that began sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// No device has it; codes are shown.
    Showing,
    /// No device has it, and no code is shown.
    Hidden,
    /// A device has scanned a code.
    Scanned,
    /// The person agreed there; so many wrong numbers may still be typed.
    Agreed {
        /// Tries that are left.
        tries: u8,
    },
    /// It is over.
    Ended(Ended),
}

/// What the other device shows its person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shows {
    /// The number to type where the sign-in began, in two groups.
    Number(String),
    /// Nothing is left to do there.
    Ended(Ended),
}

/// On which side somebody may complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// In the browser that began.
    Here,
    /// On a device that scanned a code.
    Elsewhere,
}

enum Holder {
    /// A wallet that waits, by the secret it was given.
    Wallet,
    /// The browser that began.
    Browser,
    /// The same; it shows codes until this time, by this name.
    Showing(Timestamp, ScanName),
    /// A device that scanned one of them, by the secret it got.
    Device(SecretHash),
    /// That device's person agreed: the browser that began is to bring the number.
    Agreed(Box<Awaited>),
    /// Nobody any more: the browser that began may tell the platform.
    Over(Ended, SecretHash),
}

struct Awaited {
    device: SecretHash,
    agreed: Agreed,
    number: Number,
    until: Timestamp,
    wrong: u8,
}

/// Eight digits that prove that the person at the other device and the one at this browser speak to each other.
struct Number([u8; DIGITS]);

impl Number {
    fn draw(rng: &dyn Rng) -> Self {
        let mut rest = u64::from_be_bytes(random(rng));
        let mut digits = [0; DIGITS];
        for digit in digits.iter_mut().rev() {
            // A remainder of ten is one of ten digits.
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        Self(digits)
    }

    fn grouped(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        format!("{} {}", &text[..DIGITS / 2], &text[DIGITS / 2..])
    }

    /// Typed with or without spaces, in digits of any width.
    fn is(&self, typed: &str) -> bool {
        let digits: Vec<u8> = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').map(digit).collect();
        digits.as_slice().ct_eq(&self.0).into()
    }
}

/// The digit as ASCII has it; what is none stays none.
fn digit(c: char) -> u8 {
    let wide = u32::from(c).checked_sub(0xff10).filter(|value| *value < 10);
    let plain = c.to_digit(10);
    wide.or(plain).and_then(|value| u8::try_from(value).ok()).map_or(0, |value| b'0' + value)
}

/// Who holds one transaction.
pub(super) struct Held {
    by: Holder,
    served: bool,
}

impl Held {
    /// As every transaction begins.
    pub(super) fn by_browser() -> Self {
        Self { by: Holder::Browser, served: false }
    }

    /// As a transaction begins that no browser began.
    pub(super) fn by_wallet() -> Self {
        Self { by: Holder::Wallet, served: false }
    }

    /// Gives the transaction to the wallet of whoever holds it, once.
    pub(super) fn serve(&mut self) -> Result<(), Refusal> {
        let open = matches!(self.by, Holder::Wallet | Holder::Browser | Holder::Showing(..) | Holder::Device(_));
        if !open || std::mem::replace(&mut self.served, true) { Err(Refusal::TransactionGone) } else { Ok(()) }
    }

    /// Whether another device has it, or had it last.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self.by, Holder::Device(_) | Holder::Agreed(_) | Holder::Over(..))
    }

    /// Whether the browser that began has it.
    pub(super) fn is_here(&self) -> bool {
        matches!(self.by, Holder::Browser | Holder::Showing(..))
    }

    /// The browser that began shows codes, for a minute from now, as long as no device has it: by the name they go by already, else by
    /// `fresh`, which nobody has seen.
    pub(super) fn show(&mut self, fresh: ScanName, now: Timestamp) {
        let name = match self.by {
            Holder::Showing(until, name) if now < until => name,
            Holder::Browser | Holder::Showing(..) => fresh,
            _ => return,
        };
        self.by = Holder::Showing(now + SHOW_SECONDS, name);
    }

    /// What its codes go by, or went by last, as long as no device has it.
    pub(super) fn scan_name(&self) -> Option<ScanName> {
        if let Holder::Showing(_, name) = self.by { Some(name) } else { None }
    }

    /// A device scanned a code: from now on it has the transaction, and the browser that began has it no more.
    pub(super) fn scan(&mut self, device: SecretHash) -> Result<(), Refusal> {
        let Holder::Showing(..) = self.by else { return Err(Refusal::TransactionGone) };
        *self = Self { by: Holder::Device(device), served: false };
        Ok(())
    }

    /// On which side somebody may complete or refuse who holds what `holds` says; `began` is the secret of who began.
    pub(super) fn side(&self, began: &SecretHash, holds: impl Fn(&SecretHash) -> bool) -> Result<Side, Refusal> {
        let (secret, side) = match &self.by {
            Holder::Browser | Holder::Showing(..) => (began, Side::Here),
            Holder::Device(device) => (device, Side::Elsewhere),
            // Its secret is never a cookie.
            Holder::Wallet => return Err(Refusal::TransactionCookie),
            Holder::Agreed(_) | Holder::Over(..) => return Err(Refusal::TransactionGone),
        };
        if holds(secret) { Ok(side) } else { Err(Refusal::TransactionCookie) }
    }

    /// The device's person agreed.
    pub(super) fn agree(&mut self, agreed: Agreed, rng: &dyn Rng, now: Timestamp) -> Result<(), Refusal> {
        let Holder::Device(device) = self.by else { return Err(Refusal::TransactionGone) };
        let awaited = Awaited { device, agreed, number: Number::draw(rng), until: now + NUMBER_SECONDS, wrong: 0 };
        self.by = Holder::Agreed(Box::new(awaited));
        Ok(())
    }

    /// The device's person refused.
    pub(super) fn refuse(&mut self) -> Result<(), Refusal> {
        let Holder::Device(device) = self.by else { return Err(Refusal::TransactionGone) };
        self.by = Holder::Over(Ended::Refused, device);
        Ok(())
    }

    /// The browser that began brings a number; `None` is another one. After the right one the transaction is to be ended.
    pub(super) fn number(&mut self, typed: &str, now: Timestamp) -> Result<Option<Agreed>, Refusal> {
        self.settle(now);
        let Holder::Agreed(awaited) = &mut self.by else {
            return if matches!(self.by, Holder::Over(..)) { Err(Refusal::TransactionGone) } else { Ok(None) };
        };
        if awaited.number.is(typed) {
            return Ok(Some(awaited.agreed.clone()));
        }
        awaited.wrong += 1;
        if awaited.wrong >= NUMBER_TRIES {
            self.by = Holder::Over(Ended::Guessed, awaited.device);
        }
        Ok(None)
    }

    /// How far it is.
    pub(super) fn progress(&mut self, now: Timestamp) -> Progress {
        self.settle(now);
        match &self.by {
            Holder::Wallet | Holder::Browser => Progress::Hidden,
            Holder::Showing(until, _) if now < *until => Progress::Showing,
            Holder::Showing(..) => Progress::Hidden,
            Holder::Device(_) => Progress::Scanned,
            Holder::Agreed(awaited) => Progress::Agreed { tries: NUMBER_TRIES - awaited.wrong },
            Holder::Over(ended, _) => Progress::Ended(*ended),
        }
    }

    /// What the device that scanned shows.
    pub(super) fn shows(&mut self, holds: impl Fn(&SecretHash) -> bool, now: Timestamp) -> Result<Shows, Refusal> {
        self.settle(now);
        let (device, shows) = match &self.by {
            Holder::Agreed(awaited) => (&awaited.device, Shows::Number(awaited.number.grouped())),
            Holder::Over(ended, device) => (device, Shows::Ended(*ended)),
            _ => return Err(Refusal::TransactionGone),
        };
        if holds(device) { Ok(shows) } else { Err(Refusal::TransactionCookie) }
    }

    /// Whether an ID token is in it.
    #[cfg(test)]
    pub(super) fn keeps_token(&self) -> bool {
        matches!(self.by, Holder::Agreed(_))
    }

    /// A number that was not typed in time is none, and what it was for is dropped.
    pub(super) fn settle(&mut self, now: Timestamp) {
        if let Holder::Agreed(awaited) = &self.by
            && now >= awaited.until
        {
            self.by = Holder::Over(Ended::Late, awaited.device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::SeededRng;
    use proptest::prelude::*;

    const BEGAN: SecretHash = Octets([1; 32]);
    const PHONE: SecretHash = Octets([2; 32]);
    const NOW: Timestamp = Timestamp(1000);
    const NAME: ScanName = Octets([7; 16]);

    fn agreed() -> Agreed {
        Agreed { id_token: "token".into(), handle: None, sub: "sub".into(), strength: Strength::Certificate }
    }

    fn scanned() -> Held {
        let mut held = Held::by_browser();
        held.show(NAME, NOW);
        held.scan(PHONE).unwrap();
        held
    }

    fn number(held: &mut Held) -> String {
        match held.shows(|hash| *hash == PHONE, NOW) {
            Ok(Shows::Number(number)) => number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nobody_takes_what_is_not_shown_and_one_takes_what_is() {
        let mut held = Held::by_browser();
        assert_eq!(held.scan(PHONE), Err(Refusal::TransactionGone));
        held.show(NAME, NOW);
        assert_eq!(held.scan(PHONE), Ok(()));
        assert_eq!(held.scan(Octets([3; 32])), Err(Refusal::TransactionGone));
        held.show(NAME, NOW);
        assert_eq!(held.progress(NOW), Progress::Scanned, "showing again takes nothing back");
    }

    #[test]
    fn each_showing_goes_by_a_name_of_its_own_until_a_device_has_it() {
        let other: ScanName = Octets([8; 16]);
        let mut held = Held::by_browser();
        assert_eq!(held.scan_name(), None);
        held.show(NAME, NOW);
        held.show(other, NOW + SHOW_SECONDS - 1);
        assert_eq!(held.scan_name(), Some(NAME), "a page that is loaded again spoils no code");
        held.show(other, NOW + 2 * SHOW_SECONDS);
        assert_eq!(held.scan_name(), Some(other));
        held.scan(PHONE).unwrap();
        assert_eq!(held.scan_name(), None);
    }

    #[test]
    fn who_holds_it_completes_it_and_nobody_else() {
        let by = |held: &Held, secret: SecretHash| held.side(&BEGAN, move |hash| *hash == secret);
        let mut held = Held::by_browser();
        assert_eq!((by(&held, BEGAN), by(&held, PHONE)), (Ok(Side::Here), Err(Refusal::TransactionCookie)));
        held.show(NAME, NOW);
        assert_eq!(by(&held, BEGAN), Ok(Side::Here));
        let mut held = scanned();
        assert_eq!((by(&held, PHONE), by(&held, BEGAN)), (Ok(Side::Elsewhere), Err(Refusal::TransactionCookie)));
        held.agree(agreed(), &SeededRng::new(1), NOW).unwrap();
        assert_eq!(
            (by(&held, PHONE), by(&held, BEGAN)),
            (Err(Refusal::TransactionGone), Err(Refusal::TransactionGone))
        );
        let mut held = scanned();
        held.refuse().unwrap();
        assert_eq!(by(&held, PHONE), Err(Refusal::TransactionGone));
        assert!(held.agree(agreed(), &SeededRng::new(1), NOW).is_err());
    }

    #[test]
    fn what_a_wallet_waits_for_is_no_browsers() {
        let mut held = Held::by_wallet();
        held.show(NAME, NOW);
        assert_eq!(held.scan(PHONE), Err(Refusal::TransactionGone));
        assert_eq!(held.side(&BEGAN, |_| true), Err(Refusal::TransactionCookie));
        assert!(!held.is_here() && !held.is_elsewhere());
        assert_eq!((held.serve(), held.serve()), (Ok(()), Err(Refusal::TransactionGone)));
    }

    #[test]
    fn each_device_is_served_once() {
        let mut held = Held::by_browser();
        assert_eq!((held.serve(), held.serve()), (Ok(()), Err(Refusal::TransactionGone)));
        held.show(NAME, NOW);
        held.scan(PHONE).unwrap();
        assert_eq!((held.serve(), held.serve()), (Ok(()), Err(Refusal::TransactionGone)));
        let mut held = scanned();
        held.refuse().unwrap();
        assert_eq!(held.serve(), Err(Refusal::TransactionGone));
    }

    #[test]
    fn the_number_is_typed_right_once_within_three_tries_and_two_minutes() {
        let begin = || {
            let mut held = scanned();
            assert!(matches!(held.number("12345678", NOW), Ok(None)), "before there is one, nothing is right");
            held.agree(agreed(), &SeededRng::new(5), NOW).unwrap();
            held
        };
        let mut held = begin();
        let right = number(&mut held);
        let wrong = right.chars().map(|c| if c == '0' { '1' } else { '0' }).collect::<String>();
        for left in [2, 1] {
            assert!(matches!(held.number(&wrong, NOW), Ok(None)));
            assert_eq!(held.progress(NOW), Progress::Agreed { tries: left });
        }
        assert!(matches!(held.number(&right, NOW), Ok(Some(_))));
        let mut held = begin();
        for _ in 0..3 {
            assert!(matches!(held.number(&wrong, NOW), Ok(None)));
        }
        assert_eq!(held.progress(NOW), Progress::Ended(Ended::Guessed));
        assert!(held.number(&right, NOW).is_err());
        let mut held = begin();
        assert!(matches!(held.number(&right, NOW + 119), Ok(Some(_))));
        let mut held = begin();
        assert!(held.number(&right, NOW + 120).is_err());
        assert_eq!(held.progress(NOW + 120), Progress::Ended(Ended::Late));
        assert_eq!(held.shows(|_| true, NOW + 120), Ok(Shows::Ended(Ended::Late)));
        assert_eq!(held.shows(|_| false, NOW + 120), Err(Refusal::TransactionCookie));
    }

    proptest! {
        #[test]
        fn a_number_is_itself_however_it_is_typed_and_nothing_else(seed: u64, typed in "\\PC{0,12}") {
            let number = Number::draw(&SeededRng::new(seed));
            let grouped = number.grouped();
            let wide: String = grouped.chars().map(|c| c.to_digit(10).and_then(|d| char::from_u32(0xff10 + d)).unwrap_or('-')).collect();
            prop_assert!(number.is(&grouped) && number.is(&grouped.replace(' ', "")) && number.is(&wide));
            prop_assert!(!number.is(&typed));
            let (longer, shorter) = (format!("{grouped}0"), &grouped[1..]);
            prop_assert!(!number.is(&longer) && !number.is(shorter));
        }
    }
}
