//! What a platform may ask and what a node may sign at level direct.

use hufu_kernel::{AgeBand, Answer, Refusal, Root, Timestamp};
use hufu_wire::api::enrolment::Flags;
use hufu_wire::api::platform::{CIBA_GRANT, PlatformCertificate, Profile};
use hufu_wire::api::sign_in::{Answers, Consent};

/// Checks a consent against the registry's certificate: a front that widens, redirects or swaps is refused by every node.
///
/// # Errors
/// Which rule is broken.
pub fn check(certificate: &PlatformCertificate, root: Root, consent: &Consent, now: Timestamp) -> Result<(), Refusal> {
    if certificate.root != root || (certificate.profile == Profile::Basic && root != Root::Sandbox) {
        return Err(Refusal::WrongRoot);
    }
    if certificate.client_id != consent.client_id || now < certificate.iat - 60 || now >= certificate.exp {
        return Err(Refusal::PlatformUnknown);
    }
    // What is asked without a browser goes to no address; the grant's name stands there, for who registered for it.
    let backchannel = certificate.registration.backchannel_token_delivery_mode.is_some();
    let unaddressed = backchannel && consent.redirect_uri == CIBA_GRANT && consent.nonce.is_empty();
    if !unaddressed && !certificate.redirect_uris.contains(&consent.redirect_uri) {
        return Err(Refusal::PlatformRequest);
    }
    let purpose = certificate.purpose(Some(&consent.purpose)).ok_or(Refusal::PlatformRequest)?;
    let entitled = |answer: &Answer| certificate.entitled.contains(answer) && purpose.answers.contains(answer);
    if !consent.answers.iter().all(entitled) {
        return Err(Refusal::OverAsking);
    }
    Ok(())
}

/// The values of the agreed answers, from a node's own row.
#[must_use]
pub fn answers(flags: &Flags, agreed: &[Answer], now: Timestamp) -> Answers {
    let wants = |answer| agreed.contains(&answer);
    let band = flags.band_at(now);
    Answers {
        real: wants(Answer::Real).then_some(flags.real),
        unique: wants(Answer::Unique).then_some(flags.unique),
        alive: wants(Answer::Alive).then_some(flags.alive),
        age_over_18: wants(Answer::AgeOver18).then_some(band == AgeBand::Adult),
        age_band: wants(Answer::AgeBand).then_some(band),
        // Consent of a guardian is a second signature (privacy study 6.3), and no row has one: the answer is no, an adult's too.
        guardian_consent: wants(Answer::GuardianConsent).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_agreed_answers_have_values() {
        let flags = Flags { real: true, unique: true, alive: true, band: AgeBand::From14To17, band_until: None };
        let values = answers(&flags, &[Answer::AgeOver18], Timestamp(0));
        assert_eq!(values, Answers { age_over_18: Some(false), ..Answers::default() });
    }
}
