//! What an office refuses before it serves anything, and that all go by one clock and stop together.

use super::{Deployment, hufu, init, place};
use crate::linking::platform;
use hufu_app::deployment::clock::FileClock;
use hufu_app::deployment::plan::Plan;
use hufu_kernel::Pair;
use hufu_sandbox::robot::{Visit, wish};
use std::path::Path;
use std::sync::Arc;

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
    let place = place();
    let folder = init(place.path());
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
        ("\"EdDSA\"", "\"PS256\"", "no node signs ID tokens with PS256"),
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

/// What a process has in its environment.
fn environment(process: i32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{process}/environ")).unwrap()).replace('\0', "\n")
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
        let text = environment(process);
        assert!(!text.contains("correct horse") && !text.contains("battery staple"), "{told}: {text}");
        // The controls: what is meant for all is there, and the supervisor has what its offices have not.
        assert!(text.contains("HUFU_FOR_ALL=yes"), "{told}: {text}");
        let process = rustix::process::Pid::from_raw(process).unwrap();
        assert_ne!(rustix::process::getpgid(Some(process)).unwrap(), group, "{told}");
    }
    assert!(environment(up.as_raw_nonzero().get()).contains("correct horse"));
    // They end with it all the same.
    drop(deployment.keep_place());
}
