//! What an office may say in a round, and has to: a name that nobody asked for is no part of a ceremony, whoever signs it.

use super::joint::Coin;
use super::{CeremonyError, Role, found, parties, rotate};
use hufu_kernel::Root;
use hufu_wire::api::ceremony::{Check, Open, Said, Spoken};
use hufu_wire::api::order::{Kind, SignedOrder};
use std::collections::BTreeSet;

type What = Result<(), String>;

/// Refuses a word with a name in it that is not due, or without one that is. `before` is what was said in earlier rounds.
pub(super) fn check(order: &SignedOrder, root: Root, before: &[Spoken], spoken: &Spoken) -> Result<(), CeremonyError> {
    let office = spoken.office.as_str();
    let message = &spoken.message;
    let said = match &message.said {
        Said::Open(open) => opens(order, root, office, open),
        Said::Check(shown) => shows(order, before, office, shown),
        Said::Parts | Said::Confirm { .. } => Ok(()),
    };
    let parties = parties(order)?;
    let stranger = message.sealed.keys().find(|to| *to == office || !parties.contains(&to.as_str()));
    let sealed = match (&message.said, stranger, message.sealed.keys().next()) {
        (Said::Parts, None, _) | (_, None, None) => Ok(()),
        (Said::Parts, Some(to), _) => Err(format!("seals something to {to:?}, for whom nothing is due")),
        (_, _, Some(to)) | (_, Some(to), None) => Err(format!("seals something to {to:?} where nothing is sealed")),
    };
    said.and(sealed).map_err(|what| CeremonyError::misbehaved(message.round, office, what))
}

/// The names of the coins that an office takes part in.
fn flipped(coins: &[Coin], office: &str) -> BTreeSet<String> {
    let Role::Node(own) = Role::of(office) else { return BTreeSet::new() };
    coins.iter().filter(|coin| coin.holders.contains(&own)).map(|coin| coin.key.clone()).collect()
}

fn exactly<'a>(due: &BTreeSet<String>, said: impl Iterator<Item = &'a String>, verb: &str) -> What {
    let said: BTreeSet<&String> = said.collect();
    if let Some(key) = said.iter().find(|key| !due.contains(**key)) {
        return Err(format!("{verb} {key:?}, which is not its to say"));
    }
    match due.iter().find(|key| !said.contains(key)) {
        Some(key) => Err(format!("says nothing of {key}, where it {verb} keys")),
        None => Ok(()),
    }
}

/// Exactly what the office opens with, by its part.
fn opens(order: &SignedOrder, root: Root, office: &str, open: &Open) -> What {
    let (kind, role) = (order.order.kind, Role::of(office));
    let is_subject = order.order.subject.as_deref() == Some(office);
    let node = matches!(role, Role::Node(_));
    let kin = order.order.subject.as_deref().and_then(|subject| Role::of(subject).kin());
    let helps = kin.is_some_and(|kin| kin.contains(&office)) && !is_subject;
    let draws = kind == Kind::Found || (kind == Kind::Replace && is_subject);
    let due: [(&str, bool, bool); 8] = [
        ("a package of a generation", open.package.is_some(), kind == Kind::Found && role.kin().is_some()),
        ("parts of a repair", open.help.is_some(), helps),
        ("a wrapping key", open.wrapping.is_some(), is_subject),
        ("a key of one-key mode ES256", open.es256.is_some(), draws && node),
        ("a key of one-key mode RS256", open.rs256.is_some(), draws && node && root == Root::Sandbox),
        ("a key for transactions", open.transactions.is_some(), draws && office == "front"),
        ("a generation of K_A", open.generation.is_some(), kind == Kind::Rotate || (helps && node)),
        ("generations of K_A", !open.generations.is_empty(), helps && node),
    ];
    for (what, is_there, is_due) in due {
        match (is_there, is_due) {
            (true, false) => return Err(format!("says {what}, which is not its to say")),
            (false, true) => return Err(format!("does not say {what}")),
            _ => {}
        }
    }
    let coins = match (kind, open.generation.and_then(|generation| generation.checked_add(1))) {
        (Kind::Found, _) => flipped(&found::coins(), office),
        (Kind::Rotate, Some(next)) => flipped(&rotate::coins(next), office),
        _ => BTreeSet::new(),
    };
    exactly(&coins, open.coins.keys(), "commits to")
}

/// Exactly the keys of which the office shows something; those of a restoration are looked at by whoever restores.
fn shows(order: &SignedOrder, before: &[Spoken], office: &str, shown: &Check) -> What {
    let kind = order.order.kind;
    let is_shared = kind == Kind::Found && Role::of(office).kin().is_some();
    if shown.shared.is_some() != is_shared {
        let told = if is_shared { "does not say" } else { "says" };
        return Err(format!("{told} the public part of a shared key"));
    }
    match kind {
        Kind::Found => exactly(&flipped(&found::coins(), office), shown.keys.keys(), "shows"),
        Kind::Rotate => {
            let next =
                before.iter().filter(|spoken| spoken.office == office).find_map(|spoken| match &spoken.message.said {
                    Said::Open(open) => open.generation?.checked_add(1),
                    _ => None,
                });
            exactly(&flipped(&rotate::coins(next.unwrap_or_default()), office), shown.keys.keys(), "shows")
        }
        _ => Ok(()),
    }
}
