//! Records for the tests, and where engines come from.

use async_trait::async_trait;
use hufu_kernel::offices::Node;
use hufu_kernel::{Index, Key, Octets, Office, Record, Timestamp};
use hufu_store::{Batch, Committed, Dumped, Expect, IdempotencyKey, Root, Schema, Store, StoreError, Terms, TrustRoot};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

/// When the tests play.
pub const NOW: Timestamp = Timestamp(1_800_000_000);

/// A row with a unique index of several values and one that rows share.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub struct Account {
    pub partition: String,
    pub id: String,
    pub amount: i64,
    pub names: Vec<String>,
    pub group: Option<String>,
    pub note: String,
    pub expires: Option<Timestamp>,
}

impl Record for Account {
    type Office = Node;
    const KIND: &'static str = "account";
    const INDEXES: &'static [Index] =
        &[Index { name: "name", unique: true }, Index { name: "group_by", unique: false }];

    fn key(&self) -> Key {
        key(&self.partition, &self.id)
    }

    fn index_values(&self) -> Vec<(&'static str, Vec<u8>)> {
        let names = self.names.iter().map(|name| ("name", name.as_bytes().to_vec()));
        names.chain(self.group.iter().map(|group| ("group_by", group.as_bytes().to_vec()))).collect()
    }

    fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

/// A second kind; its name is a word of SQL, to be sure that names are quoted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    pub partition: String,
    pub id: String,
}

impl Record for Order {
    type Office = Node;
    const KIND: &'static str = "order";

    fn key(&self) -> Key {
        key(&self.partition, &self.id)
    }
}

pub fn key(partition: &str, id: &str) -> Key {
    Key { partition: partition.as_bytes().to_vec(), id: id.as_bytes().to_vec() }
}

/// An account in partition `p`.
pub fn account(id: &str) -> Account {
    Account { partition: "p".into(), id: id.into(), ..Account::default() }
}

pub fn trust(root: Root, id: u8) -> TrustRoot {
    TrustRoot { root, id: Octets([id; 16]) }
}

pub fn schema() -> Schema<Node> {
    Schema::new(trust(Root::Sandbox, 1)).record::<Account>().record::<Order>()
}

/// A key that no other commit of this process has.
pub fn fresh() -> IdempotencyKey {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    IdempotencyKey::of(&[b"fresh", &NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()], NOW)
}

pub fn batch(build: impl FnOnce(&mut Batch<Node>) -> &mut Batch<Node>) -> Batch<Node> {
    let mut batch = Batch::new();
    build(&mut batch);
    batch
}

pub async fn commit(
    store: &Store<Node>,
    build: impl FnOnce(&mut Batch<Node>) -> &mut Batch<Node>,
) -> Result<Committed, StoreError> {
    store.commit(batch(build), fresh()).await
}

/// Adds a new account.
pub async fn add(store: &Store<Node>, account: &Account) -> Committed {
    commit(store, |b| b.put(account, Expect::Absent)).await.unwrap()
}

pub async fn load(store: &Store<Node>, id: &str) -> Option<Account> {
    store.get::<Account>(&key("p", id)).await.unwrap().map(|found| found.record)
}

/// One place where stores are; opening it again gives the same store.
#[async_trait]
pub trait Place: Send + Sync {
    async fn open<O: Office>(&self, schema: &Schema<O>) -> Result<Store<O>, StoreError>;

    /// Removes what the schema no longer declares.
    async fn contract<O: Office>(&self, schema: &Schema<O>) -> Result<Vec<String>, StoreError>;

    /// All rows as they stand, as lines.
    async fn export<O: Office>(&self, schema: &Schema<O>, out: &mut Vec<u8>) -> Result<Dumped, StoreError>;

    /// The reverse.
    async fn import<O: Office>(&self, schema: &Schema<O>, lines: &[u8]) -> Result<Dumped, StoreError> {
        self.import_with(schema, lines, Terms::default()).await
    }

    /// The reverse, on these terms.
    async fn import_with<O: Office>(
        &self,
        schema: &Schema<O>,
        lines: &[u8],
        terms: Terms<'_>,
    ) -> Result<Dumped, StoreError>;

    async fn node(&self) -> Store<Node> {
        self.open(&schema()).await.unwrap()
    }
}
