//! Where the demo answers: which ports, which names, and the file that tells other programs.

use super::platforms::SAMPLES;
use super::tls::{self, LocalCa};
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

/// The names under which a demo answers.
///
/// Without TLS `localhost` is one site and `wallet.localhost` another, as the real front's and wallet's hosts are; browsers keep
/// both on this machine (RFC 6761 section 6.3). With TLS every part has a name of its own below the demo's host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    host: String,
    ca: Option<PathBuf>,
}

impl Site {
    /// http on `localhost`.
    #[must_use]
    pub fn plain() -> Self {
        Self { host: "localhost".to_owned(), ca: None }
    }

    /// https on `host` and the names below it, vouched for by the authority that the data folder keeps for it.
    ///
    /// # Errors
    /// [`Failure::Other`] for what is no lower-case host name.
    pub fn tls(host: &str, data: &Path) -> Result<Self, Failure> {
        let plain = |label: &str| {
            let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(known)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let number = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if host.len() > 200 || number || !host.split('.').all(plain) {
            return Err(Failure::other(format!(
                "{host:?} is no host name; write one in lower case, such as hufu.test"
            )));
        }
        Ok(Self { host: host.to_owned(), ca: Some(tls::certificate_path(data, host)) })
    }

    /// The host name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The file of the authority, with TLS.
    #[must_use]
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The host of a part of the demo; the front's is the demo's own.
    #[must_use]
    pub fn host_of(&self, part: &str) -> String {
        match (part, &self.ca) {
            ("front", _) => self.host.clone(),
            ("wallet", _) | (_, Some(_)) => format!("{part}.{}", self.host),
            (_, None) => self.host.clone(),
        }
    }

    /// The address of a part of the demo.
    #[must_use]
    pub fn origin(&self, part: &str, port: u16) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://{}:{port}", self.host_of(part))
    }
}

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
    /// Their addresses.
    #[must_use]
    pub fn addresses(&self, site: &Site) -> Addresses {
        let at = |part: &str, listening: &Listening| site.origin(part, listening.port);
        let [one, two, three] = &self.nodes;
        Addresses {
            issuer: at("front", &self.front),
            wallet: at("wallet", &self.wallet),
            registrar: at("registrar", &self.registrar),
            nodes: [at("node-1", one), at("node-2", two), at("node-3", three)],
            phone: at("phones", &self.phone),
            register: at("register", &self.register),
            ca: site.ca().map(Path::to_owned),
        }
    }

    /// Where the sample platforms are served, in order.
    #[must_use]
    pub fn sample_addresses(&self, site: &Site) -> [String; 3] {
        let [one, two, three] = &self.platforms;
        [(SAMPLES[0], one), (SAMPLES[1], two), (SAMPLES[2], three)].map(|(name, at)| site.origin(name, at.port))
    }

    /// The same ports, each with a certificate for its name.
    ///
    /// # Errors
    /// As [`LocalCa::server`].
    pub fn over_tls(self, ca: &LocalCa, site: &Site) -> Result<Self, Failure> {
        let with =
            |part: &str, listening: Listening| Ok::<_, Failure>(listening.over_tls(ca.server(&site.host_of(part))?));
        let ([one, two, three], [first, second, third]) = (self.nodes, self.platforms);
        Ok(Self {
            front: with("front", self.front)?,
            wallet: with("wallet", self.wallet)?,
            registrar: with("registrar", self.registrar)?,
            nodes: [with("node-1", one)?, with("node-2", two)?, with("node-3", three)?],
            phone: with("phones", self.phone)?,
            register: with("register", self.register)?,
            platforms: [with(SAMPLES[0], first)?, with(SAMPLES[1], second)?, with(SAMPLES[2], third)?],
        })
    }

    /// Addresses to ask for `/livez`.
    #[must_use]
    pub fn probes(&self, site: &Site) -> Vec<String> {
        let own = self.addresses(site);
        let named = [own.issuer, own.wallet, own.registrar, own.phone, own.register];
        let all = named.into_iter().chain(own.nodes).chain(self.sample_addresses(site));
        all.map(|origin| format!("{origin}/livez")).collect()
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
    /// Where everything answers; with TLS also the file of the authority.
    #[serde(flatten)]
    pub addresses: Addresses,
    /// With TLS: SHA-256 of the authority's public key, base64, for browsers that shall trust it for one run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_spki_sha256: Option<String>,
    /// Where metrics are read, if anything is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// With `--mtls`: where platforms with TLS certificates are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls: Option<String>,
    /// With `--mtls`: the file of the authority that vouches for that address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls_ca: Option<PathBuf>,
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
    pub fn announce(&self, ready: &impl Serialize) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(ready).map_err(Failure::other)?;
        Ok(files::replace(&self.0, &bytes, files::PUBLIC)?)
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_tls_every_part_has_a_name_of_its_own_below_the_host() {
        let site = Site::tls("hufu.test", Path::new("/data")).unwrap();
        assert_eq!(site.origin("front", 1), "https://hufu.test:1");
        assert_eq!(site.origin("wallet", 2), "https://wallet.hufu.test:2");
        assert_eq!(site.origin("node-1", 3), "https://node-1.hufu.test:3");
        assert_eq!(site.ca(), Some(Path::new("/data/tls/hufu.test/ca.pem")));
        assert_eq!(Site::plain().origin("registrar", 4), "http://localhost:4");
        assert_eq!(Site::plain().origin("wallet", 5), "http://wallet.localhost:5");
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        for host in
            ["", "Hufu.test", "hufu.test.", "-a.test", "a..b", "127.0.0.1", "[::1]", "a_b.test", "../x", "a/b", "a:1"]
        {
            assert!(Site::tls(host, Path::new("/data")).is_err(), "{host}");
        }
        for host in ["localhost", "hufu.test", "id.hufu.internal", "xn--0trq7p.test"] {
            assert!(Site::tls(host, Path::new("/data")).is_ok(), "{host}");
        }
    }
}
