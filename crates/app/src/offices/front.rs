//! The front at work.

use super::back_channel::PlatformServers;
use super::registry::Admitted;
use super::{Premises, Running, SWEEP_EVERY, Surroundings};
use crate::failure::Failure;
use async_trait::async_trait;
use axum::Router;
use hufu_kernel::Refusal;
use hufu_offices::front::{Config, Front, NotAdmitted, Ports, Sealer};
use hufu_offices::{ports, registry};
use hufu_store::MemoryOnce;
use hufu_web::mutual_tls::Registered;
use hufu_web::reply::Edge;
use hufu_web::serve::Stop;
use hufu_wire::api::platform::ListAdmitted;
use hufu_wire::api::trust::Trust;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Sign-ins the front keeps open at once.
const TRANSACTIONS: usize = 20_000;
/// Single-use values the front remembers.
const ONCE: usize = 500_000;
/// Codes it remembers whose tokens were revoked.
const REVOKED: usize = 200_000;
/// How often the registry is asked for the admitted platforms.
const EVERY: Duration = Duration::from_secs(20);
/// How soon it is asked again while it does not answer, doubled each time.
const SOON: Duration = Duration::from_millis(250);

/// How often nodes are asked about the subjects of shared signals.
const BEAT: Duration = Duration::from_secs(15);

/// Where a front learns which platforms are admitted, and where it keeps the last list.
pub struct Source {
    /// The registry.
    pub registry: Arc<dyn ports::Registry>,
    /// The list as it last was: a registry that is down stops nothing.
    pub kept: Admitted,
}

/// Whom a front asks.
pub struct Neighbours {
    /// Who says which platforms are admitted. Without one they are admitted by who started the front.
    pub source: Option<Source>,
    /// The nodes 1 to 3, for the subject handles that platforms present.
    pub nodes: [Arc<dyn ports::SubjectHandles>; 3],
}

/// The office; of people it keeps nothing on disk.
pub struct RunningFront {
    /// The office.
    pub front: Arc<Front>,
    trust: Arc<Trust>,
    source: Option<Source>,
    listed: AtomicBool,
    certificates: Mutex<BTreeMap<String, String>>,
    refused: Mutex<BTreeMap<String, NotAdmitted>>,
}

/// What only some fronts do.
#[derive(Clone, Default, Debug)]
pub struct Besides {
    /// Where platforms are asked for TLS certificates; without it none of them may use one.
    pub mtls: Option<String>,
    /// Of sandboxes: whether the persona agent keeps sessions, and browsers are sent to it.
    pub persona_sessions: bool,
}

/// Starts the front.
///
/// # Errors
/// [`Failure`] naming what contradicts itself.
pub fn start(
    own: &Premises,
    around: &Surroundings,
    neighbours: Neighbours,
    besides: Besides,
) -> Result<Arc<RunningFront>, Failure> {
    let (trust, Besides { mtls, persona_sessions }) = (Trust::clone(&around.trust), besides);
    let Neighbours { source, nodes } = neighbours;
    let config = Config { trust, transactions: TRANSACTIONS, agents: Vec::new(), persona_sessions, mtls };
    let ports = Ports {
        keys: Arc::clone(&own.keys),
        once: Arc::new(MemoryOnce::new(ONCE)),
        revoked: Arc::new(MemoryOnce::new(REVOKED)),
        clock: Arc::clone(&around.clock),
        rng: Arc::clone(&around.rng),
        sealer: Sealer::random(around.rng.as_ref()),
        back_channel: Arc::new(PlatformServers::of(around.trust.root)),
        nodes,
    };
    let front = Front::new(config, ports).map_err(Failure::other)?.limited(around.limits.client);
    let running = RunningFront {
        front: Arc::new(front),
        trust: Arc::clone(&around.trust),
        listed: AtomicBool::new(source.is_none()),
        source,
        certificates: Mutex::default(),
        refused: Mutex::default(),
    };
    running.remember()?;
    Ok(Arc::new(running))
}

