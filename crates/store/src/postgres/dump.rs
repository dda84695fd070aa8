//! Rows out of a schema that may be in use, and into one without rows.

use super::column;
use super::commit;
use super::schema::{self, Opened};
use super::statements::Statements;
use crate::catalogue::check_name;
use crate::dump::{Dumped, Incoming, Item, Progress, Reader, Terms, Writer, header};
use crate::{Catalogue, RawRow, StoreError, Version};
use deadpool_postgres::{Object, Transaction};
use hufu_kernel::{Key, Timestamp};
use std::io::{BufRead, Write};
use tokio_postgres::IsolationLevel;

/// Rows of one step.
const STEP: i64 = 1_000;

/// Writes all rows as they stand at this moment; others go on writing.
pub(super) async fn export(
    client: &mut Object,
    schema: &str,
    catalogue: &Catalogue,
    out: &mut (dyn Write + Send),
    progress: Progress<'_>,
) -> Result<Dumped, StoreError> {
    let read = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let transaction = read.start().await?;
    transaction.batch_execute(&format!("SET LOCAL search_path TO \"{schema}\"")).await?;
    check(&transaction, catalogue).await?;
    let mut writer = Writer::new(out, progress, header(&catalogue.identity))?;
    for kind in transaction.query("SELECT name, migrations FROM store__kind ORDER BY name", &[]).await? {
        let (name, migrations): (String, String) = (column(&kind, 0)?, column(&kind, 1)?);
        check_name(&name).map_err(StoreError::corrupt)?;
        writer.kind(&name, &migrations)?;
        let columns = "\"partition\", id, version, expires_at, form, body";
        let all = transaction.prepare(&format!("SELECT {columns} FROM \"{name}\" ORDER BY \"partition\", id")).await?;
        let portal = transaction.bind(&all, &[]).await?;
        loop {
            let rows = transaction.query_portal(&portal, i32::try_from(STEP).unwrap_or(1)).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let key = Key { partition: column(row, 0)?, id: column(row, 1)? };
                let expires = column::<Option<i64>>(row, 3)?.map(Timestamp);
                let version = Version(column(row, 2)?);
                writer.row(RawRow { key, version, expires, form: column(row, 4)?, body: column(row, 5)? })?;
            }
        }
    }
    for row in transaction.query("SELECT id, fingerprint, expires_at FROM store__commit ORDER BY id", &[]).await? {
        writer.commit(column(&row, 0)?, column(&row, 1)?, column(&row, 2)?)?;
    }
    writer.end()
}

/// Whose store it is, and that it has the columns that are read.
async fn check(transaction: &Transaction<'_>, catalogue: &Catalogue) -> Result<(), StoreError> {
    let mut found = Vec::new();
    for row in transaction.query("SELECT name, value FROM store__meta", &[]).await? {
        found.push((column::<String>(&row, 0)?, column::<String>(&row, 1)?));
    }
    catalogue.identity.check_header(|name| found.iter().find(|row| row.0 == name).map(|row| row.1.clone()))?;
    let steps: i64 = column(&transaction.query_one("SELECT count(*) FROM store__migration", &[]).await?, 0)?;
    if usize::try_from(steps) != Ok(schema::STEPS.len()) {
        let sentence =
            "the store has the schema of another version than this program's; start the office with this one first";
        return Err(StoreError::misuse(sentence));
    }
    Ok(())
}

/// Whether any row is there.
pub(super) async fn holds_rows(client: &mut Object, schema: &str, catalogue: &Catalogue) -> Result<bool, StoreError> {
    drop(schema::open(client, schema, catalogue).await?);
    for kind in catalogue.kinds.keys() {
        let asked = format!("SELECT EXISTS (SELECT 1 FROM \"{schema}\".\"{kind}\")");
        if column::<bool>(&client.query_one(&asked, &[]).await?, 0)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts the rows in place of all that are there, in one transaction.
pub(super) async fn import(
    client: &mut Object,
    schema: &str,
    catalogue: &Catalogue,
    input: &mut (dyn BufRead + Send),
    progress: Progress<'_>,
    terms: Terms<'_>,
) -> Result<Dumped, StoreError> {
    let Opened { statements, .. } = schema::open(client, schema, catalogue).await?;
    let transaction = client.build_transaction().start().await?;
    transaction.batch_execute(&format!("SET LOCAL search_path TO \"{schema}\"")).await?;
    // A process that has the store open, on whatever machine, reads and writes nothing more in it.
    schema::shut_out(&transaction).await?;
    for kind in catalogue.kinds.values() {
        let sides = kind.indexes.iter().map(|index| format!("{}__{}", kind.name, index.name));
        for table in sides.chain([kind.name.to_owned()]) {
            transaction.batch_execute(&format!("DELETE FROM \"{schema}\".\"{table}\"")).await?;
        }
    }
    transaction.batch_execute(&format!("DELETE FROM \"{schema}\".store__commit")).await?;
    let remember = format!("INSERT INTO \"{schema}\".store__commit (id, fingerprint, expires_at) VALUES ($1, $2, $3)");
    let mut reader = Reader::new(input, progress, catalogue, terms)?;
    while let Some(item) = reader.next()? {
        match item {
            Item::Row(incoming) => row(&transaction, &incoming, &statements).await?,
            Item::Commit { id, fingerprint, expires } => {
                let insert = transaction.prepare_cached(&remember).await?;
                transaction.execute(&insert, &[&id, &fingerprint, &expires]).await?;
            }
        }
    }
    transaction.commit().await?;
    Ok(reader.done())
}

async fn row(transaction: &Transaction<'_>, incoming: &Incoming, statements: &Statements) -> Result<(), StoreError> {
    let Incoming { kind, row, values } = incoming;
    let statements = statements.kind(kind.name)?;
    let insert = transaction.prepare_cached(&statements.insert).await?;
    let (Key { partition, id }, expires) = (&row.key, row.expires.map(|at| at.0));
    let added = transaction.execute(&insert, &[partition, id, &row.version.0, &expires, &row.body, values]).await?;
    if added != 1 {
        return Err(StoreError::corrupt("one row several times"));
    }
    commit::take(transaction, &row.key, statements, values).await.map_err(|failure| kind.clashed(failure.into()))
}
