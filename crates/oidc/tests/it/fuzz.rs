//! Bytes of strangers, at every endpoint and at the platform's side.

use crate::provider_fixture::*;
use hufu_kernel::Answer;
use hufu_oidc::client::verify_id_token;
use hufu_oidc::provider::{
    Call, ClaimsRequest, Client, MAX_CLAIMS, MAX_DETAILS, SignedOut, VerificationDetail, WaitingCode, authorize,
    logout, manager, userinfo,
};
use hufu_oidc::signals::{self, Delivery, Poll, StreamConfig};
use hufu_oidc::{Form, Pairs, client};
use hufu_wire::api::platform::Registration;
use hufu_wire::jose::{Alg, Header, Jwks, sign};

#[test]
fn no_request_makes_an_endpoint_fall_over_or_succeed() {
    let world = World::new();
    let good = world.shop.push(&world.pending(), NOW, &world.rng).unwrap().body;
    let own = tls_certificate(HOST);
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>, Vec<u8>, u16)>().for_each(|(body, header, proof, cut)| {
        // Half strange bytes, half a good request broken off and continued strangely.
        let text = String::from_utf8_lossy(body);
        let mixed = format!("{}{text}", &good[..usize::from(*cut) % good.len()]);
        let header = String::from_utf8_lossy(header);
        let (basic, proof) = (format!("Basic {header}"), String::from_utf8_lossy(proof));
        for form in [&*text, &mixed].into_iter().filter_map(|text| Form::parse(text).ok()) {
            for authorization in [&[][..], &[&*header], &[&basic]] {
                let certificate = authorization.is_empty().then_some(&own);
                let call = Call { method: "POST", authorization, dpop: &[&proof], certificate, form: &form };
                assert!(par(&world.env(), &call).is_err());
                assert!(token(&world.env(), &call).is_err());
                assert!(backchannel(&world.env(), &call).is_err());
                assert!(look(&world.env(), &call).is_err());
                assert!(userinfo(&world.env(), &call).is_err());
                assert!(refresh(&world.env(), &call).is_err());
                assert!(client_credentials(&world.env(), &call).is_err());
                assert!(manager(&world.env(), &call, "/ssf/stream").is_err());
            }
            if let Err(rejection) = authorize(&world.env(), &form) {
                let to = rejection.redirect.map(|response| response.redirect_uri);
                assert!(to.is_none_or(|to| to == "https://judge.example/cb"));
            }
            // Nobody here has an ID token of the service's, so no way leads anywhere and no platform is told.
            assert!(logout(&world.env(), &form).is_err() || logout(&world.env(), &form) == Ok(SignedOut::default()));
            // A request object of the shop's own with a strange claim in it.
            let mut claims = world.request_claims();
            claims[&*header] = serde_json::Value::from(&*text);
            let object = sign(world.assertions(), Header::new(Alg::ES256), &claims).unwrap();
            let pushed = Form::parse(&world.signed_push(&object)).unwrap();
            let call = Call { method: "POST", authorization: &[], dpop: &[], certificate: None, form: &pushed };
            if let Ok(pushed) = par(&world.env(), &call) {
                assert_eq!(pushed.request.redirect_uri, "https://shop.example/cb");
            }
        }
    });
}

