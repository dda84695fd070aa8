//! Whether the offices here run: each is asked at its operators' listener.

use super::site::Site;
use super::{Finding, Looked, PATIENCE, edit, reached_at, start_again};
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

/// Asks every office here.
pub async fn listeners(site: &Site) -> Looked {
    let client = match hufu_sandbox::http::client() {
        Ok(client) => client,
        Err(error) => return Looked::nothing(&format!("nothing can be asked here: {error}")),
    };
    let mut found = Vec::new();
    for local in &site.offices {
        let what = format!("{}: listener", local.name);
        let at = reached_at(&local.file);
        let again = start_again(site, local.name, &local.config);
        let asked = client.get(format!("http://{at}/readyz")).timeout(PATIENCE).send().await;
        let Ok(answer) = asked else {
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
        let log = format!("journalctl -u hufu@{} -n 50", local.name);
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
    Looked { at: site.offices.len(), found, unseen: Vec::new() }
}
