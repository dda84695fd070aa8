//! Calling another office: one pooled client a peer, with an end to everything that could take for ever.

use super::anchor::{Doors, client_config};
use super::{
    HttpNode, HttpNodePeer, HttpPost, HttpRegistry, HttpSubjectHandles, HttpTagger, HttpUniqueness, Leaf, PeerError,
};
use crate::metrics::Metrics;
use crate::traces;
use axum::body::Bytes;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hufu_kernel::{NodeIndex, Refusal};
use hufu_offices::ports;
use hufu_wire::api::roster::{Identity, Roster, tagger_name};
use hufu_wire::api::trust::node_name;
use hufu_wire::jose::strict_json;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tower::BoxError;
use tower::timeout::Timeout;
use tower::util::BoxCloneSyncService;
use tracing::Instrument as _;

/// An idle connection is closed by the caller, before the server would (`serve::IDLE_WITHIN`).
const IDLE: Duration = Duration::from_secs(60);
/// Headers of an answer; ours have a few hundred bytes.
const MAX_ANSWER_HEADERS: u32 = 16 * 1024;

/// How patient an office is with another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerConfig {
    /// Name look-up, TCP and TLS together.
    pub connect_within: Duration,
    /// Everything from the call to the last byte of the answer.
    pub answer_within: Duration,
    /// The longest answer, in bytes.
    pub max_answer: usize,
    /// Calls to one peer at a time; more wait, within their time.
    pub at_once: usize,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            connect_within: Duration::from_secs(3),
            answer_within: Duration::from_secs(10),
            max_answer: 256 * 1024,
            at_once: 64,
        }
    }
}

/// The other offices, as this one reaches them.
#[derive(Debug)]
pub struct Peers {
    own: Arc<Leaf>,
    roster: Roster,
    each: BTreeMap<String, Arc<Peer>>,
}

impl Peers {
    /// The offices of `roster` at `addresses` (`node-1` → `host:port`). Those without an address can call, and cannot be called.
    ///
    /// # Errors
    /// [`PeerError::NotPinned`] unless the roster pins the very key that `own` vouches with; [`PeerError::Address`];
    /// [`PeerError::Tls`].
    pub fn new(
        own: Arc<Leaf>,
        roster: Roster,
        addresses: &BTreeMap<String, String>,
        config: PeerConfig,
        metrics: Option<Arc<Metrics>>,
    ) -> Result<Self, PeerError> {
        let pinned = roster.get(own.office()).ok_or_else(|| PeerError::Unknown(own.office().to_owned()))?;
        if pinned.key != own.key()? || roster.root_id() != own.root_id() {
            return Err(PeerError::NotPinned(own.office().to_owned()));
        }
        let mut each = BTreeMap::new();
        for (office, address) in addresses {
            let identity = roster.get(office).ok_or_else(|| PeerError::Unknown(office.clone()))?;
            let peer = Peer::new(&own, identity, address, config, metrics.clone())?;
            each.insert(office.clone(), Arc::new(peer));
        }
        Ok(Self { own, roster, each })
    }

    /// The server's side.
    ///
    /// # Errors
    /// [`PeerError::Tls`].
    pub fn doors(&self) -> Result<Doors, PeerError> {
        Doors::new(&self.own, &self.roster)
    }

    pub(super) fn own(&self) -> &Arc<Leaf> {
        &self.own
    }

    /// What the offices have pinned.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// One office.
    ///
    /// # Errors
    /// [`PeerError::NoAddress`].
    pub fn to(&self, office: &str) -> Result<Arc<Peer>, PeerError> {
        self.each.get(office).cloned().ok_or_else(|| PeerError::NoAddress(office.to_owned()))
    }

    /// A tagger.
    ///
    /// # Errors
    /// [`PeerError::NoAddress`].
    pub fn tagger(&self, index: NodeIndex) -> Result<Arc<dyn ports::Tagger>, PeerError> {
        Ok(Arc::new(HttpTagger(self.to(tagger_name(index))?)))
    }

    /// A node, as the registrar sees it.
    ///
    /// # Errors
    /// [`PeerError::NoAddress`].
    pub fn node(&self, index: NodeIndex) -> Result<Arc<dyn ports::Node>, PeerError> {
        Ok(Arc::new(HttpNode(self.to(node_name(index))?)))
    }

    /// A node, as the other nodes see it.
    ///
    /// # Errors
    /// [`PeerError::NoAddress`].
    pub fn node_peer(&self, index: NodeIndex) -> Result<Arc<dyn ports::NodePeer>, PeerError> {
        let peer = self.to(node_name(index))?.with_max_answer(super::node_peer::MAX_ANSWER);
        Ok(Arc::new(HttpNodePeer(Arc::new(peer))))
    }

