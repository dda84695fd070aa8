//! The demo under TLS: its own authority, names below a host, cookies that are bound to theirs.

use super::demo::{options, start};
use hufu_app::demo::{self, Ended, Options};
use hufu_app::doctor;
use hufu_sandbox::http::client;
use hufu_web::serve::Stopper;
use reqwest::Response;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use std::path::Path;

fn over_tls(folder: &Path) -> Options {
    Options { tls: Some("hufu.test".to_owned()), ..options(folder) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_holds_every_promise_under_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (_stopper, stop) = Stopper::new();
    let options = Options { tour: true, json: true, ..over_tls(folder.path()) };
    assert_eq!(demo::run(options, stop).await.unwrap(), Ended::Well);
}

/// A cookie jar for one host, and what it insists on.
#[derive(Default)]
struct Jar(Vec<String>);

impl Jar {
    fn keep(&mut self, answer: &Response) {
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.starts_with("__Host-"), "{cookie}");
            assert!(cookie.contains("; Secure") && cookie.contains("Path=/") && !cookie.contains("Domain"), "{cookie}");
            self.0.push(cookie.split(';').next().unwrap().to_owned());
        }
    }

    fn sent(&self) -> String {
        assert!(!self.0.is_empty(), "a cookie was expected");
        self.0.join("; ")
    }
}

fn next(answer: &Response) -> String {
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

fn field<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name}: {page}"));
    rest.split('"').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_by_plain_forms_with_cookies_of_the_host_alone() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(over_tls(folder.path())).await;
    let addresses = running.addresses();
    assert_eq!(running.trust().rp_id, "wallet.hufu.test");
    assert!(
        addresses.issuer.starts_with("https://hufu.test:") && addresses.wallet.starts_with("https://wallet.hufu.test:")
    );
    let http = addresses.client().unwrap();
    let (mut at_platform, mut at_front) = (Jar::default(), Jar::default());

    let shop = running.platform("yunzhou-library");
    let begun = http.post(format!("{shop}/sign-in")).form(&[("purpose", ""), ("password", "no")]).send().await.unwrap();
    at_platform.keep(&begun);
    let authorized = http.get(next(&begun)).send().await.unwrap();
    at_front.keep(&authorized);
    let to_wallet = next(&authorized);
    assert!(to_wallet.starts_with(&addresses.wallet), "{to_wallet}");
    let tx = to_wallet.split_once("tx=").unwrap().1;
    let agent = format!("{}/sandbox/sign-in", addresses.wallet);
    let form = [("tx", tx), ("persona", "lin-xiaoyu"), ("password", ""), ("decision", "agree")];
    let signed = http.post(&agent).header("origin", &addresses.wallet).form(&form).send().await.unwrap();
    let page = signed.text().await.unwrap();
    let fields = ["tx", "id_token", "s"].map(|name| (name, field(&page, name)));
    let complete =
        http.post(format!("{}/complete", addresses.issuer)).header("origin", &addresses.wallet).form(&fields);
    let done = complete.header(COOKIE, at_front.sent()).send().await.unwrap();
    let back = next(&done);
    assert!(back.starts_with(&format!("{shop}/callback?")), "{back}");
    let home = http.get(back).header(COOKIE, at_platform.sent()).send().await.unwrap();
    let mut signed_in = Jar::default();
    signed_in.keep(&home);
    let home = http.get(shop).header(COOKIE, signed_in.sent()).send().await.unwrap().text().await.unwrap();
    assert!(home.contains("<code id=\"sub\">"), "{home}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_trust_the_authority_is_told_nothing_and_the_authority_stays() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(over_tls(folder.path())).await;
    let addresses = running.addresses();
    let ca = std::fs::read(addresses.ca.as_ref().unwrap()).unwrap();
    let (trusting, stranger) = (addresses.client().unwrap(), client().unwrap());
    let own = [&addresses.issuer, &addresses.wallet, &addresses.registrar, &addresses.phone, &addresses.register];
    for base in own.into_iter().chain(&addresses.nodes) {
        let url = format!("{base}/livez");
        assert!(trusting.get(&url).send().await.unwrap().status().is_success(), "{base}");
        let refused = stranger.get(&url).send().await.unwrap_err();
        assert!(refused.is_connect() && format!("{refused:?}").contains("UnknownIssuer"), "{base}: {refused:?}");
        // Nor does the port speak to whoever leaves TLS away.
        let plain = stranger.get(url.replace("https://", "http://")).send().await;
        assert!(plain.is_err(), "{base}: {plain:?}");
    }
    assert!(doctor::examine(&folder.path().join("demo")).ok);
    running.stop().await;
    let running = start(over_tls(folder.path())).await;
    assert_eq!(std::fs::read(running.addresses().ca.unwrap()).unwrap(), ca);
    running.stop().await;
}
