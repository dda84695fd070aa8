//! Offices that are apart: mutually authenticated HTTP between them, as clients of the ports and as servers of them.
//!
//! There is no certificate authority. Each office's Ed25519 key is the only issuer of that office's own TLS leaf, and every other
//! office has that key from its roster; so nobody can make a certificate in another office's name (decision 0015). The server
//! learns the caller's office from the certificate, and a table says who may ask what.
//!
//! Nothing that could join two offices' logs crosses: no trace header, no request id.

mod anchor;
pub mod ceremony;
mod leaf;
mod look;
mod node_peer;
mod peer;
mod ports;
mod shares;
mod table;

pub use anchor::{Doors, PeerOffice};
pub use leaf::Leaf;
pub use node_peer::{HttpNodePeer, node_peer};
pub use peer::{Peer, PeerConfig, Peers};
pub use ports::{
    HttpNode, HttpPost, HttpRegistry, HttpSubjectHandles, HttpTagger, HttpUniqueness, node, post, registry,
    subject_handles, tagger, uniqueness,
};
pub(crate) use shares::Shares;
pub use table::{Callers, PeerRoute, router};

/// Why an office cannot meet the others.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// A name that is no office's, or that the roster lacks.
    #[error("the roster has no {0}; collect the identities of all offices again")]
    Unknown(String),
    /// No address for it.
    #[error("no address of {0} is configured")]
    NoAddress(String),
    /// An address that is none.
    #[error("the address {address} of {office} is not host:port")]
    Address {
        /// Whose.
        office: String,
        /// As configured.
        address: String,
    },
    /// The roster pins another key for this office than it has: another office's roster or keys, or keys made anew.
    #[error(
        "the key `office` here is not the one that the roster pins for {0}; this office would be refused by all others"
    )]
    NotPinned(String),
    /// The key store failed.
    #[error(transparent)]
    Key(#[from] hufu_kernel::KeyError),
    /// A certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(String),
}

impl From<rustls::Error> for PeerError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error.to_string())
    }
}
