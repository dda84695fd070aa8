//! The rows about shared signals (decision 0027): the transmitter's metadata, and what a platform asks of its stream.

use super::{Door, GET, MISDIRECTED, POST, Row, TOO_LARGE, public};
use crate::api::oauth::{
    NODES, OURS, PROOF, REQUEST, RESOURCE, STREAM, STREAM_BEGUN, STREAM_DELIVERY, STREAM_NAMED, SUBJECT, SUBJECT_ROOM,
    VERIFICATION,
};
use crate::api::signals::{self as shapes, of};
use crate::api::{Asks, At, Operation, Told};
use crate::front::{Site, signals};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use hufu_offices::front::POLL_PATH;

const STREAM_PATH: &str = "/ssf/stream";
const STATUS_PATH: &str = "/ssf/status";

pub(super) fn rows() -> Vec<Row> {
    let mut metadata = public(
        "/.well-known/ssf-configuration",
        At::Platforms,
        "The metadata of the transmitter of shared signals (Shared Signals Framework section 7.1).",
        Told::Json(200, "The metadata.", shapes::metadata),
        || get(signals::metadata),
    );
    metadata.operation.answers.push(Told::Json(
        404,
        "This front has no key of its own, and signs no events.",
        shapes::absent,
    ));
    let mut rows = vec![metadata];
    rows.extend(configuration());
    rows.extend(events());
    rows
}

/// A request about a stream, in the name of an access token of scope ssf.manage.
fn managed(
    (method, path): (&'static str, &'static str),
    what: &'static str,
    asks: Asks,
    mut answers: Vec<Told>,
    serve: fn() -> MethodRouter<Site>,
) -> Row {
    answers.extend([Told::Resource(&[REQUEST, RESOURCE, PROOF, STREAM, OURS]), TOO_LARGE, MISDIRECTED]);
    let operation = Operation { method, path, at: At::Platforms, what, asks, answers };
    Row { door: Door::Platforms, operation, serve }
}

fn configuration() -> Vec<Row> {
    let changed = || {
        vec![
            Told::Json(200, "The stream as it is now.", of::<shapes::Stream>),
            Told::Resource(&[STREAM_NAMED, STREAM_DELIVERY]),
        ]
    };
    let change = Asks::Json(of::<shapes::StreamChange>);
    vec![
        managed(
            (POST, STREAM_PATH),
            "Begins the platform's stream (Shared Signals Framework section 8.1.1.1), with a token of client_credentials.",
            Asks::Json(of::<shapes::NewStream>),
            vec![
                Told::Json(201, "The stream.", of::<shapes::Stream>),
                Told::Resource(&[STREAM_BEGUN, STREAM_DELIVERY]),
            ],
            || post(signals::stream),
        ),
        managed(
            (GET, STREAM_PATH),
            "The platform's stream, or the list of it (section 8.1.1.2).",
            Asks::Query(shapes::ANY_STREAM),
            vec![
                Told::Json(200, "The stream, or without stream_id a list of one or none.", shapes::one_or_all),
                Told::Resource(&[STREAM_NAMED]),
            ],
            || get(signals::stream),
        ),
        managed(
            ("PATCH", STREAM_PATH),
            "Changes of the stream what is named (section 8.1.1.3).",
            change,
            changed(),
            || patch(signals::stream),
        ),
        managed(
            ("PUT", STREAM_PATH),
            "Replaces what the platform decides of the stream (section 8.1.1.4).",
            change,
            changed(),
            || put(signals::stream),
        ),
        managed(
            ("DELETE", STREAM_PATH),
            "Ends the stream; nothing of it is left (section 8.1.1.5).",
            Asks::Query(shapes::ONE_STREAM),
            vec![Told::Empty(204, "It has ended."), Told::Resource(&[STREAM_NAMED])],
            || delete(signals::stream),
        ),
    ]
}

fn events() -> Vec<Row> {
    let status = || vec![Told::Json(200, "The status.", of::<shapes::StreamStatus>), Told::Resource(&[STREAM_NAMED])];
    let subject = Asks::Json(of::<shapes::StreamSubject>);
    vec![
        managed(
            (GET, STATUS_PATH),
            "The stream's status (section 8.1.2.1).",
            Asks::Query(shapes::ONE_STREAM),
            status(),
            || get(signals::stream_status),
        ),
        managed(
            (POST, STATUS_PATH),
            "Enables, pauses or disables the stream (section 8.1.2.2).",
            Asks::Json(of::<shapes::StreamStatus>),
            status(),
            || post(signals::stream_status),
        ),
        managed(
            (POST, "/ssf/subjects/add"),
            "Adds a subject: two nodes must open its handle for this platform (section 8.1.3.2).",
            subject,
            vec![Told::Empty(200, "It is there."), Told::Resource(&[STREAM_NAMED, SUBJECT, SUBJECT_ROOM, NODES])],
            || post(signals::add_subject),
        ),
        managed(
            (POST, "/ssf/subjects/remove"),
            "Removes a subject (section 8.1.3.3).",
            subject,
            vec![Told::Empty(204, "It is not there."), Told::Resource(&[STREAM_NAMED, SUBJECT])],
            || post(signals::remove_subject),
        ),
        managed(
            (POST, "/ssf/verify"),
            "Asks for an event that only shows that the stream works (section 8.1.4.2).",
            Asks::Json(of::<shapes::StreamVerification>),
            vec![Told::Empty(204, "It will come."), Told::Resource(&[STREAM_NAMED, VERIFICATION])],
            || post(signals::verify_stream),
        ),
        managed(
            (POST, POLL_PATH),
            "Fetches events and acknowledges others (RFC 8936).",
            Asks::Json(of::<shapes::PollEvents>),
            vec![Told::Json(200, "What waits.", of::<shapes::PolledEvents>), Told::Resource(&[STREAM_NAMED])],
            || post(signals::poll_events),
        ),
    ]
}
