//! Whether the offices that an office needs can be reached, and whether its clock goes as theirs do. Each is asked now and then, so that
//! `/readyz` answers at once.

use super::state::{self, AskState, State};
use async_trait::async_trait;
use axum::http::StatusCode;
use hufu_kernel::{Clock, Refusal, Timestamp};
use hufu_web::peers::{Callers, Peer, PeerRoute};
use hufu_web::reply::json;
use hufu_web::serve::Stop;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// The path of the one route that every office answers to every other.
const PING: &str = "/office/v1/ping";
/// How often a peer is asked.
const EVERY: Duration = Duration::from_secs(5);
/// How often while one is missing.
const MISSING: Duration = Duration::from_millis(500);

/// Clocks this many seconds apart are noticed: half of what nodes and wallets allow each other.
const APART: i64 = hufu_kernel::OFFICE_SKEW;

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
    /// The time that it has, if it says so.
    async fn answers(&self) -> Result<Option<Timestamp>, Refusal>;
}

#[async_trait]
impl Reachable for Peer {
    async fn answers(&self) -> Result<Option<Timestamp>, Refusal> {
        match self.call::<AskState, State>(state::PATH, &AskState {}).await {
            Ok(told) => Ok(Some(told.time)),
            // One of the release before has no such route.
            Err(Refusal::NotFound) => self.call::<Ping, Pong>(PING, &Ping {}).await.map(|Pong {}| None),
            Err(refusal) => Err(refusal),
        }
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
    /// Seconds by which its clock was ahead when it last answered.
    ahead: AtomicI64,
}

impl Member {
    fn new(name: String, peer: Arc<dyn Reachable>) -> Self {
        Self { name, peer, reached: AtomicBool::new(false), ahead: AtomicI64::new(0) }
    }
}

/// The offices that one office needs.
pub struct Watch {
    clock: Arc<dyn Clock>,
    groups: Vec<Group>,
}

impl Watch {
    /// Watches nobody yet; others' clocks are compared with this one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, groups: Vec::new() }
    }

    /// Watches these offices too.
    #[must_use]
    pub fn group(mut self, need: Need, peers: Vec<Arc<Peer>>) -> Self {
        let member = |peer: Arc<Peer>| Member::new(peer.office().to_owned(), peer);
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
            if let Ok(Some(theirs)) = &answer {
                member.ahead.store(theirs.0 - self.clock.now().0, Ordering::Relaxed);
            }
            let before = member.reached.swap(answer.is_ok(), Ordering::Relaxed);
            all &= answer.is_ok();
            match answer {
                Err(refusal) if before => tracing::warn!(peer = member.name, code = refusal.code(), "unreachable"),
                Ok(_) if !before => tracing::info!(peer = member.name, "reached"),
                _ => {}
            }
        }
        all
    }

    /// What keeps the office from working.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let mut told = self.told(|group, reached| match group.need {
            Need::None => false,
            Need::AtLeast(needed) => reached < needed,
        });
        if self.clock_is_off() {
            let apart: Vec<String> = self.apart().map(|(name, ahead)| format!("{name} by {ahead} s")).collect();
            told.push(format!(
                "the clock is off: most offices have another time ({}); set it (`chronyc tracking`), nothing is taken until then",
                apart.join(", ")
            ));
        }
        told
    }

    /// Whether most of the offices that were reached, and at least two, have another time than this one.
    #[must_use]
    pub fn clock_is_off(&self) -> bool {
        let apart = self.apart().count();
        apart >= 2 && 2 * apart > self.reached().count()
    }

    fn reached(&self) -> impl Iterator<Item = &Member> {
        self.groups.iter().flat_map(|group| &group.members).filter(|member| member.reached.load(Ordering::Relaxed))
    }

    /// Those with another time, and by how many seconds they are ahead.
    fn apart(&self) -> impl Iterator<Item = (&str, i64)> {
        let all = self.reached().map(|member| (member.name.as_str(), member.ahead.load(Ordering::Relaxed)));
        all.filter(|(_, ahead)| ahead.abs() > APART)
    }

    /// What is missing and can be done without.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut told = self.told(|group, reached| match group.need {
            Need::None => true,
            Need::AtLeast(needed) => reached >= needed,
        });
        if !self.clock_is_off() {
            told.extend(self.apart().map(|(name, ahead)| format!("the clock of {name} is ahead by {ahead} s")));
        }
        told
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

    const NOW: Timestamp = Timestamp(1_800_000_000);

    struct Played(AtomicBool, AtomicI64);

    #[async_trait]
    impl Reachable for Played {
        async fn answers(&self) -> Result<Option<Timestamp>, Refusal> {
            let now = NOW + self.1.load(Ordering::Relaxed);
            if self.0.load(Ordering::Relaxed) { Ok(Some(now)) } else { Err(Refusal::OfficeUnreachable) }
        }
    }

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            NOW
        }
    }

    fn watched(need: Need) -> (Vec<Arc<Played>>, Arc<Watch>) {
        let played = || Arc::new(Played(AtomicBool::new(false), AtomicI64::new(0)));
        let peers: Vec<Arc<Played>> = (0..3).map(|_| played()).collect();
        let member =
            |(peer, n): (&Arc<Played>, i32)| Member::new(format!("node-{n}"), Arc::clone(peer) as Arc<dyn Reachable>);
        let members = peers.iter().zip(1..).map(member).collect();
        (peers, Arc::new(Watch { clock: Arc::new(Still), groups: vec![Group { need, members }] }))
    }

    #[tokio::test]
    async fn one_whose_clock_differs_is_named_and_two_of_three_say_that_the_own_clock_is_off() {
        let (peers, watch) = watched(Need::None);
        peers.iter().for_each(|peer| peer.0.store(true, Ordering::Relaxed));
        peers[2].1.store(-3600, Ordering::Relaxed);
        assert!(watch.ask().await);
        assert!(!watch.clock_is_off() && watch.reasons().is_empty());
        assert_eq!(watch.notes(), ["the clock of node-3 is ahead by -3600 s"]);
        peers[1].1.store(31, Ordering::Relaxed);
        watch.ask().await;
        assert!(watch.clock_is_off() && watch.notes().is_empty());
        let reasons = watch.reasons();
        assert!(reasons[0].contains("node-2 by 31 s, node-3 by -3600 s"), "{reasons:?}");
        peers[1].1.store(30, Ordering::Relaxed);
        watch.ask().await;
        assert!(!watch.clock_is_off(), "within the bound");
        // One alone, with nobody else to ask, moves nobody.
        peers[0].0.store(false, Ordering::Relaxed);
        peers[1].0.store(false, Ordering::Relaxed);
        watch.ask().await;
        assert!(!watch.clock_is_off());
    }

    #[tokio::test]
    async fn two_of_three_are_enough_and_the_third_is_noted() {
        let (peers, watch) = watched(Need::AtLeast(2));
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
