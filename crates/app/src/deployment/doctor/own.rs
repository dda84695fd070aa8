//! What belongs to the offices here: papers, permissions, keys, stores, services, room; and who runs what.

use super::site::{Local, Site};
use super::start::{has_units, of_services};
use super::{Finding, Looked, edit};
use crate::deployment::office_file::{Engine, Keeper, WALLET};
use crate::deployment::{operators, plan::Plan};
use crate::doctor::secrets;
use crate::failure::Failure;
use crate::files;
use crate::offices::registry::FOLDER as ADMITTED;
use crate::root::key_file::{KEYS, MACHINE_KEY};
use crate::root::{RESTORING, STORE, STORES};
use hufu_kernel::Root;
use hufu_store::{Identity, Sqlite, StoreError};
use std::path::{Path, PathBuf};

/// The office whose certificates of platforms are files.
const REGISTRY: &str = "registry";
/// The offices that call services outside.
const REGISTRAR: &str = "registrar";
const POST: &str = "post";
/// Less free space than this is a warning: a full disk refuses enrolments.
const LITTLE: u64 = 200 << 20;
/// With less than this the next write may fail.
const NONE: u64 = 16 << 20;
/// The name that stands for one's own, and the telephone that nobody answers.
const PLACEHOLDERS: [&str; 2] = ["hufu.example", "400-000-0000"];

/// Plan, roster and public half are there, of one root, and the same for every office.
pub fn papers(site: &Site) -> Looked {
    let (mut found, mut looked) = (Vec::new(), Looked::default());
    let mut first: Option<String> = None;
    for local in &site.offices {
        let what = |paper: &str| format!("{}: {paper}", local.name);
        match Plan::read(&local.file.deployment) {
            Ok(plan) if plan == site.plan => {}
            Ok(_) => {
                let mend =
                    format!("cp {} {}", site.folder.join("deployment.toml").display(), local.file.deployment.display());
                found.push(Finding::bad(what("plan"), "goes by another plan than this folder's", mend));
            }
            Err(failure) => found.push(Finding::bad(what("plan"), failure, edit(&local.file.deployment))),
        }
        if let Err(failure) = local.trust(site.plan.root) {
            let mend = format!("scp ANOTHER-OFFICE:{0} {0}", local.file.trust.display());
            found.push(Finding::bad(what("trust.json"), failure, mend));
        }
        if local.keys.is_some() {
            let path = local.file.roster.as_deref().unwrap_or(Path::new(crate::deployment::ROSTER));
            let mend = format!("scp ANOTHER-OFFICE:{0} {0}", path.display());
            match local.roster() {
                Err(failure) => found.push(Finding::bad(what("roster"), failure, mend)),
                Ok(roster) => {
                    let own = roster.fingerprint();
                    if roster.root() != site.plan.root || *roster.root_id() != site.plan.root_id {
                        found.push(Finding::bad(what("roster"), "belongs to another trust root than the plan", mend));
                    } else if !roster.missing().is_empty() {
                        let lacking = format!("lacks {}", roster.missing().join(", "));
                        found.push(Finding::bad(what("roster"), lacking, "hufu keys roster"));
                    } else if first.get_or_insert_with(|| own.clone()) != &own {
                        found.push(Finding::bad(what("roster"), "is another one than the other offices'", mend));
                    }
                }
            }
        }
    }
    looked.at = site.offices.len();
    looked.found = found;
    looked
}

/// Nobody but the office reads what is secret.
pub fn permissions(site: &Site) -> Looked {
    let mut looked = Looked::default();
    for local in &site.offices {
        let what = || format!("{}: permissions", local.name);
        for (path, wanted) in secret(local) {
            match path.try_exists() {
                Ok(false) => {}
                Ok(true) => looked.at(open_to_others(local, &path, wanted)),
                // Not even whether it is there.
                Err(error) => {
                    looked.at(Some(Finding::bad(what(), format!("{}: {error}", path.display()), as_its_user(local))));
                    break;
                }
            }
        }
    }
    looked
}

/// What only the office, or its group, may read.
fn secret(local: &Local) -> Vec<(PathBuf, u32)> {
    let public = local.file.public.iter().filter_map(|public| public.key.clone());
    let public = public.chain(local.file.mtls.iter().map(|mtls| mtls.key.clone())).map(|path| (path, 0o640));
    if local.keys.is_none() {
        return public.collect();
    }
    let data = local.file.data();
    let mut wanted: Vec<(PathBuf, u32)> = vec![(data.to_owned(), 0o700)];
    wanted.extend(secrets(data).map(|path| (path, 0o600)));
    wanted.extend(local.file.keys.iter().filter_map(|keys| keys.pin_file.clone()).map(|path| (path, 0o600)));
    wanted.extend(local.file.store.iter().filter_map(|store| store.password_file.clone()).map(|path| (path, 0o600)));
    wanted.extend(public);
    wanted
}

