//! A deployment of offices that are apart: each its own process, folder, keys and store, found by configuration.
//!
//! `hufu init` writes the plan (`deployment.toml`) and a folder an office with its `office.toml`; the key ceremony makes the keys;
//! `hufu serve` runs one office, `hufu up` one process an office on this machine.

pub mod drafts;
pub mod init;
pub mod office_file;
pub mod operators;
pub mod plan;
pub mod requests;
pub mod world_file;

/// The file of the offices' identity keys, beside the plan.
pub const ROSTER: &str = "roster.json";
