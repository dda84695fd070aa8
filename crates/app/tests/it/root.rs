//! A sandbox on disk: what stays, what is refused, what is never deleted.

use hufu_app::data_dir::{self, MARKER};
use hufu_app::doctor::{self, Outcome};
use hufu_app::failure::Failure;
use hufu_app::root::key_file::{KEYS, MACHINE_KEY};
use hufu_app::root::{NODES, OFFICES, STORE, SandboxRoot, open, open_or_found};
use hufu_app::{files, offices};
use hufu_kernel::{Key, Lang, Locator, NodeIndex, Octets, OsRng, Rng, Sealed, SystemClock};
use hufu_offices::{node, post};
use hufu_store::{Batch, Expect, IdempotencyKey};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn sandbox(path: &Path) -> SandboxRoot {
    open_or_found(path, &SystemClock, &OsRng).unwrap()
}

fn rng() -> Arc<dyn Rng> {
    Arc::new(OsRng)
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
    // A store just closed may still have its newest pages in its log.
    let beside = |path: &Path, end: &str| PathBuf::from(format!("{}{end}", path.display()));
    if from.ends_with(STORE) {
        let _ = std::fs::remove_file(beside(to, "-shm"));
        let _ = std::fs::remove_file(beside(to, "-wal"));
        if beside(from, "-wal").exists() {
            std::fs::copy(beside(from, "-wal"), beside(to, "-wal")).unwrap();
        }
    }
}

#[tokio::test]
async fn keys_and_rows_are_there_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo");
    let contact = |sealed| post::Contact {
        contact: Locator(Octets([1; 32])),
        loc_u: Locator(Octets([2; 32])),
        phone: sealed,
        lang: Lang::En,
        expires: None,
    };
    let (trust, sealed) = {
        let root = sandbox(&path);
        let own = root.office("post");
        let sealed = own.keys(&rng()).unwrap().seal("contacts", b"aad", b"phone").unwrap();
        let store = own.store(&post::schema(own.trust_root())).unwrap();
        let mut batch = Batch::new();
        batch.put(&contact(sealed.clone()), Expect::Absent);
        store.commit(batch, IdempotencyKey::random(&OsRng, hufu_kernel::Timestamp(0))).await.unwrap();
        (root.trust().clone(), sealed)
    };
    let root = sandbox(&path);
    assert_eq!(*root.trust(), trust);
    let own = root.office("post");
    let store = own.store(&post::schema(own.trust_root())).unwrap();
    let found = store.get::<post::Contact>(&Key::own(&[1; 32])).await.unwrap().unwrap();
    assert_eq!(found.record.phone, sealed);
    let opened = own.keys(&rng()).unwrap().open("contacts", b"aad", &Sealed(sealed.0)).unwrap();
    assert_eq!(opened.as_slice(), b"phone");
}

#[test]
fn an_office_opens_neither_the_store_nor_the_keys_of_another_nor_of_another_root() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (sandbox(&folder.path().join("one")), sandbox(&folder.path().join("other")));
    for root in [&one, &other] {
        for office in hufu_app::root::STORES {
            offices::check_store(root, office).unwrap();
        }
    }
    let place = |root: &SandboxRoot, office: &str, file: &str| root.path().join(office).join(file);
    let foreign_store = |from: &Path| {
        copy(from, &place(&one, "node-2", STORE));
        assert!(matches!(offices::check_store(&one, "node-2"), Err(Failure::Store { .. })), "{}", from.display());
    };
    foreign_store(&place(&one, "node-1", STORE));
    foreign_store(&place(&one, "post", STORE));
    foreign_store(&place(&other, "node-2", STORE));
    let foreign_keys = |from: &SandboxRoot, office: &str| {
        for file in [KEYS, MACHINE_KEY] {
            copy(&place(from, office, file), &place(&one, "tagger-2", file));
        }
        assert!(one.office("tagger-2").keys(&rng()).is_err(), "{office} of {}", from.path().display());
    };
    foreign_keys(&one, "tagger-1");
    foreign_keys(&one, "node-2");
    foreign_keys(&other, "tagger-2");
}

