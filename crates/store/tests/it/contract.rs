//! What every engine must do, written once.

use crate::rows::*;
use hufu_kernel::offices::{Front, Node};
use hufu_kernel::{NodeIndex, Record, Timestamp};
use hufu_store::{Batch, Expect, IdempotencyKey, Paging, Root, Schema, Select, StoreError, Version};
use std::collections::BTreeSet;

/// One test per name, each in a place of its own.
macro_rules! suite {
    ($place:expr) => {
        $crate::contract::suite!(@ $place;
            what_was_put_is_read_back
            absent_refuses_a_row_that_is_there
            at_refuses_a_row_that_moved_or_is_not_there
            a_lost_update_is_refused
            a_row_made_again_never_has_an_old_version
            write_skew_is_refused
            absence_can_be_required
            a_refused_batch_changes_nothing
            a_taken_value_is_a_duplicate_and_a_moved_row_a_conflict
            a_row_may_hold_several_unique_values
            deleting_frees_index_values
            values_may_pass_between_rows_of_a_batch
            a_repeated_commit_answers_as_the_first_and_changes_nothing
            a_key_used_for_another_batch_is_a_conflict
            a_refused_commit_leaves_its_key_unused
            concurrent_repeats_are_applied_once
            expired_rows_stay_until_swept_and_then_free_their_values
            a_sweep_stops_at_its_limit
            ten_thousand_rows_are_paged_without_loss_or_repeats
            ranges_are_half_open_in_byte_order
            concurrent_writers_count_exactly
            concurrent_claims_of_one_value_have_one_winner
            batches_in_opposite_orders_all_end
            values_claimed_in_opposite_orders_have_one_winner
            a_batch_has_one_partition
            partitions_do_not_share_rows
            undeclared_names_are_refused
            a_row_written_twice_in_a_batch_is_refused
            another_office_is_refused
            another_root_is_refused
            another_node_is_refused
            bodies_of_any_text_come_back
            long_bodies_come_back_and_long_keys_are_refused
        );
    };
    (@ $place:expr; $($name:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $crate::contract::$name(&$place.await).await;
        })*
    };
}
pub(crate) use suite;

pub async fn what_was_put_is_read_back(place: &impl Place) {
    let store = place.node().await;
    let mut row = account("a");
    row.names = vec!["x".into()];
    row.expires = Some(NOW + 60);
    assert_eq!(load(&store, "a").await, None);
    let first = add(&store, &row).await;
    let found = store.get::<Account>(&row.key()).await.unwrap().unwrap();
    assert_eq!((found.record, found.version), (row.clone(), first.version));
    row.amount = 5;
    let second = commit(&store, |b| b.put(&row, Expect::At(first.version))).await.unwrap();
    let found = store.find::<Account>("name", b"x").await.unwrap().unwrap();
    assert_eq!((found.record, found.version), (row.clone(), second.version));
    commit(&store, |b| b.delete::<Account>(&row.key(), second.version)).await.unwrap();
    assert_eq!(load(&store, "a").await, None);
    // Nothing is gained by closing: what was there is there.
    add(&store, &row).await;
    drop(store);
    assert_eq!(load(&place.node().await, "a").await, Some(row));
}

pub async fn absent_refuses_a_row_that_is_there(place: &impl Place) {
    let store = place.node().await;
    add(&store, &account("a")).await;
    let again = commit(&store, |b| b.put(&Account { amount: 9, ..account("a") }, Expect::Absent)).await;
    assert_eq!(again, Err(StoreError::Conflict));
    assert_eq!(load(&store, "a").await.unwrap().amount, 0);
}

pub async fn at_refuses_a_row_that_moved_or_is_not_there(place: &impl Place) {
    let store = place.node().await;
    let first = add(&store, &account("a")).await.version;
    let none = commit(&store, |b| b.put(&account("b"), Expect::At(first))).await;
    assert_eq!(none, Err(StoreError::Conflict));
    commit(&store, |b| b.put(&account("a"), Expect::At(first))).await.unwrap();
    for attempt in [
        batch(|b| b.put(&account("a"), Expect::At(first))),
        batch(|b| b.delete::<Account>(&key("p", "a"), first)),
        batch(|b| b.require::<Account>(&key("p", "a"), Expect::At(first))),
    ] {
        assert_eq!(store.commit(attempt, fresh()).await, Err(StoreError::Conflict));
    }
}

