//! A row that is behind: the statements it missed, each checked as if it came now, with the words of two nodes; and the commitments.

use super::super::change::{name_of, parsed};
use super::super::row::Commitments;
use super::super::sub_keys::RowKeys;
use super::super::{Node, Row};
use super::serve::{is_pending, levelled};
use crate::{open_signed, retrying};
use hufu_domain::holder::Timing;
use hufu_kernel::{Handle, Head, NodeIndex, Octets, Refusal, Subset};
use hufu_store::Versioned;
use hufu_wire::api::Signed;
use hufu_wire::api::holder::Change;
use hufu_wire::api::peer::{AskStatements, Carried, Level, Levelled, RowName, RowReport};
use hufu_wire::api::trust::node_name;
use std::collections::BTreeSet;

/// What a peer's report on a row is to this node.
#[expect(clippy::large_enum_variant, reason = "one at a time, for as long as a row is healed")]
enum Reported {
    /// Of the keys that only the peers hold.
    Fits(Commitments),
    /// On another head, or of keys that are not here.
    Elsewhere,
    /// Other commitments to a shared key.
    Contradicts,
}

impl Node {
    /// Two nodes of a pair, before they sign together: whichever is behind catches up from the other. The row as both have it now.
    ///
    /// # Errors
    /// [`Refusal::NodesDisagree`] while they do not; [`Refusal::UnknownDevice`] if this node has no such row.
    pub(in super::super) async fn level_with(
        &self,
        handle: &Handle,
        peer: NodeIndex,
    ) -> Result<Versioned<Row>, Refusal> {
        let found = self.row_at(handle).await?;
        let theirs = self.level_of(peer, &found.record).await.map_err(|refusal| {
            tracing::warn!(peer = peer.get(), code = refusal.code(), "a peer does not say where a row is");
            Refusal::NodesDisagree
        })?;
        if theirs.version > found.record.holder.version {
            self.catch_up(peer, handle).await.map_err(|_| Refusal::NodesDisagree)?;
        }
        let found = self.row_at(handle).await?;
        if levelled(&found.record) == theirs { Ok(found) } else { Err(Refusal::NodesDisagree) }
    }

    /// Has a peer catch up with this row where it is behind; where it is then.
    ///
    /// # Errors
    /// The peer's.
    pub(super) async fn level_of(&self, peer: NodeIndex, row: &Row) -> Result<Levelled, Refusal> {
        let name = self.row_name(peer, &self.private(row)?.root_u)?;
        self.peer(peer).level(self.index, &Level { row: name, version: row.holder.version }).await
    }

    /// Fetches what this row missed from a peer; whether it is further now.
    ///
    /// # Errors
    /// The peer's; [`Refusal::SignatureRefused`] if what it sends does not check out.
    pub(in super::super) async fn catch_up(&self, peer: NodeIndex, handle: &Handle) -> Result<bool, Refusal> {
        let found = self.row_at(handle).await?;
        let row = self.row_name(peer, &self.private(&found.record)?.root_u)?;
        if is_pending(&found.record) || self.is_stranded(&found.record) {
            return self.adopt(peer, &[row]).await.map(|adopted| adopted.taken > 0);
        }
        let after = found.record.holder.version;
        let sent = self.peer(peer).statements(self.index, &AskStatements { row, after }).await?;
        if sent.at.version <= after {
            return Ok(false);
        }
        let missed = sent.at.version - after;
        // Further than a row remembers, from before two nodes' words were kept with it, or of keys that are destroyed.
        let too_old = |said: &Carried| said.accepted.is_empty() || self.is_of_older_keys(said);
        if sent.said.len() as u64 != missed || sent.said.iter().any(too_old) {
            return self.adopt(peer, &[row]).await.map(|adopted| adopted.taken > 0);
        }
        for said in &sent.said {
            retrying(|| self.take_fetched(peer, handle, said)).await?;
        }
        if levelled(&self.row_at(handle).await?.record).version < sent.at.version {
            return Err(self.refuse(peer, "fewer statements than it said"));
        }
        // Without the others' commitments the row is right and signs nothing yet; the next sign-in asks again.
        if let Err(refusal) = self.healed(handle).await {
            tracing::warn!(code = refusal.code(), "the peers' commitments are still to come");
        }
        Ok(true)
    }

    /// An epoch that was drawn while keys counted that this node has destroyed since.
    fn is_of_older_keys(&self, said: &Carried) -> bool {
        parsed(&said.statement).is_ok_and(|statement| {
            matches!(statement.change, Change::EndSessions { .. }) && self.born(statement.t).is_err()
        })
    }

    /// One statement that two nodes have accepted while this one was away.
    async fn take_fetched(&self, peer: NodeIndex, handle: &Handle, said: &Carried) -> Result<(), Refusal> {
        let found = self.row_at(handle).await?;
        let row = &found.record;
        let statement = parsed(&said.statement).map_err(|_| self.refuse(peer, "a statement that does not parse"))?;
        // Somebody else was faster.
        if statement.version < row.holder.version && self.has_heard(row, statement.version + 1, &said.statement).await?
        {
            return Ok(());
        }
        let prepared = self.prepare(row, said, Timing::Fetched).map_err(|refusal| {
            tracing::error!(peer = peer.get(), code = refusal.code(), "a fetched statement is refused");
            self.refuse(peer, "a statement that this row refuses")
        })?;
        if !self.two_accepted(row, said, &prepared.row.holder.head) {
            return Err(self.refuse(peer, "a statement that no two nodes have accepted"));
        }
        self.carry_out(&found, &prepared, said, Timing::Fetched).await
    }

