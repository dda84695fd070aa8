//! docs/trust.md against what there is: keys as dealt, tables as made, files as left by a running sandbox, and the fields of
//! the code that outlive a request. A line too many or too few is a finding.

use crate::source;
use hufu_app::root::{self, OFFICES, key_file};
use hufu_kernel::{Octets, OsRng, Root, SystemClock};
use hufu_store::{Catalogue, TrustRoot};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A table's columns and its indexes, `!` behind unique ones.
type Table = (BTreeSet<String>, BTreeSet<String>);

/// Everything the page must have a line for, by section.
#[derive(Clone, Default)]
struct World {
    names: BTreeMap<&'static str, BTreeSet<String>>,
    tables: BTreeMap<String, Table>,
}

/// One line of the page.
struct Line {
    section: String,
    /// The first cell, braces expanded.
    names: Vec<String>,
    cells: Vec<String>,
}

/// `a{b,c}` is `ab` and `ac`.
fn expand(text: &str) -> Vec<String> {
    let Some((head, rest)) = text.split_once('{') else { return vec![text.to_owned()] };
    let (inner, tail) = rest.split_once('}').unwrap();
    inner.split(',').flat_map(|choice| expand(&format!("{head}{choice}{tail}"))).collect()
}

/// The texts between backticks.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn lines(page: &str) -> Vec<Line> {
    let mut section = String::new();
    let mut found = Vec::new();
    for text in page.lines() {
        if let Some(title) = text.strip_prefix("## ") {
            section = title.to_owned();
        } else if text.starts_with("| `") {
            let cells: Vec<String> = text.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            let names = quoted(&cells[0]).iter().flat_map(|name| expand(name)).collect();
            found.push(Line { section: section.clone(), names, cells });
        }
    }
    found
}

/// Every difference between page and world, one sentence each.
fn findings(page: &str, world: &World) -> Vec<String> {
    let lines = lines(page);
    let mut found = Vec::new();
    for (section, names) in &world.names {
        let here: Vec<&Line> = lines.iter().filter(|line| line.section == *section).collect();
        for name in names {
            match here.iter().filter(|line| line.names.contains(name)).count() {
                1 => {}
                0 => found.push(format!("{section}: {name} has no line")),
                _ => found.push(format!("{section}: {name} has more than one line")),
            }
        }
        for line in here {
            if line.cells.iter().any(String::is_empty) && *section != "Tables" {
                found.push(format!("{section}: {} leaves a cell empty", line.names.join(", ")));
            }
            for name in line.names.iter().filter(|name| !names.contains(*name)) {
                found.push(format!("{section}: {name} does not exist"));
            }
        }
    }
    for (name, (columns, indexes)) in &world.tables {
        let Some(line) = lines.iter().find(|line| line.section == "Tables" && line.names.contains(name)) else {
            continue;
        };
        for (what, told, real) in
            [("columns", quoted(&line.cells[1]), columns), ("indexes", quoted(&line.cells[2]), indexes)]
        {
            if told != *real {
                found.push(format!("Tables: {name} has the {what} {real:?}, the page says {told:?}"));
            }
        }
    }
    found
}

/// `node-2` is a `node`.
fn kind_of(office: &str) -> &str {
    office.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-')
}

fn keys(folder: &Path) -> BTreeSet<String> {
    let root = root::open_or_found(folder, &SystemClock, &OsRng).unwrap();
    let world = root.world();
    let mut names = BTreeSet::new();
    for office in OFFICES {
        let owner = key_file::Owner { office: office.to_owned(), root: world.root, root_id: world.root_id };
        let keys = key_file::read(&folder.join(office), &owner).unwrap();
        names.extend(keys.keys().map(|key| format!("{}/{key}", kind_of(office))));
    }
    names
}

