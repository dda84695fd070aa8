//! What the processes of offices find in their environment: little, and nothing that is another office's.

use super::SUPERVISED;
use crate::failure::Failure;
use std::collections::BTreeMap;
use std::process::Command;

/// What every process may have of this one's.
const ALL: [&str; 3] = ["PATH", "RUST_LOG", "TMPDIR"];
/// How the variables begin that an office's own configuration may ask for: that file is the office's user's to write.
const OWN: &str = "HUFU_";

/// Leaves a process these variables of this one's, those that all may have, and no other.
pub fn only<'a>(command: &mut Command, own: impl IntoIterator<Item = &'a str>) {
    command.env_clear();
    for name in ALL.into_iter().chain(own) {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env(SUPERVISED, "1");
}

/// The variables with passwords, by office. Each is one office's.
///
/// # Errors
/// [`Failure::Other`] naming two offices that ask for one variable, or one that asks for what is not of ours.
pub fn passwords<'a>(asked: impl IntoIterator<Item = (&'a str, String)>) -> Result<BTreeMap<&'a str, String>, Failure> {
    let mut found: BTreeMap<&str, String> = BTreeMap::new();
    for (office, name) in asked {
        if !name.starts_with(OWN) {
            let told = format!(
                "{office}: [store] password_env: {name} is not handed to it; call it {OWN}…, or use password_file"
            );
            return Err(Failure::other(told));
        }
        if let Some((other, _)) = found.iter().find(|(_, taken)| **taken == name) {
            let told = format!("{other} and {office} both ask for {name} ([store] password_env): each needs its own");
            return Err(Failure::other(told));
        }
        found.insert(office, name);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_office_has_its_own_variable_and_neither_anothers_nor_whatever_it_names() {
        let asked = |names: &[(&'static str, &str)]| {
            passwords(names.iter().map(|(office, name)| (*office, (*name).to_owned())))
        };
        let found = asked(&[("node-1", "HUFU_ONE"), ("node-2", "HUFU_TWO")]).unwrap();
        assert_eq!(found, BTreeMap::from([("node-1", "HUFU_ONE".to_owned()), ("node-2", "HUFU_TWO".to_owned())]));
        let told = asked(&[("node-1", "HUFU_ONE"), ("post", "HUFU_ONE")]).unwrap_err().to_string();
        assert!(told.contains("node-1 and post both ask for HUFU_ONE"), "{told}");
        let told = asked(&[("post", "AWS_SECRET_ACCESS_KEY")]).unwrap_err().to_string();
        assert!(told.contains("AWS_SECRET_ACCESS_KEY is not handed to it"), "{told}");
    }

    #[test]
    fn what_was_not_asked_for_is_not_there() {
        let mut command = Command::new("/usr/bin/env");
        // The build sets it for tests: it stands for whatever is in the environment.
        only(&mut command, []);
        let seen = |command: &mut Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
        let text = seen(&mut command);
        assert!(!text.contains("CARGO_MANIFEST_DIR=") && text.contains("HUFU_SUPERVISED=1"), "{text}");
        // The control: what is asked for is there.
        only(&mut command, ["CARGO_MANIFEST_DIR"]);
        assert!(seen(&mut command).contains("CARGO_MANIFEST_DIR="));
    }
}
