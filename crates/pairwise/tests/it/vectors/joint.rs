//! flows 2: keys that several make together, and the mending of a lost share, each with what everybody could see of it.

use super::{filled, frozen, h, hmac};
use crate::support::rng;
use hufu_kernel::{Bytes, NodeIndex, Octets, Secret};
use hufu_pairwise::{
    CoinFlip, CoinName, Generated, GroupShares, SharedKey, SharesFor, TagShares, generation, help, key_check_message,
    repaired,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

fn by_party<T>(values: &BTreeMap<NodeIndex, T>, text: impl Fn(&T) -> Value) -> Value {
    values.iter().map(|(party, value)| (party.to_string(), text(value))).collect::<Map<_, _>>().into()
}

fn without<T: Clone>(values: &BTreeMap<NodeIndex, T>, own: NodeIndex) -> BTreeMap<NodeIndex, T> {
    values.iter().filter(|(party, _)| **party != own).map(|(party, value)| (*party, value.clone())).collect()
}

// -- coins

fn flip(key: &str, parties: &[NodeIndex], seed: u64) -> Value {
    let name = CoinName { ceremony: Octets(filled("ceremony")), key: key.to_owned() };
    let (mut flips, mut commitments) = (BTreeMap::new(), BTreeMap::new());
    for party in parties {
        let source = rng(seed + u64::from(party.get()));
        let (flip, commitment) =
            CoinFlip::start(name.clone(), *party, parties.iter().copied(), &source).expect("a party");
        flips.insert(*party, flip);
        commitments.insert(*party, commitment);
    }
    let (mut waiting, mut drawn) = (BTreeMap::new(), BTreeMap::new());
    for (party, flip) in flips {
        let (revealed, r) = flip.reveal(without(&commitments, party)).expect("all committed");
        waiting.insert(party, revealed);
        drawn.insert(party, r);
    }
    let keys = waiting.into_iter().map(|(party, revealed)| revealed.finish(without(&drawn, party)).expect("honest"));
    let keys: Vec<[u8; 32]> = keys.map(|key| *key.expose()).collect();
    assert!(keys.windows(2).all(|two| two[0] == two[1]));
    let check = key_check_message(&name);
    json!({
        "ceremony": h(name.ceremony.as_slice()),
        "key": key,
        "parties": parties,
        "commitments": by_party(&commitments, |commitment| h(commitment.as_slice())),
        "reveals": by_party(&drawn, |r| h(r.expose())),
        "secret": h(keys[0]),
        "check_message": h(&check),
        "check": h(hmac(&keys[0], &check)),
    })
}

#[test]
fn coin_vectors_are_frozen() {
    let [one, two, three] = NodeIndex::ALL;
    let flips = [flip("k-12", &[one, two], 10), flip("k-23.1", &[two, three], 20), flip("z.1", &NodeIndex::ALL, 30)];
    frozen("coin", &json!({ "flips": flips }));
}

// -- distributed generation

struct Ceremony<K: SharedKey> {
    packages: BTreeMap<NodeIndex, Bytes>,
    shares: BTreeMap<NodeIndex, SharesFor>,
    made: Vec<Generated<K>>,
}

fn ceremony<K: SharedKey>(seed: u64) -> Ceremony<K> {
    let (mut opened, mut packages) = (BTreeMap::new(), BTreeMap::new());
    for party in NodeIndex::ALL {
        let (state, package) = generation::<K>(party, &rng(seed + u64::from(party.get()))).expect("a package");
        opened.insert(party, state);
        packages.insert(party, package);
    }
    let (mut waiting, mut shares) = (BTreeMap::new(), BTreeMap::new());
    for (party, state) in opened {
        let (state, given) = state.share(&without(&packages, party)).expect("honest");
        waiting.insert(party, state);
        shares.insert(party, given);
    }
    let got = |own: NodeIndex| {
        let given = shares.iter().filter(move |(from, _)| **from != own);
        given.map(|(from, given)| (*from, given[&own].clone())).collect::<SharesFor>()
    };
    let made = waiting.into_iter().map(|(party, state)| state.finish(&got(party)).expect("honest")).collect();
    Ceremony { packages, shares, made }
}

fn transcript<K: SharedKey>(ceremony: &Ceremony<K>, shares: &[Secret<32>; 3]) -> Value {
    let public = ceremony.made[0].public();
    assert!(ceremony.made.iter().all(|made| made.public() == public));
    json!({
        "group": K::NAME,
        "packages": by_party(&ceremony.packages, |package| h(&package.0)),
        "given": by_party(&ceremony.shares, |given| by_party(given, |share| h(share.as_slice()))),
        "key": h(public.verifying_key.as_slice()),
        "verifying_shares": public.verifying_shares.map(|share| h(share.as_slice())),
        "shares": shares.each_ref().map(|share| h(share.expose())),
    })
}

fn group(seed: u64) -> (Ceremony<GroupShares>, [Secret<32>; 3]) {
    let ceremony = ceremony::<GroupShares>(seed);
    let share = |at: usize| Secret::new(ceremony.made[at].key_share()[1..33].try_into().expect("32 bytes"));
    let shares = [share(0), share(1), share(2)];
    (ceremony, shares)
}

fn tag(seed: u64) -> (Ceremony<TagShares>, [Secret<32>; 3]) {
    let ceremony = ceremony::<TagShares>(seed);
    let shares = [0, 1, 2].map(|at: usize| ceremony.made[at].tag_share());
    (ceremony, shares)
}

#[test]
fn generation_vectors_are_frozen() {
    let ((group, group_shares), (tag, tag_shares)) = (group(40), tag(50));
    let generations = [transcript(&group, &group_shares), transcript(&tag, &tag_shares)];
    frozen("dkg", &json!({ "generations": generations }));
}

// -- repair

fn repair<K: SharedKey>(ceremony: &Ceremony<K>, shares: &[Secret<32>; 3], lost: NodeIndex) -> Value {
    let public = ceremony.made[0].public().verifying_shares;
    let helpers: Vec<NodeIndex> = NodeIndex::ALL.into_iter().filter(|party| *party != lost).collect();
    let (mut begun, mut given, mut commitments) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for helper in &helpers {
        let source = rng(60 + u64::from(helper.get()));
        let (state, helping) = help::<K>(*helper, &shares[helper.slot()], lost, &source).expect("a share");
        begun.insert(*helper, state);
        given.insert(*helper, helping.given);
        commitments.insert(*helper, helping.commitments);
    }
    let mut sums = BTreeMap::new();
    for (helper, state) in begun {
        let other = helpers.iter().find(|other| **other != helper).expect("two helpers");
        sums.insert(helper, state.sum(&given[other], &commitments[other], &public).expect("honest"));
    }
    let mended = repaired::<K>(lost, &sums, &commitments, &public).expect("honest");
    assert_eq!(mended, shares[lost.slot()]);
    json!({
        "group": K::NAME,
        "lost": lost,
        "verifying_shares": public.map(|share| h(share.as_slice())),
        "commitments": by_party(&commitments, |of| json!({ "kept": h(of.kept.as_slice()), "given": h(of.given.as_slice()) })),
        "given": by_party(&given, |part| h(part.expose())),
        "sums": by_party(&sums, |sum| h(sum.expose())),
        "share": h(mended.expose()),
    })
}

#[test]
fn repair_vectors_are_frozen() {
    let ((group, group_shares), (tag, tag_shares)) = (group(40), tag(50));
    let mut repairs = NodeIndex::ALL.map(|lost| repair(&group, &group_shares, lost)).to_vec();
    repairs.extend(NodeIndex::ALL.map(|lost| repair(&tag, &tag_shares, lost)));
    frozen("repair", &json!({ "repairs": repairs }));
}
