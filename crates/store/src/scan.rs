//! Reading by a declared index, page by page.

use crate::RawRow;
use crate::values::next_part;
use hufu_kernel::{Key, framed};

/// Which values of an index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Select {
    /// Exactly this value.
    Value(Vec<u8>),
    /// From this value on, and before the other if there is one; byte order.
    Range {
        /// The first value included.
        from: Vec<u8>,
        /// The first value no longer included.
        until: Option<Vec<u8>>,
    },
}

impl Select {
    /// Every value.
    #[must_use]
    pub fn all() -> Self {
        Self::Range { from: Vec::new(), until: None }
    }

    /// Every value that begins with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut until = prefix.to_vec();
        // The next byte string after all those with the prefix: drop trailing 0xFF, add one to the last byte.
        while let Some(last) = until.pop() {
            if last < u8::MAX {
                until.push(last + 1);
                return Self::Range { from: prefix.to_vec(), until: Some(until) };
            }
        }
        Self::Range { from: prefix.to_vec(), until: None }
    }

    /// Whether `value` is selected.
    #[must_use]
    pub fn admits(&self, value: &[u8]) -> bool {
        match self {
            Self::Value(wanted) => wanted == value,
            Self::Range { from, until } => {
                from.as_slice() <= value && until.as_ref().is_none_or(|until| value < until.as_slice())
            }
        }
    }
}

/// Where the next page begins: the last index entry of the page before.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cursor {
    /// The value in the index.
    pub value: Vec<u8>,
    /// The row.
    pub key: Key,
}

impl Cursor {
    /// Value, partition and id, framed (flows 1).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        framed(&[&self.value, &self.key.partition, &self.key.id])
    }

    /// Reads what [`Cursor::to_bytes`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (value, rest) = next_part(bytes)?;
        let (partition, rest) = next_part(rest)?;
        let (id, rest) = next_part(rest)?;
        let key = Key { partition: partition.to_vec(), id: id.to_vec() };
        rest.is_empty().then(|| Self { value: value.to_vec(), key })
    }
}

/// Which page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paging {
    /// `None` for the first page.
    pub after: Option<Cursor>,
    /// How many index entries; 1 to [`Paging::MOST`], other values are moved there.
    pub limit: u32,
}

impl Paging {
    /// The longest page.
    pub const MOST: u32 = 1_000;

    /// The first page.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }

    /// The page after `cursor`.
    #[must_use]
    pub fn after(cursor: Cursor, limit: u32) -> Self {
        Self { after: Some(cursor), limit }
    }

    pub(crate) fn size(&self) -> usize {
        self.limit.clamp(1, Self::MOST) as usize
    }
}

/// A read by a declared index. A row with several selected values appears once for each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// The kind.
    pub kind: &'static str,
    /// The index, declared by the kind.
    pub index: &'static str,
    /// Which values.
    pub select: Select,
    /// Which page.
    pub paging: Paging,
}

/// One page of index entries with their rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RawPage {
    /// In the order of (value, partition, id).
    pub rows: Vec<RawRow>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

impl RawPage {
    /// A page from up to `size + 1` entries in order: the extra one says that there are more.
    pub(crate) fn of(mut entries: Vec<(Vec<u8>, RawRow)>, size: usize) -> Self {
        let more = entries.len() > size;
        entries.truncate(size);
        let last = entries.last().filter(|_| more);
        let next = last.map(|(value, row)| Cursor { value: value.clone(), key: row.key.clone() });
        Self { rows: entries.into_iter().map(|(_, row)| row).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back(value: Vec<u8>, partition: Vec<u8>, id: Vec<u8>) {
            let cursor = Cursor { value, key: Key { partition, id } };
            prop_assert_eq!(Cursor::from_bytes(&cursor.to_bytes()), Some(cursor));
        }

        #[test]
        fn a_prefix_admits_exactly_what_begins_with_it(
            prefix in prop::collection::vec(prop_oneof![Just(0), Just(0xFE), Just(0xFF)], 0..4),
            value in prop::collection::vec(prop_oneof![Just(0), Just(0xFE), Just(0xFF)], 0..5),
        ) {
            prop_assert_eq!(Select::prefix(&prefix).admits(&value), value.starts_with(&prefix));
        }
    }

    #[test]
    fn whatever_reads_as_a_cursor_has_one_spelling() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Some(cursor) = Cursor::from_bytes(bytes) {
                assert_eq!(cursor.to_bytes(), bytes);
            }
        });
    }
}
