//! Backups: an old one resurrects nothing, a lost disk is made anew from the peers, and no nonce is ever used twice.

use super::outages::pair;
use super::world::World;
use super::{ONE, THREE, TWO, refused};
use hufu_kernel::{NodeIndex, Pair, Refusal};
use hufu_wallet::Address;
use std::sync::{Arc, Mutex};

const SHOP: &str = "https://shop.example";

#[tokio::test]
async fn a_backup_older_than_a_lock_signs_nothing_with_the_old_state() {
    let world = World::new(121);
    let mut wallet = world.enrolled(1).await;
    let backup = world.backup(THREE);
    wallet.lock().await.unwrap();
    world.restore(THREE, backup).await;
    assert_eq!(world.only_row(THREE).await.holder.status.name(), "active", "the control: the old state is back");
    for old in [pair(ONE, THREE), pair(TWO, THREE)] {
        assert!(world.sign_in(&mut wallet, SHOP, old).await.is_err());
    }
    assert!(!world.nodes.at(THREE).reasons().await.is_empty(), "and says why it is not ready");
    // One peer is not enough, however often.
    world.away([TWO]);
    let done = world.compare(THREE).await;
    assert_eq!((done.peers, done.fetched), (1, 1));
    assert_eq!(refused(wallet.row(THREE).await.map(|row| row.version).unwrap_err()), Refusal::NodesDisagree);
    world.all_back();
    assert_eq!(world.compare(THREE).await.peers, 2);
    assert!(world.nodes.at(THREE).reasons().await.is_empty());
    for any in Pair::ALL {
        assert_eq!(refused(world.sign_in(&mut wallet, SHOP, any).await.unwrap_err()), Refusal::Locked);
    }
    wallet.unlock().await.unwrap();
    assert!(world.sign_in(&mut wallet, SHOP, pair(TWO, THREE)).await.is_ok());
    // The mark is gone for good.
    world.restart_node(THREE);
    assert!(world.sign_in(&mut wallet, SHOP, pair(TWO, THREE)).await.is_ok());
}

/// One node was away during the lock, the other comes from a backup of before: both have the old state and would agree on it.
#[tokio::test]
async fn two_stale_nodes_cannot_sign_the_old_state() {
    for marked in [true, false] {
        let world = World::new(122);
        let mut wallet = world.enrolled(1).await;
        let backup = world.backup(THREE);
        world.away([TWO]);
        wallet.lock().await.unwrap();
        world.away([ONE]);
        if marked {
            world.restore(THREE, backup).await;
        } else {
            world.restore_unmarked(THREE, backup).await;
        }
        world.compare(THREE).await;
        let signed = world.sign_in(&mut wallet, SHOP, pair(TWO, THREE)).await;
        assert_eq!(signed.is_ok(), !marked, "the control: without the mark the lock would be forgotten");
        if marked {
            assert_eq!(refused(signed.unwrap_err()), Refusal::NodesDisagree);
            world.all_back();
            world.compare_all().await;
            assert_eq!(refused(world.sign_in(&mut wallet, SHOP, pair(TWO, THREE)).await.unwrap_err()), Refusal::Locked);
        }
    }
}

#[tokio::test]
async fn a_restored_node_takes_no_statement_and_gives_no_vote_until_it_has_compared() {
    let world = World::new(123);
    let wallet = world.enrolled(1).await;
    let backup = world.backup(THREE);
    world.restore(THREE, backup).await;
    world.away([TWO]);
    assert_eq!(refused(wallet.lock().await.unwrap_err()), Refusal::NodesDisagree);
    assert_eq!(world.only_row(ONE).await.holder.version, 1);
    world.all_back();
    world.compare(THREE).await;
    wallet.lock().await.unwrap();
    world.one_row().await;
}

#[tokio::test]
async fn a_backup_resurrects_nobody_who_left() {
    let world = World::new(124);
    let mut wallet = world.enrolled(1).await;
    let stays = world.enrolled(2).await;
    let backup = world.backup(THREE);
    wallet.leave().await.unwrap();
    world.restore(THREE, backup).await;
    assert_eq!(world.rows(THREE).await, (2, 2), "the control: the row is back");
    let done = world.compare(THREE).await;
    assert_eq!((done.left, done.open), (1, 0));
    assert_eq!(world.rows(THREE).await, (1, 1));
    stays.open_holder().await.unwrap();
    assert!(stays.row(THREE).await.is_ok());
    assert!(wallet.row(THREE).await.is_err());
}

