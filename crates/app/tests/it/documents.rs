//! What the pages say about the project itself: links lead somewhere, the two commands are the ones that are run, and every
//! dependency's licence is on the list.

use crate::source::{files, project};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Targets of `[text](target)`, outside code blocks.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, block) in text.split("```").enumerate() {
        if at % 2 == 0 {
            let targets = block.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            found.extend(targets.map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// The anchor that a heading has on common forges.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn resolves(page: &Path, target: &str) -> bool {
    if target.starts_with("https://") || target.starts_with("http://") || target.starts_with("mailto:") {
        return true;
    }
    let (file, wanted) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    match wanted {
        None => path.exists(),
        Some(wanted) => std::fs::read_to_string(&path)
            .is_ok_and(|text| text.lines().any(|line| line.starts_with('#') && anchor(line) == wanted)),
    }
}

#[test]
fn every_relative_link_of_every_page_leads_somewhere() {
    let pages = files(".", ".md");
    assert!(pages.len() > 10);
    for (page, text) in pages {
        for target in links(&text) {
            assert!(resolves(&page, &target), "{}: {target}", page.display());
        }
    }
}

#[test]
fn a_dead_link_and_a_dead_anchor_are_found() {
    let page = project().join("README.md");
    assert_eq!(links("see [a](x.md) and ```[b](y.md)``` and [c](#z)"), ["x.md", "#z"]);
    for target in ["nowhere.md", "README.md#no-such-heading", "#no-such-heading"] {
        assert!(!resolves(&page, target), "{target}");
    }
    assert_eq!(anchor("## What works, what does not"), "what-works-what-does-not");
}

#[test]
fn the_two_commands_of_the_readme_are_the_ones_that_are_run() {
    let read = |name: &str| std::fs::read_to_string(project().join(name)).unwrap();
    let (readme, test, ci) = (read("README.md"), read("test"), read(".ci/run"));
    let commands: Vec<&str> = readme.split("```sh\n").nth(1).unwrap().split("```").next().unwrap().lines().collect();
    let commands: Vec<&str> = commands.iter().map(|line| line.split('#').next().unwrap().trim()).collect();
    assert_eq!(commands, ["cargo run --release -- demo", "./test"]);
    // `--locked` is what a test adds to a person's command.
    assert!(test.replace(" --locked", "").contains(commands[0]));
    assert!(ci.contains("exec ./test"));
    assert!(readme.lines().count() <= 150, "the README is read in one sitting");
}

/// Alternatives of an SPDX expression: one of them is enough, each a set that must be allowed whole.
fn alternatives(expression: &str) -> Vec<BTreeSet<String>> {
    let plain = expression.replace('/', " OR ");
    let outer = plain.split(" AND ").map(|part| part.trim_matches(['(', ')', ' ']));
    outer.fold(vec![BTreeSet::new()], |sets, part| {
        let choices: Vec<&str> = part.split(" OR ").map(|choice| choice.trim_matches(['(', ')', ' '])).collect();
        let with = |set: &BTreeSet<String>, choice: &str| set.iter().cloned().chain([choice.to_owned()]).collect();
        sets.iter().flat_map(|set| choices.iter().map(|choice| with(set, choice)).collect::<Vec<_>>()).collect()
    })
}

#[test]
fn every_dependency_has_a_licence_of_the_list_or_a_named_exception() {
    let policy: toml::Value = toml::from_str(&std::fs::read_to_string(project().join("deny.toml")).unwrap()).unwrap();
    let names = |value: &toml::Value| -> BTreeSet<String> {
        value.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let allowed = names(&policy["licenses"]["allow"]);
    let exceptions = policy["licenses"]["exceptions"].as_array().unwrap();
    let version = output("rustc", &["-vV"]);
    let host = std::str::from_utf8(&version).unwrap().lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Offline, and only what this machine builds: the rest of the lock file need not have been downloaded.
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host];
    let metadata: Value = serde_json::from_slice(&output(env!("CARGO"), &arguments)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    for package in packages {
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or("none"));
        let excepted = exceptions.iter().find(|exception| exception["crate"].as_str() == Some(name));
        let allowed: BTreeSet<String> =
            excepted.map(|exception| names(&exception["allow"])).unwrap_or_default().union(&allowed).cloned().collect();
        assert!(alternatives(licence).iter().any(|set| set.is_subset(&allowed)), "{name}: {licence}");
    }
}

fn output(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).current_dir(project()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn licence_expressions_are_read_as_written() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(alternatives("MIT/Apache-2.0"), [set(&["MIT"]), set(&["Apache-2.0"])]);
    assert_eq!(
        alternatives("(MIT OR ISC) AND Unicode-3.0"),
        [set(&["MIT", "Unicode-3.0"]), set(&["ISC", "Unicode-3.0"])]
    );
    assert_eq!(alternatives("GPL-3.0-only"), [set(&["GPL-3.0-only"])]);
}
