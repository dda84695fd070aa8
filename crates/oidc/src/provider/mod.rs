//! The authorization server's decisions. Each endpoint is a table of checks, in order, one screen long; every check names
//! the specification that asks for it.

mod authorization_details;
mod authorize;
mod backchannel;
mod claims;
mod client_auth;
mod discovery;
mod hint;
mod introspect;
mod logout;
mod management;
mod par;
mod plain;
mod proof;
mod refresh;
mod registration;
mod request;
mod request_object;
mod response;
mod shown;
mod token;
mod userinfo;
mod verified_claims;
mod waiting_code;

pub use authorization_details::{DETAIL_TYPE, MAX_DETAILS, VerificationDetail};
pub use authorize::{Authorized, OpenRequest, Rejection, authorize};
pub use backchannel::{
    BACKCHANNEL_SECONDS, BackchannelRequest, INTERVAL_SECONDS, Look, MAX_BACKCHANNEL_SECONDS, MAX_BINDING_MESSAGE,
    PersonHint, backchannel, binding_hash, look,
};
pub use claims::{ClaimsRequest, MAX_CLAIMS, MAX_VALUES, Wanted};
pub(crate) use client_auth::ASSERTION_TYPE;
pub use client_auth::{Authenticated, authenticate};
pub use discovery::Provider;
pub use introspect::{AboutToken, about_token, revoked};
pub use logout::{LOGOUT_TOKEN_SECONDS, LogoutNotice, SignedOut, logout};
pub use management::{Granted, ManagementToken, Manager, SSF_MANAGE, client_credentials, manager};
pub use par::{Pushed, par};
pub use refresh::{OFFLINE_ACCESS, RefreshToken, Renewed, refresh};
pub use registration::{Client, ClientError, Clients, RESPONSE_ALG};
pub use request::{AuthorizationRequest, answers_scope};
pub use response::{RESPONSE_SECONDS, Response, ResponseMode};
pub use token::{Code, Redeemed, token};
pub use userinfo::{AccessToken, Told, userinfo};
pub use verified_claims::{Said, TRUST_FRAMEWORK, VerifiedRequest, claim_name, said};
pub use waiting_code::WaitingCode;

use crate::{Form, OAuthError};
use hufu_kernel::Timestamp;
use hufu_wire::jose::Jwks;
use hufu_wire::tls_client::ClientCertificate;
use serde::{Deserialize, Serialize};

/// Seconds a `request_uri` lives (RFC 9126 section 2.2; FAPI 2.0: below 600). Long enough for a browser that is opened first, and for a
/// person who is asked which.
pub const REQUEST_URI_SECONDS: i64 = 90;
/// Seconds a code lives (FAPI 2.0 section 5.3.2.1: at most 60).
pub const CODE_SECONDS: i64 = 60;
/// Seconds an access token lives.
pub const ACCESS_TOKEN_SECONDS: i64 = 300;
/// What a `request_uri` starts with (RFC 9126 section 2.2).
pub const REQUEST_URI_PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// What a request carries besides its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// All `Authorization` headers.
    pub authorization: &'a [&'a str],
    /// All `DPoP` headers.
    pub dpop: &'a [&'a str],
    /// The TLS certificate whose key the caller proved to hold, on a connection to an address of `mtls_endpoint_aliases`. Never read
    /// from a header.
    pub certificate: Option<&'a ClientCertificate>,
    /// The parameters.
    pub form: &'a Form,
}

/// What the checks may look at besides the request.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// The server's configuration.
    pub provider: &'a Provider,
    /// The admitted clients.
    pub clients: &'a dyn Clients,
    /// Opens what was sealed for this client; the caller holds the key.
    pub sealed: &'a dyn Opener,
    /// Knows the DPoP nonces that were given out.
    pub nonces: &'a dyn Nonces,
    /// What results are signed with: the nodes' keys, none of the front's.
    pub keys: &'a Jwks,
    /// The present.
    pub now: Timestamp,
}

