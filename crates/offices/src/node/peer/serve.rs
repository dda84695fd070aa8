//! What a node answers to its peers.

use super::super::change::{name_of, parsed};
use super::super::row::{OpenVote, Remembered};
use super::super::sub_keys::RowKeys;
use super::super::{Node, Row};
use super::propose::{held_after, votes};
use crate::ports::NodePeer;
use crate::{retrying, sign};
use async_trait::async_trait;
use hufu_domain::agreement::{Against, OPEN};
use hufu_domain::holder::{Status, Timing};
use hufu_kernel::{NodeIndex, Refusal};
use hufu_store::Versioned;
use hufu_wire::api::Signed;
use hufu_wire::api::holder::Statement;
use hufu_wire::api::peer::{
    Acceptance, AcceptanceReply, AskAcceptance, AskEntries, AskMoved, AskPromise, AskRows, AskStatements, AskSums,
    Carried, Entries, Level, Levelled, Moved, PromiseReply, RowReport, Rows, Statements, Sums, Voted,
};

#[async_trait]
impl NodePeer for Node {
    async fn accept(&self, from: NodeIndex, ask: &AskAcceptance) -> Result<AcceptanceReply, Refusal> {
        self.settled().await?;
        retrying(|| self.accept_once(from, ask)).await
    }

    async fn promise(&self, from: NodeIndex, ask: &AskPromise) -> Result<PromiseReply, Refusal> {
        self.settled().await?;
        retrying(|| self.promise_once(from, ask)).await
    }

    async fn level(&self, from: NodeIndex, ask: &Level) -> Result<Levelled, Refusal> {
        let behind = match self.row_by_peer(from, &ask.row).await? {
            Some(found) if found.record.holder.version >= ask.version => return Ok(levelled(&found.record)),
            found => found,
        };
        match behind.filter(|found| !is_pending(&found.record)) {
            Some(found) => drop(self.catch_up(from, &found.record.handle).await?),
            // A row that this node never heard of, or of whose confirmation.
            None => drop(self.adopt(from, std::slice::from_ref(&ask.row)).await?),
        }
        let found = self.row_by_peer(from, &ask.row).await?.ok_or(Refusal::UnknownDevice)?;
        Ok(levelled(&found.record))
    }

    async fn statements(&self, from: NodeIndex, ask: &AskStatements) -> Result<Statements, Refusal> {
        let row = self.row_by_peer(from, &ask.row).await?.ok_or(Refusal::UnknownDevice)?.record;
        let said = self.carried_after(&row, ask.after).await?;
        Ok(Statements { at: levelled(&row), said, report: self.row_report(&row)? })
    }

    async fn sums(&self, from: NodeIndex, ask: &AskSums) -> Result<Sums, Refusal> {
        self.take_stock().await?;
        if ask.prefix.0.len() > 1 {
            return Err(Refusal::Malformed);
        }
        Ok(Sums { sums: self.own_sums(from, &ask.prefix.0).await?, settled: self.is_settled().await? })
    }

    async fn entries(&self, from: NodeIndex, ask: &AskEntries) -> Result<Entries, Refusal> {
        let mut rows = Vec::new();
        match ask {
            AskEntries::Leaf(prefix) => {
                self.take_stock().await?;
                for found in self.leaf(from, prefix.as_slice()).await? {
                    rows.push(self.entry(from, &found.record)?);
                }
            }
            AskEntries::Named(names) => {
                for name in names.iter().take(AskRows::MOST) {
                    if let Some(found) = self.row_by_peer(from, name).await? {
                        rows.push(self.entry(from, &found.record)?);
                    }
                }
            }
        }
        rows.sort_by_key(|entry| entry.row);
        Ok(Entries { rows, settled: self.is_settled().await? })
    }

    async fn rows(&self, from: NodeIndex, ask: &AskRows) -> Result<Rows, Refusal> {
        let mut rows = Vec::new();
        for name in ask.rows.iter().take(AskRows::MOST) {
            if let Some(found) = self.row_by_peer(from, name).await?
                && !is_pending(&found.record)
            {
                match self.whole(from, *name, &found.record).await {
                    Ok(whole) => rows.push(whole),
                    // A row that waits for its peers itself.
                    Err(Refusal::NodesDisagree) => {}
                    Err(refusal) => return Err(refusal),
                }
            }
        }
        rows.sort_by_key(|whole| whole.row);
        Ok(Rows { rows })
    }

    async fn moved(&self, from: NodeIndex, ask: &AskMoved) -> Result<Moved, Refusal> {
        // Whoever asks may decide by it what is destroyed.
        self.has_looked_for_keys().await?;
        let moved = self.has_moved();
        let behind = moved.behind.filter(|_| moved.generation == ask.generation);
        Ok(Moved { behind, check: self.check_of(moved.newest, from, self.index)?, ..moved })
    }
}

