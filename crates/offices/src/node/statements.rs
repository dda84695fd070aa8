//! Changes to a row, each a statement signed by the person (flows 6), and reads of one's own row.

use super::Node;
use super::row::{Private, REMEMBERED, Remembered, Row, Said};
use crate::{open_signed, retrying, sign};
use hufu_domain::holder::{Applied, Effect, Signer, credential_hash, label};
use hufu_kernel::Label;
use hufu_kernel::{Bytes, Pair, Record as _, Refusal, framed};
use hufu_store::{Batch, Expect, IdempotencyKey, StoreError, Versioned};
use hufu_wire::api::Signed;
use hufu_wire::api::holder::{
    Authority, Done, EpochReport, Forget, OpenHolder, ReadRow, RowView, Statement, StatementAccepted, SubmitReports,
    SubmitStatement,
};
use hufu_wire::api::recovery::Notice;
use hufu_wire::api::trust::node_name;

/// Batches of copies in force at once: a new one every two days of a month, and a row stays small.
const BATCHES: usize = 16;

impl Node {
    /// Commits a statement.
    ///
    /// # Errors
    /// The signature's, the row's or the rule's refusal; nothing is changed then.
    pub async fn submit(&self, request: &SubmitStatement) -> Result<StatementAccepted, Refusal> {
        retrying(|| self.submit_once(request)).await
    }

    async fn submit_once(&self, request: &SubmitStatement) -> Result<StatementAccepted, Refusal> {
        let bytes = &request.statement.0;
        let statement: Statement = serde_json::from_slice(bytes).map_err(|_| Refusal::Malformed)?;
        let now = self.fresh(statement.t)?;
        let (found, credential) = self.signed_by(&statement, request).await?;
        let signer = match request.authority {
            Authority::Device(_) => Signer::Device(&credential),
            Authority::Holder(_) => Signer::HolderKey(&credential),
            Authority::Registrar(_) => return Err(Refusal::OfficeRefused),
        };
        let applied = found.record.holder.apply(&statement, bytes, signer, now, &self.rules.recovery)?;
        let private = self.private(&found.record)?;
        if let Authority::Device(_) = request.authority {
            self.gate.open_window(credential, now);
        }
        self.carry_out(&found, applied, private, &request.statement, request.authority.clone(), request.pair).await
    }

    async fn signed_by(
        &self,
        statement: &Statement,
        request: &SubmitStatement,
    ) -> Result<(Versioned<Row>, hufu_kernel::Octets<32>), Refusal> {
        let bytes = &request.statement.0;
        match &request.authority {
            Authority::Device(assertion) => {
                self.by_assertion(label(&statement.change), bytes, statement.t, assertion).await
            }
            Authority::Holder(proof) => Ok((self.by_holder_key(proof, bytes).await?, proof.credential)),
            // The registrar's way is another door, which is not open to wallets.
            Authority::Registrar(_) => Err(Refusal::OfficeRefused),
        }
    }

    pub(super) async fn carry_out(
        &self,
        found: &Versioned<Row>,
        applied: Applied,
        mut private: Private,
        statement: &Bytes,
        authority: Authority,
        pair: Option<Pair>,
    ) -> Result<StatementAccepted, Refusal> {
        let mut row = Row { holder: applied.holder, ..found.record.clone() };
        let mut accepted =
            StatementAccepted { version: row.holder.version, head: row.holder.head, report: None, offer: None };
        let mut certificates = None;
        let mut afterwards = None;
        match applied.effect {
            Effect::None => {}
            Effect::Number(number) => {
                row.number_index = self.number_index(number.as_str())?;
                private.number = number;
            }
            Effect::Epoch => {
                row.commitments.epoch = Default::default();
                let commitments = self.epoch_commitments(&private, &row.holder.epoch)?;
                row.commitments.take_epoch(&EpochReport { head: row.holder.head, node: self.index, commitments })?;
                accepted.report = Some(self.epoch_report(&row, &private)?);
            }
            Effect::Certificates { keys, seed } => {
                let copies = self.certificate_copies(&row, &private, &keys, &seed)?;
                row.copies.retain(|issued| self.clock.now() < issued.until);
                if row.copies.len() >= BATCHES {
                    return Err(Refusal::TooMany);
                }
                row.copies.push(copies.issued.clone());
                certificates = Some(copies);
            }
            // No notice, no newcomer. To stop all use must not wait for a message.
            Effect::Notice(notice @ (Notice::Recovery { .. } | Notice::DeviceAdded)) => {
                self.tell(private.contact, statement, notice).await?;
            }
            Effect::Notice(notice) => afterwards = Some(notice),
            Effect::Leave => return self.leave(found, &private, accepted).await,
        }
        row.private = self.seal(&row.handle, &private)?;
        match self.commit_statement(&row, found, Said { statement: statement.clone(), authority }).await {
            Ok(()) => {}
            Err(StoreError::Duplicate("number")) => return Err(Refusal::VersionConflict),
            // Another person's copy holds one of the positions: the wallet asks again, with another seed.
            Err(StoreError::Duplicate("status")) => return Err(Refusal::VersionConflict),
            Err(StoreError::Duplicate(_)) => return Err(Refusal::Replayed),
            Err(other) => return Err(other.into()),
        }
        if let Some(notice) = afterwards
            && let Err(refusal) = self.tell(private.contact, statement, notice).await
        {
            tracing::warn!(code = refusal.code(), "a person was not told of a change");
        }
        if let (Some(copies), Some(pair)) = (certificates, pair)
            && pair.members().contains(&self.index)
        {
            accepted.offer = Some(self.begin_signing(&row, pair, copies.into_signing())?);
        }
        Ok(accepted)
    }

