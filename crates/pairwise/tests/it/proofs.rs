//! What a lying node may try with a partial evaluation.

use crate::support::{Person, StuckRng, node, rng};
use hufu_kernel::{Bytes, Dleq, Element, Octets, Pair, Partial, random};
use hufu_pairwise::{Group, Intl, PairwiseError, element, evaluate, point, sector_point, verify_partial};
use proptest::prelude::*;

struct World {
    person: Person<Intl>,
    pair: Pair,
    shop: <Intl as Group>::Point,
    forum: <Intl as Group>::Point,
}

fn world() -> World {
    let rng = rng(11);
    World {
        person: Person::new(&[random(&rng), random(&rng), random(&rng)]),
        pair: Pair::ALL[0],
        shop: sector_point::<Intl>("https://shop.example"),
        forum: sector_point::<Intl>("https://forum.example"),
    }
}

impl World {
    fn honest(&self) -> Partial {
        self.person.partial(self.pair, node(1), &self.shop, &rng(5))
    }

    fn verdict(&self, partial: &Partial) -> Result<(), PairwiseError> {
        let commitments = self.person.commitments(self.pair, node(1));
        verify_partial::<Intl>(partial, &commitments, &self.shop).map(|_| ())
    }
}

#[test]
fn an_honest_part_verifies_against_the_sum_of_its_commitments() {
    let w = world();
    assert_eq!(w.verdict(&w.honest()), Ok(()));
    // Node 1 of this pair serves two sub-keys: one commitment alone is not enough.
    let partial = w.honest();
    let one = &w.person.commitments(w.pair, node(1))[..1];
    assert_eq!(verify_partial::<Intl>(&partial, one, &w.shop), Err(PairwiseError::Proof));
    assert_eq!(verify_partial::<Intl>(&partial, &[], &w.shop), Err(PairwiseError::Parts));
}

#[test]
fn a_wrong_evaluation_is_refused() {
    let w = world();
    let mut lie = w.honest();
    let moved = Intl::add(&point::<Intl>(&lie.element).unwrap(), &Intl::generator());
    lie.element = element::<Intl>(&moved);
    assert_eq!(w.verdict(&lie), Err(PairwiseError::Proof));
}

#[test]
fn another_persons_key_is_refused() {
    let w = world();
    let other = Person::<Intl>::new(&[[1; 32], [2; 32], [3; 32]]);
    assert_eq!(w.verdict(&other.partial(w.pair, node(1), &w.shop, &rng(5))), Err(PairwiseError::Proof));
}

#[test]
fn an_evaluation_for_another_sector_is_refused() {
    let w = world();
    let at_forum = w.person.partial(w.pair, node(1), &w.forum, &rng(5));
    assert_eq!(w.verdict(&at_forum), Err(PairwiseError::Proof));
    // Swapped between two sectors, either half.
    let at_shop = w.honest();
    let swapped = Partial { element: at_forum.element.clone(), proof: at_shop.proof.clone() };
    assert_eq!(w.verdict(&swapped), Err(PairwiseError::Proof));
    let swapped = Partial { element: at_shop.element, proof: at_forum.proof };
    assert_eq!(w.verdict(&swapped), Err(PairwiseError::Proof));
}

#[test]
fn the_identity_and_points_outside_the_group_are_refused() {
    let w = world();
    let mut identity = vec![0; 48];
    identity[0] = 0xc0;
    let mut order_three = vec![0; 48];
    order_three[0] = 0x80;
    for (bytes, why) in [
        (identity.clone(), PairwiseError::Identity),
        (order_three, PairwiseError::Point),
        (vec![0xff; 48], PairwiseError::Point),
        (vec![], PairwiseError::Point),
    ] {
        let lie = Partial { element: Element(Bytes(bytes)), ..w.honest() };
        assert_eq!(w.verdict(&lie), Err(why));
    }
    // Nor may a commitment be the identity (the "proof" for x = 0 would verify).
    let nothing = Element(Bytes(identity));
    assert_eq!(verify_partial::<Intl>(&w.honest(), &[&nothing], &w.shop), Err(PairwiseError::Identity));
    // Nor the sum of two commitments.
    let c = element::<Intl>(&Intl::generator());
    let zero = Intl::scalar_from_bytes(&[0; 32]).unwrap();
    let one = Intl::scalar_one();
    let minus = element::<Intl>(&Intl::mul_generator(&Intl::scalar_sub_mul(&zero, &one, &one)));
    assert_eq!(verify_partial::<Intl>(&w.honest(), &[&c, &minus], &w.shop), Err(PairwiseError::Identity));
    // Nor the base.
    let at_identity = Intl::mul(&zero, &w.shop);
    let commitments = w.person.commitments(w.pair, node(1));
    assert_eq!(verify_partial::<Intl>(&w.honest(), &commitments, &at_identity), Err(PairwiseError::Identity));
}

