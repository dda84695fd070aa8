//! What a lying node may try with the one proof of a sign-in's two evaluations.

use crate::support::{Person, StuckRng, node, rng};
use hufu_kernel::{BothPartials, Bytes, Dleq, Element, Octets, Pair, Partial, framed, random};
use hufu_pairwise::{
    Group, Intl, IntlPure, OwnKeys, PairwiseError, commitment, element, evaluate, evaluate_both, evaluate_both_keeping,
    point, sector_point, verify_both, verify_partial,
};
use proptest::prelude::*;

type Scalar = <Intl as Group>::Scalar;
type Point = <Intl as Group>::Point;

struct World {
    person: Person<Intl>,
    epoch: Person<Intl>,
    pair: Pair,
    shop: Point,
    forum: Point,
}

fn world() -> World {
    let rng = rng(12);
    World {
        person: Person::new(&[random(&rng), random(&rng), random(&rng)]),
        epoch: Person::new(&[random(&rng), random(&rng), random(&rng)]),
        pair: Pair::ALL[0],
        shop: sector_point::<Intl>("https://shop.example"),
        forum: sector_point::<Intl>("https://forum.example"),
    }
}

impl World {
    fn keys(&self) -> [Scalar; 2] {
        [self.person.assigned(self.pair, node(1)), self.epoch.assigned(self.pair, node(1))]
    }

    fn honest(&self) -> BothPartials {
        let [x1, x2] = self.keys();
        evaluate_both::<Intl>(&x1, &x2, &self.shop, &rng(5))
    }

    /// What [`World::honest`] gives, by the way that takes the commitments from the row.
    fn by_row(&self, committed: [&[&Element]; 2]) -> BothPartials {
        let [x1, x2] = self.keys();
        let keys = OwnKeys { pseudonym: &x1, epoch: &x2, committed };
        let (both, points) = evaluate_both_keeping::<Intl>(&keys, &self.shop, &rng(5));
        assert_eq!(points.map(|point| element::<Intl>(&point)), [both.pseudonym.clone(), both.epoch.clone()]);
        both
    }

    fn verdict(&self, both: &BothPartials) -> Result<(), PairwiseError> {
        let pseudonym = self.person.commitments(self.pair, node(1));
        let epoch = self.epoch.commitments(self.pair, node(1));
        verify_both::<Intl>(both, &pseudonym, &epoch, &self.shop).map(|_| ())
    }

    /// w of a message, from the formula and not from the code under test.
    fn weight(&self, pseudonym: &Element, epoch: &Element) -> Scalar {
        Intl::hash_to_field(&self.transcript(pseudonym, epoch), b"HUFU-V1-DLEQ-WEIGHT-INTL")
    }

    fn transcript(&self, pseudonym: &Element, epoch: &Element) -> Vec<u8> {
        let committed = self.keys().map(|x| commitment::<Intl>(&x).0.0);
        framed(&[
            b"hufu-v1-dleq-both",
            b"INTL",
            &Intl::compress(&Intl::generator()),
            &committed[0],
            &committed[1],
            &Intl::compress(&self.shop),
            &pseudonym.0.0,
            &epoch.0.0,
        ])
    }

    /// A node that sends what it likes, and makes the best proof it can with a weight of its choice.
    fn forge(&self, pseudonym: &Point, epoch: &Point, w: &Scalar) -> BothPartials {
        let (pseudonym, epoch) = (element::<Intl>(pseudonym), element::<Intl>(epoch));
        let [x1, x2] = self.keys();
        let k = Intl::random(&rng(6));
        let points = [Intl::mul_generator(&k), Intl::mul(&k, &self.shop)].map(|point| Intl::compress(&point));
        let whole = [self.transcript(&pseudonym, &epoch), framed(&[&points[0], &points[1]])].concat();
        let c = Intl::hash_to_field(&whole, b"HUFU-V1-DLEQ-BOTH-INTL");
        let s = Intl::scalar_sub_mul(&k, &c, &Intl::scalar_add(&x1, &Intl::scalar_mul(w, &x2)));
        let proof = Dleq { c: Octets(*Intl::scalar_to_bytes(&c)), s: Octets(*Intl::scalar_to_bytes(&s)) };
        BothPartials { pseudonym, epoch, proof }
    }

