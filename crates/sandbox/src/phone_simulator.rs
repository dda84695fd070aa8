//! A provider of short messages, simulated: takes messages as a real one would, keeps them in memory and shows the
//! phones' inboxes on a page. It takes only numbers of the sandbox's range.

use askama::Template;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use axum::{Json, Router};
use hufu_kernel::{Clock, Lang, Timestamp};
use hufu_wire::api::platform::Bilingual;
use hufu_wire::phone::Phone;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Messages kept; the oldest go first.
const CAPACITY: usize = 10_000;
/// Messages answered or shown at once.
const PAGE: usize = 100;
/// The longest request body.
const MAX_BODY: usize = 16 * 1024;

const TEMPLATES: &str = include_str!("../data/sms_templates.toml");
const STYLE: &str = include_str!("../templates/phones.css");

/// The page runs no script, loads its own style sheet and nothing else, and cannot be framed.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The provider's memory. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct PhoneSimulator(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    templates: BTreeMap<String, Bilingual>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    next: u64,
    messages: VecDeque<Message>,
}

/// What a client posts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// The receiver, in the sandbox's range.
    pub to: Phone,
    /// The template's name.
    pub template: String,
    /// The template's parameters.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// The language.
    pub lang: Lang,
}

/// A message as it was delivered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Rises by one with every message.
    pub id: u64,
    /// The receiver.
    pub to: Phone,
    /// The template's name.
    pub template: String,
    /// The template's parameters: a test reads a code here.
    pub params: BTreeMap<String, String>,
    /// The language.
    pub lang: Lang,
    /// The text on the phone.
    pub text: String,
    /// When it was taken.
    pub sent: Timestamp,
}

impl PhoneSimulator {
    /// An empty provider.
    ///
    /// # Errors
    /// The TOML error, if the committed templates do not parse; a test sees to it that they do.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, toml::de::Error> {
        let templates = toml::from_str(TEMPLATES)?;
        Ok(Self(Arc::new(Shared { clock, templates, kept: Mutex::default() })))
    }

    /// Takes a message; `None` if the number is not the sandbox's.
    pub fn send(&self, request: SendRequest) -> Option<Message> {
        if !request.to.is_sandbox() {
            return None;
        }
        let SendRequest { to, template, params, lang } = request;
        let text = self.text(&template, &params, lang);
        let sent = self.0.clock.now();
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let message = Message { id: kept.next, to, template, params, lang, text, sent };
        kept.next += 1;
        if kept.messages.len() == CAPACITY {
            kept.messages.pop_back();
        }
        kept.messages.push_front(message.clone());
        Some(message)
    }

    /// The last 100 messages, to one phone or to all, newest first.
    #[must_use]
    pub fn inbox(&self, to: Option<&Phone>) -> Vec<Message> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.messages.iter().filter(|message| to.is_none_or(|to| message.to == *to)).take(PAGE).cloned().collect()
    }

    /// The template's text with its parameters; for an unknown template its name and parameters.
    fn text(&self, template: &str, params: &BTreeMap<String, String>, lang: Lang) -> String {
        match self.0.templates.get(template) {
            Some(text) => fill(text.get(lang), params),
            None => {
                let params: Vec<String> = params.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                format!("{template}: {}", params.join(", "))
            }
        }
    }
}

/// Replaces each `{name}` once, from left to right: a value that contains braces is not read again.
fn fill(template: &str, params: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        match params.get(name) {
            Some(value) => out.push_str(value),
            None => out.push('…'),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// The server: `POST /messages`, `GET /messages?to=…` and the page `/`.
pub fn router(simulator: PhoneSimulator) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/phones.css", get(style))
        .route("/messages", post(send).get(list))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(simulator)
}

async fn send(
    State(simulator): State<PhoneSimulator>,
    Json(request): Json<SendRequest>,
) -> Result<(StatusCode, Json<Message>), StatusCode> {
    let message = simulator.send(request).ok_or(StatusCode::UNPROCESSABLE_ENTITY)?;
    Ok((StatusCode::CREATED, Json(message)))
}

#[derive(Deserialize)]
struct View {
    #[serde(default)]
    to: String,
    #[serde(default)]
    lang: String,
}

async fn list(
    State(simulator): State<PhoneSimulator>,
    Query(view): Query<View>,
) -> Result<Json<Vec<Message>>, StatusCode> {
    Ok(Json(match view.to.as_str() {
        "" => simulator.inbox(None),
        // A plus sign in a query that nobody escaped arrives as a space; the parser takes both.
        to => simulator.inbox(Some(&Phone::parse(to).map_err(|_| StatusCode::BAD_REQUEST)?)),
    }))
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], STYLE)
}

