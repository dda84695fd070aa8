//! Attacks between the wallet and the front: whose answer it is, which browser it comes from, and what it says.

use super::fixture::*;
use hufu_kernel::{Answer, Octets, Refusal, b64};
use hufu_oidc::client::Wish;
use hufu_wire::api::sign_in::{CompleteSignIn, IdToken, RefuseSignIn};
use hufu_wire::jose::{Alg, Header, Signer, sign};
use serde_json::json;

#[tokio::test]
async fn an_answer_from_another_browser_is_refused() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (victim, attacker) =
        (world.at_wallet(&shop, &Wish::default()).await, world.at_wallet(&shop, &Wish::default()).await);
    let answer = world.answer(&victim.transaction);
    for cookies in [&[][..], &["other=1"], &[attacker.begun.cookie.as_str()], &["hufu-front-tx="]] {
        let done = world.front.complete(&answer, cookies).await;
        assert_eq!(done, Err(Refusal::TransactionCookie), "{cookies:?}");
        let refusal = RefuseSignIn { tx: victim.transaction.tx };
        assert_eq!(world.front.refuse(&refusal, cookies).await, Err(Refusal::TransactionCookie));
    }
    // The honest browser is not disturbed.
    assert!(world.front.complete(&answer, &[&victim.begun.cookie]).await.is_ok());
}

#[tokio::test]
async fn a_transaction_is_served_once_completed_once_and_ends_after_ten_minutes() {
    let world = World::new();
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &Wish::default()).await;
    assert_eq!(world.front.transaction(&at.begun.tx), Err(Refusal::TransactionGone));
    assert!(world.complete(&at).await.is_ok());
    assert_eq!(world.complete(&at).await, Err(Refusal::TransactionGone));

    let late = world.at_wallet(&shop, &Wish::default()).await;
    world.clock.advance(600);
    assert_eq!(world.complete(&late).await, Err(Refusal::TransactionGone));
    assert_eq!(world.front.transaction(&b64(&[1; 32])), Err(Refusal::TransactionGone));
    assert_eq!(world.front.transaction("../../etc"), Err(Refusal::Malformed));
}

#[tokio::test]
async fn claims_that_are_not_this_transactions_are_refused() {
    let world = World::new();
    let shop = world.fapi("shop");
    type Change = fn(&mut IdToken);
    let changes: [(&str, Change); 17] = [
        ("another issuer", |t| t.iss = "https://evil.example".into()),
        ("another platform", |t| t.aud = "bank".into()),
        ("another nonce", |t| t.nonce = "x".into()),
        ("no nonce", |t| t.nonce.clear()),
        ("issued long ago", |t| (t.iat, t.exp) = (t.iat - 121, t.exp - 121)),
        ("issued in the future", |t| (t.iat, t.exp) = (t.iat + 121, t.exp + 121)),
        ("expired", |t| t.exp = t.iat - 1),
        ("too long a life", |t| t.exp = t.exp + 1),
        ("signed at another time", |t| t.auth_time = t.auth_time - 3600),
        ("acr above the strength", |t| t.acr = "urn:hufu:acr:certificate+password".into()),
        ("amr above the strength", |t| t.amr.push("pwd".into())),
        ("strength above acr", |t| t.hufu.strength = hufu_kernel::Strength::CertificatePassword),
        ("an answer that was not asked for", |t| t.hufu.answers.age_over_18 = Some(true)),
        ("an answer fewer than committed to", |t| t.hufu.answers.real = None),
        ("another context", |t| t.hufu.ctx = Octets([0; 32])),
        ("another version", |t| t.hufu.v = 2),
        ("an age band nobody may see", |t| t.hufu.answers.age_band = Some(hufu_kernel::AgeBand::Adult)),
    ];
    let at = world.at_wallet(&shop, &Wish::default()).await;
    for (why, change) in changes {
        let answer = world.answer_with(&at.transaction, change);
        let done = world.front.complete(&answer, &[&at.begun.cookie]).await;
        assert_eq!(done, Err(Refusal::TokenRejected), "{why}");
    }
    assert!(world.complete(&at).await.is_ok());
}

#[tokio::test]
async fn another_opening_of_the_context_is_refused() {
    let world = World::new();
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let answer = CompleteSignIn { s: Octets([1; 32]), ..world.answer(&at.transaction) };
    assert_eq!(world.front.complete(&answer, &[&at.begun.cookie]).await, Err(Refusal::TokenRejected));
}

#[tokio::test]
async fn a_result_for_one_transaction_does_not_complete_another() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (one, two) = (world.at_wallet(&shop, &Wish::default()).await, world.at_wallet(&shop, &Wish::default()).await);
    // Even with the nonce made equal: ctx binds tx, PKCE and the DPoP key.
    let (mut token, s) = world.claims(&one.transaction, &one.transaction.answers);
    token.nonce.clone_from(&two.transaction.nonce);
    let answer =
        CompleteSignIn { tx: two.transaction.tx, id_token: world.signed_by(&world.group, &token), s, handle: None };
    assert_eq!(world.front.complete(&answer, &[&two.begun.cookie]).await, Err(Refusal::TokenRejected));
}

