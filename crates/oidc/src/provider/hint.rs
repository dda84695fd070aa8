//! `id_token_hint`: an ID token that this service gave, as a platform shows it again (OpenID Connect Core section 3.1.2.1, RP-Initiated
//! Logout 1.0 sections 2, 4).

use super::{Client, Environment};
use hufu_wire::jose::Compact;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What is looked at of it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Hint {
    iss: String,
    aud: String,
    /// Whom it is about, at the platform it was made for.
    pub sub: String,
    /// SHA-256 of what was signed: the same for every signature and every spelling of one token.
    #[serde(skip)]
    pub digest: [u8; 32],
}

/// An ID token of this service for an admitted platform, however old, and that platform. Under any key in use: the platform may have
/// changed its algorithm since.
pub(super) fn read(env: &Environment<'_>, text: &str) -> Option<(Arc<Client>, Hint)> {
    let jws = Compact::parse(text).ok().filter(|jws| jws.header().is_typ("JWT"))?;
    let claimed: Hint = jws.unverified().json().ok()?;
    let client = env.clients.client(&claimed.aud)?;
    env.keys.verify(&jws, &env.provider.id_token_algs).ok()?;
    let hint = Hint { digest: Sha256::digest(jws.signing_input()).into(), ..claimed };
    (hint.iss == env.provider.issuer).then_some((client, hint))
}
