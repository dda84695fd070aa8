//! TLS of the public listeners: a certificate and a key in files, read again when they change, so that renewing needs no restart; and
//! the authorities of platforms' own certificates, likewise.

use crate::failure::Failure;
use crate::files;
use hufu_kernel::Timestamp;
use hufu_web::mutual_tls::believing;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// When a file last changed, as far as one can tell without reading it.
type Standing = Option<(u64, i64, i64)>;

/// A certificate that follows its files.
#[derive(Debug)]
pub struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    presented: RwLock<(Standing, Standing, Arc<CertifiedKey>)>,
}

/// When a certificate begins and ends.
///
/// # Errors
/// A sentence.
pub fn validity(der: &[u8]) -> Result<(Timestamp, Timestamp), String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| format!("is no certificate: {error}"))?;
    let validity = certificate.validity();
    Ok((Timestamp(validity.not_before.timestamp()), Timestamp(validity.not_after.timestamp())))
}

/// A certificate and its key, to be presented.
///
/// # Errors
/// [`Failure::Unreadable`] for files that are missing, broken or do not belong together; [`Failure::Exposed`] for a key that others
/// can read.
pub fn open(certificate: &Path, key: &Path) -> Result<Arc<CertificateFiles>, Failure> {
    Ok(Arc::new(CertificateFiles {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        presented: RwLock::new((standing(certificate), standing(key), read(certificate, key)?)),
    }))
}

/// What a public listener needs to speak TLS.
///
/// # Errors
/// [`Failure::Other`].
pub fn config(files: &Arc<CertificateFiles>) -> Result<Arc<ServerConfig>, Failure> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Failure::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(files) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn standing(path: &Path) -> Standing {
    std::fs::metadata(path).ok().map(|file| (file.ino(), file.mtime(), file.mtime_nsec()))
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Failure> {
    let whole = |path: &Path| files::read(path)?.ok_or_else(|| Failure::unreadable(path, "missing"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&whole(certificate)?).collect();
    let chain = chain.map_err(|error| Failure::unreadable(certificate, error))?;
    let mode = files::mode(key)?;
    if mode & 0o037 != 0 {
        return Err(Failure::Exposed { path: key.to_owned(), mode, wanted: 0o640 });
    }
    let private = PrivateKeyDer::from_pem_slice(&whole(key)?).map_err(|error| Failure::unreadable(key, error))?;
    let broken = |error| Failure::unreadable(certificate, error);
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map(Arc::new).map_err(broken)
}

impl CertificateFiles {
    /// The certificate that is presented now, DER: not always the one in the file, which may be broken.
    #[must_use]
    pub fn presented(&self) -> Vec<u8> {
        self.current().cert.first().map(|certificate| certificate.to_vec()).unwrap_or_default()
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let found = (standing(&self.certificate), standing(&self.key));
        {
            let presented = self.presented.read().unwrap_or_else(PoisonError::into_inner);
            if (presented.0, presented.1) == found {
                return Arc::clone(&presented.2);
            }
        }
        match read(&self.certificate, &self.key) {
            Ok(fresh) => {
                tracing::info!("the public TLS certificate was read again");
                let mut presented = self.presented.write().unwrap_or_else(PoisonError::into_inner);
                *presented = (found.0, found.1, Arc::clone(&fresh));
                fresh
            }
            // Certificate and key are two files: between their replacements they do not fit.
            Err(error) => {
                tracing::warn!(%error, "the public TLS certificate stays the one that was read before");
                Arc::clone(&self.presented.read().unwrap_or_else(PoisonError::into_inner).2)
            }
        }
    }
}

impl ResolvesServerCert for CertificateFiles {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// Whom a file of authorities names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Believes {
    Somebody,
    Nobody,
}

/// The authorities that may vouch for platforms, as their file has them now.
#[derive(Debug)]
pub struct AuthorityFile {
    path: PathBuf,
    /// Nobody is believed while the file names nobody.
    believed: RwLock<(Standing, Arc<dyn ClientCertVerifier>, Believes)>,
}

/// The certificates of a file of authorities.
///
/// # Errors
/// [`Failure::Unreadable`] for a file that is missing, broken or empty.
pub fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "missing"))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all.map_err(|error| Failure::unreadable(path, error))? {
        none if none.is_empty() => Err(Failure::unreadable(path, "holds no certificate")),
        some => Ok(some),
    }
}

impl AuthorityFile {
    /// Reads the file.
    ///
    /// # Errors
    /// As [`authorities`]; [`Failure::Unreadable`] for a certificate that cannot be an authority's.
    pub fn open(path: &Path) -> Result<Arc<Self>, Failure> {
        let believed = RwLock::new((standing(path), Self::read(path)?, Believes::Somebody));
        Ok(Arc::new(Self { path: path.to_owned(), believed }))
    }

