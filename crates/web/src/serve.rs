//! Listening, serving and stopping; what every response of every office has in common.

pub use crate::listen::{Inherited, ListenError, Listening, Place, Sharing, listen, listen_at};

use crate::addresses::{self, Addresses, Admitted};
use crate::listen::Speaks;
use crate::metrics::counted;
use crate::mutual_tls::{PlatformDoors, Proven, Registered};
use crate::peers::{Doors, PeerOffice};
use crate::places::{self, Places};
use crate::reply::Edge;
use crate::traces::traced;
use axum::Router;
use axum::body::Body;
use axum::extract::Request as AnyRequest;
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
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

/// A client that has not sent its headers, or finished its TLS handshake, by then is cut off. Over HTTP/2, one that has asked nothing
/// by then since it connected, or leaves a ping unanswered that long.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// A connection on which nothing was asked for that long is closed, be it ever so alive.
const IDLE_WITHIN: Duration = Duration::from_secs(120);
/// A request that is not answered by then, its body included, is given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What a platform's certificate proved when it connected is looked at again after so long: it may have ended since, or its authority
/// have been taken out.
const PROVEN_FOR: Duration = Duration::from_secs(10);
/// One platform's part of the connections of a listener for certificates. All who show one in a name that no admitted platform registered
/// are one together.
const PLATFORMS: usize = 8;
/// One office's part of those between offices: as many offices as a root has, and one more for what has not said its name yet.
const OFFICES: usize = 12;
/// Even a listener that is narrowly bounded leaves an office, or a platform, this many connections.
const LEAST: usize = 16;
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
        .fallback(move |request: AnyRequest| {
            let edge = unknown.clone();
            async move {
                match addresses::may(&request, addresses::Asked::Other) {
                    Ok(()) => edge.refused(Refusal::NotFound),
                    Err(wait) => addresses::parting(edge.too_often(wait)),
                }
            }
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
    counted(edge, traced(edge, routes))
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
    proven: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { headers: HEADERS_WITHIN, idle: IDLE_WITHIN, proven: PROVEN_FOR }
    }
}

