//! What the front asks nodes about people whose platforms presented a subject handle (flows 9). Each node answers for its own half and in
//! its own terms; neither names anybody, and the answers for two platforms have nothing in common.

use crate::subject_handle::{HandleHalf, HandleUse};
use hufu_kernel::{Octets, Timestamp};
use serde::{Deserialize, Serialize};

/// Halves in one question.
pub const MAX_ASKED: usize = 500;

/// A platform asks a person whom it knows, without a browser.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskPerson {
    /// The certificate of the platform that presented the handle, a compact JWS. A half opens for no other platform, and only for one that
    /// registered to ask.
    pub certificate: String,
    /// The node's half.
    pub half: HandleHalf,
    /// The transaction at the front.
    pub tx: Octets<32>,
    /// Who has it may answer there.
    pub secret: Octets<32>,
    /// The transaction ends.
    pub exp: Timestamp,
}

/// Never platform and half: no log may hold the two together.
impl std::fmt::Debug for AskPerson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AskPerson")
    }
}

/// The front asks where people stand, in the name of a platform.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskStandings {
    /// The certificate of the platform that presented the handles, a compact JWS. A half opens for no other platform, and for no use that
    /// the certificate does not register.
    pub certificate: String,
    /// What for: a half that was not made for this use does not open.
    pub wanted: HandleUse,
    /// The node's halves, at most [`MAX_ASKED`].
    pub halves: Vec<HandleHalf>,
}

/// Never platform and halves: no log may hold the two together.
impl std::fmt::Debug for AskStandings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AskStandings({})", self.halves.len())
    }
}

/// The answers, in the order of the question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standings {
    /// `None`: not made here, for another platform or another use, too old, or about somebody who left. Which of them is not told.
    pub standings: Vec<Option<PersonStanding>>,
}

/// Where one person stands. The digest says that something changed and never what: it is a code under the node's own key over the
/// platform, the person and the thing itself, so that nobody else can compare two platforms' digests of one person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonStanding {
    /// The person may be signed in: enrolled, and not locked. Never once the epoch is another.
    pub active: bool,
    /// The person has not ended all sessions since the sign-in that gave this handle.
    pub same_epoch: bool,
    /// Changes with the devices that may act and with the password. Once the epoch is another it stays as it is.
    pub credentials: Octets<32>,
    /// The handle ends.
    pub exp: Timestamp,
}
