//! A whole service in memory.

use super::keys::{bytes, keeper, office};
pub use super::network::When;
use super::network::{Faults, Reached, faulty};
use super::nodes::{Nodes, Wiring};
use async_trait::async_trait;
use hufu_domain::eligibility::{RegisterEntry, Standing};
use hufu_domain::rules::Rules;
use hufu_kernel::{
    Answer, Bytes, Clock, KeyStore, Lang, ManualClock, NodeIndex, Octets, Pair, Refusal, Rng, Root, SeededRng,
    Strength, Subset, Timestamp, random,
};
use hufu_offices::keeper::SoftwareKeeper;
use hufu_offices::keys::{SoftwareKey, SoftwareKeys};
use hufu_offices::node::{Node, NodeParts};
use hufu_offices::ports;
use hufu_offices::post::Post;
use hufu_offices::registrar::{NOTICE_VERSION, Registrar, RegistrarParts};
use hufu_offices::tagger::Tagger;
use hufu_offices::uniqueness::Uniqueness;
use hufu_offices::{hpke, node, post, registrar, registry, uniqueness};
use hufu_pairwise::{deal_group_key, deal_tag_key};
use hufu_store::{Store, TrustRoot};
use hufu_wallet::{Address, Asked, Details, Reply, SignedIn, SoftwareDevice, State, Transport, Wallet, WalletError};
use hufu_wire::api::platform::{Bilingual, PlatformCertificate, Profile, Purpose, Registration};
use hufu_wire::api::sign_in::Transaction;
use hufu_wire::api::trust::{NodeTrust, OfficeKeys, Trust};
use hufu_wire::documents::{DocumentNumber, DocumentType, Sex};
use hufu_wire::jose::{Alg, Jwk, Jwks, PublicKey, SoftKey};
use jiff::civil::date;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

pub use super::evidence::{Face, Register};

pub const PASSWORD: &str = "27182845";
pub const ISSUER: &str = "http://localhost:1";
pub const WALLET: &str = "http://wallet.localhost:2";

/// Keeps the last code per phone, and every other message.
#[derive(Default)]
pub struct Phones(pub Mutex<BTreeMap<String, String>>, pub Mutex<Vec<(String, String, String)>>);

#[async_trait]
impl ports::Sms for Phones {
    async fn send(&self, to: &str, template: &str, params: &[(&str, &str)], _: Lang) -> Result<(), Refusal> {
        match params {
            [("code", code)] => drop(self.0.lock().unwrap().insert(to.to_owned(), (*code).to_owned())),
            _ => {
                // As a provider takes its time.
                tokio::task::yield_now().await;
                let value = params.first().map_or("", |(_, value)| value);
                self.1.lock().unwrap().push((to.to_owned(), template.to_owned(), value.to_owned()));
            }
        }
        Ok(())
    }
}

use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::*;
use hufu_wire::api::holder::Forget;
use hufu_wire::api::recovery::{BeginRecovery, Notify};

faulty!(FaultyUniqueness, Uniqueness {
    reserve(r: &Signed<Reserve>) -> TagState;
    begin_recovery(r: &Signed<BeginRecovery>) -> Bytes;
    store_wrap(r: &Signed<StoreWrap>) -> Bytes;
    confirm(r: &Signed<Confirm>) -> Signed<Confirmation>;
    confirmation(r: &hufu_kernel::EnrolmentId) -> Option<Signed<Confirmation>>;
    forget(r: &Signed<Forget>) -> ();
});
faulty!(FaultyPost, Post {
    send_code(r: &Signed<SendCode>) -> ();
    store_contact(r: &Signed<StoreContact>) -> ();
    keep_contact(r: &Signed<KeepContact>) -> ();
    notify(r: &Signed<Notify>) -> ();
    forget(r: &Signed<Forget>) -> ();
});
faulty!(FaultyTagger, Tagger { evaluate(r: &Signed<EvaluateTag>) -> hufu_kernel::Partial; });

