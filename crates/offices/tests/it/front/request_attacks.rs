//! Attacks on the way to the wallet: what is asked, by whom, and where answers may go.

use super::fixture::*;
use hufu_kernel::{Answer, Refusal};
use hufu_offices::front::OAuthError;
use hufu_oidc::Pairs;
use hufu_oidc::client::{ClientError, Wish};
use hufu_oidc::provider::REQUEST_URI_PREFIX;
use proptest::prelude::*;

async fn pushed_with(world: &World, name: &str, value: Option<&str>) -> String {
    let shop = world.fapi("shop");
    let mut push = world.push_request(&shop, &shop.begin(&Wish::default(), &*world.rng));
    push.body = with_parameter(&push.body, name, value);
    error_of(&world.send(&push).await)
}

#[tokio::test]
async fn a_pushed_request_with_a_mistake_is_refused_with_the_exact_code() {
    let world = World::new();
    let long = "x".repeat(1025);
    for (name, value, refused) in [
        ("redirect_uri", None, "400 invalid_request"),
        ("redirect_uri", Some("https://evil.example/cb"), "400 invalid_request"),
        ("redirect_uri", Some("https://shop.example/cb/"), "400 invalid_request"),
        ("redirect_uri", Some("https://shop.example/cb?x=1"), "400 invalid_request"),
        ("redirect_uri", Some("https://SHOP.example/cb"), "400 invalid_request"),
        ("redirect_uri", Some("https://shop.example/cb#x"), "400 invalid_request"),
        ("code_challenge", None, "400 invalid_request"),
        ("code_challenge", Some("short"), "400 invalid_request"),
        ("code_challenge_method", None, "400 invalid_request"),
        ("code_challenge_method", Some("plain"), "400 invalid_request"),
        ("response_type", None, "400 unsupported_response_type"),
        ("response_type", Some("id_token"), "400 unsupported_response_type"),
        ("response_type", Some("code id_token"), "400 unsupported_response_type"),
        ("response_mode", Some("fragment"), "400 invalid_request"),
        ("scope", None, "400 invalid_scope"),
        ("scope", Some("hufu:real"), "400 invalid_scope"),
        ("scope", Some("openid hufu:name"), "400 invalid_scope"),
        ("client_id", Some("other"), "401 invalid_client"),
        ("request", Some("eyJ"), "400 invalid_request_object"),
        ("request_uri", Some("https://shop.example/r"), "400 invalid_request"),
        ("registration", Some("{}"), "400 registration_not_supported"),
        ("prompt", Some("none login"), "400 invalid_request"),
        ("prompt", Some("create"), "400 invalid_request"),
        ("max_age", Some("-1"), "400 invalid_request"),
        ("state", Some(&long), "400 invalid_request"),
        ("nonce", Some(&long), "400 invalid_request"),
        ("dpop_jkt", Some("AAAA"), "400 invalid_request"),
    ] {
        assert_eq!(pushed_with(&world, name, value).await, refused, "{name}={value:?}");
    }
}

#[tokio::test]
async fn a_repeated_parameter_is_refused() {
    let world = World::new();
    let shop = world.fapi("shop");
    let mut push = world.push_request(&shop, &shop.begin(&Wish::default(), &*world.rng));
    push.body.push_str("&redirect_uri=https%3A%2F%2Fevil.example%2F");
    assert_eq!(error_of(&world.send(&push).await), "400 invalid_request");
}

#[tokio::test]
async fn over_asking_is_refused_when_it_is_pushed_and_never_reaches_the_wallet() {
    let world = World::new();
    let shop = world.fapi("shop");
    for (answers, purpose, why) in [
        (&[Answer::AgeBand][..], "sign-in", "not entitled"),
        (&[Answer::AgeOver18], "sign-in", "entitled, but not for this purpose"),
        (&[Answer::Real, Answer::Unique], "adults", "entitled, but not for this purpose"),
    ] {
        let pending = shop.begin(&wish(answers, purpose), &*world.rng);
        assert_eq!(error_of(&world.send(&world.push_request(&shop, &pending)).await), "400 invalid_scope", "{why}");
    }
    let unknown = shop.begin(&wish(&[], "marketing"), &*world.rng);
    assert_eq!(error_of(&world.send(&world.push_request(&shop, &unknown)).await), "400 invalid_request");
    let fits = shop.begin(&wish(&[Answer::AgeOver18], "adults"), &*world.rng);
    assert_eq!(world.send(&world.push_request(&shop, &fits)).await.status, 201);
}

