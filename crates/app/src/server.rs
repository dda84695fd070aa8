//! The offices' rows on a PostgreSQL server: a schema an office and, where the given user may make roles, a role an office.
//!
//! The user of `--store` owns the schemas and makes the roles; the offices' own connections are made as the roles. A role's
//! password is drawn at every start and lives in memory: the server is told a SCRAM verifier of it.

use crate::deployment::office_file::StoreTable;
use crate::failure::Failure;
use crate::files;
use crate::root::STORES;
use hufu_kernel::{Octets, Rng, Root, b64, hex, random, unb64};
use hufu_store::{PostgresOptions, StoreError, TrustRoot};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

/// Connections of one office.
const CONNECTIONS: usize = 6;

/// A PostgreSQL server and database, or a cluster's servers of which one takes writes, and a user there that may make schemas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    config: Config,
}

impl FromStr for Server {
    type Err = Failure;

    fn from_str(url: &str) -> Result<Self, Failure> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(Failure::other("a store is postgres://user:password@host:port/database"));
        }
        // The parser's words name options, never values.
        let mut config: Config = url
            .parse()
            .map_err(|error| Failure::other(format!("the store's address does not parse: {}", cause(&error))))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
        }
        config.application_name("hufu");
        Ok(Self { config })
    }
}

/// The library's words with what stands behind them.
fn cause(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Where it is, without user and password.
impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ports = self.config.get_ports();
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let port = ports.get(at).or(ports.first()).unwrap_or(&5432);
            match host {
                Host::Tcp(name) => write!(f, "{name}:{port}/")?,
                Host::Unix(path) => write!(f, "{}:{port}/", path.display())?,
            }
        }
        f.write_str(self.config.get_dbname().or(self.config.get_user()).unwrap_or_default())
    }
}

/// How each office reaches its rows.
pub type Places = BTreeMap<&'static str, PostgresOptions>;

/// An office's schema. Names of stores hold no digits.
fn schema(office: &str) -> String {
    let plain = office.replace("-1", "_one").replace("-2", "_two").replace("-3", "_three");
    format!("hufu_{plain}")
}

/// An office's role: roles are shared by all databases of a server, so the trust root is part of the name.
fn role(office: &str, trust: &TrustRoot) -> String {
    format!("{}_{}", schema(office), hex(&trust.id.as_slice()[..6]))
}

/// What stands on a schema, so that it is recognised before anything in it can be read.
fn mark(office: &str, trust: &TrustRoot) -> String {
    format!("Hufu: {office} of {} root {}", trust.root.name(), b64(trust.id.as_slice()))
}

/// The sandbox that a mark names; nothing for another office's, or a mark that is none of ours.
fn sandbox_of(found: &str, office: &str) -> Option<TrustRoot> {
    let root = Root::Sandbox;
    let id = found.strip_prefix(&format!("Hufu: {office} of {} root ", root.name())).and_then(unb64)?;
    Some(TrustRoot { root, id: Octets::try_from(id.as_slice()).ok()? })
}

impl Server {
    async fn connect(&self) -> Result<Client, Failure> {
        match self.config.connect(NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection to the store's server ended");
                    }
                });
                Ok(client)
            }
            Err(error) if error.as_db_error().is_some() => Err(self.refused(&error)),
            Err(error) => Err(Failure::other(format!(
                "PostgreSQL at {self} does not answer ({}); is it running, and is --store right?",
                cause(&error)
            ))),
        }
    }

    fn refused(&self, error: &tokio_postgres::Error) -> Failure {
        let said = error.as_db_error().map_or_else(|| cause(error), |said| said.message().to_owned());
        Failure::other(format!("PostgreSQL at {self} refuses: {said}"))
    }

    /// Makes what is missing, and refuses what belongs to somebody else.
    ///
    /// # Errors
    /// [`Failure::Store`] for a schema of another trust root or office; [`Failure::Other`] if the server does not answer or refuses.
    pub async fn prepare(&self, trust: &TrustRoot, rng: &dyn Rng) -> Result<Places, Failure> {
        let client = self.connect().await?;
        let refused = |error: tokio_postgres::Error| self.refused(&error);
        let asked = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user";
        let may_make_roles: bool = client.query_one(asked, &[]).await.map_err(refused)?.get(0);
        let mut places = Places::new();
        for office in STORES {
            let found = standing(&client, office).await.map_err(refused)?;
            if let Some(found) = found.as_ref().filter(|found| **found != mark(office, trust)) {
                let found = if found.is_empty() { "nobody we know".to_owned() } else { found.clone() };
                let cause = StoreError::WrongStore { found, wanted: mark(office, trust) };
                return Err(Failure::Store { office: office.to_owned(), cause });
            }
            if found.is_none() {
                let (schema, mark) = (schema(office), mark(office, trust));
                let make = format!("CREATE SCHEMA \"{schema}\"; COMMENT ON SCHEMA \"{schema}\" IS '{mark}'");
                client.batch_execute(&make).await.map_err(refused)?;
            }
            let role = role(office, trust);
            let known = "SELECT count(*) FROM pg_roles WHERE rolname = $1";
            let known = client.query_one(known, &[&role]).await.map_err(refused)?.get::<_, i64>(0) == 1;
            let mut config = self.config.clone();
            // Tables of a schema that was made without a role belong to the user of the address.
            if known || (found.is_none() && may_make_roles) {
                let password = b64(&random::<32>(rng));
                client.batch_execute(&own_role(office, &role, known, &password)).await.map_err(refused)?;
                config.user(role).password(password);
            }
            places.insert(office, PostgresOptions { config, schema: schema(office), connections: CONNECTIONS });
        }
        Ok(places)
    }

    /// Deletes the schemas and roles of a sandbox: of `trust`, or of any sandbox where the folder that knew it is gone. Returns
    /// how many offices were there.
    ///
    /// # Errors
    /// [`Failure::Store`] for a schema that is not such a sandbox's, before anything is deleted; [`Failure::Other`].
    pub async fn empty(&self, trust: Option<&TrustRoot>) -> Result<usize, Failure> {
        let client = self.connect().await?;
        let refused = |error: tokio_postgres::Error| self.refused(&error);
        let mut there = Vec::new();
        for office in STORES {
            let Some(found) = standing(&client, office).await.map_err(refused)? else { continue };
            match sandbox_of(&found, office) {
                Some(of) if trust.is_none_or(|trust| *trust == of) => there.push((office, of)),
                _ => {
                    let wanted = trust.map_or_else(|| "a sandbox".to_owned(), |trust| mark(office, trust));
                    let cause = StoreError::WrongStore { found, wanted };
                    return Err(Failure::Store { office: office.to_owned(), cause });
                }
            }
        }
        for (office, of) in &there {
            let (schema, role) = (schema(office), role(office, of));
            let drop = format!("DROP SCHEMA \"{schema}\" CASCADE; DROP ROLE IF EXISTS \"{role}\"");
            client.batch_execute(&drop).await.map_err(refused)?;
        }
        Ok(there.len())
    }
}

