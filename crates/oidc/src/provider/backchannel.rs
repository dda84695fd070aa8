//! Requests of the back channel: a platform asks for a person who has no browser at it (OpenID Connect CIBA Core 1.0; FAPI-CIBA where it
//! does not contradict FAPI 2.0). Poll and ping; decision 0029 says why not push.

use super::client_auth::challenge;
use super::discovery::ASSERTION_ALGS;
use super::plain::is_plain;
use super::request::{self, Asked};
use super::token::{self, Redeemed, Shown};
use super::{
    AuthorizationRequest, Call, Client, Code, Environment, Fresh, Step, WaitingCode, proof, request_object, run,
};
use crate::{Challenge, Form, OAuthError, Reply};
use hufu_kernel::{Timestamp, b64, framed};
use hufu_wire::api::platform::{CIBA_GRANT, DeliveryMode, Profile};
use hufu_wire::jose::{Claims, Compact};
use hufu_wire::subject_handle::{HandleUse, SubjectHandle};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Seconds between two looks of a platform (CIBA Core section 7.3).
pub const INTERVAL_SECONDS: i64 = 5;
/// Seconds a request lives, if nothing else was asked for; by a subject handle at most, for nodes keep it no longer.
pub const BACKCHANNEL_SECONDS: i64 = 300;
/// Seconds it may live at most.
pub const MAX_BACKCHANNEL_SECONDS: i64 = 600;
/// Characters of a binding message: what a person compares must be short.
pub const MAX_BINDING_MESSAGE: usize = 64;

/// Characters of a client notification token (CIBA Core section 7.1).
const MAX_TOKEN: usize = 1024;

pub(super) const CHECKS: &[Step<Asking>] = &[
    ("a delivery mode is registered", "CIBA Core section 4", delivery),
    ("what is asked", "CIBA Core section 7.1", what),
    ("one hint", "CIBA Core section 7.1", one_hint),
    ("the hint is a code or a subject handle", "CIBA Core section 7.1; decision 0029", hint),
    ("binding_message", "CIBA Core section 7.1; FAPI-CIBA section 5.2.2", binding_message),
    ("requested_expiry", "CIBA Core section 7.1", requested_expiry),
    ("client_notification_token, for ping", "CIBA Core section 7.1", notification_token),
    ("the proof's key", "RFC 9449 section 10", proof_key),
];

/// Whom a platform means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PersonHint {
    /// Whoever's wallet shows this code now.
    Code(WaitingCode),
    /// The person of an earlier sign-in; two nodes know who that is.
    Handle(SubjectHandle),
    /// Nobody: no network number, no `sub`, no telephone number is looked up.
    Nobody,
}

pub(super) struct Asking {
    asked: Asked,
    hint: PersonHint,
    binding_message: String,
    token: Option<String>,
    seconds: i64,
    fresh: Vec<Fresh>,
    by_nonce: bool,
}

/// An accepted request.
#[derive(Clone, PartialEq, Debug)]
pub struct BackchannelRequest {
    /// Who asks.
    pub client: Arc<Client>,
    /// For what. `redirect_uri` is the grant's name, `code_challenge` the hash of the binding message, so that what the person's device
    /// signs binds both.
    pub request: AuthorizationRequest,
    /// Of whom.
    pub hint: PersonHint,
    /// What the person is to compare; empty without.
    pub binding_message: String,
    /// What a ping carries.
    pub notification_token: Option<String>,
    /// When the request ends.
    pub expires: Timestamp,
    /// What must be used once.
    pub fresh: Vec<Fresh>,
    /// Whether a proof with a nonce came along: the next one needs a nonce too.
    pub by_nonce: bool,
    seconds: i64,
}

impl BackchannelRequest {
    /// The answer, once the request is known as `auth_req_id` (CIBA Core section 7.3).
    #[must_use]
    pub fn reply(&self, auth_req_id: &str) -> Reply {
        let body = json!({ "auth_req_id": auth_req_id, "expires_in": self.seconds, "interval": INTERVAL_SECONDS });
        Reply::json(200, &body)
    }
}

/// What stands in the place of `code_challenge`: the wallet checks it against what it shows.
#[must_use]
pub fn binding_hash(message: &str) -> String {
    b64(&Sha256::digest(message))
}

/// Checks a request of the back channel, of `client`, who was authenticated ([`super::authenticate`]).
///
/// # Errors
/// The first check that fails, and how to challenge the client for it.
pub fn backchannel(
    env: &Environment<'_>,
    call: &Call<'_>,
    client: Arc<Client>,
) -> Result<BackchannelRequest, (OAuthError, Challenge)> {
    checked(env, call, client).map_err(|error| (error, challenge(call)))
}

