//! Whether the offices that an office needs can be reached. Each is asked now and then, so that `/readyz` answers at once.

use async_trait::async_trait;
use axum::http::StatusCode;
use hufu_kernel::Refusal;
use hufu_web::peers::{Callers, Peer, PeerRoute};
use hufu_web::reply::json;
use hufu_web::serve::Stop;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// The path of the one route that every office answers to every other.
const PING: &str = "/office/v1/ping";
/// How often a peer is asked.
const EVERY: Duration = Duration::from_secs(5);
/// How often while one is missing.
const MISSING: Duration = Duration::from_millis(500);

/// Nothing is asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ping {}

/// Nothing is told: who answers has proved its name already.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pong {}

/// An office that can be asked whether it is there.
#[async_trait]
trait Reachable: Send + Sync {
    async fn answers(&self) -> Result<(), Refusal>;
}

#[async_trait]
impl Reachable for Peer {
    async fn answers(&self) -> Result<(), Refusal> {
        self.call::<Ping, Pong>(PING, &Ping {}).await.map(drop)
    }
}

/// The table of the route.
#[must_use]
pub fn table() -> &'static [PeerRoute<()>] {
    &[PeerRoute {
        path: PING,
        callers: Callers::Every,
        what: "whether it answers",
        handler: |_, _, _| Box::pin(std::future::ready(Ok(json(StatusCode::OK, &Pong {})))),
    }]
}

/// How many of a group are needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// The office works without them, with less.
    None,
    /// So many.
    AtLeast(usize),
}

/// Offices of one kind.
struct Group {
    need: Need,
    members: Vec<Member>,
}

struct Member {
    name: String,
    peer: Arc<dyn Reachable>,
    reached: AtomicBool,
}

/// The offices that one office needs.
#[derive(Default)]
pub struct Watch {
    groups: Vec<Group>,
}

impl Watch {
    /// Watches these offices too.
    #[must_use]
    pub fn group(mut self, need: Need, peers: Vec<Arc<Peer>>) -> Self {
        let member = |peer: Arc<Peer>| Member {
            name: peer.office().to_owned(),
            peer: peer as Arc<dyn Reachable>,
            reached: AtomicBool::new(false),
        };
        self.groups.push(Group { need, members: peers.into_iter().map(member).collect() });
        self
    }

    /// Asks until told to stop.
    pub async fn run(self: Arc<Self>, mut stop: Stop) {
        loop {
            let wait = if self.ask().await { EVERY } else { MISSING };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.stopped() => return,
            }
        }
    }

    /// Asks everybody once, at the same time; whether all answered.
    async fn ask(self: &Arc<Self>) -> bool {
        let mut asking = JoinSet::new();
        for (at, group) in self.groups.iter().enumerate() {
            for (member, one) in group.members.iter().enumerate() {
                let peer = Arc::clone(&one.peer);
                asking.spawn(async move { (at, member, peer.answers().await) });
            }
        }
        let mut all = true;
        while let Some(Ok((at, member, answer))) = asking.join_next().await {
            let member = &self.groups[at].members[member];
            let before = member.reached.swap(answer.is_ok(), Ordering::Relaxed);
            all &= answer.is_ok();
            match answer {
                Err(refusal) if before => tracing::warn!(peer = member.name, code = refusal.code(), "unreachable"),
                Ok(()) if !before => tracing::info!(peer = member.name, "reached"),
                _ => {}
            }
        }
        all
    }

    /// What keeps the office from working.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        self.told(|group, reached| match group.need {
            Need::None => false,
            Need::AtLeast(needed) => reached < needed,
        })
    }

    /// What is missing and can be done without.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.told(|group, reached| match group.need {
            Need::None => true,
            Need::AtLeast(needed) => reached >= needed,
        })
    }

    fn told(&self, tells: impl Fn(&Group, usize) -> bool) -> Vec<String> {
        let mut told = Vec::new();
        for group in &self.groups {
            let missing: Vec<&Member> =
                group.members.iter().filter(|member| !member.reached.load(Ordering::Relaxed)).collect();
            if tells(group, group.members.len() - missing.len()) {
                told.extend(missing.iter().map(|member| format!("{} is not reached", member.name)));
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Played(AtomicBool);

    #[async_trait]
    impl Reachable for Played {
        async fn answers(&self) -> Result<(), Refusal> {
            if self.0.load(Ordering::Relaxed) { Ok(()) } else { Err(Refusal::OfficeUnreachable) }
        }
    }

    #[tokio::test]
    async fn two_of_three_are_enough_and_the_third_is_noted() {
        let peers: Vec<Arc<Played>> = (0..3).map(|_| Arc::new(Played(AtomicBool::new(false)))).collect();
        let member = |(peer, n): (&Arc<Played>, i32)| Member {
            name: format!("node-{n}"),
            peer: Arc::clone(peer) as Arc<dyn Reachable>,
            reached: AtomicBool::new(false),
        };
        let members = peers.iter().zip(1..).map(member).collect();
        let watch = Arc::new(Watch { groups: vec![Group { need: Need::AtLeast(2), members }] });
        assert!(!watch.ask().await);
        assert_eq!((watch.reasons().len(), watch.notes().len()), (3, 0));
        for peer in &peers[1..] {
            peer.0.store(true, Ordering::Relaxed);
        }
        assert!(!watch.ask().await);
        assert_eq!((watch.reasons(), watch.notes()), (Vec::new(), vec!["node-1 is not reached".to_owned()]));
        peers[0].0.store(true, Ordering::Relaxed);
        assert!(watch.ask().await);
        assert!(watch.reasons().is_empty() && watch.notes().is_empty());
    }
}
