//! Creating, checking and migrating the file.

use super::settle::{self, Unsettled};
use super::statements::{KindStatements, Statements};
use super::{SqliteOptions, Synchronous, pages, prepare_connection};
use crate::catalogue::check_name;
use crate::migration::{GENERATION, Opening, Recorded};
use crate::{Catalogue, Kind, StoreError};
use hufu_kernel::{Index, hex};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// A step of the tables that every store has. Applied steps are never edited: their digests are compared at every opening.
pub(super) struct Step {
    /// The tables beside the kinds' own.
    store: &'static str,
    /// Said of the table of each kind that is there already; `{kind}` is its name.
    each_kind: &'static str,
}

pub(super) const STEPS: &[Step] = &[
    Step {
        store: "
    CREATE TABLE store__meta (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE store__kind (name TEXT PRIMARY KEY NOT NULL, indexes TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE store__commit (
        id BLOB PRIMARY KEY NOT NULL, fingerprint BLOB NOT NULL, expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX store__commit__by__expiry ON store__commit (expires_at);
",
        each_kind: "",
    },
    Step {
        store: "
    ALTER TABLE store__kind ADD COLUMN migrations TEXT NOT NULL DEFAULT '';
    ALTER TABLE store__kind ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
    INSERT INTO store__meta VALUES ('generation', '0');
",
        each_kind: "ALTER TABLE \"{kind}\" ADD COLUMN form INTEGER NOT NULL DEFAULT 0",
    },
];

/// A store that is this catalogue's.
pub(super) struct Opened {
    pub connection: Connection,
    pub statements: Statements,
    /// How often its schema had changed.
    pub generation: String,
    /// Kinds that may have rows of an older form.
    pub unsettled: Vec<Unsettled>,
}

/// Opens the writing connection.
pub(super) fn open(path: &Path, catalogue: &Catalogue, options: SqliteOptions) -> Result<Opened, StoreError> {
    make_private(path)?;
    let mut connection = connect(path)?;
    if pages::at_once(path) {
        pages::check(&connection)?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    migrate(&transaction)?;
    head(&transaction, catalogue)?;
    let mut openings = BTreeMap::new();
    for kind in catalogue.kinds.values() {
        openings.insert(kind.name, register(&transaction, kind)?);
    }
    let retired = |kind: &str| openings.get(kind).map(|opening| opening.retired.clone()).unwrap_or_default();
    let statements = Statements::of(catalogue, retired);
    let mut unsettled = Vec::new();
    for kind in catalogue.kinds.values().filter(|kind| openings[kind.name].unsettled) {
        let mut rows = Unsettled::from_the_first(*kind);
        if openings[kind.name].settle_now {
            tracing::info!(kind = kind.name, "rows are brought into a new index");
            settle::all(&transaction, &mut rows, statements.kind(kind.name)?)?;
        } else {
            unsettled.push(rows);
        }
    }
    let generation = generation(&transaction)?;
    transaction.commit()?;
    if options.synchronous == Synchronous::Off {
        connection.pragma_update(None, "synchronous", "OFF")?;
    }
    limit(&connection, options.max_bytes)?;
    Ok(Opened { connection, statements, generation, unsettled })
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    prepare_connection(&connection, 32_768)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::unavailable(format!(
            "the file system allows no write-ahead log (journal mode {mode})"
        )));
    }
    connection.pragma_update(None, "secure_delete", "ON")?;
    // Pages are written back once for many commits that changed them; 32 MiB of log is read again in well under a second.
    connection.pragma_update(None, "wal_autocheckpoint", 8_192)?;
    // Creation is always synced, whatever the options say of what follows.
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn limit(connection: &Connection, most: Option<u64>) -> Result<(), StoreError> {
    let Some(bytes) = most else { return Ok(()) };
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
    connection.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))?;
    Ok(())
}

/// SQLite gives the log and the index the permissions of the file, so the file is made with the right ones.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|error| StoreError::unavailable(format!("{}: {error}", path.display())))
}

fn digest(step: &Step) -> String {
    hex(&Sha256::digest(format!("{}{}", step.store, step.each_kind).as_bytes()))
}

fn migrate(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS store__migration (number INTEGER PRIMARY KEY NOT NULL, digest TEXT NOT NULL) STRICT",
    )?;
    let applied: Vec<String> = texts(connection, "SELECT digest FROM store__migration ORDER BY number")?;
    if applied.len() > STEPS.len() {
        let sentence = "newer than this program's; use the program that wrote it";
        return Err(StoreError::misuse(format!("the store has schema {}, {sentence}", applied.len())));
    }
    for (at, step) in STEPS.iter().enumerate() {
        let digest = digest(step);
        match applied.get(at) {
            Some(found) if *found == digest => {}
            Some(_) => return Err(StoreError::corrupt(format!("migration {} is not the one applied", at + 1))),
            None => {
                connection.execute_batch(step.store)?;
                for kind in texts(connection, "SELECT name FROM store__kind")? {
                    check_name(&kind).map_err(StoreError::corrupt)?;
                    connection.execute_batch(&step.each_kind.replace("{kind}", &kind))?;
                }
                connection.execute("INSERT INTO store__migration VALUES (?1, ?2)", params![at as i64 + 1, digest])?;
            }
        }
    }
    Ok(())
}

