//! The OpenAPI document (OpenAPI Specification 3.1.1), made of the operations and of the messages' own types.

use super::messages::plain;
use super::{Asks, At, COMMON, Errors, Operation, Parameter, Told, operations};
use hufu_kernel::Refusal;
use hufu_offices::front::OAuthError;
use hufu_wire::api::holder::Statement;
use hufu_wire::api::sign_in::{IdToken, Transaction};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const HTML: &str = "text/html";

/// Where things are, in a document.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The front's origin.
    pub front: &'a str,
    /// The wallet's origin.
    pub wallet: &'a str,
}

/// Names that nobody has (RFC 2606), for the document that is not of one service.
impl Default for Places<'_> {
    fn default() -> Self {
        Self { front: "https://id.example", wallet: "https://wallet.example" }
    }
}

/// One status of an operation.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// The status.
    pub status: u16,
    /// What it means, where it is no refusal alone.
    pub what: Vec<&'static str>,
    /// Bodies.
    pub bodies: Vec<Body>,
    /// Refusals in JSON.
    pub refusals: Vec<Refusal>,
    /// Refusals as pages.
    pub pages: Vec<Refusal>,
    /// OAuth's errors in JSON, or, of a redirect, in its parameters.
    pub errors: Vec<OAuthError>,
}

/// One body.
#[derive(Debug)]
pub(crate) struct Body {
    /// Its media type.
    pub media: &'static str,
    /// Its schema.
    pub schema: Value,
}

fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

/// Everything that an operation may answer, by status.
pub(crate) fn responses(operation: &Operation, generator: &mut SchemaGenerator) -> Vec<Response> {
    let mut all: BTreeMap<u16, Response> = BTreeMap::new();
    for told in operation.answers.iter().chain(std::iter::once(&COMMON)) {
        match *told {
            Told::Json(status, what, shape) => {
                let schema = shape(generator).to_value();
                let response = at(&mut all, status);
                response.what.push(what);
                response.bodies.push(Body { media: JSON, schema });
            }
            Told::Other(status, what, media) => {
                let response = at(&mut all, status);
                response.what.push(what);
                response.bodies.push(Body { media, schema: json!({}) });
            }
            Told::Empty(status, what) => at(&mut all, status).what.push(what),
            Told::Redirect(what, sets) => {
                let response = at(&mut all, 303);
                response.what.push(what);
                response.errors.extend(sets.iter().copied().flatten().filter(|error| error.may_redirect()));
            }
            Told::Refused(refusals) => {
                refusals.iter().for_each(|refusal| once(&mut at(&mut all, refusal.text().status).refusals, *refusal));
            }
            Told::Page(refusals) => {
                refusals.iter().for_each(|refusal| once(&mut at(&mut all, refusal.text().status).pages, *refusal));
            }
            Told::OAuth(sets) => errors(&mut all, sets, OAuthError::status),
            Told::Resource(sets) => errors(&mut all, sets, |error| match error.code() {
                "invalid_dpop_proof" | "use_dpop_nonce" => 401,
                _ => error.status(),
            }),
        }
    }
    all.into_values().collect()
}

fn at(all: &mut BTreeMap<u16, Response>, status: u16) -> &mut Response {
    all.entry(status).or_insert_with(|| Response { status, ..Response::default() })
}

fn once<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}

fn errors(all: &mut BTreeMap<u16, Response>, sets: &[Errors], status: impl Fn(OAuthError) -> u16) {
    for error in sets.iter().copied().flatten() {
        once(&mut at(all, status(*error)).errors, *error);
    }
}

impl Response {
    fn description(&self) -> String {
        let mut lines: Vec<String> = self.what.iter().map(|what| (*what).to_owned()).collect();
        if lines.is_empty() {
            lines.push("Refused.".to_owned());
        }
        lines.extend(self.errors.iter().map(|error| format!("- `{}`: {}", error.code(), error.description())));
        let mut refusals = self.refusals.clone();
        self.pages.iter().for_each(|refusal| once(&mut refusals, *refusal));
        lines.extend(refusals.iter().map(|refusal| format!("- `{}`: {}", refusal.code(), refusal.text().developer)));
        lines.join("\n")
    }

