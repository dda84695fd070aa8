//! What remains of a ceremony: everything that was said, from which anybody with the roster computes what it arrived at.

use super::found;
use super::joint::{Coin, same_keys, same_shared};
use super::{CeremonyError, Outcome, PublicNames, due, parties, printed, rotate};
use hufu_kernel::{Bytes, Element, NodeIndex, Octets, framed};
use hufu_pairwise::{GroupShares, TagShares};
use hufu_wire::api::ceremony::{Check, Open, Said, Spoken, Transcript, heard};
use hufu_wire::api::order::{Kind, Operator};
use hufu_wire::api::roster::{Roster, fingerprint, tagger_name};
use hufu_wire::api::trust::{NodeTrust, OfficeKeys, Trust, node_name, verify_ed25519};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

type Opens = BTreeMap<&'static str, Open>;
type Checks = BTreeMap<&'static str, Check>;

/// The public half of a new trust root.
pub(super) fn founded(
    roster: &Roster,
    names: &PublicNames,
    opens: &Opens,
    checks: &Checks,
) -> Result<Trust, CeremonyError> {
    same_coins(checks, &found::coins())?;
    let group = same_shared::<GroupShares>(checks, NodeIndex::ALL.map(node_name))?;
    let tag = same_shared::<TagShares>(checks, NodeIndex::ALL.map(tagger_name))?;
    let [one, two, three] = NodeIndex::ALL;
    let node = |index| node_trust(roster, opens, index);
    Ok(Trust {
        root: roster.root(),
        root_id: *roster.root_id(),
        issuer: names.issuer.clone(),
        wallet_origin: names.wallet_origin.clone(),
        rp_id: names.rp_id.clone(),
        offices: OfficeKeys {
            registrar: identity(roster, "registrar")?,
            uniqueness: identity(roster, "uniqueness")?,
            registry: identity(roster, "registry")?,
            front: transactions(opens)?,
        },
        nodes: [node(one)?, node(two)?, node(three)?],
        taggers: tag.verifying_shares.map(|share| Element(Bytes(share.0.to_vec()))),
        group_key: group.verifying_key,
        group_shares: group.verifying_shares,
    })
}

/// The public half with one office's new keys.
pub(super) fn replaced(trust: &Trust, roster: &Roster, opens: &Opens, subject: &str) -> Result<Trust, CeremonyError> {
    let mut trust = trust.clone();
    for index in NodeIndex::ALL.into_iter().filter(|index| node_name(*index) == subject) {
        trust.nodes[index.slot()] = node_trust(roster, opens, index)?;
    }
    match subject {
        "registrar" => trust.offices.registrar = identity(roster, subject)?,
        "uniqueness" => trust.offices.uniqueness = identity(roster, subject)?,
        "registry" => trust.offices.registry = identity(roster, subject)?,
        "front" => trust.offices.front = transactions(opens)?,
        _ => {}
    }
    // The roster may not bring in another office's new key on the way.
    for (office, key) in [
        ("registrar", trust.offices.registrar),
        ("uniqueness", trust.offices.uniqueness),
        ("registry", trust.offices.registry),
    ]
    .into_iter()
    .chain(NodeIndex::ALL.map(|index| (node_name(index), trust.node(index).signing)))
    {
        let sealing = NodeIndex::ALL.into_iter().find(|index| node_name(*index) == office);
        let sealing = sealing.map(|index| &trust.node(index).sealing);
        let sealed = roster.get(office).and_then(|identity| identity.sealing.as_ref());
        if identity(roster, office)? != key || sealing.is_some_and(|sealing| sealed != Some(sealing)) {
            let told = format!("it has another key for {office} than the trust root, and the order replaces {subject}");
            return Err(CeremonyError::Roster(told));
        }
    }
    Ok(trust)
}

fn identity(roster: &Roster, office: &str) -> Result<Octets<32>, CeremonyError> {
    let identity = roster.get(office).ok_or_else(|| CeremonyError::Roster(format!("it lacks {office}")))?;
    Ok(identity.key)
}

