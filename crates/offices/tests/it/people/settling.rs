//! Nodes that come back from backups and cannot settle by comparing: what two of them share brings nobody back, and two operators end the
//! waiting. And stores that were lost, which nobody has marked.

use super::outages::pair;
use super::world::{TestWallet, World};
use super::{ONE, THREE, TWO, refused};
use hufu_kernel::{NodeIndex, Pair, Refusal};
use hufu_offices::node::Settling;
use hufu_wallet::{State, Wallet};
use std::sync::Arc;

const SHOP: &str = "https://shop.example";

/// Nodes 1 and 2 come from backups of before somebody left, and of before somebody came.
struct Two {
    world: World,
    left: TestWallet,
    came: Option<TestWallet>,
}

impl Two {
    async fn restored(seed: u64, marked: bool, came: bool) -> Self {
        let world = World::new(seed);
        let (mut leaves, device) = world.wallet_and_device();
        world.enrol(&mut leaves, &world.person(1)).await.unwrap();
        world.enrolled(2).await;
        let backups = [ONE, TWO].map(|node| (node, world.backup(node)));
        // A wallet forgets everything as it leaves; whoever kept a copy has this.
        let state = State { commitments: leaves.state.commitments.clone(), ..State::default() };
        leaves.leave().await.unwrap();
        let (trust, clock, rng) = (Arc::clone(&world.trust), Arc::clone(&world.clock) as _, Arc::clone(&world.rng));
        let left = Wallet::new(trust, world.network(), device, state, clock, rng).unwrap();
        let came = if came { Some(world.enrolled(3).await) } else { None };
        for (node, backup) in backups {
            match marked {
                true => world.restore(node, backup).await,
                false => world.restore_unmarked(node, backup).await,
            }
        }
        for _ in 0..3 {
            world.compare_all().await;
        }
        Self { world, left, came }
    }
}

#[tokio::test]
async fn what_two_restored_nodes_share_brings_nobody_back_who_left() {
    for marked in [true, false] {
        let Two { world, mut left, .. } = Two::restored(301, marked, false).await;
        let signed = world.sign_in(&mut left, SHOP, pair(ONE, TWO)).await;
        assert_eq!(world.rows(THREE).await.0, if marked { 1 } else { 2 }, "the control: two that agree are believed");
        if !marked {
            assert!(signed.is_ok(), "the control: without the mark who left signs in");
            continue;
        }
        assert_eq!(refused(signed.unwrap_err()), Refusal::NodesDisagree);
        for node in [ONE, TWO] {
            let told = world.nodes.at(node).reasons().await.join(" ");
            assert!(told.contains("1 rows are open") && told.contains("hufu node settle"), "{told}");
        }
        assert!(world.nodes.at(THREE).reasons().await.is_empty());
    }
}

#[tokio::test]
async fn an_order_at_one_of_two_restored_nodes_ends_the_waiting_of_both() {
    let Two { world, mut left, came } = Two::restored(302, true, true).await;
    let mut came = came.unwrap();
    assert_eq!(refused(world.sign_in(&mut came, SHOP, pair(ONE, THREE)).await.unwrap_err()), Refusal::NodesDisagree);
    assert_eq!(world.settle(THREE, THREE).await, Settling::NotMarked, "who waits for nothing is told nothing");
    assert_eq!(world.settle(ONE, THREE).await, Settling::Follows);
    // While that node is away nothing is settled, whatever the other says.
    world.away([THREE]);
    assert_eq!(world.compare(ONE).await.peers, 0);
    let told = world.nodes.at(ONE).reasons().await.join(" ");
    assert!(told.contains("by order the rows of node-3 count"), "{told}");
    world.all_back();
    let done = world.compare(ONE).await;
    assert_eq!((done.adopted, done.left, done.open), (1, 1, 0));
    assert!(world.nodes.at(ONE).reasons().await.is_empty());
    // Node 2 has two settled peers now that agree.
    world.compare(TWO).await;
    for node in NodeIndex::ALL {
        world.compare(node).await;
        assert!(world.nodes.at(node).reasons().await.is_empty(), "node {node}");
        assert_eq!(world.rows(node).await, (2, 2), "node {node}");
    }
    let mut subs = std::collections::BTreeSet::new();
    for any in Pair::ALL {
        subs.insert(world.sign_in(&mut came, SHOP, any).await.unwrap().payload.sub);
        assert_eq!(refused(world.sign_in(&mut left, SHOP, any).await.unwrap_err()), Refusal::UnknownDevice);
    }
    assert_eq!(subs.len(), 1);
    // The order is over with it: a restart follows nobody.
    world.restart_node(ONE);
    assert_eq!(world.compare(ONE).await.peers, 2);
}

