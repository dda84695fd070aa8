//! Room for each office's questions alone: whatever one of them takes, the others find theirs, and its own wait.

use super::PeerOffice;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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

    /// A place of the caller's share, when there is one.
    pub async fn wait(&self, caller: &PeerOffice) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        self.share(caller).acquire_owned().await.ok()
    }
}
