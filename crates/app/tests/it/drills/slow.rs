//! Offices that take a connection and do not answer, and strangers who open connections and say nothing.

use super::*;
use crate::linking::platform;
use rustix::process::{Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_and_a_tagger_that_hang_cost_bounded_time_and_nothing_else() {
    let deployment = Deployment::start(&[]).await;
    let (world, folder, persons) = (deployment.seen.world(), deployment.folder.clone(), deployment.seen.persons());
    let shop = platform(&folder.join("world"), "yunzhou-hall", &world);
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, &persons[87], PASSWORD).await.unwrap();
    let known = sub(&world, &shop, &mut robot, pair(1, 3)).await.unwrap();
    let hanging = ["node-3", "tagger-1"].map(|office| deployment.process(office).unwrap());
    for process in hanging {
        kill_process(process, Signal::STOP).unwrap();
    }
    let within = async |what: &str, seconds: u64, work: std::pin::Pin<Box<dyn Future<Output = ()> + '_>>| {
        let began = Instant::now();
        work.await;
        println!("{what}: {:.1} s", began.elapsed().as_secs_f32());
        assert!(began.elapsed() < Duration::from_secs(seconds), "{what} took {:?}", began.elapsed());
    };
    within(
        "a pair with the one that hangs",
        15,
        Box::pin(async {
            let refused = sub(&world, &shop, &mut robot, pair(1, 3)).await;
            assert!(matches!(&refused, Err(WalletError::Unreachable { .. })), "{refused:?}");
        }),
    )
    .await;
    within(
        "a wallet that goes on with another pair",
        20,
        Box::pin(async {
            assert_eq!(any_sub(&world, &shop, &mut robot, pair(1, 3)).await.unwrap(), known);
        }),
    )
    .await;
    within(
        "a sign-in at the other two",
        3,
        Box::pin(async {
            assert_eq!(sub(&world, &shop, &mut robot, pair(1, 2)).await.unwrap(), known);
        }),
    )
    .await;
    within("a change", 45, Box::pin(async { robot.replace_number().await.unwrap() })).await;
    within(
        "an enrolment",
        90,
        Box::pin(async {
            let mut second = world.robot().unwrap();
            let answer = world.enrol(&mut second, &persons[88], PASSWORD).await;
            if let Err(WalletError::Refused(refusal)) = &answer {
                assert_eq!(refusal.text().status, 503, "{}", refusal.code());
            }
            println!("enrolled: {answer:?}");
        }),
    )
    .await;
    for process in hanging {
        kill_process(process, Signal::CONT).unwrap();
    }
    until(&folder, "node-3", is_ready).await;
    let mut last = Err(WalletError::State("not tried"));
    for _ in 0..100 {
        last = sub(&world, &shop, &mut robot, pair(1, 3)).await;
        if last.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(last.unwrap(), known, "what it missed while it hung it fetched");
    deployment.stop().await;
}

/// The address of a listener in an office's configuration.
fn listener(folder: &Path, office: &str, table: &str) -> String {
    let text = std::fs::read_to_string(folder.join(office).join("office.toml")).unwrap();
    let config: toml::Table = text.parse().unwrap();
    config[table]["listen"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_or_half_are_cut_and_sign_ins_go_on_beside_them() {
    let deployment = Deployment::start(&[]).await;
    let (world, folder, persons) = (deployment.seen.world(), deployment.folder.clone(), deployment.seen.persons());
    let shop = platform(&folder.join("world"), "yunzhou-hall", &world);
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, &persons[89], PASSWORD).await.unwrap();
    let half: [&[u8]; 3] = [b"", b"POST /v1/sign-in/begin HTTP/1.1\r\nHost: x\r\n", b"\x16\x03\x01\x02\x00"];
    let mut open = Vec::new();
    for table in ["public", "internal"] {
        for n in 0..150 {
            let mut stream = TcpStream::connect(listener(&folder, "node-1", table)).await.unwrap();
            stream.write_all(half[n % half.len()]).await.unwrap();
            open.push(stream);
        }
    }
    let began = Instant::now();
    for pair in Pair::ALL {
        sub(&world, &shop, &mut robot, pair).await.unwrap();
    }
    robot.replace_number().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    for mut stream in open {
        let mut rest = Vec::new();
        let cut = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
        assert!(cut.is_ok(), "a connection that says nothing is still open");
    }
    assert!(began.elapsed() < Duration::from_secs(35), "{:?}", began.elapsed());
    deployment.stop().await;
}
