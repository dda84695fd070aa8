//! The tour over offices that are apart: the same robot and the same promises, and every office's folder searched.

use super::clock::FileClock;
use super::neighbours;
use super::office_file::{self, OfficeFile};
use super::plan::{self, Plan};
use super::world::Scene;
use super::world_file::{self, WorldFile};
use crate::demo::control::CLOCK;
use crate::demo::platforms::SAMPLES;
use crate::demo::{Ended, tour};
use crate::failure::Failure;
use crate::root::{OFFICES, OfficeFolder};
use crate::rows::AtRest;
use std::path::Path;
use std::sync::Arc;

/// The sandbox in `folder`, as any program sees it.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn scene(folder: &Path) -> Result<Scene, Failure> {
    let file = WorldFile::read(&folder.join(world_file::FOLDER).join(world_file::FILE))?;
    Scene::open(&file, Arc::new(FileClock::new(&file.clock.join(CLOCK))?))
}

/// Takes the tour of the sandbox that runs in `folder`.
///
/// # Errors
/// [`Failure::Other`] if a step cannot be taken at all.
pub async fn run(folder: &Path, json: bool) -> Result<Ended, Failure> {
    let scene = scene(folder)?;
    let data = folder.join(world_file::FOLDER);
    let mut platforms = scene.invented(&data)?;
    platforms.retain(|platform| !SAMPLES.contains(&platform.certificate.client_id.as_str()));
    let ground = tour::Ground {
        taken: data.join(tour::TAKEN),
        offices: at_rest(folder)?,
        world: &scene.world,
        persons: &scene.persons,
        platforms,
    };
    let report = tour::tour(ground, json).await?;
    Ok(if report.ok { Ended::Well } else { Ended::Broken })
}

/// Where every office keeps what it keeps, by its own configuration.
fn at_rest(folder: &Path) -> Result<Vec<AtRest>, Failure> {
    let plan = Plan::read(&folder.join(plan::FILE))?;
    let place = |office: &'static str| {
        let file = OfficeFile::read(&folder.join(office).join(office_file::FILE))?;
        let own = OfficeFolder::new(file.data(), office, plan.root, plan.root_id);
        let rows = neighbours::rows(&file, office, &own)?;
        Ok(AtRest::of(office, own.path(), &rows))
    };
    OFFICES.into_iter().map(place).collect()
}
