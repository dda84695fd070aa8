//! Sign-out at the request of a platform (OpenID Connect RP-Initiated Logout 1.0). The front keeps no session, so nothing ends here but
//! the way back.

use super::{Admitted, Front, Shown};
use hufu_oidc::provider;
use hufu_oidc::{Form, OAuthError};

impl Front {
    /// Where the browser goes after a sign-out; `None` is a page that says it is done.
    ///
    /// # Errors
    /// [`Shown`]: an address that is not checked is never followed.
    pub fn logout(&self, form: &str) -> Result<Option<String>, Shown> {
        let shown = |error: OAuthError| Shown { refusal: error.refusal(), error };
        let form = Form::parse(form).map_err(|error| shown(error.into()))?;
        provider::logout(&Admitted(self, self.now()).environment(), &form).map_err(shown)
    }
}
