//! The token endpoint (RFC 6749 section 4.1.3).

use super::client_auth::challenge;
use super::{
    ACCESS_TOKEN_SECONDS, AccessToken, AuthorizationRequest, CODE_SECONDS, Call, Client, CodeId, Environment, Fresh,
    RefreshToken, SealedKind, Step, Wanted, proof, run,
};
use crate::{Challenge, OAuthError, Reply};
use hufu_kernel::{Timestamp, b64};
use hufu_wire::api::sign_in::IdToken;
use hufu_wire::dpop::Proof;
use hufu_wire::jose::Compact;
use hufu_wire::subject_handle::SubjectHandle;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

pub(super) const CHECKS: &[Step<Redeeming>] = &[
    ("grant_type", "RFC 6749 section 5.2", grant_type),
    ("a TLS certificate, where tokens are bound to one", "RFC 8705 section 3.4", certificate),
    ("a proof, where the profile says so", "FAPI 2.0 section 5.3.2.1; RFC 9449 sections 5, 8", possession),
    ("the code is ours and this client's", "RFC 6749 section 4.1.3", code),
    ("the code is in time", "FAPI 2.0 section 5.3.2.1", in_time),
    ("redirect_uri is the same", "RFC 6749 section 4.1.3", redirect_uri),
    ("code_verifier", "RFC 7636 section 4.6; RFC 9700 section 4.8.2", verifier),
    ("the key the code is bound to", "RFC 9449 section 10", key),
];

/// What is sealed into a code.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Code {
    /// Names the code.
    pub id: CodeId,
    /// The client it was made for.
    pub client_id: String,
    /// The address it was sent to.
    pub redirect_uri: String,
    /// RFC 7636; empty without.
    pub code_challenge: String,
    /// RFC 9449 section 10; empty without.
    pub dpop_jkt: String,
    /// The scope that was granted.
    pub scope: String,
    /// As two nodes signed it; returned as it is.
    pub id_token: String,
    /// What its tokens still need of the request.
    #[serde(skip_serializing_if = "Wanted::is_empty", default)]
    pub wanted: Wanted,
    /// When the code expires.
    pub exp: Timestamp,
    /// What the platform gets to ask for this person later, if it registered for that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handle: Option<SubjectHandle>,
    /// A refresh token was asked for, and may be had.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub offline: bool,
}

impl Code {
    /// The code for a request that the person granted.
    #[must_use]
    pub fn of(request: &AuthorizationRequest, id: CodeId, id_token: &str, now: Timestamp) -> Self {
        Self {
            id,
            client_id: request.client_id.clone(),
            redirect_uri: request.redirect_uri.clone(),
            code_challenge: request.code_challenge.clone(),
            dpop_jkt: request.dpop_jkt.clone(),
            scope: request.scope.clone(),
            id_token: id_token.to_owned(),
            wanted: request.wanted.clone(),
            exp: now + CODE_SECONDS,
            handle: None,
            offline: request.offline,
        }
    }
}

/// An accepted redemption.
#[derive(Clone, PartialEq, Debug)]
pub struct Redeemed {
    /// The code; on [`OAuthError::CodeReplayed`] the tokens of its id are to be revoked.
    pub code: Code,
    /// To be sealed into the access token.
    pub access_token: AccessToken,
    /// To be sealed into the refresh token, if there is one.
    pub refresh_token: Option<RefreshToken>,
    /// What must be used once besides; the code is the last.
    pub fresh: Vec<Fresh>,
    /// Whether the proof carried a nonce: the next one needs a nonce too.
    pub by_nonce: bool,
}

impl Redeemed {
    /// The answer, once the access token is sealed into `sealed`, and the refresh token likewise.
    #[must_use]
    pub fn reply(&self, sealed: &str, refresh_token: Option<&str>) -> Reply {
        let kind = if self.access_token.jkt.is_empty() { "Bearer" } else { "DPoP" };
        let mut body: Value = json!({
            "access_token": sealed,
            "token_type": kind,
            "expires_in": ACCESS_TOKEN_SECONDS,
            "id_token": self.code.id_token,
            "scope": self.code.scope,
        });
        if let Some(details) = self.access_token.authorization_details() {
            body["authorization_details"] = details;
        }
        if let Some(refresh_token) = refresh_token {
            body["refresh_token"] = refresh_token.into();
        }
        if let Some(handle) = &self.code.handle {
            body["hufu_subject_handle"] = handle.to_string().into();
        }
        Reply::json(200, &body)
    }
}

