//! The commands that measure.

use crate::bench::{self, abuse};
use crate::failure::Failure;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// Complete FAPI 2.0 sign-ins a second, as ratios to a peer and to a floor.
    ///
    /// A service of its own is started in a temporary folder: 81 platforms, invented persons at three nodes on SQLite,
    /// logging on. Each lane is run for some seconds in each round, one after the other, so that a busy machine slows all of
    /// them alike; ratios are medians of the rounds' own ratios.
    ///
    /// Lanes: `front` (the driver plays wallet and nodes and posts ID tokens it has signed; PAR, authorization, the wallet's
    /// transaction, result, token), `whole-path` (the same with the device's assertion at two nodes, pseudonyms and the
    /// nodes' joint signature), `apart` (the whole path with every office a process of its own, as a deployment has it: what the
    /// separation costs), `peer`, and for the first two a floor, `floor` and `whole-floor`: the same requests and cryptography
    /// on a bare server.
    ///
    /// What is measured runs on one core, the driver on another. Exits with 1 at the first sign-in that is refused.
    SignIn(SignInBench),
    /// What people notice of one client that asks as much as it can, with the offices' limits and without them.
    ///
    /// Offices that are apart are started in a temporary folder, on one core. People sign in over the whole path at a steady pace from
    /// 127.0.0.1; in half of the rounds a client at 127.0.0.2 floods the front meanwhile, with pushed requests whose signature is wrong,
    /// bounded by itself in time and number. The same again without limits is the control: if it is no worse, the run says that it
    /// shows nothing. Bar: with limits nobody is refused, and 99 of 100 wait at most twice as long as without the flood.
    Abuse(AbuseBench),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum PeerName {
    /// npm's oidc-provider, in memory, FAPI 2.0 profile; needs Node.js and benches/peer.
    OidcProvider,
    /// None: rates without a ratio; needs neither Node.js nor a network.
    None,
}

#[derive(Debug, Args)]
pub(super) struct SignInBench {
    /// Beside whom.
    #[arg(long, value_enum, default_value = "oidc-provider", value_name = "PEER")]
    peer: PeerName,
    /// The peer's folder [default: benches/peer, here or above this program].
    #[arg(long, value_name = "DIR")]
    peer_dir: Option<PathBuf>,
    /// The Node.js that runs the peer.
    #[arg(long, default_value = "node", value_name = "PROGRAM")]
    node: PathBuf,
    /// The floors' program [default: examples/floor beside this program, if it was built].
    #[arg(long, value_name = "PROGRAM")]
    floor: Option<PathBuf>,
    /// Enrolled persons.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    persons: u32,
    /// Interleaved rounds.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each lane in each round.
    #[arg(long, default_value_t = 4, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=20))]
    seconds: u32,
    /// Sign-ins under way at once.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    users: u32,
    /// A smoke run of seconds: 60 persons, one round of half a second. Its figures mean nothing.
    #[arg(long, conflicts_with_all = ["persons", "rounds", "seconds"])]
    quick: bool,
    /// Run this lane only, for profiling; may be repeated.
    #[arg(long, value_name = "LANE", value_parser = bench::lane_names())]
    only: Vec<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct AbuseBench {
    /// Enrolled persons.
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    persons: u32,
    /// Rounds, each without the flood and with it.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each half of a round.
    #[arg(long, default_value_t = 5, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=20))]
    seconds: u32,
    /// Sign-ins that people begin a second; more than 30 are more than one address may.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=30))]
    pace: u32,
    /// Requests of the flood a second, at most.
    #[arg(long, default_value_t = 4000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    flood: u32,
    /// A smoke run of seconds: 60 persons, one round of three seconds. Its figures mean nothing.
    #[arg(long, conflicts_with_all = ["persons", "rounds", "seconds"])]
    quick: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: Bench) -> Result<ExitCode, Failure> {
    match command {
        Bench::SignIn(asked) => bench_sign_in(asked),
        Bench::Abuse(asked) => bench_abuse(&asked),
    }
}

fn number(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn bench_sign_in(asked: SignInBench) -> Result<ExitCode, Failure> {
    let json = asked.json;
    let peer = match asked.peer {
        PeerName::OidcProvider => Some(bench::Peer { folder: asked.peer_dir, node: asked.node }),
        PeerName::None => None,
    };
    let options = bench::Options {
        peer,
        persons: if asked.quick { 60 } else { number(asked.persons) },
        rounds: if asked.quick { 1 } else { number(asked.rounds) },
        seconds: if asked.quick { 0.5 } else { f64::from(asked.seconds) },
        users: number(asked.users),
        floor: asked.floor,
        only: asked.only,
        quick: asked.quick,
    };
    let report = bench::sign_in(&options)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::other)?);
    } else {
        print!("{}", report.text());
    }
    Ok(ExitCode::SUCCESS)
}

fn bench_abuse(asked: &AbuseBench) -> Result<ExitCode, Failure> {
    let options = abuse::Options {
        persons: if asked.quick { 60 } else { number(asked.persons) },
        rounds: if asked.quick { 1 } else { number(asked.rounds) },
        seconds: if asked.quick { 3 } else { asked.seconds },
        pace: asked.pace,
        flood: asked.flood,
        quick: asked.quick,
    };
    let report = abuse::abuse(&options)?;
    if asked.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::other)?);
    } else {
        print!("{}", report.text());
    }
    Ok(ExitCode::SUCCESS)
}
