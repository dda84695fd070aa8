//! The registry: admits platforms and signs their certificates.

use hufu_kernel::{KeyStore, Octets, Refusal};
use hufu_wire::api::platform::PlatformCertificate;
use hufu_wire::jose::{self, Alg, Compact, Header};

/// Signs a platform certificate with the registry's key `office`.
///
/// # Errors
/// [`Refusal::PlatformRequest`] if the certificate contradicts itself: a purpose beyond the entitlement, a sector or redirect
/// address that cannot be; [`Refusal::Internal`] if the key fails.
pub fn admit(keys: &dyn KeyStore, certificate: &PlatformCertificate) -> Result<String, Refusal> {
    let within =
        |purpose: &hufu_wire::api::platform::Purpose| purpose.answers.iter().all(|a| certificate.entitled.contains(a));
    let sane = hufu_pairwise::validate_sector_id(&certificate.sector_id).is_ok()
        && !certificate.purposes.is_empty()
        && certificate.purposes.iter().all(within)
        && !certificate.redirect_uris.is_empty()
        && certificate.redirect_uris.iter().all(|uri| is_redirect_uri(uri));
    if !sane {
        return Err(Refusal::PlatformRequest);
    }
    let header = Header::new(Alg::EdDSA).typ(PlatformCertificate::TYP);
    let input = jose::signing_input(&header, certificate).map_err(|error| crate::broken(&error))?;
    let signature = keys.sign_ed25519("office", input.as_bytes()).map_err(|error| crate::broken(&error))?;
    Ok(jose::assemble(&input, signature.as_slice()))
}

/// https, or http on this machine for development; no fragment, no user, nothing a browser would read differently.
fn is_redirect_uri(uri: &str) -> bool {
    let local = ["http://localhost", "http://127.0.0.1", "http://[::1]"];
    let is_local = local.iter().any(|prefix| uri.strip_prefix(prefix).is_some_and(|rest| rest.starts_with([':', '/'])));
    let plain = !uri.contains(['#', '@', '\\', ' ', '*']) && uri.is_ascii();
    plain && (uri.starts_with("https://") || is_local || is_localhost_name(uri))
}

/// `http://name.localhost`: RFC 6761 keeps these names on this machine.
fn is_localhost_name(uri: &str) -> bool {
    let host = uri.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    host.is_some_and(|host| host.ends_with(".localhost"))
}

/// Reads a certificate under the registry's pinned key.
///
/// # Errors
/// [`Refusal::PlatformUnknown`] for anything else.
pub fn read(registry: &Octets<32>, certificate: &str) -> Result<PlatformCertificate, Refusal> {
    let jws = Compact::parse(certificate).map_err(|_| Refusal::PlatformUnknown)?;
    let key = jose::PublicKey::ed25519(registry.0).map(jose::Jwk::bare).map_err(|_| Refusal::Internal)?;
    if !jws.header().is_typ(PlatformCertificate::TYP) {
        return Err(Refusal::PlatformUnknown);
    }
    jose::verify(&jws, &key, &[Alg::EdDSA])
        .and_then(|payload| payload.json::<PlatformCertificate>())
        .map_err(|_| Refusal::PlatformUnknown)
}
