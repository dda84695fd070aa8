//! One narrow storage contract (design 6): `get`, `scan`, `commit`, `sweep`, typed by office, on three engines.
//!
//! * [`Store<O>`] is what an office's code holds. Its methods take only records of that office.
//! * [`Engine`] is what a database must do: [`Memory`], [`Sqlite`] and [`Postgres`], judged by one suite.
//! * [`Once`] is the second contract: single-use values, in memory by design.
//!
//! The whole safety rule: **whatever a decision read, its batch must put or require.** Preconditions are a version or
//! absence; a batch is applied whole or not at all; uniqueness comes only from a declared unique index.
//!
//! A commit that answers `Ok` is on disk (fsynced, or synchronously replicated). A commit that answers
//! [`StoreError::Unavailable`], or whose future was dropped before it answered, **may have been applied**: repeat the
//! same batch under the same [`IdempotencyKey`] to learn which.
//!
//! Rows come from an older form to today's by the steps of [`hufu_kernel::Record::MIGRATIONS`]: see `migration`.
//!
//! Code of one office cannot name another's records:
//!
//! ```compile_fail,E0271
//! use hufu_kernel::{Key, Office, Record, offices::{Node, Front}};
//! use hufu_store::Store;
//! #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! struct NodeRow;
//! impl Record for NodeRow {
//!     type Office = Node;
//!     const KIND: &'static str = "node_row";
//!     fn key(&self) -> Key { Key::own(b"x") }
//! }
//! async fn front(store: Store<Front>) {
//!     let _ = store.get::<NodeRow>(&Key::own(b"x")).await; // a Node record in the Front's store: does not compile
//! }
//! ```

mod batch;
mod catalogue;
mod dump;
mod engine;
mod error;
mod health;
mod identity;
mod memory;
mod migration;
mod once;
mod postgres;
mod prepared;
mod scan;
mod scan_sql;
mod sqlite;
mod typed;
mod values;

pub use batch::{Batch, Change, Expect, IdempotencyKey, RawBatch, RawOp};
use catalogue::Shape;
pub use catalogue::{Catalogue, Kind, Schema};
pub use dump::{Dumped, Imposed, Progress, Terms, digest};
pub use engine::{Committed, Counts, Engine, RawRow, Version};
pub use error::StoreError;
pub use identity::{Identity, Root, TrustRoot};
pub use memory::Memory;
pub use once::{MemoryOnce, Once};
pub use postgres::{Postgres, PostgresOptions};
pub use scan::{Cursor, Paging, RawPage, Scan, Select};
pub use sqlite::{Sqlite, SqliteOptions, Synchronous};
pub use typed::{Page, Store, Versioned};
