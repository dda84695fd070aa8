//! Enrolment (flows 5): wallet to registrar, registrar to taggers, uniqueness, post and nodes.

use super::{Purpose, Signed};
use crate::documents::DocumentType;
use crate::network_number::NetworkNumber;
use crate::webauthn::{Assertion, DeviceKey};
use hufu_kernel::{
    AgeBand, Bytes, Element, EnrolmentId, Epoch, Locator, NodeIndex, Octets, Pair, Partial, Subset, Timestamp, framed,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

// -- wallet to registrar

/// The wallet's hold on an enrolment: the registrar keeps the draft sealed under `key`, which only the wallet has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// Which enrolment.
    pub id: EnrolmentId,
    /// Opens the draft; in a browser a cookie.
    pub key: Octets<32>,
}

/// Step 1: what the person says about themselves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StartEnrolment {
    /// One of seven types.
    pub document_type: DocumentType,
    /// As typed; separators are accepted.
    pub document_number: String,
    /// As on the document.
    pub name: String,
    /// The version of the notice that was shown and accepted.
    pub notice_version: String,
}

/// Step 2: the face step's outcome, decided by the registrar's `FaceDecision` port from this evidence.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FaceStep {
    /// Which enrolment.
    pub ticket: Ticket,
    /// Evidence for the port; in the sandbox the persona's choice.
    pub evidence: Bytes,
}

/// Step 3: ask for a code.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PhoneStep {
    /// Which enrolment.
    pub ticket: Ticket,
    /// As typed.
    pub phone: String,
    /// The message's language.
    pub lang: hufu_kernel::Lang,
}

/// Step 4: the code from the phone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CodeStep {
    /// Which enrolment.
    pub ticket: Ticket,
    /// As typed; spaces are accepted.
    pub code: String,
}

/// Step 5: the new device. The registrar makes the root and sends it to the nodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeviceStep {
    /// Which enrolment.
    pub ticket: Ticket,
    /// The credential's id.
    pub credential_id: Bytes,
    /// Its public key.
    pub device_key: DeviceKey,
}

/// Step 6: after the device has confirmed itself at two nodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmStep {
    /// Which enrolment.
    pub ticket: Ticket,
    /// At least two nodes' receipts.
    pub ready: Vec<Signed<Ready>>,
}

/// Where an enrolment stands, as the wallet sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrolmentView {
    /// Which enrolment.
    pub id: EnrolmentId,
    /// The next step to take.
    pub next: NextStep,
    /// When it lapses.
    pub expires: Timestamp,
    /// After step 5: the nodes that hold the pending row.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub nodes: Vec<NodeIndex>,
    /// After step 5: what each node committed to.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reports: Vec<Signed<Report>>,
    /// After step 6: the person's number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub number: Option<NetworkNumber>,
    /// After a recovery: the new device may be used from then on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// The steps, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// Look into the camera.
    Face,
    /// Give a phone number.
    Phone,
    /// Type the code.
    Code,
    /// Make a passkey.
    Device,
    /// Choose a password on the device, then confirm.
    Confirm,
    /// Nothing: the person is enrolled.
    Done,
    /// Nothing until `until`: a recovered device waits.
    Wait,
}

/// The reply to step 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// The wallet's hold.
    pub ticket: Ticket,
    /// Where it stands.
    pub view: EnrolmentView,
}

// -- wallet to node, on a pending row

/// The new device proves itself to a node, registers its holder key, and has the first password evaluated.
/// Signed: label enrol, ctx = statement context of the framed `enrolment_id ‖ holder_key ‖ blinded`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrolDevice {
    /// Which pending row.
    pub enrolment_id: EnrolmentId,
    /// The device's assertion.
    pub assertion: Assertion,
    /// The holder key: P-256, SEC1 uncompressed, 65 bytes.
    pub holder_key: Bytes,
    /// The blinded password.
    pub blinded: Octets<32>,
    /// The pair that evaluates; a node outside it only registers the holder key.
    pub pair: Pair,
    /// When the device signed.
    pub t: Timestamp,
}

/// The reply to [`EnrolDevice`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeviceEnrolled {
    /// The node's part of the password evaluation; none from a node outside the pair.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partial: Option<Partial>,
}

