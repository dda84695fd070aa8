//! Nodes go up and down while people change their rows, in an order that is drawn: in the end all three are equal, and nothing that two nodes
//! acknowledged is lost.

use super::outages::pair;
use super::world::{TestWallet, World};
use super::{ONE, THREE, TWO};
use hufu_kernel::{Head, NodeIndex};
use hufu_wire::webauthn::credential_hash;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    Lock(usize),
    Unlock(usize),
    EndSessions(usize),
    Number(usize),
    Away(usize),
    Back,
    /// The call between offices this far ahead is lost, or its answer is.
    Lose(usize, bool),
    Restart(usize),
    Turn,
    Compare(usize),
    SignIn(usize, usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..2usize).prop_map(Event::Lock),
        3 => (0..2usize).prop_map(Event::Unlock),
        2 => (0..2usize).prop_map(Event::EndSessions),
        2 => (0..2usize).prop_map(Event::Number),
        3 => (0..3usize).prop_map(Event::Away),
        2 => Just(Event::Back),
        3 => (1..4usize, any::<bool>()).prop_map(|(ahead, after)| Event::Lose(ahead, after)),
        2 => (0..3usize).prop_map(Event::Restart),
        2 => Just(Event::Turn),
        1 => (0..3usize).prop_map(Event::Compare),
        1 => (0..2usize, 0..3usize).prop_map(|(who, which)| Event::SignIn(who, which)),
    ]
}

/// What two nodes told each wallet: version and head.
type Acknowledged = Arc<Mutex<Vec<BTreeMap<u64, BTreeMap<Head, usize>>>>>;

fn watch(wallet: &TestWallet, who: usize, told: &Acknowledged) {
    let told = Arc::clone(told);
    wallet.transport().set_tamper(move |_, path, answer| {
        if path == "/v1/statements"
            && let Some(version) = answer.get("version").and_then(serde_json::Value::as_u64)
        {
            let head: Head = serde_json::from_value(answer["head"].clone()).unwrap();
            *told.lock().unwrap()[who].entry(version).or_default().entry(head).or_default() += 1;
        }
    });
}

async fn happen(world: &World, wallets: &mut [TestWallet], event: &Event) {
    match *event {
        Event::Lock(who) => drop(wallets[who].lock().await),
        Event::Unlock(who) => drop(wallets[who].unlock().await),
        Event::EndSessions(who) => drop(wallets[who].end_sessions().await),
        Event::Number(who) => drop(wallets[who].replace_number().await),
        Event::Away(node) => world.away([NodeIndex::ALL[node]]),
        Event::Back => world.all_back(),
        Event::Lose(ahead, after) => {
            let now = *world.faults.calls.lock().unwrap();
            let when = if after { super::world::When::After } else { super::world::When::Before };
            *world.faults.break_at.lock().unwrap() = Some((now + ahead, when));
        }
        Event::Restart(node) => world.restart_node(NodeIndex::ALL[node]),
        Event::Turn => {
            for node in world.up() {
                let _ = world.nodes.at(node).upkeep().await;
            }
        }
        Event::Compare(node) => drop(world.nodes.at(NodeIndex::ALL[node]).compare().await),
        Event::SignIn(who, which) => {
            drop(world.sign_in(&mut wallets[who], "https://shop.example", hufu_kernel::Pair::ALL[which]).await);
        }
    }
}

async fn run(seed: u64, events: &[Event]) {
    let world = World::new(seed);
    let (mut wallets, mut credentials) = (Vec::new(), Vec::new());
    for person in 1..=2 {
        let (mut wallet, device) = world.wallet_and_device();
        world.enrol(&mut wallet, &world.person(person)).await.unwrap();
        wallets.push(wallet);
        credentials.push(credential_hash(&hufu_wallet::Device::credential_id(&device).0));
    }
    let told: Acknowledged = Arc::new(Mutex::new(vec![BTreeMap::new(); 2]));
    for (who, wallet) in wallets.iter().enumerate() {
        watch(wallet, who, &told);
    }
    let mut heads: [BTreeMap<u64, Head>; 2] = Default::default();
    for event in events {
        happen(&world, &mut wallets, event).await;
        for (who, heads) in heads.iter_mut().enumerate() {
            for node in NodeIndex::ALL {
                let row = world.row_of(node, &credentials[who]).await.record;
                let seen = *heads.entry(row.holder.version).or_insert(row.holder.head);
                assert_eq!(seen, row.holder.head, "after {event:?} node {node} has another history of person {who}");
            }
        }
    }
    world.all_back();
    *world.faults.break_at.lock().unwrap() = None;
    for _ in 0..3 {
        world.turns().await;
    }
    world.compare_all().await;
    for (who, wallet) in wallets.iter_mut().enumerate() {
        let rows = [ONE, TWO, THREE].map(|node| world.row_of(node, &credentials[who]));
        let [one, two, three] = rows;
        let (one, two, three) = (one.await.record, two.await.record, three.await.record);
        assert!(one.holder == two.holder && two.holder == three.holder, "person {who}");
        assert!(one.commitments == two.commitments && two.commitments == three.commitments, "person {who}");
        for (version, acknowledged) in &told.lock().unwrap()[who] {
            assert!(acknowledged.len() < 2, "version {version} was acknowledged as two things");
            let (head, count) = acknowledged.iter().next().unwrap();
            if *count >= 2 {
                assert!(one.holder.version >= *version, "version {version} of person {who} was acknowledged and lost");
                assert_eq!(heads[who].get(version).unwrap_or(head), head);
            }
        }
        let usable = one.holder.status.name() == "active";
        wallet.refresh().await.unwrap();
        for pair in [pair(ONE, TWO), pair(ONE, THREE), pair(TWO, THREE)] {
            let signed = world.sign_in(wallet, "https://shop.example", pair).await;
            assert_eq!(signed.is_ok(), usable, "person {who}: {:?}", signed.err());
        }
    }
}

/// A few in every run; `PROPTEST_CASES` for a night.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_three_nodes_become_equal_and_nothing_acknowledged_is_lost(
        seed in 1000u64..2000,
        events in prop::collection::vec(event(), 1..40),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run(seed, &events));
    }
}