    /// Whether two different nodes say, each under its own signature, that they accepted this statement in one ballot, and that it leads
    /// to the head this node comes to.
    fn two_accepted(&self, row: &Row, said: &Carried, after: &Head) -> bool {
        let name = name_of(&said.statement);
        let words = said.accepted.iter().take(3).filter_map(|word| self.open_word(word).ok());
        let fitting = words.filter(|word| {
            (word.version, word.head) == (row.holder.version, row.holder.head)
                && word.statement == name
                && word.after == *after
        });
        let given: BTreeSet<(u64, NodeIndex)> = fitting.map(|word| (word.ballot, word.node)).collect();
        given.iter().any(|(ballot, node)| given.iter().any(|(other, by)| other == ballot && by != node))
    }

    /// The row with all commitments that the peers report: after enrolment, or after a new epoch, without a wallet to carry them.
    ///
    /// # Errors
    /// [`Refusal::SignatureRefused`] if two holders of one key report different ones; [`Refusal::NodesDisagree`] if some are still missing.
    pub(in super::super) async fn healed(&self, handle: &Handle) -> Result<Versioned<Row>, Refusal> {
        retrying(|| self.healed_once(handle)).await
    }

    async fn healed_once(&self, handle: &Handle) -> Result<Versioned<Row>, Refusal> {
        let found = self.row_at(handle).await?;
        let private = self.private(&found.record)?;
        let root_u = private.root_u;
        let mut third: Option<Commitments> = None;
        let mut contradict = Vec::new();
        for peer in self.others() {
            let ask = AskStatements { row: self.row_name(peer, &root_u)?, after: found.record.holder.version };
            let Ok(sent) = self.peer(peer).statements(self.index, &ask).await else { continue };
            // One that lies is named, and must not keep the other out.
            let told = match self.foreign_keys(peer, &found.record, &sent.report) {
                Ok(Reported::Fits(told)) => told,
                Ok(Reported::Contradicts) => {
                    contradict.push((peer, ask.row));
                    continue;
                }
                Ok(Reported::Elsewhere) | Err(_) => continue,
            };
            match &third {
                Some(held) if *held != told => {
                    tracing::error!("two peers report different keys of theirs; one of them is lying");
                    return Err(Refusal::SignatureRefused);
                }
                _ => third = Some(told),
            }
        }
        if self.adopt_against(&contradict).await? {
            return self.row_at(handle).await;
        }
        let Some(third) = third else { return Err(Refusal::NodesDisagree) };
        let mut row = found.record.clone();
        row.commitments = third;
        for (subset, own) in self.commitments(&RowKeys::of(&row, &private))? {
            row.commitments.take(&Commitments::of(subset, &own))?;
        }
        if row != found.record {
            self.put(&row, Some(&found)).await?;
        }
        self.row_at(handle).await
    }

    /// The subset whose keys this node does not hold.
    fn foreign(&self) -> Subset {
        Subset::ALL.into_iter().find(|subset| !subset.held_by(self.index)).unwrap_or(Subset::S12)
    }

    /// Peers contradict what this node computes for one and the same history of a row. Who does so alone is wrong; if both do, and agree
    /// with each other, it is this node, which had not got the keys that counted when the row or its epoch was made. Whether their row has
    /// taken its place.
    async fn adopt_against(&self, contradict: &[(NodeIndex, RowName)]) -> Result<bool, Refusal> {
        let Some((peer, row)) = contradict.first() else { return Ok(false) };
        if contradict.len() == 2 && self.adopt(*peer, &[*row]).await?.taken > 0 {
            tracing::warn!(
                "a row's sub-keys were made without the keys that counted; the peers' have taken their place"
            );
            return Ok(true);
        }
        for (peer, _) in contradict {
            self.refuse(*peer, "other commitments to a shared key");
        }
        Ok(false)
    }

    /// What a peer commits to for the keys this node does not hold, at the generation of this node's row.
    fn foreign_keys(&self, peer: NodeIndex, row: &Row, report: &Signed<RowReport>) -> Result<Reported, Refusal> {
        let opened: RowReport = open_signed(&self.trust, node_name(peer), report)
            .map_err(|_| self.refuse(peer, "a report that is not its own"))?;
        if opened.node != peer {
            return Err(self.refuse(peer, "a report that is not its own"));
        }
        let generations = self.generations();
        if opened.head != row.holder.head || !(generations.has(opened.generation) && generations.has(row.generation)) {
            return Ok(Reported::Elsewhere);
        }
        let (mut own, mut private) = (row.clone(), self.private(row)?);
        let root_u: Octets<32> = private.root_u;
        self.move_to(&mut own, &mut private, opened.generation)?;
        let own = self.commitments(&RowKeys::of(&own, &private))?;
        for (subset, told) in &opened.commitments {
            if own.get(subset).is_some_and(|own| own != told) {
                return Ok(Reported::Contradicts);
            }
        }
        let foreign = self.foreign();
        let Some(told) = opened.commitments.get(&foreign) else { return Ok(Reported::Elsewhere) };
        let told = self.told_at(row, &root_u, Commitments::of(foreign, told), [opened.generation, row.generation]);
        told.map(Reported::Fits).map_err(|_| self.refuse(peer, "a commitment that is none"))
    }
}
