use super::*;
use crate::deployment::drafts::{Draft, DraftOperator};
use hufu_kernel::{NodeIndex, OsRng, SystemClock};
use hufu_offices::node::{self, mark_restored, unmark};
use hufu_store::{SqliteOptions, Store};
use std::collections::BTreeMap;
use std::io::{Cursor, SeekFrom};
use tempfile::TempDir;

/// A file where somebody else can write: from the second reading on it is another one.
struct Share {
    now: Cursor<Vec<u8>>,
    then: Option<Vec<u8>>,
}

impl Read for Share {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.now.read(buffer)
    }
}

impl Seek for Share {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        if let Some(then) = self.then.take() {
            self.now = Cursor::new(then);
        }
        self.now.seek(to)
    }
}

fn target(office: &str) -> (TempDir, Target) {
    let place = tempfile::tempdir().unwrap();
    let offices = OFFICES.into_iter().map(str::to_owned).collect();
    let operator = DraftOperator { key: Octets([1; 32]), offices, host: None, listen: None };
    let operators = BTreeMap::from([("operator-1".to_owned(), operator)]);
    let draft = Draft { root: Root::Sandbox, root_id: Octets([7; 16]), host: None, port: 8420, operators };
    std::fs::create_dir(place.path().join(office)).unwrap();
    std::fs::write(place.path().join("deployment.toml"), draft.plan_text()).unwrap();
    let config = place.path().join(office).join("office.toml");
    std::fs::write(&config, draft.office_text(office)).unwrap();
    let target = Target::read(&config).unwrap();
    (place, target)
}

/// What the office keeps, and nothing else.
fn kept(target: &Target) -> String {
    target.place.export(&mut Vec::new(), &mut |_| {}).unwrap().digest
}

/// The digest is that of one backup, and what is read while rows are put back is another whole backup under the same key.
fn only_the_noted_one(office: &str, change: impl Fn(&Target, bool)) {
    let (place, target) = target(office);
    let path = |name: &str| place.path().join(name);
    let public = new_identity(&path("operator.key")).unwrap();
    let take = |name: &str| {
        let digest = take(&target, &public, &path(name), &SystemClock).unwrap().rows.digest;
        (std::fs::read(path(name)).unwrap(), digest)
    };
    change(&target, true);
    let (noted, digest) = take("noted.age");
    change(&target, false);
    let (forged, _) = take("forged.age");
    change(&target, true);
    let before = kept(&target);
    let from = path("noted.age");
    let asked = Asked { from: &from, identity: &path("operator.key"), replace: true, digest: Some(&digest) };
    let identity = read_identity(asked.identity).unwrap();
    let put_back = |then: &Vec<u8>| {
        let share = Share { now: Cursor::new(noted.clone()), then: Some(then.clone()) };
        put_back(&target, asked, &identity, (share, noted.len() as u64))
    };
    let told = put_back(&forged).unwrap_err().to_string();
    assert!(told.contains("digest that was noted"), "{told}");
    assert_eq!(kept(&target), before, "what was there is there");
    // The control: nobody changed it.
    assert_eq!(put_back(&noted).unwrap().rows.digest, digest);
    assert_ne!(kept(&target), before);
}

#[test]
fn certificates_that_were_exchanged_after_the_digest_was_looked_at_are_not_put_back() {
    let text = |noted| if noted { "as it was" } else { "as somebody wishes" };
    let count = std::cell::Cell::new(0);
    only_the_noted_one("registry", |target, noted| {
        count.set(count.get() + 1);
        let admitted = crate::offices::registry::Admitted::of(target.folder());
        admitted.keep("shop", &format!("{} {}", text(noted), count.get())).unwrap();
    });
}

#[test]
fn rows_that_were_exchanged_after_the_digest_was_looked_at_are_not_put_back() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    only_the_noted_one("node-1", |target, noted| {
        let schema = node::schema(target.folder.trust_root(), NodeIndex::ALL[0]);
        let store = target.folder().join(crate::root::STORE);
        runtime.block_on(async {
            let store = Store::sqlite(&store, &schema, SqliteOptions::default()).unwrap();
            let now = SystemClock.now();
            if noted {
                mark_restored(&store, now, &OsRng).await.unwrap();
            } else {
                unmark(&store, now, &OsRng).await.unwrap();
            }
        });
    });
}

#[test]
fn strangers_bytes_are_the_head_of_a_backup_or_are_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(head) = read_head(&mut &*bytes, Path::new("backup.age")) {
            assert_eq!(head.hufu_backup, FORM);
        }
    });
}
