//! What a wallet remembers between uses.

use crate::{CertificateCopy, Receipt, WalletError};
use hufu_kernel::{Element, NodeIndex, Octets, Pair, Subset};
use hufu_pairwise::{Intl, same_sum};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{Report, Ticket};
use hufu_wire::api::holder::{EpochReport, RowView};
use hufu_wire::api::trust::{Trust, node_name};
use hufu_wire::network_number::NetworkNumber;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One person's wallet, without its device keys. `root_u` is not in it: the wallet never has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// An enrolment in progress.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ticket: Option<Ticket>,
    /// The network number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub number: Option<NetworkNumber>,
    /// What the nodes committed to.
    pub commitments: Commitments,
    /// Copies of the certificate.
    pub certificates: Vec<CertificateCopy>,
    /// Who was told what: the only history there is.
    pub receipts: Vec<Receipt>,
}

/// The nodes' commitments for this person; two holders of a sub-key must have said the same.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Commitments {
    /// C_A.
    pub pseudonym: [Option<Element>; 3],
    /// For the present epoch.
    pub epoch: [Option<Element>; 3],
    /// For the password.
    pub password: [Option<Element>; 3],
    /// The generation of K_A that they belong to.
    #[serde(skip_serializing_if = "is_first", default)]
    pub generation: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_first(generation: &u32) -> bool {
    *generation == 0
}

impl Commitments {
    /// From the nodes' enrolment reports.
    ///
    /// # Errors
    /// [`WalletError::Untrusted`] for a report that is not signed by its node, one that speaks for a sub-key the node does not
    /// hold, or two that differ.
    pub(crate) fn from_reports(trust: &Trust, reports: &[Signed<Report>]) -> Result<Self, WalletError> {
        let mut nodes = BTreeSet::new();
        // One that does not verify is one fewer, and not the end: two are enough.
        let opened = reports.iter().filter_map(|report| open(trust, report, |report: &Report| report.node).ok());
        let (generation, opened) = of_two(opened.collect(), |report| (report.node, report.generation))?;
        let mut held = Self { generation, ..Self::default() };
        for opened in opened {
            nodes.insert(opened.node);
            for (subset, reported) in &opened.commitments {
                holds(opened.node, *subset)?;
                put(&mut held.pseudonym[subset.slot()], &reported.pseudonym)?;
                put(&mut held.epoch[subset.slot()], &reported.epoch)?;
                put(&mut held.password[subset.slot()], &reported.password)?;
            }
        }
        if nodes.len() < 2 { Err(WalletError::Untrusted("fewer than two reports")) } else { Ok(held) }
    }

    /// From what two nodes hold: one that lies cannot make another say the same.
    ///
    /// # Errors
    /// [`WalletError::Untrusted`] if they differ or are not whole.
    pub(crate) fn from_rows(one: &RowView, other: &RowView) -> Result<Self, WalletError> {
        if one.commitments != other.commitments || one.commitments.len() != 3 {
            return Err(WalletError::Untrusted("two nodes report different keys"));
        }
        one_generation(one.generation, other.generation)?;
        let mut held = Self { generation: one.generation, ..Self::default() };
        for (subset, reported) in &one.commitments {
            put(&mut held.pseudonym[subset.slot()], &reported.pseudonym)?;
            put(&mut held.epoch[subset.slot()], &reported.epoch)?;
            put(&mut held.password[subset.slot()], &reported.password)?;
        }
        Ok(held)
    }

    /// Refuses commitments that are said to be the same person's as these and have another sum: new K_A change each of them and never the
    /// sum, and nothing else changes any (docs/decisions/0017). A device that knows none yet takes what two nodes say.
    ///
    /// # Errors
    /// [`WalletError::Untrusted`].
    pub(crate) fn same_person(&self, others: &Self) -> Result<(), WalletError> {
        let whole = |[a, b, c]: &[Option<Element>; 3]| Some([a.clone()?, b.clone()?, c.clone()?]);
        let (Some(held), Some(told)) = (whole(&self.pseudonym), whole(&others.pseudonym)) else { return Ok(()) };
        match same_sum::<Intl>(held.each_ref(), told.each_ref()) {
            Ok(true) => Ok(()),
            _ => Err(WalletError::Untrusted("the nodes' keys for this person have another sum than before")),
        }
    }

