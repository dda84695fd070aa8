//! Platforms that prove themselves by a TLS certificate, and tokens that are bound to one (RFC 8705). That a connection proves the
//! certificate is the listener's business (`crates/web/tests/it/mutual_tls.rs`); here the front is told of it.

use super::fixture::*;
use hufu_kernel::{Refusal, Root};
use hufu_offices::front::{Config, Front, FrontError};
use hufu_oidc::Reply;
use hufu_oidc::client::{ClientAuth, HttpRequest, Pending, RelyingParty, Wish};
use hufu_wire::api::platform::{PlatformCertificate, Profile, Registration};
use hufu_wire::dpop::{Expected, make_proof};
use hufu_wire::jose::{Alg, SoftKey};
use hufu_wire::subject_handle::HandleUse;
use hufu_wire::tls_client::ClientCertificate;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A certificate in the name of a host, its key drawn now.
fn tls(host: &str) -> ClientCertificate {
    let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
    ClientCertificate::read(made.cert.der()).unwrap()
}

async fn pushed(world: &World, rp: &RelyingParty, own: &ClientCertificate) -> (Pending, String) {
    let pending = rp.begin(&Wish::default(), &*world.rng);
    let reply = world.send_with(&world.push_request(rp, &pending), Some(own)).await;
    let url = rp.pushed(reply.status, &reply.body).unwrap();
    (pending, url)
}

async fn code(world: &World, rp: &RelyingParty, own: &ClientCertificate) -> (Pending, String) {
    let (pending, url) = pushed(world, rp, own).await;
    let at = world.arrived(pending, url).await;
    let next = world.complete(&at).await.unwrap();
    let code = rp.callback(&at.pending, query(&next.redirect_to)).unwrap();
    (at.pending, code)
}

/// Signs in; the access token, and the answer that it came in.
async fn signed_in(world: &World, rp: &RelyingParty, own: &ClientCertificate) -> (String, Value) {
    let (pending, code) = code(world, rp, own).await;
    let reply = world.send_with(&world.token_request(rp, &pending, &code), Some(own)).await;
    let token = rp.redeemed(&pending, reply.status, &reply.body, world.now()).unwrap().access_token;
    (token, serde_json::from_str(&reply.body).unwrap())
}

/// The request as it would go to the other address.
fn to(base: &str, request: &HttpRequest) -> HttpRequest {
    let path = request.url.strip_prefix(MTLS).or(request.url.strip_prefix(ISSUER)).unwrap();
    HttpRequest { url: format!("{base}{path}"), ..request.clone() }
}

fn bearer(token: &str, certificate: Option<&ClientCertificate>) -> HttpRequest {
    let base = if certificate.is_some() { MTLS } else { ISSUER };
    let headers = vec![("authorization", format!("Bearer {token}"))];
    HttpRequest { method: "GET", url: format!("{base}/userinfo"), headers, body: String::new() }
}

async fn told(world: &World, token: &str, certificate: Option<&ClientCertificate>) -> Reply {
    world.send_with(&bearer(token, certificate), certificate).await
}

fn proof(world: &World, signer: &SoftKey, method: &str, htu: &str, token: Option<&str>) -> (&'static str, String) {
    let request = Expected { method, htu, now: world.now(), max_age: 0, access_token: token, nonce: None };
    ("dpop", make_proof(signer, &request, &*world.rng).unwrap())
}

#[tokio::test]
async fn a_platform_signs_somebody_in_with_its_certificate_and_no_key_of_its_own() {
    let world = World::new();
    let (till, own) = (world.by_certificate("till"), tls("till.example"));
    let (token, answer) = signed_in(&world, &till, &own).await;
    assert_eq!(answer["token_type"], json!("Bearer"));
    assert_eq!(told(&world, &token, Some(&own)).await.status, 200);
    let about = |path: &str| HttpRequest {
        method: "POST",
        url: format!("{MTLS}{path}"),
        headers: Vec::new(),
        body: format!("client_id=till&token={token}"),
    };
    let introspected = world.send_with(&about("/introspect"), Some(&own)).await;
    let introspected: Value = serde_json::from_str(&introspected.body).unwrap();
    assert_eq!(introspected["cnf"], json!({ "x5t#S256": own.thumbprint() }));
    assert_eq!((&introspected["active"], &introspected["token_type"]), (&json!(true), &json!("Bearer")));
    assert_eq!(world.send_with(&about("/revoke"), Some(&own)).await.status, 200);
    assert_eq!(error_of(&told(&world, &token, Some(&own)).await), "401 invalid_token");
}

