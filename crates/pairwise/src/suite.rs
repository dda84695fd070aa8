//! The suites of flows 1. INTL exists; P256 and SM are further implementations of the same trait.

use crate::Group;
use serde::{Deserialize, Serialize};

/// The name of a suite in hashes, tokens and configuration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum SuiteId {
    /// BLS12-381 G1 with SHA-256.
    #[serde(rename = "INTL")]
    Intl,
}

impl SuiteId {
    /// The ASCII name that is hashed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intl => "INTL",
        }
    }
}

impl std::fmt::Display for SuiteId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pseudonym group together with its hash (flows 1).
pub trait Suite: Group {
    /// Which suite.
    const ID: SuiteId;
    /// H: SHA-256 (INTL, P256) or SM3 (SM).
    fn hash(bytes: &[u8]) -> [u8; 32];
    /// H2G: RFC 9380 hash to the group with the suite's tag.
    fn hash_to_group(msg: &[u8]) -> Self::Point;
}

/// Suite INTL by blst.
#[cfg(feature = "native")]
pub type Intl = crate::bls_native::IntlNative;
/// Suite INTL in pure Rust.
#[cfg(not(feature = "native"))]
pub type Intl = crate::bls_pure::IntlPure;

/// H2G's tag for INTL: the one of the BBS pseudonym draft, so that level unlinkable gives the same `sub`.
pub(crate) const INTL_H2G: &[u8] = b"BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_H2G_HM2S_PSEUDONYM_";

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
