//! What a statement makes of a row, whoever brings it: the wallet, the registrar, or a peer (flows 6).

use super::gate::{plain_challenge, verify_holder};
use super::paper::Copies;
use super::row::{Private, REMEMBERED, Remembered, Row};
use super::sub_keys::RowKeys;
use super::{Node, node_name};
use crate::{open_signed, sign};
use hufu_domain::holder::{Applied, Effect, Signer, Timing, credential_hash, label};
use hufu_kernel::{Bytes, Head, Label, Locator, Octets, Record as _, Refusal, framed};
use hufu_store::{Batch, Expect, IdempotencyKey, StoreError, Versioned};
use hufu_wire::api::Signed;
use hufu_wire::api::holder::{Authority, Change, Forget, Statement};
use hufu_wire::api::peer::{Acceptance, Carried};
use hufu_wire::api::recovery::{Notice, Notify};
use sha2::{Digest, Sha256};

/// Batches of copies in force at once: a new one every two days of a month, and a row stays small.
const BATCHES: usize = 16;

/// A statement that was checked, and the row as it will be.
pub(super) struct Prepared {
    pub row: Row,
    pub private: Private,
    /// Copies of the certificate that want signatures.
    pub copies: Option<Copies>,
    /// What the person is told before anything is committed: no notice, no newcomer.
    pub before: Option<Notice>,
    /// What the person is told afterwards: to stop all use must not wait for a message.
    pub after: Option<Notice>,
    /// The row goes.
    pub leaves: bool,
}

/// SHA-256 of a statement's exact bytes: what votes are about.
pub(super) fn name_of(statement: &Bytes) -> Octets<32> {
    Octets(Sha256::digest(&statement.0).into())
}

pub(super) fn parsed(statement: &Bytes) -> Result<Statement, Refusal> {
    serde_json::from_slice(&statement.0).map_err(|_| Refusal::Malformed)
}

/// Which value of which index stands in the way, as the person hears of it.
pub(super) fn taken(index: &str) -> Refusal {
    match index {
        // Another person's copy holds one of the positions, or the number is taken: the wallet asks again, with another draw.
        "number" | "status" => Refusal::VersionConflict,
        _ => Refusal::Replayed,
    }
}

impl Node {
    /// Checks everything about a statement that can be checked on this node's row, and computes the row after it.
    ///
    /// # Errors
    /// The signature's, the row's or the rule's refusal.
    pub(super) fn prepare(&self, row: &Row, said: &Carried, timing: Timing) -> Result<Prepared, Refusal> {
        let statement = parsed(&said.statement)?;
        let credential = self.check_authority(row, &statement, said, timing)?;
        let signer = match said.authority {
            Authority::Device(_) => Signer::Device(&credential),
            Authority::Holder(_) => Signer::HolderKey(&credential),
            Authority::Registrar(_) => Signer::Registrar,
        };
        let applied = row.holder.apply(&statement, &said.statement.0, signer, timing, &self.rules.recovery)?;
        self.after(row, applied, &statement)
    }

    /// The signature, by a key that the row itself names or that this node pins; the credential that signed, or is recovered.
    fn check_authority(
        &self,
        row: &Row,
        statement: &Statement,
        said: &Carried,
        timing: Timing,
    ) -> Result<Octets<32>, Refusal> {
        let bytes = &said.statement.0;
        let moment = if let Timing::Fresh(now) = timing { now } else { statement.t };
        match &said.authority {
            Authority::Device(assertion) => {
                let credential = credential_hash(&assertion.credential_id.0);
                let device = row.holder.device(&credential, moment)?;
                let chal = plain_challenge(label(&statement.change), bytes, statement.t);
                self.assertion(&device.key, &chal, assertion)?;
                Ok(credential)
            }
            Authority::Holder(proof) => {
                let device = row.holder.device(&proof.credential, moment)?;
                let chal = plain_challenge(Label::Pass, bytes, proof.t);
                verify_holder(&device.holder_key.0, &chal, &proof.signature)?;
                Ok(proof.credential)
            }
            Authority::Registrar(word) => {
                let recovery = open_signed(&self.trust, "registrar", word)?;
                let Change::Recover { device } = &statement.change else { return Err(Refusal::OfficeRefused) };
                if recovery.statement != said.statement {
                    return Err(Refusal::OfficeRefused);
                }
                self.check_new_device(device, &recovery, timing)?;
                Ok(device.credential)
            }
        }
    }

