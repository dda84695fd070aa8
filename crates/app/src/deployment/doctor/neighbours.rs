//! The offices as one of them sees them: reached under their names, at one time, of one version.

use super::certificates::ending;
use super::site::{Local, Site};
use super::{Finding, Looked, PATIENCE, start_again};
use crate::deployment::public_tls::validity;
use crate::deployment::state::{AskState, PATH, State};
use hufu_kernel::{Clock, Refusal};
use hufu_web::peers::{Leaf, PeerConfig, Peers};
use std::sync::Arc;

/// Seconds apart that somebody should know of.
const APART: i64 = 5;
/// Seconds apart with which sign-ins begin to fail: statements are good for a minute (flows 4).
const TOO_FAR: i64 = hufu_kernel::OFFICE_SKEW;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// How it reads when nothing is wrong.
    pub sound: String,
    /// Who is not reached, or is somebody else.
    pub reached: Looked,
    /// Clocks.
    pub clocks: Looked,
    /// Versions.
    pub versions: Looked,
}

/// Asks every office of the plan in the name of the first office here whose keys are open. Where nothing runs here, and that is said
/// already, those that are here are not asked.
pub async fn look(site: &Site, nothing_runs: bool) -> Seen {
    let mut seen = Seen::default();
    let viewpoint = site.offices.iter().find_map(|local| Some((local, peers(site, local)?)));
    let Some((local, peers)) = viewpoint else {
        let nobody = || Looked::nothing("no office here has keys that the roster pins, to ask with");
        return Seen { sound: String::new(), reached: nobody(), clocks: nobody(), versions: nobody() };
    };
    seen.sound = format!("{} answer {} under their names", site.plan.offices.len(), local.name);
    let clock = local.clock(site.plan.root);
    for name in site.plan.offices.keys() {
        if nothing_runs && site.offices.iter().any(|local| local.name == name) {
            for topic in [&mut seen.reached, &mut seen.clocks, &mut seen.versions] {
                topic.unseen(name, "does not run");
            }
            continue;
        }
        if let Err(finding) = certificate(site, &peers, name, clock.as_ref()).await {
            seen.reached.at(Some(finding));
            for topic in [&mut seen.clocks, &mut seen.versions] {
                topic.unseen(name, "not reached");
            }
            continue;
        }
        seen.reached.at(None);
        state(site, &peers, name, clock.as_ref(), &mut seen).await;
    }
    seen
}

fn peers(site: &Site, local: &Local) -> Option<Peers> {
    let keys = Arc::clone(local.opened()?);
    let leaf = Leaf::new(keys, local.name, site.plan.root_id, local.clock(site.plan.root)).ok()?;
    let config = PeerConfig { answer_within: PATIENCE, ..PeerConfig::default() };
    Peers::new(leaf, local.roster().ok()?, &site.plan.internal_addresses(), config, None).ok()
}

/// What mends an office: a command here, or a telephone call.
fn mend(site: &Site, name: &str) -> String {
    match site.offices.iter().find(|local| local.name == name) {
        Some(local) => start_again(site, name, &local.config),
        None => {
            let operator = site.plan.office(name).map_or("its operator", |office| office.operator.as_str());
            format!("hufu doctor --config {name}/office.toml   # on the machine of {operator}")
        }
    }
}

async fn certificate(site: &Site, peers: &Peers, name: &str, clock: &dyn Clock) -> Result<(), Finding> {
    let what = format!("{name}: mTLS");
    let mend = mend(site, name);
    let der = peers.look(name, PATIENCE).await.map_err(|told| Finding::bad(&what, told, &mend))?;
    let (_, until) = validity(&der).map_err(|told| Finding::bad(&what, told, &mend))?;
    // It is made anew every day for thirty days: one that is about to end was not.
    ending(&what, clock.now(), until, &mend).map_or(Ok(()), Err)
}

