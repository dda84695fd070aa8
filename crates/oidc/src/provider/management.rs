//! Access to what a platform manages for itself, with no person in it: a token by `client_credentials` (RFC 6749 section 4.4), and what is
//! asked of whoever shows it (RFC 6750, RFC 9449 section 7). Today that is its stream of shared signals, scope `ssf.manage`.

use super::client_auth::challenge;
use super::shown::Shown;
use super::{ACCESS_TOKEN_SECONDS, Call, Client, Environment, Fresh, SealedKind, Step, proof, run};
use crate::{Challenge, OAuthError, Reply};
use hufu_kernel::Timestamp;
use hufu_wire::dpop::Proof;
use hufu_wire::subject_handle::HandleUse;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// The scope of a stream's management.
pub const SSF_MANAGE: &str = "ssf.manage";

pub(super) const GRANT: &[Step<Granting>] = &[
    ("grant_type", "RFC 6749 section 4.4.2", grant_type),
    ("the platform has something to manage", "the platform certificate", may_manage),
    ("scope", "RFC 6749 section 4.4.2", scope),
    ("a TLS certificate, where tokens are bound to one", "RFC 8705 section 3.4", certificate),
    ("a proof, unless bound to a certificate", "FAPI 2.0 section 5.3.2.1; RFC 9449 section 5", possession),
];

pub(super) const CHECKS: &[Step<Managing>] = &[
    ("one access token", "RFC 6750 section 2.1", one_token),
    ("the token is ours and in time", "RFC 6750 section 3.1", ours),
    ("the platform may still manage it", "the platform certificate", still),
    ("the token's certificate", "RFC 8705 section 3", shown_certificate),
    ("the token's key", "RFC 9449 sections 7, 9", shown_key),
];

/// What is sealed into a management token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManagementToken {
    /// The platform.
    pub client_id: String,
    /// The DPoP key it is bound to; empty without.
    pub jkt: String,
    /// `x5t#S256` of the TLS certificate it is bound to; empty without. Never bound to neither.
    #[serde(rename = "x5t#S256", skip_serializing_if = "String::is_empty", default)]
    pub x5t: String,
    /// When it expires.
    pub exp: Timestamp,
}

/// An accepted request for a management token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// To be sealed.
    pub token: ManagementToken,
    /// What must be used once besides.
    pub fresh: Vec<Fresh>,
    /// Whether the proof carried a nonce: the next one needs a nonce too.
    pub by_nonce: bool,
}

impl Granted {
    /// The answer, once the token is sealed into `sealed`.
    #[must_use]
    pub fn reply(&self, sealed: &str) -> Reply {
        let body = json!({
            "access_token": sealed,
            "token_type": if self.token.jkt.is_empty() { "Bearer" } else { "DPoP" },
            "expires_in": ACCESS_TOKEN_SECONDS,
            "scope": SSF_MANAGE,
        });
        Reply::json(200, &body)
    }
}

pub(super) struct Granting {
    client: Arc<Client>,
    x5t: String,
    proof: Option<Proof>,
}

/// Checks a request for a management token of `client`, who was authenticated ([`super::authenticate`]).
///
/// # Errors
/// The first check that fails, and how to challenge the client for it.
pub fn client_credentials(
    env: &Environment<'_>,
    call: &Call<'_>,
    client: Arc<Client>,
) -> Result<Granted, (OAuthError, Challenge)> {
    granted(env, call, client).map_err(|error| (error, challenge(call)))
}

fn granted(env: &Environment<'_>, call: &Call<'_>, client: Arc<Client>) -> Result<Granted, OAuthError> {
    let mut granting = Granting { client, x5t: String::new(), proof: None };
    run(GRANT, env, call, &mut granting)?;
    let Granting { client, x5t, proof } = granting;
    let fresh = proof.as_ref().map(proof::fresh).into_iter().collect();
    let by_nonce = proof.as_ref().is_some_and(|proof| proof.nonce.is_some());
    let (jkt, exp) = (proof.map(|proof| proof.jkt).unwrap_or_default(), env.now + ACCESS_TOKEN_SECONDS);
    let token = ManagementToken { client_id: client.certificate.client_id.clone(), jkt, x5t, exp };
    Ok(Granted { token, fresh, by_nonce })
}

fn grant_type(_: &Environment<'_>, call: &Call<'_>, _: &mut Granting) -> Result<(), OAuthError> {
    if call.form.get("grant_type") == Some("client_credentials") { Ok(()) } else { Err(OAuthError::GrantType) }
}

