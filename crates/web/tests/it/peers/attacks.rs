//! Whoever is not the office they say they are: as a caller and as the one who is called.

use super::world::*;
use hufu_kernel::{Octets, Refusal};
use hufu_web::peers::{HttpUniqueness, PeerError, Peers};
use hufu_wire::api::roster::tls_name;
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme, SupportedProtocolVersion};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const CONFIRMATION: &str = "/office/v1/uniqueness/confirmation";

/// What an honest office would make for itself, to be changed in one place.
fn honest<'a>(world: &'a World, office: &str) -> Crafted<'a> {
    let own = &world.offices[office];
    let name = tls_name(office, &world.root_id);
    Crafted {
        names: vec![name.clone()],
        issuer: name,
        vouching: own,
        tls: own,
        days: (-1, 30),
        usages: vec![ServerAuth, ClientAuth],
    }
}

/// Certificates in the name of `office`, or near it, that must not be believed.
fn forged<'a>(world: &'a World, office: &str, attacker: &'a Office) -> Vec<(&'static str, Crafted<'a>)> {
    let good = || honest(world, office);
    let name = |office: &str| tls_name(office, &world.root_id);
    let other_root = tls_name(office, &Octets([0xcd; 16]));
    vec![
        ("an office's name under another office's key", Crafted { vouching: &world.offices["tagger-2"], ..good() }),
        (
            "an office's name under another office's key and issuer",
            Crafted { vouching: &world.offices["tagger-2"], issuer: name("tagger-2"), ..good() },
        ),
        ("an office's name under a stranger's key", Crafted { vouching: attacker, tls: attacker, ..good() }),
        ("an expired certificate", Crafted { days: (-40, -1), ..good() }),
        ("a certificate of tomorrow", Crafted { days: (2, 30), ..good() }),
        ("another trust root", Crafted { names: vec![other_root.clone()], issuer: other_root, ..good() }),
        (
            "another trust root under this one's issuer",
            Crafted { names: vec![tls_name(office, &Octets([0xcd; 16]))], ..good() },
        ),
        ("no name", Crafted { names: Vec::new(), ..good() }),
        ("a name above the offices'", Crafted { names: vec!["hufu.internal".into()], ..good() }),
        ("no usage for this", Crafted { usages: vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning], ..good() }),
    ]
}

// -- as callers

/// Takes whatever certificate a server has: these tests are about the caller's.
#[derive(Debug)]
struct Believing;

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

type Shown = Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>;

/// Connects as a caller with this certificate would.
async fn connected(
    port: u16,
    sni: &str,
    shown: Shown,
    version: &'static SupportedProtocolVersion,
    speaks: &[&[u8]],
) -> Result<TlsStream<TcpStream>, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believing));
    let mut config = match shown {
        None => config.with_no_client_auth(),
        Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
    };
    config.alpn_protocols = speaks.iter().map(|name| name.to_vec()).collect();
    let text = |error: std::io::Error| error.to_string();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(text)?;
    let name = ServerName::try_from(sni.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(text)
}

/// Asks as a caller with this certificate would, and what comes back.
async fn ask(port: u16, sni: &str, shown: Shown, version: &'static SupportedProtocolVersion) -> Result<String, String> {
    let mut stream = connected(port, sni, shown, version, &[]).await?;
    let text = |error: std::io::Error| error.to_string();
    let ask = format!(
        "POST {CONFIRMATION} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
         connection: close\r\n\r\n{{}}"
    );
    stream.write_all(ask.as_bytes()).await.map_err(text)?;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    if answer.is_empty() {
        Err(read.map_or_else(text, |_| "closed".to_owned()))
    } else {
        Ok(String::from_utf8(answer).unwrap())
    }
}

const TLS13: &SupportedProtocolVersion = &rustls::version::TLS13;

