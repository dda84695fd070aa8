//! Requests that would rather not ask, or that mean one person: what a front does with them, and what it never does outside a sandbox
//! that was started for it.

use super::fixture::*;
use hufu_kernel::Refusal;
use hufu_oidc::client::{Pending, RelyingParty, Wish};
use hufu_oidc::{Form, OAuthError};
use hufu_wire::api::sign_in::{CompleteSignIn, RefuseSignIn};

/// Where `/authorize` sends the browser, with its cookie.
async fn sent(world: &World, rp: &RelyingParty, pending: &Pending, more: &str) -> (String, String) {
    let url = format!("{}&{more}", rp.plain(pending));
    let reply = world.front.authorize(query(&url), &[]).await.unwrap();
    let cookie = reply.header("set-cookie").unwrap_or_default().split(';').next().unwrap().to_owned();
    (reply.header("location").unwrap().to_owned(), cookie)
}

fn parameter(url: &str, name: &str) -> Option<String> {
    Form::parse(query(url)).unwrap().get(name).map(str::to_owned)
}

#[tokio::test]
async fn the_agent_is_told_whom_it_need_not_ask() {
    let world = World::with_persona_sessions();
    let judge = world.basic("judge");
    let pending = judge.begin(&Wish::default(), &*world.rng);
    let since = |at: i64| Some(at.to_string());
    for (more, silent, wanted) in [
        ("", false, None),
        ("prompt=none", true, since(0)),
        ("prompt=none&max_age=10", true, since(NOW.0 - 10)),
        ("max_age=10000", false, since(NOW.0 - 10_000)),
        ("prompt=login&max_age=10000", false, None),
        ("prompt=consent", false, None),
    ] {
        let (to, _) = sent(&world, &judge, &pending, more).await;
        assert!(to.starts_with(&format!("{WALLET}/sandbox/sign-in?tx=")), "{to}");
        assert_eq!((parameter(&to, "silent").is_some(), parameter(&to, "since")), (silent, wanted), "{more}");
    }
    // Every other front has nobody to ask.
    let world = World::new();
    let judge = world.basic("judge");
    let (to, _) = sent(&world, &judge, &pending, "prompt=none").await;
    assert_eq!(parameter(&to, "error").as_deref(), Some("login_required"));
    let (to, _) = sent(&world, &judge, &pending, "max_age=10000").await;
    assert!(to.starts_with(&format!("{WALLET}/sign-in?tx=")) && parameter(&to, "since").is_none(), "{to}");
}

#[tokio::test]
async fn whom_nobody_asked_has_not_refused() {
    let world = World::with_persona_sessions();
    let judge = world.basic("judge");
    let pending = judge.begin(&Wish::default(), &*world.rng);
    for (more, wanted) in [("prompt=none", "login_required"), ("max_age=10", "access_denied")] {
        let (to, cookie) = sent(&world, &judge, &pending, more).await;
        let tx = world.fetch(&parameter(&to, "tx").unwrap()).tx;
        let back = world.front.refuse(&RefuseSignIn { tx }, &[&cookie]).await.unwrap();
        assert_eq!(parameter(&back.redirect_to, "error").as_deref(), Some(wanted));
    }
}

/// Two nodes would have to sign it, and the agent to claim it: the front takes no proof of long ago all the same.
#[tokio::test]
async fn no_front_takes_an_auth_time_that_somebody_chose() {
    for world in [World::new(), World::with_persona_sessions()] {
        let judge = world.basic("judge");
        let pending = judge.begin(&Wish::default(), &*world.rng);
        let (to, cookie) = sent(&world, &judge, &pending, "max_age=10000").await;
        let transaction = world.fetch(&parameter(&to, "tx").unwrap());
        let proved = async |ago: i64| {
            let answer: CompleteSignIn = world.answer_with(&transaction, |token| token.auth_time = token.iat - ago);
            world.front.complete(&answer, &[&cookie]).await
        };
        for chosen in [121, 3600, -121] {
            assert_eq!(proved(chosen).await.err(), Some(Refusal::TokenRejected), "{chosen}");
        }
        // With an `iat` that was chosen to fit.
        for chosen in [121, -121] {
            let both = |token: &mut hufu_wire::api::sign_in::IdToken| {
                token.iat = token.iat - chosen;
                (token.auth_time, token.exp) = (token.iat, token.exp - chosen);
            };
            let done = world.front.complete(&world.answer_with(&transaction, both), &[&cookie]).await;
            assert_eq!(done.err(), Some(Refusal::TokenRejected), "{chosen}");
        }
        // The control: a moment ago.
        assert!(proved(50).await.is_ok());
    }
}