#[tokio::test]
async fn over_asking_without_a_push_is_redirected_to_the_platform_not_to_the_wallet() {
    let world = World::new();
    let judge = world.basic("judge");
    let pending = judge.begin(&wish(&[Answer::AgeBand], "sign-in"), &*world.rng);
    let reply = world.front.authorize(query(&judge.plain(&pending)), &[]).await.unwrap();
    let told = judge.callback(&pending, query(reply.header("location").unwrap()));
    assert!(matches!(told, Err(ClientError::Refused { error, .. }) if error == "invalid_scope"));
    assert_eq!(reply.header("set-cookie"), None);
}

#[tokio::test]
async fn a_request_uri_is_worth_nothing_after_completion_expiry_or_for_another_client() {
    let world = World::new();
    let (shop, bank) = (world.fapi("shop"), world.fapi("bank"));
    let refused = |error: OAuthError| Some((error, error.refusal()));
    let shown = async |url: &str| world.front.authorize(query(url), &[]).await.err().map(|s| (s.error, s.refusal));

    let at = world.at_wallet(&shop, &Wish::default()).await;
    world.complete(&at).await.unwrap();
    assert_eq!(shown(&at.url).await, refused(OAuthError::RequestUriUsed));

    let url = world.pushed(&shop, &shop.begin(&Wish::default(), &*world.rng)).await;
    let stolen = url.replace("client_id=shop", "client_id=bank");
    assert_eq!(shown(&stolen).await, refused(OAuthError::RequestUriUnknown));
    assert_eq!(shown(&url.replace("client_id=shop&", "")).await, refused(OAuthError::ClientMissing));
    let changed = format!("{}{}", &url[..url.len() - 1], if url.ends_with('A') { 'B' } else { 'A' });
    assert_eq!(shown(&changed).await, refused(OAuthError::RequestUriUnknown));
    world.clock.advance(90);
    assert_eq!(shown(&url).await, refused(OAuthError::RequestUriExpired));
    drop(bank);
}

#[tokio::test]
async fn one_request_uri_gives_at_most_one_code_however_often_it_is_loaded() {
    let world = World::new();
    let shop = world.fapi("shop");
    let url = world.pushed(&shop, &shop.begin(&Wish::default(), &*world.rng)).await;
    let (first, second) = (world.browse(&url).await, world.browse(&url).await);
    // The browser loaded the address again: only the later transaction lives.
    assert_eq!(world.front.transaction(&first.tx), Err(Refusal::TransactionGone));
    let transaction = world.fetch(&second.tx);
    let answer = world.answer(&transaction);
    assert!(world.front.complete(&answer, &[&second.cookie]).await.is_ok());
    assert_eq!(world.front.complete(&answer, &[&second.cookie]).await, Err(Refusal::TransactionGone));
    assert!(world.front.authorize(query(&url), &[]).await.is_err());
}

#[tokio::test]
async fn a_fapi_platform_cannot_skip_the_push() {
    let world = World::new();
    let shop = world.fapi("shop");
    let url = shop.plain(&shop.begin(&Wish::default(), &*world.rng));
    let shown = world.front.authorize(query(&url), &[]).await.unwrap_err();
    assert_eq!(shown.error, OAuthError::PushRequired);
}

#[tokio::test]
async fn parameters_beside_a_request_uri_change_nothing() {
    let world = World::new();
    let shop = world.fapi("shop");
    let url = world.pushed(&shop, &shop.begin(&Wish::default(), &*world.rng)).await;
    let begun =
        world.browse(&format!("{url}&redirect_uri=https%3A%2F%2Fevil.example&scope=openid+hufu%3Aage_over_18")).await;
    let transaction = world.fetch(&begun.tx);
    assert_eq!(transaction.redirect_uri, "https://shop.example/cb");
    assert_eq!(transaction.answers, [Answer::Real, Answer::Unique]);
}

