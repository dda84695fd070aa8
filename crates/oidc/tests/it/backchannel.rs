//! The mistakes of requests without a browser, each with its own refusal; the test that holds the whole table calls them.

use crate::provider_fixture::*;
use crate::refusals::{Seen, push_body, with};
use hufu_oidc::OAuthError;
use serde_json::{Value, json};

pub fn mistakes(seen: &mut Seen) {
    use OAuthError as E;
    let world = World::calling();
    let good = || world.backchannel_body(|_| {});
    let said = |body: &str| refused(backchannel, &world, (&[], &[]), body);
    assert_eq!(said(&good()), None);
    seen.expect(
        refused(backchannel, &World::new(), (&[], &[]), &push_body(&World::new())),
        E::BackchannelClient,
        "who",
    );
    seen.expect(said(&push_body(&world)), E::BackchannelUnsigned, "unsigned");
    let changes: [(&str, Value, E); 21] = [
        ("jti", Value::Null, E::BackchannelObject),
        ("jti", json!(""), E::BackchannelObject),
        ("iat", Value::Null, E::BackchannelObject),
        ("iat", json!("x"), E::RequestObjectTime),
        ("exp", json!(NOW), E::RequestObjectTime),
        ("aud", json!("https://other.example"), E::RequestObjectAudience),
        ("scope", json!("profile"), E::ScopeOpenid),
        ("scope", json!("openid hufu:age_over_18"), E::OverAsking),
        ("hufu_purpose", json!("q"), E::Purpose),
        ("login_hint", Value::Null, E::HintMissing),
        ("id_token_hint", json!("x"), E::HintMissing),
        ("login_hint", json!("0000000001"), E::HintUnknown),
        ("login_hint", json!("somebody@example.com"), E::HintUnknown),
        ("binding_message", json!("x".repeat(65)), E::BindingMessage),
        ("binding_message", json!("a\u{202e}b"), E::BindingMessage),
        ("binding_message", json!("a\u{3164}b"), E::BindingMessage),
        ("binding_message", json!("a\u{336}\u{336}"), E::BindingMessage),
        ("binding_message", Value::Null, E::BindingMessage),
        ("requested_expiry", json!("0"), E::RequestedExpiry),
        ("client_notification_token", Value::Null, E::NotificationToken),
        ("client_notification_token", json!("a b"), E::NotificationToken),
    ];
    for (name, value, wanted) in changes {
        let why = format!("{name} {value}");
        let body = world.backchannel_body(|claims| match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        });
        seen.expect(said(&body), wanted, &why);
    }
    // Looking for the answer.
    let own = world.shop.dpop.as_ref().unwrap();
    let grant = "urn:openid:params:grant-type:ciba";
    let body = with(&push_body(&world), "grant_type", Some(grant));
    let proof = || world.proof(own, "POST", "/token", None);
    seen.expect(refused(look, &world, (&[], &[&proof()]), &body), E::AuthRequestMissing, "which");
    let body = with(&body, "auth_req_id", Some("x"));
    assert_eq!(refused(look, &world, (&[], &[&proof()]), &body), None);
    seen.expect(refused(look, &world, (&[], &[]), &body), E::ProofMissing, "no proof");
    let other = World::new();
    let proof = other.proof(other.shop.dpop.as_ref().unwrap(), "POST", "/token", None);
    let body = with(&push_body(&other), "auth_req_id", Some("x"));
    seen.expect(refused(look, &other, (&[], &[&proof]), &body), E::BackchannelClient, "who did not register");
}
