//! A front with four platforms, and one key in the place of two nodes.

#[path = "played.rs"]
mod played;

use async_trait::async_trait;
use hufu_kernel::{
    Answer, Bytes, Element, ManualClock, Octets, Pair, Refusal, Rng, Root, SeededRng, Strength, Timestamp, unb64,
};
use hufu_offices::buckets::Rate;
use hufu_offices::front::{Config, Front, Incoming, Ports, RESPONSE_KEY, Reply, Sealer, TRANSACTION_KEY};
use hufu_offices::keys::{SoftwareKey, SoftwareKeys};
use hufu_offices::ports::{BackChannel, SubjectHandles};
use hufu_oidc::client::{ClientAuth, HttpRequest, Pending, RelyingParty, SignedIn, Wish};
use hufu_pairwise::{Context, Intl, request_direct};
use hufu_store::{MemoryOnce, Once, StoreError};
use hufu_wire::api::platform::{Bilingual, PlatformCertificate, Profile, Purpose, Registration};
use hufu_wire::api::sign_in::{Answers, CompleteSignIn, Continue, IdToken, Transaction, VerificationResult, acr, amr};
use hufu_wire::api::trust::{NodeTrust, OfficeKeys, Trust};
use hufu_wire::jose::{Alg, Compact, Header, Jwk, Jwks, PublicKey, RsaKey, Signer, SoftKey, sign, verify};
use hufu_wire::subject_handle::{HALF, SubjectHandle};
use hufu_wire::tls_client::ClientCertificate;
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock, Mutex};
use zeroize::Zeroizing;

pub use played::*;

pub const ISSUER: &str = "http://localhost:7000";
pub const WALLET: &str = "http://wallet.localhost:7001";
pub const AGENT: &str = "http://agent.localhost:7002";
/// Where platforms are asked for TLS certificates.
pub const MTLS: &str = "https://mtls.localhost:7003";
pub const NOW: Timestamp = Timestamp(1_900_000_000);
pub const SECRET: &str = "a secret: with % and & and +";

pub fn key(alg: Alg, rng: &dyn Rng) -> SoftKey {
    SoftKey::generate(alg, rng).unwrap()
}

fn octets(key: &SoftKey) -> Octets<32> {
    Octets(*key.public().key.as_ed25519().unwrap())
}

fn seed(key: &SoftKey) -> Zeroizing<Vec<u8>> {
    let jwk: serde_json::Value = serde_json::from_str(&key.to_private_jwk()).unwrap();
    Zeroizing::new(unb64(jwk["d"].as_str().unwrap()).unwrap())
}

pub fn copy(key: &SoftKey) -> SoftKey {
    SoftKey::from_private_jwk(key.to_private_jwk().as_bytes()).unwrap()
}

pub struct World {
    pub front: Arc<Front>,
    pub clock: Arc<ManualClock>,
    pub rng: Arc<SeededRng>,
    pub trust: Trust,
    pub registry: SoftKey,
    pub front_key: SoftKey,
    /// Stands for two nodes together.
    pub group: SoftKey,
    /// One-key mode of node 1.
    pub node: SoftKey,
    pub once: Arc<MemoryOnce>,
    /// Codes whose tokens were revoked.
    pub revoked: Arc<Revoked>,
    /// What platforms' servers were told.
    pub posted: Arc<Posted>,
    /// The nodes, as the front asks them about handles.
    pub nodes: [Arc<PlayedNode>; 3],
}

