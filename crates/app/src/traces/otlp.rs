//! OTLP 1.x over HTTP, JSON encoding (opentelemetry-proto, `ExportTraceServiceRequest`): numbers of 64 bits are strings, identifiers
//! hexadecimal. A test has a library that is not ours read it.

use super::Finished;
use hufu_kernel::{Timestamp, hex};
use serde_json::{Value, json};

/// Span kinds of the specification.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// Status code *error*.
const ERROR: u8 = 2;

/// The spans of `office` as one request. Each begins with the minute, and has its own length.
pub fn request(office: &str, spans: &[Finished], now: Timestamp) -> Value {
    let minute = u128::try_from(now.0 - now.0.rem_euclid(60)).unwrap_or_default() * 1_000_000_000;
    let spans: Vec<Value> = spans.iter().map(|span| of(span, minute)).collect();
    let named = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let resource = [named("service.namespace", "hufu"), named("service.name", office)];
    json!({
        "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": { "name": "hufu", "version": env!("CARGO_PKG_VERSION") }, "spans": spans }],
        }],
    })
}

/// A field's name among OpenTelemetry's conventions, where it has one.
fn key(field: &str) -> &str {
    match field {
        "route" => "http.route",
        "status" => "http.response.status_code",
        "refusal" => "hufu.refusal",
        "peer" => "server.address",
        "outcome" => "hufu.outcome",
        other => other,
    }
}

fn of(span: &Finished, minute: u128) -> Value {
    let attribute = |(field, value): (&&str, &String)| {
        let value = match *field {
            "status" => json!({ "intValue": value }),
            _ => json!({ "stringValue": value }),
        };
        json!({ "key": key(field), "value": value })
    };
    // The office is the resource's.
    let attributes: Vec<Value> = span.fields.iter().filter(|(field, _)| **field != "office").map(attribute).collect();
    let failed = span.fields.get("status").is_some_and(|status| status.starts_with('5'))
        || span.fields.get("outcome").is_some_and(|outcome| outcome != "answered");
    let mut value = json!({
        "traceId": hex(&span.trace),
        "spanId": hex(&span.id),
        "name": span.fields.get("route").map_or(span.name, String::as_str),
        "kind": if span.name == "call" { CLIENT } else { SERVER },
        "startTimeUnixNano": minute.to_string(),
        "endTimeUnixNano": (minute + span.took.as_nanos()).to_string(),
        "attributes": attributes,
        "status": if failed { json!({ "code": ERROR }) } else { json!({}) },
    });
    if let Some(parent) = span.parent {
        value["parentSpanId"] = hex(&parent).into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn span(name: &'static str, parent: Option<[u8; 8]>, fields: &[(&'static str, &str)]) -> Finished {
        let fields: BTreeMap<_, _> = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Finished { trace: [7; 16], id: [9; 8], parent, name, took: Duration::from_micros(1_250), fields }
    }

    #[test]
    fn a_library_that_is_not_ours_reads_what_is_sent() {
        let spans = [
            span("request", None, &[("office", "front"), ("route", "/par"), ("status", "503"), ("refusal", "busy")]),
            span("call", Some([9; 8]), &[("peer", "registry"), ("outcome", "answered")]),
        ];
        let sent = request("front", &spans, Timestamp(1_790_000_045)).to_string();
        let read: ExportTraceServiceRequest = serde_json::from_str(&sent).unwrap();
        let [resource] = read.resource_spans.as_slice() else { panic!("{read:?}") };
        let names = &resource.resource.as_ref().unwrap().attributes;
        let text = |any: &Any| match any {
            Any::StringValue(text) => text.clone(),
            Any::IntValue(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        let value = |of: &opentelemetry_proto::tonic::common::v1::KeyValue| {
            text(of.value.as_ref().unwrap().value.as_ref().unwrap())
        };
        assert!(names.iter().any(|one| one.key == "service.name" && value(one) == "front"));
        let [outer, inner] = resource.scope_spans[0].spans.as_slice() else { panic!("{read:?}") };
        assert_eq!((outer.trace_id.as_slice(), outer.span_id.as_slice()), ([7; 16].as_slice(), [9; 8].as_slice()));
        assert_eq!((outer.kind, inner.kind, outer.name.as_str(), inner.name.as_str()), (2, 3, "/par", "call"));
        assert_eq!((outer.parent_span_id.len(), inner.parent_span_id.as_slice()), (0, [9; 8].as_slice()));
        assert_eq!(
            (outer.start_time_unix_nano % 60_000_000_000, outer.end_time_unix_nano - outer.start_time_unix_nano),
            (0, 1_250_000)
        );
        assert_eq!(
            (outer.status.as_ref().unwrap().code, inner.status.as_ref().map_or(0, |status| status.code)),
            (2, 0)
        );
        let attributes: Vec<(String, String)> =
            outer.attributes.iter().map(|one| (one.key.clone(), value(one))).collect();
        let wanted = [("hufu.refusal", "busy"), ("http.route", "/par"), ("http.response.status_code", "503")];
        assert_eq!(attributes, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
