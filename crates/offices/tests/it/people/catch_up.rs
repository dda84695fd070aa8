//! A node that was away catches up: at a sign-in, by what its peers owe it, and by the comparison of all rows.

use super::outages::{pair, signed};
use super::world::World;
use super::{ONE, THREE, TWO, refused};
use hufu_kernel::{Clock as _, NodeIndex, Pair, Refusal};
use hufu_wallet::{SoftwareDevice, State, Wallet, WalletError};
use hufu_wire::api::holder::Change;
use std::sync::Arc;

const SHOP: &str = "https://shop.example";

#[tokio::test]
async fn a_node_that_was_away_during_a_change_catches_up_within_the_next_sign_in() {
    let world = World::new(101);
    let mut wallet = world.enrolled(1).await;
    let before = world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap().payload.sub;
    world.away([THREE]);
    wallet.lock().await.unwrap();
    wallet.unlock().await.unwrap();
    wallet.replace_number().await.unwrap();
    assert_eq!(world.only_row(THREE).await.holder.version, 1);
    world.all_back();
    // Whoever of the two is asked first: the one that is behind, or the one that is ahead.
    for stale in [pair(ONE, THREE), pair(TWO, THREE)] {
        assert_eq!(world.sign_in(&mut wallet, SHOP, stale).await.unwrap().payload.sub, before);
    }
    assert_eq!(world.one_row().await.version, 4);
    let view = wallet.row(THREE).await.unwrap();
    assert_eq!(Some(view.number), wallet.state.number);
    assert_eq!(view.changes.len(), 3);
    assert_eq!(world.phones.1.lock().unwrap().len(), 2, "and tells the person nothing twice");
}

#[tokio::test]
async fn a_pass_is_signed_in_one_go_by_a_node_that_was_behind() {
    let world = World::new(102);
    let wallet = world.enrolled(1).await;
    world.away([THREE]);
    wallet.lock().await.unwrap();
    wallet.unlock().await.unwrap();
    world.all_back();
    assert!(wallet.pass(pair(ONE, THREE)).await.is_ok());
    wallet.lock().await.unwrap();
    let locked = wallet.pass(pair(ONE, THREE)).await.unwrap_err();
    assert_eq!(refused(locked), Refusal::Locked);
}

#[tokio::test]
async fn a_row_that_was_locked_while_a_node_was_away_is_not_signed_for_by_that_node() {
    let world = World::new(103);
    let mut wallet = world.enrolled(1).await;
    world.away([THREE]);
    wallet.lock().await.unwrap();
    world.all_back();
    for stale in [pair(ONE, THREE), pair(TWO, THREE)] {
        assert_eq!(refused(world.sign_in(&mut wallet, SHOP, stale).await.unwrap_err()), Refusal::Locked);
    }
    world.turns().await;
    assert_eq!(world.one_row().await.version, 2);
}

#[tokio::test]
async fn a_new_epoch_reaches_a_node_that_was_away_with_everybodys_commitments_and_no_wallet() {
    let world = World::new(104);
    let mut wallet = world.enrolled(1).await;
    world.away([THREE]);
    wallet.end_sessions().await.unwrap();
    world.all_back();
    world.turns().await;
    world.one_row().await;
    let mut ends = std::collections::BTreeSet::new();
    for any in Pair::ALL {
        ends.insert(world.sign_in(&mut wallet, SHOP, any).await.unwrap().payload.hufu.ep);
    }
    assert_eq!(ends.len(), 1);
}

#[tokio::test]
async fn commitments_that_no_wallet_carried_are_asked_for_within_a_sign_in() {
    let world = World::new(105);
    let mut wallet = world.enrolled(1).await;
    // The wallet dies before it carries the reports; it still knows them.
    wallet.transport().cut("/v1/reports");
    assert!(wallet.end_sessions().await.is_err());
    wallet.transport().mend();
    assert!(world.only_row(ONE).await.commitments.epoch.iter().any(Option::is_none), "the control");
    for any in Pair::ALL {
        assert!(world.sign_in(&mut wallet, SHOP, any).await.is_ok());
    }
    world.one_row().await;
}

