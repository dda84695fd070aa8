//! The part of a person's row that is equal at all three nodes (flows 6), and the statements that change it.

use crate::rules;
use hufu_kernel::{Bytes, EnrolmentId, Epoch, Head, Label, Octets, Refusal, Timestamp, framed};
use hufu_wire::api::enrolment::{Flags, PasswordRecord};
use hufu_wire::api::holder::{Change, Device, Statement};
use hufu_wire::api::recovery::Notice;
use hufu_wire::network_number::NetworkNumber;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Seconds a device's clock may be off (flows 4).
const CLOCK_SKEW: i64 = hufu_kernel::DEVICE_SKEW;

/// Seconds within which a vote for a statement of a device is ended by two nodes. One node's word must not bring back what a person
/// signed last month and never heard of again; what is older than this waits for the third node, and goes if nobody committed it.
const VOTES_END: i64 = 86_400;

/// Devices of one person; each is a line that a node reads at every sign-in.
pub const MAX_DEVICES: usize = 16;

/// A row's standing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Until uniqueness confirms.
    Pending {
        /// Which enrolment.
        enrolment_id: EnrolmentId,
        /// Gone after this, unless uniqueness says confirmed.
        expires: Timestamp,
    },
    /// In use.
    Active,
    /// The holder stopped all use.
    Locked {
        /// From this device: while it is the person's, no other of the devices of that moment may undo it.
        by: Octets<32>,
    },
    /// The holder left; the row is deleted with the same commit.
    Left,
}

impl Status {
    /// The word in views and hashes.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Active => "active",
            Self::Locked { .. } => "locked",
            Self::Left => "left",
        }
    }
}

/// Equal at all three nodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// Counts statements; 1 at activation.
    pub version: u64,
    /// Hash chain over everything that led here.
    pub head: Head,
    /// Standing.
    pub status: Status,
    /// Flags.
    pub flags: Flags,
    /// The sessions' epoch.
    pub epoch: Epoch,
    /// Devices, oldest first.
    pub devices: Vec<Device>,
    /// The password's public record.
    pub password: Option<PasswordRecord>,
    /// The last issued batch of certificate copies; 0 before the first.
    pub batch: u32,
}

/// Who signed a statement, after the node has checked the signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signer<'a> {
    /// The device with this credential hash, by an assertion under the statement's label.
    Device(&'a Octets<32>),
    /// That device's holder key, within its quarter of an hour.
    HolderKey(&'a Octets<32>),
    /// The registrar, after document, face and phone.
    Registrar,
}

/// When a node looks at a statement, and by what right it looks at one that is not of this minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timing {
    /// As it came from its signer, at this moment.
    Fresh(Timestamp),
    /// As another node voted for it a while ago, at this moment: a vote must be ended, and not after a day.
    Late(Timestamp),
    /// As two nodes accepted it, each at its own moment: they have looked at the clock.
    Fetched,
}

impl Timing {
    /// The moment at which the rules about devices look.
    fn moment(self, statement: &Statement) -> Timestamp {
        match self {
            Self::Fresh(now) => now,
            Self::Late(_) | Self::Fetched => statement.t,
        }
    }

    fn check(self, statement: &Statement, signer: Signer<'_>, recovery: &rules::Recovery) -> Result<(), Refusal> {
        let (now, by_device) = match self {
            Self::Fresh(now) => (now, CLOCK_SKEW),
            Self::Late(now) => (now, VOTES_END),
            Self::Fetched => return Ok(()),
        };
        // The registrar's word waits in its outbox for a node that is away; a device speaks to nodes itself.
        let age = if signer == Signer::Registrar { recovery.delivered_within_s } else { by_device };
        if statement.t > now + CLOCK_SKEW || now > statement.t + age { Err(Refusal::StaleTime) } else { Ok(()) }
    }
}

