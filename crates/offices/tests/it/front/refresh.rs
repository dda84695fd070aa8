//! Refresh tokens: bound, never rotated, and worth nothing once the person's sessions ended by both nodes' word.

use super::fixture::*;
use hufu_kernel::Refusal;
use hufu_oidc::OAuthError;
use hufu_oidc::client::{ClientAuth, HttpRequest, RelyingParty, SignedIn, Wish};
use hufu_store::Once as _;
use hufu_wire::api::platform::Registration;
use hufu_wire::jose::Alg;
use hufu_wire::subject_handle::{HANDLE_SECONDS, HandleUse};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

fn offline() -> Wish {
    Wish { offline: true, ..Wish::default() }
}

fn shop(world: &World) -> RelyingParty {
    let subject_handle = vec![HandleUse::Refresh];
    world.fapi_with("shop", Alg::EdDSA, Registration { subject_handle, ..Registration::default() })
}

async fn signed_in(world: &World, rp: &RelyingParty, wish: &Wish) -> SignedIn {
    let at = world.at_wallet(rp, wish).await;
    let next = world.front.complete(&world.answer_with_handle(&at.transaction), &[&at.begun.cookie]).await.unwrap();
    let code = rp.callback(&at.pending, query(&next.redirect_to)).unwrap();
    let reply = world.send(&world.token_request(rp, &at.pending, &code)).await;
    rp.redeemed(&at.pending, reply.status, &reply.body, world.now()).unwrap()
}

fn renewal(world: &World, rp: &RelyingParty, token: &str) -> HttpRequest {
    rp.renew(token, world.now(), &*world.rng).unwrap()
}

