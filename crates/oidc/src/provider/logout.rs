//! RP-initiated sign-out (OpenID Connect RP-Initiated Logout 1.0). No session is kept here, so there is nothing to end: what is checked
//! is where the browser may go next, and which platform is told of it (OpenID Connect Back-Channel Logout 1.0).

use super::hint::{self, Hint};
use super::{Call, Client, Environment, Fresh, Step, run};
use crate::{Form, OAuthError, Pairs, with_query};
use hufu_kernel::{Timestamp, framed};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const CHECKS: &[Step<Leaving>] = &[
    ("id_token_hint", "OpenID Connect RP-Initiated Logout sections 2, 4", hinted),
    ("client_id", "OpenID Connect RP-Initiated Logout section 2", client_id),
    ("post_logout_redirect_uri, exactly", "OpenID Connect RP-Initiated Logout section 3", address),
];

#[derive(Default)]
pub(super) struct Leaving {
    hint: Option<(Arc<Client>, Hint)>,
    redirect: Option<String>,
}

/// Seconds a logout token may be believed (Back-Channel Logout section 4 recommends at most two minutes).
pub const LOGOUT_TOKEN_SECONDS: i64 = 120;

/// Seconds for which one ID token calls its platform once: who has it cannot make the front call again and again.
const ONCE_SECONDS: i64 = 600;

/// An accepted request to sign out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SignedOut {
    /// Where the browser goes; `None` is a page that says it is done.
    pub redirect: Option<String>,
    /// Who is told.
    pub notice: Option<LogoutNotice>,
}

/// A platform that is to be told that one person signed out: the one of the ID token that was shown, if it registered an address.
/// Nobody else can be told, for nobody knows where else that person is signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogoutNotice {
    /// The registered address.
    pub uri: String,
    /// To be told once; if it is not fresh nothing is sent, and nothing is wrong.
    pub fresh: Fresh,
    client_id: String,
    sub: String,
}

impl LogoutNotice {
    /// The logout token's `typ` (section 2.4).
    pub const TYP: &'static str = "logout+jwt";

    /// Its claims (section 2.4): `sub` and no `sid`, which no ID token here has; never a `nonce`. `jti`: unique.
    #[must_use]
    pub fn claims(&self, issuer: &str, now: Timestamp, jti: &str) -> Value {
        json!({
            "iss": issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + LOGOUT_TOKEN_SECONDS,
            "jti": jti,
            "sub": self.sub,
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        })
    }
}

/// Checks a request to sign out.
///
/// # Errors
/// The first check that fails; always a page, since an address that is not checked may be the attacker's.
pub fn logout(env: &Environment<'_>, form: &Form) -> Result<SignedOut, OAuthError> {
    let call = Call { method: "GET", authorization: &[], dpop: &[], certificate: None, form };
    let mut leaving = Leaving::default();
    run(CHECKS, env, &call, &mut leaving)?;
    let notice = leaving.hint.as_ref().and_then(|(client, about)| {
        let certificate = &client.certificate;
        Some(LogoutNotice {
            uri: certificate.registration.backchannel_logout_uri.clone()?,
            fresh: Fresh {
                // Not the text: under ES256 whoever has one signature has two, and the other would call once more.
                key: framed(&[b"logout", &about.digest]),
                expires: env.now + ONCE_SECONDS,
                otherwise: OAuthError::Hint,
            },
            client_id: certificate.client_id.clone(),
            sub: about.sub.clone(),
        })
    });
    Ok(SignedOut { redirect: leaving.redirect, notice })
}

fn hinted(env: &Environment<'_>, call: &Call<'_>, leaving: &mut Leaving) -> Result<(), OAuthError> {
    let Some(text) = call.form.get("id_token_hint") else { return Ok(()) };
    leaving.hint = Some(hint::read(env, text).ok_or(OAuthError::Hint)?);
    Ok(())
}

fn client_id(_: &Environment<'_>, call: &Call<'_>, leaving: &mut Leaving) -> Result<(), OAuthError> {
    match (call.form.get("client_id"), &leaving.hint) {
        (Some(named), Some((client, _))) if named != client.certificate.client_id => Err(OAuthError::Hint),
        _ => Ok(()),
    }
}

/// Without a hint nobody can tell whose address it is: a stranger's link would send people anywhere that is registered.
fn address(_: &Environment<'_>, call: &Call<'_>, leaving: &mut Leaving) -> Result<(), OAuthError> {
    let Some(wanted) = call.form.get("post_logout_redirect_uri") else { return Ok(()) };
    let (client, _) = leaving.hint.as_ref().ok_or(OAuthError::LogoutRedirect)?;
    let known = client.certificate.registration.post_logout_redirect_uris.iter().find(|known| *known == wanted);
    let pairs = Pairs::default().with_some("state", call.form.get("state"));
    let known = known.ok_or(OAuthError::LogoutRedirect)?;
    leaving.redirect = Some(if pairs.iter().next().is_none() { known.clone() } else { with_query(known, &pairs) });
    Ok(())
}