    /// Whether the last authority was taken out: a file that is gone, or has no certificate's beginning in it.
    fn is_emptied(path: &Path) -> bool {
        let begins = |bytes: Vec<u8>| bytes.windows(11).any(|part| part == b"-----BEGIN ");
        files::read(path).is_ok_and(|found| found.is_none_or(|bytes| !begins(bytes.to_vec())))
    }

    fn read(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, Failure> {
        let mut all = RootCertStore::empty();
        for authority in authorities(path)? {
            all.add(authority).map_err(|error| Failure::unreadable(path, error))?;
        }
        believing(all).map_err(|error| Failure::unreadable(path, error))
    }

    fn current(&self) -> (Arc<dyn ClientCertVerifier>, Believes) {
        let found = standing(&self.path);
        {
            let believed = self.believed.read().unwrap_or_else(PoisonError::into_inner);
            if believed.0 == found {
                return (Arc::clone(&believed.1), believed.2);
            }
        }
        // Read before the lock is taken: nobody waits for the disk who only asks.
        let (fresh, emptied) = (Self::read(&self.path), Self::is_emptied(&self.path));
        let mut believed = self.believed.write().unwrap_or_else(PoisonError::into_inner);
        match fresh {
            Ok(fresh) => {
                tracing::info!("the authorities of platforms' certificates were read again");
                *believed = (found, fresh, Believes::Somebody);
            }
            Err(error) if emptied => {
                tracing::warn!(%error, "no authority of platforms' certificates is left: none of them is taken");
                (believed.0, believed.2) = (found, Believes::Nobody);
            }
            // Platforms are not locked out by a file that is half written. It is read again when it is another one.
            Err(error) => {
                tracing::warn!(%error, "the authorities of platforms' certificates stay those that were read before");
                believed.0 = found;
            }
        }
        (Arc::clone(&believed.1), believed.2)
    }
}

impl ClientCertVerifier for AuthorityFile {
    /// None are named, so that whoever connects is not told whom this service believes.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.current() {
            (verifier, Believes::Somebody) => verifier.verify_client_cert(end_entity, intermediates, now),
            (_, Believes::Nobody) => Err(rustls::CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current().0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current().0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    fn write(folder: &Path) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(vec!["id.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        files::replace(&folder.join("key.pem"), key.serialize_pem().as_bytes(), files::PRIVATE).unwrap();
        files::replace(&folder.join("certificate.pem"), made.pem().as_bytes(), files::PUBLIC).unwrap();
        made.der().to_vec()
    }

    #[test]
    fn a_renewed_certificate_is_taken_without_a_restart_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        let first = write(folder.path());
        let files_of = open(&certificate, &key).unwrap();
        config(&files_of).unwrap();
        let shown = || files_of.presented();
        assert_eq!(shown(), first);
        let second = write(folder.path());
        assert_ne!(first, second);
        assert_eq!(shown(), second);
        files::replace(&certificate, b"nonsense", files::PUBLIC).unwrap();
        assert_eq!(shown(), second);
        assert!(open(&certificate, &key).is_err());
    }

    /// An authority's certificate, and a client's of it.
    fn authority(name: &str) -> (String, CertificateDer<'static>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let client = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
        let client = client.signed_by(&KeyPair::generate().unwrap(), &Issuer::new(params, key)).unwrap();
        (pem, client.der().clone())
    }

    #[test]
    fn an_authority_that_is_taken_out_is_believed_no_more_and_a_broken_file_locks_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authorities.pem");
        let ((first, of_first), (second, of_second)) = (authority("one.example"), authority("two.example"));
        files::replace(&path, format!("{first}{second}").as_bytes(), files::PUBLIC).unwrap();
        let believed = AuthorityFile::open(&path).unwrap();
        let taken = |client: &CertificateDer<'_>| believed.verify_client_cert(client, &[], UnixTime::now()).is_ok();
        assert!(taken(&of_first) && taken(&of_second));
        files::replace(&path, second.as_bytes(), files::PUBLIC).unwrap();
        assert!(!taken(&of_first) && taken(&of_second));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        files::replace(&path, broken.as_bytes(), files::PUBLIC).unwrap();
        assert!(!taken(&of_first) && taken(&of_second));
        assert!(AuthorityFile::open(&path).is_err());
        // The last one is taken out.
        for emptied in [Some(""), Some("nobody"), None] {
            match emptied {
                Some(emptied) => files::replace(&path, emptied.as_bytes(), files::PUBLIC).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            assert!(!taken(&of_first) && !taken(&of_second), "{emptied:?}");
            assert!(AuthorityFile::open(&path).is_err(), "{emptied:?}");
        }
        files::replace(&path, first.as_bytes(), files::PUBLIC).unwrap();
        assert!(taken(&of_first) && !taken(&of_second));
    }

    #[test]
    fn a_key_that_everybody_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        open(&certificate, &key).unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert!(matches!(open(&certificate, &key), Err(Failure::Exposed { .. })));
    }
}
