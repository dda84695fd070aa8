//! The front's pages for engineers, made of the tables of operations and refusals. The text around them is in both languages; what they
//! show of the sources is in English, but for the sentences that people read.

use super::at_front::rendered;
use super::text;
use crate::api::{Asks, At, Message, Operation, Parameter, Places, document, messages, operations, responses};
use crate::api::{name_of, named, of_code, of_status};
use askama::Template;
use hufu_kernel::{Blame, Lang, Refusal};
use hufu_offices::front::OAuthError;
use schemars::SchemaGenerator;
use std::borrow::Cow;

/// How somebody reads one of these pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// The page's path.
    pub here: &'static str,
    pub lang: Lang,
    pub large: bool,
    pub sandbox: bool,
}

impl Reading {
    fn query(lang: Lang, large: bool) -> String {
        format!("?lang={}{}", lang.tag(), if large { "&size=large" } else { "" })
    }

    fn lang(&self) -> Lang {
        self.lang
    }

    fn at(&self, path: &str) -> bool {
        self.here == path
    }

    /// Another of these pages, read in the same way.
    fn link(&self, path: &str) -> String {
        format!("{path}{}", Self::query(self.lang, self.large))
    }

    fn other(&self) -> Lang {
        match self.lang {
            Lang::ZhHans => Lang::En,
            Lang::En => Lang::ZhHans,
        }
    }

    /// The other language's name for itself.
    fn other_name(&self) -> &'static str {
        match self.lang {
            Lang::ZhHans => "English",
            Lang::En => "中文",
        }
    }

    /// This page in the other language.
    fn in_other(&self) -> String {
        format!("{}{}", self.here, Self::query(self.other(), self.large))
    }

    /// This page in the other size.
    fn in_other_size(&self) -> String {
        format!("{}{}", self.here, Self::query(self.lang, !self.large))
    }

    fn t(&self, key: &str) -> Cow<'static, str> {
        text::message(self.lang, key, &[])
    }
}

/// The answer of one status, as it is shown.
struct Answer {
    status: u16,
    what: String,
    media: String,
    message: Option<String>,
    codes: Vec<Code>,
}

/// A code with the address of what is said about it.
struct Code {
    code: &'static str,
    href: String,
}

/// A field of a form that tries an operation.
struct Field {
    id: String,
    name: &'static str,
    required: bool,
}

/// One operation, as it is shown.
struct Shown {
    id: String,
    operation: Operation,
    parameters: &'static [Parameter],
    message: Option<String>,
    answers: Vec<Answer>,
    curl: String,
    form: Option<Vec<Field>>,
}

impl Shown {
    /// The form's.
    fn method(&self) -> &'static str {
        if self.operation.method == "GET" { "get" } else { "post" }
    }
}

/// The operations of one place.
struct Section {
    id: &'static str,
    heading: Cow<'static, str>,
    what: &'static str,
    operations: Vec<Shown>,
}

/// `/docs/api`.
#[derive(Template)]
#[template(path = "docs_api.html")]
pub(crate) struct ApiPage<'a> {
    reading: Reading,
    front: &'a str,
    sections: Vec<Section>,
    messages: Vec<Message>,
}

impl<'a> ApiPage<'a> {
    /// The page of a front and its wallet.
    pub(crate) fn new(reading: Reading, front: &'a str, wallet: &'a str) -> Self {
        let places = Places { front, wallet };
        // Schemas stand in the document already; what is looked at here are the answers' statuses and codes.
        let mut generator = SchemaGenerator::default();
        let mut all: Vec<Shown> =
            operations().into_iter().map(|operation| shown(operation, &reading, &places, &mut generator)).collect();
        let sections = At::ALL.map(|at| Section {
            id: at.tag(),
            heading: reading.t(heading(at)),
            what: at.what(),
            operations: all.extract_if(.., |shown| shown.operation.at == at).collect(),
        });
        let messages = messages(&document(&places));
        Self { reading, front, sections: sections.into(), messages }
    }

    /// The page.
    pub(crate) fn html(&self) -> String {
        rendered(self)
    }
}

fn heading(at: At) -> &'static str {
    match at {
        At::Platforms => "docs-at-platforms",
        At::Browsers => "docs-at-browsers",
        At::Wallet => "docs-at-wallet",
        At::Node => "docs-at-nodes",
        At::Registrar => "docs-at-registrar",
        At::Pins => "docs-at-pins",
        At::Operators => "docs-at-operators",
        At::Docs => "docs-at-docs",
    }
}

fn shown(operation: Operation, reading: &Reading, places: &Places<'_>, generator: &mut SchemaGenerator) -> Shown {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let path: String = operation.path.chars().map(plain).collect();
    let id = format!("{}{path}", operation.method.to_ascii_lowercase());
    let (parameters, message): (&'static [Parameter], _) = match operation.asks {
        Asks::Nothing => (&[], None),
        Asks::Path(parameters) | Asks::Query(parameters) | Asks::Form(parameters) => (parameters, None),
        Asks::Json(shape) | Asks::JsonOrForm(shape) => (&[], name_of(shape(generator).as_value())),
    };
    let answers = answers(&operation, reading, generator);
    let curl = curl(&operation, places);
    let tried = reading.sandbox && may_be_tried(&operation);
    let field = |parameter: &Parameter| Field {
        id: format!("{id}-{}", parameter.name),
        name: parameter.name,
        required: parameter.required,
    };
    let form = tried.then(|| parameters.iter().map(field).collect());
    Shown { id, operation, parameters, message, answers, curl, form }
}