/// What a statement asks of the office beyond the new common state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing.
    None,
    /// A new number, unique at every node.
    Number(NetworkNumber),
    /// New epoch commitments.
    Epoch,
    /// Sign copies of the certificate.
    Certificates {
        /// The copies' keys.
        keys: Vec<Bytes>,
        /// Salts come from it.
        seed: Octets<32>,
    },
    /// Tell the person before it is committed: no notice, no change.
    Notice(Notice),
    /// Delete the row, tell uniqueness and post.
    Leave,
}

/// A statement applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The new state.
    pub holder: Holder,
    /// What else.
    pub effect: Effect,
}

/// The label a statement is signed under.
#[must_use]
pub fn label(change: &Change) -> Label {
    match change {
        Change::AddDevice { .. } => Label::AddDevice,
        Change::RemoveDevice { .. } => Label::RemoveDevice,
        Change::Lock {} => Label::Lock,
        Change::Unlock {} => Label::Unlock,
        Change::EndSessions { .. } => Label::EndSessions,
        Change::ReplaceNumber { .. } => Label::ReplaceNumber,
        Change::Certificates { .. } => Label::Pass,
        Change::Recover { .. } => Label::Recover,
        Change::Veto { .. } => Label::Veto,
        Change::Leave {} => Label::Leave,
    }
}

/// `SHA-256(credential id)`.
#[must_use]
pub fn credential_hash(credential_id: &[u8]) -> Octets<32> {
    Octets(Sha256::digest(credential_id).into())
}

impl Holder {
    /// A pending row's common state: one device that has yet to prove itself.
    #[must_use]
    pub fn pending(enrolment_id: EnrolmentId, expires: Timestamp, flags: Flags, epoch: Epoch, device: Device) -> Self {
        Self {
            version: 0,
            head: Head::default(),
            status: Status::Pending { enrolment_id, expires },
            flags,
            epoch,
            devices: vec![device],
            password: None,
            batch: 0,
        }
    }

    /// The pending device's holder key.
    ///
    /// # Errors
    /// [`Refusal::EnrolmentOrder`] on an active row; [`Refusal::Replayed`] if another key is registered already.
    pub fn register_holder_key(&mut self, holder_key: &Bytes) -> Result<(), Refusal> {
        let (Status::Pending { .. }, Some(device)) = (&self.status, self.devices.first_mut()) else {
            return Err(Refusal::EnrolmentOrder);
        };
        if !device.holder_key.0.is_empty() && device.holder_key != *holder_key {
            return Err(Refusal::Replayed);
        }
        device.holder_key = holder_key.clone();
        Ok(())
    }

    /// The pending person's password.
    ///
    /// # Errors
    /// [`Refusal::EnrolmentOrder`] if the row is active or the device has not proven itself.
    pub fn set_first_password(&mut self, password: PasswordRecord) -> Result<(), Refusal> {
        let proven = self.devices.first().is_some_and(|device| !device.holder_key.0.is_empty());
        if !matches!(self.status, Status::Pending { .. }) || !proven {
            return Err(Refusal::EnrolmentOrder);
        }
        self.password = Some(password);
        Ok(())
    }

