//! One page: what its template may ask for.

use super::preferences::Preferences;
use super::refused::{self, Told};
use super::table::{self, FieldError, Row, Sentence};
use super::verify::Outcome;
use super::{PagesConfig, SandboxPerson, headers, text};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hufu_kernel::{Lang, Refusal, Root, unb64};
use hufu_wire::api::platform::Bilingual;
use hufu_wire::documents::DocumentType;
use serde::Serialize;
use std::borrow::Cow;

/// The version of the notice that the pages show; the registrar refuses any other.
pub(super) const NOTICE_VERSION: &str = hufu_offices::registrar::NOTICE_VERSION;

/// Where the browser's scripts find the offices: `/services.json`.
#[derive(Serialize)]
pub(super) struct Services {
    front: String,
    registrar: String,
    nodes: [String; 3],
}

impl Services {
    pub(super) fn of(config: &PagesConfig) -> Self {
        Self { front: config.trust.issuer.clone(), registrar: config.registrar.clone(), nodes: config.nodes.clone() }
    }
}

/// What all pages share.
pub(super) struct Site {
    pub config: PagesConfig,
    pub persons: Vec<SandboxPerson>,
}

impl Site {
    /// Persons exist in a sandbox only; a production root drops them.
    pub(super) fn new(config: PagesConfig, persons: Vec<SandboxPerson>) -> Self {
        let persons = if config.trust.root == Root::Sandbox { persons } else { Vec::new() };
        Self { config, persons }
    }

    pub(super) fn sandbox(&self) -> bool {
        self.config.trust.root == Root::Sandbox
    }

    pub(super) fn https(&self) -> bool {
        self.config.trust.wallet_origin.starts_with("https://")
    }
}

/// One page of one request.
pub struct Page<'a> {
    site: &'a Site,
    row: &'static Row,
    preferences: Preferences,
    /// This page's address, for the forms that come back to it.
    here: String,
    error: Option<&'static FieldError>,
    tx: Option<String>,
    scanned: bool,
    told: Option<&'static Told>,
    error_id: Option<String>,
    outcome: Option<Outcome>,
}

impl std::fmt::Debug for Page<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Page({})", self.row.path)
    }
}

