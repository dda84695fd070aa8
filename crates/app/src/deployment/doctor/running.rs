//! Whether the offices here run: each is asked at its operators' listener.

use super::site::Site;
use super::start::has_units;
use super::{Finding, Looked, PATIENCE, edit, reached_at, start_again, start_all};
use serde::Deserialize;

/// What `/readyz` says.
#[derive(Deserialize)]
struct Readiness {
    office: String,
    #[serde(default)]
    reasons: Vec<String>,
    #[serde(default)]
    notes: Vec<String>,
}

/// What the listeners said.
#[derive(Debug, Default)]
pub struct Seen {
    /// Of each office.
    pub looked: Looked,
    /// Several offices are here, and none of them runs: that is one finding, not one an office.
    pub nothing_runs: bool,
}

/// Asks every office here.
pub async fn listeners(site: &Site) -> Seen {
    let client = match hufu_sandbox::http::client() {
        Ok(client) => client,
        Err(error) => {
            let looked = Looked::nothing(&format!("nothing can be asked here: {error}"));
            return Seen { looked, nothing_runs: false };
        }
    };
    let (mut found, mut silent) = (Vec::new(), 0);
    for local in &site.offices {
        let what = format!("{}: listener", local.name);
        let at = reached_at(&local.file);
        let again = start_again(site, local.name, &local.config);
        let asked = client.get(format!("http://{at}/readyz")).timeout(PATIENCE).send().await;
        let Ok(answer) = asked else {
            silent += 1;
            found.push(Finding::bad(what, format!("nobody answers at {at}: it does not run"), again));
            continue;
        };
        let Ok(said) = answer.json::<Readiness>().await else {
            found.push(Finding::bad(what, format!("what answers at {at} is no office"), edit(&local.config)));
            continue;
        };
        if said.office != local.name {
            let told = format!("at {at} answers {}: two configurations name one address", said.office);
            found.push(Finding::bad(what, told, edit(&local.config)));
            continue;
        }
        let log = match has_units() {
            true => format!("journalctl -u hufu@{} -n 50", local.name),
            false => format!("look at its log: standard error of {}", start_again(site, local.name, &local.config)),
        };
        found.extend(said.reasons.iter().map(|reason| Finding::bad(format!("{}: ready", local.name), reason, &log)));
        found.extend(said.notes.iter().map(|note| Finding::warning(format!("{}: ready", local.name), note, &log)));
        let counted = client.get(format!("http://{at}/metrics")).timeout(PATIENCE).send().await;
        if !counted.is_ok_and(|answer| answer.status().is_success()) {
            found.push(Finding::bad(
                format!("{}: metrics", local.name),
                format!("http://{at}/metrics is not there"),
                again,
            ));
        }
    }
    let nothing_runs = silent == site.offices.len() && silent > 1;
    if nothing_runs {
        let told = format!("nothing runs here: none of {silent} answers at its [metrics] address");
        found = vec![Finding::bad("listeners", told, start_all(site))];
    }
    Seen { looked: Looked { at: site.offices.len(), found, unseen: Vec::new() }, nothing_runs }
}