/// The public record of a password: nothing here allows an offline guess without two nodes' keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordRecord {
    /// Ed25519.
    pub public: Octets<32>,
    /// Argon2id salt.
    pub salt: Octets<32>,
    /// Stretching parameters.
    pub params_id: u8,
}

impl PasswordRecord {
    /// SHA-256 of `"hufu-v1-password-record" ‖ public ‖ salt ‖ params_id`.
    #[must_use]
    pub fn digest(&self) -> Octets<32> {
        let parts: [&[u8]; 4] =
            [b"hufu-v1-password-record", self.public.as_slice(), self.salt.as_slice(), &[self.params_id]];
        Octets(Sha256::digest(framed(&parts)).into())
    }
}

/// The password's public half, signed by the holder key: label enrol, ctx = statement context of the framed
/// `enrolment_id ‖ JSON(password)`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrolPassword {
    /// Which pending row.
    pub enrolment_id: EnrolmentId,
    /// The record.
    pub password: PasswordRecord,
    /// When the holder key signed.
    pub t: Timestamp,
    /// ES256, r ‖ s, by the holder key.
    pub holder_signature: Octets<64>,
    /// Ed25519 by the password key over the same challenge: it is known.
    pub password_signature: Octets<64>,
}

/// A node's word that the row needs nothing but the confirmation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// Which row.
    pub enrolment_id: EnrolmentId,
    /// Which node.
    pub node: NodeIndex,
    /// [`PasswordRecord::digest`] of what it holds: whoever sets a password again while a node is away leaves two, and one counts.
    pub password: Octets<32>,
}

impl Purpose for Ready {
    const PURPOSE: &'static str = "ready";
}

// -- registrar to node

/// What a node learns about a new person; HPKE-sealed to the node, AAD = node id ‖ enrolment_id, inside [`Signed`] by the registrar.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewHolder {
    /// The pseudonym root.
    pub root_u: Octets<32>,
    /// Names the person's records at uniqueness, post and vault.
    pub loc_u: Locator,
    /// Flags.
    pub flags: Flags,
    /// The contact reference at post.
    pub contact: Locator,
    /// The vault's locator, where rules require a record.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vault: Option<Locator>,
    /// The face commitment, where a template exists.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub face: Option<Octets<32>>,
    /// The network number.
    pub number: NetworkNumber,
    /// The first device.
    pub credential_id: Bytes,
    /// Its key.
    pub device_key: DeviceKey,
    /// The first epoch.
    pub epoch: Epoch,
    /// Pending until then.
    pub expires: Timestamp,
}

/// What is known of a person without knowing who.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Flags {
    /// Checked against the register.
    pub real: bool,
    /// The tag index knew no other root.
    pub unique: bool,
    /// Not reported dead.
    pub alive: bool,
    /// The age band now.
    pub band: AgeBand,
    /// For minors, the first day of the month in which the band changes; the day is not kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub band_until: Option<Timestamp>,
}

impl Flags {
    /// The band at `now`: a minor's band moves up by one when its month has come.
    #[must_use]
    pub fn band_at(&self, now: Timestamp) -> AgeBand {
        match (self.band, self.band_until) {
            (AgeBand::Under14, Some(until)) if now >= until => AgeBand::From14To17,
            (AgeBand::From14To17, Some(until)) if now >= until => AgeBand::Adult,
            (band, _) => band,
        }
    }
}

/// The registrar's message to one node, and what it is kept as in the outbox until that node answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedHolder {
    /// Which row.
    pub enrolment_id: EnrolmentId,
    /// The node that can open it.
    pub node: NodeIndex,
    /// HPKE encapsulated key.
    pub enc: Bytes,
    /// HPKE ciphertext of JSON [`NewHolder`].
    pub ciphertext: Bytes,
}

impl Purpose for SealedHolder {
    const PURPOSE: &'static str = "new-holder";
}

