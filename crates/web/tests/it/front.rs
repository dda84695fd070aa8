//! The front over HTTP: cookies, origins, content types, pages. What it decides is tested with the office.

use crate::fixture::*;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode, header};
use hufu_oidc::client::Wish;
use hufu_web::front::router;
use hufu_web::reply::Edge;
use hufu_web::serve::finished;
use serde_json::Value;
use std::sync::Arc;
use tower::ServiceExt;

const FORM: &str = "application/x-www-form-urlencoded";

fn app(world: &World) -> Router {
    let edge = Edge::new("front", WALLET, Arc::new(hufu_kernel::OsRng));
    finished(&edge, router(&edge, &Arc::clone(&world.front)))
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn send(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().into()).unwrap()
}

fn header_of<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

fn form_of(world: &World, at: &AtWallet) -> String {
    let answer = serde_json::to_value(world.answer(&at.transaction)).unwrap();
    let field = |name: &str| format!("{name}={}", answer[name].as_str().unwrap());
    [field("tx"), field("id_token"), field("s")].join("&")
}

#[tokio::test]
async fn the_whole_flow_runs_over_http() {
    let world = World::new();
    let (app, shop) = (app(&world), world.fapi("shop"));
    let pending = shop.begin(&Wish::default(), &*world.rng);
    let push = world.push_request(&shop, &pending);
    let headers: Vec<(&str, &str)> = push.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let pushed = send(&app, request(Method::POST, "/par", &headers, &push.body)).await;
    assert_eq!(pushed.status(), StatusCode::CREATED);
    let url = shop.pushed(201, &text(pushed).await).unwrap();

    let sent = send(&app, request(Method::GET, url.strip_prefix(ISSUER).unwrap(), &[], "")).await;
    assert_eq!(sent.status(), StatusCode::SEE_OTHER);
    let cookies: Vec<_> = sent.headers().get_all(header::SET_COOKIE).iter().map(|c| c.to_str().unwrap()).collect();
    assert!(cookies.iter().any(|c| c.starts_with("hufu-front-tx=") && c.contains("; Secure; SameSite=None")));
    let cookie = cookies[0].split(';').next().unwrap().to_owned();
    let tx = header_of(&sent, "location").split_once("tx=").unwrap().1.to_owned();

    let served = send(&app, request(Method::GET, &format!("/tx/{tx}"), &[("origin", WALLET)], "")).await;
    assert_eq!(served.status(), StatusCode::OK);
    assert_eq!(header_of(&served, "access-control-allow-origin"), WALLET);
    assert_eq!(header_of(&served, "access-control-allow-credentials"), "true");
    let jws = hufu_wire::jose::Compact::parse(&text(served).await).unwrap();
    let at = AtWallet { pending, url, begun: Begun { tx, cookie }, transaction: jws.unverified().json().unwrap() };

    let post = [("origin", WALLET), ("content-type", FORM), ("cookie", at.begun.cookie.as_str())];
    let done = send(&app, request(Method::POST, "/complete", &post, &form_of(&world, &at))).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    let code = shop.callback(&at.pending, query(header_of(&done, "location"))).unwrap();

    let redeem = world.token_request(&shop, &at.pending, &code);
    let headers: Vec<(&str, &str)> = redeem.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let redeemed = send(&app, request(Method::POST, "/token", &headers, &redeem.body)).await;
    assert_eq!(header_of(&redeemed, "cache-control"), "no-store");
    let signed_in = shop.redeemed(&at.pending, redeemed.status().as_u16(), &text(redeemed).await, world.now()).unwrap();

    let told = shop.userinfo(&signed_in.access_token, world.now(), &*world.rng).unwrap();
    let headers: Vec<(&str, &str)> = told.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(send(&app, request(Method::GET, "/userinfo", &headers, "")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_script_of_the_wallet_gets_json() {
    let world = World::new();
    let (app, shop) = (app(&world), world.fapi("shop"));
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let body = serde_json::to_string(&world.answer(&at.transaction)).unwrap();
    let headers = [("origin", WALLET), ("content-type", "application/json"), ("cookie", at.begun.cookie.as_str())];
    let done = send(&app, request(Method::POST, "/complete", &headers, &body)).await;
    assert_eq!(done.status(), StatusCode::OK);
    let next: Value = serde_json::from_str(&text(done).await).unwrap();
    assert!(next["redirect_to"].as_str().unwrap().starts_with("https://shop.example/cb?code="));
}

#[tokio::test]
async fn a_response_that_is_posted_is_a_page_with_a_button_and_no_script() {
    let world = World::new();
    let (app, judge) = (app(&world), world.basic("judge"));
    let pending = judge.begin(&Wish::default(), &*world.rng);
    let plain = judge.plain(&pending);
    let path = format!("{}&response_mode=form_post&prompt=none", plain.strip_prefix(ISSUER).unwrap());
    let sent = send(&app, request(Method::GET, &path, &[], "")).await;
    let location = header_of(&sent, "location").strip_prefix(ISSUER).unwrap().to_owned();
    let page = send(&app, request(Method::GET, &location, &[("accept-language", "en")], "")).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(header_of(&page, "cache-control"), "no-store");
    let policy = header_of(&page, "content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("form-action https:"), "{policy}");
    let html = text(page).await;
    assert!(html.contains(r#"<form method="post" action="https://judge.example/cb">"#), "{html}");
    assert!(html.contains(r#"name="error" value="login_required""#) && html.contains("judge.example"), "{html}");
    assert!(!html.contains("<script"));
    let gone = send(&app, request(Method::GET, "/respond?r=AAAA", &[], "")).await;
    assert_eq!(gone.status().as_u16(), hufu_kernel::Refusal::TransactionGone.text().status);
}

#[tokio::test]
async fn a_sign_out_is_a_page_in_both_languages_and_follows_no_strangers_address() {
    let world = World::new();
    let app = app(&world);
    for (lang, wanted) in [("en", "Sign-out"), ("zh-CN", "退出登录")] {
        let page = send(&app, request(Method::GET, "/logout", &[("accept-language", lang)], "")).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert!(text(page).await.contains(&format!("<h1>{wanted}</h1>")));
    }
    let typed = [("content-type", FORM)];
    let to = "post_logout_redirect_uri=https%3A%2F%2Fevil.example%2F&state=x";
    let refused = send(&app, request(Method::POST, "/logout", &typed, to)).await;
    assert_eq!((refused.status(), header_of(&refused, "location")), (StatusCode::BAD_REQUEST, ""));
    assert!(!text(refused).await.contains("evil.example"));
}

#[tokio::test]
async fn the_platforms_own_number_of_a_call_comes_back_and_nothing_else_does() {
    let world = World::new();
    let app = app(&world);
    let id = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a";
    for (sent, back) in [(id, id), ("<script>", ""), ("", "")] {
        let headers = [("x-fapi-interaction-id", sent)];
        let told = send(&app, request(Method::GET, "/userinfo", &headers, "")).await;
        assert_eq!((told.status(), header_of(&told, "x-fapi-interaction-id")), (StatusCode::UNAUTHORIZED, back));
    }
}

/// Cross-site request forgery on completion.
#[tokio::test]
async fn a_post_of_another_page_or_another_browser_is_refused_and_costs_the_person_nothing() {
    let world = World::new();
    let (app, shop) = (app(&world), world.fapi("shop"));
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let body = form_of(&world, &at);
    let cookie = ("cookie", at.begun.cookie.as_str());
    let typed = ("content-type", FORM);
    for (path, form) in [("/complete", body.as_str()), ("/refuse", body.split('&').next().unwrap())] {
        for origin in ["https://evil.example", "null", "http://wallet.localhost", "http://localhost:7000"] {
            let headers = [("origin", origin), typed, cookie];
            let done = send(&app, request(Method::POST, path, &headers, form)).await;
            assert_eq!(done.status(), StatusCode::FORBIDDEN, "{path} from {origin}");
        }
        let done = send(&app, request(Method::POST, path, &[("origin", WALLET), typed], form)).await;
        assert_eq!(done.status(), StatusCode::FORBIDDEN, "{path} without the cookie");
    }
    let headers = [("origin", AGENT), typed, cookie];
    let done = send(&app, request(Method::POST, "/complete", &headers, &body)).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER, "the sandbox's agent may post");
}

#[tokio::test]
async fn scripts_of_other_pages_may_read_public_documents_only() {
    let world = World::new();
    let (app, shop) = (app(&world), world.fapi("shop"));
    let at = world.at_wallet(&shop, &Wish::default()).await;
    let foreign = ("origin", "https://evil.example");
    for path in [format!("/tx/{}", at.begun.tx), "/userinfo".to_owned()] {
        let response = send(&app, request(Method::GET, &path, &[foreign], "")).await;
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{path}");
    }
    let asked = ("access-control-request-method", "POST");
    for (origin, allowed) in [(WALLET, WALLET), ("https://evil.example", "")] {
        let preflight = request(Method::OPTIONS, "/complete", &[("origin", origin), asked], "");
        assert_eq!(header_of(&send(&app, preflight).await, "access-control-allow-origin"), allowed);
    }
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks.json"] {
        let response = send(&app, request(Method::GET, path, &[foreign], "")).await;
        assert_eq!(header_of(&response, "access-control-allow-origin"), "*");
        assert_eq!(header_of(&response, "content-type"), "application/json");
        assert!(header_of(&response, "cache-control").starts_with("public"));
    }
}

#[tokio::test]
async fn a_person_without_a_way_back_reads_a_page_in_their_language() {
    let world = World::new();
    let app = app(&world);
    let path = "/authorize?client_id=%3Cscript%3Ealert(1)%3C/script%3E&redirect_uri=https://evil.example";
    let (zh, en) = ("该平台未登记。", "This platform is not registered.");
    let cases =
        [("", "en", "en", en, zh), ("", "zh-CN", "zh-Hans", zh, en), ("&ui_locales=fr+zh-CN", "en", "zh-Hans", zh, en)];
    for (chosen, language, lang, first, second) in cases {
        let path = format!("{path}{chosen}");
        let shown = send(&app, request(Method::GET, &path, &[("accept-language", language)], "")).await;
        assert_eq!(shown.status(), StatusCode::BAD_REQUEST);
        assert!(!shown.headers().contains_key("location"));
        assert!(header_of(&shown, "content-security-policy").starts_with("default-src 'none'"));
        assert_eq!(header_of(&shown, "referrer-policy"), "no-referrer");
        assert_eq!(header_of(&shown, "x-content-type-options"), "nosniff");
        assert_eq!(header_of(&shown, "cache-control"), "no-store");
        let page = text(shown).await;
        assert!(page.contains(&format!("<html lang=\"{lang}\">")), "{page}");
        let (first, second) = (page.find(first).unwrap(), page.find(second).unwrap());
        assert!(first < second, "the language that was chosen comes first, and the other is there as well");
        assert!(page.contains("<strong>SANDBOX</strong>") && !page.contains('⟦'), "{page}");
        assert!(!page.contains("script") && !page.contains("evil"), "nothing of the request is repeated");
    }
    let style = send(&app, request(Method::GET, "/style.css", &[], "")).await;
    assert_eq!((style.status(), header_of(&style, "content-type")), (StatusCode::OK, "text/css; charset=utf-8"));
}

#[tokio::test]
async fn authorize_takes_a_post_as_well() {
    let world = World::new();
    let (app, judge) = (app(&world), world.basic("judge"));
    let pending = judge.begin(&Wish::default(), &*world.rng);
    let sent = send(&app, request(Method::POST, "/authorize", &[("content-type", FORM)], &pending.query)).await;
    assert_eq!(sent.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_platforms_ask_themselves_is_posted() {
    let world = World::new();
    let app = app(&world);
    for path in ["/par", "/token", "/introspect", "/revoke"] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let response = send(&app, request(method.clone(), path, &[], "")).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn bodies_of_the_wrong_kind_or_size_are_refused_in_the_endpoints_own_form() {
    let world = World::new();
    let app = app(&world);
    for path in ["/par", "/token"] {
        let json = send(&app, request(Method::POST, path, &[("content-type", "application/json")], "{}")).await;
        assert_eq!(json.status(), StatusCode::BAD_REQUEST, "{path}");
        let body: Value = serde_json::from_str(&text(json).await).unwrap();
        assert_eq!(body["error"], "invalid_request");
        let large = "a=".to_owned() + &"x".repeat(70_000);
        let response = send(&app, request(Method::POST, path, &[("content-type", FORM)], &large)).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    let typed = [("content-type", "application/json")];
    for body in ["{}", r#"{"tx":"x"}"#, r#"{"tx":"AA","tx":"AA"}"#, "["] {
        let response = send(&app, request(Method::POST, "/complete", &typed, body)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    assert_eq!(send(&app, request(Method::GET, "/tx/x", &[], "")).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(send(&app, request(Method::GET, "/nothing", &[], "")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_refused_client_and_a_refused_token_are_challenged() {
    let world = World::new();
    let app = app(&world);
    let headers = [("content-type", FORM), ("authorization", "Basic eDp5")];
    let response = send(&app, request(Method::POST, "/token", &headers, "grant_type=authorization_code")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(header_of(&response, "www-authenticate").starts_with("Basic "));
    for (authorization, scheme) in [("DPoP x", "DPoP "), ("Bearer x", "Bearer ")] {
        let response = send(&app, request(Method::GET, "/userinfo", &[("authorization", authorization)], "")).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(header_of(&response, "www-authenticate").starts_with(scheme));
    }
    let response = send(&app, request(Method::GET, "/userinfo", &[("authorization", "\u{e9}")], "")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

/// A GET that signs in is a sandbox's alone, where it was started so; and there it needs the browser that began.
#[tokio::test]
async fn an_answer_comes_by_get_from_a_persona_agent_alone() {
    for (world, open) in [(World::new(), false), (World::with_persona_sessions(), true)] {
        let (app, judge) = (app(&world), world.basic("judge"));
        let pending = judge.begin(&Wish::default(), &*world.rng);
        // Who signed in a moment ago need not be asked.
        let asked = format!("{}&max_age=60", judge.plain(&pending).strip_prefix(ISSUER).unwrap());
        let sent = send(&app, request(Method::GET, &asked, &[], "")).await;
        let cookie = header_of(&sent, "set-cookie").split(';').next().unwrap().to_owned();
        let (_, tx) = header_of(&sent, "location").split_once("tx=").unwrap();
        let tx = tx.split('&').next().unwrap().to_owned();
        let transaction = world.fetch(&tx);
        let at = AtWallet { pending, url: String::new(), begun: Begun { tx, cookie }, transaction };
        let path = format!("/complete?{}", form_of(&world, &at));
        let stranger = send(&app, request(Method::GET, &path, &[], "")).await;
        let done = send(&app, request(Method::GET, &path, &[("cookie", &at.begun.cookie)], "")).await;
        if open {
            assert_eq!(stranger.status(), StatusCode::FORBIDDEN);
            assert!(header_of(&done, "location").starts_with("https://judge.example/cb?code="));
        } else {
            assert_eq!(
                (stranger.status(), done.status()),
                (StatusCode::METHOD_NOT_ALLOWED, StatusCode::METHOD_NOT_ALLOWED)
            );
        }
    }
}

/// What is decided is tested with the office; here: the routes, the body's type, and that nobody without a token gets further.
#[tokio::test]
async fn a_platforms_stream_is_asked_about_in_json_with_a_token() {
    let world = World::new();
    let app = app(&world);
    let metadata = send(&app, request(Method::GET, "/.well-known/ssf-configuration", &[], "")).await;
    assert_eq!(metadata.status(), StatusCode::OK);
    let metadata: Value = serde_json::from_str(&text(metadata).await).unwrap();
    let endpoints = ["configuration", "status", "add_subject", "remove_subject", "verification"];
    let mut paths: Vec<String> = endpoints
        .iter()
        .map(|name| metadata[format!("{name}_endpoint")].as_str().unwrap().strip_prefix(ISSUER).unwrap().to_owned())
        .collect();
    paths.push("/ssf/events".into());
    for path in paths {
        let asked = send(&app, request(Method::POST, &path, &[("content-type", "application/json")], "{}")).await;
        assert_eq!(asked.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(header_of(&asked, "www-authenticate").starts_with("DPoP"), "{path}");
        let form = send(&app, request(Method::POST, &path, &[("content-type", FORM)], "a=b")).await;
        assert_eq!(form.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    for method in [Method::GET, Method::PATCH, Method::PUT, Method::DELETE] {
        let asked = send(&app, request(method.clone(), "/ssf/stream", &[], "")).await;
        assert_eq!(asked.status(), StatusCode::UNAUTHORIZED, "{method}");
    }
}

/// Wallets that wait speak JSON; no other page does, and no cookie is needed or looked at.
#[tokio::test]
async fn a_wallet_that_waits_is_found_by_its_secret_and_no_other_page_may_ask() {
    let world = World::new();
    let app = app(&world);
    let typed = ("content-type", "application/json");
    for origin in ["https://evil.example", "null"] {
        let refused = send(&app, request(Method::POST, "/requests/wait", &[typed, ("origin", origin)], "{}")).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{origin}");
    }
    let form = send(&app, request(Method::POST, "/requests/wait", &[("content-type", FORM)], "")).await;
    assert_eq!(form.status(), StatusCode::BAD_REQUEST);
    let waits = send(&app, request(Method::POST, "/requests/wait", &[typed, ("origin", WALLET)], "{}")).await;
    assert_eq!(waits.status(), StatusCode::OK);
    assert_eq!(header_of(&waits, "access-control-allow-origin"), WALLET);
    assert_eq!(header_of(&waits, "cache-control"), "no-store");
    let waiting: Value = serde_json::from_str(&text(waits).await).unwrap();
    assert_eq!(waiting["code"].as_str().unwrap().len(), 11);
    let look = serde_json::json!({ "secret": waiting["secret"] }).to_string();
    let found = send(&app, request(Method::POST, "/requests/look", &[typed], &look)).await;
    assert_eq!((found.status(), text(found).await.as_str()), (StatusCode::OK, "{}"));
    let other = serde_json::json!({ "secret": hufu_kernel::b64(&[0; 32]) }).to_string();
    let gone = send(&app, request(Method::POST, "/requests/look", &[typed], &other)).await;
    assert_eq!(gone.status(), StatusCode::GONE);
    let asked = send(&app, request(Method::POST, "/bc-authorize", &[("content-type", FORM)], "login_hint=1")).await;
    assert_eq!(asked.status(), StatusCode::UNAUTHORIZED);
}
