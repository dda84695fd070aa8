//! The engine in memory: unit tests and the model the other engines are compared with.

use crate::prepared::Prepared;
use crate::{
    Catalogue, Change, Committed, Engine, Expect, IdempotencyKey, Identity, Kind, RawBatch, RawPage, RawRow, Scan,
    Select, StoreError,
};
use async_trait::async_trait;
use hufu_kernel::{Key, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

type Values = Vec<(&'static str, Vec<u8>)>;

#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<Key, (RawRow, Values)>,
    entries: BTreeMap<&'static str, BTreeSet<(Vec<u8>, Key)>>,
}

#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<&'static str, Table>,
    commits: BTreeMap<[u8; 32], ([u8; 32], Timestamp)>,
}

/// A store in this process's memory.
#[derive(Debug)]
pub struct Memory {
    catalogue: Catalogue,
    state: Mutex<State>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        let tables = catalogue.kinds.keys().map(|kind| (*kind, Table::default())).collect();
        Self { catalogue, state: Mutex::new(State { tables, commits: BTreeMap::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn table(&self, kind: &str) -> Result<&Table, StoreError> {
        self.tables.get(kind).ok_or_else(|| StoreError::misuse(format!("the kind {kind} is not registered")))
    }

    fn apply(&mut self, batch: Prepared, catalogue: &Catalogue) -> Result<Committed, StoreError> {
        if let Some((fingerprint, _)) = self.commits.get(&batch.id.0) {
            return batch.again(fingerprint);
        }
        self.check_expectations(&batch)?;
        self.check_unique(&batch, catalogue)?;
        // From here on nothing can refuse, so the batch is whole.
        let answer = batch.fresh();
        self.commits.insert(batch.id.0, (batch.fingerprint.0, batch.expires));
        for op in batch.ops {
            let Some(table) = self.tables.get_mut(op.kind) else { continue };
            match op.change {
                Change::Keep => {}
                Change::Delete => table.remove(&op.key),
                Change::Put { expires, body, values } => {
                    let form = catalogue.kind(op.kind).map_or(0, Kind::form);
                    table.remove(&op.key);
                    table.insert(RawRow { key: op.key, version: answer.version, expires, form, body }, values);
                }
            }
        }
        Ok(answer)
    }

    fn check_expectations(&self, batch: &Prepared) -> Result<(), StoreError> {
        for op in &batch.ops {
            let found = self.table(op.kind)?.rows.get(&op.key).map(|(row, _)| row.version);
            let holds = match op.expect {
                Expect::Absent => found.is_none(),
                Expect::At(version) => found == Some(version),
            };
            if !holds {
                return Err(StoreError::Conflict);
            }
        }
        Ok(())
    }

    /// A value may pass from one row of the batch to another: only rows outside it, or two of its own, can stand in the way.
    fn check_unique(&self, batch: &Prepared, catalogue: &Catalogue) -> Result<(), StoreError> {
        let written: BTreeSet<_> =
            batch.ops.iter().filter(|op| op.change != Change::Keep).map(|op| (op.kind, &op.key)).collect();
        let mut claimed = BTreeSet::new();
        for op in &batch.ops {
            let Change::Put { values, .. } = &op.change else { continue };
            for (name, value) in values {
                let index = catalogue.kind(op.kind)?.index(name)?;
                let mut holders = self.table(op.kind)?.holders(name, value);
                let held = holders.any(|holder| !written.contains(&(op.kind, holder)));
                if index.unique && (held || !claimed.insert((op.kind, *name, value))) {
                    return Err(StoreError::Duplicate(index.name));
                }
            }
        }
        Ok(())
    }
}

impl Table {
    fn holders<'a>(&'a self, index: &str, value: &'a [u8]) -> impl Iterator<Item = &'a Key> {
        let first = (value.to_vec(), Key { partition: Vec::new(), id: Vec::new() });
        let entries = self.entries.get(index).into_iter().flat_map(move |entries| entries.range(first.clone()..));
        entries.take_while(move |(found, _)| found == value).map(|(_, key)| key)
    }

    fn remove(&mut self, key: &Key) {
        let Some((_, values)) = self.rows.remove(key) else { return };
        for (index, value) in values {
            if let Some(entries) = self.entries.get_mut(index) {
                entries.remove(&(value, key.clone()));
            }
        }
    }

    fn insert(&mut self, row: RawRow, values: Values) {
        for (index, value) in &values {
            self.entries.entry(index).or_default().insert((value.clone(), row.key.clone()));
        }
        self.rows.insert(row.key.clone(), (row, values));
    }
}

#[async_trait]
impl Engine for Memory {
    fn identity(&self) -> &Identity {
        &self.catalogue.identity
    }

    async fn get(&self, kind: &'static str, key: &Key) -> Result<Option<RawRow>, StoreError> {
        Ok(self.state().table(kind)?.rows.get(key).map(|(row, _)| row.clone()))
    }

    async fn scan(&self, scan: &Scan) -> Result<RawPage, StoreError> {
        self.catalogue.kind(scan.kind)?.index(scan.index)?;
        let state = self.state();
        let table = state.table(scan.kind)?;
        let first = match &scan.select {
            Select::Value(value) => value.clone(),
            Select::Range { from, .. } => from.clone(),
        };
        let lower = match &scan.paging.after {
            Some(cursor) if cursor.value >= first => Bound::Excluded((cursor.value.clone(), cursor.key.clone())),
            _ => Bound::Included((first, Key { partition: Vec::new(), id: Vec::new() })),
        };
        let entries = table.entries.get(scan.index).into_iter();
        let rows = entries
            .flat_map(|entries| entries.range((lower.clone(), Bound::Unbounded)))
            .take_while(|(value, _)| scan.select.admits(value))
            .filter_map(|(value, key)| Some((value.clone(), table.rows.get(key)?.0.clone())))
            .take(scan.paging.size() + 1)
            .collect();
        Ok(RawPage::of(rows, scan.paging.size()))
    }

    async fn commit(&self, batch: RawBatch, key: IdempotencyKey) -> Result<Committed, StoreError> {
        let batch = Prepared::new(batch, &key, &self.catalogue)?;
        self.state().apply(batch, &self.catalogue)
    }

    async fn sweep(&self, expired_before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let mut state = self.state();
        let mut left = limit as usize;
        let old = state.commits.iter().filter(|(_, (_, at))| *at < expired_before).map(|(id, _)| *id);
        for id in old.take(left).collect::<Vec<_>>() {
            state.commits.remove(&id);
            left -= 1;
        }
        for table in state.tables.values_mut() {
            let rows = table.rows.values().map(|(row, _)| row);
            let old = rows.filter(|row| row.expires.is_some_and(|at| at < expired_before)).map(|row| row.key.clone());
            for key in old.take(left).collect::<Vec<_>>() {
                table.remove(&key);
                left -= 1;
            }
        }
        Ok(limit - u32::try_from(left).unwrap_or(0))
    }
}
