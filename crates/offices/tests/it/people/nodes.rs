//! The three nodes, which can be restarted and put back to a backup, and the network between them, which fails and lies on demand.

use super::network::Faults;
use super::stores::Kept;
use async_trait::async_trait;
use hufu_kernel::{NodeIndex, Refusal};
use hufu_offices::node::{self, Node, NodeParts};
use hufu_offices::ports::{self, NodePeer};
use hufu_store::{Store, TrustRoot};
use hufu_wire::api::peer::{
    AcceptanceReply, AskAcceptance, AskEntries, AskMoved, AskPromise, AskRows, AskStatements, AskSums, Entries, Level,
    Levelled, Moved, PromiseReply, Rows, Statements, Sums,
};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::{Arc, RwLock};

type Store3 = [Store<hufu_kernel::offices::Node>; 3];

/// The nodes as they run now.
pub struct Nodes {
    running: RwLock<Vec<Arc<Node>>>,
    disks: [Arc<Kept>; 3],
    pub stores: Store3,
}

impl Nodes {
    /// Starts all three; `parts` gives everything but store and peers.
    pub fn start(root: TrustRoot, faults: &Arc<Faults>, parts: impl Fn(NodeIndex, Wiring) -> NodeParts) -> Arc<Self> {
        let disks = NodeIndex::ALL.map(|index| Arc::new(Kept::new(node::schema(root, index).catalogue().unwrap())));
        let stores = NodeIndex::ALL
            .map(|index| Store::over(Arc::clone(&disks[index.slot()]) as _, &node::schema(root, index)).unwrap());
        let nodes = Arc::new(Self { running: RwLock::default(), disks, stores });
        for index in NodeIndex::ALL {
            let node = Node::new(parts(index, nodes.wiring(index, faults))).unwrap();
            nodes.running.write().unwrap().push(Arc::new(node));
        }
        nodes.found();
        *faults.calls.lock().unwrap() = 0;
        faults.heard.lock().unwrap().clear();
        nodes
    }

    /// Three nodes with nothing in their stores hear from each other that there is nothing, as when a deployment begins.
    fn found(&self) {
        let nodes = self.each();
        let founding = async move {
            for node in nodes {
                assert_eq!(node.compare().await.unwrap(), node::Compared { peers: 2, ..node::Compared::default() });
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        std::thread::spawn(move || runtime.block_on(founding)).join().unwrap();
    }

    pub fn wiring(self: &Arc<Self>, from: NodeIndex, faults: &Arc<Faults>) -> Wiring {
        let others: Vec<_> = NodeIndex::ALL.into_iter().filter(|to| *to != from).collect();
        let peer = |at: usize| {
            Arc::new(ReachedPeer { to: others[at], nodes: Arc::clone(self), faults: Arc::clone(faults) }) as _
        };
        Wiring { store: self.stores[from.slot()].clone(), peers: [peer(0), peer(1)] }
    }

    pub fn at(&self, index: NodeIndex) -> Arc<Node> {
        Arc::clone(&self.running.read().unwrap()[index.slot()])
    }

    pub fn each(&self) -> Vec<Arc<Node>> {
        self.running.read().unwrap().clone()
    }

    /// The process ends and another one begins: nothing in memory is left.
    pub fn replace(&self, index: NodeIndex, node: Node) {
        self.running.write().unwrap()[index.slot()] = Arc::new(node);
    }

    pub fn disk(&self, index: NodeIndex) -> &Kept {
        &self.disks[index.slot()]
    }
}

/// What a node finds when it starts.
pub struct Wiring {
    pub store: Store<hufu_kernel::offices::Node>,
    pub peers: [Arc<dyn ports::NodePeer>; 2],
}

/// A node as another one reaches it.
struct ReachedPeer {
    to: NodeIndex,
    nodes: Arc<Nodes>,
    faults: Arc<Faults>,
}

impl ReachedPeer {
    async fn ask<T: Serialize + DeserializeOwned>(
        &self,
        from: NodeIndex,
        method: &str,
        call: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        self.faults.up(self.to)?;
        self.faults.up(from)?;
        self.faults.on_peer_call(from, self.to, method)?;
        let answer = self.faults.through(call).await?;
        self.faults.answer_arrives(from, self.to, method)?;
        let mut value = serde_json::to_value(&answer).unwrap();
        if self.faults.lie(from, self.to, method, &mut value) {
            return serde_json::from_value(value).map_err(|_| Refusal::Malformed);
        }
        Ok(answer)
    }
}

#[async_trait]
impl NodePeer for ReachedPeer {
    async fn accept(&self, from: NodeIndex, ask: &AskAcceptance) -> Result<AcceptanceReply, Refusal> {
        self.ask(from, "accept", NodePeer::accept(self.nodes.at(self.to).as_ref(), from, ask)).await
    }
    async fn promise(&self, from: NodeIndex, ask: &AskPromise) -> Result<PromiseReply, Refusal> {
        self.ask(from, "promise", NodePeer::promise(self.nodes.at(self.to).as_ref(), from, ask)).await
    }
    async fn level(&self, from: NodeIndex, ask: &Level) -> Result<Levelled, Refusal> {
        self.ask(from, "level", NodePeer::level(self.nodes.at(self.to).as_ref(), from, ask)).await
    }
    async fn statements(&self, from: NodeIndex, ask: &AskStatements) -> Result<Statements, Refusal> {
        self.ask(from, "statements", NodePeer::statements(self.nodes.at(self.to).as_ref(), from, ask)).await
    }
    async fn sums(&self, from: NodeIndex, ask: &AskSums) -> Result<Sums, Refusal> {
        self.ask(from, "sums", NodePeer::sums(self.nodes.at(self.to).as_ref(), from, ask)).await
    }
    async fn entries(&self, from: NodeIndex, ask: &AskEntries) -> Result<Entries, Refusal> {
        self.ask(from, "entries", NodePeer::entries(self.nodes.at(self.to).as_ref(), from, ask)).await
    }
    async fn rows(&self, from: NodeIndex, ask: &AskRows) -> Result<Rows, Refusal> {
        self.ask(from, "rows", NodePeer::rows(self.nodes.at(self.to).as_ref(), from, ask)).await
    }
    async fn moved(&self, from: NodeIndex, ask: &AskMoved) -> Result<Moved, Refusal> {
        self.ask(from, "moved", NodePeer::moved(self.nodes.at(self.to).as_ref(), from, ask)).await
    }
}
