//! A user an office on one machine: numbers alone, no entry anywhere. Each folder is handed to its user, who alone may enter it.

use crate::failure::Failure;
use crate::files;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::Path;

/// The first number, where none is given: beyond those that systems give out, and below those of containers.
pub const FIRST: u32 = 62_000;

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

    /// Hands a folder and all in it to a user; nobody else may enter it.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn hand_over(self, folder: &Path, place: usize) -> Result<(), Failure> {
        let mut folders = vec![folder.to_owned()];
        while let Some(at) = folders.pop() {
            self.give(&at, place)?;
            for entry in files::at(&at, std::fs::read_dir(&at))? {
                let path = files::at(&at, entry)?.path();
                // A link is handed over itself, never what it leads to.
                if files::at(&path, std::fs::symlink_metadata(&path))?.is_dir() {
                    folders.push(path);
                } else {
                    self.give(&path, place)?;
                }
            }
        }
        let mode = std::fs::Permissions::from_mode(0o700);
        Ok(files::at(folder, std::fs::set_permissions(folder, mode))?)
    }

    /// Gives one file or folder to a user.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn give(self, path: &Path, place: usize) -> Result<(), Failure> {
        let number = self.number(place);
        Ok(files::at(path, lchown(path, Some(number), Some(number)))?)
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
