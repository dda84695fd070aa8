//! `hufu doctor`: is this sandbox as it was made, and what mends it if not. Of offices that are apart: `deployment::doctor`.

use crate::data_dir::{self, Standing};
use crate::demo::{control, tls};
use crate::failure::Failure;
use crate::keys::pkcs11::SHARES;
use crate::root::key_file::{KEYS, MACHINE_KEY};
use crate::root::{self, OFFICES, RESTORING, STORE, STORES, SandboxRoot};
use crate::{files, offices, rows};
use hufu_kernel::{Clock, OsRng, Rng, SystemClock, Timestamp};
use hufu_wire::api::trust::verify_ed25519;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Less free space than this is a warning: a full disk refuses enrolments.
const LEAST_SPACE: u64 = 200 << 20;
/// A machine that believes in an earlier day than the release has no clock to speak of (2026-01-01).
const EARLIEST: Timestamp = Timestamp(1_767_225_600);

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Good,
    /// Nobody can say: it was not looked at, and why.
    Unseen,
    /// Works, and somebody should know.
    Warning,
    /// Must be mended.
    Bad,
}

/// One check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub what: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found.
    pub found: String,
    /// The command that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// All checks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The version that looked.
    pub version: &'static str,
    /// The folder.
    pub data: String,
    /// Nothing must be mended.
    pub ok: bool,
    /// In order.
    pub checks: Vec<Check>,
}

impl Report {
    /// Nothing looked at yet.
    pub(crate) fn new(place: &Path) -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), data: place.display().to_string(), ok: true, checks: Vec::new() }
    }

    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        outcome: Outcome,
        found: impl Into<String>,
        mend: Option<String>,
    ) {
        self.ok &= outcome != Outcome::Bad;
        self.checks.push(Check { what: what.into(), outcome, found: found.into(), mend });
    }

    fn judge(&mut self, what: impl Into<String>, result: Result<String, Failure>, mend: &str) {
        match result {
            Ok(found) => self.add(what, Outcome::Good, found, None),
            Err(failure) => self.add(what, Outcome::Bad, failure.to_string(), Some(mend.to_owned())),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("hufu {} · {}\n\n", self.version, self.data);
        for check in &self.checks {
            let mark = match check.outcome {
                Outcome::Good => "ok  ",
                Outcome::Unseen => "--  ",
                Outcome::Warning => "warn",
                Outcome::Bad => "BAD ",
            };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{mark}  {:<22} {}", check.what, check.found);
            if let Some(mend) = &check.mend {
                let _ = writeln!(out, "      {:<22} mend it with: {mend}", "");
            }
        }
        out
    }

    /// For programs.
    ///
    /// # Errors
    /// [`Failure::Other`] if it does not encode.
    pub fn json(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string_pretty(self).map_err(Failure::other)? + "\n")
    }
}

/// Looks at the sandbox in `folder`; changes nothing in it.
#[must_use]
pub fn examine(folder: &Path) -> Report {
    let mut report = Report::new(folder);
    let now = SystemClock.now();
    match data_dir::standing(folder) {
        Ok(Standing::Free) => {
            report.add("folder", Outcome::Bad, "there is no sandbox here", Some("hufu demo".into()));
            return report;
        }
        Err(failure) => {
            report.add(
                "folder",
                Outcome::Bad,
                failure.to_string(),
                Some("choose another folder with --data DIR".into()),
            );
            return report;
        }
        Ok(Standing::Ours) => report.add("folder", Outcome::Good, "a sandbox of hufu demo", None),
    }
    match root::open(folder) {
        Err(failure) => report.add("trust root", Outcome::Bad, failure.to_string(), Some("hufu demo reset".into())),
        Ok(root) => look_inside(&mut report, &root, now),
    }
    space(&mut report, folder);
    running(&mut report, folder);
    report.add(
        "separation",
        Outcome::Warning,
        "one operator runs all offices: the separation claim does not hold here",
        None,
    );
    report
}

fn look_inside(report: &mut Report, root: &SandboxRoot, now: Timestamp) {
    let world = root.world();
    let found =
        format!("{}, dealer-made keys, founded {} by version {}", world.root.name(), world.founded, world.version);
    report.add("trust root", Outcome::Good, found, None);
    if world.version != report.version {
        let found = format!("made by {}, this is {}", world.version, report.version);
        report.add("version", Outcome::Warning, found, None);
    }
    permissions(report, root);
    let rng: Arc<dyn Rng> = Arc::new(OsRng);
    for office in OFFICES {
        report.judge(format!("keys of {office}"), keys(root, office, &rng), "hufu demo reset");
    }
    for office in STORES {
        let what = format!("store of {office}");
        match unseen(root, office) {
            Ok(Some(why)) => report.add(what, Outcome::Unseen, format!("not looked at: {why}"), None),
            Ok(None) => report.judge(what, store(root, office), "hufu demo reset"),
            Err(failure) => report.judge(what, Err(failure), "hufu demo reset"),
        }
    }
    authorities(report, root, now);
    clocks(report, root, now);
}

