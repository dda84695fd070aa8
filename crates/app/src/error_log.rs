//! `errors.log`: error id and code, one a line, so that a person's error number can be explained. Nothing else is in it.

use crate::failure::Failure;
use crate::files;
use hufu_web::reply::ErrorLog;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file's name in the data folder.
pub const FILE: &str = "errors.log";
const OLDER: &str = "errors.log.1";
/// About 30,000 errors; then the file becomes the older one.
const MAX_BYTES: u64 = 1 << 20;

/// The log, appended to by every office of the sandbox.
#[derive(Debug)]
pub struct FileLog {
    folder: PathBuf,
    open: Mutex<(File, u64)>,
}

impl FileLog {
    /// Opens the log in `folder`.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        Ok(Self { folder: folder.to_owned(), open: Mutex::new(files::at(&folder.join(FILE), appending(folder))?) })
    }
}

fn appending(folder: &Path) -> std::io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(files::PRIVATE).open(folder.join(FILE))?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

impl ErrorLog for FileLog {
    fn note(&self, error_id: &str, code: &'static str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{error_id} {code}\n");
        let written = (|| {
            if open.1 + line.len() as u64 > MAX_BYTES {
                std::fs::rename(self.folder.join(FILE), self.folder.join(OLDER))?;
                *open = appending(&self.folder)?;
            }
            open.1 += line.len() as u64;
            open.0.write_all(line.as_bytes())
        })();
        if let Err(error) = written {
            tracing::warn!(%error, "an error id was not noted");
        }
    }
}

/// The code that stands behind an error id.
///
/// # Errors
/// [`Failure::File`].
pub fn find(folder: &Path, error_id: &str) -> Result<Option<String>, Failure> {
    for name in [FILE, OLDER] {
        let Some(bytes) = files::read(&folder.join(name))? else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let found = text.lines().rev().find_map(|line| line.split_once(' ').filter(|(id, _)| *id == error_id));
        if let Some((_, code)) = found {
            return Ok(Some(code.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_number_is_found_again_also_after_the_log_was_turned_over() {
        let folder = tempfile::tempdir().unwrap();
        let log = FileLog::open(folder.path()).unwrap();
        log.note("first", "malformed");
        for n in 0..120_000 {
            log.note(&format!("n{n:06}"), "too_many_of_them");
        }
        log.note("last", "busy");
        assert_eq!(find(folder.path(), "last").unwrap().as_deref(), Some("busy"));
        assert_eq!(find(folder.path(), "n119000").unwrap().as_deref(), Some("too_many_of_them"));
        assert_eq!(find(folder.path(), "n060000").unwrap().as_deref(), Some("too_many_of_them"));
        assert_eq!(find(folder.path(), "first").unwrap(), None);
        let sizes = [FILE, OLDER].map(|name| std::fs::metadata(folder.path().join(name)).unwrap().len());
        assert!(sizes.iter().all(|size| *size <= MAX_BYTES), "{sizes:?}");
        assert_eq!(files::mode(&folder.path().join(FILE)).unwrap(), files::PRIVATE);
    }
}
