//! A sample platform with pages: it signs people in, knows them by `sub`, and drops older sessions when a person ends them.

use crate::bounded::Bounded;
use crate::html::{STYLE_PATH, escape, language, page, say, style};
use crate::robot::{Failure, World};
use crate::sample_client::{Away, Known, SampleClient};
use crate::told::{Told, Way};
use axum::Router;
use axum::extract::{Form, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hufu_kernel::{Clock, Lang, Rng, Strength, Timestamp, b64, random};
use hufu_platform::IdToken;
use hufu_platform::client::Wish;
use hufu_platform::sessions::{Older, Seen, observe};
use hufu_wire::api::platform::PlatformCertificate;
use hufu_wire::subject_handle::HandleUse;
use serde::Deserialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Browsers and accounts remembered at once; those not seen for longest go first.
const MOST: usize = 10_000;

/// Sessions of this platform end by themselves after a day.
const SESSION: i64 = 86_400;

/// A platform that is served.
#[derive(Clone)]
pub struct SamplePlatform(Arc<Inner>);

struct Inner {
    certificate: PlatformCertificate,
    client: SampleClient,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    state: Mutex<Memory>,
    told: Told,
}

/// What a platform keeps: accounts by `sub`, and browsers.
struct Memory {
    accounts: Bounded<String, Account>,
    browsers: Bounded<String, Browser>,
}

impl Memory {
    /// The same by the service's word, which the browser's next page says.
    fn ended(&mut self, sub: &str, since: Timestamp) {
        self.browsers.each_mut(|browser| {
            if matches!(browser, Browser::Here { sub: here, .. } if here == sub) {
                *browser = Browser::Ended { since };
            }
        });
    }

    /// Ends the browsers' sessions under this `sub`.
    fn end(&mut self, sub: &str) {
        self.browsers.retain(|browser| !matches!(browser, Browser::Here { sub: here, .. } if here == sub));
    }
}

struct Account {
    seen: Seen,
    visits: u32,
    answers: String,
    strength: Strength,
    /// The service told that a device or the password changed since the last sign-in.
    changed: bool,
}

enum Browser {
    Away(Box<Away>, Timestamp),
    Here {
        sub: String,
        since: Timestamp,
    },
    /// The service told that the person signed out everywhere, or left.
    Ended {
        since: Timestamp,
    },
}

impl Browser {
    fn since(&self) -> Timestamp {
        match self {
            Self::Away(_, since) | Self::Here { since, .. } | Self::Ended { since } => *since,
        }
    }
}

#[derive(Deserialize)]
struct Start {
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    password: String,
}

impl SamplePlatform {
    /// A platform with its certificate and client, in this world.
    ///
    /// # Errors
    /// A sentence, if it has no way to the front.
    pub fn new(certificate: PlatformCertificate, client: SampleClient, world: &World) -> Result<Self, Failure> {
        let memory = Memory { accounts: Bounded::new(MOST), browsers: Bounded::new(MOST) };
        let (http, clock, rng) = (world.addresses.client()?, Arc::clone(&world.clock), Arc::clone(&world.rng));
        let (state, told) = (Mutex::new(memory), Told::default());
        Ok(Self(Arc::new(Inner { certificate, client, http, clock, rng, state, told })))
    }

    /// Its pages.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(home))
            .route("/sign-in", post(sign_in))
            .route("/callback", get(callback))
            .route("/sign-out", post(sign_out))
            .route(STYLE_PATH, get(style))
            .merge(crate::call_centre::routes())
            .with_state(self.clone())
    }

    /// What its other pages need of it.
    pub(crate) fn parts(&self) -> (&PlatformCertificate, &SampleClient, &reqwest::Client, &dyn Clock, &dyn Rng) {
        let Inner { certificate, client, http, clock, rng, .. } = &*self.0;
        (certificate, client, http, clock.as_ref(), rng.as_ref())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its pages are served over TLS, as the front's are.
    fn https(&self) -> bool {
        self.0.client.issuer().starts_with("https://")
    }

    /// Ports of one host share cookies, so the name carries the platform's.
    fn cookie_name(&self) -> String {
        format!("{}{}-session", if self.https() { "__Host-" } else { "" }, self.0.certificate.client_id)
    }

    fn browser(&self, headers: &HeaderMap) -> Option<String> {
        let name = format!("{}=", self.cookie_name());
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        cookies.flat_map(|cookies| cookies.split("; ")).find_map(|cookie| cookie.strip_prefix(&name)).map(str::to_owned)
    }

    fn remember(&self, browser: Browser) -> String {
        let name = b64(&random::<32>(self.0.rng.as_ref()));
        self.memory().browsers.insert(name.clone(), browser.since(), browser);
        name
    }

    fn with_cookie(&self, name: &str, to: &str) -> Response {
        let secure = if self.https() { "; Secure" } else { "" };
        let cookie = format!("{}={name}; HttpOnly; SameSite=Lax; Path=/{secure}", self.cookie_name());
        let mut response = Redirect::to(to).into_response();
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }

    /// Takes a verified sign-in into the account; older sessions go if the person ended them.
    fn welcome(&self, token: &IdToken) -> String {
        let mut memory = self.memory();
        let account = memory.accounts.get(&token.sub);
        let (seen, older) = observe(account.map(|account| &account.seen), token);
        let visits = account.map_or(0, |account| account.visits) + 1;
        if older == Older::End {
            memory.end(&token.sub);
        }
        let answers = serde_json::to_string(&token.hufu.answers).unwrap_or_default();
        let account = Account { seen, visits, answers, strength: token.hufu.strength, changed: false };
        if let Some(forgotten) = memory.accounts.insert(token.sub.clone(), self.0.clock.now(), account) {
            // Without the account nothing could tell that its person has ended older sessions.
            memory.end(&forgotten);
        }
        token.sub.clone()
    }

    /// How the service is asked about signals, if this platform registered for them.
    fn way(&self) -> Option<Way<'_>> {
        let inner = &self.0;
        let SampleClient::Fapi(party) = &inner.client else { return None };
        let told = inner.certificate.registration.may(HandleUse::Signals);
        told.then(|| Way { party, http: &inner.http, now: inner.clock.now(), rng: inner.rng.as_ref() })
    }

    /// Asks what happened to people who signed in here, and ends their sessions where that is what happened.
    async fn catch_up(&self) {
        let Some(way) = self.way() else { return };
        match self.0.told.news(way).await {
            Ok(news) => news.iter().for_each(|(sub, event)| self.take(sub, &event.uri)),
            Err(cause) => tracing::debug!(%cause, "no news of signals"),
        }
    }

    fn take(&self, sub: &str, uri: &str) {
        let since = self.0.clock.now();
        let mut memory = self.memory();
        match uri.rsplit('/').next() {
            Some("session-revoked") => memory.ended(sub, since),
            Some("credential-change") => {
                if let Some(account) = memory.accounts.get_mut(sub) {
                    account.changed = true;
                }
            }
            _ => {}
        }
    }

    async fn begin(&self, start: &Start) -> Result<(Away, String), Failure> {
        let inner = &self.0;
        let known = inner.certificate.purpose(Some(&start.purpose)).or(inner.certificate.purposes.first());
        let purpose = known.ok_or("this platform has no purpose")?;
        let wish = Wish {
            answers: purpose.answers.clone(),
            purpose: Some(purpose.id.clone()),
            strength: (start.password == "yes").then_some(Strength::CertificatePassword),
            ..Wish::default()
        };
        inner.client.begin(&inner.http, &wish, inner.clock.as_ref(), inner.rng.as_ref()).await
    }

    pub(crate) fn page(&self, lang: Lang, status: StatusCode, body: &str) -> Response {
        // The form's answer leads to the front and on to the wallet, whose name is below the front's.
        let (scheme, rest) = self.0.client.issuer().split_once("://").unwrap_or_default();
        let host = rest.split(':').next().unwrap_or_default();
        let forms = format!("{scheme}://{host}:* {scheme}://*.{host}:*");
        page(lang, status, self.0.certificate.name.get(lang), body, &forms)
    }

    pub(crate) fn trouble(&self, lang: Lang, cause: &str) -> Response {
        let heading = say(lang, "没有登录", "Not signed in");
        let back = say(lang, "返回首页", "Back to the start");
        let body = format!("<h1>{heading}</h1><p role=\"alert\">{}</p><p><a href=\"/\">{back}</a></p>", escape(cause));
        self.page(lang, StatusCode::BAD_REQUEST, &body)
    }
}

