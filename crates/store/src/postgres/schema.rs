//! Creating, checking and migrating an office's schema.

use crate::{Catalogue, Kind, StoreError};
use deadpool_postgres::Object;
use hufu_kernel::{hex, is_plain_name};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

/// The tables beside the kinds' own. Applied migrations are never edited: their digests are compared at every opening.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE store__meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE store__kind (name TEXT PRIMARY KEY, indexes TEXT NOT NULL);
    CREATE TABLE store__commit (id BYTEA PRIMARY KEY, fingerprint BYTEA NOT NULL, expires_at BIGINT NOT NULL);
    CREATE INDEX store__commit__by__expiry ON store__commit (expires_at);
"];

/// Attempts at creating what another process of the office may be creating at the same moment.
const ATTEMPTS: u32 = 20;

/// Makes the schema this catalogue's, or refuses.
pub(super) async fn open(client: &mut Object, schema: &str, catalogue: &Catalogue) -> Result<(), StoreError> {
    if !is_plain_name(schema) || schema.starts_with("pg_") {
        return Err(StoreError::misuse(format!("{schema:?} cannot name a schema")));
    }
    check_durable(client).await?;
    for _ in 1..ATTEMPTS {
        match create(client, schema, catalogue).await {
            Err(Failure::Collision) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(Failure::Store(error)) => return Err(error),
            Ok(()) => return Ok(()),
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
        SqlState::DUPLICATE_SCHEMA,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    if error.code().is_some_and(|code| collisions.contains(code)) { Failure::Collision } else { error.into() }
}

async fn create(client: &mut Object, schema: &str, catalogue: &Catalogue) -> Result<(), Failure> {
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
    for kind in catalogue.kinds.values() {
        register(&transaction, kind).await?;
    }
    transaction.commit().await.map_err(collided)
}

async fn migrate(transaction: &Transaction<'_>) -> Result<(), Failure> {
    let rows = transaction.query("SELECT digest FROM store__migration ORDER BY number", &[]).await?;
    if rows.len() > MIGRATIONS.len() {
        let error = format!("the store has schema {}, newer than this program's", rows.len());
        return Err(Failure::Store(StoreError::misuse(error)));
    }
    for (at, migration) in MIGRATIONS.iter().enumerate() {
        let digest = hex(&Sha256::digest(migration.as_bytes()));
        match rows.get(at).map(|row| row.try_get::<_, String>(0)).transpose()? {
            Some(found) if found == digest => {}
            Some(_) => return Err(StoreError::corrupt(format!("migration {} is not the one applied", at + 1)).into()),
            None => {
                // The key first: of two processes, the second waits here and then collides.
                let insert = "INSERT INTO store__migration VALUES ($1, $2)";
                transaction.execute(insert, &[&(at as i64 + 1), &digest]).await.map_err(collided)?;
                transaction.batch_execute(migration).await.map_err(collided)?;
            }
        }
    }
    Ok(())
}

/// Writes the header into a new store, compares it in an old one.
async fn head(transaction: &Transaction<'_>, catalogue: &Catalogue) -> Result<(), Failure> {
    let rows = transaction.query("SELECT name, value FROM store__meta", &[]).await?;
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

async fn register(transaction: &Transaction<'_>, kind: &Kind) -> Result<(), Failure> {
    let declared = kind.declaration();
    let found = transaction.query_opt("SELECT indexes FROM store__kind WHERE name = $1", &[&kind.name]).await?;
    if let Some(row) = found {
        let found: String = row.try_get(0)?;
        return if found == declared { Ok(()) } else { Err(kind.changed(&found).into()) };
    }
    let insert = "INSERT INTO store__kind VALUES ($1, $2)";
    transaction.execute(insert, &[&kind.name, &declared]).await.map_err(collided)?;
    let table = kind.name;
    let mut sql = format!(
        "CREATE TABLE \"{table}\" (
            \"partition\" BYTEA NOT NULL, id BYTEA NOT NULL, version BIGINT NOT NULL, expires_at BIGINT,
            body TEXT NOT NULL, index_values BYTEA NOT NULL, PRIMARY KEY (\"partition\", id)
        );
        CREATE INDEX \"{table}__by__expiry\" ON \"{table}\" (expires_at) WHERE expires_at IS NOT NULL;"
    );
    for index in kind.indexes {
        let primary = if index.unique { "value" } else { "value, \"partition\", id" };
        sql.push_str(&format!(
            "CREATE TABLE \"{table}__{}\" (
                value BYTEA NOT NULL, \"partition\" BYTEA NOT NULL, id BYTEA NOT NULL, PRIMARY KEY ({primary})
            );",
            index.name
        ));
    }
    transaction.batch_execute(&sql).await.map_err(collided)
}
