//! The peer's lane: the same platforms sign the same persons in at an OpenID Provider that is not ours.

use super::connection::{Connection, FORM, Message};
use super::platform::{Platforms, Prepared};
use super::{Failure, Lane, text};
use hufu_wire::jose::{Alg, Compact, Jwk, verify};
use serde::Deserialize;

/// What a peer says of itself when it answers.
#[derive(Clone, Debug, Deserialize)]
pub struct Announced {
    /// Its issuer.
    pub issuer: String,
    /// What it signs under.
    pub jwk: Jwk,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it runs on.
    pub node: String,
}

/// oidc-provider: PAR, authorization, the interaction (who the person is), its return, the token.
pub struct PeerLane {
    /// Where it answers.
    pub announced: Announced,
    /// The platforms' clients.
    pub platforms: Platforms,
    /// How many persons there are.
    pub persons: usize,
}

/// A sign-in that is ready to begin.
pub struct Ready {
    prepared: Prepared,
    person: String,
}

impl Lane for PeerLane {
    type Ready = Ready;
    type Lines = Connection;

    async fn ready(&self, number: usize) -> Result<Ready, Failure> {
        Ok(Ready { prepared: self.platforms.prepare(number)?, person: format!("person-{}", number % self.persons) })
    }

    async fn lines(&self) -> Result<Connection, Failure> {
        Connection::open(&self.announced.issuer).await
    }

    async fn sign_in(&self, line: &mut Connection, mut ready: Ready, verify: bool) -> Result<(), Failure> {
        let path = self.platforms.push(line, &mut ready.prepared).await?;
        let begun = line.get(Message { path: &path, ..Message::default() }).await?;
        let interaction = self.path(begun.redirect("authorize")?);
        let cookie = begun.cookies();
        let cookie = Some(cookie.as_str());
        let login = format!("login={}", ready.person);
        let message = Message { path: interaction, content_type: FORM, cookie, dpop: None };
        let finished = line.post(message, login).await?;
        let path = self.path(finished.redirect("interaction")?);
        let resumed = line.get(Message { path, cookie, ..Message::default() }).await?;
        let redirect = resumed.redirect("return from the interaction")?;
        let redeemed = self.platforms.redeem(line, &mut ready.prepared, redirect).await?;
        if verify { self.check(&ready, &redeemed.id_token) } else { Ok(()) }
    }
}

impl PeerLane {
    fn path<'a>(&self, url: &'a str) -> &'a str {
        url.strip_prefix(&self.announced.issuer).unwrap_or(url)
    }

    /// The ID token is the peer's, for this platform, this request and this person.
    fn check(&self, ready: &Ready, id_token: &str) -> Result<(), Failure> {
        let jws = Compact::parse(id_token).map_err(text)?;
        let claims: serde_json::Value =
            verify(&jws, &self.announced.jwk, &[Alg::EdDSA]).and_then(|payload| payload.json()).map_err(text)?;
        let right = claims["sub"] == ready.person.as_str()
            && claims["nonce"] == ready.prepared.pending.nonce.as_str()
            && claims["aud"] == self.platforms.all[ready.prepared.platform].client_id.as_str()
            && claims["iss"] == self.announced.issuer.as_str();
        if right { Ok(()) } else { Err(format!("the peer's ID token says {claims}")) }
    }
}
