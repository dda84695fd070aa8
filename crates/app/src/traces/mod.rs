//! Traces for an operator's own collector, office by office (decision 0019): off unless `[tracing]` names one.
//!
//! A span that leaves this process is made of [`Finished`], which has no place for anything else: fields that are not of
//! [`hufu_web::traces::FIELDS`] are dropped, so are values that no table of ours holds. Times are given to the minute, with exact
//! durations, and spans are sent a minute's at a time in no order: two offices' traces cannot be joined by when they happened.

pub mod export;
mod otlp;

use hufu_kernel::{Rng, random};
use hufu_web::traces::{FIELDS, TARGET};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, filter};

/// Spans that wait to be sent; more are dropped, and nothing waits for them.
const WAITING: usize = 8_192;
/// The longest value; routes are the longest.
const LONGEST: usize = 96;

/// A span that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// Of this office alone.
    pub trace: [u8; 16],
    /// Its own.
    pub id: [u8; 8],
    /// The span around it.
    pub parent: Option<[u8; 8]>,
    /// `request`, `call`.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// Fields of the list.
    pub fields: BTreeMap<&'static str, String>,
}

/// A span under way.
struct UnderWay {
    began: Instant,
    span: Finished,
}

/// Keeps what the fields of the list say.
struct Listed<'a>(&'a mut BTreeMap<&'static str, String>);

impl Listed<'_> {
    fn keep(&mut self, field: &Field, value: &str) {
        let known = FIELDS.into_iter().find(|name| *name == field.name());
        // Names, codes and patterns of routes; a value of a request has no reason to look like one.
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_/.{}*".contains(&b);
        if let Some(name) = known.filter(|_| value.len() <= LONGEST && value.bytes().all(plain)) {
            self.0.insert(name, value.to_owned());
        }
    }
}

impl Visit for Listed<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "status" {
            self.keep(field, &value.to_string());
        }
    }

    // Whatever was not a text or a status was not meant for a span.
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// What hears of spans.
pub struct Traces {
    rng: Arc<dyn Rng>,
    queue: Sender<Finished>,
}

/// A layer for the subscriber, and where its spans come out.
#[must_use]
pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(rng: Arc<dyn Rng>) -> (impl Layer<S>, Receiver<Finished>) {
    let (queue, spans) = channel(WAITING);
    (Traces { rng, queue }.with_filter(OfOurs), spans)
}

/// Spans under our target alone; never an event.
struct OfOurs;

impl<S> Filter<S> for OfOurs {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        metadata.is_span() && metadata.target() == TARGET
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        if metadata.is_span() && metadata.target() == TARGET {
            tracing::subscriber::Interest::always()
        } else {
            tracing::subscriber::Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<filter::LevelFilter> {
        Some(filter::LevelFilter::TRACE)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Traces {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let around = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            extensions.get::<UnderWay>().map(|under_way| (under_way.span.trace, under_way.span.id))
        });
        let mut fields = BTreeMap::new();
        attributes.record(&mut Listed(&mut fields));
        let own = Finished {
            trace: around.map_or_else(|| random(self.rng.as_ref()), |(trace, _)| trace),
            id: random(self.rng.as_ref()),
            parent: around.map(|(_, id)| id),
            name: attributes.metadata().name(),
            took: Duration::ZERO,
            fields,
        };
        span.extensions_mut().insert(UnderWay { began: Instant::now(), span: own });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(under_way) = span.extensions_mut().get_mut::<UnderWay>() {
            values.record(&mut Listed(&mut under_way.span.fields));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let ended = context.span(&id).and_then(|span| span.extensions_mut().remove::<UnderWay>());
        if let Some(UnderWay { began, span }) = ended {
            // A full queue: the collector is away, and the office goes on.
            let _ = self.queue.try_send(Finished { took: began.elapsed(), ..span });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::OsRng;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn spans(doing: impl FnOnce()) -> Vec<Finished> {
        let (layer, mut spans) = layer(Arc::new(OsRng));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), doing);
        std::iter::from_fn(|| spans.try_recv().ok()).collect()
    }

    #[test]
    fn a_span_says_what_is_on_the_list_and_nothing_else() {
        let handle = "Zx81SecretHandle";
        let spans = spans(|| {
            let span = tracing::trace_span!(
                target: TARGET, "request", office = "node-1", route = "/tx/{tx}", status = tracing::field::Empty,
                refusal = tracing::field::Empty, handle, peer = %handle, outcome = handle
            );
            span.record("status", 403_u64);
            span.record("refusal", "locked");
            tracing::info!(target: TARGET, handle, "an event");
            tracing::trace_span!(target: "hufu_offices", "request", office = "front", route = "/elsewhere")
                .in_scope(|| ());
        });
        let fields: Vec<_> = spans.iter().map(|span| &span.fields).collect();
        let wanted = [("office", "node-1"), ("refusal", "locked"), ("route", "/tx/{tx}"), ("status", "403")];
        let wanted: BTreeMap<_, _> = wanted.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        assert_eq!(fields, [&wanted]);
    }

    #[test]
    fn a_span_inside_another_is_of_its_trace_and_the_next_request_of_another() {
        let spans = spans(|| {
            for _ in 0..2 {
                tracing::trace_span!(target: TARGET, "request").in_scope(|| {
                    tracing::trace_span!(target: TARGET, "call").in_scope(|| ());
                });
            }
        });
        let [inner, outer, second, other] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((inner.trace, inner.parent, outer.parent), (outer.trace, Some(outer.id), None));
        assert_eq!(second.trace, other.trace);
        assert_ne!(outer.trace, other.trace);
    }
}
