//! What the front checks of an ID token before it makes a code of it (flows 7d). The front cannot sign results, and these
//! checks keep it from passing on a result that was made for anybody or anything else.

use super::transactions::{Pending, Tx};
use hufu_kernel::{Answer, DEVICE_SKEW, OFFICE_SKEW, Octets, Refusal, Timestamp};
use hufu_oidc::provider::AuthorizationRequest;
use hufu_pairwise::{Context, Intl, request_direct};
use hufu_wire::api::sign_in::{Answers, CompleteSignIn, IdToken, acr, amr};
use hufu_wire::jose::{Compact, Jwks};
use hufu_wire::subject_handle::SubjectHandle;

/// Seconds an ID token lives.
const ID_TOKEN_SECONDS: i64 = 300;

/// Seconds the wallet's clock, which proposes `iat`, may be off, and the sign-in may take after it.
const SLACK: i64 = DEVICE_SKEW;

/// Seconds a proof that is made now may seem to be of before: nodes allow a device its skew by their own clock, which may be behind ours.
const BEHIND: i64 = DEVICE_SKEW + OFFICE_SKEW;

struct Case<'a> {
    issuer: &'a str,
    tx: &'a Tx,
    pending: &'a Pending,
    s: &'a Octets<32>,
    handle: Option<&'a SubjectHandle>,
    token: &'a IdToken,
    payload: &'a [u8],
    now: Timestamp,
    /// Seconds that the clock by which people prove to be there may be behind.
    behind: i64,
}

type Check = (&'static str, fn(&Case<'_>) -> bool);

/// In order; the signature has been verified before.
const CHECKS: &[Check] = &[
    ("no member beyond the documented ones", members),
    ("iss", |case| case.token.iss == case.issuer),
    ("aud", |case| case.token.aud == case.request().client_id),
    ("nonce", |case| case.token.nonce == case.request().nonce),
    ("iat", |case| case.token.iat.within(case.now, 2 * SLACK)),
    ("exp", |case| case.token.exp == case.token.iat + ID_TOKEN_SECONDS && case.now < case.token.exp),
    ("auth_time", |case| case.token.auth_time.within(case.token.iat, 2 * SLACK)),
    ("auth_time is as late as the request demands", late_enough),
    ("strength", |case| case.token.hufu.strength >= case.request().strength()),
    ("acr and amr", acr_and_amr),
    ("no answer beyond those asked for", |case| {
        given(&case.token.hufu.answers).all(|a| case.request().answers.contains(&a))
    }),
    ("ctx", context),
    ("the subject handle, for who registered for one", handle),
];

impl Case<'_> {
    fn request(&self) -> &AuthorizationRequest {
        &self.pending.request
    }
}

/// Checks the wallet's answer against the front's own transaction, and returns the token's claims. `sessions`: whether anybody remembers
/// who signed in before, as a sandbox's persona agent may.
pub(super) fn check(
    (keys, issuer, sessions): (&Jwks, &str, bool),
    answer: &CompleteSignIn,
    pending: &Pending,
    now: Timestamp,
) -> Result<IdToken, Refusal> {
    let refused = |check: &str| {
        tracing::debug!(check, "an ID token was refused");
        Refusal::TokenRejected
    };
    let jws = Compact::parse(&answer.id_token).map_err(|_| refused("shape"))?;
    // The group key signs more than ID tokens; typ keeps a certificate or a pass from being taken for one.
    if !jws.header().is_typ("JWT") {
        return Err(refused("typ"));
    }
    let alg = pending.client.certificate.id_token_signed_response_alg;
    let payload = keys.verify(&jws, &[alg]).map_err(|_| refused("signature"))?;
    let token: IdToken = payload.json().map_err(|_| refused("claims"))?;
    // The agent that remembers is on this machine; without one nobody is signed in by an earlier proof, and only clocks differ.
    let behind = if sessions { 0 } else { BEHIND };
    let case = Case {
        issuer,
        tx: &answer.tx,
        pending,
        s: &answer.s,
        handle: answer.handle.as_ref(),
        token: &token,
        payload: payload.bytes(),
        now,
        behind,
    };
    match CHECKS.iter().find(|(_, holds)| !holds(&case)) {
        Some((name, _)) => Err(refused(name)),
        None => Ok(token),
    }
}

/// Nodes build exactly the documented bytes: anything more would be a channel around the consent page.
fn members(case: &Case<'_>) -> bool {
    case.token.hufu.v == 1 && serde_json::to_vec(case.token).is_ok_and(|bytes| bytes == case.payload)
}

/// `max_age` and `prompt` (OpenID Connect Core section 3.1.2.1), by the front's own record of the request: what the browser's address
/// says to whoever answers may have been written by anybody.
fn late_enough(case: &Case<'_>) -> bool {
    let begun = case.pending.begun;
    let since = case.request().session_since(begun).unwrap_or(begun);
    case.token.auth_time >= since - case.behind
}

fn acr_and_amr(case: &Case<'_>) -> bool {
    let strength = case.token.hufu.strength;
    case.token.acr == acr(strength) && case.token.amr == amr(strength)
}

/// The answers that have a value.
fn given(answers: &Answers) -> impl Iterator<Item = Answer> {
    let Answers { real, unique, alive, age_over_18, age_band, guardian_consent } = answers;
    [
        (real.is_some(), Answer::Real),
        (unique.is_some(), Answer::Unique),
        (alive.is_some(), Answer::Alive),
        (age_over_18.is_some(), Answer::AgeOver18),
        (age_band.is_some(), Answer::AgeBand),
        (guardian_consent.is_some(), Answer::GuardianConsent),
    ]
    .into_iter()
    .filter_map(|(given, answer)| given.then_some(answer))
}

/// ctx commits to the answers the person agreed to, which are those that have a value: a node gives every one of them.
fn context(case: &Case<'_>) -> bool {
    let (request, client) = (case.request(), &case.pending.client);
    let bound =
        request_direct::<Intl>(&request.client_id, &request.code_challenge, &request.dpop_jkt, case.tx.as_slice());
    let ctx = Context {
        s: &case.s.0,
        sector_id: &client.certificate.sector_id,
        nonce: &request.nonce,
        redirect_uri: &request.redirect_uri,
        certificate_hash: &client.hash.0,
        purpose: &request.purpose,
        answers: &given(&case.token.hufu.answers).collect::<Vec<_>>(),
        request: &bound,
    };
    ctx.hash::<Intl>() == case.token.hufu.ctx.0
}

/// The halves that came with the token are those that its two nodes made for this sign-in: both put their hash into it.
fn handle(case: &Case<'_>) -> bool {
    let registered = !case.pending.client.certificate.registration.subject_handle.is_empty();
    match (case.handle, case.token.hufu.handle) {
        (None, None) => !registered,
        (Some(handle), Some(hash)) => registered && handle.hash() == hash,
        _ => false,
    }
}