pub async fn a_lost_update_is_refused(place: &impl Place) {
    let store = place.node().await;
    let read = add(&store, &account("a")).await.version;
    let with = |amount| Account { amount, ..account("a") };
    commit(&store, |b| b.put(&with(1), Expect::At(read))).await.unwrap();
    let late = commit(&store, |b| b.put(&with(2), Expect::At(read))).await;
    assert_eq!(late, Err(StoreError::Conflict));
    assert_eq!(load(&store, "a").await.unwrap().amount, 1);
}

pub async fn a_row_made_again_never_has_an_old_version(place: &impl Place) {
    let store = place.node().await;
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let made = add(&store, &account("a")).await.version;
        assert!(seen.insert(made));
        commit(&store, |b| b.delete::<Account>(&key("p", "a"), made)).await.unwrap();
    }
}

/// Two accounts may not both be emptied; each batch empties one and rests on having read the other.
pub async fn write_skew_is_refused(place: &impl Place) {
    let store = place.node().await;
    for round in 0..20 {
        let (left, right) = (format!("l{round}"), format!("r{round}"));
        let full = |id: &str| Account { amount: 1, ..account(id) };
        let made = commit(&store, |b| b.put(&full(&left), Expect::Absent).put(&full(&right), Expect::Absent));
        let at = Expect::At(made.await.unwrap().version);
        let empty =
            |mine: &str, other: &str| batch(|b| b.put(&account(mine), at).require::<Account>(&key("p", other), at));
        let (one, two) =
            tokio::join!(store.commit(empty(&left, &right), fresh()), store.commit(empty(&right, &left), fresh()));
        assert_eq!([&one, &two].iter().filter(|answer| answer.is_ok()).count(), 1, "{one:?} {two:?}");
        let sum = load(&store, &left).await.unwrap().amount + load(&store, &right).await.unwrap().amount;
        assert_eq!(sum, 1);
    }
}

pub async fn absence_can_be_required(place: &impl Place) {
    let store = place.node().await;
    let put_if_absent = |mine: &str, other: &str| {
        batch(|b| b.put(&account(mine), Expect::Absent).require::<Account>(&key("p", other), Expect::Absent))
    };
    for round in 0..20 {
        let (left, right) = (format!("l{round}"), format!("r{round}"));
        let (one, two) = tokio::join!(
            store.commit(put_if_absent(&left, &right), fresh()),
            store.commit(put_if_absent(&right, &left), fresh())
        );
        assert_eq!([&one, &two].iter().filter(|answer| answer.is_ok()).count(), 1, "{one:?} {two:?}");
    }
    commit(&store, |b| b.require::<Order>(&key("p", "none"), Expect::Absent)).await.unwrap();
    assert_eq!(store.get::<Order>(&key("p", "none")).await.unwrap(), None);
}

pub async fn a_refused_batch_changes_nothing(place: &impl Place) {
    let store = place.node().await;
    let held = Account { names: vec!["x".into()], group: Some("g".into()), ..account("held") };
    let version = add(&store, &held).await.version;
    let changed = Account { names: vec!["free".into()], ..held.clone() };
    let order = Order { partition: "p".into(), id: "o".into() };
    let conflict = commit(&store, |b| {
        b.put(&changed, Expect::At(version)).put(&order, Expect::Absent);
        b.require::<Account>(&key("p", "zz"), Expect::At(version))
    });
    assert_eq!(conflict.await, Err(StoreError::Conflict));
    let thief = Account { names: vec!["new".into(), "x".into()], ..account("thief") };
    let duplicate = commit(&store, |b| b.put(&thief, Expect::Absent).put(&order, Expect::Absent));
    assert_eq!(duplicate.await, Err(StoreError::Duplicate("name")));
    assert_eq!(load(&store, "held").await, Some(held));
    assert_eq!(load(&store, "thief").await, None);
    assert_eq!(store.get::<Order>(&order.key()).await.unwrap(), None);
    for name in ["free", "new"] {
        assert!(store.find::<Account>("name", name.as_bytes()).await.unwrap().is_none());
    }
}

