//! `claims` and `authorization_details`, from the request to what the platform is told, and what a person's no leaves of it.

use super::fixture::*;
use hufu_kernel::{Answer, Strength};
use hufu_oidc::client::{Pending, RelyingParty, Wish};
use hufu_oidc::provider::{DETAIL_TYPE, TRUST_FRAMEWORK};
use hufu_oidc::{Form, OAuthError};
use hufu_wire::api::platform::Registration;
use hufu_wire::api::sign_in::{CompleteSignIn, IdToken, acr, amr};
use hufu_wire::jose::{Alg, Compact, Jwks};
use serde_json::{Value, json};

/// As far as the wallet, with these parameters besides.
async fn at_wallet(world: &World, rp: &RelyingParty, more: &[(&str, &str)]) -> AtWallet {
    let pending = rp.begin(&Wish::default(), &*world.rng);
    let mut push = world.push_request(rp, &pending);
    for (name, value) in more {
        push.body = with_parameter(&push.body, name, Some(value));
    }
    let reply = world.send(&push).await;
    let url = rp.pushed(reply.status, &reply.body).unwrap();
    world.arrived(pending, url).await
}

/// What the platform is told at its address, by name.
fn told(url: &str, name: &str) -> Option<String> {
    Form::parse(query(url)).unwrap().get(name).map(str::to_owned)
}

/// The token response and userinfo of a person who agreed to `given`.
async fn signed_in(world: &World, rp: &RelyingParty, at: &AtWallet, given: &[Answer]) -> (Value, String) {
    let (token, s) = world.claims(&at.transaction, given);
    let answer =
        CompleteSignIn { tx: at.transaction.tx, id_token: world.signed_by(&world.group, &token), s, handle: None };
    let back = world.front.complete(&answer, &[&at.begun.cookie]).await.unwrap();
    redeemed(world, rp, &at.pending, &back.redirect_to).await
}

