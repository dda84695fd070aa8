//! A key that two or three parties make by a coin flip (flows 2): each draws 32 bytes and commits to them; only when every
//! commitment is there does anybody reveal; the key is a hash of all that was revealed. One honest party is enough for a key that
//! nobody chose, and whoever reveals something else than it committed to is named.
//!
//! ```text
//! commitment_i = SHA-256("hufu-v1-coin-commit" ‖ ceremony ‖ name ‖ i ‖ r_i)
//! key          = HKDF-SHA256(salt "hufu-v1-coin", ikm r_i ‖ r_j [‖ r_k], info "hufu-v1-coin-key" ‖ ceremony ‖ name ‖ parties), 32 bytes
//! ```
//!
//! `‖` is that of flows 1, parties stand in ascending order, i and `parties` are one byte a party. A commitment binds its party, so
//! that a copied one cannot be opened by the copier. What is revealed must reach the other parties alone, sealed.

use crate::error::{JointError, JointFault};
use hkdf::Hkdf;
use hufu_kernel::{NodeIndex, Octets, Rng, Secret, framed, random};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

/// What a coin flip is for: two flips of different keys or ceremonies have nothing in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoinName {
    /// The ceremony.
    pub ceremony: Octets<32>,
    /// The key's name: `k-12`.
    pub key: String,
}

impl CoinName {
    fn commitment(&self, party: NodeIndex, r: &Secret<32>) -> Octets<32> {
        let bytes = Zeroizing::new(framed(&[
            b"hufu-v1-coin-commit",
            self.ceremony.as_slice(),
            self.key.as_bytes(),
            &[party.get()],
            r.expose(),
        ]));
        Octets(Sha256::digest(&*bytes).into())
    }
}

/// One party's state until everybody has committed.
pub struct CoinFlip {
    name: CoinName,
    own: NodeIndex,
    parties: BTreeSet<NodeIndex>,
    r: Secret<32>,
}

/// One party's state until everybody has revealed.
pub struct CoinRevealed {
    flip: CoinFlip,
    commitments: BTreeMap<NodeIndex, Octets<32>>,
}

impl std::fmt::Debug for CoinFlip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CoinFlip({}, party {})", self.name.key, self.own)
    }
}

impl std::fmt::Debug for CoinRevealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CoinRevealed({}, party {})", self.flip.name.key, self.flip.own)
    }
}

impl CoinFlip {
    /// Draws, and gives the commitment to send to everybody.
    ///
    /// # Errors
    /// [`JointFault::Parties`] for fewer than two parties, or if `own` is none of them.
    pub fn start(
        name: CoinName,
        own: NodeIndex,
        parties: impl IntoIterator<Item = NodeIndex>,
        rng: &dyn Rng,
    ) -> Result<(Self, Octets<32>), JointError> {
        let parties: BTreeSet<NodeIndex> = parties.into_iter().collect();
        if parties.len() < 2 || !parties.contains(&own) {
            return Err(JointError::of(JointFault::Parties));
        }
        let r = Secret::new(random(rng));
        let commitment = name.commitment(own, &r);
        Ok((Self { name, own, parties, r }, commitment))
    }

    /// Gives what this party drew, once the other parties' commitments are there: nobody can choose after having seen.
    ///
    /// # Errors
    /// [`JointFault::Parties`] unless `commitments` are those of exactly the other parties.
    pub fn reveal(
        self,
        commitments: BTreeMap<NodeIndex, Octets<32>>,
    ) -> Result<(CoinRevealed, Secret<32>), JointError> {
        self.others(commitments.keys())?;
        let r = self.r.clone();
        Ok((CoinRevealed { flip: self, commitments }, r))
    }

    fn others<'a>(&self, given: impl Iterator<Item = &'a NodeIndex>) -> Result<(), JointError> {
        let others: BTreeSet<NodeIndex> = self.parties.iter().copied().filter(|party| *party != self.own).collect();
        let given: BTreeSet<NodeIndex> = given.copied().collect();
        if given == others { Ok(()) } else { Err(JointError::of(JointFault::Parties)) }
    }
}

impl CoinRevealed {
    /// The key.
    ///
    /// # Errors
    /// [`JointFault::Parties`]; [`JointFault::Reveal`] naming the party that revealed something else than it committed to.
    pub fn finish(self, mut reveals: BTreeMap<NodeIndex, Secret<32>>) -> Result<Secret<32>, JointError> {
        let Self { flip, commitments } = self;
        flip.others(reveals.keys())?;
        for (party, r) in &reveals {
            if commitments.get(party) != Some(&flip.name.commitment(*party, r)) {
                return Err(JointError::by(*party, JointFault::Reveal));
            }
        }
        reveals.insert(flip.own, flip.r.clone());
        let parties: Vec<u8> = reveals.keys().map(|party| party.get()).collect();
        let drawn: Vec<&[u8]> = reveals.values().map(|r| r.expose().as_slice()).collect();
        let drawn = Zeroizing::new(framed(&drawn));
        let info = framed(&[b"hufu-v1-coin-key", flip.name.ceremony.as_slice(), flip.name.key.as_bytes(), &parties]);
        let mut key = Zeroizing::new([0; 32]);
        // 32 bytes are always within HKDF-SHA256's reach.
        Hkdf::<Sha256>::new(Some(b"hufu-v1-coin"), &drawn)
            .expand(&info, &mut *key)
            .map_err(|_| JointError::of(JointFault::Malformed))?;
        Ok(Secret::new(*key))
    }
}

/// What HMAC under a joint key is computed over so that its holders can compare it without showing it: the values stand in the
/// ceremony's transcript. "hufu-v1-key-check" ‖ ceremony ‖ name.
#[must_use]
pub fn key_check_message(name: &CoinName) -> Vec<u8> {
    framed(&[b"hufu-v1-key-check", name.ceremony.as_slice(), name.key.as_bytes()])
}
