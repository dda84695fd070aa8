//! Who calls: `private_key_jwt` (RFC 7523 under draft RFC 7523bis: the issuer alone as audience), `tls_client_auth` (RFC 8705
//! section 2.1), or for profile `basic` of the sandbox a client secret (RFC 6749 section 2.3.1).

use super::discovery::ASSERTION_ALGS;
use super::{Call, Client, Environment, Fresh, Step, run};
use crate::{Challenge, Form, OAuthError};
use base64ct::{Base64, Encoding};
use hufu_kernel::{Timestamp, framed};
use hufu_wire::jose::{Claims, Compact, NumericDate};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The one assertion type (RFC 7523 section 2.2).
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Seconds an assertion may live at most.
const ASSERTION_SECONDS: i64 = 300;

/// Seconds that clients' clocks may run ahead (FAPI 2.0 section 5.3.2.1: accept 10, may accept up to 60, refuse more).
pub(super) const LEEWAY: i64 = 30;

pub(super) const CHECKS: &[Step<Caller>] = &[
    ("one method", "RFC 6749 section 2.3", one_method),
    ("the client is admitted", "RFC 6749 section 5.2", known),
    ("the method fits the profile", "FAPI 2.0 section 5.3.2.1", method),
    ("the secret", "RFC 6749 section 2.3.1", secret),
    ("the TLS certificate's name", "RFC 8705 section 2.1.2", certificate),
    ("assertion: type", "RFC 7523 section 2.2", assertion_type),
    ("assertion: signature", "RFC 7523 section 3 (9)", signature),
    ("assertion: iss = sub = client_id", "RFC 7523 section 3 (1, 2)", issuer),
    ("assertion: aud is the issuer alone", "RFC 7523bis section 4; FAPI 2.0 section 5.3.2.1", audience),
    ("assertion: exp, nbf, iat", "RFC 7523 section 3 (4, 5, 6)", times),
    ("assertion: jti", "RFC 7523 section 3 (7)", identifier),
];

/// An authenticated client. The caller uses `fresh` before it looks at what is asked: an assertion is worth one request, also one with a
/// mistake in it.
#[derive(Clone, PartialEq, Debug)]
pub struct Authenticated {
    /// Who asks.
    pub client: Arc<Client>,
    /// What must be used once: the assertion, if there is one.
    pub fresh: Vec<Fresh>,
}

#[derive(Default)]
pub(super) struct Caller {
    presented: Presented,
    client: Option<Arc<Client>>,
    claims: Claims,
    fresh: Vec<Fresh>,
}

#[derive(Default)]
enum Presented {
    #[default]
    Nothing,
    Secret {
        client_id: String,
        secret: String,
    },
    Assertion {
        client_id: String,
        /// Boxed: much larger than the rest.
        jws: Box<Compact>,
    },
    /// Nothing but a TLS certificate (RFC 8705 section 2).
    Certificate {
        client_id: String,
    },
}

/// How a refusal at an authenticated endpoint is to be challenged.
pub(super) fn challenge(call: &Call<'_>) -> Challenge {
    if call.authorization.is_empty() { Challenge::None } else { Challenge::Basic }
}

/// Checks who asks.
///
/// # Errors
/// The first check that fails, and how to challenge the client for it.
pub fn authenticate(env: &Environment<'_>, call: &Call<'_>) -> Result<Authenticated, (OAuthError, Challenge)> {
    let mut caller = Caller::default();
    let checked = run(CHECKS, env, call, &mut caller);
    let client = checked.and(caller.client.ok_or(OAuthError::ClientMissing));
    client.map(|client| Authenticated { client, fresh: caller.fresh }).map_err(|error| (error, challenge(call)))
}

fn one_method(_: &Environment<'_>, call: &Call<'_>, caller: &mut Caller) -> Result<(), OAuthError> {
    let posted = call.form.get("client_secret");
    let assertion = call.form.get("client_assertion");
    caller.presented = match (call.authorization, posted, assertion) {
        ([], None, None) => by_certificate(call)?,
        ([header], None, None) => basic_header(header)?,
        ([], Some(secret), None) => Presented::Secret {
            client_id: call.form.get("client_id").ok_or(OAuthError::ClientMissing)?.to_owned(),
            secret: secret.to_owned(),
        },
        ([], None, Some(jws)) => assertion_of(call.form, jws)?,
        _ => return Err(OAuthError::TwoMethods),
    };
    Ok(())
}

