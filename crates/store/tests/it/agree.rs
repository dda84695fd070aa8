//! Engines agree with the model in memory on every answer, for batches nobody thought of.

use crate::postgres::OnServer;
use crate::rows::*;
use crate::sqlite::InFile;
use hufu_kernel::offices::Node;
use hufu_store::{Batch, Expect, IdempotencyKey, Paging, Select, Store, Version};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Op {
    id: u8,
    change: u8,
    stale: bool,
    names: Vec<u8>,
    group: Option<u8>,
    expires: Option<i64>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Commit { ops: Vec<Op>, repeat: Option<u8> },
    Sweep { at: i64, limit: u32 },
}

fn op() -> impl Strategy<Value = Op> {
    let names = prop::collection::vec(0..6_u8, 0..3);
    let fields = (0..5_u8, 0..5_u8, prop::bool::weighted(0.1), names);
    (fields, prop::option::of(0..3_u8), prop::option::of(0..50_i64))
        .prop_map(|((id, change, stale, names), group, expires)| Op { id, change, stale, names, group, expires })
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let commit = (prop::collection::vec(op(), 1..4), prop::option::weighted(0.2, 0..20_u8))
        .prop_map(|(ops, repeat)| Step::Commit { ops, repeat });
    let sweep = (0..60_i64, 1..5_u32).prop_map(|(at, limit)| Step::Sweep { at, limit });
    prop::collection::vec(prop_oneof![8 => commit, 1 => sweep], 1..25)
}

/// The batch that `ops` mean, given what the model holds.
fn build(ops: &[Op], held: &BTreeMap<u8, Version>) -> Batch<Node> {
    let mut batch = Batch::new();
    for op in ops {
        let row = Account {
            names: op.names.iter().map(|name| format!("n{name}")).collect(),
            group: op.group.map(|group| format!("g{group}")),
            expires: op.expires.map(|at| NOW + at),
            ..account(&op.id.to_string())
        };
        let expect = match held.get(&op.id) {
            Some(version) if !op.stale => Expect::At(*version),
            None if op.stale => Expect::At(Version(7)),
            _ => Expect::Absent,
        };
        match (op.change, expect) {
            (0, _) => batch.require::<Account>(&key("p", &row.id), expect),
            (1, Expect::At(version)) => batch.delete::<Account>(&key("p", &row.id), version),
            _ => batch.put(&row, expect),
        };
    }
    batch
}

async fn held(store: &Store<Node>) -> BTreeMap<u8, Version> {
    let mut held = BTreeMap::new();
    for id in 0..5_u8 {
        if let Some(found) = store.get::<Account>(&key("p", &id.to_string())).await.unwrap() {
            held.insert(id, found.version);
        }
    }
    held
}

pub async fn same_answers(model: &Store<Node>, other: &Store<Node>, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut past: Vec<(Batch<Node>, IdempotencyKey)> = Vec::new();
    for step in steps {
        match step {
            Step::Commit { ops, repeat } => {
                let old = repeat.and_then(|n| past.get(usize::from(n)).cloned());
                let (batch, step) = old.unwrap_or_else(|| (Batch::new(), fresh()));
                let repeated = past.iter().any(|(_, known)| *known == step);
                let batch = if repeated && ops[0].change > 0 { batch } else { build(ops, &held(model).await) };
                past.push((batch.clone(), step));
                prop_assert_eq!(model.commit(batch.clone(), step).await, other.commit(batch, step).await);
            }
            Step::Sweep { at, limit } => {
                // Which of several expired rows go first is the engine's choice, so all of them do.
                let limit = 100 + limit;
                prop_assert_eq!(model.sweep(NOW + *at, limit).await, other.sweep(NOW + *at, limit).await);
            }
        }
        prop_assert_eq!(held(model).await, held(other).await);
        for index in ["name", "group_by"] {
            let mut paging = Paging::first(2);
            loop {
                let expected = model.scan::<Account>(index, Select::all(), paging.clone()).await.unwrap();
                let found = other.scan::<Account>(index, Select::all(), paging).await.unwrap();
                prop_assert_eq!(&expected, &found);
                match found.next {
                    Some(cursor) => paging = Paging::after(cursor, 2),
                    None => break,
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_agrees_with_memory(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let place = InFile::new();
            same_answers(&Store::memory(&schema()).unwrap(), &place.node().await, &steps).await
        })?;
    }
}

proptest! {
    // Every case is a schema of its own.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn postgres_agrees_with_memory(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let place = OnServer::new().await;
            same_answers(&Store::memory(&schema()).unwrap(), &place.node().await, &steps).await
        })?;
    }
}
