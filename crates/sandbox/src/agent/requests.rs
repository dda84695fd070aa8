//! A persona who is asked without a browser at the platform (decision 0029): waits with a code, then answers. Plain forms, so that scripts
//! can do it too.

use super::{Agent, Trouble, html, language, troubled};
use crate::html::{escape, say};
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use hufu_kernel::{Lang, Octets, Refusal, b64, unb64};
use hufu_wallet::Asked;
use hufu_wire::api::requests::Waiting;
use serde::Deserialize;

/// The path of the page.
pub(super) const PATH: &str = "/sandbox/requests";

#[derive(Deserialize)]
pub(super) struct Step {
    /// `wait`, `look`, `agree` or `refuse`.
    #[serde(default)]
    decision: String,
    #[serde(default)]
    secret: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    persona: String,
    #[serde(default)]
    password: String,
}

pub(super) async fn show(State(agent): State<Agent>, headers: HeaderMap) -> Response {
    let lang = language(&headers);
    html(&agent, lang, StatusCode::OK, &start(lang))
}

pub(super) async fn answer(State(agent): State<Agent>, headers: HeaderMap, Form(step): Form<Step>) -> Response {
    let lang = language(&headers);
    let own = agent.0.world.trust.wallet_origin.as_str();
    if headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes() != own.as_bytes()) {
        return troubled(&agent, lang, Trouble::Refused(Refusal::ForeignOrigin));
    }
    let done = match step.decision.as_str() {
        "wait" => wait(&agent, lang).await,
        _ => go_on(&agent, &step, lang).await,
    };
    match done {
        Ok(body) => html(&agent, lang, StatusCode::OK, &body),
        Err(trouble) => troubled(&agent, lang, trouble),
    }
}

async fn wait(agent: &Agent, lang: Lang) -> Result<String, Trouble> {
    let waiting = agent.0.world.robot().map_err(Trouble::Other)?.wait().await?;
    Ok(waits(lang, &waiting, false))
}

async fn go_on(agent: &Agent, step: &Step, lang: Lang) -> Result<String, Trouble> {
    let secret = unb64(&step.secret).and_then(|bytes| Octets::try_from(bytes.as_slice()).ok());
    let secret: Octets<32> = secret.ok_or(Trouble::Refused(Refusal::Malformed))?;
    let reader = agent.0.world.robot().map_err(Trouble::Other)?;
    let Some(tx) = reader.look(&secret).await? else {
        let waiting = Waiting { code: step.code.clone(), secret, exp: agent.0.world.clock.now() };
        return Ok(waits(lang, &waiting, true));
    };
    let asked = agent.asked(&tx).await?;
    match step.decision.as_str() {
        "agree" => {
            let password = (!step.password.is_empty()).then_some(step.password.as_str());
            agent.answer_waiting(&asked, &step.persona, password, &secret).await?;
            Ok(done(lang, true))
        }
        "refuse" => {
            reader.refuse_waiting(&tx, &secret).await?;
            Ok(done(lang, false))
        }
        _ => Ok(consent(agent, &asked, lang, &secret)),
    }
}

fn start(lang: Lang) -> String {
    format!(
        "<h1>{title}</h1><p>{lead}</p><form method=\"post\" action=\"{PATH}\"><p><button id=\"wait\" name=\"decision\" value=\"wait\">{show}</button></p></form>",
        title = say(lang, "角色被请求确认身份", "A persona is asked to confirm"),
        lead = say(
            lang,
            "角色打客服电话时，在这里显示代码并告诉客服。",
            "A persona who calls a call centre shows a code here and tells it to the clerk."
        ),
        show = say(lang, "显示代码", "Show a code"),
    )
}

fn waits(lang: Lang, waiting: &Waiting, looked: bool) -> String {
    let not_yet =
        if looked { say(lang, "还没有平台使用代码。", "No platform has used the code yet.") } else { "" };
    format!(
        "<h1>{title}</h1><p role=\"status\">{not_yet}</p><p><code id=\"code\">{code}</code></p><form method=\"post\" action=\"{PATH}\">\
         <input type=\"hidden\" name=\"secret\" value=\"{secret}\"><input type=\"hidden\" name=\"code\" value=\"{code}\">\
         <p><button id=\"look\" name=\"decision\" value=\"look\">{look}</button></p></form>",
        title = say(lang, "告知平台的代码", "The code for the platform"),
        code = escape(&waiting.code),
        secret = b64(waiting.secret.as_slice()),
        look = say(lang, "查看平台的请求", "Look for the platform's request"),
    )
}

fn consent(agent: &Agent, asked: &Asked, lang: Lang, secret: &Octets<32>) -> String {
    let secret = b64(secret.as_slice());
    let message = asked.transaction.binding_message.as_deref().unwrap_or_default();
    let compare = format!("<dt>{}</dt><dd id=\"binding\">{}</dd>", say(lang, "请核对", "Compare"), escape(message));
    let hidden = format!("<input type=\"hidden\" name=\"secret\" value=\"{secret}\">");
    super::choice(agent, asked, lang, (PATH, &hidden, &compare), None)
}

fn done(lang: Lang, agreed: bool) -> String {
    let (heading, text) = match agreed {
        true => (
            say(lang, "已由两个节点签名", "Signed by two nodes"),
            say(lang, "平台会收到答复。", "The platform gets the answer."),
        ),
        false => (
            say(lang, "您没有同意", "You did not agree"),
            say(lang, "平台只会知道这一点。", "The platform learns that, and nothing else."),
        ),
    };
    format!("<h1>{heading}</h1><p id=\"done\">{text}</p>")
}
