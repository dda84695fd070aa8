//! A browser without JavaScript: signs a persona in by plain forms and insists on what browsers insist on.

use super::demo::Running;
use reqwest::Response;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};

/// A cookie jar for one host.
struct Jar {
    https: bool,
    kept: Vec<String>,
}

impl Jar {
    /// Keeps an answer's cookies. Over https each must be bound to its host.
    fn keep(&mut self, answer: &Response) {
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            if self.https {
                assert!(cookie.starts_with("__Host-") && cookie.contains("; Secure"), "{cookie}");
                assert!(cookie.contains("Path=/") && !cookie.contains("Domain"), "{cookie}");
            }
            self.kept.push(cookie.split(';').next().unwrap().to_owned());
        }
    }

    fn sent(&self) -> String {
        assert!(!self.kept.is_empty(), "a cookie was expected");
        self.kept.join("; ")
    }
}

fn next(answer: &Response) -> String {
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

fn field<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name}: {page}"));
    rest.split('"').next().unwrap()
}

/// What a platform's page says of whom it has signed in.
pub struct Home {
    pub sub: String,
    /// JSON.
    pub answers: String,
}

/// Signs `persona` in at a sample platform and returns the pseudonym on its page.
pub async fn sign_in(running: &Running, platform: &str, persona: &str) -> String {
    visit(running, platform, "", persona).await.sub
}

/// Signs `persona` in for a purpose of the platform's, its first where none is named.
pub async fn visit(running: &Running, platform: &str, purpose: &str, persona: &str) -> Home {
    let addresses = running.addresses();
    let http = addresses.client().unwrap();
    let jar = || Jar { https: addresses.issuer.starts_with("https://"), kept: Vec::new() };
    let (mut at_platform, mut at_front, mut signed_in) = (jar(), jar(), jar());

    let shop = running.platform(platform);
    let begun =
        http.post(format!("{shop}/sign-in")).form(&[("purpose", purpose), ("password", "no")]).send().await.unwrap();
    at_platform.keep(&begun);
    let authorized = http.get(next(&begun)).send().await.unwrap();
    at_front.keep(&authorized);
    let to_wallet = next(&authorized);
    assert!(to_wallet.starts_with(&addresses.wallet), "{to_wallet}");
    let tx = to_wallet.split_once("tx=").unwrap().1;
    let form = [("tx", tx), ("persona", persona), ("password", ""), ("decision", "agree")];
    let agent = http.post(format!("{}/sandbox/sign-in", addresses.wallet)).header("origin", &addresses.wallet);
    let page = agent.form(&form).send().await.unwrap().text().await.unwrap();
    let fields = ["tx", "id_token", "s", "handle"].map(|name| (name, field(&page, name)));
    let complete = http.post(format!("{}/complete", addresses.issuer)).header("origin", &addresses.wallet);
    let done = complete.header(COOKIE, at_front.sent()).form(&fields).send().await.unwrap();
    let back = next(&done);
    assert!(back.starts_with(&format!("{shop}/callback?")), "{back}");
    signed_in.keep(&http.get(back).header(COOKIE, at_platform.sent()).send().await.unwrap());
    let home = http.get(shop).header(COOKIE, signed_in.sent()).send().await.unwrap().text().await.unwrap();
    let code = |id: &str| {
        let rest = home.split_once(&format!("<code id=\"{id}\">")).unwrap_or_else(|| panic!("{home}")).1;
        rest.split('<').next().unwrap().replace("&quot;", "\"")
    };
    Home { sub: code("sub"), answers: code("answers") }
}
