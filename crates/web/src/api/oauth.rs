//! What platforms send and get: OAuth's errors by the step that finds them, and the shapes of its answers, which no type of ours has.

use super::Parameter;
use hufu_kernel::schema_of;
use hufu_offices::front::OAuthError;
use hufu_offices::front::OAuthError as E;
use hufu_wire::api::sign_in::VerificationResult;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

/// The errors that one step finds.
pub type Errors = &'static [OAuthError];

/// The form as such.
pub const REQUEST: Errors = &[E::Malformed, E::Repeated];

/// Who asks.
pub const CLIENT: Errors = &[
    E::ClientMissing,
    E::ClientUnknown,
    E::TwoMethods,
    E::MethodNotAllowed,
    E::CertificateName,
    E::SecretWrong,
    E::AssertionType,
    E::AssertionMalformed,
    E::AssertionSignature,
    E::AssertionIssuer,
    E::AssertionAudience,
    E::AssertionTime,
    E::AssertionId,
    E::AssertionReplayed,
];

/// What is asked for.
pub const ASKED: Errors = &[
    E::RedirectMissing,
    E::RedirectMismatch,
    E::ClientMismatch,
    E::RequestUriInPush,
    E::RequestObject,
    E::RequestObjectMissing,
    E::RequestObjectSignature,
    E::RequestObjectIssuer,
    E::RequestObjectAudience,
    E::RequestObjectTime,
    E::RequestObjectParameter,
    E::Registration,
    E::ResponseType,
    E::ResponseMode,
    E::ScopeOpenid,
    E::ScopeUnknown,
    E::OverAsking,
    E::Purpose,
    E::StateMalformed,
    E::Nonce,
    E::ClaimsMalformed,
    E::ClaimsStrength,
    E::DetailsMalformed,
    E::DetailsBeyond,
    E::PkceMissing,
    E::PkceMethod,
    E::PkceChallenge,
    E::DpopKey,
    E::Prompt,
    E::MaxAge,
    E::SubjectHint,
    E::OtherPerson,
];

/// What only the authorization endpoint finds.
pub const OPENED: Errors = &[
    E::PushRequired,
    E::RequestUriUnknown,
    E::RequestUriExpired,
    E::RequestUriUsed,
    E::RequestUriForeign,
    E::LoginRequired,
    E::Denied,
];

/// The proof of possession.
pub const PROOF: Errors = &[E::ProofMissing, E::ProofRepeated, E::ProofInvalid, E::ProofNonce, E::ProofReplayed];

/// The code.
pub const CODE: Errors = &[
    E::CertificateMissing,
    E::GrantType,
    E::CodeMissing,
    E::CodeUnknown,
    E::CodeExpired,
    E::CodeReplayed,
    E::CodeRedirect,
    E::CodeVerifier,
    E::CodeKey,
];

/// The refresh token.
pub const REFRESH: Errors =
    &[E::RefreshMissing, E::RefreshUnknown, E::RefreshExpired, E::RefreshScope, E::RefreshEnded];

/// What a platform may do later, and a token for what it manages itself.
pub const LATER: Errors = &[E::LaterUse, E::ManagementScope];

/// Who may ask without a browser.
pub const BACKCHANNEL_CLIENT: Errors = &[E::BackchannelClient];

/// What only requests without a browser are told.
pub const BACKCHANNEL: Errors = &[
    E::BackchannelUnsigned,
    E::BackchannelObject,
    E::BackchannelReplayed,
    E::HintMissing,
    E::HintUnknown,
    E::BindingMessage,
    E::RequestedExpiry,
    E::NotificationToken,
];

/// A look whether somebody who was asked has answered.
pub const LOOK: Errors = &[
    E::AuthRequestMissing,
    E::AuthRequestUnknown,
    E::AuthRequestPending,
    E::AuthRequestFast,
    E::AuthRequestExpired,
    E::AuthRequestDenied,
];

/// The two nodes that are asked where a person stands.
pub const NODES: Errors = &[E::NodesAway];

/// The access token at a resource.
pub const RESOURCE: Errors = &[E::TokenMissing, E::TokenTwice, E::TokenInvalid, E::TokenBinding, E::TokenCertificate];

/// The token that is asked about.
pub const ABOUT: Errors = &[E::TokenParameter];

/// The end of a visit.
pub const LOGOUT: Errors = &[E::Hint, E::LogoutRedirect];

/// What is said of a stream.
pub const STREAM: Errors = &[E::StreamMalformed];

