//! The transmitter of shared signals (decision 0027): what platforms ask of their streams, and the beat at which nodes are asked where the
//! people stand whose handles they presented.

use super::later::Said;
use super::streams::{Asking, Pushing, View};
use super::{Admitted, Front, Incoming, limits, public};
use crate::ports::Delivered;
use hufu_kernel::{Pair, Refusal, Rng, b64, random};
use hufu_oidc::provider::{self, Call, Client, Environment};
use hufu_oidc::signals::{self, Event, Poll, SET_TYP, StreamConfig};
use hufu_oidc::{Challenge, Form, OAuthError, Reply};
use hufu_wire::api::handles::MAX_ASKED;
use hufu_wire::subject_handle::{HandleUse, SubjectHandle};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a receiver that polls may wait for an event.
const LONG_POLL: Duration = Duration::from_secs(5);
/// How long a pair of nodes may take to answer one question.
const PATIENCE: Duration = Duration::from_secs(2);
/// Events pushed to one platform in a row.
const PUSHED_AT_ONCE: usize = 20;
/// Seconds that an event is held at most.
const HELD_AT_MOST: i64 = 120;

/// A platform's request about its stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Managed<'a> {
    /// Method, headers, certificate; the form is not looked at.
    pub incoming: Incoming<'a>,
    /// The address's query.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl Front {
    /// The transmitter's metadata (SSF section 7.1). A front without a key for what it signs transmits nothing.
    #[must_use]
    pub fn signals_metadata(&self) -> Reply {
        match self.responses.public() {
            Some(_) => public(&signals::metadata(&self.provider)),
            None => Reply::json(404, &json!({ "error": "not_found" })),
        }
    }

    /// The stream's configuration (SSF section 8.1.1): POST, GET, PATCH, PUT, DELETE.
    pub async fn stream(&self, request: &Managed<'_>) -> Reply {
        self.managed(request, "/ssf/stream", async |_, client| match request.incoming.method {
            "POST" => self.create_stream(client, request.body),
            "GET" => self.shown_stream(client, request),
            "PATCH" => self.changed_stream(client, request.body, false),
            "PUT" => self.changed_stream(client, request.body, true),
            "DELETE" => {
                let id = named(request)?.ok_or(OAuthError::StreamMalformed)?;
                self.streams.end((client_id(client), &id))?;
                Ok(Reply::empty(204))
            }
            _ => Err(OAuthError::StreamMalformed),
        })
        .await
    }

    fn create_stream(&self, client: &Client, body: &[u8]) -> Result<Reply, OAuthError> {
        let config = StreamConfig::create(body, &client.certificate.registration)?;
        let id = b64(&random::<16>(self.ports.rng.as_ref()));
        let view = self.streams.create(client_id(client), id, config)?;
        Ok(Reply::json(201, &self.shown(client, &view)))
    }

    /// One stream, or the list of all of them, which are one or none.
    fn shown_stream(&self, client: &Client, request: &Managed<'_>) -> Result<Reply, OAuthError> {
        let view = self.streams.view(client_id(client));
        match named(request)? {
            Some(id) => {
                let view = view.filter(|view| view.id == id).ok_or(OAuthError::StreamUnknown)?;
                Ok(Reply::json(200, &self.shown(client, &view)))
            }
            None => Ok(Reply::json(200, &view.iter().map(|view| self.shown(client, view)).collect::<Vec<_>>())),
        }
    }

    fn changed_stream(&self, client: &Client, body: &[u8], whole: bool) -> Result<Reply, OAuthError> {
        let id = signals::stream_of(body)?;
        let view = self.streams.change((client_id(client), &id), |view| {
            let shown = self.shown(client, view);
            view.config.changed(body, whole, (&client.certificate.registration, &shown))
        })?;
        Ok(Reply::json(200, &self.shown(client, &view)))
    }

    fn shown(&self, client: &Client, view: &View) -> serde_json::Value {
        view.config.shown(&self.provider, client_id(client), &view.id)
    }

    /// The stream's status (SSF section 8.1.2): GET, POST.
    pub async fn stream_status(&self, request: &Managed<'_>) -> Reply {
        self.managed(request, "/ssf/status", async |_, client| {
            let view = match request.incoming.method {
                "POST" => {
                    let (id, wanted) = (signals::stream_of(request.body)?, signals::read_status(request.body)?);
                    self.streams.set_status((client_id(client), &id), wanted)?
                }
                _ => {
                    let id = named(request)?.ok_or(OAuthError::StreamMalformed)?;
                    let view = self.streams.view(client_id(client)).filter(|view| view.id == id);
                    view.ok_or(OAuthError::StreamUnknown)?
                }
            };
            let mut told = json!({ "stream_id": view.id, "status": view.status.as_str() });
            if let Some(reason) = view.reason {
                told["reason"] = reason.into();
            }
            Ok(Reply::json(200, &told))
        })
        .await
    }

    /// Adds a subject (SSF section 8.1.3.2): both nodes of the handle must open it for this platform and say the same of the person. If the
    /// sessions of its sign-in have ended already, that is an event, and nobody is watched.
    pub async fn add_subject(&self, request: &Managed<'_>) -> Reply {
        self.managed(request, "/ssf/subjects/add", async |env, client| {
            let (id, handle) = (signals::stream_of(request.body)?, signals::read_subject(request.body)?);
            let of = (client_id(client), id.as_str());
            if self.streams.has(of, &handle)? {
                return Ok(Reply::empty(200));
            }
            let said = self.standings(client_id(client), HandleUse::Signals, &handle).await;
            let said = said.map_err(|_| OAuthError::NodesAway)?;
            if said.contains(&None) {
                return Err(OAuthError::StreamSubject);
            }
            let known = signals::agreed(said).ok_or(OAuthError::NodesAway)?;
            if known[0].same_epoch {
                self.streams.add(of, handle, known)?;
            } else {
                self.streams.add_ended(of, &handle, env.now)?;
                self.release_of(Some(client_id(client))).await;
            }
            Ok(Reply::empty(200))
        })
        .await
    }

    /// Removes a subject (SSF section 8.1.3.3).
    pub async fn remove_subject(&self, request: &Managed<'_>) -> Reply {
        self.managed(request, "/ssf/subjects/remove", async |_, client| {
            let (id, handle) = (signals::stream_of(request.body)?, signals::read_subject(request.body)?);
            self.streams.remove((client_id(client), &id), &handle)?;
            Ok(Reply::empty(204))
        })
        .await
    }

    /// Sends an event that only shows that the stream works (SSF section 8.1.4).
    pub async fn verify_stream(&self, request: &Managed<'_>) -> Reply {
        self.managed(request, "/ssf/verify", async |env, client| {
            let (id, state) = (signals::stream_of(request.body)?, signals::read_state(request.body)?);
            let of = (client_id(client), id.as_str());
            self.streams.verify(of, env.now)?;
            let (jti, set) = self.event_token(of.0, &id, &Event::Verification { state })?;
            self.streams.put_verification(of, jti, set)?;
            Ok(Reply::empty(204))
        })
        .await
    }

    /// Gives events to a receiver that polls, and waits a moment for one (RFC 8936).
    pub async fn poll_events(&self, request: &Managed<'_>) -> Reply {
        self.managed(request, signals::POLL_PATH, async |_, client| {
            let poll = Poll::read(request.body)?;
            if poll.refused > 0 {
                tracing::info!(refused = poll.refused, "a receiver of signals refused events");
            }
            let client_id = client_id(client);
            let wake = self.streams.wake(client_id)?;
            // Before looking: what comes between looking and waiting wakes too.
            let woken = wake.notified();
            let (mut sets, mut more) = self.streams.poll(client_id, &poll.done, poll.most)?;
            if sets.is_empty() && poll.most > 0 && !poll.at_once {
                let _in_time = tokio::time::timeout(LONG_POLL, woken).await;
                (sets, more) = self.streams.poll(client_id, &BTreeSet::new(), poll.most)?;
            }
            Ok(Reply::json(200, &signals::polled(&sets, more)))
        })
        .await
    }

    /// Signs an event, now: its identifier, and the token.
    fn event_token(&self, client_id: &str, subject: &str, event: &Event) -> Result<(String, String), OAuthError> {
        let jti = b64(&random::<16>(self.ports.rng.as_ref()));
        let claims = event.claims((&self.provider.issuer, client_id), subject, self.now(), &jti);
        let set = self.signed(SET_TYP, &claims).map_err(|_| OAuthError::Internal)?;
        Ok((jti, set))
    }

    /// Signs what is due, and puts it where receivers get it.
    pub async fn release(&self) {
        self.release_of(None).await;
    }

    async fn release_of(&self, client_id: Option<&str>) {
        for due in self.streams.due(client_id, self.now()) {
            match self.event_token(&due.client_id, &due.subject, &due.event) {
                Ok((jti, set)) => self.streams.put((&due.client_id, &due.id), due.number, jti, set),
                Err(error) => tracing::error!(error = error.name(), "an event cannot be signed; it is tried again"),
            }
            // A thousand signatures in a row are no reason to answer nobody meanwhile.
            tokio::task::yield_now().await;
        }
    }

    async fn managed(
        &self,
        request: &Managed<'_>,
        path: &'static str,
        decide: impl AsyncFnOnce(&Environment<'_>, &Client) -> Result<Reply, OAuthError>,
    ) -> Reply {
        let Incoming { method, authorization, dpop, certificate, .. } = request.incoming;
        let form = Form::default();
        let call = Call { method, authorization, dpop, certificate, form: &form };
        let now = self.now();
        let clients = Admitted(self, now);
        let env = clients.environment();
        let manager = match provider::manager(&env, &call, path) {
            Ok(manager) => manager,
            Err((error, challenge)) => {
                let asked = error == OAuthError::ProofNonce;
                return self.with_next_nonce(Reply::error(error, challenge), asked, now);
            }
        };
        if let Err(error) = self.use_once(&manager.fresh, now).await {
            return Reply::error(error, manager.challenge);
        }
        // A proof that somebody saw on its way counts against nobody.
        if self.may_ask(&manager.client.certificate.client_id, now).is_err() {
            return limits::too_often(self.pause());
        }
        let decided = decide(&env, manager.client.as_ref()).await;
        let reply = decided.unwrap_or_else(|error| {
            tracing::debug!(error = error.name(), "a request about a stream was refused");
            Reply::error(error, Challenge::None)
        });
        self.with_next_nonce(reply, manager.by_nonce, now)
    }

    /// Asks the nodes about every platform's subjects and has events pushed: what a front does every few seconds.
    pub async fn beat(self: &Arc<Self>) {
        self.hand_out().await;
        self.look().await;
        self.hand_out().await;
    }

    /// Signs what is due; pushes go on beside whatever comes next.
    async fn hand_out(self: &Arc<Self>) {
        self.release().await;
        for client_id in self.streams.pushes(self.now()) {
            let front = Arc::clone(self);
            tokio::spawn(async move { front.push_events(&client_id).await });
        }
    }

    /// Asks the nodes about every platform's subjects, the three pairs beside each other.
    pub async fn look(&self) {
        self.streams.keep(|client_id| self.client(client_id, HandleUse::Signals).is_some());
        let asking = self.streams.asking(self.now());
        let [one, two, three] = Pair::ALL.map(|pair| self.look_at(pair, &asking));
        tokio::join!(one, two, three);
    }

    /// Asks a pair about everybody whose handles it made. One that does not answer in time is left alone until the next beat.
    async fn look_at(&self, pair: Pair, asking: &[Asking]) {
        for Asking { client_id, id, handles } in asking {
            let Some(client) = self.client(client_id, HandleUse::Signals) else { continue };
            let handles: Vec<&SubjectHandle> = handles.iter().filter(|handle| handle.pair == pair).collect();
            for handles in handles.chunks(MAX_ASKED) {
                match tokio::time::timeout(PATIENCE, self.said_of(&client, pair, handles)).await {
                    Ok(Ok(said)) => {
                        let delay = || delay(self.ports.rng.as_ref());
                        self.streams.learn((client_id, id), said, self.now(), delay);
                    }
                    Ok(Err(refusal)) => {
                        tracing::debug!(code = refusal.code(), "nodes do not say where people stand");
                        break;
                    }
                    Err(_) => return tracing::debug!("nodes do not say in time where people stand"),
                }
            }
        }
    }

    /// What both nodes of a pair say of its handles.
    async fn said_of(
        &self,
        client: &Client,
        pair: Pair,
        handles: &[&SubjectHandle],
    ) -> Result<Vec<(SubjectHandle, Said)>, Refusal> {
        let [one, other] = pair.members();
        let halves = |of: usize| handles.iter().map(|handle| handle.halves[of]).collect();
        let (one, other) = tokio::try_join!(
            self.ask(client, HandleUse::Signals, one, halves(0)),
            self.ask(client, HandleUse::Signals, other, halves(1)),
        )?;
        let said = one.into_iter().zip(other).map(|(one, other)| [one, other]);
        Ok(handles.iter().copied().cloned().zip(said).collect())
    }

    /// Pushes what waits for a platform, in order, until its server does not take it (RFC 8935).
    pub async fn push_events(&self, client_id: &str) {
        let _over = Pushing(&self.streams, client_id);
        for _ in 0..PUSHED_AT_ONCE {
            // Each time anew: the stream may have been paused, or lead elsewhere.
            let Some(push) = self.streams.push(client_id) else { return };
            let of = (client_id, push.id.as_str());
            match self.ports.back_channel.post_event(&push.uri, push.authorization.as_deref(), &push.set).await {
                Delivered::Taken => self.streams.pushed(of, &push.jti),
                Delivered::Refused => {
                    tracing::warn!("a receiver of signals refused an event");
                    self.streams.pushed(of, &push.jti);
                }
                Delivered::Away => return self.streams.not_pushed(of, self.now()),
            }
        }
    }
}

/// For how long one event about one subject of one stream is held: two platforms that lay the times of theirs beside each other must not see
/// whose are one person's.
fn delay(rng: &dyn Rng) -> i64 {
    i64::from(u32::from_be_bytes(random(rng))) % (HELD_AT_MOST + 1)
}

fn client_id(client: &Client) -> &str {
    &client.certificate.client_id
}

/// The stream that the query names, if it names one.
fn named(request: &Managed<'_>) -> Result<Option<String>, OAuthError> {
    let query = Form::parse(request.query)?;
    Ok(query.get("stream_id").map(str::to_owned))
}
