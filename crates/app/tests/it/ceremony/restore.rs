//! What is lost comes back from the other holders, keys are changed while people sign in, and nobody's pseudonym moves.

use super::late::{missed, transcript};
use super::{Planned, done, refused};
use crate::apart::{Deployment, hufu};
use crate::linking::platform;
use hufu_app::deployment::clock::FileClock;
use hufu_app::root::key_file::{self, Owner};
use hufu_kernel::{KeyKeeper as _, KeyStore as _, NodeIndex, OsRng, Pair, Rng};
use hufu_sandbox::robot::{Robot, Visit, World, wish};
use hufu_wallet::{SoftwareDevice, State, WalletError};
use hufu_wire::api::trust::Trust;
use rustix::process::{Signal, kill_process};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PASSWORD: &str = "27182845";

fn trust(folder: &Path) -> Trust {
    serde_json::from_slice(&std::fs::read(folder.join("trust.json")).unwrap()).unwrap()
}

/// What this pair signs for the person.
async fn sub(world: &World, folder: &Path, robot: &mut Robot, pair: Pair) -> Result<String, String> {
    let told = |error: WalletError| error.to_string();
    let shop = platform(&folder.join("world"), "yunzhou-hall", world);
    let visit = Visit { platform: &shop, wish: wish(&[], None), pair, password: Some(PASSWORD) };
    let at = visit.arrive(world, robot).await?;
    let asked = robot.open(&at.tx).await.map_err(told)?;
    let answers = asked.transaction.answers.clone();
    Ok(robot.sign_in_with(&asked, &answers, Some(PASSWORD), pair).await.map_err(told)?.payload.sub)
}

/// A person's device, kept over restarts of everything.
struct Kept {
    passkey: String,
    holder: String,
    state: State,
}

impl Kept {
    fn device(&self, world: &World) -> SoftwareDevice {
        let (rp_id, origin) = (&world.trust.rp_id, &world.trust.wallet_origin);
        SoftwareDevice::load(&self.passkey, &self.holder, rp_id, origin).unwrap()
    }