#[tokio::test]
async fn three_restored_nodes_go_by_the_one_that_is_named() {
    let world = World::new(303);
    let mut first = world.enrolled(1).await;
    let older = [ONE, TWO].map(|node| (node, world.backup(node)));
    let mut second = world.enrolled(2).await;
    first.lock().await.unwrap();
    let newest = world.backup(THREE);
    let mut third = world.enrolled(3).await;
    for (node, backup) in older.into_iter().chain([(THREE, newest)]) {
        world.restore(node, backup).await;
    }
    for _ in 0..2 {
        world.compare_all().await;
    }
    for node in NodeIndex::ALL {
        assert!(!world.nodes.at(node).reasons().await.is_empty(), "node {node}");
    }
    // Who follows waits for the one that is named.
    assert_eq!(world.settle(ONE, THREE).await, Settling::Follows);
    world.compare(ONE).await;
    assert!(!world.nodes.at(ONE).reasons().await.is_empty());
    assert_eq!(world.settle(THREE, THREE).await, Settling::Own);
    assert!(world.nodes.at(THREE).reasons().await.is_empty());
    world.compare(ONE).await;
    world.compare(TWO).await;
    for node in NodeIndex::ALL {
        assert!(world.nodes.at(node).reasons().await.is_empty(), "node {node}");
    }
    for any in Pair::ALL {
        assert!(world.sign_in(&mut second, SHOP, any).await.is_ok());
        assert_eq!(refused(world.sign_in(&mut first, SHOP, any).await.unwrap_err()), Refusal::Locked);
        assert_eq!(refused(world.sign_in(&mut third, SHOP, any).await.unwrap_err()), Refusal::UnknownDevice);
    }
}

/// The offsets of the sub-key that nodes 1 and 2 share are nowhere any more: they follow from the keys of before, while those are there.
#[tokio::test]
async fn a_row_from_one_node_has_its_offsets_of_rotations_while_the_old_keys_are_there() {
    for retired in [false, true] {
        let world = World::new(304);
        let backups = [ONE, TWO].map(|node| (node, world.backup(node)));
        let mut wallet = world.enrolled(1).await;
        let mut ended = world.enrolled(2).await;
        world.rotate(1, 0);
        world.turns().await;
        ended.end_sessions().await.unwrap();
        world.rotate(2, 0);
        world.moved().await;
        let names = [world.names_of(&mut wallet).await, world.names_of(&mut ended).await];
        if retired {
            for generation in 1..=2 {
                for node in NodeIndex::ALL {
                    world.retire(node, generation);
                }
            }
            world.turns().await;
        }
        for (node, backup) in backups {
            world.restore(node, backup).await;
        }
        assert_eq!(world.settle(ONE, THREE).await, Settling::Follows);
        let done = world.compare(ONE).await;
        assert!(world.nodes.at(ONE).reasons().await.is_empty(), "one row that is lost keeps nobody else waiting");
        if retired {
            assert_eq!((done.adopted, done.open), (0, 0));
            // The last one hears of rows that one settled node alone knows: people say it once more.
            world.compare(TWO).await;
            let told = world.nodes.at(TWO).reasons().await.join(" ");
            assert!(told.contains("2 rows are open") && told.contains("hufu node settle"), "{told}");
            assert_eq!(world.settle(TWO, THREE).await, Settling::Follows);
            world.compare(TWO).await;
            for node in NodeIndex::ALL {
                assert!(world.nodes.at(node).reasons().await.is_empty(), "node {node}");
                assert_eq!(world.nodes.at(node).refused_from_peers(), [0; 3], "node {node} blames nobody");
            }
            continue;
        }
        assert_eq!((done.adopted, done.open), (2, 0));
        world.compare(TWO).await;
        assert_eq!([world.names_of(&mut wallet).await, world.names_of(&mut ended).await], names);
    }
}

#[tokio::test]
async fn a_store_that_was_lost_marks_itself_and_what_it_lacks_deletes_nobody() {
    for marked in [true, false] {
        let world = World::new(305);
        world.enrolled(1).await;
        let backup = world.backup(THREE);
        let mut only = world.enrolled(2).await;
        // Node 3 missed the second person, and node 2's disk is replaced.
        world.restore_unmarked(THREE, backup).await;
        world.restore_unmarked(TWO, 0).await;
        if !marked {
            world.unmark(TWO).await;
        }
        let done = world.compare(ONE).await;
        assert_eq!(
            done.left,
            usize::from(!marked),
            "the control: the last row of a person goes on an empty node's word"
        );
        if !marked {
            continue;
        }
        assert_eq!(world.rows(ONE).await, (2, 2));
        let told = world.nodes.at(TWO).reasons().await.join(" ");
        assert!(told.contains("were lost"), "{told}");
        assert_eq!(refused(world.sign_in(&mut only, SHOP, pair(ONE, TWO)).await.unwrap_err()), Refusal::NodesDisagree);
        // It stays so over a restart, and ends by comparing.
        world.restart_node(TWO);
        assert!(!world.nodes.at(TWO).reasons().await.is_empty());
        world.compare_all().await;
        world.compare_all().await;
        assert!(!world.nodes.at(TWO).reasons().await.is_empty(), "one settled node alone knows the second person");
        assert_eq!(world.rows(ONE).await, (2, 2));
        // Who is right of two that have compared people say.
        world.settle(TWO, ONE).await;
        world.compare_all().await;
        for node in NodeIndex::ALL {
            assert_eq!(world.rows(node).await, (2, 2), "node {node}");
            assert!(world.nodes.at(node).reasons().await.is_empty(), "node {node}");
        }
    }
}

#[tokio::test]
async fn a_mark_that_is_put_under_a_running_node_counts_within_a_turn() {
    let world = World::new(306);
    let mut wallet = world.enrolled(1).await;
    let now = hufu_kernel::Clock::now(world.clock.as_ref());
    hufu_offices::node::mark_restored(&world.node_stores[THREE.slot()], now, world.rng.as_ref()).await.unwrap();
    assert!(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.is_ok(), "the control: it does not know yet");
    world.nodes.at(THREE).upkeep().await.unwrap();
    let signed = world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await;
    assert_eq!(refused(signed.unwrap_err()), Refusal::NodesDisagree);
}