    /// The commitments of a new epoch; the reports that they come from, which the nodes are to have too.
    ///
    /// # Errors
    /// As [`Commitments::from_reports`].
    pub(crate) fn renew_epoch(
        &mut self,
        trust: &Trust,
        reports: &[Signed<EpochReport>],
    ) -> Result<Vec<Signed<EpochReport>>, WalletError> {
        let mut epoch = [None, None, None];
        let opened = reports.iter().filter_map(|report| {
            let opened = open(trust, report, |report: &EpochReport| report.node).ok()?;
            Some((report, opened))
        });
        let (_, opened) = of_two(opened.collect(), |(_, report)| (report.node, report.generation))?;
        for (_, opened) in &opened {
            for (subset, reported) in &opened.commitments {
                holds(opened.node, *subset)?;
                put(&mut epoch[subset.slot()], reported)?;
            }
        }
        if epoch.iter().any(Option::is_none) {
            return Err(WalletError::Untrusted("fewer than two reports"));
        }
        // The other commitments stay at their generation; the next sign-in fetches what it needs.
        self.epoch = epoch;
        Ok(opened.into_iter().map(|(report, _)| report.clone()).collect())
    }
}

fn one_generation(one: u32, other: u32) -> Result<(), WalletError> {
    if one == other { Ok(()) } else { Err(WalletError::Untrusted("two nodes report keys of different generations")) }
}

/// The reports of the generation that two nodes share. One that missed a rotation is one fewer, and not the end either.
fn of_two<M>(mut reports: Vec<M>, of: impl Fn(&M) -> (NodeIndex, u32)) -> Result<(u32, Vec<M>), WalletError> {
    let generations: BTreeSet<u32> = reports.iter().map(|report| of(report).1).collect();
    let nodes = |generation| {
        let same = reports.iter().map(&of).filter(|(_, of)| *of == generation);
        same.map(|(node, _)| node).collect::<BTreeSet<_>>().len()
    };
    match generations.iter().copied().find(|generation| nodes(*generation) >= 2) {
        Some(generation) => {
            reports.retain(|report| of(report).1 == generation);
            Ok((generation, reports))
        }
        None if generations.len() > 1 => Err(WalletError::Untrusted("two nodes report keys of different generations")),
        None => Err(WalletError::Untrusted("fewer than two reports")),
    }
}

fn open<M: hufu_wire::api::Purpose>(
    trust: &Trust,
    message: &Signed<M>,
    node: impl Fn(&M) -> NodeIndex,
) -> Result<M, WalletError> {
    let opened = message
        .open(|office, bytes, signature| trust.verify(office, bytes, signature))
        .map_err(|_| WalletError::Untrusted("a node's report"))?;
    if message.office == node_name(node(&opened)) { Ok(opened) } else { Err(WalletError::Untrusted("a node's report")) }
}

fn holds(node: NodeIndex, subset: Subset) -> Result<(), WalletError> {
    if subset.held_by(node) { Ok(()) } else { Err(WalletError::Untrusted("a report on another node's key")) }
}

fn put(slot: &mut Option<Element>, reported: &Element) -> Result<(), WalletError> {
    match slot {
        Some(held) if held != reported => Err(WalletError::Untrusted("two nodes report different keys")),
        _ => {
            *slot = Some(reported.clone());
            Ok(())
        }
    }
}

/// The commitments `node` answers to in `pair`.
pub(crate) fn assigned(held: &[Option<Element>; 3], pair: Pair, node: NodeIndex) -> Result<Vec<&Element>, WalletError> {
    pair.assigned(node)
        .map(|subset| held[subset.slot()].as_ref().ok_or(WalletError::Untrusted("a missing commitment")))
        .collect()
}

/// 32 bytes as they are drawn: salts and seeds.
pub(crate) type Drawn = Octets<32>;
