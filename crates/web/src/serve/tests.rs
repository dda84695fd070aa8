use super::*;
use crate::addresses::AddressLimits;
use crate::metrics::Metrics;
use axum::http::Request as HttpRequest;
use axum::routing::get;
use hufu_offices::buckets::Rate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

const ANY: Place = Place { what: "test", port: 0, flag: "--port" };

fn app() -> Router {
    async fn broken() -> &'static str {
        panic!("a secret of the handler")
    }
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        "done"
    };
    let own = || async { ([(header::CACHE_CONTROL, "public")], "own") };
    let routes = Router::new().route("/broken", get(broken)).route("/slow", get(slow)).route("/own", get(own));
    finished(&Edge::new("test", "http://wallet.localhost:1", Arc::new(hufu_kernel::OsRng)), routes)
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(axum::body::to_bytes(response.into_body(), 65_536).await.unwrap().to_vec()).unwrap()
}

async fn ask(path: &str) -> Response<Body> {
    app().oneshot(HttpRequest::get(path).body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_panic_is_an_internal_error_that_tells_nothing() {
    let response = ask("/broken").await;
    assert_eq!(response.status(), 500);
    assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let text = text(response).await;
    assert!(text.contains("\"internal\"") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn unknown_addresses_get_the_same_json_as_every_refusal() {
    let response = ask("/nowhere").await;
    assert_eq!(response.status(), 404);
    assert!(text(response).await.contains("\"not_found\""));
}

#[tokio::test]
async fn security_headers_are_on_every_answer_and_a_handlers_own_stay() {
    for path in ["/own", "/nowhere", "/broken"] {
        let response = ask(path).await;
        assert!(HEADERS.iter().all(|(name, _)| response.headers().contains_key(name)), "{path}");
    }
    assert_eq!(ask("/own").await.headers()[header::CACHE_CONTROL], "public");
}

#[tokio::test]
async fn both_addresses_of_localhost_answer() {
    let (stopper, stop) = Stopper::new();
    let listening = listen(ANY).await.unwrap();
    let (port, families) = (listening.port, listening.listeners.len());
    let serving = tokio::spawn(serve(listening, app(), stop));
    let hosts = ["127.0.0.1", "::1"];
    for host in &hosts[..families] {
        let mut stream = TcpStream::connect((*host, port)).await.unwrap();
        stream.write_all(b"GET /own HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
    stopper.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn what_is_under_way_is_finished_and_nothing_new_is_taken() {
    let (stopper, stop) = Stopper::new();
    let listening = listen(ANY).await.unwrap();
    let port = listening.port;
    let serving = tokio::spawn(serve(listening, app(), stop));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    stopper.stop();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    serving.await.unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

const ASK: &[u8] = b"GET /own HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const HASTY: Patience =
    Patience { headers: Duration::from_millis(200), idle: Duration::from_millis(300), proven: Duration::ZERO };

/// A port with little patience, and who stops it.
async fn hasty(connections: usize) -> (u16, Stopper) {
    let (stopper, stop) = Stopper::new();
    let listening = listen(ANY).await.unwrap().with_limit(connections);
    let port = listening.port;
    tokio::spawn(serve_within(listening, app(), stop, HASTY));
    (port, stopper)
}

async fn connected(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// Sends `bytes`, and what comes until the other side closes.
async fn told(stream: &mut TcpStream, bytes: &[u8]) -> String {
    // Who is cut off may learn of it while writing; a reset is an end too.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "still open: {}", String::from_utf8_lossy(&answer));
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn whoever_does_not_finish_a_request_is_cut_off() {
    let (port, _stopper) = hasty(100).await;
    let half: [&[u8]; 6] = [
        b"",
        b"P",
        // The beginning of what an HTTP/2 client says first: nobody waits for the rest.
        b"PRI * HTTP/2.0\r\n",
        b"GET /own HTTP/1.1\r\n",
        b"GET /own HTTP/1.1\r\nhost: x\r\nx: ",
        b"GET /own HTTP/1.1\r\nhost: x\r\n\r\n",
    ];
    for bytes in half {
        let began = Instant::now();
        told(&mut connected(port).await, bytes).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{}", String::from_utf8_lossy(bytes));
    }
    // The control: a whole request is answered.
    assert!(told(&mut connected(port).await, ASK).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_drop_at_a_time_wins_nobody_more_than_the_time_for_headers() {
    let (port, _stopper) = hasty(100).await;
    let mut stream = connected(port).await;
    let began = Instant::now();
    while stream.write_all(b"x").await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_and_those_inside_are_answered() {
    let (port, _stopper) = hasty(2).await;
    let mut inside = [connected(port).await, connected(port).await];
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut beyond = connected(port).await;
    beyond.write_all(ASK).await.unwrap();
    let mut byte = [0];
    assert!(tokio::time::timeout(Duration::from_millis(50), beyond.peek(&mut byte)).await.is_err(), "did not wait");
    assert!(told(&mut inside[0], ASK).await.starts_with("HTTP/1.1 200"));
    assert!(told(&mut beyond, b"").await.starts_with("HTTP/1.1 200"));
    // Silent connections keep their places no longer than the limit for headers.
    let _silent = [connected(port).await, connected(port).await];
    assert!(told(&mut connected(port).await, ASK).await.starts_with("HTTP/1.1 200"));
}

/// A port at which one address may so much.
async fn bounded(limits: AddressLimits) -> (u16, Arc<Metrics>, Stopper) {
    let metrics = Arc::new(Metrics::default());
    let edge = Edge::new("front", "http://wallet.localhost:1", Arc::new(hufu_kernel::OsRng));
    let addresses = Addresses::new(&edge.with_metrics(Arc::clone(&metrics)), limits);
    let (stopper, stop) = Stopper::new();
    let address = "0.0.0.0:0";
    let listening = listen_at("test", address, &mut Inherited::none(), Sharing::Alone).await.unwrap();
    let listening = listening.with_limit(4).sharing_among(Some(addresses));
    let port = listening.port;
    tokio::spawn(serve_within(listening, app(), stop, PATIENT));
    (port, metrics, stopper)
}

const PATIENT: Patience = Patience { headers: Duration::from_secs(20), idle: Duration::from_secs(20), ..HASTY };

/// From another address of this machine.
async fn connected_from(host: u8, port: u16) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, host], 0).into()).unwrap();
    socket.connect(([127, 0, 0, 1], port).into()).await.unwrap()
}

#[tokio::test]
async fn one_address_takes_its_share_of_the_connections_and_no_place_of_anybody_else() {
    let (port, metrics, _stopper) = bounded(AddressLimits { at_once: Some(3), ..AddressLimits::default() }).await;
    // As many silent ones as would fill every place, and ten times that.
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(connected_from(2, port).await);
    }
    assert_eq!(told(&mut connected_from(2, port).await, ASK).await, "");
    let began = Instant::now();
    assert!(told(&mut connected_from(3, port).await, ASK).await.starts_with("HTTP/1.1 200"));
    assert!(began.elapsed() < Duration::from_secs(2), "it had to wait for somebody's silence to end");
    let text = metrics.text();
    assert!(text.contains("hufu_limited_total{office=\"front\",limit=\"connections\"} 38\n"), "{text}");
    // What an address gives back is its own again.
    drop(silent);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(told(&mut connected_from(2, port).await, ASK).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn without_a_share_one_address_has_all_places() {
    // The control of the test above.
    let (port, _, _stopper) = bounded(AddressLimits::default()).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(connected_from(2, port).await);
    }
    let mut honest = connected_from(3, port).await;
    honest.write_all(ASK).await.unwrap();
    let mut byte = [0];
    let waits = tokio::time::timeout(Duration::from_millis(500), honest.peek(&mut byte)).await;
    assert!(waits.is_err(), "it did not have to wait");
}

#[tokio::test]
async fn new_connections_of_one_address_have_a_rate() {
    let rate = Rate { burst: 5, every: Duration::from_secs(3600) };
    let (port, metrics, _stopper) = bounded(AddressLimits { connection: Some(rate), ..AddressLimits::default() }).await;
    for turn in 0..8 {
        let answer = told(&mut connected_from(2, port).await, ASK).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), turn < 5, "{turn}: {answer}");
    }
    assert!(told(&mut connected_from(3, port).await, ASK).await.starts_with("HTTP/1.1 200"));
    assert!(metrics.text().contains("hufu_limited_total{office=\"front\",limit=\"connection\"} 3\n"));
}

#[tokio::test]
async fn headers_and_bodies_have_limits() {
    let (port, _stopper) = hasty(100).await;
    let long = format!("GET /own HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(2 * MAX_HEADERS));
    assert!(!told(&mut connected(port).await, long.as_bytes()).await.contains("200 OK"));
    let many = format!("GET /own HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(200));
    assert!(!told(&mut connected(port).await, many.as_bytes()).await.contains("200 OK"));
}

#[tokio::test]
async fn a_request_that_takes_longer_than_a_connection_may_idle_is_answered() {
    let (stopper, stop) = Stopper::new();
    let listening = listen(ANY).await.unwrap();
    let port = listening.port;
    let patience = Patience { idle: Duration::from_millis(50), ..HASTY };
    tokio::spawn(serve_within(listening, app(), stop, patience));
    let ask = b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(told(&mut connected(port).await, ask).await.ends_with("done"));
    stopper.stop();
}

/// One connection over HTTP/2 as the port serves it after TLS; what ends when it does; and the client's end of it.
async fn over_http2(idle: Duration) -> (tokio::task::JoinHandle<()>, tokio::io::DuplexStream, Stopper) {
    let (near, far) = tokio::io::duplex(65_536);
    let (stopper, stop) = Stopper::new();
    let patience = Patience { idle, ..HASTY };
    let (open, _) = mpsc::channel(1);
    let (offices, platforms) = (share_of(1, OFFICES), share_of(1, PLATFORMS));
    let (http, speaks) = (Http::new(patience), Speaks::Plain);
    let registered = Registered::nobodys();
    let server = Server { http, speaks, app: app(), patience, offices, platforms, registered, addresses: None, open };
    (tokio::spawn(server.answer(far, true, (Caller::Anybody, None), stop)), near, stopper)
}

async fn ends(serving: tokio::task::JoinHandle<()>) {
    tokio::time::timeout(Duration::from_secs(3), serving).await.expect("still open").unwrap();
}

/// A client's end of a connection over HTTP/2.
type Asking = hyper::client::conn::http2::SendRequest<http_body_util::Empty<axum::body::Bytes>>;

/// A client that answers every ping, and what it asks with.
async fn lively(near: tokio::io::DuplexStream) -> Asking {
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn asked(sender: &mut Asking, path: &str) -> axum::http::StatusCode {
    let request = Request::get(format!("http://x{path}")).body(http_body_util::Empty::new()).unwrap();
    sender.send_request(request).await.unwrap().status()
}

#[tokio::test]
async fn over_http2_too_the_silent_and_the_idle_are_cut_off_be_they_ever_so_alive() {
    // Not even the first bytes.
    let (serving, near, _stopper) = over_http2(Duration::from_millis(300)).await;
    ends(serving).await;
    drop(near);
    // All that makes a connection, and no question.
    let (serving, near, _stopper) = over_http2(Duration::from_millis(300)).await;
    let _sender = lively(near).await;
    ends(serving).await;
    // Questions, and then none. The slow one takes longer than a connection may idle.
    let (serving, near, _stopper) = over_http2(Duration::from_millis(200)).await;
    let mut sender = lively(near).await;
    assert_eq!(asked(&mut sender, "/own").await, 200);
    assert_eq!(asked(&mut sender, "/slow").await, 200);
    ends(serving).await;
}

#[tokio::test]
async fn over_http2_too_what_is_under_way_at_the_stop_is_finished() {
    let (serving, near, stopper) = over_http2(Duration::from_secs(60)).await;
    let mut sender = lively(near).await;
    assert_eq!(asked(&mut sender, "/own").await, 200);
    let (status, ()) = tokio::join!(asked(&mut sender, "/slow"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stopper.stop();
    });
    assert_eq!(status, 200);
    ends(serving).await;
}

/// What a restart without a gap rests on: two processes with one socket, the first of which stops.
#[tokio::test]
async fn nobody_is_turned_away_while_the_next_process_takes_over_the_socket() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let serving = async |socket: std::net::TcpListener| {
        let mut inherited = Inherited::of(vec![socket]).unwrap();
        let listening = listen_at("test", &address.to_string(), &mut inherited, Sharing::Alone).await.unwrap();
        let (stopper, stop) = Stopper::new();
        (stopper, tokio::spawn(serve(listening, app(), stop)))
    };
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asking = Arc::clone(&done);
    let ask = tokio::spawn(async move {
        let mut answered = 0;
        while !asking.load(Ordering::Relaxed) {
            let answer = told(&mut connected(address.port()).await, ASK).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "request {answered}: {answer}");
            answered += 1;
        }
        answered
    });
    let mut running = serving(socket.try_clone().unwrap()).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let next = serving(socket.try_clone().unwrap()).await;
        running.0.stop();
        running.1.await.unwrap();
        running = next;
    }
    done.store(true, Ordering::Relaxed);
    assert!(ask.await.unwrap() > 20);
}

#[tokio::test]
async fn a_dropped_stopper_stops() {
    let (stopper, mut stop) = Stopper::new();
    drop(stopper);
    stop.stopped().await;
}

mod platforms;
