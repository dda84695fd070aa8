//! A listening socket that a process is started with, as systemd does it (sd_listen_fds(3)), and as one process does it for the next.

use axum::Router;
use axum::routing::get;
use hufu_web::serve::{Inherited, Sharing, Stopper, listen_at, serve};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

const ADDRESS: &str = "HUFU_TEST_ADDRESS";

/// The process that is started: it serves one request on what it was handed. Without a parent it has nothing to do.
#[tokio::test]
async fn child() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let mut inherited = Inherited::from_env().unwrap();
    assert_eq!(inherited.left().len(), 1);
    assert!(std::env::var("LISTEN_FDS").is_err(), "a child of this process would believe it");
    let listening = listen_at("test", &address, &mut inherited, Sharing::Alone).await.unwrap();
    assert!(inherited.left().is_empty());
    let (stopper, stop) = Stopper::new();
    let stopper = std::sync::Arc::new(stopper);
    let answered = move || {
        stopper.stop();
        std::future::ready("from the child")
    };
    serve(listening, Router::new().route("/", get(answered)), stop).await;
}

/// Starts the child with descriptor 3 as `variables` say, and asks it.
fn ask(variables: &str) -> Option<String> {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec 3<&0 0</dev/null; {variables} exec \"$0\" --exact handed_over::child")])
        .arg(std::env::current_exe().unwrap())
        .env(ADDRESS, address.to_string())
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The socket is open since before the child began, so nobody is turned away; this waits in its queue.
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    // A child that gives up closes the last copy of the socket, and this connection with it.
    let read = stream.read_to_string(&mut answer);
    let ended = child.wait().unwrap();
    (read.is_ok() && ended.success()).then_some(answer)
}

#[test]
fn a_socket_that_was_handed_over_is_served() {
    for variables in ["LISTEN_PID=$$ LISTEN_FDS=1", "LISTEN_FDS=1"] {
        let answer = ask(variables).unwrap_or_default();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("from the child"), "{variables}: {answer}");
    }
    // Meant for another process, or for nobody.
    for variables in ["LISTEN_PID=1 LISTEN_FDS=1", ""] {
        assert!(ask(variables).is_none(), "{variables}");
    }
}
