//! The person's own dealings with the nodes after enrolment: statements, certificates, reads.

use super::enrolment::Flags;
use crate::network_number::NetworkNumber;
use crate::webauthn::{Assertion, DeviceKey};
use hufu_kernel::{Bytes, Epoch, Head, Locator, Octets, Pair, Timestamp};
use serde::{Deserialize, Serialize};

/// One device of a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// SHA-256 of the credential id: the index by which a node finds the row.
    pub credential: Octets<32>,
    /// Its public key.
    pub key: DeviceKey,
    /// Its holder key: P-256, SEC1 uncompressed; empty until the device has registered it.
    pub holder_key: Bytes,
    /// Since when, to the minute.
    pub since: Timestamp,
    /// Not before: a device added by recovery waits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_before: Option<Timestamp>,
}

impl Device {
    /// Whether a recovered device may not act yet.
    #[must_use]
    pub fn waits(&self, now: Timestamp) -> bool {
        self.not_before.is_some_and(|not_before| now < not_before)
    }
}

/// A change to a row (flows 6): signed by the person's device, by the registrar for recovery, or by the holder key for copies of the certificate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The row's version before.
    pub version: u64,
    /// The row's head before.
    pub head: Head,
    /// When it was signed.
    pub t: Timestamp,
    /// What changes.
    pub change: Change,
}

/// What a statement changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Change {
    /// One more device.
    AddDevice {
        /// It.
        device: Device,
    },
    /// One device fewer.
    RemoveDevice {
        /// SHA-256 of its credential id.
        credential: Octets<32>,
    },
    /// Stop all use.
    Lock {},
    /// Resume use.
    Unlock {},
    /// A new epoch.
    EndSessions {
        /// 16 random bytes.
        epoch: Epoch,
    },
    /// A new network number.
    ReplaceNumber {
        /// Drawn by the wallet; refused if taken.
        number: NetworkNumber,
    },
    /// Ten new copies of the certificate; the status indexes follow from the batch.
    Certificates {
        /// Counts up from 1.
        batch: u32,
        /// The copies' holder keys: P-256, SEC1 uncompressed.
        keys: Vec<Bytes>,
        /// Salts come from it (flows 6).
        seed: Octets<32>,
    },
    /// A device added by recovery.
    Recover {
        /// It, with `not_before`.
        device: Device,
    },
    /// The old device's objection.
    Veto {
        /// SHA-256 of the recovered device's credential id.
        credential: Octets<32>,
    },
    /// Leave the service.
    Leave {},
}

/// Who signed a statement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// A device's assertion over the statement's challenge.
    Device(Assertion),
    /// A holder key within its quarter of an hour.
    Holder(HolderProof),
    /// The registrar, after document, face and phone; the statement within is the one it stands for.
    Registrar(super::Signed<super::recovery::Recovery>),
}

/// A signature by a device's holder key over the challenge of label pass and `ctx` = statement context of the request's bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HolderProof {
    /// SHA-256 of the device's credential id.
    pub credential: Octets<32>,
    /// When it signed.
    pub t: Timestamp,
    /// ES256, r ‖ s.
    pub signature: Octets<64>,
}

/// A statement on its way to a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitStatement {
    /// JSON of a [`Statement`]: the exact bytes that were signed.
    pub statement: Bytes,
    /// By whom.
    pub authority: Authority,
    /// The pair that signs, where the change asks for signatures (copies of the certificate).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pair: Option<Pair>,
}

/// A node committed the statement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StatementAccepted {
    /// The row's version now.
    pub version: u64,
    /// The row's head now.
    pub head: Head,
    /// After a change of epoch: this node's new commitments, for the others.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub report: Option<super::Signed<EpochReport>>,
    /// For copies of the certificate: a signing session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offer: Option<SigningOffer>,
}

