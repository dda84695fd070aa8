//! New K_A: no pseudonym changes, neither `sub` nor `ep`, whoever was away, enrolling, changing or lying meanwhile; and what is retired is
//! not needed.

use super::outages::pair;
use super::world::{TestWallet, World};
use super::{ONE, THREE, TWO};
use hufu_kernel::{Clock as _, KeyKeeper, KeyUse, ManualClock, NodeIndex, Pair, Subset, random};
use hufu_offices::key_names;
use hufu_offices::node::Row;
use hufu_wallet::{Address, Wallet, WalletError};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const SHOP: &str = "https://shop.example";
const SECTORS: [&str; 3] = [SHOP, "https://bank.example", "https://library.example"];

/// What a platform sees.
type Names = (String, String);

/// A key by its name.
pub(super) type Key = (String, KeyUse, Vec<u8>);

impl World {
    /// What a rotation leaves at every node: K_A and Z of a generation that counts in `seconds`.
    pub(super) fn rotate(&self, generation: u32, seconds: i64) {
        for (node, keys) in NodeIndex::ALL.into_iter().zip(self.new_keys(generation, seconds)) {
            self.import(node, &keys);
        }
    }

    /// The same before any node has it.
    pub(super) fn new_keys(&self, generation: u32, seconds: i64) -> [Vec<Key>; 3] {
        let since = self.clock.now() + seconds;
        let zero: [u8; 32] = random(self.rng.as_ref());
        let keys = Subset::ALL.map(|subset| (subset, random::<32>(self.rng.as_ref())));
        NodeIndex::ALL.map(|node| {
            let held = keys.iter().filter(|(subset, _)| subset.held_by(node));
            let held = held.map(|(subset, key)| (key_names::sub_key(*subset, generation), KeyUse::Hmac, key.to_vec()));
            let zero = (key_names::zero(generation), KeyUse::Hmac, zero.to_vec());
            let since = (key_names::since(generation), KeyUse::Share, since.to_be_bytes().to_vec());
            held.chain([zero, since]).collect()
        })
    }

    pub(super) fn import(&self, node: NodeIndex, keys: &[Key]) {
        for (name, usage, bytes) in keys {
            self.node_keys[node.slot()].import(name, *usage, bytes).unwrap();
        }
    }

    /// What `hufu keys retire` does at one node: K_A of the generation before this one, and Z between them.
    pub(super) fn retire(&self, node: NodeIndex, generation: u32) {
        let keeper = &self.node_keys[node.slot()];
        for subset in Subset::of(node) {
            keeper.destroy(&key_names::sub_key(subset, generation - 1)).unwrap();
        }
        keeper.destroy(&key_names::zero(generation)).unwrap();
    }

    pub(super) async fn retire_all(&self, generation: u32) {
        for node in NodeIndex::ALL {
            assert!(self.nodes.at(node).has_moved().is_over(generation), "node {node}");
        }
        for node in NodeIndex::ALL {
            self.retire(node, generation);
        }
        self.turns().await;
    }

    /// Rows move, since the time has come and a minute has passed.
    pub(super) async fn moved(&self) {
        self.turns().await;
        self.clock.advance(120);
        self.turns().await;
    }

    pub(super) async fn names(&self, wallet: &mut TestWallet, pair: Pair) -> Vec<Names> {
        let mut names = Vec::new();
        for sector in SECTORS {
            let payload = self.sign_in(wallet, sector, pair).await.unwrap().payload;
            names.push((payload.sub, payload.hufu.ep));
        }
        names
    }

    /// What platforms see, which must be the same from every pair.
    pub(super) async fn names_of(&self, wallet: &mut TestWallet) -> Vec<Names> {
        let first = self.names(wallet, Pair::ALL[0]).await;
        for other in &Pair::ALL[1..] {
            assert_eq!(self.names(wallet, *other).await, first);
        }
        first
    }

    async fn generation_of(&self, node: NodeIndex) -> u32 {
        self.only_row(node).await.generation
    }
}

