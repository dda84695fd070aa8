//! Distributed generation of a key that is shared two of three and that nobody ever has (flows 2): the generation of the FROST paper
//! (Pedersen's, with proofs of knowledge), by `frost-core`, in bytes.
//!
//! * Round 1, to everybody: φ_0 ‖ φ_1 ‖ R ‖ z, 128 bytes: the commitments to a line, and the proof of knowledge of its start.
//!   The parties must make sure that all of them saw the same (a ceremony compares hashes of all it has heard).
//! * Round 2, to each other party alone, sealed: the line at that party's number, 32 bytes.
//!
//! The key is the sum of all lines' starts; a share is the sum of what one party got and gave itself. Scalars are little-endian.

use crate::error::{JointError, JointFault};
use crate::threshold::{self, Adapter, GroupShares, SharedKey, TagShares, identifier, malformed, named};
use crate::{GroupKey, KeyShare};
use frost_core::keys::dkg::{self, round1, round2};
use frost_core::keys::{SigningShare, VerifiableSecretSharingCommitment};
use frost_core::{Identifier, Signature};
use hufu_kernel::{Bytes, Element, NodeIndex, Octets, Rng, Secret};
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

/// The length of a round 1 package.
const ROUND_1: usize = 128;

/// One party's state between rounds 1 and 2.
pub struct GenerationOpened<K: SharedKey> {
    own: NodeIndex,
    secret: round1::SecretPackage<K::Suite>,
}

/// One party's state between round 2 and the end.
pub struct GenerationShared<K: SharedKey> {
    own: NodeIndex,
    secret: round2::SecretPackage<K::Suite>,
    heard: BTreeMap<Identifier<K::Suite>, round1::Package<K::Suite>>,
}

impl<K: SharedKey> std::fmt::Debug for GenerationOpened<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GenerationOpened({}, party {})", K::NAME, self.own)
    }
}

impl<K: SharedKey> std::fmt::Debug for GenerationShared<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GenerationShared({}, party {})", K::NAME, self.own)
    }
}

/// What one party has at the end; the public part is the same at all three.
pub struct Generated<K: SharedKey> {
    own: NodeIndex,
    share: Zeroizing<[u8; 32]>,
    key: Octets<32>,
    shares: [Octets<32>; 3],
    kind: std::marker::PhantomData<K>,
}

impl<K: SharedKey> std::fmt::Debug for Generated<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generated").field("key", &self.key).field("shares", &self.shares).finish_non_exhaustive()
    }
}

/// Begins a generation: the state to keep, and the package for everybody.
///
/// # Errors
/// [`JointFault::Malformed`] if the library refuses its own values (never seen).
pub fn generation<K: SharedKey>(own: NodeIndex, rng: &dyn Rng) -> Result<(GenerationOpened<K>, Bytes), JointError> {
    let failed = |_| JointError::of(JointFault::Malformed);
    let (secret, package) = dkg::part1(identifier(own)?, 3, 2, Adapter(rng)).map_err(failed)?;
    let mut bytes = package.commitment().serialize().map_err(failed)?.concat();
    bytes.extend(package.proof_of_knowledge().serialize().map_err(failed)?);
    Ok((GenerationOpened { own, secret }, Bytes(bytes)))
}

fn package<K: SharedKey>(bytes: &[u8]) -> Option<round1::Package<K::Suite>> {
    if bytes.len() != ROUND_1 {
        return None;
    }
    let commitment = VerifiableSecretSharingCommitment::deserialize([&bytes[..32], &bytes[32..64]]).ok()?;
    Some(round1::Package::new(commitment, Signature::deserialize(&bytes[64..]).ok()?))
}

/// Refuses anything but the parts of exactly the two other parties.
fn others<T>(own: NodeIndex, parts: &BTreeMap<NodeIndex, T>) -> Result<(), JointError> {
    let others: BTreeSet<NodeIndex> = NodeIndex::ALL.into_iter().filter(|index| *index != own).collect();
    if parts.keys().copied().collect::<BTreeSet<_>>() == others {
        Ok(())
    } else {
        Err(JointError::of(JointFault::Parties))
    }
}

/// Secret shares by the party they are for.
pub type SharesFor = BTreeMap<NodeIndex, Zeroizing<Vec<u8>>>;

