//! The command line.

mod backup;
mod bench;
mod deployment;
mod keys;
mod node;

use crate::demo::metrics::MetricsAt;
use crate::demo::platform_ca::PlatformCa;
use crate::demo::{self, Ended, control};
use crate::deployment as apart;
use crate::failure::Failure;
use crate::server::Server;
use crate::{data_dir, doctor, explain, logs, platform_file, root, rows};
use clap::{Args, Parser, Subcommand};
use hufu_kernel::{Clock as _, OsRng, Root, SystemClock};
use hufu_web::serve::Stopper;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// 虎符: a network identity service that vouches for people and does not learn where they sign in.
///
/// Start with `hufu demo`: every office on this machine, with invented people and platforms.
#[derive(Debug, Parser)]
#[command(name = "hufu", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What is logged to standard error, as RUST_LOG would say it; RUST_LOG goes first.
    #[arg(long, global = true, default_value = "warn", value_name = "FILTER")]
    log: String,
    /// Logs as JSON, one event a line.
    #[arg(long, global = true)]
    log_json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a sandbox with every office in this process, on this machine only.
    Demo(Box<Demo>),
    /// Begin a deployment of offices that are apart: a plan, and a folder an office with its configuration.
    Init(Box<deployment::Init>),
    /// Run one office of a production deployment in this process.
    Serve(deployment::Serve),
    /// Run every office of a production deployment on this machine, one process an office.
    Up(deployment::Up),
    /// Make an operator's key: an order to the offices needs two operators' signatures.
    Operator {
        #[command(subcommand)]
        command: keys::Operator,
    },
    /// Make, examine and hand over the keys of offices that are apart.
    Keys {
        #[command(subcommand)]
        command: keys::Keys,
    },
    /// Work on a node's rows.
    Node {
        #[command(subcommand)]
        command: node::NodeCommand,
    },
    /// Save an office's rows, as they stand now, in a file that only an operator's key opens; the office may be at work.
    Backup(Box<backup::Backup>),
    /// Put a backup back; the office must not be running.
    Restore(backup::Restore),
    /// Work on an office's store.
    Store {
        #[command(subcommand)]
        command: backup::StoreCommand,
    },
    /// Make a platform of your own; admit platforms at the registry, or withdraw them.
    Platform {
        #[command(subcommand)]
        command: Platform,
    },
    /// Work on a running sandbox.
    Sandbox {
        #[command(subcommand)]
        command: Sandbox,
    },
    /// Say what an error code, or the error number on a screen, means and what to do.
    Explain(Explain),
    /// Print the description of the API as OpenAPI 3.1: every operation, every answer.
    Openapi,
    /// Check a deployment of offices that are apart, one office of it, or the demo's folder: what is wrong, and what mends it.
    Doctor(Doctor),
    /// Measure what this service can do, beside a peer and a floor on the same machine.
    Bench {
        #[command(subcommand)]
        command: bench::Bench,
    },
}

#[derive(Debug, Args)]
struct Data {
    /// The sandbox's folder [default: $XDG_DATA_HOME/hufu/demo, else ~/.local/share/hufu/demo].
    #[arg(long, value_name = "DIR", env = "HUFU_DATA")]
    data: Option<PathBuf>,
}

impl Data {
    fn folder(&self) -> Result<PathBuf, Failure> {
        data_dir::locate(self.data.as_deref())
    }

    /// The flag as it was given, for commands that are suggested.
    fn told(&self) -> String {
        self.data.as_deref().map(|data| format!(" --data {}", data.display())).unwrap_or_default()
    }
}

