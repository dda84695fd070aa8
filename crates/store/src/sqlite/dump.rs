//! Rows out of a file that may be in use, and into a new one.

use super::statements::{BUCKET, Statements, home};
use super::{SqliteOptions, is_duplicate, prepare_connection, schema, writer};
use crate::catalogue::check_name;
use crate::dump::{Dumped, Incoming, Item, Progress, Reader, Terms, Writer, header};
use crate::{Catalogue, RawRow, StoreError, Version};
use hufu_kernel::{Key, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::io::{BufRead, Write};
use std::path::Path;

/// Writes all rows as they stand at this moment. Others go on writing meanwhile; the log grows until this is done.
pub(super) fn export(
    path: &Path,
    catalogue: &Catalogue,
    out: &mut dyn Write,
    progress: Progress<'_>,
) -> Result<Dumped, StoreError> {
    // For writing, since only then a log that a killed process left is read; nothing is written.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    prepare_connection(&connection, 8_192)?;
    // One transaction reads one state, whatever others commit.
    connection.execute_batch("BEGIN")?;
    check(&connection, catalogue)?;
    let mut writer = Writer::new(out, progress, header(&catalogue.identity))?;
    let mut query = connection.prepare("SELECT name, migrations FROM store__kind ORDER BY name")?;
    let kinds = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (name, migrations) in kinds.collect::<Result<Vec<(String, String)>, _>>()? {
        check_name(&name).map_err(StoreError::corrupt)?;
        writer.kind(&name, &migrations)?;
        let sql = format!("SELECT \"partition\", id, version, expires_at, form, body FROM \"{name}\" ORDER BY place");
        let mut query = connection.prepare(&sql)?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let key = Key { partition: row.get(0)?, id: row.get(1)? };
            let expires = row.get::<_, Option<i64>>(3)?.map(Timestamp);
            let version = Version(row.get(2)?);
            writer.row(RawRow { key, version, expires, form: row.get(4)?, body: row.get(5)? })?;
        }
    }
    let mut query = connection.prepare("SELECT id, fingerprint, expires_at FROM store__commit ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        writer.commit(row.get(0)?, row.get(1)?, row.get(2)?)?;
    }
    writer.end()
}

/// Whose store it is, and that it has the columns that are read: a store of an older program is opened by its own or a later
/// one first.
fn check(connection: &Connection, catalogue: &Catalogue) -> Result<(), StoreError> {
    let value = |name: &str| {
        let asked = connection.query_row("SELECT value FROM store__meta WHERE name = ?1", [name], |row| row.get(0));
        asked.optional().ok().flatten()
    };
    catalogue.identity.check_header(value)?;
    let steps: i64 = connection.query_row("SELECT count(*) FROM store__migration", [], |row| row.get(0))?;
    if usize::try_from(steps) != Ok(schema::STEPS.len()) {
        let sentence =
            "the store has the schema of another version than this program's; start the office with this one first";
        return Err(StoreError::misuse(sentence));
    }
    Ok(())
}

/// Makes a store of the rows at `path`, where none is yet; it is whole and synced when this answers.
pub(super) fn import(
    path: &Path,
    catalogue: &Catalogue,
    input: &mut dyn BufRead,
    progress: Progress<'_>,
    terms: Terms<'_>,
) -> Result<Dumped, StoreError> {
    if path.exists() {
        return Err(StoreError::misuse(format!("{} is there already", path.display())));
    }
    let schema::Opened { mut connection, statements, .. } = schema::open(path, catalogue, SqliteOptions::default())?;
    let transaction = connection.transaction()?;
    let mut reader = Reader::new(input, progress, catalogue, terms)?;
    while let Some(item) = reader.next()? {
        match item {
            Item::Row(incoming) => row(&transaction, &incoming, &statements)?,
            Item::Commit { id, fingerprint, expires } => {
                let sql = "INSERT INTO store__commit (id, fingerprint, expires_at) VALUES (?1, ?2, ?3)";
                transaction.prepare_cached(sql)?.execute(params![id, fingerprint, expires])?;
            }
        }
    }
    transaction.commit()?;
    // One file, so that it can be put in its place by one rename.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let sound: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(StoreError::corrupt(sound));
    }
    Ok(reader.done())
}

fn row(connection: &Connection, incoming: &Incoming, statements: &Statements) -> Result<(), StoreError> {
    let Incoming { kind, row, values } = incoming;
    let statements = statements.kind(kind.name)?;
    let mut insert = connection.prepare_cached(&statements.insert)?;
    let (home, expires) = (home(&row.key), row.expires.map(|at| at.0));
    for place in home..home + BUCKET {
        let Key { partition, id } = &row.key;
        match insert.execute(params![place, row.version.0, expires, row.body, values, partition, id]) {
            Ok(_) => {
                let taken = writer::take(connection, &row.key, statements, place, values);
                return taken.map_err(|error| kind.clashed(error));
            }
            Err(error) if is_duplicate(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::corrupt("four keys of one hash, or one row several times"))
}
