//! The front's routes. Handlers read headers and bodies; every decision is the front's.

mod docs;
mod elsewhere;
mod signals;
mod table;
mod waiting;

use crate::addresses::{self, Asked};
use crate::api::Operation;
use crate::mutual_tls::{ProvenCertificate, Registered};
use crate::pages::{FrontRefusal, FrontResponse, FrontSignedOut};
use crate::reply::{Edge, body, json, parse};
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRef, FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use hufu_kernel::{Lang, Refusal, Root};
use hufu_offices::buckets::whole_seconds;
use hufu_offices::front::{self, Front, Incoming, Reply, Shown};
use hufu_wire::api::sign_in::{CompleteSignIn, Continue, RefuseSignIn};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use table::Door;
use tower_http::cors::CorsLayer;

#[derive(Clone)]
struct Site {
    edge: Edge,
    front: Arc<Front>,
}

impl FromRef<Site> for Arc<Front> {
    fn from_ref(site: &Site) -> Self {
        Arc::clone(&site.front)
    }
}

impl Site {
    fn answer(&self, reply: Reply) -> Response<Body> {
        if let Some(code) = reply.refused {
            self.edge.count(code);
        }
        if reply.status == 429 {
            self.edge.limited("client");
        }
        answer(reply)
    }

    /// A person whose address has asked too often.
    fn too_often(&self, headers: &HeaderMap, wait: Duration) -> Response<Body> {
        let wait = whole_seconds(wait);
        let detail = format!("{}; Retry-After: {wait} s", Refusal::TooMany.code());
        let mut page = self.refused_with_page(Refusal::TooMany, language(headers), Some(&detail));
        page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        page
    }

    /// A refusal of a platform's request, in front of a person.
    fn shown(&self, shown: Shown, lang: Lang) -> Response<Body> {
        let detail = format!("{}: {}", shown.error.code(), shown.error.description());
        self.refused_with_page(shown.refusal, lang, Some(&detail))
    }

    /// One refusal as a page. Nothing of the request is repeated on it.
    fn refused_with_page(&self, refusal: Refusal, lang: Lang, detail: Option<&str>) -> Response<Body> {
        let edge = &self.edge;
        let error_id = edge.error_id();
        edge.errors.note(&error_id, refusal.code());
        edge.count(refusal.code());
        tracing::info!(office = edge.office, error_id, code = refusal.code(), "refused with a page");
        let detail = detail.unwrap_or(refusal.code());
        let sandbox = self.front.root() == Root::Sandbox;
        let page = FrontRefusal { lang, sandbox, refusal, error_id: &error_id, detail }.html();
        (status(refusal), PAGE_HEADERS, page).into_response()
    }
}

/// The page loads its style sheet and nothing else.
const PAGE_HEADERS: [(HeaderName, &str); 2] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
];

type Shared = State<Arc<Front>>;

/// The front's routes; [`crate::serve::finished`] adds what all offices share. What they are stands in the front's table
/// (`front/table.rs`), and is published as `/openapi.json` and `/docs/api`. A row's door says how often an address may come through it.
pub fn router(edge: &Edge, front: &Arc<Front>) -> Router {
    let site = Site { edge: edge.clone(), front: Arc::clone(front) };
    let with_scripts: &[Door] = if front.persona_sessions() { &[Door::Wallet, Door::Unasked] } else { &[Door::Wallet] };
    let wallet = routes_of(with_scripts).route_layer(middleware::from_fn_with_state(site.clone(), bounded_wallet));
    let wallet = wallet.layer(cors(front.wallet_origin()));
    let browsers = routes_of(&[Door::Browsers]).route_layer(middleware::from_fn_with_state(site.clone(), bounded));
    let plain = routes_of(&[Door::Plain]).route_layer(middleware::from_fn(addresses::bounded_other));
    plain.merge(browsers).merge(platforms()).merge(wallet).with_state(site)
}

/// What browsers ask, as often as their address may. Before anything is read.
async fn bounded(State(site): State<Site>, request: Request, next: Next) -> Response<Body> {
    match addresses::may(&request, Asked::Browser) {
        Ok(()) => next.run(request).await,
        Err(wait) => addresses::parting(site.too_often(request.headers(), wait)),
    }
}