pub fn certificate(client_id: &str, root: Root) -> PlatformCertificate {
    let text = |text: &str| Bilingual { zh: text.to_owned(), en: text.to_owned() };
    let purpose =
        |id: &str, answers: &[Answer]| Purpose { id: id.to_owned(), text: text(id), answers: answers.to_vec() };
    PlatformCertificate {
        root,
        client_id: client_id.to_owned(),
        sector_id: format!("https://{client_id}.example"),
        name: text(client_id),
        profile: Profile::Fapi2,
        redirect_uris: vec![format!("https://{client_id}.example/cb"), format!("https://{client_id}.example/cb2?x=1")],
        entitled: vec![Answer::Real, Answer::Unique, Answer::AgeOver18],
        purposes: vec![
            purpose("sign-in", &[Answer::Real, Answer::Unique]),
            purpose("adults", &[Answer::Real, Answer::AgeOver18]),
        ],
        id_token_signed_response_alg: Alg::EdDSA,
        jwks: Jwks::default(),
        client_secret_sha256: None,
        registration: Registration::default(),
        iat: NOW - 10,
        exp: NOW + 365 * 86_400,
    }
}

impl World {
    pub fn new() -> Self {
        Self::with_capacity(100)
    }

    pub fn with_capacity(transactions: usize) -> Self {
        Self::made(transactions, true, 7)
    }

    /// A front with other keys.
    pub fn seeded(seed: u8) -> Self {
        Self::made(100, true, seed)
    }

    /// A front that was founded before there were keys for what it signs.
    pub fn without_response_keys() -> Self {
        Self::made(100, false, 7)
    }

    /// A sandbox's front whose persona agent keeps sessions.
    pub fn with_persona_sessions() -> Self {
        Self::made_with(100, true, 7, true)
    }

    fn made(transactions: usize, responses: bool, drawn_from: u8) -> Self {
        Self::made_with(transactions, responses, drawn_from, false)
    }

    fn made_with(transactions: usize, responses: bool, drawn_from: u8, persona_sessions: bool) -> Self {
        let rng = Arc::new(SeededRng::new(drawn_from.into()));
        let (registry, front_key, group) = (key(Alg::EdDSA, &*rng), key(Alg::EdDSA, &*rng), key(Alg::EdDSA, &*rng));
        let node = key(Alg::ES256, &*rng);
        let nodes = [copy(&node), key(Alg::ES256, &*rng), key(Alg::ES256, &*rng)].map(|es256| NodeTrust {
            signing: Octets::default(),
            sealing: Bytes::default(),
            es256: es256.public().clone(),
            rs256: None,
        });
        let trust = Trust {
            root: Root::Sandbox,
            root_id: Octets::default(),
            issuer: ISSUER.to_owned(),
            wallet_origin: WALLET.to_owned(),
            rp_id: "wallet.localhost".to_owned(),
            offices: OfficeKeys {
                registrar: Octets::default(),
                uniqueness: Octets::default(),
                registry: octets(&registry),
                front: octets(&front_key),
            },
            nodes,
            taggers: [(); 3].map(|()| Element(Bytes::default())),
            group_key: octets(&group),
            group_shares: [Octets::default(); 3],
        };
        let clock = Arc::new(ManualClock::new(NOW));
        let once = Arc::new(MemoryOnce::new(100_000));
        let (agents, mtls) = (vec![AGENT.to_owned()], Some(MTLS.to_owned()));
        let config = Config { trust: trust.clone(), transactions, agents, persona_sessions, mtls };
        let posted = Arc::new(Posted::default());
        let mut ports = ports(&front_key, &clock, &rng, &once);
        ports.back_channel = Arc::clone(&posted) as Arc<dyn BackChannel>;
        let revoked = Arc::new(Revoked::default());
        ports.revoked = Arc::clone(&revoked) as Arc<dyn Once>;
        let nodes = [(); 3].map(|()| Arc::new(PlayedNode::default()));
        ports.nodes = nodes.each_ref().map(|node| Arc::clone(node) as Arc<dyn SubjectHandles>);
        if !responses {
            let own = [(TRANSACTION_KEY.to_owned(), SoftwareKey::Ed25519(seed(&front_key)))];
            ports.keys = Arc::new(SoftwareKeys::load(own, Arc::clone(&rng) as Arc<dyn Rng>).unwrap());
        }
        let front = Arc::new(Front::new(config, ports).unwrap());
        Self { front, clock, rng, trust, registry, front_key, group, node, once, revoked, posted, nodes }
    }

