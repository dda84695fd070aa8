//! A prime-order group as the constructions need it. Adapters over other people's curves implement it.

use crate::PairwiseError;
use bls12_381_plus::elliptic_curve::hash2curve::{ExpandMsg, Expander};
use hufu_kernel::Rng;
use std::fmt::Debug;
use zeroize::{Zeroize, Zeroizing};

/// A prime-order group with canonical encodings.
///
/// Scalars are 32 bytes in the group's usual order of bytes (big-endian for INTL, little-endian for ristretto255).
/// Points that exist as [`Group::Point`] are in the group; only [`Group::decompress`] makes them from untrusted bytes.
pub trait Group: 'static {
    /// The name in domain-separation tags: `INTL`, `RISTRETTO255`.
    const NAME: &'static str;
    /// An integer modulo the group order; wiped when dropped.
    type Scalar: Clone + PartialEq + Zeroize + Send + Sync;
    /// An element of the group.
    type Point: Clone + PartialEq + Debug + Send + Sync;

    /// RFC 9380 `hash_to_field` to the group order with 48 bytes, `expand_message_xmd` and the tag `dst`.
    fn hash_to_field(msg: &[u8], dst: &[u8]) -> Self::Scalar;
    /// The standard generator G.
    fn generator() -> Self::Point;
    /// a + b.
    fn add(a: &Self::Point, b: &Self::Point) -> Self::Point;
    /// x·P in constant time.
    fn mul(x: &Self::Scalar, point: &Self::Point) -> Self::Point;
    /// x·G in constant time.
    fn mul_generator(x: &Self::Scalar) -> Self::Point {
        Self::mul(x, &Self::generator())
    }
    /// The sum of scalar·point for *public* values only: may take variable time.
    fn sum_mul_public<const N: usize>(terms: [(&Self::Scalar, &Self::Point); N]) -> Self::Point;
    /// Whether this is the identity element.
    fn is_identity(point: &Self::Point) -> bool;
    /// The canonical encoding.
    fn compress(point: &Self::Point) -> Vec<u8>;
    /// Reads a canonical encoding.
    ///
    /// # Errors
    /// [`PairwiseError::Identity`] for the identity, [`PairwiseError::Point`] for anything else that is not the
    /// canonical encoding of an element of the prime-order group.
    fn decompress(bytes: &[u8]) -> Result<Self::Point, PairwiseError>;

    /// a + b modulo the order.
    fn scalar_add(a: &Self::Scalar, b: &Self::Scalar) -> Self::Scalar;
    /// a − b·c modulo the order: the response of a Chaum-Pedersen proof.
    fn scalar_sub_mul(a: &Self::Scalar, b: &Self::Scalar, c: &Self::Scalar) -> Self::Scalar;
    /// a·b modulo the order.
    fn scalar_mul(a: &Self::Scalar, b: &Self::Scalar) -> Self::Scalar;
    /// 1/a; `None` for zero.
    fn scalar_invert(a: &Self::Scalar) -> Option<Self::Scalar>;
    /// The integer 1.
    fn scalar_one() -> Self::Scalar;
    /// The 32-byte encoding.
    fn scalar_to_bytes(x: &Self::Scalar) -> Zeroizing<[u8; 32]>;
    /// Reads a canonical 32-byte encoding, zero included.
    ///
    /// # Errors
    /// [`PairwiseError::Scalar`] for another length or a number not below the order.
    fn scalar_from_bytes(bytes: &[u8]) -> Result<Self::Scalar, PairwiseError>;
    /// A 48-byte big-endian number modulo the order.
    fn scalar_from_wide(bytes: &[u8; 48]) -> Self::Scalar;

    /// H2S of flows 1: [`Group::hash_to_field`] with the tag `HUFU-V1-H2S-<name>`.
    fn hash_to_scalar(msg: &[u8]) -> Self::Scalar {
        Self::hash_to_field(msg, &tag("HUFU-V1-H2S-", Self::NAME))
    }

    /// A uniform scalar that is not zero.
    fn random(rng: &dyn Rng) -> Self::Scalar {
        let mut wide = Zeroizing::new([0; 48]);
        rng.fill(&mut *wide);
        let x = Self::scalar_from_wide(&wide);
        // Zero has probability 2^-255 or means a dead generator; one keeps the contract without a loop.
        if Self::scalar_invert(&x).is_some() { x } else { Self::scalar_one() }
    }
}

pub(crate) fn tag(prefix: &str, name: &str) -> Vec<u8> {
    [prefix.as_bytes(), name.as_bytes()].concat()
}

/// RFC 9380 section 5.3.1 `expand_message_xmd`, filled into `out`.
#[expect(clippy::expect_used, reason = "every tag and length given here is a constant within the limits of RFC 9380")]
pub(crate) fn expand<X: for<'a> ExpandMsg<'a>>(msg: &[u8], dst: &[u8], out: &mut [u8]) {
    let dsts = [dst];
    let mut expander = X::expand_message(&[msg], &dsts, out.len()).expect("lengths are within RFC 9380");
    expander.fill_bytes(out);
}