async fn page(
    State(simulator): State<PhoneSimulator>,
    Query(view): Query<View>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, StatusCode> {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let lang = Lang::negotiate(&view.lang).or_else(|| Lang::negotiate(accepted)).unwrap_or_default();
    let to = (!view.to.is_empty()).then(|| Phone::parse(&view.to));
    let messages = match &to {
        None => simulator.inbox(None),
        Some(Ok(phone)) => simulator.inbox(Some(phone)),
        Some(Err(_)) => Vec::new(),
    };
    let page = Phones {
        lang,
        text: PageText::of(lang),
        to: &view.to,
        invalid: matches!(to, Some(Err(_))),
        phones: by_phone(messages),
    };
    let html = page.render().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok((HEADERS, Html(html)))
}

/// Groups messages by phone, the phone with the newest message first.
fn by_phone(messages: Vec<Message>) -> Vec<PhoneInbox> {
    let mut phones: Vec<PhoneInbox> = Vec::new();
    for message in messages {
        match phones.iter_mut().find(|phone| phone.number == message.to.as_str()) {
            Some(phone) => phone.messages.push(message),
            None => phones.push(PhoneInbox { number: message.to.as_str().to_owned(), messages: vec![message] }),
        }
    }
    phones
}

struct PhoneInbox {
    number: String,
    messages: Vec<Message>,
}

#[derive(Template)]
#[template(path = "phones.html")]
struct Phones<'a> {
    lang: Lang,
    text: PageText,
    to: &'a str,
    invalid: bool,
    phones: Vec<PhoneInbox>,
}

struct PageText {
    title: &'static str,
    band: &'static str,
    band_label: &'static str,
    skip: &'static str,
    language: &'static str,
    phone: &'static str,
    show: &'static str,
    invalid: &'static str,
    empty: &'static str,
}

impl PageText {
    fn of(lang: Lang) -> Self {
        match lang {
            Lang::ZhHans => Self {
                title: "手机收件箱",
                band: "没有真实的手机，也没有真实的人。",
                band_label: "沙箱提示",
                skip: "跳到收件箱",
                language: "语言",
                phone: "手机号码（留空显示全部）",
                show: "显示",
                invalid: "这不是手机号码。",
                empty: "还没有短信。",
            },
            Lang::En => Self {
                title: "Phone inboxes",
                band: "No phone here is real, and nobody is.",
                band_label: "Sandbox notice",
                skip: "Skip to the inbox",
                language: "Language",
                phone: "Mobile number (empty shows all)",
                show: "Show",
                invalid: "That is not a mobile number.",
                empty: "No messages yet.",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::ManualClock;

    fn simulator() -> PhoneSimulator {
        PhoneSimulator::new(Arc::new(ManualClock::new(Timestamp(1_800_000_000)))).unwrap()
    }

    fn request(n: u32, code: &str) -> SendRequest {
        let params = BTreeMap::from([("code".to_owned(), code.to_owned())]);
        SendRequest { to: Phone::sandbox(n), template: "enrolment-code".into(), params, lang: Lang::En }
    }

    #[test]
    fn a_message_reaches_its_phone_only_newest_first() {
        let simulator = simulator();
        for code in ["111111", "222222"] {
            simulator.send(request(1, code)).unwrap();
        }
        simulator.send(request(2, "333333")).unwrap();
        let codes: Vec<_> =
            simulator.inbox(Some(&Phone::sandbox(1))).iter().map(|message| message.params["code"].clone()).collect();
        assert_eq!(codes, ["222222", "111111"]);
        assert_eq!(simulator.inbox(None).len(), 3);
        assert!(simulator.inbox(Some(&Phone::sandbox(1)))[0].text.contains("your code is 222222."));
    }

    #[test]
    fn a_number_outside_the_sandbox_is_not_taken() {
        let to = Phone::parse("13800138000").unwrap();
        assert!(simulator().send(SendRequest { to, ..request(1, "1") }).is_none());
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let simulator = simulator();
        for n in 0..=CAPACITY {
            simulator.send(request(u32::try_from(n).unwrap(), "1")).unwrap();
        }
        assert!(simulator.inbox(Some(&Phone::sandbox(0))).is_empty());
        assert_eq!(simulator.inbox(None).len(), PAGE);
        assert_eq!(simulator.inbox(None)[0].id, u64::try_from(CAPACITY).unwrap());
    }

    #[test]
    fn a_value_with_braces_is_not_read_as_a_template() {
        let params = BTreeMap::from([("a".to_owned(), "{b}".to_owned()), ("b".to_owned(), "secret".to_owned())]);
        assert_eq!(fill("{a} {c} {", &params), "{b} … …");
    }

    #[test]
    fn an_unknown_template_is_shown_with_its_parameters() {
        let message = simulator().send(SendRequest { template: "later".into(), ..request(1, "9") }).unwrap();
        assert_eq!(message.text, "later: code = 9");
    }
}