    /// Whether the row needs nothing but the confirmation.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.password.is_some()
    }

    /// Pending to active, on uniqueness's word for `confirmed`. An active row stays as it is: the step is idempotent.
    ///
    /// # Errors
    /// [`Refusal::EnrolmentOrder`] if the word is for another enrolment or the device has not finished.
    pub fn activate(&self, confirmed: EnrolmentId) -> Result<Self, Refusal> {
        match &self.status {
            Status::Pending { enrolment_id, .. } if *enrolment_id == confirmed && self.is_ready() => {
                let mut active = self.clone();
                active.status = Status::Active;
                active.version = 1;
                active.head = active.first_head(confirmed)?;
                Ok(active)
            }
            Status::Pending { .. } => Err(Refusal::EnrolmentOrder),
            _ => Ok(self.clone()),
        }
    }

    fn first_head(&self, enrolment_id: EnrolmentId) -> Result<Head, Refusal> {
        let state = self.state()?;
        Ok(Head(Octets(Sha256::digest(framed(&[b"hufu-v1-head", enrolment_id.as_slice(), &state])).into())))
    }

    /// What every node must have made of the same statements.
    fn state(&self) -> Result<Vec<u8>, Refusal> {
        serde_json::to_vec(&(&self.status, &self.flags, &self.epoch, &self.devices, &self.password, self.batch))
            .map_err(|_| Refusal::Internal)
    }

    /// The device with this credential hash, if it may act at `now`.
    ///
    /// # Errors
    /// [`Refusal::UnknownDevice`], or [`Refusal::VetoPeriod`] while a recovered device waits.
    pub fn device(&self, credential: &Octets<32>, now: Timestamp) -> Result<&Device, Refusal> {
        let device =
            self.devices.iter().find(|device| device.credential == *credential).ok_or(Refusal::UnknownDevice)?;
        if device.waits(now) {
            return Err(Refusal::VetoPeriod);
        }
        Ok(device)
    }

    /// Whether results may be signed.
    ///
    /// # Errors
    /// The standing that forbids it.
    pub fn usable(&self) -> Result<(), Refusal> {
        match self.status {
            Status::Active => Ok(()),
            Status::Locked { .. } => Err(Refusal::Locked),
            Status::Pending { .. } => Err(Refusal::NotActive),
            Status::Left => Err(Refusal::UnknownDevice),
        }
    }

    /// Applies a statement whose signature has been checked; `bytes` are the exact signed bytes.
    ///
    /// # Errors
    /// [`Refusal::VersionConflict`] if it was made for another state of the row; else the rule that forbids it.
    pub fn apply(
        &self,
        statement: &Statement,
        bytes: &[u8],
        signer: Signer<'_>,
        timing: Timing,
        recovery: &rules::Recovery,
    ) -> Result<Applied, Refusal> {
        if statement.version != self.version || statement.head != self.head {
            return Err(Refusal::VersionConflict);
        }
        timing.check(statement, signer, recovery)?;
        self.may(signer, &statement.change, timing.moment(statement))?;
        let mut next = self.clone();
        let effect = match &statement.change {
            Change::Recover { device } => {
                // A vote that is ended late gives an old device no less time than a fresh one.
                let now = if let Timing::Fresh(now) | Timing::Late(now) = timing { now } else { statement.t };
                next.recover(device, statement.t, now, recovery)?
            }
            change => next.change(change, signer, statement.t)?,
        };
        next.version += 1;
        // The state as well as the words: nodes that made different things of one statement never agree again unnoticed.
        let state = next.state()?;
        let parts = [b"hufu-v1-head", self.head.as_slice(), bytes, &state];
        next.head = Head(Octets(Sha256::digest(framed(&parts)).into()));
        Ok(Applied { holder: next, effect })
    }

    fn may(&self, signer: Signer<'_>, change: &Change, now: Timestamp) -> Result<(), Refusal> {
        match (signer, change) {
            (Signer::Registrar, Change::Recover { .. }) => {}
            (Signer::HolderKey(credential), Change::Certificates { .. }) => {
                self.device(credential, now)?;
            }
            (Signer::Registrar, _)
            | (Signer::HolderKey(_), _)
            | (_, Change::Recover { .. } | Change::Certificates { .. }) => {
                return Err(Refusal::ChallengeMismatch);
            }
            (Signer::Device(credential), _) => {
                self.device(credential, now)?;
            }
        }
        match (&self.status, change) {
            (Status::Active, _) => Ok(()),
            (Status::Locked { .. }, Change::Lock {} | Change::Recover { .. } | Change::Veto { .. }) => Ok(()),
            // A person locks because another device is in wrong hands: that one must not unlock, leave or put out the one that locked.
            (Status::Locked { by }, Change::Unlock {} | Change::Leave {} | Change::RemoveDevice { .. }) => {
                if self.may_undo(signer, by) { Ok(()) } else { Err(Refusal::LockedElsewhere) }
            }
            _ => self.usable(),
        }
    }

    /// A new device that waits. It takes the place of one that waits already: whoever begins twice has one device in the end, and
    /// every beginning has its own delay and its own notice.
    fn recover(
        &mut self,
        device: &Device,
        t: Timestamp,
        now: Timestamp,
        rules: &rules::Recovery,
    ) -> Result<Effect, Refusal> {
        // Not even the registrar can shorten the time in which an old device may object.
        if device.not_before.is_none_or(|not_before| not_before < now + rules.delay_s) {
            return Err(Refusal::Malformed);
        }
        self.devices.retain(|known| !known.waits(t));
        // Beyond the number of devices one may add: who lost all of sixteen must get in again.
        self.add(device)?;
        Ok(Effect::Notice(Notice::Recovery { until: device.not_before.unwrap_or(now) }))
    }

    fn add(&mut self, device: &Device) -> Result<(), Refusal> {
        if self.devices.iter().any(|known| known.credential == device.credential) {
            return Err(Refusal::Replayed);
        }
        self.devices.push(device.clone());
        Ok(())
    }

    /// The device that locked, one that came by document, face and phone, or any once the one that locked is gone.
    fn may_undo(&self, signer: Signer<'_>, locker: &Octets<32>) -> bool {
        let Signer::Device(credential) = signer else { return false };
        let recovered = |device: &Device| device.credential == *credential && device.not_before.is_some();
        credential == locker
            || self.devices.iter().any(recovered)
            || !self.devices.iter().any(|device| device.credential == *locker)
    }

    /// `t` is the statement's own time: whether a device waits must not depend on which node looks when.
    fn change(&mut self, change: &Change, signer: Signer<'_>, t: Timestamp) -> Result<Effect, Refusal> {
        match change {
            Change::AddDevice { device } => {
                // Only the registrar makes a device wait.
                if device.not_before.is_some() {
                    return Err(Refusal::Malformed);
                }
                if self.devices.iter().filter(|known| !known.waits(t)).count() >= MAX_DEVICES {
                    return Err(Refusal::TooManyDevices);
                }
                self.add(device)?;
                Ok(Effect::Notice(Notice::DeviceAdded))
            }
            // Needs the time of the statement: see `recover`.
            Change::Recover { .. } => Err(Refusal::ChallengeMismatch),
            Change::RemoveDevice { credential } => {
                if !self.devices.iter().any(|device| device.credential != *credential && !device.waits(t)) {
                    return Err(Refusal::LastDevice);
                }
                self.remove(credential, |_| true)?;
                Ok(Effect::Notice(Notice::DeviceRemoved))
            }
            Change::Veto { credential } => {
                self.remove(credential, |device| device.waits(t))?;
                Ok(Effect::None)
            }
            Change::Lock {} => {
                let Signer::Device(credential) = signer else { return Err(Refusal::ChallengeMismatch) };
                if matches!(self.status, Status::Locked { .. }) {
                    return Ok(Effect::None);
                }
                self.status = Status::Locked { by: *credential };
                Ok(Effect::Notice(Notice::Locked))
            }
            Change::Unlock {} => {
                self.status = Status::Active;
                Ok(Effect::Notice(Notice::Unlocked))
            }
            Change::EndSessions { epoch } => {
                if *epoch == self.epoch {
                    return Err(Refusal::Replayed);
                }
                self.epoch = *epoch;
                Ok(Effect::Epoch)
            }
            Change::ReplaceNumber { number } => Ok(Effect::Number(number.clone())),
            Change::Certificates { batch, keys, seed } => {
                if *batch <= self.batch {
                    return Err(Refusal::Replayed);
                }
                self.batch = *batch;
                Ok(Effect::Certificates { keys: keys.clone(), seed: *seed })
            }
            Change::Leave {} => {
                self.status = Status::Left;
                Ok(Effect::Leave)
            }
        }
    }

    fn remove(&mut self, credential: &Octets<32>, may: impl Fn(&Device) -> bool) -> Result<Effect, Refusal> {
        let before = self.devices.len();
        self.devices.retain(|device| device.credential != *credential || !may(device));
        if self.devices.len() == before { Err(Refusal::UnknownDevice) } else { Ok(Effect::None) }
    }
}

#[cfg(test)]
mod tests;
