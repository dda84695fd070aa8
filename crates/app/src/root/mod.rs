//! A sandbox trust root on disk: a folder per office with that office's keys and store, and the public half.

pub mod deal;
pub mod key_file;
pub mod live_keys;

use crate::data_dir::{self, Lock, MARKER, MARKER_TEXT, Standing};
use crate::failure::Failure;
use crate::files;
use hufu_kernel::{Clock, KeyStore, Octets, Office, Rng, Root, hex, random};
use hufu_store::{Schema, SqliteOptions, Store, TrustRoot};
use hufu_wire::api::trust::Trust;
use jiff::civil::Date;
use key_file::Owner;
use live_keys::LiveKeys;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The nodes' folders.
pub const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];
/// The taggers' folders.
pub const TAGGERS: [&str; 3] = ["tagger-1", "tagger-2", "tagger-3"];
/// All offices' folders.
pub const OFFICES: [&str; 11] = [
    "node-1",
    "node-2",
    "node-3",
    "tagger-1",
    "tagger-2",
    "tagger-3",
    "registrar",
    "uniqueness",
    "post",
    "registry",
    "front",
];
/// The offices that have a store.
pub const STORES: [&str; 6] = ["node-1", "node-2", "node-3", "registrar", "uniqueness", "post"];
/// The name of a node's RS256 key, one-key mode for `basic` clients of the sandbox.
pub const RS256: &str = "rs256";
/// The store's file in an office's folder.
pub const STORE: &str = "store.sqlite";
/// What the file is called while a backup is put in its place.
pub const RESTORING: &str = ".restoring";

/// The file of what a sandbox was made with.
pub const WORLD: &str = "world.json";
/// The file of the public half: what wallets and platforms pin.
pub const TRUST_FILE: &str = "trust.json";

/// What a sandbox was made with; never changed afterwards.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// The trust root's kind: sandbox.
    pub root: Root,
    /// The trust root.
    pub root_id: Octets<16>,
    /// One party made all keys.
    pub dealer: bool,
    /// Draws the synthetic persons.
    pub seed: u64,
    /// The day their ages are counted from: their document numbers hold their birthdays, so it must not move.
    pub founded: Date,
    /// The version that made it.
    pub version: String,
}

/// A sandbox that this process works on.
#[derive(Debug)]
pub struct SandboxRoot {
    path: PathBuf,
    world: World,
    trust: Trust,
    _lock: Option<Lock>,
}

/// Opens the sandbox in `path`, or makes one where nothing is yet.
///
/// # Errors
/// [`Failure::Foreign`], [`Failure::InUse`], [`Failure::Unreadable`].
pub fn open_or_found(path: &Path, clock: &dyn Clock, rng: &dyn Rng) -> Result<SandboxRoot, Failure> {
    if data_dir::standing(path)? == Standing::Free {
        found(path, clock, rng)?;
    }
    let lock = data_dir::lock(path)?;
    let mut root = open(path)?;
    root._lock = Some(lock);
    Ok(root)
}

/// Opens the sandbox in `path` for looking at, beside a process that may be working on it.
///
/// # Errors
/// [`Failure::NoSandbox`], [`Failure::Foreign`], [`Failure::Unreadable`].
pub fn open(path: &Path) -> Result<SandboxRoot, Failure> {
    if data_dir::standing(path)? == Standing::Free {
        return Err(Failure::NoSandbox(path.to_owned()));
    }
    let world: World = document(&path.join(WORLD))?;
    let trust: Trust = document(&path.join(TRUST_FILE))?;
    if world.root != Root::Sandbox || trust.root != world.root || trust.root_id != world.root_id {
        return Err(Failure::unreadable(&path.join(TRUST_FILE), "is not this sandbox's trust root"));
    }
    Ok(SandboxRoot { path: path.to_owned(), world, trust, _lock: None })
}

fn document<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "missing"))?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::unreadable(path, error))
}

fn found(path: &Path, clock: &dyn Clock, rng: &dyn Rng) -> Result<(), Failure> {
    make(path, &deal::deal(rng)?, clock, rng)
}

/// Makes a sandbox of these keys, in a place where nothing is: a bench's, whose group key is known whole.
///
/// # Errors
/// [`Failure::Foreign`], [`Failure::File`].
pub fn found_around(
    path: &Path,
    dealt: &deal::Dealt,
    clock: &dyn Clock,
    rng: &dyn Rng,
) -> Result<SandboxRoot, Failure> {
    if data_dir::standing(path)? == Standing::Ours {
        return Err(Failure::Foreign { path: path.to_owned(), marker: MARKER });
    }
    make(path, dealt, clock, rng)?;
    open(path)
}