    fn honest_points(&self) -> [Point; 2] {
        self.keys().map(|x| Intl::mul(&x, &self.shop))
    }
}

fn zero() -> Scalar {
    Intl::scalar_from_bytes(&[0; 32]).expect("zero is canonical")
}

#[test]
fn commitments_of_the_row_give_the_same_bytes_as_computed_ones_and_wrong_ones_a_proof_nobody_accepts() {
    let w = world();
    let [c1, c2] = w.keys().map(|x| commitment::<Intl>(&x));
    assert_eq!(w.by_row([&[&c1], &[&c2]]), w.honest());
    assert_eq!(w.by_row([&[&c1, &c2], &[]]), w.honest(), "two assigned keys, or none: computed");
    assert_eq!(w.verdict(&w.by_row([&[&c2], &[&c2]])), Err(PairwiseError::Proof));
    assert_eq!(w.verdict(&w.by_row([&[&c1], &[&c1]])), Err(PairwiseError::Proof));
}

#[test]
fn honest_parts_verify_for_every_member_of_every_pair_and_are_those_of_single_evaluations() {
    let w = world();
    for pair in Pair::ALL {
        for index in pair.members() {
            let (x1, x2) = (w.person.assigned(pair, index), w.epoch.assigned(pair, index));
            let both = evaluate_both::<Intl>(&x1, &x2, &w.shop, &rng(5));
            let committed = (w.person.commitments(pair, index), w.epoch.commitments(pair, index));
            let points = verify_both::<Intl>(&both, &committed.0, &committed.1, &w.shop).unwrap();
            assert_eq!(points, (Intl::mul(&x1, &w.shop), Intl::mul(&x2, &w.shop)));
            assert_eq!(both.pseudonym, evaluate::<Intl>(&x1, &w.shop, &rng(7)).element);
        }
    }
}

#[test]
fn commitments_must_be_there_all_of_them_and_each_in_its_place() {
    let w = world();
    let both = w.honest();
    let (p, e) = (w.person.commitments(w.pair, node(1)), w.epoch.commitments(w.pair, node(1)));
    let verdict = |p: &[&Element], e: &[&Element]| verify_both::<Intl>(&both, p, e, &w.shop).map(|_| ());
    assert_eq!(verdict(&p, &e), Ok(()));
    assert_eq!(verdict(&[], &e), Err(PairwiseError::Parts));
    assert_eq!(verdict(&p, &[]), Err(PairwiseError::Parts));
    // Node 1 of this pair serves two sub-keys: one commitment alone is not enough.
    assert_eq!(verdict(&p[..1], &e), Err(PairwiseError::Proof));
    assert_eq!(verdict(&p, &e[..1]), Err(PairwiseError::Proof));
    assert_eq!(verdict(&e, &p), Err(PairwiseError::Proof));
}

#[test]
fn swapped_elements_are_refused_with_and_without_swapped_commitments() {
    let w = world();
    let honest = w.honest();
    let swapped = BothPartials { pseudonym: honest.epoch, epoch: honest.pseudonym, proof: honest.proof };
    assert_eq!(w.verdict(&swapped), Err(PairwiseError::Proof));
    // The same two true statements in the other order are another statement.
    let (p, e) = (w.person.commitments(w.pair, node(1)), w.epoch.commitments(w.pair, node(1)));
    assert_eq!(verify_both::<Intl>(&swapped, &e, &p, &w.shop), Err(PairwiseError::Proof));
    // And with the best proof a node can make for the swap.
    let [e1, e2] = w.honest_points();
    let weight = w.weight(&swapped.pseudonym, &swapped.epoch);
    assert_eq!(w.verdict(&w.forge(&e2, &e1, &weight)), Err(PairwiseError::Proof));
}

#[test]
fn a_lie_in_one_of_the_two_is_refused() {
    let w = world();
    let [e1, e2] = w.honest_points();
    let g = Intl::generator();
    for (e1, e2) in [(Intl::add(&e1, &g), e2), (e1, Intl::add(&e2, &g))] {
        let lie = BothPartials { pseudonym: element::<Intl>(&e1), epoch: element::<Intl>(&e2), ..w.honest() };
        assert_eq!(w.verdict(&lie), Err(PairwiseError::Proof));
        let weight = w.weight(&lie.pseudonym, &lie.epoch);
        assert_eq!(w.verdict(&w.forge(&e1, &e2, &weight)), Err(PairwiseError::Proof));
    }
}

