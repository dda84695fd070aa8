//! What must work.

use super::fixture::*;
use hufu_kernel::{Answer, Clock, Refusal, Root, Strength};
use hufu_offices::front::{Admission, Config, Front, FrontError};
use hufu_oidc::client::Wish;
use hufu_wire::api::sign_in::RefuseSignIn;
use hufu_wire::jose::{Alg, Header, Jwks, sign};
use serde_json::{Value, json};

#[tokio::test]
async fn a_fapi_platform_gets_the_token_that_the_nodes_signed_and_nothing_else() {
    let world = World::new();
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &Wish::default()).await;
    assert_eq!(at.transaction.answers, [Answer::Real, Answer::Unique]);
    assert_eq!(at.transaction.strength, Strength::Certificate);
    let answer = world.answer(&at.transaction);
    let next = world.front.complete(&answer, &[&at.begun.cookie]).await.unwrap();
    assert!(next.redirect_to.starts_with("https://shop.example/cb?code="));
    let code = shop.callback(&at.pending, query(&next.redirect_to)).unwrap();
    let reply = world.send(&world.token_request(&shop, &at.pending, &code)).await;
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let signed_in = shop.redeemed(&at.pending, reply.status, &reply.body, world.now()).unwrap();
    assert_eq!(signed_in.id_token, answer.id_token);
    assert_eq!(signed_in.token.sub, "sub-at-https://shop.example");

    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(body["token_type"], "DPoP");
    assert_eq!(body["scope"], "openid hufu:real hufu:unique");
    let told = world.userinfo(&shop, &signed_in.access_token).await;
    assert_eq!(told.status, 200);
    let told: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!(told, json!({ "sub": signed_in.token.sub, "hufu": signed_in.token.hufu }));
}

#[tokio::test]
async fn a_basic_platform_signs_in_without_pushing_and_gets_a_bearer_token() {
    let world = World::new();
    let judge = world.basic("judge");
    let signed_in = world.sign_in(&judge, &Wish::default()).await;
    assert_eq!(world.userinfo(&judge, &signed_in.access_token).await.status, 200);
}

#[tokio::test]
async fn a_basic_platform_may_push_and_may_post_its_secret() {
    let world = World::new();
    let judge = world.basic("judge");
    let pending = judge.begin(&Wish::default(), &*world.rng);
    let mut push = world.push_request(&judge, &pending);
    push.headers.retain(|(name, _)| *name != "authorization");
    push.body = with_parameter(&push.body, "client_secret", Some(SECRET));
    assert_eq!(world.send(&push).await.status, 201);
}

#[tokio::test]
async fn one_key_mode_signs_with_a_nodes_key() {
    let world = World::new();
    let old = world.fapi_alg("old", Alg::ES256);
    let at = world.at_wallet(&old, &Wish::default()).await;
    let (token, s) = world.claims(&at.transaction, &at.transaction.answers);
    let mut answer = world.answer(&at.transaction);
    (answer.id_token, answer.s) = (world.signed_by(&world.node, &token), s);
    let next = world.front.complete(&answer, &[&at.begun.cookie]).await.unwrap();
    let code = old.callback(&at.pending, query(&next.redirect_to)).unwrap();
    let reply = world.send(&world.token_request(&old, &at.pending, &code)).await;
    assert!(old.redeemed(&at.pending, reply.status, &reply.body, world.now()).is_ok());
}

#[tokio::test]
async fn the_person_may_agree_to_less_than_was_asked() {
    let world = World::new();
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &wish(&[Answer::Real, Answer::AgeOver18], "adults")).await;
    let (token, s) = world.claims(&at.transaction, &[Answer::Real]);
    let mut answer = world.answer(&at.transaction);
    (answer.id_token, answer.s) = (world.signed_by(&world.group, &token), s);
    assert!(world.front.complete(&answer, &[&at.begun.cookie]).await.is_ok());
}

#[tokio::test]
async fn a_person_who_does_not_agree_is_told_to_the_platform_as_access_denied() {
    let world = World::new();
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let refusal = RefuseSignIn { tx: at.transaction.tx };
    let next = world.front.refuse(&refusal, &[&at.begun.cookie]).await.unwrap();
    let told = shop.callback(&at.pending, query(&next.redirect_to)).unwrap_err();
    assert!(told.to_string().contains("access_denied"));
    assert_eq!(world.complete(&at).await, Err(Refusal::TransactionGone));
    assert!(world.front.authorize(query(&at.url), &[]).await.is_err());
}