    /// A node, as the front sees it.
    ///
    /// # Errors
    /// [`PeerError::NoAddress`].
    pub fn subject_handles(&self, index: NodeIndex) -> Result<Arc<dyn ports::SubjectHandles>, PeerError> {
        Ok(Arc::new(HttpSubjectHandles(self.to(node_name(index))?)))
    }

    /// Uniqueness.
    ///
    /// # Errors
    /// [`PeerError::NoAddress`].
    pub fn uniqueness(&self) -> Result<Arc<dyn ports::Uniqueness>, PeerError> {
        Ok(Arc::new(HttpUniqueness(self.to("uniqueness")?)))
    }

    /// Post.
    ///
    /// # Errors
    /// [`PeerError::NoAddress`].
    pub fn post(&self) -> Result<Arc<dyn ports::Post>, PeerError> {
        Ok(Arc::new(HttpPost(self.to("post")?)))
    }

    /// The registry, as the front sees it.
    ///
    /// # Errors
    /// [`PeerError::NoAddress`].
    pub fn registry(&self) -> Result<Arc<dyn ports::Registry>, PeerError> {
        Ok(Arc::new(HttpRegistry(self.to("registry")?)))
    }
}

type Connector = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;
type Pooled = Client<Connector, Full<Bytes>>;

/// Another office, as this one calls it. Connections are pooled, HTTP/2 where the peer has it.
#[derive(Clone)]
pub struct Peer {
    own: &'static str,
    office: Arc<str>,
    authority: Authority,
    client: Pooled,
    permits: Arc<Semaphore>,
    config: PeerConfig,
    metrics: Option<Arc<Metrics>>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({} at {})", self.office, self.authority)
    }
}

/// Why there is no answer.
enum Failed {
    /// The office says no.
    Refused(Refusal),
    /// As many calls as may be are waiting already.
    Full,
    /// No connection, or one that broke.
    Unreachable(String),
    /// Not within the time.
    Slow,
    /// What came back is no answer.
    Garbled(&'static str),
}

impl Failed {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Full => "full",
            Self::Unreachable(_) => "unreachable",
            Self::Slow => "slow",
            Self::Garbled(_) => "garbled",
        }
    }

    fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => *refusal,
            Self::Full => Refusal::Busy,
            Self::Unreachable(_) | Self::Slow => Refusal::OfficeUnreachable,
            Self::Garbled(_) => Refusal::OfficeGarbled,
        }
    }
}

/// What an office says when it says no (`reply::Edge::refused`); sentences and error number are for people.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

impl Peer {
    fn new(
        own: &Arc<Leaf>,
        identity: &Identity,
        address: &str,
        config: PeerConfig,
        metrics: Option<Arc<Metrics>>,
    ) -> Result<Self, PeerError> {
        let office = &identity.office;
        let authority: Option<Authority> = address.parse().ok();
        let authority = authority
            .filter(|authority| authority.port_u16().is_some_and(|port| port != 0) && !address.contains('@'))
            .ok_or_else(|| PeerError::Address { office: office.clone(), address: address.to_owned() })?;
        Ok(Self {
            own: own.office(),
            office: office.as_str().into(),
            authority,
            client: pooled(own, identity, config)?,
            permits: Arc::new(Semaphore::new(config.at_once)),
            config,
            metrics,
        })
    }

    /// Which office.
    #[must_use]
    pub fn office(&self) -> &str {
        &self.office
    }

