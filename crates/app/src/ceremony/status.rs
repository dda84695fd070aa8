//! What keys an office has: names, never secrets.

use super::{kept, office::AtOffice};
use crate::deployment::office_file::Keeper;
use crate::deployment::requests::{self, KeyRequest, Making};
use crate::failure::Failure;
use crate::root::key_file;
use hufu_kernel::{KeyUse, PENDING, hex};
use hufu_offices::ceremony::{CONFIRMED, confirmed};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// An office's keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Status {
    /// The office.
    pub office: String,
    /// `production`, `sandbox`.
    pub root: &'static str,
    /// `file`, `pkcs11`.
    pub keeper: &'static str,
    /// One party made keys for all offices: sandbox only.
    pub dealer: bool,
    /// The keys by name.
    pub keys: Vec<KeyStatus>,
    /// The keys that are needed and not there.
    pub missing: Vec<String>,
    /// The ceremony that was begun last.
    pub begun: Option<Begun>,
}

/// One key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct KeyStatus {
    /// Its name, without what marks it as pending.
    pub name: String,
    /// What for.
    #[serde(rename = "use")]
    pub usage: KeyUse,
    /// Of K_A and what goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// Its ceremony is not over.
    pub pending: bool,
    /// How it was made.
    pub made: String,
}

/// A ceremony.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Begun {
    /// What.
    pub kind: &'static str,
    /// Its name.
    pub ceremony: String,
    /// Whether its end is kept at this office.
    pub kept: bool,
    /// Whether it ended at this office, so that nothing waits for it.
    pub ended: bool,
    /// Whether this office has confirmed it and has not heard its end: the pending keys may count at others.
    pub confirmed: bool,
}

/// Looks at an office's keys.
///
/// # Errors
/// [`Failure`] if they do not open.
pub fn of(config: &Path) -> Result<Status, Failure> {
    let office = AtOffice::look(config)?;
    let is_file = office.file.keys.as_ref().is_none_or(|keys| keys.kind == Keeper::File);
    let dealer = is_file && office.file.data().join(key_file::KEYS).exists() && key_file::is_dealt(office.file.data())?;
    let requested = requests::of(office.name).keys;
    let mut keys = Vec::new();
    for name in office.keys.names().map_err(Failure::other)? {
        let usage = office.keys.usage(&name).map_err(Failure::other)?;
        let plain = name.strip_prefix(PENDING).unwrap_or(&name);
        // No key: it marks the others that are pending.
        if plain == CONFIRMED {
            continue;
        }
        let (kind, generation) = numbered(plain);
        let made =
            if dealer { "by a dealer".to_owned() } else { made(requested.iter().find(|key| key.name == kind), kind) };
        keys.push(KeyStatus { name: plain.to_owned(), usage, generation, pending: name != plain, made });
    }
    let there = |name: &str| keys.iter().any(|key| !key.pending && numbered(&key.name).0 == name);
    let missing = requested.iter().filter(|key| !there(&key.name)).map(|key| key.name.clone()).collect();
    let confirmed = confirmed(office.keys.as_ref()).map_err(|error| kept::failed(&error))?;
    let begun = kept::begun(&office)?.map(|order| Begun {
        kind: order.order.kind.name(),
        ceremony: hex(order.order.ceremony().as_slice()),
        kept: kept::path(&office, &order).exists(),
        ended: kept::path(&office, &order).exists() && confirmed.is_none() && !keys.iter().any(|key| key.pending),
        confirmed: confirmed == Some(order.order.ceremony()),
    });
    let keeper = if is_file { "file" } else { "pkcs11" };
    Ok(Status { office: office.name.to_owned(), root: office.plan.root.name(), keeper, dealer, keys, missing, begun })
}

/// `k-12.1` is `k-12` of generation 1.
fn numbered(name: &str) -> (&str, Option<u32>) {
    if let Some((kind, number)) = name.split_once('.')
        && let Ok(number) = number.parse()
    {
        return (kind, Some(number));
    }
    (name, name.starts_with("k-").then_some(0))
}

fn made(requested: Option<&KeyRequest>, kind: &str) -> String {
    match requested {
        Some(KeyRequest { made: Making::CoinFlip, with, .. }) => format!("by coin flip with {}", with.join(", ")),
        Some(KeyRequest { made: Making::Distributed, with, .. }) => format!("jointly with {}", with.join(", ")),
        Some(KeyRequest { made: Making::Alone, .. }) => "here".to_owned(),
        None if kind == "z" => "by coin flip of all nodes".to_owned(),
        None if kind == "since" => "by an order".to_owned(),
        None => "here".to_owned(),
    }
}

/// For people.
#[must_use]
pub fn text(status: &Status) -> String {
    let mut text = format!(
        "{} · {} root · keys in a {}\n",
        status.office,
        status.root,
        match status.keeper {
            "file" => "file",
            _ => "token",
        }
    );
    for key in &status.keys {
        let usage = format!("{:?}", key.usage).to_lowercase();
        let generation = key.generation.map(|generation| format!(", generation {generation}")).unwrap_or_default();
        let pending = if key.pending { ", pending" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<14}{usage:<9}made {}{generation}{pending}", key.name, key.made);
    }
    if !status.missing.is_empty() {
        let _ = writeln!(text, "not there yet: {}", status.missing.join(", "));
    }
    if let Some(begun) = &status.begun {
        let ended = match (begun.kept, begun.ended, begun.confirmed) {
            (_, true, _) => "ended",
            (true, false, _) => "its end is kept, its keys do not count yet: `hufu keys finish` before anything else",
            (false, false, false) => "did not end here",
            (false, false, true) => "this office confirmed: end it with `hufu keys finish` before anything else",
        };
        let _ = writeln!(text, "last ceremony: {} {}: {ended}", begun.kind, &begun.ceremony[..16]);
    }
    text
}
