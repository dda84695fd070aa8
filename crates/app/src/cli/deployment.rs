//! The commands of offices that are apart.

use crate::deployment::init;
use crate::failure::Failure;
use clap::Args;
use hufu_kernel::{OsRng, Root, SystemClock};
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
    if !asked.dealt {
        println!("\nNext: hufu keys ceremony --all {folder}   (on several machines: docs/operate/deployment.md)");
    }
    println!("{} hufu {sandbox}up {folder}", if asked.dealt { "\nNext:" } else { "Then:" });
    Ok(ExitCode::SUCCESS)
}
