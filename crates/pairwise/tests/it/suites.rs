//! The two adapters of INTL give the same bytes, and only canonical points of the subgroup come in.

use crate::support::{rng, unhex};
use hufu_kernel::{Rng as _, random};
use hufu_pairwise::{Group, Intl, IntlPure, PairwiseError, Suite};
use proptest::prelude::*;

fn scalar<S: Suite>(wide: &[u8; 48]) -> S::Scalar {
    S::scalar_from_wide(wide)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn both_adapters_give_the_same_bytes(msg: Vec<u8>, a: [u8; 16], seed: u64) {
        let wide: [u8; 48] = random(&rng(seed));
        let (x, y) = (scalar::<Intl>(&wide), scalar::<IntlPure>(&wide));
        prop_assert_eq!(Intl::scalar_to_bytes(&x), IntlPure::scalar_to_bytes(&y));
        let (p, q) = (Intl::hash_to_group(&msg), IntlPure::hash_to_group(&msg));
        prop_assert_eq!(Intl::compress(&p), IntlPure::compress(&q));
        let (xp, yq) = (Intl::mul(&x, &p), IntlPure::mul(&y, &q));
        prop_assert_eq!(Intl::compress(&xp), IntlPure::compress(&yq));
        prop_assert_eq!(Intl::compress(&Intl::add(&p, &xp)), IntlPure::compress(&IntlPure::add(&q, &yq)));
        prop_assert_eq!(Intl::compress(&Intl::add(&p, &p)), IntlPure::compress(&IntlPure::add(&q, &q)));
        let (b, c) = (Intl::hash_to_scalar(&a), IntlPure::hash_to_scalar(&a));
        prop_assert_eq!(
            Intl::compress(&Intl::sum_mul_public([(&b, &p), (&x, &xp)])),
            IntlPure::compress(&IntlPure::sum_mul_public([(&c, &q), (&y, &yq)]))
        );
        prop_assert_eq!(
            Intl::compress(&Intl::sum_mul_public([(&b, &p), (&x, &xp), (&x, &p)])),
            IntlPure::compress(&IntlPure::sum_mul_public([(&c, &q), (&y, &yq), (&y, &q)]))
        );
        prop_assert_eq!(Intl::compress(&Intl::mul_generator(&x)), IntlPure::compress(&IntlPure::mul_generator(&y)));
    }
}

#[test]
fn a_sum_of_multiplications_agrees_with_single_ones_on_edge_cases() {
    let zero = Intl::scalar_from_bytes(&[0; 32]).expect("zero is canonical");
    let one = Intl::scalar_one();
    let g = Intl::generator();
    let identity = Intl::mul(&zero, &g);
    assert!(Intl::is_identity(&identity));
    let minus_one = Intl::scalar_sub_mul(&zero, &one, &one);
    let points = [&g, &identity, &Intl::mul(&minus_one, &g)];
    for a in [&zero, &one, &minus_one] {
        for b in [&zero, &one, &minus_one] {
            for p in points {
                for q in points {
                    let two = Intl::add(&Intl::mul(a, p), &Intl::mul(b, q));
                    assert_eq!(Intl::sum_mul_public([(a, p), (b, q)]), two);
                    for (c, r) in [(a, q), (b, p), (&minus_one, p)] {
                        let three = Intl::add(&two, &Intl::mul(c, r));
                        assert_eq!(Intl::sum_mul_public([(a, p), (b, q), (c, r)]), three);
                    }
                }
            }
        }
    }
}

/// Both adapters' verdicts, which must be one verdict.
fn read(bytes: &[u8]) -> Result<Vec<u8>, PairwiseError> {
    let native = Intl::decompress(bytes).map(|p| Intl::compress(&p));
    assert_eq!(native, IntlPure::decompress(bytes).map(|p| IntlPure::compress(&p)), "{}", hufu_kernel::hex(bytes));
    native
}

