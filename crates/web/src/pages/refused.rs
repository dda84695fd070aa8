//! The pages of refusals: one for each that a person can meet. What happened is said by the refusal itself; this table adds what to
//! do now.

use hufu_kernel::Refusal;

/// One refusal's page.
#[derive(Debug)]
pub(super) struct Told {
    pub refusal: Refusal,
    /// The heading.
    pub title: &'static str,
    /// What to do now.
    pub next: &'static str,
    /// The next step: its label and address.
    pub way: Option<(&'static str, &'static str)>,
}

const AGAIN: Option<(&str, &str)> = Some(("way-enrol", "/enrol"));
const CARD: Option<(&str, &str)> = Some(("way-card", "/home"));
const START: Option<(&str, &str)> = Some(("way-start", "/"));

const fn told(
    refusal: Refusal,
    title: &'static str,
    next: &'static str,
    way: Option<(&'static str, &'static str)>,
) -> Told {
    Told { refusal, title, next, way }
}

/// The pages.
pub(super) const ALL: &[Told] = &[
    // -- enrolment
    told(Refusal::NotConfirmed, "refused-details", "next-details", AGAIN),
    told(Refusal::GuardianNeeded, "refused-guardian", "next-guardian", START),
    told(Refusal::ForeignPassport, "refused-passport", "next-passport", AGAIN),
    told(Refusal::DocumentExpired, "refused-expired", "next-expired", START),
    told(Refusal::Deceased, "refused-register", "next-register", START),
    told(Refusal::AlreadyEnrolled, "refused-known", "next-known", CARD),
    told(Refusal::NotEnrolled, "refused-new", "next-new", AGAIN),
    told(Refusal::EnrolmentGone, "refused-lapsed", "next-lapsed", AGAIN),
    told(Refusal::EnrolmentOrder, "refused-order", "next-order", AGAIN),
    told(Refusal::RegisterDown, "refused-later", "next-later", AGAIN),
    told(Refusal::MessageDown, "refused-later", "next-later", AGAIN),
    // -- the device and the person's own record
    told(Refusal::AssertionInvalid, "refused-device", "next-device", CARD),
    told(Refusal::ChallengeMismatch, "refused-device", "next-device", CARD),
    told(Refusal::HolderKeyRefused, "refused-device", "next-device", CARD),
    told(Refusal::UnknownDevice, "refused-unknown", "next-unknown", AGAIN),
    told(Refusal::StaleTime, "refused-clock", "next-clock", START),
    told(Refusal::PasswordBlocked, "refused-paused", "next-paused", CARD),
    told(Refusal::Locked, "refused-locked", "next-locked", Some(("way-unlock", "/lock"))),
    told(Refusal::LockedElsewhere, "refused-locked", "next-elsewhere", Some(("way-help", "/help"))),
    told(Refusal::Suspended, "refused-suspended", "next-suspended", Some(("way-help", "/help"))),
    told(Refusal::NotActive, "refused-lapsed", "next-order", AGAIN),
    told(Refusal::VersionConflict, "refused-changed", "next-changed", CARD),
    told(Refusal::LastDevice, "refused-last", "next-last", Some(("way-devices", "/devices"))),
    told(Refusal::TooManyDevices, "refused-many", "next-many", Some(("way-devices", "/devices"))),
    told(Refusal::VetoPeriod, "refused-waiting", "next-waiting", CARD),
    // -- sign-in
    told(Refusal::TransactionGone, "refused-gone", "next-platform", START),
    told(Refusal::TransactionCookie, "refused-browser", "next-platform", START),
    told(Refusal::ScanStale, "refused-scan", "next-scan", START),
    told(Refusal::ForeignOrigin, "refused-gone", "next-platform", START),
    told(Refusal::OverAsking, "refused-asking", "next-asking", START),
    told(Refusal::PlatformUnknown, "refused-stranger", "next-asking", START),
    told(Refusal::PlatformRequest, "refused-asking", "next-asking", START),
    told(Refusal::TokenRejected, "refused-proof", "next-platform", START),
    // -- the service
    told(Refusal::SignatureRefused, "refused-proof", "next-later", CARD),
    told(Refusal::NodesUnavailable, "refused-later", "next-later", START),
    told(Refusal::NodesDisagree, "refused-later", "next-later", START),
    told(Refusal::SessionGone, "refused-gone", "next-again", START),
    told(Refusal::Replayed, "refused-gone", "next-again", START),
    told(Refusal::OfficeUnreachable, "refused-later", "next-later", START),
    told(Refusal::OfficeGarbled, "refused-later", "next-later", START),
    told(Refusal::Busy, "refused-later", "next-later", START),
    told(Refusal::ClockOff, "refused-later", "next-later", START),
    told(Refusal::StoreUnavailable, "refused-later", "next-later", START),
    told(Refusal::TooMany, "refused-often", "next-often", START),
    told(Refusal::Malformed, "refused-request", "next-again", START),
    told(Refusal::TooLarge, "refused-request", "next-again", START),
    told(Refusal::Internal, "refused-broken", "next-broken", START),
    told(Refusal::NotFound, "refused-missing", "next-missing", START),
];

/// The page of the refusal with this code.
pub(super) fn told_of(code: &str) -> Option<&'static Told> {
    ALL.iter().find(|told| told.refusal.code() == code)
}
