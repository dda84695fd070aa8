//! A node with its rows on PostgreSQL: its backup goes back there, and into a file.

use super::*;
use crate::postgres::{cluster, owner};
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_from_a_server_to_a_server_and_to_a_file() {
    let cluster = cluster("app-backup").await;
    let settings = cluster.config();
    let [tokio_postgres::config::Host::Unix(socket)] = settings.get_hosts() else {
        panic!("the cluster has one socket")
    };
    let store =
        format!("[store]\nkind = \"postgres\"\nurl = \"postgres://hufu@/postgres?host={}\"\n", socket.display());
    let place = crate::apart::place();
    let folder = crate::apart::init(place.path());
    let path = folder.join("node-3").join("office.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("\n[store]"), "{text}");
    fs::write(&path, format!("{text}\n{store}")).unwrap();
    let deployment = Deployment::start_in(place, folder, &[]).await;
    let world = deployment.seen.world();
    world.enrol(&mut world.robot().unwrap(), &deployment.seen.persons()[72], PASSWORD).await.unwrap();
    let operator = Operator::new(deployment.folder.parent().unwrap(), "backup.key");
    let file = deployment.folder.parent().unwrap().join("node-3.age");
    let taken = operator.backup(&config(&deployment, "node-3"), &file);
    assert_eq!(taken["rows"]["rows"]["holder"], 1, "{taken}");
    assert!(!deployment.folder.join("node-3").join("store.sqlite").exists());

    deployment.take_down("node-3").await;
    let away = config_of_one_away(&deployment, "node-3");
    assert!(refused(&operator.try_restore(&away, &file, &[])).contains("--replace"));
    let client = owner(&cluster).await;
    let count = async |what: &str| -> i64 {
        client.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
    };
    let mut cut = fs::read(&file).unwrap();
    cut.truncate(cut.len() - 1);
    let bad = file.with_extension("bad");
    fs::write(&bad, cut).unwrap();
    refused(&operator.try_restore(&away, &bad, &["--replace"]));
    assert_eq!(count("hufu_node_three.holder").await, 1, "what was there is there");
    client.batch_execute("DROP SCHEMA hufu_node_three CASCADE").await.unwrap();
    let back = operator.restore(&away, &file, &[]);
    assert_eq!(back["rows"], taken["rows"]);
    assert_eq!(count("hufu_node_three.standing WHERE body LIKE '%true%'").await, 1, "it compares first");
    deployment.restore("node-3");
    until(&deployment.folder, "node-3", is_ready).await;

    // The same file makes a file of rows.
    deployment.take_down("node-3").await;
    fs::write(&away, text).unwrap();
    assert_eq!(operator.restore(&away, &file, &[])["rows"], taken["rows"]);
    deployment.restore("node-3");
    until(&deployment.folder, "node-3", is_ready).await;
    assert!(deployment.folder.join("node-3").join("store.sqlite").exists());
}
