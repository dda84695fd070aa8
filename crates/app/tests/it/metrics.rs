//! What the demo counts.

use super::browser;
use super::demo::{options, start};
use hufu_app::demo::Options;
use hufu_app::demo::metrics::MetricsAt;

/// The value of a sample; 0 where it was never counted.
fn value(text: &str, sample: &str) -> u64 {
    let found = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok());
    found.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_moves_the_counters_of_the_offices_that_took_part_and_of_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(Options { metrics: MetricsAt::Port(0), ..options(folder.path()) }).await;
    // The first visit enrols the persona: every store is written to.
    browser::sign_in(&running, "clay-jar-bank", "lin-xiaoyu").await;
    let before = running.metrics().await;
    for office in ["node-1", "node-2", "node-3", "registrar", "uniqueness", "post"] {
        let committed =
            value(&before, &format!("hufu_store_commits_total{{office=\"{office}\",outcome=\"committed\"}}"));
        let flushes = value(&before, &format!("hufu_store_flushes_total{{office=\"{office}\"}}"));
        assert!(committed > 0 && flushes > 0, "{office}: {before}");
    }
    browser::sign_in(&running, "clay-jar-bank", "lin-xiaoyu").await;
    let after = running.metrics().await;
    let moved = |sample: &str| value(&after, sample) - value(&before, sample);
    for route in ["/par", "/token", "/tx/{tx}"] {
        assert_eq!(
            moved(&format!("hufu_requests_total{{office=\"front\",route=\"{route}\",status=\"2xx\"}}")),
            1,
            "{route}"
        );
    }
    assert_eq!(moved("hufu_requests_total{office=\"front\",route=\"/complete\",status=\"3xx\"}"), 1);
    // The bank registered that its proofs carry nonces, and keeps none: the first proof is answered with one.
    assert_eq!(moved("hufu_requests_total{office=\"front\",route=\"/token\",status=\"4xx\"}"), 1);
    assert_eq!(moved("hufu_request_seconds_count{office=\"front\",route=\"/token\"}"), 2);
    let nodes = ["node-1", "node-2", "node-3"];
    let sum = |sample: &dyn Fn(&str) -> String| nodes.iter().map(|node| moved(&sample(node))).sum::<u64>();
    assert_eq!(sum(&|node| format!("hufu_signatures_total{{office=\"{node}\",kind=\"result-share\"}}")), 2);
    assert_eq!(moved("hufu_signatures_total{office=\"front\",kind=\"transaction\"}"), 1);
    assert_eq!(sum(&|node| format!("hufu_store_commits_total{{office=\"{node}\",outcome=\"committed\"}}")), 0);

    let http = running.addresses().client().unwrap();
    let issuer = running.addresses().issuer;
    http.get(format!("{issuer}/tx/somebodys-secret")).send().await.unwrap();
    http.post(format!("{issuer}/token")).form(&[("grant_type", "nonsense-of-mine")]).send().await.unwrap();
    let text = running.metrics().await;
    assert!(text.contains("hufu_refusals_total{office=\"front\",code=\""), "{text}");
    assert!(value(&text, "hufu_requests_total{office=\"front\",route=\"/tx/{tx}\",status=\"4xx\"}") > 0, "{text}");
    for private in ["somebodys-secret", "nonsense-of-mine", "clay-jar-bank", "lin-xiaoyu"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_office_tells_its_counters_on_its_own_port() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(Options { metrics: MetricsAt::Port(0), ..options(folder.path()) }).await;
    let addresses = running.addresses();
    let http = addresses.client().unwrap();
    let own = [&addresses.issuer, &addresses.wallet, &addresses.registrar, &addresses.phone, &addresses.register];
    for base in own.into_iter().chain(&addresses.nodes) {
        assert_eq!(http.get(format!("{base}/metrics")).send().await.unwrap().status(), 404, "{base}");
    }
    running.stop().await;
}
