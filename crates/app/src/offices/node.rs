//! A node at work.

use super::{Premises, Running, Surroundings, store_reasons, store_sweep, swept};
use crate::failure::Failure;
use async_trait::async_trait;
use axum::Router;
use hufu_kernel::{Clock, NodeIndex, offices};
use hufu_offices::node::{self, Node, NodeParts, Row};
use hufu_offices::ports;
use hufu_store::{Counts, Store};
use hufu_web::peers;
use hufu_web::reply::Edge;
use std::sync::Arc;

/// Whom a node asks.
#[derive(Clone)]
pub struct Neighbours {
    /// Uniqueness, for pending rows and leaving.
    pub uniqueness: Arc<dyn ports::Uniqueness>,
    /// Post, for notices and leaving.
    pub post: Arc<dyn ports::Post>,
}

/// The office with what keeps it going.
pub struct RunningNode {
    /// The office.
    pub node: Arc<Node>,
    name: &'static str,
    store: Store<offices::Node>,
    clock: Arc<dyn Clock>,
}

/// Opens the node's store and starts it.
///
/// # Errors
/// [`Failure`] naming the office.
pub async fn start(
    index: NodeIndex,
    own: &Premises,
    around: &Surroundings,
    neighbours: Neighbours,
) -> Result<Arc<RunningNode>, Failure> {
    let store = own.store(&node::schema(own.folder.trust_root(), index)).await?;
    // Without a public half nobody believes the key: such a root has no `basic` clients.
    let rs256 = around.trust.node(index).rs256.as_ref().map(|_| own.rs256()).transpose()?;
    let parts = NodeParts {
        index,
        trust: Arc::clone(&around.trust),
        keys: Arc::clone(&own.keys),
        rs256,
        store: store.clone(),
        clock: Arc::clone(&around.clock),
        rng: Arc::clone(&around.rng),
        rules: Arc::clone(&around.rules),
        uniqueness: neighbours.uniqueness,
        post: neighbours.post,
    };
    let node = Node::new(parts).map(Arc::new).map_err(|refusal| own.refused(refusal))?;
    Ok(Arc::new(RunningNode { node, name: own.office, store, clock: Arc::clone(&around.clock) }))
}

#[async_trait]
impl Running for RunningNode {
    fn name(&self) -> &'static str {
        self.name
    }

    fn public(&self, edge: &Edge) -> Option<Router> {
        Some(hufu_web::node::router(edge, &self.node))
    }

    fn internal(&self, edge: &Edge) -> Router {
        let office = Arc::clone(&self.node) as Arc<dyn ports::Node>;
        peers::router(edge, &office, peers::node())
    }

    async fn sweep(&self) {
        self.node.sweep_sessions();
        swept(self.name, self.node.sweep_pending().await);
        swept(self.name, store_sweep(&self.store, self.clock.as_ref()).await);
    }

    async fn reasons(&self) -> Vec<String> {
        store_reasons::<Row>(&self.store).await
    }

    fn counts(&self) -> Option<Counts> {
        Some(self.store.counts())
    }
}
