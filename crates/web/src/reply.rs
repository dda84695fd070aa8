//! What a refusal looks like over HTTP, and how a body becomes a message.

use crate::metrics::Metrics;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hufu_kernel::{Lang, Refusal, Rng, random};
use hufu_offices::buckets::whole_seconds;
use hufu_wire::jose::strict_json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// The longest body of an endpoint that documents no other limit.
pub const MAX_BODY: usize = 64 * 1024;

/// Keeps which refusal an error id stands for, so that a person's error number can be explained. Never more than that.
pub trait ErrorLog: Send + Sync + 'static {
    /// Notes that `error_id` was answered with `code`.
    fn note(&self, error_id: &str, code: &'static str);
}

/// Forgets.
impl ErrorLog for () {
    fn note(&self, _: &str, _: &'static str) {}
}

/// What every edge works with. Every request takes one along, so that a copy is one count.
#[derive(Clone)]
pub struct Edge(Arc<Shared>);

/// What copies of an [`Edge`] share.
#[derive(Clone)]
pub struct Shared {
    /// The office, as logs name it: `node-1`.
    pub office: &'static str,
    /// The only origin whose scripts may call.
    pub wallet_origin: Arc<str>,
    /// For error ids.
    pub rng: Arc<dyn Rng>,
    /// Error id to code.
    pub errors: Arc<dyn ErrorLog>,
    /// Counters, where they are wanted.
    pub metrics: Option<Arc<Metrics>>,
}

impl std::ops::Deref for Edge {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Edge {
    /// An edge of `office` with no memory of errors; `rng` draws error ids.
    #[must_use]
    pub fn new(office: &'static str, wallet_origin: &str, rng: Arc<dyn Rng>) -> Self {
        let wallet_origin = wallet_origin.into();
        Self(Arc::new(Shared { office, wallet_origin, rng, errors: Arc::new(()), metrics: None }))
    }

    /// With this memory of errors.
    #[must_use]
    pub fn with_errors(mut self, errors: Arc<dyn ErrorLog>) -> Self {
        Arc::make_mut(&mut self.0).errors = errors;
        self
    }

    /// With these counters.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        Arc::make_mut(&mut self.0).metrics = Some(metrics);
        self
    }

    /// Counts a refusal by its code, which is one of a table's.
    pub fn count(&self, code: &'static str) {
        crate::traces::refused(code);
        if let Some(metrics) = &self.metrics {
            metrics.refused(self.office, code);
        }
    }

    /// Counts what a limit refused; its name stands in our code.
    pub fn limited(&self, limit: &'static str) {
        if let Some(metrics) = &self.metrics {
            metrics.limited(self.office, limit);
        }
    }

    /// The same as [`Edge::refused`] for who asks too often, and how long to wait.
    #[must_use]
    pub fn too_often(&self, wait: Duration) -> Response<Body> {
        let mut response = self.refused(Refusal::TooMany);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        response
    }

