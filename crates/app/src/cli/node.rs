//! The commands about a node's rows.

use super::deployment::runtime;
use crate::failure::Failure;
use crate::settle;
use clap::{Args, Subcommand};
use hufu_offices::node::Settling;
use std::path::PathBuf;
use std::process::ExitCode;

/// `hufu node`.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// End the waiting of a node that comes from a backup, by an order that says whose rows count. The node must not be running.
    Settle(Settle),
}

/// `hufu node settle`.
#[derive(Debug, Args)]
pub struct Settle {
    /// The node's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What two operators signed: `hufu keys order new settle --subject NODE`.
    #[arg(long, value_name = "FILE")]
    order: PathBuf,
}

/// Runs `hufu node`.
///
/// # Errors
/// [`Failure`].
pub fn run_node(command: &NodeCommand) -> Result<ExitCode, Failure> {
    let NodeCommand::Settle(asked) = command;
    let done = runtime(1)?.block_on(settle::run(&asked.config, &asked.order))?;
    let whose = &done.whose;
    match done.settling {
        Settling::Own => println!("its own rows count: it signs by them from its next start on"),
        _ => println!(
            "the rows of {whose} count: from its next start on it takes them in place of its own, and signs then. Who is not known to {whose} \
             is forgotten here"
        ),
    }
    Ok(ExitCode::SUCCESS)
}
