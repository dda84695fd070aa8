//! Platforms with RSA keys: PS256 in assertions, request objects and proofs (FAPI 2.0 section 5.4.1), never RS256.

use crate::provider_fixture::*;
use crate::refusals::{push_body, with};
use hufu_kernel::{Root, b64};
use hufu_oidc::OAuthError;
use hufu_oidc::provider::{Client, ClientError};
use hufu_wire::api::platform::Profile;
use hufu_wire::jose::{Alg, Header, Jwk, Jwks, RsaKey, Signer, SoftKey, sign};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// One key for all: it takes long to make.
static KEY: LazyLock<RsaKey> = LazyLock::new(|| RsaKey::generate(Alg::PS256).unwrap());

/// The same key under the padding that is refused.
fn pkcs1() -> RsaKey {
    RsaKey::from_pkcs8(&KEY.to_pkcs8().unwrap(), Alg::RS256).unwrap()
}

/// A shop whose certificate has the key, for whatever algorithm.
fn world() -> World {
    World::keyed(vec![Jwk::bare(KEY.public().key.clone())])
}

fn assertion(signer: &dyn Signer, jti: &str) -> String {
    let claims = json!({ "iss": "shop", "sub": "shop", "aud": ISSUER, "jti": jti, "iat": NOW, "exp": NOW + 300 });
    sign(signer, Header::new(signer.alg()), &claims).unwrap()
}

fn proof(signer: &dyn Signer, key: &Value) -> String {
    let header = Header { jwk: Some(key.clone()), ..Header::new(signer.alg()).typ("dpop+jwt") };
    let claims = json!({ "jti": "j", "htm": "POST", "htu": format!("{ISSUER}/par"), "iat": NOW });
    sign(signer, header, &claims).unwrap()
}

fn own_key() -> Value {
    serde_json::to_value(Jwk::bare(KEY.public().key.clone())).unwrap()
}

#[test]
fn assertions_requests_and_proofs_are_taken_by_ps256_and_refused_by_rs256() {
    let world = world();
    let good = with(&push_body(&world), "client_assertion", Some(&assertion(&*KEY, "a")));
    assert_eq!(refused(par, &world, (&[], &[]), &good), None);
    let body = with(&good, "client_assertion", Some(&assertion(&pkcs1(), "b")));
    assert_eq!(refused(par, &world, (&[], &[]), &body), Some(OAuthError::AssertionSignature));
    assert_eq!(refused(token, &world, (&[], &[]), &body), Some(OAuthError::AssertionSignature));

    let object = |signer: &dyn Signer| {
        let header = Header::new(signer.alg()).typ("oauth-authz-req+jwt");
        let signed = sign(signer, header, &world.request_claims()).unwrap();
        with(&world.signed_push(&signed), "client_assertion", Some(&assertion(&*KEY, "c")))
    };
    assert_eq!(refused(par, &world, (&[], &[]), &object(&*KEY)), None);
    assert_eq!(refused(par, &world, (&[], &[]), &object(&pkcs1())), Some(OAuthError::RequestObjectSignature));

    let free = with(&good, "dpop_jkt", None);
    let by = |signer: &dyn Signer| refused(par, &world, (&[], &[&proof(signer, &own_key())]), &free);
    assert_eq!(by(&*KEY), None);
    assert_eq!(by(&pkcs1()), Some(OAuthError::ProofInvalid));
}

/// The attack: a key that can be factored is brought along, or registered.
#[test]
fn a_key_of_fewer_than_2048_bits_signs_nothing() {
    let sized = |first: u8, bytes: usize| {
        let mut n = vec![0xa5; bytes];
        (n[0], n[bytes - 1]) = (first, 0xa5);
        json!({ "kty": "RSA", "n": b64(&n), "e": "AQAB" })
    };
    for small in [sized(0x80, 64), sized(0x80, 128), sized(0x80, 255), sized(0x7f, 256)] {
        assert!(Jwk::from_value(&small).is_err(), "{small}");
        let registered = Jwks::from_json(json!({ "keys": [small] }).to_string().as_bytes()).unwrap();
        assert!(registered.keys.is_empty(), "left out of what is registered");
        let world = world();
        let body = with(&push_body(&world), "client_assertion", Some(&assertion(&*KEY, "d")));
        let free = with(&body, "dpop_jkt", None);
        let said = refused(par, &world, (&[], &[&proof(&*KEY, &small)]), &free);
        assert_eq!(said, Some(OAuthError::ProofInvalid), "{small}");
    }
    // The control.
    assert!(Jwk::from_value(&sized(0x80, 256)).is_ok());
}

#[test]
fn id_tokens_by_rs256_are_the_sandboxs_basic_profile_alone() {
    let world = World::new();
    let client = hufu_oidc::provider::Clients::client(&world, "shop").unwrap();
    let mut certificate = Client::clone(&client).certificate;
    certificate.id_token_signed_response_alg = Alg::RS256;
    for root in [Root::Sandbox, Root::Production] {
        certificate.root = root;
        assert_eq!(Client::consistent(&certificate, root, NOW), Err(ClientError::Profile));
    }
    (certificate.root, certificate.profile) = (Root::Sandbox, Profile::Basic);
    assert_eq!(Client::consistent(&certificate, Root::Sandbox, NOW), Ok(()));
}

#[test]
fn a_signature_by_one_algorithm_is_none_by_another() {
    // ES256 named, RSA key registered: no key answers.
    let world = world();
    let other = SoftKey::generate(Alg::ES256, &world.rng).unwrap();
    let body = with(&push_body(&world), "client_assertion", Some(&assertion(&other, "e")));
    assert_eq!(refused(par, &world, (&[], &[]), &body), Some(OAuthError::AssertionSignature));
}
