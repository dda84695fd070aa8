//! The persona agent: a wallet in software for the sandbox's personas, behind plain forms without JavaScript. It signs with
//! software device keys through the very same checks of the very same nodes; there is no second path (design 3).

mod requests;

use crate::bounded::Bounded;
use crate::html::{STYLE_PATH, escape, language, page, say, style};
use crate::persona_sessions::{PersonaSessions, Session};
use crate::persons::{Person, Situation};
use crate::robot::{Robot, World};
use axum::extract::{Form, Query, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hufu_kernel::{Lang, Octets, Refusal, Timestamp, b64, unb64};
use hufu_wallet::{Asked, SignedIn, SoftwareDevice, State as WalletState, WalletError};
use hufu_wire::subject_handle::HandleUse;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The password of every persona.
pub const PERSONA_PASSWORD: &str = "31415926";

/// Transactions read and not yet answered; each was served to this agent once. The one that ends first goes first.
const OPEN: usize = 10_000;

/// The persona agent.
#[derive(Clone)]
pub struct Agent(Arc<Inner>);

struct Inner {
    world: World,
    personas: BTreeMap<String, Person>,
    robots: BTreeMap<String, Mutex<Option<Robot>>>,
    asked: Mutex<Bounded<Octets<32>, Asked>>,
    file: PathBuf,
    saved: Mutex<BTreeMap<String, Saved>>,
    /// Where the sandbox was started so.
    sessions: Option<PersonaSessions>,
}

/// A persona's wallet between starts: device keys of nobody real.
#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    passkey: String,
    holder: String,
    state: WalletState,
}

/// What went wrong, as its page says it.
enum Trouble {
    Refused(Refusal),
    Other(String),
}

impl From<WalletError> for Trouble {
    fn from(error: WalletError) -> Self {
        match error {
            WalletError::Refused(refusal) => Self::Refused(refusal),
            other => Self::Other(other.to_string()),
        }
    }
}

impl Agent {
    /// An agent for the personas among `persons`; their wallets are kept in `file`. With `sessions` it remembers for a moment who signed
    /// in (decision 0022).
    #[must_use]
    pub fn new(world: World, persons: &[Person], file: PathBuf, sessions: bool) -> Self {
        let personas: BTreeMap<String, Person> = persons
            .iter()
            .filter(|person| person.persona.is_some())
            .map(|person| (person.id.clone(), person.clone()))
            .collect();
        let robots = personas.keys().map(|id| (id.clone(), Mutex::new(None))).collect();
        let saved = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let asked = Mutex::new(Bounded::new(OPEN));
        let sessions = sessions.then(|| PersonaSessions::new(&world.trust.wallet_origin));
        Self(Arc::new(Inner { world, personas, robots, asked, file, saved: Mutex::new(saved), sessions }))
    }