/// Forms lead to what the front answers itself: a browser holds the target of a redirect against the page's policy too.
fn may_be_tried(operation: &Operation) -> bool {
    let of_forms = matches!(operation.method, "GET" | "POST");
    let asks = matches!(operation.asks, Asks::Nothing | Asks::Query(_) | Asks::Form(_));
    operation.at == At::Platforms && of_forms && asks
}

fn answers(operation: &Operation, reading: &Reading, generator: &mut SchemaGenerator) -> Vec<Answer> {
    let errors = reading.link("/docs/errors");
    let of_refusal = |refusal: &Refusal| Code { code: refusal.code(), href: format!("{errors}#{}", refusal.code()) };
    let of_error = |error: &OAuthError| Code { code: error.code(), href: format!("{errors}#oauth-{}", error.code()) };
    let answer = |response: crate::api::Response| {
        let mut media: Vec<&str> = response.bodies.iter().map(|body| body.media).collect();
        if !response.refusals.is_empty() || (response.status != 303 && !response.errors.is_empty()) {
            media.push("application/json");
        }
        if !response.pages.is_empty() {
            media.push("text/html");
        }
        media.sort_unstable();
        media.dedup();
        let refusals = response.refusals.iter().chain(&response.pages).map(of_refusal);
        let mut codes: Vec<Code> = response.errors.iter().map(of_error).chain(refusals).collect();
        codes.sort_by(|a, b| a.href.cmp(&b.href));
        codes.dedup_by(|a, b| a.href == b.href);
        let message = response.bodies.iter().find_map(|body| name_of(&body.schema)).filter(|name| name != "OAuthError");
        Answer { status: response.status, what: response.what.join(" "), media: media.join(", "), message, codes }
    };
    responses(operation, generator).into_iter().map(answer).collect()
}

/// How to ask by hand.
fn curl(operation: &Operation, places: &Places<'_>) -> String {
    let origin = match operation.at {
        At::Node => "$NODE",
        At::Registrar => "$REGISTRAR",
        At::Operators => "$OFFICE",
        At::Pins => places.wallet,
        At::Platforms | At::Browsers | At::Wallet | At::Docs => places.front,
    };
    // Without a word of it curl asks by GET, and posts what it has to send.
    let method = match operation.method {
        "GET" | "POST" => String::new(),
        other => format!("-X {other} "),
    };
    let address = format!("{method}{origin}{}", operation.path);
    let pairs = |parameters: &[Parameter]| {
        let asked = parameters.iter().filter(|parameter| parameter.name != "client_secret");
        asked.fold(String::new(), |text, one| format!("{text} \\\n  --data-urlencode '{}={}'", one.name, one.example))
    };
    match operation.asks {
        Asks::Nothing => format!("curl {address}"),
        Asks::Path(parameters) => {
            let filled = parameters
                .iter()
                .fold(address, |address, one| address.replace(&format!("{{{}}}", one.name), one.example));
            format!("curl {filled}")
        }
        Asks::Query(parameters) => format!("curl -i -G {address}{}", pairs(parameters)),
        Asks::Form(parameters) => format!("curl -i {address}{}", pairs(parameters)),
        Asks::Json(_) | Asks::JsonOrForm(_) => {
            format!("curl -i {address} \\\n  -H 'content-type: application/json' \\\n  -d @message.json")
        }
    }
}

/// One refusal, as it is shown.
struct Told {
    refusal: Refusal,
    status: u16,
    developer: &'static str,
    who: &'static str,
    standards: String,
}

impl Told {
    fn code(&self) -> &'static str {
        self.refusal.code()
    }

    fn sentence(&self, lang: Lang) -> &'static str {
        self.refusal.sentence(lang)
    }
}

/// All errors of OAuth of one code, as they are shown.
struct Group {
    code: &'static str,
    standard: &'static str,
    /// What a person reads where one of them is a page.
    refusals: Vec<Refusal>,
    causes: Vec<Cause>,
}

/// One error of OAuth.
struct Cause {
    status: u16,
    description: &'static str,
    standards: String,
}

/// `/docs/errors`.
#[derive(Template)]
#[template(path = "docs_errors.html")]
pub(crate) struct ErrorsPage {
    reading: Reading,
    refusals: Vec<Told>,
    groups: Vec<Group>,
}

impl ErrorsPage {
    /// The page.
    pub(crate) fn new(reading: Reading) -> Self {
        let refusals = Refusal::ALL.iter().map(|refusal| told(*refusal)).collect();
        let mut groups: Vec<Group> = Vec::new();
        for error in OAuthError::ALL {
            let cause = Cause {
                status: error.status(),
                description: error.description(),
                standards: named(error.description()).join(", "),
            };
            let refusal = error.refusal();
            match groups.iter_mut().find(|group| group.code == error.code()) {
                Some(group) => {
                    group.causes.push(cause);
                    if !group.refusals.contains(&refusal) {
                        group.refusals.push(refusal);
                    }
                }
                None => groups.push(Group {
                    code: error.code(),
                    standard: of_code(error.code()).unwrap_or_default(),
                    refusals: vec![refusal],
                    causes: vec![cause],
                }),
            }
        }
        Self { reading, refusals, groups }
    }

    /// The page.
    pub(crate) fn html(&self) -> String {
        rendered(self)
    }
}

fn told(refusal: Refusal) -> Told {
    let text = refusal.text();
    let mut standards = named(text.developer);
    standards.extend(of_status(text.status));
    let who = match text.blame {
        Blame::Person => "docs-who-person",
        Blame::Platform => "docs-who-platform",
        Blame::Caller => "docs-who-caller",
        Blame::Service => "docs-who-service",
    };
    Told { refusal, status: text.status, developer: text.developer, who, standards: standards.join(", ") }
}
