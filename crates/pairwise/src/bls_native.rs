//! Suite INTL over blst: servers. The C functions are called here and nowhere else.
#![expect(
    unsafe_code,
    reason = "blst's group operations are C functions without a safe binding; each call passes whole, initialised values"
)]

use crate::bls_pure::intl_scalars;
use crate::suite::{INTL_H2G, sha256};
use crate::{Group, PairwiseError, Suite, SuiteId};
use blst::{BLST_ERROR, blst_p1, blst_p1_affine};
use std::fmt;
use zeroize::Zeroizing;

/// An element of BLS12-381 G1.
#[derive(Clone, Copy)]
pub struct G1(blst_p1);

impl PartialEq for G1 {
    fn eq(&self, other: &Self) -> bool {
        // SAFETY: reads two initialised points.
        unsafe { blst::blst_p1_is_equal(&raw const self.0, &raw const other.0) }
    }
}

impl fmt::Debug for G1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hufu_kernel::hex(&IntlNative::compress(self)))
    }
}

/// Suite INTL by blst.
#[derive(Debug, Clone, Copy)]
pub struct IntlNative;

const BITS: usize = 255;

impl Group for IntlNative {
    intl_scalars!();
    type Point = G1;

    fn generator() -> Self::Point {
        // SAFETY: a pointer to blst's static generator.
        G1(unsafe { *blst::blst_p1_generator() })
    }
    fn add(a: &Self::Point, b: &Self::Point) -> Self::Point {
        let mut out = blst_p1::default();
        // SAFETY: reads two initialised points, writes one.
        unsafe { blst::blst_p1_add_or_double(&raw mut out, &raw const a.0, &raw const b.0) };
        G1(out)
    }
    fn mul(x: &Self::Scalar, point: &Self::Point) -> Self::Point {
        let le = Zeroizing::new(x.0.to_le_bytes());
        let mut out = blst_p1::default();
        // SAFETY: the scalar is 32 bytes, of which 255 bits are read.
        unsafe { blst::blst_p1_mult(&raw mut out, &raw const point.0, le.as_ptr(), BITS) };
        G1(out)
    }
    fn sum_mul_public<const N: usize>(terms: [(&Self::Scalar, &Self::Point); N]) -> Self::Point {
        const { assert!(1 < N && N <= 8, "blst wants its scratch pointer for many points") };
        // An affine identity would spoil the batched inversion.
        if terms.iter().any(|(_, point)| Self::is_identity(point)) {
            return terms
                .into_iter()
                .fold(G1(blst_p1::default()), |sum, (x, point)| Self::add(&sum, &Self::mul(x, point)));
        }
        let mut affine = [blst_p1_affine::default(); N];
        let bytes = terms.map(|(x, _)| x.0.to_le_bytes());
        let scalars = bytes.each_ref().map(|x| x.as_ptr());
        let points = terms.map(|(_, point)| &raw const point.0);
        let mut out = blst_p1::default();
        // SAFETY: N points that are not the identity and N 32-byte scalars; for 2 to 8 points blst takes its table from
        // the stack and ignores the scratch pointer.
        unsafe {
            blst::blst_p1s_to_affine(affine.as_mut_ptr(), points.as_ptr(), N);
            let refs = affine.each_ref().map(|point| &raw const *point);
            blst::blst_p1s_mult_pippenger(&raw mut out, refs.as_ptr(), N, scalars.as_ptr(), BITS, std::ptr::null_mut());
        }
        G1(out)
    }
    fn is_identity(point: &Self::Point) -> bool {
        // SAFETY: reads an initialised point.
        unsafe { blst::blst_p1_is_inf(&raw const point.0) }
    }
    fn compress(point: &Self::Point) -> Vec<u8> {
        let mut out = vec![0; 48];
        // SAFETY: writes 48 bytes into 48.
        unsafe { blst::blst_p1_compress(out.as_mut_ptr(), &raw const point.0) };
        out
    }
    fn decompress(bytes: &[u8]) -> Result<Self::Point, PairwiseError> {
        let bytes: &[u8; 48] = bytes.try_into().map_err(|_| PairwiseError::Point)?;
        let mut affine = blst_p1_affine::default();
        let mut out = blst_p1::default();
        // SAFETY: reads 48 bytes; the point is used only after blst reports success, then curve and subgroup hold.
        unsafe {
            if blst::blst_p1_uncompress(&raw mut affine, bytes.as_ptr()) != BLST_ERROR::BLST_SUCCESS {
                return Err(PairwiseError::Point);
            }
            if blst::blst_p1_affine_is_inf(&raw const affine) {
                return Err(PairwiseError::Identity);
            }
            if !blst::blst_p1_affine_in_g1(&raw const affine) {
                return Err(PairwiseError::Point);
            }
            blst::blst_p1_from_affine(&raw mut out, &raw const affine);
        }
        Ok(G1(out))
    }
}

impl Suite for IntlNative {
    const ID: SuiteId = SuiteId::Intl;
    fn hash(bytes: &[u8]) -> [u8; 32] {
        sha256(bytes)
    }
    fn hash_to_group(msg: &[u8]) -> Self::Point {
        let mut out = blst_p1::default();
        // SAFETY: message and tag with their lengths; no augmentation.
        unsafe {
            blst::blst_hash_to_g1(
                &raw mut out,
                msg.as_ptr(),
                msg.len(),
                INTL_H2G.as_ptr(),
                INTL_H2G.len(),
                std::ptr::null(),
                0,
            );
        }
        G1(out)
    }
}
