//! Repair of one lost share from the two others (Laing and Stinson, <https://eprint.iacr.org/2017/1155>), by `frost-core`: no share
//! leaves its holder, and the key does not change.
//!
//! Helper i has to contribute λ_i·s_i, its share weighted to the lost party's number. It splits that into two random parts d_ii and
//! d_ij, gives d_ij to the other helper, sealed, and d_ii·G ‖ d_ij·G to everybody. Each helper then gives the lost party, sealed, the
//! sum of the part it kept and the part it got. The sum of both sums is the lost share.
//!
//! The public parts make a lie somebody's: d_ii·G + d_ij·G must be λ_i·S_i, where S_i is the helper's public share; a sum times the
//! generator must be the sum of its two public parts.

use crate::error::{JointError, JointFault};
use crate::threshold::{
    Adapter, PointOf, SharedKey, identifier, malformed, point, point_bytes, scalar, times_generator, weight,
};
use frost_core::VerifyingKey;
use frost_core::keys::repairable::{Delta, Sigma, repair_share_part1, repair_share_part2, repair_share_part3};
use frost_core::keys::{KeyPackage, PublicKeyPackage, SigningShare, VerifyingShare};
use hufu_kernel::{NodeIndex, Octets, Rng, Secret};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// A helper's two parts times the generator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelpCommitments {
    /// Of the part it kept.
    pub kept: Octets<32>,
    /// Of the part it gave to the other helper.
    pub given: Octets<32>,
}

/// A helper's state until it has the other helper's part.
pub struct Helping<K: SharedKey> {
    other: NodeIndex,
    lost: NodeIndex,
    kept: Delta<K::Suite>,
}

impl<K: SharedKey> std::fmt::Debug for Helping<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Helping({}, of party {})", K::NAME, self.lost)
    }
}

/// What a helper sends: to everybody, and to the other helper alone.
#[derive(Debug)]
pub struct Help {
    /// For everybody.
    pub commitments: HelpCommitments,
    /// For the other helper.
    pub given: Secret<32>,
}

fn the_other(own: NodeIndex, lost: NodeIndex) -> Result<NodeIndex, JointError> {
    let other = NodeIndex::ALL.into_iter().find(|index| *index != own && *index != lost);
    other.filter(|_| own != lost).ok_or(JointError::of(JointFault::Parties))
}

/// A helper begins: `share` is its share's 32 bytes.
///
/// # Errors
/// [`JointFault::Parties`] if it is to help itself; [`JointFault::Malformed`] if its share is none.
pub fn help<K: SharedKey>(
    own: NodeIndex,
    share: &Secret<32>,
    lost: NodeIndex,
    rng: &dyn Rng,
) -> Result<(Helping<K>, Help), JointError> {
    let other = the_other(own, lost)?;
    let failed = |_| JointError::of(JointFault::Malformed);
    let signing = SigningShare::<K::Suite>::deserialize(share.expose()).map_err(failed)?;
    let verifying = VerifyingShare::from(signing);
    // The repair of shares asks for no public key; any point will do.
    let key = VerifyingKey::deserialize(&verifying.serialize().map_err(failed)?).map_err(failed)?;
    let package = KeyPackage::new(identifier(own)?, signing, verifying, key, 2);
    let helpers = [identifier(own)?, identifier(other)?];
    let parts = repair_share_part1(&helpers, &package, &mut Adapter(rng), identifier(lost)?).map_err(failed)?;
    let part = |index| parts.get(&identifier(index)?).copied().ok_or(JointError::of(JointFault::Parties));
    let (kept, given) = (part(own)?, part(other)?);
    let (kept_bytes, given_bytes) = (Zeroizing::new(kept.serialize()), Zeroizing::new(given.serialize()));
    let commitments = HelpCommitments { kept: in_public::<K>(&kept_bytes)?, given: in_public::<K>(&given_bytes)? };
    Ok((Helping { other, lost, kept }, Help { commitments, given: secret(&given_bytes)? }))
}

fn in_public<K: SharedKey>(bytes: &[u8]) -> Result<Octets<32>, JointError> {
    let x = scalar::<K>(bytes).ok_or(JointError::of(JointFault::Malformed))?;
    point_bytes::<K>(&times_generator::<K>(&x))
}

