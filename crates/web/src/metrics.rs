//! What an operator counts: requests, refusals, writes, signatures; never whom or where.
//!
//! Every label is one of a closed set that stands in our code: an office, a route as it is written in the route table, a status
//! class, a code of the refusal table, a kind of signature. No value of a request can become one, so no metric can name a person,
//! a platform or a handle.

use crate::reply::Edge;
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::Next;
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use tokio::time::Instant;

/// Where they are read.
pub const PATH: &str = "/metrics";

/// OpenMetrics 1.0 text, which Prometheus reads.
const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds; a sign-in's steps take one to twenty milliseconds, an enrolment's face step up to a second.
const BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    office: &'static str,
    route: Arc<str>,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Timed {
    office: &'static str,
    route: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    office: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    office: &'static str,
    peer: Arc<str>,
    route: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Signed {
    office: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Written {
    office: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Certified {
    office: &'static str,
    certificate: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    office: &'static str,
}

/// What an office's store has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoreCounts {
    /// Batches that were written.
    pub committed: u64,
    /// Batches that were refused: a row had changed, a value was taken.
    pub refused: u64,
    /// Batches of which the store could not say whether they were written, and errors.
    pub failed: u64,
    /// Times that writes were made durable; one of them may carry many batches.
    pub flushes: u64,
}

/// How a process is doing at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// As `/readyz` says.
    pub ready: bool,
    /// When it began, Unix seconds to the minute.
    pub since: i64,
    /// What it has in memory, in bytes.
    pub memory: i64,
    /// The most it may have, in bytes; 0 if there is no bound.
    pub memory_bound: i64,
    /// What is left on the disk of its folder, in bytes; nothing if it is unknown.
    pub disk_free: Option<i64>,
}

/// What is set rather than counted.
#[derive(Debug, Default)]
struct Gauges {
    ready: Family<Of, Gauge>,
    since: Family<Of, Gauge>,
    memory: Family<Of, Gauge>,
    memory_bound: Family<Of, Gauge>,
    disk_free: Family<Of, Gauge>,
    generation: Family<Of, Gauge>,
    rows_behind: Family<Of, Gauge>,
    certificate_end: Family<Certified, Gauge>,
}

impl Gauges {
    fn registered(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register("ready", "1 if /readyz has no reasons", own.ready.clone());
        registry.register_with_unit("start_time", "When the process began", Unit::Seconds, own.since.clone());
        registry.register_with_unit("memory", "What the process has in memory", Unit::Bytes, own.memory.clone());
        registry.register_with_unit(
            "memory_bound",
            "The most it may have; 0: no bound",
            Unit::Bytes,
            own.memory_bound.clone(),
        );
        registry.register_with_unit("disk_free", "Space left for its folder", Unit::Bytes, own.disk_free.clone());
        registry.register("key_generation", "Which K_A count at a node", own.generation.clone());
        registry.register("rows_behind", "Rows at older K_A; -1: not known yet", own.rows_behind.clone());
        registry.register_with_unit(
            "certificate_end_timestamp",
            "When a certificate ends that it presents",
            Unit::Seconds,
            own.certificate_end.clone(),
        );
        own
    }
}

/// The counters of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    gauges: Gauges,
    requests: Family<Answered, Counter>,
    seconds: Family<Timed, Histogram, fn() -> Histogram>,
    refusals: Family<Refused, Counter>,
    peer_calls: Family<Called, Counter>,
    signatures: Family<Signed, Counter>,
    commits: Family<Written, Counter>,
    flushes: Family<Of, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("hufu");
        let seconds: Family<Timed, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let (requests, refusals, signatures) = (Family::default(), Family::default(), Family::default());
        let (commits, flushes, peer_calls) = (Family::default(), Family::default(), Family::default());
        registry.register("requests", "Requests by route and status class", requests.clone());
        registry.register_with_unit("request", "How long they took", Unit::Seconds, seconds.clone());
        registry.register("refusals", "Refusals by code", refusals.clone());
        registry.register("peer_calls", "Calls to other offices by outcome", peer_calls.clone());
        registry.register("signatures", "Signatures and shares of signatures by kind", signatures.clone());
        registry.register("store_commits", "Batches by outcome", commits.clone());
        registry.register("store_flushes", "Times that writes were made durable", flushes.clone());
        let gauges = Gauges::registered(&mut registry);
        Self { registry, gauges, requests, seconds, refusals, peer_calls, signatures, commits, flushes }
    }
}

impl Metrics {
    /// Counts a refusal. Codes are those of the refusal table or of OAuth's.
    pub fn refused(&self, office: &'static str, code: &'static str) {
        self.refusals.get_or_create(&Refused { office, code }).inc();
    }

    /// Counts a call of `office` to `peer`. Outcomes: answered, refused, full, unreachable, slow, garbled.
    pub fn called(&self, office: &'static str, peer: &Arc<str>, route: &'static str, outcome: &'static str) {
        self.peer_calls.get_or_create(&Called { office, peer: Arc::clone(peer), route, outcome }).inc();
    }

    /// Sets how the process is doing.
    pub fn stands(&self, office: &'static str, standing: Standing) {
        let set = |gauge: &Family<Of, Gauge>, to: i64| {
            gauge.get_or_create(&Of { office }).set(to);
        };
        set(&self.gauges.ready, i64::from(standing.ready));
        set(&self.gauges.since, standing.since);
        set(&self.gauges.memory, standing.memory);
        set(&self.gauges.memory_bound, standing.memory_bound);
        if let Some(free) = standing.disk_free {
            set(&self.gauges.disk_free, free);
        }
    }

