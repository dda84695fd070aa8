//! What nodes say to each other, over mutually authenticated connections alone (flows 6; docs/decisions/0018): votes on statements,
//! statements that one of them missed, and whole rows for a node that lost its own.
//!
//! A row is named to a peer by [`RowName`]; nothing else of these messages is meant for any disk, but what an acceptance says.

use super::enrolment::Commitments;
use super::holder::Authority;
use super::{Purpose, Signed};
use crate::network_number::NetworkNumber;
use hufu_kernel::{Bytes, Element, Head, Locator, NodeIndex, Octets, Subset, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// HMAC(K_ij, "row" ‖ root_u): a row's name between two nodes, which no third one knows.
pub type RowName = Octets<32>;

// -- votes

/// A node's word that it has accepted one statement for one version of one row: on its disk, checked by itself, and the person told
/// where a change must be told of first. Two of them for one ballot, and the statement stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The row's version before.
    pub version: u64,
    /// The row's head before: it names the row, too.
    pub head: Head,
    /// SHA-256 of the exact signed bytes.
    pub statement: Octets<32>,
    /// In which ballot.
    pub ballot: u64,
    /// The row's head after it: what this node makes of the statement.
    pub after: Head,
    /// Who accepted.
    pub node: NodeIndex,
}

impl Purpose for Acceptance {
    const PURPOSE: &'static str = "acceptance";
}

/// A statement with its signature, and who has accepted it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The exact signed bytes.
    pub statement: Bytes,
    /// By whom.
    pub authority: Authority,
    /// Two nodes' words, where two have accepted it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub accepted: Vec<Signed<Acceptance>>,
}

/// Asks a peer to accept a statement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskAcceptance {
    /// Which row.
    pub row: RowName,
    /// In which ballot; 0 is open to all.
    pub ballot: u64,
    /// What.
    pub said: Carried,
}

/// The answer to [`AskAcceptance`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AcceptanceReply {
    /// Accepted, or committed already.
    Accepted {
        /// The peer's word.
        word: Signed<Acceptance>,
        /// Its row is there already.
        committed: bool,
    },
    /// Another statement has its acceptance in this ballot.
    Other,
    /// It takes nothing below this ballot.
    Promised(u64),
    /// Its row is ahead: the asker has something to fetch.
    Ahead,
    /// Its row is behind, and it could not catch up.
    Behind,
    /// It has no such row.
    Gone,
}

/// Asks a peer to take nothing below a ballot, and to tell what it has accepted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskPromise {
    /// Which row.
    pub row: RowName,
    /// For which of its versions.
    pub version: u64,
    /// With which head.
    pub head: Head,
    /// The asker's ballot.
    pub ballot: u64,
}

/// What a node has accepted in a ballot before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voted {
    /// In which ballot.
    pub ballot: u64,
    /// What, with the node's own word.
    pub said: Carried,
}

/// The answer to [`AskPromise`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PromiseReply {
    /// It promises.
    Promised {
        /// Its newest acceptance.
        accepted: Option<Box<Voted>>,
    },
    /// It has promised as much to another ballot.
    Higher(u64),
    /// As in [`AcceptanceReply`].
    Ahead,
    /// As in [`AcceptanceReply`].
    Behind,
    /// As in [`AcceptanceReply`].
    Gone,
}

// -- catching up

/// Asks a peer to be at this version at least, fetching from the asker what it lacks, and to say where it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Which row.
    pub row: RowName,
    /// Where the asker is.
    pub version: u64,
}

/// Where a peer's row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Levelled {
    /// Its version.
    pub version: u64,
    /// Its head.
    pub head: Head,
}

/// Asks for what a row remembers after a version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskStatements {
    /// Which row.
    pub row: RowName,
    /// The last version the asker has.
    pub after: u64,
}

/// The answer to [`AskStatements`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statements {
    /// Where the peer's row is.
    pub at: Levelled,
    /// Oldest first; the first may be missing where the row has gone on too far.
    pub said: Vec<Carried>,
    /// What the peer commits to, at its head.
    pub report: Signed<RowReport>,
}

/// A node's commitments to the sub-keys it holds of a row in use, at one head of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowReport {
    /// The row's head.
    pub head: Head,
    /// The reporting node.
    pub node: NodeIndex,
    /// The generation of K_A that they belong to.
    pub generation: u32,
    /// Per held subset.
    pub commitments: BTreeMap<Subset, Commitments>,
}