async fn home(State(platform): State<SamplePlatform>, headers: HeaderMap) -> Response {
    let lang = language(&headers);
    let name = escape(platform.0.certificate.name.get(lang));
    let now = platform.0.clock.now();
    let browser = platform.browser(&headers);
    if browser.is_some() {
        platform.catch_up().await;
    }
    let (known, ended) = {
        let memory = platform.memory();
        match browser.and_then(|browser| memory.browsers.get(&browser)) {
            Some(Browser::Here { sub, since }) if now < *since + SESSION => {
                (memory.accounts.get(sub).map(|account| signed_in(lang, sub, account)), false)
            }
            Some(Browser::Ended { .. }) => (None, true),
            _ => (None, false),
        }
    };
    let notice = if ended { say(lang, ENDED.0, ENDED.1) } else { "" };
    let body = match known {
        Some(account) => format!("<h1>{name}</h1>{account}"),
        None => format!("<h1>{name}</h1>{notice}{}", offers(&platform, lang)),
    };
    platform.page(lang, StatusCode::OK, &body)
}

/// What a browser reads whose session ended by the service's word.
const ENDED: (&str, &str) = (
    "<p id=\"ended\" role=\"status\">您在所有平台退出了登录（或已注销网证）。本平台收到了认证服务的信号，已结束您在这里的登录。</p>",
    "<p id=\"ended\" role=\"status\">You signed out everywhere, or left. The service told this platform, which has ended your session here.</p>",
);

