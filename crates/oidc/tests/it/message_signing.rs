//! Signed request objects as FAPI 2.0 Message Signing section 5.3.1 has them: what is taken, what is refused, and what stands beside one.

use crate::provider_fixture::*;
use crate::refusals::with;
use hufu_kernel::b64;
use hufu_oidc::provider::{AuthorizationRequest, Call};
use hufu_oidc::{Form, OAuthError};
use hufu_wire::jose::{Alg, Header, SoftKey, assemble, sign, signing_input_bytes};
use serde_json::{Value, json};

type Change = fn(&mut Value);

/// What a push of this object and these parameters beside it is taken for.
fn pushed(world: &World, object: &str, beside: &[(&str, &str)]) -> Result<AuthorizationRequest, OAuthError> {
    let body = beside.iter().fold(world.signed_push(object), |body, (name, value)| with(&body, name, Some(value)));
    let form = Form::parse(&body).unwrap();
    let call = Call { method: "POST", authorization: &[], dpop: &[], certificate: None, form: &form };
    par(&world.env(), &call).map(|pushed| pushed.request).map_err(|(error, _)| error)
}

fn changed(world: &World, change: Change) -> Result<AuthorizationRequest, OAuthError> {
    pushed(world, &world.request_object(world.assertions(), change), &[])
}

#[test]
fn an_object_is_taken_in_its_time_and_if_the_issuer_is_among_those_it_is_for() {
    let world = World::signing();
    let good: [(&str, Change); 8] = [
        ("as it is", |_| {}),
        ("aud: several", |c| c["aud"] = json!(["https://elsewhere.example", ISSUER])),
        ("nbf: 8 seconds ahead", |c| c["nbf"] = json!(NOW + 8)),
        ("nbf: 59 minutes ago", |c| (c["nbf"], c["exp"]) = (json!(NOW - 3540), json!(NOW + 60))),
        ("exp: an hour after nbf", |c| c["exp"] = json!(NOW + 3600)),
        ("no state", |c| drop(c.as_object_mut().unwrap().remove("state"))),
        ("no nonce", |c| drop(c.as_object_mut().unwrap().remove("nonce"))),
        ("jti, iat", |c| (c["jti"], c["iat"]) = (json!("j"), json!(NOW))),
    ];
    for (why, change) in good {
        assert!(changed(&world, change).is_ok(), "{why}: {:?}", changed(&world, change));
    }
}

#[test]
fn an_object_out_of_its_time_or_for_somebody_else_is_refused() {
    use OAuthError as E;
    let world = World::signing();
    let bad: [(&str, Change, OAuthError); 12] = [
        ("no exp", |c| drop(c.as_object_mut().unwrap().remove("exp")), E::RequestObjectTime),
        ("no nbf", |c| drop(c.as_object_mut().unwrap().remove("nbf")), E::RequestObjectTime),
        ("expired", |c| (c["nbf"], c["exp"]) = (json!(NOW - 600), json!(NOW - 300)), E::RequestObjectTime),
        ("exp: 70 minutes on", |c| c["exp"] = json!(NOW + 4200), E::RequestObjectTime),
        ("nbf: 70 minutes ago", |c| c["nbf"] = json!(NOW - 4200), E::RequestObjectTime),
        ("nbf: two minutes ahead", |c| c["nbf"] = json!(NOW + 120), E::RequestObjectTime),
        ("aud: elsewhere", |c| c["aud"] = json!("https://elsewhere.example"), E::RequestObjectAudience),
        ("aud: the endpoint", |c| c["aud"] = json!(format!("{ISSUER}/par")), E::RequestObjectAudience),
        ("no aud", |c| drop(c.as_object_mut().unwrap().remove("aud")), E::RequestObjectAudience),
        ("request_uri within", |c| c["request_uri"] = json!("urn:x"), E::RequestObjectParameter),
        ("no redirect_uri", |c| drop(c.as_object_mut().unwrap().remove("redirect_uri")), E::RedirectMissing),
        ("a stranger's redirect_uri", |c| c["redirect_uri"] = json!("https://evil.example/"), E::RedirectMismatch),
    ];
    for (why, change, wanted) in bad {
        assert_eq!(changed(&world, change).err(), Some(wanted), "{why}");
    }
}

#[test]
fn an_object_under_another_key_or_none_is_refused() {
    let world = World::signing();
    let claims = world.request_claims();
    let stranger = SoftKey::generate(Alg::ES256, &world.rng).unwrap();
    // The key that answers to the client's kid at somebody else's.
    let impostor = SoftKey::from_private_jwk(stranger.to_private_jwk().as_bytes()).unwrap();
    let own_kid =
        sign(&impostor, Header::new(Alg::ES256).kid(hufu_wire::jose::Signer::kid(world.assertions())), &claims);
    let unsigned = format!("{}.{}.", b64(br#"{"alg":"none"}"#), b64(claims.to_string().as_bytes()));
    let blank = assemble(&signing_input_bytes(r#"{"alg":"none"}"#, &claims.to_string()), &[0; 64]);
    let honest = sign(world.assertions(), Header::new(Alg::ES256), &claims).unwrap();
    let (input, signature) = honest.rsplit_once('.').unwrap();
    let broken = format!("{input}.{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]);
    let objects =
        [sign(&stranger, Header::new(Alg::ES256), &claims).unwrap(), own_kid.unwrap(), unsigned, blank, broken];
    for object in objects {
        assert_eq!(pushed(&world, &object, &[]).err(), Some(OAuthError::RequestObjectSignature), "{object}");
    }
    // The control.
    assert!(pushed(&world, &honest, &[]).is_ok());
}

#[test]
fn who_signs_requests_is_taken_at_no_other_word() {
    let world = World::signing();
    let plain = world.shop.push(&world.pending(), NOW, &world.rng).unwrap().body;
    assert_eq!(refused(par, &world, (&[], &[]), &plain), Some(OAuthError::RequestObjectMissing));
}

#[test]
fn what_stands_beside_the_object_is_not_looked_at() {
    let world = World::signing();
    let object = world.request_object(world.assertions(), |c| {
        (c["state"], c["nonce"]) = (json!("within"), json!("within"));
    });
    let beside =
        [("state", "beside"), ("nonce", "beside"), ("redirect_uri", "https://evil.example/"), ("scope", "openid")];
    let request = pushed(&world, &object, &beside).unwrap();
    assert_eq!((request.state.as_deref(), request.nonce.as_str()), (Some("within"), "within"));
    assert_eq!(request.redirect_uri, "https://shop.example/cb");
    // A state that stands outside alone is none.
    let without = world.request_object(world.assertions(), |c| drop(c.as_object_mut().unwrap().remove("state")));
    assert_eq!(pushed(&world, &without, &[("state", "beside")]).unwrap().state, None);
}