impl Purpose for RowReport {
    const PURPOSE: &'static str = "row-report";
}

// -- comparing

/// Asks for sums over the rows whose names begin with `prefix`: none, one or no byte of it gives 256 sums.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskSums {
    /// Less than two bytes.
    pub prefix: Bytes,
}

/// The answer to [`AskSums`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// A sum for each next byte: equal rows give equal sums. None where so many rows are better asked for part by part.
    pub sums: Option<Vec<Octets<16>>>,
    /// False while the peer is catching up itself: what it lacks means nothing then.
    pub settled: bool,
}

/// Asks where single rows stand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AskEntries {
    /// All rows whose names begin with these two bytes.
    Leaf(Octets<2>),
    /// These.
    Named(Vec<RowName>),
}

/// The answer to [`AskEntries`], in the order of names, which says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entries {
    /// Where they stand.
    pub rows: Vec<Entry>,
    /// As in [`Sums`].
    pub settled: bool,
}

/// Where a row stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Which row.
    pub row: RowName,
    /// Its version and head.
    pub at: Levelled,
    /// An enrolment that is not confirmed yet.
    pub pending: bool,
    /// The generation of its K_A.
    pub generation: u32,
}

// -- generations of K_A

/// Asks whether a peer's rows have moved to a generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskMoved {
    /// The newest one.
    pub generation: u32,
}

/// How far a node's rows have moved to new K_A (docs/decisions/0017).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// The generation that counts at the node now.
    pub generation: u32,
    /// The newest that it has the keys of, whether they count yet or not.
    pub newest: u32,
    /// HMAC-SHA-256 of the word `hufu-v1-same-keys` under the newest key that it shares with the node that asked. Numbers come again where
    /// a rotation was taken back, keys do not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub check: Option<Octets<32>>,
    /// Rows that still stand at an older one; nothing before the node has looked at all of them, or if it counts by another one than
    /// it was asked about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub behind: Option<u64>,
}

impl Moved {
    /// Whether this node needs nothing older than `generation` any more. Old K_A and Z may be destroyed when all three nodes say so.
    #[must_use]
    pub fn is_over(&self, generation: u32) -> bool {
        self.generation == generation && self.behind == Some(0)
    }
}

// -- whole rows

/// Asks for whole rows, at most [`AskRows::MOST`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskRows {
    /// Which.
    pub rows: Vec<RowName>,
}

impl AskRows {
    /// A whole row is some tens of kilobytes.
    pub const MOST: usize = 8;
}

/// The answer to [`AskRows`]: those in use.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// In the order of names.
    pub rows: Vec<WholeRow>,
}

/// Everything of a row that is not one node's alone. A node takes it when both peers say the same.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WholeRow {
    /// Which row.
    pub row: RowName,
    /// What is the same at every node.
    pub common: CommonRow,
    /// All three subsets' commitments, as far as the peer has them.
    pub commitments: HeldCommitments,
    /// d_A of the one subset the two nodes share; absent while zero.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<Bytes>,
    /// The same for the present epoch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub epoch_offset: Option<Bytes>,
    /// Certificate copies in force.
    pub copies: Vec<CopiesInForce>,
    /// The statements it remembers, oldest first.
    pub said: Vec<Carried>,
}

/// The part of a whole row that must be the same at both peers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommonRow {
    /// The pseudonym root.
    pub root_u: Octets<32>,
    /// Names the person's records elsewhere.
    pub loc_u: Locator,
    /// The contact reference at post.
    pub contact: Locator,
    /// The vault's locator.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vault: Option<Locator>,
    /// The face commitment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub face: Option<Octets<32>>,
    /// The network number.
    pub number: NetworkNumber,
    /// JSON of the common state.
    pub holder: Bytes,
    /// The generation of the K_A that offsets and commitments belong to.
    pub generation: u32,
}

/// Commitments by subset: 12, 13, 23.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldCommitments {
    /// C_A.
    pub pseudonym: [Option<Element>; 3],
    /// For the present epoch.
    pub epoch: [Option<Element>; 3],
    /// For the password.
    pub password: [Option<Element>; 3],
}

/// One batch of certificate copies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopiesInForce {
    /// The day on which they end.
    pub until: Timestamp,
    /// Their places in the status lists.
    pub places: Vec<u64>,
}
