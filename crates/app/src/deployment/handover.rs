//! The sockets of an office that `hufu up` runs: open from before its process begins until after it has ended, so that whoever connects
//! while the next one is started waits in the queue. The protocol is systemd's (sd_listen_fds(3)).

use super::office_file::OfficeFile;
use crate::failure::Failure;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use tokio::net::TcpSocket;

/// Connections that may wait for the process.
const BACKLOG: u32 = 1024;
/// The shell moves sockets to where the protocol has them, and becomes the program; it is given nothing that it would interpret.
const HAND_OVER: [&str; 2] = [
    "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"",
    "exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"",
];

/// Where an office listens for others than its operator.
#[must_use]
pub fn addresses(file: &OfficeFile) -> Vec<SocketAddr> {
    let internal = file.internal.as_ref().map(|internal| internal.listen);
    internal.into_iter().chain(file.public.as_ref().map(|public| public.listen)).collect()
}

/// Opens sockets at these addresses.
///
/// # Errors
/// [`Failure::Other`] naming the address.
pub fn open(addresses: &[SocketAddr]) -> Result<Vec<OwnedFd>, Failure> {
    addresses
        .iter()
        .map(|address| one(*address).map_err(|cause| Failure::other(format!("{address}: {cause}"))))
        .collect()
}

fn one(address: SocketAddr) -> std::io::Result<OwnedFd> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket.listen(BACKLOG)?.into_std()?.into())
}

/// The command that runs `program` with up to two sockets; those of others stay closed to it.
///
/// # Errors
/// [`Failure::Other`] if a socket cannot be duplicated.
pub fn command(program: &std::path::Path, sockets: &[OwnedFd]) -> Result<Command, Failure> {
    let copy = |socket: &OwnedFd| socket.try_clone().map(Stdio::from).map_err(Failure::other);
    let (first, second) = match sockets {
        [] => {
            let mut command = Command::new(program);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            return Ok(command);
        }
        [one] => (copy(one)?, Stdio::null()),
        [one, two, ..] => (copy(one)?, copy(two)?),
    };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", HAND_OVER[sockets.len().min(2) - 1]]).arg(program).stdin(first).stdout(second);
    Ok(command)
}
