//! What the front tells engineers: the OpenAPI document and the pages that are made of it. Nothing of a request is repeated on them but
//! two preferences out of a closed set.

use super::{PAGE_HEADERS, Site, language};
use crate::api::{Places, document};
use crate::pages::{ApiPage, ErrorsPage, Reading};
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use hufu_kernel::Root;

/// Five minutes, as the metadata.
const CACHED: &str = "public, max-age=300";

pub(super) async fn openapi(State(site): State<Site>) -> Response<Body> {
    let places = Places { front: site.front.issuer(), wallet: site.front.wallet_origin() };
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, CACHED),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, document(&places).to_string()).into_response()
}

pub(super) async fn llms(State(site): State<Site>) -> Response<Body> {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, CACHED)];
    (headers, text(site.front.issuer(), site.front.wallet_origin(), is_sandbox(&site))).into_response()
}

pub(super) async fn api(State(site): State<Site>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response<Body> {
    let reading = reading(&site, "/docs/api", &headers, query.as_deref());
    page(&site, ApiPage::new(reading, site.front.issuer(), site.front.wallet_origin()).html())
}

pub(super) async fn errors(State(site): State<Site>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response<Body> {
    page(&site, ErrorsPage::new(reading(&site, "/docs/errors", &headers, query.as_deref())).html())
}

fn is_sandbox(site: &Site) -> bool {
    site.front.root() == Root::Sandbox
}

/// `?lang=` and `?size=`, else what the browser asks for.
fn reading(site: &Site, here: &'static str, headers: &HeaderMap, query: Option<&str>) -> Reading {
    let asked = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let lang = asked("lang").and_then(|tag| hufu_kernel::Lang::ALL.into_iter().find(|lang| lang.tag() == tag));
    Reading {
        here,
        lang: lang.unwrap_or_else(|| language(headers)),
        large: asked("size").as_deref() == Some("large"),
        sandbox: is_sandbox(site),
    }
}

/// In a sandbox the page has forms that post to the front itself.
fn page(site: &Site, html: String) -> Response<Body> {
    let mut response = (StatusCode::OK, PAGE_HEADERS, html).into_response();
    let headers = response.headers_mut();
    if is_sandbox(site) {
        let policy =
            "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    headers.insert(header::VARY, HeaderValue::from_static("accept-language"));
    response
}

/// `/llms.txt` (llmstxt.org).
fn text(front: &str, wallet: &str, sandbox: bool) -> String {
    let kind = if sandbox {
        "This is a sandbox: its people and platforms are invented."
    } else {
        "This is a production service."
    };
    format!(
        "# Hufu (虎符)\n\
         \n\
         > A network identity service. It vouches for people to platforms by OpenID Connect with FAPI 2.0, and keeps no record of\n\
         > where anybody signs in: a platform gets a pseudonym of its own and the answers that the person agreed to.\n\
         \n\
         {kind} A platform is admitted by the registry's certificate; there is no registration by request.\n\
         \n\
         ## Machine-readable\n\
         \n\
         - [OpenAPI 3.1]({front}/openapi.json): every operation of the front, the nodes, the registrar and operators\n\
         - [Metadata]({front}/.well-known/openid-configuration): OpenID Connect Discovery\n\
         - [Keys]({front}/jwks.json): what ID tokens verify under\n\
         - [Shared signals]({front}/.well-known/ssf-configuration): metadata of the transmitter\n\
         - [Trust root]({wallet}/trust.json): to be pinned by platforms and wallets\n\
         \n\
         ## Pages\n\
         \n\
         - [API reference]({front}/docs/api)\n\
         - [Errors]({front}/docs/errors): every code, in Chinese and English, with its standard\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_that_programs_are_told_is_answered() {
        let told = text("https://id.example", "https://wallet.example", true);
        let links = told.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        let paths: Vec<&str> =
            links.map(|link| &link["https://".len()..]).map(|rest| &rest[rest.find('/').unwrap()..]).collect();
        assert_eq!(paths.len(), 7);
        let known: Vec<&str> = crate::api::operations().iter().map(|operation| operation.path).collect();
        for path in paths {
            assert!(known.contains(&path), "{path}");
        }
    }
}