async fn state(site: &Site, peers: &Peers, name: &str, clock: &dyn Clock, seen: &mut Seen) {
    let Ok(peer) = peers.to(name) else { return };
    let before = clock.now().0;
    match peer.call::<AskState, State>(PATH, &AskState {}).await {
        Ok(state) => {
            seen.clocks.at(apart(name, before, clock.now().0, state.time.0));
            seen.versions.at(differs(name, env!("CARGO_PKG_VERSION"), &state.version));
        }
        Err(Refusal::NotFound) => {
            let told = "a release that does not tell its version: an older one";
            seen.versions.at(Some(Finding::warning(format!("{name}: version"), told, upgrade(name))));
            seen.clocks.unseen(name, "it does not tell its time");
        }
        Err(refusal) => {
            let told = format!(
                "proves its name, and does not answer this office ({}): its roster may be another",
                refusal.code()
            );
            seen.reached.found.push(Finding::bad(format!("{name}: mTLS"), told, mend(site, name)));
            for topic in [&mut seen.clocks, &mut seen.versions] {
                topic.unseen(name, "it does not answer this office");
            }
        }
    }
}

/// How far another's time is from the time between question and answer.
fn apart(name: &str, before: i64, after: i64, theirs: i64) -> Option<Finding> {
    let apart = if theirs < before { theirs - before } else { (theirs - after).max(0) };
    let what = format!("{name}: clock");
    let told = format!("is {} s {}", apart.abs(), if apart < 0 { "behind" } else { "ahead" });
    let mend = "timedatectl set-ntp true   # on its machine, or this one if all others differ alike";
    match apart.abs() {
        near if near <= APART => None,
        far if far <= TOO_FAR => Some(Finding::warning(what, told, mend)),
        _ => Some(Finding::bad(what, format!("{told}: sign-ins fail"), mend)),
    }
}

fn upgrade(name: &str) -> String {
    format!(
        "deploy/systemd/install --binary NEW FOLDER {name}; systemctl restart hufu@{name}   # docs/operate/upgrade.md"
    )
}

/// Releases that follow each other work together; others were never tried.
fn differs(name: &str, own: &str, theirs: &str) -> Option<Finding> {
    if own == theirs {
        return None;
    }
    let what = format!("{name}: version");
    let told = format!("runs {theirs}, this program is {own}");
    match (release(own), release(theirs)) {
        (Some((major, own)), Some((other, theirs))) if major == other && own.abs_diff(theirs) <= 1 => {
            Some(Finding::warning(what, told, upgrade(name)))
        }
        _ => Some(Finding::bad(what, format!("{told}: more than one release apart"), upgrade(name))),
    }
}

/// Major and minor of `1.2.3`.
fn release(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    #[test]
    fn clocks_may_differ_by_seconds_and_not_by_half_a_minute() {
        let outcome = |theirs| apart("node-1", 100, 102, theirs).map(|found| found.outcome);
        for near in [95, 100, 101, 102, 107] {
            assert_eq!(outcome(near), None, "{near}");
        }
        for far in [94, 70, 108, 132] {
            assert_eq!(outcome(far), Some(Outcome::Warning), "{far}");
        }
        for too_far in [69, 133, -1_000, i64::from(u32::MAX)] {
            assert_eq!(outcome(too_far), Some(Outcome::Bad), "{too_far}");
        }
    }

    #[test]
    fn one_release_apart_is_a_warning_and_two_are_bad() {
        let outcome = |theirs| differs("node-1", "1.4.0", theirs).map(|found| found.outcome);
        assert_eq!(outcome("1.4.0"), None);
        for near in ["1.4.1", "1.5.0", "1.3.9", "1.5.0-rc.1"] {
            assert_eq!(outcome(near), Some(Outcome::Warning), "{near}");
        }
        for far in ["1.6.0", "1.2.9", "2.4.0", "", "new"] {
            assert_eq!(outcome(far), Some(Outcome::Bad), "{far}");
        }
    }
}
