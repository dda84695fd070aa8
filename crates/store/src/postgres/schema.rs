//! Creating, checking and migrating an office's schema.

use super::settle::{self, Unsettled};
use super::statements::Statements;
use crate::catalogue::check_name;
use crate::migration::{GENERATION, Opening, Recorded};
use crate::{Catalogue, Kind, StoreError};
use deadpool_postgres::Object;
use hufu_kernel::{Index, hex, is_plain_name};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

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
    CREATE TABLE store__meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE store__kind (name TEXT PRIMARY KEY, indexes TEXT NOT NULL);
    CREATE TABLE store__commit (id BYTEA PRIMARY KEY, fingerprint BYTEA NOT NULL, expires_at BIGINT NOT NULL);
    CREATE INDEX store__commit__by__expiry ON store__commit (expires_at);
",
        each_kind: "",
    },
    Step {
        store: "
    ALTER TABLE store__kind ADD COLUMN migrations TEXT NOT NULL DEFAULT '';
    ALTER TABLE store__kind ADD COLUMN settled BIGINT NOT NULL DEFAULT 0;
    INSERT INTO store__meta VALUES ('generation', '0');
",
        each_kind: "ALTER TABLE \"{kind}\" ADD COLUMN form BIGINT NOT NULL DEFAULT 0",
    },
];

/// Attempts at creating what another process of the office may be creating at the same moment.
const ATTEMPTS: u32 = 20;

/// A schema that is this catalogue's.
pub(super) struct Opened {
    pub statements: Statements,
    /// Kinds that may have rows of an older form.
    pub unsettled: Vec<Unsettled>,
}

/// Makes the schema this catalogue's, or refuses.
pub(super) async fn open(client: &mut Object, schema: &str, catalogue: &Catalogue) -> Result<Opened, StoreError> {
    if !is_plain_name(schema) || schema.starts_with("pg_") {
        return Err(StoreError::misuse(format!("{schema:?} cannot name a schema")));
    }
    check_durable(client).await?;
    let (openings, generation) = registered(client, schema, catalogue).await?;
    let retired = |kind: &str| openings.get(kind).map(|opening| opening.retired.clone()).unwrap_or_default();
    let statements = Statements::of(schema, catalogue, retired, &generation);
    let mut unsettled = Vec::new();
    for kind in catalogue.kinds.values().filter(|kind| openings[kind.name].unsettled) {
        let mut rows = Unsettled::from_the_first(*kind);
        if openings[kind.name].settle_now {
            tracing::info!(kind = kind.name, "rows are brought into a new index");
            settle::all(client, &mut rows, &statements).await?;
        } else {
            unsettled.push(rows);
        }
    }
    Ok(Opened { statements, unsettled })
}

type Openings = BTreeMap<&'static str, Opening>;

async fn registered(
    client: &mut Object,
    schema: &str,
    catalogue: &Catalogue,
) -> Result<(Openings, String), StoreError> {
    for _ in 1..ATTEMPTS {
        match create(client, schema, catalogue).await {
            Err(Failure::Collision) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(Failure::Store(error)) => return Err(error),
            Ok(found) => return Ok(found),
        }
    }
    Err(StoreError::unavailable("another process keeps creating this store"))
}

/// Acknowledged must mean written. Relatives of PostgreSQL that lack a setting have no way to turn it off.
async fn check_durable(client: &Object) -> Result<(), StoreError> {
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let row = client.query_one("SELECT current_setting($1, true)", &[&setting]).await?;
        if row.try_get::<_, Option<String>>(0)?.as_deref() == Some("off") {
            return Err(StoreError::misuse(format!("{setting} is off: the server would acknowledge what it may lose")));
        }
    }
    Ok(())
}

enum Failure {
    Collision,
    Store(StoreError),
}

impl<E: Into<StoreError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

/// DDL of two processes at once ends in one of several errors at one of them; it tries again and finds everything made.
fn collided(error: tokio_postgres::Error) -> Failure {
    let collisions = [
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_COLUMN,
        SqlState::DUPLICATE_SCHEMA,
        SqlState::UNDEFINED_TABLE,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    if error.code().is_some_and(|code| collisions.contains(code)) { Failure::Collision } else { error.into() }
}

async fn create(client: &mut Object, schema: &str, catalogue: &Catalogue) -> Result<(Openings, String), Failure> {
    let transaction = client.build_transaction().start().await?;
    // A role that was given a schema need not be one that may make schemas, and even IF NOT EXISTS asks for that right.
    let asked = "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = $1";
    if transaction.query_one(asked, &[&schema]).await?.try_get::<_, i64>(0)? == 0 {
        let make = format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"");
        transaction.batch_execute(&make).await.map_err(collided)?;
    }
    let first = format!(
        "SET LOCAL search_path TO \"{schema}\"; \
         CREATE TABLE IF NOT EXISTS store__migration (number BIGINT PRIMARY KEY, digest TEXT NOT NULL);"
    );
    transaction.batch_execute(&first).await.map_err(collided)?;
    migrate(&transaction).await?;
    head(&transaction, catalogue).await?;
    let (openings, changed) = register_all(&transaction, catalogue).await?;
    if changed {
        next_generation(&transaction).await?;
    }
    let generation = "SELECT value FROM store__meta WHERE name = $1";
    let generation = transaction.query_one(generation, &[&GENERATION]).await?.try_get(0)?;
    transaction.commit().await.map_err(collided)?;
    Ok((openings, generation))
}

