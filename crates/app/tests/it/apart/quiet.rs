//! What offices that are apart say: everything they log and every span they send, with people at all they can do. No person is in it,
//! no place, nothing of a row; and no trace is seen at two offices.

use super::{Deployment, init, place};
use crate::linking::platform;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use hufu_kernel::{Pair, b64, hex};
use hufu_sandbox::persons::Person;
use hufu_sandbox::robot::{Robot, Visit, World, wish};
use hufu_sandbox::tour::found;
use hufu_wallet::{Device as _, SoftwareDevice};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

const PASSWORD: &str = "27182845";
const WRONG: &str = "31415926";
const PLATFORMS: [&str; 3] = ["yunzhou-hall", "tin-drum-mall", "moss-castle"];
/// Where a caller comes from.
const CALLER: &str = "127.77.31.9";
/// The trace that callers say they are part of.
const THEIRS: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// All that we write, as loud as it goes; of libraries what an operator sees.
const LOUD: &str =
    "info,hufu_app=trace,hufu_web=trace,hufu_offices=trace,hufu_store=trace,hufu_oidc=trace,hufu_wire=trace";

/// What a collector was sent, body by body.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Value>>>);

impl Collector {
    async fn start() -> (Self, u16) {
        async fn take(State(all): State<Collector>, body: axum::body::Bytes) -> &'static str {
            all.0.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            "{}"
        }
        let own = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let routes = Router::new().route("/v1/traces", post(take)).with_state(own.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (own, port)
    }

    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }
}

/// One span, as it arrived.
#[derive(Clone, Debug)]
struct Arrived {
    office: String,
    trace: String,
    span: Value,
}

fn spans(bodies: &[Value]) -> Vec<Arrived> {
    let mut all = Vec::new();
    for resource in bodies.iter().flat_map(|body| body["resourceSpans"].as_array().unwrap()) {
        let attributes = resource["resource"]["attributes"].as_array().unwrap();
        let office =
            attributes.iter().find(|one| one["key"] == "service.name").unwrap()["value"]["stringValue"].clone();
        for span in
            resource["scopeSpans"].as_array().unwrap().iter().flat_map(|scope| scope["spans"].as_array().unwrap())
        {
            let trace = span["traceId"].as_str().unwrap().to_owned();
            all.push(Arrived { office: office.as_str().unwrap().to_owned(), trace, span: span.clone() });
        }
    }
    all
}

/// Traces that two offices have spans of.
fn crossing(spans: &[Arrived]) -> BTreeSet<String> {
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for one in spans {
        seen.entry(&one.trace).or_default().insert(&one.office);
    }
    seen.into_iter().filter(|(_, offices)| offices.len() > 1).map(|(trace, _)| trace.to_owned()).collect()
}

/// Every text of every row at rest that is long enough to be anybody's: handles, names between nodes, keys, indexes.
fn of_rows(folder: &Path, needles: &mut BTreeSet<String>) {
    fn texts(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if text.len() >= 16 => drop(into.insert(text.clone())),
            Value::Array(all) => all.iter().for_each(|one| texts(one, into)),
            Value::Object(all) => all.values().for_each(|one| texts(one, into)),
            _ => {}
        }
    }
    for office in ["node-1", "node-2", "node-3", "registrar", "uniqueness", "post"] {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let store = rusqlite::Connection::open_with_flags(folder.join(office).join("store.sqlite"), flags).unwrap();
        let kinds = "SELECT name FROM store__kind";
        let kinds: Vec<String> =
            store.prepare(kinds).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for kind in kinds {
            let mut all = store.prepare(&format!("SELECT body FROM \"{kind}\"")).unwrap();
            let mut rows = all.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let body = match row.get_ref(0).unwrap() {
                    rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => bytes.to_vec(),
                    other => panic!("{other:?}"),
                };
                texts(&serde_json::from_slice(&body).unwrap(), needles);
            }
        }
    }
}

