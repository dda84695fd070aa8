//! The enrolment saga (flows 5): states whose transitions can refuse, and the phone code's rules.

use crate::rules::PhoneCode;
use hufu_kernel::{Octets, Refusal, Timestamp};
use hufu_wire::api::enrolment::NextStep;
use serde::{Deserialize, Serialize};

/// Where an enrolment stands. Every state can be entered again by the step that led to it: steps are idempotent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Details are given; nobody has been told whether they match.
    Detailed,
    /// The face step is behind the person.
    Faced,
    /// A code is on its way.
    Coded,
    /// The phone is proven; from here on refusals may be specific.
    Proven,
    /// The tag is reserved, the root wrapped, the contact stored; nodes are being told.
    Rooted,
    /// Two nodes hold the pending row.
    Delivered,
    /// Uniqueness has confirmed: from here on the person exists.
    Confirmed,
    /// Two nodes are active.
    Active,
    /// A known person's new device is on its way to the nodes, or waits there.
    Recovering,
}

/// What the wallet asks next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Show a face.
    Face,
    /// Send a code.
    SendCode,
    /// Check a code.
    CheckCode,
    /// Make the root.
    Device,
    /// Finish.
    Confirm,
    /// Register a new device of a known person.
    Recover,
}

impl Step {
    /// The step after `action` succeeded.
    ///
    /// # Errors
    /// [`Refusal::EnrolmentOrder`] if the action does not fit: nothing is skipped, nothing is undone.
    pub fn after(self, action: Action) -> Result<Self, Refusal> {
        use Step::{Active, Coded, Confirmed, Delivered, Detailed, Faced, Proven, Recovering, Rooted};
        match (self, action) {
            (Detailed | Faced, Action::Face) => Ok(Faced),
            (Faced | Coded, Action::SendCode) => Ok(Coded),
            (Coded, Action::CheckCode) => Ok(Proven),
            (Proven, Action::Device) => Ok(Rooted),
            (Rooted | Delivered, Action::Device) => Ok(Delivered),
            (Delivered | Confirmed, Action::Confirm) => Ok(Confirmed),
            (Active, Action::Confirm) => Ok(Active),
            (Proven | Recovering, Action::Recover) => Ok(Recovering),
            _ => Err(Refusal::EnrolmentOrder),
        }
    }

    /// The step the wallet is asked for.
    #[must_use]
    pub fn next(self) -> NextStep {
        match self {
            Self::Detailed => NextStep::Face,
            Self::Faced => NextStep::Phone,
            Self::Coded => NextStep::Code,
            Self::Proven | Self::Rooted => NextStep::Device,
            Self::Delivered | Self::Confirmed => NextStep::Confirm,
            Self::Active => NextStep::Done,
            Self::Recovering => NextStep::Wait,
        }
    }
}

/// A sent code, as the draft keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SentCode {
    /// SHA-256 of the code and the enrolment: the draft is sealed, this is one more wall.
    pub digest: Octets<32>,
    /// When it was sent.
    pub sent: Timestamp,
}

/// Codes of one enrolment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Codes {
    /// All sent, oldest first: an older one stays good after a resend.
    pub sent: Vec<SentCode>,
    /// Wrong tries since the last send.
    pub wrong: u32,
}

impl Codes {
    /// Notes a new code.
    ///
    /// # Errors
    /// [`Refusal::TooMany`] if codes are asked for too fast or too often.
    pub fn send(&mut self, digest: Octets<32>, now: Timestamp, rules: &PhoneCode) -> Result<(), Refusal> {
        let soon = self.sent.last().is_some_and(|last| now < last.sent + rules.resend_after_s);
        if soon || self.sent.len() >= usize::try_from(rules.sends).unwrap_or(usize::MAX) {
            return Err(Refusal::TooMany);
        }
        self.sent.push(SentCode { digest, sent: now });
        self.wrong = 0;
        Ok(())
    }

