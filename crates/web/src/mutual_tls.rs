//! TLS in which a platform proves itself by its certificate (RFC 8705): at an address of its own, since a browser that is asked for a
//! certificate shows its person a dialogue.
//!
//! What the front is told of a caller is what this process saw in the handshake. No header is ever read for it, so nothing that stands
//! before this listener can speak in a platform's name; what may stand there passes TLS on as it comes.

use hufu_wire::tls_client::ClientCertificate;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, ServerConnection};
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The certificate at the other end of a connection. An extension of every request that comes in through [`PlatformDoors`], and of no
/// other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvenCertificate(Arc<ClientCertificate>);

impl ProvenCertificate {
    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &ClientCertificate {
        &self.0
    }
}

/// Which platform registered a name that a certificate is in, by its `client_id`, if an admitted one did.
#[derive(Clone)]
pub struct Registered(Arc<Find>);

type Find = dyn Fn(&ClientCertificate) -> Option<String> + Send + Sync;

impl Registered {
    /// As `find` says.
    #[must_use]
    pub fn by(find: impl Fn(&ClientCertificate) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// Every certificate is a stranger's.
    #[must_use]
    pub fn nobodys() -> Self {
        Self::by(|_| None)
    }

    pub(crate) fn of(&self, certificate: &ClientCertificate) -> Option<String> {
        (self.0)(certificate)
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registered")
    }
}

/// The server's side: whoever has a certificate of these authorities comes in, and is known by it.
#[derive(Clone)]
pub struct PlatformDoors {
    pub(crate) config: Arc<ServerConfig>,
    authorities: Arc<dyn ClientCertVerifier>,
}

/// What a handshake proved, for as long as its connection is open: a connection may outlive the certificate, or its authority.
pub(crate) struct Proven {
    certificate: ProvenCertificate,
    /// As it was shown: the certificate, and what stands between it and its authority.
    chain: Vec<CertificateDer<'static>>,
    authorities: Arc<dyn ClientCertVerifier>,
    /// When it was last looked at.
    looked: Mutex<Instant>,
}

impl Proven {
    /// As the handshake proved it.
    pub fn certificate(&self) -> &ClientCertificate {
        self.certificate.certificate()
    }

    /// The certificate, if it is still in force and its authority still believed. Looked at anew after `again`: a signature or two.
    pub fn still(&self, again: Duration) -> Option<ProvenCertificate> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.elapsed() >= again {
            let (own, between) = self.chain.split_first()?;
            if let Err(error) = self.authorities.verify_client_cert(own, between, UnixTime::now()) {
                tracing::debug!(%error, "a platform's connection has outlived its certificate");
                return None;
            }
            *looked = Instant::now();
        }
        Some(self.certificate.clone())
    }
}

impl fmt::Debug for PlatformDoors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlatformDoors")
    }
}

impl PlatformDoors {
    /// TLS 1.3 alone, in which a client's certificate is seen by nobody on the way; nothing is resumed, so that every connection is
    /// proven, also after an authority was taken out. One that is open then answers nothing more within seconds.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(
        own: Arc<dyn ResolvesServerCert>,
        authorities: Arc<dyn ClientCertVerifier>,
    ) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::clone(&authorities))
            .with_cert_resolver(own);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), authorities })
    }

    /// Who is at the other end of an accepted connection.
    pub(crate) fn caller(&self, connection: &ServerConnection) -> Option<Proven> {
        let chain = connection.peer_certificates()?.to_vec();
        let certificate = ProvenCertificate(Arc::new(ClientCertificate::read(chain.first()?)?));
        let looked = Mutex::new(Instant::now());
        Some(Proven { certificate, chain, authorities: Arc::clone(&self.authorities), looked })
    }
}

/// Believes certificates of these authorities, and asks for one in every handshake.
///
/// # Errors
/// A sentence, for no authorities or ones that are none.
pub fn believing(authorities: RootCertStore) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
        .build()
        .map_err(|error| error.to_string())
}