fn of_person(person: &Person, robot: &Robot, credential: &[u8], needles: &mut BTreeSet<String>) {
    let number = robot.state.number.as_ref().unwrap().as_str().to_owned();
    needles.extend([person.name.clone(), person.latin.clone(), person.phone.as_str().to_owned(), number]);
    needles.extend(person.documents.iter().map(|document| document.number.expose().to_owned()));
    needles.extend([b64(credential), hex(credential)]);
}

/// A person's life at the offices, refusals among it.
async fn live(world: &World, data: &Path, person: &Person, needles: &mut BTreeSet<String>) {
    let device = SoftwareDevice::generate(&world.trust.rp_id, &world.trust.wallet_origin, world.rng.as_ref()).unwrap();
    let credential = device.credential_id().0;
    let mut robot = world.robot_with(device, hufu_wallet::State::default()).unwrap();
    world.enrol(&mut robot, person, PASSWORD).await.unwrap();
    of_person(person, &robot, &credential, needles);
    for (pair, name) in Pair::ALL.into_iter().zip(PLATFORMS) {
        let shop = platform(data, name, world);
        let strength = Some(hufu_kernel::Strength::CertificatePassword);
        for password in [WRONG, PASSWORD] {
            let visit = Visit { platform: &shop, wish: wish(&[], strength), pair, password: Some(password) };
            if let Ok(known) = visit.run(world, &mut robot).await {
                needles.extend([known.token.sub, known.token.hufu.ep, known.id_token, known.access_token]);
                assert_eq!(password, PASSWORD);
            }
        }
    }
    needles.extend(robot.state.receipts.iter().map(|receipt| serde_json::to_string(receipt).unwrap()));
    robot.lock().await.unwrap();
    let shop = platform(data, PLATFORMS[0], world);
    let visit = Visit { platform: &shop, wish: wish(&[], None), pair: Pair::ALL[0], password: None };
    assert!(visit.run(world, &mut robot).await.is_err(), "locked");
    robot.unlock().await.unwrap();
    robot.end_sessions().await.unwrap();
    robot.replace_number().await.unwrap();
    of_person(person, &robot, &credential, needles);
    // Somebody else with the same document.
    assert!(world.enrol(&mut world.robot().unwrap(), person, PASSWORD).await.is_err());
}

