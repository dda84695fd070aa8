//! ARCHITECTURE.md's picture, held to what Cargo builds.

use crate::source::{files, project};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The longest file anybody has to read at once.
const LINES: usize = 600;

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The table between the markers: room, and what it may use beside kernel.
fn drawn() -> Arrows {
    let page = std::fs::read_to_string(project().join("ARCHITECTURE.md")).unwrap();
    let (_, table) = page.split_once("<!-- arrows -->").unwrap();
    let (table, _) = table.split_once("<!-- /arrows -->").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').collect();
        let room = cells[1].split_whitespace().next().unwrap().to_owned();
        (room, cells[2].split_whitespace().map(str::to_owned).collect())
    })
    .collect()
}

/// What Cargo links into each room; tests may use more.
fn built() -> Arrows {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(project())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let room = |name: &Value| name.as_str().unwrap().strip_prefix("hufu-").map(str::to_owned);
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let linked = package["dependencies"].as_array().unwrap().iter().filter(|other| other["kind"].is_null());
            (room(&package["name"]).unwrap(), linked.filter_map(|other| room(&other["name"])).collect())
        })
        .collect()
}

/// Every arrow that is built and not drawn.
fn forbidden(drawn: &Arrows, built: &Arrows) -> Vec<String> {
    let mut found = Vec::new();
    for (room, uses) in built {
        match drawn.get(room) {
            None => found.push(format!("{room} is not in the table")),
            Some(may) => {
                let beyond = uses.iter().filter(|other| *other != "kernel" && !may.contains(*other));
                found.extend(beyond.map(|other| format!("{room} uses {other}")));
            }
        }
    }
    found
}

#[test]
fn no_room_uses_what_the_picture_does_not_allow() {
    assert_eq!(forbidden(&drawn(), &built()), Vec::<String>::new());
}

#[test]
fn an_arrow_or_a_room_that_is_not_drawn_is_reported() {
    let mut built = built();
    built.get_mut("sandbox").unwrap().insert("offices".to_owned());
    built.insert("cellar".to_owned(), BTreeSet::new());
    assert_eq!(forbidden(&drawn(), &built), ["cellar is not in the table", "sandbox uses offices"]);
}

#[test]
fn the_picture_has_no_circle() {
    let drawn = drawn();
    fn below(drawn: &Arrows, room: &str, depth: usize) {
        assert!(depth < drawn.len(), "a circle through {room}");
        for other in &drawn[room] {
            below(drawn, other, depth + 1);
        }
    }
    drawn.keys().for_each(|room| below(&drawn, room, 0));
}

#[test]
fn every_folder_under_crates_is_a_room_of_the_table() {
    let drawn = drawn();
    for entry in std::fs::read_dir(project().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(drawn.contains_key(&name), "crates/{name}");
    }
}

#[test]
fn no_file_is_too_long_to_be_read_at_once() {
    let sources = [("crates", ".rs"), ("ui/src", ".ts"), ("ui/src", ".mjs"), ("e2e", ".mjs")].into_iter();
    let sources: Vec<_> = sources.flat_map(|(folder, end)| files(folder, end)).collect();
    let counted = |end: &str| sources.iter().any(|(path, _)| path.to_string_lossy().ends_with(end));
    assert!(counted(".rs") && counted("consent.ts") && counted("journeys.mjs"), "what is to be counted was read");
    let long = sources.into_iter().map(|(path, text)| (path, text.lines().count()));
    let long: Vec<_> = long.filter(|(_, lines)| *lines > LINES).collect();
    assert!(long.is_empty(), "{long:?}");
}
