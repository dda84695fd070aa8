//! A deployment of offices that are apart: each its own process, folder, keys and store, found by configuration.
//!
//! `hufu init` writes the plan (`deployment.toml`) and a folder an office with its `office.toml`; the key ceremony makes the keys;
//! `hufu serve` runs one office, `hufu up` one process an office on this machine.

pub mod admission;
pub mod clock;
pub mod doctor;
pub mod drafts;
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

/// Said where keys are missing.
pub const NO_CEREMONY: &str = "the ceremony by which offices make their keys together is not in this version, so only a sandbox with \
                               `hufu init DIR --sandbox --dealt` can be brought up";
/// Says to a process that `hufu up` has started it: it ends when that does.
pub const SUPERVISED: &str = "HUFU_SUPERVISED";

/// The file of the offices' identity keys, beside the plan.
pub const ROSTER: &str = "roster.json";
