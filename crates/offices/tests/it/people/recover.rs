//! A known person gets a new device; an old one may object; nobody else gains anything.

use super::refused;
use super::world::{PASSWORD, TestWallet, When, World};
use hufu_kernel::{Clock as _, NodeIndex, Octets, Pair, Refusal};
use hufu_wallet::{Details, WalletError};
use hufu_wire::api::enrolment::NextStep;
use hufu_wire::api::holder::{Authority, SubmitStatement};

const SHOP: &str = "https://shop.example";
/// The delay, and the hour in which a node that was away may still hear of it.
const DELAY: i64 = 73 * 3600;

/// The person on a new device: document, face and phone, then recovery.
async fn recover(world: &World, details: &Details) -> (TestWallet, Result<NextStep, WalletError>) {
    let mut wallet = world.wallet();
    world.prove(&mut wallet, details, "19990000009").await.unwrap();
    let step = wallet.recover().await.map(|enrolling| enrolling.view.next);
    (wallet, step)
}

#[tokio::test]
async fn a_recovered_device_waits_and_then_signs_in_with_the_same_pseudonym() {
    let world = World::new(40);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    let sub = world.sign_in(&mut old, SHOP, Pair::ALL[0]).await.unwrap().payload.sub;
    let (mut new, step) = recover(&world, &details).await;
    assert_eq!(step, Ok(NextStep::Wait));
    world.clock.advance(DELAY - 120);
    assert_eq!(refused(new.refresh().await.unwrap_err()), Refusal::VetoPeriod);
    assert!(world.sign_in(&mut old, SHOP, Pair::ALL[1]).await.is_ok(), "the old device goes on meanwhile");
    world.clock.advance(240);
    new.refresh().await.unwrap();
    assert_eq!(new.state.number, old.state.number);
    for pair in Pair::ALL {
        assert_eq!(world.sign_in(&mut new, SHOP, pair).await.unwrap().payload.sub, sub);
    }
    // The lost device can now be put out.
    let row = new.row(NodeIndex::ALL[0]).await.unwrap();
    assert_eq!(row.devices.len(), 2);
    new.remove_device(row.devices[0].credential).await.unwrap();
    assert_eq!(refused(world.sign_in(&mut old, SHOP, Pair::ALL[0]).await.unwrap_err()), Refusal::UnknownDevice);
}

#[tokio::test]
async fn the_person_is_told_once_at_the_phone_on_record_and_not_at_the_new_one() {
    let world = World::new(41);
    let details = world.person(1);
    world.enrol(&mut world.wallet(), &details).await.unwrap();
    let (_, step) = recover(&world, &details).await;
    assert_eq!(step, Ok(NextStep::Wait));
    let told = world.phones.1.lock().unwrap().clone();
    assert_eq!(told, [("+8619990000001".to_owned(), "recovery-notice".to_owned(), "73".to_owned())]);
}

#[tokio::test]
async fn an_old_device_objects_and_the_new_one_never_comes_to_life() {
    let world = World::new(42);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    let (mut new, _) = recover(&world, &details).await;
    old.open_holder().await.unwrap();
    let row = old.row(NodeIndex::ALL[0]).await.unwrap();
    let waiting = row.devices.iter().find(|device| device.not_before.is_some()).unwrap().credential;
    old.veto(waiting).await.unwrap();
    world.clock.advance(DELAY + 120);
    assert_eq!(refused(new.refresh().await.unwrap_err()), Refusal::UnknownDevice);
    assert!(world.sign_in(&mut old, SHOP, Pair::ALL[2]).await.is_ok());
    // An objection is for devices that wait, and not a way to put out others.
    let own = row.devices[0].credential;
    assert_eq!(refused(old.veto(own).await.unwrap_err()), Refusal::UnknownDevice);
}

#[tokio::test]
async fn a_waiting_device_can_change_nothing_and_cannot_push_the_old_one_out() {
    let world = World::new(43);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    let (new, _) = recover(&world, &details).await;
    assert_eq!(refused(new.lock().await.unwrap_err()), Refusal::VetoPeriod);
    let own = old.row(NodeIndex::ALL[0]).await.unwrap().devices[0].credential;
    assert_eq!(refused(new.remove_device(own).await.unwrap_err()), Refusal::VetoPeriod);
    // Nor can the old device leave the person without one that works.
    assert_eq!(refused(old.remove_device(own).await.unwrap_err()), Refusal::LastDevice);
}

#[tokio::test]
async fn a_locked_person_may_recover_and_stays_locked() {
    let world = World::new(44);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    old.lock().await.unwrap();
    let (mut new, step) = recover(&world, &details).await;
    assert_eq!(step, Ok(NextStep::Wait));
    world.clock.advance(DELAY + 120);
    new.refresh().await.unwrap();
    assert_eq!(refused(world.sign_in(&mut new, SHOP, Pair::ALL[0]).await.unwrap_err()), Refusal::Locked);
    new.unlock().await.unwrap();
    assert!(world.sign_in(&mut new, SHOP, Pair::ALL[0]).await.is_ok());
}

