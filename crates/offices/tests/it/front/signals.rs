//! Shared signals: what platforms may ask of their streams, and what reaches them when both nodes say that something happened.

use super::fixture::*;
use hufu_kernel::{Octets, Pair, Refusal};
use hufu_offices::front::{Incoming, Managed, Reply};
use hufu_offices::ports::Delivered;
use hufu_oidc::client::{ClientAuth, HttpRequest, RelyingParty};
use hufu_oidc::signals::{CAEP, SET_TYP};
use hufu_wire::api::platform::Registration;
use hufu_wire::jose::{Alg, Compact, Jwks};
use hufu_wire::subject_handle::{HandleUse, SubjectHandle};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

const PUSH_TO: &str = "https://shop.example/events";

fn registered() -> Registration {
    Registration {
        subject_handle: vec![HandleUse::Signals],
        ssf_push_uri: Some(PUSH_TO.into()),
        ..Registration::default()
    }
}

/// A platform with a management token.
struct Receiver<'a> {
    world: &'a World,
    rp: RelyingParty,
    token: String,
}

impl<'a> Receiver<'a> {
    async fn of(world: &'a World, client_id: &str) -> Self {
        let registration =
            Registration { ssf_push_uri: Some(format!("https://{client_id}.example/events")), ..registered() };
        Self::with(world, world.fapi_with(client_id, Alg::EdDSA, registration)).await
    }

    async fn with(world: &'a World, rp: RelyingParty) -> Self {
        let mut own = Self { world, rp, token: String::new() };
        own.renew().await;
        own
    }

    /// Another token: they live five minutes.
    async fn renew(&mut self) {
        let asked = self.rp.manage(self.world.now(), &*self.world.rng).unwrap();
        let reply = self.world.send(&asked).await;
        self.token = self.rp.granted(reply.status, &reply.body).unwrap();
    }

    fn request(&self, method: &'static str, path: &str, body: Option<&Value>) -> HttpRequest {
        let at = (self.world.now(), &*self.world.rng as &dyn hufu_kernel::Rng);
        self.rp.resource((method, path), &self.token, body, at).unwrap()
    }

    async fn ask(&self, method: &'static str, path: &str, body: Option<Value>) -> Reply {
        send(self.world, &self.request(method, path, body.as_ref())).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.ask("POST", path, Some(body)).await
    }

    /// A new stream's id.
    async fn create(&self, body: Value) -> String {
        let reply = self.post("/ssf/stream", body).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        read(&reply)["stream_id"].as_str().unwrap().to_owned()
    }

    async fn add(&self, stream: &str, person: u8) -> Reply {
        let subject = json!({ "format": "opaque", "id": handle_of(person).to_string() });
        self.post("/ssf/subjects/add", json!({ "stream_id": stream, "subject": subject })).await
    }

    /// The events that wait, without waiting for one; `done` are acknowledged.
    async fn poll(&self, done: &[String]) -> Vec<(String, Value)> {
        let reply = self.post("/ssf/events", json!({ "returnImmediately": true, "ack": done })).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let told = read(&reply);
        let sets = told["sets"].as_object().unwrap().iter();
        sets.map(|(jti, set)| (jti.clone(), verified(self.world, set.as_str().unwrap(), &self.rp.client_id))).collect()
    }
}

async fn send(world: &World, request: &HttpRequest) -> Reply {
    let of = |wanted: &str| -> Vec<&str> {
        request.headers.iter().filter(|(name, _)| *name == wanted).map(|(_, value)| value.as_str()).collect()
    };
    let (authorization, dpop) = (of("authorization"), of("dpop"));
    let incoming =
        Incoming { method: request.method, authorization: &authorization, dpop: &dpop, ..Incoming::default() };
    let path = request.url.strip_prefix(ISSUER).unwrap();
    let managed = Managed { incoming, query: query(path), body: request.body.as_bytes() };
    let front = &world.front;
    match path.split('?').next().unwrap() {
        "/ssf/stream" => front.stream(&managed).await,
        "/ssf/status" => front.stream_status(&managed).await,
        "/ssf/subjects/add" => front.add_subject(&managed).await,
        "/ssf/subjects/remove" => front.remove_subject(&managed).await,
        "/ssf/verify" => front.verify_stream(&managed).await,
        "/ssf/events" => front.poll_events(&managed).await,
        other => panic!("no endpoint {other}"),
    }
}

fn read(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap()
}

