//! Every refusal of the table is reached by the mistake it names, and by no earlier check.

use crate::provider_fixture::*;
use hufu_kernel::{b64, random};
use hufu_oidc::provider::{SealedKind, authorize, par, token, userinfo};
use hufu_oidc::{Form, OAuthError, Pairs};
use hufu_wire::jose::{Alg, Header, SoftKey, sign};
use serde_json::{Value, json};
use std::collections::HashSet;

/// The body with one parameter replaced, or removed.
fn with(body: &str, name: &str, value: Option<&str>) -> String {
    let kept = body.split('&').filter(|pair| pair.split('=').next() != Some(name)).map(str::to_owned);
    kept.chain(value.map(|value| Pairs::default().with(name, value).encode())).collect::<Vec<_>>().join("&")
}

struct Seen(HashSet<OAuthError>);

impl Seen {
    fn expect(&mut self, got: Option<OAuthError>, wanted: OAuthError, why: &str) {
        assert_eq!(got, Some(wanted), "{why}");
        self.0.insert(wanted);
    }
}

fn push_body(world: &World) -> String {
    world.shop.push(&world.pending(), NOW, &world.rng).unwrap().body
}

fn asserted(world: &World, change: impl FnOnce(&mut Value)) -> String {
    let jti = b64(&random::<8>(&world.rng));
    let mut claims = json!({ "iss": "shop", "sub": "shop", "aud": ISSUER, "jti": jti, "iat": NOW, "exp": NOW + 300 });
    change(&mut claims);
    sign(world.assertions(), Header::new(Alg::ES256), &claims).unwrap()
}

