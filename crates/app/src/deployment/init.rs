//! `hufu init`: writes the plan, a folder an office, and for a sandbox the world around them. Nothing is ever overwritten.

use super::drafts::{Draft, offsets};
use super::office_file::{self, WALLET};
use super::plan::{self, Plan};
use super::users::Users;
use super::{ROSTER, environment, operators, requests, up, world_file};
use crate::data_dir;
use crate::demo::platforms::{self, SAMPLES};
use crate::failure::Failure;
use crate::files;
use crate::offices::registry::Admitted;
use crate::root::deal::{self, Dealt};
use crate::root::key_file::{self, Owner};
use crate::root::{OFFICES, TRUST_FILE, WORLD, World};
use hufu_kernel::{Clock, Octets, Rng, Root, random};
use hufu_wire::api::trust::Trust;
use serde::Serialize;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The name people see, where none is given for a production root.
const PLACEHOLDER: &str = "hufu.example";
/// The folder of the sandbox's clock file, which every office reads.
pub const CLOCK_FOLDER: &str = "clock";
/// The folder with what a sandbox's platforms ask the registry for: public keys and purposes.
pub const REQUESTS_FOLDER: &str = "requests";

/// How a deployment begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The folder.
    pub folder: PathBuf,
    /// Who runs what.
    pub operators: Option<PathBuf>,
    /// Sandbox or production.
    pub root: Root,
    /// The name people see.
    pub host: Option<String>,
    /// The first port; 0 looks for free ones.
    pub port: u16,
    /// Sandbox only: one party makes all keys, now.
    pub dealt: bool,
}

/// Writes a deployment. Returns its plan.
///
/// # Errors
/// [`Failure::Unreadable`] for a file that is there already or an operators' file that does not fit; [`Failure::File`].
pub fn init(options: &Options, clock: &dyn Clock, rng: &dyn Rng) -> Result<Plan, Failure> {
    let (operators, made) = match &options.operators {
        Some(path) => (operators::read(path)?, Vec::new()),
        None => operators::made_up(rng)?,
    };
    let host = match (&options.host, options.root) {
        (Some(host), _) => Some(host.clone()),
        (None, Root::Production) => Some(PLACEHOLDER.to_owned()),
        (None, Root::Sandbox) => None,
    };
    let port = if options.port == 0 { free_ports(rng)? } else { options.port };
    if port > u16::MAX - offsets::ALL {
        return Err(Failure::other(format!("--port {port} leaves no room for {} ports", offsets::ALL)));
    }
    let draft = Draft { root: options.root, root_id: Octets(random(rng)), host, port, operators };
    let mut written = Written { folder: &options.folder, files: Vec::new(), root: options.root };
    let plan = Plan::parse(&draft.plan_text()).map_err(Failure::other)?;
    written.add(plan::FILE, draft.plan_text(), files::PUBLIC);
    for office in OFFICES {
        written.add(format!("{office}/{}", office_file::FILE), draft.office_text(office), files::PUBLIC);
        let text = requests::text(office).map_err(Failure::other)?;
        written.add(format!("{office}/{}", requests::FILE), text, files::PUBLIC);
    }
    for operator in made {
        let name = format!("{}/{}", operators::FOLDER, operator.file.display());
        written.add(name, operator.key.to_private_jwk().as_str(), files::PRIVATE);
    }
    match options.root {
        Root::Production => {
            written.add(format!("{WALLET}/{}", office_file::FILE), draft.office_text(WALLET), files::PUBLIC);
        }
        Root::Sandbox => world(&mut written, &draft, options.dealt, clock, rng)?,
    }
    written.write()?;
    if options.root == Root::Sandbox {
        ask_for_platforms(&options.folder, &plan, clock, rng)?;
    }
    if options.dealt {
        deal_keys(&options.folder, &plan, rng)?;
    }
    Ok(plan)
}

/// Files that are written together, or not at all.
struct Written<'a> {
    folder: &'a Path,
    files: Vec<(PathBuf, Vec<u8>, u32)>,
    root: Root,
}

