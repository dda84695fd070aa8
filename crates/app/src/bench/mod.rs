//! `hufu bench`: what the service can do, as ratios to a peer and to a floor measured in the same run; and what it lets a flood do.
//!
//! Everything that is measured is a process of its own on one core: the service is `hufu demo` as it is shipped, over a trust
//! root whose whole group key the driver has. The driver (`hufu_sandbox::load`) runs in this process, on another core.

pub mod abuse;
mod apart;
pub mod cores;
mod lanes;
pub mod people;
pub mod processes;
pub mod report;
mod running;
mod signer;

use crate::demo::platforms;
use crate::failure::Failure;
use crate::{data_dir, root};
use clap::builder::{PossibleValue, PossibleValuesParser};
use hufu_kernel::{Clock, OsRng, Rng, SystemClock, hex, random};
use hufu_pairwise::deal_group_key_of;
use hufu_wire::webauthn::SoftDevice;
use report::{Conditions, Report};
use running::Running;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use zeroize::Zeroizing;

/// What the service logs while it is measured.
const LOGGING: &str = "info, JSON, to a file";

/// The same for every program of ours.
fn logged() -> [&'static str; 3] {
    ["--log", "info", "--log-json"]
}

/// How `hufu bench sign-in` is run.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// The peer's folder and the program that runs it, if there is to be a peer.
    pub peer: Option<Peer>,
    /// Enrolled persons.
    pub persons: usize,
    /// Interleaved rounds.
    pub rounds: usize,
    /// Seconds of each lane in each round.
    pub seconds: f64,
    /// Sign-ins at once.
    pub users: usize,
    /// The floors' program; `None` looks beside this one.
    pub floor: Option<PathBuf>,
    /// Run these lanes only; none means all.
    pub only: Vec<String>,
    /// Only show that everything works.
    pub quick: bool,
}

impl Options {
    /// Whether a lane is to be run.
    fn wants(&self, lane: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == lane)
    }
}

/// Where the peer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The folder with `server.mjs`; `None` looks for `benches/peer` here and above this program.
    pub folder: Option<PathBuf>,
    /// Node.js.
    pub node: PathBuf,
}

/// A lane's name on the command line; the help says what each is.
#[must_use]
pub fn lane_names() -> PossibleValuesParser {
    PossibleValuesParser::new(lanes::ALL.map(|(name, what)| PossibleValue::new(name).help(what)))
}

/// A folder that is gone when the run is over.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Both are ours: the sandbox is deleted as `hufu demo reset` would, the rest was written here.
        if data_dir::reset(&self.data()).and(std::fs::remove_dir_all(&self.0).map_err(Failure::other)).is_err() {
            eprintln!("{} could not be deleted", self.0.display());
        }
    }
}

impl Scratch {
    fn new(rng: &dyn Rng) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("hufu-bench-{}", hex(&random::<8>(rng))));
        crate::files::private_folder(&path)?;
        Ok(Self(path))
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

/// Runs the bench. Progress goes to standard error.
///
/// # Errors
/// [`Failure`], at the first sign-in that is refused too: figures of a service that refuses are worth nothing.
pub fn sign_in(options: &Options) -> Result<Report, Failure> {
    if let Some(peer) = &options.peer {
        running::peer_folder(peer)?;
    }
    let load_before = load_average();
    let rng: Arc<dyn Rng> = Arc::new(OsRng);
    let scratch = Scratch::new(rng.as_ref())?;
    let seed = Zeroizing::new(random::<32>(rng.as_ref()));
    eprintln!("A trust root of its own, and {} persons at three nodes …", options.persons);
    let devices = settle(&scratch, &seed, options.persons, &rng)?;
    let (apart, devices_apart) = if options.wants(lanes::APART) {
        eprintln!("The same with its offices apart …");
        let (apart, devices) = apart::Apart::settle(&scratch, options.persons, &rng)?;
        (Some(apart), devices)
    } else {
        (None, Vec::new())
    };
    let bound = cores::choose();
    let running = Running::start(options, &scratch, apart.as_ref(), bound)?;
    let mut lanes = lanes::of(&running, [devices, devices_apart], &seed, (options.persons, bound), &rng)?;
    lanes.retain(|lane| options.wants(lane.name()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::other)?;
    let local = tokio::task::LocalSet::new();
    let measured = runtime.block_on(local.run_until(async {
        let told = crate::cli::told_to_stop()?;
        tokio::select! {
            measured = lanes::measure(&mut lanes, options) => measured,
            () = told => Err(Failure::other("interrupted")),
        }
    }))?;
    let conditions = Conditions {
        version: env!("CARGO_PKG_VERSION"),
        peer: running.peer.as_ref().map(|(_, peer)| format!("{} {} on Node.js {}", peer.name, peer.version, peer.node)),
        persons: options.persons,
        // Registered; the two of profile `basic` do not sign in here.
        platforms: running.site.invented()?.len() + platforms::ORDINARY.len(),
        rounds: options.rounds,
        seconds: options.seconds,
        users: options.users,
        store: "SQLite",
        logging: LOGGING,
        cores: bound.map(Into::into),
        processor: processor(),
        load_before,
        quick: options.quick,
    };
    Ok(running.report(&measured, signer::cost(&seed)?, conditions))
}

/// Makes the root and the persons, on all cores.
fn settle(scratch: &Scratch, seed: &[u8; 32], persons: usize, rng: &Arc<dyn Rng>) -> Result<Vec<SoftDevice>, Failure> {
    let clock = SystemClock;
    let group = deal_group_key_of(seed, rng.as_ref()).map_err(Failure::other)?;
    let root =
        root::found_around(&scratch.data(), &root::deal::deal_around(group, rng.as_ref())?, &clock, rng.as_ref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().build().map_err(Failure::other)?;
    let nodes = root::NODES.map(|name| root.office(name));
    runtime.block_on(people::settle(nodes, persons, clock.now(), rng))
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn now() -> Instant {
    Instant::now()
}

/// The processor's name, as the system gives it.
fn processor() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or("an unnamed processor".to_owned(), |(_, name)| name.trim().to_owned())
}

/// The first number of `/proc/loadavg`.
fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}
