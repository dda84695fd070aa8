//! The registrar: documents, faces, phones; identity in memory only (flows 5). What it stores is where an enrolment stands,
//! a draft sealed under the person's own key, and messages it cannot open itself.

mod beat;
mod record;
mod recover;
mod root;
mod steps;

pub use record::{Enrolment, Outgoing, Recovering};

use crate::ports::{FaceDecision, IdentitySource, Node, Post, Tagger, Uniqueness};
use hufu_domain::rules::Rules;
use hufu_kernel::{Clock, KeyStore, NodeIndex, Refusal, Rng, offices};
use hufu_store::{Schema, Store, TrustRoot};
use hufu_wire::api::trust::Trust;
use hufu_wire::api::{Purpose, Signed};
use std::sync::Arc;

/// The records of its store.
#[must_use]
pub fn schema(trust: TrustRoot) -> Schema<offices::Registrar> {
    Schema::new(trust).record::<Enrolment>()
}

/// What the registrar is started with.
pub struct RegistrarParts {
    /// The trust root's public half.
    pub trust: Arc<Trust>,
    /// The key `office`.
    pub keys: Arc<dyn KeyStore>,
    /// Its own store.
    pub store: Store<offices::Registrar>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Rules.
    pub rules: Arc<Rules>,
    /// The register of documents.
    pub identity: Arc<dyn IdentitySource>,
    /// The face step.
    pub face: Arc<dyn FaceDecision>,
    /// The taggers, 1 to 3.
    pub taggers: [Arc<dyn Tagger>; 3],
    /// Uniqueness.
    pub uniqueness: Arc<dyn Uniqueness>,
    /// Post.
    pub post: Arc<dyn Post>,
    /// The nodes, 1 to 3.
    pub nodes: [Arc<dyn Node>; 3],
}

/// The office.
pub struct Registrar {
    parts: RegistrarParts,
}

impl std::fmt::Debug for Registrar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registrar")
    }
}

/// The notice people accept before anything is asked (domain 1.2 article 10): consent is bound to its version.
pub const NOTICE_VERSION: &str = "2026-11";

impl Registrar {
    /// Starts the registrar.
    #[must_use]
    pub fn new(parts: RegistrarParts) -> Self {
        Self { parts }
    }

    fn signed<T: Purpose>(&self, message: &T) -> Result<Signed<T>, Refusal> {
        crate::sign(self.parts.keys.as_ref(), "registrar", message)
    }

    fn node(&self, index: NodeIndex) -> &dyn Node {
        self.parts.nodes[index.slot()].as_ref()
    }
}
