//! The server's configuration and how it is published (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2).

use super::{DETAIL_TYPE, OFFLINE_ACCESS, ResponseMode, SSF_MANAGE, TRUST_FRAMEWORK, claim_name};
use hufu_kernel::{Answer, Lang, Root, Strength};
use hufu_wire::api::platform::{CIBA_GRANT, DeliveryMode};
use hufu_wire::api::sign_in::acr;
use hufu_wire::jose::Alg;
use serde_json::{Value, json};

/// The algorithms of client assertions (FAPI 2.0 section 5.4.1).
pub const ASSERTION_ALGS: [Alg; 3] = [Alg::ES256, Alg::EdDSA, Alg::PS256];

/// An authorization server's configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provider {
    /// The issuer identifier: `https://host`, no slash at the end (http only for a sandbox on localhost).
    pub issuer: String,
    /// The trust root; profile `basic` exists in the sandbox only.
    pub root: Root,
    /// The algorithms that ID tokens are signed with here: EdDSA by two nodes, others by one.
    pub id_token_algs: Vec<Alg>,
    /// The algorithms of what the front signs itself: authorization responses, introspection, userinfo. Never ID tokens.
    pub response_algs: Vec<Alg>,
    /// Sandbox only: the persona agent remembers for a moment who signed in, so that `prompt=none` is asked of it (decision 0022).
    pub persona_sessions: bool,
    /// Where TLS client certificates are asked for, `https://host[:port]`, if anywhere (RFC 8705 section 5).
    pub mtls: Option<String>,
}

/// The claims that are told. No claim about who somebody is stands among them.
const CLAIMS: [&str; 11] =
    ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "hufu", "verified_claims"];

/// What is answered there as well as under the issuer: the names of the metadata, and the paths.
const ALIASES: [(&str, &str); 6] = [
    ("pushed_authorization_request_endpoint", "/par"),
    ("backchannel_authentication_endpoint", "/bc-authorize"),
    ("token_endpoint", "/token"),
    ("userinfo_endpoint", "/userinfo"),
    ("introspection_endpoint", "/introspect"),
    ("revocation_endpoint", "/revoke"),
];

impl Provider {
    /// The address of an endpoint, from the configuration and never from a `Host` header.
    #[must_use]
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// The address of an endpoint as a caller sees it that came with a TLS certificate, or without.
    pub(super) fn address(&self, path: &str, with_certificate: bool) -> String {
        match self.mtls.as_ref().filter(|_| with_certificate) {
            Some(mtls) => format!("{mtls}{path}"),
            None => self.endpoint(path),
        }
    }