fn node_trust(roster: &Roster, opens: &Opens, index: NodeIndex) -> Result<NodeTrust, CeremonyError> {
    let office = node_name(index);
    let sealing = roster.get(office).and_then(|identity| identity.sealing.clone());
    let open = opens.get(office);
    let es256 = open.and_then(|open| open.es256.clone());
    Ok(NodeTrust {
        signing: identity(roster, office)?,
        sealing: sealing.ok_or_else(|| CeremonyError::Roster(format!("it has no sealing key for {office}")))?,
        es256: es256.ok_or_else(|| CeremonyError::misbehaved(1, office, "no key of one-key mode ES256"))?,
        rs256: open.and_then(|open| open.rs256.clone()),
    })
}

fn transactions(opens: &Opens) -> Result<Octets<32>, CeremonyError> {
    let key = opens.get("front").and_then(|open| open.transactions);
    key.ok_or_else(|| CeremonyError::misbehaved(1, "front", "no key for transactions"))
}

/// Refuses unless the holders of each coin's key show the same of it.
pub(super) fn same_coins(checks: &Checks, coins: &[Coin]) -> Result<(), CeremonyError> {
    let named = |coin: &Coin| (coin.key.clone(), coin.holders.iter().map(|index| node_name(*index)).collect());
    same_keys(checks, &coins.iter().map(named).collect::<Vec<_>>())
}

/// Refuses unless all nodes are at the generation before `generation`.
pub(super) fn next_generation(opens: &Opens, generation: u32) -> Result<(), CeremonyError> {
    let apart = opens.iter().filter(|(_, open)| open.generation.and_then(|now| now.checked_add(1)) != Some(generation));
    let offices: Vec<&'static str> = apart.map(|(office, _)| *office).collect();
    let what = "the generation of K_A in use: finish the last rotation there (hufu keys finish)".to_owned();
    if offices.is_empty() { Ok(()) } else { Err(CeremonyError::Apart { offices, what }) }
}

/// What a verifier of a transcript knows.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The roster that the order names.
    pub roster: &'a Roster,
    /// The plan's operators.
    pub operators: &'a [Operator],
    /// The plan's names.
    pub names: &'a PublicNames,
    /// The trust root's public half before.
    pub trust: Option<&'a Trust>,
}

/// What a whole transcript arrived at: signed by two operators, every round said by everybody, every word signed, everybody having heard
/// the same, and all having confirmed this outcome. An office that missed the end of a ceremony goes by it.
///
/// # Errors
/// [`CeremonyError`] naming what is missing or wrong.
pub fn verify(transcript: &Transcript, known: &Known<'_>) -> Result<Outcome, CeremonyError> {
    let order = &transcript.order;
    order.order.check()?;
    if known.roster.hash() != order.order.roster {
        return Err(CeremonyError::Roster("the order names another one".to_owned()));
    }
    if order.signers(known.operators)?.len() < 2 {
        return Err(CeremonyError::Order(hufu_wire::api::order::OrderError::TooFew(order.signatures.len())));
    }
    let rounds = rounds(transcript, known)?;
    let opens = said(&rounds, 0, |said| match said {
        Said::Open(open) => Some((**open).clone()),
        _ => None,
    })?;
    let first = opens.values().next().map(|open| open.premises);
    let apart = opens.iter().filter(|(_, open)| Some(open.premises) != first).map(|(office, _)| *office);
    let offices: Vec<&'static str> = apart.collect();
    if !offices.is_empty() {
        return Err(CeremonyError::Apart { offices, what: "the plan, or the trust root of before".to_owned() });
    }
    let outcome = match order.order.kind {
        Kind::Found => {
            let checks = said(&rounds, 2, checked)?;
            Outcome::Trust(Box::new(founded(known.roster, known.names, &opens, &checks)?))
        }
        Kind::Rotate => {
            let generation = opens.values().next().and_then(|open| open.generation).unwrap_or_default() + 1;
            next_generation(&opens, generation)?;
            same_coins(&said(&rounds, 2, checked)?, &rotate::coins(generation))?;
            let since = order.order.effective.unwrap_or_default();
            Outcome::Generation { generation, since }
        }
        Kind::Replace | Kind::Repair | Kind::Retire | Kind::Settle | Kind::Abandon => {
            let trust = known.trust.ok_or_else(|| CeremonyError::Standing("there is no trust root".to_owned()))?;
            let subject = order.order.subject.as_deref().unwrap_or_default();
            let replaced = (order.order.kind == Kind::Replace)
                .then(|| replaced(trust, known.roster, &opens, subject))
                .transpose()?;
            Outcome::Trust(Box::new(replaced.unwrap_or_else(|| trust.clone())))
        }
    };
    let confirmed = said(&rounds, rounds.len() - 1, |said| match said {
        Said::Confirm { outcome } => Some(*outcome),
        _ => None,
    })?;
    let offices: Vec<&'static str> =
        confirmed.iter().filter(|(_, hash)| **hash != outcome.hash()).map(|(office, _)| *office).collect();
    let what = "what they arrived at".to_owned();
    if offices.is_empty() { Ok(outcome) } else { Err(CeremonyError::Apart { offices, what }) }
}

