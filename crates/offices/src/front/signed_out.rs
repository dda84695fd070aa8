//! Sign-out at the request of a platform (OpenID Connect RP-Initiated Logout 1.0). The front keeps no session, so nothing ends here but
//! the way back; in a sandbox whose persona agent keeps sessions, the browser goes by there first.

use super::{Admitted, Front, Shown};
use hufu_kernel::{b64, random};
use hufu_oidc::provider::{self, LogoutNotice};
use hufu_oidc::{Form, OAuthError};

/// The parameter with which the persona agent sends the browser back.
const AGENT_DONE: &str = "hufu_agent";

impl Front {
    /// Where the browser goes after a sign-out; `None` is a page that says it is done. The platform of the hint is told by the back
    /// channel, if it registered for that.
    ///
    /// # Errors
    /// [`Shown`]: an address that is not checked is never followed.
    pub async fn logout(&self, form: &str) -> Result<Option<String>, Shown> {
        let shown = |error: OAuthError| Shown { refusal: error.refusal(), error };
        let form = Form::parse(form).map_err(|error| shown(error.into()))?;
        let out = provider::logout(&Admitted(self, self.now()).environment(), &form).map_err(shown)?;
        if self.persona_sessions() && form.get(AGENT_DONE).is_none() {
            return Ok(Some(format!("{}/sandbox/sign-out?{}", self.trust.wallet_origin, form.encode())));
        }
        if let Some(notice) = &out.notice {
            self.tell(notice).await;
        }
        Ok(out.redirect)
    }

    /// Tells a platform, once. The person's way goes on whatever becomes of it.
    async fn tell(&self, notice: &LogoutNotice) {
        let (now, fresh) = (self.now(), &notice.fresh);
        match self.ports.once.insert_once(&fresh.key, fresh.expires, now).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::error!(%error, "the single-use set refuses"),
        }
        let jti = b64(&random::<16>(self.ports.rng.as_ref()));
        let claims = notice.claims(&self.provider.issuer, now, &jti);
        if let Ok(token) = self.signed(LogoutNotice::TYP, &claims) {
            self.ports.back_channel.post_logout(&notice.uri, token);
        }
    }
}
