//! The offices, each started alone from what is its own: the same functions whether the others are in this process (`hufu demo`)
//! or elsewhere (`hufu serve`). What one office asks of another goes through the traits in `hufu_offices::ports`.

pub mod back_channel;
pub mod front;
pub mod node;
pub mod post;
pub mod registrar;
pub mod registry;
pub mod tagger;
pub mod together;
pub mod uniqueness;

use crate::counted_keys::CountedKeys;
use crate::failure::{Failure, MENDING};
use crate::root::{NODES, OfficeFolder, RS256, SandboxRoot};
use crate::rows::OwnRows;
use async_trait::async_trait;
use axum::Router;
use hufu_domain::rules::Rules;
use hufu_kernel::{Clock, Key, KeyStore, NodeIndex, Office, Record, Refusal, Rng};
use hufu_offices::buckets::Limits;
use hufu_store::{Counts, Schema, Store, StoreError};
use hufu_web::health::Probe;
use hufu_web::metrics::Metrics;
use hufu_web::mutual_tls::Registered;
use hufu_web::reply::Edge;
use hufu_web::serve::Stop;
use hufu_wire::api::peer::Moved;
use hufu_wire::api::trust::Trust;
use hufu_wire::jose::{Alg, RsaKey};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often lapsed things are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How often one office is swept in a row while there is more.
const SWEEPS: u32 = 50;
/// Rows a sweep deletes at a time.
const SWEEP_AT_ONCE: u32 = 1000;

/// What any office is started with, whoever its neighbours are.
#[derive(Clone)]
pub struct Surroundings {
    /// The public half with this run's addresses.
    pub trust: Arc<Trust>,
    /// Time: in a sandbox one clock for all.
    pub clock: Arc<dyn Clock>,
    /// The system's generator.
    pub rng: Arc<dyn Rng>,
    /// The rules.
    pub rules: Arc<Rules>,
    /// Counters, where they are wanted.
    pub metrics: Option<Arc<Metrics>>,
    /// How much one platform and one person may ask.
    pub limits: Limits,
}

/// What is one office's own: its keys, its folder, and the place of its rows.
#[derive(Clone)]
pub struct Premises {
    /// The office: `node-2`.
    pub office: &'static str,
    /// Its keys, opened.
    pub keys: Arc<dyn KeyStore>,
    folder: OfficeFolder,
    rows: OwnRows,
}

impl Premises {
    /// The premises of `office`, its keys counted where anything is.
    #[must_use]
    pub fn new(office: &'static str, folder: OfficeFolder, keys: Arc<dyn KeyStore>, rows: OwnRows) -> Self {
        Self { office, keys, folder, rows }
    }

    /// The same with signatures counted.
    #[must_use]
    pub fn counted(mut self, metrics: Option<&Arc<Metrics>>) -> Self {
        if let Some(metrics) = metrics {
            self.keys = Arc::new(CountedKeys { keys: self.keys, office: self.office, metrics: Arc::clone(metrics) });
        }
        self
    }

    /// The office's folder.
    #[must_use]
    pub fn folder(&self) -> &OfficeFolder {
        &self.folder
    }

    /// The office's store; refused if its header names another office or trust root. Blocks on files.
    async fn store<O: Office>(&self, schema: &Schema<O>) -> Result<Store<O>, Failure> {
        self.rows.open(&self.folder, schema).await
    }

    /// The node's RS256 key, which signs for `basic` clients of a sandbox.
    fn rs256(&self) -> Result<RsaKey, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::unreadable(self.folder.path(), error);
        let der = self.keys.share(RS256).map_err(|error| broken(&error))?;
        RsaKey::from_pkcs8(&der, Alg::RS256).map_err(|error| broken(&error))
    }

    fn refused(&self, refusal: Refusal) -> Failure {
        Failure::other(format!("{} does not start: {}", self.office, refusal.text().developer))
    }
}

/// An office at work, as the process around it sees it.
#[async_trait]
pub trait Running: Send + Sync {
    /// The office: `node-2`.
    fn name(&self) -> &'static str;

    /// What wallets, browsers and platforms ask of it; nothing for an office that none of them ever meets.
    fn public(&self, edge: &Edge) -> Option<Router>;

