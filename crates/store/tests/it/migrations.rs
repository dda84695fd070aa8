//! One kind through four releases of a program, on every engine that keeps anything.

use crate::rows::*;
use hufu_kernel::offices::Node;
use hufu_kernel::{Index, Key, Migration, Record, body_migration};
use hufu_store::{Batch, Expect, Paging, Root, Schema, Select, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

body_migration! {
    /// Prices are in fen.
    fn in_fen(mut body: Value) -> Value {
        body["price"] = (body["price"].as_i64().unwrap_or(0) * 100).into();
        body
    }
}

body_migration! {
    /// As the other, but with another factor: an edited migration.
    fn in_li(mut body: Value) -> Value {
        body["price"] = (body["price"].as_i64().unwrap_or(0) * 1000).into();
        body
    }
}

/// What all releases have in common.
pub trait Ticket {
    fn new(id: &str, price: i64, seat: &str) -> Self;
}

/// A ticket as a release of the program knows it: the same kind, other indexes and migrations.
macro_rules! release {
    ($name:ident, $indexes:expr, $migrations:expr) => {
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
        pub struct $name {
            pub id: String,
            pub price: i64,
            pub seat: String,
        }

        impl Record for $name {
            type Office = Node;
            const KIND: &'static str = "ticket";
            const INDEXES: &'static [Index] = $indexes;
            const MIGRATIONS: &'static [Migration] = $migrations;

            fn key(&self) -> Key {
                key("p", &self.id)
            }

            fn index_values(&self) -> Vec<(&'static str, Vec<u8>)> {
                let all = [("price", self.price.to_string()), ("seat", self.seat.clone())];
                let declared = |name: &str| Self::INDEXES.iter().any(|index| index.name == name);
                all.into_iter()
                    .filter(|(name, _)| declared(name))
                    .map(|(name, value)| (name, value.into_bytes()))
                    .collect()
            }
        }

        impl Ticket for $name {
            fn new(id: &str, price: i64, seat: &str) -> Self {
                Self { id: id.into(), price, seat: seat.into() }
            }
        }
    };
}

const PRICE: Index = Index { name: "price", unique: false };
const SEAT: Index = Index { name: "seat", unique: true };
release!(First, &[PRICE], &[]);
release!(WithSeat, &[PRICE, SEAT], &[Migration::AddIndex("seat")]);
release!(InFen, &[PRICE, SEAT], &[Migration::AddIndex("seat"), in_fen()]);
release!(Last, &[SEAT], &[Migration::AddIndex("seat"), in_fen(), Migration::DropIndex("price")]);
release!(Edited, &[PRICE, SEAT], &[Migration::AddIndex("seat"), in_li()]);
release!(Unsaid, &[PRICE, SEAT], &[]);

pub fn release<R: Record<Office = Node>>() -> Schema<Node> {
    Schema::new(trust(Root::Sandbox, 1)).record::<R>()
}

pub async fn put<R: Record<Office = Node>>(store: &Store<Node>, row: &R, expect: Expect) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put(row, expect);
    store.commit(batch, fresh()).await.map(drop)
}

async fn get<R: Record<Office = Node>>(store: &Store<Node>, id: &str) -> R {
    store.get::<R>(&key("p", id)).await.unwrap().unwrap().record
}

macro_rules! suite {
    ($place:expr) => {
        $crate::migrations::suite!(@ $place;
            an_added_index_finds_the_rows_that_were_there
            bodies_change_while_they_are_read_and_for_good_when_swept
            what_an_index_holds_follows_the_changed_body
            all_releases_in_one_step
            an_older_program_is_refused
            a_program_that_was_there_before_writes_nothing_more
            an_edited_migration_is_refused
            indexes_that_change_without_a_migration_are_refused
            a_unique_index_that_rows_do_not_allow_refuses_and_changes_nothing
            a_dropped_index_is_left_at_once_and_goes_when_told
            a_kind_that_is_gone_goes_when_told
        );
    };
    (@ $place:expr; $($name:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $crate::migrations::$name(&$place.await).await;
        })*
    };
}
pub(crate) use suite;

/// More than the rows of one step of any engine.
pub const MANY: usize = 1_200;

pub async fn fill(place: &impl Place) {
    let store = place.open(&release::<First>()).await.unwrap();
    for chunk in (0..MANY).collect::<Vec<_>>().chunks(100) {
        let mut batch = Batch::new();
        for n in chunk {
            batch.put(&First::new(&n.to_string(), 7, &format!("s{n}")), Expect::Absent);
        }
        store.commit(batch, fresh()).await.unwrap();
    }
}

