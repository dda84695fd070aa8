//! A statement takes effect when two nodes have accepted it in one ballot (docs/decisions/0018): this node asks its peers first, and commits
//! with the word of one of them. Who commits is the second to accept, so that nothing is bound where nobody answers.

use super::super::change::{Prepared, name_of};
use super::super::paper::Copies;
use super::super::row::{HeldStatement, OpenVote, Private};
use super::super::{Node, Row};
use crate::retrying;
use hufu_domain::agreement::{Choice, OPEN, Vote, choose, next_ballot};
use hufu_domain::holder::Timing;
use hufu_kernel::{Blame, Handle, Head, NodeIndex, Octets, Refusal, framed};
use hufu_store::{StoreError, Versioned};
use hufu_wire::api::Signed;
use hufu_wire::api::peer::{Acceptance, AcceptanceReply, AskAcceptance, AskPromise, Carried, PromiseReply, Voted};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// Ballots of one's own in a row before it is left to the next occasion: two nodes that outbid each other give way.
const ROUNDS: u32 = 4;

/// A statement that has been committed here.
pub(in super::super) struct Taken {
    pub row: Row,
    pub private: Private,
    pub copies: Option<Copies>,
}

/// What asking the peers came to.
enum Collected {
    /// Two have accepted: this node and one peer, with their words; whether the peer was first.
    Two(Box<Carried>, bool),
    /// Another statement is in the way, or a ballot above this one.
    Parted(u64),
}

/// What this node and its peers told for one ballot.
struct Told {
    accepted: Vec<Option<(u64, Octets<32>)>>,
    said: Vec<Carried>,
    above: u64,
    /// A peer has no such row.
    gone: bool,
}

impl Node {
    /// Takes a statement that came from its signer: checked here, accepted by a peer, committed.
    ///
    /// # Errors
    /// The refusal of this node's checks, or of both peers'; [`Refusal::NodesUnavailable`] if none answers; nothing is changed then.
    /// [`Refusal::VersionConflict`] if another statement takes its place; [`Refusal::NodesDisagree`] while only the third node, which is away, knows
    /// which of two it is.
    pub(in super::super) async fn take(
        &self,
        found: Versioned<Row>,
        said: &Carried,
        first: Option<NodeIndex>,
    ) -> Result<Taken, Refusal> {
        let timing = Timing::Fresh(self.clock.now());
        let prepared = self.prepare(&found.record, said, timing)?;
        self.check_free(&found.record, &prepared.row).await?;
        let name = name_of(&said.statement);
        let mut above = OPEN;
        if votes(&found.record).accept(OPEN, &name).is_ok() {
            match self.collect(&found.record, &prepared, said, OPEN, first).await? {
                Collected::Two(said, peer_was_first) => {
                    self.carry_out(&found, &prepared, &said, timing).await?;
                    if !peer_was_first {
                        self.owe(&found.record.handle);
                    }
                    let Prepared { row, private, copies, .. } = prepared;
                    return Ok(Taken { row, private, copies });
                }
                Collected::Parted(seen) => above = seen,
            }
        }
        let (chosen, taken) = self.by_ballot(found, Some(said), above).await?;
        if chosen == name { Ok(taken) } else { Err(Refusal::VersionConflict) }
    }

    /// A row that is behind what somebody speaks about fetches it first.
    pub(in super::super) async fn brought_up(
        &self,
        found: Versioned<Row>,
        version: u64,
    ) -> Result<Versioned<Row>, Refusal> {
        let handle = found.record.handle;
        for peer in self.in_order(None) {
            if self.row_at(&handle).await?.record.holder.version >= version {
                break;
            }
            if let Err(refusal) = self.catch_up(peer, &handle).await {
                tracing::warn!(peer = peer.get(), code = refusal.code(), "a row is behind, and a peer does not help");
            }
        }
        self.row_at(&handle).await
    }

    /// The peers, the one that did not answer last.
    pub(super) fn in_order(&self, first: Option<NodeIndex>) -> [NodeIndex; 2] {
        let [a, b] = self.others();
        let second_first = match first {
            Some(first) => first == b,
            None => self.beyond.first.load(Ordering::Relaxed) == b.get(),
        };
        if second_first { [b, a] } else { [a, b] }
    }

