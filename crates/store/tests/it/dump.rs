//! Rows out of one store and into another, on both engines and from one to the other.

use crate::crash::{examine, write_on};
use crate::migrations::{InFen, Ticket as _, WithSeat, put, release};
use crate::postgres::OnServer;
use crate::rows::*;
use crate::sqlite::InFile;
use hufu_kernel::Record as _;
use hufu_store::{Dumped, Expect, Imposed, Root, Select, StoreError, Terms};

async fn filled(place: &impl Place) -> Vec<u8> {
    let store = place.open(&schema()).await.unwrap();
    for n in 0..30 {
        let row = Account { names: vec![format!("n{n}")], group: Some("g".into()), ..account(&n.to_string()) };
        add(&store, &Account { expires: (n % 2 == 0).then_some(NOW + n), ..row }).await;
    }
    let mut lines = Vec::new();
    place.export(&schema(), &mut lines).await.unwrap();
    lines
}

async fn travels(from: &impl Place, to: &impl Place) {
    let lines = filled(from).await;
    let before = from.open(&schema()).await.unwrap();
    to.import(&schema(), &lines).await.unwrap();
    let after = to.open(&schema()).await.unwrap();
    for n in 0..30 {
        let key = key("p", &n.to_string());
        let (old, new) = (before.get::<Account>(&key).await.unwrap(), after.get::<Account>(&key).await.unwrap());
        assert_eq!(old, new, "with its version");
        assert!(after.find::<Account>("name", format!("n{n}").as_bytes()).await.unwrap().is_some());
    }
    assert_eq!(after.scan_up_to::<Account>("group_by", Select::all(), 100).await.unwrap().len(), 30);
    assert_eq!(after.sweep(NOW + 1_000, 100).await.unwrap(), 15);
}

#[tokio::test]
async fn from_a_file_to_a_file() {
    travels(&InFile::new(), &InFile::new()).await;
}

/// A row that the lines have in another state, and one that they do not have.
async fn imposes(from: &impl Place, to: &impl Place) {
    let lines = filled(from).await;
    let old = Account { amount: -7, names: vec!["n3".into()], ..account("3") };
    let new = Account { names: vec!["of nobody before".into()], ..account("31") };
    let imposed = [Imposed::of(&old).unwrap(), Imposed::of(&new).unwrap()];
    to.import_with(&schema(), &lines, Terms { imposed: &imposed, digest: None }).await.unwrap();
    let store = to.open(&schema()).await.unwrap();
    assert_eq!(load(&store, "3").await, Some(old.clone()));
    assert_eq!(store.find::<Account>("name", b"of nobody before").await.unwrap().unwrap().record, new);
    assert_eq!(store.find::<Account>("name", b"n3").await.unwrap().unwrap().record, old);
    assert_eq!(store.scan_up_to::<Account>("group_by", Select::all(), 100).await.unwrap().len(), 29, "in no group now");
    let found = store.get::<Account>(&old.key()).await.unwrap();
    commit(&store, |batch| batch.put(&account("3"), Expect::as_read(found.as_ref()))).await.unwrap();
}

#[tokio::test]
async fn imposed_rows_are_there_whatever_the_lines_say() {
    imposes(&InFile::new(), &InFile::new()).await;
}

/// Another whole dump of the same office, and the one whose digest was noted. What a refusal leaves of a new file its caller removes.
async fn only_what_was_noted(to: &impl Place, again: &impl Place) {
    let from = InFile::new();
    let (forged, noted) = (filled(&InFile::new()).await, filled(&from).await);
    let digest = hufu_store::digest(&mut noted.as_slice()).unwrap();
    let terms = Terms { digest: Some(&digest), ..Terms::default() };
    let refused = to.import_with(&schema(), &forged, terms).await.unwrap_err();
    assert!(refused.to_string().contains("not the rows of the digest"), "{refused}");
    assert_eq!(again.import_with(&schema(), &noted, terms).await.unwrap().digest, digest, "the control");
}

#[tokio::test]
async fn only_the_rows_whose_digest_was_noted_are_put_back() {
    only_what_was_noted(&InFile::new(), &InFile::new()).await;
}

