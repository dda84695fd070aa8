//! `hufu`: see `hufu --help`.

use clap::Parser as _;
use hufu_app::cli::{self, Cli};
use hufu_app::memory;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything is read: any command may come to have keys.
    match memory::kept_here().and_then(|()| cli::run(Cli::parse())) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("hufu: {}", harmless(&failure.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// What others wrote may be part of a sentence, and is no command to this terminal; lines stay lines.
fn harmless(told: &str) -> String {
    told.lines().map(hufu_offices::ceremony::printed).collect::<Vec<_>>().join("\n")
}
