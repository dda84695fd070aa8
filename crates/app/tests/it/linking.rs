//! The linking test: after a thousand sign-ins nobody who has every office's files and logs can say who went where.

use super::demo::{options, start};
use hufu_app::demo::Options;
use hufu_app::demo::metrics::MetricsAt;
use hufu_kernel::{OsRng, Pair};
use hufu_platform::client::{ClientAuth, RelyingParty};
use hufu_sandbox::robot::{Visit, wish};
use hufu_sandbox::tour::found;
use hufu_web::metrics::Metrics;
use hufu_wire::jose::{Alg, Jwks, SoftKey};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

const SIGN_INS: usize = 1000;
const PLATFORMS: [&str; 8] = [
    "yunzhou-hall",
    "lanjiang-metro",
    "paper-crane",
    "tin-drum-mall",
    "moss-castle",
    "cloud-inn",
    "abacus-pay",
    "dog-ear",
];

/// Everything the offices log, kept in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const OFFICES: [&str; 6] = ["node-1", "node-2", "node-3", "registrar", "uniqueness", "post"];

/// Every byte of the files of the offices that know persons, by name.
fn files(data: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for office in OFFICES {
        for entry in std::fs::read_dir(data.join(office)).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            let name = format!("{office}/{}", entry.file_name().to_string_lossy());
            files.push((name, std::fs::read(entry.path()).unwrap()));
        }
    }
    files
}

/// Every row of every table of those offices.
fn rows(data: &Path) -> Vec<String> {
    let mut out = Vec::new();
    for office in OFFICES {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let store = rusqlite::Connection::open_with_flags(data.join(office).join("store.sqlite"), flags).unwrap();
        let mut tables = store.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
        let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for table in tables {
            let mut all = store.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
            let columns = all.column_count();
            let mut found = all.query([]).unwrap();
            while let Some(row) = found.next().unwrap() {
                let values: Vec<String> =
                    (0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap())).collect();
                out.push(format!("{office} {table} {}", values.join(" ")));
            }
        }
    }
    out.sort();
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sign_ins_leave_no_trace_of_where_anybody_went() {
    let logs = Kept::default();
    let writer = logs.clone();
    let filter = "hufu_app=trace,hufu_web=trace,hufu_offices=trace,hufu_store=trace,hufu_oidc=trace,hufu_sandbox=trace";
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || writer.clone()).finish();
    // No other test of this binary installs one; without it the search of the log below would be a search of nothing.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let running = start(Options { metrics: MetricsAt::Port(0), ..options(folder.path()) }).await;
    let world = running.world();
    let data = folder.path().join("demo");
    let mut robots = Vec::new();
    for person in running.persons().iter().skip(40).take(5) {
        let mut robot = world.robot().unwrap();
        world.enrol(&mut robot, person, "27182845").await.unwrap();
        robots.push(robot);
    }
    let platforms: Vec<RelyingParty> = PLATFORMS.iter().map(|name| platform(&data, name, &world)).collect();

    let before = rows(&data);
    let mut needles: BTreeSet<String> = BTreeSet::new();
    for turn in 0..SIGN_INS {
        let platform = &platforms[turn * 7 % platforms.len()];
        let visit = Visit { platform, wish: wish(&[], None), pair: Pair::ALL[turn % 3], password: None };
        let count = robots.len();
        let robot = &mut robots[turn * 3 % count];
        let known = visit.run(&world, robot).await.unwrap();
        robot.state.receipts.clear();
        needles.insert(known.token.sub);
        needles.insert(known.token.hufu.ep);
    }
    let (after, at_rest) = (rows(&data), files(&data));
    assert_eq!(
        needles.len(),
        2 * 5 * PLATFORMS.len(),
        "five persons at eight platforms, each with a name and an epoch name of its own"
    );
    needles.extend(PLATFORMS.iter().map(|name| (*name).to_owned()));
    needles.extend(PLATFORMS.iter().map(|name| format!("https://{name}.example")));

    // By time, order or size: no row was written at all, so there is nothing to join.
    let written: Vec<_> =
        after.iter().filter(|row| !before.contains(row)).map(|row| row.chars().take(60).collect::<String>()).collect();
    assert!(written.is_empty() && before.len() == after.len(), "sign-ins wrote {written:?}");
    // By value, in every usual encoding.
    for (file, bytes) in &at_rest {
        for needle in &needles {
            assert!(!found(bytes, needle), "{needle} is in {file}");
        }
    }
    let logged = logs.0.lock().unwrap().clone();
    assert!(!logged.is_empty(), "the offices logged something");
    for needle in &needles {
        assert!(!found(&logged, needle), "{needle} was logged");
    }
    // Counted under routes, codes and kinds alone.
    let counted = running.metrics().await;
    assert!(counted.contains("route=\"/v1/sign-in/finish\""), "the metrics moved: {counted}");
    for needle in &needles {
        assert!(!found(counted.as_bytes(), needle), "{needle} is a label");
    }

    controls(&world, &running.persons()[60], &data, &after, &needles, &logs).await;
    running.stop().await;
}

/// The same searches must find what is planted: a handle's neighbour in a log line, base64 in a column, a write per sign-in.
async fn controls(
    world: &hufu_sandbox::robot::World,
    person: &hufu_sandbox::persons::Person,
    data: &Path,
    after: &[String],
    needles: &BTreeSet<String>,
    logs: &Kept,
) {
    let needle = needles.iter().next().unwrap();
    let line = format!("INFO sign-in handle=abc platform={needle}");
    assert!(found(line.as_bytes(), needle), "a log line");
    let mut column = files(data)[0].1.clone();
    column.extend_from_slice(hufu_kernel::b64(format!("x{needle}").as_bytes()).as_bytes());
    assert!(found(&column, needle), "base64 in a column");
    let careless = Metrics::default();
    careless.refused("front", String::leak(PLATFORMS[0].to_owned()));
    assert!(found(careless.text().as_bytes(), PLATFORMS[0]), "a platform as a label");
    tracing::info!(target: "hufu_offices", platform = %needle, "planted");
    let logged = logs.0.lock().unwrap().clone();
    assert!(found(&logged, needle), "the log is really kept");
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, person, "27182845").await.unwrap();
    assert_ne!(rows(data), after, "a write shows");
}

pub fn platform(data: &Path, name: &str, world: &hufu_sandbox::robot::World) -> RelyingParty {
    let key = std::fs::read(data.join("platforms").join(format!("{name}.key.json"))).unwrap();
    RelyingParty {
        client_id: name.to_owned(),
        redirect_uri: format!("https://{name}.example/callback"),
        issuer: world.trust.issuer.clone(),
        auth: ClientAuth::PrivateKeyJwt(SoftKey::from_private_jwk(&key).unwrap()),
        dpop: Some(SoftKey::generate(Alg::ES256, &OsRng).unwrap()),
        keys: Jwks { keys: vec![world.trust.group_jwk().unwrap()] },
        alg: Alg::EdDSA,
    }
}