#[tokio::test]
async fn a_caller_is_believed_for_its_own_name_under_its_own_key_alone() {
    let (world, attacker) = (World::new(), Office::new());
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    let sni = tls_name("uniqueness", &world.root_id);
    // The control: a certificate made by hand as an honest registrar makes it gets as far as the message.
    let answer = ask(served.port, &sni, Some(honest(&world, "registrar").make()), TLS13).await.unwrap();
    assert!(answer.contains("malformed"), "{answer}");
    for (what, crafted) in forged(&world, "registrar", &attacker) {
        let answer = ask(served.port, &sni, Some(crafted.make()), TLS13).await;
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn a_caller_who_proves_its_name_and_asks_nothing_is_cut_off_after_ten_seconds_whatever_it_speaks() {
    let world = World::new();
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    let sni = tls_name("uniqueness", &world.root_id);
    let arrive = |speaks: &'static [&'static [u8]]| {
        let shown = Some(honest(&world, "registrar").make());
        let (port, sni) = (served.port, sni.clone());
        async move { connected(port, &sni, shown, TLS13, speaks).await.unwrap() }
    };
    let (mut silent, mut one, two) = (arrive(&[b"h2"]).await, arrive(&[]).await, arrive(&[b"h2"]).await);
    let began = tokio::time::Instant::now();
    // Alive in all that HTTP/2 asks of a client: it greets, and answers every ping.
    let (_sender, alive) = hyper::client::conn::http2::handshake::<_, _, axum::body::Body>(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(two),
    )
    .await
    .unwrap();
    let mut rest = (Vec::new(), Vec::new());
    let (ends, seconds) = (std::time::Duration::from_secs(15), |at: tokio::time::Instant| (at - began).as_secs());
    let ended = tokio::time::timeout(ends, async {
        tokio::join!(
            async { (silent.read_to_end(&mut rest.0).await.is_ok(), tokio::time::Instant::now()).1 },
            async { (one.read_to_end(&mut rest.1).await.is_ok(), tokio::time::Instant::now()).1 },
            async { (alive.await.is_ok(), tokio::time::Instant::now()).1 },
        )
    });
    let (silent, one, two) = ended.await.expect("open for more than fifteen seconds");
    for (what, at) in [("HTTP/2 without a word", silent), ("HTTP/1.1", one), ("HTTP/2", two)] {
        assert!((9..=12).contains(&seconds(at)), "{what}: after {} s", seconds(at));
    }
}

#[tokio::test]
async fn a_caller_without_a_certificate_or_with_one_for_several_offices_or_behind_another_is_refused() {
    let world = World::new();
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    let sni = tls_name("uniqueness", &world.root_id);
    assert!(ask(served.port, &sni, None, TLS13).await.is_err());

    let every = Crafted { names: vec![tls_name("*", &world.root_id)], ..honest(&world, "registrar") };
    assert!(ask(served.port, &sni, Some(every.make()), TLS13).await.is_err());
    let two = vec![tls_name("node-1", &world.root_id), tls_name("registrar", &world.root_id)];
    for own in ["node-1", "registrar"] {
        let both = Crafted { names: two.clone(), ..honest(&world, own) };
        assert!(ask(served.port, &sni, Some(both.make()), TLS13).await.is_err(), "{own}");
    }

    let (mut chain, key) = honest(&world, "registrar").make();
    chain.push(honest(&world, "node-1").make().0.remove(0));
    assert!(ask(served.port, &sni, Some((chain, key)), TLS13).await.is_err());
}

#[tokio::test]
async fn another_caller_of_the_roster_is_who_it_is_and_not_who_may() {
    let world = World::new();
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    let sni = tls_name("uniqueness", &world.root_id);
    let answer = ask(served.port, &sni, Some(honest(&world, "tagger-1").make()), TLS13).await.unwrap();
    assert!(answer.contains("office_refused"), "{answer}");
}

#[tokio::test]
async fn tls_1_2_is_not_spoken() {
    let world = World::new();
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    let sni = tls_name("uniqueness", &world.root_id);
    let shown = || Some(honest(&world, "registrar").make());
    assert!(ask(served.port, &sni, shown(), &rustls::version::TLS12).await.is_err());
    assert!(ask(served.port, &sni, shown(), TLS13).await.is_ok());
}

#[tokio::test]
async fn a_caller_who_looks_for_another_office_is_not_answered() {
    let world = World::new();
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    for office in ["post", "node-1"] {
        let sni = tls_name(office, &world.root_id);
        assert!(ask(served.port, &sni, Some(honest(&world, "registrar").make()), TLS13).await.is_err(), "{office}");
    }
    assert!(ask(served.port, "127.0.0.1", Some(honest(&world, "registrar").make()), TLS13).await.is_err());
}

/// The key that an office knows of another is its own roster's: an attacker's roster changes nothing.
#[tokio::test]
async fn an_office_that_says_it_is_another_is_refused() {
    let world = World::new();
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    let clock = Arc::clone(&world.clock) as Arc<dyn hufu_kernel::Clock>;
    let keys = Arc::clone(&world.offices["tagger-2"].keys);
    let leaf = hufu_web::peers::Leaf::new(keys, "registrar", world.root_id, clock).unwrap();
    let address = BTreeMap::from([("uniqueness".to_owned(), format!("127.0.0.1:{}", served.port))]);
    // With the honest roster it does not even start.
    let refused = Peers::new(Arc::clone(&leaf), world.roster.clone(), &address, hasty(), None);
    assert!(matches!(refused, Err(PeerError::NotPinned(_))));
    let peers = Peers::new(leaf, world.claiming("registrar", "tagger-2"), &address, hasty(), None).unwrap();
    let answer = peers.to("uniqueness").unwrap().call::<_, Value>(CONFIRMATION, &json!({})).await;
    assert_eq!(answer, Err(Refusal::OfficeUnreachable));
}

// -- as those who are called

/// A server that answers every question with `null`, under this certificate.
async fn pretender(
    (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    version: &'static SupportedProtocolVersion,
) -> u16 {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut asked = vec![0; 65_536];
                let _ = stream.read(&mut asked).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\nnull";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

async fn confirmation(world: &World, port: u16) -> Result<bool, Refusal> {
    use hufu_offices::ports::Uniqueness as _;
    let uniqueness = HttpUniqueness(world.peer("node-1", "uniqueness", port));
    uniqueness.confirmation(&hufu_kernel::EnrolmentId::from([1; 16])).await.map(|found| found.is_some())
}

#[tokio::test]
async fn who_is_called_is_believed_for_its_own_name_under_its_own_key_alone() {
    let (world, attacker) = (World::new(), Office::new());
    // The control.
    let port = pretender(honest(&world, "uniqueness").make(), TLS13).await;
    assert_eq!(confirmation(&world, port).await, Ok(false));
    for (what, crafted) in forged(&world, "uniqueness", &attacker) {
        let port = pretender(crafted.make(), TLS13).await;
        assert_eq!(confirmation(&world, port).await, Err(Refusal::OfficeUnreachable), "{what}");
    }
    let port = pretender(honest(&world, "uniqueness").make(), &rustls::version::TLS12).await;
    assert_eq!(confirmation(&world, port).await, Err(Refusal::OfficeUnreachable), "TLS 1.2");
}

#[tokio::test]
async fn another_office_at_the_configured_address_is_refused() {
    let world = World::new();
    for office in ["post", "tagger-2", "node-2"] {
        let served = world.serve(office, every_port(Refusal::Locked)).await;
        assert_eq!(confirmation(&world, served.port).await, Err(Refusal::OfficeUnreachable), "{office}");
    }
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    assert_eq!(confirmation(&world, served.port).await, Err(Refusal::Locked));
}

#[tokio::test]
async fn offices_of_two_trust_roots_do_not_meet() {
    let (world, other) = (World::new(), World::with_root(Octets([0xcd; 16])));
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    assert_eq!(confirmation(&other, served.port).await, Err(Refusal::OfficeUnreachable));
    // Not even with the same keys.
    let same = world.under(Octets([0xcd; 16]));
    assert_eq!(confirmation(&same, served.port).await, Err(Refusal::OfficeUnreachable));
    let same = world.under(world.root_id);
    assert_eq!(confirmation(&same, served.port).await, Err(Refusal::Locked));
}
