//! What nobody asked for, said or sealed in a ceremony; last words that differ; and plans that are not the same.

use super::world::World;
use super::{founded, lie};
use hufu_kernel::{KeyKeeper as _, KeyStore as _, KeyUse, Octets};
use hufu_offices::ceremony::{CeremonyError, abandon, confirmed, identity_keys, lacking, take_back, transcript};
use hufu_wire::api::ceremony::{Delivery, Message, Said};
use hufu_wire::api::order::{Kind, Operator};
use std::collections::BTreeSet;

fn round(delivery: &Delivery) -> u8 {
    serde_json::from_slice::<Message>(&delivery.message.payload.0).unwrap().round
}

const MISLEADING: &str = "\u{1b}[8m compare 1234";

type Change = fn(&mut Message);

#[test]
fn a_name_that_is_not_due_is_refused_in_every_round_whoever_signs_it() {
    let seal: Change = |message| {
        message.sealed.insert("x".to_owned(), Octets([1; 32]));
    };
    let coin: Change = |message| {
        if let Said::Open(open) = &mut message.said {
            open.coins.insert(MISLEADING.to_owned(), Octets([1; 32]));
        }
    };
    let check: Change = |message| {
        if let Said::Check(check) = &mut message.said {
            check.keys.insert(MISLEADING.to_owned(), Octets([1; 32]));
        }
    };
    let own: Change = |message| {
        message.sealed.insert("front".to_owned(), Octets([1; 32]));
    };
    let same: Change = |_| {};
    for (liar, at, change, refused) in [
        ("node-3", 4, seal, Some("where nothing is sealed")),
        ("front", 4, seal, Some("where nothing is sealed")),
        ("front", 1, seal, Some("where nothing is sealed")),
        ("front", 2, seal, Some("for whom nothing is due")),
        ("front", 2, own, Some("for whom nothing is due")),
        ("front", 1, coin, Some("commits to")),
        ("node-1", 1, coin, Some("commits to")),
        ("front", 3, check, Some("shows")),
        ("node-1", 3, check, Some("shows")),
        // The control: signed again, and nothing else.
        ("node-3", 4, same, None),
    ] {
        let mut world = World::new(41);
        let order = world.order(Kind::Found, None);
        let known = world.clone();
        // To one hearer alone: in the last round nobody would be told of it.
        let ran = world.run(&order, |from, to, delivery| {
            if (from, to) == (liar, "post") && round(delivery) == at {
                lie(&known, delivery, change);
            }
        });
        let Some(refused) = refused else {
            assert_eq!(ran.unwrap().len(), 11);
            continue;
        };
        let error = ran.unwrap_err();
        let by = match &error {
            CeremonyError::Confirmed(error) => error.as_ref(),
            error => error,
        };
        assert!(
            matches!(by, CeremonyError::Misbehaved { office, round, .. } if office == liar && *round == at),
            "{error}"
        );
        assert!(error.to_string().contains(refused), "{error}");
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}

#[test]
fn what_people_compare_is_the_same_wherever_it_ended_and_shows_no_command_to_a_terminal() {
    let mut world = World::new(42);
    let order = world.order(Kind::Found, None);
    let ran = world.run(&order, |_, _, _| {}).unwrap();
    let told = &ran[0].1.transcript;
    let hash = transcript::hash(told).unwrap();
    // As somebody who signs the last word twice would leave it at one hearer. Everything before is compared by all.
    let mut twice = told.clone();
    let last = twice.messages.last_mut().unwrap();
    last.signature.0[0] ^= 1;
    assert_eq!(transcript::hash(&twice).unwrap(), hash);
    assert_eq!(transcript::signed_twice(told, &twice), ["front"]);
    for at in [0, 30, 40] {
        let mut other = told.clone();
        if at < 33 {
            other.messages[at].signature.0[0] ^= 1;
        } else {
            other.messages[at].message.said = Said::Confirm { outcome: Octets([1; 32]) };
        }
        assert_ne!(transcript::hash(&other).unwrap(), hash, "{at}");
    }
    // A transcript that verifies nowhere is shown, too.
    let mut misleading = told.clone();
    for message in &mut misleading.messages {
        match &mut message.message.said {
            Said::Open(open) => open.coins.insert(MISLEADING.to_owned(), Octets([1; 32])),
            Said::Check(check) => check.keys.insert(MISLEADING.to_owned(), Octets([1; 32])),
            _ => message.message.sealed.insert(MISLEADING.to_owned(), Octets([1; 32])),
        };
        message.office.push_str(MISLEADING);
    }
    misleading.order.signatures.insert(MISLEADING.to_owned(), Octets([1; 64]));
    let text = transcript::text(&misleading).unwrap();
    assert!(text.contains("\\u{1b}[8m compare 1234"), "{text}");
    assert!(!text.chars().any(|one| one.is_control() && one != '\n'), "{text:?}");
    assert!(transcript::verify(&misleading, &world.known()).is_err());
}

#[test]
fn an_operator_or_an_address_that_one_office_alone_knows_is_found_out_in_the_first_round() {
    let mut world = World::new(43);
    let order = world.order(Kind::Found, None);
    world.joined = Some(("node-2", Operator { name: "shadow".to_owned(), key: Octets([9; 32]) }));
    let error = world.run(&order, |_, _, _| {}).unwrap_err();
    let told = error.to_string();
    assert!(matches!(&error, CeremonyError::Apart { offices, .. } if offices == &["node-2"]), "{error}");
    assert!(told.contains("operators") && world.settled_nowhere(), "{told}");
    world.joined = None;
    world.replanned = Some("tagger-2");
    let error = world.run(&world.order(Kind::Found, None), |_, _, _| {}).unwrap_err();
    assert!(matches!(&error, CeremonyError::Apart { offices, .. } if offices == &["tagger-2"]), "{error}");
    // The control.
    world.replanned = None;
    assert_eq!(world.run(&world.order(Kind::Found, None), |_, _, _| {}).unwrap().len(), 11);
}

#[test]
fn every_key_that_a_founding_leaves_is_looked_for_at_its_end() {
    let mut world = World::new(47);
    let ran = world.run(&world.order(Kind::Found, None), |_, _, _| {}).unwrap();
    let root = world.roster.root();
    let mut looked_for = 0;
    for (office, done) in &ran {
        let keys = world.keys(office);
        let lacks = || lacking(office, root, &done.transcript, &done.outcome, keys).unwrap();
        let identity = identity_keys(office);
        done.settle(keys).unwrap();
        assert!(lacks().is_empty(), "{office}");
        let mut gone = BTreeSet::new();
        for name in keys.names().unwrap().into_iter().filter(|name| identity.iter().all(|(known, _)| known != name)) {
            keys.destroy(&name).unwrap();
            gone.insert(name);
            assert_eq!(lacks().into_iter().collect::<BTreeSet<_>>(), gone, "{office}");
        }
        looked_for += gone.len();
    }
    assert!(looked_for > 30, "{looked_for}");
}

#[test]
fn two_nodes_that_missed_the_last_round_end_it_after_its_time_and_only_with_what_they_showed() {
    let world = founded(44);
    let order = world.order(Kind::Rotate, None);
    let lost = |to: &str, delivery: &Delivery| round(delivery) == 4 && to != "node-1";
    let (waiting, done) = world.drive(&order, |_, to, delivery| !lost(to, delivery)).unwrap();
    assert_eq!((waiting.len(), done.len()), (2, 1));
    let (_, ended) = &done[0];
    ended.settle(world.keys("node-1")).unwrap();
    world.passed.store(7200, std::sync::atomic::Ordering::Relaxed);
    let root = world.roster.root();
    let outcome = transcript::verify(&ended.transcript, &world.known()).unwrap();
    let lacks = |node: &str| lacking(node, root, &ended.transcript, &outcome, world.keys(node)).unwrap();
    for node in ["node-2", "node-3"] {
        assert!(confirmed(world.keys(node)).unwrap().is_some());
        assert!(lacks(node).is_empty());
        ended.settle(world.keys(node)).unwrap();
        assert!(lacks(node).is_empty(), "it can be repeated");
    }
    let at = |node: &str, key: &str| world.keys(node).hmac(key, b"m").unwrap();
    assert_eq!(at("node-2", "k-23.1"), at("node-3", "k-23.1"));
    assert_eq!(BTreeSet::from(["node-1", "node-2", "node-3"].map(|node| at(node, "z.1"))).len(), 1);
    // Keys that are gone, or others under their names, are no end.
    let keys = world.keys("node-2");
    keys.destroy("k-23.1").unwrap();
    assert_eq!(lacks("node-2"), ["k-23.1"]);
    keys.import("k-23.1", KeyUse::Hmac, &[3; 32]).unwrap();
    assert_eq!(lacks("node-2"), ["k-23.1"]);
    let keys = world.keys("node-3");
    for old in ["k-13", "k-23", "z.1"] {
        keys.destroy(old).unwrap();
    }
    assert!(lacks("node-3").is_empty(), "retired is not lacking");
    keys.destroy("since.1").unwrap();
    assert_eq!(lacks("node-3"), ["since.1"]);
}

#[test]
fn a_rotation_that_ended_at_one_node_alone_is_taken_back_and_another_ends_at_all() {
    let mut world = founded(45);
    let one = hufu_kernel::NodeIndex::ALL[0];
    let order = world.order(Kind::Rotate, None);
    let lost = |to: &str, delivery: &Delivery| round(delivery) == 4 && to != "node-1";
    let (_, done) = world.drive(&order, |_, to, delivery| !lost(to, delivery)).unwrap();
    let keys = world.keys("node-1");
    let before = keys.names().unwrap().into_iter().filter(|name| !name.starts_with("new:")).collect::<BTreeSet<_>>();
    done[0].1.settle(keys).unwrap();
    for node in ["node-2", "node-3"] {
        abandon(world.keys(node)).unwrap();
    }
    // Whoever was interrupted after the first one does the rest.
    keys.destroy("k-12.1").unwrap();
    let gone = take_back(one, 1, keys).unwrap();
    let gone: BTreeSet<&str> = gone.iter().map(String::as_str).collect();
    assert_eq!(gone, BTreeSet::from(["k-13.1", "since.1", "z.1"]));
    assert!(take_back(one, 1, keys).unwrap().is_empty());
    assert_eq!(keys.names().unwrap().into_iter().collect::<BTreeSet<_>>(), before);
    let order = world.order(Kind::Rotate, None);
    let ran = world.run(&order, |_, _, _| {});
    world.settle(ran);
    let keys = world.keys("node-1");
    assert_eq!(keys.hmac("k-12.1", b"m"), world.keys("node-2").hmac("k-12.1", b"m"));
    // What nothing is left to go by without stays.
    keys.destroy("k-12").unwrap();
    assert!(matches!(take_back(one, 1, keys), Err(CeremonyError::Standing(_))));
    assert!(keys.names().unwrap().contains(&"k-12.1".to_owned()));
}
