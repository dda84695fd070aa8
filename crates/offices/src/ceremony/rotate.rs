//! A new generation of K_A (docs/decisions/0017): each pair flips its new key, all three nodes flip Z, and the order says from when
//! rows move. Rounds as in [`super::found`]; the old keys stay until `hufu keys retire`.

use super::engine::{Context, Protocol, Round, Turn, Words};
use super::joint::{Coin, Flips, Revealed, checks};
use super::own_keys::pending;
use super::{CeremonyError, Outcome, Role, Setup, transcript};
use crate::key_names;
use hufu_kernel::{KeyUse, NodeIndex, Subset, Timestamp};
use hufu_wire::api::ceremony::{Check, Said};
use hufu_wire::api::order::RESTART;

/// Where the rotation is at one node.
pub(super) struct Rotate {
    own: NodeIndex,
    generation: u32,
    since: Timestamp,
    stage: Stage,
}

enum Stage {
    Opened(Flips),
    Revealed(Revealed),
    Checked,
    Confirmed,
}

/// The keys of a generation, for which coins are flipped.
pub(super) fn coins(generation: u32) -> Vec<Coin> {
    let of = |subset: Subset| {
        let (a, b) = subset.holders();
        Coin { key: key_names::sub_key(subset, generation), holders: vec![a, b] }
    };
    let zero = Coin { key: key_names::zero(generation), holders: NodeIndex::ALL.to_vec() };
    Subset::ALL.into_iter().map(of).chain([zero]).collect()
}

/// Refuses when too little time is left before the new keys count: a node that does not have them by then is out.
fn in_time(now: Timestamp, since: Timestamp) -> Result<(), CeremonyError> {
    if now + RESTART <= since {
        return Ok(());
    }
    let told = format!(
        "the new keys would count from {since} on, and {} minutes before that are for restarting the nodes: order it again with \
         a later --effective",
        RESTART / 60
    );
    Err(CeremonyError::Standing(told))
}

impl Rotate {
    /// Which node this is, the generation it has, and from when the next one counts.
    pub fn may_open(setup: &Setup, now: Timestamp) -> Result<(NodeIndex, u32, Timestamp), CeremonyError> {
        let Role::Node(own) = Role::of(setup.office) else {
            return Err(CeremonyError::NoParty(setup.office.to_owned()));
        };
        let names = setup.keys.names()?;
        let standing = |told: &str| Err(CeremonyError::Standing(told.to_owned()));
        let present = key_names::generations(own, names.iter().map(String::as_str));
        let Some(newest) = present.last() else { return standing("this node has no K_A to move from") };
        if present.len() > 1 {
            return standing("the last rotation is not over: retire its old keys first (hufu keys retire)");
        }
        let Some(since) = setup.order.order.effective else {
            return standing("the order does not say from when the new keys count");
        };
        in_time(now, since)?;
        Ok((own, *newest, since))
    }

    pub fn open(cx: &Context, now: Timestamp) -> Result<(Protocol, Words), CeremonyError> {
        let (own, newest, since) = Self::may_open(&cx.setup, now)?;
        let generation = newest + 1;
        let mut open = cx.opening();
        open.generation = Some(newest);
        let flips = Flips::start(cx, own, &coins(generation), &mut open)?;
        let state = Self { own, generation, since, stage: Stage::Opened(flips) };
        Ok((Protocol::Rotate(state), Words::of(Said::Open(Box::new(open)))))
    }

    pub fn next(self, round: Round, cx: &Context) -> Result<Turn, CeremonyError> {
        let Self { own, generation, since, stage } = self;
        let (stage, words) = match stage {
            Stage::Opened(flips) => {
                let opens = round.opens()?;
                cx.same_premises(&opens)?;
                transcript::next_generation(&opens, generation)?;
                let mut words = Words::of(Said::Parts);
                (Stage::Revealed(flips.reveal(own, &opens, &mut words.secrets)?), words)
            }
            Stage::Revealed(flips) => {
                in_time(round.now, since)?;
                let mut check = Check::default();
                flips.finish(cx, own, &round, &mut check)?;
                let held = pending(&key_names::since(generation));
                cx.setup.keys.import(&held, KeyUse::Share, &since.to_be_bytes())?;
                (Stage::Checked, Words::of(Said::Check(Box::new(check))))
            }
            Stage::Checked => {
                in_time(round.now, since)?;
                transcript::same_coins(&checks(&round)?, &coins(generation))?;
                let outcome = Outcome::Generation { generation, since };
                (Stage::Confirmed, Words::of(Said::Confirm { outcome: outcome.hash() }))
            }
            Stage::Confirmed => {
                let outcome = Outcome::Generation { generation, since };
                round.confirmed(&outcome)?;
                return Ok(Turn::Done(outcome));
            }
        };
        Ok(Turn::Say(Box::new(Protocol::Rotate(Self { own, generation, since, stage })), words))
    }
}
