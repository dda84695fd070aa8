//! The offices and servers around the front, as tests want them.

use super::NOW;
use async_trait::async_trait;
use hufu_kernel::{Octets, Refusal, Timestamp};
use hufu_offices::ports::{BackChannel, Delivered, SubjectHandles};
use hufu_wire::api::handles::{AskPerson, AskStandings, PersonStanding, Standings};
use hufu_wire::subject_handle::HANDLE_SECONDS;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// A node that says of every half what it is told to say; at first, that it is one of somebody who is active.
pub struct PlayedNode {
    /// What it says; `Err` as if it did not answer.
    pub says: Mutex<Result<Option<PersonStanding>, Refusal>>,
    /// What it was asked.
    pub asked: Mutex<Vec<AskStandings>>,
    /// What it was asked to tell persons.
    pub told: Mutex<Vec<AskPerson>>,
    /// Does not answer at all.
    pub hangs: AtomicBool,
}

pub const ACTIVE: PersonStanding = PersonStanding {
    active: true,
    same_epoch: true,
    credentials: Octets([2; 32]),
    exp: Timestamp(NOW.0 + HANDLE_SECONDS),
};

impl Default for PlayedNode {
    fn default() -> Self {
        Self {
            says: Mutex::new(Ok(Some(ACTIVE))),
            asked: Mutex::default(),
            told: Mutex::default(),
            hangs: AtomicBool::new(false),
        }
    }
}

impl PlayedNode {
    pub fn say(&self, change: impl FnOnce(&mut PersonStanding)) {
        let mut said = ACTIVE;
        change(&mut said);
        *self.says.lock().unwrap() = Ok(Some(said));
    }
}

#[async_trait]
impl SubjectHandles for PlayedNode {
    async fn standings(&self, ask: &AskStandings) -> Result<Standings, Refusal> {
        self.asked.lock().unwrap().push(ask.clone());
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let said = (*self.says.lock().unwrap())?;
        Ok(Standings { standings: vec![said; ask.halves.len()] })
    }

    async fn ask_person(&self, ask: &AskPerson) -> Result<bool, Refusal> {
        let known = (*self.says.lock().unwrap())?.is_some();
        if known {
            self.told.lock().unwrap().push(ask.clone());
        }
        Ok(known)
    }
}

/// What would be posted to platforms' servers: addresses and logout tokens.
#[derive(Default)]
pub struct Posted(pub Mutex<Vec<(String, String)>>, pub Events);

/// Event tokens that were pushed, and what receivers say to them; at first they take them.
#[derive(Default)]
pub struct Events {
    /// Address, `Authorization`, token.
    pub pushed: Mutex<Vec<(String, Option<String>, String)>>,
    pub answer: Mutex<Option<Delivered>>,
}

#[async_trait]
impl BackChannel for Posted {
    async fn post_event(&self, uri: &str, authorization: Option<&str>, set: &str) -> Delivered {
        let pushed = (uri.to_owned(), authorization.map(str::to_owned), set.to_owned());
        self.1.pushed.lock().unwrap().push(pushed);
        self.1.answer.lock().unwrap().unwrap_or(Delivered::Taken)
    }

    fn post_logout(&self, uri: &str, logout_token: String) {
        self.0.lock().unwrap().push((uri.to_owned(), logout_token));
    }

    fn post_ping(&self, uri: &str, token: String, auth_req_id: String) {
        self.0.lock().unwrap().push((uri.to_owned(), format!("{token} {auth_req_id}")));
    }
}
