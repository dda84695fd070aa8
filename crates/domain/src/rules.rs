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
    /// [`RulesError`], if the folder was edited wrongly; a test holds that the committed one parses.
    pub fn built_in() -> Result<Self, RulesError> {
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
    /// [`RulesError`]: which file, and what is wrong in it.
    pub fn parse(files: [&str; 3]) -> Result<Self, RulesError> {
        let mut all = toml::Table::new();
        for (name, text) in Self::FILES.into_iter().zip(files) {
            let table: toml::Table = toml::from_str(text).map_err(|cause| RulesError::File { name, cause })?;
            // Each file counts its own versions.
            all.extend(table.into_iter().filter(|(key, _)| key != "version"));
        }
        let rules: Self = all.try_into().map_err(RulesError::Shape)?;
        rules.check().map_err(RulesError::Senseless)?;
        Ok(rules)
    }

    /// What must hold of any country's rules: beyond it a promise of the service would be empty.
    fn check(&self) -> Result<(), &'static str> {
        let Self { age, certificate, phone_code, recovery, password, pass, enrolment } = self;
        let sane = [
            (age.guardian_below < age.supervised_below, "age: guardian_below must be below supervised_below"),
            (certificate.copies >= 10, "certificate: fewer than ten copies make refreshing a trace"),
            (certificate.status_lists.is_power_of_two(), "certificate: status_lists must be a power of two"),
            (certificate.days > 0, "certificate: copies must live at least a day"),
            (phone_code.valid_s >= phone_code.resend_after_s, "phone_code: a code must outlive the wait for the next"),
            (phone_code.tries > 0 && phone_code.sends > 0, "phone_code: somebody must get a try"),
            (password.failures > 0 && password.pause_s > 0, "password: tries must be few and pauses long"),
            ((1..=30).contains(&pass.seconds), "pass: a code that is shown lives 30 s at most"),
            (enrolment.lapses_after_s > 0, "enrolment: an enrolment must have time"),
            (recovery.delivered_within_s > 0, "recovery: a node needs time to hear of it"),
            // An old device must have days to object, however late the nodes hear.
            (
                recovery.delivered_within_s * 24 <= recovery.delay_s,
                "recovery: delay_s must be 24 times delivered_within_s",
            ),
        ];
        sane.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(what))
    }
}

/// Why a folder of rules is refused.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// One file is no TOML.
    #[error("{name}: {cause}")]
    File {
        /// Its name in the folder.
        name: &'static str,
        /// With line and column.
        cause: toml::de::Error,
    },
    /// A member is missing or of another kind.
    #[error("{0}")]
    Shape(toml::de::Error),
    /// The numbers make no sense together.
    #[error("{0}")]
    Senseless(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = [
        include_str!("../../../rules/enrolment.toml"),
        include_str!("../../../rules/certificate.toml"),
        include_str!("../../../rules/recovery.toml"),
    ];

    #[test]
    fn the_committed_rules_parse_and_are_sane() {
        assert!(Rules::built_in().is_ok());
    }

    #[test]
    fn rules_without_sense_are_refused_and_the_error_says_where() {
        for (from, to, says) in [
            ("delay_s = 259200", "delay_s = 0", "recovery: delay_s"),
            ("delay_s = 259200", "delay_s = -5", "recovery: delay_s"),
            ("copies = 10", "copies = 1", "certificate: fewer"),
            ("status_lists = 4096", "status_lists = 4000", "certificate: status_lists"),
            ("seconds = 30", "seconds = 3600", "pass: "),
            ("delay_s = 259200", "delay_s 259200", "recovery.toml: "),
            ("delay_s = 259200", "delays = 259200", "delay_s"),
        ] {
            let texts = TEXTS.map(|text| text.replace(from, to));
            let error = Rules::parse(texts.each_ref().map(String::as_str)).unwrap_err().to_string();
            assert!(error.contains(says), "{to}: {error}");
        }
    }
}
