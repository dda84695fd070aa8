//! What all ceremonies have in common: rounds, signatures, sealed parts, and the proof that everybody heard the same.

use super::found::Found;
use super::restore::Restore;
use super::rotate::Rotate;
use super::secrets::{Place, Secrets};
use super::{CeremonyError, Outcome, Setup, Unheard, due, own_keys, parties};
use crate::{hpke, sign};
use hufu_kernel::{Octets, Timestamp, framed};
use hufu_wire::api::ceremony::{Delivery, Message, Open, Said, SealedPart, Spoken, Transcript, heard};
use hufu_wire::api::order::{Here, Kind, Operator};
use hufu_wire::api::roster::{Identity, Roster};
use hufu_wire::api::trust::verify_ed25519;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The longest a ceremony can be: messages of later rounds are not kept.
pub const ROUNDS: u8 = 8;

/// What one office says in a round.
pub(super) struct Words {
    pub said: Said,
    pub secrets: BTreeMap<&'static str, Secrets>,
}

impl Words {
    pub fn of(said: Said) -> Self {
        Self { said, secrets: BTreeMap::new() }
    }
}

/// What all have said in a round, and what came sealed to this office.
pub(super) struct Round {
    pub number: u8,
    /// When the last of it was heard.
    pub now: Timestamp,
    pub said: BTreeMap<&'static str, Said>,
    pub secrets: BTreeMap<&'static str, Secrets>,
}

impl Round {
    /// Everybody's words, which must be of the first round.
    pub fn opens(&self) -> Result<BTreeMap<&'static str, Open>, CeremonyError> {
        self.said
            .iter()
            .map(|(office, said)| match said {
                Said::Open(open) => Ok((*office, (**open).clone())),
                _ => Err(self.out_of_turn(office)),
            })
            .collect()
    }

    pub fn out_of_turn(&self, office: &str) -> CeremonyError {
        CeremonyError::misbehaved(self.number, office, "says something that is not of this round")
    }

    /// Refuses unless everybody confirms this outcome.
    pub fn confirmed(&self, outcome: &Outcome) -> Result<(), CeremonyError> {
        let due = outcome.hash();
        let mut offices = Vec::new();
        for (office, said) in &self.said {
            match said {
                Said::Confirm { outcome } if *outcome == due => {}
                Said::Confirm { .. } => offices.push(*office),
                _ => return Err(self.out_of_turn(office)),
            }
        }
        let what = "what they arrived at".to_owned();
        if offices.is_empty() { Ok(()) } else { Err(CeremonyError::Apart { offices, what }) }
    }
}

/// Where a ceremony of one kind is, at one office: what it has heard leads to what it says next.
pub(super) enum Protocol {
    Found(Found),
    Rotate(Rotate),
    Restore(Restore),
}

pub(super) enum Turn {
    Say(Box<Protocol>, Words),
    Done(Outcome),
}

impl Protocol {
    /// Whether the office's keys stand as they must. Nothing is changed, and what another ceremony left pending is not looked at.
    fn may_open(setup: &Setup, now: Timestamp) -> Result<(), CeremonyError> {
        match setup.order.order.kind {
            Kind::Found => Found::may_open(setup),
            Kind::Rotate => Rotate::may_open(setup, now).map(|_| ()),
            Kind::Replace | Kind::Repair => Restore::may_open(setup),
            Kind::Retire => Err(CeremonyError::Standing("to retire old keys is no ceremony".to_owned())),
            Kind::Settle => Err(CeremonyError::Standing("to settle nodes is no ceremony".to_owned())),
            Kind::Abandon => Err(CeremonyError::Standing("to give a ceremony up is none".to_owned())),
        }
    }

    fn open(cx: &Context, now: Timestamp) -> Result<(Self, Words), CeremonyError> {
        match cx.setup.order.order.kind {
            Kind::Found => Found::open(cx),
            Kind::Rotate => Rotate::open(cx, now),
            Kind::Replace | Kind::Repair => Restore::open(cx),
            Kind::Retire => Err(CeremonyError::Standing("to retire old keys is no ceremony".to_owned())),
            Kind::Settle => Err(CeremonyError::Standing("to settle nodes is no ceremony".to_owned())),
            Kind::Abandon => Err(CeremonyError::Standing("to give a ceremony up is none".to_owned())),
        }
    }