#[derive(Debug, Args)]
struct StoreAt {
    /// Keep the offices' rows in PostgreSQL, postgres://user:password@host:port/database, instead of in files.
    #[arg(long, value_name = "URL", env = "HUFU_STORE", hide_env_values = true)]
    store: Option<Server>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
struct Demo {
    #[command(subcommand)]
    command: Option<DemoCommand>,
    #[command(flatten)]
    data: Data,
    /// The first of eleven ports; 0 lets the system choose them all.
    #[arg(long, default_value_t = 8420, value_name = "PORT")]
    port: u16,
    /// Write all addresses to FILE, as JSON, once everything answers; removed when the demo ends.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Accept a wallet on this origin instead of the demo's own: for scripted drivers.
    #[arg(long, value_name = "ORIGIN")]
    wallet_origin: Option<String>,
    /// Go by the rules in this folder (enrolment.toml, certificate.toml, recovery.toml) in place of the built-in ones.
    #[arg(long, value_name = "FOLDER")]
    rules: Option<PathBuf>,
    /// Speak https everywhere, with certificates of an authority that is made for this sandbox.
    #[arg(long)]
    tls: bool,
    /// With --tls: the name under which everything answers; the wallet is wallet.HOST, and so on. No hosts file is needed.
    #[arg(long, default_value = "localhost", value_name = "HOST", requires = "tls")]
    host: String,
    /// Answer platforms with TLS certificates at an address of their own, too: `hufu platform new --mtls` issues them.
    #[arg(long)]
    mtls: bool,
    #[command(flatten)]
    store: StoreAt,
    /// Where Prometheus reads what is counted: 127.0.0.1:PORT, or off.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    metrics: MetricsAt,
    /// Admit the platform in FILE; may be repeated. `hufu platform new` writes such files.
    #[arg(long, value_name = "FILE")]
    platform: Vec<PathBuf>,
    /// Send browsers to the persona agent, which remembers for 50 seconds who signed in: for `prompt=none` and `max_age` of the OpenID
    /// Foundation's suite.
    #[arg(long)]
    persona_sessions: bool,
    /// Watch a robot enrol, sign in and hold the service to its promises; ends with 0 if all were held.
    #[arg(long)]
    tour: bool,
    /// With --tour: the whole report as JSON.
    #[arg(long, requires = "tour")]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum DemoCommand {
    /// Delete the sandbox: its keys and everybody in it. Only a folder that `hufu demo` made is deleted.
    Reset {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        store: StoreAt,
    },
}

#[derive(Debug, Subcommand)]
enum Platform {
    /// Write NAME.toml for the registry, NAME.key.json with its private key, and NAME.env for a program.
    New {
        /// The client identifier: lower-case letters, digits and hyphens.
        name: String,
        /// Where to write them.
        #[arg(long, default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Plain OpenID Connect with a client secret instead of FAPI 2.0 (sandbox only).
        #[arg(long)]
        basic: bool,
        /// A TLS certificate of this sandbox's authority in place of a key for assertions and proofs: for `hufu demo --mtls`, which
        /// has made that authority at its first start.
        #[arg(long, conflicts_with_all = ["basic", "trust"])]
        mtls: bool,
        /// The service's issuer [default: that of a demo without flags, http://localhost:8420].
        #[arg(long, value_name = "URL")]
        issuer: Option<String>,
        /// The trust.json to pin, for a service that is not the demo.
        #[arg(long, value_name = "FILE", requires = "issuer")]
        trust: Option<PathBuf>,
        #[command(flatten)]
        data: Data,
    },
    /// Have the registry sign what platforms ask for; the front hears of it within half a minute.
    Admit(deployment::Admit),
    /// Take a platform's certificate from the registry's list.
    Withdraw(deployment::Withdraw),
}

#[derive(Debug, Subcommand)]
enum Sandbox {
    /// The sandbox's clock, which all its offices share.
    Clock {
        #[command(subcommand)]
        command: Clock,
    },
    /// Run one office of a sandbox in this process.
    Serve(deployment::Serve),
    /// Run every office of a sandbox on this machine, one process an office, and the world around them.
    Up(deployment::SandboxUp),
    /// Run the world around a sandbox's offices: register, phones, sample platforms, personas.
    World(deployment::WorldOf),
    /// Take the tour of a sandbox whose offices run apart.
    Tour(deployment::TourOf),
}

#[derive(Debug, Subcommand)]
enum Clock {
    /// Move it forward: 72h, 3d, 90m. It never goes back.
    Advance {
        /// How far.
        span: String,
        #[command(flatten)]
        data: Data,
    },
    /// Say what time it is in the sandbox.
    Show(Data),
}

#[derive(Debug, Args)]
struct Explain {
    /// An error code such as `stale_time`, or an error number.
    #[arg(required_unless_present = "list")]
    code_or_id: Option<String>,
    /// All codes.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    data: Data,
}

#[derive(Debug, Args)]
struct Doctor {
    /// The folder that `hufu init` made; without it and --config, the demo's folder.
    #[arg(value_name = "DIR", conflicts_with_all = ["config", "data"])]
    folder: Option<PathBuf>,
    /// One office on its own machine, by its office.toml.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a command.
///
/// # Errors
/// [`Failure`], as a sentence for whoever typed it.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        // An office's logs are its configuration's.
        Command::Serve(asked) => deployment::run_serve(asked, Root::Production),
        Command::Sandbox { command: Sandbox::Serve(asked) } => deployment::run_serve(asked, Root::Sandbox),
        command => {
            // Who waits for ten others in a ceremony is told so, not warned each time one is not there yet.
            let quiet = matches!(command, Command::Keys { .. }) && cli.log == "warn";
            // What its offices log is JSON and on the same stream.
            let among = matches!(command, Command::Up(_) | Command::Sandbox { command: Sandbox::Up(_) });
            logs::start(if quiet { "warn,hufu_web::peers=error" } else { &cli.log }, cli.log_json || among)?;
            run_logged(command)
        }
    }
}

