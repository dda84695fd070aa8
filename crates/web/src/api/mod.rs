//! The API described as data: an [`Operation`] stands beside each route, and what is published of the API is made of these: the OpenAPI
//! document ([`document()`]) and the front's pages `/docs/api` and `/docs/errors`.

mod document;
mod messages;
pub(crate) mod oauth;
mod operators;
pub(crate) mod signals;
mod standards;

pub use document::{Places, document, document_text};
pub use oauth::{ALL_SETS, Errors};

pub(crate) use document::{Response, responses};
pub(crate) use messages::{Message, messages, name_of};
pub(crate) use standards::{named, of_code, of_status};

use hufu_kernel::Refusal;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::future::Future;
use std::sync::Arc;

/// The front's table, the nodes', the registrar's, and what every office answers to operators.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let mut all = crate::front::operations();
    all.extend(crate::node::routes().iter().map(|route| route.operation(At::Node, OF_A_NODE)));
    all.extend(crate::registrar::routes().iter().map(|route| route.operation(At::Registrar, OF_THE_REGISTRAR)));
    all.extend(operators::operations());
    all
}

/// Where an operation is answered, and to whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum At {
    /// The front, to platforms' servers.
    Platforms,
    /// The front, to browsers that a platform sent.
    Browsers,
    /// The front, to the wallet in the same browser.
    Wallet,
    /// Each of the three nodes, to wallets.
    Node,
    /// The registrar, to wallets.
    Registrar,
    /// The wallet's origin, to wallets and to whoever pins the trust root.
    Pins,
    /// Each office, to its operators.
    Operators,
    /// The front, to engineers.
    Docs,
}

impl At {
    /// All of them, in the order of the pages.
    pub const ALL: [Self; 8] = [
        Self::Platforms,
        Self::Browsers,
        Self::Wallet,
        Self::Node,
        Self::Registrar,
        Self::Pins,
        Self::Operators,
        Self::Docs,
    ];

    /// The tag in the document.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Platforms => "platforms",
            Self::Browsers => "browsers",
            Self::Wallet => "wallet",
            Self::Node => "nodes",
            Self::Registrar => "registrar",
            Self::Pins => "pins",
            Self::Operators => "operators",
            Self::Docs => "docs",
        }
    }

    /// Who asks there, in a sentence.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Platforms => {
                "The front, to platforms' servers: OpenID Connect with FAPI 2.0. Refusals are those of OAuth. A platform whose \
                 certificate names TLS certificates sends the same requests to the addresses of mtls_endpoint_aliases."
            }
            Self::Browsers => {
                "The front, to browsers that a platform sent. Refusals are pages, or go to the platform's address."
            }
            Self::Wallet => {
                "The front, to the wallet in the browser that began: its scripts send JSON, its pages forms."
            }
            Self::Node => {
                "Each of the three nodes, to wallets. Scripts of the wallet's origin only; every message is signed by a device."
            }
            Self::Registrar => "The registrar, to wallets: an enrolment, step by step.",
            Self::Pins => "The wallet's origin (the trust root's public half also stands at the registrar).",
            Self::Operators => "Each office, on the address that its operators chose for it.",
            Self::Docs => "The front, to engineers.",
        }
    }

    /// Whether the front answers it.
    #[must_use]
    pub fn is_front(self) -> bool {
        matches!(self, Self::Platforms | Self::Browsers | Self::Wallet | Self::Docs)
    }
}

/// One operation, as it is told.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The HTTP method, upper case.
    pub method: &'static str,
    /// The path; `{name}` stands for a part of it.
    pub path: &'static str,
    /// Where, and to whom.
    pub at: At,
    /// What it does, one sentence.
    pub what: &'static str,
    /// What it takes.
    pub asks: Asks,
    /// What it answers, without what every office answers anyway ([`COMMON`]).
    pub answers: Vec<Told>,
}

