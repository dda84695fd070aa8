//! The front: OpenID Connect to platforms. It knows no person at rest, signs no result, and keeps nothing of a sign-in: what
//! must outlive a request is sealed under a key that dies with the process, or kept in bounded memory for ten minutes.
//!
//! The decisions are the tables of `hufu_oidc`; this module asks the single-use set, seals, and remembers transactions.

mod admission;
mod auth_requests;
mod backchannel;
mod completion;
mod cookie;
mod elsewhere;
mod held;
mod later;
mod limits;
mod nonces;
mod origins;
mod responses;
mod scan;
mod sealer;
mod sign_in;
mod signals;
mod signed_out;
mod streams;
mod transactions;
mod waits;

pub use admission::{Admission, NotAdmitted};
pub use cookie::COOKIE_SECONDS;
pub use elsewhere::{Elsewhere, OnDevice};
pub use held::{Ended, NUMBER_SECONDS, NUMBER_TRIES, Progress, SHOW_SECONDS, Shows};
pub use hufu_oidc::signals::POLL_PATH;
pub use hufu_oidc::{OAuthError, Reply};
pub use limits::too_often;
pub use nonces::NONCE_SECONDS;
pub use responses::{Posting, RESPONSE_KEY};
pub use scan::SCAN_SECONDS;
pub use sealer::Sealer;
pub use sign_in::{Shown, TRANSACTION_KEY};
pub use signals::Managed;
pub use transactions::TRANSACTION_SECONDS;
pub use waits::{TRIES_SECONDS, WAITING_SECONDS, WRONG_CODES};

use crate::ports::{BackChannel, SubjectHandles};
use auth_requests::AuthRequests;
use cookie::Cookies;
use hufu_kernel::{Clock, KeyStore, Octets, Refusal, Rng, Root, Timestamp};
use hufu_oidc::provider::{
    self, AccessToken, Call, Client, Clients, CodeId, Environment, Fresh, OpenRequest, Provider, Redeemed, SealedKind,
    Told,
};
use hufu_oidc::{Challenge, Form};
use hufu_store::Once;
use hufu_wire::api::platform::CIBA_GRANT;
use hufu_wire::api::trust::Trust;
use hufu_wire::jose::{Alg, Jwk, Jwks, KeyUse, PublicKey};
use hufu_wire::subject_handle::HandleUse;
use hufu_wire::tls_client::ClientCertificate;
use nonces::ProofNonces;
use origins::{acceptable_origin, may_ask_for_certificates};
use responses::ResponseKey;
use scan::ScanCodes;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use streams::Streams;
use transactions::Transactions;
use waits::Waits;

/// RFC 9701 section 4.
const INTROSPECTION_JWT: &str = "application/token-introspection+jwt";

/// What a front is told when it starts.
pub struct Config {
    /// The trust root's public half: issuer, wallet origin, registry key, group key, the nodes' one-key-mode keys.
    pub trust: Trust,
    /// How many sign-ins may be under way at once; about 2 KiB each.
    pub transactions: usize,
    /// Sandbox only: further origins that may post the answer (the persona agent's page). Refused in production.
    pub agents: Vec<String>,
    /// Sandbox only: browsers are sent to the persona agent, which remembers for a moment who signed in (decision 0022). Refused in
    /// production.
    pub persona_sessions: bool,
    /// Where platforms are asked for TLS certificates, `https://host[:port]`, if anywhere.
    pub mtls: Option<String>,
}

/// What a front works with.
pub struct Ports {
    /// Holds [`TRANSACTION_KEY`].
    pub keys: Arc<dyn KeyStore>,
    /// The single-use set.
    pub once: Arc<dyn Once>,
    /// The codes whose tokens were revoked: a set of its own, so that whoever revokes much takes nobody's place in the other.
    pub revoked: Arc<dyn Once>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Seals requests, codes and tokens.
    pub sealer: Sealer,
    /// Reaches platforms' servers.
    pub back_channel: Arc<dyn BackChannel>,
    /// The nodes 1 to 3, which alone can open subject handles.
    pub nodes: [Arc<dyn SubjectHandles>; 3],
}

/// A platform's request as it came in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Incoming<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// All `Authorization` headers.
    pub authorization: &'a [&'a str],
    /// All `DPoP` headers.
    pub dpop: &'a [&'a str],
    /// The TLS certificate that the caller proved to hold, as the connection has it.
    pub certificate: Option<&'a ClientCertificate>,
    /// The form body, or the query of a GET.
    pub form: &'a str,
}

