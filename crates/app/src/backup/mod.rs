//! `hufu backup` and `hufu restore`: one office's rows, as they stood at one moment, encrypted to a key that the office does not
//! have.
//!
//! A backup is an age file (age-encryption.org/v1) for X25519 recipients. Inside, the first line says whose it is and when it was
//! taken, and the rows follow as the store writes them. Nothing is in the clear; a part that is cut off or changed does not
//! decrypt. Rows never touch the disk unencrypted except in the store itself.

mod catalogue;
mod place;

use crate::data_dir;
use crate::deployment::office_file::OfficeFile;
use crate::deployment::plan::Plan;
use crate::failure::Failure;
use crate::files;
use crate::root::{OFFICES, OfficeFolder};
use age::x25519::{Identity, Recipient};
use hufu_kernel::{Bytes, Clock, Octets, Root, Timestamp};
use hufu_store::Dumped;
use place::Place;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The form of what stands in a backup.
const FORM: u32 = 1;
/// The longest first line: it may carry the sealed keys.
const LONGEST: u64 = 4 << 20;
const KEYS: &str = "keys.json";

/// A backup's first line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    hufu_backup: u32,
    office: String,
    root: Root,
    root_id: Octets<16>,
    /// To the minute.
    taken: Timestamp,
    /// The program that took it.
    program: String,
    /// Whether rows follow; some offices have none.
    rows: bool,
    /// `keys.json`, sealed under the office's `machine.key`, which is in no backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<Bytes>,
}

/// What was done, for people and programs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The office.
    pub office: String,
    /// When the backup was taken, to the minute.
    pub taken: Timestamp,
    /// Rows by kind, and the digest of all; nothing for an office without rows.
    pub rows: Option<Dumped>,
    /// Whether the sealed keys are in it, or were put back.
    pub keys: bool,
}

/// The office that a configuration is about.
pub struct Target {
    name: &'static str,
    folder: OfficeFolder,
    root: Root,
    root_id: Octets<16>,
    place: Place,
}

impl Target {
    /// Reads the configuration and the plan.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn read(config: &Path) -> Result<Self, Failure> {
        let file = OfficeFile::read(config)?;
        let plan = Plan::read(&file.deployment)?;
        let name = OFFICES.into_iter().find(|name| *name == file.office);
        let name =
            name.ok_or_else(|| Failure::other(format!("{} keeps nothing that could be backed up", file.office)))?;
        let folder = OfficeFolder::new(file.data(), name, plan.root, plan.root_id);
        let place = Place::of(&file, name, &folder)?;
        Ok(Self { name, folder, root: plan.root, root_id: plan.root_id, place })
    }

    /// The office's own folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Removes what the office's records no longer have; returns the tables' names.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub fn contract(&self) -> Result<Vec<String>, Failure> {
        self.place.contract()
    }
}

/// Draws an operator's key for backups and writes it to a new file that only its owner reads; returns the public half.
///
/// # Errors
/// [`Failure::File`], also if the file is there already.
pub fn new_identity(path: &Path) -> Result<String, Failure> {
    let identity = Identity::generate();
    let public = identity.to_public().to_string();
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    let mut file = new_file(path)?;
    let text = format!("# opens backups made for {public}\n{secret}\n");
    files::at(path, file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))?;
    Ok(public)
}

fn new_file(path: &Path) -> Result<File, Failure> {
    Ok(files::at(path, OpenOptions::new().write(true).create_new(true).mode(files::PRIVATE).open(path))?)
}

/// Takes a backup. The office may be at work.
///
/// # Errors
/// [`Failure`]; then no file is left.
pub fn take(
    target: &Target,
    to: &Path,
    recipient: &str,
    with_keys: bool,
    clock: &dyn Clock,
) -> Result<Report, Failure> {
    let told = "is no recipient of backups; `hufu backup new-identity FILE` makes one (age1…)";
    let recipient: Recipient = recipient.parse().map_err(|_| Failure::other(format!("{recipient:?} {told}")))?;
    let keys = match with_keys {
        true => Some(sealed_keys(target)?),
        false => None,
    };
    let mut beside = to.as_os_str().to_owned();
    beside.push(".part");
    let beside = Path::new(&beside);
    let file = new_file(beside)?;
    let taken = write(target, file, beside, &recipient, keys, clock.now().minute());
    match taken {
        // A link, unlike a rename, does not replace what is there.
        Ok(report) => {
            let linked = std::fs::hard_link(beside, to);
            let _ = std::fs::remove_file(beside);
            files::at(to, linked)?;
            synced_folder(to)?;
            Ok(report)
        }
        Err(failure) => {
            let _ = std::fs::remove_file(beside);
            Err(failure)
        }
    }
}

