//! The same service with its offices apart: one process an office, each with its own keys and store, talking over mTLS.

use super::cores::Cores;
use super::processes::Program;
use super::running::{Ready, Site};
use super::{Scratch, logged, people};
use crate::deployment::init::{Options, init};
use crate::deployment::office_file::{self, UNLIMITED};
use crate::deployment::plan::{PUBLIC, Plan};
use crate::deployment::world_file;
use crate::failure::Failure;
use crate::files;
use crate::root::{NODES, OfficeFolder};
use hufu_kernel::{Clock as _, NodeIndex, Rng, Root, SystemClock};
use hufu_wire::webauthn::SoftDevice;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// From here on an office's file is of one run.
const MARK: &str = "\n# Of this run.\n";

/// Offices apart.
pub struct Apart {
    folder: PathBuf,
}

impl Apart {
    /// Makes the deployment and the persons, on all cores; their devices.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn settle(scratch: &Scratch, persons: usize, rng: &Arc<dyn Rng>) -> Result<(Self, Vec<SoftDevice>), Failure> {
        let folder = scratch.0.join("apart");
        let options =
            Options { folder: folder.clone(), operators: None, root: Root::Sandbox, host: None, port: 0, dealt: true };
        let plan = init(&options, &SystemClock, rng.as_ref())?;
        let nodes = NodeIndex::ALL.map(|index| node(&folder, &plan, NODES[index.slot()]));
        let runtime = tokio::runtime::Builder::new_multi_thread().build().map_err(Failure::other)?;
        let devices = runtime.block_on(people::settle(nodes, persons, SystemClock.now(), rng))?;
        let apart = Self { folder };
        apart.limit(None)?;
        Ok((apart, devices))
    }

    /// Puts these limits by address, platform and person into force (what they leave out has its default), or all out of it. An office reads
    /// them when it starts.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn limit(&self, limits: Option<&str>) -> Result<(), Failure> {
        for office in PUBLIC.into_iter().chain(["front"]) {
            let path = self.folder.join(office).join(office_file::FILE);
            let bytes = files::read(&path)?.ok_or_else(|| Failure::unreadable(&path, "missing"))?;
            let text = String::from_utf8(bytes).map_err(|error| Failure::unreadable(&path, error))?;
            let own = text.split(MARK).next().unwrap_or_default();
            let text = format!("{own}{MARK}{}", limits.unwrap_or(UNLIMITED));
            files::replace(&path, text.as_bytes(), files::PUBLIC)?;
        }
        Ok(())
    }

    /// Starts every office on the service's core.
    ///
    /// # Errors
    /// [`Failure`] naming the program.
    pub fn start(&self, own: &Path, scratch: &Scratch, bound: Option<Cores>) -> Result<RunningApart, Failure> {
        let (ready, log) = (scratch.0.join("apart.json"), scratch.0.join("apart.log"));
        // Of a run before this one.
        if ready.exists() {
            files::at(&ready, std::fs::remove_file(&ready))?;
        }
        let mut command = Command::new(own);
        command.args(["sandbox", "up"]).arg(&self.folder).args(logged()).arg("--ready-file").arg(&ready);
        command.env_remove("RUST_LOG").stdout(Stdio::null());
        command.stderr(files::at(&log, std::fs::File::create(&log))?);
        let (program, told): (Program, Ready) = Program::ready("hufu sandbox up", command, bound, &ready)?;
        let site = told.site(&self.folder.join(world_file::FOLDER));
        Ok(RunningApart { program, site })
    }
}

fn node(folder: &Path, plan: &Plan, name: &'static str) -> OfficeFolder {
    OfficeFolder::new(&folder.join(name), name, plan.root, plan.root_id)
}

/// All offices of [`Apart`] as they run.
pub struct RunningApart {
    /// The process that began all others.
    pub program: Program,
    /// Where it answers.
    pub site: Site,
}
