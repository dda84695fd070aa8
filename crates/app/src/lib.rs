//! The binary `hufu`: configuration, wiring, subcommands. It is the one crate that knows all others.

pub mod adapters;
pub mod backup;
pub mod bench;
pub mod ceremony;
pub mod cli;
pub mod counted_keys;
pub mod data_dir;
pub mod demo;
pub mod deployment;
pub mod doctor;
pub mod error_log;
pub mod explain;
pub mod failure;
pub mod files;
pub mod keys;
pub mod logs;
pub mod memory;
pub mod offices;
pub mod platform_file;
pub mod root;
pub mod rows;
pub mod server;
pub mod settle;
pub mod stage;
pub mod traces;
