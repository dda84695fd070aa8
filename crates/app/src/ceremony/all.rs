//! A ceremony of offices that are all on this machine: one process an office, as if each were elsewhere. Nothing is passed between them
//! but the order's path.

use super::identity;
use super::kept;
use super::office::KEPT;
use super::operator::{self, Signer};
use super::order::{self, Wish};
use super::take_part::{self, Ended, Told};
use crate::deployment::ROSTER;
use crate::deployment::environment;
use crate::deployment::office_file;
use crate::deployment::operators::FOLDER as OPERATORS;
use crate::deployment::plan::{self, Plan};
use crate::deployment::up;
use crate::deployment::users::Users;
use crate::failure::Failure;
use crate::files;
use crate::root::{OFFICES, TRUST_FILE};
use hufu_kernel::{OsRng, Root, hex};
use hufu_offices::ceremony::transcript::{self, Known};
use hufu_offices::ceremony::{Done, Outcome, PublicNames, parties};
use hufu_wire::api::ceremony::Transcript;
use hufu_wire::api::order::{Kind, SignedOrder};
use hufu_wire::api::trust::Trust;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::task::JoinSet;

/// The order that is made where none is given.
const ORDER: &str = "order.json";
/// No transcript is longer.
const LONGEST: u64 = 16 << 20;
/// When one office has failed, the others get this long to say what they know of it.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Whoever is waited for longer is named.
const SOON: Duration = Duration::from_secs(2);

/// Which ceremony.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The folder that `hufu init` made.
    pub folder: PathBuf,
    /// The order; without it a founding is ordered, with the operators' keys that lie in the folder.
    pub order: Option<PathBuf>,
    /// A user an office.
    pub users: Option<Users>,
    /// How long a round may take.
    pub patience: Duration,
    /// Variables of this process's environment that every other may have too.
    pub env: Vec<String>,
}

/// Runs a ceremony at every office of a folder.
///
/// # Errors
/// [`Failure`] with each office's own words.
pub async fn run(options: &Options) -> Result<Ended, Failure> {
    let plan_path = options.folder.join(plan::FILE);
    let plan = Plan::read(&plan_path)?;
    if options.users.is_some() {
        Users::allowed()?;
        up::reachable_by_offices(&options.folder)?;
    }
    let path = match &options.order {
        Some(path) => path.clone(),
        None => founding(options, &plan_path, &plan).await?,
    };
    let order = order::read(&path)?;
    print!("{}{}", order::text(&order), operator::text(&plan, Some(&order)));
    let parties = parties(&order).map_err(Failure::other)?;
    let before = trust_of(&options.folder)?;
    let mut running = JoinSet::new();
    for office in &parties {
        running.spawn(one(child(options, office, &path)?, office, *office == parties[0]));
    }
    gathered(running, parties.len()).await?;
    settled(options, &plan, &order, before.as_ref())
}

/// Identities, roster and a signed order.
async fn founding(options: &Options, plan_path: &Path, plan: &Plan) -> Result<PathBuf, Failure> {
    let folder = &options.folder;
    if folder.join(TRUST_FILE).exists() {
        let told = "is there already: this root was founded. Another ceremony needs an order (hufu keys order new)";
        return Err(Failure::unreadable(&folder.join(TRUST_FILE), told));
    }
    let signers = Signer::all(&folder.join(OPERATORS), plan)?;
    if signers.len() < 2 {
        let told = "an order needs two operators' signatures, and their keys are not in this folder: make it with \
                    `hufu keys order new found`, have both sign it, and give it with --order";
        return Err(Failure::other(told));
    }
    let mut identities = Vec::new();
    for office in OFFICES {
        let mut command = hufu(options, office)?;
        command.args(["keys", "identity", "--config"]).arg(folder.join(office).join(office_file::FILE));
        let mut command = tokio::process::Command::from(command);
        let Output { status, stderr, .. } = command.kill_on_drop(true).output().await.map_err(Failure::other)?;
        if !status.success() {
            return Err(Failure::other(format!("{office}: {}", sentence(&stderr))));
        }
        identities.push(identity::read_in(folder, office, plan)?.identity);
    }
    let roster = identity::roster(plan, None, identities)?;
    identity::write_roster(&folder.join(ROSTER), &roster)?;
    println!("roster       {}", roster.fingerprint());
    let wish = Wish { kind: Kind::Found, subject: None, effective: None, valid: "1h".to_owned(), gives_up: None };
    let now = order::clock(plan_path, plan)?.now();
    let mut order = order::make(&wish, plan, &roster, now, &OsRng)?;
    for signer in &signers {
        order::sign(&mut order, plan, signer)?;
    }
    let path = folder.join(ORDER);
    order::write(&path, &order)?;
    Ok(path)
}

