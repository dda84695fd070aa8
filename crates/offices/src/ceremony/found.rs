//! All keys of a new trust root.
//!
//! 1. *Open*: every office draws its own keys and says their public halves; nodes commit to coins for k, kp and peer of each pair, and
//!    begin the group key; taggers begin the tag key.
//! 2. *Parts*: nodes reveal coins to the other holder alone; shares go to each of the others alone.
//! 3. *Check*: the keys are in the keepers, pending; holders show the same of them.
//! 4. *Confirm*: every office has made the same public half of the trust root from what all have said.

use super::engine::{Context, Protocol, Round, Turn, Words};
use super::joint::{Coin, Flips, Kin, Revealed, checks};
use super::own_keys::{draw, nothing_but_identity, pending};
use super::{CeremonyError, Outcome, Role, Setup, transcript};
use hufu_kernel::{KeyUse, NodeIndex, Subset};
use hufu_pairwise::{GenerationOpened, GenerationShared, GroupShares, TagShares};
use hufu_wire::api::ceremony::{Check, Open, Said};
use hufu_wire::api::roster::tagger_name;
use hufu_wire::api::trust::node_name;
use std::collections::BTreeMap;

/// Where the founding is at one office.
pub(super) enum Found {
    /// It has said what it begins with.
    Opened(Part<Flips, GenerationOpened<GroupShares>, GenerationOpened<TagShares>>),
    /// It has given the others their parts.
    Shared(Part<Revealed, GenerationShared<GroupShares>, GenerationShared<TagShares>>, BTreeMap<&'static str, Open>),
    /// It has shown what it arrived at.
    Checked(BTreeMap<&'static str, Open>),
    /// It has confirmed.
    Confirmed(Outcome),
}

/// An office's part in joint keys.
pub(super) enum Part<F, G, T> {
    Node(NodeIndex, F, G),
    Tagger(NodeIndex, T),
    None,
}

/// The keys of two holders, for which they flip coins.
pub(super) fn coins() -> Vec<Coin> {
    let of = |subset: Subset| {
        let (a, b) = subset.holders();
        ["k", "kp", "peer"].map(|kind| Coin { key: format!("{kind}-{}", subset.name()), holders: vec![a, b] })
    };
    Subset::ALL.into_iter().flat_map(of).collect()
}

fn nodes(own: NodeIndex) -> Kin {
    Kin { own, name: node_name }
}

fn taggers(own: NodeIndex) -> Kin {
    Kin { own, name: tagger_name }
}

impl Found {
    pub fn may_open(setup: &Setup) -> Result<(), CeremonyError> {
        nothing_but_identity(setup)?;
        if setup.trust.is_some() {
            let told = "this office has the public half of a trust root already; it is founded once".to_owned();
            return Err(CeremonyError::Standing(told));
        }
        Ok(())
    }

    pub fn open(cx: &Context) -> Result<(Protocol, Words), CeremonyError> {
        let mut open = cx.opening();
        draw(cx, &mut open)?;
        let part = match Role::of(cx.setup.office) {
            Role::Node(own) => {
                let flips = Flips::start(cx, own, &coins(), &mut open)?;
                Part::Node(own, flips, nodes(own).begin(cx, &mut open)?)
            }
            Role::Tagger(own) => Part::Tagger(own, taggers(own).begin(cx, &mut open)?),
            Role::Other => Part::None,
        };
        Ok((Protocol::Found(Self::Opened(part)), Words::of(Said::Open(Box::new(open)))))
    }

    pub fn next(self, round: Round, cx: &Context) -> Result<Turn, CeremonyError> {
        let (state, words) = match self {
            Self::Opened(part) => share(part, &round, cx)?,
            Self::Shared(part, opens) => {
                (Self::Checked(opens), Words::of(Said::Check(Box::new(check(part, &round, cx)?))))
            }
            Self::Checked(opens) => {
                let trust = transcript::founded(&cx.setup.roster, &cx.setup.names, &opens, &checks(&round)?)?;
                let outcome = Outcome::Trust(Box::new(trust));
                let words = Words::of(Said::Confirm { outcome: outcome.hash() });
                (Self::Confirmed(outcome), words)
            }
            Self::Confirmed(outcome) => {
                round.confirmed(&outcome)?;
                return Ok(Turn::Done(outcome));
            }
        };
        Ok(Turn::Say(Box::new(Protocol::Found(state)), words))
    }
}

fn share(
    part: Part<Flips, GenerationOpened<GroupShares>, GenerationOpened<TagShares>>,
    round: &Round,
    cx: &Context,
) -> Result<(Found, Words), CeremonyError> {
    let opens = round.opens()?;
    cx.same_premises(&opens)?;
    let mut words = Words::of(Said::Parts);
    let part = match part {
        Part::Node(own, flips, group) => {
            let flips = flips.reveal(own, &opens, &mut words.secrets)?;
            Part::Node(own, flips, nodes(own).share(group, &opens, &mut words.secrets)?)
        }
        Part::Tagger(own, tag) => Part::Tagger(own, taggers(own).share(tag, &opens, &mut words.secrets)?),
        Part::None => Part::None,
    };
    Ok((Found::Shared(part, opens), words))
}

fn check(
    part: Part<Revealed, GenerationShared<GroupShares>, GenerationShared<TagShares>>,
    round: &Round,
    cx: &Context,
) -> Result<Check, CeremonyError> {
    let mut check = Check::default();
    match part {
        Part::Node(own, flips, group) => {
            flips.finish(cx, own, round, &mut check)?;
            let group = nodes(own).finish(group, round, &mut check)?;
            cx.setup.keys.import(&pending("frost-share"), KeyUse::Share, &group.key_share())?;
        }
        Part::Tagger(own, tag) => {
            let tag = taggers(own).finish(tag, round, &mut check)?;
            cx.setup.keys.import(&pending("tag-share"), KeyUse::Share, tag.tag_share().expose())?;
        }
        Part::None => {}
    }
    Ok(check)
}