fn texts(connection: &Connection, sql: &str) -> Result<Vec<String>, StoreError> {
    Ok(connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Writes the header into a new store, compares it in an old one.
fn head(connection: &Connection, catalogue: &Catalogue) -> Result<(), StoreError> {
    let mut query = connection.prepare("SELECT name, value FROM store__meta WHERE name <> ?1")?;
    let rows = query
        .query_map([GENERATION], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, String)>, _>>()?;
    if rows.is_empty() {
        for (name, value) in catalogue.identity.header() {
            connection.execute("INSERT INTO store__meta VALUES (?1, ?2)", params![name, value])?;
        }
        return Ok(());
    }
    catalogue.identity.check_header(|name| rows.iter().find(|row| row.0 == name).map(|row| row.1.clone()))
}

/// How often the schema has changed.
pub(super) fn generation(connection: &Connection) -> Result<String, StoreError> {
    let mut query = connection.prepare_cached("SELECT value FROM store__meta WHERE name = ?1")?;
    Ok(query.query_row([GENERATION], |row| row.get(0))?)
}

fn next_generation(connection: &Connection) -> Result<(), StoreError> {
    let next = "UPDATE store__meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = ?1";
    connection.execute(next, [GENERATION])?;
    Ok(())
}

fn remember(connection: &Connection, kind: &str, what: &Recorded) -> Result<(), StoreError> {
    let sql = "INSERT INTO store__kind (name, indexes, migrations, settled) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (name) DO UPDATE SET indexes = ?2, migrations = ?3, settled = ?4";
    connection.execute(sql, params![kind, what.indexes, what.migrations, what.settled])?;
    Ok(())
}

fn register(connection: &Connection, kind: &Kind) -> Result<Opening, StoreError> {
    let found = connection
        .query_row("SELECT indexes, migrations, settled FROM store__kind WHERE name = ?1", [kind.name], |row| {
            Ok(Recorded { indexes: row.get(0)?, migrations: row.get(1)?, settled: row.get(2)? })
        })
        .optional()?;
    let Some(found) = found else {
        make_table(connection, kind.name)?;
        make_indexes(connection, kind.name, kind.indexes)?;
        let recorded = kind.recorded();
        remember(connection, kind.name, &recorded)?;
        return kind.open(&recorded);
    };
    let opening = kind.open(&found)?;
    make_indexes(connection, kind.name, &opening.make)?;
    if let Some(now) = &opening.remember {
        remember(connection, kind.name, now)?;
        next_generation(connection)?;
    }
    Ok(opening)
}

fn make_table(connection: &Connection, table: &str) -> Result<(), StoreError> {
    Ok(connection.execute_batch(&format!(
        "CREATE TABLE \"{table}\" (
            place INTEGER PRIMARY KEY NOT NULL, \"partition\" BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL,
            expires_at INTEGER, body TEXT NOT NULL, index_values BLOB NOT NULL, form INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE INDEX \"{table}__by__expiry\" ON \"{table}\" (expires_at) WHERE expires_at IS NOT NULL;"
    ))?)
}

fn make_indexes(connection: &Connection, table: &str, indexes: &[Index]) -> Result<(), StoreError> {
    for index in indexes {
        let primary = if index.unique { "value" } else { "value, \"partition\", id" };
        connection.execute_batch(&format!(
            "CREATE TABLE \"{table}__{}\" (
                value BLOB NOT NULL, \"partition\" BLOB NOT NULL, id BLOB NOT NULL, place INTEGER NOT NULL,
                PRIMARY KEY ({primary})
            ) STRICT, WITHOUT ROWID;",
            index.name
        ))?;
    }
    Ok(())
}

/// Removes the tables of what is no longer declared; returns their names. Nobody else may have the store open.
pub(super) fn contract(path: &Path, catalogue: &Catalogue) -> Result<Vec<String>, StoreError> {
    let Opened { mut connection, .. } = open(path, catalogue, SqliteOptions::default())?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut gone = Vec::new();
    for kind in catalogue.kinds.values() {
        let opening = register(&transaction, kind)?;
        if opening.unsettled || !opening.retired.is_empty() {
            // Rows must name no index whose table is gone.
            let statements = KindStatements::of(kind, &opening.retired);
            settle::all(&transaction, &mut Unsettled::from_the_first(*kind), &statements)?;
        }
        gone.extend(opening.retired.iter().map(|index| format!("{}__{index}", kind.name)));
        remember(&transaction, kind.name, &kind.recorded())?;
    }
    for kind in texts(&transaction, "SELECT name FROM store__kind")? {
        if !catalogue.kinds.contains_key(kind.as_str()) {
            check_name(&kind).map_err(StoreError::corrupt)?;
            let indexes: String =
                transaction.query_row("SELECT indexes FROM store__kind WHERE name = ?1", [&kind], |row| row.get(0))?;
            gone.extend(indexes.split_whitespace().map(|index| format!("{kind}__{}", index.trim_end_matches('!'))));
            transaction.execute("DELETE FROM store__kind WHERE name = ?1", [&kind])?;
            gone.push(kind);
        }
    }
    for table in &gone {
        transaction.execute_batch(&format!("DROP TABLE \"{table}\""))?;
    }
    if !gone.is_empty() {
        next_generation(&transaction)?;
    }
    transaction.commit()?;
    // What was dropped leaves the log, too.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(gone)
}
