//! An office's part in a ceremony: one process at each office at the same time, which meets the others over TLS in both directions.

use super::office::AtOffice;
use super::{kept, operator, order};
use crate::failure::Failure;
use crate::stage::Stage;
use hufu_kernel::{KeyStore, hex};
use hufu_offices::ceremony::post::{Mailbox, Patience, Progress, run as driven};
use hufu_offices::ceremony::{Ceremony, Done, Outcome, Setup, parties, transcript};
use hufu_web::peers::ceremony::{PeerCourier, Post, ceremony};
use hufu_web::peers::{self, Leaf, PeerConfig, Peers};
use hufu_web::reply::Edge;
use hufu_web::serve::{Inherited, Sharing, finished, listen_at};
use hufu_wire::api::order::SignedOrder;
use hufu_wire::api::roster::Roster;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Which part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The office's configuration.
    pub config: PathBuf,
    /// What two operators signed.
    pub order: PathBuf,
    /// How long a round may take.
    pub patience: Duration,
}

/// What somebody who waits is told, a line each.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// By which plan, and by whose order.
    Ordered(String),
    /// A round begins.
    Round(u8),
    /// These have not been heard in it.
    Waiting(Vec<String>),
    /// It is over.
    Ended(Ended),
}

/// How a ceremony ended at an office.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// What it arrived at, in a sentence.
    pub outcome: String,
    /// The transcript's file.
    pub transcript: PathBuf,
    /// Its hash, which is the same at every office.
    pub hash: String,
    /// The file of the public half, if there is a new one.
    pub trust: Option<PathBuf>,
    /// Whether the office's configuration looks for it elsewhere.
    pub to_be_copied: bool,
    /// The new keys counted already when they came into use here.
    #[serde(default)]
    pub late: bool,
}

/// Takes part, to the end.
///
/// # Errors
/// [`Failure`] with the office that is to blame or silent, where there is one. Nothing counts here then; elsewhere it may, if this
/// office had confirmed, which the failure says.
pub async fn run(options: &Options, tell: impl Fn(&Told) + Send + Sync) -> Result<Ended, Failure> {
    let office = AtOffice::open(&options.config)?;
    let order = order::read(&options.order)?;
    let roster = office.roster()?;
    let setup = setup(&office, &order, &roster)?;
    let now = office.clock.now();
    Ceremony::may_begin(&setup, now).map_err(|error| kept::failed(&error))?;
    tell(&Told::Ordered(operator::text(&office.plan, Some(&order))));
    let parties = parties(&order).map_err(|error| kept::failed(&error))?;
    let peers = met(&office, &roster)?;
    let mailbox = Arc::<Mailbox>::default();
    let mut stage = Stage::new();
    let courier = if office.is_served() {
        PeerCourier::beside(&peers, office.name, &parties)
    } else {
        listen(&office, &peers, &parties, &mailbox, &mut stage).await?;
        PeerCourier::listening(&peers, office.name, &parties, mailbox)
    };
    let courier = courier.map_err(Failure::other)?;
    courier.same_roster(&order.order.ceremony(), &order.order.roster).await.map_err(Failure::other)?;
    kept::begin(&office, &order, now)?;
    let (ceremony, first) = Ceremony::begin(setup, now).map_err(|error| kept::failed(&error))?;
    let patience = Patience { round: options.patience, ..Patience::default() };
    let done = driven(ceremony, first, &courier, office.clock.as_ref(), patience, |progress| {
        tell(&match progress {
            Progress::Round(round) => Told::Round(round),
            Progress::Waiting(missing) => Told::Waiting(missing.iter().map(ToString::to_string).collect()),
        });
    })
    .await;
    stage.end().await;
    ended(&office, &roster, &done.map_err(|error| kept::failed(&error))?)
}