/// Whoever comes with what is no question, from an address of their own, and says which trace they belong to.
async fn knock(port: u16, needles: &mut BTreeSet<String>) {
    for path in [
        "/tx/QQQQsomebodys-transaction-QQQQ",
        "/authorize?client_id=qq-somebodys-shop",
        "/v1/sign-in/begin",
        "/par",
        "/qq-nowhere",
    ] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{CALLER}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(format!("127.0.0.1:{port}").parse().unwrap()).await.unwrap();
        let ask = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ntraceparent: 00-{THEIRS}-00f067aa0ba902b7-01\r\ntracestate: qq=qqsecretstate\r\n\
             content-type: application/json\r\ncontent-length: 26\r\nconnection: close\r\n\r\n{{\"handle\":\"qq-the-handle\"}}"
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{path}: {}", String::from_utf8_lossy(&answer));
    }
    let said = [
        "QQQQsomebodys-transaction-QQQQ",
        "qq-somebodys-shop",
        "qq-the-handle",
        "qqsecretstate",
        "qq-nowhere",
        "00f067aa0ba902b7",
    ];
    needles.extend(said.map(str::to_owned));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_offices_log_or_send_to_a_collector_names_a_person_or_a_place_and_no_trace_crosses_between_them() {
    let (collector, port) = Collector::start().await;
    let place = place();
    let folder = init(place.path());
    for office in hufu_app::root::OFFICES {
        let config = folder.join(office).join("office.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let table = format!("\n[tracing]\nendpoint = \"http://127.0.0.1:{port}\"\nevery_s = 1\n");
        std::fs::write(&config, text.replacen("[tracing]", "# as below", 1) + &table).unwrap();
    }
    let log = place.path().join("log");
    let deployment = Deployment::start_logged(place, folder.clone(), LOUD, &log).await;
    let (world, data) = (deployment.seen.world(), folder.join("world"));
    let mut needles = BTreeSet::from([CALLER.to_owned(), THEIRS.to_owned(), PASSWORD.to_owned(), WRONG.to_owned()]);
    for person in &deployment.seen.persons()[80..83] {
        live(&world, &data, person, &mut needles).await;
    }
    for address in
        [&world.addresses.issuer, &world.addresses.registrar, &world.addresses.nodes[0], &world.addresses.nodes[2]]
    {
        knock(address.rsplit_once(':').unwrap().1.parse().unwrap(), &mut needles).await;
    }
    needles.extend(PLATFORMS.iter().flat_map(|name| [(*name).to_owned(), format!("https://{name}.example")]));
    of_rows(&folder, &mut needles);
    assert!(needles.len() > 200, "{}", needles.len());
    // A second for those that are under way, one for the sending.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let _place = deployment.keep_place();

    let (logged, sent) = (std::fs::read(&log).unwrap(), collector.all());
    let offices = |text: &[u8]| hufu_app::root::OFFICES.into_iter().filter(|name| found(text, name)).count();
    assert!(offices(&logged) >= 5 && logged.len() > 4_000, "the offices logged: {} bytes", logged.len());
    let arrived = spans(&sent);
    let of: BTreeSet<&str> = arrived.iter().map(|one| one.office.as_str()).collect();
    assert_eq!(of, hufu_app::root::OFFICES.into_iter().collect(), "every office sent spans");
    let bodies = serde_json::to_vec(&sent).unwrap();
    let finds = |bytes: &[u8]| needles.iter().filter(|needle| found(bytes, needle)).cloned().collect::<Vec<_>>();
    assert_eq!(finds(&logged), Vec::<String>::new(), "logged");
    assert_eq!(finds(&bodies), Vec::<String>::new(), "sent to a collector");
    within_the_list(&arrived);
    assert_eq!(crossing(&arrived), BTreeSet::new());
    controls(&arrived, &needles, &logged);
}

/// What a span may say.
fn within_the_list(arrived: &[Arrived]) {
    let keys = ["http.route", "http.response.status_code", "hufu.refusal", "server.address", "hufu.outcome"];
    let mut seen = BTreeSet::new();
    for Arrived { span, .. } in arrived {
        for attribute in span["attributes"].as_array().unwrap() {
            let key = attribute["key"].as_str().unwrap();
            assert!(keys.contains(&key), "{span}");
            seen.insert(key.to_owned());
        }
        let begins: u64 = span["startTimeUnixNano"].as_str().unwrap().parse().unwrap();
        assert_eq!(begins % 60_000_000_000, 0, "a time finer than a minute: {span}");
        assert!(
            span.get("events").is_none() && span.get("links").is_none() && span.get("traceState").is_none(),
            "{span}"
        );
    }
    assert_eq!(seen.len(), keys.len(), "{seen:?}");
    let route = |name: &str| arrived.iter().any(|one| one.span["name"] == name);
    for name in ["/token", "/tx/{tx}", "/v1/sign-in/finish", "none"] {
        assert!(route(name), "{name}");
    }
    assert!(arrived.iter().any(|one| one.span.get("parentSpanId").is_some()), "calls stand inside their requests");
}

/// The same searches find what is planted.
fn controls(arrived: &[Arrived], needles: &BTreeSet<String>, logged: &[u8]) {
    // A trace that was carried on to another office.
    let mut carried = arrived.to_vec();
    let first = carried[0].clone();
    let other = if first.office == "front" { "node-1" } else { "front" };
    carried.push(Arrived { office: other.to_owned(), ..first.clone() });
    assert_eq!(crossing(&carried), BTreeSet::from([first.trace]));
    for needle in needles {
        for planted in [needle.clone(), b64(format!("x{needle}").as_bytes()), hex(needle.as_bytes())] {
            let mut log = logged[..200].to_vec();
            log.extend_from_slice(format!("{{\"level\":\"INFO\",\"handle\":\"{planted}\"}}\n").as_bytes());
            assert!(found(&log, needle), "{needle} as {planted}");
        }
    }
}
