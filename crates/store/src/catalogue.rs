//! Which kinds of record a store holds, declared when it is opened.

use crate::{Identity, StoreError, TrustRoot, migration};
use hufu_kernel::{Index, Key, Migration, NodeIndex, Office, Record, Timestamp, is_plain_name};
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// One declared kind of record.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The table's name.
    pub name: &'static str,
    /// Its indexes.
    pub indexes: &'static [Index],
    /// Its steps from its first form to today's.
    pub migrations: &'static [Migration],
    /// What the record type says of a row whose body has today's form.
    pub(crate) shape: fn(&Key, &str) -> Result<Shape, StoreError>,
}

/// What a record type says of a row besides its body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    /// When it may be swept.
    pub expires: Option<Timestamp>,
    /// Its index values, sorted, none twice.
    pub values: Vec<(&'static str, Vec<u8>)>,
}

/// What an engine is told when it is opened: whose store, and which kinds.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Whose store.
    pub identity: Identity,
    /// The kinds, by name.
    pub kinds: BTreeMap<&'static str, Kind>,
}

/// A catalogue of office `O`, built from its record types.
#[derive(Clone, Debug)]
pub struct Schema<O> {
    catalogue: Catalogue,
    twice: Option<&'static str>,
    office: PhantomData<fn() -> O>,
}

impl<O: Office> Schema<O> {
    /// An empty catalogue of office `O` under `trust`.
    #[must_use]
    pub fn new(trust: TrustRoot) -> Self {
        let identity = Identity { office: O::NAME.to_owned(), trust };
        Self { catalogue: Catalogue { identity, kinds: BTreeMap::new() }, twice: None, office: PhantomData }
    }

    /// Names which of three equal offices this store is for, so that one node's store does not open at another.
    #[must_use]
    pub fn numbered(mut self, index: NodeIndex) -> Self {
        self.catalogue.identity.office = format!("{}-{index}", O::NAME);
        self
    }

    /// Registers a record type and its indexes.
    #[must_use]
    pub fn record<R: Record<Office = O>>(mut self) -> Self {
        let kind = Kind { name: R::KIND, indexes: R::INDEXES, migrations: R::MIGRATIONS, shape: shape::<R> };
        if self.catalogue.kinds.insert(R::KIND, kind).is_some() {
            self.twice = Some(R::KIND);
        }
        self
    }

    /// The checked catalogue.
    ///
    /// # Errors
    /// [`StoreError::Misuse`] for two types of one kind, or names that cannot be tables.
    pub fn catalogue(&self) -> Result<Catalogue, StoreError> {
        if let Some(kind) = self.twice {
            return Err(StoreError::misuse(format!("two record types are called {kind}")));
        }
        self.catalogue.check()?;
        Ok(self.catalogue.clone())
    }
}

fn shape<R: Record>(key: &Key, body: &str) -> Result<Shape, StoreError> {
    let record: R = parse(key, body)?;
    let mut values = record.index_values();
    values.sort();
    values.dedup();
    Ok(Shape { expires: record.expires(), values })
}

/// The record in a body of today's form. One under another row's key is not that row: someone moved it.
pub(crate) fn parse<R: Record>(key: &Key, body: &str) -> Result<R, StoreError> {
    // The parser's message may quote the body, so it is not passed on.
    let record: R = serde_json::from_str(body)
        .map_err(|error| StoreError::corrupt(format!("a {} does not parse at column {}", R::KIND, error.column())))?;
    if record.key() != *key {
        return Err(StoreError::corrupt(format!("a {} stands under another row's key", R::KIND)));
    }
    Ok(record)
}

impl Catalogue {
    /// A declared kind.
    ///
    /// # Errors
    /// [`StoreError::Misuse`] if it was not registered.
    pub fn kind(&self, name: &str) -> Result<&Kind, StoreError> {
        self.kinds.get(name).ok_or_else(|| StoreError::misuse(format!("the kind {name} is not registered")))
    }

    /// Table names are built from these names, so they are checked before any SQL is.
    fn check(&self) -> Result<(), StoreError> {
        for kind in self.kinds.values() {
            check_name(kind.name)?;
            for (at, index) in kind.indexes.iter().enumerate() {
                check_name(index.name)?;
                // PostgreSQL cuts identifiers off at 63 bytes; the longest suffix is ours below.
                if kind.name.len() + index.name.len() > 48 {
                    return Err(StoreError::misuse(format!("{}.{} is too long", kind.name, index.name)));
                }
                if kind.indexes[..at].iter().any(|other| other.name == index.name) {
                    return Err(StoreError::misuse(format!("{}.{} is declared twice", kind.name, index.name)));
                }
            }
            migration::check(kind)?;
        }
        Ok(())
    }
}

/// Two underscores separate the parts of our own table names (`store__meta`, `row__number`), so no name may hold them.
pub(crate) fn check_name(name: &str) -> Result<(), StoreError> {
    let reserved = name == "store" || name.starts_with("sqlite_") || name.starts_with("pg_");
    if !is_plain_name(name) || name.contains("__") || name.starts_with('_') || name.ends_with('_') || reserved {
        return Err(StoreError::misuse(format!("{name:?} cannot name a table or an index")));
    }
    Ok(())
}

impl Kind {
    /// The declared index of this name.
    ///
    /// # Errors
    /// [`StoreError::Misuse`] if it was not declared.
    pub fn index(&self, name: &str) -> Result<Index, StoreError> {
        self.indexes
            .iter()
            .find(|index| index.name == name)
            .copied()
            .ok_or_else(|| StoreError::misuse(format!("{}.{name} is not a declared index", self.name)))
    }
}
