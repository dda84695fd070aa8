//! A port that asks for certificates: who hangs, who takes too much, and what a connection is worth when its certificate is not.

use super::*;
use crate::mutual_tls::{PlatformDoors, ProvenCertificate, Registered, believing};
use axum::Extension;
use hufu_kernel::Clock as _;
use hufu_wire::tls_client::ClientSubject;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use std::sync::atomic::AtomicBool;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Authorities that can be taken out.
#[derive(Debug)]
struct Withdrawable {
    believed: Arc<dyn ClientCertVerifier>,
    withdrawn: AtomicBool,
}

impl ClientCertVerifier for Withdrawable {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.believed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if self.withdrawn.load(Ordering::Relaxed) {
            return Err(rustls::CertificateError::UnknownIssuer.into());
        }
        self.believed.verify_client_cert(own, between, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.believed.verify_tls12_signature(message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.believed.verify_tls13_signature(message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.believed.supported_verify_schemes()
    }
}

/// The port, the authority that it believes, and what it shows itself.
struct Port {
    port: u16,
    authority: Issuer<'static, KeyPair>,
    authorities: Arc<Withdrawable>,
    server: CertificateDer<'static>,
    _stopper: Stopper,
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

impl Port {
    async fn with(connections: usize, patience: Patience) -> Self {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let server = own.cert.der().clone();
        let shown = vec![server.clone()];
        let provider = aws_lc_rs::default_provider();
        let own = CertifiedKey::from_der(shown, private(&own.signing_key), &provider).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "believed");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(params.self_signed(&key).unwrap().der().clone()).unwrap();
        let believed = believing(roots).unwrap();
        let authorities = Arc::new(Withdrawable { believed, withdrawn: AtomicBool::new(false) });
        let doors = PlatformDoors::new(Arc::new(SingleCertAndKey::from(own)), Arc::clone(&authorities) as _).unwrap();
        let (stopper, stop) = Stopper::new();
        let admitted = Registered::by(|certificate| {
            let mut names = ["shop.example", "forum.example"].into_iter();
            let its = |name: &&str| certificate.is(&ClientSubject::dns(name).unwrap());
            names.find(its).map(str::to_owned)
        });
        let listening = listen(ANY).await.unwrap().with_limit(connections).for_platforms(doors).sharing_by(admitted);
        let port = listening.port;
        let known = |Extension(_): Extension<ProvenCertificate>| async { "known" };
        let app = app().route("/known", get(known));
        tokio::spawn(serve_within(listening, app, stop, patience));
        Self { port, authority: Issuer::new(params, key), authorities, server, _stopper: stopper }
    }

    /// How a platform connects that has a certificate in this name, which may end soon.
    fn connector(&self, name: &str, seconds: Option<i64>) -> TlsConnector {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if let Some(seconds) = seconds {
            let end = u64::try_from((hufu_kernel::SystemClock.now() + seconds).0).unwrap();
            params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap().der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(self.server.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], private(&key))
            .unwrap();
        TlsConnector::from(Arc::new(config))
    }

    /// A connection of it; nothing if there is none.
    async fn connect(&self, by: &TlsConnector) -> Option<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        by.connect(name, connected(self.port).await).await.ok()
    }
}

/// The status of one question more on a connection that stays open; nothing if it ends.
async fn status(stream: &mut TlsStream<TcpStream>) -> Option<u16> {
    stream.write_all(b"GET /known HTTP/1.1\r\nhost: x\r\n\r\n").await.ok()?;
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let read =
            tokio::time::timeout(Duration::from_secs(5), stream.read(&mut part)).await.expect("no answer").ok()?;
        answer.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&answer);
        if text.ends_with("known") || (text.contains(" 421 ") && text.contains("\r\n\r\n")) {
            return text.split(' ').nth(1)?.parse().ok();
        }
        if read == 0 {
            return None;
        }
    }
}

async fn asked_anew(port: &Port, by: &TlsConnector) -> Option<u16> {
    status(&mut port.connect(by).await?).await
}

