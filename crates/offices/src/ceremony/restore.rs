//! What an office holds jointly and has lost, from the other holders; with a new identity (replace) or its old one (repair).
//!
//! 1. *Open*: the office says how keys are wrapped for it, and its new public keys; the two helpers begin to repair its share.
//! 2. *Parts*: each helper gives the other a part of the repair, and the office its wrapped copies of the keys of two holders.
//! 3. *Parts*: each helper gives the office its sum.
//! 4. *Check*: share and keys are in the office's keeper, pending; it shows the same of the keys as the helpers.
//! 5. *Confirm*.
//!
//! No pseudonym changes, and nobody's share but the lost one is computed anywhere.

use super::engine::{Context, Protocol, Round, Turn, Words};
use super::joint::{Kin, check_value, checks, same_keys};
use super::own_keys::{draw, nothing_but_identity, pending};
use super::{CeremonyError, Outcome, Role, Setup, transcript};
use crate::key_names;
use hufu_kernel::{Bytes, KeyUse, NodeIndex, Octets, Secret, Subset, framed};
use hufu_pairwise::{GroupShares, HelpCommitments, Helping, JointError, SharedKey, TagShares, help, repaired};
use hufu_wire::api::ceremony::{Check, HelpParts, Open, Said};
use hufu_wire::api::order::Kind;
use hufu_wire::api::roster::{Identity, tagger_name};
use hufu_wire::api::trust::{Trust, node_name};
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

type Opens = BTreeMap<&'static str, Open>;

/// Where the restoration is at one office.
pub(super) enum Restore {
    /// It has said what it begins with.
    Opened(Part),
    /// Parts of the repair and wrapped keys are on their way.
    Handed(Part, Opens),
    /// The sums are on their way.
    Summed(Part, Opens),
    /// What all arrived at has been shown.
    Checked(Opens),
    /// It has confirmed.
    Confirmed(Outcome),
}

/// This office's part.
pub(super) enum Part {
    /// It has lost its keys; what came wrapped waits for the sums.
    Subject(BTreeMap<&'static str, super::secrets::Secrets>),
    /// It helps.
    Helper(Helper),
    /// It has given its sum.
    Helped,
    /// It hears that the trust root changes.
    Witness,
}

pub(super) struct Helper {
    mending: Mending,
    given: Secret<32>,
}

enum Mending {
    Group(Helping<GroupShares>),
    Tag(Helping<TagShares>),
}

/// The lost office and the two that share a key with it.
#[derive(Clone, Copy)]
struct Around {
    subject: &'static str,
    lost: NodeIndex,
    kin: fn(NodeIndex) -> &'static str,
    nodes: bool,
}

impl Around {
    fn of(setup: &Setup) -> Option<Self> {
        let subject = setup.order.order.subject.as_deref()?;
        match Role::of(subject) {
            Role::Node(lost) => Some(Self { subject: node_name(lost), lost, kin: node_name, nodes: true }),
            Role::Tagger(lost) => Some(Self { subject: tagger_name(lost), lost, kin: tagger_name, nodes: false }),
            Role::Other => None,
        }
    }

    fn helpers(self) -> impl Iterator<Item = (NodeIndex, &'static str)> {
        Kin { own: self.lost, name: self.kin }.others()
    }

    fn helper(self, office: &str) -> Option<NodeIndex> {
        self.helpers().find(|(_, name)| *name == office).map(|(index, _)| index)
    }

