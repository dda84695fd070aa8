//! Whether a file's pages hang together. A byte that flipped within a row's text is not found here but where the text is read: it does
//! not parse, a sealed field does not open, or the other nodes say otherwise.

use super::prepare_connection;
use crate::StoreError;
use crate::health::Health;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;

/// Files up to this length are looked at before they are opened: about a second. Longer ones beside the first answers.
const AT_ONCE: u64 = 256 << 20;

/// KiB of pages that a look has in memory: it comes by each of them once.
const PASSING: i64 = 512;

/// Looks at every page.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let cache: i64 = connection.pragma_query_value(None, "cache_size", |row| row.get(0))?;
    connection.pragma_update(None, "cache_size", -PASSING)?;
    // What it says names pages, never rows.
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    connection.pragma_update(None, "cache_size", cache)?;
    if said == "ok" { Ok(()) } else { Err(StoreError::corrupt(said.replace('\n', " "))) }
}

/// Whether the file is short enough to be looked at now.
pub(super) fn at_once(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |file| file.len() <= AT_ONCE)
}

/// Looks at every page on a thread of its own, which ends by itself.
pub(super) fn check_beside(path: &Path, health: &Arc<Health>) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare_connection(&connection, 8_192)?;
    let health = Arc::clone(health);
    let look = move || health.note_read(&check(&connection));
    std::thread::Builder::new().name("store-check".to_owned()).spawn(look).map_err(StoreError::unavailable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_rotted_in_a_long_file_is_told_beside_the_first_answers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (x BLOB); INSERT INTO t VALUES (zeroblob(20000))").unwrap();
        drop(connection);
        let told = |wanted: bool| {
            let health = Arc::<Health>::default();
            check_beside(&path, &health).unwrap();
            for _ in 0..200 {
                if health.sound().is_err() == wanted && (wanted || Arc::strong_count(&health) == 1) {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            panic!("{wanted}: {:?}", health.ailing());
        };
        told(false);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..8192].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        told(true);
    }
}
