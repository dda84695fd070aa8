//! Listening, serving and stopping; what every response of every office has in common.

pub use crate::listen::{Inherited, ListenError, Listening, Place, Sharing, listen, listen_at};

use crate::listen::Speaks;
use crate::metrics::counted;
use crate::peers::PeerOffice;
use crate::reply::Edge;
use axum::Router;
use axum::body::Body;
use axum::extract::Request as AnyRequest;
use axum::http::{HeaderName, HeaderValue, Request, Response, header};
use axum::middleware::{self, Next};
use hufu_kernel::Refusal;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;

/// A client that has not sent its headers, or finished its TLS handshake, by then is cut off. Over HTTP/2, one that leaves a ping
/// unanswered that long.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// A connection on which nothing was asked for that long is closed, be it ever so alive.
const IDLE_WITHIN: Duration = Duration::from_secs(120);
/// A request that is not answered by then, its body included, is given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Requests under way get this long when the process stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);
/// What had connected before the stop gets this long to ask its first question.
const SETTLE: Duration = Duration::from_millis(100);
/// Headers of a request over HTTP/1.1, in bytes.
const MAX_HEADERS: usize = 64 * 1024;
/// Headers of a request over HTTP/2, in bytes as RFC 9113 section 6.5.2 counts.
const MAX_HEADER_LIST: u32 = 16 * 1024;
/// Requests at once on one connection over HTTP/2.
const STREAMS: u32 = 64;

/// Set on every response that does not say otherwise.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

/// Tells everything that was started to stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Learns that it is time to stop. A dropped [`Stopper`] says so too.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    /// A stopper and what it stops.
    #[must_use]
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    /// Stops.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Returns when it is time.
    pub async fn stopped(&mut self) {
        // An error means that the stopper is gone, which says the same.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

/// Routes with what all offices share: a JSON refusal for unknown addresses, for panics and for requests that take too long, and
/// security headers.
pub fn finished(edge: &Edge, routes: Router) -> Router {
    let (unknown, slow, broken) = (edge.clone(), edge.clone(), edge.clone());
    let routes = routes
        .fallback(move || {
            let edge = unknown.clone();
            async move { edge.refused(Refusal::NotFound) }
        })
        .layer(middleware::from_fn(move |request: AnyRequest, next: Next| {
            let edge = slow.clone();
            async move {
                match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
                    Ok(response) => response,
                    Err(_) => edge.refused(Refusal::Internal),
                }
            }
        }))
        .layer(CatchPanicLayer::custom(move |_: Box<dyn std::any::Any + Send>| -> Response<Body> {
            // The panic's message went to the log through the panic hook; it may hold anything, so the reply holds nothing.
            broken.refused(Refusal::Internal)
        }))
        .layer(middleware::map_response(secured));
    counted(edge, routes)
}

async fn secured(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Serves until told to stop, then lets requests under way finish.
pub async fn serve(listening: Listening, app: Router, stop: Stop) {
    serve_within(listening, app, stop, Patience::default()).await;
}

/// How long a port waits for what; tests are less patient than offices.
#[derive(Clone, Copy, Debug)]
struct Patience {
    headers: Duration,
    idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { headers: HEADERS_WITHIN, idle: IDLE_WITHIN }
    }
}

async fn serve_within(listening: Listening, app: Router, stop: Stop, patience: Patience) {
    let Listening { listeners, speaks, connections, .. } = listening;
    let (open, mut closed) = mpsc::channel(1);
    let slots = Arc::new(Semaphore::new(connections));
    let server = Server { http: Http::new(patience), speaks, app, patience, open };
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, server.clone(), Arc::clone(&slots), stop.clone()));
    }
    drop(server);
    while accepting.join_next().await.is_some() {}
    // Every connection holds a sender; there are no messages.
    if tokio::time::timeout(DRAIN_WITHIN, closed.recv()).await.is_err() {
        tracing::warn!("some requests did not finish before the process stopped");
    }
}

/// Accepts until the stop, and for a moment longer what had already connected.
async fn accept(listener: TcpListener, server: Server, slots: Arc<Semaphore>, stop: Stop) {
    let mut ending = pin!(stopped_and_settled(stop.clone(), true));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut ending => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // Out of descriptors, or a client that went away: the next one may fare better.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Answers are small: waiting to fill a packet would only add its delay.
        let _ = stream.set_nodelay(true);
        // With all places taken this one waits, and behind it, in the system's queue, all others.
        let slot = tokio::select! {
            biased;
            slot = Arc::clone(&slots).acquire_owned() => slot,
            () = &mut ending => return,
        };
        let (server, stop) = (server.clone(), stop.clone());
        tokio::spawn(async move {
            server.connect(stream, stop).await;
            drop(slot);
        });
    }
}

/// Returns at the stop; if `fresh`, a moment later, for what is on its way.
async fn stopped_and_settled(mut stop: Stop, fresh: bool) {
    stop.stopped().await;
    if fresh {
        tokio::time::sleep(SETTLE).await;
    }
}

