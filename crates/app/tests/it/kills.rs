//! Kills and power cuts at random over a whole deployment, a process an office, while people enrol, change their rows and sign in.
//! Afterwards nothing acknowledged is lost, nobody is half a person, and the nodes say the same of everybody.
//!
//! `HUFU_KILLS` says how many (60), `HUFU_SEED` repeats a run's choices.

use super::demo::Seen;
use super::linking::platform;
use hufu_kernel::{OsRng, Pair, Refusal, Rng, SeededRng, SystemClock, random};
use hufu_offices::registrar::NOTICE_VERSION;
use hufu_platform::client::RelyingParty;
use hufu_sandbox::persons::Person;
use hufu_sandbox::robot::{Robot, Visit, World, wish};
use hufu_wallet::WalletError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const PASSWORD: &str = "27182845";
/// The offices that write, and so can lose.
const WRITERS: [&str; 6] = ["node-1", "node-2", "node-3", "registrar", "uniqueness", "post"];
const OTHERS: [&str; 5] = ["tagger-1", "tagger-2", "tagger-3", "front", "registry"];

/// What a power cut does to writes that nobody synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// SIGKILL: the page cache stays.
    Kill,
    /// The disk is as it was last synced.
    PowerCut,
}

/// One office's process.
struct Office {
    name: &'static str,
    child: Child,
}

/// All processes of one sandbox.
struct Deployment {
    folder: PathBuf,
    shim: PathBuf,
    offices: Mutex<Vec<Office>>,
    world: Child,
}

impl Drop for Deployment {
    fn drop(&mut self) {
        for office in self.offices.lock().unwrap().iter_mut() {
            let _ = office.child.kill();
            let _ = office.child.wait();
        }
        let _ = self.world.kill();
        let _ = self.world.wait();
    }
}

