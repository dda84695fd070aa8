//! A node that did not get the new K_A: it signs nothing, stops nobody, and what it made meanwhile is made good once it has them.

use super::outages::pair;
use super::world::World;
use super::{ONE, THREE, TWO, refused};
use hufu_kernel::{KeyKeeper as _, KeyUse, NodeIndex, Refusal};
use hufu_offices::ports::NodePeer as _;
use hufu_wire::api::peer::AskMoved;

const SHOP: &str = "https://shop.example";

#[tokio::test]
async fn a_node_without_the_new_keys_stops_nobody_and_says_so() {
    // Whether it knows at least from when they count.
    for knows in [true, false] {
        let world = World::new(311);
        let mut wallet = world.enrolled(1).await;
        let [one, two, three] = world.new_keys(1, 0);
        world.import(ONE, &one);
        world.import(TWO, &two);
        let since: Vec<_> = three.iter().filter(|(_, usage, _)| *usage == KeyUse::Share).cloned().collect();
        if knows {
            world.import(THREE, &since);
        }
        // An enrolment goes by its own start, to the minute.
        world.clock.advance(120);
        world.turns().await;
        let told = world.nodes.at(THREE).reasons().await.join(" ");
        assert!(told.contains("new K_A count"), "{told}");
        assert_eq!(
            refused(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.unwrap_err()),
            Refusal::NodesDisagree
        );
        // The others go on with everything.
        let mut came = world.enrolled(2).await;
        assert_eq!(came.state.commitments.generation, 1);
        wallet.end_sessions().await.unwrap();
        let names = [world.names(&mut wallet, pair(ONE, TWO)).await, world.names(&mut came, pair(ONE, TWO)).await];
        // Nothing of it depends on what the process remembers, or on its peers.
        world.restart_node(THREE);
        world.away([ONE, TWO]);
        assert!(!world.nodes.at(THREE).reasons().await.is_empty());
        world.all_back();
        // The keys come after all.
        let rest: Vec<_> = three.into_iter().filter(|key| !knows || !since.contains(key)).collect();
        world.import(THREE, &rest);
        world.turns().await;
        assert!(world.nodes.at(THREE).reasons().await.is_empty());
        world.compare(THREE).await;
        assert_eq!([world.names_of(&mut wallet).await, world.names_of(&mut came).await], names);
    }
}

/// Before it hears of it from its peers it does what it can do: with old keys.
#[tokio::test]
async fn what_a_node_made_with_old_keys_spoils_nothing_and_is_made_good() {
    let world = World::new(312);
    let mut wallet = world.enrolled(1).await;
    let [one, two, three] = world.new_keys(1, 0);
    world.import(ONE, &one);
    world.import(TWO, &two);
    world.clock.advance(120);
    for node in [ONE, TWO] {
        world.nodes.at(node).upkeep().await.unwrap();
    }
    assert!(world.nodes.at(THREE).reasons().await.is_empty(), "the control: it knows of nothing");
    let mut came = world.enrolled(2).await;
    assert_eq!(came.state.commitments.generation, 1);
    wallet.end_sessions().await.unwrap();
    let names = [world.names(&mut wallet, pair(ONE, TWO)).await, world.names(&mut came, pair(ONE, TWO)).await];
    assert_eq!(world.rows(THREE).await, (2, 1), "the control: it has a row that it made without them");
    for stale in [pair(ONE, THREE), pair(TWO, THREE)] {
        assert!(world.sign_in(&mut wallet, SHOP, stale).await.is_err());
    }
    world.turns().await;
    assert!(!world.nodes.at(THREE).reasons().await.is_empty());
    world.sweep().await;
    world.import(THREE, &three);
    world.turns().await;
    for _ in 0..2 {
        world.compare(THREE).await;
    }
    assert_eq!(world.rows(THREE).await, (2, 2));
    assert_eq!([world.names_of(&mut wallet).await, world.names_of(&mut came).await], names);
    for node in NodeIndex::ALL {
        assert_eq!(world.nodes.at(node).refused_from_peers(), [0; 3], "node {node} blames nobody");
    }
}

/// A copy of before puts keys back that nobody else has: of a rotation that was taken back, whether or not another one has its number now,
/// and counts from the same time.
#[tokio::test]
async fn keys_that_nobody_else_has_are_not_used() {
    for again in [false, true] {
        let world = World::new(314);
        let mut wallet = world.enrolled(1).await;
        let before = world.names_of(&mut wallet).await;
        // What was shown of the keys of before says nothing of these.
        world.turns().await;
        let [_, _, taken_back] = world.new_keys(1, 60);
        let [one, two, three] = world.new_keys(1, 60);
        if again {
            world.import(ONE, &one);
            world.import(TWO, &two);
        }
        world.import(THREE, &taken_back);
        // It has asked nobody when its time comes, and moves no row by itself.
        world.away([ONE, TWO]);
        world.clock.advance(180);
        world.nodes.at(THREE).upkeep().await.unwrap();
        assert_eq!(world.only_row(THREE).await.generation, 0);
        world.all_back();
        world.turns().await;
        let alone = |told: &[String]| told.join(" ").contains("neither of the other nodes has its newest K_A");
        let told = world.nodes.at(THREE).reasons().await;
        assert!(alone(&told), "{told:?}");
        for other in [ONE, TWO] {
            assert!(world.nodes.at(other).reasons().await.is_empty(), "who has other keys alone stops nobody");
        }
        assert_eq!(
            refused(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.unwrap_err()),
            Refusal::NodesDisagree
        );
        let others = world.names(&mut wallet, pair(ONE, TWO)).await;
        assert_eq!(others, before);
        let mut came = world.enrolled(2).await;
        world.compare(THREE).await;
        for node in NodeIndex::ALL {
            assert_eq!(world.nodes.at(node).refused_from_peers(), [0; 3], "node {node} blames nobody");
        }
        // Neither a restart nor one peer's word changes that.
        world.restart_node(THREE);
        world.away([TWO]);
        world.turns().await;
        assert!(alone(&world.nodes.at(THREE).reasons().await));
        world.all_back();
        // The right keys, in place of those.
        let keeper = &world.node_keys[THREE.slot()];
        for (name, _, _) in &taken_back {
            keeper.destroy(name).unwrap();
        }
        if again {
            world.import(THREE, &three);
        }
        world.restart_node(THREE);
        world.turns().await;
        assert!(world.nodes.at(THREE).reasons().await.is_empty());
        for _ in 0..2 {
            world.compare(THREE).await;
        }
        assert_eq!(world.names_of(&mut wallet).await, before);
        world.names_of(&mut came).await;
    }
}

