//! The running demo's control endpoint: on loopback, with a token that only the owner of the data folder can read.

use super::addresses::Site;
use crate::failure::Failure;
use crate::files;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::any;
use hufu_kernel::{Clock, Refusal, Rng, Secret, ShiftedClock, Timestamp, b64, random, unb64};
use hufu_web::reply::{Edge, json, message};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const CONTROL: &str = "control.json";
/// The file of the clock's shift.
pub const CLOCK: &str = "clock.json";
const CLOCK_PATH: &str = "/v1/clock";

/// The furthest the sandbox's clock goes: certificates of a century are nobody's test.
const FURTHEST: i64 = 20 * 365 * 86_400;

/// How a command finds the running demo.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Door {
    url: String,
    token: String,
    pid: u32,
    /// The authority to trust, with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
}

/// The clock's shift, kept over restarts.
#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Shift {
    seconds: i64,
}

/// Moves the clock forward; the sandbox's time never goes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advance {
    /// Seconds; 0 only asks.
    pub seconds: i64,
}

/// The clock as it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockView {
    /// Seconds ahead of the machine.
    pub shift: i64,
    /// The sandbox's present.
    pub now: Timestamp,
}

/// The clock of the sandbox in `folder`.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn clock(folder: &Path) -> Result<ShiftedClock, Failure> {
    Ok(ShiftedClock::new(read_shift(&folder.join(CLOCK))?))
}

/// How far a clock's file says that it is ahead, in seconds; a file that is not there says nothing.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn read_shift(path: &Path) -> Result<i64, Failure> {
    let shift = match files::read(path)? {
        None => Shift::default(),
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| Failure::unreadable(path, error))?,
    };
    if !(0..=FURTHEST).contains(&shift.seconds) {
        return Err(Failure::unreadable(path, format!("{} seconds are no shift of a sandbox's clock", shift.seconds)));
    }
    Ok(shift.seconds)
}

/// The endpoint, and the file that leads to it while it exists.
pub struct Control {
    folder: PathBuf,
    clock_file: PathBuf,
    clock_mode: u32,
    clock: Arc<ShiftedClock>,
    token: Secret<32>,
    moving: Mutex<()>,
}

/// Where a sandbox takes orders, and which file its clock is.
pub struct Place<'a> {
    /// The folder of `control.json`.
    pub folder: &'a Path,
    /// The clock's file.
    pub clock_file: PathBuf,
    /// Who may read it.
    pub clock_mode: u32,
    /// The endpoint's address.
    pub url: String,
    /// The authority to trust, with TLS.
    pub ca: Option<PathBuf>,
}

impl<'a> Place<'a> {
    /// That of a demo in `folder`.
    #[must_use]
    pub fn of_demo(folder: &'a Path, site: &Site, port: u16) -> Self {
        let (clock_file, clock_mode) = (folder.join(CLOCK), files::PRIVATE);
        Self { folder, clock_file, clock_mode, url: site.origin("control", port), ca: site.ca().map(Path::to_owned) }
    }
}

