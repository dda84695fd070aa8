//! Sealed subject handles at the nodes: who can have what opened, and what the answers tell.

use super::outages::pair;
use super::world::{TestWallet, World};
use super::{ONE, THREE, TWO, refused};
use hufu_kernel::{Answer, Clock as _, NodeIndex, Octets, Pair, Refusal, Strength};
use hufu_offices::ports::SubjectHandles as _;
use hufu_wallet::{Address, Asked, SoftwareDevice, WalletError};
use hufu_wire::api::handles::{AskStandings, MAX_ASKED, PersonStanding};
use hufu_wire::jose::Alg;
use hufu_wire::subject_handle::{HANDLE_SECONDS, HandleHalf, HandleUse, SubjectHandle};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

const SHOP: &str = "https://shop.example";
const FORUM: &str = "https://forum.example";

fn asked(world: &World, sector: &str, uses: &[HandleUse], alg: Alg) -> Asked {
    let mut certificate = world.ask(sector, &[Answer::Real], Strength::Certificate).certificate;
    certificate.registration.subject_handle = uses.to_vec();
    certificate.id_token_signed_response_alg = alg;
    world.ask_with(certificate, &[Answer::Real], Strength::Certificate)
}

async fn handle_at(world: &World, wallet: &mut TestWallet, sector: &str, uses: &[HandleUse]) -> SubjectHandle {
    let asked = asked(world, sector, uses, Alg::EdDSA);
    let signed = wallet.sign_in_with(&asked, &[Answer::Real], None, pair(ONE, TWO)).await.unwrap();
    let handle = signed.handle.unwrap();
    assert_eq!(signed.payload.hufu.handle, Some(handle.hash()), "both nodes vouch for both halves");
    handle
}

async fn ask(
    world: &World,
    node: NodeIndex,
    sector: &str,
    wanted: HandleUse,
    half: HandleHalf,
) -> Option<PersonStanding> {
    // A certificate of the platform's for every use: which of them a half is for, the half says.
    let certificate = asked(world, sector, &HandleUse::ALL, Alg::EdDSA).transaction.certificate;
    let ask = AskStandings { certificate, wanted, halves: vec![half] };
    let answer = world.nodes.at(node).standings(&ask).await.unwrap();
    assert_eq!(answer.standings.len(), 1);
    answer.standings[0]
}

/// What both nodes say.
async fn both(world: &World, sector: &str, handle: &SubjectHandle) -> [Option<PersonStanding>; 2] {
    let mut said = [None, None];
    for (said, (node, half)) in said.iter_mut().zip(handle.parts()) {
        *said = ask(world, node, sector, HandleUse::Signals, half).await;
    }
    said
}

async fn known(world: &World, sector: &str, handle: &SubjectHandle) -> [PersonStanding; 2] {
    both(world, sector, handle).await.map(Option::unwrap)
}

#[tokio::test]
async fn a_half_opens_at_its_own_node_for_its_own_platform_and_its_own_use_for_a_month() {
    let world = World::new(401);
    let mut wallet = world.enrolled(1).await;
    let handle = handle_at(&world, &mut wallet, SHOP, &[HandleUse::Signals]).await;
    let [first, second] = handle.halves;
    for standing in known(&world, SHOP, &handle).await {
        assert!(standing.active && standing.same_epoch);
        assert_eq!(standing.exp, world.clock.now() + HANDLE_SECONDS);
    }
    let closed = async |node, sector, wanted, half| ask(&world, node, sector, wanted, half).await.is_none();
    assert!(closed(ONE, FORUM, HandleUse::Signals, first).await, "another platform");
    assert!(closed(ONE, SHOP, HandleUse::Refresh, first).await, "another use");
    assert!(closed(ONE, SHOP, HandleUse::Signals, second).await, "another node's");
    assert!(closed(TWO, SHOP, HandleUse::Signals, first).await, "another node's");
    assert!(closed(THREE, SHOP, HandleUse::Signals, first).await, "the node that took no part");
    for at in [0, 20, 40, 85] {
        let mut changed = first;
        changed.0[at] ^= 1;
        assert!(closed(ONE, SHOP, HandleUse::Signals, changed).await, "changed at {at}");
    }
    assert!(closed(ONE, SHOP, HandleUse::Signals, Octets([0; 86])).await, "none at all");
    world.clock.advance(HANDLE_SECONDS - 1);
    assert!(!closed(ONE, SHOP, HandleUse::Signals, first).await, "the control: the last second");
    world.clock.advance(1);
    assert!(closed(ONE, SHOP, HandleUse::Signals, first).await, "too old");
}