/// A network that counts how often the person is asked for a signature: what a sign-in asks for at its begin, twice.
fn begun(wallet: &TestWallet) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    wallet.transport().on_request(move |path, _| {
        if path == "/v1/sign-in/begin" || path == "/v1/holder" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    count
}

#[tokio::test]
async fn nobodys_names_change_before_during_and_after_two_rotations_and_old_keys_are_not_needed() {
    let world = World::new(201);
    let mut wallet = world.enrolled(1).await;
    let names = world.names_of(&mut wallet).await;
    let subs: BTreeSet<_> = names.iter().map(|(sub, _)| sub).collect();
    assert_eq!(subs.len(), SECTORS.len(), "the control: every platform sees another name");
    for generation in 1..=2 {
        let before: Vec<Row> = rows_of(&world).await;
        world.rotate(generation, 30);
        world.turns().await;
        assert_eq!(world.names_of(&mut wallet).await, names);
        assert_eq!(wallet.state.commitments.generation, generation - 1, "the time has not come");
        world.clock.advance(31);
        // No row has moved yet: what a sign-in needs is computed.
        assert_eq!(world.names_of(&mut wallet).await, names);
        assert_eq!(wallet.state.commitments.generation, generation);
        assert_eq!(world.generation_of(ONE).await, generation - 1);
        world.moved().await;
        assert_eq!(world.names_of(&mut wallet).await, names);
        for (node, before) in NodeIndex::ALL.into_iter().zip(before) {
            let after = world.only_row(node).await;
            assert_eq!(after.generation, generation);
            assert_eq!(after.holder, before.holder);
            assert!(after.commitments.pseudonym.iter().zip(&before.commitments.pseudonym).all(|(a, b)| a != b));
            assert!(after.commitments.epoch.iter().zip(&before.commitments.epoch).all(|(a, b)| a != b));
            assert_eq!(after.commitments.password, before.commitments.password);
        }
        world.one_row().await;
        world.retire_all(generation).await;
        assert_eq!(world.names_of(&mut wallet).await, names);
        for node in NodeIndex::ALL {
            world.restart_node(node);
        }
        assert_eq!(world.names_of(&mut wallet).await, names);
    }
}

async fn rows_of(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    for node in NodeIndex::ALL {
        rows.push(world.only_row(node).await);
    }
    rows
}

#[tokio::test]
async fn a_rotation_asks_the_person_for_nothing_and_costs_two_reads_once() {
    let world = World::new(202);
    let mut wallet = world.enrolled(1).await;
    let count = begun(&wallet);
    world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap();
    let usual = count.swap(0, Ordering::Relaxed);
    world.rotate(1, 0);
    world.turns().await;
    world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), usual);
    let heard = world.faults.heard.lock().unwrap().len();
    world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap();
    assert_eq!(world.faults.heard.lock().unwrap().len(), heard, "the nodes ask each other nothing");
}

/// The wallet proposes `iat`; the nodes go by it and by nothing else, so that their own clocks and rows may be apart.
#[tokio::test]
async fn a_minute_between_clocks_refuses_no_sign_in_at_the_switch() {
    let world = World::new(203);
    let (mut wallet, twin) = world.wallet_and_device();
    world.enrol(&mut wallet, &world.person(1)).await.unwrap();
    let names = world.names_of(&mut wallet).await;
    world.rotate(1, 40);
    world.turns().await;
    for _ in 0..16 {
        world.clock.advance(5);
        assert_eq!(world.names(&mut wallet, pair(TWO, THREE)).await, names);
        // One node moves its rows as soon as it may, the others do not.
        world.nodes.at(TWO).upkeep().await.unwrap();
    }
    assert_eq!((world.generation_of(TWO).await, world.generation_of(THREE).await), (1, 0), "the control");
    assert_eq!(world.names_of(&mut wallet).await, names);
    world.moved().await;
    // A device whose clock is a minute behind still asks for the generation before.
    world.rotate(2, 20);
    world.turns().await;
    world.clock.advance(21);
    world.nodes.at(TWO).upkeep().await.unwrap();
    assert_eq!((world.generation_of(TWO).await, world.generation_of(THREE).await), (2, 1), "the control");
    let (state, late) = (wallet.state.clone(), Arc::new(ManualClock::new(world.clock.now() - 50)));
    let (trust, rng) = (Arc::clone(&world.trust), Arc::clone(&world.rng));
    let mut late = Wallet::new(trust, world.network(), twin, state, late, rng).unwrap();
    for any in Pair::ALL {
        let sectors = SECTORS.iter().zip(&names);
        for (sector, names) in sectors {
            let payload = world.sign_in(&mut late, sector, any).await.unwrap().payload;
            assert_eq!((payload.sub, payload.hufu.ep), *names);
        }
    }
    assert_eq!(late.state.commitments.generation, 1);
    assert_eq!(world.names_of(&mut wallet).await, names);
}