/// Everything.
pub struct World {
    pub trust: Arc<Trust>,
    pub clock: Arc<ManualClock>,
    pub rng: Arc<dyn Rng>,
    pub nodes: Arc<Nodes>,
    pub node_stores: [Store<hufu_kernel::offices::Node>; 3],
    pub registrar: Arc<Registrar>,
    pub faults: Arc<Faults>,
    pub register: Arc<Register>,
    pub phones: Arc<Phones>,
    pub post: Arc<Post>,
    pub post_store: Store<hufu_kernel::offices::Post>,
    pub uniqueness: Arc<Uniqueness>,
    pub node_keys: [Arc<SoftwareKeeper>; 3],
    registry: Arc<SoftwareKeys>,
    front: Arc<SoftwareKeys>,
    build: Box<dyn Fn() -> Registrar>,
    parts: Box<dyn Fn(NodeIndex, Wiring) -> NodeParts>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self::with_rules(seed, Rules::built_in().unwrap())
    }

    pub fn with_rules(seed: u64, rules: Rules) -> Self {
        let rng: Arc<dyn Rng> = Arc::new(SeededRng::new(seed));
        let clock = Arc::new(ManualClock::new(Timestamp(1_795_000_000)));
        let rules = Arc::new(rules);
        let group = deal_group_key(rng.as_ref()).unwrap();
        let tags = deal_tag_key(rng.as_ref());
        let faults = Arc::new(Faults::default());
        let (registrar_keys, uniqueness_keys, registry) =
            (office(&rng, "office", vec![]), office(&rng, "office", vec![]), office(&rng, "office", vec![]));
        let front = office(&rng, "front-tx", vec![]);
        let post_keys = office(&rng, "office", vec![("contacts".into(), SoftwareKey::Seal(bytes::<32>(rng.as_ref())))]);
        let shared: BTreeMap<(&str, Subset), Zeroizing<Vec<u8>>> = ["k", "kp", "peer"]
            .into_iter()
            .flat_map(|kind| Subset::ALL.map(|subset| ((kind, subset), bytes::<32>(rng.as_ref()))))
            .collect();
        let node_keys = NodeIndex::ALL.map(|index| {
            let (private, public) = hpke::generate(rng.as_ref());
            let es256 =
                aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING)
                    .unwrap();
            let pkcs8 = es256.to_pkcs8v1().unwrap();
            let point: [u8; 65] = aws_lc_rs::signature::KeyPair::public_key(&es256).as_ref().try_into().unwrap();
            let mut jwk = Jwk::bare(PublicKey::p256(point).unwrap());
            jwk.kid = Some(jwk.thumbprint());
            let mut keys = vec![
                ("rows".into(), SoftwareKey::Seal(bytes::<32>(rng.as_ref()))),
                ("index".into(), SoftwareKey::Hmac(bytes::<32>(rng.as_ref()))),
                ("frost-share".into(), SoftwareKey::Share(Zeroizing::new(group.shares[index.slot()].to_vec()))),
                ("hpke".into(), SoftwareKey::Share(private)),
                ("es256".into(), SoftwareKey::Es256(Zeroizing::new(pkcs8.as_ref().to_vec()))),
            ];
            for subset in Subset::of(index) {
                for kind in ["k", "kp", "peer"] {
                    keys.push((
                        format!("{kind}-{}", subset.name()),
                        SoftwareKey::Hmac(shared[&(kind, subset)].clone()),
                    ));
                }
            }
            (keeper(&rng, keys), public, jwk)
        });
        let trust = Arc::new(Trust {
            root: Root::Sandbox,
            root_id: Octets([7; 16]),
            issuer: ISSUER.into(),
            wallet_origin: WALLET.into(),
            rp_id: "wallet.localhost".into(),
            offices: OfficeKeys {
                registrar: registrar_keys.public,
                uniqueness: uniqueness_keys.public,
                registry: registry.public,
                front: front.public,
            },
            nodes: node_keys.each_ref().map(|(keys, sealing, es256)| NodeTrust {
                signing: keys.1,
                sealing: sealing.clone(),
                es256: es256.clone(),
                rs256: None,
            }),
            taggers: tags.commitments.clone(),
            group_key: group.key.verifying_key,
            group_shares: group.key.verifying_shares,
        });
        let root = TrustRoot { root: Root::Sandbox, id: Octets([7; 16]) };
        let dyn_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let uniqueness_store = Store::memory(&uniqueness::schema(root)).unwrap();
        let uniqueness_office = Arc::new(Uniqueness::new(
            Arc::clone(&trust),
            uniqueness_keys.keys as Arc<dyn KeyStore>,
            uniqueness_store,
            Arc::clone(&dyn_clock),
        ));
        let phones = Arc::new(Phones::default());
        let post_store = Store::memory(&post::schema(root)).unwrap();
        let post_office = Arc::new(Post::new(
            Arc::clone(&trust),
            post_keys.keys as Arc<dyn KeyStore>,
            post_store.clone(),
            Arc::clone(&phones) as _,
            Arc::clone(&dyn_clock),
            Arc::clone(&rules),
        ));
        let parts = {
            let keys = node_keys.each_ref().map(|((keys, _), _, _)| Arc::clone(keys));
            let (trust, clock, rng, rules) =
                (Arc::clone(&trust), Arc::clone(&dyn_clock), Arc::clone(&rng), Arc::clone(&rules));
            let (uniqueness, post) = (Arc::clone(&uniqueness_office), Arc::clone(&post_office));
            move |index: NodeIndex, wiring: Wiring| NodeParts {
                index,
                trust: Arc::clone(&trust),
                keys: Arc::clone(&keys[index.slot()]) as _,
                rs256: None,
                store: wiring.store,
                clock: Arc::clone(&clock),
                rng: Arc::clone(&rng),
                rules: Arc::clone(&rules),
                uniqueness: Arc::clone(&uniqueness) as _,
                post: Arc::clone(&post) as _,
                peers: wiring.peers,
            }
        };
        let nodes = Nodes::start(root, &faults, &parts);
        let node_stores = nodes.stores.clone();
        let taggers = NodeIndex::ALL.map(|index| {
            let share = SoftwareKey::Share(Zeroizing::new(tags.shares[index.slot()].expose().to_vec()));
            let keys = SoftwareKeys::load([("tag-share".to_owned(), share)], Arc::clone(&rng)).unwrap();
            Arc::new(Tagger::new(Arc::clone(&trust), &keys, Arc::clone(&dyn_clock), Arc::clone(&rng), 1000).unwrap())
        });
        let register = Arc::new(Register::default());
        let registrar_store = Store::memory(&registrar::schema(root)).unwrap();
        let kept = (Arc::clone(&post_office), Arc::clone(&uniqueness_office));
        let build = {
            let (trust, rng, rules, register, faults) =
                (Arc::clone(&trust), Arc::clone(&rng), Arc::clone(&rules), Arc::clone(&register), Arc::clone(&faults));
            let nodes = Arc::clone(&nodes);
            move || {
                Registrar::new(RegistrarParts {
                    trust: Arc::clone(&trust),
                    keys: Arc::clone(&registrar_keys.keys) as _,
                    store: registrar_store.clone(),
                    clock: Arc::clone(&dyn_clock),
                    rng: Arc::clone(&rng),
                    rules: Arc::clone(&rules),
                    identity: Arc::clone(&register) as _,
                    face: Arc::new(Face),
                    taggers: taggers
                        .each_ref()
                        .map(|t| Arc::new(FaultyTagger(Arc::clone(t), Arc::clone(&faults))) as _),
                    uniqueness: Arc::new(FaultyUniqueness(Arc::clone(&uniqueness_office), Arc::clone(&faults))),
                    post: Arc::new(FaultyPost(Arc::clone(&post_office), Arc::clone(&faults))),
                    nodes: NodeIndex::ALL.map(|n| Arc::new(Reached(n, Arc::clone(&nodes), Arc::clone(&faults))) as _),
                })
            }
        };
        Self {
            registrar: Arc::new(build()),
            build: Box::new(build),
            parts: Box::new(parts),
            trust,
            clock,
            rng,
            nodes,
            node_stores,
            faults,
            register,
            phones,
            post: Arc::clone(&kept.0),
            post_store,
            uniqueness: kept.1,
            node_keys: node_keys.map(|((keys, _), _, _)| keys),
            registry: registry.keys,
            front: front.keys,
        }
    }

    /// The registrar after a crash: nothing in memory is left.
    pub fn restart_registrar(&mut self) {
        self.registrar = Arc::new((self.build)());
    }

    /// A node's process ends and another begins.
    pub fn restart_node(&self, index: NodeIndex) {
        let wiring = self.nodes.wiring(index, &self.faults);
        self.nodes.replace(index, Node::new((self.parts)(index, wiring)).unwrap());
    }

    /// The same, begun in another way.
    pub fn restart_node_as(&self, index: NodeIndex, begin: impl FnOnce(NodeParts) -> Node) {
        let wiring = self.nodes.wiring(index, &self.faults);
        self.nodes.replace(index, begin((self.parts)(index, wiring)));
    }

    /// A person the register knows.
    pub fn person(&self, sequence: u16) -> Details {
        self.person_of(sequence, date(1990, 5, 17), Standing::Valid)
    }

    pub fn person_of(&self, sequence: u16, birth: jiff::civil::Date, standing: Standing) -> Details {
        let number = DocumentNumber::sandbox(DocumentType::ResidentIdentityCard, birth, Sex::Female, sequence);
        let name = format!("测试{sequence}");
        self.register
            .0
            .lock()
            .unwrap()
            .insert(number.expose().to_owned(), (name.clone(), RegisterEntry { birth, standing }));
        Details {
            document_type: DocumentType::ResidentIdentityCard,
            document_number: number.expose().to_owned(),
            name,
            notice_version: NOTICE_VERSION.into(),
            birth_dates: vec![(1990, 5, 17)],
        }
    }

    pub fn wallet(&self) -> TestWallet {
        let device = SoftwareDevice::generate(&self.trust.rp_id, WALLET, self.rng.as_ref()).unwrap();
        Wallet::new(
            Arc::clone(&self.trust),
            self.network(),
            device,
            State::default(),
            Arc::clone(&self.clock) as _,
            Arc::clone(&self.rng),
        )
        .unwrap()
    }

    /// A wallet, and a second handle on its device: what malware on the device could sign.
    pub fn wallet_and_device(&self) -> (TestWallet, SoftwareDevice) {
        let device = SoftwareDevice::generate(&self.trust.rp_id, WALLET, self.rng.as_ref()).unwrap();
        let (passkey, holder) = device.save();
        let twin = SoftwareDevice::load(&passkey, &holder, &self.trust.rp_id, WALLET).unwrap();
        let wallet = Wallet::new(
            Arc::clone(&self.trust),
            self.network(),
            device,
            State::default(),
            Arc::clone(&self.clock) as _,
            Arc::clone(&self.rng),
        );
        (wallet.unwrap(), twin)
    }

    pub fn network(&self) -> Network {
        Network {
            nodes: Arc::clone(&self.nodes),
            registrar: Arc::clone(&self.registrar),
            faults: Arc::clone(&self.faults),
            tamper: Mutex::default(),
            watch: Mutex::default(),
            cut: Mutex::default(),
        }
    }

    /// The steps up to the proven phone.
    pub async fn prove(&self, wallet: &mut TestWallet, details: &Details, phone: &str) -> Result<(), WalletError> {
        wallet.start(details).await?;
        wallet.face(b"pass").await?;
        wallet.phone(phone, Lang::En).await?;
        let canonical = hufu_wire::phone::Phone::parse(phone).unwrap();
        let code = self.phones.0.lock().unwrap().get(canonical.as_str()).cloned().unwrap_or_default();
        wallet.code(&code).await?;
        Ok(())
    }

    pub async fn enrol(&self, wallet: &mut TestWallet, details: &Details) -> Result<(), WalletError> {
        self.prove(wallet, details, "19990000001").await?;
        let view = wallet.register_device().await?.view;
        let pair =
            Pair::ALL.into_iter().find(|pair| pair.members().iter().all(|node| view.nodes.contains(node))).unwrap();
        let ready = wallet.secure(&view, PASSWORD, details, pair).await?;
        wallet.confirm(ready).await?;
        Ok(())
    }

    pub async fn enrolled(&self, sequence: u16) -> TestWallet {
        let mut wallet = self.wallet();
        self.enrol(&mut wallet, &self.person(sequence)).await.unwrap();
        wallet
    }

    /// A platform's certificate and a transaction with it, as the front would give it.
    pub fn ask(&self, sector: &str, answers: &[Answer], strength: Strength) -> Asked {
        let key = SoftKey::generate(Alg::ES256, self.rng.as_ref()).unwrap();
        let certificate = PlatformCertificate {
            root: Root::Sandbox,
            client_id: sector.trim_start_matches("https://").to_owned(),
            sector_id: sector.to_owned(),
            name: Bilingual { zh: "平台".into(), en: "Platform".into() },
            profile: Profile::Fapi2,
            redirect_uris: vec![format!("{sector}/callback")],
            entitled: vec![Answer::Real, Answer::Unique, Answer::AgeOver18],
            purposes: vec![Purpose {
                id: "account".into(),
                text: Bilingual { zh: "开户".into(), en: "An account".into() },
                answers: vec![Answer::Real, Answer::Unique, Answer::AgeOver18],
            }],
            id_token_signed_response_alg: Alg::EdDSA,
            jwks: Jwks { keys: vec![key.public().clone()] },
            client_secret_sha256: None,
            registration: Registration::default(),
            iat: self.clock.now(),
            exp: self.clock.now() + 86_400 * 365,
        };
        self.ask_with(certificate, answers, strength)
    }

    pub fn ask_with(&self, certificate: PlatformCertificate, answers: &[Answer], strength: Strength) -> Asked {
        let jws = registry::admit(self.registry.as_ref(), &certificate).unwrap();
        let transaction = Transaction {
            tx: Octets(random(self.rng.as_ref())),
            iss: ISSUER.into(),
            certificate: jws,
            client_id: certificate.client_id.clone(),
            redirect_uri: certificate.redirect_uris[0].clone(),
            nonce: "n-1".into(),
            code_challenge: "c".into(),
            dpop_jkt: "j".into(),
            answers: answers.to_vec(),
            purpose: "account".into(),
            strength,
            exp: self.clock.now() + 600,
            elsewhere: false,
            binding_message: None,
        };
        Asked { transaction, certificate, proved: None }
    }

    /// Something the front signs, to show that its key makes no results.
    pub fn front_signs(&self, message: &[u8]) -> Octets<64> {
        self.front.sign_ed25519("front-tx", message).unwrap()
    }

    pub async fn sign_in(&self, wallet: &mut TestWallet, sector: &str, pair: Pair) -> Result<SignedIn, WalletError> {
        let asked = self.ask(sector, &[Answer::Real], Strength::Certificate);
        wallet.sign_in_with(&asked, &[Answer::Real], None, pair).await
    }

    /// How many contacts post has.
    pub async fn contacts(&self) -> usize {
        let (all, paging) = (hufu_store::Select::all(), hufu_store::Paging::first(1000));
        self.post_store.scan::<post::Contact>("loc", all, paging).await.unwrap().rows.len()
    }

    /// What every office does every few seconds.
    pub async fn sweep(&self) {
        self.registrar.sweep().await.unwrap();
        self.uniqueness.sweep().await.unwrap();
        self.post_store.sweep(self.clock.now(), 1000).await.unwrap();
        for node in self.nodes.each() {
            node.sweep_pending().await.unwrap();
            node.upkeep().await.unwrap();
        }
        for store in &self.node_stores {
            store.sweep(self.clock.now(), 1000).await.unwrap();
        }
    }

    /// A lock as the wallet's device signs it, for one node alone.
    pub async fn lock_statement(&self, wallet: &TestWallet) -> hufu_wire::api::holder::SubmitStatement {
        let seen = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&seen);
        wallet.transport().on_request(move |path, body| {
            if path == "/v1/statements" {
                *kept.lock().unwrap() = Some(read(body));
            }
        });
        // Nobody is told: two nodes are down, so that the wallet gives up after it has signed.
        let down = std::mem::take(&mut *self.faults.down.lock().unwrap());
        wallet.transport().cut("/v1/statements");
        let _ = wallet.lock().await;
        wallet.transport().mend();
        *self.faults.down.lock().unwrap() = down;
        seen.lock().unwrap().take().unwrap()
    }

    /// The row that a node has for a credential.
    pub async fn row_of(&self, index: NodeIndex, credential: &Octets<32>) -> hufu_store::Versioned<node::Row> {
        self.node_stores[index.slot()].find::<node::Row>("credential", credential.as_slice()).await.unwrap().unwrap()
    }

    /// How many rows a node has, and how many of them are active.
    pub async fn rows(&self, index: NodeIndex) -> (usize, usize) {
        let rows = self.node_stores[index.slot()]
            .scan::<node::Row>("root", hufu_store::Select::all(), hufu_store::Paging::first(1000))
            .await
            .unwrap()
            .rows;
        let active = rows.iter().filter(|row| row.record.holder.status == hufu_domain::holder::Status::Active).count();
        (rows.len(), active)
    }
}

