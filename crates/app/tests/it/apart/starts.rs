//! What an office refuses before it serves anything, and that all go by one clock and stop together.

use super::{Deployment, hufu, init, place, program};
use crate::linking::platform;
use hufu_app::deployment::clock::FileClock;
use hufu_app::deployment::plan::Plan;
use hufu_app::deployment::users::FIRST;
use hufu_kernel::Pair;
use hufu_sandbox::robot::{Visit, wish};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Starts an office that must refuse, and gives its words.
fn refused(arguments: &[&str]) -> String {
    let output = hufu(arguments);
    assert!(!output.status.success(), "{arguments:?} was served");
    String::from_utf8(output.stderr).unwrap()
}

fn serve(folder: &Path, office: &str, of: &str) -> String {
    let config = folder.join(of).join("office.toml");
    refused(&["sandbox", "serve", office, "--config", config.to_str().unwrap()])
}

#[test]
fn an_office_starts_under_its_own_name_with_its_own_keys_and_in_its_own_root_alone() {
    let place = place();
    let folder = init(place.path());
    let told = serve(&folder, "node-2", "node-1");
    assert!(told.contains("configuration of node-1, not of node-2"), "{told}");
    let told = serve(&folder, "node", "node-1");
    assert!(told.contains("--index"), "{told}");
    let config = folder.join("node-1/office.toml");
    let told = refused(&["serve", "node", "--index", "1", "--config", config.to_str().unwrap()]);
    assert!(told.contains("sandbox's plan"), "{told}");

    for file in ["keys.json", "machine.key"] {
        std::fs::copy(folder.join("node-2").join(file), folder.join("node-1").join(file)).unwrap();
    }
    let told = serve(&folder, "node-1", "node-1");
    assert!(told.contains("the keys of node-2, not of node-1"), "{told}");

    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("[public]", "[publick]")).unwrap();
    let told = serve(&folder, "node-1", "node-1");
    assert!(told.contains("publick") && told.contains("line") && told.contains("`public`"), "{told}");
}

