//! Streams of shared signals, in this process's memory alone: the handles that platforms presented, what nodes last said of them, and what
//! is yet to be told, for as long as the stream is open. What ends with a stream is forgotten with it; what is not written down is lost with
//! the process, and the platform creates its stream again (decision 0027).

use super::later::Said;
use hufu_kernel::Timestamp;
use hufu_oidc::OAuthError;
use hufu_oidc::signals::{
    Delivery, Event, Status, StatusChange, StreamConfig, VERIFY_EVERY, Verdict, agreed, compare, ending,
};
use hufu_wire::api::handles::PersonStanding;
use hufu_wire::subject_handle::SubjectHandle;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Subjects of one platform.
pub(super) const SUBJECTS: usize = 10_000;
/// Subjects of all platforms together, about 700 bytes each.
const SUBJECTS_IN_ALL: usize = 100_000;
/// Events that wait for one platform, due or not; beyond it nothing is compared, and what happens meanwhile is told afterwards.
const WAITING: usize = 1_000;
/// Bytes of tokens that wait for all platforms together; beyond it likewise.
const WAITING_BYTES: usize = 32 * 1024 * 1024;
/// Seconds after a push that failed until the next, times the failures in a row; and at most.
const PUSH_AGAIN: i64 = 15;
const PUSH_AGAIN_AT_MOST: i64 = 600;

/// All open streams, by client identifier.
#[derive(Default)]
pub(super) struct Streams {
    open: Mutex<HashMap<String, Stream>>,
}

struct Stream {
    id: String,
    config: StreamConfig,
    status: Status,
    reason: Option<String>,
    /// By the handle's text.
    subjects: BTreeMap<String, Subject>,
    /// What was noticed and is not due, in the order in which it was noticed.
    held: Vec<Held>,
    noticed: u64,
    /// Identifiers and tokens that the receiver has not acknowledged, oldest first.
    waiting: VecDeque<(String, String)>,
    wake: Arc<Notify>,
    verified: Option<Timestamp>,
    /// The verification among those that wait.
    verification: Option<String>,
    failures: i64,
    push_at: Timestamp,
    pushing: bool,
}

struct Subject {
    handle: SubjectHandle,
    /// What both nodes said when it was last compared.
    known: [PersonStanding; 2],
    /// The stream was disabled: what both nodes say next is where this subject begins anew.
    anew: bool,
}

struct Held {
    number: u64,
    due: Timestamp,
    subject: String,
    event: Event,
}

/// A stream as its receiver sees it.
pub(super) struct View {
    pub id: String,
    pub config: StreamConfig,
    pub status: Status,
    pub reason: Option<String>,
}

/// Whom nodes are to be asked about, for one platform.
pub(super) struct Asking {
    pub client_id: String,
    pub id: String,
    pub handles: Vec<SubjectHandle>,
}

/// An event that is to be signed now.
pub(super) struct Due {
    pub client_id: String,
    pub id: String,
    pub number: u64,
    pub subject: String,
    pub event: Event,
}

/// One token, and where it is to be pushed.
pub(super) struct Push {
    pub id: String,
    pub uri: String,
    pub authorization: Option<String>,
    pub jti: String,
    pub set: String,
}

/// A push under way; when it is over, however it ended, the next may begin.
pub(super) struct Pushing<'a>(pub &'a Streams, pub &'a str);

impl Drop for Pushing<'_> {
    fn drop(&mut self) {
        if let Some(stream) = self.0.all().get_mut(self.1) {
            stream.pushing = false;
        }
    }
}

impl Stream {
    fn view(&self) -> View {
        View { id: self.id.clone(), config: self.config.clone(), status: self.status, reason: self.reason.clone() }
    }

    fn room(&self) -> usize {
        WAITING.saturating_sub(self.waiting.len() + self.held.len())
    }

    /// Notes what is to be told. Whatever the delay, of one subject nothing overtakes what was noticed before.
    fn hold(&mut self, subject: &str, event: Event, due: Timestamp) {
        let before = self.held.iter().rev().find(|held| held.subject == subject).map(|held| held.due);
        let due = before.map_or(due, |before| before.max(due));
        self.noticed += 1;
        self.held.push(Held { number: self.noticed, due, subject: subject.to_owned(), event });
    }

