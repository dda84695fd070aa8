//! What the front signs itself, and how an authorization response reaches the platform.
//!
//! These keys are published beside the nodes' keys, so nothing they sign may be taken for an ID token: a platform whose ID tokens are
//! ES256 gets EdDSA from the front and every other one ES256, and each object names its own `typ` (decision 0021).

use super::{Front, FrontError};
use hufu_kernel::{KeyError, KeyStore, Octets, Refusal, Timestamp};
use hufu_oidc::provider::{Client, Opener as _, Response, SealedKind};
use hufu_oidc::{Pairs, with_query};
use hufu_wire::jose::{self, Alg, Header, Jwk, KeyUse, PublicKey};
use serde::{Deserialize, Serialize};

/// The keys of what the front signs for platforms.
pub const RESPONSE_KEYS: [(&str, Alg); 2] =
    [("front-response-es256", Alg::ES256), ("front-response-ed25519", Alg::EdDSA)];

/// Seconds within which a browser posts a response on.
const POST_SECONDS: i64 = 60;

/// The public halves of the keys that are there.
pub(super) struct ResponseKeys(Vec<Jwk>);

impl ResponseKeys {
    /// A front founded before there were such keys has none, and offers nothing that needs them.
    pub(super) fn read(keys: &dyn KeyStore) -> Result<Self, FrontError> {
        let mut found = Vec::new();
        for (name, alg) in RESPONSE_KEYS {
            let public = match keys.public(name) {
                Ok(public) => public.0,
                Err(KeyError::Missing(_)) => continue,
                Err(error) => return Err(FrontError::Keys(error.to_string())),
            };
            let key = match alg {
                Alg::EdDSA => public.try_into().ok().and_then(|key| PublicKey::ed25519(key).ok()),
                _ => public.try_into().ok().and_then(|key| PublicKey::p256(key).ok()),
            };
            let key = Jwk::bare(key.ok_or_else(|| FrontError::Keys(format!("{name} is no key of {}", alg.name())))?);
            found.push(Jwk { kid: Some(key.thumbprint()), alg: Some(alg), key_use: Some(KeyUse::Sig), ..key });
        }
        Ok(Self(found))
    }

    pub(super) fn keys(&self) -> &[Jwk] {
        &self.0
    }

    pub(super) fn algs(&self) -> Vec<Alg> {
        self.0.iter().filter_map(|key| key.alg).collect()
    }
}

/// A response that the browser is to post.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Posting {
    /// The platform's address.
    pub to: String,
    /// Names and values.
    pub parameters: Vec<(String, String)>,
    exp: Timestamp,
}

impl Front {
    /// A JWT of the front's for this platform.
    pub(super) fn signed(&self, client: &Client, typ: &str, claims: &impl Serialize) -> Result<String, Refusal> {
        let alg = client.response_alg();
        let key = self.responses.keys().iter().find(|key| key.alg == Some(alg));
        let named = RESPONSE_KEYS.iter().find(|(_, of)| *of == alg);
        let (Some(key), Some((name, _))) = (key, named) else { return Err(Refusal::Internal) };
        let header = Header::new(alg).typ(typ).kid(key.kid.as_deref().unwrap_or_default());
        let input = jose::signing_input(&header, claims).map_err(|error| crate::broken(&error))?;
        let signature: Result<Octets<64>, KeyError> = match alg {
            Alg::EdDSA => self.ports.keys.sign_ed25519(name, input.as_bytes()),
            _ => self.ports.keys.sign_es256(name, input.as_bytes()),
        };
        Ok(jose::assemble(&input, signature.map_err(|error| crate::broken(&error))?.as_slice()))
    }

    /// Where the browser goes with a response: to the platform, or to the page that posts it there.
    pub(super) fn deliver(&self, client: &Client, response: &Response) -> Result<String, Refusal> {
        let now = self.now();
        let jwt = match response.mode.is_signed() {
            // JARM section 2.1 names no type; one of its own keeps it from being taken for anything else.
            true => Some(self.signed(client, "oauth-authz-resp+jwt", &response.claims(&self.provider.issuer, now))?),
            false => None,
        };
        let parameters = response.parameters(jwt.as_deref());
        if !response.mode.is_posted() {
            return Ok(response.by_query(&parameters));
        }
        let parameters = parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let posting = Posting { to: response.redirect_uri.clone(), parameters, exp: now + POST_SECONDS };
        let sealed = self.seal(SealedKind::Response, "", &posting).map_err(|_| Refusal::Internal)?;
        Ok(with_query(&self.provider.endpoint("/respond"), &Pairs::default().with("r", &sealed)))
    }

    /// The response that was sealed into the address of the page that posts it.
    ///
    /// # Errors
    /// [`Refusal::TransactionGone`] if it was not made here, or a minute ago.
    pub fn posting(&self, sealed: &str) -> Result<Posting, Refusal> {
        let opened = self.ports.sealer.open(SealedKind::Response, "", sealed);
        let posting = opened.and_then(|json| serde_json::from_slice::<Posting>(&json).ok());
        posting.filter(|posting| self.now() < posting.exp).ok_or(Refusal::TransactionGone)
    }
}
