//! Writing rows of an older form in today's.

use super::statements::KindStatements;
use super::writer;
use crate::{Kind, RawRow, StoreError, Version};
use hufu_kernel::Key;
use rusqlite::{Connection, params};

/// Rows looked at in one step.
const STEP: u32 = 1_000;

/// A kind that may have rows of an older form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsettled {
    pub kind: Kind,
    /// Rows before this place are settled; `None` when all are.
    from: Option<i64>,
}

impl Unsettled {
    pub fn from_the_first(kind: Kind) -> Self {
        Self { kind, from: Some(i64::MIN) }
    }

    pub fn is_done(&self) -> bool {
        self.from.is_none()
    }
}

/// Settles every row of a kind.
pub(super) fn all(
    connection: &Connection,
    rows: &mut Unsettled,
    statements: &KindStatements,
) -> Result<(), StoreError> {
    while !rows.is_done() {
        some(connection, rows, statements, STEP)?;
    }
    Ok(())
}

/// Looks at the next rows, at most `limit`, and returns how many of them were written anew.
pub(super) fn some(
    connection: &Connection,
    rows: &mut Unsettled,
    statements: &KindStatements,
    limit: u32,
) -> Result<u32, StoreError> {
    let Some(from) = rows.from.filter(|_| limit > 0) else { return Ok(0) };
    let page = page(connection, from, statements, limit)?;
    rows.from = page.last().and_then(|(place, ..)| place.checked_add(1));
    let mut written = 0;
    for (place, row, held) in &page {
        if row.form != rows.kind.form() {
            write(connection, &rows.kind, statements, *place, row, held)?;
            written += 1;
        }
    }
    if rows.is_done() {
        connection.execute(&statements.settled, [])?;
    }
    Ok(written)
}

type Found = (i64, RawRow, Vec<u8>);

fn page(connection: &Connection, from: i64, statements: &KindStatements, limit: u32) -> Result<Vec<Found>, StoreError> {
    let mut query = connection.prepare_cached(&statements.page)?;
    let rows = query.query_map((from, limit), |row| {
        let key = Key { partition: row.get(1)?, id: row.get(2)? };
        let version = Version(row.get(3)?);
        Ok((row.get(0)?, RawRow { key, version, expires: None, form: row.get(4)?, body: row.get(5)? }, row.get(6)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn write(
    connection: &Connection,
    kind: &Kind,
    statements: &KindStatements,
    place: i64,
    row: &RawRow,
    held: &[u8],
) -> Result<(), StoreError> {
    let settled = kind.settle(row)?;
    let expires = settled.expires.map(|at| at.0);
    connection.prepare_cached(&statements.settle)?.execute(params![place, expires, settled.body, settled.values])?;
    if settled.values != held {
        writer::release(connection, &row.key, statements, held)?;
        let taken = writer::take(connection, &row.key, statements, place, &settled.values);
        taken.map_err(|error| kind.clashed(error))?;
    }
    Ok(())
}
