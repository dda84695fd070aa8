//! `hufu up`: one process an office on this machine, each under its own user if wished, started again when it dies, and stopped in
//! order. Nothing is passed between them: each is given the path of its own configuration and its own sockets, and no more. At SIGHUP
//! they are restarted one after the other, each when the one before is ready.

use super::office_file::{self, OfficeFile, WALLET};
use super::plan::{self, Plan};
use super::users::{Users, reachable};
use super::{environment, handover, init, services, tour, world_file};
use crate::demo::Ended;
use crate::demo::addresses::{Ready, ReadyFile};
use crate::failure::Failure;
use crate::files;
use crate::root::{OFFICES, TRUST_FILE};
use hufu_kernel::Root;
use hufu_web::serve::{Stop, Stopper};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::signal::unix::{Signal as Told, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Everything answers by then, or something is wrong.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A process that was told to stop gets this long.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// A process that died is started again after this, doubled each time it dies soon again.
const AGAIN: Duration = Duration::from_millis(200);
/// The longest wait.
const AGAIN_AT_MOST: Duration = Duration::from_secs(20);
/// Whoever lived this long is started again at once.
const LIVED: Duration = Duration::from_secs(60);
/// An office that is to be restarted has ended by then, or something is wrong.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// How a deployment is brought up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The folder that `hufu init` made.
    pub folder: PathBuf,
    /// The kind of root that this command runs.
    pub root: Root,
    /// A user an office.
    pub users: Option<Users>,
    /// Written when everything answers.
    pub ready_file: Option<PathBuf>,
    /// Sandbox: take the tour and end.
    pub tour: bool,
    /// The tour's report as JSON.
    pub json: bool,
    /// The first restart of an office that died fails instead.
    pub no_restart: bool,
    /// Variables of this process's environment that every other may have too.
    pub env: Vec<String>,
    /// Offices that are kept down: their addresses are free, for a ceremony.
    pub without: Vec<String>,
}

/// One process to be run.
struct Office {
    name: &'static str,
    folder: PathBuf,
    arguments: Vec<String>,
    ready: String,
    user: Option<u32>,
    /// Variables that it may have.
    env: Vec<String>,
    /// Of its sockets, which are open while it is restarted.
    listens: Vec<SocketAddr>,
    /// This program, by the path that it was started from: a new one at that path is what the next start runs.
    program: PathBuf,
}

/// The order in which offices are restarted: those of which there is one first, nodes last.
const RESTARTS: [&str; 12] = [
    "registry",
    "post",
    "uniqueness",
    "registrar",
    "front",
    WALLET,
    "tagger-1",
    "tagger-2",
    "tagger-3",
    "node-1",
    "node-2",
    "node-3",
];

/// How a process is told to begin anew; it answers when the old one is gone.
type Again = mpsc::Sender<oneshot::Sender<()>>;

/// A process that can be restarted, and where it says that it is ready.
struct Kept {
    name: &'static str,
    ready: String,
    again: Again,
}

/// The processes in the order of stopping: who asks before who is asked.
const STAGES: [&[&str]; 5] = [
    &[WALLET],
    &["front", "registrar"],
    &["node-1", "node-2", "node-3"],
    &["tagger-1", "tagger-2", "tagger-3", "uniqueness", "post", "registry"],
    &[world_file::FOLDER],
];

impl Office {
    fn command(&self, sockets: &[OwnedFd]) -> Result<Command, Failure> {
        let mut command = handover::command(&self.program, sockets)?;
        environment::only(&mut command, self.env.iter().map(String::as_str));
        // In a group of its own: what a terminal or a shell sends to this job is for this process, which stops the others in order.
        command.args(&self.arguments).process_group(0);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        Ok(command)
    }
}

