//! DPoP at our endpoints: one header, one check, one replay key (RFC 9449), and a nonce of ours where one is due (sections 8, 9).

use super::{Call, Client, Environment, Fresh};
use crate::OAuthError;
use hufu_kernel::framed;
use hufu_wire::dpop::{Expected, FUTURE_LEEWAY, Proof, verify_proof};

/// How old a proof may be, in seconds.
pub(super) const MAX_AGE: i64 = 60;

/// The proof that came along, if one did, for the endpoint at `path`.
///
/// A proof names the time it was made, and whoever had a key for an hour can make proofs for the year to come; a nonce of the last
/// minutes they cannot know. One that is sent must be ours, whether or not the platform registered that it always sends one.
pub(super) fn read(
    env: &Environment<'_>,
    call: &Call<'_>,
    (path, client): (&str, &Client),
    access_token: Option<&str>,
) -> Result<Option<Proof>, OAuthError> {
    let proof = match call.dpop {
        [] => return Ok(None),
        [one] => one,
        _ => return Err(OAuthError::ProofRepeated),
    };
    let htu = env.provider.address(path, call.certificate.is_some());
    let expected =
        Expected { method: call.method, htu: &htu, now: env.now, max_age: MAX_AGE, access_token, nonce: None };
    let proof = verify_proof(proof, &expected).map_err(|_| OAuthError::ProofInvalid)?;
    match &proof.nonce {
        Some(nonce) if !env.nonces.knows(nonce, env.now) => Err(OAuthError::ProofNonce),
        None if client.certificate.registration.require_dpop_nonce => Err(OAuthError::ProofNonce),
        _ => Ok(Some(proof)),
    }
}

/// The proof's identifier is used once per key, for as long as the proof would be accepted.
pub(super) fn fresh(proof: &Proof) -> Fresh {
    Fresh {
        key: framed(&[b"dpop", proof.jkt.as_bytes(), proof.jti.as_bytes()]),
        expires: proof.iat + MAX_AGE + FUTURE_LEEWAY,
        otherwise: OAuthError::ProofReplayed,
    }
}