    /// What platforms ask of it that prove themselves by TLS certificates; nothing for any office but the front.
    fn mutual(&self, _: &Edge) -> Option<Router> {
        None
    }

    /// Which platform a certificate there belongs to.
    fn registered(&self) -> Registered {
        Registered::nobodys()
    }

    /// What the other offices ask of it, each route with those who may.
    fn internal(&self, edge: &Edge) -> Router;

    /// Forgets what has lapsed, once.
    async fn sweep(&self) {}

    /// Its own work beside its answers, until told to stop: sweeping every few seconds.
    async fn work(self: Arc<Self>, mut stop: Stop) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                () = stop.stopped() => return,
            }
            self.sweep().await;
        }
    }

    /// What keeps it from working, one sentence each.
    async fn reasons(&self) -> Vec<String> {
        Vec::new()
    }

    /// What its operators should know and no balancer, one sentence each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What its store has done since the start.
    fn counts(&self) -> Option<Counts> {
        None
    }

    /// How far a node's rows have moved to new K_A.
    fn moved(&self) -> Option<Moved> {
        None
    }
}

/// The rules of this folder, or the built-in ones.
///
/// # Errors
/// [`Failure::Unreadable`] with the file and what is wrong in it.
pub fn rules(folder: Option<&Path>) -> Result<Rules, Failure> {
    let Some(folder) = folder else { return Rules::built_in().map_err(Failure::other) };
    let mut texts = Vec::new();
    for name in Rules::FILES {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::unreadable(&path, error))?;
        texts.push(text);
    }
    let [enrolment, certificate, recovery] = texts.as_slice() else { return Err(Failure::other("no rules")) };
    Rules::parse([enrolment, certificate, recovery]).map_err(|error| Failure::unreadable(folder, error))
}

/// Asks these offices together.
#[must_use]
pub fn probe(offices: Vec<Arc<dyn Running>>) -> Probe {
    Arc::new(move || {
        let offices = offices.clone();
        Box::pin(async move {
            let mut reasons = Vec::new();
            for office in offices {
                reasons.extend(office.reasons().await);
            }
            reasons
        })
    })
}

/// Opens and closes the store file of one office, to see whether it is that office's. Blocks.
///
/// # Errors
/// [`Failure::Store`].
pub fn check_store(root: &SandboxRoot, name: &'static str) -> Result<(), Failure> {
    let folder = root.office(name);
    let trust = folder.trust_root();
    match NodeIndex::ALL.into_iter().find(|index| NODES[index.slot()] == name) {
        Some(index) => folder.store(&hufu_offices::node::schema(trust, index)).map(drop),
        None if name == "registrar" => folder.store(&hufu_offices::registrar::schema(trust)).map(drop),
        None if name == "uniqueness" => folder.store(&hufu_offices::uniqueness::schema(trust)).map(drop),
        None if name == "post" => folder.store(&hufu_offices::post::schema(trust)).map(drop),
        None => Err(Failure::other(format!("{name} has no store"))),
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

fn swept(office: &str, result: Result<u32, Refusal>) {
    match result {
        Ok(0) => {}
        Ok(count) => tracing::debug!(office, count, "lapsed rows forgotten"),
        Err(refusal) => tracing::warn!(office, code = refusal.code(), "a sweep failed; it is repeated"),
    }
}

/// What is wrong with a store: it does not answer a read, its last write was not written, or it is damaged.
async fn store_reasons<R: Record>(store: &Store<R::Office>) -> Vec<String> {
    let office = <R::Office as Office>::NAME;
    match (store.get::<R>(&Key::own(b"readiness")).await, store.ailing()) {
        (Err(error @ StoreError::Corrupt { .. }), _) => vec![format!("the store of {office}: {error}; {MENDING}")],
        (Err(StoreError::Overtaken), _) => vec![format!("the store of {office}: {}", StoreError::Overtaken)],
        (Err(error), _) => vec![format!("the store of {office} does not answer: {error}")],
        (Ok(_), Some(error)) => vec![format!("the store of {office} does not write: {error}; it is tried again")],
        (Ok(_), None) => Vec::new(),
    }
}
