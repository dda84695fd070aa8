//! Route tables: what an office answers to, on one screen, and the one path every request to it takes.

use crate::addresses::{self, Asked};
use crate::api::{Asks, At, Operation, Shape, Told};
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
use std::time::Duration;

/// What anybody may ask whom nobody knows yet.
const START: &str = "/v1/enrol/start";
/// What nodes count by the person.
const SIGN_IN: &str = "/v1/sign-in/";

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
    /// The message's schema.
    pub asks: Shape,
    /// The schema of the office's answer.
    pub answers: Shape,
    /// Parses the message and calls the office.
    pub handler: fn(Arc<O>, Vec<u8>) -> Answer,
}

impl<O> Route<O> {
    /// The row as it is told, of an office that may refuse with these.
    pub(crate) fn operation(&self, at: At, refusals: &'static [Refusal]) -> Operation {
        let answers = vec![Told::Json(200, "The office's answer.", self.answers), Told::Refused(refusals)];
        let Self { method, path, what, .. } = *self;
        Operation { method, path, at, what, asks: Asks::Json(self.asks), answers }
    }
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
            asks: |generator| generator.subschema_for::<$message>(),
            answers: |generator| {
                $crate::api::answer_of(generator, |office: std::sync::Arc<$office>, message: $message| async move {
                    $crate::routes::posts!(@call office, message, $method)
                })
            },
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
                let mut response = match may(route, &request) {
                    Err(wait) => addresses::parting(edge.too_often(wait)),
                    Ok(()) => match answer(&edge, office, route, request).await {
                        Ok(response) => response,
                        Err(refusal) => {
                            if refusal == Refusal::TooMany && route.path.starts_with(SIGN_IN) {
                                edge.limited("handle");
                            }
                            edge.refused(refusal)
                        }
                    },
                };
                allow_wallet(&edge, origin.as_ref(), response.headers_mut());
                response
            }
        };
        router.route(route.path, any(handle))
    })
}

