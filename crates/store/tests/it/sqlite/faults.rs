//! Disks that fail: full, read-only, syncs that fail, pages that rot. Nothing acknowledged is lost, and the store says what is wrong.

use super::InFile;
use super::crash::{Disk, Unsynced, open};
use crate::crash::*;
use crate::rows::*;
use hufu_store::{Store, StoreError, Synchronous};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const CHILD: &str = "sqlite::faults::child_that_writes_on";

/// Not a test by itself: the process whose disk fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_writes_on() {
    if !is_child() {
        return;
    }
    let path = PathBuf::from(std::env::var_os("HUFU_CRASH_STORE").unwrap());
    let store = open(&path, Synchronous::Full);
    let say = |line: String| std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    let told = move |writer: usize, number: i64| say(format!("ack {writer} {number}\n"));
    let sweeping = store.clone();
    tokio::spawn(async move {
        // What offices do every few seconds.
        loop {
            let _ = sweeping.sweep(NOW, 10).await;
            let ailing = sweeping.ailing().map_or_else(|| "well".to_owned(), |error| error.to_string());
            say(format!("state {ailing}\n"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    write_through_faults(&store, told, move || say("refused\n".to_owned())).await;
}

/// What the child has said.
#[derive(Default)]
struct Heard {
    acks: Acks,
    acked: usize,
    refused: usize,
    state: String,
}

struct Writing {
    child: Child,
    heard: Arc<Mutex<Heard>>,
    reading: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Writing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Writing {
    fn start(disk: &Disk, bad: &Path, fault: &Path) -> Self {
        let mut command = disk.command(CHILD);
        let shims = format!("{}:{}", bad.display(), disk.shim.display());
        command.env("LD_PRELOAD", shims).env("HUFU_DISK_FAULT", fault);
        let mut child = command.spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let heard = Arc::<Mutex<Heard>>::default();
        let hears = Arc::clone(&heard);
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                let mut heard = hears.lock().unwrap();
                let words: Vec<&str> = line.split_whitespace().collect();
                match words.as_slice() {
                    [.., "ack", writer, number] => {
                        let (writer, number) = (writer.parse().unwrap(), number.parse().unwrap());
                        heard.acks.entry(writer).or_default().insert(number);
                        heard.acked += 1;
                    }
                    ["refused"] => heard.refused += 1,
                    ["state", ..] => heard.state = line.clone(),
                    _ => {}
                }
            }
        });
        Self { child, heard, reading: Some(reading) }
    }

    fn until(&self, what: &str, wanted: impl Fn(&Heard) -> bool) {
        let began = Instant::now();
        while !wanted(&self.heard.lock().unwrap()) {
            let heard = self.heard.lock().unwrap();
            let (acked, refused, state) = (heard.acked, heard.refused, heard.state.clone());
            assert!(began.elapsed() < Duration::from_secs(30), "not {what}: {acked} acks, {refused} refused, {state}");
            drop(heard);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn kill(mut self) -> Acks {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reading.take().unwrap().join().unwrap();
        std::mem::take(&mut self.heard.lock().unwrap().acks)
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_a_disk_fills_turns_read_only_or_does_not_sync_and_the_power_goes() {
    let rng = seeded();
    let disk = Disk::new();
    let bad = disk.compile("bad_disk");
    let fault = disk.place.path().join("fault");
    let mut acks = Acks::new();
    for (fails, said) in [("fsync", "the disk fails"), ("full", "full"), ("readonly", "read-only")] {
        for end in [Unsynced::Torn, Unsynced::Lost] {
            let writing = Writing::start(&disk, &bad, &fault);
            writing.until("writing", |heard| heard.acked > 50 && heard.state.contains("well"));
            std::fs::write(&fault, fails).unwrap();
            writing.until("refusing", |heard| heard.refused > 20 && heard.state.contains(said));
            let before = writing.heard.lock().unwrap().acked;
            std::thread::sleep(Duration::from_millis(60));
            let during = writing.heard.lock().unwrap().acked;
            assert_eq!(during, before, "{fails}: something was acknowledged that could not be written");
            std::fs::remove_file(&fault).unwrap();
            writing.until("well again by itself", |heard| heard.acked > during + 50 && heard.state.contains("well"));
            // The power goes in the middle of the fault as well as after it.
            if end == Unsynced::Lost {
                std::fs::write(&fault, fails).unwrap();
                let refused = writing.heard.lock().unwrap().refused;
                writing.until("refusing again", |heard| heard.refused > refused + 20);
            }
            add_acks(&mut acks, writing.kill());
            let _ = std::fs::remove_file(&fault);
            disk.come_back(end, &rng);
            let remains = examine(&open(&disk.store(), Synchronous::Full), &acks).await;
            assert_eq!(remains.lost, 0, "{fails} {end:?} {remains:?}");
            println!("{fails} {end:?} {remains:?}");
            disk.mirror();
        }
    }
}

/// Rows that fill some pages of every kind of tree, closed, so that the log is empty.
async fn filled(place: &InFile) -> Vec<Account> {
    let store = place.node().await;
    let mut rows = Vec::new();
    for n in 0..300 {
        let row = Account {
            names: vec![format!("name {n}")],
            group: Some(format!("group {}", n % 7)),
            note: "x".repeat(100),
            ..account(&n.to_string())
        };
        add(&store, &row).await;
        rows.push(row);
    }
    store.sweep(NOW, 1).await.unwrap();
    rows
}

/// Whether the office could go on: all rows are what they were, through the row and through its index.
async fn whole(store: &Store<hufu_kernel::offices::Node>, rows: &[Account]) -> Result<bool, StoreError> {
    for row in rows {
        let found = store.get::<Account>(&hufu_kernel::Record::key(row)).await?;
        let named = store.find::<Account>("name", row.names[0].as_bytes()).await?;
        if found.as_ref().map(|found| &found.record) != Some(row) || named != found {
            return Ok(false);
        }
    }
    Ok(true)
}

const PAGE: usize = 4096;

#[tokio::test]
async fn a_page_that_is_gone_is_found_before_the_store_is_open_or_was_not_in_use() {
    let place = InFile::new();
    let rows = filled(&place).await;
    let sound = std::fs::read(place.path()).unwrap();
    let (mut refused, pages) = (0, sound.len() / PAGE);
    for page in 0..pages {
        let mut bytes = sound.clone();
        bytes[page * PAGE..(page + 1) * PAGE].fill(0xff);
        std::fs::write(place.path(), &bytes).unwrap();
        match place.open(&schema()).await {
            Err(StoreError::Corrupt { .. }) => refused += 1,
            Err(error) => panic!("page {page}: {error}"),
            Ok(store) => assert!(whole(&store, &rows).await.unwrap(), "page {page} rotted and nobody noticed"),
        }
    }
    assert!(refused * 10 > pages * 8, "{refused} of {pages}");
    std::fs::write(place.path(), &sound).unwrap();
    assert!(whole(&place.node().await, &rows).await.unwrap(), "the control");
}

/// Single bytes: most are found at once; one within a row's text is found where it is read, or changes what it says.
#[tokio::test]
async fn bytes_that_flip_never_make_the_store_panic() {
    let place = InFile::new();
    let rows = filled(&place).await;
    let sound = std::fs::read(place.path()).unwrap();
    let (mut refused, mut noticed, mut silent) = (0, 0, 0);
    for at in (0..sound.len()).step_by(sound.len() / 150) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x55;
        std::fs::write(place.path(), &bytes).unwrap();
        match place.open(&schema()).await {
            Err(_) => refused += 1,
            Ok(store) => match whole(&store, &rows).await {
                Ok(true) => silent += 1,
                Ok(false) | Err(_) => noticed += 1,
            },
        }
    }
    println!("{refused} refused at opening, {noticed} noticed when read, {silent} in nobody's row");
    assert!(refused + noticed > 50, "the control: it was damaged");
}

/// Damage that is met while the store is open ends it: what it says is not to be acted on.
#[tokio::test]
async fn a_store_that_rots_while_it_is_open_says_so_and_answers_nothing_more() {
    let place = InFile::new();
    let rows = filled(&place).await;
    let store = place.node().await;
    assert_eq!(store.ailing(), None);
    let mut bytes = std::fs::read(place.path()).unwrap();
    bytes[PAGE..].fill(0xff);
    // In place: the store has this file open.
    let mut file = std::fs::OpenOptions::new().write(true).open(place.path()).unwrap();
    file.write_all(&bytes).unwrap();
    drop(file);
    let mut met = None;
    for row in &rows {
        met = store.get::<Account>(&hufu_kernel::Record::key(row)).await.err();
        if met.is_some() {
            break;
        }
    }
    assert!(matches!(met, Some(StoreError::Corrupt { .. })), "{met:?}");
    assert!(matches!(store.ailing(), Some(StoreError::Corrupt { .. })));
    let refused = commit(&store, |batch| batch.put(&account("new"), hufu_store::Expect::Absent)).await;
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
    assert!(store.sweep(NOW, 1).await.is_err());
}
