//! docs/api/openapi.json is what the program says of itself, and the program says everything: every route, every refusal.

use crate::source::{project, rust};
use hufu_kernel::Refusal;
use hufu_web::api::{OF_A_NODE, OF_THE_REGISTRAR, document_text, operations};
use serde_json::Value;
use std::collections::BTreeSet;

const PAGE: &str = "docs/api/openapi.json";

#[test]
fn the_checked_in_description_of_the_api_is_what_the_program_says() {
    let wanted = document_text();
    let file = project().join(PAGE);
    if std::env::var_os("HUFU_BLESS").is_some() {
        std::fs::write(file, wanted).unwrap();
        return;
    }
    let read: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap_or_default()).unwrap_or_default();
    // Whether members are sorted depends on what else is built, so that text is not compared.
    let same = read == serde_json::from_str::<Value>(&wanted).unwrap();
    assert!(same, "stale: `hufu openapi > {PAGE}` or HUFU_BLESS=1 writes it");
}

/// Paths in `.route("…"` of these sources.
fn routed(sources: &[(std::path::PathBuf, String)]) -> BTreeSet<String> {
    let literals = sources.iter().flat_map(|(_, text)| text.split(".route(").skip(1));
    literals
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'))
        .map(|(path, _)| path.to_owned())
        .collect()
}

#[test]
fn no_route_of_the_edge_stands_outside_the_tables_that_are_told() {
    // The wallet's pages have a table of their own, and offices among themselves another; those of tests are no routes.
    let apart = |path: &std::path::Path| {
        path.components().any(|part| ["pages", "peers", "tests"].iter().any(|name| part.as_os_str() == *name))
    };
    let sources: Vec<_> =
        rust("crates/web/src").into_iter().filter(|(path, _)| !apart(path) && !path.ends_with("tests.rs")).collect();
    assert!(sources.iter().any(|(path, _)| path.ends_with("front.rs")));
    let told: BTreeSet<&str> = operations().iter().map(|operation| operation.path).collect();
    let untold: Vec<_> = routed(&sources).into_iter().filter(|path| !told.contains(path.as_str())).collect();
    assert!(untold.is_empty(), "a row of crates/web/src/front/table.rs is missing for {untold:?}");
}

#[test]
fn a_route_outside_the_tables_is_noticed() {
    let stray = vec![("x.rs".into(), "Router::new().route(\"/stray\", get(x)).route(\n  \"/other\",".to_owned())];
    assert_eq!(routed(&stray), BTreeSet::from(["/other".to_owned(), "/stray".to_owned()]));
}

/// Refusals that the sources name whose path has one of these parts.
fn named(parts: &[&str]) -> BTreeSet<String> {
    let sources = rust("crates").into_iter().filter(|(path, _)| {
        let path = path.to_string_lossy();
        parts.iter().any(|part| path.contains(part))
    });
    let text: String = sources.map(|(_, text)| text).collect();
    let names =
        text.split("Refusal::").skip(1).map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect());
    names.filter(|name: &String| name.starts_with(|c: char| c.is_ascii_uppercase()) && name != "ALL").collect()
}

#[test]
fn the_refusals_that_an_offices_sources_name_are_told_of_it() {
    let node = ["offices/src/node/", "domain/src/holder", "domain/src/agreement", "domain/src/consent"];
    let registrar = ["offices/src/registrar/", "domain/src/enrolment", "domain/src/eligibility"];
    for (parts, told) in [(&node[..], OF_A_NODE), (&registrar[..], OF_THE_REGISTRAR)] {
        let names = named(parts);
        assert!(names.len() > 10 && !names.contains(&format!("{:?}", Refusal::WeakPassword)));
        let told: BTreeSet<String> = told.iter().map(|refusal| format!("{refusal:?}")).collect();
        let untold: Vec<_> = names.difference(&told).collect();
        assert!(untold.is_empty(), "{parts:?}: crates/web/src/api/mod.rs does not tell {untold:?}");
    }
}
