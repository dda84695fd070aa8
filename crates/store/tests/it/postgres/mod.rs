//! The contract on a real PostgreSQL server, and its crash.

mod cluster;

use crate::crash::*;
use crate::migrations::Ticket as _;
use crate::rows::*;
use crate::{contract, migrations};
use async_trait::async_trait;
use cluster::Cluster;
use hufu_kernel::offices::Node;
use hufu_kernel::{Office, Record};
use hufu_store::{Dumped, Expect, Postgres, PostgresOptions, Schema, Select, Store, StoreError, Terms};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio_postgres::NoTls;

/// One server for all tests of the process; it goes when the process does.
async fn server() -> &'static Cluster {
    static SERVER: OnceLock<Cluster> = OnceLock::new();
    let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(|| Cluster::new("store"))).await.unwrap();
    server.ready().await;
    server
}

/// A schema of its own on the server.
pub struct OnServer {
    options: PostgresOptions,
}

impl OnServer {
    pub async fn new() -> Self {
        static NEXT: Mutex<u32> = Mutex::new(0);
        let number = {
            let mut next = NEXT.lock().unwrap();
            *next += 1;
            *next
        };
        // A plain name has no digits.
        let letter = |at: u32| char::from(b'a' + u8::try_from(number / 26_u32.pow(at) % 26).unwrap());
        let schema = format!("store_{}{}{}", letter(2), letter(1), letter(0));
        Self { options: PostgresOptions { config: server().await.config(), schema, connections: 8 } }
    }
}

#[async_trait]
impl Place for OnServer {
    async fn open<O: Office>(&self, schema: &Schema<O>) -> Result<Store<O>, StoreError> {
        Store::postgres(self.options.clone(), schema).await
    }

    async fn contract<O: Office>(&self, schema: &Schema<O>) -> Result<Vec<String>, StoreError> {
        Postgres::contract(self.options.clone(), &schema.catalogue()?, NoTls).await
    }

    async fn export<O: Office>(&self, schema: &Schema<O>, out: &mut Vec<u8>) -> Result<Dumped, StoreError> {
        let (options, catalogue) = (self.options.clone(), schema.catalogue()?);
        blocking(async || Postgres::export(options, &catalogue, NoTls, out, &mut |_| {}).await)
    }

    async fn import_with<O: Office>(
        &self,
        schema: &Schema<O>,
        mut lines: &[u8],
        terms: Terms<'_>,
    ) -> Result<Dumped, StoreError> {
        let (options, catalogue) = (self.options.clone(), schema.catalogue()?);
        blocking(async || Postgres::import(options, &catalogue, NoTls, &mut lines, &mut |_| {}, terms).await)
    }
}

/// Futures that stay on their thread.
fn blocking<T>(work: impl AsyncFnOnce() -> T) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work()))
}

