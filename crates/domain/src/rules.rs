//! Thresholds, deadlines and periods: data from `rules/`, each with its source.

use serde::Deserialize;

/// All rules, parsed.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Rules {
    /// Enrolment clocks.
    pub enrolment: Lapse,
    /// Phone codes.
    pub phone_code: PhoneCode,
    /// Ages.
    pub age: Age,
    /// Password failures.
    pub password: Password,
    /// Copies of the certificate.
    pub certificate: Certificate,
    /// The dynamic QR.
    pub pass: Pass,
    /// Recovery.
    pub recovery: Recovery,
}

/// How long an unfinished enrolment lives, and when it is answered.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Lapse {
    /// Seconds.
    pub lapses_after_s: i64,
    /// How often one enrolment may show a face.
    pub face_tries: u32,
    /// Milliseconds: before face and phone have passed, answers that rest on the register leave on a beat of this length.
    pub beat_ms: std::num::NonZeroU32,
}

/// Phone codes.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct PhoneCode {
    /// Length.
    pub digits: u32,
    /// Seconds a code is accepted.
    pub valid_s: i64,
    /// Wrong tries that end a code.
    pub tries: u32,
    /// Seconds between two sends.
    pub resend_after_s: i64,
    /// Sends in one enrolment.
    pub sends: u32,
    /// Sends to one phone within an hour, whoever asks.
    pub hourly_per_phone: usize,
}

/// Ages in years.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Age {
    /// Below it a guardian applies.
    pub guardian_below: i32,
    /// Below it a guardian supervises.
    pub supervised_below: i32,
}

/// Password failures.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Password {
    /// In a row.
    pub failures: u32,
    /// Seconds of pause.
    pub pause_s: i64,
}

/// Copies of the certificate.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Certificate {
    /// At a time.
    pub copies: usize,
    /// Days until they end.
    pub days: i64,
    /// Status lists of 2^20 places that copies are spread over.
    pub status_lists: u32,
}

/// The dynamic QR.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Pass {
    /// Seconds it lives.
    pub seconds: i64,
}

/// Recovery.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Recovery {
    /// Seconds a recovered device waits.
    pub delay_s: i64,
    /// Seconds after which a node that was away takes the registrar's word no more.
    pub delivered_within_s: i64,
}

impl Rules {
    /// The rules of this build's `rules/` folder.
    ///
    /// # Errors
    /// The TOML error, if the folder was edited wrongly; a test holds that the committed one parses.
    pub fn built_in() -> Result<Self, toml::de::Error> {
        Self::parse([
            include_str!("../../../rules/enrolment.toml"),
            include_str!("../../../rules/certificate.toml"),
            include_str!("../../../rules/recovery.toml"),
        ])
    }

    /// The files of a `rules/` folder that the parts running now read, in this order.
    pub const FILES: [&str; 3] = ["enrolment.toml", "certificate.toml", "recovery.toml"];

    /// Rules from the texts of [`Rules::FILES`].
    ///
    /// # Errors
    /// The TOML error.
    pub fn parse(files: [&str; 3]) -> Result<Self, toml::de::Error> {
        let text = files
            .map(|file| file.lines().filter(|line| !line.starts_with("version")).collect::<Vec<_>>().join("\n"))
            .join("\n");
        toml::from_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_rules_parse_and_are_sane() {
        let rules = Rules::built_in().unwrap();
        assert!(rules.age.guardian_below < rules.age.supervised_below);
        assert!(rules.certificate.copies >= 10);
        assert!(rules.recovery.delivered_within_s * 24 <= rules.recovery.delay_s);
        assert!(rules.phone_code.valid_s >= rules.phone_code.resend_after_s);
    }
}
