//! The authorization endpoint (RFC 6749 section 4.1.1, RFC 9126 section 4).

use super::request::{self, Asked};
use super::{AuthorizationRequest, Call, Client, Environment, REQUEST_URI_PREFIX, Response, SealedKind, Step, run};
use crate::{Form, OAuthError, Pairs};
use hufu_kernel::{Octets, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

pub(super) const CHECKS: &[Step<Opening>] = &[
    ("the client is admitted", "RFC 6749 section 4.1.2.1", known),
    ("pushed, where the profile says so", "FAPI 2.0 section 5.3.2.2", pushed),
    ("the request_uri is ours, this client's, in time", "RFC 9126 section 4", open),
    ("the plain request", "RFC 6749 section 4.1.1", plain),
    ("no session to answer prompt=none from", "OpenID Connect Core section 3.1.2.6; decision 0022", prompt_none),
];

/// What is sealed into a `request_uri`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpenRequest {
    /// The checked request.
    pub request: AuthorizationRequest,
    /// When it expires.
    pub exp: Timestamp,
}

/// A request that may be brought before the person.
#[derive(Clone, PartialEq, Debug)]
pub struct Authorized {
    /// The client.
    pub client: Arc<Client>,
    /// The request.
    pub request: AuthorizationRequest,
    /// Names the pushed request (SHA-256 of its `request_uri`), which may lead to one completed sign-in only; with its expiry.
    pub pushed: Option<(Octets<32>, Timestamp)>,
}

/// A refused request at this endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// Why.
    pub error: OAuthError,
    /// Where the browser goes. `None`: the answer is a page, since no address of this client has been checked.
    pub redirect: Option<Response>,
}

#[derive(Default)]
pub(super) struct Opening {
    client: Option<Arc<Client>>,
    request: Option<AuthorizationRequest>,
    pushed: Option<(Octets<32>, Timestamp)>,
}

/// Checks an authorization request.
///
/// # Errors
/// [`Rejection`].
pub fn authorize(env: &Environment<'_>, form: &Form) -> Result<Authorized, Rejection> {
    let call = Call { method: "GET", authorization: &[], dpop: &[], certificate: None, form };
    let mut opening = Opening::default();
    let checked = run(CHECKS, env, &call, &mut opening);
    let Opening { client, request, pushed } = opening;
    match (checked, client, request) {
        (Ok(()), Some(client), Some(request)) => Ok(Authorized { client, request, pushed }),
        (Ok(()), _, _) => Err(Rejection { error: OAuthError::Internal, redirect: None }),
        (Err(error), _, request) => {
            // `request` holds an address only once redirect_uri() found it in the certificate.
            let request = request.filter(|request| error.may_redirect() && !request.redirect_uri.is_empty());
            Err(Rejection { error, redirect: request.map(|request| request.refused(&env.provider.issuer, error)) })
        }
    }
}

impl AuthorizationRequest {
    /// The response with an error (RFC 6749 section 4.1.2.1), and `iss` against mix-up (RFC 9207).
    #[must_use]
    pub fn refused(&self, issuer: &str, error: OAuthError) -> Response {
        let pairs = Pairs::default().with("error", error.code()).with("error_description", error.description());
        self.response(pairs.with_some("state", self.state.as_deref()).with("iss", issuer))
    }

    /// The response with a code (RFC 6749 section 4.1.2), and `iss` against mix-up (RFC 9207).
    #[must_use]
    pub fn granted(&self, issuer: &str, code: &str) -> Response {
        let pairs = Pairs::default().with("code", code).with_some("state", self.state.as_deref());
        self.response(pairs.with("iss", issuer))
    }

    /// Since when a person must have proved to be there for this request not to ask again, where anybody keeps sessions: the sandbox's
    /// persona agent. `None` asks in any case.
    #[must_use]
    pub fn session_since(&self, now: Timestamp) -> Option<Timestamp> {
        match self.max_age {
            _ if self.prompt_asks => None,
            Some(seconds) => Some(now - i64::from(seconds)),
            None => self.prompt_none.then_some(Timestamp(0)),
        }
    }

    fn response(&self, pairs: Pairs) -> Response {
        Response::new(&self.redirect_uri, self.response_mode, &self.client_id, pairs)
    }
}

fn known(env: &Environment<'_>, call: &Call<'_>, opening: &mut Opening) -> Result<(), OAuthError> {
    let client_id = call.form.get("client_id").ok_or(OAuthError::ClientMissing)?;
    opening.client = Some(env.clients.client(client_id).ok_or(OAuthError::ClientUnknown)?);
    Ok(())
}

fn pushed(_: &Environment<'_>, call: &Call<'_>, opening: &mut Opening) -> Result<(), OAuthError> {
    let fapi = opening.client.as_ref().is_none_or(|client| client.is_fapi());
    if fapi && call.form.get("request_uri").is_none() { Err(OAuthError::PushRequired) } else { Ok(()) }
}

fn open(env: &Environment<'_>, call: &Call<'_>, opening: &mut Opening) -> Result<(), OAuthError> {
    let Some(request_uri) = call.form.get("request_uri") else { return Ok(()) };
    let client = opening.client.as_ref().ok_or(OAuthError::ClientMissing)?;
    let Some(sealed) = request_uri.strip_prefix(REQUEST_URI_PREFIX) else {
        // Nothing is fetched from anywhere. Who says so gets it told at a certified address, if the request names one.
        let mut asked = Asked::of(Arc::clone(client));
        request::check_address(env, call, &mut asked).map_err(|_| OAuthError::RequestUriUnknown)?;
        opening.request = Some(asked.request);
        return Err(OAuthError::RequestUriForeign);
    };
    let opened = env.sealed.open(SealedKind::Request, &client.certificate.client_id, sealed);
    let opened: OpenRequest =
        opened.and_then(|json| serde_json::from_slice(&json).ok()).ok_or(OAuthError::RequestUriUnknown)?;
    if env.now >= opened.exp {
        return Err(OAuthError::RequestUriExpired);
    }
    // The certificate may have been replaced since the request was pushed.
    if !client.certificate.redirect_uris.contains(&opened.request.redirect_uri) {
        return Err(OAuthError::RedirectMismatch);
    }
    opening.pushed = Some((Octets(Sha256::digest(sealed).into()), opened.exp));
    opening.request = Some(opened.request);
    Ok(())
}

fn plain(env: &Environment<'_>, call: &Call<'_>, opening: &mut Opening) -> Result<(), OAuthError> {
    if opening.pushed.is_some() {
        // Parameters beside the request_uri are not looked at (RFC 9126 section 4, RFC 9101 section 6.3).
        return Ok(());
    }
    let mut asked = Asked::of(opening.client.clone().ok_or(OAuthError::ClientMissing)?);
    let checked = request::check(env, call, &mut asked);
    opening.request = Some(asked.request);
    checked
}

/// The service keeps no session. In a sandbox that is told so, the persona agent does, and is asked.
fn prompt_none(env: &Environment<'_>, _: &Call<'_>, opening: &mut Opening) -> Result<(), OAuthError> {
    let none = opening.request.as_ref().is_some_and(|request| request.prompt_none);
    if none && !env.provider.persona_sessions { Err(OAuthError::LoginRequired) } else { Ok(()) }
}
