//! Wallets that wait to be asked (decision 0029): JSON of the wallet's scripts or of a program, without a cookie; the secret stands in the
//! message.

use super::{Site, may_post};
use crate::reply::message;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response};
use hufu_kernel::Refusal;
use hufu_wire::api::requests::{CompleteWaiting, LookWaiting, RefuseWaiting, Wait};
use serde::de::DeserializeOwned;

/// A message of the wallet's: no other page may speak here.
async fn read<T: DeserializeOwned>(site: &Site, request: Request<Body>) -> Result<T, Refusal> {
    may_post(&site.front, request.headers())?;
    message(request).await
}

pub(super) async fn wait(State(site): State<Site>, request: Request<Body>) -> Response<Body> {
    let done = read::<Wait>(&site, request).await.and_then(|_| site.front.wait());
    site.edge.answer(done)
}

pub(super) async fn look(State(site): State<Site>, request: Request<Body>) -> Response<Body> {
    let done = read::<LookWaiting>(&site, request).await.and_then(|look| site.front.found(&look));
    site.edge.answer(done)
}

pub(super) async fn complete(State(site): State<Site>, request: Request<Body>) -> Response<Body> {
    let done = match read::<CompleteWaiting>(&site, request).await {
        Ok(answer) => site.front.complete_waiting(&answer).await,
        Err(refusal) => Err(refusal),
    };
    site.edge.answer(done)
}

pub(super) async fn refuse(State(site): State<Site>, request: Request<Body>) -> Response<Body> {
    let done = read::<RefuseWaiting>(&site, request).await.and_then(|refusal| site.front.refuse_waiting(&refusal));
    site.edge.answer(done)
}
