//! What everybody pins: the trust root's public half.

use crate::jose::{Jwk, PublicKey};
use hufu_kernel::{Bytes, Element, NodeIndex, Octets, Root};
use serde::{Deserialize, Serialize};

/// The public half of a trust root. Wallets, platforms and offices pin it; it is never taken from the front.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// Sandbox or production.
    pub root: Root,
    /// Drawn when the root was made.
    pub root_id: Octets<16>,
    /// OpenID Connect issuer: the front's address.
    pub issuer: String,
    /// The wallet's origin, exactly as browsers write it.
    pub wallet_origin: String,
    /// The WebAuthn RP ID: the wallet's host.
    pub rp_id: String,
    /// Ed25519 keys of the offices that sign for others.
    pub offices: OfficeKeys,
    /// The nodes, 1 to 3.
    pub nodes: [NodeTrust; 3],
    /// The taggers' commitments x_i·G, 1 to 3.
    pub taggers: [Element; 3],
    /// The FROST group's Ed25519 key, that ID tokens and certificates verify under.
    pub group_key: Octets<32>,
    /// The FROST verifying shares, 1 to 3.
    pub group_shares: [Octets<32>; 3],
}

/// Ed25519 keys of single offices.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficeKeys {
    /// Registrar.
    pub registrar: Octets<32>,
    /// Uniqueness.
    pub uniqueness: Octets<32>,
    /// Registry.
    pub registry: Octets<32>,
    /// Front: transactions only, never results.
    pub front: Octets<32>,
}

/// One node's public keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeTrust {
    /// Ed25519: reports and receipts.
    pub signing: Octets<32>,
    /// X25519, HPKE: the registrar seals to it.
    pub sealing: Bytes,
    /// One-key mode ES256 (a node that could impersonate: docs/trust.md).
    pub es256: Jwk,
    /// One-key mode RS256, sandbox `basic` clients only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rs256: Option<Jwk>,
}

impl Trust {
    /// The group key as a JWK with its thumbprint as `kid`.
    #[must_use]
    pub fn group_jwk(&self) -> Option<Jwk> {
        let mut jwk = Jwk::bare(PublicKey::ed25519(self.group_key.0).ok()?);
        jwk.kid = Some(jwk.thumbprint());
        Some(jwk)
    }

    /// The Ed25519 key of the office with this name: `registrar`, `node-2`.
    #[must_use]
    pub fn office_key(&self, office: &str) -> Option<&Octets<32>> {
        match office {
            "registrar" => Some(&self.offices.registrar),
            "uniqueness" => Some(&self.offices.uniqueness),
            "registry" => Some(&self.offices.registry),
            "front" => Some(&self.offices.front),
            "node-1" => Some(&self.nodes[0].signing),
            "node-2" => Some(&self.nodes[1].signing),
            "node-3" => Some(&self.nodes[2].signing),
            _ => None,
        }
    }

    /// Whether `signature` is that office's over `message`.
    #[must_use]
    pub fn verify(&self, office: &str, message: &[u8], signature: &Octets<64>) -> bool {
        self.office_key(office).is_some_and(|key| verify_ed25519(key, message, signature))
    }

    /// The node's public keys.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> &NodeTrust {
        &self.nodes[index.slot()]
    }
}

/// The name under which node `index` signs.
#[must_use]
pub fn node_name(index: NodeIndex) -> &'static str {
    ["node-1", "node-2", "node-3"][index.slot()]
}

/// RFC 8032 verification.
#[must_use]
pub fn verify_ed25519(key: &Octets<32>, message: &[u8], signature: &Octets<64>) -> bool {
    PublicKey::ed25519(key.0)
        .is_ok_and(|key| key.verify(crate::jose::Alg::EdDSA, message, signature.as_slice()).is_ok())
}
