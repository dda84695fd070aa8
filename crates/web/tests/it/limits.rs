//! How much one address may ask of the front: refused before anything is read, in the form that whoever asks understands, and told how
//! long to wait.

use crate::fixture::*;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, header};
use hufu_offices::buckets::Rate;
use hufu_web::addresses::{AddressLimits, Addresses};
use hufu_web::front::{mutual_router, router};
use hufu_web::metrics::Metrics;
use hufu_web::reply::Edge;
use hufu_web::serve::{Inherited, Sharing, Stopper, finished, listen_at, serve};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

const FORM: &str = "application/x-www-form-urlencoded";

struct Site {
    _world: World,
    open: Router,
    mutual: Router,
    addresses: Arc<Addresses>,
    metrics: Arc<Metrics>,
}

impl Site {
    /// Each address may ask three things of each kind.
    fn new() -> Self {
        let rate = Some(Rate { burst: 3, every: Duration::from_secs(90) });
        Self::with(AddressLimits { browser: rate, platform: rate, ..AddressLimits::default() })
    }

    fn with(limits: AddressLimits) -> Self {
        let world = World::new();
        let metrics = Arc::new(Metrics::default());
        let edge = Edge::new("front", WALLET, Arc::new(hufu_kernel::OsRng)).with_metrics(Arc::clone(&metrics));
        let addresses = Addresses::new(&edge, limits);
        let open = finished(&edge, router(&edge, &world.front));
        let mutual = finished(&edge, mutual_router(&edge, &world.front));
        Self { _world: world, open, mutual, addresses, metrics }
    }

    async fn ask(&self, at: &Router, from: &str, request: (Method, &str, &[(&str, &str)])) -> Response<Body> {
        let (method, path, headers) = request;
        let mut asked = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        let mut asked = asked.body(Body::from("client_id=shop")).unwrap();
        asked.extensions_mut().insert(self.addresses.asker(from.parse().unwrap()));
        at.clone().oneshot(asked).await.unwrap()
    }
}

fn wait(response: &Response<Body>) -> u64 {
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()[header::CONNECTION], "close", "who goes on has to connect again");
    let told = response.headers()[header::RETRY_AFTER].to_str().unwrap();
    told.parse().unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().into()).unwrap()
}

#[tokio::test]
async fn a_person_reads_a_page_and_a_script_a_code_and_both_learn_how_long_to_wait() {
    let site = Site::new();
    let english = [("accept-language", "en")];
    for path in ["/authorize", "/logout", "/respond?r=x"] {
        let answered = site.ask(&site.open, "192.0.2.1", (Method::GET, path, &english)).await;
        assert_ne!(answered.status(), 429, "{path}");
    }
    for (lang, own) in [("en", "Too many attempts"), ("zh-CN", "操作太频繁")] {
        let headers = [("accept-language", lang)];
        let page = site.ask(&site.open, "192.0.2.1", (Method::GET, "/authorize?client_id=shop", &headers)).await;
        let seconds = wait(&page);
        assert!((80..=90).contains(&seconds), "{seconds}");
        assert!(page.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
        let html = text(page).await;
        assert!(html.contains(own) && html.contains(&format!("Retry-After: {seconds} s")), "{html}");
        assert!(!html.contains("<script"));
    }
    let json = [("origin", WALLET), ("content-type", "application/json")];
    let by_script = [
        site.ask(&site.open, "192.0.2.1", (Method::POST, "/complete", &json)).await,
        site.ask(&site.open, "192.0.2.1", (Method::POST, "/refuse", &json)).await,
        site.ask(&site.open, "192.0.2.1", (Method::GET, "/tx/x", &json[..1])).await,
    ];
    for told in by_script {
        assert!((80..=90).contains(&wait(&told)));
        assert_eq!(told.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], WALLET);
        assert_eq!(told.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS], "retry-after");
        assert!(text(told).await.contains("\"error\":\"too_many\""));
    }
    // A form of the wallet's page is a person's.
    let form = [("origin", WALLET), ("content-type", FORM)];
    let page = site.ask(&site.open, "192.0.2.1", (Method::POST, "/complete", &form)).await;
    assert!(wait(&page) > 0 && text(page).await.contains("<html"));
    // Nobody else waits for it.
    for other in ["192.0.2.2", "2001:db8::1"] {
        assert_ne!(site.ask(&site.open, other, (Method::GET, "/authorize", &[])).await.status(), 429, "{other}");
    }
}

#[tokio::test]
async fn a_platforms_address_is_told_to_wait_before_anything_of_its_request_is_looked_at() {
    let site = Site::new();
    let typed = [("content-type", FORM)];
    for path in ["/par", "/token", "/introspect"] {
        let answered = site.ask(&site.open, "192.0.2.1", (Method::POST, path, &typed)).await;
        assert_eq!(answered.status(), 401, "{path}");
    }
    for path in ["/par", "/token", "/introspect", "/revoke", "/userinfo"] {
        let told = site.ask(&site.open, "192.0.2.1", (Method::POST, path, &typed)).await;
        assert!((80..=90).contains(&wait(&told)), "{path}");
        assert_eq!(told.headers()[header::CACHE_CONTROL], "no-store");
        assert!(text(told).await.contains("\"error\":\"temporarily_unavailable\""), "{path}");
    }
    // What is no form at all is told the same.
    let told = site.ask(&site.open, "192.0.2.1", (Method::POST, "/par", &[("content-type", "text/plain")])).await;
    assert_eq!(told.status(), 429);
    // Browsers at the same address, and documents for everybody, are not a platform's requests.
    assert_ne!(site.ask(&site.open, "192.0.2.1", (Method::GET, "/authorize", &[])).await.status(), 429);
    for _ in 0..20 {
        let document = site.ask(&site.open, "192.0.2.1", (Method::GET, "/jwks.json", &[])).await;
        assert_eq!(document.status(), 200);
    }
    let metrics = site.metrics.text();
    assert!(metrics.contains("hufu_limited_total{office=\"front\",limit=\"platform\"} 6\n"), "{metrics}");
    assert!(!metrics.contains("192.0.2"), "{metrics}");
}

