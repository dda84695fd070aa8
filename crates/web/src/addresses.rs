//! How much one address may ask of an office, before anything of a request is read: token buckets for each kind of endpoint, and a
//! share of the listener's connections. An IPv4 address counts whole; of an IPv6 address the first 64 bits count, in which
//! a household, a telephone or a machine draws its addresses as it likes, and for open connections the first 48 besides, which one
//! customer of a provider may have.
//!
//! All listeners of an office share one [`Addresses`]. Where a proxy or a balancer stands before a listener every connection is its
//! own, so that nothing may be counted there: an address in a header is never believed, since anybody can write one.

use crate::metrics::Metrics;
use crate::places::{Place, Places};
use crate::reply::Edge;
use crate::serve::Stop;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::middleware::Next;
use hufu_kernel::Refusal;
use hufu_offices::buckets::{Buckets, Rate, whole_seconds};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Networks remembered for each kind while their buckets are not full; about 3 MiB.
const NETWORKS: usize = 32_768;
/// Who has not asked for so long that it makes no difference any more is forgotten within this.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Open connections of a wide network, in shares of an address.
const WIDE: usize = 2;

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
            IpAddr::V6(address) => match address.octets() {
                // And behind a translator of addresses as one of its prefix (RFC 6052 section 2.1): all of IPv4 is one /64 there.
                [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Self::V4([a, b, c, d]),
                [a, b, c, d, e, f, g, h, ..] => Self::V6([a, b, c, d, e, f, g, h]),
            },
        }
    }
}

impl Network {
    /// The first 48 bits of an IPv6 address.
    fn wide(self) -> Option<[u8; 6]> {
        match self {
            Self::V4(_) => None,
            Self::V6([a, b, c, d, e, f, ..]) => Some([a, b, c, d, e, f]),
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
    /// A wallet that begins to wait to be asked: of nobody who is known, and places are few.
    Wait,
    /// A new connection; over TLS each costs a signature.
    Connection,
    /// Everything else: documents, pages, and what there is not.
    Other,
}

impl Asked {
    const ALL: [Self; 7] =
        [Self::Browser, Self::Platform, Self::Wallet, Self::Start, Self::Wait, Self::Connection, Self::Other];

    /// As metrics name it.
    fn limit(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Platform => "platform",
            Self::Wallet => "wallet",
            Self::Start => "start",
            Self::Wait => "wait",
            Self::Connection => "connection",
            Self::Other => "other",
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
    /// [`Asked::Wait`].
    pub wait: Option<Rate>,
    /// [`Asked::Connection`].
    pub connection: Option<Rate>,
    /// [`Asked::Other`].
    pub other: Option<Rate>,
    /// Connections open at once, over all listeners; twice as many from one /48 of IPv6.
    pub at_once: Option<usize>,
}

impl AddressLimits {
    fn of(&self, asked: Asked) -> Option<Rate> {
        match asked {
            Asked::Browser => self.browser,
            Asked::Platform => self.platform,
            Asked::Wallet => self.wallet,
            Asked::Start => self.start,
            Asked::Wait => self.wait,
            Asked::Connection => self.connection,
            Asked::Other => self.other,
        }
    }
}

/// What addresses have asked of one office lately.
#[derive(Debug)]
pub struct Addresses {
    began: Instant,
    /// By what is asked.
    buckets: [Option<Mutex<Buckets<Network>>>; 7],
    open: Option<Arc<Places<Network>>>,
    open_wide: Option<Arc<Places<[u8; 6]>>>,
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
    _wide: Option<Place<[u8; 6]>>,
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
            open_wide: limits.at_once.map(|each| Places::of(each.saturating_mul(WIDE))),
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
        let place = places(self.open.as_ref(), Some(asker.network));
        let wide = places(self.open_wide.as_ref(), asker.network.wide());
        let (Ok(place), Ok(wide)) = (place, wide) else {
            self.count("connections");
            return None;
        };
        Some(Admitted { asker, _place: place, _wide: wide })
    }

    /// Forgets every second who has not asked for so long that it makes no difference any more, until told to stop.
    pub async fn forget(self: Arc<Self>, mut stop: Stop) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => self.sweep(),
                () = stop.stopped() => return,
            }
        }
    }

    fn sweep(&self) {
        let now = self.began.elapsed();
        for buckets in self.buckets.iter().flatten() {
            buckets.lock().unwrap_or_else(PoisonError::into_inner).sweep(now);
        }
    }

    fn count(&self, limit: &'static str) {
        if let Some(metrics) = &self.metrics {
            metrics.limited(self.office, limit);
        }
    }
}

