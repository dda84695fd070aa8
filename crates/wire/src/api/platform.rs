//! What the registry says about a platform.

use crate::jose::{Alg, Jwks};
use crate::subject_handle::HandleUse;
use crate::tls_client::{ClientSubject, SubjectError};
use hufu_kernel::{Answer, Octets, Root, Timestamp};
use serde::{Deserialize, Serialize};

/// A text in both languages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bilingual {
    /// Chinese.
    #[serde(rename = "zh-Hans")]
    pub zh: String,
    /// English.
    pub en: String,
}

impl Bilingual {
    /// The text in `lang`.
    #[must_use]
    pub fn get(&self, lang: hufu_kernel::Lang) -> &str {
        match lang {
            hufu_kernel::Lang::ZhHans => &self.zh,
            hufu_kernel::Lang::En => &self.en,
        }
    }
}

/// Why a platform asks; approved at admission.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// Stable within the platform.
    pub id: String,
    /// The sentence the consent page shows.
    pub text: Bilingual,
    /// The answers this purpose may ask for.
    pub answers: Vec<Answer>,
}

/// Which rules a platform's requests follow (design 7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// FAPI 2.0 Security Profile: PAR, PKCE S256, `private_key_jwt`, DPoP. The only one outside the sandbox.
    Fapi2,
    /// Plain OpenID Connect for outside judges; sandbox trust root only.
    Basic,
}

/// The grant of the back channel (OpenID Connect CIBA Core 1.0 section 4), which also stands where the redirect address of a consent does
/// that a platform asked for without a browser.
pub const CIBA_GRANT: &str = "urn:openid:params:grant-type:ciba";

/// How a platform learns that a person has answered (OpenID Connect CIBA Core 1.0 section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryMode {
    /// It looks.
    Poll,
    /// It is told that it may look.
    Ping,
    /// The tokens are sent to it. Refused at admission (decision 0029).
    Push,
}

/// A platform certificate: the payload of a JWS with `typ` [`PlatformCertificate::TYP`], signed by the registry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformCertificate {
    /// Sandbox or production.
    pub root: Root,
    /// The OAuth client identifier.
    pub client_id: String,
    /// The pseudonym's boundary (flows 1).
    pub sector_id: String,
    /// The name people see.
    pub name: Bilingual,
    /// The rules its requests follow.
    pub profile: Profile,
    /// Exact redirect addresses.
    pub redirect_uris: Vec<String>,
    /// All answers it may ever ask for.
    pub entitled: Vec<Answer>,
    /// Why it may ask; the first is the default.
    pub purposes: Vec<Purpose>,
    /// `EdDSA` is two nodes together; others are one node's key (docs/trust.md).
    pub id_token_signed_response_alg: Alg,
    /// Its public keys, for `private_key_jwt`.
    pub jwks: Jwks,
    /// `basic` only: SHA-256 of the client secret.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_secret_sha256: Option<Octets<32>>,
    /// What it registered beyond that.
    #[serde(skip_serializing_if = "Registration::is_empty", default)]
    pub registration: Registration,
    /// Issued.
    pub iat: Timestamp,
    /// Ends.
    pub exp: Timestamp,
}

/// What a platform registered beyond what every one has. Members are named and meant as in RFC 7591 and the specifications that extend
/// it; what is absent is not used.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Exact addresses a browser may be sent to after a sign-out (OpenID Connect RP-Initiated Logout 1.0 section 3.1).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub post_logout_redirect_uris: Vec<String>,
    /// Where a logout token is posted when a person signs out at this platform (OpenID Connect Back-Channel Logout 1.0 section 2.2).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backchannel_logout_uri: Option<String>,
    /// The platform needs `sid` in logout tokens (section 2.2). Refused: ID tokens have none here.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub backchannel_logout_session_required: bool,
    /// A request is taken from a signed request object only (RFC 9101 section 10.5).
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub require_signed_request_object: bool,
    /// Every DPoP proof must carry a nonce of the front's (RFC 9449 sections 8, 9). No specification names this member; it is written as
    /// the one above.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub require_dpop_nonce: bool,
    /// The authorization response is a JWT of this algorithm, whatever `response_mode` says of its way (JARM section 3).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub authorization_signed_response_alg: Option<Alg>,
    /// Introspection is answered with a JWT of this algorithm (RFC 9701 section 6).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub introspection_signed_response_alg: Option<Alg>,
    /// Userinfo is answered with a JWT of this algorithm (OpenID Connect Dynamic Client Registration 1.0 section 2).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub userinfo_signed_response_alg: Option<Alg>,
    /// Who registered one of these five authenticates with a TLS certificate in this name and in no other way (RFC 8705 section 2.1.2):
    /// the certificate's subject, as RFC 4514 writes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls_client_auth_subject_dn: Option<String>,
    /// A host's name among the certificate's alternative names.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls_client_auth_san_dns: Option<String>,
    /// A URI among them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls_client_auth_san_uri: Option<String>,
    /// An IP address among them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls_client_auth_san_ip: Option<String>,
    /// An e-mail address among them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls_client_auth_san_email: Option<String>,
    /// Its access tokens are bound to its TLS certificate (RFC 8705 section 3.4) and need no DPoP.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// It may ask for people who have no browser at it, and learns the answer in this way (OpenID Connect CIBA Core 1.0 section 4).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backchannel_token_delivery_mode: Option<DeliveryMode>,
    /// Where it is told, for mode ping (section 4).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backchannel_client_notification_endpoint: Option<String>,
    /// It signs those requests, with this algorithm (section 4). Profile `fapi2` must.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backchannel_authentication_request_signing_alg: Option<Alg>,
    /// What it may do later with the sealed subject handle that a sign-in gives it; without any it gets none (flows 9). No specification
    /// names this member. The consent page says each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub subject_handle: Vec<HandleUse>,
    /// Where security event tokens may be pushed to (RFC 8935); a stream's `endpoint_url` can be no other. No specification names it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ssf_push_uri: Option<String>,
}

