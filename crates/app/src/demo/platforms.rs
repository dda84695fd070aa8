//! The demo's platforms: the 81 invented ones, each with a key of its own, and those of `--platform` files. All pass the registry.

use crate::failure::Failure;
use crate::files;
use crate::offices::registry;
use crate::offices::together::Offices;
use crate::platform_file::PlatformFile;
use hufu_kernel::{Octets, Rng, Root, Timestamp, b64, random};
use hufu_platform::client::{ClientAuth, RelyingParty};
use hufu_sandbox::ordinary_client::OrdinaryClient;
use hufu_sandbox::platforms::{Platform, platforms};
use hufu_sandbox::robot::World;
use hufu_sandbox::sample_client::SampleClient;
use hufu_sandbox::sample_platform::SamplePlatform;
use hufu_wire::api::platform::{DeliveryMode, PlatformCertificate, Profile, Registration};
use hufu_wire::jose::{Alg, Jwks, SoftKey};
use hufu_wire::subject_handle::HandleUse;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The folder of the invented platforms' private keys: platforms are parties of their own, so it is no office's.
const FOLDER: &str = "platforms";

/// An invented platform with its key, as its own server would be configured.
pub struct Invented {
    /// What it asks the registry for.
    pub file: PlatformFile,
    /// What the registry certifies.
    pub certificate: PlatformCertificate,
    /// Its private key.
    pub key: SoftKey,
    /// Its client secret, if it is one of [`ORDINARY`].
    pub secret: Option<String>,
}

/// The three with pages.
pub const SAMPLES: [&str; 3] = ["yunzhou-library", "blue-jar", "clay-jar-bank"];

/// Those of them that sign people in with an ordinary OpenID Connect library, which knows profile `basic` only.
pub const ORDINARY: [&str; 2] = ["yunzhou-library", "blue-jar"];

/// The one of them that registered that its proofs carry nonces.
const WITH_NONCES: &str = "clay-jar-bank";

/// The one that has a call centre.
const WITH_CALLS: &str = "clay-jar-bank";

impl Invented {
    /// Its OpenID Connect client, with keys pinned from the trust root's public half and never from the front.
    ///
    /// # Errors
    /// [`Failure::Other`] if a key cannot be made.
    pub fn client(self, world: &World) -> Result<RelyingParty, Failure> {
        let group = world.trust.group_jwk().ok_or_else(|| Failure::other("the group key is no key"))?;
        Ok(RelyingParty {
            client_id: self.certificate.client_id.clone(),
            redirect_uri: self.certificate.redirect_uris.first().cloned().unwrap_or_default(),
            issuer: world.trust.issuer.clone(),
            auth: ClientAuth::PrivateKeyJwt(self.key),
            dpop: Some(SoftKey::generate(Alg::ES256, world.rng.as_ref()).map_err(Failure::other)?),
            keys: Jwks { keys: vec![group] },
            alg: self.certificate.id_token_signed_response_alg,
        })
    }

    fn sample_client(self, world: &World) -> Result<SampleClient, Failure> {
        let Some(secret) = &self.secret else { return self.client(world).map(SampleClient::Fapi) };
        let group = world.trust.group_jwk().ok_or_else(|| Failure::other("the group key is no key"))?;
        Ok(SampleClient::Ordinary(OrdinaryClient::new(
            &world.trust.issuer,
            (&self.certificate.client_id, secret),
            self.certificate.redirect_uris.first().map_or("", String::as_str),
            Jwks { keys: vec![group] },
            Arc::clone(&world.clock),
        )))
    }
}

/// Takes the named platforms out of `invented` and gives them pages.
///
/// # Errors
/// [`Failure::Other`] if one of them is not invented.
pub fn samples(invented: &mut Vec<Invented>, names: &[&str], world: &World) -> Result<Vec<SamplePlatform>, Failure> {
    names
        .iter()
        .map(|name| {
            let place = invented.iter().position(|platform| platform.certificate.client_id == *name);
            let platform = invented.swap_remove(place.ok_or_else(|| Failure::other(format!("no platform {name}")))?);
            let certificate = platform.certificate.clone();
            let client = platform.sample_client(world)?;
            SamplePlatform::new(certificate, client, world).map_err(Failure::Other)
        })
        .collect()
}

