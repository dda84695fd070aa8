//! Where the rows of one office come from and go to.

use super::catalogue;
use crate::deployment::neighbours;
use crate::deployment::office_file::OfficeFile;
use crate::failure::Failure;
use crate::files;
use crate::root::{OfficeFolder, STORE, STORES};
use crate::rows::OwnRows;
use hufu_store::{Catalogue, Dumped, Postgres, PostgresOptions, Progress, Sqlite, StoreError};
use std::fs::File;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use tokio_postgres::NoTls;

/// One office's rows.
pub enum Place {
    /// The office has none.
    Nowhere,
    /// In a file.
    InFile {
        /// The file.
        store: PathBuf,
        /// The office's kinds.
        catalogue: Box<Catalogue>,
    },
    /// In a schema on a server.
    OnServer {
        /// The schema.
        options: Box<PostgresOptions>,
        /// The office's kinds.
        catalogue: Box<Catalogue>,
    },
}

fn beside(store: &std::path::Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn gone(path: &std::path::Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Ok(files::at(path, Err(error))?),
        _ => Ok(()),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::other)
}

impl Place {
    /// As the office's configuration says.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn of(file: &OfficeFile, name: &str, folder: &OfficeFolder) -> Result<Self, Failure> {
        if !STORES.contains(&name) {
            return Ok(Self::Nowhere);
        }
        let catalogue = Box::new(catalogue::of(name, folder.trust_root())?);
        Ok(match neighbours::rows(file, name, folder)? {
            OwnRows::None => Self::Nowhere,
            OwnRows::File => Self::InFile { store: folder.path().join(STORE), catalogue },
            OwnRows::Server(options) => Self::OnServer { options, catalogue },
        })
    }

    /// Whether the office keeps rows.
    pub fn has_rows(&self) -> bool {
        !matches!(self, Self::Nowhere)
    }

    fn failed(&self, cause: StoreError) -> Failure {
        let office = match self {
            Self::Nowhere => String::new(),
            Self::InFile { catalogue, .. } | Self::OnServer { catalogue, .. } => catalogue.identity.office.clone(),
        };
        Failure::Store { office, cause }
    }

    /// Writes all rows as they stand now.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub fn export(&self, out: &mut (dyn Write + Send), progress: Progress<'_>) -> Result<Option<Dumped>, Failure> {
        let done = match self {
            Self::Nowhere => return Ok(None),
            Self::InFile { store, catalogue } => Sqlite::export(store, catalogue, out, progress),
            Self::OnServer { options, catalogue } => {
                let options = options.as_ref().clone();
                runtime()?.block_on(Postgres::export(options, catalogue, NoTls, out, progress))
            }
        };
        done.map(Some).map_err(|cause| self.failed(cause))
    }

    /// Refuses if a store is there already.
    ///
    /// # Errors
    /// [`Failure::Other`].
    pub fn refuse_if_taken(&self) -> Result<(), Failure> {
        let taken = match self {
            Self::Nowhere => false,
            Self::InFile { store, .. } => store.exists(),
            Self::OnServer { options, catalogue } => {
                let held = Postgres::holds_rows(options.as_ref().clone(), catalogue, NoTls);
                runtime()?.block_on(held).map_err(|cause| self.failed(cause))?
            }
        };
        if taken {
            return Err(Failure::other("a store is there already; with --replace what is in it is lost"));
        }
        Ok(())
    }

    /// Makes the office's store of the rows; what was there before is gone then, and stays if this fails.
    ///
    /// # Errors
    /// [`Failure::Store`], [`Failure::File`].
    pub fn import(&self, input: &mut (dyn BufRead + Send), progress: Progress<'_>) -> Result<Option<Dumped>, Failure> {
        match self {
            Self::Nowhere => Ok(None),
            Self::OnServer { options, catalogue } => {
                let options = options.as_ref().clone();
                let done = runtime()?.block_on(Postgres::import(options, catalogue, NoTls, input, progress));
                done.map(Some).map_err(|cause| self.failed(cause))
            }
            Self::InFile { store, catalogue } => {
                let new = beside(store, ".restoring");
                for ending in ["", "-wal", "-shm"] {
                    gone(&beside(&new, ending))?;
                }
                let done = Sqlite::import(&new, catalogue, input, progress);
                let clear =
                    |path: &std::path::Path| ["-wal", "-shm"].iter().try_for_each(|end| gone(&beside(path, end)));
                if done.is_err() {
                    clear(&new)?;
                    gone(&new)?;
                }
                let done = done.map_err(|cause| self.failed(cause))?;
                clear(&new)?;
                // The old log must not be taken for the new file's.
                gone(store)?;
                clear(store)?;
                files::at(store, std::fs::rename(&new, store))?;
                let folder = store.parent().unwrap_or(std::path::Path::new("."));
                files::at(folder, File::open(folder).and_then(|folder| folder.sync_all()))?;
                Ok(Some(done))
            }
        }
    }

    /// Removes what the office's records no longer have; returns the tables' names.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub fn contract(&self) -> Result<Vec<String>, Failure> {
        let gone = match self {
            Self::Nowhere => return Ok(Vec::new()),
            Self::InFile { store, catalogue } => Sqlite::contract(store, catalogue),
            Self::OnServer { options, catalogue } => {
                runtime()?.block_on(Postgres::contract(options.as_ref().clone(), catalogue, NoTls))
            }
        };
        gone.map_err(|cause| self.failed(cause))
    }
}