fn open_to_others(local: &Local, path: &Path, wanted: u32) -> Option<Finding> {
    let what = format!("{}: permissions", local.name);
    match files::mode(path) {
        Ok(mode) if mode & !wanted == 0 => None,
        Ok(mode) => {
            let told = format!("{} has mode {mode:03o}: others can read it", path.display());
            Some(Finding::bad(what, told, format!("chmod {wanted:o} {}", path.display())))
        }
        Err(error) => Some(Finding::bad(what, &error, as_its_user(local))),
    }
}

/// Looking into an office's folder needs to be that office's user.
fn as_its_user(local: &Local) -> String {
    let (folder, config) = (local.file.data().display(), local.config.display());
    format!("sudo -u \"$(stat -c %U {folder})\" hufu doctor --config {config}")
}

/// Keys open, and are those that all others have pinned.
pub fn keys(site: &Site) -> Looked {
    let mut looked = Looked::default();
    for local in &site.offices {
        let what = format!("{}: keys", local.name);
        match &local.keys {
            None => {}
            Some(Err(failure)) => looked.at(Some(Finding::bad(what, failure, opens(local, failure)))),
            Some(Ok(keys)) => {
                let pinned = local.roster().ok().and_then(|roster| roster.get(local.name).map(|identity| identity.key));
                let Some(pinned) = pinned else {
                    looked.unseen(local.name, "they open, and no roster says which they must be");
                    continue;
                };
                let same = keys.public("office").is_ok_and(|own| own.0 == pinned.as_slice());
                let told = "the key `office` is not the one that the roster pins: all others refuse this office";
                looked.at((!same).then(|| Finding::bad(what, told, restored(local))));
            }
        }
    }
    if looked.at == 0 && looked.unseen.is_empty() { Looked::nothing("the process of pages has none") } else { looked }
}

/// What opens keys that did not.
fn opens(local: &Local, failure: &Failure) -> String {
    match failure {
        Failure::Exposed { path, wanted, .. } => format!("chmod {wanted:o} {}", path.display()),
        Failure::File(error) if error.cause.kind() == std::io::ErrorKind::PermissionDenied => as_its_user(local),
        _ if local.file.keys.as_ref().is_some_and(|keys| keys.kind == Keeper::Pkcs11) => {
            format!("pkcs11-tool --list-slots, then {}", edit(&local.config))
        }
        _ => restored(local),
    }
}

fn restored(local: &Local) -> String {
    let folder = local.file.data().display();
    format!(
        "cp BACKUP/{{{KEYS},{MACHINE_KEY}}} {folder}/   # of this office alone; without a copy: docs/operate/replace-a-node.md"
    )
}

/// Every page of every store file, and whose it is; and no restore that was interrupted.
pub fn stores(site: &Site) -> Looked {
    let mut looked = Looked::default();
    for local in site.offices.iter().filter(|local| STORES.contains(&local.name) || local.name == REGISTRY) {
        looked.found.extend(unfinished(local));
    }
    for local in site.offices.iter().filter(|local| STORES.contains(&local.name)) {
        if local.file.store.as_ref().is_some_and(|store| store.kind == Engine::Postgres) {
            looked.unseen(local.name, "on PostgreSQL: /readyz says how it is");
            continue;
        }
        let path = local.file.data().join(STORE);
        let what = format!("{}: store", local.name);
        match path.try_exists() {
            // Looking must not make one.
            Ok(false) => looked.unseen(local.name, "the first start makes it"),
            Ok(true) => looked.at(examined(local, &path, what)),
            Err(error) => {
                looked.at(Some(Finding::bad(what, format!("{}: {error}", path.display()), as_its_user(local))))
            }
        }
    }
    match (looked.at, looked.unseen.is_empty() && looked.found.is_empty()) {
        (0, true) => Looked::nothing("no office here keeps rows"),
        _ => looked,
    }
}

fn examined(local: &Local, path: &Path, what: String) -> Option<Finding> {
    let wanted = Identity { office: local.name.to_owned(), trust: local.folder.trust_root() };
    let error = Sqlite::examine(path, &wanted).err()?;
    let mend = match &error {
        StoreError::Unavailable { .. } => as_its_user(local),
        _ => restore(local),
    };
    Some(Finding::bad(what, error, mend))
}

