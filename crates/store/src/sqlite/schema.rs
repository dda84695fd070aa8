//! Creating, checking and migrating the file.

use super::{SqliteOptions, Synchronous, prepare_connection};
use crate::{Catalogue, Kind, StoreError};
use hufu_kernel::hex;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The tables beside the kinds' own. Applied migrations are never edited: their digests are compared at every opening.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE store__meta (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE store__kind (name TEXT PRIMARY KEY NOT NULL, indexes TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE store__commit (
        id BLOB PRIMARY KEY NOT NULL, fingerprint BLOB NOT NULL, expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX store__commit__by__expiry ON store__commit (expires_at);
"];

/// Opens the writing connection to a store that is this catalogue's.
pub(super) fn open(path: &Path, catalogue: &Catalogue, options: SqliteOptions) -> Result<Connection, StoreError> {
    make_private(path)?;
    let mut connection = Connection::open(path)?;
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
    // Creation is always synced, whatever the option says of what follows.
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    migrate(&transaction)?;
    head(&transaction, catalogue)?;
    for kind in catalogue.kinds.values() {
        register(&transaction, kind)?;
    }
    transaction.commit()?;
    if options.synchronous == Synchronous::Off {
        connection.pragma_update(None, "synchronous", "OFF")?;
    }
    if let Some(bytes) = options.max_bytes {
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        connection.pragma_update_and_check(
            None,
            "max_page_count",
            i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1),
            |row| row.get::<_, i64>(0),
        )?;
    }
    Ok(connection)
}

/// SQLite gives the log and the index the permissions of the file, so the file is made with the right ones.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|error| StoreError::unavailable(format!("{}: {error}", path.display())))
}

fn digest(migration: &str) -> String {
    hex(&Sha256::digest(migration.as_bytes()))
}

fn migrate(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS store__migration (number INTEGER PRIMARY KEY NOT NULL, digest TEXT NOT NULL) STRICT",
    )?;
    let mut query = connection.prepare("SELECT digest FROM store__migration ORDER BY number")?;
    let applied = query.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    if applied.len() > MIGRATIONS.len() {
        return Err(StoreError::misuse(format!("the store has schema {}, newer than this program's", applied.len())));
    }
    for (at, migration) in MIGRATIONS.iter().enumerate() {
        let digest = digest(migration);
        match applied.get(at) {
            Some(found) if *found == digest => {}
            Some(_) => return Err(StoreError::corrupt(format!("migration {} is not the one applied", at + 1))),
            None => {
                connection.execute_batch(migration)?;
                connection.execute("INSERT INTO store__migration VALUES (?1, ?2)", params![at as i64 + 1, digest])?;
            }
        }
    }
    Ok(())
}

/// Writes the header into a new store, compares it in an old one.
fn head(connection: &Connection, catalogue: &Catalogue) -> Result<(), StoreError> {
    let mut query = connection.prepare("SELECT name, value FROM store__meta")?;
    let rows =
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<(String, String)>, _>>()?;
    if rows.is_empty() {
        for (name, value) in catalogue.identity.header() {
            connection.execute("INSERT INTO store__meta VALUES (?1, ?2)", params![name, value])?;
        }
        return Ok(());
    }
    catalogue.identity.check_header(|name| rows.iter().find(|row| row.0 == name).map(|row| row.1.clone()))
}

fn register(connection: &Connection, kind: &Kind) -> Result<(), StoreError> {
    let declared = kind.declaration();
    let found: Option<String> = connection
        .query_row("SELECT indexes FROM store__kind WHERE name = ?1", [kind.name], |row| row.get(0))
        .optional()?;
    match found {
        Some(found) if found == declared => return Ok(()),
        Some(found) => return Err(kind.changed(&found)),
        None => connection.execute("INSERT INTO store__kind VALUES (?1, ?2)", params![kind.name, declared])?,
    };
    let table = kind.name;
    connection.execute_batch(&format!(
        "CREATE TABLE \"{table}\" (
            place INTEGER PRIMARY KEY NOT NULL, \"partition\" BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL,
            expires_at INTEGER, body TEXT NOT NULL, index_values BLOB NOT NULL
        ) STRICT;
        CREATE INDEX \"{table}__by__expiry\" ON \"{table}\" (expires_at) WHERE expires_at IS NOT NULL;"
    ))?;
    for index in kind.indexes {
        let side = format!("{table}__{}", index.name);
        let primary = if index.unique { "value" } else { "value, \"partition\", id" };
        connection.execute_batch(&format!(
            "CREATE TABLE \"{side}\" (
                value BLOB NOT NULL, \"partition\" BLOB NOT NULL, id BLOB NOT NULL, place INTEGER NOT NULL,
                PRIMARY KEY ({primary})
            ) STRICT, WITHOUT ROWID;"
        ))?;
    }
    Ok(())
}