/// The stream that is meant.
pub const STREAM_NAMED: Errors = &[E::StreamUnknown];

/// A stream's beginning.
pub const STREAM_BEGUN: Errors = &[E::StreamExists];

/// How a stream's events are delivered.
pub const STREAM_DELIVERY: Errors = &[E::StreamDelivery];

/// The subject that is meant.
pub const SUBJECT: Errors = &[E::StreamSubject];

/// Room for one subject more.
pub const SUBJECT_ROOM: Errors = &[E::StreamFull];

/// The time between two verifications.
pub const VERIFICATION: Errors = &[E::StreamVerify];

/// Ours.
pub const OURS: Errors = &[E::Unavailable, E::TooMany, E::Internal];

/// Every set; together they are [`OAuthError::ALL`].
pub const ALL_SETS: &[Errors] = &[
    REQUEST,
    CLIENT,
    ASKED,
    OPENED,
    PROOF,
    CODE,
    REFRESH,
    LATER,
    BACKCHANNEL_CLIENT,
    BACKCHANNEL,
    LOOK,
    NODES,
    RESOURCE,
    ABOUT,
    LOGOUT,
    STREAM,
    STREAM_NAMED,
    STREAM_BEGUN,
    STREAM_DELIVERY,
    SUBJECT,
    SUBJECT_ROOM,
    VERIFICATION,
    OURS,
];

pub(crate) const fn must(name: &'static str, what: &'static str, example: &'static str) -> Parameter {
    Parameter { name, required: true, what, example }
}

pub(crate) const fn may(name: &'static str, what: &'static str, example: &'static str) -> Parameter {
    Parameter { name, required: false, what, example }
}

const CLIENT_ID: Parameter =
    may("client_id", "The platform's client_id; with private_key_jwt the assertion says it too.", "shop");
const ASSERTION_TYPE: Parameter = may(
    "client_assertion_type",
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer (RFC 7523 section 2.2).",
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
);
const ASSERTION: Parameter =
    may("client_assertion", "A JWT by a key of the platform's certificate; aud is the issuer (RFC 7523bis).", "eyJ…");
const SECRET: Parameter = may("client_secret", "Profile basic, which exists in sandboxes only.", "secret");

const RESPONSE_TYPE: Parameter = may("response_type", "code.", "code");
const REDIRECT_URI: Parameter =
    may("redirect_uri", "Character for character one of the certificate's.", "https://shop.example/callback");
const SCOPE: Parameter = may(
    "scope",
    "openid, one hufu: scope for each answer that is asked for, and offline_access for a refresh token, if the certificate registers refresh.",
    "openid hufu:real hufu:age_over_18",
);
const STATE: Parameter = may("state", "Comes back; up to 1024 characters.", "af0ifjsldkj");
const NONCE: Parameter = may("nonce", "Stands in the ID token; up to 256 characters.", "n-0S6_WzA2Mj");
const CHALLENGE: Parameter = may(
    "code_challenge",
    "SHA-256 of the verifier, base64url (RFC 7636); without it no code in profile fapi2.",
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
);
const CHALLENGE_METHOD: Parameter = may("code_challenge_method", "S256.", "S256");
const RESPONSE_MODE: Parameter = may("response_mode", "query, form_post, query.jwt, form_post.jwt or jwt.", "query");
const PURPOSE: Parameter = may("hufu_purpose", "A purpose of the certificate; its first without.", "sign-in");
const PROMPT: Parameter = may("prompt", "login, consent, select_account, or none alone.", "login");
const MAX_AGE: Parameter = may("max_age", "Seconds; every sign-in is a fresh act of the person in any case.", "0");
const ACR: Parameter =
    may("acr_values", "urn:hufu:acr:certificate or urn:hufu:acr:certificate+password.", "urn:hufu:acr:certificate");
const HINT: Parameter = may("id_token_hint", "An ID token that this client got.", "eyJ…");
const JKT: Parameter = may(
    "dpop_jkt",
    "Binds the code to this DPoP key (RFC 9449 section 10).",
    "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
);
const UI_LOCALES: Parameter = may("ui_locales", "The pages' language: zh-Hans or en.", "en");
const CLAIMS: Parameter = may(
    "claims",
    "Answers, acr and sub as a JSON object (OpenID Connect Core section 5.5), also verified_claims (Identity Assurance 1.0).",
    r#"{"id_token":{"acr":{"essential":true}}}"#,
);
const DETAILS: Parameter = may(
    "authorization_details",
    "A purpose and its answers as one object of type urn:hufu:verification in a JSON array (RFC 9396).",
    r#"[{"type":"urn:hufu:verification","purpose":"sign-in","answers":["real"]}]"#,
);
const REQUEST_OBJECT: Parameter = may("request", "All of these as a signed JWT (RFC 9101).", "eyJ…");

