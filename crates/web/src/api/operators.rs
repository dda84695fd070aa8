//! What stands outside the offices' tables: the reads of operators, and what everybody pins.

use super::{Asks, At, Operation, Told};
use crate::{health, metrics};
use hufu_kernel::schema_of;
use schemars::{Schema, SchemaGenerator};
use serde_json::json;

/// The operations.
pub(super) fn operations() -> Vec<Operation> {
    let read = |path, at, what, answers| Operation { method: "GET", path, at, what, asks: Asks::Nothing, answers };
    let [live, ready] = health::PATHS;
    vec![
        read(
            health::TRUST_PATH,
            At::Pins,
            "The trust root's public half. Wallets and platforms pin it once; it is never taken from the front.",
            vec![Told::Json(200, "The trust root.", trust)],
        ),
        read(
            "/services.json",
            At::Pins,
            "Where the wallet's scripts find the offices.",
            vec![Told::Json(200, "Origins.", services)],
        ),
        read(live, At::Operators, "Whether the process answers.", vec![Told::Other(200, "It does.", "text/plain")]),
        read(
            ready,
            At::Operators,
            "Whether the office can work, with reasons.",
            vec![
                Told::Json(200, "It can; notes say what is missing and can be done without.", health::readiness),
                Told::Json(503, "It cannot, and why.", health::readiness),
            ],
        ),
        read(
            metrics::PATH,
            At::Operators,
            "Counters, at an address of its own. No label names a person or a platform.",
            vec![Told::Other(200, "OpenMetrics 1.0 text.", "application/openmetrics-text")],
        ),
    ]
}

fn trust(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({
        "type": "object",
        "required": [
            "root", "root_id", "issuer", "wallet_origin", "rp_id", "offices", "nodes", "taggers", "group_key", "group_shares",
        ],
        "properties": {
            "root": { "enum": ["sandbox", "production"] },
            "issuer": { "type": "string" },
            "wallet_origin": { "type": "string" },
            "rp_id": { "type": "string" },
            "group_key": { "type": "string", "description": "Ed25519: what ID tokens of two nodes verify under." },
        },
    }))
}

fn services(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({
        "type": "object",
        "required": ["front", "registrar", "nodes"],
        "properties": {
            "front": { "type": "string" },
            "registrar": { "type": "string" },
            "nodes": { "type": "array", "items": { "type": "string" }, "minItems": 3, "maxItems": 3 },
        },
        "additionalProperties": false,
    }))
}
