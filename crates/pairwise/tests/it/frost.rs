//! Two of three nodes make one Ed25519 signature; fewer, or liars, make none.

use crate::support::{StuckRng, node, rng};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use hufu_kernel::{Bytes, NodeIndex, Octets, Pair};
use hufu_pairwise::{DealtGroup, FrostReason, GroupKey, Nonces, Signer, deal_group_key, deal_group_key_of};

fn dealt() -> DealtGroup {
    deal_group_key(&rng(1)).expect("a key")
}

fn signer(dealt: &DealtGroup, index: NodeIndex) -> Signer {
    Signer::from_share(&dealt.shares[index.slot()]).expect("a share")
}

struct Round {
    signers: Vec<Signer>,
    nonces: Vec<Nonces>,
    commitments: Vec<(NodeIndex, Bytes)>,
}

fn round(dealt: &DealtGroup, members: &[NodeIndex], seed: u64) -> Round {
    let source = rng(seed);
    let signers: Vec<_> = members.iter().map(|index| signer(dealt, *index)).collect();
    let (nonces, commitments) = signers
        .iter()
        .map(|signer| {
            let (nonces, commitment) = signer.commit(&source).expect("nonces");
            (nonces, (signer.index(), commitment))
        })
        .unzip();
    Round { signers, nonces, commitments }
}

fn shares(round: Round, message: &[u8]) -> Vec<(NodeIndex, Bytes)> {
    round
        .signers
        .iter()
        .zip(round.nonces)
        .map(|(signer, nonces)| (signer.index(), signer.sign(nonces, message, &round.commitments).expect("a share")))
        .collect()
}

#[test]
fn any_pair_signs_and_an_ordinary_ed25519_verifier_accepts() {
    let dealt = dealt();
    let key = VerifyingKey::from_bytes(&dealt.key.verifying_key.0).expect("a key");
    for pair in Pair::ALL {
        let round = round(&dealt, &pair.members(), 3);
        let commitments = round.commitments.clone();
        let parts = shares(round, b"result");
        let signature = dealt.key.aggregate(b"result", &commitments, &parts).expect("a signature");
        key.verify(b"result", &Signature::from_bytes(&signature.0)).expect("dalek");
        key.verify_strict(b"result", &Signature::from_bytes(&signature.0)).expect("dalek, strictly");
        assert!(dealt.key.verify(b"result", &signature));
        assert!(!dealt.key.verify(b"another", &signature));
        // The order in which the wallet lists the nodes does not matter.
        let mut reversed = commitments.clone();
        reversed.reverse();
        assert_eq!(dealt.key.aggregate(b"result", &reversed, &parts), Ok(signature));
    }
}

#[test]
fn a_bench_root_is_dealt_from_an_ordinary_key_which_two_nodes_sign_under_as_well() {
    let ordinary = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let dealt = deal_group_key_of(&[7; 32], &rng(1)).expect("a key");
    assert_eq!(dealt.key.verifying_key.0, ordinary.verifying_key().to_bytes());
    let round = round(&dealt, &Pair::ALL[1].members(), 3);
    let commitments = round.commitments.clone();
    let parts = shares(round, b"result");
    let signature = dealt.key.aggregate(b"result", &commitments, &parts).expect("a signature");
    ordinary.verifying_key().verify_strict(b"result", &Signature::from_bytes(&signature.0)).expect("dalek");
}

#[test]
fn one_share_cannot_sign() {
    let dealt = dealt();
    let lone = round(&dealt, &[node(1)], 3);
    let commitments = lone.commitments.clone();
    let [nonces] = <[Nonces; 1]>::try_from(lone.nonces).expect("one");
    let refused = lone.signers[0].sign(nonces, b"m", &commitments).expect_err("two are needed");
    assert_eq!(refused.reason, FrostReason::Signers);
    // Nor does one node in two places help.
    let (nonces, c1) = lone.signers[0].commit(&rng(4)).unwrap();
    let (_, c2) = lone.signers[0].commit(&rng(5)).unwrap();
    let twice = [(node(1), c1), (node(1), c2)];
    assert_eq!(lone.signers[0].sign(nonces, b"m", &twice).expect_err("one node").reason, FrostReason::Signers);
    // Nor an aggregate of one of two shares.
    let both = round(&dealt, &[node(1), node(2)], 6);
    let commitments = both.commitments.clone();
    let parts = shares(both, b"m");
    assert!(dealt.key.aggregate(b"m", &commitments, &parts[..1]).is_err());
    assert!(dealt.key.aggregate(b"m", &commitments[..1], &parts[..1]).is_err());
    assert!(dealt.key.aggregate(b"m", &commitments, &[parts[0].clone(), parts[0].clone()]).is_err());
}