async fn migrate(transaction: &Transaction<'_>) -> Result<(), Failure> {
    let applied = texts(transaction, "SELECT digest FROM store__migration ORDER BY number").await?;
    if applied.len() > STEPS.len() {
        let sentence = "newer than this program's; use the program that wrote it";
        return Err(StoreError::misuse(format!("the store has schema {}, {sentence}", applied.len())).into());
    }
    for (at, step) in STEPS.iter().enumerate() {
        let digest = hex(&Sha256::digest(format!("{}{}", step.store, step.each_kind).as_bytes()));
        match applied.get(at) {
            Some(found) if *found == digest => {}
            Some(_) => return Err(StoreError::corrupt(format!("migration {} is not the one applied", at + 1)).into()),
            None => {
                // The key first: of two processes, the second waits here and then collides.
                let insert = "INSERT INTO store__migration VALUES ($1, $2)";
                transaction.execute(insert, &[&(at as i64 + 1), &digest]).await.map_err(collided)?;
                transaction.batch_execute(step.store).await.map_err(collided)?;
                for kind in texts(transaction, "SELECT name FROM store__kind").await? {
                    check_name(&kind).map_err(StoreError::corrupt)?;
                    transaction.batch_execute(&step.each_kind.replace("{kind}", &kind)).await.map_err(collided)?;
                }
            }
        }
    }
    Ok(())
}

async fn texts(transaction: &Transaction<'_>, sql: &str) -> Result<Vec<String>, Failure> {
    let rows = transaction.query(sql, &[]).await.map_err(collided)?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Writes the header into a new store, compares it in an old one.
async fn head(transaction: &Transaction<'_>, catalogue: &Catalogue) -> Result<(), Failure> {
    let rows = transaction.query("SELECT name, value FROM store__meta WHERE name <> $1", &[&GENERATION]).await?;
    let mut found = Vec::new();
    for row in &rows {
        found.push((row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?));
    }
    if found.is_empty() {
        for (name, value) in catalogue.identity.header() {
            let insert = "INSERT INTO store__meta VALUES ($1, $2)";
            transaction.execute(insert, &[&name, &value]).await.map_err(collided)?;
        }
        return Ok(());
    }
    let value = |name: &str| found.iter().find(|row| row.0 == name).map(|row| row.1.clone());
    Ok(catalogue.identity.check_header(value)?)
}

/// From here on nobody who has the store open reads or writes in it.
pub(super) async fn shut_out(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    match next_generation(transaction).await {
        Ok(()) => Ok(()),
        Err(Failure::Store(error)) => Err(error),
        Err(Failure::Collision) => Err(StoreError::unavailable("others are at work on the store; stop them")),
    }
}

/// Waits until every batch that is being written has ended, and lets no further one of a program that opened the store before.
/// Each batch begins in `store__commit`, so a lock on that table, which any change of its definition takes, stands behind all.
async fn next_generation(transaction: &Transaction<'_>) -> Result<(), Failure> {
    let next = "UPDATE store__meta SET value = (value::bigint + 1)::text WHERE name = 'generation'; \
                ALTER TABLE store__commit ALTER COLUMN fingerprint SET NOT NULL";
    transaction.batch_execute(next).await.map_err(collided)
}

async fn remember(transaction: &Transaction<'_>, kind: &str, what: &Recorded) -> Result<(), Failure> {
    let sql = "UPDATE store__kind SET indexes = $2, migrations = $3, settled = $4 WHERE name = $1";
    transaction.execute(sql, &[&kind, &what.indexes, &what.migrations, &what.settled]).await.map_err(collided)?;
    Ok(())
}

/// What is to be done with each kind, and whether one that was there has changed.
async fn register_all(transaction: &Transaction<'_>, catalogue: &Catalogue) -> Result<(Openings, bool), Failure> {
    let mut openings = Openings::new();
    let mut changed = false;
    for kind in catalogue.kinds.values() {
        let Some(found) = recorded(transaction, kind).await? else {
            let new = kind.recorded();
            let insert = "INSERT INTO store__kind VALUES ($1, $2, $3, $4)";
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                [&kind.name, &new.indexes, &new.migrations, &new.settled];
            transaction.execute(insert, &values).await.map_err(collided)?;
            make_table(transaction, kind.name).await?;
            make_indexes(transaction, kind.name, kind.indexes).await?;
            openings.insert(kind.name, kind.open(&new)?);
            continue;
        };
        let opening = kind.open(&found)?;
        if let Some(now) = &opening.remember {
            remember(transaction, kind.name, now).await?;
            make_indexes(transaction, kind.name, &opening.make).await?;
            changed = true;
        }
        openings.insert(kind.name, opening);
    }
    Ok((openings, changed))
}

async fn recorded(transaction: &Transaction<'_>, kind: &Kind) -> Result<Option<Recorded>, Failure> {
    let asked = "SELECT indexes, migrations, settled FROM store__kind WHERE name = $1";
    let Some(row) = transaction.query_opt(asked, &[&kind.name]).await? else { return Ok(None) };
    Ok(Some(Recorded { indexes: row.try_get(0)?, migrations: row.try_get(1)?, settled: row.try_get(2)? }))
}

async fn make_table(transaction: &Transaction<'_>, table: &str) -> Result<(), Failure> {
    let sql = format!(
        "CREATE TABLE \"{table}\" (
            \"partition\" BYTEA NOT NULL, id BYTEA NOT NULL, version BIGINT NOT NULL, expires_at BIGINT,
            body TEXT NOT NULL, index_values BYTEA NOT NULL, form BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (\"partition\", id)
        );
        CREATE INDEX \"{table}__by__expiry\" ON \"{table}\" (expires_at) WHERE expires_at IS NOT NULL;"
    );
    transaction.batch_execute(&sql).await.map_err(collided)
}

async fn make_indexes(transaction: &Transaction<'_>, table: &str, indexes: &[Index]) -> Result<(), Failure> {
    for index in indexes {
        let primary = if index.unique { "value" } else { "value, \"partition\", id" };
        let sql = format!(
            "CREATE TABLE \"{table}__{}\" (
                value BYTEA NOT NULL, \"partition\" BYTEA NOT NULL, id BYTEA NOT NULL, PRIMARY KEY ({primary})
            )",
            index.name
        );
        transaction.batch_execute(&sql).await.map_err(collided)?;
    }
    Ok(())
}

