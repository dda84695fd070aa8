//! The checks of an ID token by the platform (OpenID Connect Core section 3.1.3.7).

use hufu_kernel::{Strength, Timestamp};
use hufu_wire::api::sign_in::{IdToken, acr};
use hufu_wire::jose::{Alg, Compact, Jwks, NumericDate};
use serde::Deserialize;

/// What the platform knows about the answer it waits for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The platform's own `client_id`.
    pub client_id: &'a str,
    /// The nonce it sent.
    pub nonce: &'a str,
    /// The keys it pinned: from the transparency log or its configuration, never fetched from the front at sign-in.
    pub keys: &'a Jwks,
    /// The algorithm its certificate names.
    pub alg: Alg,
    /// The weakest strength it accepts.
    pub strength: Strength,
    /// The present.
    pub now: Timestamp,
}

/// Which check failed. The number is the step of OpenID Connect Core section 3.1.3.7.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IdTokenError {
    /// Not a JWS with these claims.
    #[error("not an ID token of this service")]
    Shape,
    /// Another algorithm than the certificate names, or a bad signature, or no pinned key.
    #[error("(6, 7) the signature does not verify under a pinned key of the expected algorithm")]
    Signature,
    /// Another issuer.
    #[error("(2) iss is another issuer")]
    Issuer,
    /// For another client.
    #[error("(3) aud is another client")]
    Audience,
    /// Expired.
    #[error("(9) the token has expired")]
    Expired,
    /// From the future or too old.
    #[error("(10) iat is outside the acceptable window")]
    Issued,
    /// Of another request.
    #[error("(11) nonce is another request's")]
    Nonce,
    /// Too weak, or the strength and `acr` differ.
    #[error("(12) the authentication was not strong enough")]
    Strength,
}

/// Seconds that the service's clock and the platform's may differ.
const LEEWAY: i64 = 60;

/// What is looked at; members beyond [`IdToken`] are allowed to come in later versions.
#[derive(Deserialize)]
struct Dates {
    iat: NumericDate,
    exp: NumericDate,
}

type Check = (IdTokenError, fn(&IdToken, &Expected<'_>) -> bool);

const CHECKS: &[Check] = &[
    (IdTokenError::Issuer, |token, expected| token.iss == expected.issuer),
    (IdTokenError::Audience, |token, expected| token.aud == expected.client_id),
    (IdTokenError::Expired, |token, expected| expected.now < token.exp + LEEWAY),
    (IdTokenError::Issued, |token, expected| {
        // The service makes tokens of 5 minutes; one issued longer ago is not the answer to this request.
        token.iat <= expected.now + LEEWAY && token.iat >= expected.now - 600
    }),
    (IdTokenError::Nonce, |token, expected| token.nonce == expected.nonce),
    (IdTokenError::Strength, |token, expected| {
        token.hufu.strength >= expected.strength && token.acr == acr(token.hufu.strength)
    }),
];

/// Verifies an ID token.
///
/// # Errors
/// The first check that fails.
pub fn verify_id_token(jws: &str, expected: &Expected<'_>) -> Result<IdToken, IdTokenError> {
    let compact = Compact::parse(jws).map_err(|_| IdTokenError::Shape)?;
    // The group key signs certificates and passes too; typ keeps them apart.
    if !compact.header().is_typ("JWT") {
        return Err(IdTokenError::Shape);
    }
    let payload = expected.keys.verify(&compact, &[expected.alg]).map_err(|_| IdTokenError::Signature)?;
    payload.json::<Dates>().ok().filter(|dates| dates.iat.0 < dates.exp.0).ok_or(IdTokenError::Shape)?;
    let token: IdToken = payload.json().map_err(|_| IdTokenError::Shape)?;
    match CHECKS.iter().find(|(_, holds)| !holds(&token, expected)) {
        Some((error, _)) => Err(*error),
        None => Ok(token),
    }
}
