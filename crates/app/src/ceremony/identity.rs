//! Who an office is: its own keys from before any ceremony, the file of their public halves, and the roster of all of them.

use super::office::AtOffice;
use crate::deployment::keys;
use crate::deployment::office_file::{Keeper, OfficeFile};
use crate::deployment::plan::Plan;
use crate::failure::Failure;
use crate::files;
use crate::keys::pkcs11;
use hufu_kernel::{Bytes, KeyUse, Octets, Root};
use hufu_offices::ceremony::identity_keys;
use hufu_offices::hpke;
use hufu_wire::api::roster::{Identity, Roster};
use hufu_wire::jose::strict_json;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file's name in an office's folder.
pub const FILE: &str = "identity.json";

/// What an office hands to whoever assembles the roster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// Sandbox or production.
    pub root: Root,
    /// Under which trust root.
    pub root_id: Octets<16>,
    /// The office and its public keys.
    pub identity: Identity,
    /// Of an office whose keys are in a token: what other tokens wrap keys under for it, once their officers trust it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wrapping: Option<Bytes>,
}

/// Makes the keys of an office's identity, where they are not made yet, and writes their public halves.
///
/// # Errors
/// [`Failure`] if the keys do not open or cannot be made.
pub fn make(office: &AtOffice) -> Result<(PathBuf, Identity), Failure> {
    let names = office.keys.names().map_err(Failure::other)?;
    let mut sealing = None;
    for (name, usage) in identity_keys(office.name) {
        let is_there = names.iter().any(|there| there == name);
        match usage {
            // X25519, which no key store makes: a library draws it.
            KeyUse::Share => {
                if !is_there {
                    let (private, _) = hpke::generate(office.rng.as_ref());
                    office.keys.import(name, usage, &private).map_err(Failure::other)?;
                }
                let private = office.keys.share(name).map_err(Failure::other)?;
                let public = hpke::public(&private);
                sealing = Some(public.map_err(|_| Failure::other(format!("the key {name} is no X25519 key")))?);
            }
            _ if is_there => {}
            _ => office.keys.generate(name, usage).map_err(Failure::other)?,
        }
    }
    let key = office.keys.public("office").map_err(Failure::other)?;
    let key = Octets::try_from(key.0.as_slice()).map_err(|_| Failure::other("the key `office` is no Ed25519 key"))?;
    let identity = Identity { office: office.name.to_owned(), key, sealing };
    let in_token = office.file.keys.as_ref().is_some_and(|keys| keys.kind == Keeper::Pkcs11);
    let wrapping = in_token.then(|| office.keys.wrapping_key()).transpose().map_err(Failure::other)?;
    let offered =
        Offered { root: office.plan.root, root_id: office.plan.root_id, identity: identity.clone(), wrapping };
    let path = office.file.data().join(FILE);
    let mut bytes = serde_json::to_vec_pretty(&offered).map_err(Failure::other)?;
    bytes.push(b'\n');
    files::replace(&path, &bytes, files::PUBLIC)?;
    Ok((path, identity))
}

/// Reads what an office has offered.
///
/// # Errors
/// [`Failure::Unreadable`] for a file of another trust root, or none.
pub fn read(path: &Path, plan: &Plan) -> Result<Offered, Failure> {
    let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "missing"))?;
    let offered: Offered = strict_json(&bytes).map_err(|error| Failure::unreadable(path, error))?;
    if offered.root != plan.root || offered.root_id != plan.root_id {
        return Err(Failure::unreadable(path, "is an identity under another trust root than the plan's"));
    }
    Ok(offered)
}

/// A roster of identities, each from its office's file; those that are not given come from `before`, if that is given.
///
/// # Errors
/// [`Failure::Unreadable`] for a file of another trust root, or none; [`Failure::Other`] if an office is missing or named twice.
pub fn roster(plan: &Plan, before: Option<&Roster>, offered: &[PathBuf]) -> Result<Roster, Failure> {
    let mut identities: Vec<Identity> = Vec::new();
    for path in offered {
        identities.push(read(path, plan)?.identity);
    }
    for old in before.into_iter().flat_map(Roster::identities) {
        if !identities.iter().any(|new| new.office == old.office) {
            identities.push(old.clone());
        }
    }
    let roster = Roster::new(plan.root, plan.root_id, identities).map_err(Failure::other)?;
    match roster.missing() {
        missing if missing.is_empty() => Ok(roster),
        missing => Err(Failure::other(format!("the identities of {} are missing", missing.join(", ")))),
    }
}

/// Marks the wrapping key of another office's token as trusted in this office's: its keys can be handed over to that one then.
///
/// # Errors
/// [`Failure`] if one of the two has no token, or the officer is not let in.
pub fn trust(config: &Path, officer_pin: &Path, offered: &Path) -> Result<String, Failure> {
    let file = OfficeFile::read(config)?;
    let place = keys::place(&file)?;
    let offered_by = read(offered, &Plan::read(&file.deployment)?)?;
    let lacking = || Failure::unreadable(offered, "has no wrapping key: that office's keys are not in a token");
    let wrapping = offered_by.wrapping.ok_or_else(lacking)?;
    let pin = pkcs11::pin(officer_pin)?;
    pkcs11::trust(&place, &pin, &offered_by.identity.office, &wrapping)?;
    Ok(offered_by.identity.office)
}

/// Writes a roster.
///
/// # Errors
/// [`Failure::File`].
pub fn write_roster(path: &Path, roster: &Roster) -> Result<(), Failure> {
    let mut bytes = serde_json::to_vec_pretty(roster).map_err(Failure::other)?;
    bytes.push(b'\n');
    Ok(files::replace(path, &bytes, files::PUBLIC)?)
}

/// Reads a roster of this plan's root.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn read_roster(path: &Path, plan: &Plan) -> Result<Roster, Failure> {
    let bytes = files::read(path)?
        .ok_or_else(|| Failure::unreadable(path, "there is no such file; `hufu keys roster` makes it"))?;
    let roster = Roster::parse(&bytes).map_err(|error| Failure::unreadable(path, error))?;
    if roster.root() != plan.root || *roster.root_id() != plan.root_id {
        return Err(Failure::unreadable(path, "belongs to another trust root than the plan"));
    }
    Ok(roster)
}
