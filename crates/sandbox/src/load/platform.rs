//! The platforms' part of a sign-in, the same at every service: push, send the browser, redeem.

use super::connection::{Answer, Connection, FORM, Message};
use super::{Failure, text};
use hufu_kernel::{Clock, Rng};
use hufu_platform::client::{HttpRequest, Pending, RelyingParty, SignedIn, Wish};
use serde::Deserialize;
use std::sync::Arc;

/// Stands for the code in a token request that is signed before there is one; a code is base64url, so it replaces this as it is.
const CODE: &str = "hufu-load-code";

/// Platforms at one service.
pub struct Platforms {
    /// Each with its keys.
    pub all: Vec<RelyingParty>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
}

/// A sign-in that has not begun: everything the platform signs is signed.
pub struct Prepared {
    /// The place of the platform.
    pub platform: usize,
    /// What the platform remembers.
    pub pending: Pending,
    push: HttpRequest,
    redeem: HttpRequest,
}

/// The token endpoint's answer, as far as every service gives the same.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: String,
    token_type: String,
}

impl Platforms {
    /// Prepares a sign-in at one of the platforms.
    ///
    /// # Errors
    /// A sentence.
    pub fn prepare(&self, number: usize) -> Result<Prepared, Failure> {
        let platform = number % self.all.len();
        let (party, now, rng) = (&self.all[platform], self.clock.now(), self.rng.as_ref());
        let pending = party.begin(&Wish::default(), rng);
        let push = party.push(&pending, now, rng).map_err(text)?;
        let redeem = party.redeem(&pending, CODE, now, rng).map_err(text)?;
        Ok(Prepared { platform, pending, push, redeem })
    }

    /// Pushes the request; the path the browser is sent to.
    ///
    /// # Errors
    /// A sentence.
    pub async fn push(&self, line: &mut Connection, ready: &mut Prepared) -> Result<String, Failure> {
        let party = &self.all[ready.platform];
        let answer = post(line, &mut ready.push, "/par").await?;
        let url = party.pushed(answer.status, answer.text()?).map_err(|error| format!("PAR: {error}"))?;
        url.strip_prefix(&party.issuer).map(str::to_owned).ok_or_else(|| format!("PAR led to {url}"))
    }

    /// Redeems the code found in the redirect; the ID token.
    ///
    /// # Errors
    /// A sentence.
    pub async fn redeem(
        &self,
        line: &mut Connection,
        ready: &mut Prepared,
        redirect: &str,
    ) -> Result<Redeemed, Failure> {
        let party = &self.all[ready.platform];
        let (_, query) = redirect.split_once('?').ok_or("a redirect without a query")?;
        let code = party.callback(&ready.pending, query).map_err(|error| format!("callback: {error}"))?;
        ready.redeem.body = ready.redeem.body.replacen(CODE, &code, 1);
        let answer = post(line, &mut ready.redeem, "/token").await?;
        let tokens: Tokens =
            serde_json::from_slice(&answer.expect("token", 200)?.body).map_err(|error| format!("token: {error}"))?;
        if !tokens.token_type.eq_ignore_ascii_case("dpop") || tokens.access_token.is_empty() {
            return Err("token: no access token bound to a key".into());
        }
        Ok(Redeemed { id_token: tokens.id_token, answer })
    }

    /// Checks everything that a platform of ours checks.
    ///
    /// # Errors
    /// A sentence.
    pub fn verify(&self, ready: &Prepared, redeemed: &Redeemed) -> Result<SignedIn, Failure> {
        let party = &self.all[ready.platform];
        party
            .redeemed(&ready.pending, redeemed.answer.status, redeemed.answer.text()?, self.clock.now())
            .map_err(|error| format!("ID token: {error}"))
    }
}

/// A redeemed code.
pub struct Redeemed {
    /// The ID token.
    pub id_token: String,
    /// The whole answer.
    pub answer: Answer,
}

async fn post(line: &mut Connection, request: &mut HttpRequest, path: &str) -> Result<Answer, Failure> {
    let dpop = request.headers.iter().find(|(name, _)| *name == "dpop").map(|(_, proof)| proof.as_str());
    let message = Message { path, content_type: FORM, dpop, ..Message::default() };
    line.post(message, std::mem::take(&mut request.body)).await
}
