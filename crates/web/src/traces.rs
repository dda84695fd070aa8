//! Spans of what an office does, for an operator's collector: one a request, below it one a call to another office.
//!
//! A trace begins and ends inside one office (decision 0019). No header of a request is read for it and none is written: an incoming
//! `traceparent` means nothing here. What a span may say is a closed set of fields whose values stand in our own code: the office, the
//! route as it is written in the table, a status, a code of the refusal table, the asked office, how a call came out. Without a
//! collector nobody is interested in these spans, and they cost a comparison.

use crate::reply::Edge;
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

/// The target of every span that may reach a collector; the log's filters do not name it.
pub const TARGET: &str = "hufu_trace";

/// The fields that a span may have.
pub const FIELDS: [&str; 6] = ["office", "route", "status", "refusal", "peer", "outcome"];

/// A span around every request to `routes`, under its pattern in the route table.
pub(crate) fn traced(edge: &Edge, routes: Router) -> Router {
    let office = edge.office;
    routes.layer(axum::middleware::from_fn(move |request: Request, next: Next| async move {
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or("none", MatchedPath::as_str);
        let span =
            tracing::trace_span!(target: TARGET, parent: None, "request", office, route, status = Empty, refusal = Empty);
        let response = next.run(request).instrument(span.clone()).await;
        span.record("status", response.status().as_u16());
        response
    }))
}

/// Says in the span of the present request, if there is one, with which code it was refused.
pub(crate) fn refused(code: &'static str) {
    Span::current().record("refusal", code);
}

/// A span around a question to another office.
pub(crate) fn call(peer: &str, route: &'static str) -> Span {
    tracing::trace_span!(target: TARGET, "call", peer, route, outcome = Empty)
}
