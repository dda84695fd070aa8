//! Where an office listens: ports of this machine, configured addresses, and sockets that were handed over.

use crate::addresses::Addresses;
use crate::mutual_tls::{PlatformDoors, Registered};
use crate::peers::Doors;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket, lookup_host};

/// Connections of a listener that are not served yet and may wait in the system's queue.
const BACKLOG: u32 = 1024;
/// Connections that are served at once, where nothing else is said.
const CONNECTIONS: usize = 4096;

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error("port {port} ({what}) is in use by another program; stop that program, or choose other ports with {flag}")]
    Busy {
        /// The port.
        port: u16,
        /// What was to listen there.
        what: &'static str,
        /// The flag that chooses it.
        flag: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on port {port} ({what}): {cause}")]
    Failed {
        /// The port.
        port: u16,
        /// What was to listen there.
        what: &'static str,
        /// The system's words.
        cause: io::Error,
    },
    /// A configured address.
    #[error("cannot listen on {address} ({what}): {cause}")]
    Address {
        /// As configured.
        address: String,
        /// What was to listen there.
        what: &'static str,
        /// The system's words.
        cause: io::Error,
    },
}

/// A wish to listen on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// For messages: `wallet`.
    pub what: &'static str,
    /// 0 lets the system choose.
    pub port: u16,
    /// The flag that chooses the port, for messages.
    pub flag: &'static str,
}

/// What is spoken on a port.
#[derive(Clone, Debug)]
pub(crate) enum Speaks {
    /// HTTP/1.1 in the clear, for this machine or behind a proxy.
    Plain,
    /// TLS.
    Tls(Arc<rustls::ServerConfig>),
    /// TLS in which the caller proves its name too.
    Offices(Doors),
    /// TLS in which a platform proves its certificate.
    Platforms(PlatformDoors),
}

/// A port that is listened on.
#[derive(Debug)]
pub struct Listening {
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) speaks: Speaks,
    pub(crate) connections: usize,
    pub(crate) addresses: Option<Arc<Addresses>>,
    pub(crate) registered: Registered,
    /// The port.
    pub port: u16,
}

impl Listening {
    fn on(listeners: Vec<TcpListener>, port: u16) -> Self {
        let (speaks, registered) = (Speaks::Plain, Registered::nobodys());
        Self { listeners, speaks, connections: CONNECTIONS, addresses: None, registered, port }
    }

    /// The same port, speaking TLS only.
    #[must_use]
    pub fn over_tls(self, config: Arc<rustls::ServerConfig>) -> Self {
        Self { speaks: Speaks::Tls(config), ..self }
    }

    /// The same port, for other offices only.
    #[must_use]
    pub fn behind(self, doors: Doors) -> Self {
        Self { speaks: Speaks::Offices(doors), ..self }
    }

    /// The same port, for platforms with a TLS certificate only.
    #[must_use]
    pub fn for_platforms(self, doors: PlatformDoors) -> Self {
        Self { speaks: Speaks::Platforms(doors), ..self }
    }

    /// The same port for platforms, at which each that registered a certificate's name has its share and no more; all others have one
    /// together.
    #[must_use]
    pub fn sharing_by(self, registered: Registered) -> Self {
        Self { registered, ..self }
    }

    /// The same port, at which each address has its share and no more. Never behind a proxy, where all of them come from one.
    #[must_use]
    pub fn sharing_among(self, addresses: Option<Arc<Addresses>>) -> Self {
        Self { addresses, ..self }
    }

    /// The same port with at most this many connections at once; more wait until one of them ends.
    #[must_use]
    pub fn with_limit(self, connections: usize) -> Self {
        Self { connections: connections.max(1), ..self }
    }
}

/// Listens on 127.0.0.1 and, where the machine has it, ::1: `localhost` is both, and browsers choose.
///
/// # Errors
/// [`ListenError`].
pub async fn listen(place: Place) -> Result<Listening, ListenError> {
    let Place { what, port, flag } = place;
    let refused = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AddrInUse => ListenError::Busy { port, what, flag },
        _ => ListenError::Failed { port, what, cause },
    };
    // An ephemeral port that is free for one family may be taken for the other; a few draws are enough.
    let mut draws = if port == 0 { 16 } else { 1 };
    loop {
        draws -= 1;
        let v4 = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.map_err(refused)?;
        let bound = v4.local_addr().map_err(refused)?.port();
        match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, bound))).await {
            Ok(v6) => return Ok(Listening::on(vec![v4, v6], bound)),
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse && draws > 0 => {}
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => return Err(refused(cause)),
            // No IPv6 on this machine.
            Err(_) => return Ok(Listening::on(vec![v4], bound)),
        }
    }
}

/// How an address is bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sharing {
    /// By this process alone.
    #[default]
    Alone,
    /// Together with other processes of this user that say so too (`SO_REUSEPORT`): the next process can begin before this one
    /// ends. Connections that wait in the queue of the one that ends are lost, which a socket that is handed over avoids.
    Together,
}

