//! How a process is doing, for whoever asks its metrics: ready, since when, how much memory, how much of the disk.

use hufu_kernel::Clock;
use hufu_web::health::Probe;
use hufu_web::metrics::{Metrics, Standing};
use hufu_web::serve::Stop;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Metrics are read once a minute; what they say is not older than this.
const EVERY: Duration = Duration::from_secs(10);

/// Whose state is kept.
pub struct Watched {
    /// The office.
    pub office: &'static str,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// As `/readyz` says.
    pub ready: Probe,
    /// Its own folder.
    pub folder: PathBuf,
    /// `[limits] memory_mib`.
    pub memory_mib: Option<u64>,
    /// When it begins, Unix seconds.
    pub since: i64,
}

impl Watched {
    /// Now, by the office's clock.
    #[must_use]
    pub fn now(clock: &dyn Clock) -> i64 {
        clock.now().0
    }

    /// Keeps the metrics true until told to stop.
    pub async fn run(self, mut stop: Stop) {
        loop {
            let ready = (self.ready)().await.is_empty();
            self.metrics.stands(
                self.office,
                Standing {
                    ready,
                    since: self.since,
                    memory: signed(resident().unwrap_or_default()),
                    memory_bound: signed(bound(self.memory_mib)),
                    disk_free: free(&self.folder).map(signed),
                },
            );
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.stopped() => return,
            }
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What this process has in memory.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The nearest bound on memory: its own, or that of its control group, which systemd and containers set; 0 if there is none.
fn bound(own_mib: Option<u64>) -> u64 {
    let own = own_mib.map(|mib| mib.saturating_mul(1 << 20));
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| {
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
        let text = fs::read_to_string(Path::new("/sys/fs/cgroup").join(path).join("memory.max")).ok()?;
        text.trim().parse::<u64>().ok()
    });
    own.into_iter().chain(group).min().unwrap_or(0)
}

/// What is left on the disk of a folder.
fn free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_web::serve::Stopper;

    #[test]
    fn this_process_has_memory_and_its_folder_a_disk() {
        let megabyte = 1 << 20;
        assert!((megabyte..(64 << 30)).contains(&resident().unwrap()));
        assert!(free(Path::new(".")).unwrap() > megabyte);
        assert_eq!(free(Path::new("/nowhere/at/all")), None);
        assert!(bound(Some(1)) <= megabyte);
    }

    #[tokio::test]
    async fn what_readyz_says_stands_in_the_metrics() {
        for (reasons, wanted) in [(vec![], "1"), (vec!["node-2 is not reached".to_owned()], "0")] {
            let metrics = Arc::<Metrics>::default();
            let watched = Watched {
                office: "post",
                metrics: Arc::clone(&metrics),
                ready: Arc::new(move || Box::pin(std::future::ready(reasons.clone()))),
                folder: PathBuf::from("."),
                memory_mib: Some(256),
                since: 1_700_000_000,
            };
            let (stopper, stop) = Stopper::new();
            stopper.stop();
            watched.run(stop).await;
            let text = metrics.text();
            assert!(text.contains(&format!("hufu_ready{{office=\"post\"}} {wanted}")), "{text}");
            assert!(text.contains("hufu_start_time_seconds{office=\"post\"} 1700000000"), "{text}");
            for name in ["hufu_memory_bytes", "hufu_memory_bound_bytes", "hufu_disk_free_bytes"] {
                assert!(text.contains(name), "{name}: {text}");
            }
        }
    }
}
