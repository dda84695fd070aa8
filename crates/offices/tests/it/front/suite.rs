//! What modules of the OpenID Foundation's suite ask that no other test here asks in these words. docs/standards/conformance.md says which
//! module is mirrored by which test.

use super::fixture::*;
use hufu_kernel::{Answer, Timestamp, b64, random};
use hufu_oidc::Reply;
use hufu_oidc::client::{ClientAuth, HttpRequest, Pending, RelyingParty, Wish};
use hufu_oidc::{Form, OAuthError};
use hufu_wire::dpop::{Expected, make_proof};
use hufu_wire::jose::{Alg, Header, Signer, SoftKey, sign};
use serde_json::{Value, json};

/// The push of a sign-in with changed parameters.
fn push(world: &World, rp: &RelyingParty, pending: &Pending, changes: &[(&str, Option<&str>)]) -> HttpRequest {
    let mut push = world.push_request(rp, pending);
    for (name, value) in changes {
        push.body = with_parameter(&push.body, name, *value);
    }
    push
}

/// From an accepted push to the code's redemption.
async fn redeemed(world: &World, rp: &RelyingParty, pending: Pending, pushed: &Reply) -> Reply {
    let url = rp.pushed(pushed.status, &pushed.body).unwrap();
    let at = world.arrived(pending, url).await;
    let back = world.complete(&at).await.unwrap();
    let form = Form::parse(query(&back.redirect_to)).unwrap();
    world.send(&world.token_request(rp, &at.pending, form.get("code").unwrap())).await
}

fn set_proof(request: &mut HttpRequest, proof: String) {
    request.headers.retain(|(name, _)| *name != "dpop");
    request.headers.push(("dpop", proof));
}

fn proof(world: &World, key: &SoftKey, path: &str, now: Timestamp) -> String {
    let htu = format!("{ISSUER}{path}");
    let request = Expected { method: "POST", htu: &htu, now, max_age: 0, access_token: None, nonce: None };
    make_proof(key, &request, &*world.rng).unwrap()
}

#[test]
fn the_metadata_says_what_the_profile_demands() {
    let world = World::new();
    let metadata: Value = serde_json::from_str(&world.front.discovery().body).unwrap();
    assert_eq!(metadata["issuer"], json!(ISSUER));
    for (endpoint, path) in [
        ("authorization_endpoint", "/authorize"),
        ("pushed_authorization_request_endpoint", "/par"),
        ("token_endpoint", "/token"),
        ("userinfo_endpoint", "/userinfo"),
        ("jwks_uri", "/jwks.json"),
        ("end_session_endpoint", "/logout"),
    ] {
        assert_eq!(metadata[endpoint], json!(format!("{ISSUER}{path}")));
    }
    for (name, values) in [
        ("response_types_supported", json!(["code"])),
        ("subject_types_supported", json!(["pairwise"])),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("dpop_signing_alg_values_supported", json!(["ES256", "EdDSA", "PS256"])),
        ("request_object_signing_alg_values_supported", json!(["ES256", "EdDSA", "PS256"])),
        ("token_endpoint_auth_signing_alg_values_supported", json!(["ES256", "EdDSA", "PS256"])),
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("claims_parameter_supported", json!(true)),
        ("request_parameter_supported", json!(true)),
        ("request_uri_parameter_supported", json!(false)),
        ("backchannel_logout_supported", json!(true)),
        ("backchannel_logout_session_supported", json!(false)),
    ] {
        assert_eq!(metadata[name], values, "{name}");
    }
    for name in ["claims_supported", "scopes_supported", "acr_values_supported", "grant_types_supported"] {
        assert!(metadata[name].as_array().is_some_and(|values| !values.is_empty()), "{name}");
    }
}

#[tokio::test]
async fn what_a_platform_may_leave_out_or_write_otherwise() {
    let world = World::new();
    let shop = world.fapi("shop");
    let long = "n".repeat(64);
    for changes in [
        vec![("state", None)],
        vec![("nonce", None)],
        vec![("nonce", Some(&*long))],
        vec![("scope", Some("hufu:unique hufu:real openid"))],
        vec![("dpop_jkt", None)],
    ] {
        let pending = shop.begin(&Wish::default(), &*world.rng);
        let pushed = world.send(&push(&world, &shop, &pending, &changes)).await;
        let token = redeemed(&world, &shop, pending, &pushed).await;
        assert_eq!(token.status, 200, "{changes:?}: {}", token.body);
    }
    // Told back as it came, or not at all.
    let pending = shop.begin(&Wish::default(), &*world.rng);
    let pushed = world.send(&push(&world, &shop, &pending, &[("state", None)])).await;
    let at = world.arrived(pending, shop.pushed(pushed.status, &pushed.body).unwrap()).await;
    assert!(!world.complete(&at).await.unwrap().redirect_to.contains("state="));
}