/// Listens on every address that `host:port` stands for. A socket among `inherited` that is bound there already is taken over.
///
/// # Errors
/// [`ListenError::Address`].
pub async fn listen_at(
    what: &'static str,
    address: &str,
    inherited: &mut Inherited,
    sharing: Sharing,
) -> Result<Listening, ListenError> {
    let refused = |cause: io::Error| ListenError::Address { address: address.to_owned(), what, cause };
    let (mut listeners, mut missing) = (Vec::new(), None);
    for wanted in lookup_host(address).await.map_err(refused)? {
        let bound = match inherited.take(wanted) {
            Some(socket) => TcpListener::from_std(socket),
            None => bind(wanted, sharing),
        };
        match bound {
            Ok(listener) => listeners.push(listener),
            // A name of both families on a machine that has one.
            Err(cause) if matches!(cause.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported) => {
                missing = Some(cause);
            }
            Err(cause) => return Err(refused(cause)),
        }
    }
    let Some(first) = listeners.first() else {
        return Err(refused(missing.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())));
    };
    let port = first.local_addr().map_err(refused)?.port();
    Ok(Listening::on(listeners, port))
}

fn bind(at: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(sharing == Sharing::Together)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

/// Sockets that the process was started with: those of a systemd socket unit (sd_listen_fds(3)), or of the process before. While
/// they are open nobody who connects is turned away, whichever process accepts.
#[derive(Debug, Default)]
pub struct Inherited(Vec<std::net::TcpListener>);

impl Inherited {
    /// No sockets.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Takes what `LISTEN_FDS` says, once in a process; the variables are removed, so that no child believes them.
    ///
    /// # Errors
    /// A descriptor that is no TCP socket.
    pub fn from_env() -> io::Result<Self> {
        let mut found = listenfd::ListenFd::from_env();
        let mut sockets = Vec::new();
        for at in 0..found.len() {
            sockets.extend(found.take_tcp_listener(at)?);
        }
        Self::of(sockets)
    }

    /// These sockets.
    ///
    /// # Errors
    /// If one cannot be used without blocking.
    pub fn of(sockets: Vec<std::net::TcpListener>) -> io::Result<Self> {
        for socket in &sockets {
            socket.set_nonblocking(true)?;
        }
        Ok(Self(sockets))
    }

    /// Where those listen that nobody has taken: a socket unit that does not match the configuration.
    #[must_use]
    pub fn left(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    fn take(&mut self, wanted: SocketAddr) -> Option<std::net::TcpListener> {
        let fits = |socket: &std::net::TcpListener| {
            socket.local_addr().is_ok_and(|bound| {
                // `ListenStream=8443` of a socket unit is every address of both families.
                let every = bound.ip().is_unspecified() && wanted.ip().is_unspecified();
                bound.port() == wanted.port() && (bound.ip() == wanted.ip() || every)
            })
        };
        let at = self.0.iter().position(fits)?;
        Some(self.0.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Place = Place { what: "test", port: 0, flag: "--port" };

    async fn at(address: &str, sharing: Sharing) -> Result<Listening, ListenError> {
        listen_at("test", address, &mut Inherited::none(), sharing).await
    }

    #[tokio::test]
    async fn a_busy_port_is_named_with_its_flag() {
        let taken = listen(ANY).await.unwrap();
        let message = listen(Place { port: taken.port, ..ANY }).await.unwrap_err().to_string();
        assert!(message.contains(&taken.port.to_string()) && message.contains("--port"), "{message}");
        let address = format!("127.0.0.1:{}", taken.port);
        let message = at(&address, Sharing::Alone).await.unwrap_err().to_string();
        assert!(message.contains(&address), "{message}");
    }

    #[tokio::test]
    async fn an_address_is_any_of_this_machine_and_nothing_else() {
        for address in ["127.0.0.1:0", "127.0.0.7:0", "0.0.0.0:0", "localhost:0"] {
            assert_ne!(at(address, Sharing::Alone).await.unwrap().port, 0, "{address}");
        }
        for address in ["", "127.0.0.1", "127.0.0.1:x", "192.0.2.1:0", "name.invalid:0"] {
            assert!(at(address, Sharing::Alone).await.is_err(), "{address}");
        }
    }

    #[tokio::test]
    async fn a_port_is_shared_only_if_both_say_so() {
        let first = at("127.0.0.1:0", Sharing::Together).await.unwrap();
        let address = format!("127.0.0.1:{}", first.port);
        assert!(at(&address, Sharing::Alone).await.is_err());
        assert!(at(&address, Sharing::Together).await.is_ok());
        let alone = at("127.0.0.1:0", Sharing::Alone).await.unwrap();
        assert!(at(&format!("127.0.0.1:{}", alone.port), Sharing::Together).await.is_err());
    }

    #[tokio::test]
    async fn an_inherited_socket_is_taken_where_it_is_bound_and_only_once() {
        let handed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = handed.local_addr().unwrap();
        let mut inherited = Inherited::of(vec![handed]).unwrap();
        let other = listen_at("test", "127.0.0.1:0", &mut inherited, Sharing::Alone).await.unwrap();
        assert_ne!(other.port, address.port());
        assert_eq!(inherited.left(), [address]);
        let taken = listen_at("test", &address.to_string(), &mut inherited, Sharing::Alone).await.unwrap();
        assert_eq!(taken.port, address.port());
        assert!(inherited.left().is_empty());
        // Bound by this process already: a second one is not made.
        assert!(listen_at("test", &address.to_string(), &mut inherited, Sharing::Alone).await.is_err());
    }

    #[tokio::test]
    async fn a_socket_for_every_address_serves_either_family() {
        let Ok(handed) = std::net::TcpListener::bind("[::]:0") else { return };
        let port = handed.local_addr().unwrap().port();
        let mut inherited = Inherited::of(vec![handed]).unwrap();
        let address = format!("0.0.0.0:{port}");
        assert!(listen_at("test", &address, &mut inherited, Sharing::Alone).await.is_ok());
        assert!(inherited.left().is_empty());
    }
}
