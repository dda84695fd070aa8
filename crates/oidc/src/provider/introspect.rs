//! What an access token is worth (RFC 7662; signed: RFC 9701), and giving it up (RFC 7009). A platform learns of its own tokens only.

use super::client_auth::challenge;
use super::{AccessToken, Call, Client, CodeId, Environment, RefreshToken, SealedKind, refresh};
use crate::{Challenge, OAuthError, Reply};
use hufu_kernel::Timestamp;
use hufu_wire::api::sign_in::acr;
use hufu_wire::subject_handle::HandleUse;
use serde_json::{Value, json};
use std::sync::Arc;

/// An accepted question about a token.
#[derive(Clone, PartialEq, Debug)]
pub struct AboutToken {
    /// Who asks.
    pub client: Arc<Client>,
    /// The token, if it is one of this client's that has not ended. It is worth nothing if the tokens of its code were revoked
    /// ([`super::CodeId::tokens_key`]).
    pub token: Option<AccessToken>,
    /// The refresh token, if it is one; likewise. Worth nothing while the platform may not renew ([`AboutToken::renewable`]).
    pub refresh_token: Option<RefreshToken>,
}

/// Checks a question of `client`, who was authenticated ([`super::authenticate`]), about a token: for introspection and for revocation
/// alike.
///
/// # Errors
/// The first check that fails, and how to challenge the client for it.
pub fn about_token(
    env: &Environment<'_>,
    call: &Call<'_>,
    client: Arc<Client>,
) -> Result<AboutToken, (OAuthError, Challenge)> {
    checked(env, call, client).map_err(|error| (error, challenge(call)))
}

fn checked(env: &Environment<'_>, call: &Call<'_>, client: Arc<Client>) -> Result<AboutToken, OAuthError> {
    let sealed = call.form.get("token").ok_or(OAuthError::TokenParameter)?;
    let opened = env.sealed.open(SealedKind::AccessToken, "", sealed);
    let token = opened.and_then(|opened| serde_json::from_slice::<AccessToken>(&opened).ok());
    let own = |token: &AccessToken| token.client_id == client.certificate.client_id && env.now < token.exp;
    let refresh_token = refresh::read(env, &client.certificate.client_id, sealed);
    let refresh_token = refresh_token.filter(|token| env.now < token.exp);
    let token = token.filter(own);
    Ok(AboutToken { token, refresh_token, client })
}

impl AboutToken {
    /// The code that the token descends from, and until when a revocation of its tokens must be remembered: as long as any of them might
    /// live, of whichever kind the one in question is.
    #[must_use]
    pub fn revocation(&self) -> Option<(CodeId, Timestamp)> {
        let token = self.token.as_ref().or(self.refresh_token.as_ref().map(|token| &token.renews))?;
        Some((token.code, token.revoked_until()))
    }

    /// The refresh token, where the platform may still renew.
    #[must_use]
    pub fn renewable(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref().filter(|_| self.client.certificate.registration.may(HandleUse::Refresh))
    }

    /// The answer (RFC 7662 section 2.2), `live` unless the token was revoked. Of a token that is worth nothing nothing is told.
    #[must_use]
    pub fn introspection(&self, issuer: &str, live: bool) -> Value {
        if let Some(token) = self.renewable().filter(|_| live) {
            return renewable(token, issuer);
        }
        let Some(token) = self.token.as_ref().filter(|_| live) else { return json!({ "active": false }) };
        let mut told = json!({
            "active": true,
            "iss": issuer,
            "client_id": token.client_id,
            "sub": token.sub,
            "exp": token.exp,
            "token_type": "Bearer",
            // For a resource that asks for more (RFC 9470 section 6.2).
            "acr": acr(token.hufu.strength),
            "auth_time": token.auth_time,
        });
        if let Some(details) = token.authorization_details() {
            // RFC 9396 section 9.2.
            told["authorization_details"] = details;
        }
        if !token.jkt.is_empty() {
            told["token_type"] = "DPoP".into();
        }
        confirm(&mut told, token);
        told
    }
}

/// What is told of a refresh token: neither `token_type` nor `cnf`, which access tokens have.
fn renewable(token: &RefreshToken, issuer: &str) -> Value {
    json!({
        "active": true,
        "iss": issuer,
        "client_id": token.renews.client_id,
        "sub": token.renews.sub,
        "scope": token.scope,
        "exp": token.exp,
    })
}

/// The keys that a token is bound to (RFC 9449 section 6.2, RFC 8705 section 3.2).
fn confirm(told: &mut Value, token: &AccessToken) {
    if !token.jkt.is_empty() {
        told["cnf"]["jkt"] = token.jkt.as_str().into();
    }
    if !token.x5t.is_empty() {
        told["cnf"]["x5t#S256"] = token.x5t.as_str().into();
    }
}

/// The answer to a revocation: the same for every token, known or not (RFC 7009 section 2.2).
#[must_use]
pub fn revoked() -> Reply {
    let mut reply = Reply::json(200, &json!({}));
    reply.body.clear();
    reply
}
