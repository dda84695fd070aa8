//! Uniqueness at work.

use super::{Premises, Running, Surroundings, store_reasons, swept};
use crate::failure::Failure;
use async_trait::async_trait;
use axum::Router;
use hufu_kernel::offices;
use hufu_offices::ports;
use hufu_offices::uniqueness::{self, Tag, Uniqueness};
use hufu_store::{Counts, Store};
use hufu_web::peers;
use hufu_web::reply::Edge;
use std::sync::Arc;

/// The office with what keeps it going.
pub struct RunningUniqueness {
    /// The office.
    pub uniqueness: Arc<Uniqueness>,
    store: Store<offices::Uniqueness>,
}

/// Opens the store of uniqueness and starts it.
///
/// # Errors
/// [`Failure`] naming the office.
pub async fn start(own: &Premises, around: &Surroundings) -> Result<Arc<RunningUniqueness>, Failure> {
    let store = own.store(&uniqueness::schema(own.folder.trust_root())).await?;
    let (trust, clock) = (Arc::clone(&around.trust), Arc::clone(&around.clock));
    let uniqueness = Arc::new(Uniqueness::new(trust, Arc::clone(&own.keys), store.clone(), clock));
    Ok(Arc::new(RunningUniqueness { uniqueness, store }))
}

#[async_trait]
impl Running for RunningUniqueness {
    fn name(&self) -> &'static str {
        "uniqueness"
    }

    fn public(&self, _: &Edge) -> Option<Router> {
        None
    }

    fn internal(&self, edge: &Edge) -> Router {
        let office = Arc::clone(&self.uniqueness) as Arc<dyn ports::Uniqueness>;
        peers::router(edge, &office, peers::uniqueness())
    }

    async fn sweep(&self) {
        swept("uniqueness", self.uniqueness.sweep().await);
    }

    async fn reasons(&self) -> Vec<String> {
        store_reasons::<Tag>(&self.store).await
    }

    fn counts(&self) -> Option<Counts> {
        Some(self.store.counts())
    }
}
