//! Keys that offices make together (flows 2; docs/decisions/0016): a state machine for each office, without I/O. An office says one
//! thing a round, to all; when it has heard all others' words of a round it says its own of the next. Nothing counts until
//! every office has confirmed that it has everything on its disk and arrived at the same.
//!
//! | kind | who takes part | what it leaves |
//! |---|---|---|
//! | found | all offices | every key of a new trust root, and its public half |
//! | rotate | the nodes | K_A of the next generation, and Z (docs/decisions/0017) |
//! | replace | all offices | a lost office's new identity in the public half, and what it holds jointly |
//! | repair | three nodes or three taggers | what one of them holds jointly and has lost |
//!
//! [`Ceremony`] is the machine, [`post`] carries what it says, [`transcript`] is what remains of it.

mod due;
mod ends;
mod engine;
mod found;
mod joint;
mod own_keys;
pub mod post;
mod printed;
mod restore;
mod rotate;
mod secrets;
pub mod transcript;

pub use crate::key_names::CONFIRMED;
pub use ends::{lacking, take_back};
pub use engine::{Ceremony, Deliveries, Done, Step};
pub use own_keys::{abandon, confirmed, identity_keys, pending_keys};
pub use printed::printed;

use hufu_kernel::{KeyError, KeyKeeper, NodeIndex, Octets, Refusal, Rng, Timestamp, framed};
use hufu_pairwise::{JointError, JointFault};
use hufu_wire::api::order::{Kind, Operator, OrderError, SignedOrder};
use hufu_wire::api::roster::{OFFICES, Roster, tagger_name};
use hufu_wire::api::trust::{Trust, node_name};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What one office brings to a ceremony.
#[derive(Clone)]
pub struct Setup {
    /// The office: `node-2`.
    pub office: &'static str,
    /// What two operators signed.
    pub order: SignedOrder,
    /// The operators of the plan.
    pub operators: Vec<Operator>,
    /// All offices' identities, as this office has pinned them.
    pub roster: Roster,
    /// The roster of the last ceremony that founded the root or replaced an office, as this office has kept it.
    pub before: Option<Roster>,
    /// The names under which the service is known.
    pub names: PublicNames,
    /// The fingerprint of the whole plan: it must be the same at all.
    pub plan: Octets<32>,
    /// The trust root's public half; none before it is founded.
    pub trust: Option<Trust>,
    /// The office's keys.
    pub keys: Arc<dyn KeyKeeper>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("office", &self.office).field("order", &self.order.order).finish_non_exhaustive()
    }
}

/// The names under which the service is known: part of the public half, and the same in every office's plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicNames {
    /// The front's address.
    pub issuer: String,
    /// The wallet's origin.
    pub wallet_origin: String,
    /// The WebAuthn RP ID.
    pub rp_id: String,
}

/// What a ceremony arrived at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The public half of the trust root: new, changed by a replacement, or unchanged by a repair.
    Trust(Box<Trust>),
    /// A new generation of K_A.
    Generation {
        /// Its number.
        generation: u32,
        /// From when rows move to it.
        since: Timestamp,
    },
}

impl Outcome {
    /// What the offices compare: SHA-256 of `"hufu-v1-outcome" ‖ word ‖ content`.
    #[must_use]
    pub fn hash(&self) -> Octets<32> {
        let bytes = match self {
            // A `Trust` always encodes; were it not so, nobody would agree with this.
            Self::Trust(trust) => {
                framed(&[b"hufu-v1-outcome", b"trust", &serde_json::to_vec(trust).unwrap_or_default()])
            }
            Self::Generation { generation, since } => {
                framed(&[b"hufu-v1-outcome", b"generation", &generation.to_be_bytes(), &since.to_be_bytes()])
            }
        };
        Octets(Sha256::digest(bytes).into())
    }
}