pub async fn an_added_index_finds_the_rows_that_were_there(place: &impl Place) {
    fill(place).await;
    let store = place.open(&release::<WithSeat>()).await.unwrap();
    for n in [0, 1, MANY / 2, MANY - 1] {
        let found = store.find::<WithSeat>("seat", format!("s{n}").as_bytes()).await.unwrap().unwrap();
        assert_eq!(found.record, WithSeat::new(&n.to_string(), 7, &format!("s{n}")));
    }
    let all = store.scan_up_to::<WithSeat>("seat", Select::all(), 2 * MANY).await.unwrap();
    assert_eq!(all.len(), MANY);
    let taken = put(&store, &WithSeat::new("new", 1, "s5"), Expect::Absent).await;
    assert_eq!(taken, Err(StoreError::Duplicate("seat")));
    // Nothing is left to do, and nothing is done again.
    assert_eq!(store.sweep(NOW, 1_000).await.unwrap(), 0);
    drop(store);
    let store = place.open(&release::<WithSeat>()).await.unwrap();
    assert_eq!(store.scan_up_to::<WithSeat>("seat", Select::all(), 2 * MANY).await.unwrap().len(), MANY);
}

pub async fn bodies_change_while_they_are_read_and_for_good_when_swept(place: &impl Place) {
    let store = place.open(&release::<WithSeat>()).await.unwrap();
    for id in ["a", "b", "c"] {
        put(&store, &WithSeat::new(id, 5, id), Expect::Absent).await.unwrap();
    }
    let before = versions::<WithSeat>(&store).await;
    drop(store);
    let store = place.open(&release::<InFen>()).await.unwrap();
    let read = store.get::<InFen>(&key("p", "a")).await.unwrap().unwrap();
    assert_eq!(read.record.price, 500);
    let page = store.scan::<InFen>("seat", Select::all(), Paging::first(10)).await.unwrap();
    assert!(page.rows.iter().all(|row| row.record.price == 500));
    assert_eq!(versions::<InFen>(&store).await, before, "what the rows say has not changed");
    // What is put is today's; the sweep writes the two others, and then there is nothing left.
    put(&store, &InFen::new("a", 600, "a"), Expect::At(read.version)).await.unwrap();
    assert_eq!(store.sweep(NOW, 1_000).await.unwrap(), 2);
    assert_eq!(store.sweep(NOW, 1_000).await.unwrap(), 0);
    assert_eq!((get::<InFen>(&store, "a").await.price, get::<InFen>(&store, "b").await.price), (600, 500));
    drop(store);
    let store = place.open(&release::<InFen>()).await.unwrap();
    assert_eq!(get::<InFen>(&store, "c").await.price, 500, "not twice");
}

async fn versions<R: Record<Office = Node>>(store: &Store<Node>) -> Vec<hufu_store::Version> {
    let page = store.scan::<R>("seat", Select::all(), Paging::first(10)).await.unwrap();
    page.rows.iter().map(|row| row.version).collect()
}

pub async fn what_an_index_holds_follows_the_changed_body(place: &impl Place) {
    let store = place.open(&release::<WithSeat>()).await.unwrap();
    put(&store, &WithSeat::new("a", 5, "a"), Expect::Absent).await.unwrap();
    drop(store);
    let store = place.open(&release::<InFen>()).await.unwrap();
    store.sweep(NOW, 1_000).await.unwrap();
    let by_price = |price: &'static str| {
        let store = store.clone();
        let select = Select::Value(price.as_bytes().to_vec());
        async move { store.scan::<InFen>("price", select, Paging::first(10)).await.unwrap().rows.len() }
    };
    assert_eq!((by_price("5").await, by_price("500").await), (0, 1));
}

pub async fn all_releases_in_one_step(place: &impl Place) {
    fill(place).await;
    let store = place.open(&release::<Last>()).await.unwrap();
    let found = store.find::<Last>("seat", b"s77").await.unwrap().unwrap();
    assert_eq!(found.record, Last::new("77", 700, "s77"));
    // A new store of this release has all that, and no older program opens it either.
    put(&store, &Last::new("new", 1, "new"), Expect::Absent).await.unwrap();
    assert_eq!(get::<Last>(&store, "new").await.price, 1);
}