/// The name comes from the parameter, which this method cannot do without; whose name it is, certificate() sees.
fn by_certificate(call: &Call<'_>) -> Result<Presented, OAuthError> {
    let client_id = call.form.get("client_id").filter(|_| call.certificate.is_some());
    Ok(Presented::Certificate { client_id: client_id.ok_or(OAuthError::ClientMissing)?.to_owned() })
}

fn basic_header(header: &str) -> Result<Presented, OAuthError> {
    let encoded = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let (_, encoded) = encoded.ok_or(OAuthError::SecretWrong)?;
    let bytes = Base64::decode_vec(encoded.trim()).map_err(|_| OAuthError::SecretWrong)?;
    let text = String::from_utf8(bytes).map_err(|_| OAuthError::SecretWrong)?;
    let (client_id, secret) = text.split_once(':').ok_or(OAuthError::SecretWrong)?;
    // Both parts are form-encoded before they are joined (RFC 6749 section 2.3.1).
    let decoded = |part: &str| {
        let form = Form::parse(&format!("v={}", part.replace('&', "%26"))).ok()?;
        form.get("v").map(str::to_owned)
    };
    match (decoded(client_id), decoded(secret)) {
        (Some(client_id), Some(secret)) => Ok(Presented::Secret { client_id, secret }),
        _ => Err(OAuthError::SecretWrong),
    }
}

fn assertion_of(form: &Form, jws: &str) -> Result<Presented, OAuthError> {
    let jws = Compact::parse(jws).map_err(|_| OAuthError::AssertionMalformed)?;
    let claims = Claims::read(jws.unverified()).map_err(|_| OAuthError::AssertionMalformed)?;
    // Only says whose key to look for; issuer() checks it once the signature holds.
    let claimed = claims.text("sub").map_err(|_| OAuthError::AssertionIssuer)?;
    Ok(Presented::Assertion { client_id: form.get("client_id").unwrap_or(claimed).to_owned(), jws: Box::new(jws) })
}

fn known(env: &Environment<'_>, _: &Call<'_>, caller: &mut Caller) -> Result<(), OAuthError> {
    let client_id = match &caller.presented {
        Presented::Nothing => return Err(OAuthError::ClientMissing),
        Presented::Secret { client_id, .. }
        | Presented::Assertion { client_id, .. }
        | Presented::Certificate { client_id } => client_id,
    };
    caller.client = Some(env.clients.client(client_id).ok_or(OAuthError::ClientUnknown)?);
    Ok(())
}

fn method(_: &Environment<'_>, call: &Call<'_>, caller: &mut Caller) -> Result<(), OAuthError> {
    let client = caller.client.as_ref().ok_or(OAuthError::ClientMissing)?;
    if call.form.get("client_id").is_some_and(|named| named != client.certificate.client_id) {
        return Err(OAuthError::ClientMismatch);
    }
    // One method a client: who registered a certificate's name is not taken for its keys, which sign requests then.
    let by_certificate = client.certificate.registration.uses_tls_client_auth();
    let allowed = match &caller.presented {
        Presented::Nothing => false,
        Presented::Secret { .. } => !client.is_fapi() && client.certificate.client_secret_sha256.is_some(),
        Presented::Assertion { .. } => !by_certificate && !client.certificate.jwks.keys.is_empty(),
        Presented::Certificate { .. } => by_certificate,
    };
    if allowed { Ok(()) } else { Err(OAuthError::MethodNotAllowed) }
}

fn secret(_: &Environment<'_>, _: &Call<'_>, caller: &mut Caller) -> Result<(), OAuthError> {
    let Presented::Secret { secret, .. } = &caller.presented else { return Ok(()) };
    let expected = caller.client.as_ref().and_then(|client| client.certificate.client_secret_sha256);
    let digest = Sha256::digest(secret);
    let equal = expected.is_some_and(|expected| expected.0.ct_eq(digest.as_slice()).into());
    if equal { Ok(()) } else { Err(OAuthError::SecretWrong) }
}