    /// The agent's pages, for the wallet's own origin.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/sandbox/sign-in", get(show).post(answer))
            .route("/sandbox/sign-out", get(sign_out))
            .route(requests::PATH, get(requests::show).post(requests::answer))
            .route("/sandbox/personas.json", get(list))
            .route(STYLE_PATH, get(style))
            .with_state(self.clone())
    }

    async fn asked(&self, tx: &Octets<32>) -> Result<Asked, Trouble> {
        if let Some(asked) = self.0.asked.lock().await.get(tx) {
            return Ok(asked.clone());
        }
        // Any wallet can read a transaction; this one belongs to nobody yet.
        let reader = self.0.world.robot().map_err(Trouble::Other)?;
        let asked = reader.open(tx).await?;
        self.0.asked.lock().await.insert(*tx, asked.transaction.exp, asked.clone());
        Ok(asked)
    }

    /// Signs in as a persona; enrols it on first use.
    async fn sign(&self, asked: &Asked, persona: &str, password: Option<&str>) -> Result<Hidden, Trouble> {
        let signed = self.signed(asked, persona, password).await?;
        let handle = signed.handle.map(|handle| handle.to_string()).unwrap_or_default();
        let proved = signed.payload.auth_time;
        Ok(Hidden { id_token: signed.id_token, s: b64(signed.s.as_slice()), handle, proved })
    }

    /// The same for a persona who waits: the agent itself hands it to the front.
    async fn answer_waiting(
        &self,
        asked: &Asked,
        persona: &str,
        password: Option<&str>,
        secret: &Octets<32>,
    ) -> Result<(), Trouble> {
        let signed = self.signed(asked, persona, password).await?;
        let reader = self.0.world.robot().map_err(Trouble::Other)?;
        reader.complete_waiting(asked, &signed, secret).await?;
        Ok(())
    }

    async fn signed(&self, asked: &Asked, persona: &str, password: Option<&str>) -> Result<SignedIn, Trouble> {
        let (Some(person), Some(robot)) = (self.0.personas.get(persona), self.0.robots.get(persona)) else {
            return Err(Trouble::Refused(Refusal::NotFound));
        };
        let mut robot = robot.lock().await;
        if robot.is_none() {
            *robot = Some(self.wake(person).await?);
        }
        let Some(robot) = robot.as_mut() else { return Err(Trouble::Refused(Refusal::Internal)) };
        let pair = robot.any_pair();
        let signed = robot.sign_in(asked, &asked.transaction.answers.clone(), password, pair).await?;
        // The sandbox keeps no history for personas: a thousand sign-ins leave nothing behind.
        robot.state.receipts.clear();
        Ok(signed)
    }

    /// The answer of the persona who signed in with this browser a moment ago, if the request leaves it at that.
    async fn again(&self, asked: &Asked, since: Option<i64>, headers: &HeaderMap) -> Option<Hidden> {
        let (now, since) = (self.0.world.clock.now(), Timestamp(since?));
        let session = self.0.sessions.as_ref()?.answering(headers, asked, since, now).await?;
        let asked = Asked { proved: Some(session.proved), ..asked.clone() };
        self.sign(&asked, &session.persona, session.password.then_some(PERSONA_PASSWORD)).await.ok()
    }

    /// The persona's wallet, enrolled. The caller holds this persona's lock and no other.
    async fn wake(&self, person: &Person) -> Result<Robot, Trouble> {
        let world = &self.0.world;
        let trust = &world.trust;
        let known = self.0.saved.lock().await.get(&person.id).cloned();
        let mut kept = match known {
            Some(known) => known,
            None => {
                let device = SoftwareDevice::generate(&trust.rp_id, &trust.wallet_origin, world.rng.as_ref())?;
                let (passkey, holder) = device.save();
                let state = WalletState::default();
                let kept = Saved { passkey: passkey.to_string(), holder: holder.to_string(), state };
                // Before enrolment: whoever is stopped in the middle of it still has the device that the nodes may know by then.
                self.save(person, &kept).await;
                kept
            }
        };
        let device = SoftwareDevice::load(&kept.passkey, &kept.holder, &trust.rp_id, &trust.wallet_origin)?;
        let mut robot = world.robot_with(device, kept.state.clone()).map_err(Trouble::Other)?;
        if robot.state.number.is_none() {
            match world.enrol(&mut robot, person, PERSONA_PASSWORD).await {
                Ok(()) => {}
                // By this very device before it was stopped, or by somebody's browser: then the nodes do not know the device.
                Err(WalletError::Refused(Refusal::AlreadyEnrolled)) => match robot.refresh().await {
                    Err(WalletError::Refused(Refusal::UnknownDevice)) => {
                        return Err(Trouble::Refused(Refusal::AlreadyEnrolled));
                    }
                    other => other?,
                },
                Err(error) => return Err(error.into()),
            }
            kept.state = robot.state.clone();
            self.save(person, &kept).await;
        }
        Ok(robot)
    }

    async fn save(&self, person: &Person, kept: &Saved) {
        let mut saved = self.0.saved.lock().await;
        saved.insert(person.id.clone(), kept.clone());
        self.keep(&saved);
    }

    fn keep(&self, saved: &BTreeMap<String, Saved>) {
        let written = serde_json::to_vec(saved).map_err(std::io::Error::other).and_then(|bytes| {
            let fresh = self.0.file.with_extension("new");
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &self.0.file)
        });
        if let Err(error) = written {
            tracing::warn!(%error, "personas' wallets are not kept: they will have to recover after a restart");
        }
    }
}

