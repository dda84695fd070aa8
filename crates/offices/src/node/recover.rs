//! A known person's new device (flows 5): the registrar says that document, face and phone have passed; the node itself checks the
//! device, holds the delay and tells the person.

use super::enrol::sealing_aad;
use super::gate::plain_challenge;
use super::{Node, Row};
use crate::{hpke, open_signed, retrying, sign};
use hufu_domain::holder::{Signer, Status, credential_hash};
use hufu_kernel::{Bytes, EnrolmentId, Label, Octets, Refusal, framed};
use hufu_store::Versioned;
use hufu_wire::api::Signed;
use hufu_wire::api::holder::{Authority, Change, Device, Statement};
use hufu_wire::api::recovery::{FindRow, Notice, Notify, RecoverRow, Recovery, RowFound, SealedRecovery};
use hufu_wire::jose::PublicKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

impl Node {
    fn unsealed(
        &self,
        to: hufu_kernel::NodeIndex,
        id: EnrolmentId,
        enc: &Bytes,
        ciphertext: &Bytes,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        if to != self.index {
            return Err(Refusal::OfficeRefused);
        }
        let private = self.keys.share("hpke").map_err(|error| crate::broken(&error))?;
        hpke::open(&private, &enc.0, &sealing_aad(self.index, id), &ciphertext.0)
    }

    async fn row_of_root(&self, root_u: &Octets<32>) -> Result<Versioned<Row>, Refusal> {
        let index = self.index_of("root", root_u.as_slice())?;
        let found = self.store.find::<Row>("root", index.as_slice()).await?.ok_or(Refusal::UnknownDevice)?;
        match found.record.holder.status {
            Status::Pending { .. } => Err(Refusal::NotActive),
            _ => Ok(found),
        }
    }

    pub(super) async fn find_row_of(&self, request: &Signed<FindRow>) -> Result<RowFound, Refusal> {
        let sealed = open_signed(&self.trust, "registrar", request)?;
        let root_u = self.unsealed(sealed.node, sealed.enrolment_id, &sealed.enc, &sealed.ciphertext)?;
        let root_u = Octets::try_from(root_u.as_slice()).map_err(|_| Refusal::OfficeRefused)?;
        let holder = self.row_of_root(&root_u).await?.record.holder;
        Ok(RowFound { version: holder.version, head: holder.head })
    }

    pub(super) async fn recover_row(&self, request: &Signed<SealedRecovery>) -> Result<(), Refusal> {
        let sealed = open_signed(&self.trust, "registrar", request)?;
        let opened = self.unsealed(sealed.node, sealed.enrolment_id, &sealed.enc, &sealed.ciphertext)?;
        let told: RecoverRow = serde_json::from_slice(&opened).map_err(|_| Refusal::OfficeRefused)?;
        let recovery = open_signed(&self.trust, "registrar", &told.recovery)?;
        if recovery.enrolment_id != sealed.enrolment_id {
            return Err(Refusal::OfficeRefused);
        }
        retrying(|| self.recover_once(&told, &recovery)).await
    }

    async fn recover_once(&self, told: &RecoverRow, recovery: &Recovery) -> Result<(), Refusal> {
        let found = self.row_of_root(&told.root_u).await?;
        let statement: Statement = serde_json::from_slice(&recovery.statement.0).map_err(|_| Refusal::OfficeRefused)?;
        let Change::Recover { device } = &statement.change else { return Err(Refusal::OfficeRefused) };
        if self.has_heard(&found.record, statement.version + 1, &recovery.statement).await? {
            return Ok(());
        }
        self.check_new_device(device, recovery)?;
        let now = self.clock.now();
        let applied = found.record.holder.apply(
            &statement,
            &recovery.statement.0,
            Signer::Registrar,
            now,
            &self.rules.recovery,
        )?;
        let private = self.private(&found.record)?;
        let authority = Authority::Registrar(told.recovery.clone());
        self.carry_out(&found, applied, private, &recovery.statement, authority, None).await.map(|_| ())
    }

    /// Whether this very statement is what the row remembers for `version`: a step that is taken twice changes nothing twice.
    async fn has_heard(&self, row: &Row, version: u64, statement: &Bytes) -> Result<bool, Refusal> {
        let place = super::Remembered::place(&row.handle, version);
        let remembered = self.store.get::<super::Remembered>(&place).await?;
        let said = remembered.and_then(|remembered| self.said(&remembered.record));
        Ok(said.is_some_and(|said| said.statement == *statement))
    }

    /// The registrar's word is not enough: the device itself signs, for this enrolment and this holder key.
    fn check_new_device(&self, device: &Device, recovery: &Recovery) -> Result<(), Refusal> {
        let point: [u8; 65] = device.holder_key.0.as_slice().try_into().map_err(|_| Refusal::Malformed)?;
        PublicKey::p256(point).map_err(|_| Refusal::Malformed)?;
        if device.credential != credential_hash(&recovery.assertion.credential_id.0) {
            return Err(Refusal::AssertionInvalid);
        }
        let now = self.clock.now();
        if recovery.t > now + super::gate::SKEW || now > recovery.t + self.rules.recovery.delivered_within_s {
            return Err(Refusal::StaleTime);
        }
        let bytes = framed(&[recovery.enrolment_id.as_slice(), &device.holder_key.0]);
        self.assertion(&device.key, &plain_challenge(Label::Recover, &bytes, recovery.t), &recovery.assertion)
    }

    /// Tells the person; without it nothing is committed.
    pub(super) async fn tell(
        &self,
        contact: hufu_kernel::Locator,
        statement: &Bytes,
        notice: Notice,
    ) -> Result<(), Refusal> {
        let event = Octets(Sha256::digest(framed(&[b"hufu-v1-notice", &statement.0])).into());
        let notify = Notify { contact, event, notice };
        self.post.notify(&sign(self.keys.as_ref(), self.name(), &notify)?).await
    }
}
