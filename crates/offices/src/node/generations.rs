//! Generations of K_A (flows 1; docs/decisions/0017): which of them counts at a time, and a row's keys as they are at another one.
//!
//! At which generation a row is *stored* is this node's own business. Whatever two parties compare is computed at the generation of a
//! time that both of them know: the `iat` that the wallet proposes, the `t` of a statement, the start of an enrolment. Clocks that
//! differ by a minute therefore do not matter, and a sign-in writes nothing during a rotation either.

use super::{Commitments, Node, Private, Row};
use crate::key_names;
use hufu_kernel::{Bytes, Element, Epoch, KeyError, KeyStore, NodeIndex, Octets, Refusal, Subset, Timestamp, framed};
use hufu_pairwise::{
    Group, Intl, commitment, epoch_message, moved_commitment, moved_offset, way_back, zero_message, zero_sum,
};
use hufu_wire::api::enrolment::Commitments as Reported;
use std::sync::{Arc, PoisonError};

type Scalar = <Intl as Group>::Scalar;

/// Generations looked for before a key store is said to have none.
const MOST: u32 = 1000;

/// One generation that this node has the keys of.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Generation {
    number: u32,
    since: Timestamp,
}

/// As operators read it in the log.
impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.since {
            Timestamp(i64::MIN) => write!(f, "{} from the beginning", self.number),
            since => write!(f, "{} since {since}", self.number),
        }
    }
}

/// The generations that this node has the keys of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Generations {
    /// Oldest first and without a gap. Never empty.
    held: Vec<Generation>,
    /// From when the next one counts, if that is known here and its keys are not whole.
    missed: Option<Timestamp>,
}

/// Whether a key is there.
fn has(keys: &dyn KeyStore, name: &str) -> Result<bool, Refusal> {
    match keys.hmac(name, &framed(&[b"hufu-v1-generation"])) {
        Ok(_) => Ok(true),
        Err(KeyError::Missing(_)) => Ok(false),
        Err(error) => Err(crate::broken(&error)),
    }
}

/// From when a generation counts, where the key store says it.
fn since(keys: &dyn KeyStore, number: u32) -> Result<Option<Timestamp>, Refusal> {
    match keys.share(&key_names::since(number)) {
        Ok(bytes) => match <[u8; 8]>::try_from(bytes.as_slice()) {
            Ok(bytes) => Ok(Some(Timestamp(i64::from_be_bytes(bytes)))),
            Err(_) => Err(crate::broken(&"the time from which new keys count is not 8 bytes")),
        },
        Err(KeyError::Missing(_)) => Ok(None),
        Err(error) => Err(crate::broken(&error)),
    }
}

impl Generations {
    /// Asks the key store, from generation `first` on.
    ///
    /// # Errors
    /// [`Refusal::Internal`] if it fails, or has no K_A of this node.
    pub(super) fn look(keys: &dyn KeyStore, index: NodeIndex, first: u32) -> Result<Self, Refusal> {
        let mut found: Vec<Generation> = Vec::new();
        let mut missed = None;
        for number in (first..).take(MOST as usize) {
            let mut whole = true;
            for subset in Subset::of(index) {
                whole = whole && has(keys, &key_names::sub_key(subset, number))?;
            }
            let began = since(keys, number)?;
            match (whole, found.is_empty(), began) {
                // Destroyed, or never had.
                (false, true, _) => {}
                (false, false, began) => {
                    missed = began;
                    break;
                }
                // Generation 0 counts from the beginning.
                (true, true, began) => {
                    found.push(Generation { number, since: began.unwrap_or(Timestamp(i64::MIN)) });
                }
                (true, false, Some(since)) if has(keys, &key_names::zero(number))? => {
                    found.push(Generation { number, since });
                }
                (true, false, began) => {
                    tracing::warn!(generation = number, "new K_A without their Z or their time: they are not used");
                    missed = began;
                    break;
                }
            }
        }
        if found.is_empty() {
            return Err(crate::broken(&"this node has no K_A"));
        }
        Ok(Self { held: found, missed })
    }

    fn oldest(&self) -> u32 {
        self.held.first().map_or(0, |first| first.number)
    }

