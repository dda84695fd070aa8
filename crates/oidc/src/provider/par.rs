//! Pushed authorization requests (RFC 9126).

use super::client_auth::challenge;
use super::request::{self, Asked};
use super::{
    AuthorizationRequest, Call, Client, Environment, Fresh, REQUEST_URI_PREFIX, REQUEST_URI_SECONDS, Step, proof, run,
};
use crate::{Challenge, OAuthError, Reply};
use hufu_kernel::Timestamp;
use serde_json::json;
use std::sync::Arc;

pub(super) const CHECKS: &[Step<Pushing>] = &[
    ("no request_uri", "RFC 9126 section 2.1", no_request_uri),
    ("the request itself", "RFC 9126 section 2.1 (3)", the_request),
    ("the proof's key", "RFC 9449 sections 8, 10.1", proof_key),
];

pub(super) struct Pushing {
    asked: Asked,
    fresh: Vec<Fresh>,
    by_nonce: bool,
}

/// An accepted pushed request: to be sealed with its expiry into the `request_uri`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pushed {
    /// What to seal.
    pub request: AuthorizationRequest,
    /// When the `request_uri` expires.
    pub expires: Timestamp,
    /// What must be used once besides.
    pub fresh: Vec<Fresh>,
    /// Whether a proof with a nonce came along: the next one needs a nonce too.
    pub by_nonce: bool,
}

impl Pushed {
    /// The answer, once the request is sealed into `sealed` (base64url).
    #[must_use]
    pub fn reply(&self, sealed: &str) -> Reply {
        let body = json!({ "request_uri": format!("{REQUEST_URI_PREFIX}{sealed}"), "expires_in": REQUEST_URI_SECONDS });
        Reply::json(201, &body)
    }
}

/// Checks a pushed request of `client`, who was authenticated ([`super::authenticate`]).
///
/// # Errors
/// The first check that fails, and how to challenge the client for it.
pub fn par(env: &Environment<'_>, call: &Call<'_>, client: Arc<Client>) -> Result<Pushed, (OAuthError, Challenge)> {
    checked(env, call, client).map_err(|error| (error, challenge(call)))
}

fn checked(env: &Environment<'_>, call: &Call<'_>, client: Arc<Client>) -> Result<Pushed, OAuthError> {
    let mut pushing = Pushing { asked: Asked::of(client), fresh: Vec::new(), by_nonce: false };
    run(CHECKS, env, call, &mut pushing)?;
    let Pushing { asked, fresh, by_nonce } = pushing;
    Ok(Pushed { request: asked.request, expires: env.now + REQUEST_URI_SECONDS, fresh, by_nonce })
}

fn no_request_uri(_: &Environment<'_>, call: &Call<'_>, _: &mut Pushing) -> Result<(), OAuthError> {
    if call.form.get("request_uri").is_some() { Err(OAuthError::RequestUriInPush) } else { Ok(()) }
}

fn the_request(env: &Environment<'_>, call: &Call<'_>, pushing: &mut Pushing) -> Result<(), OAuthError> {
    request::check(env, call, &mut pushing.asked)
}

fn proof_key(env: &Environment<'_>, call: &Call<'_>, pushing: &mut Pushing) -> Result<(), OAuthError> {
    let Some(proof) = proof::read(env, call, ("/par", &*pushing.asked.client), None)? else { return Ok(()) };
    let named = &mut pushing.asked.request.dpop_jkt;
    if !named.is_empty() && *named != proof.jkt {
        return Err(OAuthError::DpopKey);
    }
    named.clone_from(&proof.jkt);
    pushing.by_nonce = proof.nonce.is_some();
    pushing.fresh.push(proof::fresh(&proof));
    Ok(())
}