#[tokio::test]
async fn acr_values_ask_for_the_weakest_of_those_listed_and_unknown_ones_are_passed_over() {
    let world = World::new();
    let shop = world.fapi("shop");
    for (wanted, needed) in [
        ("urn:hufu:acr:certificate+password", Strength::CertificatePassword),
        ("urn:hufu:acr:certificate+password urn:hufu:acr:certificate", Strength::Certificate),
        ("urn:hufu:acr:face urn:hufu:acr:certificate+password", Strength::CertificatePassword),
        ("urn:hufu:acr:face", Strength::Certificate),
        // What a form makes of a plus that nobody encoded.
        ("urn:hufu:acr:certificate password", Strength::CertificatePassword),
        ("urn:hufu:acr:certificate urn:hufu:acr:certificate password", Strength::Certificate),
    ] {
        let pending = shop.begin(&Wish::default(), &*world.rng);
        let mut push = world.push_request(&shop, &pending);
        push.body = with_parameter(&push.body, "acr_values", Some(wanted));
        let reply = world.send(&push).await;
        let begun = world.browse(&shop.pushed(reply.status, &reply.body).unwrap()).await;
        assert_eq!(world.fetch(&begun.tx).strength, needed, "{wanted}");
    }
}

#[tokio::test]
async fn standard_scopes_are_answered_without_values() {
    let world = World::new();
    let judge = world.basic("judge");
    let pending = judge.begin(&Wish::default(), &*world.rng);
    let form = with_parameter(&pending.query, "scope", Some("openid profile email address phone offline_access"));
    let begun = world.browse(&format!("{ISSUER}/authorize?{form}")).await;
    assert_eq!(world.fetch(&begun.tx).answers, [Answer::Real, Answer::Unique]);
}

#[tokio::test]
async fn tabs_of_one_browser_sign_in_side_by_side() {
    let world = World::new();
    let shop = world.fapi("shop");
    let first = world.at_wallet(&shop, &Wish::default()).await;
    let pending = shop.begin(&Wish::default(), &*world.rng);
    let url = world.pushed(&shop, &pending).await;
    let second = world.browse_with(&url, &[&first.begun.cookie]).await;
    let answer = world.answer(&first.transaction);
    assert!(world.front.complete(&answer, &[&second.cookie]).await.is_ok());
}

#[tokio::test]
async fn the_language_a_platform_asks_for_reaches_the_wallet() {
    let world = World::new();
    let shop = world.fapi("shop");
    let wish = Wish { ui_locales: Some("fr en".to_owned()), ..Wish::default() };
    let url = world.pushed(&shop, &shop.begin(&wish, &*world.rng)).await;
    let reply = world.front.authorize(query(&url), &[]).await.unwrap();
    assert!(reply.header("location").unwrap().ends_with("&ui_locales=en"));
}

#[tokio::test]
async fn a_platform_that_fills_the_front_is_told_so_and_every_other_goes_on() {
    let world = World::with_capacity(8);
    let (shop, other) = (world.fapi("shop"), world.fapi("other"));
    for _ in 0..2 {
        world.at_wallet(&shop, &Wish::default()).await;
    }
    let pending = shop.begin(&Wish::default(), &*world.rng);
    let url = world.pushed(&shop, &pending).await;
    let reply = world.front.authorize(query(&url), &[]).await.unwrap();
    let told = shop.callback(&pending, query(reply.header("location").unwrap())).unwrap_err();
    assert!(told.to_string().contains("temporarily_unavailable"));
    world.at_wallet(&other, &Wish::default()).await;
    world.clock.advance(601);
    world.at_wallet(&shop, &Wish::default()).await;
}

#[test]
fn published_keys_are_the_nodes_and_never_the_fronts() {
    let world = World::new();
    let jwks = Jwks::from_json(world.front.jwks().body.as_bytes()).unwrap();
    let thumbprints: Vec<_> = jwks.keys.iter().map(|key| key.thumbprint()).collect();
    assert!(thumbprints.contains(&world.group.public().thumbprint()));
    assert!(thumbprints.contains(&world.node.public().thumbprint()));
    assert!(!thumbprints.contains(&world.front_key.public().thumbprint()));
    assert!(jwks.keys.iter().all(|key| key.alg.is_some() && key.kid.is_some()));
}

