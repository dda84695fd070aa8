//! The offices of one sandbox, each over its own folder, wired in one process through the same ports that carry HTTP elsewhere.

use crate::counted_keys::CountedKeys;
use crate::failure::Failure;
use crate::root::{NODES, SandboxRoot, TAGGERS};
use crate::rows::Rows;
use hufu_domain::rules::Rules;
use hufu_kernel::{Clock, Key, KeyStore, NodeIndex, Office, Record, Refusal, Rng, offices};
use hufu_offices::front::{self, Front};
use hufu_offices::node::{self, Node, NodeParts, Row};
use hufu_offices::ports::{self, FaceDecision, IdentitySource, Sms};
use hufu_offices::post::{self, Contact, Post};
use hufu_offices::registrar::{self, Enrolment, Registrar, RegistrarParts};
use hufu_offices::tagger::{HOURLY_QUOTA, Tagger};
use hufu_offices::uniqueness::{self, Tag, Uniqueness};
use hufu_store::{Counts, MemoryOnce, Store};
use hufu_web::health::Probe;
use hufu_web::metrics::Metrics;
use hufu_web::serve::Stop;
use hufu_wire::api::trust::Trust;
use std::sync::Arc;
use std::time::Duration;

/// Sign-ins the front keeps open at once.
const TRANSACTIONS: usize = 20_000;
/// Single-use values the front remembers.
const ONCE: usize = 500_000;
/// How often lapsed things are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How many sweeps lie between two comparisons of all rows.
const COMPARE_EVERY: u64 = 120;
/// How often one office is swept in a row while there is more.
const SWEEPS: u32 = 50;

/// Rows a sweep deletes at a time.
const SWEEP_AT_ONCE: u32 = 1000;

/// What the offices of one process share: time, randomness, rules, and the world outside.
pub struct Surroundings {
    /// The public half with this run's addresses.
    pub trust: Arc<Trust>,
    /// One clock for all.
    pub clock: Arc<dyn Clock>,
    /// The system's generator.
    pub rng: Arc<dyn Rng>,
    /// The rules.
    pub rules: Arc<Rules>,
    /// The civil register.
    pub identity: Arc<dyn IdentitySource>,
    /// The face step.
    pub face: Arc<dyn FaceDecision>,
    /// Short messages.
    pub sms: Arc<dyn Sms>,
    /// Counters, where they are wanted.
    pub metrics: Option<Arc<Metrics>>,
    /// Origins of persona agents, which may post to the front as the wallet does.
    pub agents: Vec<String>,
}

/// All offices, running.
pub struct Offices {
    /// The nodes, 1 to 3.
    pub nodes: [Arc<Node>; 3],
    /// The registrar.
    pub registrar: Arc<Registrar>,
    /// The front.
    pub front: Arc<Front>,
    /// The registry's key store: it signs platform certificates.
    pub registry: Arc<dyn KeyStore>,
    uniqueness: Arc<Uniqueness>,
    stores: Stores,
}

/// Each office's own store.
struct Stores {
    nodes: [Store<offices::Node>; 3],
    registrar: Store<offices::Registrar>,
    uniqueness: Store<offices::Uniqueness>,
    post: Store<offices::Post>,
}

impl Stores {
    async fn open(root: &SandboxRoot, rows: &Rows) -> Result<Self, Failure> {
        let trust = root.office("front").trust_root();
        let node = async |index: NodeIndex| rows.store(root, NODES[index.slot()], &node::schema(trust, index)).await;
        let [one, two, three] = NodeIndex::ALL;
        Ok(Self {
            nodes: [node(one).await?, node(two).await?, node(three).await?],
            registrar: rows.store(root, "registrar", &registrar::schema(trust)).await?,
            uniqueness: rows.store(root, "uniqueness", &uniqueness::schema(trust)).await?,
            post: rows.store(root, "post", &post::schema(trust)).await?,
        })
    }
}

/// Opens and closes the store file of one office, to see whether it is that office's. Blocks.
///
/// # Errors
/// [`Failure::Store`].
pub fn check_store(root: &SandboxRoot, name: &'static str) -> Result<(), Failure> {
    let folder = root.office(name);
    let trust = folder.trust_root();
    match NodeIndex::ALL.into_iter().find(|index| NODES[index.slot()] == name) {
        Some(index) => folder.store(&node::schema(trust, index)).map(drop),
        None if name == "registrar" => folder.store(&registrar::schema(trust)).map(drop),
        None if name == "uniqueness" => folder.store(&uniqueness::schema(trust)).map(drop),
        None if name == "post" => folder.store(&post::schema(trust)).map(drop),
        None => Err(Failure::other(format!("{name} has no store"))),
    }
}