impl RunningFront {
    /// Admits what the last list held, each certificate under the registry's key again.
    fn remember(&self) -> Result<(), Failure> {
        let Some(source) = &self.source else { return Ok(()) };
        for name in source.kept.names()? {
            let Some(jws) = source.kept.read(&name)? else { continue };
            match self.admit(&jws) {
                Ok((_, Ok(()))) => self.listed.store(true, Ordering::Relaxed),
                Ok((client_id, Err(told))) => self.warn(&client_id, &told),
                Err(_) => tracing::warn!("a kept certificate is not of the registry's key any more"),
            }
        }
        Ok(())
    }

    /// Whose certificate this is, by the registry's word, and whether it is taken.
    fn admit(&self, jws: &str) -> Result<(String, Result<(), NotAdmitted>), Refusal> {
        let client_id = registry::read(&self.trust.offices.registry, jws)?.client_id;
        let mut certificates = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        if certificates.get(&client_id).is_some_and(|known| known == jws) {
            return Ok((client_id, Ok(())));
        }
        let taken = self.front.admit(jws);
        if taken.is_ok() {
            certificates.insert(client_id.clone(), jws.to_owned());
        }
        Ok((client_id, taken))
    }

    /// Says why a platform of the list cannot sign anybody in: once, not at every asking.
    fn warn(&self, client_id: &str, told: &NotAdmitted) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.get(client_id).is_none_or(|before| before != told) {
            let (code, reason) = (told.refusal.code(), told.to_string());
            tracing::warn!(client_id, code, reason, "the certificate of a listed platform is refused");
            refused.insert(client_id.to_owned(), told.clone());
        }
    }

    /// Asks the registry for all admitted platforms.
    async fn pull(&self, source: &Source) -> Result<(), Refusal> {
        let (mut listed, mut after, mut none) = (BTreeSet::new(), String::new(), false);
        loop {
            let page = source.registry.admitted(&ListAdmitted { after: after.clone() }).await?;
            let before = after.clone();
            for jws in &page.certificates {
                // Whatever else is in the list, one that the registry did not sign is nobody's.
                let Ok((client_id, taken)) = self.admit(jws) else {
                    tracing::warn!("a certificate of the list is not signed by the registry");
                    continue;
                };
                after = after.max(client_id.clone());
                match taken {
                    Ok(()) => drop(listed.insert(client_id)),
                    Err(told) => self.warn(&client_id, &told),
                }
            }
            none = none || page.none;
            if !page.more {
                break;
            }
            if after == before {
                tracing::warn!("the registry's list leads nowhere; the platforms known stay");
                return Ok(());
            }
        }
        // A registry that has lost its files withdraws nobody; one whose last platform was withdrawn says so.
        if listed.is_empty() && !none && self.listed.load(Ordering::Relaxed) {
            tracing::warn!(
                "the registry lists no platform, and does not say that the last was withdrawn; those known stay"
            );
            return Ok(());
        }
        self.keep(source, &listed);
        self.listed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Makes the kept list the one that was just told.
    fn keep(&self, source: &Source, listed: &BTreeSet<String>) {
        self.front.keep_only(listed);
        let mut certificates = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        certificates.retain(|client_id, _| listed.contains(client_id));
        let kept = || -> Result<(), Failure> {
            for gone in source.kept.names()?.difference(listed) {
                source.kept.forget(gone)?;
            }
            for (client_id, jws) in certificates.iter() {
                if source.kept.read(client_id)?.as_ref() != Some(jws) {
                    source.kept.keep(client_id, jws)?;
                }
            }
            Ok(())
        };
        if let Err(error) = kept() {
            tracing::warn!(%error, "the list of platforms was not kept; it is asked for again after a restart");
        }
    }
}