    fn next(self, round: Round, cx: &Context) -> Result<Turn, CeremonyError> {
        match self {
            Self::Found(state) => state.next(round, cx),
            Self::Rotate(state) => state.next(round, cx),
            Self::Restore(state) => state.next(round, cx),
        }
    }
}

/// What does not change in a ceremony.
pub(super) struct Context {
    pub setup: Setup,
    /// The ceremony's name.
    pub id: Octets<32>,
    pub parties: Vec<&'static str>,
    /// The public half of the office's key for this ceremony.
    pub sealing: Octets<32>,
    /// Hash of what must be the same from the start.
    pub premises: Octets<32>,
}

impl Context {
    /// The beginning of an [`Open`].
    pub fn opening(&self) -> Open {
        Open {
            sealing: self.sealing,
            premises: self.premises,
            generation: None,
            generations: Vec::new(),
            coins: BTreeMap::new(),
            package: None,
            help: None,
            wrapping: None,
            es256: None,
            rs256: None,
            transactions: None,
        }
    }

    /// Refuses others' openings that start from something else.
    pub fn same_premises(&self, opens: &BTreeMap<&'static str, Open>) -> Result<(), CeremonyError> {
        let apart = opens.iter().filter(|(_, open)| open.premises != self.premises).map(|(office, _)| *office);
        let offices: Vec<&'static str> = apart.collect();
        let what = "the plan (its names, operators and addresses: compare its fingerprint and each operator's), or the present trust root"
            .to_owned();
        if offices.is_empty() { Ok(()) } else { Err(CeremonyError::Apart { offices, what }) }
    }
}

fn premises(setup: &Setup) -> Octets<32> {
    let trust = setup.trust.as_ref().and_then(|trust| serde_json::to_vec(trust).ok()).unwrap_or_default();
    let names = &setup.names;
    // Whoever is an operator at one office alone would order things there that nobody else knows of.
    let mut operators: Vec<&Operator> = setup.operators.iter().collect();
    operators.sort_by(|one, other| one.name.cmp(&other.name));
    let operators: Vec<&[u8]> = operators.iter().flat_map(|who| [who.name.as_bytes(), who.key.as_slice()]).collect();
    let bytes = framed(&[
        b"hufu-v1-premises",
        names.issuer.as_bytes(),
        names.wallet_origin.as_bytes(),
        names.rp_id.as_bytes(),
        &trust,
        &framed(&operators),
        setup.plan.as_slice(),
    ]);
    Octets(Sha256::digest(bytes).into())
}

/// Deliveries, with the office that each is for.
pub type Deliveries = Vec<(&'static str, Delivery)>;

/// A ceremony at one office.
pub struct Ceremony {
    cx: Context,
    private: Zeroizing<Vec<u8>>,
    protocol: Option<Protocol>,
    /// The round that is being heard.
    round: u8,
    transcript: Transcript,
    /// Everybody's key for this ceremony, once all have opened.
    sealing: BTreeMap<&'static str, Octets<32>>,
    waiting: BTreeMap<(u8, &'static str), (Spoken, Option<SealedPart>)>,
    /// This office has confirmed: whatever happens now, its keys may count at others.
    confirmed: bool,
}

impl std::fmt::Debug for Ceremony {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ceremony({}, round {})", self.cx.setup.office, self.round)
    }
}

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Others have not been heard yet.
    Waiting,
    /// These are to be delivered.
    Say(Deliveries),
    /// It is over.
    Done(Box<Done>),
}

/// What a ceremony leaves at one office. Its keys are on the disk, under names that count only after [`Done::settle`].
#[derive(Debug)]
pub struct Done {
    /// What it arrived at.
    pub outcome: Outcome,
    /// What was said: to be kept before anything else.
    pub transcript: Transcript,
}

impl Done {
    /// Gives the office's new keys the names under which they are used. It can be repeated.
    ///
    /// # Errors
    /// [`CeremonyError::Keys`].
    pub fn settle(&self, keys: &dyn hufu_kernel::KeyKeeper) -> Result<Vec<String>, CeremonyError> {
        own_keys::settle(keys)
    }
}

