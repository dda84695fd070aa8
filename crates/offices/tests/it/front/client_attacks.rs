//! Attacks on client authentication and on proof of possession.

use super::fixture::*;
use hufu_kernel::b64;
use hufu_offices::front::NONCE_SECONDS;
use hufu_oidc::Reply;
use hufu_oidc::client::{ClientAuth, HttpRequest, RelyingParty, Wish};
use hufu_wire::api::platform::Registration;
use hufu_wire::dpop::{Expected, make_proof};
use hufu_wire::jose::{Alg, Header, Signer, SoftKey, sign};
use serde_json::{Value, json};

fn assertion_key(rp: &RelyingParty) -> &SoftKey {
    match &rp.auth {
        ClientAuth::PrivateKeyJwt(key) => key,
        _ => panic!("no assertions"),
    }
}

fn claims(jti: &str) -> Value {
    json!({ "iss": "shop", "sub": "shop", "aud": ISSUER, "jti": jti, "iat": NOW, "exp": NOW + 60 })
}

async fn push_with(world: &World, rp: &RelyingParty, assertion: &str) -> Reply {
    let mut push = world.push_request(rp, &rp.begin(&Wish::default(), &*world.rng));
    push.body = with_parameter(&push.body, "client_assertion", Some(assertion));
    world.send(&push).await
}

#[tokio::test]
async fn an_assertion_is_addressed_to_the_issuer_as_a_string_and_to_nobody_else() {
    let world = World::new();
    let shop = world.fapi("shop");
    let audiences = [
        json!([ISSUER]),
        json!([ISSUER, "https://evil.example"]),
        json!(format!("{ISSUER}/token")),
        json!(format!("{ISSUER}/par")),
        json!(format!("{ISSUER}/")),
        json!("https://evil.example"),
        Value::Null,
    ];
    for (at, audience) in audiences.into_iter().enumerate() {
        let mut claims = claims(&at.to_string());
        claims["aud"] = audience.clone();
        let assertion = sign(assertion_key(&shop), Header::new(Alg::ES256), &claims).unwrap();
        assert_eq!(error_of(&push_with(&world, &shop, &assertion).await), "401 invalid_client", "{audience}");
    }
    let assertion = sign(assertion_key(&shop), Header::new(Alg::ES256), &claims("good")).unwrap();
    assert_eq!(push_with(&world, &shop, &assertion).await.status, 201);
}

#[tokio::test]
async fn an_assertion_with_a_mistake_is_refused() {
    let world = World::new();
    let (shop, bank) = (world.fapi("shop"), world.fapi("bank"));
    for (at, (name, value)) in [
        ("iss", json!("bank")),
        ("sub", json!("bank")),
        ("iss", Value::Null),
        ("sub", Value::Null),
        ("exp", json!(NOW - 300)),
        ("exp", json!(NOW)),
        ("exp", json!(NOW + 331)),
        ("exp", Value::Null),
        ("exp", json!("soon")),
        ("iat", json!(NOW + 60)),
        ("nbf", json!(NOW + 60)),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!("x".repeat(257))),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = claims(&at.to_string());
        claims[name] = value.clone();
        let assertion = sign(assertion_key(&shop), Header::new(Alg::ES256), &claims).unwrap();
        assert_eq!(error_of(&push_with(&world, &shop, &assertion).await), "401 invalid_client", "{name}={value}");
    }
    let by_another = sign(assertion_key(&bank), Header::new(Alg::ES256), &claims("x")).unwrap();
    assert_eq!(error_of(&push_with(&world, &shop, &by_another).await), "401 invalid_client");
}

