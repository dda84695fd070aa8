//! The userinfo endpoint (OpenID Connect Core section 5.3): the same `sub` and verification result as the ID token, so
//! that a revoked access token can be seen to be revoked.

use super::shown::Shown;
use super::{
    ACCESS_TOKEN_SECONDS, Call, Client, CodeId, Environment, Fresh, SealedKind, Step, Wanted, run, verified_claims,
};
use crate::{Challenge, OAuthError, Reply};
use hufu_kernel::Timestamp;
use hufu_wire::api::sign_in::VerificationResult;
use hufu_wire::subject_handle::HANDLE_SECONDS;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

pub(super) const CHECKS: &[Step<Telling>] = &[
    ("one access token", "RFC 6750 section 2", one_token),
    ("the token is ours", "RFC 6750 section 3.1", ours),
    ("the token is in time", "RFC 6750 section 3.1", in_time),
    ("the client is still admitted", "the registry", admitted),
    ("the token's certificate", "RFC 8705 section 3", certificate),
    ("the token's key", "RFC 9449 sections 7, 9", bound),
];

/// What is sealed into an access token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccessToken {
    /// The code it descends from.
    pub code: CodeId,
    /// The client it was made for.
    pub client_id: String,
    /// The DPoP key it is bound to; empty without.
    pub jkt: String,
    /// `x5t#S256` of the TLS certificate it is bound to; empty without. Bound to neither it is a bearer token (profile `basic`).
    #[serde(rename = "x5t#S256", skip_serializing_if = "String::is_empty", default)]
    pub x5t: String,
    /// When it expires.
    pub exp: Timestamp,
    /// As in the ID token.
    pub sub: String,
    /// As in the ID token.
    pub auth_time: Timestamp,
    /// As in the ID token.
    pub hufu: VerificationResult,
    /// What was asked for beyond the ID token.
    #[serde(skip_serializing_if = "Wanted::is_empty", default)]
    pub wanted: Wanted,
    /// Its code may have given a refresh token: a revocation is remembered for as long as that one might live.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub offline: bool,
}

impl AccessToken {
    /// Until when a revocation of the tokens of this one's code must be remembered.
    #[must_use]
    pub fn revoked_until(&self) -> Timestamp {
        if self.offline { self.auth_time + HANDLE_SECONDS + ACCESS_TOKEN_SECONDS } else { self.exp }
    }

    /// What was granted of the `authorization_details`, if any were asked for (RFC 9396 section 7).
    #[must_use]
    pub fn authorization_details(&self) -> Option<Value> {
        self.wanted.details.as_ref().map(|detail| detail.granted(&self.hufu))
    }

    fn verified_claims(&self) -> Option<Value> {
        verified_claims::told(&self.wanted.verified, &self.hufu.answers)
    }
}

/// An accepted request: to be answered unless the tokens of this code were revoked ([`CodeId::tokens_key`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The token's content.
    pub token: AccessToken,
    /// What must be used once.
    pub fresh: Vec<Fresh>,
    /// How to challenge if it was revoked or replayed.
    pub challenge: Challenge,
    /// Whether the proof carried a nonce: the next one needs a nonce too.
    pub by_nonce: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    sub: &'a str,
    hufu: &'a VerificationResult,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_claims: Option<Value>,
}

impl Told {
    /// The answer.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let AccessToken { sub, hufu, .. } = &self.token;
        let verified_claims = self.token.verified_claims();
        Reply::json(200, &Body { iss: None, aud: None, sub, hufu, verified_claims })
    }

    /// The answer as claims to be signed (OpenID Connect Core section 5.3.2).
    #[must_use]
    pub fn claims<'a>(&'a self, issuer: &'a str) -> impl Serialize + 'a {
        let AccessToken { client_id, sub, hufu, .. } = &self.token;
        Body { iss: Some(issuer), aud: Some(client_id), sub, hufu, verified_claims: self.token.verified_claims() }
    }
}

#[derive(Default)]
pub(super) struct Telling {
    shown: Shown,
    token: Option<AccessToken>,
    client: Option<Arc<Client>>,
}

/// Checks a userinfo request; `call.form` is the body of a POST, empty for a GET.
///
/// # Errors
/// The first check that fails, and how to challenge the client for it.
pub fn userinfo(env: &Environment<'_>, call: &Call<'_>) -> Result<Told, (OAuthError, Challenge)> {
    let mut telling = Telling::default();
    let checked = run(CHECKS, env, call, &mut telling);
    let challenge = telling.shown.challenge();
    match (checked, telling.token) {
        (Ok(()), Some(token)) => {
            let Shown { fresh, by_nonce, .. } = telling.shown;
            Ok(Told { token, fresh, challenge, by_nonce })
        }
        (Ok(()), None) => Err((OAuthError::TokenInvalid, challenge)),
        (Err(error), _) => Err((error, challenge)),
    }
}

fn one_token(_: &Environment<'_>, call: &Call<'_>, telling: &mut Telling) -> Result<(), OAuthError> {
    telling.shown.one_token(call, call.form.get("access_token"))
}

fn ours(env: &Environment<'_>, _: &Call<'_>, telling: &mut Telling) -> Result<(), OAuthError> {
    let opened = env.sealed.open(SealedKind::AccessToken, "", &telling.shown.sealed).ok_or(OAuthError::TokenInvalid)?;
    telling.token = Some(serde_json::from_slice(&opened).map_err(|_| OAuthError::TokenInvalid)?);
    Ok(())
}

fn in_time(env: &Environment<'_>, _: &Call<'_>, telling: &mut Telling) -> Result<(), OAuthError> {
    let live = telling.token.as_ref().is_some_and(|token| env.now < token.exp);
    if live { Ok(()) } else { Err(OAuthError::TokenInvalid) }
}

fn admitted(env: &Environment<'_>, _: &Call<'_>, telling: &mut Telling) -> Result<(), OAuthError> {
    telling.client = telling.token.as_ref().and_then(|token| env.clients.client(&token.client_id));
    if telling.client.is_some() { Ok(()) } else { Err(OAuthError::TokenInvalid) }
}

fn certificate(_: &Environment<'_>, call: &Call<'_>, telling: &mut Telling) -> Result<(), OAuthError> {
    Shown::certificate(call, telling.token.as_ref().map(|token| token.x5t.as_str()).ok_or(OAuthError::TokenInvalid)?)
}

fn bound(env: &Environment<'_>, call: &Call<'_>, telling: &mut Telling) -> Result<(), OAuthError> {
    let jkt = telling.token.as_ref().map(|token| token.jkt.as_str()).ok_or(OAuthError::TokenInvalid)?;
    let client = telling.client.as_deref().ok_or(OAuthError::TokenInvalid)?;
    telling.shown.key(env, call, ("/userinfo", client), jkt)
}