#[test]
fn an_office_whose_key_the_others_have_not_pinned_does_not_start() {
    let place = place();
    let folder = init(place.path());
    let elsewhere = super::place();
    let other = init(elsewhere.path());
    std::fs::copy(other.join("roster.json"), folder.join("roster.json")).unwrap();
    let told = serve(&folder, "tagger-1", "tagger-1");
    assert!(told.contains("another trust root"), "{told}");
    // The same root, another office's key under this name.
    let roster = std::fs::read_to_string(other.join("roster.json")).unwrap();
    let id = |folder: &Path| {
        let trust: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("trust.json")).unwrap()).unwrap();
        trust["root_id"].as_str().unwrap().to_owned()
    };
    std::fs::write(folder.join("roster.json"), roster.replace(&id(&other), &id(&folder))).unwrap();
    let told = serve(&folder, "tagger-1", "tagger-1");
    assert!(told.contains("is not the one that the roster pins"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_offices_go_by_one_clock_and_stop_together() {
    let deployment = Deployment::start(&[]).await;
    let data = deployment.folder.join("world");
    let mut world = deployment.seen.world();
    world.clock = Arc::new(FileClock::new(&deployment.folder.join("clock/clock.json")).unwrap());
    let person = deployment.seen.persons()[70].clone();
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, &person, "27182845").await.unwrap();
    let moved = hufu(&["sandbox", "clock", "advance", "72h", "--data", deployment.folder.to_str().unwrap()]);
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    // Front, nodes and platform check times within a minute of their own: one that had stayed behind would refuse.
    let shop = platform(&data, "yunzhou-hall", &world);
    for pair in Pair::ALL {
        let visit = Visit { platform: &shop, wish: wish(&[], None), pair, password: Some("27182845") };
        visit.run(&world, &mut robot).await.unwrap();
    }
    assert_eq!(deployment.processes().len(), 12);
    deployment.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_is_kept_down_and_its_address_free_while_the_others_serve() {
    // Rows that were never compared need all three nodes.
    let before = Deployment::start(&[]).await;
    let folder = before.folder.clone();
    let place = before.keep_place();
    std::fs::remove_file(place.path().join("ready.json")).unwrap();
    let plan = Plan::read(&folder.join("deployment.toml")).unwrap();
    let deployment = Deployment::start_in(place, folder, &["--without", "node-2"]).await;
    assert_eq!(deployment.processes().len(), 11);
    assert!(deployment.process("node-2").is_none() && deployment.process("node-3").is_some());
    drop(std::net::TcpListener::bind(&plan.office("node-2").unwrap().internal).unwrap());
    deployment.stop().await;
}

#[test]
fn what_the_front_would_refuse_is_not_admitted_and_the_reason_is_said() {
    let place = place();
    let folder = init(place.path());
    let (at, registry) = (place.path().to_str().unwrap(), folder.join("registry/office.toml"));
    let new = ["platform", "new", "my-shop", "--dir", at, "--data", folder.to_str().unwrap()];
    assert!(hufu(&new).status.success());
    let request = place.path().join("my-shop.toml");
    let admit = ["platform", "admit", request.to_str().unwrap(), "--config", registry.to_str().unwrap()];
    let text = std::fs::read_to_string(&request).unwrap();
    for (from, to, why) in [
        ("http://localhost:3000/callback", "http://shop.example/callback", "http://shop.example/callback"),
        ("https://my-shop.example", "https://My-shop.example", "not a sector id"),
        ("\"EdDSA\"", "\"PS256\"", "ID tokens never are"),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&request, text.replace(from, to)).unwrap();
        let told = refused(&admit);
        assert!(told.contains("my-shop is not admitted") && told.contains(why), "{told}");
    }
    assert!(!folder.join("registry/admitted/my-shop.jwt").exists());
    std::fs::write(&request, text).unwrap();
    assert!(hufu(&admit).status.success());
    assert!(folder.join("registry/admitted/my-shop.jwt").exists());
    // Under another registry's key nothing that is signed here would be believed.
    let trust = std::fs::read_to_string(folder.join("trust.json")).unwrap();
    let mut other: serde_json::Value = serde_json::from_str(&trust).unwrap();
    other["offices"]["registry"] = other["offices"]["registrar"].clone();
    std::fs::write(folder.join("trust.json"), other.to_string()).unwrap();
    assert!(refused(&admit).contains("another key than this registry has"));
}

/// What a process has in its environment. Only root may look, and who else does so is refused.
fn environment(process: i32) -> Option<String> {
    match std::fs::read(format!("/proc/{process}/environ")) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).replace('\0', "\n")),
        Err(error) => {
            assert!(!rustix::process::geteuid().is_root() && error.kind() == ErrorKind::PermissionDenied, "{error}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_office_has_anothers_secret_in_its_environment_or_the_terminals_signals() {
    let place = place();
    let folder = init(place.path());
    let (secret, passed) = ("HUFU_STORE_PASSWORD_OF_NODE_2", "HUFU_FOR_ALL");
    let settings = [(secret, "correct horse"), (passed, "yes"), ("AWS_SECRET_ACCESS_KEY", "battery staple")];
    let deployment = Deployment::start_beside(place, folder, &["--env", passed], &settings).await;
    let up = deployment.supervisor();
    let group = rustix::process::getpgid(Some(up)).unwrap();
    let processes = deployment.processes();
    assert_eq!(processes.len(), 12);
    for (process, told) in processes {
        if let Some(text) = environment(process) {
            assert!(!text.contains("correct horse") && !text.contains("battery staple"), "{told}: {text}");
            // The controls: what is meant for all is there, and the supervisor has what its offices have not.
            assert!(text.contains("HUFU_FOR_ALL=yes"), "{told}: {text}");
        }
        let process = rustix::process::Pid::from_raw(process).unwrap();
        assert_ne!(rustix::process::getpgid(Some(process)).unwrap(), group, "{told}");
    }
    let own = environment(up.as_raw_nonzero().get());
    assert!(own.is_none_or(|text| text.contains("correct horse")));
    // They end with it all the same.
    drop(deployment.keep_place());
}

/// A pipe at `path` into which nobody writes.
fn pipe(path: &Path) {
    let _ = std::fs::remove_file(path);
    assert!(Command::new("mkfifo").args(["-m", "666"]).arg(path).status().unwrap().success());
}

/// A process of a user who is not root.
fn as_somebody(mut command: Command) -> Child {
    if rustix::process::geteuid().is_root() {
        command.uid(FIRST).gid(FIRST);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Whether the system keeps the process's memory from its own user, and what it says of core dumps.
fn kept(process: i32) -> (bool, String) {
    let user = |file: &str| std::fs::metadata(format!("/proc/{process}/{file}")).unwrap().uid();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let own = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap().split_whitespace().next().unwrap();
    assert_ne!(own, "0", "of root's everything is root's");
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    (user("mem") == 0, core.split_whitespace().skip(4).collect::<Vec<_>>().join(" "))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_image_of_the_memory_of_a_process_with_keys_is_written_and_its_own_user_cannot_look() {
    let users: &[&str] = if rustix::process::geteuid().is_root() { &["--users"] } else { &[] };
    let deployment = Deployment::start(users).await;
    for office in ["node-1", "tagger-2", "registrar"] {
        let process = deployment.process(office).unwrap().as_raw_nonzero().get();
        assert_eq!(kept(process), (true, "0 0 bytes".to_owned()), "{office}");
    }
    // A ceremony that waits: any command does so before it reads anything.
    let place = place();
    let config = place.path().join("office.toml");
    pipe(&config);
    let mut ceremony = Command::new(program(place.path()));
    ceremony.args(["keys", "ceremony", "--order"]).arg(&config).arg("--config").arg(&config);
    let mut ceremony = as_somebody(ceremony);
    let process = i32::try_from(ceremony.id()).unwrap();
    for _ in 0..500 {
        if kept(process).0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(kept(process), (true, "0 0 bytes".to_owned()));
    ceremony.kill().unwrap();
    ceremony.wait().unwrap();
    // The control: of another program of the same user its user has the memory.
    let mut sleep = Command::new("sleep");
    sleep.arg("60");
    let mut sleep = as_somebody(sleep);
    assert!(!kept(i32::try_from(sleep.id()).unwrap()).0);
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    deployment.stop().await;
}

/// What `hufu sandbox up` says when it refuses, which it must do by itself.
fn refused_up(folder: &Path) -> String {
    let mut up = Command::new(env!("CARGO_BIN_EXE_hufu"));
    up.args(["sandbox", "up"]).arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut up = up.spawn().unwrap();
    for _ in 0..400 {
        if let Some(status) = up.try_wait().unwrap() {
            assert!(!status.success());
            let mut told = String::new();
            up.stderr.take().unwrap().read_to_string(&mut told).unwrap();
            return told;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    up.kill().unwrap();
    up.wait().unwrap();
    panic!("it neither refuses nor ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_started_if_an_office_asks_for_anothers_address_a_port_of_roots_or_waiting() {
    let place = place();
    let folder = init(place.path());
    let config = |office: &str| -> PathBuf { folder.join(office).join("office.toml") };
    let listens = |office: &str, table: &str| {
        let text: toml::Table = std::fs::read_to_string(config(office)).unwrap().parse().unwrap();
        text[table]["listen"].as_str().unwrap().to_owned()
    };
    let store = folder.join("node-1").join(hufu_app::root::STORE);
    let refused = |office: &str, change: &dyn Fn(&str) -> String, told: &[&str]| {
        let good = std::fs::read_to_string(config(office)).unwrap();
        let changed = change(&good);
        assert_ne!(changed, good);
        std::fs::write(config(office), changed).unwrap();
        let words = refused_up(&folder);
        assert!(told.iter().all(|told| words.contains(told)), "{words}");
        std::fs::write(config(office), good).unwrap();
        assert!(!store.exists(), "a node was started");
    };
    let of_node = listens("node-2", "public");
    let of_registrar = [listens("registrar", "internal"), listens("registrar", "public")];
    let of_post = listens("post", "internal");
    refused("registrar", &|text: &str| text.replace(&of_registrar[1], &of_node), &["node-2", "registrar", "already"]);
    refused(
        "registrar",
        &|text: &str| text.replace(&of_registrar[0], &of_node),
        &["registrar/office.toml", "the plan has"],
    );
    refused("post", &|text: &str| text.replace(&of_post, "127.0.0.1:443"), &["post/office.toml", "below 1024"]);
    let other = std::fs::read_to_string(config("node-1")).unwrap();
    refused("post", &|_: &str| other.clone(), &["post/office.toml", "the configuration of node-1, not of post"]);
    // What waits for ever, and what is not the office's own.
    let good = std::fs::read(config("post")).unwrap();
    pipe(&config("post"));
    let words = refused_up(&folder);
    assert!(words.contains("post/office.toml") && words.contains("no plain file"), "{words}");
    std::fs::remove_file(config("post")).unwrap();
    std::os::unix::fs::symlink(config("node-1"), config("post")).unwrap();
    let words = refused_up(&folder);
    assert!(words.contains("post/office.toml"), "{words}");
    // The control: as it was, everything starts, and a node makes its store.
    std::fs::remove_file(config("post")).unwrap();
    std::fs::write(config("post"), good).unwrap();
    let deployment = Deployment::start_in(place, folder.clone(), &[]).await;
    assert_eq!(deployment.processes().len(), 12);
    assert!(store.exists());
    deployment.stop().await;
}
