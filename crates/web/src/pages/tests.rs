//! What holds for every page: it renders in both languages without a missing message, says its errors twice in the same words,
//! carries the security headers, and never reads a person's data.

use super::page::Services;
use super::preferences::is_local;
use super::{Help, PagesConfig, SandboxDocument, SandboxPerson, assets, refused, sandbox_router, table, text, verify};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use fluent_syntax::ast::{Entry, Expression, InlineExpression, PatternElement};
use hufu_kernel::{Element, ManualClock, Octets, Refusal, Root, Timestamp};
use hufu_wire::api::platform::Bilingual;
use hufu_wire::api::trust::{NodeTrust, OfficeKeys, Trust};
use hufu_wire::documents::DocumentType;
use hufu_wire::jose::{self, Alg, Header, Jwk, SoftKey};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tower::ServiceExt;

const NOW: Timestamp = Timestamp(1_800_000_000);

fn key() -> SoftKey {
    SoftKey::generate(Alg::EdDSA, &hufu_kernel::SeededRng::new(7)).unwrap()
}

fn trust(root: Root, scheme: &str) -> Trust {
    let es256 = SoftKey::generate(Alg::ES256, &hufu_kernel::SeededRng::new(8)).unwrap();
    let jwk: Jwk = es256.public().clone();
    let node = || NodeTrust {
        signing: Octets([1; 32]),
        sealing: hufu_kernel::Bytes(vec![1; 32]),
        es256: jwk.clone(),
        rs256: None,
    };
    let group = serde_json::to_value(key().public()).unwrap();
    let group_key = hufu_kernel::unb64(group["x"].as_str().unwrap()).unwrap();
    let office = || Octets([2; 32]);
    Trust {
        root,
        root_id: Octets([3; 16]),
        issuer: format!("{scheme}://id.example"),
        wallet_origin: format!("{scheme}://wallet.example"),
        rp_id: "wallet.example".into(),
        offices: OfficeKeys { registrar: office(), uniqueness: office(), registry: office(), front: office() },
        nodes: [node(), node(), node()],
        taggers: std::array::from_fn(|_| Element(hufu_kernel::Bytes(vec![4; 32]))),
        group_key: Octets(group_key.try_into().unwrap()),
        group_shares: [Octets([5; 32]); 3],
    }
}

fn config(root: Root, scheme: &str) -> PagesConfig {
    PagesConfig {
        trust: trust(root, scheme),
        registrar: format!("{scheme}://registrar.example"),
        nodes: std::array::from_fn(|at| format!("{scheme}://node-{at}.example")),
        phones: Some("http://phones.example".into()),
        persona_agent: true,
        help: Help::invented(),
        clock: Arc::new(ManualClock::new(NOW)),
    }
}

fn persons() -> Vec<SandboxPerson> {
    let text = |zh: &str, en: &str| Some(Bilingual { zh: zh.into(), en: en.into() });
    vec![SandboxPerson {
        id: "o-brien".into(),
        name: "O'Brien-李 <b>".into(),
        latin: "O'Brien-Li".into(),
        documents: vec![SandboxDocument { document_type: DocumentType::ResidentIdentityCard, number: "990101".into() }],
        phone: "+8619900000000".into(),
        story: text("故事", "A story"),
        try_this: text("试试", "Try it"),
    }]
}

fn app(root: Root) -> Router {
    sandbox_router(config(root, "http"), persons())
}

async fn get(app: &Router, address: &str, headers: &[(&str, &str)]) -> Response<Body> {
    send(app, Method::GET, address, headers, "").await
}

async fn send(app: &Router, method: Method, address: &str, headers: &[(&str, &str)], body: &str) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
}

async fn html(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().into()).unwrap()
}

