//! What `claims` and `authorization_details` choose, and what of it comes back.

use crate::provider_fixture::*;
use crate::refusals::{detail, push_body, with};
use hufu_kernel::{Answer, Octets, Strength};
use hufu_oidc::provider::{
    AccessToken, AuthorizationRequest, Call, Code, CodeId, MAX_CLAIMS, MAX_VALUES, Redeemed, SealedKind,
    TRUST_FRAMEWORK, userinfo,
};
use hufu_oidc::{Form, OAuthError};
use hufu_wire::api::sign_in::Answers;
use hufu_wire::jose::{Alg, Header, sign};
use serde_json::{Value, json};

/// The request that is made of a push with these parameters besides.
fn asked(world: &World, more: &[(&str, &str)]) -> Result<AuthorizationRequest, OAuthError> {
    let body = more.iter().fold(push_body(world), |body, (name, value)| with(&body, name, Some(value)));
    read(world, &body)
}

fn read(world: &World, body: &str) -> Result<AuthorizationRequest, OAuthError> {
    let form = Form::parse(body).unwrap();
    let call = Call { method: "POST", authorization: &[], dpop: &[], certificate: None, form: &form };
    par(&world.env(), &call).map(|pushed| pushed.request).map_err(|(error, _)| error)
}

const VERIFIED: &str = r#"{"userinfo":{"verified_claims":{"verification":{"trust_framework":null},"claims":{"age_over_18":null,"given_name":null}}}}"#;
const CHOSEN: &str = r#"{"userinfo":{"hufu":{"answers":{"age_over_18":null}},"name":{"essential":true}}}"#;