#[tokio::test]
async fn who_registered_for_no_use_gets_no_handle_and_tokens_as_they_always_were() {
    let world = World::new(402);
    let mut wallet = world.enrolled(1).await;
    let signed = world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap();
    assert_eq!((signed.handle, signed.payload.hufu.handle), (None, None));
    let payload = hufu_kernel::unb64(signed.id_token.split('.').nth(1).unwrap()).unwrap();
    assert!(!String::from_utf8(payload).unwrap().contains("handle"));
}

#[tokio::test]
async fn two_handles_have_nothing_in_common() {
    let world = World::new(403);
    let (mut wallet, mut other) = (world.enrolled(1).await, world.enrolled(2).await);
    let uses = [HandleUse::Signals];
    let handle = handle_at(&world, &mut wallet, SHOP, &uses).await;
    let again = handle_at(&world, &mut wallet, SHOP, &uses).await;
    assert_ne!(handle.halves, again.halves);
    assert_eq!(handle.to_string().len(), again.to_string().len());
    let [at_shop, _] = known(&world, SHOP, &handle).await;
    assert_eq!(
        known(&world, SHOP, &again).await[0].credentials,
        at_shop.credentials,
        "the control: one person at one platform"
    );
    let elsewhere = handle_at(&world, &mut wallet, FORUM, &uses).await;
    let [at_forum, _] = known(&world, FORUM, &elsewhere).await;
    let somebody = handle_at(&world, &mut other, SHOP, &uses).await;
    let [another, _] = known(&world, SHOP, &somebody).await;
    assert_ne!(at_forum.credentials, at_shop.credentials, "two platforms cannot lay their digests beside each other");
    assert_ne!(another.credentials, at_shop.credentials);
    let [_, second] = known(&world, SHOP, &handle).await;
    assert_ne!(second.credentials, at_shop.credentials, "nor can two nodes'");
}