impl<K: SharedKey> GenerationOpened<K> {
    /// Checks the other parties' packages, and gives the share for each of them.
    ///
    /// # Errors
    /// [`JointFault::Parties`]; [`JointFault::Malformed`] or [`JointFault::Proof`] naming the party.
    pub fn share(self, packages: &BTreeMap<NodeIndex, Bytes>) -> Result<(GenerationShared<K>, SharesFor), JointError> {
        others(self.own, packages)?;
        let mut heard = BTreeMap::new();
        for (party, bytes) in packages {
            heard.insert(identifier(*party)?, package::<K>(&bytes.0).ok_or_else(|| malformed(*party))?);
        }
        let (secret, made) = dkg::part2(self.secret, &heard)
            .map_err(|error| JointError { culprit: named(&error), fault: JointFault::Proof })?;
        let mut shares = SharesFor::new();
        for party in packages.keys() {
            let package = made.get(&identifier(*party)?).ok_or(JointError::of(JointFault::Parties))?;
            shares.insert(*party, Zeroizing::new(package.signing_share().serialize()));
        }
        Ok((GenerationShared { own: self.own, secret, heard }, shares))
    }
}

impl<K: SharedKey> GenerationShared<K> {
    /// Checks what the other parties gave this one against their commitments, and adds.
    ///
    /// # Errors
    /// [`JointFault::Parties`]; [`JointFault::Malformed`] or [`JointFault::Share`] naming the party.
    pub fn finish(self, shares: &SharesFor) -> Result<Generated<K>, JointError> {
        others(self.own, shares)?;
        let mut given = BTreeMap::new();
        for (party, bytes) in shares {
            let share = SigningShare::deserialize(bytes).map_err(|_| malformed(*party))?;
            given.insert(identifier(*party)?, round2::Package::new(share));
        }
        let failed = |_| JointError::of(JointFault::Malformed);
        let (own, public) = dkg::part3(&self.secret, &self.heard, &given)
            .map_err(|error| JointError { culprit: named(&error), fault: JointFault::Share })?;
        let share = Zeroizing::new(own.signing_share().serialize());
        let mut verifying = [Octets::default(); 3];
        for index in NodeIndex::ALL {
            let share =
                public.verifying_shares().get(&identifier(index)?).ok_or(JointError::of(JointFault::Parties))?;
            verifying[index.slot()] = octets(&share.serialize().map_err(failed)?)?;
        }
        Ok(Generated {
            own: self.own,
            share: Zeroizing::new(octets(&share)?.0),
            key: octets(&public.verifying_key().serialize().map_err(failed)?)?,
            shares: verifying,
            kind: std::marker::PhantomData,
        })
    }
}

fn octets(bytes: &[u8]) -> Result<Octets<32>, JointError> {
    Octets::try_from(bytes).map_err(|_| JointError::of(JointFault::Malformed))
}

impl<K: SharedKey> Generated<K> {
    /// The public key and each party's share times the generator: what all three must have alike.
    #[must_use]
    pub fn public(&self) -> GroupKey {
        GroupKey { verifying_key: self.key, verifying_shares: self.shares }
    }
}

impl Generated<GroupShares> {
    /// The share as [`crate::Signer::from_share`] takes it.
    #[must_use]
    pub fn key_share(&self) -> KeyShare {
        Zeroizing::new([&[self.own.get()], self.share.as_slice(), self.key.as_slice()].concat())
    }
}

impl Generated<TagShares> {
    /// The share as [`crate::oprf_evaluate`] takes it.
    #[must_use]
    pub fn tag_share(&self) -> Secret<32> {
        Secret::new(*self.share)
    }

    /// The taggers' commitments, as everybody pins them.
    #[must_use]
    pub fn commitments(&self) -> [Element; 3] {
        self.shares.map(|share| Element(Bytes(share.0.to_vec())))
    }
}

/// Whether three public shares and a public key lie on one line: what a ceremony's transcript must show.
#[must_use]
pub fn consistent<K: SharedKey>(public: &GroupKey) -> bool {
    let Some(key) = threshold::point::<K>(public.verifying_key.as_slice()) else { return false };
    let Some(shares) =
        public.verifying_shares.iter().map(|share| threshold::point::<K>(share.as_slice())).collect::<Option<Vec<_>>>()
    else {
        return false;
    };
    let [one, two, three] = NodeIndex::ALL;
    [(one, two), (one, three), (two, three)].into_iter().all(|(a, b)| {
        let (Ok(weight_a), Ok(weight_b)) = (threshold::weight::<K>(a, b, None), threshold::weight::<K>(b, a, None))
        else {
            return false;
        };
        shares[a.slot()] * weight_a + shares[b.slot()] * weight_b == key
    })
}
