//! `hufu backup` of offices at work, `hufu restore`, and everybody who would put something else back.

use super::*;
use crate::apart;
use age::x25519::Identity;
use std::io::Read as _;

/// Every office that keeps something.
const KEEPERS: [&str; 7] = ["node-1", "node-2", "node-3", "registrar", "uniqueness", "post", "registry"];

fn opened(file: &Path, operator: &Operator) -> Vec<u8> {
    let key = std::fs::read_to_string(&operator.identity).unwrap();
    let identity: Identity = key.lines().last().unwrap().parse().unwrap();
    let file = std::fs::File::open(file).unwrap();
    let mut inside = Vec::new();
    age::Decryptor::new(file)
        .unwrap()
        .decrypt(std::iter::once(&identity as &dyn age::Identity))
        .unwrap()
        .read_to_end(&mut inside)
        .unwrap();
    inside
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_office_at_work_is_backed_up_and_comes_back_as_it_was() {
    let deployment = Deployment::start(&[]).await;
    let world = deployment.seen.world();
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, &deployment.seen.persons()[70], PASSWORD).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let operator = Operator::new(place.path(), "backup.key");
    let mut taken = Vec::new();
    for office in KEEPERS {
        let file = place.path().join(format!("{office}.age"));
        let report = operator.backup(&config(&deployment, office), &file);
        assert_eq!(report["office"], office);
        assert!(report["rows"]["rows"].as_object().unwrap().values().any(|rows| rows.as_u64() > Some(0)), "{report}");
        // The office is running.
        let told = refused(&operator.try_restore(&config(&deployment, office), &file, &["--replace"]));
        assert!(told.contains("already running"), "{told}");
        // A file that is there is not touched.
        let before = std::fs::read(&file).unwrap();
        assert!(refused(&operator.try_backup(&config(&deployment, office), &file)).contains("is there already"));
        assert_eq!(std::fs::read(&file).unwrap(), before);
        taken.push((file, report));
    }
    for office in ["front", "tagger-1"] {
        let told = refused(&operator.try_backup(&config(&deployment, office), &place.path().join("none")));
        assert!(told.contains("nothing but its keys") && !place.path().join("none").exists(), "{told}");
    }
    no_plaintext(&taken[0].0, &operator);
    let folder = deployment.folder.clone();
    let _place = deployment.keep_place();
    for (office, (file, report)) in KEEPERS.into_iter().zip(&taken) {
        let config = folder.join(office).join("office.toml");
        let told = refused(&operator.try_restore(&config, file, &[]));
        assert!(told.contains("--replace"), "{told}");
        // Into nothing, and over what is there.
        let kept = folder.join(office).join(if office == "registry" { "admitted" } else { "store.sqlite" });
        if kept.is_dir() {
            std::fs::remove_dir_all(&kept).unwrap()
        } else {
            std::fs::remove_file(&kept).unwrap()
        }
        for more in [&[][..], &["--replace"]] {
            let back = operator.restore(&config, file, more);
            assert_eq!((&back["rows"], &back["taken"]), (&report["rows"], &report["taken"]));
            assert_eq!(back["compares_first"], office.starts_with("node"));
        }
        let again = operator.backup(&config, &file.with_extension("again"));
        if !office.starts_with("node") {
            assert_eq!(again["rows"], report["rows"], "{office}: line by line, with its versions");
        }
        assert_eq!(again["rows"]["rows"], report["rows"]["rows"], "{office}");
    }
}

