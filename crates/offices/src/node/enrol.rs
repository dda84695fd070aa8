//! A person arrives at a node (flows 5, steps 4 to 6): pending row, device, password, confirmation.

use super::Node;
use super::gate::{plain_challenge, verify_holder};
use super::row::{Commitments, Private, Row};
use super::sub_keys::RowKeys;
use crate::{hpke, open_signed, ports, retrying, sign};
use async_trait::async_trait;
use hufu_domain::holder::{Holder, Status, credential_hash};
use hufu_kernel::{Bytes, EnrolmentId, Handle, Label, Octets, Refusal, framed};
use hufu_pairwise::{oprf_evaluate, verify_password};
use hufu_store::{Select, StoreError, Versioned};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{
    Activate, Confirmation, DeviceEnrolled, EnrolDevice, EnrolPassword, HolderReply, KeepContact, NewHolder,
    PasswordRecord, Ready, Report, SealedHolder,
};
use hufu_wire::api::holder::Device;
use hufu_wire::api::recovery::{FindRow, RowFound, SealedRecovery};
use hufu_wire::api::trust::node_name;

/// What binds a sealed message to its node and enrolment.
#[must_use]
pub fn sealing_aad(node: hufu_kernel::NodeIndex, enrolment_id: EnrolmentId) -> Vec<u8> {
    framed(&[node_name(node).as_bytes(), enrolment_id.as_slice()])
}

/// Seconds a pending row outlives its enrolment, so that a confirmation given at the last moment finds it.
const GRACE: i64 = 600;

/// Rows looked at in one sweep.
const SWEPT: usize = 10_000;

#[async_trait]
impl ports::Node for Node {
    async fn new_holder(&self, request: &Signed<SealedHolder>) -> Result<HolderReply, Refusal> {
        self.settled().await?;
        let sealed = open_signed(&self.trust, "registrar", request)?;
        if sealed.node != self.index {
            return Err(Refusal::OfficeRefused);
        }
        let private = self.keys.share("hpke").map_err(|error| crate::broken(&error))?;
        let aad = sealing_aad(self.index, sealed.enrolment_id);
        let opened = hpke::open(&private, &sealed.enc.0, &aad, &sealed.ciphertext.0)?;
        let new: NewHolder = serde_json::from_slice(&opened).map_err(|_| Refusal::OfficeRefused)?;
        retrying(|| self.new_holder_once(sealed.enrolment_id, &new)).await
    }

    async fn activate(&self, request: &Activate) -> Result<(), Refusal> {
        self.settled().await?;
        retrying(|| self.activate_once(request)).await
    }

    async fn find_row(&self, request: &Signed<FindRow>) -> Result<RowFound, Refusal> {
        self.find_row_of(request).await
    }

    async fn recover(&self, request: &Signed<SealedRecovery>) -> Result<(), Refusal> {
        self.recover_row(request).await
    }
}

impl Node {
    async fn pending(&self, enrolment_id: EnrolmentId) -> Result<Option<Versioned<Row>>, Refusal> {
        Ok(self.store.find::<Row>("enrolment", self.enrolment_index(enrolment_id)?.as_slice()).await?)
    }

