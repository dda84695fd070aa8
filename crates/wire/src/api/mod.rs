//! Hufu's own messages: between the wallet and the offices, and among the offices. JSON with byte strings in base64url,
//! unknown members refused. Bytes that are hashed or signed are named in flows.md.

pub mod ceremony;
pub mod enrolment;
pub mod handles;
pub mod holder;
pub mod order;
pub mod peer;
pub mod platform;
pub mod recovery;
pub mod requests;
pub mod roster;
pub mod sign_in;
mod signed;
pub mod trust;

pub use signed::{Purpose, Signed, SignedError};

/// Generation 0 is not written: messages are what they were before there were generations.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(crate) fn is_first(generation: &u32) -> bool {
    *generation == 0
}
