//! The commands of offices that are apart.

use crate::demo::Ended;
use crate::deployment::office_file::OfficeFile;
use crate::deployment::users::Users;
use crate::deployment::world_file::WorldFile;
use crate::deployment::{self, admission, init, serve, tour, up, world};
use crate::failure::Failure;
use crate::logs;
use crate::platform_file::PlatformFile;
use clap::Args;
use hufu_kernel::{OsRng, Root, SystemClock};
use hufu_web::serve::{Stop, Stopper};
use std::path::PathBuf;
use std::process::ExitCode;

/// `hufu init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The folder to make; each office gets a folder of its own in it.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Who runs which office: [operators.NAME] with key, offices, host. Without it, two operators are made up, one of whom runs all.
    #[arg(long, value_name = "FILE")]
    operators: Option<PathBuf>,
    /// A sandbox: invented people, simulators around the offices; nothing of it is accepted elsewhere.
    #[arg(long)]
    sandbox: bool,
    /// The name people will see; the wallet is wallet.NAME, and so on [default: hufu.example; a sandbox answers on localhost].
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// The first of sixty ports on this machine; 0 looks for free ones.
    #[arg(long, default_value_t = 8420, value_name = "N")]
    port: u16,
    /// With --sandbox: this machine makes all keys at once, as `hufu demo` does, and no ceremony is needed.
    #[arg(long, requires = "sandbox")]
    dealt: bool,
}

/// Runs `hufu init`.
///
/// # Errors
/// [`Failure`].
pub fn run_init(asked: Init) -> Result<ExitCode, Failure> {
    let root = if asked.sandbox { Root::Sandbox } else { Root::Production };
    let made_up = asked.operators.is_none();
    let options = init::Options {
        folder: asked.folder,
        operators: asked.operators,
        root,
        host: asked.host,
        port: asked.port,
        dealt: asked.dealt,
    };
    let plan = init::init(&options, &SystemClock, &OsRng)?;
    let folder = options.folder.display();
    println!("Hufu · {} root · {folder}\n", root.name());
    println!("  deployment.toml         the plan, the same at every office; nothing in it is secret");
    println!("  OFFICE/office.toml      how each office is run; every key has its comment");
    println!("  OFFICE/keys.request.toml  the keys it needs, and with whom they are made");
    if made_up {
        println!("  operators/              two operators' private keys: move one of them to somebody else");
    }
    for sentence in plan.concentrations().into_iter().chain(plan.lacks_second_operator()) {
        println!("\nNote: {sentence}.");
    }
    if root == Root::Production && options.host.is_none() {
        println!("\nNote: hufu.example stands for your own name; put yours into deployment.toml before anything else.");
    }
    let sandbox = if asked.sandbox { "sandbox " } else { "" };
    if asked.dealt {
        println!("\nNext: hufu {sandbox}up {folder}");
    } else {
        println!("\nNext, all on this machine: hufu keys ceremony --all {folder}");
        println!("Apart: {}.", deployment::FOUNDING);
    }
    Ok(ExitCode::SUCCESS)
}

/// `hufu serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// node, tagger, registrar, uniqueness, post, registry, front, or wallet for its pages.
    #[arg(value_name = "OFFICE")]
    office: String,
    /// Which node or tagger: 1, 2 or 3. `node-2` says the same.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    index: Option<u8>,
    /// The office's configuration, which `hufu init` has made.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// `hufu up`.
#[derive(Debug, Args)]
pub struct Up {
    /// The folder that `hufu init` has made.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A user of its own for each office, by numbers from FIRST on; needs root. The folders are handed to them.
    #[arg(long, value_name = "FIRST", num_args = 0..=1, default_missing_value = "62000", require_equals = true)]
    users: Option<u32>,
    /// Write all addresses to FILE, as JSON, once everything answers; removed at the end.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// End everything when one office ends by itself, instead of starting it again.
    #[arg(long)]
    no_restart: bool,
    /// A variable of this command's environment that all offices may have, as the library of a token reads one; repeated for more.
    /// Without it: PATH, TMPDIR, RUST_LOG, and to each office its own password_env.
    #[arg(long, value_name = "NAME")]
    env: Vec<String>,
    /// Keep this office down, its address free for a ceremony at it; repeated for more.
    #[arg(long, value_name = "OFFICE")]
    without: Vec<String>,
}

/// `hufu sandbox up`.
#[derive(Debug, Args)]
pub struct SandboxUp {
    #[command(flatten)]
    up: Up,
    /// Watch a robot enrol, sign in and hold the offices to their promises; ends with 0 if all were held.
    #[arg(long)]
    tour: bool,
    /// With --tour: the whole report as JSON.
    #[arg(long, requires = "tour")]
    json: bool,
}

