//! From a proven person to an active one (flows 5, steps 1 to 6): tag, root, contact, nodes, confirmation. Every part can be
//! repeated, and a person exists from uniqueness's word on.

use super::Registrar;
use super::record::{Drawn, Enrolment, Outgoing, Verdict};
use super::steps::{Opened, view};
use crate::keys::{open_under, seal_under};
use crate::node::sealing_aad;
use crate::{hpke, open_signed, retrying};
use hkdf::Hkdf;
use hufu_domain::enrolment::{Action, Step};
use hufu_domain::holder::credential_hash;
use hufu_kernel::{Bytes, EnrolmentId, Epoch, Locator, NodeIndex, Octets, Refusal, Sealed, Timestamp, framed, random};
use hufu_pairwise::{combine_shamir, finalize, oprf_blind, oprf_verify, tag_input};
use hufu_store::{Select, Versioned};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{
    Activate, Confirm, ConfirmStep, DeviceStep, EnrolmentView, EvaluateTag, HolderReply, NewHolder, Ready, Report,
    Reserve, SealedHolder, StoreContact, StoreWrap, TagState,
};
use hufu_wire::documents::DocumentNumber;
use hufu_wire::network_number::NetworkNumber;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// Numbers drawn before giving up: one in 10^13 is taken.
const DRAWS: u32 = 4;

/// Enrolments gone on with in one sweep.
const UNFINISHED: usize = 10_000;

/// Seconds.
const OUTBOX_KEPT: i64 = 30 * 86_400;

/// Seconds a contact outlives its enrolment: nodes that were down when the person was confirmed say so late.
const CONTACT_MARGIN: i64 = 86_400;

/// A person's tag and what follows from it.
pub(super) struct Tagged {
    pub idx: Octets<32>,
    wrap_key: Zeroizing<[u8; 32]>,
}

impl Tagged {
    /// The root behind the tag.
    pub fn open(&self, wrap: Bytes) -> Result<Root, Refusal> {
        let opened =
            open_under(&self.wrap_key, b"hufu-v1-wrap", &Sealed(wrap)).map_err(|error| crate::broken(&error))?;
        let (root_u, loc_u) = opened.split_at_checked(32).ok_or(Refusal::Internal)?;
        Ok(Root {
            root_u: Octets::try_from(root_u).map_err(|error| crate::broken(&error))?,
            loc_u: Locator(Octets::try_from(loc_u).map_err(|error| crate::broken(&error))?),
        })
    }
}

/// What nodes are told.
pub(super) struct Root {
    pub root_u: Octets<32>,
    loc_u: Locator,
}

/// The generation that two nodes or more share.
fn shared_generation(mut told: impl Iterator<Item = u32>) -> Option<u32> {
    let mut seen = BTreeSet::new();
    told.find(|generation| !seen.insert(*generation))
}

impl Registrar {
    /// Step 5: the root is made, and the nodes are told of the new device.
    ///
    /// # Errors
    /// [`Refusal::AlreadyEnrolled`] for a person who has a root; [`Refusal::NodesUnavailable`] with fewer than two taggers or nodes:
    /// the step is taken again then.
    pub async fn device(&self, request: &DeviceStep) -> Result<EnrolmentView, Refusal> {
        retrying(|| self.device_once(request)).await
    }

