//! Attacks on codes.

use super::fixture::*;
use hufu_kernel::{b64, random, unb64};
use hufu_oidc::client::Wish;

#[tokio::test]
async fn a_replayed_code_is_refused_and_what_it_gave_is_revoked() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let reply = world.send(&world.token_request(&shop, &pending, &code)).await;
    let thief = shop.redeemed(&pending, reply.status, &reply.body, world.now()).unwrap();
    assert_eq!(world.userinfo(&shop, &thief.access_token).await.status, 200);

    let again = world.send(&world.token_request(&shop, &pending, &code)).await;
    assert_eq!(error_of(&again), "400 invalid_grant");
    assert_eq!(error_of(&world.userinfo(&shop, &thief.access_token).await), "401 invalid_token");
    // Other sign-ins of the platform go on.
    let other = world.sign_in(&shop, &Wish::default()).await;
    assert_eq!(world.userinfo(&shop, &other.access_token).await.status, 200);
}

#[tokio::test]
async fn of_two_redemptions_at_once_one_succeeds() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let (first, second) = (world.token_request(&shop, &pending, &code), world.token_request(&shop, &pending, &code));
    let (first, second) = tokio::join!(world.send(&first), world.send(&second));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}

#[tokio::test]
async fn a_code_lives_sixty_seconds() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    world.clock.advance(59);
    let (later, other) = world.code(&shop, &Wish::default()).await;
    assert_eq!(world.send(&world.token_request(&shop, &pending, &code)).await.status, 200);
    world.clock.advance(60);
    assert_eq!(error_of(&world.send(&world.token_request(&shop, &later, &other)).await), "400 invalid_grant");
}

#[tokio::test]
async fn a_code_of_one_platform_is_worth_nothing_to_another() {
    let world = World::new();
    let (shop, bank) = (world.fapi("shop"), world.fapi("bank"));
    let (mut pending, code) = world.code(&shop, &Wish::default()).await;
    let stolen = world.token_request(&bank, &pending, &code);
    assert_eq!(error_of(&world.send(&stolen).await), "400 invalid_grant");
    // Not even with the victim's redirect address and verifier; and the attempt has not used up the code.
    let mut stolen = world.token_request(&bank, &pending, &code);
    stolen.body = with_parameter(&stolen.body, "redirect_uri", Some("https://shop.example/cb"));
    assert_eq!(error_of(&world.send(&stolen).await), "400 invalid_grant");
    assert_eq!(world.send(&world.token_request(&shop, &pending, &code)).await.status, 200);
    pending.code_verifier.clear();
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_its_verifier() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let other = b64(&random::<32>(&*world.rng));
    for verifier in
        [None, Some(other.as_str()), Some("short"), Some("with spaces and more than forty-three characters")]
    {
        let mut redeem = world.token_request(&shop, &pending, &code);
        redeem.body = with_parameter(&redeem.body, "code_verifier", verifier);
        assert_eq!(error_of(&world.send(&redeem).await), "400 invalid_grant", "{verifier:?}");
    }
    let challenge_itself = shop_challenge(&pending.query);
    let mut redeem = world.token_request(&shop, &pending, &code);
    redeem.body = with_parameter(&redeem.body, "code_verifier", Some(&challenge_itself));
    assert_eq!(error_of(&world.send(&redeem).await), "400 invalid_grant");
}

fn shop_challenge(query: &str) -> String {
    hufu_oidc::Form::parse(query).unwrap().get("code_challenge").unwrap().to_owned()
}

#[tokio::test]
async fn a_verifier_without_a_challenge_is_a_downgrade_and_refused() {
    let world = World::new();
    let judge = world.basic("judge");
    let mut pending = judge.begin(&Wish::default(), &*world.rng);
    pending.query = with_parameter(&pending.query, "code_challenge", None);
    pending.query = with_parameter(&pending.query, "code_challenge_method", None);
    let begun = world.browse(&judge.plain(&pending)).await;
    let answer = world.answer(&world.fetch(&begun.tx));
    let next = world.front.complete(&answer, &[&begun.cookie]).await.unwrap();
    let code = judge.callback(&pending, query(&next.redirect_to)).unwrap();
    let redeem = world.token_request(&judge, &pending, &code);
    assert_eq!(error_of(&world.send(&redeem).await), "400 invalid_grant");
    let mut without = redeem;
    without.body = with_parameter(&without.body, "code_verifier", None);
    assert_eq!(world.send(&without).await.status, 200);
}

#[tokio::test]
async fn a_code_is_redeemed_with_the_redirect_address_it_was_sent_to() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    for address in [None, Some("https://shop.example/cb2?x=1"), Some("https://evil.example/")] {
        let mut redeem = world.token_request(&shop, &pending, &code);
        redeem.body = with_parameter(&redeem.body, "redirect_uri", address);
        assert_eq!(error_of(&world.send(&redeem).await), "400 invalid_grant", "{address:?}");
    }
}

#[tokio::test]
async fn codes_cannot_be_guessed_changed_or_made_of_other_sealed_things() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let bytes = unb64(&code).unwrap();
    for at in 0..200_usize {
        let guess = if at % 2 == 0 {
            let mut changed = bytes.clone();
            changed[(at * 7919) % bytes.len()] ^= 1 << (at % 8);
            b64(&changed)
        } else {
            b64(&random::<200>(&*world.rng))
        };
        let reply = world.send(&world.token_request(&shop, &pending, &guess)).await;
        assert_eq!(error_of(&reply), "400 invalid_grant");
    }
    let signed_in = world.sign_in(&shop, &Wish::default()).await;
    let sealed_otherwise = world.token_request(&shop, &pending, &signed_in.access_token);
    assert_eq!(error_of(&world.send(&sealed_otherwise).await), "400 invalid_grant");
    let mut no_code = world.token_request(&shop, &pending, &code);
    no_code.body = with_parameter(&no_code.body, "code", None);
    assert_eq!(error_of(&world.send(&no_code).await), "400 invalid_request");
    let mut other_grant = world.token_request(&shop, &pending, &code);
    other_grant.body = with_parameter(&other_grant.body, "grant_type", Some("password"));
    assert_eq!(error_of(&world.send(&other_grant).await), "400 unsupported_grant_type");
    // After all that the honest platform still gets its answer.
    assert_eq!(world.send(&world.token_request(&shop, &pending, &code)).await.status, 200);
}
