//! Helpers that hand over what they must not, orders that destroy what counts elsewhere, times that are too soon, and rosters that bring
//! in somebody else's keys.

use super::world::{NOW, World};
use super::{founded, lie};
use hufu_kernel::{Bytes, KeyError, KeyKeeper, KeyStore, KeyUse, PENDING, SeededRng, framed};
use hufu_offices::ceremony::{CeremonyError, abandon, confirmed, transcript};
use hufu_offices::hpke;
use hufu_offices::keeper::SoftwareKeeper;
use hufu_wire::api::ceremony::{Delivery, Message, Open, Said, SealedPart};
use hufu_wire::api::order::{Kind, RESTART};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn message(delivery: &Delivery) -> Message {
    serde_json::from_slice(&delivery.message.payload.0).unwrap()
}

fn pending(world: &World, office: &str) -> Vec<String> {
    let names = world.keys(office).names().unwrap();
    names.into_iter().filter(|name| name.starts_with(PENDING)).collect()
}

/// What `from` would seal to `to` in round 2 to hand over keys under these names, all of them its key `source`.
fn handed(
    world: &World,
    open: &Open,
    ceremony: &[u8],
    (from, to): (&str, &str),
    names: &[&str],
    source: &str,
) -> SealedPart {
    let wrap = |name: &str| {
        let aad = framed(&[b"hufu-v1-handed", ceremony, name.as_bytes(), from.as_bytes(), to.as_bytes()]);
        world.keys(from).wrap(source, &open.wrapping.as_ref().unwrap().0, &aad).unwrap()
    };
    let wrapped: BTreeMap<&str, Bytes> = names.iter().map(|name| (*name, wrap(name))).collect();
    let plain = serde_json::json!({ "wrapped": wrapped }).to_string();
    let aad = framed(&[b"hufu-v1-ceremony-sealed", ceremony, &[2], from.as_bytes(), to.as_bytes()]);
    let sealed = hpke::seal(open.sealing.as_slice(), &aad, plain.as_bytes(), &SeededRng::new(1));
    let (enc, ciphertext) = sealed.unwrap();
    SealedPart { enc, ciphertext }
}

#[test]
fn a_helper_hands_over_exactly_what_is_due_and_nobody_else_anything() {
    let mut world = founded(21);
    world.lose("node-2", true);
    world.keys("front").import("mine", KeyUse::Hmac, &[7; 32]).unwrap();
    let due = ["k-12", "kp-12", "peer-12"];
    for (liar, source, names, told) in [
        ("node-1", "kp-12", &["k-12", "kp-12", "peer-12", "k-23"][..], "not its to hand over"),
        ("node-1", "kp-12", &["k-12", "kp-12", "peer-12", "k-12.1"], "not its to hand over"),
        ("node-1", "kp-12", &["k-12", "kp-12", "peer-12", "confirmed"], "not its to hand over"),
        ("node-1", "kp-12", &["k-12", "kp-12"], "does not hand over peer-12"),
        ("node-1", "kp-12", &["kp-12", "peer-12"], "does not hand over k-12"),
        ("front", "mine", &["k-12"], "not its to hand over"),
        // The control: with these names alone it is not this that is found out, but that the liar's own machine said another word.
        ("node-1", "kp-12", &due, "different things"),
    ] {
        let order = world.order(Kind::Replace, Some("node-2"));
        let (known, open, part) = (world.clone(), RefCell::new(None), RefCell::new(None));
        let ran = world.run(&order, |from, to, delivery| {
            let heard = message(delivery);
            match heard.said {
                Said::Open(said) if from == "node-2" => *open.borrow_mut() = Some(*said),
                _ if from == liar && heard.round == 2 => {
                    let mut part = part.borrow_mut();
                    let part = part.get_or_insert_with(|| {
                        let open = open.borrow();
                        let id = heard.ceremony;
                        handed(&known, open.as_ref().unwrap(), id.as_slice(), (liar, "node-2"), names, source)
                    });
                    let hash = part.hash();
                    lie(&known, delivery, |message| {
                        message.sealed.insert("node-2".to_owned(), hash);
                    });
                    if to == "node-2" {
                        delivery.part = Some(part.clone());
                    }
                }
                _ => {}
            }
        });
        let error = ran.unwrap_err();
        assert!(error.to_string().contains(told), "{names:?}: {error}");
        if told != "different things" {
            assert!(matches!(&error, CeremonyError::Misbehaved { office, .. } if office == liar), "{error}");
            let alone = ["new:es256", "new:index", "new:rows"];
            assert_eq!(pending(&world, "node-2"), alone, "nothing was taken");
        }
    }
    let order = world.order(Kind::Replace, Some("node-2"));
    let ran = world.run(&order, |_, _, _| {});
    world.settle(ran);
    for key in due {
        assert_eq!(world.keys("node-2").hmac(key, b"m"), world.keys("node-1").hmac(key, b"m"));
    }
}