/// A schema, made by a generator that collects what it refers to.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What an operation takes.
#[derive(Clone, Copy, Debug)]
pub enum Asks {
    /// Nothing.
    Nothing,
    /// Parts of the path.
    Path(&'static [Parameter]),
    /// Parameters of the query.
    Query(&'static [Parameter]),
    /// A form, `application/x-www-form-urlencoded`.
    Form(&'static [Parameter]),
    /// A JSON message.
    Json(Shape),
    /// The same message as JSON or as a form.
    JsonOrForm(Shape),
}

/// A parameter of a query or form.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be there, whatever else is.
    pub required: bool,
    /// What it says, and where that stands.
    pub what: &'static str,
    /// A value as it may look.
    pub example: &'static str,
}

/// One kind of answer.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// JSON of a shape.
    Json(u16, &'static str, Shape),
    /// A body of another media type.
    Other(u16, &'static str, &'static str),
    /// No body.
    Empty(u16, &'static str),
    /// A redirect to the platform, which may tell these instead of success.
    Redirect(&'static str, &'static [Errors]),
    /// JSON refusals.
    Refused(&'static [Refusal]),
    /// The same as pages.
    Page(&'static [Refusal]),
    /// OAuth's errors (RFC 6749 section 5.2).
    OAuth(&'static [Errors]),
    /// OAuth's errors at a protected resource, where a bad proof is a failed authentication (RFC 9449 section 7.1).
    Resource(&'static [Errors]),
}

/// What every office may answer to anything: what is not answered in time, or fails unexpectedly ([`crate::serve::finished`]).
pub const COMMON: Told = Told::Refused(&[Refusal::Internal]);

/// What a node may answer to wallets. A test compares with the node's sources.
pub const OF_A_NODE: &[Refusal] = &[
    // -- of any request
    Refusal::Malformed,
    Refusal::TooLarge,
    Refusal::NotFound,
    Refusal::TooMany,
    Refusal::Busy,
    Refusal::Internal,
    Refusal::StoreUnavailable,
    Refusal::ClockOff,
    Refusal::NodesUnavailable,
    Refusal::ForeignOrigin,
    // -- device and password
    Refusal::AssertionInvalid,
    Refusal::ChallengeMismatch,
    Refusal::StaleTime,
    Refusal::UnknownDevice,
    Refusal::Replayed,
    Refusal::PasswordWrong,
    Refusal::PasswordBlocked,
    Refusal::HolderKeyRefused,
    // -- the row
    Refusal::Locked,
    Refusal::LockedElsewhere,
    Refusal::Suspended,
    Refusal::NotActive,
    Refusal::VersionConflict,
    Refusal::NodesDisagree,
    Refusal::SignatureRefused,
    Refusal::SessionGone,
    Refusal::LastDevice,
    Refusal::TooManyDevices,
    Refusal::VetoPeriod,
    Refusal::AlreadyEnrolled,
    Refusal::EnrolmentGone,
    Refusal::EnrolmentOrder,
    // -- the platform of a sign-in
    Refusal::PlatformUnknown,
    Refusal::PlatformRequest,
    Refusal::OverAsking,
    // -- its peers
    Refusal::OfficeRefused,
    Refusal::OfficeUnreachable,
    Refusal::OfficeGarbled,
    Refusal::WrongRoot,
];

/// What the registrar may answer to wallets. A test compares with the registrar's sources.
pub const OF_THE_REGISTRAR: &[Refusal] = &[
    // -- of any request
    Refusal::Malformed,
    Refusal::TooLarge,
    Refusal::NotFound,
    Refusal::TooMany,
    Refusal::Busy,
    Refusal::Internal,
    Refusal::StoreUnavailable,
    Refusal::ClockOff,
    Refusal::NodesUnavailable,
    Refusal::ForeignOrigin,
    // -- the steps
    Refusal::NotConfirmed,
    Refusal::DocumentNumber,
    Refusal::PhoneNumber,
    Refusal::PhoneCode,
    Refusal::PhoneCodeExpired,
    Refusal::PhoneCodeTries,
    Refusal::MessageDown,
    Refusal::GuardianNeeded,
    Refusal::ForeignPassport,
    Refusal::DocumentExpired,
    Refusal::Deceased,
    Refusal::AlreadyEnrolled,
    Refusal::NotEnrolled,
    Refusal::EnrolmentGone,
    Refusal::EnrolmentOrder,
    Refusal::RegisterDown,
    // -- what the offices that it asks say, which it passes on
    Refusal::AssertionInvalid,
    Refusal::ChallengeMismatch,
    Refusal::StaleTime,
    Refusal::UnknownDevice,
    Refusal::Replayed,
    Refusal::VersionConflict,
    Refusal::NodesDisagree,
    Refusal::SignatureRefused,
    Refusal::TooManyDevices,
    Refusal::VetoPeriod,
    Refusal::NotActive,
    Refusal::OfficeRefused,
    Refusal::OfficeUnreachable,
    Refusal::OfficeGarbled,
    Refusal::WrongRoot,
];

/// The schema of what a method of an office answers, taken from the method itself.
pub(crate) fn answer_of<O, M, T, F>(generator: &mut SchemaGenerator, _: impl Fn(Arc<O>, M) -> F) -> Schema
where
    T: JsonSchema,
    F: Future<Output = Result<T, Refusal>>,
{
    generator.subschema_for::<T>()
}