fn checked(env: &Environment<'_>, call: &Call<'_>, client: Arc<Client>) -> Result<BackchannelRequest, OAuthError> {
    let mut asking = Asking {
        asked: Asked::of(Arc::clone(&client)),
        hint: PersonHint::Nobody,
        binding_message: String::new(),
        token: None,
        seconds: BACKCHANNEL_SECONDS,
        fresh: Vec::new(),
        by_nonce: false,
    };
    match unpacked(env, call.form, &client, &mut asking.fresh)? {
        Some(form) => run(CHECKS, env, &Call { form: &form, ..*call }, &mut asking)?,
        None => run(CHECKS, env, call, &mut asking)?,
    }
    let Asking { asked, hint, binding_message, token, seconds, fresh, by_nonce } = asking;
    let mut request = asked.request;
    CIBA_GRANT.clone_into(&mut request.redirect_uri);
    request.code_challenge = binding_hash(&binding_message);
    let (expires, notification_token) = (env.now + seconds, token);
    Ok(BackchannelRequest {
        client,
        request,
        hint,
        binding_message,
        notification_token,
        expires,
        fresh,
        by_nonce,
        seconds,
    })
}

/// The parameters of the signed request, which who registered an algorithm must send (CIBA Core section 7.1.1), once.
fn unpacked(
    env: &Environment<'_>,
    form: &Form,
    client: &Client,
    fresh: &mut Vec<Fresh>,
) -> Result<Option<Form>, OAuthError> {
    let registered = client.certificate.registration.backchannel_authentication_request_signing_alg;
    let unpacked = request_object::unpack(env, form, client)?;
    let (text, registers) = (form.get("request"), registered.is_some());
    let text = match (text, unpacked.is_some()) {
        (Some(text), true) => text,
        _ if registers => return Err(OAuthError::BackchannelUnsigned),
        (Some(_), false) => return Err(OAuthError::RequestObject),
        (None, _) => return Ok(None),
    };
    // It has verified: what it says of itself counts.
    let jws = Compact::parse(text).map_err(|_| OAuthError::RequestObjectSignature)?;
    let claims = Claims::read(jws.unverified()).map_err(|_| OAuthError::RequestObjectSignature)?;
    if registered.is_some_and(|alg| alg != jws.header().alg) || !ASSERTION_ALGS.contains(&jws.header().alg) {
        return Err(OAuthError::BackchannelObject);
    }
    let jti = claims.text("jti").map_err(|_| OAuthError::BackchannelObject)?;
    let exp = claims.date("exp").map_err(|_| OAuthError::RequestObjectTime)?;
    // Looked at with the other times; here it must be there.
    claims.date("iat").map_err(|_| OAuthError::BackchannelObject)?;
    if !(1..=256).contains(&jti.len()) {
        return Err(OAuthError::BackchannelObject);
    }
    let key = framed(&[b"backchannel-request", client.certificate.client_id.as_bytes(), jti.as_bytes()]);
    fresh.push(Fresh { key, expires: exp, otherwise: OAuthError::BackchannelReplayed });
    Ok(unpacked)
}

fn delivery(_: &Environment<'_>, _: &Call<'_>, asking: &mut Asking) -> Result<(), OAuthError> {
    let registered = asking.asked.client.certificate.registration.backchannel_token_delivery_mode;
    if registered.is_some() { Ok(()) } else { Err(OAuthError::BackchannelClient) }
}

fn what(env: &Environment<'_>, call: &Call<'_>, asking: &mut Asking) -> Result<(), OAuthError> {
    request::check_what(env, call, &mut asking.asked)
}

fn one_hint(_: &Environment<'_>, call: &Call<'_>, _: &mut Asking) -> Result<(), OAuthError> {
    let others = ["login_hint_token", "id_token_hint"].iter().any(|name| call.form.get(name).is_some());
    if call.form.get("login_hint").is_some() && !others { Ok(()) } else { Err(OAuthError::HintMissing) }
}

/// Nothing else is a hint, and who sends something else hears what who guesses hears: that nobody is known.
fn hint(_: &Environment<'_>, call: &Call<'_>, asking: &mut Asking) -> Result<(), OAuthError> {
    let text = call.form.get("login_hint").unwrap_or_default();
    let may_use_handles = asking.asked.client.certificate.registration.may(HandleUse::Ciba);
    asking.hint = match (WaitingCode::read(text), text.parse::<SubjectHandle>()) {
        (Some(code), _) => PersonHint::Code(code),
        (None, Ok(handle)) if may_use_handles => PersonHint::Handle(handle),
        (None, _) => return Err(OAuthError::HintUnknown),
    };
    Ok(())
}

fn binding_message(_: &Environment<'_>, call: &Call<'_>, asking: &mut Asking) -> Result<(), OAuthError> {
    let message = call.form.get("binding_message").unwrap_or_default();
    let plain = is_plain(message) && message.chars().count() <= MAX_BINDING_MESSAGE;
    // What a person authorizes must not be mistaken for something else: they compare it, or it says itself what it is.
    let fapi = asking.asked.client.certificate.profile == Profile::Fapi2;
    let unsaid = fapi && message.is_empty() && asking.asked.request.wanted.details.is_none();
    if unsaid || !plain || message.trim() != message {
        return Err(OAuthError::BindingMessage);
    }
    message.clone_into(&mut asking.binding_message);
    Ok(())
}

