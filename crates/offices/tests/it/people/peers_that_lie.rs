//! One of the three lies to another: nothing is taken, and the node says which one it was.

use super::outages::{pair, signed};
use super::world::{TestWallet, World};
use super::{ONE, THREE, TWO};
use hufu_kernel::{NodeIndex, Refusal, unb64};
use hufu_wire::api::holder::Change;
use serde_json::Value;
use std::sync::{Arc, Mutex};

const SHOP: &str = "https://shop.example";

/// Node 3 was away during two changes; node 1 answers it, and lies.
async fn behind(seed: u64) -> (World, TestWallet) {
    let world = World::new(seed);
    let wallet = world.enrolled(1).await;
    world.away([THREE]);
    wallet.lock().await.unwrap();
    wallet.unlock().await.unwrap();
    world.away([TWO]);
    (world, wallet)
}

fn lies(world: &World, method: &'static str, mut lie: impl FnMut(&mut Value) + Send + 'static) {
    *world.faults.liar.lock().unwrap() = Some(Box::new(move |_, from, asked, answer| {
        if from == ONE && asked == method {
            lie(answer);
        }
    }));
}

fn bytes(value: &Value) -> Vec<u8> {
    unb64(value.as_str().unwrap()).unwrap()
}

fn text(bytes: &[u8]) -> Value {
    Value::String(hufu_kernel::b64(bytes))
}

#[tokio::test]
async fn a_forged_a_replayed_and_another_rows_statement_are_refused_and_named() {
    let mut others = None;
    for what in [
        "control",
        "forged",
        "words of one node",
        "other words",
        "replayed",
        "turned round",
        "withheld",
        "another row's",
    ] {
        let (world, mut wallet) = behind(161).await;
        if what == "another row's" && others.is_none() {
            // What node 1 would tell about somebody else.
            let (elsewhere, _) = behind(162).await;
            let seen = Arc::new(Mutex::new(None));
            let kept = Arc::clone(&seen);
            lies(&elsewhere, "statements", move |answer| {
                let said = answer["said"].clone();
                kept.lock().unwrap().get_or_insert(said);
            });
            elsewhere.compare(THREE).await;
            others = seen.lock().unwrap().take();
        }
        let foreign = others.clone();
        lies(&world, "statements", move |answer| match what {
            "forged" => {
                let mut statement = bytes(&answer["said"][0]["statement"]);
                let at = statement.windows(4).position(|part| part == b"lock").unwrap();
                statement.splice(at..at + 4, *b"leave");
                answer["said"][0]["statement"] = text(&statement);
            }
            "words of one node" => {
                let one = answer["said"][0]["accepted"][0].clone();
                answer["said"][0]["accepted"] = Value::Array(vec![one.clone(), one]);
            }
            "other words" => answer["said"][0]["accepted"] = answer["said"][1]["accepted"].clone(),
            "replayed" => answer["said"][1] = answer["said"][0].clone(),
            "turned round" => answer["said"].as_array_mut().unwrap().reverse(),
            "withheld" => {
                answer["said"].as_array_mut().unwrap().pop();
                answer["said"].as_array_mut().unwrap().insert(0, Value::Null);
                answer["said"] = Value::Array(vec![answer["said"][1].clone()]);
            }
            "another row's" => answer["said"] = foreign.clone().unwrap(),
            _ => {}
        });
        let signed = world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await;
        let row = world.only_row(THREE).await;
        if what == "control" {
            assert!(signed.is_ok());
            assert_eq!(row.holder.version, 3);
            assert_eq!(world.nodes.at(THREE).refused_from_peers(), [0; 3]);
            continue;
        }
        assert!(signed.is_err(), "{what}");
        assert_ne!(row.holder.version, 3, "{what}");
        let refused = world.nodes.at(THREE).refused_from_peers();
        // A gap is no lie yet: it asks the other peer, who is away.
        assert_eq!(refused[0] > 0, what != "withheld", "{what}: {refused:?}");
        assert_eq!((refused[1], refused[2]), (0, 0), "{what}");
        // With the other peer, or when the lying ends, the row comes.
        *world.faults.liar.lock().unwrap() = None;
        world.all_back();
        world.compare(THREE).await;
        assert_eq!(world.one_row().await.version, 3, "{what}");
    }
}

#[tokio::test]
async fn a_peer_that_says_it_is_further_than_it_can_show_is_not_believed() {
    let (world, mut wallet) = behind(163).await;
    lies(&world, "level", |answer| answer["version"] = 9.into());
    assert!(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.is_err());
    *world.faults.liar.lock().unwrap() = None;
    assert!(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.is_ok());
}

#[tokio::test]
async fn a_row_that_one_peer_made_up_is_taken_by_nobody_and_named() {
    let world = World::new(164);
    world.enrolled(1).await;
    let backups = [world.backup(ONE), world.backup(THREE)];
    world.enrolled(2).await;
    // Only node 2 has the second person, as if it had made them up.
    world.restore_unmarked(ONE, backups[0]).await;
    world.restore_unmarked(THREE, backups[1]).await;
    let done = world.compare(THREE).await;
    assert_eq!((done.adopted, world.rows(THREE).await.0), (0, 1));
    assert_eq!(world.nodes.at(THREE).refused_from_peers(), [0, 1, 0]);
}

