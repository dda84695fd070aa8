//! The end of a ceremony at an office that missed it: another office's transcript says what all arrived at, and that this one had
//! confirmed it. And what is given up, of which nobody may be left without a copy.

use super::office::AtOffice;
use super::take_part::{self, Ended};
use super::{kept, operator, order};
use crate::failure::Failure;
use hufu_kernel::{NodeIndex, hex};
use hufu_offices::ceremony::transcript::{Known, verify};
use hufu_offices::ceremony::{CeremonyError, Done, Outcome, confirmed, lacking, pending_keys, take_back};
use hufu_wire::api::ceremony::Transcript;
use hufu_wire::api::order::{Kind, SignedOrder};
use hufu_wire::api::peer::AskMoved;
use hufu_wire::api::trust::node_name;
use std::path::{Path, PathBuf};

/// Keys that other offices have too, or can make again with what they have.
const JOINT: [&str; 7] = ["k-", "kp-", "peer-", "z.", "since.", "frost-share", "tag-share"];

fn failed(error: CeremonyError) -> Failure {
    kept::failed(&error)
}

/// Ends the ceremony that was begun last, by the transcript of any office; without one, by what this office has kept itself. It is never
/// too late for it: what verifies and stands here pending, as this office showed it, is what the others go by.
///
/// # Errors
/// [`Failure`] for a transcript that does not verify, or of another ceremony than the one whose keys are pending here; and where what
/// came of it is not here, so that nothing would count.
pub fn run(config: &Path, transcript: Option<&Path>) -> Result<Ended, Failure> {
    let office = AtOffice::open(config)?;
    let begun = kept::begun(&office)?.ok_or_else(|| Failure::other("no ceremony was begun at this office"))?;
    let path: PathBuf = transcript.map_or_else(|| kept::path(&office, &begun), Path::to_owned);
    let transcript = kept::read(&path)?;
    let marked = confirmed(office.keys.as_ref()).map_err(failed)?;
    if transcript.order.order != begun.order || marked.is_some_and(|marked| marked != begun.order.ceremony()) {
        let told = "is of another ceremony than the one that was begun here last, whose keys are pending";
        return Err(Failure::unreadable(&path, told));
    }
    let outcome = verified(&office, &transcript, &path)?;
    let keys = office.keys.as_ref();
    let lacking = lacking(office.name, office.plan.root, &transcript, &outcome, keys).map_err(failed)?;
    if !lacking.is_empty() {
        return Err(not_here(&office, &lacking));
    }
    let waits = !pending_keys(keys).map_err(failed)?.is_empty();
    let counts = matches!(outcome, Outcome::Generation { since, .. } if office.clock.now() >= since);
    let ended = take_part::ended(&office, &office.roster()?, &Done { outcome, transcript })?;
    Ok(Ended { late: waits && counts, ..ended })
}

/// What the transcript at `path` arrived at.
fn verified(office: &AtOffice, transcript: &Transcript, path: &Path) -> Result<Outcome, Failure> {
    let (roster, operators, names, trust) =
        (office.roster()?, operator::of(&office.plan), office.names(), office.trust()?);
    let known = Known { roster: &roster, operators: &operators, names: &names, trust: trust.as_ref() };
    verify(transcript, &known).map_err(|error| Failure::unreadable(path, error))
}

fn not_here(office: &AtOffice, lacking: &[String]) -> Failure {
    let joint = lacking.iter().all(|name| JOINT.iter().any(|kind| name.starts_with(kind)));
    let next = if joint {
        format!(
            "get it from the other holders: `hufu keys finish --abandon` if something is pending here, then `hufu keys order new repair \
             --subject {}`",
            office.name
        )
    } else {
        format!(
            "nobody else has it: a new identity, and `hufu keys order new replace --subject {}` (docs/operate/replace-a-node.md)",
            office.name
        )
    };
    Failure::other(format!(
        "the transcript verifies, but what came of it is not here, or is something else than this office showed: {}. Nothing was \
         changed; {next}",
        lacking.join(", ")
    ))
}

/// What became of a ceremony that was given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenUp {
    /// The keys that were destroyed.
    pub destroyed: Vec<String>,
    /// What is to be done now.
    pub next: Option<String>,
}

/// Gives up the ceremony that was begun last: its pending keys are destroyed. Where they may count elsewhere and could be the only copies,
/// both other nodes must be seen to have them, or two operators order it.
///
/// # Errors
/// [`Failure`] where it ended here, where copies could be the only ones, and for an order that is not followed.
pub async fn abandon(config: &Path, order: Option<&Path>) -> Result<GivenUp, Failure> {
    let office = AtOffice::open(config)?;
    let begun = kept::begun(&office)?;
    if let Some(path) = order {
        return by_order(&office, begun.as_ref(), path).await;
    }
    if begun.as_ref().is_some_and(|begun| kept::path(&office, begun).exists()) {
        return Err(Failure::other(
            "the last ceremony ended here: `hufu keys finish` without a transcript ends it again; a rotation that ended at no other node is \
             taken back by `hufu keys order new abandon`",
        ));
    }
    let keys = office.keys.as_ref();
    let pending = pending_keys(keys).map_err(failed)?;
    let mut next = None;
    // A repair's keys are copies of what the helpers have.
    let is_copy = begun.as_ref().is_some_and(|begun| begun.order.kind == Kind::Repair);
    if confirmed(keys).map_err(failed)?.is_some() && !pending.is_empty() && !is_copy {
        let others = others_have(&office, begun.as_ref(), &pending).await;
        others.map_err(|why| only_copies(&office, begun.as_ref(), &pending, &why))?;
        next = Some(format!("hufu keys order new repair --subject {}: both other nodes have these keys", office.name));
    }
    let destroyed = hufu_offices::ceremony::abandon(keys).map_err(failed)?;
    Ok(GivenUp { destroyed, next })
}

