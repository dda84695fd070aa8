//! `hufu bench` as a program: the smoke run, without a peer. Figures are not judged here.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program with a folder for temporary files of its own.
fn bench(temporary: &Path, arguments: &[&str]) -> Output {
    bench_of("sign-in", temporary, arguments)
}

fn bench_of(what: &str, temporary: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hufu"))
        .args(["bench", what])
        .args(arguments)
        .env("TMPDIR", temporary)
        .output()
        .unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_smoke_run_signs_people_in_on_every_lane_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let ended = bench(temporary.path(), &["--peer", "none", "--quick", "--json"]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let document: Value = serde_json::from_slice(&ended.stdout).unwrap();

    let floor = Path::new(env!("CARGO_BIN_EXE_hufu")).parent().unwrap().join("examples/floor").is_file();
    let lanes: Vec<&Value> = document["lanes"].as_array().unwrap().iter().collect();
    let expected: &[&str] = if floor {
        &["front", "whole-path", "token", "apart", "floor", "whole-floor", "token-floor"]
    } else {
        &["front", "whole-path", "token", "apart"]
    };
    assert_eq!(lanes.iter().map(|lane| lane["lane"].as_str().unwrap()).collect::<Vec<_>>(), expected);
    for lane in &lanes {
        // Each of 16 users completed one sign-in at least, checked to the last signature.
        assert!(number(&lane["flows"]) >= 16.0 && number(&lane["flows_per_s"]) > 0.0, "{lane}");
        assert!(number(&lane["p50_ms"]) > 0.0 && number(&lane["p99_ms"]) >= number(&lane["p50_ms"]), "{lane}");
        assert_eq!(lane["rounds"].as_array().unwrap().len(), 1);
    }
    assert!(number(&document["flows_per_s"]) > 0.0 && number(&document["full_path_flows_per_s"]) > 0.0);
    for ratio in ["ratio", "full_path_ratio", "peer_flows_per_s", "cpu_ratio", "full_path_cpu_ratio"] {
        assert_eq!(document.get(ratio), Some(&Value::Null), "{ratio}: there is no peer");
    }
    assert_eq!(document["floor_share"].is_number(), floor);
    assert_eq!(document["token_floor_share"].is_number(), floor);
    assert!(number(&document["apart_ratio"]) > 0.0);
    let memory = &document["rss_mib"];
    // Eleven processes have more than one has.
    assert!(number(&memory["apart_under_load"]) > number(&memory["at_rest"]));
    assert!(number(&memory["at_rest"]) > 1.0 && number(&memory["under_load"]) >= number(&memory["at_rest"]));
    assert_eq!((number(&document["run"]["persons"]), number(&document["run"]["platforms"])), (60.0, 79.0));
    assert_eq!(document["run"]["quick"], true);

    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "its folder is gone, and with it the sandbox");
}

#[test]
fn a_smoke_run_of_the_flood_limits_it_where_there_are_limits_and_nowhere_else() {
    let temporary = tempfile::tempdir().unwrap();
    let ended = bench_of("abuse", temporary.path(), &["--quick", "--json", "--flood", "3000"]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let document: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let (on, off) = (&document["limits_on"], &document["limits_off"]);
    for side in [on, off] {
        assert!(number(&side["calm"]["sign_ins"]) >= 60.0 && number(&side["calm"]["failed"]) < 1.0, "{side}");
        assert!(number(&side["flood"]["sent"]) > 100.0 && number(&side["flood"]["answered"]) > 50.0, "{side}");
    }
    let refused = |side: &Value| number(&side["flood"]["limited"]) + number(&side["flood"]["cut"]);
    assert!(refused(on) >= 1.0, "{on}");
    assert!(number(&off["flood"]["limited"]) < 1.0, "the control: {off}");
    assert!(document["held"].is_boolean() && document["shows"].is_boolean());
    assert_eq!(document["run"]["quick"], true);
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "its folder is gone, and with it the sandbox");
}

#[test]
fn a_peer_that_is_not_installed_is_told_before_anything_is_made() {
    let temporary = tempfile::tempdir().unwrap();
    std::fs::write(temporary.path().join("server.mjs"), "").unwrap();
    let folder = temporary.path().to_str().unwrap();
    let ended = bench(temporary.path(), &["--peer-dir", folder, "--quick"]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && said.contains("npm ci") && said.contains("--peer none"), "{said}");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn the_help_says_what_each_lane_is_and_another_name_is_refused_with_all_of_them() {
    let temporary = tempfile::tempdir().unwrap();
    let help = String::from_utf8(bench(temporary.path(), &["--help"]).stdout).unwrap();
    let other = bench(temporary.path(), &["--only", "apartt"]);
    let told = String::from_utf8(other.stderr).unwrap();
    assert!(!other.status.success());
    let (lanes, values) = help.split_once("--only").unwrap();
    for lane in ["front", "whole-path", "apart", "peer", "floor", "whole-floor"] {
        assert!(lanes.contains(&format!("`{lane}`")), "{lane}: {lanes}");
        assert!(values.lines().any(|line| line.trim().starts_with(&format!("- {lane}:"))), "{lane}: {values}");
        assert!(told.contains(lane), "{lane}: {told}");
    }
}