#[async_trait]
impl Running for RunningFront {
    fn name(&self) -> &'static str {
        "front"
    }

    fn public(&self, edge: &Edge) -> Option<Router> {
        Some(hufu_web::front::router(edge, &self.front))
    }

    fn mutual(&self, edge: &Edge) -> Option<Router> {
        Some(hufu_web::front::mutual_router(edge, &self.front))
    }

    fn registered(&self) -> Registered {
        hufu_web::front::registered(&self.front)
    }

    fn internal(&self, _: &Edge) -> Router {
        Router::new()
    }

    async fn work(self: Arc<Self>, stop: Stop) {
        tokio::join!(self.listing(stop.clone()), self.beating(stop.clone()), self.sweeping(stop));
    }

    async fn reasons(&self) -> Vec<String> {
        match self.listed.load(Ordering::Relaxed) {
            true => Vec::new(),
            false => vec!["the registry has not said yet which platforms are admitted".to_owned()],
        }
    }
}

impl RunningFront {
    /// Nodes are asked about the subjects of shared signals, and platforms are told.
    async fn beating(&self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = stop.stopped() => return,
            }
            // One that takes long, for there are many, is cut off by the end of the process: nothing is lost that is not lost anyway.
            tokio::select! {
                () = self.front.beat() => {}
                () = stop.stopped() => return,
            }
        }
    }

    async fn sweeping(&self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => self.front.sweep(),
                () = stop.stopped() => return,
            }
        }
    }

    /// The registry is asked who is admitted.
    async fn listing(&self, mut stop: Stop) {
        let Some(source) = &self.source else { return };
        let mut wait = SOON;
        loop {
            wait = match self.pull(source).await {
                Ok(()) => EVERY,
                Err(refusal) => {
                    tracing::debug!(code = refusal.code(), "the registry does not say who is admitted");
                    EVERY.min(wait * 2)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.stopped() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform_file::{Kind, PlatformFile, Service, create};
    use crate::root::{OfficeFolder, deal, key_file};
    use crate::rows::OwnRows;
    use hufu_domain::rules::Rules;
    use hufu_kernel::{Clock, KeyStore, OsRng, Rng, Root, SystemClock};
    use hufu_wire::api::handles::{AskPerson, AskStandings, Standings};
    use hufu_wire::api::platform::PlatformCertificate;
    use std::path::Path;

    /// A node that does not answer.
    struct Away;

    #[async_trait]
    impl ports::SubjectHandles for Away {
        async fn standings(&self, _: &AskStandings) -> Result<Standings, Refusal> {
            Err(Refusal::NodesUnavailable)
        }
        async fn ask_person(&self, _: &AskPerson) -> Result<bool, Refusal> {
            Err(Refusal::NodesUnavailable)
        }
    }

    /// A front and the registry it asks, each in its folder.
    struct World {
        place: tempfile::TempDir,
        keys: Arc<dyn KeyStore>,
        admitted: Admitted,
        front: Arc<RunningFront>,
    }

    impl World {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let rng: Arc<dyn Rng> = Arc::new(OsRng);
            let dealt = deal::deal(rng.as_ref()).unwrap();
            let mut trust = dealt.trust;
            (trust.issuer, trust.wallet_origin) = ("https://id.example".into(), "https://wallet.id.example".into());
            let folder = |office: &str| {
                let path = place.path().join(office);
                crate::files::private_folder(&path).unwrap();
                let folder = OfficeFolder::new(&path, office, trust.root, trust.root_id);
                key_file::write(&path, folder.owner(), &dealt.keys[office], rng.as_ref()).unwrap();
                folder
            };
            let (registry, own) = (folder("registry"), folder("front"));
            let (keys, front_keys) = (registry.keys(&rng).unwrap(), own.keys(&rng).unwrap());
            let admitted = Admitted::of(registry.path());
            let source = Source { registry: Arc::new(admitted.clone()), kept: Admitted::of(own.path()) };
            let around = Surroundings {
                trust: Arc::new(trust),
                clock: Arc::new(SystemClock),
                rng,
                rules: Arc::new(Rules::built_in().unwrap()),
                metrics: None,
                limits: hufu_offices::buckets::Limits::default(),
            };
            let premises = Premises::new("front", own, front_keys, OwnRows::None);
            let nodes = hufu_kernel::NodeIndex::ALL.map(|_| Arc::new(Away) as Arc<dyn ports::SubjectHandles>);
            let neighbours = Neighbours { source: Some(source), nodes };
            let front = start(&premises, &around, neighbours, Besides::default()).unwrap();
            Self { place, keys, admitted, front }
        }

        fn certificate(&self, name: &str) -> PlatformCertificate {
            let service = Service { issuer: "https://id.example", trust: Path::new("trust.json") };
            let folder = self.place.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            let written = create(name, &folder, Kind::Key, service, &OsRng).unwrap();
            PlatformFile::read(&written.file).unwrap().certificate(Root::Sandbox, SystemClock.now())
        }

        fn admit(&self, name: &str) {
            self.admitted.admit(self.keys.as_ref(), &self.certificate(name)).unwrap();
        }

        /// What the front knows, and has kept, once it has asked.
        async fn known(&self) -> Vec<String> {
            let source = self.front.source.as_ref().unwrap();
            self.front.pull(source).await.unwrap();
            let known: Vec<String> = self.front.certificates.lock().unwrap().keys().cloned().collect();
            assert_eq!(source.kept.names().unwrap().into_iter().collect::<Vec<_>>(), known);
            known
        }
    }

    #[tokio::test]
    async fn the_last_platform_is_withdrawn_like_any_other() {
        let world = World::new();
        world.admit("one");
        world.admit("two");
        assert_eq!(world.known().await, ["one", "two"]);
        world.admitted.withdraw("one").unwrap();
        assert_eq!(world.known().await, ["two"]);
        world.admitted.withdraw("two").unwrap();
        assert!(world.known().await.is_empty());
        world.admit("three");
        assert_eq!(world.known().await, ["three"]);
    }

    #[tokio::test]
    async fn a_registry_that_has_lost_its_files_withdraws_nobody() {
        let world = World::new();
        world.admit("one");
        world.admit("two");
        assert_eq!(world.known().await, ["one", "two"]);
        std::fs::remove_dir_all(world.place.path().join("registry").join(super::super::registry::FOLDER)).unwrap();
        assert_eq!(world.known().await, ["one", "two"]);
    }

    #[tokio::test]
    async fn platforms_after_many_that_are_refused_are_known_and_it_is_remembered_why() {
        let world = World::new();
        let mut refused = world.certificate("refused");
        refused.redirect_uris.push("http://shop.example/callback".into());
        // The registry signs only what it looks at itself; what an older one has signed is refused by the front.
        for n in 0..120 {
            refused.client_id = format!("p{n:03}");
            let header = hufu_wire::jose::Header::new(hufu_wire::jose::Alg::EdDSA).typ(PlatformCertificate::TYP);
            let input = hufu_wire::jose::signing_input(&header, &refused).unwrap();
            let signature = signed(world.keys.as_ref(), &input);
            world.admitted.keep(&refused.client_id, &hufu_wire::jose::assemble(&input, &signature)).unwrap();
        }
        world.admit("z-last");
        assert_eq!(world.known().await, ["z-last"]);
        let told = world.front.refused.lock().unwrap();
        assert_eq!(told.len(), 120);
        assert!(told["p000"].to_string().contains("http://shop.example/callback"), "{:?}", told["p000"]);
    }

    fn signed(keys: &dyn KeyStore, input: &str) -> Vec<u8> {
        keys.sign_ed25519("office", input.as_bytes()).unwrap().as_slice().to_vec()
    }
}
