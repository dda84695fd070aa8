//! The clock of a sandbox whose offices are apart: the machine's, ahead by what one file says. Every office reads the file whenever
//! it asks the time, so that all of them are moved at once. Production goes by the machine's clock alone.

use crate::demo::control;
use crate::failure::Failure;
use hufu_kernel::{Clock, SystemClock, Timestamp};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A clock that follows a file.
#[derive(Debug)]
pub struct FileClock {
    path: PathBuf,
    read: Mutex<Read>,
}

/// The file as it was last read: it is replaced whole, so another file is there when anything has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Read {
    inode: u64,
    changed: (i64, i64),
    shift: i64,
}

impl FileClock {
    /// A clock that follows `path`; a file that is not there yet means no shift.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] for a file that is no shift.
    pub fn new(path: &Path) -> Result<Self, Failure> {
        let shift = control::read_shift(path)?;
        let read = standing(path).map_or_else(Read::default, |(inode, changed)| Read { inode, changed, shift });
        Ok(Self { path: path.to_owned(), read: Mutex::new(read) })
    }

    fn shift(&self) -> i64 {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((inode, changed)) = standing(&self.path) else { return read.shift };
        if (read.inode, read.changed) != (inode, changed) {
            match control::read_shift(&self.path) {
                // A sandbox's time never goes back, whatever the file says.
                Ok(shift) => *read = Read { inode, changed, shift: shift.max(read.shift) },
                Err(error) => tracing::warn!(%error, "the sandbox's clock stays where it was"),
            }
        }
        read.shift
    }
}

fn standing(path: &Path) -> Option<(u64, (i64, i64))> {
    std::fs::metadata(path).ok().map(|file| (file.ino(), (file.ctime(), file.ctime_nsec())))
}

impl Clock for FileClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.shift()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn a_clock_follows_its_file_at_once_and_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock.json");
        let clock = FileClock::new(&path).unwrap();
        let ahead = |clock: &FileClock| clock.now().0 - SystemClock.now().0;
        assert!(ahead(&clock).abs() <= 1);
        let write = |text: &str| files::replace(&path, text.as_bytes(), files::PUBLIC).unwrap();
        write(r#"{"seconds":3600}"#);
        assert!((ahead(&clock) - 3600).abs() <= 1);
        for text in [r#"{"seconds":60}"#, "nonsense", r#"{"seconds":-5}"#] {
            write(text);
            assert!((ahead(&clock) - 3600).abs() <= 1, "{text}");
        }
        write(r#"{"seconds":7200}"#);
        assert!((ahead(&clock) - 7200).abs() <= 1);
        write("nonsense");
        assert!(FileClock::new(&path).is_err());
    }
}