/// What is run, by stage; refused as a whole if one office asks for what is another's.
fn offices(options: &Options, plan: &Plan) -> Result<Vec<Vec<Office>>, Failure> {
    let sandbox = options.root == Root::Sandbox;
    let program = std::env::current_exe().map_err(Failure::other)?;
    let (mut stages, mut asked, mut files, mut lacking) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for names in STAGES {
        let mut stage = Vec::new();
        let there = names.iter().copied().filter(|name| *name != if sandbox { WALLET } else { world_file::FOLDER });
        for name in there.filter(|name| !options.without.iter().any(|kept| kept == name)) {
            let folder = options.folder.join(name);
            let user = options.users.map(|users| users.number(place(name)));
            let prefix: &[&str] = if sandbox { &["sandbox"] } else { &[] };
            let mut arguments: Vec<String> = prefix.iter().map(|word| (*word).to_owned()).collect();
            let (config, ready, listens) = if name == world_file::FOLDER {
                let config = folder.join(world_file::FILE);
                arguments.push("world".to_owned());
                let file = world_file::WorldFile::read_of(&options.folder)?;
                (config, format!("http://{}/readyz", file.listen.register), Vec::new())
            } else {
                let config = folder.join(office_file::FILE);
                arguments.extend(["serve".to_owned(), name.to_owned()]);
                let file = OfficeFile::read_of(&options.folder, name)?;
                lacking.extend(
                    services::faults(&file, options.root).into_iter().map(|fault| format!("{name}: {}", fault.told)),
                );
                asked.extend(file.store.as_ref().and_then(|store| Some((name, store.password_env.clone()?))));
                let (ready, listens) = (format!("http://{}/readyz", file.metrics.listen), handover::addresses(&file));
                files.push((name, file));
                (config, ready, listens)
            };
            arguments.extend(["--config".to_owned(), config.display().to_string()]);
            let (env, program) = (options.env.clone(), program.clone());
            stage.push(Office { name, folder, arguments, ready, user, env, listens, program });
        }
        stages.push(stage);
    }
    // They would be started again and again, and never be ready.
    if !lacking.is_empty() {
        return Err(Failure::other(format!("nothing was started:\n  {}", lacking.join("\n  "))));
    }
    handover::check(&files, plan)?;
    let passwords = environment::passwords(asked)?;
    for office in stages.iter_mut().flatten() {
        office.env.extend(passwords.get(office.name).cloned());
    }
    Ok(stages)
}

/// An office's place among the users.
pub(crate) fn place(name: &str) -> usize {
    let all = OFFICES.into_iter().chain([WALLET, world_file::FOLDER]);
    all.into_iter().position(|office| office == name).unwrap_or(OFFICES.len() + 2)
}

