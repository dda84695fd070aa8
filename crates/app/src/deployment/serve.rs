//! `hufu serve`: one office in one process, from its own folder. It opens its keys and its store, meets the other offices over TLS in
//! both directions, and answers wallets, browsers and platforms where it has business with them.

use super::clock::FileClock;
use super::ends::Presented;
use super::office_file::{Mtls, OfficeFile, Public, WALLET};
use super::plan::Plan;
use super::public_tls::{AuthorityFile, CertificateFiles};
use super::watch::{self, Need, Watch};
use super::{keys, neighbours, notify, public_tls, standing, state, wallet};
use crate::data_dir::{self, Lock};
use crate::demo::metrics as counts;
use crate::error_log::FileLog;
use crate::failure::Failure;
use crate::files;
use crate::offices::{Premises, Running, Surroundings};
use crate::root::OfficeFolder;
use crate::stage::Stage;
use crate::traces::Finished;
use crate::traces::export::Exporter;
use axum::Router;
use axum::extract::Request;
use axum::http::header;
use axum::middleware::{self, Next};
use http_body_util::Limited;
use hufu_kernel::{Clock, KeyStore, NodeIndex, OsRng, Refusal, Rng, Root, SystemClock};
use hufu_web::addresses::Addresses;
use hufu_web::health::{self, Probe};
use hufu_web::metrics::Metrics;
use hufu_web::mutual_tls::PlatformDoors;
use hufu_web::peers::{self, Leaf, PeerConfig, Peers, ceremony};
use hufu_web::reply::Edge;
use hufu_web::serve::{Inherited, Listening, Sharing, listen_at};
use hufu_web::serve::{Stop, finished};
use hufu_wire::api::roster::{OFFICES, Roster};
use hufu_wire::api::trust::Trust;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// Which office, and how it is run.
#[derive(Debug)]
pub struct Asked {
    /// As it was named: `node`, `node-2`, `wallet`.
    pub office: String,
    /// The number, if it was given apart.
    pub index: Option<u8>,
    /// The configuration.
    pub file: OfficeFile,
    /// The kind of root that this command serves.
    pub root: Root,
    /// Spans for a collector, if the configuration names one.
    pub spans: Option<Receiver<Finished>>,
}

impl Asked {
    /// The office's whole name, which the configuration must name too.
    ///
    /// # Errors
    /// [`Failure::Other`].
    pub fn name(&self) -> Result<&'static str, Failure> {
        let name = match self.index {
            Some(index) => format!("{}-{index}", self.office),
            None => self.office.clone(),
        };
        let known = OFFICES.into_iter().chain([WALLET]).find(|office| *office == name);
        let Some(known) = known else {
            let numbered = ["node", "tagger"].contains(&self.office.as_str());
            let told = if numbered { ": add --index 1, 2 or 3" } else { "" };
            return Err(Failure::other(format!(
                "there is no office {name}{told}; the offices are {}",
                OFFICES.join(", ")
            )));
        };
        if self.file.office != known {
            let told = format!("this is the configuration of {}, not of {known}", self.file.office);
            return Err(Failure::other(told));
        }
        Ok(known)
    }
}

/// A document of JSON that must be there.
pub(super) fn document<T: DeserializeOwned>(path: &Path, who_makes_it: &str) -> Result<T, Failure> {
    let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, format!("missing; {who_makes_it}")))?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::unreadable(path, error))
}

