//! The whole demo on a real PostgreSQL server.

#[path = "../../../store/tests/it/postgres/cluster.rs"]
mod cluster;

use super::browser;
use super::demo::{options, start};
use cluster::Cluster;
use hufu_app::demo::{self, Ended, Options};
use hufu_app::failure::Failure;
use hufu_app::root::STORES;
use hufu_app::rows;
use hufu_app::server::Server;
use hufu_web::serve::Stopper;
use std::path::Path;
use std::process::Command;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, NoTls};

/// A server of one test's own.
pub async fn cluster(name: &'static str) -> Cluster {
    let cluster = tokio::task::spawn_blocking(move || Cluster::new(name)).await.unwrap();
    cluster.ready().await;
    cluster
}

fn url(cluster: &Cluster, user: &str) -> String {
    let config = cluster.config();
    let [Host::Unix(socket)] = config.get_hosts() else { panic!("the cluster has one socket") };
    format!("postgres://{user}:geheim@/postgres?host={}", socket.display())
}

fn server(cluster: &Cluster, user: &str) -> Server {
    url(cluster, user).parse().unwrap()
}

pub async fn owner(cluster: &Cluster) -> Client {
    let (client, connection) = cluster.config().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn on(server: &Server, folder: &Path) -> Options {
    Options { store: Some(server.clone()), ..options(folder) }
}

async fn count(client: &Client, what: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
}

const SCHEMAS: &str = "pg_namespace WHERE nspname LIKE 'hufu\\_%'";
const ROLES: &str = "pg_roles WHERE rolname LIKE 'hufu\\_%'";

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_holds_every_promise_and_every_office_enters_its_own_schema_alone() {
    let cluster = cluster("app-tour").await;
    let server = server(&cluster, "hufu");
    let folder = tempfile::tempdir().unwrap();
    let (_stopper, stop) = Stopper::new();
    let tour = Options { tour: true, json: true, ..on(&server, folder.path()) };
    assert_eq!(demo::run(tour, stop).await.unwrap(), Ended::Well);
    let client = owner(&cluster).await;
    let entered = "SELECT r.rolname, n.nspname FROM pg_roles r, pg_namespace n WHERE r.rolname LIKE 'hufu\\_%' \
                   AND n.nspname LIKE 'hufu\\_%' AND has_schema_privilege(r.rolname, n.nspname, 'USAGE')";
    let entered = client.query(entered, &[]).await.unwrap();
    assert_eq!(entered.len(), STORES.len());
    for row in entered {
        let (role, schema): (String, String) = (row.get(0), row.get(1));
        assert!(role.starts_with(&format!("{schema}_")), "{role} enters {schema}");
        // And it really was this role that made the office's tables.
        let owned = format!("pg_tables WHERE schemaname = '{schema}' AND tableowner = '{role}'");
        assert!(count(&client, &owned).await > 4, "{owned}");
    }
    let powers = format!("{ROLES} AND (rolsuper OR rolcreaterole OR rolcreatedb)");
    assert_eq!(count(&client, &powers).await, 0);
    for office in STORES {
        assert!(!folder.path().join("demo").join(office).join("store.sqlite").exists(), "{office}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persona_has_the_same_pseudonym_after_the_demo_ended_and_the_server_crashed() {
    let mut cluster = cluster("app-restart").await;
    let server = server(&cluster, "hufu");
    let folder = tempfile::tempdir().unwrap();
    let running = start(on(&server, folder.path())).await;
    let before = browser::sign_in(&running, "blue-jar", "lin-xiaoyu").await;
    running.stop().await;
    cluster.crash();
    cluster.restart().await;
    let running = start(on(&server, folder.path())).await;
    assert_eq!(browser::sign_in(&running, "blue-jar", "lin-xiaoyu").await, before);
    running.stop().await;
    // Beside its own rows it does not start.
    let (_stopper, stop) = Stopper::new();
    let beside = demo::run(options(folder.path()), stop).await.unwrap_err().to_string();
    assert!(beside.contains("--store") && !beside.contains("geheim"), "{beside}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sandboxs_store_is_refused_and_reset_deletes_ones_own() {
    let cluster = cluster("app-reset").await;
    let server = server(&cluster, "hufu");
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    start(on(&server, one.path())).await.stop().await;
    let client = owner(&cluster).await;
    assert_eq!((count(&client, SCHEMAS).await, count(&client, ROLES).await), (6, 6));
    let (_stopper, stop) = Stopper::new();
    let refused = demo::run(on(&server, two.path()), stop).await.unwrap_err();
    assert!(matches!(refused, Failure::Store { .. }) && refused.to_string().contains("belongs to"), "{refused}");
    let refused = rows::reset(&two.path().join("demo"), &server).await.unwrap_err();
    assert!(refused.to_string().contains("belongs to"), "{refused}");
    assert_eq!(count(&client, SCHEMAS).await, 6);
    // An office's schema under another office's name is as foreign as another sandbox's.
    let swap = "ALTER SCHEMA hufu_post RENAME TO x; ALTER SCHEMA hufu_registrar RENAME TO hufu_post; \
                ALTER SCHEMA x RENAME TO hufu_registrar";
    client.batch_execute(swap).await.unwrap();
    let (_stopper, stop) = Stopper::new();
    assert!(matches!(demo::run(on(&server, one.path()), stop).await, Err(Failure::Store { .. })));
    client.batch_execute(swap).await.unwrap();

    let reset = |folder: &Path| {
        let folder = folder.join("demo");
        let (url, binary) = (url(&cluster, "hufu"), env!("CARGO_BIN_EXE_hufu"));
        move |store: bool| {
            let mut command = Command::new(binary);
            command.args(["demo", "reset", "--data"]).arg(&folder);
            if store {
                command.args(["--store", &url]);
            }
            command.output().unwrap()
        }
    };
    let forgotten = reset(one.path())(false);
    assert!(!forgotten.status.success() && String::from_utf8_lossy(&forgotten.stderr).contains("add --store"));
    let done = reset(one.path())(true);
    assert!(done.status.success(), "{done:?}");
    assert_eq!((count(&client, SCHEMAS).await, count(&client, ROLES).await), (0, 0));
    assert!(!one.path().join("demo").exists());
    // Rows whose folder was lost can be deleted too.
    start(on(&server, one.path())).await.stop().await;
    std::fs::remove_dir_all(one.path().join("demo")).unwrap();
    assert!(reset(one.path())(true).status.success());
    assert_eq!((count(&client, SCHEMAS).await, count(&client, ROLES).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_make_roles_keeps_all_schemas_itself() {
    let cluster = cluster("app-plain").await;
    let client = owner(&cluster).await;
    client.batch_execute("CREATE ROLE plain LOGIN; GRANT CREATE ON DATABASE postgres TO plain").await.unwrap();
    let server = server(&cluster, "plain");
    let folder = tempfile::tempdir().unwrap();
    start(on(&server, folder.path())).await.stop().await;
    assert_eq!((count(&client, SCHEMAS).await, count(&client, ROLES).await), (6, 0));
    // With the right to make roles it goes on as it began.
    client.batch_execute("ALTER ROLE plain CREATEROLE").await.unwrap();
    start(on(&server, folder.path())).await.stop().await;
    assert_eq!(count(&client, ROLES).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_one_sentence_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let output = Command::new(env!("CARGO_BIN_EXE_hufu"))
        .args(["demo", "--port", "0", "--store", &format!("postgres://me:geheim@127.0.0.1:{free}/sandbox"), "--data"])
        .arg(folder.path().join("demo"))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert_eq!(told.trim_end().lines().count(), 1, "{told}");
    assert!(told.contains(&format!("127.0.0.1:{free}/sandbox does not answer")), "{told}");
    assert!(told.contains("--store") && !told.contains("geheim"), "{told}");
}
