//! ristretto255 (RFC 9496) over curve25519-dalek: the group of both threshold OPRFs.

use crate::group::expand;
use crate::{Group, PairwiseError};
use bls12_381_plus::elliptic_curve::hash2curve::ExpandMsgXmd;
use curve25519_dalek::Scalar;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::traits::{Identity as _, VartimeMultiscalarMul as _};
use sha2_xmd::Sha512;
use zeroize::{Zeroize, Zeroizing};

/// An integer modulo the order of ristretto255; wiped when dropped.
#[derive(Clone, PartialEq)]
pub(crate) struct RistrettoScalar(pub(crate) Scalar);

impl Zeroize for RistrettoScalar {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl Drop for RistrettoScalar {
    fn drop(&mut self) {
        self.zeroize();
    }
}

/// The group with SHA-512.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ristretto;

impl Ristretto {
    /// RFC 9497 section 4.1 `HashToGroup`: 64 expanded bytes through the one-way map of RFC 9496.
    pub(crate) fn hash_to_group(msg: &[u8], dst: &[u8]) -> RistrettoPoint {
        let mut wide = Zeroizing::new([0; 64]);
        expand::<ExpandMsgXmd<Sha512>>(msg, dst, &mut *wide);
        RistrettoPoint::from_uniform_bytes(&wide)
    }
}

impl Group for Ristretto {
    const NAME: &'static str = "RISTRETTO255";
    type Scalar = RistrettoScalar;
    type Point = RistrettoPoint;

    fn hash_to_field(msg: &[u8], dst: &[u8]) -> Self::Scalar {
        let mut wide = Zeroizing::new([0; 48]);
        expand::<ExpandMsgXmd<Sha512>>(msg, dst, &mut *wide);
        Self::scalar_from_wide(&wide)
    }
    fn generator() -> Self::Point {
        RISTRETTO_BASEPOINT_POINT
    }
    fn add(a: &Self::Point, b: &Self::Point) -> Self::Point {
        a + b
    }
    fn mul(x: &Self::Scalar, point: &Self::Point) -> Self::Point {
        point * x.0
    }
    fn mul_generator(x: &Self::Scalar) -> Self::Point {
        RistrettoPoint::mul_base(&x.0)
    }
    fn sum_mul_public<const N: usize>(terms: [(&Self::Scalar, &Self::Point); N]) -> Self::Point {
        RistrettoPoint::vartime_multiscalar_mul(terms.map(|(x, _)| x.0), terms.map(|(_, point)| point))
    }
    fn is_identity(point: &Self::Point) -> bool {
        *point == RistrettoPoint::identity()
    }
    fn compress(point: &Self::Point) -> Vec<u8> {
        point.compress().to_bytes().to_vec()
    }
    fn decompress(bytes: &[u8]) -> Result<Self::Point, PairwiseError> {
        let compressed = CompressedRistretto::from_slice(bytes).map_err(|_| PairwiseError::Point)?;
        // RFC 9496 section 4.3.1: decoding refuses every encoding that is not canonical.
        let point = compressed.decompress().ok_or(PairwiseError::Point)?;
        if Self::is_identity(&point) { Err(PairwiseError::Identity) } else { Ok(point) }
    }
    fn scalar_add(a: &Self::Scalar, b: &Self::Scalar) -> Self::Scalar {
        RistrettoScalar(a.0 + b.0)
    }
    fn scalar_sub_mul(a: &Self::Scalar, b: &Self::Scalar, c: &Self::Scalar) -> Self::Scalar {
        RistrettoScalar(a.0 - b.0 * c.0)
    }
    fn scalar_mul(a: &Self::Scalar, b: &Self::Scalar) -> Self::Scalar {
        RistrettoScalar(a.0 * b.0)
    }
    fn scalar_invert(a: &Self::Scalar) -> Option<Self::Scalar> {
        (a.0 != Scalar::ZERO).then(|| RistrettoScalar(a.0.invert()))
    }
    fn scalar_one() -> Self::Scalar {
        RistrettoScalar(Scalar::ONE)
    }
    fn scalar_to_bytes(x: &Self::Scalar) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(x.0.to_bytes())
    }
    fn scalar_from_bytes(bytes: &[u8]) -> Result<Self::Scalar, PairwiseError> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| PairwiseError::Scalar)?;
        Option::from(Scalar::from_canonical_bytes(bytes)).map(RistrettoScalar).ok_or(PairwiseError::Scalar)
    }
    fn scalar_from_wide(bytes: &[u8; 48]) -> Self::Scalar {
        let mut le = Zeroizing::new([0; 64]);
        for (to, from) in le.iter_mut().zip(bytes.iter().rev()) {
            *to = *from;
        }
        RistrettoScalar(Scalar::from_bytes_mod_order_wide(&le))
    }
}