#[test]
fn keys_settle_all_or_none() {
    let mut world = founded(22);
    let order = world.order(Kind::Rotate, None);
    let ran = world.run(&order, |_, _, _| {}).unwrap();
    let keys = world.keys("node-1");
    // As a planted key would stand: under a name that is taken when the ceremony ends; and a share beside it that would give way.
    keys.import("k-13.1", KeyUse::Hmac, &[7; 32]).unwrap();
    keys.import("new:frost-share", KeyUse::Share, &[9; 65]).unwrap();
    let (names, share) = (keys.names().unwrap(), keys.share("frost-share"));
    let done = &ran.iter().find(|(office, _)| *office == "node-1").unwrap().1;
    assert_eq!(done.settle(keys), Err(CeremonyError::Keys(KeyError::Taken("k-13.1".into()))));
    assert_eq!((keys.names().unwrap(), keys.share("frost-share")), (names, share));
    keys.destroy("k-13.1").unwrap();
    keys.destroy("new:frost-share").unwrap();
    done.settle(keys).unwrap();
    assert!(done.settle(keys).unwrap().is_empty() && pending(&world, "node-1").is_empty());
}

#[test]
fn what_was_confirmed_is_destroyed_by_no_other_order() {
    let world = founded(23);
    let order = world.order(Kind::Rotate, None);
    let lost =
        |from: &str, to: &str, delivery: &Delivery| message(delivery).round == 4 && (from, to) == ("node-3", "node-1");
    let (waiting, done) = world.drive(&order, |from, to, delivery| !lost(from, to, delivery)).unwrap();
    assert_eq!((waiting.len(), done.len()), (1, 2));
    let told = waiting["node-1"].silence(&BTreeMap::new()).to_string();
    assert!(told.contains("nothing heard from node-3. ") && told.contains("may count at others"), "{told}");
    assert!(told.contains("hufu keys finish"), "{told}");
    for (office, done) in &done {
        done.settle(world.keys(office)).unwrap();
    }
    let (_, ended) = &done[0];
    // The keys count at two nodes, and here they are the only copy of what the third has of them.
    let keys = world.keys("node-1");
    let before = pending(&world, "node-1");
    assert!(before.contains(&"new:k-12.1".to_owned()));
    assert_eq!(confirmed(keys).unwrap(), Some(order.order.ceremony()));
    for other in [world.order(Kind::Rotate, None), world.order(Kind::Repair, Some("node-2")), order] {
        let refused = world.begin("node-1", &other).unwrap_err().to_string();
        assert!(refused.contains("`hufu keys finish`") && refused.contains("--abandon"), "{refused}");
    }
    assert_eq!(pending(&world, "node-1"), before);
    transcript::verify(&ended.transcript, &world.known()).unwrap();
    ended.settle(keys).unwrap();
    assert_eq!(keys.hmac("k-12.1", b"m"), world.keys("node-2").hmac("k-12.1", b"m"));
    assert_eq!((confirmed(keys).unwrap(), pending(&world, "node-1").len()), (None, 0));
}

#[test]
fn what_was_confirmed_is_given_up_where_somebody_says_so() {
    let mut world = founded(24);
    let order = world.order(Kind::Rotate, None);
    let (waiting, done) = world.drive(&order, |_, _, delivery| message(delivery).round < 4).unwrap();
    assert_eq!((waiting.len(), done.len()), (3, 0));
    for node in ["node-1", "node-2", "node-3"] {
        let again = world.order(Kind::Rotate, None);
        assert!(matches!(world.begin(node, &again), Err(CeremonyError::Standing(_))));
        assert!(abandon(world.keys(node)).unwrap().contains(&"z.1".to_owned()));
    }
    let order = world.order(Kind::Rotate, None);
    let ran = world.run(&order, |_, _, _| {});
    world.settle(ran);
    // What was not confirmed gives way; but not to an order that does not begin here.
    let world = World::new(25);
    world.begin("front", &world.order(Kind::Found, None)).unwrap();
    let drawn = world.keys("front").public("new:front-tx").unwrap();
    world.keys("front").import("other", KeyUse::Hmac, &[1; 32]).unwrap();
    assert!(matches!(world.begin("front", &world.order(Kind::Found, None)), Err(CeremonyError::Standing(_))));
    assert_eq!(world.keys("front").public("new:front-tx").unwrap(), drawn);
    world.keys("front").destroy("other").unwrap();
    world.begin("front", &world.order(Kind::Found, None)).unwrap();
    assert_ne!(world.keys("front").public("new:front-tx").unwrap(), drawn);
}

