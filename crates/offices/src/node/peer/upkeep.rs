//! What a node does every few seconds beside what it is asked: votes that nobody came back for, peers that missed a change, and whether it
//! missed a rotation itself.

use super::super::{Node, Row};
use super::serve::is_pending;
use hufu_kernel::{Blame, Handle, NodeIndex, Refusal};
use hufu_store::Select;
use hufu_wire::api::peer::AskMoved;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Peers' rows to be brought up, at most; beyond it the comparison of all rows finds them.
const OWED: usize = 100_000;

/// Votes looked at in one turn.
const VOTES: usize = 10_000;

/// What is open between this node and its peers, by row, in this process.
#[derive(Default)]
pub(super) struct Open {
    /// Rows this node was the first to change, and who may not have heard.
    owed: Mutex<BTreeSet<(Handle, NodeIndex)>>,
    /// Confirmed rows that cannot come to life as this node holds them: the peers' take their place.
    waiting: Mutex<BTreeSet<Handle>>,
    /// Rows that had an open vote the last time; younger votes are in good hands.
    voted: Mutex<BTreeSet<Handle>>,
}

impl Node {
    /// The peers are to hear of this change, if nobody else tells them.
    pub(super) fn owe(&self, handle: &Handle) {
        let mut owed = self.beyond.open.owed.lock().unwrap_or_else(PoisonError::into_inner);
        if owed.len() < OWED {
            owed.extend(self.others().map(|peer| (*handle, peer)));
        }
    }

    /// This row is to be taken from the peers.
    pub(in super::super) fn wait_for_peers(&self, handle: &Handle) {
        let mut waiting = self.beyond.open.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < OWED {
            waiting.insert(*handle);
        }
    }

    async fn take_waiting(&self) {
        let waiting = std::mem::take(&mut *self.beyond.open.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for handle in waiting {
            let mut taken = false;
            for peer in self.others() {
                taken = taken || self.catch_up(peer, &handle).await.unwrap_or_default();
            }
            // One that is in use by now, or gone, waits no more.
            if !taken && self.row_at(&handle).await.is_ok_and(|found| is_pending(&found.record)) {
                self.wait_for_peers(&handle);
            }
        }
    }

    /// Ends votes that have been open for a whole turn, brings up peers that missed a change, and moves some rows to new K_A while
    /// there are two generations. Every few seconds.
    ///
    /// # Errors
    /// The store's.
    pub async fn upkeep(&self) -> Result<(), Refusal> {
        self.look_at_standing().await?;
        self.look_for_keys().await?;
        self.look_for_missed_keys().await?;
        if !self.is_settled().await? {
            return Ok(());
        }
        let ended = self.end_votes().await;
        self.take_waiting().await;
        self.pay().await;
        self.advance().await?;
        ended
    }

    /// Who missed a rotation goes on with old keys by itself, and who was given keys that nobody else has goes on with those; both would
    /// spoil what is made with the right ones. Both peers together know better; one alone that has the same keys is enough to go on.
    async fn look_for_missed_keys(&self) -> Result<(), Refusal> {
        let generations = self.generations();
        let newest = generations.newest();
        let mut told = Vec::new();
        for peer in self.in_order(None) {
            if let Ok(moved) = self.peer(peer).moved(self.index, &AskMoved { generation: newest }).await {
                // Of a generation that this node has not got, or the peer no more, nothing can be said.
                let known = generations.has(moved.newest) && moved.check.is_some();
                let same =
                    known.then(|| self.check_of(moved.newest, peer, peer)).transpose()?.map(|own| own == moved.check);
                told.push((moved, same));
            }
        }
        if told.iter().any(|(moved, same)| *same == Some(true) && moved.newest == newest) {
            self.shares_keys().await?;
        }
        if told.len() < 2 {
            return Ok(());
        }
        let counts = generations.at(self.clock.now());
        if told.iter().all(|(moved, same)| *same == Some(false) || moved.newest < counts) {
            self.has_keys_alone().await?;
        }
        let Some(counts) = told.iter().map(|(moved, _)| moved.generation).min().filter(|counts| *counts > newest)
        else {
            return Ok(());
        };
        if self.has_keys_that_count() {
            tracing::error!(
                newest,
                counts,
                "both other nodes go by keys that this node never got: nothing is signed with the old ones"
            );
        }
        self.lacks_keys_of(counts).await
    }

    async fn pay(&self) {
        let owed = std::mem::take(&mut *self.beyond.open.owed.lock().unwrap_or_else(PoisonError::into_inner));
        let mut silent = BTreeSet::new();
        let mut later = BTreeSet::new();
        for (handle, peer) in owed {
            self.heal(&handle).await;
            if silent.contains(&peer) {
                later.insert((handle, peer));
                continue;
            }
            // One that has left since owes nothing.
            let Ok(found) = self.row_at(&handle).await else { continue };
            match self.level_of(peer, &found.record).await {
                Err(refusal) if refusal.text().blame == Blame::Service && refusal != Refusal::NodesDisagree => {
                    silent.insert(peer);
                    later.insert((handle, peer));
                }
                // It is where this node is, or has a reason that the comparison of all rows finds again.
                _ => {}
            }
        }
        self.beyond.open.owed.lock().unwrap_or_else(PoisonError::into_inner).extend(later);
    }

    /// Asks for the others' commitments where nobody has carried them.
    pub(super) async fn heal(&self, handle: &Handle) {
        let Ok(found) = self.row_at(handle).await else { return };
        if lacks(&found.record)
            && let Err(refusal) = self.healed(handle).await
        {
            tracing::debug!(code = refusal.code(), "the peers' commitments are still to come");
        }
    }

    async fn end_votes(&self) -> Result<(), Refusal> {
        let voted = self.store.scan_up_to::<Row>("voted", Select::all(), VOTES).await?;
        let now: BTreeSet<Handle> = voted.into_iter().map(|found| found.record.handle).collect();
        let before = {
            let mut seen = self.beyond.open.voted.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *seen, now.clone())
        };
        for handle in now.intersection(&before) {
            match self.end_vote(handle).await {
                Ok(_) | Err(Refusal::UnknownDevice) => {}
                Err(refusal) => tracing::debug!(code = refusal.code(), "a vote stays open"),
            }
        }
        Ok(())
    }
}

/// Whether a row in use lacks somebody's commitments.
pub(super) fn lacks(row: &Row) -> bool {
    let held = &row.commitments;
    let all = held.pseudonym.iter().chain(&held.epoch).chain(&held.password);
    !is_pending(row) && all.into_iter().any(Option::is_none)
}
