//! `deployment.toml`: who runs which office and where it answers. The same file at every office; nothing in it is secret.

use crate::failure::Failure;
use crate::files;
use crate::root::{NODES, OFFICES, TAGGERS};
use hufu_kernel::{NodeIndex, Octets, Root, framed};
use hufu_sandbox::http::Addresses;
use hufu_wire::api::roster::fingerprint;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The file's name.
pub const FILE: &str = "deployment.toml";

/// The offices that wallets and browsers reach at an address of their own; the front's is the issuer.
pub const PUBLIC: [&str; 4] = ["node-1", "node-2", "node-3", "registrar"];

/// The plan of a deployment.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// `production`, or `sandbox`.
    pub root: Root,
    /// Drawn by `hufu init`; part of every store, key and certificate.
    pub root_id: Octets<16>,
    /// The front's address, without a path: what platforms know as the issuer.
    pub issuer: String,
    /// The wallet's origin, exactly as browsers write it.
    pub wallet_origin: String,
    /// The WebAuthn RP ID: the wallet's host or a domain above it.
    pub rp_id: String,
    /// Who runs offices, by name.
    pub operators: BTreeMap<String, Operator>,
    /// The eleven offices, by name.
    pub offices: BTreeMap<String, PlannedOffice>,
    /// The simulators of a sandbox.
    #[serde(default)]
    pub sandbox: Option<Simulators>,
}

/// Who runs offices and signs orders.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Ed25519 public key: an order needs the signatures of two operators.
    pub key: Octets<32>,
}

/// Where an office is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedOffice {
    /// Who runs it.
    pub operator: String,
    /// `host:port` at which the other offices reach it.
    pub internal: String,
    /// The address at which wallets reach it; nodes and registrar alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
}

/// Where a sandbox's simulators answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulators {
    /// The phones' inboxes.
    pub phones: String,
    /// The civil register.
    pub register: String,
    /// The sample platforms with pages.
    pub samples: [String; 3],
}

