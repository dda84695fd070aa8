//! How an authorization response reaches the client (OAuth 2.0 Multiple Response Type Encoding Practices section 2.1, OAuth 2.0 Form
//! Post Response Mode, JARM).

use crate::{Pairs, with_query};
use hufu_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Seconds that a signed response may be believed (JARM section 2.1 recommends at most ten minutes).
pub const RESPONSE_SECONDS: i64 = 120;

/// `response_mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum ResponseMode {
    /// Parameters in the query of the redirect address: the default of `response_type=code`.
    #[default]
    #[serde(rename = "query")]
    Query,
    /// Parameters in a form that the browser posts.
    #[serde(rename = "form_post")]
    FormPost,
    /// One JWT in the query (JARM section 2.3.1).
    #[serde(rename = "query.jwt")]
    QueryJwt,
    /// One JWT in a form (JARM section 2.3.3).
    #[serde(rename = "form_post.jwt")]
    FormPostJwt,
}

impl ResponseMode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Query, Self::FormPost, Self::QueryJwt, Self::FormPostJwt];

    /// The value of the parameter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::FormPost => "form_post",
            Self::QueryJwt => "query.jwt",
            Self::FormPostJwt => "form_post.jwt",
        }
    }

    /// Whether the response is signed.
    #[must_use]
    pub fn is_signed(self) -> bool {
        matches!(self, Self::QueryJwt | Self::FormPostJwt)
    }

    /// Whether the response is posted.
    #[must_use]
    pub fn is_posted(self) -> bool {
        matches!(self, Self::FormPost | Self::FormPostJwt)
    }

    /// The mode that `asked` stands for, with or without a signature. `jwt` is the default mode of the response type, signed (JARM
    /// section 2.3.4).
    pub(super) fn read(asked: Option<&str>) -> Option<Self> {
        match asked {
            None => Some(Self::Query),
            Some("jwt") => Some(Self::QueryJwt),
            Some(text) => Self::ALL.into_iter().find(|mode| mode.as_str() == text),
        }
    }

    /// The same way, signed.
    pub(super) fn signed(self) -> Self {
        if self.is_posted() { Self::FormPostJwt } else { Self::QueryJwt }
    }
}

/// An authorization response on its way: where to, how, and what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The client's address, checked against its certificate.
    pub redirect_uri: String,
    /// How it gets there.
    pub mode: ResponseMode,
    /// Whose it is.
    pub client_id: String,
    pairs: Pairs,
}

impl Response {
    pub(super) fn new(redirect_uri: &str, mode: ResponseMode, client_id: &str, pairs: Pairs) -> Self {
        Self { redirect_uri: redirect_uri.to_owned(), mode, client_id: client_id.to_owned(), pairs }
    }

    /// The claims to be signed, those of JARM section 2.1 and no other, of a mode that [`ResponseMode::is_signed`].
    #[must_use]
    pub fn claims(&self, issuer: &str, now: Timestamp) -> Value {
        let mut claims: Map<String, Value> =
            self.pairs.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        claims.insert("iss".to_owned(), issuer.into());
        claims.insert("aud".to_owned(), self.client_id.as_str().into());
        claims.insert("exp".to_owned(), (now.0 + RESPONSE_SECONDS).into());
        Value::Object(claims)
    }

    /// The parameters to send, where `jwt` stands for all of them if the mode is signed.
    #[must_use]
    pub fn parameters(&self, jwt: Option<&str>) -> Pairs {
        match jwt {
            Some(jwt) => Pairs::default().with("response", jwt),
            None => self.pairs.clone(),
        }
    }

    /// The redirect address with these parameters in its query.
    #[must_use]
    pub fn by_query(&self, parameters: &Pairs) -> String {
        with_query(&self.redirect_uri, parameters)
    }
}