fn hufu(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

impl Deployment {
    async fn start(folder: &Path) -> Self {
        let (sandbox, shim) = (folder.join("sandbox"), folder.join("power_cut.so"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/preload/power_cut.c");
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source).status();
        assert!(
            compiled.is_ok_and(|status| status.success()),
            "the power-cut shim needs: apt-get install gcc libc6-dev"
        );
        let made = hufu(&["init", sandbox.to_str().unwrap(), "--sandbox", "--dealt", "--port", "0"]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        crate::apart::unlimited(&sandbox);
        // Brought up once as people do: it admits the platforms, and says where everything is.
        let ready = folder.join("ready.json");
        let once = hufu(&["sandbox", "up", sandbox.to_str().unwrap(), "--ready-file", ready.to_str().unwrap()]).spawn();
        let mut once = once.unwrap();
        for _ in 0..600 {
            if ready.exists() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        std::fs::copy(&ready, folder.join("seen.json")).expect("the sandbox became ready");
        assert!(Command::new("kill").args(["-TERM", &once.id().to_string()]).status().unwrap().success());
        once.wait().unwrap();

        let world = sandbox.join("world").join("world.toml");
        let world =
            hufu(&["sandbox", "world", "--config", world.to_str().unwrap()]).stderr(Stdio::null()).spawn().unwrap();
        let deployment = Self { folder: sandbox, shim, offices: Mutex::default(), world };
        for name in WRITERS.into_iter().chain(OTHERS) {
            let (live, synced) = deployment.disk(name);
            copy_folder(&live, &synced);
            let child = deployment.spawn(name);
            deployment.offices.lock().unwrap().push(Office { name, child });
        }
        for name in WRITERS.into_iter().chain(OTHERS) {
            deployment.ready(name).await;
        }
        deployment
    }

    /// The office's folder, and beside it what of it was synced.
    fn disk(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.folder.join(name), self.folder.join("synced").join(name))
    }

    fn spawn(&self, name: &str) -> Child {
        let config = self.folder.join(name).join("office.toml");
        let (live, synced) = self.disk(name);
        let mut command = hufu(&["sandbox", "serve", name, "--config", config.to_str().unwrap()]);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join(format!("{name}.log")));
        command.stderr(log.unwrap()).env("LD_PRELOAD", &self.shim);
        command
            .env("HUFU_DISK_LIVE", live.canonicalize().unwrap())
            .env("HUFU_DISK_SYNCED", synced.canonicalize().unwrap());
        command.spawn().unwrap()
    }

    fn livez(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.join(name).join("office.toml")).unwrap();
        let config: toml::Table = text.parse().unwrap();
        format!("http://{}/livez", config["metrics"]["listen"].as_str().unwrap())
    }

    async fn ready(&self, name: &str) {
        let (url, client) = (self.livez(name), reqwest::Client::new());
        for _ in 0..1200 {
            if client
                .get(&url)
                .timeout(Duration::from_secs(1))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return;
            }
            if let Some(office) = self.offices.lock().unwrap().iter_mut().find(|office| office.name == name) {
                let ended = office.child.try_wait().unwrap();
                let log = || std::fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default();
                assert!(ended.is_none(), "{name} does not start again: {ended:?}\n{}", log());
            }
            sleep(Duration::from_millis(25)).await;
        }
        panic!("{name} does not answer");
    }

    /// Ends an office's process, and finds its disk as that leaves it.
    fn end(&self, name: &str, how: End) {
        let mut offices = self.offices.lock().unwrap();
        let office = offices.iter_mut().find(|office| office.name == name).unwrap();
        office.child.kill().unwrap();
        office.child.wait().unwrap();
        let (live, synced) = self.disk(name);
        if how == End::PowerCut {
            for file in std::fs::read_dir(&live).unwrap().flatten() {
                // What was never synced is gone; the shim keeps everything the process synced, and we what was there before it.
                if file.path().is_file() && !synced.join(file.file_name()).exists() {
                    std::fs::remove_file(file.path()).unwrap();
                }
            }
            for file in std::fs::read_dir(&synced).unwrap().flatten() {
                if !file.file_name().to_str().unwrap().starts_with("pending-") {
                    std::fs::copy(file.path(), live.join(file.file_name())).unwrap();
                }
            }
        }
        // The next process begins with what is on the disk now.
        std::fs::remove_dir_all(&synced).unwrap();
        copy_folder(&live, &synced);
    }

    fn back(&self, name: &'static str) {
        let child = self.spawn(name);
        let mut offices = self.offices.lock().unwrap();
        offices.iter_mut().find(|office| office.name == name).unwrap().child = child;
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().flatten().filter(|file| file.path().is_file()) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Somebody whose enrolment was acknowledged, and what else was.
struct Known {
    person: Person,
    robot: Robot,
    sub: String,
    locked: bool,
    /// Its answer to a lock or its end was lost: either may be so.
    unsure: bool,
}

async fn sub(world: &World, platform: &RelyingParty, robot: &mut Robot, pair: Pair) -> Result<String, String> {
    let visit = Visit { platform, wish: wish(&[], None), pair, password: Some(PASSWORD) };
    visit.run(world, robot).await.map(|known| known.token.sub)
}

/// What the load has counted.
#[derive(Default)]
struct Counts {
    signed_in: AtomicUsize,
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
}

struct Load {
    world: World,
    platform: RelyingParty,
    over: AtomicBool,
    counts: Counts,
    /// Why people could not be enrolled, and how often.
    why: Mutex<BTreeMap<String, usize>>,
}

impl Load {
    /// One enrols after the other, and then lives: signs in, ends sessions, takes new numbers, and at last locks.
    async fn lives(&self, people: Vec<Person>, seed: u64) -> (Vec<Known>, Vec<(Person, Robot)>) {
        let rng = SeededRng::new(seed);
        let (mut known, mut half): (Vec<Known>, _) = (Vec::new(), Vec::new());
        let mut people = people.into_iter();
        while !self.over.load(Ordering::Relaxed) {
            let Some(person) = people.next() else {
                // Everybody is enrolled or was refused: whoever is there lives on.
                let [who, choice] = random::<2>(&rng);
                let at = usize::from(who) % known.len().max(1);
                match known.get_mut(at) {
                    Some(one) => self.act(one, choice).await,
                    None => sleep(Duration::from_millis(50)).await,
                }
                continue;
            };
            let mut robot = self.world.robot().unwrap();
            if let Err(error) = self.enrol(&mut robot, &person).await {
                *self.why.lock().unwrap().entry(error.to_string()).or_default() += 1;
                half.push((person, robot));
                continue;
            }
            self.counts.acknowledged.fetch_add(1, Ordering::Relaxed);
            let mut one = Known { person, robot, sub: String::new(), locked: false, unsure: false };
            for _ in 0..6 {
                self.act(&mut one, random::<1>(&rng)[0]).await;
            }
            known.push(one);
        }
        (known, half)
    }

    /// As people do it: whoever met an error tries again where they are, and gives up at last.
    async fn enrol(&self, robot: &mut Robot, person: &Person) -> Result<(), WalletError> {
        let mut proven = false;
        for left in (0..12).rev() {
            let tried = match proven {
                false => self.world.prove(robot, person).await.map(|()| proven = true),
                true => self.world.finish_enrolment(robot, person, PASSWORD).await,
            };
            match tried {
                Ok(()) if robot.state.number.is_some() => break,
                Ok(()) => {}
                Err(error) if left == 0 => return Err(error),
                Err(_) => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(150)).await;
                }
            }
        }
        Ok(())
    }

    async fn act(&self, one: &mut Known, choice: u8) {
        let done = match choice % 8 {
            0 => one.robot.end_sessions().await.is_ok(),
            1 => one.robot.replace_number().await.is_ok(),
            2 if one.locked => {
                let unlocked = one.robot.unlock().await.is_ok();
                one.locked = false;
                one.unsure |= !unlocked;
                unlocked
            }
            2 => {
                let locked = one.robot.lock().await.is_ok();
                one.locked = locked;
                one.unsure |= !locked;
                locked
            }
            pair => {
                let pair = Pair::ALL[usize::from(pair) % 3];
                let answer = sub(&self.world, &self.platform, &mut one.robot, pair).await;
                if let Ok(sub) = &answer {
                    assert!(!one.locked, "somebody locked signed in");
                    assert!(one.sub.is_empty() || one.sub == *sub, "a pseudonym changed");
                    one.sub.clone_from(sub);
                    self.counts.signed_in.fetch_add(1, Ordering::Relaxed);
                }
                answer.is_ok()
            }
        };
        let count = if done { &self.counts.acknowledged } else { &self.counts.refused };
        count.fetch_add(1, Ordering::Relaxed);
        if !done {
            sleep(Duration::from_millis(25)).await;
        }
    }
}

