//! Sends spans to the collector that `[tracing]` names, a minute's at a time.

use super::{Finished, otlp};
use crate::deployment::office_file::TracingTable;
use crate::failure::Failure;
use hufu_kernel::{Clock, Root};
use hufu_web::serve::Stop;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// Spans in one request.
const AT_ONCE: usize = 2_048;
/// A collector that takes longer is away.
const PATIENCE: Duration = Duration::from_secs(5);
/// A production office tells a collector no time finer than this, neither in a span nor by when it sends.
const MINUTE: u64 = 60;

/// An office's way to its collector.
pub struct Exporter {
    office: &'static str,
    url: String,
    every: Duration,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl Exporter {
    /// The collector of this table.
    ///
    /// # Errors
    /// [`Failure::Other`] for an address beyond the operator's own network, or a period that a production root does not allow.
    pub fn new(office: &'static str, table: &TracingTable, root: Root, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let url = table.endpoint.trim_end_matches('/');
        if !is_internal(url) {
            return Err(Failure::other(format!(
                "[tracing] endpoint = {url:?}: http:// or https:// on this machine, a private address, or a name below .internal or \
                 .svc.cluster.local"
            )));
        }
        if table.every_s == 0 || (root == Root::Production && table.every_s < MINUTE) {
            return Err(Failure::other(format!(
                "[tracing] every_s: {MINUTE} or more, so that no two offices' spans meet by their time"
            )));
        }
        let client =
            reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).no_proxy();
        let client = client.build().map_err(Failure::other)?;
        let every = Duration::from_secs(table.every_s);
        Ok(Self { office, url: format!("{url}/v1/traces"), every, client, clock })
    }

    /// Sends until told to stop, and then what is left.
    pub async fn run(self, mut spans: Receiver<Finished>, mut stop: Stop) {
        loop {
            let stopping = tokio::select! {
                () = tokio::time::sleep(self.every) => false,
                () = stop.stopped() => true,
            };
            let mut waiting = Vec::new();
            while let Ok(span) = spans.try_recv() {
                waiting.push(span);
            }
            // By their random identifiers: the order in which requests ended is lost.
            waiting.sort_by_key(|span| span.id);
            for some in waiting.chunks(AT_ONCE) {
                if !self.send(some).await {
                    break;
                }
            }
            if stopping {
                return;
            }
        }
    }

    async fn send(&self, spans: &[Finished]) -> bool {
        let body = otlp::request(self.office, spans, self.clock.now());
        let failed = match self.client.post(&self.url).json(&body).send().await {
            Ok(answer) if answer.status().is_success() => return true,
            Ok(answer) => format!("it answers {}", answer.status().as_u16()),
            Err(error) => error.without_url().to_string(),
        };
        tracing::warn!(
            office = self.office,
            failed,
            spans = spans.len(),
            "the collector did not take spans; they are dropped"
        );
        false
    }
}

/// Endings of names that mean nothing outside of one's own network: ICANN has reserved the first, a Kubernetes cluster answers the second.
const CLOSED: [&str; 2] = [".internal", ".svc.cluster.local"];

/// This machine, a private network, or a name that no public one has.
fn is_internal(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else { return false };
    let authority = rest.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let host = authority.map_or(rest, |(host, _)| host);
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse::<IpAddr>() {
        return match address {
            IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
            IpAddr::V6(v6) => v6 == Ipv6Addr::LOCALHOST || v6.is_unique_local() || v6.is_unicast_link_local(),
        };
    }
    let plain = host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b));
    plain && (host == "localhost" || host.ends_with(".localhost") || CLOSED.iter().any(|ending| host.ends_with(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::SystemClock;

    #[test]
    fn spans_stay_on_the_operators_own_network_and_a_minutes_go_together() {
        for url in [
            "http://127.0.0.1:4318",
            "http://[::1]:4318",
            "http://localhost:1",
            "http://10.1.2.3:4318",
            "https://[fd00::1]",
            "https://otel.internal:4318",
            "http://collector.tracing.svc.cluster.local:4318",
        ] {
            assert!(is_internal(url), "{url}");
        }
        for url in [
            "",
            "127.0.0.1:4318",
            "ftp://127.0.0.1",
            "http://8.8.8.8:4318",
            "https://[2001:db8::1]",
            "https://otel.example",
            "http://127.0.0.1@otel.example",
            "http://internal.example:1/.internal",
            "http://x.internal/path",
            "http://collector.local:4318",
            "http://svc.cluster.local.example:4318",
        ] {
            assert!(!is_internal(url), "{url}");
        }
        let made = |every_s, root| {
            let table = TracingTable { endpoint: "http://127.0.0.1:4318".to_owned(), every_s };
            Exporter::new("front", &table, root, Arc::new(SystemClock)).is_ok()
        };
        assert!(made(60, Root::Production) && made(1, Root::Sandbox));
        assert!(!made(59, Root::Production) && !made(0, Root::Sandbox));
    }
}