pub async fn an_older_program_is_refused(place: &impl Place) {
    drop(place.open(&release::<InFen>()).await.unwrap());
    let refused = place.open(&release::<WithSeat>()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Misuse(why) if why.contains("schema 2, newer")), "{refused}");
    assert!(place.open(&release::<First>()).await.is_err());
    place.open(&release::<InFen>()).await.unwrap();
}

pub async fn a_program_that_was_there_before_writes_nothing_more(place: &impl Place) {
    let before = place.open(&release::<First>()).await.unwrap();
    put(&before, &First::new("a", 1, "a"), Expect::Absent).await.unwrap();
    let after = place.open(&release::<WithSeat>()).await.unwrap();
    let refused = put(&before, &First::new("b", 1, "b"), Expect::Absent).await.unwrap_err();
    assert_eq!(refused, StoreError::Overtaken);
    put(&after, &WithSeat::new("b", 2, "b"), Expect::Absent).await.unwrap();
    // What it reads, it may misunderstand.
    let read = before.get::<First>(&key("p", "b")).await;
    assert!(matches!(read, Err(StoreError::Overtaken)), "{read:?}");
}

pub async fn an_edited_migration_is_refused(place: &impl Place) {
    drop(place.open(&release::<InFen>()).await.unwrap());
    let refused = place.open(&release::<Edited>()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Corrupt { detail } if detail.contains("migration 2")), "{refused}");
}

pub async fn indexes_that_change_without_a_migration_are_refused(place: &impl Place) {
    drop(place.open(&release::<First>()).await.unwrap());
    let refused = place.open(&release::<Unsaid>()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Misuse(why) if why.contains("no migration")), "{refused}");
}

pub async fn a_unique_index_that_rows_do_not_allow_refuses_and_changes_nothing(place: &impl Place) {
    let store = place.open(&release::<First>()).await.unwrap();
    for id in ["a", "b"] {
        put(&store, &First::new(id, 1, "the same"), Expect::Absent).await.unwrap();
    }
    drop(store);
    let refused = place.open(&release::<WithSeat>()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Corrupt { detail } if detail.contains("unique index seat")), "{refused}");
}

pub async fn a_dropped_index_is_left_at_once_and_goes_when_told(place: &impl Place) {
    let store = place.open(&release::<InFen>()).await.unwrap();
    for id in ["a", "b", "c"] {
        put(&store, &InFen::new(id, 100, id), Expect::Absent).await.unwrap();
    }
    drop(store);
    let store = place.open(&release::<Last>()).await.unwrap();
    let read = store.get::<Last>(&key("p", "a")).await.unwrap().unwrap();
    put(&store, &Last::new("a", 200, "a2"), Expect::At(read.version)).await.unwrap();
    let read = store.get::<Last>(&key("p", "b")).await.unwrap().unwrap();
    let mut batch = Batch::new();
    batch.delete::<Last>(&key("p", "b"), read.version);
    store.commit(batch, fresh()).await.unwrap();
    drop(store);
    assert_eq!(place.contract(&release::<Last>()).await.unwrap(), ["ticket__price"]);
    assert_eq!(place.contract(&release::<Last>()).await.unwrap(), Vec::<String>::new());
    let store = place.open(&release::<Last>()).await.unwrap();
    for id in ["a", "c"] {
        let read = store.get::<Last>(&key("p", id)).await.unwrap().unwrap();
        put(&store, &Last::new(id, 300, id), Expect::At(read.version)).await.unwrap();
    }
    assert_eq!(store.scan_up_to::<Last>("seat", Select::all(), 10).await.unwrap().len(), 2);
}

pub async fn a_kind_that_is_gone_goes_when_told(place: &impl Place) {
    let both = Schema::new(trust(Root::Sandbox, 1)).record::<Account>().record::<Last>();
    let store = place.open(&both).await.unwrap();
    put(&store, &Last::new("a", 1, "a"), Expect::Absent).await.unwrap();
    add(&store, &account("kept")).await;
    drop(store);
    let one = Schema::new(trust(Root::Sandbox, 1)).record::<Account>();
    assert_eq!(load(&place.open(&one).await.unwrap(), "kept").await, Some(account("kept")));
    let mut gone = place.contract(&one).await.unwrap();
    gone.sort();
    assert_eq!(gone, ["ticket", "ticket__seat"]);
    let store = place.open(&both).await.unwrap();
    assert_eq!(load(&store, "kept").await, Some(account("kept")));
    assert_eq!(store.get::<Last>(&key("p", "a")).await.unwrap(), None);
}
