//! RFC 9497 under a shared key, and what a lying tagger or node may try.

use crate::support::{GivenRng, node, rng, unhex};
use hufu_kernel::{Bytes, Element, NodeIndex, Octets, Pair, Partial, Secret, Subset, hex};
use hufu_pairwise::{
    PairwiseError, combine_shamir, combine_sum, deal_tag_key, finalize, oprf_blind, oprf_commitment, oprf_evaluate,
    oprf_verify, password_sub_key, sum_sub_keys, tag_input,
};
use proptest::prelude::*;

/// RFC 9497 appendix A.1.1: skSm, blind, and (input, blinded, evaluated, output).
pub const SK: &str = "5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e";
pub const BLIND: &str = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706";
pub const RFC: [[&str; 4]; 2] = [
    [
        "00",
        "609a0ae68c15a3cf6903766461307e5c8bb2f95e7e6550e1ffa2dc99e412803c",
        "7ec6578ae5120958eb2db1745758ff379e77cb64fe77b0b2d8cc917ea0869c7e",
        "527759c3d9366f277d8c6020418d96bb393ba2afb20ff90df23fb7708264e2f3ab9135e3bd69955851de4b1f9fe8a0973396719b7912ba9ee8aa7d0b5e24bcf6",
    ],
    [
        "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
        "da27ef466870f5f15296299850aa088629945a17d1f5b7f5ff043f76b3c06418",
        "b4cbf5a4f1eeda5a63ce7b77c7d23f461db3fcab0dd28e4e17cecb5c90d02c25",
        "f4a74c9c592497375e796aa837e907b1a045d34306a749db9f34221f7e750cb4f2a6413a6bf6fa5e19ba6348eb673934a722a7ede2e7621306d18951e7cf2c73",
    ],
];

fn secret(bytes: &[u8]) -> Secret<32> {
    Secret::new(bytes.try_into().expect("32 bytes"))
}

/// −x modulo the order of ristretto255, by its definition: the order minus x.
fn minus(x: &Secret<32>) -> Secret<32> {
    let order: [u8; 32] =
        unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").try_into().expect("32");
    let (mut out, mut borrow) = ([0; 32], 0);
    for i in 0..32 {
        let digit = i16::from(order[i]) - i16::from(x.expose()[i]) - borrow;
        borrow = i16::from(digit < 0);
        out[i] = u8::try_from(digit.rem_euclid(256)).expect("a byte");
    }
    Secret::new(out)
}

pub fn rfc_blind() -> GivenRng {
    let mut big_endian: [u8; 32] = unhex(BLIND).try_into().expect("32");
    big_endian.reverse();
    GivenRng::scalar(&big_endian)
}

#[test]
fn the_rfcs_vectors_hold_for_a_key_that_is_a_sum() {
    // skSm = a + b + (skSm − a − b).
    let (a, b) = (password_sub_key(&[1; 32]), password_sub_key(&[2; 32]));
    let c = sum_sub_keys(&[&secret(&unhex(SK)), &minus(&a), &minus(&b)]).expect("canonical");
    for [input, blinded, evaluated, output] in RFC {
        let input = unhex(input);
        let (state, element) = oprf_blind(&input, &rfc_blind()).expect("an input");
        assert_eq!(hex(&element.0), blinded);
        let parts: Vec<Element> = [&a, &b, &c]
            .into_iter()
            .map(|key| {
                let partial = oprf_evaluate(key, &element, &rng(1)).expect("canonical");
                oprf_verify(&partial, &[&oprf_commitment(key).unwrap()], &element).expect("honest")
            })
            .collect();
        let whole = combine_sum(&parts.iter().collect::<Vec<_>>()).expect("three");
        assert_eq!(hex(&whole.0.0), evaluated);
        assert_eq!(hex(&*finalize(&input, &state, &whole).unwrap()), output);
    }
}

