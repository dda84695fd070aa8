//! Restarts without a gap: people go on signing in while every office is restarted, one after the other.

use super::Deployment;
use crate::linking::platform;
use hufu_kernel::Pair;
use hufu_sandbox::robot::{Robot, Visit, World, wish};
use rustix::process::{Signal, kill_process};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const PASSWORD: &str = "27182845";
const PEOPLE: usize = 4;
/// Front and three nodes remember something between two steps of a sign-in: each of their restarts ends at most what each person has
/// under way.
const REMEMBERING: usize = 4;

/// What became of the sign-ins.
#[derive(Default)]
struct Tally {
    done: AtomicUsize,
    /// Whose sign-in ended with the office that had it, and who began anew as the page says.
    anew: AtomicUsize,
    over: AtomicBool,
}

/// One sign-in as a browser and the wallet's page do it: if one node is away, with another pair.
async fn sign_in(world: &World, visit: &Visit<'_>, robot: &mut Robot) -> Result<(), String> {
    let at = visit.arrive(world, robot).await?;
    let asked = robot.open(&at.tx).await.map_err(|error| error.to_string())?;
    let answers = asked.transaction.answers.clone();
    let signed = robot.sign_in(&asked, &answers, None, visit.pair).await.map_err(|error| error.to_string())?;
    let back = robot.complete(&asked, &signed).await.map_err(|error| error.to_string())?;
    visit.redeem(world, &at.pending, &back.redirect_to).await.map(drop)
}

/// Signs in until told to stop. Whoever's sign-in was under way at an office that ended begins anew, once; then it must succeed.
async fn go_on(world: World, data: PathBuf, mut robot: Robot, tally: Arc<Tally>) {
    let shop = platform(&data, "yunzhou-hall", &world);
    let mut turn = 0;
    while !tally.over.load(Ordering::Relaxed) {
        let visit = Visit { platform: &shop, wish: wish(&[], None), pair: Pair::ALL[turn % 3], password: None };
        turn += 1;
        if let Err(first) = sign_in(&world, &visit, &mut robot).await {
            tally.anew.fetch_add(1, Ordering::Relaxed);
            let again = sign_in(&world, &visit, &mut robot).await;
            assert!(again.is_ok(), "{again:?}, and before it {first}");
        }
        tally.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// The offices' processes, world excepted.
fn offices(deployment: &Deployment) -> Vec<i32> {
    let mut all: Vec<i32> =
        deployment.processes().into_iter().filter(|(_, told)| told.contains(" serve ")).map(|(pid, _)| pid).collect();
    all.sort_unstable();
    all
}

async fn ready(folder: &Path) -> bool {
    let report = hufu_app::deployment::doctor::folder(folder).await;
    report.checks.iter().all(|check| check.what != "listeners" || check.found.contains("ready")) && report.ok
}

#[tokio::test(flavor = "multi_thread")]
async fn nobodys_sign_in_fails_while_every_office_is_restarted_one_after_the_other() {
    let place = super::place();
    let folder = super::init(place.path());
    super::unlimited(&folder);
    let deployment = Deployment::start_in(place, folder, &[]).await;
    let (world, data) = (deployment.seen.world(), deployment.folder.join("world"));
    let tally = Arc::new(Tally::default());
    let mut people = tokio::task::JoinSet::new();
    for person in &deployment.seen.persons()[90..90 + PEOPLE] {
        let mut robot = world.robot().unwrap();
        world.enrol(&mut robot, person, PASSWORD).await.unwrap();
        people.spawn(go_on(world.clone(), data.clone(), robot, Arc::clone(&tally)));
    }
    let before = offices(&deployment);
    assert_eq!(before.len(), 11);
    kill_process(deployment.supervisor(), Signal::HUP).unwrap();
    let began = Instant::now();
    loop {
        let now = offices(&deployment);
        if now.len() == 11 && now.iter().all(|pid| !before.contains(pid)) && ready(&deployment.folder).await {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "not restarted: {now:?}, before {before:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let restarted = tally.done.load(Ordering::Relaxed);
    // And on with the new ones.
    while tally.done.load(Ordering::Relaxed) < restarted + 20 {
        assert!(began.elapsed() < Duration::from_secs(180), "sign-ins came to a halt");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tally.over.store(true, Ordering::Relaxed);
    while let Some(ended) = people.join_next().await {
        ended.unwrap();
    }
    let (done, anew) = (tally.done.load(Ordering::Relaxed), tally.anew.load(Ordering::Relaxed));
    println!("{done} sign-ins, {anew} begun anew, all offices restarted in {:?}", began.elapsed());
    assert!(
        restarted > 0 && anew <= PEOPLE * REMEMBERING,
        "{anew} of {done} had to begin anew: more than were under way"
    );
    deployment.stop().await;
}
