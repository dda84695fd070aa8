//! `authorization_details` (RFC 9396): one type, which says what a platform wants verified of a person and why.

use super::request::Asked;
use super::verified_claims::said;
use super::{Call, Environment};
use crate::OAuthError;
use hufu_kernel::{Answer, Strength};
use hufu_wire::api::sign_in::VerificationResult;
use hufu_wire::jose::strict_value;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The one type (section 2).
pub const DETAIL_TYPE: &str = "urn:hufu:verification";

/// The longest parameter that is read, in bytes.
pub const MAX_DETAILS: usize = 4 * 1024;

/// The one object of the one type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerificationDetail {
    /// [`DETAIL_TYPE`].
    #[serde(rename = "type")]
    kind: String,
    /// The id of a purpose of the certificate.
    pub purpose: String,
    /// What is to be answered; at least one, none twice.
    pub answers: Vec<Answer>,
    /// The weakest strength that will do; absent is the weakest of all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub strength: Option<Strength>,
}

impl VerificationDetail {
    /// Reads the parameter: a list of exactly one object, since a sign-in has one purpose.
    ///
    /// # Errors
    /// [`OAuthError::DetailsMalformed`].
    pub fn read(text: &str) -> Result<Self, OAuthError> {
        let read = || {
            let text = Some(text).filter(|text| text.len() <= MAX_DETAILS)?;
            let value = strict_value(text.as_bytes()).ok()?;
            let [detail] = value.as_array()?.as_slice() else { return None };
            let mut detail = Self::deserialize(detail).ok()?;
            let asked = detail.answers.len();
            detail.answers.sort_unstable();
            detail.answers.dedup();
            let fits = detail.kind == DETAIL_TYPE && asked > 0 && detail.answers.len() == asked;
            fits.then_some(detail)
        };
        read().ok_or(OAuthError::DetailsMalformed)
    }

    /// What was granted of it, as the token response and introspection tell it (sections 7, 9.2): the answers that were given, and the
    /// strength of the sign-in.
    #[must_use]
    pub fn granted(&self, result: &VerificationResult) -> Value {
        let given = self.answers.iter().filter(|answer| said(&result.answers, **answer).is_some());
        let answers: Vec<Answer> = given.copied().collect();
        json!([{ "type": DETAIL_TYPE, "purpose": self.purpose, "answers": answers, "strength": result.strength }])
    }
}

/// The parameter of a request.
pub(super) fn check(_: &Environment<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    asked.request.wanted.details = call.form.get("authorization_details").map(VerificationDetail::read).transpose()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::Octets;
    use hufu_wire::api::sign_in::Answers;
    use proptest::prelude::*;

    fn detail() -> Value {
        json!({ "type": DETAIL_TYPE, "purpose": "adults", "answers": ["age_over_18", "real"] })
    }

    fn refused(value: &Value) {
        assert_eq!(VerificationDetail::read(&value.to_string()), Err(OAuthError::DetailsMalformed), "{value}");
    }

    #[test]
    fn one_object_of_the_type_is_read() {
        let read = VerificationDetail::read(&json!([detail()]).to_string()).unwrap();
        assert_eq!(
            (read.purpose.as_str(), read.answers.as_slice()),
            ("adults", &[Answer::Real, Answer::AgeOver18][..])
        );
        assert_eq!(read.strength, None);
        let mut strong = detail();
        strong["strength"] = json!("certificate+password");
        let read = VerificationDetail::read(&json!([strong]).to_string()).unwrap();
        assert_eq!(read.strength, Some(Strength::CertificatePassword));
    }

    #[test]
    fn each_mistake_of_section_5_is_refused() {
        type Change = fn(&mut Value);
        let changes: [Change; 12] = [
            |d| d["type"] = json!("payment_initiation"),
            |d| drop(d.as_object_mut().unwrap().remove("type")),
            |d| drop(d.as_object_mut().unwrap().remove("purpose")),
            |d| drop(d.as_object_mut().unwrap().remove("answers")),
            |d| d["answers"] = json!([]),
            |d| d["answers"] = json!(["real", "real"]),
            |d| d["answers"] = json!(["photo"]),
            |d| d["answers"] = json!("real"),
            |d| d["purpose"] = json!(1),
            |d| d["strength"] = json!("face"),
            |d| d["actions"] = json!(["read"]),
            |d| d["locations"] = json!([]),
        ];
        for change in changes {
            let mut changed = detail();
            change(&mut changed);
            refused(&json!([changed]));
        }
        for whole in [detail(), json!([]), json!([detail(), detail()]), json!("x"), json!(null)] {
            refused(&whole);
        }
        let twice = r#"[{"type":"urn:hufu:verification","purpose":"a","purpose":"b","answers":["real"]}]"#;
        assert_eq!(VerificationDetail::read(twice), Err(OAuthError::DetailsMalformed));
        let mut long = detail();
        long["purpose"] = "x".repeat(MAX_DETAILS).into();
        refused(&json!([long]));
    }

    #[test]
    fn what_was_granted_is_told_and_no_more() {
        let read = VerificationDetail::read(&json!([detail()]).to_string()).unwrap();
        let result = VerificationResult {
            v: 1,
            ep: String::new(),
            ctx: Octets::default(),
            strength: Strength::CertificatePassword,
            // The person agreed to one of the two; another answer came of a scope.
            answers: Answers { real: Some(true), unique: Some(true), ..Answers::default() },
            handle: None,
        };
        let told = json!([{
            "type": DETAIL_TYPE, "purpose": "adults", "answers": ["real"], "strength": "certificate+password"
        }]);
        assert_eq!(read.granted(&result), told);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_and_read_again(purpose in "[a-z-]{1,12}", picked in 1_u8..64, strong: Option<bool>) {
            let answers: Vec<Answer> =
                Answer::ALL.iter().enumerate().filter(|(at, _)| (picked >> at) & 1 == 1).map(|(_, answer)| *answer).collect();
            let strength = strong.map(|strong| if strong { Strength::CertificatePassword } else { Strength::Certificate });
            let detail = VerificationDetail { kind: DETAIL_TYPE.to_owned(), purpose, answers, strength };
            let text = serde_json::to_string(&[&detail]).unwrap();
            prop_assert_eq!(VerificationDetail::read(&text), Ok(detail));
        }

        #[test]
        fn no_text_makes_the_parser_fall_over(text in r#"[\[\]{}:,"a-z0-9_ ]{0,120}"#) {
            let _ = VerificationDetail::read(&text);
        }
    }
}