/// A refresh token is bound to the client (RFC 8705 section 4, RFC 9449 section 5): certificates are renewed, and it goes on.
#[tokio::test]
async fn a_platform_may_change_its_certificate_and_the_new_access_token_is_bound_to_the_one_shown_now() {
    let world = World::new();
    let (till, own, next) = (world.by_certificate("till"), tls("till.example"), tls("till.example"));
    let mut registered = certificate("till", Root::Sandbox);
    registered.registration.tls_client_auth_san_dns = Some("till.example".into());
    registered.registration.tls_client_certificate_bound_access_tokens = true;
    registered.registration.subject_handle = vec![HandleUse::Refresh];
    world.admit(&registered).unwrap();
    let pending = till.begin(&Wish { offline: true, ..Wish::default() }, &*world.rng);
    let reply = world.send_with(&world.push_request(&till, &pending), Some(&own)).await;
    let url = till.pushed(reply.status, &reply.body).unwrap();
    let at = world.arrived(pending, url).await;
    let then = world.front.complete(&world.answer_with_handle(&at.transaction), &[&at.begun.cookie]).await.unwrap();
    let code = till.callback(&at.pending, query(&then.redirect_to)).unwrap();
    let reply = world.send_with(&world.token_request(&till, &at.pending, &code), Some(&own)).await;
    let token = till.redeemed(&at.pending, reply.status, &reply.body, world.now()).unwrap().refresh_token.unwrap();
    let renew = || till.renew(&token, world.now(), &*world.rng).unwrap();
    let reply = world.send_with(&renew(), Some(&next)).await;
    let renewed: Value = serde_json::from_str(&reply.body).unwrap();
    let renewed = renewed["access_token"].as_str().unwrap();
    assert_eq!(told(&world, renewed, Some(&next)).await.status, 200);
    assert_eq!(error_of(&told(&world, renewed, Some(&own)).await), "401 invalid_token", "the one of before");
    assert_eq!(error_of(&world.send_with(&renew(), Some(&tls("evil.example"))).await), "401 invalid_client");
    assert_eq!(error_of(&world.send(&to(ISSUER, &renew())).await), "401 invalid_client", "no certificate");
}

#[tokio::test]
async fn a_certificate_is_a_platforms_while_that_is_admitted_and_a_strangers_otherwise() {
    let world = World::new();
    world.by_certificate("till");
    // One with keys, whose host somebody has a certificate for.
    world.fapi("shop");
    let whose = |host: &str| world.front.registered(&tls(host));
    assert_eq!(whose("till.example").as_deref(), Some("till"));
    for stranger in ["shop.example", "evil.example", "a.till.example"] {
        assert_eq!(whose(stranger), None, "{stranger}");
    }
    world.front.keep_only(&BTreeSet::from(["shop".to_owned()]));
    assert_eq!(whose("till.example"), None, "withdrawn");
    world.by_certificate("bank");
    assert_eq!(whose("bank.example").as_deref(), Some("bank"));
    world.clock.advance(366 * 86_400);
    assert_eq!(whose("bank.example"), None, "ended");
}

