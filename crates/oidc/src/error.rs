//! Every answer that refuses, in one table: the exact `error` code, the status, whether it may travel by redirect, and a
//! sentence for the platform's engineer.

use hufu_kernel::Refusal;

/// Where a refusal may be shown at the authorization endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// Sent to the client's redirect address, once that has been checked.
    Redirect,
    /// Never sent to a redirect address: it may be the attacker's.
    Page,
}

struct Row {
    name: &'static str,
    code: &'static str,
    status: u16,
    way: Way,
    description: &'static str,
}

macro_rules! errors {
    ($($name:ident $code:literal $status:literal $way:ident $description:literal;)*) => {
        /// Why a request of a platform was refused.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum OAuthError {
            $(#[doc = $description] $name,)*
        }

        impl OAuthError {
            /// All of them, in the order of the errors page.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => &Row { name: stringify!($name), code: $code, status: $status, way: Way::$way, description: $description },)*
                }
            }
        }
    };
}

errors! {
    // -- the request as such
    Malformed "invalid_request" 400 Page "The request is not a form of plain UTF-8 text (application/x-www-form-urlencoded).";
    Repeated "invalid_request" 400 Page "A parameter stands more than once (RFC 6749 section 3.1).";

    // -- who asks (RFC 6749 section 2.3, RFC 7523, RFC 7523bis, RFC 8705, FAPI 2.0 section 5.3.2.1)
    ClientMissing "invalid_client" 401 Page "No client authentication: send client_assertion, or client_id with a TLS certificate to an address of mtls_endpoint_aliases (or, in profile basic, the client secret).";
    ClientUnknown "invalid_client" 401 Page "No platform of this client_id is admitted, or its certificate has ended.";
    TwoMethods "invalid_request" 400 Page "More than one way of client authentication in one request (RFC 6749 section 2.3).";
    MethodNotAllowed "invalid_client" 401 Page "This client must authenticate in the way it registered: fapi2 by private_key_jwt, or by tls_client_auth alone.";
    CertificateName "invalid_client" 401 Page "The TLS client certificate is not in the name that this client registered (RFC 8705 section 2.1).";
    SecretWrong "invalid_client" 401 Page "The client secret is wrong, or the Authorization header is malformed.";
    AssertionType "invalid_client" 401 Page "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer.";
    AssertionMalformed "invalid_client" 401 Page "The client assertion is not a JWS of an accepted algorithm (ES256, EdDSA, PS256).";
    AssertionSignature "invalid_client" 401 Page "The client assertion does not verify under a key of the platform's certificate.";
    AssertionIssuer "invalid_client" 401 Page "iss, sub and client_id of the client assertion must be the same client.";
    AssertionAudience "invalid_client" 401 Page "aud of the client assertion must be the issuer identifier, as a string and nothing else (RFC 7523bis).";
    AssertionTime "invalid_client" 401 Page "The client assertion has expired, is from the future, or lives longer than 5 minutes.";
    AssertionId "invalid_client" 401 Page "The client assertion needs a jti of 1 to 256 characters.";
    AssertionReplayed "invalid_client" 401 Page "This client assertion was used before; make a new one for every request.";

    // -- what is asked (RFC 6749, OpenID Connect Core section 3.1.2.1, FAPI 2.0 section 5.3.2.2)
    RedirectMissing "invalid_request" 400 Page "redirect_uri is required.";
    RedirectMismatch "invalid_request" 400 Page "redirect_uri is not, character for character, one of the platform certificate's.";
    ClientMismatch "invalid_request" 400 Page "client_id is not the client that authenticated.";
    PushRequired "invalid_request" 400 Page "This client must push its request first (RFC 9126) and send only client_id and request_uri.";
    RequestUriInPush "invalid_request" 400 Page "request_uri has no place in a pushed request (RFC 9126 section 2.1).";
    RequestUriUnknown "invalid_request_uri" 400 Page "The request_uri was not made here for this client, or was changed, or the service restarted.";
    RequestUriExpired "invalid_request_uri" 400 Page "The request_uri has expired: push the request again.";
    RequestUriUsed "invalid_request_uri" 400 Page "The request_uri was used before: push the request again.";
    RequestObject "request_not_supported" 400 Redirect "A request object is taken from a client with keys in its certificate only (RFC 9101).";
    RequestObjectMissing "invalid_request" 400 Page "This client registered require_signed_request_object: send request, a JWT of its own (RFC 9101).";
    RequestObjectSignature "invalid_request_object" 400 Page "The request object is not a JWT of type oauth-authz-req+jwt that verifies under a key of the certificate (ES256, EdDSA, PS256).";
    RequestObjectIssuer "invalid_request_object" 400 Page "iss and client_id of the request object must be the client that sends it (RFC 9101).";
    RequestObjectAudience "invalid_request_object" 400 Page "aud of the request object must hold the issuer identifier (FAPI 2.0 Message Signing section 5.3.1).";
    RequestObjectTime "invalid_request_object" 400 Page "The request object needs exp and nbf: in force now, nbf within the last 60 minutes, exp at most 60 minutes after nbf.";
    RequestObjectParameter "invalid_request_object" 400 Page "A claim of the request object is no parameter: null, a control character, or request or request_uri within it.";
    RequestUriForeign "request_uri_not_supported" 400 Redirect "request_uri is taken from this service's own pushed requests only (RFC 9126), never fetched from elsewhere.";
    Registration "registration_not_supported" 400 Redirect "The registration parameter is not supported.";
    ResponseType "unsupported_response_type" 400 Redirect "response_type must be code.";
    ResponseMode "invalid_request" 400 Redirect "response_mode must be query, form_post, query.jwt, form_post.jwt, jwt, or absent.";
    ScopeOpenid "invalid_scope" 400 Redirect "scope must contain openid.";
    ScopeUnknown "invalid_scope" 400 Redirect "A hufu: scope names no answer this service gives.";
    OverAsking "invalid_scope" 400 Redirect "An answer asked for is not among the certificate's entitled answers, or not part of this purpose.";
    Purpose "invalid_request" 400 Redirect "hufu_purpose is not a purpose of the platform's certificate.";
    StateMalformed "invalid_request" 400 Page "state is longer than 1024 characters.";
    Nonce "invalid_request" 400 Redirect "nonce is longer than 256 characters.";
    ClaimsMalformed "invalid_request" 400 Redirect "claims is not a JSON object of at most 8 KiB in which id_token and userinfo hold claims, each null or an object with value or at most 16 values (OpenID Connect Core section 5.5), and verified_claims a verification and claims (Identity Assurance section 5).";
    ClaimsStrength "unmet_authentication_requirements" 400 Redirect "The acr that claims calls essential cannot be met, or the person signed in with another.";
    DetailsMalformed "invalid_authorization_details" 400 Redirect "authorization_details is not a JSON array of at most 4 KiB with one object of type urn:hufu:verification: type, purpose, answers, and strength or none (RFC 9396 section 5).";
    DetailsBeyond "invalid_authorization_details" 400 Redirect "authorization_details names a purpose or an answer that is not the certificate's, or another purpose than hufu_purpose does.";
    PkceMissing "invalid_request" 400 Redirect "code_challenge is required (RFC 7636, FAPI 2.0 section 5.3.2.2).";
    PkceMethod "invalid_request" 400 Redirect "code_challenge_method must be S256.";
    PkceChallenge "invalid_request" 400 Redirect "code_challenge must be 43 characters of base64url: a SHA-256 hash.";
    DpopKey "invalid_request" 400 Redirect "dpop_jkt must be a SHA-256 thumbprint, and that of the DPoP proof if there is one (RFC 9449 section 10).";
    Prompt "invalid_request" 400 Redirect "prompt must be login, consent, select_account, or none alone.";
    MaxAge "invalid_request" 400 Redirect "max_age must be a number of seconds.";
    SubjectHint "invalid_request" 400 Redirect "id_token_hint is not an ID token that this client got, under a key that this service uses now.";
    OtherPerson "login_required" 400 Redirect "The person who signed in is not the one of id_token_hint, or of the sub that claims names; or nobody can be all that these name.";
    LoginRequired "login_required" 400 Redirect "prompt=none cannot be met: every sign-in is a fresh act of the person; no session is kept.";
    Denied "access_denied" 400 Redirect "The person did not agree, or could not go on.";

    // -- proof of possession (RFC 9449, RFC 8705)
    CertificateMissing "invalid_request" 400 Page "This client registered tls_client_certificate_bound_access_tokens: send its TLS certificate to an address of mtls_endpoint_aliases (RFC 8705 section 3).";
    ProofMissing "invalid_dpop_proof" 400 Redirect "A DPoP proof is required (RFC 9449, FAPI 2.0 section 5.3.2.1).";
    ProofRepeated "invalid_dpop_proof" 400 Redirect "More than one DPoP header.";
    ProofInvalid "invalid_dpop_proof" 400 Redirect "The DPoP proof fails a check of RFC 9449 section 4.3: typ, alg, key, signature, htm, htu, iat (60 s) or ath.";
    ProofNonce "use_dpop_nonce" 400 Page "The DPoP proof must carry the nonce of the DPoP-Nonce header of this answer: send the request again, with a new proof (RFC 9449 section 8).";
    ProofReplayed "invalid_dpop_proof" 400 Redirect "This DPoP proof was used before; make a new one for every request.";

    // -- the token endpoint (RFC 6749 section 5.2)
    GrantType "unsupported_grant_type" 400 Page "grant_type must be authorization_code, refresh_token, client_credentials or urn:openid:params:grant-type:ciba.";
    CodeMissing "invalid_request" 400 Page "code is required.";
    CodeUnknown "invalid_grant" 400 Page "The code was not made here for this client, or was changed.";
    CodeExpired "invalid_grant" 400 Page "The code has expired: it lives 60 seconds.";
    CodeReplayed "invalid_grant" 400 Page "The code was used before; the access tokens it gave are revoked (RFC 6749 section 4.1.2).";
    CodeRedirect "invalid_grant" 400 Page "redirect_uri is not the one the code was asked with.";
    CodeVerifier "invalid_grant" 400 Page "code_verifier is missing, malformed, unexpected, or does not hash to the code_challenge (RFC 7636 section 4.6).";
    CodeKey "invalid_grant" 400 Page "The DPoP proof is not of the key that the code is bound to (RFC 9449 section 10).";

    RefreshMissing "invalid_request" 400 Page "refresh_token is required.";
    RefreshUnknown "invalid_grant" 400 Page "The refresh token was not made here for this client, was changed or revoked, or the service restarted.";
    RefreshExpired "invalid_grant" 400 Page "The refresh token has ended: it lives 30 days from the sign-in.";
    RefreshScope "invalid_scope" 400 Page "scope asks for more than was granted (RFC 6749 section 6).";
    RefreshEnded "invalid_grant" 400 Page "The person signed out everywhere or left, or their certificate is locked: the token is gone, have them sign in anew.";
    LaterUse "unauthorized_client" 400 Page "The platform's certificate does not register this use of subject handles (subject_handle).";
    ManagementScope "invalid_scope" 400 Page "client_credentials gives the scope ssf.manage and no other.";
    NodesAway "temporarily_unavailable" 503 Page "The two nodes that can answer for this person do not both answer, or do not say the same: repeat the request in a few seconds.";

    // -- the back channel (OpenID Connect CIBA Core 1.0 sections 11, 13)
    BackchannelClient "unauthorized_client" 400 Page "This client registered no backchannel_token_delivery_mode (CIBA Core section 4).";
    BackchannelUnsigned "invalid_request" 400 Page "This client registered backchannel_authentication_request_signing_alg: send request, a JWT of its own (CIBA Core section 7.1.1).";
    BackchannelObject "invalid_request_object" 400 Page "The signed request is of another algorithm than registered, or has no iat, or no jti of 1 to 256 characters (CIBA Core section 7.1.1).";
    BackchannelReplayed "invalid_request_object" 400 Page "This signed request was used before; make a new one for every request.";
    HintMissing "invalid_request" 400 Page "login_hint is required and is the one hint that is taken: no login_hint_token, no id_token_hint (CIBA Core section 7.1).";
    HintUnknown "unknown_user_id" 400 Page "login_hint is neither a code that a wallet shows now nor a subject handle of this client for this use; or too many codes were wrong. No number, name or sub is looked up.";
    BindingMessage "invalid_binding_message" 400 Page "binding_message is longer than 64 characters, begins or ends with a space, or has characters that cannot be seen; or profile fapi2 sent neither it nor authorization_details.";
    RequestedExpiry "invalid_request" 400 Page "requested_expiry must be a positive number of seconds.";
    NotificationToken "invalid_request" 400 Page "client_notification_token is required for delivery mode ping: up to 1024 characters of RFC 6750 section 2.1.";
    AuthRequestMissing "invalid_request" 400 Page "auth_req_id is required.";
    AuthRequestUnknown "invalid_grant" 400 Page "The auth_req_id was not given to this client, was answered already, or the service restarted.";
    AuthRequestPending "authorization_pending" 400 Page "The person has not answered yet: look again after the interval.";
    AuthRequestFast "slow_down" 400 Page "Two looks within the interval; it is 5 seconds longer from now on (CIBA Core section 11).";
    AuthRequestExpired "expired_token" 400 Page "The person did not answer in time: ask again.";
    AuthRequestDenied "access_denied" 400 Page "The person did not agree.";

    // -- the userinfo endpoint (RFC 6750 section 3.1, RFC 9449 section 7.1, RFC 8705 section 3)
    TokenMissing "invalid_request" 401 Page "No access token.";
    TokenTwice "invalid_request" 400 Page "The access token is sent in more than one way.";
    TokenInvalid "invalid_token" 401 Page "The access token was not made here, has expired, or was revoked.";
    TokenBinding "invalid_token" 401 Page "The access token is bound to a DPoP key: send it with scheme DPoP and a proof of that key; one that is not needs scheme Bearer.";
    TokenCertificate "invalid_token" 401 Page "The access token is bound to a TLS certificate: send it with that certificate to an address of mtls_endpoint_aliases (RFC 8705 section 3).";

    // -- introspection and revocation (RFC 7662, RFC 7009)
    TokenParameter "invalid_request" 400 Page "token is required.";

    // -- shared signals (OpenID Shared Signals Framework 1.0 section 8.1)
    StreamMalformed "invalid_request" 400 Page "The body is not what the Shared Signals Framework asks for here, or names what only the service may change.";
    StreamDelivery "invalid_request" 400 Page "delivery must be poll (urn:ietf:rfc:8936), or push (urn:ietf:rfc:8935) to exactly the certificate's ssf_push_uri.";
    StreamExists "invalid_request" 409 Page "This platform has a stream already; there is one for each.";
    StreamUnknown "invalid_request" 404 Page "No stream of this platform has that stream_id; streams end when the service restarts: create it again.";
    StreamSubject "invalid_request" 404 Page "subject must be of format opaque, its id a subject handle that was given to this platform for signals and has not ended.";
    StreamFull "invalid_request" 429 Page "The stream has as many subjects as it may have, or as many events wait to be acknowledged as may wait.";
    StreamVerify "invalid_request" 429 Page "A verification was asked for a moment ago: see min_verification_interval.";

    // -- sign-out (OpenID Connect RP-Initiated Logout 1.0)
    Hint "invalid_request" 400 Page "id_token_hint is not an ID token for this client under a key that this service uses now.";
    LogoutRedirect "invalid_request" 400 Page "post_logout_redirect_uri is not, character for character, one of the certificate's, or came without an id_token_hint.";

    // -- ours
    Unavailable "temporarily_unavailable" 503 Redirect "The service cannot remember what must be used once; nothing was done. Repeat the request.";
    TooMany "temporarily_unavailable" 429 Page "Too many requests of this client or from this address; nothing was done. Repeat the request after Retry-After (RFC 6585 section 4).";
    Internal "server_error" 500 Redirect "An unexpected failure on our side.";
}

