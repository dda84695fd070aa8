//! OpenID Connect and FAPI 2.0 as tables of checks, sans-I/O: no clock, no randomness, no store, no sockets.
//!
//! * [`provider`] is what an authorization server decides, one table an endpoint: PAR (RFC 9126), authorization
//!   (RFC 6749, OpenID Connect Core), token, userinfo. What must be used once comes back as [`provider::Fresh`], what must
//!   be kept comes back as data for the caller to seal.
//! * [`client`] is what a platform does: it makes requests as data and checks answers.

pub mod client;
mod error;
mod form;
pub mod provider;
mod reply;
pub mod signals;

pub use error::OAuthError;
pub use form::{Form, FormError, Pairs, with_query};
pub use reply::{Challenge, Reply};