/// The plan and the public half of the keys, which must be of one root and name the same addresses.
pub(super) fn public_half(deployment: &Path, trust: &Path, wanted: Root) -> Result<(Plan, Trust), Failure> {
    let plan = Plan::read(deployment)?;
    if plan.root != wanted {
        let told = match wanted {
            Root::Production => "is a sandbox's plan: `hufu sandbox serve` runs it, and nothing of it is real",
            Root::Sandbox => "is a production plan: `hufu serve` runs it",
        };
        return Err(Failure::unreadable(deployment, told));
    }
    let public: Trust = document(trust, "a ceremony of all offices makes it, a sandbox's dealer too")?;
    if public.root != plan.root || public.root_id != plan.root_id {
        return Err(Failure::unreadable(trust, "belongs to another trust root than the plan"));
    }
    let settled = [
        ("issuer", &plan.issuer, &public.issuer),
        ("wallet_origin", &plan.wallet_origin, &public.wallet_origin),
        ("rp_id", &plan.rp_id, &public.rp_id),
    ];
    if let Some((what, planned, made)) = settled.into_iter().find(|(_, planned, made)| planned != made) {
        let told =
            format!("{what} is {made:?} here and {planned:?} in the plan; wallets and platforms have pinned this one");
        return Err(Failure::unreadable(trust, told));
    }
    Ok((plan, public))
}

/// The clock that a file names, or the machine's. A production office goes by the machine's.
pub(crate) fn clock(file: Option<&Path>, root: Root) -> Result<Arc<dyn Clock>, Failure> {
    match (file, root) {
        (None, _) => Ok(Arc::new(SystemClock)),
        (Some(path), Root::Sandbox) => Ok(Arc::new(FileClock::new(path)?)),
        (Some(_), Root::Production) => Err(Failure::other("[sandbox] clock: production goes by the machine's clock")),
    }
}

/// An office whose keys are open and which is not started yet.
pub struct Opened {
    /// Its configuration.
    pub file: OfficeFile,
    /// The plan.
    pub plan: Plan,
    /// Keys, folder, place of its rows.
    pub premises: Premises,
    /// Time, randomness, rules, counters.
    pub around: Surroundings,
    metrics: Arc<Metrics>,
    spans: Option<Receiver<Finished>>,
    roster: Roster,
    _lock: Lock,
}

impl Opened {
    fn new(asked: Asked) -> Result<Self, Failure> {
        let name = asked.name()?;
        let Asked { file, root, spans, .. } = asked;
        let (plan, trust) = public_half(&file.deployment, &file.trust, root)?;
        let roster = roster(&file, &plan)?;
        let lock = data_dir::lock(file.data())?;
        let rng: Arc<dyn Rng> = Arc::new(OsRng);
        let folder = OfficeFolder::new(file.data(), name, plan.root, plan.root_id);
        let keys = keys::open(&file, &folder, &rng)?;
        own_key(&file, &trust, name, keys.as_ref())?;
        let rows = neighbours::rows(&file, name, &folder)?;
        let metrics = Arc::<Metrics>::default();
        let around = Surroundings {
            trust: Arc::new(trust),
            clock: clock(file.sandbox.clock.as_deref(), root)?,
            rng,
            rules: Arc::new(crate::offices::rules(file.rules.as_deref())?),
            metrics: Some(Arc::clone(&metrics)),
            limits: file.limits.of_callers(),
        };
        let premises = Premises::new(name, folder, keys, rows).counted(Some(&metrics));
        Ok(Self { file, plan, premises, around, metrics, spans, roster, _lock: lock })
    }