#[tokio::test]
async fn parameters_that_are_not_understood_are_passed_over() {
    let world = World::new();
    let judge = world.basic("judge");
    for (name, value) in [
        ("display", "page"),
        ("display", "popup"),
        ("login_hint", "buffy@example.com"),
        ("claims_locales", "se"),
        ("ui_locales", "se"),
        ("extra", "foobar"),
        ("acr_values", "1 2"),
    ] {
        let pending = judge.begin(&Wish::default(), &*world.rng);
        let form = with_parameter(&pending.query, name, Some(value));
        let at = world.arrived(pending, format!("{ISSUER}/authorize?{form}")).await;
        assert_eq!(at.transaction.answers, [Answer::Real, Answer::Unique], "{name}");
        assert!(world.complete(&at).await.is_ok(), "{name}={value}");
    }
}

#[tokio::test]
async fn response_types_other_than_code_are_refused_at_the_platforms_address() {
    let world = World::new();
    let (shop, judge) = (world.fapi("shop"), world.basic("judge"));
    for wanted in [Some("code id_token"), Some("token"), Some("id_token"), None] {
        let pending = shop.begin(&Wish::default(), &*world.rng);
        let refused = world.send(&push(&world, &shop, &pending, &[("response_type", wanted)])).await;
        assert_eq!(error_of(&refused), "400 unsupported_response_type", "{wanted:?}");
        let pending = judge.begin(&Wish::default(), &*world.rng);
        let form = with_parameter(&pending.query, "response_type", wanted);
        let sent = world.front.authorize(&form, &[]).await.unwrap();
        let told = judge.callback(&pending, query(sent.header("location").unwrap())).unwrap_err();
        assert!(told.to_string().contains("unsupported_response_type"), "{told}");
    }
}

#[tokio::test]
async fn a_clock_ten_seconds_off_makes_proofs_that_are_taken() {
    let world = World::new();
    let shop = world.fapi("shop");
    for (off, taken) in [(-10, true), (10, true), (-61, false), (11, false)] {
        let (pending, code) = world.code(&shop, &Wish::default()).await;
        let mut redeem = world.token_request(&shop, &pending, &code);
        set_proof(&mut redeem, proof(&world, shop.dpop.as_ref().unwrap(), "/token", NOW + off));
        let reply = world.send(&redeem).await;
        assert_eq!(reply.status, if taken { 200 } else { 400 }, "{off}: {}", reply.body);
    }
}

/// A proof with claims that RFC 9449 does not speak of.
#[tokio::test]
async fn a_proof_may_say_more_than_it_must() {
    let world = World::new();
    let shop = world.fapi("shop");
    let own = shop.dpop.as_ref().unwrap();
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let mut public = serde_json::to_value(own.public()).unwrap();
    public.as_object_mut().unwrap().retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
    let header = Header { jwk: Some(public), ..Header::new(Alg::ES256).typ("dpop+jwt") };
    let claims = json!({
        "jti": b64(&random::<16>(&*world.rng)), "htm": "POST", "htu": format!("{ISSUER}/token"), "iat": NOW, "nbf": NOW, "exp": NOW + 300
    });
    let mut redeem = world.token_request(&shop, &pending, &code);
    set_proof(&mut redeem, sign(own, header, &claims).unwrap());
    assert_eq!(world.send(&redeem).await.status, 200);
}

#[tokio::test]
async fn a_code_is_bound_to_the_key_that_was_named_or_shown_when_it_was_asked_for() {
    let world = World::new();
    let shop = world.fapi("shop");
    let other = key(Alg::ES256, &*world.rng);
    let thumbprint = other.public().thumbprint();
    // Named: another than the one that is shown at the token endpoint.
    let pending = shop.begin(&Wish::default(), &*world.rng);
    let mut named = push(&world, &shop, &pending, &[("dpop_jkt", Some(&thumbprint))]);
    named.headers.retain(|(name, _)| *name != "dpop");
    let pushed = world.send(&named).await;
    assert_eq!(error_of(&redeemed(&world, &shop, pending, &pushed).await), "400 invalid_grant");
    // Shown with the push, and not named.
    for (shown, wanted) in [(shop.dpop.as_ref().unwrap(), 200), (&other, 400)] {
        let pending = shop.begin(&Wish::default(), &*world.rng);
        let mut request = push(&world, &shop, &pending, &[("dpop_jkt", None)]);
        set_proof(&mut request, proof(&world, shown, "/par", NOW));
        let pushed = world.send(&request).await;
        assert_eq!(redeemed(&world, &shop, pending, &pushed).await.status, wanted);
    }
}