impl Invented {
    /// The same platform, which registers no signals.
    pub fn without_signals(&mut self, now: Timestamp) {
        self.file.registration.subject_handle.retain(|wanted| *wanted != HandleUse::Signals);
        self.certificate = self.file.clone().certificate(Root::Sandbox, now);
    }
}

/// The invented platforms. `at` says where one of them is served; the others' addresses lead nowhere, on purpose.
///
/// # Errors
/// [`Failure::Unreadable`] for a key that was changed.
pub fn invented(
    data: &Path,
    now: Timestamp,
    rng: &dyn Rng,
    at: &BTreeMap<String, String>,
) -> Result<Vec<Invented>, Failure> {
    let folder = data.join(FOLDER);
    files::private_folder(&folder)?;
    let all = platforms().map_err(Failure::other)?;
    let with_key = |platform: Platform| {
        let key = key_of(&folder.join(format!("{}.key.json", platform.client_id)), rng)?;
        let ordinary = ORDINARY.contains(&platform.client_id.as_str());
        let secret = ordinary.then(|| secret_of(&folder.join(format!("{}.secret", platform.client_id)), rng));
        let secret = secret.transpose()?;
        let base = at.get(&platform.client_id).cloned().unwrap_or_else(|| platform.sector_id.clone());
        let require_dpop_nonce = platform.client_id == WITH_NONCES;
        let calls = platform.client_id == WITH_CALLS;
        let file = PlatformFile {
            redirect_uris: vec![format!("{base}/callback")],
            client_id: platform.client_id,
            sector_id: platform.sector_id,
            profile: if ordinary { Profile::Basic } else { Profile::Fapi2 },
            entitled: platform.entitled,
            id_token_signed_response_alg: Alg::EdDSA,
            client_secret_sha256: secret.as_ref().map(|secret| Octets(Sha256::digest(secret).into())),
            registration: Registration {
                require_dpop_nonce,
                subject_handle: platform.subject_handle,
                backchannel_token_delivery_mode: calls.then_some(DeliveryMode::Poll),
                backchannel_authentication_request_signing_alg: calls.then_some(Alg::ES256),
                ..Registration::default()
            },
            name: platform.name,
            purposes: platform.purposes,
            jwks: Jwks { keys: if ordinary { Vec::new() } else { vec![key.public().clone()] } },
        };
        Ok(Invented { certificate: file.clone().certificate(Root::Sandbox, now), file, key, secret })
    };
    all.into_iter().map(with_key).collect()
}

fn key_of(path: &Path, rng: &dyn Rng) -> Result<SoftKey, Failure> {
    match files::read(path)? {
        Some(bytes) => SoftKey::from_private_jwk(&bytes).map_err(|error| Failure::unreadable(path, error)),
        None => {
            let key = SoftKey::generate(Alg::ES256, rng).map_err(Failure::other)?;
            files::replace(path, key.to_private_jwk().as_bytes(), files::PRIVATE)?;
            Ok(key)
        }
    }
}

fn secret_of(path: &Path, rng: &dyn Rng) -> Result<String, Failure> {
    match files::read(path)? {
        Some(bytes) => String::from_utf8(bytes).map_err(|error| Failure::unreadable(path, error)),
        None => {
            let secret = b64(&random::<32>(rng));
            files::replace(path, secret.as_bytes(), files::PRIVATE)?;
            Ok(secret)
        }
    }
}

/// The registry signs, the front admits.
///
/// # Errors
/// [`Failure::Other`] naming the platform and the rule it breaks.
pub fn admit(offices: &Offices, certificate: &PlatformCertificate) -> Result<(), Failure> {
    let jws = registry::sign(offices.registry.as_ref(), certificate)?;
    offices.front.front.admit(&jws).map_err(|told| registry::not_admitted(&certificate.client_id, &told))
}