    fn error(self, round: u8) -> impl Fn(JointError) -> CeremonyError {
        move |error| CeremonyError::joint(round, error, self.kin)
    }
}

fn trust(setup: &Setup) -> Result<&Trust, CeremonyError> {
    let told = "this office has no public half of a trust root (the configuration's `trust`)";
    setup.trust.as_ref().ok_or_else(|| CeremonyError::Standing(told.to_owned()))
}

fn public_shares(cx: &Context, around: Around) -> Result<[Octets<32>; 3], CeremonyError> {
    let trust = trust(&cx.setup)?;
    if around.nodes {
        return Ok(trust.group_shares);
    }
    let read = |index: NodeIndex| Octets::try_from(trust.taggers[index.slot()].0.0.as_slice());
    let [one, two, three] = NodeIndex::ALL.map(read);
    let broken = |_| CeremonyError::Own("the trust root's commitments of taggers".to_owned());
    Ok([one.map_err(broken)?, two.map_err(broken)?, three.map_err(broken)?])
}

/// The generations of K_A that both helpers say they hold, oldest first. What only one of them holds is on its way out (`hufu keys
/// retire` at one of two); the newest must be the same, or one of them has not finished a rotation.
fn agreed(around: Around, opens: &Opens) -> Result<Vec<u32>, CeremonyError> {
    if !around.nodes {
        return Ok(Vec::new());
    }
    let mut offices = Vec::new();
    let mut all: Vec<BTreeSet<u32>> = Vec::new();
    for (_, helper) in around.helpers() {
        offices.push(helper);
        all.push(opens.get(helper).into_iter().flat_map(|open| open.generations.iter().copied()).collect());
    }
    match all.as_slice() {
        [one, two] if !one.is_empty() && one.last() == two.last() => Ok(one.intersection(two).copied().collect()),
        _ => {
            let what = "the newest generation of K_A: finish the last rotation there (hufu keys finish)".to_owned();
            Err(CeremonyError::Apart { offices, what })
        }
    }
}

/// Exactly the keys that a helper hands over: those it has in common with the lost node.
fn due(around: Around, helper: NodeIndex, generations: &[u32]) -> Result<BTreeSet<String>, CeremonyError> {
    if !around.nodes {
        return Ok(BTreeSet::new());
    }
    let shared = Subset::ALL.into_iter().find(|s| s.held_by(helper) && s.held_by(around.lost));
    let shared = shared.ok_or_else(|| CeremonyError::Own("two nodes share a subset".to_owned()))?;
    let mut due = BTreeSet::from([format!("kp-{}", shared.name()), format!("peer-{}", shared.name())]);
    for generation in generations {
        due.insert(key_names::sub_key(shared, *generation));
        // Z leads to a generation from the one before.
        if generation.checked_sub(1).is_some_and(|before| generations.contains(&before)) {
            due.insert(key_names::zero(*generation));
        }
    }
    Ok(due)
}

/// Refuses whoever hands over another key than is theirs to hand over, and a helper that leaves one out: a name that nobody expects
/// would be a key of their choice in this office's keeper.
fn exactly(
    around: Around,
    handed: &BTreeMap<&'static str, super::secrets::Secrets>,
    generations: &[u32],
) -> Result<(), CeremonyError> {
    let newest = generations.last().copied().unwrap_or_default();
    for (office, secrets) in handed {
        let helper = around.helper(office);
        let due = helper.map(|index| due(around, index, generations)).transpose()?.unwrap_or_default();
        if let Some(key) = secrets.wrapped.keys().find(|key| !due.contains(*key)) {
            return Err(CeremonyError::misbehaved(2, office, format!("{key:?} is not its to hand over")));
        }
        let past = |generation: &u32| helper.is_some() && (1..=newest).contains(generation);
        if let Some(generation) = secrets.since.keys().find(|generation| !past(generation)) {
            let what = format!("says from when generation {generation} counts, which is none");
            return Err(CeremonyError::misbehaved(2, office, what));
        }
    }
    for (index, helper) in around.helpers() {
        let secrets = handed.get(helper);
        let lacks = |key: &String| secrets.is_none_or(|secrets| !secrets.wrapped.contains_key(key));
        if let Some(key) = due(around, index, generations)?.into_iter().find(lacks) {
            return Err(CeremonyError::misbehaved(2, helper, format!("does not hand over {key}")));
        }
        let lacks = |generation: &&u32| secrets.is_none_or(|secrets| !secrets.since.contains_key(generation));
        if let Some(generation) = generations.iter().filter(|generation| **generation > 0).find(lacks) {
            let what = format!("does not say from when generation {generation} counts");
            return Err(CeremonyError::misbehaved(2, helper, what));
        }
    }
    Ok(())
}

fn aad(cx: &Context, key: &str, from: &str, to: &str) -> Vec<u8> {
    framed(&[b"hufu-v1-handed", cx.id.as_slice(), key.as_bytes(), from.as_bytes(), to.as_bytes()])
}

impl Restore {
    pub fn may_open(setup: &Setup) -> Result<(), CeremonyError> {
        trust(setup)?;
        if setup.order.order.subject.as_deref() == Some(setup.office) {
            return if setup.order.order.kind == Kind::Replace { nothing_but_identity(setup) } else { Ok(()) };
        }
        let around = Around::of(setup);
        let Some((around, own)) = around.and_then(|around| Some((around, around.helper(setup.office)?))) else {
            return Ok(());
        };
        setup.keys.share(if around.nodes { "frost-share" } else { "tag-share" })?;
        let names = setup.keys.names()?;
        if around.nodes && key_names::generations(own, names.iter().map(String::as_str)).is_empty() {
            return Err(CeremonyError::Standing("this node has no K_A to hand over".to_owned()));
        }
        Ok(())
    }