pub async fn a_taken_value_is_a_duplicate_and_a_moved_row_a_conflict(place: &impl Place) {
    let store = place.node().await;
    let holder = Account { names: vec!["x".into()], group: Some("g".into()), ..account("a") };
    let old = add(&store, &holder).await.version;
    commit(&store, |b| b.put(&holder, Expect::At(old))).await.unwrap();
    let other = Account { id: "b".into(), ..holder.clone() };
    assert_eq!(commit(&store, |b| b.put(&other, Expect::Absent)).await, Err(StoreError::Duplicate("name")));
    // Both at once: the caller must first learn that what it read is stale.
    let both = commit(&store, |b| b.put(&other, Expect::Absent).require::<Account>(&holder.key(), Expect::At(old)));
    assert_eq!(both.await, Err(StoreError::Conflict));
    // The other index is not unique.
    add(&store, &Account { names: vec![], ..other }).await;
    // Two rows of one batch cannot share a value either.
    let twin = |id: &str| Account { names: vec!["twin".into()], ..account(id) };
    let twins = commit(&store, |b| b.put(&twin("t"), Expect::Absent).put(&twin("u"), Expect::Absent));
    assert_eq!(twins.await, Err(StoreError::Duplicate("name")));
}

pub async fn a_row_may_hold_several_unique_values(place: &impl Place) {
    let store = place.node().await;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut row = Account { names: names(&["x", "y", "z", "y"]), ..account("a") };
    let at = Expect::At(add(&store, &row).await.version);
    for name in ["x", "y", "z"] {
        assert_eq!(store.find::<Account>("name", name.as_bytes()).await.unwrap().unwrap().record, row);
    }
    row.names = names(&["z", "w"]);
    commit(&store, |b| b.put(&row, at)).await.unwrap();
    add(&store, &Account { names: names(&["x", "y"]), ..account("b") }).await;
    for (name, id) in [("x", "b"), ("y", "b"), ("z", "a"), ("w", "a")] {
        assert_eq!(store.find::<Account>("name", name.as_bytes()).await.unwrap().unwrap().record.id, id);
    }
}

pub async fn deleting_frees_index_values(place: &impl Place) {
    let store = place.node().await;
    let row = Account { names: vec!["x".into()], group: Some("g".into()), ..account("a") };
    let version = add(&store, &row).await.version;
    commit(&store, |b| b.delete::<Account>(&row.key(), version)).await.unwrap();
    assert!(store.find::<Account>("name", b"x").await.unwrap().is_none());
    add(&store, &Account { id: "b".into(), ..row }).await;
    let page = store.scan::<Account>("group_by", Select::Value(b"g".to_vec()), Paging::first(10)).await.unwrap();
    assert_eq!(page.rows.len(), 1);
}

pub async fn values_may_pass_between_rows_of_a_batch(place: &impl Place) {
    let store = place.node().await;
    let named = |id: &str, name: &str| Account { names: vec![name.into()], ..account(id) };
    let both = commit(&store, |b| b.put(&named("a", "x"), Expect::Absent).put(&named("b", "y"), Expect::Absent));
    let at = Expect::At(both.await.unwrap().version);
    let swapped = commit(&store, |b| b.put(&named("a", "y"), at).put(&named("b", "x"), at)).await.unwrap();
    assert_eq!(store.find::<Account>("name", b"x").await.unwrap().unwrap().record.id, "b");
    let handed =
        commit(&store, |b| b.put(&named("c", "y"), Expect::Absent).delete::<Account>(&key("p", "a"), swapped.version));
    handed.await.unwrap();
    assert_eq!(store.find::<Account>("name", b"y").await.unwrap().unwrap().record.id, "c");
}