/// What the browser carries to the front.
struct Hidden {
    id_token: String,
    s: String,
    /// Empty where the platform registered for none.
    handle: String,
    /// When the persona proved to be there.
    proved: Timestamp,
}

#[derive(Deserialize)]
struct Ask {
    #[serde(default)]
    tx: String,
    /// A persona who proved to be there since then need not be asked.
    since: Option<i64>,
    /// Nobody may be asked.
    silent: Option<u8>,
}

#[derive(Deserialize)]
struct Answered {
    tx: String,
    #[serde(default)]
    persona: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    decision: String,
}

fn transaction(text: &str) -> Result<Octets<32>, Trouble> {
    unb64(text).and_then(|bytes| Octets::try_from(bytes.as_slice()).ok()).ok_or(Trouble::Refused(Refusal::Malformed))
}

async fn show(State(agent): State<Agent>, headers: HeaderMap, Query(ask): Query<Ask>) -> Response {
    let lang = language(&headers);
    let asked = match transaction(&ask.tx) {
        Ok(tx) => agent.asked(&tx).await,
        Err(trouble) => Err(trouble),
    };
    if let (Ok(asked), true) = (&asked, agent.0.sessions.is_some()) {
        let hidden = agent.again(asked, ask.since, &headers).await;
        if hidden.is_some() || ask.silent.is_some() {
            return unasked(&agent, &ask.tx, hidden.as_ref());
        }
    }
    match asked {
        Ok(asked) => html(&agent, lang, StatusCode::OK, &consent(&agent, &asked, lang, &ask.tx, None)),
        Err(trouble) => troubled(&agent, lang, trouble),
    }
}

async fn answer(State(agent): State<Agent>, headers: HeaderMap, Form(answered): Form<Answered>) -> Response {
    let lang = language(&headers);
    // A form of another site must not sign anybody in: browsers say where a POST comes from.
    let own = agent.0.world.trust.wallet_origin.as_str();
    if headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes() != own.as_bytes()) {
        return troubled(&agent, lang, Trouble::Refused(Refusal::TransactionCookie));
    }
    let asked = match transaction(&answered.tx) {
        Ok(tx) => agent.asked(&tx).await,
        Err(trouble) => Err(trouble),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(trouble) => return troubled(&agent, lang, trouble),
    };
    if answered.decision != "agree" {
        return html(&agent, lang, StatusCode::OK, &leave(&agent, &asked, lang, &answered.tx, None));
    }
    let password = (!answered.password.is_empty()).then_some(answered.password.as_str());
    match agent.sign(&asked, &answered.persona, password).await {
        Ok(hidden) => {
            let page = leave(&agent, &asked, lang, &answered.tx, Some(&hidden));
            let mut response = html(&agent, lang, StatusCode::OK, &page);
            if let Some(sessions) = &agent.0.sessions {
                let session = Session::of(&asked, &answered.persona, password.is_some(), hidden.proved);
                let cookie = sessions.begin(session, agent.0.world.rng.as_ref()).await;
                set_cookie(&mut response, &cookie);
            }
            response
        }
        Err(Trouble::Refused(refusal)) => {
            let status = StatusCode::from_u16(refusal.text().status).unwrap_or(StatusCode::BAD_REQUEST);
            html(&agent, lang, status, &consent(&agent, &asked, lang, &answered.tx, Some(refusal.sentence(lang))))
        }
        Err(trouble) => troubled(&agent, lang, trouble),
    }
}

/// Back to the front, with an answer for which nobody was asked.
fn unasked(agent: &Agent, tx: &str, hidden: Option<&Hidden>) -> Response {
    let issuer = &agent.0.world.trust.issuer;
    // Base64url and dots: nothing of it needs another spelling in a query, and `tx` was read as such.
    let to = match hidden {
        Some(hidden) => {
            let Hidden { id_token, s, handle, .. } = hidden;
            format!("{issuer}/complete?tx={tx}&id_token={id_token}&s={s}&handle={handle}")
        }
        None => format!("{issuer}/refuse?tx={tx}"),
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, to), (header::CACHE_CONTROL, "no-store".to_owned())]).into_response()
}

