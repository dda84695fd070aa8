//! A person's sub-keys at this node (flows 1, 3): computed when needed, never stored.

use super::{Commitments, Node, Private, Row};
use crate::key_names;
use hufu_kernel::{Bytes, Element, Epoch, KeyError, NodeIndex, Pair, Refusal, Secret, Subset};
use hufu_pairwise::{
    Group, Intl, commitment, epoch_message, oprf_commitment, password_sub_key, sub_key, sum_scalars, sum_sub_keys,
};
use hufu_wire::api::enrolment::{Commitments as Reported, Report};
use hufu_wire::api::holder::EpochReport;
use std::collections::BTreeMap;

type Scalar = <Intl as Group>::Scalar;

/// What a person's sub-keys at this node follow from.
pub(super) struct RowKeys<'a> {
    pub private: &'a Private,
    pub generation: u32,
    pub epoch: &'a Epoch,
}

impl<'a> RowKeys<'a> {
    /// Those of a row; `private` is its sealed part, at the row's generation.
    pub(super) fn of(row: &'a Row, private: &'a Private) -> Self {
        Self { private, generation: row.generation, epoch: &row.holder.epoch }
    }
}

impl Node {
    pub(super) fn prf(&self, key: &str, message: &[u8]) -> Result<[u8; 32], Refusal> {
        self.keys.hmac(key, message).map(|octets| octets.0).map_err(|error| crate::broken(&error))
    }

    /// e_A at a generation: HMAC under its K_A, and the offset that stands among `offsets`.
    pub(super) fn sub_key_of(
        &self,
        offsets: &[(Subset, Bytes)],
        generation: u32,
        subset: Subset,
        message: &[u8],
    ) -> Result<Scalar, Refusal> {
        let name = key_names::sub_key(subset, generation);
        let prf = match self.keys.hmac(&name, message) {
            Ok(prf) => prf.0,
            // Destroyed, and the row was not moved before: it comes anew from both peers.
            Err(KeyError::Missing(_)) => return Err(Refusal::NodesDisagree),
            Err(error) => return Err(crate::broken(&error)),
        };
        let offset = offsets.iter().find(|(held, _)| *held == subset).map(|(_, d)| d.0.as_slice());
        sub_key::<Intl>(&prf, offset).map_err(|error| crate::broken(&error))
    }

    fn pseudonym_key(&self, keys: &RowKeys<'_>, subset: Subset) -> Result<Scalar, Refusal> {
        let private = keys.private;
        self.sub_key_of(&private.offsets, keys.generation, subset, private.root_u.as_slice())
    }

    fn epoch_key(&self, keys: &RowKeys<'_>, subset: Subset) -> Result<Scalar, Refusal> {
        let message = epoch_message(keys.private.root_u.as_slice(), keys.epoch.as_slice());
        self.sub_key_of(&keys.private.epoch_offsets, keys.generation, subset, &message)
    }

    fn password_key(&self, private: &Private, subset: Subset) -> Result<Secret<32>, Refusal> {
        let name = format!("kp-{}", subset.name());
        Ok(password_sub_key(&self.prf(&name, private.root_u.as_slice())?))
    }

    /// The sum of the pseudonym sub-keys assigned to this node in `pair`: it multiplies once.
    pub(super) fn assigned_pseudonym(&self, keys: &RowKeys<'_>, pair: Pair) -> Result<Scalar, Refusal> {
        let keys =
            pair.assigned(self.index).map(|subset| self.pseudonym_key(keys, subset)).collect::<Result<Vec<_>, _>>()?;
        sum_scalars::<Intl>(&keys).ok_or(Refusal::Malformed)
    }

    /// The same for the epoch.
    pub(super) fn assigned_epoch(&self, keys: &RowKeys<'_>, pair: Pair) -> Result<Scalar, Refusal> {
        let keys =
            pair.assigned(self.index).map(|subset| self.epoch_key(keys, subset)).collect::<Result<Vec<_>, _>>()?;
        sum_scalars::<Intl>(&keys).ok_or(Refusal::Malformed)
    }

    /// The same for the password.
    pub(super) fn assigned_password(&self, private: &Private, pair: Pair) -> Result<Secret<32>, Refusal> {
        let keys = pair
            .assigned(self.index)
            .map(|subset| self.password_key(private, subset))
            .collect::<Result<Vec<_>, _>>()?;
        sum_sub_keys(&keys.iter().collect::<Vec<_>>()).map_err(|_| Refusal::Malformed)
    }