    fn forget(&mut self, jti: &str) {
        self.waiting.retain(|(one, _)| one != jti);
    }
}

/// Whether tokens take so much memory that no more are made.
fn crowded(all: &HashMap<String, Stream>) -> bool {
    let waiting = all.values().flat_map(|stream| &stream.waiting);
    waiting.map(|(_, set)| set.len()).sum::<usize>() >= WAITING_BYTES
}

impl Streams {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Stream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream of this platform and this name.
    fn of<T>(
        &self,
        (client_id, id): (&str, &str),
        with: impl FnOnce(&mut Stream) -> Result<T, OAuthError>,
    ) -> Result<T, OAuthError> {
        let mut all = self.all();
        let stream = all.get_mut(client_id).filter(|stream| stream.id == id).ok_or(OAuthError::StreamUnknown)?;
        with(stream)
    }

    pub(super) fn create(&self, client_id: &str, id: String, config: StreamConfig) -> Result<View, OAuthError> {
        let mut all = self.all();
        if all.contains_key(client_id) {
            return Err(OAuthError::StreamExists);
        }
        let stream = Stream {
            id,
            config,
            status: Status::Enabled,
            reason: None,
            subjects: BTreeMap::new(),
            held: Vec::new(),
            noticed: 0,
            waiting: VecDeque::new(),
            wake: Arc::default(),
            verified: None,
            verification: None,
            failures: 0,
            push_at: Timestamp(0),
            pushing: false,
        };
        let view = stream.view();
        all.insert(client_id.to_owned(), stream);
        Ok(view)
    }

    pub(super) fn view(&self, client_id: &str) -> Option<View> {
        self.all().get(client_id).map(Stream::view)
    }

    pub(super) fn change(
        &self,
        of: (&str, &str),
        change: impl FnOnce(&View) -> Result<StreamConfig, OAuthError>,
    ) -> Result<View, OAuthError> {
        self.of(of, |stream| {
            stream.config = change(&stream.view())?;
            (stream.failures, stream.push_at) = (0, Timestamp(0));
            Ok(stream.view())
        })
    }

    /// Ends a stream: nothing of it is left.
    pub(super) fn end(&self, of: (&str, &str)) -> Result<(), OAuthError> {
        self.of(of, |stream| {
            stream.wake.notify_waiters();
            Ok(())
        })?;
        self.all().remove(of.0);
        Ok(())
    }

    /// Ends the streams of platforms that may have none any more.
    pub(super) fn keep(&self, mut may: impl FnMut(&str) -> bool) {
        self.all().retain(|client_id, _| may(client_id));
    }

    pub(super) fn set_status(&self, of: (&str, &str), wanted: StatusChange) -> Result<View, OAuthError> {
        self.of(of, |stream| {
            if wanted.status == Status::Disabled {
                stream.waiting.clear();
                stream.held.clear();
                stream.subjects.values_mut().for_each(|subject| subject.anew = true);
            }
            (stream.status, stream.reason) = (wanted.status, wanted.reason);
            (stream.failures, stream.push_at) = (0, Timestamp(0));
            stream.wake.notify_waiters();
            Ok(stream.view())
        })
    }

    /// Whether a subject may come; `true` if it is there.
    pub(super) fn has(&self, of: (&str, &str), handle: &SubjectHandle) -> Result<bool, OAuthError> {
        let text = handle.to_string();
        let all = self.all();
        let stream = all.get(of.0).filter(|stream| stream.id == of.1).ok_or(OAuthError::StreamUnknown)?;
        if stream.subjects.contains_key(&text) {
            return Ok(true);
        }
        let in_all: usize = all.values().map(|stream| stream.subjects.len()).sum();
        let full =
            stream.subjects.len() >= SUBJECTS || in_all >= SUBJECTS_IN_ALL || stream.room() == 0 || crowded(&all);
        if full { Err(OAuthError::StreamFull) } else { Ok(false) }
    }

    /// Adds a subject of whom both nodes say this now, and the same; what is known of one that is there stays.
    pub(super) fn add(
        &self,
        of: (&str, &str),
        handle: SubjectHandle,
        known: [PersonStanding; 2],
    ) -> Result<(), OAuthError> {
        if self.has(of, &handle)? {
            return Ok(());
        }
        self.of(of, |stream| {
            stream.subjects.entry(handle.to_string()).or_insert(Subject { handle, known, anew: false });
            Ok(())
        })
    }

