//! What platforms ask of their streams of shared signals. Where a platform's other requests are forms, these are JSON.

use super::{Platform, Shared, Site, Views, answer, is_type, unread};
use crate::metrics::Waited;
use crate::reply::body;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::Response;
use hufu_kernel::Refusal;
use hufu_offices::front::Managed;

pub(super) async fn metadata(State(front): Shared) -> Response<Body> {
    answer(front.signals_metadata())
}

pub(super) async fn stream(State(site): State<Site>, request: OfStream) -> Response<Body> {
    site.answer(site.front.stream(&request.managed(&request.platform.views())).await)
}

pub(super) async fn stream_status(State(site): State<Site>, request: OfStream) -> Response<Body> {
    site.answer(site.front.stream_status(&request.managed(&request.platform.views())).await)
}

pub(super) async fn add_subject(State(site): State<Site>, request: OfStream) -> Response<Body> {
    site.answer(site.front.add_subject(&request.managed(&request.platform.views())).await)
}

pub(super) async fn remove_subject(State(site): State<Site>, request: OfStream) -> Response<Body> {
    site.answer(site.front.remove_subject(&request.managed(&request.platform.views())).await)
}

pub(super) async fn verify_stream(State(site): State<Site>, request: OfStream) -> Response<Body> {
    site.answer(site.front.verify_stream(&request.managed(&request.platform.views())).await)
}

pub(super) async fn poll_events(State(site): State<Site>, request: OfStream) -> Response<Body> {
    let mut response = site.answer(site.front.poll_events(&request.managed(&request.platform.views())).await);
    // It waits for something to happen: that says nothing of how fast the front is.
    response.extensions_mut().insert(Waited);
    response
}

/// A request of a platform about its stream: JSON, or nothing.
pub(super) struct OfStream {
    platform: Platform,
    query: String,
    body: Vec<u8>,
}

impl OfStream {
    fn managed<'a>(&'a self, views: &'a Views<'a>) -> Managed<'a> {
        Managed { incoming: self.platform.incoming(views), query: &self.query, body: &self.body }
    }
}

impl<S: Send + Sync> FromRequest<S> for OfStream {
    type Rejection = Response<Body>;
    async fn from_request(request: Request, _: &S) -> Result<Self, Response<Body>> {
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let certificate = request.extensions().get().cloned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let typed = is_type(&headers, "application/json");
        let body = body(request).await.map_err(unread)?;
        if !typed && !body.is_empty() {
            return Err(unread(Refusal::Malformed));
        }
        Ok(Self { platform: Platform { method, headers, certificate, form: String::new() }, query, body })
    }
}
