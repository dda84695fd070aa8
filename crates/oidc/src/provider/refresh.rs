//! Renewing an access token without the person (RFC 6749 section 6), for platforms that registered for it and were told so by the person.
//! The token is bound as the first access token was, and is not rotated (FAPI 2.0 section 5.3.2.1). Whether the person's sessions still
//! last, two nodes say: the caller asks them once all checks passed.

use super::client_auth::{authenticate, challenge};
use super::{ACCESS_TOKEN_SECONDS, AccessToken, Call, Client, Code, Environment, Fresh, SealedKind, Step, proof, run};
use crate::{Challenge, OAuthError, Reply};
use hufu_kernel::Timestamp;
use hufu_wire::dpop::Proof;
use hufu_wire::subject_handle::{HANDLE_SECONDS, HandleUse, SubjectHandle};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// The scope that asks for a refresh token (OpenID Connect Core section 11).
pub const OFFLINE_ACCESS: &str = "offline_access";

pub(super) const CHECKS: &[Step<Renewing>] = &[
    ("grant_type", "RFC 6749 section 6", grant_type),
    ("a proof with a nonce, where one is due", "RFC 9449 sections 5, 8", possession),
    ("the token is ours and this client's", "RFC 6749 section 6", ours),
    ("the token is in time", "RFC 6749 section 10.4", in_time),
    ("the platform may still renew", "the platform certificate", registered),
    ("the key the token is bound to", "FAPI 2.0 section 5.3.2.1; RFC 9449 section 5", key),
    ("the certificate the token is bound to", "RFC 8705 section 4", certificate),
    ("no wider scope", "RFC 6749 section 6", scope),
];

/// What is sealed into a refresh token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefreshToken {
    /// The access token that it renews, as it was given first: keys, person and answers stay the same.
    pub renews: AccessToken,
    /// The scope that was granted.
    pub scope: String,
    /// With which two nodes are asked whether the person's sessions still last.
    pub handle: SubjectHandle,
    /// When it ends: with the handle.
    pub exp: Timestamp,
}

impl RefreshToken {
    /// The refresh token of a redeemed code, if the request asked for one, the platform may have one, and the access token is bound to a key
    /// or a certificate of the platform's.
    pub(super) fn of(code: &Code, token: &AccessToken, client: &Client) -> Option<Self> {
        let bound = !(token.jkt.is_empty() && token.x5t.is_empty());
        let wanted = code.offline && bound && client.certificate.registration.may(HandleUse::Refresh);
        let handle = code.handle.clone().filter(|_| wanted)?;
        let exp = token.auth_time + HANDLE_SECONDS;
        Some(Self { renews: token.clone(), scope: code.scope.clone(), handle, exp })
    }
}

/// An accepted request: to be met if the tokens of the code were not revoked ([`super::CodeId::tokens_key`]) and both nodes of the handle
/// say that the person is active and the epoch the same.
#[derive(Clone, PartialEq, Debug)]
pub struct Renewed {
    /// What was presented.
    pub token: RefreshToken,
    /// To be sealed into the access token.
    pub access_token: AccessToken,
    /// What must be used once.
    pub fresh: Vec<Fresh>,
    /// Whether the proof carried a nonce: the next one needs a nonce too.
    pub by_nonce: bool,
}

impl Renewed {
    /// The answer, once the access token is sealed into `sealed`: no ID token (flows 7e), and the same refresh token goes on.
    #[must_use]
    pub fn reply(&self, sealed: &str) -> Reply {
        let body = json!({
            "access_token": sealed,
            "token_type": if self.access_token.jkt.is_empty() { "Bearer" } else { "DPoP" },
            "expires_in": ACCESS_TOKEN_SECONDS,
            "scope": self.token.scope,
        });
        Reply::json(200, &body)
    }
}

pub(super) struct Renewing {
    client: Arc<Client>,
    proof: Option<Proof>,
    token: Option<RefreshToken>,
}

impl Renewing {
    fn token(&self) -> Result<&RefreshToken, OAuthError> {
        self.token.as_ref().ok_or(OAuthError::RefreshUnknown)
    }
}

