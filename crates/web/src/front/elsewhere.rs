//! Signing in with another device: the page of the browser that began, the frame in it that shows codes, and what the other device
//! shows (decision 0028). Plain pages and forms; the frame is renewed by a header, and the page around it by links.

use super::{Browser, PAGE_HEADERS, Site, language, targets, texts};
use crate::pages::{ElsewhereFrame, ElsewhereNumber, ElsewherePage};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use hufu_kernel::{Lang, Refusal, Root};
use hufu_offices::front::{Elsewhere, Progress};

/// One parameter of the query or the form.
fn field(request: &Browser, wanted: &str) -> String {
    let found = form_urlencoded::parse(request.form.as_bytes()).find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The language that was chosen at the platform, else what the address or the browser says.
fn lang(chosen: Option<Lang>, request: &Browser) -> Lang {
    chosen.unwrap_or_else(|| request.language())
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    headers.insert(name, HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("default-src 'none'")));
}

/// The page, whose form leads to the platform by a redirect of ours.
fn shown(site: &Site, request: &Browser, tx: &str, told: &Elsewhere, wrong: bool) -> Response<Body> {
    let sandbox = site.front.root() == Root::Sandbox;
    let lang = lang(told.lang, request);
    let page = ElsewherePage { lang, sandbox, tx, platform: &told.platform, progress: told.progress, wrong };
    let status = if wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let mut response = (status, PAGE_HEADERS, page.html()).into_response();
    let policy = format!(
        "default-src 'none'; style-src 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self' {}",
        targets(sandbox)
    );
    set(response.headers_mut(), header::CONTENT_SECURITY_POLICY, &policy);
    // The form says where it comes from, and to nobody else what its address is.
    set(response.headers_mut(), header::REFERRER_POLICY, "same-origin");
    response
}

pub(super) async fn page(State(site): State<Site>, request: Browser) -> Response<Body> {
    let (tx, cookies) = (field(&request, "tx"), texts(&request.headers, &header::COOKIE));
    let asks = |name: &str| !field(&request, name).is_empty();
    let stop = asks("stop");
    let looks = stop || asks("look");
    let told = if looks { site.front.elsewhere_now(&tx, &cookies) } else { site.front.elsewhere(&tx, &cookies) };
    match told {
        // Without the frame no code is asked for, and the last one is too old in three seconds.
        Ok(told) if stop && told.progress == Progress::Showing => {
            let told = Elsewhere { progress: Progress::Hidden, scan: None, ..told };
            shown(&site, &request, &tx, &told, false)
        }
        Ok(told) => shown(&site, &request, &tx, &told, false),
        Err(refusal) => site.refused_with_page(refusal, request.language(), None),
    }
}

/// The number of the other device, or the wish to go back.
pub(super) async fn posted(State(site): State<Site>, request: Browser) -> Response<Body> {
    let cookies = texts(&request.headers, &header::COOKIE);
    let (tx, typed) = (field(&request, "tx"), field(&request, "number"));
    // A page of somebody else's could use the tries up.
    if !texts(&request.headers, &header::ORIGIN).iter().all(|origin| site.front.is_own(origin)) {
        return site.refused_with_page(Refusal::ForeignOrigin, request.language(), None);
    }
    let done = if field(&request, "back").is_empty() {
        site.front.number(&tx, &typed, &cookies).await
    } else {
        site.front.give_up(&tx, &cookies).await.map(Some)
    };
    let again = match done {
        Ok(Some(next)) => return (StatusCode::SEE_OTHER, [(header::LOCATION, next.redirect_to)]).into_response(),
        // Another number; or it has ended meanwhile, and the page says how.
        Ok(None) | Err(Refusal::TransactionGone) => site.front.elsewhere_now(&tx, &cookies),
        Err(refusal) => Err(refusal),
    };
    match again {
        Ok(told) => shown(&site, &request, &tx, &told, !matches!(told.progress, Progress::Ended(_))),
        Err(refusal) => site.refused_with_page(refusal, request.language(), None),
    }
}

/// What the frame shows now. It is asked for again after a second while there are codes, and no more once there is none: a text that
/// changes by itself would be read out by nobody (WCAG 4.1.3), or all the time; who wants to know presses the page's link.
pub(super) async fn frame(State(site): State<Site>, request: Browser) -> Response<Body> {
    let told = site.front.elsewhere_now(&field(&request, "tx"), &texts(&request.headers, &header::COOKIE));
    // A refusal has no page in a frame: the sign-in is over, and the page around it says more.
    let (scan, progress) = told.map_or((None, None), |told| (told.scan, Some(told.progress)));
    let page = ElsewhereFrame { lang: request.language(), scan: scan.as_deref(), progress };
    let mut response = (StatusCode::OK, PAGE_HEADERS, page.html()).into_response();
    let policy = "default-src 'none'; style-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'";
    set(response.headers_mut(), header::CONTENT_SECURITY_POLICY, policy);
    if progress == Some(Progress::Showing) {
        response.headers_mut().insert(header::REFRESH, HeaderValue::from_static("1"));
    }
    response
}

pub(super) async fn scanned(State(site): State<Site>, request: Browser) -> Response<Body> {
    match site.front.scanned(&request.form, &texts(&request.headers, &header::COOKIE)) {
        Ok(reply) => site.answer(reply),
        Err(refusal) => site.refused_with_page(refusal, language(&request.headers), None),
    }
}

pub(super) async fn number(State(site): State<Site>, request: Browser) -> Response<Body> {
    match site.front.on_device(&field(&request, "tx"), &texts(&request.headers, &header::COOKIE)) {
        Ok(told) => {
            let sandbox = site.front.root() == Root::Sandbox;
            let lang = lang(told.lang, &request);
            let page = ElsewhereNumber { lang, sandbox, platform: &told.platform, shows: &told.shows };
            (StatusCode::OK, PAGE_HEADERS, page.html()).into_response()
        }
        Err(refusal) => site.refused_with_page(refusal, request.language(), None),
    }
}
