//! One sign-in from the platform's side: push, send the browser, read the answer, redeem the code.

use super::{ClientError, Expected, verify_id_token};
use crate::provider::{OFFLINE_ACCESS, REQUEST_URI_PREFIX, SSF_MANAGE, answers_scope};
use crate::{Form, Pairs, with_query};
use base64ct::{Base64, Encoding};
use hufu_kernel::{Answer, Rng, Strength, Timestamp, b64, random};
use hufu_wire::api::sign_in::{IdToken, acr};
use hufu_wire::dpop::{self, make_proof};
use hufu_wire::jose::{Alg, Header, Jwks, Signer, SoftKey, sign};
use hufu_wire::subject_handle::SubjectHandle;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How a platform authenticates itself.
#[expect(clippy::large_enum_variant, reason = "a platform has one, for as long as it runs")]
pub enum ClientAuth {
    /// A key of its certificate.
    PrivateKeyJwt(SoftKey),
    /// Profile `basic` of the sandbox.
    SecretBasic(String),
    /// The TLS certificate of whoever sends the requests (RFC 8705 section 2), to these addresses: `https://host[:port]`, of the
    /// metadata's `mtls_endpoint_aliases`.
    TlsClient(String),
}

/// A platform's configuration.
pub struct RelyingParty {
    /// Its `client_id`.
    pub client_id: String,
    /// Its redirect address.
    pub redirect_uri: String,
    /// The issuer; endpoints are at fixed paths under it, as its metadata says.
    pub issuer: String,
    /// How it authenticates.
    pub auth: ClientAuth,
    /// The key that access tokens are bound to; `None` where they are bound to the TLS certificate, and for profile `basic`.
    pub dpop: Option<SoftKey>,
    /// Pinned keys of the service.
    pub keys: Jwks,
    /// The algorithm of its ID tokens.
    pub alg: Alg,
}

/// What a platform asks of one person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wish {
    /// The answers; none means the default of the purpose.
    pub answers: Vec<Answer>,
    /// The purpose; `None` means the certificate's first.
    pub purpose: Option<String>,
    /// The strength that is needed; `None` accepts the weakest.
    pub strength: Option<Strength>,
    /// `ui_locales`.
    pub ui_locales: Option<String>,
    /// Whether a refresh token is wanted (OpenID Connect Core section 11); only who registered for it gets one.
    pub offline: bool,
}

/// What the platform keeps in the browser's session until the answer comes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// `state`.
    pub state: String,
    /// `nonce`.
    pub nonce: String,
    /// RFC 7636.
    pub code_verifier: String,
    /// The strength that was asked for.
    pub strength: Strength,
    /// The request's parameters, for platforms that do not push.
    pub query: String,
}

/// A request to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpRequest {
    /// The method.
    pub method: &'static str,
    /// The address.
    pub url: String,
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// The answer to a sign-in.
#[derive(Clone, PartialEq, Debug)]
pub struct SignedIn {
    /// The verified token.
    pub token: IdToken,
    /// The token as two nodes signed it.
    pub id_token: String,
    /// For the userinfo endpoint.
    pub access_token: String,
    /// For [`RelyingParty::renew`], if one was asked for and given.
    pub refresh_token: Option<String>,
    /// With which the platform may ask for this person later, if it registered for that.
    pub subject_handle: Option<SubjectHandle>,
}

impl RelyingParty {
    /// A new sign-in.
    #[must_use]
    pub fn begin(&self, wish: &Wish, rng: &dyn Rng) -> Pending {
        let fresh = || b64(&random::<32>(rng));
        let (state, nonce, code_verifier) = (fresh(), fresh(), fresh());
        let strength = wish.strength.unwrap_or(Strength::Certificate);
        let mut scope = answers_scope(&wish.answers);
        if wish.offline {
            scope = format!("{scope} {OFFLINE_ACCESS}");
        }
        let parameters = Pairs::default()
            .with("client_id", &self.client_id)
            .with("response_type", "code")
            .with("redirect_uri", &self.redirect_uri)
            .with("scope", &scope)
            .with("state", &state)
            .with("nonce", &nonce)
            .with("code_challenge", &b64(&Sha256::digest(&code_verifier)))
            .with("code_challenge_method", "S256")
            .with_some("acr_values", wish.strength.map(acr))
            .with_some("hufu_purpose", wish.purpose.as_deref())
            .with_some("ui_locales", wish.ui_locales.as_deref())
            .with_some("dpop_jkt", self.dpop.as_ref().map(|key| key.public().thumbprint()).as_deref());
        Pending { state, nonce, code_verifier, strength, query: parameters.encode() }
    }

