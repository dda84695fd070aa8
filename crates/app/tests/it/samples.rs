//! The sample platforms as a person meets them: two sign in with an OpenID Connect library that is not ours, one by FAPI 2.0.

use crate::demo::{Running, options, start};
use hufu_app::demo::control;
use hufu_kernel::{Answer, Octets, Pair, SystemClock, unb64};
use hufu_platform::client::Wish;
use hufu_platform::{Jwk, Jwks};
use hufu_sandbox::http::client;
use hufu_sandbox::ordinary_client::OrdinaryClient;
use hufu_sandbox::robot::{Robot, World};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The person goes where the platform sent them, agrees, and comes back.
pub async fn agree(robot: &mut Robot, authorization: &str) -> String {
    let tx = robot.transport().authorize(authorization).await.unwrap();
    let tx: Octets<32> = Octets::try_from(unb64(&tx).unwrap().as_slice()).unwrap();
    let asked = robot.open(&tx).await.unwrap();
    let answers: Vec<Answer> = asked.transaction.answers.clone();
    let signed = robot.sign_in_with(&asked, &answers, None, Pair::ALL[0]).await.unwrap();
    robot.complete(&asked, &signed).await.unwrap().redirect_to
}

pub async fn somebody(running: &Running, world: &World) -> Robot {
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, &running.persons()[45], "27182845").await.unwrap();
    robot
}

fn header(answer: &reqwest::Response, name: &str) -> String {
    answer.headers()[name].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_platform_knows_the_person_by_a_sub_of_its_own_and_says_how_it_signs_in() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(options(folder.path())).await;
    let world = running.world();
    let mut robot = somebody(&running, &world).await;
    let http = client().unwrap();
    let (mut subs, mut libraries) = (BTreeSet::new(), Vec::new());
    for (client_id, base) in running.samples() {
        let page = http.get(&base).send().await.unwrap().text().await.unwrap();
        libraries.push((client_id, page.contains("openidconnect"), page.contains("FAPI 2.0")));
        let begin = http.post(format!("{base}/sign-in")).form(&[("purpose", ""), ("password", "no")]).send().await;
        let begin = begin.unwrap();
        let cookie = header(&begin, "set-cookie");
        let back = agree(&mut robot, &header(&begin, "location")).await;
        let stranger = http.get(&back).send().await.unwrap();
        assert_eq!(stranger.status(), 400, "another browser brings the answer");
        let done = http.get(&back).header("cookie", &cookie).send().await.unwrap();
        assert_eq!(done.status(), 303);
        let home = http.get(&base).header("cookie", header(&done, "set-cookie")).send().await.unwrap();
        let home = home.text().await.unwrap();
        let (_, rest) = home.split_once("id=\"sub\">").unwrap();
        subs.insert(rest.split('<').next().unwrap().to_owned());
    }
    let said = |id: &str, library, fapi| (id.to_owned(), library, fapi);
    libraries.sort();
    let wanted = [("blue-jar", true, false), ("clay-jar-bank", false, true), ("yunzhou-library", true, false)];
    assert_eq!(libraries, wanted.map(|(id, library, fapi)| said(id, library, fapi)));
    assert_eq!(subs.len(), 3);
    assert!(subs.iter().all(|sub| sub.len() == 43));
    running.stop().await;
}

/// The whole way: a handle at the sign-in, a stream, the beat of the front, both nodes' word, an event, a page.
#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_registered_for_it_is_told_that_somebody_signed_out_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(options(folder.path())).await;
    let world = running.world();
    let mut robot = somebody(&running, &world).await;
    let http = client().unwrap();
    let (_, base) = running.samples().into_iter().find(|(id, _)| id == "clay-jar-bank").unwrap();
    let begin = http.post(format!("{base}/sign-in")).form(&[("purpose", ""), ("password", "no")]).send().await.unwrap();
    let back = agree(&mut robot, &header(&begin, "location")).await;
    let done = http.get(&back).header("cookie", header(&begin, "set-cookie")).send().await.unwrap();
    let cookie = header(&done, "set-cookie");
    let home = async || http.get(&base).header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
    assert!(home().await.contains("id=\"sub\""), "the control: signed in");
    robot.end_sessions().await.unwrap();
    let mut page = home().await;
    // The front notices at its next beat, and holds what it noticed for up to two minutes of the sandbox's time.
    for _ in 0..120 {
        if page.contains("id=\"ended\"") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        control::advance(&folder.path().join("demo"), 3).await.unwrap();
        page = home().await;
    }
    assert!(page.contains("id=\"ended\"") && !page.contains("id=\"sub\""), "{page}");
    running.stop().await;
}

fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    page.split_once(before).and_then(|(_, rest)| rest.split_once(after)).unwrap_or_else(|| panic!("{page}")).0
}

