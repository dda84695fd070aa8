//! Platforms that ask for people without a browser at them (OpenID Connect CIBA Core 1.0, decision 0029). The person begins: a wallet
//! waits, by a code that its person tells the platform, or the person has been there before and two nodes know who that was.

use super::auth_requests::{AuthReqId, FETCH_SECONDS, Ping};
use super::transactions::{Backchannel, Pending, Tx};
use super::{Front, Incoming, completion};
use hufu_kernel::{Octets, Refusal, Timestamp, b64, random, unb64};
use hufu_oidc::provider::{self, BackchannelRequest, Call, Client, Code, CodeId, Environment, PersonHint, WaitingCode};
use hufu_oidc::{Challenge, OAuthError, Reply};
use hufu_wire::api::handles::AskPerson;
use hufu_wire::api::requests::{CompleteWaiting, Found, LookWaiting, RefuseWaiting, Waiting};
use hufu_wire::api::sign_in::Continue;
use hufu_wire::subject_handle::SubjectHandle;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What a waiting wallet's secret is known by.
fn hash_of(secret: &Octets<32>) -> Octets<32> {
    Octets(Sha256::digest(secret.as_slice()).into())
}

impl Front {
    /// The backchannel authentication endpoint.
    pub async fn backchannel(&self, request: &Incoming<'_>) -> Reply {
        self.answer(request, async |env, call| {
            let asked = self.of_caller(env, call, |client| provider::backchannel(env, call, client)).await?;
            self.use_once(&asked.fresh, env.now).await.map_err(|error| (error, Challenge::None))?;
            let id = self.ask_somebody(&asked, env.now).await.map_err(|error| (error, Challenge::None))?;
            let reply = asked.reply(&b64(id.as_slice()));
            Ok(self.with_next_nonce(reply, asked.by_nonce, env.now))
        })
        .await
    }

    /// Opens a transaction for whom the platform means. A code is used up, and nodes are asked, only once there is room for the answer.
    async fn ask_somebody(&self, asked: &BackchannelRequest, now: Timestamp) -> Result<AuthReqId, OAuthError> {
        let rng = self.ports.rng.as_ref();
        let (tx, id): (Tx, AuthReqId) = (Octets(random(rng)), Octets(random(rng)));
        let (client_id, secret) = (&asked.request.client_id, Octets(random(rng)));
        let began = match &asked.hint {
            PersonHint::Code(code) => self.waits.find(client_id, code, now).ok_or(OAuthError::HintUnknown)?,
            PersonHint::Handle(_) => hash_of(&secret),
            PersonHint::Nobody => return Err(OAuthError::HintUnknown),
        };
        let ping = asked.notification_token.as_ref().and_then(|token| {
            let uri = asked.client.certificate.registration.backchannel_client_notification_endpoint.clone()?;
            Some(Ping { uri, token: token.clone() })
        });
        let pending = Pending {
            client: Arc::clone(&asked.client),
            request: asked.request.clone(),
            pushed: None,
            began,
            begun: now,
            exp: asked.expires,
            backchannel: Some(Backchannel { id, binding_message: asked.binding_message.clone() }),
        };
        self.auth_requests.begin(id, client_id, (asked.expires, ping), now)?;
        let opened = self.transactions.open(tx, pending, now).map_err(|_| OAuthError::Unavailable);
        let reached = match (opened, &asked.hint) {
            (Err(error), _) => Err(error),
            (Ok(()), PersonHint::Code(code)) if self.waits.take(code, tx, asked.expires) => Ok(()),
            (Ok(()), PersonHint::Handle(handle)) => self.find(handle, &asked.client, (tx, secret, asked.expires)).await,
            (Ok(()), PersonHint::Code(_) | PersonHint::Nobody) => Err(OAuthError::HintUnknown),
        };
        if reached.is_err() {
            self.auth_requests.undo(&id);
            // It is not there if it could not be opened.
            let _ = self.transactions.end(&tx);
        }
        reached.map(|()| id)
    }

    /// Has both nodes of a handle ask its person. One that does not know it is enough for nobody.
    async fn find(
        &self,
        handle: &SubjectHandle,
        client: &Client,
        (tx, secret, exp): (Tx, Octets<32>, Timestamp),
    ) -> Result<(), OAuthError> {
        for (node, half) in handle.parts() {
            let ask = AskPerson { certificate: client.jws.clone(), half, tx, secret, exp };
            match self.ports.nodes[node.slot()].ask_person(&ask).await {
                Ok(true) => {}
                Ok(false) => return Err(OAuthError::HintUnknown),
                Err(_) => return Err(OAuthError::Unavailable),
            }
        }
        Ok(())
    }