#[tokio::test]
async fn a_person_who_enrols_during_the_switch_has_one_name_too() {
    let world = World::new(204);
    for (person, wait) in [(1_u16, 70), (2, 20)] {
        let details = world.person(person);
        let mut wallet = world.wallet();
        world.rotate(u32::from(person), wait);
        world.turns().await;
        world.prove(&mut wallet, &details, "19990000001").await.unwrap();
        world.clock.advance(25);
        // Node 3 hears of it when the registrar asks again.
        world.away([THREE]);
        let view = wallet.register_device().await.unwrap().view;
        world.clock.advance(25);
        let ready = wallet.secure(&view, super::world::PASSWORD, &details, pair(ONE, TWO)).await.unwrap();
        world.clock.advance(25);
        world.turns().await;
        wallet.confirm(ready).await.unwrap();
        world.all_back();
        world.sweep().await;
        // It never heard the password, so that it needs the row from its peers.
        world.compare(THREE).await;
        let names = world.names_of(&mut wallet).await;
        world.moved().await;
        world.sweep().await;
        assert_eq!(world.names_of(&mut wallet).await, names);
        world.clock.advance(4000);
    }
}

#[tokio::test]
async fn an_epoch_that_is_drawn_before_at_or_after_the_switch_is_the_same_everywhere() {
    let world = World::new(205);
    let mut wallet = world.enrolled(1).await;
    let mut ends = BTreeSet::from([world.names_of(&mut wallet).await[0].1.clone()]);
    let sub = world.names_of(&mut wallet).await[0].0.clone();
    world.rotate(1, 30);
    world.turns().await;
    for (step, seconds) in [20, 15, 0, 200].into_iter().enumerate() {
        world.clock.advance(seconds);
        // One node is a row ahead of the others, another one missed the change.
        world.nodes.at(TWO).upkeep().await.unwrap();
        world.away([THREE].into_iter().filter(|_| step % 2 == 1));
        wallet.end_sessions().await.unwrap();
        world.all_back();
        world.compare(THREE).await;
        let names = world.names_of(&mut wallet).await;
        assert_eq!(names[0].0, sub);
        assert!(ends.insert(names[0].1.clone()), "an epoch of its own");
        world.turns().await;
        assert_eq!(world.names_of(&mut wallet).await, names);
    }
    world.moved().await;
    world.one_row().await;
    let names = world.names_of(&mut wallet).await;
    world.retire_all(1).await;
    assert_eq!(world.names_of(&mut wallet).await, names);
}

#[tokio::test]
async fn a_node_that_was_down_during_the_switch_serves_at_once_and_keeps_old_keys_from_being_destroyed() {
    let world = World::new(206);
    let mut wallet = world.enrolled(1).await;
    let names = world.names_of(&mut wallet).await;
    world.rotate(1, 10);
    world.away([THREE]);
    world.clock.advance(500);
    world.turns().await;
    wallet.end_sessions().await.unwrap();
    let with_new_epoch = world.names(&mut wallet, pair(ONE, TWO)).await;
    assert_eq!(with_new_epoch[0].0, names[0].0);
    assert!(!world.nodes.at(THREE).has_moved().is_over(1));
    world.all_back();
    world.restart_node(THREE);
    assert!(!world.nodes.at(THREE).has_moved().is_over(1));
    world.compare(THREE).await;
    assert_eq!(world.generation_of(THREE).await, 0, "the control: no row of it has moved");
    assert_eq!(world.names_of(&mut wallet).await, with_new_epoch);
    world.moved().await;
    assert!(world.nodes.at(THREE).has_moved().is_over(1));
    world.one_row().await;
}