#[test]
fn a_key_file_that_was_renamed_to_another_office_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let root = sandbox(&folder.path().join("demo"));
    for file in [KEYS, MACHINE_KEY] {
        copy(&root.path().join("node-1").join(file), &root.path().join("node-2").join(file));
    }
    let keys = root.path().join("node-2").join(KEYS);
    let text = std::fs::read_to_string(&keys).unwrap().replace("node-1", "node-2");
    std::fs::write(&keys, text).unwrap();
    let message = root.office("node-2").keys(&rng()).err().unwrap().to_string();
    assert!(message.contains("does not open"), "{message}");
}

#[test]
fn each_node_holds_two_of_the_three_shared_keys_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let root = sandbox(&folder.path().join("demo"));
    for index in NodeIndex::ALL {
        let keys = root.office(NODES[index.slot()]).keys(&rng()).unwrap();
        for kind in ["k", "kp", "peer"] {
            for subset in hufu_kernel::Subset::ALL {
                let held = keys.hmac(&format!("{kind}-{}", subset.name()), b"x").is_ok();
                assert_eq!(held, subset.held_by(index), "{kind}-{} at {index}", subset.name());
            }
        }
        assert!(keys.share("tag-share").is_err(), "no office holds both a tagger share and a K_A");
    }
}

#[test]
fn secrets_are_the_owners_alone_and_are_refused_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo");
    let root = sandbox(&path);
    assert_eq!(files::mode(&path).unwrap(), 0o700);
    for office in OFFICES {
        let own = root.office(office);
        assert_eq!(files::mode(own.path()).unwrap(), 0o700, "{office}");
        for file in [KEYS, MACHINE_KEY] {
            assert_eq!(files::mode(&own.path().join(file)).unwrap(), 0o600, "{office}/{file}");
        }
    }
    offices::check_store(&root, "node-1").unwrap();
    assert_eq!(files::mode(&path.join("node-1").join(STORE)).unwrap(), 0o600);
    let exposed = path.join("node-3").join(MACHINE_KEY);
    std::fs::set_permissions(&exposed, std::fs::Permissions::from_mode(0o640)).unwrap();
    let message = root.office("node-3").keys(&rng()).err().unwrap().to_string();
    assert!(message.contains("chmod 600"), "{message}");
}

#[test]
fn no_key_stands_in_the_clear_in_a_key_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = sandbox(&folder.path().join("demo"));
    for index in NodeIndex::ALL {
        let own = root.office(NODES[index.slot()]);
        let share = own.keys(&rng()).unwrap().share("frost-share").unwrap();
        let text = std::fs::read_to_string(own.path().join(KEYS)).unwrap();
        assert!(!text.contains(&hufu_kernel::b64(&share)) && !text.contains("frost-share"));
        assert!(text.contains("\"dealer\": true") && text.contains("\"root\": \"sandbox\""), "{text}");
    }
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo");
    let _held = sandbox(&path);
    assert!(matches!(open_or_found(&path, &SystemClock, &OsRng), Err(Failure::InUse(_))));
    assert!(matches!(data_dir::reset(&path), Err(Failure::InUse(_))));
    assert!(open(&path).is_ok(), "looking is allowed");
}

#[test]
fn reset_deletes_a_sandbox_and_nothing_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo");
    let outside = folder.path().join("thesis.txt");
    std::fs::write(&outside, "years of work").unwrap();
    assert!(matches!(data_dir::reset(folder.path()), Err(Failure::Foreign { .. })));
    assert!(matches!(open_or_found(folder.path(), &SystemClock, &OsRng), Err(Failure::Foreign { .. })));
    assert!(matches!(data_dir::reset(&path), Err(Failure::NoSandbox(_))));
    drop(sandbox(&path));
    // A link in the sandbox leads out of it; what it leads to stays.
    std::os::unix::fs::symlink(folder.path(), path.join("link")).unwrap();
    data_dir::reset(&path).unwrap();
    assert!(!path.exists() && outside.exists());
}

