//! Nodes in one process find each other without a network: each is named to the others before it exists.

use super::super::Node;
use crate::ports::NodePeer;
use async_trait::async_trait;
use hufu_kernel::{NodeIndex, Refusal};
use hufu_wire::api::peer::{
    AcceptanceReply, AskAcceptance, AskEntries, AskMoved, AskPromise, AskRows, AskStatements, AskSums, Entries, Level,
    Levelled, Moved, PromiseReply, Rows, Statements, Sums,
};
use std::sync::{Arc, OnceLock, Weak};

/// A node of this process, as its peers hold it. Sandboxes and tests; apart, it is a client over mutually authenticated HTTP.
#[derive(Debug, Default)]
pub struct Beside {
    node: OnceLock<Weak<Node>>,
}

impl Beside {
    /// Names the node, once it exists. It is not kept alive by its peers.
    pub fn is(&self, node: &Arc<Node>) {
        let _first_stays = self.node.set(Arc::downgrade(node));
    }

    fn node(&self) -> Result<Arc<Node>, Refusal> {
        self.node.get().and_then(Weak::upgrade).ok_or(Refusal::NodesUnavailable)
    }
}

#[async_trait]
impl NodePeer for Beside {
    async fn accept(&self, from: NodeIndex, ask: &AskAcceptance) -> Result<AcceptanceReply, Refusal> {
        NodePeer::accept(self.node()?.as_ref(), from, ask).await
    }

    async fn promise(&self, from: NodeIndex, ask: &AskPromise) -> Result<PromiseReply, Refusal> {
        NodePeer::promise(self.node()?.as_ref(), from, ask).await
    }

    async fn level(&self, from: NodeIndex, ask: &Level) -> Result<Levelled, Refusal> {
        NodePeer::level(self.node()?.as_ref(), from, ask).await
    }

    async fn statements(&self, from: NodeIndex, ask: &AskStatements) -> Result<Statements, Refusal> {
        NodePeer::statements(self.node()?.as_ref(), from, ask).await
    }

    async fn sums(&self, from: NodeIndex, ask: &AskSums) -> Result<Sums, Refusal> {
        NodePeer::sums(self.node()?.as_ref(), from, ask).await
    }

    async fn entries(&self, from: NodeIndex, ask: &AskEntries) -> Result<Entries, Refusal> {
        NodePeer::entries(self.node()?.as_ref(), from, ask).await
    }

    async fn rows(&self, from: NodeIndex, ask: &AskRows) -> Result<Rows, Refusal> {
        NodePeer::rows(self.node()?.as_ref(), from, ask).await
    }

    async fn moved(&self, from: NodeIndex, ask: &AskMoved) -> Result<Moved, Refusal> {
        NodePeer::moved(self.node()?.as_ref(), from, ask).await
    }
}
