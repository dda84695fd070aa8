//! Enrolment is no oracle on other people, by the clock either: over HTTP, the time of an answer does not tell whether a number
//! is in the register, whether its holder is enrolled, or whether a phone is known.
//!
//! Welch's t over interleaved tries, as dudect does it: the arms take turns in random order, so that whatever the machine does
//! meets all of them alike; the slowest tenth of all tries goes, in every arm by the same threshold, since preemption
//! is most of the variance and tells nothing about the arm. A difference is a leak if |t| ≥ 4.5 with the same sign in
//! three series out of three. One series alone is no proof on a machine that does other things: tries that follow each other
//! are not independent there, and t is made for such that are. A leak is in the code and comes back in each series; the
//! control, one millisecond planted on the way of one arm, must be found in each.

use crate::demo::{Running, options, start};
use hufu_app::demo::Options;
use hufu_kernel::{Lang, OsRng, Rng, random};
use hufu_offices::registrar::NOTICE_VERSION;
use hufu_sandbox::http::client;
use hufu_sandbox::persons::Person;
use hufu_wallet::Details;
use hufu_wire::api::enrolment::{CodeStep, FaceStep, PhoneStep, StartEnrolment, Started, Ticket};
use hufu_wire::documents::DocumentNumber;
use hufu_wire::phone::Phone;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// Tries of each arm at step 1.
const STARTS: usize = 5_000;
/// Of these, as many go on to the face; half of them to the arm's phone, half to one of the attacker's own and to the code.
const STEPS: usize = 3_400;
/// Tries of each arm of the control.
const CONTROL: usize = 800;
/// Left out at the beginning, of each attacker: connections, caches.
const WARM_UP: usize = 20;
/// They try at the same time: an answer waits for its beat, and so would one attacker.
const ATTACKERS: u32 = 8;
/// Of all tries, those below this share are compared.
const KEPT: f64 = 0.9;
const LEAK: f64 = 4.5;
const SERIES: usize = 3;

/// Seconds of each try.
type Times = Vec<f64>;

