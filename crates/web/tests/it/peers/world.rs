//! Offices with keys, a port that answers them, and certificates that no honest office would make.

use async_trait::async_trait;
use axum::Router;
use hufu_kernel::{Bytes, Clock, EnrolmentId, KeyStore, ManualClock, Octets, OsRng, Partial, Refusal, Root, Timestamp};
use hufu_offices::keys::{SoftwareKey, SoftwareKeys};
use hufu_offices::ports::{Node, Post, Registry, SubjectHandles, Tagger, Uniqueness};
use hufu_web::metrics::Metrics;
use hufu_web::peers::{self, Leaf, Peer, PeerConfig, Peers};
use hufu_web::reply::Edge;
use hufu_web::serve::{Inherited, Sharing, Stopper, finished, listen_at, serve};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{
    Activate, Confirm, Confirmation, EvaluateTag, HolderReply, KeepContact, Reserve, SealedHolder, SendCode,
    StoreContact, StoreWrap, TagState,
};
use hufu_wire::api::handles::{AskPerson, AskStandings, Standings};
use hufu_wire::api::holder::Forget;
use hufu_wire::api::platform::{AdmittedPage, ListAdmitted};
use hufu_wire::api::recovery::{BeginRecovery, FindRow, Notify, RowFound, SealedRecovery};
use hufu_wire::api::roster::{Identity, OFFICES, Roster};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, PKCS_ED25519, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

pub const NOW: Timestamp = Timestamp(1_790_000_000);
pub const DAY: i64 = 86_400;

/// Patience of tests.
pub fn hasty() -> PeerConfig {
    PeerConfig {
        connect_within: Duration::from_millis(500),
        answer_within: Duration::from_millis(800),
        ..PeerConfig::default()
    }
}

/// One office's keys; the P-256 key also as a library takes it, for certificates that are made by hand.
#[derive(Clone)]
pub struct Office {
    pub keys: Arc<dyn KeyStore>,
    pub tls_pkcs8: Vec<u8>,
}

impl Office {
    pub fn new() -> Self {
        let tls_pkcs8 = KeyPair::generate().unwrap().serialize_der();
        let seed = hufu_kernel::random::<32>(&OsRng).to_vec();
        let keys = [
            ("office".to_owned(), SoftwareKey::Ed25519(Zeroizing::new(seed))),
            ("tls".to_owned(), SoftwareKey::Es256(Zeroizing::new(tls_pkcs8.clone()))),
        ];
        Self { keys: Arc::new(SoftwareKeys::load(keys, Arc::new(OsRng)).unwrap()), tls_pkcs8 }
    }

    pub fn public(&self) -> Octets<32> {
        Octets::try_from(self.keys.public("office").unwrap().0.as_slice()).unwrap()
    }
}

/// All offices of one trust root.
pub struct World {
    pub root_id: Octets<16>,
    pub clock: Arc<ManualClock>,
    pub offices: BTreeMap<&'static str, Office>,
    pub roster: Roster,
}

impl World {
    pub fn new() -> Self {
        Self::with_root(Octets([0xab; 16]))
    }

    pub fn with_root(root_id: Octets<16>) -> Self {
        Self::of(root_id, OFFICES.into_iter().map(|name| (name, Office::new())).collect())
    }

    /// The same offices under another trust root.
    pub fn under(&self, root_id: Octets<16>) -> Self {
        Self::of(root_id, self.offices.clone())
    }

    fn of(root_id: Octets<16>, offices: BTreeMap<&'static str, Office>) -> Self {
        let identities = offices
            .iter()
            .map(|(name, office)| Identity {
                office: (*name).to_owned(),
                key: office.public(),
                sealing: None,
                wrapping_sha256: None,
            })
            .collect();
        let roster = Roster::new(Root::Production, root_id, identities).unwrap();
        Self { root_id, clock: Arc::new(ManualClock::new(NOW)), offices, roster }
    }