impl Written<'_> {
    fn add(&mut self, name: impl AsRef<Path>, text: impl AsRef<[u8]>, mode: u32) {
        self.files.push((self.folder.join(name), text.as_ref().to_vec(), mode));
    }

    fn write(self) -> Result<(), Failure> {
        if let Some((path, ..)) = self.files.iter().find(|(path, ..)| path.exists()) {
            return Err(Failure::unreadable(path, "is there already; nothing was written: name a new folder"));
        }
        if data_dir::standing(self.folder).is_err() {
            let told = "is not empty; `hufu init` takes a new folder or an empty one";
            return Err(Failure::unreadable(self.folder, told));
        }
        // Offices of other users must be able to reach their own folder, and the plan.
        public_folder(self.folder)?;
        for (path, bytes, mode) in &self.files {
            if let Some(folder) = path.parent().filter(|folder| *folder != self.folder) {
                files::private_folder(folder)?;
            }
            files::replace(path, bytes, *mode)?;
        }
        if self.root == Root::Sandbox {
            public_folder(&self.folder.join(CLOCK_FOLDER))?;
        }
        Ok(())
    }
}

fn public_folder(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    files::at(path, std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path))?;
    Ok(files::at(path, std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)))?)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(Failure::other)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The simulators' configuration, and who lives in the sandbox.