    /// Checks a typed code; a wrong one is counted.
    ///
    /// # Errors
    /// [`Refusal::PhoneCodeTries`], [`Refusal::PhoneCodeExpired`] (it was right, but too old) or [`Refusal::PhoneCode`].
    pub fn check(&mut self, digest: &Octets<32>, now: Timestamp, rules: &PhoneCode) -> Result<(), Refusal> {
        if self.wrong >= rules.tries {
            return Err(Refusal::PhoneCodeTries);
        }
        match self.sent.iter().find(|code| code.digest == *digest) {
            Some(code) if now < code.sent + rules.valid_s => Ok(()),
            Some(_) => Err(Refusal::PhoneCodeExpired),
            None => {
                self.wrong += 1;
                Err(if self.wrong >= rules.tries { Refusal::PhoneCodeTries } else { Refusal::PhoneCode })
            }
        }
    }
}

/// The six digits in what a person typed: spaces and hyphens are accepted, also full-width digits.
#[must_use]
pub fn typed_code(text: &str, rules: &PhoneCode) -> Option<String> {
    let digits: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c {
            '０'..='９' => char::from_digit(u32::from(c) - u32::from('０'), 10).unwrap_or(c),
            c => c,
        })
        .collect();
    let right = digits.len() == usize::try_from(rules.digits).ok()? && digits.bytes().all(|b| b.is_ascii_digit());
    right.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: PhoneCode =
        PhoneCode { digits: 6, valid_s: 900, tries: 5, resend_after_s: 60, sends: 5, hourly_per_phone: 10 };

    #[test]
    fn nothing_is_skipped() {
        for (step, action) in [
            (Step::Detailed, Action::SendCode),
            (Step::Faced, Action::CheckCode),
            (Step::Coded, Action::Device),
            (Step::Proven, Action::Confirm),
            (Step::Rooted, Action::Confirm),
            (Step::Active, Action::Device),
            (Step::Coded, Action::Recover),
            (Step::Rooted, Action::Recover),
            (Step::Recovering, Action::Device),
        ] {
            assert_eq!(step.after(action), Err(Refusal::EnrolmentOrder), "{step:?} {action:?}");
        }
    }

    #[test]
    fn an_older_code_stays_good_after_a_resend() {
        let mut codes = Codes::default();
        codes.send(Octets([1; 32]), Timestamp(0), &RULES).unwrap();
        codes.send(Octets([2; 32]), Timestamp(60), &RULES).unwrap();
        assert_eq!(codes.check(&Octets([1; 32]), Timestamp(61), &RULES), Ok(()));
    }

    #[test]
    fn a_right_but_old_code_is_called_expired_not_wrong() {
        let mut codes = Codes::default();
        codes.send(Octets([1; 32]), Timestamp(0), &RULES).unwrap();
        assert_eq!(codes.check(&Octets([1; 32]), Timestamp(900), &RULES), Err(Refusal::PhoneCodeExpired));
    }

    #[test]
    fn five_wrong_tries_end_guessing_even_with_the_right_code() {
        let mut codes = Codes::default();
        codes.send(Octets([1; 32]), Timestamp(0), &RULES).unwrap();
        for _ in 0..5 {
            let _ = codes.check(&Octets([9; 32]), Timestamp(1), &RULES);
        }
        assert_eq!(codes.check(&Octets([1; 32]), Timestamp(2), &RULES), Err(Refusal::PhoneCodeTries));
    }

    proptest! {
        #[test]
        fn typed_codes_are_six_digits_or_nothing(text in "\\PC{0,12}") {
            if let Some(code) = typed_code(&text, &RULES) {
                prop_assert!(code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()));
            }
        }
    }

    #[test]
    fn spaces_and_full_width_digits_are_accepted() {
        assert_eq!(typed_code(" 123 456 ", &RULES).as_deref(), Some("123456"));
        assert_eq!(typed_code("１２３-４５６", &RULES).as_deref(), Some("123456"));
        assert_eq!(typed_code("12345", &RULES), None);
    }
}