    /// This world as an attacker sees it who would like `claimed` to have the keys of `office`.
    pub fn claiming(&self, claimed: &str, office: &str) -> Roster {
        let key = self.offices[office].public();
        let mut identities: Vec<Identity> = self.roster.identities().to_vec();
        identities.retain(|identity| identity.office != office);
        for identity in identities.iter_mut().filter(|identity| identity.office == claimed) {
            identity.key = key;
        }
        Roster::new(Root::Production, self.root_id, identities).unwrap()
    }

    pub fn leaf(&self, office: &str) -> Arc<Leaf> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Leaf::new(Arc::clone(&self.offices[office].keys), office, self.root_id, clock).unwrap()
    }

    /// `office` with `peer` at 127.0.0.1:`port`.
    pub fn peers(&self, office: &str, peer: &str, port: u16, config: PeerConfig) -> (Peers, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        let addresses = BTreeMap::from([(peer.to_owned(), format!("127.0.0.1:{port}"))]);
        let peers =
            Peers::new(self.leaf(office), self.roster.clone(), &addresses, config, Some(Arc::clone(&metrics))).unwrap();
        (peers, metrics)
    }

    pub fn peer(&self, office: &str, peer: &str, port: u16) -> Arc<Peer> {
        self.peers(office, peer, port, hasty()).0.to(peer).unwrap()
    }

    /// Serves `routes` as `office` on a port of this machine.
    pub async fn serve(&self, office: &'static str, routes: Router) -> Served {
        let peers = Peers::new(self.leaf(office), self.roster.clone(), &BTreeMap::new(), hasty(), None).unwrap();
        serve_with(&peers, routes).await
    }

    /// The same with at most so many connections at once.
    pub async fn serve_limited(&self, office: &'static str, routes: Router, connections: usize) -> Served {
        let peers = Peers::new(self.leaf(office), self.roster.clone(), &BTreeMap::new(), hasty(), None).unwrap();
        serve_at_most(&peers, routes, Some(connections)).await
    }
}

/// A port that is served until this is dropped.
pub struct Served {
    pub port: u16,
    _stopper: Stopper,
}

pub async fn serve_with(peers: &Peers, routes: Router) -> Served {
    serve_at_most(peers, routes, None).await
}

async fn serve_at_most(peers: &Peers, routes: Router, connections: Option<usize>) -> Served {
    let listening = listen_at("test", "127.0.0.1:0", &mut Inherited::none(), Sharing::Alone).await.unwrap();
    let listening = match connections {
        Some(connections) => listening.with_limit(connections),
        None => listening,
    };
    let (stopper, stop) = Stopper::new();
    let port = listening.port;
    tokio::spawn(serve(listening.behind(peers.doors().unwrap()), routes, stop));
    Served { port, _stopper: stopper }
}

pub fn edge() -> Edge {
    Edge::new("uniqueness", "https://wallet.example", Arc::new(OsRng))
}

/// An office that refuses everything that reaches it.
#[derive(Clone, Copy)]
pub struct Refuses(pub Refusal);

/// All ports of an office that refuses everything.
pub fn every_port(refusal: Refusal) -> Router {
    let (edge, office) = (edge(), Refuses(refusal));
    let routes = peers::router(&edge, &(Arc::new(office) as Arc<dyn Tagger>), peers::tagger())
        .merge(peers::router(&edge, &(Arc::new(office) as Arc<dyn Uniqueness>), peers::uniqueness()))
        .merge(peers::router(&edge, &(Arc::new(office) as Arc<dyn Node>), peers::node()))
        .merge(peers::router(&edge, &(Arc::new(office) as Arc<dyn Post>), peers::post()))
        .merge(peers::router(&edge, &(Arc::new(office) as Arc<dyn Registry>), peers::registry()))
        .merge(peers::router(&edge, &(Arc::new(office) as Arc<dyn SubjectHandles>), peers::subject_handles()));
    finished(&edge, routes)
}

#[async_trait]
impl SubjectHandles for Refuses {
    async fn standings(&self, _: &AskStandings) -> Result<Standings, Refusal> {
        Err(self.0)
    }
    async fn ask_person(&self, _: &AskPerson) -> Result<bool, Refusal> {
        Err(self.0)
    }
}

