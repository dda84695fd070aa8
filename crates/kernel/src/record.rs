//! What a storable record declares about itself (design 6), and how its rows come from an older form to today's.

use crate::{Office, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A row's place: its partition (sharding, one per batch) and its identifier within the kind.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key {
    /// Rows of one batch share it.
    pub partition: Vec<u8>,
    /// Unique within the kind and partition.
    pub id: Vec<u8>,
}

impl Key {
    /// A row that is its own partition, the usual case: one person, one platform.
    #[must_use]
    pub fn own(id: &[u8]) -> Self {
        Self { partition: id.to_vec(), id: id.to_vec() }
    }
}

/// A declared index. Decisions rest on `get`, or on a unique index; never on a scan of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Index {
    /// Lower-case letters and underscores.
    pub name: &'static str,
    /// Whether two rows may share a value.
    pub unique: bool,
}

/// One step of a kind from an older form to a newer. Its number is its place in [`Record::MIGRATIONS`], from 1.
///
/// A released step is never edited, moved or taken out: stores remember the digest of each and refuse another. A new field
/// that may be missing (`#[serde(default)]`) needs no step.
#[derive(Clone, Copy, Debug)]
pub enum Migration {
    /// [`Record::INDEXES`] gained this index (expand). Rows that are there already get the values that
    /// [`Record::index_values`] says of them, before the store is open; a value that needs an office's key therefore stands
    /// in a field of the record, and the office puts rows without it again.
    AddIndex(&'static str),
    /// [`Record::INDEXES`] lost this index (contract). What was in it stays until the operator has it removed. A name is
    /// never used again.
    DropIndex(&'static str),
    /// Bodies have another shape. Write it with [`body_migration!`](crate::body_migration).
    Body {
        /// From a body of the form before to a body of this form. Of a body it does not understand it returns what then does
        /// not parse.
        change: fn(Value) -> Value,
        /// The function's source text, from which its digest is made.
        source: &'static str,
    },
}

/// Defines a [`Migration::Body`] from a function, with the source text that stores remember.
///
/// ```
/// use hufu_kernel::{Migration, body_migration};
/// use serde_json::Value;
/// body_migration! {
///     /// Amounts are in cents.
///     fn in_cents(mut body: Value) -> Value {
///         body["amount"] = (body["amount"].as_i64().unwrap_or(0) * 100).into();
///         body
///     }
/// }
/// const MIGRATIONS: &[Migration] = &[in_cents()];
/// ```
#[macro_export]
macro_rules! body_migration {
    ($(#[$doc:meta])* $visible:vis fn $name:ident($($argument:tt)*) -> $value:ty $code:block) => {
        $(#[$doc])*
        #[must_use]
        $visible const fn $name() -> $crate::Migration {
            fn change($($argument)*) -> $value $code
            $crate::Migration::Body { change, source: stringify!($($argument)* $code) }
        }
    };
}

/// A storable record. Its body is JSON with byte strings in base64url, so that an operator can `SELECT` it.
/// [`crate::Secret`] has no `Serialize`: the only way to persist a secret is a [`crate::Sealed`] field.
pub trait Record: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Whose store it belongs to.
    type Office: Office;
    /// The table's name: lower-case letters and underscores.
    const KIND: &'static str;
    /// The declared indexes.
    const INDEXES: &'static [Index] = &[];
    /// What has changed since the kind was first released, oldest first.
    const MIGRATIONS: &'static [Migration] = &[];

    /// Where the row stands.
    fn key(&self) -> Key;

    /// The row's values in the declared indexes; a row may have several values in one index.
    fn index_values(&self) -> Vec<(&'static str, Vec<u8>)> {
        Vec::new()
    }

    /// When the row may be swept; `None` keeps it.
    fn expires(&self) -> Option<Timestamp> {
        None
    }
}

/// Whether `name` may name a table or an index.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 40 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}