/// The front sends the browser here on its way out, and gets it back with the same parameters: no address in them is followed.
async fn sign_out(State(agent): State<Agent>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let to = format!("{}/logout?{}&hufu_agent=done", agent.0.world.trust.issuer, query.unwrap_or_default());
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
    if let Some(sessions) = &agent.0.sessions {
        let cookie = sessions.end(&headers).await;
        set_cookie(&mut response, &cookie);
    }
    response
}

fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// The personas, for scripts: id, name, story.
async fn list(State(agent): State<Agent>) -> Response {
    let personas: Vec<_> = agent
        .0
        .personas
        .values()
        .filter_map(|person| {
            let persona = person.persona.as_ref()?;
            Some(serde_json::json!({ "id": person.id, "name": person.name, "latin": person.latin, "story": persona.story, "try": persona.try_this }))
        })
        .collect();
    Json(serde_json::json!({ "personas": personas, "password": PERSONA_PASSWORD })).into_response()
}

fn troubled(agent: &Agent, lang: Lang, trouble: Trouble) -> Response {
    let (status, sentence) = match trouble {
        Trouble::Refused(refusal) => (refusal.text().status, refusal.sentence(lang).to_owned()),
        Trouble::Other(cause) => {
            tracing::warn!(%cause, "the persona agent could not go on");
            (Refusal::Internal.text().status, Refusal::Internal.sentence(lang).to_owned())
        }
    };
    let heading = say(lang, "无法继续", "This cannot go on");
    let body = format!("<h1>{heading}</h1><p role=\"alert\">{}</p>", escape(&sentence));
    html(agent, lang, StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &body)
}

fn consent(agent: &Agent, asked: &Asked, lang: Lang, tx: &str, problem: Option<&str>) -> String {
    let hidden = format!("<input type=\"hidden\" name=\"tx\" value=\"{}\">", escape(tx));
    choice(agent, asked, lang, ("/sandbox/sign-in", &hidden, ""), problem)
}

/// Who asks, why, what; the personas; both buttons alike. `besides` is more to read, as a definition.
fn choice(
    agent: &Agent,
    asked: &Asked,
    lang: Lang,
    (action, hidden, besides): (&str, &str, &str),
    problem: Option<&str>,
) -> String {
    let certificate = &asked.certificate;
    let purpose =
        certificate.purpose(Some(&asked.transaction.purpose)).map(|purpose| purpose.text.get(lang)).unwrap_or_default();
    let answers: String =
        asked.transaction.answers.iter().map(|answer| format!("<li><code>{}</code></li>", answer.as_str())).collect();
    let personas: String = agent
        .0
        .personas
        .values()
        .map(|person| {
            let name = if lang == Lang::En { &person.latin } else { &person.name };
            let situation = person.persona.as_ref().map(|persona| persona.situation);
            let note = if situation == Some(Situation::Ordinary) { "" } else { " *" };
            format!("<option value=\"{}\">{}{note}</option>", escape(&person.id), escape(name))
        })
        .collect();
    let later: String = certificate.registration.subject_handle.iter().map(|of| later(*of, lang)).collect();
    let later = match later.is_empty() {
        true => later,
        false => {
            format!("<dt>{}</dt><dd><ul>{later}</ul></dd>", say(lang, "之后 30 天内平台可以", "For 30 days, it may"))
        }
    };
    let wants_password = asked.transaction.strength == hufu_kernel::Strength::CertificatePassword;
    let required = if wants_password { " required" } else { "" };
    let alert = problem.map(|text| format!("<p role=\"alert\">{}</p>", escape(text))).unwrap_or_default();
    let name = escape(certificate.name.get(lang));
    format!(
        "<h1>{title}</h1>{alert}<dl><dt>{who}</dt><dd>{name} <code>{id}</code></dd><dt>{why}</dt><dd>{purpose}</dd><dt>{what}</dt><dd><ul>{answers}</ul></dd>{later}{besides}</dl>\
         <p>{direct}</p><form method=\"post\" action=\"{action}\">{hidden}\
         <p><label for=\"persona\">{persona}</label><select id=\"persona\" name=\"persona\" required>{personas}</select></p>\
         <p><label for=\"password\">{password}</label><input id=\"password\" name=\"password\" type=\"password\" inputmode=\"numeric\" autocomplete=\"off\"{required}></p>\
         <p class=\"choice\"><button id=\"agree\" name=\"decision\" value=\"agree\">{agree}</button> <button id=\"refuse\" name=\"decision\" value=\"refuse\">{refuse}</button></p></form>",
        title =
            escape(&format!("{} {}", say(lang, "以角色身份登录", "Sign in as a persona:"), certificate.name.get(lang))),
        who = say(lang, "谁在请求", "Who asks"),
        why = say(lang, "为什么", "Why"),
        what = say(lang, "将得到的答案", "Answers it will get"),
        id = escape(&certificate.client_id),
        purpose = escape(purpose),
        direct = say(
            lang,
            "直连级别：登录进行时，服务能看到这次登录。",
            "Level direct: the service can see this sign-in while it happens."
        ),
        persona = say(lang, "角色", "Persona"),
        password = say(
            lang,
            "口令（各角色相同：31415926；不填则仅用网证）",
            "Password (the same for every persona: 31415926; leave empty for certificate only)"
        ),
        agree = say(lang, "同意并继续", "Agree and continue"),
        refuse = say(lang, "不同意", "Do not agree"),
    )
}

