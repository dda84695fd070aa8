//! The SQL of each kind. Names were checked by the catalogue; values are bound.

use crate::migration::GENERATION;
use crate::{Catalogue, Kind, Scan, StoreError, scan_sql};
use std::collections::BTreeMap;

/// All kinds of one office's schema.
pub(super) struct Statements {
    schema: String,
    /// How often the schema had changed when the store was opened.
    generation: String,
    kinds: BTreeMap<&'static str, KindStatements>,
    pub remember: String,
    pub remembered: String,
    /// Whether the store is as it was when it was opened, and stays so until the transaction ends: whoever changes it waits for all
    /// that have looked at `store__commit`, as this does.
    pub current: String,
    /// The generation that the store has now.
    pub generation_now: String,
    /// No row of a kind has an older form.
    pub settled: String,
    pub forget: String,
    /// Writes a row and changes nothing.
    pub probe: String,
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
    /// A page of rows behind a key, of forms older than today's; locked.
    pub page: String,
    /// The same, from the first.
    pub first_page: String,
    pub settle: String,
    /// Those no longer declared, too: rows still leave them.
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
    /// `retired` are the indexes of a kind that have a table and are no longer declared; `generation` is how often the schema
    /// had changed when the store was opened.
    pub fn of(
        schema: &str,
        catalogue: &Catalogue,
        retired: impl Fn(&str) -> Vec<&'static str>,
        generation: &str,
    ) -> Self {
        let commits = format!("\"{schema}\".store__commit");
        let current = format!(
            "EXISTS (SELECT 1 FROM \"{schema}\".store__meta WHERE name = '{GENERATION}' AND value = '{generation}')"
        );
        let now = format!("SELECT value FROM \"{schema}\".store__meta WHERE name = '{GENERATION}'");
        let kinds = catalogue.kinds.values();
        Self {
            schema: schema.to_owned(),
            generation: generation.to_owned(),
            kinds: kinds.map(|kind| (kind.name, KindStatements::of(schema, kind, &retired(kind.name)))).collect(),
            remember: format!(
                "INSERT INTO {commits} (id, fingerprint, expires_at) \
                 SELECT $1::bytea, $2::bytea, $3::bigint WHERE {current} ON CONFLICT DO NOTHING"
            ),
            current: format!("SELECT {current}, EXISTS (SELECT 1 FROM {commits})"),
            generation_now: now,
            probe: format!("UPDATE \"{schema}\".store__meta SET value = value WHERE name = '{GENERATION}'"),
            settled: format!("UPDATE \"{schema}\".store__kind SET settled = $1 WHERE name = $2"),
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
        scan_sql::page(scan, &from, &format!(", ({})", self.generation_now), '$')
    }

    /// Whether what was read is of the store that was opened.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`]; [`StoreError::Unavailable`] for a standby that has not heard yet of what was there at the opening.
    pub fn check_generation(&self, found: &str) -> Result<(), StoreError> {
        if found == self.generation {
            return Ok(());
        }
        match (found.parse::<u64>(), self.generation.parse::<u64>()) {
            (Ok(found), Ok(opened)) if found < opened => {
                Err(StoreError::unavailable("the server that answered is behind the one that takes writes"))
            }
            _ => Err(StoreError::Overtaken),
        }
    }
}

impl KindStatements {
    pub fn of(schema: &str, kind: &Kind, retired: &[&'static str]) -> Self {
        let table = format!("\"{schema}\".\"{}\"", kind.name);
        let form = kind.form();
        let page =
            format!("SELECT \"partition\", id, version, form, body, index_values FROM {table} WHERE form < {form}");
        let order = "ORDER BY \"partition\", id LIMIT $1 FOR UPDATE";
        let declared = kind.indexes.iter().map(|index| index.name);
        Self {
            // One row at all times: that there is none is said of a store that is the one that was opened, too.
            get: format!(
                "SELECT g.value, r.version, r.expires_at, r.form, r.body FROM \"{schema}\".store__meta AS g \
                 LEFT JOIN {table} AS r ON r.\"partition\" = $1 AND r.id = $2 WHERE g.name = '{GENERATION}'"
            ),
            lock: format!("SELECT version, index_values FROM {table} {AT} FOR UPDATE"),
            share: format!("SELECT version, index_values FROM {table} {AT} FOR SHARE"),
            insert: format!(
                "INSERT INTO {table} (\"partition\", id, version, expires_at, body, index_values, form) \
                 VALUES ($1, $2, $3, $4, $5, $6, {form}) ON CONFLICT DO NOTHING"
            ),
            update: format!(
                "UPDATE {table} SET version = $3, expires_at = $4, body = $5, index_values = $6, form = {form} {AT}"
            ),
            delete: format!("DELETE FROM {table} {AT}"),
            expired: format!(
                "DELETE FROM {table} WHERE (\"partition\", id) IN \
                 (SELECT \"partition\", id FROM {table} WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) \
                 RETURNING \"partition\", id, index_values"
            ),
            page: format!("{page} AND (\"partition\", id) > ($2, $3) {order}"),
            first_page: format!("{page} {order}"),
            settle: format!("UPDATE {table} SET expires_at = $3, body = $4, index_values = $5, form = {form} {AT}"),
            indexes: declared
                .chain(retired.iter().copied())
                .map(|name| (name, IndexStatements::of(schema, kind.name, name)))
                .collect(),
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
