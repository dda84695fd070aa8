//! Room for each office alone: whatever one of them takes, the others find theirs.

use super::PeerOffice;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Offices of a root, and one share more: for what has not said its name yet.
const SHARES: usize = 12;
/// Even a listener that is narrowly bounded leaves an office this many connections.
const LEAST: usize = 16;

/// As much for each office as for any other.
#[derive(Debug)]
pub(crate) struct Shares {
    each: usize,
    taken: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl Shares {
    /// So much for each.
    pub fn of(each: usize) -> Arc<Self> {
        Arc::new(Self { each, taken: Mutex::default() })
    }

    /// Each office's connections at a listener that serves so many in all.
    pub fn of_connections(all: usize) -> Arc<Self> {
        Self::of((all / SHARES).max(LEAST))
    }

    /// The callers have names of the roster, so there are few.
    fn share(&self, caller: &PeerOffice) -> Arc<Semaphore> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = taken.get(caller.name()) {
            return Arc::clone(share);
        }
        let share = Arc::new(Semaphore::new(self.each));
        taken.insert(caller.name().to_owned(), Arc::clone(&share));
        share
    }

    /// A place of the caller's share; nothing if it has all of them.
    pub fn take(&self, caller: &PeerOffice) -> Option<OwnedSemaphorePermit> {
        self.share(caller).try_acquire_owned().ok()
    }

    /// A place of the caller's share, when there is one.
    pub async fn wait(&self, caller: &PeerOffice) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        self.share(caller).acquire_owned().await.ok()
    }
}
