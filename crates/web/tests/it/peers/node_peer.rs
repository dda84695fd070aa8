//! The port between nodes: nodes alone may ask, and who asks is what the certificate says.

use super::world::*;
use async_trait::async_trait;
use hufu_kernel::{Head, NodeIndex, Octets, Refusal};
use hufu_offices::ports::NodePeer;
use hufu_web::peers;
use hufu_web::serve::finished;
use hufu_wire::api::peer::*;
use hufu_wire::api::roster::OFFICES;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Notes who asks; answers one question.
#[derive(Default)]
struct Notes(Mutex<Vec<NodeIndex>>);

#[async_trait]
impl NodePeer for Notes {
    async fn accept(&self, _: NodeIndex, _: &AskAcceptance) -> Result<AcceptanceReply, Refusal> {
        Err(Refusal::Busy)
    }
    async fn promise(&self, _: NodeIndex, _: &AskPromise) -> Result<PromiseReply, Refusal> {
        Err(Refusal::Busy)
    }
    async fn level(&self, from: NodeIndex, ask: &Level) -> Result<Levelled, Refusal> {
        self.0.lock().unwrap().push(from);
        Ok(Levelled { version: ask.version, head: Head::default() })
    }
    async fn statements(&self, _: NodeIndex, _: &AskStatements) -> Result<Statements, Refusal> {
        Err(Refusal::Busy)
    }
    async fn sums(&self, _: NodeIndex, _: &AskSums) -> Result<Sums, Refusal> {
        Err(Refusal::Busy)
    }
    async fn entries(&self, _: NodeIndex, _: &AskEntries) -> Result<Entries, Refusal> {
        Err(Refusal::Busy)
    }
    async fn rows(&self, _: NodeIndex, _: &AskRows) -> Result<Rows, Refusal> {
        Err(Refusal::Busy)
    }
    async fn moved(&self, _: NodeIndex, _: &AskMoved) -> Result<Moved, Refusal> {
        Err(Refusal::Busy)
    }
}

#[tokio::test]
async fn nodes_alone_may_ask_and_the_certificate_says_which_one() {
    let world = World::new();
    let notes = Arc::new(Notes::default());
    let routes = peers::router(&edge(), &(Arc::clone(&notes) as Arc<dyn NodePeer>), peers::node_peer());
    let served = world.serve("node-1", finished(&edge(), routes)).await;
    for office in OFFICES.into_iter().filter(|office| *office != "node-1") {
        let peer = world.peer(office, "node-1", served.port);
        for route in peers::node_peer() {
            let wanted = if office.starts_with("node-") { Refusal::Malformed } else { Refusal::OfficeRefused };
            assert_eq!(peer.call::<_, Value>(route.path, &json!({})).await, Err(wanted), "{office} {}", route.path);
        }
    }
    let ask = Level { row: Octets([1; 32]), version: 7 };
    for (index, name) in [(2, "node-2"), (3, "node-3")] {
        let client = peers::HttpNodePeer(world.peer(name, "node-1", served.port));
        // Whatever the asker says it is.
        let answer = client.level(NodeIndex::ALL[0], &ask).await.unwrap();
        assert_eq!(answer.version, 7);
        assert_eq!(notes.0.lock().unwrap().pop().map(NodeIndex::get), Some(index));
    }
}