/// Why a front does not start.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrontError {
    /// The trust root's keys do not parse.
    #[error("the trust root's keys do not parse")]
    Trust,
    /// The issuer or the wallet's origin is not `https://host[:port]` (http on this machine in the sandbox).
    #[error("{0} is not an acceptable origin")]
    Origin(String),
    /// Where TLS certificates are asked for is no `https://host[:port]` of its own.
    #[error("{0} is no address of its own for mutual TLS: https://host or https://host:port, and not the issuer's")]
    Mutual(String),
    /// Agents outside the sandbox.
    #[error("persona agents exist in the sandbox only")]
    Agents,
    /// The keys of what the front signs are of the wrong kind, or do not open.
    #[error("the front's own keys: {0}")]
    Keys(String),
}

/// The front.
pub struct Front {
    provider: Provider,
    trust: Trust,
    admission: Admission,
    transaction_kid: String,
    keys: Jwks,
    nonces: ProofNonces,
    scans: ScanCodes,
    responses: ResponseKey,
    agents: Vec<String>,
    cookies: Cookies,
    clients: RwLock<HashMap<String, Arc<Client>>>,
    transactions: Transactions,
    asking: Option<limits::Asking>,
    auth_requests: AuthRequests,
    waits: Waits,
    streams: Streams,
    ports: Ports,
}

/// The admitted clients as they are at one moment.
struct Admitted<'a>(&'a Front, Timestamp);

impl Clients for Admitted<'_> {
    fn client(&self, client_id: &str) -> Option<Arc<Client>> {
        let clients = self.0.clients.read().unwrap_or_else(PoisonError::into_inner);
        clients.get(client_id).filter(|client| self.1 < client.certificate.exp).cloned()
    }
}

impl Admitted<'_> {
    /// What the tables of checks may look at.
    fn environment(&self) -> Environment<'_> {
        let Self(front, now) = self;
        Environment {
            provider: &front.provider,
            clients: self,
            sealed: &front.ports.sealer,
            nonces: &front.nonces,
            keys: &front.keys,
            now: *now,
        }
    }
}

impl Front {
    /// A front without platforms.
    ///
    /// # Errors
    /// [`FrontError`] if the configuration contradicts itself.
    pub fn new(config: Config, ports: Ports) -> Result<Self, FrontError> {
        let Config { trust, transactions, agents, persona_sessions, mtls } = config;
        for origin in [&trust.issuer, &trust.wallet_origin].into_iter().chain(&agents) {
            if !acceptable_origin(origin, trust.root) {
                return Err(FrontError::Origin(origin.clone()));
            }
        }
        if let Some(mtls) = mtls.as_ref().filter(|mtls| !may_ask_for_certificates(mtls, &trust)) {
            return Err(FrontError::Mutual(mtls.clone()));
        }
        if trust.root == Root::Production && (persona_sessions || !agents.is_empty()) {
            return Err(FrontError::Agents);
        }
        let keys = result_keys(&trust).ok_or(FrontError::Trust)?;
        let admission = Admission::of(&trust)?;
        let id_token_algs = admission.id_token_algs().to_vec();
        let responses = ResponseKey::read(ports.keys.as_ref())?;
        Ok(Self {
            provider: Provider {
                issuer: trust.issuer.clone(),
                root: trust.root,
                id_token_algs,
                response_algs: responses.algs(),
                persona_sessions,
                mtls,
            },
            cookies: Cookies::new(trust.issuer.starts_with("https://")),
            clients: RwLock::default(),
            transactions: Transactions::new(transactions),
            asking: None,
            auth_requests: AuthRequests::new(transactions),
            waits: Waits::new(waits::WAITING),
            streams: Streams::default(),
            admission,
            transaction_kid: pinned(trust.offices.front)?.thumbprint(),
            keys,
            nonces: ProofNonces::new(ports.sealer.derived("dpop-nonce").as_ref()),
            scans: ScanCodes::new(ports.sealer.derived("elsewhere").as_ref()),
            responses,
            agents,
            trust,
            ports,
        })
    }

