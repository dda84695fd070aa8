//! One kept-alive HTTP/1.1 connection to a port of this machine: a driver must cost less than what it drives.

use super::{Failure, text};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{COOKIE, HOST, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::net::Ipv4Addr;
use tokio::net::TcpSocket;

/// A connection; requests go one after the other.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'a> {
    /// The path with its query.
    pub path: &'a str,
    /// `Content-Type`, with a body.
    pub content_type: Option<&'static str>,
    /// `Cookie`.
    pub cookie: Option<&'a str>,
    /// `DPoP`.
    pub dpop: Option<&'a str>,
}

/// `application/json`
pub const JSON: Option<&str> = Some("application/json");
/// `application/x-www-form-urlencoded`
pub const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

impl Connection {
    /// Connects to 127.0.0.1, whatever name the origin has.
    ///
    /// # Errors
    /// A sentence.
    pub async fn open(origin: &str) -> Result<Self, Failure> {
        Self::open_from(origin, None).await
    }

    /// The same from another address of this machine, as somebody else would.
    ///
    /// # Errors
    /// A sentence.
    pub async fn open_from(origin: &str, from: Option<Ipv4Addr>) -> Result<Self, Failure> {
        let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let port = port.ok_or_else(|| format!("{origin} names no port"))?;
        let socket = TcpSocket::new_v4().map_err(text)?;
        if let Some(from) = from {
            socket.bind((from, 0).into()).map_err(text)?;
        }
        let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(text)?;
        // It ends with its sender; an error of the connection is the next request's error.
        tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, host: HeaderValue::from_str(authority).map_err(text)? })
    }

    /// Whether the other side keeps it open, as far as is known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// GETs.
    ///
    /// # Errors
    /// A sentence.
    pub async fn get(&mut self, message: Message<'_>) -> Result<Answer, Failure> {
        self.send(Method::GET, message, Bytes::new()).await
    }

    /// POSTs.
    ///
    /// # Errors
    /// A sentence.
    pub async fn post(&mut self, message: Message<'_>, body: impl Into<Bytes>) -> Result<Answer, Failure> {
        self.send(Method::POST, message, body.into()).await
    }

    async fn send(&mut self, method: Method, message: Message<'_>, body: Bytes) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(method).uri(message.path).header(HOST, &self.host);
        if let Some(kind) = message.content_type {
            request = request.header("content-type", kind);
        }
        if let Some(cookie) = message.cookie {
            request = request.header(COOKIE, cookie);
        }
        if let Some(proof) = message.dpop {
            request = request.header("dpop", proof);
        }
        let request = request.body(Full::new(body)).map_err(text)?;
        self.sender.ready().await.map_err(text)?;
        let (parts, body) = self.sender.send_request(request).await.map_err(text)?.into_parts();
        let body = body.collect().await.map_err(text)?.to_bytes();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

impl Answer {
    /// The body as text.
    ///
    /// # Errors
    /// A sentence.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.body).map_err(text)
    }

    /// The body, where the status is what the step expects.
    ///
    /// # Errors
    /// The step, the status and the beginning of the body.
    pub fn expect(&self, step: &str, status: u16) -> Result<&Self, Failure> {
        if self.status == status { Ok(self) } else { Err(self.unexpected(step)) }
    }

    /// Where a redirect leads.
    ///
    /// # Errors
    /// The step, the status and the beginning of the body.
    pub fn redirect(&self, step: &str) -> Result<&str, Failure> {
        let location = self.headers.get(LOCATION).filter(|_| self.status == 303 || self.status == 302);
        location.and_then(|value| value.to_str().ok()).ok_or_else(|| self.unexpected(step))
    }

    /// What a browser would send back, for every cookie that is set here.
    #[must_use]
    pub fn cookies(&self) -> String {
        let set = self.headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        set.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    }

    fn unexpected(&self, step: &str) -> Failure {
        let said: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        format!("{step}: HTTP status {}: {said}", self.status)
    }
}