/// What a restore leaves that was interrupted: the office does not start beside it.
fn unfinished(local: &Local) -> Option<Finding> {
    let kept = if local.name == REGISTRY { ADMITTED } else { STORE };
    let path = local.file.data().join(format!("{kept}{RESTORING}"));
    let told = format!("{} is there: a restore was interrupted, and the office does not start", path.display());
    path.symlink_metadata().is_ok().then(|| Finding::bad(format!("{}: restore", local.name), told, restore(local)))
}

fn restore(local: &Local) -> String {
    let stop = if has_units() { format!("systemctl stop hufu@{}; ", local.name) } else { String::new() };
    let (config, name) = (local.config.display(), local.name);
    format!(
        "{stop}hufu restore --config {config} --identity backup.key {name}.age --replace   # stopped: docs/operate/backup.md"
    )
}

/// What a production office cannot start without, and what stands for something of one's own.
pub fn services(site: &Site) -> Looked {
    let mut found = Vec::new();
    if site.plan.root != Root::Production {
        // One that is named in place of a simulator is asked.
        found.extend(site.offices.iter().flat_map(|local| of_services(local, site.plan.root)));
        let unseen = Looked::nothing("a sandbox has simulators in their place");
        return if found.is_empty() { unseen } else { Looked { found, ..unseen } };
    }
    let named = [REGISTRAR, POST, WALLET];
    let at = site.offices.iter().filter(|local| named.contains(&local.name)).count();
    for local in &site.offices {
        found.extend(of_services(local, site.plan.root));
        if local.file.help.as_ref().is_some_and(|help| PLACEHOLDERS.contains(&help.phone.as_str())) {
            let told = "the telephone of [help] is the example's: nobody answers it";
            found.push(Finding::warning(format!("{}: help", local.name), told, edit(&local.config)));
        }
    }
    if site.plan.issuer.ends_with(PLACEHOLDERS[0]) {
        let told = format!("{} stands for your own name; wallets and platforms pin it for ever", PLACEHOLDERS[0]);
        found.push(Finding::warning("plan: names", told, edit(&site.folder.join("deployment.toml"))));
    }
    match (at, found.is_empty()) {
        (0, true) => Looked::nothing("neither registrar nor post nor wallet is here"),
        _ => Looked { at, found, unseen: Vec::new() },
    }
}

/// Room on the disks of the offices' folders.
pub fn space(site: &Site) -> Looked {
    let mut looked = Looked::default();
    for local in &site.offices {
        let folder = local.file.data();
        let what = format!("{}: disk", local.name);
        let mend = format!("du -xsh {}/*; df -h {0}", folder.display());
        match rustix::fs::statvfs(folder) {
            Ok(disk) => looked.at(scarce(&what, disk.f_bavail.saturating_mul(disk.f_frsize), &mend)),
            Err(error) => looked.at(Some(Finding::warning(what, format!("free space is unknown: {error}"), mend))),
        }
    }
    looked
}

fn scarce(what: &str, free: u64, mend: &str) -> Option<Finding> {
    let told = format!("{} MiB free", free >> 20);
    match free {
        ..NONE => Some(Finding::bad(what, told, mend)),
        NONE..LITTLE => Some(Finding::warning(what, told, mend)),
        _ => None,
    }
}

/// What one operator could do alone, and where two operators' keys lie together.
pub fn operators(site: &Site) -> Looked {
    let plan = edit(&site.folder.join("deployment.toml"));
    let told = site.plan.concentrations().into_iter().chain(site.plan.lacks_second_operator());
    let mut found: Vec<Finding> = told
        .map(|sentence| Finding::warning("operators", sentence, format!("{plan}   # give offices to another operator")))
        .collect();
    let folder = site.folder.join(operators::FOLDER);
    let keys = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let keys = keys.filter(|entry| entry.file_name().to_string_lossy().ends_with(".key.json")).count();
    if keys >= 2 {
        let told = format!("{keys} operators' private keys lie on this machine: who takes it signs orders alone");
        let mend = format!("mv {}/NAME.key.json A-MACHINE-OF-THEIRS", folder.display());
        found.push(Finding::warning("operators: keys", told, mend));
    }
    Looked { at: 1, found, unseen: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    #[test]
    fn little_room_is_a_warning_and_none_is_bad() {
        let outcome = |free: u64| scarce("post: disk", free, "df").map(|finding| finding.outcome);
        assert_eq!(outcome(LITTLE), None);
        assert_eq!(outcome(LITTLE - 1), Some(Outcome::Warning));
        assert_eq!(outcome(NONE - 1), Some(Outcome::Bad));
    }
}
