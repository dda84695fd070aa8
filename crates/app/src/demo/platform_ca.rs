//! `hufu demo --mtls`: a certificate authority of this sandbox's own for platforms' TLS certificates, which `hufu platform new --mtls`
//! issues, and the listener that asks for them.

use super::addresses::Site;
use super::tls::{LocalCa, dated, opened};
use crate::deployment::public_tls::AuthorityFile;
use crate::failure::Failure;
use crate::files;
use hufu_web::mutual_tls::PlatformDoors;
use hufu_web::serve::Listening;
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::sign::SingleCertAndKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The authority's folder in the data folder.
const FOLDER: &str = "platform-ca";
/// Days the authority is valid for.
const CA_DAYS: i64 = 3650;
/// Days a platform's certificate is valid for.
const DAYS: i64 = 397;

/// What the listener for platforms is called, below the host of a demo under TLS.
const PART: &str = "mtls";

/// Where platforms with TLS certificates find this demo.
#[must_use]
pub fn origin(site: &Site, port: u16) -> String {
    format!("https://{}:{port}", host(site))
}

/// Without `--tls` only this listener speaks TLS, as `localhost`.
fn host(site: &Site) -> String {
    if site.ca().is_some() { site.host_of(PART) } else { site.host().to_owned() }
}

/// The listener, with a certificate of the demo's authority for its host, for whoever has one of [`PlatformCa`].
///
/// # Errors
/// As [`LocalCa::open_or_found`] and [`PlatformCa::open_or_found`].
pub fn listening(data: &Path, site: &Site, at: Listening, today: Date) -> Result<Listening, Failure> {
    let own = LocalCa::open_or_found(data, site.host(), today)?.certified(&host(site))?;
    PlatformCa::open_or_found(data, today)?;
    let authorities = AuthorityFile::open(&certificate_path(data))?;
    let doors = PlatformDoors::new(Arc::new(SingleCertAndKey::from(own)), authorities).map_err(Failure::other)?;
    Ok(at.for_platforms(doors))
}

fn certificate_path(data: &Path) -> PathBuf {
    data.join(FOLDER).join("ca.pem")
}

/// The authority.
pub struct PlatformCa(Issuer<'static, KeyPair>);

/// A platform's certificate.
pub struct Issued {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: Zeroizing<String>,
    /// The name it is in, as `tls_client_auth_subject_dn` has it.
    pub subject: String,
}

impl PlatformCa {
    /// Opens the authority of the sandbox in `data`, or founds it.
    ///
    /// # Errors
    /// [`Failure::Exposed`] for a key that others can read, [`Failure::Unreadable`] for one that is broken or missing.
    pub fn open_or_found(data: &Path, today: Date) -> Result<Self, Failure> {
        let path = certificate_path(data);
        if path.exists() {
            return Self::open(data, today);
        }
        let key = KeyPair::generate().map_err(Failure::other)?;
        let pem = authority(today)?.self_signed(&key).map_err(Failure::other)?.pem();
        files::private_folder(&data.join(FOLDER))?;
        files::replace(&path.with_file_name("ca.key"), key.serialize_pem().as_bytes(), files::PRIVATE)?;
        files::replace(&path, pem.as_bytes(), files::PUBLIC)?;
        Ok(Self(Issuer::new(authority(today)?, key)))
    }

    /// Opens an authority that is there.
    ///
    /// # Errors
    /// As [`PlatformCa::open_or_found`].
    pub fn open(data: &Path, today: Date) -> Result<Self, Failure> {
        let path = certificate_path(data).with_file_name("ca.key");
        let missing = || Failure::unreadable(&path, "missing; `hufu demo --mtls` makes it at its first start");
        let key = opened(&path, files::read(&path)?.ok_or_else(missing)?)?;
        Ok(Self(Issuer::new(authority(today)?, key)))
    }

    /// A certificate in the name of a client identifier, its key drawn now.
    ///
    /// # Errors
    /// [`Failure::Other`].
    pub fn issue(&self, client_id: &str, today: Date) -> Result<Issued, Failure> {
        let mut params = dated(Vec::new(), today, DAYS)?;
        params.distinguished_name.push(DnType::CommonName, client_id);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(Failure::other)?;
        let certificate = params.signed_by(&key, &self.0).map_err(Failure::other)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: Zeroizing::new(key.serialize_pem()),
            subject: format!("CN={client_id}"),
        })
    }
}

/// Name and usages must be the same at every start: the issuer of later certificates is made from them.
fn authority(today: Date) -> Result<CertificateParams, Failure> {
    let mut params = dated(Vec::new(), today, CA_DAYS)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Hufu sandbox CA for platforms");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::{Clock as _, SystemClock};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, UnixTime};
    use rustls::server::danger::ClientCertVerifier as _;

    #[test]
    fn what_it_issues_is_believed_after_a_restart_and_is_in_the_platforms_name() {
        let data = tempfile::tempdir().unwrap();
        let today = SystemClock.now().date();
        assert!(PlatformCa::open(data.path(), today).is_err());
        PlatformCa::open_or_found(data.path(), today).unwrap();
        let key = certificate_path(data.path()).with_file_name("ca.key");
        assert_eq!(files::mode(&key).unwrap(), files::PRIVATE);
        let issued = PlatformCa::open_or_found(data.path(), today).unwrap().issue("my-shop", today).unwrap();
        let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let believed = AuthorityFile::open(&certificate_path(data.path())).unwrap();
        assert!(believed.verify_client_cert(&der, &[], UnixTime::now()).is_ok());
        let certificate = hufu_wire::tls_client::ClientCertificate::read(&der).unwrap();
        assert!(certificate.is(&hufu_wire::tls_client::ClientSubject::name(&issued.subject).unwrap()));
        // Another sandbox's is not.
        let other = tempfile::tempdir().unwrap();
        let stranger = PlatformCa::open_or_found(other.path(), today).unwrap().issue("my-shop", today).unwrap();
        let der = CertificateDer::from_pem_slice(stranger.certificate.as_bytes()).unwrap();
        assert!(believed.verify_client_cert(&der, &[], UnixTime::now()).is_err());
    }
}