fn may_manage(_: &Environment<'_>, _: &Call<'_>, granting: &mut Granting) -> Result<(), OAuthError> {
    let may = granting.client.certificate.registration.may(HandleUse::Signals);
    if may { Ok(()) } else { Err(OAuthError::LaterUse) }
}

fn scope(_: &Environment<'_>, call: &Call<'_>, _: &mut Granting) -> Result<(), OAuthError> {
    match call.form.get("scope") {
        None | Some(SSF_MANAGE) => Ok(()),
        Some(_) => Err(OAuthError::ManagementScope),
    }
}

fn certificate(_: &Environment<'_>, call: &Call<'_>, granting: &mut Granting) -> Result<(), OAuthError> {
    if granting.client.certificate.registration.tls_client_certificate_bound_access_tokens {
        let certificate = call.certificate.ok_or(OAuthError::CertificateMissing)?;
        certificate.thumbprint().clone_into(&mut granting.x5t);
    }
    Ok(())
}

fn possession(env: &Environment<'_>, call: &Call<'_>, granting: &mut Granting) -> Result<(), OAuthError> {
    granting.proof = proof::read(env, call, ("/token", &*granting.client), None)?;
    let bound = granting.proof.is_some() || !granting.x5t.is_empty();
    if bound { Ok(()) } else { Err(OAuthError::ProofMissing) }
}

/// Who showed a management token.
#[derive(Clone, PartialEq, Debug)]
pub struct Manager {
    /// The platform.
    pub client: Arc<Client>,
    /// What must be used once.
    pub fresh: Vec<Fresh>,
    /// How to challenge if something was used before.
    pub challenge: Challenge,
    /// Whether the proof carried a nonce: the next one needs a nonce too.
    pub by_nonce: bool,
}

#[derive(Default)]
pub(super) struct Managing {
    path: &'static str,
    shown: Shown,
    token: Option<ManagementToken>,
    client: Option<Arc<Client>>,
}

impl Managing {
    fn token(&self) -> Result<&ManagementToken, OAuthError> {
        self.token.as_ref().ok_or(OAuthError::TokenInvalid)
    }
}

/// Checks who asks at the endpoint `path`. The body is not looked at: the token comes in the header alone.
///
/// # Errors
/// The first check that fails, and how to challenge the client for it.
pub fn manager(env: &Environment<'_>, call: &Call<'_>, path: &'static str) -> Result<Manager, (OAuthError, Challenge)> {
    let mut managing = Managing { path, ..Managing::default() };
    let checked = run(CHECKS, env, call, &mut managing);
    let challenge = managing.shown.challenge();
    match (checked, managing.client) {
        (Ok(()), Some(client)) => {
            let Shown { fresh, by_nonce, .. } = managing.shown;
            Ok(Manager { client, fresh, challenge, by_nonce })
        }
        (Ok(()), None) => Err((OAuthError::TokenInvalid, challenge)),
        (Err(error), _) => Err((error, challenge)),
    }
}

fn one_token(_: &Environment<'_>, call: &Call<'_>, managing: &mut Managing) -> Result<(), OAuthError> {
    managing.shown.one_token(call, None)
}

fn ours(env: &Environment<'_>, _: &Call<'_>, managing: &mut Managing) -> Result<(), OAuthError> {
    let opened =
        env.sealed.open(SealedKind::ManagementToken, "", &managing.shown.sealed).ok_or(OAuthError::TokenInvalid)?;
    let token: ManagementToken = serde_json::from_slice(&opened).map_err(|_| OAuthError::TokenInvalid)?;
    if env.now >= token.exp {
        return Err(OAuthError::TokenInvalid);
    }
    managing.token = Some(token);
    Ok(())
}

fn still(env: &Environment<'_>, _: &Call<'_>, managing: &mut Managing) -> Result<(), OAuthError> {
    let client = env.clients.client(&managing.token()?.client_id);
    let may = |client: &Arc<Client>| client.certificate.registration.may(HandleUse::Signals);
    managing.client = Some(client.filter(may).ok_or(OAuthError::TokenInvalid)?);
    Ok(())
}

fn shown_certificate(_: &Environment<'_>, call: &Call<'_>, managing: &mut Managing) -> Result<(), OAuthError> {
    Shown::certificate(call, &managing.token()?.x5t)
}

fn shown_key(env: &Environment<'_>, call: &Call<'_>, managing: &mut Managing) -> Result<(), OAuthError> {
    let Managing { path, shown, token: Some(token), client: Some(client) } = managing else {
        return Err(OAuthError::TokenInvalid);
    };
    // Never a bearer token.
    if token.jkt.is_empty() && token.x5t.is_empty() {
        return Err(OAuthError::TokenBinding);
    }
    shown.key(env, call, (*path, &**client), &token.jkt)
}
