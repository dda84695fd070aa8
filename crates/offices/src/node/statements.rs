//! Changes to a row, each a statement signed by the person (flows 6), and reads of one's own row.

use super::change::parsed;
use super::paper::Copies;
use super::row::{Commitments, Private, Row};
use super::sub_keys::RowKeys;
use super::{Node, node_name};
use crate::{open_signed, retrying, sign};
use hufu_domain::holder::{credential_hash, label};
use hufu_kernel::{Head, Label, Refusal, framed};
use hufu_store::Versioned;
use hufu_wire::api::Signed;
use hufu_wire::api::holder::{
    Authority, Change, Done, EpochReport, OpenHolder, ReadRow, RowView, Statement, StatementAccepted, SubmitReports,
    SubmitStatement,
};
use hufu_wire::api::peer::Carried;

impl Node {
    /// Commits a statement, once a peer has accepted it too (docs/decisions/0018).
    ///
    /// # Errors
    /// The signature's, the row's or the rule's refusal; nothing is changed then. [`Refusal::NodesUnavailable`] if no peer answers.
    pub async fn submit(&self, request: &SubmitStatement) -> Result<StatementAccepted, Refusal> {
        self.settled().await?;
        retrying(|| self.submit_once(request)).await
    }

    async fn submit_once(&self, request: &SubmitStatement) -> Result<StatementAccepted, Refusal> {
        let statement = parsed(&request.statement)?;
        let now = self.fresh(statement.t)?;
        let credential = match &request.authority {
            Authority::Device(assertion) => credential_hash(&assertion.credential_id.0),
            Authority::Holder(proof) => self.within_window(proof)?,
            // The registrar's way is another door, which is not open to wallets.
            Authority::Registrar(_) => return Err(Refusal::OfficeRefused),
        };
        let found = self.brought_up(self.row_of(&credential).await?, statement.version).await?;
        let (statement, authority) = (request.statement.clone(), request.authority.clone());
        let said = Carried { statement, authority, accepted: Vec::new() };
        if let Some(accepted) = self.heard_already(&found, request).await? {
            return Ok(accepted);
        }
        let peer = request.pair.and_then(|pair| pair.other(self.index));
        let taken = self.take(found, &said, peer).await?;
        if let Authority::Device(_) = request.authority {
            self.gate.open_window(credential, now);
        }
        self.accepted(&taken.row, &taken.private, taken.row.holder.head, taken.copies, request)
    }

    /// A peer has brought it, before the wallet did.
    async fn heard_already(
        &self,
        found: &Versioned<Row>,
        request: &SubmitStatement,
    ) -> Result<Option<StatementAccepted>, Refusal> {
        let row = &found.record;
        let statement = parsed(&request.statement)?;
        let led_to = statement.version + 1;
        if led_to > row.holder.version || !self.has_heard(row, led_to, &request.statement).await? {
            return Ok(None);
        }
        let Some(head) = self.head_at(row, led_to).await? else { return Ok(None) };
        let private = self.private(row)?;
        let copies = match (&statement.change, head == row.holder.head) {
            (Change::Certificates { keys, seed, .. }, true) => {
                Some(self.certificate_copies(row, &private, keys, seed, statement.t.day())?)
            }
            _ => None,
        };
        self.accepted(row, &private, head, copies, request).map(Some)
    }

    /// What the wallet is told.
    fn accepted(
        &self,
        row: &Row,
        private: &Private,
        head: Head,
        copies: Option<Copies>,
        request: &SubmitStatement,
    ) -> Result<StatementAccepted, Refusal> {
        let statement = parsed(&request.statement)?;
        let mut accepted = StatementAccepted { version: statement.version + 1, head, report: None, offer: None };
        if matches!(statement.change, Change::EndSessions { .. }) && head == row.holder.head {
            // All nodes report at one generation, so that the wallet can compare: the one of the statement's own time.
            let (mut row, mut private) = (row.clone(), private.clone());
            self.move_to(&mut row, &mut private, self.generations().at(statement.t))?;
            accepted.report = Some(self.epoch_report(&row, &private)?);
        }
        if let (Some(copies), Some(pair)) = (copies, request.pair)
            && pair.members().contains(&self.index)
        {
            accepted.offer = Some(self.begin_signing(row, pair, copies.into_signing())?);
        }
        Ok(accepted)
    }

