//! What the front signs itself, and how an authorization response reaches the platform.
//!
//! Its key is published beside the nodes' keys, so nothing it signs may be taken for an ID token: it is of an algorithm that no ID token is
//! ever of, and each object names its own `typ` (decision 0021).

use super::{Front, FrontError};
use hufu_kernel::{KeyError, KeyStore, Refusal, Timestamp};
use hufu_oidc::provider::{Opener as _, RESPONSE_ALG, Response, SealedKind};
use hufu_oidc::{Pairs, with_query};
use hufu_wire::jose::{self, Alg, Header, Jwk, RsaKey, Signer as _};
use serde::{Deserialize, Serialize};

/// The key of what the front signs for platforms, an RSA key in PKCS#8.
pub const RESPONSE_KEY: &str = "front-response";

/// Seconds within which a person posts a response on: as long as the code in it lives.
const POST_SECONDS: i64 = 60;

/// The key, if there is one.
pub(super) struct ResponseKey(Option<RsaKey>);

impl ResponseKey {
    /// A front founded before there was such a key has none, and offers nothing that needs it.
    pub(super) fn read(keys: &dyn KeyStore) -> Result<Self, FrontError> {
        let broken = |error: &dyn std::fmt::Display| FrontError::Keys(format!("{RESPONSE_KEY}: {error}"));
        match keys.share(RESPONSE_KEY) {
            Ok(der) => {
                RsaKey::from_pkcs8(&der, RESPONSE_ALG).map(|key| Self(Some(key))).map_err(|error| broken(&error))
            }
            Err(KeyError::Missing(_)) => Ok(Self(None)),
            Err(error) => Err(broken(&error)),
        }
    }

    pub(super) fn public(&self) -> Option<&Jwk> {
        self.0.as_ref().map(RsaKey::public)
    }

    pub(super) fn algs(&self) -> Vec<Alg> {
        self.0.iter().map(|_| RESPONSE_ALG).collect()
    }
}

/// A response that the browser is to post.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Posting {
    /// The platform's address.
    pub to: String,
    /// Names and values.
    pub parameters: Vec<(String, String)>,
    exp: Timestamp,
}

impl Front {
    /// A JWT of the front's.
    pub(super) fn signed(&self, typ: &str, claims: &impl Serialize) -> Result<String, Refusal> {
        let key = self.responses.0.as_ref().ok_or(Refusal::Internal)?;
        self.ports.keys.used("response");
        jose::sign(key, Header::new(key.alg()).typ(typ).kid(key.kid()), claims).map_err(|error| crate::broken(&error))
    }

    /// Where the browser goes with a response: to the platform, or to the page that posts it there.
    pub(super) fn deliver(&self, response: &Response) -> Result<String, Refusal> {
        let now = self.now();
        let jwt = match response.mode.is_signed() {
            // JARM section 2.1 names no type; one of its own keeps it from being taken for anything else.
            true => Some(self.signed("oauth-authz-resp+jwt", &response.claims(&self.provider.issuer, now))?),
            false => None,
        };
        let parameters = response.parameters(jwt.as_deref());
        if !response.mode.is_posted() {
            return Ok(response.by_query(&parameters));
        }
        let parameters = parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let posting = Posting { to: response.redirect_uri.clone(), parameters, exp: now + POST_SECONDS };
        let sealed = self.seal(SealedKind::Response, "", &posting).map_err(|_| Refusal::Internal)?;
        Ok(with_query(&self.provider.endpoint("/respond"), &Pairs::default().with("r", &sealed)))
    }

    /// The response that was sealed into the address of the page that posts it.
    ///
    /// # Errors
    /// [`Refusal::TransactionGone`] if it was not made here, or a minute ago.
    pub fn posting(&self, sealed: &str) -> Result<Posting, Refusal> {
        let opened = self.ports.sealer.open(SealedKind::Response, "", sealed);
        let posting = opened.and_then(|json| serde_json::from_slice::<Posting>(&json).ok());
        posting.filter(|posting| self.now() < posting.exp).ok_or(Refusal::TransactionGone)
    }
}