impl Node {
    async fn accept_once(&self, from: NodeIndex, ask: &AskAcceptance) -> Result<AcceptanceReply, Refusal> {
        let Some(mut found) = self.row_by_peer(from, &ask.row).await? else { return Ok(AcceptanceReply::Gone) };
        let statement = parsed(&ask.said.statement)?;
        if statement.version > found.record.holder.version {
            if let Err(refusal) = self.catch_up(from, &found.record.handle).await {
                tracing::warn!(peer = from.get(), code = refusal.code(), "a row is behind what a peer asks about");
            }
            found = self.row_at(&found.record.handle).await?;
        }
        let row = &found.record;
        if statement.version > row.holder.version {
            return Ok(AcceptanceReply::Behind);
        }
        if statement.version < row.holder.version {
            let word = self.word_on_past(row, &statement, ask).await?;
            return Ok(word.map_or(AcceptanceReply::Ahead, |word| AcceptanceReply::Accepted { word, committed: true }));
        }
        if statement.head != row.holder.head {
            tracing::error!(peer = from.get(), "a row has another history at a peer");
            return Err(Refusal::VersionConflict);
        }
        self.accept_next(&found, ask).await
    }

    /// A statement for the very state the row is in.
    async fn accept_next(&self, found: &Versioned<Row>, ask: &AskAcceptance) -> Result<AcceptanceReply, Refusal> {
        let row = &found.record;
        let name = name_of(&ask.said.statement);
        let mine = votes(row);
        let ballots = match mine.accept(ask.ballot, &name) {
            Ok(ballots) => ballots,
            Err(Against::Other) => return Ok(AcceptanceReply::Other),
            Err(Against::Promised(above)) => return Ok(AcceptanceReply::Promised(above)),
        };
        let given = |after| self.word(row, name, ask.ballot, after);
        if let Some(after) = held_after(row).filter(|_| ballots == mine) {
            return Ok(AcceptanceReply::Accepted { word: given(after)?, committed: false });
        }
        let now = self.clock.now();
        let timing = if ask.ballot == OPEN { Timing::Fresh(now) } else { Timing::Late(now) };
        let prepared = self.prepare(row, &ask.said, timing)?;
        // The word says that the person was told where they must be.
        self.tell_before(&prepared, &ask.said.statement).await?;
        let held = self.hold(row, &Carried { accepted: Vec::new(), ..ask.said.clone() }, &prepared)?;
        self.bind(found, OpenVote { ballots, held: Some(held) }).await?;
        let word = given(prepared.row.holder.head)?;
        Ok(AcceptanceReply::Accepted { word, committed: false })
    }

    /// The word on what is committed already: it is chosen, in whichever ballot it is asked about.
    async fn word_on_past(
        &self,
        row: &Row,
        statement: &Statement,
        ask: &AskAcceptance,
    ) -> Result<Option<Signed<Acceptance>>, Refusal> {
        let led_to = statement.version + 1;
        if !self.has_heard(row, led_to, &ask.said.statement).await? {
            return Ok(None);
        }
        let Some(after) = self.head_at(row, led_to).await? else { return Ok(None) };
        let name = name_of(&ask.said.statement);
        let (version, head) = (statement.version, statement.head);
        self.word_at(Acceptance { version, head, statement: name, ballot: ask.ballot, after, node: self.index })
            .map(Some)
    }

    async fn promise_once(&self, from: NodeIndex, ask: &AskPromise) -> Result<PromiseReply, Refusal> {
        let Some(found) = self.row_by_peer(from, &ask.row).await? else { return Ok(PromiseReply::Gone) };
        let row = &found.record;
        if row.holder.version > ask.version {
            return Ok(PromiseReply::Ahead);
        }
        if (row.holder.version, row.holder.head) != (ask.version, ask.head) {
            return Ok(PromiseReply::Behind);
        }
        let mine = votes(row);
        let ballots = match mine.promise(ask.ballot) {
            Ok(ballots) => ballots,
            Err(above) => return Ok(PromiseReply::Higher(above)),
        };
        let held = row.vote.as_ref().and_then(|vote| vote.held.clone());
        self.bind(&found, OpenVote { ballots, held }).await?;
        let (Some((ballot, name)), Some(said), Some(after)) = (mine.accepted, self.held(row)?, held_after(row)) else {
            return Ok(PromiseReply::Promised { accepted: None });
        };
        let said = Carried { accepted: vec![self.word(row, name, ballot, after)?], ..said };
        Ok(PromiseReply::Promised { accepted: Some(Box::new(Voted { ballot, said })) })
    }

    /// The statements after a version that this row still remembers.
    pub(super) async fn carried_after(&self, row: &Row, after: u64) -> Result<Vec<Carried>, Refusal> {
        let remembered: Vec<Versioned<Remembered>> = self.remembered_after(row, after).await?;
        Ok(remembered.iter().filter_map(|remembered| self.said(&remembered.record)).collect())
    }

    /// What this node commits to, at the row's head.
    fn row_report(&self, row: &Row) -> Result<Signed<RowReport>, Refusal> {
        let commitments = self.commitments(&RowKeys::of(row, &self.private(row)?))?;
        let report = RowReport { head: row.holder.head, node: self.index, generation: row.generation, commitments };
        sign(self.keys.as_ref(), self.name(), &report)
    }
}

/// Where a row is.
pub(super) fn levelled(row: &Row) -> Levelled {
    Levelled { version: row.holder.version, head: row.holder.head }
}

/// Whether an enrolment is not confirmed yet.
pub(super) fn is_pending(row: &Row) -> bool {
    matches!(row.holder.status, Status::Pending { .. })
}
