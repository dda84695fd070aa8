//! Who signed in at the persona agent a moment ago, in this browser, at which platform: so that `prompt=none` and `max_age` can be tried
//! in a sandbox (decision 0022). The service itself keeps no session, and nodes take no proof that is older than a minute.

use crate::bounded::Bounded;
use axum::http::{HeaderMap, header};
use hufu_kernel::{Answer, Rng, Strength, Timestamp, b64, random};
use hufu_wallet::Asked;
use tokio::sync::Mutex;

/// Seconds a session lives: less than the minute for which nodes take a person's proof.
pub(crate) const SESSION_SECONDS: i64 = 50;

/// Sessions at once; the one that began first goes first.
const SESSIONS: usize = 10_000;

/// What a persona agreed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Session {
    /// Whose it is.
    pub persona: String,
    /// When they proved to be there.
    pub proved: Timestamp,
    /// Whether with the password.
    pub password: bool,
    client_id: String,
    purpose: String,
    answers: Vec<Answer>,
}

impl Session {
    /// Of a persona who has just agreed to all that was asked.
    pub(crate) fn of(asked: &Asked, persona: &str, password: bool, proved: Timestamp) -> Self {
        let transaction = &asked.transaction;
        Self {
            persona: persona.to_owned(),
            proved,
            password,
            client_id: transaction.client_id.clone(),
            purpose: transaction.purpose.clone(),
            answers: transaction.answers.clone(),
        }
    }

    /// Whether it answers this request: the same platform asks for no more than it got, of somebody who was there since `since`.
    fn answers(&self, asked: &Asked, since: Timestamp, now: Timestamp) -> bool {
        let transaction = &asked.transaction;
        let strong = self.password || transaction.strength == Strength::Certificate;
        let same = self.client_id == transaction.client_id && self.purpose == transaction.purpose;
        let agreed = transaction.answers.iter().all(|answer| self.answers.contains(answer));
        strong && same && agreed && since <= self.proved && now < self.proved + SESSION_SECONDS
    }
}

/// The sessions of one agent, by their cookies.
pub(crate) struct PersonaSessions {
    https: bool,
    kept: Mutex<Bounded<String, Session>>,
}

impl PersonaSessions {
    pub(crate) fn new(origin: &str) -> Self {
        Self { https: origin.starts_with("https://"), kept: Mutex::new(Bounded::new(SESSIONS)) }
    }

    fn name(&self) -> &'static str {
        if self.https { "__Host-hufu-agent" } else { "hufu-agent" }
    }

    fn set_cookie(&self, value: &str, seconds: i64) -> String {
        let secure = if self.https { "; Secure" } else { "" };
        format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.name())
    }

    fn cookie<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = sent.flat_map(|sent| sent.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.into_iter().find(|(name, _)| *name == self.name()).map(|(_, value)| value)
    }

    /// Keeps a session; the `Set-Cookie` header that names it.
    pub(crate) async fn begin(&self, session: Session, rng: &dyn Rng) -> String {
        let secret = b64(&random::<32>(rng));
        let cookie = self.set_cookie(&secret, SESSION_SECONDS);
        self.kept.lock().await.insert(secret, session.proved, session);
        cookie
    }

    /// This browser's session, if it answers the request.
    pub(crate) async fn answering(
        &self,
        headers: &HeaderMap,
        asked: &Asked,
        since: Timestamp,
        now: Timestamp,
    ) -> Option<Session> {
        let kept = self.kept.lock().await;
        let session = kept.get(self.cookie(headers)?)?;
        session.answers(asked, since, now).then(|| session.clone())
    }

    /// Ends this browser's session; the `Set-Cookie` header that takes its cookie away.
    pub(crate) async fn end(&self, headers: &HeaderMap) -> String {
        if let Some(secret) = self.cookie(headers) {
            self.kept.lock().await.remove(secret);
        }
        self.set_cookie("", 0)
    }
}
