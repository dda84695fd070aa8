//! `hufu bench abuse`: what people notice of one client that asks as much as it can, with the offices' limits and without them.
//!
//! People come at a steady pace from one address of this machine, the flood from another one; both go to the same offices, each a
//! process of its own, all on one core. The flood asks what costs most of those who are nobody: pushed requests in a platform's name whose
//! signature is wrong. It is bounded by itself, so that the control, without limits, is the same flood.

use super::apart::Apart;
use super::report::{milliseconds, round};
use super::{Scratch, cores, lanes, load_average, processor};
use crate::failure::Failure;
use hufu_kernel::{OsRng, Rng};
use hufu_platform::client::Wish;
use hufu_sandbox::load::connection::{Connection, FORM, Message};
use hufu_sandbox::load::flood::{Flood, Flooded, flood};
use hufu_sandbox::load::hufu::{Service, Whole};
use hufu_sandbox::load::measure::percentile;
use hufu_sandbox::load::paced::{Fared, Pace, paced};
use serde::Serialize;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Where the flood comes from; people come from 127.0.0.1.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Connections that it keeps open, or tries to.
const CONNECTIONS: u32 = 64;
/// People who are flooded wait at most so many times as long.
const BAR: f64 = 2.0;
/// Without limits it has to be so much worse, or the flood was none.
const WORSE: f64 = 1.5;

/// How it is run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options {
    /// Enrolled persons.
    pub persons: usize,
    /// Rounds: in each, people without the flood and with it.
    pub rounds: usize,
    /// Seconds of each.
    pub seconds: u32,
    /// Sign-ins that people begin a second.
    pub pace: u32,
    /// Requests of the flood a second, at most.
    pub flood: u32,
    /// Only show that everything works.
    pub quick: bool,
}

/// `hufu bench abuse --json`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `abuse`.
    pub bench: &'static str,
    /// With the limits that offices have by default.
    pub limits_on: Side,
    /// The control: without any.
    pub limits_off: Side,
    /// Nobody was refused with limits, and 99 of 100 waited at most twice as long as without the flood.
    pub held: bool,
    /// Whether it was worse without limits. If not, the measurement shows nothing of them.
    pub shows: bool,
    /// The run.
    pub run: Conditions,
}

/// One half of the measurement.
#[derive(Debug, Serialize)]
pub struct Side {
    /// People alone.
    pub calm: Figures,
    /// People beside the flood.
    pub flooded: Figures,
    /// How much longer 99 of 100 waited; nothing if nobody was signed in.
    pub p99_ratio: Option<f64>,
    /// What came of the flood.
    pub flood: Flooded,
}

/// How people fared, over all rounds.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Complete sign-ins.
    pub sign_ins: usize,
    /// Those that were refused, or took more than ten seconds.
    pub failed: usize,
    /// What the first of them was told.
    pub why: Option<String>,
    /// Half of all took at most this long, from when they should have begun.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
}

/// What was run on what.
#[derive(Debug, Serialize)]
pub struct Conditions {
    /// Ours.
    pub version: &'static str,
    /// Enrolled persons.
    pub persons: usize,
    /// Rounds.
    pub rounds: usize,
    /// Seconds of each half of a round.
    pub seconds: u32,
    /// Sign-ins a second.
    pub pace: u32,
    /// Requests of the flood a second, at most.
    pub flood: u32,
    /// The core of the offices and that of the driver; nothing where processes cannot be bound to one.
    pub cores: Option<super::report::BoundTo>,
    /// The processor.
    pub processor: String,
    /// Other load in the last minute, when the run began.
    pub load_before: Option<f64>,
    /// A smoke run: its figures mean nothing.
    pub quick: bool,
}