#[tokio::test]
async fn what_a_person_does_shows_as_a_change_of_its_own_kind() {
    let world = World::new(404);
    let mut wallet = world.enrolled(1).await;
    let handle = handle_at(&world, &mut wallet, SHOP, &HandleUse::ALL).await;
    let before = known(&world, SHOP, &handle).await;
    let changed = |now: &[PersonStanding; 2], differs: fn(&PersonStanding, &PersonStanding) -> bool| {
        let [one, other] = [0, 1].map(|at| differs(&before[at], &now[at]));
        assert_eq!(one, other);
        one
    };
    let kinds = |now: &[PersonStanding; 2]| {
        let sessions = changed(now, |before, now| before.same_epoch != now.same_epoch);
        let credentials = changed(now, |before, now| before.credentials != now.credentials);
        (sessions, credentials, changed(now, |before, now| before.active != now.active))
    };
    assert_eq!(kinds(&known(&world, SHOP, &handle).await), (false, false, false));

    wallet.replace_number().await.unwrap();
    assert_eq!(
        kinds(&known(&world, SHOP, &handle).await),
        (false, false, false),
        "a new number is no platform's affair"
    );

    let device = SoftwareDevice::generate(&world.trust.rp_id, super::world::WALLET, world.rng.as_ref()).unwrap();
    wallet.add_device(&device).await.unwrap();
    assert_eq!(kinds(&known(&world, SHOP, &handle).await), (false, true, false));

    wallet.lock().await.unwrap();
    let locked = known(&world, SHOP, &handle).await;
    assert_eq!(kinds(&locked), (false, true, true));
    assert!(locked.iter().all(|standing| !standing.active && standing.same_epoch));
    wallet.unlock().await.unwrap();
    let unlocked = known(&world, SHOP, &handle).await;
    assert!(unlocked.iter().all(|standing| standing.active));
    assert_eq!(kinds(&unlocked), (false, true, false), "as it was before");

    wallet.end_sessions().await.unwrap();
    let ended = known(&world, SHOP, &handle).await;
    assert_eq!(kinds(&ended), (true, true, true));
    assert!(ended.iter().all(|standing| !standing.active && !standing.same_epoch));
    // Whatever the person does after that is not this handle's affair any more: nothing of the answer changes.
    let another = SoftwareDevice::generate(&world.trust.rp_id, super::world::WALLET, world.rng.as_ref()).unwrap();
    wallet.add_device(&another).await.unwrap();
    assert_eq!(known(&world, SHOP, &handle).await, ended);
    wallet.lock().await.unwrap();
    assert_eq!(known(&world, SHOP, &handle).await, ended);
    wallet.unlock().await.unwrap();
    let anew = handle_at(&world, &mut wallet, SHOP, &HandleUse::ALL).await;
    assert!(known(&world, SHOP, &anew).await.iter().all(|standing| standing.same_epoch));

    wallet.leave().await.unwrap();
    assert_eq!(both(&world, SHOP, &handle).await, [None, None]);
    assert_eq!(both(&world, SHOP, &anew).await, [None, None]);
}

/// A wallet that puts a friend's half in the place of its own: what happens to the friend would be told of it, or the other way round.
#[tokio::test]
async fn another_persons_half_gets_into_no_token_not_even_one_of_a_single_node() {
    for alg in [Alg::EdDSA, Alg::ES256] {
        let world = World::new(405);
        let (mut wallet, mut friend) = (world.enrolled(1).await, world.enrolled(2).await);
        let theirs = handle_at(&world, &mut friend, SHOP, &HandleUse::ALL).await.halves;
        let asked = || asked(&world, SHOP, &HandleUse::ALL, alg);
        let honest = wallet.sign_in_with(&asked(), &[Answer::Real], None, pair(ONE, TWO)).await;
        assert!(honest.unwrap().handle.is_some(), "the control");
        for (place, node) in [ONE, TWO].into_iter().enumerate() {
            for half in [Some(theirs[place]), None] {
                wallet.transport().set_tamper(move |to, path, answer| {
                    if (to, path) == (Address::Node(node), "/v1/sign-in/begin") {
                        match half {
                            Some(half) => answer["handle"] = serde_json::to_value(half).unwrap(),
                            None => drop(answer.as_object_mut().unwrap().remove("handle")),
                        }
                    }
                });
                let error = wallet.sign_in_with(&asked(), &[Answer::Real], None, pair(ONE, TWO)).await.unwrap_err();
                assert_eq!(refused(error), Refusal::SignatureRefused, "{alg:?} {node} {}", half.is_some());
            }
        }
    }
}

#[tokio::test]
async fn a_wallet_takes_no_half_for_a_platform_that_registered_for_none() {
    let world = World::new(406);
    let mut wallet = world.enrolled(1).await;
    wallet.transport().set_tamper(|_, path, answer| {
        if path == "/v1/sign-in/begin" {
            answer["handle"] = serde_json::to_value(Octets([7; 86])).unwrap();
        }
    });
    let error = world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.unwrap_err();
    assert!(matches!(error, WalletError::Untrusted(_)), "{error}");
}