fn only_copies(office: &AtOffice, begun: Option<&SignedOrder>, pending: &[String], why: &str) -> Failure {
    let order = begun.map_or_else(|| "ORDER".into(), |_| office.kept().join(kept::BEGUN).display().to_string());
    Failure::other(format!(
        "this office has confirmed, so the ceremony may have ended elsewhere, and these may be the only copies of {}: {why}. Nothing was \
         destroyed. If it ended at any office, end it here with `hufu keys finish` and that one's transcript: it is never too late. If \
         it ended nowhere, two operators order that it is given up: `hufu keys order new abandon --of {order}`, then at each office \
         `hufu keys finish --abandon --order FILE`",
        pending.join(", ")
    ))
}

/// Whether both other nodes have the generation that is pending here; if not, why nobody knows it.
async fn others_have(office: &AtOffice, begun: Option<&SignedOrder>, pending: &[String]) -> Result<(), String> {
    if begun.is_none_or(|begun| begun.order.kind != Kind::Rotate) {
        return Err("nobody else can tell whether it ended".to_owned());
    }
    let generation = pending.iter().filter_map(|name| name.strip_prefix("since.")?.parse::<u32>().ok()).max();
    let Some((own, generation)) = own_index(office).zip(generation) else {
        return Err("what is pending says of no generation from when it counts".to_owned());
    };
    for (node, has) in asked(office, own, generation).await.map_err(|failure| failure.to_string())? {
        match has {
            Ok(has) if has >= generation => {}
            Ok(has) => return Err(format!("{node} has keys of generation {has}")),
            Err(code) => return Err(format!("{node} cannot be asked ({code})")),
        }
    }
    Ok(())
}

fn own_index(office: &AtOffice) -> Option<NodeIndex> {
    NodeIndex::ALL.into_iter().find(|index| node_name(*index) == office.name)
}

/// Of which generation each of the other two nodes has the newest keys, whether they count yet or not.
async fn asked(
    office: &AtOffice,
    own: NodeIndex,
    generation: u32,
) -> Result<Vec<(&'static str, Result<u32, &'static str>)>, Failure> {
    let peers = take_part::met(office, &office.roster()?)?;
    let mut found = Vec::new();
    for index in NodeIndex::ALL.into_iter().filter(|index| *index != own) {
        let peer = peers.node_peer(index).map_err(Failure::other)?;
        let moved = peer.moved(own, &AskMoved { generation }).await;
        found.push((node_name(index), moved.map(|moved| moved.newest).map_err(|refusal| refusal.code())));
    }
    Ok(found)
}

/// Two operators say that the ceremony is given up everywhere. Where it ended, only a rotation is taken back, while no other node has it.
async fn by_order(office: &AtOffice, begun: Option<&SignedOrder>, path: &Path) -> Result<GivenUp, Failure> {
    let signed = order::followed(office, path, Kind::Abandon)?;
    let keys = office.keys.as_ref();
    let marked = confirmed(keys).map_err(failed)?;
    let last = marked.or_else(|| begun.map(|begun| begun.order.ceremony()));
    if last.is_none() || last != signed.order.gives_up {
        let last = last.map_or_else(|| "none".to_owned(), |last| hex(&last.as_slice()[..8]));
        return Err(Failure::other(format!("this order gives up another ceremony than the last one here ({last})")));
    }
    let transcript = begun.map(|begun| kept::path(office, begun)).filter(|path| path.exists());
    let Some(transcript) = transcript else {
        return Ok(GivenUp { destroyed: hufu_offices::ceremony::abandon(keys).map_err(failed)?, next: None });
    };
    let own = own_index(office).filter(|_| begun.is_some_and(|begun| begun.order.kind == Kind::Rotate));
    let own = own.ok_or_else(|| {
        Failure::other(
            "it ended here, and what came of it is in use: only a rotation is taken back. End it at the others instead",
        )
    })?;
    // By the transcript and not by what is here: whoever was interrupted in this does the rest of it.
    let Outcome::Generation { generation, .. } = verified(office, &kept::read(&transcript)?, &transcript)? else {
        return Err(Failure::unreadable(&transcript, "is of no rotation"));
    };
    for (node, has) in asked(office, own, generation).await? {
        let told = match has {
            Ok(has) if has < generation => continue,
            Ok(_) => {
                format!(
                    "{node} has keys of generation {generation}: it is not taken back any more. End it at the third instead"
                )
            }
            Err(code) => format!("{node} cannot be asked ({code}), and may have keys of generation {generation}"),
        };
        return Err(Failure::other(format!("{told}. Nothing was destroyed")));
    }
    let mut destroyed = take_back(own, generation, keys).map_err(failed)?;
    destroyed.extend(hufu_offices::ceremony::abandon(keys).map_err(failed)?);
    kept::set_aside(&transcript)?;
    let next = "restart this node; if the time from which these keys counted is over, its rows have moved to them: start it with an \
                empty store, so that it takes them from both others";
    Ok(GivenUp { destroyed, next: Some(next.to_owned()) })
}
