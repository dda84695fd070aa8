//! The sockets of an office that `hufu up` runs: open from before its process begins until after it has ended, so that whoever connects
//! while the next one is started waits in the queue. The protocol is systemd's (sd_listen_fds(3)).

use super::office_file::{FILE, OfficeFile};
use super::plan::Plan;
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

/// Ports below this one are opened by root alone.
const PRIVILEGED: u16 = 1024;

/// What each of these offices asks for is its own to have. A configuration is its office's user's to write, and sockets are opened for it
/// by root, some before those of others: it would be let into the place of another office, or of another program.
///
/// # Errors
/// [`Failure::Other`] naming the office, or two that ask for one address.
pub fn check(offices: &[(&'static str, OfficeFile)], plan: &Plan) -> Result<(), Failure> {
    let mut taken: Vec<(&str, &str, SocketAddr)> = Vec::new();
    for (name, file) in offices {
        let refused = |told: String| Failure::other(format!("{name}/{FILE}: {told}; nothing was started"));
        let tables = [
            ("[internal]", file.internal.as_ref().map(|internal| internal.listen)),
            ("[public]", file.public.as_ref().map(|public| public.listen)),
            ("[mtls]", file.mtls.as_ref().map(|mtls| mtls.listen)),
            ("[metrics]", Some(file.metrics.listen)),
        ];
        for (table, at) in tables.into_iter().filter_map(|(table, at)| Some((table, at?))) {
            if let Some((other, its, _)) = taken.iter().find(|(_, _, other)| one_place(*other, at)) {
                return Err(refused(format!("{table} listen = \"{at}\" is {its} of {other} already")));
            }
            if table != "[public]" && at.port() < PRIVILEGED {
                return Err(refused(format!(
                    "{table} listen = \"{at}\": a port below {PRIVILEGED} is for [public] alone"
                )));
            }
            taken.push((*name, table, at));
        }
        let planned = plan.office(name).map(|office| office.internal.as_str());
        if let (Some(internal), Some(planned)) = (&file.internal, planned)
            && planned.rsplit_once(':').is_none_or(|(_, port)| port.parse() != Ok(internal.listen.port()))
        {
            let told = format!("[internal] listen = \"{}\": the plan has it at {planned}", internal.listen);
            return Err(refused(told));
        }
    }
    Ok(())
}

/// Whether who listens at the one is asked in place of who listens at the other.
fn one_place(one: SocketAddr, other: SocketAddr) -> bool {
    let (first, second) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && (first == second || first.is_unspecified() || second.is_unspecified())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::drafts::tests::draft;
    use crate::deployment::office_file::WALLET;
    use crate::root::OFFICES;
    use hufu_kernel::Root;

    fn checked(change: impl Fn(&str, &mut OfficeFile)) -> Result<(), String> {
        let draft = draft(Root::Production);
        let file = |name: &'static str| {
            let mut file = OfficeFile::parse(&draft.office_text(name)).unwrap();
            change(name, &mut file);
            (name, file)
        };
        let files: Vec<_> = OFFICES.into_iter().chain([WALLET]).map(file).collect();
        check(&files, &Plan::parse(&draft.plan_text()).unwrap()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn no_office_is_given_the_place_of_another_or_a_port_that_is_roots() {
        checked(|_, _| {}).unwrap();
        let node = |draft: &str| OfficeFile::parse(draft).unwrap().public.unwrap().listen;
        let of_node = node(&draft(Root::Production).office_text("node-2"));
        let internal = |listen: SocketAddr| {
            checked(move |name, file| {
                if name == "registrar" {
                    file.internal.as_mut().unwrap().listen = listen;
                }
            })
            .unwrap_err()
        };
        let mut everywhere = of_node;
        everywhere.set_ip("0.0.0.0".parse().unwrap());
        let mut mapped = of_node;
        mapped.set_ip("::ffff:127.0.0.1".parse().unwrap());
        for listen in [of_node, everywhere, mapped] {
            let told = internal(listen);
            assert!(told.contains("registrar") && told.contains("node-2") && told.contains("[public]"), "{told}");
        }
        let told = internal("127.0.0.1:443".parse().unwrap());
        assert!(told.contains("registrar/office.toml: [internal]") && told.contains("below 1024"), "{told}");
        let told = internal("127.0.0.1:39999".parse().unwrap());
        assert!(told.contains("registrar/office.toml: [internal]") && told.contains("the plan has it at"), "{told}");
        // The port of the public may be one of root's, and the address any of the machine's.
        checked(|name, file| {
            if name == "node-2" {
                file.public.as_mut().unwrap().listen.set_port(443);
                file.internal.as_mut().unwrap().listen.set_ip("192.0.2.7".parse().unwrap());
            }
        })
        .unwrap();
    }
}