#[test]
fn errors_that_cancel_under_a_foreseen_weight_are_refused() {
    let w = world();
    let [e1, e2] = w.honest_points();
    // The forger is a good prover: with the right weight and no error it convinces.
    let right = w.weight(&element::<Intl>(&e1), &element::<Intl>(&e2));
    assert_eq!(w.verdict(&w.forge(&e1, &e2, &right)), Ok(()));
    // E1 + D, E2 − D/w' cancels in the composite for w' = w of the honest message, 1, or any weight chosen before.
    for foreseen in [right, Intl::scalar_one(), Intl::random(&rng(9))] {
        let d = Intl::random(&rng(8));
        let minus_d_by_w = Intl::scalar_sub_mul(&zero(), &d, &Intl::scalar_invert(&foreseen).unwrap());
        let lie1 = Intl::add(&e1, &Intl::mul(&d, &w.shop));
        let lie2 = Intl::add(&e2, &Intl::mul(&minus_d_by_w, &w.shop));
        let composite = |a: &Point, b: &Point| Intl::add(a, &Intl::mul(&foreseen, b));
        assert_eq!(composite(&lie1, &lie2), composite(&e1, &e2));
        let real = w.weight(&element::<Intl>(&lie1), &element::<Intl>(&lie2));
        for weight in [&foreseen, &real] {
            assert_eq!(w.verdict(&w.forge(&lie1, &lie2, weight)), Err(PairwiseError::Proof));
        }
        let kept = BothPartials { pseudonym: element::<Intl>(&lie1), epoch: element::<Intl>(&lie2), ..w.honest() };
        assert_eq!(w.verdict(&kept), Err(PairwiseError::Proof));
    }
}

#[test]
fn a_proof_with_another_weight_is_refused() {
    let w = world();
    let [e1, e2] = w.honest_points();
    let at_forum = w.keys().map(|x| element::<Intl>(&Intl::mul(&x, &w.forum)));
    for weight in [zero(), Intl::scalar_one(), w.weight(&at_forum[0], &at_forum[1])] {
        assert_eq!(w.verdict(&w.forge(&e1, &e2, &weight)), Err(PairwiseError::Proof));
    }
}

#[test]
fn a_proof_for_another_base_epoch_or_person_is_refused() {
    let w = world();
    let [x1, x2] = w.keys();
    let honest = w.honest();
    let other = Person::<Intl>::new(&[[1; 32], [2; 32], [3; 32]]).assigned(w.pair, node(1));
    for replayed in [
        evaluate_both::<Intl>(&x1, &x2, &w.forum, &rng(5)),
        evaluate_both::<Intl>(&x1, &other, &w.shop, &rng(5)),
        evaluate_both::<Intl>(&other, &x2, &w.shop, &rng(5)),
    ] {
        assert_eq!(w.verdict(&replayed), Err(PairwiseError::Proof));
        let proof = BothPartials { proof: replayed.proof.clone(), ..honest.clone() };
        assert_eq!(w.verdict(&proof), Err(PairwiseError::Proof));
        let elements = BothPartials { proof: honest.proof.clone(), ..replayed };
        assert_eq!(w.verdict(&elements), Err(PairwiseError::Proof));
    }
    // Only the epoch's element replaced by that of the epoch before.
    let old = evaluate_both::<Intl>(&x1, &other, &w.shop, &rng(5));
    assert_eq!(w.verdict(&BothPartials { epoch: old.epoch, ..honest }), Err(PairwiseError::Proof));
}