impl Plan {
    /// Reads a plan; one that contradicts itself is refused.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] with the line, or the office.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path)?
            .ok_or_else(|| Failure::unreadable(path, "there is no such plan; `hufu init DIR` makes one, and --plan DIR/deployment.toml names one that is elsewhere"))?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::unreadable(path, "is not UTF-8 text"))?;
        Self::parse(&text).map_err(|what| Failure::unreadable(path, what))
    }

    /// Parses the text of a plan.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plan: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), String> {
        let known: BTreeSet<&str> = OFFICES.into_iter().collect();
        if let Some(stranger) = self.offices.keys().find(|name| !known.contains(name.as_str())) {
            return Err(format!(
                "[offices.{stranger}]: there is no such office; the offices are {}",
                OFFICES.join(", ")
            ));
        }
        if let Some(lacking) = OFFICES.into_iter().find(|name| !self.offices.contains_key(*name)) {
            return Err(format!("[offices.{lacking}] is missing"));
        }
        let mut taken = BTreeMap::new();
        for (name, office) in &self.offices {
            if !self.operators.contains_key(&office.operator) {
                return Err(format!("[offices.{name}]: there is no [operators.{}]", office.operator));
            }
            if !is_host_and_port(&office.internal) {
                return Err(format!("[offices.{name}]: internal = {:?} is not host:port", office.internal));
            }
            if let Some(other) = taken.insert(&office.internal, name) {
                return Err(format!("{other} and {name} have one internal address, {}", office.internal));
            }
            if office.public.is_some() != PUBLIC.contains(&name.as_str()) {
                let told = if office.public.is_some() { "nobody outside asks it" } else { "wallets must reach it" };
                return Err(format!("[offices.{name}]: public: {told}"));
            }
        }
        let origins = self.offices.values().filter_map(|office| office.public.as_ref());
        for origin in origins.chain([&self.issuer, &self.wallet_origin]) {
            origin_of(origin, self.root)?;
        }
        let wallet = host_of(&self.wallet_origin);
        if wallet != self.rp_id && !wallet.ends_with(&format!(".{}", self.rp_id)) {
            return Err(format!("rp_id = {:?} is neither the wallet's host nor a domain above it", self.rp_id));
        }
        match (self.root, &self.sandbox) {
            (Root::Production, Some(_)) => Err("[sandbox] has no place in a production root".to_owned()),
            (Root::Sandbox, None) => Err("[sandbox] is missing: where the simulators answer".to_owned()),
            _ => Ok(()),
        }
    }

    /// SHA-256 of everything the plan says: the same at every office, however its file is written.
    #[must_use]
    pub fn hash(&self) -> Octets<32> {
        let mut parts: Vec<&[u8]> = vec![b"hufu-v1-plan", self.root.name().as_bytes(), self.root_id.as_slice()];
        parts.extend([&self.issuer, &self.wallet_origin, &self.rp_id].map(|text| text.as_bytes()));
        parts.push(b"operators");
        for (name, operator) in &self.operators {
            parts.extend([name.as_bytes(), operator.key.as_slice()]);
        }
        parts.push(b"offices");
        for (name, office) in &self.offices {
            let public = office.public.as_deref().unwrap_or_default();
            let internal = office.internal.as_str();
            parts.extend([name.as_str(), office.operator.as_str(), internal, public].map(str::as_bytes));
        }
        if let Some(Simulators { phones, register, samples }) = &self.sandbox {
            parts.extend([phones, register].into_iter().chain(samples).map(|text| text.as_bytes()));
        }
        Octets(Sha256::digest(framed(&parts)).into())
    }

    /// What people compare of it: ten groups of four hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.hash().0)
    }

    /// The plan of one office.
    #[must_use]
    pub fn office(&self, name: &str) -> Option<&PlannedOffice> {
        self.offices.get(name)
    }

    /// The addresses at which wallets reach the nodes, 1 to 3.
    #[must_use]
    pub fn nodes(&self) -> [String; 3] {
        NodeIndex::ALL.map(|index| self.public_address(NODES[index.slot()]))
    }

    /// The address at which wallets reach an office; the front's is the issuer.
    #[must_use]
    pub fn public_address(&self, name: &str) -> String {
        match name {
            "front" => self.issuer.clone(),
            "wallet" => self.wallet_origin.clone(),
            name => self.office(name).and_then(|office| office.public.clone()).unwrap_or_default(),
        }
    }

    /// `host:port` of every office, for the offices themselves.
    #[must_use]
    pub fn internal_addresses(&self) -> BTreeMap<String, String> {
        self.offices.iter().map(|(name, office)| (name.clone(), office.internal.clone())).collect()
    }

    /// What the sandbox's programs need; nothing under a production root.
    #[must_use]
    pub fn sandbox_addresses(&self) -> Option<Addresses> {
        let simulators = self.sandbox.as_ref()?;
        Some(Addresses {
            issuer: self.issuer.clone(),
            wallet: self.wallet_origin.clone(),
            registrar: self.public_address("registrar"),
            nodes: self.nodes(),
            phone: simulators.phones.clone(),
            register: simulators.register.clone(),
            ca: None,
        })
    }

    /// What one operator could do alone, a sentence each: the separation that does not hold.
    #[must_use]
    pub fn concentrations(&self) -> Vec<String> {
        let mut told = Vec::new();
        for operator in self.operators.keys() {
            let runs = |name: &str| self.office(name).is_some_and(|office| office.operator == *operator);
            if OFFICES.iter().all(|name| runs(name)) {
                told.push(format!("{operator} runs all offices: the separation between them does not hold"));
                continue;
            }
            let nodes = NODES.iter().filter(|name| runs(name)).count();
            let taggers = TAGGERS.iter().filter(|name| runs(name)).count();
            if nodes >= 2 {
                told.push(format!("{operator} runs {nodes} nodes: it could sign any result alone"));
            }
            if taggers >= 2 && runs("uniqueness") {
                told.push(format!(
                    "{operator} runs {taggers} taggers and uniqueness: it could look up any document number"
                ));
            }
            if nodes >= 1 && runs("front") {
                told.push(format!("{operator} runs a node and the front: it could join the times of sign-ins"));
            }
        }
        told
    }

    /// What should be said about the number of operators who can sign an order; nothing if there are two.
    #[must_use]
    pub fn lacks_second_operator(&self) -> Option<String> {
        let keys: BTreeSet<&Octets<32>> = self.operators.values().map(|operator| &operator.key).collect();
        (keys.len() < 2).then(|| "orders need two operators with different keys, and the plan has one".to_owned())
    }
}