    /// The bodies, those of refusals too.
    fn all_bodies(&self) -> BTreeMap<&'static str, Vec<Value>> {
        let mut all: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
        for body in &self.bodies {
            all.entry(body.media).or_default().push(body.schema.clone());
        }
        if !self.refusals.is_empty() {
            let codes = self.refusals.iter().map(|refusal| refusal.code()).collect();
            all.entry(JSON).or_default().push(one_of_codes("Refused", codes));
        }
        if !self.errors.is_empty() && self.status != 303 {
            let codes = self.errors.iter().map(|error| error.code()).collect();
            all.entry(JSON).or_default().push(one_of_codes("OAuthError", codes));
        }
        if !self.pages.is_empty() {
            all.entry(HTML).or_default().push(json!({}));
        }
        all
    }

    fn to_value(&self) -> Value {
        let mut response = json!({ "description": self.description() });
        let mut content = Map::new();
        for (media, mut schemas) in self.all_bodies() {
            let schema = if schemas.len() > 1 { json!({ "anyOf": schemas }) } else { schemas.remove(0) };
            content.insert(media.to_owned(), json!({ "schema": schema }));
        }
        if !content.is_empty() {
            response["content"] = Value::Object(content);
        }
        let refuses = !(self.refusals.is_empty() && self.errors.is_empty());
        if self.status == 429 || self.status == 503 && refuses {
            response["headers"]["Retry-After"] = json!({
                "description": "Seconds to wait.",
                "schema": { "type": "integer", "minimum": 1 },
            });
        }
        if self.status == 303 {
            response["headers"]["Location"] =
                json!({ "description": "Where the browser goes.", "schema": { "type": "string" } });
        }
        response
    }
}

/// A body of a component with one of these codes.
fn one_of_codes(component: &str, mut codes: Vec<&'static str>) -> Value {
    codes.sort_unstable();
    codes.dedup();
    json!({
        "allOf": [
            { "$ref": format!("#/components/schemas/{component}") },
            { "properties": { "error": { "enum": codes } } },
        ],
    })
}

/// The document of a service that is at these places.
#[must_use]
pub fn document(places: &Places<'_>) -> Value {
    let mut generator = generator();
    let mut paths: BTreeMap<&'static str, Map<String, Value>> = BTreeMap::new();
    for operation in operations() {
        let item = paths.entry(operation.path).or_default();
        item.entry("servers").or_insert_with(|| json!([server(operation.at, places)]));
        item.insert(operation.method.to_ascii_lowercase(), described(&operation, &mut generator));
    }
    // What stands inside tokens and statements is no body of its own.
    let _ = generator.subschema_for::<IdToken>();
    let _ = generator.subschema_for::<Transaction>();
    let _ = generator.subschema_for::<Statement>();
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Refused".to_owned(), refused());
    schemas.insert("OAuthError".to_owned(), oauth_error());
    let mut document = json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Hufu",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A network identity service: OpenID Connect for platforms, and what wallets and operators ask.",
            "description": "Made from the program's own tables and types. /docs/errors of the front explains every code.",
            "license": { "name": "Apache License 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [server(At::Platforms, places)],
        "tags": At::ALL.map(|at| json!({ "name": at.tag(), "description": at.what() })),
        "paths": paths,
        "components": { "schemas": schemas, "securitySchemes": proofs() },
    });
    plain(&mut document);
    document
}

/// The document of no service in particular, as `docs/api/openapi.json` has it.
#[must_use]
pub fn document_text() -> String {
    let mut text = serde_json::to_string_pretty(&document(&Places::default())).unwrap_or_default();
    text.push('\n');
    text
}

fn server(at: At, places: &Places<'_>) -> Value {
    let variable = |name: &str, example: &str, what: &str| {
        json!({
            "url": format!("https://{{{name}}}"),
            "variables": { name: { "default": example, "description": what } },
        })
    };
    match at {
        At::Node => {
            variable("node", "node-1.example", "One of the three that /services.json of the wallet's origin names.")
        }
        At::Registrar => {
            variable("registrar", "registrar.example", "The one that /services.json of the wallet's origin names.")
        }
        At::Operators => variable("office", "office.example", "What its office.toml says."),
        At::Pins => json!({ "url": places.wallet }),
        _ => json!({ "url": places.front }),
    }
}

fn described(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let name: String = operation.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let responses: Map<String, Value> = responses(operation, generator)
        .iter()
        .map(|response| (response.status.to_string(), response.to_value()))
        .collect();
    let mut described = json!({
        "operationId": format!("{}{name}", operation.method.to_ascii_lowercase()),
        "tags": [operation.at.tag()],
        "summary": operation.what,
        "responses": responses,
    });
    match operation.asks {
        Asks::Nothing => {}
        Asks::Path(parameters) => described["parameters"] = listed("path", parameters),
        Asks::Query(parameters) => described["parameters"] = listed("query", parameters),
        Asks::Form(parameters) => {
            described["requestBody"] = json!({
                "required": parameters.iter().any(|parameter| parameter.required),
                "content": { FORM: { "schema": form(parameters) } },
            });
        }
        Asks::Json(shape) => {
            let schema = shape(generator);
            described["requestBody"] = json!({ "required": true, "content": { JSON: { "schema": schema } } });
        }
        Asks::JsonOrForm(shape) => {
            let schema = shape(generator);
            described["requestBody"] = json!({
                "required": true,
                "content": { JSON: { "schema": schema }, FORM: { "schema": schema } },
            });
        }
    }
    if let Some(security) = security(operation) {
        described["security"] = security;
    }
    described
}

