//! The offices' ports over the sandbox's simulators.

use async_trait::async_trait;
use hufu_domain::eligibility::{RegisterEntry, Standing};
use hufu_kernel::{Lang, Refusal};
use hufu_offices::ports::{FaceDecision, IdentitySource, Sms};
use hufu_sandbox::adapters::{RegisterClient, SmsClient, Unanswered};
use hufu_sandbox::persons::Status;
use hufu_sandbox::phone_simulator::SendRequest;
use hufu_sandbox::register::{MatchAnswer, MatchRequest};
use hufu_wire::documents::DocumentNumber;
use hufu_wire::phone::Phone;

/// The civil register behind its simulator.
#[derive(Debug)]
pub struct Register(pub RegisterClient);

#[async_trait]
impl IdentitySource for Register {
    async fn look_up(&self, number: &DocumentNumber, name: &str) -> Result<Option<RegisterEntry>, Refusal> {
        let question = MatchRequest {
            document_type: number.kind(),
            number: number.expose().to_owned(),
            name: name.to_owned(),
            birth: None,
        };
        let answer = self.0.ask(&question).await.map_err(|error| {
            tracing::warn!(%error, "the register did not answer");
            Refusal::RegisterDown
        })?;
        entry(&answer)
    }
}

/// What a register's answer says, if anything can be decided on it.
///
/// # Errors
/// [`Refusal::RegisterDown`] for a match without a birth date or standing: as if no answer had come.
pub fn entry(answer: &MatchAnswer) -> Result<Option<RegisterEntry>, Refusal> {
    if !answer.matches {
        return Ok(None);
    }
    let (Some(birth), Some(status)) = (answer.birth_date, answer.status) else { return Err(Refusal::RegisterDown) };
    let standing = match status {
        Status::Valid => Standing::Valid,
        Status::Expired => Standing::Expired,
        Status::Deceased => Standing::Deceased,
    };
    Ok(Some(RegisterEntry { birth, standing }))
}

/// A message as providers take it.
///
/// # Errors
/// [`Refusal::PhoneNumber`].
pub fn message(to: &str, template: &str, params: &[(&str, &str)], lang: Lang) -> Result<SendRequest, Refusal> {
    Ok(SendRequest {
        to: Phone::parse(to).map_err(|_| Refusal::PhoneNumber)?,
        template: template.to_owned(),
        params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        lang,
    })
}

/// The message provider behind its simulator.
#[derive(Debug)]
pub struct Messages(pub SmsClient);

#[async_trait]
impl Sms for Messages {
    async fn send(&self, to: &str, template: &str, params: &[(&str, &str)], lang: Lang) -> Result<(), Refusal> {
        let message = message(to, template, params, lang)?;
        self.0.send(&message).await.map_err(|error| match error {
            Unanswered::Number => Refusal::PhoneNumber,
            Unanswered::Down(cause) => {
                tracing::warn!(cause, "the message provider did not answer");
                Refusal::MessageDown
            }
        })
    }
}

/// The sandbox's face step: the evidence is the person's choice, `pass` or anything else. No camera, no image, no model; the
/// real port decides from images and lives in `proofing`.
#[derive(Debug, Clone, Copy)]
pub struct SandboxFace;

/// The evidence that passes.
pub const FACE_PASSES: &[u8] = b"pass";

#[async_trait]
impl FaceDecision for SandboxFace {
    async fn decide(&self, number: &DocumentNumber, evidence: &[u8]) -> Result<bool, Refusal> {
        // Only synthetic persons may pass a check that checks nothing.
        Ok(number.is_sandbox() && evidence == FACE_PASSES)
    }
}