async fn killing(deployment: &Deployment, load: &Load, kills: usize, rng: &dyn Rng) -> (usize, usize) {
    let (mut killed, mut cut) = (0, 0);
    for done in 0..kills {
        let [who, how, pause, second] = random::<4>(rng);
        let victim = |draw: u8| {
            let all: Vec<&'static str> = WRITERS.into_iter().chain(OTHERS).collect();
            all[usize::from(draw) % all.len()]
        };
        let name = victim(who);
        let how = if WRITERS.contains(&name) && how % 3 == 0 { End::PowerCut } else { End::Kill };
        deployment.end(name, how);
        match how {
            End::Kill => killed += 1,
            End::PowerCut => cut += 1,
        }
        // Every eighth time another office goes while the first is away.
        let other = victim(second);
        let both = second % 8 == 0 && other != name;
        if both {
            deployment.end(other, End::Kill);
        }
        sleep(Duration::from_millis(u64::from(pause % 16) * 5)).await;
        deployment.back(name);
        if both {
            deployment.back(other);
        }
        deployment.ready(name).await;
        if both {
            deployment.ready(other).await;
        }
        sleep(how_long(pause)).await;
        if (done + 1) % 100 == 0 {
            println!("{} of {kills} …", done + 1);
        }
    }
    load.over.store(true, Ordering::Relaxed);
    (killed, cut)
}

/// Mostly short, so that the next one comes while offices catch up; at times long enough to do something in peace.
fn how_long(pause: u8) -> Duration {
    Duration::from_millis(u64::from(pause) * u64::from(pause) / 128)
}

