//! What a receiver may say of its stream (SSF section 8.1): configuration, status, subjects, verification. A platform has one stream.

use super::{CAEP, POLL, PUSH, object, text};
use crate::OAuthError;
use crate::provider::Provider;
use hufu_wire::api::platform::Registration;
use hufu_wire::subject_handle::SubjectHandle;
use serde_json::{Map, Value, json};

/// Where tokens are polled.
pub const POLL_PATH: &str = "/ssf/events";

/// Seconds between two verifications (`min_verification_interval`).
pub const VERIFY_EVERY: i64 = 10;

/// How tokens reach the receiver.
#[derive(Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It fetches them.
    Poll,
    /// They are posted to the address that the platform registered.
    Push {
        /// That address.
        endpoint_url: String,
        /// What the receiver wants to see as `Authorization`.
        authorization_header: Option<String>,
    },
}

/// The header is the receiver's secret.
impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Poll => "Poll",
            Self::Push { .. } => "Push",
        })
    }
}

/// A stream's status (SSF section 8.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Events are sent.
    Enabled,
    /// Nothing is sent; what happens meanwhile is told afterwards.
    Paused,
    /// Nothing is sent, and what happens meanwhile is not told.
    Disabled,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Enabled, Self::Paused, Self::Disabled];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

/// What the receiver decides of its stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamConfig {
    /// Event types it asked for, of which [`StreamConfig::delivers`] are sent.
    pub requested: Vec<String>,
    /// How they reach it.
    pub delivery: Delivery,
    /// Its own words.
    pub description: Option<String>,
}

impl StreamConfig {
    /// A new stream's (SSF section 8.1.1.1): polled where nothing else is said, all events where none are named.
    ///
    /// # Errors
    /// [`OAuthError::StreamMalformed`], [`OAuthError::StreamDelivery`].
    pub fn create(body: &[u8], registration: &Registration) -> Result<Self, OAuthError> {
        let members = object(body)?;
        let given = |name: &str| members.get(name).filter(|value| !value.is_null());
        Ok(Self {
            requested: given("events_requested").map_or_else(|| Ok(all()), requested)?,
            delivery: given("delivery").map_or(Ok(Delivery::Poll), |value| delivery(value, registration))?,
            description: text(&members, "description")?,
        })
    }

    /// The stream's after a change: `whole` replaces it (PUT, SSF section 8.1.1.4), else members that are absent stay (PATCH, section
    /// 8.1.1.3). What the transmitter decides may be sent along if it is as it is.
    ///
    /// # Errors
    /// As [`StreamConfig::create`].
    pub fn changed(
        &self,
        body: &[u8],
        whole: bool,
        (registration, shown): (&Registration, &Value),
    ) -> Result<Self, OAuthError> {
        let members = object(body)?;
        let ours = ["stream_id", "iss", "aud", "events_supported", "events_delivered", "min_verification_interval"];
        if ours.iter().any(|name| members.get(*name).is_some_and(|value| *value != shown[*name])) {
            return Err(OAuthError::StreamMalformed);
        }
        let next = Self::create(body, registration)?;
        if whole {
            return Ok(next);
        }
        let has = |name: &str| members.contains_key(name);
        Ok(Self {
            requested: if has("events_requested") { next.requested } else { self.requested.clone() },
            delivery: if has("delivery") { next.delivery } else { self.delivery.clone() },
            description: if has("description") { next.description } else { self.description.clone() },
        })
    }

    /// Whether events of this type are sent. Those about the stream always are.
    #[must_use]
    pub fn delivers(&self, uri: &str) -> bool {
        !CAEP.contains(&uri) || self.requested.iter().any(|one| one == uri)
    }

