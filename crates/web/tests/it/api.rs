//! The front answers what it is told to answer: every operation of the document is there, with a status and a media type of it.

use crate::fixture::World;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, header};
use hufu_offices::buckets::Rate;
use hufu_web::addresses::{AddressLimits, Addresses};
use hufu_web::api::{Asks, Operation, Places, document, operations};
use hufu_web::reply::Edge;
use hufu_web::serve::finished;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt as _;

const FORM: &str = "application/x-www-form-urlencoded";

fn edge() -> Edge {
    Edge::new("front", "https://wallet.example", Arc::new(hufu_kernel::OsRng))
}

fn app(world: &World) -> Router {
    let edge = edge();
    finished(&edge, hufu_web::front::router(&edge, &world.front))
}

/// What the front itself is told to answer.
fn of_the_front() -> impl Iterator<Item = Operation> {
    operations().into_iter().filter(|operation| operation.at.is_front())
}

fn request(method: &str, path: &str, (kind, body): (&str, &str)) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path.replace("{tx}", &"A".repeat(43)));
    if !kind.is_empty() {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn send(app: &Router, method: &str, path: &str, body: (&str, &str)) -> Response<Body> {
    app.clone().oneshot(request(method, path, body)).await.unwrap()
}

/// What is wrong with an answer, by the document.
fn wrong(document: &Value, method: &str, path: &str, response: &Response<Body>) -> Option<String> {
    let status = response.status().as_u16().to_string();
    let told = &document["paths"][path][method.to_ascii_lowercase()]["responses"][&status];
    if told.is_null() {
        return Some(format!("{method} {path}: status {status} is not told"));
    }
    let kind =
        response.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap().split(';').next().unwrap());
    match (told["content"].as_object(), kind) {
        (Some(content), Some(kind)) if !content.contains_key(kind) => {
            Some(format!("{method} {path}: {status} {kind} is not told"))
        }
        (Some(_), None) => Some(format!("{method} {path}: {status} has no body")),
        _ => None,
    }
}

#[tokio::test]
async fn every_operation_of_the_front_answers_with_what_the_document_says() {
    // Two operations exist only where a persona agent keeps sessions.
    let world = World::with_persona_sessions();
    let (app, document) = (app(&world), document(&Places::default()));
    let bodies = [
        ("", ""),
        (FORM, ""),
        (FORM, "a=1&a=2"),
        (FORM, "client_id=nobody"),
        ("text/plain", "x"),
        ("application/json", "{}"),
    ];
    let mut asked = 0;
    for operation in of_the_front() {
        for body in bodies.iter().filter(|(kind, _)| operation.method != "GET" || kind.is_empty()) {
            let response = send(&app, operation.method, operation.path, *body).await;
            assert_eq!(wrong(&document, operation.method, operation.path, &response), None, "{body:?}");
            asked += 1;
        }
        if let Asks::Query(parameters) = operation.asks {
            for parameter in parameters {
                let path = format!("{}?{}=%FF", operation.path, parameter.name);
                let response = send(&app, operation.method, &path, ("", "")).await;
                assert_eq!(wrong(&document, operation.method, operation.path, &response), None, "{path}");
            }
        }
    }
    assert!(asked > 50, "{asked}");
}

/// What is not bounded: documents that others need to go on.
const FREE: [&str; 5] = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/ssf-configuration",
    "/jwks.json",
    "/style.css",
];

#[tokio::test]
async fn who_asks_too_often_is_answered_with_what_the_document_says_wherever_there_is_a_limit() {
    let world = World::with_persona_sessions();
    let (app, document) = (app(&world), document(&Places::default()));
    let rate = Some(Rate { burst: 1, every: Duration::from_secs(90) });
    let limits = AddressLimits { browser: rate, platform: rate, wait: rate, ..AddressLimits::default() };
    for operation in of_the_front() {
        // Nobody has asked anything yet.
        let addresses = Addresses::new(&edge(), limits);
        for (turn, kind) in ["", FORM, "application/json"].into_iter().enumerate() {
            let mut request = request(operation.method, operation.path, (kind, ""));
            request.extensions_mut().insert(addresses.asker([192, 0, 2, 1].into()));
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(wrong(&document, operation.method, operation.path, &response), None, "{turn}");
            let bounded = turn > 0 && !FREE.contains(&operation.path);
            assert_eq!(response.status() == 429, bounded, "{} {} {turn}", operation.method, operation.path);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), bounded, "{}", operation.path);
        }
    }
}

#[tokio::test]
async fn a_status_that_is_not_told_is_noticed() {
    let world = World::new();
    let (app, mut document) = (app(&world), document(&Places::default()));
    let refused = send(&app, "POST", "/token", (FORM, "")).await;
    assert_eq!(wrong(&document, "POST", "/token", &refused), None);
    document["paths"]["/token"]["post"]["responses"].as_object_mut().unwrap().remove("401");
    assert!(wrong(&document, "POST", "/token", &refused).is_some());
    let nowhere = send(&app, "GET", "/no-such-page", ("", "")).await;
    assert!(wrong(&document, "GET", "/no-such-page", &nowhere).is_some());
}

#[tokio::test]
async fn the_pages_for_engineers_are_in_both_languages_and_sizes_and_repeat_nothing_of_the_address() {
    let world = World::new();
    let app = app(&world);
    for (path, titles) in [("/docs/api", ["接口说明", "API reference"]), ("/docs/errors", ["错误代码", "Errors"])]
    {
        for (lang, title) in ["zh-Hans", "en"].into_iter().zip(titles) {
            for size in ["normal", "large", "%22%3E%3Cscript%3E"] {
                let response = send(&app, "GET", &format!("{path}?lang={lang}&size={size}&x=evil"), ("", "")).await;
                let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
                assert!(policy.contains("default-src 'none'") && !policy.contains("script"), "{policy}");
                let bytes = axum::body::to_bytes(response.into_body(), 1 << 22).await.unwrap();
                let html = String::from_utf8(bytes.to_vec()).unwrap();
                assert!(
                    html.contains(&format!("<html lang=\"{lang}\"")) && html.contains(&format!("<h1>{title}</h1>"))
                );
                assert_eq!(html.contains("data-size=\"large\""), size == "large");
                for forbidden in ["evil", "<script", "style=\"", "\u{27e6}"] {
                    assert!(!html.contains(forbidden), "{path} {lang} {size}: {forbidden}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_document_that_the_front_serves_has_its_own_address() {
    let world = World::new();
    let response = send(&app(&world), "GET", "/openapi.json", ("", "")).await;
    assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 22).await.unwrap();
    let served: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(served["servers"][0]["url"], crate::fixture::ISSUER);
    assert_eq!(served["paths"]["/token"]["servers"][0]["url"], crate::fixture::ISSUER);
}
