//! Whole rows, for a node that lost its own, never heard of a person, or missed more than a row remembers: taken when both peers say the
//! same, and not on one's word. Nor on two's where both come from backups: what they share may be what the third saw leave.

use super::super::row::{Commitments, Issued, Private, Remembered};
use super::super::sub_keys::RowKeys;
use super::super::{Node, Row};
use super::serve::is_pending;
use hufu_domain::holder::{Holder, Status};
use hufu_kernel::{Bytes, Element, Handle, NodeIndex, Octets, Pair, Refusal, Subset};
use hufu_store::{Batch, Expect, IdempotencyKey, StoreError, Versioned};
use hufu_wire::api::peer::{
    AskEntries, AskRows, Carried, CommonRow, CopiesInForce, HeldCommitments, RowName, WholeRow,
};

/// What became of rows that a peer has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Adopted {
    /// Both peers said the same.
    pub taken: usize,
    /// One peer's word against the other's: another time, when the one that is behind has caught up.
    pub waiting: usize,
}

impl Adopted {
    pub(super) fn count(&mut self, taken: Result<(), Refusal>) {
        match taken {
            Ok(()) => self.taken += 1,
            Err(refusal) => {
                if refusal != Refusal::SignatureRefused {
                    tracing::warn!(code = refusal.code(), "a whole row finds something of another row in its place");
                }
                self.waiting += 1;
            }
        }
    }
}

impl Node {
    /// The whole row as a peer may have it, at the generation that counts now: both peers of a node that asks send the same.
    ///
    /// # Errors
    /// [`Refusal::NodesDisagree`] for a row that this node cannot use itself.
    pub(super) async fn whole(&self, to: NodeIndex, name: RowName, row: &Row) -> Result<WholeRow, Refusal> {
        let (mut row, mut private) = (row.clone(), self.private(row)?);
        self.move_to(&mut row, &mut private, self.generations().at(self.clock.now()))?;
        let shared = self.shared_with(to)?;
        let of_shared = |offsets: &[(Subset, Bytes)]| {
            offsets.iter().find(|(subset, _)| *subset == shared).map(|(_, offset)| offset.clone())
        };
        let (offset, epoch_offset) = (of_shared(&private.offsets), of_shared(&private.epoch_offsets));
        let Commitments { pseudonym, epoch, password } = row.commitments.clone();
        let copies =
            row.copies.iter().map(|issued| CopiesInForce { until: issued.until, places: issued.places.clone() });
        Ok(WholeRow {
            row: name,
            common: CommonRow {
                root_u: private.root_u,
                loc_u: private.loc_u,
                contact: private.contact,
                vault: private.vault,
                face: private.face,
                number: private.number,
                holder: Bytes(serde_json::to_vec(&row.holder).map_err(|error| crate::broken(&error))?),
                generation: row.generation,
            },
            commitments: HeldCommitments { pseudonym, epoch, password },
            offset,
            epoch_offset,
            copies: copies.collect(),
            said: self.carried_after(&row, 0).await?,
        })
    }

    pub(in super::super) fn shared_with(&self, other: NodeIndex) -> Result<Subset, Refusal> {
        super::shared(Pair::new(self.index, other).ok_or(Refusal::Malformed)?)
    }

    /// Takes rows that `peer` has under these names, each only if the third node says the same.
    ///
    /// # Errors
    /// The peers'.
    pub(super) async fn adopt(&self, peer: NodeIndex, names: &[RowName]) -> Result<Adopted, Refusal> {
        let mut adopted = Adopted::default();
        for names in names.chunks(AskRows::MOST) {
            let theirs = self.whole_rows(peer, names).await?;
            self.adopt_some(peer, theirs, &mut adopted).await?;
        }
        Ok(adopted)
    }

    /// Rows under these names, as a peer has them.
    pub(super) async fn whole_rows(&self, peer: NodeIndex, names: &[RowName]) -> Result<Vec<WholeRow>, Refusal> {
        let sent = self.peer(peer).rows(self.index, &AskRows { rows: names.to_vec() }).await?;
        let mut theirs = Vec::new();
        for whole in sent.rows {
            if !names.contains(&whole.row) || self.row_name(peer, &whole.common.root_u)? != whole.row {
                return Err(self.refuse(peer, "a whole row under another row's name"));
            }
            theirs.push(whole);
        }
        Ok(theirs)
    }

