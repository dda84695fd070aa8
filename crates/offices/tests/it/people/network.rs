//! Calls between offices that fail on demand.

use super::nodes::Nodes;
use async_trait::async_trait;
use hufu_kernel::{NodeIndex, Refusal};
use hufu_offices::ports;
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{Activate, HolderReply, SealedHolder};
use hufu_wire::api::recovery::{FindRow, RowFound, SealedRecovery};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Counts calls between offices and breaks one of them: before it is carried out, or after, when only the answer is lost.
#[derive(Default)]
pub struct Faults {
    pub calls: Mutex<usize>,
    pub break_at: Mutex<Option<(usize, When)>>,
    pub down: Mutex<BTreeSet<NodeIndex>>,
    /// Nodes that hear of no recovery.
    pub deaf: Mutex<BTreeSet<NodeIndex>>,
    /// Calls between nodes that are lost: from, to, method.
    pub lost: Mutex<Option<Lost>>,
    /// Calls between nodes whose answers are lost.
    pub unheard: Mutex<Option<Lost>>,
    /// Changes what a node answers to another: from, to, method.
    pub liar: Mutex<Option<Liar>>,
    /// Every call between nodes.
    pub heard: Mutex<Vec<(NodeIndex, NodeIndex, String)>>,
}

pub type Lost = Box<dyn Fn(NodeIndex, NodeIndex, &str) -> bool + Send>;
pub type Liar = Box<dyn FnMut(NodeIndex, NodeIndex, &str, &mut serde_json::Value) + Send>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    Before,
    After,
}

impl Faults {
    pub(super) fn enter(&self) -> Option<When> {
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        self.break_at.lock().unwrap().filter(|(at, _)| *at == *calls).map(|(_, when)| when)
    }

    pub(super) async fn through<T>(&self, call: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        match self.enter() {
            Some(When::Before) => Err(Refusal::Internal),
            Some(When::After) => {
                let _ = call.await;
                Err(Refusal::Internal)
            }
            None => call.await,
        }
    }
}

macro_rules! faulty {
    ($name:ident, $port:ident { $($method:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)* }) => {
        pub struct $name<P>(pub Arc<P>, pub Arc<Faults>);
        #[async_trait]
        impl<P: ports::$port + 'static> ports::$port for $name<P> {
            $(async fn $method(&self, $($arg: $ty),*) -> Result<$ret, Refusal> {
                self.1.through(self.0.$method($($arg),*)).await
            })*
        }
    };
}
pub(super) use faulty;

/// A node as the registrar reaches it.
pub struct Reached(pub NodeIndex, pub Arc<Nodes>, pub Arc<Faults>);

#[async_trait]
impl ports::Node for Reached {
    async fn new_holder(&self, request: &Signed<SealedHolder>) -> Result<HolderReply, Refusal> {
        self.2.up(self.0)?;
        self.2.through(ports::Node::new_holder(self.1.at(self.0).as_ref(), request)).await
    }

    async fn activate(&self, request: &Activate) -> Result<(), Refusal> {
        self.2.up(self.0)?;
        self.2.through(ports::Node::activate(self.1.at(self.0).as_ref(), request)).await
    }

    async fn find_row(&self, request: &Signed<FindRow>) -> Result<RowFound, Refusal> {
        self.2.up(self.0)?;
        self.2.through(ports::Node::find_row(self.1.at(self.0).as_ref(), request)).await
    }

    async fn recover(&self, request: &Signed<SealedRecovery>) -> Result<(), Refusal> {
        self.2.up(self.0)?;
        if self.2.deaf.lock().unwrap().contains(&self.0) {
            return Err(Refusal::NodesUnavailable);
        }
        self.2.through(ports::Node::recover(self.1.at(self.0).as_ref(), request)).await
    }
}

impl Faults {
    pub(super) fn on_peer_call(&self, from: NodeIndex, to: NodeIndex, method: &str) -> Result<(), Refusal> {
        self.heard.lock().unwrap().push((from, to, method.to_owned()));
        let lost = self.lost.lock().unwrap().as_ref().is_some_and(|lost| lost(from, to, method));
        if lost { Err(Refusal::NodesUnavailable) } else { Ok(()) }
    }

    pub(super) fn answer_arrives(&self, from: NodeIndex, to: NodeIndex, method: &str) -> Result<(), Refusal> {
        let lost = self.unheard.lock().unwrap().as_ref().is_some_and(|lost| lost(from, to, method));
        if lost { Err(Refusal::NodesUnavailable) } else { Ok(()) }
    }

    /// Whether somebody lies at all.
    pub(super) fn lie(&self, from: NodeIndex, to: NodeIndex, method: &str, answer: &mut serde_json::Value) -> bool {
        let mut liar = self.liar.lock().unwrap();
        liar.as_mut().map(|liar| liar(from, to, method, answer)).is_some()
    }

    pub(super) fn up(&self, index: NodeIndex) -> Result<(), Refusal> {
        if self.down.lock().unwrap().contains(&index) { Err(Refusal::NodesUnavailable) } else { Ok(()) }
    }
}