/// The attack: the address that leads to the agent is the browser's, so somebody writes `since=0` into it, or takes `prompt=login` out of
/// the platform's request on the way there. The agent then shows a proof of forty seconds ago, which nodes would still sign.
#[tokio::test]
async fn an_earlier_proof_is_taken_only_where_the_request_itself_allows_it() {
    let world = World::with_persona_sessions();
    let judge = world.basic("judge");
    let pending = judge.begin(&Wish::default(), &*world.rng);
    for (more, earlier) in [
        ("", false),
        ("prompt=login", false),
        ("prompt=consent", false),
        ("prompt=login&max_age=10000", false),
        ("max_age=0", false),
        ("max_age=39", false),
        ("prompt=none&max_age=39", false),
        ("max_age=40", true),
        ("max_age=10000", true),
        ("prompt=none", true),
    ] {
        let (to, cookie) = sent(&world, &judge, &pending, more).await;
        let transaction = world.fetch(&parameter(&to, "tx").unwrap());
        let proved = async |at: hufu_kernel::Timestamp| {
            let answer = world.answer_with(&transaction, |token| token.auth_time = at);
            world.front.complete(&answer, &[&cookie]).await
        };
        let refused = if earlier { None } else { Some(Refusal::TokenRejected) };
        assert_eq!(proved(NOW - 40).await.err(), refused, "{more}");
        // The control: whoever proves it now may go on.
        assert_eq!(proved(NOW).await.is_ok(), !earlier, "{more}");
    }
    // It is the request that counts, not its end: who waits gains nothing.
    let (to, cookie) = sent(&world, &judge, &pending, "prompt=login").await;
    let transaction = world.fetch(&parameter(&to, "tx").unwrap());
    world.clock.advance(45);
    let answer = world.answer_with(&transaction, |token| token.auth_time = NOW - 1);
    assert_eq!(world.front.complete(&answer, &[&cookie]).await.err(), Some(Refusal::TokenRejected));
}

/// Without an agent that remembers, only clocks explain a proof of before the request: a wallet's may be a minute behind its nodes', theirs
/// half a minute behind the front's.
#[tokio::test]
async fn a_proof_is_older_than_the_request_by_what_clocks_differ_and_no_more() {
    let world = World::new();
    let shop = world.fapi("shop");
    for (ago, refused) in [(91, true), (120, true), (90, false), (0, false)] {
        let at = world.at_wallet(&shop, &Wish::default()).await;
        let answer = world.answer_with(&at.transaction, |token| token.auth_time = NOW - ago);
        let done = world.front.complete(&answer, &[&at.begun.cookie]).await;
        assert_eq!(done.err(), refused.then_some(Refusal::TokenRejected), "{ago}");
    }
}

#[tokio::test]
async fn a_hint_lets_nobody_else_be_signed_in() {
    let world = World::new();
    let (judge, other) = (world.basic("judge"), world.basic("other"));
    let hint = world.sign_in(&judge, &Wish::default()).await.id_token;
    let pending = judge.begin(&Wish::default(), &*world.rng);
    let hinted = format!("id_token_hint={hint}");
    let somebody_else = |token: &mut hufu_wire::api::sign_in::IdToken| token.sub = "somebody-else".to_owned();
    for (same, wanted) in [(true, None), (false, Some("login_required"))] {
        let (to, cookie) = sent(&world, &judge, &pending, &hinted).await;
        let transaction = world.fetch(&parameter(&to, "tx").unwrap());
        let answer = if same { world.answer(&transaction) } else { world.answer_with(&transaction, somebody_else) };
        let back = world.front.complete(&answer, &[&cookie]).await.unwrap();
        assert_eq!(parameter(&back.redirect_to, "error").as_deref(), wanted);
        assert_eq!(parameter(&back.redirect_to, "code").is_some(), same);
        // It is over, either way.
        assert_eq!(world.front.complete(&answer, &[&cookie]).await.err(), Some(Refusal::TransactionGone));
    }
    // Another platform's, and none.
    let pending = other.begin(&Wish::default(), &*world.rng);
    for bad in [hinted.as_str(), "id_token_hint=x.y.z"] {
        let (to, _) = sent(&world, &other, &pending, bad).await;
        let told = parameter(&to, "error_description");
        assert_eq!(told.as_deref(), Some(OAuthError::SubjectHint.description()), "{bad}");
    }
}

#[tokio::test]
async fn a_sign_out_goes_by_the_agent_once_and_by_no_strangers_address() {
    let world = World::with_persona_sessions();
    let left = async |form: &str| world.front.logout(form).await.unwrap();
    let to = left("state=a+b").await.unwrap();
    assert_eq!(to, format!("{WALLET}/sandbox/sign-out?state=a+b"));
    assert_eq!(left(&format!("{}&hufu_agent=done", query(&to))).await, None);
    // Looked at before anybody goes anywhere.
    assert!(world.front.logout("post_logout_redirect_uri=https%3A%2F%2Fevil.example%2F").await.is_err());
    assert_eq!(World::new().front.logout("state=a+b").await.unwrap(), None);
}
