//! The SQL of each kind, written once when the store is opened. Names were checked by the catalogue; values are bound.

use crate::{Catalogue, Kind, Scan, StoreError, scan_sql};
use hufu_kernel::{Index, Key, framed};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// All kinds.
#[derive(Debug)]
pub(super) struct Statements {
    kinds: BTreeMap<&'static str, KindStatements>,
}

/// One kind.
#[derive(Debug)]
pub(super) struct KindStatements {
    pub get: String,
    pub state: String,
    pub insert: String,
    pub update: String,
    pub delete: String,
    pub expired: String,
    /// A page of rows from a place on, whatever their form; the body only of those whose form is older than today's.
    pub page: String,
    pub settle: String,
    pub settled: String,
    /// Those no longer declared, too: rows still leave them.
    pub indexes: BTreeMap<&'static str, IndexStatements>,
}

/// One index of a kind.
#[derive(Debug)]
pub(super) struct IndexStatements {
    /// The name, for [`crate::StoreError::Duplicate`].
    pub name: &'static str,
    /// Who holds a value; only of a unique index.
    pub holder: Option<String>,
    pub add: String,
    pub remove: String,
}

/// Rows stand in the table by a hash of their key: one descent finds a row, there is no second index to write, and the
/// file keeps no order of arrival. Four places share a bucket, so that two keys of one hash (once in 2⁶² pairs) fit.
pub(super) const BUCKET: i64 = 4;

/// The first place of a key's bucket.
pub(super) fn home(key: &Key) -> i64 {
    let hash: [u8; 32] = Sha256::digest(framed(&[&key.partition, &key.id])).into();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(first) & !(BUCKET - 1)
}

impl Statements {
    /// `retired` are the indexes of a kind that have a table and are no longer declared.
    pub fn of(catalogue: &Catalogue, retired: impl Fn(&str) -> Vec<&'static str>) -> Self {
        let kinds = catalogue.kinds.values();
        Self { kinds: kinds.map(|kind| (kind.name, KindStatements::of(kind, &retired(kind.name)))).collect() }
    }

    pub fn kind(&self, name: &str) -> Result<&KindStatements, StoreError> {
        self.kinds.get(name).ok_or_else(|| StoreError::misuse(format!("the kind {name} is not registered")))
    }

    pub fn kinds(&self) -> impl Iterator<Item = &KindStatements> {
        self.kinds.values()
    }
}

impl KindStatements {
    pub fn of(kind: &Kind, retired: &[&'static str]) -> Self {
        let (table, form) = (kind.name, kind.form());
        let retired = retired.iter().map(|name| Index { name, unique: false });
        let at = "WHERE place BETWEEN ?1 AND ?1 + 3 AND \"partition\" = ?2 AND id = ?3";
        Self {
            get: format!("SELECT version, expires_at, form, body FROM \"{table}\" {at}"),
            state: format!("SELECT place, version, index_values FROM \"{table}\" {at}"),
            insert: format!(
                "INSERT INTO \"{table}\" (place, version, expires_at, body, index_values, \"partition\", id, form) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, {form})"
            ),
            update: format!(
                "UPDATE \"{table}\" SET version = ?2, expires_at = ?3, body = ?4, index_values = ?5, form = {form} \
                 WHERE place = ?1"
            ),
            delete: format!("DELETE FROM \"{table}\" WHERE place = ?1"),
            expired: format!(
                "SELECT place, \"partition\", id, index_values FROM \"{table}\" \
                 WHERE expires_at IS NOT NULL AND expires_at < ?1 LIMIT ?2"
            ),
            page: format!(
                "SELECT place, \"partition\", id, version, form, CASE WHEN form < {form} THEN body ELSE '' END, index_values \
                 FROM \"{table}\" WHERE place >= ?1 ORDER BY place LIMIT ?2"
            ),
            settle: format!(
                "UPDATE \"{table}\" SET expires_at = ?2, body = ?3, index_values = ?4, form = {form} WHERE place = ?1"
            ),
            settled: format!("UPDATE store__kind SET settled = {form} WHERE name = '{table}'"),
            indexes: kind
                .indexes
                .iter()
                .copied()
                .chain(retired)
                .map(|index| (index.name, IndexStatements::of(table, &index)))
                .collect(),
        }
    }
}

impl IndexStatements {
    fn of(table: &str, index: &Index) -> Self {
        let side = format!("\"{table}__{}\"", index.name);
        Self {
            name: index.name,
            holder: index.unique.then(|| format!("SELECT \"partition\", id FROM {side} WHERE value = ?1")),
            add: format!("INSERT INTO {side} (value, \"partition\", id, place) VALUES (?1, ?2, ?3, ?4)"),
            remove: format!("DELETE FROM {side} WHERE value = ?1 AND \"partition\" = ?2 AND id = ?3"),
        }
    }
}

/// The SQL of one page and its parameters.
pub(super) fn scan(scan: &Scan) -> (String, Vec<Vec<u8>>) {
    scan_sql::page(
        scan,
        &format!("\"{0}__{1}\" AS i JOIN \"{0}\" AS r ON r.place = i.place", scan.kind, scan.index),
        "",
        '?',
    )
}