    /// The row after a statement that was applied to its common state.
    fn after(&self, found: &Row, applied: Applied, statement: &Statement) -> Result<Prepared, Refusal> {
        let mut private = self.private(found)?;
        let mut row = Row { holder: applied.holder, vote: None, ..found.clone() };
        let (mut copies, mut before, mut after, mut leaves) = (None, None, None, false);
        match applied.effect {
            Effect::None => {}
            Effect::Number(number) => {
                row.number_index = self.number_index(number.as_str())?;
                private.number = number;
                row.private = self.seal(&row.handle, &private)?;
            }
            Effect::Epoch => {
                let epoch = row.holder.epoch;
                // The statement's own time: all nodes arrive at the same sub-keys, whenever they hear of it.
                let born = self.born(statement.t)?;
                let offsets = self.epoch_born(&private.root_u, &epoch, born, row.generation)?;
                if offsets != std::mem::replace(&mut private.epoch_offsets, offsets.clone()) {
                    row.private = self.seal(&row.handle, &private)?;
                }
                row.commitments.epoch = Default::default();
                for (subset, own) in self.epoch_commitments(&RowKeys::of(&row, &private))? {
                    row.commitments.epoch[subset.slot()] = Some(own);
                }
            }
            Effect::Certificates { keys, seed } => {
                // The statement's own day: all nodes arrive at the same bytes, whenever they hear of it.
                let made = self.certificate_copies(&row, &private, &keys, &seed, statement.t.day())?;
                row.copies.retain(|issued| self.clock.now() < issued.until);
                if row.copies.len() >= BATCHES {
                    return Err(Refusal::TooMany);
                }
                row.copies.push(made.issued.clone());
                copies = Some(made);
            }
            Effect::Notice(notice @ (Notice::Recovery { .. } | Notice::DeviceAdded)) => before = Some(notice),
            Effect::Notice(notice) => after = Some(notice),
            Effect::Leave => leaves = true,
        }
        Ok(Prepared { row, private, copies, before, after, leaves })
    }

    /// Values of unique indexes that the row will have and has not now.
    pub(super) fn needed(found: &Row, next: &Row) -> Vec<(&'static str, Vec<u8>)> {
        let held = Row { vote: None, ..found.clone() }.index_values();
        let unique = |name: &str| Row::INDEXES.iter().any(|index| index.name == name && index.unique);
        next.index_values().into_iter().filter(|value| unique(value.0) && !held.contains(value)).collect()
    }

    /// Whether another row stands in the way. A look before anybody is asked: what one node can never commit nobody votes for.
    pub(super) async fn check_free(&self, found: &Row, next: &Row) -> Result<(), Refusal> {
        for (index, value) in Self::needed(found, next) {
            let holder = self.store.find::<Row>(index, &value).await?;
            if holder.is_some_and(|holder| holder.record.handle != found.handle) {
                return Err(taken(index));
            }
        }
        Ok(())
    }

    /// This node's word on a statement for the row as found.
    pub(super) fn word(
        &self,
        found: &Row,
        name: Octets<32>,
        ballot: u64,
        after: Head,
    ) -> Result<Signed<Acceptance>, Refusal> {
        let (version, head) = (found.holder.version, found.holder.head);
        self.word_at(Acceptance { version, head, statement: name, ballot, after, node: self.index })
    }

    pub(super) fn word_at(&self, acceptance: Acceptance) -> Result<Signed<Acceptance>, Refusal> {
        sign(self.keys.as_ref(), self.name(), &acceptance)
    }

    /// Opens a node's word on a statement; whose it is must be what it says.
    pub(super) fn open_word(&self, word: &Signed<Acceptance>) -> Result<Acceptance, Refusal> {
        let opened = open_signed(&self.trust, &word.office, word)?;
        if word.office == node_name(opened.node) { Ok(opened) } else { Err(Refusal::OfficeRefused) }
    }

    /// Carries out what two nodes have accepted; `said` has their words. A person is told of what comes to this node fresh, and not
    /// again of what two others have told.
    pub(super) async fn carry_out(
        &self,
        found: &Versioned<Row>,
        prepared: &Prepared,
        said: &Carried,
        timing: Timing,
    ) -> Result<(), Refusal> {
        let tells = timing != Timing::Fetched;
        if let Some(notice) = prepared.before.filter(|_| tells) {
            self.tell(prepared.private.contact, &said.statement, notice).await?;
        }
        if prepared.leaves {
            return self.leave(found, &prepared.private).await;
        }
        match self.commit_statement(&prepared.row, found, said).await {
            Ok(()) => {}
            Err(StoreError::Duplicate(index)) => return Err(taken(index)),
            Err(other) => return Err(other.into()),
        }
        if let Some(notice) = prepared.after.filter(|_| tells)
            && let Err(refusal) = self.tell(prepared.private.contact, &said.statement, notice).await
        {
            tracing::warn!(code = refusal.code(), "a person was not told of a change");
        }
        Ok(())
    }

