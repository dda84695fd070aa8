//! A platform's side by an OpenID Connect library that is not ours: `openidconnect`. Plain code flow with PKCE and a client
//! secret, as the sandbox's profile `basic` admits it. The library knows neither PAR nor DPoP (decision 0013).

use chrono::{DateTime, Utc};
use hufu_kernel::{Clock, unb64};
use hufu_platform::client::Wish;
use hufu_platform::{IdToken, Jwks};
use hufu_wire::api::sign_in::acr;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreJsonWebKeySet, CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AuthenticationContextClass, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    TokenResponse,
};
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// What discovery tells: where to send people and where to redeem codes.
type Library =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// A platform's configuration.
pub struct OrdinaryClient {
    /// Its `client_id`.
    pub client_id: String,
    /// Its secret.
    pub secret: String,
    /// Its redirect address.
    pub redirect_uri: String,
    /// The issuer; everything else comes from its metadata.
    pub issuer: String,
    /// Pinned keys of the service, taken in place of those that the front serves.
    pub keys: Jwks,
    /// The sandbox's clock.
    pub clock: Arc<dyn Clock>,
    discovered: OnceCell<Library>,
}

/// What is kept in the browser's session until the answer comes.
pub struct Away {
    state: CsrfToken,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    acr: Option<&'static str>,
}

fn said(error: impl Display) -> String {
    error.to_string()
}

impl OrdinaryClient {
    /// A client of `issuer` that has discovered nothing yet.
    #[must_use]
    pub fn new(
        issuer: &str,
        (client_id, secret): (&str, &str),
        redirect_uri: &str,
        keys: Jwks,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let [issuer, client_id, secret, redirect_uri] = [issuer, client_id, secret, redirect_uri].map(str::to_owned);
        Self { client_id, secret, redirect_uri, issuer, keys, clock, discovered: OnceCell::new() }
    }

    /// A new sign-in, and where to send the browser.
    ///
    /// # Errors
    /// A sentence, if the service does not answer.
    pub async fn begin(&self, http: &reqwest::Client, wish: &Wish) -> Result<(Away, String), String> {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let library = self.library(http).await?;
        let acr = wish.strength.map(acr);
        let scopes = wish.answers.iter().map(|answer| Scope::new(format!("hufu:{}", answer.as_str())));
        let mut request = library
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge)
            .add_scopes(scopes);
        if let Some(purpose) = &wish.purpose {
            request = request.add_extra_param("hufu_purpose", purpose.clone());
        }
        if let Some(acr) = acr {
            request = request.add_auth_context_value(AuthenticationContextClass::new(acr.to_owned()));
        }
        let (url, state, nonce) = request.url();
        Ok((Away { state, nonce, verifier, acr }, url.into()))
    }

    /// The verified ID token, from the query of the redirect address.
    ///
    /// # Errors
    /// A sentence: do not sign the person in.
    pub async fn finish(&self, http: &reqwest::Client, away: Away, query: &str) -> Result<IdToken, String> {
        let mut answer = HashMap::new();
        for (name, value) in openidconnect::url::form_urlencoded::parse(query.as_bytes()) {
            if answer.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err("the answer names a parameter twice".into());
            }
        }
        if answer.get("state") != Some(away.state.secret()) {
            return Err("state is not that of this sign-in".into());
        }
        // RFC 9207; the library leaves it, as it leaves `state`, to its caller.
        if answer.get("iss") != Some(&self.issuer) {
            return Err("the answer comes from another issuer".into());
        }
        if let Some(error) = answer.get("error") {
            let description = answer.get("error_description").map_or("", String::as_str);
            return Err(format!("the server refused: {error}: {description}"));
        }
        let code = answer.remove("code").ok_or("an answer without a code")?;
        let library = self.library(http).await?;
        let request = library.exchange_code(AuthorizationCode::new(code)).map_err(said)?;
        let tokens = request.set_pkce_verifier(away.verifier).request_async(&sender(http)).await.map_err(said)?;
        let id_token = tokens.id_token().ok_or("no ID token")?;
        let clock = Arc::clone(&self.clock);
        let verifier = library
            .id_token_verifier()
            .set_allowed_algs([CoreJwsSigningAlgorithm::EdDsa])
            .set_time_fn(move || DateTime::<Utc>::from_timestamp(clock.now().0, 0).unwrap_or(DateTime::<Utc>::MAX_UTC));
        let claims = id_token.claims(&verifier, &away.nonce).map_err(said)?;
        let strength = claims.auth_context_ref().map(|acr| acr.as_str());
        if away.acr.is_some() && strength != away.acr {
            return Err("the authentication was not strong enough".into());
        }
        payload(&id_token.to_string())
    }

    async fn library(&self, http: &reqwest::Client) -> Result<&Library, String> {
        self.discovered.get_or_try_init(|| self.discover(http)).await
    }

    async fn discover(&self, http: &reqwest::Client) -> Result<Library, String> {
        let issuer = IssuerUrl::new(self.issuer.clone()).map_err(said)?;
        let metadata = CoreProviderMetadata::discover_async(issuer, &sender(http)).await.map_err(said)?;
        let keys = serde_json::to_value(&self.keys).and_then(serde_json::from_value::<CoreJsonWebKeySet>);
        let metadata = metadata.set_jwks(keys.map_err(said)?);
        let (id, secret) = (ClientId::new(self.client_id.clone()), ClientSecret::new(self.secret.clone()));
        let redirect = RedirectUrl::new(self.redirect_uri.clone()).map_err(said)?;
        Ok(CoreClient::from_provider_metadata(metadata, id, Some(secret)).set_redirect_uri(redirect))
    }
}

/// The claims of a token that the library has just verified, `hufu` among them.
fn payload(verified: &str) -> Result<IdToken, String> {
    let part = verified.split('.').nth(1).and_then(unb64).ok_or("not a JWS")?;
    serde_json::from_slice(&part).map_err(said)
}

/// The library speaks through the sandbox's HTTP client, which follows no redirects.
fn sender(http: &reqwest::Client) -> impl Fn(HttpRequest) -> Sending {
    let http = http.clone();
    move |request| -> Sending { Box::pin(exchange(http.clone(), request)) }
}

type Sending = std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, reqwest::Error>> + Send>>;

async fn exchange(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let answer = client.execute(request.try_into()?).await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = HttpResponse::new(answer.bytes().await?.to_vec());
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    Ok(response)
}
