//! Asking people without a browser (OpenID Connect CIBA Core 1.0, decision 0029): the flow, and the attacks on it.

use super::fixture::*;
use hufu_kernel::{Answer, Octets, Refusal, Root, b64, random, unb64};
use hufu_offices::front::{Reply, WRONG_CODES};
use hufu_oidc::Pairs;
use hufu_oidc::client::{ClientAuth, HttpRequest, RelyingParty};
use hufu_oidc::provider::{INTERVAL_SECONDS, WaitingCode, binding_hash};
use hufu_wire::api::platform::{CIBA_GRANT, DeliveryMode, PlatformCertificate, Registration};
use hufu_wire::api::requests::{CompleteWaiting, LookWaiting, RefuseWaiting, Waiting};
use hufu_wire::api::sign_in::{CompleteSignIn, RefuseSignIn, Transaction};
use hufu_wire::dpop::{Expected, make_proof};
use hufu_wire::jose::{Alg, Header, Signer as _, SoftKey, sign};
use hufu_wire::subject_handle::HandleUse;
use serde_json::{Value, json};

mod handles;

const PING: &str = "https://centre.example/ping";

/// A platform that may ask without a browser, with the key of its client assertions.
struct Centre {
    rp: RelyingParty,
    key: SoftKey,
}

fn registration(mode: DeliveryMode) -> Registration {
    Registration {
        backchannel_token_delivery_mode: Some(mode),
        backchannel_client_notification_endpoint: (mode == DeliveryMode::Ping).then(|| PING.to_owned()),
        backchannel_authentication_request_signing_alg: Some(Alg::ES256),
        subject_handle: vec![HandleUse::Ciba],
        ..Registration::default()
    }
}

fn centre_with(world: &World, client_id: &str, mode: DeliveryMode) -> Centre {
    let rp = world.fapi_with(client_id, Alg::EdDSA, registration(mode));
    let ClientAuth::PrivateKeyJwt(key) = &rp.auth else { panic!("a key") };
    let key = copy(key);
    Centre { rp, key }
}

fn centre(world: &World) -> Centre {
    centre_with(world, "centre", DeliveryMode::Poll)
}

impl Centre {
    fn client_id(&self) -> &str {
        &self.rp.client_id
    }

    /// An honest request, changed before it is signed.
    fn ask(&self, world: &World, hint: &str, change: impl FnOnce(&mut Value)) -> HttpRequest {
        let now = world.now();
        let mut claims = json!({
            "iss": self.client_id(), "aud": ISSUER, "iat": now, "nbf": now, "exp": now + 300,
            "jti": b64(&random::<16>(&*world.rng)),
            "scope": "openid hufu:real", "login_hint": hint, "binding_message": "Order 0427",
            "client_notification_token": "tell-me-with-this",
        });
        change(&mut claims);
        let object = sign(&self.key, Header::new(Alg::ES256), &claims).unwrap();
        self.post(world, "/bc-authorize", Pairs::default().with("request", &object))
    }

    fn poll(&self, world: &World, auth_req_id: &str) -> HttpRequest {
        let form = Pairs::default().with("grant_type", CIBA_GRANT).with("auth_req_id", auth_req_id);
        self.post(world, "/token", form)
    }

