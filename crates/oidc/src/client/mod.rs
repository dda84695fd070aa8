//! The platform's side: requests as data, answers checked. No sockets: the caller sends [`HttpRequest`] and hands back
//! status and body.

mod backchannel;
mod event;
mod id_token;
mod relying_party;

pub use backchannel::{Awaiting, Looked};
pub use event::{ReceivedEvent, verify_event};
pub use id_token::{Expected, IdTokenError, verify_id_token};
pub use relying_party::{ClientAuth, HttpRequest, Pending, RelyingParty, SignedIn, Wish};

/// Why the platform's side gave up. Every variant means: do not sign the person in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with an OAuth error.
    #[error("the server refused: {error}: {description}")]
    Refused {
        /// `error`.
        error: String,
        /// `error_description`.
        description: String,
    },
    /// The answer is not of the specified shape.
    #[error("the server's answer is malformed: {0}")]
    Malformed(&'static str),
    /// `state` is missing or belongs to another sign-in: a forged or misdirected answer (RFC 6749 section 10.12).
    #[error("state is not that of this sign-in")]
    State,
    /// `iss` is missing or another server's: a mix-up attack (RFC 9207 section 2.4).
    #[error("the answer comes from another issuer")]
    Issuer,
    /// The ID token is refused.
    #[error("the ID token is refused: {0}")]
    IdToken(#[from] IdTokenError),
    /// A key of ours gave no signature.
    #[error("signing failed: {0}")]
    Signing(String),
}