/// Why a ceremony came to nothing at this office. Where somebody is to blame, or is silent, they are named.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CeremonyError {
    /// The order is not followed.
    #[error("the order is not followed: {0}")]
    Order(#[from] OrderError),
    /// An office without part in this order.
    #[error("{0} takes no part in this")]
    NoParty(String),
    /// The roster lacks offices, or has another key than the office itself.
    #[error("the roster does not fit: {0}")]
    Roster(String),
    /// Keys are there already, or not there.
    #[error("{0}")]
    Standing(String),
    /// The key store.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Somebody was not heard in time.
    #[error("round {round}: nothing heard from {}", Unheard::list(offices))]
    Silent {
        /// In which round.
        round: u8,
        /// Who.
        offices: Vec<Unheard>,
    },
    /// Whatever it was, this office had confirmed before it: others may have ended well.
    #[error(
        "{0}. This office has confirmed, so its keys may count at others already: begin nothing else, and end this with `hufu keys \
         finish` and the transcript of an office where it ended"
    )]
    Confirmed(Box<CeremonyError>),
    /// Somebody did what they must not.
    #[error("round {round}: {office}: {what}")]
    Misbehaved {
        /// In which round.
        round: u8,
        /// Who.
        office: String,
        /// What.
        what: String,
    },
    /// What must be the same is not.
    #[error("{} differ from this office in {what}", offices.join(", "))]
    Apart {
        /// Who.
        offices: Vec<&'static str>,
        /// In what.
        what: String,
    },
    /// This office itself could not go on.
    #[error("this office could not go on: {0}")]
    Own(String),
}

/// An office that has not been heard, and why, as far as the transport knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unheard {
    /// Who.
    pub office: &'static str,
    /// What kept this office's last word from it, or its own from coming.
    pub error: Option<String>,
}

impl Unheard {
    fn list(offices: &[Self]) -> String {
        offices.iter().map(Self::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl std::fmt::Display for Unheard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{} ({error})", self.office),
            None => f.write_str(self.office),
        }
    }
}

impl CeremonyError {
    fn misbehaved(round: u8, office: &str, what: impl std::fmt::Display) -> Self {
        Self::Misbehaved { round, office: office.to_owned(), what: what.to_string() }
    }

    /// A joint construction's error; whoever it names is an office under `name`.
    fn joint(round: u8, error: JointError, name: fn(NodeIndex) -> &'static str) -> Self {
        match error.culprit {
            Some(index) => Self::misbehaved(round, name(index), error.fault),
            None if error.fault == JointFault::Parties => Self::Own("a part is missing".to_owned()),
            None => Self::Own(error.fault.to_string()),
        }
    }
}

impl From<Refusal> for CeremonyError {
    fn from(refusal: Refusal) -> Self {
        Self::Own(refusal.text().developer.to_owned())
    }
}

/// What kind of office has which part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Node(NodeIndex),
    Tagger(NodeIndex),
    Other,
}

impl Role {
    fn of(office: &str) -> Self {
        for index in NodeIndex::ALL {
            if office == node_name(index) {
                return Self::Node(index);
            }
            if office == tagger_name(index) {
                return Self::Tagger(index);
            }
        }
        Self::Other
    }

    /// The three that hold a key two of three together.
    fn kin(self) -> Option<[&'static str; 3]> {
        match self {
            Self::Node(_) => Some(NodeIndex::ALL.map(node_name)),
            Self::Tagger(_) => Some(NodeIndex::ALL.map(tagger_name)),
            Self::Other => None,
        }
    }
}

/// Who takes part in an order, in the order of [`OFFICES`].
///
/// # Errors
/// [`CeremonyError::NoParty`] for a repair of an office that holds nothing jointly; [`CeremonyError::Standing`] for an order that is no
/// ceremony.
pub fn parties(order: &SignedOrder) -> Result<Vec<&'static str>, CeremonyError> {
    let subject = order.order.subject.as_deref().unwrap_or_default();
    match order.order.kind {
        Kind::Found | Kind::Replace => Ok(OFFICES.to_vec()),
        Kind::Rotate => Ok(NodeIndex::ALL.map(node_name).to_vec()),
        Kind::Repair => match Role::of(subject).kin() {
            Some(kin) => Ok(kin.to_vec()),
            None => Err(CeremonyError::NoParty(subject.to_owned())),
        },
        Kind::Retire => Err(CeremonyError::Standing("to retire old keys is no ceremony".to_owned())),
        Kind::Settle => Err(CeremonyError::Standing("to settle nodes is no ceremony".to_owned())),
        Kind::Abandon => Err(CeremonyError::Standing("to give a ceremony up is none".to_owned())),
    }
}