    pub fn open(cx: &Context) -> Result<(Protocol, Words), CeremonyError> {
        let mut open = cx.opening();
        let subject = cx.setup.order.order.subject.as_deref() == Some(cx.setup.office);
        let around = Around::of(&cx.setup);
        let part = if subject {
            if cx.setup.order.order.kind == Kind::Replace {
                draw(cx, &mut open)?;
            }
            open.wrapping = Some(cx.setup.keys.wrapping_key()?);
            Part::Subject(BTreeMap::new())
        } else {
            match around.and_then(|around| Some((around, around.helper(cx.setup.office)?))) {
                Some((around, own)) => Part::Helper(begin(cx, around, own, &mut open)?),
                None => Part::Witness,
            }
        };
        Ok((Protocol::Restore(Self::Opened(part)), Words::of(Said::Open(Box::new(open)))))
    }

    pub fn next(self, round: Round, cx: &Context) -> Result<Turn, CeremonyError> {
        let (state, words) = match self {
            Self::Opened(part) => {
                let opens = round.opens()?;
                cx.same_premises(&opens)?;
                let words = hand(cx, &part, &opens)?;
                (Self::Handed(part, opens), words)
            }
            Self::Handed(part, opens) => sum(cx, part, opens, round)?,
            Self::Summed(part, opens) => {
                let check = check(cx, part, &opens, &round)?;
                (Self::Checked(opens), Words::of(Said::Check(Box::new(check))))
            }
            Self::Checked(opens) => {
                if let Some(around) = Around::of(&cx.setup) {
                    same_copies(around, &opens, &checks(&round)?)?;
                }
                let outcome = outcome(cx, &opens)?;
                let words = Words::of(Said::Confirm { outcome: outcome.hash() });
                (Self::Confirmed(outcome), words)
            }
            Self::Confirmed(outcome) => {
                round.confirmed(&outcome)?;
                return Ok(Turn::Done(outcome));
            }
        };
        Ok(Turn::Say(Box::new(Protocol::Restore(state)), words))
    }
}

fn begin(cx: &Context, around: Around, own: NodeIndex, open: &mut Open) -> Result<Helper, CeremonyError> {
    let rng = cx.setup.rng.as_ref();
    let no_share = || CeremonyError::Own("this office's own share is none".to_owned());
    let (mending, help) = if around.nodes {
        // Index, share, group key.
        let bytes = cx.setup.keys.share("frost-share")?;
        let share = bytes.get(1..33).and_then(|share| share.try_into().ok()).map(Secret::new).ok_or_else(no_share)?;
        let (mending, help) = help::<GroupShares>(own, &share, around.lost, rng).map_err(around.error(1))?;
        (Mending::Group(mending), help)
    } else {
        let bytes = cx.setup.keys.share("tag-share")?;
        let share = bytes.as_slice().try_into().map(Secret::new).map_err(|_| no_share())?;
        let (mending, help) = help::<TagShares>(own, &share, around.lost, rng).map_err(around.error(1))?;
        (Mending::Tag(mending), help)
    };
    open.help = Some(HelpParts { kept: help.commitments.kept, given: help.commitments.given });
    if around.nodes {
        let names = cx.setup.keys.names()?;
        open.generations = key_names::generations(own, names.iter().map(String::as_str));
        open.generation = open.generations.last().copied();
    }
    Ok(Helper { mending, given: help.given })
}

/// Round 2: a part for the other helper, wrapped keys for the office that lost them.
fn hand(cx: &Context, part: &Part, opens: &Opens) -> Result<Words, CeremonyError> {
    let mut words = Words::of(Said::Parts);
    let (Part::Helper(helper), Some(around)) = (part, Around::of(&cx.setup)) else { return Ok(words) };
    let own = cx.setup.office;
    for (_, other) in around.helpers().filter(|(_, name)| *name != own) {
        words.secrets.entry(other).or_default().given = Some(Octets(*helper.given.expose()));
    }
    let wrapping = opens.get(around.subject).and_then(|open| open.wrapping.as_ref());
    let missing = || CeremonyError::misbehaved(1, around.subject, "does not say how keys are wrapped for it");
    let wrapping = wrapping.ok_or_else(missing)?;
    let pinned = cx.setup.roster.get(around.subject).and_then(|identity| identity.wrapping_sha256);
    if pinned.is_some_and(|pinned| pinned != Identity::pin(&wrapping.0)) {
        let what = "says another key to wrap keys for it than the roster pins";
        return Err(CeremonyError::misbehaved(1, around.subject, what));
    }
    let secrets = words.secrets.entry(around.subject).or_default();
    let generations = agreed(around, opens)?;
    for key in own_due(cx, around, &generations)? {
        let wrapped = cx.setup.keys.wrap(&key, &wrapping.0, &aad(cx, &key, own, around.subject))?;
        secrets.wrapped.insert(key, wrapped);
    }
    if around.nodes {
        for name in cx.setup.keys.names()? {
            let Some(generation) = name.strip_prefix("since.").and_then(|number| number.parse().ok()) else { continue };
            let bytes = cx.setup.keys.share(&name)?;
            let since = bytes.as_slice().try_into().map(i64::from_be_bytes);
            let broken = |_| CeremonyError::Own(format!("{name} is not 8 bytes"));
            secrets.since.insert(generation, since.map_err(broken)?);
        }
    }
    Ok(words)
}

/// The keys that this office, a helper, hands over.
fn own_due(cx: &Context, around: Around, generations: &[u32]) -> Result<BTreeSet<String>, CeremonyError> {
    around.helper(cx.setup.office).map_or_else(|| Ok(BTreeSet::new()), |own| due(around, own, generations))
}

/// Round 3: the sum for the office that lost its share.
fn sum(cx: &Context, part: Part, opens: Opens, round: Round) -> Result<(Restore, Words), CeremonyError> {
    let mut words = Words::of(Said::Parts);
    let part = match (part, Around::of(&cx.setup)) {
        (Part::Subject(_), around) => {
            if let Some(around) = around {
                exactly(around, &round.secrets, &agreed(around, &opens)?)?;
            }
            Part::Subject(round.secrets)
        }
        (Part::Helper(helper), Some(around)) => {
            let other = around.helpers().find(|(_, name)| *name != cx.setup.office);
            let (_, other) = other.ok_or_else(|| CeremonyError::Own("a helper is alone".to_owned()))?;
            let given = round.secrets.get(other).and_then(|secrets| secrets.given);
            let missing = || CeremonyError::misbehaved(round.number, other, "no part of the repair for this office");
            let given = Secret::new(given.ok_or_else(missing)?.0);
            let (commitments, shares) = (help_of(&opens, other)?, public_shares(cx, around)?);
            let sum = match helper.mending {
                Mending::Group(mending) => mending.sum(&given, &commitments, &shares),
                Mending::Tag(mending) => mending.sum(&given, &commitments, &shares),
            };
            let sum = sum.map_err(around.error(round.number))?;
            words.secrets.entry(around.subject).or_default().sum = Some(Octets(*sum.expose()));
            Part::Helped
        }
        (other, _) => other,
    };
    Ok((Restore::Summed(part, opens), words))
}

fn help_of(opens: &Opens, helper: &'static str) -> Result<HelpCommitments, CeremonyError> {
    let help = opens.get(helper).and_then(|open| open.help.clone());
    let help = help.ok_or_else(|| CeremonyError::misbehaved(1, helper, "does not begin to help"))?;
    Ok(HelpCommitments { kept: help.kept, given: help.given })
}

/// Round 4: the office that lost its keys has them again, pending; helpers show their copies.
fn check(cx: &Context, part: Part, opens: &Opens, round: &Round) -> Result<Check, CeremonyError> {
    let mut check = Check::default();
    let Some(around) = Around::of(&cx.setup) else { return Ok(check) };
    match part {
        Part::Subject(handed) => {
            take_share(cx, around, opens, round)?;
            let held = cx.setup.keys.names()?;
            for (helper, secrets) in &handed {
                for (key, wrapped) in &secrets.wrapped {
                    let held_as = take_key(cx, (helper, key), wrapped, &held)?;
                    check.keys.insert(key.clone(), check_value(cx, key, &held_as)?);
                }
            }
            take_since(cx, &handed, &held)?;
        }
        Part::Helped => {
            for key in own_due(cx, around, &agreed(around, opens)?)? {
                check.keys.insert(key.clone(), check_value(cx, &key, &key)?);
            }
        }
        Part::Helper(_) | Part::Witness => {}
    }
    Ok(check)
}

/// The repaired share goes into the keeper, unless it was there.
fn take_share(cx: &Context, around: Around, opens: &Opens, round: &Round) -> Result<(), CeremonyError> {
    let (mut sums, mut commitments) = (BTreeMap::new(), BTreeMap::new());
    for (index, helper) in around.helpers() {
        let sum = round.secrets.get(helper).and_then(|secrets| secrets.sum);
        let missing = || CeremonyError::misbehaved(round.number, helper, "no sum of the repair");
        sums.insert(index, Secret::new(sum.ok_or_else(missing)?.0));
        commitments.insert(index, help_of(opens, helper)?);
    }
    let shares = public_shares(cx, around)?;
    let (name, bytes) = if around.nodes {
        let share = mended::<GroupShares>(around, &sums, &commitments, &shares)?;
        let parts = [&[around.lost.get()], share.expose().as_slice(), trust(&cx.setup)?.group_key.as_slice()];
        ("frost-share", Zeroizing::new(parts.concat()))
    } else {
        let share = mended::<TagShares>(around, &sums, &commitments, &shares)?;
        ("tag-share", Zeroizing::new(share.expose().to_vec()))
    };
    if cx.setup.keys.share(name).is_ok_and(|held| held == bytes) {
        return Ok(());
    }
    // A copy that is there and is another one gives way when all have confirmed: see `own_keys::settle`.
    Ok(cx.setup.keys.import(&pending(name), KeyUse::Share, &bytes)?)
}

fn mended<K: SharedKey>(
    around: Around,
    sums: &BTreeMap<NodeIndex, Secret<32>>,
    commitments: &BTreeMap<NodeIndex, HelpCommitments>,
    shares: &[Octets<32>; 3],
) -> Result<Secret<32>, CeremonyError> {
    repaired::<K>(around.lost, sums, commitments, shares).map_err(around.error(3))
}

/// A handed-over key goes into the keeper, unless it is there. Returns the name it has now.
fn take_key(
    cx: &Context,
    (helper, key): (&str, &str),
    wrapped: &Bytes,
    held: &[String],
) -> Result<String, CeremonyError> {
    let new = pending(key);
    if held.iter().any(|name| name == key) {
        return Ok(key.to_owned());
    }
    // Z comes from both helpers; that it is the same is seen from what all three show of it.
    if cx.setup.keys.hmac(&new, b"").is_err() {
        let unwrapped = cx.setup.keys.unwrap_key(&new, &aad(cx, key, helper, cx.setup.office), &wrapped.0);
        unwrapped.map_err(|error| CeremonyError::misbehaved(2, helper, format!("{key}: {error}")))?;
    }
    Ok(new)
}

/// From when generations count: public, and both helpers must say the same.
fn take_since(
    cx: &Context,
    handed: &BTreeMap<&'static str, super::secrets::Secrets>,
    held: &[String],
) -> Result<(), CeremonyError> {
    let mut said = handed.values().map(|secrets| &secrets.since);
    let Some(first) = said.next() else { return Ok(()) };
    if said.any(|other| other != first) {
        let what = "from when a generation of K_A counts".to_owned();
        return Err(CeremonyError::Apart { offices: handed.keys().copied().collect(), what });
    }
    for (generation, since) in first {
        let name = key_names::since(*generation);
        if !held.contains(&name) {
            cx.setup.keys.import(&pending(&name), KeyUse::Share, &since.to_be_bytes())?;
        }
    }
    Ok(())
}

/// Refuses unless the lost node shows the same of every key that is due as those who handed it over, and nobody shows another.
fn same_copies(around: Around, opens: &Opens, checks: &BTreeMap<&'static str, Check>) -> Result<(), CeremonyError> {
    let generations = agreed(around, opens)?;
    let mut holders: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for (index, helper) in around.helpers() {
        for key in due(around, index, &generations)? {
            holders.entry(key).or_insert_with(|| vec![around.subject]).push(helper);
        }
    }
    for (office, check) in checks {
        let own = |key: &String| holders.get(key).is_some_and(|holders| holders.contains(office));
        if let Some(key) = check.keys.keys().find(|key| !own(key)) {
            return Err(CeremonyError::misbehaved(4, office, format!("shows {key:?}, which is not its to show")));
        }
    }
    same_keys(checks, &holders.into_iter().collect::<Vec<_>>())
}

fn outcome(cx: &Context, opens: &Opens) -> Result<Outcome, CeremonyError> {
    let trust = trust(&cx.setup)?;
    let trust = match cx.setup.order.order.kind {
        Kind::Replace => {
            let subject = cx.setup.order.order.subject.as_deref().unwrap_or_default();
            transcript::replaced(trust, &cx.setup.roster, opens, subject)?
        }
        _ => trust.clone(),
    };
    Ok(Outcome::Trust(Box::new(trust)))
}
