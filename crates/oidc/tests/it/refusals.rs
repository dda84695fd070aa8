//! Every refusal of the table is reached by the mistake it names, and by no earlier check.

use crate::provider_fixture::*;
use hufu_kernel::{b64, random};
use hufu_oidc::provider::{
    Call, DETAIL_TYPE, Environment, ManagementToken, Manager, SealedKind, authorize, logout, manager, userinfo,
};
use hufu_oidc::{Challenge, Form, OAuthError, Pairs};
use hufu_wire::jose::{Alg, Header, SoftKey, sign};
use hufu_wire::tls_client::ClientCertificate;
use serde_json::{Value, json};
use std::collections::HashSet;

/// The body with one parameter replaced, or removed.
pub fn with(body: &str, name: &str, value: Option<&str>) -> String {
    let kept = body.split('&').filter(|pair| pair.split('=').next() != Some(name)).map(str::to_owned);
    kept.chain(value.map(|value| Pairs::default().with(name, value).encode())).collect::<Vec<_>>().join("&")
}

/// `authorization_details` for one answer.
pub fn detail(purpose: &str, answer: &str) -> String {
    json!([{ "type": DETAIL_TYPE, "purpose": purpose, "answers": [answer] }]).to_string()
}

pub struct Seen(HashSet<OAuthError>);

impl Seen {
    pub fn expect(&mut self, got: Option<OAuthError>, wanted: OAuthError, why: &str) {
        assert_eq!(got, Some(wanted), "{why}");
        self.0.insert(wanted);
    }
}