#[test]
fn the_identity_is_refused() {
    let mut identity = vec![0; 48];
    identity[0] = 0xc0;
    assert_eq!(read(&identity), Err(PairwiseError::Identity));
    // With the sign flag or a stray bit it is not even the identity.
    identity[0] = 0xe0;
    assert_eq!(read(&identity), Err(PairwiseError::Point));
    identity[0] = 0xc0;
    identity[47] = 1;
    assert_eq!(read(&identity), Err(PairwiseError::Point));
}

#[test]
fn points_off_the_curve_and_outside_the_subgroup_are_refused() {
    // Of the x-coordinates 0 to 63, about half lie on the curve, and of those one in 2^125 in the subgroup.
    for x in 0..64 {
        for sign in [0x80, 0xa0] {
            let mut bytes = vec![0; 48];
            bytes[0] = sign;
            bytes[47] = x;
            assert_eq!(read(&bytes), Err(PairwiseError::Point), "x = {x}");
        }
    }
    // x = 0, y = ±2 has order 3: the small-order point that would give away a key modulo 3.
    let mut small = vec![0; 48];
    small[0] = 0x80;
    assert_eq!(read(&small), Err(PairwiseError::Point));
}

#[test]
fn coordinates_that_are_not_below_the_field_order_are_refused() {
    let p = unhex("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab");
    let mut bytes = p.clone();
    bytes[0] |= 0x80;
    assert_eq!(read(&bytes), Err(PairwiseError::Point));
    let mut all_ones = vec![0xff; 48];
    all_ones[0] = 0x9f;
    assert_eq!(read(&all_ones), Err(PairwiseError::Point));
}

#[test]
fn other_lengths_and_the_uncompressed_form_are_refused() {
    let g = Intl::compress(&Intl::generator());
    assert_eq!(read(&g), Ok(g.clone()));
    assert_eq!(read(&g[..47]), Err(PairwiseError::Point));
    assert_eq!(read(&[g.as_slice(), &[0]].concat()), Err(PairwiseError::Point));
    assert_eq!(read(&[]), Err(PairwiseError::Point));
    let mut uncompressed_flag = g.clone();
    uncompressed_flag[0] &= 0x7f;
    assert_eq!(read(&uncompressed_flag), Err(PairwiseError::Point));
}

#[test]
fn scalars_not_below_the_order_are_refused() {
    let order = unhex("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");
    assert!(matches!(Intl::scalar_from_bytes(&order), Err(PairwiseError::Scalar)));
    assert!(matches!(Intl::scalar_from_bytes(&[0xff; 32]), Err(PairwiseError::Scalar)));
    assert!(matches!(Intl::scalar_from_bytes(&[0; 31]), Err(PairwiseError::Scalar)));
    let mut below = order;
    below[31] = 0;
    assert!(Intl::scalar_from_bytes(&below).is_ok());
}

#[test]
fn fuzz_whatever_is_read_as_a_point_is_its_only_encoding() {
    bolero::check!().with_type::<Vec<u8>>().for_each(|bytes| {
        // Also with a plausible length and flags, or nearly every input would fail on its length.
        let mut shaped: Vec<u8> = bytes.iter().copied().chain(std::iter::repeat(0)).take(48).collect();
        shaped[0] |= 0x80;
        for candidate in [bytes.as_slice(), &shaped] {
            if let Ok(again) = read(candidate) {
                assert_eq!(again, candidate);
            }
            if let Ok(x) = Intl::scalar_from_bytes(candidate) {
                assert_eq!(Intl::scalar_to_bytes(&x).as_slice(), candidate);
            }
        }
    });
}

#[test]
fn random_scalars_are_never_zero_even_from_a_dead_generator() {
    let dead = crate::support::StuckRng(0);
    assert!(Intl::scalar_invert(&Intl::random(&dead)).is_some());
    let mut twice = [0; 4];
    rng(1).fill(&mut twice);
    assert_ne!(Intl::scalar_to_bytes(&Intl::random(&rng(1))), Intl::scalar_to_bytes(&Intl::random(&rng(2))));
}