#[tokio::test]
async fn a_statement_brings_a_node_up_that_missed_the_one_before() {
    let world = World::new(106);
    let mut wallet = world.enrolled(1).await;
    world.away([THREE]);
    wallet.lock().await.unwrap();
    // Now the other one: without the third, which is behind, nobody could.
    world.away([TWO]);
    wallet.open_holder().await.unwrap();
    let row = wallet.row(ONE).await.unwrap();
    assert_eq!(row.status, "locked");
    let two_show = refused(wallet.unlock().await.unwrap_err());
    assert_eq!(two_show, Refusal::NodesDisagree, "the wallet begins nothing while no two nodes show one row");
    world.turns().await;
    wallet.unlock().await.unwrap();
    world.all_back();
    world.turns().await;
    assert_eq!(world.one_row().await.version, 3);
    assert!(world.sign_in(&mut wallet, SHOP, pair(TWO, THREE)).await.is_ok());
}

#[tokio::test]
async fn a_device_that_was_added_while_a_node_was_away_signs_in_there_too() {
    let world = World::new(107);
    let mut wallet = world.enrolled(1).await;
    let sub = world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap().payload.sub;
    world.away([THREE]);
    let device = SoftwareDevice::generate(&world.trust.rp_id, super::world::WALLET, world.rng.as_ref()).unwrap();
    wallet.add_device(&device).await.unwrap();
    world.all_back();
    let state = State { commitments: wallet.state.commitments.clone(), ..State::default() };
    let (clock, rng) = (Arc::clone(&world.clock) as _, Arc::clone(&world.rng));
    let mut second = Wallet::new(Arc::clone(&world.trust), world.network(), device, state, clock, rng).unwrap();
    let unknown = world.sign_in(&mut second, SHOP, pair(ONE, THREE)).await.unwrap_err();
    assert_eq!(unknown, WalletError::Refused(Refusal::UnknownDevice), "the control: another pair serves meanwhile");
    world.turns().await;
    assert_eq!(world.sign_in(&mut second, SHOP, pair(TWO, THREE)).await.unwrap().payload.sub, sub);
}

#[tokio::test]
async fn more_changes_than_a_row_remembers_come_as_a_whole_row_from_both_peers() {
    let world = World::new(108);
    let mut wallet = world.enrolled(1).await;
    let sub = world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap().payload.sub;
    assert_eq!(wallet.issue_certificates(pair(ONE, TWO)).await.unwrap(), 10);
    let handle = world.only_row(THREE).await.handle;
    world.away([THREE]);
    for turn in 0..10 {
        wallet.lock().await.unwrap();
        wallet.unlock().await.unwrap();
        if turn == 5 {
            wallet.end_sessions().await.unwrap();
        }
    }
    // With one peer alone nothing is taken.
    world.away([TWO]);
    world.turns().await;
    assert_eq!(world.compare(THREE).await.fetched, 0);
    assert_eq!(world.only_row(THREE).await.holder.version, 2);
    world.all_back();
    assert_eq!(world.compare(THREE).await.fetched, 1);
    let holder = world.one_row().await;
    assert_eq!(holder.version, 23);
    let row = world.only_row(THREE).await;
    assert_eq!(row.handle, handle, "it is the same row");
    assert_eq!(row.copies, world.only_row(ONE).await.copies);
    for any in Pair::ALL {
        assert_eq!(world.sign_in(&mut wallet, SHOP, any).await.unwrap().payload.sub, sub);
    }
    assert_eq!(wallet.row(THREE).await.unwrap().changes.len(), 16);
}

#[tokio::test]
async fn somebody_who_enrolled_while_a_node_was_away_is_made_there_from_both_peers() {
    let world = World::new(109);
    world.away([THREE]);
    let mut wallet = world.enrolled(1).await;
    let sub = world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap().payload.sub;
    world.all_back();
    assert_eq!(world.rows(THREE).await, (0, 0));
    assert_eq!(world.compare(THREE).await.adopted, 1);
    world.one_row().await;
    for any in Pair::ALL {
        assert_eq!(world.sign_in(&mut wallet, SHOP, any).await.unwrap().payload.sub, sub);
    }
    // The registrar's own message comes later, and finds the row.
    world.registrar.sweep().await.unwrap();
    world.one_row().await;
    assert_ne!(world.only_row(THREE).await.enrolment, world.only_row(ONE).await.enrolment);
    let (left, _) = world.rows(THREE).await;
    assert_eq!(left, 1);
    wallet.replace_number().await.unwrap();
    world.one_row().await;
}