contract::suite!(OnServer::new());
migrations::suite!(OnServer::new());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_may_migrate_a_store_at_once() {
    let place = Arc::new(OnServer::new().await);
    migrations::fill(place.as_ref()).await;
    let opening = (0..4).map(|_| {
        let place = Arc::clone(&place);
        tokio::spawn(async move { place.open(&migrations::release::<migrations::WithSeat>()).await })
    });
    for store in opening.collect::<Vec<_>>() {
        let store = store.await.unwrap().unwrap();
        let all = store.scan_up_to::<migrations::WithSeat>("seat", Select::all(), 2 * migrations::MANY).await.unwrap();
        assert_eq!(all.len(), migrations::MANY);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_was_interrupted_is_finished_at_the_next_opening() {
    let place = OnServer::new().await;
    migrations::fill(&place).await;
    let schema = migrations::release::<migrations::WithSeat>();
    drop(place.open(&schema).await.unwrap());
    // As after a crash between two steps.
    let (client, connection) = place.options.config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let unfinished = "SET search_path TO \"{}\"; UPDATE store__kind SET settled = 0; \
                      UPDATE ticket SET form = 0, index_values = '' WHERE id >= '5'; \
                      DELETE FROM ticket__seat WHERE id >= '5'; DELETE FROM ticket__price WHERE id >= '5'";
    client.batch_execute(&unfinished.replace("{}", &place.options.schema)).await.unwrap();
    let store = place.open(&schema).await.unwrap();
    for index in ["seat", "price"] {
        let all = store.scan_up_to::<migrations::WithSeat>(index, Select::all(), 2 * migrations::MANY).await.unwrap();
        assert_eq!(all.len(), migrations::MANY, "{index}");
    }
}

/// A sweep with nothing to do does not say that a server which takes no rows is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_rows_is_told_until_it_takes_one() {
    let place = OnServer::new().await;
    let store = place.node().await;
    add(&store, &account("before")).await;
    assert_eq!(store.ailing(), None);
    let (client, connection) = place.options.config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let every = async |what: &str| {
        for table in ["store__commit", "store__meta"] {
            let table = format!("\"{}\".{table}", place.options.schema);
            client.batch_execute(&format!("ALTER TABLE {table} {what}")).await.unwrap();
        }
    };
    every("ADD CONSTRAINT full_disk CHECK (false) NOT VALID").await;
    for _ in 0..2 {
        let refused = commit(&store, |batch| batch.put(&account("new"), Expect::Absent)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        assert!(store.sweep(NOW, 1).await.is_err(), "the sweep writes a row, too");
        assert!(matches!(store.ailing(), Some(StoreError::Unavailable { .. })));
    }
    assert!(load(&store, "before").await.is_some(), "reads go on");
    every("DROP CONSTRAINT full_disk").await;
    store.sweep(NOW, 1).await.unwrap();
    assert_eq!(store.ailing(), None);
    add(&store, &account("new")).await;
}

/// A batch that began before the schema changed is waited for, and then stands in the new index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_under_way_while_the_schema_changes_is_in_the_new_index() {
    let place = Arc::new(OnServer::new().await);
    let before = place.open(&migrations::release::<migrations::First>()).await.unwrap();
    let (rival, connection) = place.options.config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    // The rival holds the row, so that the batch waits in the middle.
    let row = migrations::First::new("a", 1, "window");
    migrations::put(&before, &row, Expect::Absent).await.unwrap();
    let table = format!("\"{}\".ticket", place.options.schema);
    rival.batch_execute(&format!("BEGIN; SELECT * FROM {table} FOR UPDATE")).await.unwrap();
    let version = before.get::<migrations::First>(&row.key()).await.unwrap().unwrap().version;
    let late = migrations::First::new("a", 1, "aisle");
    let writing = tokio::spawn(async move { migrations::put(&before, &late, Expect::At(version)).await });
    waits_for_a_lock(&rival).await;
    let there = Arc::clone(&place);
    let migrating =
        tokio::spawn(async move { there.open(&migrations::release::<migrations::WithSeat>()).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!migrating.is_finished());
    rival.batch_execute("COMMIT").await.unwrap();
    writing.await.unwrap().unwrap();
    let store = migrating.await.unwrap();
    assert!(store.find::<migrations::WithSeat>("seat", b"aisle").await.unwrap().is_some());
    assert!(store.find::<migrations::WithSeat>("seat", b"window").await.unwrap().is_none());
}

/// Waits until somebody waits for a lock of somebody.
async fn waits_for_a_lock(client: &tokio_postgres::Client) {
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))";
    for _ in 0..500 {
        if client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_may_create_a_store_at_once() {
    let place = Arc::new(OnServer::new().await);
    let opening = (0..6).map(|_| {
        let place = Arc::clone(&place);
        tokio::spawn(async move { place.node().await })
    });
    for store in opening.collect::<Vec<_>>() {
        let store = store.await.unwrap();
        assert_eq!(load(&store, "a").await, None);
    }
}

#[tokio::test]
async fn offices_on_one_server_do_not_meet() {
    let (one, two) = (OnServer::new().await.node().await, OnServer::new().await.node().await);
    add(&one, &account("a")).await;
    assert_eq!(load(&two, "a").await, None);
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_acknowledges_is_refused() {
    let mut place = OnServer::new().await;
    place.options.config.options("-c synchronous_commit=off");
    assert!(matches!(place.open(&schema()).await, Err(StoreError::Misuse(_))));
}

#[tokio::test]
async fn a_schema_name_cannot_carry_sql() {
    let mut place = OnServer::new().await;
    place.options.schema = "x\"; DROP SCHEMA public; --".into();
    assert!(matches!(place.open(&schema()).await, Err(StoreError::Misuse(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_commit_leaves_it_whole_or_undone() {
    let store = OnServer::new().await.node().await;
    for n in 0..60 {
        let (left, right) = (account(&format!("l{n}")), account(&format!("r{n}")));
        let both = commit(&store, |b| b.put(&left, Expect::Absent).put(&right, Expect::Absent));
        let _ = tokio::time::timeout(Duration::from_micros(n * 50), both).await;
    }
    for n in 0..60 {
        // Whatever the dropped commit left is settled before another transaction gets at its rows.
        let (left, right) = (account(&format!("l{n}")), account(&format!("r{n}")));
        let is_there = |answer: Result<_, StoreError>| match answer {
            Ok(_) => false,
            Err(StoreError::Conflict) => true,
            Err(other) => panic!("{other}"),
        };
        let left = is_there(commit(&store, |b| b.require::<Account>(&left.key(), Expect::Absent)).await);
        let right = is_there(commit(&store, |b| b.require::<Account>(&right.key(), Expect::Absent)).await);
        assert_eq!(left, right);
    }
}

/// A rival that holds the value `y` and wants `x`, while a batch holds `x` and wants `y`. The rival is patient, so the
/// server throws out the batch, which tries again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_thrown_out_of_a_deadlock_is_tried_again() {
    let place = OnServer::new().await;
    let store = place.node().await;
    let (rival, connection) = place.options.config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let claim = |value: &str| {
        let table = format!("\"{}\".account__name", place.options.schema);
        format!("INSERT INTO {table} (value, \"partition\", id) VALUES ('{value}', 'q', 'r')")
    };
    rival.batch_execute("SET deadlock_timeout = '1h'; BEGIN").await.unwrap();
    rival.batch_execute(&claim("y")).await.unwrap();
    let row = Account { names: vec!["x".into(), "y".into()], ..account("a") };
    let commit = tokio::spawn(async move { commit(&store, |b| b.put(&row, Expect::Absent)).await });
    waits_for_a_lock(&rival).await;
    rival.batch_execute(&claim("x")).await.unwrap();
    rival.batch_execute("ROLLBACK").await.unwrap();
    assert!(commit.await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_to_kill_9_of_the_server() {
    let rng = seeded();
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::new("crash")).await.unwrap();
    let acks = Arc::new(Mutex::new(Acks::new()));
    for _ in 0..3 {
        cluster.ready().await;
        let options = PostgresOptions { config: cluster.config(), schema: "node".into(), connections: 10 };
        let store: Store<Node> = Store::postgres(options, &schema()).await.unwrap();
        let told = Arc::clone(&acks);
        let begun = Arc::new(Mutex::new(BTreeSet::new()));
        let begin = Arc::clone(&begun);
        let told = move |writer, number| {
            told.lock().unwrap().entry(writer).or_default().insert(number);
            begin.lock().unwrap().insert(writer);
        };
        let writing = write_until_it_fails(&store, told);
        let pause = Duration::from_millis(50 + below(&rng, 300));
        let (unanswered, mut cluster_again) = tokio::join!(writing, async {
            // Whoever has not read where it stands has nothing to repeat.
            while begun.lock().unwrap().len() < WRITERS {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(pause).await;
            tokio::task::spawn_blocking(move || {
                cluster.crash();
                cluster
            })
            .await
            .unwrap()
        });
        cluster_again.restart().await;
        cluster = cluster_again;
        for one in unanswered {
            assert!(matches!(one.error, StoreError::Unavailable { .. }), "{:?}", one.error);
            // The caller repeats what was not answered, and it is there once.
            store.commit(one.batch, one.step).await.unwrap();
            acks.lock().unwrap().entry(one.writer).or_default().insert(one.number);
        }
        let known = acks.lock().unwrap().clone();
        let remains = examine(&store, &known).await;
        assert_eq!((remains.lost, remains.unheard), (0, 0), "{remains:?}");
        println!("{remains:?}");
    }
}
