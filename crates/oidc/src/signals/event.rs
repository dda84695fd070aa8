//! Events and the tokens that carry them (RFC 8417, SSF section 4, CAEP section 3).

use super::Status;
use hufu_kernel::Timestamp;
use serde_json::{Value, json};

/// The header's `typ` (RFC 8417 section 2.3).
pub const SET_TYP: &str = "secevent+jwt";

/// The events about people.
pub const CAEP: [&str; 3] = [
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
    "https://schemas.openid.net/secevent/caep/event-type/credential-change",
    "https://schemas.openid.net/secevent/caep/event-type/assurance-level-change",
];

/// What the levels of an assurance event are levels of: `active` or `inactive`. Nothing more is known here.
const NAMESPACE: &str = "urn:hufu:standing";

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// All sessions that began before are over: the person signed out everywhere, or left.
    SessionRevoked,
    /// A device or the password changed; which, and how, nobody here can tell.
    CredentialChange,
    /// The person may be signed in or may not, or what the service vouches for changed.
    AssuranceLevelChange {
        /// Whether the person may be signed in now.
        active: bool,
        /// Whether that is what changed.
        turned: bool,
    },
    /// The receiver asked for it (SSF section 8.1.4).
    Verification {
        /// As it was asked with.
        state: Option<String>,
    },
    /// The transmitter changed the stream's status by itself (SSF section 8.1.5).
    StreamUpdated {
        /// The status now.
        status: Status,
        /// Why.
        reason: &'static str,
    },
}

impl Event {
    /// The event's type.
    #[must_use]
    pub fn uri(&self) -> &'static str {
        match self {
            Self::SessionRevoked => CAEP[0],
            Self::CredentialChange => CAEP[1],
            Self::AssuranceLevelChange { .. } => CAEP[2],
            Self::Verification { .. } => "https://schemas.openid.net/secevent/ssf/event-type/verification",
            Self::StreamUpdated { .. } => "https://schemas.openid.net/secevent/ssf/event-type/stream-updated",
        }
    }

    fn body(&self, now: Timestamp) -> Value {
        match self {
            Self::SessionRevoked => json!({ "event_timestamp": now }),
            // CAEP section 3.3 takes types that both sides know; ours says that the kind is not told.
            Self::CredentialChange => {
                json!({ "event_timestamp": now, "credential_type": "urn:hufu:credential", "change_type": "update" })
            }
            Self::AssuranceLevelChange { active, turned } => {
                let level = if *active { "active" } else { "inactive" };
                let mut body = json!({ "event_timestamp": now, "namespace": NAMESPACE, "current_level": level });
                if *turned {
                    body["previous_level"] = if *active { "inactive" } else { "active" }.into();
                    body["change_direction"] = if *active { "increase" } else { "decrease" }.into();
                }
                body
            }
            Self::Verification { state: None } => json!({}),
            Self::Verification { state: Some(state) } => json!({ "state": state }),
            Self::StreamUpdated { status, reason } => json!({ "status": status.as_str(), "reason": reason }),
        }
    }

    /// The claims of a token with this event about `subject`: a handle as the platform presented it, or the stream itself. Neither `sub`
    /// nor `exp` (SSF sections 4.1.2, 4.1.7): it must not be taken for an ID token. `jti`: unique.
    #[must_use]
    pub fn claims(&self, (issuer, client_id): (&str, &str), subject: &str, now: Timestamp, jti: &str) -> Value {
        let mut events = serde_json::Map::new();
        events.insert(self.uri().to_owned(), self.body(now));
        json!({
            "iss": issuer,
            "aud": client_id,
            "iat": now,
            "jti": jti,
            "sub_id": { "format": "opaque", "id": subject },
            "events": events,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_event_about_an_opaque_subject_and_nothing_of_an_id_token() {
        let all = [
            Event::SessionRevoked,
            Event::CredentialChange,
            Event::AssuranceLevelChange { active: false, turned: true },
            Event::AssuranceLevelChange { active: true, turned: false },
            Event::Verification { state: Some("s".into()) },
            Event::StreamUpdated { status: Status::Paused, reason: "full" },
        ];
        for event in all {
            let claims = event.claims(("https://id.example", "shop"), "handle", Timestamp(7), "j");
            assert_eq!(claims["sub_id"], json!({ "format": "opaque", "id": "handle" }));
            assert_eq!(claims["events"].as_object().unwrap().len(), 1);
            assert!(claims["events"].get(event.uri()).is_some());
            for absent in ["sub", "exp", "nonce"] {
                assert!(claims.get(absent).is_none(), "{absent}");
            }
        }
    }

    #[test]
    fn what_caep_requires_of_each_event_is_there() {
        let body = |event: Event| event.body(Timestamp(7));
        let credential = body(Event::CredentialChange);
        assert!(credential["credential_type"].is_string() && credential["change_type"] == "update");
        let assurance = body(Event::AssuranceLevelChange { active: false, turned: true });
        assert_eq!((&assurance["namespace"], &assurance["current_level"]), (&json!(NAMESPACE), &json!("inactive")));
        assert_eq!(assurance["change_direction"], "decrease");
    }
}
