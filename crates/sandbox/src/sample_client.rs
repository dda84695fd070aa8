//! How a sample platform signs people in: by a library of its own choice, or as FAPI 2.0 with our verifier.

use crate::http::send_as;
use crate::ordinary_client::{self, OrdinaryClient};
use hufu_kernel::{Clock, Lang, Rng};
use hufu_platform::IdToken;
use hufu_platform::client::{ClientError, Pending, RelyingParty, Wish};
use hufu_wire::subject_handle::SubjectHandle;

/// A platform's client.
#[expect(clippy::large_enum_variant, reason = "a platform has one, for as long as it runs")]
pub enum SampleClient {
    /// Profile `fapi2`: PAR, `private_key_jwt` and DPoP, with `hufu_platform`.
    Fapi(RelyingParty),
    /// Profile `basic`: what an OpenID Connect library that knows nothing of us does.
    Ordinary(OrdinaryClient),
}

/// Who signed in.
pub struct Known {
    /// The verified token.
    pub token: IdToken,
    /// With which the platform may be told of them later, if it registered for that.
    pub handle: Option<SubjectHandle>,
}

/// What is kept in the browser's session until the answer comes.
pub enum Away {
    /// Of [`SampleClient::Fapi`].
    Fapi(Pending),
    /// Of [`SampleClient::Ordinary`].
    Ordinary(ordinary_client::Away),
}

fn said(error: ClientError) -> String {
    error.to_string()
}

impl SampleClient {
    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        match self {
            Self::Fapi(party) => &party.issuer,
            Self::Ordinary(party) => &party.issuer,
        }
    }

    /// How it signs people in, for its page.
    #[must_use]
    pub fn how(&self, lang: Lang) -> &'static str {
        match (self, lang) {
            (Self::Fapi(_), Lang::ZhHans) => {
                "示例平台。以 FAPI 2.0（PAR、private_key_jwt、DPoP）登录，使用 hufu-platform。"
            }
            (Self::Fapi(_), Lang::En) => {
                "A sample platform. It signs people in by FAPI 2.0 (PAR, private_key_jwt, DPoP), with hufu-platform."
            }
            (Self::Ordinary(_), Lang::ZhHans) => {
                "示例平台。使用通用 OpenID Connect 库 openidconnect 登录（basic 配置，仅限沙箱）。"
            }
            (Self::Ordinary(_), Lang::En) => {
                "A sample platform. It signs people in with an ordinary OpenID Connect library, openidconnect (profile basic, sandbox only)."
            }
        }
    }

    /// A new sign-in, and where to send the browser.
    ///
    /// # Errors
    /// A sentence.
    pub async fn begin(
        &self,
        http: &reqwest::Client,
        wish: &Wish,
        clock: &dyn Clock,
        rng: &dyn Rng,
    ) -> Result<(Away, String), String> {
        match self {
            Self::Fapi(party) => {
                let pending = party.begin(wish, rng);
                let now = clock.now();
                let push = party.push(&pending, now, rng).map_err(said)?;
                let (status, body) = send_as(party, http, push, now, rng).await?;
                let url = party.pushed(status, &body).map_err(said)?;
                Ok((Away::Fapi(pending), url))
            }
            Self::Ordinary(party) => party.begin(http, wish).await.map(|(away, url)| (Away::Ordinary(away), url)),
        }
    }

    /// The person, from the query of the redirect address.
    ///
    /// # Errors
    /// A sentence: do not sign the person in.
    pub async fn finish(
        &self,
        http: &reqwest::Client,
        away: Away,
        query: &str,
        clock: &dyn Clock,
        rng: &dyn Rng,
    ) -> Result<Known, String> {
        match (self, away) {
            (Self::Fapi(party), Away::Fapi(pending)) => {
                let code = party.callback(&pending, query).map_err(said)?;
                let now = clock.now();
                let request = party.redeem(&pending, &code, now, rng).map_err(said)?;
                let (status, body) = send_as(party, http, request, now, rng).await?;
                let known = party.redeemed(&pending, status, &body, now).map_err(said)?;
                Ok(Known { token: known.token, handle: known.subject_handle })
            }
            (Self::Ordinary(party), Away::Ordinary(away)) => {
                let token = party.finish(http, away, query).await?;
                Ok(Known { token, handle: None })
            }
            _ => Err("this sign-in was begun in another way".into()),
        }
    }
}
