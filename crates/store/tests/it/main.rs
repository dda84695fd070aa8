//! The contract suite on every engine, the engines against each other, and the crash tests.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agree;
mod contract;
mod crash;
mod dump;
mod memory;
mod migrations;
#[expect(dead_code, reason = "the samples of these tests are made, not read")]
#[path = "../../../wire/tests/it/mutants.rs"]
mod mutants;
mod postgres;
mod rows;
mod sqlite;
