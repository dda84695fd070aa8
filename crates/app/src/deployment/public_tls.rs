//! TLS of the public listeners: a certificate and a key in files, read again when they change, so that renewing needs no restart.

use crate::failure::Failure;
use crate::files;
use hufu_kernel::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
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

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

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
