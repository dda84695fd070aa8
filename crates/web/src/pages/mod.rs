//! What the wallet's origin serves: pages, the files they load, and the trust root's public half.
//!
//! The server behind these pages knows no person. Document numbers, names, keys and receipts stay in the browser, whose scripts
//! speak to the registrar and the nodes themselves; what arrives here is a page's address and three preferences (language, text
//! size, and whether a notice was accepted).

mod assets;
mod at_front;
mod docs;
mod elsewhere;
mod headers;
mod page;
mod preferences;
mod refused;
mod table;
mod text;
mod verify;

#[cfg(test)]
mod tests;

pub(crate) use assets::style;
pub(crate) use at_front::{FrontRefusal, FrontResponse, FrontSignedOut};
pub(crate) use docs::{ApiPage, ErrorsPage, Reading};
pub(crate) use elsewhere::{ElsewhereFrame, ElsewhereNumber, ElsewherePage};
pub use page::Page;
pub use table::{FieldError, Row, Sentence, routes};

use crate::{addresses, health};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hufu_kernel::{Clock, Refusal};
use hufu_wire::api::platform::Bilingual;
use hufu_wire::api::trust::Trust;
use hufu_wire::documents::DocumentType;
use serde::Serialize;
use std::sync::Arc;

/// What the pages are told when the server starts.
#[derive(Clone)]
pub struct PagesConfig {
    /// The trust root's public half.
    pub trust: Trust,
    /// The registrar's origin.
    pub registrar: String,
    /// The nodes' origins, 1 to 3.
    pub nodes: [String; 3],
    /// Sandbox only: the address of the simulated phones' inboxes.
    pub phones: Option<String>,
    /// Sandbox only: whether this origin also serves `/sandbox/sign-in`, the persona agent's plain forms.
    pub persona_agent: bool,
    /// Where a person gets help without a computer.
    pub help: Help,
    /// The present, for checking passes.
    pub clock: Arc<dyn Clock>,
}

/// Help that is in the same place on every page (WCAG 2.2, 3.2.6).
#[derive(Clone, Debug)]
pub struct Help {
    /// The telephone number as people read it.
    pub phone: String,
    /// The same for `tel:`.
    pub tel: String,
}

impl Help {
    /// A number that nobody answers, for sandboxes.
    #[must_use]
    pub fn invented() -> Self {
        Self { phone: "400-000-0000".to_owned(), tel: "4000000000".to_owned() }
    }
}

/// A synthetic person, as the sandbox's page of persons shows it: without it nobody could know what to type.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxPerson {
    /// Stable: `lin-xiaoyu`.
    pub id: String,
    /// As on every document.
    pub name: String,
    /// In Latin letters.
    pub latin: String,
    /// The documents.
    pub documents: Vec<SandboxDocument>,
    /// The simulated phone.
    pub phone: String,
    /// Who this is, for personas.
    pub story: Option<Bilingual>,
    /// What to try, for personas.
    pub try_this: Option<Bilingual>,
}

/// A synthetic person's document.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxDocument {
    /// One of seven types.
    pub document_type: DocumentType,
    /// Its number, in the sandbox's range.
    pub number: String,
}

/// The pages, `/trust.json`, `/services.json` and the files under `/assets/`; every other GET on this origin is a page that says
/// that there is none.
pub fn router(config: PagesConfig) -> Router {
    sandbox_router(config, Vec::new())
}

/// The same with `/sandbox/persons` (also as `/sandbox/persons.json`), which tells a visitor whom one can enrol as. Under a sandbox
/// root `/__routes.json` lists every page and every error state with an address; a production root has none of the three.
pub fn sandbox_router(config: PagesConfig, persons: Vec<SandboxPerson>) -> Router {
    let documents = health::public_document(health::TRUST_PATH, &config.trust)
        .merge(health::public_document("/services.json", &page::Services::of(&config)));
    let site = Arc::new(page::Site::new(config, persons));
    let mut pages = table::ROUTES.iter().fold(Router::new(), |router, row| router.route(row.path, get(show(row))));
    if site.sandbox() {
        pages = pages.route("/__routes.json", get(listed)).route("/sandbox/persons.json", get(persons_document));
    }
    pages
        .route("/language", post(preferences::language))
        .route("/size", post(preferences::size))
        .route("/enrol/notice", post(accept_notice))
        .route("/verify", post(verify::posted))
        .route("/assets/{file}", get(assets::serve))
        .route("/{*anything}", get(missing))
        .route_layer(middleware::from_fn(addresses::bounded_other))
        .with_state(site)
        .merge(documents)
}

async fn listed(State(site): Shared) -> Response {
    axum::Json(table::addresses(!site.persons.is_empty())).into_response()
}

async fn persons_document(State(site): Shared) -> Response {
    axum::Json(&site.persons).into_response()
}

type Shared = State<Arc<page::Site>>;

/// The handler of one row.
fn show(
    row: &'static Row,
) -> impl Fn(Shared, Option<Path<String>>, RawQuery, HeaderMap) -> std::future::Ready<Response> + Clone + Send + 'static
{
    move |State(site), path, RawQuery(query), headers| {
        let path = path.map(|Path(part)| part);
        let page = Page::asked(&site, row, path.as_deref(), query.as_deref(), &headers);
        std::future::ready(match page {
            Some(page) => page.respond(StatusCode::OK),
            None => Page::refused(&site, Refusal::NotFound, &headers).respond(StatusCode::NOT_FOUND),
        })
    }
}

/// The notice is accepted by a plain form: without the tick the page comes back and says so.
async fn accept_notice(headers: HeaderMap, body: Bytes) -> Response {
    if !headers::same_site(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let accepted = form_urlencoded::parse(&body).any(|(name, value)| name == "notice" && value == page::NOTICE_VERSION);
    let next = if accepted { "/enrol/details" } else { "/enrol?error=notice" };
    (StatusCode::SEE_OTHER, [(header::LOCATION, next)]).into_response()
}

async fn missing(State(site): Shared, headers: HeaderMap) -> Response {
    Page::refused(&site, Refusal::NotFound, &headers).respond(StatusCode::NOT_FOUND)
}
