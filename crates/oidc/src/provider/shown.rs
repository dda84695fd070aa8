//! An access token as it is shown at an endpoint of ours that is a resource: where it stands, and by what the caller proves that it is
//! theirs (RFC 6750 section 2, RFC 8705 section 3, RFC 9449 section 7). One for userinfo and for what platforms manage.

use super::{Call, Client, Environment, Fresh, proof};
use crate::{Challenge, OAuthError};

/// What was shown so far.
#[derive(Default)]
pub(super) struct Shown {
    /// The token, still closed.
    pub sealed: String,
    dpop: bool,
    /// What must be used once.
    pub fresh: Vec<Fresh>,
    /// Whether the proof carried a nonce.
    pub by_nonce: bool,
}

impl Shown {
    /// Finds the one token: in the header, or in the form where the endpoint takes it from there.
    pub(super) fn one_token(&mut self, call: &Call<'_>, in_form: Option<&str>) -> Result<(), OAuthError> {
        let (dpop, sealed) = match (call.authorization, in_form) {
            ([], None) => return Err(OAuthError::TokenMissing),
            ([], Some(token)) => (false, token),
            ([header], None) => {
                let (scheme, token) = header.split_once(' ').ok_or(OAuthError::TokenMissing)?;
                match scheme.to_ascii_lowercase().as_str() {
                    "dpop" => (true, token.trim()),
                    "bearer" => (false, token.trim()),
                    _ => return Err(OAuthError::TokenMissing),
                }
            }
            _ => return Err(OAuthError::TokenTwice),
        };
        (self.dpop, self.sealed) = (dpop, sealed.to_owned());
        Ok(())
    }

    /// Worth nothing with another certificate than the one it was given to, or with none.
    pub(super) fn certificate(call: &Call<'_>, x5t: &str) -> Result<(), OAuthError> {
        let shown = call.certificate.is_some_and(|certificate| certificate.thumbprint() == x5t);
        if x5t.is_empty() || shown { Ok(()) } else { Err(OAuthError::TokenCertificate) }
    }

    /// A bound token is worth nothing without its proof, and may not be sent as if it were a bearer token.
    pub(super) fn key(
        &mut self,
        env: &Environment<'_>,
        call: &Call<'_>,
        to: (&str, &Client),
        jkt: &str,
    ) -> Result<(), OAuthError> {
        if self.dpop == jkt.is_empty() {
            return Err(OAuthError::TokenBinding);
        }
        if jkt.is_empty() {
            return Ok(());
        }
        let proof = proof::read(env, call, to, Some(&self.sealed))?.ok_or(OAuthError::ProofMissing)?;
        if proof.jkt != jkt {
            return Err(OAuthError::TokenBinding);
        }
        self.by_nonce = proof.nonce.is_some();
        self.fresh.push(proof::fresh(&proof));
        Ok(())
    }

    /// How to challenge whoever showed this.
    pub(super) fn challenge(&self) -> Challenge {
        match (self.sealed.is_empty(), self.dpop) {
            (true, _) => Challenge::Resource,
            (_, true) => Challenge::Dpop,
            (_, false) => Challenge::Bearer,
        }
    }
}