fn catalogues() -> Vec<Catalogue> {
    let trust = TrustRoot { root: Root::Sandbox, id: Octets([0; 16]) };
    let [one, ..] = hufu_kernel::NodeIndex::ALL;
    let catalogues = [
        hufu_offices::node::schema(trust, one).catalogue(),
        hufu_offices::registrar::schema(trust).catalogue(),
        hufu_offices::uniqueness::schema(trust).catalogue(),
        hufu_offices::post::schema(trust).catalogue(),
    ];
    catalogues.into_iter().map(Result::unwrap).collect()
}

/// Record types by kind, as their source says, with the fields that are stored.
fn records() -> BTreeMap<String, BTreeSet<String>> {
    let mut records = BTreeMap::new();
    for (_, text) in source::rust("crates/offices/src") {
        let structs = source::structs(&text);
        let mut of = String::new();
        for line in text.lines() {
            if let Some((_, name)) = line.split_once("Record for ") {
                of = name.split(['<', ' ']).next().unwrap().to_owned();
            }
            if let Some((_, kind)) = line.split_once("const KIND: &'static str = \"") {
                let fields = structs[&of].iter().filter(|field| !field.skipped).map(|field| field.name.clone());
                records.insert(kind.trim_end_matches("\";").to_owned(), fields.collect());
            }
        }
    }
    records
}

fn tables() -> BTreeMap<String, Table> {
    let records = records();
    let mut tables = BTreeMap::new();
    let mut registered = BTreeSet::new();
    for catalogue in catalogues() {
        for kind in catalogue.kinds.values() {
            let unique = |index: &hufu_kernel::Index| if index.unique { "!" } else { "" };
            let indexes = kind.indexes.iter().map(|index| format!("{}{}", index.name, unique(index))).collect();
            let name = format!("{}/{}", kind_of(&catalogue.identity.office), kind.name);
            tables.insert(name, (records[kind.name].clone(), indexes));
            registered.insert(kind.name.to_owned());
        }
    }
    assert_eq!(registered, records.keys().cloned().collect(), "a record type that no office's schema registers");
    for (_, text) in source::rust("crates/store/src/sqlite") {
        for part in text.split("CREATE TABLE ").skip(1) {
            let (name, rest) = part.trim_start_matches("IF NOT EXISTS ").split_once([' ', '(']).unwrap();
            let Some(body) = rest.split_once(") STRICT").map(|(body, _)| body.trim_matches(['(', ' ', '\n'])) else {
                continue;
            };
            if name.starts_with("store__") {
                let columns = body.split(',').map(|column| column.split_whitespace().next().unwrap().to_owned());
                tables.insert(format!("store/{name}"), (columns.collect(), BTreeSet::new()));
            }
        }
        for later in text.split("ALTER TABLE store__").skip(1) {
            let (name, rest) = later.split_once(" ADD COLUMN ").unwrap();
            let column = rest.split_whitespace().next().unwrap().to_owned();
            tables.get_mut(&format!("store/store__{name}")).unwrap().0.insert(column);
        }
    }
    tables
}

/// Types whose values outlive a request, or are keys.
const LASTING: [&str; 16] = [
    "Family<",
    "Registry",
    "Mutex<",
    "RwLock<",
    "OnceLock<",
    "LazyLock<",
    "MemoryOnce",
    "dyn Once",
    "Sessions<",
    "Transactions",
    "Sealer",
    "ProofNonces",
    "ScanCodes",
    "Sender<Finished>",
    "Loaded",
    "Secret<",
];
/// Whole types of the same kind; as a part of a longer name they mean something else.
const LASTING_WHOLE: [&str; 3] = ["Signer", "Option<RsaKey>", "handles::HandleKey"];

fn memory() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["crates/offices/src", "crates/web/src", "crates/app/src", "crates/sandbox/src"] {
        for (_, text) in source::rust(folder) {
            // What an office is started with is handed over, not kept.
            for (of, fields) in source::structs(&text).into_iter().filter(|(of, _)| !of.ends_with("Parts")) {
                let lasting = fields.iter().filter(|field| field.of_type != "Mutex<()>").filter(|field| {
                    LASTING.iter().any(|part| field.of_type.contains(part))
                        || LASTING_WHOLE.contains(&field.of_type.as_str())
                });
                names.extend(lasting.map(|field| format!("{of}.{}", field.name)));
            }
        }
    }
    names
}

