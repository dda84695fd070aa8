//! The programs of one run.

use super::apart::{Apart, RunningApart};
use super::cores::Cores;
use super::lanes::{APART, FLOOR, FRONT, PEER, TOKEN, TOKEN_FLOOR, WHOLE_FLOOR, WHOLE_PATH};
use super::processes::{Program, Usage};
use super::report::{Conditions, LaneReport, Measured, Memory, Report, round};
use super::{Options, Peer, Scratch};
use crate::demo::platforms::{self, Invented};
use crate::failure::Failure;
use hufu_kernel::{Clock as _, OsRng, SystemClock};
use hufu_sandbox::http::Addresses;
use hufu_sandbox::load::measure::{count, median};
use hufu_sandbox::load::peer::Announced;
use hufu_wire::api::trust::Trust;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The programs of a run, all on the service's core.
pub struct Running {
    pub hufu: Program,
    pub site: Site,
    pub apart: Option<RunningApart>,
    at_rest: Usage,
    pub peer: Option<(Program, Announced)>,
    peer_at_rest: Usage,
    pub floor: Option<(Program, Floor)>,
}

/// One service as it answers, and the platforms that it admitted.
pub struct Site {
    /// Where it answers.
    pub addresses: Addresses,
    trust: PathBuf,
    data: PathBuf,
    served: Vec<Served>,
}

/// What the ready file says, as far as it is needed here.
#[derive(Deserialize)]
pub struct Ready {
    #[serde(flatten)]
    addresses: Addresses,
    platforms: Vec<Served>,
    trust: PathBuf,
}

#[derive(Deserialize)]
struct Served {
    client_id: String,
    url: String,
}

/// What the floor says when it answers.
#[derive(Deserialize)]
pub struct Floor {
    pub origin: String,
}

impl Ready {
    /// The service, whose platforms' keys are in `data`.
    pub fn site(self, data: &Path) -> Site {
        Site { addresses: self.addresses, trust: self.trust, data: data.to_owned(), served: self.platforms }
    }
}

impl Site {
    /// The public half of the trust root with this run's addresses.
    ///
    /// # Errors
    /// [`Failure::Unreadable`].
    pub fn trust(&self) -> Result<Trust, Failure> {
        let bytes = crate::files::read(&self.trust)?;
        let bytes = bytes.ok_or_else(|| Failure::unreadable(&self.trust, "missing"))?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::unreadable(&self.trust, error))
    }

    /// The 81 platforms as the service admitted them.
    ///
    /// # Errors
    /// [`Failure::Unreadable`].
    pub fn invented(&self) -> Result<Vec<Invented>, Failure> {
        let served = self.served.iter().map(|one| (one.client_id.clone(), one.url.clone()));
        let all = platforms::invented(&self.data, SystemClock.now(), &OsRng, &served.collect())?;
        // The two of profile `basic` take fewer steps, and those that need nonces or get subject handles more: all are registered, the
        // others sign in.
        let alike = |platform: &Invented| {
            let registered = &platform.certificate.registration;
            platform.secret.is_none() && !registered.require_dpop_nonce && registered.subject_handle.is_empty()
        };
        Ok(all.into_iter().filter(alike).collect())
    }
}

impl Running {
    /// Starts them all.
    ///
    /// # Errors
    /// [`Failure`] naming the program.
    pub fn start(
        options: &Options,
        scratch: &Scratch,
        apart: Option<&Apart>,
        bound: Option<Cores>,
    ) -> Result<Self, Failure> {
        let own = std::env::current_exe().map_err(Failure::other)?;
        let (hufu, ready) = start_hufu(&own, scratch, bound)?;
        let at_rest = hufu.usage();
        let site = ready.site(&scratch.data());
        let apart = apart.map(|apart| apart.start(&own, scratch, bound)).transpose()?;
        let floor = options.floor.clone().or_else(|| Some(own.parent()?.join("examples/floor")));
        let floor = match floor.filter(|path| path.is_file()) {
            Some(path) => Some(Program::announced("the floor", Command::new(path), bound)?),
            None => {
                eprintln!("No floor: build it with  cargo build --release -p hufu-web --example floor");
                None
            }
        };
        let peer = options.peer.as_ref().map(|peer| start_peer(peer, &site.invented()?, &scratch.0, bound));
        let peer = peer.transpose()?;
        let peer_at_rest = peer.as_ref().map(|(program, _)| program.usage()).unwrap_or_default();
        Ok(Self { hufu, site, apart, at_rest, peer, peer_at_rest, floor })
    }