    fn post(&self, world: &World, path: &str, form: Pairs) -> HttpRequest {
        let (now, url) = (world.now(), format!("{ISSUER}{path}"));
        let assertion = json!({
            "iss": self.client_id(), "sub": self.client_id(), "aud": ISSUER, "iat": now, "exp": now + 60,
            "jti": b64(&random::<16>(&*world.rng)),
        });
        let assertion = sign(&self.key, Header::new(Alg::ES256), &assertion).unwrap();
        let form = form
            .with("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            .with("client_assertion", &assertion);
        let proof = Expected { method: "POST", htu: &url, now, max_age: 0, access_token: None, nonce: None };
        let proof = make_proof(self.rp.dpop.as_ref().unwrap(), &proof, &*world.rng).unwrap();
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned()), ("dpop", proof)];
        HttpRequest { method: "POST", url, headers, body: form.encode() }
    }

    async fn asked(&self, world: &World, hint: &str) -> String {
        let reply = world.send(&self.ask(world, hint, |_| {})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let said = body(&reply);
        assert_eq!(said["interval"], json!(INTERVAL_SECONDS));
        assert!(unb64(said["auth_req_id"].as_str().unwrap()).unwrap().len() >= 16);
        said["auth_req_id"].as_str().unwrap().to_owned()
    }

    async fn look(&self, world: &World, auth_req_id: &str) -> Reply {
        world.send(&self.poll(world, auth_req_id)).await
    }
}

fn body(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap()
}

/// A wallet that was asked.
struct Asked {
    secret: Octets<32>,
    transaction: Transaction,
}

fn asked(world: &World, waiting: &Waiting) -> Asked {
    let tx = world.front.found(&LookWaiting { secret: waiting.secret }).unwrap().tx.unwrap();
    Asked { secret: waiting.secret, transaction: world.fetch(&b64(tx.as_slice())) }
}

impl Asked {
    async fn agree(&self, world: &World) -> Result<String, Refusal> {
        let answer = world.answer_with_handle(&self.transaction);
        let next = world.front.complete_waiting(&CompleteWaiting { answer, secret: self.secret }).await?;
        Ok(next.redirect_to)
    }

    fn refuse(&self, world: &World) -> Result<String, Refusal> {
        let refusal = RefuseWaiting { tx: self.transaction.tx, secret: self.secret };
        world.front.refuse_waiting(&refusal).map(|next| next.redirect_to)
    }
}

#[tokio::test]
async fn a_person_is_asked_by_the_code_of_their_wallet_and_the_platform_looks() {
    let world = World::new();
    let centre = centre(&world);
    let waiting = world.front.wait().unwrap();
    assert_eq!(world.front.found(&LookWaiting { secret: waiting.secret }).unwrap().tx, None);
    let id = centre.asked(&world, &waiting.code).await;
    let asked = asked(&world, &waiting);
    let transaction = &asked.transaction;
    assert_eq!(transaction.binding_message.as_deref(), Some("Order 0427"));
    assert_eq!(transaction.redirect_uri, CIBA_GRANT);
    assert_eq!(transaction.code_challenge, binding_hash("Order 0427"), "what the device signs binds the message");
    assert_eq!(transaction.dpop_jkt, centre.rp.dpop.as_ref().unwrap().public().thumbprint());
    assert_eq!((transaction.answers.as_slice(), transaction.elsewhere), (&[Answer::Real][..], false));
    assert_eq!(error_of(&centre.look(&world, &id).await), "400 authorization_pending");
    assert_eq!(asked.agree(&world).await.unwrap(), format!("{WALLET}/requests#agreed"));
    world.clock.advance(INTERVAL_SECONDS);
    let reply = centre.look(&world, &id).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let said = body(&reply);
    assert_eq!(said["token_type"], json!("DPoP"));
    let told = world.userinfo(&centre.rp, said["access_token"].as_str().unwrap()).await;
    assert_eq!(told.status, 200);
    assert_eq!(body(&told)["sub"], json!("sub-at-https://centre.example"));
    // Once.
    assert_eq!(error_of(&centre.look(&world, &id).await), "400 invalid_grant");
    assert_eq!(world.front.found(&LookWaiting { secret: waiting.secret }), Err(Refusal::TransactionGone));
}

