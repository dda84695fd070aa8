//! What can go wrong, without saying anything about a secret.

use hufu_kernel::NodeIndex;

/// Why a value was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairwiseError {
    /// Not the canonical encoding of a point of the prime-order group: length, flags, field, curve or subgroup.
    #[error("not a canonical point of the group")]
    Point,
    /// The identity element, which would make every pseudonym equal.
    #[error("the identity element is refused")]
    Identity,
    /// Not a canonical scalar: 32 bytes below the group order.
    #[error("not a canonical scalar")]
    Scalar,
    /// The proof does not show that the element was made with the committed key.
    #[error("the proof of the partial evaluation does not verify")]
    Proof,
    /// The wrong number of parts, or one node twice.
    #[error("the parts are not those of two or three different nodes")]
    Parts,
    /// Not a sector id of flows 1.
    #[error("not a sector id: https://host in lower case without port or path, or urn:hufu:sector:<id>")]
    SectorId,
    /// An OPRF input that is too long, malformed or hashes to the identity.
    #[error("not an input of this function")]
    Input,
    /// Argon2id refused its parameters or could not have its memory.
    #[error("the password could not be hardened")]
    Argon2,
}

/// Why a group signature was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the group signature was refused: {reason} (culprit: {culprit:?})")]
pub struct FrostError {
    /// The node whose part is wrong, where that can be told.
    pub culprit: Option<NodeIndex>,
    /// What was wrong.
    pub reason: FrostReason,
}

/// What was wrong with a part of a group signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrostReason {
    /// A key share or group key does not parse or does not fit its node.
    #[error("key")]
    Key,
    /// A commitment of round 1 is malformed, missing, or not the one these nonces made.
    #[error("commitment")]
    Commitment,
    /// Not exactly two different nodes.
    #[error("signers")]
    Signers,
    /// A signature share is malformed or does not verify against its node's verifying share.
    #[error("share")]
    Share,
    /// The signature does not verify.
    #[error("signature")]
    Signature,
}

impl FrostError {
    pub(crate) fn of(reason: FrostReason) -> Self {
        Self { culprit: None, reason }
    }

    pub(crate) fn by(culprit: NodeIndex, reason: FrostReason) -> Self {
        Self { culprit: Some(culprit), reason }
    }
}

/// Why several parties did not make or mend a key together. Whoever is named gave something that does not fit what it gave
/// before, or what everybody knows; nothing of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault}{}", culprit.map(|index| format!(" (party {index})")).unwrap_or_default())]
pub struct JointError {
    /// The party whose part is wrong, where that can be told.
    pub culprit: Option<NodeIndex>,
    /// What was wrong.
    pub fault: JointFault,
}

/// What was wrong with a part of a joint construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JointFault {
    /// Somebody's part is missing, or somebody is there who takes no part.
    #[error("not the parts of exactly the parties")]
    Parties,
    /// What was revealed is not what was committed to.
    #[error("what was revealed is not what was committed to")]
    Reveal,
    /// A part is no encoding of what it should be.
    #[error("a part is malformed")]
    Malformed,
    /// The proof of knowledge of a distributed generation does not verify.
    #[error("the proof of knowledge does not verify")]
    Proof,
    /// A secret share does not fit the public commitments.
    #[error("a secret share does not fit its public commitments")]
    Share,
    /// Public commitments do not add up to what they must.
    #[error("public commitments do not add up")]
    Commitments,
}

impl JointError {
    pub(crate) fn of(fault: JointFault) -> Self {
        Self { culprit: None, fault }
    }

    pub(crate) fn by(culprit: NodeIndex, fault: JointFault) -> Self {
        Self { culprit: Some(culprit), fault }
    }
}
