//! `office.toml`: how one office is run. Unknown keys refuse, and so do tables that the office has no use for.

use crate::failure::Failure;
use crate::files;
use crate::root::{OFFICES, STORES};
use hufu_offices::buckets::{self, Rate};
use hufu_web::addresses::AddressLimits;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file's name in an office's folder.
pub const FILE: &str = "office.toml";
/// Wallets at one address that begin to wait at once: places are few, and each is held for two minutes.
const WAITS_AT_ONCE: u32 = 10;
/// The longest that is read by root.
const LONGEST: u64 = 256 * 1024;
/// The process of static pages; no office, since it has neither keys nor rows.
pub const WALLET: &str = "wallet";

/// What is added to a configuration of [`super::drafts`] for an office that counts nobody: where a bench or a test is the one address that
/// everybody comes from, and asks as much as it can.
pub const UNLIMITED: &str = "
[limits]
address_connections = 0
address_connects = 0
address_browser = 0
address_platform = 0
address_wallet = 0
address_starts = 0
address_waits = 0
address_other = 0
platform = 0
person = 0
";

/// How an office is run.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficeFile {
    /// The office: `node-2`.
    pub office: String,
    /// The plan.
    pub deployment: PathBuf,
    /// Every office's public identity key.
    #[serde(default)]
    pub roster: Option<PathBuf>,
    /// The public half of the jointly made keys.
    pub trust: PathBuf,
    /// The office's own folder: keys, rows, error numbers.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// Rules in place of the built-in ones.
    #[serde(default)]
    pub rules: Option<PathBuf>,
    /// The listener for the other offices.
    #[serde(default)]
    pub internal: Option<Internal>,
    /// The listener for wallets, browsers and platforms.
    #[serde(default)]
    pub public: Option<Public>,
    /// Front: the listener for platforms with TLS certificates of their own.
    #[serde(default)]
    pub mtls: Option<Mtls>,
    /// Where the rows are.
    #[serde(default)]
    pub store: Option<StoreTable>,
    /// Where the keys are.
    #[serde(default)]
    pub keys: Option<KeysTable>,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// What is logged.
    #[serde(default)]
    pub log: Log,
    /// The operators' listener.
    pub metrics: MetricsTable,
    /// The collector of this office's traces.
    #[serde(default)]
    pub tracing: Option<TracingTable>,
    /// Registrar: the register of documents.
    #[serde(default)]
    pub register: Option<Service>,
    /// Registrar: the face service.
    #[serde(default)]
    pub face: Option<Service>,
    /// Post: the message provider.
    #[serde(default)]
    pub messages: Option<Service>,
    /// Wallet: where people get help.
    #[serde(default)]
    pub help: Option<HelpTable>,
    /// Sandbox only.
    #[serde(default)]
    pub sandbox: SandboxTable,
}

/// The listener for the other offices.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Internal {
    /// Address and port.
    pub listen: SocketAddr,
}

/// The listener for wallets, browsers and platforms.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// Address and port.
    pub listen: SocketAddr,
    /// The TLS certificate with its chain, PEM.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// A proxy of the same operator speaks TLS in front of this listener.
    #[serde(default)]
    pub behind_proxy: bool,
    /// Something stands in front that passes TLS on and hides where connections come from.
    #[serde(default)]
    pub addresses_hidden: bool,
}

impl Public {
    /// Whether connections seem to come from elsewhere than they do.
    #[must_use]
    pub fn hides_addresses(&self) -> bool {
        self.behind_proxy || self.addresses_hidden
    }
}

/// The listener for platforms that prove themselves by TLS certificates (RFC 8705).
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    /// Its address as platforms know it, without a path: https, and not the issuer's.
    pub url: String,
    /// Address and port.
    pub listen: SocketAddr,
    /// This listener's own TLS certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authorities that may vouch for platforms, PEM.
    pub authorities: PathBuf,
    /// As [`Public::addresses_hidden`].
    #[serde(default)]
    pub addresses_hidden: bool,
}

/// Which engine keeps the rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// A file in the office's folder.
    #[default]
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

/// Where the rows are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreTable {
    /// The engine.
    #[serde(default)]
    pub kind: Engine,
    /// PostgreSQL's address, without a password.
    #[serde(default)]
    pub url: Option<String>,
    /// The file with the password of the office's role.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The environment variable with it.
    #[serde(default)]
    pub password_env: Option<String>,
}

/// What keeps the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keeper {
    /// `keys.json` in the office's folder, sealed under `machine.key`.
    #[default]
    File,
    /// A PKCS#11 token, such as a hardware security module.
    Pkcs11,
}

/// Where the keys are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysTable {
    /// What keeps them.
    #[serde(default)]
    pub kind: Keeper,
    /// The library of the token's maker.
    #[serde(default)]
    pub module: Option<PathBuf>,
    /// The token's label.
    #[serde(default)]
    pub token: Option<String>,
    /// The file with the PIN.
    #[serde(default)]
    pub pin_file: Option<PathBuf>,
}