fn header_of<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn every_page_and_every_error_renders_in_both_languages_without_a_missing_message() {
    for root in [Root::Sandbox, Root::Production] {
        let app = app(root);
        for (lang, tag) in [("zh-CN,zh;q=0.9", "zh-Hans"), ("en-GB,en", "en")] {
            for listed in table::addresses(root == Root::Sandbox) {
                let page = html(get(&app, &listed.address, &[("accept-language", lang)]).await).await;
                assert!(page.contains(&format!("<html lang=\"{tag}\">")), "{} {tag}", listed.address);
                assert!(
                    !page.contains(text::BROKEN),
                    "{} {tag}: {}",
                    listed.address,
                    page.split(text::BROKEN).nth(1).unwrap()
                );
                assert_eq!(page.contains(">SANDBOX<"), root == Root::Sandbox, "{}", listed.address);
                // The sign-in page has a view each for starting, for consent and for nobody enrolled; one is shown.
                assert_eq!(
                    page.matches("<h1").count(),
                    if listed.address.starts_with("/sign-in") && !listed.address.contains("receipt") { 3 } else { 1 },
                    "{}",
                    listed.address
                );
                for forbidden in ["style=\"", "<script>", "onclick", "onload", "javascript:"] {
                    assert!(!page.contains(forbidden), "{}: {forbidden}", listed.address);
                }
            }
        }
    }
}

#[tokio::test]
async fn an_error_is_said_in_the_title_in_the_summary_and_at_its_field_in_the_same_words() {
    let app = app(Root::Sandbox);
    for row in table::ROUTES {
        for error in row.errors {
            let address = format!("{}?error={}", row.path, error.name);
            let page = html(get(&app, &address, &[("accept-language", "en")]).await).await;
            assert!(page.contains("<title>Error: "), "{address}");
            assert!(page.contains("id=\"errors\" tabindex=\"-1\" autofocus"), "{address}");
            let shown = format!("<li data-error=\"{}\"><a href=\"#{}\">", error.name, error.field);
            let sentence = page.split_once(&shown).expect(&address).1.split_once("</a>").unwrap().0.to_owned();
            let beside = format!("data-error=\"{}\"><span class=\"vh\">Error: </span>{sentence}</p>", error.name);
            assert!(page.contains(&beside), "{address}");
            assert!(page.contains(&format!("id=\"{}\"", error.field)), "{address}: nothing to go to");
            assert!(page.contains(&format!("id=\"{}-error\"", error.field)), "{address}");
        }
    }
}

#[tokio::test]
async fn fields_that_only_the_device_reads_cannot_be_sent_by_a_form() {
    let app = app(Root::Production);
    for path in ["/enrol/details", "/enrol/phone", "/enrol/code", "/enrol/password", "/devices/add", "/devices/new"] {
        let page = html(get(&app, path, &[]).await).await;
        for input in page.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap()) {
            let harmless = input.contains("type=\"hidden\" name=\"back\"") || input.contains("name=\"document-type\"");
            assert!(harmless || !input.contains(" name="), "{path}: {input}");
        }
        assert!(page.contains("disabled>"), "{path}: the button waits for the scripts");
    }
}

#[tokio::test]
async fn pages_carry_their_headers_and_only_the_sign_in_page_may_post_beyond_this_origin() {
    let app = app(Root::Production);
    for row in table::ROUTES {
        let address = row.path.replace("{code}", "locked");
        let response = get(&app, &address, &[]).await;
        let policy = header_of(&response, "content-security-policy").to_owned();
        for part in [
            "default-src 'none'",
            "script-src 'self';",
            "style-src 'self';",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{address}: {part}");
        }
        assert!(!policy.contains("unsafe"), "{address}");
        assert!(
            policy.contains("connect-src 'self' http://id.example http://registrar.example http://node-0.example"),
            "{policy}"
        );
        let sign_in = row.path == "/sign-in";
        assert_eq!(policy.contains("form-action 'self';"), !sign_in, "{address}: {policy}");
        assert_eq!(header_of(&response, "referrer-policy"), if sign_in { "strict-origin" } else { "no-referrer" });
        assert_eq!(header_of(&response, "cache-control"), "no-store");
        assert_eq!(header_of(&response, "x-content-type-options"), "nosniff");
        assert!(!policy.contains("localhost"), "{address}: only sandboxes name this machine");
    }
}

