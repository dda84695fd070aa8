//! One pseudonym, whoever evaluates it and however.

use crate::support::{Person, StuckRng, node, rng};
use hufu_kernel::{Pair, framed, random};
use hufu_pairwise::{
    BlindingFactor, Group, Intl, IntlPure, PairwiseError, Suite, blind, blinded, combine, ep, epoch_message, point,
    sector_point, sub, sub_key, sum_scalars, unblind, validate_sector_id, verify_partial,
};
use proptest::prelude::*;

const SHOP: &str = "https://shop.example";

fn prfs(seed: u64) -> [[u8; 32]; 3] {
    let rng = rng(seed);
    [random(&rng), random(&rng), random(&rng)]
}

/// Both nodes' parts, checked, and their sum.
fn together<S: Suite>(person: &Person<S>, pair: Pair, base: &S::Point) -> S::Point {
    let parts: Vec<_> = pair
        .members()
        .into_iter()
        .map(|index| {
            let partial = person.partial(pair, index, base, &rng(9));
            verify_partial::<S>(&partial, &person.commitments(pair, index), base).expect("an honest node")
        })
        .collect();
    combine::<S>(&parts).expect("two parts")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_pair_and_the_whole_key_give_the_same_sub(seed: u64, host in "[a-z]{1,12}") {
        let person = Person::<Intl>::new(&prfs(seed));
        let base = sector_point::<Intl>(&format!("https://{host}.example"));
        let k = sum_scalars::<Intl>(&person.e).expect("three");
        let whole = sub::<Intl>(&Intl::mul(&k, &base));
        for pair in Pair::ALL {
            prop_assert_eq!(&sub::<Intl>(&together(&person, pair, &base)), &whole);
        }
        prop_assert_eq!(whole.len(), 43);
    }

    #[test]
    fn direct_and_blind_give_the_same_sub(seed: u64, blinding: u64) {
        let person = Person::<Intl>::new(&prfs(seed));
        let sector = sector_point::<Intl>(SHOP);
        let direct = sub::<Intl>(&together(&person, Pair::ALL[0], &sector));
        let (b, r) = blind::<Intl>(SHOP, &rng(blinding));
        // The platform recomputes B from r and its own sector.
        let r = BlindingFactor::<Intl>::from_bytes(r.to_bytes().as_slice()).expect("canonical");
        prop_assert_eq!(&blinded::<Intl>(&sector, &r), &b);
        let e = together(&person, Pair::ALL[2], &point::<Intl>(&b).expect("a point"));
        prop_assert_eq!(sub::<Intl>(&unblind(&r, &e).expect("not zero")), direct);
    }

    #[test]
    fn moving_to_new_keys_changes_no_pseudonym(seed: u64) {
        // flows 1: the difference to the new sub-keys is re-shared as offsets whose sum puts k_u back.
        let (old, new) = (Person::<Intl>::new(&prfs(seed)), prfs(seed ^ 0x55));
        let one = Intl::scalar_one();
        let noise: [_; 2] = [Intl::random(&rng(seed)), Intl::random(&rng(seed ^ 1))];
        let zero_sum = [
            noise[0].clone(),
            noise[1].clone(),
            Intl::scalar_sub_mul(&Intl::scalar_sub_mul(&Intl::scalar_from_bytes(&[0; 32]).unwrap(), &one, &noise[0]), &one, &noise[1]),
        ];
        let mut moved = Vec::new();
        for a in 0..3 {
            let fresh = sub_key::<Intl>(&new[a], None).unwrap();
            let d = Intl::scalar_add(&Intl::scalar_sub_mul(&old.e[a], &one, &fresh), &zero_sum[a]);
            moved.push(sub_key::<Intl>(&new[a], Some(Intl::scalar_to_bytes(&d).as_slice())).unwrap());
        }
        prop_assert!(sum_scalars::<Intl>(&moved) == sum_scalars::<Intl>(&old.e));
        let moved = Person::<Intl>::of(moved.try_into().ok().unwrap());
        prop_assert_ne!(&moved.c, &old.c);
        let base = sector_point::<Intl>(SHOP);
        prop_assert_eq!(together(&moved, Pair::ALL[1], &base), together(&old, Pair::ALL[0], &base));
    }

    #[test]
    fn whatever_is_accepted_as_a_sector_id_looks_like_one(id in "(https://|urn:hufu:sector:|http://)?[a-zA-Z0-9.:/_ -]{0,20}") {
        if validate_sector_id(&id).is_ok() {
            prop_assert!(id.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()));
            prop_assert!(!id["https://".len()..].contains('/'));
        }
    }
}

#[test]
fn the_pure_adapter_runs_the_whole_flow_with_the_same_result() {
    let (a, b) = (Person::<Intl>::new(&prfs(3)), Person::<IntlPure>::new(&prfs(3)));
    assert_eq!(a.c, b.c);
    let native = together(&a, Pair::ALL[0], &sector_point::<Intl>(SHOP));
    let pure = together(&b, Pair::ALL[1], &sector_point::<IntlPure>(SHOP));
    assert_eq!(sub::<Intl>(&native), sub::<IntlPure>(&pure));
    // Proofs of one adapter verify in the other.
    let pair = Pair::ALL[0];
    let partial = a.partial(pair, node(1), &sector_point::<Intl>(SHOP), &rng(1));
    assert!(
        verify_partial::<IntlPure>(&partial, &b.commitments(pair, node(1)), &sector_point::<IntlPure>(SHOP)).is_ok()
    );
}