    async fn new_holder_once(&self, enrolment_id: EnrolmentId, new: &NewHolder) -> Result<HolderReply, Refusal> {
        let found = self.pending(enrolment_id).await?;
        if let Some(found) = &found {
            let private = self.private(&found.record)?;
            // The same enrolment again: the same root, and perhaps a redrawn number or a device made anew.
            if private.root_u != new.root_u || !matches!(found.record.holder.status, Status::Pending { .. }) {
                return Err(Refusal::EnrolmentOrder);
            }
            if private.number == new.number
                && found.record.holder.devices[0].credential == credential_hash(&new.credential_id.0)
            {
                return Ok(HolderReply::Pending(self.report(enrolment_id, &found.record, &private)?));
            }
        }
        let handle = found.as_ref().map_or_else(|| Handle::random(self.rng.as_ref()), |found| found.record.handle);
        let (row, private) = self.new_row(handle, enrolment_id, new)?;
        let born = row.generation;
        if born != self.generations().at(self.clock.now()) {
            self.advance.begins_anew();
        }
        match self.put(&row, found.as_ref()).await {
            Ok(()) => Ok(HolderReply::Pending(self.report(enrolment_id, &row, &private)?)),
            Err(StoreError::Duplicate("number")) => Ok(HolderReply::NumberTaken),
            // A pending row of this root from an enrolment that lapsed: it makes room.
            Err(StoreError::Duplicate("root" | "peer")) => self.make_room(enrolment_id, &row.root_index, born).await,
            Err(StoreError::Duplicate(_)) => Err(Refusal::Replayed),
            Err(other) => Err(other.into()),
        }
    }

    fn new_row(&self, handle: Handle, enrolment_id: EnrolmentId, new: &NewHolder) -> Result<(Row, Private), Refusal> {
        // Not this node's clock: the first head covers it, and all three must arrive at the same one.
        let start = new.expires - self.rules.enrolment.lapses_after_s;
        // Of a time whose keys are destroyed there is no new row; one that the peers have comes whole from them.
        let generation = self.born(start)?;
        let device = Device {
            credential: credential_hash(&new.credential_id.0),
            key: new.device_key.clone(),
            holder_key: Bytes::default(),
            since: start.minute(),
            not_before: None,
        };
        let private = Private {
            root_u: new.root_u,
            loc_u: new.loc_u,
            contact: new.contact,
            vault: new.vault,
            face: new.face,
            number: new.number.clone(),
            offsets: Vec::new(),
            epoch_offsets: Vec::new(),
        };
        let mut row = Row {
            handle,
            enrolment: self.enrolment_index(enrolment_id)?,
            holder: Holder::pending(enrolment_id, new.expires, new.flags.clone(), new.epoch, device),
            private: self.seal(&handle, &private)?,
            generation,
            commitments: Commitments::default(),
            root_index: self.index_of("root", new.root_u.as_slice())?,
            number_index: self.number_index(new.number.as_str())?,
            copies: Vec::new(),
            failures: 0,
            paused_until: None,
            peers: self.peer_values(&new.root_u)?,
            vote: None,
        };
        row.commitments = Commitments::said(&self.own_report(enrolment_id, &row, &private)?)?;
        Ok((row, private))
    }

    /// Not the id itself: registrar and uniqueness know it, and no stored value may join a row with theirs.
    fn enrolment_index(&self, enrolment_id: EnrolmentId) -> Result<Octets<32>, Refusal> {
        self.index_of("enrolment", enrolment_id.as_slice())
    }

    pub(super) fn index_of(&self, kind: &str, value: &[u8]) -> Result<Octets<32>, Refusal> {
        self.keys.hmac("index", &framed(&[kind.as_bytes(), value])).map_err(|error| crate::broken(&error))
    }

    pub(super) fn number_index(&self, number: &str) -> Result<Octets<32>, Refusal> {
        self.index_of("number", number.as_bytes())
    }

    async fn make_room(
        &self,
        enrolment_id: EnrolmentId,
        root_index: &Octets<32>,
        born: u32,
    ) -> Result<HolderReply, Refusal> {
        let Some(found) = self.store.find::<Row>("root", root_index.as_slice()).await? else {
            return Err(Refusal::Busy);
        };
        match found.record.holder.status {
            Status::Pending { .. } => {
                self.delete(&found).await?;
                Err(Refusal::Busy)
            }
            _ if self.is_adopted(&found.record)? => {
                // The peers were faster than the registrar's outbox: the row is there, and now has its enrolment's name.
                let mut row = Row { enrolment: self.enrolment_index(enrolment_id)?, ..found.record.clone() };
                self.put(&row, Some(&found)).await?;
                // What the other nodes reported when the enrolment began.
                let mut private = self.private(&row)?;
                self.move_to(&mut row, &mut private, born)?;
                Ok(HolderReply::Pending(self.report(enrolment_id, &row, &private)?))
            }
            _ => Err(Refusal::AlreadyEnrolled),
        }
    }

