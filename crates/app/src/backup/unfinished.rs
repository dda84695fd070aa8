//! The file that a backup is written to before it has its name. Nothing of it is left unless the process is killed, and what is left then
//! is taken over by the next one. It asks for nothing that a memory stick (FAT, exFAT) does not have.

use crate::failure::Failure;
use crate::files;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What stands at the end of its name.
const ENDING: &str = ".part";
/// What every age file begins with.
const AGE: &[u8] = b"age-encryption.org/v1\n";

/// A backup that is being written; the file is gone when this is dropped.
pub struct Part {
    path: PathBuf,
    file: File,
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Refuses a name that is taken.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn refuse_if_there(out: &Path) -> Result<(), Failure> {
    match out.symlink_metadata() {
        Ok(_) => Err(taken(out)),
        Err(_) => Ok(()),
    }
}

fn taken(out: &Path) -> Failure {
    Failure::unreadable(out, "is there already, and is not touched")
}

impl Part {
    /// Takes the place beside `out`.
    ///
    /// # Errors
    /// [`Failure::File`]; [`Failure::Unreadable`] where another process is writing this backup, or a file of somebody else has the name.
    pub fn begin(out: &Path) -> Result<Self, Failure> {
        let mut path = out.as_os_str().to_owned();
        path.push(ENDING);
        let path = PathBuf::from(path);
        let opened = OpenOptions::new().write(true).create_new(true).mode(files::PRIVATE).open(&path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Self::take_over(path),
            opened => files::at(&path, opened)?,
        };
        lock(&path, &file)?;
        Ok(Self { path, file })
    }

    /// What a backup left that was killed.
    fn take_over(path: PathBuf) -> Result<Self, Failure> {
        let file = files::at(&path, OpenOptions::new().read(true).write(true).open(&path))?;
        lock(&path, &file)?;
        let mut begins = Vec::new();
        files::at(&path, (&file).take(AGE.len() as u64).read_to_end(&mut begins))?;
        if !AGE.starts_with(&begins) {
            return Err(Failure::unreadable(&path, "is no unfinished backup, and is not touched: move it away"));
        }
        // Not the same file again: whoever may read that one keeps to it.
        files::at(&path, std::fs::remove_file(&path))?;
        let file = OpenOptions::new().write(true).create_new(true).mode(files::PRIVATE).open(&path);
        let file = files::at(&path, file)?;
        lock(&path, &file)?;
        Ok(Self { path, file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is written to.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn file(&self) -> Result<File, Failure> {
        Ok(files::at(&self.path, self.file.try_clone())?)
    }

    /// Gives it its name, which nobody may have taken meanwhile.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] if somebody has, [`Failure::File`]; then nothing of it is left.
    pub fn finish(self, out: &Path) -> Result<(), Failure> {
        self.named(out, |from, to| std::fs::hard_link(from, to))
    }

    fn named(self, out: &Path, link: impl Fn(&Path, &Path) -> io::Result<()>) -> Result<(), Failure> {
        // A link, unlike a rename, does not replace what is there.
        let done = match link(&self.path, out) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => without_links(&self.path, out),
            done => done,
        };
        match done {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(taken(out)),
            done => files::at(out, done)?,
        }
        let synced = files::synced_folder_of(out);
        // Some file systems have no such thing for a folder.
        let refused = |kind| matches!(kind, io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported);
        match synced {
            Err(error) if !refused(error.cause.kind()) => {
                let _ = std::fs::remove_file(out);
                Err(error.into())
            }
            _ => Ok(()),
        }
    }
}

/// Takes the name with an empty file of one's own, and then replaces that.
fn without_links(part: &Path, out: &Path) -> io::Result<()> {
    drop(OpenOptions::new().write(true).create_new(true).mode(files::PRIVATE).open(out)?);
    let renamed = std::fs::rename(part, out);
    if renamed.is_err() {
        let _ = std::fs::remove_file(out);
    }
    renamed
}

fn lock(path: &Path, file: &File) -> Result<(), Failure> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Failure::unreadable(path, "another process is writing this backup: wait for it, or give another name"))
        }
        // Some file systems have no locks: then who says the same name twice at once is on their own.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// As FAT answers.
    fn no_links(_: &Path, _: &Path) -> io::Result<()> {
        Err(rustix::io::Errno::PERM.into())
    }

    fn links(from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn written(out: &Path) -> Part {
        let part = Part::begin(out).unwrap();
        part.file().unwrap().write_all(b"whole").unwrap();
        part
    }

    fn left(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn with_links_or_without_it_gets_its_name_and_takes_nobody_elses() {
        for link in [no_links as fn(&Path, &Path) -> io::Result<()>, links] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("post.age");
            written(&out).named(&out, link).unwrap();
            assert_eq!(std::fs::read(&out).unwrap(), b"whole");
            assert_eq!(left(folder.path()), ["post.age"]);
            // Somebody takes the name between the first look and the last step.
            let other = folder.path().join("other.age");
            let part = written(&other);
            std::fs::write(&other, b"theirs").unwrap();
            let told = part.named(&other, link).unwrap_err().to_string();
            assert!(told.contains("is there already"), "{told}");
            assert_eq!(std::fs::read(&other).unwrap(), b"theirs");
            assert_eq!(left(folder.path()), ["other.age", "post.age"]);
        }
    }

    #[test]
    fn what_fails_leaves_nothing_and_neither_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("post.age");
        drop(written(&out));
        assert!(left(folder.path()).is_empty());
        let part = written(&out);
        std::fs::remove_file(part.path()).unwrap();
        assert!(part.named(&out, no_links).is_err());
        assert!(left(folder.path()).is_empty());
    }

    #[test]
    fn what_a_killed_one_left_is_taken_over_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let (out, part) = (folder.path().join("post.age"), folder.path().join("post.age.part"));
        for killed in [&b""[..], b"age-enc", b"age-encryption.org/v1\n-> X25519 half"] {
            std::fs::write(&part, killed).unwrap();
            written(&out).finish(&out).unwrap();
            assert_eq!(std::fs::read(&out).unwrap(), b"whole");
            assert_eq!(left(folder.path()), ["post.age"]);
            std::fs::remove_file(&out).unwrap();
        }
        std::fs::write(&part, b"a letter").unwrap();
        assert!(Part::begin(&out).err().unwrap().to_string().contains("is not touched"));
        assert_eq!(std::fs::read(&part).unwrap(), b"a letter");
        std::fs::remove_file(&part).unwrap();
        // One that is still at it.
        let at_work = written(&out);
        assert!(Part::begin(&out).err().unwrap().to_string().contains("another process"));
        at_work.finish(&out).unwrap();
        assert_eq!(std::fs::read(&out).unwrap(), b"whole");
    }
}