/// What the wallet asks counts with what browsers ask, but for the places of those who wait; its scripts read no pages.
async fn bounded_wallet(State(site): State<Site>, request: Request, next: Next) -> Response<Body> {
    let headers = request.headers();
    let asked = if request.uri().path() == table::WAIT { Asked::Wait } else { Asked::Browser };
    match addresses::may(&request, asked) {
        Ok(()) => next.run(request).await,
        Err(wait) if request.uri().path().starts_with("/tx/") || posts_json(request.method(), headers) => {
            addresses::parting(site.edge.too_often(wait))
        }
        Err(wait) => addresses::parting(site.too_often(headers, wait)),
    }
}

fn posts_json(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::POST && is_type(headers, "application/json")
}

/// What platforms ask, as often as their address may. Before anything is read.
async fn bounded_platform(request: Request, next: Next) -> Response<Body> {
    match addresses::may(&request, Asked::Platform) {
        Ok(()) => next.run(request).await,
        Err(wait) => addresses::parting(answer(front::too_often(wait))),
    }
}

/// What the front answers where callers prove a TLS certificate (RFC 8705 section 5), for a listener of
/// [`crate::mutual_tls::PlatformDoors`]: `/par`, `/token`, `/bc-authorize`, `/userinfo`, `/introspect`, `/revoke`, `/ssf/…`, and nothing
/// that browsers meet.
pub fn mutual_router(edge: &Edge, front: &Arc<Front>) -> Router {
    platforms().with_state(Site { edge: edge.clone(), front: Arc::clone(front) })
}

/// The table as it is told.
#[must_use]
pub fn operations() -> Vec<Operation> {
    table::rows().into_iter().map(|row| row.operation).collect()
}

/// Which platform a certificate at that listener belongs to.
#[must_use]
pub fn registered(front: &Arc<Front>) -> Registered {
    let front = Arc::clone(front);
    Registered::by(move |certificate| front.registered(certificate))
}

/// What platforms ask themselves, with or without a TLS certificate.
fn platforms() -> Router<Site> {
    routes_of(&[Door::Platforms]).route_layer(middleware::from_fn(bounded_platform))
}

fn routes_of(doors: &[Door]) -> Router<Site> {
    let rows = table::rows().into_iter().filter(|row| row.is_of(doors));
    rows.fold(Router::new(), |router, row| router.route(row.operation.path, (row.serve)()))
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
        .expose_headers([header::RETRY_AFTER])
        .max_age(Duration::from_secs(600))
}

async fn discovery(State(front): Shared) -> Response<Body> {
    answer(front.discovery())
}

async fn jwks(State(front): Shared) -> Response<Body> {
    answer(front.jwks())
}

async fn par(State(site): State<Site>, request: Platform) -> Response<Body> {
    site.answer(site.front.par(&request.incoming(&request.views())).await)
}

async fn token(State(site): State<Site>, request: Platform) -> Response<Body> {
    site.answer(site.front.token(&request.incoming(&request.views())).await)
}

async fn backchannel(State(site): State<Site>, request: Platform) -> Response<Body> {
    site.answer(site.front.backchannel(&request.incoming(&request.views())).await)
}

async fn userinfo(State(site): State<Site>, request: Platform) -> Response<Body> {
    let mut response = site.answer(site.front.userinfo(&request.incoming(&request.views())).await);
    // Both sides' logs of one call can be laid beside each other (FAPI 1.0 Baseline section 6.2.1); it is the platform's own number.
    if let Some(id) = request.headers.get(INTERACTION).filter(|id| is_uuid(id)) {
        response.headers_mut().insert(INTERACTION, id.clone());
    }
    response
}

async fn introspect(State(site): State<Site>, request: Platform) -> Response<Body> {
    let accept = texts(&request.headers, &header::ACCEPT);
    site.answer(site.front.introspect(&request.incoming(&request.views()), &accept).await)
}

async fn revoke(State(site): State<Site>, request: Platform) -> Response<Body> {
    site.answer(site.front.revoke(&request.incoming(&request.views())).await)
}

const INTERACTION: HeaderName = HeaderName::from_static("x-fapi-interaction-id");

/// 8-4-4-4-12 hexadecimal digits: nothing else is sent back.
fn is_uuid(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    let shaped = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    id.len() == 36 && id.iter().enumerate().all(shaped)
}