#[tokio::test]
async fn a_lost_disk_or_an_old_backup_is_made_good_from_the_peers_after_the_old_keys_are_gone() {
    for lost in [true, false] {
        let world = World::new(207);
        let mut wallet = world.enrolled(1).await;
        wallet.end_sessions().await.unwrap();
        let names = world.names_of(&mut wallet).await;
        let backup = world.backup(THREE);
        world.rotate(1, 0);
        world.moved().await;
        world.retire_all(1).await;
        match lost {
            true => world.restore(THREE, 0).await,
            false => world.restore_unmarked(THREE, backup).await,
        }
        if !lost {
            assert_eq!(world.generation_of(THREE).await, 0, "the control: nobody has the keys of that row");
            assert!(world.sign_in(&mut wallet, SHOP, pair(ONE, THREE)).await.is_err());
        }
        let done = world.compare(THREE).await;
        assert_eq!((done.adopted, done.open), (1, 0));
        world.one_row().await;
        assert_eq!(world.names_of(&mut wallet).await, names);
    }
}

#[tokio::test]
async fn a_node_that_missed_a_change_of_epoch_from_before_the_destroyed_keys_takes_the_whole_row() {
    let world = World::new(208);
    let mut wallet = world.enrolled(1).await;
    world.away([THREE]);
    wallet.end_sessions().await.unwrap();
    let names = world.names(&mut wallet, pair(ONE, TWO)).await;
    world.all_back();
    // It hears by which keys the others go, and of no change.
    let unheard = |from, to, method: &str| (from == THREE || to == THREE) && method != "moved";
    *world.faults.lost.lock().unwrap() = Some(Box::new(unheard));
    world.rotate(1, 60);
    world.clock.advance(60);
    world.moved().await;
    assert_eq!((world.generation_of(THREE).await, world.only_row(THREE).await.holder.version), (1, 1), "the control");
    world.retire_all(1).await;
    *world.faults.lost.lock().unwrap() = None;
    assert_eq!(world.compare(THREE).await.fetched, 1);
    assert_eq!(world.names_of(&mut wallet).await, names);
    world.one_row().await;
}

#[tokio::test]
async fn nothing_may_be_destroyed_before_all_rows_have_moved() {
    let world = World::new(209);
    let _wallet = world.enrolled(1).await;
    let over = |node| world.nodes.at(node).has_moved();
    assert!(over(ONE).is_over(0));
    world.rotate(1, 30);
    world.turns().await;
    assert!(!over(ONE).is_over(1), "the time has not come");
    world.clock.advance(31);
    assert!(!over(ONE).is_over(1), "nobody has looked");
    world.turns().await;
    assert!(!over(ONE).is_over(1), "a sign-in of a minute ago may come");
    world.clock.advance(60);
    world.turns().await;
    assert!(over(ONE).is_over(1) && !over(ONE).is_over(2));
    // An enrolment that began before the switch is behind, and is waited for.
    let world = World::new(210);
    let mut wallet = world.wallet();
    let details = world.person(1);
    world.prove(&mut wallet, &details, "19990000001").await.unwrap();
    world.rotate(1, 60);
    world.clock.advance(120);
    let view = wallet.register_device().await.unwrap().view;
    world.moved().await;
    assert_eq!(world.nodes.at(ONE).has_moved().behind, Some(1));
    let ready = wallet.secure(&view, super::world::PASSWORD, &details, pair(ONE, TWO)).await.unwrap();
    wallet.confirm(ready).await.unwrap();
    world.moved().await;
    assert!(world.nodes.at(ONE).has_moved().is_over(1));
}