pub fn push_body(world: &World) -> String {
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
        ("request", Some("x"), E::RequestObjectSignature),
        ("registration", Some("x"), E::Registration),
        ("response_type", Some("token"), E::ResponseType),
        ("response_mode", Some("fragment"), E::ResponseMode),
        ("scope", Some("profile"), E::ScopeOpenid),
        ("scope", Some("openid hufu:photo"), E::ScopeUnknown),
        ("scope", Some("openid hufu:age_over_18"), E::OverAsking),
        ("scope", Some("openid hufu:age_band"), E::OverAsking),
        ("hufu_purpose", Some("q"), E::Purpose),
        ("claims", Some("x"), E::ClaimsMalformed),
        ("claims", Some(r#"{"id_token":{"hufu":{"answers":{"age_over_18":null}}}}"#), E::OverAsking),
        ("claims", Some(r#"{"id_token":{"acr":{"essential":true,"value":"urn:hufu:acr:face"}}}"#), E::ClaimsStrength),
        ("claims", Some(r#"{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}"#), E::OtherPerson),
        ("authorization_details", Some("[]"), E::DetailsMalformed),
        ("authorization_details", Some(&detail("p", "age_over_18")), E::DetailsBeyond),
        ("authorization_details", Some(&detail("q", "real")), E::DetailsBeyond),
        ("state", Some(&long), E::StateMalformed),
        ("nonce", Some(&long), E::Nonce),
        ("code_challenge", None, E::PkceMissing),
        ("code_challenge_method", Some("plain"), E::PkceMethod),
        ("code_challenge_method", None, E::PkceMethod),
        ("code_challenge", Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c"), E::PkceChallenge),
        ("dpop_jkt", Some("x"), E::DpopKey),
        ("prompt", Some("none consent"), E::Prompt),
        ("max_age", Some("soon"), E::MaxAge),
        ("id_token_hint", Some("x.y.z"), E::SubjectHint),
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
        ("lives too long", |c| c["exp"] = json!(NOW + 331), E::AssertionTime),
        ("from the future", |c| c["iat"] = json!(NOW + 31), E::AssertionTime),
        ("no jti", |c| c["jti"] = json!(1), E::AssertionId),
    ];
    for (why, change, wanted) in changed {
        let body = with(&good, "client_assertion", Some(&asserted(world, change)));
        seen.expect(refused(par, world, (&[], &[]), &body), wanted, why);
    }
    let accepted = with(&good, "client_assertion", Some(&asserted(world, |c| c["iat"] = json!(NOW + 30))));
    assert_eq!(refused(par, world, (&[], &[]), &accepted), None, "clocks ahead by thirty seconds are accepted");
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
    // Of somebody else: told where the request says, if that is certified.
    let foreign = with(&plain, "request_uri", Some("https://evil.example/request.jwt"));
    let rejection = said(&foreign).unwrap();
    assert_eq!(rejection.redirect.map(|to| to.redirect_uri).as_deref(), Some("https://judge.example/cb"));
    seen.expect(Some(rejection.error), E::RequestUriForeign, "a stranger's request_uri");
    for (name, value) in [("redirect_uri", None), ("redirect_uri", Some("https://evil.example/"))] {
        let rejection = said(&with(&foreign, name, value)).unwrap();
        assert_eq!((rejection.error, rejection.redirect), (E::RequestUriUnknown, None), "{value:?}");
    }
    let rejection = said(&with(&plain, "prompt", Some("none"))).unwrap();
    seen.expect(Some(rejection.error), E::LoginRequired, "prompt=none");
    let response = rejection.redirect.unwrap();
    let to = response.by_query(&response.parameters(None));
    assert!(to.starts_with("https://judge.example/cb?error=login_required&"), "{to}");
    assert!(to.ends_with("&state=s+t&iss=https%3A%2F%2Fid.example"), "{to}");
}

/// A request object of the shop's, with what it may not be.
fn object_mistakes(world: &World, seen: &mut Seen) {
    use OAuthError as E;
    let object = |change: &dyn Fn(&mut Value)| world.request_object(world.assertions(), |claims| change(claims));
    let pushed = |object: &str| refused(par, world, (&[], &[]), &world.signed_push(object));
    assert_eq!(pushed(&object(&|_| {})), None);
    type Change = fn(&mut Value);
    let accepted: [(&str, Change); 4] = [
        ("several audiences", |c| c["aud"] = json!([ISSUER, "https://other.example"])),
        ("clocks ahead", |c| c["nbf"] = json!(NOW + 8)),
        ("max_age is a number", |c| c["max_age"] = json!(60)),
        ("claims are an object", |c| c["claims"] = json!({ "id_token": { "acr": null } })),
    ];
    for (why, change) in accepted {
        assert_eq!(pushed(&object(&change)), None, "{why}");
    }
    let changed: [(&str, Change, E); 17] = [
        ("no iss", |c| c["iss"] = Value::Null, E::RequestObjectIssuer),
        ("another iss", |c| c["iss"] = json!("judge"), E::RequestObjectIssuer),
        ("another client_id", |c| c["client_id"] = json!("judge"), E::RequestObjectIssuer),
        ("no aud", |c| drop(c.as_object_mut().unwrap().remove("aud")), E::RequestObjectAudience),
        ("another aud", |c| c["aud"] = json!("https://other.example"), E::RequestObjectAudience),
        ("no exp", |c| drop(c.as_object_mut().unwrap().remove("exp")), E::RequestObjectTime),
        ("no nbf", |c| drop(c.as_object_mut().unwrap().remove("nbf")), E::RequestObjectTime),
        ("expired", |c| c["exp"] = json!(NOW), E::RequestObjectTime),
        ("lives 70 minutes", |c| c["exp"] = json!(NOW + 4200), E::RequestObjectTime),
        ("begun 70 minutes ago", |c| c["nbf"] = json!(NOW - 4200), E::RequestObjectTime),
        ("from the future", |c| c["nbf"] = json!(NOW + 62), E::RequestObjectTime),
        ("request within", |c| c["request"] = json!("x"), E::RequestObjectParameter),
        ("request_uri within", |c| c["request_uri"] = json!("x"), E::RequestObjectParameter),
        ("null", |c| c["state"] = Value::Null, E::RequestObjectParameter),
        ("a control character", |c| c["state"] = json!("a\u{0}b"), E::RequestObjectParameter),
        // A mistake in a parameter keeps its own code.
        ("a stranger's address", |c| c["redirect_uri"] = json!("https://evil.example/cb"), E::RedirectMismatch),
        ("no PKCE", |c| drop(c.as_object_mut().unwrap().remove("code_challenge")), E::PkceMissing),
    ];
    for (why, change, wanted) in changed {
        seen.expect(pushed(&object(&change)), wanted, why);
    }
    let stranger = SoftKey::generate(Alg::ES256, &world.rng).unwrap();
    let forged = world.request_object(&stranger, |_| {});
    seen.expect(pushed(&forged), E::RequestObjectSignature, "a stranger's key");
    let claims = object(&|_| {}).split('.').nth(1).unwrap().to_owned();
    let unsigned = format!("{}.{claims}.", b64(br#"{"alg":"none"}"#));
    seen.expect(pushed(&unsigned), E::RequestObjectSignature, "alg none");
    let as_logout =
        sign(world.assertions(), Header::new(Alg::ES256).typ("logout+jwt"), &world.request_claims()).unwrap();
    seen.expect(pushed(&as_logout), E::RequestObjectSignature, "another type");
    // The parameters beside the object are not looked at, but for whose it is.
    let beside = |name, value| with(&world.signed_push(&object(&|_| {})), name, Some(value));
    assert_eq!(refused(par, world, (&[], &[]), &beside("scope", "openid hufu:photo")), None);
    assert_eq!(refused(par, world, (&[], &[]), &beside("response_mode", "fragment")), None);
    seen.expect(refused(par, world, (&[], &[]), &beside("request_uri", "x")), E::RequestUriInPush, "both");
    // A client without keys has nothing to sign with; one that registered it must.
    let query = Pairs::default()
        .with("client_id", "judge")
        .with("redirect_uri", "https://judge.example/cb")
        .with("request", &object(&|_| {}));
    let rejection = authorize(&world.env(), &Form::parse(&query.encode()).unwrap()).err().unwrap();
    assert!(rejection.redirect.is_some());
    seen.expect(Some(rejection.error), E::RequestObject, "a client without keys");
    let signing = World::signing();
    seen.expect(refused(par, &signing, (&[], &[]), &push_body(&signing)), E::RequestObjectMissing, "unsigned");
    let object = signing.request_object(signing.assertions(), |_| {});
    assert_eq!(refused(par, &signing, (&[], &[]), &signing.signed_push(&object)), None);
}

fn logout_mistakes(world: &World, seen: &mut Seen) {
    use OAuthError as E;
    const BACK: &str = "https://shop.example/bye";
    let token = |key: &SoftKey, alg, typ: &str, claims: Value| sign(key, Header::new(alg).typ(typ), &claims).unwrap();
    let old = json!({ "iss": ISSUER, "aud": "shop", "sub": "s", "exp": NOW - 86_400 });
    let hint = token(&world.node, Alg::EdDSA, "JWT", old.clone());
    let out = |pairs: Pairs| logout(&world.env(), &Form::parse(&pairs.encode()).unwrap());
    let said = |pairs: Pairs| out(pairs).map(|out| out.redirect);
    let with_hint = |hint: &str| Pairs::default().with("id_token_hint", hint).with("post_logout_redirect_uri", BACK);
    assert_eq!(said(with_hint(&hint)), Ok(Some(BACK.to_owned())));
    assert_eq!(said(with_hint(&hint).with("state", "s t")), Ok(Some(format!("{BACK}?state=s+t"))));
    assert_eq!(said(with_hint(&hint).with("client_id", "shop")), Ok(Some(BACK.to_owned())));
    for pairs in [Pairs::default(), Pairs::default().with("state", "x"), Pairs::default().with("id_token_hint", &hint)]
    {
        assert_eq!(said(pairs), Ok(None), "a page");
    }
    // The platform of the hint is told, of the person in it; without one nobody is.
    let notice = out(with_hint(&hint)).unwrap().notice.unwrap();
    assert_eq!(notice.uri, "https://shop.example/out");
    let claims = notice.claims(ISSUER, NOW, "j");
    assert_eq!((&claims["aud"], &claims["sub"], &claims["exp"]), (&json!("shop"), &json!("s"), &json!(NOW + 120)));
    assert!(claims.get("nonce").is_none() && claims.get("sid").is_none());
    assert_eq!(out(Pairs::default().with("client_id", "shop")).unwrap().notice, None);
    let stranger = SoftKey::generate(Alg::EdDSA, &world.rng).unwrap();
    let mut other_issuer = old.clone();
    other_issuer["iss"] = json!("https://evil.example");
    let mut nobody = old.clone();
    nobody["aud"] = json!("nobody");
    let unsigned = format!("{}.{}.", b64(br#"{"alg":"none"}"#), b64(old.to_string().as_bytes()));
    for (why, hint) in [
        ("a stranger's", token(&stranger, Alg::EdDSA, "JWT", old.clone())),
        ("another issuer's", token(&world.node, Alg::EdDSA, "JWT", other_issuer)),
        ("nobody's", token(&world.node, Alg::EdDSA, "JWT", nobody)),
        ("a certificate", token(&world.node, Alg::EdDSA, "dc+sd-jwt", old.clone())),
        ("of the client's own key", token(world.assertions(), Alg::ES256, "JWT", old.clone())),
        ("unsigned", unsigned),
    ] {
        seen.expect(said(with_hint(&hint)).err(), E::Hint, why);
    }
    seen.expect(said(with_hint(&hint).with("client_id", "judge")).err(), E::Hint, "another client");
    let to = |uri: &str| Pairs::default().with("id_token_hint", &hint).with("post_logout_redirect_uri", uri);
    for uri in ["https://evil.example/", "https://shop.example/bye?foo=bar", "https://shop.example/cb"] {
        seen.expect(said(to(uri)).err(), E::LogoutRedirect, uri);
    }
    let alone = Pairs::default().with("post_logout_redirect_uri", BACK);
    seen.expect(said(alone.clone()).err(), E::LogoutRedirect, "no hint");
    seen.expect(said(alone.with("client_id", "shop")).err(), E::LogoutRedirect, "a client_id is no proof");
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

fn refresh_mistakes(seen: &mut Seen) {
    use OAuthError as E;
    let world = World::later();
    let own = world.shop.dpop.as_ref().unwrap();
    let token = world.refresh_token(&own.public().thumbprint());
    let sealed = |token| seal(SealedKind::RefreshToken, "shop", token);
    let good = || world.shop.renew(&sealed(&token), NOW, &world.rng).unwrap().body;
    let proof = || world.proof(own, "POST", "/token", None);
    assert_eq!(refused(refresh, &world, (&[], &[&proof()]), &good()), None);
    assert_eq!(refused(refresh, &world, (&[], &[&proof()]), &with(&good(), "scope", Some("openid"))), None, "narrower");
    let mut ended = token.clone();
    ended.exp = NOW;
    for (name, value, wanted) in [
        ("grant_type", Some("password"), E::GrantType),
        ("refresh_token", None, E::RefreshMissing),
        ("refresh_token", Some("AAAA"), E::RefreshUnknown),
        ("refresh_token", Some(&*seal(SealedKind::RefreshToken, "judge", &token)), E::RefreshUnknown),
        ("refresh_token", Some(&*seal(SealedKind::Code, "shop", &token)), E::RefreshUnknown),
        ("refresh_token", Some(&*sealed(&ended)), E::RefreshExpired),
        ("scope", Some("openid hufu:alive"), E::RefreshScope),
    ] {
        seen.expect(refused(refresh, &world, (&[], &[&proof()]), &with(&good(), name, value)), wanted, name);
    }
    // Bound to the client and no key (RFC 9449 section 5): another key will do, none will not.
    let other = SoftKey::generate(Alg::ES256, &world.rng).unwrap();
    let others = world.proof(&other, "POST", "/token", None);
    assert_eq!(refused(refresh, &world, (&[], &[&others]), &good()), None, "another key");
    seen.expect(refused(refresh, &world, (&[], &[]), &good()), E::ProofMissing, "no proof");
    let plain = World::new();
    let body = plain.shop.renew(&sealed(&token), NOW, &plain.rng).unwrap().body;
    seen.expect(refused(refresh, &plain, (&[], &[&proof()]), &body), E::LaterUse, "a use that is not registered");
}

fn stream_manager(env: &Environment<'_>, call: &Call<'_>) -> Result<Manager, (OAuthError, Challenge)> {
    manager(env, call, "/ssf/stream")
}

fn management_mistakes(seen: &mut Seen) {
    use OAuthError as E;
    let world = World::later();
    let own = world.shop.dpop.as_ref().unwrap();
    let good = || world.shop.manage(NOW, &world.rng).unwrap().body;
    let proof = || world.proof(own, "POST", "/token", None);
    let said = |proofs: &[&str], body: &str| refused(client_credentials, &world, (&[], proofs), body);
    assert_eq!(said(&[&proof()], &good()), None);
    seen.expect(said(&[&proof()], &with(&good(), "grant_type", None)), E::GrantType, "no grant");
    seen.expect(said(&[&proof()], &with(&good(), "scope", Some("openid"))), E::ManagementScope, "another scope");
    seen.expect(said(&[], &good()), E::ProofMissing, "no proof");
    let plain = World::new();
    let body = plain.shop.manage(NOW, &plain.rng).unwrap().body;
    let proof = plain.proof(plain.shop.dpop.as_ref().unwrap(), "POST", "/token", None);
    let nothing = refused(client_credentials, &plain, (&[], &[&proof]), &body);
    seen.expect(nothing, E::LaterUse, "nothing to manage");

    let token = |jkt: &str, exp| {
        let token = ManagementToken { client_id: "shop".into(), jkt: jkt.into(), x5t: String::new(), exp };
        seal(SealedKind::ManagementToken, "", &token)
    };
    let bound = token(&own.public().thumbprint(), NOW + 1);
    let proof = |token: &str| world.proof(own, "POST", "/ssf/stream", Some(token));
    let said = |headers: &[&str], proofs: &[&str]| refused(stream_manager, &world, (headers, proofs), "");
    assert_eq!(said(&[&format!("DPoP {bound}")], &[&proof(&bound)]), None);
    let access = seal(SealedKind::AccessToken, "", &world.access_token(&own.public().thumbprint()));
    let (old, bearer) = (token(&own.public().thumbprint(), NOW), token("", NOW + 1));
    for (why, header, proof, wanted) in [
        ("a person's access token", format!("DPoP {access}"), proof(&access), E::TokenInvalid),
        ("too old", format!("DPoP {old}"), proof(&old), E::TokenInvalid),
        ("as a bearer token", format!("Bearer {bound}"), proof(&bound), E::TokenBinding),
        ("bound to nothing", format!("Bearer {bearer}"), proof(&bearer), E::TokenBinding),
        ("another token's proof", format!("DPoP {bound}"), proof(&access), E::ProofInvalid),
    ] {
        seen.expect(said(&[&header], &[&proof]), wanted, why);
    }
    seen.expect(said(&[], &[]), E::TokenMissing, "no token");
    seen.expect(said(&[&format!("DPoP {bound}")], &[]), E::ProofMissing, "no proof");
    let told = refused(stream_manager, &plain, (&[&format!("DPoP {bound}")], &[]), "");
    seen.expect(told, E::TokenInvalid, "a platform that may not any more");
    // And the other way round: it opens nobody's userinfo.
    let userinfo_proof = world.proof(own, "POST", "/userinfo", Some(&bound));
    let told = refused(userinfo, &world, (&[&format!("DPoP {bound}")], &[&userinfo_proof]), "");
    seen.expect(told, E::TokenInvalid, "a management token");
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

/// Proofs without a nonce of ours, and with another: before the code is looked at, so that it is not used up.
fn nonce_mistakes(seen: &mut Seen) {
    use OAuthError as E;
    let (world, any) = (World::with_nonces(), World::new());
    for (world, nonce, wanted) in [
        (&world, None, Some(E::ProofNonce)),
        (&world, Some("another"), Some(E::ProofNonce)),
        (&world, Some(NONCE), None),
        // Of a platform that need not: what it sends must be right all the same.
        (&any, None, None),
        (&any, Some("another"), Some(E::ProofNonce)),
        (&any, Some(NONCE), None),
    ] {
        let own = world.shop.dpop.as_ref().unwrap();
        let bound = seal(SealedKind::AccessToken, "", &world.access_token(&own.public().thumbprint()));
        let proof = |path, token| world.proof_with(own, ("POST", path), token, nonce);
        let pending = world.pending();
        let code = seal(SealedKind::Code, "shop", &world.code(&pending));
        let redeem = world.shop.redeem(&pending, &code, NOW, &world.rng).unwrap().body;
        let said = [
            refused(par, world, (&[], &[&proof("/par", None)]), &push_body(world)),
            refused(token, world, (&[], &[&proof("/token", None)]), &redeem),
            refused(userinfo, world, (&[&format!("DPoP {bound}")], &[&proof("/userinfo", Some(&bound))]), ""),
        ];
        assert_eq!(said[0], wanted, "/par {nonce:?}");
        assert_eq!(said[2], wanted, "/userinfo {nonce:?}");
        match wanted {
            Some(wanted) => seen.expect(said[1], wanted, "/token"),
            // Past all checks: the ID token in this code is none, and nothing else is wrong with it.
            None => assert_eq!(said[1], Some(E::Internal), "/token {nonce:?}"),
        }
    }
    // A push without a proof has nothing to carry a nonce.
    assert_eq!(refused(par, &world, (&[], &[]), &push_body(&world)), None);
}

fn certificate_mistakes(world: &World, seen: &mut Seen) {
    use OAuthError as E;
    let (own, other) = (tls_certificate(HOST), tls_certificate("evil.example"));
    let pushed = with(&push_body(world), "client_id", Some("till"));
    let pushed = with(&pushed, "redirect_uri", Some("https://till.example/cb"));
    let bare = with(&with(&pushed, "client_assertion", None), "client_assertion_type", None);
    let said = |certificate, body: &str| refused_with(certificate, par, world, (&[], &[]), body);
    assert_eq!(said(Some(&own), &bare), None);
    seen.expect(said(Some(&other), &bare), E::CertificateName, "another name");
    seen.expect(said(None, &bare), E::ClientMissing, "no certificate");
    seen.expect(said(Some(&own), &with(&bare, "client_id", None)), E::ClientMissing, "no client_id");
    seen.expect(said(Some(&own), &with(&bare, "client_id", Some("nobody"))), E::ClientUnknown, "nobody's");
    seen.expect(said(Some(&own), &with(&bare, "client_id", Some("shop"))), E::MethodNotAllowed, "a client with keys");
    seen.expect(said(Some(&own), &with(&bare, "client_secret", Some(SECRET))), E::MethodNotAllowed, "a secret");
    // Tokens: the certificate is asked for before the code is looked at.
    let redeem = Pairs::default().with("client_id", "till").with("grant_type", "authorization_code").encode();
    let redeemed = |certificate, body: &str| refused_with(certificate, token, world, (&[], &[]), body);
    seen.expect(redeemed(Some(&own), &redeem), E::CodeMissing, "a certificate instead of a proof");
    let mut bound = world.access_token("");
    own.thumbprint().clone_into(&mut bound.x5t);
    let bound = seal(SealedKind::AccessToken, "", &bound);
    let header = format!("Bearer {bound}");
    let told = |certificate: Option<&ClientCertificate>, header: &str| {
        refused_with(certificate, userinfo, world, (&[header], &[]), "")
    };
    assert_eq!(told(Some(&own), &header), None);
    seen.expect(told(None, &header), E::TokenCertificate, "no certificate");
    seen.expect(told(Some(&tls_certificate(HOST)), &header), E::TokenCertificate, "another one in the same name");
    seen.expect(told(Some(&own), &format!("DPoP {bound}")), E::TokenBinding, "as if it were bound to a key");
    let key = seal(SealedKind::AccessToken, "", &world.access_token("thumbprint"));
    seen.expect(
        told(Some(&own), &format!("Bearer {key}")),
        E::TokenBinding,
        "bound to a key, with a certificate alone",
    );
    // Bound to a certificate, and authenticated by its keys.
    let world = World::bound();
    let pending = world.pending();
    let good = world.shop.redeem(&pending, &seal(SealedKind::Code, "shop", &world.code(&pending)), NOW, &world.rng);
    let body = good.unwrap().body;
    let redeemed = |certificate| refused_with(certificate, token, &world, (&[], &[]), &body);
    seen.expect(redeemed(None), E::CertificateMissing, "no certificate to bind to");
}

#[test]
fn every_refusal_is_reached_by_the_mistake_it_names() {
    let world = World::new();
    let mut seen = Seen(HashSet::new());
    request_mistakes(&world, &mut seen);
    client_mistakes(&world, &mut seen);
    authorize_mistakes(&world, &mut seen);
    token_mistakes(&world, &mut seen);
    refresh_mistakes(&mut seen);
    management_mistakes(&mut seen);
    userinfo_mistakes(&world, &mut seen);
    object_mistakes(&world, &mut seen);
    nonce_mistakes(&mut seen);
    logout_mistakes(&world, &mut seen);
    certificate_mistakes(&world, &mut seen);
    crate::backchannel::mistakes(&mut seen);
    let bare = with(&with(&push_body(&world), "scope", None), "token", None);
    seen.expect(refused(about_token, &world, (&[], &[]), &bare), OAuthError::TokenParameter, "no token");
    // Those that need a memory or a person are the front's to give; its tests reach them.
    let of_the_front = [
        OAuthError::AssertionReplayed,
        OAuthError::ProofReplayed,
        OAuthError::CodeReplayed,
        OAuthError::RequestUriUsed,
        OAuthError::BackchannelReplayed,
        OAuthError::AuthRequestUnknown,
        OAuthError::AuthRequestPending,
        OAuthError::AuthRequestFast,
        OAuthError::AuthRequestExpired,
        OAuthError::AuthRequestDenied,
        OAuthError::Denied,
        OAuthError::RefreshEnded,
        OAuthError::NodesAway,
        OAuthError::StreamMalformed,
        OAuthError::StreamDelivery,
        OAuthError::StreamExists,
        OAuthError::StreamUnknown,
        OAuthError::StreamSubject,
        OAuthError::StreamFull,
        OAuthError::StreamVerify,
        OAuthError::Unavailable,
        OAuthError::TooMany,
        OAuthError::Internal,
    ];
    let missing: Vec<_> =
        OAuthError::ALL.iter().filter(|error| !seen.0.contains(error) && !of_the_front.contains(error)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