async fn authorize(State(site): State<Site>, request: Browser) -> Response<Body> {
    match site.front.authorize(&request.form, &texts(&request.headers, &header::COOKIE)).await {
        Ok(reply) => site.answer(reply),
        Err(shown) => site.shown(shown, request.language()),
    }
}

async fn logout(State(site): State<Site>, request: Browser) -> Response<Body> {
    match site.front.logout(&request.form).await {
        Ok(Some(to)) => (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response(),
        Ok(None) => {
            let page = FrontSignedOut { lang: request.language(), sandbox: site.front.root() == Root::Sandbox };
            (StatusCode::OK, PAGE_HEADERS, page.html()).into_response()
        }
        Err(shown) => site.shown(shown, request.language()),
    }
}

async fn respond(State(site): State<Site>, request: Browser) -> Response<Body> {
    let asked = form_urlencoded::parse(request.form.as_bytes()).find(|(name, _)| name == "r");
    let lang = request.language();
    match site.front.posting(&asked.map(|(_, sealed)| sealed).unwrap_or_default()) {
        Ok(posting) => {
            let sandbox = site.front.root() == Root::Sandbox;
            let page = FrontResponse { lang, sandbox, to: &posting.to, parameters: &posting.parameters };
            let mut response = (StatusCode::OK, PAGE_HEADERS, page.html()).into_response();
            let policy = format!(
                "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action {}",
                targets(sandbox)
            );
            let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            response
        }
        Err(refusal) => site.refused_with_page(refusal, lang, None),
    }
}

/// Where a form may lead that ends at a platform: browsers hold what the platform redirects to against form-action too, so its own
/// address is not enough.
fn targets(sandbox: bool) -> &'static str {
    if sandbox { "https: http://localhost:* http://127.0.0.1:* http://*.localhost:*" } else { "https:" }
}

async fn transaction(State(site): State<Site>, tx: Result<Path<String>, PathRejection>) -> Response<Body> {
    // A name that is no text is no transaction's.
    let tx = tx.map_err(|_| Refusal::Malformed);
    match tx.and_then(|Path(tx)| site.front.transaction(&tx)) {
        Ok(jws) => ([(header::CONTENT_TYPE, "application/jwt")], jws).into_response(),
        Err(refusal) => site.edge.refused(refusal),
    }
}

async fn complete(State(site): State<Site>, posted: Posted<CompleteSignIn>) -> Response<Body> {
    let done = match posted.may_post(&site.front) {
        Ok(()) => site.front.complete(&posted.value, &texts(&posted.headers, &header::COOKIE)).await,
        Err(refusal) => Err(refusal),
    };
    posted.answer(&site, done)
}

async fn refuse(State(site): State<Site>, posted: Posted<RefuseSignIn>) -> Response<Body> {
    let done = match posted.may_post(&site.front) {
        Ok(()) => site.front.refuse(&posted.value, &texts(&posted.headers, &header::COOKIE)).await,
        Err(refusal) => Err(refusal),
    };
    posted.answer(&site, done)
}

/// A sandbox's persona agent sends the browser here with an answer for which nobody had to be asked, which a page without a script cannot
/// post. The front's cookie of this browser is needed as ever.
async fn complete_unasked(
    State(site): State<Site>,
    headers: HeaderMap,
    value: Result<Query<CompleteSignIn>, QueryRejection>,
) -> Response<Body> {
    let Ok(Query(value)) = value else {
        return site.refused_with_page(Refusal::Malformed, language(&headers), None);
    };
    let done = site.front.complete(&value, &texts(&headers, &header::COOKIE)).await;
    Posted { headers, by_script: false, value }.answer(&site, done)
}

