//! A deployment of offices that are apart: each its own process, folder, keys and store, found by configuration.
//!
//! `hufu init` writes the plan (`deployment.toml`) and a folder an office with its `office.toml`; the key ceremony makes the keys;
//! `hufu serve` runs one office, `hufu up` one process an office on this machine.

pub mod admission;
pub mod clock;
pub mod doctor;
pub mod drafts;
pub mod ends;
pub mod environment;
pub mod handover;
pub mod init;
pub mod keys;
pub mod neighbours;
pub mod notify;
pub mod office_file;
pub mod operators;
pub mod plan;
pub mod public_tls;
pub mod requests;
pub mod serve;
pub mod services;
pub mod standing;
pub mod state;
pub mod tour;
pub mod up;
pub mod users;
pub mod wallet;
pub mod watch;
pub mod world;
pub mod world_file;

/// Where it is told how offices make their keys together.
pub const FOUNDING: &str = "docs/operate/found.md";
/// Says to a process that `hufu up` has started it: it ends when that does.
pub const SUPERVISED: &str = "HUFU_SUPERVISED";

/// The file of the offices' identity keys, beside the plan.
pub const ROSTER: &str = "roster.json";
