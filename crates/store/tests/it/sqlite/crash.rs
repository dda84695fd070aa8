//! kill -9 and power cut on SQLite, with a control that must lose.

use crate::crash::*;
use crate::rows::schema;
use hufu_kernel::Rng;
use hufu_kernel::offices::Node;
use hufu_store::{SqliteOptions, Store, Synchronous};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use tempfile::TempDir;

const CHILD: &str = "sqlite::crash::child_that_writes";

pub fn open(path: &Path, synchronous: Synchronous) -> Store<Node> {
    let options = SqliteOptions { synchronous, ..SqliteOptions::default() };
    Store::sqlite(path, &schema(), options).unwrap()
}

/// Not a test by itself: the process that the tests below kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_writes() {
    if !is_child() {
        return;
    }
    let path = PathBuf::from(std::env::var_os("HUFU_CRASH_STORE").unwrap());
    let off = std::env::var_os("HUFU_CRASH_UNSYNCED").is_some();
    let store = open(&path, if off { Synchronous::Off } else { Synchronous::Full });
    let told = |writer: usize, number: i64| {
        let line = format!("ack {writer} {number}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    };
    panic!("{:?}", write_until_it_fails(&store, told).await);
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_to_kill_9() {
    let rng = seeded();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("store.sqlite");
    let mut acks = Acks::new();
    for _ in 0..8 {
        let child = child(CHILD, &[("HUFU_CRASH_STORE", path.to_str().unwrap())]).spawn().unwrap();
        add_acks(&mut acks, kill_some_time(child, &rng, 150));
        let remains = examine(&open(&path, Synchronous::Full), &acks).await;
        assert_eq!(remains.lost, 0, "{remains:?}");
        println!("{remains:?}");
    }
}

/// A disk as the preloaded shim sees it.
pub struct Disk {
    pub shim: PathBuf,
    live: PathBuf,
    synced: PathBuf,
    pub place: TempDir,
}

/// What a power cut does to writes that nobody synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsynced {
    Lost,
    /// Any subset of the changed sectors had reached the disk.
    Torn,
}

impl Disk {
    pub fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        // The shim compares with the names the kernel gives.
        let root = place.path().canonicalize().unwrap();
        let (live, synced) = (root.join("live"), root.join("synced"));
        std::fs::create_dir(&live).unwrap();
        std::fs::create_dir(&synced).unwrap();
        let mut disk = Self { shim: PathBuf::new(), live, synced, place };
        disk.shim = disk.compile("power_cut");
        disk
    }

    /// A shim of tests/preload.
    pub fn compile(&self, name: &str) -> PathBuf {
        let shim = self.place.path().join(format!("{name}.so"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/preload/{name}.c"));
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(&shim).arg(source).status();
        let compiled = compiled.expect("the tests of disks need a C compiler: apt-get install gcc libc6-dev");
        assert!(compiled.success(), "the shim {name} did not compile: apt-get install gcc libc6-dev");
        shim
    }

    pub fn store(&self) -> PathBuf {
        self.live.join("store.sqlite")
    }

    /// The test `name` of this binary as a process on this disk.
    pub fn command(&self, name: &str) -> Command {
        let store = self.store();
        let mut command = child(name, &[("HUFU_CRASH_STORE", store.to_str().unwrap())]);
        command.env("LD_PRELOAD", &self.shim).env("HUFU_DISK_LIVE", &self.live).env("HUFU_DISK_SYNCED", &self.synced);
        command
    }

    fn run(&self, synchronous: Synchronous) -> Child {
        let mut command = self.command(CHILD);
        if synchronous == Synchronous::Off {
            command.env("HUFU_CRASH_UNSYNCED", "1");
        }
        command.spawn().unwrap()
    }

    /// Puts both directories into the state in which the machine finds its disk when the power is back.
    pub fn come_back(&self, unsynced: Unsynced, rng: &dyn Rng) {
        let after = self.place.path().join("after");
        std::fs::create_dir(&after).unwrap();
        for file in std::fs::read_dir(&self.synced).unwrap() {
            let name = file.unwrap().file_name();
            if name.to_str().unwrap().starts_with("pending-") {
                continue;
            }
            let kept = std::fs::read(self.synced.join(&name)).unwrap();
            let written = std::fs::read(self.live.join(&name)).unwrap_or_else(|_| kept.clone());
            let image = if unsynced == Unsynced::Lost { kept } else { torn(&kept, &written, rng) };
            std::fs::write(after.join(&name), image).unwrap();
        }
        for directory in [&self.live, &self.synced] {
            std::fs::remove_dir_all(directory).unwrap();
        }
        std::fs::create_dir(&self.synced).unwrap();
        for file in std::fs::read_dir(&after).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), self.synced.join(file.file_name())).unwrap();
        }
        std::fs::rename(after, &self.live).unwrap();
    }

    /// What is on the disk now is synced.
    pub fn mirror(&self) {
        std::fs::remove_dir_all(&self.synced).unwrap();
        std::fs::create_dir(&self.synced).unwrap();
        for file in std::fs::read_dir(&self.live).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), self.synced.join(file.file_name())).unwrap();
        }
    }
}

/// Each 512-byte sector, and the length, from one of the two images.
fn torn(kept: &[u8], written: &[u8], rng: &dyn Rng) -> Vec<u8> {
    let length = if below(rng, 2) == 0 { kept.len() } else { written.len() };
    let mut image = vec![0; length];
    for (number, sector) in image.chunks_mut(512).enumerate() {
        let first = if below(rng, 2) == 0 { kept } else { written };
        for (at, byte) in sector.iter_mut().enumerate() {
            let place = number * 512 + at;
            *byte = first.get(place).or(kept.get(place)).copied().unwrap_or(0);
        }
    }
    image
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_to_a_power_cut() {
    let rng = seeded();
    let disk = Disk::new();
    let mut acks = Acks::new();
    for round in 0..10 {
        let unsynced = if round % 2 == 0 { Unsynced::Torn } else { Unsynced::Lost };
        add_acks(&mut acks, kill_some_time(disk.run(Synchronous::Full), &rng, 150));
        disk.come_back(unsynced, &rng);
        let remains = examine(&open(&disk.store(), Synchronous::Full), &acks).await;
        assert_eq!(remains.lost, 0, "{unsynced:?} {remains:?}");
        println!("{unsynced:?} {remains:?}");
        // Examining opened and closed the store without the shim; what it left is on the disk.
        disk.mirror();
    }
}

/// The control: if this loses nothing, the shim keeps what was not synced, and the test above proves nothing.
#[tokio::test]
async fn without_syncing_a_power_cut_loses_acknowledged_rows() {
    let rng = seeded();
    let disk = Disk::new();
    let acks = kill_some_time(disk.run(Synchronous::Off), &rng, 150);
    disk.come_back(Unsynced::Lost, &rng);
    let files: BTreeSet<_> = std::fs::read_dir(&disk.live).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(files.contains("store.sqlite".as_ref() as &std::ffi::OsStr), "creation was synced: {files:?}");
    let remains = examine(&open(&disk.store(), Synchronous::Full), &acks).await;
    assert!(remains.lost > 0, "{remains:?}");
    println!("{remains:?}");
}