#[tokio::test]
async fn nothing_redirects_before_client_and_address_are_checked() {
    let world = World::new();
    let judge = world.basic("judge");
    let query_of = |change: &dyn Fn(&str) -> String| change(&judge.begin(&Wish::default(), &*world.rng).query);
    let cases: [(&str, String); 8] = [
        ("unknown client", query_of(&|q| with_parameter(q, "client_id", Some("nobody")))),
        ("no client", query_of(&|q| with_parameter(q, "client_id", None))),
        ("unknown address", query_of(&|q| with_parameter(q, "redirect_uri", Some("https://evil.example/")))),
        ("no address", query_of(&|q| with_parameter(q, "redirect_uri", None))),
        ("two addresses", query_of(&|q| format!("{q}&redirect_uri=https%3A%2F%2Fevil.example"))),
        ("two clients", query_of(&|q| format!("{q}&client_id=shop"))),
        (
            "foreign request_uri",
            query_of(&|q| {
                let foreign = with_parameter(q, "request_uri", Some("https://evil.example/r"));
                with_parameter(&foreign, "redirect_uri", Some("https://evil.example/"))
            }),
        ),
        (
            "made-up request_uri",
            query_of(&|q| with_parameter(q, "request_uri", Some(&format!("{REQUEST_URI_PREFIX}AAAA")))),
        ),
    ];
    for (why, query) in cases {
        let shown = world.front.authorize(&query, &[]).await;
        assert!(shown.is_err(), "{why}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Open redirect: whatever is asked, the browser is sent to the wallet or to an address of the certificate.
    #[test]
    fn the_browser_is_never_sent_anywhere_else(
        uri in prop_oneof![Just("https://judge.example/cb".to_owned()), "[a-z/:.?#@\\\\]{0,40}"],
        extra in proptest::collection::btree_map("[a-z_]{1,10}", "\\PC{0,20}", 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let world = World::new();
        let judge = world.basic("judge");
        let query = with_parameter(&judge.begin(&Wish::default(), &*world.rng).query, "redirect_uri", Some(&uri));
        let extra = extra.iter().fold(Pairs::default(), |pairs, (name, value)| pairs.with(name, value)).encode();
        if let Ok(reply) = runtime.block_on(world.front.authorize(&format!("{query}&{extra}"), &[])) {
            let to = reply.header("location").unwrap();
            let wallet = to.starts_with(&format!("{WALLET}/sign-in?tx="));
            prop_assert!(wallet || to.starts_with("https://judge.example/cb?"), "{}", to);
        }
    }
}

#[tokio::test]
async fn prompt_none_is_answered_with_login_required() {
    let world = World::new();
    let shop = world.fapi("shop");
    let pending = shop.begin(&Wish::default(), &*world.rng);
    let mut push = world.push_request(&shop, &pending);
    push.body.push_str("&prompt=none");
    let reply = world.send(&push).await;
    let url = shop.pushed(reply.status, &reply.body).unwrap();
    let reply = world.front.authorize(query(&url), &[]).await.unwrap();
    let told = shop.callback(&pending, query(reply.header("location").unwrap()));
    assert!(matches!(told, Err(ClientError::Refused { error, .. }) if error == "login_required"));
}

#[tokio::test]
async fn a_mixed_up_or_forged_answer_is_refused_by_the_platform() {
    let world = World::new();
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let next = world.complete(&at).await.unwrap();
    let good = query(&next.redirect_to);
    assert!(shop.callback(&at.pending, good).is_ok());
    for (name, value, refused) in [
        ("iss", None, ClientError::Issuer),
        ("iss", Some("https://evil.example"), ClientError::Issuer),
        ("state", None, ClientError::State),
        ("state", Some("another"), ClientError::State),
        ("code", None, ClientError::Malformed("code")),
    ] {
        assert_eq!(shop.callback(&at.pending, &with_parameter(good, name, value)), Err(refused), "{name}={value:?}");
    }
    assert!(shop.callback(&at.pending, &format!("{good}&code=other")).is_err());
}