    /// The same front, at which each platform may ask so much.
    pub fn limited(self, client: Rate) -> Self {
        let front = Arc::into_inner(self.front).unwrap().limited(Some(client));
        Self { front: Arc::new(front), ..self }
    }

    /// Signs a certificate and brings it to the front.
    pub fn admit(&self, certificate: &PlatformCertificate) -> Result<(), Refusal> {
        self.front.admit(&self.signed_certificate(certificate)).map_err(|told| told.refusal)
    }

    /// The certificate as the registry signs it.
    pub fn signed_certificate(&self, certificate: &PlatformCertificate) -> String {
        sign(&self.registry, Header::new(Alg::EdDSA).typ(PlatformCertificate::TYP), certificate).unwrap()
    }

    /// An admitted FAPI 2.0 platform.
    pub fn fapi(&self, client_id: &str) -> RelyingParty {
        self.fapi_alg(client_id, Alg::EdDSA)
    }

    pub fn fapi_alg(&self, client_id: &str, alg: Alg) -> RelyingParty {
        self.fapi_with(client_id, alg, Registration::default())
    }

    /// An admitted FAPI 2.0 platform that registered more.
    pub fn fapi_with(&self, client_id: &str, alg: Alg, registration: Registration) -> RelyingParty {
        let assertions = key(Alg::ES256, &*self.rng);
        let mut certificate = certificate(client_id, Root::Sandbox);
        certificate.registration = registration;
        certificate.jwks.keys.push(assertions.public().clone());
        certificate.id_token_signed_response_alg = alg;
        self.admit(&certificate).unwrap();
        let dpop = Some(key(Alg::ES256, &*self.rng));
        self.relying_party(client_id, ClientAuth::PrivateKeyJwt(assertions), dpop, alg)
    }

    /// An admitted platform of profile `basic`.
    pub fn basic(&self, client_id: &str) -> RelyingParty {
        let mut certificate = certificate(client_id, Root::Sandbox);
        certificate.profile = Profile::Basic;
        certificate.client_secret_sha256 = Some(Octets(Sha256::digest(SECRET).into()));
        self.admit(&certificate).unwrap();
        self.relying_party(client_id, ClientAuth::SecretBasic(SECRET.to_owned()), None, Alg::EdDSA)
    }

    /// An admitted platform that authenticates with a TLS certificate in the name `CLIENT.example`, and has its tokens bound to it.
    pub fn by_certificate(&self, client_id: &str) -> RelyingParty {
        let mut certificate = certificate(client_id, Root::Sandbox);
        certificate.registration.tls_client_auth_san_dns = Some(format!("{client_id}.example"));
        certificate.registration.tls_client_certificate_bound_access_tokens = true;
        self.admit(&certificate).unwrap();
        self.relying_party(client_id, ClientAuth::TlsClient(MTLS.to_owned()), None, Alg::EdDSA)
    }

    fn relying_party(&self, client_id: &str, auth: ClientAuth, dpop: Option<SoftKey>, alg: Alg) -> RelyingParty {
        let jwks = Jwks::from_json(self.front.jwks().body.as_bytes()).unwrap();
        let redirect_uri = format!("https://{client_id}.example/cb");
        RelyingParty {
            client_id: client_id.to_owned(),
            redirect_uri,
            issuer: ISSUER.to_owned(),
            auth,
            dpop,
            keys: jwks,
            alg,
        }
    }

    pub async fn send(&self, request: &HttpRequest) -> Reply {
        self.send_with(request, None).await
    }

