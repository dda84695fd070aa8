use super::*;
use hufu_kernel::{Octets, Pair, Rng as _, SeededRng};
use hufu_oidc::signals::CAEP;
use hufu_wire::api::platform::Registration;
use hufu_wire::subject_handle::HALF;

const SHOP: (&str, &str) = ("shop", "s");
const FORUM: (&str, &str) = ("forum", "s");

fn handle(person: u16) -> SubjectHandle {
    let mut half = [7; HALF];
    half[..2].copy_from_slice(&person.to_be_bytes());
    SubjectHandle { pair: Pair::ALL[0], halves: [Octets(half); 2] }
}

fn standing(of: u8) -> PersonStanding {
    PersonStanding { active: true, same_epoch: true, credentials: Octets([of; 32]), exp: Timestamp(1_000) }
}

fn streams(clients: &[&str]) -> Streams {
    let streams = Streams::default();
    for client_id in clients {
        let config = StreamConfig::create(b"{}", &Registration::default()).unwrap();
        streams.create(client_id, "s".into(), config).unwrap();
    }
    streams
}

fn status(streams: &Streams, status: Status) {
    streams.set_status(SHOP, StatusChange { status, reason: None }).unwrap();
}

/// What both nodes say now of these.
fn said(people: impl IntoIterator<Item = u16>, now: PersonStanding) -> Vec<(SubjectHandle, Said)> {
    people.into_iter().map(|person| (handle(person), [Some(now); 2])).collect()
}

/// What is told once nodes have said this, without a delay; a token has its event's number and its handle.
fn told(streams: &Streams, said: Vec<(SubjectHandle, Said)>) -> Vec<(String, Event)> {
    streams.learn(SHOP, said, Timestamp(1), || 0);
    released(streams, Timestamp(1))
}

fn released(streams: &Streams, now: Timestamp) -> Vec<(String, Event)> {
    let due = streams.due(None, now);
    for due in &due {
        streams.put((&due.client_id, &due.id), due.number, due.number.to_string(), format!("about {}", due.subject));
    }
    due.into_iter().map(|due| (due.subject, due.event)).collect()
}

fn waiting(streams: &Streams) -> Vec<String> {
    streams.poll("shop", &BTreeSet::new(), 5_000).unwrap().0.into_iter().map(|(jti, _)| jti).collect()
}

fn acknowledge(streams: &Streams, done: &[String]) {
    streams.poll("shop", &done.iter().cloned().collect(), 0).unwrap();
}

/// Whether anything of a handle is anywhere.
fn holds(streams: &Streams, handle: &SubjectHandle) -> bool {
    let text = handle.to_string();
    streams.all().values().any(|stream| {
        let waits = stream.waiting.iter().any(|(_, set)| set.contains(&text));
        let held = stream.held.iter().any(|held| held.subject == text);
        let watched = stream.subjects.values().any(|one| one.handle == *handle);
        waits || held || watched || stream.subjects.contains_key(&text)
    })
}

#[test]
fn nothing_of_a_stream_is_left_when_it_ends() {
    let streams = streams(&["shop", "forum"]);
    let others = handle(9);
    streams.add(FORUM, others.clone(), [standing(1); 2]).unwrap();
    for person in 1..4 {
        streams.add(SHOP, handle(person), [standing(1); 2]).unwrap();
    }
    // One waits to be acknowledged, one is held, one is watched.
    let gone = |person| vec![(handle(person), [None, None])];
    assert_eq!(told(&streams, gone(1)).len(), 1);
    streams.learn(SHOP, gone(2), Timestamp(1), || 100);
    let own = [1, 2, 3].map(handle);
    assert!(own.iter().all(|own| holds(&streams, own)), "the control: all are found while they are there");
    assert_eq!(streams.end(("shop", "another")), Err(OAuthError::StreamUnknown));
    assert!(own.iter().all(|own| holds(&streams, own)));
    streams.end(SHOP).unwrap();
    assert!(!own.iter().any(|own| holds(&streams, own)) && holds(&streams, &others));
    assert!(streams.all().keys().all(|client_id| client_id != "shop"));
    // The registry withdraws the other.
    streams.keep(|_| false);
    assert!(!holds(&streams, &others) && streams.all().is_empty());
}

