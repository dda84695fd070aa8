//! `hufu backup` and `hufu restore`: what one office keeps, as it stood at one moment, encrypted to a key that the office does not
//! have.
//!
//! A backup is an age file (age-encryption.org/v1) for an X25519 recipient. Inside, the first line says whose it is and when it was
//! taken, and what the office keeps follows, with a digest at its end. Nothing is in the clear; a part that is cut off or changed
//! does not decrypt. Rows never touch the disk unencrypted except in the store itself. **Keys are in no backup.**

mod catalogue;
mod meter;
mod papers;
mod place;
mod unfinished;

use crate::data_dir;
use crate::deployment::office_file::OfficeFile;
use crate::deployment::plan::Plan;
use crate::failure::Failure;
use crate::files;
use crate::root::{OFFICES, OfficeFolder};
use age::x25519::{Identity, Recipient};
use hufu_kernel::{Clock, Octets, Root, Timestamp};
use hufu_store::Dumped;
use meter::Meter;
use place::Place;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use unfinished::Part;

/// The form of what stands in a backup.
const FORM: u32 = 1;
/// The longest first line.
const LONGEST: u64 = 4096;

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
}

/// What was done, for people and programs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The office.
    pub office: String,
    /// When the backup was taken, to the minute.
    pub taken: Timestamp,
    /// Rows by kind, and the digest of all.
    pub rows: Dumped,
    /// Of a restore: the office does its work only after it has compared its rows with its peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compares_first: Option<bool>,
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
    /// [`Failure`]; [`Failure::Other`] for an office that keeps nothing but keys.
    pub fn read(config: &Path) -> Result<Self, Failure> {
        let file = OfficeFile::read(config)?;
        let plan = Plan::read(&file.deployment)?;
        let name = OFFICES.into_iter().find(|name| *name == file.office);
        let name = name.ok_or_else(|| place::nothing(&file.office))?;
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
    let secret = identity.to_string();
    let text = format!("# opens backups made for {public}\n{}\n", age::secrecy::ExposeSecret::expose_secret(&secret));
    let mut file = new_file(path)?;
    files::at(path, file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))?;
    Ok(public)
}

fn new_file(path: &Path) -> Result<File, Failure> {
    Ok(files::at(path, OpenOptions::new().write(true).create_new(true).mode(files::PRIVATE).open(path))?)
}

/// The first line that is no comment.
fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default()
}

/// Whom a backup is encrypted to: `age1…` itself, or a file that has it.
fn recipient(given: &str) -> Result<Recipient, Failure> {
    let told = "is no public half of a key for backups (age1…), nor a file with one; `hufu backup new-identity FILE` makes one";
    let refused = || Failure::other(format!("{given:?} {told}"));
    // Whoever mixes the halves up is not to see the private one again on the screen.
    if given.to_ascii_uppercase().starts_with("AGE-SECRET-KEY") {
        return Err(Failure::other(format!("what was given {told}")));
    }
    if let Ok(recipient) = given.parse() {
        return Ok(recipient);
    }
    let bytes = files::read(Path::new(given)).ok().flatten().ok_or_else(refused)?;
    first_line(&String::from_utf8_lossy(&bytes)).parse().map_err(|_| refused())
}

/// Takes a backup. The office may be at work.
///
/// # Errors
/// [`Failure`]; then no file is left.
pub fn take(target: &Target, to: &str, out: &Path, clock: &dyn Clock) -> Result<Report, Failure> {
    let recipient = recipient(to)?;
    unfinished::refuse_if_there(out)?;
    let part = Part::begin(out)?;
    let report = write(target, part.file()?, part.path(), &recipient, clock.now().minute())?;
    part.finish(out)?;
    Ok(report)
}

fn write(target: &Target, file: File, path: &Path, recipient: &Recipient, taken: Timestamp) -> Result<Report, Failure> {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient as &dyn age::Recipient));
    let encryptor = encryptor.map_err(Failure::other)?;
    let mut out = files::at(path, encryptor.wrap_output(BufWriter::new(file)))?;
    let head = Head {
        hufu_backup: FORM,
        office: target.name.to_owned(),
        root: target.root,
        root_id: target.root_id,
        taken,
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut first = serde_json::to_vec(&head).map_err(Failure::other)?;
    first.push(b'\n');
    files::at(path, out.write_all(&first))?;
    let meter = Meter::unbounded();
    let rows = target.place.export(&mut out, &mut |rows| meter.show(rows));
    meter.clear();
    let rows = rows?;
    let out = files::at(path, out.finish())?;
    let file = out.into_inner().map_err(Failure::other)?;
    files::at(path, file.sync_all())?;
    Ok(Report { office: target.name.to_owned(), taken, rows, compares_first: None })
}