#[tokio::test]
async fn an_assertion_cannot_name_its_own_algorithm_or_key() {
    let world = World::new();
    let shop = world.fapi("shop");
    let evil = key(Alg::ES256, &*world.rng);
    let payload = b64(claims("x").to_string().as_bytes());
    // The public key as an HMAC secret, no signature at all, RS256, and a key carried along.
    for alg in ["none", "HS256", "RS256"] {
        let forged = format!("{}.{payload}.{}", b64(json!({ "alg": alg }).to_string().as_bytes()), b64(&[1; 32]));
        assert_eq!(error_of(&push_with(&world, &shop, &forged).await), "401 invalid_client", "{alg}");
    }
    let mut header = Header::new(Alg::ES256);
    header.jwk = Some(json!(evil.public()));
    let own_key = sign(&evil, header, &claims("y")).unwrap();
    assert_eq!(error_of(&push_with(&world, &shop, &own_key).await), "401 invalid_client");
}

#[tokio::test]
async fn an_assertion_is_used_once_whatever_the_endpoint() {
    let world = World::new();
    let shop = world.fapi("shop");
    let assertion = sign(assertion_key(&shop), Header::new(Alg::ES256), &claims("once")).unwrap();
    assert_eq!(push_with(&world, &shop, &assertion).await.status, 201);
    assert_eq!(error_of(&push_with(&world, &shop, &assertion).await), "401 invalid_client");
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let mut redeem = world.token_request(&shop, &pending, &code);
    redeem.body = with_parameter(&redeem.body, "client_assertion", Some(&assertion));
    assert_eq!(error_of(&world.send(&redeem).await), "401 invalid_client");
    // The refusal has not used up the code.
    assert_eq!(world.send(&world.token_request(&shop, &pending, &code)).await.status, 200);
}

#[tokio::test]
async fn a_bad_signature_does_not_use_up_an_honest_clients_jti() {
    let world = World::new();
    let shop = world.fapi("shop");
    let evil = key(Alg::ES256, &*world.rng);
    let forged = sign(&evil, Header::new(Alg::ES256), &claims("mine")).unwrap();
    push_with(&world, &shop, &forged).await;
    let honest = sign(assertion_key(&shop), Header::new(Alg::ES256), &claims("mine")).unwrap();
    assert_eq!(push_with(&world, &shop, &honest).await.status, 201);
}

#[tokio::test]
async fn methods_are_not_mixed_and_not_chosen_by_the_caller() {
    let world = World::new();
    let (shop, judge) = (world.fapi("shop"), world.basic("judge"));
    let pending = shop.begin(&Wish::default(), &*world.rng);
    let push = || world.push_request(&shop, &pending);
    let basic = |user: &str, secret: &str| ("authorization", format!("Basic {}", base64(&format!("{user}:{secret}"))));

    let mut both = push();
    both.headers.push(basic("shop", "x"));
    assert_eq!(error_of(&world.send(&both).await), "400 invalid_request");

    let mut secret_for_fapi = push();
    secret_for_fapi.body = with_parameter(&pending.query, "client_secret", Some(SECRET));
    assert_eq!(error_of(&world.send(&secret_for_fapi).await), "401 invalid_client");

    let mut nothing = push();
    nothing.body.clone_from(&pending.query);
    assert_eq!(error_of(&world.send(&nothing).await), "401 invalid_client");

    let mut wrong_type = push();
    wrong_type.body = with_parameter(&wrong_type.body, "client_assertion_type", Some("urn:x"));
    assert_eq!(error_of(&world.send(&wrong_type).await), "401 invalid_client");

    let pending = judge.begin(&Wish::default(), &*world.rng);
    for bad in
        [basic("judge", "wrong"), basic("judge", ""), basic("nobody", SECRET), ("authorization", "Basic !".into())]
    {
        let mut push = world.push_request(&judge, &pending);
        push.headers = vec![bad];
        let reply = world.send(&push).await;
        assert_eq!(error_of(&reply), "401 invalid_client");
        assert!(reply.header("www-authenticate").unwrap().starts_with("Basic "));
    }
}

fn base64(text: &str) -> String {
    use base64ct::Encoding;
    base64ct::Base64::encode_string(text.as_bytes())
}

fn set_proof(request: &mut HttpRequest, proof: Option<String>) {
    request.headers.retain(|(name, _)| *name != "dpop");
    request.headers.extend(proof.map(|proof| ("dpop", proof)));
}

