//! Offices that are apart, as the real binary runs them: one process an office on this machine. What needs a user an office is in
//! [`users`] and needs root.

mod attacks;
mod doctor;
mod down;
mod quiet;
mod rolling;
mod starts;
mod users;

use crate::demo::Seen;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A place that every user can come to.
pub fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    place
}

/// The program, where every user can start it.
pub fn program(place: &Path) -> PathBuf {
    let copy = place.join("hufu");
    if !copy.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_hufu"), &copy).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    copy
}

pub fn hufu(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hufu")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A sandbox with keys in `place`.
pub fn init(place: &Path) -> PathBuf {
    init_with(place, &[])
}

pub fn init_with(place: &Path, more: &[&str]) -> PathBuf {
    let folder = place.join("root");
    let mut arguments = vec!["init", folder.to_str().unwrap(), "--sandbox", "--dealt", "--port", "0"];
    arguments.extend(more);
    let made = hufu(&arguments);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
}

/// Offices that count nobody: a test's people all come from one address, and some of them as fast as they can.
pub fn unlimited(folder: &Path) {
    for office in ["front", "registrar", "node-1", "node-2", "node-3"] {
        let path = folder.join(office).join("office.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + hufu_app::deployment::office_file::UNLIMITED).unwrap();
    }
}

/// A running deployment, ended with the test however the test ends.
pub struct Deployment {
    up: Child,
    pub folder: PathBuf,
    pub seen: Seen,
    place: Option<TempDir>,
}

impl Drop for Deployment {
    fn drop(&mut self) {
        // Its offices end with it.
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

impl Deployment {
    pub async fn start(more: &[&str]) -> Self {
        let place = place();
        let folder = init(place.path());
        Self::start_in(place, folder, more).await
    }

    /// Starts what was made in `place`.
    pub async fn start_in(place: TempDir, folder: PathBuf, more: &[&str]) -> Self {
        Self::start_with(place, folder, more, |_| ()).await
    }

    /// The same with everything that is logged kept in the file `log`, by this filter.
    pub async fn start_logged(place: TempDir, folder: PathBuf, filter: &str, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let change = |up: &mut Command| {
            up.env("RUST_LOG", filter).stderr(log);
        };
        Self::start_with(place, folder, &[], change).await
    }

    /// The same with `settings` in the environment of every process.
    pub async fn start_under(place: TempDir, folder: PathBuf, settings: &[(&str, &Path)]) -> Self {
        let change = |up: &mut Command| {
            up.envs(settings.iter().copied());
        };
        let passed: Vec<&str> = settings.iter().flat_map(|(name, _)| ["--env", *name]).collect();
        Self::start_with(place, folder, &passed, change).await
    }

    /// The same with `settings` in the environment of `hufu up`, which is not told to hand them on.
    pub async fn start_beside(place: TempDir, folder: PathBuf, more: &[&str], settings: &[(&str, &str)]) -> Self {
        let change = |up: &mut Command| {
            up.envs(settings.iter().copied());
        };
        Self::start_with(place, folder, more, change).await
    }

    async fn start_with(place: TempDir, folder: PathBuf, more: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let ready = place.path().join("ready.json");
        let mut up = Command::new(program(place.path()));
        up.args(["sandbox", "up"]).arg(&folder).arg("--ready-file").arg(&ready).args(more);
        up.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        change(&mut up);
        // Another test that forks while the program is copied keeps it open for a moment.
        let mut up = loop {
            match up.spawn() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                started => break started.unwrap(),
            }
        };
        for _ in 0..1200 {
            let found: Option<Value> = std::fs::read(&ready).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if let Some(ready) = found {
                return Self { up, folder, seen: Seen::new(ready), place: Some(place) };
            }
            assert!(up.try_wait().unwrap().is_none(), "the deployment ended before it was ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the deployment did not become ready");
    }

    /// The processes of the offices, by what they were told.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let told = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let told = String::from_utf8_lossy(&told).replace('\0', " ");
            if told.contains(" --config ") && told.contains(self.folder.to_str().unwrap()) {
                found.push((pid, told));
            }
        }
        found
    }

    /// The process of `hufu sandbox up` itself.
    pub fn supervisor(&self) -> Pid {
        Pid::from_child(&self.up)
    }

    pub fn process(&self, office: &str) -> Option<Pid> {
        let told = format!(" serve {office} ");
        self.processes().into_iter().find(|(_, line)| line.contains(&told)).and_then(|(pid, _)| Pid::from_raw(pid))
    }

    /// Kills an office; it comes back only after [`Deployment::restore`].
    pub async fn take_down(&self, office: &str) {
        let config = self.folder.join(office).join("office.toml");
        std::fs::rename(&config, config.with_extension("away")).unwrap();
        let process = self.process(office).unwrap();
        kill_process(process, Signal::KILL).unwrap();
        // What it held is free when it is gone from the list, which is after it has lost its name there.
        let entry = Path::new("/proc").join(process.as_raw_nonzero().to_string());
        while entry.exists() || self.process(office).is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn restore(&self, office: &str) {
        let config = self.folder.join(office).join("office.toml");
        std::fs::rename(config.with_extension("away"), config).unwrap();
    }

    /// Ends every process at once and leaves the folders.
    pub fn keep_place(mut self) -> TempDir {
        let place = self.place.take().unwrap();
        let _ = self.up.kill();
        let _ = self.up.wait();
        while !self.processes().is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        place
    }

    pub async fn stop(mut self) {
        kill_process(Pid::from_child(&self.up), Signal::TERM).unwrap();
        for _ in 0..600 {
            if let Some(status) = self.up.try_wait().unwrap() {
                assert!(status.success());
                assert!(self.processes().is_empty(), "{:?}", self.processes());
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the deployment did not stop within half a minute");
    }
}
