//! A ceremony of offices that are all on this machine: one process an office, as if each were elsewhere. Nothing is passed between them
//! but the order's path.

use super::identity::{self, FILE as IDENTITY};
use super::operator::Signer;
use super::order::{self, Wish};
use super::take_part::{Ended, Told};
use crate::deployment::office_file;
use crate::deployment::operators::FOLDER as OPERATORS;
use crate::deployment::plan::{self, Plan};
use crate::deployment::up;
use crate::deployment::users::Users;
use crate::deployment::{ROSTER, SUPERVISED};
use crate::failure::Failure;
use crate::files;
use crate::root::{OFFICES, TRUST_FILE};
use hufu_kernel::{OsRng, Root};
use hufu_offices::ceremony::parties;
use hufu_wire::api::order::{Kind, SignedOrder};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::task::JoinSet;

/// The order that is made where none is given.
const ORDER: &str = "order.json";
/// When one office has failed, the others get this long to say what they know of it.
const LAST_WORDS: Duration = Duration::from_millis(500);

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
        None => founding(options, &plan_path, &plan)?,
    };
    let order = order::read(&path)?;
    print!("{}", order::text(&order));
    let parties = parties(&order).map_err(Failure::other)?;
    let mut running = JoinSet::new();
    for office in &parties {
        running.spawn(one(child(options, office, &path)?, office, *office == parties[0]));
    }
    let ended = gathered(running, parties.len()).await?;
    settled(options, &order, ended)
}

/// Identities, roster and a signed order.
fn founding(options: &Options, plan_path: &Path, plan: &Plan) -> Result<PathBuf, Failure> {
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
    for office in OFFICES {
        let mut command = hufu(options, office)?;
        command.args(["keys", "identity", "--config"]).arg(folder.join(office).join(office_file::FILE));
        let Output { status, stderr, .. } = command.stdout(Stdio::null()).output().map_err(Failure::other)?;
        if !status.success() {
            return Err(Failure::other(format!("{office}: {}", sentence(&stderr))));
        }
    }
    let offered: Vec<PathBuf> = OFFICES.iter().map(|office| folder.join(office).join(IDENTITY)).collect();
    let roster = identity::roster(plan, None, &offered)?;
    identity::write_roster(&folder.join(ROSTER), &roster)?;
    println!("roster       {}", roster.fingerprint());
    let wish = Wish { kind: Kind::Found, subject: None, effective: None, valid: "1h".to_owned() };
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
    command.stdin(Stdio::null()).env(SUPERVISED, "1");
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
type Outcome = (&'static str, Result<Ended, String>);

/// Runs one office's process; it goes with its task.
async fn one(command: Command, office: &'static str, speaks: bool) -> Outcome {
    (office, ran(command, speaks).await)
}

async fn ran(command: Command, speaks: bool) -> Result<Ended, String> {
    let mut command = tokio::process::Command::from(command);
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| error.to_string())?;
    let mut ended = None;
    if let Some(out) = child.stdout.take() {
        let mut lines = BufReader::new(out).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match serde_json::from_str(&line) {
                Ok(Told::Ended(told)) => ended = Some(told),
                // One voice is enough: all are in the same round, or wait for each other.
                Ok(Told::Round(round)) if speaks => println!("round {round}"),
                _ => {}
            }
        }
    }
    let mut told = Vec::new();
    if let Some(mut err) = child.stderr.take() {
        let _ = err.read_to_end(&mut told).await;
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    match ended.filter(|_| status.success()) {
        Some(ended) => Ok(ended),
        None => Err(sentence(&told)),
    }
}

/// The program's last sentence, without its name.
fn sentence(told: &[u8]) -> String {
    let told = String::from_utf8_lossy(told);
    let last = told.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it ended without a word");
    last.strip_prefix("hufu: ").unwrap_or(last).to_owned()
}

/// Waits for all; when one fails the others are not waited for long.
async fn gathered(mut running: JoinSet<Outcome>, count: usize) -> Result<BTreeMap<&'static str, Ended>, Failure> {
    let (mut ended, mut failed) = (BTreeMap::new(), Vec::new());
    let mut until = None;
    while ended.len() + failed.len() < count {
        let next = match until {
            None => running.join_next().await,
            Some(at) => tokio::time::timeout_at(at, running.join_next()).await.unwrap_or(None),
        };
        match next {
            Some(Ok((office, Ok(one)))) => {
                ended.insert(office, one);
            }
            Some(Ok((office, Err(told)))) => {
                failed.push(format!("{office}: {told}"));
                until = until.or_else(|| Some(tokio::time::Instant::now() + LAST_WORDS));
            }
            Some(Err(error)) => failed.push(error.to_string()),
            None => break,
        }
    }
    if failed.is_empty() {
        return Ok(ended);
    }
    failed.sort();
    if !ended.is_empty() {
        let names: Vec<&str> = ended.keys().copied().collect();
        failed.push(format!(
            "it ended well at {}: the others end it with `hufu keys finish --config OFFICE/office.toml TRANSCRIPT`",
            names.join(", ")
        ));
    }
    Err(Failure::other(failed.join("\n")))
}

/// All must have arrived at the same; the public half goes where every office of the folder reads it.
fn settled(options: &Options, order: &SignedOrder, ended: BTreeMap<&'static str, Ended>) -> Result<Ended, Failure> {
    let mut all = ended.into_values();
    let first = all.next().ok_or_else(|| Failure::other("nobody took part"))?;
    if all.any(|other| other.hash != first.hash) {
        return Err(Failure::other("the offices have different transcripts; none of them can be relied on"));
    }
    let shared = options.folder.join(TRUST_FILE);
    if let (true, Some(own)) = (first.to_be_copied, &first.trust) {
        let bytes = files::read(own)?.ok_or_else(|| Failure::unreadable(own, "missing"))?;
        files::replace(&shared, &bytes, files::PUBLIC)?;
    }
    if order.order.kind == Kind::Found {
        let sandbox = if order.order.root == Root::Sandbox { "sandbox " } else { "" };
        println!("\nNext: hufu {sandbox}up {}\n", options.folder.display());
    }
    Ok(Ended { to_be_copied: false, ..first })
}