/// What a restore is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The backup.
    pub from: &'a Path,
    /// The operator's key for backups.
    pub identity: &'a Path,
    /// Whether a store that is there may be lost.
    pub replace: bool,
    /// The digest that was noted when the backup was taken: whoever has the public half of the key can write a backup.
    pub digest: Option<&'a str>,
}

/// Puts a backup back. The office must not be running.
///
/// # Errors
/// [`Failure`]: another office's or root's backup, another one than the digest's, a store that is there without `replace`, a file that
/// is not whole. The store is then as it was.
pub fn restore(target: &Target, asked: Asked<'_>) -> Result<Report, Failure> {
    let _lock = data_dir::lock(target.folder.path())?;
    let identity = read_identity(asked.identity)?;
    let file = files::at(asked.from, File::open(asked.from))?;
    let length = files::at(asked.from, file.metadata())?.len();
    put_back(target, asked, &identity, (file, length))
}

fn put_back(
    target: &Target,
    asked: Asked<'_>,
    identity: &Identity,
    (mut file, length): (impl Read + Seek + Send, u64),
) -> Result<Report, Failure> {
    let Asked { from, replace, .. } = asked;
    let meter = Meter::bounded(length);
    // A first reading refuses early. It proves nothing of the second one: who may write where the backup lies can change it between
    // the two, so what is imported is compared again before it counts.
    if let Some(noted) = asked.digest {
        let mut input = opened(&mut file, identity, from)?;
        read_head(&mut input, from)?;
        if hufu_store::digest(&mut input).map_err(|cause| Failure::unreadable(from, cause))? != noted {
            let told = "is not the backup of this digest: whoever has the public half of the key can write one. Nothing was restored";
            return Err(Failure::unreadable(from, told));
        }
        drop(input);
        files::at(from, file.rewind())?;
    }
    let mut input = opened(meter.over(&mut file), identity, from)?;
    let head = read_head(&mut input, from)?;
    check_whose(target, &head, from)?;
    if !replace {
        target.place.refuse_if_taken()?;
    }
    let rows = target.place.import(&mut input, &mut |rows| meter.show(rows), asked.digest);
    meter.clear();
    let compares_first = Some(target.place.compares_first());
    Ok(Report { office: target.name.to_owned(), taken: head.taken, rows: rows?, compares_first })
}

/// What stands in a backup.
fn opened<'a>(
    file: impl Read + Send + 'a,
    identity: &Identity,
    from: &Path,
) -> Result<BufReader<Box<dyn Read + Send + 'a>>, Failure> {
    let unlocked = age::Decryptor::new_buffered(BufReader::new(file))
        .and_then(|decryptor| decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)));
    Ok(BufReader::new(Box::new(unlocked.map_err(|error| Failure::unreadable(from, closed(&error)))?)))
}

/// Why a file does not open, in a sentence that says what to do.
fn closed(error: &age::DecryptError) -> String {
    match error {
        age::DecryptError::NoMatchingKeys => "was made for another key than this one".to_owned(),
        age::DecryptError::Io(error) => error.to_string(),
        _ => "does not decrypt: it is cut off, changed, or no backup".to_owned(),
    }
}

fn check_whose(target: &Target, head: &Head, from: &Path) -> Result<(), Failure> {
    if head.office != target.name {
        return Err(Failure::unreadable(from, format!("is a backup of {}, not of {}", head.office, target.name)));
    }
    if (head.root, head.root_id) != (target.root, target.root_id) {
        return Err(Failure::unreadable(from, format!("is a backup of {} under another trust root", head.office)));
    }
    Ok(())
}

fn read_head(input: &mut dyn BufRead, from: &Path) -> Result<Head, Failure> {
    let mut first = Vec::new();
    let mut limited = std::io::Read::take(input, LONGEST);
    let read = limited.read_until(b'\n', &mut first);
    read.map_err(|_| Failure::unreadable(from, "does not decrypt: it is cut off or changed"))?;
    let head: Head = serde_json::from_slice(&first)
        .map_err(|_| Failure::unreadable(from, "is no backup that this program reads"))?;
    if head.hufu_backup != FORM {
        let told = format!("is of form {}, this program reads form {FORM}", head.hufu_backup);
        return Err(Failure::unreadable(from, told));
    }
    Ok(head)
}

fn read_identity(path: &Path) -> Result<Identity, Failure> {
    let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "there is no such file"))?;
    let bytes = zeroize::Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    // The parser's word is about the form and quotes nothing.
    first_line(text).parse().map_err(|error: &str| Failure::unreadable(path, error))
}

#[cfg(test)]
mod tests;
