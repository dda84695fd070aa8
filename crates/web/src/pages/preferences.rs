//! Language and text size: two cookies that say nothing about a person, set by plain forms.

use super::headers::same_site;
use super::page::Site;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hufu_kernel::Lang;
use std::sync::Arc;

const YEAR: u32 = 31_536_000;

/// How a person reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Preferences {
    pub lang: Lang,
    pub large: bool,
}

/// The cookies' names: `__Host-` over https; over plain http (this machine) browsers refuse that prefix, so the names differ.
fn name(https: bool, what: &str) -> String {
    if https { format!("__Host-hufu-{what}") } else { format!("hufu-wallet-{what}") }
}

fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

impl Preferences {
    /// The cookie, or else what the browser asks for, or else Chinese.
    pub(super) fn of(headers: &HeaderMap, https: bool) -> Self {
        let lang = match cookie(headers, &name(https, "lang")) {
            Some("zh-Hans") => Some(Lang::ZhHans),
            Some("en") => Some(Lang::En),
            _ => headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).and_then(Lang::negotiate),
        };
        Self { lang: lang.unwrap_or_default(), large: cookie(headers, &name(https, "size")) == Some("large") }
    }
}

pub(super) async fn language(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Response {
    set(&site, &headers, &body, "lang", &["zh-Hans", "en"])
}

pub(super) async fn size(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Response {
    set(&site, &headers, &body, "size", &["normal", "large"])
}

fn set(site: &Site, headers: &HeaderMap, body: &[u8], what: &str, allowed: &[&str]) -> Response {
    if !same_site(headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let field = |wanted: &str| form_urlencoded::parse(body).find(|(name, _)| name == wanted).map(|(_, value)| value);
    let Some(value) = field(what).filter(|value| allowed.contains(&value.as_ref())) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let secure = if site.https() { "; Secure" } else { "" };
    let cookie =
        format!("{}={value}; Path=/; Max-Age={YEAR}; HttpOnly; SameSite=Lax{secure}", name(site.https(), what));
    let back = field("back").filter(|back| is_local(back)).unwrap_or("/".into());
    (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, back.into_owned())]).into_response()
}

/// An address of this origin and nothing else: browsers read `//host` and `/\host` as other hosts, and drop tabs and line breaks
/// first.
pub(super) fn is_local(address: &str) -> bool {
    let bytes = address.as_bytes();
    bytes.first() == Some(&b'/')
        && !matches!(bytes.get(1), Some(b'/' | b'\\'))
        && bytes.len() <= 512
        && bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\')
}
