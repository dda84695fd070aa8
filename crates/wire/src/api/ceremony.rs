//! What offices say to each other while they make keys together (flows 2; docs/decisions/0016). Everybody says one thing a round, to
//! everybody; secret parts travel beside it, each to the one office it is sealed to, and only their hashes stand in what all hear.

use super::order::SignedOrder;
use super::{Purpose, Signed, SignedError};
use crate::jose::Jwk;
use hufu_kernel::{Bytes, Octets, Timestamp, framed};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What one office says in one round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// [`super::order::Order::ceremony`].
    pub ceremony: Octets<32>,
    /// 1 and up.
    pub round: u8,
    /// Hash of everything that was said in earlier rounds, as the speaker heard it: nobody can tell two offices different things.
    pub heard: Octets<32>,
    /// What it says.
    pub said: Said,
    /// Hashes of the sealed parts, by the office they are for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub sealed: BTreeMap<String, Octets<32>>,
}

impl Purpose for Message {
    const PURPOSE: &'static str = "ceremony";
}

/// What can be said in public.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Said {
    /// The first round.
    Open(Box<Open>),
    /// Nothing but sealed parts.
    Parts,
    /// What the office arrived at.
    Check(Box<Check>),
    /// The office has everything on its disk; only the others' word is wanting.
    Confirm {
        /// Hash of what the ceremony arrived at.
        outcome: Octets<32>,
    },
}

/// What an office begins with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// X25519, for this ceremony alone: what is sealed to the office here is sealed to it, and nobody can open it afterwards.
    pub sealing: Octets<32>,
    /// Hash of what must be the same at all from the start: the public names, the operators, the whole plan, and the trust root's public
    /// half if there is one.
    pub premises: Octets<32>,
    /// The generation of K_A in use.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generation: Option<u32>,
    /// All generations of K_A that a helper holds, for the node that lost them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub generations: Vec<u32>,
    /// Commitments of coin flips, by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub coins: BTreeMap<String, Octets<32>>,
    /// The first package of a distributed generation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub package: Option<Bytes>,
    /// A helper's public parts in the repair of a share.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub help: Option<HelpParts>,
    /// What keys are wrapped under for this office.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wrapping: Option<Bytes>,
    /// A node's key of one-key mode ES256.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub es256: Option<Jwk>,
    /// A sandbox node's key of one-key mode RS256.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rs256: Option<Jwk>,
    /// The front's key for transactions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transactions: Option<Octets<32>>,
}

/// A helper's two parts times the generator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelpParts {
    /// Of the part it kept.
    pub kept: Octets<32>,
    /// Of the part it gave to the other helper.
    pub given: Octets<32>,
}

/// What an office arrived at: holders of one key must say the same of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// HMAC under each jointly held key over its name and the ceremony's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub keys: BTreeMap<String, Octets<32>>,
    /// The public part of a key that is shared two of three.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shared: Option<SharedPublic>,
}

/// The public part of a key that is shared two of three.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedPublic {
    /// The key.
    pub key: Octets<32>,
    /// Each holder's share times the generator, 1 to 3.
    pub shares: [Octets<32>; 3],
}

/// A secret part, sealed to one office (RFC 9180).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedPart {
    /// The encapsulated key.
    pub enc: Bytes,
    /// The ciphertext.
    pub ciphertext: Bytes,
}

impl SealedPart {
    /// What stands of it in the message.
    #[must_use]
    pub fn hash(&self) -> Octets<32> {
        Octets(Sha256::digest(framed(&[b"hufu-v1-ceremony-part", &self.enc.0, &self.ciphertext.0])).into())
    }
}

/// What one office is sent: the message that all hear, and the part for it alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// For all.
    pub message: Signed<Message>,
    /// For the receiver.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part: Option<SealedPart>,
}

/// Everything that was said in a ceremony, in the order of rounds and offices. It holds no secret: it is printed, kept and compared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// Why.
    pub order: SignedOrder,
    /// What was said.
    pub messages: Vec<Spoken>,
}

/// One message, readable, with its signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spoken {
    /// Who.
    pub office: String,
    /// What.
    pub message: Message,
    /// Over the message's JSON as it is written here, without spaces.
    pub signature: Octets<64>,
}

impl Spoken {
    /// A message as it was signed; the JSON must be the one that this code writes, so that a transcript can be verified.
    ///
    /// # Errors
    /// [`SignedError`].
    pub fn open(
        signed: &Signed<Message>,
        verify: impl FnOnce(&str, &[u8], &Octets<64>) -> bool,
    ) -> Result<Self, SignedError> {
        let message = signed.open(verify)?;
        let again = serde_json::to_vec(&message).map_err(|_| SignedError::Payload)?;
        if again != signed.payload.0 {
            return Err(SignedError::Payload);
        }
        Ok(Self { office: signed.office.clone(), message, signature: signed.signature })
    }

    /// The signed form.
    ///
    /// # Errors
    /// [`SignedError::Payload`] if it does not encode.
    pub fn signed(&self) -> Result<Signed<Message>, SignedError> {
        Signed::make(&self.office, &self.message, |_| Ok(self.signature))
    }

    fn framed(&self) -> Result<Vec<u8>, SignedError> {
        let payload = serde_json::to_vec(&self.message).map_err(|_| SignedError::Payload)?;
        Ok(framed(&[self.office.as_bytes(), &payload, self.signature.as_slice()]))
    }
}

/// SHA-256 of `"hufu-v1-heard" ‖ ceremony ‖ messages`, each `office ‖ payload ‖ signature`, in the order of rounds and offices.
///
/// # Errors
/// [`SignedError::Payload`] if a message does not encode.
pub fn heard(ceremony: &Octets<32>, messages: &[Spoken]) -> Result<Octets<32>, SignedError> {
    let each = messages.iter().map(Spoken::framed).collect::<Result<Vec<_>, _>>()?;
    let all = framed(&each.iter().map(Vec::as_slice).collect::<Vec<_>>());
    Ok(Octets(Sha256::digest(framed(&[b"hufu-v1-heard", ceremony.as_slice(), &all])).into()))
}

/// Asks a running office for the messages of a ceremony that have come to it: only that office itself may ask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbox {
    /// Which ceremony.
    pub ceremony: Octets<32>,
    /// From which round on.
    pub round: u8,
    /// Of these offices alone: what others brought is left out.
    pub parties: Vec<String>,
}

/// What has come for an office in a ceremony.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inboxed {
    /// In no order.
    pub arrived: Vec<Arrived>,
    /// The hash of the roster by which the running office knows the others; an older release does not say it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub roster: Option<Octets<32>>,
}

/// One delivery, and who brought it: the office that the transport names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrived {
    /// Who.
    pub from: String,
    /// What.
    pub delivery: Delivery,
}

/// Where a node is with the generations of K_A: what a peer asks before it destroys old keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generations {
    /// The newest whose time has come.
    pub active: u32,
    /// From when.
    pub since: Timestamp,
    /// No row is of an older one.
    pub oldest_row: u32,
}
