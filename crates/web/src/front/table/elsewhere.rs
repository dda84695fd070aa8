//! The rows about people who have no browser at the platform, or another device than that browser's: requests of the back channel
//! (decision 0029) and signing in with another device (decision 0028).

use super::{Door, GET, POST, Row, TOO_MANY, browser, next, platform};
use crate::api::oauth::{self, ASKED, BACKCHANNEL, BACKCHANNEL_CLIENT, CLIENT, OURS, PROOF, REQUEST, may, must};
use crate::api::{Asks, At, Operation, Parameter, Shape, Told};
use crate::front::{Site, elsewhere, waiting};
use axum::routing::{MethodRouter, get, post};
use hufu_kernel::Refusal;
use hufu_wire::api::requests::{CompleteWaiting, Found, LookWaiting, RefuseWaiting, Wait, Waiting};
use schemars::{JsonSchema, Schema, SchemaGenerator};

const OF_ELSEWHERE: &[Refusal] = &[
    Refusal::Malformed,
    Refusal::TooLarge,
    Refusal::ForeignOrigin,
    Refusal::TransactionGone,
    Refusal::TransactionCookie,
    Refusal::ScanStale,
    Refusal::TooMany,
    Refusal::Busy,
    Refusal::Internal,
];

/// Where a wallet begins to wait; counted by itself.
pub(in crate::front) const WAIT: &str = "/requests/wait";

const OF_WAITING: &[Refusal] = &[
    Refusal::Malformed,
    Refusal::TooLarge,
    Refusal::ForeignOrigin,
    Refusal::TransactionGone,
    Refusal::TransactionCookie,
    Refusal::TokenRejected,
    Refusal::TooMany,
    Refusal::Busy,
    Refusal::Internal,
];

const LOOKED: &[Parameter] = &[
    must("tx", "The transaction's name: 32 bytes, base64url.", oauth::TRANSACTION[0].example),
    may("look", "Anything: to see how far it is, without showing codes any longer.", "1"),
    may("stop", "Anything: the same, and without codes.", "1"),
];

/// The transaction of the browser that began.
const OF_TX: &[Parameter] =
    &[must("tx", "The transaction's name: 32 bytes, base64url.", oauth::TRANSACTION[0].example)];

const TYPED: &[Parameter] = &[
    must("tx", "The transaction's name: 32 bytes, base64url.", oauth::TRANSACTION[0].example),
    may("number", "The number that the other device shows.", "1234 5678"),
    may("back", "Anything: to go on in this browser instead.", "1"),
];

const SCANNED: &[Parameter] = &[
    must("name", "What the codes of this showing go by: 16 bytes, base64url; not the transaction's name.", "…"),
    must("t", "When the code was made, in seconds; three are enough to make it stale.", "1774000000"),
    must("code", "What the front made of both, base64url.", "…"),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![platform(
        (POST, "/bc-authorize"),
        "Asks a person who has no browser at the platform (OpenID Connect CIBA Core section 7).",
        oauth::ASK_PERSON,
        vec![
            Told::Json(200, "The auth_req_id to look with at /token.", oauth::asked_person),
            Told::OAuth(&[REQUEST, CLIENT, ASKED, BACKCHANNEL_CLIENT, BACKCHANNEL, PROOF, OURS]),
        ],
        || post(crate::front::backchannel),
    )];
    rows.extend(another_device());
    rows.extend(waiting_wallets());
    rows
}

fn another_device() -> Vec<Row> {
    let page = |what| Told::Other(200, what, "text/html");
    let shown = || vec![page("A page."), Told::Page(OF_ELSEWHERE)];
    vec![
        browser(
            (GET, "/elsewhere"),
            "The page of the browser that began, for signing in with another device.",
            LOOKED,
            shown(),
            || get(elsewhere::page),
        ),
        browser(
            (POST, "/elsewhere"),
            "The number of the other device, or the wish to go back. Needs the browser's cookie.",
            TYPED,
            vec![
                page("How it has ended."),
                Told::Other(422, "Another number; there are three tries.", "text/html"),
                Told::Redirect("Back to the platform, or to the wallet.", &[]),
                Told::Page(OF_ELSEWHERE),
            ],
            || post(elsewhere::posted),
        ),
        browser(
            (GET, "/elsewhere/code"),
            "The frame in that page: a code that is new every second, or why there is none any more.",
            OF_TX,
            vec![page("The frame, renewed by its Refresh header while there are codes."), TOO_MANY],
            || get(elsewhere::frame),
        ),
        browser(
            (GET, "/elsewhere/scanned"),
            "Where the code leads the other device: on to the wallet there.",
            SCANNED,
            vec![Told::Redirect("To the wallet.", &[]), Told::Page(OF_ELSEWHERE)],
            || get(elsewhere::scanned),
        ),
        browser(
            (GET, "/elsewhere/number"),
            "What the other device shows after its person answered.",
            OF_TX,
            shown(),
            || get(elsewhere::number),
        ),
    ]
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A message of a wallet that waits to be asked.
fn wallet(
    path: &'static str,
    what: &'static str,
    message: Shape,
    told: Told,
    serve: fn() -> MethodRouter<Site>,
) -> Row {
    let answers = vec![told, Told::Refused(OF_WAITING), TOO_MANY];
    let operation = Operation { method: POST, path, at: At::Wallet, what, asks: Asks::Json(message), answers };
    Row { door: Door::Wallet, operation, serve }
}

fn waiting_wallets() -> Vec<Row> {
    vec![
        wallet(
            WAIT,
            "A wallet waits to be asked: the code for its person to tell, and its secret.",
            of::<Wait>,
            Told::Json(200, "Both.", of::<Waiting>),
            || post(waiting::wait),
        ),
        wallet(
            "/requests/look",
            "Whether a platform has asked whoever waits with this secret.",
            of::<LookWaiting>,
            Told::Json(200, "The transaction, if so.", of::<Found>),
            || post(waiting::look),
        ),
        wallet(
            "/requests/complete",
            "A waiting wallet's answer: the ID token that two nodes signed.",
            of::<CompleteWaiting>,
            Told::Json(200, "Where the wallet goes.", next),
            || post(waiting::complete),
        ),
        wallet(
            "/requests/refuse",
            "The person of a waiting wallet did not agree.",
            of::<RefuseWaiting>,
            Told::Json(200, "Where the wallet goes.", next),
            || post(waiting::refuse),
        ),
    ]
}
