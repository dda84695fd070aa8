//! What a browser is told besides the page.

use super::page::Site;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The Content Security Policy (CSP Level 3) of a page.
///
/// `form-action` on the sign-in page: the browser posts the result to the front, which answers with a redirect to the platform, and
/// Chromium holds the redirect's target against `form-action` too. This server must not learn which platform that is, so it
/// cannot name it; any https address (in the sandbox any port of this machine) is allowed there instead. Scripts are ours alone,
/// so no stranger's form can be on the page.
pub(super) fn policy(site: &Site, sign_in: bool) -> String {
    let config = &site.config;
    let front = &config.trust.issuer;
    let nodes = config.nodes.join(" ");
    let target = match (sign_in, site.sandbox()) {
        (false, _) => String::new(),
        (true, false) => format!(" {front} https:"),
        (true, true) => format!(" {front} https: http://localhost:* http://127.0.0.1:*"),
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; worker-src 'self'; \
         connect-src 'self' {front} {registrar} {nodes}; form-action 'self'{target}; base-uri 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        registrar = config.registrar,
    )
}

/// The headers of a page. The sign-in page names its origin to the front, which refuses posts that do not say where they come
/// from; the address, with the transaction in it, is never named.
pub(super) fn of_page(site: &Site, sign_in: bool) -> Vec<(HeaderName, HeaderValue)> {
    let policy =
        HeaderValue::from_str(&policy(site, sign_in)).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let referrer = if sign_in { "strict-origin" } else { "no-referrer" };
    vec![
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, HeaderValue::from_static(referrer)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::VARY, HeaderValue::from_static("accept-language, cookie")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
        (
            HeaderName::from_static("permissions-policy"),
            HeaderValue::from_static(
                "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(self)",
            ),
        ),
    ]
}

/// Whether a POST came from one of our own pages. Browsers say so in `Sec-Fetch-Site` (Fetch Metadata); older ones in `Origin`,
/// which a page with `no-referrer` sends as `null`, so only its presence as another site's address refuses.
pub(super) fn same_site(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(value) => value == b"same-origin" || value == b"none",
        None => {
            let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
            headers.get(header::ORIGIN).and_then(|value| value.to_str().ok()).is_none_or(|origin| {
                origin == "null" || origin.split_once("://").is_some_and(|(_, authority)| authority == host)
            })
        }
    }
}