/// `host:port`, the host a name or an address in brackets.
fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-[]:".contains(&b);
        !host.is_empty() && host.bytes().all(plain) && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

fn host_of(origin: &str) -> &str {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(authority, |(host, _)| host)
}

/// An origin as browsers write it: https, or http on this machine in a sandbox.
fn origin_of(text: &str, root: Root) -> Result<(), String> {
    let host = host_of(text);
    let plain =
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-[]:".contains(&b));
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]") || host.ends_with(".localhost");
    let scheme = text.starts_with("https://") || (text.starts_with("http://") && local && root == Root::Sandbox);
    if plain && scheme && !rest.contains('/') {
        return Ok(());
    }
    Err(format!("{text:?} is no origin: https://host or https://host:port, in lower case and without a path"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::drafts::{Draft, tests::draft};

    fn text(root: Root) -> String {
        draft(root).plan_text()
    }

    #[test]
    fn a_plan_that_contradicts_itself_is_refused_and_says_where() {
        let good = text(Root::Sandbox);
        Plan::parse(&good).unwrap();
        for (from, to, told) in [
            ("[offices.node-3]", "[offices.node-4]", "node-4"),
            ("operator = \"operator-1\"", "operator = \"nobody\"", "nobody"),
            ("internal = \"127.0.0.1:", "internal = \"127.0.0.1\" #", "host:port"),
            ("rp_id = ", "rpid = ", "rp_id"),
            ("issuer = \"http://localhost", "issuer = \"http://id.example", "no origin"),
            ("root = \"sandbox\"", "root = \"production\"", "no origin"),
        ] {
            assert!(good.contains(from), "{from}");
            let refused = Plan::parse(&good.replacen(from, to, 1)).unwrap_err();
            assert!(refused.contains(told), "{from}: {refused}");
        }
    }

    #[test]
    fn whatever_a_plan_says_is_in_its_fingerprint_and_how_it_is_written_is_not() {
        let good = text(Root::Sandbox);
        let fingerprint = |text: &str| Plan::parse(text).unwrap().fingerprint();
        assert_eq!(fingerprint(&good), fingerprint(&format!("# written otherwise\n\n{good}")));
        let mut others = vec![fingerprint(&good)];
        let more = format!("[operators.shadow]\nkey = \"{}\"\n\n[operators.operator-1]", hufu_kernel::b64(&[9; 32]));
        for (from, to) in [
            ("[operators.operator-1]", more.as_str()),
            ("operator = \"operator-1\"", "operator = \"operator-2\""),
            ("internal = \"127.0.0.1:", "internal = \"localhost:"),
            ("issuer = \"http://localhost", "issuer = \"http://id.localhost"),
        ] {
            assert!(good.contains(from), "{from}");
            let other = fingerprint(&good.replacen(from, to, 1));
            assert!(!others.contains(&other), "{to}");
            others.push(other);
        }
    }

    #[test]
    fn production_is_https_alone() {
        let plan = Plan::parse(&text(Root::Production)).unwrap();
        assert!(plan.nodes().iter().all(|node| node.starts_with("https://")));
        for origin in ["http://localhost:1", "https://Id.example", "https://id.example/", "https://", "ftp://x", "x"] {
            assert!(origin_of(origin, Root::Production).is_err(), "{origin}");
        }
    }

    #[test]
    fn what_one_operator_could_do_alone_is_said() {
        let mut plan = Plan::parse(&text(Root::Production)).unwrap();
        assert_eq!(plan.concentrations().len(), 1);
        let operators: Vec<String> = plan.operators.keys().cloned().collect();
        for name in ["node-1", "front", "tagger-1", "uniqueness"] {
            plan.offices.get_mut(name).unwrap().operator.clone_from(&operators[1]);
        }
        let told = plan.concentrations().join("\n");
        assert!(told.contains("runs 2 nodes") && told.contains("a node and the front"), "{told}");
    }

    #[test]
    fn a_plan_is_what_its_draft_says() {
        let draft: Draft = draft(Root::Sandbox);
        let plan = Plan::parse(&draft.plan_text()).unwrap();
        assert_eq!((plan.root_id, plan.operators.len()), (draft.root_id, 2));
        assert_eq!(plan.sandbox_addresses().unwrap().nodes, plan.nodes());
        assert!(plan.lacks_second_operator().is_none());
    }
}
