//! Offices make their keys together, each in its own process, over TLS on this machine.

mod attacks;
mod founding;
mod late;
mod pinned;
mod restore;

use crate::apart::hufu;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A deployment without keys.
pub struct Planned {
    pub folder: PathBuf,
    pub place: TempDir,
}

/// Runs the program; what it says, and that it succeeds.
pub fn done(arguments: &[&str]) -> String {
    let output = hufu(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which must refuse; its words.
pub fn refused(arguments: &[&str]) -> String {
    let output = hufu(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

impl Planned {
    pub fn new(sandbox: bool) -> Self {
        let place = crate::apart::place();
        let folder = place.path().join("root");
        let mut arguments = vec!["init", folder.to_str().unwrap(), "--port", "0"];
        arguments.extend(sandbox.then_some("--sandbox"));
        done(&arguments);
        Self { folder, place }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    pub fn config(&self, office: &str) -> String {
        self.path(&format!("{office}/office.toml"))
    }

    pub fn founded(sandbox: bool) -> Self {
        let planned = Self::new(sandbox);
        planned.ceremony(&[]);
        planned
    }

    /// A ceremony at all offices; what is said.
    pub fn ceremony(&self, more: &[&str]) -> String {
        done(&[&["keys", "ceremony", "--all", self.folder.to_str().unwrap()], more].concat())
    }

    /// Identities and a roster.
    pub fn identified(&self) {
        let mut identities = Vec::new();
        for office in hufu_app::root::OFFICES {
            done(&["keys", "identity", "--config", &self.config(office)]);
            identities.push(self.path(&format!("{office}/identity.json")));
        }
        let (plan, roster) = (self.path("deployment.toml"), self.path("roster.json"));
        let mut arguments = vec!["keys", "roster", "--plan", &plan, "-o", &roster];
        arguments.extend(identities.iter().map(String::as_str));
        done(&arguments);
    }

    /// An order, signed by so many of the two operators.
    pub fn order(&self, wish: &[&str], signatures: usize) -> String {
        let (plan, roster) = (self.path("deployment.toml"), self.path("roster.json"));
        let order =
            self.path(&format!("order-{}.json", hufu_kernel::hex(&hufu_kernel::random::<4>(&hufu_kernel::OsRng))));
        done(&[&["keys", "order", "new"], wish, &["--plan", &plan, "--roster", &roster, "-o", &order]].concat());
        for operator in ["operator-1", "operator-2"].iter().take(signatures) {
            let key = self.path(&format!("operators/{operator}.key.json"));
            done(&["keys", "order", "sign", "--yes", "--key", &key, "--plan", &plan, &order]);
        }
        order
    }

    /// The parties' processes, which wait for each other.
    pub fn take_part(&self, order: &str, patience: &str, offices: &[&'static str]) -> Vec<(&'static str, Child)> {
        offices.iter().map(|office| (*office, part(&self.config(office), order, patience))).collect()
    }

    pub fn status(&self, office: &str) -> Value {
        serde_json::from_str(&done(&["keys", "status", "--json", "--config", &self.config(office)])).unwrap()
    }

    /// The names of an office's keys: those that count, and those that are pending.
    pub fn names(&self, office: &str) -> (Vec<String>, Vec<String>) {
        let status = self.status(office);
        let (mut count, mut pending) = (Vec::new(), Vec::new());
        for key in status["keys"].as_array().unwrap() {
            let to = if key["pending"].as_bool().unwrap() { &mut pending } else { &mut count };
            to.push(key["name"].as_str().unwrap().to_owned());
        }
        (count, pending)
    }
}

/// One office's part in a ceremony.
pub fn part(config: &str, order: &str, patience: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
    command.args(["keys", "ceremony", "--config", config, "--order", order, "--patience", patience]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// All files below a folder whose name ends so.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}
