//! kill -9 between and within the steps of an enrolment: a complete person or none, and never a second identity. The process is
//! the real one over its real stores; the wallet keeps what it has and goes on when the service is back.

use crate::demo::free_ports;
use crate::linking::platform;
use hufu_kernel::{Lang, OsRng, Pair, Refusal, SystemClock};
use hufu_offices::registrar::NOTICE_VERSION;
use hufu_sandbox::http::{Addresses, client};
use hufu_sandbox::persons::{Person, persons};
use hufu_sandbox::robot::{Robot, Visit, World, wish};
use hufu_wallet::WalletError;
use hufu_wire::api::enrolment::{EnrolmentView, NextStep};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const PASSWORD: &str = "27182845";

/// The service as a process, killed with the test however the test ends.
struct Service {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, port: u16) -> Child {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_hufu"));
    demo.args(["demo", "--port", &port.to_string(), "--data"]).arg(folder.join("demo"));
    demo.arg("--ready-file").arg(folder.join("ready.json"));
    demo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Service {
    async fn start(folder: &Path, port: u16) -> Self {
        let mut service = Self { child: spawn(folder, port), folder: folder.to_owned(), port };
        service.ready().await;
        service
    }

    async fn ready(&mut self) -> Value {
        for _ in 0..1200 {
            let ready = std::fs::read(self.folder.join("ready.json")).ok();
            let ready: Option<Value> = ready.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            // A killed process leaves its file behind; only this one's counts.
            if let Some(ready) = ready.filter(|ready| ready["pid"] == self.child.id()) {
                return ready;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "the service ended before it was ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the service did not become ready");
    }

    /// SIGKILL: nothing of the process runs after it.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn back(&mut self) {
        self.child = spawn(&self.folder, self.port);
        self.ready().await;
    }

    async fn world(&mut self) -> (World, Vec<Person>) {
        let ready = self.ready().await;
        let data = self.folder.join("demo");
        let json = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(data.join(name)).unwrap()).unwrap() };
        let world = json("world.json");
        let founded = world["founded"].as_str().unwrap().parse().unwrap();
        let people = persons(world["seed"].as_u64().unwrap(), founded).unwrap();
        let world = World {
            addresses: serde_json::from_value::<Addresses>(ready).unwrap(),
            trust: Arc::new(serde_json::from_value(json("trust.json")).unwrap()),
            clock: Arc::new(SystemClock),
            rng: Arc::new(OsRng),
            notice_version: NOTICE_VERSION.to_owned(),
        };
        (world, people)
    }
}

/// Where the process is killed: after the answer to a step, or that many microseconds after the step was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kill {
    After(usize),
    Within(usize, u64),
}

/// Steps of the wallet: start, face, phone, code, device, password, confirm.
const AFTER: usize = 7;
const DEVICE: usize = 4;
const CONFIRM: usize = 6;
const MICROSECONDS: [u64; 6] = [300, 1_000, 2_000, 4_000, 8_000, 16_000];

/// One enrolment in which the process is killed once. What the wallet was told is what it had then; errors are the dead process's.
async fn enrol_and_kill(
    service: &mut Service,
    world: &World,
    person: &Person,
    robot: &mut Robot,
    kill: Kill,
) -> Option<()> {
    let details = world.details(person);
    let mut step = 0;
    let mut view = None;
    let mut ready = Vec::new();
    while step < AFTER {
        let carried_out = async {
            match step {
                0 => drop(robot.start(&details).await.ok()?),
                1 => drop(robot.face(b"pass").await.ok()?),
                2 => drop(robot.phone(person.phone.as_str(), Lang::En).await.ok()?),
                3 => drop(robot.code(&world.code(person).await.ok()?).await.ok()?),
                4 => view = Some(robot.register_device().await.ok()?.view),
                5 => ready = robot.secure(view.as_ref()?, PASSWORD, &details, Pair::ALL[0]).await.ok()?,
                _ => drop(robot.confirm(std::mem::take(&mut ready)).await.ok()?),
            }
            Some(())
        };
        match kill {
            Kill::Within(at, microseconds) if at == step => {
                let killed = async {
                    tokio::time::sleep(Duration::from_micros(microseconds)).await;
                    service.kill();
                };
                tokio::join!(carried_out, killed);
                return None;
            }
            _ => carried_out.await?,
        }
        if kill == Kill::After(step) {
            service.kill();
            return None;
        }
        step += 1;
    }
    Some(())
}

async fn status(world: &World, robot: &Robot) -> Option<EnrolmentView> {
    let ticket = robot.state.ticket.as_ref()?;
    let url = format!("{}/v1/enrol/status", world.addresses.registrar);
    let answer = client().unwrap().post(url).json(ticket).send().await.unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).ok()
}

/// What a person does whose page showed an error: the same enrolment again from where it stands, or a new one.
async fn go_on(world: &World, person: &Person, robot: &mut Robot) -> Result<(), WalletError> {
    let details = world.details(person);
    let Some(view) = status(world, robot).await else { return Ok(()) };
    if matches!(view.next, NextStep::Face | NextStep::Phone | NextStep::Code) {
        return world.enrol(robot, person, PASSWORD).await;
    }
    // The answer to the device step may be lost: it is asked again, and refused only to those who are past it.
    let ready = match robot.register_device().await {
        Ok(registered) => robot.secure(&registered.view, PASSWORD, &details, Pair::ALL[0]).await?,
        Err(WalletError::Refused(Refusal::EnrolmentOrder)) => Vec::new(),
        Err(error) => return Err(error),
    };
    robot.confirm(ready).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_any_step_of_an_enrolment_leaves_a_complete_person_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::start(folder.path(), free_ports().await).await;
    let (world, people) = service.world().await;
    let after = (0..AFTER).map(Kill::After);
    let within = [DEVICE, CONFIRM].into_iter().flat_map(|step| MICROSECONDS.map(|time| Kill::Within(step, time)));
    let kills: Vec<Kill> = after.chain(within).collect();
    let adults = people.iter().filter(|person| person.persona.is_none() && person.birth.year() < 2000);

    let mut enrolled = Vec::new();
    for (kill, person) in kills.iter().zip(adults) {
        let mut robot = world.robot().unwrap();
        let whole = enrol_and_kill(&mut service, &world, person, &mut robot, *kill).await;
        assert!(whole.is_none(), "{kill:?}: the process was not killed");
        service.back().await;
        go_on(&world, person, &mut robot).await.unwrap_or_else(|error| panic!("{kill:?}: {error}"));
        enrolled.push((kill, person, robot));
    }
    assert_eq!(enrolled.len(), kills.len(), "a person for every kill");

    let platform = platform(&folder.path().join("demo"), "yunzhou-hall", &world);
    let mut subs = BTreeSet::new();
    for (kill, person, mut robot) in enrolled {
        for pair in [Pair::ALL[0], Pair::ALL[2]] {
            let visit = Visit { platform: &platform, wish: wish(&[], None), pair, password: Some(PASSWORD) };
            let known =
                visit.run(&world, &mut robot).await.unwrap_or_else(|error| panic!("{kill:?} {pair:?}: {error}"));
            subs.insert(known.token.sub);
        }
        let again = world.enrol(&mut world.robot().unwrap(), person, PASSWORD).await;
        assert!(matches!(again, Err(WalletError::Refused(Refusal::AlreadyEnrolled))), "{kill:?}: {again:?}");
    }
    assert_eq!(subs.len(), kills.len(), "one person, one sub, whatever pair serves");
}