pub async fn a_repeated_commit_answers_as_the_first_and_changes_nothing(place: &impl Place) {
    let store = place.node().await;
    let step = IdempotencyKey::of(&[b"enrolment", b"step 1"], NOW);
    let make = batch(|b| b.put(&account("a"), Expect::Absent));
    let first = store.commit(make.clone(), step).await.unwrap();
    assert!(!first.replayed);
    let moved = Account { amount: 7, ..account("a") };
    commit(&store, |b| b.put(&moved, Expect::At(first.version))).await.unwrap();
    let later = IdempotencyKey::of(&[b"enrolment", b"step 1"], NOW + 3_600);
    let again = store.commit(make, later).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.version, first.version);
    assert_eq!(load(&store, "a").await, Some(moved));
}

pub async fn a_key_used_for_another_batch_is_a_conflict(place: &impl Place) {
    let store = place.node().await;
    let step = fresh();
    store.commit(batch(|b| b.put(&account("a"), Expect::Absent)), step).await.unwrap();
    let elsewhere = Account { partition: "q".into(), ..account("a") };
    for other in [account("b"), Account { amount: 1, ..account("a") }, elsewhere] {
        let answer = store.commit(batch(|b| b.put(&other, Expect::Absent)), step).await;
        assert_eq!(answer, Err(StoreError::Conflict));
    }
    assert_eq!(load(&store, "b").await, None);
}

pub async fn a_refused_commit_leaves_its_key_unused(place: &impl Place) {
    let store = place.node().await;
    let version = add(&store, &account("a")).await.version;
    let step = fresh();
    let make = batch(|b| b.put(&account("a"), Expect::Absent));
    assert_eq!(store.commit(make.clone(), step).await, Err(StoreError::Conflict));
    commit(&store, |b| b.delete::<Account>(&key("p", "a"), version)).await.unwrap();
    assert!(!store.commit(make, step).await.unwrap().replayed);
}

pub async fn concurrent_repeats_are_applied_once(place: &impl Place) {
    let store = place.node().await;
    for round in 0..20 {
        let step = fresh();
        let make = batch(|b| b.put(&account(&format!("a{round}")), Expect::Absent));
        let (one, two, three) =
            tokio::join!(store.commit(make.clone(), step), store.commit(make.clone(), step), store.commit(make, step));
        let answers = [one.unwrap(), two.unwrap(), three.unwrap()];
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        assert!(answers.iter().all(|answer| answer.version == answers[0].version));
    }
}

pub async fn expired_rows_stay_until_swept_and_then_free_their_values(place: &impl Place) {
    let store = place.node().await;
    let row = |id: &str, expires| Account { names: vec![id.into()], expires, ..account(id) };
    let step = fresh();
    let old = batch(|b| b.put(&row("old", Some(NOW + 10)), Expect::Absent));
    let version = store.commit(old.clone(), step).await.unwrap().version;
    add(&store, &row("later", Some(NOW + 20))).await;
    add(&store, &row("kept", None)).await;
    assert_eq!(store.sweep(NOW + 10, 100).await.unwrap(), 0, "a row is kept through the second it expires in");
    assert!(load(&store, "old").await.is_some());
    assert_eq!(store.sweep(NOW + 11, 100).await.unwrap(), 1);
    assert_eq!(load(&store, "old").await, None);
    assert!(load(&store, "later").await.is_some());
    // Whoever read the row before the sweep is told.
    let late = commit(&store, |b| b.put(&row("old", None), Expect::At(version))).await;
    assert_eq!(late, Err(StoreError::Conflict));
    assert!(store.find::<Account>("name", b"old").await.unwrap().is_none());
    // Still remembered, then (a day and a minute on) forgotten.
    assert!(store.commit(old.clone(), step).await.unwrap().replayed);
    assert_eq!(store.sweep(NOW + IdempotencyKey::REMEMBERED, 1_000).await.unwrap(), 1);
    assert!(store.commit(old.clone(), step).await.unwrap().replayed);
    assert!(store.sweep(NOW + IdempotencyKey::REMEMBERED + 61, 1_000).await.unwrap() >= 3);
    assert!(!store.commit(old, step).await.unwrap().replayed);
    assert!(load(&store, "kept").await.is_some());
}