/// What an office brings to a ceremony.
fn setup(office: &AtOffice, order: &SignedOrder, roster: &Roster) -> Result<Setup, Failure> {
    Ok(Setup {
        office: office.name,
        order: order.clone(),
        operators: operator::of(&office.plan),
        roster: roster.clone(),
        before: kept::roster(office)?,
        names: office.names(),
        plan: office.plan.hash(),
        trust: office.trust()?,
        keys: Arc::clone(&office.keys),
        rng: Arc::clone(&office.rng),
    })
}

/// The offices, as this one reaches them; itself too, for the process that serves it.
pub(super) fn met(office: &AtOffice, roster: &Roster) -> Result<Peers, Failure> {
    let keys = Arc::clone(&office.keys) as Arc<dyn KeyStore>;
    let leaf = Leaf::new(keys, office.name, office.plan.root_id, Arc::clone(&office.clock)).map_err(Failure::other)?;
    let addresses = office.plan.internal_addresses();
    Peers::new(leaf, roster.clone(), &addresses, PeerConfig::default(), None).map_err(Failure::other)
}

/// Listens for the ceremony's parties where the office will later listen for the other offices.
async fn listen(
    office: &AtOffice,
    peers: &Peers,
    parties: &[&'static str],
    mailbox: &Arc<Mailbox>,
    stage: &mut Stage,
) -> Result<(), Failure> {
    let internal = office.file.internal.as_ref().ok_or_else(|| Failure::other("[internal] is missing"))?;
    let mut inherited = Inherited::from_env().map_err(Failure::other)?;
    let listening =
        listen_at("the other offices", &internal.listen.to_string(), &mut inherited, Sharing::Alone).await?;
    let listening = listening.behind(peers.doors().map_err(Failure::other)?);
    let edge = Edge::new(office.name, &office.plan.wallet_origin, Arc::clone(&office.rng));
    let post = Post::of_parties(office.name, Arc::clone(mailbox), peers.roster().hash(), parties.to_vec());
    stage.serve(listening, finished(&edge, peers::router(&edge, &post, ceremony())));
    Ok(())
}

/// Keeps the transcript before anything else, then lets the keys count. Each of it can be repeated: `hufu keys finish`.
pub(super) fn ended(office: &AtOffice, roster: &Roster, done: &Done) -> Result<Ended, Failure> {
    let transcript = kept::keep(office, &done.transcript)?;
    done.settle(office.keys.as_ref()).map_err(|error| kept::failed(&error))?;
    let trust = kept::arrive(office, &done.outcome)?;
    kept::keep_roster(office, done.transcript.order.order.kind, roster)?;
    let hash = transcript::hash(&done.transcript).map_err(|error| kept::failed(&error))?;
    let outcome = arrived_at(done);
    let to_be_copied = trust.as_ref().is_some_and(|(_, in_place)| !in_place);
    Ok(Ended {
        outcome,
        transcript,
        hash: hex(hash.as_slice()),
        trust: trust.map(|(path, _)| path),
        to_be_copied,
        late: false,
    })
}

/// What a ceremony arrived at, in a sentence.
pub(super) fn arrived_at(done: &Done) -> String {
    match &done.outcome {
        Outcome::Trust(_) => {
            format!("{}: the trust root's public half is settled", done.transcript.order.order.kind.name())
        }
        Outcome::Generation { generation, since } => {
            format!("generation {generation} of K_A, which counts from {since} on")
        }
    }
}

/// What a person reads at the end.
#[must_use]
pub fn text(ended: &Ended, configured: &Path) -> String {
    let mut text = format!("{}\ntranscript   {}\n", ended.outcome, ended.transcript.display());
    if let (Some(trust), true) = (&ended.trust, ended.to_be_copied) {
        text.push_str(&format!("Next: copy {} to {}\n", trust.display(), configured.display()));
    }
    if ended.late {
        text.push_str(
            "These keys count already: restart this node now. It signs again when it has them in memory, and its rows follow by themselves\n",
        );
    }
    text
}