    /// Notes that the sessions of a handle were over when it came: nobody is watched, and that is told at once.
    pub(super) fn add_ended(&self, of: (&str, &str), handle: &SubjectHandle, now: Timestamp) -> Result<(), OAuthError> {
        self.of(of, |stream| {
            // Who does not ask for this event is told in the answer.
            if !stream.config.delivers(Event::SessionRevoked.uri()) {
                return Err(OAuthError::StreamSubject);
            }
            if stream.status != Status::Disabled {
                stream.hold(&handle.to_string(), Event::SessionRevoked, now);
            }
            Ok(())
        })
    }

    pub(super) fn remove(&self, of: (&str, &str), handle: &SubjectHandle) -> Result<(), OAuthError> {
        let text = handle.to_string();
        self.of(of, |stream| {
            stream.subjects.remove(&text);
            stream.held.retain(|held| held.subject != text);
            Ok(())
        })
    }

    /// Notes a verification.
    pub(super) fn verify(&self, of: (&str, &str), now: Timestamp) -> Result<(), OAuthError> {
        self.of(of, |stream| {
            if stream.verified.is_some_and(|last| now < last + VERIFY_EVERY) {
                return Err(OAuthError::StreamVerify);
            }
            stream.verified = Some(now);
            Ok(())
        })
    }

    /// Platforms whose subjects are to be asked about. Handles that end in a moment are let go before: of them nothing is told.
    pub(super) fn asking(&self, now: Timestamp) -> Vec<Asking> {
        let mut all = self.all();
        for stream in all.values_mut() {
            stream.subjects.retain(|_, subject| !ending(&subject.known, now));
        }
        if crowded(&all) {
            return Vec::new();
        }
        let asked = all
            .iter()
            .filter(|(_, stream)| stream.status == Status::Enabled && stream.room() > 0 && !stream.subjects.is_empty());
        asked
            .map(|(client_id, stream)| Asking {
                client_id: client_id.clone(),
                id: stream.id.clone(),
                handles: stream.subjects.values().map(|subject| subject.handle.clone()).collect(),
            })
            .collect()
    }

    /// Takes what nodes said, and holds what happened for as long as `delay` says, drawn for each event. What a stream has no room for stays
    /// to be noticed.
    pub(super) fn learn(
        &self,
        of: (&str, &str),
        said: Vec<(SubjectHandle, Said)>,
        now: Timestamp,
        mut delay: impl FnMut() -> i64,
    ) {
        let _ended = self.of(of, |stream| {
            // Disabled while nodes were asked: the next word counts.
            if stream.status != Status::Enabled {
                return Ok(());
            }
            for (handle, said) in said {
                let text = handle.to_string();
                let Some(subject) = stream.subjects.get(&text) else { continue };
                let (mut events, mut known) = match compare(&subject.known, said, now) {
                    Verdict::Stays { events, known } => (events, Some((*known, false))),
                    Verdict::Gone { events } => (events, None),
                };
                if subject.anew {
                    // That sessions are over is no news of then but how it is now.
                    events.retain(|event| *event == Event::SessionRevoked);
                    known = known.map(|_| agreed(said).map_or((subject.known, true), |said| (said, false)));
                }
                events.retain(|event| stream.config.delivers(event.uri()));
                if events.len() > stream.room() {
                    break;
                }
                for event in events {
                    stream.hold(&text, event, now + delay());
                }
                match known {
                    None => drop(stream.subjects.remove(&text)),
                    Some((known, anew)) => {
                        stream.subjects.insert(text, Subject { handle, known, anew });
                    }
                }
            }
            Ok(())
        });
    }

