//! Disks that fill, turn read-only, do not sync, or rot under offices at work: what is told, to whom, and that it passes.

use super::*;
use crate::linking::platform;
use hufu_kernel::Blame;
use std::process::Command;

/// A deployment whose disks fail on command.
struct BadDisks {
    deployment: Deployment,
    fault: PathBuf,
}

impl BadDisks {
    async fn start() -> Self {
        let place = crate::apart::place();
        let (shim, fault) = (place.path().join("bad_disk.so"), place.path().join("fault"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/preload/bad_disk.c");
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source).status();
        assert!(compiled.is_ok_and(|done| done.success()), "the shim needs: apt-get install gcc libc6-dev");
        let folder = crate::apart::init(place.path());
        let live = folder.canonicalize().unwrap();
        let settings =
            [("LD_PRELOAD", shim.as_path()), ("HUFU_DISK_LIVE", live.as_path()), ("HUFU_DISK_FAULT", fault.as_path())];
        let deployment = Deployment::start_under(place, folder, &settings).await;
        Self { deployment, fault }
    }

    fn fails(&self, how: &str, office: &str) {
        // At once, whoever reads it meanwhile.
        let whole = self.fault.with_extension("new");
        std::fs::write(&whole, format!("{how} /{office}/")).unwrap();
        std::fs::rename(whole, &self.fault).unwrap();
    }

    fn heals(&self) {
        std::fs::remove_file(&self.fault).unwrap();
    }
}

/// What a person is told: that the service is at fault, by a code that stays, and that it passes.
fn is_clear(refusal: Refusal) {
    let text = refusal.text();
    assert!(text.blame == Blame::Service && text.status == 503 && refusal != Refusal::Internal, "{}", refusal.code());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_fails_says_so_and_the_other_two_go_on_until_it_is_well_again() {
    let disks = BadDisks::start().await;
    let (world, folder) = (disks.deployment.seen.world(), disks.deployment.folder.clone());
    let shop = platform(&folder.join("world"), "yunzhou-hall", &world);
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, &disks.deployment.seen.persons()[80], PASSWORD).await.unwrap();
    let known = sub(&world, &shop, &mut robot, pair(1, 3)).await.unwrap();
    for (how, said) in [("full", "full"), ("readonly", "read-only"), ("fsync", "the disk fails")] {
        disks.fails(how, "node-3");
        // Two of three are enough for a change; the third cannot write it.
        robot.replace_number().await.unwrap();
        let told = until(&folder, "node-3", says("does not write")).await;
        assert!(told["ready"] == false && told["reasons"].to_string().contains(said), "{how}: {told}");
        is_clear(refusal(sub(&world, &shop, &mut robot, pair(1, 3)).await));
        assert_eq!(any_sub(&world, &shop, &mut robot, pair(1, 3)).await.unwrap(), known, "another pair serves");
        // A second one is not lost either.
        robot.replace_number().await.unwrap();
        disks.heals();
        until(&folder, "node-3", is_ready).await;
        assert_eq!(
            sub(&world, &shop, &mut robot, pair(1, 3)).await.unwrap(),
            known,
            "{how}: what it missed it fetched"
        );
    }
    let rows = [1, 2, 3].map(|node| NodeIndex::try_from(node).unwrap());
    let mut seen = Vec::new();
    for node in rows {
        let row = robot.row(node).await.unwrap();
        seen.push((row.version, row.head, row.number));
    }
    assert!(seen.iter().all(|row| *row == seen[0]), "{seen:?}");
    disks.deployment.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_office_cannot_write_nobody_is_enrolled_by_half_and_everybody_once_it_can() {
    let disks = BadDisks::start().await;
    let (world, folder) = (disks.deployment.seen.world(), disks.deployment.folder.clone());
    let persons = disks.deployment.seen.persons();
    let shop = platform(&folder.join("world"), "yunzhou-hall", &world);
    let mut before = world.robot().unwrap();
    world.enrol(&mut before, &persons[81], PASSWORD).await.unwrap();
    for (at, office) in (82..).zip(["registrar", "uniqueness", "post"]) {
        disks.fails("full", office);
        let mut robot = world.robot().unwrap();
        let answer = world.enrol(&mut robot, &persons[at], PASSWORD).await;
        is_clear(refusal(answer));
        until(&folder, office, says("does not write")).await;
        sub(&world, &shop, &mut before, pair(1, 2)).await.expect("sign-ins need none of them");
        disks.heals();
        until(&folder, office, is_ready).await;
        let mut again = Err(WalletError::State("not tried"));
        for _ in 0..40 {
            // Whoever was refused goes on where they were; before the registrar knew them, they were nowhere.
            again = if office == "registrar" {
                robot = world.robot().unwrap();
                world.enrol(&mut robot, &persons[at], PASSWORD).await
            } else {
                world.finish_enrolment(&mut robot, &persons[at], PASSWORD).await
            };
            if again.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        again.unwrap_or_else(|error| panic!("{office}: {error}"));
        let one = sub(&world, &shop, &mut robot, pair(1, 2)).await.unwrap();
        assert_eq!(sub(&world, &shop, &mut robot, pair(2, 3)).await.unwrap(), one);
        let second = world.enrol(&mut world.robot().unwrap(), &persons[at], PASSWORD).await;
        assert_eq!(refusal(second), Refusal::AlreadyEnrolled);
    }
    disks.deployment.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_does_not_start_on_a_rotten_file_says_how_to_mend_it_and_that_mends_it() {
    let deployment = Deployment::start(&[]).await;
    let (world, folder) = (deployment.seen.world(), deployment.folder.clone());
    let shop = platform(&folder.join("world"), "yunzhou-hall", &world);
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, &deployment.seen.persons()[85], PASSWORD).await.unwrap();
    let known = sub(&world, &shop, &mut robot, pair(1, 3)).await.unwrap();
    let operator = Operator::new(folder.parent().unwrap(), "backup.key");
    let file = folder.parent().unwrap().join("node-3.age");
    operator.backup(&config(&deployment, "node-3"), &file);
    let store = folder.join("node-3").join("store.sqlite");
    deployment.take_down("node-3").await;
    // What stands in the log hides what is rotten in the file.
    let log: i64 = rusqlite::Connection::open(&store)
        .and_then(|file| file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(1)))
        .unwrap();
    assert_eq!(log, 0, "all of the log is in the file");
    let mut bytes = std::fs::read(&store).unwrap();
    bytes[4096..5 * 4096].fill(0xff);
    std::fs::write(&store, bytes).unwrap();
    let away = config_of_one_away(&deployment, "node-3");
    let told = refused(&hufu(&["sandbox", "serve", "node-3", "--config", away.to_str().unwrap()]));
    assert!(told.contains("the store is corrupt") && told.contains("hufu restore … --replace"), "{told}");
    operator.restore(&away, &file, &["--replace"]);
    deployment.restore("node-3");
    until(&folder, "node-3", is_ready).await;
    assert_eq!(sub(&world, &shop, &mut robot, pair(1, 3)).await.unwrap(), known);
    deployment.stop().await;
}