/// Bounds of one process.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections of one listener at once.
    pub connections: usize,
    /// The longest body of a request.
    pub body_bytes: usize,
    /// How long another office may take.
    pub peer_timeout_ms: u64,
    /// Threads that answer requests.
    pub threads: usize,
    /// The most memory, if it is bounded.
    pub memory_mib: Option<u64>,
    /// Connections of one address at once, over all listeners that see addresses; 0 and the following ones: no limit.
    pub address_connections: usize,
    /// New connections of one address a minute.
    pub address_connects: u32,
    /// Front: what browsers and wallets at one address ask, a minute.
    pub address_browser: u32,
    /// Front: what platforms at one address ask, a minute.
    pub address_platform: u32,
    /// Nodes, registrar: what wallets at one address ask, a minute.
    pub address_wallet: u32,
    /// Registrar: enrolments that are begun at one address, a minute.
    pub address_starts: u32,
    /// Front: wallets at one address that begin to wait to be asked, a minute; ten may come at once.
    pub address_waits: u32,
    /// Everything else that is asked at one address, a minute.
    pub address_other: u32,
    /// Front: what one platform asks that has proved who it is, a minute.
    pub platform: u32,
    /// Nodes: questions of sign-ins by one person's devices, a minute.
    pub person: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2000,
            body_bytes: 65_536,
            peer_timeout_ms: 10_000,
            threads: 2,
            memory_mib: None,
            address_connections: 250,
            address_connects: 30_000,
            address_browser: 6000,
            address_platform: 30_000,
            address_wallet: 6000,
            address_starts: 300,
            address_waits: 30,
            address_other: 30_000,
            platform: 30_000,
            person: 300,
        }
    }
}

impl Limits {
    /// What each address may, where connections come from where they seem to come from.
    #[must_use]
    pub fn of_addresses(&self) -> AddressLimits {
        AddressLimits {
            browser: Rate::a_minute(self.address_browser),
            platform: Rate::a_minute(self.address_platform),
            wallet: Rate::a_minute(self.address_wallet),
            start: Rate::a_minute(self.address_starts),
            wait: Rate::a_minute(self.address_waits).map(|rate| Rate { burst: rate.burst.min(WAITS_AT_ONCE), ..rate }),
            connection: Rate::a_minute(self.address_connects),
            other: Rate::a_minute(self.address_other),
            at_once: (self.address_connections > 0).then_some(self.address_connections),
        }
    }

    /// What each platform and each person may.
    #[must_use]
    pub fn of_callers(&self) -> buckets::Limits {
        buckets::Limits { client: Rate::a_minute(self.platform), handle: Rate::a_minute(self.person) }
    }
}

/// What is logged to standard error.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// As RUST_LOG would say it.
    pub filter: String,
    /// One JSON object a line.
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), json: true }
    }
}

/// The operators' listener.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsTable {
    /// Address and port.
    pub listen: SocketAddr,
}

/// The collector of this office's traces; it hears of no other office's.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracingTable {
    /// Its address without a path, on this machine or the operator's own network: OTLP over HTTP.
    pub endpoint: String,
    /// Seconds between sendings; a minute or more in a production root.
    #[serde(default = "a_minute")]
    pub every_s: u64,
}

fn a_minute() -> u64 {
    60
}

/// A service of the world outside.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its address, without a path.
    pub url: String,
    /// The authority that vouches for it, PEM, in place of the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// Where people get help without a computer.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelpTable {
    /// The telephone number as people read it.
    pub phone: String,
    /// The same for `tel:`.
    pub tel: String,
}

/// What a sandbox adds.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxTable {
    /// The file that says how far the sandbox's clock is ahead.
    #[serde(default)]
    pub clock: Option<PathBuf>,
}