impl<'a> Page<'a> {
    /// The page that was asked for; nothing if the address names a refusal that does not exist.
    pub(super) fn asked(
        site: &'a Site,
        row: &'static Row,
        part: Option<&str>,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let query = query.unwrap_or_default();
        let field = |wanted: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value)
        };
        if row.path == table::PERSONS_PATH && site.persons.is_empty() {
            return None;
        }
        let told = match part {
            Some(code) => Some(refused::told_of(code)?),
            None => None,
        };
        let path = part.map_or(Cow::Borrowed(row.path), |part| Cow::Owned(row.path.replace("{code}", part)));
        let tx = field("tx").filter(|tx| unb64(tx).is_some_and(|bytes| bytes.len() == 32)).map(Cow::into_owned);
        let scanned = field("scanned").is_some();
        let error_id = field("id").filter(|id| is_error_id(id)).map(Cow::into_owned);
        let mut here = path.into_owned();
        for (name, value) in [("tx", &tx), ("id", &error_id)] {
            if let Some(value) = value {
                here = format!("{here}?{name}={value}");
                break;
            }
        }
        let error = field("error").and_then(|name| row.errors.iter().find(|error| error.name == name));
        let preferences = Preferences::of(headers, site.https());
        Some(Self { site, row, preferences, here, error, tx, scanned, told, error_id, outcome: None })
    }

    /// The page of a refusal.
    pub(super) fn refused(site: &'a Site, refusal: Refusal, headers: &HeaderMap) -> Self {
        Self {
            site,
            row: table::REFUSED,
            preferences: Preferences::of(headers, site.https()),
            here: "/".to_owned(),
            error: None,
            tx: None,
            scanned: false,
            told: refused::told_of(refusal.code()),
            error_id: None,
            outcome: None,
        }
    }

    /// The verifier's page with what it found.
    pub(super) fn verified(site: &'a Site, outcome: Outcome, headers: &HeaderMap) -> Self {
        let row = table::VERIFY;
        let error = match outcome {
            Outcome::Missing => row.errors.iter().find(|error| error.name == "pass"),
            _ => None,
        };
        Self {
            row,
            here: row.path.to_owned(),
            error,
            outcome: Some(outcome),
            ..Self::refused(site, Refusal::NotFound, headers)
        }
    }

    /// The page as an answer.
    pub(super) fn respond(&self, status: StatusCode) -> Response {
        let (status, html) = match (self.row.template)(self) {
            Ok(html) => (status, html),
            Err(error) => {
                tracing::error!(%error, page = self.row.path, "a page does not render");
                (StatusCode::INTERNAL_SERVER_ERROR, String::new())
            }
        };
        let mut response = (status, html).into_response();
        for (name, value) in headers::of_page(self.site, self.row.path == table::SIGN_IN_PATH) {
            response.headers_mut().insert(name, value);
        }
        response
    }

    // -- for the templates

    /// A message.
    #[must_use]
    pub fn t(&self, key: &str) -> Cow<'static, str> {
        text::message(self.preferences.lang, key, &[])
    }

    /// A message with one argument.
    #[must_use]
    pub fn with(&self, key: &str, name: &str, value: &str) -> Cow<'static, str> {
        text::message(self.preferences.lang, key, &[(name, value)])
    }

    /// The page's heading.
    #[must_use]
    pub fn title(&self) -> Cow<'static, str> {
        self.told.map_or_else(|| self.t(self.row.title), |told| self.t(told.title))
    }

    /// The language's tag.
    #[must_use]
    pub fn lang(&self) -> &'static str {
        self.preferences.lang.tag()
    }

    /// Whether pages are in Chinese.
    #[must_use]
    pub fn chinese(&self) -> bool {
        self.preferences.lang == Lang::ZhHans
    }

    /// Whether text is large.
    #[must_use]
    pub fn large(&self) -> bool {
        self.preferences.large
    }

    /// Whether the trust root is a sandbox.
    #[must_use]
    pub fn sandbox(&self) -> bool {
        self.site.sandbox()
    }

    /// Sandbox only: the service's clock in Unix seconds, since it can be moved and the browser's cannot.
    #[must_use]
    pub fn now(&self) -> Option<i64> {
        self.sandbox().then(|| self.site.config.clock.now().0)
    }

    /// Whether the page loads the device's scripts.
    #[must_use]
    pub fn island(&self) -> bool {
        self.row.island
    }

    /// Whether a person's own things are a click away from here.
    #[must_use]
    pub fn own(&self) -> bool {
        self.row.own
    }

    /// Whether `path` is this page.
    #[must_use]
    pub fn at(&self, path: &str) -> bool {
        self.row.path == path
    }

    /// This page's address.
    #[must_use]
    pub fn here(&self) -> &str {
        &self.here
    }

    /// The telephone number of help.
    #[must_use]
    pub fn help(&self) -> &super::Help {
        &self.site.config.help
    }

    /// Every error this page can show, its sentence, and whether it shows it now.
    #[must_use]
    pub fn errors(&self) -> Vec<ShownError<'_>> {
        self.row
            .errors
            .iter()
            .map(|error| ShownError {
                name: error.name,
                field: error.field,
                sentence: match error.sentence {
                    Sentence::Refusal(refusal) => Cow::Borrowed(refusal.sentence(self.preferences.lang)),
                    Sentence::Text(key) => self.t(key),
                },
                now: self.error.is_some_and(|now| now.name == error.name),
            })
            .collect()
    }

    /// The errors of one field.
    #[must_use]
    pub fn errors_of(&self, field: &str) -> Vec<ShownError<'_>> {
        self.errors().into_iter().filter(|error| error.field == field).collect()
    }

    /// Whether this field is wrong now.
    #[must_use]
    pub fn wrong(&self, field: &str) -> bool {
        self.error.is_some_and(|error| error.field == field)
    }

    /// Whether the page shows an error.
    #[must_use]
    pub fn erring(&self) -> bool {
        self.error.is_some() || matches!(self.outcome, Some(Outcome::Missing))
    }

    /// The notice's version.
    #[must_use]
    pub fn notice(&self) -> &'static str {
        NOTICE_VERSION
    }

    /// The seven types of document: code and name.
    #[must_use]
    pub fn documents(&self) -> Vec<(&'static str, &'static str)> {
        DocumentType::ALL.iter().map(|kind| (kind.code(), kind.name(self.preferences.lang))).collect()
    }

    /// Sandbox only: the synthetic persons.
    #[must_use]
    pub fn persons(&self) -> &[SandboxPerson] {
        &self.site.persons
    }

    /// Those of them that have a story.
    #[must_use]
    pub fn personas(&self) -> Vec<&SandboxPerson> {
        self.site.persons.iter().filter(|person| person.story.is_some()).collect()
    }

    /// A text in the page's language.
    #[must_use]
    pub fn of<'t>(&self, text: &'t Bilingual) -> &'t str {
        text.get(self.preferences.lang)
    }

    /// The name of a type of document.
    #[must_use]
    pub fn document(&self, kind: &DocumentType) -> &'static str {
        kind.name(self.preferences.lang)
    }

    /// The transaction, as it stands in the address.
    #[must_use]
    pub fn tx(&self) -> Option<&str> {
        self.tx.as_deref()
    }

    /// The transaction, if another device could be used for it: not on one that was taken for that.
    #[must_use]
    pub fn elsewhere(&self) -> Option<&str> {
        self.tx().filter(|_| !self.scanned)
    }

    /// The front's address.
    #[must_use]
    pub fn front(&self) -> &str {
        &self.site.config.trust.issuer
    }

    /// The simulated phones' inboxes.
    #[must_use]
    pub fn phones(&self) -> Option<&str> {
        self.site.config.phones.as_deref().filter(|_| self.sandbox())
    }

    /// Whether the persona agent's plain forms are here.
    #[must_use]
    pub fn persona_agent(&self) -> bool {
        self.sandbox() && self.site.config.persona_agent
    }

    /// On a refusal's page: what happened, as the refusal itself says it.
    #[must_use]
    pub fn refusal(&self) -> &'static str {
        self.told.map_or("", |told| told.refusal.sentence(self.preferences.lang))
    }

    /// On a refusal's page: its code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.told.map_or("", |told| told.refusal.code())
    }

    /// On a refusal's page: what to do now.
    #[must_use]
    pub fn next(&self) -> Cow<'static, str> {
        self.told.map_or(Cow::Borrowed(""), |told| self.t(told.next))
    }

    /// On a refusal's page: the label and address of the next step.
    #[must_use]
    pub fn way(&self) -> Option<(Cow<'static, str>, &'static str)> {
        self.told.and_then(|told| told.way).map(|(key, address)| (self.t(key), address))
    }

    /// The number a person can read to help.
    #[must_use]
    pub fn error_id(&self) -> Option<&str> {
        self.error_id.as_deref()
    }

    /// What the verifier found.
    #[must_use]
    pub fn outcome(&self) -> Option<Cow<'static, str>> {
        self.outcome.as_ref().and_then(Outcome::key).map(|key| self.t(key))
    }

    /// Whether it found a sound pass.
    #[must_use]
    pub fn sound(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Sound))
    }
}

/// An error of a page, for its template.
#[derive(Debug)]
pub struct ShownError<'a> {
    /// Names it in the address and to scripts.
    pub name: &'a str,
    /// The field's `id`.
    pub field: &'a str,
    /// What is wrong and how to mend it.
    pub sentence: Cow<'static, str>,
    /// Whether it is shown.
    pub now: bool,
}

/// An error id as offices write it: 13 letters and digits.
fn is_error_id(text: &str) -> bool {
    text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}