#[tokio::test]
async fn whoever_begins_twice_has_one_waiting_device_and_a_delay_of_its_own() {
    let world = World::new(45);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    let (mut first, _) = recover(&world, &details).await;
    world.clock.advance(DELAY / 2);
    let (mut second, step) = recover(&world, &details).await;
    assert_eq!(step, Ok(NextStep::Wait));
    world.clock.advance(DELAY / 2 + 120);
    assert_eq!(refused(first.refresh().await.unwrap_err()), Refusal::UnknownDevice);
    assert_eq!(refused(second.refresh().await.unwrap_err()), Refusal::VetoPeriod);
    world.clock.advance(DELAY / 2);
    second.refresh().await.unwrap();
    assert_eq!(world.phones.1.lock().unwrap().len(), 2, "each beginning is told");
}

#[tokio::test]
async fn nobody_without_a_number_recovers_and_they_can_go_on_enrolling() {
    let world = World::new(46);
    let details = world.person(1);
    let (mut wallet, step) = recover(&world, &details).await;
    assert_eq!(refused(step.unwrap_err()), Refusal::NotEnrolled);
    let view = wallet.register_device().await.unwrap().view;
    let ready = wallet.secure(&view, PASSWORD, &details, Pair::ALL[0]).await.unwrap();
    wallet.confirm(ready).await.unwrap();
    assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.is_ok());
}

#[tokio::test]
async fn recovery_needs_face_and_phone_like_enrolment() {
    let world = World::new(47);
    let details = world.person(1);
    world.enrol(&mut world.wallet(), &details).await.unwrap();
    let mut stranger = world.wallet();
    stranger.start(&details).await.unwrap();
    assert_eq!(refused(stranger.recover().await.unwrap_err()), Refusal::EnrolmentOrder);
    stranger.face(b"fail").await.unwrap();
    assert_eq!(refused(stranger.recover().await.unwrap_err()), Refusal::EnrolmentOrder);
    assert!(world.phones.1.lock().unwrap().is_empty());
}

#[tokio::test]
async fn with_one_node_down_recovery_works_and_with_two_nothing_is_changed() {
    let world = World::new(48);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    *world.faults.down.lock().unwrap() = [NodeIndex::ALL[1], NodeIndex::ALL[2]].into();
    let (mut new, step) = recover(&world, &details).await;
    assert_eq!(refused(step.unwrap_err()), Refusal::NodesUnavailable);
    assert_eq!(old.row(NodeIndex::ALL[0]).await.unwrap().devices.len(), 1);
    *world.faults.down.lock().unwrap() = [NodeIndex::ALL[2]].into();
    assert_eq!(new.recover().await.unwrap().view.next, NextStep::Wait);
    // The third hears of it from the outbox when it is back.
    world.faults.down.lock().unwrap().clear();
    world.registrar.sweep().await.unwrap();
    old.open_holder().await.unwrap();
    for node in NodeIndex::ALL {
        assert_eq!(old.row(node).await.unwrap().devices.len(), 2, "node {node}");
    }
}

/// As for enrolment: every call between offices breaks once, before and after; the person tries again and has one waiting device.
#[tokio::test]
async fn a_crash_between_any_two_calls_leaves_one_waiting_device_that_works_in_time() {
    let (before, after) = {
        let world = World::new(49);
        let details = world.person(1);
        world.enrol(&mut world.wallet(), &details).await.unwrap();
        let before = *world.faults.calls.lock().unwrap();
        recover(&world, &details).await.1.unwrap();
        (before, *world.faults.calls.lock().unwrap())
    };
    assert!(after > before + 8, "recovery speaks to taggers, uniqueness and nodes");
    for when in [When::Before, When::After] {
        for at in before + 1..=after {
            let world = World::new(49);
            let details = world.person(1);
            let mut old = world.wallet();
            world.enrol(&mut old, &details).await.unwrap();
            let sub = world.sign_in(&mut old, SHOP, Pair::ALL[0]).await.unwrap().payload.sub;
            *world.faults.break_at.lock().unwrap() = Some((at, when));
            let mut new = world.wallet();
            world.prove(&mut new, &details, "19990000009").await.ok();
            let mut tries = 0;
            while new.recover().await.is_err() {
                tries += 1;
                assert!(tries < 4, "call {at} {when:?} never recovers");
                if new.state.ticket.is_none() || tries == 2 {
                    // One recovery of a person at a time: the next begins when the first has lapsed.
                    world.clock.advance(200);
                    world.prove(&mut new, &details, "19990000009").await.unwrap();
                }
            }
            world.registrar.sweep().await.unwrap();
            world.clock.advance(DELAY + 120);
            new.refresh().await.unwrap_or_else(|error| panic!("call {at} {when:?}: {error}"));
            let row = new.row(NodeIndex::ALL[0]).await.unwrap();
            assert_eq!(row.devices.len(), 2, "call {at} {when:?}");
            let again = world.sign_in(&mut new, SHOP, Pair::ALL[0]).await;
            assert_eq!(again.unwrap().payload.sub, sub, "call {at} {when:?}");
        }
    }
}

