//! docs/standards/conformance.md names, for every module of the plans that apply, a test that mirrors it or why none does; here the page is
//! held to the code.

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

#[test]
fn every_module_stands_once_and_none_is_missing() {
    let page = page();
    let rows = rows(&page);
    let modules: BTreeSet<&str> = rows.iter().map(|(module, _)| module.as_str()).collect();
    assert_eq!(modules.len(), rows.len());
    let of = |prefix: &str| modules.iter().filter(|module| module.starts_with(prefix)).count();
    // As many as the plans of both FAPI 2.0 specifications have; those of Config and Basic; those of the two kinds of sign-out.
    assert_eq!(of("fapi2-security-profile-final-"), 92);
    assert_eq!(of("oidcc-rp-initiated-logout") + of("oidcc-backchannel-"), 13);
    assert_eq!(of("oidcc-"), 53);
}

#[test]
fn a_row_without_a_test_or_a_reason_is_reported() {
    let table = |by: &str| {
        format!(
            "text\n\n| module | mirrored by |\n|---|---|\n| `m` | {by} |\n\n| other | table |\n|---|---|\n| `x` | y |\n"
        )
    };
    let good = ["`app/conformance_table.rs::every_module_stands_once_and_none_is_missing`", "n/a: a reason in words"];
    for by in good {
        assert_eq!(wrong(&table(by)), Vec::<String>::new(), "{by}");
    }
    for by in ["`app/conformance_table.rs::gone`", "n/a", "n/a: ", "`nowhere.rs::x`"] {
        assert_eq!(wrong(&table(by)), [by.trim_matches('`')]);
    }
}
