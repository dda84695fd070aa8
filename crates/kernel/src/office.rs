//! Offices as types, and the three nodes' subsets (flows 1).

use serde::{Deserialize, Serialize};

/// One separately trusted part. A type per office keeps one office's code from naming another's records.
pub trait Office: Send + Sync + 'static {
    /// The office's name: in configuration, in certificates, in its store's header.
    const NAME: &'static str;
}

/// The offices.
pub mod offices {
    use super::Office;

    macro_rules! office {
        ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {$(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}
            impl Office for $name {
                const NAME: &'static str = $text;
            }
        )*};
    }

    office! {
        /// Documents, faces, phones; identity in memory only.
        Registrar = "registrar";
        /// Threshold tag of a document number.
        Tagger = "tagger";
        /// Tags to wrapped root.
        Uniqueness = "uniqueness";
        /// Device keys, pseudonyms, signatures.
        Node = "node";
        /// OpenID Connect to platforms; knows no person.
        Front = "front";
        /// Admits platforms.
        Registry = "registry";
        /// Contact reference to sealed phone.
        Post = "post";
    }
}

/// Which of the three nodes (or taggers): 1, 2 or 3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct NodeIndex(u8);

impl NodeIndex {
    /// All three.
    pub const ALL: [Self; 3] = [Self(1), Self(2), Self(3)];

    /// 1, 2 or 3.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// 0, 1 or 2, for arrays.
    #[must_use]
    pub fn slot(self) -> usize {
        usize::from(self.0 - 1)
    }
}

impl TryFrom<u8> for NodeIndex {
    type Error = &'static str;
    fn try_from(index: u8) -> Result<Self, Self::Error> {
        if (1..=3).contains(&index) { Ok(Self(index)) } else { Err("a node is 1, 2 or 3") }
    }
}

impl From<NodeIndex> for u8 {
    fn from(index: NodeIndex) -> Self {
        index.0
    }
}

impl std::fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The sub-key sets A of flows 1: {1,2}, {1,3}, {2,3}.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Subset {
    /// Held by nodes 1 and 2.
    #[serde(rename = "12")]
    S12,
    /// Held by nodes 1 and 3.
    #[serde(rename = "13")]
    S13,
    /// Held by nodes 2 and 3.
    #[serde(rename = "23")]
    S23,
}

impl Subset {
    /// All three.
    pub const ALL: [Self; 3] = [Self::S12, Self::S13, Self::S23];

    /// 0, 1 or 2, for arrays.
    #[must_use]
    pub fn slot(self) -> usize {
        self as usize
    }

    /// Whether node `index` holds this subset's key.
    #[must_use]
    pub fn held_by(self, index: NodeIndex) -> bool {
        let (a, b) = self.holders();
        index == a || index == b
    }

    /// The two holders, the lower index first.
    #[must_use]
    pub fn holders(self) -> (NodeIndex, NodeIndex) {
        match self {
            Self::S12 => (NodeIndex(1), NodeIndex(2)),
            Self::S13 => (NodeIndex(1), NodeIndex(3)),
            Self::S23 => (NodeIndex(2), NodeIndex(3)),
        }
    }

    /// The name in files and vectors.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::S12 => "12",
            Self::S13 => "13",
            Self::S23 => "23",
        }
    }

    /// The subsets node `index` holds.
    pub fn of(index: NodeIndex) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |subset| subset.held_by(index))
    }
}

/// The two nodes that serve one request, lower index first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "(NodeIndex, NodeIndex)", into = "(NodeIndex, NodeIndex)")]
pub struct Pair(NodeIndex, NodeIndex);

impl Pair {
    /// All three pairs.
    pub const ALL: [Self; 3] =
        [Self(NodeIndex(1), NodeIndex(2)), Self(NodeIndex(1), NodeIndex(3)), Self(NodeIndex(2), NodeIndex(3))];

    /// Two different nodes in either order; `None` for one node twice.
    #[must_use]
    pub fn new(a: NodeIndex, b: NodeIndex) -> Option<Self> {
        match a.cmp(&b) {
            std::cmp::Ordering::Less => Some(Self(a, b)),
            std::cmp::Ordering::Greater => Some(Self(b, a)),
            std::cmp::Ordering::Equal => None,
        }
    }

    /// Both members, lower index first.
    #[must_use]
    pub fn members(self) -> [NodeIndex; 2] {
        [self.0, self.1]
    }

    /// The other member; `None` if `index` is not in the pair.
    #[must_use]
    pub fn other(self, index: NodeIndex) -> Option<NodeIndex> {
        if index == self.0 {
            Some(self.1)
        } else if index == self.1 {
            Some(self.0)
        } else {
            None
        }
    }

    /// Who of the pair evaluates `subset`: its first holder in the pair. The lower index serves two subsets, the other one.
    #[must_use]
    pub fn evaluator(self, subset: Subset) -> NodeIndex {
        if subset.held_by(self.0) { self.0 } else { self.1 }
    }

    /// The subsets `index` evaluates in this pair.
    pub fn assigned(self, index: NodeIndex) -> impl Iterator<Item = Subset> {
        Subset::ALL.into_iter().filter(move |subset| self.evaluator(*subset) == index)
    }
}

impl TryFrom<(NodeIndex, NodeIndex)> for Pair {
    type Error = &'static str;
    fn try_from((a, b): (NodeIndex, NodeIndex)) -> Result<Self, Self::Error> {
        Self::new(a, b).ok_or("a pair is two different nodes")
    }
}

impl From<Pair> for (NodeIndex, NodeIndex) {
    fn from(pair: Pair) -> Self {
        (pair.0, pair.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_covers_every_subset_once_with_keys_it_holds() {
        for pair in Pair::ALL {
            let mut covered = 0;
            for member in pair.members() {
                for subset in pair.assigned(member) {
                    assert!(subset.held_by(member));
                    covered += 1;
                }
            }
            assert_eq!(covered, 3);
        }
    }

    #[test]
    fn one_node_lacks_exactly_one_key() {
        for index in NodeIndex::ALL {
            assert_eq!(Subset::of(index).count(), 2);
        }
    }
}
