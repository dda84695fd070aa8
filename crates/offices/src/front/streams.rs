//! Streams of shared signals, in this process's memory alone: the handles that platforms presented and what nodes last said of them, for
//! as long as the stream is open. What ends with a stream is forgotten with it; what is not written down is lost with the process, and the
//! platform creates its stream again (decision 0027).

use super::later::Said;
use hufu_kernel::Timestamp;
use hufu_oidc::OAuthError;
use hufu_oidc::signals::{Delivery, Event, Status, StatusChange, StreamConfig, VERIFY_EVERY, Verdict, compare};
use hufu_wire::api::handles::PersonStanding;
use hufu_wire::subject_handle::SubjectHandle;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Subjects of one platform.
pub(super) const SUBJECTS: usize = 10_000;
/// Subjects of all platforms together, about 700 bytes each.
const SUBJECTS_IN_ALL: usize = 100_000;
/// Events that wait for one platform; beyond it the stream pauses, and what happens meanwhile is told afterwards.
const WAITING: usize = 1_000;
/// Events pushed to one platform in a row.
const PUSHED_AT_ONCE: usize = 20;
/// Pushes in a row that fail until the stream pauses: an hour of them.
const FAILURES: u32 = 240;

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
    /// Paused by the transmitter: a receiver that is behind may fetch what waits, or it could never catch up.
    own: bool,
    /// What nodes say next is where the stream begins anew: nothing that happened before is told.
    anew: bool,
    /// By the handle's text.
    subjects: BTreeMap<String, Subject>,
    /// Identifiers and tokens that the receiver has not acknowledged, oldest first.
    waiting: VecDeque<(String, String)>,
    wake: Arc<Notify>,
    verified: Option<Timestamp>,
    failures: u32,
    pushing: bool,
}

struct Subject {
    handle: SubjectHandle,
    /// What both nodes said when it was last compared.
    known: [PersonStanding; 2],
}

/// A stream as its receiver sees it.
pub(super) struct View {
    pub id: String,
    pub config: StreamConfig,
    pub status: Status,
    pub reason: Option<String>,
}

/// What is to be pushed to a platform.
pub(super) struct Push {
    pub id: String,
    pub uri: String,
    pub authorization: Option<String>,
    pub sets: Vec<(String, String)>,
}

impl Stream {
    fn view(&self) -> View {
        View { id: self.id.clone(), config: self.config.clone(), status: self.status, reason: self.reason.clone() }
    }

    fn room(&self) -> usize {
        WAITING.saturating_sub(self.waiting.len())
    }