async fn serve_within(listening: Listening, app: Router, stop: Stop, patience: Patience) {
    let Listening { listeners, speaks, connections, addresses, registered, .. } = listening;
    let (open, mut closed) = mpsc::channel(1);
    let slots = Arc::new(Semaphore::new(connections));
    let (offices, platforms) = (share_of(connections, OFFICES), share_of(connections, PLATFORMS));
    let http = Http::new(patience);
    let server = Server { http, speaks, app, patience, offices, platforms, registered, addresses, open };
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

fn share_of<K: Ord + Clone>(connections: usize, parts: usize) -> Arc<Places<K>> {
    Places::of((connections / parts).max(LEAST))
}

/// Accepts until the stop, and for a moment longer what had already connected.
async fn accept(listener: TcpListener, server: Server, slots: Arc<Semaphore>, stop: Stop) {
    let mut ending = pin!(stopped_and_settled(stop.clone(), true));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut ending => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            // Out of descriptors, or a client that went away: the next one may fare better.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Before it waits for a place, and before TLS: one address alone can neither take all places nor all of the processor's time.
        let admitted = match &server.addresses {
            None => None,
            Some(addresses) => match addresses.admit(from.ip()) {
                Some(admitted) => Some(admitted),
                None => continue,
            },
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
            server.connect(stream, admitted.as_ref(), stop).await;
            drop((admitted, slot));
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

/// Where callers prove who they are.
enum Door {
    Offices(Doors),
    Platforms(PlatformDoors),
}

/// Who is at the other end of a connection, as its handshake proved it.
enum Caller {
    Anybody,
    Office(PeerOffice),
    Platform(Proven),
}

/// What a caller has of all connections for itself, while it is held: as an office, by its name; as a platform, by the client that
/// registered the certificate's name, if one did.
type Share = (Option<places::Place<String>>, Option<places::Place<Option<String>>>);

impl Caller {
    /// Says in a request who asks. `false` if that is not proven any more.
    fn introduce(&self, request: &mut Request<Incoming>, proven_for: Duration) -> bool {
        match self {
            Self::Anybody => {}
            Self::Office(office) => drop(request.extensions_mut().insert(office.clone())),
            Self::Platform(proven) => match proven.still(proven_for) {
                Some(certificate) => drop(request.extensions_mut().insert(certificate)),
                None => return false,
            },
        }
        true
    }
}

/// 421: on this connection nothing more is answered, on another one it may be (RFC 9110 section 15.5.20).
fn misdirected() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What every connection of a port is served with.
#[derive(Clone)]
struct Server {
    http: Http,
    speaks: Speaks,
    app: Router,
    patience: Patience,
    /// Connections of each office, where callers are offices.
    offices: Arc<Places<String>>,
    /// Those of each platform, where callers are platforms.
    platforms: Arc<Places<Option<String>>>,
    /// Which platform a certificate belongs to.
    registered: Registered,
    /// What each address may, where it can be told.
    addresses: Option<Arc<Addresses>>,
    open: mpsc::Sender<()>,
}

impl Server {
    async fn connect(self, stream: TcpStream, from: Option<&Admitted>, stop: Stop) {
        let (config, door) = match self.speaks.clone() {
            Speaks::Plain => return self.answer(stream, false, (Caller::Anybody, from), stop).await,
            Speaks::Tls(config) => (config, None),
            Speaks::Offices(doors) => (Arc::clone(&doors.config), Some(Door::Offices(doors))),
            Speaks::Platforms(doors) => (Arc::clone(&doors.config), Some(Door::Platforms(doors))),
        };
        let shaken = tokio::time::timeout(self.patience.headers, TlsAcceptor::from(config).accept(stream)).await;
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        };
        let agreed = stream.get_ref().1;
        let two = agreed.alpn_protocol() == Some(b"h2");
        let caller = match door {
            None => Some(Caller::Anybody),
            Some(Door::Offices(doors)) => doors.caller(agreed).map(Caller::Office),
            Some(Door::Platforms(doors)) => doors.caller(agreed).map(Caller::Platform),
        };
        let Some(caller) = caller else { return tracing::warn!("a caller without a name came through") };
        let Some(_share) = self.share(&caller) else { return };
        self.answer(stream, two, (caller, from), stop).await;
    }

    /// The caller's part of all connections, if it has one to itself; nothing if it has had all of that.
    fn share(&self, caller: &Caller) -> Option<Share> {
        match caller {
            Caller::Anybody => Some((None, None)),
            Caller::Office(office) => {
                let share = self.offices.take(&office.name().to_owned()).map(|place| (Some(place), None));
                if share.is_none() {
                    let peer = office.name();
                    tracing::warn!(peer, "an office has more connections open than are its share; this one was cut");
                }
                share
            }
            Caller::Platform(proven) => {
                let platform = self.registered.of(proven.certificate());
                let known = platform.is_some();
                let share = self.platforms.take(&platform).map(|place| (None, Some(place)));
                if share.is_none() {
                    tracing::warn!(known, "a platform has more connections open than are its share; this one was cut");
                }
                share
            }
        }
    }

    async fn answer<S>(self, stream: S, two: bool, (caller, from): (Caller, Option<&Admitted>), stop: Stop)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = Arc::new(Asked::default());
        let service = service_fn(|mut request: Request<Incoming>| {
            let known = caller.introduce(&mut request, self.patience.proven);
            if let Some(from) = from {
                request.extensions_mut().insert(from.asker.clone());
            }
            let (app, under_way) = (self.app.clone(), asked.begin());
            async move {
                let answered = if known { app.oneshot(request).await } else { Ok(misdirected()) };
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
mod tests;
