//! How the words look in JSON, as JSON Schema 2020-12, for the description of the API. Only with the feature `schema`: no wallet has it.

use crate::{Bytes, NodeIndex, Octets, Pair};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};
use std::borrow::Cow;

/// A schema of these members; none of another kind of value.
#[must_use]
pub fn schema_of(members: Value) -> Schema {
    match members {
        Value::Object(members) => Schema::from(members),
        _ => Schema::default(),
    }
}

impl JsonSchema for Bytes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema_of(json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]*$", "contentEncoding": "base64url" }))
    }
}

impl<const N: usize> JsonSchema for Octets<N> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Octets{N}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Without padding: 4 characters for 3 bytes, the last group as short as it can be.
        let length = (N * 4).div_ceil(3);
        schema_of(json!({
            "type": "string",
            "pattern": format!("^[A-Za-z0-9_-]{{{length}}}$"),
            "contentEncoding": "base64url",
        }))
    }
}

impl JsonSchema for NodeIndex {
    fn schema_name() -> Cow<'static, str> {
        "NodeIndex".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema_of(json!({
            "type": "integer",
            "minimum": 1,
            "maximum": 3,
            "description": "Which of the three nodes.",
        }))
    }
}

impl JsonSchema for Pair {
    fn schema_name() -> Cow<'static, str> {
        "Pair".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema_of(json!({
            "type": "array",
            "items": generator.subschema_for::<NodeIndex>(),
            "minItems": 2,
            "maxItems": 2,
            "uniqueItems": true,
            "description": "The two nodes that serve one request; in answers the lower index first.",
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern<T: JsonSchema>() -> String {
        let schema = SchemaGenerator::default().subschema_for::<T>();
        schema.get("pattern").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    #[test]
    fn the_pattern_of_bytes_of_a_length_is_as_long_as_their_base64url() {
        for (pattern, bytes) in [
            (pattern::<Octets<16>>(), crate::b64(&[0; 16])),
            (pattern::<Octets<32>>(), crate::b64(&[0; 32])),
            (pattern::<Octets<33>>(), crate::b64(&[0; 33])),
            (pattern::<Octets<64>>(), crate::b64(&[0; 64])),
        ] {
            assert_eq!(pattern, format!("^[A-Za-z0-9_-]{{{}}}$", bytes.len()));
        }
    }
}