/// One peer is late, the other lies, or is away: as soon as one has the keys they are not this node's alone.
#[tokio::test]
async fn one_peer_that_has_the_keys_ends_what_two_began_and_an_echo_is_no_key() {
    for lies in [true, false] {
        let world = World::new(317);
        world.enrolled(1).await;
        world.turns().await;
        let [one, two, _] = world.new_keys(1, 60);
        world.import(ONE, &one);
        // Node 3 has no new keys, and says what node 1 says of them.
        let (asked, ask) = (world.nodes.at(ONE), AskMoved { generation: 1 });
        let echo = asked.moved(THREE, &ask);
        world.clock.advance(180);
        let said = serde_json::to_value(echo.await.unwrap()).unwrap();
        assert_eq!(said["newest"], 1, "the control");
        if lies {
            *world.faults.liar.lock().unwrap() = Some(Box::new(move |asks, answers, method, answer| {
                if (asks, answers, method) == (ONE, THREE, "moved") {
                    *answer = said.clone();
                }
            }));
        }
        world.turns().await;
        assert!(!world.nodes.at(ONE).reasons().await.is_empty(), "both others lack them");
        assert_eq!(world.only_row(ONE).await.generation, 0, "an echo shows no key");
        world.import(TWO, &two);
        if !lies {
            world.away([THREE]);
        }
        world.turns().await;
        assert!(world.nodes.at(ONE).reasons().await.is_empty());
        world.turns().await;
        assert_eq!(world.only_row(ONE).await.generation, 1);
    }
}

/// Who asks by what to go hears of keys that have come since the last look.
#[tokio::test]
async fn a_peer_that_is_asked_looks_for_its_keys_first() {
    let world = World::new(316);
    world.enrolled(1).await;
    world.turns().await;
    world.rotate(1, 3600);
    let ask = AskMoved { generation: 0 };
    let newest = async || world.nodes.at(TWO).moved(ONE, &ask).await.unwrap().newest;
    assert_eq!(newest().await, 0, "the control: within the same second it does not look again");
    world.clock.advance(1);
    assert_eq!(newest().await, 1);
}

/// Before its time comes, who has not heard a rotation's end is told.
#[tokio::test]
async fn a_pending_rotation_is_noted() {
    let world = World::new(315);
    world.enrolled(1).await;
    assert!(world.nodes.at(ONE).notes().is_empty());
    let [one, _, _] = world.new_keys(1, 3600);
    let pending: Vec<_> = one.into_iter().map(|(name, usage, bytes)| (format!("new:{name}"), usage, bytes)).collect();
    world.import(ONE, &pending);
    world.turns().await;
    assert!(world.nodes.at(ONE).notes().is_empty(), "before it has confirmed nothing can have ended anywhere");
    world.import(ONE, &[("new:confirmed".to_owned(), KeyUse::Share, vec![7; 32])]);
    let told = world.nodes.at(ONE).notes().join(" ");
    assert!(told.contains("generation 1 are pending") && told.contains("hufu keys finish"), "{told}");
    assert!(world.nodes.at(ONE).reasons().await.is_empty(), "it keeps nobody away");
}

/// One that contradicts alone is wrong itself.
#[tokio::test]
async fn one_peer_that_contradicts_an_honest_node_moves_no_row() {
    let world = World::new(313);
    let mut wallet = world.enrolled(1).await;
    let before = world.names_of(&mut wallet).await;
    let [one, two, three] = world.new_keys(1, 0);
    world.import(ONE, &one);
    world.import(TWO, &two);
    world.clock.advance(120);
    for node in [ONE, TWO] {
        world.nodes.at(node).upkeep().await.unwrap();
    }
    // Node 3 draws its epoch's sub-keys from old keys, and nobody carries the reports.
    wallet.transport().cut("/v1/reports");
    assert!(wallet.end_sessions().await.is_err());
    wallet.transport().mend();
    let row = world.only_row(ONE).await;
    assert!(row.commitments.epoch.iter().any(Option::is_none), "the control: it asks for them");
    world.away([TWO]);
    world.compare(ONE).await;
    assert_eq!(world.only_row(ONE).await.commitments, row.commitments);
    assert_eq!(world.nodes.at(ONE).refused_from_peers(), [0, 0, 1]);
    world.all_back();
    world.compare(ONE).await;
    world.compare(TWO).await;
    let ended = world.names(&mut wallet, pair(ONE, TWO)).await;
    assert!(ended.iter().zip(&before).all(|(now, before)| now.0 == before.0 && now.1 != before.1));
    // Both contradict node 3, and agree.
    world.import(THREE, &three);
    world.turns().await;
    world.compare(THREE).await;
    assert_eq!(world.names_of(&mut wallet).await, ended);
    world.one_row().await;
}