fn checked(said: &Said) -> Option<Check> {
    match said {
        Said::Check(check) => Some((**check).clone()),
        _ => None,
    }
}

type Rounds<'a> = Vec<Vec<(&'static str, &'a Spoken)>>;

/// The messages by round, each verified.
fn rounds<'a>(transcript: &'a Transcript, known: &Known<'_>) -> Result<Rounds<'a>, CeremonyError> {
    let parties = parties(&transcript.order)?;
    let count = match transcript.order.order.kind {
        Kind::Found | Kind::Rotate => 4,
        Kind::Replace | Kind::Repair | Kind::Retire | Kind::Settle | Kind::Abandon => 5,
    };
    if transcript.messages.len() != count * parties.len() {
        return Err(CeremonyError::Standing("the transcript is not whole".to_owned()));
    }
    let id = transcript.order.order.ceremony();
    let own = |error: hufu_wire::api::SignedError| CeremonyError::Own(error.to_string());
    let mut rounds = Vec::new();
    for (at, messages) in transcript.messages.chunks(parties.len()).enumerate() {
        let number = u8::try_from(at + 1).unwrap_or(u8::MAX);
        let before = heard(&id, &transcript.messages[..at * parties.len()]).map_err(own)?;
        let mut round = Vec::new();
        for (office, spoken) in parties.iter().zip(messages) {
            let wrong = |what: &str| Err(CeremonyError::misbehaved(number, office, what));
            let message = &spoken.message;
            if spoken.office != *office || message.round != number || message.ceremony != id {
                return wrong("its word is not where it must be");
            }
            if message.heard != before {
                return wrong("it heard something else");
            }
            let identity = known.roster.get(office);
            let verify = |_: &str, bytes: &[u8], signature: &Octets<64>| {
                identity.is_some_and(|identity| verify_ed25519(&identity.key, bytes, signature))
            };
            if spoken.signed().and_then(|signed| signed.open(verify)).is_err() {
                return wrong("its word is not signed as it must be");
            }
            due::check(&transcript.order, known.roster.root(), &transcript.messages[..at * parties.len()], spoken)?;
            round.push((*office, spoken));
        }
        rounds.push(round);
    }
    Ok(rounds)
}

fn said<T>(
    rounds: &Rounds<'_>,
    at: usize,
    what: impl Fn(&Said) -> Option<T>,
) -> Result<BTreeMap<&'static str, T>, CeremonyError> {
    let number = u8::try_from(at + 1).unwrap_or(u8::MAX);
    let round = rounds.get(at).ok_or_else(|| CeremonyError::Standing("the transcript is not whole".to_owned()))?;
    round
        .iter()
        .map(|(office, spoken)| {
            let said = what(&spoken.message.said);
            Ok((*office, said.ok_or_else(|| CeremonyError::misbehaved(number, office, "speaks out of turn"))?))
        })
        .collect()
}

