//! How much one address may ask of an office, before anything of a request is read: token buckets for each kind of endpoint, and a
//! share of the listener's connections. An IPv4 address counts whole; of an IPv6 address the first 64 bits count, since whoever has
//! one has all that begin so.
//!
//! All listeners of an office share one [`Addresses`]. Where a proxy stands before a listener every connection is the proxy's, so
//! that there must be none: an address in a header is never believed, since anybody can write one.

use crate::metrics::Metrics;
use crate::places::{Place, Places};
use crate::reply::Edge;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use hufu_offices::buckets::{Buckets, Rate};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Networks remembered for each kind while their buckets are not full; about 3 MiB.
const NETWORKS: usize = 32_768;

/// What is counted as one address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Network {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        // On a socket of both families an IPv4 address comes as an IPv6 one (RFC 4291 section 2.5.5.2).
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// What is bounded by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// What browsers and the wallet's scripts ask of the front.
    Browser,
    /// What platforms ask of the front.
    Platform,
    /// What wallets ask of nodes and registrar.
    Wallet,
    /// The beginning of an enrolment: of nobody who is known yet.
    Start,
    /// A new connection; over TLS each costs a signature.
    Connection,
}

impl Asked {
    const ALL: [Self; 5] = [Self::Browser, Self::Platform, Self::Wallet, Self::Start, Self::Connection];

    /// As metrics name it.
    fn limit(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Platform => "platform",
            Self::Wallet => "wallet",
            Self::Start => "start",
            Self::Connection => "connection",
        }
    }
}

/// What each address may; nothing stands for no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AddressLimits {
    /// [`Asked::Browser`].
    pub browser: Option<Rate>,
    /// [`Asked::Platform`].
    pub platform: Option<Rate>,
    /// [`Asked::Wallet`].
    pub wallet: Option<Rate>,
    /// [`Asked::Start`].
    pub start: Option<Rate>,
    /// [`Asked::Connection`].
    pub connection: Option<Rate>,
    /// Connections open at once, over all listeners.
    pub at_once: Option<usize>,
}

impl AddressLimits {
    fn of(&self, asked: Asked) -> Option<Rate> {
        match asked {
            Asked::Browser => self.browser,
            Asked::Platform => self.platform,
            Asked::Wallet => self.wallet,
            Asked::Start => self.start,
            Asked::Connection => self.connection,
        }
    }
}

/// What addresses have asked of one office lately.
#[derive(Debug)]
pub struct Addresses {
    began: Instant,
    /// By what is asked.
    buckets: [Option<Mutex<Buckets<Network>>>; 5],
    open: Option<Arc<Places<Network>>>,
    office: &'static str,
    metrics: Option<Arc<Metrics>>,
}

/// Where a connection comes from. An extension of every request on it, where addresses are bounded.
#[derive(Clone, Debug)]
pub struct Asker {
    network: Network,
    addresses: Arc<Addresses>,
}

/// A connection's part of its address's share.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub asker: Asker,
    _place: Option<Place<Network>>,
}

impl Addresses {
    /// Nobody has asked yet. `edge` counts what is refused, by the limit and never by the address.
    #[must_use]
    pub fn new(edge: &Edge, limits: AddressLimits) -> Arc<Self> {
        let bucket = |rate: Option<Rate>| rate.map(|rate| Mutex::new(Buckets::new(rate, NETWORKS)));
        Arc::new(Self {
            began: Instant::now(),
            buckets: Asked::ALL.map(|asked| bucket(limits.of(asked))),
            open: limits.at_once.map(Places::of),
            office: edge.office,
            metrics: edge.metrics.clone(),
        })
    }

    /// Who asks from this address.
    #[must_use]
    pub fn asker(self: &Arc<Self>, address: IpAddr) -> Asker {
        Asker { network: address.into(), addresses: Arc::clone(self) }
    }

    /// Takes a connection in, or nothing if its address has had its share.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let asker = self.asker(address);
        asker.may(Asked::Connection).ok()?;
        let place = match &self.open {
            None => None,
            Some(open) => match open.take(&asker.network) {
                Some(place) => Some(place),
                None => {
                    self.count("connections");
                    return None;
                }
            },
        };
        Some(Admitted { asker, _place: place })
    }

    fn count(&self, limit: &'static str) {
        if let Some(metrics) = &self.metrics {
            metrics.limited(self.office, limit);
        }
    }
}

