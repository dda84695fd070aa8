//! One sign-in at level direct, from the platform's redirect to the code (flows 7).

use super::held::{Agreed, Side};
use super::transactions::{Pending, TRANSACTION_SECONDS, Tx};
use super::{Admitted, Front, completion};
use hufu_kernel::{Octets, Refusal, Timestamp, b64, framed, random};
use hufu_oidc::provider::{self, AuthorizationRequest, Authorized, Code, CodeId, Rejection, SealedKind};
use hufu_oidc::{Form, OAuthError, Pairs, Reply, with_query};
use hufu_wire::api::sign_in::{CompleteSignIn, Continue, RefuseSignIn, Transaction};
use hufu_wire::jose::{self, Alg, Header};
use std::sync::Arc;

/// The front's one signing key, Ed25519: it signs transactions for the wallet, never results.
pub const TRANSACTION_KEY: &str = "front-tx";

/// A refusal shown to the person as a page, since there is no checked address to redirect to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// What the person reads.
    pub refusal: Refusal,
    /// For the platform's engineer.
    pub error: OAuthError,
}

impl Front {
    /// The authorization endpoint: opens a transaction and sends the browser to the wallet's own origin. `cookies` are all
    /// `Cookie` headers, `form` the query or the body.
    ///
    /// # Errors
    /// [`Shown`] as long as no redirect address of an admitted client has been checked; later errors redirect.
    pub async fn authorize(&self, form: &str, cookies: &[&str]) -> Result<Reply, Shown> {
        let now = self.now();
        let clients = Admitted(self, now);
        let env = clients.environment();
        let rejected = |error: OAuthError| Rejection { error, redirect: None };
        let decided = match Form::parse(form) {
            Ok(form) => provider::authorize(&env, &form),
            Err(error) => Err(rejected(error.into())),
        };
        let begun = match decided {
            Ok(authorized) => self.begin(authorized, cookies).await,
            Err(rejection) => Err(rejection),
        };
        match begun {
            Ok(reply) => Ok(reply),
            Err(Rejection { redirect: Some(response), error }) => {
                let to = self.deliver(&response).map_err(|refusal| Shown { refusal, error })?;
                Ok(Reply { refused: Some(error.code()), ..see_other(to) })
            }
            Err(Rejection { error, redirect: None }) => Err(Shown { refusal: error.refusal(), error }),
        }
    }

    async fn begin(&self, authorized: Authorized, cookies: &[&str]) -> Result<Reply, Rejection> {
        let now = self.now();
        let Authorized { client, request, pushed } = authorized;
        if let Some((name, _)) = &pushed {
            match self.ports.once.seen(&pushed_key(name), now).await {
                Ok(false) => {}
                Ok(true) => return Err(Rejection { error: OAuthError::RequestUriUsed, redirect: None }),
                Err(_) => return Err(self.unavailable(&request)),
            }
        }
        let tx: Tx = Octets(random(self.ports.rng.as_ref()));
        let begun = self.cookies.begin(cookies, self.ports.rng.as_ref());
        let to = self.page_of(&request, &tx, now, Side::Here);
        let busy = self.unavailable(&request);
        let pending = Pending {
            client,
            request,
            pushed,
            began: begun.hash,
            begun: now,
            exp: now + TRANSACTION_SECONDS,
            backchannel: None,
        };
        self.transactions.open(tx, pending, now).map_err(|_| busy)?;
        let mut reply = see_other(to);
        reply.headers.extend(begun.set.into_iter().map(|cookie| ("set-cookie", cookie)));
        Ok(reply)
    }

    /// Where the person answers: the wallet's page, or in a sandbox with sessions the persona agent's, which is told what it may answer
    /// without asking. A device that scanned a code is not offered to be one of those that show them.
    pub(super) fn page_of(&self, request: &AuthorizationRequest, tx: &Tx, now: Timestamp, side: Side) -> String {
        let wallet = &self.trust.wallet_origin;
        let query =
            Pairs::default().with("tx", &b64(tx.as_slice())).with_some("ui_locales", request.lang.map(|l| l.tag()));
        let query = query.with_some("scanned", (side == Side::Elsewhere).then_some("1"));
        if !self.provider.persona_sessions {
            return with_query(&format!("{wallet}/sign-in"), &query);
        }
        let since = request.session_since(now).map(|since| since.0.to_string());
        let query = query.with_some("since", since.as_deref()).with_some("silent", request.prompt_none.then_some("1"));
        with_query(&format!("{wallet}/sandbox/sign-in"), &query)
    }

    fn unavailable(&self, request: &AuthorizationRequest) -> Rejection {
        let error = OAuthError::Unavailable;
        Rejection { error, redirect: Some(request.refused(&self.provider.issuer, error)) }
    }

    /// What the wallet needs to know, as a JWS with `typ` [`Transaction::TYP`]; served once, and once more to a device that has taken it.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for no transaction's name, [`Refusal::TransactionGone`] if it was served, ended or never was.
    pub fn transaction(&self, tx: &str) -> Result<String, Refusal> {
        let tx = read_tx(tx)?;
        let (pending, elsewhere) = self.transactions.serve(&tx, self.now())?;
        let request = &pending.request;
        let payload = Transaction {
            tx,
            iss: self.provider.issuer.clone(),
            certificate: pending.client.jws.clone(),
            client_id: request.client_id.clone(),
            redirect_uri: request.redirect_uri.clone(),
            nonce: request.nonce.clone(),
            code_challenge: request.code_challenge.clone(),
            dpop_jkt: request.dpop_jkt.clone(),
            answers: request.answers.clone(),
            purpose: request.purpose.clone(),
            strength: request.strength(),
            exp: pending.exp,
            elsewhere,
            binding_message: pending.binding_message(),
        };
        let header = Header::new(Alg::EdDSA).typ(Transaction::TYP).kid(&self.transaction_kid);
        let input = jose::signing_input(&header, &payload).map_err(|error| crate::broken(&error))?;
        let signature = self.ports.keys.sign_ed25519(TRANSACTION_KEY, input.as_bytes());
        let signature = signature.map_err(|error| crate::broken(&error))?;
        Ok(jose::assemble(&input, signature.as_slice()))
    }

