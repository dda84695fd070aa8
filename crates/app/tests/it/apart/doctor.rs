//! `hufu doctor` of offices that are apart: a sound deployment has no findings, and each fault that is planted is named, with what
//! mends it.

use super::{Deployment, hufu, init, init_with, place};
use axum::Router;
use axum::response::IntoResponse as _;
use hufu_app::deployment::doctor;
use hufu_app::deployment::plan::Plan;
use hufu_app::doctor::{Check, Outcome, Report};
use hufu_app::root::{OFFICES, OfficeFolder};
use hufu_kernel::{Clock as _, NodeIndex, OsRng, Root, SystemClock, Timestamp};
use hufu_web::peers::{Leaf, PeerConfig, Peers};
use hufu_web::serve::{Inherited, Sharing, Stopper, listen_at, serve};
use hufu_wire::api::roster::Roster;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustix::process::{Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Operators of whom none could undo the separation alone.
fn operators(place: &Path) -> PathBuf {
    let shared = [
        vec!["node-1", "tagger-1"],
        vec!["node-2", "tagger-2"],
        vec!["node-3", "tagger-3"],
        vec!["registrar", "uniqueness", "post"],
        vec!["front", "registry"],
    ];
    let path = place.join("operators.toml");
    let entry = |(number, offices): (usize, &Vec<&str>)| {
        let key = hufu_kernel::b64(&[u8::try_from(number).unwrap() + 1; 32]);
        format!("[operators.operator-{number}]\nkey = \"{key}\"\noffices = {offices:?}\n")
    };
    fs::write(&path, shared.iter().enumerate().map(entry).collect::<String>()).unwrap();
    path
}

fn findings(report: &Report) -> Vec<&Check> {
    report.checks.iter().filter(|check| matches!(check.outcome, Outcome::Warning | Outcome::Bad)).collect()
}

/// What is said about a topic that was not looked at; and then it is not said to be sound, if `alone`.
fn unseen<'a>(report: &'a Report, topic: &str, alone: bool) -> &'a str {
    let of: Vec<&Check> = report.checks.iter().filter(|check| check.what == topic).collect();
    let found = of.iter().find(|check| check.outcome == Outcome::Unseen);
    let found = found.unwrap_or_else(|| panic!("{topic} in:\n{}", report.text()));
    assert_eq!(of.len() == 1, alone, "{topic} in:\n{}", report.text());
    found.found.strip_prefix("not looked at: ").unwrap()
}

/// The finding of this name; it says what mends it.
fn named<'a>(report: &'a Report, what: &str, outcome: Outcome) -> &'a Check {
    let found = report.checks.iter().find(|check| check.what == what && check.outcome == outcome);
    let found = found.unwrap_or_else(|| panic!("{what} as {outcome:?} in:\n{}", report.text()));
    assert!(found.mend.as_ref().is_some_and(|mend| !mend.is_empty()), "{what}");
    found
}

/// Whoever answers at an office's internal address in its place, until dropped.
struct InPlaceOf(Stopper);

