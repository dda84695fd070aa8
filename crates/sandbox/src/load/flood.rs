//! One client that asks as much as it can, and is bounded by itself: in time, in requests, in connections.

use super::connection::{Connection, FORM, Message};
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

/// A question without an answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked again and again.
#[derive(Clone, Debug)]
pub struct Flood {
    /// Of whom.
    pub origin: String,
    /// From which address of this machine.
    pub from: Ipv4Addr,
    /// Where.
    pub path: String,
    /// A form.
    pub body: String,
    /// How often at most.
    pub per_second: u32,
    /// Over how many connections at once.
    pub connections: u32,
    /// How long.
    pub time: Duration,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Flooded {
    /// Requests that were sent, or for which a connection was tried.
    pub sent: usize,
    /// Answers that cost the service what a request costs it.
    pub answered: usize,
    /// Answers that said: too many (429).
    pub limited: usize,
    /// Connections that were not taken, or ended without an answer.
    pub cut: usize,
}

/// Floods, and ends by itself.
pub async fn flood(flood: Flood) -> Flooded {
    let flood = Rc::new(flood);
    let counts = Rc::new(Cell::new(Flooded::default()));
    let mut clients = JoinSet::new();
    for _ in 0..flood.connections {
        clients.spawn_local(client(Rc::clone(&flood), Rc::clone(&counts)));
    }
    while clients.join_next().await.is_some() {}
    counts.get()
}

async fn client(flood: Rc<Flood>, counts: Rc<Cell<Flooded>>) {
    let end = Instant::now() + flood.time;
    let each = Duration::from_secs(1).saturating_mul(flood.connections) / flood.per_second.max(1);
    let mut turns = tokio::time::interval(each.max(Duration::from_micros(100)));
    // Who waited for an answer does not ask twice for it: how many there are stays bounded.
    turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut line = None;
    loop {
        turns.tick().await;
        if Instant::now() >= end {
            return;
        }
        let mut count = counts.get();
        count.sent += 1;
        counts.set(count);
        let status = tokio::time::timeout(PATIENCE, ask(&flood, &mut line)).await.ok().flatten();
        let mut count = counts.get();
        match status {
            Some(429) => count.limited += 1,
            Some(_) => count.answered += 1,
            None => {
                count.cut += 1;
                line = None;
            }
        }
        counts.set(count);
    }
}

async fn ask(flood: &Flood, line: &mut Option<Connection>) -> Option<u16> {
    if line.is_none() {
        *line = Some(Connection::open_from(&flood.origin, Some(flood.from)).await.ok()?);
    }
    let message = Message { path: &flood.path, content_type: FORM, ..Message::default() };
    let answer = line.as_mut()?.post(message, flood.body.clone()).await.ok()?;
    if answer.headers.get("connection").is_some_and(|said| said.as_bytes().eq_ignore_ascii_case(b"close")) {
        *line = None;
    }
    Some(answer.status)
}
