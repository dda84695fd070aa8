//! Whom a certificate is believed for: each office's pinned key for that office's name alone.

use super::PeerError;
use super::leaf::{Leaf, issuer};
use hufu_kernel::{Clock, NodeIndex, Octets};
use hufu_wire::api::roster::{Identity, Roster, tls_name};
use hufu_wire::api::trust::node_name;
use rcgen::{PKCS_ED25519, PublicKeyData, SignatureAlgorithm};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, ServerConnection, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The office at the other end of a connection, as its certificate proved it. An extension of every request that comes in through
/// [`Doors`]; without it no route between offices answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerOffice(Arc<str>);

impl PeerOffice {
    /// The office: `node-2`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Which node, if it is one.
    #[must_use]
    pub fn node(&self) -> Option<NodeIndex> {
        NodeIndex::ALL.into_iter().find(|index| node_name(*index) == &*self.0)
    }
}

/// The only issuer that is believed for `identity`: its own pinned key.
fn anchor(identity: &Identity, root_id: &Octets<16>) -> Result<RootCertStore, PeerError> {
    // Of an anchor only name and key count (RFC 5280 section 6.1.1 d), so its own signature is left empty; a library then writes
    // and reads the encoding.
    let certificate = issuer(&identity.office, root_id).self_signed(&Pinned(identity.key))?;
    let mut anchors = RootCertStore::empty();
    anchors.add(certificate.der().clone())?;
    Ok(anchors)
}

/// A pinned key, which signs nothing.
struct Pinned(Octets<32>);

impl PublicKeyData for Pinned {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl rcgen::SigningKey for Pinned {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![0; 64])
    }
}

/// The office's own clock decides what has expired: the sandbox's can be moved.
struct OfficeTime(Arc<dyn Clock>);

impl fmt::Debug for OfficeTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfficeTime")
    }
}

impl TimeProvider for OfficeTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn time(own: &Leaf) -> Arc<dyn TimeProvider> {
    Arc::new(OfficeTime(own.clock()))
}

fn server_name(office: &str, root_id: &Octets<16>) -> Result<ServerName<'static>, PeerError> {
    ServerName::try_from(tls_name(office, root_id)).map_err(|error| PeerError::Tls(error.to_string()))
}

/// How `own` calls the office of `identity`: TLS 1.3, that office's name under that office's key, nothing resumed.
pub(super) fn client_config(
    own: &Arc<Leaf>,
    identity: &Identity,
) -> Result<(ClientConfig, ServerName<'static>), PeerError> {
    let mut config = ClientConfig::builder_with_details(provider(), time(own))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(anchor(identity, own.root_id())?)
        .with_client_cert_resolver(Arc::clone(own) as _);
    // A resumed session would not look at certificates again.
    config.resumption = rustls::client::Resumption::disabled();
    Ok((config, server_name(&identity.office, own.root_id())?))
}

/// The server's side: only offices of the roster come in, and each is known by name.
#[derive(Clone, Debug)]
pub struct Doors {
    pub(crate) config: Arc<ServerConfig>,
    known: Arc<KnownOffices>,
}

impl Doors {
    pub(super) fn new(own: &Arc<Leaf>, roster: &Roster) -> Result<Self, PeerError> {
        let known = Arc::new(KnownOffices::new(roster)?);
        let mut config = ServerConfig::builder_with_details(provider(), time(own))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::clone(&known) as _)
            .with_cert_resolver(Arc::clone(own) as _);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), known })
    }

    /// Who is at the other end of an accepted connection.
    #[must_use]
    pub fn caller(&self, connection: &ServerConnection) -> Option<PeerOffice> {
        let certificate = connection.peer_certificates()?.first()?;
        Some(self.known.named_by(certificate)?.office.clone())
    }
}

/// The offices of a roster, each with a verifier that believes its key alone.
#[derive(Debug)]
struct KnownOffices {
    each: Vec<Known>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Known {
    office: PeerOffice,
    name: ServerName<'static>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl KnownOffices {
    fn new(roster: &Roster) -> Result<Self, PeerError> {
        let provider = provider();
        let known = |identity: &Identity| {
            let anchors = Arc::new(anchor(identity, roster.root_id())?);
            let verifier = WebPkiClientVerifier::builder_with_provider(anchors, Arc::clone(&provider))
                .build()
                .map_err(|error| PeerError::Tls(error.to_string()))?;
            let name = server_name(&identity.office, roster.root_id())?;
            Ok::<_, PeerError>(Known { office: PeerOffice(identity.office.as_str().into()), name, verifier })
        };
        let each = roster.identities().iter().map(known).collect::<Result<_, _>>()?;
        Ok(Self { each, provider })
    }

    /// The office that a certificate names, believed or not. One that names two is nobody's.
    fn named_by(&self, certificate: &CertificateDer<'_>) -> Option<&Known> {
        let certificate = ParsedCertificate::try_from(certificate).ok()?;
        let mut named = self.each.iter().filter(|known| verify_server_name(&certificate, &known.name).is_ok());
        named.next().filter(|_| named.next().is_none())
    }
}

impl ClientCertVerifier for KnownOffices {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // An office vouches for its leaf itself: there is nothing in between.
        if !intermediates.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let known = self.named_by(end_entity).ok_or(CertificateError::ApplicationVerificationFailure)?;
        known.verifier.verify_client_cert(end_entity, &[], now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("offices speak TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