fn world(
    written: &mut Written<'_>,
    draft: &Draft,
    dealt: bool,
    clock: &dyn Clock,
    rng: &dyn Rng,
) -> Result<(), Failure> {
    let world = World {
        root: draft.root,
        root_id: draft.root_id,
        dealer: dealt,
        seed: u64::from_be_bytes(random(rng)),
        founded: clock.now().date(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    written.add(format!("{}/{}", world_file::FOLDER, world_file::FILE), draft.world_text(), files::PUBLIC);
    written.add(format!("{}/{WORLD}", world_file::FOLDER), json(&world)?, files::PUBLIC);
    Ok(())
}

/// What the sandbox's platforms ask the registry for: a file each, which the registry is given with `hufu platform admit`.
fn ask_for_platforms(folder: &Path, plan: &Plan, clock: &dyn Clock, rng: &dyn Rng) -> Result<(), Failure> {
    let world = folder.join(world_file::FOLDER);
    let simulators = plan.sandbox.as_ref().ok_or_else(|| Failure::other("a sandbox has simulators"))?;
    let served = SAMPLES.map(str::to_owned).into_iter().zip(simulators.samples.clone()).collect();
    let requests = folder.join(REQUESTS_FOLDER);
    public_folder(&requests)?;
    for platform in platforms::invented(&world, clock.now(), rng, &served)? {
        let text = toml::to_string_pretty(&platform.file).map_err(Failure::other)?;
        let path = requests.join(format!("{}.toml", platform.certificate.client_id));
        files::replace(&path, text.as_bytes(), files::PUBLIC)?;
    }
    Ok(())
}

/// Has the registry admit what the sandbox's platforms ask for, as its own command does, where it has not yet.
///
/// # Errors
/// [`Failure::Other`] if the registry refuses one.
pub async fn admit_platforms(folder: &Path, users: Option<Users>, env: &[String]) -> Result<(), Failure> {
    let registry = folder.join("registry");
    let admitted = Admitted::of(&registry).names()?;
    let requests = folder.join(REQUESTS_FOLDER);
    let entries = files::at(&requests, std::fs::read_dir(&requests))?.flatten().map(|entry| entry.path());
    let new: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .filter(|path| path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| !admitted.contains(stem)))
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let mut command = Command::new(std::env::current_exe().map_err(Failure::other)?);
    environment::only(&mut command, env.iter().map(String::as_str));
    command.args(["platform", "admit", "--config"]).arg(registry.join(office_file::FILE)).args(new);
    if let Some(users) = users {
        let user = users.number(up::place("registry"));
        command.uid(user).gid(user);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = tokio::process::Command::from(command).kill_on_drop(true).status().await.map_err(Failure::other)?;
    if status.success() { Ok(()) } else { Err(Failure::other("the registry admits not every platform of the sandbox")) }
}

/// Keys of one party's making, for sandboxes that shall run at once.
fn deal_keys(folder: &Path, plan: &Plan, rng: &dyn Rng) -> Result<(), Failure> {
    if plan.root != Root::Sandbox {
        return Err(Failure::other("keys are dealt in sandboxes only; a production root has a ceremony"));
    }
    let dealt = deal::deal(rng)?;
    let roster = dealt.roster(plan.root, plan.root_id)?;
    let Dealt { keys, trust } = dealt;
    let trust = Trust {
        root: plan.root,
        root_id: plan.root_id,
        issuer: plan.issuer.clone(),
        wallet_origin: plan.wallet_origin.clone(),
        rp_id: plan.rp_id.clone(),
        ..trust
    };
    files::replace(&folder.join(TRUST_FILE), &json(&trust)?, files::PUBLIC)?;
    files::replace(&folder.join(ROSTER), &json(&roster)?, files::PUBLIC)?;
    for (office, keys) in &keys {
        let owner = Owner { office: (*office).to_owned(), root: plan.root, root_id: plan.root_id };
        key_file::write(&folder.join(office), &owner, keys, rng)?;
    }
    Ok(())
}

/// The first of enough free ports, below those that outgoing connections take.
fn free_ports(rng: &dyn Rng) -> Result<u16, Failure> {
    for _ in 0..100 {
        let [high, low] = random::<2>(rng);
        let first = 20_000 + (u16::from(high) * 256 + u16::from(low)) % 12_000;
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        if (first..first + offsets::ALL).map(free).collect::<Result<Vec<_>, _>>().is_ok() {
            return Ok(first);
        }
    }
    Err(Failure::other("no free ports; choose the first one with --port N"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform_file::PlatformFile;
    use hufu_kernel::{SeededRng, SystemClock};

    fn options(folder: &Path, root: Root) -> Options {
        let folder = folder.join("hufu");
        Options { folder, operators: None, root, host: None, port: 8420, dealt: root == Root::Sandbox }
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_written_in_part() {
        for root in [Root::Sandbox, Root::Production] {
            let place = tempfile::tempdir().unwrap();
            let options = options(place.path(), root);
            init(&options, &SystemClock, &SeededRng::new(1)).unwrap();
            let again = init(&options, &SystemClock, &SeededRng::new(2)).unwrap_err().to_string();
            assert!(again.contains("nothing was written"), "{again}");
        }
        let place = tempfile::tempdir().unwrap();
        let options = options(place.path(), Root::Production);
        std::fs::create_dir_all(&options.folder).unwrap();
        std::fs::write(options.folder.join("letter.txt"), "dear").unwrap();
        init(&options, &SystemClock, &SeededRng::new(1)).unwrap_err();
        assert_eq!(std::fs::read_dir(&options.folder).unwrap().count(), 1);
    }

    #[test]
    fn folders_of_offices_are_their_owners_and_what_is_public_is_read_by_all() {
        let place = tempfile::tempdir().unwrap();
        let options = options(place.path(), Root::Sandbox);
        init(&options, &SystemClock, &SeededRng::new(3)).unwrap();
        let mode = |name: &str| files::mode(&options.folder.join(name)).unwrap();
        for office in OFFICES {
            assert_eq!(mode(office), 0o700, "{office}");
        }
        assert_eq!((mode(""), mode(CLOCK_FOLDER), mode(plan::FILE)), (0o755, 0o755, 0o644));
        assert_eq!((mode("operators"), mode("operators/operator-1.key.json")), (0o700, 0o600));
        let requests = options.folder.join("requests");
        let files: Vec<PathBuf> = std::fs::read_dir(requests).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 81);
        assert!(files.iter().all(|file| PlatformFile::read(file).is_ok()));
    }

    #[test]
    fn a_production_root_has_no_dealer() {
        let place = tempfile::tempdir().unwrap();
        let options = Options { dealt: true, ..options(place.path(), Root::Production) };
        assert!(init(&options, &SystemClock, &SeededRng::new(1)).is_err());
    }
}
