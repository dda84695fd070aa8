//! Sealed subject handles (flows 9, decision 0026): what a platform keeps so that it can ask for somebody later. Each of the two nodes of a
//! sign-in made one half of it, which that node alone can open; nobody else can read either.

use hufu_kernel::{NodeIndex, Octets, Pair, b64, framed, unb64};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Bytes of one node's half: 16 of salt, 12 of nonce, 42 of content, 16 of tag. Always so many, whoever it is about.
pub const HALF: usize = 86;

/// One node's half.
pub type HandleHalf = Octets<HALF>;

/// Seconds a handle may be used after the sign-in that gave it: 30 days. A new sign-in gives a new one.
pub const HANDLE_SECONDS: i64 = 30 * 86_400;

/// What a platform may do with a handle, if it registered for it and the person was told so.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandleUse {
    /// Have an access token renewed for as long as the sessions last (RFC 6749 section 6).
    Refresh,
    /// Ask the person for a sign-in on another device (OpenID Connect CIBA).
    Ciba,
    /// Be told that sessions ended or credentials changed (OpenID Shared Signals Framework).
    Signals,
}

impl HandleUse {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refresh, Self::Ciba, Self::Signals];

    /// The name in certificates and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Ciba => "ciba",
            Self::Signals => "signals",
        }
    }

    /// Its place in the set that is sealed into a half.
    #[must_use]
    pub fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The set of these uses.
    #[must_use]
    pub fn set(uses: &[Self]) -> u8 {
        uses.iter().fold(0, |set, one| set | one.bit())
    }
}

/// Both halves, as a platform keeps them: the text `12.HALF.HALF` with the two nodes' numbers, the lower first, and each node's half in
/// base64url.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SubjectHandle {
    /// The two nodes that made it, and can answer for it.
    pub pair: Pair,
    /// Their halves, the lower node's first.
    pub halves: [HandleHalf; 2],
}

/// No text of a handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a subject handle")]
pub struct NoHandle;

impl SubjectHandle {
    /// What both nodes put into the ID token: neither half can be exchanged for somebody else's.
    #[must_use]
    pub fn hash(&self) -> Octets<32> {
        let [lower, higher] = self.pair.members().map(NodeIndex::get);
        let [one, other] = &self.halves;
        let parts = [b"hufu-v1-subject-handle".as_slice(), &[lower, higher], one.as_slice(), other.as_slice()];
        Octets(Sha256::digest(framed(&parts)).into())
    }

    /// The nodes, each with its half.
    #[must_use]
    pub fn parts(&self) -> [(NodeIndex, HandleHalf); 2] {
        let [one, other] = self.pair.members();
        [(one, self.halves[0]), (other, self.halves[1])]
    }
}

impl fmt::Display for SubjectHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lower, higher] = self.pair.members();
        write!(f, "{lower}{higher}.{}.{}", b64(self.halves[0].as_slice()), b64(self.halves[1].as_slice()))
    }
}

/// Never the halves: a log must not hold what a platform may present.
impl fmt::Debug for SubjectHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lower, higher] = self.pair.members();
        write!(f, "SubjectHandle({lower}{higher})")
    }
}

impl FromStr for SubjectHandle {
    type Err = NoHandle;

    fn from_str(text: &str) -> Result<Self, NoHandle> {
        let mut parts = text.split('.');
        let (Some(pair), Some(one), Some(other), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoHandle);
        };
        let pair = match pair {
            "12" => Pair::ALL[0],
            "13" => Pair::ALL[1],
            "23" => Pair::ALL[2],
            _ => return Err(NoHandle),
        };
        let half =
            |text: &str| unb64(text).and_then(|bytes| HandleHalf::try_from(bytes.as_slice()).ok()).ok_or(NoHandle);
        Ok(Self { pair, halves: [half(one)?, half(other)?] })
    }
}

impl Serialize for SubjectHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SubjectHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A member that a form sends empty where there is none.
pub(crate) fn none_if_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SubjectHandle>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn handle(pair: usize, one: u8, other: u8) -> SubjectHandle {
        SubjectHandle { pair: Pair::ALL[pair], halves: [Octets([one; HALF]), Octets([other; HALF])] }
    }

    proptest! {
        #[test]
        fn a_handle_has_one_text_of_one_length(pair in 0..3_usize, one: u8, other: u8) {
            let made = handle(pair, one, other);
            let text = made.to_string();
            prop_assert_eq!(text.len(), 2 + 2 * (1 + 115));
            prop_assert_eq!(text.parse(), Ok(made));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "[0-4]{1,3}[.][A-Za-z0-9_=-]{113,116}[.][A-Za-z0-9_-]{113,116}") {
            if let Ok(handle) = text.parse::<SubjectHandle>() {
                prop_assert_eq!(handle.to_string(), text);
            }
        }
    }

    #[test]
    fn every_part_counts_in_the_hash() {
        let made = handle(0, 1, 2);
        for other in [handle(1, 1, 2), handle(0, 2, 1), handle(0, 1, 3), handle(0, 3, 2)] {
            assert_ne!(made.hash(), other.hash());
        }
        assert_eq!(made.hash(), handle(0, 1, 2).hash());
    }

    #[test]
    fn other_texts_are_no_handles() {
        let good = handle(2, 7, 9).to_string();
        assert!(good.parse::<SubjectHandle>().is_ok());
        for bad in [
            String::new(),
            good.replacen("23", "32", 1),
            good.replacen("23", "11", 1),
            good.replacen("23", "023", 1),
            format!("{good}."),
            format!("{good}="),
            good[..good.len() - 1].to_owned(),
            good.replace('.', "~"),
        ] {
            assert_eq!(bad.parse::<SubjectHandle>(), Err(NoHandle), "{bad}");
        }
    }

    #[test]
    fn the_uses_have_places_of_their_own_and_debug_tells_no_half() {
        assert_eq!(HandleUse::set(&HandleUse::ALL), 0b111);
        assert_eq!(HandleUse::set(&[HandleUse::Signals, HandleUse::Signals]), HandleUse::Signals.bit());
        for one in HandleUse::ALL {
            assert_eq!(serde_json::to_value(one).unwrap(), one.as_str());
        }
        assert_eq!(format!("{:?}", handle(0, 1, 2)), "SubjectHandle(12)");
    }
}
