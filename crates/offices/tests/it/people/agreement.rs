//! No fork: whatever a wallet, a thief or a registrar tells whom, at most one statement stands for each version (docs/decisions/0018).

use super::outages::{pair, signed};
use super::world::{TestWallet, World};
use super::{ONE, THREE, TWO};
use hufu_kernel::{Epoch, NodeIndex, Refusal};
use hufu_wallet::SoftwareDevice;
use hufu_wire::api::holder::{Change, SubmitStatement};

const SHOP: &str = "https://shop.example";

async fn world_of_one(seed: u64) -> (World, TestWallet, SoftwareDevice) {
    let world = World::new(seed);
    let (mut wallet, twin) = world.wallet_and_device();
    world.enrol(&mut wallet, &world.person(1)).await.unwrap();
    (world, wallet, twin)
}

/// Different statements for one version, each signed by the device.
async fn rivals(world: &World, device: &SoftwareDevice) -> [SubmitStatement; 3] {
    let holder = world.only_row(ONE).await.holder;
    let end = |epoch| Change::EndSessions { epoch: Epoch::from([epoch; 16]) };
    [
        signed(world, device, &holder, Change::Lock {}).await,
        signed(world, device, &holder, end(7)).await,
        signed(world, device, &holder, end(8)).await,
    ]
}

#[tokio::test]
async fn each_node_told_another_statement_one_of_them_stands_at_all_three() {
    for order in 0..6 {
        let (world, _, twin) = world_of_one(141).await;
        let rivals = rivals(&world, &twin).await;
        let mut nodes = NodeIndex::ALL.to_vec();
        nodes.rotate_left(order % 3);
        if order > 2 {
            nodes.reverse();
        }
        let mut taken = 0;
        for (node, rival) in nodes.iter().zip(&rivals) {
            match world.nodes.at(*node).submit(rival).await {
                Ok(_) => taken += 1,
                Err(refusal) => assert_eq!(refusal, Refusal::VersionConflict),
            }
        }
        assert_eq!(taken, 1, "the first one");
        world.turns().await;
        assert_eq!(world.one_row().await.version, 2);
    }
}

#[tokio::test]
async fn all_at_once_one_stands() {
    let (world, _, twin) = world_of_one(142).await;
    let rivals = rivals(&world, &twin).await;
    let calls = NodeIndex::ALL.into_iter().zip(&rivals).map(|(node, rival)| {
        let node = world.nodes.at(node);
        async move { node.submit(rival).await }
    });
    let outcomes = super::recover::futures(calls).await;
    assert!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() <= 1, "{outcomes:?}");
    world.turns().await;
    world.turns().await;
    assert_eq!(world.one_row().await.version, 2);
}

/// Node 2 has voted and node 1 never heard of it: whoever comes next ends what was begun.
#[tokio::test]
async fn a_vote_whose_answer_was_lost_is_ended_by_whoever_comes_next() {
    for by_upkeep in [true, false] {
        let (world, wallet, twin) = world_of_one(143).await;
        let [lock, end, _] = rivals(&world, &twin).await;
        world.away([THREE]);
        *world.faults.unheard.lock().unwrap() = Some(Box::new(|_, _, method| method == "accept"));
        assert_eq!(world.nodes.at(ONE).submit(&lock).await.unwrap_err(), Refusal::NodesUnavailable);
        *world.faults.unheard.lock().unwrap() = None;
        assert!(world.only_row(TWO).await.vote.is_some());
        assert_eq!(world.only_row(ONE).await.holder.version, 1);
        // Node 2 dies and comes back: the vote is on its disk.
        world.restart_node(TWO);
        assert!(world.only_row(TWO).await.vote.is_some());
        if by_upkeep {
            world.turns().await;
        } else {
            assert_eq!(world.nodes.at(TWO).submit(&end).await.unwrap_err(), Refusal::VersionConflict);
        }
        world.turns().await;
        world.all_back();
        world.compare_all().await;
        assert_eq!(world.one_row().await.status.name(), "locked", "what was begun, and not the later one");
        assert!(wallet.unlock().await.is_ok());
    }
}

/// Two nodes hold different votes, and the third, who may have made either of them stand, is away.
#[tokio::test]
async fn parted_votes_wait_for_the_third_and_sign_ins_go_on_meanwhile() {
    let (world, mut wallet, twin) = world_of_one(144).await;
    let [lock, end, other] = rivals(&world, &twin).await;
    // Node 3 asks node 1 for one and node 2 for the other, and hears neither answer.
    *world.faults.unheard.lock().unwrap() = Some(Box::new(|_, _, _| true));
    *world.faults.lost.lock().unwrap() = Some(Box::new(|_, to, method| to == TWO || method != "accept"));
    assert!(world.nodes.at(THREE).submit(&lock).await.is_err());
    *world.faults.lost.lock().unwrap() = Some(Box::new(|_, to, method| to == ONE || method != "accept"));
    assert!(world.nodes.at(THREE).submit(&end).await.is_err());
    *world.faults.lost.lock().unwrap() = None;
    *world.faults.unheard.lock().unwrap() = None;
    world.away([THREE]);
    for node in [ONE, TWO] {
        assert!(world.only_row(node).await.vote.unwrap().held.is_some());
        assert_eq!(world.nodes.at(node).submit(&other).await.unwrap_err(), Refusal::NodesDisagree);
    }
    world.turns().await;
    assert!(world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.is_ok(), "nothing has taken effect");
    assert!(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.is_err());
    // The third comes back, and knows that it has voted for neither.
    world.all_back();
    world.turns().await;
    world.turns().await;
    assert_eq!(world.one_row().await.version, 2);
}