#[test]
fn sectors_persons_and_purposes_have_different_pseudonyms() {
    let (one, two) = (Person::<Intl>::new(&prfs(1)), Person::<Intl>::new(&prfs(2)));
    let (shop, forum) = (sector_point::<Intl>(SHOP), sector_point::<Intl>("https://forum.example"));
    let p = together(&one, Pair::ALL[0], &shop);
    assert_ne!(sub::<Intl>(&p), sub::<Intl>(&together(&one, Pair::ALL[0], &forum)));
    assert_ne!(sub::<Intl>(&p), sub::<Intl>(&together(&two, Pair::ALL[0], &shop)));
    assert_ne!(sub::<Intl>(&p), ep::<Intl>(&p));
}

#[test]
fn one_node_alone_misses_a_sub_key() {
    let person = Person::<Intl>::new(&prfs(4));
    let base = sector_point::<Intl>(SHOP);
    let k = sum_scalars::<Intl>(&person.e).expect("three");
    for (have, _) in [([0, 1], 2), ([0, 2], 1), ([1, 2], 0)] {
        let own = sum_scalars::<Intl>(&[person.e[have[0]].clone(), person.e[have[1]].clone()]).expect("two");
        assert_ne!(Intl::mul(&own, &base), Intl::mul(&k, &base));
    }
}

#[test]
fn the_epoch_message_is_framed() {
    assert_eq!(epoch_message(&[1; 32], &[2; 16]), framed(&[b"hufu-v1-epoch", &[1; 32], &[2; 16]]));
    assert_ne!(epoch_message(&[1; 31], &[1; 17]), epoch_message(&[1; 32], &[1; 16]));
}

#[test]
fn offsets_and_blinding_factors_must_be_canonical() {
    assert!(matches!(sub_key::<Intl>(&[1; 32], Some(&[0xff; 32])), Err(PairwiseError::Scalar)));
    assert!(matches!(sub_key::<Intl>(&[1; 32], Some(&[0; 31])), Err(PairwiseError::Scalar)));
    assert!(sub_key::<Intl>(&[1; 32], Some(&[0; 32])).unwrap() == sub_key::<Intl>(&[1; 32], None).unwrap());
    assert_eq!(BlindingFactor::<Intl>::from_bytes(&[0; 32]).err(), Some(PairwiseError::Scalar));
    assert_eq!(BlindingFactor::<Intl>::from_bytes(&[0xff; 32]).err(), Some(PairwiseError::Scalar));
}

#[test]
fn parts_that_cancel_are_no_pseudonym() {
    let g = Intl::generator();
    let minus = Intl::mul(
        &Intl::scalar_sub_mul(&Intl::scalar_from_bytes(&[0; 32]).unwrap(), &Intl::scalar_one(), &Intl::scalar_one()),
        &g,
    );
    assert_eq!(combine::<Intl>(&[g, minus]), Err(PairwiseError::Identity));
    assert_eq!(combine::<Intl>(&[]), Err(PairwiseError::Parts));
}

#[test]
fn two_sign_ins_at_one_sector_are_blinded_differently() {
    let source = rng(1);
    assert_ne!(blind::<Intl>(SHOP, &source).0, blind::<Intl>(SHOP, &source).0);
    // And nothing prints r.
    assert_eq!(format!("{:?}", blind::<Intl>(SHOP, &StuckRng(1)).1), "BlindingFactor(…)");
}

#[test]
fn sector_ids_are_one_spelling_of_one_host() {
    for good in [
        "https://shop.example",
        "https://a.b-c.example",
        "https://xn--fiq228c.example",
        "https://localhost",
        "https://3com.example",
        "urn:hufu:sector:city-services_1.a",
    ] {
        assert_eq!(validate_sector_id(good), Ok(()), "{good}");
    }
    let long_label = format!("https://{}.example", "a".repeat(64));
    let long_host = format!("https://{}example", "abcdefg.".repeat(32));
    for bad in [
        "",
        "https://",
        "http://shop.example",
        "https://Shop.example",
        "https://shop.example/",
        "https://shop.example:443",
        "https://shop.example/path",
        "https://shop.example?x",
        "https://shop.example.",
        "https://.example",
        "https://-a.example",
        "https://a-.example",
        "https://a..example",
        "https://user@shop.example",
        "https://商店.example",
        "https://127.0.0.1",
        "https://0x7f.0x1",
        "https://[::1]",
        " https://shop.example",
        "https://shop.example\n",
        "urn:hufu:sector:",
        "urn:hufu:sector:A",
        "urn:hufu:sector:a:b",
        "urn:other:sector:a",
        &long_label,
        &long_host,
    ] {
        assert_eq!(validate_sector_id(bad), Err(PairwiseError::SectorId), "{bad:?}");
    }
}

#[test]
fn fuzz_sector_ids_never_panic() {
    bolero::check!().with_type::<String>().for_each(|text| {
        let _ = validate_sector_id(text);
        let _ = validate_sector_id(&format!("https://{text}"));
        let _ = validate_sector_id(&format!("urn:hufu:sector:{text}"));
    });
}
