//! The front's routes. Handlers read headers and bodies; every decision is the front's.

use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hufu_kernel::{Lang, Refusal};
use hufu_offices::front::{Front, Incoming, Reply, Shown};
use hufu_wire::api::sign_in::{CompleteSignIn, Continue, RefuseSignIn};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;

/// The largest body that is read.
const MAX_BODY: usize = 64 * 1024;

/// The longest a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

type Shared = State<Arc<Front>>;

/// The front's routes.
///
/// * platforms: `/.well-known/openid-configuration`, `/.well-known/oauth-authorization-server`, `/jwks.json`, `/par`,
///   `/token`, `/userinfo`
/// * browsers: `/authorize`, and top-level form posts to `/complete` and `/refuse`, answered with 303
/// * the wallet's scripts: `/tx/{tx}`, and JSON to `/complete` and `/refuse`, answered with JSON
pub fn router(front: Arc<Front>) -> Router {
    let wallet = Router::new()
        .route("/tx/{tx}", get(transaction))
        .route("/complete", post(complete))
        .route("/refuse", post(refuse))
        .layer(cors(front.wallet_origin()));
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/.well-known/oauth-authorization-server", get(discovery))
        .route("/jwks.json", get(jwks))
        .route("/par", post(par))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo).post(userinfo))
        .route("/authorize", get(authorize).post(authorize))
        .merge(wallet)
        .fallback(async || problem(Refusal::NotFound))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .layer(CatchPanicLayer::custom(|_| problem(Refusal::Internal)))
        .layer(middleware::from_fn(guard))
        .with_state(front)
}

/// Scripts of the wallet's origin, with the transaction cookie; nobody else's.
fn cors(wallet_origin: &str) -> CorsLayer {
    // An origin that is no header value matches nothing.
    let origin = HeaderValue::from_str(wallet_origin).unwrap_or(HeaderValue::from_static("null"));
    CorsLayer::new()
        .allow_origin([origin])
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE])
        .max_age(Duration::from_secs(600))
}

/// Headers that every answer has, unless the handler said otherwise.
async fn guard(request: Request, next: Next) -> Response {
    const ALWAYS: [(HeaderName, &str); 5] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ];
    let mut response = next.run(request).await;
    for (name, value) in ALWAYS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn discovery(State(front): Shared) -> Response {
    answer(front.discovery())
}

async fn jwks(State(front): Shared) -> Response {
    answer(front.jwks())
}

async fn par(State(front): Shared, request: Platform) -> Response {
    answer(front.par(&request.incoming(&request.views())).await)
}

async fn token(State(front): Shared, request: Platform) -> Response {
    answer(front.token(&request.incoming(&request.views())).await)
}

async fn userinfo(State(front): Shared, request: Platform) -> Response {
    answer(front.userinfo(&request.incoming(&request.views())).await)
}

async fn authorize(State(front): Shared, request: Browser) -> Response {
    match front.authorize(&request.form, &texts(&request.headers, &header::COOKIE)).await {
        Ok(reply) => answer(reply),
        Err(shown) => error_page(&shown, language(&request.headers)),
    }
}

async fn transaction(State(front): Shared, Path(tx): Path<String>) -> Response {
    match front.transaction(&tx) {
        Ok(jws) => ([(header::CONTENT_TYPE, "application/jwt")], jws).into_response(),
        Err(refusal) => problem(refusal),
    }
}

async fn complete(State(front): Shared, posted: Posted<CompleteSignIn>) -> Response {
    if !posted.may_post(&front) {
        return posted.answer(Err(Refusal::ForeignOrigin));
    }
    let done = front.complete(&posted.value, &texts(&posted.headers, &header::COOKIE)).await;
    posted.answer(done)
}

async fn refuse(State(front): Shared, posted: Posted<RefuseSignIn>) -> Response {
    if !posted.may_post(&front) {
        return posted.answer(Err(Refusal::ForeignOrigin));
    }
    let done = front.refuse(&posted.value, &texts(&posted.headers, &header::COOKIE)).await;
    posted.answer(done)
}

/// All values of a header. One that is no text stands as an empty one, so that its presence still counts.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect()
}

fn language(headers: &HeaderMap) -> Lang {
    texts(headers, &header::ACCEPT_LANGUAGE).first().and_then(|text| Lang::negotiate(text)).unwrap_or_default()
}

fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let text = texts(headers, &header::CONTENT_TYPE).first().copied().unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

const FORM: &str = "application/x-www-form-urlencoded";

/// A request of a browser to `/authorize`: the query of a GET, the form of a POST.
struct Browser {
    headers: HeaderMap,
    form: String,
}

