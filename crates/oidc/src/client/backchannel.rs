//! Asking for a person without a browser, from the platform's side (OpenID Connect CIBA Core 1.0, mode poll).

use super::relying_party::answer;
use super::{ClientAuth, ClientError, HttpRequest, Pending, RelyingParty, SignedIn, Wish};
use crate::Pairs;
use crate::provider::answers_scope;
use hufu_kernel::{Rng, Strength, Timestamp, b64, random};
use hufu_wire::api::platform::CIBA_GRANT;
use hufu_wire::api::sign_in::acr;
use hufu_wire::jose::{Header, Signer, sign};
use serde_json::json;

/// Seconds between two looks where the service tells none (CIBA Core section 7.3).
const INTERVAL: i64 = 5;

/// A request that waits for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Awaiting {
    /// `auth_req_id`.
    pub auth_req_id: String,
    /// Seconds between two looks.
    pub interval: i64,
    strength: Strength,
}

impl Awaiting {
    /// One that was kept by its `auth_req_id`, with what was wished.
    #[must_use]
    pub fn of(auth_req_id: &str, wish: &Wish) -> Self {
        let strength = wish.strength.unwrap_or(Strength::Certificate);
        Self { auth_req_id: auth_req_id.to_owned(), interval: INTERVAL, strength }
    }
}

/// What a look found.
#[derive(Clone, PartialEq, Debug)]
pub enum Looked {
    /// The person has not answered: look again after the interval.
    Pending,
    /// Look less often: the interval is 5 seconds longer.
    Slower,
    /// The person agreed.
    SignedIn(Box<SignedIn>),
}

impl RelyingParty {
    /// Asks whoever `hint` means: the code that a person told, or a subject handle. `message` is for both to compare; profile `fapi2` has
    /// one always.
    ///
    /// # Errors
    /// [`ClientError::Signing`], also without a key to sign requests with.
    pub fn ask(
        &self,
        (hint, message): (&str, &str),
        wish: &Wish,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<HttpRequest, ClientError> {
        let ClientAuth::PrivateKeyJwt(key) = &self.auth else {
            return Err(ClientError::Signing("a request without a browser is signed".into()));
        };
        let mut claims = json!({
            "iss": self.client_id,
            "aud": self.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + 60,
            "jti": b64(&random::<16>(rng)),
            "scope": answers_scope(&wish.answers),
            "login_hint": hint,
            "binding_message": message,
        });
        if let Some(purpose) = &wish.purpose {
            claims["hufu_purpose"] = json!(purpose);
        }
        if let Some(strength) = wish.strength {
            claims["acr_values"] = json!(acr(strength));
        }
        let header = Header::new(key.alg()).kid(key.kid());
        let object = sign(key, header, &claims).map_err(|error| ClientError::Signing(error.to_string()))?;
        let parameters = Pairs::default().with("client_id", &self.client_id).with("request", &object);
        self.authenticated("/bc-authorize", parameters.encode(), now, rng)
    }

    /// What to look for, from the answer to [`RelyingParty::ask`].
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::Malformed`].
    pub fn asked(&self, wish: &Wish, status: u16, body: &str) -> Result<Awaiting, ClientError> {
        let answer = answer(status, 200, body)?;
        let auth_req_id = answer["auth_req_id"].as_str().ok_or(ClientError::Malformed("auth_req_id"))?;
        let interval = answer["interval"].as_i64().unwrap_or(INTERVAL);
        Ok(Awaiting { interval, ..Awaiting::of(auth_req_id, wish) })
    }

    /// Looks whether the person has answered.
    ///
    /// # Errors
    /// [`ClientError::Signing`].
    pub fn look(&self, awaiting: &Awaiting, now: Timestamp, rng: &dyn Rng) -> Result<HttpRequest, ClientError> {
        let parameters = Pairs::default()
            .with("client_id", &self.client_id)
            .with("grant_type", CIBA_GRANT)
            .with("auth_req_id", &awaiting.auth_req_id);
        self.authenticated("/token", parameters.encode(), now, rng)
    }

    /// What became of it, from the answer to [`RelyingParty::look`].
    ///
    /// # Errors
    /// [`ClientError`]: the person did not agree, not in time, or the answer is not to be believed.
    pub fn looked(&self, awaiting: &Awaiting, status: u16, body: &str, now: Timestamp) -> Result<Looked, ClientError> {
        // No nonce and no code: what binds the answer to the request is auth_req_id, over an authenticated connection.
        let pending = Pending {
            state: String::new(),
            nonce: String::new(),
            code_verifier: String::new(),
            strength: awaiting.strength,
            query: String::new(),
        };
        match self.redeemed(&pending, status, body, now) {
            Ok(signed_in) => Ok(Looked::SignedIn(Box::new(signed_in))),
            Err(ClientError::Refused { error, .. }) if error == "authorization_pending" => Ok(Looked::Pending),
            Err(ClientError::Refused { error, .. }) if error == "slow_down" => Ok(Looked::Slower),
            Err(error) => Err(error),
        }
    }
}