fn proof(world: &World, signer: &SoftKey, method: &str, htu: &str, token: Option<&str>) -> String {
    let request = Expected { method, htu, now: world.now(), max_age: 0, access_token: token, nonce: None };
    make_proof(signer, &request, &*world.rng).unwrap()
}

#[tokio::test]
async fn a_token_request_needs_a_fresh_proof_of_the_right_key_for_this_endpoint() {
    let world = World::new();
    let shop = world.fapi("shop");
    let own = shop.dpop.as_ref().unwrap();
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let endpoint = format!("{ISSUER}/token");
    let with = async |proof: Option<String>| {
        let mut redeem = world.token_request(&shop, &pending, &code);
        set_proof(&mut redeem, proof);
        error_of(&world.send(&redeem).await)
    };
    let bad = "400 invalid_dpop_proof";
    assert_eq!(with(None).await, bad);
    assert_eq!(with(Some("x".into())).await, bad);
    assert_eq!(with(Some(proof(&world, own, "GET", &endpoint, None))).await, bad);
    assert_eq!(with(Some(proof(&world, own, "POST", &format!("{ISSUER}/par"), None))).await, bad);
    assert_eq!(with(Some(proof(&world, own, "POST", "https://evil.example/token", None))).await, bad);
    let evil = key(Alg::ES256, &*world.rng);
    assert_eq!(with(Some(proof(&world, &evil, "POST", &endpoint, None))).await, "400 invalid_grant");

    let old = proof(&world, own, "POST", &endpoint, None);
    world.clock.advance(61);
    assert_eq!(with(Some(old)).await, bad);
}

#[tokio::test]
async fn a_proof_is_used_once() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let first = world.token_request(&shop, &pending, &code);
    let used = first.headers.iter().find(|(name, _)| *name == "dpop").unwrap().1.clone();
    assert_eq!(world.send(&first).await.status, 200);
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let mut second = world.token_request(&shop, &pending, &code);
    set_proof(&mut second, Some(used));
    assert_eq!(error_of(&world.send(&second).await), "400 invalid_dpop_proof");
}

#[tokio::test]
async fn two_proofs_are_refused() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let mut redeem = world.token_request(&shop, &pending, &code);
    let extra = proof(&world, shop.dpop.as_ref().unwrap(), "POST", &format!("{ISSUER}/token"), None);
    redeem.headers.push(("dpop", extra));
    assert_eq!(error_of(&world.send(&redeem).await), "400 invalid_dpop_proof");
}

#[tokio::test]
async fn a_pushed_proof_and_dpop_jkt_must_be_one_key() {
    let world = World::new();
    let shop = world.fapi("shop");
    let evil = key(Alg::ES256, &*world.rng);
    let mut push = world.push_request(&shop, &shop.begin(&Wish::default(), &*world.rng));
    set_proof(&mut push, Some(proof(&world, &evil, "POST", &format!("{ISSUER}/par"), None)));
    assert_eq!(error_of(&world.send(&push).await), "400 invalid_request");
}

#[tokio::test]
async fn a_stolen_access_token_is_worth_nothing_without_its_key() {
    let world = World::new();
    let shop = world.fapi("shop");
    let own = shop.dpop.as_ref().unwrap();
    let token = world.sign_in(&shop, &Wish::default()).await.access_token;
    let endpoint = format!("{ISSUER}/userinfo");
    let with = async |scheme: &str, proof: Option<String>| {
        let mut request = shop.userinfo(&token, world.now(), &*world.rng).unwrap();
        request.headers = vec![("authorization", format!("{scheme} {token}"))];
        set_proof(&mut request, proof);
        world.send(&request).await
    };
    let evil = key(Alg::ES256, &*world.rng);
    let stolen = proof(&world, &evil, "GET", &endpoint, Some(&token));
    assert_eq!(error_of(&with("DPoP", Some(stolen)).await), "401 invalid_token");
    assert_eq!(error_of(&with("Bearer", None).await), "401 invalid_token");
    assert_eq!(error_of(&with("DPoP", None).await), "401 invalid_dpop_proof");
    let without_ath = proof(&world, own, "GET", &endpoint, None);
    assert_eq!(error_of(&with("DPoP", Some(without_ath)).await), "401 invalid_dpop_proof");
    let other_token = proof(&world, own, "GET", &endpoint, Some("other"));
    assert_eq!(error_of(&with("DPoP", Some(other_token)).await), "401 invalid_dpop_proof");

    let good = proof(&world, own, "GET", &endpoint, Some(&token));
    assert_eq!(with("DPoP", Some(good.clone())).await.status, 200);
    let replayed = with("DPoP", Some(good)).await;
    assert_eq!(error_of(&replayed), "401 invalid_dpop_proof");
    assert!(replayed.header("www-authenticate").unwrap().starts_with("DPoP "));
}

