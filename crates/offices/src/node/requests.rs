//! Requests to a person whose platform has a subject handle (decision 0029): kept in this node's memory for minutes, told by a message
//! that names nobody, and read by the person's own devices.

use super::{Node, Row};
use hufu_kernel::{Handle, Octets, Refusal, Timestamp, framed};
use hufu_oidc::provider::BACKCHANNEL_SECONDS;
use hufu_wire::api::Signed;
use hufu_wire::api::handles::AskPerson;
use hufu_wire::api::recovery::{Notice, Notify};
use hufu_wire::api::requests::{PersonRequest, PersonRequests, ReadRequests};
use hufu_wire::subject_handle::HandleUse;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Seconds a request is kept at most, and for which a platform has a place among [`OPEN_REQUESTS`] however short its request.
pub const REQUEST_SECONDS: i64 = BACKCHANNEL_SECONDS;
/// Requests of one person at once: one for each platform.
pub const OPEN_REQUESTS: usize = 3;
/// Requests to one person in an hour, whoever asks.
pub const HOURLY_REQUESTS: usize = 10;
/// How many of these one platform has: it must not silence every other.
pub const PLATFORM_REQUESTS: usize = 3;
/// Seconds between two messages to one person.
pub const TOLD_SECONDS: i64 = 600;

const HOUR: i64 = 3600;
/// Persons of whom something is remembered at once.
const PERSONS: usize = 100_000;

/// SHA-256 of a platform's identifier.
type Platform = Octets<32>;

struct Open {
    platform: Platform,
    request: PersonRequest,
    /// Until then what this platform asks takes the place of this request and counts with it.
    until: Timestamp,
}

#[derive(Default)]
struct Person {
    open: Vec<Open>,
    /// Since when whose requests were counted, at most [`HOURLY_REQUESTS`] of them.
    counted: Option<(Timestamp, Vec<Platform>)>,
    told: Option<Timestamp>,
}

impl Person {
    fn settle(&mut self, now: Timestamp) {
        self.open.retain(|open| now < open.until || now < open.request.exp);
        self.counted = self.counted.take().filter(|(since, _)| now < *since + HOUR);
        self.told = self.told.filter(|told| now < *told + TOLD_SECONDS);
    }

    fn is_forgotten(&self) -> bool {
        self.open.is_empty() && self.counted.is_none() && self.told.is_none()
    }

    /// Shows a request, if there is room for it; says whether a message is due.
    fn show(&mut self, platform: Platform, request: PersonRequest, now: Timestamp) -> bool {
        let own = self.open.iter().position(|open| open.platform == platform);
        if let Some(open) = own.and_then(|at| self.open.get_mut(at)).filter(|open| now < open.until) {
            open.request = request;
            return false;
        }
        let (_, counted) = self.counted.get_or_insert_with(|| (now, Vec::new()));
        let share = counted.iter().filter(|one| **one == platform).count();
        let full = own.is_none() && self.open.len() >= OPEN_REQUESTS;
        if full || share >= PLATFORM_REQUESTS || counted.len() >= HOURLY_REQUESTS {
            return false;
        }
        counted.push(platform);
        self.open.retain(|open| open.platform != platform);
        self.open.push(Open { platform, request, until: now + REQUEST_SECONDS });
        let due = self.told.is_none();
        if due {
            self.told = Some(now);
        }
        due
    }
}

/// What persons are asked just now.
#[derive(Default)]
pub(super) struct Requests {
    persons: Mutex<HashMap<Handle, Person>>,
}

