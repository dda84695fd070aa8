//! Whether each office here would start: its configuration as the office itself reads it.

use super::site::{Local, Site};
use super::{Finding, Looked, edit};
use crate::deployment::office_file::{Engine, WALLET};
use crate::deployment::services::{self, Outside};
use crate::deployment::{neighbours, serve};
use crate::failure::Failure;
use crate::traces::export::Exporter;
use crate::{logs, offices};
use hufu_kernel::Root;
use std::path::PathBuf;

/// What a start would refuse, beside what other topics look at.
pub fn start(site: &Site) -> Looked {
    let mut looked = Looked::default();
    for local in &site.offices {
        let failures =
            [rules(local), clock(local, site.plan.root), traces(local, site.plan.root), filter(local), rows(local)];
        let what = format!("{}: start", local.name);
        let told = failures.into_iter().filter_map(Result::err);
        looked.at(told.map(|failure| Finding::bad(&what, failure, edit(&local.config))).collect::<Vec<_>>());
        looked.found.extend(trust(local, site.plan.root));
    }
    looked
}

fn rules(local: &Local) -> Result<(), Failure> {
    offices::rules(local.file.rules.as_deref()).map(drop)
}

fn clock(local: &Local, root: Root) -> Result<(), Failure> {
    serve::clock(local.file.sandbox.clock.as_deref(), root).map(drop)
}

fn traces(local: &Local, root: Root) -> Result<(), Failure> {
    let Some(table) = &local.file.tracing else { return Ok(()) };
    Exporter::new(local.name, table, root, local.clock(root)).map(drop)
}

fn filter(local: &Local) -> Result<(), Failure> {
    logs::filter(&local.file.log.filter).map(drop)
}

/// A password in the office's environment is not in this program's.
fn rows(local: &Local) -> Result<(), Failure> {
    let elsewhere =
        local.file.store.as_ref().is_some_and(|store| store.kind == Engine::Postgres && store.password_env.is_some());
    if elsewhere || local.name == WALLET {
        Ok(())
    } else {
        neighbours::rows(&local.file, local.name, &local.folder).map(drop)
    }
}

/// A `trust.json` of before this office was replaced.
fn trust(local: &Local, root: Root) -> Option<Finding> {
    let trust = local.trust(root).ok()?;
    let failure = serve::own_key(&local.file, &trust, local.name, local.opened()?.as_ref()).err()?;
    let mend = format!("scp ANOTHER-OFFICE:{0} {0}", local.file.trust.display());
    Some(Finding::bad(format!("{}: trust.json", local.name), failure, mend))
}

/// What is wrong with the services outside that an office names, or does not.
pub fn of_services(local: &Local, root: Root) -> Vec<Finding> {
    let of = |table: &str, told: String| Finding::bad(format!("{}: {table}", local.name), told, edit(&local.config));
    let faults = services::faults(&local.file, root);
    let file = &local.file;
    let named = [("register", &file.register), ("face", &file.face), ("messages", &file.messages)];
    let named = named.into_iter().filter(|(table, _)| faults.iter().all(|fault| fault.table != *table));
    let authority =
        |(table, service): (&'static str, &Option<_>)| Some((table, Outside::new(table, service.as_ref()?).err()?));
    let unreadable: Vec<(&str, Failure)> = named.filter_map(authority).collect();
    let faults = faults.into_iter().map(|fault| of(fault.table, fault.told));
    faults.chain(unreadable.into_iter().map(|(table, failure)| of(table, failure.to_string()))).collect()
}

/// Whether the offices of this machine are systemd's.
pub fn has_units() -> bool {
    ["/etc", "/usr/lib", "/lib"].iter().any(|at| PathBuf::from(at).join("systemd/system/hufu@.service").exists())
}