fn signed_in(lang: Lang, sub: &str, account: &Account) -> String {
    let changed = match account.changed {
        true => say(
            lang,
            "<p id=\"changed\" role=\"status\">认证服务告知：自您上次登录以来，您的设备或口令有变化。</p>",
            "<p id=\"changed\" role=\"status\">The service told: a device or your password changed since you last signed in.</p>",
        ),
        false => "",
    };
    format!(
        "<p>{welcome}</p>{changed}<dl><dt>{id}</dt><dd><code id=\"sub\">{sub}</code></dd><dt>{answers}</dt><dd><code id=\"answers\">{values}</code></dd>\
         <dt>{strength}</dt><dd><code>{how}</code></dd><dt>{visits}</dt><dd id=\"visits\">{count}</dd></dl>\
         <form method=\"post\" action=\"/sign-out\"><p><button>{out}</button></p></form>",
        welcome = say(
            lang,
            "您已登录。本平台不知道您的姓名和证件号码。",
            "You are signed in. This platform knows neither your name nor a document number."
        ),
        id = say(lang, "本平台的标识（sub）", "This platform's identifier (sub)"),
        sub = escape(sub),
        answers = say(lang, "得到的答案", "Answers received"),
        values = escape(&account.answers),
        strength = say(lang, "认证强度", "Strength"),
        how = account.strength.as_str(),
        visits = say(lang, "登录次数", "Visits"),
        count = account.visits,
        out = say(lang, "退出", "Sign out"),
    )
}

fn offers(platform: &SamplePlatform, lang: Lang) -> String {
    let form = |purpose: &hufu_wire::api::platform::Purpose, password: &str, label: &str| {
        format!(
            "<form method=\"post\" action=\"/sign-in\"><input type=\"hidden\" name=\"purpose\" value=\"{}\"><input type=\"hidden\" name=\"password\" value=\"{password}\"><p><button>{}</button></p></form>",
            escape(&purpose.id),
            escape(label),
        )
    };
    let purposes: String = platform
        .0
        .certificate
        .purposes
        .iter()
        .map(|purpose| {
            let text = escape(purpose.text.get(lang));
            let plain = form(purpose, "no", say(lang, "用网证登录", "Sign in with the network certificate"));
            let strong = form(purpose, "yes", say(lang, "用网证和口令登录", "Sign in with certificate and password"));
            format!("<h2>{text}</h2>{plain}{strong}")
        })
        .collect();
    let call = match crate::call_centre::party(platform) {
        Some(_) => format!(
            "<p><a id=\"call\" href=\"/call\">{}</a></p>",
            say(lang, "客服电话（示例）", "Call centre (sample)")
        ),
        None => String::new(),
    };
    format!("<p>{}</p>{purposes}{call}", platform.0.client.how(lang))
}

async fn sign_in(State(platform): State<SamplePlatform>, headers: HeaderMap, Form(start): Form<Start>) -> Response {
    match platform.begin(&start).await {
        Ok((away, url)) => {
            let browser = platform.remember(Browser::Away(Box::new(away), platform.0.clock.now()));
            platform.with_cookie(&browser, &url)
        }
        Err(cause) => platform.trouble(language(&headers), &cause),
    }
}

async fn callback(State(platform): State<SamplePlatform>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let lang = language(&headers);
    let away = platform.browser(&headers).and_then(|browser| platform.memory().browsers.remove(&browser));
    let Some(Browser::Away(away, _)) = away else {
        return platform.trouble(lang, say(lang, "这个浏览器没有发起登录。", "This browser did not begin a sign-in."));
    };
    let inner = &platform.0;
    let query = query.unwrap_or_default();
    match inner.client.finish(&inner.http, *away, &query, inner.clock.as_ref(), inner.rng.as_ref()).await {
        Ok(Known { token, handle }) => {
            let sub = platform.welcome(&token);
            if let (Some(way), Some(handle)) = (platform.way(), handle)
                && let Err(cause) = inner.told.watch(way, &handle, &sub).await
            {
                tracing::warn!(%cause, "a sample platform will not be told of this person");
            }
            // A new name after signing in: what somebody may have planted before is worth nothing.
            let browser = platform.remember(Browser::Here { sub, since: platform.0.clock.now() });
            platform.with_cookie(&browser, "/")
        }
        Err(cause) => platform.trouble(lang, &cause),
    }
}

async fn sign_out(State(platform): State<SamplePlatform>, headers: HeaderMap) -> Response {
    if let Some(browser) = platform.browser(&headers) {
        platform.memory().browsers.remove(&browser);
    }
    Redirect::to("/").into_response()
}