/// A caller without a browser at the bank: with a wallet of their own, and as a persona by plain forms.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_tells_a_code_and_the_clerk_sees_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(options(folder.path())).await;
    let world = running.world();
    let mut robot = somebody(&running, &world).await;
    let http = client().unwrap();
    let (_, base) = running.samples().into_iter().find(|(id, _)| id == "clay-jar-bank").unwrap();
    let post = async |url: String, form: &[(&str, &str)]| {
        http.post(url).form(form).send().await.unwrap().text().await.unwrap()
    };
    let call = async |form: &[(&str, &str)]| post(format!("{base}/call"), form).await;
    let begin = http.post(format!("{base}/sign-in")).form(&[("purpose", ""), ("password", "no")]).send().await.unwrap();
    let back = agree(&mut robot, &header(&begin, "location")).await;
    let done = http.get(&back).header("cookie", header(&begin, "set-cookie")).send().await.unwrap();
    let home =
        http.get(&base).header("cookie", header(&done, "set-cookie")).send().await.unwrap().text().await.unwrap();
    let known = between(&home, "id=\"sub\">", "<").to_owned();

    let waiting = robot.wait().await.unwrap();
    assert_eq!(robot.look(&waiting.secret).await.unwrap(), None);
    let page = call(&[("code", &waiting.code), ("about", "Block card 0427")]).await;
    let auth_req_id = between(&page, "name=\"waiting\" value=\"", "\"").to_owned();
    let tx = robot.look(&waiting.secret).await.unwrap().unwrap();
    let asked = robot.open(&tx).await.unwrap();
    assert_eq!(asked.transaction.binding_message.as_deref(), Some("Block card 0427"));
    assert!(!call(&[("waiting", &auth_req_id)]).await.contains("id=\"sub\""), "not before the answer");
    let answers: Vec<Answer> = asked.transaction.answers.clone();
    let signed = robot.sign_in_with(&asked, &answers, None, Pair::ALL[0]).await.unwrap();
    robot.complete_waiting(&asked, &signed, &waiting.secret).await.unwrap();
    let page = call(&[("waiting", &auth_req_id)]).await;
    assert_eq!(between(&page, "id=\"sub\">", "<"), known, "the caller is who signs in there");
    assert!(call(&[("waiting", &auth_req_id)]).await.contains("role=\"alert\""), "once");
    assert!(call(&[("code", &waiting.code)]).await.contains("role=\"alert\""), "the code is used");

    let agent = format!("{}/sandbox/requests", world.addresses.wallet);
    let page = post(agent.clone(), &[("decision", "wait")]).await;
    let (code, secret) = (between(&page, "id=\"code\">", "<"), between(&page, "name=\"secret\" value=\"", "\""));
    let page = call(&[("code", code), ("about", "Tell the balance")]).await;
    let auth_req_id = between(&page, "name=\"waiting\" value=\"", "\"").to_owned();
    let page = post(agent.clone(), &[("decision", "look"), ("secret", secret)]).await;
    assert_eq!(between(&page, "id=\"binding\">", "<"), "Tell the balance");
    let answer = [("decision", "agree"), ("secret", secret), ("persona", "lin-xiaoyu"), ("password", "")];
    assert!(post(agent, &answer).await.contains("id=\"done\""));
    let page = call(&[("waiting", &auth_req_id)]).await;
    assert_ne!(between(&page, "id=\"sub\">", "<"), known);
    running.stop().await;
}

/// The library verifies under the keys that were pinned: the true ones sign in (the control), others never do.
#[tokio::test(flavor = "multi_thread")]
async fn the_ordinary_library_refuses_other_keys_another_state_and_another_issuer() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(options(folder.path())).await;
    let world = running.world();
    let mut robot = somebody(&running, &world).await;
    let (_, base) = running.samples().into_iter().find(|(id, _)| id == "blue-jar").unwrap();
    let secret = std::fs::read_to_string(folder.path().join("demo/platforms/blue-jar.secret")).unwrap();
    let redirect = format!("{base}/callback");
    let with = |key: Jwk| {
        let keys = Jwks { keys: vec![key] };
        OrdinaryClient::new(&world.trust.issuer, ("blue-jar", &secret), &redirect, keys, Arc::new(SystemClock))
    };
    let ours = world.trust.group_jwk().unwrap();
    let mut theirs = world.trust.clone();
    let signing = theirs.nodes[0].signing;
    Arc::make_mut(&mut theirs).group_key = signing;
    let mut forged = theirs.group_jwk().unwrap();
    // Under the name of the true key, so that it is the signature that decides.
    forged.kid.clone_from(&ours.kid);
    let http = client().unwrap();
    let wish = Wish { answers: vec![Answer::Real], ..Wish::default() };

    for (key, known) in [(ours.clone(), true), (forged, false)] {
        let platform = with(key);
        let (away, url) = platform.begin(&http, &wish).await.unwrap();
        let back = agree(&mut robot, &url).await;
        let token = platform.finish(&http, away, back.split_once('?').unwrap().1).await;
        assert_eq!(token.is_ok(), known, "{token:?}");
    }

    let platform = with(ours);
    for (from, to, why) in [("state=", "state=x", "state"), ("iss=http", "iss=https", "issuer")] {
        let (away, url) = platform.begin(&http, &wish).await.unwrap();
        let back = agree(&mut robot, &url).await.replace(from, to);
        let refused = platform.finish(&http, away, back.split_once('?').unwrap().1).await.unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    running.stop().await;
}