#[test]
fn no_claims_and_no_details_choose_what_the_certificate_does_not_hold() {
    let world = World::new();
    let good = world.shop.push(&world.pending(), NOW, &world.rng).unwrap().body;
    let names =
        ["id_token", "userinfo", "hufu", "answers", "age_over_18", "sub", "acr", "verified_claims", "claims", "real"];
    bolero::check!().with_type::<(Vec<u8>, Vec<(u8, u8)>, u16)>().for_each(|(bytes, tokens, cut)| {
        let strange = String::from_utf8_lossy(bytes);
        // Texts that look like requests, broken off and continued strangely.
        let word = |(name, joint): &(u8, u8)| {
            let joints = [":{", ":null,", "}", "},", ":\"x\",", ":[", "]"];
            format!("\"{}\"{}", names[usize::from(*name) % names.len()], joints[usize::from(*joint) % joints.len()])
        };
        let shaped: String = std::iter::once("{".to_owned()).chain(tokens.iter().map(word)).collect();
        let whole = r#"{"userinfo":{"verified_claims":{"verification":{},"claims":{"age_over_18":null,"is_real_person":null}}}}"#;
        let mixed = format!("{}{strange}", &whole[..usize::from(*cut) % whole.len()]);
        for text in [&*strange, &shaped, &mixed, whole] {
            if let Ok(read) = ClaimsRequest::read(text) {
                assert!(text.len() <= MAX_CLAIMS && read.answers.is_sorted());
            }
            if let Ok(read) = VerificationDetail::read(text) {
                assert!(text.len() <= MAX_DETAILS && !read.answers.is_empty());
            }
            for name in ["claims", "authorization_details"] {
                let form = format!("{good}&{}", Pairs::default().with(name, text).encode());
                let Ok(form) = Form::parse(&form) else { continue };
                let call = Call { method: "POST", authorization: &[], dpop: &[], certificate: None, form: &form };
                if let Ok(pushed) = par(&world.env(), &call) {
                    assert_eq!(pushed.request.answers, [Answer::Real]);
                }
            }
        }
    });
}

#[test]
fn no_body_makes_a_stream_lead_anywhere_but_to_the_registered_address() {
    const HOME: &str = "https://shop.example/events";
    let registration = Registration { ssf_push_uri: Some(HOME.into()), ..Registration::default() };
    let push = |url: &str| serde_json::json!({ "delivery": { "method": "urn:ietf:rfc:8935", "endpoint_url": url } });
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        for body in [
            bytes.to_vec(),
            push(&text).to_string().into_bytes(),
            push(&format!("{HOME}{text}")).to_string().into_bytes(),
        ] {
            if let Ok(StreamConfig { delivery: Delivery::Push { endpoint_url, .. }, .. }) =
                StreamConfig::create(&body, &registration)
            {
                assert_eq!(endpoint_url, HOME);
            }
            let _ = (signals::stream_of(&body), signals::read_status(&body), signals::read_state(&body));
            assert!(signals::read_subject(&body).is_err());
            assert!(Poll::read(&body).is_ok_and(|poll| poll.most <= 100) || Poll::read(&body).is_err());
        }
    });
}

#[test]
fn no_answer_makes_the_platform_fall_over_or_sign_anybody_in() {
    let world = World::new();
    let pending = world.pending();
    bolero::check!().with_type::<(u16, Vec<u8>)>().for_each(|(status, body)| {
        let text = String::from_utf8_lossy(body);
        assert!(world.shop.callback(&pending, &text).is_err());
        assert!(world.shop.pushed(*status, &text).is_err());
        assert!(world.shop.redeemed(&pending, *status, &text, NOW).is_err());
    });
}

#[test]
fn no_bytes_are_an_id_token_or_a_certificate() {
    let keys = Jwks::default();
    let pinned = World::new();
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let expected = client::Expected {
            issuer: ISSUER,
            client_id: "shop",
            nonce: "",
            keys: &keys,
            alg: Alg::EdDSA,
            strength: hufu_kernel::Strength::Certificate,
            now: NOW,
        };
        assert!(verify_id_token(&text, &expected).is_err());
        assert!(Client::admit(&text, pinned.assertions().public(), hufu_kernel::Root::Sandbox, NOW).is_err());
    });
}

#[test]
fn strangers_bytes_are_a_waiting_code_with_its_check_digit_or_none() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        if let Some(code) = WaitingCode::read(&text) {
            assert_eq!(WaitingCode::read(&code.to_string()), Some(code));
        }
    });
}
