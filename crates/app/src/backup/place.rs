//! Where what one office keeps comes from and goes to.

use super::{catalogue, papers};
use crate::deployment::neighbours;
use crate::deployment::office_file::OfficeFile;
use crate::failure::Failure;
use crate::files;
use crate::offices::registry::Admitted;
use crate::root::{OfficeFolder, RESTORING, STORE};
use crate::rows::OwnRows;
use hufu_offices::node::Standing;
use hufu_store::{Catalogue, Dumped, Imposed, Postgres, PostgresOptions, Progress, Sqlite, StoreError, Terms};
use std::fs::File;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use tokio_postgres::NoTls;

/// The office whose certificates of platforms are files.
const REGISTRY: &str = "registry";

/// What one office keeps.
pub struct Place {
    office: &'static str,
    kept: Kept,
    /// What is there after a restore whatever the backup says: a node's word that it compares first.
    imposed: Vec<Imposed>,
}

enum Kept {
    /// Certificates, a file each.
    Papers(Admitted),
    /// Rows in a file.
    InFile {
        /// The file.
        store: PathBuf,
        /// The office's kinds.
        catalogue: Box<Catalogue>,
    },
    /// Rows in a schema on a server.
    OnServer {
        /// The schema.
        options: Box<PostgresOptions>,
        /// The office's kinds.
        catalogue: Box<Catalogue>,
    },
}

/// An office that has nothing to back up.
pub fn nothing(office: &str) -> Failure {
    Failure::other(format!("{office} keeps nothing but its keys, which are in no backup (docs/operate/backup.md)"))
}

fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn gone(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Ok(files::at(path, Err(error))?),
        _ => Ok(()),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::other)
}

/// The log and its index beside a store's file.
fn clear_log(store: &Path) -> Result<(), Failure> {
    ["-wal", "-shm"].iter().try_for_each(|ending| gone(&beside(store, ending)))
}

impl Place {
    /// As the office's configuration says.
    ///
    /// # Errors
    /// [`Failure`]; [`Failure::Other`] for an office that keeps nothing but keys.
    pub fn of(file: &OfficeFile, office: &'static str, folder: &OfficeFolder) -> Result<Self, Failure> {
        let catalogue = || Ok::<_, Failure>(Box::new(catalogue::of(office, folder.trust_root())?));
        let kept = match neighbours::rows(file, office, folder)? {
            OwnRows::None if office == REGISTRY => Kept::Papers(Admitted::of(folder.path())),
            OwnRows::None => return Err(nothing(office)),
            OwnRows::File => Kept::InFile { store: folder.path().join(STORE), catalogue: catalogue()? },
            OwnRows::Server(options) => Kept::OnServer { options, catalogue: catalogue()? },
        };
        let mut imposed = Vec::new();
        if office.starts_with("node-") {
            let standing = Imposed::of(&Standing::restored());
            imposed.push(standing.map_err(|cause| failed(office, cause))?);
        }
        Ok(Self { office, kept, imposed })
    }

    /// Whether a restored office does its work only after it has compared its rows with its peers.
    pub fn compares_first(&self) -> bool {
        !self.imposed.is_empty()
    }

    fn failed(&self, cause: StoreError) -> Failure {
        failed(self.office, cause)
    }

    /// Writes all that is kept, as it stands now.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub fn export(&self, out: &mut (dyn Write + Send), progress: Progress<'_>) -> Result<Dumped, Failure> {
        let done = match &self.kept {
            Kept::Papers(admitted) => return papers::export(admitted, out, progress),
            Kept::InFile { store, .. } if !store.exists() => {
                return Err(Failure::unreadable(store, "there is no store"));
            }
            Kept::InFile { store, catalogue } => Sqlite::export(store, catalogue, out, progress),
            Kept::OnServer { options, catalogue } => {
                let options = options.as_ref().clone();
                runtime()?.block_on(Postgres::export(options, catalogue, NoTls, out, progress))
            }
        };
        done.map_err(|cause| self.failed(cause))
    }

    /// Refuses if anything is there already.
    ///
    /// # Errors
    /// [`Failure::Other`].
    pub fn refuse_if_taken(&self) -> Result<(), Failure> {
        let taken = match &self.kept {
            Kept::Papers(admitted) => !admitted.names()?.is_empty(),
            Kept::InFile { store, .. } => store.exists(),
            Kept::OnServer { options, catalogue } => {
                let held = Postgres::holds_rows(options.as_ref().clone(), catalogue, NoTls);
                runtime()?.block_on(held).map_err(|cause| self.failed(cause))?
            }
        };
        if taken {
            return Err(Failure::other(format!(
                "{} has a store already; with --replace what is in it is lost",
                self.office
            )));
        }
        Ok(())
    }

    /// Puts what was written in place of what is there, if it has the digest that was `noted`; what is there stays if this fails.
    ///
    /// # Errors
    /// [`Failure::Store`], [`Failure::File`].
    pub fn import(
        &self,
        input: &mut (dyn BufRead + Send),
        progress: Progress<'_>,
        noted: Option<&str>,
    ) -> Result<Dumped, Failure> {
        let terms = Terms { imposed: &self.imposed, digest: noted };
        match &self.kept {
            Kept::Papers(admitted) => papers::import(admitted, input, progress, noted),
            Kept::OnServer { options, catalogue } => {
                let options = options.as_ref().clone();
                let done = Postgres::import(options, catalogue, NoTls, input, progress, terms);
                runtime()?.block_on(done).map_err(|cause| self.failed(cause))
            }
            Kept::InFile { store, catalogue } => {
                let new = beside(store, RESTORING);
                gone(&new)?;
                clear_log(&new)?;
                let done = Sqlite::import(&new, catalogue, input, progress, terms);
                clear_log(&new)?;
                if done.is_err() {
                    gone(&new)?;
                }
                let done = done.map_err(|cause| self.failed(cause))?;
                // The old log must not be taken for the new file's. Whoever is interrupted here finds the new file beside the old
                // one, with which the office does not start.
                clear_log(store)?;
                files::at(store, std::fs::rename(&new, store))?;
                let folder = store.parent().unwrap_or(Path::new("."));
                files::at(folder, File::open(folder).and_then(|folder| folder.sync_all()))?;
                Ok(done)
            }
        }
    }

    /// Removes what the office's records no longer have; returns the tables' names.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub fn contract(&self) -> Result<Vec<String>, Failure> {
        let gone = match &self.kept {
            Kept::Papers(_) => return Ok(Vec::new()),
            Kept::InFile { store, catalogue } => Sqlite::contract(store, catalogue),
            Kept::OnServer { options, catalogue } => {
                runtime()?.block_on(Postgres::contract(options.as_ref().clone(), catalogue, NoTls))
            }
        };
        gone.map_err(|cause| self.failed(cause))
    }
}

fn failed(office: &str, cause: StoreError) -> Failure {
    Failure::Store { office: office.to_owned(), cause }
}
