//! The front's table: every route with what is told of it. The router is made of it, and so are the OpenAPI document and `/docs/api`.

mod elsewhere;
mod signals;

use super::Site;
use crate::api::oauth::{
    self, ABOUT, ASKED, BACKCHANNEL_CLIENT, CLIENT, CODE, LATER, LOOK, NODES, OPENED, OURS, PROOF, REFRESH, REQUEST,
    RESOURCE,
};
use crate::api::{Asks, At, Operation, Parameter, Told};
use crate::pages;
use axum::routing::{MethodRouter, get, post};
pub(super) use elsewhere::WAIT;
use hufu_kernel::Refusal;
use hufu_wire::api::sign_in::{CompleteSignIn, Continue, RefuseSignIn};
use schemars::{Schema, SchemaGenerator};

/// Where a route stands, and so which limit of its caller's address holds there before anything is read (decision 0025).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Door {
    /// At the front's own address, as generously as all that is nobody's in particular: small documents that are the same for everybody,
    /// which others need to go on.
    Plain,
    /// There, as often as a browser's address may.
    Browsers,
    /// There, and where callers prove a TLS certificate (RFC 8705 section 5), as often as a platform's address may at both together.
    Platforms,
    /// At the front's own address, also to scripts of the wallet's origin. What is asked counts with what browsers ask.
    Wallet,
    /// As the last one, and only where a sandbox's persona agent keeps sessions (decision 0022).
    Unasked,
}

/// One route.
pub(super) struct Row {
    pub(super) door: Door,
    pub(super) operation: Operation,
    pub(super) serve: fn() -> MethodRouter<Site>,
}

impl Row {
    /// Among those of `doors`.
    pub(super) fn is_of(&self, doors: &[Door]) -> bool {
        doors.contains(&self.door)
    }
}

/// The table.
pub(super) fn rows() -> Vec<Row> {
    [documents(), platforms(), tokens(), signals::rows(), browsers(), elsewhere::rows(), wallet(), docs()]
        .into_iter()
        .flatten()
        .collect()
}

const GET: &str = "GET";
const POST: &str = "POST";

const TOO_LARGE: Told = Told::Json(413, "The body is above 64 KiB.", oauth::oauth_error);

/// On a connection with a TLS certificate alone.
const MISDIRECTED: Told = Told::Empty(
    421,
    "At an address of mtls_endpoint_aliases: the connection's certificate has ended, or its authority was taken out. Connect again.",
);

/// Too many requests of one address, to who reads pages.
const TOO_MANY: Told = Told::Page(&[Refusal::TooMany]);

/// What a person may be shown in place of a redirect; a test compares with what OAuth's errors are as pages.
pub(super) const PAGES: &[Refusal] = &[
    Refusal::Malformed,
    Refusal::TooLarge,
    Refusal::PlatformUnknown,
    Refusal::PlatformRequest,
    Refusal::OverAsking,
    Refusal::TransactionGone,
    Refusal::TooMany,
    Refusal::Busy,
    Refusal::Internal,
];

const OF_AN_ANSWER: &[Refusal] = &[
    Refusal::Malformed,
    Refusal::TooLarge,
    Refusal::TransactionGone,
    Refusal::TransactionCookie,
    Refusal::ForeignOrigin,
    Refusal::TokenRejected,
    Refusal::TooMany,
    Refusal::Busy,
    Refusal::Internal,
];

/// A document that anybody may read.
fn public(path: &'static str, at: At, what: &'static str, told: Told, serve: fn() -> MethodRouter<Site>) -> Row {
    let operation = Operation { method: GET, path, at, what, asks: Asks::Nothing, answers: vec![told] };
    Row { door: Door::Plain, operation, serve }
}

