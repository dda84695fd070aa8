//! `hufu doctor DIR` and `hufu doctor --config office.toml`: is this deployment as it should be, and what mends it if not. Nothing is
//! changed by looking.
//!
//! A topic is one row of a table: what was looked at, how it reads when nothing is wrong, and a function that finds faults.

mod certificates;
mod neighbours;
mod own;
mod running;
mod site;
mod start;

use crate::deployment::office_file::OfficeFile;
use crate::doctor::{Outcome, Report};
use site::Site;
use std::path::Path;

/// Whoever is asked has this long.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Finding {
    what: String,
    outcome: Outcome,
    found: String,
    mend: String,
}

impl Finding {
    fn bad(what: impl Into<String>, found: impl std::fmt::Display, mend: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Outcome::Bad, found: found.to_string(), mend: mend.into() }
    }

    fn warning(what: impl Into<String>, found: impl std::fmt::Display, mend: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warning, ..Self::bad(what, found, mend) }
    }
}

/// What came of looking at a topic.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Things that were looked at: without any, nothing is sound.
    at: usize,
    found: Vec<Finding>,
    /// Why something was not looked at, and of which offices.
    unseen: Vec<(String, Vec<String>)>,
}

impl Looked {
    /// One thing was looked at.
    fn at(&mut self, found: impl IntoIterator<Item = Finding>) {
        self.at += 1;
        self.found.extend(found);
    }

    /// Something of this office was not looked at.
    fn unseen(&mut self, office: &str, why: &str) {
        match self.unseen.iter_mut().find(|(known, _)| known == why) {
            Some((_, offices)) => offices.push(office.to_owned()),
            None => self.unseen.push((why.to_owned(), vec![office.to_owned()])),
        }
    }

    /// There is nothing here to look at.
    fn nothing(why: &str) -> Self {
        Self { unseen: vec![(why.to_owned(), Vec::new())], ..Self::default() }
    }

    /// One sentence about all that was not looked at.
    fn told_unseen(&self) -> Option<String> {
        let told = |(why, offices): &(String, Vec<String>)| match offices.as_slice() {
            [] => why.clone(),
            offices => format!("{}: {why}", offices.join(", ")),
        };
        (!self.unseen.is_empty())
            .then(|| format!("not looked at: {}", self.unseen.iter().map(told).collect::<Vec<_>>().join("; ")))
    }
}

/// One topic that is looked at without asking anybody.
struct Topic {
    name: &'static str,
    sound: &'static str,
    look: fn(&Site) -> Looked,
}

/// In the order of the report. Keys come after permissions: a key that others can read is not opened.
const TOPICS: [Topic; 10] = [
    Topic { name: "plan", sound: "one plan, roster and trust.json for all", look: own::papers },
    Topic { name: "permissions", sound: "folders 700; keys, stores and passwords 600", look: own::permissions },
    Topic { name: "keys", sound: "open, and those that the roster pins", look: own::keys },
    Topic { name: "stores", sound: "each its office's, every page whole", look: own::stores },
    Topic { name: "start", sound: "each configuration is one that its office takes", look: start::start },
    Topic {
        name: "services",
        sound: "all that are needed are named, and people's data goes there encrypted",
        look: own::services,
    },
    Topic { name: "disk", sound: "room enough", look: own::space },
    Topic { name: "public TLS", sound: "its names, for two weeks or more", look: certificates::public },
    Topic { name: "platforms", sound: "their certificates hold for two weeks or more", look: certificates::platforms },
    Topic { name: "operators", sound: "no one operator could undo the separation", look: own::operators },
];

/// Looks at a deployment whose folders of offices are on this machine, those of other operators excepted.
pub async fn folder(folder: &Path) -> Report {
    examine(Report::new(folder), site::of_folder(folder)).await
}

/// Looks at one office on its own machine, and at the others as it sees them.
pub async fn office(config: &Path) -> Report {
    examine(Report::new(config), site::of_office(config)).await
}

