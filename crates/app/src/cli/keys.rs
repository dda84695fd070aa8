//! The commands of operators and of offices' keys.

use super::deployment::{runtime, supervised};
use crate::ceremony::office::AtOffice;
use crate::ceremony::operator::{self, Signer};
use crate::ceremony::order::{self, Wish};
use crate::ceremony::take_part::{self, Told};
use crate::ceremony::{all, finish, identity, kept, retire, status};
use crate::deployment::office_file::OfficeFile;
use crate::deployment::plan::Plan;
use crate::deployment::users::Users;
use crate::failure::Failure;
use crate::keys::pkcs11;
use clap::{Args, Subcommand, ValueEnum};
use cryptoki::types::AuthPin;
use hufu_kernel::OsRng;
use hufu_offices::ceremony::transcript;
use hufu_wire::api::order::Kind;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use zeroize::Zeroizing;

/// `hufu operator`.
#[derive(Debug, Subcommand)]
pub enum Operator {
    /// Make an operator's signing key: NAME.key.json, private, and NAME.operator.toml for `hufu init --operators`.
    New {
        /// Lower-case letters, digits and hyphens.
        #[arg(value_name = "NAME")]
        name: String,
        /// Where to write them.
        #[arg(long, default_value = ".", value_name = "DIR")]
        dir: PathBuf,
    },
}

/// `hufu keys`.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make an office's own identity keys, and identity.json with their public halves for the roster.
    Identity(AtConfig),
    /// Assemble the roster of all offices' identities, which every office pins.
    Roster(RosterOf),
    /// Make, sign and read orders: two operators sign one before any office follows it.
    Order {
        #[command(subcommand)]
        command: Order,
    },
    /// Take part in a ceremony as one office, at the same time as the others; or, with --all, as every office of a folder.
    Ceremony(Ceremony),
    /// End a ceremony that ended elsewhere, by another office's transcript.
    Finish(Finish),
    /// Show what was said in a ceremony, by its transcript, and what is compared by telephone.
    Transcript {
        /// The transcript.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// End a rotation at a node: destroy its old K_A, once all three nodes say that no row needs them.
    Retire(Retire),
    /// In an office's token, mark another token's wrapping key as trusted: the first may then hand keys over to the second.
    Trust(Trust),
    /// Say which keys an office has and how they were made. Never a secret.
    Status(StatusOf),
}

/// One office.
#[derive(Debug, Args)]
pub struct AtConfig {
    /// The office's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// `hufu keys roster`.
#[derive(Debug, Args)]
pub struct RosterOf {
    /// The plan.
    #[arg(long, value_name = "FILE", default_value = "deployment.toml")]
    plan: PathBuf,
    /// A roster whose other identities stay: to replace one office.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Where to write it.
    #[arg(short, long, value_name = "FILE", default_value = "roster.json")]
    output: PathBuf,
    /// The offices' identity.json.
    #[arg(value_name = "IDENTITY", required = true)]
    identities: Vec<PathBuf>,
}

/// `hufu keys order`.
#[derive(Debug, Subcommand)]
pub enum Order {
    /// Write an order that nobody has signed yet.
    New(NewOrder),
    /// Show what is ordered, ask, and add an operator's signature.
    Sign {
        /// The operator's private key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The plan, which knows the operators.
        #[arg(long, value_name = "FILE", default_value = "deployment.toml")]
        plan: PathBuf,
        /// Sign without asking: for scripts of whoever has read it.
        #[arg(long)]
        yes: bool,
        /// The order.
        #[arg(value_name = "ORDER")]
        order: PathBuf,
    },
    /// Say what is ordered and who signed it.
    Show {
        /// The order.
        #[arg(value_name = "ORDER")]
        order: PathBuf,
    },
}

/// The kinds of orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum KindName {
    /// All keys of a new trust root, by all offices.
    Found,
    /// New K_A, by the nodes; no pseudonym changes.
    Rotate,
    /// A new identity for an office that lost its keys, and what it held jointly, by all offices.
    Replace,
    /// What a node or tagger held jointly and has lost, by the three nodes or taggers.
    Repair,
    /// Destroy the keys of before a rotation, at each node: hufu keys retire.
    Retire,
    /// One node's rows count, where nodes from backups cannot settle by comparing: hufu node settle.
    Settle,
    /// Give up a ceremony that ended nowhere, at each office: hufu keys finish --abandon --order.
    Abandon,
}

