//! What a platform asks for: one table for pushed and for plain requests (RFC 6749 section 4.1.1, OpenID Connect Core
//! section 3.1.2.1, RFC 7636, FAPI 2.0 section 5.3.2.2).

use super::claims::{self, ClaimsRequest, Wanted};
use super::{
    Call, Client, Environment, OFFLINE_ACCESS, ResponseMode, Step, authorization_details, hint, request_object, run,
    verified_claims,
};
use crate::OAuthError;
use hufu_kernel::{Answer, Lang, Strength, unb64};
use hufu_wire::api::sign_in::acr;
use hufu_wire::subject_handle::HandleUse;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub(super) const CHECKS: &[Step<Asked>] = &[
    ("client_id", "RFC 9126 section 2.1", client_id),
    ("state", "RFC 6749 section 4.1.1", state),
    ("redirect_uri, exactly", "FAPI 2.0 section 5.3.2.2; RFC 9700 section 2.1", redirect_uri),
    ("response_mode", "OAuth 2.0 Multiple Response Types section 2.1; JARM section 2.3", response_mode),
    ("no request object", "OpenID Connect Core section 6", request_object),
    ("response_type", "FAPI 2.0 section 5.3.2.2", response_type),
    ("PKCE", "RFC 7636 section 4.3; FAPI 2.0 section 5.3.2.2", pkce),
    ("scope", "OpenID Connect Core section 3.1.2.1", scope),
    ("claims", "OpenID Connect Core section 5.5; Identity Assurance section 5", claims::check),
    ("authorization_details", "RFC 9396 section 5", authorization_details::check),
    ("purpose", "the platform certificate", purpose),
    ("no more than entitled", "the platform certificate", entitled),
    ("nonce", "OpenID Connect Core section 3.1.2.1", nonce),
    ("prompt", "OpenID Connect Core section 3.1.2.1", prompt),
    ("max_age", "OpenID Connect Core section 3.1.2.1", max_age),
    ("id_token_hint", "OpenID Connect Core section 3.1.2.1", id_token_hint),
    ("acr_values", "OpenID Connect Core section 3.1.2.1; RFC 9470 section 4", acr_values),
    ("the strength that satisfies all", "OpenID Connect Core section 5.5.1.1", claims::strength),
    ("dpop_jkt", "RFC 9449 section 10", dpop_jkt),
    ("ui_locales", "OpenID Connect Core section 3.1.2.1", ui_locales),
];

/// A request that passed all checks: what is sealed into a `request_uri` and kept with a transaction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub struct AuthorizationRequest {
    /// `client_id`.
    pub client_id: String,
    /// One of the certificate's.
    pub redirect_uri: String,
    /// How the answer gets there.
    #[serde(default)]
    pub response_mode: ResponseMode,
    /// `state`, returned as it came.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<String>,
    /// `nonce`; empty where none was sent.
    pub nonce: String,
    /// S256; empty where none was sent (profile `basic` only).
    pub code_challenge: String,
    /// The key the code is bound to; empty where it is not.
    pub dpop_jkt: String,
    /// What is asked, within the entitlement and the purpose; sorted, no duplicates.
    pub answers: Vec<Answer>,
    /// The purpose's id.
    pub purpose: String,
    /// The scope that is granted.
    pub scope: String,
    /// The weakest strength that satisfies `acr_values`, `claims` and `authorization_details`; `None` is the weakest of all.
    pub strength: Option<Strength>,
    /// The strengths of which it must be one (OpenID Connect Core section 5.5.1.1); empty is any.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub acr: Vec<Strength>,
    /// `prompt=none` was sent.
    pub prompt_none: bool,
    /// Another `prompt` was sent: the person is to be asked.
    #[serde(default)]
    pub prompt_asks: bool,
    /// `max_age`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_age: Option<u32>,
    /// The `sub` of `id_token_hint`: nobody else may be signed in by this request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hinted_sub: Option<String>,
    /// The values of `sub` in `claims`: nobody else may be signed in either.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subs: Option<Vec<String>>,
    /// What is looked at again when the tokens are used.
    #[serde(skip_serializing_if = "Wanted::is_empty", default)]
    pub wanted: Wanted,
    /// The first of `ui_locales` that we speak.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lang: Option<Lang>,
    /// `offline_access` was asked for by a platform that may have it (OpenID Connect Core section 11).
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub offline: bool,
}

impl AuthorizationRequest {
    /// The strength that is needed.
    #[must_use]
    pub fn strength(&self) -> Strength {
        self.strength.unwrap_or(Strength::Certificate)
    }
}

/// A request while it is being checked.
pub(super) struct Asked {
    pub client: Arc<Client>,
    pub request: AuthorizationRequest,
    /// What `claims` asks.
    pub claims: ClaimsRequest,
    scopes: Vec<Answer>,
}

impl Asked {
    pub(super) fn of(client: Arc<Client>) -> Self {
        let request = AuthorizationRequest { client_id: client.certificate.client_id.clone(), ..Default::default() };
        Self { client, request, claims: ClaimsRequest::default(), scopes: Vec::new() }
    }
}

