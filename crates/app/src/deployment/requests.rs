//! `keys.request.toml`: which keys an office needs, and with whom each is made. It tells nothing secret and is no key.

use crate::root::{NODES, TAGGERS};
use hufu_kernel::{NodeIndex, Subset};
use serde::{Deserialize, Serialize};

/// The file's name in an office's folder.
pub const FILE: &str = "keys.request.toml";

/// How a key is made (flows 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Making {
    /// The office draws it by itself.
    Alone,
    /// Its two holders flip coins: each commits, then both reveal.
    CoinFlip,
    /// The three holders generate shares of a key that none of them ever has.
    Distributed,
}

/// One key that is to be made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// Its name in the office's key store.
    pub name: String,
    /// What it is used for.
    #[serde(rename = "use")]
    pub usage: String,
    /// How it is made.
    pub made: Making,
    /// The other holders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
}

/// The file's contents.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// The office: `node-2`.
    pub office: String,
    /// The keys, in the order of making.
    pub keys: Vec<KeyRequest>,
}

fn alone(name: &str, usage: &str) -> KeyRequest {
    KeyRequest { name: name.to_owned(), usage: usage.to_owned(), made: Making::Alone, with: Vec::new() }
}

/// The keys of `office`.
#[must_use]
pub fn of(office: &str) -> Requests {
    let mut keys = vec![
        alone("office", "Ed25519: signs the office's messages and its TLS certificates"),
        alone("tls", "ECDSA P-256: handshakes between offices"),
    ];
    let place = |names: [&str; 3]| NodeIndex::ALL.into_iter().find(|index| names[index.slot()] == office);
    let others = |names: [&str; 3]| names.into_iter().filter(|name| *name != office).map(str::to_owned).collect();
    let shared = |name: &str, usage: &str, names| KeyRequest {
        name: name.to_owned(),
        usage: usage.to_owned(),
        made: Making::Distributed,
        with: others(names),
    };
    if let Some(index) = place(NODES) {
        keys.extend(node(index));
        keys.push(shared("frost-share", "FROST: two of three sign results, certificates, passes", NODES));
    } else if place(TAGGERS).is_some() {
        keys.push(shared("tag-share", "ristretto255: partial evaluations of document tags", TAGGERS));
    } else if office == "front" {
        keys.push(alone("front-tx", "Ed25519: signs transactions for the wallet"));
        keys.push(alone(
            "front-response",
            "PS256: signs responses, introspection and userinfo to platforms, never ID tokens",
        ));
    } else if office == "post" {
        keys.push(alone("contacts", "AES-256-GCM: seals telephone numbers"));
    }
    Requests { office: office.to_owned(), keys }
}

/// A node's own keys, and those it shares with one other node.
fn node(index: NodeIndex) -> Vec<KeyRequest> {
    let mut keys = vec![
        alone("hpke", "X25519: opens what the registrar sealed to this node"),
        alone("rows", "AES-256-GCM: seals the private parts of rows"),
        alone("index", "HMAC-SHA-256: finds rows by root and by number"),
        alone("es256", "ECDSA P-256: signs alone for platforms that ask for ES256"),
    ];
    for subset in Subset::of(index) {
        let (a, b) = subset.holders();
        let other = if a == index { b } else { a };
        for (kind, usage) in [
            ("k", "HMAC-SHA-256: this pair's part of every pseudonym"),
            ("kp", "HMAC-SHA-256: this pair's part of every password key"),
            ("peer", "HMAC-SHA-256: names rows between the two"),
        ] {
            keys.push(KeyRequest {
                name: format!("{kind}-{}", subset.name()),
                usage: usage.to_owned(),
                made: Making::CoinFlip,
                with: vec![NODES[other.slot()].to_owned()],
            });
        }
    }
    keys
}

/// The file's text.
///
/// # Errors
/// A sentence, if it does not encode.
pub fn text(office: &str) -> Result<String, String> {
    let body = toml::to_string_pretty(&of(office)).map_err(|error| error.to_string())?;
    Ok(format!(
        "# Keys that {office} needs. A ceremony makes them, at all offices at the same time.\n\
         # made: alone (here), coin-flip (with the other holder), distributed (nobody ever has the whole key).\n\n{body}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::deal;
    use hufu_kernel::SeededRng;
    use std::collections::BTreeSet;

    /// The dealer of the sandbox makes the same keys: a request that it does not know is a mistake, and the reverse.
    #[test]
    fn every_key_that_offices_work_with_is_requested_and_no_other() {
        let dealt = deal::deal(&SeededRng::new(1)).unwrap();
        for (office, keys) in dealt.keys {
            let requested: BTreeSet<String> = of(office).keys.into_iter().map(|key| key.name).collect();
            // One-key mode RS256 exists in sandboxes alone, which ask for it themselves.
            let made: BTreeSet<String> = keys.keys().filter(|key| *key != crate::root::RS256).cloned().collect();
            assert_eq!(requested, made, "{office}");
        }
    }

    #[test]
    fn a_key_of_two_or_three_names_the_others_and_they_name_it_too() {
        for office in crate::root::OFFICES {
            let requests: Requests = toml::from_str(&text(office).unwrap()).unwrap();
            assert_eq!(requests, of(office));
            for key in requests.keys {
                assert_eq!(key.with.is_empty(), key.made == Making::Alone, "{office}/{}", key.name);
                for other in &key.with {
                    let theirs = of(other).keys.into_iter().find(|theirs| theirs.name == key.name).unwrap();
                    assert!(theirs.with.contains(&office.to_owned()) && theirs.made == key.made);
                }
            }
        }
    }
}