#[test]
fn only_the_registry_of_this_root_admits_platforms() {
    let world = World::new();
    let good = || {
        let mut certificate = certificate("new", Root::Sandbox);
        certificate.jwks.keys.push(world.node.public().clone());
        certificate
    };
    assert_eq!(world.admit(&good()), Ok(()));
    let forged = sign(&world.group, Header::new(Alg::EdDSA).typ("hufu-platform+jwt"), &good()).unwrap();
    assert_eq!(world.front.admit(&forged).map_err(|told| told.refusal), Err(Refusal::PlatformUnknown));
    let other_kind = sign(&world.registry, Header::new(Alg::EdDSA).typ("JWT"), &good()).unwrap();
    assert_eq!(world.front.admit(&other_kind).map_err(|told| told.refusal), Err(Refusal::PlatformUnknown));

    type Change = fn(&mut hufu_wire::api::platform::PlatformCertificate);
    let changes: [(Change, Refusal); 8] = [
        (|c| c.root = Root::Production, Refusal::WrongRoot),
        (|c| c.exp = NOW, Refusal::PlatformUnknown),
        (|c| c.iat = NOW - 20, Refusal::PlatformUnknown),
        (|c| c.jwks.keys.clear(), Refusal::PlatformRequest),
        (|c| c.redirect_uris = vec!["http://shop.example/".into()], Refusal::PlatformRequest),
        (|c| c.purposes[0].answers.push(Answer::AgeBand), Refusal::PlatformRequest),
        (|c| c.sector_id = "https://New.example/".into(), Refusal::PlatformRequest),
        (|c| c.id_token_signed_response_alg = Alg::PS256, Refusal::PlatformRequest),
    ];
    for (at, (change, refusal)) in changes.into_iter().enumerate() {
        let mut certificate = good();
        change(&mut certificate);
        assert_eq!(world.admit(&certificate), Err(refusal), "change {at}");
    }
}

#[tokio::test]
async fn a_platform_whose_certificate_has_ended_is_unknown() {
    let world = World::new();
    let shop = world.fapi("shop");
    let signed_in = world.sign_in(&shop, &Wish::default()).await;
    world.clock.advance(365 * 86_400);
    let push = world.push_request(&shop, &shop.begin(&Wish::default(), &*world.rng));
    assert_eq!(error_of(&world.send(&push).await), "401 invalid_client");
    assert_eq!(error_of(&world.userinfo(&shop, &signed_in.access_token).await), "401 invalid_token");
}

#[test]
fn a_production_front_has_no_agents_no_http_and_no_basic_platforms() {
    let world = World::new();
    let front = |change: fn(&mut Config)| {
        let mut trust = world.trust.clone();
        (trust.root, trust.issuer) = (Root::Production, "https://id.example".into());
        trust.wallet_origin = "https://wallet.example".into();
        let agents = Vec::new();
        let mut config = Config { trust, transactions: 1, agents, persona_sessions: false, mtls: None };
        change(&mut config);
        Front::new(config, ports(&world.front_key, &world.clock, &world.rng, &world.once))
    };
    assert_eq!(front(|c| c.agents.push("https://agent.example".into())).err(), Some(FrontError::Agents));
    assert_eq!(front(|c| c.persona_sessions = true).err(), Some(FrontError::Agents));
    assert!(matches!(front(|c| c.trust.issuer = ISSUER.into()).err(), Some(FrontError::Origin(_))));
    let real = front(|_| {}).unwrap();
    let mut trust = world.trust.clone();
    trust.root = Root::Production;
    let real_admission = Admission::of(&trust).unwrap();
    let admit = |change: fn(&mut hufu_wire::api::platform::PlatformCertificate)| {
        let mut certificate = certificate("shop", Root::Production);
        certificate.jwks.keys.push(world.node.public().clone());
        change(&mut certificate);
        let jws = sign(&world.registry, Header::new(Alg::EdDSA).typ("hufu-platform+jwt"), &certificate).unwrap();
        // The registry looks at the same before it signs.
        let looked = real_admission.look(&certificate, NOW);
        let taken = real.admit(&jws);
        assert_eq!(looked, taken);
        taken.map_err(|told| told.refusal)
    };
    assert_eq!(admit(|_| {}), Ok(()));
    assert_eq!(admit(|c| c.profile = hufu_wire::api::platform::Profile::Basic), Err(Refusal::PlatformRequest));
    assert_eq!(admit(|c| c.root = Root::Sandbox), Err(Refusal::WrongRoot));
    assert_eq!(admit(|c| c.redirect_uris.push("http://localhost/".into())), Err(Refusal::PlatformRequest));
    let metadata: Value = serde_json::from_str(&real.discovery().body).unwrap();
    assert_eq!(metadata["require_pushed_authorization_requests"], json!(true));
}

#[tokio::test]
async fn the_transaction_names_the_certificate_that_the_registry_signed() {
    let world = World::new();
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &Wish::default()).await;
    assert_eq!(at.transaction.iss, ISSUER);
    assert_eq!(at.transaction.exp, world.clock.now() + 600);
    assert!(hufu_offices::registry::read(&world.trust.offices.registry, &at.transaction.certificate).is_ok());
}
