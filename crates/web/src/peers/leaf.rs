//! An office's own TLS certificate: its ES256 key `tls`, vouched for by its Ed25519 key `office`. Both stay in the key store.

use super::PeerError;
use hufu_kernel::{Clock, KeyStore, Octets, Timestamp};
use hufu_wire::api::roster::{OFFICES, tls_name};
use hufu_wire::jose::raw_to_der;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};

/// The key that vouches, by its name in the key store.
const OFFICE: &str = "office";
/// The key that handshakes are signed with.
const TLS: &str = "tls";
/// A leaf is valid from the day before, since clocks differ, until this many days later.
const DAYS: i64 = 30;
const DAY: i64 = 86_400;

/// An office's leaf, for connections in both directions. It is made anew at the first handshake of each day (UTC, by the office's
/// clock), so that no restart is needed and a clock that jumps leaves no expired leaf behind.
pub struct Leaf {
    keys: Arc<dyn KeyStore>,
    office: &'static str,
    root_id: Octets<16>,
    clock: Arc<dyn Clock>,
    name: String,
    made: RwLock<Made>,
    /// Held by the one that makes the next: nobody waits for the key store but the handshake that asked for it first.
    making: Mutex<()>,
}

struct Made {
    day: Timestamp,
    certified: Arc<CertifiedKey>,
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leaf").field(&self.name).finish()
    }
}

impl Leaf {
    /// The leaf of `office` under the trust root `root_id`.
    ///
    /// # Errors
    /// [`PeerError::Unknown`] for a name that is no office's; [`PeerError::Key`] without the keys `office` and `tls`.
    pub fn new(
        keys: Arc<dyn KeyStore>,
        office: &str,
        root_id: Octets<16>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, PeerError> {
        let known = OFFICES.into_iter().find(|name| *name == office);
        let office = known.ok_or_else(|| PeerError::Unknown(office.to_owned()))?;
        let day = clock.now().day();
        let certified = make(&keys, office, &root_id, day)?;
        let made = RwLock::new(Made { day, certified });
        let (name, making) = (tls_name(office, &root_id), Mutex::default());
        Ok(Arc::new(Self { keys, office, root_id, clock, name, made, making }))
    }

    /// Whose it is.
    #[must_use]
    pub fn office(&self) -> &'static str {
        self.office
    }

    /// Under which trust root.
    #[must_use]
    pub fn root_id(&self) -> &Octets<16> {
        &self.root_id
    }

    /// The certificate in use now, DER, for who examines a deployment.
    #[must_use]
    pub fn certificate(&self) -> Vec<u8> {
        self.current().cert.first().map(|certificate| certificate.to_vec()).unwrap_or_default()
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The office's own public key.
    pub(super) fn key(&self) -> Result<Octets<32>, PeerError> {
        public_ed25519(self.keys.as_ref())
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let today = self.clock.now().day();
        let (day, in_use) = self.made();
        if day == today {
            return in_use;
        }
        let _making = match self.making.try_lock() {
            Ok(making) => making,
            Err(TryLockError::Poisoned(making)) => making.into_inner(),
            // The one in use is good for weeks.
            Err(TryLockError::WouldBlock) => return in_use,
        };
        let (day, in_use) = self.made();
        if day == today {
            return in_use;
        }
        match make(&self.keys, self.office, &self.root_id, today) {
            Ok(certified) => {
                let made = Made { day: today, certified: Arc::clone(&certified) };
                *self.made.write().unwrap_or_else(PoisonError::into_inner) = made;
                certified
            }
            // The next handshake tries again.
            Err(error) => {
                tracing::warn!(office = self.office, %error, "the TLS certificate was not renewed");
                in_use
            }
        }
    }

    fn made(&self) -> (Timestamp, Arc<CertifiedKey>) {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        (made.day, Arc::clone(&made.certified))
    }
}

impl ResolvesServerCert for Leaf {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Whoever looks for another office is not answered in this one's name.
        (hello.server_name() == Some(self.name.as_str())).then(|| self.current())
    }
}

impl ResolvesClientCert for Leaf {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The subject that an office's certificates name as their issuer.
pub(super) fn issuer(office: &str, root_id: &Octets<16>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(tls_name(office, root_id));
    params
}

fn named(name: String) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn make(
    keys: &Arc<dyn KeyStore>,
    office: &str,
    root_id: &Octets<16>,
    day: Timestamp,
) -> Result<Arc<CertifiedKey>, PeerError> {
    let mut params = CertificateParams::new(vec![tls_name(office, root_id)])?;
    params.distinguished_name = named(format!("{office} tls"));
    let date = |days: i64| {
        let date = Timestamp(day.0.saturating_add(days * DAY)).date();
        let part = |value: i8| u8::try_from(value).unwrap_or(1);
        date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    (params.not_before, params.not_after) = (date(-1), date(DAYS));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let vouching = Vouching { keys: keys.as_ref(), public: public_ed25519(keys.as_ref())? };
    let point = TlsPublic(keys.public(TLS)?.0);
    let certificate = params.signed_by(&point, &Issuer::new(issuer(office, root_id), vouching))?;
    let signing = TlsKey(Arc::clone(keys));
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(certificate)], Arc::new(signing))))
}

fn public_ed25519(keys: &dyn KeyStore) -> Result<Octets<32>, PeerError> {
    let public = keys.public(OFFICE)?;
    Octets::try_from(public.0.as_slice())
        .map_err(|_| hufu_kernel::KeyError::Device("the key `office` is no Ed25519 key".to_owned()).into())
}

/// The office's Ed25519 key, as rcgen asks for signatures.
struct Vouching<'a> {
    keys: &'a dyn KeyStore,
    public: Octets<32>,
}

impl PublicKeyData for Vouching<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public.as_slice()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl rcgen::SigningKey for Vouching<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.keys.sign_ed25519(OFFICE, message).map_err(|error| {
            tracing::warn!(%error, "the key store did not sign a certificate");
            rcgen::Error::RemoteKeyError
        })?;
        Ok(signature.0.to_vec())
    }
}

/// The point of the ES256 key.
struct TlsPublic(Vec<u8>);

impl PublicKeyData for TlsPublic {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// The ES256 key, as rustls asks for signatures.
struct TlsKey(Arc<dyn KeyStore>);

impl fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsKey(…)")
    }
}

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let offered = offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256);
        offered.then(|| Box::new(Self(Arc::clone(&self.0))) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        rustls::SignatureAlgorithm::ECDSA
    }
}

impl Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let failed = |error: &dyn fmt::Display| {
            tracing::warn!(%error, "the key store did not sign a handshake");
            rustls::Error::General("the key store did not sign".to_owned())
        };
        let raw = self.0.sign_es256(TLS, message).map_err(|error| failed(&error))?;
        raw_to_der(raw.as_slice()).ok_or_else(|| failed(&"no signature of ES256"))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