#[tokio::test]
async fn a_question_has_an_end() {
    let world = World::new(407);
    let halves = vec![Octets([0; 86]); MAX_ASKED + 1];
    let certificate = asked(&world, SHOP, &HandleUse::ALL, Alg::EdDSA).transaction.certificate;
    let mut ask = AskStandings { certificate, wanted: HandleUse::Signals, halves };
    assert_eq!(world.nodes.at(ONE).standings(&ask).await.unwrap_err(), Refusal::Malformed);
    ask.halves.pop();
    assert_eq!(world.nodes.at(ONE).standings(&ask).await.unwrap().standings, vec![None; MAX_ASKED]);
}

/// A front alone opens nothing in a name that the registry has not signed, for a use that it has not, or when the certificate has ended.
#[tokio::test]
async fn a_node_is_asked_in_the_name_of_a_certificate_and_not_of_whom_the_front_says() {
    let world = World::new(409);
    let mut wallet = world.enrolled(1).await;
    let half = handle_at(&world, &mut wallet, SHOP, &HandleUse::ALL).await.halves[0];
    let said = async |certificate: String| {
        let ask = AskStandings { certificate, wanted: HandleUse::Signals, halves: vec![half] };
        world.nodes.at(ONE).standings(&ask).await.map(|said| said.standings[0].is_some())
    };
    let good = asked(&world, SHOP, &[HandleUse::Signals], Alg::EdDSA);
    assert_eq!(said(good.transaction.certificate.clone()).await, Ok(true), "the control");
    let (input, _) = good.transaction.certificate.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", hufu_kernel::b64(&[7; 64]));
    for unsigned in [forged, "shop.example".to_owned(), String::new()] {
        assert_eq!(said(unsigned).await, Err(Refusal::PlatformUnknown));
    }
    let withdrawn = asked(&world, SHOP, &[HandleUse::Refresh], Alg::EdDSA);
    assert_eq!(said(withdrawn.transaction.certificate).await, Err(Refusal::OverAsking));
    let mut other = good.certificate.clone();
    other.root = hufu_kernel::Root::Production;
    let other = world.ask_with(other, &[Answer::Real], Strength::Certificate);
    assert_eq!(said(other.transaction.certificate).await, Err(Refusal::WrongRoot));
    let mut ended = good.certificate.clone();
    ended.exp = world.clock.now();
    let ended = world.ask_with(ended, &[Answer::Real], Strength::Certificate);
    assert_eq!(said(ended.transaction.certificate).await, Err(Refusal::PlatformUnknown));
}

/// Everything that is said to a log on this thread.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<String>>);

impl tracing::field::Visit for Heard {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        writeln!(self.0.lock().unwrap(), "{field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Heard {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_node_says_nothing_of_a_person_or_a_platform_when_a_handle_is_presented() {
    let world = World::new(408);
    let mut wallet = world.enrolled(1).await;
    let heard = Heard::default();
    let _listening = tracing::subscriber::set_default(heard.clone());
    let handle = handle_at(&world, &mut wallet, SHOP, &HandleUse::ALL).await;
    let credential = wallet.row(ONE).await.unwrap().devices[0].credential;
    known(&world, SHOP, &handle).await;
    assert_eq!(both(&world, FORUM, &handle).await, [None, None]);
    world.clock.advance(HANDLE_SECONDS);
    assert_eq!(both(&world, SHOP, &handle).await, [None, None]);
    let mut needles = vec!["shop.example".to_owned(), hufu_kernel::b64(credential.as_slice())];
    for (node, half) in handle.parts() {
        needles.push(hufu_kernel::b64(half.as_slice()));
        needles.push(world.only_row(node).await.handle.to_string());
    }
    let said = |needle: &String| heard.0.lock().unwrap().contains(needle);
    assert!(!needles.iter().any(said), "{}", heard.0.lock().unwrap());
    // The control: what is said is heard.
    for needle in &needles {
        tracing::trace!(needle, "said");
    }
    assert!(needles.iter().all(said));
}
