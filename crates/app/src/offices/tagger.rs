//! A tagger at work.

use super::{Premises, Running, Surroundings};
use crate::failure::Failure;
use async_trait::async_trait;
use axum::Router;
use hufu_offices::ports;
use hufu_offices::tagger::{HOURLY_QUOTA, Tagger};
use hufu_web::peers;
use hufu_web::reply::Edge;
use std::sync::Arc;

/// The office; it keeps nothing.
pub struct RunningTagger {
    /// The office.
    pub tagger: Arc<Tagger>,
    name: &'static str,
}

/// Starts a tagger.
///
/// # Errors
/// [`Failure`] naming the office.
pub fn start(own: &Premises, around: &Surroundings) -> Result<Arc<RunningTagger>, Failure> {
    let (trust, clock, rng) = (Arc::clone(&around.trust), Arc::clone(&around.clock), Arc::clone(&around.rng));
    let tagger = Tagger::new(trust, own.keys.as_ref(), clock, rng, HOURLY_QUOTA);
    let tagger = tagger.map(Arc::new).map_err(|refusal| own.refused(refusal))?;
    Ok(Arc::new(RunningTagger { tagger, name: own.office }))
}

#[async_trait]
impl Running for RunningTagger {
    fn name(&self) -> &'static str {
        self.name
    }

    fn public(&self, _: &Edge) -> Option<Router> {
        None
    }

    fn internal(&self, edge: &Edge) -> Router {
        let office = Arc::clone(&self.tagger) as Arc<dyn ports::Tagger>;
        peers::router(edge, &office, peers::tagger())
    }
}