fn documents() -> Vec<Row> {
    let metadata = Told::Json(200, "The metadata.", oauth::metadata);
    vec![
        public(
            "/.well-known/openid-configuration",
            At::Platforms,
            "The metadata (OpenID Connect Discovery section 4).",
            metadata,
            || get(super::discovery),
        ),
        public(
            "/.well-known/oauth-authorization-server",
            At::Platforms,
            "The same metadata where OAuth's clients look (RFC 8414 section 3).",
            metadata,
            || get(super::discovery),
        ),
        public(
            "/jwks.json",
            At::Platforms,
            "The keys that ID tokens and what the front signs verify under (RFC 7517).",
            Told::Json(200, "The keys.", oauth::keys),
            || get(super::jwks),
        ),
    ]
}

/// A request of a platform's server.
fn platform(
    (method, path): (&'static str, &'static str),
    what: &'static str,
    parameters: &'static [Parameter],
    mut answers: Vec<Told>,
    serve: fn() -> MethodRouter<Site>,
) -> Row {
    let asks = if method == GET { Asks::Nothing } else { Asks::Form(parameters) };
    answers.extend([TOO_LARGE, MISDIRECTED]);
    let operation = Operation { method, path, at: At::Platforms, what, asks, answers };
    Row { door: Door::Platforms, operation, serve }
}

fn platforms() -> Vec<Row> {
    let telling = || {
        vec![
            Told::Json(200, "Whom the token is about.", oauth::userinfo),
            Told::Other(200, "The same signed, for a platform that registered it so.", "application/jwt"),
            Told::Resource(&[REQUEST, RESOURCE, PROOF, OURS]),
        ]
    };
    vec![
        platform(
            (POST, "/par"),
            "Pushes an authorization request (RFC 9126); profile fapi2 has no other way.",
            oauth::PUSH,
            vec![
                Told::Json(201, "The request_uri.", oauth::pushed),
                Told::OAuth(&[REQUEST, CLIENT, ASKED, PROOF, OURS]),
            ],
            || post(super::par),
        ),
        platform(
            (POST, "/token"),
            "Redeems a code for the ID token that two nodes signed, and an access token; renews one, looks whether a person was asked and agreed, or gives one for ssf.manage.",
            oauth::TOKEN,
            vec![
                Told::Json(200, "The tokens.", oauth::token),
                Told::OAuth(&[REQUEST, CLIENT, CODE, REFRESH, LATER, BACKCHANNEL_CLIENT, LOOK, NODES, PROOF, OURS]),
            ],
            || post(super::token),
        ),
        platform(
            (GET, "/userinfo"),
            "What the ID token said, for an access token (OpenID Connect Core section 5.3).",
            &[],
            telling(),
            || get(super::userinfo),
        ),
        platform(
            (POST, "/userinfo"),
            "The same by POST, which OpenID Connect Core section 5.3.1 asks for.",
            oauth::USERINFO,
            telling(),
            || post(super::userinfo),
        ),
    ]
}

fn tokens() -> Vec<Row> {
    vec![
        platform(
            (POST, "/introspect"),
            "What an access or a refresh token of the caller's own is worth (RFC 7662).",
            oauth::ONE_TOKEN,
            vec![
                Told::Json(200, "What it is worth.", oauth::introspection),
                Told::Other(200, "The same signed (RFC 9701).", "application/token-introspection+jwt"),
                Told::OAuth(&[REQUEST, CLIENT, ABOUT, NODES, OURS]),
            ],
            || post(super::introspect),
        ),
        platform(
            (POST, "/revoke"),
            "Gives an access or a refresh token up, and all others of its code (RFC 7009).",
            oauth::ONE_TOKEN,
            vec![
                Told::Empty(200, "Done, or it was no token of the caller's."),
                Told::OAuth(&[REQUEST, CLIENT, ABOUT, OURS]),
            ],
            || post(super::revoke),
        ),
    ]
}

/// Where a browser comes with a query or a form of the same parameters.
fn browser(
    (method, path): (&'static str, &'static str),
    what: &'static str,
    parameters: &'static [Parameter],
    answers: Vec<Told>,
    serve: fn() -> MethodRouter<Site>,
) -> Row {
    let asks = if method == GET { Asks::Query(parameters) } else { Asks::Form(parameters) };
    let operation = Operation { method, path, at: At::Browsers, what, asks, answers };
    Row { door: Door::Browsers, operation, serve }
}