/// This program, as the office's user.
fn hufu(options: &Options, office: &'static str) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe().map_err(Failure::other)?);
    environment::only(&mut command, options.env.iter().map(String::as_str));
    command.stdin(Stdio::null());
    if let Some(users) = options.users {
        users.hand_over(&options.folder.join(office), up::place(office))?;
        let user = users.number(up::place(office));
        command.uid(user).gid(user);
    }
    Ok(command)
}

fn child(options: &Options, office: &'static str, order: &Path) -> Result<Command, Failure> {
    let mut command = hufu(options, office)?;
    command.args(["keys", "ceremony", "--json", "--config"]);
    command.arg(options.folder.join(office).join(office_file::FILE)).arg("--order").arg(order);
    command.args(["--patience", &format!("{}s", options.patience.as_secs())]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// What came of one office's process.
type Heard = (&'static str, Result<(), String>);

/// Runs one office's process; it goes with its task.
async fn one(command: Command, office: &'static str, speaks: bool) -> Heard {
    (office, ran(command, speaks).await)
}

async fn ran(command: Command, speaks: bool) -> Result<(), String> {
    let mut command = tokio::process::Command::from(command);
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| error.to_string())?;
    if let Some(out) = child.stdout.take() {
        heard(BufReader::new(out).lines(), speaks).await;
    }
    let mut told = Vec::new();
    if let Some(mut err) = child.stderr.take() {
        let _ = err.read_to_end(&mut told).await;
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(sentence(&told)) }
}

/// What an office's process tells while it runs. One voice is enough: all are in the same round, or wait for each other; and a round in
/// which everybody is heard soon says nothing of whom it waited for.
async fn heard(mut lines: Lines<BufReader<ChildStdout>>, speaks: bool) {
    let mut waiting = None;
    loop {
        let line = match tokio::time::timeout(SOON, lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(_) => return,
            Err(_) => {
                if let Some(missing) = waiting.take() {
                    println!("  waiting for {missing}");
                }
                continue;
            }
        };
        match serde_json::from_str(&line) {
            Ok(Told::Round(round)) if speaks => {
                waiting = None;
                println!("round {round}");
            }
            Ok(Told::Waiting(missing)) if speaks => {
                waiting = (!missing.is_empty()).then(|| printable(&missing.join(", ")));
            }
            _ => {}
        }
    }
}

/// Whatever an office's process says is no command to this terminal.
fn printable(told: &str) -> String {
    told.chars().map(|one| if one.is_control() { ' ' } else { one }).collect()
}

/// The program's last sentence, without its name.
fn sentence(told: &[u8]) -> String {
    let told = String::from_utf8_lossy(told);
    let last = told.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it ended without a word");
    printable(last.strip_prefix("hufu: ").unwrap_or(last))
}

/// Waits for all; when one fails the others are not waited for long.
async fn gathered(mut running: JoinSet<Heard>, count: usize) -> Result<(), Failure> {
    let (mut ended, mut failed) = (Vec::new(), Vec::new());
    let mut until = None;
    while ended.len() + failed.len() < count {
        let next = match until {
            None => running.join_next().await,
            Some(at) => tokio::time::timeout_at(at, running.join_next()).await.unwrap_or(None),
        };
        match next {
            Some(Ok((office, Ok(())))) => ended.push(office),
            Some(Ok((office, Err(told)))) => {
                failed.push(format!("{office}: {told}"));
                until = until.or_else(|| Some(tokio::time::Instant::now() + LAST_WORDS));
            }
            Some(Err(error)) => failed.push(error.to_string()),
            None => break,
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    failed.sort();
    if !ended.is_empty() {
        ended.sort_unstable();
        failed.push(format!(
            "it ended well at {}: the others end it with `hufu keys finish --config OFFICE/office.toml TRANSCRIPT`",
            ended.join(", ")
        ));
    }
    Err(Failure::other(failed.join("\n")))
}

/// The public half of the trust root as it was, where there is one.
fn trust_of(folder: &Path) -> Result<Option<Trust>, Failure> {
    let path = folder.join(TRUST_FILE);
    let Some(bytes) = files::read(&path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Failure::unreadable(&path, error))
}

/// What a ceremony of all offices of a folder arrived at, computed anew from what they keep of it: transcripts that verify against the
/// folder's own plan, roster and trust root of before, all to the same outcome. An office's user owns its folder, so nothing in it is
/// believed that does not verify, and no link in it is followed.
///
/// # Errors
/// [`Failure`] with the office whose transcript is missing, of another order, another one than the first's, or does not verify.
pub fn arrived(folder: &Path, plan: &Plan, order: &SignedOrder, before: Option<&Trust>) -> Result<Done, Failure> {
    let name = kept::name(order);
    let names = PublicNames {
        issuer: plan.issuer.clone(),
        wallet_origin: plan.wallet_origin.clone(),
        rp_id: plan.rp_id.clone(),
    };
    let (roster, operators) = (identity::read_roster(&folder.join(ROSTER), plan)?, operator::of(plan));
    let known = Known { roster: &roster, operators: &operators, names: &names, trust: before };
    let hash = |of: &Transcript| transcript::hash(of).map_err(Failure::other);
    let mut first: Option<(&str, Done)> = None;
    for office in parties(order).map_err(Failure::other)? {
        let path = folder.join(office).join(KEPT).join(&name);
        let bytes = files::read_below(&folder.join(office), &[KEPT, &name], LONGEST)?;
        let kept: Transcript = serde_json::from_slice(&bytes).map_err(|error| Failure::unreadable(&path, error))?;
        if kept.order.order != order.order {
            return Err(Failure::unreadable(&path, "is the transcript of another order"));
        }
        let verified = transcript::verify(&kept, &known);
        let outcome =
            verified.map_err(|error| Failure::unreadable(&path, format!("{office} keeps this, and {error}")))?;
        match &first {
            Some((other, done)) if done.outcome != outcome || hash(&done.transcript)? != hash(&kept)? => {
                let told = format!("{office} and {other} have different transcripts: neither can be relied on");
                return Err(Failure::unreadable(&path, told));
            }
            Some((other, done)) => {
                for liar in transcript::signed_twice(&done.transcript, &kept) {
                    eprintln!(
                        "{liar} signed its last word differently for {other} and {office}: what came of it is the same"
                    );
                }
            }
            None => first = Some((office, Done { outcome, transcript: kept })),
        }
    }
    first.map(|(_, done)| done).ok_or_else(|| Failure::other("nobody took part"))
}

/// The public half goes where every office of the folder reads it.
fn settled(options: &Options, plan: &Plan, order: &SignedOrder, before: Option<&Trust>) -> Result<Ended, Failure> {
    let done = arrived(&options.folder, plan, order, before)?;
    let shared = options.folder.join(TRUST_FILE);
    let trust = match &done.outcome {
        Outcome::Trust(trust) => {
            files::replace(&shared, &kept::json(trust.as_ref())?, files::PUBLIC)?;
            Some(shared)
        }
        Outcome::Generation { .. } => None,
    };
    print!("\n{}\n", transcript::text(&done.transcript).map_err(Failure::other)?);
    if order.order.kind == Kind::Found {
        let sandbox = if order.order.root == Root::Sandbox { "sandbox " } else { "" };
        println!("Next: hufu {sandbox}up {}\n", options.folder.display());
    }
    let hash = transcript::hash(&done.transcript).map_err(Failure::other)?;
    let of = parties(order).map_err(Failure::other)?[0];
    Ok(Ended {
        outcome: take_part::arrived_at(&done),
        transcript: options.folder.join(of).join(KEPT).join(kept::name(order)),
        hash: hex(hash.as_slice()),
        trust,
        to_be_copied: false,
        late: false,
    })
}
