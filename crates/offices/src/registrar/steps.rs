//! The steps the wallet takes. Before face and phone have passed every cause has one answer (design 3).

use super::beat::on_the_beat;
use super::record::{Draft, Enrolment, Verdict};
use super::{NOTICE_VERSION, Registrar};
use crate::keys::{open_under, seal_under};
use crate::retrying;
use hufu_domain::eligibility;
use hufu_domain::enrolment::{Action, Codes, Step, typed_code};
use hufu_kernel::{EnrolmentId, Key, Octets, Refusal, framed, random};
use hufu_store::{Batch, Expect, IdempotencyKey, Versioned};
use hufu_wire::api::enrolment::{
    CodeStep, EnrolmentView, FaceStep, PhoneStep, SendCode, StartEnrolment, Started, Ticket,
};
use hufu_wire::documents::DocumentNumber;
use hufu_wire::phone::Phone;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Drafts are sealed at a multiple of this many bytes, so that their length says nothing of what the register knows.
const DRAFT_BYTES: usize = 2048;

/// An enrolment that its wallet has opened.
pub(super) struct Opened {
    pub found: Versioned<Enrolment>,
    pub draft: Draft,
}

impl Registrar {
    /// Step 1. A number that cannot be is told at once; whether it exists is told to nobody yet.
    ///
    /// # Errors
    /// [`Refusal::DocumentNumber`], [`Refusal::RegisterDown`], [`Refusal::Malformed`] for a notice that is not in force.
    pub async fn start(&self, request: &StartEnrolment) -> Result<Started, Refusal> {
        if request.notice_version != NOTICE_VERSION || request.name.trim().is_empty() || request.name.len() > 200 {
            return Err(Refusal::Malformed);
        }
        let number = DocumentNumber::parse(request.document_type, &request.document_number)
            .map_err(|_| Refusal::DocumentNumber)?;
        let verdict = on_the_beat(self.beat(), self.verdict(&number, &request.name)).await?;
        let now = self.parts.clock.now();
        let ticket =
            Ticket { id: EnrolmentId::random(self.parts.rng.as_ref()), key: Octets(random(self.parts.rng.as_ref())) };
        let draft = Draft {
            document_type: request.document_type,
            document_number: number.expose().to_owned(),
            name: request.name.clone(),
            verdict,
            face: false,
            faces: 0,
            phone: None,
            lang: hufu_kernel::Lang::ZhHans,
            codes: Codes::default(),
            notice_version: request.notice_version.clone(),
            drawn: None,
        };
        let enrolment = Enrolment {
            id: ticket.id,
            step: Step::Detailed,
            expires: (now + self.parts.rules.enrolment.lapses_after_s).minute(),
            draft: Some(self.seal(&ticket, &draft)?),
            outbox: Vec::new(),
            ready: Vec::new(),
            reports: Vec::new(),
            confirmation: None,
            active: Vec::new(),
            recovery: None,
        };
        self.put(&enrolment, None).await?;
        Ok(Started { view: view(&enrolment), ticket })
    }

    fn beat(&self) -> Duration {
        Duration::from_millis(self.parts.rules.enrolment.beat_ms.get().into())
    }

    async fn verdict(&self, number: &DocumentNumber, name: &str) -> Result<Verdict, Refusal> {
        let Some(entry) = self.parts.identity.look_up(number, name).await? else { return Ok(Verdict::Unknown) };
        let today = self.parts.clock.now().date();
        Ok(match eligibility::decide(&entry, today, &self.parts.rules.age) {
            Ok(()) => Verdict::May(eligibility::flags(entry.birth, today, &self.parts.rules.age)),
            Err(refusal) => Verdict::MayNot(refusal),
        })
    }

    /// Step 2. The answer is kept, not told.
    ///
    /// # Errors
    /// [`Refusal::EnrolmentGone`], [`Refusal::EnrolmentOrder`].
    pub async fn face(&self, request: &FaceStep) -> Result<EnrolmentView, Refusal> {
        let Opened { found, mut draft } = self.open(&request.ticket).await?;
        let step = found.record.step.after(Action::Face)?;
        if draft.faces >= self.parts.rules.enrolment.face_tries {
            return Err(Refusal::TooMany);
        }
        draft.faces += 1;
        let number = self.number(&draft)?;
        draft.face = on_the_beat(self.beat(), self.parts.face.decide(&number, &request.evidence.0)).await?;
        self.advance(&request.ticket, found, step, &draft).await
    }

