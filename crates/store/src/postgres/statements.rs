//! The SQL of each kind. Names were checked by the catalogue; values are bound.

use crate::{Catalogue, Kind, Scan, StoreError, scan_sql};
use std::collections::BTreeMap;

/// All kinds of one office's schema.
pub(super) struct Statements {
    schema: String,
    kinds: BTreeMap<&'static str, KindStatements>,
    pub remember: String,
    pub remembered: String,
    pub forget: String,
}

/// One kind.
pub(super) struct KindStatements {
    pub get: String,
    /// Locks a row that is to be written.
    pub lock: String,
    /// Locks a row that must stay as it is; others may require it too.
    pub share: String,
    pub insert: String,
    pub update: String,
    pub delete: String,
    pub expired: String,
    pub indexes: BTreeMap<&'static str, IndexStatements>,
}

/// One index of a kind.
pub(super) struct IndexStatements {
    /// The name, for [`StoreError::Duplicate`].
    pub name: &'static str,
    /// Adds several values of one row; how many were added says whether all were free.
    pub add: String,
    pub remove: String,
}

const AT: &str = "WHERE \"partition\" = $1 AND id = $2";

impl Statements {
    pub fn of(schema: &str, catalogue: &Catalogue) -> Self {
        let commits = format!("\"{schema}\".store__commit");
        Self {
            schema: schema.to_owned(),
            kinds: catalogue.kinds.values().map(|kind| (kind.name, KindStatements::of(schema, kind))).collect(),
            remember: format!(
                "INSERT INTO {commits} (id, fingerprint, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
            ),
            remembered: format!("SELECT fingerprint FROM {commits} WHERE id = $1"),
            forget: format!(
                "DELETE FROM {commits} WHERE id IN \
                 (SELECT id FROM {commits} WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)"
            ),
        }
    }

    pub fn kind(&self, name: &str) -> Result<&KindStatements, StoreError> {
        self.kinds.get(name).ok_or_else(|| StoreError::misuse(format!("the kind {name} is not registered")))
    }

    pub fn kinds(&self) -> impl Iterator<Item = &KindStatements> {
        self.kinds.values()
    }

    /// The SQL of one page and its parameters.
    pub fn scan(&self, scan: &Scan) -> (String, Vec<Vec<u8>>) {
        let (schema, kind, index) = (&self.schema, scan.kind, scan.index);
        let from = format!(
            "\"{schema}\".\"{kind}__{index}\" AS i JOIN \"{schema}\".\"{kind}\" AS r \
             ON r.\"partition\" = i.\"partition\" AND r.id = i.id"
        );
        scan_sql::page(scan, &from, '$')
    }
}

impl KindStatements {
    fn of(schema: &str, kind: &Kind) -> Self {
        let table = format!("\"{schema}\".\"{}\"", kind.name);
        Self {
            get: format!("SELECT version, expires_at, body FROM {table} {AT}"),
            lock: format!("SELECT version, index_values FROM {table} {AT} FOR UPDATE"),
            share: format!("SELECT version, index_values FROM {table} {AT} FOR SHARE"),
            insert: format!(
                "INSERT INTO {table} (\"partition\", id, version, expires_at, body, index_values) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"
            ),
            update: format!("UPDATE {table} SET version = $3, expires_at = $4, body = $5, index_values = $6 {AT}"),
            delete: format!("DELETE FROM {table} {AT}"),
            expired: format!(
                "DELETE FROM {table} WHERE (\"partition\", id) IN \
                 (SELECT \"partition\", id FROM {table} WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) \
                 RETURNING \"partition\", id, index_values"
            ),
            indexes: kind.indexes.iter().map(|i| (i.name, IndexStatements::of(schema, kind.name, i.name))).collect(),
        }
    }
}

impl KindStatements {
    /// # Errors
    /// [`StoreError::Corrupt`]: only declared indexes are ever written into a row.
    pub fn index(&self, name: &[u8]) -> Result<&IndexStatements, StoreError> {
        let known = std::str::from_utf8(name).ok().and_then(|name| self.indexes.get(name));
        known.ok_or_else(|| StoreError::corrupt("a row holds a value in an index that is not declared"))
    }
}

impl IndexStatements {
    fn of(schema: &str, kind: &str, name: &'static str) -> Self {
        let side = format!("\"{schema}\".\"{kind}__{name}\"");
        Self {
            name,
            add: format!(
                "INSERT INTO {side} (\"partition\", id, value) SELECT $1, $2, value FROM unnest($3::bytea[]) AS value \
                 ON CONFLICT DO NOTHING"
            ),
            remove: format!("DELETE FROM {side} {AT} AND value = ANY($3::bytea[])"),
        }
    }
}