#[tokio::test]
async fn a_lost_disk_is_made_anew_from_both_peers_and_no_pseudonym_changes() {
    let world = World::new(125);
    let mut wallets = Vec::new();
    for person in 1..=20 {
        let mut wallet = world.enrolled(person).await;
        let sub = world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap().payload.sub;
        wallets.push((wallet, sub));
        // A phone gets ten messages an hour.
        world.clock.advance(400);
    }
    for (wallet, _) in &wallets {
        wallet.open_holder().await.unwrap();
    }
    wallets[3].0.end_sessions().await.unwrap();
    wallets[4].0.lock().await.unwrap();
    wallets[5].0.issue_certificates(pair(ONE, TWO)).await.unwrap();
    world.restore(THREE, 0).await;
    // A node that lost everything says nothing by what it lacks: nobody is taken to have left.
    assert_eq!(world.compare(ONE).await.left, 0);
    assert_eq!(world.rows(ONE).await.0, 20);
    let done = world.compare(THREE).await;
    assert_eq!((done.adopted, done.open), (20, 0));
    for (at, (wallet, sub)) in wallets.iter_mut().enumerate() {
        for any in [pair(ONE, THREE), pair(TWO, THREE)] {
            match world.sign_in(wallet, SHOP, any).await {
                Ok(signed) => assert_eq!(signed.payload.sub, *sub),
                Err(error) => assert_eq!((at, refused(error)), (4, Refusal::Locked)),
            }
        }
    }
    assert_eq!(wallets[5].0.row(THREE).await.unwrap().next_batch, 2);
    // A person who is known here from the peers can recover, too.
    world.compare_all().await;
}

#[tokio::test]
async fn two_nodes_that_lost_everything_unmarked_delete_nobody_at_the_third() {
    let world = World::new(126);
    for person in 1..=20 {
        world.enrolled(person).await;
        world.clock.advance(400);
    }
    for node in [ONE, TWO] {
        world.restore_unmarked(node, 0).await;
        // A store without a row marks itself; somebody takes that away.
        world.unmark(node).await;
    }
    let done = world.compare(THREE).await;
    assert_eq!((done.left, done.open), (0, 20));
    assert_eq!(world.rows(THREE).await.0, 20);
    // And on one node's word they take nobody.
    assert_eq!(world.compare(ONE).await.adopted, 0);
}

#[tokio::test]
async fn a_signing_session_of_before_a_restore_or_restart_signs_nothing() {
    let world = World::new(127);
    let mut wallet = world.enrolled(1).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    wallet.transport().set_tamper(move |to, path, answer| {
        if path == "/v1/sign-in/begin" {
            keep.lock().unwrap().push((to, answer.clone()));
        }
    });
    // Round 2 never arrives, so that the nonces are not used.
    wallet.transport().cut("/v1/sign-in/finish");
    assert!(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.is_err());
    let offers = seen.lock().unwrap().clone();
    let finish = |at: usize| hufu_wire::api::sign_in::FinishSignIn {
        session: serde_json::from_value(offers[at].1["session"].clone()).unwrap(),
        peer: serde_json::from_value(offers[1 - at].1.clone()).unwrap(),
    };
    assert_eq!(offers[1].0, Address::Node(THREE));
    let backup = world.backup(THREE);
    world.restore(THREE, backup).await;
    world.compare(THREE).await;
    assert_eq!(world.nodes.at(THREE).finish_sign_in(&finish(1)).await.unwrap_err(), Refusal::SessionGone);
    assert!(world.nodes.at(ONE).finish_sign_in(&finish(0)).await.is_ok(), "the control: the other node's still stands");
}

/// A copied disk that nobody marked: the row is behind, and found so at the first sign-in with a node that knows better.
#[tokio::test]
async fn an_unmarked_backup_is_found_out_row_by_row() {
    let world = World::new(128);
    let mut wallet = world.enrolled(1).await;
    let backup = world.backup(THREE);
    wallet.replace_number().await.unwrap();
    world.restore_unmarked(THREE, backup).await;
    assert!(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.is_ok());
    world.one_row().await;
}

#[tokio::test]
async fn rows_of_before_there_were_peers_are_named_at_the_start() {
    let world = World::new(129);
    let wallet = world.enrolled(1).await;
    world.compare_all().await;
    // As an earlier version left it: without names, and without the mark that all have one.
    for node in NodeIndex::ALL {
        let store = &world.node_stores[node.slot()];
        let found = world.row_of(node, &world.only_row(node).await.holder.devices[0].credential).await;
        let old = hufu_offices::node::Row { peers: Vec::new(), ..found.record.clone() };
        let mut batch = hufu_store::Batch::new();
        batch.put(&old, hufu_store::Expect::At(found.version));
        let now = hufu_kernel::Clock::now(world.clock.as_ref());
        store.commit(batch, hufu_store::IdempotencyKey::random(world.rng.as_ref(), now)).await.unwrap();
        let standing: hufu_store::Versioned<hufu_offices::node::Standing> =
            store.get(&hufu_kernel::Key::own(b"standing")).await.unwrap().unwrap();
        let mut batch = hufu_store::Batch::new();
        batch.delete::<hufu_offices::node::Standing>(&hufu_kernel::Key::own(b"standing"), standing.version);
        store.commit(batch, hufu_store::IdempotencyKey::random(world.rng.as_ref(), now)).await.unwrap();
        world.restart_node(node);
    }
    wallet.lock().await.unwrap();
    world.one_row().await;
    assert_eq!(world.only_row(TWO).await.peers.len(), 2);
}