/// Checks the request: its parameters, or those of its request object.
pub(super) fn check(env: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    match request_object::unpack(env, call.form, &asked.client)? {
        Some(form) => run(CHECKS, env, &Call { form: &form, ..*call }, asked),
        None => run(CHECKS, env, call, asked),
    }
}

/// Checks who asks and where the answer goes, and nothing else: for a refusal that is to reach the client.
pub(super) fn check_address(env: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    [client_id, state, redirect_uri, response_mode].iter().try_for_each(|check| check(env, call, asked))
}

/// Checks what is asked and in which language, and nothing of how the answer gets there: what a request of the back channel shares.
pub(super) fn check_what(env: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let named = [client_id, scope, authorization_details::check, purpose, entitled];
    let mut checks = named.into_iter().chain([acr_values, claims::strength, dpop_jkt, ui_locales]);
    checks.try_for_each(|check| check(env, call, asked))
}

/// The scope value of an answer.
#[must_use]
pub fn answers_scope(answers: &[Answer]) -> String {
    answers.iter().fold("openid".to_owned(), |scope, answer| format!("{scope} hufu:{}", answer.as_str()))
}

type Env<'a> = Environment<'a>;

fn client_id(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    match call.form.get("client_id") {
        Some(named) if named != asked.request.client_id => Err(OAuthError::ClientMismatch),
        _ => Ok(()),
    }
}

fn state(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let state = call.form.get("state");
    if state.is_some_and(|state| state.len() > 1024) {
        return Err(OAuthError::StateMalformed);
    }
    asked.request.state = state.map(str::to_owned);
    Ok(())
}

fn redirect_uri(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let wanted = call.form.get("redirect_uri").ok_or(OAuthError::RedirectMissing)?;
    let known = asked.client.certificate.redirect_uris.iter().find(|known| *known == wanted);
    known.ok_or(OAuthError::RedirectMismatch)?.clone_into(&mut asked.request.redirect_uri);
    Ok(())
}

fn request_object(_: &Env<'_>, call: &Call<'_>, _: &mut Asked) -> Result<(), OAuthError> {
    if call.form.get("request").is_some() {
        return Err(OAuthError::RequestObject);
    }
    if call.form.get("registration").is_some() { Err(OAuthError::Registration) } else { Ok(()) }
}

fn response_type(_: &Env<'_>, call: &Call<'_>, _: &mut Asked) -> Result<(), OAuthError> {
    if call.form.get("response_type") == Some("code") { Ok(()) } else { Err(OAuthError::ResponseType) }
}

/// A platform that registered signed responses gets no others, errors included.
fn response_mode(env: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let registered = asked.client.certificate.registration.authorization_signed_response_alg.is_some();
    let asked_for = ResponseMode::read(call.form.get("response_mode"));
    let mode = asked_for.unwrap_or_default();
    let mode = if registered { mode.signed() } else { mode };
    let met = asked_for.is_some() && (!mode.is_signed() || !env.provider.response_algs.is_empty());
    if met || registered {
        asked.request.response_mode = mode;
    }
    if met { Ok(()) } else { Err(OAuthError::ResponseMode) }
}

fn pkce(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let method = call.form.get("code_challenge_method");
    let Some(challenge) = call.form.get("code_challenge") else {
        let needed = asked.client.is_fapi() || method.is_some();
        return if needed { Err(OAuthError::PkceMissing) } else { Ok(()) };
    };
    if method != Some("S256") {
        // Absent means "plain" (RFC 7636 section 4.3), which shows the verifier to whoever sees the request.
        return Err(OAuthError::PkceMethod);
    }
    if !is_sha256(challenge) {
        return Err(OAuthError::PkceChallenge);
    }
    challenge.clone_into(&mut asked.request.code_challenge);
    Ok(())
}

/// The base64url text of 32 bytes.
fn is_sha256(text: &str) -> bool {
    unb64(text).is_some_and(|bytes| bytes.len() == 32)
}

/// Standard scopes (`profile`, `email`, …) and unknown ones are ignored, as OpenID Connect Core says: no platform ever
/// receives such values here. An unknown `hufu:` scope is a mistake that is better told.
fn scope(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let words: Vec<&str> = call.form.get("scope").unwrap_or_default().split(' ').collect();
    if !words.contains(&"openid") {
        return Err(OAuthError::ScopeOpenid);
    }
    for answer in words.iter().filter_map(|word| word.strip_prefix("hufu:")) {
        let answer = answer.parse().map_err(|()| OAuthError::ScopeUnknown)?;
        asked.scopes.push(answer);
    }
    // Who may not have it is not refused: the person is simply asked again (OpenID Connect Core section 11).
    asked.request.offline =
        words.contains(&OFFLINE_ACCESS) && asked.client.certificate.registration.may(HandleUse::Refresh);
    asked.scopes.sort_unstable();
    asked.scopes.dedup();
    Ok(())
}