/// Until the nodes agree on everybody who is known, they may be catching up.
async fn signs_in(world: &World, platform: &RelyingParty, one: &mut Known, pair: Pair) -> Result<String, String> {
    let began = Instant::now();
    loop {
        let answer = sub(world, platform, &mut one.robot, pair).await;
        let settled = match &answer {
            Ok(_) => true,
            Err(error) => error.contains("locked") || began.elapsed() > Duration::from_secs(20),
        };
        if settled {
            return answer;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_and_power_cuts_over_a_whole_deployment_lose_nothing_acknowledged() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("HUFU_SEED").unwrap_or_else(|| u64::from_be_bytes(random(&OsRng)));
    let kills = usize::try_from(number("HUFU_KILLS").unwrap_or(60)).unwrap();
    println!("HUFU_SEED={seed} HUFU_KILLS={kills}");
    let folder = tempfile::tempdir().unwrap();
    let deployment = Deployment::start(folder.path()).await;
    let ready: Value = serde_json::from_slice(&std::fs::read(folder.path().join("seen.json")).unwrap()).unwrap();
    let seen = Seen::new(ready.clone());
    let world = World {
        addresses: seen.addresses(),
        trust: Arc::new(seen.trust()),
        clock: Arc::new(SystemClock),
        rng: Arc::new(OsRng),
        notice_version: NOTICE_VERSION.to_owned(),
    };
    let platform = |_: ()| platform(Path::new(ready["data"].as_str().unwrap()), "yunzhou-hall", &world);
    let adults = seen.persons().into_iter().filter(|person| person.persona.is_none() && person.birth.year() < 2000);
    let (mut even, mut odd) = (Vec::new(), Vec::new());
    for (at, person) in adults.enumerate() {
        if at % 2 == 0 { even.push(person) } else { odd.push(person) }
    }
    let load = Load {
        world: world.clone(),
        platform: platform(()),
        over: AtomicBool::new(false),
        counts: Counts::default(),
        why: Mutex::default(),
    };
    let rng = SeededRng::new(seed);
    let ((killed, cut), first, second) =
        tokio::join!(killing(&deployment, &load, kills, &rng), load.lives(even, seed ^ 1), load.lives(odd, seed ^ 2));
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    println!(
        "{killed} kills, {cut} power cuts; {} acknowledged, of them {} enrolments and sign-ins {}; {} refused",
        count(&load.counts.acknowledged),
        first.0.len() + second.0.len(),
        count(&load.counts.signed_in),
        count(&load.counts.refused)
    );
    for (why, times) in load.why.lock().unwrap().iter() {
        println!("{times} enrolments ended with: {why}");
    }
    let platform = platform(());
    let mut enrolled = 0;
    for mut one in first.0.into_iter().chain(second.0) {
        enrolled += 1;
        for pair in Pair::ALL {
            let answer = signs_in(&world, &platform, &mut one, pair).await;
            match answer {
                Ok(sub) => {
                    assert!(!one.locked, "an acknowledged lock is lost");
                    assert!(one.sub.is_empty() || one.sub == sub, "a pseudonym changed");
                    one.sub = sub;
                }
                Err(error) => {
                    assert!(one.locked || one.unsure, "an acknowledged enrolment is lost at {pair:?}: {error}")
                }
            }
        }
        let again = world.enrol(&mut world.robot().unwrap(), &one.person, PASSWORD).await;
        assert!(matches!(again, Err(WalletError::Refused(Refusal::AlreadyEnrolled))), "a second identity: {again:?}");
    }
    let told = || std::fs::read_to_string(deployment.folder.join("registrar.log")).unwrap_or_default();
    assert!(enrolled > 0, "nobody enrolled: the load was none\n{}", told());
    // Whoever met an error is nobody, or becomes somebody whole by beginning again with a new device.
    for (person, _) in first.1.into_iter().chain(second.1).take(10) {
        let mut robot = world.robot().unwrap();
        match world.enrol(&mut robot, &person, PASSWORD).await {
            Ok(()) => {
                for pair in [Pair::ALL[0], Pair::ALL[2]] {
                    sub(&world, &platform, &mut robot, pair).await.expect("half a person");
                }
            }
            // It was confirmed and the answer was lost, or waits for its hour to lapse.
            Err(WalletError::Refused(Refusal::AlreadyEnrolled | Refusal::Busy)) => {}
            Err(error) => panic!("somebody can neither enrol nor is enrolled: {error}"),
        }
    }
}
