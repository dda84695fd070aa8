//! What the front signs itself, the ways of a response, and what a platform may ask about its tokens.

use super::fixture::*;
use hufu_kernel::{Refusal, b64, unb64};
use hufu_oidc::Form;
use hufu_oidc::client::{HttpRequest, RelyingParty, Wish};
use hufu_wire::api::platform::Registration;
use hufu_wire::api::sign_in::RefuseSignIn;
use hufu_wire::jose::{Alg, Compact, Jwk, Jwks};
use serde_json::{Value, json};

fn signing() -> Registration {
    let alg = Some(Alg::PS256);
    Registration {
        authorization_signed_response_alg: alg,
        introspection_signed_response_alg: alg,
        userinfo_signed_response_alg: alg,
        ..Registration::default()
    }
}

/// The claims of something the front signed, verified as its platform would.
fn read(world: &World, jws: &str, typ: &str) -> Value {
    let jws = Compact::parse(jws).unwrap();
    assert!(jws.header().is_typ(typ));
    let keys = Jwks::from_json(world.front.jwks().body.as_bytes()).unwrap();
    keys.verify(&jws, &[Alg::PS256]).unwrap().json().unwrap()
}

fn parameters(url: &str) -> Form {
    Form::parse(query(url)).unwrap()
}

#[tokio::test]
async fn a_platform_that_registered_it_gets_signed_responses_and_no_others() {
    for id_token in [Alg::EdDSA, Alg::ES256] {
        let world = World::new();
        let shop = world.fapi_with("shop", id_token, signing());
        let at = world.at_wallet(&shop, &Wish::default()).await;
        let back =
            world.front.complete(&world.answer_alg(&at.transaction, id_token), &[&at.begun.cookie]).await.unwrap();
        let sent = parameters(&back.redirect_to);
        assert_eq!(
            (sent.get("code"), sent.get("state"), sent.get("iss")),
            (None, None, None),
            "all of it is in the JWT"
        );
        let claims = read(&world, sent.get("response").unwrap(), "oauth-authz-resp+jwt");
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(ISSUER), &json!("shop")));
        assert_eq!(claims["exp"], json!(NOW.0 + 120));
        assert_eq!(claims["state"], json!(at.pending.state));
        let code = claims["code"].as_str().unwrap();
        let reply = world.send(&world.token_request(&shop, &at.pending, code)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);

        let at = world.at_wallet(&shop, &Wish::default()).await;
        let refusal = RefuseSignIn { tx: at.transaction.tx };
        let back = world.front.refuse(&refusal, &[&at.begun.cookie]).await.unwrap();
        let sent = parameters(&back.redirect_to);
        let claims = read(&world, sent.get("response").unwrap(), "oauth-authz-resp+jwt");
        assert_eq!(claims["error"], json!("access_denied"));
        assert_eq!(sent.get("error"), None);
    }
}

/// Whoever has the front's key and nothing else: no ID token in the eyes of a platform that reads `jwks_uri`, whatever it registered.
#[tokio::test]
async fn no_key_of_the_fronts_signs_an_id_token_that_a_platform_takes() {
    let world = World::new();
    let keys = Jwks::from_json(world.front.jwks().body.as_bytes()).unwrap();
    let of_nodes = |key: &&Jwk| {
        world.trust.group_jwk().is_some_and(|group| group.key == key.key)
            || world.trust.nodes.iter().any(|node| node.es256.key == key.key)
    };
    let own: Vec<&Jwk> = keys.keys.iter().filter(|key| !of_nodes(key)).collect();
    assert_eq!(own.len(), 1, "the front's");
    for alg in [Alg::EdDSA, Alg::ES256, Alg::RS256] {
        assert!(!own[0].fits(alg), "{alg:?}");
    }
    // And nobody is admitted whose ID tokens would be of its algorithm, or who asks it to sign with another.
    let mut asked = certificate("shop", hufu_kernel::Root::Sandbox);
    asked.jwks.keys.push(key(Alg::ES256, &*world.rng).public().clone());
    for (id_token, response) in [(Alg::PS256, None), (Alg::EdDSA, Some(Alg::EdDSA)), (Alg::EdDSA, Some(Alg::ES256))] {
        asked.id_token_signed_response_alg = id_token;
        asked.registration.userinfo_signed_response_alg = response;
        assert_eq!(world.admit(&asked), Err(Refusal::PlatformRequest), "{id_token:?} {response:?}");
    }
    // The control.
    asked.registration = signing();
    assert_eq!(world.admit(&asked), Ok(()));
}