    /// The newest that the keys of are here, whether it counts yet or not.
    pub(super) fn newest(&self) -> u32 {
        self.held.last().map_or(0, |last| last.number)
    }

    /// Whether one counts at `t` whose keys are not here.
    pub(super) fn is_missed_at(&self, t: Timestamp) -> bool {
        self.missed.is_some_and(|since| since <= t)
    }

    /// The generation that counts at `t`, of those here; the oldest there is for a time before it.
    pub(super) fn at(&self, t: Timestamp) -> u32 {
        let counts = self.held.iter().rfind(|generation| generation.since <= t);
        counts.map_or_else(|| self.oldest(), |generation| generation.number)
    }

    /// The generation that counts at `t`; none if it was one whose keys are destroyed, or never came here.
    fn born(&self, t: Timestamp) -> Option<u32> {
        if self.is_missed_at(t) {
            return None;
        }
        self.held.iter().rfind(|generation| generation.since <= t).map(|generation| generation.number)
    }

    /// Those before and at `at`.
    pub(super) fn until(&self, at: u32) -> impl Iterator<Item = u32> {
        self.held.iter().map(|generation| generation.number).filter(move |number| *number <= at)
    }

    /// Whether the keys are there.
    pub(super) fn has(&self, number: u32) -> bool {
        self.held.iter().any(|generation| generation.number == number)
    }

    /// Where rows have to move to at `now`, if any may be somewhere else, and since when.
    pub(super) fn due(&self, now: Timestamp) -> Option<(u32, Timestamp)> {
        let counts = self.held.iter().rfind(|generation| generation.since <= now)?;
        (counts.number != self.oldest()).then_some((counts.number, counts.since))
    }
}

/// What moves together under one part of Z: all sub-keys of a pseudonym, or those of one epoch.
#[derive(Clone, Copy)]
struct Moving<'a> {
    root_u: &'a Octets<32>,
    epoch: Option<&'a Epoch>,
    from: u32,
    to: u32,
}

impl Moving<'_> {
    /// What K_A is applied to.
    fn message(&self) -> Vec<u8> {
        self.epoch.map_or_else(
            || self.root_u.as_slice().to_vec(),
            |epoch| epoch_message(self.root_u.as_slice(), epoch.as_slice()),
        )
    }
}

/// What is known of a sub-key whose offset is to be found.
pub(super) struct Began<'a> {
    /// Of an epoch, or of the pseudonym.
    pub epoch: Option<&'a Epoch>,
    /// The offsets in this node's own row, and at which generation they are.
    pub held: Option<(u32, &'a [(Subset, Bytes)])>,
    /// What its other holder committed to, at the generation that is asked about.
    pub told: Option<&'a Element>,
}