/// Opens every office's keys and store and starts the offices. Blocks while stores in files open.
///
/// # Errors
/// [`Failure`] naming the office.
pub async fn start(root: &SandboxRoot, rows: &Rows, around: &Surroundings) -> Result<Offices, Failure> {
    let stores = Stores::open(root, rows).await?;
    let keys = |office: &'static str| {
        let keys = root.office(office).keys(&around.rng)?;
        Ok::<_, Failure>(counted(keys, office, around.metrics.as_ref()))
    };
    let clock = || Arc::clone(&around.clock);
    let trust = || Arc::clone(&around.trust);
    let uniqueness = Arc::new(Uniqueness::new(trust(), keys("uniqueness")?, stores.uniqueness.clone(), clock()));
    let post = Post::new(
        trust(),
        keys("post")?,
        stores.post.clone(),
        Arc::clone(&around.sms),
        clock(),
        Arc::clone(&around.rules),
    );
    let post: Arc<dyn ports::Post> = Arc::new(post);
    let beside = NodeIndex::ALL.map(|_| Arc::new(node::Beside::default()));
    let node = |index: NodeIndex| {
        let folder = root.office(NODES[index.slot()]);
        let keys = keys(NODES[index.slot()])?;
        let rs256 = Some(folder.rs256(keys.as_ref())?);
        let parts = NodeParts {
            index,
            trust: trust(),
            keys,
            rs256,
            store: stores.nodes[index.slot()].clone(),
            clock: clock(),
            rng: Arc::clone(&around.rng),
            rules: Arc::clone(&around.rules),
            uniqueness: Arc::clone(&uniqueness) as Arc<dyn ports::Uniqueness>,
            post: Arc::clone(&post),
            peers: peers_of(index, &beside),
        };
        Node::new(parts).map(Arc::new).map_err(|refusal| started(NODES[index.slot()], refusal))
    };
    let tagger = |index: NodeIndex| -> Result<Arc<dyn ports::Tagger>, Failure> {
        let name = TAGGERS[index.slot()];
        let own = keys(name)?;
        let tagger = Tagger::new(trust(), own.as_ref(), clock(), Arc::clone(&around.rng), HOURLY_QUOTA);
        Ok(Arc::new(tagger.map_err(|refusal| started(name, refusal))?))
    };
    let [one, two, three] = NodeIndex::ALL;
    let nodes = [node(one)?, node(two)?, node(three)?];
    for (beside, node) in beside.iter().zip(&nodes) {
        beside.is(node);
    }
    let registrar = Registrar::new(RegistrarParts {
        trust: trust(),
        keys: keys("registrar")?,
        store: stores.registrar.clone(),
        clock: clock(),
        rng: Arc::clone(&around.rng),
        rules: Arc::clone(&around.rules),
        identity: Arc::clone(&around.identity),
        face: Arc::clone(&around.face),
        taggers: [tagger(one)?, tagger(two)?, tagger(three)?],
        uniqueness: Arc::clone(&uniqueness) as Arc<dyn ports::Uniqueness>,
        post,
        nodes: nodes.clone().map(|node| node as Arc<dyn ports::Node>),
    });
    let front = Arc::new(start_front(around, keys("front")?)?);
    Ok(Offices { nodes, registrar: Arc::new(registrar), front, registry: keys("registry")?, uniqueness, stores })
}

/// The other two, in order.
fn peers_of(index: NodeIndex, beside: &[Arc<node::Beside>; 3]) -> [Arc<dyn ports::NodePeer>; 2] {
    let [a, b] = match index.slot() {
        0 => [1, 2],
        1 => [0, 2],
        _ => [0, 1],
    };
    [Arc::clone(&beside[a]) as _, Arc::clone(&beside[b]) as _]
}

fn counted(keys: Arc<dyn KeyStore>, office: &'static str, metrics: Option<&Arc<Metrics>>) -> Arc<dyn KeyStore> {
    match metrics {
        None => keys,
        Some(metrics) => Arc::new(CountedKeys { keys, office, metrics: Arc::clone(metrics) }),
    }
}

fn started(office: &str, refusal: Refusal) -> Failure {
    Failure::other(format!("{office} does not start: {}", refusal.text().developer))
}

