//! From `hufu init` to a service: production, and a sandbox that keeps every promise of the tour.

use super::{Planned, done, files, refused};
use crate::apart::hufu;
use hufu_app::root::OFFICES;
use hufu_wire::api::ceremony::Transcript;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn a_sandbox_whose_offices_made_their_keys_together_holds_every_promise_of_the_tour() {
    let planned = Planned::new(true);
    let folder = planned.folder.to_str().unwrap();
    let told = refused(&["sandbox", "up", folder]);
    assert!(told.contains("hufu keys ceremony --all"), "{told}");
    let told = planned.ceremony(&[]);
    assert!(told.contains("round 4") && told.contains("compare  "), "{told}");
    // Everybody keeps the same transcript, and nothing in it is a key.
    let transcripts =
        files(&planned.folder, ".json").into_iter().filter(|path| path.to_string_lossy().contains("found-"));
    let texts: Vec<String> = transcripts.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert_eq!((texts.len(), texts.iter().collect::<BTreeSet<_>>().len()), (11, 1));
    let transcript: Transcript = serde_json::from_str(&texts[0]).unwrap();
    assert_eq!(transcript.messages.len(), 44);
    for office in OFFICES {
        let status = planned.status(office);
        assert_eq!(status["dealer"], false, "{office}");
        assert_eq!(status["missing"].as_array().unwrap().len(), 0, "{status}");
        assert!(planned.names(office).1.is_empty());
    }
    let toured = hufu(&["sandbox", "up", folder, "--tour", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&toured.stdout).unwrap_or_default();
    let told = String::from_utf8_lossy(&toured.stderr);
    assert!(toured.status.success() && report["ok"] == true, "{report:#} {told}");
    // What is founded is not founded again.
    let told = refused(&["keys", "ceremony", "--all", folder]);
    assert!(told.contains("was founded"), "{told}");
}

#[test]
fn a_production_root_is_founded_by_two_operators_and_serves() {
    let planned = Planned::new(false);
    planned.identified();
    let order = planned.order(&["found"], 2);
    assert!(done(&["keys", "order", "show", &order]).contains("signed by    operator-1, operator-2"));
    let told = planned.ceremony(&["--order", &order]);
    assert_eq!(told.matches("signed this").count(), 2, "{told}");
    // Services of the world outside, which nobody asks in this test.
    for (office, tables) in [("registrar", &["register", "face"][..]), ("post", &["messages"])] {
        let config = planned.config(office);
        let mut text = std::fs::read_to_string(&config).unwrap();
        for table in tables {
            text.push_str(&format!("\n[{table}]\nurl = \"http://127.0.0.1:1\"\n"));
        }
        std::fs::write(&config, text).unwrap();
    }
    let ready = planned.place.path().join("ready.json");
    let mut up = Command::new(env!("CARGO_BIN_EXE_hufu"))
        .args(["up", planned.folder.to_str().unwrap(), "--no-restart", "--ready-file", ready.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if ready.exists() {
            let told: serde_json::Value = serde_json::from_slice(&std::fs::read(&ready).unwrap()).unwrap();
            assert_eq!(told["issuer"], "https://hufu.example");
            kill_process(Pid::from_child(&up), Signal::TERM).unwrap();
            assert!(up.wait().unwrap().success());
            return;
        }
        assert!(up.try_wait().unwrap().is_none(), "it ended before it was ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = up.kill();
    panic!("not ready within half a minute");
}

#[test]
fn an_operators_key_is_private_and_its_public_half_goes_into_a_plan() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().to_str().unwrap();
    let (mut plan, mut read_out) = (String::new(), Vec::new());
    for (name, offices) in [("north", &OFFICES[..5]), ("south", &OFFICES[5..])] {
        let told = done(&["operator", "new", name, "--dir", folder]);
        let fingerprint = told.lines().find_map(|line| line.strip_prefix("to be read out when plans are compared: "));
        read_out.push(format!("{}   {name}", fingerprint.unwrap()));
        let key = place.path().join(format!("{name}.key.json"));
        assert_eq!(hufu_app::files::mode(&key).unwrap(), 0o600);
        let entry = std::fs::read_to_string(place.path().join(format!("{name}.operator.toml"))).unwrap();
        assert!(!std::fs::read_to_string(&key).unwrap().is_empty());
        plan.push_str(&entry.replace("[]", &format!("{offices:?}")));
    }
    assert!(refused(&["operator", "new", "north", "--dir", folder]).contains("nothing was written"));
    assert!(refused(&["operator", "new", "North", "--dir", folder]).contains("lower-case"));
    let operators = place.path().join("operators.toml");
    std::fs::write(&operators, plan).unwrap();
    let root = place.path().join("root");
    done(&["init", root.to_str().unwrap(), "--port", "0", "--operators", operators.to_str().unwrap()]);
    // Each office shows whose orders it will follow, as each operator reads it out; and nobody else's.
    let config = root.join("node-1/office.toml");
    let told = done(&["keys", "identity", "--config", config.to_str().unwrap()]);
    assert!(read_out.iter().all(|who| told.contains(who)), "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("operator ")).count(), 2, "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("plan ")).count(), 1, "{told}");
    // Without the operators' keys in the folder nobody orders anything.
    let told = refused(&["keys", "ceremony", "--all", root.to_str().unwrap()]);
    assert!(told.contains("two operators"), "{told}");
}
