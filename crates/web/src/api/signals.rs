//! What platforms send and get about their streams of shared signals (OpenID Shared Signals Framework 1.0): the shapes, which no type of
//! ours has, since what is not known of them is no mistake.

use super::Parameter;
use super::oauth::{may, must};
use hufu_kernel::schema_of;
use hufu_wire::subject_handle::SubjectHandle;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// A body with a name of its own.
pub fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident($generator:ident) => $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                schema_of($value)
            }
        }
    )*};
}

shapes! {
    /// What a platform decides of a new stream (section 8.1.1.1).
    NewStream(_generator) => json!({
        "type": "object",
        "description": "What a platform decides of its stream.",
        "properties": decided(),
    });

    /// What a platform changes of its stream (sections 8.1.1.3, 8.1.1.4).
    StreamChange(_generator) => {
        let mut properties = decided();
        properties["stream_id"] = stream_id();
        json!({
            "type": "object",
            "description": "A change of a stream. What only the service decides may stand in it as it is.",
            "properties": properties,
            "required": ["stream_id"],
        })
    };

    /// A stream as its platform sees it (section 8.1.1).
    Stream(_generator) => {
        let mut properties = decided();
        properties["stream_id"] = stream_id();
        for name in ["iss", "aud"] {
            properties[name] = json!({ "type": "string" });
        }
        for name in ["events_supported", "events_delivered"] {
            properties[name] = json!({ "type": "array", "items": { "type": "string" } });
        }
        properties["min_verification_interval"] = json!({ "type": "integer", "description": "Seconds." });
        json!({
            "type": "object",
            "description": "A stream. It ends when the service restarts.",
            "properties": properties,
            "required": [
                "stream_id", "iss", "aud", "events_supported", "events_requested", "events_delivered", "delivery",
                "min_verification_interval",
            ],
        })
    };

    /// A stream's status (section 8.1.2).
    StreamStatus(_generator) => json!({
        "type": "object",
        "description": "A stream's status: as it is, or as its platform wants it.",
        "properties": {
            "stream_id": stream_id(),
            "status": {
                "enum": ["enabled", "paused", "disabled"],
                "description": "What happens while it is paused is told afterwards; while it is disabled, never.",
            },
            "reason": { "type": "string", "maxLength": 1024 },
        },
        "required": ["stream_id", "status"],
    });

    /// A subject (section 8.1.3, RFC 9493 section 3.2.7).
    StreamSubject(generator) => json!({
        "type": "object",
        "description": "Somebody whom a stream is about.",
        "properties": {
            "stream_id": stream_id(),
            "subject": {
                "type": "object",
                "properties": {
                    "format": { "const": "opaque" },
                    "id": generator.subschema_for::<SubjectHandle>(),
                },
                "required": ["format", "id"],
            },
        },
        "required": ["stream_id", "subject"],
    });

    /// A wish for an event that only shows that the stream works (section 8.1.4.2).
    StreamVerification(_generator) => json!({
        "type": "object",
        "description": "A wish for an event that only shows that the stream works.",
        "properties": {
            "stream_id": stream_id(),
            "state": { "type": "string", "maxLength": 1024, "description": "Stands in the event." },
        },
        "required": ["stream_id"],
    });

    /// A poll (RFC 8936 section 2.2).
    PollEvents(_generator) => json!({
        "type": "object",
        "description": "A poll for events.",
        "properties": {
            "maxEvents": { "type": "integer", "minimum": 0, "description": "100 without, and at most." },
            "returnImmediately": { "type": "boolean", "description": "Without it an answer waits up to 5 seconds for an event." },
            "ack": { "type": "array", "items": { "type": "string" }, "description": "The jti of what was taken." },
            "setErrs": { "type": "object", "description": "By jti, why it was refused." },
        },
    });

    /// The answer to a poll (RFC 8936 section 2.3).
    PolledEvents(_generator) => json!({
        "type": "object",
        "description": "Events that wait, the oldest first. They come again until they are acknowledged.",
        "properties": {
            "sets": {
                "type": "object",
                "description": "By jti, a security event token (RFC 8417).",
                "additionalProperties": { "type": "string" },
            },
            "moreAvailable": { "type": "boolean" },
        },
        "required": ["sets", "moreAvailable"],
    });
}

fn stream_id() -> Value {
    json!({ "type": "string", "maxLength": 1024 })
}

fn decided() -> Value {
    json!({
        "events_requested": {
            "type": "array",
            "items": { "type": "string", "maxLength": 256 },
            "maxItems": 32,
            "description": "Types of events; all that there are without.",
        },
        "delivery": {
            "type": "object",
            "description": "Poll without.",
            "properties": {
                "method": { "enum": ["urn:ietf:rfc:8936", "urn:ietf:rfc:8935"], "description": "Poll, or push." },
                "endpoint_url": {
                    "type": "string",
                    "description": "Of push: the certificate's ssf_push_uri, character for character. Of poll: where to, in answers.",
                },
                "authorization_header": {
                    "type": "string",
                    "maxLength": 1024,
                    "description": "Of push: what the platform wants to see as Authorization. It is in no answer.",
                },
            },
            "required": ["method"],
        },
        "description": { "type": "string", "maxLength": 1024, "description": "The platform's own words." },
    })
}

/// The platform's stream if the query names it, else the list of its streams, which are one or none.
pub fn one_or_all(generator: &mut SchemaGenerator) -> Schema {
    let stream = generator.subschema_for::<Stream>();
    schema_of(json!({ "anyOf": [stream, { "type": "array", "items": stream }] }))
}

/// The transmitter's metadata (section 7.1).
pub fn metadata(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({
        "type": "object",
        "properties": {
            "spec_version": { "type": "string" },
            "issuer": { "type": "string" },
            "jwks_uri": { "type": "string" },
            "delivery_methods_supported": { "type": "array", "items": { "type": "string" } },
            "configuration_endpoint": { "type": "string" },
            "default_subjects": { "const": "NONE" },
        },
        "required": ["spec_version", "issuer", "jwks_uri", "delivery_methods_supported", "configuration_endpoint"],
    }))
}

/// Where there is no transmitter.
pub fn absent(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({
        "type": "object",
        "properties": { "error": { "const": "not_found" } },
        "required": ["error"],
        "additionalProperties": false,
    }))
}

const STREAM_ID: &str = "The stream's stream_id.";

/// The stream of a query that may name one.
pub const ANY_STREAM: &[Parameter] = &[may("stream_id", STREAM_ID, "…")];

/// The stream of a query that must name one.
pub const ONE_STREAM: &[Parameter] = &[must("stream_id", STREAM_ID, "…")];
