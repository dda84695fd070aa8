//! Listening, serving and stopping; what every response of every office has in common.

use crate::metrics::counted;
use crate::reply::Edge;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Response, header};
use axum::middleware::{self, Next};
use hufu_kernel::Refusal;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower_http::catch_panic::CatchPanicLayer;

/// A client that has not sent its headers, or finished its TLS handshake, by then is cut off.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// A request that is not answered by then, its body included, is given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Requests under way get this long when the process stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

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

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error("port {port} ({what}) is in use by another program; stop that program, or choose other ports with {flag}")]
    Busy {
        /// The port.
        port: u16,
        /// What was to listen there.
        what: &'static str,
        /// The flag that chooses it.
        flag: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on port {port} ({what}): {cause}")]
    Failed {
        /// The port.
        port: u16,
        /// What was to listen there.
        what: &'static str,
        /// The system's words.
        cause: io::Error,
    },
}

/// A wish to listen on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// For messages: `wallet`.
    pub what: &'static str,
    /// 0 lets the system choose.
    pub port: u16,
    /// The flag that chooses the port, for messages.
    pub flag: &'static str,
}

/// A port of this machine that is listened on.
#[derive(Debug)]
pub struct Listening {
    listeners: Vec<TcpListener>,
    tls: Option<Arc<rustls::ServerConfig>>,
    /// The port.
    pub port: u16,
}

/// Listens on 127.0.0.1 and, where the machine has it, ::1: `localhost` is both, and browsers choose.
///
/// # Errors
/// [`ListenError`].
pub async fn listen(place: Place) -> Result<Listening, ListenError> {
    let Place { what, port, flag } = place;
    let refused = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AddrInUse => ListenError::Busy { port, what, flag },
        _ => ListenError::Failed { port, what, cause },
    };
    // An ephemeral port that is free for one family may be taken for the other; a few draws are enough.
    let mut draws = if port == 0 { 16 } else { 1 };
    loop {
        draws -= 1;
        let v4 = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.map_err(refused)?;
        let bound = v4.local_addr().map_err(refused)?.port();
        match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, bound))).await {
            Ok(v6) => return Ok(Listening { listeners: vec![v4, v6], tls: None, port: bound }),
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse && draws > 0 => {}
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => return Err(refused(cause)),
            // No IPv6 on this machine.
            Err(_) => return Ok(Listening { listeners: vec![v4], tls: None, port: bound }),
        }
    }
}

impl Listening {
    /// The same port, speaking TLS only.
    #[must_use]
    pub fn over_tls(self, config: Arc<rustls::ServerConfig>) -> Self {
        Self { tls: Some(config), ..self }
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
        .layer(middleware::from_fn(move |request: Request, next: Next| {
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
    let mut serving = tokio::task::JoinSet::new();
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    let server = Server { http, tls: listening.tls.map(TlsAcceptor::from), app };
    for listener in listening.listeners {
        serving.spawn(serve_one(listener, server.clone(), stop.clone()));
    }
    while serving.join_next().await.is_some() {}
}

/// What every connection of a port is served with.
#[derive(Clone)]
struct Server {
    http: auto::Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    app: Router,
}

async fn serve_one(listener: TcpListener, server: Server, mut stop: Stop) {
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.stopped() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are small: waiting to fill a packet would only add its delay.
                let _ = stream.set_nodelay(true);
                tokio::spawn(server.clone().connect(stream, graceful.watcher(), stop.clone()));
            }
            // Out of descriptors, or a client that went away: the next one may fare better.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_WITHIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish before the process stopped");
    }
}

impl Server {
    async fn connect(self, stream: TcpStream, watcher: Watcher, mut stop: Stop) {
        let Some(tls) = self.tls.clone() else { return self.answer(stream, watcher).await };
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(HEADERS_WITHIN, tls.accept(stream)) => shaken,
            // Nothing was asked yet, so nothing is cut off.
            () = stop.stopped() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.answer(stream, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, watcher: Watcher) {
        let connection = self.http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.app));
        if let Err(error) = watcher.watch(connection.into_owned()).await {
            tracing::debug!(error, "a connection ended early");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request as HttpRequest;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tower::ServiceExt as _;

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
    async fn a_busy_port_is_named_with_its_flag() {
        let taken = listen(ANY).await.unwrap();
        let message = listen(Place { port: taken.port, ..ANY }).await.unwrap_err().to_string();
        assert!(message.contains(&taken.port.to_string()) && message.contains("--port"), "{message}");
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

    #[tokio::test]
    async fn a_dropped_stopper_stops() {
        let (stopper, mut stop) = Stopper::new();
        drop(stopper);
        stop.stopped().await;
    }
}