    /// As it is shown to its receiver, whose secret header is not.
    #[must_use]
    pub fn shown(&self, provider: &Provider, client_id: &str, id: &str) -> Value {
        let delivery = match &self.delivery {
            Delivery::Poll => json!({ "method": POLL, "endpoint_url": provider.endpoint(POLL_PATH) }),
            Delivery::Push { endpoint_url, .. } => json!({ "method": PUSH, "endpoint_url": endpoint_url }),
        };
        let delivered: Vec<&str> = CAEP.into_iter().filter(|uri| self.delivers(uri)).collect();
        let mut shown = json!({
            "stream_id": id,
            "iss": provider.issuer,
            "aud": client_id,
            "events_supported": CAEP,
            "events_requested": self.requested,
            "events_delivered": delivered,
            "delivery": delivery,
            "min_verification_interval": VERIFY_EVERY,
        });
        if let Some(description) = &self.description {
            shown["description"] = description.as_str().into();
        }
        shown
    }
}

fn all() -> Vec<String> {
    CAEP.map(str::to_owned).to_vec()
}

fn requested(value: &Value) -> Result<Vec<String>, OAuthError> {
    let list = value.as_array().filter(|list| list.len() <= 32).ok_or(OAuthError::StreamMalformed)?;
    let uri = |one: &Value| one.as_str().filter(|uri| uri.len() <= 256).map(str::to_owned);
    list.iter().map(|one| uri(one).ok_or(OAuthError::StreamMalformed)).collect()
}

/// Pushed only where the registry has seen that the platform is at home: nobody can have the front call anywhere else.
fn delivery(value: &Value, registration: &Registration) -> Result<Delivery, OAuthError> {
    let members: &Map<String, Value> = value.as_object().ok_or(OAuthError::StreamMalformed)?;
    match members.get("method").and_then(Value::as_str) {
        Some(POLL) => Ok(Delivery::Poll),
        Some(PUSH) => {
            let endpoint_url =
                text(members, "endpoint_url")?.filter(|url| Some(url) == registration.ssf_push_uri.as_ref());
            let authorization_header = text(members, "authorization_header")?;
            let printable = |header: &String| header.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
            if !authorization_header.iter().all(printable) {
                return Err(OAuthError::StreamMalformed);
            }
            let endpoint_url = endpoint_url.ok_or(OAuthError::StreamDelivery)?;
            Ok(Delivery::Push { endpoint_url, authorization_header })
        }
        _ => Err(OAuthError::StreamDelivery),
    }
}

/// The stream that a body is about.
///
/// # Errors
/// [`OAuthError::StreamMalformed`].
pub fn stream_of(body: &[u8]) -> Result<String, OAuthError> {
    text(&object(body)?, "stream_id")?.ok_or(OAuthError::StreamMalformed)
}

/// A status that the receiver wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusChange {
    /// The status.
    pub status: Status,
    /// The receiver's words.
    pub reason: Option<String>,
}

/// Reads a status (SSF section 8.1.2.2).
///
/// # Errors
/// [`OAuthError::StreamMalformed`].
pub fn read_status(body: &[u8]) -> Result<StatusChange, OAuthError> {
    let members = object(body)?;
    let wanted = text(&members, "status")?;
    let status = Status::ALL.into_iter().find(|status| wanted.as_deref() == Some(status.as_str()));
    Ok(StatusChange { status: status.ok_or(OAuthError::StreamMalformed)?, reason: text(&members, "reason")? })
}

/// Reads a subject (SSF section 8.1.3): `{"format":"opaque","id":"<handle>"}` (RFC 9493 section 3.2.7).
///
/// # Errors
/// [`OAuthError::StreamMalformed`] for what is no subject, [`OAuthError::StreamSubject`] for one that is no handle.
pub fn read_subject(body: &[u8]) -> Result<SubjectHandle, OAuthError> {
    let members = object(body)?;
    let subject = members.get("subject").and_then(Value::as_object).ok_or(OAuthError::StreamMalformed)?;
    if text(subject, "format")?.as_deref() != Some("opaque") {
        return Err(OAuthError::StreamSubject);
    }
    let id = text(subject, "id")?.ok_or(OAuthError::StreamMalformed)?;
    id.parse().map_err(|_| OAuthError::StreamSubject)
}