/// Checks a request to renew.
///
/// # Errors
/// The first check that fails, and how to challenge the client for it.
pub fn refresh(env: &Environment<'_>, call: &Call<'_>) -> Result<Renewed, (OAuthError, Challenge)> {
    checked(env, call).map_err(|error| (error, challenge(call)))
}

fn checked(env: &Environment<'_>, call: &Call<'_>) -> Result<Renewed, OAuthError> {
    let caller = authenticate(env, call)?;
    let mut renewing = Renewing { client: caller.client, proof: None, token: None };
    run(CHECKS, env, call, &mut renewing)?;
    let Renewing { proof, token, .. } = renewing;
    let token = token.ok_or(OAuthError::RefreshUnknown)?;
    let mut fresh = caller.fresh;
    fresh.extend(proof.as_ref().map(proof::fresh));
    let by_nonce = proof.is_some_and(|proof| proof.nonce.is_some());
    let access_token = AccessToken { exp: env.now + ACCESS_TOKEN_SECONDS, ..token.renews.clone() };
    Ok(Renewed { token, access_token, fresh, by_nonce })
}

fn grant_type(_: &Environment<'_>, call: &Call<'_>, _: &mut Renewing) -> Result<(), OAuthError> {
    if call.form.get("grant_type") == Some("refresh_token") { Ok(()) } else { Err(OAuthError::GrantType) }
}

fn possession(env: &Environment<'_>, call: &Call<'_>, renewing: &mut Renewing) -> Result<(), OAuthError> {
    renewing.proof = proof::read(env, call, ("/token", &*renewing.client), None)?;
    Ok(())
}

fn ours(env: &Environment<'_>, call: &Call<'_>, renewing: &mut Renewing) -> Result<(), OAuthError> {
    let sealed = call.form.get("refresh_token").ok_or(OAuthError::RefreshMissing)?;
    let client_id = &renewing.client.certificate.client_id;
    renewing.token = Some(read(env, client_id, sealed).ok_or(OAuthError::RefreshUnknown)?);
    Ok(())
}

/// A refresh token of this client's, in time or not.
pub(super) fn read(env: &Environment<'_>, client_id: &str, sealed: &str) -> Option<RefreshToken> {
    let opened = env.sealed.open(SealedKind::RefreshToken, client_id, sealed)?;
    let token: RefreshToken = serde_json::from_slice(&opened).ok()?;
    (token.renews.client_id == client_id).then_some(token)
}

fn in_time(env: &Environment<'_>, _: &Call<'_>, renewing: &mut Renewing) -> Result<(), OAuthError> {
    if env.now < renewing.token()?.exp { Ok(()) } else { Err(OAuthError::RefreshExpired) }
}

/// The registry may have taken the use away since.
fn registered(_: &Environment<'_>, _: &Call<'_>, renewing: &mut Renewing) -> Result<(), OAuthError> {
    let may = renewing.client.certificate.registration.may(HandleUse::Refresh);
    if may { Ok(()) } else { Err(OAuthError::LaterUse) }
}

fn key(_: &Environment<'_>, _: &Call<'_>, renewing: &mut Renewing) -> Result<(), OAuthError> {
    let jkt = &renewing.token()?.renews.jkt;
    match &renewing.proof {
        None if jkt.is_empty() => Ok(()),
        None => Err(OAuthError::ProofMissing),
        Some(proof) if proof.jkt == *jkt => Ok(()),
        Some(_) => Err(OAuthError::RefreshKey),
    }
}

fn certificate(_: &Environment<'_>, call: &Call<'_>, renewing: &mut Renewing) -> Result<(), OAuthError> {
    let AccessToken { jkt, x5t, .. } = &renewing.token()?.renews;
    let shown = call.certificate.is_some_and(|certificate| certificate.thumbprint() == x5t);
    let bound = if x5t.is_empty() { !jkt.is_empty() } else { shown };
    if bound { Ok(()) } else { Err(OAuthError::RefreshKey) }
}

fn scope(_: &Environment<'_>, call: &Call<'_>, renewing: &mut Renewing) -> Result<(), OAuthError> {
    let granted: Vec<&str> = renewing.token()?.scope.split(' ').collect();
    let mut wanted = call.form.get("scope").into_iter().flat_map(|scope| scope.split(' '));
    if wanted.all(|word| granted.contains(&word)) { Ok(()) } else { Err(OAuthError::RefreshScope) }
}