    /// Step 3: a code goes to the phone, for every draft alike.
    ///
    /// # Errors
    /// [`Refusal::PhoneNumber`], [`Refusal::TooMany`], [`Refusal::EnrolmentGone`], [`Refusal::EnrolmentOrder`].
    pub async fn phone(&self, request: &PhoneStep) -> Result<EnrolmentView, Refusal> {
        let phone = Phone::parse(&request.phone).map_err(|_| Refusal::PhoneNumber)?;
        let Opened { found, mut draft } = self.open(&request.ticket).await?;
        let step = found.record.step.after(Action::SendCode)?;
        if draft.phone.as_deref().is_some_and(|known| known != phone.as_str()) {
            // Another phone: codes sent to the old one prove nothing about the new one; sends are still counted.
            for code in &mut draft.codes.sent {
                code.digest = Octets(random(self.parts.rng.as_ref()));
            }
        }
        draft.phone = Some(phone.as_str().to_owned());
        draft.lang = request.lang;
        let code = self.code();
        draft.codes.send(code_digest(&request.ticket, &code), self.parts.clock.now(), &self.parts.rules.phone_code)?;
        let advanced = self.advance(&request.ticket, found, step, &draft).await?;
        let message = SendCode { phone: phone.as_str().to_owned(), code, lang: request.lang };
        self.parts.post.send_code(&self.signed(&message)?).await?;
        Ok(advanced)
    }

    /// Six even digits.
    fn code(&self) -> String {
        let limit = u32::MAX - u32::MAX % 1_000_000;
        loop {
            let drawn = u32::from_be_bytes(random(self.parts.rng.as_ref()));
            if drawn < limit {
                return format!("{:06}", drawn % 1_000_000);
            }
        }
    }

    /// Step 4: with the phone proven, the person may be told what is known of them.
    ///
    /// # Errors
    /// The code's refusals; then [`Refusal::NotConfirmed`] for every cause that is not the person's own page.
    pub async fn check_code(&self, request: &CodeStep) -> Result<EnrolmentView, Refusal> {
        let Opened { found, mut draft } = self.open(&request.ticket).await?;
        let step = found.record.step.after(Action::CheckCode)?;
        let rules = &self.parts.rules.phone_code;
        let Some(code) = typed_code(&request.code, rules) else { return Err(Refusal::PhoneCode) };
        let checked = draft.codes.check(&code_digest(&request.ticket, &code), self.parts.clock.now(), rules);
        if let Err(refusal) = checked {
            // The wrong try is counted before it is answered.
            let same = found.record.step;
            self.advance(&request.ticket, found, same, &draft).await?;
            return Err(refusal);
        }
        match (&draft.verdict, draft.face) {
            (Verdict::May(_), true) => self.advance(&request.ticket, found, step, &draft).await,
            (verdict, face) => {
                let refusal = if let (Verdict::MayNot(refusal), true) = (verdict, face) {
                    *refusal
                } else {
                    Refusal::NotConfirmed
                };
                // Nothing can come of it any more, so nothing of it is kept.
                self.drop_draft(&found).await?;
                Err(refusal)
            }
        }
    }

    /// Where an enrolment stands.
    ///
    /// # Errors
    /// [`Refusal::EnrolmentGone`].
    pub async fn status(&self, ticket: &Ticket) -> Result<EnrolmentView, Refusal> {
        let found = self.find(ticket.id).await?;
        match &found.record.draft {
            Some(draft) => {
                self.unseal(ticket, draft)?;
                Ok(view(&found.record))
            }
            None => Ok(view(&found.record)),
        }
    }

    pub(super) async fn find(&self, id: EnrolmentId) -> Result<Versioned<Enrolment>, Refusal> {
        let found = self.parts.store.get::<Enrolment>(&Key::own(id.as_slice())).await?.ok_or(Refusal::EnrolmentGone)?;
        let lapsed = found.record.confirmation.is_none() && self.parts.clock.now() >= found.record.expires;
        if lapsed { Err(Refusal::EnrolmentGone) } else { Ok(found) }
    }