pub async fn a_sweep_stops_at_its_limit(place: &impl Place) {
    let store = place.node().await;
    let rows: Vec<_> = (0..25).map(|n| Account { expires: Some(NOW), ..account(&format!("r{n}")) }).collect();
    commit(&store, |b| rows.iter().fold(b, |b, row| b.put(row, Expect::Absent))).await.unwrap();
    let mut counts = Vec::new();
    for _ in 0..4 {
        counts.push(store.sweep(NOW + 1, 10).await.unwrap());
    }
    assert_eq!(counts, [10, 10, 5, 0]);
}

pub async fn ten_thousand_rows_are_paged_without_loss_or_repeats(place: &impl Place) {
    let store = place.node().await;
    for chunk in 0..20 {
        let row = |n| Account { group: Some(format!("g{}", n % 7)), ..account(&format!("{:05}", chunk * 500 + n)) };
        commit(&store, |b| (0..500).fold(b, |b, n| b.put(&row(n), Expect::Absent))).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut paging = Paging::first(997);
    loop {
        let page = store.scan::<Account>("group_by", Select::all(), paging).await.unwrap();
        seen.extend(page.rows.into_iter().map(|row| (row.record.group.unwrap(), row.record.id)));
        match page.next {
            Some(cursor) => paging = Paging::after(cursor, 997),
            None => break,
        }
    }
    assert_eq!(seen.len(), 10_000);
    assert!(seen.is_sorted());
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 10_000);
    // A page that ends with the last row has no next; a limit above the longest page is moved there.
    let exact =
        store.scan::<Account>("group_by", Select::Value(b"g6".to_vec()), Paging::first(u32::MAX)).await.unwrap();
    assert_eq!(exact.rows.len(), Paging::MOST as usize);
    let rest = Paging::after(exact.next.unwrap(), 420);
    let rest = store.scan::<Account>("group_by", Select::Value(b"g6".to_vec()), rest).await.unwrap();
    assert_eq!((rest.rows.len(), rest.next), (420, None));
}

pub async fn ranges_are_half_open_in_byte_order(place: &impl Place) {
    let store = place.node().await;
    for name in ["", "a", "aa", "b", "ba", "é", "\u{10FFFF}"] {
        add(&store, &Account { names: vec![name.into()], ..account(&format!("row of {name}")) }).await;
    }
    let names = async |select| {
        let page = store.scan::<Account>("name", select, Paging::first(10)).await.unwrap();
        page.rows.into_iter().flat_map(|row| row.record.names).collect::<Vec<_>>()
    };
    assert_eq!(names(Select::all()).await, ["", "a", "aa", "b", "ba", "é", "\u{10FFFF}"]);
    let range = Select::Range { from: b"a".to_vec(), until: Some(b"b".to_vec()) };
    assert_eq!(names(range).await, ["a", "aa"]);
    assert_eq!(names(Select::prefix(b"b")).await, ["b", "ba"]);
    assert_eq!(names(Select::prefix(b"")).await.len(), 7);
    assert_eq!(names(Select::Value(vec![])).await, [""]);
    assert!(names(Select::Value(b"c".to_vec())).await.is_empty());
}