    /// Admits a platform: a certificate of the pinned registry key for this trust root. An older certificate never replaces a
    /// newer one.
    ///
    /// # Errors
    /// [`NotAdmitted`]: [`Refusal::WrongRoot`]; [`Refusal::PlatformUnknown`] for anything the registry did not sign or that has ended;
    /// [`Refusal::PlatformRequest`] if the certificate contradicts itself.
    pub fn admit(&self, jws: &str) -> Result<(), NotAdmitted> {
        let client = self.admission.read(jws, self.now())?;
        let certificate = &client.certificate;
        let registered = &certificate.registration;
        let responses = registered.response_algs().all(|alg| self.provider.response_algs.contains(&alg));
        let told = registered.backchannel_logout_uri.is_some() || registered.may(HandleUse::Signals);
        if !responses || told && self.responses.public().is_none() {
            let why = "asks for what is signed, and this front has no key of its own for it";
            return Err(NotAdmitted::new(Refusal::PlatformRequest, why));
        }
        if certificate.registration.needs_mutual_tls() && self.provider.mtls.is_none() {
            let why = "uses TLS certificates, and this front asks for none ([mtls] of its configuration)";
            return Err(NotAdmitted::new(Refusal::PlatformRequest, why));
        }
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        match clients.get(&certificate.client_id) {
            Some(known) if known.certificate.iat > certificate.iat => {
                Err(NotAdmitted::new(Refusal::PlatformUnknown, "is older than the certificate that is known"))
            }
            _ => {
                clients.insert(certificate.client_id.clone(), Arc::new(client));
                Ok(())
            }
        }
    }

    /// The platform that authenticates by certificates in a name of this one, by its `client_id`: an admitted one that is not withdrawn.
    #[must_use]
    pub fn registered(&self, certificate: &ClientCertificate) -> Option<String> {
        let now = self.now();
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        let its = |client: &&Arc<Client>| {
            let registered = &client.certificate.registration;
            now < client.certificate.exp
                && registered.uses_tls_client_auth()
                && registered.tls_client_subject().is_ok_and(|subject| certificate.is(&subject))
        };
        clients.values().filter(its).map(|client| &client.certificate.client_id).min().cloned()
    }