/// Removes the tables of what is no longer declared; returns their names. Other processes that have the store open write
/// nothing to it afterwards.
pub(super) async fn contract(
    client: &mut Object,
    schema: &str,
    catalogue: &Catalogue,
) -> Result<Vec<String>, StoreError> {
    let Opened { statements, unsettled } = open(client, schema, catalogue).await?;
    for mut rows in unsettled {
        // Rows must name no index whose table is gone.
        settle::all(client, &mut rows, &statements).await?;
    }
    match drop_retired(client, schema, catalogue).await {
        Ok(gone) => Ok(gone),
        Err(Failure::Collision) => Err(StoreError::unavailable("another process is using this store; stop it first")),
        Err(Failure::Store(error)) => Err(error),
    }
}

async fn drop_retired(client: &mut Object, schema: &str, catalogue: &Catalogue) -> Result<Vec<String>, Failure> {
    let transaction = client.build_transaction().start().await?;
    transaction.batch_execute(&format!("SET LOCAL search_path TO \"{schema}\"")).await?;
    let (openings, _) = register_all(&transaction, catalogue).await?;
    let mut gone = Vec::new();
    for (kind, opening) in openings.iter().filter(|(_, opening)| !opening.retired.is_empty()) {
        gone.extend(opening.retired.iter().map(|index| format!("{kind}__{index}")));
        remember(&transaction, kind, &catalogue.kind(kind)?.recorded()).await?;
    }
    for row in transaction.query("SELECT name, indexes FROM store__kind", &[]).await? {
        let (kind, indexes): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if !catalogue.kinds.contains_key(kind.as_str()) {
            check_name(&kind).map_err(StoreError::corrupt)?;
            gone.extend(indexes.split_whitespace().map(|index| format!("{kind}__{}", index.trim_end_matches('!'))));
            transaction.execute("DELETE FROM store__kind WHERE name = $1", &[&kind]).await?;
            gone.push(kind);
        }
    }
    for table in &gone {
        transaction.batch_execute(&format!("DROP TABLE \"{table}\"")).await.map_err(collided)?;
    }
    if !gone.is_empty() {
        next_generation(&transaction).await?;
    }
    transaction.commit().await.map_err(collided)?;
    Ok(gone)
}