/// Runs it. Progress goes to standard error.
///
/// # Errors
/// [`Failure`], also if people are refused where there is no flood.
pub fn abuse(options: &Options) -> Result<Report, Failure> {
    let load_before = load_average();
    let rng: Arc<dyn Rng> = Arc::new(OsRng);
    let scratch = Scratch::new(rng.as_ref())?;
    eprintln!("Offices that are apart, and {} persons at three nodes …", options.persons);
    let (apart, devices) = Apart::settle(&scratch, options.persons, &rng)?;
    let bound = cores::choose();
    let own = std::env::current_exe().map_err(Failure::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::other)?;
    let (mut devices, mut first) = (devices, 0);
    let mut service: Option<Rc<Service>> = None;
    let mut side = |limits: bool| -> Result<Side, Failure> {
        // A flood of seconds on a machine that does something else is a small one.
        let those = if options.quick { "[limits]\naddress_platform = 3000\n" } else { "" };
        apart.limit(limits.then_some(those))?;
        let running = apart.start(&own, &scratch, bound)?;
        // The second time they answer where they did the first time.
        let known = match service.take() {
            Some(known) => known,
            None => Rc::new(lanes::service(&running.site, std::mem::take(&mut devices), &rng)?),
        };
        service = Some(Rc::clone(&known));
        eprintln!("{} limits …", if limits { "With" } else { "Without" });
        let people = Rc::new(Whole { service: known });
        let measured = tokio::task::LocalSet::new().block_on(&runtime, async {
            let told = crate::cli::told_to_stop()?;
            tokio::select! {
                measured = measure(&people, options, &mut first) => measured,
                () = told => Err(Failure::other("interrupted")),
            }
        });
        drop(running);
        measured
    };
    let (limits_on, limits_off) = (side(true)?, side(false)?);
    let run = Conditions {
        version: env!("CARGO_PKG_VERSION"),
        persons: options.persons,
        rounds: options.rounds,
        seconds: options.seconds,
        pace: options.pace,
        flood: options.flood,
        cores: bound.map(Into::into),
        processor: processor(),
        load_before,
        quick: options.quick,
    };
    Ok(Report {
        bench: "abuse",
        held: held(&limits_on),
        shows: shows(&limits_on, &limits_off),
        limits_on,
        limits_off,
        run,
    })
}

async fn measure(people: &Rc<Whole>, options: &Options, first: &mut usize) -> Result<Side, Failure> {
    let every = Duration::from_secs(1) / options.pace.max(1);
    let count = usize::try_from(options.pace * options.seconds).unwrap_or(usize::MAX);
    let mut come = || {
        let pace = Pace { every, count, first: *first };
        *first += count;
        pace
    };
    let flooding = self::flooding(&people.service, options).await?;
    let (mut calm, mut flooded, mut all) = (Fared::default(), Fared::default(), Flooded::default());
    // The first time warms everything up and is not counted.
    for round in 0..=options.rounds {
        let alone = paced(people, come()).await.map_err(Failure::other)?;
        if let Some(why) = &alone.why {
            return Err(Failure::other(format!("people are refused without a flood: {why}")));
        }
        if round == 0 {
            continue;
        }
        add(&mut calm, alone);
        let (beside, came) = tokio::join!(paced(people, come()), flood(flooding.clone()));
        add(&mut flooded, beside.map_err(Failure::other)?);
        all.sent += came.sent;
        all.answered += came.answered;
        all.limited += came.limited;
        all.cut += came.cut;
        eprintln!("  round {round} of {}: {} sign-ins beside {} requests", options.rounds, count, came.sent);
    }
    let (calm, flooded) = (figures(calm), figures(flooded));
    let p99_ratio = (flooded.sign_ins > 0 && calm.p99_ms > 0.0).then(|| round(flooded.p99_ms / calm.p99_ms));
    Ok(Side { calm, flooded, p99_ratio, flood: all })
}

/// A pushed request of a platform with a wrong signature, which the front has to verify; it is tried once.
async fn flooding(service: &Service, options: &Options) -> Result<Flood, Failure> {
    let (platforms, parties) = (&service.platforms, &service.platforms.all);
    let party = parties.first().ok_or_else(|| Failure::other("there is no platform"))?;
    let rng = platforms.rng.as_ref();
    let pushed = party.push(&party.begin(&Wish::default(), rng), platforms.clock.now(), rng).map_err(Failure::other)?;
    let flood = Flood {
        origin: service.addresses.issuer.clone(),
        from: STRANGER,
        path: "/par".to_owned(),
        body: with_wrong_signature(&pushed.body).ok_or_else(|| Failure::other("the platform signs nothing"))?,
        per_second: options.flood,
        connections: CONNECTIONS,
        time: Duration::from_secs(options.seconds.into()),
    };
    let mut line = Connection::open_from(&flood.origin, Some(flood.from)).await.map_err(Failure::other)?;
    let message = Message { path: &flood.path, content_type: FORM, ..Message::default() };
    let answer = line.post(message, flood.body.clone()).await.map_err(Failure::other)?;
    answer.expect("a request with a wrong signature", 401).map_err(Failure::other)?;
    Ok(flood)
}

/// The form with one character in the middle of its assertion's signature changed.
fn with_wrong_signature(form: &str) -> Option<String> {
    let (before, rest) = form.split_once("client_assertion=")?;
    let end = rest.find('&').unwrap_or(rest.len());
    let at = rest[..end].rfind('.')? + 20;
    let changed = if rest.get(at..=at)? == "A" { "B" } else { "A" };
    Some(format!("{before}client_assertion={}{changed}{}", &rest[..at], &rest[at + 1..]))
}