fn sweep(persons: &mut HashMap<Handle, Person>, now: Timestamp) {
    persons.retain(|_, person| {
        person.settle(now);
        !person.is_forgotten()
    });
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, HashMap<Handle, Person>> {
        // A person is changed in one piece, or at worst one request is counted and not shown.
        self.persons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a request, if there is room; says whether a message is due. A platform has one request to a person at a time: a newer one
    /// takes the place of the older and counts with it. Who finds no room is not told so, since that would tell two platforms that they
    /// mean one person: such a request is answered as any other and nobody sees it.
    fn add(&self, handle: Handle, platform: Platform, request: PersonRequest, now: Timestamp) -> Result<bool, Refusal> {
        let mut persons = self.lock();
        if persons.len() >= PERSONS {
            sweep(&mut persons, now);
        }
        if persons.len() >= PERSONS && !persons.contains_key(&handle) {
            return Err(Refusal::Busy);
        }
        let person = persons.entry(handle).or_default();
        person.settle(now);
        Ok(person.show(platform, request, now))
    }

    fn of(&self, handle: &Handle, now: Timestamp) -> Vec<PersonRequest> {
        let mut persons = self.lock();
        let Some(person) = persons.get_mut(handle) else { return Vec::new() };
        person.settle(now);
        person.open.iter().map(|open| &open.request).filter(|request| now < request.exp).cloned().collect()
    }

    /// Forgets what has ended, whoever is asked again or not: nothing else would forget who asked a person that nobody asks any more.
    pub(super) fn sweep(&self, now: Timestamp) {
        sweep(&mut self.lock(), now);
    }
}

impl Node {
    /// A platform asks whom it knows, by the registry's word that it may. `false` is one answer for every half that does not open for it.
    pub(super) async fn ask_person_once(&self, ask: &AskPerson) -> Result<bool, Refusal> {
        let certified = self.asked_for(&ask.certificate, HandleUse::Ciba)?;
        let client_id = &certified.certificate.client_id;
        let Some(opened) = self.open_half(client_id, HandleUse::Ciba, &ask.half).await? else { return Ok(false) };
        let row = &opened.found.record;
        if row.holder.usable().is_err() || row.holder.epoch != opened.epoch {
            return Ok(false);
        }
        let now = self.clock.now();
        let exp = Timestamp(ask.exp.0.min((now + REQUEST_SECONDS).0));
        let request = PersonRequest { tx: ask.tx, secret: ask.secret, exp };
        let platform = Octets(Sha256::digest(client_id).into());
        // Made whether it is due or not, and sent by itself: how long the answer takes says nothing of who asked before.
        let message = self.request_message(row, now);
        if self.requests.add(row.handle, platform, request, now)? {
            let post = Arc::clone(&self.post);
            tokio::spawn(async move {
                let told = match message {
                    Ok(message) => post.notify(&message).await,
                    Err(refusal) => Err(refusal),
                };
                if let Err(refusal) = told {
                    // The wallet shows it all the same, when its person looks.
                    tracing::warn!(code = refusal.code(), "a person was not told of a request");
                }
            });
        }
        Ok(true)
    }

    /// A message that says neither who asks nor what for; the other node's is the same and is sent once.
    fn request_message(&self, row: &Row, now: Timestamp) -> Result<Signed<Notify>, Refusal> {
        let contact = self.private(row)?.contact;
        let time = now.0.div_euclid(TOLD_SECONDS).to_be_bytes();
        let event = Octets(Sha256::digest(framed(&[b"hufu-v1-request-notice", contact.as_slice(), &time])).into());
        let notify = Notify { contact, event, notice: Notice::RequestWaiting };
        crate::sign(self.keys.as_ref(), self.name(), &notify)
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

    fn add_for(requests: &Requests, platform: u8, after: i64, seconds: i64) -> Result<bool, Refusal> {
        let exp = NOW + after + seconds;
        let request = PersonRequest { tx: Octets([platform; 32]), secret: Octets([0; 32]), exp };
        requests.add(Handle::default(), Octets([platform; 32]), request, NOW + after)
    }

    fn add(requests: &Requests, platform: u8, after: i64) -> Result<bool, Refusal> {
        add_for(requests, platform, after, REQUEST_SECONDS)
    }

    fn shown(requests: &Requests, after: i64) -> Vec<u8> {
        requests.of(&Handle::default(), NOW + after).iter().map(|request| request.tx.0[0]).collect()
    }

    #[test]
    fn a_platform_asks_one_thing_at_a_time_and_a_person_is_told_once_in_ten_minutes() {
        let requests = Requests::default();
        assert_eq!(add(&requests, 1, 0), Ok(true));
        assert_eq!(add(&requests, 2, 1), Ok(false), "another platform's is kept, without a second message");
        assert_eq!(add(&requests, 3, 1), Ok(false));
        assert_eq!(add(&requests, 4, 1), Ok(false), "answered as any other");
        assert_eq!(shown(&requests, 1), [1, 2, 3], "and not shown");
        assert_eq!(shown(&requests, 301), [0; 0]);
        assert_eq!(add(&requests, 1, 599), Ok(false));
        assert_eq!(add(&requests, 2, 600), Ok(true));
    }

    /// A platform that asks again since the other node did not answer.
    #[test]
    fn a_newer_request_takes_the_place_of_the_older_one_and_counts_with_it() {
        let requests = Requests::default();
        assert_eq!(add(&requests, 1, 0), Ok(true));
        for after in 1..300 {
            let request = PersonRequest { tx: Octets([9; 32]), secret: Octets([9; 32]), exp: NOW + after + 300 };
            assert_eq!(requests.add(Handle::default(), Octets([1; 32]), request, NOW + after), Ok(false));
        }
        assert_eq!(shown(&requests, 299), [9]);
        assert_eq!(requests.lock()[&Handle::default()].counted.as_ref().map(|(_, counted)| counted.len()), Some(1));
        // After its place it counts again, and is still one.
        assert_eq!(add(&requests, 1, 300), Ok(false));
        assert_eq!(shown(&requests, 300), [1]);
        assert_eq!(requests.lock()[&Handle::default()].counted.as_ref().map(|(_, counted)| counted.len()), Some(2));
    }

    #[test]
    fn nobody_is_asked_more_than_ten_times_in_an_hour() {
        let requests = Requests::default();
        for one in 0..10 {
            assert!(add(&requests, one, i64::from(one) * 300).is_ok());
            assert_eq!(shown(&requests, i64::from(one) * 300), [one]);
        }
        assert_eq!(add(&requests, 10, 3300), Ok(false));
        assert_eq!(shown(&requests, 3300), [0; 0]);
        assert_eq!(add(&requests, 10, 3600), Ok(true));
        assert_eq!(shown(&requests, 3600), [10]);
        assert!(requests.of(&Handle::from([7; 16]), NOW).is_empty());
    }

    /// With requests of a second each it would else use up what the person is asked in an hour within ten seconds.
    #[test]
    fn one_platform_does_not_silence_the_others_however_short_its_requests() {
        let requests = Requests::default();
        for after in 0..3000 {
            assert!(add_for(&requests, 1, after, 1).is_ok());
        }
        assert_eq!(shown(&requests, 3000), [0; 0], "its share of the hour is used up");
        for other in 2..9 {
            let after = 3000 + i64::from(other) * 60;
            assert!(add_for(&requests, other, after, 1).is_ok());
            let seen = shown(&requests, after);
            // A place counts for as long as a whole request.
            assert_eq!(seen == [other], other < 5 || other == 7 || other == 8, "{other}");
        }
    }

    #[test]
    fn what_has_ended_is_forgotten_though_nobody_asks_or_looks_again() {
        let requests = Requests::default();
        add(&requests, 1, 0).unwrap();
        requests.sweep(NOW + 299);
        assert_eq!(requests.lock()[&Handle::default()].open.len(), 1, "the control");
        requests.sweep(NOW + 300);
        assert!(requests.lock()[&Handle::default()].open.is_empty(), "the request and its secret");
        requests.sweep(NOW + 3600);
        assert!(requests.lock().is_empty(), "and who asked");
    }
}
