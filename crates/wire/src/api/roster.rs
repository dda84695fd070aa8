//! Who is who among the offices: each office's own public keys, exchanged once and pinned by every other office.
//!
//! An office makes its identity alone and hands it to the others by a way they trust; people compare fingerprints. There is no
//! authority above the offices that could make an identity for one of them (decision 0015).

use crate::jose::{PublicKey, strict_json};
use hufu_kernel::{Bytes, NodeIndex, Octets, Root, framed, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The offices by name, in the order of every list of them.
pub const OFFICES: [&str; 11] = [
    "node-1",
    "node-2",
    "node-3",
    "tagger-1",
    "tagger-2",
    "tagger-3",
    "registrar",
    "uniqueness",
    "post",
    "registry",
    "front",
];

/// The name of tagger `index`.
#[must_use]
pub fn tagger_name(index: NodeIndex) -> &'static str {
    ["tagger-1", "tagger-2", "tagger-3"][index.slot()]
}

/// The DNS name in an office's TLS certificate: `node-1.<root id in hexadecimal>.hufu.internal`. It is never looked up.
#[must_use]
pub fn tls_name(office: &str, root_id: &Octets<16>) -> String {
    format!("{office}.{}.hufu.internal", hex(root_id.as_slice()))
}

/// Why a roster or an identity was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RosterError {
    /// Not the documented JSON.
    #[error("not JSON of the documented shape: {0}")]
    Json(String),
    /// A name that is no office's.
    #[error("{0} is no office")]
    Office(String),
    /// A key that is none, of the wrong length or of small order.
    #[error("the keys of {0} are not an Ed25519 key and a sealing key of 32 bytes")]
    Key(String),
    /// An office is named twice.
    #[error("{0} is named twice")]
    Twice(String),
    /// Two offices with one key: each could speak as the other.
    #[error("{0} and {1} have the same key")]
    Shared(String, String),
}

/// One office's public keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The office: `node-2`.
    pub office: String,
    /// Ed25519: signs the office's messages and its TLS certificates.
    pub key: Octets<32>,
    /// X25519, HPKE, 32 bytes: what others seal to the office, where anything is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sealing: Option<Bytes>,
    /// Of an office whose keys are in a token: SHA-256 of the key under which other tokens wrap for it. So whoever compares the
    /// roster's fingerprint has compared that key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wrapping_sha256: Option<Octets<32>>,
}

impl Identity {
    /// What an identity pins of a wrapping key.
    #[must_use]
    pub fn pin(wrapping_key: &[u8]) -> Octets<32> {
        Octets(Sha256::digest(wrapping_key).into())
    }

    /// The pinned wrapping key as people compare it: ten groups of four hexadecimal digits.
    #[must_use]
    pub fn wrapping_fingerprint(&self) -> Option<String> {
        self.wrapping_sha256.map(|hash| fingerprint(&hash.0))
    }

    /// Reads an identity as its office wrote it.
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn parse(text: &[u8]) -> Result<Self, RosterError> {
        let identity: Self = strict_json(text).map_err(|error| RosterError::Json(error.to_string()))?;
        identity.check()?;
        Ok(identity)
    }

    /// What people compare: ten groups of four hexadecimal digits over office and keys.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&Sha256::digest(framed(&[b"hufu-v1-identity", &self.framed()])).into())
    }

    fn check(&self) -> Result<(), RosterError> {
        if !OFFICES.contains(&self.office.as_str()) {
            return Err(RosterError::Office(self.office.clone()));
        }
        let sealing = self.sealing.as_ref().is_none_or(|sealing| sealing.0.len() == 32);
        if !sealing || PublicKey::ed25519(self.key.0).is_err() {
            return Err(RosterError::Key(self.office.clone()));
        }
        Ok(())
    }

    fn framed(&self) -> Vec<u8> {
        let sealing = self.sealing.as_ref().map_or(&[][..], |sealing| &sealing.0);
        let mut parts = vec![self.office.as_bytes(), self.key.as_slice(), sealing];
        // A part more, not an empty one: without a token the bytes are those of before there were any.
        parts.extend(self.wrapping_sha256.as_ref().map(Octets::as_slice));
        framed(&parts)
    }

    fn place(&self) -> usize {
        OFFICES.iter().position(|name| *name == self.office).unwrap_or(OFFICES.len())
    }
}