    fn name(&self) -> &'static str {
        self.premises.office
    }

    fn leaf(&self) -> Result<Arc<Leaf>, Failure> {
        let (keys, clock) = (Arc::clone(&self.premises.keys), Arc::clone(&self.around.clock));
        Leaf::new(keys, self.name(), self.plan.root_id, clock).map_err(Failure::other)
    }

    fn peers(&self, leaf: Arc<Leaf>) -> Result<Peers, Failure> {
        let mut addresses = self.plan.internal_addresses();
        addresses.remove(self.name());
        let answer_within = Duration::from_millis(self.file.limits.peer_timeout_ms.max(100));
        let config = PeerConfig { answer_within, ..PeerConfig::default() };
        let metrics = Some(Arc::clone(&self.metrics));
        Peers::new(leaf, self.roster.clone(), &addresses, config, metrics).map_err(Failure::other)
    }

    fn standing(&self, ready: Probe) -> standing::Watched {
        standing::Watched {
            office: self.name(),
            metrics: Arc::clone(&self.metrics),
            ready,
            folder: self.file.data().to_owned(),
            memory_mib: self.file.limits.memory_mib,
            since: standing::Watched::now(&*self.around.clock),
        }
    }

    fn traces(&mut self) -> Result<Option<(Exporter, Receiver<Finished>)>, Failure> {
        let Some((table, spans)) = self.file.tracing.as_ref().zip(self.spans.take()) else { return Ok(None) };
        let exporter = Exporter::new(self.name(), table, self.plan.root, Arc::clone(&self.around.clock))?;
        Ok(Some((exporter, spans)))
    }

    fn edge(&self) -> Result<Edge, Failure> {
        let edge = Edge::new(self.name(), &self.plan.wallet_origin, Arc::clone(&self.around.rng));
        let errors = Arc::new(FileLog::open(self.file.data())?);
        Ok(edge.with_errors(errors).with_metrics(Arc::clone(&self.metrics)))
    }
}

/// The public half names the key that this office has.
pub(super) fn own_key(file: &OfficeFile, trust: &Trust, name: &str, keys: &dyn KeyStore) -> Result<(), Failure> {
    // What it has for the front is the key of its transactions.
    let Some(pinned) = trust.office_key(name).filter(|_| name != "front") else { return Ok(()) };
    let own = keys.public("office").map_err(Failure::other)?;
    if own.0 != pinned.as_slice() {
        return Err(Failure::unreadable(&file.trust, format!("names another key than {name} has")));
    }
    Ok(())
}

pub(crate) fn roster(file: &OfficeFile, plan: &Plan) -> Result<Roster, Failure> {
    let path = file.roster.as_deref().unwrap_or(Path::new(super::ROSTER));
    let roster: Roster = document(path, "`hufu keys roster` makes it of all offices' identities")?;
    if roster.root() != plan.root || *roster.root_id() != plan.root_id {
        return Err(Failure::unreadable(path, "belongs to another trust root than the plan"));
    }
    match roster.missing() {
        missing if missing.is_empty() => Ok(roster),
        missing => Err(Failure::unreadable(path, format!("lacks {}", missing.join(", ")))),
    }
}

/// The offices that `name` asks, and how many of them it cannot do without.
fn watch(name: &str, peers: &Peers, clock: &Arc<dyn Clock>) -> Result<Watch, Failure> {
    let to =
        |names: &[&str]| names.iter().map(|name| peers.to(name)).collect::<Result<Vec<_>, _>>().map_err(Failure::other);
    let (nodes, taggers) = (&OFFICES[..3], &OFFICES[3..6]);
    let watch = Watch::new(Arc::clone(clock));
    let others: Vec<&str> = nodes.iter().copied().filter(|node| *node != name).collect();
    Ok(match name {
        "registrar" => watch
            .group(Need::AtLeast(2), to(&["uniqueness", "post"])?)
            .group(Need::AtLeast(2), to(taggers)?)
            .group(Need::AtLeast(2), to(nodes)?),
        // Sign-ins go on without them; enrolling, leaving and notices wait.
        _ if nodes.contains(&name) => {
            watch.group(Need::None, to(&["uniqueness", "post"])?).group(Need::None, to(&others)?)
        }
        // The last list is kept.
        "front" => watch.group(Need::None, to(&["registry"])?),
        _ => watch,
    })
}

