//! What the registrar stores, and what it holds in memory while it answers.

use hufu_domain::enrolment::{Codes, Step};
use hufu_kernel::{EnrolmentId, Index, Key, NodeIndex, Octets, Record, Sealed, Timestamp, offices};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{Confirmation, Flags, Ready, Report, SealedHolder};
use hufu_wire::api::recovery::SealedRecovery;
use hufu_wire::documents::DocumentType;
use serde::{Deserialize, Serialize};

/// An enrolment in progress: nothing in it names anybody.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Enrolment {
    /// Its name.
    pub id: EnrolmentId,
    /// Where it stands.
    pub step: Step,
    /// When it lapses; then the row is swept.
    pub expires: Timestamp,
    /// [`Draft`], under the key that only the wallet has; gone with the row, or at the latest when the enrolment's time is over.
    pub draft: Option<Sealed>,
    /// Messages for nodes, sealed to them.
    pub outbox: Vec<Outgoing>,
    /// What nodes committed to.
    pub reports: Vec<Signed<Report>>,
    /// Two nodes' words on one password, from the confirmation on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ready: Vec<Signed<Ready>>,
    /// Uniqueness's word.
    pub confirmation: Option<Signed<Confirmation>>,
    /// Nodes that are active.
    pub active: Vec<NodeIndex>,
    /// A known person's new device on its way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recovery: Option<Recovering>,
}

/// A recovery in progress: the statement is fixed before any node hears it, so that all nodes arrive at one head.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Recovering {
    /// The device may be used from then on.
    pub until: Timestamp,
    /// Names the device to whoever holds the enrolment's key: nodes store the credential's hash, and no stored value may join the two.
    pub device: Octets<32>,
    /// Messages for nodes, sealed to them.
    pub outbox: Vec<(NodeIndex, Signed<SealedRecovery>)>,
    /// Nodes that have it.
    pub delivered: Vec<NodeIndex>,
}

/// A message for one node, kept until that node has it and is active.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outgoing {
    /// To whom.
    pub node: NodeIndex,
    /// HPKE-sealed, signed.
    pub message: Signed<SealedHolder>,
    /// Whether the node has it.
    pub delivered: bool,
}

impl Record for Enrolment {
    type Office = offices::Registrar;
    const KIND: &'static str = "enrolment";
    const INDEXES: &'static [Index] = &[Index { name: "unfinished", unique: false }];

    fn key(&self) -> Key {
        Key::own(self.id.as_slice())
    }

    fn index_values(&self) -> Vec<(&'static str, Vec<u8>)> {
        // From uniqueness's word on the person exists and somebody must finish, whether or not the wallet comes back.
        let unfinished = self.confirmation.is_some() && self.active.len() < 3;
        // A node that missed a recovery is told until the message is too old for it.
        let untold = self.recovery.as_ref().is_some_and(|recovery| recovery.delivered.len() < 3);
        if unfinished || untold { vec![("unfinished", self.id.as_slice().to_vec())] } else { Vec::new() }
    }

    fn expires(&self) -> Option<Timestamp> {
        let unfinished = self.confirmation.is_some() && self.active.len() < 3;
        (!unfinished).then_some(self.expires)
    }
}

/// Identity, in memory and under the person's key only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Which type.
    pub document_type: DocumentType,
    /// Canonical.
    pub document_number: String,
    /// As typed.
    pub name: String,
    /// Whether number and name are in the register and the person may enrol; told to nobody before face and phone have passed.
    pub verdict: Verdict,
    /// How often a face was shown.
    pub faces: u32,
    /// The face step's answer; told to nobody before the phone has passed.
    pub face: bool,
    /// Canonical, once given.
    pub phone: Option<String>,
    /// The language of messages to it.
    pub lang: hufu_kernel::Lang,
    /// Codes sent to it.
    pub codes: Codes,
    /// The notice that was accepted.
    pub notice_version: String,
    /// The contact reference and number drawn for this enrolment, so that a repeated step draws no others.
    pub drawn: Option<Drawn>,
}

/// What a repeated step must not draw again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// The contact reference at post.
    pub contact: hufu_kernel::Locator,
    /// The first epoch.
    pub epoch: hufu_kernel::Epoch,
    /// The number.
    pub number: hufu_wire::network_number::NetworkNumber,
    /// The device the messages name.
    pub credential: Octets<32>,
}

/// What the register and the rules say.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No such document and name.
    Unknown,
    /// May enrol, with these flags.
    May(Flags),
    /// May not, for a reason with a page of its own.
    MayNot(hufu_kernel::Refusal),
}