#[tokio::test]
async fn the_registrars_authority_is_no_door_for_wallets() {
    let world = World::new(50);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    let (new, _) = recover(&world, &details).await;
    drop(new);
    // Even the very word that the registrar gave, found in a node's memory and sent again by another door.
    let row = world.node_stores[0]
        .scan::<hufu_offices::node::Row>("root", hufu_store::Select::all(), hufu_store::Paging::first(1))
        .await
        .unwrap()
        .rows;
    let holder = &row[0].record.holder;
    let statement = hufu_wire::api::holder::Statement {
        version: holder.version,
        head: holder.head,
        t: world.clock.now(),
        change: hufu_wire::api::holder::Change::Recover { device: holder.devices[1].clone() },
    };
    let statement = hufu_kernel::Bytes(serde_json::to_vec(&statement).unwrap());
    let forged = hufu_wire::api::recovery::Recovery {
        enrolment_id: hufu_kernel::EnrolmentId::random(world.rng.as_ref()),
        statement: statement.clone(),
        assertion: hufu_wallet::Device::assert(&world.wallet_and_device().1, &[0; 32]).await.unwrap(),
        t: world.clock.now(),
    };
    let signed =
        hufu_wire::api::Signed::make("registrar", &forged, |_| Ok::<_, hufu_wire::api::SignedError>(Octets([0; 64])))
            .unwrap();
    let request = SubmitStatement { statement, authority: Authority::Registrar(signed), pair: None };
    assert_eq!(world.nodes.at(NodeIndex::ALL[0]).submit(&request).await.unwrap_err(), Refusal::OfficeRefused);
}

#[tokio::test]
async fn a_device_that_missed_the_end_of_sessions_takes_the_new_epoch_from_two_nodes() {
    let world = World::new(51);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    let (mut new, _) = recover(&world, &details).await;
    world.clock.advance(DELAY + 120);
    new.refresh().await.unwrap();
    old.end_sessions().await.unwrap();
    assert!(matches!(world.sign_in(&mut new, SHOP, Pair::ALL[0]).await, Err(WalletError::Untrusted(_))));
    new.refresh().await.unwrap();
    assert!(world.sign_in(&mut new, SHOP, Pair::ALL[0]).await.is_ok());
}

#[tokio::test]
async fn one_recovery_of_a_person_at_a_time_however_many_are_begun() {
    let world = World::new(52);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    let mut wallets = Vec::new();
    for _ in 0..4 {
        let mut wallet = world.wallet();
        world.prove(&mut wallet, &details, "19990000009").await.unwrap();
        wallets.push(wallet);
    }
    let mut outcomes = Vec::new();
    for outcome in futures(wallets.iter_mut().map(hufu_wallet::Wallet::recover)).await {
        outcomes.push(outcome.map(|enrolling| enrolling.view.next));
    }
    let taken = outcomes.iter().filter(|outcome| **outcome == Ok(NextStep::Wait)).count();
    assert_eq!(taken, 1, "{outcomes:?}");
    // The rows are as one: the owner goes on, and objects.
    assert!(world.sign_in(&mut old, SHOP, Pair::ALL[1]).await.is_ok());
    let row = old.row(NodeIndex::ALL[2]).await.unwrap();
    old.veto(row.devices[1].credential).await.unwrap();
    assert_eq!(old.row(NodeIndex::ALL[0]).await.unwrap().devices.len(), 1);
}

#[tokio::test]
async fn a_second_device_of_one_enrolment_is_refused_while_the_first_is_on_its_way() {
    let world = World::new(57);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    let mut first = world.wallet();
    world.prove(&mut first, &details, "19990000009").await.unwrap();
    let mut second = world.wallet();
    second.state.ticket.clone_from(&first.state.ticket);
    *world.faults.deaf.lock().unwrap() = [NodeIndex::ALL[1], NodeIndex::ALL[2]].into();
    assert_eq!(refused(first.recover().await.unwrap_err()), Refusal::NodesUnavailable);
    world.faults.deaf.lock().unwrap().clear();
    assert_eq!(refused(second.recover().await.unwrap_err()), Refusal::TooMany);
    assert_eq!(first.recover().await.unwrap().view.next, NextStep::Wait);
    let mut heads = std::collections::BTreeSet::new();
    for node in NodeIndex::ALL {
        heads.insert(old.row(node).await.unwrap().head.as_slice().to_vec());
    }
    assert_eq!(heads.len(), 1, "the rows are as one");
}

