//! Files that are whole or absent, and private where they must be.

use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Owner only.
pub const PRIVATE: u32 = 0o600;
/// Everybody may read.
pub const PUBLIC: u32 = 0o644;

/// How many files were written: the next one's name beside its place.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// The system's words.
    pub cause: io::Error,
}

/// Names the file in an error.
pub fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, FileError> {
    result.map_err(|cause| FileError { path: path.to_owned(), cause })
}

/// A new folder that only its owner enters, and its missing parents.
///
/// # Errors
/// [`FileError`].
pub fn private_folder(path: &Path) -> Result<(), FileError> {
    at(path, fs::DirBuilder::new().recursive(true).mode(0o700).create(path))
}

/// Writes a file whole: beside it first, then renamed, both synced. A reader sees the old bytes or the new ones.
///
/// # Errors
/// [`FileError`].
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.{}.new", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let beside = PathBuf::from(beside);
    let written = (|| {
        // Made anew: what stood there may be a link that whoever owns the folder has put in the way.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&beside)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    at(path, written)?;
    synced_folder_of(path)
}

/// Has the disk keep which names are in the folder of `path`.
///
/// # Errors
/// [`FileError`].
pub fn synced_folder_of(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    at(folder, File::open(folder).and_then(|folder| folder.sync_all()))
}

/// Puts one folder in the place of another, and that one in its place, at once. Where nothing is at `place` it is moved there.
///
/// # Errors
/// [`FileError`]: both are as before. On a disk that cannot exchange names, power that fails in between is mended by [`undo_exchange`].
pub fn exchange(beside: &Path, place: &Path) -> Result<(), FileError> {
    if place.symlink_metadata().is_err() {
        at(place, fs::rename(beside, place))?;
        return synced_folder_of(place);
    }
    match rustix::fs::renameat_with(CWD, beside, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => {}
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => exchange_in_steps(beside, place)?,
        Err(error) => return at(place, Err(error.into())),
    }
    synced_folder_of(place)
}

/// Where a folder is while another takes its place in steps.
fn aside(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(".before");
    PathBuf::from(name)
}

fn exchange_in_steps(beside: &Path, place: &Path) -> Result<(), FileError> {
    let aside = aside(place);
    at(place, fs::rename(place, &aside))?;
    if let Err(error) = fs::rename(beside, place) {
        at(&aside, fs::rename(&aside, place))?;
        return at(place, Err(error));
    }
    at(&aside, fs::rename(&aside, beside))
}

/// What an exchange in steps that was interrupted left: a folder whose place is empty goes back there, another one is removed.
///
/// # Errors
/// [`FileError`].
pub fn undo_exchange(place: &Path) -> Result<(), FileError> {
    let aside = aside(place);
    match (aside.is_dir(), place.symlink_metadata().is_err()) {
        (false, _) => Ok(()),
        (true, true) => at(&aside, fs::rename(&aside, place)).and_then(|()| synced_folder_of(place)),
        (true, false) => at(&aside, fs::remove_dir_all(&aside)),
    }
}

/// Reads a file, if it is there.
///
/// # Errors
/// [`FileError`].
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(FileError { path: path.to_owned(), cause }),
    }
}

/// Reads a file below a folder that somebody else writes to: no link on the way is followed, and only a plain file of at most `longest`
/// bytes is read.
///
/// # Errors
/// [`FileError`].
pub fn read_below(folder: &Path, below: &[&str], longest: u64) -> Result<Vec<u8>, FileError> {
    let whole: PathBuf = std::iter::once(folder.as_os_str()).chain(below.iter().map(std::ffi::OsStr::new)).collect();
    let read = || -> io::Result<Vec<u8>> {
        let alone = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = rustix::fs::openat(CWD, folder, alone | OFlags::DIRECTORY, Mode::empty())?;
        let (name, folders) = below.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        for folder in folders {
            at = rustix::fs::openat(&at, *folder, alone | OFlags::DIRECTORY, Mode::empty())?;
        }
        // Whoever puts a pipe there does not have this wait for what comes out of it.
        let file = rustix::fs::openat(&at, *name, alone | OFlags::NONBLOCK, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("is no plain file"));
        }
        let mut bytes = Vec::new();
        File::from(file).take(longest + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > longest { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    };
    at(&whole, read())
}

/// Permission bits.
///
/// # Errors
/// [`FileError`].
pub fn mode(path: &Path) -> Result<u32, FileError> {
    Ok(at(path, fs::metadata(path))?.permissions().mode() & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_through_no_link_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("own.json"), folder.path().join("other.json"));
        fs::write(&other, "another's").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        // Whoever owns the folder has put links where files will be written beside this one.
        let next = COUNT.load(Ordering::Relaxed);
        for count in next..next + 200 {
            let beside = folder.path().join(format!("own.json.{}.{count}.new", std::process::id()));
            std::os::unix::fs::symlink(&other, beside).unwrap();
        }
        replace(&path, b"new", PRIVATE).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"another's");
        assert_eq!((fs::read(&path).unwrap(), mode(&path).unwrap()), (b"new".to_vec(), PRIVATE));
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
        // The control: written as the links lead, the other one is changed.
        fs::write(folder.path().join(format!("own.json.{}.{}.new", std::process::id(), next + 199)), "x").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"x");
    }

    fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (beside, place) = (folder.path().join("new"), folder.path().join("place"));
        for (path, text) in [(&beside, "new"), (&place, "old")] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("file"), text).unwrap();
        }
        (folder, beside, place)
    }

    fn text(folder: &Path) -> String {
        fs::read_to_string(folder.join("file")).unwrap()
    }

    #[test]
    fn two_folders_change_places_at_once_and_in_steps() {
        for way in [exchange, exchange_in_steps] {
            let (folder, beside, place) = folders();
            way(&beside, &place).unwrap();
            assert_eq!((text(&place), text(&beside)), ("new".to_owned(), "old".to_owned()));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
            fs::remove_dir_all(&beside).unwrap();
            assert!(way(&beside, &place).is_err(), "nothing to put there");
            assert_eq!(text(&place), "new", "what was there is still there");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn an_exchange_in_steps_that_is_interrupted_is_undone_or_finished() {
        let (_folder, beside, place) = folders();
        fs::rename(&place, aside(&place)).unwrap();
        undo_exchange(&place).unwrap();
        assert_eq!((text(&place), text(&beside)), ("old".to_owned(), "new".to_owned()));
        fs::rename(&place, aside(&place)).unwrap();
        fs::rename(&beside, &place).unwrap();
        undo_exchange(&place).unwrap();
        assert_eq!(text(&place), "new");
        assert!(!aside(&place).exists());
    }
}