async fn redeemed(world: &World, rp: &RelyingParty, pending: &Pending, url: &str) -> (Value, String) {
    let code = rp.callback(pending, query(url)).unwrap();
    let reply = world.send(&world.token_request(rp, pending, &code)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let token: Value = serde_json::from_str(&reply.body).unwrap();
    let userinfo = world.userinfo(rp, token["access_token"].as_str().unwrap()).await;
    (token, userinfo.body)
}

fn verified(claims: &[&str]) -> String {
    let claims: serde_json::Map<String, Value> = claims.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    let element = json!({ "verification": { "trust_framework": { "value": TRUST_FRAMEWORK } }, "claims": claims });
    json!({ "userinfo": { "verified_claims": element } }).to_string()
}

#[tokio::test]
async fn the_person_sees_what_claims_ask_and_the_platform_what_the_person_agreed_to() {
    let world = World::new();
    let shop = world.fapi("shop");
    let claims = verified(&["is_real_person", "age_over_18", "family_name"]);
    let more = [("claims", &*claims), ("hufu_purpose", "adults")];
    let at = at_wallet(&world, &shop, &more).await;
    assert_eq!(at.transaction.answers, [Answer::Real, Answer::AgeOver18]);
    let (_, userinfo) = signed_in(&world, &shop, &at, &[Answer::Real, Answer::AgeOver18]).await;
    let userinfo: Value = serde_json::from_str(&userinfo).unwrap();
    let element = |claims: Value| json!({ "verification": { "trust_framework": TRUST_FRAMEWORK }, "claims": claims });
    assert_eq!(userinfo["verified_claims"], element(json!({ "is_real_person": true, "age_over_18": true })));
    // Agreed to less: less is told.
    let at = at_wallet(&world, &shop, &more).await;
    let (_, userinfo) = signed_in(&world, &shop, &at, &[Answer::Real]).await;
    let userinfo: Value = serde_json::from_str(&userinfo).unwrap();
    assert_eq!(userinfo["verified_claims"], element(json!({ "is_real_person": true })));
    // Not entitled for this purpose: not asked of the person either.
    let at = at_wallet(&world, &shop, &[("claims", &claims)]).await;
    assert_eq!(at.transaction.answers, [Answer::Real]);
}

#[tokio::test]
async fn signed_userinfo_carries_them_and_no_id_token_does() {
    let world = World::new();
    let registration = Registration { userinfo_signed_response_alg: Some(Alg::PS256), ..Registration::default() };
    let shop = world.fapi_with("shop", Alg::EdDSA, registration);
    let mut claims: Value = serde_json::from_str(&verified(&["is_unique_person"])).unwrap();
    claims["id_token"]["verified_claims"] = claims["userinfo"]["verified_claims"].clone();
    let claims = claims.to_string();
    let at = at_wallet(&world, &shop, &[("claims", &claims)]).await;
    let (token, userinfo) = signed_in(&world, &shop, &at, &[Answer::Unique]).await;
    let jws = Compact::parse(&userinfo).unwrap();
    let keys = Jwks::from_json(world.front.jwks().body.as_bytes()).unwrap();
    let told: Value = keys.verify(&jws, &[Alg::PS256]).unwrap().json().unwrap();
    assert_eq!(told["verified_claims"]["claims"], json!({ "is_unique_person": true }));
    let id_token = Compact::parse(token["id_token"].as_str().unwrap()).unwrap();
    let id_token: Value = id_token.unverified().json().unwrap();
    assert!(id_token.get("verified_claims").is_none());
}

#[tokio::test]
async fn what_was_granted_of_authorization_details_comes_with_the_token() {
    let world = World::new();
    let shop = world.fapi("shop");
    let details = json!([{ "type": DETAIL_TYPE, "purpose": "adults", "answers": ["real", "age_over_18"] }]).to_string();
    let at = at_wallet(&world, &shop, &[("authorization_details", &details)]).await;
    assert_eq!(
        (at.transaction.purpose.as_str(), at.transaction.answers.as_slice()),
        ("adults", &[Answer::Real, Answer::AgeOver18][..])
    );
    let (token, _) = signed_in(&world, &shop, &at, &[Answer::AgeOver18]).await;
    let granted =
        json!([{ "type": DETAIL_TYPE, "purpose": "adults", "answers": ["age_over_18"], "strength": "certificate" }]);
    assert_eq!(token["authorization_details"], granted);
    // Beyond the certificate nobody is asked anything.
    let beyond = details.replace("age_over_18", "age_band");
    let pending = shop.begin(&Wish::default(), &*world.rng);
    let mut push = world.push_request(&shop, &pending);
    push.body = with_parameter(&push.body, "authorization_details", Some(&beyond));
    assert_eq!(error_of(&world.send(&push).await), "400 invalid_authorization_details");
}

/// The attack: somebody else is signed in where the platform named a person.
#[tokio::test]
async fn a_person_whom_claims_name_is_the_only_one_who_is_signed_in() {
    let world = World::new();
    let shop = world.fapi("shop");
    let known = world.sign_in(&shop, &Wish::default()).await.token.sub;
    for (sub, wanted) in [(known.as_str(), None), ("somebody-else", Some("login_required"))] {
        let claims = json!({ "id_token": { "sub": { "value": sub } } }).to_string();
        let at = at_wallet(&world, &shop, &[("claims", &claims)]).await;
        let back = world.complete(&at).await.unwrap();
        assert_eq!(told(&back.redirect_to, "error").as_deref(), wanted);
        assert_eq!(told(&back.redirect_to, "code").is_some(), wanted.is_none());
    }
}

/// The attack: a sign-in of another strength than the one that is essential is passed off as it.
#[tokio::test]
async fn an_essential_acr_is_met_or_the_sign_in_has_failed() {
    let world = World::new();
    let shop = world.fapi("shop");
    let strong = Strength::CertificatePassword;
    let essential = |strengths: &[Strength]| {
        let values: Vec<_> = strengths.iter().map(|strength| acr(*strength)).collect();
        json!({ "id_token": { "acr": { "essential": true, "values": values } } }).to_string()
    };
    let made_strong = |token: &mut IdToken| {
        (token.acr, token.amr, token.hufu.strength) = (acr(strong).to_owned(), amr(strong), strong);
    };
    for (claims, wanted) in [
        (essential(&[strong]), None),
        (essential(&[Strength::Certificate, strong]), None),
        (essential(&[Strength::Certificate]), Some(OAuthError::ClaimsStrength.code())),
    ] {
        let at = at_wallet(&world, &shop, &[("claims", &claims)]).await;
        let answer = world.answer_with(&at.transaction, made_strong);
        let back = world.front.complete(&answer, &[&at.begun.cookie]).await.unwrap();
        assert_eq!(told(&back.redirect_to, "error").as_deref(), wanted, "{claims}");
    }
    // Weaker than what is essential is no answer at all.
    let at = at_wallet(&world, &shop, &[("claims", &essential(&[strong]))]).await;
    assert_eq!(at.transaction.strength, strong);
    let weak = Strength::Certificate;
    let made_weak = |token: &mut IdToken| {
        (token.acr, token.amr, token.hufu.strength) = (acr(weak).to_owned(), amr(weak), weak);
    };
    let answer = world.answer_with(&at.transaction, made_weak);
    assert_eq!(
        world.front.complete(&answer, &[&at.begun.cookie]).await.err(),
        Some(hufu_kernel::Refusal::TokenRejected)
    );
}

#[tokio::test]
async fn standard_claims_are_answered_without_values_essential_or_not() {
    let world = World::new();
    let judge = world.basic("judge");
    let pending = judge.begin(&Wish::default(), &*world.rng);
    let claims = r#"{"userinfo":{"name":{"essential":true},"email":null},"id_token":{"auth_time":{"essential":true},"birthdate":null}}"#;
    let form = with_parameter(&pending.query, "claims", Some(claims));
    let at = world.arrived(pending, format!("{ISSUER}/authorize?{form}")).await;
    let back = world.complete(&at).await.unwrap();
    let (token, userinfo) = redeemed(&world, &judge, &at.pending, &back.redirect_to).await;
    let userinfo: Value = serde_json::from_str(&userinfo).unwrap();
    assert_eq!(userinfo, json!({ "sub": userinfo["sub"], "hufu": userinfo["hufu"] }));
    let id_token = Compact::parse(token["id_token"].as_str().unwrap()).unwrap();
    let id_token: Value = id_token.unverified().json().unwrap();
    assert!(id_token["auth_time"].is_i64() && id_token.get("birthdate").is_none());
}