    /// Sets how far a node's rows have moved to new K_A: the generation that counts, and how many rows stand at older ones, if it is known.
    pub fn moved(&self, office: &'static str, generation: u32, behind: Option<u64>) {
        let behind = behind.map_or(-1, |behind| i64::try_from(behind).unwrap_or(i64::MAX));
        self.gauges.generation.get_or_create(&Of { office }).set(i64::from(generation));
        self.gauges.rows_behind.get_or_create(&Of { office }).set(behind);
    }

    /// Sets when a certificate ends, Unix seconds: the one that an office shows to other offices (`office`), to
    /// everybody (`public`), or to platforms with certificates of their own (`mtls`).
    pub fn certificate_ends(&self, office: &'static str, certificate: &'static str, at: i64) {
        self.gauges.certificate_end.get_or_create(&Certified { office, certificate }).set(at);
    }

    /// Counts a signature, or a share of one.
    pub fn signed(&self, office: &'static str, kind: &'static str) {
        self.signatures.get_or_create(&Signed { office, kind }).inc();
    }

    /// Takes over what a store has counted since it was opened.
    pub fn stored(&self, office: &'static str, counts: StoreCounts) {
        // Counters only go up; of two readers at once the second adds nothing.
        let raise = |counter: &Counter, to: u64| {
            counter.inc_by(to.saturating_sub(counter.get()));
        };
        let by_outcome = [("committed", counts.committed), ("refused", counts.refused), ("failed", counts.failed)];
        for (outcome, count) in by_outcome {
            raise(&self.commits.get_or_create(&Written { office, outcome }), count);
        }
        raise(&self.flushes.get_or_create(&Of { office }), counts.flushes);
    }

    /// Without a time: see [`Waited`].
    fn answered(&self, office: &'static str, route: Arc<str>, status: StatusCode, took: Option<f64>) {
        let status = match status.as_u16() {
            0..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        if let Some(took) = took {
            self.seconds.get_or_create(&Timed { office, route: Arc::clone(&route) }).observe(took);
        }
        self.requests.get_or_create(&Answered { office, route, status }).inc();
    }

    /// All of them, as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Among an answer's extensions: it waited for something to happen, so that how long it took is no measure of anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited;

/// Counts every request to `routes`; the route is the pattern in the table, or `none` for addresses that are in no table.
pub(crate) fn counted(edge: &Edge, routes: Router) -> Router {
    let Some(metrics) = edge.metrics.clone() else { return routes };
    let (office, nowhere): (_, Arc<str>) = (edge.office, "none".into());
    routes.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
        let (metrics, nowhere) = (Arc::clone(&metrics), Arc::clone(&nowhere));
        async move {
            let route = request.extensions().get::<MatchedPath>().map_or(nowhere, |path| path.as_str().into());
            let began = Instant::now();
            let response = next.run(request).await;
            let waited = response.extensions().get::<Waited>().is_some();
            let took = (!waited).then(|| began.elapsed().as_secs_f64());
            metrics.answered(office, route, response.status(), took);
            response
        }
    }))
}

/// `GET /metrics`. `before` brings in what is counted elsewhere.
pub fn router(metrics: Arc<Metrics>, before: impl Fn(&Metrics) + Clone + Send + Sync + 'static) -> Router {
    Router::new().route(
        PATH,
        get(move || {
            before(&metrics);
            let mut response = Response::new(Body::from(metrics.text()));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(TYPE));
            std::future::ready(response)
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::finished;
    use axum::http::Request as HttpRequest;
    use hufu_kernel::Refusal;
    use tower::ServiceExt as _;

    fn office() -> (Arc<Metrics>, Router) {
        let metrics = Arc::new(Metrics::default());
        let edge = Edge::new("front", "http://wallet.localhost:1", Arc::new(hufu_kernel::OsRng))
            .with_metrics(Arc::clone(&metrics));
        let refuse = {
            let edge = edge.clone();
            move || {
                let edge = edge.clone();
                async move { edge.refused(Refusal::Locked) }
            }
        };
        let routes = Router::new().route("/tx/{tx}", get(|| async { "x" })).route("/refused", get(refuse));
        (metrics, finished(&edge, routes))
    }

    #[tokio::test]
    async fn requests_are_counted_under_the_pattern_and_never_under_what_was_asked() {
        let (metrics, app) = office();
        for path in ["/tx/secret-one", "/tx/secret-two?client_id=blue-jar", "/refused", "/secret-three"] {
            app.clone().oneshot(HttpRequest::get(path).body(Body::empty()).unwrap()).await.unwrap();
        }
        let text = metrics.text();
        for line in [
            "hufu_requests_total{office=\"front\",route=\"/tx/{tx}\",status=\"2xx\"} 2",
            "hufu_requests_total{office=\"front\",route=\"/refused\",status=\"4xx\"} 1",
            "hufu_requests_total{office=\"front\",route=\"none\",status=\"4xx\"} 1",
            "hufu_refusals_total{office=\"front\",code=\"locked\"} 1",
            "hufu_request_seconds_count{office=\"front\",route=\"/tx/{tx}\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("secret") && !text.contains("blue-jar"), "{text}");
    }

    #[test]
    fn a_stores_counts_are_taken_over_once_however_often_they_are_read() {
        let metrics = Metrics::default();
        let counts = StoreCounts { committed: 3, refused: 1, failed: 0, flushes: 2 };
        metrics.stored("post", counts);
        metrics.stored("post", counts);
        metrics.stored("post", StoreCounts { committed: 5, ..counts });
        let text = metrics.text();
        assert!(text.contains("hufu_store_commits_total{office=\"post\",outcome=\"committed\"} 5\n"), "{text}");
        assert!(text.contains("hufu_store_flushes_total{office=\"post\"} 2\n"), "{text}");
    }
}
