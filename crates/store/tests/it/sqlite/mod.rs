//! The contract on SQLite, and what only a file can get wrong.

mod crash;
mod faults;

use crate::rows::*;
use crate::{contract, migrations};
use async_trait::async_trait;
use hufu_kernel::Office;
use hufu_kernel::offices::Node;
use hufu_kernel::{Index, Key, Record};
use hufu_store::{Dumped, Expect, Paging, Schema, Select, Sqlite, SqliteOptions, Store, StoreError, Terms};
use std::path::PathBuf;
use tempfile::TempDir;

pub struct InFile(TempDir);

impl InFile {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("store.sqlite")
    }
}

#[async_trait]
impl Place for InFile {
    async fn open<O: Office>(&self, schema: &Schema<O>) -> Result<Store<O>, StoreError> {
        Store::sqlite(&self.path(), schema, SqliteOptions::default())
    }

    async fn contract<O: Office>(&self, schema: &Schema<O>) -> Result<Vec<String>, StoreError> {
        Sqlite::contract(&self.path(), &schema.catalogue()?)
    }

    async fn export<O: Office>(&self, schema: &Schema<O>, out: &mut Vec<u8>) -> Result<Dumped, StoreError> {
        Sqlite::export(&self.path(), &schema.catalogue()?, out, &mut |_| {})
    }

    async fn import_with<O: Office>(
        &self,
        schema: &Schema<O>,
        mut lines: &[u8],
        terms: Terms<'_>,
    ) -> Result<Dumped, StoreError> {
        Sqlite::import(&self.path(), &schema.catalogue()?, &mut lines, &mut |_| {}, terms)
    }
}

contract::suite!(async { InFile::new() });
migrations::suite!(async { InFile::new() });