    /// The document.
    pub fn report(&self, measured: &[Measured], signature: Duration, run: Conditions) -> Report {
        let lane = |name: &str| measured.iter().find(|one| one.lane == name);
        let rate = |name: &str| lane(name).map(|lane| round(median(&lane.rates())));
        let ratio = |own: &str, other: &str| Some(lane(own)?.ratio(lane(other)?));
        let lanes: Vec<LaneReport> =
            measured.iter().map(|one| one.report(if one.lane == FRONT { signature } else { Duration::ZERO })).collect();
        let cpu = |name: &str| lanes.iter().find(|one| one.lane == name).map(|one| one.cpu_ms_per_flow);
        let cpu_ratio = |own: &str, other: &str| Some(round(cpu(other)? / cpu(own).filter(|own| *own > 0.0)?));
        let mib = |kib: u64| round(count(usize::try_from(kib).unwrap_or_default()) / 1024.0);
        let peer = self.peer.as_ref().map(|(program, _)| program.usage());
        Report {
            bench: "sign-in",
            flows_per_s: rate(FRONT).unwrap_or_default(),
            peer_flows_per_s: rate(PEER),
            ratio: ratio(FRONT, PEER),
            floor_share: ratio(FRONT, FLOOR),
            cpu_ratio: cpu_ratio(FRONT, PEER),
            token_per_s: rate(TOKEN).unwrap_or_default(),
            token_floor_share: ratio(TOKEN, TOKEN_FLOOR),
            full_path_flows_per_s: rate(WHOLE_PATH).unwrap_or_default(),
            full_path_ratio: ratio(WHOLE_PATH, PEER),
            full_path_cpu_ratio: cpu_ratio(WHOLE_PATH, PEER),
            full_path_floor_share: ratio(WHOLE_PATH, WHOLE_FLOOR),
            apart_flows_per_s: rate(APART),
            apart_ratio: ratio(APART, WHOLE_PATH),
            rss_mib: Memory {
                at_rest: mib(self.at_rest.rss_kib),
                under_load: mib(self.hufu.usage().peak_kib),
                apart_under_load: self.apart.as_ref().map(|apart| mib(apart.program.usage().rss_kib)),
                peer_at_rest: peer.map(|_| mib(self.peer_at_rest.rss_kib)),
                peer_under_load: peer.map(|usage| mib(usage.peak_kib)),
            },
            lanes,
            run,
        }
    }
}

fn start_hufu(own: &Path, scratch: &Scratch, bound: Option<Cores>) -> Result<(Program, Ready), Failure> {
    let ready = scratch.0.join("ready.json");
    let log = scratch.0.join("hufu.log");
    let log = crate::files::at(&log, std::fs::File::create(&log))?;
    let mut command = Command::new(own);
    command.args(["demo", "--port", "0", "--data"]).arg(scratch.data()).args(super::logged());
    command.arg("--ready-file").arg(&ready).env_remove("RUST_LOG").stdout(Stdio::null()).stderr(log);
    Program::ready("hufu demo", command, bound, &ready)
}

/// The peer's folder, with what it needs installed.
///
/// # Errors
/// [`Failure::Other`], saying how to install it.
pub fn peer_folder(peer: &Peer) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(Failure::other)?;
    let above = own.ancestors().skip(1).map(|folder| folder.join("benches/peer"));
    let found = match &peer.folder {
        Some(folder) => Some(folder.clone()),
        None => std::iter::once(PathBuf::from("benches/peer")).chain(above).find(|at| at.join("server.mjs").is_file()),
    };
    let folder = found.filter(|folder| folder.join("server.mjs").is_file()).ok_or_else(|| {
        Failure::other("the peer is not there (benches/peer); say where with --peer-dir, or use --peer none")
    })?;
    if folder.join("node_modules/oidc-provider").is_dir() {
        return Ok(folder);
    }
    let folder = folder.display();
    Err(Failure::other(format!(
        "the peer is not installed; install it with: npm ci --ignore-scripts --prefix {folder}   or use --peer none"
    )))
}

fn start_peer(
    peer: &Peer,
    invented: &[Invented],
    scratch: &Path,
    bound: Option<Cores>,
) -> Result<(Program, Announced), Failure> {
    let folder = peer_folder(peer)?;
    let clients: Vec<_> = invented
        .iter()
        .map(|platform| &platform.certificate)
        .map(|own| json!({ "client_id": own.client_id, "redirect_uri": own.redirect_uris[0], "jwks": own.jwks }))
        .collect();
    let config = scratch.join("peer.json");
    let bytes = serde_json::to_vec(&json!({ "clients": clients })).map_err(Failure::other)?;
    crate::files::replace(&config, &bytes, crate::files::PRIVATE)?;
    let log = scratch.join("peer.log");
    let log = crate::files::at(&log, std::fs::File::create(&log))?;
    let mut command = Command::new(&peer.node);
    command.arg(folder.join("server.mjs")).arg(&config).env("NODE_ENV", "production").stderr(log);
    Program::announced("the peer", command, bound)
}