/// What is sealed, each kind under associated data of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SealedKind {
    /// A pushed request: the `request_uri`.
    Request,
    /// An authorization code.
    Code,
    /// A response on its way to be posted, with where it goes; not bound to a `client_id`.
    Response,
    /// An access token; not bound to a `client_id`, which userinfo does not know beforehand.
    AccessToken,
    /// A refresh token.
    RefreshToken,
    /// A token with which a platform manages what is its own; not bound to a `client_id`, as the access token.
    ManagementToken,
}

impl SealedKind {
    /// The associated data's first part.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "hufu-v1-request-uri",
            Self::Code => "hufu-v1-code",
            Self::Response => "hufu-v1-response",
            Self::AccessToken => "hufu-v1-access-token",
            Self::RefreshToken => "hufu-v1-refresh-token",
            Self::ManagementToken => "hufu-v1-management-token",
        }
    }
}

/// Opens sealed texts.
pub trait Opener: Sync {
    /// The plaintext, if `sealed` was made here as this kind for this client (empty for access tokens).
    fn open(&self, kind: SealedKind, client_id: &str, sealed: &str) -> Option<Vec<u8>>;
}

/// Knows its own DPoP nonces again (RFC 9449 section 8).
pub trait Nonces: Sync {
    /// Whether `nonce` was given out here, not long ago.
    fn knows(&self, nonce: &str, now: Timestamp) -> bool;
}

/// A value that must not have been used before. The caller asks its single-use set, in the order given, only after all checks of the
/// table passed that names it; if it was used, the answer is `otherwise`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fresh {
    /// Unique among all kinds of values.
    pub key: Vec<u8>,
    /// Until when it must be remembered.
    pub expires: Timestamp,
    /// The refusal if it is not fresh.
    pub otherwise: OAuthError,
}

/// 16 random bytes that name a code and the tokens that descend from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeId(pub hufu_kernel::Octets<16>);

impl CodeId {
    /// The single-use set's key for the code itself.
    #[must_use]
    pub fn code_key(&self) -> Vec<u8> {
        hufu_kernel::framed(&[b"code", self.0.as_slice()])
    }

    /// The single-use set's key that revokes all tokens of this code.
    #[must_use]
    pub fn tokens_key(&self) -> Vec<u8> {
        hufu_kernel::framed(&[b"tokens-of", self.0.as_slice()])
    }
}

/// One check: its name, the specification that asks for it, and what it does.
type Step<S> = (&'static str, &'static str, fn(&Environment<'_>, &Call<'_>, &mut S) -> Result<(), OAuthError>);

fn run<S>(steps: &[Step<S>], env: &Environment<'_>, call: &Call<'_>, state: &mut S) -> Result<(), OAuthError> {
    steps.iter().try_for_each(|(_, _, check)| check(env, call, state))
}

fn named<S>(endpoint: &'static str, steps: &[Step<S>]) -> Vec<(&'static str, &'static str, &'static str)> {
    steps.iter().map(|(name, source, _)| (endpoint, *name, *source)).collect()
}

/// Every check of every endpoint, in order: (table, name, source). For documentation, and for the test that holds it.
#[must_use]
pub fn tables() -> Vec<(&'static str, &'static str, &'static str)> {
    [
        named("client authentication", client_auth::CHECKS),
        named("request", request::CHECKS),
        named("par", par::CHECKS),
        named("authorize", authorize::CHECKS),
        named("token", token::CHECKS),
        named("backchannel", backchannel::CHECKS),
        named("refresh", refresh::CHECKS),
        named("client credentials", management::GRANT),
        named("management", management::CHECKS),
        named("userinfo", userinfo::CHECKS),
        named("logout", logout::CHECKS),
        request_object::named().collect(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_check_has_its_own_name_and_a_source() {
        let tables = tables();
        let names: BTreeSet<_> = tables.iter().map(|(table, name, _)| (table, name)).collect();
        assert_eq!(names.len(), tables.len());
        assert!(tables.iter().all(|(_, _, source)| !source.is_empty()));
    }
}
