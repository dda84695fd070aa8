//! `world.toml`: how the simulators around a sandbox's offices are run.

use crate::failure::Failure;
use crate::files;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file's name.
pub const FILE: &str = "world.toml";
/// The folder of the world, beside the offices'.
pub const FOLDER: &str = "world";

/// The longest that is read by root.
const LONGEST: u64 = 256 * 1024;

/// How the world is run.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldFile {
    /// The plan.
    pub deployment: PathBuf,
    /// The public half of the jointly made keys.
    pub trust: PathBuf,
    /// Its own folder.
    pub data: PathBuf,
    /// The folder of the clock's file.
    pub clock: PathBuf,
    /// Where it listens.
    pub listen: Listen,
}

/// Where the world listens.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The wallet's pages and the personas' wallets.
    pub wallet: SocketAddr,
    /// The phones.
    pub phones: SocketAddr,
    /// The register.
    pub register: SocketAddr,
    /// Three sample platforms.
    pub samples: [SocketAddr; 3],
    /// Orders of the sandbox's owner.
    pub control: SocketAddr,
}

impl WorldFile {
    /// Reads a configuration; paths in it count from its own folder.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] with the line and the keys that are known there.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path)?
            .ok_or_else(|| Failure::unreadable(path, "there is no such file; `hufu init DIR --sandbox` makes one"))?;
        Self::of(bytes, path)
    }

    fn of(bytes: Vec<u8>, path: &Path) -> Result<Self, Failure> {
        let text = String::from_utf8(bytes).map_err(|_| Failure::unreadable(path, "is not UTF-8 text"))?;
        let mut file = Self::parse(&text).map_err(|what| Failure::unreadable(path, what))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for path in [&mut file.deployment, &mut file.trust, &mut file.data, &mut file.clock] {
            *path = folder.join(&*path);
        }
        Ok(file)
    }

    /// The same for whoever starts the world as root: its folder is its user's, so no link is followed and no pipe waited for.
    ///
    /// # Errors
    /// As [`WorldFile::read`], and for what is no plain file.
    pub fn read_of(deployment: &Path) -> Result<Self, Failure> {
        let whole = files::at(deployment, deployment.canonicalize())?;
        let text = files::read_below(&whole, &[FOLDER, FILE], LONGEST)?;
        Self::of(text, &deployment.join(FOLDER).join(FILE))
    }

    /// Parses the text of a configuration.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}