#[test]
fn answers_are_chosen_by_scope_claims_and_details_alike_and_together() {
    let world = World::asking_more();
    let (real, adult) = (Answer::Real, Answer::AgeOver18);
    let (of_details, of_scope) = (detail("p", "age_over_18"), "openid hufu:real");
    for (more, wanted) in [
        (vec![], vec![real]),
        (vec![("claims", r#"{"userinfo":{"name":null}}"#)], vec![real]),
        (vec![("claims", CHOSEN)], vec![adult]),
        (vec![("claims", VERIFIED)], vec![adult]),
        (vec![("authorization_details", &*of_details)], vec![adult]),
        (vec![("authorization_details", &*of_details), ("scope", of_scope)], vec![real, adult]),
        (vec![("claims", CHOSEN), ("scope", of_scope)], vec![real, adult]),
        (vec![("authorization_details", &*of_details), ("hufu_purpose", "p")], vec![adult]),
    ] {
        let request = asked(&world, &more).unwrap();
        assert_eq!(request.answers, wanted, "{more:?}");
        let scope = hufu_oidc::provider::answers_scope(&wanted);
        assert_eq!(request.scope, scope, "{more:?}");
    }
    let two = asked(&world, &[("authorization_details", &of_details), ("hufu_purpose", "q")]);
    assert_eq!(two.err(), Some(OAuthError::DetailsBeyond), "two purposes");
}

/// The attack: a platform asks by another name for what its certificate does not hold.
#[test]
fn no_way_of_asking_goes_beyond_the_certificate() {
    // Entitled to the answer, but not for this purpose.
    let world = World::new();
    assert_eq!(asked(&world, &[("claims", CHOSEN)]).err(), Some(OAuthError::OverAsking));
    let details = detail("p", "age_over_18");
    assert_eq!(asked(&world, &[("authorization_details", &details)]).err(), Some(OAuthError::DetailsBeyond));
    // verified_claims are passed over, and nothing of them is left to be told.
    let request = asked(&world, &[("claims", VERIFIED)]).unwrap();
    assert_eq!((request.answers, request.wanted.is_empty()), (vec![Answer::Real], true));
    // The control.
    assert!(!asked(&World::asking_more(), &[("claims", VERIFIED)]).unwrap().wanted.is_empty());
}

#[test]
fn both_parameters_may_stand_in_a_signed_request_as_json() {
    let world = World::asking_more();
    let mut claims = world.request_claims();
    claims["claims"] = serde_json::from_str(VERIFIED).unwrap();
    claims["authorization_details"] = serde_json::from_str(&detail("p", "real")).unwrap();
    let object = sign(world.assertions(), Header::new(Alg::ES256).typ("oauth-authz-req+jwt"), &claims).unwrap();
    let request = read(&world, &world.signed_push(&object)).unwrap();
    assert_eq!(request.answers, [Answer::Real, Answer::AgeOver18]);
    assert!(request.wanted.details.is_some() && !request.wanted.verified.is_empty());
}

#[test]
fn the_strength_satisfies_everything_that_asks_for_one() {
    let world = World::new();
    let (weak, strong) = (Strength::Certificate, Strength::CertificatePassword);
    let acr = |essential: bool, values: &[Strength]| {
        let values: Vec<_> = values.iter().map(|strength| hufu_wire::api::sign_in::acr(*strength)).collect();
        json!({ "id_token": { "acr": { "essential": essential, "values": values } } }).to_string()
    };
    let by_values = hufu_wire::api::sign_in::acr(strong);
    let detailed =
        r#"[{"type":"urn:hufu:verification","purpose":"p","answers":["real"],"strength":"certificate+password"}]"#;
    for (more, needed, demanded) in [
        (vec![("claims", acr(false, &[strong]))], Some(strong), vec![]),
        (vec![("claims", acr(false, &[weak])), ("acr_values", by_values.to_owned())], Some(strong), vec![]),
        (vec![("claims", acr(true, &[weak]))], Some(weak), vec![weak]),
        (vec![("claims", acr(true, &[strong, weak]))], Some(weak), vec![weak, strong]),
        (
            vec![("claims", acr(true, &[strong, weak])), ("acr_values", by_values.to_owned())],
            Some(strong),
            vec![strong],
        ),
        (vec![("authorization_details", detailed.to_owned())], Some(strong), vec![]),
        (vec![("claims", r#"{"id_token":{"acr":{"essential":true}}}"#.to_owned())], None, vec![]),
    ] {
        let more: Vec<(&str, &str)> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = asked(&world, &more).unwrap();
        assert_eq!((request.strength, request.acr), (needed, demanded), "{more:?}");
    }
    let torn = acr(true, &[weak]);
    let torn = asked(&world, &[("claims", &torn), ("authorization_details", detailed)]);
    assert_eq!(torn.err(), Some(OAuthError::ClaimsStrength), "the one wants more than the other will have");
}

/// The attack: a platform fills the memory of a front, which keeps each request for ten minutes, by what its parameters name.
#[test]
fn what_is_kept_of_the_largest_request_is_small() {
    let world = World::asking_more();
    let sub = |at: usize| format!("{at:0>255}");
    let claims = |subs: Vec<String>, elements: usize| {
        let names = ["is_real_person", "age_over_18", "given_name", "birthdate"];
        let named: serde_json::Map<String, Value> =
            names.into_iter().map(|name| (name.to_owned(), Value::Null)).collect();
        let element = json!({ "verification": { "trust_framework": null }, "claims": named });
        let acr = json!({ "values": vec!["urn:hufu:acr:certificate"; MAX_VALUES] });
        json!({
            "id_token": { "sub": { "values": subs }, "acr": acr },
            "userinfo": { "verified_claims": vec![element; elements], "hufu": { "answers": { "age_over_18": null } } },
        })
        .to_string()
    };
    let details = r#"[{"type":"urn:hufu:verification","purpose":"p","answers":["real","age_over_18"]}]"#;
    let kept = |claims: &str| asked(&world, &[("claims", claims), ("authorization_details", details)]);
    // Every list as long as it may be.
    let largest = kept(&claims((0..MAX_VALUES).map(sub).collect(), 8)).unwrap();
    let subs = largest.subs.as_ref().unwrap();
    assert_eq!((subs.len(), largest.wanted.verified.len()), (MAX_VALUES, 8));
    let held: usize = subs.capacity() * size_of::<String>() + subs.iter().map(String::capacity).sum::<usize>();
    assert!(held <= 2 * MAX_VALUES * (255 + size_of::<String>()), "{held}");
    let without = asked(&world, &[]).unwrap();
    let written = |request: &AuthorizationRequest| serde_json::to_string(request).unwrap().len();
    assert!(written(&largest) <= written(&without) + 6 * 1024, "{}", written(&largest));
    // One more of anything, or as many as the parameter has room for.
    let short = (0..1_000).map(|at| at.to_string()).collect();
    let empty = vec![String::new(); 2_000];
    let more =
        [claims((0..=MAX_VALUES).map(sub).collect(), 1), claims(vec![sub(0)], 9), claims(short, 1), claims(empty, 1)];
    for more in more {
        assert!(more.len() <= MAX_CLAIMS, "it is not its length that is refused: {}", more.len());
        assert_eq!(kept(&more).err(), Some(OAuthError::ClaimsMalformed));
    }
}

/// The access token of a sign-in at which the person agreed to `given`.
fn token(world: &World, more: &[(&str, &str)], given: Answers) -> AccessToken {
    let request = asked(world, more).unwrap();
    let code = Code::of(&request, CodeId(Octets([1; 16])), "e30.e30.AA", NOW);
    let mut token = world.access_token("");
    (token.wanted, token.hufu.answers) = (code.wanted, given);
    token
}

fn told(world: &World, token: &AccessToken) -> Value {
    let form = Form::parse("").unwrap();
    let header = format!("Bearer {}", seal(SealedKind::AccessToken, "", token));
    let call = Call { method: "GET", authorization: &[&*header], dpop: &[], certificate: None, form: &form };
    let told = userinfo(&world.env(), &call).unwrap();
    // Signed, it says the same.
    let (plain, signed): (Value, Value) =
        (serde_json::from_str(&told.reply().body).unwrap(), serde_json::to_value(told.claims(ISSUER)).unwrap());
    assert_eq!(plain.get("verified_claims"), signed.get("verified_claims"));
    plain
}

#[test]
fn userinfo_tells_verified_claims_of_what_was_asked_and_agreed_to() {
    let world = World::asking_more();
    let given = || Answers { real: Some(true), age_over_18: Some(true), ..Answers::default() };
    let verified = told(&world, &token(&world, &[("claims", VERIFIED)], given()))["verified_claims"].clone();
    let wanted = json!({ "verification": { "trust_framework": TRUST_FRAMEWORK }, "claims": { "age_over_18": true } });
    assert_eq!(verified, wanted);
    // Not agreed to, and not asked for.
    let refused = token(&world, &[("claims", VERIFIED)], Answers { real: Some(true), ..Answers::default() });
    assert!(told(&world, &refused).get("verified_claims").is_none());
    assert!(told(&world, &token(&world, &[("claims", CHOSEN)], given())).get("verified_claims").is_none());
    let foreign = VERIFIED.replace(r#""trust_framework":null"#, r#""trust_framework":{"value":"eidas"}"#);
    assert!(told(&world, &token(&world, &[("claims", &foreign)], given())).get("verified_claims").is_none());
    let in_id_token = VERIFIED.replace("userinfo", "id_token");
    assert!(told(&world, &token(&world, &[("claims", &in_id_token)], given())).get("verified_claims").is_none());
}

/// Nodes tell every answer in `hufu`: a value that is demanded would be told beside the demand that it does not meet.
#[test]
fn a_value_that_verified_claims_demand_asks_for_nothing_and_hides_nothing() {
    let world = World::asking_more();
    let demanded = VERIFIED.replace(r#""age_over_18":null"#, r#""age_over_18":{"value":true}"#);
    let request = asked(&world, &[("claims", &demanded)]).unwrap();
    assert_eq!((request.answers, request.wanted.is_empty()), (vec![Answer::Real], true));
    // Asked for as an answer besides, it is told as any other, by `hufu` alone.
    let more = [("claims", &*demanded), ("scope", "openid hufu:age_over_18")];
    assert_eq!(asked(&world, &more).unwrap().answers, [Answer::AgeOver18]);
    let told = told(&world, &token(&world, &more, Answers { age_over_18: Some(false), ..Answers::default() }));
    assert_eq!((told["hufu"]["answers"]["age_over_18"].clone(), told.get("verified_claims")), (json!(false), None));
    // The control.
    assert_eq!(asked(&world, &[("claims", VERIFIED)]).unwrap().answers, [Answer::AgeOver18]);
}

#[test]
fn what_was_granted_of_the_details_is_told_with_the_token_and_about_it() {
    let world = World::asking_more();
    let details = r#"[{"type":"urn:hufu:verification","purpose":"p","answers":["real","age_over_18"]}]"#;
    let token =
        token(&world, &[("authorization_details", details)], Answers { real: Some(true), ..Answers::default() });
    let granted = json!([{
        "type": "urn:hufu:verification", "purpose": "p", "answers": ["real"], "strength": "certificate"
    }]);
    let code = world.code(&world.pending());
    let redeemed =
        Redeemed { code, access_token: token.clone(), refresh_token: None, fresh: Vec::new(), by_nonce: false };
    let reply: Value = serde_json::from_str(&redeemed.reply("sealed", None).body).unwrap();
    assert_eq!(reply["authorization_details"], granted);
    let sealed = seal(SealedKind::AccessToken, "", &token);
    let form = Form::parse(&with(&push_body(&world), "token", Some(&sealed))).unwrap();
    let call = Call { method: "POST", authorization: &[], dpop: &[], certificate: None, form: &form };
    let about = about_token(&world.env(), &call).unwrap();
    assert_eq!(about.introspection(ISSUER, true)["authorization_details"], granted);
    assert!(about.introspection(ISSUER, false).get("authorization_details").is_none());
    // The control: none were asked for.
    let without = Redeemed { access_token: world.access_token(""), ..redeemed };
    assert!(!without.reply("sealed", None).body.contains("authorization_details"));
}

#[test]
fn what_was_sealed_before_there_were_such_parameters_is_read_as_before() {
    let world = World::new();
    let token = serde_json::to_value(world.access_token("")).unwrap();
    assert!(token.get("wanted").is_none());
    assert_eq!(serde_json::from_value::<AccessToken>(token).unwrap(), world.access_token(""));
    let request = serde_json::to_value(asked(&world, &[]).unwrap()).unwrap();
    for name in ["wanted", "acr", "subs"] {
        assert!(request.get(name).is_none(), "{name}");
    }
    assert!(serde_json::from_value::<AuthorizationRequest>(request).is_ok());
}
