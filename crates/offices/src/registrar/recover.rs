//! A known person gets a new device (flows 5): the wrap gives the root, the nodes give the row's version, and the statement that the
//! registrar signs is kept before anybody hears it. The nodes hold the delay and tell the person; no old device is asked, any may object.

use super::Registrar;
use super::record::{Enrolment, Recovering, Verdict};
use super::root::Root;
use super::steps::{Opened, view};
use crate::node::sealing_aad;
use crate::{hpke, retrying};
use hufu_domain::enrolment::Action;
use hufu_domain::holder::credential_hash;
use hufu_kernel::{Blame, Bytes, EnrolmentId, NodeIndex, Octets, Refusal, framed};
use hufu_store::Versioned;
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{EnrolmentView, Ticket};
use hufu_wire::api::holder::{Change, Device, Statement};
use hufu_wire::api::recovery::{
    BeginRecovery, FindRow, RecoverRow, RecoverStep, RecoveringDevice, Recovery, RowFound, SealedRecovery,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

impl Registrar {
    /// In place of step 5, for a person who is known: a new device, which waits.
    ///
    /// # Errors
    /// [`Refusal::NotEnrolled`] for a person who has no root; [`Refusal::NodesUnavailable`] with fewer than two taggers or nodes: the
    /// step is taken again then; [`Refusal::VersionConflict`] if the person changed their row at the same moment; [`Refusal::TooMany`] for a second device
    /// of one enrolment, or while another recovery of the person is under way.
    pub async fn recover(&self, request: &RecoverStep) -> Result<EnrolmentView, Refusal> {
        retrying(|| self.recover_once(request)).await
    }

    async fn recover_once(&self, request: &RecoverStep) -> Result<EnrolmentView, Refusal> {
        let device = device_name(&request.ticket, &request.device);
        let found = self.find(request.ticket.id).await?;
        let begun = found.record.recovery.as_ref();
        if begun.is_some_and(|recovery| recovery.device == device && recovery.delivered.len() >= 2) {
            // The answer to the first try was lost. The draft is gone by now, and nobody needs it.
            return Ok(view(&found.record));
        }
        let Opened { found, draft } = self.open(&request.ticket).await?;
        let step = found.record.step.after(Action::Recover)?;
        let Verdict::May(_) = draft.verdict else { return Err(Refusal::EnrolmentOrder) };
        let kept = match &found.record.recovery {
            Some(recovery) if recovery.device == device => found,
            // Two statements on their way at once would fork the row; another device begins with another enrolment.
            Some(_) => return Err(Refusal::TooMany),
            None => {
                let root = self.known_root(&self.number(&draft)?, &found).await?;
                let recovery = self.prepare(request, &root).await?;
                self.put(&Enrolment { step, recovery: Some(recovery), ..found.record.clone() }, Some(&found)).await?;
                self.find(request.ticket.id).await?
            }
        };
        self.tell_nodes(&kept).await.map(|enrolment| view(&enrolment))
    }

    async fn known_root(
        &self,
        number: &hufu_wire::documents::DocumentNumber,
        found: &Versioned<Enrolment>,
    ) -> Result<Root, Refusal> {
        let tagged = self.tag(number).await?;
        let begin = BeginRecovery { idx: tagged.idx, enrolment_id: found.record.id };
        tagged.open(self.parts.uniqueness.begin_recovery(&self.signed(&begin)?).await?)
    }

    async fn prepare(&self, request: &RecoverStep, root: &Root) -> Result<Recovering, Refusal> {
        let row = self.row_of_two(request.ticket.id, root).await?;
        let RecoveringDevice { key, holder_key, assertion, t } = &request.device;
        let credential = credential_hash(&assertion.credential_id.0);
        let now = self.parts.clock.now();
        // A node that hears of it late still sees the whole delay before it. Up to the next minute: nothing finer is stored (design 3).
        let rules = &self.parts.rules.recovery;
        let until = (now + rules.delay_s + rules.delivered_within_s + 59).minute();
        let device = Device {
            credential,
            key: key.clone(),
            holder_key: holder_key.clone(),
            since: now.minute(),
            not_before: Some(until),
        };
        let statement = Statement { version: row.version, head: row.head, t: now, change: Change::Recover { device } };
        let statement = Bytes(serde_json::to_vec(&statement).map_err(|error| crate::broken(&error))?);
        let id = request.ticket.id;
        let recovery = Recovery { enrolment_id: id, statement, assertion: assertion.clone(), t: *t };
        let told = RecoverRow { root_u: root.root_u, recovery: self.signed(&recovery)? };
        let plain = Zeroizing::new(serde_json::to_vec(&told).map_err(|error| crate::broken(&error))?);
        let outbox = NodeIndex::ALL
            .into_iter()
            .map(|node| {
                let (enc, ciphertext) = self.seal_to(node, id, &plain)?;
                Ok((node, self.signed(&SealedRecovery { enrolment_id: id, node, enc, ciphertext })?))
            })
            .collect::<Result<Vec<(NodeIndex, Signed<SealedRecovery>)>, Refusal>>()?;
        Ok(Recovering { until, device: device_name(&request.ticket, &request.device), outbox, delivered: Vec::new() })
    }

    fn seal_to(&self, node: NodeIndex, id: EnrolmentId, plain: &[u8]) -> Result<(Bytes, Bytes), Refusal> {
        let public = &self.parts.trust.node(node).sealing.0;
        hpke::seal(public, &sealing_aad(node, id), plain, self.parts.rng.as_ref())
    }

    /// The row's version and head as two nodes have them.
    async fn row_of_two(&self, id: EnrolmentId, root: &Root) -> Result<RowFound, Refusal> {
        let mut rows: Vec<RowFound> = Vec::new();
        for node in NodeIndex::ALL {
            let (enc, ciphertext) = self.seal_to(node, id, root.root_u.as_slice())?;
            let request = self.signed(&FindRow { enrolment_id: id, node, enc, ciphertext })?;
            match self.node(node).find_row(&request).await {
                Ok(row) => rows.push(row),
                Err(refusal) => tracing::warn!(node = node.get(), code = refusal.code(), "a node did not find a row"),
            }
        }
        if rows.len() < 2 {
            return Err(Refusal::NodesUnavailable);
        }
        let agreed = rows.iter().find(|row| rows.iter().filter(|other| other == row).count() >= 2);
        agreed.copied().ok_or(Refusal::NodesDisagree)
    }

    /// Tells the nodes that have not heard; two are enough. Identity is forgotten as soon as they have.
    pub(super) async fn tell_nodes(&self, found: &Versioned<Enrolment>) -> Result<Enrolment, Refusal> {
        let mut enrolment = found.record.clone();
        let Some(recovery) = enrolment.recovery.as_mut() else { return Err(Refusal::EnrolmentOrder) };
        let mut refused = None;
        for (node, message) in &recovery.outbox {
            if recovery.delivered.contains(node) {
                continue;
            }
            match self.node(*node).recover(message).await {
                Ok(()) => recovery.delivered.push(*node),
                Err(refusal) => {
                    tracing::warn!(node = node.get(), code = refusal.code(), "a node did not take a recovery");
                    refused = Some(refusal);
                }
            }
        }
        let final_word = |refusal: &Refusal| refusal.text().blame != Blame::Service;
        if recovery.delivered.is_empty() && refused.as_ref().is_some_and(final_word) {
            // Nobody takes it: the device's proof is wrong, or the row has moved on. The next try begins with the row as it is.
            let again = Enrolment { recovery: None, ..found.record.clone() };
            self.put(&again, Some(found)).await?;
            return Err(refused.unwrap_or(Refusal::NodesUnavailable));
        }
        let two = recovery.delivered.len() >= 2;
        if two {
            enrolment.draft = None;
        }
        if enrolment != found.record {
            self.put(&enrolment, Some(found)).await?;
        }
        if two { Ok(enrolment) } else { Err(Refusal::NodesUnavailable) }
    }

    /// What is left to do without the wallet: nodes that have not heard of a person or of a recovery are told.
    pub(super) async fn go_on(&self, id: EnrolmentId) -> Result<(), Refusal> {
        let found = self.find(id).await?;
        if found.record.recovery.is_some() {
            return self.tell_nodes(&found).await.map(|_| ());
        }
        self.finish(id).await.map(|_| ())
    }
}

fn device_name(ticket: &Ticket, device: &RecoveringDevice) -> Octets<32> {
    let credential = credential_hash(&device.assertion.credential_id.0);
    Octets(Sha256::digest(framed(&[b"hufu-v1-recovering", ticket.key.as_slice(), credential.as_slice()])).into())
}