    async fn device_once(&self, request: &DeviceStep) -> Result<EnrolmentView, Refusal> {
        let Opened { mut found, mut draft } = self.open(&request.ticket).await?;
        found.record.step.after(Action::Device)?;
        let Verdict::May(flags) = draft.verdict.clone() else { return Err(Refusal::EnrolmentOrder) };
        let tagged = self.tag(&self.number(&draft)?).await?;
        let expires = found.record.expires;
        let root = self.root(&tagged, request.ticket.id, expires).await?;
        let credential = credential_hash(&request.credential_id.0);
        for _ in 0..DRAWS {
            let drawn = match draft.drawn.take() {
                Some(drawn) if drawn.credential == credential => drawn,
                earlier => Drawn {
                    contact: earlier.map_or_else(|| Locator::random(self.parts.rng.as_ref()), |drawn| drawn.contact),
                    epoch: Epoch::random(self.parts.rng.as_ref()),
                    number: NetworkNumber::random(self.parts.rng.as_ref()),
                    credential,
                },
            };
            let phone = draft.phone.clone().ok_or(Refusal::EnrolmentOrder)?;
            let contact = StoreContact {
                contact: drawn.contact,
                loc_u: root.loc_u,
                phone,
                lang: draft.lang,
                expires: (expires + CONTACT_MARGIN).minute(),
            };
            self.parts.post.store_contact(&self.signed(&contact)?).await?;
            let new = NewHolder {
                root_u: root.root_u,
                loc_u: root.loc_u,
                flags: flags.clone(),
                contact: drawn.contact,
                vault: None,
                face: None,
                number: drawn.number.clone(),
                credential_id: request.credential_id.clone(),
                device_key: request.device_key.clone(),
                epoch: drawn.epoch,
                expires,
            };
            draft.drawn = Some(drawn);
            let enrolment = Enrolment {
                step: Step::Rooted,
                draft: Some(self.seal(&request.ticket, &draft)?),
                outbox: self.outbox(request.ticket.id, &new)?,
                reports: Vec::new(),
                ..found.record.clone()
            };
            // Kept before it is sent: what a node was told can be told again after a restart.
            self.put(&enrolment, Some(&found)).await?;
            found = self.find(request.ticket.id).await?;
            match self.deliver(&found).await? {
                Some(delivered) => return Ok(view(&delivered)),
                None => draft.drawn = None,
            }
        }
        Err(Refusal::Busy)
    }