impl OAuthError {
    /// The variant's name: for logs and tests; not part of any protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The `error` parameter.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.row().code
    }

    /// The status where the answer is not a redirect.
    #[must_use]
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// The `error_description`: ASCII without `"` and `\` (RFC 6749 section 5.2).
    #[must_use]
    pub fn description(self) -> &'static str {
        self.row().description
    }

    /// Whether it may be sent to a redirect address (which must have been checked: see
    /// [`crate::provider::Rejection`]).
    #[must_use]
    pub fn may_redirect(self) -> bool {
        self.row().way == Way::Redirect
    }

    /// What a person reads where the answer is a page.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::ClientUnknown | Self::ClientMissing => Refusal::PlatformUnknown,
            Self::RequestUriExpired | Self::RequestUriUsed | Self::RequestUriUnknown => Refusal::TransactionGone,
            Self::OverAsking | Self::DetailsBeyond => Refusal::OverAsking,
            Self::TooMany => Refusal::TooMany,
            Self::Unavailable | Self::NodesAway => Refusal::Busy,
            Self::Internal => Refusal::Internal,
            _ => Refusal::PlatformRequest,
        }
    }
}

impl std::fmt::Display for OAuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code(), self.description())
    }
}

impl std::error::Error for OAuthError {}

impl From<crate::FormError> for OAuthError {
    fn from(error: crate::FormError) -> Self {
        match error {
            crate::FormError::Repeated => Self::Repeated,
            crate::FormError::Malformed => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_in_the_character_set_of_rfc_6749_section_5_2() {
        for error in OAuthError::ALL {
            let text = error.description();
            assert!(text.bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b'"' && b != b'\\'), "{}", error.name());
            assert!(text.ends_with('.'), "{}", error.name());
        }
    }

    #[test]
    fn only_registered_error_codes_are_used() {
        const REGISTERED: [&str; 26] = [
            "invalid_request",
            "invalid_client",
            "invalid_grant",
            "invalid_scope",
            "invalid_token",
            "invalid_request_uri",
            "invalid_dpop_proof",
            "use_dpop_nonce",
            "unsupported_grant_type",
            "unauthorized_client",
            "unsupported_response_type",
            "request_not_supported",
            "request_uri_not_supported",
            "registration_not_supported",
            "login_required",
            "access_denied",
            "temporarily_unavailable",
            "server_error",
            "invalid_request_object",
            "invalid_authorization_details",
            "unmet_authentication_requirements",
            "unknown_user_id",
            "invalid_binding_message",
            "authorization_pending",
            "slow_down",
            "expired_token",
        ];
        for error in OAuthError::ALL {
            assert!(REGISTERED.contains(&error.code()), "{}", error.code());
        }
    }

    #[test]
    fn what_concerns_the_client_or_its_address_never_redirects() {
        for error in OAuthError::ALL.iter().filter(|e| {
            e.code().starts_with("invalid_client")
                || e.name().starts_with("Redirect")
                || e.code().starts_with("invalid_request_uri")
        }) {
            assert!(!error.may_redirect(), "{}", error.name());
        }
    }
}