#[tokio::test]
async fn whoever_does_not_finish_a_handshake_is_cut_off_and_keeps_nobodys_place() {
    let port = Port::with(2, HASTY).await;
    let honest = port.connector("shop.example", None);
    // Silent, half of a record, and no TLS at all: more of them than there are places.
    let half: [&[u8]; 4] = [b"", b"\x16\x03\x01\x02", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ASK];
    let began = Instant::now();
    let mut waiting = Vec::new();
    for bytes in half.into_iter().chain(half) {
        let mut stream = connected(port.port).await;
        waiting.push(tokio::spawn(async move {
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
            assert!(read.is_ok(), "still open");
            assert!(!answer.starts_with(b"HTTP"));
        }));
    }
    // Behind all of them in the queue: it is answered as soon as those before it have been cut off.
    assert_eq!(asked_anew(&port, &honest).await, Some(200));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    for waiting in waiting {
        waiting.await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn one_platform_has_its_share_of_the_connections_and_another_finds_its_own() {
    let port = Port::with(LEAST + 4, PATIENT).await;
    let (shop, forum) = (port.connector("shop.example", None), port.connector("forum.example", None));
    let mut held = Vec::new();
    for _ in 0..LEAST {
        let mut stream = port.connect(&shop).await.unwrap();
        assert_eq!(status(&mut stream).await, Some(200));
        held.push(stream);
    }
    assert_eq!(asked_anew(&port, &shop).await, None);
    // Another certificate in the same name is the same platform.
    assert_eq!(asked_anew(&port, &port.connector("shop.example", None)).await, None);
    assert_eq!(asked_anew(&port, &forum).await, Some(200));
    assert_eq!(status(&mut held[0]).await, Some(200), "what it holds is answered");
    drop(held);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(asked_anew(&port, &shop).await, Some(200));
}

#[tokio::test]
async fn all_whose_names_nobody_registered_have_one_share_together_however_many_names_they_have() {
    let port = Port::with(LEAST + 4, PATIENT).await;
    let mut held = Vec::new();
    for stranger in 0..3 * LEAST {
        let by = port.connector(&format!("s{stranger}.example"), None);
        let Some(mut stream) = port.connect(&by).await else { continue };
        if status(&mut stream).await == Some(200) {
            held.push(stream);
        }
    }
    assert_eq!(held.len(), LEAST);
    for platform in ["shop.example", "forum.example"] {
        assert_eq!(asked_anew(&port, &port.connector(platform, None)).await, Some(200), "{platform}");
    }
    held.pop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(asked_anew(&port, &port.connector("late.example", None)).await, Some(200), "what is given back is free");
}

#[tokio::test]
async fn a_connection_answers_nothing_more_when_its_authority_is_taken_out() {
    let port = Port::with(100, PATIENT).await;
    let shop = port.connector("shop.example", None);
    let mut open = port.connect(&shop).await.unwrap();
    assert_eq!([status(&mut open).await, status(&mut open).await], [Some(200); 2]);
    port.authorities.withdrawn.store(true, Ordering::Relaxed);
    assert_eq!(status(&mut open).await, Some(421));
    assert_eq!(status(&mut open).await, None, "it is closed");
    assert_eq!(asked_anew(&port, &shop).await, None);
    port.authorities.withdrawn.store(false, Ordering::Relaxed);
    assert_eq!(asked_anew(&port, &shop).await, Some(200));
}

#[tokio::test]
async fn a_connection_answers_nothing_more_when_its_certificate_has_ended() {
    let port = Port::with(100, PATIENT).await;
    let (ending, lasting) = (port.connector("shop.example", Some(3)), port.connector("forum.example", None));
    let mut both = [port.connect(&ending).await.unwrap(), port.connect(&lasting).await.unwrap()];
    for open in &mut both {
        assert_eq!(status(open).await, Some(200));
    }
    tokio::time::sleep(Duration::from_millis(4500)).await;
    let [ended, other] = &mut both;
    assert_eq!((status(ended).await, status(other).await), (Some(421), Some(200)));
    assert_eq!(asked_anew(&port, &ending).await, None);
}

#[tokio::test]
async fn what_was_proven_is_looked_at_again_after_a_while_and_not_at_every_question() {
    let port = Port::with(100, Patience { proven: Duration::from_millis(400), ..PATIENT }).await;
    let mut open = port.connect(&port.connector("shop.example", None)).await.unwrap();
    // A client is through before the server has looked at its certificate.
    assert_eq!(status(&mut open).await, Some(200));
    port.authorities.withdrawn.store(true, Ordering::Relaxed);
    assert_eq!(status(&mut open).await, Some(200));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(status(&mut open).await, Some(421));
}
