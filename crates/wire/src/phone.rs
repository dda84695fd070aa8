//! Mobile numbers of the Chinese mainland, the only ones that enrolment takes.

use crate::typed_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A mainland mobile number in canonical E.164 form: `+86` and 11 digits, the first 1, the second 3 to 9.
///
/// Which of the three-digit blocks are in use changes every year, so no finer check is made: a code sent to the number
/// decides. `Debug` is masked, there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(try_from = "String", into = "String")]
pub struct Phone(String);

/// Why a text is no mainland mobile number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PhoneError {
    /// Something besides digits, spaces, hyphens and a leading plus sign.
    #[error("a character that no telephone number has")]
    Character,
    /// A country code other than 86.
    #[error("not a number of the Chinese mainland")]
    Country,
    /// Not 11 digits.
    #[error("a mobile number has eleven digits")]
    Length,
    /// Not in a mobile range.
    #[error("not a mobile number")]
    NotMobile,
}

impl Phone {
    /// Reads what a person typed: spaces, hyphens, full-width forms and the prefixes `+86`, `0086` and `86` are accepted.
    ///
    /// # Errors
    /// See [`PhoneError`].
    pub fn parse(text: &str) -> Result<Self, PhoneError> {
        let text = text.trim();
        let (international, rest) = match text.strip_prefix(['+', '\u{ff0b}']) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let digits = typed_text::alphanumeric(rest).ok_or(PhoneError::Character)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(PhoneError::Character);
        }
        let (international, digits) = match digits.strip_prefix("00") {
            Some(rest) if !international => (true, rest),
            _ => (international, digits.as_str()),
        };
        let national = match digits.strip_prefix("86") {
            Some(rest) if international || digits.len() == 13 => rest,
            _ if international => return Err(PhoneError::Country),
            _ => digits,
        };
        match national.as_bytes() {
            [b'1', b'3'..=b'9', ..] if national.len() == 11 => Ok(Self(format!("+86{national}"))),
            digits if digits.len() == 11 => Err(PhoneError::NotMobile),
            _ => Err(PhoneError::Length),
        }
    }

    /// The `n`-th number of the sandbox, `+86 199 99xx xxxx`; `n` is taken modulo one million.
    ///
    /// China has no block reserved for fiction that we know of. 199 is a block in real use, so these numbers *could* be
    /// somebody's; that none of them is ever called is our convention, held by the sandbox having no way to send
    /// anything except its own telephone simulator.
    #[must_use]
    pub fn sandbox(n: u32) -> Self {
        Self(format!("+8619999{:06}", n % 1_000_000))
    }

    /// Whether the number is in the range that [`Phone::sandbox`] makes. `hufu serve` never sends to one.
    #[must_use]
    pub fn is_sandbox(&self) -> bool {
        self.0.starts_with("+8619999")
    }

    /// `+86` and 11 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As Chinese pages show it: `199****1234`.
    #[must_use]
    pub fn masked(&self) -> String {
        format!("{}****{}", &self.0[3..6], &self.0[10..])
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({})", self.masked())
    }
}

impl TryFrom<String> for Phone {
    type Error = PhoneError;
    /// Only the canonical form.
    fn try_from(text: String) -> Result<Self, PhoneError> {
        let phone = Self::parse(&text)?;
        if phone.0 == text { Ok(phone) } else { Err(PhoneError::Character) }
    }
}

impl From<Phone> for String {
    fn from(mut phone: Phone) -> Self {
        std::mem::take(&mut phone.0)
    }
}

impl std::str::FromStr for Phone {
    type Err = PhoneError;
    fn from_str(text: &str) -> Result<Self, PhoneError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_ways_of_writing_a_number_are_one_number() {
        for text in [
            "19999123456",
            "199 9912 3456",
            "199-9912-3456",
            "+86 199 9912 3456",
            "＋８６１９９９９１２３４５６",
            "0086 19999123456",
            "8619999123456",
        ] {
            assert_eq!(Phone::parse(text).unwrap().as_str(), "+8619999123456", "{text}");
        }
    }

    #[test]
    fn other_numbers_are_refused_with_the_reason() {
        for (text, why) in [
            ("", PhoneError::Length),
            ("1999912345", PhoneError::Length),
            ("199991234567", PhoneError::Length),
            ("+86 8619999123456", PhoneError::Length),
            ("+852 5123 4567", PhoneError::Country),
            ("0044 7700 900123", PhoneError::Country),
            ("12999123456", PhoneError::NotMobile),
            ("01062345678", PhoneError::NotMobile),
            ("199x9123456", PhoneError::Character),
            ("199+99123456", PhoneError::Character),
            ("১৯৯৯৯১২৩৪৫৬", PhoneError::Character),
        ] {
            assert_eq!(Phone::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn printing_shows_seven_digits_at_most() {
        let phone = Phone::sandbox(123_456);
        assert_eq!(format!("{phone:?}"), "Phone(199****3456)");
        assert!(phone.is_sandbox());
        assert!(!Phone::parse("13800138000").unwrap().is_sandbox());
    }

    #[test]
    fn json_takes_only_the_canonical_form() {
        assert!(serde_json::from_str::<Phone>("\"+8619999123456\"").is_ok());
        assert!(serde_json::from_str::<Phone>("\"19999123456\"").is_err());
    }

    proptest! {
        #[test]
        fn every_sandbox_number_parses_back(n: u32) {
            let phone = Phone::sandbox(n);
            prop_assert_eq!(&Phone::parse(phone.as_str())?, &phone);
        }

        #[test]
        fn what_parses_is_canonical(text in "[+0-9 -]{0,20}|\\PC{0,20}") {
            if let Ok(phone) = Phone::parse(&text) {
                prop_assert_eq!(phone.as_str().len(), 14);
                prop_assert_eq!(&Phone::parse(phone.as_str())?, &phone);
            }
        }
    }

    #[test]
    fn fuzz_any_bytes() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _ = Phone::parse(text);
            }
        });
    }
}
