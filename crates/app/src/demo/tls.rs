//! `hufu demo --tls`: a certificate authority of this sandbox's own, for one host name and the names below it.
//!
//! The authority's key stays in the data folder, so that a client which trusts it once trusts it after a restart. The servers'
//! keys are drawn at every start and live in memory. A name constraint (RFC 5280 section 4.2.1.10) keeps the authority from
//! vouching for anything else: whoever imports it into a browser gives away nothing about other sites.

use crate::failure::Failure;
use crate::files;
use hufu_kernel::b64;
use jiff::ToSpan as _;
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints, PublicKeyData as _, date_time_ymd,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of authorities in the data folder, one folder a host.
const FOLDER: &str = "tls";
/// The authority's certificate.
const CERTIFICATE: &str = "ca.pem";
/// Its key.
const KEY: &str = "ca.key";

/// Days the authority is valid for.
const CA_DAYS: i64 = 3650;
/// Days a server's certificate is valid for; a new one is made at every start.
const LEAF_DAYS: i64 = 397;

/// Where the authority of `host` is in the data folder `data`.
#[must_use]
pub fn certificate_path(data: &Path, host: &str) -> PathBuf {
    data.join(FOLDER).join(host).join(CERTIFICATE)
}

/// The hosts that the data folder keeps an authority for.
///
/// # Errors
/// [`Failure::File`].
pub fn hosts(data: &Path) -> Result<Vec<String>, Failure> {
    let folder = data.join(FOLDER);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = files::at(&folder, std::fs::read_dir(&folder))?.flatten();
    let mut hosts: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    hosts.sort();
    Ok(hosts)
}

/// Looks whether the authority of `host` would still vouch for it; makes nothing.
///
/// # Errors
/// As [`LocalCa::open_or_found`] and [`LocalCa::server`].
pub fn examine(data: &Path, host: &str, today: Date) -> Result<(), Failure> {
    let path = certificate_path(data, host);
    if !path.exists() {
        return Err(Failure::unreadable(&path, "missing"));
    }
    LocalCa::open_or_found(data, host, today)?.server(host).map(drop)
}

/// The authority of one host.
pub struct LocalCa {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    path: PathBuf,
    today: Date,
}

impl LocalCa {
    /// Opens the authority of `host` in the data folder `data`, or founds it.
    ///
    /// # Errors
    /// [`Failure::Exposed`] for a key that others can read, [`Failure::Unreadable`] for a broken or incomplete one.
    pub fn open_or_found(data: &Path, host: &str, today: Date) -> Result<Self, Failure> {
        let path = certificate_path(data, host);
        let key_path = path.with_file_name(KEY);
        let (key, pem) = match (files::read(&key_path)?, files::read(&path)?) {
            (Some(key), Some(pem)) => (opened(&key_path, key)?, pem),
            (None, Some(_)) => return Err(Failure::unreadable(&key_path, "missing; delete its folder for a new one")),
            // Without a certificate nobody can have trusted the key.
            (_, None) => found(&path, &key_path, host, today)?,
        };
        let certificate = CertificateDer::from_pem_slice(&pem).map_err(|error| Failure::unreadable(&path, error))?;
        Ok(Self { certificate, issuer: Issuer::new(authority(host, today)?, key), path, today })
    }

    /// SHA-256 of its public key, base64: what Chromium's `--ignore-certificate-errors-spki-list` takes.
    #[must_use]
    pub fn spki_sha256(&self) -> String {
        let hash = b64(&Sha256::digest(self.issuer.key().subject_public_key_info()));
        format!("{}=", hash.replace('-', "+").replace('_', "/"))
    }

    /// A certificate for a server of this name, its key drawn now.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] if the key in the folder is not the certificate's, or the name is not below the host.
    pub fn certified(&self, name: &str) -> Result<CertifiedKey, Failure> {
        let key = KeyPair::generate().map_err(Failure::other)?;
        let leaf = server(name, self.today)?.signed_by(&key, &self.issuer).map_err(Failure::other)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        self.vouches_for(leaf.der(), name, &provider)?;
        // The authority goes along: who pins its key instead of importing it finds the key in the chain.
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        CertifiedKey::from_der(chain, key, &provider).map_err(Failure::other)
    }

    /// What a server of this name needs.
    ///
    /// # Errors
    /// As [`LocalCa::certified`].
    pub fn server(&self, name: &str) -> Result<Arc<ServerConfig>, Failure> {
        let own = Arc::new(SingleCertAndKey::from(self.certified(name)?));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Failure::other)?
            .with_no_client_auth()
            .with_cert_resolver(own);
        // One version of HTTP, the one that demos without TLS speak.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Sees the certificate with a client's eyes, so that a mistake in the folder is told here and not by every client.
    fn vouches_for(&self, leaf: &CertificateDer<'_>, name: &str, with: &Arc<CryptoProvider>) -> Result<(), Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::unreadable(&self.path, error);
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|error| broken(&error))?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(with)).build();
        let name = ServerName::try_from(name).map_err(|error| broken(&error))?;
        verifier
            .map_err(|error| broken(&error))?
            .verify_server_cert(leaf, &[], &name, &[], UnixTime::now())
            .map(drop)
            .map_err(|error| {
                broken(&format!("does not vouch for this demo ({error}); delete its folder for a new one"))
            })
    }
}