    /// The row goes; this node's word to forget goes to uniqueness and post with the peer's, by way of the wallet.
    async fn leave(
        &self,
        found: &Versioned<Row>,
        private: &Private,
        accepted: StatementAccepted,
    ) -> Result<StatementAccepted, Refusal> {
        let word = sign(self.keys.as_ref(), self.name(), &Forget { loc_u: private.loc_u })?;
        // Told before the row is gone: a lost word could not be given again.
        self.uniqueness.forget(&word).await?;
        self.post.forget(&word).await?;
        let mut batch = Batch::new();
        batch.delete::<Row>(&found.record.key(), found.version);
        for said in self.remembered(&found.record).await? {
            batch.delete::<Remembered>(&said.record.key(), said.version);
        }
        self.store.commit(batch, IdempotencyKey::random(self.rng.as_ref(), self.clock.now())).await?;
        Ok(accepted)
    }

    /// The row and its newest statement in one commit; the oldest goes.
    async fn commit_statement(&self, row: &Row, found: &Versioned<Row>, said: Said) -> Result<(), StoreError> {
        let version = row.holder.version;
        let said = serde_json::to_vec(&said).map_err(|error| StoreError::Misuse(error.to_string()))?;
        let aad = framed(&[row.handle.as_slice(), &version.to_be_bytes()]);
        let said = self.keys.seal("rows", &aad, &said).map_err(|error| StoreError::Misuse(error.to_string()))?;
        let mut batch = Batch::new();
        batch.put(row, Expect::At(found.version));
        batch.put(&Remembered { handle: row.handle, version, said }, Expect::Absent);
        if let Some(oldest) = version.checked_sub(REMEMBERED) {
            let place = Remembered::place(&row.handle, oldest);
            if let Some(old) = self.store.get::<Remembered>(&place).await? {
                batch.delete::<Remembered>(&place, old.version);
            }
        }
        self.store.commit(batch, IdempotencyKey::random(self.rng.as_ref(), self.clock.now())).await?;
        Ok(())
    }

    /// The statements a row remembers, oldest first.
    async fn remembered(&self, row: &Row) -> Result<Vec<Versioned<Remembered>>, Refusal> {
        let newest = row.holder.version;
        let mut said = Vec::new();
        for version in newest.saturating_sub(REMEMBERED - 1)..=newest {
            said.extend(self.store.get::<Remembered>(&Remembered::place(&row.handle, version)).await?);
        }
        Ok(said)
    }

    pub(super) fn said(&self, remembered: &Remembered) -> Option<Said> {
        let aad = framed(&[remembered.handle.as_slice(), &remembered.version.to_be_bytes()]);
        let bytes = self.keys.open("rows", &aad, &remembered.said).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// What this node commits to for the row's present epoch. It can be had again at any time: a wallet that lost the peers' reports
    /// on the way brings these.
    fn epoch_report(&self, row: &Row, private: &Private) -> Result<Signed<EpochReport>, Refusal> {
        let commitments = self.epoch_commitments(private, &row.holder.epoch)?;
        let report = EpochReport { head: row.holder.head, node: self.index, commitments };
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
        let mut refused = None;
        for report in &request.reports {
            // One bad word among them must not keep the good ones out.
            match self.epoch_word(&row, report) {
                // Two that contradict each other are another matter: nobody knows which of them lies.
                Ok(word) => row.commitments.take_epoch(&word)?,
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
        let found = self.by_holder_key(&request.proof, b"row").await?;
        let row = &found.record;
        let private = self.private(row)?;
        let remembered = self.remembered(row).await?;
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
            report: self.epoch_report(row, &private)?,
            changes: changes.collect(),
        })
    }
}
