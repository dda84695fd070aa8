//! The port between nodes over HTTP: as the other ports, but that the asking node is part of the question. Its certificate says which
//! it is; nothing in a message does.

use super::{Callers, Peer, PeerRoute};
use crate::routes::answered;
use async_trait::async_trait;
use hufu_kernel::{NodeIndex, Refusal};
use hufu_offices::ports::NodePeer;
use hufu_wire::api::peer::{
    AcceptanceReply, AskAcceptance, AskEntries, AskMoved, AskPromise, AskRows, AskStatements, AskSums, Entries, Level,
    Levelled, Moved, PromiseReply, Rows, Statements, Sums,
};
use std::sync::Arc;

/// The longest answer of a node to a node, in bytes: a page of rows' names, or some whole rows.
pub(super) const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Rows: `"/path" method(Message) -> Answer, "what it does";`. The trait takes the message by reference, and who asks.
macro_rules! between_nodes {
    ($($path:literal $method:ident($message:ty) -> $answer:ty, $what:literal;)*) => {
        /// A node elsewhere, as the other nodes see it.
        #[derive(Clone, Debug)]
        pub struct HttpNodePeer(pub Arc<Peer>);

        #[async_trait]
        impl NodePeer for HttpNodePeer {
            $(async fn $method(&self, _: NodeIndex, message: &$message) -> Result<$answer, Refusal> {
                self.0.call($path, message).await
            })*
        }

        /// The routes of [`NodePeer`].
        #[must_use]
        pub fn node_peer() -> &'static [PeerRoute<dyn NodePeer>] {
            &[$(PeerRoute {
                path: $path,
                callers: Callers::Nodes,
                what: $what,
                handler: |office, caller, bytes| {
                    answered(&bytes, move |message: $message| async move {
                        // The table lets nodes alone pass.
                        let from = caller.node().ok_or(Refusal::OfficeRefused)?;
                        office.$method(from, &message).await
                    })
                },
            },)*]
        }
    };
}

between_nodes! {
    "/office/v1/peer/accept"     accept(AskAcceptance) -> AcceptanceReply, "a vote for a statement";
    "/office/v1/peer/promise"    promise(AskPromise) -> PromiseReply, "a promise to one ballot";
    "/office/v1/peer/level"      level(Level) -> Levelled, "where a row is; who is behind catches up";
    "/office/v1/peer/statements" statements(AskStatements) -> Statements, "the statements after a version";
    "/office/v1/peer/sums"       sums(AskSums) -> Sums, "sums over many rows";
    "/office/v1/peer/entries"    entries(AskEntries) -> Entries, "where single rows stand";
    "/office/v1/peer/rows"       rows(AskRows) -> Rows, "whole rows";
    "/office/v1/peer/moved"      moved(AskMoved) -> Moved, "how far the rows have moved to new keys";
}