pub type TestWallet = Wallet<Network, SoftwareDevice>;

type Tamper = Box<dyn Fn(Address, &str, &mut serde_json::Value) + Send>;
type Watch = Box<dyn Fn(&str, &[u8]) + Send>;

/// The offices by name; answers can be tampered with on the way.
pub struct Network {
    nodes: Arc<Nodes>,
    registrar: Arc<Registrar>,
    faults: Arc<Faults>,
    pub tamper: Mutex<Option<Tamper>>,
    pub watch: Mutex<Option<Watch>>,
    cut: Mutex<Option<&'static str>>,
}

fn reply<R: Serialize>(answer: Result<R, Refusal>) -> Result<Reply, String> {
    Ok(match answer {
        Ok(answer) => Reply { status: 200, body: serde_json::to_vec(&answer).unwrap() },
        Err(refusal) => Reply {
            status: refusal.text().status,
            body: serde_json::to_vec(&serde_json::json!({ "error": refusal.code() })).unwrap(),
        },
    })
}

fn read<M: DeserializeOwned>(body: &[u8]) -> M {
    serde_json::from_slice(body).unwrap()
}

impl Network {
    pub fn set_tamper(&self, tamper: impl Fn(Address, &str, &mut serde_json::Value) + Send + 'static) {
        *self.tamper.lock().unwrap() = Some(Box::new(tamper));
    }

