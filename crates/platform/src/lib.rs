//! The platform's side: sign people in, read verification results, know when older sessions end.
//!
//! [`client`] makes requests as data and checks answers; [`sessions`] is the rule for the epoch pseudonym.

pub mod sessions;

/// OpenID Connect from the platform's side, sans-I/O.
pub use hufu_oidc::client;
pub use hufu_wire::api::sign_in::{Answers, IdToken, VerificationResult};
pub use hufu_wire::jose::{Alg, Jwk, Jwks, SoftKey};