    fn own_report(&self, enrolment_id: EnrolmentId, row: &Row, private: &Private) -> Result<Report, Refusal> {
        let commitments = self.commitments(&RowKeys::of(row, private))?;
        let (epoch, generation) = (row.holder.epoch, row.generation);
        Ok(Report { enrolment_id, node: self.index, epoch, generation, commitments })
    }

    fn report(&self, enrolment_id: EnrolmentId, row: &Row, private: &Private) -> Result<Signed<Report>, Refusal> {
        sign(self.keys.as_ref(), self.name(), &self.own_report(enrolment_id, row, private)?)
    }

    /// The new device proves itself, registers its holder key and has the first password evaluated.
    ///
    /// # Errors
    /// [`Refusal::EnrolmentGone`] without a pending row; the assertion's refusals; [`Refusal::Replayed`] for a second holder key.
    pub async fn enrol_device(&self, request: &EnrolDevice) -> Result<DeviceEnrolled, Refusal> {
        let now = self.fresh(request.t)?;
        let found = self.pending(request.enrolment_id).await?.ok_or(Refusal::EnrolmentGone)?;
        let credential = credential_hash(&request.assertion.credential_id.0);
        let device = found.record.holder.device(&credential, now)?;
        let bytes = framed(&[request.enrolment_id.as_slice(), &request.holder_key.0, request.blinded.as_slice()]);
        let chal = plain_challenge(Label::Enrol, &bytes, request.t);
        self.assertion(&device.key, &chal, &request.assertion)?;
        let mut row = found.record.clone();
        row.holder.register_holder_key(&request.holder_key)?;
        if row != found.record {
            self.put(&row, Some(&found)).await?;
        }
        if !request.pair.members().contains(&self.index) {
            return Ok(DeviceEnrolled { partial: None });
        }
        self.once(b"enrol", &chal, 2 * super::gate::SKEW + 1).await?;
        let key = self.assigned_password(&self.private(&row)?, request.pair)?;
        let partial = oprf_evaluate(&key, &request.blinded, self.rng.as_ref()).map_err(|_| Refusal::Malformed)?;
        Ok(DeviceEnrolled { partial: Some(partial) })
    }

    /// The first password's public half.
    ///
    /// # Errors
    /// [`Refusal::EnrolmentGone`], [`Refusal::HolderKeyRefused`], [`Refusal::PasswordWrong`] if the key is not known to the caller.
    pub async fn enrol_password(&self, request: &EnrolPassword) -> Result<Signed<Ready>, Refusal> {
        self.fresh(request.t)?;
        let found = self.pending(request.enrolment_id).await?.ok_or(Refusal::EnrolmentGone)?;
        let record = serde_json::to_vec(&request.password).map_err(|_| Refusal::Malformed)?;
        let bytes = framed(&[request.enrolment_id.as_slice(), &record]);
        let chal = plain_challenge(Label::Enrol, &bytes, request.t);
        let device = found.record.holder.devices.first().ok_or(Refusal::EnrolmentOrder)?;
        verify_holder(&device.holder_key.0, &chal, &request.holder_signature)?;
        if !verify_password(&request.password.public.0, &chal, &request.password_signature.0) {
            return Err(Refusal::PasswordWrong);
        }
        let mut row = found.record.clone();
        row.holder.set_first_password(request.password.clone())?;
        if row != found.record {
            self.put(&row, Some(&found)).await?;
        }
        let password = request.password.digest();
        sign(self.keys.as_ref(), self.name(), &Ready { enrolment_id: request.enrolment_id, node: self.index, password })
    }