#[tokio::test]
async fn a_full_disk_refuses_and_the_writer_goes_on() {
    let place = InFile::new();
    let options = SqliteOptions { max_bytes: Some(400_000), ..SqliteOptions::default() };
    let store = Store::<Node>::sqlite(&place.path(), &schema(), options).unwrap();
    let big = |n: usize| Account { note: "g".repeat(20_000), ..account(&format!("big{n}")) };
    let mut kept = Vec::new();
    let refusal = loop {
        let row = big(kept.len());
        match commit(&store, |b| b.put(&row, Expect::Absent)).await {
            Ok(done) => kept.push((row, done.version)),
            Err(error) => break error,
        }
    };
    assert!(matches!(&refusal, StoreError::Unavailable { reason } if reason.contains("full")), "{refusal}");
    assert!(kept.len() > 2);
    // What was acknowledged is there, what was refused is not, and room that is made can be used.
    assert_eq!(load(&store, &big(kept.len()).id).await, None);
    let (row, version) = kept.pop().unwrap();
    commit(&store, |b| b.delete::<Account>(&row.key(), version)).await.unwrap();
    add(&store, &row).await;
    for (row, _) in kept {
        assert_eq!(load(&store, &row.id).await, Some(row));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refused_batch_of_a_group_undoes_no_other() {
    let store = InFile::new().node_kept().await;
    add(&store.1, &Account { names: vec!["taken".into()], ..account("holder") }).await;
    let tasks = (0..300).map(|n| {
        let store = store.1.clone();
        let name = if n % 3 == 0 { "taken".to_owned() } else { format!("n{n}") };
        let row = Account { names: vec![name], ..account(&format!("r{n}")) };
        tokio::spawn(async move { (n, commit(&store, |b| b.put(&row, Expect::Absent)).await) })
    });
    for task in tasks.collect::<Vec<_>>() {
        let (n, answer) = task.await.unwrap();
        assert_eq!(answer.is_ok(), n % 3 != 0);
        assert_eq!(load(&store.1, &format!("r{n}")).await.is_some(), n % 3 != 0);
    }
}

impl InFile {
    /// The store, and the directory that must outlive it.
    async fn node_kept(self) -> (Self, Store<Node>) {
        let store = self.node().await;
        (self, store)
    }
}

#[tokio::test]
async fn deleted_content_leaves_the_files_at_the_next_sweep() {
    let place = InFile::new();
    let store = place.node().await;
    let secret = "0123456789-needle-9876543210";
    let row = Account { group: Some(secret.into()), names: vec![secret.into()], ..account("a") };
    let version = add(&store, &row).await.version;
    assert!(place.holds(secret));
    commit(&store, |b| b.delete::<Account>(&row.key(), version)).await.unwrap();
    store.sweep(NOW, 10).await.unwrap();
    assert!(!place.holds(secret));
}

impl InFile {
    fn holds(&self, text: &str) -> bool {
        let files = std::fs::read_dir(self.0.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.into_iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

#[tokio::test]
async fn the_file_keeps_no_order_of_arrival() {
    let (place, store) = InFile::new().node_kept().await;
    for n in 0..64 {
        add(&store, &account(&format!("{:02}", (n * 37) % 64))).await;
    }
    drop(store);
    let file = rusqlite::Connection::open(place.path()).unwrap();
    let mut query = file.prepare("SELECT CAST(id AS TEXT) FROM account ORDER BY place").unwrap();
    let stored: Vec<String> = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let arrived: Vec<String> = (0..64).map(|n| format!("{:02}", (n * 37) % 64)).collect();
    assert_eq!(stored.len(), 64);
    let following = stored.windows(2).filter(|pair| arrived.windows(2).any(|next| next == *pair)).count();
    assert!(following < 16, "{following} of 63 neighbours in the file arrived one after the other");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let (place, store) = InFile::new().node_kept().await;
    add(&store, &account("a")).await;
    for file in std::fs::read_dir(place.0.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

/// As [`Account`] with the same kind, but other indexes.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Changed;

impl Record for Changed {
    type Office = Node;
    const KIND: &'static str = "account";
    const INDEXES: &'static [Index] = &[Index { name: "name", unique: false }];
    fn key(&self) -> Key {
        key("p", "a")
    }
}

#[tokio::test]
async fn other_indexes_than_the_rows_were_written_with_are_refused() {
    let (place, store) = InFile::new().node_kept().await;
    drop(store);
    let schema = Schema::<Node>::new(trust(hufu_store::Root::Sandbox, 1)).record::<Changed>();
    let opened = Store::sqlite(&place.path(), &schema, SqliteOptions::default());
    assert!(matches!(opened, Err(StoreError::Misuse(_))), "{opened:?}");
}

#[tokio::test]
async fn a_body_moved_to_another_row_is_corrupt() {
    let (place, store) = InFile::new().node_kept().await;
    add(&store, &Account { group: Some("g".into()), ..account("a") }).await;
    add(&store, &account("b")).await;
    drop(store);
    let change = |sql: &str| rusqlite::Connection::open(place.path()).unwrap().execute_batch(sql).unwrap();
    change("UPDATE account SET body = (SELECT body FROM account WHERE id = CAST('b' AS BLOB))");
    let store = place.node().await;
    let read = store.get::<Account>(&key("p", "a")).await;
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    let page = store.scan::<Account>("group_by", Select::all(), Paging::first(1)).await;
    assert!(matches!(page, Err(StoreError::Corrupt { .. })), "{page:?}");
}

#[tokio::test]
async fn a_changed_migration_or_a_file_that_is_no_store_is_refused() {
    let (place, store) = InFile::new().node_kept().await;
    drop(store);
    let change = |sql: &str| rusqlite::Connection::open(place.path()).unwrap().execute_batch(sql).unwrap();
    change("UPDATE store__migration SET digest = 'x' WHERE number = 1");
    assert!(matches!(place.open(&schema()).await, Err(StoreError::Corrupt { .. })));
    change("INSERT INTO store__migration VALUES (3, 'from the future')");
    assert!(matches!(place.open(&schema()).await, Err(StoreError::Misuse(_))));
    let other = InFile::new();
    std::fs::write(other.path(), "not a database, but long enough to be looked at ".repeat(100)).unwrap();
    assert!(matches!(other.open(&schema()).await, Err(StoreError::Corrupt { .. })));
}

#[tokio::test]
async fn dropping_a_commit_does_not_tear_it() {
    let (place, store) = InFile::new().node_kept().await;
    for n in 0..50 {
        let (left, right) = (account(&format!("l{n}")), account(&format!("r{n}")));
        let both = commit(&store, |b| b.put(&left, Expect::Absent).put(&right, Expect::Absent));
        // Polled once, then dropped: accepted, not awaited.
        let _ = tokio::time::timeout(std::time::Duration::ZERO, both).await;
    }
    drop(store);
    let store = place.node().await;
    for n in 0..50 {
        let whole = (load(&store, &format!("l{n}")).await.is_some(), load(&store, &format!("r{n}")).await.is_some());
        assert_eq!(whole, (true, true), "an accepted batch is finished before the store closes");
    }
}
