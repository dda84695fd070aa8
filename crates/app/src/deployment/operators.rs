//! Who runs which offices: the file of `hufu init --operators`, or two operators that `hufu init` makes up.

use super::drafts::DraftOperator;
use crate::failure::Failure;
use crate::files;
use crate::root::OFFICES;
use hufu_kernel::{Octets, Rng};
use hufu_wire::jose::{Alg, SoftKey};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The folder of the made-up operators' private keys.
pub const FOLDER: &str = "operators";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorsFile {
    operators: BTreeMap<String, Entry>,
}

/// One operator, as it signs up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Ed25519 public key, base64url.
    key: Octets<32>,
    /// The offices it runs.
    #[serde(default)]
    offices: Vec<String>,
    /// The host at which the other offices reach these; `{office}` stands for the office's name.
    #[serde(default)]
    host: Option<String>,
    /// The address on which they listen, in place of this machine's own: `0.0.0.0` in a container.
    #[serde(default)]
    listen: Option<IpAddr>,
}

/// Reads the file of `--operators`: every office has exactly one operator, and there are two or more.
///
/// # Errors
/// [`Failure::Unreadable`] with the line, or the office.
pub fn read(path: &Path) -> Result<BTreeMap<String, DraftOperator>, Failure> {
    let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "there is no such file"))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::unreadable(path, "is not UTF-8 text"))?;
    parse(&text).map_err(|what| Failure::unreadable(path, what))
}

fn parse(text: &str) -> Result<BTreeMap<String, DraftOperator>, String> {
    let file: OperatorsFile = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, entry) in &file.operators {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(format!("[operators.{name}]: a name is lower-case letters, digits and hyphens"));
        }
        for office in &entry.offices {
            if !OFFICES.contains(&office.as_str()) {
                return Err(format!(
                    "[operators.{name}]: {office} is no office; the offices are {}",
                    OFFICES.join(", ")
                ));
            }
            if let Some(other) = taken.insert(office, name) {
                return Err(format!("{office} is run by {other} and by {name}"));
            }
        }
    }
    let lacking: Vec<&str> = OFFICES.into_iter().filter(|office| !taken.contains_key(office)).collect();
    if !lacking.is_empty() {
        return Err(format!("nobody runs {}", lacking.join(", ")));
    }
    let keys: BTreeSet<&Octets<32>> = file.operators.values().map(|entry| &entry.key).collect();
    if keys.len() < 2 || keys.len() < file.operators.len() {
        return Err("an order needs two operators: there must be two or more, each with a key of its own".to_owned());
    }
    let drafted =
        |entry: Entry| DraftOperator { key: entry.key, offices: entry.offices, host: entry.host, listen: entry.listen };
    Ok(file.operators.into_iter().map(|(name, entry)| (name, drafted(entry))).collect())
}

/// An operator's private key that was made here.
pub struct Made {
    /// Its file's name in [`FOLDER`].
    pub file: PathBuf,
    /// A private JWK.
    pub key: SoftKey,
}

/// Two operators, the first of whom runs everything: with one machine there is nobody else to ask.
///
/// # Errors
/// [`Failure::Other`] if a key cannot be made.
pub fn made_up(rng: &dyn Rng) -> Result<(BTreeMap<String, DraftOperator>, Vec<Made>), Failure> {
    let (mut operators, mut made) = (BTreeMap::new(), Vec::new());
    for (name, runs) in [("operator-1", true), ("operator-2", false)] {
        let key = SoftKey::generate(Alg::EdDSA, rng).map_err(Failure::other)?;
        let public = key.public().key.as_ed25519().copied().map(Octets);
        let public = public.ok_or_else(|| Failure::other("an Ed25519 key has no public half"))?;
        let offices = if runs { OFFICES.map(str::to_owned).to_vec() } else { Vec::new() };
        operators.insert(name.to_owned(), DraftOperator { key: public, offices, host: None, listen: None });
        made.push(Made { file: PathBuf::from(format!("{name}.key.json")), key });
    }
    Ok((operators, made))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::b64;

    fn text() -> String {
        let key = |byte| b64(&[byte; 32]);
        let list = |offices: &[&str]| offices.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        format!(
            "[operators.north]\nkey = {:?}\noffices = [{}]\nhost = \"north.internal\"\n\
             [operators.south]\nkey = {:?}\noffices = [{}]\n",
            key(1),
            list(&OFFICES[..5]),
            key(2),
            list(&OFFICES[5..]),
        )
    }

    #[test]
    fn the_example_for_two_operators_is_a_whole_file() {
        let page = include_str!("../../../../docs/operate/deployment.md");
        let example = page.split("   ```toml\n").nth(1).and_then(|rest| rest.split("   ```").next()).unwrap();
        let keyed = example.replacen('…', &b64(&[1; 32]), 1).replacen('…', &b64(&[2; 32]), 1);
        assert_eq!(parse(&keyed).unwrap().values().map(|operator| operator.offices.len()).sum::<usize>(), 11);
    }

    #[test]
    fn every_office_has_exactly_one_operator() {
        let read = parse(&text()).unwrap();
        assert_eq!((read["north"].offices.len(), read["south"].offices.len()), (5, 6));
        assert_eq!(read["north"].host.as_deref(), Some("north.internal"));
        for (from, to, told) in [
            ("\"node-1\", ", "", "nobody runs node-1"),
            ("\"front\"", "\"node-1\"", "node-1 is run by north and by south"),
            ("\"front\"", "\"front-2\"", "front-2 is no office"),
            ("operators.south", "operators.South", "lower-case"),
            ("host = ", "hots = ", "hots"),
        ] {
            let refused = parse(&text().replacen(from, to, 1)).unwrap_err();
            assert!(refused.contains(told), "{told}: {refused}");
        }
        let one_key = text().replace(&b64(&[2; 32]), &b64(&[1; 32]));
        assert!(parse(&one_key).unwrap_err().contains("two operators"));
    }
}
