//! What is on this machine: the plan, and the configurations of the offices that are run here.

use super::{Finding, edit};
use crate::deployment::office_file::{self, OfficeFile, WALLET};
use crate::deployment::plan::{self, Plan};
use crate::deployment::{keys, serve};
use crate::failure::Failure;
use crate::root::{OFFICES, OfficeFolder};
use hufu_kernel::{Clock, KeyStore, OsRng, Rng, Root, SystemClock};
use hufu_wire::api::roster::Roster;
use hufu_wire::api::trust::Trust;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A deployment as this machine has it.
pub struct Site {
    /// The folder of the plan.
    pub folder: PathBuf,
    /// The plan.
    pub plan: Plan,
    /// Those whose files are here.
    pub offices: Vec<Local>,
}

/// An office whose files are here.
pub struct Local {
    /// Its name, or `wallet`.
    pub name: &'static str,
    /// Its configuration's place.
    pub config: PathBuf,
    /// Its configuration.
    pub file: OfficeFile,
    /// Its keys; or why they do not open. Nothing for the process of pages.
    pub keys: Option<Result<Arc<dyn KeyStore>, Failure>>,
    /// Its own folder.
    pub folder: OfficeFolder,
}

impl Local {
    fn new(name: &'static str, config: PathBuf, file: OfficeFile, plan: &Plan) -> Self {
        let folder = OfficeFolder::new(file.data(), name, plan.root, plan.root_id);
        let rng: Arc<dyn Rng> = Arc::new(OsRng);
        let keys = (name != WALLET).then(|| keys::open(&file, &folder, &rng));
        Self { name, config, file, keys, folder }
    }

    /// Its keys, if they open.
    pub fn opened(&self) -> Option<&Arc<dyn KeyStore>> {
        self.keys.as_ref().and_then(|keys| keys.as_ref().ok())
    }

    /// The roster that it pins.
    pub fn roster(&self) -> Result<Roster, Failure> {
        let path = self.file.roster.as_deref().unwrap_or(Path::new(crate::deployment::ROSTER));
        serve::document(path, "`hufu keys roster` makes it of all offices' identities")
    }

    /// The public half of the keys that it goes by.
    pub fn trust(&self, root: Root) -> Result<Trust, Failure> {
        serve::public_half(&self.file.deployment, &self.file.trust, root).map(|(_, trust)| trust)
    }

    /// Its clock.
    pub fn clock(&self, root: Root) -> Arc<dyn Clock> {
        serve::clock(self.file.sandbox.clock.as_deref(), root).unwrap_or_else(|_| Arc::new(SystemClock))
    }
}

/// The deployment in a folder, with what in it does not parse.
pub fn of_folder(folder: &Path) -> (Option<Site>, Vec<Finding>) {
    let path = folder.join(plan::FILE);
    let plan = match Plan::read(&path) {
        Ok(plan) => plan,
        Err(failure) => return (None, vec![not_parsed("plan", &path, &failure)]),
    };
    let (mut offices, mut faults) = (Vec::new(), Vec::new());
    for name in OFFICES.into_iter().chain([WALLET]).filter(|name| folder.join(name).is_dir()) {
        let config = folder.join(name).join(office_file::FILE);
        match read(name, &config) {
            Ok(file) => offices.push(Local::new(name, config, file, &plan)),
            Err(failure) => faults.push(not_parsed(name, &config, &failure)),
        }
    }
    if offices.is_empty() && faults.is_empty() {
        let mend = "hufu doctor --config OFFICE/office.toml";
        faults.push(Finding::bad("configuration", "no office has its folder here", mend));
    }
    (Some(Site { folder: folder.to_owned(), plan, offices }), faults)
}

/// One office by its configuration.
pub fn of_office(config: &Path) -> (Option<Site>, Vec<Finding>) {
    let file = match OfficeFile::read(config) {
        Ok(file) => file,
        Err(failure) => return (None, vec![not_parsed("configuration", config, &failure)]),
    };
    let plan = match Plan::read(&file.deployment) {
        Ok(plan) => plan,
        Err(failure) => return (None, vec![not_parsed("plan", &file.deployment, &failure)]),
    };
    let name = OFFICES.into_iter().chain([WALLET]).find(|name| *name == file.office).unwrap_or(WALLET);
    let folder = file.deployment.parent().unwrap_or(Path::new(".")).to_owned();
    let local = Local::new(name, config.to_owned(), file, &plan);
    (Some(Site { folder, plan, offices: vec![local] }), Vec::new())
}

fn read(name: &str, config: &Path) -> Result<OfficeFile, Failure> {
    let file = OfficeFile::read(config)?;
    if file.office != name {
        return Err(Failure::unreadable(
            config,
            format!("is the configuration of {}, in the folder of {name}", file.office),
        ));
    }
    Ok(file)
}

fn not_parsed(what: &str, path: &Path, failure: &Failure) -> Finding {
    Finding::bad(what, failure, edit(path))
}