impl Asker {
    fn may(&self, asked: Asked) -> Result<(), Duration> {
        let Some(buckets) = &self.addresses.buckets[asked as usize] else { return Ok(()) };
        let now = self.addresses.began.elapsed();
        let taken = buckets.lock().unwrap_or_else(PoisonError::into_inner).take(&self.network, now);
        if taken.is_err() {
            self.addresses.count(asked.limit());
        }
        taken
    }
}

/// Whether the address that a request comes from may ask this now. One that came without an address may: nobody is bounded there.
///
/// # Errors
/// How long to wait.
pub(crate) fn may<B>(request: &Request<B>, asked: Asked) -> Result<(), Duration> {
    request.extensions().get::<Asker>().map_or(Ok(()), |asker| asker.may(asked))
}

/// The refusal of an address's request, with which its connection ends: who goes on asking has to connect again, which is bounded too.
pub(crate) fn parting(mut refusal: Response<Body>) -> Response<Body> {
    refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().unwrap().into()
    }

    proptest! {
        #[test]
        fn ipv4_counts_whole_and_ipv6_by_its_first_64_bits(a: u128, b: u128) {
            let of = |bits: u128| Network::from(IpAddr::V6(Ipv6Addr::from(bits)));
            // The host's half is the host's to choose.
            let neighbour = (a >> 64 << 64) | (b & u128::from(u64::MAX));
            let is_v6 = |bits: u128| matches!(of(bits), Network::V6(_));
            if is_v6(a) && is_v6(neighbour) {
                prop_assert_eq!(of(a), of(neighbour));
            }
            if is_v6(a) && is_v6(b) {
                prop_assert_eq!(of(a) == of(b), a >> 64 == b >> 64);
            }
            let [four, other] = [a, b].map(|bits| Ipv4Addr::from(u32::try_from(bits >> 96).unwrap()));
            prop_assert_eq!(Network::from(IpAddr::V4(four)) == Network::from(IpAddr::V4(other)), four == other);
            prop_assert_eq!(Network::from(IpAddr::V6(four.to_ipv6_mapped())), Network::from(IpAddr::V4(four)));
        }
    }

    #[tokio::test]
    async fn each_kind_and_each_address_is_bounded_by_itself() {
        let rate = Rate { burst: 2, every: Duration::from_secs(3600) };
        let limits = AddressLimits { browser: Some(rate), platform: Some(rate), ..AddressLimits::default() };
        let edge = Edge::new("front", "http://wallet.localhost:1", Arc::new(hufu_kernel::OsRng));
        let addresses = Addresses::new(&edge, limits);
        let ask = |from: &str, asked| addresses.asker(from.parse().unwrap()).may(asked);
        for _ in 0..2 {
            assert_eq!(ask("2001:db8::1", Asked::Browser), Ok(()));
        }
        assert!(ask("2001:db8::2", Asked::Browser).is_err(), "the same network");
        assert_eq!(ask("2001:db8:0:1::1", Asked::Browser), Ok(()));
        assert_eq!(ask("192.0.2.1", Asked::Browser), Ok(()));
        assert_eq!(ask("2001:db8::1", Asked::Platform), Ok(()));
        for _ in 0..10 {
            assert_eq!(ask("2001:db8::1", Asked::Start), Ok(()), "no limit");
        }
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[tokio::test]
    async fn an_address_has_a_share_of_connections_and_gets_it_back() {
        let edge = Edge::new("front", "http://wallet.localhost:1", Arc::new(hufu_kernel::OsRng));
        let addresses = Addresses::new(&edge, AddressLimits { at_once: Some(2), ..AddressLimits::default() });
        let come = |from: &str| addresses.admit(from.parse().unwrap());
        let held = [come("192.0.2.1"), come("192.0.2.1")];
        assert!(held.iter().all(Option::is_some));
        assert!(come("192.0.2.1").is_none() && come("::ffff:192.0.2.1").is_none());
        assert!(come("192.0.2.2").is_some(), "the control");
        drop(held);
        assert!(come("192.0.2.1").is_some());
    }
}
