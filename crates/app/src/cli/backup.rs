//! The commands about an office's rows: backup, restore, contract.

use crate::backup::{self, Report, Target};
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
    /// The file to make; one that is there is not touched.
    #[arg(long, value_name = "FILE", required = true)]
    to: Option<PathBuf>,
    /// The public half of an operator's key for backups (age1…).
    #[arg(long, value_name = "KEY", required = true)]
    recipient: Option<String>,
    /// With the office's sealed keys. `machine.key`, which opens them, is in no backup: keep a copy of it elsewhere.
    #[arg(long)]
    with_keys: bool,
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
    /// The backup.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The file that `hufu backup new-identity` made.
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// Where a store, or keys, are there already: lose them.
    #[arg(long)]
    replace: bool,
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
    let (Some(config), Some(to), Some(recipient)) = (asked.config, asked.to, asked.recipient) else {
        return Err(Failure::other("--config, --to and --recipient are needed"));
    };
    let report = backup::take(&Target::read(&config)?, &to, &recipient, asked.with_keys, &SystemClock)?;
    told("backed up", &report, asked.json)?;
    if report.keys && !asked.json {
        println!(
            "The sealed keys are in it; machine.key, which opens them, is not: without a copy of it they are lost."
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `hufu restore`.
///
/// # Errors
/// [`Failure`]; the store is then as it was.
pub fn run_restore(asked: &Restore) -> Result<ExitCode, Failure> {
    let report = backup::restore(&Target::read(&asked.config)?, &asked.from, &asked.identity, asked.replace)?;
    told("restored", &report, asked.json)?;
    if report.keys && !asked.json {
        println!("The sealed keys are back; put the machine.key that they were sealed under beside them.");
    }
    Ok(ExitCode::SUCCESS)
}

fn told(done: &str, report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        println!("{}", serde_json::to_string_pretty(report).map_err(Failure::other)?);
        return Ok(());
    }
    let rows = report.rows.as_ref().map_or(0, |rows| rows.rows.values().sum::<u64>());
    println!("{done} {}: {rows} rows as of {}", report.office, report.taken);
    Ok(())
}

/// Runs `hufu store`.
///
/// # Errors
/// [`Failure`].
pub fn run_store(command: &StoreCommand) -> Result<ExitCode, Failure> {
    let StoreCommand::Contract { config } = command;
    let target = Target::read(config)?;
    let _lock = data_dir::lock(target.folder())?;
    let gone = target.contract()?;
    match gone.is_empty() {
        true => println!("nothing to remove"),
        false => println!("removed {}", gone.join(", ")),
    }
    Ok(ExitCode::SUCCESS)
}