#[tokio::test]
async fn five_recoveries_of_one_person_a_day_and_the_sixth_waits_for_tomorrow() {
    let world = World::new(56);
    let details = world.person(1);
    world.enrol(&mut world.wallet(), &details).await.unwrap();
    let now = world.clock.now();
    world.clock.advance(now.day().0 + 86_400 - now.0 + 600);
    for turn in 0..6 {
        let (_, step) = recover(&world, &details).await;
        assert_eq!(step.map_err(refused), if turn < 5 { Ok(NextStep::Wait) } else { Err(Refusal::TooMany) }, "{turn}");
        world.clock.advance(3600);
    }
    world.clock.advance(86_400);
    assert_eq!(recover(&world, &details).await.1, Ok(NextStep::Wait));
}

/// All of them, interleaved.
pub async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(out) = future.as_mut().poll(context)
            {
                *done = Some(out);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn a_node_that_would_be_ahead_alone_takes_nothing_and_stops_no_objection() {
    let world = World::new(53);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    let (_, step) = recover(&world, &details).await;
    assert_eq!(step, Ok(NextStep::Wait));
    // One more statement reaches node 1 alone: it has nobody who accepts it too, and is as it was.
    *world.faults.down.lock().unwrap() = [NodeIndex::ALL[1], NodeIndex::ALL[2]].into();
    let before =
        world.row_of(NodeIndex::ALL[0], &old.row(NodeIndex::ALL[0]).await.unwrap().devices[0].credential).await;
    let lock = world.lock_statement(&old).await;
    assert_eq!(world.nodes.at(NodeIndex::ALL[0]).submit(&lock).await.unwrap_err(), Refusal::NodesUnavailable);
    let after = world.row_of(NodeIndex::ALL[0], &before.record.holder.devices[0].credential).await;
    assert_eq!(after, before);
    world.faults.down.lock().unwrap().clear();
    let waiting = old.row(NodeIndex::ALL[1]).await.unwrap().devices[1].credential;
    old.veto(waiting).await.unwrap();
    for node in NodeIndex::ALL {
        assert_eq!(old.row(node).await.unwrap().devices.len(), 1);
    }
    assert!(world.sign_in(&mut old, SHOP, Pair::ALL[2]).await.is_ok());
}

#[tokio::test]
async fn a_lying_nodes_notice_keeps_no_honest_one_back() {
    use hufu_kernel::KeyStore as _;
    let world = World::new(54);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    let contact = old.row(NodeIndex::ALL[0]).await.unwrap().contact;
    let until = world.clock.now() + DELAY;
    let event = Octets([7; 32]);
    let tell = async |index: usize, contact, until| {
        let notice = hufu_wire::api::recovery::Notice::Recovery { until };
        let notify = hufu_wire::api::recovery::Notify { contact, event, notice };
        let name = hufu_wire::api::trust::node_name(NodeIndex::ALL[index]);
        let signed = hufu_wire::api::Signed::make(name, &notify, |bytes| {
            world.node_keys[index].sign_ed25519("office", bytes).map_err(|_| hufu_wire::api::SignedError::Signature)
        });
        hufu_offices::ports::Post::notify(world.post.as_ref(), &signed.unwrap()).await
    };
    assert!(tell(0, hufu_kernel::Locator(Octets([9; 32])), until).await.is_err());
    tell(0, contact, until + 10 * 86_400).await.unwrap();
    tell(1, contact, until).await.unwrap();
    tell(2, contact, until).await.unwrap();
    let told = world.phones.1.lock().unwrap().clone();
    assert_eq!(told.len(), 2, "the lie and the truth, each once: {told:?}");
    assert_eq!(told[1].2, "73");
}

#[tokio::test]
async fn reports_that_were_lost_with_the_page_are_had_again_from_the_rows() {
    let world = World::new(55);
    let details = world.person(1);
    let mut wallet = world.wallet();
    world.enrol(&mut wallet, &details).await.unwrap();
    wallet.transport().set_tamper(|_, path, answer| {
        if path == "/v1/statements" {
            answer["report"] = serde_json::Value::Null;
        }
    });
    assert!(wallet.end_sessions().await.is_err());
    wallet.transport().set_tamper(|_, _, _| {});
    assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.is_err(), "each node lacks the others' commitments");
    wallet.refresh().await.unwrap();
    for pair in Pair::ALL {
        assert!(world.sign_in(&mut wallet, SHOP, pair).await.is_ok());
    }
}
