//! Logs on standard error: what happened, to which office, under which error id. Never a person, and never a platform beside a
//! person; the events themselves are written so (design 3). Times are to the minute: two offices' logs are not joined by them.

use crate::failure::Failure;
use crate::traces::{self, Finished};
use hufu_kernel::{Clock as _, OsRng, SystemClock, Timestamp};
use std::io::IsTerminal as _;
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// The time of an event, to the minute.
struct Minutes;

impl FormatTime for Minutes {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        let now = SystemClock.now();
        write!(writer, "{}", Timestamp(now.0 - now.0.rem_euclid(60)))
    }
}

/// Starts logging. `RUST_LOG` goes before `filter`.
///
/// # Errors
/// [`Failure::Other`] for a filter that does not parse.
pub fn start(filter: &str, json: bool) -> Result<(), Failure> {
    start_office(filter, json, false).map(drop)
}

/// Whether a filter parses, as [`start_office`] would have it.
///
/// # Errors
/// [`Failure::Other`].
pub fn filter(filter: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(filter).map_err(|error| Failure::other(format!("the log filter {filter:?}: {error}")))
}

/// The same for an office, with its spans if they are wanted.
///
/// # Errors
/// [`Failure::Other`] for a filter that does not parse.
pub fn start_office(filter: &str, json: bool, with_spans: bool) -> Result<Option<Receiver<Finished>>, Failure> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(set) if !set.is_empty() => set,
        _ => filter.to_owned(),
    };
    let filter = self::filter(&filter)?;
    let colours = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt::layer().with_timer(Minutes).with_writer(std::io::stderr).with_ansi(colours);
    let logs = if json { logs.json().with_filter(filter).boxed() } else { logs.with_filter(filter).boxed() };
    let (layer, spans) = if with_spans {
        let (layer, spans) = traces::layer(Arc::new(OsRng));
        (Some(layer), Some(spans))
    } else {
        (None, None)
    };
    tracing_subscriber::registry().with(logs).with(layer).try_init().map_err(Failure::other)?;
    Ok(spans)
}