    /// Forgets the platforms that are not `listed`: the registry has withdrawn them.
    pub fn keep_only(&self, listed: &BTreeSet<String>) {
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|client_id, _| listed.contains(client_id));
    }

    /// Whether a page of this origin may post an answer here.
    #[must_use]
    pub fn may_post(&self, origin: &str) -> bool {
        origin == self.trust.wallet_origin || self.agents.iter().any(|agent| agent == origin)
    }

    /// Whether it has a key of its own for what it signs; one that was founded before there was one has none.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.responses.public().is_some()
    }

    /// The issuer: the front's own address.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.trust.issuer
    }

    /// Whether a page of this origin is one of the front's own.
    #[must_use]
    pub fn is_own(&self, origin: &str) -> bool {
        origin == self.provider.issuer
    }

    /// The wallet's origin: the only one that scripts may call from.
    #[must_use]
    pub fn wallet_origin(&self) -> &str {
        &self.trust.wallet_origin
    }

    /// Sandbox or production: a person who sees a page of the front must know which.
    #[must_use]
    pub fn root(&self) -> Root {
        self.trust.root
    }

    /// Whether this is a sandbox's front whose persona agent keeps sessions.
    #[must_use]
    pub fn persona_sessions(&self) -> bool {
        self.provider.persona_sessions
    }

    /// The metadata document (OpenID Connect Discovery, RFC 8414).
    #[must_use]
    pub fn discovery(&self) -> Reply {
        public(&self.provider.discovery())
    }

    /// The keys that ID tokens verify under, which are the nodes' group key and their one-key-mode keys; and those of what the front
    /// signs itself.
    #[must_use]
    pub fn jwks(&self) -> Reply {
        let keys = self.keys.keys.iter().chain(self.responses.public()).cloned().collect();
        public(&Jwks { keys })
    }

    /// Pushed authorization requests.
    pub async fn par(&self, request: &Incoming<'_>) -> Reply {
        self.answer(request, async |env, call| {
            let pushed = self.of_caller(env, call, |client| provider::par(env, call, client)).await?;
            self.use_once(&pushed.fresh, env.now).await.map_err(plainly)?;
            let open = OpenRequest { request: pushed.request.clone(), exp: pushed.expires };
            let reply = pushed.reply(&self.seal(SealedKind::Request, &open.request.client_id, &open)?);
            Ok(self.with_next_nonce(reply, pushed.by_nonce, env.now))
        })
        .await
    }

    /// The token endpoint.
    pub async fn token(&self, request: &Incoming<'_>) -> Reply {
        self.answer(request, async |env, call| match call.form.get("grant_type") {
            Some(CIBA_GRANT) => self.answered_yet(env, call).await,
            Some("refresh_token") => self.renew(env, call).await,
            Some("client_credentials") => self.grant(env, call).await,
            _ => self.redeem(env, call).await,
        })
        .await
    }

    async fn redeem(&self, env: &Environment<'_>, call: &Call<'_>) -> Result<Reply, (OAuthError, Challenge)> {
        let redeemed = self.of_caller(env, call, |client| provider::token(env, call, client)).await?;
        if let Err(error) = self.use_once(&redeemed.fresh, env.now).await {
            if error == OAuthError::CodeReplayed {
                // Whoever was first may be the thief: what the code gave is worth nothing from now on.
                let until = redeemed.access_token.revoked_until();
                let revoked = self.revoke_tokens(redeemed.code.id, until, env.now).await;
                revoked.map_err(|error| (error, Challenge::None))?;
            }
            return Err((error, Challenge::None));
        }
        self.given(&redeemed, env.now)
    }

    /// The tokens that a grant gives.
    fn given(&self, redeemed: &Redeemed, now: Timestamp) -> Result<Reply, (OAuthError, Challenge)> {
        let client_id = &redeemed.code.client_id;
        let refresh_token = redeemed.refresh_token.as_ref();
        let refresh_token =
            refresh_token.map(|token| self.seal(SealedKind::RefreshToken, client_id, token)).transpose()?;
        let access_token = self.seal(SealedKind::AccessToken, "", &redeemed.access_token)?;
        let reply = redeemed.reply(&access_token, refresh_token.as_deref());
        Ok(self.with_next_nonce(reply, redeemed.by_nonce, now))
    }

    /// The userinfo endpoint.
    pub async fn userinfo(&self, request: &Incoming<'_>) -> Reply {
        self.answer(request, async |env, call| {
            let told = provider::userinfo(env, call)?;
            self.use_once(&told.fresh, env.now).await.map_err(|error| (error, told.challenge))?;
            match self.is_live(&told.token, env.now).await {
                Ok(true) => {
                    let reply = self.told(env, &told)?;
                    Ok(self.with_next_nonce(reply, told.by_nonce, env.now))
                }
                Ok(false) => Err((OAuthError::TokenInvalid, told.challenge)),
                Err(error) => Err((error, Challenge::None)),
            }
        })
        .await
    }

    /// As JSON, or signed for a platform that registered it so.
    fn told(&self, env: &Environment<'_>, told: &Told) -> Result<Reply, (OAuthError, Challenge)> {
        let client = env.clients.client(&told.token.client_id).ok_or((OAuthError::TokenInvalid, told.challenge))?;
        if client.certificate.registration.userinfo_signed_response_alg.is_none() {
            return Ok(told.reply());
        }
        let jwt = self.signed("userinfo+jwt", &told.claims(&self.provider.issuer));
        Ok(Reply::jwt("application/jwt", jwt.map_err(|_| (OAuthError::Internal, Challenge::None))?))
    }

    /// What an access token is worth (RFC 7662): JSON, or a JWT for a platform that registered it so or whose `accept` asks for it
    /// (RFC 9701 section 4).
    pub async fn introspect(&self, request: &Incoming<'_>, accept: &[&str]) -> Reply {
        self.answer(request, async |env, call| {
            let about = self.of_caller(env, call, |client| provider::about_token(env, call, client)).await?;
            let live = match (&about.token, about.renewable()) {
                (Some(token), _) => self.is_live(token, env.now).await.map_err(plainly)?,
                (None, Some(token)) => {
                    let kept = self.is_live(&token.renews, env.now).await.map_err(plainly)?;
                    kept && self.lasts(token).await.map_err(plainly)?
                }
                (None, None) => false,
            };
            let told = about.introspection(&self.provider.issuer, live);
            let client = &about.client;
            let registered = client.certificate.registration.introspection_signed_response_alg.is_some();
            let asked = accept.iter().any(|accept| accept.to_ascii_lowercase().contains(INTROSPECTION_JWT));
            if !(registered || asked && self.responses.public().is_some()) {
                return Ok(Reply::json(200, &told));
            }
            let claims = json!({
                "iss": self.provider.issuer,
                "aud": client.certificate.client_id,
                "iat": env.now,
                "token_introspection": told,
            });
            let jwt = self.signed("token-introspection+jwt", &claims);
            Ok(Reply::jwt(INTROSPECTION_JWT, jwt.map_err(|_| (OAuthError::Internal, Challenge::None))?))
        })
        .await
    }

    /// Gives an access or a refresh token up, and with it all tokens of the same code (RFC 7009).
    pub async fn revoke(&self, request: &Incoming<'_>) -> Reply {
        self.answer(request, async |env, call| {
            let about = self.of_caller(env, call, |client| provider::about_token(env, call, client)).await?;
            if let Some((code, until)) = about.revocation() {
                let revoked = self.revoke_tokens(code, until, env.now).await;
                revoked.map_err(plainly)?;
            }
            Ok(provider::revoked())
        })
        .await
    }

    /// Makes all tokens of a code worth nothing.
    pub(super) async fn revoke_tokens(&self, code: CodeId, until: Timestamp, now: Timestamp) -> Result<(), OAuthError> {
        self.ports.revoked.revoke(&code.tokens_key(), until, now).await.map_err(|error| {
            tracing::error!(%error, "a revocation cannot be remembered");
            OAuthError::Unavailable
        })
    }

    async fn is_live(&self, token: &AccessToken, now: Timestamp) -> Result<bool, OAuthError> {
        let revoked = self.ports.revoked.seen(&token.code.tokens_key(), now).await;
        revoked.map(|revoked| !revoked).map_err(|_| OAuthError::Unavailable)
    }

    async fn answer(
        &self,
        request: &Incoming<'_>,
        decide: impl AsyncFnOnce(&Environment<'_>, &Call<'_>) -> Result<Reply, (OAuthError, Challenge)>,
    ) -> Reply {
        let form = match Form::parse(request.form) {
            Ok(form) => form,
            Err(error) => return Reply::error(error.into(), Challenge::None),
        };
        let Incoming { method, authorization, dpop, certificate, .. } = *request;
        let call = Call { method, authorization, dpop, certificate, form: &form };
        let now = self.now();
        let clients = Admitted(self, now);
        let env = clients.environment();
        match decide(&env, &call).await {
            Ok(reply) => reply,
            Err((error, challenge)) => {
                tracing::debug!(error = error.name(), "a platform's request was refused");
                if error == OAuthError::TooMany {
                    return limits::too_often(self.pause());
                }
                let asked = error == OAuthError::ProofNonce;
                self.with_next_nonce(Reply::error(error, challenge), asked, now)
            }
        }
    }

    /// Who uses nonces is told the next one with each answer, so that only the first request is made twice.
    fn with_next_nonce(&self, reply: Reply, by_nonce: bool, now: Timestamp) -> Reply {
        if by_nonce { reply.with_nonce(self.nonces.current(now)) } else { reply }
    }

    /// Uses every value, in order, or says which one was used before.
    async fn use_once(&self, fresh: &[Fresh], now: Timestamp) -> Result<(), OAuthError> {
        for value in fresh {
            match self.ports.once.insert_once(&value.key, value.expires, now).await {
                Ok(true) => {}
                Ok(false) => return Err(value.otherwise),
                Err(error) => {
                    tracing::error!(%error, "the single-use set refuses");
                    return Err(OAuthError::Unavailable);
                }
            }
        }
        Ok(())
    }

    fn seal<T: serde::Serialize>(
        &self,
        kind: SealedKind,
        client_id: &str,
        value: &T,
    ) -> Result<String, (OAuthError, Challenge)> {
        let sealed = serde_json::to_vec(value).ok();
        let sealed =
            sealed.and_then(|plaintext| self.ports.sealer.seal(kind, client_id, &plaintext, self.ports.rng.as_ref()));
        sealed.ok_or((OAuthError::Internal, Challenge::None))
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }
}