/// The identities of a trust root. Only a consistent one can be made: known names, each once, no key twice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "RosterFile", into = "RosterFile")]
pub struct Roster {
    root: Root,
    root_id: Octets<16>,
    identities: Vec<Identity>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RosterFile {
    root: Root,
    root_id: Octets<16>,
    identities: Vec<Identity>,
}

impl From<Roster> for RosterFile {
    fn from(Roster { root, root_id, identities }: Roster) -> Self {
        Self { root, root_id, identities }
    }
}

impl TryFrom<RosterFile> for Roster {
    type Error = RosterError;
    fn try_from(RosterFile { root, root_id, identities }: RosterFile) -> Result<Self, RosterError> {
        Self::new(root, root_id, identities)
    }
}

impl Roster {
    /// A roster of these identities, in whatever order they come. It may still lack offices: [`Roster::missing`].
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn new(root: Root, root_id: Octets<16>, mut identities: Vec<Identity>) -> Result<Self, RosterError> {
        for (at, identity) in identities.iter().enumerate() {
            identity.check()?;
            for earlier in &identities[..at] {
                if earlier.office == identity.office {
                    return Err(RosterError::Twice(identity.office.clone()));
                }
                if earlier.key == identity.key {
                    return Err(RosterError::Shared(earlier.office.clone(), identity.office.clone()));
                }
            }
        }
        identities.sort_by_key(Identity::place);
        Ok(Self { root, root_id, identities })
    }

    /// Reads a roster.
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn parse(text: &[u8]) -> Result<Self, RosterError> {
        strict_json(text).map_err(|error| RosterError::Json(error.to_string()))
    }

    /// Sandbox or production.
    #[must_use]
    pub fn root(&self) -> Root {
        self.root
    }

    /// Which trust root.
    #[must_use]
    pub fn root_id(&self) -> &Octets<16> {
        &self.root_id
    }

    /// The identities, in the order of [`OFFICES`].
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The identity of one office.
    #[must_use]
    pub fn get(&self, office: &str) -> Option<&Identity> {
        self.identities.iter().find(|identity| identity.office == office)
    }

    /// The offices it lacks.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let known: BTreeSet<&str> = self.identities.iter().map(|identity| identity.office.as_str()).collect();
        OFFICES.into_iter().filter(|office| !known.contains(office)).collect()
    }

    /// SHA-256 of `"hufu-v1-roster" ‖ root ‖ root_id ‖ identities`, each identity the framed `office ‖ key ‖ sealing`, and
    /// `‖ wrapping_sha256` where there is one, in the order of [`OFFICES`]. Two offices with one hash have pinned the same.
    #[must_use]
    pub fn hash(&self) -> Octets<32> {
        let each: Vec<Vec<u8>> = self.identities.iter().map(Identity::framed).collect();
        let all = framed(&each.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let bytes = framed(&[b"hufu-v1-roster", self.root.name().as_bytes(), self.root_id.as_slice(), &all]);
        Octets(Sha256::digest(bytes).into())
    }

    /// What people compare: ten groups of four hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.hash().0)
    }
}