#[tokio::test]
async fn a_ping_goes_to_the_registered_address_with_the_platforms_own_token_whatever_the_answer() {
    let world = World::new();
    let centre = centre_with(&world, "centre", DeliveryMode::Ping);
    for agree in [true, false] {
        let waiting = world.front.wait().unwrap();
        let id = centre.asked(&world, &waiting.code).await;
        assert!(world.posted.0.lock().unwrap().is_empty(), "nothing is told before the answer");
        let asked = asked(&world, &waiting);
        if agree {
            asked.agree(&world).await.unwrap()
        } else {
            asked.refuse(&world).unwrap()
        };
        let posted = std::mem::take(&mut *world.posted.0.lock().unwrap());
        assert_eq!(posted, [(PING.to_owned(), format!("tell-me-with-this {id}"))]);
        let wanted = if agree { 200 } else { 400 };
        assert_eq!(centre.look(&world, &id).await.status, wanted);
    }
}

#[tokio::test]
async fn a_ping_token_that_could_be_more_than_a_token_is_refused_and_poll_sends_none() {
    let world = World::new();
    let ping = centre_with(&world, "centre", DeliveryMode::Ping);
    for token in [json!(null), json!("a b"), json!("a\"b"), json!("x".repeat(1025)), json!("é")] {
        let waiting = world.front.wait().unwrap();
        let ask = ping.ask(&world, &waiting.code, |claims| match token {
            Value::Null => drop(claims.as_object_mut().unwrap().remove("client_notification_token")),
            token => claims["client_notification_token"] = token,
        });
        assert_eq!(error_of(&world.send(&ask).await), "400 invalid_request");
    }
    let poll = centre_with(&world, "other", DeliveryMode::Poll);
    let waiting = world.front.wait().unwrap();
    poll.asked(&world, &waiting.code).await;
    asked(&world, &waiting).agree(&world).await.unwrap();
    assert!(world.posted.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_code_finds_nobody_after_two_minutes_or_a_second_time() {
    let world = World::new();
    let centre = centre(&world);
    let waiting = world.front.wait().unwrap();
    world.clock.advance(119);
    let ask = centre.ask(&world, &waiting.code, |_| {});
    assert_eq!(world.send(&ask).await.status, 200);
    let again = centre.ask(&world, &waiting.code, |_| {});
    assert_eq!(error_of(&world.send(&again).await), "400 unknown_user_id");
    let waiting = world.front.wait().unwrap();
    world.clock.advance(120);
    let late = centre.ask(&world, &waiting.code, |_| {});
    assert_eq!(error_of(&world.send(&late).await), "400 unknown_user_id");
}

#[tokio::test]
async fn codes_are_not_guessed_and_slips_of_the_tongue_cost_nothing() {
    let world = World::new();
    let (greedy, other) = (centre_with(&world, "greedy", DeliveryMode::Poll), centre(&world));
    let waiting = world.front.wait().unwrap();
    // A wrong digit is seen by the check digit, and nobody is looked for.
    let mut slip = waiting.code.clone().into_bytes();
    slip[0] = if slip[0] == b'9' { b'0' } else { slip[0] + 1 };
    let slip = String::from_utf8(slip).unwrap();
    for _ in 0..2 * WRONG_CODES {
        assert_eq!(error_of(&world.send(&greedy.ask(&world, &slip, |_| {})).await), "400 unknown_user_id");
    }
    for _ in 0..WRONG_CODES {
        let guess = WaitingCode::draw(&*world.rng).to_string();
        assert_eq!(error_of(&world.send(&greedy.ask(&world, &guess, |_| {})).await), "400 unknown_user_id");
    }
    let right = greedy.ask(&world, &waiting.code, |_| {});
    assert_eq!(error_of(&world.send(&right).await), "400 unknown_user_id", "who guessed too often finds nobody");
    other.asked(&world, &waiting.code).await;
}

/// One answer for everything that is no code and no handle.
#[tokio::test]
async fn no_number_no_sub_and_no_telephone_number_is_a_hint() {
    let world = World::new();
    let centre = centre(&world);
    let number = hufu_wire::network_number::NetworkNumber::random(&*world.rng);
    let (number, sub) = (number.as_str(), b64(&[7; 48]));
    for hint in ["sub-at-https://centre.example", &sub, number, "13800000000", "+8613800000000", "a@b.example"] {
        let reply = world.send(&centre.ask(&world, hint, |_| {})).await;
        assert_eq!(error_of(&reply), "400 unknown_user_id", "{hint}");
    }
    for other in ["id_token_hint", "login_hint_token"] {
        let ask = centre.ask(&world, &world.front.wait().unwrap().code, |claims| claims[other] = json!("x"));
        assert_eq!(error_of(&world.send(&ask).await), "400 invalid_request", "{other}");
    }
    let without = centre.ask(&world, "", |claims| drop(claims.as_object_mut().unwrap().remove("login_hint")));
    assert_eq!(error_of(&world.send(&without).await), "400 invalid_request");
}

#[tokio::test]
async fn a_platform_that_looks_too_fast_is_slowed_down() {
    let world = World::new();
    let centre = centre(&world);
    let id = centre.asked(&world, &world.front.wait().unwrap().code).await;
    let mut said = Vec::new();
    for wait in [0, 5, 4, 9, 15] {
        world.clock.advance(wait);
        said.push(error_of(&centre.look(&world, &id).await));
    }
    let (pending, fast) = ("400 authorization_pending", "400 slow_down");
    assert_eq!(said, [pending, pending, fast, fast, pending]);
}

#[tokio::test]
async fn an_answer_is_for_who_asked_and_its_key_alone() {
    let world = World::new();
    let (centre, other) = (centre(&world), centre_with(&world, "other", DeliveryMode::Poll));
    let waiting = world.front.wait().unwrap();
    let id = centre.asked(&world, &waiting.code).await;
    assert_eq!(error_of(&other.look(&world, &id).await), "400 invalid_grant", "before the answer");
    asked(&world, &waiting).agree(&world).await.unwrap();
    assert_eq!(error_of(&other.look(&world, &id).await), "400 invalid_grant");
    for unknown in ["", "x", &b64(&[0; 32])] {
        let reply = centre.look(&world, unknown).await;
        assert!(["400 invalid_grant", "400 invalid_request"].contains(&error_of(&reply).as_str()), "{unknown}");
    }
    // The platform's own client key with another DPoP key.
    let rp = RelyingParty { client_id: "centre".into(), dpop: Some(key(Alg::ES256, &*world.rng)), ..other.rp };
    let thief = Centre { rp, key: copy(&centre.key) };
    assert_eq!(error_of(&thief.look(&world, &id).await), "400 invalid_grant");
    assert_eq!(centre.look(&world, &id).await.status, 200, "nothing was used up by others");
}

#[tokio::test]
async fn a_request_that_was_refused_or_not_answered_gives_nothing() {
    let world = World::new();
    let centre = centre(&world);
    let waiting = world.front.wait().unwrap();
    let id = centre.asked(&world, &waiting.code).await;
    let wallet = asked(&world, &waiting);
    assert_eq!(wallet.refuse(&world).unwrap(), format!("{WALLET}/requests#refused"));
    assert_eq!(wallet.agree(&world).await, Err(Refusal::TransactionGone), "after a refusal");
    assert_eq!(error_of(&centre.look(&world, &id).await), "400 access_denied");

    let waiting = world.front.wait().unwrap();
    let ask = centre.ask(&world, &waiting.code, |claims| claims["requested_expiry"] = json!(30));
    let said = body(&world.send(&ask).await);
    assert_eq!(said["expires_in"], json!(30));
    let late = asked(&world, &waiting);
    world.clock.advance(30);
    assert_eq!(late.agree(&world).await, Err(Refusal::TransactionGone));
    assert_eq!(error_of(&centre.look(&world, said["auth_req_id"].as_str().unwrap()).await), "400 expired_token");
}

/// A request lives as long as its platform says, and begins when it came.
#[tokio::test]
async fn a_proof_is_not_older_than_the_request_however_soon_that_ends() {
    let world = World::new();
    let centre = centre(&world);
    for (ago, refused) in [(91, true), (120, true), (90, false), (0, false)] {
        let waiting = world.front.wait().unwrap();
        centre.asked(&world, &waiting.code).await;
        let wallet = asked(&world, &waiting);
        let mut answer = world.answer_with(&wallet.transaction, |token| {
            token.auth_time = NOW - ago;
            token.hufu.handle = Some(handle_of(1).hash());
        });
        answer.handle = Some(handle_of(1));
        let done = world.front.complete_waiting(&CompleteWaiting { answer, secret: wallet.secret }).await;
        assert_eq!(done.err(), refused.then_some(Refusal::TokenRejected), "{ago}");
    }
}

/// On a front where nobody looks any more, and nobody asks: the clock is set back to see what is still there.
#[tokio::test]
async fn what_nobody_fetched_is_gone_after_two_minutes_though_nobody_looks() {
    for sweeps in [false, true] {
        let world = World::new();
        let centre = centre(&world);
        let waiting = world.front.wait().unwrap();
        let id = centre.asked(&world, &waiting.code).await;
        asked(&world, &waiting).agree(&world).await.unwrap();
        world.clock.advance(120);
        if sweeps {
            world.front.sweep();
        }
        world.clock.advance(-120);
        let wanted = if sweeps { 400 } else { 200 };
        assert_eq!(centre.look(&world, &id).await.status, wanted, "swept: {sweeps}");
    }
}

#[tokio::test]
async fn of_two_answers_the_first_stands() {
    let world = World::new();
    let centre = centre(&world);
    let waiting = world.front.wait().unwrap();
    let id = centre.asked(&world, &waiting.code).await;
    let wallet = asked(&world, &waiting);
    assert!(wallet.agree(&world).await.is_ok());
    assert_eq!(wallet.agree(&world).await, Err(Refusal::TransactionGone));
    assert_eq!(wallet.refuse(&world), Err(Refusal::TransactionGone));
    assert_eq!(centre.look(&world, &id).await.status, 200);
}

#[tokio::test]
async fn another_wallet_or_a_browsers_cookie_answers_nothing() {
    let world = World::new();
    let centre = centre(&world);
    let (waiting, stranger) = (world.front.wait().unwrap(), world.front.wait().unwrap());
    centre.asked(&world, &waiting.code).await;
    assert_eq!(world.front.found(&LookWaiting { secret: stranger.secret }).unwrap().tx, None);
    let wallet = asked(&world, &waiting);
    let thief = Asked { secret: stranger.secret, transaction: wallet.transaction.clone() };
    assert_eq!(thief.agree(&world).await, Err(Refusal::TransactionCookie));
    assert_eq!(thief.refuse(&world), Err(Refusal::TransactionCookie));
    // The secret as a cookie, and any cookie at all.
    let cookie = format!("hufu-front-tx={}", b64(waiting.secret.as_slice()));
    let answer = world.answer_with_handle(&wallet.transaction);
    assert_eq!(world.front.complete(&answer, &[&cookie]).await, Err(Refusal::TransactionCookie));
    let refusal = RefuseSignIn { tx: wallet.transaction.tx };
    assert_eq!(world.front.refuse(&refusal, &[&cookie]).await, Err(Refusal::TransactionCookie));
    let tx = b64(wallet.transaction.tx.as_slice());
    assert_eq!(world.front.elsewhere(&tx, &[&cookie]).err(), Some(Refusal::TransactionCookie));
    // Nor does the secret answer a browser's transaction.
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &hufu_oidc::client::Wish::default()).await;
    let cross = CompleteWaiting { answer: world.answer_with_handle(&at.transaction), secret: waiting.secret };
    assert_eq!(world.front.complete_waiting(&cross).await, Err(Refusal::TransactionCookie));
    assert!(wallet.agree(&world).await.is_ok());
}

/// A front that shows another message than the platform sent: the wallet compares with what is signed, and this front with its own.
#[tokio::test]
async fn a_result_for_another_binding_message_is_refused() {
    let world = World::new();
    let centre = centre(&world);
    let waiting = world.front.wait().unwrap();
    centre.asked(&world, &waiting.code).await;
    let wallet = asked(&world, &waiting);
    let mut other = wallet.transaction.clone();
    other.code_challenge = binding_hash("Order 9999");
    let answer = CompleteSignIn { tx: other.tx, ..world.answer_with_handle(&other) };
    let done = world.front.complete_waiting(&CompleteWaiting { answer, secret: waiting.secret }).await;
    assert_eq!(done, Err(Refusal::TokenRejected));
    assert!(wallet.agree(&world).await.is_ok());
}

#[tokio::test]
async fn a_request_must_be_signed_fresh_and_by_who_asks() {
    let world = World::new();
    let centre = centre(&world);
    let code = || world.front.wait().unwrap().code;
    let unsigned = Pairs::default().with("scope", "openid").with("login_hint", &code());
    assert_eq!(error_of(&world.send(&centre.post(&world, "/bc-authorize", unsigned)).await), "400 invalid_request");
    let object = |claims: Value, key: &SoftKey| sign(key, Header::new(key.alg()), &claims).unwrap();
    let now = world.now();
    let claims = |jti: &str| {
        json!({ "iss": "centre", "aud": ISSUER, "iat": now, "nbf": now, "exp": now + 300, "jti": jti,
                "scope": "openid", "login_hint": code(), "binding_message": "Order 0427" })
    };
    let send = async |object: &str| {
        let form = Pairs::default().with("request", object);
        world.send(&centre.post(&world, "/bc-authorize", form)).await
    };
    let stranger = key(Alg::ES256, &*world.rng);
    assert_eq!(error_of(&send(&object(claims("a"), &stranger)).await), "400 invalid_request_object");
    for needed in ["jti", "iat", "nbf", "exp", "aud", "iss"] {
        let mut without = claims("b");
        without.as_object_mut().unwrap().remove(needed);
        assert_eq!(error_of(&send(&object(without, &centre.key)).await), "400 invalid_request_object", "{needed}");
    }
    let mut foreign = claims("c");
    foreign["aud"] = json!("https://other.example");
    assert_eq!(error_of(&send(&object(foreign, &centre.key)).await), "400 invalid_request_object");
    let good = object(claims("d"), &centre.key);
    assert_eq!(send(&good).await.status, 200);
    assert_eq!(error_of(&send(&good).await), "400 invalid_request_object", "a replay");
}

#[tokio::test]
async fn a_binding_message_that_hides_something_is_refused_and_over_asking_as_everywhere() {
    let world = World::new();
    let centre = centre(&world);
    let piled = "a\u{336}\u{336}".to_owned();
    for message in
        ["x".repeat(65), "pay \u{202e}001".into(), " x".into(), "a\u{200b}b".into(), "a\u{3164}b".into(), piled]
    {
        let ask =
            centre.ask(&world, &world.front.wait().unwrap().code, |claims| claims["binding_message"] = json!(message));
        assert_eq!(error_of(&world.send(&ask).await), "400 invalid_binding_message");
    }
    let over =
        centre.ask(&world, &world.front.wait().unwrap().code, |claims| claims["scope"] = json!("openid hufu:age_band"));
    assert_eq!(error_of(&world.send(&over).await), "400 invalid_scope");
    for expiry in [json!(0), json!(-1), json!("soon")] {
        let ask = centre.ask(&world, &world.front.wait().unwrap().code, |claims| claims["requested_expiry"] = expiry);
        assert_eq!(error_of(&world.send(&ask).await), "400 invalid_request");
    }
}

#[tokio::test]
async fn who_did_not_register_for_it_asks_nobody_and_nodes_refuse_its_consent() {
    let world = World::new();
    let rp = world.fapi("shop");
    let ClientAuth::PrivateKeyJwt(key) = &rp.auth else { panic!("a key") };
    let key = copy(key);
    let shop = Centre { rp, key };
    let reply = world.send(&shop.ask(&world, &world.front.wait().unwrap().code, |_| {})).await;
    assert_eq!(error_of(&reply), "400 unauthorized_client");
    assert_eq!(error_of(&shop.look(&world, &b64(&[1; 32])).await), "400 unauthorized_client");

    // A front that lies: no node signs for a platform that did not register.
    let centre = centre(&world);
    let waiting = world.front.wait().unwrap();
    centre.asked(&world, &waiting.code).await;
    let transaction = asked(&world, &waiting).transaction;
    let certificate = hufu_offices::registry::read(&world.trust.offices.registry, &transaction.certificate).unwrap();
    let consent = hufu_wire::api::sign_in::Consent {
        certificate: transaction.certificate.clone(),
        iss: transaction.iss.clone(),
        client_id: transaction.client_id.clone(),
        redirect_uri: transaction.redirect_uri.clone(),
        nonce: transaction.nonce.clone(),
        code_challenge: transaction.code_challenge.clone(),
        dpop_jkt: transaction.dpop_jkt.clone(),
        tx: transaction.tx,
        answers: transaction.answers.clone(),
        purpose: transaction.purpose.clone(),
        s: Octets([1; 32]),
        strength: transaction.strength,
        t: world.now(),
        iat: world.now(),
    };
    let check = |certificate: &PlatformCertificate| {
        hufu_domain::consent::check(certificate, Root::Sandbox, &consent, world.now())
    };
    assert_eq!(check(&certificate), Ok(()));
    let unregistered = PlatformCertificate { registration: Registration::default(), ..certificate };
    assert_eq!(check(&unregistered), Err(Refusal::PlatformRequest));
}

#[tokio::test]
async fn a_registration_that_cannot_be_met_is_not_admitted() {
    let world = World::new();
    let admit = |change: fn(&mut Registration), keys: bool| {
        let mut certificate = certificate("centre", Root::Sandbox);
        certificate.jwks.keys.extend(keys.then(|| key(Alg::ES256, &*world.rng).public().clone()));
        certificate.registration = registration(DeliveryMode::Poll);
        if !keys {
            certificate.registration.tls_client_auth_san_dns = Some("centre.example".into());
        }
        change(&mut certificate.registration);
        world.admit(&certificate)
    };
    assert_eq!(admit(|_| {}, true), Ok(()));
    let changes: [fn(&mut Registration); 6] = [
        |r| r.backchannel_token_delivery_mode = Some(DeliveryMode::Push),
        |r| r.backchannel_token_delivery_mode = Some(DeliveryMode::Ping),
        |r| r.backchannel_client_notification_endpoint = Some(PING.into()),
        |r| r.backchannel_authentication_request_signing_alg = None,
        |r| r.backchannel_token_delivery_mode = None,
        |r| {
            r.backchannel_token_delivery_mode = Some(DeliveryMode::Ping);
            r.backchannel_client_notification_endpoint = Some("https://10.0.0.1/ping".into());
        },
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert_eq!(admit(change, true), Err(Refusal::PlatformRequest), "change {at}");
    }
    assert_eq!(admit(|_| {}, false), Err(Refusal::PlatformRequest), "nothing to sign requests with");
}

#[tokio::test]
async fn wallets_that_wait_are_so_many_and_no_more() {
    let world = World::new();
    let mut waiting = Vec::new();
    while let Ok(one) = world.front.wait() {
        waiting.push(one);
        assert!(waiting.len() <= 2_000);
    }
    assert_eq!(world.front.wait().err(), Some(Refusal::Busy));
    assert_eq!(waiting.len(), 2_000);
    world.clock.advance(120);
    assert!(world.front.wait().is_ok());
}