/// `/par`.
pub const PUSH: &[Parameter] = &[
    CLIENT_ID,
    ASSERTION_TYPE,
    ASSERTION,
    SECRET,
    RESPONSE_TYPE,
    REDIRECT_URI,
    SCOPE,
    STATE,
    NONCE,
    CHALLENGE,
    CHALLENGE_METHOD,
    RESPONSE_MODE,
    PURPOSE,
    PROMPT,
    MAX_AGE,
    ACR,
    HINT,
    CLAIMS,
    DETAILS,
    JKT,
    UI_LOCALES,
    REQUEST_OBJECT,
];

/// `/authorize`.
pub const AUTHORIZE: &[Parameter] = &[
    must("client_id", "The platform's client_id.", "shop"),
    may(
        "request_uri",
        "What /par answered; all else is then left out (RFC 9126 section 4).",
        "urn:ietf:params:oauth:request_uri:…",
    ),
    RESPONSE_TYPE,
    REDIRECT_URI,
    SCOPE,
    STATE,
    NONCE,
    CHALLENGE,
    CHALLENGE_METHOD,
    RESPONSE_MODE,
    PURPOSE,
    PROMPT,
    MAX_AGE,
    ACR,
    HINT,
    CLAIMS,
    DETAILS,
    JKT,
    UI_LOCALES,
    REQUEST_OBJECT,
];

/// `/token`.
pub const TOKEN: &[Parameter] = &[
    must(
        "grant_type",
        "authorization_code, refresh_token, client_credentials or urn:openid:params:grant-type:ciba.",
        "authorization_code",
    ),
    may("code", "From the redirect; it lives 60 seconds and is used once.", "…"),
    may("refresh_token", "For grant_type refresh_token: what came with the code's tokens (RFC 6749 section 6).", "…"),
    may(
        "scope",
        "Of refresh_token: none, or no more than was granted. Of client_credentials: none, or ssf.manage.",
        "ssf.manage",
    ),
    may("auth_req_id", "Of the last of these: what /bc-authorize answered.", "…"),
    REDIRECT_URI,
    may("code_verifier", "43 to 128 characters (RFC 7636).", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    CLIENT_ID,
    ASSERTION_TYPE,
    ASSERTION,
    SECRET,
];

/// `/bc-authorize`.
pub const ASK_PERSON: &[Parameter] = &[
    may(
        "login_hint",
        "The code that the person's wallet shows, or a subject handle registered for ciba; nothing else.",
        "12345 67890",
    ),
    SCOPE,
    may("binding_message", "What the person compares: up to 64 characters.", "Order 0427"),
    may("requested_expiry", "Seconds, 600 at most.", "120"),
    may(
        "client_notification_token",
        "For delivery mode ping (RFC 6750 section 2.1).",
        "8d67dc78-7faa-4d41-aabd-67707b374255",
    ),
    PURPOSE,
    ACR,
    DETAILS,
    JKT,
    UI_LOCALES,
    REQUEST_OBJECT,
    CLIENT_ID,
    ASSERTION_TYPE,
    ASSERTION,
    SECRET,
];

/// `/userinfo` as a form; otherwise the header `Authorization` has the token.
pub const USERINFO: &[Parameter] =
    &[may("access_token", "Where no Authorization header has it (RFC 6750 section 2.2).", "…")];

/// `/introspect` and `/revoke`.
pub const ONE_TOKEN: &[Parameter] = &[
    must("token", "An access or a refresh token of this client's.", "…"),
    may("token_type_hint", "access_token or refresh_token; not needed.", "access_token"),
    CLIENT_ID,
    ASSERTION_TYPE,
    ASSERTION,
    SECRET,
];

/// `/logout`.
pub const END: &[Parameter] = &[
    HINT,
    CLIENT_ID,
    may("post_logout_redirect_uri", "Character for character one of the certificate's.", "https://shop.example/bye"),
    STATE,
    UI_LOCALES,
];

/// `/respond`.
pub const RESPOND: &[Parameter] = &[must("r", "The response, sealed by the front for one minute.", "…")];

/// `/tx/{tx}`.
pub const TRANSACTION: &[Parameter] = &[must(
    "tx",
    "The transaction's one-time name: 32 bytes, base64url.",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
)];

/// The answer of `/par`.
pub fn pushed(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({
        "type": "object",
        "properties": {
            "request_uri": { "type": "string", "description": "For /authorize, once." },
            "expires_in": { "type": "integer", "description": "Seconds." },
        },
        "required": ["request_uri", "expires_in"],
        "additionalProperties": false,
    }))
}

