//! A person's sub-keys at this node (flows 1, 3): computed when needed, never stored.

use super::{Commitments, Node, Private};
use hufu_kernel::{Element, Epoch, NodeIndex, Pair, Refusal, Secret, Subset};
use hufu_pairwise::{
    Group, Intl, commitment, epoch_message, oprf_commitment, password_sub_key, sub_key, sum_scalars, sum_sub_keys,
};
use hufu_wire::api::enrolment::{Commitments as Reported, Report};
use hufu_wire::api::holder::EpochReport;
use std::collections::BTreeMap;

type Scalar = <Intl as Group>::Scalar;

impl Node {
    fn prf(&self, key: &str, subset: Subset, message: &[u8]) -> Result<[u8; 32], Refusal> {
        let name = format!("{key}-{}", subset.name());
        self.keys.hmac(&name, message).map(|octets| octets.0).map_err(|error| crate::broken(&error))
    }

    fn pseudonym_key(&self, private: &Private, subset: Subset) -> Result<Scalar, Refusal> {
        let prf = self.prf("k", subset, private.root_u.as_slice())?;
        let offset = private.offsets.iter().find(|(held, _)| *held == subset).map(|(_, d)| d.0.as_slice());
        sub_key::<Intl>(&prf, offset).map_err(|error| crate::broken(&error))
    }

    fn epoch_key(&self, private: &Private, epoch: &Epoch, subset: Subset) -> Result<Scalar, Refusal> {
        let prf = self.prf("k", subset, &epoch_message(private.root_u.as_slice(), epoch.as_slice()))?;
        sub_key::<Intl>(&prf, None).map_err(|error| crate::broken(&error))
    }

    fn password_key(&self, private: &Private, subset: Subset) -> Result<Secret<32>, Refusal> {
        Ok(password_sub_key(&self.prf("kp", subset, private.root_u.as_slice())?))
    }

    /// The sum of the pseudonym sub-keys assigned to this node in `pair`: it multiplies once.
    pub(super) fn assigned_pseudonym(&self, private: &Private, pair: Pair) -> Result<Scalar, Refusal> {
        let keys = pair
            .assigned(self.index)
            .map(|subset| self.pseudonym_key(private, subset))
            .collect::<Result<Vec<_>, _>>()?;
        sum_scalars::<Intl>(&keys).ok_or(Refusal::Malformed)
    }

    /// The same for the epoch.
    pub(super) fn assigned_epoch(&self, private: &Private, epoch: &Epoch, pair: Pair) -> Result<Scalar, Refusal> {
        let keys = pair
            .assigned(self.index)
            .map(|subset| self.epoch_key(private, epoch, subset))
            .collect::<Result<Vec<_>, _>>()?;
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
    pub(super) fn commitments(&self, private: &Private, epoch: &Epoch) -> Result<BTreeMap<Subset, Reported>, Refusal> {
        Subset::of(self.index)
            .map(|subset| {
                let reported = Reported {
                    pseudonym: commitment::<Intl>(&self.pseudonym_key(private, subset)?),
                    epoch: commitment::<Intl>(&self.epoch_key(private, epoch, subset)?),
                    password: oprf_commitment(&self.password_key(private, subset)?)
                        .map_err(|error| crate::broken(&error))?,
                };
                Ok((subset, reported))
            })
            .collect()
    }

    /// What this node commits to for a new epoch.
    pub(super) fn epoch_commitments(
        &self,
        private: &Private,
        epoch: &Epoch,
    ) -> Result<BTreeMap<Subset, Element>, Refusal> {
        Subset::of(self.index)
            .map(|subset| Ok((subset, commitment::<Intl>(&self.epoch_key(private, epoch, subset)?))))
            .collect()
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
    /// Takes a node's enrolment report.
    ///
    /// # Errors
    /// See [`put`].
    pub(super) fn take(&mut self, report: &Report) -> Result<(), Refusal> {
        for (subset, reported) in &report.commitments {
            holds(report.node, *subset)?;
            put(&mut self.pseudonym[subset.slot()], &reported.pseudonym)?;
            put(&mut self.epoch[subset.slot()], &reported.epoch)?;
            put(&mut self.password[subset.slot()], &reported.password)?;
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

    /// Takes a node's report on a new epoch.
    ///
    /// # Errors
    /// See [`put`].
    pub(super) fn take_epoch(&mut self, report: &EpochReport) -> Result<(), Refusal> {
        for (subset, reported) in &report.commitments {
            holds(report.node, *subset)?;
            put(&mut self.epoch[subset.slot()], reported)?;
        }
        Ok(())
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