impl KindName {
    fn kind(self) -> Kind {
        match self {
            Self::Found => Kind::Found,
            Self::Rotate => Kind::Rotate,
            Self::Replace => Kind::Replace,
            Self::Repair => Kind::Repair,
            Self::Retire => Kind::Retire,
            Self::Settle => Kind::Settle,
            Self::Abandon => Kind::Abandon,
        }
    }
}

/// `hufu keys order new`.
#[derive(Debug, Args)]
pub struct NewOrder {
    /// What is ordered.
    #[arg(value_enum, value_name = "KIND")]
    kind: KindName,
    /// replace, repair: which office; settle: the node whose rows count.
    #[arg(long, value_name = "OFFICE")]
    subject: Option<String>,
    /// rotate: from when the new keys count, +24h or 2026-12-01T02:00:00Z; 15 minutes or more after --valid, for the nodes to be
    /// restarted [default: 1 hour after it].
    #[arg(long, value_name = "TIME")]
    effective: Option<String>,
    /// abandon: the order of the ceremony that is given up.
    #[arg(long, value_name = "ORDER")]
    of: Option<PathBuf>,
    /// How long offices follow it.
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    valid: String,
    /// The plan.
    #[arg(long, value_name = "FILE", default_value = "deployment.toml")]
    plan: PathBuf,
    /// The roster that all parties have pinned.
    #[arg(long, value_name = "FILE", default_value = "roster.json")]
    roster: PathBuf,
    /// Where to write it.
    #[arg(short, long, value_name = "FILE", default_value = "order.json")]
    output: PathBuf,
}

/// `hufu keys ceremony`.
#[derive(Debug, Args)]
pub struct Ceremony {
    /// The office's configuration.
    #[arg(long, value_name = "FILE", required_unless_present = "all", requires = "order")]
    config: Option<PathBuf>,
    /// What two operators signed. With --all and without it: the founding, signed with the keys in DIR/operators.
    #[arg(long, value_name = "FILE")]
    order: Option<PathBuf>,
    /// All offices of the folder that `hufu init` made, one process each on this machine.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    all: Option<PathBuf>,
    /// With --all: a user of its own for each office, by numbers from FIRST on; needs root.
    #[arg(long, value_name = "FIRST", num_args = 0..=1, default_missing_value = "62000", require_equals = true, requires = "all")]
    users: Option<u32>,
    /// With --all: a variable of this command's environment that all offices may have, as the library of a token reads one.
    #[arg(long, value_name = "NAME", requires = "all")]
    env: Vec<String>,
    /// How long a round may take, until every office has been heard.
    #[arg(long, value_name = "SPAN", default_value = "10m")]
    patience: String,
    /// As JSON, one object a line.
    #[arg(long, conflicts_with = "all")]
    json: bool,
}

/// `hufu keys finish`.
#[derive(Debug, Args)]
pub struct Finish {
    /// The office's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Another office's transcript [default: what this office has kept itself].
    #[arg(value_name = "TRANSCRIPT")]
    transcript: Option<PathBuf>,
    /// Destroy the pending keys instead. Where they may count elsewhere, only if both other nodes are seen to have them, or by --order.
    #[arg(long, conflicts_with = "transcript")]
    abandon: bool,
    /// With --abandon: what two operators signed, who know that the ceremony ended nowhere (hufu keys order new abandon).
    #[arg(long, value_name = "FILE", requires = "abandon")]
    order: Option<PathBuf>,
}

/// `hufu keys retire`.
#[derive(Debug, Args)]
pub struct Retire {
    /// The node's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What two operators signed.
    #[arg(long, value_name = "FILE")]
    order: PathBuf,
}

/// `hufu keys trust`.
#[derive(Debug, Args)]
pub struct Trust {
    /// The configuration of the office that hands keys over.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The file with the PIN of its token's security officer [default: it is typed].
    #[arg(long, value_name = "FILE")]
    officer_pin_file: Option<PathBuf>,
    /// The roster that pins that identity and its wrapping key [default: the office's own].
    #[arg(long, value_name = "FILE")]
    roster: Option<PathBuf>,
    /// The identity.json of the office that shall have them.
    #[arg(value_name = "IDENTITY")]
    identity: PathBuf,
}