/// `hufu sandbox world`.
#[derive(Debug, Args)]
pub struct WorldOf {
    /// Its configuration, which `hufu init --sandbox` has made.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// `hufu sandbox tour`.
#[derive(Debug, Args)]
pub struct TourOf {
    /// The folder of the running sandbox, as `hufu sandbox up` was given it.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The whole report as JSON.
    #[arg(long)]
    json: bool,
}

/// `hufu platform admit`.
#[derive(Debug, Args)]
pub struct Admit {
    /// What the platforms ask for; `hufu platform new` writes such files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The registry's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// `hufu platform withdraw`.
#[derive(Debug, Args)]
pub struct Withdraw {
    /// The platform's client identifier.
    #[arg(value_name = "CLIENT")]
    client: String,
    /// The registry's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs `hufu serve`, or `hufu sandbox serve` for a sandbox root.
///
/// # Errors
/// [`Failure`].
pub fn run_serve(asked: Serve, root: Root) -> Result<ExitCode, Failure> {
    let file = OfficeFile::read(&asked.config)?;
    let spans = logs::start_office(&file.log.filter, file.log.json, file.tracing.is_some())?;
    supervised();
    if let Some(mib) = file.limits.memory_mib {
        bounded(mib)?;
    }
    let threads = file.limits.threads;
    let asked = serve::Asked { office: asked.office, index: asked.index, file, root, spans };
    runtime(threads)?.block_on(async { serve::run(asked, told_to_stop()?).await })?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `hufu up`, or `hufu sandbox up` for a sandbox root.
///
/// # Errors
/// [`Failure`].
pub fn run_up(asked: Up, root: Root) -> Result<ExitCode, Failure> {
    bring_up(options(asked, root))
}

/// Runs `hufu sandbox up`.
///
/// # Errors
/// [`Failure`].
pub fn run_sandbox_up(asked: SandboxUp) -> Result<ExitCode, Failure> {
    let SandboxUp { up, tour, json } = asked;
    bring_up(up::Options { tour, json, ..options(up, Root::Sandbox) })
}

fn options(asked: Up, root: Root) -> up::Options {
    let Up { folder, users, ready_file, no_restart, env, without } = asked;
    let users = users.map(|first| Users { first });
    up::Options { folder, root, users, ready_file, tour: false, json: false, no_restart, env, without }
}

fn bring_up(options: up::Options) -> Result<ExitCode, Failure> {
    // One thread, which lives as long as the process: the offices end with the thread that started them.
    let ended = runtime(1)?.block_on(async { up::run(options, told_to_stop()?).await })?;
    Ok(code(ended))
}

/// Runs `hufu sandbox world`.
///
/// # Errors
/// [`Failure`].
pub fn run_world(asked: &WorldOf) -> Result<ExitCode, Failure> {
    let file = WorldFile::read(&asked.config)?;
    supervised();
    runtime(2)?.block_on(async { world::run(file, told_to_stop()?).await })?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `hufu sandbox tour`.
///
/// # Errors
/// [`Failure`].
pub fn run_tour(asked: &TourOf) -> Result<ExitCode, Failure> {
    Ok(code(runtime(2)?.block_on(tour::run(&asked.folder, asked.json))?))
}

/// Runs `hufu platform admit`.
///
/// # Errors
/// [`Failure`] naming the platform and the rule it breaks; those before it are admitted.
pub fn run_admit(asked: &Admit) -> Result<ExitCode, Failure> {
    // Read before anything is signed: a mistake in a file is told at once.
    let files = asked.files.iter().map(|path| PlatformFile::read(path)).collect::<Result<Vec<_>, _>>()?;
    let registry = admission::Desk::open(&asked.config)?;
    let admission = registry.admission()?;
    for file in files {
        println!("admitted {}", registry.admit(file, &admission)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `hufu platform withdraw`.
///
/// # Errors
/// [`Failure`].
pub fn run_withdraw(asked: &Withdraw) -> Result<ExitCode, Failure> {
    admission::Desk::open(&asked.config)?.withdraw(&asked.client)?;
    println!("withdrawn {}: the front hears of it within half a minute", asked.client);
    Ok(ExitCode::SUCCESS)
}

fn code(ended: Ended) -> ExitCode {
    if ended == Ended::Well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A runtime with so many threads that answer.
pub(super) fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(threads.max(1)).enable_all().build().map_err(Failure::other)
}

fn told_to_stop() -> Result<Stop, Failure> {
    let (stopper, stop) = Stopper::new();
    let told = super::told_to_stop()?;
    tokio::spawn(async move {
        told.await;
        stopper.stop();
    });
    Ok(stop)
}

/// Ends with the process that started this one, however that ends.
pub(super) fn supervised() {
    if std::env::var_os(deployment::SUPERVISED).is_some() {
        // Linux alone has it; elsewhere, and if it fails, whoever is left is found by its port.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    }
}

/// No more memory than this.
fn bounded(mib: u64) -> Result<(), Failure> {
    let limit = Some(mib.saturating_mul(1 << 20));
    let limit = rustix::process::Rlimit { current: limit, maximum: limit };
    rustix::process::setrlimit(rustix::process::Resource::Data, limit).map_err(Failure::other)
}