pub async fn concurrent_writers_count_exactly(place: &impl Place) {
    let store = place.node().await;
    add(&store, &account("counter")).await;
    let writers = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                loop {
                    let found = store.get::<Account>(&key("p", "counter")).await.unwrap().unwrap();
                    let next = Account { amount: found.record.amount + 1, ..found.record };
                    match commit(&store, |b| b.put(&next, Expect::At(found.version))).await {
                        Ok(_) => break,
                        Err(StoreError::Conflict) => tokio::task::yield_now().await,
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(load(&store, "counter").await.unwrap().amount, 200);
}

pub async fn concurrent_claims_of_one_value_have_one_winner(place: &impl Place) {
    let store = place.node().await;
    for round in 0..10 {
        let claims = (0..6).map(|n| {
            let store = store.clone();
            let row = Account { names: vec![format!("n{round}")], ..account(&format!("{round}/{n}")) };
            tokio::spawn(async move { commit(&store, |b| b.put(&row, Expect::Absent)).await })
        });
        let mut won = 0;
        for claim in claims.collect::<Vec<_>>() {
            match claim.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(error, StoreError::Duplicate("name")),
            }
        }
        assert_eq!(won, 1);
    }
}

pub async fn batches_in_opposite_orders_all_end(place: &impl Place) {
    let store = place.node().await;
    let ids: Vec<_> = (0..6).map(|n| format!("r{n}")).collect();
    let claim = |id: &str, name: String| Account { names: vec![name], ..account(id) };
    let made = commit(&store, |b| ids.iter().fold(b, |b, id| b.put(&claim(id, format!("of {id}")), Expect::Absent)));
    let mut at = made.await.unwrap().version;
    for _ in 0..10 {
        let tasks = (0..6).map(|shift: usize| {
            let (store, ids) = (store.clone(), ids.clone());
            tokio::spawn(async move {
                let mut all = Batch::new();
                for n in 0..6 {
                    // Values change hands in another direction than the rows are named: deadlocks, if any were possible.
                    let name = format!("of {}", ids[(n + shift) % 6]);
                    all.put(&claim(&ids[(n * 5 + shift) % 6], name), Expect::At(at));
                }
                store.commit(all, fresh()).await
            })
        });
        let mut won = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            match task.await.unwrap() {
                Ok(done) => won.push(done.version),
                Err(error) => assert_eq!(error, StoreError::Conflict),
            }
        }
        assert_eq!(won.len(), 1);
        at = won[0];
    }
}

/// On a server with locks they wait for each other, some are thrown out, and their next attempt finds the values taken.
pub async fn values_claimed_in_opposite_orders_have_one_winner(place: &impl Place) {
    let store = place.node().await;
    for round in 0..3 {
        let claims = (0..3).map(|side| {
            let mut all = Batch::new();
            for n in 0..20 {
                let value = if side % 2 == 0 { n } else { 19 - n };
                let row =
                    Account { names: vec![format!("{round}/{value}")], ..account(&format!("{side}/{n:02}/{round}")) };
                all.put(&row, Expect::Absent);
            }
            let store = store.clone();
            tokio::spawn(async move { store.commit(all, fresh()).await })
        });
        let mut won = 0;
        for claim in claims.collect::<Vec<_>>() {
            match claim.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(error, StoreError::Duplicate("name")),
            }
        }
        assert_eq!(won, 1);
    }
}

pub async fn a_batch_has_one_partition(place: &impl Place) {
    let store = place.node().await;
    let elsewhere = Account { partition: "q".into(), ..account("a") };
    let two = commit(&store, |b| b.put(&account("a"), Expect::Absent).put(&elsewhere, Expect::Absent));
    assert_eq!(two.await, Err(StoreError::Partition));
    let required =
        commit(&store, |b| b.put(&account("a"), Expect::Absent).require::<Order>(&key("q", "a"), Expect::Absent));
    assert_eq!(required.await, Err(StoreError::Partition));
    assert_eq!(load(&store, "a").await, None);
}

pub async fn partitions_do_not_share_rows(place: &impl Place) {
    let store = place.node().await;
    let named = |partition: &str| Account { partition: partition.into(), names: vec!["x".into()], ..account("a") };
    add(&store, &named("p")).await;
    let unique = commit(&store, |b| b.put(&named("q"), Expect::Absent)).await;
    assert_eq!(unique, Err(StoreError::Duplicate("name")), "uniqueness is over all partitions");
    add(&store, &Account { names: vec![], amount: 3, ..named("q") }).await;
    assert_eq!(load(&store, "a").await.unwrap().amount, 0);
}

pub async fn undeclared_names_are_refused(place: &impl Place) {
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Stray;
    impl Record for Stray {
        type Office = Node;
        const KIND: &'static str = "stray";
        fn key(&self) -> hufu_kernel::Key {
            key("p", "s")
        }
    }
    let store = place.node().await;
    let misuse = |error: StoreError| assert!(matches!(error, StoreError::Misuse(_)), "{error:?}");
    misuse(store.get::<Stray>(&key("p", "s")).await.err().unwrap());
    misuse(commit(&store, |b| b.put(&Stray, Expect::Absent)).await.unwrap_err());
    misuse(store.scan::<Account>("nothing", Select::all(), Paging::first(1)).await.unwrap_err());
    misuse(store.find::<Account>("group_by", b"g").await.unwrap_err());
    misuse(store.commit(Batch::new(), fresh()).await.unwrap_err());
}