#[tokio::test]
async fn a_token_is_given_to_the_client_that_authenticates_and_to_no_other_name() {
    let world = World::new();
    let (shop, bank) = (world.fapi("shop"), world.fapi("bank"));
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let good = || world.token_request(&shop, &pending, &code);
    // The other client's name over this client's signature, and the other's assertion signed by this one.
    let mut named = good();
    named.body = with_parameter(&named.body, "client_id", Some("bank"));
    assert_eq!(error_of(&world.send(&named).await), "401 invalid_client");
    let ClientAuth::PrivateKeyJwt(own) = &shop.auth else { panic!("a key") };
    let claims = json!({ "iss": "bank", "sub": "bank", "aud": ISSUER, "jti": "j", "iat": NOW, "exp": NOW + 60 });
    let crossed = sign(own, Header::new(own.alg()), &claims).unwrap();
    for client_id in [Some("bank"), None] {
        let mut request = good();
        request.body = with_parameter(&request.body, "client_id", client_id);
        request.body = with_parameter(&request.body, "client_assertion", Some(&crossed));
        assert_eq!(error_of(&world.send(&request).await), "401 invalid_client");
    }
    // No assertion at all.
    let mut bare = good();
    bare.body = with_parameter(&bare.body, "client_assertion", None);
    assert_eq!(error_of(&world.send(&bare).await), "401 invalid_client");
    // None of it used the code up.
    assert_eq!(world.send(&good()).await.status, 200);
    drop(bank);
}

#[tokio::test]
async fn an_access_token_comes_by_header_or_body_and_the_scheme_in_any_case() {
    let world = World::new();
    let (shop, judge) = (world.fapi("shop"), world.basic("judge"));
    let token = world.sign_in(&shop, &Wish::default()).await.access_token;
    for scheme in ["DPoP", "dpop", "DPOP", "dPoP"] {
        let mut request = shop.userinfo(&token, world.now(), &*world.rng).unwrap();
        request.headers[0].1 = format!("{scheme} {token}");
        assert_eq!(world.send(&request).await.status, 200, "{scheme}");
    }
    let token = world.sign_in(&judge, &Wish::default()).await.access_token;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        for method in ["GET", "POST"] {
            let mut request = judge.userinfo(&token, world.now(), &*world.rng).unwrap();
            request.method = method;
            request.headers[0].1 = format!("{scheme} {token}");
            assert_eq!(world.send(&request).await.status, 200, "{scheme} {method}");
        }
    }
    let mut posted = judge.userinfo(&token, world.now(), &*world.rng).unwrap();
    posted.method = "POST";
    posted.headers.clear();
    posted.body = hufu_oidc::Pairs::default().with("access_token", &token).encode();
    assert_eq!(world.send(&posted).await.status, 200);
}

#[tokio::test]
async fn a_secret_may_be_posted_at_the_token_endpoint() {
    let world = World::new();
    let judge = world.basic("judge");
    for (secret, status) in [(SECRET, 200), ("another", 401)] {
        let (pending, code) = world.code(&judge, &Wish::default()).await;
        let mut redeem = world.token_request(&judge, &pending, &code);
        redeem.headers.retain(|(name, _)| *name != "authorization");
        redeem.body = with_parameter(&redeem.body, "client_secret", Some(secret));
        assert_eq!(world.send(&redeem).await.status, status);
    }
}

#[tokio::test]
async fn requests_and_addresses_of_elsewhere_are_refused_where_the_platform_sees_it() {
    let world = World::new();
    let judge = world.basic("judge");
    let unsigned = format!("{}.{}.", b64(br#"{"alg":"none"}"#), b64(br#"{"redirect_uri":"https://evil.example/"}"#));
    for (name, value, wanted) in [
        ("request_uri", "https://judge.example/request.jwt", OAuthError::RequestUriForeign),
        ("request", &*unsigned, OAuthError::RequestObject),
        ("registration", "{}", OAuthError::Registration),
    ] {
        let pending = judge.begin(&Wish::default(), &*world.rng);
        let form = with_parameter(&pending.query, name, Some(value));
        let sent = world.front.authorize(&form, &[]).await.unwrap();
        let told = Form::parse(query(sent.header("location").unwrap())).unwrap();
        assert_eq!(told.get("error_description"), Some(wanted.description()), "{name}");
    }
}