    /// What is to be told now, of one platform or of all; each is still held until it is [put](Self::put).
    pub(super) fn due(&self, client_id: Option<&str>, now: Timestamp) -> Vec<Due> {
        let all = self.all();
        let told = all.iter().filter(|(of, stream)| {
            stream.status == Status::Enabled && client_id.is_none_or(|client_id| client_id == of.as_str())
        });
        let held = told.flat_map(|(client_id, stream)| stream.held.iter().map(move |held| (client_id, stream, held)));
        let due = held.filter(|(_, _, held)| held.due <= now);
        due.map(|(client_id, stream, held)| Due {
            client_id: client_id.clone(),
            id: stream.id.clone(),
            number: held.number,
            subject: held.subject.clone(),
            event: held.event.clone(),
        })
        .collect()
    }

    /// Puts the token of an event that was due where its receiver gets it.
    pub(super) fn put(&self, of: (&str, &str), number: u64, jti: String, set: String) {
        let _ended = self.of(of, |stream| {
            // Another call may have been first, or the stream was disabled.
            if let Some(at) = stream.held.iter().position(|held| held.number == number) {
                stream.held.remove(at);
                stream.waiting.push_back((jti, set));
                stream.wake.notify_waiters();
            }
            Ok(())
        });
    }

    /// Puts the token of a verification there; one that waits already is replaced.
    pub(super) fn put_verification(&self, of: (&str, &str), jti: String, set: String) -> Result<(), OAuthError> {
        self.of(of, |stream| {
            if stream.status == Status::Disabled {
                return Ok(());
            }
            if let Some(before) = stream.verification.replace(jti.clone()) {
                stream.forget(&before);
            }
            stream.waiting.push_back((jti, set));
            stream.wake.notify_waiters();
            Ok(())
        })
    }

    /// What wakes whoever waits for a token of this platform's.
    pub(super) fn wake(&self, client_id: &str) -> Result<Arc<Notify>, OAuthError> {
        self.all().get(client_id).map(|stream| Arc::clone(&stream.wake)).ok_or(OAuthError::StreamUnknown)
    }

    /// Forgets what is done with, and gives the oldest of what waits, and whether there is more.
    pub(super) fn poll(
        &self,
        client_id: &str,
        done: &BTreeSet<String>,
        most: usize,
    ) -> Result<(Vec<(String, String)>, bool), OAuthError> {
        let mut all = self.all();
        let stream = all.get_mut(client_id).ok_or(OAuthError::StreamUnknown)?;
        stream.waiting.retain(|(jti, _)| !done.contains(jti));
        if stream.config.delivery != Delivery::Poll || stream.status != Status::Enabled {
            return Ok((Vec::new(), false));
        }
        let sets: Vec<_> = stream.waiting.iter().take(most).cloned().collect();
        let more = stream.waiting.len() > sets.len();
        Ok((sets, more))
    }

    /// Platforms to which something is to be pushed, and nobody pushes yet.
    pub(super) fn pushes(&self, now: Timestamp) -> Vec<String> {
        let mut all = self.all();
        let due = all.iter_mut().filter(|(_, stream)| {
            let pushed = matches!(stream.config.delivery, Delivery::Push { .. }) && stream.status == Status::Enabled;
            pushed && now >= stream.push_at && !stream.pushing && !stream.waiting.is_empty()
        });
        due.map(|(client_id, stream)| {
            stream.pushing = true;
            client_id.clone()
        })
        .collect()
    }

    /// What to push next, as the stream stands now.
    pub(super) fn push(&self, client_id: &str) -> Option<Push> {
        let all = self.all();
        let stream = all.get(client_id).filter(|stream| stream.status == Status::Enabled)?;
        let Delivery::Push { endpoint_url, authorization_header } = &stream.config.delivery else { return None };
        let (jti, set) = stream.waiting.front().cloned()?;
        let (uri, authorization) = (endpoint_url.clone(), authorization_header.clone());
        Some(Push { id: stream.id.clone(), uri, authorization, jti, set })
    }

    /// A token was taken, or never will be.
    pub(super) fn pushed(&self, of: (&str, &str), jti: &str) {
        let _ended = self.of(of, |stream| {
            stream.forget(jti);
            stream.failures = 0;
            Ok(())
        });
    }

    /// The receiver did not take a token: it waits, longer each time.
    pub(super) fn not_pushed(&self, of: (&str, &str), now: Timestamp) {
        let _ended = self.of(of, |stream| {
            stream.failures += 1;
            stream.push_at = now + (PUSH_AGAIN * stream.failures).min(PUSH_AGAIN_AT_MOST);
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests;
