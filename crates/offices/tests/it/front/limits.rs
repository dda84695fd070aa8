//! How much one platform may ask, and that nobody else can use it up.

use super::fixture::*;
use hufu_offices::buckets::Rate;
use hufu_oidc::client::{HttpRequest, RelyingParty, Wish};
use hufu_wire::jose::{Alg, Header, sign};
use serde_json::json;
use std::time::Duration;

const RATE: Rate = Rate { burst: 3, every: Duration::from_secs(10) };
const REFUSED: &str = "429 temporarily_unavailable";

fn push(world: &World, rp: &RelyingParty) -> HttpRequest {
    world.push_request(rp, &rp.begin(&Wish::default(), &*world.rng))
}

#[tokio::test]
async fn a_platform_that_asks_too_often_is_told_how_long_to_wait_and_every_other_goes_on() {
    let world = World::new().limited(RATE);
    let (shop, forum) = (world.fapi("shop"), world.fapi("forum"));
    for _ in 0..3 {
        assert_eq!(world.send(&push(&world, &shop)).await.status, 201);
    }
    let told = world.send(&push(&world, &shop)).await;
    assert_eq!(error_of(&told), REFUSED);
    let wait = told.header("retry-after").unwrap().parse::<i64>().unwrap();
    assert!((10..=11).contains(&wait), "{wait}");
    assert_eq!(world.send(&push(&world, &forum)).await.status, 201);
    world.clock.advance(wait);
    assert_eq!(world.send(&push(&world, &shop)).await.status, 201);
    assert_eq!(error_of(&world.send(&push(&world, &shop)).await), REFUSED);
    // The control: without a limit nobody waits.
    let world = World::new();
    let shop = world.fapi("shop");
    for _ in 0..20 {
        assert_eq!(world.send(&push(&world, &shop)).await.status, 201);
    }
}

#[tokio::test]
async fn nobody_uses_up_what_a_platform_may_ask_by_its_name_or_by_what_was_seen_of_it() {
    let world = World::new().limited(RATE);
    let shop = world.fapi("shop");
    let seen = push(&world, &shop);
    assert_eq!(world.send(&seen).await.status, 201);
    for turn in 0..100 {
        let claims = json!({ "iss": "shop", "sub": "shop", "aud": ISSUER, "jti": turn.to_string(), "iat": NOW, "exp": NOW + 60 });
        let forged = sign(&key(Alg::ES256, &*world.rng), Header::new(Alg::ES256), &claims).unwrap();
        let mut by_name = seen.clone();
        by_name.body = with_parameter(&seen.body, "client_assertion", Some(&forged));
        assert_eq!(error_of(&world.send(&by_name).await), "401 invalid_client");
        assert_eq!(error_of(&world.send(&seen).await), "401 invalid_client");
    }
    for _ in 0..2 {
        assert_eq!(world.send(&push(&world, &shop)).await.status, 201);
    }
    assert_eq!(error_of(&world.send(&push(&world, &shop)).await), REFUSED, "the control: its own requests count");
}

#[tokio::test]
async fn requests_with_a_mistake_count_as_any_other_at_every_endpoint() {
    let mistakes: [(&str, &str, Option<&str>, &str); 6] = [
        ("par", "scope", None, "400 invalid_scope"),
        ("token", "code", Some("AAAA"), "400 invalid_grant"),
        ("token", "grant_type", Some("password"), "400 unsupported_grant_type"),
        ("token", "grant_type", Some("refresh_token"), "400 invalid_request"),
        ("introspect", "token", None, "400 invalid_request"),
        ("revoke", "token", None, "400 invalid_request"),
    ];
    for (endpoint, name, value, mistake) in mistakes {
        let world = World::new().limited(RATE);
        let (shop, forum) = (world.fapi("shop"), world.fapi("forum"));
        let pending = shop.begin(&Wish::default(), &*world.rng);
        let wrong = || {
            let mut request =
                if endpoint == "par" { push(&world, &shop) } else { world.token_request(&shop, &pending, "AAAA") };
            request.body = with_parameter(&request.body, name, value);
            request.url = format!("{ISSUER}/{endpoint}");
            request
        };
        for _ in 0..3 {
            assert_eq!(error_of(&world.send(&wrong()).await), mistake, "{endpoint} {name}");
        }
        for _ in 0..20 {
            assert_eq!(error_of(&world.send(&wrong()).await), REFUSED, "{endpoint} {name}");
        }
        assert_eq!(world.send(&push(&world, &forum)).await.status, 201, "the control");
    }
}

#[tokio::test]
async fn an_assertion_is_used_up_by_a_request_with_a_mistake_and_what_was_seen_counts_against_nobody() {
    let world = World::new().limited(RATE);
    let shop = world.fapi("shop");
    let mut seen = push(&world, &shop);
    seen.body = with_parameter(&seen.body, "scope", None);
    assert_eq!(error_of(&world.send(&seen).await), "400 invalid_scope");
    for _ in 0..100 {
        assert_eq!(error_of(&world.send(&seen).await), "401 invalid_client");
    }
    // Nor is it worth anything at another endpoint.
    seen.url = format!("{ISSUER}/introspect");
    assert_eq!(error_of(&world.send(&seen).await), "401 invalid_client");
    for _ in 0..2 {
        assert_eq!(world.send(&push(&world, &shop)).await.status, 201, "the platform has what is left of three");
    }
    assert_eq!(error_of(&world.send(&push(&world, &shop)).await), REFUSED);
}

#[tokio::test]
async fn who_is_told_to_wait_at_the_token_endpoint_still_has_its_code() {
    let world = World::new().limited(Rate { burst: 2, ..RATE });
    let shop = world.fapi("shop");
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    assert_eq!(world.send(&push(&world, &shop)).await.status, 201);
    for _ in 0..3 {
        let told = world.send(&world.token_request(&shop, &pending, &code)).await;
        assert_eq!(error_of(&told), REFUSED);
    }
    world.clock.advance(11);
    let reply = world.send(&world.token_request(&shop, &pending, &code)).await;
    assert!(shop.redeemed(&pending, reply.status, &reply.body, world.now()).is_ok(), "{reply:?}");
}

#[tokio::test]
async fn all_that_a_platform_asks_by_its_own_name_is_counted_together() {
    let world = World::new().limited(RATE);
    let shop = world.fapi("shop");
    let tokens = world.sign_in(&shop, &Wish::default()).await;
    // A push, a redemption; and one more.
    let mut about = push(&world, &shop);
    about.body = with_parameter(&about.body, "token", Some(&tokens.access_token));
    about.url = format!("{ISSUER}/introspect");
    assert_eq!(world.send(&about).await.status, 200);
    for endpoint in ["introspect", "revoke", "par"] {
        let mut again = push(&world, &shop);
        again.body = with_parameter(&again.body, "token", Some(&tokens.access_token));
        again.url = format!("{ISSUER}/{endpoint}");
        assert_eq!(error_of(&world.send(&again).await), REFUSED, "{endpoint}");
    }
    // A token is a person's consent to one answer and no client's request.
    assert_eq!(world.userinfo(&shop, &tokens.access_token).await.status, 200);
}
