//! The sample verifier: checks a pass with the pinned group key and a clock, and asks nobody.

use super::headers::same_site;
use super::page::{Page, Site};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hufu_kernel::Timestamp;
use hufu_wire::api::trust::Trust;
use hufu_wire::jose::{Alg, Compact, verify};
use serde::Deserialize;
use std::sync::Arc;

/// Seconds that two clocks may differ (flows 9).
const CLOCKS: i64 = 5;

/// Seconds a pass lives at most.
const LIFE: i64 = 30;

/// What a pass turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Missing,
    Sound,
    Expired,
    Forged,
}

impl Outcome {
    /// The message that says so.
    pub(super) fn key(&self) -> Option<&'static str> {
        match self {
            Self::Missing => None,
            Self::Sound => Some("verify-sound"),
            Self::Expired => Some("verify-expired"),
            Self::Forged => Some("verify-forged"),
        }
    }
}

#[derive(Deserialize)]
struct Pass {
    pass: u8,
    exp: Timestamp,
}

/// Checks a pass (flows 9): two nodes' signature under the group key, its type, and that it is of this half minute.
pub(super) fn check(trust: &Trust, text: &str, now: Timestamp) -> Outcome {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if text.is_empty() {
        return Outcome::Missing;
    }
    let opened = || {
        let jws = Compact::parse(&text).ok()?;
        if !jws.header().is_typ(hufu_offices::node::PASS_TYP) {
            return None;
        }
        let pass: Pass = verify(&jws, &trust.group_jwk()?, &[Alg::EdDSA]).ok()?.json().ok()?;
        (pass.pass == 1).then_some(pass.exp)
    };
    match opened() {
        None => Outcome::Forged,
        Some(exp) if now > exp + CLOCKS || exp > now + LIFE + CLOCKS => Outcome::Expired,
        Some(_) => Outcome::Sound,
    }
}

/// The page's form.
pub(super) async fn posted(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Response {
    if !same_site(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let pass = form_urlencoded::parse(&body).find(|(name, _)| name == "pass").map(|(_, value)| value);
    let outcome = check(&site.config.trust, &pass.unwrap_or_default(), site.config.clock.now());
    let status = if outcome == Outcome::Missing { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Page::verified(&site, outcome, &headers).respond(status)
}
