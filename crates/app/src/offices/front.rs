//! The front at work.

use super::{Premises, Running, Surroundings};
use crate::failure::Failure;
use async_trait::async_trait;
use axum::Router;
use hufu_offices::front::{Config, Front, Ports, Sealer};
use hufu_store::MemoryOnce;
use hufu_web::reply::Edge;
use hufu_wire::api::trust::Trust;
use std::sync::Arc;

/// Sign-ins the front keeps open at once.
const TRANSACTIONS: usize = 20_000;
/// Single-use values the front remembers.
const ONCE: usize = 500_000;

/// The office; it keeps nothing on disk.
pub struct RunningFront {
    /// The office.
    pub front: Arc<Front>,
}

/// Starts the front.
///
/// # Errors
/// [`Failure`] naming what contradicts itself.
pub fn start(own: &Premises, around: &Surroundings) -> Result<Arc<RunningFront>, Failure> {
    let config = Config { trust: Trust::clone(&around.trust), transactions: TRANSACTIONS, agents: Vec::new() };
    let ports = Ports {
        keys: Arc::clone(&own.keys),
        once: Arc::new(MemoryOnce::new(ONCE)),
        clock: Arc::clone(&around.clock),
        rng: Arc::clone(&around.rng),
        sealer: Sealer::random(around.rng.as_ref()),
    };
    let front = Front::new(config, ports).map_err(Failure::other)?;
    Ok(Arc::new(RunningFront { front: Arc::new(front) }))
}

#[async_trait]
impl Running for RunningFront {
    fn name(&self) -> &'static str {
        "front"
    }

    fn public(&self, edge: &Edge) -> Option<Router> {
        Some(hufu_web::front::router(edge, &self.front))
    }
}
