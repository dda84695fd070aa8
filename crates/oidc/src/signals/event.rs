//! Events and the tokens that carry them (RFC 8417, SSF section 4, CAEP section 3).

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
    /// The person may be signed in again, or may not any more.
    AssuranceLevelChange {
        /// Whether the person may be signed in now.
        active: bool,
    },
    /// The receiver asked for it (SSF section 8.1.4).
    Verification {
        /// As it was asked with.
        state: Option<String>,
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
        }
    }

    /// No `event_timestamp` (CAEP section 2, optional): when it happened nobody here knows, and when it was noticed two platforms could lay
    /// beside each other.
    fn body(&self) -> Value {
        match self {
            Self::SessionRevoked => json!({}),
            // CAEP section 3.3 takes types that both sides know; ours says that the kind is not told.
            Self::CredentialChange => json!({ "credential_type": "urn:hufu:credential", "change_type": "update" }),
            Self::AssuranceLevelChange { active } => {
                let (level, before) = if *active { ("active", "inactive") } else { ("inactive", "active") };
                let direction = if *active { "increase" } else { "decrease" };
                json!({
                    "namespace": NAMESPACE,
                    "current_level": level,
                    "previous_level": before,
                    "change_direction": direction,
                })
            }
            Self::Verification { state: None } => json!({}),
            Self::Verification { state: Some(state) } => json!({ "state": state }),
        }
    }

    /// The claims of a token with this event about `subject`: a handle as the platform presented it, or the stream itself. Neither `sub`
    /// nor `exp` (SSF sections 4.1.2, 4.1.7): it must not be taken for an ID token. `now`: when it is sent. `jti`: unique.
    #[must_use]
    pub fn claims(&self, (issuer, client_id): (&str, &str), subject: &str, now: Timestamp, jti: &str) -> Value {
        let mut events = serde_json::Map::new();
        events.insert(self.uri().to_owned(), self.body());
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
            Event::AssuranceLevelChange { active: false },
            Event::AssuranceLevelChange { active: true },
            Event::Verification { state: Some("s".into()) },
        ];
        for event in all {
            let claims = event.claims(("https://id.example", "shop"), "handle", Timestamp(777_777), "j");
            assert_eq!(claims["sub_id"], json!({ "format": "opaque", "id": "handle" }));
            assert_eq!(claims["events"].as_object().unwrap().len(), 1);
            assert!(claims["events"].get(event.uri()).is_some());
            for absent in ["sub", "exp", "nonce"] {
                assert!(claims.get(absent).is_none(), "{absent}");
            }
            // Nothing of when it was noticed: the only time is that of sending.
            assert_eq!(claims.to_string().matches("777777").count(), 1, "{claims}");
        }
    }

    #[test]
    fn what_caep_requires_of_each_event_is_there() {
        let body = |event: Event| event.body();
        let credential = body(Event::CredentialChange);
        assert!(credential["credential_type"].is_string() && credential["change_type"] == "update");
        let assurance = body(Event::AssuranceLevelChange { active: false });
        assert_eq!((&assurance["namespace"], &assurance["current_level"]), (&json!(NAMESPACE), &json!("inactive")));
        assert_eq!(assurance["change_direction"], "decrease");
    }
}
