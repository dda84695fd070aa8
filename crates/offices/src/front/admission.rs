//! Which platforms a front takes. The registry asks the same before it signs, so that it admits nobody whom the front then refuses.

use super::{FrontError, pinned, result_keys};
use hufu_kernel::{Octets, Refusal, Root, Timestamp};
use hufu_oidc::provider::{Client, ClientError};
use hufu_wire::api::platform::PlatformCertificate;
use hufu_wire::api::trust::Trust;
use hufu_wire::jose::{Alg, Jwk};

/// A certificate that the front does not take.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{why}")]
pub struct NotAdmitted {
    /// As it is told to others.
    pub refusal: Refusal,
    /// What is wrong with it, for whoever wrote it.
    pub why: String,
}

impl NotAdmitted {
    pub(super) fn new(refusal: Refusal, why: impl Into<String>) -> Self {
        Self { refusal, why: why.into() }
    }

    fn of(error: ClientError, uris: &[String]) -> Self {
        let refusal = match error {
            ClientError::Root => Refusal::WrongRoot,
            ClientError::Signature | ClientError::Time => Refusal::PlatformUnknown,
            _ => Refusal::PlatformRequest,
        };
        match error {
            ClientError::Redirect => Self::new(refusal, format!("{error}: {}", uris.join(", "))),
            _ => Self::new(refusal, error.to_string()),
        }
    }
}

/// What the public half of a trust root's keys says about platforms.
#[derive(Clone, Debug)]
pub struct Admission {
    registry: Jwk,
    key: Octets<32>,
    root: Root,
    id_token_algs: Vec<Alg>,
}

impl Admission {
    /// That of a trust root.
    ///
    /// # Errors
    /// [`FrontError::Trust`].
    pub fn of(trust: &Trust) -> Result<Self, FrontError> {
        let keys = result_keys(trust).ok_or(FrontError::Trust)?;
        let mut id_token_algs: Vec<Alg> = keys.keys.iter().filter_map(|key| key.alg).collect();
        id_token_algs.sort_unstable();
        id_token_algs.dedup();
        Ok(Self {
            registry: pinned(trust.offices.registry)?,
            key: trust.offices.registry,
            root: trust.root,
            id_token_algs,
        })
    }

    /// The algorithms under which this root's nodes sign ID tokens.
    #[must_use]
    pub fn id_token_algs(&self) -> &[Alg] {
        &self.id_token_algs
    }

    /// Looks at what a platform asks for, signed or not.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub fn look(&self, certificate: &PlatformCertificate, now: Timestamp) -> Result<(), NotAdmitted> {
        Client::consistent(certificate, self.root, now)
            .map_err(|error| NotAdmitted::of(error, &certificate.redirect_uris))?;
        let (alg, sector) = (certificate.id_token_signed_response_alg, &certificate.sector_id);
        if !self.id_token_algs.contains(&alg) {
            let why = format!("no node signs ID tokens with {}", alg.name());
            return Err(NotAdmitted::new(Refusal::PlatformRequest, why));
        }
        hufu_pairwise::validate_sector_id(sector).map_err(|error| {
            NotAdmitted::new(Refusal::PlatformRequest, format!("the sector identifier {sector}: {error}"))
        })
    }

    /// Reads a certificate under the registry's key.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub fn read(&self, jws: &str, now: Timestamp) -> Result<Client, NotAdmitted> {
        let client = Client::admit(jws, &self.registry, self.root, now).map_err(|error| {
            let read = crate::registry::read(&self.key, jws);
            NotAdmitted::of(error, &read.map(|certificate| certificate.redirect_uris).unwrap_or_default())
        })?;
        self.look(&client.certificate, now)?;
        Ok(client)
    }
}