/// `hufu keys status`.
#[derive(Debug, Args)]
pub struct StatusOf {
    /// The office's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `hufu operator`.
///
/// # Errors
/// [`Failure`].
pub fn run_operator(command: Operator) -> Result<ExitCode, Failure> {
    let Operator::New { name, dir } = command;
    let made = operator::new(&name, &dir, &OsRng)?;
    println!("{}   private: yours alone", made.key.display());
    println!("{}   for the file of `hufu init --operators`:\n", made.entry.display());
    print!("{}", made.text);
    println!("\nto be read out when plans are compared: {}", made.fingerprint);
    Ok(ExitCode::SUCCESS)
}

/// Runs `hufu keys`.
///
/// # Errors
/// [`Failure`].
pub fn run_keys(command: Keys) -> Result<ExitCode, Failure> {
    match command {
        Keys::Identity(asked) => {
            let office = AtOffice::open(&asked.config)?;
            let (path, identity) = identity::make(&office)?;
            println!("{}   for whoever assembles the roster", path.display());
            println!("{}   to be compared by voice: {}", identity.office, identity.fingerprint());
            if let Some(wrapping) = identity.wrapping_fingerprint() {
                println!("its token's wrapping key, for whoever trusts it: {wrapping}");
            }
            print!("{}", operator::text(&office.plan, None));
        }
        Keys::Roster(asked) => roster(&asked)?,
        Keys::Order { command } => run_order(command)?,
        Keys::Ceremony(asked) => ceremony(asked)?,
        Keys::Finish(asked) if asked.abandon => {
            let given_up = runtime(2)?.block_on(finish::abandon(&asked.config, asked.order.as_deref()))?;
            let names = given_up.destroyed;
            println!(
                "destroyed: {}",
                if names.is_empty() { "nothing was pending".to_owned() } else { names.join(", ") }
            );
            if let Some(next) = given_up.next {
                println!("Next: {next}");
            }
        }
        Keys::Finish(asked) => {
            let ended = finish::run(&asked.config, asked.transcript.as_deref())?;
            println!("{}", transcript::text(&kept::read(&ended.transcript)?).map_err(Failure::other)?);
            print!("{}", take_part::text(&ended, &OfficeFile::read(&asked.config)?.trust));
        }
        Keys::Transcript { file } => {
            print!("{}", transcript::text(&kept::read(&file)?).map_err(Failure::other)?);
        }
        Keys::Retire(asked) => {
            let old = runtime(2)?.block_on(retire::run(&asked.config, &asked.order))?;
            println!("destroyed: {}", old.join(", "));
            println!("Next: restart this node, so that they leave its memory");
        }
        Keys::Trust(asked) => trust(&asked)?,
        Keys::Status(asked) => {
            let status = status::of(&asked.config)?;
            if asked.json {
                println!("{}", serde_json::to_string_pretty(&status).map_err(Failure::other)?);
            } else {
                print!("{}", status::text(&status));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn trust(asked: &Trust) -> Result<(), Failure> {
    let found = identity::ToTrust::look(&asked.config, &asked.identity, asked.roster.as_deref())?;
    println!("office        {}", found.office);
    println!("wrapping key  {}", found.wrapping);
    println!("roster        {}", found.roster);
    let pin = match &asked.officer_pin_file {
        Some(file) => pkcs11::pin(file)?,
        None => typed_pin()?,
    };
    found.trust(&pin)?;
    println!("the wrapping key of {} is trusted: keys may be handed over to its token", found.office);
    Ok(())
}

/// Asks the officer at the terminal, which shows nothing of it.
fn typed_pin() -> Result<AuthPin, Failure> {
    if !std::io::stdin().is_terminal() {
        let told = "nobody is asked for the officer's PIN here, and nothing was trusted; give it with --officer-pin-file FILE (mode 600)";
        return Err(Failure::other(told));
    }
    println!(
        "Compare both fingerprints by voice, with that office and with another one. Nothing is trusted without the PIN."
    );
    let typed = rpassword::prompt_password("The officer's PIN (it is not shown): ").map_err(Failure::other)?;
    let typed = Zeroizing::new(typed);
    match typed.trim_end() {
        "" => Err(Failure::other("no PIN was typed, and nothing was trusted")),
        pin => Ok(AuthPin::from(pin.to_owned())),
    }
}

fn roster(asked: &RosterOf) -> Result<(), Failure> {
    let plan = Plan::read(&asked.plan)?;
    let before = asked.from.as_deref().map(|path| identity::read_roster(path, &plan)).transpose()?;
    let offered = asked.identities.iter().map(|path| identity::read(path, &plan).map(|offered| offered.identity));
    let roster = identity::roster(&plan, before.as_ref(), offered.collect::<Result<_, _>>()?)?;
    identity::write_roster(&asked.output, &roster)?;
    println!("{}   for every office; the same at all of them", asked.output.display());
    println!("to be compared by voice: {}", roster.fingerprint());
    print!("{}", operator::text(&plan, None));
    Ok(())
}

fn run_order(command: Order) -> Result<(), Failure> {
    match command {
        Order::New(asked) => {
            let plan = Plan::read(&asked.plan)?;
            let roster = identity::read_roster(&asked.roster, &plan)?;
            let (kind, valid) = (asked.kind.kind(), asked.valid);
            let gives_up = asked.of.as_deref().map(order::read).transpose()?.map(|given| given.order.ceremony());
            let wish = Wish { kind, subject: asked.subject, effective: asked.effective, valid, gives_up };
            let now = order::clock(&asked.plan, &plan)?.now();
            let made = order::make(&wish, &plan, &roster, now, &OsRng)?;
            order::write(&asked.output, &made)?;
            print!("{}", order::text(&made));
            println!(
                "\nNext, by each of two operators: hufu keys order sign --key NAME.key.json {}",
                asked.output.display()
            );
        }
        Order::Sign { key, plan, yes, order: path } => {
            let plan = Plan::read(&plan)?;
            let signer = Signer::read(&key, &plan)?;
            let mut signed = order::read(&path)?;
            print!("{}{}", order::text(&signed), operator::text(&plan, Some(&signed)));
            if !yes && !agreed(&signer.name)? {
                return Err(Failure::other("nothing was signed"));
            }
            order::sign(&mut signed, &plan, &signer)?;
            order::write(&path, &signed)?;
            println!("signed       as {}", signer.name);
        }
        Order::Show { order: path } => print!("{}", order::text(&order::read(&path)?)),
    }
    Ok(())
}

/// Asks whoever sits at the terminal; what is not read is not signed.
fn agreed(name: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::other("nobody is asked here, and nothing was signed; read what is above, then: --yes"));
    }
    print!("\nSign this as {name}? [y/N] ");
    std::io::stdout().flush().map_err(Failure::other)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Failure::other)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn ceremony(asked: Ceremony) -> Result<(), Failure> {
    supervised();
    let seconds = crate::demo::control::seconds(&asked.patience)?;
    let patience = Duration::from_secs(u64::try_from(seconds).unwrap_or(1));
    if let Some(folder) = asked.all {
        let users = asked.users.map(|first| Users { first });
        let options = all::Options { folder, order: asked.order, users, patience, env: asked.env };
        let ended = runtime(1)?.block_on(all::run(&options))?;
        print!("{}", take_part::text(&ended, std::path::Path::new("")));
        return Ok(());
    }
    let (Some(config), Some(order)) = (asked.config, asked.order) else {
        return Err(Failure::other("a ceremony needs --config and --order, or --all"));
    };
    let configured = OfficeFile::read(&config)?.trust;
    let options = take_part::Options { config, order, patience };
    let json = asked.json;
    let tell = move |told: &Told| match (json, told) {
        (true, told) => println!("{}", serde_json::to_string(told).unwrap_or_default()),
        (false, Told::Ordered(text)) => print!("{text}"),
        (false, Told::Round(round)) => println!("round {round}"),
        (false, Told::Waiting(missing)) if !missing.is_empty() => println!("  waiting for {}", missing.join(", ")),
        (false, _) => {}
    };
    let ended = runtime(2)?.block_on(take_part::run(&options, &tell))?;
    if json {
        tell(&Told::Ended(ended));
    } else {
        print!("\n{}\n", transcript::text(&kept::read(&ended.transcript)?).map_err(Failure::other)?);
        print!("{}", take_part::text(&ended, &configured));
    }
    Ok(())
}