#[test]
fn the_rfcs_vectors_hold_for_a_key_shared_by_shamir() {
    // f(x) = skSm + slope·x, written as sums so that the test shares no code with the interpolation.
    let (sk, slope) = (secret(&unhex(SK)), password_sub_key(&[3; 32]));
    let mut shares = vec![sum_sub_keys(&[&sk, &slope]).unwrap()];
    for _ in 0..2 {
        shares.push(sum_sub_keys(&[shares.last().unwrap(), &slope]).unwrap());
    }
    for [input, _, evaluated, output] in RFC {
        let input = unhex(input);
        let (state, element) = oprf_blind(&input, &rfc_blind()).expect("an input");
        let part = |index: NodeIndex| {
            let partial = oprf_evaluate(&shares[index.slot()], &element, &rng(2)).unwrap();
            (index, partial.element)
        };
        for pair in Pair::ALL {
            let [a, b] = pair.members();
            let whole = combine_shamir(&[part(b), part(a)]).expect("two");
            assert_eq!(hex(&whole.0.0), evaluated);
            assert_eq!(hex(&*finalize(&input, &state, &whole).unwrap()), output);
        }
        let all = NodeIndex::ALL.map(part);
        assert_eq!(hex(&combine_shamir(&all).unwrap().0.0), evaluated);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_two_taggers_give_the_same_tag_whatever_the_blinding(number in "[0-9X]{1,18}", seed: u64) {
        let dealt = deal_tag_key(&rng(1));
        let input = tag_input("CHN", "resident_id", &number).unwrap();
        let mut tags = Vec::new();
        for (n, pair) in Pair::ALL.into_iter().enumerate() {
            let (state, blinded) = oprf_blind(&input, &rng(seed ^ n as u64)).unwrap();
            let parts = pair.members().map(|i| {
                let partial = oprf_evaluate(&dealt.shares[i.slot()], &blinded, &rng(seed)).unwrap();
                (i, oprf_verify(&partial, &[&dealt.commitments[i.slot()]], &blinded).unwrap())
            });
            tags.push(finalize(&input, &state, &combine_shamir(&parts).unwrap()).unwrap());
        }
        prop_assert_eq!(&tags[0], &tags[1]);
        prop_assert_eq!(&tags[0], &tags[2]);
    }

    #[test]
    fn any_two_nodes_harden_a_password_alike(digits in "[0-9]{8}", prf: [[u8; 32]; 3]) {
        let keys = prf.map(|prf| password_sub_key(&prf));
        let commitments = keys.each_ref().map(|key| oprf_commitment(key).unwrap());
        let (state, blinded) = oprf_blind(digits.as_bytes(), &rng(1)).unwrap();
        let mut outputs = Vec::new();
        for pair in Pair::ALL {
            let parts = pair.members().map(|index| {
                let assigned: Vec<Subset> = pair.assigned(index).collect();
                let sum = sum_sub_keys(&assigned.iter().map(|a| &keys[a.slot()]).collect::<Vec<_>>()).unwrap();
                let partial = oprf_evaluate(&sum, &blinded, &rng(2)).unwrap();
                let against: Vec<&Element> = assigned.iter().map(|a| &commitments[a.slot()]).collect();
                oprf_verify(&partial, &against, &blinded).unwrap()
            });
            let whole = combine_sum(&[&parts[0], &parts[1]]).unwrap();
            outputs.push(finalize(digits.as_bytes(), &state, &whole).unwrap());
        }
        prop_assert!(outputs.iter().all(|y| *y == outputs[0]));
    }
}

#[test]
fn one_share_is_not_enough_and_one_tagger_counts_once() {
    let dealt = deal_tag_key(&rng(1));
    let (_, blinded) = oprf_blind(b"x", &rng(2)).unwrap();
    let part = |i: u8| (node(i), oprf_evaluate(&dealt.shares[node(i).slot()], &blinded, &rng(3)).unwrap().element);
    assert_eq!(combine_shamir(&[]), Err(PairwiseError::Parts));
    assert_eq!(combine_shamir(&[part(1)]), Err(PairwiseError::Parts));
    assert_eq!(combine_shamir(&[part(1), part(1)]), Err(PairwiseError::Parts));
    assert_eq!(combine_shamir(&[part(1), part(2), part(2)]), Err(PairwiseError::Parts));
    assert_eq!(combine_sum(&[]), Err(PairwiseError::Parts));
    assert_eq!(sum_sub_keys(&[]), Err(PairwiseError::Parts));
    // Shares in each other's place give another element.
    let swapped = [(node(2), part(1).1), (node(1), part(2).1)];
    assert_ne!(combine_shamir(&swapped), combine_shamir(&[part(1), part(2)]));
}

#[test]
fn a_lying_tagger_is_refused() {
    let dealt = deal_tag_key(&rng(1));
    let (_, blinded) = oprf_blind(b"110101199003074514", &rng(2)).unwrap();
    let (_, other) = oprf_blind(b"110101199003074522", &rng(2)).unwrap();
    let honest = oprf_evaluate(&dealt.shares[0], &blinded, &rng(3)).unwrap();
    let verdict = |partial: &Partial, blinded: &Octets<32>| oprf_verify(partial, &[&dealt.commitments[0]], blinded);
    assert!(verdict(&honest, &blinded).is_ok());
    // Another share, another document, another element.
    assert_eq!(
        verdict(&oprf_evaluate(&dealt.shares[1], &blinded, &rng(3)).unwrap(), &blinded),
        Err(PairwiseError::Proof)
    );
    assert_eq!(verdict(&honest, &other), Err(PairwiseError::Proof));
    let mut lie = honest.clone();
    lie.element = oprf_evaluate(&dealt.shares[0], &other, &rng(3)).unwrap().element;
    assert_eq!(verdict(&lie, &blinded), Err(PairwiseError::Proof));
    let mut lie = honest;
    lie.proof.s.0 = [0xff; 32];
    assert_eq!(verdict(&lie, &blinded), Err(PairwiseError::Scalar));
}

#[test]
fn the_identity_and_encodings_that_are_not_canonical_are_refused() {
    let key = password_sub_key(&[1; 32]);
    assert_eq!(oprf_evaluate(&key, &Octets([0; 32]), &rng(1)), Err(PairwiseError::Identity));
    // RFC 9496 appendix A.2: not canonical, negative, not on the curve.
    for bad in [
        "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    ] {
        let bytes: [u8; 32] = unhex(bad).try_into().unwrap();
        assert_eq!(oprf_evaluate(&key, &Octets(bytes), &rng(1)), Err(PairwiseError::Point), "{bad}");
        assert_eq!(combine_sum(&[&Element(Bytes(bytes.to_vec()))]), Err(PairwiseError::Point));
    }
    let order =
        Secret::new(unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").try_into().unwrap());
    assert_eq!(oprf_commitment(&order), Err(PairwiseError::Scalar));
    // Parts that cancel.
    let (_, blinded) = oprf_blind(b"x", &rng(2)).unwrap();
    let part = |key: &Secret<32>| oprf_evaluate(key, &blinded, &rng(1)).unwrap().element;
    assert_eq!(combine_sum(&[&part(&key), &part(&minus(&key))]), Err(PairwiseError::Identity));
}

#[test]
fn the_tag_input_has_one_spelling() {
    assert_eq!(
        tag_input("CHN", "resident_id", "11010119900307451X").unwrap().as_slice(),
        hufu_kernel::framed(&[b"CHN", b"resident_id", b"11010119900307451X"])
    );
    for (country, kind, number) in [
        ("chn", "resident_id", "1"),
        ("CN", "resident_id", "1"),
        ("CHN", "", "1"),
        ("CHN", "a b", "1"),
        ("CHN", "passport", ""),
        ("CHN", "passport", "e1"),
        ("CHN", "passport", "E 1"),
        ("CHN", "passport", "E-1"),
        ("CHN", "passport", "Ｅ1"),
    ] {
        assert_eq!(tag_input(country, kind, number).err(), Some(PairwiseError::Input), "{country} {kind} {number}");
    }
}

#[test]
fn inputs_too_long_for_the_rfc_are_refused() {
    let long = vec![0; 65_536];
    assert_eq!(oprf_blind(&long, &rng(1)).err(), Some(PairwiseError::Input));
    assert!(oprf_blind(&long[1..], &rng(1)).is_ok());
}

#[test]
fn fuzz_whatever_is_evaluated_was_a_canonical_element() {
    let key = password_sub_key(&[1; 32]);
    let unit = Secret::new(std::array::from_fn(|i| u8::from(i == 0)));
    bolero::check!().with_type::<[u8; 32]>().for_each(|bytes| {
        if oprf_evaluate(&key, &Octets(*bytes), &rng(1)).is_ok() {
            assert_eq!(oprf_evaluate(&unit, &Octets(*bytes), &rng(1)).unwrap().element.0.0, bytes);
        }
        let _ = oprf_commitment(&Secret::new(*bytes));
    });
}
