//! The contract suite on every engine, the engines against each other, and the crash tests.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agree;
mod contract;
mod crash;
mod dump;
mod memory;
mod migrations;
mod postgres;
mod rows;
mod sqlite;