impl Control {
    /// Opens the door.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn open(place: Place<'_>, clock: Arc<ShiftedClock>, rng: &dyn Rng) -> Result<Arc<Self>, Failure> {
        let Place { folder, clock_file, clock_mode, url, ca } = place;
        let token = Secret::new(random(rng));
        let door = Door { url, token: b64(token.expose()), pid: std::process::id(), ca };
        let bytes = serde_json::to_vec(&door).map_err(Failure::other)?;
        files::replace(&folder.join(CONTROL), &bytes, files::PRIVATE)?;
        Ok(Arc::new(Self { folder: folder.to_owned(), clock_file, clock_mode, clock, token, moving: Mutex::new(()) }))
    }

    /// The endpoint.
    pub fn router(self: &Arc<Self>, edge: &Edge) -> Router {
        let (control, edge) = (Arc::clone(self), edge.clone());
        Router::new().route(
            CLOCK_PATH,
            any(move |request: Request| {
                let (control, edge) = (Arc::clone(&control), edge.clone());
                async move {
                    match control.answer(request).await {
                        Ok(response) => response,
                        Err(refusal) => edge.refused(refusal),
                    }
                }
            }),
        )
    }

    async fn answer(&self, request: Request) -> Result<Response<Body>, Refusal> {
        // A browser names its page's origin; no page has business here, whatever it knows.
        if request.headers().contains_key(header::ORIGIN) || !self.knows(request.headers()) {
            return Err(Refusal::ForeignOrigin);
        }
        let advance: Advance = message(request).await?;
        Ok(json(StatusCode::OK, &self.advance(advance)?))
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let token = token.and_then(unb64).and_then(|bytes| bytes.try_into().ok()).map(Secret::new);
        token.is_some_and(|token| token == self.token)
    }

    /// Kept first, then moved: a clock that was seen ahead is never found behind after a restart.
    fn advance(&self, advance: Advance) -> Result<ClockView, Refusal> {
        let _one_at_a_time = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let shift = self.clock.advance(0).saturating_add(advance.seconds);
        if advance.seconds < 0 || shift > FURTHEST {
            return Err(Refusal::Malformed);
        }
        if advance.seconds > 0 {
            let bytes = serde_json::to_vec(&Shift { seconds: shift }).map_err(|_| Refusal::Internal)?;
            files::replace(&self.clock_file, &bytes, self.clock_mode).map_err(|error| {
                tracing::error!(%error, "the clock's shift was not kept, so it was not moved");
                Refusal::Internal
            })?;
            self.clock.advance(advance.seconds);
            tracing::info!(shift, "the sandbox's clock was moved");
        }
        Ok(ClockView { shift, now: self.clock.now() })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.folder.join(CONTROL));
    }
}

/// Asks the demo that runs on `folder` to move its clock.
///
/// # Errors
/// [`Failure::Other`] if no demo runs there, or with its refusal.
pub async fn advance(folder: &Path, seconds: i64) -> Result<ClockView, Failure> {
    let asleep = || Failure::other(format!("no demo is running on {}; start one with: hufu demo", folder.display()));
    // Of offices that are apart, the world around them keeps the clock.
    let path = [folder.join(CONTROL), folder.join("world").join(CONTROL)].into_iter().find(|path| path.exists());
    let Some(path) = path else { return Err(asleep()) };
    let door: Door = match files::read(&path)? {
        None => return Err(asleep()),
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| Failure::unreadable(&path, error))?,
    };
    let client = hufu_sandbox::http::client_trusting(door.ca.as_deref()).map_err(Failure::Other)?;
    let request = client.post(format!("{}{CLOCK_PATH}", door.url)).bearer_auth(&door.token).json(&Advance { seconds });
    let request = request.timeout(Duration::from_secs(5));
    // The file of a demo that was killed may have outlived it.
    let answer = request.send().await.map_err(|_| asleep())?;
    if !answer.status().is_success() {
        return Err(Failure::other(format!("the demo refused: {}", answer.text().await.unwrap_or_default())));
    }
    answer.json().await.map_err(Failure::other)
}

/// Seconds in `72h`, `3d`, `90 min`, `1h30m`, `PT5M`.
///
/// # Errors
/// [`Failure::Other`] for anything else, for calendar months and years, and for a time that is not ahead.
pub fn seconds(text: &str) -> Result<i64, Failure> {
    let refused = || Failure::other(format!("{text:?} is no time span; write 72h, 3d, 90m or 1h30m"));
    let span: jiff::Span = text.parse().map_err(|_| refused())?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| refused())?;
    if duration.is_positive() && duration.as_secs() <= FURTHEST { Ok(duration.as_secs()) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, expected) in
            [("72h", 259_200), ("3d", 259_200), ("90m", 5400), ("1h30m", 5400), ("PT5M", 300), ("2 weeks", 1_209_600)]
        {
            assert_eq!(seconds(text).unwrap(), expected, "{text}");
        }
        for text in ["", "72", "-1h", "1h ago", "0s", "1 month", "99999999d", "soon"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_span_ahead_or_refused(text in "\\PC{0,12}") {
            if let Ok(seconds) = seconds(&text) {
                prop_assert!((1..=FURTHEST).contains(&seconds) || seconds == 0);
            }
        }
    }
}