    /// Asks the peers for acceptances until one gives it.
    async fn collect(
        &self,
        row: &Row,
        prepared: &Prepared,
        said: &Carried,
        ballot: u64,
        first: Option<NodeIndex>,
    ) -> Result<Collected, Refusal> {
        let (mut refused, mut parted) = (None, None::<u64>);
        for peer in self.in_order(first) {
            let name = self.row_name(peer, &prepared.private.root_u)?;
            let said = Carried { accepted: Vec::new(), ..said.clone() };
            let ask = AskAcceptance { row: name, ballot, said };
            match self.peer(peer).accept(self.index, &ask).await {
                Ok(AcceptanceReply::Accepted { word, committed }) => {
                    let own = self.word(row, name_of(&ask.said.statement), ballot, prepared.row.holder.head)?;
                    if self.is_word_of(peer, &word, &own)? {
                        let said = Carried { accepted: vec![own, word], ..ask.said };
                        return Ok(Collected::Two(Box::new(said), committed));
                    }
                    self.refuse(peer, "an acceptance of something else");
                }
                // It had the row, or never will: who leaves needs no second node that still knows them.
                Ok(AcceptanceReply::Gone) if prepared.leaves => return Ok(Collected::Two(Box::new(ask.said), true)),
                Ok(AcceptanceReply::Ahead) => {
                    if self.catch_up(peer, &row.handle).await.unwrap_or(false) {
                        return Err(Refusal::Busy);
                    }
                }
                Ok(AcceptanceReply::Other) => parted = parted.max(Some(ballot)),
                Ok(AcceptanceReply::Promised(above)) => parted = parted.max(Some(above)),
                Ok(AcceptanceReply::Behind | AcceptanceReply::Gone) => {}
                Err(refusal) if refusal.text().blame == Blame::Service => self.silent(peer, refusal),
                Err(refusal) => refused = Some(refusal),
            }
        }
        match (parted, refused) {
            (Some(above), _) => Ok(Collected::Parted(above)),
            (None, Some(refusal)) => Err(refusal),
            (None, None) => Err(Refusal::NodesUnavailable),
        }
    }

    fn silent(&self, peer: NodeIndex, refusal: Refusal) {
        tracing::warn!(peer = peer.get(), code = refusal.code(), "a peer does not answer");
        self.beyond.first.store(self.third(peer).get(), Ordering::Relaxed);
    }

    /// Whether a peer's word says what this node's own says.
    fn is_word_of(
        &self,
        peer: NodeIndex,
        word: &Signed<Acceptance>,
        own: &Signed<Acceptance>,
    ) -> Result<bool, Refusal> {
        let own = self.open_word(own)?;
        Ok(self.open_word(word).is_ok_and(|word| word == Acceptance { node: peer, ..own }))
    }

    /// Opens a ballot of this node's own, since the open one was parted or cannot be ended: what may be chosen already is proposed
    /// again, else what has votes, else `wanted`. The name of what was committed.
    ///
    /// # Errors
    /// As [`Node::take`].
    pub(super) async fn by_ballot(
        &self,
        mut found: Versioned<Row>,
        wanted: Option<&Carried>,
        mut above: u64,
    ) -> Result<(Octets<32>, Taken), Refusal> {
        let mut vain = BTreeSet::new();
        for _ in 0..ROUNDS {
            let mine = votes(&found.record);
            let ballot = next_ballot(self.index, above.max(mine.promised));
            let promised = mine.promise(ballot).map_err(|_| Refusal::Busy)?;
            let held = found.record.vote.as_ref().and_then(|vote| vote.held.clone());
            found = self.bind(&found, OpenVote { ballots: promised, held }).await?;
            let told = self.promises(&found.record, ballot).await?;
            above = told.above;
            if told.gone
                && let Some(left) = self.leave_after_a_peer(&found, told.said.iter().chain(wanted)).await?
            {
                return Ok(left);
            }
            if told.accepted.len() < 2 {
                if above > ballot {
                    continue;
                }
                return Err(Refusal::NodesUnavailable);
            }
            let (may, free) = match choose(&told.accepted) {
                Choice::Must(name) => (vec![name], false),
                Choice::Free(names) => (names, true),
                Choice::Wait => return Err(Refusal::NodesDisagree),
            };
            // In the order of names; what nobody has voted for comes last.
            let known =
                |name: &Octets<32>| told.said.iter().chain(wanted).find(|said| name_of(&said.statement) == *name);
            let mut open: Vec<&Carried> = may.iter().filter_map(known).collect();
            open.extend(wanted.filter(|_| free));
            let timing = Timing::Late(self.clock.now());
            let open = open.into_iter().filter(|said| !vain.contains(&name_of(&said.statement)));
            let open = open.filter_map(|said| Some((said, self.prepare(&found.record, said, timing).ok()?))).next();
            let Some((said, prepared)) = open else { break };
            let name = name_of(&said.statement);
            match self.collect(&found.record, &prepared, said, ballot, None).await {
                Ok(Collected::Two(said, _)) => {
                    self.carry_out(&found, &prepared, &said, timing).await?;
                    self.owe(&found.record.handle);
                    let Prepared { row, private, copies, .. } = prepared;
                    return Ok((name, Taken { row, private, copies }));
                }
                Ok(Collected::Parted(seen)) => above = above.max(seen),
                Err(refusal @ (Refusal::Busy | Refusal::NodesUnavailable)) => return Err(refusal),
                // Nobody takes this one: another ballot, another statement.
                Err(_) => drop(vain.insert(name)),
            }
        }
        Err(Refusal::NodesDisagree)
    }

