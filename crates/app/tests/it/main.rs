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
mod kill;
mod kills;
mod linking;
mod metrics;
mod mutual_tls;
mod old_folders;
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