    /// What this node commits to for the row's present epoch. It can be had again at any time: a wallet that lost the peers' reports
    /// on the way brings these.
    fn epoch_report(&self, row: &Row, private: &Private) -> Result<Signed<EpochReport>, Refusal> {
        let commitments = self.epoch_commitments(&RowKeys::of(row, private))?;
        let (head, generation) = (row.holder.head, row.generation);
        let report = EpochReport { head, node: self.index, generation, commitments };
        sign(self.keys.as_ref(), self.name(), &report)
    }

    /// Takes the other nodes' commitments for a new epoch.
    ///
    /// # Errors
    /// [`Refusal::VersionConflict`] for another head; [`Refusal::SignatureRefused`] if two holders differ.
    pub async fn submit_reports(&self, request: &SubmitReports) -> Result<Done, Refusal> {
        retrying(|| self.submit_reports_once(request)).await
    }

    async fn submit_reports_once(&self, request: &SubmitReports) -> Result<Done, Refusal> {
        let found = self.row_of(&request.credential).await?;
        let mut row = found.record.clone();
        let root_u = self.private(&row)?.root_u;
        let mut refused = None;
        for report in &request.reports {
            // One bad word among them must not keep the good ones out.
            match self.epoch_word(&row, report) {
                // Two that contradict each other are another matter: nobody knows which of them lies.
                Ok(word) => {
                    let said = Commitments::said_of_epoch(&word)?;
                    let said = self.told_at(&row, &root_u, said, [word.generation, row.generation])?;
                    row.commitments.take(&said)?;
                }
                Err(refusal) => refused = Some(refusal),
            }
        }
        if let Some(refusal) = refused
            && row.commitments.epoch.iter().any(Option::is_none)
        {
            return Err(refusal);
        }
        if row != found.record {
            self.put(&row, Some(&found)).await?;
        }
        Ok(Done {})
    }

    fn epoch_word(&self, row: &Row, report: &Signed<EpochReport>) -> Result<EpochReport, Refusal> {
        let opened: EpochReport = open_signed(&self.trust, &report.office, report)?;
        if report.office != node_name(opened.node) {
            return Err(Refusal::OfficeRefused);
        }
        if opened.head == row.holder.head { Ok(opened) } else { Err(Refusal::VersionConflict) }
    }

    /// Opens a holder key's quarter of an hour.
    ///
    /// # Errors
    /// The assertion's refusals.
    pub async fn open_holder(&self, request: &OpenHolder) -> Result<Done, Refusal> {
        let credential = credential_hash(&request.assertion.credential_id.0);
        let bytes = framed(&[b"holder", credential.as_slice()]);
        self.by_assertion(Label::Pass, &bytes, request.t, &request.assertion).await?;
        self.gate.open_window(credential, self.clock.now());
        Ok(Done {})
    }

    /// What this node holds about a person, to that person.
    ///
    /// # Errors
    /// The holder key's refusals.
    pub async fn read_row(&self, request: &ReadRow) -> Result<RowView, Refusal> {
        self.settled().await?;
        let found = self.by_holder_key(&request.proof, b"row").await?;
        let mut row = found.record;
        let mut private = self.private(&row)?;
        self.move_to(&mut row, &mut private, self.generations().at(request.proof.t))?;
        let remembered = self.remembered(&row).await?;
        let changes = remembered.iter().filter_map(|remembered| {
            let said = self.said(&remembered.record)?;
            let statement: Statement = serde_json::from_slice(&said.statement.0).ok()?;
            Some((label(&statement.change).as_str().to_owned(), statement.t.minute()))
        });
        Ok(RowView {
            version: row.holder.version,
            head: row.holder.head,
            status: row.holder.status.name().to_owned(),
            number: private.number.clone(),
            flags: row.holder.flags.clone(),
            devices: row.holder.devices.clone(),
            next_batch: row.holder.batch + 1,
            contact: private.contact,
            commitments: row.commitments.complete(),
            generation: row.generation,
            report: self.epoch_report(&row, &private)?,
            changes: changes.collect(),
        })
    }
}