    /// Sends a request over a connection with this TLS certificate, which leads to the address for such connections.
    pub async fn send_with(&self, request: &HttpRequest, certificate: Option<&ClientCertificate>) -> Reply {
        let of = |wanted: &str| -> Vec<&str> {
            request.headers.iter().filter(|(name, _)| *name == wanted).map(|(_, value)| value.as_str()).collect()
        };
        let (authorization, dpop) = (of("authorization"), of("dpop"));
        let (method, form) = (request.method, &*request.body);
        let incoming = Incoming { method, authorization: &authorization, dpop: &dpop, certificate, form };
        let base = if certificate.is_some() { MTLS } else { ISSUER };
        match request.url.strip_prefix(base).unwrap() {
            "/par" => self.front.par(&incoming).await,
            "/token" => self.front.token(&incoming).await,
            "/userinfo" => self.front.userinfo(&incoming).await,
            "/introspect" => self.front.introspect(&incoming, &of("accept")).await,
            "/revoke" => self.front.revoke(&incoming).await,
            "/bc-authorize" => self.front.backchannel(&incoming).await,
            other => panic!("no endpoint {other}"),
        }
    }

    pub fn push_request(&self, rp: &RelyingParty, pending: &Pending) -> HttpRequest {
        rp.push(pending, self.now(), &*self.rng).unwrap()
    }

    /// Pushes the request and returns the address to send the browser to.
    pub async fn pushed(&self, rp: &RelyingParty, pending: &Pending) -> String {
        let reply = self.send(&self.push_request(rp, pending)).await;
        rp.pushed(reply.status, &reply.body).unwrap()
    }

    /// A browser without cookies goes to `url`; what it holds afterwards.
    pub async fn browse(&self, url: &str) -> Begun {
        self.browse_with(url, &[]).await
    }

    pub async fn browse_with(&self, url: &str, cookies: &[&str]) -> Begun {
        let reply = self.front.authorize(query(url), cookies).await.expect("a redirect, not a page");
        begun(&reply)
    }

    /// As far as the wallet's page: pushed, redirected, transaction fetched.
    pub async fn at_wallet(&self, rp: &RelyingParty, wish: &Wish) -> AtWallet {
        let pending = rp.begin(wish, &*self.rng);
        let url = if rp.dpop.is_some() { self.pushed(rp, &pending).await } else { rp.plain(&pending) };
        self.arrived(pending, url).await
    }

    /// A browser that was sent to `url` arrives at the wallet's page.
    pub async fn arrived(&self, pending: Pending, url: String) -> AtWallet {
        let begun = self.browse(&url).await;
        let transaction = self.fetch(&begun.tx);
        AtWallet { pending, url, begun, transaction }
    }

    /// What the wallet does with `/tx/{tx}`: fetch, and verify under the pinned key.
    pub fn fetch(&self, tx: &str) -> Transaction {
        let jws = Compact::parse(&self.front.transaction(tx).unwrap()).unwrap();
        assert!(jws.header().is_typ(Transaction::TYP));
        let pinned = Jwk::bare(PublicKey::ed25519(self.trust.offices.front.0).unwrap());
        verify(&jws, &pinned, &[Alg::EdDSA]).unwrap().json().unwrap()
    }

    /// The claims two nodes would sign for `answers`.
    pub fn claims(&self, transaction: &Transaction, answers: &[Answer]) -> (IdToken, Octets<32>) {
        let s = Octets([9; 32]);
        let certificate: PlatformCertificate =
            Compact::parse(&transaction.certificate).unwrap().unverified().json().unwrap();
        let Transaction { client_id, code_challenge, dpop_jkt, tx, .. } = transaction;
        let ctx = Context {
            s: &s.0,
            sector_id: &certificate.sector_id,
            nonce: &transaction.nonce,
            redirect_uri: &transaction.redirect_uri,
            certificate_hash: &Sha256::digest(&transaction.certificate).into(),
            purpose: &transaction.purpose,
            answers,
            request: &request_direct::<Intl>(client_id, code_challenge, dpop_jkt, tx.as_slice()),
        };
        let yes = |answer| answers.contains(&answer).then_some(true);
        let now = self.now();
        let token = IdToken {
            iss: ISSUER.to_owned(),
            sub: format!("sub-at-{}", certificate.sector_id),
            aud: transaction.client_id.clone(),
            nonce: transaction.nonce.clone(),
            iat: now,
            exp: now + 300,
            auth_time: now - 5,
            acr: acr(transaction.strength).to_owned(),
            amr: amr(transaction.strength),
            hufu: VerificationResult {
                v: 1,
                ep: "ep".to_owned(),
                ctx: Octets(ctx.hash::<Intl>()),
                strength: transaction.strength,
                answers: Answers {
                    real: yes(Answer::Real),
                    unique: yes(Answer::Unique),
                    age_over_18: yes(Answer::AgeOver18),
                    ..Answers::default()
                },
                handle: None,
            },
        };
        (token, s)
    }

