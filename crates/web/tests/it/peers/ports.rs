//! The ports over HTTP: who may ask what, and what comes back.

use super::world::*;
use axum::Router;
use axum::extract::Request;
use axum::http::Version;
use axum::routing::any;
use hufu_kernel::{EnrolmentId, NodeIndex, Refusal};
use hufu_offices::ports::{Node, Post, Registry, SubjectHandles, Tagger, Uniqueness};
use hufu_web::peers::{self, PeerOffice, PeerRoute};
use hufu_web::serve::{Place, Stopper, listen, serve};
use hufu_wire::api::handles::AskStandings;
use hufu_wire::api::platform::ListAdmitted;
use hufu_wire::api::roster::OFFICES;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Path and, of the offices, those that may ask. Not taken from the code: a change there has to be made here too.
const MAY: [(&str, &[&str]); 19] = [
    ("/office/v1/tagger/evaluate", &["registrar"]),
    ("/office/v1/uniqueness/reserve", &["registrar"]),
    ("/office/v1/uniqueness/begin_recovery", &["registrar"]),
    ("/office/v1/uniqueness/store_wrap", &["registrar"]),
    ("/office/v1/uniqueness/confirm", &["registrar"]),
    ("/office/v1/uniqueness/confirmation", &["node-1", "node-2", "node-3", "registrar"]),
    ("/office/v1/uniqueness/forget", &["node-1", "node-2", "node-3"]),
    ("/office/v1/node/new_holder", &["registrar"]),
    ("/office/v1/node/activate", &["registrar"]),
    ("/office/v1/node/find_row", &["registrar"]),
    ("/office/v1/node/recover", &["registrar"]),
    ("/office/v1/handles/standings", &["front"]),
    ("/office/v1/handles/ask_person", &["front"]),
    ("/office/v1/post/send_code", &["registrar"]),
    ("/office/v1/post/store_contact", &["registrar"]),
    ("/office/v1/post/keep_contact", &["node-1", "node-2", "node-3"]),
    ("/office/v1/post/notify", &["node-1", "node-2", "node-3"]),
    ("/office/v1/post/forget", &["node-1", "node-2", "node-3"]),
    ("/office/v1/registry/admitted", &["front"]),
];

fn paths() -> BTreeSet<&'static str> {
    fn of<O: ?Sized>(table: &'static [PeerRoute<O>]) -> Vec<&'static str> {
        assert!(table.iter().all(|route| !route.what.is_empty()));
        table.iter().map(|route| route.path).collect()
    }
    let nodes = of(peers::node()).into_iter().chain(of(peers::subject_handles()));
    [of(peers::tagger()), of(peers::uniqueness()), of(peers::post()), of(peers::registry())]
        .concat()
        .into_iter()
        .chain(nodes)
        .collect()
}

#[tokio::test]
async fn every_office_may_ask_what_the_table_says_and_nothing_else() {
    assert_eq!(paths(), MAY.iter().map(|(path, _)| *path).collect());
    let world = World::new();
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    for office in OFFICES {
        let peer = world.peer(office, "uniqueness", served.port);
        for (path, may) in MAY {
            // Whoever may ask gets as far as the message, which is none.
            let wanted = if may.contains(&office) { Refusal::Malformed } else { Refusal::OfficeRefused };
            assert_eq!(peer.call::<_, Value>(path, &json!({})).await, Err(wanted), "{office} {path}");
        }
        assert_eq!(peer.call::<_, Value>("/office/v1/nowhere", &json!({})).await, Err(Refusal::NotFound), "{office}");
    }
}

