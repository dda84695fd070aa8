//! Subject handles on their way through the front: it passes on what both nodes vouched for, and nothing else.

use super::fixture::*;
use hufu_kernel::{Octets, Pair, Refusal, Root};
use hufu_oidc::client::Wish;
use hufu_wire::api::platform::Registration;
use hufu_wire::jose::Alg;
use hufu_wire::subject_handle::{HALF, HandleUse, SubjectHandle};

fn registered(uses: &[HandleUse]) -> Registration {
    Registration { subject_handle: uses.to_vec(), ..Registration::default() }
}

#[tokio::test]
async fn the_handle_reaches_the_platform_through_the_token_endpoint_alone() {
    let world = World::new();
    let shop = world.fapi_with("shop", Alg::EdDSA, registered(&[HandleUse::Signals]));
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let answer = world.answer_with_handle(&at.transaction);
    let handle = answer.handle.clone().unwrap().to_string();
    let next = world.front.complete(&answer, &[&at.begun.cookie]).await.unwrap();
    // What goes through the browser is sealed: neither as text nor under base64url is anything of it to be found.
    let halves = answer.handle.as_ref().unwrap().halves;
    let found = |text: &str| {
        let words = text.split(['?', '&', '=', '.']);
        let mut said: Vec<Vec<u8>> = words.clone().filter_map(hufu_kernel::unb64).collect();
        said.extend(words.map(|word| word.as_bytes().to_vec()));
        let piece = |bytes: &[u8], of: &[u8]| bytes.windows(of.len()).any(|window| window == of);
        let within = |bytes: &Vec<u8>| {
            let raw = halves.iter().any(|half| piece(bytes, &half.as_slice()[20..52]));
            let text = halves.iter().any(|half| piece(bytes, &hufu_kernel::b64(half.as_slice()).as_bytes()[20..60]));
            raw || text
        };
        said.iter().any(within)
    };
    assert!(!found(&next.redirect_to), "no browser's history has it");
    // The control: as text, and under base64url once more.
    assert!(found(&format!("https://shop.example/cb?code={handle}&state=x")));
    let wrapped = hufu_kernel::b64(serde_json::json!({ "handle": handle }).to_string().as_bytes());
    assert!(found(&format!("https://shop.example/cb?code={wrapped}")));
    let code = shop.callback(&at.pending, query(&next.redirect_to)).unwrap();
    let reply = world.send(&world.token_request(&shop, &at.pending, &code)).await;
    let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(body["hufu_subject_handle"], handle);
    assert_eq!(handle.parse(), Ok(handle_of(1)));
}

#[tokio::test]
async fn halves_that_the_token_does_not_vouch_for_are_refused() {
    let world = World::new();
    let shop = world.fapi_with("shop", Alg::EdDSA, registered(&[HandleUse::Refresh]));
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let honest = world.answer_with_handle(&at.transaction);
    let [one, other] = handle_of(1).halves;
    let exchanged = [
        Some(handle_of(2)),
        Some(SubjectHandle { pair: Pair::ALL[1], halves: [one, Octets([7; HALF])] }),
        Some(SubjectHandle { pair: Pair::ALL[1], halves: [other, one] }),
        Some(SubjectHandle { pair: Pair::ALL[0], halves: [one, other] }),
        None,
    ];
    for handle in exchanged {
        let answer = hufu_wire::api::sign_in::CompleteSignIn { handle, ..honest.clone() };
        let refused = world.front.complete(&answer, &[&at.begun.cookie]).await;
        assert_eq!(refused.unwrap_err(), Refusal::TokenRejected, "{:?}", answer.handle);
    }
    // A handle that no token vouches for.
    let mut bare = world.answer(&at.transaction);
    bare.handle = Some(handle_of(1));
    assert_eq!(world.front.complete(&bare, &[&at.begun.cookie]).await.unwrap_err(), Refusal::TokenRejected);
    assert!(world.front.complete(&honest, &[&at.begun.cookie]).await.is_ok(), "the control");
}

#[tokio::test]
async fn who_registered_for_none_gets_none_and_who_did_never_goes_without() {
    let world = World::new();
    let plain = world.fapi("plain");
    let at = world.at_wallet(&plain, &Wish::default()).await;
    let answer = world.answer_with_handle(&at.transaction);
    assert_eq!(world.front.complete(&answer, &[&at.begun.cookie]).await.unwrap_err(), Refusal::TokenRejected);
    let shop = world.fapi_with("shop", Alg::EdDSA, registered(&HandleUse::ALL));
    let at = world.at_wallet(&shop, &Wish::default()).await;
    assert_eq!(world.complete(&at).await.unwrap_err(), Refusal::TokenRejected);
    let honest = world.answer_with_handle(&at.transaction);
    assert!(world.front.complete(&honest, &[&at.begun.cookie]).await.is_ok(), "the control");
}

#[test]
fn a_form_sends_an_empty_field_where_there_is_no_handle() {
    let form = |handle: &str| {
        let zeros = hufu_kernel::b64(&[0; 32]);
        let json = serde_json::json!({ "tx": zeros, "id_token": "a.b.c", "s": zeros, "handle": handle });
        serde_json::from_value::<hufu_wire::api::sign_in::CompleteSignIn>(json)
    };
    assert_eq!(form("").unwrap().handle, None);
    assert_eq!(form(&handle_of(3).to_string()).unwrap().handle, Some(handle_of(3)));
    assert!(form("12.AA.AA").is_err());
}

#[test]
fn what_is_registered_for_later_must_hang_together() {
    let world = World::new();
    let mut asked = certificate("shop", Root::Sandbox);
    asked.jwks.keys.push(key(Alg::ES256, &*world.rng).public().clone());
    let push = Some("https://shop.example/events".to_owned());
    for (uses, push, taken) in [
        (vec![], None, true),
        (HandleUse::ALL.to_vec(), push.clone(), true),
        (vec![HandleUse::Signals], None, true),
        (vec![HandleUse::Refresh, HandleUse::Refresh], None, false),
        (vec![HandleUse::Refresh], push, false),
        (vec![HandleUse::Signals], Some("http://shop.example/events".to_owned()), false),
        (vec![HandleUse::Signals], Some("https://10.0.0.1/events".to_owned()), false),
    ] {
        asked.registration =
            Registration { subject_handle: uses.clone(), ssf_push_uri: push.clone(), ..Registration::default() };
        let admitted = world.admit(&asked);
        assert_eq!(admitted.is_ok(), taken, "{uses:?} {push:?}");
    }
}