#[tokio::test]
async fn nobody_is_taken_for_a_platform_without_a_certificate_in_its_name() {
    let world = World::new();
    let (till, shop) = (world.by_certificate("till"), world.fapi("shop"));
    world.by_certificate("bank");
    let push = world.push_request(&till, &till.begin(&Wish::default(), &*world.rng));
    let refused = "401 invalid_client";
    for host in ["bank.example", "evil.example", "*.example", "till.example.evil", "a.till.example"] {
        assert_eq!(error_of(&world.send_with(&push, Some(&tls(host))).await), refused, "{host}");
    }
    assert_eq!(error_of(&world.send(&to(ISSUER, &push)).await), refused, "no certificate");
    let own = tls("till.example");
    let nameless = HttpRequest { body: with_parameter(&push.body, "client_id", None), ..push.clone() };
    assert_eq!(error_of(&world.send_with(&nameless, Some(&own)).await), refused, "no client_id");
    // Its name in a header is a stranger's word.
    let mut told = to(ISSUER, &push);
    told.headers.extend([("x-forwarded-client-cert", "till.example".to_owned()), ("ssl-client-cert", "x".to_owned())]);
    assert_eq!(error_of(&world.send(&told).await), refused);
    // A platform with keys is not taken for its certificate, whoever issued one in its name.
    let by_key = world.push_request(&shop, &shop.begin(&Wish::default(), &*world.rng));
    let bare = with_parameter(&with_parameter(&by_key.body, "client_assertion", None), "client_assertion_type", None);
    let bare = to(MTLS, &HttpRequest { body: bare, ..by_key });
    assert_eq!(error_of(&world.send_with(&bare, Some(&tls("shop.example"))).await), refused);
    assert_eq!(world.send_with(&push, Some(&own)).await.status, 201, "the control");
}

#[tokio::test]
async fn who_registered_a_certificate_is_not_taken_for_a_key_that_signs_its_requests() {
    let world = World::new();
    let stolen = key(Alg::ES256, &*world.rng);
    let mut registered = certificate("till", Root::Sandbox);
    registered.registration.tls_client_auth_subject_dn = Some("CN=till".into());
    registered.jwks.keys.push(stolen.public().clone());
    world.admit(&registered).unwrap();
    let mut till = world.fapi("other");
    (till.client_id, till.redirect_uri) = ("till".into(), "https://till.example/cb".into());
    till.auth = ClientAuth::PrivateKeyJwt(stolen);
    let push = world.push_request(&till, &till.begin(&Wish::default(), &*world.rng));
    assert_eq!(error_of(&world.send(&push).await), "401 invalid_client");
    // Nor with any certificate besides.
    let besides = HttpRequest { headers: Vec::new(), ..to(MTLS, &push) };
    assert_eq!(error_of(&world.send_with(&besides, Some(&tls("till.example"))).await), "401 invalid_client");
}

#[tokio::test]
async fn a_stolen_token_is_worth_nothing_without_the_certificate_it_was_given_to() {
    let world = World::new();
    let (till, own) = (world.by_certificate("till"), tls("till.example"));
    let (token, _) = signed_in(&world, &till, &own).await;
    let refused = "401 invalid_token";
    assert_eq!(error_of(&told(&world, &token, None).await), refused, "none");
    assert_eq!(error_of(&told(&world, &token, Some(&tls("evil.example"))).await), refused, "the thief's");
    // The same name with another key is another certificate.
    let renewed = told(&world, &token, Some(&tls("till.example"))).await;
    assert_eq!(error_of(&renewed), refused);
    assert!(renewed.header("www-authenticate").unwrap().starts_with("Bearer "));
    // A key of the thief's own in place of the certificate.
    let evil = key(Alg::ES256, &*world.rng);
    let mut request = bearer(&token, None);
    let htu = format!("{ISSUER}/userinfo");
    request.headers = vec![("authorization", format!("DPoP {token}")), proof(&world, &evil, "GET", &htu, Some(&token))];
    assert_eq!(error_of(&world.send(&request).await), refused);
    assert_eq!(told(&world, &token, Some(&own)).await.status, 200, "the control");
}