impl Registration {
    /// Whether a handle may be used so.
    #[must_use]
    pub fn may(&self, wanted: HandleUse) -> bool {
        self.subject_handle.contains(&wanted)
    }

    /// Whether nothing was registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The algorithms of what the front signs for this platform.
    pub fn response_algs(&self) -> impl Iterator<Item = Alg> {
        [
            self.authorization_signed_response_alg,
            self.introspection_signed_response_alg,
            self.userinfo_signed_response_alg,
        ]
        .into_iter()
        .flatten()
    }

    /// Whether the platform authenticates by `tls_client_auth`.
    #[must_use]
    pub fn uses_tls_client_auth(&self) -> bool {
        self.subjects().any(|(text, _)| text.is_some())
    }

    /// Whether it needs an address at which TLS certificates are asked for.
    #[must_use]
    pub fn needs_mutual_tls(&self) -> bool {
        self.uses_tls_client_auth() || self.tls_client_certificate_bound_access_tokens
    }

    /// The name that its TLS certificate must be in.
    ///
    /// # Errors
    /// [`SubjectError`], also if none is registered.
    pub fn tls_client_subject(&self) -> Result<ClientSubject, SubjectError> {
        let mut registered = self.subjects().filter_map(|(text, read)| Some((text?, read)));
        match (registered.next(), registered.next()) {
            (Some((text, read)), None) => read(text).ok_or(SubjectError::Malformed),
            _ => Err(SubjectError::NotOne),
        }
    }

    fn subjects(&self) -> impl Iterator<Item = (Option<&str>, ReadSubject)> {
        [
            (self.tls_client_auth_subject_dn.as_deref(), ClientSubject::name as ReadSubject),
            (self.tls_client_auth_san_dns.as_deref(), ClientSubject::dns),
            (self.tls_client_auth_san_uri.as_deref(), ClientSubject::uri),
            (self.tls_client_auth_san_ip.as_deref(), ClientSubject::ip),
            (self.tls_client_auth_san_email.as_deref(), ClientSubject::email),
        ]
        .into_iter()
    }
}

/// Reads a registered name of a TLS certificate.
type ReadSubject = fn(&str) -> Option<ClientSubject>;

impl PlatformCertificate {
    /// The JWS header's `typ`.
    pub const TYP: &'static str = "hufu-platform+jwt";

    /// The purpose with this id, or the first where none is named.
    #[must_use]
    pub fn purpose(&self, id: Option<&str>) -> Option<&Purpose> {
        match id {
            Some(id) => self.purposes.iter().find(|purpose| purpose.id == id),
            None => self.purposes.first(),
        }
    }
}

/// The front asks the registry for a page of admitted platforms.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListAdmitted {
    /// The last client identifier of the page before; empty for the first page.
    pub after: String,
}

/// Certificates in the order of their client identifiers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmittedPage {
    /// Compact JWS of [`PlatformCertificate`].
    pub certificates: Vec<String>,
    /// There are later ones.
    pub more: bool,
    /// The last one was withdrawn, and nobody has been admitted since: an empty list is then the whole of it. A registry that has lost
    /// its files does not say so. It is sent only where it is true, for fronts of before that do not know it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub none: bool,
}