#[tokio::test]
async fn a_response_is_posted_by_a_page_of_the_fronts_for_a_minute() {
    let world = World::new();
    let judge = world.basic("judge");
    for (mode, names) in [("form_post", &["code", "state", "iss"][..]), ("form_post.jwt", &["response"])] {
        let pending = judge.begin(&Wish::default(), &*world.rng);
        let begun = world.browse(&format!("{}&response_mode={mode}", judge.plain(&pending))).await;
        let transaction = world.fetch(&begun.tx);
        let back = world.front.complete(&world.answer(&transaction), &[&begun.cookie]).await.unwrap();
        let sealed = back.redirect_to.strip_prefix(&format!("{ISSUER}/respond?r=")).unwrap();
        let posting = world.front.posting(sealed).unwrap();
        assert_eq!(posting.to, "https://judge.example/cb");
        assert_eq!(posting.parameters.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        let mut changed = sealed.to_owned();
        let other = if changed.ends_with('A') { "B" } else { "A" };
        changed.replace_range(changed.len() - 9..changed.len() - 8, other);
        assert_eq!(world.front.posting(&changed), Err(Refusal::TransactionGone));
        world.clock.advance(60);
        assert_eq!(world.front.posting(sealed), Err(Refusal::TransactionGone), "its time is over");
    }
    // An error goes the same way.
    let pending = judge.begin(&Wish::default(), &*world.rng);
    let reply = world
        .front
        .authorize(query(&format!("{}&response_mode=form_post&prompt=none", judge.plain(&pending))), &[])
        .await;
    let location = reply.unwrap().header("location").unwrap().to_owned();
    let posting = world.front.posting(location.strip_prefix(&format!("{ISSUER}/respond?r=")).unwrap()).unwrap();
    assert!(posting.parameters.contains(&("error".to_owned(), "login_required".to_owned())));
}

/// A request of a platform about `token`, to `path`.
fn about(world: &World, rp: &RelyingParty, path: &str, token: &str) -> HttpRequest {
    let pending = rp.begin(&Wish::default(), &*world.rng);
    let mut request = world.token_request(rp, &pending, "x");
    request.url = format!("{ISSUER}{path}");
    request.body = with_parameter(&request.body, "token", Some(token));
    request
}

async fn told(world: &World, rp: &RelyingParty, token: &str) -> Value {
    let reply = world.send(&about(world, rp, "/introspect", token)).await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")));
    serde_json::from_str(&reply.body).unwrap()
}

#[tokio::test]
async fn a_platform_is_told_of_its_own_tokens_alone_and_gives_them_up() {
    let world = World::new();
    let (shop, other) = (world.fapi("shop"), world.fapi("other"));
    let token = world.sign_in(&shop, &Wish::default()).await;
    let active = told(&world, &shop, &token.access_token).await;
    assert_eq!((&active["active"], &active["sub"]), (&json!(true), &json!(token.token.sub)));
    assert_eq!(active["cnf"]["jkt"], json!(shop.dpop.as_ref().unwrap().public().thumbprint()));
    assert_eq!((&active["acr"], &active["auth_time"]), (&json!(token.token.acr), &json!(token.token.auth_time)));
    let nothing = json!({ "active": false });
    assert_eq!(told(&world, &other, &token.access_token).await, nothing, "another platform's");
    assert_eq!(told(&world, &shop, "AAAA").await, nothing, "no token");
    // Another platform gives nothing up, and hears the same as if it had.
    assert_eq!(world.send(&about(&world, &other, "/revoke", &token.access_token)).await.status, 200);
    assert_eq!(world.userinfo(&shop, &token.access_token).await.status, 200);
    let revoked = world.send(&about(&world, &shop, "/revoke", &token.access_token)).await;
    assert_eq!((revoked.status, revoked.body.as_str()), (200, ""));
    assert_eq!(world.userinfo(&shop, &token.access_token).await.status, 401);
    assert_eq!(told(&world, &shop, &token.access_token).await, nothing);
    // Ended by itself.
    let token = world.sign_in(&shop, &Wish::default()).await;
    world.clock.advance(300);
    assert_eq!(told(&world, &shop, &token.access_token).await, nothing);
}

#[tokio::test]
async fn userinfo_and_introspection_are_signed_for_whoever_registered_or_asks_so() {
    let world = World::new();
    let shop =
        world.fapi_with("shop", Alg::EdDSA, Registration { authorization_signed_response_alg: None, ..signing() });
    let token = world.sign_in(&shop, &Wish::default()).await;
    let reply = world.userinfo(&shop, &token.access_token).await;
    assert_eq!(reply.header("content-type"), Some("application/jwt"));
    let claims = read(&world, &reply.body, "userinfo+jwt");
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(ISSUER), &json!("shop")));
    assert_eq!(claims["sub"], json!(token.token.sub));
    let reply = world.send(&about(&world, &shop, "/introspect", &token.access_token)).await;
    assert_eq!(reply.header("content-type"), Some("application/token-introspection+jwt"));
    let claims = read(&world, &reply.body, "token-introspection+jwt");
    assert_eq!(claims["token_introspection"]["active"], json!(true));
    assert!(
        claims.get("sub").is_none() && claims.get("exp").is_none(),
        "it can be taken for no access token: RFC 9701 section 5"
    );
    // Who registered nothing may ask.
    let other = world.fapi("other");
    let token = world.sign_in(&other, &Wish::default()).await;
    let mut asked = about(&world, &other, "/introspect", &token.access_token);
    asked.headers.push(("accept", "application/token-introspection+jwt".to_owned()));
    let claims = read(&world, &world.send(&asked).await.body, "token-introspection+jwt");
    assert_eq!(claims["token_introspection"]["active"], json!(true));
}

