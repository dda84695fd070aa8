//! Sign-out at the request of a platform (OpenID Connect RP-Initiated Logout 1.0). The front keeps no session, so nothing ends here but
//! the way back; in a sandbox whose persona agent keeps sessions, the browser goes by there first.

use super::{Admitted, Front, Shown};
use hufu_oidc::provider;
use hufu_oidc::{Form, OAuthError};

/// The parameter with which the persona agent sends the browser back.
const AGENT_DONE: &str = "hufu_agent";

impl Front {
    /// Where the browser goes after a sign-out; `None` is a page that says it is done.
    ///
    /// # Errors
    /// [`Shown`]: an address that is not checked is never followed.
    pub fn logout(&self, form: &str) -> Result<Option<String>, Shown> {
        let shown = |error: OAuthError| Shown { refusal: error.refusal(), error };
        let form = Form::parse(form).map_err(|error| shown(error.into()))?;
        let to = provider::logout(&Admitted(self, self.now()).environment(), &form).map_err(shown)?;
        if self.persona_sessions() && form.get(AGENT_DONE).is_none() {
            return Ok(Some(format!("{}/sandbox/sign-out?{}", self.trust.wallet_origin, form.encode())));
        }
        Ok(to)
    }
}