impl Node {
    /// The generations this node has the keys of.
    pub(super) fn generations(&self) -> Arc<Generations> {
        Arc::clone(&self.generations.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// At which generation sub-keys begin at `t`: what others compute must be the same.
    ///
    /// # Errors
    /// [`Refusal::NodesDisagree`] where it was one whose keys this node has destroyed, or never got.
    pub(super) fn born(&self, t: Timestamp) -> Result<u32, Refusal> {
        if !self.has_keys_that_count() {
            return Err(Refusal::NodesDisagree);
        }
        self.generations().born(t).ok_or(Refusal::NodesDisagree)
    }

    /// What node `says` shows of the key that this node shares with `with`, one of the two: only who has the key can say it, and what one
    /// of them said is not what the other would say. Nothing between this node and itself.
    pub(super) fn check_of(
        &self,
        generation: u32,
        with: NodeIndex,
        says: NodeIndex,
    ) -> Result<Option<Octets<32>>, Refusal> {
        if with == self.index {
            return Ok(None);
        }
        let key = key_names::sub_key(self.shared_with(with)?, generation);
        let message = framed(&[b"hufu-v1-same-keys", &[says.get()]]);
        self.keys.hmac(&key, &message).map(Some).map_err(|error| crate::broken(&error))
    }

    /// As [`Node::look_for_keys`], once a second however often a peer asks.
    pub(super) async fn has_looked_for_keys(&self) -> Result<(), Refusal> {
        let mut looked = self.looked_for_keys.lock().await;
        if *looked == Some(self.clock.now()) { Ok(()) } else { self.look(&mut looked).await }
    }

    /// Asks the key store again: a ceremony may have added a generation, or retired one, while this process runs.
    pub(super) async fn look_for_keys(&self) -> Result<(), Refusal> {
        let mut looked = self.looked_for_keys.lock().await;
        self.look(&mut looked).await
    }

    /// `looked` is locked meanwhile: of two that look at once, the later one writes what it found. The store may be a disk or a token, so
    /// that it is asked on a thread of its own, and none that answers requests waits for it.
    async fn look(&self, looked: &mut Option<Timestamp>) -> Result<(), Refusal> {
        let (keys, index, known) = (Arc::clone(&self.keys), self.index, self.generations());
        let oldest = known.oldest();
        let found = tokio::task::spawn_blocking(move || Generations::look(keys.as_ref(), index, oldest)).await;
        let found = found.map_err(|error| crate::broken(&error))??;
        if found != *known {
            tracing::info!(generations = ?found, "the generations of K_A that this node has are others now");
            *self.generations.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
            self.has_others_keys();
        }
        *looked = Some(self.clock.now());
        Ok(())
    }

    /// Whether a row stands at a generation that this node has no keys of: it must come anew from both peers.
    pub(super) fn is_stranded(&self, row: &Row) -> bool {
        !self.generations().has(row.generation)
    }

    /// The row's keys as they are at generation `to`, in place; nothing is done where they are. Only for use: what `row` keeps sealed
    /// stays as it was (see [`Node::advanced`]).
    ///
    /// # Errors
    /// [`Refusal::NodesDisagree`] if this node lacks the keys of either generation.
    pub(super) fn move_to(&self, row: &mut Row, private: &mut Private, to: u32) -> Result<(), Refusal> {
        let from = row.generation;
        if from == to {
            return Ok(());
        }
        let root_u = private.root_u;
        let (epoch, both) = (row.holder.epoch, Moving { root_u: &root_u, epoch: None, from, to });
        let of_epoch = Moving { epoch: Some(&epoch), ..both };
        private.offsets = self.moved_offsets(both, std::mem::take(&mut private.offsets))?;
        private.epoch_offsets = self.moved_offsets(of_epoch, std::mem::take(&mut private.epoch_offsets))?;
        self.move_held(both, &mut row.commitments.pseudonym)?;
        self.move_held(of_epoch, &mut row.commitments.epoch)?;
        row.generation = to;
        Ok(())
    }

    /// The row as it is stored at generation `to`.
    ///
    /// # Errors
    /// As [`Node::move_to`].
    pub(super) fn advanced(&self, row: &Row, to: u32) -> Result<Row, Refusal> {
        let (mut row, mut private) = (row.clone(), self.private(row)?);
        self.move_to(&mut row, &mut private, to)?;
        row.private = self.seal(&row.handle, &private)?;
        Ok(row)
    }

    /// Offsets of an epoch that was drawn at generation `born`, where it had none, as they are at generation `at`.
    ///
    /// # Errors
    /// As [`Node::move_to`].
    pub(super) fn epoch_born(
        &self,
        root_u: &Octets<32>,
        epoch: &Epoch,
        born: u32,
        at: u32,
    ) -> Result<Vec<(Subset, Bytes)>, Refusal> {
        if born == at {
            return Ok(Vec::new());
        }
        self.moved_offsets(Moving { root_u, epoch: Some(epoch), from: born, to: at }, Vec::new())
    }

    /// What somebody committed to at generation `from`, as it is at `to`.
    ///
    /// # Errors
    /// As [`Node::move_to`].
    pub(super) fn told_at(
        &self,
        row: &Row,
        root_u: &Octets<32>,
        mut told: Commitments,
        [from, to]: [u32; 2],
    ) -> Result<Commitments, Refusal> {
        if from != to {
            let both = Moving { root_u, epoch: None, from, to };
            self.move_held(both, &mut told.pseudonym)?;
            self.move_held(Moving { epoch: Some(&row.holder.epoch), ..both }, &mut told.epoch)?;
        }
        Ok(told)
    }

    /// The sum of all zero sums on the way.
    fn way(&self, moving: Moving<'_>) -> Result<[Scalar; 3], Refusal> {
        let generations = self.generations();
        if !(generations.has(moving.from) && generations.has(moving.to)) {
            return Err(Refusal::NodesDisagree);
        }
        let (low, high) = (moving.from.min(moving.to), moving.from.max(moving.to));
        let epoch = moving.epoch.map(Epoch::as_slice);
        let mut sum: Option<[Scalar; 3]> = None;
        for number in low + 1..=high {
            let prf = |subset| {
                let message = zero_message(subset, moving.root_u.as_slice(), epoch);
                self.keys.hmac(&key_names::zero(number), &message).map(|octets| octets.0)
            };
            let of = |subset| prf(subset).map_err(|error| crate::broken(&error));
            let zero = zero_sum::<Intl>(&of(Subset::S12)?, &of(Subset::S13)?);
            sum = Some(match sum {
                None => zero,
                Some(sum) => Subset::ALL.map(|subset| Intl::scalar_add(&sum[subset.slot()], &zero[subset.slot()])),
            });
        }
        let sum = sum.ok_or(Refusal::Internal)?;
        Ok(if moving.to > moving.from { sum } else { way_back::<Intl>(&sum) })
    }

    /// The offset of a sub-key at generation `at` that fits what was committed to: this node's own, or zero at the generation at which the
    /// sub-key began. Nothing if none fits.
    ///
    /// # Errors
    /// The key store's.
    pub(super) fn offset_that_fits(
        &self,
        root_u: &Octets<32>,
        subset: Subset,
        at: u32,
        began: &Began<'_>,
    ) -> Result<Option<Option<Bytes>>, Refusal> {
        let zero: &[(Subset, Bytes)] = &[];
        let begun = self.generations().until(at).map(|born| (born, zero)).collect::<Vec<_>>();
        for (from, offsets) in began.held.into_iter().chain(begun) {
            if !self.generations().has(from) {
                continue;
            }
            let moving = Moving { root_u, epoch: began.epoch, from, to: at };
            let offsets = if from == at { offsets.to_vec() } else { self.moved_offsets(moving, offsets.to_vec())? };
            let e = self.sub_key_of(&offsets, at, subset, &moving.message())?;
            if began.told.is_none_or(|told| *told == commitment::<Intl>(&e)) {
                return Ok(Some(offsets.into_iter().find(|(of, _)| *of == subset).map(|(_, offset)| offset)));
            }
        }
        Ok(None)
    }

    fn moved_offsets(&self, moving: Moving<'_>, held: Vec<(Subset, Bytes)>) -> Result<Vec<(Subset, Bytes)>, Refusal> {
        let (way, message) = (self.way(moving)?, moving.message());
        let moved = |subset: Subset| {
            let e = self.sub_key_of(&held, moving.from, subset, &message)?;
            let prf = self.prf(&key_names::sub_key(subset, moving.to), &message)?;
            let offset = moved_offset::<Intl>(&e, &way[subset.slot()], &prf);
            Ok((subset, Bytes(offset.to_vec())))
        };
        Subset::of(self.index).map(moved).collect()
    }

    fn move_held(&self, moving: Moving<'_>, held: &mut [Option<Element>; 3]) -> Result<(), Refusal> {
        let way = self.way(moving)?;
        for (held, zero) in held.iter_mut().zip(&way) {
            if let Some(element) = held {
                *held = Some(moved_commitment::<Intl>(element, zero).map_err(|error| crate::broken(&error))?);
            }
        }
        Ok(())
    }
}

impl Commitments {
    /// Of one subset.
    pub(super) fn of(subset: Subset, told: &Reported) -> Self {
        let mut held = Self::default();
        held.pseudonym[subset.slot()] = Some(told.pseudonym.clone());
        held.epoch[subset.slot()] = Some(told.epoch.clone());
        held.password[subset.slot()] = Some(told.password.clone());
        held
    }
}