    /// The refusal as JSON: `{"error", "message": {"zh-Hans", "en"}, "error_id"}`, logged under the id without anything about the
    /// person or the platform.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> Response<Body> {
        let error_id = self.error_id();
        let text = refusal.text();
        self.errors.note(&error_id, text.code);
        self.count(text.code);
        if text.status >= 500 {
            tracing::warn!(office = self.office, error_id, code = text.code, "refused");
        } else {
            tracing::info!(office = self.office, error_id, code = text.code, "refused");
        }
        let body = ErrorBody {
            error: text.code,
            message: Message { zh: refusal.sentence(Lang::ZhHans), en: refusal.sentence(Lang::En) },
            error_id: &error_id,
        };
        let mut response = json(StatusCode::from_u16(text.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &body);
        if let Some(seconds) = retry_after(refusal) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// The answer of a use case as JSON.
    #[must_use]
    pub fn answer<T: Serialize>(&self, result: Result<T, Refusal>) -> Response<Body> {
        match result {
            Ok(value) => json(StatusCode::OK, &value),
            Err(refusal) => self.refused(refusal),
        }
    }

    /// A random number that a person can read out.
    #[must_use]
    pub fn error_id(&self) -> String {
        readable(&random::<8>(self.rng.as_ref()))
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'static str,
    message: Message,
    error_id: &'a str,
}

#[derive(Serialize)]
struct Message {
    #[serde(rename = "zh-Hans")]
    zh: &'static str,
    en: &'static str,
}

/// 64 bits as 13 characters of Crockford's base32 alphabet, which has no look-alikes.
fn readable(bytes: &[u8; 8]) -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let bits = u64::from_be_bytes(*bytes);
    (0..13).rev().map(|at| char::from(LETTERS[(bits >> (5 * at)) as usize & 31])).collect()
}

/// Seconds to wait, for refusals that pass by themselves.
#[must_use]
pub fn retry_after(refusal: Refusal) -> Option<u32> {
    match refusal {
        Refusal::PasswordBlocked => Some(3600),
        Refusal::TooMany | Refusal::PhoneCodeTries => Some(60),
        Refusal::RegisterDown => Some(30),
        Refusal::Busy | Refusal::NodesDisagree => Some(2),
        other => matches!(other.text().status, 429 | 503).then_some(5),
    }
}

/// A JSON response that no cache keeps.
#[must_use]
pub fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    // Our own messages always encode; if one did not, an empty body under 500 says as much as any.
    let (status, bytes) = match serde_json::to_vec(body) {
        Ok(bytes) => (status, bytes),
        Err(error) => {
            tracing::error!(%error, "a reply does not encode");
            (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        }
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Reads a message: `application/json`, at most [`MAX_BODY`], one JSON value without duplicate members, no unknown members.
///
/// # Errors
/// [`Refusal::TooLarge`], or [`Refusal::Malformed`] for everything else.
pub async fn message<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Refusal> {
    if !is_json(request.headers()) {
        return Err(Refusal::Malformed);
    }
    parse(&body(request).await?)
}

/// The body, if it is within [`MAX_BODY`].
///
/// # Errors
/// [`Refusal::TooLarge`], or [`Refusal::Malformed`] if the connection breaks off.
pub async fn body(request: Request<Body>) -> Result<Vec<u8>, Refusal> {
    limited_body(request, MAX_BODY).await
}

/// The body, if it is within `limit` bytes.
pub(crate) async fn limited_body(request: Request<Body>, limit: usize) -> Result<Vec<u8>, Refusal> {
    let declared =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(Refusal::TooLarge);
    }
    match axum::body::to_bytes(request.into_body(), limit).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(inner) = cause {
                // A broken connection gets no answer anyway; what is left to tell apart is the limit.
                if inner.to_string().contains("length limit") {
                    return Err(Refusal::TooLarge);
                }
                cause = inner.source();
            }
            Err(Refusal::Malformed)
        }
    }
}

/// Parses a message's bytes.
///
/// # Errors
/// [`Refusal::Malformed`].
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    strict_json(bytes).map_err(|error| {
        // The parser's message may quote the body, so only its length is logged.
        tracing::debug!(bytes = bytes.len(), kind = std::any::type_name::<T>(), "a message does not parse");
        drop(error);
        Refusal::Malformed
    })
}

