//! `deploy/offices.toml`, from which everything in `deploy/` follows, is the program's own table of offices.

use crate::source::project;
use hufu_app::deployment::drafts::offsets;
use hufu_app::deployment::plan::PUBLIC;
use hufu_app::root::{NODES, OFFICES, STORES};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A row of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    internal: Option<u16>,
    public: Option<u16>,
    metrics: u16,
    callers: BTreeSet<String>,
    #[serde(default)]
    store: bool,
    #[serde(default)]
    outside: Vec<String>,
    #[serde(default)]
    platforms: bool,
    memory: u32,
}

fn table() -> BTreeMap<String, Row> {
    toml::from_str(&std::fs::read_to_string(project().join("deploy/offices.toml")).unwrap()).unwrap()
}

/// The first port, where nothing else is said.
const FIRST: u16 = 8420;

#[test]
fn it_names_every_office_and_the_pages_and_nobody_else() {
    let names: BTreeSet<String> = table().into_keys().collect();
    let wanted: BTreeSet<String> = OFFICES.into_iter().chain(["wallet"]).map(str::to_owned).collect();
    assert_eq!(names, wanted);
}

#[test]
fn its_ports_and_stores_are_the_programs() {
    let table = table();
    for (place, name) in (0_u16..).zip(OFFICES.into_iter().chain(["wallet"])) {
        let row = &table[name];
        let is_office = name != "wallet";
        assert_eq!(row.internal, is_office.then_some(FIRST + offsets::INTERNAL + place), "{name}");
        assert_eq!(row.metrics, FIRST + offsets::METRICS + place, "{name}");
        assert_eq!(row.store, STORES.contains(&name), "{name}");
        let public = match name {
            "front" => Some(offsets::FRONT),
            "wallet" => Some(offsets::WALLET),
            "registrar" => Some(offsets::REGISTRAR),
            node if NODES.contains(&node) => Some(offsets::NODES + place),
            _ => None,
        };
        assert_eq!(row.public, public.map(|offset| FIRST + offset), "{name}");
        assert_eq!(public.is_some(), PUBLIC.contains(&name) || ["front", "wallet"].contains(&name), "{name}");
        assert_eq!(row.platforms, name == "front", "{name}");
        assert!(
            row.memory >= 64
                && row.outside.iter().all(|service| ["register", "face", "messages"].contains(&service.as_str()))
        );
    }
}

/// Who may call the routes of a port, of which these are the rows as they print themselves: `/path (Callers): what`.
fn callers<R: std::fmt::Debug>(rows: &[R]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for row in rows {
        let row = format!("{row:?}");
        let (_, rest) = row.split_once(" (").unwrap();
        found.extend(match rest.split_once(')').unwrap().0 {
            "Registrar" => vec!["registrar"],
            "Nodes" => NODES.to_vec(),
            "RegistrarAndNodes" => ["registrar"].into_iter().chain(NODES).collect(),
            "Front" => vec!["front"],
            other => panic!("{row}: {other}"),
        });
    }
    found.into_iter().map(str::to_owned).collect()
}

#[test]
fn an_office_is_called_by_those_whom_its_ports_admit() {
    use hufu_web::peers::{node, node_peer, post, registry, subject_handles, tagger, uniqueness};
    let node = [callers(node()), callers(node_peer()), callers(subject_handles())].into_iter().flatten().collect();
    let ports = [
        ("node", node),
        ("tagger", callers(tagger())),
        ("uniqueness", callers(uniqueness())),
        ("post", callers(post())),
        ("registry", callers(registry())),
    ];
    for (name, row) in table() {
        let kind = name.split('-').next().unwrap();
        let admitted = ports.iter().find(|(port, _)| *port == kind).map(|(_, admitted)| admitted.clone());
        let wanted: BTreeSet<String> =
            admitted.unwrap_or_default().into_iter().filter(|caller| *caller != name).collect();
        assert_eq!(row.callers, wanted, "{name}");
    }
}