    /// The row goes; this node's word to forget goes to uniqueness and post.
    pub(super) async fn leave(&self, found: &Versioned<Row>, private: &Private) -> Result<(), Refusal> {
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
        Ok(())
    }

    /// The row and its newest statement in one commit; the oldest goes.
    async fn commit_statement(&self, row: &Row, found: &Versioned<Row>, said: &Carried) -> Result<(), StoreError> {
        let version = row.holder.version;
        let remembered = self.remember(row, version, said)?;
        let mut batch = Batch::new();
        batch.put(row, Expect::At(found.version));
        batch.put(&remembered, Expect::Absent);
        if let Some(oldest) = version.checked_sub(REMEMBERED) {
            let place = Remembered::place(&row.handle, oldest);
            if let Some(old) = self.store.get::<Remembered>(&place).await? {
                batch.delete::<Remembered>(&place, old.version);
            }
        }
        self.store.commit(batch, IdempotencyKey::random(self.rng.as_ref(), self.clock.now())).await?;
        Ok(())
    }

    pub(super) fn remember(&self, row: &Row, version: u64, said: &Carried) -> Result<Remembered, StoreError> {
        let misuse = |error: &dyn std::fmt::Display| StoreError::Misuse(error.to_string());
        let said = serde_json::to_vec(said).map_err(|error| misuse(&error))?;
        let aad = framed(&[row.handle.as_slice(), &version.to_be_bytes()]);
        let said = self.keys.seal("rows", &aad, &said).map_err(|error| misuse(&error))?;
        Ok(Remembered { handle: row.handle, version, said })
    }

    /// The statements a row remembers, oldest first.
    pub(super) async fn remembered(&self, row: &Row) -> Result<Vec<Versioned<Remembered>>, Refusal> {
        self.remembered_after(row, row.holder.version.saturating_sub(REMEMBERED)).await
    }

    /// Those that lead beyond `after`.
    pub(super) async fn remembered_after(&self, row: &Row, after: u64) -> Result<Vec<Versioned<Remembered>>, Refusal> {
        let newest = row.holder.version;
        let mut said = Vec::new();
        for version in after.max(newest.saturating_sub(REMEMBERED)) + 1..=newest {
            said.extend(self.store.get::<Remembered>(&Remembered::place(&row.handle, version)).await?);
        }
        Ok(said)
    }

    pub(super) fn said(&self, remembered: &Remembered) -> Option<Carried> {
        let aad = framed(&[remembered.handle.as_slice(), &remembered.version.to_be_bytes()]);
        let bytes = self.keys.open("rows", &aad, &remembered.said).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// What the row remembers for `version`, if it is this very statement: a step that is taken twice changes nothing twice.
    pub(super) async fn has_heard(&self, row: &Row, version: u64, statement: &Bytes) -> Result<bool, Refusal> {
        let place = Remembered::place(&row.handle, version);
        let remembered = self.store.get::<Remembered>(&place).await?;
        let said = remembered.and_then(|remembered| self.said(&remembered.record));
        Ok(said.is_some_and(|said| said.statement == *statement))
    }

    /// The head that the statement which led to `version` came to.
    pub(super) async fn head_at(&self, row: &Row, version: u64) -> Result<Option<Head>, Refusal> {
        if version == row.holder.version {
            return Ok(Some(row.holder.head));
        }
        let next = self.store.get::<Remembered>(&Remembered::place(&row.handle, version + 1)).await?;
        let said = next.and_then(|next| self.said(&next.record));
        Ok(said.and_then(|said| parsed(&said.statement).ok()).map(|next| next.head))
    }

    /// Tells the person; without it nothing is committed.
    async fn tell(&self, contact: Locator, statement: &Bytes, notice: Notice) -> Result<(), Refusal> {
        let event = Octets(Sha256::digest(framed(&[b"hufu-v1-notice", &statement.0])).into());
        let notify = Notify { contact, event, notice };
        self.post.notify(&sign(self.keys.as_ref(), self.name(), &notify)?).await
    }

    /// Tells the person of what must be told before anybody votes for it.
    pub(super) async fn tell_before(&self, prepared: &Prepared, statement: &Bytes) -> Result<(), Refusal> {
        match prepared.before {
            Some(notice) => self.tell(prepared.private.contact, statement, notice).await,
            None => Ok(()),
        }
    }
}