/// What stands in a backup cannot be read in it; the control reads it with the key.
fn no_plaintext(file: &Path, operator: &Operator) {
    let (closed, inside) = (std::fs::read(file).unwrap(), opened(file, operator));
    let text = String::from_utf8(inside.clone()).unwrap();
    let row = text.lines().find(|line| line.contains("\"line\":\"row\"")).unwrap();
    let row: Value = serde_json::from_str(row).unwrap();
    let needles = ["hufu_backup", "node-1", "root_id", "\"line\"", "version", "holder", row["id"].as_str().unwrap()];
    for needle in needles {
        assert!(holds(&inside, needle.as_bytes()), "the control: {needle:?} is inside");
        assert!(!holds(&closed, needle.as_bytes()), "{needle:?} can be read");
    }
    // Not packed under another encoding either: what is inside is found nowhere by any twelve of its bytes.
    let pieces: std::collections::BTreeSet<&[u8]> = inside.windows(12).collect();
    assert!(!closed.windows(12).any(|window| pieces.contains(window)));
    let planted = [&closed[..], &inside[40..60]].concat();
    assert!(planted.windows(12).any(|window| pieces.contains(window)), "the control");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_offices_own_whole_backup_goes_back_and_a_refusal_changes_nothing() {
    let deployment = Deployment::start(&[]).await;
    let world = deployment.seen.world();
    world.enrol(&mut world.robot().unwrap(), &deployment.seen.persons()[71], PASSWORD).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let operator = Operator::new(place.path(), "backup.key");
    let (own, other) = (place.path().join("own.age"), place.path().join("other.age"));
    let noted = operator.backup(&config(&deployment, "node-1"), &own)["rows"]["digest"].as_str().unwrap().to_owned();
    operator.backup(&config(&deployment, "node-2"), &other);
    // What anybody can write who has the public half: whole, of this office, and another one.
    world.enrol(&mut world.robot().unwrap(), &deployment.seen.persons()[72], PASSWORD).await.unwrap();
    let forged = place.path().join("forged.age");
    operator.backup(&config(&deployment, "node-1"), &forged);
    let folder = deployment.folder.clone();
    let _place = deployment.keep_place();
    let config = folder.join("node-1").join("office.toml");
    let store = folder.join("node-1").join("store.sqlite");
    let before = std::fs::read(&store).unwrap();
    let unchanged = || {
        assert_eq!(std::fs::read(&store).unwrap(), before);
        assert!(!folder.join("node-1").join("store.sqlite.restoring").exists());
    };

    let told = refused(&operator.try_restore(&config, &other, &["--replace"]));
    assert!(told.contains("a backup of node-2, not of node-1"), "{told}");
    unchanged();
    let (elsewhere, root) = (apart::place(), "another trust root");
    let foreign = apart::init(elsewhere.path()).join("node-1").join("office.toml");
    let told = refused(&operator.try_restore(&foreign, &own, &["--replace"]));
    assert!(told.contains(root), "{told}");

    let told = refused(&operator.try_restore(&config, &forged, &["--replace", "--digest", &noted]));
    assert!(told.contains("not the backup of this digest"), "{told}");
    unchanged();
    let stranger = Operator::new(place.path(), "another.key");
    let told = refused(&stranger.try_restore(&config, &own, &["--replace"]));
    assert!(told.contains("made for another key"), "{told}");
    unchanged();
    // The public half opens nothing.
    let public = place.path().join("public");
    std::fs::write(&public, &operator.public).unwrap();
    let holder = Operator { identity: public.clone(), public: operator.public.clone() };
    refused(&holder.try_restore(&config, &own, &["--replace"]));

    let whole = std::fs::read(&own).unwrap();
    let bad = place.path().join("bad.age");
    let step = (whole.len() / 25).max(1);
    for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        for bytes in [&whole[..at], &changed] {
            std::fs::write(&bad, bytes).unwrap();
            refused(&operator.try_restore(&config, &bad, &["--replace"]));
        }
    }
    std::fs::write(&bad, [&whole[..], b"more"].concat()).unwrap();
    refused(&operator.try_restore(&config, &bad, &["--replace"]));
    unchanged();
    // The control: the file itself goes back, by a recipient in a file as well.
    operator.restore(&config, &own, &["--replace", "--digest", &noted]);
    let named = Operator { public: public.to_str().unwrap().to_owned(), identity: operator.identity.clone() };
    named.backup(&config, &place.path().join("named.age"));
}

