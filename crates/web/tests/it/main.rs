//! The HTTP edge, driven without sockets.
#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

mod api;
mod elsewhere;
#[expect(dead_code, reason = "the office's tests use more of their fixture than these do")]
#[path = "../../../offices/tests/it/front/fixture.rs"]
mod fixture;
mod front;
mod handed_over;
mod limits;
mod mutual_tls;
mod peers;
