//! What has to be at an office when a ceremony is over, and the way back from one that ended where it should not have.

use super::own_keys::{alone, pending};
use super::{CeremonyError, Outcome, Role};
use crate::front::RESPONSE_KEY;
use crate::key_names;
use hufu_kernel::{KeyKeeper, NodeIndex, Octets, PENDING, Root};
use hufu_pairwise::{CoinName, key_check_message};
use hufu_wire::api::ceremony::{Said, Transcript};
use hufu_wire::api::order::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// The keys that a ceremony left at `office` by its transcript and that are not in its keeper, pending or in use; or that are others
/// than it showed. Where this names one the office has not got what the ceremony made, whatever the transcript says.
///
/// # Errors
/// [`CeremonyError::Keys`].
pub fn lacking(
    office: &str,
    root: Root,
    transcript: &Transcript,
    outcome: &Outcome,
    keys: &dyn KeyKeeper,
) -> Result<Vec<String>, CeremonyError> {
    let names: BTreeSet<String> = keys.names()?.into_iter().collect();
    let ceremony = transcript.order.order.ceremony();
    let held = |key: &str| [pending(key), key.to_owned()].into_iter().find(|name| names.contains(name));
    let mut lacking = Vec::new();
    for (key, shown) in shown(office, transcript) {
        let message = key_check_message(&CoinName { ceremony, key: key.clone() });
        match held(&key) {
            Some(name) if keys.hmac(&name, &message)? == shown => {}
            None if is_retired(&key, &names) => {}
            _ => lacking.push(key),
        }
    }
    lacking.extend(unshown(office, root, transcript).into_iter().filter(|key| held(key).is_none()).map(str::to_owned));
    if let Outcome::Generation { generation, since } = outcome {
        let name = key_names::since(*generation);
        let said = held(&name).map(|held| keys.share(&held)).transpose()?;
        if said.is_none_or(|said| said.as_slice() != since.to_be_bytes()) {
            lacking.push(name);
        }
    }
    Ok(lacking)
}

/// What the office itself showed of the keys it holds with others.
fn shown(office: &str, transcript: &Transcript) -> BTreeMap<String, Octets<32>> {
    let own = transcript.messages.iter().filter(|spoken| spoken.office == office);
    let checks = own.filter_map(|spoken| match &spoken.message.said {
        Said::Check(check) => Some(check.keys.clone()),
        _ => None,
    });
    checks.flatten().collect()
}

/// The keys of which nobody shows anything: an office's own, and shares.
fn unshown(office: &str, root: Root, transcript: &Transcript) -> Vec<&'static str> {
    let order = &transcript.order.order;
    let is_subject = order.subject.as_deref() == Some(office);
    let (draws, shares) = match order.kind {
        Kind::Found => (true, true),
        Kind::Replace => (is_subject, is_subject),
        Kind::Repair => (false, is_subject),
        _ => (false, false),
    };
    let mut due = Vec::new();
    if draws {
        due.extend(alone(office).iter().map(|(name, _)| *name));
    }
    match Role::of(office) {
        Role::Node(_) => {
            due.extend((draws && root == Root::Sandbox).then_some("rs256"));
            due.extend(shares.then_some("frost-share"));
        }
        Role::Tagger(_) => due.extend(shares.then_some("tag-share")),
        Role::Other => due.extend((draws && office == "front").then_some(RESPONSE_KEY)),
    }
    due
}

/// Whether a key of a generation is gone because newer ones are in use.
fn is_retired(key: &str, names: &BTreeSet<String>) -> bool {
    let numbered = |name: &str| match name.split_once('.') {
        Some((kind, number)) => Some((kind.to_owned(), number.parse::<u32>().ok()?)),
        None => Some((name.to_owned(), 0)),
    };
    let Some((kind, generation)) = numbered(key) else { return false };
    let of = |wanted: &str| {
        let of = names.iter().filter_map(|name| numbered(name)).filter(|(kind, _)| kind.starts_with(wanted));
        of.map(|(_, generation)| generation).collect::<BTreeSet<u32>>()
    };
    if kind == "z" {
        // Z leads to a generation from the one before.
        let there = of("k-");
        return there.first().is_some_and(|oldest| *oldest >= generation);
    }
    kind.starts_with("k-") && of(&kind).last().is_some_and(|newest| *newest > generation)
}

/// Destroys the generation that a rotation left in use at this node, as if it had never ended here; the one before stays. Right only
/// while no other node has it. Whoever was interrupted in it does it again. Returns the names.
///
/// # Errors
/// [`CeremonyError::Standing`] where nothing older is left to go by.
pub fn take_back(own: NodeIndex, generation: u32, keys: &dyn KeyKeeper) -> Result<Vec<String>, CeremonyError> {
    let names = keys.names()?;
    let present = key_names::generations(own, names.iter().map(String::as_str));
    if generation.checked_sub(1).is_none_or(|before| !present.contains(&before)) {
        let told = "the keys of before that rotation are not here any more: it cannot be taken back".to_owned();
        return Err(CeremonyError::Standing(told));
    }
    let number = format!(".{generation}");
    let of = |name: &String| {
        let kind = name.strip_suffix(&number).filter(|kind| !kind.starts_with(PENDING));
        kind.is_some_and(|kind| kind.starts_with("k-") || ["z", "since"].contains(&kind))
    };
    let mut gone = Vec::new();
    for name in names.into_iter().filter(of) {
        keys.destroy(&name)?;
        gone.push(name);
    }
    Ok(gone)
}