/// Serves one office until told to stop.
///
/// # Errors
/// [`Failure`], before anything is served.
pub async fn run(asked: Asked, stop: Stop) -> Result<(), Failure> {
    if asked.name()? == WALLET {
        return wallet::run(asked, stop).await;
    }
    let mut opened = Opened::new(asked)?;
    let traces = opened.traces()?;
    let leaf = opened.leaf()?;
    let peers = opened.peers(Arc::clone(&leaf))?;
    let watch = Arc::new(watch(opened.name(), &peers, &opened.around.clock)?);
    let office = neighbours::start(&opened, &peers).await?;
    let edge = opened.edge()?;
    let mut inherited = Inherited::from_env().map_err(Failure::other)?;
    let limits = &opened.file.limits;
    let addresses = Addresses::new(&edge, limits.of_addresses());

    let mut presented = Presented { office: opened.name(), own: Some(leaf), public: None, mtls: None };
    let mut outside = Stage::new();
    if let (Some(public), Some(routes)) = (&opened.file.public, office.public(&edge)) {
        let (listening, certificate) = public_listener(public, limits.connections, &mut inherited).await?;
        presented.public = certificate;
        let listening = listening.sharing_among(seen(&addresses, public.hides_addresses()));
        let probe = quiet(readiness(&office, &watch));
        let routes = timely(&edge, &watch, limited(&edge, limits.body_bytes, routes));
        let routes = routes.merge(health::router(opened.name(), probe));
        outside.serve(listening, finished(&edge, routes));
    }
    if let (Some(mtls), Some(routes)) = (&opened.file.mtls, office.mutual(&edge)) {
        let (listening, certificate) = mutual_listener(mtls, limits.connections, &mut inherited).await?;
        presented.mtls = Some(certificate);
        let listening = listening.sharing_among(seen(&addresses, mtls.addresses_hidden));
        let listening = listening.sharing_by(office.registered());
        outside.serve(listening, finished(&edge, timely(&edge, &watch, limited(&edge, limits.body_bytes, routes))));
    }
    outside.run(|stop| addresses.forget(stop));
    let mut inside = Stage::new();
    if let Some(internal) = &opened.file.internal {
        let listening =
            listen_at("the other offices", &internal.listen.to_string(), &mut inherited, Sharing::Alone).await?;
        let listening = listening.with_limit(limits.connections).behind(peers.doors().map_err(Failure::other)?);
        let own = peers::router(&edge, &Arc::new(()), watch::table());
        let own = own.merge(peers::router(&edge, &opened.around.clock, state::table()));
        // A ceremony's process has no listener of its own while the office is served: it fetches here what comes for it.
        let post = ceremony::Post::new(opened.name(), Arc::default(), opened.roster.hash());
        let own = own.merge(peers::router(&edge, &post, ceremony::ceremony()));
        let routes = office.internal(&edge).merge(own);
        inside.serve(listening, finished(&edge, routes));
    }
    inside.works(Arc::clone(&office));
    let watching = Arc::clone(&watch);
    inside.run(|stop| watching.run(stop));
    let standing = opened.standing(readiness(&office, &watch));
    inside.run(|stop| standing.run(stop));
    let mut own = Stage::new();
    if let Some((exporter, spans)) = traces {
        own.run(|stop| exporter.run(spans, stop));
    }
    let listening =
        listen_at("operators", &opened.file.metrics.listen.to_string(), &mut inherited, Sharing::Alone).await?;
    let notes: Probe = {
        let (office, watch) = (Arc::clone(&office), Arc::clone(&watch));
        Arc::new(move || Box::pin(std::future::ready([office.notes(), watch.notes()].concat())))
    };
    let routes = health::router_with_notes(opened.name(), readiness(&office, &watch), notes);
    let routes = routes.merge(counts::router(Arc::clone(&opened.metrics), vec![Arc::clone(&office)], move |metrics| {
        presented.tell(metrics)
    }));
    own.serve(listening, finished(&edge, routes));
    for left in inherited.left() {
        tracing::warn!(%left, "a socket was handed over that the configuration does not name");
    }
    tracing::info!(office = opened.name(), root = opened.plan.root.name(), "serving");
    notify::tell(notify::READY);
    let mut stop = stop;
    stop.stopped().await;
    notify::tell(notify::STOPPING);
    // Who asks stops before who is asked; the operators see it until the end.
    for stage in [outside, inside, own] {
        stage.end().await;
    }
    Ok(())
}

