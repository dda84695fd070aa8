//! Route tables: what an office answers to, on one screen, and the one path every request to it takes.

use crate::reply::{Edge, body, json, parse};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use axum::routing::any;
use hufu_kernel::Refusal;
use serde::Serialize;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// The answer of a route: JSON, ready to send.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Refusal>> + Send>>;

/// One row of an office's table: a POST with a JSON message, answered with JSON.
pub struct Route<O> {
    /// The HTTP method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// What it does, for the reader and for the generated API page.
    pub what: &'static str,
    /// Parses the message and calls the office.
    pub handler: fn(Arc<O>, Vec<u8>) -> Answer,
}

impl<O> std::fmt::Debug for Route<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.method, self.path, self.what)
    }
}

/// Parses `bytes` and answers with what `call` makes of it.
pub(crate) fn answered<M, T, F>(bytes: &[u8], call: impl FnOnce(M) -> F) -> Answer
where
    M: serde::de::DeserializeOwned,
    T: Serialize,
    F: Future<Output = Result<T, Refusal>> + Send + 'static,
{
    match parse(bytes) {
        Ok(message) => {
            let answer = call(message);
            Box::pin(async move { Ok(json(StatusCode::OK, &answer.await?)) })
        }
        Err(refusal) => Box::pin(std::future::ready(Err(refusal))),
    }
}

/// Rows of a table: `"/path" Message => method, "what it does";`. A method that answers at once is written `=> (method)`.
macro_rules! posts {
    ($office:ty { $($path:literal $message:ty => $method:tt, $what:literal;)* }) => {
        &[$($crate::routes::Route::<$office> {
            method: "POST",
            path: $path,
            what: $what,
            handler: |office, bytes| {
                $crate::routes::answered(&bytes, move |message: $message| async move {
                    $crate::routes::posts!(@call office, message, $method)
                })
            },
        },)*]
    };
    (@call $office:ident, $message:ident, ($method:ident)) => { $office.$method(&$message) };
    (@call $office:ident, $message:ident, $method:ident) => { $office.$method(&$message).await };
}
pub(crate) use posts;

/// The routes of one office as a router, each behind the checks of [`wallet_only`].
pub fn router<O: Send + Sync + 'static>(edge: &Edge, office: &Arc<O>, routes: &'static [Route<O>]) -> Router {
    routes.iter().fold(Router::new(), |router, route| {
        let (edge, office) = (edge.clone(), Arc::clone(office));
        let handle = move |request: Request<Body>| {
            let (edge, office) = (edge.clone(), Arc::clone(&office));
            async move {
                let origin = request.headers().get(header::ORIGIN).cloned();
                let mut response = match answer(&edge, office, route, request).await {
                    Ok(response) => response,
                    Err(refusal) => edge.refused(refusal),
                };
                allow_wallet(&edge, origin.as_ref(), response.headers_mut());
                response
            }
        };
        router.route(route.path, any(handle))
    })
}

async fn answer<O>(
    edge: &Edge,
    office: Arc<O>,
    route: &Route<O>,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    wallet_only(edge, request.headers())?;
    if request.method() == Method::OPTIONS {
        return preflight(route.method, request.headers());
    }
    if request.method() != route.method {
        return Err(Refusal::NotFound);
    }
    if !crate::reply::is_json(request.headers()) {
        return Err(Refusal::Malformed);
    }
    (route.handler)(office, body(request).await?).await
}

/// Scripts of other pages are refused before anything is read; programs without an origin are not browsers.
fn wallet_only(edge: &Edge, headers: &HeaderMap) -> Result<(), Refusal> {
    let foreign = |origin: &HeaderValue| origin.as_bytes() != edge.wallet_origin.as_bytes();
    if headers.get_all(header::ORIGIN).iter().any(foreign) { Err(Refusal::ForeignOrigin) } else { Ok(()) }
}

/// The Fetch standard's preflight: this method, this one header, no credentials.
fn preflight(method: &'static str, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let asked = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let names = asked(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let known =
        names.split(',').map(str::trim).all(|name| name.is_empty() || name.eq_ignore_ascii_case("content-type"));
    if !headers.contains_key(header::ORIGIN) || asked(header::ACCESS_CONTROL_REQUEST_METHOD) != method || !known {
        return Err(Refusal::ForeignOrigin);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let out = response.headers_mut();
    out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(method));
    out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    out.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    Ok(response)
}

fn allow_wallet(edge: &Edge, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin.filter(|origin| origin.as_bytes() == edge.wallet_origin.as_bytes()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}
