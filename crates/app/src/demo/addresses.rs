//! Where the demo answers: which ports, which names, and the file that tells other programs.

use crate::failure::Failure;
use crate::files;
use hufu_sandbox::http::Addresses;
use hufu_web::serve::{Listening, Place, listen};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The flag that chooses the ports.
const FLAG: &str = "--port";

/// What listens, in the order of the ports from `--port` on.
const PLACES: [&str; 11] = [
    "front",
    "wallet",
    "registrar",
    "node 1",
    "node 2",
    "node 3",
    "phone simulator",
    "register simulator",
    "sample platform 1",
    "sample platform 2",
    "sample platform 3",
];

/// Every port of the demo, listened on and not served yet.
#[derive(Debug)]
pub struct Ports {
    /// OpenID Connect.
    pub front: Listening,
    /// The wallet's origin.
    pub wallet: Listening,
    /// Enrolment.
    pub registrar: Listening,
    /// The nodes.
    pub nodes: [Listening; 3],
    /// The phones' inboxes.
    pub phone: Listening,
    /// The civil register.
    pub register: Listening,
    /// Sample platforms.
    pub platforms: [Listening; 3],
}

/// Listens on `first` and the ports after it; 0 lets the system choose each.
///
/// # Errors
/// [`Failure::Listen`] naming the port and the flag.
pub async fn claim(first: u16) -> Result<Ports, Failure> {
    let mut claimed = Vec::with_capacity(PLACES.len());
    for (what, offset) in PLACES.into_iter().zip(0..) {
        let port = match first {
            0 => 0,
            first => first
                .checked_add(offset)
                .ok_or_else(|| Failure::other(format!("{FLAG} {first} leaves no room for eleven ports")))?,
        };
        claimed.push(listen(Place { what, port, flag: FLAG }).await?);
    }
    let claimed: [Listening; 11] = claimed.try_into().map_err(|_| Failure::other("eleven ports"))?;
    let [front, wallet, registrar, one, two, three, phone, register, first, second, third] = claimed;
    let (nodes, platforms) = ([one, two, three], [first, second, third]);
    Ok(Ports { front, wallet, registrar, nodes, phone, register, platforms })
}

impl Ports {
    /// Their addresses. `localhost` is one site and `wallet.localhost` another, as the real front's and wallet's hosts are; browsers
    /// keep both on this machine (RFC 6761 section 6.3).
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let here = |listening: &Listening| format!("http://localhost:{}", listening.port);
        Addresses {
            issuer: here(&self.front),
            wallet: format!("http://wallet.localhost:{}", self.wallet.port),
            registrar: here(&self.registrar),
            nodes: [here(&self.nodes[0]), here(&self.nodes[1]), here(&self.nodes[2])],
            phone: here(&self.phone),
            register: here(&self.register),
        }
    }

    /// Where the sample platforms are served, in order.
    #[must_use]
    pub fn sample_addresses(&self) -> [String; 3] {
        self.platforms.each_ref().map(|listening| format!("http://localhost:{}", listening.port))
    }

    /// Addresses to ask for `/livez`, by name: the wallet's by number, since not every resolver knows `wallet.localhost`.
    #[must_use]
    pub fn probes(&self) -> Vec<String> {
        let listening = [&self.front, &self.wallet, &self.registrar, &self.phone, &self.register];
        listening
            .into_iter()
            .chain(&self.nodes)
            .chain(&self.platforms)
            .map(|one| format!("http://127.0.0.1:{}/livez", one.port))
            .collect()
    }
}

/// A platform of the demo with an address of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ServedPlatform {
    /// Its client identifier.
    pub client_id: String,
    /// Its page.
    pub url: String,
}

/// What `--ready-file` holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Ready {
    /// Where everything answers.
    #[serde(flatten)]
    pub addresses: Addresses,
    /// The file of the trust root's public half, to be pinned.
    pub trust: PathBuf,
    /// Platforms with pages.
    pub platforms: Vec<ServedPlatform>,
    /// This process.
    pub pid: u32,
    /// The data folder.
    pub data: PathBuf,
}

/// Announces that everything answers; gone again when the demo ends.
#[derive(Debug)]
pub struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Removes what an earlier run may have left, so that nobody takes it for this one's.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn clear(path: &Path) -> Result<Self, Failure> {
        match std::fs::remove_file(path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                Err(files::FileError { path: path.to_owned(), cause }.into())
            }
            _ => Ok(Self(path.to_owned())),
        }
    }

    /// Writes the file whole.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn announce(&self, ready: &Ready) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(ready).map_err(Failure::other)?;
        Ok(files::replace(&self.0, &bytes, files::PUBLIC)?)
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
