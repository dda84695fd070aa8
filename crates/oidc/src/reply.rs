//! An HTTP answer as data.

use crate::OAuthError;
use serde::Serialize;
use serde_json::json;

/// An HTTP answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for redirects.
    pub body: String,
    /// The code of the refusal that this is, for whoever counts them.
    pub refused: Option<&'static str>,
}

/// What `WWW-Authenticate` says next to a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Challenge {
    /// Nothing.
    None,
    /// The client used HTTP Basic (RFC 6749 section 5.2).
    Basic,
    /// A protected resource without any token: the schemes alone (RFC 6750 section 3.1).
    Resource,
    /// A protected resource and a token that came with scheme Bearer.
    Bearer,
    /// A protected resource and a token that came with scheme DPoP (RFC 9449 section 7.1).
    Dpop,
}

/// Seconds after which what is temporarily unavailable may be asked for again.
const RETRY_AFTER: &str = "5";

/// The algorithms of DPoP proofs, as header text.
const DPOP_ALGS: &str = "ES256 EdDSA PS256";

impl Challenge {
    fn header(self, error: OAuthError) -> Option<String> {
        let (code, why) = (error.code(), error.description());
        match self {
            Self::None => None,
            Self::Basic => Some("Basic realm=\"hufu\", charset=\"UTF-8\"".to_owned()),
            Self::Resource => Some(format!("DPoP algs=\"{DPOP_ALGS}\", Bearer realm=\"hufu\"")),
            Self::Bearer => Some(format!("Bearer realm=\"hufu\", error=\"{code}\", error_description=\"{why}\"")),
            Self::Dpop => Some(format!("DPoP algs=\"{DPOP_ALGS}\", error=\"{code}\", error_description=\"{why}\"")),
        }
    }
}

impl Reply {
    /// JSON that no cache keeps (RFC 6749 section 5.1).
    #[must_use]
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        match serde_json::to_string(body) {
            Ok(body) => Self {
                status,
                headers: vec![
                    ("content-type", "application/json".to_owned()),
                    ("cache-control", "no-store".to_owned()),
                    ("pragma", "no-cache".to_owned()),
                ],
                body,
                refused: None,
            },
            Err(_) => Self { status: 500, headers: Vec::new(), body: String::new(), refused: None },
        }
    }

    /// A JWT of this media type, that no cache keeps.
    #[must_use]
    pub fn jwt(media_type: &str, jwt: String) -> Self {
        let headers = vec![("content-type", media_type.to_owned()), ("cache-control", "no-store".to_owned())];
        Self { status: 200, headers, body: jwt, refused: None }
    }

    /// Nothing but a status, that no cache keeps.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        let headers = vec![("cache-control", "no-store".to_owned())];
        Self { status, headers, body: String::new(), refused: None }
    }

    /// A refusal as JSON (RFC 6749 section 5.2).
    #[must_use]
    pub fn error(error: OAuthError, challenge: Challenge) -> Self {
        let status = match challenge {
            // At a resource a bad proof is a failed authentication (RFC 9449 sections 7.1, 9).
            Challenge::Dpop if matches!(error.code(), "invalid_dpop_proof" | "use_dpop_nonce") => 401,
            _ => error.status(),
        };
        let mut reply = Self::json(status, &json!({ "error": error.code(), "error_description": error.description() }));
        if status == 401 {
            reply.headers.extend(challenge.header(error).map(|text| ("www-authenticate", text)));
        }
        if status == 503 {
            reply.headers.push(("retry-after", RETRY_AFTER.to_owned()));
        }
        reply.refused = Some(error.code());
        reply
    }

    /// With the nonce that the next proof is to carry (RFC 9449 sections 8.2, 9).
    #[must_use]
    pub fn with_nonce(mut self, nonce: String) -> Self {
        self.headers.push(("dpop-nonce", nonce));
        self
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}