/// A demo that is ended with the test, however the test ends.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run_demo(data: &Path, ready: &Path) -> Demo {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_hufu"));
    demo.args(["demo", "--tls", "--mtls", "--port", "0", "--data"]).arg(data).arg("--ready-file").arg(ready);
    let mut demo = Demo(demo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    for _ in 0..600 {
        if ready.exists() {
            return demo;
        }
        assert!(demo.0.try_wait().unwrap().is_none(), "the demo ended before it was ready");
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the demo did not become ready within a minute");
}

/// Every file under `folder`, office folders under one name.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&at)).unwrap() {
            let path = at.join(entry.unwrap().file_name());
            if folder.join(&path).is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.to_str().unwrap();
            let office = OFFICES.iter().find_map(|office| name.strip_prefix(office)?.strip_prefix('/'));
            names.insert(match office {
                Some(file) => format!("office/{file}"),
                None => match name.strip_prefix("platforms/").and_then(|file| file.split_once('.')) {
                    Some((_, kind)) => format!("platforms/CLIENT.{kind}"),
                    None => name.replace("tls/localhost/", "tls/HOST/"),
                },
            });
        }
    }
    names
}

/// Files that a demo makes only when something has happened in it.
const LATER: [&str; 5] = ["errors.log.1", "clock.json", "personas.json", "tour.json", "store.json"];

#[test]
fn files_that_come_later_are_named_in_the_code() {
    let code: String = source::rust("crates/app/src").into_iter().map(|(_, text)| text).collect();
    for file in LATER {
        assert!(code.contains(&format!("\"{file}\"")), "{file}");
    }
}

#[test]
fn every_key_table_file_and_memory_has_one_line_and_no_line_is_about_nothing() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let keys = keys(&data);
    let demo = run_demo(&data, &place.path().join("ready.json"));
    let mut files = files(&data);
    drop(demo);
    files.extend(LATER.map(str::to_owned));
    let tables = tables();
    let names = [("Keys", keys), ("Tables", tables.keys().cloned().collect()), ("Files", files), ("Memory", memory())];
    let world = World { names: names.into(), tables };
    let page = std::fs::read_to_string(source::project().join("docs/trust.md")).unwrap();
    let found = findings(&page, &world);
    assert!(found.is_empty(), "docs/trust.md:\n{}", found.join("\n"));
    assert!(world.names.values().all(|names| names.len() > 6), "the world was not looked at");
}

/// The control: what the test above is for is found.
#[test]
fn a_made_up_table_a_missing_line_and_a_changed_column_are_reported() {
    let page = "## Tables\n| table | columns | indexes |\n|---|---|---|\n| `node/row` | `a` `b` | `x!` |\n";
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let world = |tables: &[(&str, &[&str])]| World {
        names: [("Tables", tables.iter().map(|(name, _)| (*name).to_owned()).collect())].into(),
        tables: tables.iter().map(|(name, columns)| ((*name).to_owned(), (set(columns), set(&["x!"])))).collect(),
    };
    assert_eq!(findings(page, &world(&[("node/row", &["a", "b"])])), Vec::<String>::new());
    let made_up = findings(page, &world(&[("node/row", &["a", "b"]), ("node/secret", &[])]));
    assert_eq!(made_up, ["Tables: node/secret has no line"]);
    assert_eq!(findings(page, &world(&[])), ["Tables: node/row does not exist"]);
    assert_eq!(findings(page, &world(&[("node/row", &["a", "b", "c"])])).len(), 1);
    let twice = format!("{page}| `node/{{row,row}}` | `a` `b` | `x!` |\n");
    assert_eq!(findings(&twice, &world(&[("node/row", &["a", "b"])])), ["Tables: node/row has more than one line"]);
}
