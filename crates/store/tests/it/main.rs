//! The contract suite on every engine, the engines against each other, and the crash tests.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agree;
mod contract;
mod memory;
mod power_cut;
mod rows;
mod sqlite;