    pub fn signed_by(&self, signer: &SoftKey, claims: &impl serde::Serialize) -> String {
        sign(signer, Header::new(signer.alg()).typ("JWT").kid(signer.kid()), claims).unwrap()
    }

    /// The wallet's honest answer.
    pub fn answer(&self, transaction: &Transaction) -> CompleteSignIn {
        self.answer_with(transaction, |_| {})
    }

    /// The wallet's answer to a platform that registered for a handle, and the handle.
    pub fn answer_with_handle(&self, transaction: &Transaction) -> CompleteSignIn {
        let handle = handle_of(1);
        let mut answer = self.answer_with(transaction, |token| token.hufu.handle = Some(handle.hash()));
        answer.handle = Some(handle);
        answer
    }

    /// The wallet's answer to a platform whose ID tokens are of this algorithm.
    pub fn answer_alg(&self, transaction: &Transaction, alg: Alg) -> CompleteSignIn {
        let (token, s) = self.claims(transaction, &transaction.answers);
        let key = if alg == Alg::ES256 { &self.node } else { &self.group };
        CompleteSignIn { tx: transaction.tx, id_token: self.signed_by(key, &token), s, handle: None }
    }

    /// The wallet's answer with the claims changed before they are signed.
    pub fn answer_with(&self, transaction: &Transaction, change: impl FnOnce(&mut IdToken)) -> CompleteSignIn {
        let (mut token, s) = self.claims(transaction, &transaction.answers);
        change(&mut token);
        CompleteSignIn { tx: transaction.tx, id_token: self.signed_by(&self.group, &token), s, handle: None }
    }

    pub async fn complete(&self, at: &AtWallet) -> Result<Continue, Refusal> {
        self.front.complete(&self.answer(&at.transaction), &[&at.begun.cookie]).await
    }

    /// As far as the code.
    pub async fn code(&self, rp: &RelyingParty, wish: &Wish) -> (Pending, String) {
        let at = self.at_wallet(rp, wish).await;
        let next = self.complete(&at).await.unwrap();
        let code = rp.callback(&at.pending, query(&next.redirect_to)).unwrap();
        (at.pending, code)
    }

    pub fn token_request(&self, rp: &RelyingParty, pending: &Pending, code: &str) -> HttpRequest {
        rp.redeem(pending, code, self.now(), &*self.rng).unwrap()
    }

    pub async fn sign_in(&self, rp: &RelyingParty, wish: &Wish) -> SignedIn {
        let (pending, code) = self.code(rp, wish).await;
        let reply = self.send(&self.token_request(rp, &pending, &code)).await;
        rp.redeemed(&pending, reply.status, &reply.body, self.now()).unwrap()
    }

    pub async fn userinfo(&self, rp: &RelyingParty, access_token: &str) -> Reply {
        self.send(&rp.userinfo(access_token, self.now(), &*self.rng).unwrap()).await
    }

    pub fn now(&self) -> Timestamp {
        hufu_kernel::Clock::now(&*self.clock)
    }
}

