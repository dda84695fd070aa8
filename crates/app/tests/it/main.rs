//! The binary and its wiring, from outside.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod apart;
mod architecture;
mod attacks;
mod bench;
mod browser;
mod ceremony;
mod conformance_table;
mod demo;
mod deploy;
mod documents;
mod drills;
mod fuzz;
mod kill;
mod kills;
mod linking;
mod metrics;
#[expect(dead_code, reason = "the samples of these tests are made, not read")]
#[path = "../../../wire/tests/it/mutants.rs"]
mod mutants;
mod mutual_tls;
mod old_folders;
mod openapi;
mod patroni;
mod persona_sessions;
mod personas;
mod postgres;
mod refusals_page;
mod root;
mod samples;
mod shutdown;
mod softhsm;
mod source;
mod timing;
mod tls;
mod trust;