fn requested_expiry(_: &Environment<'_>, call: &Call<'_>, asking: &mut Asking) -> Result<(), OAuthError> {
    if let Some(text) = call.form.get("requested_expiry") {
        let seconds = text.parse::<u32>().ok().filter(|seconds| *seconds > 0).ok_or(OAuthError::RequestedExpiry)?;
        let most = if let PersonHint::Handle(_) = asking.hint { BACKCHANNEL_SECONDS } else { MAX_BACKCHANNEL_SECONDS };
        asking.seconds = i64::from(seconds).min(most);
    }
    Ok(())
}

/// It goes into a header as it is.
fn notification_token(_: &Environment<'_>, call: &Call<'_>, asking: &mut Asking) -> Result<(), OAuthError> {
    if asking.asked.client.certificate.registration.backchannel_token_delivery_mode != Some(DeliveryMode::Ping) {
        return Ok(());
    }
    let token = call.form.get("client_notification_token").ok_or(OAuthError::NotificationToken)?;
    // b64token of RFC 6750 section 2.1.
    let allowed = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
    if !allowed || token.len() > MAX_TOKEN {
        return Err(OAuthError::NotificationToken);
    }
    asking.token = Some(token.to_owned());
    Ok(())
}

fn proof_key(env: &Environment<'_>, call: &Call<'_>, asking: &mut Asking) -> Result<(), OAuthError> {
    let Some(proof) = proof::read(env, call, ("/bc-authorize", &*asking.asked.client), None)? else { return Ok(()) };
    let named = &mut asking.asked.request.dpop_jkt;
    if !named.is_empty() && *named != proof.jkt {
        return Err(OAuthError::DpopKey);
    }
    named.clone_from(&proof.jkt);
    asking.by_nonce = proof.nonce.is_some();
    asking.fresh.push(proof::fresh(&proof));
    Ok(())
}

/// A platform that looks whether its request was answered (CIBA Core section 10.1).
#[derive(Clone, PartialEq, Debug)]
pub struct Look {
    /// The platform.
    pub client: Arc<Client>,
    /// Which request.
    pub auth_req_id: String,
    /// What must be used once.
    pub fresh: Vec<Fresh>,
    /// Whether the proof carried a nonce: the next one needs a nonce too.
    pub by_nonce: bool,
    jkt: Option<String>,
    x5t: String,
}

/// Checks a token request of this grant, of `client`, who was authenticated ([`super::authenticate`]), as far as it can be checked without knowing the request.
///
/// # Errors
/// The first check that fails, and how to challenge the client for it.
pub fn look(env: &Environment<'_>, call: &Call<'_>, client: Arc<Client>) -> Result<Look, (OAuthError, Challenge)> {
    looked(env, call, client).map_err(|error| (error, challenge(call)))
}

fn looked(env: &Environment<'_>, call: &Call<'_>, client: Arc<Client>) -> Result<Look, OAuthError> {
    if client.certificate.registration.backchannel_token_delivery_mode.is_none() {
        return Err(OAuthError::BackchannelClient);
    }
    let Shown { fresh, by_nonce, jkt, x5t } = token::shown(env, call, Arc::clone(&client))?;
    let auth_req_id = call.form.get("auth_req_id").ok_or(OAuthError::AuthRequestMissing)?.to_owned();
    Ok(Look { client, auth_req_id, fresh, by_nonce, jkt, x5t })
}

impl Look {
    /// Whether what was granted is for whoever looks: the key of the request's beginning.
    #[must_use]
    pub fn fits(&self, code: &Code) -> bool {
        code.client_id == self.client.certificate.client_id
            && (code.dpop_jkt.is_empty() || self.jkt.as_ref() == Some(&code.dpop_jkt))
    }

    /// The tokens of what was granted, bound as the platform showed.
    ///
    /// # Errors
    /// [`OAuthError::CodeKey`] if it does not fit, [`OAuthError::Internal`] if the code holds no ID token.
    pub fn redeem(self, code: Code, now: Timestamp) -> Result<Redeemed, OAuthError> {
        if !self.fits(&code) {
            return Err(OAuthError::CodeKey);
        }
        let shown = Shown { fresh: Vec::new(), by_nonce: self.by_nonce, jkt: self.jkt, x5t: self.x5t };
        token::redeemed(code, &self.client, shown, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn two_messages_have_two_hashes(one in "\\PC{0,20}", other in "\\PC{0,20}") {
            prop_assert_eq!(binding_hash(&one) == binding_hash(&other), one == other);
        }
    }
}