pub fn ports(front_key: &SoftKey, clock: &Arc<ManualClock>, rng: &Arc<SeededRng>, once: &Arc<MemoryOnce>) -> Ports {
    // One for all worlds: it takes long to make.
    static RESPONSES: LazyLock<Zeroizing<Vec<u8>>> =
        LazyLock::new(|| RsaKey::generate(Alg::PS256).unwrap().to_pkcs8().unwrap());
    let keys = [
        (TRANSACTION_KEY.to_owned(), SoftwareKey::Ed25519(seed(front_key))),
        (RESPONSE_KEY.to_owned(), SoftwareKey::Share(RESPONSES.clone())),
    ];
    Ports {
        keys: Arc::new(SoftwareKeys::load(keys, Arc::clone(rng) as Arc<dyn Rng>).unwrap()),
        once: Arc::clone(once) as Arc<dyn Once>,
        revoked: Arc::new(Revoked::default()),
        clock: Arc::clone(clock) as Arc<dyn hufu_kernel::Clock>,
        rng: Arc::clone(rng) as Arc<dyn Rng>,
        sealer: Sealer::random(&**rng),
        back_channel: Arc::new(Posted::default()),
        nodes: [1, 2, 3].map(|_| Arc::new(PlayedNode::default()) as Arc<dyn SubjectHandles>),
    }
}

/// A small set of revocations, and until when each is remembered.
pub struct Revoked {
    pub set: MemoryOnce,
    pub until: Mutex<Vec<Timestamp>>,
}

impl Default for Revoked {
    fn default() -> Self {
        Self { set: MemoryOnce::new(1_000), until: Mutex::default() }
    }
}

#[async_trait]
impl Once for Revoked {
    async fn insert_once(&self, key: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.set.insert_once(key, expires, now).await
    }

    async fn seen(&self, key: &[u8], now: Timestamp) -> Result<bool, StoreError> {
        self.set.seen(key, now).await
    }

    async fn revoke(&self, key: &[u8], expires: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.until.lock().unwrap().push(expires);
        self.set.revoke(key, expires, now).await
    }
}

/// In whose name a node was asked, by the certificate that it was shown.
pub fn asker(certificate: &str) -> String {
    let certificate: PlatformCertificate = Compact::parse(certificate).unwrap().unverified().json().unwrap();
    certificate.client_id
}

/// A handle of nodes 1 and 3 that the played nodes open.
pub fn handle_of(person: u8) -> SubjectHandle {
    SubjectHandle { pair: Pair::ALL[1], halves: [Octets([person; HALF]), Octets([person + 100; HALF])] }
}

/// What a browser holds after `/authorize`.
pub struct Begun {
    pub tx: String,
    pub cookie: String,
}

fn begun(reply: &Reply) -> Begun {
    assert_eq!(reply.status, 303);
    let location = reply.header("location").unwrap();
    let tx = location.strip_prefix(&format!("{WALLET}/sign-in?tx=")).unwrap_or_else(|| panic!("{location}"));
    let tx = tx.split('&').next().unwrap().to_owned();
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    Begun { tx, cookie }
}

/// A sign-in that waits for the person.
pub struct AtWallet {
    pub pending: Pending,
    pub url: String,
    pub begun: Begun,
    pub transaction: Transaction,
}

pub fn query(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query)
}

/// `error` of a JSON refusal.
pub fn error_of(reply: &Reply) -> String {
    let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert!(reply.status >= 400, "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    format!("{} {}", reply.status, body["error"].as_str().unwrap())
}

/// The body with one parameter replaced, or removed if `value` is `None`.
pub fn with_parameter(body: &str, name: &str, value: Option<&str>) -> String {
    let encode = |value: &str| hufu_oidc::Pairs::default().with(name, value).encode();
    let kept = body.split('&').filter(|pair| pair.split('=').next() != Some(name)).map(str::to_owned);
    kept.chain(value.map(encode)).collect::<Vec<_>>().join("&")
}

pub fn wish(answers: &[Answer], purpose: &str) -> Wish {
    Wish { answers: answers.to_vec(), purpose: Some(purpose.to_owned()), ..Wish::default() }
}

pub fn strong() -> Wish {
    Wish { strength: Some(Strength::CertificatePassword), ..Wish::default() }
}