pub(super) struct Redeeming {
    client: Arc<Client>,
    /// `x5t#S256` of the certificate that tokens are bound to; empty where they are not.
    x5t: String,
    proof: Option<Proof>,
    code: Option<Code>,
}

impl Redeeming {
    fn code(&self) -> Result<&Code, OAuthError> {
        self.code.as_ref().ok_or(OAuthError::CodeUnknown)
    }
}

/// How a caller of the token endpoint showed that the tokens are for itself, whatever the grant.
pub(super) struct Shown {
    pub fresh: Vec<Fresh>,
    pub by_nonce: bool,
    /// The thumbprint of the DPoP key, with one.
    pub jkt: Option<String>,
    /// `x5t#S256` of the certificate that tokens are bound to; empty where they are not.
    pub x5t: String,
}

/// Checks the possession that every grant needs.
pub(super) fn shown(env: &Environment<'_>, call: &Call<'_>, client: Arc<Client>) -> Result<Shown, OAuthError> {
    let mut redeeming = Redeeming { client, x5t: String::new(), proof: None, code: None };
    [certificate, possession].iter().try_for_each(|check| check(env, call, &mut redeeming))?;
    let Redeeming { x5t, proof, .. } = redeeming;
    let fresh = proof.as_ref().map(proof::fresh).into_iter().collect();
    let by_nonce = proof.as_ref().is_some_and(|proof| proof.nonce.is_some());
    Ok(Shown { fresh, by_nonce, jkt: proof.map(|proof| proof.jkt), x5t })
}

/// What a code gives to who showed that.
pub(super) fn redeemed(code: Code, client: &Client, shown: Shown, now: Timestamp) -> Result<Redeemed, OAuthError> {
    let Shown { mut fresh, by_nonce, jkt, x5t } = shown;
    fresh.push(Fresh { key: code.id.code_key(), expires: code.exp, otherwise: OAuthError::CodeReplayed });
    let access_token = access_token(&code, (jkt, x5t), now)?;
    let refresh_token = RefreshToken::of(&code, &access_token, client);
    Ok(Redeemed { code, access_token, refresh_token, fresh, by_nonce })
}

/// Checks a token request of `client`, who was authenticated ([`super::authenticate`]).
///
/// # Errors
/// The first check that fails, and how to challenge the client for it.
pub fn token(env: &Environment<'_>, call: &Call<'_>, client: Arc<Client>) -> Result<Redeemed, (OAuthError, Challenge)> {
    checked(env, call, client).map_err(|error| (error, challenge(call)))
}

fn checked(env: &Environment<'_>, call: &Call<'_>, client: Arc<Client>) -> Result<Redeemed, OAuthError> {
    let mut redeeming = Redeeming { client, x5t: String::new(), proof: None, code: None };
    run(CHECKS, env, call, &mut redeeming)?;
    let Redeeming { client, x5t, proof, code } = redeeming;
    let code = code.ok_or(OAuthError::CodeUnknown)?;
    let fresh = proof.as_ref().map(proof::fresh).into_iter().collect();
    let by_nonce = proof.as_ref().is_some_and(|proof| proof.nonce.is_some());
    redeemed(code, &client, Shown { fresh, by_nonce, jkt: proof.map(|proof| proof.jkt), x5t }, env.now)
}