fn add(to: &mut Fared, more: Fared) {
    to.latencies.extend(more.latencies);
    to.failed += more.failed;
    to.why = to.why.take().or(more.why);
}

fn figures(mut fared: Fared) -> Figures {
    fared.latencies.sort_unstable();
    let at = |percent| milliseconds(percentile(&fared.latencies, percent));
    let (p50_ms, p99_ms) = (at(50), at(99));
    Figures { sign_ins: fared.latencies.len(), failed: fared.failed, why: fared.why, p50_ms, p99_ms }
}

fn held(on: &Side) -> bool {
    on.flooded.failed == 0 && on.p99_ratio.is_some_and(|ratio| ratio <= BAR)
}

fn shows(on: &Side, off: &Side) -> bool {
    let worse = match (on.p99_ratio, off.p99_ratio) {
        (Some(on), Some(off)) => off >= on * WORSE,
        (on, off) => on.is_some() && off.is_none(),
    };
    worse || off.flooded.failed > on.flooded.failed
}

impl Report {
    /// As a table for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{:<26}{:>10}{:>8}{:>10}{:>10}", "people", "sign-ins", "failed", "p50 ms", "p99 ms");
        for (name, side) in [("with limits", &self.limits_on), ("without", &self.limits_off)] {
            for (how, figures) in [("calm", &side.calm), ("flooded", &side.flooded)] {
                let Figures { sign_ins, failed, p50_ms, p99_ms, .. } = figures;
                let name = format!("{name}, {how}");
                let _ = writeln!(out, "{name:<26}{sign_ins:>10}{failed:>8}{p50_ms:>10.1}{p99_ms:>10.1}");
            }
        }
        let _ = writeln!(out);
        for (name, side) in [("with limits", &self.limits_on), ("without", &self.limits_off)] {
            let Flooded { sent, answered, limited, cut } = side.flood;
            let ratio = side.p99_ratio.map_or("nobody signed in".to_owned(), |ratio| format!("{ratio:.2} ×"));
            let _ = writeln!(
                out,
                "{name:<12} p99 {ratio} of calm; the flood: {sent} requests, {answered} answered, {limited} told to wait, {cut} cut"
            );
        }
        let bar = if self.held { "held" } else { "NOT HELD" };
        let _ = writeln!(out, "bar: nobody refused, p99 within {BAR} × of calm: {bar}");
        if !self.shows {
            let _ = writeln!(out, "Without limits it was no worse: this run shows nothing of what they do.");
        }
        let run = &self.run;
        let _ = writeln!(
            out,
            "\n{} persons, {} sign-ins a second from 127.0.0.1 over the whole path, offices apart; at most {} requests a second from \
             {STRANGER}; {} rounds of {} s each way; {}",
            run.persons, run.pace, run.flood, run.rounds, run.seconds, run.processor
        );
        if run.quick {
            let _ = writeln!(out, "A smoke run: it shows that everything works, and its figures mean nothing.");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(p99: f64, failed: usize) -> Side {
        let figures = |p99_ms, failed| Figures { sign_ins: 100, failed, why: None, p50_ms: 5.0, p99_ms };
        let (calm, flooded) = (figures(10.0, 0), figures(p99, failed));
        Side { calm, flooded, p99_ratio: Some(p99 / 10.0), flood: Flooded::default() }
    }

    #[test]
    fn the_bar_is_held_by_who_refuses_nobody_and_keeps_nobody_waiting() {
        assert!(held(&side(20.0, 0)));
        assert!(!held(&side(20.1, 0)) && !held(&side(10.0, 1)));
        assert!(!held(&Side { p99_ratio: None, ..side(10.0, 0) }));
    }

    #[test]
    fn without_a_control_that_is_worse_nothing_is_shown() {
        let on = side(12.0, 0);
        assert!(shows(&on, &side(18.0, 0)) && shows(&on, &side(12.0, 1)));
        assert!(shows(&on, &Side { p99_ratio: None, ..side(12.0, 0) }));
        assert!(!shows(&on, &side(17.0, 0)) && !shows(&on, &side(9.0, 0)));
    }

    #[test]
    fn a_wrong_signature_differs_in_one_character() {
        let form = "a=b&client_assertion=aaa.bbb.0123456789012345678AXYZ&c=d";
        let changed = with_wrong_signature(form).unwrap();
        assert_eq!(changed, "a=b&client_assertion=aaa.bbb.0123456789012345678BXYZ&c=d");
        assert_eq!(with_wrong_signature(&changed).unwrap(), form);
        assert_eq!(with_wrong_signature("a=b"), None);
    }
}