/// The control to all of the above: what is destroyed too early is needed.
#[tokio::test]
async fn a_node_without_the_new_keys_or_without_the_old_ones_signs_nothing_wrong() {
    let world = World::new(211);
    let mut wallet = world.enrolled(1).await;
    let names = world.names_of(&mut wallet).await;
    world.rotate(1, 0);
    world.away([THREE]);
    world.turns().await;
    world.all_back();
    world.retire(THREE, 1);
    world.nodes.at(THREE).upkeep().await.unwrap();
    assert_eq!(world.generation_of(THREE).await, 0, "the control: it had not moved a row yet");
    assert_eq!(world.names(&mut wallet, pair(ONE, TWO)).await, names);
    for stale in [pair(ONE, THREE), pair(TWO, THREE)] {
        assert!(world.sign_in(&mut wallet, SHOP, stale).await.is_err());
    }
    assert_eq!(world.compare(THREE).await.adopted, 1);
    assert_eq!(world.names_of(&mut wallet).await, names, "the peers made it good");

    let world = World::new(212);
    let mut wallet = world.enrolled(1).await;
    let names = world.names_of(&mut wallet).await;
    world.rotate(1, 0);
    let keeper = &world.node_keys[THREE.slot()];
    for key in [key_names::zero(1), key_names::sub_key(Subset::S13, 1)] {
        keeper.destroy(&key).unwrap();
    }
    world.turns().await;
    assert_eq!(world.names(&mut wallet, pair(ONE, TWO)).await, names);
    for stale in [pair(ONE, THREE), pair(TWO, THREE)] {
        assert!(world.sign_in(&mut wallet, SHOP, stale).await.is_err());
    }
    assert_eq!(world.names(&mut wallet, pair(ONE, TWO)).await, names, "and the wallet finds back");
}

// -- wallets that are lied to

/// Changes C_12 in the row that a node shows.
fn lie(answer: &mut serde_json::Value) {
    let row = &mut answer["commitments"];
    let (one, other) = (row["12"]["pseudonym"].clone(), row["13"]["pseudonym"].clone());
    assert!(one.is_string() && one != other);
    row["12"]["pseudonym"] = other;
}

#[tokio::test]
async fn one_node_that_lies_about_a_commitment_moves_no_wallet() {
    let world = World::new(213);
    let mut wallet = world.enrolled(1).await;
    let names = world.names_of(&mut wallet).await;
    let pinned = wallet.state.commitments.clone();
    world.rotate(1, 0);
    world.turns().await;
    wallet.transport().set_tamper(|to, path, answer| {
        if to == Address::Node(TWO) && path == "/v1/row" {
            lie(answer);
        }
    });
    // Of the pair's two nodes one lies, and the third is not asked by name: nothing is built on it.
    world.away([THREE]);
    let refused = world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap_err();
    assert_eq!(refused, WalletError::Untrusted("two nodes report different keys"));
    assert_eq!(wallet.state.commitments, pinned);
    // Two that say the same are enough.
    world.all_back();
    assert_eq!(world.names(&mut wallet, pair(ONE, THREE)).await, names);
    assert_eq!(world.names(&mut wallet, pair(ONE, TWO)).await, names);
}

#[tokio::test]
async fn two_nodes_that_lie_alike_give_another_sum_and_are_refused() {
    let world = World::new(214);
    let mut wallet = world.enrolled(1).await;
    world.names_of(&mut wallet).await;
    let pinned = wallet.state.commitments.clone();
    world.rotate(1, 0);
    world.turns().await;
    wallet.transport().set_tamper(|_, path, answer| {
        if path == "/v1/row" {
            lie(answer);
        }
    });
    let refused = world.sign_in(&mut wallet, SHOP, pair(ONE, TWO)).await.unwrap_err();
    assert_eq!(refused, WalletError::Untrusted("the nodes' keys for this person have another sum than before"));
    assert_eq!(wallet.refresh().await.unwrap_err(), refused);
    assert_eq!(wallet.state.commitments, pinned);
}

#[tokio::test]
async fn a_node_that_invents_a_generation_gains_nothing() {
    let world = World::new(215);
    let mut wallet = world.enrolled(1).await;
    let names = world.names_of(&mut wallet).await;
    let asked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&asked);
    wallet.transport().set_tamper(move |to, path, answer| match (to, path) {
        (Address::Node(TWO), "/v1/sign-in/begin") => answer["generation"] = 7.into(),
        (_, "/v1/row") => *counted.lock().unwrap() += 1,
        _ => {}
    });
    assert_eq!(world.names(&mut wallet, pair(ONE, TWO)).await, names, "its parts are the ones of before");
    assert_eq!(*asked.lock().unwrap(), 0);
}
