//! Security event tokens at the platform (RFC 8417 section 4.1, SSF section 4): whose word they are, for whom, about which handle.

use hufu_wire::jose::{Alg, Compact, Jwks};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What an event token says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceivedEvent {
    /// Unique; to be acknowledged.
    pub jti: String,
    /// The subject handle, as the platform added it; the stream's own id for events about the stream.
    pub subject: String,
    /// The event's type.
    pub uri: String,
    /// Its members.
    pub event: Value,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    jti: String,
    sub_id: SubjectId,
    events: Map<String, Value>,
}

#[derive(Deserialize)]
struct SubjectId {
    format: String,
    id: String,
}

/// Reads an event token for `client_id` under the front's published keys. PS256 alone: of it no ID token is (decision 0021). `None` for
/// anything else: a `typ` of another kind, another issuer or receiver, more than one event.
#[must_use]
pub fn verify_event(set: &str, keys: &Jwks, issuer: &str, client_id: &str) -> Option<ReceivedEvent> {
    let jws = Compact::parse(set).ok()?;
    if !jws.header().is_typ(crate::signals::SET_TYP) {
        return None;
    }
    let claims: Claims = keys.verify(&jws, &[Alg::PS256]).ok()?.json().ok()?;
    let mut events = claims.events.into_iter();
    let (Some((uri, event)), None) = (events.next(), events.next()) else { return None };
    let ours = claims.iss == issuer && claims.aud == client_id && claims.sub_id.format == "opaque";
    ours.then_some(ReceivedEvent { jti: claims.jti, subject: claims.sub_id.id, uri, event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::Event;
    use hufu_kernel::{SeededRng, Timestamp};
    use hufu_wire::jose::{Header, RsaKey, Signer as _, SoftKey, sign};

    #[test]
    fn only_the_fronts_word_to_this_platform_is_an_event() {
        let front = RsaKey::generate(Alg::PS256).unwrap();
        let node = SoftKey::generate(Alg::EdDSA, &SeededRng::new(1)).unwrap();
        let keys = Jwks { keys: vec![front.public().clone(), node.public().clone()] };
        let claims = |issuer: &str| Event::SessionRevoked.claims((issuer, "shop"), "handle", Timestamp(7), "j");
        let typed = |typ: &str, issuer: &str| {
            sign(&front, Header::new(Alg::PS256).typ(typ).kid(front.kid()), &claims(issuer)).unwrap()
        };
        let good = typed("secevent+jwt", "https://id.example");
        let read = |set: &str, client_id: &str| verify_event(set, &keys, "https://id.example", client_id);
        let event = read(&good, "shop").unwrap();
        assert_eq!(
            (event.jti.as_str(), event.subject.as_str(), event.uri.as_str()),
            ("j", "handle", crate::signals::CAEP[0])
        );
        assert_eq!(read(&good, "forum"), None, "another platform's");
        assert_eq!(read(&typed("JWT", "https://id.example"), "shop"), None, "another kind of token");
        assert_eq!(read(&typed("secevent+jwt", "https://evil.example"), "shop"), None, "another issuer");
        let header = Header::new(Alg::EdDSA).typ("secevent+jwt").kid(node.kid());
        let by_node = sign(&node, header, &claims("https://id.example")).unwrap();
        assert_eq!(read(&by_node, "shop"), None, "a key of results");
        assert_eq!(read(&format!("{good}x"), "shop"), None);
    }
}