/// Runs a deployment until `stop`, or to the end of the tour.
///
/// # Errors
/// [`Failure`] naming the office that does not become ready.
pub async fn run(options: Options, stop: Stop) -> Result<Ended, Failure> {
    let ready_file = options.ready_file.as_deref().map(ReadyFile::clear).transpose()?;
    let plan = Plan::read(&options.folder.join(plan::FILE))?;
    known(&options, &plan)?;
    let stages = offices(&options, &plan)?;
    prepare(&options, &stages)?;
    if options.root == Root::Sandbox {
        init::admit_platforms(&options.folder, options.users, &options.env).await?;
    }
    let mut stop = stop;
    // From now on a hangup ends nothing; the tour has a terminal in front of it, and ends with that.
    let hangup = (!options.tour).then(|| signal(SignalKind::hangup())).transpose().map_err(Failure::other)?;
    let probes: Vec<(&'static str, String)> =
        stages.iter().flatten().map(|office| (office.name, office.ready.clone())).collect();
    let (died, mut deaths) = mpsc::channel(1);
    let (mut running, mut kept) = (Vec::new(), Vec::new());
    for stage in stages {
        let (stopper, told) = Stopper::new();
        let mut processes = JoinSet::new();
        for office in stage {
            let died = options.no_restart.then(|| died.clone());
            let (again, asked) = mpsc::channel(1);
            kept.push(Kept { name: office.name, ready: office.ready.clone(), again });
            processes.spawn(kept_alive(office, told.clone(), asked, died));
        }
        running.push((stopper, processes));
    }
    let up = async {
        answered(&probes).await?;
        let data = options.folder.join(if options.root == Root::Sandbox { world_file::FOLDER } else { "" });
        let ready = ready(&options.folder, &plan, data)?;
        match (&ready_file, &ready) {
            (Some(file), Some(ready)) => file.announce(ready)?,
            (Some(file), None) => file.announce(&ProductionReady::of(&options.folder, &plan)?)?,
            (None, _) => {}
        }
        if options.tour {
            return tour::run(&options.folder, options.json).await;
        }
        let without = options.without.iter().map(|name| format!(" · without {name}")).collect::<String>();
        say(&format!("Hufu 虎符 · {} root · {} processes · ready{without}", plan.root.name(), probes.len()));
        for sentence in plan.concentrations() {
            say(&format!("Note: {sentence}."));
        }
        restarted_when_told(&kept, hangup).await
    };
    let ended = tokio::select! {
        ended = up => ended,
        () = stop.stopped() => Ok(Ended::Well),
        Some(name) = deaths.recv() => Err(Failure::other(format!("{name} ended; its reason is above"))),
    };
    // Nobody waits for deaths any more: offices that were told to stop by the same Ctrl-C end by themselves.
    drop(deaths);
    for (stopper, mut processes) in running {
        stopper.stop();
        while processes.join_next().await.is_some() {}
    }
    ended
}

/// Refuses another kind of root's folder, one without keys, and offices that are none.
fn known(options: &Options, plan: &Plan) -> Result<(), Failure> {
    if plan.root != options.root {
        let told = match options.root {
            Root::Production => "is a sandbox's: `hufu sandbox up` runs it, and nothing of it is real",
            Root::Sandbox => "is a production root's: `hufu up` runs it",
        };
        return Err(Failure::unreadable(&options.folder.join(plan::FILE), told));
    }
    if !options.folder.join(TRUST_FILE).exists() {
        let folder = options.folder.display();
        let told =
            format!("{folder} has no keys yet; make them: hufu keys ceremony --all {folder} ({})", super::FOUNDING);
        return Err(Failure::other(told));
    }
    match options.without.iter().find(|name| !RESTARTS.contains(&name.as_str())) {
        Some(name) => Err(Failure::other(format!("--without {name}: the offices are {}", RESTARTS.join(", ")))),
        None => Ok(()),
    }
}

/// Hands each office its folder, where each has its user.
fn prepare(options: &Options, stages: &[Vec<Office>]) -> Result<(), Failure> {
    let Some(users) = options.users else { return Ok(()) };
    Users::allowed()?;
    reachable_by_offices(&options.folder)?;
    for office in stages.iter().flatten() {
        users.hand_over(&office.folder, place(office.name))?;
    }
    if options.root == Root::Sandbox {
        users.give_folder(&options.folder.join(init::CLOCK_FOLDER), place(world_file::FOLDER))?;
    }
    Ok(())
}

/// Whether users of offices can come to the plan in `folder`, and to this program.
///
/// # Errors
/// As [`reachable`].
pub fn reachable_by_offices(folder: &Path) -> Result<(), Failure> {
    reachable(&folder.join(plan::FILE))?;
    reachable(&std::env::current_exe().map_err(Failure::other)?)
}

/// At each SIGHUP restarts the offices, one after the other. Ends only with the whole.
async fn restarted_when_told(kept: &[Kept], hangup: Option<Told>) -> Result<Ended, Failure> {
    let Some(mut hangup) = hangup else { return std::future::pending().await };
    while hangup.recv().await.is_some() {
        match restart(kept).await {
            Ok(count) => say(&format!("{count} processes were restarted, one after the other")),
            // The rest go on as they were.
            Err(failure) => tracing::error!(%failure, "the restart stopped here"),
        }
    }
    std::future::pending().await
}

/// Says something on the terminal, which may be gone: its own hangup may be what this is about.
fn say(sentence: &str) {
    if writeln!(std::io::stdout(), "{sentence}").is_err() {
        tracing::info!("{sentence}");
    }
}

/// Restarts every office, each when the one before is ready. Returns how many.
async fn restart(kept: &[Kept]) -> Result<usize, Failure> {
    let mut count = 0;
    for name in RESTARTS {
        let Some(office) = kept.iter().find(|office| office.name == name) else { continue };
        let (gone, ended) = oneshot::channel();
        let asked = async {
            office.again.send(gone).await.ok()?;
            ended.await.ok()
        };
        if tokio::time::timeout(GONE_WITHIN, asked).await.ok().flatten().is_none() {
            return Err(Failure::other(format!("{name} is not restarted: it has not ended")));
        }
        answered(&[(office.name, office.ready.clone())]).await?;
        tracing::info!(office = name, "restarted");
        count += 1;
    }
    Ok(count)
}

/// Runs a process, again and again, until told to stop; it is gone when this returns. Its sockets are closed when it dies by itself,
/// so that whoever connects is turned away and asks elsewhere.
async fn kept_alive(
    office: Office,
    mut stop: Stop,
    mut again: mpsc::Receiver<oneshot::Sender<()>>,
    died: Option<mpsc::Sender<&'static str>>,
) {
    let (mut wait, mut handed_on) = (AGAIN, None);
    loop {
        let began = Instant::now();
        let sockets = handed_on.take().map_or_else(|| handover::open(&office.listens), Ok);
        let child = sockets.and_then(|sockets| Ok((started(office.command(&sockets)?, office.name)?, sockets)));
        match child {
            Err(failure) => tracing::error!(office = office.name, %failure, "does not start"),
            Ok((mut child, sockets)) => {
                let ended = tokio::select! {
                    ended = child.wait() => ended,
                    () = stop.stopped() => return end(child, office.name).await,
                    Some(gone) = again.recv() => {
                        end(child, office.name).await;
                        handed_on = Some(sockets);
                        let _ = gone.send(());
                        continue;
                    }
                };
                let told = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                tracing::error!(office = office.name, told, "ended by itself");
            }
        }
        if let Some(died) = died {
            let _ = died.send(office.name).await;
            return;
        }
        wait = if began.elapsed() > LIVED { AGAIN } else { AGAIN_AT_MOST.min(wait * 2) };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Some(gone) = again.recv() => drop(gone.send(())),
            () = stop.stopped() => return,
        }
    }
}