/// The `state` of a request for verification (SSF section 8.1.4.2).
///
/// # Errors
/// [`OAuthError::StreamMalformed`].
pub fn read_state(body: &[u8]) -> Result<Option<String>, OAuthError> {
    text(&object(body)?, "state")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered() -> Registration {
        Registration { ssf_push_uri: Some("https://shop.example/events".into()), ..Registration::default() }
    }

    fn create(body: &Value) -> Result<StreamConfig, OAuthError> {
        StreamConfig::create(body.to_string().as_bytes(), &registered())
    }

    #[test]
    fn a_stream_is_polled_or_pushed_to_the_registered_address_and_no_other() {
        assert_eq!(create(&json!({})).unwrap().delivery, Delivery::Poll);
        assert_eq!(create(&json!({ "delivery": { "method": POLL } })).unwrap().delivery, Delivery::Poll);
        let push = |url: &str| json!({ "delivery": { "method": PUSH, "endpoint_url": url, "authorization_header": "Bearer x" } });
        assert!(matches!(create(&push("https://shop.example/events")).unwrap().delivery, Delivery::Push { .. }));
        for url in ["https://shop.example/events/", "https://shop.example/other", "http://10.0.0.1/", ""] {
            assert_eq!(create(&push(url)), Err(OAuthError::StreamDelivery), "{url}");
        }
        let none =
            StreamConfig::create(push("https://shop.example/events").to_string().as_bytes(), &Registration::default());
        assert_eq!(none, Err(OAuthError::StreamDelivery), "who registered no address is pushed nothing");
        let smuggled = json!({ "delivery": { "method": PUSH, "endpoint_url": "https://shop.example/events", "authorization_header": "x\r\ny: z" } });
        assert_eq!(create(&smuggled), Err(OAuthError::StreamMalformed));
    }

    #[test]
    fn a_patch_keeps_what_it_does_not_name_and_a_put_does_not() {
        let first = create(&json!({ "events_requested": [CAEP[0]], "description": "mine" })).unwrap();
        let shown = json!({ "stream_id": "s", "aud": "shop" });
        let change = |body: Value, whole| {
            let registration = registered();
            first.changed(body.to_string().as_bytes(), whole, (&registration, &shown))
        };
        let described = change(json!({ "stream_id": "s", "description": "other" }), false).unwrap();
        assert_eq!((described.requested.len(), described.description.as_deref()), (1, Some("other")));
        let replaced = change(json!({ "stream_id": "s" }), true).unwrap();
        assert_eq!((replaced.requested.len(), replaced.description), (3, None));
        assert_eq!(change(json!({ "stream_id": "s", "aud": "other" }), false), Err(OAuthError::StreamMalformed));
        assert!(first.delivers(CAEP[0]) && !first.delivers(CAEP[1]) && first.delivers("about the stream"));
    }

    #[test]
    fn subjects_are_opaque_handles() {
        let handle = format!("12.{}.{}", "A".repeat(115), "A".repeat(115));
        let body = |subject: Value| json!({ "stream_id": "s", "subject": subject }).to_string();
        let read = |subject: Value| read_subject(body(subject).as_bytes());
        assert_eq!(read(json!({ "format": "opaque", "id": handle })).unwrap().to_string(), handle);
        for (subject, wanted) in [
            (json!({ "format": "opaque", "id": "x" }), OAuthError::StreamSubject),
            (json!({ "format": "iss_sub", "iss": "i", "sub": "s" }), OAuthError::StreamSubject),
            (json!({ "format": "email", "email": "a@b.example" }), OAuthError::StreamSubject),
            (json!({ "format": "opaque" }), OAuthError::StreamMalformed),
            (json!("x"), OAuthError::StreamMalformed),
        ] {
            assert_eq!(read(subject.clone()), Err(wanted), "{subject}");
        }
    }
}