#[test]
fn a_private_key_given_as_a_recipient_is_refused_and_not_shown() {
    let place = apart::place();
    let folder = apart::init(place.path());
    let operator = Operator::new(place.path(), "backup.key");
    let secret = std::fs::read_to_string(&operator.identity).unwrap().lines().last().unwrap().to_owned();
    let mixed = Operator { public: secret.clone(), identity: operator.identity };
    let told = refused(&mixed.try_backup(&folder.join("post").join("office.toml"), &place.path().join("none")));
    assert!(told.contains("new-identity") && !told.contains(&secret[16..]), "{told}");
}

/// A restore whose place takes no file beyond some tens of KiB: it is refused the rest, or is ended in the middle of it.
fn restore_without_room(operator: &Operator, config: &Path, file: &Path, is_ended: bool) -> Output {
    let shell = format!(
        "{} ulimit -c 0; ulimit -f 64; exec \"$0\" restore --config \"$1\" --identity \"$2\" \"$3\" --replace",
        if is_ended { "" } else { "trap '' XFSZ;" }
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &shell, env!("CARGO_BIN_EXE_hufu")]).args([config, &operator.identity, file]);
    command.output().unwrap()
}

/// All that an office's folder holds, but the lock.
fn all_of(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(all_of(&path));
        } else if !path.ends_with("lock") {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_without_room_leaves_the_folder_as_it_was_and_one_that_is_ended_is_told() {
    let deployment = Deployment::start(&[]).await;
    let world = deployment.seen.world();
    world.enrol(&mut world.robot().unwrap(), &deployment.seen.persons()[77], PASSWORD).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let operator = Operator::new(place.path(), "backup.key");
    // A certificate that does not fit, after all those that do.
    let long = deployment.folder.join("registry").join("admitted").join("zz.jwt");
    std::fs::write(&long, "x".repeat(100_000)).unwrap();
    for office in ["registry", "post"] {
        operator.backup(&config(&deployment, office), &place.path().join(office));
    }
    std::fs::remove_file(&long).unwrap();
    let folder = deployment.folder.clone();
    let _place = deployment.keep_place();
    for (office, beside) in [("registry", "admitted.restoring"), ("post", "store.sqlite.restoring")] {
        let (own, file) = (folder.join(office), place.path().join(office));
        let config = own.join("office.toml");
        let before = all_of(&own);
        refused(&restore_without_room(&operator, &config, &file, false));
        assert_eq!(all_of(&own), before, "{office}: as it was");
        assert!(!own.join(beside).exists());
        let ended = restore_without_room(&operator, &config, &file, true);
        assert!(ended.status.code().is_none(), "ended by a signal: {ended:?}");
        assert!(own.join(beside).exists(), "{office}");
        let kept = |all: std::collections::BTreeMap<PathBuf, Vec<u8>>| -> Vec<_> {
            all.into_iter().filter(|(path, _)| !path.to_str().unwrap().contains(".restoring")).collect()
        };
        assert_eq!(kept(all_of(&own)), kept(before), "{office}: what was there is still whole");
        let told = refused(&hufu(&["sandbox", "serve", office, "--config", config.to_str().unwrap()]));
        assert!(told.contains("a restore was interrupted: repeat"), "{told}");
        // The control: with room it goes back, and nothing is beside it.
        operator.restore(&config, &file, &["--replace"]);
        assert!(!own.join(beside).exists());
    }
    assert_eq!(std::fs::read(&long).unwrap().len(), 100_000);
}

/// What is left of a restore that was killed.
#[tokio::test(flavor = "multi_thread")]
async fn an_office_does_not_start_beside_a_restore_that_was_interrupted() {
    let place = apart::place();
    let folder = apart::init(place.path());
    let left = folder.join("post").join("store.sqlite.restoring");
    std::fs::write(&left, b"half").unwrap();
    let config = folder.join("post").join("office.toml");
    let told = refused(&hufu(&["sandbox", "serve", "post", "--config", config.to_str().unwrap()]));
    assert!(told.contains("a restore was interrupted"), "{told}");
}