    /// The transmitter's own change, of which the receiver is told.
    fn pause(&mut self, reason: &'static str) -> Event {
        (self.status, self.reason, self.own) = (Status::Paused, Some(reason.to_owned()), true);
        Event::StreamUpdated { status: Status::Paused, reason }
    }
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
            own: false,
            anew: false,
            subjects: BTreeMap::new(),
            waiting: VecDeque::new(),
            wake: Arc::default(),
            verified: None,
            failures: 0,
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
            stream.failures = 0;
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
            stream.anew = stream.anew || wanted.status == Status::Disabled;
            if wanted.status == Status::Disabled {
                stream.waiting.clear();
            }
            (stream.status, stream.reason, stream.own) = (wanted.status, wanted.reason, false);
            stream.failures = 0;
            stream.wake.notify_waiters();
            Ok(stream.view())
        })
    }

    /// Whether a subject may come; `true` if it is there.
    pub(super) fn has(&self, of: (&str, &str), handle: &SubjectHandle) -> Result<bool, OAuthError> {
        let text = handle.to_string();
        self.of(of, |stream| Ok(stream.subjects.contains_key(&text)))
    }

    /// Adds a subject of whom both nodes say this now; what is known of one that is there stays.
    pub(super) fn add(
        &self,
        of: (&str, &str),
        handle: SubjectHandle,
        known: [PersonStanding; 2],
    ) -> Result<(), OAuthError> {
        let in_all: usize = self.all().values().map(|stream| stream.subjects.len()).sum();
        self.of(of, |stream| {
            if stream.subjects.len() >= SUBJECTS || in_all >= SUBJECTS_IN_ALL {
                return Err(OAuthError::StreamFull);
            }
            stream.subjects.entry(handle.to_string()).or_insert(Subject { handle, known });
            Ok(())
        })
    }

    pub(super) fn remove(&self, of: (&str, &str), handle: &SubjectHandle) -> Result<(), OAuthError> {
        self.of(of, |stream| {
            stream.subjects.remove(&handle.to_string());
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

    /// Platforms whose subjects are to be asked about, each with its stream and them.
    pub(super) fn asking(&self) -> Vec<(String, String, Vec<SubjectHandle>)> {
        let asked = |stream: &Stream| stream.status == Status::Enabled && stream.room() > 0;
        let handles = |stream: &Stream| stream.subjects.values().map(|subject| subject.handle.clone()).collect();
        let all = self.all();
        let asked = all.iter().filter(|(_, stream)| asked(stream) && !stream.subjects.is_empty());
        asked.map(|(client_id, stream)| (client_id.clone(), stream.id.clone(), handles(stream))).collect()
    }

    /// Takes what nodes said, and tells what happened: subject and event. A stream without room for more pauses, and what it could not be
    /// told stays to be told.
    pub(super) fn learn(
        &self,
        of: (&str, &str),
        said: Vec<(SubjectHandle, Said)>,
        now: Timestamp,
    ) -> Vec<(String, Event)> {
        let learnt = self.of(of, |stream| {
            let mut told = Vec::new();
            for (handle, said) in said {
                let text = handle.to_string();
                let Some(subject) = stream.subjects.get(&text) else { continue };
                let (events, known) = match compare(&subject.known, said, now) {
                    Verdict::Stays { events, known } => (events, Some(known)),
                    Verdict::Gone { events } => (events, None),
                };
                let wanted: Vec<Event> =
                    events.into_iter().filter(|event| !stream.anew && stream.config.delivers(event.uri())).collect();
                if told.len() + wanted.len() > stream.room() {
                    told.push((stream.id.clone(), stream.pause("too many events wait to be acknowledged")));
                    break;
                }
                told.extend(wanted.into_iter().map(|event| (text.clone(), event)));
                match known {
                    None => drop(stream.subjects.remove(&text)),
                    Some(known) => {
                        if let Some(subject) = stream.subjects.get_mut(&text) {
                            subject.known = *known;
                        }
                    }
                }
            }
            Ok(told)
        });
        learnt.unwrap_or_default()
    }

    /// All of a stream's subjects have been asked about since it was enabled again.
    pub(super) fn began(&self, of: (&str, &str)) {
        let _gone = self.of(of, |stream| {
            stream.anew = false;
            Ok(())
        });
    }

    /// Puts a token where its receiver gets it.
    pub(super) fn put(&self, of: (&str, &str), jti: String, set: String) -> Result<(), OAuthError> {
        self.of(of, |stream| {
            if stream.status == Status::Disabled || stream.waiting.len() > WAITING + 1 {
                return Ok(());
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
        done: &[String],
        most: usize,
    ) -> Result<(Vec<(String, String)>, bool), OAuthError> {
        let mut all = self.all();
        let stream = all.get_mut(client_id).ok_or(OAuthError::StreamUnknown)?;
        stream.waiting.retain(|(jti, _)| !done.contains(jti));
        let given = stream.own || stream.status == Status::Enabled;
        if stream.config.delivery != Delivery::Poll || !given {
            return Ok((Vec::new(), false));
        }
        let sets: Vec<_> = stream.waiting.iter().take(most).cloned().collect();
        let more = stream.waiting.len() > sets.len();
        Ok((sets, more))
    }

    /// Platforms to which something is to be pushed, and nobody pushes yet.
    pub(super) fn pushes(&self) -> Vec<String> {
        let mut all = self.all();
        let due = all.iter_mut().filter(|(_, stream)| {
            let pushed = matches!(stream.config.delivery, Delivery::Push { .. });
            pushed && stream.status == Status::Enabled && !stream.pushing && !stream.waiting.is_empty()
        });
        due.map(|(client_id, stream)| {
            stream.pushing = true;
            client_id.clone()
        })
        .collect()
    }

    /// What to push, oldest first.
    pub(super) fn push(&self, client_id: &str) -> Option<Push> {
        let all = self.all();
        let stream = all.get(client_id)?;
        let Delivery::Push { endpoint_url, authorization_header } = &stream.config.delivery else { return None };
        Some(Push {
            id: stream.id.clone(),
            uri: endpoint_url.clone(),
            authorization: authorization_header.clone(),
            sets: stream.waiting.iter().take(PUSHED_AT_ONCE).cloned().collect(),
        })
    }

    /// What became of a push: those that were taken or refused, and whether the receiver answered. An event of the transmitter's own if it
    /// gives up.
    pub(super) fn pushed(&self, of: (&str, &str), done: &[String], answered: bool) -> Option<Event> {
        let given_up = self.of(of, |stream| {
            stream.pushing = false;
            stream.waiting.retain(|(jti, _)| !done.contains(jti));
            stream.failures = if answered { 0 } else { stream.failures + 1 };
            Ok((stream.failures >= FAILURES).then(|| stream.pause("the receiver does not answer")))
        });
        given_up.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::{Octets, Pair};
    use hufu_oidc::signals::CAEP;
    use hufu_wire::api::platform::Registration;
    use hufu_wire::subject_handle::HALF;

    const SHOP: (&str, &str) = ("shop", "s");

    fn handle(person: u16) -> SubjectHandle {
        let mut half = [7; HALF];
        half[..2].copy_from_slice(&person.to_be_bytes());
        SubjectHandle { pair: Pair::ALL[0], halves: [Octets(half); 2] }
    }

    fn standing(of: u8) -> PersonStanding {
        let (sessions, credentials, assurance) = (Octets([of; 32]), Octets([2; 32]), Octets([3; 32]));
        PersonStanding { active: true, same_epoch: true, sessions, credentials, assurance, exp: Timestamp(100) }
    }

    fn streams(clients: &[&str]) -> Streams {
        let streams = Streams::default();
        for client_id in clients {
            let config = StreamConfig::create(b"{}", &Registration::default()).unwrap();
            streams.create(client_id, "s".into(), config).unwrap();
        }
        streams
    }

    /// Whether anything of a handle is anywhere.
    fn holds(streams: &Streams, handle: &SubjectHandle) -> bool {
        let text = handle.to_string();
        streams.all().values().any(|stream| {
            let waits = stream.waiting.iter().any(|(_, set)| set.contains(&text));
            waits || stream.subjects.contains_key(&text) || stream.subjects.values().any(|one| one.handle == *handle)
        })
    }

    #[test]
    fn nothing_of_a_stream_is_left_when_it_ends() {
        let streams = streams(&["shop", "forum"]);
        let (own, others) = (handle(1), handle(2));
        streams.add(SHOP, own.clone(), [standing(1); 2]).unwrap();
        streams.put(SHOP, "j".into(), format!("a token about {own}")).unwrap();
        streams.add(("forum", "s"), others.clone(), [standing(1); 2]).unwrap();
        assert!(holds(&streams, &own), "the control: it is found while it is there");
        assert_eq!(streams.end(("shop", "another")), Err(OAuthError::StreamUnknown));
        assert!(holds(&streams, &own));
        streams.end(SHOP).unwrap();
        assert!(!holds(&streams, &own) && holds(&streams, &others));
        assert!(streams.all().keys().all(|client_id| client_id != "shop"));
        // The registry withdraws the other.
        streams.keep(|_| false);
        assert!(!holds(&streams, &others) && streams.all().is_empty());
    }

    #[test]
    fn nothing_is_left_of_a_subject_that_was_removed_or_whose_handle_ended() {
        let streams = streams(&["shop"]);
        for person in 1..4 {
            streams.add(SHOP, handle(person), [standing(1); 2]).unwrap();
        }
        streams.remove(SHOP, &handle(1)).unwrap();
        assert!(!holds(&streams, &handle(1)));
        let told = streams.learn(SHOP, vec![(handle(2), [None, None])], Timestamp(100));
        assert!(told.is_empty() && !holds(&streams, &handle(2)), "its time was over");
        let told = streams.learn(SHOP, vec![(handle(3), [None, None])], Timestamp(99));
        assert_eq!(told, [(handle(3).to_string(), Event::SessionRevoked)]);
        assert!(!holds(&streams, &handle(3)), "somebody who left");
    }

    #[test]
    fn a_stream_that_is_full_pauses_and_tells_the_rest_later() {
        let streams = streams(&["shop"]);
        let people: Vec<_> = (0..1_500).map(handle).collect();
        for one in &people {
            streams.add(SHOP, one.clone(), [standing(1); 2]).unwrap();
        }
        let said = || people.iter().map(|one| (one.clone(), [Some(standing(9)); 2])).collect::<Vec<_>>();
        let told = streams.learn(SHOP, said(), Timestamp(1));
        assert_eq!(told.len(), WAITING + 1);
        assert!(matches!(told.last().unwrap().1, Event::StreamUpdated { status: Status::Paused, .. }));
        for (number, _) in told.iter().enumerate() {
            streams.put(SHOP, number.to_string(), String::new()).unwrap();
        }
        assert!(streams.asking().is_empty(), "nobody is asked about meanwhile");
        let (sets, more) = streams.poll("shop", &[], 2_000).unwrap();
        assert_eq!((sets.len(), more), (WAITING + 1, false), "what waits can be fetched");
        let done: Vec<String> = sets.into_iter().map(|(jti, _)| jti).collect();
        streams.poll("shop", &done, 0).unwrap();
        streams.set_status(SHOP, StatusChange { status: Status::Enabled, reason: None }).unwrap();
        assert_eq!(streams.learn(SHOP, said(), Timestamp(1)).len(), 500, "those that had to wait, once");
        assert!(streams.learn(SHOP, said(), Timestamp(1)).is_empty());
    }

    #[test]
    fn while_disabled_nothing_is_kept_and_what_happened_is_not_told() {
        let streams = streams(&["shop"]);
        streams.add(SHOP, handle(1), [standing(1); 2]).unwrap();
        streams.put(SHOP, "j".into(), "t".into()).unwrap();
        streams.set_status(SHOP, StatusChange { status: Status::Disabled, reason: None }).unwrap();
        assert!(streams.asking().is_empty());
        streams.set_status(SHOP, StatusChange { status: Status::Enabled, reason: None }).unwrap();
        assert!(streams.poll("shop", &[], 10).unwrap().0.is_empty());
        assert!(streams.learn(SHOP, vec![(handle(1), [Some(standing(9)); 2])], Timestamp(1)).is_empty());
        streams.began(SHOP);
        assert_eq!(streams.learn(SHOP, vec![(handle(1), [Some(standing(10)); 2])], Timestamp(1)).len(), 1);
    }

    #[test]
    fn events_that_were_not_asked_for_are_not_told() {
        let streams = Streams::default();
        let config = format!(r#"{{"events_requested":["{}"]}}"#, CAEP[1]);
        let config = StreamConfig::create(config.as_bytes(), &Registration::default()).unwrap();
        streams.create("shop", "s".into(), config).unwrap();
        streams.add(SHOP, handle(1), [standing(1); 2]).unwrap();
        assert!(streams.learn(SHOP, vec![(handle(1), [Some(standing(9)); 2])], Timestamp(1)).is_empty());
    }

    #[test]
    fn a_platform_has_ten_thousand_subjects_and_no_more() {
        let streams = streams(&["shop", "forum"]);
        for person in 0..10_000 {
            streams.add(SHOP, handle(person), [standing(1); 2]).unwrap();
        }
        assert_eq!(streams.add(SHOP, handle(10_001), [standing(1); 2]), Err(OAuthError::StreamFull));
        assert_eq!(streams.add(("forum", "s"), handle(1), [standing(1); 2]), Ok(()));
    }
}
