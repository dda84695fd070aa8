//! The front's way to platforms' servers (OpenID Connect Back-Channel Logout 1.0). It calls what the registry certified and what a name
//! leads to outside this network, follows nothing and waits for nobody.

use crate::failure::Failure;
use async_trait::async_trait;
use hufu_kernel::Root;
use hufu_offices::ports::{BackChannel, Delivered};
use reqwest::StatusCode;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A platform that takes longer is not told.
const PATIENCE: Duration = Duration::from_secs(5);
/// Calls under way at once; whoever signs out beyond that signs out without one.
const AT_ONCE: usize = 64;
/// Of them to one platform: a server that hangs holds no more.
const EACH: usize = 4;

/// Bytes that are read of what a receiver of events answers.
const MAX_ANSWER: usize = 4096;

/// Platforms' servers.
pub struct PlatformServers {
    root: Root,
    client: OnceLock<Option<reqwest::Client>>,
    places: Arc<Semaphore>,
    called: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// A call under way.
struct Place {
    uri: String,
    called: Arc<Mutex<BTreeMap<String, usize>>>,
    _one_of_all: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(calls) = called.get_mut(&self.uri) {
            *calls -= 1;
        }
        called.retain(|_, calls| *calls > 0);
    }
}

impl PlatformServers {
    /// Those of a root's platforms: on the public network, or in a sandbox on this machine.
    #[must_use]
    pub fn of(root: Root) -> Self {
        Self { root, client: OnceLock::new(), places: Arc::new(Semaphore::new(AT_ONCE)), called: Arc::default() }
    }

    /// A place for one call to this platform, if there is one.
    fn place(&self, uri: &str) -> Option<Place> {
        let one_of_all = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = called.entry(uri.to_owned()).or_default();
        if *calls >= EACH {
            return None;
        }
        *calls += 1;
        Some(Place { uri: uri.to_owned(), called: Arc::clone(&self.called), _one_of_all: one_of_all })
    }

    /// Made at the first call: most fronts make none, and a machine without authorities for TLS needs none until then.
    fn client(&self) -> Option<&reqwest::Client> {
        let made = || match client(self.root) {
            Ok(client) => Some(client),
            Err(error) => {
                tracing::error!(%error, "no platform can be told of a sign-out");
                None
            }
        };
        self.client.get_or_init(made).as_ref()
    }
}

fn client(root: Root) -> Result<reqwest::Client, Failure> {
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(Policy::none()).no_proxy();
    let client = client.dns_resolver(Arc::new(Reachable(root))).pool_max_idle_per_host(0);
    client.build().map_err(Failure::other)
}

#[async_trait]
impl BackChannel for PlatformServers {
    async fn post_event(&self, uri: &str, authorization: Option<&str>, set: &str) -> Delivered {
        let (Some(client), Some(place)) = (self.client(), self.place(uri)) else { return Delivered::Away };
        let request =
            client.post(uri).header(CONTENT_TYPE, "application/secevent+jwt").header(ACCEPT, "application/json");
        let request = match authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        };
        let answer = request.body(set.to_owned()).send().await;
        let delivered = match answer {
            Ok(answer) if answer.status().is_success() => Delivered::Taken,
            Ok(answer) if answer.status() == StatusCode::BAD_REQUEST => refused(answer).await,
            _ => Delivered::Away,
        };
        drop(place);
        delivered
    }

    fn post_logout(&self, uri: &str, logout_token: String) {
        let (Some(client), Some(place)) = (self.client(), self.place(uri)) else {
            return tracing::warn!("a platform was not told of a sign-out: too many at once, or no way there");
        };
        let request = client.post(uri).form(&[("logout_token", logout_token)]);
        tokio::spawn(async move {
            match request.send().await {
                Ok(answer) if answer.status().is_success() => {}
                Ok(answer) => tracing::warn!(status = answer.status().as_u16(), "a platform refused a logout token"),
                Err(error) => tracing::warn!(cause = %error.without_url(), "a platform was not told of a sign-out"),
            }
            drop(place);
        });
    }

    fn post_ping(&self, uri: &str, token: String, auth_req_id: String) {
        let (Some(client), Some(place)) = (self.client(), self.place(uri)) else {
            return tracing::warn!("a platform was not told of an answer: too many at once, or no way there");
        };
        let body = serde_json::json!({ "auth_req_id": auth_req_id }).to_string();
        let request = client.post(uri).bearer_auth(token).header("content-type", "application/json").body(body);
        tokio::spawn(async move {
            match request.send().await {
                Ok(answer) if answer.status().is_success() => {}
                Ok(answer) => tracing::warn!(status = answer.status().as_u16(), "a platform refused a ping"),
                Err(error) => tracing::warn!(cause = %error.without_url(), "a platform was not told of an answer"),
            }
            drop(place);
        });
    }
}

