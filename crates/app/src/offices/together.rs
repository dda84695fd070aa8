//! All offices in one process, each over its own folder, wired directly through the ports that carry HTTP elsewhere.

use super::front::RunningFront;
use super::node::RunningNode;
use super::post::RunningPost;
use super::registrar::RunningRegistrar;
use super::uniqueness::RunningUniqueness;
use super::{Premises, Running, Surroundings, front, node, post, registrar, tagger, uniqueness};
use crate::failure::Failure;
use crate::root::{NODES, SandboxRoot, TAGGERS};
use crate::rows::Rows;
use hufu_kernel::{KeyStore, NodeIndex};
use hufu_offices::node::Beside;
use hufu_offices::ports::{self, FaceDecision, IdentitySource, Sms};
use std::sync::Arc;

/// The world outside, as the offices of one process meet it.
pub struct Outside {
    /// The civil register.
    pub identity: Arc<dyn IdentitySource>,
    /// The face step.
    pub face: Arc<dyn FaceDecision>,
    /// Short messages.
    pub sms: Arc<dyn Sms>,
    /// Whether the persona agent keeps sessions, and browsers are sent to it.
    pub persona_sessions: bool,
    /// Where platforms are asked for TLS certificates, if anywhere.
    pub mtls: Option<String>,
}

/// All offices, running.
pub struct Offices {
    /// The nodes, 1 to 3.
    pub nodes: [Arc<RunningNode>; 3],
    /// The registrar.
    pub registrar: Arc<RunningRegistrar>,
    /// The front.
    pub front: Arc<RunningFront>,
    /// The registry's key store: it signs platform certificates.
    pub registry: Arc<dyn KeyStore>,
    uniqueness: Arc<RunningUniqueness>,
    post: Arc<RunningPost>,
}

/// Opens every office's keys and store and starts the offices. Blocks while stores in files open.
///
/// # Errors
/// [`Failure`] naming the office.
pub async fn start(
    root: &SandboxRoot,
    rows: &Rows,
    around: &Surroundings,
    outside: Outside,
) -> Result<Offices, Failure> {
    let premises = |office: &'static str| {
        let folder = root.office(office);
        let keys = folder.keys(&around.rng)?;
        Ok::<_, Failure>(Premises::new(office, folder, keys, rows.own(office)).counted(around.metrics.as_ref()))
    };
    let uniqueness = uniqueness::start(&premises("uniqueness")?, around).await?;
    let post = post::start(&premises("post")?, around, outside.sms).await?;
    let beside = NodeIndex::ALL.map(|_| Arc::new(Beside::default()));
    let neighbours = |index| {
        let peer = |other: NodeIndex| Ok::<_, Failure>(Arc::clone(&beside[other.slot()]) as Arc<dyn ports::NodePeer>);
        Ok::<_, Failure>(node::Neighbours {
            uniqueness: Arc::clone(&uniqueness.uniqueness) as Arc<dyn ports::Uniqueness>,
            post: Arc::clone(&post.post) as Arc<dyn ports::Post>,
            peers: node::others(index, peer)?,
        })
    };
    let [one, two, three] = NodeIndex::ALL;
    let node =
        async |index: NodeIndex| node::start(index, &premises(NODES[index.slot()])?, around, neighbours(index)?).await;
    let tagger = |index: NodeIndex| {
        let tagger = tagger::start(&premises(TAGGERS[index.slot()])?, around)?;
        Ok::<_, Failure>(Arc::clone(&tagger.tagger) as Arc<dyn ports::Tagger>)
    };
    let nodes = [node(one).await?, node(two).await?, node(three).await?];
    for (beside, running) in beside.iter().zip(&nodes) {
        beside.is(&running.node);
    }
    // New nodes have nothing to compare, and know it once they have asked each other; restored ones may be long about it.
    for running in &nodes {
        if !running.node.reasons().await.is_empty() {
            running.compare().await;
        }
    }
    let neighbours = registrar::Neighbours {
        identity: outside.identity,
        face: outside.face,
        taggers: [tagger(one)?, tagger(two)?, tagger(three)?],
        uniqueness: Arc::clone(&uniqueness.uniqueness) as Arc<dyn ports::Uniqueness>,
        post: Arc::clone(&post.post) as Arc<dyn ports::Post>,
        nodes: nodes.each_ref().map(|running| Arc::clone(&running.node) as Arc<dyn ports::Node>),
    };
    let registrar = registrar::start(&premises("registrar")?, around, neighbours).await?;
    let besides = front::Besides { mtls: outside.mtls, persona_sessions: outside.persona_sessions };
    let handles = nodes.each_ref().map(|running| Arc::clone(&running.node) as Arc<dyn ports::SubjectHandles>);
    let front = front::start(&premises("front")?, around, front::Neighbours { source: None, nodes: handles }, besides)?;
    Ok(Offices { nodes, registrar, front, registry: premises("registry")?.keys, uniqueness, post })
}

impl Offices {
    /// Those with something to keep.
    #[must_use]
    pub fn keeping(&self) -> Vec<Arc<dyn Running>> {
        let nodes = self.nodes.iter().map(|node| Arc::clone(node) as Arc<dyn Running>);
        nodes
            .chain([Arc::clone(&self.registrar) as _, Arc::clone(&self.uniqueness) as _, Arc::clone(&self.post) as _])
            .collect()
    }

    /// The registrar and what stands behind it: without them nobody can be enrolled.
    #[must_use]
    pub fn enrolling(&self) -> Vec<Arc<dyn Running>> {
        vec![Arc::clone(&self.registrar) as _, Arc::clone(&self.uniqueness) as _, Arc::clone(&self.post) as _]
    }
}
