//! The demo's `/metrics`: a listener of its own on this machine, so that no office's port says how busy it is.

use crate::failure::Failure;
use crate::offices::Running;
use axum::Router;
use hufu_web::metrics::{self, Metrics, StoreCounts};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

/// Where metrics are read: a port of this machine, or nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MetricsAt {
    /// Nothing is counted.
    #[default]
    Off,
    /// On this port; 0 lets the system choose.
    Port(u16),
}

impl FromStr for MetricsAt {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        if text == "off" {
            return Ok(Self::Off);
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Port(address.port())),
            Ok(address) => Err(Failure::other(format!("{address} is not this machine's own; give 127.0.0.1:PORT"))),
            Err(_) => Err(Failure::other(format!("{text:?} is neither 127.0.0.1:PORT nor off"))),
        }
    }
}

/// The listener's one route: the counts of these offices, and what else is set when somebody reads.
pub fn router(
    metrics: Arc<Metrics>,
    offices: Vec<Arc<dyn Running>>,
    besides: impl Fn(&Metrics) + Clone + Send + Sync + 'static,
) -> Router {
    metrics::router(metrics, move |metrics| {
        besides(metrics);
        for office in &offices {
            if let Some(moved) = office.moved() {
                metrics.moved(office.name(), moved.generation, moved.behind);
            }
            let Some(counts) = office.counts() else { continue };
            let hufu_store::Counts { committed, refused, failed, flushes } = counts;
            metrics.stored(office.name(), StoreCounts { committed, refused, failed, flushes });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_on_this_machine_or_nowhere() {
        assert_eq!("127.0.0.1:9100".parse::<MetricsAt>().unwrap(), MetricsAt::Port(9100));
        assert_eq!("[::1]:0".parse::<MetricsAt>().unwrap(), MetricsAt::Port(0));
        assert_eq!("off".parse::<MetricsAt>().unwrap(), MetricsAt::Off);
        for text in ["0.0.0.0:9100", "[::]:1", "10.0.0.1:9100", "9100", "", "localhost:1"] {
            assert!(text.parse::<MetricsAt>().is_err(), "{text}");
        }
    }
}
