//! Nodes that lost what they kept, as the real binary runs them: an empty store waits by itself, and two restored nodes by an order.

use super::*;
use crate::ceremony::{Planned, done};
use crate::linking::platform;
use hufu_kernel::{Pair, Refusal};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_store_is_lost_signs_nothing_before_it_has_compared() {
    let deployment = Deployment::start(&[]).await;
    let (world, persons, folder) = (deployment.seen.world(), deployment.seen.persons(), deployment.folder.clone());
    let shop = platform(&folder.join("world"), "yunzhou-hall", &world);
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, &persons[77], PASSWORD).await.unwrap();
    let known = sub(&world, &shop, &mut robot, pair(2, 3)).await.unwrap();
    deployment.take_down("node-2").await;
    for file in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
        let _may_be_none = std::fs::remove_file(folder.join("node-2").join(file));
    }
    deployment.take_down("node-1").await;
    deployment.restore("node-2");
    let told = until(&folder, "node-2", says("1 of the two other nodes have answered")).await;
    assert_eq!(told["ready"], false);
    assert!(told["reasons"].to_string().contains("were lost"), "{told}");
    assert_eq!(refusal(sub(&world, &shop, &mut robot, pair(2, 3)).await), Refusal::NodesDisagree);
    deployment.restore("node-1");
    until(&folder, "node-1", is_ready).await;
    until(&folder, "node-2", is_ready).await;
    for pair in Pair::ALL {
        assert_eq!(sub(&world, &shop, &mut robot, pair).await.unwrap(), known);
    }
    deployment.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_restored_nodes_wait_until_two_operators_say_whose_rows_count() {
    let deployment = Deployment::start(&[]).await;
    let (world, persons, folder) = (deployment.seen.world(), deployment.seen.persons(), deployment.folder.clone());
    let shop = platform(&folder.join("world"), "yunzhou-hall", &world);
    let (mut left, mut came) = (world.robot().unwrap(), world.robot().unwrap());
    world.enrol(&mut left, &persons[78], PASSWORD).await.unwrap();
    let operator = Operator::new(folder.parent().unwrap(), "backup.key");
    let file = |node: &str| folder.parent().unwrap().join(format!("{node}.age"));
    for node in ["node-1", "node-2"] {
        until(&folder, node, is_ready).await;
        operator.backup(&config(&deployment, node), &file(node));
    }
    left.leave().await.unwrap();
    world.enrol(&mut came, &persons[79], PASSWORD).await.unwrap();
    for node in ["node-1", "node-2"] {
        deployment.take_down(node).await;
        operator.restore(&config_of_one_away(&deployment, node), &file(node), &["--replace"]);
    }
    for node in ["node-1", "node-2"] {
        deployment.restore(node);
    }
    for node in ["node-1", "node-2"] {
        until(&folder, node, says("rows are open")).await;
    }
    assert_eq!(refusal(sub(&world, &shop, &mut came, pair(1, 2)).await), Refusal::NodesDisagree);

    let planned = Planned { folder: folder.clone(), place: tempfile::tempdir().unwrap() };
    let settle =
        |order: &str, config: &Path| hufu(&["node", "settle", "--config", config.to_str().unwrap(), "--order", order]);
    let order = planned.order(&["settle", "--subject", "node-3"], 2);
    let running = refused(&settle(&order, &config(&deployment, "node-1")));
    assert!(running.contains("stop it first"), "{running}");
    deployment.take_down("node-1").await;
    let away = config_of_one_away(&deployment, "node-1");
    for (wish, signatures, told) in
        [(&["settle", "--subject", "node-3"][..], 1, "two operators"), (&["retire"][..], 2, "an order to retire")]
    {
        let refused = refused(&settle(&planned.order(wish, signatures), &away));
        assert!(refused.contains(told), "{refused}");
    }
    let told = done(&["node", "settle", "--config", away.to_str().unwrap(), "--order", &order]);
    assert!(told.contains("the rows of node-3 count"), "{told}");
    deployment.restore("node-1");
    for node in ["node-1", "node-2", "node-3"] {
        until(&folder, node, is_ready).await;
    }
    for pair in Pair::ALL {
        sub(&world, &shop, &mut came, pair).await.expect("who came is known at all three");
        assert_eq!(refusal(sub(&world, &shop, &mut left, pair).await), Refusal::UnknownDevice);
    }
    // Who waits for nothing is told nothing.
    deployment.take_down("node-3").await;
    let nothing = refused(&settle(&order, &config_of_one_away(&deployment, "node-3")));
    assert!(nothing.contains("waits for nothing"), "{nothing}");
    deployment.stop().await;
}
