//! One provider, two clients, and sealing that seals nothing: here only the tables are tested.

use hufu_kernel::{Answer, Octets, Pair, Root, SeededRng, Timestamp, b64, unb64};
use hufu_oidc::client::{ClientAuth, Pending, RelyingParty, Wish};
use hufu_oidc::provider::{AboutToken, BackchannelRequest, Granted, Look, Pushed, Redeemed, Renewed, authenticate};
use hufu_oidc::provider::{
    AccessToken, AuthorizationRequest, Call, Client, Clients, Code, CodeId, Environment, Nonces, OpenRequest, Opener,
    Provider, REQUEST_URI_PREFIX, RefreshToken, SealedKind, WaitingCode, Wanted,
};
use hufu_oidc::{Challenge, Form, OAuthError, Pairs, provider};
use hufu_wire::api::platform::{Bilingual, DeliveryMode, PlatformCertificate, Profile, Purpose, Registration};
use hufu_wire::api::sign_in::{Answers, VerificationResult};
use hufu_wire::dpop::{Expected, make_proof};
use hufu_wire::jose::{Alg, Header, Jwk, Jwks, SoftKey, sign};
use hufu_wire::subject_handle::{HALF, HandleUse, SubjectHandle};
use hufu_wire::tls_client::ClientCertificate;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

pub const ISSUER: &str = "https://id.example";
pub const NOW: Timestamp = Timestamp(1_900_000_000);
pub const SECRET: &str = "secret";
/// Where TLS certificates are asked for.
pub const MTLS: &str = "https://mtls.id.example";
pub const HOST: &str = "till.example";

/// Shows kind and client instead of hiding the content.
pub struct Glass;

impl Opener for Glass {
    fn open(&self, kind: SealedKind, client_id: &str, sealed: &str) -> Option<Vec<u8>> {
        let text = String::from_utf8(unb64(sealed)?).ok()?;
        text.strip_prefix(&format!("{}|{client_id}|", kind.as_str())).map(|rest| rest.as_bytes().to_vec())
    }
}

pub fn seal(kind: SealedKind, client_id: &str, value: &impl Serialize) -> String {
    b64(format!("{}|{client_id}|{}", kind.as_str(), serde_json::to_string(value).unwrap()).as_bytes())
}

type Checked<T> = Result<T, (OAuthError, Challenge)>;

/// The endpoints as a caller meets them: who asks, then what.
pub fn par(env: &Environment<'_>, call: &Call<'_>) -> Checked<Pushed> {
    provider::par(env, call, authenticate(env, call)?.client)
}

pub fn token(env: &Environment<'_>, call: &Call<'_>) -> Checked<Redeemed> {
    provider::token(env, call, authenticate(env, call)?.client)
}

pub fn backchannel(env: &Environment<'_>, call: &Call<'_>) -> Checked<BackchannelRequest> {
    provider::backchannel(env, call, authenticate(env, call)?.client)
}

pub fn look(env: &Environment<'_>, call: &Call<'_>) -> Checked<Look> {
    provider::look(env, call, authenticate(env, call)?.client)
}

pub fn refresh(env: &Environment<'_>, call: &Call<'_>) -> Checked<Renewed> {
    provider::refresh(env, call, authenticate(env, call)?.client)
}

pub fn client_credentials(env: &Environment<'_>, call: &Call<'_>) -> Checked<Granted> {
    provider::client_credentials(env, call, authenticate(env, call)?.client)
}

pub fn about_token(env: &Environment<'_>, call: &Call<'_>) -> Checked<AboutToken> {
    provider::about_token(env, call, authenticate(env, call)?.client)
}

pub struct World {
    pub provider: Provider,
    pub shop: RelyingParty,
    pub rng: SeededRng,
    /// The key of ID tokens.
    pub node: SoftKey,
    results: Jwks,
    clients: Vec<Arc<Client>>,
}

impl Clients for World {
    fn client(&self, client_id: &str) -> Option<Arc<Client>> {
        self.clients.iter().find(|client| client.certificate.client_id == client_id).cloned()
    }
}

