//! The document's messages for the page that shows them: members with their types in words.

use serde_json::Value;

/// One message.
#[derive(Debug)]
pub(crate) struct Message {
    /// The type's name.
    pub name: String,
    /// What it is.
    pub what: String,
    /// Its members; none of what is no object.
    pub members: Vec<Member>,
    /// What it is, where it has no members.
    pub kind: String,
}

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its name.
    pub name: String,
    /// Its type in words.
    pub kind: String,
    /// The message that it is, or that it has a list of.
    pub of: Option<String>,
    /// Whether it may be left out.
    pub optional: bool,
    /// What it says.
    pub what: String,
}

/// Every message of a document, by name.
pub(crate) fn messages(document: &Value) -> Vec<Message> {
    let schemas = document["components"]["schemas"].as_object();
    schemas.into_iter().flatten().map(|(name, schema)| message(name, schema)).collect()
}

fn message(name: &str, schema: &Value) -> Message {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let members = schema["properties"].as_object().into_iter().flatten().map(|(name, member)| Member {
        name: name.clone(),
        kind: kind(member),
        of: name_of(member),
        optional: !required.contains(&name.as_str()),
        what: said(member),
    });
    Message { name: name.to_owned(), what: said(schema), members: members.collect(), kind: kind(schema) }
}

fn said(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('`', "")
}

/// The message that a schema refers to, itself or in a list or choice.
pub(crate) fn name_of(schema: &Value) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().map(str::to_owned);
    }
    let parts = ["anyOf", "oneOf", "allOf"].iter().filter_map(|word| schema[*word].as_array()).flatten();
    parts.chain(schema.get("items")).find_map(name_of)
}

/// A type in words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return name.to_owned();
    }
    if let Some(parts) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let mut parts: Vec<String> = parts.iter().map(kind).filter(|part| part != "null").collect();
        parts.dedup();
        return parts.join(", or ");
    }
    if let Some(part) = schema["allOf"].as_array().and_then(|parts| parts.first()) {
        return kind(part);
    }
    if let Some(only) = schema["const"].as_str() {
        return format!("\"{only}\"");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    }
    let named = match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        name => name.as_str(),
    };
    match (named.unwrap_or("any"), schema["contentEncoding"].as_str()) {
        ("string", Some(encoding)) => format!("string, {encoding}"),
        ("array", _) if schema.get("items").is_some() => format!("list of {}", kind(&schema["items"])),
        ("array", _) => "list".to_owned(),
        ("object", _) if schema["properties"].is_object() => {
            let names = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
            format!("object of {}", names.collect::<Vec<_>>().join(", "))
        }
        (named, _) => named.to_owned(),
    }
}

/// Descriptions come from the sources' comments, where a name in square brackets is a link: here it is a name.
pub(super) fn plain(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "description" => *text = text.replace("[`", "`").replace("`]", "`"),
                    other => plain(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_are_said_in_words() {
        for (schema, words, of) in [
            (json!({ "$ref": "#/components/schemas/Ticket" }), "Ticket", Some("Ticket")),
            (json!({ "type": ["string", "null"], "contentEncoding": "base64url" }), "string, base64url", None),
            (json!({ "anyOf": [{ "$ref": "#/x/Pair" }, { "type": "null" }] }), "Pair", Some("Pair")),
            (json!({ "type": "array", "items": { "$ref": "#/x/Device" } }), "list of Device", Some("Device")),
            (json!({ "enum": ["a", "b"] }), "\"a\", \"b\"", None),
            (json!({}), "any", None),
        ] {
            assert_eq!((kind(&schema).as_str(), name_of(&schema).as_deref()), (words, of));
        }
    }
}
