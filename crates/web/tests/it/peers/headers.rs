//! What crosses between offices beside the message: nothing that could join what two of them note.

use super::world::*;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tracing::Instrument as _;

#[tokio::test]
async fn a_question_carries_the_headers_of_its_message_and_nothing_of_whoever_caused_it() {
    let world = World::new();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let keeping = Arc::clone(&seen);
    let routes = Router::new().fallback(move |request: Request| {
        keeping.lock().unwrap().extend(request.headers().keys().map(ToString::to_string));
        std::future::ready((StatusCode::OK, axum::Json(json!(1))).into_response())
    });
    let served = world.serve("uniqueness", routes).await;
    let peer = world.peer("node-1", "uniqueness", served.port);
    let span = tracing::info_span!("request", traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let answer = peer.call::<Value, Value>("/office/v1/test", &json!({})).instrument(span).await;
    assert_eq!(answer, Ok(json!(1)));
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    // The authority is a part of the address in HTTP/2, and a header in HTTP/1.1.
    seen.retain(|name| name != "host");
    assert_eq!(seen, ["content-length", "content-type"]);
}