#[test]
fn proofs_of_one_and_of_both_do_not_stand_for_each_other() {
    let w = world();
    let [x1, x2] = w.keys();
    let honest = w.honest();
    for x in [&x1, &x2] {
        let single = evaluate::<Intl>(x, &w.shop, &rng(5)).proof;
        assert_eq!(w.verdict(&BothPartials { proof: single, ..honest.clone() }), Err(PairwiseError::Proof));
    }
    // The composite is a true statement of a single proof, under another tag.
    let weight = w.weight(&honest.pseudonym, &honest.epoch);
    let x = Intl::scalar_add(&x1, &Intl::scalar_mul(&weight, &x2));
    let single = evaluate::<Intl>(&x, &w.shop, &rng(5));
    let composite = commitment::<Intl>(&x);
    assert!(verify_partial::<Intl>(&single, &[&composite], &w.shop).is_ok());
    let mixed = Partial { proof: honest.proof.clone(), ..single.clone() };
    assert_eq!(verify_partial::<Intl>(&mixed, &[&composite], &w.shop), Err(PairwiseError::Proof));
    assert_eq!(w.verdict(&BothPartials { proof: single.proof, ..honest }), Err(PairwiseError::Proof));
}

#[test]
fn the_identity_and_points_outside_the_group_are_refused_in_every_place() {
    let w = world();
    let mut identity = vec![0; 48];
    identity[0] = 0xc0;
    let mut order_three = vec![0; 48];
    order_three[0] = 0x80;
    let (p, e) = (w.person.commitments(w.pair, node(1)), w.epoch.commitments(w.pair, node(1)));
    for (bytes, why) in [
        (identity, PairwiseError::Identity),
        (order_three, PairwiseError::Point),
        (vec![0xff; 48], PairwiseError::Point),
        (vec![], PairwiseError::Point),
    ] {
        let bad = Element(Bytes(bytes));
        assert_eq!(w.verdict(&BothPartials { pseudonym: bad.clone(), ..w.honest() }), Err(why));
        assert_eq!(w.verdict(&BothPartials { epoch: bad.clone(), ..w.honest() }), Err(why));
        assert_eq!(verify_both::<Intl>(&w.honest(), &[&bad], &e, &w.shop), Err(why));
        assert_eq!(verify_both::<Intl>(&w.honest(), &p, &[&bad], &w.shop), Err(why));
    }
    // Nor the sum of two commitments, nor the base.
    let c = element::<Intl>(&Intl::generator());
    let one = Intl::scalar_one();
    let minus = element::<Intl>(&Intl::mul_generator(&Intl::scalar_sub_mul(&zero(), &one, &one)));
    assert_eq!(verify_both::<Intl>(&w.honest(), &[&c, &minus], &e, &w.shop), Err(PairwiseError::Identity));
    assert_eq!(verify_both::<Intl>(&w.honest(), &p, &[&c, &minus], &w.shop), Err(PairwiseError::Identity));
    let at_identity = Intl::mul(&zero(), &w.shop);
    assert_eq!(verify_both::<Intl>(&w.honest(), &p, &e, &at_identity), Err(PairwiseError::Identity));
}

#[test]
fn scalars_that_are_not_canonical_are_refused() {
    let w = world();
    let honest = w.honest();
    for proof in [Dleq { c: Octets([0xff; 32]), s: honest.proof.s }, Dleq { c: honest.proof.c, s: Octets([0xff; 32]) }]
    {
        assert_eq!(w.verdict(&BothPartials { proof, ..honest.clone() }), Err(PairwiseError::Scalar));
    }
}

