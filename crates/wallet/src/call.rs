//! How requests reach the offices: the caller brings the network.

use crate::WalletError;
use hufu_kernel::{NodeIndex, Refusal};
use serde::{Serialize, de::DeserializeOwned};
use std::future::Future;

/// Whom a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Address {
    /// A node.
    Node(NodeIndex),
    /// The registrar.
    Registrar,
    /// The front.
    Front,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node(index) => write!(f, "node {index}"),
            Self::Registrar => f.write_str("the registrar"),
            Self::Front => f.write_str("the front"),
        }
    }
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Carries one request. Cookies, where an office sets one, are the transport's to keep.
pub trait Transport {
    /// POSTs a JSON body.
    fn post(&self, to: Address, path: &str, body: Vec<u8>) -> impl Future<Output = Result<Reply, String>>;

    /// GETs a resource.
    fn get(&self, to: Address, path: &str) -> impl Future<Output = Result<Reply, String>>;
}

/// POSTs `message` and reads the answer.
pub(crate) async fn call<T: Transport, R: DeserializeOwned>(
    transport: &T,
    to: Address,
    path: &str,
    message: &impl Serialize,
) -> Result<R, WalletError> {
    let body = serde_json::to_vec(message).map_err(|_| Refusal::Malformed)?;
    let reply = transport
        .post(to, path, body)
        .await
        .map_err(|cause| WalletError::Unreachable { office: to.to_string(), cause })?;
    read(to, &reply)
}

/// GETs text.
pub(crate) async fn fetch<T: Transport>(transport: &T, to: Address, path: &str) -> Result<String, WalletError> {
    let unreachable = |cause| WalletError::Unreachable { office: to.to_string(), cause };
    let reply = transport.get(to, path).await.map_err(unreachable)?;
    if reply.status != 200 {
        return Err(refused(to, &reply));
    }
    String::from_utf8(reply.body).map_err(|_| unreachable("not text".into()))
}

fn read<R: DeserializeOwned>(to: Address, reply: &Reply) -> Result<R, WalletError> {
    if reply.status != 200 {
        return Err(refused(to, reply));
    }
    serde_json::from_slice(&reply.body)
        .map_err(|error| WalletError::Unreachable { office: to.to_string(), cause: error.to_string() })
}

fn refused(to: Address, reply: &Reply) -> WalletError {
    #[derive(serde::Deserialize)]
    struct Problem {
        error: String,
    }
    match serde_json::from_slice::<Problem>(&reply.body).ok().and_then(|problem| Refusal::from_code(&problem.error)) {
        Some(refusal) => WalletError::Refused(refusal),
        None => WalletError::Unreachable { office: to.to_string(), cause: format!("HTTP status {}", reply.status) },
    }
}
