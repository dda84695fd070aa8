//! The registrar at work.

use super::{Premises, Running, Surroundings, store_reasons, swept};
use crate::failure::Failure;
use async_trait::async_trait;
use axum::Router;
use hufu_kernel::offices;
use hufu_offices::ports::{self, FaceDecision, IdentitySource};
use hufu_offices::registrar::{self, Enrolment, Registrar, RegistrarParts};
use hufu_store::{Counts, Store};
use hufu_web::health;
use hufu_web::reply::Edge;
use hufu_wire::api::trust::Trust;
use std::sync::Arc;

/// Whom the registrar asks: the world outside, and the other offices.
#[derive(Clone)]
pub struct Neighbours {
    /// The civil register.
    pub identity: Arc<dyn IdentitySource>,
    /// The face step.
    pub face: Arc<dyn FaceDecision>,
    /// The taggers, 1 to 3.
    pub taggers: [Arc<dyn ports::Tagger>; 3],
    /// Uniqueness.
    pub uniqueness: Arc<dyn ports::Uniqueness>,
    /// Post.
    pub post: Arc<dyn ports::Post>,
    /// The nodes, 1 to 3.
    pub nodes: [Arc<dyn ports::Node>; 3],
}

/// The office with what keeps it going.
pub struct RunningRegistrar {
    /// The office.
    pub registrar: Arc<Registrar>,
    store: Store<offices::Registrar>,
    trust: Arc<Trust>,
}

/// Opens the registrar's store and starts it.
///
/// # Errors
/// [`Failure`] naming the office.
pub async fn start(
    own: &Premises,
    around: &Surroundings,
    neighbours: Neighbours,
) -> Result<Arc<RunningRegistrar>, Failure> {
    let store = own.store(&registrar::schema(own.folder.trust_root())).await?;
    let registrar = Registrar::new(RegistrarParts {
        trust: Arc::clone(&around.trust),
        keys: Arc::clone(&own.keys),
        store: store.clone(),
        clock: Arc::clone(&around.clock),
        rng: Arc::clone(&around.rng),
        rules: Arc::clone(&around.rules),
        identity: neighbours.identity,
        face: neighbours.face,
        taggers: neighbours.taggers,
        uniqueness: neighbours.uniqueness,
        post: neighbours.post,
        nodes: neighbours.nodes,
    });
    Ok(Arc::new(RunningRegistrar { registrar: Arc::new(registrar), store, trust: Arc::clone(&around.trust) }))
}

#[async_trait]
impl Running for RunningRegistrar {
    fn name(&self) -> &'static str {
        "registrar"
    }

    fn public(&self, edge: &Edge) -> Option<Router> {
        let trust = health::public_document(health::TRUST_PATH, self.trust.as_ref());
        Some(hufu_web::registrar::router(edge, &self.registrar).merge(trust))
    }

    fn internal(&self, _: &Edge) -> Router {
        Router::new()
    }

    async fn sweep(&self) {
        swept("registrar", self.registrar.sweep().await);
    }

    async fn reasons(&self) -> Vec<String> {
        store_reasons::<Enrolment>(&self.store).await
    }

    fn counts(&self) -> Option<Counts> {
        Some(self.store.counts())
    }
}