/// A node's commitments to the sub-keys it holds for this person (flows 1), signed by the node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Which row, in the enrolment; afterwards the row's head stands in its place.
    pub enrolment_id: EnrolmentId,
    /// The reporting node.
    pub node: NodeIndex,
    /// The epoch the epoch commitments belong to.
    pub epoch: Epoch,
    /// The generation of K_A that they belong to: the one of the enrolment's start.
    #[serde(skip_serializing_if = "super::is_first", default)]
    pub generation: u32,
    /// Per held subset.
    pub commitments: BTreeMap<Subset, Commitments>,
}

impl Purpose for Report {
    const PURPOSE: &'static str = "report";
}

/// Commitments to one subset's three sub-keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Commitments {
    /// C_A = e_A·G.
    pub pseudonym: Element,
    /// e_{A,ep}·G.
    pub epoch: Element,
    /// The password sub-key times the ristretto255 base.
    pub password: Element,
}

/// A node's answer to the registrar.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderReply {
    /// The row is pending.
    Pending(Signed<Report>),
    /// The number is taken: draw another.
    NumberTaken,
}

/// Uniqueness's word that an enrolment is complete.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Which enrolment.
    pub enrolment_id: EnrolmentId,
}

impl Purpose for Confirmation {
    const PURPOSE: &'static str = "confirmation";
}

/// Turns a pending row active.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// Uniqueness's word.
    pub confirmation: Signed<Confirmation>,
    /// What the nodes committed to; different reports on one subset refuse.
    pub reports: Vec<Signed<Report>>,
    /// Two nodes' words on one password: a node that holds another waits for its peers' row.
    pub ready: Vec<Signed<Ready>>,
}

// -- registrar to taggers

/// One blinded document number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateTag {
    /// ristretto255.
    pub blinded: Octets<32>,
}

impl Purpose for EvaluateTag {
    const PURPOSE: &'static str = "evaluate-tag";
}

// -- registrar to uniqueness

/// Asks for a tag.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// H(T ‖ "idx").
    pub idx: Octets<32>,
    /// For whom.
    pub enrolment_id: EnrolmentId,
    /// Until when.
    pub expires: Timestamp,
}

impl Purpose for Reserve {
    const PURPOSE: &'static str = "reserve";
}

/// What uniqueness knows about a tag.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TagState {
    /// Never seen: now reserved for this enrolment.
    New,
    /// Reserved by this same enrolment, with its wrap where one is stored.
    Mine(Option<Bytes>),
    /// Reserved by another enrolment that has not lapsed.
    Reserved,
    /// Its holder left: now reserved for this enrolment, as a new root.
    Returning,
    /// A person: here is the wrapped root.
    Known(Bytes),
}

/// Stores the wrapped root under a reserved tag.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreWrap {
    /// The reserved tag.
    pub idx: Octets<32>,
    /// For whom.
    pub enrolment_id: EnrolmentId,
    /// AEAD under HKDF(T, "wrap") of root_u ‖ loc_u.
    pub wrap: Bytes,
    /// Index over all tags of the person.
    pub loc_u: Locator,
}

impl Purpose for StoreWrap {
    const PURPOSE: &'static str = "store-wrap";
}

/// Asks uniqueness to confirm, or whether it has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// Which enrolment.
    pub enrolment_id: EnrolmentId,
}

impl Purpose for Confirm {
    const PURPOSE: &'static str = "confirm";
}

// -- registrar and nodes to post

/// Stores a phone number under a random reference.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreContact {
    /// Chosen by the registrar, random.
    pub contact: Locator,
    /// Lets leaving find it.
    pub loc_u: Locator,
    /// Canonical `+86…`.
    pub phone: String,
    /// The language of messages.
    pub lang: hufu_kernel::Lang,
    /// Gone after this, unless a node says that the person exists.
    pub expires: Timestamp,
}

impl Purpose for StoreContact {
    const PURPOSE: &'static str = "store-contact";
}

/// The person of a contact exists: it stays until they leave.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepContact {
    /// The reference.
    pub contact: Locator,
}

impl Purpose for KeepContact {
    const PURPOSE: &'static str = "keep-contact";
}

/// Sends a code before a contact exists.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendCode {
    /// Canonical `+86…`.
    pub phone: String,
    /// Six digits.
    pub code: String,
    /// The message's language.
    pub lang: hufu_kernel::Lang,
}

impl Purpose for SendCode {
    const PURPOSE: &'static str = "send-code";
}
