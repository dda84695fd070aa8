//! Recovery (flows 5): a person who is known gets a new device, after a delay in which an old device may object.

use super::enrolment::Ticket;
use super::{Purpose, Signed};
use crate::webauthn::{Assertion, DeviceKey};
use hufu_kernel::{Bytes, EnrolmentId, Head, Locator, NodeIndex, Octets, Timestamp};
use serde::{Deserialize, Serialize};

// -- wallet to registrar

/// In place of enrolment's step 5: the new device of a person who has a number already.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RecoverStep {
    /// Which enrolment: document, face and phone have passed.
    pub ticket: Ticket,
    /// The new device.
    pub device: RecoveringDevice,
}

/// A new device and its proof of itself: label recover, ctx = statement context of the framed `enrolment_id ‖ holder_key`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RecoveringDevice {
    /// Its public key.
    pub key: DeviceKey,
    /// Its holder key: P-256, SEC1 uncompressed, 65 bytes.
    pub holder_key: Bytes,
    /// Its assertion.
    pub assertion: Assertion,
    /// When it signed.
    pub t: Timestamp,
}

// -- registrar to uniqueness

/// Asks for the wrap of a known tag, for one recovery; until it is over nobody else recovers that person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginRecovery {
    /// H(T ‖ "idx").
    pub idx: Octets<32>,
    /// For whom.
    pub enrolment_id: EnrolmentId,
}

impl Purpose for BeginRecovery {
    const PURPOSE: &'static str = "begin-recovery";
}

// -- registrar to node

/// Names a row to one node by its root; HPKE-sealed to the node like [`super::enrolment::SealedHolder`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindRow {
    /// On whose behalf.
    pub enrolment_id: EnrolmentId,
    /// The node that can open it.
    pub node: NodeIndex,
    /// HPKE encapsulated key.
    pub enc: Bytes,
    /// HPKE ciphertext of the 32 bytes of root_u.
    pub ciphertext: Bytes,
}

impl Purpose for FindRow {
    const PURPOSE: &'static str = "find-row";
}

/// The row a statement must be made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowFound {
    /// The row's version.
    pub version: u64,
    /// The row's head.
    pub head: Head,
}

/// The registrar's word that document, face and phone have passed, over the very statement that nodes apply and remember.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// Which enrolment the device's assertion names.
    pub enrolment_id: EnrolmentId,
    /// JSON of a [`super::holder::Statement`] that recovers.
    pub statement: Bytes,
    /// The new device's assertion.
    pub assertion: Assertion,
    /// When the device signed.
    pub t: Timestamp,
}

impl Purpose for Recovery {
    const PURPOSE: &'static str = "recovery";
}

/// What a node is told; HPKE-sealed in [`SealedRecovery`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoverRow {
    /// Names the row.
    pub root_u: Octets<32>,
    /// What happens to it.
    pub recovery: Signed<Recovery>,
}

/// [`RecoverRow`] on its way to one node, and what it is kept as until that node has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedRecovery {
    /// On whose behalf.
    pub enrolment_id: EnrolmentId,
    /// The node that can open it.
    pub node: NodeIndex,
    /// HPKE encapsulated key.
    pub enc: Bytes,
    /// HPKE ciphertext of JSON [`RecoverRow`].
    pub ciphertext: Bytes,
}

impl Purpose for SealedRecovery {
    const PURPOSE: &'static str = "recover-row";
}

// -- node to post

/// Tells a person by short message what happens to their row. A node's own word, so that no registrar can keep it quiet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// The contact reference.
    pub contact: Locator,
    /// The same at every node that tells of one event, so that the person hears of it once.
    pub event: Octets<32>,
    /// What happens.
    pub notice: Notice,
}

impl Purpose for Notify {
    const PURPOSE: &'static str = "notify";
}

/// What a person is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A recovery takes effect at this time unless an old device objects.
    Recovery {
        /// When.
        until: Timestamp,
    },
    /// Another device was added.
    DeviceAdded,
    /// A device was removed.
    DeviceRemoved,
    /// All use was stopped.
    Locked,
    /// Use goes on.
    Unlocked,
    /// A platform asks for a sign-in; which, is not said.
    RequestWaiting,
}