fn started(command: Command, name: &str) -> Result<tokio::process::Child, Failure> {
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true).spawn().map_err(|cause| Failure::other(format!("{name} does not start: {cause}")))
}

/// Asks a process to end, and ends it if it does not.
async fn end(mut child: tokio::process::Child, name: &str) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(STOP_WITHIN, child.wait()).await.is_err() {
        tracing::warn!(office = name, "did not stop when told, and was killed");
        let _ = child.kill().await;
    }
}

/// Waits until every process says that it is ready.
async fn answered(probes: &[(&'static str, String)]) -> Result<(), Failure> {
    let client = hufu_sandbox::http::client().map_err(Failure::other)?;
    let deadline = Instant::now() + READY_WITHIN;
    for (name, url) in probes {
        let mut told = "it does not answer".to_owned();
        loop {
            if let Ok(answer) = client.get(url).timeout(Duration::from_secs(2)).send().await {
                if answer.status().is_success() {
                    break;
                }
                told = answer.text().await.unwrap_or_default();
            }
            if Instant::now() > deadline {
                return Err(Failure::other(format!("{name} is not ready: {told}")));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
    Ok(())
}

/// What the ready file of a production root says: where people and platforms reach it.
#[derive(serde::Serialize)]
struct ProductionReady {
    issuer: String,
    wallet: String,
    registrar: String,
    nodes: [String; 3],
    /// The file of the public half, to be pinned.
    trust: PathBuf,
    pid: u32,
}

impl ProductionReady {
    fn of(folder: &Path, plan: &Plan) -> Result<Self, Failure> {
        Ok(Self {
            issuer: plan.issuer.clone(),
            wallet: plan.wallet_origin.clone(),
            registrar: plan.public_address("registrar"),
            nodes: plan.nodes(),
            trust: files::at(folder, folder.canonicalize())?.join(TRUST_FILE),
            pid: std::process::id(),
        })
    }
}

/// What a ready file says, as that of a demo does.
fn ready(folder: &Path, plan: &Plan, data: PathBuf) -> Result<Option<Ready>, Failure> {
    let Some(addresses) = plan.sandbox_addresses() else { return Ok(None) };
    let served = tour::scene(folder)?.served_platforms();
    Ok(Some(Ready {
        addresses,
        ca_spki_sha256: None,
        metrics: None,
        mtls: None,
        mtls_ca: None,
        trust: files::at(folder, folder.canonicalize())?.join(TRUST_FILE),
        platforms: served,
        pid: std::process::id(),
        data: files::at(&data, data.canonicalize())?,
    }))
}