/// Those of `hufu demo --tls`, if there are any.
fn authorities(report: &mut Report, root: &SandboxRoot, now: Timestamp) {
    match tls::hosts(root.path()) {
        Ok(hosts) => {
            for host in hosts {
                let found = tls::examine(root.path(), &host, now.date()).map(|()| "vouches for its name".to_owned());
                let folder = tls::certificate_path(root.path(), &host);
                let mend = format!("rm -r {}", folder.parent().unwrap_or(root.path()).display());
                report.judge(format!("TLS of {host}"), found, &mend);
            }
        }
        Err(failure) => report.add("TLS", Outcome::Bad, failure.to_string(), None),
    }
}

/// Every file in an office's folder that holds something secret: keys, shares that a token seals, rows, and rows on their way into the store.
pub(crate) fn secrets(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let rows =
        ["", RESTORING].into_iter().flat_map(|name| ["", "-wal", "-shm"].map(|log| format!("{STORE}{name}{log}")));
    [KEYS, MACHINE_KEY, SHARES]
        .map(str::to_owned)
        .into_iter()
        .chain(rows)
        .map(|file| folder.join(file))
        .collect::<Vec<_>>()
        .into_iter()
}

fn permissions(report: &mut Report, root: &SandboxRoot) {
    let mut wanted = vec![(root.path().to_owned(), 0o700)];
    for office in OFFICES {
        let folder = root.office(office);
        wanted.extend(secrets(folder.path()).map(|path| (path, 0o600)));
        wanted.push((folder.path().to_owned(), 0o700));
    }
    let before = report.checks.len();
    for (path, wanted) in wanted.into_iter().filter(|(path, _)| path.exists()) {
        match files::mode(&path) {
            Ok(mode) if mode & !wanted == 0 => {}
            Ok(mode) => {
                let found = format!("{} has mode {mode:03o}", path.display());
                report.add("permissions", Outcome::Bad, found, Some(format!("chmod {wanted:o} {}", path.display())));
            }
            Err(error) => report.add("permissions", Outcome::Bad, error.to_string(), None),
        }
    }
    if report.checks.len() == before {
        report.add("permissions", Outcome::Good, "folders 700, keys and stores 600", None);
    }
}

/// Opens an office's keys, and has those that sign prove themselves against the public half.
fn keys(root: &SandboxRoot, office: &'static str, rng: &Arc<dyn Rng>) -> Result<String, Failure> {
    let keys = root.office(office).keys(rng)?;
    let name = if office == "front" { hufu_offices::front::TRANSACTION_KEY } else { "office" };
    let Some(public) = root.trust().office_key(office) else { return Ok("open".to_owned()) };
    let message = b"hufu doctor";
    let signature = keys.sign_ed25519(name, message).map_err(Failure::other)?;
    if verify_ed25519(public, message, &signature) {
        Ok("open, and their public half is the trust root's".to_owned())
    } else {
        Err(Failure::other(format!("the key {name} of {office} is not the one in trust.json")))
    }
}

/// Why a store cannot be looked at. Looking must not make one.
fn unseen(root: &SandboxRoot, office: &'static str) -> Result<Option<String>, Failure> {
    if let Some(server) = rows::elsewhere(root)? {
        return Ok(Some(format!("it is on PostgreSQL at {server}")));
    }
    let path = root.office(office).path().join(STORE);
    let is_there = files::at(&path, path.try_exists())?;
    Ok((!is_there).then(|| "it is not made yet".to_owned()))
}

fn store(root: &SandboxRoot, office: &'static str) -> Result<String, Failure> {
    offices::check_store(root, office)?;
    Ok("opens, and is this office's under this trust root".to_owned())
}

fn clocks(report: &mut Report, root: &SandboxRoot, now: Timestamp) {
    if now < EARLIEST {
        let found = format!("this machine believes that it is {now}");
        report.add("machine's clock", Outcome::Bad, found, Some("set the clock, e.g. timedatectl set-ntp true".into()));
    } else {
        report.add("machine's clock", Outcome::Good, now.to_string(), None);
    }
    match control::clock(root.path()) {
        Ok(clock) if clock.advance(0) == 0 => report.add("sandbox's clock", Outcome::Good, "the machine's", None),
        Ok(clock) => {
            let found = format!("{} ({} s ahead of the machine)", clock.now(), clock.advance(0));
            report.add("sandbox's clock", Outcome::Warning, found, None);
        }
        Err(failure) => {
            report.add("sandbox's clock", Outcome::Bad, failure.to_string(), Some("hufu demo reset".into()))
        }
    }
}

fn space(report: &mut Report, folder: &Path) {
    match rustix::fs::statvfs(folder) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let outcome = if free < LEAST_SPACE { Outcome::Warning } else { Outcome::Good };
            report.add("disk", outcome, format!("{} MiB free", free >> 20), None);
        }
        Err(error) => report.add("disk", Outcome::Warning, format!("free space is unknown: {error}"), None),
    }
}

fn running(report: &mut Report, folder: &Path) {
    match data_dir::lock(folder) {
        Ok(_lock) => report.add("demo", Outcome::Good, "not running", None),
        Err(Failure::InUse(_)) => report.add("demo", Outcome::Good, "running", None),
        Err(failure) => report.add("demo", Outcome::Bad, failure.to_string(), None),
    }
}
