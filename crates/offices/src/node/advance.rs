//! Rows move to new K_A (docs/decisions/0017): a page of them in every turn, until all have been looked at and none is left behind.
//!
//! Sign-ins do not wait for it, since they compute what they need ([`super::generations`]); old K_A and Z do.

use super::{Node, Row, gate};
use hufu_domain::holder::Status;
use hufu_kernel::{Handle, Refusal, Timestamp};
use hufu_store::{Cursor, Paging, Select};
use hufu_wire::api::peer::Moved;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows looked at in one turn.
const PAGE: u32 = 500;

/// Seconds after a pass before the next one.
const AGAIN: i64 = 60;

/// How far this process has come.
#[derive(Debug, Default)]
struct Place {
    /// To which generation.
    to: u32,
    after: Option<Cursor>,
    /// Rows of this pass that could not be moved.
    left: u64,
    /// What the last whole pass left behind.
    behind: Option<u64>,
    /// When the next pass begins.
    next: Option<Timestamp>,
}

/// A pass over all rows, in pages.
#[derive(Debug, Default)]
pub(super) struct Pass {
    place: Mutex<Place>,
}

impl Pass {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A row has come that is behind: nothing is known any more.
    pub(super) fn begins_anew(&self) {
        *self.place() = Place::default();
    }

    /// Where the next page begins; nothing while there is none to look at.
    fn page(&self, to: u32, now: Timestamp) -> Option<Paging> {
        let mut place = self.place();
        if place.to != to {
            *place = Place { to, ..Place::default() };
        }
        if place.next.is_some_and(|next| now < next) {
            return None;
        }
        Some(place.after.clone().map_or_else(|| Paging::first(PAGE), |after| Paging::after(after, PAGE)))
    }

    /// A page was looked at, and `left` of its rows are behind still.
    fn looked(&self, to: u32, left: u64, next: Option<Cursor>, now: Timestamp) {
        let mut place = self.place();
        if place.to != to {
            return;
        }
        place.left += left;
        place.after = next;
        if place.after.is_none() {
            let left = std::mem::take(&mut place.left);
            place.behind = Some(left);
            place.next = Some(now + AGAIN);
            tracing::info!(generation = to, behind = left, "all rows were looked at for new K_A");
        }
    }
}

impl Node {
    /// Moves a page of rows to the generation that counts now, while there is an older one, and only once a peer has shown that these are
    /// its keys too: what was moved by others would be lost.
    ///
    /// # Errors
    /// The store's, or the key store's.
    pub(super) async fn advance(&self) -> Result<(), Refusal> {
        let now = self.clock.now();
        let Some((to, _)) = self.generations().due(now).filter(|_| self.keys_are_shared()) else { return Ok(()) };
        let Some(paging) = self.advance.page(to, now) else { return Ok(()) };
        let page = self.store.scan::<Row>("root", Select::all(), paging).await?;
        let mut left = 0;
        for found in page.rows.iter().filter(|found| found.record.generation < to) {
            let handle = found.record.handle;
            match crate::retrying(|| self.advance_row(&handle, to)).await {
                Ok(true) => {}
                Ok(false) => left += 1,
                Err(refusal) => {
                    tracing::warn!(code = refusal.code(), "a row could not be moved to new K_A");
                    left += 1;
                }
            }
        }
        self.advance.looked(to, left, page.next, now);
        Ok(())
    }

    /// Whether the row stands at `to` now, or is gone.
    async fn advance_row(&self, handle: &Handle, to: u32) -> Result<bool, Refusal> {
        let Ok(found) = self.row_at(handle).await else { return Ok(true) };
        if found.record.generation >= to {
            return Ok(true);
        }
        // Its enrolment still speaks about the keys of its start; it is over within the hour, one way or the other.
        if matches!(found.record.holder.status, Status::Pending { .. }) {
            return Ok(false);
        }
        self.put(&self.advanced(&found.record, to)?, Some(&found)).await?;
        Ok(true)
    }

    /// The generation that counts now, and how many rows stand at an older one: before nothing is left behind at all three nodes, no
    /// old K_A and no Z may be destroyed.
    #[must_use]
    pub fn has_moved(&self) -> Moved {
        let now = self.clock.now();
        let generations = self.generations();
        let moved =
            |behind| Moved { generation: generations.at(now), newest: generations.newest(), check: None, behind };
        let Some((to, since)) = generations.due(now) else {
            // Nothing else is here that a row could stand at.
            return moved(Some(0));
        };
        let place = self.advance.place();
        // Within a minute of the switch a sign-in may still ask for the older one.
        let settled = place.to == to && now > since + gate::SKEW;
        moved(place.behind.filter(|_| settled))
    }
}