fn client(client_id: &str, keys: &[&SoftKey]) -> Arc<Client> {
    let text = || Bilingual { zh: String::new(), en: String::new() };
    let certificate = PlatformCertificate {
        root: Root::Sandbox,
        client_id: client_id.to_owned(),
        sector_id: format!("https://{client_id}.example"),
        name: text(),
        profile: if keys.is_empty() { Profile::Basic } else { Profile::Fapi2 },
        redirect_uris: vec![format!("https://{client_id}.example/cb")],
        entitled: vec![Answer::Real, Answer::AgeOver18],
        purposes: vec![Purpose { id: "p".into(), text: text(), answers: vec![Answer::Real] }],
        id_token_signed_response_alg: Alg::EdDSA,
        jwks: Jwks { keys: keys.iter().map(|key| key.public().clone()).collect() },
        client_secret_sha256: keys.is_empty().then(|| Octets(Sha256::digest(SECRET).into())),
        registration: Registration {
            post_logout_redirect_uris: vec![format!("https://{client_id}.example/bye")],
            backchannel_logout_uri: Some(format!("https://{client_id}.example/out")),
            ..Registration::default()
        },
        iat: NOW,
        exp: NOW + 1,
    };
    Arc::new(Client { certificate, jws: String::new(), hash: Octets::default() })
}

/// The nonce that this server has given out.
pub const NONCE: &str = "given-out";

impl Nonces for World {
    fn knows(&self, nonce: &str, now: Timestamp) -> bool {
        (nonce, now) == (NONCE, NOW)
    }
}

/// A platform that authenticates with a TLS certificate in the name `HOST` and binds its tokens to it.
fn till() -> Arc<Client> {
    let mut certificate = client("till", &[]).certificate.clone();
    (certificate.profile, certificate.client_secret_sha256) = (Profile::Fapi2, None);
    certificate.registration.tls_client_auth_san_dns = Some(HOST.into());
    certificate.registration.tls_client_certificate_bound_access_tokens = true;
    Arc::new(Client { certificate, jws: String::new(), hash: Octets::default() })
}

/// A TLS certificate in the name of a host, its key drawn now.
pub fn tls_certificate(host: &str) -> ClientCertificate {
    let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
    ClientCertificate::read(made.cert.der()).unwrap()
}

impl World {
    /// The shop registered that its proofs carry nonces.
    pub fn with_nonces() -> Self {
        let mut world = Self::new();
        let mut shop = Client::clone(&world.clients[0]);
        shop.certificate.registration.require_dpop_nonce = true;
        world.clients[0] = Arc::new(shop);
        world
    }

    /// The shop registered that it signs its requests.
    pub fn signing() -> Self {
        let mut world = Self::new();
        let mut shop = Client::clone(&world.clients[0]);
        shop.certificate.registration.require_signed_request_object = true;
        world.clients[0] = Arc::new(shop);
        world
    }

    /// The shop may ask without a browser, is told by a ping, and signs what it asks.
    pub fn calling() -> Self {
        let mut world = Self::new();
        let mut shop = Client::clone(&world.clients[0]);
        let registered = &mut shop.certificate.registration;
        registered.backchannel_token_delivery_mode = Some(DeliveryMode::Ping);
        registered.backchannel_client_notification_endpoint = Some("https://shop.example/ping".into());
        registered.backchannel_authentication_request_signing_alg = Some(Alg::ES256);
        world.clients[0] = Arc::new(shop);
        world
    }

    /// The shop registered that it may renew tokens and be told of changes.
    pub fn later() -> Self {
        let mut world = Self::new();
        let mut shop = Client::clone(&world.clients[0]);
        shop.certificate.registration.subject_handle = vec![HandleUse::Refresh, HandleUse::Signals];
        world.clients[0] = Arc::new(shop);
        world
    }