#[async_trait]
impl Tagger for Refuses {
    async fn evaluate(&self, _: &Signed<EvaluateTag>) -> Result<Partial, Refusal> {
        Err(self.0)
    }
}

#[async_trait]
impl Uniqueness for Refuses {
    async fn reserve(&self, _: &Signed<Reserve>) -> Result<TagState, Refusal> {
        Err(self.0)
    }
    async fn begin_recovery(&self, _: &Signed<BeginRecovery>) -> Result<Bytes, Refusal> {
        Err(self.0)
    }
    async fn store_wrap(&self, _: &Signed<StoreWrap>) -> Result<Bytes, Refusal> {
        Err(self.0)
    }
    async fn confirm(&self, _: &Signed<Confirm>) -> Result<Signed<Confirmation>, Refusal> {
        Err(self.0)
    }
    async fn confirmation(&self, _: &EnrolmentId) -> Result<Option<Signed<Confirmation>>, Refusal> {
        Err(self.0)
    }
    async fn forget(&self, _: &Signed<Forget>) -> Result<(), Refusal> {
        Err(self.0)
    }
}

#[async_trait]
impl Node for Refuses {
    async fn new_holder(&self, _: &Signed<SealedHolder>) -> Result<HolderReply, Refusal> {
        Err(self.0)
    }
    async fn activate(&self, _: &Activate) -> Result<(), Refusal> {
        Err(self.0)
    }
    async fn find_row(&self, _: &Signed<FindRow>) -> Result<RowFound, Refusal> {
        Err(self.0)
    }
    async fn recover(&self, _: &Signed<SealedRecovery>) -> Result<(), Refusal> {
        Err(self.0)
    }
}

#[async_trait]
impl Post for Refuses {
    async fn send_code(&self, _: &Signed<SendCode>) -> Result<(), Refusal> {
        Err(self.0)
    }
    async fn store_contact(&self, _: &Signed<StoreContact>) -> Result<(), Refusal> {
        Err(self.0)
    }
    async fn keep_contact(&self, _: &Signed<KeepContact>) -> Result<(), Refusal> {
        Err(self.0)
    }
    async fn notify(&self, _: &Signed<Notify>) -> Result<(), Refusal> {
        Err(self.0)
    }
    async fn forget(&self, _: &Signed<Forget>) -> Result<(), Refusal> {
        Err(self.0)
    }
}

#[async_trait]
impl Registry for Refuses {
    async fn admitted(&self, _: &ListAdmitted) -> Result<AdmittedPage, Refusal> {
        Err(self.0)
    }
}

/// A certificate made by hand: its names, who vouches for it under which issuer name, and when.
pub struct Crafted<'a> {
    pub names: Vec<String>,
    pub issuer: String,
    pub vouching: &'a Office,
    pub tls: &'a Office,
    pub days: (i64, i64),
    pub usages: Vec<rcgen::ExtendedKeyUsagePurpose>,
}

struct Vouching<'a>(&'a Office, Octets<32>);

impl PublicKeyData for Vouching<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.1.as_slice()
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl rcgen::SigningKey for Vouching<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.0.keys.sign_ed25519("office", message).unwrap().0.to_vec())
    }
}

impl Crafted<'_> {
    pub fn make(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let day = |days: i64| {
            let date = Timestamp(NOW.0 + days * DAY).date();
            rcgen::date_time_ymd(date.year().into(), date.month().try_into().unwrap(), date.day().try_into().unwrap())
        };
        let mut params = CertificateParams::new(self.names.clone()).unwrap();
        (params.not_before, params.not_after) = (day(self.days.0), day(self.days.1));
        params.extended_key_usages = self.usages.clone();
        let mut issuer = CertificateParams::default();
        issuer.distinguished_name = rcgen::DistinguishedName::new();
        issuer.distinguished_name.push(DnType::CommonName, self.issuer.clone());
        let issuer = Issuer::new(issuer, Vouching(self.vouching, self.vouching.public()));
        let key = KeyPair::try_from(self.tls.tls_pkcs8.as_slice()).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        (vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(self.tls.tls_pkcs8.clone().into()))
    }
}
