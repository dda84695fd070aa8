//! A platform with a TLS certificate of the sandbox's authority signs a person in, over TLS and with a client that is not ours.

use crate::demo::{Running, options, start};
use crate::samples::{agree, somebody};
use hufu_app::demo::Options;
use hufu_app::demo::platform_ca::{Issued, PlatformCa};
use hufu_app::doctor;
use hufu_app::platform_file::{Kind, Service, create};
use hufu_kernel::{Clock as _, OsRng, SystemClock, Timestamp};
use hufu_platform::client::{ClientAuth, HttpRequest, RelyingParty, Wish};
use hufu_platform::{Alg, Jwks};
use serde_json::Value;
use std::path::Path;

/// A client with this certificate, and another without any.
fn client(running: &Running, own: Option<&Issued>) -> reqwest::Client {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(running.mtls().1).unwrap()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]);
    let client = match own {
        Some(own) => {
            let pem = format!("{}{}", own.certificate, *own.key);
            client.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
        }
        None => client,
    };
    client.build().unwrap()
}

async fn send(client: &reqwest::Client, request: &HttpRequest) -> Result<(u16, String), reqwest::Error> {
    let method = request.method.parse().unwrap();
    let mut sent = client.request(method, &request.url).body(request.body.clone());
    for (name, value) in &request.headers {
        sent = sent.header(*name, value);
    }
    let answer = sent.send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

fn issued(data: &Path, name: &str) -> Issued {
    let today = SystemClock.now().date();
    PlatformCa::open(data, today).unwrap().issue(name, today).unwrap()
}

fn now() -> Timestamp {
    SystemClock.now()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_signs_a_person_in_with_a_certificate_that_the_sandbox_issued() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("demo");
    let with_mtls = || Options { mtls: true, ..options(folder.path()) };
    // The first start makes the authority.
    start(with_mtls()).await.stop().await;
    let own = issued(&data, "till");
    let service = Service { issuer: "http://localhost:1", trust: folder.path() };
    let kind = Kind::Certificate(issued(&data, "till"));
    let file = create("till", folder.path(), kind, service, &OsRng).unwrap().file;
    let running = start(Options { platforms: vec![file], ..with_mtls() }).await;
    assert!(doctor::examine(&data).ok);
    let issuer = running.addresses().issuer;
    let url = format!("{issuer}/.well-known/openid-configuration");
    let metadata: Value = hufu_sandbox::http::client().unwrap().get(url).send().await.unwrap().json().await.unwrap();
    let mtls = running.mtls().0;
    assert_eq!(metadata["mtls_endpoint_aliases"]["token_endpoint"], format!("{mtls}/token"));
    let till = RelyingParty {
        client_id: "till".into(),
        redirect_uri: "http://localhost:3000/callback".into(),
        issuer,
        auth: ClientAuth::TlsClient(mtls.to_owned()),
        dpop: None,
        keys: Jwks { keys: vec![running.trust().group_jwk().unwrap()] },
        alg: Alg::EdDSA,
    };
    let (with, without) = (client(&running, Some(&own)), client(&running, None));
    let pending = till.begin(&Wish::default(), &OsRng);
    let push = till.push(&pending, now(), &OsRng).unwrap();
    assert!(send(&without, &push).await.is_err(), "nobody comes in without a certificate");
    let other = client(&running, Some(&issued(&data, "other")));
    assert_eq!(send(&other, &push).await.unwrap().0, 401, "another platform's");
    let (status, body) = send(&with, &push).await.unwrap();
    let url = till.pushed(status, &body).unwrap();
    let world = running.world();
    let mut robot = somebody(&running, &world).await;
    let back = agree(&mut robot, &url).await;
    let code = till.callback(&pending, back.split_once('?').unwrap().1).unwrap();
    let (status, body) = send(&with, &till.redeem(&pending, &code, now(), &OsRng).unwrap()).await.unwrap();
    let signed_in = till.redeemed(&pending, status, &body, now()).unwrap();
    let told = till.userinfo(&signed_in.access_token, now(), &OsRng).unwrap();
    assert_eq!(send(&with, &told).await.unwrap().0, 200);
    assert_eq!(send(&other, &told).await.unwrap().0, 401, "the token is the certificate's");
    // Where no certificate is asked for the token is worth nothing.
    let mut openly = told.clone();
    openly.url = openly.url.replace(mtls, &till.issuer);
    assert_eq!(send(&hufu_sandbox::http::client().unwrap(), &openly).await.unwrap().0, 401);
    running.stop().await;
}
