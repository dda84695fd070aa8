//! The listener that asks platforms for TLS certificates: who comes in, and that what comes in is what the handshake proved.

use crate::fixture::*;
use hufu_oidc::client::{HttpRequest, Wish};
use hufu_web::front::{mutual_router, router};
use hufu_web::mutual_tls::{PlatformDoors, believing};
use hufu_web::reply::Edge;
use hufu_web::serve::{Place, Stopper, finished, listen, serve};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An authority.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate in the name of a host, and its key.
    fn issue(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> (CertificateDer<'static>, KeyPair) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().der().clone(), key)
    }

    fn client(&self, host: &str) -> CertifiedKey {
        let (certificate, key) = self.issue(host, |_| {});
        certified(vec![certificate], &key)
    }
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> CertifiedKey {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).unwrap()
}

/// Shows what it has, whoever is asked for.
#[derive(Debug)]
struct Shows(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

struct Served {
    world: World,
    believed: Authority,
    server: CertificateDer<'static>,
    /// Where certificates are asked for, and where they are not.
    ports: [u16; 2],
    _stopper: Stopper,
}

impl Served {
    async fn new() -> Self {
        let (world, believed) = (World::new(), Authority::new("believed"));
        let own = rcgen::generate_simple_self_signed(vec!["mtls.localhost".to_owned()]).unwrap();
        let server = own.cert.der().clone();
        let own = Arc::new(SingleCertAndKey::from(certified(vec![server.clone()], &own.signing_key)));
        let mut authorities = RootCertStore::empty();
        authorities.add(believed.certificate.clone()).unwrap();
        let doors = PlatformDoors::new(own, believing(authorities).unwrap()).unwrap();
        let edge = Edge::new("front", WALLET, Arc::new(hufu_kernel::OsRng));
        let (stopper, stop) = Stopper::new();
        let any = Place { what: "test", port: 0, flag: "--port" };
        let (mutual, open) = (listen(any).await.unwrap().for_platforms(doors), listen(any).await.unwrap());
        let ports = [mutual.port, open.port];
        tokio::spawn(serve(mutual, finished(&edge, mutual_router(&edge, &world.front)), stop.clone()));
        tokio::spawn(serve(open, finished(&edge, router(&edge, &world.front)), stop));
        Self { world, believed, server, ports, _stopper: stopper }
    }

    /// What is answered to a client that shows this; `None` if the connection ends without an answer.
    async fn ask(&self, shown: Option<CertifiedKey>, request: &HttpRequest) -> Option<(u16, String)> {
        let mut roots = RootCertStore::empty();
        roots.add(self.server.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(Shows(shown.map(Arc::new))));
        let stream = TcpStream::connect(("127.0.0.1", self.ports[0])).await.unwrap();
        let name = ServerName::try_from("mtls.localhost").unwrap();
        // With TLS 1.3 a client is through before the server has looked at its certificate.
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
        stream.write_all(wire(request).as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        // Who is cut off may learn of it by an alert.
        let _ = stream.read_to_end(&mut answer).await;
        parsed(&answer)
    }

    /// The same where nobody is asked for a certificate.
    async fn ask_openly(&self, request: &HttpRequest) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[1])).await.unwrap();
        stream.write_all(wire(request).as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        parsed(&answer)
    }
}

fn wire(request: &HttpRequest) -> String {
    let path = request.url.strip_prefix(MTLS).unwrap();
    let headers = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
    let length = request.body.len();
    format!(
        "{} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{}",
        request.method, request.body
    )
}

