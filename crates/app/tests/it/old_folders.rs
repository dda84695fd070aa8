//! Folders that sandboxes of earlier programs left: today's program opens them, everything is there, and who is in them signs
//! in with the pseudonym they had. `tests/fixtures/make.sh` says how such a folder is made.

use crate::browser::sign_in;
use crate::demo::{options, start};
use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who is in a folder.
#[derive(Deserialize)]
struct Inhabitants {
    platform: String,
    /// Pseudonyms there, by persona.
    subs: BTreeMap<String, String>,
}

/// The folders' names.
fn names() -> Vec<String> {
    let files = std::fs::read_dir(fixture("")).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.filter_map(|file| Some(file.strip_suffix(".tar.gz")?.to_owned())).collect()
}

fn fixture(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file)
}

fn unpack(name: &str, into: &Path) -> Inhabitants {
    let archive = fixture(&format!("{name}.tar.gz"));
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(into).status().unwrap();
    assert!(unpacked.success());
    serde_json::from_slice(&std::fs::read(fixture(&format!("{name}.json"))).unwrap()).unwrap()
}

/// Kind, partition and id of every row that does not expire, in all stores; and under how many migrations of its own each store
/// stands.
fn rows(data: &Path) -> (BTreeSet<String>, BTreeMap<String, u32>) {
    let (mut rows, mut schemas) = (BTreeSet::new(), BTreeMap::new());
    for office in hufu_app::root::STORES {
        // For writing, since the log it left has to be read in.
        let store = data.join(office).join("store.sqlite");
        let store = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        let mut kinds = store.prepare("SELECT name FROM store__kind").unwrap();
        for kind in kinds.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap) {
            let sql = format!("SELECT hex(\"partition\") || '/' || hex(id) FROM \"{kind}\" WHERE expires_at IS NULL");
            let mut query = store.prepare(&sql).unwrap();
            let found = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
            rows.extend(found.map(|key| format!("{office}/{kind}/{}", key.unwrap())));
        }
        let steps = store.query_row("SELECT count(*) FROM store__migration", [], |row| row.get(0)).unwrap();
        schemas.insert(office.to_owned(), steps);
    }
    (rows, schemas)
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_earlier_programs_open_and_their_people_sign_in_as_before() {
    let names = names();
    assert!(!names.is_empty());
    for name in names {
        // Today, and after years: a folder from before is not newer than the program that finds it.
        for years in [0, 3] {
            let folder = tempfile::tempdir().unwrap();
            let inhabitants = unpack(&name, folder.path());
            assert!(!inhabitants.subs.is_empty());
            let data = folder.path().join("demo");
            let (before, _) = rows(&data);
            // Each person stands at three nodes, uniqueness and post.
            assert!(before.len() >= 5 * inhabitants.subs.len(), "{name}: {before:?}");
            std::fs::write(data.join("clock.json"), format!("{{\"seconds\":{}}}", years * 365 * 86_400)).unwrap();
            let running = start(options(folder.path())).await;
            for (persona, sub) in &inhabitants.subs {
                let now = sign_in(&running, &inhabitants.platform, persona).await;
                assert_eq!(&now, sub, "{name}, {years} years later: {persona}");
            }
            running.stop().await;
            let (after, schemas) = rows(&data);
            let lost: Vec<_> = before.difference(&after).collect();
            assert!(lost.is_empty(), "{name}: {lost:?}");
            assert!(schemas.values().all(|steps| *steps == 2), "{name}: {schemas:?}");
        }
    }
}
