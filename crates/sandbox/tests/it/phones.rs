use hufu_kernel::{ManualClock, Timestamp};
use hufu_sandbox::phone_simulator::{Message, PhoneSimulator, router};
use serde_json::{Value, json};
use std::sync::Arc;

async fn start() -> (String, reqwest::Client) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000)));
    (super::serve(router(PhoneSimulator::new(clock).unwrap())).await, reqwest::Client::new())
}

fn message(to: &str, code: &str) -> Value {
    json!({ "to": to, "template": "enrolment-code", "params": { "code": code }, "lang": "zh-Hans" })
}

#[tokio::test]
async fn a_posted_message_can_be_read_back_by_number() {
    let (address, client) = start().await;
    for (to, code) in [("+8619999000001", "123456"), ("+8619999000002", "654321")] {
        let answer = client.post(format!("{address}/messages")).json(&message(to, code)).send().await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    for query in ["to=%2B8619999000001", "to=+8619999000001", "to=19999000001"] {
        let answer = client.get(format!("{address}/messages?{query}")).send().await.unwrap();
        let inbox: Vec<Message> = answer.json().await.unwrap();
        assert_eq!(inbox.len(), 1, "{query}");
        assert_eq!(inbox[0].params["code"], "123456");
    }
    assert_eq!(client.get(format!("{address}/messages?to=1")).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_number_that_could_be_somebodys_is_refused() {
    let (address, client) = start().await;
    for to in ["+8613800138000", "+85251234567", "19999000001"] {
        let answer = client.post(format!("{address}/messages")).json(&message(to, "1")).send().await.unwrap();
        assert_eq!(answer.status(), 422, "{to}");
    }
}

#[tokio::test]
async fn the_page_escapes_what_a_message_says_and_forbids_every_script() {
    let (address, client) = start().await;
    let attack = "<script>alert(1)</script>\"'&";
    client.post(format!("{address}/messages")).json(&message("+8619999000001", attack)).send().await.unwrap();
    for path in ["/", "/?to=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"] {
        let answer = client.get(format!("{address}{path}")).send().await.unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let html = answer.text().await.unwrap();
        assert!(!html.contains("<script"), "{html}");
    }
}

#[tokio::test]
async fn the_page_speaks_both_languages_and_says_sandbox() {
    let (address, client) = start().await;
    for (query, accept, lang, band) in [
        ("", "en-GB,en;q=0.9", "lang=\"en\"", "Sandbox"),
        ("", "zh-CN", "lang=\"zh-Hans\"", "沙箱"),
        ("?lang=en", "zh-CN", "lang=\"en\"", "Sandbox"),
        ("?lang=xx", "", "lang=\"zh-Hans\"", "沙箱"),
    ] {
        let answer = client.get(format!("{address}/{query}")).header("accept-language", accept).send().await.unwrap();
        let html = answer.text().await.unwrap();
        assert!(html.contains(&format!("<html {lang}>")) && html.contains(band), "{query} {accept}");
    }
    let style = client.get(format!("{address}/phones.css")).send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
}
