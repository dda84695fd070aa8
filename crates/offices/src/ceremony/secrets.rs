//! What one office seals to another within a ceremony.

use super::CeremonyError;
use crate::hpke;
use hufu_kernel::{Bytes, Octets, Rng, framed};
use hufu_wire::api::ceremony::SealedPart;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::{Zeroize, Zeroizing};

/// Secrets for one other office; wiped when dropped.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Secrets {
    /// What was drawn for coin flips, by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub coins: BTreeMap<String, Octets<32>>,
    /// The receiver's share of a distributed generation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub share: Option<Bytes>,
    /// A helper's part for the other helper.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub given: Option<Octets<32>>,
    /// A helper's sum for the office that lost its share.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sum: Option<Octets<32>>,
    /// Keys of two holders, wrapped for the office that lost its copy.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub wrapped: BTreeMap<String, Bytes>,
    /// From when generations count.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub since: BTreeMap<u32, i64>,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.coins.values_mut().for_each(|r| r.0.zeroize());
        for bytes in [&mut self.share].into_iter().flatten().chain(self.wrapped.values_mut()) {
            bytes.0.zeroize();
        }
        [&mut self.given, &mut self.sum].into_iter().flatten().for_each(|scalar| scalar.0.zeroize());
    }
}

/// From whom to whom, in which round of which ceremony: what binds a sealed part to its place.
pub(super) struct Place<'a> {
    pub ceremony: &'a Octets<32>,
    pub round: u8,
    pub from: &'a str,
    pub to: &'a str,
}

impl Place<'_> {
    fn aad(&self) -> Vec<u8> {
        framed(&[
            b"hufu-v1-ceremony-sealed",
            self.ceremony.as_slice(),
            &[self.round],
            self.from.as_bytes(),
            self.to.as_bytes(),
        ])
    }
}

impl Secrets {
    pub fn seal(&self, sealing: &Octets<32>, place: &Place<'_>, rng: &dyn Rng) -> Result<SealedPart, CeremonyError> {
        let plain = Zeroizing::new(serde_json::to_vec(self).map_err(|error| CeremonyError::Own(error.to_string()))?);
        let sealed = hpke::seal(sealing.as_slice(), &place.aad(), &plain, rng);
        let (enc, ciphertext) =
            sealed.map_err(|_| CeremonyError::misbehaved(1, place.to, "its key for this ceremony is none"))?;
        Ok(SealedPart { enc, ciphertext })
    }

    pub fn open(part: &SealedPart, private: &[u8], place: &Place<'_>) -> Result<Self, CeremonyError> {
        let refused = |what| CeremonyError::misbehaved(place.round, place.from, what);
        let plain = hpke::open(private, &part.enc.0, &place.aad(), &part.ciphertext.0)
            .map_err(|_| refused("what it sealed to this office does not open"))?;
        serde_json::from_slice(&plain).map_err(|_| refused("what it sealed to this office does not parse"))
    }
}
