//! The table of pages: every page, every error it can show, and an address at which each can be looked at. The browser tests read
//! the same table (`/__routes.json` under a sandbox root) and fail for a page or an error they did not visit.

use super::page::Page;
use super::refused;
use askama::Template;
use hufu_kernel::Refusal;
use serde::Serialize;

/// One page.
pub struct Row {
    /// Its path; `{code}` stands for a refusal's code.
    pub path: &'static str,
    /// The message that is its heading and title.
    pub title: &'static str,
    /// Whether it loads the scripts that hold the device's keys.
    pub island: bool,
    /// Whether it belongs to a person who has enrolled: it has the links among those pages.
    pub own: bool,
    /// What can be wrong on it.
    pub errors: &'static [FieldError],
    /// Renders it.
    pub template: fn(&Page<'_>) -> askama::Result<String>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.path)
    }
}

/// Something wrong on a page, shown in the summary at its top and beside the field.
#[derive(Debug)]
pub struct FieldError {
    /// Names it in `?error=` and to scripts: a refusal's code where it is one.
    pub name: &'static str,
    /// The `id` of the field to go to.
    pub field: &'static str,
    /// The sentence.
    pub sentence: Sentence,
}

/// Where a sentence comes from.
#[derive(Clone, Copy, Debug)]
pub enum Sentence {
    /// The refusal's own.
    Refusal(Refusal),
    /// A message.
    Text(&'static str),
}

macro_rules! templates {
    ($($name:ident $path:tt;)*) => {$(
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> { p: &'a Page<'a> }
        impl $name<'_> {
            fn page(p: &Page<'_>) -> askama::Result<String> { $name { p }.render() }
        }
    )*};
}

templates! {
    Start "start.html";
    Enrol "enrol.html";
    Details "enrol_details.html";
    Face "enrol_face.html";
    Phone "enrol_phone.html";
    Code "enrol_code.html";
    Device "enrol_device.html";
    Password "enrol_password.html";
    Done "enrol_done.html";
    Recover "enrol_recover.html";
    Wait "enrol_wait.html";
    Notice "notice.html";
    SignIn "sign_in.html";
    Receipt "receipt.html";
    Home "home.html";
    Devices "devices.html";
    AddDevice "devices_add.html";
    NewDevice "devices_new.html";
    Lock "lock.html";
    Sessions "sessions.html";
    Activity "activity.html";
    Hold "hold.html";
    Number "number.html";
    Requests "requests.html";
    Leave "leave.html";
    Left "left.html";
    HelpPage "help.html";
    Verify "verify.html";
    Persons "persons.html";
    Refused "refused.html";
}

const fn refusal(refusal: Refusal, name: &'static str, field: &'static str) -> FieldError {
    FieldError { name, field, sentence: Sentence::Refusal(refusal) }
}

const fn text(name: &'static str, field: &'static str, key: &'static str) -> FieldError {
    FieldError { name, field, sentence: Sentence::Text(key) }
}

/// The passkey prompt was closed, or the device has none: said in the same words on every page that asks the device.
const DEVICE: FieldError = text("device", "act", "error-device");
const WRONG_PASSWORD: FieldError = refusal(Refusal::PasswordWrong, "password_wrong", "password");

/// The sign-in page: the only one that names its origin and may post to the front.
pub(super) const SIGN_IN_PATH: &str = "/sign-in";

/// Sandbox only: whom one can be.
pub(super) const PERSONS_PATH: &str = "/sandbox/persons";

const NONE: &[FieldError] = &[];
const ASKS_DEVICE: &[FieldError] = &[DEVICE];

/// Every page.
pub(super) const ROUTES: &[Row] = &[
    row("/", "start-title", Start::page),
    Row { errors: &[text("notice", "notice", "error-notice")], ..row("/enrol", "enrol-title", Enrol::page) },
    Row {
        errors: &[
            text("type", "document-type", "error-type"),
            refusal(Refusal::DocumentNumber, "document_number", "document-number"),
            text("name", "name", "error-name"),
        ],
        ..island("/enrol/details", "details-title", Details::page)
    },
    Row { errors: &[text("choice", "evidence", "error-face")], ..island("/enrol/face", "face-title", Face::page) },
    Row {
        errors: &[
            refusal(Refusal::PhoneNumber, "phone_number", "phone"),
            refusal(Refusal::MessageDown, "message_down", "phone"),
        ],
        ..island("/enrol/phone", "phone-title", Phone::page)
    },
    Row {
        errors: &[
            refusal(Refusal::PhoneCode, "phone_code", "code"),
            refusal(Refusal::PhoneCodeExpired, "phone_code_expired", "code"),
            refusal(Refusal::PhoneCodeTries, "phone_code_tries", "code"),
            refusal(Refusal::TooMany, "too_many", "code"),
            refusal(Refusal::MessageDown, "message_down", "code"),
        ],
        ..island("/enrol/code", "code-title", Code::page)
    },
    Row { errors: ASKS_DEVICE, ..island("/enrol/device", "device-title", Device::page) },
    Row {
        errors: &[
            text("password_shape", "password", "error-password-shape"),
            refusal(Refusal::WeakPassword, "weak_password", "password"),
            text("password_again", "password-again", "error-password-again"),
            DEVICE,
        ],
        ..island("/enrol/password", "password-title", Password::page)
    },
    island("/enrol/done", "done-title", Done::page),
    Row { errors: ASKS_DEVICE, ..island("/enrol/recover", "recover-title", Recover::page) },
    Row {
        errors: &[
            DEVICE,
            refusal(Refusal::VetoPeriod, "veto_period", "act"),
            refusal(Refusal::UnknownDevice, "unknown_device", "act"),
        ],
        ..island("/enrol/wait", "wait-title", Wait::page)
    },
    row("/notice", "notice-title", Notice::page),
    Row { errors: &[DEVICE, WRONG_PASSWORD], ..island(SIGN_IN_PATH, "sign-in-title", SignIn::page) },
    island("/sign-in/receipt", "receipt-title", Receipt::page),
    own("/home", "home-title", ASKS_DEVICE, Home::page),
    own("/devices", "devices-title", ASKS_DEVICE, Devices::page),
    own(
        "/devices/add",
        "add-title",
        &[text("offer", "offer", "error-offer"), text("check", "check", "error-check"), DEVICE],
        AddDevice::page,
    ),
    Row {
        errors: &[text("answer", "answer", "error-answer"), DEVICE],
        ..island("/devices/new", "new-title", NewDevice::page)
    },
    own("/lock", "lock-title", ASKS_DEVICE, Lock::page),
    own("/sessions", "sessions-title", ASKS_DEVICE, Sessions::page),
    own("/activity", "activity-title", NONE, Activity::page),
    own("/hold", "hold-title", ASKS_DEVICE, Hold::page),
    own("/number", "number-title", ASKS_DEVICE, Number::page),
    own("/requests", "requests-title", ASKS_DEVICE, Requests::page),
    own("/leave", "leave-title", &[text("sure", "sure", "error-sure"), DEVICE], Leave::page),
    row("/left", "left-title", Left::page),
    row("/help", "help-title", HelpPage::page),
    row(PERSONS_PATH, "persons-title", Persons::page),
    Row { island: true, errors: &[text("pass", "pass", "error-pass")], ..row("/verify", "verify-title", Verify::page) },
    row("/refused/{code}", "refused-title", Refused::page),
];

pub(super) const REFUSED: &Row = &ROUTES[ROUTES.len() - 1];
pub(super) const VERIFY: &Row = &ROUTES[ROUTES.len() - 2];

type Render = fn(&Page<'_>) -> askama::Result<String>;

const fn row(path: &'static str, title: &'static str, template: Render) -> Row {
    Row { path, title, island: false, own: false, errors: NONE, template }
}

const fn island(path: &'static str, title: &'static str, template: Render) -> Row {
    Row { path, title, island: true, own: false, errors: NONE, template }
}

const fn own(path: &'static str, title: &'static str, errors: &'static [FieldError], template: Render) -> Row {
    Row { path, title, island: true, own: true, errors, template }
}

/// The table.
#[must_use]
pub fn routes() -> &'static [Row] {
    ROUTES
}

/// An address at which a page, or one of its errors, can be looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Address {
    /// The row it belongs to.
    path: &'static str,
    /// The error it shows, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// Where to look.
    pub address: String,
}

/// Every page and every error state of a site, with or without synthetic persons.
pub(super) fn addresses(persons: bool) -> Vec<Address> {
    let mut out = Vec::new();
    for row in ROUTES.iter().filter(|row| persons || row.path != PERSONS_PATH) {
        if row.path == REFUSED.path {
            let codes = refused::ALL.iter().map(|told| told.refusal.code());
            out.extend(codes.map(|code| Address {
                path: row.path,
                error: Some(code),
                address: format!("/refused/{code}"),
            }));
            continue;
        }
        out.push(Address { path: row.path, error: None, address: row.path.to_owned() });
        let shown = row.errors.iter().map(|error| Address {
            path: row.path,
            error: Some(error.name),
            address: format!("{}?error={}", row.path, error.name),
        });
        out.extend(shown);
    }
    out.push(Address { path: "404", error: None, address: "/there-is-no-such-page".to_owned() });
    out
}
