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
use super::{CeremonyError, Outcome, Role, transcript};
use crate::key_names;
use hufu_kernel::{Bytes, KeyUse, NodeIndex, Octets, Secret, Subset, framed};
use hufu_pairwise::{GroupShares, HelpCommitments, Helping, JointError, SharedKey, TagShares, help, repaired};
use hufu_wire::api::ceremony::{Check, HelpParts, Open, Said};
use hufu_wire::api::order::Kind;
use hufu_wire::api::roster::tagger_name;
use hufu_wire::api::trust::{Trust, node_name};
use std::collections::BTreeMap;
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
    /// It has given its sum; these are the keys that it handed over.
    Helped(Vec<String>),
    /// It hears that the trust root changes.
    Witness,
}

pub(super) struct Helper {
    mending: Mending,
    given: Secret<32>,
    /// The keys that it hands over.
    handed: Vec<String>,
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
    fn of(cx: &Context) -> Option<Self> {
        let subject = cx.setup.order.order.subject.as_deref()?;
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

fn trust(cx: &Context) -> Result<&Trust, CeremonyError> {
    let told = "this office has no public half of a trust root (the configuration's `trust`)";
    cx.setup.trust.as_ref().ok_or_else(|| CeremonyError::Standing(told.to_owned()))
}

fn public_shares(cx: &Context, around: Around) -> Result<[Octets<32>; 3], CeremonyError> {
    let trust = trust(cx)?;
    if around.nodes {
        return Ok(trust.group_shares);
    }
    let read = |index: NodeIndex| Octets::try_from(trust.taggers[index.slot()].0.0.as_slice());
    let [one, two, three] = NodeIndex::ALL.map(read);
    let broken = |_| CeremonyError::Own("the trust root's commitments of taggers".to_owned());
    Ok([one.map_err(broken)?, two.map_err(broken)?, three.map_err(broken)?])
}

/// The keys that a helper has in common with the lost node, in every generation.
fn handed(cx: &Context, around: Around, helper: NodeIndex) -> Result<Vec<String>, CeremonyError> {
    if !around.nodes {
        return Ok(Vec::new());
    }
    let shared = Subset::ALL.into_iter().find(|s| s.held_by(helper) && s.held_by(around.lost));
    let shared = shared.ok_or_else(|| CeremonyError::Own("two nodes share a subset".to_owned()))?;
    let names = cx.setup.keys.names()?;
    let mut handed = vec![format!("kp-{}", shared.name()), format!("peer-{}", shared.name())];
    for generation in key_names::generations(helper, names.iter().map(String::as_str)) {
        handed.push(key_names::sub_key(shared, generation));
        handed.extend(Some(key_names::zero(generation)).filter(|zero| names.contains(zero)));
    }
    Ok(handed)
}

fn aad(cx: &Context, key: &str, from: &str, to: &str) -> Vec<u8> {
    framed(&[b"hufu-v1-handed", cx.id.as_slice(), key.as_bytes(), from.as_bytes(), to.as_bytes()])
}

impl Restore {
    pub fn open(cx: &Context) -> Result<(Protocol, Words), CeremonyError> {
        trust(cx)?;
        let mut open = cx.opening();
        let subject = cx.setup.order.order.subject.as_deref() == Some(cx.setup.office);
        let around = Around::of(cx);
        let part = if subject {
            if cx.setup.order.order.kind == Kind::Replace {
                nothing_but_identity(cx)?;
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
                if let Some(around) = Around::of(cx) {
                    same_copies(around, &checks(&round)?)?;
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
    let handed = handed(cx, around, own)?;
    if around.nodes {
        let names = cx.setup.keys.names()?;
        open.generation = key_names::generations(own, names.iter().map(String::as_str)).last().copied();
    }
    Ok(Helper { mending, given: help.given, handed })
}

/// Round 2: a part for the other helper, wrapped keys for the office that lost them.
fn hand(cx: &Context, part: &Part, opens: &Opens) -> Result<Words, CeremonyError> {
    let mut words = Words::of(Said::Parts);
    let (Part::Helper(helper), Some(around)) = (part, Around::of(cx)) else { return Ok(words) };
    let own = cx.setup.office;
    for (_, other) in around.helpers().filter(|(_, name)| *name != own) {
        words.secrets.entry(other).or_default().given = Some(Octets(*helper.given.expose()));
    }
    let wrapping = opens.get(around.subject).and_then(|open| open.wrapping.as_ref());
    let missing = || CeremonyError::misbehaved(1, around.subject, "does not say how keys are wrapped for it");
    let wrapping = wrapping.ok_or_else(missing)?;
    let secrets = words.secrets.entry(around.subject).or_default();
    for key in &helper.handed {
        let wrapped = cx.setup.keys.wrap(key, &wrapping.0, &aad(cx, key, own, around.subject))?;
        secrets.wrapped.insert(key.clone(), wrapped);
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

/// Round 3: the sum for the office that lost its share.
fn sum(cx: &Context, part: Part, opens: Opens, round: Round) -> Result<(Restore, Words), CeremonyError> {
    let mut words = Words::of(Said::Parts);
    let part = match (part, Around::of(cx)) {
        (Part::Subject(_), _) => Part::Subject(round.secrets),
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
            Part::Helped(helper.handed)
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
    let Some(around) = Around::of(cx) else { return Ok(check) };
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
        Part::Helped(handed) => {
            for key in handed {
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
        let parts = [&[around.lost.get()], share.expose().as_slice(), trust(cx)?.group_key.as_slice()];
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

/// Refuses unless the lost node shows the same of every key as those who handed it over.
fn same_copies(around: Around, checks: &BTreeMap<&'static str, Check>) -> Result<(), CeremonyError> {
    let mut holders: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for (_, helper) in around.helpers() {
        for key in checks.get(helper).into_iter().flat_map(|check| check.keys.keys()) {
            holders.entry(key.clone()).or_insert_with(|| vec![around.subject]).push(helper);
        }
    }
    same_keys(checks, &holders.into_iter().collect::<Vec<_>>())
}

fn outcome(cx: &Context, opens: &Opens) -> Result<Outcome, CeremonyError> {
    let trust = trust(cx)?;
    let trust = match cx.setup.order.order.kind {
        Kind::Replace => {
            let subject = cx.setup.order.order.subject.as_deref().unwrap_or_default();
            transcript::replaced(trust, &cx.setup.roster, opens, subject)?
        }
        _ => trust.clone(),
    };
    Ok(Outcome::Trust(Box::new(trust)))
}