/// Named by a parameter of our own or in `authorization_details`, and by both alike.
fn purpose(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let named = call.form.get("hufu_purpose");
    let detailed = asked.request.wanted.details.as_ref().map(|detail| detail.purpose.as_str());
    if detailed.is_some() && named.is_some() && named != detailed {
        return Err(OAuthError::DetailsBeyond);
    }
    let otherwise = if detailed.is_some() { OAuthError::DetailsBeyond } else { OAuthError::Purpose };
    let purpose = asked.client.certificate.purpose(named.or(detailed)).ok_or(otherwise)?;
    purpose.id.clone_into(&mut asked.request.purpose);
    Ok(())
}

/// What scopes, `claims` and `authorization_details` ask together. Of `verified_claims` only what may be asked is heard (Identity
/// Assurance section 5.7.2); everything else that is beyond the certificate is a mistake that is better told.
fn entitled(_: &Env<'_>, _: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let certificate = &asked.client.certificate;
    let purpose = certificate.purpose(Some(&asked.request.purpose)).ok_or(OAuthError::Purpose)?;
    let may = |answer: &Answer| certificate.entitled.contains(answer) && purpose.answers.contains(answer);
    let detailed = asked.request.wanted.details.iter().flat_map(|detail| &detail.answers);
    if !detailed.clone().all(may) {
        return Err(OAuthError::DetailsBeyond);
    }
    let named = asked.scopes.iter().chain(&asked.claims.answers);
    if !named.clone().all(may) {
        return Err(OAuthError::OverAsking);
    }
    let verified = verified_claims::within(&asked.claims.verified, may);
    let vouched = verified.iter().flat_map(|request| &request.claims);
    let mut answers: Vec<Answer> = named.chain(detailed).chain(vouched).copied().collect();
    if answers.is_empty() {
        // Asking for nothing in particular gets the least that makes a sign-in worth having.
        answers.extend([Answer::Real, Answer::Unique].into_iter().filter(may));
    }
    answers.sort_unstable();
    answers.dedup();
    asked.request.scope = answers_scope(&answers);
    (asked.request.answers, asked.request.wanted.verified) = (answers, verified);
    if asked.request.offline {
        asked.request.scope = format!("{} {OFFLINE_ACCESS}", asked.request.scope);
    }
    Ok(())
}

fn nonce(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let nonce = call.form.get("nonce").unwrap_or_default();
    if nonce.len() > 256 {
        return Err(OAuthError::Nonce);
    }
    nonce.clone_into(&mut asked.request.nonce);
    Ok(())
}

fn prompt(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let words: Vec<&str> = call.form.get("prompt").into_iter().flat_map(|prompt| prompt.split(' ')).collect();
    asked.request.prompt_none = words.contains(&"none");
    asked.request.prompt_asks = !words.is_empty() && !asked.request.prompt_none;
    let known = words.iter().all(|word| ["none", "login", "consent", "select_account"].contains(word));
    let alone = !asked.request.prompt_none || words.len() == 1;
    if known && alone { Ok(()) } else { Err(OAuthError::Prompt) }
}

/// Every sign-in is a fresh authentication, and `auth_time` is always told; it is held to this by [`AuthorizationRequest::session_since`].
fn max_age(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let read = call.form.get("max_age").map(str::parse::<u32>).transpose();
    asked.request.max_age = read.map_err(|_| OAuthError::MaxAge)?;
    Ok(())
}

/// Whom the platform means, by an ID token that it got of them. Who signs in instead is not signed in there by mistake.
fn id_token_hint(env: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let Some(text) = call.form.get("id_token_hint") else { return Ok(()) };
    let own = |(client, _): &(Arc<Client>, _)| client.certificate.client_id == asked.request.client_id;
    let (_, hint) = hint::read(env, text).filter(own).ok_or(OAuthError::SubjectHint)?;
    if asked.request.subs.as_ref().is_some_and(|subs| !subs.contains(&hint.sub)) {
        return Err(OAuthError::OtherPerson);
    }
    asked.request.hinted_sub = Some(hint.sub);
    Ok(())
}

/// A voluntary request: values we do not know are passed over; of those we know, the weakest is needed. A `+` that was not encoded
/// arrives as a space, and must not ask for less than was meant.
fn acr_values(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let plus = acr(Strength::CertificatePassword);
    let wanted = call.form.get("acr_values").unwrap_or_default().replace(&plus.replace('+', " "), plus);
    let known = |strength: &&Strength| wanted.split(' ').any(|word| word == acr(**strength));
    asked.request.strength = Strength::ALL.iter().filter(known).min().copied();
    Ok(())
}

fn dpop_jkt(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let jkt = call.form.get("dpop_jkt").unwrap_or_default();
    if !jkt.is_empty() && !is_sha256(jkt) {
        return Err(OAuthError::DpopKey);
    }
    jkt.clone_into(&mut asked.request.dpop_jkt);
    Ok(())
}

fn ui_locales(_: &Env<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    asked.request.lang = call.form.get("ui_locales").and_then(Lang::negotiate);
    Ok(())
}