/// Serves at the address of `office` with the keys of `keys_of`.
async fn in_place_of(
    folder: &Path,
    office: &str,
    keys_of: &str,
    answer: Option<(&'static str, Timestamp)>,
) -> InPlaceOf {
    let plan = Plan::read(&folder.join("deployment.toml")).unwrap();
    let rng: Arc<dyn hufu_kernel::Rng> = Arc::new(OsRng);
    let keys = OfficeFolder::new(&folder.join(keys_of), keys_of, plan.root, plan.root_id).keys(&rng).unwrap();
    let roster = Roster::parse(&fs::read(folder.join("roster.json")).unwrap()).unwrap();
    let leaf = Leaf::new(keys, keys_of, plan.root_id, Arc::new(SystemClock)).unwrap();
    let peers = Peers::new(leaf, roster, &BTreeMap::new(), PeerConfig::default(), None).unwrap();
    let answer = match answer {
        Some((version, time)) => (200, serde_json::json!({ "version": version, "time": time })),
        None => (404, serde_json::json!({ "error": "not_found" })),
    };
    let routes = Router::new().fallback(move || {
        let status = axum::http::StatusCode::from_u16(answer.0).unwrap();
        std::future::ready((status, axum::Json(answer.1.clone())).into_response())
    });
    let address = &plan.office(office).unwrap().internal;
    let listening = listen_at("test", address, &mut Inherited::none(), Sharing::Alone).await.unwrap();
    let (stopper, stop) = Stopper::new();
    tokio::spawn(serve(listening.behind(peers.doors().unwrap()), routes, stop));
    InPlaceOf(stopper)
}

impl InPlaceOf {
    async fn end(self) {
        self.0.stop();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_deployment_has_no_findings_and_what_goes_wrong_while_it_runs_is_named() {
    let place = place();
    let file = operators(place.path());
    let folder = init_with(place.path(), &["--operators", file.to_str().unwrap()]);
    let deployment = Deployment::start_in(place, folder.clone(), &[]).await;
    // In its first seconds an office has not yet reached all others.
    let mut report = doctor::folder(&folder).await;
    for _ in 0..20 {
        if findings(&report).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        report = doctor::folder(&folder).await;
    }
    assert!(report.ok && findings(&report).is_empty(), "{}", report.text());
    assert_eq!(report.checks.len(), 15, "{}", report.text());
    assert!(unseen(&report, "services", true).contains("simulators"));
    assert!(unseen(&report, "public TLS", true).contains("plain HTTP"));
    let said = hufu(&["doctor", folder.to_str().unwrap(), "--json"]);
    assert!(said.status.success());
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said["ok"], true);
    for office in OFFICES {
        let report = doctor::office(&folder.join(office).join("office.toml")).await;
        assert!(findings(&report).is_empty(), "{office}: {}", report.text());
        if office != "registry" {
            assert_eq!(unseen(&report, "platforms", true), "the registry is not here");
        }
    }

    // One that hangs.
    let post = deployment.process("post").unwrap();
    kill_process(post, Signal::STOP).unwrap();
    let report = doctor::folder(&folder).await;
    let said = hufu(&["doctor", folder.to_str().unwrap()]);
    kill_process(post, Signal::CONT).unwrap();
    named(&report, "post: listener", Outcome::Bad);
    assert!(unseen(&report, "clocks", false).starts_with("post: not reached"));
    assert!(named(&report, "post: mTLS", Outcome::Bad).found.contains("does not answer"));
    assert!(
        !said.status.success()
            && String::from_utf8_lossy(&said.stdout).contains("mend it with: hufu sandbox serve post")
    );

    // One that is away, and others in its place. The front's own machine has no file of it.
    deployment.take_down("node-2").await;
    let of_front = folder.join("front/office.toml");
    let report = doctor::office(&of_front).await;
    assert!(named(&report, "node-2: mTLS", Outcome::Bad).found.contains("nobody is at"));
    let mended = named(&report, "node-2: mTLS", Outcome::Bad).mend.clone().unwrap();
    assert!(mended.contains("on the machine of operator-1"), "{mended}");

    let other = in_place_of(&folder, "node-2", "node-3", None).await;
    let report = doctor::office(&of_front).await;
    assert!(named(&report, "node-2: mTLS", Outcome::Bad).found.contains("is not node-2"));
    other.end().await;

    let late = Timestamp(SystemClock.now().0 - 3600);
    let odd = in_place_of(&folder, "node-2", "node-2", Some(("7.0.0", late))).await;
    let report = doctor::office(&of_front).await;
    assert!(named(&report, "node-2: clock", Outcome::Bad).found.contains("behind"));
    assert!(named(&report, "node-2: version", Outcome::Bad).found.contains("runs 7.0.0"));
    odd.end().await;

    let older = in_place_of(&folder, "node-2", "node-2", None).await;
    let report = doctor::office(&of_front).await;
    named(&report, "node-2: version", Outcome::Warning);
    assert!(report.ok, "the release before is no fault: {}", report.text());
    older.end().await;
    deployment.restore("node-2");
    deployment.stop().await;
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

fn changed(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}: {from}", path.display());
    write(path, &text.replace(from, to));
}

/// A certificate for the public listener of an office.
fn public_tls(folder: &Path, office: &str, name: &str, until: (i32, u8, u8)) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until.0, until.1, until.2);
    let own = folder.join(office);
    write(&own.join("certificate.pem"), &params.self_signed(&key).unwrap().pem());
    write(&own.join("key.pem"), &key.serialize_pem());
    fs::set_permissions(own.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    let config = own.join("office.toml");
    let text = fs::read_to_string(&config).unwrap();
    let at = text.find("[public]\n").unwrap() + "[public]\n".len();
    write(&config, &format!("{}certificate = \"certificate.pem\"\nkey = \"key.pem\"\n{}", &text[..at], &text[at..]));
}

/// A listener of the front's for platforms with TLS certificates, whose own has ended, and an authority that ends.
fn mutual_tls(folder: &Path) {
    let own = folder.join("front");
    let write_one = |name: &str, until: (i32, u8, u8)| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        write(&own.join(name), &params.self_signed(&key).unwrap().pem());
        key
    };
    write_one("platforms.pem", (2025, 1, 1));
    let key = write_one("mtls.pem", (2024, 1, 1));
    write(&own.join("mtls.key"), &key.serialize_pem());
    fs::set_permissions(own.join("mtls.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let table = "[mtls]\nurl = \"https://elsewhere.example\"\nlisten = \"127.0.0.1:1\"\ncertificate = \"mtls.pem\"\n\
                 key = \"mtls.key\"\nauthorities = \"platforms.pem\"\n[metrics]";
    changed(&own.join("office.toml"), "[metrics]", table);
}

/// The offices' stores, as their first start makes them.
fn make_stores(folder: &Path, plan: &Plan) {
    let own = |name: &str| OfficeFolder::new(&folder.join(name), name, plan.root, plan.root_id);
    for (name, index) in ["node-1", "node-2", "node-3"].into_iter().zip(NodeIndex::ALL) {
        let own = own(name);
        own.store(&hufu_offices::node::schema(own.trust_root(), index)).unwrap();
    }
    // The last connection that closes brings the log into the file.
    let settled = |name: &str| {
        let store = rusqlite::Connection::open(folder.join(name).join("store.sqlite")).unwrap();
        store.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(())).unwrap();
    };
    let (uniqueness, post) = (own("uniqueness"), own("post"));
    uniqueness.store(&hufu_offices::uniqueness::schema(uniqueness.trust_root())).unwrap();
    post.store(&hufu_offices::post::schema(post.trust_root())).unwrap();
    ["node-1", "node-2", "node-3", "uniqueness", "post"].into_iter().for_each(settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_in_the_files_is_named_with_what_mends_it() {
    let (place, elsewhere) = (place(), super::place());
    let (folder, other) = (init(place.path()), init(elsewhere.path()));
    let plan = Plan::read(&folder.join("deployment.toml")).unwrap();
    make_stores(&folder, &plan);
    let registry = folder.join("registry/office.toml");
    for client in ["one", "two"] {
        let new =
            ["platform", "new", client, "--dir", place.path().to_str().unwrap(), "--data", folder.to_str().unwrap()];
        assert!(hufu(&new).status.success());
        let request = place.path().join(format!("{client}.toml"));
        let admit = ["platform", "admit", request.to_str().unwrap(), "--config", registry.to_str().unwrap()];
        assert!(hufu(&admit).status.success());
    }

    // The control: nothing runs, and nothing else is wrong.
    let before = doctor::folder(&folder).await;
    for check in findings(&before) {
        assert!(check.what == "listeners" || check.what.starts_with("operators"), "{check:?}");
    }
    // That nothing runs is one sentence, and one command mends it.
    let told = named(&before, "listeners", Outcome::Bad);
    assert!(told.found.contains("none of 11"), "{}", told.found);
    assert_eq!(told.mend, Some(format!("hufu sandbox up {}", folder.display())));
    named(&before, "operators", Outcome::Warning);
    named(&before, "operators: keys", Outcome::Warning);
    assert!(before.text().contains("runs all offices: the separation between them does not hold"));
    assert_eq!(unseen(&before, "stores", false), "registrar: the first start makes it");
    for topic in ["clocks", "versions"] {
        assert!(unseen(&before, topic, true).ends_with(": does not run"), "nobody answered");
    }

    let own = |office: &str, file: &str| folder.join(office).join(file);
    fs::set_permissions(own("registrar", "keys.json"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::copy(own("front", "machine.key"), own("post", "machine.key")).unwrap();
    for file in ["keys.json", "machine.key"] {
        fs::copy(other.join("tagger-1").join(file), own("tagger-1", file)).unwrap();
    }
    fs::copy(other.join("roster.json"), own("tagger-2", "roster.json")).unwrap();
    changed(&own("tagger-2", "office.toml"), "../roster.json", "roster.json");
    changed(&own("tagger-2", "office.toml"), "../trust.json", "trust.json");
    changed(&own("tagger-3", "office.toml"), "[internal]", "[internals]");
    fs::copy(own("node-1", "store.sqlite"), own("node-3", "store.sqlite")).unwrap();
    let mut store = fs::read(own("uniqueness", "store.sqlite")).unwrap();
    store[8192..12288].fill(0xff);
    fs::write(own("uniqueness", "store.sqlite"), store).unwrap();
    fs::copy(own("registry", "admitted/one.jwt"), own("registry", "admitted/three.jwt")).unwrap();
    changed(&own("registry", "admitted/two.jwt"), ".", ".A");
    let open_to_all = |office: &str, file: &str| {
        fs::write(own(office, file), "").unwrap();
        fs::set_permissions(own(office, file), fs::Permissions::from_mode(0o644)).unwrap();
    };
    // A token's shares; a log of rows; rows that are on their way into the store.
    let secrets = [
        ("node-2", "shares.json"),
        ("registrar", "store.sqlite-wal"),
        ("post", "store.sqlite-shm"),
        ("node-1", "store.sqlite.restoring"),
    ];
    secrets.into_iter().for_each(|(office, file)| open_to_all(office, file));
    fs::create_dir(own("registry", "admitted.restoring")).unwrap();
    let elsewhere = "\n[store]\nkind = \"postgres\"\nurl = \"postgres://hufu_node_2@localhost/hufu\"\n";
    let text = fs::read_to_string(own("node-2", "office.toml")).unwrap();
    write(&own("node-2", "office.toml"), &(text + elsewhere));
    changed(
        &own("node-1", "office.toml"),
        "[metrics]",
        "[tracing]\nendpoint = \"http://collector.example\"\n[metrics]",
    );
    changed(&own("registrar", "office.toml"), "[metrics]", "[register]\nurl = \"http://register.example\"\n[metrics]");
    public_tls(&folder, "node-1", "localhost", (2024, 1, 1));
    public_tls(&folder, "node-2", "elsewhere.example", (2060, 1, 1));
    mutual_tls(&folder);

    let report = doctor::folder(&folder).await;
    assert!(!report.ok);
    let mend = |what: &str| named(&report, what, Outcome::Bad).mend.clone().unwrap();
    assert_eq!(mend("registrar: permissions"), format!("chmod 600 {}", own("registrar", "keys.json").display()));
    assert!(mend("registrar: keys").starts_with("chmod 600"));
    for what in ["post: keys", "tagger-1: keys"] {
        assert!(mend(what).starts_with("cp BACKUP/"), "{what}");
    }
    assert!(mend("tagger-2: roster").contains("roster.json"));
    assert!(mend("tagger-2: trust.json").contains("trust.json"));
    assert!(named(&report, "tagger-3", Outcome::Bad).found.contains("internals"));
    assert!(mend("tagger-3").ends_with("tagger-3/office.toml"));
    for what in ["node-3: store", "uniqueness: store"] {
        assert!(mend(what).contains("hufu restore"), "{what}");
    }
    for (office, file) in secrets {
        let (what, wanted) = (format!("{office}: permissions"), format!("chmod 600 {}", own(office, file).display()));
        let found = report.checks.iter().any(|check| check.what == what && check.mend.as_ref() == Some(&wanted));
        assert!(found, "{wanted} in:\n{}", report.text());
    }
    for office in ["node-1", "registry"] {
        let what = format!("{office}: restore");
        assert!(mend(&what).contains(&format!("{office}.age --replace")), "{what}");
    }
    let told = unseen(&report, "stores", true);
    assert!(told.contains("node-2: on PostgreSQL"), "{told}");
    assert!(named(&report, "node-1: start", Outcome::Bad).found.contains("[tracing] endpoint"));
    assert!(named(&report, "registrar: register", Outcome::Bad).found.contains("https://host"));
    for client in ["two", "three"] {
        assert!(mend(&format!("platform {client}")).starts_with(&format!("hufu platform admit {client}.toml")));
    }
    assert!(named(&report, "node-1: public TLS", Outcome::Bad).found.contains("ended"));
    assert!(named(&report, "node-2: public TLS", Outcome::Bad).found.contains("localhost"));
    assert!(named(&report, "front: authorities of platforms", Outcome::Bad).found.contains("ended"));
    // A key that others can read is not opened, and mended first.
    assert!(named(&report, "front: mutual TLS", Outcome::Bad).found.contains("644"));
    assert_eq!(mend("front: permissions"), format!("chmod 640 {}", own("front", "mtls.key").display()));
    fs::set_permissions(own("front", "mtls.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let report = doctor::folder(&folder).await;
    let shown = report.checks.iter().filter(|check| check.what == "front: mutual TLS");
    let shown: Vec<&str> = shown.map(|check| check.found.as_str()).collect();
    assert!(shown.iter().any(|told| told.contains("ended")), "{shown:?}");
    assert!(shown.iter().any(|told| told.contains("elsewhere.example")), "{shown:?}");

    // A plan that has been changed at one office, and one that is none.
    fs::copy(folder.join("deployment.toml"), own("front", "deployment.toml")).unwrap();
    changed(&own("front", "deployment.toml"), "operator-1", "operator-9");
    changed(&own("front", "office.toml"), "../deployment.toml", "deployment.toml");
    assert!(mend_of(&doctor::folder(&folder).await, "front: plan").starts_with("cp "));
    changed(&folder.join("deployment.toml"), "root = ", "rood = ");
    let report = doctor::folder(&folder).await;
    assert!(named(&report, "plan", Outcome::Bad).found.contains("rood"));
    assert_eq!(report.checks.len(), 1);
    assert!(!doctor::folder(&place.path().join("nothing")).await.ok);
    assert!(!doctor::office(&place.path().join("nothing")).await.ok);
}

fn mend_of(report: &Report, what: &str) -> String {
    named(report, what, Outcome::Bad).mend.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_production_root_that_nobody_has_finished_is_told_what_it_lacks() {
    let place = place();
    let folder = place.path().join("root");
    assert!(hufu(&["init", folder.to_str().unwrap()]).status.success());
    let report = doctor::folder(&folder).await;
    assert_eq!(Plan::read(&folder.join("deployment.toml")).unwrap().root, Root::Production);
    for what in [
        "registrar: register",
        "registrar: face",
        "post: messages",
        "node-1: trust.json",
        "node-1: roster",
        "node-1: keys",
    ] {
        named(&report, what, Outcome::Bad);
    }
    for what in ["plan: names", "wallet: help", "operators", "operators: keys"] {
        named(&report, what, Outcome::Warning);
    }
    let start = mend_of(&report, "listeners");
    assert!(start == format!("hufu up {}", folder.display()) || start == "systemctl start hufu.target", "{start}");

    // An address that the office refuses at its start is not sound before.
    let messages = "\n[messages]\nurl = \"http://messages.example\"\n";
    let config = folder.join("post/office.toml");
    let text = fs::read_to_string(&config).unwrap();
    write(&config, &(text.clone() + messages));
    assert!(named(&doctor::folder(&folder).await, "post: messages", Outcome::Bad).found.contains("https://host"));

    // Nothing of it is started, and it is said at once.
    fs::write(folder.join("trust.json"), "{}").unwrap();
    let refused = hufu(&["up", folder.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    for what in
        ["nothing was started", "registrar: [register] url is missing", "[face]", "post: [messages] url", "services.md"]
    {
        assert!(told.contains(what), "{what}: {told}");
    }
    let refused = hufu(&["up", folder.to_str().unwrap(), "--without", "node-4"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--without node-4: the offices are"));
}