    /// Where it is: `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.authority.as_str()
    }

    /// The same peer over the same connections, for answers up to `bytes` long: pages of rows.
    #[must_use]
    pub fn with_max_answer(&self, bytes: usize) -> Self {
        Self { config: PeerConfig { max_answer: bytes, ..self.config }, ..self.clone() }
    }

    /// Asks. A connection that closes before the whole answer is there is tried once more: messages between offices are idempotent
    /// (flows 5).
    ///
    /// # Errors
    /// The peer's refusal; [`Refusal::OfficeUnreachable`] if it cannot be reached or takes too long, [`Refusal::OfficeGarbled`] if
    /// what it answers is no answer, [`Refusal::Busy`] if too many calls wait already.
    pub async fn call<M: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &'static str,
        message: &M,
    ) -> Result<T, Refusal> {
        let span = traces::call(&self.office, path);
        let answered = match serde_json::to_vec(message) {
            Ok(body) => self.ask(path, body.into()).instrument(span.clone()).await,
            // Our own messages always encode.
            Err(_) => Err(Failed::Garbled("the question does not encode")),
        };
        let answered = answered.and_then(|bytes| {
            // The parser's message may quote the answer.
            strict_json(&bytes).map_err(|_| Failed::Garbled("the answer does not parse"))
        });
        let outcome = answered.as_ref().map_or_else(Failed::outcome, |_| "answered");
        span.record("outcome", outcome);
        if let Some(metrics) = &self.metrics {
            metrics.called(self.own, &self.office, path, outcome);
        }
        answered.map_err(|failed| {
            self.log(path, &failed);
            failed.refusal()
        })
    }

    fn log(&self, path: &str, failed: &Failed) {
        let (office, peer) = (self.own, &*self.office);
        match failed {
            // What an office says no to is its own matter, unless it means that the two do not understand each other.
            Failed::Refused(
                refusal @ (Refusal::OfficeRefused | Refusal::WrongRoot | Refusal::Malformed | Refusal::NotFound),
            ) => {
                tracing::warn!(office, peer, path, code = refusal.code(), "another office refuses to be asked");
            }
            Failed::Refused(refusal) => {
                tracing::debug!(office, peer, path, code = refusal.code(), "another office refused")
            }
            Failed::Full => tracing::warn!(office, peer, path, "too many calls wait for another office"),
            Failed::Unreachable(cause) => tracing::warn!(office, peer, path, %cause, "another office was not reached"),
            Failed::Slow => tracing::warn!(office, peer, path, "another office did not answer in time"),
            Failed::Garbled(cause) => tracing::warn!(office, peer, path, cause, "another office's answer is none"),
        }
    }

    async fn ask(&self, path: &'static str, body: Bytes) -> Result<Bytes, Failed> {
        let until = tokio::time::Instant::now() + self.config.answer_within;
        let permit = tokio::time::timeout_at(until, self.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(Failed::Full) };
        let asked = async {
            match self.ask_once(path, body.clone()).await {
                Err(Broken::Closed(_)) => match self.ask_once(path, body).await {
                    Err(Broken::Closed(cause)) => Err(Failed::Unreachable(cause)),
                    Err(Broken::Failed(failed)) => Err(failed),
                    Ok(bytes) => Ok(bytes),
                },
                Err(Broken::Failed(failed)) => Err(failed),
                Ok(bytes) => Ok(bytes),
            }
        };
        tokio::time::timeout_at(until, asked).await.unwrap_or(Err(Failed::Slow))
    }

    async fn ask_once(&self, path: &'static str, body: Bytes) -> Result<Bytes, Broken> {
        let uri = Uri::builder().scheme("https").authority(self.authority.clone()).path_and_query(path).build();
        let uri = uri.map_err(|_| Failed::Garbled("no such path"))?;
        let mut request = Request::post(uri).body(Full::new(body)).map_err(|_| Failed::Garbled("no such request"))?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = self.client.request(request).await.map_err(|error| match error.is_connect() {
            true => Broken::Failed(Failed::Unreachable(chain(&error))),
            false => Broken::Closed(chain(&error)),
        })?;
        let status = response.status();
        if !crate::reply::is_json(response.headers()) {
            return Err(Failed::Garbled("an answer that is no JSON").into());
        }
        let bytes = match Limited::new(response.into_body(), self.config.max_answer).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Failed::Garbled("too long an answer").into()),
            Err(error) => return Err(Broken::Closed(chain(&*error))),
        };
        if status == StatusCode::OK {
            return Ok(bytes);
        }
        let said: Option<Refused> = serde_json::from_slice(&bytes).ok();
        let refusal = said.and_then(|said| Refusal::from_code(&said.error));
        Err(refusal.map_or(Failed::Garbled("a refusal that is not in the table"), Failed::Refused).into())
    }
}

/// One try.
enum Broken {
    /// The connection closed before the answer was whole.
    Closed(String),
    /// Trying again would not help.
    Failed(Failed),
}

impl From<Failed> for Broken {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

/// An error with what stands behind it; the libraries name addresses and TLS alerts, never contents.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error: &&(dyn StdError + 'static)| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn pooled(own: &Arc<Leaf>, identity: &Identity, config: PeerConfig) -> Result<Pooled, PeerError> {
    let (tls, name) = client_config(own, identity)?;
    // A peer that went away without a word is noticed within the time of one answer, so that the second try still can succeed.
    let (ping_every, pong_within) = (config.answer_within.mul_f64(0.4), config.answer_within.mul_f64(0.25));
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(config.connect_within));
    tcp.set_keepalive(Some(ping_every));
    tcp.set_keepalive_interval(Some(ping_every));
    tcp.set_keepalive_retries(Some(2));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .with_server_name_resolver(FixedServerNameResolver::new(name))
        .enable_all_versions()
        .wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http2_keep_alive_interval(ping_every)
        .http2_keep_alive_timeout(pong_within)
        .http2_keep_alive_while_idle(true)
        .http2_max_header_list_size(MAX_ANSWER_HEADERS)
        .build(BoxCloneSyncService::new(Timeout::new(https, config.connect_within))))
}
