//! Nodes that die: one in the middle of a sign-in, two at once, and their return.

use super::Deployment;
use crate::linking::platform;
use hufu_kernel::{NodeIndex, Pair, Refusal};
use hufu_sandbox::robot::{Visit, wish};
use hufu_wallet::WalletError;
use rustix::process::{Signal, kill_process};
use std::time::Duration;

const PASSWORD: &str = "27182845";

fn pair(a: u8, b: u8) -> Pair {
    Pair::new(NodeIndex::try_from(a).unwrap(), NodeIndex::try_from(b).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_in_a_sign_in_leaves_two_that_finish_it_and_two_dead_ones_refuse_cleanly() {
    let deployment = Deployment::start(&[]).await;
    let world = deployment.seen.world();
    let persons = deployment.seen.persons();
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, &persons[60], PASSWORD).await.unwrap();
    let shop = platform(&deployment.folder.join("world"), "yunzhou-hall", &world);
    let visit = |pair| Visit { platform: &shop, wish: wish(&[], None), pair, password: Some(PASSWORD) };
    let before = visit(pair(2, 3)).run(&world, &mut robot).await.unwrap();

    // The wallet has the transaction; then node 2 dies.
    let visit_now = visit(pair(2, 3));
    let at = visit_now.arrive(&world, &robot).await.unwrap();
    let asked = robot.open(&at.tx).await.unwrap();
    deployment.take_down("node-2").await;
    let answers = asked.transaction.answers.clone();
    let dead = robot.sign_in_with(&asked, &answers, Some(PASSWORD), pair(2, 3)).await;
    assert!(matches!(&dead, Err(WalletError::Unreachable { .. })), "{:?}", dead.err());
    let signed = robot.sign_in_with(&asked, &answers, Some(PASSWORD), pair(1, 3)).await.unwrap();
    robot.complete(&asked, &signed).await.unwrap();

    // With two of three people still enrol.
    let mut second = world.robot().unwrap();
    world.enrol(&mut second, &persons[61], PASSWORD).await.unwrap();

    deployment.take_down("node-3").await;
    for pair in Pair::ALL {
        let answer = robot.sign_in_with(&asked, &answers, Some(PASSWORD), pair).await;
        assert!(matches!(&answer, Err(WalletError::Unreachable { .. })), "{pair:?}: {:?}", answer.err());
    }
    let mut third = world.robot().unwrap();
    world.prove(&mut third, &persons[62]).await.unwrap();
    let refused = world.finish_enrolment(&mut third, &persons[62], PASSWORD).await;
    let Err(WalletError::Refused(refusal)) = refused else { panic!("{refused:?}") };
    assert!(refusal.text().status == 503 && refusal != Refusal::Internal, "{}", refusal.code());

    // They come back by themselves, and the person is who they were.
    for office in ["node-2", "node-3"] {
        deployment.restore(office);
    }
    for _ in 0..300 {
        if visit(pair(2, 3)).run(&world, &mut robot).await.is_ok_and(|again| again.token.sub == before.token.sub) {
            // Whoever was refused goes on where they were.
            let mut last = Ok(());
            for _ in 0..50 {
                last = world.finish_enrolment(&mut third, &persons[62], PASSWORD).await;
                if last.is_ok() {
                    return deployment.stop().await;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            panic!("nobody can be enrolled after the nodes came back: {last:?}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the nodes did not come back within a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_that_dies_is_started_again_and_a_registry_that_is_down_stops_nothing() {
    let deployment = Deployment::start(&[]).await;
    let world = deployment.seen.world();
    let shop = platform(&deployment.folder.join("world"), "yunzhou-hall", &world);
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, &deployment.seen.persons()[63], PASSWORD).await.unwrap();
    deployment.take_down("registry").await;
    let first = deployment.process("front").unwrap();
    kill_process(first, Signal::KILL).unwrap();
    let visit = Visit { platform: &shop, wish: wish(&[], None), pair: pair(1, 2), password: Some(PASSWORD) };
    for _ in 0..150 {
        if deployment.process("front").is_some_and(|now| now != first) && visit.run(&world, &mut robot).await.is_ok() {
            return deployment.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the front did not come back with the platforms it knew");
}