    /// Whether a peer answers, and has compared its own rows.
    pub(super) async fn is_settled_at(&self, peer: NodeIndex) -> bool {
        let asked = self.peer(peer).entries(self.index, &AskEntries::Named(Vec::new())).await;
        asked.is_ok_and(|told| told.settled)
    }

    async fn adopt_some(&self, peer: NodeIndex, theirs: Vec<WholeRow>, out: &mut Adopted) -> Result<(), Refusal> {
        let third = self.third(peer);
        let named = |whole: &WholeRow| self.row_name(third, &whole.common.root_u);
        let names = theirs.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        let Ok(others) = self.peer(third).rows(self.index, &AskRows { rows: names.clone() }).await else {
            out.waiting += theirs.len();
            return Ok(());
        };
        let known = self.peer(third).entries(self.index, &AskEntries::Named(names.clone())).await?;
        let vouched = known.settled || self.is_settled_at(peer).await;
        for (one, name) in theirs.into_iter().zip(names) {
            let Some(other) = others.rows.iter().find(|other| other.row == name) else {
                // The third may be catching up itself, or wait for a confirmation that the other has heard.
                let lacked = known.settled && !known.rows.iter().any(|entry| entry.row == name);
                // A node that has compared its own rows would have it too; one that has not cannot know who of the two is right.
                if lacked && self.has_compared().await? {
                    self.refuse(peer, "a row that no other node has");
                } else {
                    out.waiting += 1;
                }
                continue;
            };
            if one.common != other.common {
                // At one version they must be the same; else one of them has something to fetch.
                let version = |whole: &WholeRow| holder_of(whole).map(|holder| holder.version).ok();
                if version(&one) == version(other) && one.common.generation == other.common.generation {
                    tracing::error!("two peers say different things about one row; nothing is taken");
                }
                out.waiting += 1;
                continue;
            }
            if !vouched {
                out.waiting += 1;
                continue;
            }
            out.count(crate::retrying(|| self.take_whole(peer, &one, other)).await);
        }
        Ok(())
    }

    /// Puts a row in place that `peer` and the third node have, whose part of it is `other`.
    pub(super) async fn take_whole(&self, peer: NodeIndex, one: &WholeRow, other: &WholeRow) -> Result<(), Refusal> {
        let common = &one.common;
        let holder = holder_of(one)?;
        if !matches!(holder.status, Status::Active | Status::Locked { .. }) {
            return Err(self.refuse(peer, "a whole row that is not in use"));
        }
        let index = self.index_of("root", common.root_u.as_slice())?;
        let found = self.store.find::<Row>("root", index.as_slice()).await?;
        // What is ahead of both peers is not taken back: they fetch it.
        let ahead = |held: &Versioned<Row>| !is_pending(&held.record) && held.record.holder.version > holder.version;
        if found.as_ref().is_some_and(ahead) {
            return Ok(());
        }
        if !self.generations().has(common.generation) {
            // Keys that this node has not got yet, or a peer that has not moved on.
            return Err(Refusal::NodesDisagree);
        }
        let (mut offsets, mut epoch_offsets) = (Vec::new(), Vec::new());
        for (from, whole) in [(peer, one), (self.third(peer), other)] {
            let shared = self.shared_with(from)?;
            offsets.extend(whole.offset.iter().map(|offset| (shared, offset.clone())));
            epoch_offsets.extend(whole.epoch_offset.iter().map(|offset| (shared, offset.clone())));
        }
        let private = Private {
            root_u: common.root_u,
            loc_u: common.loc_u,
            contact: common.contact,
            vault: common.vault,
            face: common.face,
            number: common.number.clone(),
            offsets,
            epoch_offsets,
        };
        let handle = found.as_ref().map_or_else(|| Handle::random(self.rng.as_ref()), |found| found.record.handle);
        let enrolment = match &found {
            Some(found) => found.record.enrolment,
            None => self.adopted_index(&common.root_u)?,
        };
        let keys = RowKeys { private: &private, generation: common.generation, epoch: &holder.epoch };
        let row = Row {
            handle,
            enrolment,
            private: self.seal(&handle, &private)?,
            generation: common.generation,
            commitments: match self.is_alone() {
                true => return Err(Refusal::NodesDisagree),
                false => self.merged(peer, &keys, [&one.commitments, &other.commitments])?,
            },
            root_index: index,
            number_index: self.number_index(common.number.as_str())?,
            copies: in_both(&one.copies, &other.copies),
            failures: found.as_ref().map_or(0, |found| found.record.failures),
            paused_until: found.as_ref().and_then(|found| found.record.paused_until),
            peers: self.peer_values(&common.root_u)?,
            vote: None,
            holder,
        };
        self.replace(&row, found.as_ref(), &one.said).await
    }

