//! Shared signals to platforms (decision 0027): OpenID Shared Signals Framework 1.0 (SSF), the events of CAEP 1.0, security event tokens
//! (RFC 8417), delivered by push (RFC 8935) or poll (RFC 8936). Formats and rules; who remembers and sends is the front.

mod compare;
mod event;
mod poll;
mod stream;

pub use compare::{Verdict, agreed, compare, ending};
pub use event::{CAEP, Event, SET_TYP};
pub use poll::{ACKNOWLEDGED_AT_ONCE, POLLED_AT_ONCE, Poll, polled};
pub use stream::{
    Delivery, POLL_PATH, Status, StatusChange, StreamConfig, VERIFY_EVERY, read_state, read_status, read_subject,
    stream_of,
};

use crate::OAuthError;
use crate::provider::Provider;
use hufu_wire::jose::strict_value;
use serde_json::{Map, Value, json};

/// Push (RFC 8935).
const PUSH: &str = "urn:ietf:rfc:8935";
/// Poll (RFC 8936).
const POLL: &str = "urn:ietf:rfc:8936";

/// The longest body of a request here, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// The transmitter's metadata (SSF section 7.1).
#[must_use]
pub fn metadata(provider: &Provider) -> Value {
    json!({
        "spec_version": "1_0",
        "issuer": provider.issuer,
        "jwks_uri": provider.endpoint("/jwks.json"),
        "delivery_methods_supported": [PUSH, POLL],
        "configuration_endpoint": provider.endpoint("/ssf/stream"),
        "status_endpoint": provider.endpoint("/ssf/status"),
        "add_subject_endpoint": provider.endpoint("/ssf/subjects/add"),
        "remove_subject_endpoint": provider.endpoint("/ssf/subjects/remove"),
        "verification_endpoint": provider.endpoint("/ssf/verify"),
        "authorization_schemes": [{ "spec_urn": "urn:ietf:rfc:6749" }],
        // Nobody is a subject whose handle the platform has not added.
        "default_subjects": "NONE",
    })
}

/// A JSON object, no member of it twice.
fn object(body: &[u8]) -> Result<Map<String, Value>, OAuthError> {
    let read = (body.len() <= MAX_BODY).then(|| strict_value(body).ok()).flatten();
    match read {
        Some(Value::Object(members)) => Ok(members),
        _ => Err(OAuthError::StreamMalformed),
    }
}

/// A member that is text, or not there.
fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, OAuthError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= 1024 => Ok(Some(text.clone())),
        Some(_) => Err(OAuthError::StreamMalformed),
    }
}