fn certificate(_: &Environment<'_>, call: &Call<'_>, caller: &mut Caller) -> Result<(), OAuthError> {
    let Presented::Certificate { .. } = &caller.presented else { return Ok(()) };
    let client = caller.client.as_ref().ok_or(OAuthError::ClientMissing)?;
    let registered = client.certificate.registration.tls_client_subject().map_err(|_| OAuthError::CertificateName)?;
    let named = call.certificate.is_some_and(|certificate| certificate.is(&registered));
    if named { Ok(()) } else { Err(OAuthError::CertificateName) }
}

fn assertion_type(_: &Environment<'_>, call: &Call<'_>, caller: &mut Caller) -> Result<(), OAuthError> {
    match caller.presented {
        Presented::Assertion { .. } if call.form.get("client_assertion_type") != Some(ASSERTION_TYPE) => {
            Err(OAuthError::AssertionType)
        }
        _ => Ok(()),
    }
}

fn signature(_: &Environment<'_>, _: &Call<'_>, caller: &mut Caller) -> Result<(), OAuthError> {
    let Presented::Assertion { jws, .. } = &caller.presented else { return Ok(()) };
    let client = caller.client.as_ref().ok_or(OAuthError::ClientMissing)?;
    let payload = client.certificate.jwks.verify(jws, &ASSERTION_ALGS).map_err(|_| OAuthError::AssertionSignature)?;
    caller.claims = Claims::read(payload).map_err(|_| OAuthError::AssertionMalformed)?;
    Ok(())
}

/// Runs `check` on the assertion's claims, if there is an assertion.
fn on_claims(
    caller: &Caller,
    check: impl Fn(&Claims, &Client) -> Option<()>,
    otherwise: OAuthError,
) -> Result<(), OAuthError> {
    match (&caller.presented, &caller.client) {
        (Presented::Assertion { .. }, Some(client)) => check(&caller.claims, client).ok_or(otherwise),
        (Presented::Assertion { .. }, None) => Err(OAuthError::ClientMissing),
        _ => Ok(()),
    }
}

fn issuer(_: &Environment<'_>, _: &Call<'_>, caller: &mut Caller) -> Result<(), OAuthError> {
    let same = |claims: &Claims, client: &Client| {
        let id = Ok(client.certificate.client_id.as_str());
        (claims.text("iss") == id && claims.text("sub") == id).then_some(())
    };
    on_claims(caller, same, OAuthError::AssertionIssuer)
}

/// Read as a string on purpose: an array, even of one, is refused. An assertion made for another server must never fit here.
fn audience(env: &Environment<'_>, _: &Call<'_>, caller: &mut Caller) -> Result<(), OAuthError> {
    let addressed = |claims: &Claims, _: &Client| (claims.text("aud") == Ok(&env.provider.issuer)).then_some(());
    on_claims(caller, addressed, OAuthError::AssertionAudience)
}

fn times(env: &Environment<'_>, _: &Call<'_>, caller: &mut Caller) -> Result<(), OAuthError> {
    let in_time = |claims: &Claims, _: &Client| {
        let exp = claims.date("exp").ok()?;
        let begun = ["nbf", "iat"].into_iter().all(|name| {
            claims.optional::<NumericDate>(name).is_ok_and(|date| date.is_none_or(|date| date.0 <= env.now + LEEWAY))
        });
        (begun && env.now < exp && exp <= env.now + ASSERTION_SECONDS + LEEWAY).then_some(())
    };
    on_claims(caller, in_time, OAuthError::AssertionTime)
}

fn identifier(_: &Environment<'_>, _: &Call<'_>, caller: &mut Caller) -> Result<(), OAuthError> {
    let read = |claims: &Claims, _: &Client| {
        let jti = claims.text("jti").ok()?;
        (1..=256).contains(&jti.len()).then_some(())
    };
    on_claims(caller, read, OAuthError::AssertionId)?;
    if let (Presented::Assertion { .. }, Some(client)) = (&caller.presented, &caller.client) {
        let jti = caller.claims.text("jti").map_err(|_| OAuthError::AssertionId)?;
        let exp: Timestamp = caller.claims.date("exp").map_err(|_| OAuthError::AssertionTime)?;
        caller.fresh.push(Fresh {
            key: framed(&[b"assertion", client.certificate.client_id.as_bytes(), jti.as_bytes()]),
            expires: exp,
            otherwise: OAuthError::AssertionReplayed,
        });
    }
    Ok(())
}
