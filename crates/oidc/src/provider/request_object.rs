//! Signed request objects (RFC 9101, FAPI 2.0 Message Signing section 5.3.1): what a platform asks for, in its own signature.

use super::client_auth::LEEWAY;
use super::discovery::ASSERTION_ALGS;
use super::{Client, Environment};
use crate::{Form, OAuthError};
use hufu_wire::jose::{Claims, Compact, NumericDate};
use serde_json::Value;

/// Seconds from `nbf` to `exp` at most, and since `nbf` at most (FAPI 2.0 Message Signing section 5.3.1).
const LIFE: i64 = 3600;
/// Claims of the JWT itself; everything else is a parameter of the request (RFC 9101 section 4).
const OWN: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

struct Object<'a> {
    jws: &'a Compact,
    claims: &'a Claims,
    client: &'a Client,
    env: &'a Environment<'a>,
}

type Check = (&'static str, &'static str, fn(&Object<'_>) -> Result<(), OAuthError>);

/// In order; the signature has been verified before.
const CHECKS: &[Check] = &[
    ("typ", "RFC 9101 section 10.8", typ),
    ("iss and client_id", "RFC 9101 sections 4, 5.2.1", issuer),
    ("aud", "FAPI 2.0 Message Signing section 5.3.1", audience),
    ("exp and nbf", "FAPI 2.0 Message Signing section 5.3.1", times),
    ("no object within", "RFC 9101 section 4", nested),
];

/// Their names and sources.
pub(super) fn named() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    CHECKS.iter().map(|(name, source, _)| ("request object", *name, *source))
}

/// The parameters of the request object, if one was sent; the parameters beside it are not looked at (RFC 9101 section 6.3).
pub(super) fn unpack(env: &Environment<'_>, form: &Form, client: &Client) -> Result<Option<Form>, OAuthError> {
    let Some(text) = form.get("request").filter(|_| !client.certificate.jwks.keys.is_empty()) else {
        let required = client.certificate.registration.require_signed_request_object;
        return if required { Err(OAuthError::RequestObjectMissing) } else { Ok(None) };
    };
    if form.get("client_id").is_some_and(|named| named != client.certificate.client_id) {
        return Err(OAuthError::ClientMismatch);
    }
    let jws = Compact::parse(text).map_err(|_| OAuthError::RequestObjectSignature)?;
    let payload = client.certificate.jwks.verify(&jws, &ASSERTION_ALGS);
    let claims = Claims::read(payload.map_err(|_| OAuthError::RequestObjectSignature)?);
    let claims = claims.map_err(|_| OAuthError::RequestObjectSignature)?;
    let object = Object { jws: &jws, claims: &claims, client, env };
    CHECKS.iter().try_for_each(|(_, _, check)| check(&object))?;
    let parameters = claims.0.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    let parameters = parameters.map(|(name, value)| Some((name.clone(), text_of(value)?)));
    let parameters = parameters.collect::<Option<Vec<_>>>().ok_or(OAuthError::RequestObjectParameter)?;
    Form::of(parameters).map(Some).map_err(|_| OAuthError::RequestObjectParameter)
}

/// A claim as the parameter that it stands for: numbers and objects are written as JSON (RFC 9101 section 4).
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => serde_json::to_string(other).ok(),
    }
}

/// One that names its type must be a request object; one that names none, or only that it is a JWT, is taken as RFC 9101 lets it be.
fn typ(object: &Object<'_>) -> Result<(), OAuthError> {
    let header = object.jws.header();
    let fits = header.typ.is_none() || header.is_typ("oauth-authz-req+jwt") || header.is_typ("JWT");
    if fits { Ok(()) } else { Err(OAuthError::RequestObjectSignature) }
}

fn issuer(object: &Object<'_>) -> Result<(), OAuthError> {
    let client_id = object.client.certificate.client_id.as_str();
    let named = object.claims.optional::<String>("client_id").map_err(|_| OAuthError::RequestObjectIssuer)?;
    let fits = object.claims.text("iss") == Ok(client_id) && named.is_none_or(|named| named == client_id);
    if fits { Ok(()) } else { Err(OAuthError::RequestObjectIssuer) }
}

fn audience(object: &Object<'_>) -> Result<(), OAuthError> {
    let addressed = object.claims.aud().is_ok_and(|aud| aud.names(&object.env.provider.issuer));
    if addressed { Ok(()) } else { Err(OAuthError::RequestObjectAudience) }
}

fn times(object: &Object<'_>) -> Result<(), OAuthError> {
    let (claims, now) = (object.claims, object.env.now);
    let in_time = || {
        let (exp, nbf) = (claims.date("exp").ok()?, claims.date("nbf").ok()?);
        let issued = claims.optional::<NumericDate>("iat").ok()?;
        let begun = nbf <= now + LEEWAY && issued.is_none_or(|iat| iat.0 <= now + LEEWAY);
        let short = nbf >= now - LIFE && exp <= nbf + LIFE;
        (begun && short && now < exp).then_some(())
    };
    in_time().ok_or(OAuthError::RequestObjectTime)
}

fn nested(object: &Object<'_>) -> Result<(), OAuthError> {
    let within = ["request", "request_uri"].iter().any(|name| object.claims.0.contains_key(*name));
    if within { Err(OAuthError::RequestObjectParameter) } else { Ok(()) }
}
