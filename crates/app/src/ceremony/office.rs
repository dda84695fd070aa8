//! One office, as somebody sees it who works on its keys: configuration, plan, keeper, and whether the office is being served.

use crate::data_dir::{self, Lock};
use crate::deployment::keys;
use crate::deployment::office_file::OfficeFile;
use crate::deployment::plan::Plan;
use crate::deployment::serve;
use crate::failure::Failure;
use crate::files;
use crate::root::OfficeFolder;
use hufu_kernel::{Clock, KeyKeeper, OsRng, Rng};
use hufu_offices::ceremony::PublicNames;
use hufu_wire::api::roster::{OFFICES, Roster};
use hufu_wire::api::trust::Trust;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The lock of whoever works on an office's keys; the office's own is held while it is served.
const LOCK: &str = "ceremony.lock";
/// The folder of what is kept of ceremonies, in the office's own.
pub(super) const KEPT: &str = "ceremonies";

/// One office's keys, and what belongs to them.
pub struct AtOffice {
    /// The office: `node-2`.
    pub name: &'static str,
    /// Its configuration.
    pub file: OfficeFile,
    /// The plan.
    pub plan: Plan,
    /// Its keys.
    pub keys: Arc<dyn KeyKeeper>,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Held while nobody serves the office; without it another process does.
    alone: Option<Lock>,
    _lock: Option<Lock>,
}

/// What another user writes the office cannot read afterwards, not even if that user is root.
pub(crate) fn own_user(folder: &Path) -> Result<(), Failure> {
    let (owner, own) = (files::at(folder, folder.metadata())?.uid(), rustix::process::geteuid().as_raw());
    if owner == own {
        return Ok(());
    }
    let told = format!("belongs to user {owner}, as whom its commands are run: sudo -u '#{owner}' hufu …");
    Err(Failure::unreadable(folder, told))
}

impl AtOffice {
    /// Opens an office to work on its keys. One process does so at a time.
    ///
    /// # Errors
    /// [`Failure`] for a configuration, plan or keys that do not open, and while another process works on them.
    pub fn open(config: &Path) -> Result<Self, Failure> {
        let file = OfficeFile::read(config)?;
        own_user(file.data())?;
        let lock = data_dir::lock_as(file.data(), LOCK).map_err(|failure| match failure {
            Failure::InUse(folder) => {
                Failure::other(format!("another command works on the keys in {}", folder.display()))
            }
            other => other,
        })?;
        let alone = match data_dir::lock(file.data()) {
            Ok(lock) => Some(lock),
            Err(Failure::InUse(_)) => None,
            Err(failure) => return Err(failure),
        };
        Ok(Self { alone, _lock: Some(lock), ..Self::look(config)? })
    }

    /// Opens an office to look at it, beside whoever works on it.
    ///
    /// # Errors
    /// As [`AtOffice::open`].
    pub fn look(config: &Path) -> Result<Self, Failure> {
        let file = OfficeFile::read(config)?;
        own_user(file.data())?;
        let name = OFFICES.into_iter().find(|office| *office == file.office);
        let name = name.ok_or_else(|| Failure::unreadable(config, format!("{} has no keys", file.office)))?;
        let plan = Plan::read(&file.deployment)?;
        let rng: Arc<dyn Rng> = Arc::new(OsRng);
        let folder = OfficeFolder::new(file.data(), name, plan.root, plan.root_id);
        let keys = keys::keeper(&file, &folder, &rng)?;
        let clock = serve::clock(file.sandbox.clock.as_deref(), plan.root)?;
        Ok(Self { name, file, plan, keys, clock, rng, alone: None, _lock: None })
    }

    /// Whether another process serves the office now; for one that was opened to work on it.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.alone.is_none()
    }

    /// All offices' identities, as this one has pinned them.
    ///
    /// # Errors
    /// [`Failure::Unreadable`].
    pub fn roster(&self) -> Result<Roster, Failure> {
        serve::roster(&self.file, &self.plan)
    }

    /// The public half of the trust root, where there is one yet.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] for one of another root.
    pub fn trust(&self) -> Result<Option<Trust>, Failure> {
        let Some(bytes) = files::read(&self.file.trust)? else { return Ok(None) };
        let trust: Trust =
            serde_json::from_slice(&bytes).map_err(|error| Failure::unreadable(&self.file.trust, error))?;
        if trust.root != self.plan.root || trust.root_id != self.plan.root_id {
            return Err(Failure::unreadable(&self.file.trust, "belongs to another trust root than the plan"));
        }
        Ok(Some(trust))
    }

    /// The names under which the service is known.
    #[must_use]
    pub fn names(&self) -> PublicNames {
        PublicNames {
            issuer: self.plan.issuer.clone(),
            wallet_origin: self.plan.wallet_origin.clone(),
            rp_id: self.plan.rp_id.clone(),
        }
    }

    /// The folder of what is kept of ceremonies.
    #[must_use]
    pub fn kept(&self) -> PathBuf {
        kept_in(&self.file)
    }
}

/// The folder of what is kept of ceremonies at the office of this configuration.
pub(super) fn kept_in(file: &OfficeFile) -> PathBuf {
    // Without the dots that a configuration may have in it: people read this path.
    file.data().components().collect::<PathBuf>().join(KEPT)
}