#[test]
fn a_failed_generator_does_not_give_the_keys_away() {
    let w = world();
    let [x1, x2] = w.keys();
    let [_, other] = [&w.person, &w.epoch].map(|keys| keys.assigned(w.pair, node(2)));
    let first = evaluate_both::<Intl>(&x1, &x2, &w.shop, &StuckRng(7));
    let unit = Intl::scalar_one();
    let minus = |a: &Scalar, b: &Scalar| Intl::scalar_sub_mul(a, &unit, b);
    let read = |octets: &Octets<32>| Intl::scalar_from_bytes(octets.as_slice()).unwrap();
    // With one k, s1 − s2 = c2·y2 − c1·y1 for the combined secrets y: here k differs, by base and by either secret.
    for second in [
        evaluate_both::<Intl>(&x1, &x2, &w.forum, &StuckRng(7)),
        evaluate_both::<Intl>(&x1, &other, &w.shop, &StuckRng(7)),
        evaluate_both::<Intl>(&other, &x2, &w.shop, &StuckRng(7)),
    ] {
        assert!(first.proof.c != second.proof.c && first.proof.s != second.proof.s);
    }
    let second = evaluate_both::<Intl>(&x1, &x2, &w.forum, &StuckRng(7));
    let secret = |both: &BothPartials, weight: &Scalar| {
        let y = Intl::scalar_add(&x1, &Intl::scalar_mul(weight, &x2));
        Intl::scalar_add(&read(&both.proof.s), &Intl::scalar_mul(&read(&both.proof.c), &y))
    };
    let forum = World { shop: w.forum, ..world() };
    let k1 = secret(&first, &w.weight(&first.pseudonym, &first.epoch));
    let k2 = secret(&second, &forum.weight(&second.pseudonym, &second.epoch));
    assert!(minus(&k1, &k2) != zero());
    // The same question gives the same proof, which tells nothing new.
    assert_eq!(first, evaluate_both::<Intl>(&x1, &x2, &w.shop, &StuckRng(7)));
    assert_ne!(first.proof, evaluate_both::<Intl>(&x1, &x2, &w.shop, &StuckRng(8)).proof);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_flipped_bit_is_refused(byte in 0_usize..160, bit in 0_u8..8) {
        let w = world();
        let mut both = w.honest();
        match byte {
            0..48 => both.pseudonym.0.0[byte] ^= 1 << bit,
            48..96 => both.epoch.0.0[byte - 48] ^= 1 << bit,
            96..128 => both.proof.c.0[byte - 96] ^= 1 << bit,
            _ => both.proof.s.0[byte - 128] ^= 1 << bit,
        }
        prop_assert!(w.verdict(&both).is_err());
    }

    #[test]
    fn both_adapters_make_the_same_bytes_and_read_each_others(prf1: [u8; 32], prf2: [u8; 32], seed: u64) {
        let (x, y) = (Intl::hash_to_scalar(&prf1), IntlPure::hash_to_scalar(&prf1));
        let (x2, y2) = (Intl::hash_to_scalar(&prf2), IntlPure::hash_to_scalar(&prf2));
        let base = sector_point::<IntlPure>("https://shop.example");
        let native = evaluate_both::<Intl>(&x, &x2, &sector_point::<Intl>("https://shop.example"), &rng(seed));
        prop_assert_eq!(&native, &evaluate_both::<IntlPure>(&y, &y2, &base, &rng(seed)));
        let (c1, c2) = (commitment::<IntlPure>(&y), commitment::<IntlPure>(&y2));
        prop_assert!(verify_both::<IntlPure>(&native, &[&c1], &[&c2], &base).is_ok());
    }
}

#[test]
fn fuzz_no_message_of_a_node_is_accepted_unless_it_is_the_honest_one() {
    let w = world();
    let honest = w.honest();
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>, [u8; 32], [u8; 32])>().for_each(|(a, b, c, s)| {
        let [pseudonym, epoch] = [a, b].map(|bytes| Element(Bytes(bytes.clone())));
        let both = BothPartials { pseudonym, epoch, proof: Dleq { c: Octets(*c), s: Octets(*s) } };
        assert!(w.verdict(&both).is_err());
        assert!(w.verdict(&BothPartials { proof: both.proof, ..honest.clone() }).is_err());
    });
}

#[test]
fn fuzz_json_of_both_parts_is_read_or_refused() {
    let w = world();
    let text = serde_json::to_string(&w.honest()).unwrap();
    assert_eq!(serde_json::from_str::<BothPartials>(&text).unwrap(), w.honest());
    bolero::check!().with_type::<Vec<u8>>().for_each(|bytes| {
        if let Ok(both) = serde_json::from_slice::<BothPartials>(bytes) {
            assert!(w.verdict(&both).is_err());
        }
    });
}

#[test]
fn points_given_back_are_those_of_the_message() {
    let w = world();
    let both = w.honest();
    let (p, e) = (w.person.commitments(w.pair, node(1)), w.epoch.commitments(w.pair, node(1)));
    let (pseudonym, epoch) = verify_both::<Intl>(&both, &p, &e, &w.shop).unwrap();
    assert_eq!((pseudonym, epoch), (point::<Intl>(&both.pseudonym).unwrap(), point::<Intl>(&both.epoch).unwrap()));
}