/// The claims of a token, under the front's own key and no other.
fn verified(world: &World, set: &str, client_id: &str) -> Value {
    let jws = Compact::parse(set).unwrap();
    assert!(jws.header().is_typ(SET_TYP));
    let keys = Jwks::from_json(world.front.jwks().body.as_bytes()).unwrap();
    let claims: Value = keys.verify(&jws, &[Alg::PS256]).unwrap().json().unwrap();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(ISSUER), &json!(client_id)));
    claims
}

fn kind(claims: &Value) -> String {
    let events = claims["events"].as_object().unwrap();
    assert_eq!(events.len(), 1);
    events.keys().next().unwrap().clone()
}

/// What a beat of the front notices, and two minutes later has told; with a token that is still in time.
async fn told_of(world: &World, receivers: &mut [&mut Receiver<'_>]) {
    world.front.look().await;
    world.clock.advance(120);
    world.front.release().await;
    for receiver in receivers {
        receiver.renew().await;
    }
}

fn everywhere(world: &World, change: fn(&mut hufu_wire::api::handles::PersonStanding)) {
    world.nodes.iter().for_each(|node| node.say(change));
}

#[tokio::test]
async fn a_stream_is_created_read_changed_and_ended_as_the_framework_has_it() {
    let world = World::new();
    let metadata = read(&world.front.signals_metadata());
    assert_eq!(metadata["configuration_endpoint"], format!("{ISSUER}/ssf/stream"));
    let shop = Receiver::of(&world, "shop").await;
    assert_eq!(read(&shop.ask("GET", "/ssf/stream", None).await), json!([]));
    let id = shop.create(json!({ "events_requested": [CAEP[0], "urn:unknown"], "description": "mine" })).await;
    assert_eq!(error_of(&shop.post("/ssf/stream", json!({})).await), "409 invalid_request");
    let own = read(&shop.ask("GET", &format!("/ssf/stream?stream_id={id}"), None).await);
    assert_eq!((&own["aud"], &own["events_delivered"]), (&json!("shop"), &json!([CAEP[0]])));
    assert_eq!(
        own["delivery"],
        json!({ "method": "urn:ietf:rfc:8936", "endpoint_url": format!("{ISSUER}/ssf/events") })
    );
    let patched = shop.ask("PATCH", "/ssf/stream", Some(json!({ "stream_id": id, "description": "yours" }))).await;
    assert_eq!(
        (&read(&patched)["description"], &read(&patched)["events_delivered"]),
        (&json!("yours"), &json!([CAEP[0]]))
    );
    let put = read(&shop.ask("PUT", "/ssf/stream", Some(json!({ "stream_id": id }))).await);
    assert_eq!((put.get("description"), &put["events_delivered"]), (None, &json!(CAEP)));
    let status = format!("/ssf/status?stream_id={id}");
    assert_eq!(read(&shop.ask("GET", &status, None).await)["status"], "enabled");
    let paused = json!({ "stream_id": id, "status": "paused", "reason": "night" });
    assert_eq!(read(&shop.post("/ssf/status", paused.clone()).await), paused);
    assert_eq!(
        error_of(&shop.post("/ssf/status", json!({ "stream_id": id, "status": "x" })).await),
        "400 invalid_request"
    );
    let deleted = format!("/ssf/stream?stream_id={id}");
    assert_eq!(shop.ask("DELETE", &deleted, None).await.status, 204);
    assert_eq!(error_of(&shop.ask("DELETE", &deleted, None).await), "404 invalid_request");
}

#[tokio::test]
async fn what_both_nodes_say_reaches_the_receiver_once_and_is_gone_when_acknowledged() {
    let world = World::new();
    let mut shop = Receiver::of(&world, "shop").await;
    let id = shop.create(json!({})).await;
    assert_eq!(shop.add(&id, 1).await.status, 200);
    assert_eq!(shop.add(&id, 1).await.status, 200, "twice is once");
    told_of(&world, &mut [&mut shop]).await;
    assert!(shop.poll(&[]).await.is_empty(), "nothing happened");
    // One node alone: it may lie, or be early.
    world.nodes[0].say(|standing| standing.credentials = Octets([9; 32]));
    told_of(&world, &mut [&mut shop]).await;
    assert!(shop.poll(&[]).await.is_empty());
    world.nodes[2].say(|standing| standing.credentials = Octets([9; 32]));
    told_of(&world, &mut [&mut shop]).await;
    told_of(&world, &mut [&mut shop]).await;
    let told = shop.poll(&[]).await;
    assert_eq!(told.len(), 1);
    let (jti, claims) = &told[0];
    assert_eq!((kind(claims).as_str(), &claims["jti"]), (CAEP[1], &json!(jti)));
    assert_eq!(claims["sub_id"], json!({ "format": "opaque", "id": handle_of(1).to_string() }));
    assert_eq!(claims["iat"], json!(world.now() - 120), "when it was sent, and not when it was noticed");
    assert_eq!(shop.poll(&[]).await.len(), 1, "until it is acknowledged");
    assert!(shop.poll(std::slice::from_ref(jti)).await.is_empty());
    everywhere(&world, |standing| (standing.active, standing.credentials) = (false, Octets([10; 32])));
    told_of(&world, &mut [&mut shop]).await;
    let mut kinds: Vec<String> = shop.poll(&[]).await.iter().map(|(_, claims)| kind(claims)).collect();
    kinds.sort();
    assert_eq!(kinds, [CAEP[2], CAEP[1]]);
}

/// Signing out everywhere ends what a handle tells: whatever the person does afterwards is not told to whom they left behind.
#[tokio::test]
async fn who_signed_out_everywhere_is_told_of_once_and_is_no_subject_any_more() {
    let world = World::new();
    let mut shop = Receiver::of(&world, "shop").await;
    let id = shop.create(json!({})).await;
    shop.add(&id, 1).await;
    world.nodes[0].say(|standing| (standing.active, standing.same_epoch) = (false, false));
    told_of(&world, &mut [&mut shop]).await;
    assert!(shop.poll(&[]).await.is_empty(), "one node alone");
    everywhere(&world, |standing| (standing.active, standing.same_epoch) = (false, false));
    told_of(&world, &mut [&mut shop]).await;
    let told = shop.poll(&[]).await;
    assert_eq!((told.len(), kind(&told[0].1).as_str()), (1, CAEP[0]));
    let asked = world.nodes[0].asked.lock().unwrap().len();
    everywhere(&world, |standing| (standing.same_epoch, standing.credentials) = (false, Octets([9; 32])));
    told_of(&world, &mut [&mut shop]).await;
    assert!(shop.poll(std::slice::from_ref(&told[0].0)).await.is_empty());
    assert_eq!(world.nodes[0].asked.lock().unwrap().len(), asked, "nor is anybody asked");
}

#[tokio::test]
async fn a_node_that_is_away_delays_and_loses_nothing() {
    let world = World::new();
    let mut shop = Receiver::of(&world, "shop").await;
    let id = shop.create(json!({})).await;
    *world.nodes[2].says.lock().unwrap() = Err(Refusal::NodesUnavailable);
    assert_eq!(error_of(&shop.add(&id, 1).await), "503 temporarily_unavailable");
    world.nodes[2].say(|_| {});
    shop.add(&id, 1).await;
    *world.nodes[2].says.lock().unwrap() = Err(Refusal::NodesUnavailable);
    world.nodes[0].say(|standing| standing.credentials = Octets([9; 32]));
    told_of(&world, &mut [&mut shop]).await;
    assert!(shop.poll(&[]).await.is_empty());
    world.nodes[2].say(|standing| standing.credentials = Octets([9; 32]));
    told_of(&world, &mut [&mut shop]).await;
    assert_eq!(shop.poll(&[]).await.len(), 1);
}

/// A handle that comes while one node has the person's change already and the other has not: had it been taken, the end of the sessions
/// would be known of before it was told, and never be told.
#[tokio::test]
async fn a_handle_that_comes_while_nodes_differ_comes_later_and_its_end_is_told() {
    let world = World::new();
    let mut shop = Receiver::of(&world, "shop").await;
    let id = shop.create(json!({})).await;
    for ahead in [0, 2] {
        world.nodes[ahead].say(|standing| (standing.active, standing.same_epoch) = (false, false));
        assert_eq!(error_of(&shop.add(&id, 1).await), "503 temporarily_unavailable", "ended at {ahead}");
        world.nodes[ahead].say(|standing| standing.active = false);
        assert_eq!(error_of(&shop.add(&id, 1).await), "503 temporarily_unavailable", "locked at {ahead}");
        world.nodes[ahead].say(|_| {});
    }
    assert_eq!(shop.add(&id, 1).await.status, 200, "the control");
    everywhere(&world, |standing| (standing.active, standing.same_epoch) = (false, false));
    assert_eq!(shop.add(&id, 2).await.status, 200);
    told_of(&world, &mut [&mut shop]).await;
    let told = shop.poll(&[]).await;
    assert!(told.iter().all(|(_, claims)| kind(claims) == CAEP[0]));
    assert_eq!(told.len(), 2, "of the one that came before and of the one that comes afterwards");
}

/// A node that takes a question and never answers it.
#[tokio::test]
async fn one_node_that_hangs_delays_nobody_but_its_own() {
    let world = World::new();
    let mut shops = Vec::new();
    for client_id in ["one", "two", "three", "four"] {
        let shop = Receiver::of(&world, client_id).await;
        let id = shop.create(json!({})).await;
        shop.add(&id, 1).await;
        let other = SubjectHandle { pair: Pair::ALL[0], ..handle_of(2) };
        let subject = json!({ "format": "opaque", "id": other.to_string() });
        let added = shop.post("/ssf/subjects/add", json!({ "stream_id": id, "subject": subject })).await;
        assert_eq!(added.status, 200);
        shops.push(shop);
    }
    // Handles are of nodes 1 and 3, and of 1 and 2.
    world.nodes[1].hangs.store(true, Ordering::Relaxed);
    everywhere(&world, |standing| standing.credentials = Octets([9; 32]));
    let looked = tokio::time::timeout(Duration::from_secs(4), world.front.look()).await;
    looked.expect("two seconds once, and not for each platform");
    world.clock.advance(120);
    world.front.release().await;
    for shop in &mut shops {
        shop.renew().await;
        let told = shop.poll(&[]).await;
        assert_eq!((told.len(), &told[0].1["sub_id"]["id"]), (1, &json!(handle_of(1).to_string())));
    }
    world.nodes[1].hangs.store(false, Ordering::Relaxed);
    let mut shop = shops.remove(0);
    told_of(&world, &mut [&mut shop]).await;
    assert_eq!(shop.poll(&[]).await.len(), 2, "late, and not lost");
}

#[tokio::test]
async fn only_handles_that_both_nodes_open_become_subjects_and_who_signed_out_before_is_told_at_once() {
    let world = World::new();
    let shop = Receiver::of(&world, "shop").await;
    let id = shop.create(json!({})).await;
    for node in [0, 2] {
        *world.nodes[node].says.lock().unwrap() = Ok(None);
        assert_eq!(error_of(&shop.add(&id, 1).await), "404 invalid_request");
        world.nodes[node].say(|_| {});
    }
    let subject = json!({ "format": "email", "email": "a@example.com" });
    let other = shop.post("/ssf/subjects/add", json!({ "stream_id": id, "subject": subject })).await;
    assert_eq!(error_of(&other), "404 invalid_request");
    assert_eq!(error_of(&shop.add("another", 1).await), "404 invalid_request");
    everywhere(&world, |standing| (standing.active, standing.same_epoch) = (false, false));
    assert_eq!(shop.add(&id, 1).await.status, 200);
    let told = shop.poll(&[]).await;
    assert_eq!((told.len(), kind(&told[0].1).as_str()), (1, CAEP[0]));
    // The nodes were asked in the platform's own name.
    assert!(
        world.nodes[0]
            .asked
            .lock()
            .unwrap()
            .iter()
            .all(|ask| asker(&ask.certificate) == "shop" && ask.wanted == HandleUse::Signals)
    );
}

#[tokio::test]
async fn one_platform_sees_and_changes_nothing_of_anothers_stream() {
    let world = World::new();
    let (mut shop, mut forum) = (Receiver::of(&world, "shop").await, Receiver::of(&world, "forum").await);
    let id = shop.create(json!({})).await;
    shop.add(&id, 1).await;
    assert_eq!(read(&forum.ask("GET", "/ssf/stream", None).await), json!([]));
    let of = format!("?stream_id={id}");
    for (method, path, body) in [
        ("GET", format!("/ssf/stream{of}"), None),
        ("DELETE", format!("/ssf/stream{of}"), None),
        ("GET", format!("/ssf/status{of}"), None),
        ("PATCH", "/ssf/stream".to_owned(), Some(json!({ "stream_id": id }))),
        ("POST", "/ssf/status".to_owned(), Some(json!({ "stream_id": id, "status": "disabled" }))),
        ("POST", "/ssf/verify".to_owned(), Some(json!({ "stream_id": id }))),
        ("POST", "/ssf/events".to_owned(), Some(json!({}))),
    ] {
        assert_eq!(error_of(&forum.ask(method, &path, body).await), "404 invalid_request", "{method} {path}");
    }
    let own = forum.create(json!({})).await;
    everywhere(&world, |standing| standing.credentials = Octets([9; 32]));
    told_of(&world, &mut [&mut shop, &mut forum]).await;
    assert!(forum.poll(&[]).await.is_empty() && own != id);
    assert_eq!(shop.poll(&[]).await.len(), 1, "the control");
}

#[tokio::test]
async fn without_the_platforms_own_token_and_key_nothing_is_answered() {
    let world = World::new();
    let mut shop = Receiver::of(&world, "shop").await;
    shop.create(json!({})).await;
    let plain = world.fapi("plain");
    let asked = plain.manage(world.now(), &*world.rng).unwrap();
    assert_eq!(error_of(&world.send(&asked).await), "400 unauthorized_client");
    let mut bare = shop.request("GET", "/ssf/stream", None);
    bare.headers.clear();
    assert_eq!(error_of(&send(&world, &bare).await), "401 invalid_request");
    let request = shop.request("GET", "/ssf/stream", None);
    assert_eq!(send(&world, &request).await.status, 200);
    assert_eq!(error_of(&send(&world, &request).await), "401 invalid_dpop_proof", "shown twice");
    let own = shop.rp.dpop.replace(key(Alg::ES256, &*world.rng));
    assert_eq!(error_of(&shop.ask("GET", "/ssf/stream", None).await), "401 invalid_token", "another key");
    shop.rp.dpop = own;
    // Made for another method, and for another place.
    let mut other = shop.request("GET", "/ssf/stream", None);
    other.method = "DELETE";
    assert_eq!(error_of(&send(&world, &other).await), "401 invalid_dpop_proof");
    world.clock.advance(300);
    assert_eq!(error_of(&shop.ask("GET", "/ssf/stream", None).await), "401 invalid_token", "too old");
    shop.renew().await;
    assert_eq!(shop.ask("GET", "/ssf/stream", None).await.status, 200);
}

#[tokio::test]
async fn events_are_pushed_in_order_until_they_are_taken() {
    let world = World::new();
    let mut shop = Receiver::of(&world, "shop").await;
    let push = json!({ "method": "urn:ietf:rfc:8935", "endpoint_url": PUSH_TO, "authorization_header": "Bearer own" });
    let elsewhere = json!({ "delivery": { "method": "urn:ietf:rfc:8935", "endpoint_url": "https://evil.example/" } });
    assert_eq!(error_of(&shop.post("/ssf/stream", elsewhere).await), "400 invalid_request");
    let id = shop.create(json!({ "delivery": push })).await;
    shop.add(&id, 1).await;
    everywhere(&world, |standing| standing.credentials = Octets([9; 32]));
    told_of(&world, &mut [&mut shop]).await;
    let pushed = || world.posted.1.pushed.lock().unwrap().clone();
    *world.posted.1.answer.lock().unwrap() = Some(Delivered::Away);
    world.front.push_events("shop").await;
    *world.posted.1.answer.lock().unwrap() = None;
    world.front.push_events("shop").await;
    world.front.push_events("shop").await;
    let [first, second] = &pushed()[..] else { panic!("{}", pushed().len()) };
    assert_eq!(first, second, "the same token again, and after it was taken no more");
    assert_eq!((first.0.as_str(), first.1.as_deref()), (PUSH_TO, Some("Bearer own")));
    assert_eq!(kind(&verified(&world, &first.2, "shop")), CAEP[1]);
    // Its secret is shown to nobody, not even to itself.
    let shown = shop.ask("GET", "/ssf/stream", None).await.body;
    assert!(shown.contains(PUSH_TO) && !shown.contains("Bearer own"), "{shown}");
    assert!(shop.poll(&[]).await.is_empty(), "what is pushed is not polled");
}

/// A receiver that does not answer for hours loses nothing: it is asked ever more rarely, and gets what waits when it is back.
#[tokio::test]
async fn a_receiver_that_is_away_for_hours_gets_everything_when_it_is_back() {
    let world = World::new();
    let mut shop = Receiver::of(&world, "shop").await;
    let push = json!({ "method": "urn:ietf:rfc:8935", "endpoint_url": PUSH_TO });
    let id = shop.create(json!({ "delivery": push })).await;
    shop.add(&id, 1).await;
    everywhere(&world, |standing| standing.credentials = Octets([9; 32]));
    told_of(&world, &mut [&mut shop]).await;
    *world.posted.1.answer.lock().unwrap() = Some(Delivered::Away);
    for _ in 0..1_000 {
        world.front.push_events("shop").await;
    }
    let status = read(&shop.ask("GET", &format!("/ssf/status?stream_id={id}"), None).await);
    assert_eq!(status["status"], "enabled", "no status changes without the receiver's word");
    *world.posted.1.answer.lock().unwrap() = None;
    world.front.push_events("shop").await;
    world.front.push_events("shop").await;
    let pushed = world.posted.1.pushed.lock().unwrap();
    assert_eq!(pushed.len(), 1_001, "taken once, and not sent again");
}

#[tokio::test]
async fn a_verification_comes_back_with_its_state_and_not_too_often() {
    let world = World::new();
    let shop = Receiver::of(&world, "shop").await;
    let id = shop.create(json!({})).await;
    assert_eq!(shop.post("/ssf/verify", json!({ "stream_id": id, "state": "abc" })).await.status, 204);
    assert_eq!(error_of(&shop.post("/ssf/verify", json!({ "stream_id": id })).await), "429 invalid_request");
    let told = shop.poll(&[]).await;
    let claims = &told[0].1;
    assert_eq!(claims["events"]["https://schemas.openid.net/secevent/ssf/event-type/verification"]["state"], "abc");
    assert_eq!(claims["sub_id"]["id"], json!(id));
}

#[tokio::test]
async fn a_poll_waits_for_an_event_and_not_for_ever() {
    let world = World::new();
    let shop = Receiver::of(&world, "shop").await;
    let id = shop.create(json!({})).await;
    let verify = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        shop.post("/ssf/verify", json!({ "stream_id": id })).await
    };
    let (told, _) = tokio::join!(shop.post("/ssf/events", json!({})), verify);
    let told = read(&told);
    let waiting = told["sets"].as_object().unwrap();
    assert_eq!(waiting.len(), 1);
    let nothing = shop.post("/ssf/events", json!({ "ack": waiting.keys().collect::<Vec<_>>() })).await;
    assert_eq!(read(&nothing), json!({ "sets": {}, "moreAvailable": false }));
}