    async fn enrolled(world: &World, person: &hufu_sandbox::persons::Person) -> (Self, Robot) {
        let device = SoftwareDevice::generate(&world.trust.rp_id, &world.trust.wallet_origin, world.rng.as_ref());
        let device = device.unwrap();
        let (passkey, holder) = device.save();
        let (passkey, holder) = (passkey.to_string(), holder.to_string());
        let mut robot = world.robot_with(device, State::default()).unwrap();
        world.enrol(&mut robot, person, PASSWORD).await.unwrap();
        (Self { passkey, holder, state: robot.state.clone() }, robot)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_folder_is_gone_is_replaced_and_everybody_is_who_they_were() {
    let planned = Planned::founded(true);
    let before = trust(&planned.folder);
    let Planned { folder, place } = planned;
    let deployment = Deployment::start_in(place, folder.clone(), &[]).await;
    let world = deployment.seen.world();
    let (kept, mut robot) = Kept::enrolled(&world, &deployment.seen.persons()[80]).await;
    let known = subs(&world, &folder, &mut robot).await;
    assert_eq!(known.len(), 1);
    let place = deployment.keep_place();

    // The machine is gone; its configuration is known to its operator.
    let planned = Planned { folder: folder.clone(), place };
    let config = std::fs::read_to_string(folder.join("node-2/office.toml")).unwrap();
    std::fs::remove_dir_all(folder.join("node-2")).unwrap();
    hufu_app::files::private_folder(&folder.join("node-2")).unwrap();
    std::fs::write(folder.join("node-2/office.toml"), config).unwrap();
    done(&["keys", "identity", "--config", &planned.config("node-2")]);
    let (plan, roster) = (planned.path("deployment.toml"), planned.path("roster.json"));
    let identity = planned.path("node-2/identity.json");
    done(&["keys", "roster", "--plan", &plan, "--from", &roster, "-o", &roster, &identity]);
    // An order to replace another office does not bring this one in.
    let wrong = planned.order(&["replace", "--subject", "node-3"], 2);
    let told = refused(&["keys", "ceremony", "--all", folder.to_str().unwrap(), "--order", &wrong]);
    assert!(told.contains("other keys for node-2 than before") && told.contains("replaces node-3"), "{told}");
    let order = planned.order(&["replace", "--subject", "node-2"], 2);
    planned.ceremony(&["--order", &order]);
    let after = trust(&folder);
    assert_ne!(after.nodes[1], before.nodes[1]);
    assert_eq!((&after.nodes[0], &after.nodes[2]), (&before.nodes[0], &before.nodes[2]));
    assert_eq!((after.group_key, &after.group_shares), (before.group_key, &before.group_shares));

    let Planned { folder, place } = planned;
    // What the killed one said of itself is not the next one's.
    let _ = std::fs::remove_file(place.path().join("ready.json"));
    let deployment = Deployment::start_in(place, folder.clone(), &[]).await;
    let world = deployment.seen.world();
    let mut robot = world.robot_with(kept.device(&world), kept.state.clone()).unwrap();
    assert_eq!(subs(&world, &folder, &mut robot).await, known);
    deployment.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_replaced_while_the_others_serve() {
    let Planned { folder, place } = Planned::founded(true);
    let deployment = Deployment::start_in(place, folder.clone(), &[]).await;
    let world = deployment.seen.world();
    let (kept, mut robot) = Kept::enrolled(&world, &deployment.seen.persons()[82]).await;
    let known = subs(&world, &folder, &mut robot).await;
    deployment.take_down("node-2").await;
    let own = folder.join("node-2");
    let config = std::fs::read_to_string(own.join("office.away")).unwrap();
    std::fs::remove_dir_all(&own).unwrap();
    hufu_app::files::private_folder(&own).unwrap();
    // Not under its own name yet: nobody starts it before it has keys.
    let new = own.join("new.toml");
    std::fs::write(&new, config).unwrap();
    let new = new.to_str().unwrap();
    done(&["keys", "identity", "--config", new]);
    let planned = Planned { folder: folder.clone(), place: tempfile::tempdir().unwrap() };
    let (plan, roster) = (planned.path("deployment.toml"), planned.path("roster.json"));
    let identity = planned.path("node-2/identity.json");
    done(&["keys", "roster", "--plan", &plan, "--from", &roster, "-o", &roster, &identity]);
    let others: Vec<&'static str> = hufu_app::root::OFFICES.into_iter().filter(|office| *office != "node-2").collect();
    let order = planned.order(&["replace", "--subject", "node-2"], 2);
    // Not restarted since the roster changed, an office would turn the new node away: it says so at once, and begins nothing.
    let told =
        refused(&["keys", "ceremony", "--config", &planned.config("front"), "--order", &order, "--patience", "5s"]);
    assert!(told.contains("serves front") && told.contains("another roster"), "{told}");
    for office in &others {
        restarted(&deployment, office).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut running = planned.take_part(&order, "1m", &others);
    running.push(("node-2", super::part(new, &order, "1m")));
    let [one, _, three] = NodeIndex::ALL;
    let served = sub(&world, &folder, &mut robot, Pair::new(one, three).unwrap()).await;
    assert!(known.contains(&served.unwrap()), "people sign in meanwhile");
    for (office, child) in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{office}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for office in &others {
        restarted(&deployment, office).await;
    }
    std::fs::rename(new, own.join("office.toml")).unwrap();
    let world = deployment.seen.world();
    let mut robot = world.robot_with(kept.device(&world), kept.state.clone()).unwrap();
    assert_eq!(subs(&world, &folder, &mut robot).await, known);
    deployment.stop().await;
}

#[test]
fn a_tagger_that_lost_its_share_has_the_same_one_again() {
    let planned = Planned::founded(true);
    let trust = trust(&planned.folder);
    let owner = Owner { office: "tagger-2".to_owned(), root: trust.root, root_id: trust.root_id };
    let folder = planned.folder.join("tagger-2");
    let rng = Arc::new(OsRng) as Arc<dyn Rng>;
    let keeper = key_file::keeper(&folder, &owner, &rng).unwrap();
    let share = keeper.share("tag-share").unwrap();
    keeper.destroy("tag-share").unwrap();
    assert_eq!(planned.status("tagger-2")["missing"][0], "tag-share");
    let order = planned.order(&["repair", "--subject", "tagger-2"], 2);
    let told = planned.ceremony(&["--order", &order]);
    assert!(told.contains("round 5"), "{told}");
    let keeper = key_file::keeper(&folder, &owner, &rng).unwrap();
    assert_eq!(keeper.share("tag-share").unwrap(), share);
    assert_eq!(self::trust(&planned.folder), trust);
}

/// Kills a node and waits until it is there again, with whatever keys it has now.
async fn restarted(deployment: &Deployment, node: &str) {
    let before = deployment.process(node).unwrap();
    kill_process(before, Signal::KILL).unwrap();
    for _ in 0..300 {
        if deployment.process(node).is_some_and(|now| now != before) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{node} did not come back");
}

/// The pseudonym under every pair, asked until the nodes are ready for it.
async fn subs(world: &World, folder: &Path, robot: &mut Robot) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for pair in Pair::ALL {
        let mut last = None;
        for _ in 0..200 {
            match sub(world, folder, robot, pair).await {
                Ok(sub) => {
                    found.insert(sub);
                    last = None;
                    break;
                }
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert!(last.is_none(), "{pair:?}: {last:?}");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_changed_beside_a_service_that_goes_on_and_the_old_ones_go_when_no_row_needs_them() {
    let planned = Planned::founded(true);
    let Planned { folder, place } = planned;
    let deployment = Deployment::start_in(place, folder.clone(), &[]).await;
    let mut world = deployment.seen.world();
    world.clock = Arc::new(FileClock::new(&folder.join("clock/clock.json")).unwrap());
    let (_, mut robot) = Kept::enrolled(&world, &deployment.seen.persons()[81]).await;
    let known = subs(&world, &folder, &mut robot).await;
    assert_eq!(known.len(), 1);

    let planned = Planned { folder: folder.clone(), place: tempfile::tempdir().unwrap() };
    let order = planned.order(&["rotate", "--valid", "30m", "--effective", "+1h"], 2);
    planned.ceremony(&["--order", &order]);
    for (node, subsets) in [("node-1", ["12", "13"]), ("node-2", ["12", "23"]), ("node-3", ["13", "23"])] {
        let (count, pending) = planned.names(node);
        assert!(pending.is_empty());
        for subset in subsets {
            assert!(count.contains(&format!("k-{subset}")) && count.contains(&format!("k-{subset}.1")), "{count:?}");
        }
        assert!(count.contains(&"z.1".to_owned()) && count.contains(&"since.1".to_owned()), "{count:?}");
    }
    // A second one does not begin before the first is over.
    let again = planned.order(&["rotate", "--effective", "+24h"], 2);
    let told = refused(&["keys", "ceremony", "--all", folder.to_str().unwrap(), "--order", &again]);
    assert!(told.contains("last rotation is not over"), "{told}");
    for node in ["node-1", "node-2", "node-3"] {
        restarted(&deployment, node).await;
    }
    assert_eq!(subs(&world, &folder, &mut robot).await, known);

    let retire =
        |order: &str, node: &str| hufu(&["keys", "retire", "--config", &planned.config(node), "--order", order]);
    let early = retire(&planned.order(&["retire"], 2), "node-1");
    let told = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(!early.status.success() && told.contains("still needs the old keys"), "{told}");
    done(&["sandbox", "clock", "advance", "2h", "--data", folder.to_str().unwrap()]);
    assert_eq!(subs(&world, &folder, &mut robot).await, known);

    let one = planned.order(&["retire"], 1);
    let told = String::from_utf8_lossy(&retire(&one, "node-1").stderr).into_owned();
    assert!(told.contains("two operators"), "{told}");
    let order = planned.order(&["retire"], 2);
    for node in ["node-1", "node-2", "node-3"] {
        let mut told = String::new();
        for _ in 0..100 {
            let output = retire(&order, node);
            told = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() {
                told.clear();
                break;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert!(told.is_empty(), "{node}: {told}");
        let (count, _) = planned.names(node);
        let old = count.iter().filter(|name| name.starts_with("z.") || (name.starts_with("k-") && !name.contains('.')));
        assert_eq!(old.count(), 0, "{node}: {count:?}");
    }
    for node in ["node-1", "node-2", "node-3"] {
        restarted(&deployment, node).await;
    }
    assert_eq!(subs(&world, &folder, &mut robot).await, known);
    deployment.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_two_nodes_missed_is_ended_after_its_time_and_nobody_is_somebody_else() {
    let Planned { folder, place } = Planned::founded(true);
    let deployment = Deployment::start_in(place, folder.clone(), &[]).await;
    let mut world = deployment.seen.world();
    world.clock = Arc::new(FileClock::new(&folder.join("clock/clock.json")).unwrap());
    let (_, mut robot) = Kept::enrolled(&world, &deployment.seen.persons()[83]).await;
    let known = subs(&world, &folder, &mut robot).await;
    let planned = Planned { folder: folder.clone(), place: tempfile::tempdir().unwrap() };
    let order = planned.order(&["rotate", "--valid", "30m", "--effective", "+1h"], 2);
    planned.ceremony(&["--order", &order]);
    for node in ["node-2", "node-3"] {
        missed(&planned, node, &order);
    }
    for node in ["node-1", "node-2", "node-3"] {
        restarted(&deployment, node).await;
    }
    done(&["sandbox", "clock", "advance", "2h", "--data", folder.to_str().unwrap()]);
    let theirs = transcript(&planned, "node-1");
    for node in ["node-2", "node-3"] {
        let mut told = String::new();
        // The others have just been started again.
        for _ in 0..40 {
            told = refused(&["keys", "finish", "--config", &planned.config(node), "--abandon"]);
            if !told.contains("cannot be asked") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        assert!(told.contains("only copies") && told.contains("has keys of generation 0"), "{told}");
    }
    for node in ["node-2", "node-3"] {
        let told = done(&["keys", "finish", "--config", &planned.config(node), theirs.to_str().unwrap()]);
        assert!(told.contains("restart this node now"), "{told}");
        restarted(&deployment, node).await;
        assert!(planned.names(node).1.is_empty() && planned.names(node).0.contains(&"k-23.1".to_owned()));
    }
    assert_eq!(subs(&world, &folder, &mut robot).await, known);
    deployment.stop().await;
}