fn access_token(code: &Code, (jkt, x5t): (Option<String>, String), now: Timestamp) -> Result<AccessToken, OAuthError> {
    // The token was verified when the code was made, and nobody could open the code since.
    let jws = Compact::parse(&code.id_token).map_err(|_| OAuthError::Internal)?;
    let token: IdToken = jws.unverified().json().map_err(|_| OAuthError::Internal)?;
    Ok(AccessToken {
        code: code.id,
        client_id: code.client_id.clone(),
        jkt: jkt.unwrap_or_default(),
        x5t,
        exp: now + ACCESS_TOKEN_SECONDS,
        sub: token.sub,
        auth_time: token.auth_time,
        hufu: token.hufu,
        wanted: code.wanted.clone(),
        offline: code.offline,
    })
}

fn grant_type(_: &Environment<'_>, call: &Call<'_>, _: &mut Redeeming) -> Result<(), OAuthError> {
    if call.form.get("grant_type") == Some("authorization_code") { Ok(()) } else { Err(OAuthError::GrantType) }
}

fn certificate(_: &Environment<'_>, call: &Call<'_>, redeeming: &mut Redeeming) -> Result<(), OAuthError> {
    if redeeming.client.certificate.registration.tls_client_certificate_bound_access_tokens {
        let certificate = call.certificate.ok_or(OAuthError::CertificateMissing)?;
        certificate.thumbprint().clone_into(&mut redeeming.x5t);
    }
    Ok(())
}

/// A token that is bound to a certificate needs no proof; with one it is bound to both.
fn possession(env: &Environment<'_>, call: &Call<'_>, redeeming: &mut Redeeming) -> Result<(), OAuthError> {
    redeeming.proof = proof::read(env, call, ("/token", &*redeeming.client), None)?;
    let bound = redeeming.proof.is_some() || !redeeming.x5t.is_empty();
    if !bound && redeeming.client.is_fapi() { Err(OAuthError::ProofMissing) } else { Ok(()) }
}

fn code(env: &Environment<'_>, call: &Call<'_>, redeeming: &mut Redeeming) -> Result<(), OAuthError> {
    let sealed = call.form.get("code").ok_or(OAuthError::CodeMissing)?;
    let client_id = &redeeming.client.certificate.client_id;
    let opened = env.sealed.open(SealedKind::Code, client_id, sealed).ok_or(OAuthError::CodeUnknown)?;
    let code: Code = serde_json::from_slice(&opened).map_err(|_| OAuthError::CodeUnknown)?;
    if code.client_id != *client_id {
        return Err(OAuthError::CodeUnknown);
    }
    redeeming.code = Some(code);
    Ok(())
}

fn in_time(env: &Environment<'_>, _: &Call<'_>, redeeming: &mut Redeeming) -> Result<(), OAuthError> {
    if env.now < redeeming.code()?.exp { Ok(()) } else { Err(OAuthError::CodeExpired) }
}

fn redirect_uri(_: &Environment<'_>, call: &Call<'_>, redeeming: &mut Redeeming) -> Result<(), OAuthError> {
    let same = call.form.get("redirect_uri") == Some(&redeeming.code()?.redirect_uri);
    if same { Ok(()) } else { Err(OAuthError::CodeRedirect) }
}

fn verifier(_: &Environment<'_>, call: &Call<'_>, redeeming: &mut Redeeming) -> Result<(), OAuthError> {
    let challenge = &redeeming.code()?.code_challenge;
    let fits = match call.form.get("code_verifier") {
        // A verifier without a challenge means that somebody took the challenge away (RFC 9700 section 4.8.2).
        None => challenge.is_empty(),
        Some(verifier) => {
            let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            let shape = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
            let digest = b64(&Sha256::digest(verifier));
            shape && bool::from(digest.as_bytes().ct_eq(challenge.as_bytes()))
        }
    };
    if fits { Ok(()) } else { Err(OAuthError::CodeVerifier) }
}

fn key(_: &Environment<'_>, _: &Call<'_>, redeeming: &mut Redeeming) -> Result<(), OAuthError> {
    let bound = &redeeming.code()?.dpop_jkt;
    let shown = redeeming.proof.as_ref().map(|proof| proof.jkt.as_str());
    if bound.is_empty() || shown == Some(bound) { Ok(()) } else { Err(OAuthError::CodeKey) }
}