#[test]
fn a_rotation_that_would_count_too_soon_is_not_confirmed() {
    // In which round the time has come, and how many seconds are left.
    for (round, left, refused) in [(2, RESTART - 1, true), (3, RESTART - 1, true), (3, -1, true), (2, RESTART, false)] {
        let mut world = founded(26);
        let order = world.order(Kind::Rotate, None);
        let effective = order.order.effective.unwrap();
        let passed = std::sync::Arc::clone(&world.passed);
        let ran = world.run(&order, |_, _, delivery| {
            if message(delivery).round >= round {
                passed.store(effective.0 - NOW.0 - left, Ordering::Relaxed);
            }
        });
        match ran {
            Err(CeremonyError::Standing(told)) if refused => assert!(told.contains("order it again"), "{told}"),
            ran => assert!(ran.is_ok() && !refused, "{round}, {left}"),
        }
        for node in ["node-1", "node-2", "node-3"] {
            assert_eq!(confirmed(world.keys(node)).unwrap().is_some(), !refused, "{node} in {round}, {left}");
        }
    }
}

#[test]
fn a_roster_brings_in_no_key_but_that_of_the_office_that_is_replaced() {
    // Beside a node's right identity, another key to seal to it: the node sees it.
    let mut world = World::new(27);
    world.reseal("node-1", false);
    let order = world.order(Kind::Found, None);
    let refused = world.begin("node-1", &order).unwrap_err().to_string();
    assert!(refused.contains("another key to seal to node-1"), "{refused}");
    world.begin("node-2", &order).unwrap();
    // With that node's own doing, in an order that replaces another: the trust root has the old one.
    let mut world = founded(28);
    let before = world.roster.clone();
    world.lose("node-2", true);
    let honest = world.clone();
    world.reseal("node-3", true);
    let order = world.order(Kind::Replace, Some("node-2"));
    let refused = world.run(&order, |_, _, _| {}).unwrap_err().to_string();
    assert!(refused.contains("another key for node-3 than the trust root"), "{refused}");
    assert!(!world.keys("front").names().unwrap().contains(&"new:confirmed".to_owned()));
    // Offices whose identity is in no trust root are compared with the roster of before.
    let mut world = honest;
    world.before = Some(before);
    world.begin("front", &world.order(Kind::Replace, Some("node-2"))).unwrap();
    world.lose("tagger-1", true);
    let refused = world.begin("front", &world.order(Kind::Replace, Some("node-2"))).unwrap_err().to_string();
    assert!(refused.contains("other keys for tagger-1 than before, and the order replaces node-2"), "{refused}");
}

#[test]
fn keys_are_handed_over_under_the_wrapping_key_that_the_roster_pins_and_no_other() {
    let mut world = founded(29);
    world.lose("node-2", true);
    let (own, thief) =
        (world.keys("node-2").wrapping_key().unwrap(), SoftwareKeeper::in_memory(Arc::new(SeededRng::new(1))));
    let thief = thief.wrapping_key().unwrap();
    // Another one in the roster: the office itself sees it.
    world.pin_wrapping("node-2", &thief.0);
    let refused = world.begin("node-2", &world.order(Kind::Replace, Some("node-2"))).unwrap_err().to_string();
    assert!(refused.contains("another wrapping key for node-2"), "{refused}");
    // Another one in what the office says, signed with its own key: nobody hands anything over under it.
    world.pin_wrapping("node-2", &own.0);
    let order = world.order(Kind::Replace, Some("node-2"));
    let known = world.clone();
    let refused = world.run(&order, |from, _, delivery| {
        if from == "node-2" && message(delivery).round == 1 {
            lie(&known, delivery, |message| {
                if let Said::Open(open) = &mut message.said {
                    open.wrapping = Some(thief.clone());
                }
            });
        }
    });
    let refused = refused.unwrap_err();
    assert!(matches!(&refused, CeremonyError::Misbehaved { office, round: 1, .. } if office == "node-2"), "{refused}");
    assert!(refused.to_string().contains("than the roster pins"), "{refused}");
    // The control: the pinned one is taken.
    let order = world.order(Kind::Replace, Some("node-2"));
    let ran = world.run(&order, |_, _, _| {});
    world.settle(ran);
    assert_eq!(world.keys("node-2").hmac("k-12", b"m"), world.keys("node-1").hmac("k-12", b"m"));
}