/// The same, where it would have had to ask.
async fn refuse_unasked(
    State(site): State<Site>,
    headers: HeaderMap,
    value: Result<Query<RefuseSignIn>, QueryRejection>,
) -> Response<Body> {
    let Ok(Query(value)) = value else {
        return site.refused_with_page(Refusal::Malformed, language(&headers), None);
    };
    let done = site.front.refuse(&value, &texts(&headers, &header::COOKIE)).await;
    Posted { headers, by_script: false, value }.answer(&site, done)
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

impl Browser {
    /// The language that the platform asked for, else the browser's.
    fn language(&self) -> Lang {
        let asked = form_urlencoded::parse(self.form.as_bytes()).find(|(name, _)| name == "ui_locales");
        asked.and_then(|(_, tags)| Lang::negotiate(&tags)).unwrap_or_else(|| language(&self.headers))
    }
}

/// The form of a POST; a body of another type is no form.
async fn form_of(request: Request) -> Result<String, Refusal> {
    let typed = is_type(request.headers(), FORM);
    let bytes = body(request).await?;
    // A POST without a body, as to userinfo, needs no type.
    if !typed && !bytes.is_empty() {
        return Err(Refusal::Malformed);
    }
    String::from_utf8(bytes).map_err(|_| Refusal::Malformed)
}

impl FromRequest<Site> for Browser {
    type Rejection = Response<Body>;
    async fn from_request(request: Request, site: &Site) -> Result<Self, Response<Body>> {
        let headers = request.headers().clone();
        let form = if request.method() == Method::POST {
            let lang = language(&headers);
            form_of(request).await.map_err(|refusal| site.refused_with_page(refusal, lang, None))?
        } else {
            request.uri().query().unwrap_or_default().to_owned()
        };
        Ok(Self { headers, form })
    }
}

/// A request of a platform.
struct Platform {
    method: Method,
    headers: HeaderMap,
    certificate: Option<ProvenCertificate>,
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
            certificate: self.certificate.as_ref().map(ProvenCertificate::certificate),
            form: &self.form,
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Platform {
    type Rejection = Response<Body>;
    async fn from_request(request: Request, _: &S) -> Result<Self, Response<Body>> {
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let certificate = request.extensions().get().cloned();
        let form = if method == Method::POST { form_of(request).await.map_err(unread)? } else { String::new() };
        Ok(Self { method, headers, certificate, form })
    }
}

/// RFC 6749 section 5.2 has one answer for requests that do not parse.
fn unread(refusal: Refusal) -> Response<Body> {
    let told = json!({ "error": "invalid_request", "error_description": refusal.text().developer });
    json(status(refusal), &told)
}

/// The wallet's answer: JSON of a script, or a form that the browser posts from the wallet's page.
struct Posted<T> {
    headers: HeaderMap,
    by_script: bool,
    value: T,
}

impl<T: DeserializeOwned> FromRequest<Site> for Posted<T> {
    type Rejection = Response<Body>;
    async fn from_request(request: Request, site: &Site) -> Result<Self, Response<Body>> {
        let headers = request.headers().clone();
        if is_type(&headers, "application/json") {
            let read = match body(request).await {
                Ok(bytes) => parse(&bytes),
                Err(refusal) => Err(refusal),
            };
            let value = read.map_err(|refusal| site.edge.refused(refusal))?;
            return Ok(Self { headers, by_script: true, value });
        }
        let lang = language(&headers);
        match axum::Form::from_request(request, site).await {
            Ok(axum::Form(value)) => Ok(Self { headers, by_script: false, value }),
            Err(_) => Err(site.refused_with_page(Refusal::Malformed, lang, None)),
        }
    }
}

fn may_post(front: &Front, headers: &HeaderMap) -> Result<(), Refusal> {
    let ours = texts(headers, &header::ORIGIN).iter().all(|origin| front.may_post(origin));
    if ours { Ok(()) } else { Err(Refusal::ForeignOrigin) }
}

impl<T> Posted<T> {
    /// Browsers name the page's origin on every cross-origin POST; a request without the header is no browser's, and has to
    /// have the cookie like any other.
    fn may_post(&self, front: &Front) -> Result<(), Refusal> {
        may_post(front, &self.headers)
    }

    fn answer(&self, site: &Site, done: Result<Continue, Refusal>) -> Response<Body> {
        match (done, self.by_script) {
            (Ok(next), false) => (StatusCode::SEE_OTHER, [(header::LOCATION, next.redirect_to)]).into_response(),
            (Err(refusal), false) => site.refused_with_page(refusal, language(&self.headers), None),
            (done, true) => site.edge.answer(done),
        }
    }
}

fn status(refusal: Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.text().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn answer(reply: Reply) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        match HeaderValue::try_from(value) {
            Ok(value) => response.headers_mut().append(HeaderName::from_static(name), value),
            Err(_) => {
                tracing::error!(name, "a header of ours is none");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        };
    }
    response
}