#[tokio::test]
async fn a_platform_that_loses_the_use_loses_its_stream() {
    let world = World::new();
    let shop = Receiver::of(&world, "shop").await;
    let id = shop.create(json!({})).await;
    shop.add(&id, 1).await;
    let asked = || world.nodes[0].asked.lock().unwrap().len();
    let before = asked();
    world.front.look().await;
    assert_eq!(asked(), before + 1, "the control");
    // The registry certifies it anew, without the use.
    let with_uses = |uses: &[HandleUse]| {
        let mut certificate = certificate("shop", hufu_kernel::Root::Sandbox);
        if let ClientAuth::PrivateKeyJwt(key) = &shop.rp.auth {
            certificate.jwks.keys.push(key.public().clone());
        }
        certificate.registration.subject_handle = uses.to_vec();
        world.admit(&certificate).unwrap();
    };
    with_uses(&[HandleUse::Refresh]);
    assert_eq!(error_of(&shop.ask("GET", "/ssf/stream", None).await), "401 invalid_token");
    world.front.look().await;
    assert_eq!(asked(), before + 1, "nobody is asked in its name");
    // With the use again, it begins anew.
    with_uses(&[HandleUse::Signals]);
    assert_eq!(read(&shop.ask("GET", "/ssf/stream", None).await), json!([]));
    // Nor has one a stream that is withdrawn altogether.
    let id = shop.create(json!({})).await;
    shop.add(&id, 1).await;
    let before = asked();
    world.front.keep_only(&std::collections::BTreeSet::new());
    world.front.look().await;
    assert_eq!(asked(), before);
}

#[test]
fn a_front_without_a_key_of_its_own_admits_nobody_who_wants_signals() {
    let world = World::without_response_keys();
    let mut certificate = certificate("shop", hufu_kernel::Root::Sandbox);
    certificate.jwks.keys.push(key(Alg::ES256, &*world.rng).public().clone());
    assert!(world.admit(&certificate).is_ok(), "the control");
    certificate.registration = registered();
    assert!(world.admit(&certificate).is_err());
    assert_eq!(world.front.signals_metadata().status, 404);
}