/// Given up only if the answer says that the token itself is what is wrong (RFC 8935 sections 2.3, 2.4). `authentication_failed` and
/// `access_denied` are about the way it came, and may be mended; so may anything that does not say what is wrong.
async fn refused(mut answer: reqwest::Response) -> Delivered {
    #[derive(serde::Deserialize)]
    struct Told {
        err: String,
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Delivered::Away;
        }
        body.extend_from_slice(&chunk);
    }
    match serde_json::from_slice::<Told>(&body).ok().as_ref().map(|told| &*told.err) {
        Some("invalid_request" | "invalid_key" | "invalid_issuer" | "invalid_audience") => Delivered::Refused,
        _ => Delivered::Away,
    }
}

/// Names lead where the root's platforms can be, and nowhere else: what a name is set to after its admission opens no door.
struct Reachable(Root);

impl Resolve for Reachable {
    fn resolve(&self, name: Name) -> Resolving {
        let root = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|at| may_reach(root, at.ip())).collect();
            if allowed.is_empty() {
                return Err("leads to no address that may be called".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether a front of this root may call this address.
fn may_reach(root: Root, ip: IpAddr) -> bool {
    match (root, ip) {
        (Root::Sandbox, ip) => ip.is_loopback(),
        (Root::Production, IpAddr::V4(ip)) => is_public(ip),
        (Root::Production, IpAddr::V6(ip)) => is_public_v6(ip),
    }
}

/// Not among the IANA special-purpose addresses (RFC 6890 and its registry).
fn is_public(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let of_its_own = matches!((a, b), (0 | 10 | 127 | 224.., _) | (192, 168) | (169, 254) | (198, 18 | 19));
    let shared = matches!((a, b), (100, 64..=127) | (172, 16..=31));
    let documented = matches!((a, b, c), (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113));
    !(of_its_own || shared || documented)
}

/// Global unicast, without what carries an IPv4 address in it and without documentation (RFC 4291, RFC 6890).
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let special = matches!((a, b), (0x2001, 0..=0x01ff | 0x0db8) | (0x2002, _) | (0x3ffe | 0x3fff, _));
    (0x2000..=0x3fff).contains(&a) && !special
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    #[test]
    fn a_production_front_calls_the_public_network_and_nothing_inside() {
        for ip in ["93.184.215.14", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00:1450::1"] {
            let ip = ip.parse().unwrap();
            assert!(may_reach(Root::Production, ip) && !may_reach(Root::Sandbox, ip), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
            "2001:0:a00:1::1",
            "2001:db8::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
        ] {
            assert!(!may_reach(Root::Production, ip.parse().unwrap()), "{ip}");
        }
        assert!(
            may_reach(Root::Sandbox, "::1".parse().unwrap()) && !may_reach(Root::Sandbox, "10.0.0.1".parse().unwrap())
        );
    }

    /// What a server on this machine hears, if it is called: its first request.
    fn server(answer: &'static str) -> (u16, std::thread::JoinHandle<Option<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let heard = std::thread::spawn(move || {
            for _ in 0..150 {
                if let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nonblocking(false).unwrap();
                    let mut heard = vec![0; 4096];
                    let mut read = 0;
                    while !heard[..read].windows(13).any(|part| part == b"logout_token=") {
                        match stream.read(&mut heard[read..]).unwrap() {
                            0 => break,
                            more => read += more,
                        }
                    }
                    stream.write_all(answer.as_bytes()).unwrap();
                    return Some(String::from_utf8_lossy(&heard[..read]).into_owned());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            None
        });
        (port, heard)
    }

    #[test]
    fn a_platform_that_hangs_keeps_no_other_from_being_told() {
        let servers = PlatformServers::of(Root::Sandbox);
        let mut held: Vec<Place> = (0..EACH).map(|_| servers.place("https://slow.example/out").unwrap()).collect();
        assert!(servers.place("https://slow.example/out").is_none());
        let other = servers.place("https://shop.example/out").unwrap();
        held.pop();
        assert!(servers.place("https://slow.example/out").is_some());
        drop((held, other));
        assert!(servers.called.lock().unwrap().is_empty(), "nothing is kept of who was called");
        // And all together have an end.
        let all: Vec<Place> =
            (0..AT_ONCE).map(|one| servers.place(&format!("https://{one}.example/out")).unwrap()).collect();
        assert!(servers.place("https://shop.example/out").is_none());
        drop(all);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_logout_token_arrives_as_a_form_and_no_redirect_is_followed() {
        let (inner, inside) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let moved = format!("HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:{inner}/\r\ncontent-length: 0\r\n\r\n");
        let (outer, told) = server(String::leak(moved));
        PlatformServers::of(Root::Sandbox).post_logout(&format!("http://localhost:{outer}/out"), "a.b.c".into());
        let told = tokio::task::spawn_blocking(move || told.join().unwrap()).await.unwrap().unwrap();
        assert!(told.starts_with("POST /out HTTP/1.1"), "{told}");
        assert!(told.to_ascii_lowercase().contains("content-type: application/x-www-form-urlencoded"), "{told}");
        assert!(told.contains("logout_token="), "{told}");
        let inside = tokio::task::spawn_blocking(move || inside.join().unwrap()).await.unwrap();
        assert_eq!(inside, None, "where the platform points is not called");
    }

    /// Where an event token goes, how it is refused, and where it never goes.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_event_token_arrives_as_one_and_no_redirect_is_followed() {
        let servers = PlatformServers::of(Root::Sandbox);
        let told = |thread: std::thread::JoinHandle<Option<String>>| thread.join().unwrap();
        for (answer, wanted) in [
            ("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", Delivered::Taken),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 21\r\n\r\n{\"err\":\"invalid_key\"}", Delivered::Refused),
            // About the way it came and not about the token; and an answer of something in between.
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 23\r\n\r\n{\"err\":\"access_denied\"}", Delivered::Away),
            ("HTTP/1.1 400 Bad\r\ncontent-length: 31\r\n\r\n{\"err\":\"authentication_failed\"}", Delivered::Away),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", Delivered::Away),
            ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", Delivered::Away),
        ] {
            let (port, heard) = server(answer);
            let uri = format!("http://localhost:{port}/events");
            // The server of these tests reads until it has seen this.
            let delivered = servers.post_event(&uri, Some("Bearer own"), "a.b.logout_token=").await;
            assert_eq!(delivered, wanted, "{answer}");
            let heard = tokio::task::spawn_blocking(move || told(heard)).await.unwrap().unwrap().to_ascii_lowercase();
            assert!(heard.starts_with("post /events http/1.1"), "{heard}");
            for header in ["content-type: application/secevent+jwt", "authorization: bearer own"] {
                assert!(heard.contains(header), "{heard}");
            }
        }
        let (inner, inside) = server("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        let moved = format!("HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:{inner}/\r\ncontent-length: 0\r\n\r\n");
        let (outer, _) = server(String::leak(moved));
        let uri = format!("http://localhost:{outer}/events");
        assert_eq!(servers.post_event(&uri, None, "logout_token=").await, Delivered::Away);
        // In production nothing on this machine is called.
        let within = PlatformServers::of(Root::Production);
        let uri = format!("http://localhost:{inner}/events");
        assert_eq!(within.post_event(&uri, None, "logout_token=").await, Delivered::Away);
        let inside = tokio::task::spawn_blocking(move || inside.join().unwrap()).await.unwrap();
        assert_eq!(inside, None, "where the platform points is not called");
    }

    /// The platform's name is set to an address within, after its admission.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_name_that_leads_within_is_not_called() {
        let (port, within) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        PlatformServers::of(Root::Production).post_logout(&format!("http://localhost:{port}/out"), "a.b.c".into());
        let heard = tokio::task::spawn_blocking(move || within.join().unwrap()).await.unwrap();
        assert_eq!(heard, None);
    }
}
