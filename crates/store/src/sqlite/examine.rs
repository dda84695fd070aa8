//! Looking at a store file without changing it, beside a process that may be working on it.

use super::{pages, prepare_connection};
use crate::migration::GENERATION;
use crate::{Identity, StoreError};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Reads the header and goes through every page of the file at `path`. Blocks; nothing is brought to a newer form.
///
/// # Errors
/// [`StoreError::WrongStore`] for another office's or trust root's file, [`StoreError::Corrupt`] for one that is damaged,
/// [`StoreError::Unavailable`] for one that cannot be read.
pub(super) fn examine(path: &Path, wanted: &Identity) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare_connection(&connection, 8_192)?;
    let rows = connection
        .prepare("SELECT name, value FROM store__meta WHERE name <> ?1")?
        .query_map([GENERATION], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, String)>, _>>()?;
    wanted.check_header(|name| rows.iter().find(|row| row.0 == name).map(|row| row.1.clone()))?;
    pages::check(&connection)
}
