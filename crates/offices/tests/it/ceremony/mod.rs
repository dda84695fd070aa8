//! Offices make keys together, in memory: everybody ends with the same, or with an error that names who is to blame.

#![expect(clippy::unwrap_used, reason = "tests")]

mod attacks;
mod names;
mod world;

use hufu_kernel::{KeyKeeper, KeyStore, KeyUse, NodeIndex, Octets, Subset};
use hufu_offices::ceremony::{CeremonyError, Outcome, transcript};
use hufu_pairwise::{Signer, oprf_commitment};
use hufu_wire::api::ceremony::Delivery;
use hufu_wire::api::order::Kind;
use hufu_wire::api::roster::{OFFICES, tagger_name};
use hufu_wire::api::trust::node_name;
use std::collections::{BTreeMap, BTreeSet};
use world::{Ran, World};

fn founded(seed: u64) -> World {
    let mut world = World::new(seed);
    let order = world.order(Kind::Found, None);
    let ran = world.run(&order, |_, _, _| {});
    world.settle(ran);
    world
}

#[test]
fn every_office_ends_with_the_same_trust_root_and_with_exactly_its_keys() {
    let world = founded(1);
    let trust = world.trust.as_ref().unwrap();
    for index in NodeIndex::ALL {
        let keys = world.keys(node_name(index));
        let signer = Signer::from_share(&keys.share("frost-share").unwrap()).unwrap();
        assert_eq!(signer.index(), index);
        let mut names: BTreeSet<String> =
            ["office", "tls", "hpke", "rows", "index", "es256", "frost-share"].map(str::to_owned).into();
        for subset in Subset::of(index) {
            names.extend(["k", "kp", "peer"].map(|kind| format!("{kind}-{}", subset.name())));
        }
        assert_eq!(keys.names().unwrap().into_iter().collect::<BTreeSet<_>>(), names);
        assert_eq!(trust.node(index).signing.as_slice(), keys.public("office").unwrap().0);
        let tagger = world.keys(tagger_name(index));
        let share = hufu_kernel::Secret::new(tagger.share("tag-share").unwrap().as_slice().try_into().unwrap());
        assert_eq!(oprf_commitment(&share).unwrap(), trust.taggers[index.slot()]);
    }
    for subset in Subset::ALL {
        let (a, b) = subset.holders();
        for kind in ["k", "kp", "peer"] {
            let name = format!("{kind}-{}", subset.name());
            let at = |index| world.keys(node_name(index)).hmac(&name, b"m").unwrap();
            assert_eq!(at(a), at(b));
        }
    }
    assert_eq!(trust.offices.front.as_slice(), world.keys("front").public("front-tx").unwrap().0);
    assert!(world.keys("post").seal("contacts", b"", b"").is_ok());
}

#[test]
fn a_transcript_says_what_was_arrived_at_and_a_changed_one_says_nothing() {
    let mut world = World::new(2);
    let order = world.order(Kind::Found, None);
    let ran = world.run(&order, |_, _, _| {}).unwrap();
    let hashes: BTreeSet<Octets<32>> =
        ran.iter().map(|(_, done)| transcript::hash(&done.transcript).unwrap()).collect();
    assert_eq!((hashes.len(), ran.len()), (1, 11));
    let told = &ran[0].1.transcript;
    assert_eq!(transcript::verify(told, &world.known()).unwrap(), ran[0].1.outcome);
    let text = transcript::text(told).unwrap();
    assert!(text.contains("commits to k-12") && text.contains("ordered by   north, south"), "{text}");
    // Read back from its file it is the same; without one word, or with another, it is none.
    let again = serde_json::from_slice(&serde_json::to_vec_pretty(told).unwrap()).unwrap();
    assert_eq!(*told, again);
    for at in [0, 20, told.messages.len() - 1] {
        let mut other = told.clone();
        other.messages.remove(at);
        assert!(transcript::verify(&other, &world.known()).is_err());
        let mut other = told.clone();
        other.messages[at].signature.0[0] ^= 1;
        assert!(transcript::verify(&other, &world.known()).is_err());
    }
    let mut unordered = told.clone();
    unordered.order.signatures.pop_first();
    assert!(transcript::verify(&unordered, &world.known()).is_err());
}

