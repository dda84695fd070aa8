//! The transmitter of shared signals (decision 0027): what platforms ask of their streams, and the beat at which nodes are asked where the
//! people stand whose handles they presented.

use super::later::Said;
use super::streams::View;
use super::{Admitted, Front, Incoming, limits, public};
use crate::ports::Delivered;
use hufu_kernel::{NodeIndex, b64, random};
use hufu_oidc::provider::{self, Call, Client, Environment};
use hufu_oidc::signals::{self, Event, Poll, SET_TYP, StreamConfig};
use hufu_oidc::{Challenge, Form, OAuthError, Reply};
use hufu_wire::api::handles::{MAX_ASKED, PersonStanding};
use hufu_wire::subject_handle::{HandleHalf, HandleUse, SubjectHandle};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long a receiver that polls may wait for an event.
const LONG_POLL: Duration = Duration::from_secs(5);

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

    /// Adds a subject (SSF section 8.1.3.2): both nodes of the handle must open it for this platform. If the sessions of its sign-in have
    /// ended already, that is the first event.
    pub async fn add_subject(&self, request: &Managed<'_>) -> Reply {
        self.managed(request, "/ssf/subjects/add", async |_, client| {
            let (id, handle) = (signals::stream_of(request.body)?, signals::read_subject(request.body)?);
            let of = (client_id(client), id.as_str());
            if self.streams.has(of, &handle)? {
                return Ok(Reply::empty(200));
            }
            let said = self.standings(client_id(client), HandleUse::Signals, &handle).await;
            let [Some(one), Some(other)] = said.map_err(|_| OAuthError::NodesAway)? else {
                return Err(OAuthError::StreamSubject);
            };
            let subject = handle.to_string();
            self.streams.add(of, handle, [one, other])?;
            if !one.same_epoch && !other.same_epoch {
                self.tell_stream(of, &subject, &Event::SessionRevoked)?;
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
            self.tell_stream(of, &id, &Event::Verification { state })?;
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
                (sets, more) = self.streams.poll(client_id, &[], poll.most)?;
            }
            Ok(Reply::json(200, &signals::polled(&sets, more)))
        })
        .await
    }

    /// Signs an event and puts it where its receiver gets it.
    fn tell_stream(&self, of: (&str, &str), subject: &str, event: &Event) -> Result<(), OAuthError> {
        let jti = b64(&random::<16>(self.ports.rng.as_ref()));
        let claims = event.claims((&self.provider.issuer, of.0), subject, self.now(), &jti);
        let set = self.signed(SET_TYP, &claims).map_err(|_| OAuthError::Internal)?;
        self.streams.put(of, jti, set)
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
        self.look().await;
        for client_id in self.streams.pushes() {
            let front = Arc::clone(self);
            tokio::spawn(async move { front.push_events(&client_id).await });
        }
    }

    /// Asks the nodes about every platform's subjects.
    pub async fn look(&self) {
        let now = self.now();
        let admitted = |client_id: &str| {
            let client = provider::Clients::client(&Admitted(self, now), client_id);
            client.is_some_and(|client| client.certificate.registration.may(HandleUse::Signals))
        };
        self.streams.keep(admitted);
        for (client_id, id, handles) in self.streams.asking() {
            let (of, mut all) = ((client_id.as_str(), id.as_str()), true);
            // Of all three nodes together no more than one takes of one question.
            for handles in handles.chunks(MAX_ASKED) {
                let said = self.said_of(&client_id, handles).await;
                all = all && said.len() == handles.len();
                for (subject, event) in self.streams.learn(of, said, self.now()) {
                    if let Err(error) = self.tell_stream(of, &subject, &event) {
                        tracing::error!(error = error.name(), "an event was not told");
                    }
                }
            }
            if all {
                self.streams.began(of);
            }
        }
    }

    /// What both nodes of each handle say; nothing of handles with a node that does not answer.
    async fn said_of(&self, client_id: &str, handles: &[SubjectHandle]) -> Vec<(SubjectHandle, Said)> {
        let mut halves: [Vec<HandleHalf>; 3] = Default::default();
        let mut places = Vec::with_capacity(handles.len());
        for handle in handles {
            places.push(handle.parts().map(|(node, half)| {
                halves[node.slot()].push(half);
                (node.slot(), halves[node.slot()].len() - 1)
            }));
        }
        let [one, two, three] = halves;
        let ask = async |node: NodeIndex, halves: Vec<HandleHalf>| {
            if halves.is_empty() {
                return Some(Vec::new());
            }
            self.ask(client_id, HandleUse::Signals, node, halves).await.ok()
        };
        let [first, second, third] = NodeIndex::ALL;
        let (one, two, three) = tokio::join!(ask(first, one), ask(second, two), ask(third, three));
        let said = [one, two, three];
        let answer = |(node, place): (usize, usize)| -> Option<Option<PersonStanding>> {
            said[node].as_ref()?.get(place).copied()
        };
        let both = |(handle, places): (&SubjectHandle, [(usize, usize); 2])| {
            let [one, other] = places;
            Some((handle.clone(), [answer(one)?, answer(other)?]))
        };
        handles.iter().zip(places).filter_map(both).collect()
    }

    /// Pushes what waits for a platform, in order, until its server does not answer (RFC 8935).
    pub async fn push_events(&self, client_id: &str) {
        let Some(push) = self.streams.push(client_id) else { return };
        let (mut done, mut answered) = (Vec::new(), true);
        for (jti, set) in push.sets {
            let delivered = self.ports.back_channel.post_event(&push.uri, push.authorization.as_deref(), &set).await;
            match delivered {
                Delivered::Taken => {}
                Delivered::Refused => tracing::warn!("a receiver of signals refused an event"),
                Delivered::Away => {
                    answered = false;
                    break;
                }
            }
            done.push(jti);
        }
        let of = (client_id, push.id.as_str());
        if let Some(event) = self.streams.pushed(of, &done, answered) {
            let _ended = self.tell_stream(of, &push.id, &event);
        }
    }
}

fn client_id(client: &Client) -> &str {
    &client.certificate.client_id
}

/// The stream that the query names, if it names one.
fn named(request: &Managed<'_>) -> Result<Option<String>, OAuthError> {
    let query = Form::parse(request.query)?;
    Ok(query.get("stream_id").map(str::to_owned))
}
