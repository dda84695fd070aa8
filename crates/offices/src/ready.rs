//! When an enrolment is ready: two nodes hold the same password of it (flows 5).

use crate::open_signed;
use hufu_kernel::{EnrolmentId, NodeIndex, Octets, Refusal};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::Ready;
use hufu_wire::api::trust::{Trust, node_name};
use std::collections::BTreeMap;

/// What two nodes say that they hold, and their words. Somebody who set a password twice while a node was away has receipts of both.
///
/// # Errors
/// [`Refusal::EnrolmentOrder`] unless two nodes say the same; a signature's refusal.
pub fn agreed(
    trust: &Trust,
    enrolment_id: EnrolmentId,
    receipts: &[Signed<Ready>],
) -> Result<(Octets<32>, Vec<Signed<Ready>>), Refusal> {
    let mut said: BTreeMap<Octets<32>, BTreeMap<NodeIndex, &Signed<Ready>>> = BTreeMap::new();
    for receipt in receipts {
        let opened: Ready = open_signed(trust, &receipt.office, receipt)?;
        if opened.enrolment_id == enrolment_id && receipt.office == node_name(opened.node) {
            said.entry(opened.password).or_default().insert(opened.node, receipt);
        }
    }
    let two = said.into_iter().find(|(_, nodes)| nodes.len() >= 2).ok_or(Refusal::EnrolmentOrder)?;
    Ok((two.0, two.1.into_values().cloned().collect()))
}