    /// The threshold tag: any two taggers, each part proven.
    pub(super) async fn tag(&self, number: &DocumentNumber) -> Result<Tagged, Refusal> {
        let (country, kind, number) = number.tag_parts();
        let input = tag_input(country, kind, number).map_err(|_| Refusal::DocumentNumber)?;
        let (state, blinded) = oprf_blind(&input, self.parts.rng.as_ref()).map_err(|error| crate::broken(&error))?;
        let request = self.signed(&EvaluateTag { blinded })?;
        let mut parts = Vec::new();
        for index in NodeIndex::ALL {
            let Ok(partial) = self.parts.taggers[index.slot()].evaluate(&request).await else { continue };
            let commitment = &self.parts.trust.taggers[index.slot()];
            match oprf_verify(&partial, &[commitment], &blinded) {
                Ok(_) => parts.push((index, partial.element)),
                Err(_) => tracing::error!(tagger = index.get(), "a tagger's proof does not verify"),
            }
            if parts.len() == 2 {
                break;
            }
        }
        if parts.len() < 2 {
            return Err(Refusal::NodesUnavailable);
        }
        let evaluated = combine_shamir(&parts).map_err(|error| crate::broken(&error))?;
        let tag = finalize(&input, &state, &evaluated).map_err(|error| crate::broken(&error))?;
        let idx = Sha256::digest(framed(&[tag.as_slice(), b"idx"])).into();
        let mut wrap_key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, tag.as_slice())
            .expand(b"wrap", wrap_key.as_mut_slice())
            .map_err(|error| crate::broken(&error))?;
        Ok(Tagged { idx: Octets(idx), wrap_key })
    }

    /// The root behind the tag: drawn once, wrapped, and found again by a repeated step.
    async fn root(&self, tagged: &Tagged, id: EnrolmentId, expires: Timestamp) -> Result<Root, Refusal> {
        let reserve = Reserve { idx: tagged.idx, enrolment_id: id, expires };
        let wrap = match self.parts.uniqueness.reserve(&self.signed(&reserve)?).await? {
            TagState::Mine(Some(wrap)) => wrap,
            TagState::New | TagState::Returning | TagState::Mine(None) => {
                let drawn: Zeroizing<[u8; 64]> = Zeroizing::new(random(self.parts.rng.as_ref()));
                let sealed = seal_under(&tagged.wrap_key, b"hufu-v1-wrap", drawn.as_slice(), self.parts.rng.as_ref())
                    .map_err(|error| crate::broken(&error))?;
                let loc_u = Locator(Octets::try_from(&drawn[32..]).map_err(|error| crate::broken(&error))?);
                let store = StoreWrap { idx: tagged.idx, enrolment_id: id, wrap: sealed.0, loc_u };
                self.parts.uniqueness.store_wrap(&self.signed(&store)?).await?
            }
            TagState::Reserved => return Err(Refusal::Busy),
            TagState::Known(_) => return Err(Refusal::AlreadyEnrolled),
        };
        tagged.open(wrap)
    }

    fn outbox(&self, id: EnrolmentId, new: &NewHolder) -> Result<Vec<Outgoing>, Refusal> {
        let plain = Zeroizing::new(serde_json::to_vec(new).map_err(|error| crate::broken(&error))?);
        NodeIndex::ALL
            .into_iter()
            .map(|node| {
                let public = &self.parts.trust.node(node).sealing.0;
                let (enc, ciphertext) = hpke::seal(public, &sealing_aad(node, id), &plain, self.parts.rng.as_ref())?;
                let message = self.signed(&SealedHolder { enrolment_id: id, node, enc, ciphertext })?;
                Ok(Outgoing { node, message, delivered: false })
            })
            .collect()
    }

    /// Tells the nodes; `None` if one of them says that the number is taken.
    async fn deliver(&self, found: &Versioned<Enrolment>) -> Result<Option<Enrolment>, Refusal> {
        let mut enrolment = found.record.clone();
        let mut told = Vec::new();
        for outgoing in &enrolment.outbox {
            match self.node(outgoing.node).new_holder(&outgoing.message).await {
                Ok(HolderReply::Pending(report)) => match self.generation_of(&report, outgoing.node, enrolment.id) {
                    Some(generation) => told.push((outgoing.node, generation, report)),
                    // Its word would spoil the enrolment for the two that are honest.
                    None => tracing::error!(node = outgoing.node.get(), "a node's report does not verify"),
                },
                Ok(HolderReply::NumberTaken) => return Ok(None),
                Err(Refusal::AlreadyEnrolled) => return Err(Refusal::AlreadyEnrolled),
                Err(refusal) => {
                    tracing::warn!(node = outgoing.node.get(), code = refusal.code(), "a node did not take a new row")
                }
            }
        }
        // One that missed a rotation is as one that is away: its word would spoil the enrolment, too.
        let shared = shared_generation(told.iter().map(|(_, generation, _)| *generation));
        let shared = shared.ok_or(Refusal::NodesUnavailable)?;
        for (node, generation, report) in told {
            if generation == shared {
                enrolment.outbox.iter_mut().filter(|outgoing| outgoing.node == node).for_each(|to| to.delivered = true);
                enrolment.reports.push(report);
            } else {
                tracing::error!(
                    node = node.get(),
                    generation,
                    "a node reports keys of another generation than two others"
                );
            }
        }
        enrolment.step = Step::Delivered;
        self.put(&enrolment, Some(found)).await?;
        Ok(Some(enrolment))
    }

    /// The generation of the keys in a report, if it is this node's on this enrolment.
    fn generation_of(&self, report: &Signed<Report>, node: NodeIndex, id: EnrolmentId) -> Option<u32> {
        let name = hufu_wire::api::trust::node_name(node);
        let opened: Report = open_signed(&self.parts.trust, name, report).ok()?;
        let own = report.office == name && opened.node == node && opened.enrolment_id == id;
        own.then_some(opened.generation)
    }

    /// The generation of those that were kept, which two nodes share.
    fn kept_generation(&self, enrolment: &Enrolment) -> Option<u32> {
        let report = enrolment.reports.first()?;
        let node = NodeIndex::ALL.into_iter().find(|node| hufu_wire::api::trust::node_name(*node) == report.office)?;
        self.generation_of(report, node, enrolment.id)
    }

    /// Step 6: two nodes are ready, uniqueness confirms, the nodes activate.
    ///
    /// # Errors
    /// [`Refusal::EnrolmentOrder`] without two receipts; [`Refusal::NodesUnavailable`] if fewer than two nodes become active: the person
    /// exists then, and the step is taken again, by the wallet or by the office itself.
    pub async fn confirm(&self, request: &ConfirmStep) -> Result<EnrolmentView, Refusal> {
        retrying(|| self.confirm_once(request)).await
    }

    async fn confirm_once(&self, request: &ConfirmStep) -> Result<EnrolmentView, Refusal> {
        let Opened { found, draft } = self.open(&request.ticket).await?;
        let step = found.record.step.after(Action::Confirm)?;
        let number = draft.drawn.as_ref().map(|drawn| drawn.number.clone());
        if found.record.step == Step::Delivered {
            let ready = self.agreed(request)?;
            let confirm = Confirm { enrolment_id: request.ticket.id };
            let confirmation = self.parts.uniqueness.confirm(&self.signed(&confirm)?).await?;
            let enrolment = Enrolment { step, ready, confirmation: Some(confirmation), ..found.record.clone() };
            self.put(&enrolment, Some(&found)).await?;
        }
        let finished = retrying(|| self.finish(request.ticket.id)).await?;
        Ok(EnrolmentView { number, ..view(&finished) })
    }

    /// Two nodes' words on one password.
    fn agreed(&self, request: &ConfirmStep) -> Result<Vec<Signed<Ready>>, Refusal> {
        crate::ready::agreed(&self.parts.trust, request.ticket.id, &request.ready).map(|(_, words)| words)
    }

    /// Turns rows active wherever that is still to be done; identity is not needed for it.
    pub(super) async fn finish(&self, id: EnrolmentId) -> Result<Enrolment, Refusal> {
        let found = self.find(id).await?;
        let mut enrolment = found.record.clone();
        let confirmation = enrolment.confirmation.clone().ok_or(Refusal::EnrolmentOrder)?;
        let (reports, ready) = (enrolment.reports.clone(), enrolment.ready.clone());
        let activate = Activate { confirmation, reports, ready };
        let generation = self.kept_generation(&enrolment);
        for outgoing in &mut enrolment.outbox {
            if enrolment.active.contains(&outgoing.node) {
                continue;
            }
            if !outgoing.delivered
                && let Ok(HolderReply::Pending(report)) = self.node(outgoing.node).new_holder(&outgoing.message).await
                && let Some(told) = self.generation_of(&report, outgoing.node, id)
            {
                // What it made without the keys that count it does not turn active; its peers' row takes that one's place.
                if Some(told) != generation {
                    continue;
                }
                outgoing.delivered = true;
                enrolment.reports.push(report);
            }
            if self.node(outgoing.node).activate(&activate).await.is_ok() {
                enrolment.active.push(outgoing.node);
            }
        }
        if enrolment.active.len() >= 2 {
            enrolment.step = Step::Active;
        }
        // A node that stays down must not keep a draft here.
        if self.parts.clock.now() >= enrolment.expires {
            enrolment.draft = None;
        }
        // The third node's message waits for it a month; a node that is away longer is made anew from its peers.
        if enrolment.active.len() >= 2 && self.parts.clock.now() >= enrolment.expires + OUTBOX_KEPT {
            self.drop_draft(&found).await?;
        } else if enrolment != found.record {
            self.put(&enrolment, Some(&found)).await?;
        }
        if enrolment.active.len() >= 2 { Ok(enrolment) } else { Err(Refusal::NodesUnavailable) }
    }

    pub(super) async fn unfinished(&self) -> Result<Vec<EnrolmentId>, Refusal> {
        let rows = self.parts.store.scan_up_to::<Enrolment>("unfinished", Select::all(), UNFINISHED).await?;
        Ok(rows.into_iter().map(|row| row.record.id).collect())
    }
}
