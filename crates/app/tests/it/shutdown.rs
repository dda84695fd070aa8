//! SIGTERM while people are at it: what is under way ends, nothing new begins, nothing acknowledged is lost.

use super::demo::{Seen, options, start};
use hufu_kernel::Refusal;
use hufu_wallet::WalletError;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// The program, ended with the test however the test ends.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    async fn start(folder: &Path) -> (Self, Value) {
        let ready = folder.join("ready.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
        command.args(["demo", "--port", "0", "--data"]).arg(folder.join("demo")).arg("--ready-file").arg(&ready);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let program = Self(child);
        for _ in 0..600 {
            if let Some(ready) = std::fs::read(&ready).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
                return (program, ready);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the program did not become ready");
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
    }

    /// The exit status, which comes within the time that requests under way are given and some.
    async fn ended(&mut self) -> ExitStatus {
        for _ in 0..300 {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the program did not end within 15 seconds");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_ends_well_and_nothing_new_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (mut program, ready) = Program::start(folder.path()).await;
    let running = Seen::new(ready);
    let (world, addresses) = (running.world(), running.addresses());
    // The register takes its time, so that a request is certainly under way.
    let mode = json!({ "mode": "slow", "milliseconds": 1500 });
    let http = addresses.client().unwrap();
    let slowed = http.post(format!("{}/sandbox/mode", addresses.register)).json(&mode).send().await.unwrap();
    assert!(slowed.status().is_success());
    let person = running.persons()[50].clone();
    let asking = tokio::spawn(async move {
        let mut robot = world.robot().unwrap();
        let details = world.details(&person);
        robot.start(&details).await.map(drop)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    program.terminate();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asking.is_finished(), "the request was to be under way still");
    let offices = [&addresses.registrar, &addresses.issuer, &addresses.wallet, &addresses.nodes[0]];
    for office in offices {
        let port: u16 = office.rsplit(':').next().unwrap().parse().unwrap();
        let mut closed = false;
        for _ in 0..16 {
            closed = TcpStream::connect(("127.0.0.1", port)).await.is_err();
            if closed {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(closed, "{office} still takes requests");
    }
    asking.await.unwrap().unwrap();
    assert!(program.ended().await.success());
    assert!(!folder.path().join("ready.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_told_that_they_are_enrolled_is_enrolled_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut program, ready) = Program::start(folder.path()).await;
    let running = Seen::new(ready);
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut people = JoinSet::new();
    for first in 0..4 {
        let (world, told) = (running.world(), Arc::clone(&told));
        let mine: Vec<_> = running.persons().into_iter().skip(60 + first * 30).take(30).collect();
        people.spawn(async move {
            for person in mine {
                let mut robot = world.robot().unwrap();
                if world.enrol(&mut robot, &person, "27182845").await.is_err() {
                    return;
                }
                told.lock().await.push(person);
            }
        });
    }
    while told.lock().await.len() < 6 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    program.terminate();
    assert!(program.ended().await.success());
    while people.join_next().await.is_some() {}
    let told = told.lock().await.clone();
    assert!((6..120).contains(&told.len()), "{} were told before the end", told.len());

    let running = start(options(folder.path())).await;
    let world = running.world();
    for person in &told {
        let again = world.enrol(&mut world.robot().unwrap(), person, "27182845").await;
        assert!(matches!(again, Err(WalletError::Refused(Refusal::AlreadyEnrolled))), "{}: {again:?}", person.id);
    }
    // The control: somebody who was never enrolled can be.
    let fresh = &running.persons()[55];
    world.enrol(&mut world.robot().unwrap(), fresh, "27182845").await.unwrap();
    running.stop().await;
}
