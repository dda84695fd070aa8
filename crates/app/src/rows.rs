//! Where the offices of a sandbox keep their rows: a file in each office's folder, or a PostgreSQL server.
//!
//! The folder remembers which, without any password, so that a sandbox is never started beside its own rows.

use crate::data_dir::{self, Standing};
use crate::failure::Failure;
use crate::files;
use crate::root::{self, OfficeFolder, STORE, STORES, SandboxRoot};
use crate::server::{self, Places, Server};
use hufu_kernel::{Office, Rng};
use hufu_store::{PostgresOptions, Schema, Store};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Says that the rows are elsewhere.
const ELSEWHERE: &str = "store.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Elsewhere {
    /// Host, port and database; for people.
    server: String,
}

/// Where rows are.
#[derive(Clone, Debug)]
pub enum Rows {
    /// In the offices' folders.
    Files,
    /// On a server, each office under its own schema.
    Server(Places),
}

/// Finds or makes the places of this sandbox's rows.
///
/// # Errors
/// [`Failure::Other`] if the rows are elsewhere than `server` says; [`Failure::Store`] if the server's are another sandbox's.
pub async fn settle(root: &SandboxRoot, server: Option<&Server>, rng: &dyn Rng) -> Result<Rows, Failure> {
    let Some(server) = server else {
        return match elsewhere(root)? {
            None => Ok(Rows::Files),
            Some(at) => {
                let told = "this sandbox keeps its rows on a server; start it with --store and the address of";
                Err(Failure::other(format!("{told} {at}")))
            }
        };
    };
    if STORES.iter().any(|office| file(root, office).exists()) {
        return Err(Failure::other(format!(
            "the sandbox in {} keeps its rows in files; choose another folder with --data DIR, or start without --store",
            root.path().display()
        )));
    }
    let places = server.prepare(&root.office(STORES[0]).trust_root(), rng).await?;
    let note = serde_json::to_vec_pretty(&Elsewhere { server: server.to_string() }).map_err(Failure::other)?;
    files::replace(&root.path().join(ELSEWHERE), &note, files::PUBLIC)?;
    Ok(Rows::Server(places))
}

/// The server that keeps this sandbox's rows, if one does; for people.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn elsewhere(root: &SandboxRoot) -> Result<Option<String>, Failure> {
    let path = root.path().join(ELSEWHERE);
    let Some(bytes) = files::read(&path)? else { return Ok(None) };
    let note: Elsewhere = serde_json::from_slice(&bytes).map_err(|error| Failure::unreadable(&path, error))?;
    Ok(Some(note.server))
}

/// Deletes the rows on a server: of the sandbox in `folder`, or of whichever sandbox is there if the folder is gone. Returns how
/// many offices had some.
///
/// # Errors
/// [`Failure::InUse`], and as [`Server::empty`].
pub async fn reset(folder: &Path, server: &Server) -> Result<usize, Failure> {
    if data_dir::standing(folder)? == Standing::Free {
        return server.empty(None).await;
    }
    let _lock = data_dir::lock(folder)?;
    server.empty(Some(&root::open(folder)?.office(STORES[0]).trust_root())).await
}

fn file(root: &SandboxRoot, office: &'static str) -> PathBuf {
    root.office(office).path().join(STORE)
}

/// Where one office's rows are.
#[derive(Clone, Debug)]
pub enum OwnRows {
    /// In its folder.
    File,
    /// On a server, under its own schema and role.
    Server(Box<PostgresOptions>),
    /// Nowhere: it keeps none.
    None,
}

impl OwnRows {
    /// The store; refused if its header names another office or trust root. Blocks on files.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub async fn open<O: Office>(&self, folder: &OfficeFolder, schema: &Schema<O>) -> Result<Store<O>, Failure> {
        match self {
            Self::File => folder.store(schema),
            Self::Server(place) => {
                let opened = Store::postgres(PostgresOptions::clone(place), schema).await;
                opened.map_err(|cause| Failure::Store { office: folder.name().to_owned(), cause })
            }
            Self::None => Err(Failure::other(format!("{} has no store", folder.name()))),
        }
    }
}

impl Rows {
    /// The place of one office's rows.
    #[must_use]
    pub fn own(&self, office: &'static str) -> OwnRows {
        match self {
            _ if !STORES.contains(&office) => OwnRows::None,
            Self::Files => OwnRows::File,
            Self::Server(places) => {
                places.get(office).map_or(OwnRows::None, |place| OwnRows::Server(Box::new(place.clone())))
            }
        }
    }

    /// Where an office keeps what it keeps.
    #[must_use]
    pub fn at_rest(&self, root: &SandboxRoot, office: &'static str) -> AtRest {
        let place = match self {
            Self::Files => None,
            Self::Server(places) => places.get(office).cloned(),
        };
        AtRest { office, folder: root.office(office).path().to_owned(), place }
    }
}

/// Where an office keeps what it keeps: its folder, and its schema where the rows are on a server.
#[derive(Clone, Debug)]
pub struct AtRest {
    /// The office.
    pub office: &'static str,
    folder: PathBuf,
    place: Option<PostgresOptions>,
}

impl AtRest {
    /// An office's folder, and its schema where its rows are on a server.
    #[must_use]
    pub fn of(office: &'static str, folder: &Path, rows: &OwnRows) -> Self {
        let place = match rows {
            OwnRows::Server(place) => Some(PostgresOptions::clone(place)),
            OwnRows::File | OwnRows::None => None,
        };
        Self { office, folder: folder.to_owned(), place }
    }

    /// Every byte of it.
    ///
    /// # Errors
    /// A sentence.
    pub async fn read(&self) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for path in
                std::fs::read_dir(&folder).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path())
            {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                match std::fs::read(&path) {
                    Ok(bytes) => all.extend(bytes),
                    // A log that was emptied while we looked.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error.to_string()),
                }
                all.push(b'\n');
            }
        }
        if let Some(place) = &self.place {
            all.extend(server::rows(place).await?);
        }
        Ok(all)
    }
}