/// What a listener counts by address, together with the others of its process; nothing where every connection seems to come from what
/// stands in front.
pub(super) fn seen(addresses: &Arc<Addresses>, hidden: bool) -> Option<Arc<Addresses>> {
    (!hidden).then(|| Arc::clone(addresses))
}

/// A listener for wallets, browsers and platforms, and what it presents where it speaks TLS.
pub(super) async fn public_listener(
    public: &Public,
    connections: usize,
    inherited: &mut Inherited,
) -> Result<(Listening, Option<Arc<CertificateFiles>>), Failure> {
    let listening = listen_at("the public", &public.listen.to_string(), inherited, Sharing::Alone).await?;
    let listening = listening.with_limit(connections);
    match (&public.certificate, &public.key) {
        (Some(certificate), Some(key)) => {
            let files = public_tls::open(certificate, key)?;
            Ok((listening.over_tls(public_tls::config(&files)?), Some(files)))
        }
        _ => Ok((listening, None)),
    }
}

/// A listener for platforms that prove themselves by TLS certificates, and what it presents to them.
async fn mutual_listener(
    mtls: &Mtls,
    connections: usize,
    inherited: &mut Inherited,
) -> Result<(Listening, Arc<CertificateFiles>), Failure> {
    let own = public_tls::open(&mtls.certificate, &mtls.key)?;
    let authorities = AuthorityFile::open(&mtls.authorities)?;
    let doors = PlatformDoors::new(Arc::clone(&own) as _, authorities).map_err(Failure::other)?;
    let listening = listen_at("platforms", &mtls.listen.to_string(), inherited, Sharing::Alone).await?;
    Ok((listening.with_limit(connections).for_platforms(doors), own))
}

fn readiness(office: &Arc<dyn Running>, watch: &Arc<Watch>) -> Probe {
    let (office, watch) = (Arc::clone(office), Arc::clone(watch));
    Arc::new(move || {
        let (office, watch) = (Arc::clone(&office), Arc::clone(&watch));
        Box::pin(async move {
            let mut reasons = office.reasons().await;
            reasons.extend(watch.reasons());
            reasons
        })
    })
}

/// Says to the public that something is wrong, and not what.
fn quiet(probe: Probe) -> Probe {
    Arc::new(move || {
        let reasons = probe();
        Box::pin(async move {
            let told = "see /readyz at this office's metrics listener".to_owned();
            if reasons.await.is_empty() { Vec::new() } else { vec![told] }
        })
    })
}

/// Nothing is taken while most other offices have another time: what this one would say of somebody's clock, or date, is wrong.
fn timely(edge: &Edge, watch: &Arc<Watch>, routes: Router) -> Router {
    let (edge, watch) = (edge.clone(), Arc::clone(watch));
    routes.layer(middleware::from_fn(move |request: Request, next: Next| {
        let off = watch.clock_is_off().then(|| edge.refused(Refusal::ClockOff));
        async move {
            match off {
                Some(refused) => refused,
                None => next.run(request).await,
            }
        }
    }))
}

/// Bodies up to `bytes`; the messages' own limit stays where it is below that.
pub(super) fn limited(edge: &Edge, bytes: usize, routes: Router) -> Router {
    let edge = edge.clone();
    routes.layer(middleware::from_fn(move |request: Request, next: Next| {
        let edge = edge.clone();
        async move {
            let declared = request.headers().get(header::CONTENT_LENGTH);
            let declared = declared.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
            if declared.is_some_and(|length| length > bytes) {
                return edge.refused(Refusal::TooLarge);
            }
            next.run(request.map(|body| axum::body::Body::new(Limited::new(body, bytes)))).await
        }
    }))
}

/// The number of a node or tagger, by its name.
pub(super) fn index_of(name: &str) -> Option<NodeIndex> {
    let number = name.rsplit_once('-')?.1.parse::<u8>().ok()?;
    NodeIndex::try_from(number).ok()
}