    pub fn on_request(&self, watch: impl Fn(&str, &[u8]) + Send + 'static) {
        *self.watch.lock().unwrap() = Some(Box::new(watch));
    }

    /// Nothing under this path arrives any more.
    pub fn cut(&self, path: &'static str) {
        *self.cut.lock().unwrap() = Some(path);
    }

    pub fn mend(&self) {
        *self.cut.lock().unwrap() = None;
    }

    async fn node(&self, node: &Node, path: &str, body: &[u8]) -> Result<Reply, String> {
        match path {
            "/v1/enrolments/device" => reply(node.enrol_device(&read(body)).await),
            "/v1/enrolments/password" => reply(node.enrol_password(&read(body)).await),
            "/v1/sign-in/password" => reply(node.evaluate_password(&read(body)).await),
            "/v1/sign-in/begin" => reply(node.begin_sign_in(&read(body)).await),
            "/v1/sign-in/finish" => reply(node.finish_sign_in(&read(body)).await),
            "/v1/statements" => reply(node.submit(&read(body)).await),
            "/v1/reports" => reply(node.submit_reports(&read(body)).await),
            "/v1/signing/finish" => reply(node.finish_signing(&read(body)).await),
            "/v1/pass/begin" => reply(node.begin_pass(&read(body)).await),
            "/v1/holder" => reply(node.open_holder(&read(body)).await),
            "/v1/row" => reply(node.read_row(&read(body)).await),
            "/v1/requests" => reply(node.read_requests(&read(body)).await),
            _ => Err(format!("no route {path}")),
        }
    }

