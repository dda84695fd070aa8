//! What a storable record declares about itself (design 6).

use crate::{Office, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

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

/// A storable record. Its body is JSON with byte strings in base64url, so that an operator can `SELECT` it.
/// [`crate::Secret`] has no `Serialize`: the only way to persist a secret is a [`crate::Sealed`] field.
pub trait Record: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Whose store it belongs to.
    type Office: Office;
    /// The table's name: lower-case letters and underscores.
    const KIND: &'static str;
    /// The declared indexes.
    const INDEXES: &'static [Index] = &[];

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
