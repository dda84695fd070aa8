//! The front at work.

use super::registry::Admitted;
use super::{Premises, Running, Surroundings};
use crate::failure::Failure;
use async_trait::async_trait;
use axum::Router;
use hufu_kernel::Refusal;
use hufu_offices::front::{Config, Front, Ports, Sealer};
use hufu_offices::{ports, registry};
use hufu_store::MemoryOnce;
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
/// How often the registry is asked for the admitted platforms.
const EVERY: Duration = Duration::from_secs(20);
/// How soon it is asked again while it does not answer, doubled each time.
const SOON: Duration = Duration::from_millis(250);

/// Where a front learns which platforms are admitted, and where it keeps the last list.
pub struct Source {
    /// The registry.
    pub registry: Arc<dyn ports::Registry>,
    /// The list as it last was: a registry that is down stops nothing.
    pub kept: Admitted,
}

/// The office; of people it keeps nothing on disk.
pub struct RunningFront {
    /// The office.
    pub front: Arc<Front>,
    trust: Arc<Trust>,
    source: Option<Source>,
    listed: AtomicBool,
    certificates: Mutex<BTreeMap<String, String>>,
}

/// Starts the front. Without a source its platforms are admitted by who started it.
///
/// # Errors
/// [`Failure`] naming what contradicts itself.
pub fn start(own: &Premises, around: &Surroundings, source: Option<Source>) -> Result<Arc<RunningFront>, Failure> {
    let config = Config { trust: Trust::clone(&around.trust), transactions: TRANSACTIONS, agents: Vec::new() };
    let ports = Ports {
        keys: Arc::clone(&own.keys),
        once: Arc::new(MemoryOnce::new(ONCE)),
        clock: Arc::clone(&around.clock),
        rng: Arc::clone(&around.rng),
        sealer: Sealer::random(around.rng.as_ref()),
    };
    let front = Front::new(config, ports).map_err(Failure::other)?;
    let running = RunningFront {
        front: Arc::new(front),
        trust: Arc::clone(&around.trust),
        listed: AtomicBool::new(source.is_none()),
        source,
        certificates: Mutex::default(),
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
                Ok(_) => self.listed.store(true, Ordering::Relaxed),
                Err(refusal) => tracing::warn!(code = refusal.code(), "a kept certificate is no longer one"),
            }
        }
        Ok(())
    }

    fn admit(&self, jws: &str) -> Result<String, Refusal> {
        let client_id = registry::read(&self.trust.offices.registry, jws)?.client_id;
        let mut certificates = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        if certificates.get(&client_id).is_none_or(|known| known != jws) {
            self.front.admit(jws)?;
            certificates.insert(client_id.clone(), jws.to_owned());
        }
        Ok(client_id)
    }

    /// Asks the registry for all admitted platforms.
    async fn pull(&self, source: &Source) -> Result<(), Refusal> {
        let (mut listed, mut after) = (BTreeSet::new(), String::new());
        loop {
            let page = source.registry.admitted(&ListAdmitted { after: after.clone() }).await?;
            for jws in &page.certificates {
                // Whatever else is in the list, one that the registry did not sign is nobody's.
                match self.admit(jws) {
                    Ok(client_id) => {
                        after.clone_from(&client_id);
                        listed.insert(client_id);
                    }
                    Err(refusal) => tracing::warn!(code = refusal.code(), "a listed certificate is refused"),
                }
            }
            // A page of which nothing was believed leads nowhere.
            if !page.more || !listed.contains(&after) {
                break;
            }
        }
        // A registry that has lost its files withdraws nobody.
        if listed.is_empty() && self.listed.load(Ordering::Relaxed) {
            tracing::warn!("the registry lists no platform; those known stay");
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

    fn internal(&self, _: &Edge) -> Router {
        Router::new()
    }

    async fn work(self: Arc<Self>, mut stop: Stop) {
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

    async fn reasons(&self) -> Vec<String> {
        match self.listed.load(Ordering::Relaxed) {
            true => Vec::new(),
            false => vec!["the registry has not said yet which platforms are admitted".to_owned()],
        }
    }
}
