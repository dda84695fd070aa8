//! A process that writes and says so, to be killed; and what must be true of the store it leaves.

use crate::rows::*;
use hufu_kernel::offices::Node;
use hufu_kernel::{OsRng, Rng, SeededRng, random};
use hufu_store::{Batch, Expect, IdempotencyKey, Paging, Select, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const WRITERS: usize = 8;

/// Acknowledged numbers, by writer.
pub type Acks = BTreeMap<usize, BTreeSet<i64>>;

/// The seed of a crash test: `HUFU_CRASH_SEED` to repeat one, else random; printed either way.
pub fn seeded() -> SeededRng {
    let given = std::env::var("HUFU_CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from_le_bytes(random(&OsRng)));
    println!("HUFU_CRASH_SEED={seed}");
    SeededRng::new(seed)
}

pub fn below(rng: &dyn Rng, limit: u64) -> u64 {
    u64::from_le_bytes(random(rng)) % limit
}

fn row(writer: usize, id: &str, amount: i64) -> Account {
    let partition = format!("w{writer}");
    let names = vec![format!("{partition}/{id}/{amount}")];
    Account { id: id.into(), amount, names, group: Some(partition.clone()), partition, ..Account::default() }
}

/// Each writer commits batches of two new rows and a counter, and tells each acknowledgement, until the store is gone.
/// Returns, by writer, the batch that nobody answered.
pub async fn write_until_it_fails(
    store: &Store<Node>,
    told: impl Fn(usize, i64) + Clone + Send + 'static,
) -> Vec<Unanswered> {
    let write = |writer| tokio::spawn(write(store.clone(), writer, told.clone(), None));
    let writers: Vec<_> = (0..WRITERS).map(write).collect();
    let mut unanswered = Vec::new();
    for writer in writers {
        unanswered.push(writer.await.unwrap());
    }
    unanswered
}

/// A batch whose commit failed: it may or may not have been applied.
#[derive(Debug)]
pub struct Unanswered {
    pub writer: usize,
    pub number: i64,
    pub batch: Batch<Node>,
    pub step: IdempotencyKey,
    pub error: StoreError,
}

/// Writers at work, and what they have been told so far.
pub struct Writing {
    told: Arc<Mutex<Acks>>,
    tasks: Vec<tokio::task::JoinHandle<Unanswered>>,
}

/// Starts the writers.
pub fn write_on(store: &Store<Node>) -> Writing {
    let told = Arc::<Mutex<Acks>>::default();
    let tasks = (0..WRITERS).map(|writer| {
        let kept = Arc::clone(&told);
        let told = move |writer, number| {
            kept.lock().unwrap().entry(writer).or_default().insert(number);
        };
        tokio::spawn(write(store.clone(), writer, told, None))
    });
    Writing { tasks: tasks.collect(), told }
}

impl Writing {
    pub fn so_far(&self) -> Acks {
        self.told.lock().unwrap().clone()
    }

    /// Stops them.
    pub fn end(self) -> Acks {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        self.so_far()
    }
}

/// The same, for ever: what was not written is repeated under its key until it is, and each refusal told.
pub async fn write_through_faults(
    store: &Store<Node>,
    told: impl Fn(usize, i64) + Clone + Send + 'static,
    refused: impl Fn() + Clone + Send + Sync + 'static,
) {
    let refused: Refused = Arc::new(refused);
    let write = |writer| tokio::spawn(write(store.clone(), writer, told.clone(), Some(Arc::clone(&refused))));
    let writers: Vec<_> = (0..WRITERS).map(write).collect();
    let mut ended = Vec::new();
    for writer in writers {
        ended.push(writer.await.unwrap());
    }
    panic!("{ended:?}");
}

type Refused = Arc<dyn Fn() + Send + Sync>;

async fn write(store: Store<Node>, writer: usize, told: impl Fn(usize, i64), patient: Option<Refused>) -> Unanswered {
    let last = row(writer, "last", 0);
    let found = store.get::<Account>(&hufu_kernel::Record::key(&last)).await.unwrap();
    let mut number = found.as_ref().map_or(0, |found| found.record.amount);
    let mut expect = Expect::as_read(found.as_ref());
    loop {
        number += 1;
        let mut batch = Batch::new();
        batch.put(&row(writer, &format!("a{number}"), number), Expect::Absent);
        batch.put(&row(writer, &format!("b{number}"), -number), Expect::Absent);
        batch.put(&row(writer, "last", number), expect);
        let step = IdempotencyKey::of(&[&writer.to_be_bytes(), &number.to_be_bytes()], NOW);
        match store.commit(batch.clone(), step).await {
            Ok(done) => expect = Expect::At(done.version),
            Err(StoreError::Unavailable { .. }) if patient.is_some() => {
                patient.iter().for_each(|refused| refused());
                tokio::time::sleep(Duration::from_millis(3)).await;
                number -= 1;
                continue;
            }
            Err(error) => return Unanswered { writer, number, batch, step, error },
        }
        told(writer, number);
        if number % 40 == 0 {
            // On SQLite it also empties the write-ahead log, so that crashes meet checkpoints.
            let _ = store.sweep(NOW, 10).await;
        }
    }
}

/// This test binary again, running only the test `name`, which finds itself a child by `HUFU_CRASH_CHILD`.
pub fn child(name: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env("HUFU_CRASH_CHILD", "1").envs(settings.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

pub fn is_child() -> bool {
    std::env::var_os("HUFU_CRASH_CHILD").is_some()
}

/// Lets the child run for up to `most` milliseconds after its first acknowledgement, kills it, and says what it acknowledged.
pub fn kill_some_time(mut child: Child, rng: &dyn Rng, most: u64) -> Acks {
    let mut output = child.stdout.take().unwrap();
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    while !text.windows(4).any(|window| window == b"ack ") {
        let n = output.read(&mut chunk).unwrap();
        assert!(n > 0, "the child ended before it wrote anything: {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&chunk[..n]);
    }
    let reading = std::thread::spawn(move || {
        output.read_to_end(&mut text).unwrap();
        text
    });
    std::thread::sleep(Duration::from_millis(5 + below(rng, most)));
    child.kill().unwrap();
    child.wait().unwrap();
    acks(&reading.join().unwrap())
}

fn acks(output: &[u8]) -> Acks {
    let mut acks = Acks::new();
    let text = String::from_utf8_lossy(output);
    // A line that was cut off is an acknowledgement nobody got.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        let Some((_, ack)) = line.split_once("ack ") else { continue };
        let (writer, number) = ack.split_once(' ').unwrap();
        acks.entry(writer.parse().unwrap()).or_default().insert(number.parse().unwrap());
    }
    acks
}

/// What a crash left.
#[derive(Debug, Default)]
pub struct Remains {
    /// Acknowledged batches that are not there.
    pub lost: usize,
    /// Acknowledged batches.
    pub acknowledged: usize,
    /// Batches that are there though nobody was told.
    pub unheard: usize,
}

/// Counts what was lost; refuses batches that are there in part.
pub async fn examine(store: &Store<Node>, acks: &Acks) -> Remains {
    let mut remains = Remains::default();
    for writer in 0..WRITERS {
        let mut there: BTreeMap<i64, usize> = BTreeMap::new();
        let mut last = 0;
        let mut paging = Paging::first(500);
        loop {
            let select = Select::Value(format!("w{writer}").into_bytes());
            let page = store.scan::<Account>("group_by", select, paging).await.unwrap();
            for found in page.rows {
                let named = store.find::<Account>("name", found.record.names[0].as_bytes()).await.unwrap().unwrap();
                assert_eq!(named, found, "the indexes and the row agree");
                match found.record.id.as_str() {
                    "last" => last = found.record.amount,
                    _ => *there.entry(found.record.amount.abs()).or_default() += 1,
                }
            }
            match page.next {
                Some(cursor) => paging = Paging::after(cursor, 500),
                None => break,
            }
        }
        assert!(there.values().all(|rows| *rows == 2), "a batch is there in part");
        assert_eq!(last, there.keys().max().copied().unwrap_or(0), "the counter is of the newest batch");
        let none = BTreeSet::new();
        let acks = acks.get(&writer).unwrap_or(&none);
        remains.acknowledged += acks.len();
        remains.lost += acks.iter().filter(|number| !there.contains_key(number)).count();
        remains.unheard += there.keys().filter(|number| !acks.contains(number)).count();
    }
    remains
}

/// Adds the acknowledgements of one more run.
pub fn add_acks(all: &mut Acks, more: Acks) {
    for (writer, numbers) in more {
        all.entry(writer).or_default().extend(numbers);
    }
}