#[test]
fn scalars_that_are_not_canonical_are_refused() {
    let w = world();
    let honest = w.honest();
    for proof in [Dleq { c: Octets([0xff; 32]), s: honest.proof.s }, Dleq { c: honest.proof.c, s: Octets([0xff; 32]) }]
    {
        let lie = Partial { element: honest.element.clone(), proof };
        assert_eq!(w.verdict(&lie), Err(PairwiseError::Scalar));
    }
}

#[test]
fn a_failed_generator_does_not_give_the_key_away() {
    let w = world();
    let x = w.person.assigned(w.pair, node(1));
    // With one k for two challenges, x = (s1 - s2)/(c2 - c1). Here k differs, so the quotient is not x.
    let (one, two) = (evaluate::<Intl>(&x, &w.shop, &StuckRng(7)), evaluate::<Intl>(&x, &w.forum, &StuckRng(7)));
    let read = |octets: &Octets<32>| Intl::scalar_from_bytes(octets.as_slice()).unwrap();
    let unit = Intl::scalar_one();
    let ds = Intl::scalar_sub_mul(&read(&one.proof.s), &unit, &read(&two.proof.s));
    let dc = Intl::scalar_sub_mul(&read(&two.proof.c), &unit, &read(&one.proof.c));
    let zero = Intl::scalar_from_bytes(&[0; 32]).unwrap();
    let minus_ds = Intl::scalar_sub_mul(&zero, &unit, &ds);
    let quotient = Intl::scalar_sub_mul(&zero, &minus_ds, &Intl::scalar_invert(&dc).unwrap());
    assert!(quotient != x);
    // The same question gives the same proof, which tells nothing new.
    assert_eq!(one, evaluate::<Intl>(&x, &w.shop, &StuckRng(7)));
    assert_ne!(one.proof, evaluate::<Intl>(&x, &w.shop, &StuckRng(8)).proof);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_flipped_bit_is_refused(byte in 0_usize..112, bit in 0_u8..8) {
        let w = world();
        let mut partial = w.honest();
        match byte {
            0..48 => partial.element.0.0[byte] ^= 1 << bit,
            48..80 => partial.proof.c.0[byte - 48] ^= 1 << bit,
            _ => partial.proof.s.0[byte - 80] ^= 1 << bit,
        }
        prop_assert!(w.verdict(&partial).is_err());
    }
}

#[test]
fn fuzz_no_message_of_a_node_is_accepted_unless_it_is_the_honest_one() {
    let w = world();
    bolero::check!().with_type::<(Vec<u8>, [u8; 32], [u8; 32])>().for_each(|(bytes, c, s)| {
        let partial = Partial { element: Element(Bytes(bytes.clone())), proof: Dleq { c: Octets(*c), s: Octets(*s) } };
        assert!(w.verdict(&partial).is_err());
        let on_the_group = Partial { element: w.honest().element, ..partial };
        assert!(w.verdict(&on_the_group).is_err());
    });
}

#[test]
fn fuzz_json_of_a_part_is_read_or_refused() {
    let w = world();
    let text = serde_json::to_string(&w.honest()).unwrap();
    assert_eq!(serde_json::from_str::<Partial>(&text).unwrap(), w.honest());
    bolero::check!().with_type::<Vec<u8>>().for_each(|bytes| {
        if let Ok(partial) = serde_json::from_slice::<Partial>(bytes) {
            assert!(w.verdict(&partial).is_err());
        }
    });
}