/// `application/json`, with `charset=utf-8` at most (RFC 8259 knows no other).
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(Ok(text)), None) = (values.next().map(HeaderValue::to_str), values.next()) else { return false };
    let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
    parts.next().as_deref() == Some("application/json") && parts.all(|part| part == "charset=utf-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::OsRng;
    use hufu_wire::api::enrolment::Ticket;
    use std::collections::BTreeSet;

    fn request(content_type: &str, body: &str) -> Request<Body> {
        Request::post("/").header(header::CONTENT_TYPE, content_type).body(Body::from(body.to_owned())).unwrap()
    }

    const TICKET: &str = r#"{"id":"AAAAAAAAAAAAAAAAAAAAAA","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;

    #[tokio::test]
    async fn only_json_of_the_documented_shape_is_a_message() {
        assert!(message::<Ticket>(request("application/json; charset=UTF-8", TICKET)).await.is_ok());
        for content_type in ["text/plain", "application/json; charset=gbk", "application/jsonx", ""] {
            assert_eq!(
                message::<Ticket>(request(content_type, TICKET)).await,
                Err(Refusal::Malformed),
                "{content_type}"
            );
        }
        let twice = TICKET.replacen('{', r#"{"id":"AAAAAAAAAAAAAAAAAAAAAA","#, 1);
        let unknown = TICKET.replacen('{', r#"{"x":1,"#, 1);
        let padded = TICKET.replacen("AA\"", "AA==\"", 1);
        for body in [twice, unknown, padded, format!("{TICKET}{TICKET}"), String::new()] {
            assert_eq!(message::<Ticket>(request("application/json", &body)).await, Err(Refusal::Malformed), "{body}");
        }
    }

    #[tokio::test]
    async fn a_body_above_the_limit_is_too_large_whether_or_not_it_says_so() {
        let long = " ".repeat(MAX_BODY + 1);
        assert_eq!(message::<Ticket>(request("application/json", &long)).await, Err(Refusal::TooLarge));
        let mut silent = request("application/json", &long);
        silent.headers_mut().remove(header::CONTENT_LENGTH);
        assert_eq!(message::<Ticket>(silent).await, Err(Refusal::TooLarge));
        let exact = format!("{TICKET}{}", " ".repeat(MAX_BODY - TICKET.len()));
        assert!(message::<Ticket>(request("application/json", &exact)).await.is_ok());
    }

    #[tokio::test]
    async fn a_refusal_says_code_both_languages_and_an_error_id_and_nothing_else() {
        let edge = Edge::new("node-1", "http://wallet.localhost:1", Arc::new(OsRng));
        for refusal in Refusal::ALL {
            let response = edge.refused(*refusal);
            assert_eq!(response.status().as_u16(), refusal.text().status);
            assert_eq!(
                response.headers().contains_key(header::RETRY_AFTER),
                matches!(refusal.text().status, 429 | 503)
            );
            let bytes = axum::body::to_bytes(response.into_body(), MAX_BODY).await.unwrap();
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            let names: BTreeSet<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(names, BTreeSet::from(["error", "error_id", "message"]));
            assert_eq!(value["error"], refusal.code());
            assert_eq!(value["message"]["zh-Hans"], refusal.text().zh);
            assert_eq!(value["message"]["en"], refusal.text().en);
            assert_eq!(value["error_id"].as_str().unwrap().len(), 13);
        }
    }

    #[test]
    fn a_refusal_says_how_long_to_wait() {
        let edge = Edge::new("node-1", "http://wallet.localhost:1", Arc::new(OsRng));
        let response = edge.too_often(Duration::from_millis(1500));
        assert_eq!(
            (response.status().as_u16(), &response.headers()[header::RETRY_AFTER]),
            (429, &HeaderValue::from(2))
        );
    }

    #[test]
    fn error_ids_differ_in_every_bit() {
        assert_eq!(readable(&[0; 8]), "0000000000000");
        assert_eq!(readable(&[0xff; 8]), "fzzzzzzzzzzzz");
        let ids: BTreeSet<_> = (0..64).map(|bit| readable(&(1_u64 << bit).to_be_bytes())).collect();
        assert_eq!(ids.len(), 64);
    }

    #[test]
    fn strangers_bytes_parse_or_are_malformed() {
        bolero::check!().for_each(|bytes: &[u8]| {
            assert!(matches!(parse::<hufu_wire::api::sign_in::BeginSignIn>(bytes), Ok(_) | Err(Refusal::Malformed)));
            assert!(matches!(parse::<hufu_wire::api::holder::SubmitStatement>(bytes), Ok(_) | Err(Refusal::Malformed)));
        });
    }
}