/// Whether the caller's address may ask this now. A browser's question beforehand costs nothing, and is not counted.
fn may<O>(route: &Route<O>, request: &Request<Body>) -> Result<(), Duration> {
    if request.method() == Method::OPTIONS {
        return Ok(());
    }
    addresses::may(request, if route.path == START { Asked::Start } else { Asked::Wallet })
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
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::{AddressLimits, Addresses};
    use crate::{node, registrar};
    use hufu_offices::buckets::Rate;
    use serde::Deserialize;
    use std::collections::BTreeSet;
    use tower::ServiceExt as _;

    const WALLET: &str = "http://wallet.localhost:8421";

    /// An office that gives back what it is told.
    struct Echo;

    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Word {
        word: String,
    }

    impl Echo {
        async fn say(&self, word: &Word) -> Result<String, Refusal> {
            if word.word == "refuse" { Err(Refusal::Locked) } else { Ok(word.word.clone()) }
        }
    }

    const TABLE: &[Route<Echo>] = posts! { Echo { "/v1/say" Word => say, "gives a word back"; } };

    async fn ask(request: axum::http::request::Builder, body: &'static str) -> Response<Body> {
        let router = router(&Edge::new("echo", WALLET, Arc::new(hufu_kernel::OsRng)), &Arc::new(Echo), TABLE);
        router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    fn post() -> axum::http::request::Builder {
        Request::post("/v1/say").header(header::CONTENT_TYPE, "application/json")
    }

    #[test]
    fn tables_are_posts_under_v1_each_path_once_each_explained() {
        fn rows<O>(routes: &'static [Route<O>]) -> Vec<(&'static str, &'static str, &'static str)> {
            routes.iter().map(|route| (route.method, route.path, route.what)).collect()
        }
        for table in [rows(node::routes()), rows(registrar::routes())] {
            let paths: BTreeSet<_> = table.iter().map(|(_, path, _)| *path).collect();
            assert_eq!(paths.len(), table.len());
            assert!(
                table
                    .iter()
                    .all(|(method, path, what)| *method == "POST" && path.starts_with("/v1/") && !what.is_empty())
            );
        }
        assert_eq!((node::routes().len(), registrar::routes().len()), (12, 8));
    }

    #[tokio::test]
    async fn the_wallets_scripts_may_call_and_read_the_answer_refusals_included() {
        for (body, status) in [(r#"{"word":"hello"}"#, 200), (r#"{"word":"refuse"}"#, 403), ("{}", 400)] {
            let answer = ask(post().header(header::ORIGIN, WALLET), body).await;
            assert_eq!(answer.status(), status, "{body}");
            let headers = answer.headers();
            assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], WALLET);
            assert_eq!(headers[header::VARY], "origin");
            assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        }
    }

    #[tokio::test]
    async fn scripts_of_every_other_page_are_refused_before_anything_is_read() {
        let others = [
            "http://wallet.localhost:8421.evil.example",
            "http://wallet.localhost",
            "https://wallet.localhost:8421",
            "null",
            "",
        ];
        for origin in others {
            let answer = ask(post().header(header::ORIGIN, origin), r#"{"word":"hello"}"#).await;
            assert_eq!(answer.status(), 403, "{origin}");
            assert!(!answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), "{origin}");
        }
        let both = post().header(header::ORIGIN, WALLET).header(header::ORIGIN, "https://evil.example");
        assert_eq!(ask(both, r#"{"word":"hello"}"#).await.status(), 403);
    }

    #[tokio::test]
    async fn a_preflight_allows_this_method_and_this_header_to_the_wallet_and_nothing_else() {
        let preflight = |origin: &'static str, method: &'static str, headers: &'static str| {
            let request = Request::options("/v1/say").header(header::ORIGIN, origin);
            let request = request.header(header::ACCESS_CONTROL_REQUEST_METHOD, method);
            ask(request.header(header::ACCESS_CONTROL_REQUEST_HEADERS, headers), "")
        };
        let allowed = preflight(WALLET, "POST", "content-type").await;
        assert_eq!(allowed.status(), 204);
        assert_eq!(allowed.headers()[header::ACCESS_CONTROL_ALLOW_METHODS], "POST");
        assert_eq!(allowed.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS], "content-type");
        assert!(!allowed.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        for (origin, method, headers) in [
            ("https://evil.example", "POST", "content-type"),
            (WALLET, "PUT", "content-type"),
            (WALLET, "POST", "content-type, authorization"),
        ] {
            assert_eq!(preflight(origin, method, headers).await.status(), 403, "{origin} {method} {headers}");
        }
    }

    #[tokio::test]
    async fn an_address_asks_so_much_and_begins_fewer_enrolments_and_a_script_learns_how_long_to_wait() {
        const TABLE: &[Route<Echo>] = posts! { Echo {
            "/v1/enrol/start" Word => say, "the beginning";
            "/v1/say" Word => say, "gives a word back";
        } };
        let edge = Edge::new("registrar", WALLET, Arc::new(hufu_kernel::OsRng));
        let rate = |burst| Some(Rate { burst, every: Duration::from_secs(90) });
        let limits = AddressLimits { wallet: rate(3), start: rate(1), ..AddressLimits::default() };
        let addresses = Addresses::new(&edge, limits);
        let app = router(&edge, &Arc::new(Echo), TABLE);
        let ask = async |from: &str, method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path).header(header::ORIGIN, WALLET);
            let request = request.header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
            let request = request.header(header::CONTENT_TYPE, "application/json");
            let mut request = request.body(Body::from(r#"{"word":"hello"}"#)).unwrap();
            request.extensions_mut().insert(addresses.asker(from.parse().unwrap()));
            app.clone().oneshot(request).await.unwrap()
        };
        let status = async |from: &str, path: &str| ask(from, Method::POST, path).await.status().as_u16();
        assert_eq!(status("192.0.2.1", "/v1/enrol/start").await, 200);
        assert_eq!(status("192.0.2.1", "/v1/enrol/start").await, 429);
        for expected in [200, 200, 200, 429, 429] {
            assert_eq!(status("192.0.2.1", "/v1/say").await, expected);
        }
        assert_eq!((status("192.0.2.2", "/v1/enrol/start").await, status("192.0.2.2", "/v1/say").await), (200, 200));
        // The browser's question beforehand is no question.
        assert_eq!(ask("192.0.2.1", Method::OPTIONS, "/v1/say").await.status(), 204);
        let refused = ask("192.0.2.1", Method::POST, "/v1/say").await;
        let headers = refused.headers();
        let wait: u64 = headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((80..=90).contains(&wait), "{wait}");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], WALLET);
        assert_eq!(headers[header::ACCESS_CONTROL_EXPOSE_HEADERS], "retry-after");
        assert_eq!(headers[header::CONNECTION], "close");
        let body = axum::body::to_bytes(refused.into_body(), 4096).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("\"too_many\""));
    }

    #[test]
    fn what_is_counted_by_itself_stands_in_the_tables() {
        assert!(registrar::routes().iter().any(|route| route.path == START));
        assert_eq!(node::routes().iter().filter(|route| route.path.starts_with(SIGN_IN)).count(), 3);
    }

    #[tokio::test]
    async fn forms_and_other_methods_reach_no_office() {
        let form = Request::post("/v1/say").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        assert_eq!(ask(form, r#"{"word":"hello"}"#).await.status(), 400);
        let text = Request::post("/v1/say").header(header::CONTENT_TYPE, "text/plain");
        assert_eq!(ask(text, r#"{"word":"hello"}"#).await.status(), 400);
        let get = Request::get("/v1/say").header(header::CONTENT_TYPE, "application/json");
        assert_eq!(ask(get, r#"{"word":"hello"}"#).await.status(), 404);
    }
}
