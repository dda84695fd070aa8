//! Calls between offices that fail on demand.

use async_trait::async_trait;
use hufu_kernel::{NodeIndex, Refusal};
use hufu_offices::node::Node;
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
}

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
pub struct Reached(pub Arc<Node>, pub Arc<Faults>);

#[async_trait]
impl ports::Node for Reached {
    async fn new_holder(&self, request: &Signed<SealedHolder>) -> Result<HolderReply, Refusal> {
        self.1.up(self.0.index())?;
        self.1.through(ports::Node::new_holder(self.0.as_ref(), request)).await
    }

    async fn activate(&self, request: &Activate) -> Result<(), Refusal> {
        self.1.up(self.0.index())?;
        self.1.through(ports::Node::activate(self.0.as_ref(), request)).await
    }

    async fn find_row(&self, request: &Signed<FindRow>) -> Result<RowFound, Refusal> {
        self.1.up(self.0.index())?;
        self.1.through(ports::Node::find_row(self.0.as_ref(), request)).await
    }

    async fn recover(&self, request: &Signed<SealedRecovery>) -> Result<(), Refusal> {
        self.1.up(self.0.index())?;
        if self.1.deaf.lock().unwrap().contains(&self.0.index()) {
            return Err(Refusal::NodesUnavailable);
        }
        self.1.through(ports::Node::recover(self.0.as_ref(), request)).await
    }
}

impl Faults {
    fn up(&self, index: NodeIndex) -> Result<(), Refusal> {
        if self.down.lock().unwrap().contains(&index) { Err(Refusal::NodesUnavailable) } else { Ok(()) }
    }
}
