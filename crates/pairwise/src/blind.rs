//! Blind evaluation (flows 8): the nodes evaluate B = r·H2G(sector_id) without learning the sector.

use crate::{PairwiseError, Suite, element, sector_point};
use hufu_kernel::{Element, Rng};
use zeroize::Zeroizing;

/// r: the wallet draws one for each sign-in and tells the platform, never a node.
pub struct BlindingFactor<S: Suite>(S::Scalar);

impl<S: Suite> BlindingFactor<S> {
    /// The canonical 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        S::scalar_to_bytes(&self.0)
    }

    /// Reads the canonical 32 bytes.
    ///
    /// # Errors
    /// [`PairwiseError::Scalar`] for what is not canonical, and for zero.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PairwiseError> {
        let r = S::scalar_from_bytes(bytes)?;
        if S::scalar_invert(&r).is_none() {
            return Err(PairwiseError::Scalar);
        }
        Ok(Self(r))
    }
}

impl<S: Suite> std::fmt::Debug for BlindingFactor<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlindingFactor(…)")
    }
}

/// B and r for a sector.
pub fn blind<S: Suite>(sector_id: &str, rng: &dyn Rng) -> (Element, BlindingFactor<S>) {
    let r = BlindingFactor(S::random(rng));
    (blinded::<S>(&sector_point::<S>(sector_id), &r), r)
}

/// B = r·H2G(sector_id) again: how a platform checks that a blind result is about its own sector.
#[must_use]
pub fn blinded<S: Suite>(sector: &S::Point, r: &BlindingFactor<S>) -> Element {
    element::<S>(&S::mul(&r.0, sector))
}

/// P = r⁻¹·E.
///
/// # Errors
/// [`PairwiseError::Scalar`] never for an `r` made by this module (zero is refused when it is made).
pub fn unblind<S: Suite>(r: &BlindingFactor<S>, e: &S::Point) -> Result<S::Point, PairwiseError> {
    let inverse = S::scalar_invert(&r.0).ok_or(PairwiseError::Scalar)?;
    Ok(S::mul(&inverse, e))
}
