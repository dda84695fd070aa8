//! Measures the SQLite engine on this machine's disk: `cargo run --release -p hufu-store --example speed`. With a
//! PostgreSQL connection string as argument it measures that server, in the schema `speed`, which must not be there yet.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the machine's clock")]

use hufu_kernel::offices::Node;
use hufu_kernel::{Index, Key, Octets, Record, Timestamp};
use hufu_store::{
    Batch, Expect, IdempotencyKey, PostgresOptions, Root, Schema, SqliteOptions, Store, StoreError, TrustRoot,
};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// About 500 bytes of JSON, with one unique index, as a device row has.
#[derive(Clone, Serialize, Deserialize)]
struct Row {
    id: Octets<16>,
    credential: Octets<32>,
    filler: String,
}

impl Record for Row {
    type Office = Node;
    const KIND: &'static str = "row";
    const INDEXES: &'static [Index] = &[Index { name: "credential", unique: true }];

    fn key(&self) -> Key {
        Key::own(&self.id.0)
    }

    fn index_values(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![("credential", self.credential.0.to_vec())]
    }
}

fn row(number: u64) -> Row {
    // Spread over the key space as random handles are.
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let (mut id, mut credential) = ([0; 16], [0; 32]);
    id[..8].copy_from_slice(&spread);
    credential[..8].copy_from_slice(&spread);
    Row { id: Octets(id), credential: Octets(credential), filler: "x".repeat(400) }
}

const NOW: Timestamp = Timestamp(1_800_000_000);

async fn insert(store: &Store<Node>, number: u64) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put(&row(number), Expect::Absent);
    store.commit(batch, IdempotencyKey::of(&[&number.to_be_bytes()], NOW)).await.map(drop)
}

/// Processor time of this process so far, in seconds; `None` where there is no /proc.
fn processor_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // User and system time in ticks of 10 ms: fields 14 and 15 of proc_pid_stat(5).
    Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / 100.0)
}

/// What one measurement found.
struct Found {
    next: u64,
    rate: f64,
    median: f64,
    slow: f64,
    processor: f64,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rate, median, slow, processor, .. } = self;
        write!(f, "{rate:8.0}/s   p50 {median:.3} ms   p99 {slow:.3} ms   {processor:.1} µs of processor each")
    }
}

/// Runs `tasks` loops of `work` for a time; the median and the 99th percentile are in milliseconds.
async fn measure<F, W>(tasks: u64, seconds: u64, first: u64, work: W) -> Result<Found, StoreError>
where
    F: Future<Output = Result<(), StoreError>> + Send,
    W: Fn(u64) -> F + Clone + Send + 'static,
{
    let (began, before) = (Instant::now(), processor_time());
    let until = began + Duration::from_secs(seconds);
    let run = |task: u64| {
        let work = work.clone();
        async move {
            let (mut times, mut number) = (Vec::new(), first + task);
            while Instant::now() < until {
                let start = Instant::now();
                work(number).await?;
                times.push(start.elapsed().as_secs_f64() * 1e3);
                number += tasks;
            }
            Ok::<_, StoreError>((times, number))
        }
    };
    let running: Vec<_> = (0..tasks).map(|task| tokio::spawn(run(task))).collect();
    let (mut times, mut next) = (Vec::new(), first);
    for task in running {
        let (more, number) = task.await.map_err(|error| StoreError::Misuse(error.to_string()))??;
        times.extend(more);
        next = next.max(number);
    }
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    let spent = processor_time().zip(before).map_or(f64::NAN, |(after, before)| after - before);
    let processor = spent * 1e6 / times.len() as f64;
    times.sort_by(f64::total_cmp);
    Ok(Found { next, rate, median: times[times.len() / 2], slow: times[times.len() * 99 / 100], processor })
}

/// What one write and sync of the disk costs, to read the rest by.
fn sync_cost() -> std::io::Result<f64> {
    let mut file = tempfile::tempfile()?;
    let began = Instant::now();
    for _ in 0..200 {
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
    }
    Ok(began.elapsed().as_secs_f64() / 200.0 * 1e3)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = tempfile::tempdir()?;
    let trust = TrustRoot { root: Root::Sandbox, id: Octets([1; 16]) };
    let schema = Schema::<Node>::new(trust).record::<Row>();
    let store = match std::env::args().nth(1) {
        None => Store::sqlite(&place.path().join("store.sqlite"), &schema, SqliteOptions::default())?,
        Some(config) => {
            let options = PostgresOptions { config: config.parse()?, schema: "speed".into(), connections: 16 };
            Store::postgres(options, &schema).await?
        }
    };
    println!("4 KiB write and fdatasync: {:.2} ms", sync_cost()?);
    let mut next = 0;
    for writers in [1, 16, 64, 256] {
        let writing = store.clone();
        let insert = move |number| {
            let store = writing.clone();
            async move { insert(&store, number).await }
        };
        let found = measure(writers, 3, next, insert).await?;
        println!("{writers:3} writers: commits {found}");
        next = found.next;
    }
    // The last writers stopped at different numbers; below this one every row is there.
    let full = next.saturating_sub(4_096).max(1);
    for readers in [1, 16, 64] {
        let (get, find) = (store.clone(), store.clone());
        let get = move |number: u64| {
            let store = get.clone();
            async move { store.get::<Row>(&row(number.wrapping_mul(7919) % full).key()).await.map(drop) }
        };
        let find = move |number: u64| {
            let store = find.clone();
            async move {
                store.find::<Row>("credential", &row(number.wrapping_mul(7919) % full).credential.0).await.map(drop)
            }
        };
        println!("{readers:3} readers: gets    {}", measure(readers, 2, 0, get).await?);
        println!("{readers:3} readers: finds   {}", measure(readers, 2, 0, find).await?);
    }
    Ok(())
}
