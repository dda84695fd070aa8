//! Offices that have no second copy: what a restore brings back, and what it says of the rest.

use super::*;
use crate::linking::platform;
use hufu_kernel::{Pair, Refusal};
use hufu_sandbox::robot::{Visit, wish};
use hufu_wallet::WalletError;
use std::process::Command;

/// What the program says to a person, not to a program.
fn words(operator: &Operator, config: &Path, from: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
    command
        .arg("restore")
        .arg("--config")
        .arg(config)
        .arg("--identity")
        .arg(&operator.identity)
        .arg(from)
        .arg("--replace");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn single_offices_come_back_as_of_the_backup_and_say_what_is_not_in_it() {
    let deployment = Deployment::start(&[]).await;
    let (world, persons, folder) = (deployment.seen.world(), deployment.seen.persons(), deployment.folder.clone());
    let shop = platform(&folder.join("world"), "yunzhou-hall", &world);
    let mut before = world.robot().unwrap();
    world.enrol(&mut before, &persons[77], PASSWORD).await.unwrap();
    let operator = Operator::new(folder.parent().unwrap(), "backup.key");
    let file = |office: &str| folder.parent().unwrap().join(format!("{office}.age"));
    let offices = ["registrar", "uniqueness", "post", "registry"];
    for office in offices {
        operator.backup(&config(&deployment, office), &file(office));
    }
    let withdraw = ["platform", "withdraw", "blue-jar", "--config"];
    let withdrawn = hufu(&[&withdraw[..], &[config(&deployment, "registry").to_str().unwrap()]].concat());
    assert!(withdrawn.status.success(), "{withdrawn:?}");
    let admitted = folder.join("registry").join("admitted").join("blue-jar.jwt");
    assert!(!admitted.exists());
    // This one's tag is confirmed, and nobody but uniqueness knows it.
    let mut after = world.robot().unwrap();
    world.enrol(&mut after, &persons[78], PASSWORD).await.unwrap();

    for (office, lost) in offices.into_iter().zip([
        "Enrolments that were under way begin again",
        "could be enrolled a second time",
        "get no notice",
        "platforms withdrawn since then are admitted",
    ]) {
        deployment.take_down(office).await;
        let told = words(&operator, &config_of_one_away(&deployment, office), &file(office));
        assert!(told.contains(lost), "{office}: {told}");
        deployment.restore(office);
        until(&folder, office, is_ready).await;
    }
    assert!(admitted.exists(), "as of the backup, and said so");
    until(&folder, "registrar", is_ready).await;
    // Who was enrolled before is recognised; nodes know both, whatever uniqueness forgot.
    let again = world.enrol(&mut world.robot().unwrap(), &persons[77], PASSWORD).await;
    assert!(matches!(again, Err(WalletError::Refused(Refusal::AlreadyEnrolled))), "{again:?}");
    for robot in [&mut before, &mut after] {
        for pair in Pair::ALL {
            let visit = Visit { platform: &shop, wish: wish(&[], None), pair, password: Some(PASSWORD) };
            visit.run(&world, robot).await.unwrap();
        }
    }
    deployment.stop().await;
}
