//! A user an office on one machine: numbers alone, no entry anywhere. Each folder is handed to its user, who alone may enter it.

use crate::failure::Failure;
use crate::files;
use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The first number, where none is given: beyond those that systems give out, and below those of containers.
pub const FIRST: u32 = 62_000;
/// A folder, and never what a link leads to.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Whatever has the name, a link itself too; it is not opened for anything.
const NAMED: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Users with numbers from `first` on, one a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Users {
    /// The first number.
    pub first: u32,
}

impl Users {
    /// The number for the process at this place; user and group have the same.
    #[must_use]
    pub fn number(self, place: usize) -> u32 {
        self.first.saturating_add(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// Whether this process may hand out users.
    ///
    /// # Errors
    /// [`Failure::Other`] for any user but root.
    pub fn allowed() -> Result<(), Failure> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        Err(Failure::other("--users needs root: one user an office; without it all run as the present user"))
    }

    /// Hands an office's folder and all in it to its user; nobody else may enter it. A folder that is being served has been handed over
    /// before, and is left alone.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn hand_over(self, folder: &Path, place: usize) -> Result<(), Failure> {
        let top = files::at(folder, opened(folder))?;
        if files::at(folder, served(&top))? {
            return Ok(());
        }
        self.give(&top, folder, place)?;
        Ok(files::at(folder, rustix::fs::fchmod(&top, Mode::RWXU).map_err(io::Error::from))?)
    }

    /// Gives a folder and all in it to a user.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn give_folder(self, folder: &Path, place: usize) -> Result<(), Failure> {
        self.give(&files::at(folder, opened(folder))?, folder, place)
    }

    /// Goes from folder to folder by what is open, not by names: whose folder it is could put a link in a name's place meanwhile, and
    /// have root give it what the link leads to.
    fn give(self, folder: &OwnedFd, path: &Path, place: usize) -> Result<(), Failure> {
        let number = self.number(place);
        let mut folders = vec![(files::at(path, folder.try_clone())?, path.to_owned())];
        while let Some((folder, path)) = folders.pop() {
            files::at(&path, give_one(&folder, number))?;
            for entry in files::at(&path, Dir::read_from(&folder).map_err(io::Error::from))? {
                let entry = files::at(&path, entry.map_err(io::Error::from))?;
                let name = entry.file_name();
                if [b".".as_slice(), b".."].contains(&name.to_bytes()) {
                    continue;
                }
                let at = path.join(OsStr::from_bytes(name.to_bytes()));
                let one = match rustix::fs::openat(&folder, name, NAMED, Mode::empty()) {
                    // Gone meanwhile.
                    Err(Errno::NOENT) => continue,
                    one => files::at(&at, one.map_err(io::Error::from))?,
                };
                if files::at(&at, is_folder(&one))? {
                    let open = rustix::fs::openat(&one, ".", FOLDER, Mode::empty());
                    folders.push((files::at(&at, open.map_err(io::Error::from))?, at));
                } else {
                    files::at(&at, give_one(&one, number))?;
                }
            }
        }
        Ok(())
    }
}

fn opened(folder: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, folder, FOLDER, Mode::empty())?)
}

fn is_folder(one: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(one)?.st_mode) == FileType::Directory)
}

/// Gives what is open, where it is not the user's already.
fn give_one(one: impl AsFd, number: u32) -> io::Result<()> {
    let stat = rustix::fs::fstat(&one)?;
    if (stat.st_uid, stat.st_gid) == (number, number) {
        return Ok(());
    }
    // Under its other name it may be anything, such as another office's.
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory && stat.st_nlink > 1 {
        return Err(io::Error::other("has a second name elsewhere (a hard link), and is not handed over"));
    }
    let (user, group) = (Uid::from_raw(number), Gid::from_raw(number));
    Ok(rustix::fs::chownat(one, "", Some(user), Some(group), AtFlags::EMPTY_PATH)?)
}

/// Whether a process works on the office's folder now ([`crate::data_dir::lock`]).
fn served(folder: &OwnedFd) -> io::Result<bool> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let lock = match rustix::fs::openat(folder, "lock", flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(false),
        lock => lock?,
    };
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Whether every user can come to `path`: each folder above it must let others pass.
///
/// # Errors
/// [`Failure::Other`] naming the folder and the command that opens it.
pub fn reachable(path: &Path) -> Result<(), Failure> {
    let whole = files::at(path, path.canonicalize())?;
    for folder in whole.ancestors().skip(1) {
        if files::mode(folder)? & 0o001 == 0 {
            return Err(Failure::other(format!(
                "{} lies in {}, which other users may not pass; choose another place, or: chmod o+x {}",
                path.display(),
                folder.display(),
                folder.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_place_that_other_users_cannot_come_to_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let told = reachable(&inner).unwrap_err().to_string();
        assert!(told.contains("chmod o+x"), "{told}");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        reachable(&inner).unwrap();
    }
}
