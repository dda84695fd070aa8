//! Hufu's own messages: between the wallet and the offices, and among the offices. JSON with byte strings in base64url,
//! unknown members refused. Bytes that are hashed or signed are named in flows.md.

pub mod ceremony;
pub mod enrolment;
pub mod holder;
pub mod order;
pub mod peer;
pub mod platform;
pub mod recovery;
pub mod roster;
pub mod sign_in;
mod signed;
pub mod trust;

pub use signed::{Purpose, Signed, SignedError};