#[tokio::test]
async fn somebody_who_left_while_a_node_was_away_is_forgotten_there_too() {
    let world = World::new(110);
    let mut wallet = world.enrolled(1).await;
    let stays = world.enrolled(2).await;
    world.away([THREE]);
    wallet.leave().await.unwrap();
    world.all_back();
    assert_eq!(world.rows(THREE).await, (2, 2));
    // One peer's word is not enough.
    world.away([ONE]);
    assert_eq!(world.compare(THREE).await.left, 0);
    world.all_back();
    assert_eq!(world.compare(THREE).await.left, 1);
    for node in NodeIndex::ALL {
        assert_eq!(world.rows(node).await, (1, 1), "node {node}");
    }
    assert!(stays.row(THREE).await.is_ok());
    assert_eq!(world.contacts().await, 1);
}

#[tokio::test]
async fn leaving_is_whole_even_if_the_second_node_never_heard_the_answer_of_the_first() {
    for by_upkeep in [true, false] {
        let world = World::new(111);
        let (mut wallet, twin) = world.wallet_and_device();
        world.enrol(&mut wallet, &world.person(1)).await.unwrap();
        let holder = world.only_row(ONE).await.holder;
        let leave = signed(&world, &twin, &holder, Change::Leave {}).await;
        // Node 1 leaves with node 2's vote; node 2 hears nothing more, and node 3 is away.
        world.away([THREE]);
        world.nodes.at(ONE).submit(&leave).await.unwrap();
        assert_eq!(world.rows(ONE).await, (0, 0));
        assert_eq!(world.rows(TWO).await, (1, 1));
        if by_upkeep {
            world.turns().await;
        } else {
            world.nodes.at(TWO).submit(&leave).await.unwrap();
        }
        assert_eq!(world.rows(TWO).await, (0, 0));
        world.all_back();
        world.compare_all().await;
        assert_eq!(world.rows(THREE).await, (0, 0));
        assert_eq!(world.contacts().await, 0, "two nodes have said so");
    }
}

#[tokio::test]
async fn a_recovery_that_a_node_did_not_hear_of_reaches_it_from_its_peers_with_the_whole_delay() {
    let world = World::new(112);
    let details = world.person(1);
    let mut old = world.wallet();
    world.enrol(&mut old, &details).await.unwrap();
    world.away([THREE]);
    let mut new = world.wallet();
    world.prove(&mut new, &details, "19990000009").await.unwrap();
    new.recover().await.unwrap();
    world.all_back();
    // Hours later: the registrar's own word is too old by then.
    world.clock.advance(5 * 3600);
    world.turns().await;
    let holder = world.one_row().await;
    let until = holder.devices[1].not_before.unwrap();
    assert!(until >= world.clock.now() + 66 * 3600, "the delay runs from when the others heard");
    assert_eq!(world.phones.1.lock().unwrap().len(), 1, "the person has been told, and is not told again");
    world.clock.advance(69 * 3600);
    new.refresh().await.unwrap();
    assert!(world.sign_in(&mut new, SHOP, pair(TWO, THREE)).await.is_ok());
}

#[tokio::test]
async fn equal_nodes_say_so_with_one_question_each() {
    let world = World::new(113);
    for person in 1..=5 {
        world.enrolled(person).await;
    }
    world.compare_all().await;
    world.faults.heard.lock().unwrap().clear();
    let done = world.compare(ONE).await;
    assert_eq!((done.rows, done.fetched, done.adopted, done.left, done.open, done.peers), (5, 0, 0, 0, 0, 2));
    let heard: Vec<String> = world.faults.heard.lock().unwrap().iter().map(|(_, _, method)| method.clone()).collect();
    assert_eq!(heard, ["sums", "sums"]);
}

#[tokio::test]
async fn sign_ins_write_nothing_and_ask_no_peer() {
    let world = World::new(114);
    let mut wallet = world.enrolled(1).await;
    let written = NodeIndex::ALL.map(|node| world.backup(node));
    world.faults.heard.lock().unwrap().clear();
    for any in Pair::ALL {
        world.sign_in(&mut wallet, SHOP, any).await.unwrap();
    }
    assert_eq!(NodeIndex::ALL.map(|node| world.backup(node)), written);
    assert!(world.faults.heard.lock().unwrap().is_empty());
    wallet.lock().await.unwrap();
    assert_ne!(NodeIndex::ALL.map(|node| world.backup(node)), written, "the control: a change is seen here");
    assert_eq!(world.faults.heard.lock().unwrap().len(), 3, "and costs each node one question");
}
