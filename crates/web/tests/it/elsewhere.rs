//! Signing in with another device over HTTP: pages without scripts, their headers, and whose form it is.

use crate::fixture::*;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode};
use hufu_oidc::client::Wish;
use hufu_web::front::router;
use hufu_web::reply::Edge;
use hufu_web::serve::finished;
use std::sync::Arc;
use tower::ServiceExt;

fn app(world: &World) -> Router {
    let edge = Edge::new("front", WALLET, Arc::new(hufu_kernel::OsRng));
    finished(&edge, router(&edge, &Arc::clone(&world.front)))
}

async fn send(app: &Router, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().into()).unwrap()
}

fn header_of<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// What is in the code that the frame shows now: the front says it, the frame only draws it.
fn code(world: &World, begun: &Begun) -> String {
    let told = world.front.elsewhere_now(&begun.tx, &[&begun.cookie]).unwrap();
    told.scan.unwrap().strip_prefix(ISSUER).unwrap().to_owned()
}

#[tokio::test]
async fn a_sign_in_with_another_device_is_pages_and_forms() {
    let world = World::new();
    let (app, judge) = (app(&world), world.basic("judge"));
    let pending = judge.begin(&Wish::default(), &*world.rng);
    let begun = world.browse(&judge.plain(&pending)).await;
    let cookie = begun.cookie.as_str();
    let at = format!("/elsewhere?tx={}", begun.tx);

    let page = send(&app, Method::GET, &at, &[("cookie", cookie), ("accept-language", "en")], "").await;
    assert_eq!(page.status(), StatusCode::OK);
    let policy = header_of(&page, "content-security-policy").to_owned();
    for part in ["default-src 'none';", "frame-src 'self';", "frame-ancestors 'none';", "form-action 'self' https:"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(header_of(&page, "referrer-policy"), "same-origin");
    assert_eq!(header_of(&page, "cache-control"), "no-store");
    let html = text(page).await;
    assert!(html.contains("<iframe class=\"scan\" src=\"/elsewhere/code?tx=") && html.contains(" title=\""), "{html}");
    assert!(!html.contains("<script") && html.contains("judge"));

    let inside = format!("/elsewhere/code?tx={}&ui_locales=zh-Hans", begun.tx);
    let frame = send(&app, Method::GET, &inside, &[("cookie", cookie)], "").await;
    assert_eq!(header_of(&frame, "refresh"), "1");
    let policy = header_of(&frame, "content-security-policy").to_owned();
    assert!(policy.contains("frame-ancestors 'self';") && policy.contains("form-action 'none'"), "{policy}");
    let html = text(frame).await;
    assert!(html.contains("<html lang=\"zh-Hans\">") && html.contains("role=\"img\"") && !html.contains("<script"));

    let scanned = send(&app, Method::GET, &code(&world, &begun), &[], "").await;
    assert_eq!(scanned.status(), StatusCode::SEE_OTHER);
    let phone = header_of(&scanned, "set-cookie").split(';').next().unwrap().to_owned();
    assert!(header_of(&scanned, "set-cookie").contains("; Secure; SameSite=None"));
    let frame = send(&app, Method::GET, &inside, &[("cookie", cookie)], "").await;
    assert_eq!(header_of(&frame, "refresh"), "", "nor does anything renew itself any more");
    assert!(!text(frame).await.contains("<svg"), "no code is shown once a device has it");

    let answer = serde_json::to_value(world.answer(&world.fetch(&begun.tx))).unwrap();
    let form = ["tx", "id_token", "s"].map(|name| format!("{name}={}", answer[name].as_str().unwrap())).join("&");
    let typed = ("content-type", "application/x-www-form-urlencoded");
    let agreed = send(&app, Method::POST, "/complete", &[("cookie", &phone), typed, ("origin", WALLET)], &form).await;
    assert_eq!(agreed.status(), StatusCode::SEE_OTHER);
    let to = header_of(&agreed, "location").strip_prefix(ISSUER).unwrap().to_owned();
    let shown = send(&app, Method::GET, &to, &[("cookie", &phone), ("accept-language", "en")], "").await;
    assert_eq!(shown.status(), StatusCode::OK);
    let shown = text(shown).await;
    let number = shown.split_once("id=\"number\">").unwrap().1.split_once('<').unwrap().0.replace(' ', "");
    assert_eq!(number.len(), 8);

    // Another page's form is refused and uses no try up; a wrong number is said, and the right one leads back.
    let body = |number: &str| format!("tx={}&number={number}", begun.tx);
    for origin in ["https://evil.example", "null", WALLET] {
        let foreign = [("cookie", cookie), typed, ("origin", origin)];
        let done = send(&app, Method::POST, "/elsewhere", &foreign, &body(&number)).await;
        assert_eq!(done.status(), StatusCode::FORBIDDEN, "{origin}");
    }
    let own = [("cookie", cookie), typed, ("origin", ISSUER), ("accept-language", "en")];
    let wrong = send(&app, Method::POST, "/elsewhere", &own, &body("0")).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let wrong = text(wrong).await;
    assert!(
        wrong.contains("<title>Error: ") && wrong.contains("aria-invalid=\"true\"") && wrong.contains("Tries left: 2")
    );
    let done = send(&app, Method::POST, "/elsewhere", &own, &body(&number)).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert!(judge.callback(&pending, query(header_of(&done, "location"))).is_ok());
}

/// WCAG 2.2.2 and 4.1.3: the picture alone renews itself, for a minute, and can be stopped; how far it is is asked for by a link.
#[tokio::test]
async fn only_the_picture_renews_itself_and_it_can_be_stopped() {
    let world = World::new();
    let (app, judge) = (app(&world), world.basic("judge"));
    let begun = world.browse(&judge.plain(&judge.begin(&Wish::default(), &*world.rng))).await;
    let headers = [("cookie", begun.cookie.as_str()), ("accept-language", "en")];
    let page = async |more: &str| {
        let answer = send(&app, Method::GET, &format!("/elsewhere?tx={}{more}", begun.tx), &headers, "").await;
        assert_eq!((answer.status(), header_of(&answer, "refresh")), (StatusCode::OK, ""), "{more}");
        text(answer).await
    };
    let codes = "<iframe class=\"scan\"";
    let html = page("").await;
    assert!(html.contains(codes) && html.contains("title=") && html.contains("&amp;stop=1#progress\""), "{html}");
    // To an address with a fragment a browser that is there already goes without asking anybody.
    assert!(html.contains("&amp;look=1\""), "{html}");
    let html = page("&stop=1").await;
    assert!(
        !html.contains(codes) && html.contains("No code is shown any more") && html.contains("id=\"again\""),
        "{html}"
    );
    // Looking shows no codes for longer than before; asking for them does.
    world.clock.advance(59);
    assert!(page("&look=1").await.contains(codes));
    world.clock.advance(1);
    assert!(!page("&look=1").await.contains(codes));
    assert!(page("").await.contains(codes));
    let scanned = send(&app, Method::GET, &code(&world, &begun), &[], "").await;
    assert_eq!(scanned.status(), StatusCode::SEE_OTHER);
    for more in ["", "&look=1", "&stop=1"] {
        let html = page(more).await;
        assert!(html.contains("If it was not your device, go back and begin again"), "{more}: {html}");
        assert!(
            !html.contains(codes) && !html.contains("id=\"again\"") && !html.contains("id=\"stop\""),
            "{more}: {html}"
        );
    }
}

#[tokio::test]
async fn a_page_of_a_sign_in_that_was_refused_elsewhere_has_only_the_way_back() {
    let world = World::new();
    let (app, judge) = (app(&world), world.basic("judge"));
    let begun = world.browse(&judge.plain(&judge.begin(&Wish::default(), &*world.rng))).await;
    let cookie = begun.cookie.as_str();
    world.front.elsewhere(&begun.tx, &[cookie]).unwrap();
    let scanned = send(&app, Method::GET, &code(&world, &begun), &[], "").await;
    let phone = header_of(&scanned, "set-cookie").split(';').next().unwrap().to_owned();
    let refusal = hufu_wire::api::sign_in::RefuseSignIn { tx: world.fetch(&begun.tx).tx };
    world.front.refuse(&refusal, &[&phone]).await.unwrap();
    let at = format!("/elsewhere?tx={}", begun.tx);
    let page = text(send(&app, Method::GET, &at, &[("cookie", cookie)], "").await).await;
    assert!(!page.contains("<iframe") && !page.contains("name=\"number\"") && page.contains("name=\"back\""));
    let typed = ("content-type", "application/x-www-form-urlencoded");
    let own = [("cookie", cookie), typed, ("origin", ISSUER)];
    let back = send(&app, Method::POST, "/elsewhere", &own, &format!("tx={}&back=1", begun.tx)).await;
    assert!(header_of(&back, "location").contains("error=access_denied"));
    // The frame of what has ended is a frame that says so, not a page that no frame may show.
    let inside = format!("/elsewhere/code?tx={}", begun.tx);
    let frame = send(&app, Method::GET, &inside, &[("cookie", cookie)], "").await;
    assert_eq!((frame.status(), header_of(&frame, "refresh")), (StatusCode::OK, ""));
    assert!(header_of(&frame, "content-security-policy").contains("frame-ancestors 'self'"));
}

#[tokio::test]
async fn without_the_cookie_of_the_beginning_there_is_a_refusal_and_no_code() {
    let world = World::new();
    let (app, judge) = (app(&world), world.basic("judge"));
    let begun = world.browse(&judge.plain(&judge.begin(&Wish::default(), &*world.rng))).await;
    world.front.elsewhere(&begun.tx, &[&begun.cookie]).unwrap();
    for path in ["/elsewhere", "/elsewhere/number"] {
        let page = send(&app, Method::GET, &format!("{path}?tx={}", begun.tx), &[], "").await;
        assert!(page.status().is_client_error(), "{path}");
    }
    let frame = send(&app, Method::GET, &format!("/elsewhere/code?tx={}", begun.tx), &[], "").await;
    assert!(!text(frame).await.contains("<svg"));
    let stale = code(&world, &begun);
    world.clock.advance(4);
    let late = send(&app, Method::GET, &stale, &[("accept-language", "en")], "").await;
    assert_eq!(late.status().as_u16(), hufu_kernel::Refusal::ScanStale.text().status);
    assert!(text(late).await.contains("That code was too old"));
}

#[test]
fn no_strangers_code_is_taken() {
    let world = World::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let judge = world.basic("judge");
    let begun = runtime.block_on(world.browse(&judge.plain(&judge.begin(&Wish::default(), &*world.rng))));
    world.front.elsewhere(&begun.tx, &[&begun.cookie]).unwrap();
    let good = query(&code(&world, &begun)).to_owned();
    let front = std::panic::AssertUnwindSafe(&world.front);
    bolero::check!().with_type::<(Vec<u8>, u8)>().for_each(|(bytes, cut)| {
        let text = String::from_utf8_lossy(bytes);
        let mixed = format!("{}{text}", &good[..usize::from(*cut) % good.len()]);
        for query in [&*text, &mixed] {
            assert!(query == good || front.scanned(query, &[]).is_err());
        }
    });
    assert!(world.front.scanned(&good, &[]).is_ok(), "the control: the code itself is taken");
}
