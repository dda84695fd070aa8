//! docs/attacks.md names, for every attack, a test that tries it; here the page is held to the code.

use crate::source::project;
use std::collections::BTreeSet;

/// Tests that the page names, as `crate/path.rs::name`.
fn named(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack "));
    rows.map(|row| {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        cell.trim_matches('`').to_owned()
    })
    .collect()
}

/// Tests of a file: functions right under a test attribute, whatever stands between.
pub fn tests(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let head = line.strip_prefix("async ").unwrap_or(line);
        if let Some(rest) = head.strip_prefix("fn ") {
            let name = rest.split('(').next().filter(|_| marked);
            found.extend(name.map(str::to_owned));
            marked = false;
        }
    }
    found
}

/// A file of tests, or with `src/` after the room's name one that holds its own.
fn file(path: &str) -> Option<String> {
    let (room, rest) = path.split_once('/')?;
    let inside = if rest.starts_with("src/") { rest.to_owned() } else { format!("tests/it/{rest}") };
    std::fs::read_to_string(project().join("crates").join(room).join(inside)).ok()
}

/// Whether `path::name` is a test.
pub fn is_a_test(reference: &str) -> bool {
    let Some((path, name)) = reference.split_once("::") else { return false };
    file(path).is_some_and(|text| tests(&text).contains(name))
}

/// What the page says that is not so.
fn wrong(page: &str) -> Vec<String> {
    named(page).into_iter().filter(|reference| !is_a_test(reference)).collect()
}

fn page() -> String {
    std::fs::read_to_string(project().join("docs/attacks.md")).unwrap()
}

#[test]
fn every_attack_of_the_page_has_a_test_that_tries_it() {
    let page = page();
    assert!(named(&page).len() > 50);
    assert_eq!(wrong(&page), Vec::<String>::new());
}

#[test]
fn every_test_of_the_fronts_attack_files_is_on_the_page() {
    let named: BTreeSet<String> = named(&page()).into_iter().collect();
    for name in ["client_attacks", "code_attacks", "request_attacks", "wallet_attacks", "elsewhere", "backchannel"] {
        let path = format!("offices/front/{name}.rs");
        let tests = tests(&file(&path).unwrap());
        assert!(tests.len() > 5, "{path}");
        for test in tests {
            let reference = format!("{path}::{test}");
            assert!(named.contains(&reference), "{reference} is not on the page");
        }
    }
}

#[test]
fn a_test_that_is_gone_renamed_or_no_test_is_reported() {
    let row = |reference: &str| format!("| an attack | what stops it | `{reference}` |\n");
    assert_eq!(wrong(&row("app/attacks.rs::every_attack_of_the_page_has_a_test_that_tries_it")), Vec::<String>::new());
    for gone in ["app/attacks.rs::no_such_test", "app/nowhere.rs::x", "app/attacks.rs::wrong", "a sentence"] {
        assert_eq!(wrong(&row(gone)), [gone]);
    }
}
