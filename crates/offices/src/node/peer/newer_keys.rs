//! New K_A that this node has not got: its peers sign with them, so that it can sign with nobody, and its operator is told why.

use super::super::Node;
use hufu_kernel::{NodeIndex, Timestamp};
use hufu_wire::api::peer::AskMoved;
use std::sync::PoisonError;

/// Seconds between two questions.
const EVERY: i64 = 60;

/// What the peers last said.
#[derive(Default)]
pub(super) struct Told {
    next: Option<Timestamp>,
    /// The generation that counts at each of the two. It only grows.
    generations: [u32; 2],
}

impl Node {
    /// Asks both peers which K_A count at them, once a minute.
    pub(super) async fn ask_for_newer_keys(&self) {
        let now = self.clock.now();
        {
            let mut told = self.beyond.newer.lock().unwrap_or_else(PoisonError::into_inner);
            if told.next.is_some_and(|next| now < next) {
                return;
            }
            told.next = Some(now + EVERY);
        }
        let ask = AskMoved { generation: self.generations().at(now) };
        for (slot, peer) in self.others().into_iter().enumerate() {
            // One that is away said it before, or says it later.
            let Ok(moved) = self.peer(peer).moved(self.index, &ask).await else { continue };
            let mut told = self.beyond.newer.lock().unwrap_or_else(PoisonError::into_inner);
            told.generations[slot] = told.generations[slot].max(moved.generation);
        }
    }

    /// The peers that sign with keys which this node lacks, and the newest of those.
    fn ahead(&self) -> (Vec<NodeIndex>, u32) {
        let own = self.generations().newest();
        let told = self.beyond.newer.lock().unwrap_or_else(PoisonError::into_inner).generations;
        let ahead = self.others().into_iter().zip(told).filter(|(_, theirs)| *theirs > own);
        (ahead.map(|(peer, _)| peer).collect(), told.into_iter().max().unwrap_or_default())
    }

    /// Why this node can sign with neither peer. One peer's word alone stops nobody: it is a note.
    pub(super) fn lacks_keys(&self) -> Option<String> {
        let (ahead, generation) = self.ahead();
        let [one, two] = ahead.as_slice() else { return None };
        Some(format!(
            "the new keys of generation {generation} count at node-{one} and node-{two} and are not here: no sign-in agrees with theirs. \
             If their ceremony ended well here, restart this node; if not, see `docs/operate/rotate-keys.md`"
        ))
    }

    /// What operators should know and no balancer.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        match self.ahead() {
            (ahead, generation) if ahead.len() == 1 => ahead
                .into_iter()
                .map(|peer| {
                    format!("node-{peer} says that keys of generation {generation} count, which this node has not")
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}
