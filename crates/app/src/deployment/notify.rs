//! Tells systemd when an office answers and when it stops (sd_notify(3)): a datagram to the socket that `NOTIFY_SOCKET` names.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The office answers.
pub const READY: &str = "READY=1";
/// The office takes nothing new.
pub const STOPPING: &str = "STOPPING=1";

/// Tells whoever started this process; without `NOTIFY_SOCKET` nobody listens.
pub fn tell(state: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET").and_then(|name| name.into_string().ok())
        && let Err(error) = send(&socket, state)
    {
        tracing::warn!(%error, "systemd was not told {state}");
    }
}

/// An address that begins with `@` is of the abstract name space.
fn send(socket: &str, state: &str) -> std::io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_arrives_at_sockets_of_both_kinds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let plain = UnixDatagram::bind(&path).unwrap();
        let name = format!("hufu-test-{}", std::process::id());
        let hidden = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, address) in [(plain, path.to_str().unwrap().to_owned()), (hidden, format!("@{name}"))] {
            send(&address, READY).unwrap();
            let mut told = [0; 32];
            let length = socket.recv(&mut told).unwrap();
            assert_eq!(&told[..length], READY.as_bytes());
        }
        assert!(send("/nowhere/at/all", READY).is_err());
    }
}