    /// The person left at a peer already, and this node knows that they wanted to.
    async fn leave_after_a_peer<'a>(
        &self,
        found: &Versioned<Row>,
        said: impl Iterator<Item = &'a Carried> + Send,
    ) -> Result<Option<(Octets<32>, Taken)>, Refusal> {
        let timing = Timing::Late(self.clock.now());
        let mut leaving = said.filter_map(|said| Some((said, self.prepare(&found.record, said, timing).ok()?)));
        let Some((said, prepared)) = leaving.find(|(_, prepared)| prepared.leaves) else { return Ok(None) };
        self.carry_out(found, &prepared, said, timing).await?;
        let Prepared { row, private, copies, .. } = prepared;
        Ok(Some((name_of(&said.statement), Taken { row, private, copies })))
    }

    /// Asks for promises; what this node itself has accepted is told first.
    async fn promises(&self, row: &Row, ballot: u64) -> Result<Told, Refusal> {
        let mut told = Told { accepted: vec![votes(row).accepted], said: Vec::new(), above: ballot, gone: false };
        told.said.extend(self.held(row)?);
        let root_u = self.private(row)?.root_u;
        for peer in self.others() {
            let name = self.row_name(peer, &root_u)?;
            let ask = AskPromise { row: name, version: row.holder.version, head: row.holder.head, ballot };
            match self.peer(peer).promise(self.index, &ask).await {
                Ok(PromiseReply::Promised { accepted }) => match accepted {
                    None => told.accepted.push(None),
                    Some(voted) if self.has_voted(peer, row, &voted) => {
                        told.accepted.push(Some((voted.ballot, name_of(&voted.said.statement))));
                        told.said.push(Carried { accepted: Vec::new(), ..voted.said });
                    }
                    Some(_) => drop(self.refuse(peer, "a vote without its own word")),
                },
                Ok(PromiseReply::Higher(higher)) => told.above = told.above.max(higher),
                Ok(PromiseReply::Ahead) => {
                    if self.catch_up(peer, &row.handle).await.unwrap_or(false) {
                        return Err(Refusal::Busy);
                    }
                }
                Ok(PromiseReply::Gone) => told.gone = true,
                Ok(PromiseReply::Behind) => {}
                Err(refusal) => self.silent(peer, refusal),
            }
        }
        Ok(told)
    }

    /// A vote is told with the voter's signature: who tells two different ones has signed both.
    fn has_voted(&self, peer: NodeIndex, row: &Row, voted: &Voted) -> bool {
        let word = voted.said.accepted.first().and_then(|word| self.open_word(word).ok());
        word.is_some_and(|word| {
            word.node == peer
                && (word.version, word.head) == (row.holder.version, row.holder.head)
                && (word.ballot, word.statement) == (voted.ballot, name_of(&voted.said.statement))
        })
    }

    /// Writes this node's vote; nobody hears of it before.
    pub(super) async fn bind(&self, found: &Versioned<Row>, vote: OpenVote) -> Result<Versioned<Row>, Refusal> {
        let row = Row { vote: Some(vote), ..found.record.clone() };
        match self.put(&row, Some(found)).await {
            Ok(()) => {}
            Err(StoreError::Duplicate(index)) => return Err(super::super::change::taken(index)),
            Err(other) => return Err(other.into()),
        }
        let bound = self.row_at(&row.handle).await?;
        // Another writer came between: what it knows counts.
        if bound.record == row { Ok(bound) } else { Err(Refusal::Busy) }
    }

    /// The statement this node has accepted and not committed.
    pub(super) fn held(&self, row: &Row) -> Result<Option<Carried>, Refusal> {
        let Some(held) = row.vote.as_ref().and_then(|vote| vote.held.as_ref()) else { return Ok(None) };
        let opened = self.keys.open("rows", &vote_aad(row), &held.said).map_err(|error| crate::broken(&error))?;
        serde_json::from_slice(&opened).map(Some).map_err(|error| crate::unreadable("a vote", &error))
    }

    /// Seals a statement as what a vote is for.
    pub(super) fn hold(&self, row: &Row, said: &Carried, prepared: &Prepared) -> Result<HeldStatement, Refusal> {
        let bytes = serde_json::to_vec(said).map_err(|error| crate::broken(&error))?;
        let sealed = self.keys.seal("rows", &vote_aad(row), &bytes).map_err(|error| crate::broken(&error))?;
        let needed = Self::needed(row, &prepared.row).into_iter();
        let reserved = needed.map(|(index, value)| (index.to_owned(), value.into())).collect();
        Ok(HeldStatement { said: sealed, after: prepared.row.holder.head, reserved })
    }

    /// Ends a vote that nobody came back for. Whether the row has none any more.
    ///
    /// # Errors
    /// As [`Node::take`].
    pub(super) async fn end_vote(&self, handle: &Handle) -> Result<bool, Refusal> {
        for peer in self.others() {
            // The peers may know the end already.
            let _unreachable = self.level_with(handle, peer).await;
        }
        let found = self.row_at(handle).await?;
        if found.record.vote.as_ref().is_none_or(|vote| vote.held.is_none()) {
            return Ok(true);
        }
        match retrying(|| async { self.by_ballot(self.row_at(handle).await?, None, OPEN).await.map(|_| ()) }).await {
            Ok(()) => Ok(true),
            Err(Refusal::NodesDisagree) => self.give_up(handle).await,
            Err(refusal) => Err(refusal),
        }
    }

    /// A vote for what is too old to be accepted, and which all three know cannot be chosen any more, is forgotten; the promise stays.
    async fn give_up(&self, handle: &Handle) -> Result<bool, Refusal> {
        let found = self.row_at(handle).await?;
        let mine = votes(&found.record);
        let Some(held) = self.held(&found.record)? else { return Ok(true) };
        if self.prepare(&found.record, &held, Timing::Late(self.clock.now())).is_ok() {
            return Ok(false);
        }
        let ballot = next_ballot(self.index, mine.promised);
        let promised = mine.promise(ballot).map_err(|_| Refusal::Busy)?;
        let held = found.record.vote.as_ref().and_then(|vote| vote.held.clone());
        let found = self.bind(&found, OpenVote { ballots: promised.clone(), held }).await?;
        let told = self.promises(&found.record, ballot).await?;
        if told.accepted.len() < 3 || !matches!(choose(&told.accepted), Choice::Free(_)) {
            return Ok(false);
        }
        let ballots = Vote { promised: promised.promised, accepted: None };
        self.bind(&found, OpenVote { ballots, held: None }).await?;
        Ok(true)
    }
}

/// What a node has bound itself to; nothing, for most rows.
pub(super) fn votes(row: &Row) -> Vote<Octets<32>> {
    row.vote.as_ref().map(|vote| vote.ballots.clone()).unwrap_or_default()
}

fn vote_aad(row: &Row) -> Vec<u8> {
    framed(&[b"vote", row.handle.as_slice(), &row.holder.version.to_be_bytes()])
}

/// The head that a held statement leads to.
pub(super) fn held_after(row: &Row) -> Option<Head> {
    row.vote.as_ref().and_then(|vote| vote.held.as_ref()).map(|held| held.after)
}