#[test]
fn an_order_of_one_operator_or_for_another_roster_begins_nothing() {
    let world = World::new(3);
    let mut order = world.order(Kind::Found, None);
    order.signatures.pop_first();
    let refused = world.begin("node-1", &order).unwrap_err();
    assert!(matches!(refused, CeremonyError::Order(_)), "{refused}");
    let mut other = World::new(4).order(Kind::Found, None);
    assert!(world.begin("node-1", &other).is_err());
    other = world.order(Kind::Rotate, None);
    assert!(matches!(world.begin("front", &other), Err(CeremonyError::NoParty(_))));
}

/// Changes a delivery in the speaker's name, as a speaker that lies would: signed again.
fn lie(world: &World, delivery: &mut Delivery, change: impl Fn(&mut hufu_wire::api::ceremony::Message)) {
    let office = delivery.message.office.clone();
    let mut message = serde_json::from_slice(&delivery.message.payload.0).unwrap();
    change(&mut message);
    delivery.message = world.sign(&office, &message);
}

#[test]
fn who_tells_two_offices_different_things_is_found_out() {
    let mut world = World::new(5);
    let order = world.order(Kind::Found, None);
    let liar = world.clone();
    let ran = world.run(&order, move |from, to, delivery| {
        if from == "node-3" && to == "front" {
            lie(&liar, delivery, |message| {
                if let (1, hufu_wire::api::ceremony::Said::Open(open)) = (message.round, &mut message.said) {
                    open.sealing.0[0] ^= 1;
                }
            });
        }
    });
    let error = ran.unwrap_err();
    assert!(matches!(&error, CeremonyError::Apart { what, .. } if what.contains("different things")), "{error}");
    assert!(world.settled_nowhere());
}

#[test]
fn a_sealed_part_that_is_another_one_or_missing_names_its_sender() {
    for missing in [true, false] {
        let mut world = World::new(6);
        let order = world.order(Kind::Found, None);
        let ran = world.run(&order, move |from, to, delivery| {
            if (from, to) == ("node-2", "node-1") {
                if missing {
                    delivery.part = None;
                } else if let Some(part) = &mut delivery.part {
                    part.ciphertext.0[0] ^= 1;
                }
            }
        });
        let error = ran.unwrap_err();
        assert!(matches!(&error, CeremonyError::Misbehaved { office, round: 2, .. } if office == "node-2"), "{error}");
    }
}

#[test]
fn silence_names_who_is_silent() {
    let world = World::new(7);
    let order = world.order(Kind::Found, None);
    let (ceremony, _) = world.begin("front", &order).unwrap();
    let known = BTreeMap::from([("node-2", "connection refused".to_owned())]);
    let silence = ceremony.silence(&known);
    let told = silence.to_string();
    assert!(told.contains("nothing heard from node-1, node-2 (connection refused), node-3, "), "{told}");
    let CeremonyError::Silent { round: 1, offices } = silence else { panic!("another error") };
    assert_eq!(offices.iter().map(|unheard| unheard.office).collect::<Vec<_>>(), OFFICES[..10]);
}

#[test]
fn a_rotation_gives_new_keys_to_all_nodes_and_keeps_the_old_ones() {
    let mut world = founded(8);
    let order = world.order(Kind::Rotate, None);
    let old = world.keys("node-1").hmac("k-12", b"m").unwrap();
    let ran = world.run(&order, |_, _, _| {});
    assert!(ran.as_ref().unwrap().iter().all(|(_, done)| {
        done.outcome == Outcome::Generation { generation: 1, since: world::NOW + 3600 }
            && transcript::verify(&done.transcript, &world.known()).unwrap() == done.outcome
    }));
    world.settle(ran);
    let at = |office: &str, key: &str| world.keys(office).hmac(key, b"m").unwrap();
    assert_eq!(at("node-1", "k-12.1"), at("node-2", "k-12.1"));
    assert_ne!(at("node-1", "k-12.1"), old);
    assert_eq!(at("node-1", "k-12"), old);
    assert_eq!(BTreeSet::from(["node-1", "node-2", "node-3"].map(|node| at(node, "z.1"))).len(), 1);
    assert_eq!(world.keys("node-3").share("since.1").unwrap().as_slice(), (world::NOW + 3600).to_be_bytes());
    // A second one before the first is over is refused.
    assert!(matches!(world.begin("node-1", &world.order(Kind::Rotate, None)), Err(CeremonyError::Standing(_))));
}