    /// Takes the wallet's answer: of the browser that began a code is made, of another device a number that its person types there.
    /// `cookies` are all `Cookie` headers.
    ///
    /// # Errors
    /// [`Refusal::TransactionGone`], [`Refusal::TransactionCookie`], [`Refusal::TokenRejected`]; the transaction stays open
    /// after the last two.
    pub async fn complete(&self, answer: &CompleteSignIn, cookies: &[&str]) -> Result<Continue, Refusal> {
        let now = self.now();
        let (pending, side) = self.held_by(&answer.tx, cookies)?;
        let token =
            completion::check((&self.keys, &self.provider.issuer, self.persona_sessions()), answer, &pending, now)?;
        let agreed = Agreed {
            id_token: answer.id_token.clone(),
            handle: answer.handle.clone(),
            sub: token.sub,
            strength: token.hufu.strength,
        };
        match side {
            Side::Here => {
                self.transactions.end_here(&answer.tx)?;
                self.granted(&pending, &agreed).await
            }
            Side::Elsewhere => {
                let rng = self.ports.rng.as_ref();
                self.transactions.with(&answer.tx, now, |_, held| held.agree(agreed, rng, now))?;
                Ok(Continue { redirect_to: self.number_page(&answer.tx) })
            }
        }
    }

    /// A code for the platform, of a transaction that has just been ended.
    pub(super) async fn granted(&self, pending: &Pending, agreed: &Agreed) -> Result<Continue, Refusal> {
        let now = self.now();
        if let Some((name, expires)) = &pending.pushed {
            // Past its expiry the request_uri opens nothing more, and it had this one transaction.
            let until = (*expires).max(now);
            if !self.ports.once.insert_once(&pushed_key(name), until, now).await.map_err(|_| Refusal::Busy)? {
                return Err(Refusal::TransactionGone);
            }
        }
        let request = &pending.request;
        if let Some(error) = request.unwanted(&agreed.sub, agreed.strength) {
            let response = request.refused(&self.provider.issuer, error);
            return Ok(Continue { redirect_to: self.deliver(&response)? });
        }
        let id = CodeId(Octets(random(self.ports.rng.as_ref())));
        let code = Code { handle: agreed.handle.clone(), ..Code::of(request, id, &agreed.id_token, now) };
        let sealed = self.seal(SealedKind::Code, &request.client_id, &code).map_err(|_| Refusal::Internal)?;
        let response = request.granted(&self.provider.issuer, &sealed);
        Ok(Continue { redirect_to: self.deliver(&response)? })
    }

    /// The person did not agree: `access_denied` to the platform, and the transaction is over. On another device the browser that
    /// began learns of it, and brings the platform its answer.
    ///
    /// # Errors
    /// [`Refusal::TransactionGone`], [`Refusal::TransactionCookie`].
    pub async fn refuse(&self, refusal: &RefuseSignIn, cookies: &[&str]) -> Result<Continue, Refusal> {
        let (pending, side) = self.held_by(&refusal.tx, cookies)?;
        match side {
            Side::Here => {
                self.transactions.end_here(&refusal.tx)?;
                self.denied(&pending).await
            }
            Side::Elsewhere => {
                self.transactions.with(&refusal.tx, self.now(), |_, held| held.refuse())?;
                Ok(Continue { redirect_to: self.number_page(&refusal.tx) })
            }
        }
    }

    /// A refusal for the platform, of a transaction that has just been ended.
    pub(super) async fn denied(&self, pending: &Pending) -> Result<Continue, Refusal> {
        if let Some((name, expires)) = &pending.pushed {
            let now = self.now();
            self.ports.once.revoke(&pushed_key(name), (*expires).max(now), now).await.map_err(|_| Refusal::Busy)?;
        }
        // Whom nobody asked has not refused (OpenID Connect Core section 3.1.2.6).
        let error = if pending.request.prompt_none { OAuthError::LoginRequired } else { OAuthError::Denied };
        let response = pending.request.refused(&self.provider.issuer, error);
        Ok(Continue { redirect_to: self.deliver(&response)? })
    }

    /// The transaction, if whoever sends these cookies holds it now.
    fn held_by(&self, tx: &Tx, cookies: &[&str]) -> Result<(Arc<Pending>, Side), Refusal> {
        self.transactions.with(tx, self.now(), |pending, held| {
            let side = held.side(&pending.began, |secret| self.cookies.holds(cookies, secret))?;
            Ok((Arc::clone(pending), side))
        })
    }
}

/// A transaction's name, as addresses have it.
pub(super) fn read_tx(text: &str) -> Result<Tx, Refusal> {
    hufu_kernel::unb64(text).and_then(|bytes| Octets::try_from(bytes.as_slice()).ok()).ok_or(Refusal::Malformed)
}

fn pushed_key(name: &Octets<32>) -> Vec<u8> {
    framed(&[b"pushed", name.as_slice()])
}

/// 303, so that the browser never posts on to another origin (RFC 9700 section 4.12).
pub(super) fn see_other(to: String) -> Reply {
    Reply {
        status: 303,
        headers: vec![("location", to), ("cache-control", "no-store".to_owned())],
        body: String::new(),
        refused: None,
    }
}