#[tokio::test]
async fn only_the_pinned_key_of_the_certificates_algorithm_signs_results() {
    let world = World::new();
    let (shop, old) = (world.fapi("shop"), world.fapi_alg("old", Alg::ES256));
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let (token, s) = world.claims(&at.transaction, &at.transaction.answers);
    let unsigned = |alg: &str| {
        let header = b64(json!({ "alg": alg, "typ": "JWT", "kid": world.group.kid() }).to_string().as_bytes());
        format!("{header}.{}.{}", b64(serde_json::to_vec(&token).unwrap().as_slice()), b64(&[1; 64]))
    };
    let stranger = key(Alg::EdDSA, &*world.rng);
    let impostor = copy(&stranger).with_kid(world.group.kid());
    let mut own_key = Header::new(Alg::EdDSA).typ("JWT");
    own_key.jwk = Some(json!(stranger.public()));
    let forgeries = [
        ("the front itself", world.signed_by(&world.front_key, &token)),
        ("the registry", world.signed_by(&world.registry, &token)),
        ("a stranger", world.signed_by(&stranger, &token)),
        ("a stranger under the group's kid", world.signed_by(&impostor, &token)),
        ("a stranger's own key in the header", sign(&stranger, own_key, &token).unwrap()),
        ("one node alone, for a platform that wants two", world.signed_by(&world.node, &token)),
        ("no algorithm", unsigned("none")),
        ("an HMAC of the public key", unsigned("HS256")),
        ("another algorithm's name", unsigned("ES256")),
        ("not a JWS", "x.y".to_owned()),
        ("another kind of thing the nodes sign", {
            let header = Header::new(Alg::EdDSA).typ("dc+sd-jwt").kid(world.group.kid());
            sign(&world.group, header, &token).unwrap()
        }),
    ];
    for (why, id_token) in forgeries {
        let answer = CompleteSignIn { tx: at.transaction.tx, id_token, s, handle: None };
        let done = world.front.complete(&answer, &[&at.begun.cookie]).await;
        assert_eq!(done, Err(Refusal::TokenRejected), "{why}");
    }
    // And the group's signature is not one-key mode's.
    let at = world.at_wallet(&old, &Wish::default()).await;
    assert_eq!(world.complete(&at).await, Err(Refusal::TokenRejected));
}

#[tokio::test]
async fn a_member_smuggled_into_the_token_is_refused() {
    let world = World::new();
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let (token, s) = world.claims(&at.transaction, &at.transaction.answers);
    let mut claims = serde_json::to_value(&token).unwrap();
    claims["name"] = json!("someone");
    let mut nested = serde_json::to_value(&token).unwrap();
    nested["hufu"]["handle"] = json!("x");
    for claims in [claims, nested] {
        let answer =
            CompleteSignIn { tx: at.transaction.tx, id_token: world.signed_by(&world.group, &claims), s, handle: None };
        assert_eq!(world.front.complete(&answer, &[&at.begun.cookie]).await, Err(Refusal::TokenRejected));
    }
}

#[tokio::test]
async fn a_weaker_authentication_than_asked_for_is_refused() {
    let world = World::new();
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &strong()).await;
    let weaker = world.answer_with(&at.transaction, |token| {
        token.hufu.strength = hufu_kernel::Strength::Certificate;
        token.acr = hufu_wire::api::sign_in::acr(token.hufu.strength).to_owned();
        token.amr = hufu_wire::api::sign_in::amr(token.hufu.strength);
    });
    assert_eq!(world.front.complete(&weaker, &[&at.begun.cookie]).await, Err(Refusal::TokenRejected));
    assert!(world.complete(&at).await.is_ok());
}

#[tokio::test]
async fn a_stronger_authentication_than_asked_for_is_taken() {
    let world = World::new();
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let stronger = world.answer_with(&at.transaction, |token| {
        token.hufu.strength = hufu_kernel::Strength::CertificatePassword;
        token.acr = hufu_wire::api::sign_in::acr(token.hufu.strength).to_owned();
        token.amr = hufu_wire::api::sign_in::amr(token.hufu.strength);
    });
    assert!(world.front.complete(&stronger, &[&at.begun.cookie]).await.is_ok());
}

/// A front that lies to the wallet gains nothing: what it widens is in the context that the nodes check against the
/// certificate and that the person's device signs, and it cannot sign a result itself.
#[tokio::test]
async fn the_front_cannot_widen_answers() {
    let world = World::new();
    let shop = world.fapi("shop");
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let mut lie = at.transaction.clone();
    lie.answers = vec![Answer::Real, Answer::Unique, Answer::AgeBand];
    let certificate = hufu_offices::registry::read(&world.trust.offices.registry, &lie.certificate).unwrap();
    let (token, s) = world.claims(&lie, &lie.answers);
    let consent = hufu_wire::api::sign_in::Consent {
        certificate: lie.certificate.clone(),
        iss: lie.iss.clone(),
        client_id: lie.client_id.clone(),
        redirect_uri: lie.redirect_uri.clone(),
        nonce: lie.nonce.clone(),
        code_challenge: lie.code_challenge.clone(),
        dpop_jkt: lie.dpop_jkt.clone(),
        tx: lie.tx,
        answers: lie.answers.clone(),
        purpose: lie.purpose.clone(),
        s,
        strength: lie.strength,
        t: world.now(),
        iat: world.now(),
    };
    let node = hufu_domain::consent::check(&certificate, world.trust.root, &consent, world.now());
    assert_eq!(node, Err(Refusal::OverAsking));
    let own = CompleteSignIn { tx: lie.tx, id_token: world.signed_by(&world.front_key, &token), s, handle: None };
    assert_eq!(world.front.complete(&own, &[&at.begun.cookie]).await, Err(Refusal::TokenRejected));
}