#[tokio::test]
async fn userinfo_refuses_what_is_no_token_of_ours() {
    let world = World::new();
    let shop = world.fapi("shop");
    let signed_in = world.sign_in(&shop, &Wish::default()).await;
    assert_eq!(error_of(&world.userinfo(&shop, "AAAA").await), "401 invalid_token");
    // Neither an ID token nor a code is an access token.
    assert_eq!(error_of(&world.userinfo(&shop, &signed_in.id_token).await), "401 invalid_token");
    let (_, code) = world.code(&shop, &Wish::default()).await;
    assert_eq!(error_of(&world.userinfo(&shop, &code).await), "401 invalid_token");
    world.clock.advance(300);
    assert_eq!(error_of(&world.userinfo(&shop, &signed_in.access_token).await), "401 invalid_token");
}

#[tokio::test]
async fn assertions_by_eddsa_are_accepted_where_the_certificate_says_so() {
    let world = World::new();
    let eddsa = key(Alg::EdDSA, &*world.rng);
    let mut certificate = certificate("modern", hufu_kernel::Root::Sandbox);
    certificate.jwks.keys.push(eddsa.public().clone());
    world.admit(&certificate).unwrap();
    let mut modern = world.fapi("other");
    modern.client_id = "modern".into();
    modern.redirect_uri = "https://modern.example/cb".into();
    assert_eq!(eddsa.alg(), Alg::EdDSA);
    modern.auth = ClientAuth::PrivateKeyJwt(eddsa);
    world.sign_in(&modern, &Wish::default()).await;
}

fn nonces() -> Registration {
    Registration { require_dpop_nonce: true, ..Registration::default() }
}

/// The nonce that a refusal carries.
fn asked_for(reply: &Reply) -> String {
    reply.header("dpop-nonce").unwrap().to_owned()
}

#[tokio::test]
async fn a_nonce_costs_one_request_and_each_answer_brings_the_next() {
    let world = World::new();
    let shop = world.fapi_with("shop", Alg::EdDSA, nonces());
    let pending = shop.begin(&Wish::default(), &*world.rng);
    let push = world.push_request(&shop, &pending);
    let first = world.send(&push).await;
    assert_eq!(error_of(&first), "400 use_dpop_nonce");
    let again = |request: &HttpRequest, nonce: &str| shop.with_nonce(request, nonce, world.now(), &*world.rng).unwrap();
    let pushed = world.send(&again(&push, &asked_for(&first))).await;
    let begun = world.browse(&shop.pushed(pushed.status, &pushed.body).unwrap()).await;
    let back = world.front.complete(&world.answer(&world.fetch(&begun.tx)), &[&begun.cookie]).await.unwrap();
    let code = shop.callback(&pending, query(&back.redirect_to)).unwrap();

    // From here on no request is made twice.
    let redeem = world.token_request(&shop, &pending, &code);
    let redeemed = world.send(&again(&redeem, &asked_for(&pushed))).await;
    let token = shop.redeemed(&pending, redeemed.status, &redeemed.body, world.now()).unwrap().access_token;
    let ask = shop.userinfo(&token, world.now(), &*world.rng).unwrap();
    let told = world.send(&again(&ask, &asked_for(&redeemed))).await;
    assert_eq!(told.status, 200);
    // Userinfo without one is a failed authentication, and says what is missing.
    let refused = world.send(&ask).await;
    assert_eq!(error_of(&refused), "401 use_dpop_nonce");
    assert!(refused.header("www-authenticate").unwrap().contains("error=\"use_dpop_nonce\""));
    assert_eq!(asked_for(&refused), asked_for(&told));
    // A platform that did not register for it is asked for none and told none.
    let bank = world.fapi("bank");
    let pushed = world.send(&world.push_request(&bank, &bank.begin(&Wish::default(), &*world.rng))).await;
    assert_eq!((pushed.status, pushed.header("dpop-nonce")), (201, None));
}