pub(super) fn opened(path: &Path, pem: Vec<u8>) -> Result<KeyPair, Failure> {
    let mode = files::mode(path)?;
    if mode & 0o077 != 0 {
        return Err(Failure::Exposed { path: path.to_owned(), mode, wanted: files::PRIVATE });
    }
    let pem = String::from_utf8(pem).map_err(|_| Failure::unreadable(path, "is no key"))?;
    KeyPair::from_pem(&pem).map_err(|error| Failure::unreadable(path, error))
}

fn found(path: &Path, key_path: &Path, host: &str, today: Date) -> Result<(KeyPair, Vec<u8>), Failure> {
    let key = KeyPair::generate().map_err(Failure::other)?;
    let pem = authority(host, today)?.self_signed(&key).map_err(Failure::other)?.pem().into_bytes();
    if let Some(folder) = path.parent() {
        files::private_folder(folder)?;
    }
    files::replace(key_path, key.serialize_pem().as_bytes(), files::PRIVATE)?;
    files::replace(path, &pem, files::PUBLIC)?;
    Ok((key, pem))
}

/// Name, usages and constraint must be the same at every start: the issuer of later certificates is made from them.
fn authority(host: &str, today: Date) -> Result<CertificateParams, Failure> {
    let mut params = dated(Vec::new(), today, CA_DAYS)?;
    params.distinguished_name.push(DnType::CommonName, format!("Hufu sandbox CA for {host}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let only = vec![GeneralSubtree::DnsName(host.to_owned())];
    params.name_constraints = Some(NameConstraints { permitted_subtrees: only, excluded_subtrees: Vec::new() });
    Ok(params)
}

fn server(name: &str, today: Date) -> Result<CertificateParams, Failure> {
    let mut params = dated(vec![name.to_owned()], today, LEAF_DAYS)?;
    params.distinguished_name.push(DnType::CommonName, "Hufu sandbox");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// From yesterday on, since clients' clocks differ.
pub(super) fn dated(names: Vec<String>, today: Date, days: i64) -> Result<CertificateParams, Failure> {
    let day = |date: Date| {
        let part = |value: i8| u8::try_from(value).unwrap_or(1);
        date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    let mut params = CertificateParams::new(names).map_err(Failure::other)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = day(today.saturating_sub(1.day()));
    params.not_after = day(today.saturating_add(days.days()));
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = Date::constant(2026, 6, 1);

    fn today() -> Date {
        use hufu_kernel::Clock as _;
        hufu_kernel::SystemClock.now().date()
    }

    #[test]
    fn the_authority_outlives_a_restart_and_its_key_is_the_owners_alone() {
        let data = tempfile::tempdir().unwrap();
        let one = LocalCa::open_or_found(data.path(), "hufu.test", today()).unwrap();
        let two = LocalCa::open_or_found(data.path(), "hufu.test", today().tomorrow().unwrap()).unwrap();
        assert_eq!((&one.certificate, one.spki_sha256()), (&two.certificate, two.spki_sha256()));
        two.server("wallet.hufu.test").unwrap();
        let key = certificate_path(data.path(), "hufu.test").with_file_name(KEY);
        assert_eq!(files::mode(&key).unwrap(), 0o600);
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let exposed = LocalCa::open_or_found(data.path(), "hufu.test", today());
        assert!(matches!(exposed, Err(Failure::Exposed { .. })));
    }

    #[test]
    fn it_vouches_for_its_host_and_the_names_below_and_for_nothing_else() {
        let data = tempfile::tempdir().unwrap();
        let ca = LocalCa::open_or_found(data.path(), "hufu.test", today()).unwrap();
        for name in ["hufu.test", "wallet.hufu.test", "node-1.hufu.test"] {
            ca.server(name).unwrap();
        }
        for name in ["example.org", "nothufu.test", "localhost"] {
            assert!(ca.server(name).is_err(), "{name}");
        }
    }

    #[test]
    fn another_authoritys_key_beside_the_certificate_is_found_at_the_start() {
        let data = tempfile::tempdir().unwrap();
        LocalCa::open_or_found(data.path(), "one.test", TODAY).unwrap();
        LocalCa::open_or_found(data.path(), "two.test", TODAY).unwrap();
        let key = |host| certificate_path(data.path(), host).with_file_name(KEY);
        std::fs::copy(key("one.test"), key("two.test")).unwrap();
        let mixed = LocalCa::open_or_found(data.path(), "two.test", TODAY).unwrap();
        let told = mixed.server("two.test").err().unwrap().to_string();
        assert!(told.contains("ca.pem") && told.contains("delete its folder"), "{told}");
        std::fs::remove_file(key("two.test")).unwrap();
        assert!(LocalCa::open_or_found(data.path(), "two.test", TODAY).is_err());
    }
}