fn run_logged(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(asked) => deployment::run_serve(asked, Root::Production),
        Command::Up(asked) => deployment::run_up(asked, Root::Production),
        Command::Backup(asked) => backup::run_backup(*asked),
        Command::Restore(asked) => backup::run_restore(&asked),
        Command::Store { command } => backup::run_store(&command),
        Command::Demo(demo) => {
            if let Some(DemoCommand::Reset { data, store }) = &demo.command {
                return reset(data, store.store.as_ref());
            }
            run_demo(*demo)
        }
        Command::Init(asked) => deployment::run_init(*asked),
        Command::Operator { command } => keys::run_operator(command),
        Command::Keys { command } => keys::run_keys(command),
        Command::Node { command } => node::run_node(&command),
        Command::Platform { command: Platform::New { name, dir, basic, mtls, issuer, trust, data } } => {
            let kind = match (basic, mtls) {
                (true, _) => platform_file::Kind::Basic,
                (_, true) => {
                    let today = SystemClock.now().date();
                    let issued = PlatformCa::open(&data.folder()?, today)?.issue(&name, today)?;
                    platform_file::Kind::Certificate(issued)
                }
                _ => platform_file::Kind::Key,
            };
            new_platform(&name, &dir, kind, (issuer, trust), &data)
        }
        Command::Platform { command: Platform::Admit(asked) } => deployment::run_admit(&asked),
        Command::Platform { command: Platform::Withdraw(asked) } => deployment::run_withdraw(&asked),
        Command::Sandbox { command: Sandbox::Clock { command } } => clock(command),
        Command::Sandbox { command: Sandbox::Serve(asked) } => deployment::run_serve(asked, Root::Sandbox),
        Command::Sandbox { command: Sandbox::Up(asked) } => deployment::run_sandbox_up(asked),
        Command::Sandbox { command: Sandbox::World(asked) } => deployment::run_world(&asked),
        Command::Sandbox { command: Sandbox::Tour(asked) } => deployment::run_tour(&asked),
        Command::Explain(asked) => {
            let text = match (&asked.code_or_id, asked.list) {
                (Some(code_or_id), false) => explain::explain(code_or_id, &asked.data.folder()?)?,
                _ => explain::list(),
            };
            print!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        Command::Openapi => {
            print!("{}", hufu_web::api::document_text());
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor(asked) => {
            let report = match (&asked.folder, &asked.config) {
                (Some(folder), _) => runtime()?.block_on(apart::doctor::folder(folder)),
                (None, Some(config)) => runtime()?.block_on(apart::doctor::office(config)),
                (None, None) => doctor::examine(&asked.data.folder()?),
            };
            print!("{}", if asked.json { report.json()? } else { report.text() });
            Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Bench { command } => bench::run(command),
    }
}

/// Writes a platform's files, for the demo or for the service of that issuer.
fn new_platform(
    name: &str,
    dir: &Path,
    kind: platform_file::Kind,
    (issuer, trust): (Option<String>, Option<PathBuf>),
    data: &Data,
) -> Result<ExitCode, Failure> {
    let (folder, elsewhere) = (data.folder()?, trust.is_some());
    let trust = trust.unwrap_or_else(|| folder.join(root::TRUST_FILE));
    let issuer = issuer.unwrap_or_else(|| demo::ISSUER.to_owned());
    let service = platform_file::Service { issuer: &issuer, trust: &trust };
    let written = platform_file::create(name, dir, kind, service, &OsRng)?;
    let file = written.file.display();
    println!("{file}");
    if let Some(certificate) = &written.certificate {
        println!("{}   its TLS certificate", certificate.display());
    }
    if let Some(key) = &written.key {
        println!("{}   private: yours alone", key.display());
    }
    println!("{}   settings for your program, which pins {}", written.env.display(), trust.display());
    if elsewhere {
        println!("\nNext: change names, redirect_uris and purposes in {file}; the registry admits it:");
        println!("  hufu platform admit {file} --config registry/office.toml");
    } else {
        let mtls = if written.certificate.is_some() { " --mtls" } else { "" };
        println!("\nNext: hufu demo{}{mtls} --platform {file}", data.told());
    }
    Ok(ExitCode::SUCCESS)
}

fn reset(data: &Data, store: Option<&Server>) -> Result<ExitCode, Failure> {
    let folder = data.folder()?;
    if let Some(server) = store {
        let emptied = runtime()?.block_on(rows::reset(&folder, server))?;
        println!("Deleted the rows of {emptied} offices at {server}.");
        if data_dir::standing(&folder)? == data_dir::Standing::Free {
            return Ok(ExitCode::SUCCESS);
        }
    } else if let Some(server) = root::open(&folder).ok().and_then(|root| rows::elsewhere(&root).ok().flatten()) {
        return Err(Failure::other(format!("this sandbox's rows are at {server}; add --store, so that they go too")));
    }
    data_dir::reset(&folder)?;
    println!("Deleted {}: its keys and everybody in it.", folder.display());
    Ok(ExitCode::SUCCESS)
}

fn run_demo(demo: Demo) -> Result<ExitCode, Failure> {
    let options = demo::Options {
        data: demo.data.folder()?,
        port: demo.port,
        ready_file: demo.ready_file,
        wallet_origin: demo.wallet_origin,
        tls: demo.tls.then_some(demo.host),
        mtls: demo.mtls,
        rules: demo.rules,
        store: demo.store.store,
        metrics: demo.metrics,
        platforms: demo.platform,
        persona_sessions: demo.persona_sessions,
        tour: demo.tour,
        json: demo.json,
    };
    let ended = runtime()?.block_on(async {
        let (stopper, stop) = Stopper::new();
        let told = told_to_stop()?;
        tokio::spawn(async move {
            told.await;
            stopper.stop();
        });
        demo::run(options, stop).await
    })?;
    Ok(if ended == Ended::Well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn clock(command: Clock) -> Result<ExitCode, Failure> {
    let (folder, seconds) = match &command {
        Clock::Advance { span, data } => (data.folder()?, control::seconds(span)?),
        Clock::Show(data) => (data.folder()?, 0),
    };
    let view = runtime()?.block_on(control::advance(&folder, seconds))?;
    println!("{}   {} s ahead of this machine", view.now, view.shift);
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::other)
}

/// Ends at Ctrl-C or SIGTERM.
pub(crate) fn told_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::other)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::other)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_every_flag_is_explained() {
        Cli::command().debug_assert();
        fn explained(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in
                command.get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
            {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(explained);
        }
        explained(&Cli::command());
    }
}
