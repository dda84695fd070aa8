//! A node at work.

use super::{Premises, Running, SWEEP_EVERY, Surroundings, store_reasons, store_sweep, swept};
use crate::failure::Failure;
use async_trait::async_trait;
use axum::Router;
use hufu_kernel::{Clock, NodeIndex, offices};
use hufu_offices::node::{self, Node, NodeParts, Row};
use hufu_offices::ports;
use hufu_store::{Counts, Store};
use hufu_web::peers;
use hufu_web::reply::Edge;
use hufu_web::serve::Stop;
use hufu_wire::api::peer::Moved;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Whom a node asks.
#[derive(Clone)]
pub struct Neighbours {
    /// Uniqueness, for pending rows and leaving.
    pub uniqueness: Arc<dyn ports::Uniqueness>,
    /// Post, for notices and leaving.
    pub post: Arc<dyn ports::Post>,
    /// The other two nodes, in order.
    pub peers: [Arc<dyn ports::NodePeer>; 2],
}

/// How often all rows are compared with the other nodes'. A node that is restored or was away is compared at its start.
const COMPARE_EVERY: Duration = Duration::from_secs(600);
/// After a comparison that left something open, for a peer was away.
const COMPARE_AGAIN: Duration = Duration::from_secs(15);
/// The same for a node that signs nothing before; longer where the rows are many.
const COMPARE_SOON: Duration = Duration::from_secs(1);

/// The other two nodes of one, in order.
///
/// # Errors
/// What `of` answers.
pub fn others<T, E>(index: NodeIndex, mut of: impl FnMut(NodeIndex) -> Result<T, E>) -> Result<[T; 2], E> {
    let [one, two, three] = NodeIndex::ALL;
    let [a, b] = match index.slot() {
        0 => [two, three],
        1 => [one, three],
        _ => [one, two],
    };
    Ok([of(a)?, of(b)?])
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
        peers: neighbours.peers,
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
        let peer = Arc::clone(&self.node) as Arc<dyn ports::NodePeer>;
        let handles = Arc::clone(&self.node) as Arc<dyn ports::SubjectHandles>;
        peers::router(edge, &office, peers::node())
            .merge(peers::router(edge, &peer, peers::node_peer()))
            .merge(peers::router(edge, &handles, peers::subject_handles()))
    }

    async fn sweep(&self) {
        self.node.sweep_sessions();
        swept(self.name, self.node.sweep_pending().await);
        swept(self.name, self.node.upkeep().await.map(|()| 0));
        swept(self.name, store_sweep(&self.store, self.clock.as_ref()).await);
    }

    async fn work(self: Arc<Self>, stop: Stop) {
        tokio::join!(self.sweeping(stop.clone()), self.comparing(stop));
    }

    async fn reasons(&self) -> Vec<String> {
        [store_reasons::<Row>(&self.store).await, self.node.reasons().await].concat()
    }

    fn notes(&self) -> Vec<String> {
        self.node.notes()
    }

    fn counts(&self) -> Option<Counts> {
        Some(self.store.counts())
    }

    fn moved(&self) -> Option<Moved> {
        Some(self.node.has_moved())
    }
}

impl RunningNode {
    async fn sweeping(&self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                () = stop.stopped() => return,
            }
            self.sweep().await;
        }
    }

    /// All rows against the other nodes', at the start and every few minutes: soon again where a peer was away, later where the rows
    /// are so many that it takes long.
    async fn comparing(&self, mut stop: Stop) {
        loop {
            let began = Instant::now();
            let whole = self.compare().await;
            let took = began.elapsed() * 20;
            let pause = match whole {
                true => COMPARE_EVERY.max(took),
                false if self.node.reasons().await.is_empty() => COMPARE_AGAIN,
                false => took.clamp(COMPARE_SOON, COMPARE_AGAIN),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.stopped() => return,
            }
        }
    }

    /// Whether both peers answered to the end and nothing is left open.
    pub(super) async fn compare(&self) -> bool {
        match self.node.compare().await {
            Ok(done) => {
                if done.fetched + done.adopted + done.left + done.open > 0 {
                    tracing::info!(office = self.name, ?done, "rows compared with the other nodes");
                }
                done.peers == 2 && done.open == 0
            }
            Err(refusal) => {
                tracing::warn!(office = self.name, code = refusal.code(), "rows were not compared; it is repeated");
                false
            }
        }
    }
}