/// A node's commitments to the sub-keys of a new epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochReport {
    /// The row's head after the change.
    pub head: Head,
    /// The reporting node.
    pub node: hufu_kernel::NodeIndex,
    /// The generation of K_A that they belong to.
    #[serde(skip_serializing_if = "super::is_first", default)]
    pub generation: u32,
    /// Per held subset.
    pub commitments: std::collections::BTreeMap<hufu_kernel::Subset, hufu_kernel::Element>,
}

impl super::Purpose for EpochReport {
    const PURPOSE: &'static str = "epoch-report";
}

/// The other nodes' commitments, carried by the wallet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitReports {
    /// SHA-256 of the credential id.
    pub credential: Octets<32>,
    /// The reports.
    pub reports: Vec<super::Signed<EpochReport>>,
}

/// FROST commitments for several messages at once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SigningOffer {
    /// Names the signing nonces in this node's memory.
    pub session: Octets<16>,
    /// RFC 9591 round one, one per message.
    pub commitments: Vec<Bytes>,
    /// Whether the peers' rows agree.
    pub state: super::sign_in::RowState,
}

/// Round 2: the other node's commitments, carried by the wallet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FinishSigning {
    /// This node's session.
    pub session: Octets<16>,
    /// The peer's offer.
    pub peer: SigningOffer,
}

/// What each node signed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SigningShares {
    /// The JWS signing inputs.
    pub signing_inputs: Vec<String>,
    /// RFC 9591 round two, one per message.
    pub shares: Vec<Bytes>,
    /// For certificates: the disclosures of each copy, base64url.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub disclosures: Vec<Vec<String>>,
}

/// Opens the holder key's quarter of an hour: an assertion with label pass, `ctx` = statement context of `"holder" ‖ credential hash`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenHolder {
    /// The assertion.
    pub assertion: Assertion,
    /// When the device signed.
    pub t: Timestamp,
}

/// Done, with nothing to say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Done {}

/// A read of one's own row; `ctx` = statement context of `"row"`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReadRow {
    /// By the holder key.
    pub proof: HolderProof,
}

/// What a node holds about a person: all of it, for the export page.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RowView {
    /// The row's version.
    pub version: u64,
    /// The row's head.
    pub head: Head,
    /// `active` or `locked`.
    pub status: String,
    /// The network number.
    pub number: NetworkNumber,
    /// Flags.
    pub flags: Flags,
    /// The devices.
    pub devices: Vec<Device>,
    /// The next batch of certificate copies.
    pub next_batch: u32,
    /// The contact reference at post.
    pub contact: Locator,
    /// What the nodes committed to for this person: a device that is new, or that was away while sessions ended, takes them from
    /// two nodes that say the same.
    ///
    /// As they are at the proof's time: a rotation of K_A moves each of them, and never their sum (docs/decisions/0017).
    pub commitments: std::collections::BTreeMap<hufu_kernel::Subset, super::enrolment::Commitments>,
    /// The generation of K_A that they belong to.
    #[serde(skip_serializing_if = "super::is_first", default)]
    pub generation: u32,
    /// This node's own commitments for the present epoch, signed: what heals a change of epoch whose reports were lost.
    pub report: super::Signed<EpochReport>,
    /// The changes the row remembers, newest last: kind and minute.
    pub changes: Vec<(String, Timestamp)>,
}

/// Asks two nodes for a pass (the card's dynamic QR); `ctx` = statement context of the framed `"pass" ‖ jti ‖ exp`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BeginPass {
    /// By the holder key.
    pub proof: HolderProof,
    /// The two nodes the wallet uses.
    pub pair: Pair,
    /// Random.
    pub jti: Octets<16>,
    /// At most 30 s ahead.
    pub exp: Timestamp,
}

/// Two nodes' word to leave (flows 5): uniqueness deletes wraps, post the contact.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// The person's records.
    pub loc_u: Locator,
}

impl super::Purpose for Forget {
    const PURPOSE: &'static str = "forget";
}