fn same_as_before(ran: &World, before: &World, lost: &str) {
    let names = |world: &World| world.keys(lost).names().unwrap();
    assert_eq!(names(ran), names(before));
    for name in names(before) {
        if ["k-", "kp-", "peer-", "z."].iter().any(|kind| name.starts_with(kind)) {
            assert_eq!(ran.keys(lost).hmac(&name, b"m"), before.keys(lost).hmac(&name, b"m"), "{name}");
        }
        if name.ends_with("-share") || name.starts_with("since.") {
            assert_eq!(ran.keys(lost).share(&name), before.keys(lost).share(&name), "{name}");
        }
    }
}

#[test]
fn a_lost_office_gets_a_new_identity_and_everything_it_held_jointly() {
    let mut world = founded(9);
    let order = world.order(Kind::Rotate, None);
    let ran = world.run(&order, |_, _, _| {});
    world.settle(ran);
    for lost in ["node-2", "tagger-3", "registrar", "front", "post"] {
        let before = world.clone_keys();
        world.lose(lost, true);
        let order = world.order(Kind::Replace, Some(lost));
        let ran = world.run(&order, |_, _, _| {});
        world.settle(ran);
        same_as_before(&world, &before, lost);
        let (now, then) = (world.trust.clone().unwrap(), before.trust.clone().unwrap());
        assert_eq!((now.group_key, now.group_shares, &now.taggers), (then.group_key, then.group_shares, &then.taggers));
        for index in NodeIndex::ALL {
            assert_eq!(now.node(index) == then.node(index), node_name(index) != lost);
        }
        assert_ne!(world.keys(lost).public("office"), before.keys(lost).public("office"));
    }
}

#[test]
fn a_lost_share_is_repaired_under_the_same_identity() {
    let mut world = founded(10);
    for (lost, key) in [("node-1", "frost-share"), ("node-3", "k-13"), ("tagger-2", "tag-share")] {
        let before = world.clone_keys();
        world.keys(lost).destroy(key).unwrap();
        let order = world.order(Kind::Repair, Some(lost));
        let ran = world.run(&order, |_, _, _| {});
        world.settle(ran);
        same_as_before(&world, &before, lost);
        assert_eq!(world.trust, before.trust);
    }
    // A share that is there and is another one gives way.
    let before = world.clone_keys();
    let keys = world.keys("tagger-1");
    keys.destroy("tag-share").unwrap();
    keys.import("tag-share", KeyUse::Share, &[1; 32]).unwrap();
    let order = world.order(Kind::Repair, Some("tagger-1"));
    let ran: Ran = world.run(&order, |_, _, _| {});
    world.settle(ran);
    same_as_before(&world, &before, "tagger-1");
    assert!(matches!(world.begin("front", &world.order(Kind::Repair, Some("front"))), Err(CeremonyError::NoParty(_))));
}

#[test]
fn a_holder_whose_copy_is_another_one_is_found_out_before_anything_counts() {
    let mut world = founded(11);
    let keys = world.keys("node-1");
    keys.destroy("kp-13").unwrap();
    keys.import("kp-13", KeyUse::Hmac, &[9; 32]).unwrap();
    let order = world.order(Kind::Repair, Some("node-1"));
    let error = world.run(&order, |_, _, _| {}).unwrap_err();
    assert!(
        matches!(&error, CeremonyError::Apart { offices, what } if offices == &["node-1", "node-3"] && what.contains("kp-13")),
        "{error}"
    );
}
