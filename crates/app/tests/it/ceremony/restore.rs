//! What is lost comes back from the other holders, keys are changed while people sign in, and nobody's pseudonym moves.

use super::{Planned, done, refused};
use crate::apart::Deployment;
use crate::linking::platform;
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
async fn sub(world: &World, folder: &Path, robot: &mut Robot, pair: Pair) -> Result<String, WalletError> {
    let shop = platform(&folder.join("world"), "yunzhou-hall", world);
    let visit = Visit { platform: &shop, wish: wish(&[], None), pair, password: Some(PASSWORD) };
    let at = visit.arrive(world, robot).await.unwrap();
    let asked = robot.open(&at.tx).await?;
    let answers = asked.transaction.answers.clone();
    Ok(robot.sign_in_with(&asked, &answers, Some(PASSWORD), pair).await?.payload.sub)
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
    let mut known = BTreeSet::new();
    for pair in Pair::ALL {
        known.insert(sub(&world, &folder, &mut robot, pair).await.unwrap());
    }
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
    assert!(told.contains("node-3: ") && told.contains("has keys already"), "{told}");
    let order = planned.order(&["replace", "--subject", "node-2"], 2);
    planned.ceremony(&["--order", &order]);
    let after = trust(&folder);
    assert_ne!(after.nodes[1], before.nodes[1]);
    assert_eq!((&after.nodes[0], &after.nodes[2]), (&before.nodes[0], &before.nodes[2]));
    assert_eq!((after.group_key, &after.group_shares), (before.group_key, &before.group_shares));

    let Planned { folder, place } = planned;
    let deployment = Deployment::start_in(place, folder.clone(), &[]).await;
    let world = deployment.seen.world();
    let mut robot = world.robot_with(kept.device(&world), kept.state.clone()).unwrap();
    for pair in Pair::ALL {
        let mut last = None;
        for _ in 0..300 {
            last = Some(sub(&world, &folder, &mut robot, pair).await);
            if last.as_ref().is_some_and(Result::is_ok) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let last = last.unwrap().unwrap();
        assert!(known.contains(&last), "{pair:?}: another pseudonym");
    }
    deployment.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tagger_that_lost_its_share_has_the_same_one_again() {
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

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_made_beside_a_service_that_goes_on() {
    let planned = Planned::founded(true);
    let Planned { folder, place } = planned;
    let deployment = Deployment::start_in(place, folder.clone(), &[]).await;
    let world = deployment.seen.world();
    let (_, mut robot) = Kept::enrolled(&world, &deployment.seen.persons()[81]).await;
    let [one, two, _] = NodeIndex::ALL;
    let pair = Pair::new(one, two).unwrap();
    let known = sub(&world, &folder, &mut robot, pair).await.unwrap();

    let planned = Planned { folder: folder.clone(), place: tempfile::tempdir().unwrap() };
    let order = planned.order(&["rotate", "--effective", "+24h"], 2);
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
    assert_eq!(sub(&world, &folder, &mut robot, pair).await.unwrap(), known);
    // With the new keys beside the old ones the nodes start as before; their time has not come.
    let node = deployment.process("node-1").unwrap();
    kill_process(node, Signal::KILL).unwrap();
    for _ in 0..150 {
        let back = deployment.process("node-1").is_some_and(|now| now != node);
        if back && sub(&world, &folder, &mut robot, pair).await.is_ok_and(|again| again == known) {
            return deployment.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("node 1 did not come back");
}