/// By what a caller proves who they are, where a header or the connection says so. An assertion is a parameter of the form.
fn security(operation: &Operation) -> Option<Value> {
    operation.answers.iter().find_map(|told| match told {
        Told::OAuth(_) => Some(json!([{}, { "client_secret_basic": [] }, { "mutual_tls": [] }])),
        Told::Resource(_) => Some(json!([{ "dpop": [] }, { "bearer": [] }])),
        _ => None,
    })
}

fn proofs() -> Value {
    json!({
        "client_secret_basic": { "type": "http", "scheme": "basic", "description": "Profile basic, in sandboxes only." },
        "mutual_tls": { "type": "mutualTLS", "description": "RFC 8705, at the addresses of mtls_endpoint_aliases." },
        "dpop": { "type": "http", "scheme": "DPoP", "description": "RFC 9449, with a proof in the header DPoP." },
        "bearer": { "type": "http", "scheme": "bearer", "description": "RFC 6750: profile basic, or bound to a TLS certificate." },
    })
}

fn listed(place: &str, parameters: &[Parameter]) -> Value {
    let one = |parameter: &Parameter| {
        json!({
            "name": parameter.name,
            "in": place,
            "required": parameter.required,
            "description": parameter.what,
            "schema": { "type": "string" },
            "example": parameter.example,
        })
    };
    parameters.iter().map(one).collect()
}

fn form(parameters: &[Parameter]) -> Value {
    let properties: Map<String, Value> = parameters
        .iter()
        .map(|parameter| {
            let schema = json!({ "type": "string", "description": parameter.what, "examples": [parameter.example] });
            (parameter.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<_> = parameters.iter().filter(|parameter| parameter.required).map(|must| must.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// A refusal's body ([`crate::reply::Edge::refused`]).
fn refused() -> Value {
    json!({
        "type": "object",
        "description": "A refusal. The front's page /docs/errors explains each code.",
        "properties": {
            "error": { "type": "string", "description": "The stable code." },
            "message": {
                "type": "object",
                "description": "For the person.",
                "properties": { "zh-Hans": { "type": "string" }, "en": { "type": "string" } },
                "required": ["zh-Hans", "en"],
                "additionalProperties": false,
            },
            "error_id": {
                "type": "string",
                "pattern": "^[0-9a-hjkmnp-tv-z]{13}$",
                "description": "A random number that a person can read to help.",
            },
        },
        "required": ["error", "message", "error_id"],
        "additionalProperties": false,
    })
}

/// RFC 6749 section 5.2.
fn oauth_error() -> Value {
    json!({
        "type": "object",
        "description": "An error of OAuth (RFC 6749 section 5.2).",
        "properties": {
            "error": { "type": "string" },
            "error_description": { "type": "string", "description": "Which cause it was." },
        },
        "required": ["error", "error_description"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::ALL_SETS;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reference_leads_somewhere_and_nothing_is_left_over() {
        let document = document(&Places::default());
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        let used: BTreeSet<&str> =
            text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        for name in &used {
            assert!(schemas.contains_key(*name), "{name}");
        }
        let inside = ["IdToken", "Transaction", "Statement"];
        for name in schemas.keys() {
            assert!(used.contains(name.as_str()) || inside.contains(&name.as_str()), "{name} is used nowhere");
        }
        assert!(!text.contains("[`"), "a link of the source's is left in a description");
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_answers_and_a_refusal() {
        let mut names = BTreeSet::new();
        let document = document(&Places::default());
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "servers") {
                assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.keys().any(|status| status.starts_with('2') || status == "303"), "{method} {path}");
                assert!(responses.contains_key("500"), "{method} {path}");
                for part in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                    let name = part.trim_end_matches('}');
                    let parameters = operation["parameters"].as_array().unwrap();
                    assert!(parameters.iter().any(|one| one["name"] == name && one["in"] == "path"), "{path}");
                }
            }
        }
        assert_eq!(names.len(), operations().len());
    }

    #[test]
    fn every_error_of_oauth_is_found_by_one_step_that_some_operation_has() {
        let all: Vec<OAuthError> = ALL_SETS.iter().copied().flatten().copied().collect();
        let different: BTreeSet<_> = all.iter().map(|error| error.name()).collect();
        assert_eq!(different.len(), all.len(), "an error is in two sets");
        for error in OAuthError::ALL {
            assert!(different.contains(error.name()), "{} is in no set of crates/web/src/api/oauth.rs", error.name());
        }
        let mut generator = generator();
        let told: BTreeSet<_> = operations()
            .iter()
            .flat_map(|operation| responses(operation, &mut generator))
            .flat_map(|response| response.errors)
            .map(OAuthError::name)
            .collect();
        for error in OAuthError::ALL.iter().filter(|error| error.may_redirect()) {
            assert!(told.contains(error.name()), "{} is told by no operation", error.name());
        }
    }
}
