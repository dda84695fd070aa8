//! The whole service on a cluster that loses its leader (docs/operate/postgresql.md): three PostgreSQL servers under Patroni with
//! synchronous standbys, the leader killed while people enrol and lock themselves. Nothing acknowledged is lost, and who is
//! enrolled signs in while there is no leader.

use super::demo::{Running, options, start};
use super::linking::platform;
use hufu_app::demo::Options;
use hufu_kernel::Pair;
use hufu_platform::client::RelyingParty;
use hufu_sandbox::persons::Person;
use hufu_sandbox::robot::{Robot, Visit, World, wish};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;

const MISSING: &str = "the fail-over test needs: apt-get install postgresql patroni etcd-server";
const PASSWORD: &str = "27182845";

/// Runs etcd and three Patronis until its standard input closes, which it does however the tests end; then stops them all and
/// whatever servers they left behind. Process ids are in `NAME.pid`.
const GUARD: &str = r#"
    trap '' INT TERM
    dir="$1"; shift
    run() { name="$1"; shift; "$@" >"$dir/$name.log" 2>&1 & echo $! >"$dir/$name.pid"; }
    run etcd etcd --name one --data-dir "$dir/etcd" --listen-client-urls "http://127.0.0.1:$1" \
        --advertise-client-urls "http://127.0.0.1:$1" --listen-peer-urls "http://127.0.0.1:$2" \
        --initial-advertise-peer-urls "http://127.0.0.1:$2" --initial-cluster "one=http://127.0.0.1:$2" --enable-v2=false
    for name in n1 n2 n3; do run "$name" patroni "$dir/$name.yml"; done
    read -r rest
    for name in n1 n2 n3; do kill -TERM "$(cat "$dir/$name.pid")" 2>/dev/null; done
    for turn in 1 2 3 4 5 6 7 8 9 10; do
        left=""
        for name in n1 n2 n3; do kill -0 "$(cat "$dir/$name.pid")" 2>/dev/null && left=yes; done
        [ -z "$left" ] && break
        sleep 1
    done
    for file in "$dir"/n?/postmaster.pid; do [ -f "$file" ] && kill -QUIT "$(head -n 1 "$file")" 2>/dev/null; done
    for name in n1 n2 n3 etcd; do kill -KILL "$(cat "$dir/$name.pid")" 2>/dev/null; done
    wait
    rm -rf "$dir"
"#;

/// Three servers, one of which takes writes.
struct Cluster {
    dir: PathBuf,
    ports: [u16; 3],
    guard: Child,
}

