//! The commands about what an office keeps: backup, restore, contract.

use crate::backup::{self, Report, Target};
use crate::ceremony::office::own_user;
use crate::data_dir;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use hufu_kernel::SystemClock;
use std::path::PathBuf;
use std::process::ExitCode;

/// `hufu backup`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Backup {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// The office's configuration.
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// The public half of an operator's key for backups: age1…, or a file that has it.
    #[arg(long, value_name = "RECIPIENT", required = true)]
    to: Option<String>,
    /// The file to make; one that is there is not touched.
    #[arg(short, long, value_name = "FILE", required = true)]
    out: Option<PathBuf>,
    /// What was done, as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Draw an operator's key for backups. Keep the file away from the offices' machines.
    NewIdentity {
        /// The file to make, readable by its owner alone.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// `hufu restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// The office's configuration; the office must not be running.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The file that `hufu backup new-identity` made.
    #[arg(long, value_name = "KEYFILE")]
    identity: PathBuf,
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where a store is there already: lose it.
    #[arg(long)]
    replace: bool,
    /// The digest that `hufu backup` said: another backup is refused, since whoever has the public half of the key can write one.
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    /// What was done, as JSON.
    #[arg(long)]
    json: bool,
}

/// `hufu store`.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Remove what an office's records no longer have: the second half of a migration. No earlier version can be used afterwards.
    Contract {
        /// The office's configuration; the office must not be running.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Runs `hufu backup`.
///
/// # Errors
/// [`Failure`].
pub fn run_backup(asked: Backup) -> Result<ExitCode, Failure> {
    if let Some(BackupCommand::NewIdentity { file }) = asked.command {
        println!("{}", backup::new_identity(&file)?);
        return Ok(ExitCode::SUCCESS);
    }
    let (Some(config), Some(to), Some(out)) = (asked.config, asked.to, asked.out) else {
        return Err(Failure::other("--config, --to and --out are needed"));
    };
    let target = Target::read(&config)?;
    own_user(target.folder())?;
    let report = backup::take(&target, &to, &out, &SystemClock)?;
    told("backed up", &report, asked.json)?;
    if !asked.json {
        println!(
            "Note the digest where the backup is not kept: `hufu restore --digest` takes that one alone. No key is in it."
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `hufu restore`.
///
/// # Errors
/// [`Failure`]; the store is then as it was.
pub fn run_restore(asked: &Restore) -> Result<ExitCode, Failure> {
    let Restore { file: from, identity, replace, digest, .. } = asked;
    let ask = backup::Asked { from, identity, replace: *replace, digest: digest.as_deref() };
    let target = Target::read(&asked.config)?;
    own_user(target.folder())?;
    let report = backup::restore(&target, ask)?;
    told("restored", &report, asked.json)?;
    if !asked.json {
        println!("{}", since(&report.office));
    }
    Ok(ExitCode::SUCCESS)
}

/// What came after the backup, and what becomes of it.
fn since(office: &str) -> &'static str {
    match office {
        "registrar" => "Enrolments that were under way begin again.",
        "uniqueness" => {
            "Who enrolled since then is not known here and could be enrolled a second time; who left since then counts as enrolled. \
             Nobody else knows either: see docs/operate/backup.md before it is started."
        }
        "post" => {
            "Phones given since then are lost, so that those persons get no notice; phones of who left since then are here again."
        }
        "registry" => {
            "Platforms admitted since then are missing and platforms withdrawn since then are admitted: repeat both."
        }
        _ => {
            "It signs nothing until it has compared every row with both other nodes, and takes what came since from them."
        }
    }
}

fn told(done: &str, report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        println!("{}", serde_json::to_string_pretty(report).map_err(Failure::other)?);
        return Ok(());
    }
    let rows = report.rows.rows.values().sum::<u64>();
    println!("{done} {}: {rows} rows as of {}", report.office, report.taken);
    println!("digest {}", report.rows.digest);
    Ok(())
}

/// Runs `hufu store`.
///
/// # Errors
/// [`Failure`].
pub fn run_store(command: &StoreCommand) -> Result<ExitCode, Failure> {
    let StoreCommand::Contract { config } = command;
    let target = Target::read(config)?;
    own_user(target.folder())?;
    let _lock = data_dir::lock(target.folder())?;
    let gone = target.contract()?;
    match gone.is_empty() {
        true => println!("nothing to remove"),
        false => println!("removed {}", gone.join(", ")),
    }
    Ok(ExitCode::SUCCESS)
}
