//! The binary and its wiring, from outside.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod architecture;
mod bench;
mod browser;
mod demo;
mod documents;
mod linking;
mod metrics;
mod postgres;
mod root;
mod shutdown;
mod source;
mod tls;
mod trust;
