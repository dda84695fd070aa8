//! A sample platform as a receiver of shared signals: it opens a stream, adds the handles of whoever signs in, and polls when a page is
//! looked at. All of it is in memory; after a restart of the service it begins again.

use crate::http::{send, send_as};
use hufu_kernel::{Rng, Timestamp};
use hufu_platform::Jwks;
use hufu_platform::client::{HttpRequest, ReceivedEvent, RelyingParty, verify_event};
use hufu_wire::subject_handle::SubjectHandle;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::Mutex;

/// Handles that are watched at once; the service would take more.
const MOST: usize = 5_000;

/// Seconds before its end that a token is replaced.
const SPARE: i64 = 30;

/// What the receiver holds.
#[derive(Default)]
pub struct Told {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<(String, Timestamp)>,
    stream: Option<String>,
    keys: Option<Jwks>,
    /// Handles and whose they are.
    watched: BTreeMap<String, String>,
    done: Vec<String>,
}

/// How a request to the service is made.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The platform's side of the service.
    pub party: &'a RelyingParty,
    /// The client.
    pub http: &'a reqwest::Client,
    /// The present.
    pub now: Timestamp,
    /// Randomness.
    pub rng: &'a dyn Rng,
}

impl Way<'_> {
    async fn send(&self, request: HttpRequest) -> Result<(u16, String), String> {
        send_as(self.party, self.http, request, self.now, self.rng).await
    }
}

impl Told {
    /// Watches a handle of `sub`.
    ///
    /// # Errors
    /// A sentence; the sign-in goes on without.
    pub async fn watch(&self, way: Way<'_>, handle: &SubjectHandle, sub: &str) -> Result<(), String> {
        let mut held = self.held.lock().await;
        if held.watched.len() >= MOST {
            return Err("enough people are watched".into());
        }
        held.watched.insert(handle.to_string(), sub.to_owned());
        let stream = held.stream(way).await?;
        held.add(way, &stream, &handle.to_string()).await
    }

    /// What happened since the last time: whose, and what. Those whose handles the service does not know any more are forgotten.
    ///
    /// # Errors
    /// A sentence.
    pub async fn news(&self, way: Way<'_>) -> Result<Vec<(String, ReceivedEvent)>, String> {
        let mut held = self.held.lock().await;
        if held.watched.is_empty() {
            return Ok(Vec::new());
        }
        held.stream(way).await?;
        let asked = json!({ "returnImmediately": true, "ack": held.done });
        let (status, body) = held.ask(way, "/ssf/events", &asked).await?;
        if status == 404 {
            // The service began anew: so does the stream.
            held.stream = None;
            held.stream(way).await?;
            return Ok(Vec::new());
        }
        let told: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        let sets = told["sets"].as_object().ok_or("no events in the answer")?;
        let keys = held.keys(way).await?;
        held.done = sets.keys().cloned().collect();
        let party = way.party;
        let read = sets.values().filter_map(Value::as_str);
        let read = read.filter_map(|set| verify_event(set, &keys, &party.issuer, &party.client_id));
        Ok(read.filter_map(|event| Some((held.watched.get(&event.subject)?.clone(), event))).collect())
    }
}

impl Held {
    async fn keys(&mut self, way: Way<'_>) -> Result<Jwks, String> {
        if let Some(keys) = &self.keys {
            return Ok(keys.clone());
        }
        let url = format!("{}/jwks.json", way.party.issuer);
        let published = HttpRequest { method: "GET", url, headers: Vec::new(), body: String::new() };
        let (_, text) = send(way.http, published).await?;
        let keys = Jwks::from_json(text.as_bytes()).map_err(|error| error.to_string())?;
        Ok(self.keys.insert(keys).clone())
    }

    async fn token(&mut self, way: Way<'_>) -> Result<String, String> {
        if let Some((token, _)) = self.token.as_ref().filter(|(_, exp)| way.now < *exp - SPARE) {
            return Ok(token.clone());
        }
        let request = way.party.manage(way.now, way.rng).map_err(|error| error.to_string())?;
        let (status, body) = way.send(request).await?;
        let token = way.party.granted(status, &body).map_err(|error| error.to_string())?;
        self.token = Some((token.clone(), way.now + 300));
        Ok(token)
    }

    async fn ask(&mut self, way: Way<'_>, path: &str, body: &Value) -> Result<(u16, String), String> {
        let token = self.token(way).await?;
        let request = way.party.resource(("POST", path), &token, Some(body), (way.now, way.rng));
        way.send(request.map_err(|error| error.to_string())?).await
    }

    /// The stream, with everybody in it who is watched.
    async fn stream(&mut self, way: Way<'_>) -> Result<String, String> {
        if let Some(stream) = &self.stream {
            return Ok(stream.clone());
        }
        let (status, body) = self.ask(way, "/ssf/stream", &json!({})).await?;
        let body = match status {
            201 => body,
            // The platform began anew, and the service did not.
            409 => {
                let token = self.token(way).await?;
                let request = way.party.resource(("GET", "/ssf/stream"), &token, None, (way.now, way.rng));
                way.send(request.map_err(|error| error.to_string())?).await?.1
            }
            _ => return Err(format!("no stream: {body}")),
        };
        let told: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        let own = told.get(0).unwrap_or(&told);
        let stream = own["stream_id"].as_str().ok_or("a stream without a name")?.to_owned();
        let watched: Vec<String> = self.watched.keys().cloned().collect();
        for handle in watched {
            if self.add(way, &stream, &handle).await.is_err() {
                self.watched.remove(&handle);
            }
        }
        self.stream = Some(stream.clone());
        Ok(stream)
    }

    async fn add(&mut self, way: Way<'_>, stream: &str, handle: &str) -> Result<(), String> {
        let subject = json!({ "format": "opaque", "id": handle });
        let (status, body) =
            self.ask(way, "/ssf/subjects/add", &json!({ "stream_id": stream, "subject": subject })).await?;
        if status == 200 { Ok(()) } else { Err(body) }
    }
}