    /// A signed request of the back channel with changed claims, and the client's authentication.
    pub fn backchannel_body(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({
            "iss": "shop", "aud": ISSUER, "iat": NOW, "nbf": NOW, "exp": NOW + 300, "jti": "j", "scope": "openid",
            "login_hint": WaitingCode::draw(&self.rng).to_string(), "client_notification_token": "t",
            "binding_message": "Order 0427",
        });
        change(&mut claims);
        self.signed_push(&sign(self.assertions(), Header::new(Alg::ES256), &claims).unwrap())
    }

    /// What is sealed into a refresh token of the shop's.
    pub fn refresh_token(&self, jkt: &str) -> RefreshToken {
        let handle = SubjectHandle { pair: Pair::ALL[0], halves: [Octets([7; HALF]); 2] };
        RefreshToken { renews: self.access_token(jkt), scope: "openid hufu:real".into(), handle, exp: NOW + 1 }
    }

    /// The shop has its tokens bound to its TLS certificate.
    pub fn bound() -> Self {
        let mut world = Self::new();
        let mut shop = Client::clone(&world.clients[0]);
        shop.certificate.registration.tls_client_certificate_bound_access_tokens = true;
        world.clients[0] = Arc::new(shop);
        world
    }

    /// The shop's certificate has these keys.
    pub fn keyed(keys: Vec<Jwk>) -> Self {
        let mut world = Self::new();
        let mut shop = Client::clone(&world.clients[0]);
        shop.certificate.jwks = Jwks { keys };
        world.clients[0] = Arc::new(shop);
        world
    }

    /// The shop may ask for both of the answers it is entitled to.
    pub fn asking_more() -> Self {
        let mut world = Self::new();
        let mut shop = Client::clone(&world.clients[0]);
        shop.certificate.purposes[0].answers.push(Answer::AgeOver18);
        world.clients[0] = Arc::new(shop);
        world
    }

    /// The claims of a request object of the shop's.
    pub fn request_claims(&self) -> Value {
        let pending = self.pending();
        let parameters = Form::parse(&pending.query).unwrap();
        let mut claims = json!({ "iss": "shop", "aud": ISSUER, "nbf": NOW, "exp": NOW + 300 });
        for name in ["client_id", "response_type", "redirect_uri", "scope", "state", "nonce", "code_challenge"] {
            claims[name] = json!(parameters.get(name).unwrap());
        }
        claims["code_challenge_method"] = json!("S256");
        claims
    }

    /// A request object with changed claims. `typ` is compared without case.
    pub fn request_object(&self, key: &SoftKey, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.request_claims();
        change(&mut claims);
        sign(key, Header::new(Alg::ES256).typ("OautH-auThZ-REQ+jWt"), &claims).unwrap()
    }

    /// A push that carries the object and the client's authentication alone.
    pub fn signed_push(&self, object: &str) -> String {
        let body = self.shop.push(&self.pending(), NOW, &self.rng).unwrap().body;
        let own = body.split('&').filter(|pair| pair.starts_with("client_"));
        let request = Pairs::default().with("request", object).encode();
        own.map(str::to_owned).chain([request]).collect::<Vec<_>>().join("&")
    }

    pub fn new() -> Self {
        let rng = SeededRng::new(1);
        let key = |alg| SoftKey::generate(alg, &rng).unwrap();
        let (assertions, dpop) = (key(Alg::ES256), key(Alg::ES256));
        let clients = vec![client("shop", &[&assertions]), client("judge", &[]), till()];
        let shop = RelyingParty {
            client_id: "shop".into(),
            redirect_uri: "https://shop.example/cb".into(),
            issuer: ISSUER.into(),
            auth: ClientAuth::PrivateKeyJwt(assertions),
            dpop: Some(dpop),
            keys: Jwks::default(),
            alg: Alg::EdDSA,
        };
        let provider = Provider {
            issuer: ISSUER.into(),
            root: Root::Sandbox,
            id_token_algs: vec![Alg::EdDSA],
            response_algs: vec![Alg::PS256],
            persona_sessions: false,
            mtls: Some(MTLS.into()),
        };
        let node = key(Alg::EdDSA);
        let results = Jwks { keys: vec![node.public().clone()] };
        Self { provider, shop, rng, node, results, clients }
    }