#[tokio::test]
async fn a_front_without_keys_of_its_own_offers_nothing_that_needs_them() {
    let world = World::without_response_keys();
    let metadata: Value = serde_json::from_str(&world.front.discovery().body).unwrap();
    assert_eq!(metadata["response_modes_supported"], json!(["query", "form_post"]));
    assert_eq!(metadata["authorization_signing_alg_values_supported"], json!([]));
    let with_keys: Value = serde_json::from_str(&World::new().front.discovery().body).unwrap();
    assert_eq!(with_keys["authorization_signing_alg_values_supported"], json!(["PS256"]));
    let mut asked = certificate("shop", hufu_kernel::Root::Sandbox);
    asked.jwks.keys.push(key(Alg::ES256, &*world.rng).public().clone());
    asked.registration = signing();
    assert_eq!(world.admit(&asked), Err(Refusal::PlatformRequest));
    asked.registration = Registration::default();
    assert_eq!(world.admit(&asked), Ok(()));
}

#[tokio::test]
async fn the_platform_of_the_hint_is_told_of_a_sign_out_once_and_nobody_else_is() {
    let world = World::new();
    let out = |name: &str| Registration {
        backchannel_logout_uri: Some(format!("https://{name}.example/out")),
        ..Registration::default()
    };
    let shop = world.fapi_with("shop", Alg::EdDSA, out("shop"));
    world.fapi_with("bank", Alg::EdDSA, out("bank"));
    let told = world.sign_in(&shop, &Wish::default()).await;
    let sign_out = async |hint: &str| world.front.logout(&format!("id_token_hint={hint}&state=x")).await;
    assert_eq!(sign_out(&told.id_token).await, Ok(None));
    {
        let posted = world.posted.0.lock().unwrap();
        let [(uri, token)] = posted.as_slice() else { panic!("one is told: {posted:?}") };
        assert_eq!(uri, "https://shop.example/out");
        let claims = read(&world, token, "logout+jwt");
        assert_eq!(
            (&claims["iss"], &claims["aud"], &claims["sub"]),
            (&json!(ISSUER), &json!("shop"), &json!(told.token.sub))
        );
        assert_eq!(claims["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(NOW), &json!(NOW + 120)));
        assert!(claims["jti"].as_str().unwrap().len() >= 20 && claims.get("nonce").is_none());
        // Whoever takes it for an ID token is told otherwise by its type and its algorithm.
        assert!(
            hufu_oidc::client::verify_id_token(
                token,
                &hufu_oidc::client::Expected {
                    issuer: ISSUER,
                    client_id: "shop",
                    nonce: "",
                    keys: &Jwks::from_json(world.front.jwks().body.as_bytes()).unwrap(),
                    alg: Alg::EdDSA,
                    strength: hufu_kernel::Strength::Certificate,
                    now: NOW,
                }
            )
            .is_err()
        );
    }
    // The same token again, a stranger's, and none: nobody's server is called.
    assert_eq!(sign_out(&told.id_token).await, Ok(None));
    let forged = world.signed_by(&key(Alg::EdDSA, &*world.rng), &told.token);
    assert!(sign_out(&forged).await.is_err());
    assert_eq!(world.front.logout("client_id=bank").await, Ok(None));
    assert_eq!(world.posted.0.lock().unwrap().len(), 1);
    // When ten minutes are over it may be told again.
    world.clock.advance(601);
    assert_eq!(sign_out(&told.id_token).await, Ok(None));
    assert_eq!(world.posted.0.lock().unwrap().len(), 2);
}

/// The other signature that an ES256 key's holder never made: s and n - s verify alike.
fn mirrored(jws: &str) -> String {
    const N: [u64; 4] = [0xffff_ffff_0000_0000, 0xffff_ffff_ffff_ffff, 0xbce6_faad_a717_9e84, 0xf3b9_cac2_fc63_2551];
    let (input, signature) = jws.rsplit_once('.').unwrap();
    let mut signature = unb64(signature).unwrap();
    let mut borrowed = false;
    for (at, limb) in N.iter().enumerate().rev() {
        let place = 32 + 8 * at..40 + 8 * at;
        let s = u64::from_be_bytes(signature[place.clone()].try_into().unwrap());
        let (less, one) = limb.overflowing_sub(s);
        let (less, two) = less.overflowing_sub(u64::from(borrowed));
        borrowed = one || two;
        signature[place].copy_from_slice(&less.to_be_bytes());
    }
    format!("{input}.{}", b64(&signature))
}

/// The attack: one ID token is spelt in two ways, so that its platform is called twice.
#[tokio::test]
async fn another_signature_of_the_same_token_calls_nobody_again() {
    let world = World::new();
    let uri = "https://shop.example/out";
    let registration = Registration { backchannel_logout_uri: Some(uri.to_owned()), ..Registration::default() };
    let shop = world.fapi_with("shop", Alg::ES256, registration);
    let hint = async || {
        let at = world.at_wallet(&shop, &Wish::default()).await;
        let (token, _) = world.claims(&at.transaction, &at.transaction.answers);
        world.signed_by(&world.node, &token)
    };
    let first = hint().await;
    let other = mirrored(&first);
    assert_ne!(first, other);
    // Both are ID tokens of this service.
    let keys = Jwks::from_json(world.front.jwks().body.as_bytes()).unwrap();
    for text in [&first, &other] {
        assert!(keys.verify(&Compact::parse(text).unwrap(), &[Alg::ES256]).is_ok());
    }
    let told = async |hint: &str| {
        assert_eq!(world.front.logout(&format!("id_token_hint={hint}")).await, Ok(None));
        world.posted.0.lock().unwrap().len()
    };
    assert_eq!(told(&first).await, 1);
    assert_eq!(told(&other).await, 1);
    // The control: another sign-in's token is told.
    assert_eq!(told(&hint().await).await, 2);
}

#[tokio::test]
async fn a_back_channel_that_could_lead_into_the_service_or_cannot_be_signed_is_not_admitted() {
    let world = World::new();
    let mut asked = certificate("shop", hufu_kernel::Root::Sandbox);
    asked.jwks.keys.push(key(Alg::ES256, &*world.rng).public().clone());
    let admit = |world: &World, asked: &mut hufu_wire::api::platform::PlatformCertificate, uri: &str, session| {
        asked.registration.backchannel_logout_uri = Some(uri.to_owned());
        asked.registration.backchannel_logout_session_required = session;
        world.admit(asked)
    };
    for uri in ["https://10.0.0.1/out", "http://shop.example/out", "https://[fd00::1]/", "file:///etc/passwd"] {
        assert_eq!(admit(&world, &mut asked, uri, false), Err(Refusal::PlatformRequest), "{uri}");
    }
    let good = "https://shop.example/out";
    assert_eq!(admit(&world, &mut asked, good, true), Err(Refusal::PlatformRequest), "no ID token has a sid");
    assert_eq!(admit(&world, &mut asked, good, false), Ok(()));
    let keyless = World::without_response_keys();
    assert_eq!(admit(&keyless, &mut asked, good, false), Err(Refusal::PlatformRequest));
    let metadata: Value = serde_json::from_str(&keyless.front.discovery().body).unwrap();
    assert_eq!(metadata["backchannel_logout_supported"], json!(false));
}
