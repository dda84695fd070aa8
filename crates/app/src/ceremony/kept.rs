//! What is kept of a ceremony at an office: which one was begun last, since that one's keys are pending; and the transcript of each
//! that ended.

use super::office::{AtOffice, kept_in};
use crate::deployment::office_file::OfficeFile;
use crate::failure::Failure;
use crate::files;
use hufu_kernel::{Timestamp, hex};
use hufu_offices::ceremony::{CeremonyError, Outcome};
use hufu_wire::api::ceremony::Transcript;
use hufu_wire::api::order::{Kind, SignedOrder};
use hufu_wire::api::roster::Roster;
use hufu_wire::api::trust::Trust;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The order of the ceremony that was begun last.
pub(super) const BEGUN: &str = "begun.json";
/// The names of all ceremonies that were begun, each until nobody follows its order any more.
const NAMES: &str = "begun-names.json";
/// The roster of the last ceremony that founded the root or replaced an office.
const ROSTER: &str = "roster.json";
/// The public half in an office's own folder, where the place that its configuration names is not the office's to write.
const OWN_TRUST: &str = "trust.json";

pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(Failure::other)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The order of the ceremony that was begun last.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn begun(office: &AtOffice) -> Result<Option<SignedOrder>, Failure> {
    let path = office.kept().join(BEGUN);
    let Some(bytes) = files::read(&path)? else { return Ok(None) };
    SignedOrder::parse(&bytes).map(Some).map_err(|error| Failure::unreadable(&path, error))
}

/// Writes down that a ceremony begins; keys that are pending afterwards are this one's. An order begins one ceremony.
///
/// # Errors
/// [`Failure::Other`] for an order that was begun here already.
pub fn begin(office: &AtOffice, order: &SignedOrder, now: Timestamp) -> Result<(), Failure> {
    let (names, name) = (office.kept().join(NAMES), hex(order.order.ceremony().as_slice()));
    let mut known: BTreeMap<String, i64> = match files::read(&names)? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| Failure::unreadable(&names, error))?,
        None => BTreeMap::new(),
    };
    let again = known.contains_key(&name) || begun(office)?.is_some_and(|before| before.order == order.order);
    if again || path(office, order).exists() {
        return Err(Failure::other(
            "this order was begun here already; what came to nothing begins again with a new order, and what ended at other \
             offices is ended here with `hufu keys finish` and their transcript",
        ));
    }
    files::private_folder(&office.kept())?;
    // Whose time is over is refused for that.
    known.retain(|_, not_after| *not_after > now.0);
    known.insert(name, order.order.not_after.0);
    files::replace(&names, &json(&known)?, files::PUBLIC)?;
    Ok(files::replace(&office.kept().join(BEGUN), &json(order)?, files::PUBLIC)?)
}

/// The roster of the last ceremony that founded the root or replaced an office, where one ended here.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn roster(office: &AtOffice) -> Result<Option<Roster>, Failure> {
    roster_of(&office.file)
}

/// As [`roster`], of an office whose keys are not opened.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn roster_of(file: &OfficeFile) -> Result<Option<Roster>, Failure> {
    let path = kept_in(file).join(ROSTER);
    let Some(bytes) = files::read(&path)? else { return Ok(None) };
    Roster::parse(&bytes).map(Some).map_err(|error| Failure::unreadable(&path, error))
}

/// Keeps the roster of a ceremony that ended: the next one may change no identity but that of the office it replaces.
///
/// # Errors
/// [`Failure::File`].
pub fn keep_roster(office: &AtOffice, kind: Kind, roster: &Roster) -> Result<(), Failure> {
    if !matches!(kind, Kind::Found | Kind::Replace) {
        return Ok(());
    }
    files::private_folder(&office.kept())?;
    Ok(files::replace(&office.kept().join(ROSTER), &json(roster)?, files::PUBLIC)?)
}

/// The place of an order's transcript.
#[must_use]
pub fn path(office: &AtOffice, order: &SignedOrder) -> PathBuf {
    office.kept().join(name(order))
}

/// The file's name of an order's transcript.
#[must_use]
pub fn name(order: &SignedOrder) -> String {
    let id = order.order.ceremony();
    format!("{}-{}.json", order.order.kind.name(), hex(&id.as_slice()[..8]))
}

/// Keeps a transcript.
///
/// # Errors
/// [`Failure::File`].
pub fn keep(office: &AtOffice, transcript: &Transcript) -> Result<PathBuf, Failure> {
    let path = path(office, &transcript.order);
    files::private_folder(&office.kept())?;
    files::replace(&path, &json(transcript)?, files::PUBLIC)?;
    Ok(path)
}

/// Puts the transcript of a ceremony that was taken back aside: it says what was, and no longer what is.
///
/// # Errors
/// [`Failure::Other`].
pub(super) fn set_aside(path: &Path) -> Result<(), Failure> {
    let told = |error: std::io::Error| Failure::unreadable(path, format!("cannot be put aside: {error}"));
    std::fs::rename(path, path.with_extension("taken-back")).map_err(told)
}

/// Reads a transcript.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn read(path: &Path) -> Result<Transcript, Failure> {
    let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "missing"))?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::unreadable(path, error))
}

/// Puts what a ceremony arrived at where the office finds it. Returns the file of the public half, and whether that is where the
/// office's configuration looks for it.
///
/// # Errors
/// [`Failure::File`].
pub fn arrive(office: &AtOffice, outcome: &Outcome) -> Result<Option<(PathBuf, bool)>, Failure> {
    let Outcome::Trust(trust) = outcome else { return Ok(None) };
    let configured = &office.file.trust;
    let bytes = json(trust.as_ref())?;
    match files::replace(configured, &bytes, files::PUBLIC) {
        Ok(()) => Ok(Some((configured.clone(), true))),
        // A file that all offices of one machine read, and none of them may write.
        Err(error) if matches!(error.cause.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            let own = office.file.data().join(OWN_TRUST);
            files::replace(&own, &bytes, files::PUBLIC)?;
            let there = files::read(configured)?.and_then(|bytes| serde_json::from_slice::<Trust>(&bytes).ok());
            Ok(Some((own, there.as_ref() == Some(trust.as_ref()))))
        }
        Err(error) => Err(error.into()),
    }
}

/// A ceremony's error, as a sentence for whoever waits.
#[must_use]
pub fn failed(error: &CeremonyError) -> Failure {
    Failure::other(format!("the ceremony came to nothing at this office: {error}"))
}
