//! Delivery by poll (RFC 8936).

use super::object;
use crate::OAuthError;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Tokens in one answer.
pub const POLLED_AT_ONCE: usize = 100;

/// Tokens that one request acknowledges: as many as may wait for a receiver.
pub const ACKNOWLEDGED_AT_ONCE: usize = 1_002;

/// What a receiver asks (RFC 8936 section 2.2).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Poll {
    /// How many tokens it takes.
    pub most: usize,
    /// Not to wait for one.
    pub at_once: bool,
    /// Tokens that need not be sent again: those that were taken, and those that were refused.
    pub done: BTreeSet<String>,
    /// How many of them were refused.
    pub refused: usize,
}

impl Poll {
    /// Reads a request.
    ///
    /// # Errors
    /// [`OAuthError::StreamMalformed`].
    pub fn read(body: &[u8]) -> Result<Self, OAuthError> {
        let members = object(body)?;
        let wrong = OAuthError::StreamMalformed;
        let most = match members.get("maxEvents") {
            None => POLLED_AT_ONCE,
            Some(most) => usize::try_from(most.as_u64().ok_or(wrong)?).unwrap_or(usize::MAX).min(POLLED_AT_ONCE),
        };
        let at_once = match members.get("returnImmediately") {
            None => false,
            Some(at_once) => at_once.as_bool().ok_or(wrong)?,
        };
        let taken = members.get("ack").map(|ack| ack.as_array().ok_or(wrong)).transpose()?;
        let errors = members.get("setErrs").map(|errors| errors.as_object().ok_or(wrong)).transpose()?;
        let refused = errors.map_or(0, Map::len);
        if taken.map_or(0, Vec::len) + refused > ACKNOWLEDGED_AT_ONCE {
            return Err(wrong);
        }
        let taken = taken.into_iter().flatten().map(|jti| jti.as_str().map(str::to_owned).ok_or(wrong));
        let mut done: BTreeSet<String> = taken.collect::<Result<_, _>>()?;
        done.extend(errors.into_iter().flat_map(Map::keys).cloned());
        Ok(Self { most, at_once, done, refused })
    }
}

/// The answer (RFC 8936 section 2.3): identifiers and tokens, and whether there are more.
#[must_use]
pub fn polled(sets: &[(String, String)], more: bool) -> Value {
    let sets: Map<String, Value> = sets.iter().map(|(jti, set)| (jti.clone(), set.as_str().into())).collect();
    json!({ "sets": sets, "moreAvailable": more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_is_read_as_rfc_8936_has_it() {
        assert_eq!(Poll::read(b"{}"), Ok(Poll { most: 100, ..Poll::default() }));
        let full = br#"{"ack":["a","b"],"setErrs":{"c":{"err":"invalid_key","description":"d"}},"maxEvents":0,"returnImmediately":true}"#;
        let done = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(Poll::read(full), Ok(Poll { most: 0, at_once: true, done, refused: 1 }));
        assert_eq!(Poll::read(br#"{"maxEvents":5000}"#).unwrap().most, 100);
        for wrong in [
            "",
            "[]",
            r#"{"ack":"a"}"#,
            r#"{"ack":[1]}"#,
            r#"{"maxEvents":-1}"#,
            r#"{"setErrs":[]}"#,
            r#"{"returnImmediately":1}"#,
        ] {
            assert_eq!(Poll::read(wrong.as_bytes()), Err(OAuthError::StreamMalformed), "{wrong}");
        }
    }

    #[test]
    fn one_request_acknowledges_no_more_than_may_wait_and_each_once() {
        let acks =
            |count: usize| json!({ "ack": (0..count).map(|n| (n % 7).to_string()).collect::<Vec<_>>() }).to_string();
        assert_eq!(Poll::read(acks(ACKNOWLEDGED_AT_ONCE).as_bytes()).unwrap().done.len(), 7);
        assert_eq!(Poll::read(acks(ACKNOWLEDGED_AT_ONCE + 1).as_bytes()), Err(OAuthError::StreamMalformed));
    }
}