fn browsers() -> Vec<Row> {
    const ASK: &str = "Begins a sign-in (OpenID Connect Core section 3.1.2).";
    const END: &str = "Ends a visit (OpenID Connect RP-Initiated Logout section 2); no session is kept here.";
    let sent = || {
        vec![
            Told::Redirect("On to the wallet, or back to the platform with an error.", &[ASKED, OPENED, OURS]),
            Told::Page(PAGES),
        ]
    };
    let left = || {
        vec![
            Told::Other(200, "A page that says so.", "text/html"),
            Told::Redirect("Back to the platform.", &[]),
            Told::Page(PAGES),
        ]
    };
    let respond = vec![
        Told::Other(200, "A page with a button that posts the response to the platform.", "text/html"),
        Told::Page(&[Refusal::TransactionGone, Refusal::Internal]),
        TOO_MANY,
    ];
    vec![
        browser((GET, "/authorize"), ASK, oauth::AUTHORIZE, sent(), || get(super::authorize)),
        browser((POST, "/authorize"), ASK, oauth::AUTHORIZE, sent(), || post(super::authorize)),
        browser((GET, "/logout"), END, oauth::END, left(), || get(super::logout)),
        browser((POST, "/logout"), END, oauth::END, left(), || post(super::logout)),
        browser(
            (GET, "/respond"),
            "Posts a response to the platform, at a press of a button.",
            oauth::RESPOND,
            respond,
            || get(super::respond),
        ),
    ]
}

fn completing(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<CompleteSignIn>()
}

fn refusing(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<RefuseSignIn>()
}

fn next(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<Continue>()
}

fn wallet() -> Vec<Row> {
    let answered = || {
        vec![
            Told::Json(200, "To a script: where the browser goes.", next),
            Told::Empty(303, "To a form: the browser is sent there."),
            Told::Refused(OF_AN_ANSWER),
            Told::Page(OF_AN_ANSWER),
        ]
    };
    let sent = || vec![Told::Empty(303, "The browser is sent to the platform."), Told::Page(OF_AN_ANSWER)];
    let row = |door, method, path, what, asks, answers, serve| Row {
        door,
        operation: Operation { method, path, at: At::Wallet, what, asks, answers },
        serve,
    };
    let read: fn() -> MethodRouter<Site> = || get(super::transaction);
    let complete: fn() -> MethodRouter<Site> = || post(super::complete);
    let refuse: fn() -> MethodRouter<Site> = || post(super::refuse);
    let complete_unasked: fn() -> MethodRouter<Site> = || get(super::complete_unasked);
    let refuse_unasked: fn() -> MethodRouter<Site> = || get(super::refuse_unasked);
    vec![
        row(
            Door::Wallet,
            GET,
            "/tx/{tx}",
            "What a sign-in is about: a JWS by the front of a Transaction, served once.",
            Asks::Path(oauth::TRANSACTION),
            vec![
                Told::Other(200, "The transaction.", "application/jwt"),
                Told::Refused(&[Refusal::Malformed, Refusal::TransactionGone, Refusal::TooMany, Refusal::Internal]),
            ],
            read,
        ),
        row(
            Door::Wallet,
            POST,
            "/complete",
            "The wallet's answer: the ID token that two nodes signed. Needs the browser's cookie.",
            Asks::JsonOrForm(completing),
            answered(),
            complete,
        ),
        row(
            Door::Wallet,
            POST,
            "/refuse",
            "The person did not agree, or could not go on. Needs the browser's cookie.",
            Asks::JsonOrForm(refusing),
            answered(),
            refuse,
        ),
        row(
            Door::Unasked,
            GET,
            "/complete",
            "Where a sandbox's persona agent keeps sessions: an answer for which nobody had to be asked.",
            Asks::Query(UNASKED),
            sent(),
            complete_unasked,
        ),
        row(
            Door::Unasked,
            GET,
            "/refuse",
            "There: a refusal where somebody would have had to be asked.",
            Asks::Query(oauth::TRANSACTION),
            sent(),
            refuse_unasked,
        ),
    ]
}