    /// This node's own commitments, and the third as the peers report it.
    fn merged(&self, peer: NodeIndex, keys: &RowKeys<'_>, told: [&HeldCommitments; 2]) -> Result<Commitments, Refusal> {
        let own = self.commitments(keys)?;
        let mut held = Commitments::default();
        for subset in Subset::ALL {
            let slot = subset.slot();
            let own = own.get(&subset);
            let one = |own: Option<&Element>, told: [&Option<Element>; 2]| {
                let mut all = own.into_iter().chain(told.into_iter().flatten());
                let first = all.next();
                match (first, all.find(|other| Some(*other) != first)) {
                    (_, Some(_)) => {
                        Err(self.refuse(peer, "commitments that do not fit this node's keys, or the other's"))
                    }
                    (first, None) => Ok(first.cloned()),
                }
            };
            let [a, b] = told;
            held.pseudonym[slot] = one(own.map(|own| &own.pseudonym), [&a.pseudonym[slot], &b.pseudonym[slot]])?;
            held.epoch[slot] = one(own.map(|own| &own.epoch), [&a.epoch[slot], &b.epoch[slot]])?;
            held.password[slot] = one(own.map(|own| &own.password), [&a.password[slot], &b.password[slot]])?;
        }
        Ok(held)
    }

    /// The row and what it remembers, in place of what was there.
    async fn replace(&self, row: &Row, found: Option<&Versioned<Row>>, said: &[Carried]) -> Result<(), Refusal> {
        let mut batch = Batch::new();
        batch.put(row, Expect::as_read(found));
        let newest = row.holder.version;
        let first = (newest + 1).saturating_sub(said.len() as u64);
        let mut old = Vec::new();
        if let Some(found) = found {
            old = self.remembered(&found.record).await?;
        }
        for old in old.iter().filter(|old| !(first..=newest).contains(&old.record.version)) {
            batch.delete::<Remembered>(&hufu_kernel::Record::key(&old.record), old.version);
        }
        for (version, said) in (first..).zip(said) {
            let remembered = self.remember(row, version, said).map_err(Refusal::from)?;
            let place = Remembered::place(&row.handle, version);
            let there = self.store.get::<Remembered>(&place).await?;
            batch.put(&remembered, Expect::as_read(there.as_ref()));
        }
        let key = IdempotencyKey::random(self.rng.as_ref(), self.clock.now());
        match self.store.commit(batch, key).await {
            Ok(_) => Ok(()),
            Err(StoreError::Duplicate(_)) => Err(Refusal::Replayed),
            Err(other) => Err(other.into()),
        }
    }

    /// Stands where a row's enrolment would be that this node never heard of.
    fn adopted_index(&self, root_u: &Octets<32>) -> Result<Octets<32>, Refusal> {
        self.index_of("adopted", root_u.as_slice())
    }

    /// Whether a row came whole from the peers, and its enrolment has not been heard of since.
    pub(in super::super) fn is_adopted(&self, row: &Row) -> Result<bool, Refusal> {
        Ok(row.enrolment == self.adopted_index(&self.private(row)?.root_u)?)
    }
}

pub(super) fn holder_of(whole: &WholeRow) -> Result<Holder, Refusal> {
    serde_json::from_slice(&whole.common.holder.0).map_err(|_| Refusal::OfficeRefused)
}

/// A batch that only one peer still lists has lapsed at the other.
fn in_both(one: &[CopiesInForce], other: &[CopiesInForce]) -> Vec<Issued> {
    let both = one.iter().filter(|copies| other.iter().any(|others| others.places == copies.places));
    both.map(|copies| Issued { until: copies.until, places: copies.places.clone() }).collect()
}
