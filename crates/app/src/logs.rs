//! Logs on standard error: what happened, to which office, under which error id. Never a person, and never a platform beside a
//! person; the events themselves are written so (design 3).

use crate::failure::Failure;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` goes before `filter`.
///
/// # Errors
/// [`Failure::Other`] for a filter that does not parse.
pub fn start(filter: &str, json: bool) -> Result<(), Failure> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(set) if !set.is_empty() => set,
        _ => filter.to_owned(),
    };
    let filter =
        EnvFilter::try_new(&filter).map_err(|error| Failure::other(format!("the log filter {filter:?}: {error}")))?;
    let colours = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = if json { logs.json().try_init() } else { logs.try_init() };
    started.map_err(Failure::other)
}