    /// The token endpoint for this grant.
    pub(super) async fn answered_yet(
        &self,
        env: &Environment<'_>,
        call: &Call<'_>,
    ) -> Result<Reply, (OAuthError, Challenge)> {
        let looked = self.of_caller(env, call, |client| provider::look(env, call, client)).await?;
        let plain = |error: OAuthError| (error, Challenge::None);
        self.use_once(&looked.fresh, env.now).await.map_err(plain)?;
        let id = unb64(&looked.auth_req_id).and_then(|bytes| Octets::try_from(bytes.as_slice()).ok());
        let id = id.ok_or(plain(OAuthError::AuthRequestUnknown))?;
        let code =
            self.auth_requests.look(&id, &looked.client.certificate.client_id, |code| looked.fits(code), env.now);
        let redeemed = looked.redeem(code.map_err(plain)?, env.now).map_err(plain)?;
        self.given(&redeemed, env.now)
    }

    /// A wallet waits: the code for its person to tell, and the secret by which it alone is found.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if too many wait.
    pub fn wait(&self) -> Result<Waiting, Refusal> {
        let (now, rng) = (self.now(), self.ports.rng.as_ref());
        let (code, secret) = (WaitingCode::draw(rng), Octets(random(rng)));
        let exp = self.waits.begin(code, hash_of(&secret), now)?;
        Ok(Waiting { code: code.to_string(), secret, exp })
    }

    /// Whether a platform has asked whoever waits with this secret.
    ///
    /// # Errors
    /// [`Refusal::TransactionGone`] if nobody waits with it any more.
    pub fn found(&self, look: &LookWaiting) -> Result<Found, Refusal> {
        Ok(Found { tx: self.waits.look(&hash_of(&look.secret), self.now())? })
    }

    /// Takes a waiting wallet's answer, for the platform to fetch.
    ///
    /// # Errors
    /// [`Refusal::TransactionGone`], [`Refusal::TransactionCookie`] for another secret, [`Refusal::TokenRejected`].
    pub async fn complete_waiting(&self, message: &CompleteWaiting) -> Result<Continue, Refusal> {
        let now = self.now();
        let answer = &message.answer;
        let (pending, id) = self.waited_for(&answer.tx, &message.secret)?;
        completion::check((&self.keys, &self.provider.issuer, self.persona_sessions()), answer, &pending, now)?;
        self.transactions.end(&answer.tx)?;
        self.waits.end(&pending.began);
        let name = CodeId(Octets(random(self.ports.rng.as_ref())));
        let code = Code::of(&pending.request, name, &answer.id_token, now);
        let code = Code { handle: answer.handle.clone(), exp: now + FETCH_SECONDS, ..code };
        self.tell_to_look(&id, self.auth_requests.grant(&id, code));
        Ok(self.answered("agreed"))
    }

    /// The person of a waiting wallet did not agree.
    ///
    /// # Errors
    /// [`Refusal::TransactionGone`], [`Refusal::TransactionCookie`] for another secret.
    pub fn refuse_waiting(&self, message: &RefuseWaiting) -> Result<Continue, Refusal> {
        let (pending, id) = self.waited_for(&message.tx, &message.secret)?;
        self.transactions.end(&message.tx)?;
        self.waits.end(&pending.began);
        self.tell_to_look(&id, self.auth_requests.deny(&id, self.now()));
        Ok(self.answered("refused"))
    }

    fn tell_to_look(&self, id: &AuthReqId, ping: Option<Ping>) {
        if let Some(Ping { uri, token }) = ping {
            self.ports.back_channel.post_ping(&uri, token, b64(id.as_slice()));
        }
    }

    /// There is no platform's page to go to: the wallet's own says that it is done.
    fn answered(&self, said: &str) -> Continue {
        Continue { redirect_to: format!("{}/requests#{said}", self.trust.wallet_origin) }
    }

    fn waited_for(&self, tx: &Tx, secret: &Octets<32>) -> Result<(Arc<Pending>, AuthReqId), Refusal> {
        let pending = self.transactions.look(tx, self.now())?;
        let id = pending.backchannel.as_ref().ok_or(Refusal::TransactionCookie)?.id;
        if pending.began == hash_of(secret) { Ok((pending, id)) } else { Err(Refusal::TransactionCookie) }
    }
}