async fn examine(mut report: Report, (site, faults): (Option<Site>, Vec<Finding>)) -> Report {
    let Some(site) = site else {
        told(&mut report, "configuration", "", Looked { found: faults, ..Looked::default() });
        return report;
    };
    let parsed = Looked { at: site.offices.len(), found: faults, unseen: Vec::new() };
    told(&mut report, "configuration", &format!("{} parse", counted(site.offices.len())), parsed);
    for topic in TOPICS {
        told(&mut report, topic.name, topic.sound, (topic.look)(&site));
    }
    let ready = running::listeners(&site).await;
    told(&mut report, "listeners", "/readyz and /metrics answer, ready", ready.looked);
    let seen = neighbours::look(&site, ready.nothing_runs).await;
    told(&mut report, "offices", &seen.sound, seen.reached);
    told(&mut report, "clocks", "of those that answered no more than five seconds apart", seen.clocks);
    told(&mut report, "versions", &format!("all that answered run {}", env!("CARGO_PKG_VERSION")), seen.versions);
    report
}

fn counted(offices: usize) -> String {
    if offices == 1 { "one office's files".to_owned() } else { format!("the files of {offices} processes") }
}

/// A topic is sound if something was looked at and nothing was found; what was not looked at is said beside it.
fn told(report: &mut Report, topic: &str, sound: &str, looked: Looked) {
    let unseen = looked.told_unseen();
    if looked.found.is_empty() && looked.at > 0 {
        report.add(topic, Outcome::Good, sound, None);
    }
    for finding in looked.found {
        report.add(finding.what, finding.outcome, finding.found, Some(finding.mend));
    }
    if let Some(unseen) = unseen {
        report.add(topic, Outcome::Unseen, unseen, None);
    }
}

/// The command that opens a configuration.
fn edit(path: &Path) -> String {
    format!("${{EDITOR:-vi}} {}", path.display())
}

/// The command that starts an office again. One that `hufu up` runs begins again by itself.
fn start_again(site: &Site, name: &str, config: &Path) -> String {
    match site.plan.root {
        hufu_kernel::Root::Production if start::has_units() => format!("systemctl restart hufu@{name}"),
        hufu_kernel::Root::Production => format!("hufu serve {name} --config {}", config.display()),
        hufu_kernel::Root::Sandbox => format!("hufu sandbox serve {name} --config {}", config.display()),
    }
}

/// The command that starts all that are here.
fn start_all(site: &Site) -> String {
    match site.plan.root {
        hufu_kernel::Root::Production if start::has_units() => "systemctl start hufu.target".to_owned(),
        hufu_kernel::Root::Production => format!("hufu up {}", site.folder.display()),
        hufu_kernel::Root::Sandbox => format!("hufu sandbox up {}", site.folder.display()),
    }
}

/// The address of a listener as this machine reaches it.
fn reached_at(file: &OfficeFile) -> std::net::SocketAddr {
    let mut at = file.metrics.listen;
    if at.ip().is_unspecified() {
        at.set_ip(if at.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(looked: Looked) -> Vec<(Outcome, String)> {
        let mut report = Report::new(Path::new("."));
        told(&mut report, "stores", "whole", looked);
        report.checks.into_iter().map(|check| (check.outcome, check.found)).collect()
    }

    #[test]
    fn what_was_not_looked_at_is_never_sound() {
        let whole = (Outcome::Good, "whole".to_owned());
        let mut looked = Looked::default();
        looked.at(None);
        assert_eq!(outcomes(looked), std::slice::from_ref(&whole), "the control");
        assert_eq!(
            outcomes(Looked::nothing("none is here")),
            [(Outcome::Unseen, "not looked at: none is here".to_owned())]
        );
        let mut looked = Looked::default();
        looked.unseen("node-1", "elsewhere");
        looked.unseen("post", "not made yet");
        looked.unseen("node-2", "elsewhere");
        let unseen = (Outcome::Unseen, "not looked at: node-1, node-2: elsewhere; post: not made yet".to_owned());
        assert_eq!(looked.told_unseen().as_ref(), Some(&unseen.1));
        looked.at(None);
        assert_eq!(outcomes(looked), [whole, unseen.clone()]);
        let mut looked = Looked::nothing("elsewhere");
        looked.at(Some(Finding::bad("post: store", "rotten", "restore")));
        assert_eq!(outcomes(looked)[0], (Outcome::Bad, "rotten".to_owned()));
    }
}
