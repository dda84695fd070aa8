//! How far a backup or a restore has come, on the terminal of whoever waits for it; nowhere else.

use std::io::{IsTerminal as _, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Signs in a whole bar.
const WIDTH: u64 = 30;

/// Shows rows, and of how many bytes how many were read where that is known.
#[derive(Clone)]
pub struct Meter {
    shown: bool,
    of: Option<u64>,
    read: Arc<AtomicU64>,
}

/// A reader that is watched.
pub struct Watched<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Meter {
    fn new(of: Option<u64>) -> Self {
        Self { shown: std::io::stderr().is_terminal(), of, read: Arc::default() }
    }

    /// For work whose end is not known.
    pub fn unbounded() -> Self {
        Self::new(None)
    }

    /// For the reading of so many bytes.
    pub fn bounded(bytes: u64) -> Self {
        Self::new(Some(bytes))
    }

    /// The same reader, watched.
    pub fn over<R: Read>(&self, inner: R) -> Watched<R> {
        Watched { inner, read: Arc::clone(&self.read) }
    }

    /// Says how far it is.
    pub fn show(&self, rows: u64) {
        if self.shown {
            eprint!("\r\x1b[K{}", line(rows, self.read.load(Ordering::Relaxed), self.of));
        }
    }

    /// Leaves the line as it was.
    pub fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

fn line(rows: u64, read: u64, of: Option<u64>) -> String {
    let Some(of) = of else { return format!("{rows} rows") };
    let done = read.min(of) * WIDTH / of.max(1);
    let bar: String = (0..WIDTH).map(|at| if at < done { '#' } else { '.' }).collect();
    format!("[{bar}] {:3} %  {rows} rows", read.min(of) * 100 / of.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_with_the_bytes_and_never_beyond() {
        assert_eq!(line(7, 0, None), "7 rows");
        assert!(line(0, 0, Some(0)).ends_with("  0 %  0 rows"));
        assert!(line(9, 50, Some(100)).starts_with("[###############...............]  50 %"));
        assert!(line(9, 500, Some(100)).starts_with("[##############################] 100 %"));
    }

    #[test]
    fn a_watched_reader_counts_what_it_gives() {
        let meter = Meter::bounded(5);
        let mut out = Vec::new();
        meter.over(&b"12345"[..]).read_to_end(&mut out).unwrap();
        assert_eq!((out.as_slice(), meter.read.load(Ordering::Relaxed)), (&b"12345"[..], 5));
    }
}