/// An office's own place on a server, by its configuration: its role in the address, the role's password apart.
///
/// # Errors
/// [`Failure::Other`] for an address that does not parse or names a password; [`Failure::Unreadable`] for a password that cannot be
/// had.
pub fn own_place(table: &StoreTable, office: &str, trust: &TrustRoot) -> Result<PostgresOptions, Failure> {
    let server: Server = table.url.as_deref().unwrap_or_default().parse()?;
    let mut config = server.config;
    if config.get_password().is_some() {
        return Err(Failure::other("[store] url: no password there; give password_file or password_env"));
    }
    if let Some(password) = password(table)? {
        config.password(password);
    }
    if config.get_user().is_none() {
        config.user(role(office, trust));
    }
    Ok(PostgresOptions { config, schema: schema(office), connections: CONNECTIONS })
}

/// The password of the office's role, if it has one.
fn password(table: &StoreTable) -> Result<Option<String>, Failure> {
    if let Some(path) = &table.password_file {
        let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "missing"))?;
        let mode = files::mode(path)?;
        if mode & 0o077 != 0 {
            return Err(Failure::Exposed { path: path.clone(), mode, wanted: files::PRIVATE });
        }
        let text = String::from_utf8(bytes).map_err(|error| Failure::unreadable(path, error))?;
        return Ok(Some(text.trim_end_matches('\n').to_owned()));
    }
    let Some(name) = &table.password_env else { return Ok(None) };
    std::env::var(name).map(Some).map_err(|_| Failure::other(format!("[store] password_env: {name} is not set")))
}

/// The mark on an office's schema; empty for a schema without one.
async fn standing(client: &Client, office: &str) -> Result<Option<String>, tokio_postgres::Error> {
    let asked = "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = $1";
    Ok(client.query_opt(asked, &[&schema(office)]).await?.map(|row| row.get(0)))
}

/// Statements that let `role`, and of the other offices none, into the office's schema.
fn own_role(office: &str, role: &str, known: bool, password: &str) -> String {
    let schema = schema(office);
    let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
    let mut sql = String::new();
    if !known {
        sql.push_str(&format!("CREATE ROLE \"{role}\" NOINHERIT; "));
    }
    // Writing to a String cannot fail.
    let _ = write!(
        sql,
        "ALTER ROLE \"{role}\" LOGIN PASSWORD '{verifier}'; GRANT USAGE, CREATE ON SCHEMA \"{schema}\" TO \"{role}\""
    );
    sql
}

/// Every row of every table of an office, as text: what its store holds at rest.
///
/// # Errors
/// A sentence.
pub async fn rows(place: &PostgresOptions) -> Result<Vec<u8>, String> {
    let text = |error: tokio_postgres::Error| error.to_string();
    let (client, connection) = place.config.connect(NoTls).await.map_err(text)?;
    tokio::spawn(connection);
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY tablename";
    let mut all = Vec::new();
    for table in client.query(tables, &[&place.schema]).await.map_err(text)? {
        let table: String = table.get(0);
        let whole = format!("SELECT row::text FROM \"{}\".\"{table}\" AS row", place.schema);
        for row in client.query(&whole, &[]).await.map_err(text)? {
            all.extend_from_slice(row.get::<_, String>(0).as_bytes());
            all.push(b'\n');
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_about_a_server_holds_its_password() {
        let server: Server = "postgres://me:geheim@db.example:5433/sandbox".parse().unwrap();
        assert_eq!(server.to_string(), "db.example:5433/sandbox");
        assert!(!format!("{server:?}").contains("geheim"));
        for url in ["me:geheim@db.example/x", "postgres://me:geheim@db:port/x", "mysql://me:geheim@db/x"] {
            let refused = url.parse::<Server>().unwrap_err().to_string();
            assert!(!refused.contains("geheim"), "{refused}");
        }
    }

    #[test]
    fn every_office_has_a_schema_of_its_own() {
        let schemas: std::collections::BTreeSet<String> = STORES.iter().map(|office| schema(office)).collect();
        assert_eq!(schemas.len(), STORES.len());
        assert!(schemas.iter().all(|schema| hufu_kernel::is_plain_name(schema)), "{schemas:?}");
    }
}
