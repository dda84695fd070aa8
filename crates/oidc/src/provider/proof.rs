//! DPoP at our endpoints: one header, one check, one replay key (RFC 9449).

use super::{Call, Environment, Fresh};
use crate::OAuthError;
use hufu_kernel::framed;
use hufu_wire::dpop::{Expected, FUTURE_LEEWAY, Proof, verify_proof};

/// How old a proof may be, in seconds.
pub(super) const MAX_AGE: i64 = 60;

/// The proof that came along, if one did, for the endpoint at `path`.
pub(super) fn read(
    env: &Environment<'_>,
    call: &Call<'_>,
    path: &str,
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
    verify_proof(proof, &expected).map(Some).map_err(|_| OAuthError::ProofInvalid)
}

/// The proof's identifier is used once per key, for as long as the proof would be accepted.
pub(super) fn fresh(proof: &Proof) -> Fresh {
    Fresh {
        key: framed(&[b"dpop", proof.jkt.as_bytes(), proof.jti.as_bytes()]),
        expires: proof.iat + MAX_AGE + FUTURE_LEEWAY,
        otherwise: OAuthError::ProofReplayed,
    }
}
