//! Suite INTL over `bls12_381_plus`: where no C may be linked (the wallet in wasm), and the scalars of both adapters.

use crate::group::expand;
use crate::suite::{INTL_H2G, sha256};
use crate::{Group, PairwiseError, Suite, SuiteId};
use bls12_381_plus::elliptic_curve::hash2curve::ExpandMsgXmd;
use bls12_381_plus::{G1Affine, G1Projective, Scalar};
use sha2_xmd::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// An integer modulo the order of BLS12-381 G1; wiped when dropped.
#[derive(Clone, PartialEq)]
pub struct IntlScalar(pub(crate) Scalar);

impl Zeroize for IntlScalar {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl Drop for IntlScalar {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl IntlScalar {
    pub(crate) fn hash_to_field(msg: &[u8], dst: &[u8]) -> Self {
        let mut wide = Zeroizing::new([0; 48]);
        expand::<ExpandMsgXmd<Sha256>>(msg, dst, &mut *wide);
        Self(Scalar::from_okm(&wide))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, PairwiseError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| PairwiseError::Scalar)?;
        Option::from(Scalar::from_be_bytes(bytes)).map(Self).ok_or(PairwiseError::Scalar)
    }
}

/// The scalar half of [`Group`], the same in both adapters of INTL.
macro_rules! intl_scalars {
    () => {
        const NAME: &'static str = "INTL";
        type Scalar = $crate::bls_pure::IntlScalar;

        fn hash_to_field(msg: &[u8], dst: &[u8]) -> Self::Scalar {
            Self::Scalar::hash_to_field(msg, dst)
        }
        fn scalar_add(a: &Self::Scalar, b: &Self::Scalar) -> Self::Scalar {
            $crate::bls_pure::IntlScalar(a.0 + b.0)
        }
        fn scalar_sub_mul(a: &Self::Scalar, b: &Self::Scalar, c: &Self::Scalar) -> Self::Scalar {
            $crate::bls_pure::IntlScalar(a.0 - b.0 * c.0)
        }
        fn scalar_mul(a: &Self::Scalar, b: &Self::Scalar) -> Self::Scalar {
            $crate::bls_pure::IntlScalar(a.0 * b.0)
        }
        fn scalar_invert(a: &Self::Scalar) -> Option<Self::Scalar> {
            Option::from(a.0.invert()).map($crate::bls_pure::IntlScalar)
        }
        fn scalar_one() -> Self::Scalar {
            $crate::bls_pure::IntlScalar(bls12_381_plus::Scalar::ONE)
        }
        fn scalar_to_bytes(x: &Self::Scalar) -> zeroize::Zeroizing<[u8; 32]> {
            zeroize::Zeroizing::new(x.0.to_be_bytes())
        }
        fn scalar_from_bytes(bytes: &[u8]) -> Result<Self::Scalar, PairwiseError> {
            Self::Scalar::from_bytes(bytes)
        }
        fn scalar_from_wide(bytes: &[u8; 48]) -> Self::Scalar {
            $crate::bls_pure::IntlScalar(bls12_381_plus::Scalar::from_okm(bytes))
        }
    };
}
#[cfg(feature = "native")]
pub(crate) use intl_scalars;

/// Suite INTL in pure Rust.
#[derive(Debug, Clone, Copy)]
pub struct IntlPure;

impl Group for IntlPure {
    intl_scalars!();
    type Point = G1Projective;

    fn generator() -> Self::Point {
        G1Projective::GENERATOR
    }
    fn add(a: &Self::Point, b: &Self::Point) -> Self::Point {
        a + b
    }
    fn mul(x: &Self::Scalar, point: &Self::Point) -> Self::Point {
        point * x.0
    }
    fn sum_mul_public<const N: usize>(terms: [(&Self::Scalar, &Self::Point); N]) -> Self::Point {
        terms.into_iter().map(|(x, point)| point * x.0).sum()
    }
    fn is_identity(point: &Self::Point) -> bool {
        point.is_identity().into()
    }
    fn compress(point: &Self::Point) -> Vec<u8> {
        point.to_compressed().to_vec()
    }
    fn decompress(bytes: &[u8]) -> Result<Self::Point, PairwiseError> {
        let bytes: &[u8; 48] = bytes.try_into().map_err(|_| PairwiseError::Point)?;
        let point: G1Affine = Option::from(G1Affine::from_compressed(bytes)).ok_or(PairwiseError::Point)?;
        if point.is_identity().into() { Err(PairwiseError::Identity) } else { Ok(point.into()) }
    }
}

impl Suite for IntlPure {
    const ID: SuiteId = SuiteId::Intl;
    fn hash(bytes: &[u8]) -> [u8; 32] {
        sha256(bytes)
    }
    fn hash_to_group(msg: &[u8]) -> Self::Point {
        G1Projective::hash::<ExpandMsgXmd<Sha256>>(msg, INTL_H2G)
    }
}