mod postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn only_the_rows_whose_digest_was_noted_are_put_back_and_others_change_nothing() {
        let place = OnServer::new().await;
        add(&place.node().await, &account("of before")).await;
        let forged = filled(&InFile::new()).await;
        let terms = Terms { digest: Some("another"), ..Terms::default() };
        place.import_with(&schema(), &forged, terms).await.unwrap_err();
        assert!(load(&place.node().await, "of before").await.is_some());
        only_what_was_noted(&place, &place).await;
        assert_eq!(load(&place.node().await, "of before").await, None, "the control");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn imposed_rows_are_there_whatever_the_lines_say() {
        imposes(&InFile::new(), &OnServer::new().await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_has_the_store_open_neither_reads_nor_writes_in_what_was_put_back() {
        let place = OnServer::new().await;
        let lines = filled(&InFile::new()).await;
        let [reads, finds, misses, sweeps, writes] = [(); 5].map(|()| place.node());
        let open = [reads.await, finds.await, misses.await, sweeps.await, writes.await];
        let [reads, finds, misses, sweeps, writes] = &open;
        add(writes, &account("of before")).await;
        // The controls: until then each may.
        assert!(load(reads, "of before").await.is_some());
        assert_eq!(finds.find::<Account>("name", b"n3").await.unwrap(), None);
        assert_eq!(sweeps.sweep(NOW + 1_000, 100).await.unwrap(), 0);
        place.import(&schema(), &lines).await.unwrap();
        // Rows that are there now, rows that are not, one at a time and by an index, and rows that have expired since.
        assert_eq!(reads.get::<Account>(&key("p", "3")).await.unwrap_err(), StoreError::Overtaken);
        assert_eq!(finds.find::<Account>("name", b"n3").await.unwrap_err(), StoreError::Overtaken);
        assert_eq!(misses.find::<Account>("name", b"nobody's").await.unwrap_err(), StoreError::Overtaken);
        assert_eq!(sweeps.sweep(NOW + 1_000, 100).await.unwrap_err(), StoreError::Overtaken);
        let refused = commit(writes, |batch| batch.put(&account("late"), Expect::Absent)).await.unwrap_err();
        assert_eq!(refused, StoreError::Overtaken);
        for store in &open {
            assert_eq!(store.ailing(), Some(StoreError::Overtaken), "operators are told");
            assert_eq!(store.get::<Account>(&key("p", "of before")).await.unwrap_err(), StoreError::Overtaken);
        }
        let store = place.node().await;
        assert_eq!(store.scan_up_to::<Account>("group_by", Select::all(), 100).await.unwrap().len(), 30);
        assert_eq!(load(&store, "of before").await, None);
        add(&store, &account("late")).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn from_a_server_to_a_file() {
        travels(&OnServer::new().await, &InFile::new()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn from_a_file_to_a_server_and_a_dump_that_is_not_whole_changes_nothing() {
        let place = OnServer::new().await;
        travels(&InFile::new(), &place).await;
        let lines = filled(&InFile::new()).await;
        let half = &lines[..lines.len() / 2];
        assert!(matches!(place.import(&schema(), half).await, Err(StoreError::Corrupt { .. })));
        assert!(load(&place.node().await, "1").await.is_some(), "what was there is there");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_snapshot_under_load_holds_whole_batches_and_all_that_were_acknowledged() {
        under_load(&OnServer::new().await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_under_load_holds_whole_batches_and_all_that_were_acknowledged() {
    under_load(&InFile::new()).await;
}

async fn under_load(place: &impl Place) {
    let store = place.node().await;
    let writing = write_on(&store);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let acknowledged = writing.so_far();
    let mut lines = Vec::new();
    let taken = place.export(&schema(), &mut lines).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let later = writing.end();
    let copy = InFile::new();
    copy.import(&schema(), &lines).await.unwrap();
    let remains = examine(&copy.node().await, &acknowledged).await;
    assert_eq!(remains.lost, 0, "{remains:?}");
    assert!(remains.acknowledged > 0 && taken.rows["account"] > 0);
    let missing = examine(&copy.node().await, &later).await;
    assert!(missing.lost > 0, "the control: it went on writing, and the copy is of one moment: {missing:?}");
}

#[tokio::test]
async fn any_line_that_is_missing_or_changed_is_noticed() {
    let lines = filled(&InFile::new()).await;
    let refused = async |lines: Vec<u8>| {
        let answer: Result<Dumped, StoreError> = InFile::new().import(&schema(), &lines).await;
        assert!(
            matches!(answer, Err(StoreError::Corrupt { .. } | StoreError::WrongStore { .. } | StoreError::Misuse(_))),
            "{answer:?}"
        );
    };
    let text: Vec<&[u8]> = lines.split_inclusive(|byte| *byte == b'\n').collect();
    for without in 0..text.len() {
        let rest = text.iter().enumerate().filter(|(at, _)| *at != without).flat_map(|(_, line)| line.iter().copied());
        refused(rest.collect()).await;
    }
    refused([&lines[..], b"x"].concat()).await;
    for at in (0..lines.len()).step_by(lines.len() / 60) {
        refused(lines[..at].to_vec()).await;
        let mut changed = lines.clone();
        changed[at] ^= 1;
        refused(changed).await;
    }
}

#[tokio::test]
async fn another_offices_or_roots_rows_are_refused() {
    let lines = filled(&InFile::new()).await;
    let other = hufu_store::Schema::<hufu_kernel::offices::Node>::new(trust(Root::Sandbox, 2)).record::<Account>();
    let refused = InFile::new().import(&other, &lines).await;
    assert!(matches!(refused, Err(StoreError::WrongStore { .. })), "{refused:?}");
}

#[tokio::test]
async fn rows_of_an_older_program_come_in_todays_form_and_a_newer_ones_are_refused() {
    let (old, new) = (InFile::new(), InFile::new());
    put(&old.open(&release::<WithSeat>()).await.unwrap(), &WithSeat::new("a", 5, "s"), Expect::Absent).await.unwrap();
    let mut lines = Vec::new();
    old.export(&release::<WithSeat>(), &mut lines).await.unwrap();
    new.import(&release::<InFen>(), &lines).await.unwrap();
    let store = new.open(&release::<InFen>()).await.unwrap();
    assert_eq!(store.find::<InFen>("seat", b"s").await.unwrap().unwrap().record.price, 500);
    let mut lines = Vec::new();
    new.export(&release::<InFen>(), &mut lines).await.unwrap();
    let refused = InFile::new().import(&release::<WithSeat>(), &lines).await.unwrap_err();
    assert!(refused.to_string().contains("newer"), "{refused}");
}

#[test]
fn strangers_lines_are_no_dump_unless_they_end_with_their_own_digest() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lines = runtime.block_on(filled(&InFile::new()));
    crate::mutants::hold(vec![lines], |bytes| {
        if let Ok(digest) = hufu_store::digest(&mut &*bytes) {
            assert!(String::from_utf8_lossy(bytes).contains(&digest), "{digest}");
        }
    });
}
