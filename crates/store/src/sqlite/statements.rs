//! The SQL of each kind, written once when the store is opened. Names were checked by the catalogue; values are bound.

use crate::{Catalogue, Kind, Scan, Select};
use rusqlite::types::Value;
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
    pub version: String,
    pub insert: String,
    pub update: String,
    pub delete: String,
    pub expired: String,
    pub indexes: BTreeMap<&'static str, IndexStatements>,
}

/// One index of a kind.
#[derive(Debug)]
pub(super) struct IndexStatements {
    /// The name, for [`crate::StoreError::Duplicate`].
    pub name: &'static str,
    pub values: String,
    pub add: String,
    pub remove: String,
}

impl Statements {
    pub fn of(catalogue: &Catalogue) -> Self {
        Self { kinds: catalogue.kinds.values().map(|kind| (kind.name, KindStatements::of(kind))).collect() }
    }

    pub fn kind(&self, name: &str) -> Result<&KindStatements, crate::StoreError> {
        self.kinds.get(name).ok_or_else(|| crate::StoreError::misuse(format!("the kind {name} is not registered")))
    }

    pub fn kinds(&self) -> impl Iterator<Item = &KindStatements> {
        self.kinds.values()
    }
}

impl KindStatements {
    fn of(kind: &Kind) -> Self {
        let table = kind.name;
        let at = "WHERE \"partition\" = ?1 AND id = ?2";
        Self {
            get: format!("SELECT version, expires_at, body FROM \"{table}\" {at}"),
            version: format!("SELECT version FROM \"{table}\" {at}"),
            // A random place keeps the file from telling in which order rows came.
            insert: format!(
                "INSERT INTO \"{table}\" (place, \"partition\", id, version, expires_at, body) \
                 VALUES (random(), ?1, ?2, ?3, ?4, ?5)"
            ),
            update: format!("UPDATE \"{table}\" SET version = ?3, expires_at = ?4, body = ?5 {at}"),
            delete: format!("DELETE FROM \"{table}\" {at}"),
            expired: format!(
                "SELECT \"partition\", id FROM \"{table}\" WHERE expires_at IS NOT NULL AND expires_at < ?1 LIMIT ?2"
            ),
            indexes: kind.indexes.iter().map(|index| (index.name, IndexStatements::of(table, index.name))).collect(),
        }
    }
}

impl IndexStatements {
    fn of(table: &str, name: &'static str) -> Self {
        let side = format!("\"{table}__{name}\"");
        let at = "WHERE \"partition\" = ?1 AND id = ?2";
        Self {
            name,
            values: format!("SELECT value FROM {side} {at} ORDER BY value"),
            add: format!("INSERT INTO {side} (\"partition\", id, value) VALUES (?1, ?2, ?3)"),
            remove: format!("DELETE FROM {side} {at}"),
        }
    }
}

/// The SQL of one page and its parameters, which ask for one entry more than the page holds.
pub(super) fn scan(scan: &Scan) -> (String, Vec<Value>) {
    let mut values = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        format!("?{}", values.len())
    };
    let mut conditions = Vec::new();
    let after = scan.paging.after.as_ref();
    match (&scan.select, after) {
        (Select::Value(value), _) => conditions.push(format!("i.value = {}", bind(Value::Blob(value.clone())))),
        // A cursor stands inside the range, so it is the closer lower bound.
        (Select::Range { from, until }, after) => {
            if after.is_none_or(|cursor| cursor.value < *from) {
                conditions.push(format!("i.value >= {}", bind(Value::Blob(from.clone()))));
            }
            if let Some(until) = until {
                conditions.push(format!("i.value < {}", bind(Value::Blob(until.clone()))));
            }
        }
    }
    if let Some(cursor) = after {
        let places = [&cursor.value, &cursor.key.partition, &cursor.key.id].map(|part| bind(Value::Blob(part.clone())));
        conditions.push(format!("(i.value, i.\"partition\", i.id) > ({})", places.join(", ")));
    }
    let limit = i64::try_from(scan.paging.size() + 1).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT i.value, r.\"partition\", r.id, r.version, r.expires_at, r.body \
         FROM \"{table}__{index}\" AS i JOIN \"{table}\" AS r ON r.\"partition\" = i.\"partition\" AND r.id = i.id \
         WHERE {conditions} ORDER BY i.value, i.\"partition\", i.id LIMIT {limit}",
        table = scan.kind,
        index = scan.index,
        conditions = conditions.join(" AND "),
        limit = bind(Value::Integer(limit)),
    );
    (sql, values)
}
