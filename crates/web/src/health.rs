//! Whether an office lives, whether it is ready, and what it pins: three reads for operators and wallets.

use crate::addresses;
use crate::reply::json;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware;
use axum::routing::get;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What keeps an office from working, one plain sentence each; empty when it is ready.
pub type Reasons = Pin<Box<dyn Future<Output = Vec<String>> + Send>>;

/// Asks an office whether it is ready.
pub type Probe = Arc<dyn Fn() -> Reasons + Send + Sync>;

/// The paths of [`router`].
pub const PATHS: [&str; 2] = ["/livez", "/readyz"];

/// Where the trust root's public half is.
pub const TRUST_PATH: &str = "/trust.json";

#[derive(Serialize, JsonSchema)]
struct Readiness {
    office: &'static str,
    ready: bool,
    reasons: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    notes: Vec<String>,
}

/// What `/readyz` answers.
pub(crate) fn readiness(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<Readiness>()
}

/// `/livez` says that the process answers; `/readyz` says whether the office can work, with reasons.
pub fn router(office: &'static str, probe: Probe) -> Router {
    router_with_notes(office, probe, Arc::new(|| Box::pin(std::future::ready(Vec::new()))))
}

/// The same with what is missing and can be done without, which operators should know and no balancer.
pub fn router_with_notes(office: &'static str, probe: Probe, notes: Probe) -> Router {
    let ready = move || {
        let (reasons, notes) = (probe(), notes());
        async move {
            let (reasons, notes) = (reasons.await, notes.await);
            let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            json(status, &Readiness { office, ready: reasons.is_empty(), reasons, notes })
        }
    };
    let routes = Router::new().route(PATHS[0], get(|| async { "live\n" })).route(PATHS[1], get(ready));
    routes.route_layer(middleware::from_fn(addresses::bounded_other))
}

/// A document that anybody may read from anywhere, such as the trust root's public half.
pub fn public_document(path: &'static str, document: &impl Serialize) -> Router {
    let bytes: Arc<[u8]> = serde_json::to_vec(document).unwrap_or_default().into();
    Router::new()
        .route(
            path,
            get(move || async move {
                let mut response = Response::new(Body::from(bytes.to_vec()));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
                response
            }),
        )
        .route_layer(middleware::from_fn(addresses::bounded_other))
}
