//! The registry's desk: a platform's request becomes a signed certificate among the registry's files, or is taken from there. The registry
//! need not be stopped for it, and the front asks for the list by itself.

use super::keys;
use super::office_file::OfficeFile;
use super::plan::Plan;
use super::serve::{clock, public_half};
use crate::ceremony::office::own_user;
use crate::failure::Failure;
use crate::offices::registry::{Admitted, not_admitted};
use crate::platform_file::PlatformFile;
use crate::root::OfficeFolder;
use hufu_kernel::{Clock, KeyStore, OsRng, Rng, Root};
use hufu_offices::front::Admission;
use hufu_wire::api::platform::Profile;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The registry's name.
const REGISTRY: &str = "registry";

/// The registry's keys and files.
pub struct Desk {
    keys: Arc<dyn KeyStore>,
    admitted: Admitted,
    clock: Arc<dyn Clock>,
    root: Root,
    deployment: PathBuf,
    trust: PathBuf,
}

impl Desk {
    /// The desk of the registry with this configuration.
    ///
    /// # Errors
    /// [`Failure`] for another office's configuration, and as [`keys::open`].
    pub fn open(config: &Path) -> Result<Self, Failure> {
        let file = OfficeFile::read(config)?;
        if file.office != REGISTRY {
            return Err(Failure::unreadable(
                config,
                format!("is {}'s; platforms are admitted by the registry", file.office),
            ));
        }
        own_user(file.data())?;
        let plan = Plan::read(&file.deployment)?;
        let folder = OfficeFolder::new(file.data(), REGISTRY, plan.root, plan.root_id);
        let rng: Arc<dyn Rng> = Arc::new(OsRng);
        let keys = keys::open(&file, &folder, &rng)?;
        let clock = clock(file.sandbox.clock.as_deref(), plan.root)?;
        let admitted = Admitted::of(folder.path());
        admitted.refuse_if_unfinished()?;
        Ok(Self { keys, admitted, clock, root: plan.root, deployment: file.deployment, trust: file.trust })
    }

    /// What a front of this root goes by, which must take what is signed here.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] for a public half that is missing, or names another registry.
    pub fn admission(&self) -> Result<Admission, Failure> {
        let (_, trust) = public_half(&self.deployment, &self.trust, self.root)?;
        let own = self.keys.public("office").map_err(Failure::other)?;
        if own.0 != trust.offices.registry.as_slice() {
            let told = "names another key than this registry has: no front would take what it signs";
            return Err(Failure::unreadable(&self.trust, told));
        }
        Admission::of(&trust).map_err(|error| Failure::unreadable(&self.trust, error))
    }

    /// Admits a platform that a front will take. Returns its client identifier.
    ///
    /// # Errors
    /// [`Failure::Other`] naming the platform and the rule it breaks.
    pub fn admit(&self, file: PlatformFile, admission: &Admission) -> Result<String, Failure> {
        let now = self.clock.now();
        let certificate = file.certificate(self.root, now);
        if self.root == Root::Production && certificate.profile != Profile::Fapi2 {
            return Err(Failure::other(format!(
                "the platform {} asks for a profile that exists in sandboxes only; write profile = \"fapi2\"",
                certificate.client_id
            )));
        }
        admission.look(&certificate, now).map_err(|told| not_admitted(&certificate.client_id, &told))?;
        self.admitted.admit(self.keys.as_ref(), &certificate)?;
        Ok(certificate.client_id)
    }

    /// Takes a platform's certificate from the list.
    ///
    /// # Errors
    /// [`Failure::Other`] for one that is not there.
    pub fn withdraw(&self, client_id: &str) -> Result<(), Failure> {
        if !self.admitted.names()?.contains(client_id) {
            return Err(Failure::other(format!("{client_id} is not admitted")));
        }
        self.admitted.withdraw(client_id)
    }
}
