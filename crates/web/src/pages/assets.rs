//! The files that pages load: built into the program, so that nothing has to be installed beside it.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal $content_type:literal;)*) => {
        const ASSETS: &[Asset] = &[$(Asset {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../../../ui/dist/", $name)),
        },)*];
    };
}

assets! {
    "style.css" "text/css; charset=utf-8";
    "elements.js" "text/javascript; charset=utf-8";
    "core.js" "text/javascript; charset=utf-8";
    "mark.svg" "image/svg+xml";
}

static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    ASSETS.iter().map(|asset| format!("\"{}\"", hufu_kernel::hex(&Sha256::digest(asset.bytes)[..12]))).collect()
});

/// The pages' style sheet, for the front's page of a refusal: another origin's could not be loaded there.
pub(crate) async fn style(headers: HeaderMap) -> Response {
    serve(Path("style.css".to_owned()), headers).await
}

/// A file, with its hash as `ETag`: browsers keep it and ask whether it is still the same, so that a page and its scripts are
/// never of two versions for longer than one load.
pub(super) async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let Some(position) = ASSETS.iter().position(|asset| asset.name == file) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (asset, tag) = (&ASSETS[position], TAGS[position].as_str());
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { asset.bytes.into_response() };
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        out.insert(header::ETAG, tag);
    }
    response
}

/// The built files' names and sizes, for the test that holds the budget.
#[cfg(test)]
pub(super) fn sizes() -> Vec<(&'static str, &'static [u8])> {
    ASSETS.iter().map(|asset| (asset.name, asset.bytes)).collect()
}