/// The two versions of HTTP. Which one a connection speaks is known before its first byte: in the clear it is HTTP/1.1, over TLS
/// what was agreed (RFC 7301). Nothing is guessed from what a client sends, so a silent one falls under the limits of its version.
#[derive(Clone)]
struct Http {
    one: auto::Builder<TokioExecutor>,
    two: auto::Builder<TokioExecutor>,
}

impl Http {
    fn new(patience: Patience) -> Self {
        let mut one = auto::Builder::new(TokioExecutor::new()).http1_only();
        one.http1().timer(TokioTimer::new()).header_read_timeout(patience.headers).max_buf_size(MAX_HEADERS);
        let mut two = auto::Builder::new(TokioExecutor::new()).http2_only();
        two.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(MAX_HEADER_LIST)
            .keep_alive_interval(patience.headers)
            .keep_alive_timeout(patience.headers);
        Self { one, two }
    }
}

/// What every connection of a port is served with.
#[derive(Clone)]
struct Server {
    http: Http,
    speaks: Speaks,
    app: Router,
    patience: Patience,
    open: mpsc::Sender<()>,
}

impl Server {
    async fn connect(self, stream: TcpStream, stop: Stop) {
        let (config, doors) = match self.speaks.clone() {
            Speaks::Plain => return self.answer(stream, false, None, stop).await,
            Speaks::Tls(config) => (config, None),
            Speaks::Offices(doors) => (Arc::clone(&doors.config), Some(doors)),
        };
        let shaken = tokio::time::timeout(self.patience.headers, TlsAcceptor::from(config).accept(stream)).await;
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        };
        let agreed = stream.get_ref().1;
        let two = agreed.alpn_protocol() == Some(b"h2");
        let caller = match doors.map(|doors| doors.caller(agreed)) {
            None => None,
            Some(Some(caller)) => Some(caller),
            Some(None) => return tracing::warn!("a caller without a name came through"),
        };
        self.answer(stream, two, caller, stop).await;
    }

    async fn answer<S>(self, stream: S, two: bool, caller: Option<PeerOffice>, stop: Stop)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = Arc::new(Asked::default());
        let service = service_fn(|mut request: Request<Incoming>| {
            if let Some(caller) = &caller {
                request.extensions_mut().insert(caller.clone());
            }
            let (app, under_way) = (self.app.clone(), asked.begin());
            async move {
                let answered = app.oneshot(request).await;
                drop(under_way);
                answered
            }
        });
        let http = if two { &self.http.two } else { &self.http.one };
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let mut stopping = false;
        loop {
            let before = asked.begun();
            // Whoever connects has a question, and asks it as soon as headers have to be there.
            let patience = if before == 0 { self.patience.headers } else { self.patience.idle };
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "a connection ended early");
                    }
                    break;
                }
                () = stopped_and_settled(stop.clone(), before == 0), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = tokio::time::sleep(patience) => {
                    if asked.nothing_since(before) {
                        tracing::debug!("an idle connection was cut");
                        break;
                    }
                }
            }
        }
        drop(self.open);
    }
}

/// What was asked on one connection.
#[derive(Debug, Default)]
struct Asked {
    begun: AtomicU64,
    under_way: AtomicU64,
}

/// A request under way.
struct UnderWay(Arc<Asked>);

impl Asked {
    fn begin(self: &Arc<Self>) -> UnderWay {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn nothing_since(&self, before: u64) -> bool {
        self.begun() == before && self.under_way.load(Ordering::Relaxed) == 0
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request as HttpRequest;
    use axum::routing::get;
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
    const HASTY: Patience = Patience { headers: Duration::from_millis(200), idle: Duration::from_millis(300) };

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
        let server = Server { http: Http::new(patience), speaks: Speaks::Plain, app: app(), patience, open };
        (tokio::spawn(server.answer(far, true, None, stop)), near, stopper)
    }

    async fn ends(serving: tokio::task::JoinHandle<()>) {
        tokio::time::timeout(Duration::from_secs(3), serving).await.expect("still open").unwrap();
    }

    /// A client that answers every ping, and what it asks with.
    async fn lively(near: tokio::io::DuplexStream) -> hyper::client::conn::http2::SendRequest<http_body_util::Empty<axum::body::Bytes>> {
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn asked(
        sender: &mut hyper::client::conn::http2::SendRequest<http_body_util::Empty<axum::body::Bytes>>,
        path: &str,
    ) -> axum::http::StatusCode {
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
        let (serving, near, _stopper) = over_http2(Duration::from_millis(100)).await;
        let mut sender = lively(near).await;
        assert_eq!(asked(&mut sender, "/own").await, 200);
        assert_eq!(asked(&mut sender, "/slow").await, 200);
        assert!(!serving.is_finished());
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
}