fn parsed(answer: &[u8]) -> Option<(u16, String)> {
    let text = std::str::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

#[tokio::test]
async fn a_platform_comes_in_by_its_certificate_and_is_known_by_it() {
    let served = Served::new().await;
    let till = served.world.by_certificate("till");
    served.world.by_certificate("bank");
    let pending = till.begin(&Wish::default(), &*served.world.rng);
    let push = served.world.push_request(&till, &pending);
    let (status, body) = served.ask(Some(served.believed.client("till.example")), &push).await.unwrap();
    assert_eq!(status, 201, "{body}");
    till.pushed(status, &body).unwrap();
    // Another platform of the same authority is itself and nobody else.
    let (status, body) = served.ask(Some(served.believed.client("bank.example")), &push).await.unwrap();
    assert!(status == 401 && body.contains("invalid_client"), "{status} {body}");
    // Through an authority below the believed one.
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "between");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().unwrap();
    let between = params.signed_by(&key, &served.believed.issuer).unwrap().der().clone();
    let below = Authority { certificate: between.clone(), issuer: Issuer::new(params, key) };
    let (certificate, key) = below.issue("till.example", |_| {});
    let chained = certified(vec![certificate, between], &key);
    assert_eq!(served.ask(Some(chained), &push).await.unwrap().0, 201);
}

#[tokio::test]
async fn nobody_comes_in_whose_certificate_is_not_proven() {
    let served = Served::new().await;
    let till = served.world.by_certificate("till");
    let push = served.world.push_request(&till, &till.begin(&Wish::default(), &*served.world.rng));
    let believed = &served.believed;
    let of_it = |change: fn(&mut CertificateParams)| {
        let (certificate, key) = believed.issue("till.example", change);
        certified(vec![certificate], &key)
    };
    let (stolen, _) = believed.issue("till.example", |_| {});
    let thief = KeyPair::generate().unwrap();
    let signing = aws_lc_rs::sign::any_ecdsa_type(&PrivatePkcs8KeyDer::from(thief.serialize_der()).into()).unwrap();
    let alone = rcgen::generate_simple_self_signed(vec!["till.example".to_owned()]).unwrap();
    for (why, shown) in [
        ("none", None),
        ("self-signed", Some(certified(vec![alone.cert.der().clone()], &alone.signing_key))),
        ("another authority's of the same name", Some(Authority::new("believed").client("till.example"))),
        ("without its key", Some(CertifiedKey::new(vec![stolen], signing))),
        ("ended", Some(of_it(|params| params.not_after = date_time_ymd(2024, 1, 1)))),
        ("not begun", Some(of_it(|params| params.not_before = date_time_ymd(2090, 1, 1)))),
        ("a server's", Some(of_it(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]))),
    ] {
        assert_eq!(served.ask(shown, &push).await, None, "{why}");
    }
    assert_eq!(served.ask(Some(of_it(|_| {})), &push).await.unwrap().0, 201, "the control");
}

#[tokio::test]
async fn no_header_speaks_for_a_certificate() {
    let served = Served::new().await;
    let till = served.world.by_certificate("till");
    let mut push = served.world.push_request(&till, &till.begin(&Wish::default(), &*served.world.rng));
    for name in ["x-client-cert", "x-forwarded-client-cert", "ssl-client-cert", "client-cert", "x-ssl-client-s-dn"] {
        push.headers.push((name, "Subject=\"CN=till.example\";DNS=till.example".to_owned()));
    }
    let (status, body) = served.ask_openly(&push).await.unwrap();
    assert!(status == 401 && body.contains("invalid_client"), "{status} {body}");
    // Nor for another one than the connection's.
    let (status, _) = served.ask(Some(served.believed.client("bank.example")), &push).await.unwrap();
    assert_eq!(status, 401);
    assert_eq!(served.ask(Some(served.believed.client("till.example")), &push).await.unwrap().0, 201);
}

#[tokio::test]
async fn nothing_that_browsers_meet_is_where_certificates_are_asked_for() {
    let served = Served::new().await;
    let own = || Some(served.believed.client("till.example"));
    let get = |path: &str| HttpRequest {
        method: "GET",
        url: format!("{MTLS}{path}"),
        headers: Vec::new(),
        body: String::new(),
    };
    for path in ["/authorize", "/complete", "/tx/x", "/respond", "/logout", "/.well-known/openid-configuration"] {
        assert_eq!(served.ask(own(), &get(path)).await.unwrap().0, 404, "{path}");
    }
    assert_eq!(served.ask(own(), &get("/userinfo")).await.unwrap().0, 401, "the control");
}