    pub fn env(&self) -> Environment<'_> {
        Environment {
            provider: &self.provider,
            clients: self,
            sealed: &Glass,
            nonces: self,
            keys: &self.results,
            now: NOW,
        }
    }

    pub fn pending(&self) -> Pending {
        self.shop.begin(&Wish::default(), &self.rng)
    }

    /// The key of client assertions.
    pub fn assertions(&self) -> &SoftKey {
        match &self.shop.auth {
            ClientAuth::PrivateKeyJwt(key) => key,
            _ => panic!("a key"),
        }
    }

    pub fn code(&self, pending: &Pending) -> Code {
        let challenge = Form::parse(&pending.query).unwrap().get("code_challenge").unwrap().to_owned();
        let request = AuthorizationRequest {
            client_id: "shop".into(),
            redirect_uri: self.shop.redirect_uri.clone(),
            code_challenge: challenge,
            dpop_jkt: self.shop.dpop.as_ref().unwrap().public().thumbprint(),
            ..AuthorizationRequest::default()
        };
        Code::of(&request, CodeId(Octets([1; 16])), "e30.e30.AA", NOW)
    }

    pub fn request_uri(&self, exp: Timestamp) -> String {
        let request = AuthorizationRequest {
            client_id: "shop".into(),
            redirect_uri: self.shop.redirect_uri.clone(),
            ..AuthorizationRequest::default()
        };
        format!("{REQUEST_URI_PREFIX}{}", seal(SealedKind::Request, "shop", &OpenRequest { request, exp }))
    }

    pub fn access_token(&self, jkt: &str) -> AccessToken {
        let hufu = VerificationResult {
            v: 1,
            ep: String::new(),
            ctx: Octets::default(),
            strength: hufu_kernel::Strength::Certificate,
            answers: Answers::default(),
            handle: None,
        };
        AccessToken {
            code: CodeId(Octets([1; 16])),
            client_id: "shop".into(),
            jkt: jkt.to_owned(),
            x5t: String::new(),
            exp: NOW + 300,
            sub: "s".into(),
            auth_time: NOW,
            hufu,
            wanted: Wanted::default(),
            offline: false,
        }
    }

    pub fn proof(&self, key: &SoftKey, method: &str, path: &str, access_token: Option<&str>) -> String {
        self.proof_with(key, (method, path), access_token, None)
    }

    pub fn proof_with(
        &self,
        key: &SoftKey,
        (method, path): (&str, &str),
        access_token: Option<&str>,
        nonce: Option<&str>,
    ) -> String {
        let htu = format!("{ISSUER}{path}");
        let request = Expected { method, htu: &htu, now: NOW, max_age: 0, access_token, nonce };
        make_proof(key, &request, &self.rng).unwrap()
    }
}

/// What an endpoint says to a body and headers.
pub fn refused<T, E>(
    decide: impl FnOnce(&Environment<'_>, &Call<'_>) -> Result<T, (OAuthError, E)>,
    world: &World,
    headers: (&[&str], &[&str]),
    body: &str,
) -> Option<OAuthError> {
    refused_with(None, decide, world, headers, body)
}

/// The same to a caller who came with a TLS certificate.
pub fn refused_with<T, E>(
    certificate: Option<&ClientCertificate>,
    decide: impl FnOnce(&Environment<'_>, &Call<'_>) -> Result<T, (OAuthError, E)>,
    world: &World,
    (authorization, dpop): (&[&str], &[&str]),
    body: &str,
) -> Option<OAuthError> {
    let form = match Form::parse(body) {
        Ok(form) => form,
        Err(error) => return Some(error.into()),
    };
    let call = Call { method: "POST", authorization, dpop, certificate, form: &form };
    decide(&world.env(), &call).err().map(|(error, _)| error)
}
