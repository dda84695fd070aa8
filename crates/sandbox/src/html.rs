//! The sandbox's own plain pages: no script, escaped text, one style sheet.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hufu_kernel::Lang;

/// The address of the style sheet on every sandbox origin.
pub const STYLE_PATH: &str = "/sandbox/agent.css";

/// The reader's language by `Accept-Language`; Chinese where it says nothing.
#[must_use]
pub fn language(headers: &HeaderMap) -> Lang {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    accepted.and_then(Lang::negotiate).unwrap_or_default()
}

/// One of two texts.
#[must_use]
pub fn say(lang: Lang, zh: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::ZhHans => zh,
        Lang::En => en,
    }
}

/// Text as HTML, in elements and in quoted attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A page under the sandbox band. `forms` are the origins its forms may post to and be redirected to.
#[must_use]
pub fn page(lang: Lang, status: StatusCode, title: &str, body: &str, forms: &str) -> Response {
    let band = say(lang, "合成人物，不是真实身份。", "Synthetic persons, no real identity.");
    let label = say(lang, "沙箱提示", "Sandbox notice");
    let page = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title><link rel=\"stylesheet\" href=\"{STYLE_PATH}\"></head>\
         <body><aside class=\"band\" aria-label=\"{label}\"><p><strong>SANDBOX</strong> {band}</p></aside><main>{body}</main></body></html>",
        lang.tag(),
        escape(title),
    );
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {forms}; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut response = (status, page).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The style sheet.
pub async fn style() -> Response {
    const STYLE: &str = ":root{color-scheme:light dark;--paper:#fbf8f2;--ink:#1a2430;--alarm:#a8281c;--band:#a8281c;--field:#fffefb}\
@media(prefers-color-scheme:dark){:root{--paper:#14191f;--ink:#f1ebe0;--alarm:#ff9484;--band:#8c2218;--field:#1b222a}}\
body{margin:0;font:1.125rem/1.7 system-ui,'PingFang SC','Noto Sans CJK SC','Microsoft YaHei',sans-serif;color:var(--ink);background:var(--paper);overflow-wrap:break-word}\
main{max-width:40rem;margin:0 auto;padding:1rem}.band{padding:.4rem 1rem;background:var(--band);color:#fff}.band p{margin:0 auto;max-width:40rem}.band strong{letter-spacing:.12em}\
label{display:block;font-weight:600}select,input,button{font:inherit;min-height:44px;padding:.25rem .75rem;border:2px solid var(--ink);border-radius:4px;background:var(--field);color:inherit;max-width:100%;box-sizing:border-box}\
.choice button{min-width:12rem}dt{font-weight:600}dd{margin:0 0 .75rem}code{overflow-wrap:anywhere}[role=alert]{border-left:6px solid var(--alarm);padding-left:.75rem}\
a{color:inherit}main>p>a{display:inline-flex;align-items:center;min-height:44px}:focus-visible{outline:3px solid var(--alarm);outline-offset:2px}";
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}
