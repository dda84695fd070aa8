//! A new generation of K_A (docs/decisions/0017): each pair flips its new key, all three nodes flip Z, and the order says from when
//! rows move. Rounds as in [`super::found`]; the old keys stay until `hufu keys retire`.

use super::engine::{Context, Protocol, Round, Turn, Words};
use super::joint::{Coin, Flips, Revealed, checks};
use super::own_keys::pending;
use super::{CeremonyError, Outcome, Role, transcript};
use crate::key_names;
use hufu_kernel::{KeyUse, NodeIndex, Subset, Timestamp};
use hufu_wire::api::ceremony::{Check, Said};

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

impl Rotate {
    pub fn open(cx: &Context) -> Result<(Protocol, Words), CeremonyError> {
        let Role::Node(own) = Role::of(cx.setup.office) else {
            return Err(CeremonyError::NoParty(cx.setup.office.to_owned()));
        };
        let names = cx.setup.keys.names()?;
        let standing = |told: &str| Err(CeremonyError::Standing(told.to_owned()));
        let present = key_names::generations(own, names.iter().map(String::as_str));
        let Some(newest) = present.last() else { return standing("this node has no K_A to move from") };
        if present.len() > 1 {
            return standing("the last rotation is not over: retire its old keys first (hufu keys retire)");
        }
        let Some(since) = cx.setup.order.order.effective else {
            return standing("the order does not say from when the new keys count");
        };
        let generation = newest + 1;
        let mut open = cx.opening();
        open.generation = Some(*newest);
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
                let mut check = Check::default();
                flips.finish(cx, own, &round, &mut check)?;
                let held = pending(&key_names::since(generation));
                cx.setup.keys.import(&held, KeyUse::Share, &since.to_be_bytes())?;
                (Stage::Checked, Words::of(Said::Check(Box::new(check))))
            }
            Stage::Checked => {
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