fn start_front(around: &Surroundings, keys: Arc<dyn KeyStore>) -> Result<Front, Failure> {
    let config =
        front::Config { trust: Trust::clone(&around.trust), transactions: TRANSACTIONS, agents: around.agents.clone() };
    let ports = front::Ports {
        keys,
        once: Arc::new(MemoryOnce::new(ONCE)),
        clock: Arc::clone(&around.clock),
        rng: Arc::clone(&around.rng),
        sealer: front::Sealer::random(around.rng.as_ref()),
    };
    Front::new(config, ports).map_err(Failure::other)
}

impl Offices {
    /// Forgets what has lapsed, every few seconds, until told to stop.
    pub async fn sweep(self: Arc<Self>, clock: Arc<dyn Clock>, mut stop: Stop) {
        let mut turn = 0;
        loop {
            // At the start, and then every ten minutes: whoever was away catches up.
            if turn % COMPARE_EVERY == 0 {
                for node in &self.nodes {
                    compared(node).await;
                }
            }
            turn += 1;
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                () = stop.stopped() => return,
            }
            self.sweep_once(clock.as_ref()).await;
        }
    }

    async fn sweep_once(&self, clock: &dyn Clock) {
        swept("registrar", self.registrar.sweep().await);
        swept("uniqueness", self.uniqueness.sweep().await);
        swept("post", store_sweep(&self.stores.post, clock).await);
        for (node, store) in self.nodes.iter().zip(&self.stores.nodes) {
            let name = NODES[node.index().slot()];
            node.sweep_sessions();
            swept(name, node.sweep_pending().await);
            swept(name, node.upkeep().await.map(|()| 0));
            swept(name, store_sweep(store, clock).await);
        }
    }

    /// What every store has done since the start, by office.
    #[must_use]
    pub fn store_counts(&self) -> [(&'static str, Counts); 6] {
        let Stores { nodes: [one, two, three], registrar, uniqueness, post } = &self.stores;
        [
            (NODES[0], one.counts()),
            (NODES[1], two.counts()),
            (NODES[2], three.counts()),
            ("registrar", registrar.counts()),
            ("uniqueness", uniqueness.counts()),
            ("post", post.counts()),
        ]
    }

    /// Whether node `index` can work.
    #[must_use]
    pub fn node_probe(&self, index: NodeIndex) -> Probe {
        let store = store_probe::<Row>(self.stores.nodes[index.slot()].clone());
        let node = Arc::clone(&self.nodes[index.slot()]);
        Arc::new(move || {
            let (store, node) = (store(), Arc::clone(&node));
            Box::pin(async move { [store.await, node.reasons().await].concat() })
        })
    }

    /// Whether the registrar and what stands behind it can work.
    #[must_use]
    pub fn registrar_probe(&self) -> Probe {
        let own = store_probe::<Enrolment>(self.stores.registrar.clone());
        let uniqueness = store_probe::<Tag>(self.stores.uniqueness.clone());
        let post = store_probe::<Contact>(self.stores.post.clone());
        Arc::new(move || {
            let (own, uniqueness, post) = (own(), uniqueness(), post());
            Box::pin(async move { [own.await, uniqueness.await, post.await].concat() })
        })
    }
}

async fn store_sweep<O: Office>(store: &Store<O>, clock: &dyn Clock) -> Result<u32, Refusal> {
    let mut gone = 0;
    for _ in 0..SWEEPS {
        let swept = store.sweep(clock.now(), SWEEP_AT_ONCE).await?;
        gone += swept;
        if swept < SWEEP_AT_ONCE {
            break;
        }
    }
    Ok(gone)
}

async fn compared(node: &Node) {
    let office = NODES[node.index().slot()];
    match node.compare().await {
        Ok(done) if done.fetched + done.adopted + done.left + done.open == 0 => {}
        Ok(done) => tracing::info!(office, ?done, "rows compared with the other nodes"),
        Err(refusal) => tracing::warn!(office, code = refusal.code(), "rows were not compared; it is repeated"),
    }
}

fn swept(office: &str, result: Result<u32, Refusal>) {
    match result {
        Ok(0) => {}
        Ok(count) => tracing::debug!(office, count, "lapsed rows forgotten"),
        Err(refusal) => tracing::warn!(office, code = refusal.code(), "a sweep failed; it is repeated"),
    }
}

/// Ready when the store answers a read.
fn store_probe<R: Record>(store: Store<R::Office>) -> Probe {
    Arc::new(move || {
        let store = store.clone();
        Box::pin(async move {
            match store.get::<R>(&Key::own(b"readiness")).await {
                Ok(_) => Vec::new(),
                Err(error) => vec![format!("the store of {} does not answer: {error}", <R::Office as Office>::NAME)],
            }
        })
    })
}