fn request_mistakes(world: &World, seen: &mut Seen) {
    use OAuthError as E;
    let good = push_body(world);
    assert_eq!(refused(par, world, (&[], &[]), &good), None);
    let long = "x".repeat(1025);
    for (name, value, wanted) in [
        ("redirect_uri", None, E::RedirectMissing),
        ("redirect_uri", Some("https://evil.example/cb"), E::RedirectMismatch),
        ("client_id", Some("nobody"), E::ClientUnknown),
        ("request_uri", Some("x"), E::RequestUriInPush),
        ("request", Some("x"), E::RequestObject),
        ("registration", Some("x"), E::Registration),
        ("response_type", Some("token"), E::ResponseType),
        ("response_mode", Some("form_post"), E::ResponseMode),
        ("scope", Some("profile"), E::ScopeOpenid),
        ("scope", Some("openid hufu:photo"), E::ScopeUnknown),
        ("scope", Some("openid hufu:age_over_18"), E::OverAsking),
        ("scope", Some("openid hufu:age_band"), E::OverAsking),
        ("hufu_purpose", Some("q"), E::Purpose),
        ("state", Some(&long), E::StateMalformed),
        ("nonce", Some(&long), E::Nonce),
        ("code_challenge", None, E::PkceMissing),
        ("code_challenge_method", Some("plain"), E::PkceMethod),
        ("code_challenge_method", None, E::PkceMethod),
        ("code_challenge", Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c"), E::PkceChallenge),
        ("dpop_jkt", Some("x"), E::DpopKey),
        ("prompt", Some("none consent"), E::Prompt),
        ("max_age", Some("soon"), E::MaxAge),
        ("client_assertion_type", Some("x"), E::AssertionType),
        ("client_assertion", Some("x.y.z"), E::AssertionMalformed),
        ("client_assertion", None, E::ClientMissing),
        ("client_secret", Some("x"), E::TwoMethods),
    ] {
        seen.expect(refused(par, world, (&[], &[]), &with(&good, name, value)), wanted, name);
    }
    seen.expect(refused(par, world, (&[], &[]), &format!("{good}&scope=x")), E::Repeated, "repeated");
    seen.expect(refused(par, world, (&[], &[]), &format!("{good}&x=%ff")), E::Malformed, "not UTF-8");
    let other = SoftKey::generate(Alg::ES256, &world.rng).unwrap();
    let proof = world.proof(&other, "POST", "/par", None);
    seen.expect(refused(par, world, (&[], &[&proof]), &good), E::DpopKey, "another key's proof");
}

fn client_mistakes(world: &World, seen: &mut Seen) {
    use OAuthError as E;
    let good = push_body(world);
    let stranger = SoftKey::generate(Alg::ES256, &world.rng).unwrap();
    let claims = json!({ "iss": "shop", "sub": "shop", "aud": ISSUER, "jti": "j", "exp": NOW + 60 });
    let forged = sign(&stranger, Header::new(Alg::ES256), &claims).unwrap();
    type Change = fn(&mut Value);
    let changed: [(&str, Change, E); 7] = [
        ("iss", |c| c["iss"] = json!("judge"), E::AssertionIssuer),
        ("aud as an array", |c| c["aud"] = json!([ISSUER]), E::AssertionAudience),
        ("aud is the endpoint", |c| c["aud"] = json!("https://id.example/par"), E::AssertionAudience),
        ("expired", |c| c["exp"] = json!(NOW), E::AssertionTime),
        ("lives too long", |c| c["exp"] = json!(NOW + 311), E::AssertionTime),
        ("from the future", |c| c["iat"] = json!(NOW + 11), E::AssertionTime),
        ("no jti", |c| c["jti"] = json!(1), E::AssertionId),
    ];
    for (why, change, wanted) in changed {
        let body = with(&good, "client_assertion", Some(&asserted(world, change)));
        seen.expect(refused(par, world, (&[], &[]), &body), wanted, why);
    }
    let accepted = with(&good, "client_assertion", Some(&asserted(world, |c| c["iat"] = json!(NOW + 10))));
    assert_eq!(refused(par, world, (&[], &[]), &accepted), None, "clocks ahead by ten seconds are accepted");
    let body = with(&good, "client_assertion", Some(&forged));
    seen.expect(refused(par, world, (&[], &[]), &body), E::AssertionSignature, "a stranger's key");

    // shop:secret, judge:wrong, judge:secret
    let bare = with(&with(&good, "client_assertion", None), "client_assertion_type", None);
    let judge = with(&with(&bare, "client_id", None), "redirect_uri", Some("https://judge.example/cb"));
    let basic = |header| refused(par, world, (&[header], &[]), &judge);
    seen.expect(basic("Basic c2hvcDpzZWNyZXQ="), E::MethodNotAllowed, "a secret for a FAPI client");
    seen.expect(basic("Basic anVkZ2U6d3Jvbmc="), E::SecretWrong, "a wrong secret");
    seen.expect(basic("Basic ?"), E::SecretWrong, "no base64");
    seen.expect(basic("Bearer x"), E::SecretWrong, "another scheme");
    assert_eq!(basic("Basic anVkZ2U6c2VjcmV0"), None);
    let mixed = with(&judge, "client_id", Some("shop"));
    seen.expect(refused(par, world, (&["Basic anVkZ2U6c2VjcmV0"], &[]), &mixed), E::ClientMismatch, "two clients");
}

fn authorize_mistakes(world: &World, seen: &mut Seen) {
    use OAuthError as E;
    let said = |query: &str| authorize(&world.env(), &Form::parse(query).unwrap()).err();
    let pushed = Pairs::default().with("client_id", "shop").with("request_uri", &world.request_uri(NOW + 1)).encode();
    assert_eq!(said(&pushed), None);
    for (why, query, wanted) in [
        ("no client", with(&pushed, "client_id", None), E::ClientMissing),
        ("not pushed", with(&pushed, "request_uri", None), E::PushRequired),
        ("another client's", with(&pushed, "client_id", Some("judge")), E::RequestUriUnknown),
        ("expired", with(&pushed, "request_uri", Some(&world.request_uri(NOW))), E::RequestUriExpired),
    ] {
        let rejection = said(&query).unwrap();
        assert_eq!(rejection.redirect, None, "{why}");
        seen.expect(Some(rejection.error), wanted, why);
    }
    let plain = Pairs::default()
        .with("client_id", "judge")
        .with("redirect_uri", "https://judge.example/cb")
        .with("response_type", "code")
        .with("scope", "openid")
        .with("state", "s t")
        .encode();
    assert_eq!(said(&plain), None);
    let rejection = said(&with(&plain, "prompt", Some("none"))).unwrap();
    seen.expect(Some(rejection.error), E::LoginRequired, "prompt=none");
    let to = rejection.redirect.unwrap();
    assert!(to.starts_with("https://judge.example/cb?error=login_required&"), "{to}");
    assert!(to.ends_with("&state=s+t&iss=https%3A%2F%2Fid.example"), "{to}");
}

fn token_mistakes(world: &World, seen: &mut Seen) {
    use OAuthError as E;
    let pending = world.pending();
    let code = world.code(&pending);
    let sealed = |code| seal(SealedKind::Code, "shop", code);
    let good = || world.shop.redeem(&pending, &sealed(&code), NOW, &world.rng).unwrap().body;
    let own = world.shop.dpop.as_ref().unwrap();
    let proof = || world.proof(own, "POST", "/token", None);
    let mut expired = code.clone();
    expired.exp = NOW;
    let other = SoftKey::generate(Alg::ES256, &world.rng).unwrap();
    let others = world.proof(&other, "POST", "/token", None);
    let wrong_place = world.proof(own, "POST", "/par", None);
    for (name, value, wanted) in [
        ("grant_type", Some("client_credentials"), E::GrantType),
        ("code", None, E::CodeMissing),
        ("code", Some("AAAA"), E::CodeUnknown),
        ("code", Some(&*seal(SealedKind::Code, "judge", &code)), E::CodeUnknown),
        ("code", Some(&*seal(SealedKind::Request, "shop", &code)), E::CodeUnknown),
        ("code", Some(&*sealed(&expired)), E::CodeExpired),
        ("redirect_uri", Some("https://shop.example/"), E::CodeRedirect),
        ("code_verifier", None, E::CodeVerifier),
    ] {
        seen.expect(refused(token, world, (&[], &[&proof()]), &with(&good(), name, value)), wanted, name);
    }
    seen.expect(refused(token, world, (&[], &[]), &good()), E::ProofMissing, "no proof");
    seen.expect(refused(token, world, (&[], &[&wrong_place]), &good()), E::ProofInvalid, "another endpoint's proof");
    seen.expect(refused(token, world, (&[], &[&proof(), &proof()]), &good()), E::ProofRepeated, "two proofs");
    seen.expect(refused(token, world, (&[], &[&others]), &good()), E::CodeKey, "another key");
}

fn userinfo_mistakes(world: &World, seen: &mut Seen) {
    use OAuthError as E;
    let own = world.shop.dpop.as_ref().unwrap();
    let bound = seal(SealedKind::AccessToken, "", &world.access_token(&own.public().thumbprint()));
    let scheme = |scheme: &str, token: &str| format!("{scheme} {token}");
    let proof = world.proof(own, "POST", "/userinfo", Some(&bound));
    let said = |headers: &[&str], proofs: &[&str], body: &str| refused(userinfo, world, (headers, proofs), body);
    assert_eq!(said(&[&scheme("DPoP", &bound)], &[&proof], ""), None);
    seen.expect(said(&[], &[], ""), E::TokenMissing, "no token");
    seen.expect(said(&["Basic x"], &[], ""), E::TokenMissing, "another scheme");
    seen.expect(said(&[&scheme("DPoP", &bound)], &[], "access_token=x"), E::TokenTwice, "two ways");
    seen.expect(said(&["DPoP AAAA"], &[&proof], ""), E::TokenInvalid, "not ours");
    seen.expect(said(&[&scheme("Bearer", &bound)], &[&proof], ""), E::TokenBinding, "as a bearer token");
    seen.expect(said(&[], &[], &format!("access_token={bound}")), E::TokenBinding, "in the body");
    seen.expect(said(&[&scheme("DPoP", &bound)], &[], ""), E::ProofMissing, "no proof");
    let bearer = seal(SealedKind::AccessToken, "", &world.access_token(""));
    assert_eq!(said(&[&scheme("Bearer", &bearer)], &[], ""), None);
    seen.expect(said(&[&scheme("DPoP", &bearer)], &[], ""), E::TokenBinding, "a bearer token as bound");
}

#[test]
fn every_refusal_is_reached_by_the_mistake_it_names() {
    let world = World::new();
    let mut seen = Seen(HashSet::new());
    request_mistakes(&world, &mut seen);
    client_mistakes(&world, &mut seen);
    authorize_mistakes(&world, &mut seen);
    token_mistakes(&world, &mut seen);
    userinfo_mistakes(&world, &mut seen);
    // Those that need a memory or a person are the front's to give; its tests reach them.
    let of_the_front = [
        OAuthError::AssertionReplayed,
        OAuthError::ProofReplayed,
        OAuthError::CodeReplayed,
        OAuthError::RequestUriUsed,
        OAuthError::Denied,
        OAuthError::Unavailable,
        OAuthError::Internal,
    ];
    let missing: Vec<_> =
        OAuthError::ALL.iter().filter(|error| !seen.0.contains(error) && !of_the_front.contains(error)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