fn mean_and_variance(times: &[f64]) -> (f64, f64) {
    let n = times.len() as f64;
    let mean = times.iter().sum::<f64>() / n;
    (mean, times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

/// Welch's t of two arms, without what is slower than the common threshold.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let mut all: Times = one.iter().chain(other).copied().collect();
    all.sort_by(f64::total_cmp);
    let threshold = all[(all.len() as f64 * KEPT) as usize];
    let kept = |times: &[f64]| times.iter().copied().filter(|time| *time < threshold).collect::<Times>();
    let (one, other) = (kept(one), kept(other));
    let ((mean, variance), (other_mean, other_variance)) = (mean_and_variance(&one), mean_and_variance(&other));
    (mean - other_mean) / (variance / one.len() as f64 + other_variance / other.len() as f64).sqrt()
}

/// Whether every series says so, in the same direction.
fn leaks(series: &[f64]) -> bool {
    series.iter().all(|t| *t >= LEAK) || series.iter().all(|t| *t <= -LEAK)
}

/// What an attacker types.
#[derive(Clone)]
struct Arm {
    details: Details,
    phone: String,
}

#[derive(Clone)]
struct Attacker {
    http: reqwest::Client,
    registrar: String,
    phones: String,
    /// The attacker's own phone.
    own: String,
    /// A millisecond more on the way of the first arm.
    planted: bool,
}

impl Attacker {
    fn of(running: &Running) -> Self {
        let addresses = running.addresses();
        let (registrar, phones) = (addresses.registrar, addresses.phone);
        Self { http: client().unwrap(), registrar, phones, own: String::new(), planted: false }
    }

    /// One request to the registrar: seconds until the whole answer is there, status and body.
    async fn ask(&self, path: &str, body: &impl Serialize, late: bool) -> (f64, u16, Value) {
        let request = self.http.post(format!("{}{path}", self.registrar)).json(body);
        let began = tokio::time::Instant::now();
        if late {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap();
        (began.elapsed().as_secs_f64(), status, serde_json::from_slice(&body).unwrap())
    }

    async fn start(&self, details: &Details, late: bool) -> (f64, Ticket) {
        let request = StartEnrolment {
            document_type: details.document_type,
            document_number: details.document_number.clone(),
            name: details.name.clone(),
            notice_version: NOTICE_VERSION.to_owned(),
        };
        let (time, status, body) = self.ask("/v1/enrol/start", &request, late).await;
        assert_eq!(status, 200, "{body}");
        let started: Started = serde_json::from_value(body).unwrap();
        (time, started.ticket)
    }

    /// Step 2, with a face that does not pass.
    async fn face(&self, ticket: &Ticket) -> f64 {
        let face = FaceStep { ticket: ticket.clone(), evidence: b"fail".to_vec().into() };
        let (time, status, _) = self.ask("/v1/enrol/face", &face, false).await;
        assert_eq!(status, 200);
        time
    }

    /// Step 3.
    async fn send(&self, phone: &str, ticket: &Ticket) -> f64 {
        let send = PhoneStep { ticket: ticket.clone(), phone: phone.to_owned(), lang: Lang::En };
        let (time, status, body) = self.ask("/v1/enrol/phone", &send, false).await;
        assert_eq!(status, 200, "{body}");
        time
    }

    /// Step 4 with the code that came: what an attacker can do who has a phone.
    async fn prove(&self, ticket: &Ticket) -> f64 {
        let code = CodeStep { ticket: ticket.clone(), code: self.code(&self.own).await };
        let (time, status, body) = self.ask("/v1/enrol/code", &code, false).await;
        assert_eq!((status, body["error"].as_str()), (422, Some("details_not_confirmed")));
        time
    }

    async fn code(&self, phone: &str) -> String {
        let url = format!("{}/messages?to={}", self.phones, phone.replace('+', "%2B"));
        let answer = self.http.get(url).send().await.unwrap().bytes().await.unwrap();
        let messages: Value = serde_json::from_slice(&answer).unwrap();
        let list = messages.as_array().or_else(|| messages["messages"].as_array()).unwrap();
        list[0]["params"]["code"].as_str().unwrap().to_owned()
    }
}

/// The arms of one turn in random order.
fn order<const N: usize>(rng: &dyn Rng) -> [usize; N] {
    let mut order = std::array::from_fn(|index| index);
    for index in (1..N).rev() {
        order.swap(index, random::<1>(rng)[0] as usize % (index + 1));
    }
    order
}

/// Known and enrolled, known and not enrolled, unknown to the register. Names are of one length: what differs in what the attacker
/// typed tells the attacker nothing.
async fn arms(running: &Running) -> [Arm; 3] {
    let world = running.world();
    let persons = running.persons();
    let adult = |index: usize| persons[index].clone();
    let enrolled = adult(40);
    let length = enrolled.name.len();
    let same_kind = |person: &&Person| {
        person.persona.is_none()
            && person.name.len() == length
            && person.id != enrolled.id
            && person.documents[0].number.kind() == enrolled.documents[0].number.kind()
            && (1950..2000).contains(&person.birth.year())
    };
    let known = persons.iter().find(same_kind).unwrap();
    world.enrol(&mut world.robot().unwrap(), &enrolled, "27182845").await.unwrap();
    let mut unknown = world.details(known);
    unknown.document_number = absent(known, &persons);
    let arm = |details, phone: &str| Arm { details, phone: phone.to_owned() };
    [
        arm(world.details(&enrolled), enrolled.phone.as_str()),
        arm(world.details(known), persons[60].phone.as_str()),
        arm(unknown, persons[61].phone.as_str()),
    ]
}

/// A number of the same birthday that nobody has.
fn absent(known: &Person, persons: &[Person]) -> String {
    let taken = |candidate: &DocumentNumber| {
        persons.iter().any(|person| person.documents.iter().any(|document| document.number == *candidate))
    };
    let kind = known.documents[0].number.kind();
    let mut candidates = (0..999).map(|sequence| DocumentNumber::sandbox(kind, known.birth, known.sex, sequence));
    candidates.find(|candidate| !taken(candidate)).unwrap().expose().to_owned()
}

const START: usize = 0;
const FACE: usize = 1;
const PHONE: usize = 2;
const CODE: usize = 3;

/// Times of the four steps, an arm each.
type Series = [[Times; 3]; 4];

/// One attacker's share: `starts` turns, of which `steps` go on.
async fn share(attacker: Attacker, arms: [Arm; 3], starts: usize, steps: usize) -> Series {
    let mut times = Series::default();
    for turn in 0..starts + WARM_UP {
        for at in order::<3>(&OsRng) {
            let (start, ticket) = attacker.start(&arms[at].details, attacker.planted && at == 0).await;
            let mut taken = vec![(START, start)];
            if turn < steps + WARM_UP {
                taken.push((FACE, attacker.face(&ticket).await));
                if turn % 2 == 0 {
                    taken.push((PHONE, attacker.send(&arms[at].phone, &ticket).await));
                } else {
                    attacker.send(&attacker.own, &ticket).await;
                    taken.push((CODE, attacker.prove(&ticket).await));
                }
            }
            if turn >= WARM_UP {
                taken.into_iter().for_each(|(step, time)| times[step][at].push(time));
            }
        }
    }
    times
}

/// All attackers' times together.
async fn series(attacker: &Attacker, arms: &[Arm; 3], starts: usize, steps: usize) -> Series {
    let share = |number: u32| {
        // Inboxes of their own, so that nobody reads another's code.
        let own = Phone::sandbox(990_000 + number).as_str().to_owned();
        let own = Attacker { own, ..attacker.clone() };
        tokio::spawn(share(own, arms.clone(), starts / ATTACKERS as usize, steps / ATTACKERS as usize))
    };
    let mut all = Series::default();
    for one in (0..ATTACKERS).map(share).collect::<Vec<_>>() {
        for (step, arms) in one.await.unwrap().into_iter().enumerate() {
            arms.into_iter().enumerate().for_each(|(at, times)| all[step][at].extend(times));
        }
    }
    all
}

/// Enrolled against known, known against unknown; the third comparison follows from the two.
fn compared(times: &[Times; 3]) -> [f64; 2] {
    [welch(&times[0], &times[1]), welch(&times[1], &times[2])]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_an_answer_does_not_tell_who_is_known_enrolled_or_reachable() {
    // Where the system has a folder in memory: waiting for a disk is noise, the same for every arm.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    // The limit on codes to one phone would end the comparison after ten tries; the attacker measured here is never stopped.
    let rules = folder.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    for name in hufu_domain::rules::Rules::FILES {
        let text = std::fs::read_to_string(format!("{}/../../rules/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        std::fs::write(rules.join(name), text.replace("hourly_per_phone = 10", "hourly_per_phone = 1000000")).unwrap();
    }
    let running = start(Options { rules: Some(rules), ..options(folder.path()) }).await;
    let arms = arms(&running).await;
    let attacker = Attacker::of(&running);

    // The control: one millisecond more on the way of the first arm.
    let late = Attacker { planted: true, ..attacker.clone() };
    let mut planted = Vec::new();
    for _ in 0..SERIES {
        let [start, ..] = series(&late, &arms, CONTROL, 0).await;
        planted.push(welch(&start[0], &start[1]));
    }
    println!("planted millisecond: t = {planted:.1?}");
    assert!(leaks(&planted), "the planted millisecond was not found: {planted:?}");

    let names = ["start", "face", "phone", "code"];
    let mut found: Vec<[[f64; 2]; 4]> = Vec::new();
    for _ in 0..SERIES {
        let compared = series(&attacker, &arms, STARTS, STEPS).await.map(|times| compared(&times));
        println!("t (enrolled/known, known/unknown): {names:?} {compared:.1?}");
        found.push(compared);
        if found.last().unwrap().iter().flatten().all(|t| t.abs() < LEAK) {
            break;
        }
    }
    for (step, name) in names.iter().enumerate() {
        for pair in 0..2 {
            let series: Vec<f64> = found.iter().map(|one| one[step][pair]).collect();
            assert!(found.len() < SERIES || !leaks(&series), "{name}: t = {series:?}");
        }
    }
    running.stop().await;
}

#[test]
fn the_statistic_finds_a_shift_under_noise_and_none_where_there_is_none() {
    // Two arms of a coarse, skewed noise, and the same with a twentieth of its width added to one.
    let noise = |salt: u64| -> Times {
        (0..5_000u64)
            .map(|n| ((n * 2_654_435_761 + salt * 40_503) % 10_007) as f64 / 10_007.0)
            .map(|x| if x > 0.95 { x * 100.0 } else { x })
            .collect()
    };
    let (one, other) = (noise(1), noise(2));
    let shifted: Times = one.iter().map(|time| time + 0.05).collect();
    assert!(welch(&one, &other).abs() < LEAK);
    assert!(welch(&shifted, &other) >= LEAK);
    assert!(leaks(&[5.0, 6.0, 4.6]) && leaks(&[-5.0, -6.0, -4.6]));
    assert!(!leaks(&[5.0, -6.0, 5.0]) && !leaks(&[5.0, 4.4, 9.0]));
    let mut seen = std::collections::BTreeSet::new();
    seen.extend((0..100).map(|_| order::<3>(&OsRng)));
    assert_eq!(seen.len(), 6, "every order comes");
}
