//! Why a command stops, as a sentence for whoever typed it.

use crate::files::FileError;
use hufu_store::StoreError;
use hufu_web::serve::ListenError;
use std::path::PathBuf;

/// What to do about a store that is damaged.
pub const MENDING: &str = "stop the office and put a backup back with `hufu restore … --replace` (docs/operate/backup.md); a node's rows also come back from \
                           the other two";

fn mending(cause: &StoreError) -> String {
    match cause {
        StoreError::Corrupt { .. } => format!("; {MENDING}"),
        _ => String::new(),
    }
}

/// A command's failure. Every sentence says what to do next where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nowhere to put data.
    #[error("neither XDG_DATA_HOME nor HOME is set; say where the sandbox keeps its data with --data DIR")]
    NoHome,
    /// Somebody else's folder.
    #[error("{} is not empty and was not made by `hufu demo` (it holds no {marker}); nothing was changed", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The file that would mark it as ours.
        marker: &'static str,
    },
    /// No sandbox there.
    #[error("there is no sandbox in {}; `hufu demo` makes one", .0.display())]
    NoSandbox(PathBuf),
    /// Another process uses it.
    #[error("another process is already running on {}; stop it (or give a demo another folder with --data DIR)", .0.display())]
    InUse(PathBuf),
    /// A secret that others can read.
    #[error("{} can be read by others (mode {mode:03o}); mend it with: chmod {wanted:o} {}", path.display(), path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it must have.
        wanted: u32,
    },
    /// A file that is not what it should be.
    #[error("{}: {what}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file system.
    #[error(transparent)]
    File(#[from] FileError),
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A store.
    #[error("the store of {office}: {cause}{}", mending(cause))]
    Store {
        /// Whose.
        office: String,
        /// The store's words.
        cause: StoreError,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// A sentence of one's own.
    pub fn other(cause: impl std::fmt::Display) -> Self {
        Self::Other(cause.to_string())
    }

    /// A file that is not what it should be.
    pub fn unreadable(path: &std::path::Path, what: impl std::fmt::Display) -> Self {
        Self::Unreadable { path: path.to_owned(), what: what.to_string() }
    }
}