    async fn office(&self, path: &str, body: &[u8]) -> Result<Reply, String> {
        match path {
            "/v1/enrol/start" => reply(self.registrar.start(&read(body)).await),
            "/v1/enrol/face" => reply(self.registrar.face(&read(body)).await),
            "/v1/enrol/phone" => reply(self.registrar.phone(&read(body)).await),
            "/v1/enrol/code" => reply(self.registrar.check_code(&read(body)).await),
            "/v1/enrol/device" => reply(self.registrar.device(&read(body)).await),
            "/v1/enrol/confirm" => reply(self.registrar.confirm(&read(body)).await),
            "/v1/enrol/recover" => reply(self.registrar.recover(&read(body)).await),
            _ => Err(format!("no route {path}")),
        }
    }
}

impl Transport for Network {
    async fn post(&self, to: Address, path: &str, body: Vec<u8>) -> Result<Reply, String> {
        if let Some(watch) = self.watch.lock().unwrap().as_ref() {
            watch(path, &body);
        }
        if *self.cut.lock().unwrap() == Some(path) {
            return Err("cut".into());
        }
        let mut reply = match to {
            Address::Node(index) if self.faults.down.lock().unwrap().contains(&index) => return Err("down".into()),
            Address::Node(index) => self.node(&self.nodes.at(index), path, &body).await?,
            Address::Registrar => self.office(path, &body).await?,
            Address::Front => return Err("no front here".into()),
        };
        if let Some(tamper) = self.tamper.lock().unwrap().as_ref() {
            let mut value: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            tamper(to, path, &mut value);
            reply.body = serde_json::to_vec(&value).unwrap();
        }
        Ok(reply)
    }

    async fn get(&self, _: Address, path: &str) -> Result<Reply, String> {
        Err(format!("no route {path}"))
    }
}
