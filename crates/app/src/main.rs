//! `hufu`: see `hufu --help`.

use clap::Parser as _;
use hufu_app::cli::{self, Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
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