#[test]
fn nothing_is_left_of_a_subject_that_was_removed() {
    let streams = streams(&["shop"]);
    for person in 1..3 {
        streams.add(SHOP, handle(person), [standing(1); 2]).unwrap();
    }
    streams.learn(SHOP, said([1, 2], standing(9)), Timestamp(1), || 60);
    streams.remove(SHOP, &handle(1)).unwrap();
    assert!(!holds(&streams, &handle(1)) && holds(&streams, &handle(2)));
    assert_eq!(released(&streams, Timestamp(61)).len(), 1, "of one that stays");
}

/// A node whose clock is a minute ahead ends a handle a minute early: that must not look like somebody who left.
#[test]
fn a_handle_that_ends_by_itself_is_let_go_before_nodes_are_asked_and_nobody_is_told() {
    let streams = streams(&["shop"]);
    streams.add(SHOP, handle(1), [standing(1); 2]).unwrap();
    streams.add(SHOP, handle(2), [standing(1); 2]).unwrap();
    let asked = |now| streams.asking(Timestamp(now)).iter().map(|asking| asking.handles.len()).sum::<usize>();
    assert_eq!(asked(1_000 - 121), 2);
    streams.learn(SHOP, vec![(handle(1), [None, None])], Timestamp(1_000 - 120), || 0);
    assert!(released(&streams, Timestamp(5_000)).is_empty() && !holds(&streams, &handle(1)));
    assert_eq!(asked(1_000 - 120), 0);
    assert!(!holds(&streams, &handle(2)));
}

#[test]
fn a_stream_that_is_full_compares_nothing_and_tells_the_rest_later() {
    let streams = streams(&["shop"]);
    for person in 0..1_500 {
        streams.add(SHOP, handle(person), [standing(1); 2]).unwrap();
    }
    let news = || said(0..1_500, standing(9));
    assert_eq!(told(&streams, news()).len(), WAITING);
    assert!(streams.asking(Timestamp(1)).is_empty(), "nobody is asked about meanwhile");
    assert_eq!(streams.add(SHOP, handle(2_000), [standing(1); 2]), Err(OAuthError::StreamFull));
    assert!(told(&streams, news()).is_empty());
    let first = waiting(&streams);
    assert_eq!(first.len(), WAITING, "what waits can be fetched");
    acknowledge(&streams, &first);
    assert_eq!(streams.asking(Timestamp(1)).len(), 1, "and by itself it goes on");
    assert_eq!(told(&streams, news()).len(), 500, "those that had to wait, once");
    assert!(told(&streams, news()).is_empty());
}

#[test]
fn an_event_that_cannot_be_signed_now_is_held_until_it_can() {
    let streams = streams(&["shop"]);
    streams.add(SHOP, handle(1), [standing(1); 2]).unwrap();
    streams.learn(SHOP, said([1], standing(9)), Timestamp(1), || 0);
    assert_eq!(streams.due(None, Timestamp(1)).len(), 1, "signing fails: nothing is put");
    streams.learn(SHOP, said([1], standing(9)), Timestamp(2), || 0);
    assert_eq!(released(&streams, Timestamp(2)).len(), 1, "once, later");
    assert_eq!(waiting(&streams).len(), 1);
}

#[test]
fn all_streams_together_have_a_bound_in_bytes() {
    let streams = streams(&["shop", "forum"]);
    streams.add(FORUM, handle(1), [standing(1); 2]).unwrap();
    streams.put_verification(SHOP, "v".into(), "x".repeat(WAITING_BYTES)).unwrap();
    assert!(streams.asking(Timestamp(1)).is_empty());
    assert_eq!(streams.add(FORUM, handle(2), [standing(1); 2]), Err(OAuthError::StreamFull));
    acknowledge(&streams, &["v".to_owned()]);
    assert_eq!(streams.asking(Timestamp(1)).len(), 1);
}

