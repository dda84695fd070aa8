//! Where a sandbox lives on disk, how it is recognised, and that one process uses it at a time.

use crate::failure::Failure;
use crate::files;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The file that marks a folder as a sandbox of ours. Nothing without it is ever deleted.
pub const MARKER: &str = "HUFU-SANDBOX";

/// What stands in it.
pub const MARKER_TEXT: &str = "A Hufu sandbox: synthetic persons, dealer-made keys. `hufu demo reset` deletes this folder.\n\
                               虎符沙箱：数据均为虚构，密钥由本机生成。`hufu demo reset` 会删除此文件夹。\n";

/// The folder of the sandbox: as given, or `$XDG_DATA_HOME/hufu/demo`, or `~/.local/share/hufu/demo`.
///
/// # Errors
/// [`Failure::NoHome`].
pub fn locate(given: Option<&Path>) -> Result<PathBuf, Failure> {
    locate_in(given, |name| std::env::var_os(name).map(PathBuf::from))
}

fn locate_in(given: Option<&Path>, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    // The XDG specification has relative values ignored.
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    Ok(data.ok_or(Failure::NoHome)?.join("hufu/demo"))
}

/// Whether the folder is a sandbox of ours, may become one, or is somebody else's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It carries the marker.
    Ours,
    /// Absent or empty.
    Free,
}

/// Looks at a folder.
///
/// # Errors
/// [`Failure::Foreign`] for a folder with anything else in it.
pub fn standing(path: &Path) -> Result<Standing, Failure> {
    if path.join(MARKER).is_file() {
        return Ok(Standing::Ours);
    }
    match std::fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(Standing::Free),
            Some(_) => Err(Failure::Foreign { path: path.to_owned(), marker: MARKER }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Standing::Free),
        Err(cause) => Err(files::FileError { path: path.to_owned(), cause }.into()),
    }
}

/// Held while a process works on the folder; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

/// Takes the folder for this process.
///
/// # Errors
/// [`Failure::InUse`].
pub fn lock(path: &Path) -> Result<Lock, Failure> {
    lock_as(path, "lock")
}

/// Takes a part of the folder's business for this process: the one that the file `name` stands for.
///
/// # Errors
/// [`Failure::InUse`].
pub fn lock_as(path: &Path, name: &str) -> Result<Lock, Failure> {
    let at = path.join(name);
    let file = files::at(&at, File::options().create(true).write(true).truncate(false).open(&at))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(Failure::InUse(path.to_owned())),
        Err(TryLockError::Error(cause)) => Err(files::FileError { path: at, cause }.into()),
    }
}

/// Deletes a sandbox that no process works on, and nothing else.
///
/// # Errors
/// [`Failure::NoSandbox`], [`Failure::Foreign`], [`Failure::InUse`].
pub fn reset(path: &Path) -> Result<(), Failure> {
    if standing(path)? == Standing::Free {
        return Err(Failure::NoSandbox(path.to_owned()));
    }
    let _lock = lock(path)?;
    let marker = path.join(MARKER);
    for entry in files::at(path, std::fs::read_dir(path))? {
        let entry = files::at(path, entry)?.path();
        // The marker goes last: a reset that is interrupted can be repeated. A link is deleted, not followed.
        if entry != marker {
            let folder = files::at(&entry, std::fs::symlink_metadata(&entry))?.is_dir();
            files::at(&entry, if folder { std::fs::remove_dir_all(&entry) } else { std::fs::remove_file(&entry) })?;
        }
    }
    files::at(&marker, std::fs::remove_file(&marker))?;
    // A mount point, or a folder that is watched, stays: empty is enough.
    let _ = std::fs::remove_dir(path);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_goes_before_xdg_and_xdg_before_home_and_relative_values_do_not_count() {
        let set = |xdg: &'static str, home: &'static str| {
            move |name: &str| {
                Some(PathBuf::from(if name == "HOME" { home } else { xdg })).filter(|p| !p.as_os_str().is_empty())
            }
        };
        let given = Path::new("here");
        assert_eq!(locate_in(Some(given), set("/x", "/h")).unwrap(), given);
        assert_eq!(locate_in(None, set("/x", "/h")).unwrap(), Path::new("/x/hufu/demo"));
        assert_eq!(locate_in(None, set("x", "/h")).unwrap(), Path::new("/h/.local/share/hufu/demo"));
        assert!(matches!(locate_in(None, set("", "")), Err(Failure::NoHome)));
    }
}