/// The transcript's hash, which people compare: `"hufu-v1-transcript" ‖ heard ‖ outcomes`, of everything that was said before the last
/// round, and of the outcome that each office confirms in it. Nobody speaks after the last words, so that nobody finds out who signed
/// them twice, differently for different hearers; those signatures are left out, and whoever ended has the same hash.
///
/// # Errors
/// [`CeremonyError::Own`] if it does not encode.
pub fn hash(transcript: &Transcript) -> Result<Octets<32>, CeremonyError> {
    let last = transcript.messages.last().map_or(0, |spoken| spoken.message.round);
    let (before, last): (Vec<&Spoken>, Vec<&Spoken>) =
        transcript.messages.iter().partition(|spoken| spoken.message.round != last);
    let before: Vec<Spoken> = before.into_iter().cloned().collect();
    let own = |error: &dyn std::fmt::Display| CeremonyError::Own(error.to_string());
    let before = heard(&transcript.order.order.ceremony(), &before).map_err(|error| own(&error))?;
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for spoken in last {
        let said = serde_json::to_vec(&spoken.message).map_err(|error| own(&error))?;
        parts.push(framed(&[spoken.office.as_bytes(), &said]));
    }
    let last = framed(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
    Ok(Octets(Sha256::digest(framed(&[b"hufu-v1-transcript", before.as_slice(), &last])).into()))
}

/// The offices whose last words are signed otherwise in one of two transcripts than in the other.
#[must_use]
pub fn signed_twice(one: &Transcript, other: &Transcript) -> Vec<String> {
    let differs = one.messages.iter().zip(&other.messages).filter(|(one, other)| one != other);
    differs.map(|(one, _)| one.office.clone()).collect()
}

/// For people: who ordered what, who said what in which round, and the hash.
///
/// # Errors
/// As [`hash`].
pub fn text(transcript: &Transcript) -> Result<String, CeremonyError> {
    let order = &transcript.order.order;
    let subject = order.subject.as_ref().map(|office| format!(" {}", printed::printed(office))).unwrap_or_default();
    let mut text = format!(
        "ceremony     {}{subject}\ndigest       {}\ntrust root   {} ({})\nordered by   {}\n",
        order.kind.name(),
        hufu_kernel::hex(order.ceremony().as_slice()),
        hufu_kernel::hex(order.root_id.as_slice()),
        order.root.name(),
        printed::all(transcript.order.signatures.keys(), ", "),
    );
    let mut round = 0;
    for spoken in &transcript.messages {
        if spoken.message.round != round {
            round = spoken.message.round;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "round {round}");
        }
        let _ = writeln!(text, "  {:<11}{}", printed::printed(&spoken.office), summary(spoken));
    }
    let _ = writeln!(text, "compare      {}", fingerprint(&hash(transcript)?.0));
    Ok(text)
}

fn summary(spoken: &Spoken) -> String {
    let message = &spoken.message;
    let sealed = printed::all(message.sealed.keys(), ", ");
    let to = if sealed.is_empty() { sealed } else { format!(" (sealed for {sealed})") };
    match &message.said {
        Said::Open(open) => {
            let mut told = vec!["opens".to_owned()];
            if !open.coins.is_empty() {
                told.push(format!("commits to {}", printed::all(open.coins.keys(), " ")));
            }
            if open.package.is_some() {
                told.push("begins a shared key".to_owned());
            }
            if open.help.is_some() {
                told.push("helps".to_owned());
            }
            told.join(", ")
        }
        Said::Parts => format!("has its part said{to}"),
        Said::Check(check) => {
            let keys = printed::all(check.keys.keys(), " ");
            if keys.is_empty() { "checked".to_owned() } else { format!("shows check values of {keys}") }
        }
        Said::Confirm { outcome } => format!("confirms {}", hufu_kernel::hex(&outcome.as_slice()[..8])),
    }
}