/// The query of a GET or the form of a POST; a body of another type is no form.
async fn form_of(request: Request, query: bool) -> Result<(HeaderMap, String), Refusal> {
    let headers = request.headers().clone();
    if request.method() != Method::POST {
        let text = if query { request.uri().query().unwrap_or_default() } else { "" };
        return Ok((headers, text.to_owned()));
    }
    let typed = is_type(&headers, FORM);
    let body = String::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _ => Refusal::Malformed,
    })?;
    // A POST without a body, as to userinfo, needs no type.
    if typed || body.is_empty() { Ok((headers, body)) } else { Err(Refusal::Malformed) }
}

impl<S: Send + Sync> FromRequest<S> for Browser {
    type Rejection = Response;
    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let (headers, form) = form_of(request, true).await.map_err(problem)?;
        Ok(Self { headers, form })
    }
}

/// A request of a platform.
struct Platform {
    method: Method,
    headers: HeaderMap,
    form: String,
}

struct Views<'a> {
    authorization: Vec<&'a str>,
    dpop: Vec<&'a str>,
}

impl Platform {
    fn views(&self) -> Views<'_> {
        const DPOP: HeaderName = HeaderName::from_static("dpop");
        Views { authorization: texts(&self.headers, &header::AUTHORIZATION), dpop: texts(&self.headers, &DPOP) }
    }

    fn incoming<'a>(&'a self, views: &'a Views<'a>) -> Incoming<'a> {
        Incoming {
            method: self.method.as_str(),
            authorization: &views.authorization,
            dpop: &views.dpop,
            form: &self.form,
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Platform {
    type Rejection = Response;
    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let method = request.method().clone();
        // RFC 6749 section 5.2 has one answer for requests that do not parse.
        let refuse = |refusal: Refusal| {
            let body = json!({ "error": "invalid_request", "error_description": refusal.text().developer });
            (StatusCode::from_u16(refusal.text().status).unwrap_or(StatusCode::BAD_REQUEST), Json(body)).into_response()
        };
        let (headers, form) = form_of(request, false).await.map_err(refuse)?;
        Ok(Self { method, headers, form })
    }
}

/// The wallet's answer: JSON of a script, or a form that the browser posts from the wallet's page.
struct Posted<T> {
    headers: HeaderMap,
    by_script: bool,
    value: T,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Posted<T> {
    type Rejection = Response;
    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let headers = request.headers().clone();
        let by_script = is_type(&headers, "application/json");
        let lang = language(&headers);
        let value = if by_script {
            let body = axum::body::Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
            hufu_wire::jose::strict_json(&body).map_err(|_| problem(Refusal::Malformed))?
        } else {
            let form = axum::Form::<T>::from_request(request, state).await;
            form.map_err(|_| refusal_page(Refusal::Malformed, lang, None))?.0
        };
        Ok(Self { headers, by_script, value })
    }
}

impl<T> Posted<T> {
    /// Browsers name the page's origin on every cross-origin POST; a request without the header is no browser's, and has to
    /// have the cookie like any other.
    fn may_post(&self, front: &Front) -> bool {
        texts(&self.headers, &header::ORIGIN).iter().all(|origin| front.may_post(origin))
    }

    fn answer(&self, done: Result<Continue, Refusal>) -> Response {
        match (done, self.by_script) {
            (Ok(next), true) => Json(next).into_response(),
            (Ok(next), false) => (StatusCode::SEE_OTHER, [(header::LOCATION, next.redirect_to)]).into_response(),
            (Err(refusal), true) => problem(refusal),
            (Err(refusal), false) => refusal_page(refusal, language(&self.headers), None),
        }
    }
}

fn status(refusal: Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.text().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A refusal for a program.
fn problem(refusal: Refusal) -> Response {
    let text = refusal.text();
    (
        status(refusal),
        Json(json!({ "refusal": text.code, "zh-Hans": text.zh, "en": text.en, "developer": text.developer })),
    )
        .into_response()
}

fn answer(reply: Reply) -> Response {
    let mut response = reply.body.into_response();
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in reply.headers {
        match HeaderValue::try_from(value) {
            Ok(value) => response.headers_mut().append(HeaderName::from_static(name), value),
            Err(_) => return problem(Refusal::Internal),
        };
    }
    response
}

fn error_page(shown: &Shown, lang: Lang) -> Response {
    let detail = format!("{} · {} · {}", shown.error.code(), shown.error.description(), shown.error_id);
    refusal_page(shown.refusal, lang, Some(&detail))
}

/// One refusal as a page. Nothing of the request is repeated on it, so there is nothing to escape but our own texts.
fn refusal_page(refusal: Refusal, lang: Lang, detail: Option<&str>) -> Response {
    let (title, engineers) = match lang {
        Lang::ZhHans => ("虎符：无法继续", "供平台开发人员参考"),
        Lang::En => ("Hufu: cannot continue", "For the platform's engineers"),
    };
    let detail = detail.unwrap_or(refusal.code()).replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!doctype html><html lang=\"{}\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <main><h1>{title}</h1><p>{}</p><p><small>{engineers}: <code>{detail}</code></small></p></main></html>",
        lang.tag(),
        refusal.sentence(lang),
    );
    (status(refusal), [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}
