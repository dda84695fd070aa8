//! A peer that is slow, silent, gone, or says what no office says: the caller is never left hanging and the refusal says whose
//! fault it is.

use super::world::*;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use hufu_kernel::Refusal;
use hufu_web::peers::{Callers, Peer, PeerConfig, PeerRoute, router};
use hyper::body::Frame;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

const PATH: &str = "/office/v1/test";

/// A peer that answers every question so.
async fn answering(world: &World, answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Served {
    world.serve("uniqueness", Router::new().fallback(move || std::future::ready(answer()))).await
}

fn said(status: u16, content_type: &'static str, body: impl Into<Body>) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, content_type)], body.into()).into_response()
}

/// Asks, and sees to it that the answer comes within the time of one call and a little.
async fn ask(peer: &Peer) -> Result<Value, Refusal> {
    let began = Instant::now();
    let answer = peer.call(PATH, &json!({})).await;
    let limit = hasty().answer_within + Duration::from_millis(400);
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    answer
}

#[tokio::test]
async fn what_is_no_answer_is_garbled() {
    let world = World::new();
    const JSON: &str = "application/json";
    type Answered = (&'static str, fn() -> Response);
    let answers: [Answered; 14] = [
        ("nothing", || said(200, JSON, "")),
        ("half", || said(200, JSON, r#"{"a":1"#)),
        ("text", || said(200, JSON, "no")),
        ("two values", || said(200, JSON, "null null")),
        ("a member twice", || said(200, JSON, r#"{"a":1,"a":2}"#)),
        ("a page", || said(200, "text/html", "null")),
        ("another success", || said(201, JSON, "null")),
        ("an error that is a page", || said(502, "text/html", "<h1>Bad Gateway</h1>")),
        ("an error without a code", || said(500, JSON, "{}")),
        ("an unknown code", || said(403, JSON, r#"{"error":"no_such_code"}"#)),
        ("a code of another kind", || said(403, JSON, r#"{"error":7}"#)),
        ("elsewhere", || (StatusCode::FOUND, [(header::LOCATION, "https://example.org/")]).into_response()),
        ("bytes", || said(200, JSON, vec![0xff; 64])),
        ("no type", || Response::new(Body::from("null"))),
    ];
    for (what, answer) in answers {
        let served = answering(&world, answer).await;
        let (peers, metrics) = world.peers("node-1", "uniqueness", served.port, hasty());
        assert_eq!(ask(&peers.to("uniqueness").unwrap()).await, Err(Refusal::OfficeGarbled), "{what}");
        assert!(metrics.text().contains("outcome=\"garbled\"} 1"), "{what}");
    }
    // The control.
    let served = answering(&world, || said(200, JSON, "[1]")).await;
    assert_eq!(ask(&world.peer("node-1", "uniqueness", served.port)).await, Ok(json!([1])));
}

#[tokio::test]
async fn an_answer_is_read_as_far_as_is_allowed() {
    let world = World::new();
    let long = || said(200, "application/json", format!("\"{}\"", "x".repeat(300 * 1024)));
    // The same without an end, so that no length is told.
    let endless = || said(200, "application/json", Body::new(Endless));
    let served = answering(&world, long).await;
    let peer = world.peer("node-1", "uniqueness", served.port);
    assert_eq!(ask(&peer).await, Err(Refusal::OfficeGarbled));
    assert!(ask(&peer.with_max_answer(512 * 1024)).await.is_ok());
    let served = answering(&world, endless).await;
    assert_eq!(ask(&world.peer("node-1", "uniqueness", served.port)).await, Err(Refusal::OfficeGarbled));
}

/// A body that never ends.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 4096])))))
    }
}

#[tokio::test]
async fn a_slow_peer_is_given_up() {
    let world = World::new();
    let slow = any(|| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        said(200, "application/json", "null")
    });
    let served = world.serve("uniqueness", Router::new().route(PATH, slow)).await;
    let (peers, metrics) = world.peers("node-1", "uniqueness", served.port, hasty());
    assert_eq!(ask(&peers.to("uniqueness").unwrap()).await, Err(Refusal::OfficeUnreachable));
    assert!(metrics.text().contains("outcome=\"slow\"} 1"), "{}", metrics.text());
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_told_at_once() {
    let world = World::new();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert_eq!(ask(&world.peer("node-1", "uniqueness", nobody)).await, Err(Refusal::OfficeUnreachable));
    // One that takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let began = Instant::now();
    assert_eq!(ask(&world.peer("node-1", "uniqueness", port)).await, Err(Refusal::OfficeUnreachable));
    // The time to connect, TLS included, is shorter than that for the answer.
    assert!(began.elapsed() < hasty().answer_within, "{:?}", began.elapsed());
    // One that says something else.
    let port = garrulous(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(ask(&world.peer("node-1", "uniqueness", port)).await, Err(Refusal::OfficeUnreachable));
}

async fn garrulous(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(words).await;
        }
    });
    port
}

/// Stands between two offices and carries their bytes, as long as it is told to.
struct Between {
    port: u16,
    /// How many connections were made.
    made: Arc<AtomicUsize>,
    carrying: watch::Sender<Carrying>,
}

#[derive(Clone, Copy, PartialEq)]
enum Carrying {
    All,
    /// Nothing any more of the connections that were made so far: the other machine lost its power.
    OnlyNew(usize),
    /// Cut those that were made so far.
    Cut(usize),
}

async fn between(to: u16) -> Between {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let made = Arc::new(AtomicUsize::new(0));
    let (carrying, told) = watch::channel(Carrying::All);
    let counting = Arc::clone(&made);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let number = counting.fetch_add(1, Ordering::SeqCst) + 1;
            let far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let mut told = told.clone();
            tokio::spawn(async move {
                let (mut near, mut far) = (near, far);
                let held = tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                    held = told.wait_for(|now| match *now {
                        Carrying::All => false,
                        Carrying::OnlyNew(before) | Carrying::Cut(before) => number <= before,
                    }) => *held.unwrap(),
                };
                if matches!(held, Carrying::OnlyNew(_)) {
                    // Neither bytes nor an end.
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    Between { port, made, carrying }
}

#[tokio::test]
async fn a_connection_whose_other_end_lost_its_power_is_noticed_and_the_call_succeeds_on_another() {
    let world = World::new();
    let served = answering(&world, || said(200, "application/json", "1")).await;
    let between = between(served.port).await;
    let config = PeerConfig { answer_within: Duration::from_secs(2), ..hasty() };
    let (peers, _) = world.peers("node-1", "uniqueness", between.port, config);
    let peer = peers.to("uniqueness").unwrap();
    assert_eq!(peer.call(PATH, &json!({})).await, Ok(1));
    assert_eq!(peer.call(PATH, &json!({})).await, Ok(1));
    assert_eq!(between.made.load(Ordering::SeqCst), 1, "connections are kept");
    between.carrying.send_replace(Carrying::OnlyNew(1));
    assert_eq!(peer.call(PATH, &json!({})).await, Ok(1));
    assert_eq!(between.made.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_closed_meanwhile_costs_no_call() {
    let world = World::new();
    let served = answering(&world, || said(200, "application/json", "1")).await;
    let between = between(served.port).await;
    let peer = world.peer("node-1", "uniqueness", between.port);
    for before in 1..10 {
        assert_eq!(ask(&peer).await, Ok(json!(1)));
        between.carrying.send_replace(Carrying::Cut(before));
        tokio::time::sleep(Duration::from_millis((before as u64 % 3) * 10)).await;
    }
}

#[tokio::test]
async fn a_call_is_tried_twice_and_not_more_often() {
    let world = World::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let between = {
        let asked = Arc::clone(&asked);
        let never = any(move || {
            asked.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Response>()
        });
        let served = world.serve("uniqueness", Router::new().route(PATH, never)).await;
        let between = between(served.port).await;
        std::mem::forget(served);
        between
    };
    let peer = world.peer("node-1", "uniqueness", between.port);
    // Whoever asks is cut off while the peer thinks.
    let cutting = async {
        for number in 1..=5 {
            while asked.load(Ordering::SeqCst) < number {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            between.carrying.send_replace(Carrying::Cut(number));
        }
    };
    let answer = tokio::select! {
        answer = ask(&peer) => answer,
        () = cutting => panic!("asked more than twice"),
    };
    assert_eq!(answer, Err(Refusal::OfficeUnreachable));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn calls_at_once_are_bounded_and_those_that_wait_too_long_are_told() {
    let world = World::new();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        any(move |_: Request| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(300)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                said(200, "application/json", "1")
            }
        })
    };
    let served = world.serve("uniqueness", Router::new().route(PATH, counted)).await;
    let (peers, metrics) = world.peers("node-1", "uniqueness", served.port, PeerConfig { at_once: 2, ..hasty() });
    let peer = peers.to("uniqueness").unwrap();
    let calls = (0..10).map(|_| {
        let peer = Arc::clone(&peer);
        tokio::spawn(async move { ask(&peer).await })
    });
    let mut answers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answers.push(call.await.unwrap());
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert!(answers.iter().filter(|answer| answer.is_ok()).count() >= 4, "{answers:?}");
    assert!(answers.contains(&Err(Refusal::Busy)), "{answers:?}");
    assert!(metrics.text().contains("outcome=\"full\""));
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused_by_the_peer() {
    let world = World::new();
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    let peer = world.peer("registrar", "uniqueness", served.port);
    let long = json!({ "x": "x".repeat(300 * 1024) });
    let answer = peer.call::<_, Value>("/office/v1/uniqueness/reserve", &long).await;
    assert_eq!(answer, Err(Refusal::TooLarge));
    // The connection is none the worse for it.
    let answer = peer.call::<_, Value>("/office/v1/uniqueness/reserve", &json!({})).await;
    assert_eq!(answer, Err(Refusal::Malformed));
}

#[tokio::test]
async fn one_office_takes_neither_the_connections_nor_the_answers_of_another() {
    let world = World::new();
    let served = world.serve_limited("node-1", every_port(Refusal::Locked), 24).await;
    let ask = async |peer: &Peer| peer.call::<_, Value>("/office/v1/node/activate", &json!({})).await;
    // Each has a connection of its own, which it keeps.
    let greedy: Vec<_> = (0..40).map(|_| world.peer("post", "node-1", served.port)).collect();
    let mut held = 0;
    for peer in &greedy {
        held += usize::from(ask(peer).await == Err(Refusal::OfficeRefused));
    }
    assert_eq!(held, 16, "the control: it has all it can get, and they are open still");
    assert_eq!(ask(&greedy[0]).await, Err(Refusal::OfficeRefused));
    for other in ["node-2", "registrar"] {
        let (peer, began) = (world.peer(other, "node-1", served.port), Instant::now());
        assert!([Err(Refusal::OfficeRefused), Err(Refusal::Malformed)].contains(&ask(&peer).await), "{other}");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    // What it gives back it may have again.
    drop(greedy);
    let deadline = Instant::now() + Duration::from_secs(5);
    while ask(&world.peer("post", "node-1", served.port)).await != Err(Refusal::OfficeRefused) {
        assert!(Instant::now() < deadline, "its connections are gone, and it gets none");
    }
}

/// How many questions are being answered, and the most that were at once.
#[derive(Default)]
struct Slow {
    now: AtomicUsize,
    most: AtomicUsize,
}

const SLOW: &[PeerRoute<Slow>] = &[PeerRoute {
    path: PATH,
    callers: Callers::Every,
    what: "takes its time for whoever says so",
    handler: |slow, _, bytes| {
        Box::pin(async move {
            if bytes == b"true" {
                slow.most.fetch_max(slow.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(400)).await;
                slow.now.fetch_sub(1, Ordering::SeqCst);
            }
            Ok(said(200, "application/json", "null"))
        })
    },
}];

#[tokio::test]
async fn of_one_offices_questions_a_few_are_answered_at_once_and_anothers_does_not_wait_for_them() {
    let world = World::new();
    let slow = Arc::<Slow>::default();
    let served = world.serve("node-1", router(&edge(), &slow, SLOW)).await;
    let config = PeerConfig { answer_within: Duration::from_secs(5), ..hasty() };
    let post = world.peers("post", "node-1", served.port, config).0.to("node-1").unwrap();
    let asking: Vec<_> = (0..48)
        .map(|_| {
            let post = Arc::clone(&post);
            tokio::spawn(async move { post.call::<_, ()>(PATH, &true).await })
        })
        .collect();
    while slow.now.load(Ordering::SeqCst) < 16 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (two, began) = (world.peer("node-2", "node-1", served.port), Instant::now());
    assert_eq!(two.call::<_, ()>(PATH, &false).await, Ok(()));
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    for asked in asking {
        assert_eq!(asked.await.unwrap(), Ok(()), "those that wait are answered in their turn");
    }
    assert_eq!(slow.most.load(Ordering::SeqCst), 16);
}