    pub(super) async fn open(&self, ticket: &Ticket) -> Result<Opened, Refusal> {
        let found = self.find(ticket.id).await?;
        let draft = self.unseal(ticket, found.record.draft.as_ref().ok_or(Refusal::EnrolmentOrder)?)?;
        Ok(Opened { found, draft })
    }

    pub(super) fn number(&self, draft: &Draft) -> Result<DocumentNumber, Refusal> {
        DocumentNumber::parse(draft.document_type, &draft.document_number)
            .map_err(|_| crate::broken(&"a draft's number"))
    }

    pub(super) fn seal(&self, ticket: &Ticket, draft: &Draft) -> Result<hufu_kernel::Sealed, Refusal> {
        let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(2 * DRAFT_BYTES));
        serde_json::to_writer(&mut *bytes, draft).map_err(|error| crate::broken(&error))?;
        // JSON may end in spaces.
        let padded = bytes.len().next_multiple_of(DRAFT_BYTES);
        bytes.resize(padded, b' ');
        seal_under(&ticket.key.0, ticket.id.as_slice(), &bytes, self.parts.rng.as_ref())
            .map_err(|error| crate::broken(&error))
    }

    fn unseal(&self, ticket: &Ticket, draft: &hufu_kernel::Sealed) -> Result<Draft, Refusal> {
        let bytes = open_under(&ticket.key.0, ticket.id.as_slice(), draft).map_err(|_| Refusal::EnrolmentGone)?;
        serde_json::from_slice(&bytes).map_err(|error| crate::unreadable("a draft", &error))
    }

    pub(super) async fn put(&self, enrolment: &Enrolment, found: Option<&Versioned<Enrolment>>) -> Result<(), Refusal> {
        let mut batch = Batch::new();
        batch.put(enrolment, Expect::as_read(found));
        let key = IdempotencyKey::random(self.parts.rng.as_ref(), self.parts.clock.now());
        self.parts.store.commit(batch, key).await?;
        Ok(())
    }

    pub(super) async fn drop_draft(&self, found: &Versioned<Enrolment>) -> Result<(), Refusal> {
        let mut batch = Batch::new();
        batch.delete::<Enrolment>(&Key::own(found.record.id.as_slice()), found.version);
        let key = IdempotencyKey::random(self.parts.rng.as_ref(), self.parts.clock.now());
        self.parts.store.commit(batch, key).await?;
        Ok(())
    }

    async fn advance(
        &self,
        ticket: &Ticket,
        found: Versioned<Enrolment>,
        step: Step,
        draft: &Draft,
    ) -> Result<EnrolmentView, Refusal> {
        let enrolment = Enrolment { step, draft: Some(self.seal(ticket, draft)?), ..found.record.clone() };
        self.put(&enrolment, Some(&found)).await?;
        Ok(view(&enrolment))
    }

    /// Forgets enrolments that lapsed, and finishes those whose person exists.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<u32, Refusal> {
        let ids = self.unfinished().await?;
        for id in ids {
            if let Err(refusal) = retrying(|| self.go_on(id)).await {
                tracing::info!(code = refusal.code(), "an enrolment is waiting for a node");
            }
        }
        Ok(self.parts.store.sweep(self.parts.clock.now(), 1000).await?)
    }
}

fn code_digest(ticket: &Ticket, code: &str) -> Octets<32> {
    Octets(Sha256::digest(framed(&[b"hufu-v1-code", ticket.id.as_slice(), code.as_bytes()])).into())
}

/// What the wallet may see.
pub(super) fn view(enrolment: &Enrolment) -> EnrolmentView {
    EnrolmentView {
        id: enrolment.id,
        next: enrolment.step.next(),
        expires: enrolment.expires,
        nodes: enrolment.outbox.iter().filter(|outgoing| outgoing.delivered).map(|outgoing| outgoing.node).collect(),
        reports: enrolment.reports.clone(),
        number: None,
        until: enrolment.recovery.as_ref().map(|recovery| recovery.until),
    }
}
