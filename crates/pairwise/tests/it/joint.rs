//! Keys that parties make together: everybody arrives at the same, and whoever lies is named.
#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::{node, rng};
use hufu_kernel::{Bytes, NodeIndex, Octets, Rng, Secret, random};
use hufu_pairwise::{
    CoinFlip, CoinName, Generated, GenerationShared, GroupShares, HelpCommitments, JointError, JointFault, SharedKey,
    SharesFor, Signer, TagShares, combine_shamir, consistent, finalize, generation, help, oprf_blind, oprf_commitment,
    oprf_evaluate, oprf_verify, repaired,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

// -- coins

fn name(key: &str) -> CoinName {
    CoinName { ceremony: Octets([9; 32]), key: key.to_owned() }
}

/// Flips among `parties`; `tamper` may change what `(from, to)` is told.
fn flip(
    names: impl Fn(NodeIndex) -> CoinName,
    parties: &[NodeIndex],
    seed: u64,
    tamper: impl Fn(NodeIndex, NodeIndex, &mut [u8; 32]),
) -> BTreeMap<NodeIndex, Result<Secret<32>, JointError>> {
    let mut flips = BTreeMap::new();
    let mut commitments = BTreeMap::new();
    for party in parties {
        let rng = rng(seed + u64::from(party.get()));
        let (flip, commitment) = CoinFlip::start(names(*party), *party, parties.iter().copied(), &rng).unwrap();
        flips.insert(*party, flip);
        commitments.insert(*party, commitment);
    }
    let (mut waiting, mut drawn) = (BTreeMap::new(), BTreeMap::new());
    for (party, flip) in flips {
        let others = commitments.iter().filter(|(other, _)| **other != party).map(|(other, c)| (*other, *c)).collect();
        let (revealed, r) = flip.reveal(others).unwrap();
        waiting.insert(party, revealed);
        drawn.insert(party, *r.expose());
    }
    waiting
        .into_iter()
        .map(|(party, revealed)| {
            let told = drawn.iter().filter(|(other, _)| **other != party).map(|(other, r)| {
                let mut r = *r;
                tamper(*other, party, &mut r);
                (*other, Secret::new(r))
            });
            (party, revealed.finish(told.collect()))
        })
        .collect()
}

const HONEST: fn(NodeIndex, NodeIndex, &mut [u8; 32]) = |_, _, _| {};

proptest! {
    #[test]
    fn everybody_of_a_flip_has_the_same_key_and_every_name_another(seed in 0..u64::MAX / 2, three: bool) {
        let parties: Vec<NodeIndex> = NodeIndex::ALL.into_iter().take(if three { 3 } else { 2 }).collect();
        let keys = |key: &str| -> BTreeSet<[u8; 32]> {
            flip(|_| name(key), &parties, seed, HONEST).into_values().map(|key| *key.unwrap().expose()).collect()
        };
        let (one, other) = (keys("k-12"), keys("k-12.1"));
        prop_assert_eq!((one.len(), other.len()), (1, 1));
        prop_assert!(one.is_disjoint(&other));
    }

    #[test]
    fn who_reveals_something_else_is_named_by_everybody_else(seed in 0..u64::MAX / 2, liar in 1_u8..=3, at in 0_usize..32) {
        let told = flip(|_| name("z.1"), &NodeIndex::ALL, seed, |from, _, r| if from == node(liar) { r[at] ^= 1 });
        for (party, result) in told {
            if party == node(liar) {
                prop_assert!(result.is_ok());
            } else {
                prop_assert_eq!(result, Err(JointError { culprit: Some(node(liar)), fault: JointFault::Reveal }));
            }
        }
    }
}

#[test]
fn a_commitment_of_another_party_key_or_ceremony_is_worth_nothing() {
    let parties = [node(1), node(2)];
    // Node 2 commits under another name: node 1 cannot open what it is told.
    for other in [name("k-13"), CoinName { ceremony: Octets([8; 32]), ..name("k-12") }] {
        let told = flip(|party| if party == node(2) { other.clone() } else { name("k-12") }, &parties, 1, HONEST);
        assert_eq!(told[&node(1)], Err(JointError { culprit: Some(node(2)), fault: JointFault::Reveal }));
    }
    // Node 2 copies node 1's commitment and what it reveals: it did not draw it.
    let (one, commitment) = CoinFlip::start(name("k-12"), node(1), parties, &rng(1)).unwrap();
    let (one, r) = one.reveal(BTreeMap::from([(node(2), commitment)])).unwrap();
    let copied = one.finish(BTreeMap::from([(node(2), r)]));
    assert_eq!(copied, Err(JointError { culprit: Some(node(2)), fault: JointFault::Reveal }));
}

#[test]
fn nothing_is_revealed_before_every_commitment_is_there() {
    let parties = || Err(JointError { culprit: None, fault: JointFault::Parties });
    let start = |own, parties: &[NodeIndex]| CoinFlip::start(name("z.1"), own, parties.iter().copied(), &rng(1));
    let (flip, _) = start(node(1), &NodeIndex::ALL).unwrap();
    assert_eq!(flip.reveal(BTreeMap::from([(node(2), Octets([0; 32]))])).map(drop), parties());
    let (flip, own) = start(node(1), &NodeIndex::ALL).unwrap();
    let all = NodeIndex::ALL.into_iter().map(|party| (party, own)).collect();
    assert_eq!(flip.reveal(all).map(drop), parties());
    assert_eq!(start(node(1), &[node(1)]).map(drop), parties());
    assert_eq!(start(node(3), &[node(1), node(2)]).map(drop), parties());
}

// -- distributed generation

/// All three parties of a generation; `one` and `two` may change what is sent.
fn generate<K: SharedKey>(
    seed: u64,
    one: impl Fn(NodeIndex, &mut Bytes),
    two: impl Fn(NodeIndex, NodeIndex, &mut Vec<u8>),
) -> BTreeMap<NodeIndex, Result<Generated<K>, JointError>> {
    let mut opened = BTreeMap::new();
    let mut packages = BTreeMap::new();
    for index in NodeIndex::ALL {
        let (state, mut package) = generation::<K>(index, &rng(seed + u64::from(index.get()))).unwrap();
        one(index, &mut package);
        opened.insert(index, state);
        packages.insert(index, package);
    }
    let others = |own| packages.iter().filter(move |(index, _)| **index != own).map(|(i, p)| (*i, p.clone())).collect();
    let mut shared: BTreeMap<NodeIndex, Result<(GenerationShared<K>, SharesFor), JointError>> =
        opened.into_iter().map(|(index, state)| (index, state.share(&others(index)))).collect();
    let sent: BTreeMap<(NodeIndex, NodeIndex), Vec<u8>> = shared
        .iter()
        .filter_map(|(from, result)| Some((from, result.as_ref().ok()?)))
        .flat_map(|(from, (_, shares))| shares.iter().map(|(to, share)| ((*from, *to), share.to_vec())))
        .collect();
    NodeIndex::ALL
        .into_iter()
        .map(|own| {
            let got = sent.iter().filter(|((_, to), _)| *to == own).map(|((from, _), share)| {
                let mut share = share.clone();
                two(*from, own, &mut share);
                (*from, share.into())
            });
            let state = shared.remove(&own).unwrap();
            (own, state.and_then(|(state, _)| state.finish(&got.collect())))
        })
        .collect()
}

fn honest<K: SharedKey>(seed: u64) -> [Generated<K>; 3] {
    let all = generate::<K>(seed, |_, _| {}, |_, _, _| {});
    all.into_values().map(Result::unwrap).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn a_generated_group_key_signs_like_a_dealt_one() {
    let all = honest::<GroupShares>(40);
    let public = all[0].public();
    assert!(all.iter().all(|one| one.public() == public) && consistent::<GroupShares>(&public));
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let signers = [a, b].map(|at: usize| Signer::from_share(&all[at].key_share()).unwrap());
        let rounds = signers.each_ref().map(|signer| signer.commit(&rng(7)).unwrap());
        let commitments: Vec<_> =
            signers.iter().zip(&rounds).map(|(signer, (_, sent))| (signer.index(), sent.clone())).collect();
        let shares: Vec<_> = signers
            .iter()
            .zip(rounds)
            .map(|(signer, (nonces, _))| (signer.index(), signer.sign(nonces, b"result", &commitments).unwrap()))
            .collect();
        let signature = public.aggregate(b"result", &commitments, &shares).unwrap();
        assert!(public.verify(b"result", &signature) && !public.verify(b"other", &signature));
    }
}

fn tag(shares: &[(NodeIndex, Secret<32>)], commitments: &[hufu_kernel::Element; 3]) -> Vec<u8> {
    let (state, blinded) = oprf_blind(b"CHN 1", &rng(3)).unwrap();
    let parts: Vec<_> = shares
        .iter()
        .map(|(index, share)| {
            assert_eq!(oprf_commitment(share).unwrap(), commitments[index.slot()]);
            let partial = oprf_evaluate(share, &blinded, &rng(4)).unwrap();
            (*index, oprf_verify(&partial, &[&commitments[index.slot()]], &blinded).unwrap())
        })
        .collect();
    finalize(b"CHN 1", &state, &combine_shamir(&parts).unwrap()).unwrap().to_vec()
}

#[test]
fn a_generated_tag_key_evaluates_alike_at_every_pair_of_taggers() {
    let all = honest::<TagShares>(50);
    let commitments = all[0].commitments();
    assert!(all.iter().all(|one| one.commitments() == commitments) && consistent::<TagShares>(&all[0].public()));
    let shares = [0, 1, 2].map(|at: usize| (NodeIndex::ALL[at], all[at].tag_share()));
    let tags: BTreeSet<Vec<u8>> = [(0, 1), (0, 2), (1, 2)]
        .map(|(a, b): (usize, usize)| tag(&[shares[a].clone(), shares[b].clone()], &commitments))
        .into();
    assert_eq!(tags.len(), 1);
    assert!(
        !tags.contains(&tag(
            &honest::<TagShares>(60)
                .each_ref()
                .map(|one| one.tag_share())
                .into_iter()
                .zip(NodeIndex::ALL)
                .take(2)
                .map(|(s, i)| (i, s))
                .collect::<Vec<_>>(),
            &honest::<TagShares>(60)[0].commitments()
        ))
    );
}

fn liars<K: SharedKey>() {
    let fault = |culprit, fault| Err::<(), _>(JointError { culprit: Some(culprit), fault });
    // Another proof of knowledge, or another key under the same proof.
    for at in [0, 40, 70, 127] {
        let told = generate::<K>(
            70,
            |from, bytes| {
                if from == node(2) {
                    bytes.0[at] ^= 1
                }
            },
            |_, _, _| {},
        );
        for index in [node(1), node(3)] {
            let result = told[&index].as_ref().map(drop).map_err(|error| *error);
            assert!(
                [JointFault::Proof, JointFault::Malformed, JointFault::Share]
                    .map(|f| fault(node(2), f))
                    .contains(&result),
                "{at}: {result:?}"
            );
        }
    }
    // A share beside the line, to one of the others only: that one knows.
    let told = generate::<K>(
        71,
        |_, _| {},
        |from, to, share| {
            if (from, to) == (node(3), node(1)) {
                share[0] ^= 1;
            }
        },
    );
    assert_eq!(told[&node(1)].as_ref().map(drop).map_err(|error| *error), fault(node(3), JointFault::Share));
    assert!(told[&node(2)].is_ok());
    for len in [0, 31, 33] {
        let told = generate::<K>(
            72,
            |_, _| {},
            |from, _, share| {
                if from == node(3) {
                    share.resize(len, 0)
                }
            },
        );
        assert_eq!(told[&node(1)].as_ref().map(drop).map_err(|error| *error), fault(node(3), JointFault::Malformed));
    }
    for len in [0, 127, 129] {
        let told = generate::<K>(
            73,
            |from, bytes| {
                if from == node(1) {
                    bytes.0.resize(len, 0)
                }
            },
            |_, _, _| {},
        );
        assert_eq!(told[&node(2)].as_ref().map(drop).map_err(|error| *error), fault(node(1), JointFault::Malformed));
    }
    let mut public = honest::<K>(74)[0].public();
    public.verifying_shares.swap(0, 1);
    assert!(!consistent::<K>(&public));
}

#[test]
fn who_lies_in_a_generation_is_named() {
    liars::<GroupShares>();
    liars::<TagShares>();
}

// -- repair

struct Repair {
    sums: BTreeMap<NodeIndex, Secret<32>>,
    commitments: BTreeMap<NodeIndex, HelpCommitments>,
}

fn changed(secret: &Secret<32>) -> Secret<32> {
    let mut bytes = *secret.expose();
    bytes[0] ^= 1;
    Secret::new(bytes)
}

/// Both helpers of `lost`; the part that `liar` gives is another one.
fn repair<K: SharedKey>(
    shares: &[Secret<32>; 3],
    public: &[Octets<32>; 3],
    lost: NodeIndex,
    liar: Option<NodeIndex>,
    rng: &dyn Rng,
) -> Result<Repair, JointError> {
    let helpers: Vec<NodeIndex> = NodeIndex::ALL.into_iter().filter(|index| *index != lost).collect();
    let mut begun: Vec<_> = helpers.iter().map(|i| help::<K>(*i, &shares[i.slot()], lost, rng).unwrap()).collect();
    let commitments: BTreeMap<_, _> =
        helpers.iter().zip(&begun).map(|(i, (_, help))| (*i, help.commitments.clone())).collect();
    let given: Vec<Secret<32>> = helpers
        .iter()
        .zip(&begun)
        .map(|(i, (_, help))| if Some(*i) == liar { changed(&help.given) } else { help.given.clone() })
        .collect();
    let mut sums = BTreeMap::new();
    for (at, own) in helpers.iter().enumerate().rev() {
        let (state, _) = begun.remove(at);
        let other = helpers[1 - at];
        sums.insert(*own, state.sum(&given[1 - at], &commitments[&other], public)?);
    }
    Ok(Repair { sums, commitments })
}

fn repairs<K: SharedKey>(shares: &[Secret<32>; 3], points: &[Octets<32>; 3]) {
    for lost in NodeIndex::ALL {
        let Repair { sums, commitments } = repair::<K>(shares, points, lost, None, &rng(80)).unwrap();
        assert_eq!(repaired::<K>(lost, &sums, &commitments, points).unwrap(), shares[lost.slot()]);
        // Nothing that travels is a share, nor one times a known number.
        assert!(sums.values().all(|sum| shares.iter().all(|share| sum != share)));
        let helpers: Vec<NodeIndex> = sums.keys().copied().collect();
        for liar in helpers {
            let told = repair::<K>(shares, points, lost, Some(liar), &rng(81)).map(drop);
            assert_eq!(told, Err(JointError { culprit: Some(liar), fault: JointFault::Share }));
            let mut wrong = sums.clone();
            wrong.insert(liar, changed(&sums[&liar]));
            let told = repaired::<K>(lost, &wrong, &commitments, points);
            assert_eq!(told, Err(JointError { culprit: Some(liar), fault: JointFault::Share }));
            // A helper that helps with another share than its own.
            let mut others = shares.clone();
            others[liar.slot()] = changed(&shares[liar.slot()]);
            let told = repair::<K>(&others, points, lost, None, &rng(82)).map(drop);
            assert_eq!(told, Err(JointError { culprit: Some(liar), fault: JointFault::Commitments }));
        }
        let one = sums.iter().take(1).map(|(i, s)| (*i, s.clone())).collect();
        assert_eq!(
            repaired::<K>(lost, &one, &commitments, points),
            Err(JointError { culprit: None, fault: JointFault::Parties })
        );
        assert!(help::<K>(lost, &shares[lost.slot()], lost, &rng(1)).is_err());
    }
}

#[test]
fn a_lost_share_is_mended_by_the_two_others_and_who_lies_is_named() {
    let group = honest::<GroupShares>(90);
    let shares = group.each_ref().map(|one| Secret::new(one.key_share()[1..33].try_into().unwrap()));
    repairs::<GroupShares>(&shares, &group[0].public().verifying_shares);
    let tag = honest::<TagShares>(91);
    repairs::<TagShares>(&tag.each_ref().map(Generated::tag_share), &tag[0].public().verifying_shares);
}

#[test]
fn one_helper_alone_learns_nothing_of_the_other_ones_share() {
    // What helper 1 sees of helper 2 is a random part and two points: with another share of helper 2 and the same randomness the
    // secret part that is given would be the same.
    let shares = [Secret::new(random::<32>(&rng(5)).map(|b| b & 7)), Secret::new([1; 32].map(|b: u8| b & 7))];
    let given = shares.each_ref().map(|share| {
        let scalar = {
            let mut bytes = *share.expose();
            bytes[31] = 0;
            Secret::new(bytes)
        };
        // Node 1 gives the last part, which completes its own; the first one is drawn.
        help::<TagShares>(node(2), &scalar, node(3), &rng(6)).unwrap().1.given
    });
    assert_eq!(given[0], given[1]);
}
