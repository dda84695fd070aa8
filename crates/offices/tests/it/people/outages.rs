//! Nodes that go away and come back, as tests say it.

use super::nodes::Nodes;
use super::world::World;
use hufu_domain::holder::Holder;
use hufu_kernel::{NodeIndex, Pair};
use hufu_offices::node::{Compared, Row, Settling, mark_restored, settle_by_order, unmark};
use hufu_store::{Paging, Select};
use hufu_wallet::SoftwareDevice;
use hufu_wire::api::holder::{Authority, Change, Statement, SubmitStatement};

impl World {
    /// These nodes are away, and no others.
    pub fn away(&self, nodes: impl IntoIterator<Item = NodeIndex>) {
        *self.faults.down.lock().unwrap() = nodes.into_iter().collect();
    }

    pub fn all_back(&self) {
        self.away([]);
    }

    /// What every node that is up does every few seconds, twice, since a vote is left alone for one turn.
    pub async fn turns(&self) {
        for _ in 0..2 {
            for node in self.up() {
                self.nodes.at(node).upkeep().await.unwrap();
            }
        }
    }

    pub fn up(&self) -> Vec<NodeIndex> {
        let down = self.faults.down.lock().unwrap().clone();
        NodeIndex::ALL.into_iter().filter(|node| !down.contains(node)).collect()
    }

    pub async fn compare(&self, node: NodeIndex) -> Compared {
        self.nodes.at(node).compare().await.unwrap()
    }

    pub async fn compare_all(&self) {
        for node in self.up() {
            self.compare(node).await;
        }
    }

    /// Puts a node's disk back, with the mark that whoever restores must set, and starts it again.
    pub async fn restore(&self, node: NodeIndex, backup: usize) {
        self.restore_unmarked(node, backup).await;
        let now = hufu_kernel::Clock::now(self.clock.as_ref());
        mark_restored(&self.node_stores[node.slot()], now, self.rng.as_ref()).await.unwrap();
        self.restart_node(node);
    }

    /// As somebody does who copies files.
    pub async fn restore_unmarked(&self, node: NodeIndex, backup: usize) {
        self.nodes.disk(node).restore(backup).await;
        self.restart_node(node);
    }

    /// The mark is taken away without a comparison.
    pub async fn unmark(&self, node: NodeIndex) {
        let now = hufu_kernel::Clock::now(self.clock.as_ref());
        unmark(&self.node_stores[node.slot()], now, self.rng.as_ref()).await.unwrap();
        self.restart_node(node);
    }

    /// What `hufu node settle` does at a node, and its next start.
    pub async fn settle(&self, node: NodeIndex, whose: NodeIndex) -> Settling {
        let now = hufu_kernel::Clock::now(self.clock.as_ref());
        let done = settle_by_order(&self.node_stores[node.slot()], node, whose, now, self.rng.as_ref()).await.unwrap();
        self.restart_node(node);
        done
    }

    pub fn backup(&self, node: NodeIndex) -> usize {
        Nodes::disk(&self.nodes, node).backup()
    }

    /// All rows of a node.
    pub async fn all_rows(&self, node: NodeIndex) -> Vec<Row> {
        let page = self.node_stores[node.slot()].scan::<Row>("root", Select::all(), Paging::first(1000)).await;
        page.unwrap().rows.into_iter().map(|row| row.record).collect()
    }

    /// The only row of a node.
    pub async fn only_row(&self, node: NodeIndex) -> Row {
        let rows = self.all_rows(node).await;
        assert_eq!(rows.len(), 1, "node {node}");
        rows.into_iter().next().unwrap()
    }

    /// The common state that all three have; they must be one.
    pub async fn one_row(&self) -> Holder {
        let one = self.only_row(NodeIndex::ALL[0]).await;
        for node in NodeIndex::ALL {
            let row = self.only_row(node).await;
            assert_eq!(row.holder, one.holder, "node {node}");
            assert_eq!(row.commitments, one.commitments, "node {node}");
            assert!(row.vote.is_none(), "node {node}");
        }
        one.holder
    }
}

/// The pair of two nodes.
pub fn pair(a: NodeIndex, b: NodeIndex) -> Pair {
    Pair::new(a, b).unwrap()
}

/// A change as a device signs it, for the row as `holder` has it: what a wallet sends, for tests that choose whom to send it to.
pub async fn signed(world: &World, device: &SoftwareDevice, holder: &Holder, change: Change) -> SubmitStatement {
    let t = hufu_kernel::Clock::now(world.clock.as_ref());
    let statement = Statement { version: holder.version, head: holder.head, t, change };
    let bytes = serde_json::to_vec(&statement).unwrap();
    let ctx = hufu_pairwise::statement_context::<hufu_pairwise::Intl>(&bytes);
    let label = hufu_domain::holder::label(&statement.change);
    let chal = hufu_pairwise::challenge::<hufu_pairwise::Intl>(label, None, &[], &ctx, None, t);
    let assertion = hufu_wallet::Device::assert(device, &chal).await.unwrap();
    SubmitStatement { statement: bytes.into(), authority: Authority::Device(assertion), pair: None }
}
