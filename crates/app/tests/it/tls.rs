//! The demo under TLS: its own authority, names below a host, cookies that are bound to theirs.

use super::browser;
use super::demo::{options, start};
use hufu_app::demo::{self, Ended, Options};
use hufu_app::doctor;
use hufu_sandbox::http::client;
use hufu_web::serve::Stopper;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_by_plain_forms_with_cookies_of_the_host_alone() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(over_tls(folder.path())).await;
    let addresses = running.addresses();
    assert_eq!(running.trust().rp_id, "wallet.hufu.test");
    assert!(addresses.issuer.starts_with("https://hufu.test:"), "{addresses:?}");
    assert!(addresses.wallet.starts_with("https://wallet.hufu.test:"), "{addresses:?}");
    assert_eq!(browser::sign_in(&running, "yunzhou-library", "lin-xiaoyu").await.len(), 43);
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