    /// What this node commits to for a person.
    pub(super) fn commitments(&self, keys: &RowKeys<'_>) -> Result<BTreeMap<Subset, Reported>, Refusal> {
        Subset::of(self.index)
            .map(|subset| {
                let reported = Reported {
                    pseudonym: commitment::<Intl>(&self.pseudonym_key(keys, subset)?),
                    epoch: commitment::<Intl>(&self.epoch_key(keys, subset)?),
                    password: oprf_commitment(&self.password_key(keys.private, subset)?)
                        .map_err(|error| crate::broken(&error))?,
                };
                Ok((subset, reported))
            })
            .collect()
    }

    /// What this node commits to for a new epoch.
    pub(super) fn epoch_commitments(&self, keys: &RowKeys<'_>) -> Result<BTreeMap<Subset, Element>, Refusal> {
        Subset::of(self.index).map(|subset| Ok((subset, commitment::<Intl>(&self.epoch_key(keys, subset)?)))).collect()
    }
}

/// Puts one more report beside those already held.
///
/// # Errors
/// [`Refusal::SignatureRefused`] if a node reports a subset it does not hold, or two holders report different keys.
fn put(slot: &mut Option<Element>, reported: &Element) -> Result<(), Refusal> {
    match slot {
        Some(held) if held != reported => Err(Refusal::SignatureRefused),
        Some(_) => Ok(()),
        None => {
            *slot = Some(reported.clone());
            Ok(())
        }
    }
}

impl Commitments {
    /// What a node's enrolment report says.
    ///
    /// # Errors
    /// See [`put`].
    pub(super) fn said(report: &Report) -> Result<Self, Refusal> {
        let mut said = Self::default();
        for (subset, reported) in &report.commitments {
            holds(report.node, *subset)?;
            said.pseudonym[subset.slot()] = Some(reported.pseudonym.clone());
            said.epoch[subset.slot()] = Some(reported.epoch.clone());
            said.password[subset.slot()] = Some(reported.password.clone());
        }
        Ok(said)
    }

    /// What a node's report on a new epoch says.
    ///
    /// # Errors
    /// See [`put`].
    pub(super) fn said_of_epoch(report: &EpochReport) -> Result<Self, Refusal> {
        let mut said = Self::default();
        for (subset, reported) in &report.commitments {
            holds(report.node, *subset)?;
            said.epoch[subset.slot()] = Some(reported.clone());
        }
        Ok(said)
    }

    /// Takes what a node said; both are of one generation.
    ///
    /// # Errors
    /// See [`put`].
    pub(super) fn take(&mut self, said: &Self) -> Result<(), Refusal> {
        for (held, said) in [
            (&mut self.pseudonym, &said.pseudonym),
            (&mut self.epoch, &said.epoch),
            (&mut self.password, &said.password),
        ] {
            for (slot, reported) in held.iter_mut().zip(said) {
                if let Some(reported) = reported {
                    put(slot, reported)?;
                }
            }
        }
        Ok(())
    }

    /// Those that both holders have reported whole.
    pub(super) fn complete(&self) -> BTreeMap<Subset, Reported> {
        let of = |subset: Subset| {
            let slot = subset.slot();
            Some(Reported {
                pseudonym: self.pseudonym[slot].clone()?,
                epoch: self.epoch[slot].clone()?,
                password: self.password[slot].clone()?,
            })
        };
        Subset::ALL.into_iter().filter_map(|subset| Some((subset, of(subset)?))).collect()
    }
}

fn holds(node: NodeIndex, subset: Subset) -> Result<(), Refusal> {
    if subset.held_by(node) { Ok(()) } else { Err(Refusal::SignatureRefused) }
}

/// The commitments `evaluator` answers to in `pair`.
///
/// # Errors
/// [`Refusal::NodesDisagree`] while one has not been reported.
pub(super) fn assigned_commitments(
    held: &[Option<Element>; 3],
    pair: Pair,
    evaluator: NodeIndex,
) -> Result<Vec<&Element>, Refusal> {
    pair.assigned(evaluator).map(|subset| held[subset.slot()].as_ref().ok_or(Refusal::NodesDisagree)).collect()
}