#[test]
fn one_verification_waits_and_the_newer_is_the_one() {
    let streams = streams(&["shop"]);
    for jti in ["a", "b", "c"] {
        streams.put_verification(SHOP, jti.into(), "t".into()).unwrap();
    }
    assert_eq!(waiting(&streams), ["c"]);
}

#[test]
fn while_disabled_nothing_is_kept_and_what_happened_is_not_told() {
    let streams = streams(&["shop"]);
    for person in 1..4 {
        streams.add(SHOP, handle(person), [standing(1); 2]).unwrap();
    }
    streams.learn(SHOP, said([1], standing(5)), Timestamp(1), || 60);
    streams.put_verification(SHOP, "j".into(), "t".into()).unwrap();
    status(&streams, Status::Disabled);
    assert!(streams.asking(Timestamp(1)).is_empty());
    status(&streams, Status::Enabled);
    assert!(waiting(&streams).is_empty() && released(&streams, Timestamp(500)).is_empty());
    assert!(told(&streams, said([1], standing(9))).is_empty(), "it begins anew with this");
    // Each for itself: one whose node was away meanwhile begins when it is back, and keeps no other from being told.
    streams.learn(SHOP, vec![(handle(2), [Some(standing(9)), None])], Timestamp(1), || 0);
    assert_eq!(told(&streams, said([1, 2], standing(10))).len(), 1, "the first alone");
    assert_eq!(told(&streams, said([2], standing(11))).len(), 1);
    // Whose sessions are over is told: that is how it is, and no news of then.
    let over = PersonStanding { active: false, same_epoch: false, ..standing(9) };
    assert_eq!(told(&streams, said([3], over)), [(handle(3).to_string(), Event::SessionRevoked)]);
}

#[test]
fn while_paused_nothing_is_given_and_afterwards_all_of_it() {
    let streams = streams(&["shop"]);
    streams.add(SHOP, handle(1), [standing(1); 2]).unwrap();
    streams.put_verification(SHOP, "v".into(), "t".into()).unwrap();
    streams.learn(SHOP, said([1], standing(9)), Timestamp(1), || 60);
    status(&streams, Status::Paused);
    assert!(waiting(&streams).is_empty() && released(&streams, Timestamp(500)).is_empty());
    assert!(streams.asking(Timestamp(1)).is_empty());
    status(&streams, Status::Enabled);
    assert_eq!(released(&streams, Timestamp(500)).len(), 1);
    assert_eq!(waiting(&streams).len(), 2);
}

