//! Moving a person's sub-keys to new K_A without changing any pseudonym (flows 1; docs/decisions/0017).
//!
//! The three nodes flip a key Z together with the new K_A. From it and the person's root comes a zero sum, so that every sub-key
//! changes and their sum does not:
//!
//! ```text
//! z_12 = H2S(HMAC(Z, "hufu-v1-zero" ‖ "12" ‖ root_u))     z_13 likewise     z_23 = −(z_12 + z_13)
//! d'_A = H2S(HMAC(K_A, root_u)) + d_A + z_A − H2S(HMAC(K'_A, root_u))       so that e'_A = e_A + z_A
//! C'_A = C_A + z_A·G
//! ```
//!
//! The present epoch's sub-keys move the same way, with "hufu-v1-zero-epoch" ‖ A ‖ root_u ‖ epoch under Z, and
//! "hufu-v1-epoch" ‖ root_u ‖ epoch under K_A. Every node can do all of this alone and arrives at the same.

use crate::pseudonym::{element, point};
use crate::{PairwiseError, Suite};
use hufu_kernel::{Element, Subset, framed};
use zeroize::Zeroizing;

/// What Z is applied to for subset 12 or 13: of the pseudonym's sub-keys, or of one epoch's.
#[must_use]
pub fn zero_message(subset: Subset, root_u: &[u8], epoch: Option<&[u8]>) -> Vec<u8> {
    match epoch {
        None => framed(&[b"hufu-v1-zero", subset.name().as_bytes(), root_u]),
        Some(epoch) => framed(&[b"hufu-v1-zero-epoch", subset.name().as_bytes(), root_u, epoch]),
    }
}

/// z_12, z_13, z_23 from HMAC(Z, [`zero_message`]) for 12 and 13. Their sum is zero.
#[must_use]
pub fn zero_sum<S: Suite>(prf_12: &[u8; 32], prf_13: &[u8; 32]) -> [S::Scalar; 3] {
    let (z_12, z_13) = (S::hash_to_scalar(prf_12), S::hash_to_scalar(prf_13));
    let z_23 = negated::<S>(&S::scalar_add(&z_12, &z_13));
    [z_12, z_13, z_23]
}

/// The zero sum of the way back: from the new keys to the ones before, as long as somebody still has both.
#[must_use]
pub fn way_back<S: Suite>(zero: &[S::Scalar; 3]) -> [S::Scalar; 3] {
    zero.each_ref().map(negated::<S>)
}

fn negated<S: Suite>(x: &S::Scalar) -> S::Scalar {
    // x − 2·x
    let two = S::scalar_add(&S::scalar_one(), &S::scalar_one());
    S::scalar_sub_mul(x, &two, x)
}

/// d'_A, a canonical scalar: `e` is the present sub-key e_A, `z` its part of the zero sum, `prf` HMAC under the new K_A.
#[must_use]
pub fn moved_offset<S: Suite>(e: &S::Scalar, z: &S::Scalar, prf: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let due = S::scalar_add(e, z);
    S::scalar_to_bytes(&S::scalar_sub_mul(&due, &S::scalar_one(), &S::hash_to_scalar(prf)))
}

/// C'_A = C_A + z_A·G: a node computes it for the subset it does not hold, too.
///
/// # Errors
/// [`PairwiseError::Point`] or [`PairwiseError::Identity`] for a commitment that is none.
pub fn moved_commitment<S: Suite>(held: &Element, z: &S::Scalar) -> Result<Element, PairwiseError> {
    Ok(element::<S>(&S::add(&point::<S>(held)?, &S::mul_generator(z))))
}

/// Whether two triples of commitments have one sum: what a wallet asks of commitments that are said to have moved.
///
/// # Errors
/// [`PairwiseError::Point`] or [`PairwiseError::Identity`] for a commitment that is none.
pub fn same_sum<S: Suite>(one: [&Element; 3], other: [&Element; 3]) -> Result<bool, PairwiseError> {
    let sum = |[a, b, c]: [&Element; 3]| -> Result<S::Point, PairwiseError> {
        Ok(S::add(&S::add(&point::<S>(a)?, &point::<S>(b)?), &point::<S>(c)?))
    };
    Ok(sum(one)? == sum(other)?)
}
