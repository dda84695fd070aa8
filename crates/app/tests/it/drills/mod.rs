//! What an operator practises before the day: a copy is taken and put back, a disk fills, a page rots, a clock jumps, a peer is slow.
//! All of it over offices that run as the real binary runs them, a process each.

mod backup;
mod clocks;
mod disks;
mod engines;
mod restored;
mod settling;
mod slow;
mod without_peers;

use crate::apart::{Deployment, hufu};
use hufu_kernel::{NodeIndex, Pair, Refusal};
use hufu_platform::client::RelyingParty;
use hufu_sandbox::robot::{Robot, Visit, World, wish};
use hufu_wallet::WalletError;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

const PASSWORD: &str = "27182845";

/// An operator's key for backups.
struct Operator {
    identity: PathBuf,
    public: String,
}

impl Operator {
    fn new(folder: &Path, name: &str) -> Self {
        let identity = folder.join(name);
        let made = hufu(&["backup", "new-identity", identity.to_str().unwrap()]);
        assert!(made.status.success(), "{made:?}");
        Self { identity, public: String::from_utf8(made.stdout).unwrap().trim().to_owned() }
    }

    fn try_backup(&self, config: &Path, out: &Path) -> Output {
        let (config, out) = (config.to_str().unwrap(), out.to_str().unwrap());
        hufu(&["backup", "--config", config, "--to", &self.public, "-o", out, "--json"])
    }

    /// Its report.
    fn backup(&self, config: &Path, out: &Path) -> Value {
        report(&self.try_backup(config, out))
    }

    fn try_restore(&self, config: &Path, from: &Path, more: &[&str]) -> Output {
        let (config, from, identity) =
            (config.to_str().unwrap(), from.to_str().unwrap(), self.identity.to_str().unwrap());
        hufu(&[&["restore", "--config", config, "--identity", identity, from, "--json"], more].concat())
    }

    fn restore(&self, config: &Path, from: &Path, more: &[&str]) -> Value {
        report(&self.try_restore(config, from, more))
    }
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one sentence with which it refused.
fn refused(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert!(!output.status.success(), "it was not refused: {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(told.lines().count(), 1, "one sentence: {told}");
    told
}

fn config(deployment: &Deployment, office: &str) -> PathBuf {
    deployment.folder.join(office).join("office.toml")
}

/// The configuration of an office that is down.
fn config_of_one_away(deployment: &Deployment, office: &str) -> PathBuf {
    config(deployment, office).with_extension("away")
}

/// What the office says of itself to its operators; nothing while it does not answer.
async fn readyz(folder: &Path, office: &str) -> Option<Value> {
    let path = folder.join(office).join("office.toml");
    let text =
        std::fs::read_to_string(path.with_extension("away")).or_else(|_| std::fs::read_to_string(&path)).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let url = format!("http://{}/readyz", table["metrics"]["listen"].as_str().unwrap());
    let answer = reqwest::Client::new().get(url).timeout(Duration::from_secs(5)).send().await.ok()?;
    answer.json().await.ok()
}

/// Waits until the office's own word on itself is as wanted.
async fn until(folder: &Path, office: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = None;
    for _ in 0..600 {
        last = readyz(folder, office).await;
        if let Some(told) = last.as_ref().filter(|told| wanted(told)) {
            return told.clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{office} says {last:?}");
}

fn is_ready(told: &Value) -> bool {
    told["ready"] == true
}

fn says(sentence: &'static str) -> impl Fn(&Value) -> bool {
    move |told| told["reasons"].to_string().contains(sentence)
}

fn pair(a: u8, b: u8) -> Pair {
    Pair::new(NodeIndex::try_from(a).unwrap(), NodeIndex::try_from(b).unwrap()).unwrap()
}

/// As a wallet does it that tries another pair where one fails.
async fn any_sub(world: &World, shop: &RelyingParty, robot: &mut Robot, first: Pair) -> Result<String, WalletError> {
    let visit = Visit { platform: shop, wish: wish(&[], None), pair: first, password: Some(PASSWORD) };
    let at = visit.arrive(world, robot).await.unwrap();
    let asked = robot.open(&at.tx).await?;
    let answers = asked.transaction.answers.clone();
    Ok(robot.sign_in(&asked, &answers, Some(PASSWORD), first).await?.payload.sub)
}

/// The pseudonym this pair signs, or why it does not.
async fn sub(world: &World, shop: &RelyingParty, robot: &mut Robot, pair: Pair) -> Result<String, WalletError> {
    let visit = Visit { platform: shop, wish: wish(&[], None), pair, password: Some(PASSWORD) };
    let at = visit.arrive(world, robot).await.unwrap();
    let asked = robot.open(&at.tx).await?;
    let answers = asked.transaction.answers.clone();
    Ok(robot.sign_in_with(&asked, &answers, Some(PASSWORD), pair).await?.payload.sub)
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, WalletError>) -> Refusal {
    let Err(WalletError::Refused(refusal)) = answer else { panic!("{answer:?}") };
    refusal
}
