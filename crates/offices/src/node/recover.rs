//! A known person's new device (flows 5): the registrar says that document, face and phone have passed; the node itself checks the
//! device, holds the delay and tells the person.

use super::change::parsed;
use super::enrol::sealing_aad;
use super::gate::plain_challenge;
use super::{Node, Row};
use crate::{hpke, open_signed, retrying};
use hufu_domain::holder::{Status, Timing, credential_hash};
use hufu_kernel::{Bytes, EnrolmentId, Label, Octets, Refusal, framed};
use hufu_store::Versioned;
use hufu_wire::api::Signed;
use hufu_wire::api::holder::{Authority, Device};
use hufu_wire::api::peer::Carried;
use hufu_wire::api::recovery::{FindRow, RecoverRow, Recovery, RowFound, SealedRecovery};
use hufu_wire::jose::PublicKey;
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
        self.settled().await?;
        let sealed = open_signed(&self.trust, "registrar", request)?;
        let root_u = self.unsealed(sealed.node, sealed.enrolment_id, &sealed.enc, &sealed.ciphertext)?;
        let root_u = Octets::try_from(root_u.as_slice()).map_err(|_| Refusal::OfficeRefused)?;
        let holder = self.row_of_root(&root_u).await?.record.holder;
        Ok(RowFound { version: holder.version, head: holder.head })
    }

    pub(super) async fn recover_row(&self, request: &Signed<SealedRecovery>) -> Result<(), Refusal> {
        self.settled().await?;
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
        let statement = parsed(&recovery.statement)?;
        let found = self.brought_up(self.row_of_root(&told.root_u).await?, statement.version).await?;
        if self.has_heard(&found.record, statement.version + 1, &recovery.statement).await? {
            return Ok(());
        }
        let authority = Authority::Registrar(told.recovery.clone());
        let said = Carried { statement: recovery.statement.clone(), authority, accepted: Vec::new() };
        self.take(found, &said, None).await.map(|_| ())
    }

    /// The registrar's word is not enough: the device itself signs, for this enrolment and this holder key.
    pub(super) fn check_new_device(&self, device: &Device, recovery: &Recovery, timing: Timing) -> Result<(), Refusal> {
        let point: [u8; 65] = device.holder_key.0.as_slice().try_into().map_err(|_| Refusal::Malformed)?;
        PublicKey::p256(point).map_err(|_| Refusal::Malformed)?;
        if device.credential != credential_hash(&recovery.assertion.credential_id.0) {
            return Err(Refusal::AssertionInvalid);
        }
        if let Timing::Fresh(now) | Timing::Late(now) = timing
            && (recovery.t > now + super::gate::SKEW || now > recovery.t + self.rules.recovery.delivered_within_s)
        {
            return Err(Refusal::StaleTime);
        }
        let bytes = framed(&[recovery.enrolment_id.as_slice(), &device.holder_key.0]);
        self.assertion(&device.key, &plain_challenge(Label::Recover, &bytes, recovery.t), &recovery.assertion)
    }
}