impl Ceremony {
    /// Whether this office follows the order here and now. Nothing is changed.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn may_begin(setup: &Setup, now: Timestamp) -> Result<(), CeremonyError> {
        let roster_hash = setup.roster.hash();
        let here = Here {
            root: setup.roster.root(),
            root_id: setup.roster.root_id(),
            roster: &roster_hash,
            operators: &setup.operators,
        };
        setup.order.check(&here, now)?;
        let missing = setup.roster.missing();
        if !missing.is_empty() {
            return Err(CeremonyError::Roster(format!("it lacks {}", missing.join(", "))));
        }
        own_identity(setup)?;
        others_identities(setup)?;
        if !parties(&setup.order)?.contains(&setup.office) {
            return Err(CeremonyError::NoParty(setup.office.to_owned()));
        }
        own_keys::nothing_confirmed(setup.keys.as_ref())?;
        Protocol::may_open(setup, now)
    }

    /// Begins: what this office says first is to be delivered. What another ceremony has left pending is destroyed, unless this
    /// office had confirmed it: then nothing begins.
    ///
    /// # Errors
    /// As [`Ceremony::may_begin`], or if the office's keys do not stand as they must.
    pub fn begin(setup: Setup, now: Timestamp) -> Result<(Self, Deliveries), CeremonyError> {
        Self::may_begin(&setup, now)?;
        let parties = parties(&setup.order)?;
        own_keys::abandon(setup.keys.as_ref())?;
        let (private, public) = hpke::generate(setup.rng.as_ref());
        let sealing = Octets::try_from(public.0.as_slice())
            .map_err(|_| CeremonyError::Own("an X25519 key is not 32 bytes".to_owned()))?;
        let id = setup.order.order.ceremony();
        let premises = premises(&setup);
        let transcript = Transcript { order: setup.order.clone(), messages: Vec::new() };
        let cx = Context { setup, id, parties, sealing, premises };
        let (protocol, words) = Protocol::open(&cx, now)?;
        let mut ceremony = Self {
            cx,
            private,
            protocol: Some(protocol),
            round: 1,
            transcript,
            sealing: BTreeMap::new(),
            waiting: BTreeMap::new(),
            confirmed: false,
        };
        let said = ceremony.say(words)?;
        Ok((ceremony, said))
    }

    /// The ceremony's name.
    #[must_use]
    pub fn id(&self) -> &Octets<32> {
        &self.cx.id
    }

    /// Everybody who takes part.
    #[must_use]
    pub fn parties(&self) -> &[&'static str] {
        &self.cx.parties
    }

    /// The round that is being heard.
    #[must_use]
    pub fn round(&self) -> u8 {
        self.round
    }

    /// Who has not been heard in this round.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let heard = |office: &&&'static str| !self.waiting.contains_key(&(self.round, **office));
        self.cx.parties.iter().filter(heard).copied().collect()
    }

    /// That those who have not been heard in this round are silent; `errors` is what the transport said last of each.
    #[must_use]
    pub fn silence(&self, errors: &BTreeMap<&'static str, String>) -> CeremonyError {
        self.told(CeremonyError::Silent { round: self.round, offices: self.unheard(errors) })
    }

    /// Who has not been heard in this round, with what the transport said last of each.
    #[must_use]
    pub fn unheard(&self, errors: &BTreeMap<&'static str, String>) -> Vec<Unheard> {
        let unheard = |office| Unheard { office, error: errors.get(office).cloned() };
        self.missing().into_iter().map(unheard).collect()
    }

    /// An error, with what it means for an office that has confirmed.
    fn told(&self, error: CeremonyError) -> CeremonyError {
        if self.confirmed { CeremonyError::Confirmed(Box::new(error)) } else { error }
    }

    fn heard(&self) -> Result<Octets<32>, CeremonyError> {
        heard(&self.cx.id, &self.transcript.messages).map_err(|error| CeremonyError::Own(error.to_string()))
    }

    /// Signs this round's words, keeps them as heard, and seals each office's part to it.
    fn say(&mut self, words: Words) -> Result<Deliveries, CeremonyError> {
        let own = self.cx.setup.office;
        let mut parts = BTreeMap::new();
        for (to, secrets) in &words.secrets {
            let sealing = self.sealing.get(to).ok_or_else(|| CeremonyError::Own(format!("{to} has no key here")))?;
            let place = Place { ceremony: &self.cx.id, round: self.round, from: own, to };
            parts.insert(*to, secrets.seal(sealing, &place, self.cx.setup.rng.as_ref())?);
        }
        let message = Message {
            ceremony: self.cx.id,
            round: self.round,
            heard: self.heard()?,
            said: words.said,
            sealed: parts.iter().map(|(to, part)| ((*to).to_owned(), part.hash())).collect(),
        };
        let signed = sign(self.cx.setup.keys.as_ref(), own, &message)?;
        let spoken = Spoken { office: own.to_owned(), message, signature: signed.signature };
        self.waiting.insert((self.round, own), (spoken, None));
        let others = self.cx.parties.iter().filter(|office| **office != own);
        Ok(others.map(|to| (*to, Delivery { message: signed.clone(), part: parts.remove(to) })).collect())
    }

    /// Takes what `from` delivered; `from` is who the transport says it is.
    ///
    /// # Errors
    /// [`CeremonyError`] naming who misbehaved: the ceremony is over at this office then.
    pub fn take(&mut self, from: &str, delivery: Delivery, now: Timestamp) -> Result<Step, CeremonyError> {
        let taken = self.hear(from, delivery, now);
        taken.map_err(|error| self.told(error))
    }

    fn hear(&mut self, from: &str, delivery: Delivery, now: Timestamp) -> Result<Step, CeremonyError> {
        let misbehaved = |round, what: &str| Err(CeremonyError::misbehaved(round, from, what));
        let Some(office) = self.cx.parties.iter().copied().find(|office| *office == from) else {
            return Err(CeremonyError::NoParty(from.to_owned()));
        };
        if delivery.message.office != from {
            return misbehaved(self.round, "brings another office's word");
        }
        let identity = self.cx.setup.roster.get(from);
        let verify = |_: &str, bytes: &[u8], signature: &Octets<64>| {
            identity.is_some_and(|identity| verify_ed25519(&identity.key, bytes, signature))
        };
        let Ok(spoken) = Spoken::open(&delivery.message, verify) else {
            return misbehaved(self.round, "its word is not signed as it must be");
        };
        let round = spoken.message.round;
        if spoken.message.ceremony != self.cx.id {
            return misbehaved(round, "speaks of another ceremony");
        }
        if round < self.round || self.waiting.contains_key(&(round, office)) {
            return if self.repeats(office, &spoken) {
                Ok(Step::Waiting)
            } else {
                misbehaved(round, "says two things")
            };
        }
        if round > ROUNDS {
            return misbehaved(round, "there is no such round");
        }
        self.waiting.insert((round, office), (spoken, delivery.part));
        if self.missing().is_empty() { self.turn(now) } else { Ok(Step::Waiting) }
    }

    /// Whether this was said before, word for word: a message that was delivered twice.
    fn repeats(&self, office: &str, spoken: &Spoken) -> bool {
        let before = self.transcript.messages.iter().chain(self.waiting.values().map(|(spoken, _)| spoken));
        before.filter(|said| said.office == office).any(|said| said == spoken)
    }

    /// All have been heard: what follows.
    fn turn(&mut self, now: Timestamp) -> Result<Step, CeremonyError> {
        let mut said = Vec::new();
        while self.missing().is_empty() {
            let round = self.close_round(now)?;
            let Some(protocol) = self.protocol.take() else {
                return Err(CeremonyError::Own("the ceremony has ended".to_owned()));
            };
            match protocol.next(round, &self.cx)? {
                Turn::Done(outcome) => {
                    let transcript = self.transcript.clone();
                    return Ok(Step::Done(Box::new(Done { outcome, transcript })));
                }
                Turn::Say(protocol, words) => {
                    self.protocol = Some(*protocol);
                    self.round += 1;
                    if matches!(words.said, Said::Confirm { .. }) {
                        own_keys::mark_confirmed(self.cx.setup.keys.as_ref(), &self.cx.id)?;
                        self.confirmed = true;
                    }
                    said.extend(self.say(words)?);
                }
            }
        }
        Ok(if said.is_empty() { Step::Waiting } else { Step::Say(said) })
    }

    /// Checks that all have heard the same before, opens what is sealed to this office, and adds the round to the transcript.
    fn close_round(&mut self, now: Timestamp) -> Result<Round, CeremonyError> {
        let (number, own, before) = (self.round, self.cx.setup.office, self.heard()?);
        let mut round = Round { number, now, said: BTreeMap::new(), secrets: BTreeMap::new() };
        let mut apart = Vec::new();
        let mut messages = Vec::new();
        for office in &self.cx.parties {
            let Some((spoken, part)) = self.waiting.remove(&(number, *office)) else { continue };
            if spoken.message.heard != before {
                apart.push(*office);
            }
            due::check(&self.cx.setup.order, self.cx.setup.roster.root(), &self.transcript.messages, &spoken)?;
            let part = matching(&spoken, part, own)?;
            if let Some(part) = part {
                let place = Place { ceremony: &self.cx.id, round: number, from: office, to: own };
                round.secrets.insert(office, Secrets::open(&part, &self.private, &place)?);
            }
            round.said.insert(office, spoken.message.said.clone());
            messages.push(spoken);
        }
        if !apart.is_empty() {
            let what = "what was said before: somebody tells offices different things".to_owned();
            return Err(CeremonyError::Apart { offices: apart, what });
        }
        self.transcript.messages.append(&mut messages);
        if number == 1 {
            self.sealing = round.opens()?.into_iter().map(|(office, open)| (office, open.sealing)).collect();
        }
        Ok(round)
    }
}