/// A place of this one's, if places are counted and this one is; an error if it has all of them.
fn places<K: Ord + Clone>(of: Option<&Arc<Places<K>>>, key: Option<K>) -> Result<Option<Place<K>>, ()> {
    match (of, key) {
        (Some(places), Some(key)) => places.take(&key).map(Some).ok_or(()),
        _ => Ok(None),
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

/// What is nobody's in particular, as often as an address may ask for it: a layer of routes that count nothing else.
pub(crate) async fn bounded_other(request: Request<Body>, next: Next) -> Response<Body> {
    match may(&request, Asked::Other) {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            let said = Refusal::TooMany.text();
            let mut later = Response::new(Body::from(format!("{}\n{}\n", said.zh, said.en)));
            *later.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            later.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            later.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
            parting(later)
        }
    }
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
            let translated = (0x0064_ff9b_u128 << 96) | u128::from(u32::from(four));
            prop_assert_eq!(of(translated), Network::from(IpAddr::V4(four)));
            // The translator's prefix ends after 96 bits.
            prop_assert!(is_v6(translated | 1 << 40));
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
    async fn who_asked_is_forgotten_when_the_bucket_is_full_again_though_nobody_asks_after() {
        let rate = Rate { burst: 2, every: Duration::from_millis(20) };
        let edge = Edge::new("front", "http://wallet.localhost:1", Arc::new(hufu_kernel::OsRng));
        let limits = AddressLimits { browser: Some(rate), connection: Some(rate), ..AddressLimits::default() };
        let addresses = Addresses::new(&edge, limits);
        let remembered =
            || addresses.buckets.iter().flatten().map(|buckets| buckets.lock().unwrap().len()).sum::<usize>();
        for host in 0..100 {
            let asker = addresses.asker(Ipv4Addr::new(192, 0, 2, host).into());
            let _ = (asker.may(Asked::Browser), asker.may(Asked::Connection));
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(remembered() > 1, "the control: nothing is forgotten of itself");
        let (stopper, stop) = crate::serve::Stopper::new();
        let forgetting = tokio::spawn(Arc::clone(&addresses).forget(stop));
        tokio::time::sleep(SWEEP_EVERY * 2).await;
        assert_eq!(remembered(), 0);
        stopper.stop();
        forgetting.await.unwrap();
    }

    #[tokio::test]
    async fn many_small_networks_of_one_wide_one_have_two_shares_together_and_no_more() {
        let edge = Edge::new("front", "http://wallet.localhost:1", Arc::new(hufu_kernel::OsRng));
        let addresses = Addresses::new(&edge, AddressLimits { at_once: Some(3), ..AddressLimits::default() });
        let come = |from: String| addresses.admit(from.parse().unwrap());
        // As many /64s as would have every place, and what is refused there takes nobody's share.
        let held: Vec<_> = (0..100).filter_map(|subnet| come(format!("2001:db8:0:{subnet:x}::1"))).collect();
        assert_eq!(held.len(), 6);
        for other in ["2001:db8:1::1", "192.0.2.1", "192.0.2.2"] {
            assert!(come(other.to_owned()).is_some(), "{other}");
        }
        let four: Vec<_> = (0..100).filter_map(|host| come(format!("192.0.2.{host}"))).collect();
        assert_eq!(four.len(), 100, "of IPv4 each address counts by itself");
        drop(held);
        let again: Vec<_> = (0..100).filter_map(|subnet| come(format!("2001:db8:0:{subnet:x}::1"))).collect();
        assert_eq!(again.len(), 6, "all of it was given back");
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