    async fn activate_once(&self, request: &Activate) -> Result<(), Refusal> {
        let confirmed: Confirmation = open_signed(&self.trust, "uniqueness", &request.confirmation)?;
        let found = self.pending(confirmed.enrolment_id).await?.ok_or(Refusal::EnrolmentGone)?;
        let (password, _) = crate::ready::agreed(&self.trust, confirmed.enrolment_id, &request.ready)?;
        // Of another password, or of none: the peers' whole row takes its place.
        let held = found.record.holder.password.as_ref().map(PasswordRecord::digest);
        if matches!(found.record.holder.status, Status::Pending { .. }) && held != Some(password) {
            self.wait_for_peers(&found.record.handle);
            return Err(Refusal::EnrolmentOrder);
        }
        self.activate_row(found, confirmed.enrolment_id, &request.reports).await
    }

    async fn activate_row(
        &self,
        found: Versioned<Row>,
        enrolment_id: EnrolmentId,
        reports: &[Signed<Report>],
    ) -> Result<(), Refusal> {
        let mut row = found.record.clone();
        row.holder = row.holder.activate(enrolment_id)?;
        let private = self.private(&row)?;
        for report in reports {
            let opened = open_signed(&self.trust, &report.office, report)?;
            if opened.enrolment_id != enrolment_id || report.office != node_name(opened.node) {
                return Err(Refusal::OfficeRefused);
            }
            if opened.epoch == row.holder.epoch {
                let said = Commitments::said(&opened)?;
                let said = self.told_at(&row, &private.root_u, said, [opened.generation, row.generation])?;
                row.commitments.take(&said)?;
            }
        }
        self.post
            .keep_contact(&sign(self.keys.as_ref(), self.name(), &KeepContact { contact: private.contact })?)
            .await?;
        if row != found.record {
            self.put(&row, Some(&found)).await?;
        }
        // The device has just asserted itself to this row (label enrol); a repeated activation proves nothing of the kind.
        let was_pending = matches!(found.record.holder.status, Status::Pending { .. });
        if let Some(device) = row.holder.devices.first().filter(|_| was_pending) {
            self.gate.open_window(device.credential, self.clock.now());
        }
        Ok(())
    }

    /// A confirmed row of which nobody has told this node: as the peers have it, and where they wait too, as it is here. The peers'
    /// reports come with the next activation or with catching up; a row without them signs nothing.
    async fn activate_late(&self, found: Versioned<Row>, enrolment_id: EnrolmentId) -> Result<(), Refusal> {
        for peer in self.others() {
            if let Ok(true) = self.catch_up(peer, &found.record.handle).await {
                return Ok(());
            }
        }
        self.activate_row(found, enrolment_id, &[]).await
    }

    /// Deletes pending rows that lapsed, unless uniqueness says confirmed; those it turns active. Nothing while this node may be wrong
    /// about rows or keys: what it would turn active, its peers have.
    ///
    /// # Errors
    /// The store's, or uniqueness's if it does not answer: nothing is deleted then.
    pub async fn sweep_pending(&self) -> Result<u32, Refusal> {
        if !self.is_settled().await? {
            return Ok(0);
        }
        let before = self.clock.now() - GRACE;
        let select = Select::Range { from: Vec::new(), until: Some(before.to_be_bytes().to_vec()) };
        let mut gone = 0;
        // Behind the first page too: rows that wait for their peers must not hide those behind them.
        for found in self.store.scan_up_to::<Row>("pending", select, SWEPT).await? {
            let Status::Pending { enrolment_id, .. } = found.record.holder.status else { continue };
            match self.uniqueness.confirmation(&enrolment_id).await? {
                // One row that cannot be activated (this node never heard its password) must not stop the others.
                Some(_) => {
                    if let Err(refusal) = self.activate_late(found, enrolment_id).await {
                        tracing::warn!(code = refusal.code(), "a confirmed row waits for its peers");
                    }
                }
                None => {
                    self.delete(&found).await?;
                    gone += 1;
                }
            }
        }
        Ok(gone)
    }
}
