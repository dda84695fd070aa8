//! RP-initiated sign-out (OpenID Connect RP-Initiated Logout 1.0). No session is kept here, so there is nothing to end: what is checked
//! is where the browser may go next.

use super::{Call, Client, Environment, Step, run};
use crate::{Form, OAuthError, Pairs, with_query};
use hufu_wire::jose::Compact;
use serde::Deserialize;
use std::sync::Arc;

pub(super) const CHECKS: &[Step<Leaving>] = &[
    ("id_token_hint", "OpenID Connect RP-Initiated Logout sections 2, 4", hint),
    ("client_id", "OpenID Connect RP-Initiated Logout section 2", client_id),
    ("post_logout_redirect_uri, exactly", "OpenID Connect RP-Initiated Logout section 3", address),
];

#[derive(Default)]
pub(super) struct Leaving {
    client: Option<Arc<Client>>,
    redirect: Option<String>,
}

/// What is looked at of a hint.
#[derive(Deserialize)]
struct Hint {
    iss: String,
    aud: String,
}

/// Checks a request to sign out. Returns where the browser goes; `None` is a page that says it is done.
///
/// # Errors
/// The first check that fails; always a page, since an address that is not checked may be the attacker's.
pub fn logout(env: &Environment<'_>, form: &Form) -> Result<Option<String>, OAuthError> {
    let call = Call { method: "GET", authorization: &[], dpop: &[], certificate: None, form };
    let mut leaving = Leaving::default();
    run(CHECKS, env, &call, &mut leaving)?;
    Ok(leaving.redirect)
}

/// An ID token of this service for an admitted platform, however old.
fn hint(env: &Environment<'_>, call: &Call<'_>, leaving: &mut Leaving) -> Result<(), OAuthError> {
    let Some(hint) = call.form.get("id_token_hint") else { return Ok(()) };
    let verified = || {
        let jws = Compact::parse(hint).ok().filter(|jws| jws.header().is_typ("JWT"))?;
        let claimed: Hint = jws.unverified().json().ok()?;
        let client = env.clients.client(&claimed.aud)?;
        // Of any key in use: the platform may have changed its algorithm since.
        env.keys.verify(&jws, &env.provider.id_token_algs).ok()?;
        (claimed.iss == env.provider.issuer).then_some(client)
    };
    leaving.client = Some(verified().ok_or(OAuthError::Hint)?);
    Ok(())
}

fn client_id(_: &Environment<'_>, call: &Call<'_>, leaving: &mut Leaving) -> Result<(), OAuthError> {
    match (call.form.get("client_id"), &leaving.client) {
        (Some(named), Some(client)) if named != client.certificate.client_id => Err(OAuthError::Hint),
        _ => Ok(()),
    }
}

/// Without a hint nobody can tell whose address it is: a stranger's link would send people anywhere that is registered.
fn address(_: &Environment<'_>, call: &Call<'_>, leaving: &mut Leaving) -> Result<(), OAuthError> {
    let Some(wanted) = call.form.get("post_logout_redirect_uri") else { return Ok(()) };
    let client = leaving.client.as_ref().ok_or(OAuthError::LogoutRedirect)?;
    let known = client.certificate.registration.post_logout_redirect_uris.iter().find(|known| *known == wanted);
    let pairs = Pairs::default().with_some("state", call.form.get("state"));
    let known = known.ok_or(OAuthError::LogoutRedirect)?;
    leaving.redirect = Some(if pairs.iter().next().is_none() { known.clone() } else { with_query(known, &pairs) });
    Ok(())
}
