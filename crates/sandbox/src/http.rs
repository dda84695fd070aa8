//! The network of robots, persona agents and sample platforms: HTTP on this machine, over TLS where the demo has it.

use hufu_kernel::{NodeIndex, Rng, Timestamp};
use hufu_platform::client::{HttpRequest, RelyingParty};
use hufu_wallet::{Address, Reply, Transport};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where a running sandbox answers: what `--ready-file` holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// The front.
    pub issuer: String,
    /// The wallet's origin.
    pub wallet: String,
    /// The registrar.
    pub registrar: String,
    /// The nodes, 1 to 3.
    pub nodes: [String; 3],
    /// The phone simulator.
    pub phone: String,
    /// The register simulator.
    pub register: String,
    /// Over TLS: the file of the certificate authority that vouches for all of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

impl Addresses {
    /// A client that trusts the sandbox's own authority, if it has one, and nobody else's.
    ///
    /// # Errors
    /// A sentence, if the authority's file cannot be read.
    pub fn client(&self) -> Result<reqwest::Client, String> {
        client_trusting(self.ca.as_deref())
    }
}

/// Every name is this machine: programs of the sandbox never reach beyond it, whatever name the demo was given.
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, _: Name) -> Resolving {
        let here = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
        Box::pin(std::future::ready(Ok(Box::new(here.into_iter()) as Addrs)))
    }
}

/// Answers take at most this long; an office that is down answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client of a demo without TLS; see [`client_trusting`].
///
/// # Errors
/// A sentence, if the client cannot be made.
pub fn client() -> Result<reqwest::Client, String> {
    client_trusting(None)
}

/// A client that trusts the authority in the file `ca` alone, and follows no redirects: who sends a browser where is what robots
/// look at.
///
/// # Errors
/// A sentence, if the file cannot be read or the client cannot be made.
pub fn client_trusting(ca: Option<&Path>) -> Result<reqwest::Client, String> {
    let trusted = match ca {
        None => Vec::new(),
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    reqwest::Client::builder()
        .tls_certs_only(trusted)
        .dns_resolver(Arc::new(Loopback))
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .no_proxy()
        .build()
        .map_err(|error| error.to_string())
}

/// One browser's way to the offices, with its transaction cookie.
#[derive(Debug)]
pub struct Http {
    client: reqwest::Client,
    addresses: Addresses,
    cookie: Mutex<Option<String>>,
    /// A node this browser pretends not to reach.
    unreachable: Option<NodeIndex>,
}

impl Http {
    /// A browser without cookies.
    #[must_use]
    pub fn new(client: reqwest::Client, addresses: Addresses) -> Self {
        Self { client, addresses, cookie: Mutex::new(None), unreachable: None }
    }

    /// The same without one of the nodes.
    #[must_use]
    pub fn without(mut self, node: NodeIndex) -> Self {
        self.unreachable = Some(node);
        self
    }

    /// Follows a platform to the front: the transaction the wallet is sent to, and its cookie kept.
    ///
    /// # Errors
    /// A sentence.
    pub async fn authorize(&self, url: &str) -> Result<String, String> {
        let answer = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let location =
            header("location").ok_or_else(|| format!("the front answered {} without a redirect", answer.status()))?;
        let cookie = header("set-cookie").and_then(|cookie| cookie.split(';').next().map(str::to_owned));
        self.keep_cookie(cookie);
        let (_, query) = location.split_once('?').ok_or("a redirect without a query")?;
        let tx = query.split('&').find_map(|pair| pair.strip_prefix("tx="));
        tx.map(str::to_owned).ok_or_else(|| format!("the front redirected to {location}"))
    }

    /// Puts a cookie in place of the present one: how an attacker's browser is played.
    pub fn keep_cookie(&self, cookie: Option<String>) {
        *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = cookie;
    }

    fn url(&self, to: Address, path: &str) -> Result<String, String> {
        let base = match to {
            Address::Node(index) if self.unreachable == Some(index) => return Err("not reachable".into()),
            Address::Node(index) => &self.addresses.nodes[index.slot()],
            Address::Registrar => &self.addresses.registrar,
            Address::Front => &self.addresses.issuer,
        };
        Ok(format!("{base}{path}"))
    }

    async fn send(&self, to: Address, request: reqwest::RequestBuilder) -> Result<Reply, String> {
        let cookie = self.cookie.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request = match cookie {
            Some(cookie) if to == Address::Front => request.header("cookie", cookie),
            _ => request,
        };
        let answer =
            request.header("origin", &self.addresses.wallet).send().await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(|error| error.to_string())?.to_vec();
        Ok(Reply { status, body })
    }
}

impl Transport for Http {
    async fn post(&self, to: Address, path: &str, body: Vec<u8>) -> Result<Reply, String> {
        let url = self.url(to, path)?;
        self.send(to, self.client.post(url).header("content-type", "application/json").body(body)).await
    }

    async fn get(&self, to: Address, path: &str) -> Result<Reply, String> {
        let url = self.url(to, path)?;
        self.send(to, self.client.get(url)).await
    }
}

/// Sends a platform's request; (status, body).
///
/// # Errors
/// A sentence, if nothing answers.
pub async fn send(client: &reqwest::Client, request: HttpRequest) -> Result<(u16, String), String> {
    answer_of(client, request).await.map(|(status, body, _)| (status, body))
}

/// The same, and once more with the nonce that the service asks for, if it does (RFC 9449 section 8).
///
/// # Errors
/// A sentence, if nothing answers.
pub async fn send_as(
    party: &RelyingParty,
    client: &reqwest::Client,
    request: HttpRequest,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<(u16, String), String> {
    match answer_of(client, request.clone()).await? {
        // 401 at a resource (RFC 9449 section 9).
        (400 | 401, body, Some(nonce)) if body.contains("\"use_dpop_nonce\"") => {
            let again = party.with_nonce(&request, &nonce, now, rng).map_err(|error| error.to_string())?;
            send(client, again).await
        }
        (status, body, _) => Ok((status, body)),
    }
}

/// Status, body, `DPoP-Nonce`.
async fn answer_of(client: &reqwest::Client, request: HttpRequest) -> Result<(u16, String, Option<String>), String> {
    let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
    let mut builder = client.request(method, &request.url).body(request.body);
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    let answer = builder.send().await.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let nonce = answer.headers().get("dpop-nonce").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = answer.text().await.map_err(|error| error.to_string())?;
    Ok((status, body, nonce))
}