fn secret(bytes: &[u8]) -> Result<Secret<32>, JointError> {
    bytes.try_into().map(Secret::new).map_err(|_| JointError::of(JointFault::Malformed))
}

/// Checks a helper's public parts against its public share.
fn check<K: SharedKey>(
    helper: NodeIndex,
    lost: NodeIndex,
    parts: &HelpCommitments,
    shares: &[Octets<32>; 3],
) -> Result<[PointOf<K>; 2], JointError> {
    let read = |bytes: &Octets<32>| point::<K>(bytes.as_slice()).ok_or_else(|| malformed(helper));
    let (kept, given) = (read(&parts.kept)?, read(&parts.given)?);
    let due = read(&shares[helper.slot()])? * weight::<K>(helper, the_other(helper, lost)?, Some(lost))?;
    if kept + given == due { Ok([kept, given]) } else { Err(JointError::by(helper, JointFault::Commitments)) }
}

impl<K: SharedKey> Helping<K> {
    /// Adds the part that the other helper gave to the one that was kept: the sum is for the lost party alone. `shares` are the
    /// public shares.
    ///
    /// # Errors
    /// [`JointFault::Malformed`], [`JointFault::Commitments`] or [`JointFault::Share`] naming the other helper.
    pub fn sum(
        self,
        given: &Secret<32>,
        commitments: &HelpCommitments,
        shares: &[Octets<32>; 3],
    ) -> Result<Secret<32>, JointError> {
        let [_, due] = check::<K>(self.other, self.lost, commitments, shares)?;
        let part = scalar::<K>(given.expose()).ok_or_else(|| malformed(self.other))?;
        if times_generator::<K>(&part) != due {
            return Err(JointError::by(self.other, JointFault::Share));
        }
        let part = Delta::deserialize(given.expose()).map_err(|_| malformed(self.other))?;
        secret(&Zeroizing::new(repair_share_part2(&[self.kept, part]).serialize()))
    }
}

/// The lost party adds the two helpers' sums: its share's 32 bytes, checked against its public share. `shares` are the public shares.
///
/// # Errors
/// [`JointFault::Parties`]; [`JointFault::Malformed`], [`JointFault::Commitments`] or [`JointFault::Share`] naming a helper, or
/// nobody if the public shares themselves do not fit.
pub fn repaired<K: SharedKey>(
    lost: NodeIndex,
    sums: &BTreeMap<NodeIndex, Secret<32>>,
    commitments: &BTreeMap<NodeIndex, HelpCommitments>,
    shares: &[Octets<32>; 3],
) -> Result<Secret<32>, JointError> {
    if sums.len() != 2 || sums.contains_key(&lost) || !sums.keys().eq(commitments.keys()) {
        return Err(JointError::of(JointFault::Parties));
    }
    let mut parts = BTreeMap::new();
    for (helper, given) in commitments {
        parts.insert(*helper, check::<K>(*helper, lost, given, shares)?);
    }
    let mut added = Vec::new();
    for (helper, sum) in sums {
        let other = the_other(*helper, lost)?;
        let (Some([kept, _]), Some([_, got])) = (parts.get(helper), parts.get(&other)) else {
            return Err(JointError::of(JointFault::Parties));
        };
        let x = scalar::<K>(sum.expose()).ok_or_else(|| malformed(*helper))?;
        if times_generator::<K>(&x) != *kept + *got {
            return Err(JointError::by(*helper, JointFault::Share));
        }
        added.push(Sigma::deserialize(sum.expose()).map_err(|_| malformed(*helper))?);
    }
    let failed = |_| JointError::of(JointFault::Malformed);
    // As in `help`: no public key is asked for.
    let key = VerifyingKey::deserialize(shares[lost.slot()].as_slice()).map_err(failed)?;
    let package = PublicKeyPackage::<K::Suite>::new(BTreeMap::new(), key, Some(2));
    let share = repair_share_part3(&added, identifier(lost)?, &package).map_err(failed)?;
    let bytes = secret(&Zeroizing::new(share.signing_share().serialize()))?;
    if in_public::<K>(bytes.expose())? == shares[lost.slot()] {
        Ok(bytes)
    } else {
        Err(JointError::of(JointFault::Commitments))
    }
}