#[tokio::test]
async fn a_certificate_does_not_stand_for_the_key_that_a_token_is_bound_to() {
    let world = World::new();
    let shop = world.fapi("shop");
    let token = world.sign_in(&shop, &Wish::default()).await.access_token;
    let own = tls("shop.example");
    assert_eq!(error_of(&told(&world, &token, Some(&own)).await), "401 invalid_token", "as a bearer token");
    let mut request = bearer(&token, Some(&own));
    request.headers = vec![("authorization", format!("DPoP {token}"))];
    assert_eq!(error_of(&world.send_with(&request, Some(&own)).await), "401 invalid_dpop_proof", "without a proof");
}

/// A platform with keys whose tokens are bound to its TLS certificate.
fn bound(world: &World) -> RelyingParty {
    let tls_client_certificate_bound_access_tokens = true;
    let registration = Registration { tls_client_certificate_bound_access_tokens, ..Registration::default() };
    world.fapi_with("shop", Alg::EdDSA, registration)
}

#[tokio::test]
async fn no_token_is_given_unbound_to_who_registered_it_bound_and_the_code_stays_good() {
    let world = World::new();
    let (shop, own) = (bound(&world), tls("any.example"));
    let (pending, code) = world.code(&shop, &Wish::default()).await;
    let mut redeem = world.token_request(&shop, &pending, &code);
    redeem.headers.retain(|(name, _)| *name != "dpop");
    assert_eq!(error_of(&world.send(&redeem).await), "400 invalid_request");
    // With a proof it is not bound to the certificate either.
    assert_eq!(error_of(&world.send(&world.token_request(&shop, &pending, &code)).await), "400 invalid_request");
    let mut redeem = to(MTLS, &world.token_request(&shop, &pending, &code));
    redeem.headers.retain(|(name, _)| *name != "dpop");
    // The code was asked for with a key of DPoP's, which has to come too.
    assert_eq!(error_of(&world.send_with(&redeem, Some(&own)).await), "400 invalid_grant");
    let own_key = shop.dpop.as_ref().unwrap();
    let mut redeem = to(MTLS, &world.token_request(&shop, &pending, &code));
    redeem.headers.retain(|(name, _)| *name != "dpop");
    redeem.headers.push(proof(&world, own_key, "POST", &format!("{MTLS}/token"), None));
    let reply = world.send_with(&redeem, Some(&own)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    // Bound to both, it needs both.
    let token: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(token["token_type"], json!("DPoP"));
    let token = token["access_token"].as_str().unwrap();
    let with = async |certificate: Option<&ClientCertificate>, is_proven: bool| {
        let mut request = bearer(token, certificate);
        if is_proven {
            let proof = proof(&world, own_key, "GET", &request.url, Some(token));
            request.headers = vec![("authorization", format!("DPoP {token}")), proof];
        }
        world.send_with(&request, certificate).await
    };
    assert_eq!(error_of(&with(Some(&own), false).await), "401 invalid_token");
    assert_eq!(error_of(&with(None, true).await), "401 invalid_token");
    assert_eq!(with(Some(&own), true).await.status, 200);
}

#[tokio::test]
async fn a_proof_is_for_the_address_that_it_is_sent_to() {
    let world = World::new();
    let (shop, own) = (world.fapi("shop"), tls("any.example"));
    let key = shop.dpop.as_ref().unwrap();
    let with = async |sent: &str, proven: &str| {
        let (pending, code) = world.code(&shop, &Wish::default()).await;
        let mut redeem = to(sent, &world.token_request(&shop, &pending, &code));
        redeem.headers.retain(|(name, _)| *name != "dpop");
        redeem.headers.push(proof(&world, key, "POST", &format!("{proven}/token"), None));
        world.send_with(&redeem, (sent == MTLS).then_some(&own)).await
    };
    assert_eq!(with(MTLS, MTLS).await.status, 200);
    assert_eq!(error_of(&with(MTLS, ISSUER).await), "400 invalid_dpop_proof");
    assert_eq!(error_of(&with(ISSUER, MTLS).await), "400 invalid_dpop_proof");
}

#[test]
fn a_platform_registers_one_name_that_is_one() {
    let world = World::new();
    let taken = |change: fn(&mut PlatformCertificate)| {
        let mut certificate = certificate("till", Root::Sandbox);
        change(&mut certificate);
        world.admit(&certificate)
    };
    assert_eq!(taken(|c| c.registration.tls_client_auth_subject_dn = Some("CN=till,O=Shop".into())), Ok(()));
    assert_eq!(taken(|c| c.registration.tls_client_auth_san_uri = Some("urn:till".into())), Ok(()));
    let changes: [fn(&mut PlatformCertificate); 8] = [
        |_| {},
        |c| c.registration.tls_client_certificate_bound_access_tokens = true,
        // Any certificate without a subject has this one.
        |c| c.registration.tls_client_auth_subject_dn = Some(String::new()),
        |c| c.registration.tls_client_auth_san_dns = Some("*.example".into()),
        |c| c.registration.tls_client_auth_san_ip = Some("192.0.2.0/24".into()),
        |c| c.registration.tls_client_auth_san_email = Some("till".into()),
        |c| {
            c.registration.tls_client_auth_san_dns = Some("till.example".into());
            c.registration.tls_client_auth_san_uri = Some("urn:till".into());
        },
        |c| {
            c.profile = Profile::Basic;
            c.client_secret_sha256 = Some(hufu_kernel::Octets::default());
            c.registration.tls_client_auth_san_dns = Some("till.example".into());
        },
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert_eq!(taken(change), Err(Refusal::PlatformRequest), "change {at}");
    }
}

#[test]
fn a_front_that_asks_for_no_certificate_admits_nobody_who_needs_one_and_asks_at_no_address_of_browsers() {
    let world = World::new();
    let front = |mtls: Option<&str>| {
        let config = Config {
            trust: world.trust.clone(),
            transactions: 1,
            agents: Vec::new(),
            persona_sessions: false,
            mtls: mtls.map(str::to_owned),
        };
        Front::new(config, ports(&world.front_key, &world.clock, &world.rng, &world.once))
    };
    let mut certificate = certificate("till", Root::Sandbox);
    certificate.registration.tls_client_auth_san_dns = Some("till.example".into());
    let jws = world.signed_certificate(&certificate);
    let refused = front(None).unwrap().admit(&jws).unwrap_err();
    assert!(refused.refusal == Refusal::PlatformRequest && refused.why.contains("[mtls]"), "{refused}");
    assert_eq!(front(Some(MTLS)).unwrap().admit(&jws), Ok(()));
    for address in [ISSUER, WALLET, "http://localhost:7003", "https://mtls.localhost:7003/", "mtls.localhost"] {
        assert!(matches!(front(Some(address)).err(), Some(FrontError::Mutual(_))), "{address}");
    }
    // The issuer's address in another spelling is the issuer's address.
    let at = |issuer: &str, mtls: &str| {
        let mut trust = world.trust.clone();
        (trust.issuer, trust.wallet_origin) = (issuer.to_owned(), "https://wallet.example".to_owned());
        let mtls = Some(mtls.to_owned());
        let config = Config { trust, transactions: 1, agents: Vec::new(), persona_sessions: false, mtls };
        Front::new(config, ports(&world.front_key, &world.clock, &world.rng, &world.once)).err()
    };
    for (issuer, mtls) in [
        ("https://id.example", "https://id.example:443"),
        ("https://id.example:443", "https://id.example"),
        ("https://id.example", "https://id.example:0443"),
        ("https://id.example", "https://id.example."),
        ("https://id.example", "https://ID.example"),
        ("https://id.example", "https://wallet.example:443"),
        ("https://id.example:8443", "https://id.example.:8443"),
    ] {
        assert!(matches!(at(issuer, mtls), Some(FrontError::Mutual(_))), "{mtls} beside {issuer}");
    }
    for mtls in ["https://mtls.id.example", "https://id.example:8443", "https://mtls.id.example:443"] {
        assert_eq!(at("https://id.example", mtls), None, "the control: {mtls}");
    }
}