/// [`CompleteSignIn`] as a query.
const UNASKED: &[Parameter] = &[
    oauth::TRANSACTION[0],
    Parameter { name: "id_token", required: true, what: "The ID token.", example: "eyJ…" },
    Parameter {
        name: "s",
        required: true,
        what: "The opening of ctx: 32 bytes, base64url.",
        example: oauth::TRANSACTION[0].example,
    },
    Parameter {
        name: "handle",
        required: false,
        what: "The subject handle whose hash is in the ID token.",
        example: "12.…",
    },
];

/// What is made anew for each reader.
fn written(path: &'static str, what: &'static str, told: Told, serve: fn() -> MethodRouter<Site>) -> Row {
    let mut row = public(path, At::Docs, what, told, serve);
    row.operation.answers.push(TOO_MANY);
    Row { door: Door::Browsers, ..row }
}

fn docs() -> Vec<Row> {
    let page = Told::Other(200, "A page.", "text/html");
    vec![
        written(
            "/openapi.json",
            "This document, with the front's own address.",
            Told::Json(200, "OpenAPI 3.1.", oauth::open_object),
            || get(super::docs::openapi),
        ),
        written("/docs/api", "The same as a page; in a sandbox with forms to try it.", page, || get(super::docs::api)),
        written("/docs/errors", "Every code of a refusal, in both languages, with its standard.", page, || {
            get(super::docs::errors)
        }),
        written("/llms.txt", "What is here, for programs that read.", Told::Other(200, "Text.", "text/plain"), || {
            get(super::docs::llms)
        }),
        public(
            "/style.css",
            At::Docs,
            "The pages' style sheet.",
            Told::Other(200, "The style sheet.", "text/css"),
            || get(pages::style),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_offices::front::OAuthError;
    use std::collections::BTreeSet;

    #[test]
    fn no_route_stands_twice() {
        let all: BTreeSet<_> = rows().iter().map(|row| (row.operation.method, row.operation.path)).collect();
        assert_eq!(all.len(), rows().len());
    }

    #[test]
    fn every_error_that_is_shown_to_a_person_is_told_as_a_page() {
        for error in OAuthError::ALL {
            assert!(PAGES.contains(&error.refusal()), "{}", error.name());
        }
    }

    /// Whether these say what who asks too often is told.
    fn tells_of_too_many(answers: &[Told]) -> bool {
        answers.iter().any(|told| match told {
            Told::Page(refusals) | Told::Refused(refusals) => refusals.contains(&Refusal::TooMany),
            Told::OAuth(sets) | Told::Resource(sets) => sets.iter().any(|set| set.contains(&OAuthError::TooMany)),
            _ => false,
        })
    }

    #[test]
    fn whoever_may_ask_too_often_is_told_so_and_documents_that_others_need_are_for_everybody() {
        for row in rows() {
            let Operation { method, path, answers, .. } = &row.operation;
            assert_eq!(tells_of_too_many(answers), row.door != Door::Plain, "{method} {path}");
        }
        let free: Vec<_> =
            rows().iter().filter(|row| row.is_of(&[Door::Plain])).map(|row| row.operation.path).collect();
        let wanted = [
            "/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-server",
            "/jwks.json",
            "/.well-known/ssf-configuration",
            "/style.css",
        ];
        assert_eq!(free, wanted);
    }

    #[test]
    fn every_error_of_a_sign_out_is_a_page() {
        for error in oauth::LOGOUT {
            assert!(!error.may_redirect() && PAGES.contains(&error.refusal()), "{}", error.name());
        }
    }
}
