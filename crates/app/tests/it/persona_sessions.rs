//! The persona agent remembers for a moment who signed in, in a sandbox that was started so: what the OpenID Foundation's suite asks of
//! `prompt=none`, `max_age` and `id_token_hint`, by plain HTTP.

use crate::demo::{options, start};
use crate::linking::platform;
use hufu_app::demo::Options;
use hufu_kernel::Pair;
use hufu_platform::client::{RelyingParty, SignedIn};
use hufu_sandbox::http::send_as;
use hufu_sandbox::robot::{Visit, World, wish};
use reqwest::Response;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use std::time::Duration;

/// A browser without scripts: cookies of the agent's origin; those of the front are of one sign-in.
struct Browser<'a> {
    world: &'a World,
    http: reqwest::Client,
    agent: String,
}

/// What became of a request.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Met {
    /// Nobody was asked.
    Unasked(Result<SignedIn, String>),
    /// A page asked.
    Asked,
}

fn location(answer: &Response) -> String {
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

fn cookies(answer: &Response) -> String {
    let all = answer.headers().get_all(SET_COOKIE).iter();
    all.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

fn field<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name}: {page}"));
    rest.split('"').next().unwrap()
}

impl Browser<'_> {
    async fn get(&self, url: &str, cookie: &str) -> Response {
        self.http.get(url).header(COOKIE, cookie).send().await.unwrap()
    }

    /// Goes to a platform's request with `more` parameters; signs in as `persona` where it is asked and somebody is named.
    async fn visit(&mut self, party: &RelyingParty, more: &str, persona: Option<&str>) -> Met {
        let world = self.world;
        let visit = Visit { platform: party, wish: wish(&[], None), pair: Pair::ALL[0], password: None };
        let mut pending = party.begin(&visit.wish, world.rng.as_ref());
        pending.query = format!("{}&{more}", pending.query);
        let push = party.push(&pending, world.clock.now(), world.rng.as_ref()).unwrap();
        let (status, body) = send_as(party, &self.http, push, world.clock.now(), world.rng.as_ref()).await.unwrap();
        let sent = self.get(&party.pushed(status, &body).unwrap(), "").await;
        let (to_agent, front) = (location(&sent), cookies(&sent));
        assert!(to_agent.starts_with(&format!("{}/sandbox/sign-in?tx=", world.addresses.wallet)), "{to_agent}");
        let answer = self.get(&to_agent, &self.agent).await;
        if answer.status() == 303 {
            let back = self.get(&location(&answer), &front).await;
            return Met::Unasked(visit.redeem(world, &pending, &location(&back)).await);
        }
        assert_eq!(answer.status(), 200);
        let Some(persona) = persona else { return Met::Asked };
        let tx = to_agent.split(['?', '&']).find_map(|pair| pair.strip_prefix("tx=")).unwrap();
        let form = [("tx", tx), ("persona", persona), ("password", ""), ("decision", "agree")];
        let post = self.http.post(format!("{}/sandbox/sign-in", world.addresses.wallet)).form(&form);
        let signed = post.header("origin", &world.addresses.wallet).send().await.unwrap();
        self.agent = cookies(&signed);
        let page = signed.text().await.unwrap();
        let fields = ["tx", "id_token", "s", "handle"].map(|name| (name, field(&page, name)));
        let complete = self.http.post(format!("{}/complete", world.addresses.issuer)).form(&fields);
        let done = complete.header("origin", &world.addresses.wallet).header(COOKIE, &front).send().await.unwrap();
        Met::Unasked(visit.redeem(world, &pending, &location(&done)).await)
    }

    async fn signs_in(&mut self, party: &RelyingParty, more: &str, persona: &str) -> SignedIn {
        match self.visit(party, more, Some(persona)).await {
            Met::Unasked(known) => known.unwrap(),
            Met::Asked => panic!("asked again"),
        }
    }
}

fn unasked(met: Met) -> SignedIn {
    match met {
        Met::Unasked(known) => known.unwrap(),
        Met::Asked => panic!("a page asked"),
    }
}

fn login_required(met: Met) {
    let Met::Unasked(Err(told)) = met else { panic!("{met:?}") };
    assert!(told.contains("login_required"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persona_who_was_just_there_is_not_asked_again_unless_somebody_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(Options { persona_sessions: true, ..options(folder.path()) }).await;
    let world = running.world();
    let data = folder.path().join("demo");
    let (crane, hall) = (platform(&data, "paper-crane", &world), platform(&data, "yunzhou-hall", &world));
    let mut browser = Browser { world: &world, http: world.addresses.client().unwrap(), agent: String::new() };

    // The suite's oidcc-prompt-none-not-logged-in.
    login_required(browser.visit(&crane, "prompt=none", None).await);
    // Enrols the personas: the sign-ins that count are quick.
    let other = browser.signs_in(&crane, "", "wang-guiying").await;
    browser.signs_in(&crane, "", "lin-xiaoyu").await;

    let first = browser.signs_in(&crane, "max_age=15000", "lin-xiaoyu").await;
    let same = |known: &SignedIn| {
        assert_eq!((&known.token.sub, known.token.auth_time), (&first.token.sub, first.token.auth_time));
        assert_ne!(known.id_token, first.id_token);
    };
    tokio::time::sleep(Duration::from_millis(2100)).await;
    // oidcc-prompt-none-logged-in, oidcc-max-age-10000, oidcc-id-token-hint
    let hint = format!("prompt=none&id_token_hint={}", first.id_token);
    for more in ["prompt=none", "max_age=10000", &hint] {
        same(&unasked(browser.visit(&crane, more, None).await));
    }
    // Somebody else is meant; another platform asks; the person is to be asked; the proof is too old.
    login_required(browser.visit(&crane, &format!("prompt=none&id_token_hint={}", other.id_token), None).await);
    login_required(browser.visit(&hall, "prompt=none", None).await);
    login_required(browser.visit(&crane, "prompt=none&max_age=1", None).await);
    // oidcc-prompt-login, oidcc-max-age-1
    for more in ["", "prompt=login", "max_age=1", "prompt=consent&max_age=10000"] {
        assert!(matches!(browser.visit(&crane, more, None).await, Met::Asked), "{more}");
    }
    // Asking for more than was agreed to.
    let password = "prompt=none&acr_values=urn:hufu:acr:certificate%2Bpassword";
    login_required(browser.visit(&crane, password, None).await);
    let again = browser.signs_in(&crane, "prompt=login", "lin-xiaoyu").await;
    assert!(again.token.auth_time > first.token.auth_time);

    // A sign-out ends it, also for a copy of the cookie.
    let kept = browser.agent.clone();
    let out = browser.get(&format!("{}/logout?id_token_hint={}", world.addresses.issuer, again.id_token), "").await;
    let back = browser.get(&location(&out), &kept).await;
    assert!(cookies(&back).ends_with('='), "the cookie is taken away");
    let done = browser.get(&location(&back), "").await;
    assert_eq!(done.status(), 200);
    login_required(browser.visit(&crane, "prompt=none", None).await);
    running.stop().await;
}