#[tokio::test]
async fn without_a_certificate_of_an_office_no_route_between_offices_answers() {
    let listening = listen(Place { what: "test", port: 0, flag: "" }).await.unwrap();
    let (port, (_stopper, stop)) = (listening.port, Stopper::new());
    tokio::spawn(serve(listening, every_port(Refusal::Locked), stop));
    for (path, _) in MAY {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let ask = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\npeeroffice: registrar\r\ncontent-type: application/json\r\n\
             content-length: 2\r\nconnection: close\r\n\r\n{{}}"
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("office_refused"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn every_refusal_comes_back_as_itself() {
    let world = World::new();
    for refusal in Refusal::ALL {
        let served = world.serve("uniqueness", every_port(*refusal)).await;
        let (peers, _) = world.peers("registrar", "uniqueness", served.port, hasty());
        let answer = peers.uniqueness().unwrap().confirmation(&EnrolmentId::from([1; 16])).await;
        assert_eq!(answer, Err(*refusal));
    }
}

/// Answers what the trait says, so that every method is seen to arrive where it belongs.
#[tokio::test]
async fn every_method_reaches_its_own_path() {
    let world = World::new();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let noting = Arc::clone(&seen);
    let routes = Router::new().fallback(move |request: Request| {
        noting.lock().unwrap().push(request.uri().path().to_owned());
        let answer = ([("content-type", "application/json")], "\"no answer of any port\"");
        std::future::ready(answer)
    });
    let served = world.serve("uniqueness", routes).await;
    let uniqueness = world.peer("registrar", "uniqueness", served.port);
    let tagger: Arc<dyn Tagger> = Arc::new(peers::HttpTagger(Arc::clone(&uniqueness)));
    let node: Arc<dyn Node> = Arc::new(peers::HttpNode(Arc::clone(&uniqueness)));
    let post: Arc<dyn Post> = Arc::new(peers::HttpPost(Arc::clone(&uniqueness)));
    let registry: Arc<dyn Registry> = Arc::new(peers::HttpRegistry(Arc::clone(&uniqueness)));
    let handles: Arc<dyn SubjectHandles> = Arc::new(peers::HttpSubjectHandles(Arc::clone(&uniqueness)));
    let uniqueness: Arc<dyn Uniqueness> = Arc::new(peers::HttpUniqueness(uniqueness));
    macro_rules! ask {
        ($($port:ident . $method:ident),*) => { $({
            let message = serde_json::from_value(signed()).unwrap();
            let _ = $port.$method(&message).await;
        })* };
    }
    ask!(tagger.evaluate, uniqueness.reserve, uniqueness.begin_recovery, uniqueness.store_wrap, uniqueness.confirm);
    ask!(uniqueness.forget, node.new_holder, node.find_row, node.recover, post.send_code, post.store_contact);
    ask!(post.keep_contact, post.notify, post.forget);
    let _ = uniqueness.confirmation(&EnrolmentId::from([1; 16])).await;
    let _ = registry.admitted(&ListAdmitted { after: String::new() }).await;
    let wanted = hufu_wire::subject_handle::HandleUse::Signals;
    let _ = handles.standings(&AskStandings { certificate: String::new(), wanted, halves: Vec::new() }).await;
    let nobody = hufu_kernel::b64(&[0; 32]);
    let half = hufu_kernel::b64(&[0; hufu_wire::subject_handle::HALF]);
    let ask = json!({ "certificate": "", "half": half, "tx": nobody, "secret": nobody, "exp": 0 });
    let _ = handles.ask_person(&serde_json::from_value(ask).unwrap()).await;
    let activate = json!({ "confirmation": signed(), "reports": [], "ready": [] });
    let _ = node.activate(&serde_json::from_value(activate).unwrap()).await;
    let seen: BTreeSet<String> = seen.lock().unwrap().iter().cloned().collect();
    assert_eq!(seen.len(), MAY.len());
    assert!(MAY.iter().all(|(path, _)| seen.contains(*path)), "{seen:?}");
}

fn signed() -> Value {
    json!({ "office": "registrar", "payload": "e30", "signature": hufu_kernel::b64(&[0; 64]) })
}

#[tokio::test]
async fn nothing_that_could_join_two_offices_logs_crosses() {
    let world = World::new();
    type Seen = (Version, Vec<String>, Option<PeerOffice>);
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let noting = Arc::clone(&seen);
    let routes = Router::new().route(
        "/office/v1/echo",
        any(move |request: Request| {
            let names = request.headers().keys().map(|name| name.as_str().to_owned()).collect();
            let caller = request.extensions().get::<PeerOffice>().cloned();
            noting.lock().unwrap().push((request.version(), names, caller));
            std::future::ready(([("content-type", "application/json")], "null"))
        }),
    );
    let served = world.serve("post", routes).await;
    let peer = world.peer("node-2", "post", served.port);
    for _ in 0..3 {
        peer.call::<_, ()>("/office/v1/echo", &json!({})).await.unwrap();
    }
    for (version, names, caller) in seen.lock().unwrap().iter() {
        assert_eq!(*version, Version::HTTP_2);
        assert_eq!(
            names.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            BTreeSet::from(["content-length", "content-type"])
        );
        let caller = caller.as_ref().unwrap();
        assert_eq!((caller.name(), caller.node().map(NodeIndex::get)), ("node-2", Some(2)));
    }
}

#[tokio::test]
async fn calls_are_counted_by_peer_route_and_outcome() {
    let world = World::new();
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    let (peers, metrics) = world.peers("node-1", "uniqueness", served.port, hasty());
    let _ = peers.uniqueness().unwrap().confirmation(&EnrolmentId::from([1; 16])).await;
    drop(served);
    let text = metrics.text();
    let line = "hufu_peer_calls_total{office=\"node-1\",peer=\"uniqueness\",route=\"/office/v1/uniqueness/confirmation\",outcome=\"refused\"} 1";
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[test]
fn offices_that_cannot_be_called_are_told_at_the_start() {
    let world = World::new();
    let with = |address: &str| {
        let addresses = BTreeMap::from([("post".to_owned(), address.to_owned())]);
        peers::Peers::new(world.leaf("front"), world.roster.clone(), &addresses, hasty(), None)
    };
    for address in ["127.0.0.1:1", "localhost:8443", "[::1]:8443", "post.example:443"] {
        assert!(with(address).unwrap().to("post").is_ok(), "{address}");
    }
    for address in
        ["", "post.example", "127.0.0.1:0", "https://post.example:1", "a@post.example:1", "post.example:99999"]
    {
        assert!(with(address).is_err(), "{address}");
    }
    assert!(with("127.0.0.1:1").unwrap().to("registry").is_err());
}