    /// The pushed request (RFC 9126). With [`RelyingParty::dpop`], a proof comes along.
    ///
    /// # Errors
    /// [`ClientError::Signing`].
    pub fn push(&self, pending: &Pending, now: Timestamp, rng: &dyn Rng) -> Result<HttpRequest, ClientError> {
        let parameters = Form::parse(&pending.query).map_err(|_| ClientError::Malformed("pending"))?;
        self.authenticated("/par", parameters.encode(), now, rng)
    }

    /// The address to send the browser to, from the answer to [`RelyingParty::push`].
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::Malformed`].
    pub fn pushed(&self, status: u16, body: &str) -> Result<String, ClientError> {
        let answer = answer(status, 201, body)?;
        let request_uri = answer["request_uri"].as_str().filter(|uri| uri.starts_with(REQUEST_URI_PREFIX));
        let request_uri = request_uri.ok_or(ClientError::Malformed("request_uri"))?;
        let query = Pairs::default().with("client_id", &self.client_id).with("request_uri", request_uri);
        Ok(with_query(&self.endpoint("/authorize"), &query))
    }

    /// The address to send the browser to without pushing: profile `basic` only.
    #[must_use]
    pub fn plain(&self, pending: &Pending) -> String {
        format!("{}?{}", self.endpoint("/authorize"), pending.query)
    }

    /// The code, from the query of the redirect address. `state` and `iss` are checked before anything else is believed.
    ///
    /// # Errors
    /// [`ClientError::State`], [`ClientError::Issuer`], [`ClientError::Refused`], [`ClientError::Malformed`].
    pub fn callback(&self, pending: &Pending, query: &str) -> Result<String, ClientError> {
        let form = Form::parse(query).map_err(|_| ClientError::Malformed("query"))?;
        if form.get("state") != Some(&pending.state) {
            return Err(ClientError::State);
        }
        if form.get("iss") != Some(&self.issuer) {
            return Err(ClientError::Issuer);
        }
        if let Some(error) = form.get("error") {
            let description = form.get("error_description").unwrap_or_default();
            return Err(ClientError::Refused { error: error.to_owned(), description: description.to_owned() });
        }
        form.get("code").map(str::to_owned).ok_or(ClientError::Malformed("code"))
    }

    /// The token request.
    ///
    /// # Errors
    /// [`ClientError::Signing`].
    pub fn redeem(
        &self,
        pending: &Pending,
        code: &str,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<HttpRequest, ClientError> {
        let parameters = Pairs::default()
            .with("client_id", &self.client_id)
            .with("grant_type", "authorization_code")
            .with("code", code)
            .with("redirect_uri", &self.redirect_uri)
            .with("code_verifier", &pending.code_verifier);
        self.authenticated("/token", parameters.encode(), now, rng)
    }

    /// The person, from the answer to [`RelyingParty::redeem`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn redeemed(
        &self,
        pending: &Pending,
        status: u16,
        body: &str,
        now: Timestamp,
    ) -> Result<SignedIn, ClientError> {
        let answer = answer(status, 200, body)?;
        let text = |name: &'static str| answer[name].as_str().map(str::to_owned).ok_or(ClientError::Malformed(name));
        let kind = if self.dpop.is_some() { "dpop" } else { "bearer" };
        if !text("token_type")?.eq_ignore_ascii_case(kind) {
            return Err(ClientError::Malformed("token_type"));
        }
        let id_token = text("id_token")?;
        let expected = Expected {
            issuer: &self.issuer,
            client_id: &self.client_id,
            nonce: &pending.nonce,
            keys: &self.keys,
            alg: self.alg,
            strength: pending.strength,
            now,
        };
        let token = verify_id_token(&id_token, &expected)?;
        // The nodes vouch for both halves: one that was exchanged on its way is nobody's.
        let subject_handle: Option<SubjectHandle> =
            answer["hufu_subject_handle"].as_str().and_then(|handle| handle.parse().ok());
        if subject_handle.as_ref().map(SubjectHandle::hash) != token.hufu.handle {
            return Err(ClientError::Malformed("hufu_subject_handle"));
        }
        let refresh_token = answer["refresh_token"].as_str().map(str::to_owned);
        Ok(SignedIn { token, id_token, access_token: text("access_token")?, refresh_token, subject_handle })
    }

    /// A request for a new access token (RFC 6749 section 6).
    ///
    /// # Errors
    /// [`ClientError::Signing`].
    pub fn renew(&self, refresh_token: &str, now: Timestamp, rng: &dyn Rng) -> Result<HttpRequest, ClientError> {
        let parameters = Pairs::default()
            .with("client_id", &self.client_id)
            .with("grant_type", "refresh_token")
            .with("refresh_token", refresh_token);
        self.authenticated("/token", parameters.encode(), now, rng)
    }

    /// A request for a token with which the platform manages its stream of shared signals (RFC 6749 section 4.4).
    ///
    /// # Errors
    /// [`ClientError::Signing`].
    pub fn manage(&self, now: Timestamp, rng: &dyn Rng) -> Result<HttpRequest, ClientError> {
        let parameters = Pairs::default()
            .with("client_id", &self.client_id)
            .with("grant_type", "client_credentials")
            .with("scope", SSF_MANAGE);
        self.authenticated("/token", parameters.encode(), now, rng)
    }

    /// The access token, from the answer to [`RelyingParty::renew`] or [`RelyingParty::manage`].
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::Malformed`].
    pub fn granted(&self, status: u16, body: &str) -> Result<String, ClientError> {
        let answer = answer(status, 200, body)?;
        answer["access_token"].as_str().map(str::to_owned).ok_or(ClientError::Malformed("access_token"))
    }

    /// A request with JSON to a resource of the service, or with an empty body without any: `path` with its query.
    ///
    /// # Errors
    /// [`ClientError::Signing`].
    pub fn resource(
        &self,
        (method, path): (&'static str, &str),
        access_token: &str,
        body: Option<&Value>,
        (now, rng): (Timestamp, &dyn Rng),
    ) -> Result<HttpRequest, ClientError> {
        let url = self.direct(path);
        let proved = url.split('?').next().unwrap_or_default();
        let mut headers = match self.proof((method, proved), (Some(access_token), None), now, rng)? {
            Some(proof) => vec![("authorization", format!("DPoP {access_token}")), ("dpop", proof)],
            None => vec![("authorization", format!("Bearer {access_token}"))],
        };
        headers.extend(body.map(|_| ("content-type", "application/json".to_owned())));
        let body = body.map(Value::to_string).unwrap_or_default();
        Ok(HttpRequest { method, url, headers, body })
    }

    /// A userinfo request.
    ///
    /// # Errors
    /// [`ClientError::Signing`].
    pub fn userinfo(&self, access_token: &str, now: Timestamp, rng: &dyn Rng) -> Result<HttpRequest, ClientError> {
        let url = self.direct("/userinfo");
        let headers = match self.proof(("GET", url.as_str()), (Some(access_token), None), now, rng)? {
            Some(proof) => vec![("authorization", format!("DPoP {access_token}")), ("dpop", proof)],
            None => vec![("authorization", format!("Bearer {access_token}"))],
        };
        Ok(HttpRequest { method: "GET", url, headers, body: String::new() })
    }

    /// The same request once more, with a proof that carries the nonce the server asked for: the `DPoP-Nonce` header of an answer
    /// that is [`ClientError::Refused`] with `use_dpop_nonce` (RFC 9449 sections 8, 9). The client assertion is made anew.
    ///
    /// # Errors
    /// [`ClientError::Signing`].
    pub fn with_nonce(
        &self,
        request: &HttpRequest,
        nonce: &str,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<HttpRequest, ClientError> {
        let authorization = request.headers.iter().find(|(name, _)| *name == "authorization");
        let access_token = authorization.and_then(|(_, value)| value.strip_prefix("DPoP "));
        let body = request.body.split("&client_assertion_type=").next().unwrap_or_default().to_owned();
        let mut again = match access_token {
            Some(_) => request.clone(),
            None => self.with_credentials(request.url.clone(), body, now, rng)?,
        };
        again.headers.retain(|(name, _)| *name != "dpop");
        let to = (request.method, request.url.as_str());
        again.headers.extend(self.proof(to, (access_token, Some(nonce)), now, rng)?.map(|proof| ("dpop", proof)));
        Ok(again)
    }

    fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// The address of what the platform asks itself; browsers go to [`RelyingParty::endpoint`].
    fn direct(&self, path: &str) -> String {
        match &self.auth {
            ClientAuth::TlsClient(mtls) => format!("{mtls}{path}"),
            _ => self.endpoint(path),
        }
    }

    fn proof(
        &self,
        (method, url): (&str, &str),
        (access_token, nonce): (Option<&str>, Option<&str>),
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<Option<String>, ClientError> {
        let Some(key) = &self.dpop else { return Ok(None) };
        let request = dpop::Expected { method, htu: url, now, max_age: 0, access_token, nonce };
        make_proof(key, &request, rng).map(Some).map_err(|error| ClientError::Signing(error.to_string()))
    }

    /// A POST with client authentication and, where there is a key for it, a proof.
    pub(super) fn authenticated(
        &self,
        path: &str,
        body: String,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<HttpRequest, ClientError> {
        let mut request = self.with_credentials(self.direct(path), body, now, rng)?;
        let proof = self.proof((request.method, request.url.as_str()), (None, None), now, rng)?;
        request.headers.extend(proof.map(|proof| ("dpop", proof)));
        Ok(request)
    }

    /// A POST with client authentication.
    fn with_credentials(
        &self,
        url: String,
        body: String,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<HttpRequest, ClientError> {
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        let body = match &self.auth {
            ClientAuth::PrivateKeyJwt(key) => {
                let assertion = Pairs::default()
                    .with("client_assertion_type", crate::provider::ASSERTION_TYPE)
                    .with("client_assertion", &self.assertion(key, now, rng)?)
                    .encode();
                format!("{body}&{assertion}")
            }
            ClientAuth::SecretBasic(secret) => {
                let part = |text: &str| Pairs::default().with("", text).encode()[1..].to_owned();
                let pair = format!("{}:{}", part(&self.client_id), part(secret));
                headers.push(("authorization", format!("Basic {}", Base64::encode_string(pair.as_bytes()))));
                body
            }
            // `client_id` stands in every body.
            ClientAuth::TlsClient(_) => body,
        };
        Ok(HttpRequest { method: "POST", url, headers, body })
    }

    fn assertion(&self, key: &SoftKey, now: Timestamp, rng: &dyn Rng) -> Result<String, ClientError> {
        let claims = json!({
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.issuer,
            "jti": b64(&random::<16>(rng)),
            "iat": now,
            "exp": now + 60,
        });
        let header = Header::new(key.alg()).kid(key.kid());
        sign(key, header, &claims).map_err(|error| ClientError::Signing(error.to_string()))
    }
}

pub(super) fn answer(status: u16, good: u16, body: &str) -> Result<Value, ClientError> {
    let value: Value = serde_json::from_str(body).map_err(|_| ClientError::Malformed("body"))?;
    if status == good {
        return Ok(value);
    }
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    Err(ClientError::Refused { error: text("error"), description: text("error_description") })
}
