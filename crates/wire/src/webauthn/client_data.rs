//! Client data (section 5.8.1): what the browser says it signed for.

use super::{AssertionError, Expectation, MAX_PART};
use crate::jose::strict_json;
use hufu_kernel::b64;
use serde::Deserialize;
use serde_json::Value;

/// Unknown members are ignored, as the section demands. `Value` where any presence or wrong type must be seen.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default = "same_origin")]
    cross_origin: Value,
    #[serde(default, deserialize_with = "present")]
    top_origin: bool,
}

/// Level 1 browsers leave `crossOrigin` out.
fn same_origin() -> Value {
    Value::Bool(false)
}

/// Whether the member is there at all, null included.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl ClientData {
    pub(super) fn parse(json: &[u8]) -> Result<Self, AssertionError> {
        if json.len() > MAX_PART {
            return Err(AssertionError::ClientData);
        }
        strict_json(json).map_err(|_| AssertionError::ClientData)
    }

    /// The steps on client data, in the order of sections 7.1 (7 to 11) and 7.2 (11 to 14).
    pub(super) fn check(&self, kind: &str, expectation: &Expectation<'_>) -> Result<(), AssertionError> {
        let steps = [
            (self.kind == kind, AssertionError::Type),
            (self.challenge == b64(expectation.challenge), AssertionError::Challenge),
            (self.origin == expectation.origin, AssertionError::Origin),
            (self.cross_origin == Value::Bool(false), AssertionError::CrossOrigin),
            (!self.top_origin, AssertionError::TopOrigin),
        ];
        steps.into_iter().try_for_each(|(holds, refusal)| if holds { Ok(()) } else { Err(refusal) })
    }
}