#[test]
fn events_that_were_not_asked_for_are_not_told() {
    let streams = Streams::default();
    let config = format!(r#"{{"events_requested":["{}"]}}"#, CAEP[1]);
    let config = StreamConfig::create(config.as_bytes(), &Registration::default()).unwrap();
    streams.create("shop", "s".into(), config).unwrap();
    streams.add(SHOP, handle(1), [standing(1); 2]).unwrap();
    let locked = PersonStanding { active: false, ..standing(1) };
    assert!(told(&streams, said([1], locked)).is_empty());
    assert_eq!(told(&streams, said([1], PersonStanding { active: false, ..standing(9) })).len(), 1, "the control");
    assert_eq!(streams.add_ended(SHOP, &handle(2), Timestamp(1)), Err(OAuthError::StreamSubject));
}

#[test]
fn a_platform_has_ten_thousand_subjects_and_no_more() {
    let streams = streams(&["shop", "forum"]);
    for person in 0..10_000 {
        streams.add(SHOP, handle(person), [standing(1); 2]).unwrap();
    }
    assert_eq!(streams.add(SHOP, handle(10_001), [standing(1); 2]), Err(OAuthError::StreamFull));
    assert_eq!(streams.add(FORUM, handle(1), [standing(1); 2]), Ok(()));
}

/// Seconds after it was noticed at which each person's event reaches one and the other platform.
fn times(mut delay: impl FnMut() -> i64) -> Vec<(i64, i64)> {
    const PEOPLE: u16 = 300;
    let streams = streams(&["shop", "forum"]);
    for of in [SHOP, FORUM] {
        for person in 0..PEOPLE {
            streams.add(of, handle(person), [standing(1); 2]).unwrap();
        }
        // Everybody does something at once, and the front notices it at once.
        streams.learn(of, said(0..PEOPLE, standing(9)), Timestamp(0), &mut delay);
    }
    let mut reached = BTreeMap::new();
    for second in 0..=120 {
        for due in streams.due(None, Timestamp(second)) {
            streams.put((&due.client_id, &due.id), due.number, due.number.to_string(), String::new());
            reached.insert((due.client_id, due.subject), second);
        }
    }
    let at = |of: (&str, &str), person| reached[&(of.0.to_owned(), handle(person).to_string())];
    (0..PEOPLE).map(|person| (at(SHOP, person), at(FORUM, person))).collect()
}

/// Two platforms that lay the times of their events beside each other, to find whose handles are one person's.
#[test]
fn the_times_of_events_do_not_say_which_handles_of_two_platforms_are_one_persons() {
    // As near as two drawn times come by chance: within 5 seconds in about one of eleven.
    let near = |times: &[(i64, i64)]| times.iter().filter(|(one, other)| (one - other).abs() <= 5).count();
    let rng = SeededRng::new(5);
    let drawn = times(|| {
        let mut bytes = [0; 4];
        rng.fill(&mut bytes);
        i64::from(u32::from_be_bytes(bytes)) % 121
    });
    assert!((10..50).contains(&near(&drawn)), "{}", near(&drawn));
    let spread: BTreeSet<i64> = drawn.iter().map(|(one, _)| *one).collect();
    assert!(spread.len() > 90 && spread.iter().all(|second| (0..=120).contains(second)));
    // The control: without the delay every pair has one time.
    assert_eq!(near(&times(|| 0)), 300);
}

#[test]
fn of_one_subject_nothing_overtakes_what_was_noticed_before() {
    let streams = streams(&["shop"]);
    streams.add(SHOP, handle(1), [standing(1); 2]).unwrap();
    let locked = PersonStanding { active: false, ..standing(1) };
    streams.learn(SHOP, said([1], locked), Timestamp(0), || 100);
    streams.learn(SHOP, said([1], standing(1)), Timestamp(15), || 0);
    assert!(released(&streams, Timestamp(99)).is_empty());
    let told: Vec<Event> = released(&streams, Timestamp(100)).into_iter().map(|(_, event)| event).collect();
    assert_eq!(told, [false, true].map(|active| Event::AssuranceLevelChange { active }));
}

#[test]
fn a_push_that_ends_in_any_way_lets_the_next_begin() {
    let streams = streams(&["shop"]);
    let registration = Registration { ssf_push_uri: Some("https://shop.example/e".into()), ..Registration::default() };
    let body = br#"{"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":"https://shop.example/e"}}"#;
    streams.change(SHOP, |_| StreamConfig::create(body, &registration)).unwrap();
    streams.put_verification(SHOP, "v".into(), "t".into()).unwrap();
    assert_eq!(streams.pushes(Timestamp(0)), ["shop"]);
    assert!(streams.pushes(Timestamp(0)).is_empty(), "under way");
    drop(Pushing(&streams, "shop"));
    assert_eq!(streams.pushes(Timestamp(0)), ["shop"]);
    drop(Pushing(&streams, "shop"));
    // It fails again and again: longer each time, and nothing is lost.
    for wait in [15, 30, 45] {
        streams.not_pushed(SHOP, Timestamp(0));
        assert!(streams.pushes(Timestamp(wait - 1)).is_empty());
    }
    for _ in 0..100 {
        streams.not_pushed(SHOP, Timestamp(0));
    }
    assert_eq!(streams.pushes(Timestamp(PUSH_AGAIN_AT_MOST)), ["shop"]);
    assert_eq!(streams.push("shop").unwrap().jti, "v");
    // Paused meanwhile: the next token stays.
    status(&streams, Status::Paused);
    assert!(streams.push("shop").is_none());
}
