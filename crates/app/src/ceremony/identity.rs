//! Who an office is: its own keys from before any ceremony, the file of their public halves, and the roster of all of them.

use super::kept;
use super::office::{AtOffice, own_user};
use crate::deployment::keys;
use crate::deployment::office_file::{Keeper, OfficeFile};
use crate::deployment::plan::Plan;
use crate::deployment::serve;
use crate::failure::Failure;
use crate::files;
use crate::keys::pkcs11::{self, Pkcs11Place};
use cryptoki::types::AuthPin;
use hufu_kernel::{Bytes, KeyUse, Octets, Root};
use hufu_offices::ceremony::identity_keys;
use hufu_offices::hpke;
use hufu_wire::api::roster::{Identity, Roster};
use hufu_wire::jose::strict_json;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file's name in an office's folder.
pub const FILE: &str = "identity.json";
/// No identity is longer.
const LONGEST: u64 = 64 << 10;

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
    let in_token = office.file.keys.as_ref().is_some_and(|keys| keys.kind == Keeper::Pkcs11);
    let wrapping = in_token.then(|| office.keys.wrapping_key()).transpose().map_err(Failure::other)?;
    let wrapping_sha256 = wrapping.as_ref().map(|wrapping| Identity::pin(&wrapping.0));
    let identity = Identity { office: office.name.to_owned(), key, sealing, wrapping_sha256 };
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
/// [`Failure::Unreadable`] for a file of another trust root, or none, or whose wrapping key is not the one that its identity pins.
pub fn read(path: &Path, plan: &Plan) -> Result<Offered, Failure> {
    let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "missing"))?;
    parsed(path, &bytes, plan)
}

/// Reads what `office` has offered in its own folder below `folder`, which its user writes: no link is followed, and no other office's
/// identity is taken.
///
/// # Errors
/// As [`read`].
pub fn read_in(folder: &Path, office: &str, plan: &Plan) -> Result<Offered, Failure> {
    let own = folder.join(office);
    let offered = parsed(&own.join(FILE), &files::read_below(&own, &[FILE], LONGEST)?, plan)?;
    if offered.identity.office != office {
        let told = format!("is the identity of {}, in the folder of {office}", offered.identity.office);
        return Err(Failure::unreadable(&own.join(FILE), told));
    }
    Ok(offered)
}

fn parsed(path: &Path, bytes: &[u8], plan: &Plan) -> Result<Offered, Failure> {
    let offered: Offered = strict_json(bytes).map_err(|error| Failure::unreadable(path, error))?;
    if offered.root != plan.root || offered.root_id != plan.root_id {
        return Err(Failure::unreadable(path, "is an identity under another trust root than the plan's"));
    }
    if offered.identity.wrapping_sha256 != offered.wrapping.as_ref().map(|wrapping| Identity::pin(&wrapping.0)) {
        let told = "has another wrapping key than the identity in it pins: it was changed on its way, or an older version made it; \
                    have it made again at that office (hufu keys identity) and compare its fingerprint by voice";
        return Err(Failure::unreadable(path, told));
    }
    Ok(offered)
}

/// A roster of identities; those that are not given come from `before`, if that is given.
///
/// # Errors
/// [`Failure::Other`] if an office is missing or named twice.
pub fn roster(plan: &Plan, before: Option<&Roster>, mut identities: Vec<Identity>) -> Result<Roster, Failure> {
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

/// Another office's wrapping key that the roster pins, before this office's security officer has said that it is trusted.
#[derive(Debug)]
pub struct ToTrust {
    /// Whose.
    pub office: String,
    /// The wrapping key's fingerprint.
    pub wrapping: String,
    /// The fingerprint of the roster that pins it.
    pub roster: String,
    place: Pkcs11Place,
    key: Bytes,
}

impl ToTrust {
    /// Looks at what is to be trusted: `offered` must be the identity that the roster has, which is the office's own if none is given.
    ///
    /// # Errors
    /// [`Failure`] if one of the two offices has no token, or the roster does not pin this identity and its wrapping key.
    pub fn look(config: &Path, offered: &Path, roster: Option<&Path>) -> Result<Self, Failure> {
        let file = OfficeFile::read(config)?;
        own_user(file.data())?;
        let (place, plan) = (keys::place(&file)?, Plan::read(&file.deployment)?);
        let roster = roster.map_or_else(|| serve::roster(&file, &plan), |path| read_roster(path, &plan))?;
        let Offered { identity, wrapping, .. } = read(offered, &plan)?;
        let lacking = || Failure::unreadable(offered, "has no wrapping key: that office's keys are not in a token");
        let (key, fingerprint) = wrapping.zip(identity.wrapping_fingerprint()).ok_or_else(lacking)?;
        if roster.get(&identity.office) != Some(&identity) {
            let told = format!(
                "is not the identity, or has not the wrapping key, that the roster pins for {} (roster {}): compare both with that \
                 office by voice; nothing was trusted",
                identity.office,
                roster.fingerprint()
            );
            return Err(Failure::unreadable(offered, told));
        }
        no_other_changed(kept::roster_of(&file)?.as_ref(), &roster, &identity.office)?;
        Ok(Self { office: identity.office, wrapping: fingerprint, roster: roster.fingerprint(), place, key })
    }

    /// Marks it as trusted in this office's token: keys can be handed over to the other then.
    ///
    /// # Errors
    /// [`Failure`] if the officer is not let in.
    pub fn trust(&self, officer: &AuthPin) -> Result<(), Failure> {
        pkcs11::trust(&self.place, officer, &self.office, &self.key)
    }
}

/// Refuses a roster that has other keys than the last ceremony's for anybody but the office that is trusted: that one may be about to
/// be replaced, and nobody beside it.
fn no_other_changed(before: Option<&Roster>, roster: &Roster, trusted: &str) -> Result<(), Failure> {
    let before = before.filter(|before| before.root_id() == roster.root_id());
    let changed = |old: &&Identity| old.office != trusted && roster.get(&old.office) != Some(*old);
    match before.into_iter().flat_map(Roster::identities).find(changed) {
        None => Ok(()),
        Some(old) => Err(Failure::other(format!(
            "the roster has other keys for {} than at the last ceremony of this office, and a replacement of {trusted} changes that \
             one alone; nothing was trusted",
            old.office
        ))),
    }
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