    /// Requests without a browser (CIBA Core section 4).
    fn backchannel(&self) -> [(&'static str, Value); 4] {
        let algs: Vec<_> = ASSERTION_ALGS.iter().map(|alg| alg.name()).collect();
        [
            ("backchannel_authentication_endpoint", json!(self.endpoint("/bc-authorize"))),
            ("backchannel_token_delivery_modes_supported", json!([DeliveryMode::Poll, DeliveryMode::Ping])),
            ("backchannel_authentication_request_signing_alg_values_supported", json!(algs)),
            ("backchannel_user_code_parameter_supported", json!(false)),
        ]
    }

    /// The metadata document, for both well-known addresses.
    #[must_use]
    pub fn discovery(&self) -> Value {
        let algs: Vec<_> = self.id_token_algs.iter().map(|alg| alg.name()).collect();
        let signed: Vec<_> = self.response_algs.iter().map(|alg| alg.name()).collect();
        let modes = ResponseMode::ALL.into_iter().filter(|mode| !mode.is_signed() || !signed.is_empty());
        let mut modes: Vec<_> = modes.map(ResponseMode::as_str).collect();
        if !signed.is_empty() {
            modes.push("jwt");
        }
        let proofs: Vec<_> = ASSERTION_ALGS.iter().map(|alg| alg.name()).collect();
        let scopes = ["openid", OFFLINE_ACCESS, SSF_MANAGE].into_iter().map(str::to_owned);
        let scopes = scopes.chain(Answer::ALL.iter().map(|a| format!("hufu:{}", a.as_str())));
        let basic = self.root == Root::Sandbox;
        let mut methods = vec!["private_key_jwt"];
        methods.extend(self.mtls.iter().map(|_| "tls_client_auth"));
        if basic {
            methods.extend(["client_secret_basic", "client_secret_post"]);
        }
        let mut metadata = json!({
            "issuer": self.issuer,
            "authorization_endpoint": self.endpoint("/authorize"),
            "pushed_authorization_request_endpoint": self.endpoint("/par"),
            // Clients of profile fapi2 must push whatever this says; basic ones (sandbox) need not.
            "require_pushed_authorization_requests": !basic,
            "token_endpoint": self.endpoint("/token"),
            "userinfo_endpoint": self.endpoint("/userinfo"),
            "jwks_uri": self.endpoint("/jwks.json"),
            "end_session_endpoint": self.endpoint("/logout"),
            "backchannel_logout_supported": !signed.is_empty(),
            "backchannel_logout_session_supported": false,
            "introspection_endpoint": self.endpoint("/introspect"),
            "introspection_endpoint_auth_methods_supported": methods,
            "introspection_endpoint_auth_signing_alg_values_supported": proofs,
            "introspection_signing_alg_values_supported": signed,
            "revocation_endpoint": self.endpoint("/revoke"),
            "revocation_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_signing_alg_values_supported": proofs,
            "authorization_signing_alg_values_supported": signed,
            "userinfo_signing_alg_values_supported": signed,
            "request_object_signing_alg_values_supported": proofs,
            "scopes_supported": scopes.collect::<Vec<_>>(),
            "response_types_supported": ["code"],
            "response_modes_supported": modes,
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", CIBA_GRANT],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": algs,
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": proofs,
            "dpop_signing_alg_values_supported": proofs,
            "code_challenge_methods_supported": ["S256"],
            "acr_values_supported": Strength::ALL.iter().map(|strength| acr(*strength)).collect::<Vec<_>>(),
            "prompt_values_supported": ["login", "consent", "select_account", "none"],
            "claim_types_supported": ["normal"],
            "request_parameter_supported": true,
            "request_uri_parameter_supported": false,
            "authorization_response_iss_parameter_supported": true,
            "ui_locales_supported": Lang::ALL.map(Lang::tag),
            "tls_client_certificate_bound_access_tokens": self.mtls.is_some(),
        });
        for (name, value) in beyond_scopes().into_iter().chain(self.backchannel()) {
            metadata[name] = value;
        }
        if let Some(mtls) = &self.mtls {
            let aliases = ALIASES.map(|(name, path)| (name.to_owned(), Value::from(format!("{mtls}{path}"))));
            metadata["mtls_endpoint_aliases"] = Value::Object(aliases.into_iter().collect());
        }
        metadata
    }
}

/// The ways to ask besides scopes (OpenID Connect Core section 5.5, Identity Assurance section 8, RFC 9396 section 10). What is told by
/// `verified_claims` is told at userinfo alone.
fn beyond_scopes() -> [(&'static str, Value); 6] {
    let verified: Vec<_> = Answer::ALL.iter().map(|answer| claim_name(*answer)).collect();
    [
        ("claims_supported", json!(CLAIMS)),
        ("claims_parameter_supported", json!(true)),
        // Of the drafts of Identity Assurance alone, for clients that look for it.
        ("verified_claims_supported", json!(true)),
        ("trust_frameworks_supported", json!([TRUST_FRAMEWORK])),
        ("claims_in_verified_claims_supported", json!(verified)),
        ("authorization_details_types_supported", json!([DETAIL_TYPE])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(root: Root) -> Provider {
        Provider {
            issuer: "https://id.example".into(),
            root,
            id_token_algs: vec![Alg::EdDSA, Alg::ES256],
            response_algs: vec![Alg::PS256],
            persona_sessions: false,
            mtls: None,
        }
    }

    #[test]
    fn mutual_tls_is_offered_where_there_is_an_address_for_it_and_self_signed_certificates_never_are() {
        let without = provider(Root::Production).discovery();
        assert_eq!(without["tls_client_certificate_bound_access_tokens"], json!(false));
        assert_eq!(without.get("mtls_endpoint_aliases"), None);
        let with = Provider { mtls: Some("https://mtls.id.example".into()), ..provider(Root::Production) }.discovery();
        assert_eq!(with["tls_client_certificate_bound_access_tokens"], json!(true));
        let aliases = with["mtls_endpoint_aliases"].as_object().unwrap();
        assert_eq!(aliases.len(), ALIASES.len());
        // An alias stands for an endpoint of the same name and path.
        for (name, alias) in aliases {
            let path = with[name].as_str().unwrap().strip_prefix("https://id.example").unwrap();
            assert_eq!(*alias, json!(format!("https://mtls.id.example{path}")), "{name}");
        }
        for of in ["token", "introspection", "revocation"] {
            let methods = &with[format!("{of}_endpoint_auth_methods_supported")];
            assert_eq!(*methods, json!(["private_key_jwt", "tls_client_auth"]), "{of}");
        }
        assert!(!with.to_string().contains("self_signed_tls_client_auth"));
    }

    #[test]
    fn only_pairwise_subjects_codes_and_s256_are_offered() {
        let metadata = provider(Root::Production).discovery();
        assert_eq!(metadata["subject_types_supported"], json!(["pairwise"]));
        assert_eq!(metadata["response_types_supported"], json!(["code"]));
        assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(metadata["require_pushed_authorization_requests"], json!(true));
        assert_eq!(metadata["token_endpoint_auth_methods_supported"], json!(["private_key_jwt"]));
    }

    #[test]
    fn every_answer_is_offered_as_a_verified_claim_and_nothing_about_who_somebody_is() {
        let metadata = provider(Root::Production).discovery();
        let offered = metadata["claims_in_verified_claims_supported"].as_array().unwrap();
        assert_eq!(offered.len(), Answer::ALL.len());
        assert_eq!(metadata["trust_frameworks_supported"], json!([TRUST_FRAMEWORK]));
        assert_eq!(metadata["authorization_details_types_supported"], json!([DETAIL_TYPE]));
        let supported = metadata["claims_supported"].as_array().unwrap().iter().chain(offered);
        for claim in supported.map(|claim| claim.as_str().unwrap()) {
            let standard = ["name", "family_name", "birthdate", "email", "phone_number", "address", "picture"];
            assert!(!standard.contains(&claim), "{claim}");
        }
    }

    #[test]
    fn faces_are_not_advertised_before_they_exist() {
        assert!(!provider(Root::Sandbox).discovery().to_string().contains("face"));
    }

    #[test]
    fn secrets_are_offered_in_the_sandbox_alone() {
        let methods = provider(Root::Sandbox).discovery()["token_endpoint_auth_methods_supported"].clone();
        assert_eq!(methods, json!(["private_key_jwt", "client_secret_basic", "client_secret_post"]));
    }
}