/// Somebody had the DPoP key for an hour and made proofs for later: they name their time, and no nonce of it.
#[tokio::test]
async fn a_proof_made_beforehand_is_worth_nothing_when_its_time_comes() {
    let world = World::new();
    let (shop, bank) = (world.fapi_with("shop", Alg::EdDSA, nonces()), world.fapi("bank"));
    for (victim, wanted) in [(&shop, Some("400 use_dpop_nonce")), (&bank, None)] {
        let push = world.push_request(victim, &victim.begin(&Wish::default(), &*world.rng));
        let given = world.send(&push).await;
        let nonce = given.header("dpop-nonce").map(str::to_owned);
        let htu = format!("{ISSUER}/par");
        let later = world.now() + 2 * NONCE_SECONDS;
        let made = |now, nonce| {
            let request = Expected { method: "POST", htu: &htu, now, max_age: 0, access_token: None, nonce };
            make_proof(victim.dpop.as_ref().unwrap(), &request, &*world.rng).unwrap()
        };
        // With the nonce of today, where there is one, and without.
        let stolen = [made(later, nonce.as_deref()), made(later, None)];
        world.clock.advance(2 * NONCE_SECONDS);
        for proof in stolen {
            let mut push = world.push_request(victim, &victim.begin(&Wish::default(), &*world.rng));
            set_proof(&mut push, Some(proof));
            let reply = world.send(&push).await;
            match wanted {
                Some(wanted) => assert_eq!(error_of(&reply), wanted),
                // The control: where no nonce is asked for, the stolen proof is as good as any.
                None => assert_eq!(reply.status, 201),
            }
        }
    }
}

#[tokio::test]
async fn a_nonce_of_another_front_or_of_before_is_none_and_the_code_is_not_used_up_by_it() {
    let (world, elsewhere) = (World::new(), World::seeded(8));
    let shop = world.fapi_with("shop", Alg::EdDSA, nonces());
    let push = world.push_request(&shop, &shop.begin(&Wish::default(), &*world.rng));
    let own = asked_for(&world.send(&push).await);
    let there = elsewhere.fapi_with("shop", Alg::EdDSA, nonces());
    let foreign = elsewhere.push_request(&there, &there.begin(&Wish::default(), &*elsewhere.rng));
    let foreign = asked_for(&elsewhere.send(&foreign).await);
    assert_ne!(own, foreign);
    let again = |nonce: &str| shop.with_nonce(&push, nonce, world.now(), &*world.rng).unwrap();
    assert_eq!(error_of(&world.send(&again(&foreign)).await), "400 use_dpop_nonce");
    assert_eq!(error_of(&world.send(&again("")).await), "400 use_dpop_nonce");
    assert_eq!(world.send(&again(&own)).await.status, 201);
    world.clock.advance(2 * NONCE_SECONDS);
    assert_eq!(error_of(&world.send(&again(&own)).await), "400 use_dpop_nonce", "too old");

    // Even of a platform that need not send any.
    let bank = world.fapi("bank");
    let (pending, code) = world.code(&bank, &Wish::default()).await;
    let redeem = world.token_request(&bank, &pending, &code);
    let refused = world.send(&bank.with_nonce(&redeem, &own, world.now(), &*world.rng).unwrap()).await;
    assert_eq!(error_of(&refused), "400 use_dpop_nonce");
    let mended = bank.with_nonce(&redeem, &asked_for(&refused), world.now(), &*world.rng).unwrap();
    assert_eq!(world.send(&mended).await.status, 200);
}