#[tokio::test]
async fn another_listener_of_the_same_front_is_no_way_round() {
    let site = Site::new();
    let typed = [("content-type", FORM)];
    for listener in [&site.open, &site.mutual, &site.open] {
        assert_eq!(site.ask(listener, "192.0.2.1", (Method::POST, "/par", &typed)).await.status(), 401);
    }
    for listener in [&site.mutual, &site.open] {
        assert_eq!(site.ask(listener, "192.0.2.1", (Method::POST, "/par", &typed)).await.status(), 429);
    }
    assert_eq!(site.ask(&site.mutual, "192.0.2.2", (Method::POST, "/par", &typed)).await.status(), 401, "the control");
}

#[tokio::test]
async fn everything_else_is_counted_too_whether_or_not_there_is_such_a_thing() {
    let rate = Some(Rate { burst: 4, every: Duration::from_secs(90) });
    let site = Site::with(AddressLimits { other: rate, ..AddressLimits::default() });
    let open = site.open.clone().merge(hufu_web::health::router("front", Arc::new(|| Box::pin(async { Vec::new() }))));
    let documents = ["/.well-known/openid-configuration", "/jwks.json", "/style.css", "/readyz"];
    for path in documents {
        assert_eq!(site.ask(&open, "192.0.2.1", (Method::GET, path, &[])).await.status(), 200, "{path}");
    }
    for path in documents.into_iter().chain(["/livez", "/nowhere", "/par/../../x", "/.well-known/ssf-configuration"]) {
        let told = site.ask(&open, "192.0.2.1", (Method::GET, path, &[])).await;
        assert!((80..=90).contains(&wait(&told)), "{path}");
    }
    assert_eq!(site.ask(&site.mutual, "192.0.2.1", (Method::GET, "/nowhere", &[])).await.status(), 429);
    // Who is told so may still sign in, and nobody else waits.
    assert_ne!(site.ask(&open, "192.0.2.1", (Method::GET, "/authorize", &[])).await.status(), 429);
    assert_eq!(site.ask(&open, "192.0.2.2", (Method::GET, "/jwks.json", &[])).await.status(), 200);
    assert_eq!(site.ask(&open, "192.0.2.2", (Method::GET, "/nowhere", &[])).await.status(), 404);
}

/// The status that a connection from 127.0.0.`host` is answered with, whatever it says of itself.
async fn status(host: u8, port: u16) -> u16 {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, host], 0).into()).unwrap();
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let asked = "GET /authorize HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.9\r\nforwarded: for=192.0.2.9\r\nconnection: close\r\n\r\n";
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_address_is_the_connections_and_no_header_speaks_for_another() {
    let site = Site::new();
    let (_stopper, stop) = Stopper::new();
    let at = async || listen_at("test", "0.0.0.0:0", &mut Inherited::none(), Sharing::Alone).await.unwrap();
    let (bounded, behind_proxy) = (at().await, at().await);
    let ports = [bounded.port, behind_proxy.port];
    let bounded = bounded.sharing_among(Some(Arc::clone(&site.addresses)));
    tokio::spawn(serve(bounded, site.open.clone(), stop.clone()));
    tokio::spawn(serve(behind_proxy, site.open.clone(), stop));
    for turn in 0..5 {
        assert_eq!(status(2, ports[0]).await == 429, turn >= 3, "{turn}");
    }
    assert_ne!(status(3, ports[0]).await, 429);
    // Where a proxy stands nobody is counted: all of them come from one address.
    for _ in 0..10 {
        assert_ne!(status(2, ports[1]).await, 429);
    }
}

/// Places of waiting wallets are few and anybody may take one.
#[tokio::test]
async fn an_address_begins_to_wait_so_often_and_no_more_whatever_else_it_may_ask() {
    let rate = Some(Rate { burst: 3, every: Duration::from_secs(90) });
    let site = Site::with(AddressLimits { wait: rate, ..AddressLimits::default() });
    let headers = [("content-type", "application/json"), ("origin", WALLET)];
    let ask =
        async |from: &'static str, path: &'static str| site.ask(&site.open, from, (Method::POST, path, &headers)).await;
    for _ in 0..3 {
        assert_ne!(ask("192.0.2.1", "/requests/wait").await.status(), 429);
    }
    assert!(wait(&ask("192.0.2.1", "/requests/wait").await) <= 90);
    assert_ne!(ask("192.0.2.1", "/requests/look").await.status(), 429, "who waits looks");
    assert_ne!(ask("192.0.2.2", "/requests/wait").await.status(), 429, "another address");
}
