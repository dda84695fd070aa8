//! docs/standards/conformance.md names, for every module of the plans that apply, a test that mirrors it or why none does; here the page is
//! held to the code, and to the suite's own list of modules.

use crate::attacks::is_a_test;
use crate::source::project;
use std::collections::BTreeSet;

/// The rows of the page's tables of modules: module, and what mirrors it.
fn rows(page: &str) -> Vec<(String, String)> {
    let mut inside = false;
    let mut rows = Vec::new();
    for line in page.lines() {
        inside = line.starts_with("| module | mirrored by |") || (inside && line.starts_with('|'));
        let cells = line.trim_start_matches("| ").trim_end_matches(" |").split_once(" | ");
        if let Some((module, by)) = cells.filter(|(module, _)| inside && module.starts_with('`')) {
            rows.push((module.trim_matches('`').to_owned(), by.trim_matches('`').to_owned()));
        }
    }
    rows
}

/// Rows that name neither a test nor a reason.
fn wrong(page: &str) -> Vec<String> {
    let reason = |by: &str| by.strip_prefix("n/a: ").is_some_and(|why| why.len() > 10);
    rows(page).into_iter().filter(|(_, by)| !(reason(by) || is_a_test(by))).map(|(_, by)| by).collect()
}

fn page() -> String {
    std::fs::read_to_string(project().join("docs/standards/conformance.md")).unwrap()
}

#[test]
fn every_module_has_a_test_that_mirrors_it_or_a_reason() {
    assert_eq!(wrong(&page()), Vec::<String>::new());
}

/// The names of the suite's modules, as they were read in its source: see the head of the file.
fn listed() -> String {
    std::fs::read_to_string(project().join("crates/app/tests/fixtures/conformance-suite-modules.txt")).unwrap()
}

/// What stands in the list and not on the page, on the page and not in the list, or twice in one of them.
fn differing(page: &str, list: &str) -> Vec<String> {
    let of_page: Vec<String> = rows(page).into_iter().map(|(module, _)| module).collect();
    let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let of_list: Vec<String> = lines.map(str::to_owned).collect();
    let all: BTreeSet<&String> = of_page.iter().chain(&of_list).collect();
    let times = |names: &[String], name: &String| names.iter().filter(|known| *known == name).count();
    let once = |name: &&String| times(&of_page, name) == 1 && times(&of_list, name) == 1;
    all.into_iter().filter(|name| !once(name)).cloned().collect()
}

#[test]
fn every_module_of_the_suites_list_stands_on_the_page_once_and_no_other() {
    assert_eq!(differing(&page(), &listed()), Vec::<String>::new());
}

#[test]
fn a_module_that_is_missing_new_or_there_twice_is_reported() {
    let page = "| module | mirrored by |\n|---|---|\n| `a` | x |\n| `b` | x |\n| `b` | x |\n| `d` | x |\n";
    assert_eq!(differing(page, "# of a plan\na\nb\n\nc\n"), ["b", "c", "d"]);
    assert_eq!(differing(page, "a\na\nb\nd\n"), ["a", "b"]);
}

#[test]
fn a_row_without_a_test_or_a_reason_is_reported() {
    let table = |by: &str| {
        format!(
            "text\n\n| module | mirrored by |\n|---|---|\n| `m` | {by} |\n\n| other | table |\n|---|---|\n| `x` | y |\n"
        )
    };
    let good =
        ["`app/conformance_table.rs::every_module_has_a_test_that_mirrors_it_or_a_reason`", "n/a: a reason in words"];
    for by in good {
        assert_eq!(wrong(&table(by)), Vec::<String>::new(), "{by}");
    }
    for by in ["`app/conformance_table.rs::gone`", "n/a", "n/a: ", "`nowhere.rs::x`"] {
        assert_eq!(wrong(&table(by)), [by.trim_matches('`')]);
    }
}