#[test]
fn a_node_signs_only_among_its_own_commitment() {
    let dealt = dealt();
    let both = round(&dealt, &[node(1), node(2)], 7);
    let (fresh, _) = both.signers[0].commit(&rng(8)).unwrap();
    // The wallet returns an old commitment of node 1, or one of others only.
    let refused = both.signers[0].sign(fresh, b"m", &both.commitments).expect_err("not these nonces");
    assert_eq!((refused.reason, refused.culprit), (FrostReason::Commitment, Some(node(1))));
    let (nonces, _) = both.signers[0].commit(&rng(9)).unwrap();
    let others = [both.commitments[1].clone(), (node(3), both.commitments[1].1.clone())];
    assert_eq!(both.signers[0].sign(nonces, b"m", &others).expect_err("not mine").reason, FrostReason::Signers);
}

#[test]
fn a_lying_node_is_named() {
    let dealt = dealt();
    let both = round(&dealt, &[node(1), node(3)], 10);
    let commitments = both.commitments.clone();
    let honest = shares(both, b"m");
    // A share over another message.
    let mut lie = honest.clone();
    lie[1].1.0[0] ^= 1;
    let refused = dealt.key.aggregate(b"m", &commitments, &lie).expect_err("a wrong share");
    assert_eq!((refused.culprit, refused.reason), (Some(node(3)), FrostReason::Share));
    // A malformed share, a malformed commitment.
    lie[1].1.0 = vec![0xff; 32];
    assert_eq!(dealt.key.aggregate(b"m", &commitments, &lie).expect_err("no scalar").culprit, Some(node(3)));
    let mut malformed = commitments.clone();
    malformed[0].1.0[..32].fill(0xff);
    let refused = dealt.key.aggregate(b"m", &malformed, &honest).expect_err("no point");
    assert_eq!((refused.culprit, refused.reason), (Some(node(1)), FrostReason::Commitment));
    // Shares of another pair.
    let other = round(&dealt, &[node(1), node(2)], 11);
    let strangers = shares(other, b"m");
    assert!(dealt.key.aggregate(b"m", &commitments, &strangers).is_err());
}

#[test]
fn commitments_outside_the_prime_order_subgroup_are_refused() {
    let dealt = dealt();
    let both = round(&dealt, &[node(1), node(2)], 12);
    let mut identity = [0; 32];
    identity[0] = 1;
    // Order 8 (RFC 8032's curve, the usual small-order list), order 4, the identity.
    let order_8 = crate::support::unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
    for point in [identity.to_vec(), vec![0; 32], order_8] {
        let mut bad = both.commitments.clone();
        bad[1].1.0[32..].copy_from_slice(&point);
        let (nonces, own) = both.signers[0].commit(&rng(13)).unwrap();
        bad[0].1 = own;
        let refused = both.signers[0].sign(nonces, b"m", &bad).expect_err("not in the group");
        assert_eq!((refused.culprit, refused.reason), (Some(node(2)), FrostReason::Commitment));
    }
}

#[test]
fn a_failed_generator_gives_two_nodes_different_nonces() {
    // RFC 9591 section 4.1 hashes the share into the nonce.
    let dealt = dealt();
    let commit = |i| signer(&dealt, node(i)).commit(&StuckRng(1)).unwrap().1;
    assert_ne!(commit(1), commit(2));
}

#[test]
fn the_group_key_travels_as_json_and_shows_no_secret() {
    let dealt = dealt();
    let text = serde_json::to_string(&dealt.key).unwrap();
    assert_eq!(serde_json::from_str::<GroupKey>(&text).unwrap(), dealt.key);
    for share in &dealt.shares {
        assert!(!text.contains(&hufu_kernel::b64(&share[1..33])));
        assert!(!format!("{dealt:?}").contains(&hufu_kernel::hex(&share[1..33])));
    }
    assert_eq!(format!("{:?}", signer(&dealt, node(2))), "Signer(2)");
}

#[test]
fn a_group_key_with_a_small_order_point_is_refused() {
    let mut key = dealt().key;
    key.verifying_shares[1] = Octets([0; 32]);
    let refused = key.prepare().expect_err("order 4");
    assert_eq!((refused.culprit, refused.reason), (Some(node(2)), FrostReason::Key));
}

#[test]
fn fuzz_shares_and_messages_of_round_one_and_two_never_panic() {
    let dealt = dealt();
    let honest = round(&dealt, &[node(1), node(2)], 14);
    let prepared = dealt.key.prepare().unwrap();
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(a, b)| {
        if let Ok(signer) = Signer::from_share(a) {
            assert_eq!(a.len(), 65);
            assert_eq!(u8::from(signer.index()), a[0]);
        }
        let mut commitments = honest.commitments.clone();
        commitments[1].1 = Bytes(a.clone());
        let (nonces, own) = honest.signers[0].commit(&rng(15)).unwrap();
        commitments[0].1 = own;
        // Sixty-four random bytes are two points now and then; what matters is that nothing panics.
        let _ = honest.signers[0].sign(nonces, b"m", &commitments);
        let parts = [(node(1), Bytes(a.clone())), (node(2), Bytes(b.clone()))];
        assert!(prepared.aggregate(b"m", &honest.commitments, &parts).is_err());
    });
}