/// Refuses a roster that has other keys for this office than it has itself.
fn own_identity(setup: &Setup) -> Result<(), CeremonyError> {
    let office = setup.office;
    let identity = setup.roster.get(office).ok_or_else(|| CeremonyError::Roster(format!("it lacks {office}")))?;
    let own = setup.keys.public("office")?;
    if identity.key.as_slice() != own.0.as_slice() {
        return Err(CeremonyError::Roster(format!("it has another key for {office} than this office")));
    }
    // What is sealed to a node must be for its own eyes: nobody may have slipped in another key beside the right identity.
    if own_keys::identity_keys(office).iter().any(|(name, _)| *name == "hpke")
        && identity.sealing != Some(hpke::public(&setup.keys.share("hpke")?)?)
    {
        return Err(CeremonyError::Roster(format!("it has another key to seal to {office} than this office")));
    }
    // Whoever trusts the pinned key hands K_A over to whoever has its private half.
    if let Some(pinned) = identity.wrapping_sha256
        && pinned != Identity::pin(&setup.keys.wrapping_key()?.0)
    {
        return Err(CeremonyError::Roster(format!(
            "it has another wrapping key for {office} than this office's token"
        )));
    }
    Ok(())
}

/// Refuses a roster in which another office than the one that is replaced has other keys than it had.
fn others_identities(setup: &Setup) -> Result<(), CeremonyError> {
    let order = &setup.order.order;
    let replaced = order.subject.as_deref().filter(|_| order.kind == Kind::Replace);
    let before = setup.before.as_ref().filter(|before| before.root_id() == setup.roster.root_id());
    for identity in before.into_iter().flat_map(Roster::identities) {
        let office = identity.office.as_str();
        if Some(office) != replaced && setup.roster.get(office) != Some(identity) {
            let whom = replaced.unwrap_or("nobody");
            let told = format!("it has other keys for {office} than before, and the order replaces {whom}");
            return Err(CeremonyError::Roster(told));
        }
    }
    Ok(())
}

/// The part that the message announces for this office, and no other.
fn matching(spoken: &Spoken, part: Option<SealedPart>, own: &str) -> Result<Option<SealedPart>, CeremonyError> {
    if spoken.office == own {
        return Ok(None);
    }
    let announced = spoken.message.sealed.get(own);
    if announced == part.as_ref().map(SealedPart::hash).as_ref() {
        return Ok(part);
    }
    let what = "what it sealed to this office is not what it told the others";
    Err(CeremonyError::misbehaved(spoken.message.round, &spoken.office, what))
}