async fn introspected(world: &World, rp: &RelyingParty, token: &str) -> (u16, Value) {
    let mut request = revocation(world, rp, token);
    request.url = request.url.replace("/revoke", "/introspect");
    let reply = world.send(&request).await;
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

fn revocation(world: &World, rp: &RelyingParty, token: &str) -> HttpRequest {
    let mut request = renewal(world, rp, token);
    request.url = request.url.replace("/token", "/revoke");
    request.headers.retain(|(name, _)| *name != "dpop");
    request.body = with_parameter(&request.body, "token", Some(token));
    request
}

async fn refused(world: &World, request: &HttpRequest) -> String {
    let reply = world.send(request).await;
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    body["error_description"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_refresh_token_gives_access_again_and_again_and_no_id_token() {
    let world = World::new();
    let shop = shop(&world);
    let known = signed_in(&world, &shop, &offline()).await;
    let token = known.refresh_token.unwrap();
    assert_eq!(known.subject_handle, Some(handle_of(1)));
    for day in 1..4 {
        world.clock.advance(day * 86_400);
        let reply = world.send(&renewal(&world, &shop, &token)).await;
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((reply.status, &body["token_type"], &body["expires_in"]), (200, &"DPoP".into(), &300.into()));
        assert!(body.get("id_token").is_none() && body.get("refresh_token").is_none(), "{body}");
        assert!(body["scope"].as_str().unwrap().ends_with(" offline_access"), "{body}");
        let told = world.userinfo(&shop, body["access_token"].as_str().unwrap()).await;
        assert!(told.body.contains(&known.token.sub), "{}", told.body);
    }
    // Both nodes of the handle were asked each time, each for its own half; the third never.
    let halves = handle_of(1).halves;
    for (node, half) in [(0, Some(halves[0])), (1, None), (2, Some(halves[1]))] {
        let asked = world.nodes[node].asked.lock().unwrap();
        assert_eq!(asked.len(), if half.is_some() { 3 } else { 0 });
        for ask in asked.iter() {
            assert_eq!(
                (&*asker(&ask.certificate), ask.wanted, ask.halves.first().copied()),
                ("shop", HandleUse::Refresh, half)
            );
        }
    }
}

#[tokio::test]
async fn who_did_not_ask_or_did_not_register_gets_none() {
    let world = World::new();
    assert_eq!(signed_in(&world, &shop(&world), &Wish::default()).await.refresh_token, None);
    let subject_handle = vec![HandleUse::Signals];
    let other = world.fapi_with("other", Alg::EdDSA, Registration { subject_handle, ..Registration::default() });
    let known = signed_in(&world, &other, &offline()).await;
    assert_eq!(known.refresh_token, None, "offline_access is ignored (OpenID Connect Core section 11)");
    let plain = world.fapi("plain");
    assert_eq!(world.sign_in(&plain, &offline()).await.refresh_token, None);
}

#[tokio::test]
async fn it_ends_when_either_node_says_that_sessions_ended_and_waits_while_one_is_away() {
    let world = World::new();
    let shop = shop(&world);
    let fresh = async || signed_in(&world, &shop, &offline()).await.refresh_token.unwrap();
    let ended = OAuthError::RefreshEnded.description();
    for node in [0, 2] {
        let node = &world.nodes[node];
        let token = fresh().await;
        node.say(|standing| standing.same_epoch = false);
        assert_eq!(refused(&world, &renewal(&world, &shop, &token)).await, ended, "signed out everywhere");
        let token = fresh().await;
        node.say(|standing| standing.active = false);
        assert_eq!(refused(&world, &renewal(&world, &shop, &token)).await, ended, "locked");
        let token = fresh().await;
        *node.says.lock().unwrap() = Ok(None);
        assert_eq!(refused(&world, &renewal(&world, &shop, &token)).await, ended, "left");
        let token = fresh().await;
        *node.says.lock().unwrap() = Err(Refusal::NodesUnavailable);
        let away = world.send(&renewal(&world, &shop, &token)).await;
        assert_eq!(error_of(&away), "503 temporarily_unavailable");
        assert!(away.header("retry-after").is_some());
        node.say(|_| {});
        assert_eq!(world.send(&renewal(&world, &shop, &token)).await.status, 200, "the control");
    }
}

#[tokio::test]
async fn unlocking_brings_back_no_token_that_was_tried_while_locked() {
    let world = World::new();
    let shop = shop(&world);
    let (tried, asked_about, untouched) = (
        signed_in(&world, &shop, &offline()).await,
        signed_in(&world, &shop, &offline()).await.refresh_token.unwrap(),
        signed_in(&world, &shop, &offline()).await.refresh_token.unwrap(),
    );
    let token = tried.refresh_token.unwrap();
    let locked = |locked: bool| world.nodes.iter().for_each(|node| node.say(|standing| standing.active = !locked));
    locked(true);
    let ended = OAuthError::RefreshEnded.description();
    assert_eq!(refused(&world, &renewal(&world, &shop, &token)).await, ended);
    assert_eq!(introspected(&world, &shop, &asked_about).await.1["active"], false);
    locked(false);
    let gone = OAuthError::RefreshUnknown.description();
    assert_eq!(refused(&world, &renewal(&world, &shop, &token)).await, gone);
    assert_eq!(refused(&world, &renewal(&world, &shop, &asked_about)).await, gone);
    assert_eq!(world.userinfo(&shop, &tried.access_token).await.status, 401, "nor does its access token go on");
    // The control, and what the pages say: nobody tried this one meanwhile.
    assert_eq!(world.send(&renewal(&world, &shop, &untouched)).await.status, 200);
}

#[tokio::test]
async fn a_stolen_one_is_worth_nothing_without_the_keys_of_its_platform() {
    let world = World::new();
    let mut shop = shop(&world);
    let token = signed_in(&world, &shop, &offline()).await.refresh_token.unwrap();
    // Another platform that may refresh.
    let subject_handle = vec![HandleUse::Refresh];
    let other = world.fapi_with("other", Alg::EdDSA, Registration { subject_handle, ..Registration::default() });
    assert_eq!(refused(&world, &renewal(&world, &other, &token)).await, OAuthError::RefreshUnknown.description());
    // The platform's name without its key; no proof at all; a proof shown twice.
    let own = std::mem::replace(&mut shop.auth, ClientAuth::PrivateKeyJwt(key(Alg::ES256, &*world.rng)));
    assert_eq!(error_of(&world.send(&renewal(&world, &shop, &token)).await), "401 invalid_client");
    shop.auth = own;
    let own = shop.dpop.take();
    assert_eq!(refused(&world, &renewal(&world, &shop, &token)).await, OAuthError::ProofMissing.description());
    shop.dpop = own;
    let request = renewal(&world, &shop, &token);
    assert_eq!(world.send(&request).await.status, 200);
    assert!(world.send(&request).await.status >= 400, "the same assertion and proof");
    // Changed, an access token in its place, a wider scope.
    let mut changed = token.clone();
    changed.replace_range(30..31, if &token[30..31] == "A" { "B" } else { "A" });
    assert_eq!(refused(&world, &renewal(&world, &shop, &changed)).await, OAuthError::RefreshUnknown.description());
    let access_token = signed_in(&world, &shop, &offline()).await.access_token;
    assert_eq!(refused(&world, &renewal(&world, &shop, &access_token)).await, OAuthError::RefreshUnknown.description());
    let mut wider = renewal(&world, &shop, &token);
    wider.body = with_parameter(&wider.body, "scope", Some("openid hufu:age_over_18"));
    assert_eq!(refused(&world, &wider).await, OAuthError::RefreshScope.description());
    assert_eq!(world.userinfo(&shop, &token).await.status, 401, "it is no access token");
}

/// Refresh tokens of clients that authenticate are bound to the client (RFC 9449 section 5): a platform may change its DPoP key.
#[tokio::test]
async fn a_platform_may_change_its_proof_key_and_the_new_access_token_is_bound_to_the_key_shown_now() {
    let world = World::new();
    let mut shop = shop(&world);
    let token = signed_in(&world, &shop, &offline()).await.refresh_token.unwrap();
    let before = shop.dpop.replace(key(Alg::ES256, &*world.rng));
    let reply = world.send(&renewal(&world, &shop, &token)).await;
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    let access_token = body["access_token"].as_str().unwrap();
    assert_eq!(world.userinfo(&shop, access_token).await.status, 200);
    shop.dpop = before;
    assert_eq!(world.userinfo(&shop, access_token).await.status, 401, "the key of before");
}

#[tokio::test]
async fn it_ends_with_the_handle_with_a_revocation_and_with_a_replayed_code() {
    let world = World::new();
    let shop = shop(&world);
    let revoke = async |token: &str| assert_eq!(world.send(&revocation(&world, &shop, token)).await.status, 200);
    let known = signed_in(&world, &shop, &offline()).await;
    let token = known.refresh_token.unwrap();
    revoke(&token).await;
    assert_eq!(refused(&world, &renewal(&world, &shop, &token)).await, OAuthError::RefreshUnknown.description());
    assert_eq!(world.userinfo(&shop, &known.access_token).await.status, 401, "all tokens of the code");
    // By its access token, and long after that one ended.
    let known = signed_in(&world, &shop, &offline()).await;
    let token = known.refresh_token.unwrap();
    revoke(&known.access_token).await;
    world.clock.advance(86_400);
    assert_eq!(refused(&world, &renewal(&world, &shop, &token)).await, OAuthError::RefreshUnknown.description());
    // By whoever shows the code again.
    let at = world.at_wallet(&shop, &offline()).await;
    let next = world.front.complete(&world.answer_with_handle(&at.transaction), &[&at.begun.cookie]).await.unwrap();
    let code = shop.callback(&at.pending, query(&next.redirect_to)).unwrap();
    let reply = world.send(&world.token_request(&shop, &at.pending, &code)).await;
    let token = shop.redeemed(&at.pending, reply.status, &reply.body, world.now()).unwrap().refresh_token.unwrap();
    assert_eq!(world.send(&renewal(&world, &shop, &token)).await.status, 200, "the control");
    assert!(world.send(&world.token_request(&shop, &at.pending, &code)).await.status >= 400);
    assert_eq!(refused(&world, &renewal(&world, &shop, &token)).await, OAuthError::RefreshUnknown.description());
    // After a month, whatever nodes say.
    let token = signed_in(&world, &shop, &offline()).await.refresh_token.unwrap();
    world.clock.advance(HANDLE_SECONDS - 10);
    assert_eq!(world.send(&renewal(&world, &shop, &token)).await.status, 200);
    world.clock.advance(10);
    assert_eq!(refused(&world, &renewal(&world, &shop, &token)).await, OAuthError::RefreshExpired.description());
}

/// A platform that revokes without end fills what revocations are remembered in, and not what assertions, proofs and codes are.
#[tokio::test]
async fn whoever_revokes_much_takes_no_place_of_what_is_used_once() {
    let world = World::new();
    let shop = shop(&world);
    let token = signed_in(&world, &shop, &offline()).await.refresh_token.unwrap();
    for other in 0..5_000_u32 {
        let _full = world.revoked.set.revoke(&other.to_be_bytes(), world.now() + HANDLE_SECONDS, world.now()).await;
    }
    let refused = world.send(&revocation(&world, &shop, &token)).await;
    assert_eq!(error_of(&refused), "503 temporarily_unavailable", "the control: it is full");
    assert_eq!(world.send(&renewal(&world, &shop, &token)).await.status, 200);
    signed_in(&world, &shop, &offline()).await;
}

#[tokio::test]
async fn a_revocation_is_remembered_as_long_as_a_token_of_the_code_might_live() {
    let world = World::new();
    let shop = shop(&world);
    let last = || world.revoked.until.lock().unwrap().last().copied().unwrap();
    let (minutes, month) = (world.now() + 300, world.now() + HANDLE_SECONDS);
    let short = signed_in(&world, &shop, &Wish::default()).await.access_token;
    assert_eq!(world.send(&revocation(&world, &shop, &short)).await.status, 200);
    assert_eq!(last(), minutes, "also where the platform registered for more");
    let long = signed_in(&world, &shop, &offline()).await.access_token;
    assert_eq!(world.send(&revocation(&world, &shop, &long)).await.status, 200);
    assert!(last() >= month);
}

/// In profile `basic` a code may be redeemed with a proof or without: who shows it again without one ends what it gave all the same.
#[tokio::test]
async fn a_code_that_is_shown_again_without_a_proof_ends_the_refresh_token_it_gave() {
    let world = World::new();
    let mut judge = world.basic("judge");
    let mut certificate = certificate("judge", hufu_kernel::Root::Sandbox);
    certificate.profile = hufu_wire::api::platform::Profile::Basic;
    certificate.client_secret_sha256 = Some(hufu_kernel::Octets(Sha256::digest(SECRET).into()));
    certificate.registration.subject_handle = vec![HandleUse::Refresh];
    world.admit(&certificate).unwrap();
    let at = world.at_wallet(&judge, &offline()).await;
    let next = world.front.complete(&world.answer_with_handle(&at.transaction), &[&at.begun.cookie]).await.unwrap();
    let code = judge.callback(&at.pending, query(&next.redirect_to)).unwrap();
    judge.dpop = Some(key(Alg::ES256, &*world.rng));
    let reply = world.send(&world.token_request(&judge, &at.pending, &code)).await;
    let token = judge.redeemed(&at.pending, reply.status, &reply.body, world.now()).unwrap().refresh_token.unwrap();
    assert_eq!(world.send(&renewal(&world, &judge, &token)).await.status, 200, "the control");
    let own = judge.dpop.take();
    assert_eq!(error_of(&world.send(&world.token_request(&judge, &at.pending, &code)).await), "400 invalid_grant");
    judge.dpop = own;
    world.clock.advance(86_400);
    assert_eq!(refused(&world, &renewal(&world, &judge, &token)).await, OAuthError::RefreshUnknown.description());
}

#[tokio::test]
async fn introspection_tells_the_owner_what_a_refresh_token_is_worth() {
    let world = World::new();
    let shop = shop(&world);
    let token = signed_in(&world, &shop, &offline()).await.refresh_token.unwrap();
    let (_, told) = introspected(&world, &shop, &token).await;
    assert_eq!((&told["active"], &told["client_id"]), (&true.into(), &"shop".into()));
    // Bound to the client and no key (RFC 9449 section 5).
    assert!(told.get("cnf").is_none() && told.get("token_type").is_none(), "{told}");
    *world.nodes[2].says.lock().unwrap() = Err(Refusal::NodesUnavailable);
    assert_eq!(introspected(&world, &shop, &token).await.0, 503);
    world.nodes[2].say(|standing| standing.same_epoch = false);
    assert_eq!(introspected(&world, &shop, &token).await.1, serde_json::json!({ "active": false }));
}

#[tokio::test]
async fn a_use_that_the_registry_took_away_renews_nothing() {
    let world = World::new();
    let shop = shop(&world);
    let token = signed_in(&world, &shop, &offline()).await.refresh_token.unwrap();
    let mut certificate = certificate("shop", hufu_kernel::Root::Sandbox);
    if let ClientAuth::PrivateKeyJwt(key) = &shop.auth {
        certificate.jwks.keys.push(key.public().clone());
    }
    assert_eq!(introspected(&world, &shop, &token).await.1["active"], true, "the control");
    world.admit(&certificate).unwrap();
    let asked = world.nodes[0].asked.lock().unwrap().len();
    assert_eq!(refused(&world, &renewal(&world, &shop, &token)).await, OAuthError::LaterUse.description());
    assert_eq!(introspected(&world, &shop, &token).await.1, serde_json::json!({ "active": false }));
    assert_eq!(world.nodes[0].asked.lock().unwrap().len(), asked, "nor is anybody asked");
}