/// What people compare of a hash: ten groups of four hexadecimal digits.
///
/// 160 bits: whoever wants another roster under the same words has to find it among 2^160, or 2^80 if both are theirs.
#[must_use]
pub fn fingerprint(hash: &[u8; 32]) -> String {
    let groups: Vec<String> = hash[..20].chunks(2).map(hex).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::SoftKey;
    use hufu_kernel::{SeededRng, random};
    use proptest::prelude::*;

    fn identity(office: &str, seed: u64) -> Identity {
        let rng = SeededRng::new(seed);
        let key = SoftKey::generate(crate::jose::Alg::EdDSA, &rng).unwrap().public().clone();
        let key = Octets(*key.key.as_ed25519().unwrap());
        let sealing = office.starts_with("node-").then(|| random::<32>(&rng)[..].into());
        // One office of each kind has its keys in a token.
        let wrapping_sha256 = ["node-2", "front"].contains(&office).then(|| Octets(random(&rng)));
        Identity { office: office.to_owned(), key, sealing, wrapping_sha256 }
    }

    fn roster() -> Roster {
        let identities = OFFICES.iter().zip(1..).map(|(office, seed)| identity(office, seed)).collect();
        Roster::new(Root::Production, Octets([7; 16]), identities).unwrap()
    }

    #[test]
    fn names_fit_into_a_certificate() {
        for office in OFFICES {
            let name = tls_name(office, &Octets([0xff; 16]));
            // 63 for a DNS label (RFC 1035 section 2.3.4), 64 for an X.520 common name.
            assert!(name.len() <= 64 && name.split('.').all(|label| label.len() <= 63), "{name}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_every_part_of_it_is_in_the_hash() {
        let roster = roster();
        let text = serde_json::to_vec(&roster).unwrap();
        assert_eq!(Roster::parse(&text).unwrap(), roster);
        assert!(roster.missing().is_empty());
        let reversed = roster.identities.iter().rev().cloned().collect();
        assert_eq!(Roster::new(roster.root, roster.root_id, reversed).unwrap().hash(), roster.hash());

        let mut hashes = BTreeSet::from([roster.fingerprint()]);
        hashes.insert(Roster { root: Root::Sandbox, ..roster.clone() }.fingerprint());
        hashes.insert(Roster { root_id: Octets([8; 16]), ..roster.clone() }.fingerprint());
        for at in 0..roster.identities.len() {
            let mut other = roster.clone();
            other.identities[at].key.0[0] ^= 1;
            hashes.insert(other.fingerprint());
            let mut other = roster.clone();
            other.identities[at].sealing = Some(Bytes(vec![9; 32]));
            hashes.insert(other.fingerprint());
            let mut other = roster.clone();
            other.identities[at].wrapping_sha256 = Some(Octets([9; 32]));
            hashes.insert(other.fingerprint());
            let mut other = roster.clone();
            other.identities.remove(at);
            hashes.insert(other.fingerprint());
        }
        assert_eq!(hashes.len(), 3 + 4 * OFFICES.len());
        assert!(hashes.iter().all(|text| text.len() == 49), "{hashes:?}");
    }

    #[test]
    fn an_office_without_a_token_is_written_and_hashed_as_before_there_were_any() {
        // Python's hashlib over the frames, with the public keys of RFC 8032 section 7.1, tests 1 and 2.
        let text = r#"{"root":"production","root_id":"BwcHBwcHBwcHBwcHBwcHBw","identities":[{"office":"node-1","key":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","sealing":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"},{"office":"front","key":"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}]}"#;
        let roster = Roster::parse(text.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&roster).unwrap(), text);
        assert_eq!(hex(roster.hash().as_slice()), "61b574cce592ef82ea7516966445880a9a29bb08df6f90347e32a3aae4547ae6");
        // With one, its key is in both hashes: that of the roster and that of the identity.
        let mut identities = roster.identities().to_vec();
        let before = identities[1].fingerprint();
        identities[1].wrapping_sha256 = Some(Identity::pin(b"a wrapping key"));
        assert_ne!(identities[1].fingerprint(), before);
        assert_eq!(identities[1].wrapping_fingerprint().unwrap().len(), 49);
        let pinned = Roster::new(roster.root(), *roster.root_id(), identities).unwrap();
        assert_eq!(hex(pinned.hash().as_slice()), "e6a38504cab9aa68753f44e97c53a16c69e9b24ffe8c04a6d2055ebb979b1f56");
    }

    #[test]
    fn an_office_or_a_key_that_stands_for_two_is_refused() {
        let (one, two) = (identity("node-1", 1), identity("node-2", 2));
        let made = |identities: &[&Identity]| {
            Roster::new(Root::Sandbox, Octets([1; 16]), identities.iter().copied().cloned().collect())
        };
        assert!(made(&[&one, &two]).is_ok());
        assert_eq!(made(&[&one, &one]), Err(RosterError::Twice("node-1".into())));
        let twin = Identity { key: one.key, ..two.clone() };
        assert_eq!(made(&[&one, &twin]), Err(RosterError::Shared("node-1".into(), "node-2".into())));
        let nobody = Identity { office: "node-4".into(), ..one.clone() };
        assert_eq!(made(&[&nobody]), Err(RosterError::Office("node-4".into())));
        for sealing in [0, 31, 33] {
            let odd = Identity { sealing: Some(Bytes(vec![1; sealing])), ..one.clone() };
            assert_eq!(made(&[&odd]), Err(RosterError::Key("node-1".into())));
        }
        // The neutral element: everybody's signature verifies under it.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(made(&[&Identity { key: Octets(neutral), ..one }]), Err(RosterError::Key("node-1".into())));
    }

    proptest! {
        #[test]
        fn whatever_text_is_read_has_one_meaning(at in 0_usize..4096, byte: u8) {
            let mut text = serde_json::to_vec(&roster()).unwrap();
            let at = at % text.len();
            text[at] = byte;
            if let Ok(read) = Roster::parse(&text) {
                prop_assert_eq!(Roster::parse(&serde_json::to_vec(&read).unwrap()), Ok(read.clone()));
                prop_assert_eq!(read.hash() == roster().hash(), read == roster());
            }
        }

        #[test]
        fn any_subset_in_any_order_is_one_roster(picked in proptest::sample::subsequence(OFFICES.to_vec(), 0..=11), seed: u64) {
            let mut identities: Vec<_> = picked.iter().zip(1..).map(|(office, n)| identity(office, n)).collect();
            let sorted = Roster::new(Root::Sandbox, Octets([1; 16]), identities.clone()).unwrap();
            identities.sort_by_key(|identity| Sha256::digest(framed(&[&seed.to_be_bytes(), identity.office.as_bytes()])).to_vec());
            let shuffled = Roster::new(Root::Sandbox, Octets([1; 16]), identities).unwrap();
            prop_assert_eq!(&sorted, &shuffled);
            prop_assert_eq!(sorted.missing().len(), 11 - picked.len());
            prop_assert!(picked.iter().all(|office| sorted.get(office).is_some()));
        }
    }
}