#[tokio::test]
async fn nothing_of_the_sandbox_is_served_under_a_production_root() {
    let app = app(Root::Production);
    for path in ["/__routes.json", "/sandbox/persons", "/sandbox/persons.json"] {
        assert_eq!(get(&app, path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let face = html(get(&app, "/enrol/face", &[]).await).await;
    assert!(!face.contains("name=\"evidence\""));
    let tx = hufu_kernel::b64(&[9; 32]);
    let sign_in = html(get(&app, &format!("/sign-in?tx={tx}"), &[]).await).await;
    assert!(!sign_in.contains("/sandbox/"));
    assert!(!html(get(&app, "/enrol/code", &[]).await).await.contains("phones.example"));
}

#[tokio::test]
async fn what_an_address_says_is_never_repeated_as_markup() {
    let app = app(Root::Sandbox);
    for address in [
        "/sign-in?tx=%22%3E%3Cscript%3E",
        "/refused/%3Cscript%3E",
        "/refused/locked?id=%3Cscript%3Ealert",
        "/enrol?error=%3Cscript%3E",
        "/no/such/%22%3E%3Cscript%3E",
    ] {
        let page = html(get(&app, address, &[]).await).await;
        assert!(!page.contains("<script>") && !page.contains("\"><script"), "{address}");
    }
    let persons = html(get(&app, "/sandbox/persons", &[]).await).await;
    assert!(persons.contains("O&#39;Brien-李 &#60;b&#62;"), "names are text");
}

#[tokio::test]
async fn preferences_come_back_to_this_origin_and_to_no_other() {
    let app = app(Root::Sandbox);
    let back = async |to: &str| {
        let body =
            form_urlencoded::Serializer::new(String::new()).append_pair("lang", "en").append_pair("back", to).finish();
        let response = send(&app, Method::POST, "/language", &[("sec-fetch-site", "same-origin")], &body).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        (header_of(&response, "location").to_owned(), header_of(&response, "set-cookie").to_owned())
    };
    assert_eq!(back("/sign-in?tx=abc").await.0, "/sign-in?tx=abc");
    for foreign in
        ["//evil.example", "/\\evil.example", "https://evil.example", "", "/\t/evil.example", "/a\r\nset-cookie: x=1"]
    {
        assert_eq!(back(foreign).await.0, "/", "{foreign:?}");
    }
    let cookie = back("/").await.1;
    assert!(
        cookie.starts_with("hufu-wallet-lang=en; Path=/;") && cookie.contains("HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    let chosen = html(
        get(&app, "/", &[("cookie", "hufu-wallet-lang=en; hufu-wallet-size=large"), ("accept-language", "zh")]).await,
    )
    .await;
    assert!(chosen.contains("<html lang=\"en\" data-size=\"large\">"));
}

#[tokio::test]
async fn over_https_cookies_have_the_host_prefix() {
    let app = sandbox_router(config(Root::Production, "https"), Vec::new());
    let response = send(&app, Method::POST, "/size", &[], "size=large&back=/help").await;
    let cookie = header_of(&response, "set-cookie");
    assert!(cookie.starts_with("__Host-hufu-size=large; Path=/;") && cookie.ends_with("; Secure"), "{cookie}");
}

#[tokio::test]
async fn forms_of_other_sites_set_nothing() {
    let app = app(Root::Sandbox);
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example"), ("host", "wallet.example")],
    ] {
        for (path, body) in [
            ("/language", "lang=en"),
            ("/size", "size=large"),
            ("/enrol/notice", "notice=2026-11"),
            ("/verify", "pass=x"),
        ] {
            let response = send(&app, Method::POST, path, headers, body).await;
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path} {headers:?}");
            assert!(!response.headers().contains_key(header::SET_COOKIE));
        }
    }
}

#[tokio::test]
async fn without_the_tick_the_notice_comes_back() {
    let app = app(Root::Sandbox);
    let posted = async |body: &str| {
        header_of(&send(&app, Method::POST, "/enrol/notice", &[], body).await, "location").to_owned()
    };
    assert_eq!(posted("notice=2026-11").await, "/enrol/details");
    for body in ["", "notice=", "notice=2020-01", "other=2026-11"] {
        assert_eq!(posted(body).await, "/enrol?error=notice", "{body}");
    }
}

#[test]
fn every_refusal_a_person_can_meet_has_a_page_or_a_field() {
    let fields: BTreeSet<&str> =
        table::ROUTES.iter().flat_map(|row| row.errors.iter().map(|error| error.name)).collect();
    for refusal in Refusal::ALL {
        let between_offices = matches!(refusal, Refusal::OfficeRefused | Refusal::WrongRoot);
        let told = refused::told_of(refusal.code()).is_some() || fields.contains(refusal.code());
        assert!(told || between_offices, "{} has neither", refusal.code());
    }
}

#[test]
fn addresses_are_unique_and_name_every_row() {
    let all = table::addresses(true);
    let addresses: BTreeSet<&str> = all.iter().map(|listed| listed.address.as_str()).collect();
    assert_eq!(addresses.len(), all.len());
    for row in table::ROUTES {
        assert!(
            addresses.iter().any(|address| address.starts_with(row.path.split('{').next().unwrap())),
            "{}",
            row.path
        );
    }
}

fn pass(exp: Timestamp, typ: &str, signer: &SoftKey) -> String {
    jose::sign(
        signer,
        Header::new(Alg::EdDSA).typ(typ),
        &json!({ "pass": 1, "exp": exp, "jti": "AAAAAAAAAAAAAAAAAAAAAA" }),
    )
    .unwrap()
}

#[test]
fn a_pass_is_sound_for_its_half_minute_and_under_the_pinned_key_alone() {
    use verify::{Outcome, check};
    let (trust, signer) = (trust(Root::Sandbox, "http"), key());
    let good = pass(NOW + 30, "hufu-pass+jwt", &signer);
    assert_eq!(check(&trust, &format!(" {good}\n"), NOW), Outcome::Sound);
    assert_eq!(check(&trust, &good, NOW + 35), Outcome::Sound);
    assert_eq!(check(&trust, &good, NOW + 36), Outcome::Expired);
    assert_eq!(
        check(&trust, &pass(NOW + 3600, "hufu-pass+jwt", &signer), NOW),
        Outcome::Expired,
        "one that outlives its half minute"
    );
    assert_eq!(check(&trust, &pass(NOW + 30, "JWT", &signer), NOW), Outcome::Forged, "another kind of token");
    let stranger = SoftKey::generate(Alg::EdDSA, &hufu_kernel::SeededRng::new(6)).unwrap();
    assert_eq!(check(&trust, &pass(NOW + 30, "hufu-pass+jwt", &stranger), NOW), Outcome::Forged);
    assert_eq!(check(&trust, "", NOW), Outcome::Missing);
    for at in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert_ne!(check(&trust, std::str::from_utf8(&changed).unwrap(), NOW), Outcome::Sound, "character {at}");
    }
}

#[tokio::test]
async fn the_verifier_works_without_scripts() {
    let app = app(Root::Sandbox);
    let good = pass(NOW + 30, "hufu-pass+jwt", &key());
    let page =
        html(send(&app, Method::POST, "/verify", &[("accept-language", "en")], &format!("pass={good}")).await).await;
    assert!(page.contains("class=\"panel good\"") && page.contains("Valid:"));
    let empty = send(&app, Method::POST, "/verify", &[("accept-language", "en")], "pass=").await;
    assert_eq!(empty.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(html(empty).await.contains("<title>Error: "));
}

#[tokio::test]
async fn files_are_kept_and_asked_for_again_by_their_hash() {
    let app = app(Root::Sandbox);
    let first = get(&app, "/assets/style.css", &[]).await;
    assert_eq!(first.status(), StatusCode::OK);
    let tag = header_of(&first, "etag").to_owned();
    let again = get(&app, "/assets/style.css", &[("if-none-match", &tag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(get(&app, "/assets/../Cargo.toml", &[]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(get(&app, "/assets/other.js", &[]).await.status(), StatusCode::NOT_FOUND);
    for (name, bytes) in assets::sizes() {
        assert!(bytes.len() < 200_000, "{name}");
    }
}

#[test]
fn the_browser_is_told_where_the_offices_are_and_nothing_else() {
    let services = serde_json::to_value(Services::of(&config(Root::Sandbox, "http"))).unwrap();
    let names: BTreeSet<_> = services.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["front", "registrar", "nodes"]));
}

/// Message to its arguments, for one file of one language.
fn messages(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let resource = fluent_syntax::parser::parse(text).expect("a sound file");
    let mut out = BTreeMap::new();
    for entry in resource.body {
        let Entry::Message(message) = entry else { panic!("only messages, please") };
        let pattern = message.value.expect("a text");
        let arguments = pattern.elements.iter().filter_map(|element| match element {
            PatternElement::Placeable {
                expression: Expression::Inline(InlineExpression::VariableReference { id }),
            } => Some(id.name.to_owned()),
            _ => None,
        });
        let twice = out.insert(message.id.name.to_owned(), arguments.collect());
        assert!(twice.is_none(), "{} is there twice", message.id.name);
    }
    out
}

#[test]
fn both_languages_have_the_same_messages_with_the_same_arguments_and_no_others() {
    let mut all = BTreeSet::new();
    for (file, [zh, en]) in text::FILES {
        let (zh, en) = (messages(zh), messages(en));
        assert_eq!(zh, en, "{file}");
        for key in zh.into_keys() {
            assert!(all.insert(key.clone()), "{key} is in two files");
        }
    }
    let used = quoted();
    let unused: Vec<_> = all.iter().filter(|key| !used.contains(key.as_str())).collect();
    assert!(unused.is_empty(), "never used: {unused:?}");
}

/// Everything that stands in quotation marks in the pages' sources.
fn quoted() -> BTreeSet<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["templates", "src/pages"].into_iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    texts.flat_map(|text| text.split('"').map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn chinese_is_punctuated_as_chinese() {
    for (file, [zh, _]) in text::FILES {
        for line in zh.lines() {
            let text = line.split_once(" = ").unwrap().1;
            let wrong = text
                .chars()
                .zip(text.chars().skip(1))
                .any(|(a, b)| ('\u{4e00}'..='\u{9fff}').contains(&a) && ",.;:!?".contains(b));
            assert!(!wrong, "{file}: {line}");
        }
    }
}

proptest! {
    #[test]
    fn a_local_address_stays_on_this_origin(text in "[/\\\\a-z.:@?#%\t\r\n ]{0,12}") {
        if is_local(&text) {
            prop_assert!(text.starts_with('/'));
            prop_assert!(!text.starts_with("//") && !text.starts_with("/\\"));
            prop_assert!(HeaderValue::from_str(&text).is_ok());
        }
    }

    #[test]
    fn any_query_renders_a_page(query in "[ -~]{0,60}") {
        let app = app(Root::Sandbox);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let query = form_urlencoded::byte_serialize(query.as_bytes()).collect::<String>().replace("%3D", "=").replace("%26", "&");
        let response = runtime.block_on(get(&app, &format!("/sign-in?{query}"), &[]));
        prop_assert_eq!(response.status(), StatusCode::OK);
    }
}

#[test]
fn strangers_bytes_are_a_pass_or_are_refused() {
    let trust = trust(Root::Sandbox, "http");
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        assert_ne!(verify::check(&trust, &text, NOW), verify::Outcome::Sound);
    });
}