#[tokio::test]
async fn a_whole_row_is_taken_only_as_both_peers_have_it() {
    for what in ["control", "root", "contact", "number", "device", "commitment", "name"] {
        let world = World::new(165);
        let mut wallet = world.enrolled(1).await;
        let sub = world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap().payload.sub;
        world.restore(THREE, 0).await;
        lies(&world, "rows", move |answer| {
            for row in answer["rows"].as_array_mut().unwrap() {
                let common = &mut row["common"];
                match what {
                    "root" => common["root_u"] = text(&[7; 32]),
                    "contact" => common["contact"] = text(&[7; 32]),
                    "number" => common["number"] = "2222222222".into(),
                    "device" => {
                        let mut holder: Value = serde_json::from_slice(&bytes(&common["holder"])).unwrap();
                        holder["devices"][0]["credential"] = text(&[9; 32]);
                        common["holder"] = text(&serde_json::to_vec(&holder).unwrap());
                    }
                    "commitment" => {
                        row["commitments"]["pseudonym"][0] = row["commitments"]["pseudonym"][1].clone();
                    }
                    "name" => row["row"] = text(&[3; 32]),
                    _ => {}
                }
            }
        });
        let done = world.compare(THREE).await;
        if what == "control" {
            assert_eq!(done.adopted, 1);
            assert_eq!(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.unwrap().payload.sub, sub);
            continue;
        }
        assert_eq!(world.rows(THREE).await.0, 0, "{what}");
        assert!(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.is_err(), "{what}");
        *world.faults.liar.lock().unwrap() = None;
        assert_eq!(world.compare(THREE).await.adopted, 1, "{what}");
        world.one_row().await;
    }
}

/// Node 1 tells node 2 that it accepts, and accepts nothing; or gives its word on something else.
#[tokio::test]
async fn a_word_on_something_else_makes_nothing_stand() {
    let world = World::new(166);
    let (mut wallet, twin) = world.wallet_and_device();
    world.enrol(&mut wallet, &world.person(1)).await.unwrap();
    let holder = world.only_row(TWO).await.holder;
    let lock = signed(&world, &twin, &holder, Change::Lock {}).await;
    world.away([THREE]);
    lies(&world, "accept", |answer| {
        if let Some(word) = answer.get_mut("accepted") {
            let mut payload: Value = serde_json::from_slice(&bytes(&word["word"]["payload"])).unwrap();
            payload["ballot"] = 5.into();
            word["word"]["payload"] = text(&serde_json::to_vec(&payload).unwrap());
        }
    });
    assert_eq!(world.nodes.at(TWO).submit(&lock).await.unwrap_err(), Refusal::NodesUnavailable);
    assert_eq!(world.nodes.at(TWO).refused_from_peers(), [1, 0, 0]);
    assert_eq!(world.only_row(TWO).await.holder.version, 1);
}

/// A node whose own copy was changed on disk, or that was led astray before: both peers have another history.
#[tokio::test]
async fn the_odd_one_out_takes_the_history_that_two_have() {
    let world = World::new(167);
    let (mut wallet, twin) = world.wallet_and_device();
    world.enrol(&mut wallet, &world.person(1)).await.unwrap();
    let holder = world.only_row(THREE).await.holder;
    // Node 3 and a node 1 that lies to it commit one statement; then the honest two commit another.
    let backup = world.backup(ONE);
    let lock = signed(&world, &twin, &holder, Change::Lock {}).await;
    world.away([TWO]);
    world.nodes.at(THREE).submit(&lock).await.unwrap();
    world.restore_unmarked(ONE, backup).await;
    world.away([THREE]);
    let end = signed(&world, &twin, &holder, Change::EndSessions { epoch: hufu_kernel::Epoch::from([5; 16]) }).await;
    for node in [ONE, TWO] {
        world.nodes.at(node).submit(&end).await.unwrap();
    }
    world.all_back();
    assert_ne!(world.only_row(ONE).await.holder.head, world.only_row(THREE).await.holder.head, "the control: a fork");
    assert!(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.is_err());
    assert_eq!(world.compare(THREE).await.adopted, 1);
    world.compare_all().await;
    assert_eq!(world.one_row().await.version, 2);
}

#[tokio::test]
async fn nothing_that_peers_know_a_row_by_is_equal_on_two_disks() {
    let world = World::new(168);
    let wallet = world.enrolled(1).await;
    world.away([THREE]);
    wallet.lock().await.unwrap();
    world.all_back();
    world.turns().await;
    world.compare_all().await;
    wallet.unlock().await.unwrap();
    let mut values = std::collections::BTreeMap::new();
    for node in NodeIndex::ALL {
        let row = world.only_row(node).await;
        for value in row.peers.iter().map(|value| value.0[3..].to_vec()).chain([row.handle.as_slice().to_vec()]) {
            *values.entry(value).or_insert(0) += 1;
        }
        *values.entry(row.holder.head.as_slice().to_vec()).or_insert(0) += 1;
    }
    let twice: Vec<_> = values.iter().filter(|(_, count)| **count > 1).collect();
    assert_eq!(twice.len(), 1, "the head, which nodes compare, is the control; nothing else");
}