fn bin_dir() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect(MISSING);
    let number = |path: &Path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    versions.map(|entry| entry.unwrap().path()).max_by_key(|path| number(path)).expect(MISSING).join("bin")
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held = std::array::from_fn::<_, N, _>(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// What docs/operate/postgresql.md says: every standby is synchronous and applies before a write is acknowledged.
fn settings(dir: &Path, name: &str, etcd: u16, [rest, port]: [u16; 2]) -> String {
    let (dir, bin) = (dir.display(), bin_dir());
    let bin = bin.display();
    format!(
        "scope: hufu\nname: {name}\n\
         restapi: {{listen: '127.0.0.1:{rest}', connect_address: '127.0.0.1:{rest}'}}\n\
         etcd3: {{hosts: ['127.0.0.1:{etcd}']}}\n\
         bootstrap:\n\
         \x20 dcs:\n\
         \x20   {{ttl: 20, loop_wait: 5, retry_timeout: 7, synchronous_mode: true, synchronous_mode_strict: true,\n\
         \x20    synchronous_node_count: 2,\n\
         \x20    postgresql: {{use_pg_rewind: true, use_slots: true, parameters: {{wal_level: replica, hot_standby: 'on',\n\
         \x20      wal_log_hints: 'on', max_wal_senders: 10, max_replication_slots: 10, synchronous_commit: remote_apply,\n\
         \x20      max_connections: 150, shared_buffers: 64MB}}}}}}\n\
         \x20 initdb: [{{encoding: UTF8}}, {{locale: C}}, data-checksums]\n\
         \x20 pg_hba: ['host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust', 'local all all trust']\n\
         postgresql:\n\
         \x20 listen: '127.0.0.1:{port}'\n\
         \x20 connect_address: '127.0.0.1:{port}'\n\
         \x20 data_dir: {dir}/{name}\n\
         \x20 bin_dir: {bin}\n\
         \x20 pgpass: {dir}/{name}.pgpass\n\
         \x20 authentication: {{superuser: {{username: hufu, password: x}}, replication: {{username: repl, password: x}}, \
         rewind: {{username: rewind, password: x}}}}\n\
         \x20 parameters: {{unix_socket_directories: {dir}}}\n\
         watchdog: {{mode: 'off'}}\n"
    )
}

impl Cluster {
    fn new() -> Self {
        for program in ["patroni", "etcd"] {
            assert!(Command::new("which").arg(program).output().unwrap().status.success(), "{program}: {MISSING}");
        }
        let dir = std::env::temp_dir().join(format!("hufu-patroni-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let [etcd, between, r1, r2, r3, p1, p2, p3] = free_ports::<8>();
        for (name, ports) in [("n1", [r1, p1]), ("n2", [r2, p2]), ("n3", [r3, p3])] {
            std::fs::write(dir.join(format!("{name}.yml")), settings(&dir, name, etcd, ports)).unwrap();
        }
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let mut guard = Command::new(if root { "setpriv" } else { "sh" });
        if root {
            // PostgreSQL refuses to be root.
            assert!(Command::new("chown").args(["-R", "postgres"]).arg(&dir).status().unwrap().success());
            guard.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "sh"]);
        }
        guard.args(["-c", GUARD, "guard"]).arg(&dir).args([etcd.to_string(), between.to_string()]);
        let guard = guard.current_dir(&dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { guard: guard.spawn().expect(MISSING), ports: [p1, p2, p3], dir }
    }

    fn url(&self) -> String {
        let [a, b, c] = self.ports;
        format!("postgres://hufu:x@127.0.0.1:{a},127.0.0.1:{b},127.0.0.1:{c}/postgres")
    }

    /// Asks the server that takes writes.
    async fn leader_says(&self, question: &str) -> Option<String> {
        let mut config: tokio_postgres::Config = self.url().parse().unwrap();
        config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
        config.connect_timeout(Duration::from_secs(2));
        let (client, connection) = config.connect(NoTls).await.ok()?;
        tokio::spawn(connection);
        let row = tokio::time::timeout(Duration::from_secs(3), client.query_one(question, &[])).await.ok()?.ok()?;
        row.get(0)
    }

    /// Until there is a leader, and as many standbys follow it synchronously.
    async fn ready(&self, standbys: u32) {
        let asked = "SELECT count(*)::text FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')";
        for _ in 0..600 {
            if self.leader_says(asked).await.is_some_and(|count| count.parse::<u32>().unwrap() >= standbys) {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
        let logs: String = ["etcd", "n1", "n2", "n3"].into_iter().fold(String::new(), |mut all, name| {
            let log = std::fs::read_to_string(self.dir.join(format!("{name}.log"))).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            let _ = writeln!(all, "== {name}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            all
        });
        panic!("no leader with {standbys} synchronous standbys:\n{logs}");
    }

    /// SIGKILL to the leader's server, all its processes, and to the Patroni above it.
    async fn kill_leader(&self) -> &'static str {
        let data = self.leader_says("SHOW data_directory").await.expect("a leader");
        let name = ["n1", "n2", "n3"].into_iter().find(|name| data.ends_with(name)).unwrap();
        let first =
            |file: &str| std::fs::read_to_string(self.dir.join(file)).unwrap().lines().next().unwrap().to_owned();
        let (patroni, server) = (first(&format!("{name}.pid")), first(&format!("{name}/postmaster.pid")));
        let children = Command::new("pgrep").args(["-P", &server]).output().unwrap().stdout;
        let children = String::from_utf8(children).unwrap();
        let killed =
            Command::new("kill").arg("-KILL").arg(&patroni).arg(&server).args(children.split_whitespace()).status();
        assert!(killed.is_ok(), "kill");
        name
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Somebody who is enrolled, and what platforms call them.
struct Known {
    robot: Robot,
    sub: String,
}

async fn sub(world: &World, platform: &RelyingParty, robot: &mut Robot, pair: Pair) -> Result<String, String> {
    let visit = Visit { platform, wish: wish(&[], None), pair, password: Some(PASSWORD) };
    visit.run(world, robot).await.map(|known| known.token.sub)
}

async fn enrolled(world: &World, platform: &RelyingParty, person: &Person) -> Known {
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, person, PASSWORD).await.unwrap();
    let sub = sub(world, platform, &mut robot, Pair::ALL[0]).await.unwrap();
    Known { robot, sub }
}

/// What was acknowledged, by who did it.
struct Acknowledged {
    enrolled: Vec<Robot>,
    locked: Vec<Known>,
    without_leader: usize,
    refused_without_leader: usize,
}

struct Load {
    world: World,
    platform: Arc<RelyingParty>,
    ended: Arc<AtomicBool>,
    leaderless: Arc<AtomicBool>,
}

impl Load {
    fn on(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    /// People enrol one after the other; who met an error goes away.
    async fn enrolments(&self, people: &[Person]) -> Vec<Robot> {
        let mut done = Vec::new();
        for person in people {
            if !self.on() {
                break;
            }
            let mut robot = self.world.robot().unwrap();
            match self.world.enrol(&mut robot, person, PASSWORD).await {
                Ok(()) => done.push(robot),
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
        done
    }

    /// People lock themselves one after the other, each until it is acknowledged.
    async fn locks(&self, people: Vec<Known>) -> Vec<Known> {
        let mut done = Vec::new();
        for known in people {
            while self.on() {
                if known.robot.lock().await.is_ok() {
                    done.push(known);
                    break;
                }
                sleep(Duration::from_millis(200)).await;
            }
            sleep(Duration::from_millis(700)).await;
        }
        done
    }

    /// People sign in again and again; how many did while nobody took writes, and how many were refused then.
    async fn sign_ins(&self, mut people: Vec<Known>) -> (usize, usize) {
        let (mut done, mut refused) = (0, 0);
        for turn in 0.. {
            if !self.on() {
                break;
            }
            let at = turn % people.len();
            let known = &mut people[at];
            let before = self.leaderless.load(Ordering::Relaxed);
            let answer = sub(&self.world, &self.platform, &mut known.robot, Pair::ALL[turn % 3]).await;
            // Only those that began and ended without a leader count.
            let within = before && self.leaderless.load(Ordering::Relaxed);
            match answer {
                Ok(sub) => {
                    assert_eq!(sub, known.sub);
                    done += usize::from(within);
                }
                Err(_) => refused += usize::from(within),
            }
        }
        (done, refused)
    }
}

async fn under_load(
    cluster: &Cluster,
    demo: &Running,
    platform: &Arc<RelyingParty>,
    people: &[Person],
) -> Acknowledged {
    let world = demo.world();
    let (now, later) = people.split_at(12);
    let mut known = Vec::new();
    for person in now {
        known.push(enrolled(&world, platform, person).await);
    }
    let lockers = known.split_off(3);
    let load = Load { world, platform: Arc::clone(platform), ended: Arc::default(), leaderless: Arc::default() };
    let course = async {
        sleep(Duration::from_secs(3)).await;
        let killed = Instant::now();
        let name = cluster.kill_leader().await;
        // A moment until the dead connections are noticed as such.
        load.leaderless.store(true, Ordering::Relaxed);
        while cluster.leader_says("SELECT 'there'").await.is_none() {
            assert!(killed.elapsed() < Duration::from_secs(90), "no new leader");
            sleep(Duration::from_millis(100)).await;
        }
        load.leaderless.store(false, Ordering::Relaxed);
        println!("{name} was killed; writes were taken again after {:.1} s", killed.elapsed().as_secs_f64());
        sleep(Duration::from_secs(8)).await;
        load.ended.store(true, Ordering::Relaxed);
    };
    let ((), enrolled, locked, (without_leader, refused_without_leader)) =
        tokio::join!(course, load.enrolments(later), load.locks(lockers), load.sign_ins(known));
    Acknowledged { enrolled, locked, without_leader, refused_without_leader }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_is_killed_and_nothing_acknowledged_is_lost_while_sign_ins_go_on() {
    let cluster = tokio::task::spawn_blocking(Cluster::new).await.unwrap();
    cluster.ready(2).await;
    let folder = tempfile::tempdir().unwrap();
    let on = Options { store: Some(cluster.url().parse().unwrap()), ..options(folder.path()) };
    let demo = start(on).await;
    let world = demo.world();
    let platform = Arc::new(platform(&folder.path().join("demo"), "yunzhou-hall", &world));
    let adults = demo.persons().into_iter().filter(|person| person.persona.is_none() && person.birth.year() < 2000);
    let people: Vec<Person> = adults.collect();

    let acknowledged = under_load(&cluster, &demo, &platform, &people).await;
    let Acknowledged { enrolled, locked, without_leader, refused_without_leader } = acknowledged;
    println!(
        "{} enrolments and {} locks acknowledged; without a leader {without_leader} sign-ins, {refused_without_leader} refused",
        enrolled.len(),
        locked.len()
    );
    assert!(enrolled.len() >= 2, "people enrolled before and after");
    assert!(locked.len() >= 4, "people locked themselves before and after");
    assert!(without_leader >= 3, "sign-ins go on from standbys");

    for mut robot in enrolled {
        sub(&world, &platform, &mut robot, Pair::ALL[1]).await.expect("an acknowledged enrolment is lost");
    }
    for mut known in locked {
        for pair in Pair::ALL {
            let answer = sub(&world, &platform, &mut known.robot, pair).await;
            assert!(answer.is_err(), "an acknowledged lock is lost: {answer:?}");
        }
    }
    demo.stop().await;
}
