//! Requests to a person whose platform has a subject handle (decision 0029): kept in this node's memory for minutes, told by a message
//! that names nobody, and read by the person's own devices.

use super::{Node, Row};
use hufu_kernel::{Handle, Octets, Refusal, Timestamp, framed};
use hufu_wire::api::handles::AskPerson;
use hufu_wire::api::recovery::{Notice, Notify};
use hufu_wire::api::requests::{PersonRequest, PersonRequests, ReadRequests};
use hufu_wire::subject_handle::HandleUse;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Seconds a request is kept at most.
pub const REQUEST_SECONDS: i64 = 300;
/// Requests of one person at once: one for each platform.
pub const OPEN_REQUESTS: usize = 3;
/// Requests to one person in an hour, whoever asks.
pub const HOURLY_REQUESTS: u32 = 10;
/// Seconds between two messages to one person.
pub const TOLD_SECONDS: i64 = 600;

const HOUR: i64 = 3600;
/// Persons of whom something is remembered at once.
const PERSONS: usize = 100_000;

struct Open {
    /// SHA-256 of the platform's identifier.
    platform: Octets<32>,
    request: PersonRequest,
}

#[derive(Default)]
struct Person {
    open: Vec<Open>,
    /// Since when how many were counted.
    counted: Option<(Timestamp, u32)>,
    told: Option<Timestamp>,
}

impl Person {
    fn settle(&mut self, now: Timestamp) {
        self.open.retain(|open| now < open.request.exp);
        self.counted = self.counted.filter(|(since, _)| now < *since + HOUR);
        self.told = self.told.filter(|told| now < *told + TOLD_SECONDS);
    }

    fn is_forgotten(&self) -> bool {
        self.open.is_empty() && self.counted.is_none() && self.told.is_none()
    }
}

/// What persons are asked just now.
#[derive(Default)]
pub(super) struct Requests {
    persons: Mutex<HashMap<Handle, Person>>,
}

impl Requests {
    /// Keeps a request; says whether a message is due. A platform has one request to a person at a time: a newer one is told to wait.
    fn add(
        &self,
        handle: Handle,
        platform: Octets<32>,
        request: PersonRequest,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let mut persons = self.persons.lock().unwrap_or_else(PoisonError::into_inner);
        if persons.len() >= PERSONS {
            persons.retain(|_, person| {
                person.settle(now);
                !person.is_forgotten()
            });
        }
        if persons.len() >= PERSONS && !persons.contains_key(&handle) {
            return Err(Refusal::Busy);
        }
        let person = persons.entry(handle).or_default();
        person.settle(now);
        let (since, count) = person.counted.unwrap_or((now, 0));
        let asked = person.open.iter().any(|open| open.platform == platform);
        if asked || person.open.len() >= OPEN_REQUESTS || count >= HOURLY_REQUESTS {
            return Err(Refusal::TooMany);
        }
        person.counted = Some((since, count + 1));
        person.open.push(Open { platform, request });
        let due = person.told.is_none();
        if due {
            person.told = Some(now);
        }
        Ok(due)
    }

    fn of(&self, handle: &Handle, now: Timestamp) -> Vec<PersonRequest> {
        let mut persons = self.persons.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(person) = persons.get_mut(handle) else { return Vec::new() };
        person.settle(now);
        person.open.iter().map(|open| open.request.clone()).collect()
    }
}

impl Node {
    /// A platform asks whom it knows. `false` is one answer for every half that does not open for it.
    pub(super) async fn ask_person_once(&self, ask: &AskPerson) -> Result<bool, Refusal> {
        let Some(opened) = self.open_half(&ask.client_id, HandleUse::Ciba, &ask.half).await? else { return Ok(false) };
        let row = &opened.found.record;
        if row.holder.usable().is_err() || row.holder.epoch != opened.epoch {
            return Ok(false);
        }
        let now = self.clock.now();
        let exp = Timestamp(ask.exp.0.min((now + REQUEST_SECONDS).0));
        let request = PersonRequest { tx: ask.tx, secret: ask.secret, exp };
        let platform = Octets(Sha256::digest(&ask.client_id).into());
        let due = self.requests.add(row.handle, platform, request, now)?;
        if due && let Err(refusal) = self.tell_of_request(row, now).await {
            // The wallet shows it all the same, when its person looks.
            tracing::warn!(code = refusal.code(), "a person was not told of a request");
        }
        Ok(true)
    }

    /// By a message that says neither who asks nor what for; the other node's is the same and is sent once.
    async fn tell_of_request(&self, row: &Row, now: Timestamp) -> Result<(), Refusal> {
        let contact = self.private(row)?.contact;
        let time = now.0.div_euclid(TOLD_SECONDS).to_be_bytes();
        let event = Octets(Sha256::digest(framed(&[b"hufu-v1-request-notice", contact.as_slice(), &time])).into());
        let notify = Notify { contact, event, notice: Notice::RequestWaiting };
        self.post.notify(&crate::sign(self.keys.as_ref(), self.name(), &notify)?).await
    }

    /// What platforms ask of the person whose device reads.
    ///
    /// # Errors
    /// The holder key's refusals.
    pub async fn read_requests(&self, request: &ReadRequests) -> Result<PersonRequests, Refusal> {
        let found = self.by_holder_key(&request.proof, b"requests").await?;
        Ok(PersonRequests { requests: self.requests.of(&found.record.handle, self.clock.now()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1000);

    fn add(requests: &Requests, platform: u8, after: i64) -> Result<bool, Refusal> {
        let request = PersonRequest { tx: Octets([platform; 32]), secret: Octets([0; 32]), exp: NOW + after + 300 };
        requests.add(Handle::default(), Octets([platform; 32]), request, NOW + after)
    }

    #[test]
    fn a_platform_asks_once_at_a_time_and_a_person_is_told_once_in_ten_minutes() {
        let requests = Requests::default();
        assert_eq!(add(&requests, 1, 0), Ok(true));
        assert_eq!(add(&requests, 1, 1), Err(Refusal::TooMany));
        assert_eq!(add(&requests, 2, 1), Ok(false), "another platform's is kept, without a second message");
        assert_eq!(add(&requests, 3, 1), Ok(false));
        assert_eq!(add(&requests, 4, 1), Err(Refusal::TooMany));
        assert_eq!(requests.of(&Handle::default(), NOW + 1).len(), 3);
        assert_eq!(requests.of(&Handle::default(), NOW + 301), Vec::new());
        assert_eq!(add(&requests, 1, 599), Ok(false));
        assert_eq!(add(&requests, 2, 600), Ok(true));
    }

    #[test]
    fn nobody_is_asked_more_than_ten_times_in_an_hour() {
        let requests = Requests::default();
        for one in 0..10 {
            assert!(add(&requests, 1, one * 300).is_ok(), "{one}");
        }
        assert_eq!(add(&requests, 1, 3300), Err(Refusal::TooMany));
        assert!(add(&requests, 1, 3600).is_ok());
        assert!(requests.of(&Handle::from([7; 16]), NOW).is_empty());
    }
}