/// The same, but nobody came to an end within a day: the votes are for what is too old, and all three know that nothing stands.
#[tokio::test]
async fn votes_too_old_to_be_ended_are_forgotten_when_all_three_know() {
    let (world, wallet, twin) = world_of_one(145).await;
    let [lock, end, _] = rivals(&world, &twin).await;
    *world.faults.unheard.lock().unwrap() = Some(Box::new(|_, _, _| true));
    *world.faults.lost.lock().unwrap() = Some(Box::new(|_, to, method| to == TWO || method != "accept"));
    assert!(world.nodes.at(THREE).submit(&lock).await.is_err());
    *world.faults.lost.lock().unwrap() = Some(Box::new(|_, to, method| to == ONE || method != "accept"));
    assert!(world.nodes.at(THREE).submit(&end).await.is_err());
    *world.faults.lost.lock().unwrap() = None;
    *world.faults.unheard.lock().unwrap() = None;
    world.away([THREE]);
    world.clock.advance(2 * 86_400);
    world.turns().await;
    assert!(world.only_row(ONE).await.vote.unwrap().held.is_some(), "two of them do not know enough");
    world.all_back();
    for _ in 0..3 {
        world.turns().await;
    }
    for node in NodeIndex::ALL {
        let row = world.only_row(node).await;
        assert_eq!(row.holder.version, 1);
        assert!(row.vote.is_none_or(|vote| vote.held.is_none()), "node {node}");
    }
    wallet.open_holder().await.unwrap();
    wallet.lock().await.unwrap();
    world.turns().await;
    assert_eq!(world.one_row().await.status.name(), "locked");
}

/// Every call between nodes is lost once, before and after, and the node that was asked or that asked dies with it.
#[tokio::test]
async fn a_change_with_any_call_lost_and_any_node_dead_is_whole_or_not_there() {
    for when in [super::world::When::Before, super::world::When::After] {
        for at in 1..=6 {
            for dies in NodeIndex::ALL {
                let (world, wallet, _) = world_of_one(146).await;
                let began = *world.faults.calls.lock().unwrap();
                *world.faults.break_at.lock().unwrap() = Some((began + at, when));
                let outcome = wallet.lock().await;
                world.restart_node(dies);
                world.turns().await;
                world.turns().await;
                let row = world.one_row().await;
                let locked = row.status.name() == "locked";
                assert!(locked || outcome.is_err(), "call {at} {when:?}, node {dies} dies: acknowledged and lost");
            }
        }
    }
}

#[tokio::test]
async fn what_a_node_has_voted_for_it_can_commit_whatever_others_do_meanwhile() {
    let (world, mut wallet, twin) = world_of_one(147).await;
    let mut other = world.enrolled(2).await;
    let own = wallet.row(ONE).await.unwrap().devices[0].credential;
    let holder = world.row_of(ONE, &own).await.record.holder;
    let number = hufu_wire::network_number::NetworkNumber::random(world.rng.as_ref());
    let replace = signed(&world, &twin, &holder, Change::ReplaceNumber { number: number.clone() }).await;
    // Node 2 votes and hears nothing more; then the number is wanted by somebody else.
    *world.faults.unheard.lock().unwrap() = Some(Box::new(|_, _, method| method == "accept"));
    *world.faults.lost.lock().unwrap() = Some(Box::new(|_, to, _| to == THREE));
    assert!(world.nodes.at(ONE).submit(&replace).await.is_err());
    *world.faults.lost.lock().unwrap() = None;
    *world.faults.unheard.lock().unwrap() = None;
    let theirs = other.row(TWO).await.unwrap();
    let row = world.row_of(TWO, &theirs.devices[0].credential).await.record.holder;
    assert!(row.version == 1 && other.replace_number().await.is_ok(), "the control: other numbers are free");
    world.turns().await;
    for node in NodeIndex::ALL {
        assert_eq!(wallet.row(node).await.unwrap().number, number, "node {node}");
    }
    assert!(wallet.replace_number().await.is_ok());
}

#[tokio::test]
async fn with_nobody_to_ask_a_node_binds_itself_to_nothing() {
    let (world, wallet, twin) = world_of_one(148).await;
    let [lock, end, _] = rivals(&world, &twin).await;
    world.away([TWO, THREE]);
    let written = world.backup(ONE);
    assert_eq!(world.nodes.at(ONE).submit(&lock).await.unwrap_err(), Refusal::NodesUnavailable);
    assert_eq!(world.backup(ONE), written);
    world.all_back();
    // So that the other one is as good as ever.
    assert!(world.nodes.at(TWO).submit(&end).await.is_ok());
    world.turns().await;
    wallet.lock().await.unwrap();
    assert_eq!(world.one_row().await.version, 3);
}