/// A refusal without a challenge.
fn plainly(error: OAuthError) -> (OAuthError, Challenge) {
    (error, Challenge::None)
}

/// Metadata and keys are public: any page may read them, caches may keep them for five minutes.
fn public(body: &impl serde::Serialize) -> Reply {
    let mut reply = Reply::json(200, body);
    reply.headers.retain(|(name, _)| *name == "content-type");
    reply.headers.push(("cache-control", "public, max-age=300".to_owned()));
    reply.headers.push(("access-control-allow-origin", "*".to_owned()));
    reply
}

/// A key of the trust root.
fn pinned(key: Octets<32>) -> Result<Jwk, FrontError> {
    PublicKey::ed25519(key.0).map(Jwk::bare).map_err(|_| FrontError::Trust)
}

/// The group's key and the nodes' one-key-mode keys, each for one algorithm only.
fn result_keys(trust: &Trust) -> Option<Jwks> {
    let fixed = |key: &Jwk, alg| {
        let key = Jwk { alg: Some(alg), key_use: Some(KeyUse::Sig), ..key.clone() };
        (key.key.fits(alg) && key.kid.is_some()).then_some(key)
    };
    let mut keys = vec![fixed(&trust.group_jwk()?, Alg::EdDSA)?];
    for node in &trust.nodes {
        keys.push(fixed(&node.es256, Alg::ES256)?);
    }
    for key in trust.nodes.iter().filter_map(|node| node.rs256.as_ref()) {
        keys.push(fixed(key, Alg::RS256)?);
    }
    Some(Jwks { keys })
}
