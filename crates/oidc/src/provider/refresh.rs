//! Renewing an access token without the person (RFC 6749 section 6), for platforms that registered for it and were told so by the person.
//! The token is bound to the client, which authenticates (RFC 9449 section 5, RFC 8705 section 4), and is not rotated (FAPI 2.0 section
//! 5.3.2.1); each access token it gives is bound to the key or the certificate that is shown for it. Whether the person's sessions still
//! last, two nodes say: the caller asks them once all checks passed.

use super::client_auth::challenge;
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
    ("a TLS certificate, where tokens are bound to one", "RFC 8705 sections 3, 4", certificate),
    ("a proof, unless bound to a certificate", "FAPI 2.0 section 5.3.2.1; RFC 9449 sections 5, 8", possession),
    ("the token is ours and this client's", "RFC 6749 section 6", ours),
    ("the token is in time", "RFC 6749 section 10.4", in_time),
    ("the platform may still renew", "the platform certificate", registered),
    ("no wider scope", "RFC 6749 section 6", scope),
];

/// What is sealed into a refresh token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefreshToken {
    /// The access token that it renews, as it was given first: person and answers stay the same, keys need not.
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
    /// What must be used once besides.
    pub fresh: Vec<Fresh>,
    /// Whether the proof carried a nonce: the next one needs a nonce too.
    pub by_nonce: bool,
}

impl Renewed {
    /// The answer, once the access token is sealed into `sealed`: no ID token (flows 7e), and the same refresh token goes on. What was granted
    /// of `authorization_details` is told again (RFC 9396 section 7).
    #[must_use]
    pub fn reply(&self, sealed: &str) -> Reply {
        let mut body = json!({
            "access_token": sealed,
            "token_type": if self.access_token.jkt.is_empty() { "Bearer" } else { "DPoP" },
            "expires_in": ACCESS_TOKEN_SECONDS,
            "scope": self.token.scope,
        });
        if let Some(details) = self.access_token.authorization_details() {
            body["authorization_details"] = details;
        }
        Reply::json(200, &body)
    }
}

pub(super) struct Renewing {
    client: Arc<Client>,
    /// `x5t#S256` of the certificate that the access token is bound to; empty where it is not.
    x5t: String,
    proof: Option<Proof>,
    token: Option<RefreshToken>,
}

impl Renewing {
    fn token(&self) -> Result<&RefreshToken, OAuthError> {
        self.token.as_ref().ok_or(OAuthError::RefreshUnknown)
    }
}

/// Checks a request to renew of `client`, who was authenticated ([`super::authenticate`]).
///
/// # Errors
/// The first check that fails, and how to challenge the client for it.
pub fn refresh(
    env: &Environment<'_>,
    call: &Call<'_>,
    client: Arc<Client>,
) -> Result<Renewed, (OAuthError, Challenge)> {
    checked(env, call, client).map_err(|error| (error, challenge(call)))
}

fn checked(env: &Environment<'_>, call: &Call<'_>, client: Arc<Client>) -> Result<Renewed, OAuthError> {
    let mut renewing = Renewing { client, x5t: String::new(), proof: None, token: None };
    run(CHECKS, env, call, &mut renewing)?;
    let Renewing { x5t, proof, token, .. } = renewing;
    let token = token.ok_or(OAuthError::RefreshUnknown)?;
    let fresh = proof.as_ref().map(proof::fresh).into_iter().collect();
    let by_nonce = proof.as_ref().is_some_and(|proof| proof.nonce.is_some());
    let (jkt, exp) = (proof.map(|proof| proof.jkt).unwrap_or_default(), env.now + ACCESS_TOKEN_SECONDS);
    let access_token = AccessToken { jkt, x5t, exp, ..token.renews.clone() };
    Ok(Renewed { token, access_token, fresh, by_nonce })
}

fn grant_type(_: &Environment<'_>, call: &Call<'_>, _: &mut Renewing) -> Result<(), OAuthError> {
    if call.form.get("grant_type") == Some("refresh_token") { Ok(()) } else { Err(OAuthError::GrantType) }
}

fn possession(env: &Environment<'_>, call: &Call<'_>, renewing: &mut Renewing) -> Result<(), OAuthError> {
    renewing.proof = proof::read(env, call, ("/token", &*renewing.client), None)?;
    // Also where profile `basic` would give a bearer token: one that lives for a month through others is never unbound.
    let bound = renewing.proof.is_some() || !renewing.x5t.is_empty();
    if bound { Ok(()) } else { Err(OAuthError::ProofMissing) }
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

fn certificate(_: &Environment<'_>, call: &Call<'_>, renewing: &mut Renewing) -> Result<(), OAuthError> {
    if renewing.client.certificate.registration.tls_client_certificate_bound_access_tokens {
        let certificate = call.certificate.ok_or(OAuthError::CertificateMissing)?;
        certificate.thumbprint().clone_into(&mut renewing.x5t);
    }
    Ok(())
}

fn scope(_: &Environment<'_>, call: &Call<'_>, renewing: &mut Renewing) -> Result<(), OAuthError> {
    let granted: Vec<&str> = renewing.token()?.scope.split(' ').collect();
    let mut wanted = call.form.get("scope").into_iter().flat_map(|scope| scope.split(' '));
    if wanted.all(|word| granted.contains(&word)) { Ok(()) } else { Err(OAuthError::RefreshScope) }
}
