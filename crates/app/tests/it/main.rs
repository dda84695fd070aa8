//! The binary and its wiring, from outside.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod architecture;
mod browser;
mod demo;
mod documents;
mod linking;
mod metrics;
mod postgres;
mod refusals_page;
mod root;
mod samples;
mod shutdown;
mod source;
mod tls;
mod trust;
