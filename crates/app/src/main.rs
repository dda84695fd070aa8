//! `hufu`: see `hufu --help`.

use clap::Parser as _;
use hufu_app::cli::{self, Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("hufu: {failure}");
            ExitCode::FAILURE
        }
    }
}
