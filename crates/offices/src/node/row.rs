//! A node's row: the common state, and what only this node holds.

use hufu_domain::agreement::Vote;
use hufu_domain::holder::{Holder, Status};
use hufu_kernel::{
    Bytes, Element, Handle, Head, Index, Key, Locator, Migration, Octets, Record, Sealed, Subset, Timestamp, framed,
    offices,
};
use hufu_wire::network_number::NetworkNumber;
use serde::{Deserialize, Serialize};

/// One person, as one node knows them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// This node's name for the person.
    pub handle: Handle,
    /// HMAC(node key, enrolment id): the enrolment's messages are idempotent by it.
    pub enrolment: Octets<32>,
    /// Equal at all three nodes.
    pub holder: Holder,
    /// [`Private`], under this node's key, bound to the handle.
    pub private: Sealed,
    /// The generation of the K_A that the offsets belong to (flows 1).
    pub generation: u32,
    /// C_A for all three A, and their like.
    pub commitments: Commitments,
    /// HMAC(node key, root_u): recovery finds the row by it.
    pub root_index: Octets<32>,
    /// HMAC(node key, number).
    pub number_index: Octets<32>,
    /// The certificate copies in force, batch by batch.
    pub copies: Vec<Issued>,
    /// Wrong passwords in a row; this node's own count.
    pub failures: u32,
    /// Until when password evaluations pause.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub paused_until: Option<Timestamp>,
    /// What finds the row by its name between this node and each peer: the peer, two bytes of the name, HMAC(node key, name). Empty in
    /// rows of before there were peers: see [`super::Node::compare`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub peers: Vec<Bytes>,
    /// What this node has bound itself to for the next version, while that is undecided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vote: Option<OpenVote>,
}

/// A node's vote on the next version of a row.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct OpenVote {
    /// Ballots, and SHA-256 of the statement accepted.
    pub ballots: Vote<Octets<32>>,
    /// That statement.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<HeldStatement>,
}

/// A statement that has this node's vote and is not committed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HeldStatement {
    /// The statement as it came, under this node's key, bound to handle and version.
    pub said: Sealed,
    /// The head it leads to.
    pub after: Head,
    /// Values of unique indexes that it will need: what this node has accepted it can commit.
    pub reserved: Vec<(String, Bytes)>,
}

/// One batch of copies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Issued {
    /// The day on which the copies end; their places are kept until then.
    pub until: Timestamp,
    /// Their places in the status lists.
    pub places: Vec<u64>,
}

/// What the row keeps sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Private {
    /// The pseudonym root.
    pub root_u: Octets<32>,
    /// Names the person's records at uniqueness, post and vault.
    pub loc_u: Locator,
    /// The contact reference at post.
    pub contact: Locator,
    /// The vault's locator.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vault: Option<Locator>,
    /// The face commitment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub face: Option<Octets<32>>,
    /// The network number.
    pub number: NetworkNumber,
    /// d_A of the held subsets, canonical scalars; absent while zero.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub offsets: Vec<(Subset, Bytes)>,
    /// The same for the present epoch's sub-keys, so that a rotation does not change `ep` either.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub epoch_offsets: Vec<(Subset, Bytes)>,
}

/// One of a row's last statements: a peer that missed it can check it itself (flows 6). A row of its own, so that a sign-in does
/// not read it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Remembered {
    /// Whose.
    pub handle: Handle,
    /// The version it led to.
    pub version: u64,
    /// [`hufu_wire::api::peer::Carried`], under this node's key, bound to handle and version.
    pub said: Sealed,
}

/// How many statements a row remembers.
pub const REMEMBERED: u64 = 16;

impl Remembered {
    /// Where the statement that led to `version` stands: in the row's partition.
    #[must_use]
    pub fn place(handle: &Handle, version: u64) -> Key {
        Key { partition: handle.as_slice().to_vec(), id: framed(&[handle.as_slice(), &version.to_be_bytes()]) }
    }
}

impl Record for Remembered {
    type Office = offices::Node;
    const KIND: &'static str = "statement";

    fn key(&self) -> Key {
        Self::place(&self.handle, self.version)
    }
}

/// Commitments to all three subsets' sub-keys; the two holders of each report it, and different reports refuse.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Commitments {
    /// C_A = e_A·G.
    pub pseudonym: [Option<Element>; 3],
    /// e_{A,ep}·G for the present epoch.
    pub epoch: [Option<Element>; 3],
    /// Password sub-keys, ristretto255.
    pub password: [Option<Element>; 3],
}

impl Record for Row {
    type Office = offices::Node;
    const KIND: &'static str = "holder";
    const INDEXES: &'static [Index] = &[
        Index { name: "credential", unique: true },
        Index { name: "enrolment", unique: true },
        Index { name: "root", unique: true },
        Index { name: "number", unique: true },
        Index { name: "status", unique: true },
        Index { name: "pending", unique: false },
        Index { name: "peer", unique: true },
        Index { name: "voted", unique: false },
    ];
    const MIGRATIONS: &'static [Migration] = &[Migration::AddIndex("peer"), Migration::AddIndex("voted")];

    fn key(&self) -> Key {
        Key::own(self.handle.as_slice())
    }

    fn index_values(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut values = vec![
            ("enrolment", self.enrolment.as_slice().to_vec()),
            ("root", self.root_index.as_slice().to_vec()),
            ("number", self.number_index.as_slice().to_vec()),
        ];
        values.extend(self.holder.devices.iter().map(|device| ("credential", device.credential.as_slice().to_vec())));
        let places = self.copies.iter().flat_map(|issued| &issued.places);
        values.extend(places.map(|place| ("status", place.to_be_bytes().to_vec())));
        if let Status::Pending { expires, .. } = self.holder.status {
            values.push(("pending", expires.to_be_bytes().to_vec()));
        }
        values.extend(self.peers.iter().map(|name| ("peer", name.0.clone())));
        if let Some(held) = self.vote.as_ref().and_then(|vote| vote.held.as_ref()) {
            // In the order of handles, which is none.
            values.push(("voted", self.handle.as_slice().to_vec()));
            let declared =
                |name: &String| Self::INDEXES.iter().find(|index| index.name == name).map(|index| index.name);
            values.extend(held.reserved.iter().filter_map(|(name, value)| Some((declared(name)?, value.0.clone()))));
        }
        values
    }
}