#[test]
fn a_founding_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder is to be: the last step of founding cannot succeed.
    let path = folder.path().join("demo");
    std::fs::write(&path, "a file").unwrap();
    assert!(open_or_found(&path, &SystemClock, &OsRng).is_err());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["demo"]);
}

#[test]
fn the_doctor_finds_a_sound_sandbox_sound_and_says_what_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo");
    drop(sandbox(&path));
    let before = std::fs::read_dir(path.join("node-1")).unwrap().count();
    let report = doctor::examine(&path);
    assert!(report.ok, "{}", report.text());
    assert!(report.text().contains("one operator runs all offices: the separation claim does not hold here"));
    assert_eq!(std::fs::read_dir(path.join("node-1")).unwrap().count(), before, "looking makes no store");
    let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(json["ok"], true);
    let store = json["checks"].as_array().unwrap().iter().find(|check| check["what"] == "store of node-1").unwrap();
    assert_eq!(
        (store["outcome"].as_str(), store["found"].as_str()),
        (Some("unseen"), Some("not looked at: it is not made yet"))
    );
}

#[test]
fn the_doctor_names_what_is_wrong_and_the_command_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo");
    let root = sandbox(&path);
    offices::check_store(&root, "node-1").unwrap();
    drop(root);
    copy(&path.join("node-1").join(STORE), &path.join("node-3").join(STORE));
    let keys = path.join("registrar").join(KEYS);
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    copy(&path.join("front").join(MACHINE_KEY), &path.join("post").join(MACHINE_KEY));
    let trust = path.join("trust.json");
    let mut document: serde_json::Value = serde_json::from_slice(&std::fs::read(&trust).unwrap()).unwrap();
    document["offices"]["uniqueness"] = document["offices"]["registry"].clone();
    std::fs::write(&trust, document.to_string()).unwrap();
    let rows = path.join("uniqueness").join("store.sqlite-wal");
    std::fs::write(&rows, "").unwrap();
    std::fs::set_permissions(&rows, std::fs::Permissions::from_mode(0o644)).unwrap();
    let report = doctor::examine(&path);
    assert!(!report.ok);
    let bad: Vec<_> = report.checks.iter().filter(|check| check.outcome == Outcome::Bad).collect();
    let found =
        |what: &str| bad.iter().find(|check| check.what == what).unwrap_or_else(|| panic!("{what}: {}", report.text()));
    for what in ["permissions", "keys of registrar", "keys of post", "keys of uniqueness", "store of node-3"] {
        assert!(found(what).mend.is_some(), "{what}");
    }
    assert_eq!(found("permissions").mend.as_deref(), Some(format!("chmod 600 {}", keys.display()).as_str()));
    assert!(report.text().contains(&format!("chmod 600 {}", rows.display())), "{}", report.text());
    let nothing = doctor::examine(&folder.path().join("nothing"));
    assert!(!nothing.ok && nothing.text().contains("hufu demo"));
}

#[test]
fn the_marker_alone_makes_no_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(MARKER), "").unwrap();
    assert!(matches!(open_or_found(folder.path(), &SystemClock, &OsRng), Err(Failure::Unreadable { .. })));
}

#[test]
fn node_stores_carry_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let root = sandbox(&folder.path().join("demo"));
    let own = root.office("node-1");
    own.store(&node::schema(own.trust_root(), NodeIndex::ALL[0])).unwrap();
    let refused = own.store(&node::schema(own.trust_root(), NodeIndex::ALL[1]));
    assert!(matches!(refused, Err(Failure::Store { .. })));
}