pub async fn a_row_written_twice_in_a_batch_is_refused(place: &impl Place) {
    let store = place.node().await;
    let twice = commit(&store, |b| b.put(&account("a"), Expect::Absent).put(&account("a"), Expect::Absent));
    assert!(matches!(twice.await, Err(StoreError::Misuse(_))));
    let version = add(&store, &account("a")).await.version;
    // Requiring what is also written is harmless, if both expect the same.
    let same = commit(&store, |b| {
        b.require::<Account>(&key("p", "a"), Expect::At(version)).put(&account("a"), Expect::At(version))
    });
    let version = same.await.unwrap().version;
    let contrary = commit(&store, |b| {
        b.require::<Account>(&key("p", "a"), Expect::Absent).put(&account("a"), Expect::At(version))
    });
    assert_eq!(contrary.await, Err(StoreError::Conflict));
}

fn is_wrong_store<T>(answer: Result<T, StoreError>) {
    match answer {
        Err(StoreError::WrongStore { .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("another's store was opened"),
    }
}

pub async fn another_office_is_refused(place: &impl Place) {
    drop(place.node().await);
    is_wrong_store(place.open(&Schema::<Front>::new(trust(Root::Sandbox, 1))).await);
}

pub async fn another_root_is_refused(place: &impl Place) {
    drop(place.node().await);
    is_wrong_store(place.open(&Schema::<Node>::new(trust(Root::Production, 1))).await);
    is_wrong_store(place.open(&Schema::<Node>::new(trust(Root::Sandbox, 2))).await);
    place.open(&schema()).await.unwrap();
}

pub async fn another_node_is_refused(place: &impl Place) {
    let numbered = |n: usize| Schema::<Node>::new(trust(Root::Sandbox, 1)).numbered(NodeIndex::ALL[n]);
    drop(place.open(&numbered(0)).await.unwrap());
    is_wrong_store(place.open(&numbered(1)).await);
    is_wrong_store(place.open(&schema()).await);
}

pub async fn bodies_of_any_text_come_back(place: &impl Place) {
    let store = place.node().await;
    let texts = ["", "'", "\"; DROP TABLE account; --", "虎符", "\u{0}", "\u{FEFF}\u{202E}x", "%s\\u0000"];
    for (n, text) in texts.iter().enumerate() {
        let row = Account { group: Some((*text).into()), names: vec![format!("{n}{text}")], ..account(text) };
        add(&store, &row).await;
        assert_eq!(load(&store, text).await.as_ref(), Some(&row));
        let select = Select::Value(text.as_bytes().to_vec());
        let page = store.scan::<Account>("group_by", select, Paging::first(2)).await.unwrap();
        assert_eq!(page.rows.len(), 1);
    }
    let edge = Account { amount: i64::MIN, expires: Some(Timestamp(i64::MIN)), ..account("edge") };
    let version = add(&store, &edge).await.version;
    assert!(version > Version(-1));
    assert_eq!(load(&store, "edge").await, Some(edge));
}

pub async fn long_bodies_come_back_and_long_keys_are_refused(place: &impl Place) {
    let store = place.node().await;
    let long = Account {
        note: "长".repeat(100_000),
        names: vec!["n".repeat(768)],
        group: Some("g".repeat(768)),
        ..account(&"i".repeat(768))
    };
    add(&store, &long).await;
    assert_eq!(load(&store, &long.id).await.as_ref(), Some(&long));
    assert_eq!(store.find::<Account>("name", long.names[0].as_bytes()).await.unwrap().unwrap().record, long);
    for too_long in [
        account(&"i".repeat(769)),
        Account { names: vec!["n".repeat(769)], ..account("a") },
        Account { partition: "p".repeat(769), ..account("a") },
    ] {
        let refused = commit(&store, |b| b.put(&too_long, Expect::Absent)).await;
        assert!(matches!(refused, Err(StoreError::Misuse(_))));
    }
}
