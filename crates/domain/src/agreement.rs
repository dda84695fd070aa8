//! At most one statement for each version of a row, whatever a wallet, a thief or a registrar tells whom (flows 6).
//!
//! One *slot* is the step from one version of a row to the next. Three nodes vote on what stands in it; what two have accepted in one
//! ballot is chosen and stays chosen. Ballot 0 is for everybody: whichever statement reaches a node first has its vote there. Only if
//! that parts the votes does a node open a ballot of its own. docs/decisions/0018 argues why this cannot fork, and the tests below
//! walk through every order of steps, losses and crashes of three nodes and two statements.

use hufu_kernel::NodeIndex;
use serde::{Deserialize, Serialize};

/// The ballot in which nobody has to be asked before.
pub const OPEN: u64 = 0;

/// A ballot that only `node` opens, above `above`.
#[must_use]
pub fn next_ballot(node: NodeIndex, above: u64) -> u64 {
    (above / 4 + 1) * 4 + u64::from(node.get())
}

/// What one node has bound itself to in one slot. It is on disk before anybody hears of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Vote<S> {
    /// No ballot below this one gets anything from this node any more.
    pub promised: u64,
    /// The newest acceptance, by ballot.
    #[serde(skip_serializing_if = "Option::is_none", default = "Option::default")]
    pub accepted: Option<(u64, S)>,
}

impl<S> Default for Vote<S> {
    fn default() -> Self {
        Self { promised: OPEN, accepted: None }
    }
}

/// Why a node does not accept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Against {
    /// It has promised to take nothing below this ballot.
    Promised(u64),
    /// It has accepted something else in this ballot.
    Other,
}

impl<S: Clone + PartialEq> Vote<S> {
    /// Promises to take nothing below `ballot`.
    ///
    /// # Errors
    /// The ballot promised already, if it is not below.
    pub fn promise(&self, ballot: u64) -> Result<Self, u64> {
        if ballot <= self.promised {
            return Err(self.promised);
        }
        Ok(Self { promised: ballot, accepted: self.accepted.clone() })
    }

    /// Accepts `value` in `ballot`.
    ///
    /// # Errors
    /// [`Against`].
    pub fn accept(&self, ballot: u64, value: &S) -> Result<Self, Against> {
        match &self.accepted {
            Some((at, held)) if *at == ballot && held != value => return Err(Against::Other),
            _ if ballot < self.promised => return Err(Against::Promised(self.promised)),
            _ => {}
        }
        Ok(Self { promised: ballot, accepted: Some((ballot, value.clone())) })
    }
}

/// What a node that has promises from itself and others may propose in its ballot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice<S> {
    /// This and nothing else: it may be chosen already.
    Must(S),
    /// Anything: nothing is chosen, and nothing of an older ballot can be. What has votes comes first, in its own order.
    Free(Vec<S>),
    /// Nothing yet: two nodes accepted different things, and only the third knows which of them it shares.
    Wait,
}

/// The rule for the acceptances that two or all three nodes told with their promises.
#[must_use]
pub fn choose<S: Clone + Ord>(told: &[Option<(u64, S)>]) -> Choice<S> {
    let newest = told.iter().flatten().max_by_key(|(ballot, _)| *ballot);
    match newest {
        None => Choice::Free(Vec::new()),
        Some((OPEN, _)) => choose_open(told),
        Some((_, value)) => Choice::Must(value.clone()),
    }
}

/// Where the open ballot is the newest, values differ, and two equal votes are a choice.
fn choose_open<S: Clone + Ord>(told: &[Option<(u64, S)>]) -> Choice<S> {
    let mut values: Vec<S> = told.iter().flatten().map(|(_, value)| value.clone()).collect();
    values.sort();
    if let Some(pair) = values.windows(2).find(|pair| pair[0] == pair[1]) {
        return Choice::Must(pair[0].clone());
    }
    match (told.len(), values.as_slice()) {
        // All three have spoken and no two agree.
        (3.., _) => Choice::Free(values),
        // The third may have accepted the same.
        (_, [only]) => Choice::Must(only.clone()),
        _ => Choice::Wait,
    }
}

#[cfg(test)]
mod tests;
