//! A node that comes back from an older backup: what happened since stands, and nothing of a signing that was under way is left.

use super::*;
use crate::linking::platform;
use hufu_kernel::{NodeIndex, Pair, Refusal};
use hufu_sandbox::http::Http;
use hufu_sandbox::robot::{Robot, Visit, World, wish};
use hufu_wallet::{Address, Reply, SoftwareDevice, Transport, Wallet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

#[tokio::test(flavor = "multi_thread")]
async fn what_came_after_the_backup_stands_and_a_restored_node_signs_nothing_before_it_knows_it() {
    let deployment = Deployment::start(&[]).await;
    let (world, persons, folder) = (deployment.seen.world(), deployment.seen.persons(), deployment.folder.clone());
    let shop = platform(&folder.join("world"), "yunzhou-hall", &world);
    let (mut locked, mut free, mut later) = (world.robot().unwrap(), world.robot().unwrap(), world.robot().unwrap());
    world.enrol(&mut locked, &persons[73], PASSWORD).await.unwrap();
    world.enrol(&mut free, &persons[74], PASSWORD).await.unwrap();
    assert!(sub(&world, &shop, &mut locked, pair(2, 3)).await.is_ok(), "the control: not locked yet");
    let known = sub(&world, &shop, &mut free, pair(2, 3)).await.unwrap();

    let operator = Operator::new(folder.parent().unwrap(), "backup.key");
    let file = folder.parent().unwrap().join("node-2.age");
    operator.backup(&config(&deployment, "node-2"), &file);
    locked.lock().await.unwrap();
    free.replace_number().await.unwrap();
    world.enrol(&mut later, &persons[75], PASSWORD).await.unwrap();

    deployment.take_down("node-2").await;
    let back = operator.restore(&config_of_one_away(&deployment, "node-2"), &file, &["--replace"]);
    assert_eq!((&back["compares_first"], &back["rows"]["rows"]["holder"]), (&true.into(), &2.into()));
    // With one of its peers away it cannot have compared with both.
    deployment.take_down("node-1").await;
    deployment.restore("node-2");
    let told = until(&folder, "node-2", says("come from a backup")).await;
    assert_eq!(told["ready"], false);
    assert_eq!(refusal(sub(&world, &shop, &mut free, pair(2, 3)).await), Refusal::NodesDisagree);
    assert!(sub(&world, &shop, &mut locked, pair(2, 3)).await.is_err(), "the lock was resurrected as unlocked");

    deployment.restore("node-1");
    until(&folder, "node-1", is_ready).await;
    until(&folder, "node-2", is_ready).await;
    for pair in Pair::ALL {
        assert_eq!(refusal(sub(&world, &shop, &mut locked, pair).await), Refusal::Locked, "{pair:?}");
        assert_eq!(sub(&world, &shop, &mut free, pair).await.unwrap(), known);
        sub(&world, &shop, &mut later, pair).await.expect("who enrolled since is known here, too");
    }
    // The node itself knows, whoever is beside it.
    let rows = [1, 2, 3].map(|node| NodeIndex::try_from(node).unwrap());
    let mut seen = Vec::new();
    for node in rows {
        let row = free.row(node).await.unwrap();
        seen.push((row.version, row.head));
    }
    assert!(seen.iter().all(|row| *row == seen[0]), "{seen:?}");
    // It was the backup's mark that held it: the same process starts ready the next time.
    deployment.take_down("node-2").await;
    deployment.restore("node-2");
    until(&folder, "node-2", is_ready).await;
    assert_eq!(sub(&world, &shop, &mut free, pair(2, 3)).await.unwrap(), known);
    deployment.stop().await;
}

/// A wallet's way to the offices that stops before its first second round until it is told to go on.
struct Held {
    inner: Http,
    armed: AtomicBool,
    reached: Arc<Notify>,
    go: Arc<Notify>,
}

impl Transport for Held {
    async fn post(&self, to: Address, path: &str, body: Vec<u8>) -> Result<Reply, String> {
        if path == "/v1/sign-in/finish" && self.armed.swap(false, Ordering::Relaxed) {
            self.reached.notify_one();
            self.go.notified().await;
        }
        self.inner.post(to, path, body).await
    }

    async fn get(&self, to: Address, path: &str) -> Result<Reply, String> {
        self.inner.get(to, path).await
    }
}

/// The same person on the same device, over another network.
fn held(
    world: &World,
    robot: &Robot,
    saved: &(String, String),
) -> (Wallet<Held, SoftwareDevice>, Arc<Notify>, Arc<Notify>) {
    let trust = Arc::clone(&world.trust);
    let device = SoftwareDevice::load(&saved.0, &saved.1, &trust.rp_id, &trust.wallet_origin).unwrap();
    let (reached, go) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let inner = Http::new(world.addresses.client().unwrap(), world.addresses.clone());
    let held = Held { inner, armed: AtomicBool::new(true), reached: Arc::clone(&reached), go: Arc::clone(&go) };
    let (clock, rng) = (Arc::clone(&world.clock), Arc::clone(&world.rng));
    (Wallet::new(trust, held, device, robot.state.clone(), clock, rng).unwrap(), reached, go)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_in_the_middle_of_a_signing_holds_nothing_of_it_and_a_restart_ends_it() {
    let deployment = Deployment::start(&[]).await;
    let (world, persons, folder) = (deployment.seen.world(), deployment.seen.persons(), deployment.folder.clone());
    let shop = platform(&folder.join("world"), "yunzhou-hall", &world);
    let device = SoftwareDevice::generate(&world.trust.rp_id, &world.trust.wallet_origin, world.rng.as_ref()).unwrap();
    let (passkey, holder) = device.save();
    let saved = (passkey.to_string(), holder.to_string());
    let mut robot = world.robot_with(device, hufu_wallet::State::default()).unwrap();
    world.enrol(&mut robot, &persons[76], PASSWORD).await.unwrap();
    sub(&world, &shop, &mut robot, pair(1, 2)).await.unwrap();
    for node in ["node-1", "node-2", "node-3"] {
        until(&folder, node, is_ready).await;
    }

    let operator = Operator::new(folder.parent().unwrap(), "backup.key");
    let file = |name: &str| folder.parent().unwrap().join(name);
    let backup = |name: &str| operator.backup(&config(&deployment, "node-2"), &file(name));
    let before = backup("before.age");
    let (mut wallet, reached, go) = held(&world, &robot, &saved);
    let visit = Visit { platform: &shop, wish: wish(&[], None), pair: pair(1, 2), password: Some(PASSWORD) };
    let at = visit.arrive(&world, &robot).await.unwrap();
    let asked = robot.open(&at.tx).await.unwrap();
    let answers = asked.transaction.answers.clone();
    let signing = wallet.sign_in_with(&asked, &answers, Some(PASSWORD), pair(1, 2));
    let drill = async {
        reached.notified().await;
        // Both nodes hold nonces now. All that node 2 keeps at rest is, line by line, what it kept before.
        let during = backup("during.age");
        assert_eq!(during["rows"], before["rows"]);
        deployment.take_down("node-2").await;
        deployment.restore("node-2");
        until(&folder, "node-2", is_ready).await;
        go.notify_one();
    };
    let (answer, ()) = tokio::join!(signing, drill);
    assert_eq!(refusal(answer.map(|_| ())), Refusal::SessionGone);
    // The control: a change is seen in the digest, and a sign-in from its beginning is signed.
    robot.replace_number().await.unwrap();
    assert_ne!(backup("changed.age")["rows"]["digest"], before["rows"]["digest"]);
    sub(&world, &shop, &mut robot, pair(1, 2)).await.unwrap();
    deployment.stop().await;
}
