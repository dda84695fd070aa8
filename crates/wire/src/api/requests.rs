//! Between the front and a wallet whose person is to be asked without a browser at the platform (decision 0029).

use super::holder::HolderProof;
use super::sign_in::CompleteSignIn;
use hufu_kernel::{Octets, Timestamp};
use serde::{Deserialize, Serialize};

/// A wallet wants to be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Wait {}

/// What a waiting wallet shows, and keeps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// For the person to tell: ten digits in two groups.
    pub code: String,
    /// The wallet's alone: who has it is found by the code, and answers.
    pub secret: Octets<32>,
    /// The code ends.
    pub exp: Timestamp,
}

/// A waiting wallet looks whether it was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LookWaiting {
    /// As it was given.
    pub secret: Octets<32>,
}

/// What it sees.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The transaction, once a platform has used the code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tx: Option<Octets<32>>,
}

/// A read of what platforms ask of oneself; `ctx` = statement context of `"requests"`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReadRequests {
    /// By the holder key.
    pub proof: HolderProof,
}

/// What a node was asked to tell a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PersonRequests {
    /// At most a few.
    pub requests: Vec<PersonRequest>,
}

/// One request: who asks and what for says the front's transaction alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PersonRequest {
    /// The transaction at the front.
    pub tx: Octets<32>,
    /// For the answer.
    pub secret: Octets<32>,
    /// It ends.
    pub exp: Timestamp,
}

/// A waiting wallet's answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteWaiting {
    /// As at every sign-in.
    pub answer: CompleteSignIn,
    /// As it was given.
    pub secret: Octets<32>,
}

/// Its person refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RefuseWaiting {
    /// The transaction.
    pub tx: Octets<32>,
    /// As it was given.
    pub secret: Octets<32>,
}
