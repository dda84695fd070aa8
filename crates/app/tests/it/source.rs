//! Reads the project's own source, for tests that hold pages to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The project's folder.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Folders that hold nothing of the project's own.
const FOREIGN: [&str; 4] = ["target", "node_modules", ".git", ".venv"];

/// Files under a folder of the project whose name ends so, with their text.
pub fn files(folder: &str, end: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![project().join(folder)];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !FOREIGN.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name.ends_with(end) {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// Rust files under a folder, without their unit tests.
pub fn rust(folder: &str) -> Vec<(PathBuf, String)> {
    let without_tests = |text: String| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    files(folder, ".rs").into_iter().map(|(path, text)| (path, without_tests(text))).collect()
}

/// A field of a struct.
pub struct Field {
    pub name: String,
    pub of_type: String,
    /// Whether serde leaves it out.
    pub skipped: bool,
}

/// Structs with named fields, as rustfmt writes them: one field a line.
pub fn structs(text: &str) -> BTreeMap<String, Vec<Field>> {
    let mut structs: BTreeMap<String, Vec<Field>> = BTreeMap::new();
    let mut of: Option<String> = None;
    let mut skipped = false;
    for line in text.lines() {
        let code = line.trim();
        let head = code.trim_start_matches("pub ").trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ");
        if let Some(rest) = head.strip_prefix("struct ").filter(|rest| rest.ends_with('{')) {
            of = rest.split(['<', ' ', '{']).next().map(str::to_owned);
        } else if code == "}" {
            of = None;
        } else if code.starts_with("#[serde(skip)]") {
            skipped = true;
        } else if let (Some(of), Some((name, of_type))) = (&of, code.split_once(": ")) {
            let name =
                name.trim_start_matches("pub ").trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ");
            if name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()) {
                let field = Field { name: name.to_owned(), of_type: of_type.trim_end_matches(',').to_owned(), skipped };
                structs.entry(of.clone()).or_default().push(field);
                skipped = false;
            }
        }
    }
    structs
}
