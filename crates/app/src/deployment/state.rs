//! What an office says of itself to the others: its version and its time, for `hufu doctor`.
//!
//! A route of its own beside the ping, so that offices of the release before, which have none, go on understanding each other.

use axum::http::StatusCode;
use hufu_kernel::{Clock, Timestamp};
use hufu_web::peers::{Callers, PeerRoute};
use hufu_web::reply::json;
use serde::{Deserialize, Serialize};

/// The path.
pub const PATH: &str = "/office/v1/state";

/// Nothing is asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskState {}

/// What an office says. A later release may say more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// The version of its program.
    pub version: String,
    /// Its time.
    pub time: Timestamp,
}

/// The table of the route.
#[must_use]
pub fn table() -> &'static [PeerRoute<dyn Clock>] {
    &[PeerRoute {
        path: PATH,
        callers: Callers::Every,
        what: "its version and its time",
        handler: |clock, _, _| {
            let version = env!("CARGO_PKG_VERSION").to_owned();
            let state = State { version, time: clock.now() };
            Box::pin(std::future::ready(Ok(json(StatusCode::OK, &state))))
        },
    }]
}