/// Makes a sandbox beside its place and moves it there whole: there is no half-made root.
fn make(path: &Path, dealt: &deal::Dealt, clock: &dyn Clock, rng: &dyn Rng) -> Result<(), Failure> {
    let name = path.file_name().ok_or_else(|| Failure::unreadable(path, "is no name for a folder"))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    files::private_folder(parent)?;
    let beside = parent.join(format!(".{}.{}", name.to_string_lossy(), hex(&random::<8>(rng))));
    let made = fill(&beside, dealt, clock, rng).and_then(|()| Ok(files::at(path, std::fs::rename(&beside, path))?));
    if made.is_err() {
        let _ = std::fs::remove_dir_all(&beside);
    }
    made
}

fn fill(folder: &Path, dealt: &deal::Dealt, clock: &dyn Clock, rng: &dyn Rng) -> Result<(), Failure> {
    files::private_folder(folder)?;
    files::replace(&folder.join(MARKER), MARKER_TEXT.as_bytes(), files::PUBLIC)?;
    let world = World {
        root: dealt.trust.root,
        root_id: dealt.trust.root_id,
        dealer: true,
        seed: u64::from_be_bytes(random(rng)),
        founded: clock.now().date(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    write_document(&folder.join(WORLD), &world)?;
    write_document(&folder.join(TRUST_FILE), &dealt.trust)?;
    for (office, keys) in &dealt.keys {
        let office_folder = folder.join(office);
        files::private_folder(&office_folder)?;
        key_file::write(&office_folder, &owner(office, &world), keys, rng)?;
    }
    Ok(())
}

fn write_document(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(Failure::other)?;
    bytes.push(b'\n');
    Ok(files::replace(path, &bytes, files::PUBLIC)?)
}

fn owner(office: &str, world: &World) -> Owner {
    Owner { office: office.to_owned(), root: world.root, root_id: world.root_id }
}

/// Where browsers and platforms find this run of the sandbox. Keys stay; addresses may change from run to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origins {
    /// The front.
    pub issuer: String,
    /// The wallet.
    pub wallet: String,
    /// The wallet's host.
    pub rp_id: String,
}

impl SandboxRoot {
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it was made with.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The public half as last written.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The file of the public half.
    #[must_use]
    pub fn trust_path(&self) -> PathBuf {
        self.path.join(TRUST_FILE)
    }

    /// Writes this run's addresses into the public half.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn settle(&mut self, origins: Origins) -> Result<(), Failure> {
        let Origins { issuer, wallet, rp_id } = origins;
        self.trust = Trust { issuer, wallet_origin: wallet, rp_id, ..self.trust.clone() };
        write_document(&self.trust_path(), &self.trust)
    }

    /// One office's folder: all that its code is given.
    #[must_use]
    pub fn office(&self, name: &'static str) -> OfficeFolder {
        OfficeFolder { path: self.path.join(name), owner: owner(name, &self.world) }
    }
}

/// One office's folder: its keys and its store, nobody else's.
#[derive(Clone, Debug)]
pub struct OfficeFolder {
    path: PathBuf,
    owner: Owner,
}

impl OfficeFolder {
    /// The folder of `office` under this trust root.
    #[must_use]
    pub fn new(path: &Path, office: &str, root: Root, root_id: Octets<16>) -> Self {
        Self { path: path.to_owned(), owner: Owner { office: office.to_owned(), root, root_id } }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose keys they are.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The office: `node-2`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.owner.office
    }

    /// The office's keys, in memory.
    ///
    /// # Errors
    /// As [`key_file::read`].
    pub fn keys(&self, rng: &Arc<dyn Rng>) -> Result<Arc<dyn KeyStore>, Failure> {
        Ok(Arc::new(LiveKeys::open(&self.path, &self.owner, rng)?))
    }

    /// The trust root that the store's header must name.
    #[must_use]
    pub fn trust_root(&self) -> TrustRoot {
        TrustRoot { root: self.owner.root, id: self.owner.root_id }
    }

    /// The office's store; refused if its header names another office or trust root. Blocks.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub fn store<O: Office>(&self, schema: &Schema<O>) -> Result<Store<O>, Failure> {
        let unfinished = self.path.join(format!("{STORE}{RESTORING}"));
        if unfinished.exists() {
            let told = "a restore was interrupted: repeat `hufu restore … --replace`, or delete this file to go on with the store of before";
            return Err(Failure::unreadable(&unfinished, told));
        }
        Store::sqlite(&self.path.join(STORE), schema, SqliteOptions::default())
            .map_err(|cause| Failure::Store { office: self.owner.office.clone(), cause })
    }
}