impl OfficeFile {
    /// Reads a configuration; paths in it count from its own folder.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] with the line and the keys that are known there.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path)?
            .ok_or_else(|| Failure::unreadable(path, "there is no such file; `hufu init DIR` makes one an office"))?;
        Self::parsed(path, &bytes)
    }

    /// A configuration that was read from `path`; paths in it count from that one's folder.
    ///
    /// # Errors
    /// As [`OfficeFile::read`].
    pub fn parsed(path: &Path, bytes: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(bytes).map_err(|_| Failure::unreadable(path, "is not UTF-8 text"))?;
        let file = Self::parse(text).map_err(|what| Failure::unreadable(path, what))?;
        Ok(file.beside_folder(path.parent().unwrap_or(Path::new(""))))
    }

    /// The same for whoever starts `office` as root, from its folder in that of the deployment. The file is the office's user's, who may
    /// put anything in its place: no link is followed and no pipe waited for, and it must be of this office.
    ///
    /// # Errors
    /// [`Failure::File`], [`Failure::Unreadable`].
    pub fn read_of(deployment: &Path, office: &str) -> Result<Self, Failure> {
        // The way to the deployment is root's, and may have links.
        let whole = files::at(deployment, deployment.canonicalize())?;
        let path = deployment.join(office).join(FILE);
        let text = String::from_utf8(files::read_below(&whole, &[office, FILE], LONGEST)?);
        let text = text.map_err(|_| Failure::unreadable(&path, "is not UTF-8 text"))?;
        let file = Self::parse(&text).map_err(|what| Failure::unreadable(&path, what))?;
        if file.office != office {
            let told = format!("is the configuration of {}, not of {office}", file.office);
            return Err(Failure::unreadable(&path, told));
        }
        Ok(file.beside_folder(path.parent().unwrap_or(Path::new(""))))
    }

    /// Parses the text of a configuration.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        let name = self.office.as_str();
        if !OFFICES.contains(&name) && name != WALLET {
            return Err(format!("office = {name:?}: the offices are {}, and the process {WALLET}", OFFICES.join(", ")));
        }
        let is_office = name != WALLET;
        let public = name.starts_with("node") || ["registrar", "front", WALLET].contains(&name);
        let tables = [
            ("[internal]", self.internal.is_some(), is_office, true),
            ("[public]", self.public.is_some(), public, true),
            ("[mtls]", self.mtls.is_some(), name == "front", false),
            ("[store]", self.store.is_some(), STORES.contains(&name), false),
            ("[keys]", self.keys.is_some(), is_office, false),
            ("roster", self.roster.is_some(), is_office, true),
            ("data", self.data.is_some(), is_office, true),
            ("[tracing]", self.tracing.is_some(), is_office, false),
            ("rules", self.rules.is_some(), name.starts_with("node") || ["registrar", "post"].contains(&name), false),
            ("[register]", self.register.is_some(), name == "registrar", false),
            ("[face]", self.face.is_some(), name == "registrar", false),
            ("[messages]", self.messages.is_some(), name == "post", false),
            ("[help]", self.help.is_some(), name == WALLET, false),
        ];
        for (what, is_there, has_use, needed) in tables {
            if is_there && !has_use {
                return Err(format!("{what}: {name} has no use for it"));
            }
            if !is_there && has_use && needed {
                return Err(format!("{what} is missing"));
            }
        }
        if let Some(keys) = self.keys.as_ref().filter(|keys| keys.kind == Keeper::Pkcs11)
            && (keys.module.is_none() || keys.token.is_none() || keys.pin_file.is_none())
        {
            return Err("[keys]: kind = \"pkcs11\" needs module, token and pin_file".to_owned());
        }
        self.check_public()?;
        self.check_store()
    }

    fn check_public(&self) -> Result<(), String> {
        let Some(public) = &self.public else { return Ok(()) };
        match (&public.certificate, &public.key, public.behind_proxy) {
            (Some(_), Some(_), true) => Err("[public]: either certificate and key, or behind_proxy".to_owned()),
            (Some(_), None, _) | (None, Some(_), _) => Err("[public]: certificate and key go together".to_owned()),
            (None, None, false) if !public.listen.ip().is_loopback() => Err(format!(
                "[public]: {} is reached from other machines; give certificate and key, or say behind_proxy = true",
                public.listen
            )),
            _ => Ok(()),
        }
    }

    fn check_store(&self) -> Result<(), String> {
        let Some(store) = &self.store else { return Ok(()) };
        let elsewhere = store.url.is_some() || store.password_file.is_some() || store.password_env.is_some();
        match store.kind {
            Engine::Sqlite if elsewhere => Err("[store]: url and password are for kind = \"postgres\"".to_owned()),
            Engine::Postgres if store.url.is_none() => Err("[store]: kind = \"postgres\" needs url".to_owned()),
            Engine::Postgres if store.password_file.is_some() && store.password_env.is_some() => {
                Err("[store]: either password_file or password_env".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn beside_folder(mut self, folder: &Path) -> Self {
        let public = self.public.as_mut().map(|public| [public.certificate.as_mut(), public.key.as_mut()]);
        let mtls = self.mtls.as_mut().map(|mtls| [&mut mtls.certificate, &mut mtls.key, &mut mtls.authorities]);
        let services = [&mut self.register, &mut self.face, &mut self.messages];
        let optional = [
            self.roster.as_mut(),
            self.data.as_mut(),
            self.rules.as_mut(),
            self.store.as_mut().and_then(|store| store.password_file.as_mut()),
            self.keys.as_mut().and_then(|keys| keys.pin_file.as_mut()),
            self.sandbox.clock.as_mut(),
        ];
        let paths = [&mut self.deployment, &mut self.trust].into_iter();
        let paths = paths.chain(optional.into_iter().chain(public.into_iter().flatten()).flatten());
        let paths = paths.chain(services.into_iter().filter_map(|service| service.as_mut()?.ca.as_mut()));
        for path in paths.chain(mtls.into_iter().flatten()) {
            // Without the dots in the middle, for messages.
            *path = folder.join(&*path).components().collect();
        }
        self
    }

    /// The office's own folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new("."))
    }
}
