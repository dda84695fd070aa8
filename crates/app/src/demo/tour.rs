//! `hufu demo --tour`: a robot enrols, signs in, and holds the offices to their promises, on this machine's own ports and files.

use super::platforms::Invented;
use crate::failure::Failure;
use crate::files;
use crate::rows::AtRest;
use hufu_sandbox::persons::Person;
use hufu_sandbox::robot::World;
use hufu_sandbox::tour::{Plan, Reading, Report, Step, Stop, run};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Remembers which persons tours have enrolled: each tour needs somebody new.
pub const TAKEN: &str = "tour.json";

/// The first person a tour may take: the personas and the persons on an edge of age are for people to try.
const FIRST: usize = 22;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Taken {
    next: usize,
}

/// Everything that a tour needs of a sandbox.
pub struct Ground<'a> {
    /// The file that remembers whom tours have enrolled.
    pub taken: PathBuf,
    /// Where every office keeps what it keeps.
    pub offices: Vec<AtRest>,
    /// Where it answers.
    pub world: &'a World,
    /// Who lives there.
    pub persons: &'a [Person],
    /// Two platforms, taken from here.
    pub platforms: Vec<Invented>,
}

/// Takes the tour. With `json` the report goes to standard output whole, else step by step.
///
/// # Errors
/// [`Failure::Other`] if a step cannot be taken at all.
pub async fn tour(ground: Ground<'_>, json: bool) -> Result<Report, Failure> {
    let person = somebody_new(&ground.taken, ground.persons)?;
    let mut stops = ground.platforms.into_iter().map(|platform| stop(platform, ground.world));
    let (Some(first), Some(second)) = (stops.next(), stops.next()) else {
        return Err(Failure::other("the tour needs two platforms"));
    };
    let plan = Plan {
        person,
        password: "27182845".to_owned(),
        stops: [first?, second?],
        at_rest: reading(ground.offices),
        elapsed,
    };
    let mut say = |step: &Step| {
        if !json {
            show(step);
        }
    };
    let report = run(ground.world, &plan, &mut say).await.map_err(Failure::other)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::other)?);
    } else {
        conclude(&report);
    }
    Ok(report)
}

fn somebody_new(path: &Path, persons: &[Person]) -> Result<Person, Failure> {
    let taken = match files::read(path)? {
        None => Taken { next: FIRST },
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| Failure::unreadable(path, error))?,
    };
    let person = persons.get(taken.next).cloned().ok_or_else(|| {
        Failure::other(
            "every synthetic person has been enrolled by an earlier tour; make a new sandbox with: hufu demo reset",
        )
    })?;
    let next = serde_json::to_vec(&Taken { next: taken.next + 1 }).map_err(Failure::other)?;
    files::replace(path, &next, files::PRIVATE)?;
    Ok(person)
}

fn stop(platform: Invented, world: &World) -> Result<Stop, Failure> {
    let certificate = platform.certificate.clone();
    let client = platform.client(world)?;
    let answers = certificate.purposes.first().map(|purpose| purpose.answers.clone()).unwrap_or_default();
    Ok(Stop { certificate, client, answers })
}

/// What every office keeps: database, log and index, whatever they are called and wherever they are.
fn reading(offices: Vec<AtRest>) -> Reading {
    Box::new(move || {
        let offices = offices.clone();
        Box::pin(async move {
            let mut all = Vec::with_capacity(offices.len());
            for office in offices {
                all.push((office.office.to_owned(), office.read().await?));
            }
            Ok(all)
        })
    })
}

#[expect(clippy::disallowed_methods, reason = "the tour measures")]
fn elapsed() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

fn show(step: &Step) {
    println!("\n▸ {} ({} ms)", step.step, step.ms);
    for learnt in &step.learnt {
        println!("    {:<42} {}", learnt.who, learnt.what);
    }
}

fn conclude(report: &Report) {
    println!();
    for promise in &report.promises {
        println!("{} {}\n    {}", if promise.holds { "✓" } else { "✗ BROKEN" }, promise.promise, promise.measured);
    }
    let held = report.promises.iter().filter(|promise| promise.holds).count();
    println!("\n{held} of {} promises held.", report.promises.len());
}
