//! The demo as other programs meet it: ports, the ready file, the clock, restarts, signals.

use hufu_app::demo::addresses::claim;
use hufu_app::demo::{self, Ended, Options, control};
use hufu_app::platform_file::{self, Kind, PlatformFile};
use hufu_kernel::{Answer, OsRng, SystemClock};
use hufu_offices::registrar::NOTICE_VERSION;
use hufu_sandbox::http::Addresses;
use hufu_sandbox::persons::{Person, persons};
use hufu_sandbox::robot::World;
use hufu_wallet::WalletError;
use hufu_web::serve::Stopper;
use hufu_wire::api::trust::Trust;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A demo as its ready file shows it.
pub struct Seen {
    ready: Value,
}

/// A demo in this process.
pub struct Running {
    seen: Seen,
    ready_file: PathBuf,
    stopper: Stopper,
    ended: JoinHandle<Result<Ended, hufu_app::failure::Failure>>,
}

pub fn options(folder: &Path) -> Options {
    Options { data: folder.join("demo"), ready_file: Some(folder.join("ready.json")), ..Options::default() }
}

pub async fn start(options: Options) -> Running {
    let ready_file = options.ready_file.clone().unwrap();
    let (stopper, stop) = Stopper::new();
    // On a thread of its own, as the program has it: the demo's future stays where it began.
    let here = tokio::runtime::Handle::current();
    let ended = tokio::task::spawn_blocking(move || here.block_on(demo::run(options, stop)));
    for _ in 0..600 {
        // What an earlier run left is there until this one has begun: only this process's announcement counts.
        let ready: Option<Value> =
            std::fs::read(&ready_file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(ready) = ready.filter(|ready| ready["pid"] == std::process::id()) {
            return Running { seen: Seen::new(ready), ready_file, stopper, ended };
        }
        assert!(!ended.is_finished(), "{:?}", ended.await.unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the demo did not become ready");
}

impl std::ops::Deref for Running {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl Seen {
    pub fn new(ready: Value) -> Self {
        Self { ready }
    }

    pub fn addresses(&self) -> Addresses {
        serde_json::from_value(self.ready.clone()).unwrap()
    }

    /// Identifiers and addresses of the platforms with pages.
    pub fn samples(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let platforms = self.ready["platforms"].as_array().unwrap().iter();
        platforms.map(|platform| (text(&platform["client_id"]), text(&platform["url"]))).collect()
    }

    /// Where platforms with TLS certificates are answered, and the file of the authority that vouches for that.
    pub fn mtls(&self) -> (&str, &Path) {
        (self.ready["mtls"].as_str().unwrap(), Path::new(self.ready["mtls_ca"].as_str().unwrap()))
    }

    pub fn trust(&self) -> Trust {
        serde_json::from_slice(&std::fs::read(self.ready["trust"].as_str().unwrap()).unwrap()).unwrap()
    }

    /// The address of a platform that has pages.
    pub fn platform(&self, client_id: &str) -> &str {
        let all = self.ready["platforms"].as_array().unwrap();
        all.iter().find(|one| one["client_id"] == client_id).unwrap()["url"].as_str().unwrap()
    }

    /// The text of `/metrics`, if this demo counts.
    pub async fn metrics(&self) -> String {
        let url = self.ready["metrics"].as_str().unwrap();
        let answer = self.addresses().client().unwrap().get(url).send().await.unwrap();
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
        answer.text().await.unwrap()
    }

    /// The persons are drawn from the sandbox's own seed and day.
    pub fn persons(&self) -> Vec<Person> {
        let world = Path::new(self.ready["data"].as_str().unwrap()).join("world.json");
        let world: Value = serde_json::from_slice(&std::fs::read(world).unwrap()).unwrap();
        persons(world["seed"].as_u64().unwrap(), world["founded"].as_str().unwrap().parse().unwrap()).unwrap()
    }

    pub fn world(&self) -> World {
        World {
            addresses: self.addresses(),
            trust: Arc::new(self.trust()),
            clock: Arc::new(SystemClock),
            rng: Arc::new(OsRng),
            notice_version: NOTICE_VERSION.to_owned(),
        }
    }
}

impl Running {
    pub async fn stop(self) {
        self.stopper.stop();
        assert_eq!(self.ended.await.unwrap().unwrap(), Ended::Well);
        assert!(!self.ready_file.exists(), "the ready file goes with the demo");
    }
}

/// The first of as many free ports as a demo needs, for processes that must come back at the same addresses.
pub async fn free_ports() -> u16 {
    for _ in 0..50 {
        let [high, low] = hufu_kernel::random::<2>(&OsRng);
        let port = 20_000 + (u16::from(high) * 256 + u16::from(low)) % 12_000;
        if claim(port).await.is_ok() {
            return port;
        }
    }
    panic!("no free ports");
}

async fn get(url: &str) -> (u16, Value) {
    let answer = hufu_sandbox::http::client().unwrap().get(url).send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_the_ready_file_answers_and_a_person_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ready.json"), "{\"an earlier run\": true}").unwrap();
    let running = start(options(folder.path())).await;
    let addresses = running.addresses();
    assert_eq!(running.ready["pid"], std::process::id());
    let wallet = addresses.wallet.replace("wallet.localhost", "127.0.0.1");
    let offices = [&addresses.issuer, &wallet, &addresses.registrar, &addresses.phone, &addresses.register];
    for base in offices.into_iter().chain(&addresses.nodes) {
        let (status, readiness) = get(&format!("{base}/readyz")).await;
        assert_eq!((status, &readiness["ready"]), (200, &Value::Bool(true)), "{base}: {readiness}");
    }
    for base in [&wallet, &addresses.registrar] {
        let (_, trust) = get(&format!("{base}/trust.json")).await;
        assert_eq!(serde_json::from_value::<Trust>(trust).unwrap(), running.trust());
    }
    let (_, discovery) = get(&format!("{}/.well-known/openid-configuration", addresses.issuer)).await;
    assert_eq!(discovery["issuer"], addresses.issuer);
    let somebody = running.persons()[40].clone();
    let world = running.world();
    world.enrol(&mut world.robot().unwrap(), &somebody, "27182845").await.unwrap();
    running.stop().await;

    let running = start(options(folder.path())).await;
    assert_eq!(running.persons()[40], somebody);
    let world = running.world();
    let again = world.enrol(&mut world.robot().unwrap(), &somebody, "27182845").await;
    assert!(matches!(again, Err(WalletError::Refused(hufu_kernel::Refusal::AlreadyEnrolled))), "{again:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_holds_every_promise() {
    let folder = tempfile::tempdir().unwrap();
    let (_stopper, stop) = Stopper::new();
    let options = Options { tour: true, json: true, ..options(folder.path()) };
    assert_eq!(demo::run(options, stop).await.unwrap(), Ended::Well);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_of_all_offices_moves_forward_only_for_the_owner_and_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("demo");
    let asleep = control::advance(&data, 60).await.unwrap_err().to_string();
    assert!(asleep.contains("no demo is running"), "{asleep}");
    let running = start(options(folder.path())).await;
    assert_eq!(control::advance(&data, 72 * 3600).await.unwrap().shift, 259_200);
    assert_eq!(control::advance(&data, 0).await.unwrap().shift, 259_200);
    assert!(control::advance(&data, -1).await.is_err());
    assert!(control::advance(&data, i64::MAX).await.is_err());
    let door: Value = serde_json::from_slice(&std::fs::read(data.join("control.json")).unwrap()).unwrap();
    let url = format!("{}/v1/clock", door["url"].as_str().unwrap());
    let client = hufu_sandbox::http::client().unwrap();
    let knock = |token: &str| {
        client.post(&url).bearer_auth(token).header("content-type", "application/json").body("{\"seconds\":60}")
    };
    let token = door["token"].as_str().unwrap();
    assert_eq!(knock("").send().await.unwrap().status(), 403);
    assert_eq!(knock(&"A".repeat(43)).send().await.unwrap().status(), 403);
    let from_a_page = knock(token).header("origin", "http://wallet.localhost:1");
    assert_eq!(from_a_page.send().await.unwrap().status(), 403);
    assert_eq!(hufu_app::files::mode(&data.join("control.json")).unwrap(), 0o600);
    // Devices on the machine's own time are three days behind now: nodes refuse them.
    let world = running.world();
    let person = running.persons()[41].clone();
    let behind = world.enrol(&mut world.robot().unwrap(), &person, "27182845").await;
    assert!(matches!(behind, Err(WalletError::Refused(hufu_kernel::Refusal::StaleTime))), "{behind:?}");
    running.stop().await;
    assert!(!data.join("control.json").exists());
    let running = start(options(folder.path())).await;
    assert_eq!(control::advance(&data, 0).await.unwrap().shift, 259_200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_of_ones_own_is_admitted_and_one_that_breaks_a_rule_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let new = |name: &str| {
        let service = platform_file::Service { issuer: "http://localhost:1", trust: folder.path() };
        platform_file::create(name, folder.path(), Kind::Key, service, &OsRng).unwrap().file
    };
    let good = new("my-shop");
    let running = start(Options { platforms: vec![good], ..options(folder.path()) }).await;
    let url = format!("{}/authorize?client_id=my-shop", running.addresses().issuer);
    let answer = hufu_sandbox::http::client().unwrap().get(url).send().await.unwrap();
    let page = answer.text().await.unwrap();
    assert!(!page.contains("platform_unknown"), "{page}");
    running.stop().await;

    let greedy = new("greedy");
    let mut file = PlatformFile::read(&greedy).unwrap();
    file.purposes[0].answers.push(Answer::GuardianConsent);
    std::fs::write(&greedy, toml::to_string(&file).unwrap()).unwrap();
    let (_stopper, stop) = Stopper::new();
    let refused = demo::run(Options { platforms: vec![greedy], ..options(folder.path()) }, stop).await.unwrap_err();
    assert!(refused.to_string().contains("the platform greedy is not admitted (platform_request)"), "{refused}");
}

#[tokio::test]
async fn a_busy_port_is_named_with_what_it_is_for_and_the_flag() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let message = claim(port).await.unwrap_err().to_string();
    for part in [port.to_string().as_str(), "front", "--port"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(claim(u16::MAX - 3).await.is_err());
}

#[test]
fn the_program_stops_at_a_signal_with_success_and_takes_its_ready_file_along() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hufu"))
        .args(["demo", "--port", "0", "--data"])
        .arg(folder.path().join("demo"))
        .arg("--ready-file")
        .arg(&ready)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if ready.exists() || child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(ready.exists());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let banner = String::from_utf8(output.stdout).unwrap();
    assert!(banner.contains("SANDBOX") && banner.contains("One operator runs all offices"), "{banner}");
    assert!(!ready.exists());
}

#[test]
fn the_help_names_every_command() {
    let output = Command::new(env!("CARGO_BIN_EXE_hufu")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for command in ["demo", "platform", "sandbox", "explain", "doctor"] {
        assert!(help.contains(command), "{help}");
    }
    let unknown = Command::new(env!("CARGO_BIN_EXE_hufu")).args(["explain", "no-such-thing"]).output().unwrap();
    assert!(!unknown.status.success() && String::from_utf8_lossy(&unknown.stderr).contains("--list"));
}