/// What a platform may do later with its subject handle, as the wallet's page says it.
fn later(of: HandleUse, lang: Lang) -> String {
    let text = match of {
        HandleUse::Refresh => say(
            lang,
            "让您保持登录，不再询问，直到您在所有平台退出登录；网证锁定期间除外",
            "keep you signed in without asking again, until you sign out everywhere; not while your certificate is locked",
        ),
        HandleUse::Ciba => say(
            lang,
            "在您没有打开平台页面时向您的设备发出请求，每次由您决定",
            "send a request to your device while you are not on its page; you decide each time",
        ),
        HandleUse::Signals => say(
            lang,
            "在数分钟内得知您锁定或解锁了网证、设备或口令有变化、您在所有平台退出了登录，或注销了网证：只知道发生了变化，不知道具体内容",
            "learn, within minutes, that you locked or unlocked your certificate, that a device or your password changed, that \
             you signed out everywhere, or that you left: that it happened, not how",
        ),
    };
    format!("<li>{text}</li>")
}

/// The browser itself carries the answer to the front, with the cookie of the browser that began.
fn leave(agent: &Agent, asked: &Asked, lang: Lang, tx: &str, hidden: Option<&Hidden>) -> String {
    let issuer = escape(&agent.0.world.trust.issuer);
    let path = if hidden.is_some() { "complete" } else { "refuse" };
    let fields = hidden
        .map(|hidden| {
            format!(
                "<input type=\"hidden\" name=\"id_token\" value=\"{}\"><input type=\"hidden\" name=\"s\" value=\"{}\">\
                 <input type=\"hidden\" name=\"handle\" value=\"{}\">",
                escape(&hidden.id_token),
                escape(&hidden.s),
                escape(&hidden.handle)
            )
        })
        .unwrap_or_default();
    let heading = match hidden {
        Some(_) => say(lang, "已由两个节点签名", "Signed by two nodes"),
        None => say(lang, "您没有同意", "You did not agree"),
    };
    format!(
        "<h1>{heading}</h1><form method=\"post\" action=\"{issuer}/{path}\"><input type=\"hidden\" name=\"tx\" value=\"{tx}\">{fields}\
         <p><button id=\"back\">{back}</button></p></form>",
        tx = escape(tx),
        back = escape(&format!("{} {}", say(lang, "返回", "Back to"), asked.certificate.name.get(lang))),
    )
}

fn html(agent: &Agent, lang: Lang, status: StatusCode, body: &str) -> Response {
    let title = say(lang, "虎符沙箱：角色代理", "Hufu sandbox: persona agent");
    // Chromium applies form-action to the redirect after a POST: the front sends the browser on to the platform.
    let forms = format!("{} http: https:", agent.0.world.trust.issuer);
    let mut response = page(lang, status, title, body, &forms);
    // The front looks at the Origin of the POST that follows.
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("origin"));
    response
}