/// The answer of `/bc-authorize` (OpenID Connect CIBA Core section 7.3).
pub fn asked_person(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({
        "type": "object",
        "properties": {
            "auth_req_id": { "type": "string", "description": "For /token." },
            "expires_in": { "type": "integer", "description": "Seconds." },
            "interval": { "type": "integer", "description": "Seconds between two looks." },
        },
        "required": ["auth_req_id", "expires_in", "interval"],
        "additionalProperties": false,
    }))
}

/// The answer of `/token` (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3): of a code, of a refresh token, or of the platform's
/// own authentication.
pub fn token(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({
        "type": "object",
        "properties": {
            "access_token": { "type": "string" },
            "token_type": { "enum": ["Bearer", "DPoP"] },
            "expires_in": { "type": "integer", "description": "Seconds." },
            "id_token": { "type": "string", "description": "Of a code: a JWS of an IdToken, signed by two nodes." },
            "scope": { "type": "string" },
            "refresh_token": {
                "type": "string",
                "description": "Of a code that offline_access asked for. It is not rotated, and ends 30 days after the sign-in.",
            },
            "authorization_details": details("What was granted of those that were asked for (RFC 9396 section 7)."),
            "hufu_subject_handle": {
                "type": "string",
                "description": "Of a code, for a platform that registered subject_handle: a SubjectHandle, which only two nodes open.",
            },
        },
        "required": ["access_token", "token_type", "expires_in", "scope"],
    }))
}

fn details(what: &str) -> Value {
    json!({ "type": "array", "items": { "type": "object" }, "description": what })
}

/// The answer of `/userinfo`.
pub fn userinfo(generator: &mut SchemaGenerator) -> Schema {
    schema_of(json!({
        "type": "object",
        "properties": {
            "sub": { "type": "string", "description": "As in the ID token." },
            "hufu": generator.subschema_for::<VerificationResult>(),
            "verified_claims": {
                "type": "object",
                "description": "The answers that claims asked for so (Identity Assurance 1.0 section 5).",
            },
        },
        "required": ["sub", "hufu"],
    }))
}

/// The answer of `/introspect` (RFC 7662 section 2.2).
pub fn introspection(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({
        "type": "object",
        "properties": {
            "active": { "type": "boolean" },
            "iss": { "type": "string" },
            "client_id": { "type": "string" },
            "sub": { "type": "string" },
            "exp": { "type": "integer" },
            "token_type": { "enum": ["Bearer", "DPoP"], "description": "Of an access token." },
            "scope": { "type": "string", "description": "Of a refresh token." },
            "authorization_details": details("What was granted (RFC 9396 section 9.2)."),
            "acr": { "type": "string" },
            "auth_time": { "type": "integer" },
            "cnf": { "type": "object", "description": "RFC 9449 section 6.2, RFC 8705 section 3.2." },
        },
        "required": ["active"],
    }))
}

/// The metadata document (OpenID Connect Discovery section 3, RFC 8414 section 2).
pub fn metadata(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({
        "type": "object",
        "properties": {
            "issuer": { "type": "string" },
            "authorization_endpoint": { "type": "string" },
            "token_endpoint": { "type": "string" },
            "jwks_uri": { "type": "string" },
        },
        "required": ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"],
    }))
}

/// Keys (RFC 7517 section 5).
pub fn keys(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({
        "type": "object",
        "properties": {
            "keys": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": { "kty": { "type": "string" }, "kid": { "type": "string" }, "alg": { "type": "string" } },
                    "required": ["kty"],
                },
            },
        },
        "required": ["keys"],
    }))
}

/// Any document.
pub fn open_object(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({ "type": "object" }))
}

/// An error that is none of a check: a body that is too large or no form.
pub fn oauth_error(_: &mut SchemaGenerator) -> Schema {
    schema_of(json!({ "$ref": "#/components/schemas/OAuthError" }))
}