fn sealed_keys(target: &Target) -> Result<Bytes, Failure> {
    let path = target.folder.path().join(KEYS);
    let bytes = files::read(&path)?.ok_or_else(|| Failure::unreadable(&path, "there is no such file to back up"))?;
    Ok(Bytes(bytes))
}

fn write(
    target: &Target,
    file: File,
    path: &Path,
    recipient: &Recipient,
    keys: Option<Bytes>,
    taken: Timestamp,
) -> Result<Report, Failure> {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient as &dyn age::Recipient));
    let encryptor = encryptor.map_err(Failure::other)?;
    let mut out = files::at(path, encryptor.wrap_output(BufWriter::new(file)))?;
    let with_keys = keys.is_some();
    let head = Head {
        hufu_backup: FORM,
        office: target.name.to_owned(),
        root: target.root,
        root_id: target.root_id,
        taken,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        rows: target.place.has_rows(),
        keys,
    };
    let mut first = serde_json::to_vec(&head).map_err(Failure::other)?;
    first.push(b'\n');
    files::at(path, out.write_all(&first))?;
    let rows = target.place.export(&mut out, &mut progress())?;
    let out = files::at(path, out.finish())?;
    let file = out.into_inner().map_err(Failure::other)?;
    files::at(path, file.sync_all())?;
    Ok(Report { office: target.name.to_owned(), taken, rows, keys: with_keys })
}

/// Counts rows on the terminal, if there is one.
fn progress() -> impl FnMut(u64) {
    let shown = std::io::stderr().is_terminal();
    move |rows| {
        if shown {
            eprint!("\r{rows} rows");
        }
    }
}

fn synced_folder(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(files::at(folder, File::open(folder).and_then(|folder| folder.sync_all()))?)
}

/// Puts a backup back. The office must not be running.
///
/// # Errors
/// [`Failure`]: another office's or root's backup, a store that is there without `replace`, a file that is not whole. The store is
/// then as it was.
pub fn restore(target: &Target, from: &Path, identity: &Path, replace: bool) -> Result<Report, Failure> {
    let _lock = data_dir::lock(target.folder.path())?;
    let file = files::at(from, File::open(from))?;
    let identity = read_identity(identity)?;
    let unlocked = age::Decryptor::new_buffered(BufReader::new(file))
        .and_then(|decryptor| decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)));
    let unlocked = unlocked.map_err(|error| Failure::unreadable(from, error))?;
    let mut input = BufReader::new(unlocked);
    let head = read_head(&mut input, from)?;
    let whose = (head.office.as_str(), head.root, head.root_id);
    if whose != (target.name, target.root, target.root_id) {
        let told = format!(
            "is a backup of {} under another trust root, or of another office than {}",
            head.office, target.name
        );
        return Err(Failure::unreadable(from, told));
    }
    if !replace {
        target.place.refuse_if_taken()?;
    }
    let rows = match head.rows {
        true => target.place.import(&mut input, &mut progress())?,
        false => None,
    };
    let keys = put_keys(target, head.keys, replace)?;
    Ok(Report { office: target.name.to_owned(), taken: head.taken, rows, keys })
}

fn read_head(input: &mut dyn BufRead, from: &Path) -> Result<Head, Failure> {
    let mut first = Vec::new();
    let mut limited = std::io::Read::take(input, LONGEST);
    limited.read_until(b'\n', &mut first).map_err(|error| Failure::unreadable(from, error))?;
    let head: Head = serde_json::from_slice(&first)
        .map_err(|_| Failure::unreadable(from, "is no backup that this program reads"))?;
    if head.hufu_backup != FORM {
        return Err(Failure::unreadable(
            from,
            format!("is of form {}, this program reads form {FORM}", head.hufu_backup),
        ));
    }
    Ok(head)
}

fn read_identity(path: &Path) -> Result<Identity, Failure> {
    let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "there is no such file"))?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    // The parser's word is about the form and quotes nothing.
    line.parse().map_err(|error: &str| Failure::unreadable(path, error))
}

/// Puts the sealed keys back where none are, or where they may be replaced.
fn put_keys(target: &Target, keys: Option<Bytes>, replace: bool) -> Result<bool, Failure> {
    let Some(keys) = keys else { return Ok(false) };
    let path = target.folder.path().join(KEYS);
    if path.exists() && !replace {
        return Ok(false);
    }
    files::replace(&path, keys.as_slice(), files::PRIVATE)?;
    Ok(true)
}
