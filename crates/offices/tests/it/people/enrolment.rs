use super::refused;
use super::world::{PASSWORD, When, World};
use hufu_domain::eligibility::Standing;
use hufu_kernel::{Answer, Lang, NodeIndex, Pair, Refusal, Strength};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::Ready;
use jiff::civil::date;

#[tokio::test]
async fn a_person_enrols_and_three_nodes_hold_one_active_row_each() {
    let world = World::new(1);
    let wallet = world.enrolled(1).await;
    assert!(wallet.state.number.is_some());
    for index in NodeIndex::ALL {
        assert_eq!(world.rows(index).await, (1, 1));
    }
}

#[tokio::test]
async fn the_same_document_makes_no_second_identity() {
    let world = World::new(2);
    world.enrolled(1).await;
    let details = world.person(1);
    let mut second = world.wallet();
    assert_eq!(refused(world.enrol(&mut second, &details).await.unwrap_err()), Refusal::AlreadyEnrolled);
    assert_eq!(world.rows(NodeIndex::ALL[0]).await, (1, 1));
}

#[tokio::test]
async fn before_the_phone_is_proven_every_cause_gives_one_answer() {
    let world = World::new(3);
    let known = world.person(1);
    let mut stranger = known.clone();
    stranger.name = "别人".into();
    let dead = world.person_of(2, date(1950, 1, 1), Standing::Deceased);
    let child = world.person_of(3, date(2020, 1, 1), Standing::Valid);
    let mut shapes = Vec::new();
    for details in [&known, &stranger, &dead, &child] {
        let mut wallet = world.wallet();
        let start = wallet.start(details).await.unwrap();
        let face = wallet.face(b"pass").await.unwrap();
        let phone = wallet.phone("19990000009", Lang::En).await.unwrap();
        shapes.push((start.view.next, face.view.next, phone.view.next));
    }
    assert!(shapes.iter().all(|shape| *shape == shapes[0]));
    // Only the face-matched person is told why.
    for (details, evidence, expected) in [
        (&stranger, b"pass".as_slice(), Refusal::NotConfirmed),
        (&known, b"fail", Refusal::NotConfirmed),
        (&dead, b"fail", Refusal::NotConfirmed),
        (&dead, b"pass", Refusal::Deceased),
        (&child, b"pass", Refusal::GuardianNeeded),
    ] {
        let mut wallet = world.wallet();
        wallet.start(details).await.unwrap();
        wallet.face(evidence).await.unwrap();
        wallet.phone("19990000009", Lang::En).await.unwrap();
        let code = world.phones.0.lock().unwrap()["+8619990000009"].clone();
        assert_eq!(refused(wallet.code(&code).await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn guessing_a_code_ends_after_five_tries() {
    let world = World::new(4);
    let mut wallet = world.wallet();
    wallet.start(&world.person(1)).await.unwrap();
    wallet.face(b"pass").await.unwrap();
    wallet.phone("19990000001", Lang::En).await.unwrap();
    let right = world.phones.0.lock().unwrap()["+8619990000001"].clone();
    let wrong = if right == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        let _ = wallet.code(wrong).await;
    }
    assert_eq!(refused(wallet.code(&right).await.unwrap_err()), Refusal::PhoneCodeTries);
}

#[tokio::test]
async fn another_persons_ticket_key_does_not_open_a_draft() {
    let world = World::new(5);
    let mut wallet = world.wallet();
    wallet.start(&world.person(1)).await.unwrap();
    let mut ticket = wallet.state.ticket.clone().unwrap();
    ticket.key.0[0] ^= 1;
    wallet.state.ticket = Some(ticket);
    assert_eq!(refused(wallet.face(b"pass").await.unwrap_err()), Refusal::EnrolmentGone);
}

#[tokio::test]
async fn with_one_node_down_enrolment_works_and_with_two_it_refuses_and_leaves_nothing_half_done() {
    let world = World::new(6);
    world.faults.down.lock().unwrap().insert(NodeIndex::ALL[2]);
    let mut wallet = world.wallet();
    world.enrol(&mut wallet, &world.person(1)).await.unwrap();
    assert!(world.sign_in(&mut wallet, "https://a.example", Pair::ALL[0]).await.is_ok());
    world.faults.down.lock().unwrap().insert(NodeIndex::ALL[1]);
    let mut other = world.wallet();
    let details = world.person(2);
    assert_eq!(refused(world.enrol(&mut other, &details).await.unwrap_err()), Refusal::NodesUnavailable);
    assert_eq!(world.rows(NodeIndex::ALL[0]).await.1, 1);
    // The nodes come back, and the very same enrolment goes on.
    world.faults.down.lock().unwrap().clear();
    let view = other.register_device().await.unwrap().view;
    let ready = other.secure(&view, PASSWORD, &details, Pair::ALL[0]).await.unwrap();
    other.confirm(ready).await.unwrap();
    assert_eq!(world.rows(NodeIndex::ALL[0]).await, (2, 2));
}

/// Whoever sets a password again while a node is away leaves another one there: two nodes' words on the same one count, and the third
/// takes the peers' row.
#[tokio::test]
async fn a_password_set_again_while_a_node_was_away_leaves_one_person_and_one_password() {
    let world = World::new(26);
    let [one, two, three] = NodeIndex::ALL;
    let details = world.person(1);
    let mut wallet = world.wallet();
    world.prove(&mut wallet, &details, "19990000001").await.unwrap();
    let view = wallet.register_device().await.unwrap().view;
    let first = wallet.secure(&view, PASSWORD, &details, Pair::ALL[0]).await.unwrap();
    world.faults.down.lock().unwrap().insert(two);
    let pair = Pair::new(one, three).unwrap();
    let mut nodes = view.clone();
    nodes.nodes.retain(|node| *node != two);
    let second = wallet.secure(&nodes, PASSWORD, &details, pair).await.unwrap();
    // One word on each is no agreement.
    let of = |node: NodeIndex, words: &[Signed<Ready>]| {
        let name = hufu_wire::api::trust::node_name(node);
        words.iter().find(|word| word.office == name).cloned().unwrap()
    };
    let mixed = vec![of(two, &first), of(one, &second)];
    assert_eq!(refused(wallet.confirm(mixed).await.unwrap_err()), Refusal::EnrolmentOrder);
    wallet.confirm(second).await.unwrap();
    world.faults.down.lock().unwrap().clear();
    // Node 2 holds the first password, and does not come to life with it: the registrar tells it again, and it asks its peers.
    assert_eq!(world.rows(two).await, (1, 0));
    world.sweep().await;
    assert_eq!(world.rows(two).await, (1, 1));
    for pair in Pair::ALL {
        let asked = world.ask("https://a.example", &[Answer::Real], Strength::CertificatePassword);
        let signed = wallet.sign_in_with(&asked, &[Answer::Real], Some(PASSWORD), pair).await;
        assert!(signed.is_ok(), "{pair:?}: {:?}", signed.err());
    }
}

/// Breaks every call between offices in turn, before it is carried out and after; the registrar starts anew with nothing in
/// memory, and the wallet goes on with what it has. A complete person or none, and never two.
#[tokio::test]
async fn a_crash_between_any_two_steps_leaves_a_complete_person_or_none() {
    let calls = {
        let world = World::new(7);
        world.enrolled(1).await;
        *world.faults.calls.lock().unwrap()
    };
    assert!(calls > 8, "the saga speaks to taggers, uniqueness, post and nodes");
    for when in [When::Before, When::After] {
        for at in 1..=calls {
            let mut world = World::new(7);
            *world.faults.break_at.lock().unwrap() = Some((at, when));
            let details = world.person(1);
            let mut wallet = world.wallet();
            let first = world.enrol(&mut wallet, &details).await;
            world.restart_registrar();
            if first.is_err() {
                finish(&world, &mut wallet, &details).await;
            }
            let mut active = 0;
            for index in NodeIndex::ALL {
                let (rows, in_use) = world.rows(index).await;
                assert!(rows <= 1, "call {at} {when:?} at node {index}");
                active += in_use;
            }
            // Two nodes suffice; a third whose message was lost has it from the outbox and waits to catch up.
            assert!(active >= 2, "call {at} {when:?}: {active} active rows");
            let asked = world.ask("https://a.example", &[Answer::Real], Strength::Certificate);
            let signed = wallet.sign_in(&asked, &[Answer::Real], None, Pair::ALL[0]).await;
            assert!(signed.is_ok(), "call {at} {when:?}: {:?}", signed.err());
            let mut again = world.wallet();
            assert_eq!(
                refused(world.enrol(&mut again, &details).await.unwrap_err()),
                Refusal::AlreadyEnrolled,
                "call {at} {when:?}"
            );
        }
    }
}

/// What a person does whose page showed an error: the same step again, with the wallet they have.
async fn finish(world: &World, wallet: &mut super::world::TestWallet, details: &hufu_wallet::Details) {
    let Some(ticket) = wallet.state.ticket.clone() else { return };
    let view = world.registrar.status(&ticket).await.unwrap();
    if view.next == hufu_wire::api::enrolment::NextStep::Code || view.next == hufu_wire::api::enrolment::NextStep::Phone
    {
        world.enrol(wallet, details).await.unwrap();
        return;
    }
    if let Ok(registered) = wallet.register_device().await {
        let ready = wallet.secure(&registered.view, PASSWORD, details, Pair::ALL[0]).await.unwrap();
        wallet.confirm(ready).await.unwrap();
    } else if wallet.state.ticket.is_some() {
        resume(world, wallet, details).await;
    }
}

async fn resume(world: &World, wallet: &mut super::world::TestWallet, details: &hufu_wallet::Details) {
    use hufu_wire::api::enrolment::NextStep;
    let ticket = wallet.state.ticket.clone().unwrap();
    let view = world.registrar.status(&ticket).await.unwrap();
    match view.next {
        NextStep::Confirm => {
            let ready = wallet.secure(&view, PASSWORD, details, Pair::ALL[0]).await.unwrap_or_default();
            wallet.confirm(ready).await.unwrap();
        }
        _ => {
            world.enrol(wallet, details).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_enrolment_that_lapses_leaves_nothing_and_the_person_can_begin_again() {
    let world = World::new(60);
    let details = world.person(1);
    let mut first = world.wallet();
    world.prove(&mut first, &details, "19990000001").await.unwrap();
    first.register_device().await.unwrap();
    assert_eq!(world.contacts().await, 1);
    world.clock.advance(2 * 3600);
    world.sweep().await;
    world.clock.advance(86_400);
    world.sweep().await;
    assert_eq!(world.contacts().await, 0, "no phone is left");
    assert_eq!(world.rows(NodeIndex::ALL[0]).await, (0, 0));
    let mut second = world.wallet();
    world.enrol(&mut second, &details).await.unwrap();
    world.clock.advance(10 * 86_400);
    world.sweep().await;
    assert_eq!(world.contacts().await, 1, "the phone of a person who exists stays");
    // Within the day of the first one's keys too: its lapse must not be taken for its own repetition.
    let other = world.person(2);
    world.prove(&mut world.wallet(), &other, "19990000003").await.unwrap();
    let mut lapsed = world.wallet();
    world.prove(&mut lapsed, &other, "19990000003").await.unwrap();
    lapsed.register_device().await.unwrap();
    world.clock.advance(2 * 3600);
    world.sweep().await;
    world.enrol(&mut world.wallet(), &other).await.unwrap();
}

#[tokio::test]
async fn a_node_that_goes_away_between_device_and_password_stops_nobody() {
    let world = World::new(61);
    let details = world.person(1);
    let mut wallet = world.wallet();
    world.prove(&mut wallet, &details, "19990000001").await.unwrap();
    let view = wallet.register_device().await.unwrap().view;
    assert_eq!(view.nodes.len(), 3);
    world.faults.down.lock().unwrap().insert(NodeIndex::ALL[2]);
    let ready = wallet.secure(&view, PASSWORD, &details, Pair::ALL[0]).await.unwrap();
    wallet.confirm(ready).await.unwrap();
    assert!(world.sign_in(&mut wallet, "https://a.example", Pair::ALL[0]).await.is_ok());
}

#[tokio::test]
async fn a_strangers_phone_rings_ten_times_an_hour_and_no_more() {
    let world = World::new(62);
    let details = world.person(1);
    let mut outcomes = Vec::new();
    for _ in 0..12 {
        let mut wallet = world.wallet();
        wallet.start(&details).await.unwrap();
        wallet.face(b"pass").await.unwrap();
        outcomes.push(wallet.phone("19990000009", Lang::En).await.map(|_| ()).map_err(refused));
    }
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10);
    assert_eq!(outcomes.last(), Some(&Err(Refusal::TooMany)));
    world.clock.advance(3600);
    let mut wallet = world.wallet();
    wallet.start(&details).await.unwrap();
    wallet.face(b"pass").await.unwrap();
    assert!(wallet.phone("19990000009", Lang::En).await.is_ok());
}

#[tokio::test]
async fn a_face_is_shown_ten_times_and_no_more() {
    let world = World::new(63);
    let mut wallet = world.wallet();
    wallet.start(&world.person(1)).await.unwrap();
    for _ in 0..10 {
        wallet.face(b"fail").await.unwrap();
    }
    assert_eq!(refused(wallet.face(b"pass").await.unwrap_err()), Refusal::TooMany);
}

#[tokio::test]
async fn who_is_refused_in_the_end_leaves_no_draft() {
    let world = World::new(64);
    let details = world.person_of(1, date(1990, 5, 17), Standing::Expired);
    let mut wallet = world.wallet();
    assert_eq!(refused(world.prove(&mut wallet, &details, "19990000001").await.unwrap_err()), Refusal::DocumentExpired);
    let ticket = wallet.state.ticket.clone().unwrap();
    assert_eq!(world.registrar.status(&ticket).await.unwrap_err(), Refusal::EnrolmentGone);
}
