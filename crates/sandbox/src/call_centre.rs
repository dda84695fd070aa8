//! The call centre of a sample platform: a caller tells the code that their wallet shows, the wallet asks them, and the clerk sees the
//! answer (OpenID Connect CIBA, mode poll). Plain forms.

use crate::html::{escape, say};
use crate::http::send_as;
use crate::robot::Failure;
use crate::sample_client::SampleClient;
use crate::sample_platform::SamplePlatform;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use hufu_kernel::Lang;
use hufu_platform::client::{Awaiting, ClientError, Looked, RelyingParty, Wish};
use serde::Deserialize;

/// The longest message that the service takes.
const MESSAGE: usize = 64;

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    code: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    waiting: String,
}

pub(crate) fn routes() -> Router<SamplePlatform> {
    Router::new().route("/call", get(desk).post(called))
}

/// Whether this platform has a call centre: it signs what it asks, and registered for it.
pub(crate) fn party(platform: &SamplePlatform) -> Option<&RelyingParty> {
    let (certificate, client, ..) = platform.parts();
    match client {
        SampleClient::Fapi(party) if certificate.registration.backchannel_token_delivery_mode.is_some() => Some(party),
        _ => None,
    }
}

fn wish(platform: &SamplePlatform) -> Wish {
    let (certificate, ..) = platform.parts();
    let purpose = certificate.purposes.first();
    Wish {
        answers: purpose.map(|purpose| purpose.answers.clone()).unwrap_or_default(),
        purpose: purpose.map(|purpose| purpose.id.clone()),
        ..Wish::default()
    }
}

async fn desk(State(platform): State<SamplePlatform>, headers: HeaderMap) -> Response {
    let lang = crate::html::language(&headers);
    match party(&platform) {
        Some(_) => platform.page(lang, StatusCode::OK, &form(lang, None)),
        None => platform.trouble(lang, say(lang, "本平台没有客服电话。", "This platform has no call centre.")),
    }
}

async fn called(State(platform): State<SamplePlatform>, headers: HeaderMap, Form(call): Form<Call>) -> Response {
    let lang = crate::html::language(&headers);
    let Some(party) = party(&platform) else {
        return platform.trouble(lang, say(lang, "本平台没有客服电话。", "This platform has no call centre."));
    };
    let done = match call.waiting.is_empty() {
        true => ask(&platform, party, &call, lang).await,
        false => look(&platform, party, &call.waiting, lang).await,
    };
    match done {
        Ok(body) => platform.page(lang, StatusCode::OK, &body),
        Err(cause) => platform.page(lang, StatusCode::BAD_REQUEST, &form(lang, Some(&cause))),
    }
}

async fn ask(platform: &SamplePlatform, party: &RelyingParty, call: &Call, lang: Lang) -> Result<String, Failure> {
    let (_, _, http, clock, rng) = platform.parts();
    let (now, wish) = (clock.now(), wish(platform));
    let about: String = call.about.trim().chars().take(MESSAGE).collect();
    let request = party.ask((call.code.trim(), about.trim()), &wish, now, rng).map_err(said)?;
    let (status, body) = send_as(party, http, request, now, rng).await?;
    let awaiting = party.asked(&wish, status, &body).map_err(said)?;
    Ok(waits(lang, &awaiting.auth_req_id, false))
}

async fn look(platform: &SamplePlatform, party: &RelyingParty, waiting: &str, lang: Lang) -> Result<String, Failure> {
    let (_, _, http, clock, rng) = platform.parts();
    let now = clock.now();
    let awaiting = Awaiting::of(waiting, &wish(platform));
    let request = party.look(&awaiting, now, rng).map_err(said)?;
    let (status, body) = send_as(party, http, request, now, rng).await?;
    match party.looked(&awaiting, status, &body, now).map_err(said)? {
        Looked::Pending | Looked::Slower => Ok(waits(lang, waiting, true)),
        Looked::SignedIn(known) => {
            let answers = serde_json::to_string(&known.token.hufu.answers).unwrap_or_default();
            Ok(format!(
                "<h1>{heading}</h1><dl><dt>{id}</dt><dd><code id=\"sub\">{sub}</code></dd><dt>{got}</dt><dd><code id=\"answers\">{answers}</code></dd></dl>\
                 <p><a href=\"/call\">{next}</a></p>",
                heading = say(lang, "来电人已确认身份", "The caller has confirmed"),
                id = say(lang, "本平台的标识（sub）", "This platform's identifier (sub)"),
                sub = escape(&known.token.sub),
                got = say(lang, "得到的答案", "Answers received"),
                answers = escape(&answers),
                next = say(lang, "下一个来电", "The next call"),
            ))
        }
    }
}

fn said(error: ClientError) -> Failure {
    error.to_string()
}

fn form(lang: Lang, problem: Option<&str>) -> String {
    let alert = problem.map(|text| format!("<p role=\"alert\">{}</p>", escape(text))).unwrap_or_default();
    format!(
        "<h1>{title}</h1>{alert}<p>{lead}</p><form method=\"post\" action=\"/call\">\
         <p><label for=\"code\">{code}</label><input id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"off\" required></p>\
         <p><label for=\"about\">{about}</label><input id=\"about\" name=\"about\" value=\"{example}\" maxlength=\"{MESSAGE}\" required></p>\
         <p><button id=\"ask\">{ask}</button></p></form><p><a href=\"/\">{back}</a></p>",
        title = say(lang, "客服电话（示例）", "Call centre (sample)"),
        lead = say(
            lang,
            "来电人在自己的网证页面“有人请您确认身份”显示代码，并告诉客服。客服看不到任何证件信息。",
            "The caller shows a code on their wallet's page “Somebody asks you to confirm” and tells it to the clerk. The clerk sees no document."
        ),
        code = say(lang, "来电人告知的代码", "The code the caller tells"),
        about = say(lang, "来电人要核对的文字", "Words for the caller to compare"),
        example = say(lang, "挂失银行卡 0427", "Block card 0427"),
        ask = say(lang, "请来电人确认", "Ask the caller to confirm"),
        back = say(lang, "返回首页", "Back to the start"),
    )
}

fn waits(lang: Lang, waiting: &str, looked: bool) -> String {
    let not_yet = if looked {
        say(lang, "还没有答复，请稍候再查看。", "No answer yet. Look again in a moment.")
    } else {
        ""
    };
    format!(
        "<h1>{title}</h1><p role=\"status\">{not_yet}</p><p>{lead}</p><form method=\"post\" action=\"/call\">\
         <input type=\"hidden\" name=\"waiting\" value=\"{waiting}\"><p><button id=\"look\">{look}</button></p></form>",
        title = say(lang, "等待来电人确认", "Waiting for the caller"),
        lead = say(
            lang,
            "请来电人核对平台名称和文字是否一致。每次查看请间隔五秒。",
            "Ask the caller to compare the platform's name and the words. Leave five seconds between two looks."
        ),
        waiting = escape(waiting),
        look = say(lang, "查看答复", "Look for the answer"),
    )
}
