//! Sign-in at level direct from the person's side (flows 7): read the request, agree, add two nodes' parts, check the whole.

use crate::agreement::{Agreement, Terms};
use crate::call::{Address, call, fetch};
use crate::device::Device;
use crate::state::assigned;
use crate::{Transport, Wallet, WalletError};
use hufu_kernel::{Answer, NodeIndex, Octets, Pair, Strength, Timestamp, b64, unb64};
use hufu_pairwise::{
    Intl, ParamsId, PasswordKey, combine, combine_sum, ep, finalize, harden, oprf_blind, oprf_verify, sector_point,
    sub, verify_both,
};
use hufu_wire::api::platform::{CIBA_GRANT, PlatformCertificate};
use hufu_wire::api::sign_in::{
    BeginSignIn, CompleteSignIn, Consent, Continue, EvaluatePassword, FinishSignIn, IdToken, PasswordEvaluation,
    RefuseSignIn, SignInOffer, SignInShare, Transaction, acr,
};
use hufu_wire::jose::{self, Alg, Compact, Jwk, PublicKey};
use hufu_wire::subject_handle::SubjectHandle;
use hufu_wire::webauthn::Assertion;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A request that was checked and can be shown to the person.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What the front says.
    pub transaction: Transaction,
    /// Who asks, by the registry's word.
    pub certificate: PlatformCertificate,
    /// When the person proved to be there, if that was a moment ago; nodes take it for a minute. `None`: when they sign.
    pub proved: Option<Timestamp>,
}

/// The person's record of one consent: held by wallet and platform, by no office.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// Who asked: the certificate as it was then.
    pub certificate: String,
    /// What was agreed to, with the opening of its commitment.
    pub consent: Consent,
    /// The device's signature over it.
    pub assertion: Assertion,
    /// The pseudonym the platform got.
    pub sub: String,
}

/// A sign-in, ready for the front.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The ID token, as the platform will get it.
    pub id_token: String,
    /// Its payload.
    pub payload: IdToken,
    /// The opening of `ctx`.
    pub s: Octets<32>,
    /// The pair that served.
    pub pair: Pair,
    /// What the platform may ask for this person later with, if it registered for that; closed to everybody but two nodes.
    pub handle: Option<SubjectHandle>,
}

/// Whether this was asked without a browser, by who registered for that, and what the person compares is what their device binds.
fn is_backchannel(transaction: &Transaction, certificate: &PlatformCertificate) -> bool {
    let message = transaction.binding_message.as_deref().unwrap_or_default();
    transaction.redirect_uri == CIBA_GRANT
        && certificate.registration.backchannel_token_delivery_mode.is_some()
        && transaction.nonce.is_empty()
        && transaction.code_challenge == b64(&Sha256::digest(message))
}

impl<T: Transport, D: Device> Wallet<T, D> {
    /// Fetches a transaction and checks everything in it before the person sees it.
    ///
    /// # Errors
    /// The front's refusals; [`WalletError::Untrusted`] if the front or the platform is not who it says, or asks beyond its
    /// entitlement: over-asking never reaches the person.
    pub async fn open(&self, tx: &Octets<32>) -> Result<Asked, WalletError> {
        let jws = fetch(&self.transport, Address::Front, &format!("/tx/{}", b64(tx.as_slice()))).await?;
        let transaction: Transaction =
            read(&self.trust.offices.front, Transaction::TYP, &jws, "the front's signature")?;
        let certificate: PlatformCertificate = read(
            &self.trust.offices.registry,
            PlatformCertificate::TYP,
            &transaction.certificate,
            "the platform's certificate",
        )?;
        let now = self.clock.now();
        let same = transaction.tx == *tx
            && transaction.iss == self.trust.issuer
            && transaction.client_id == certificate.client_id;
        if !same || certificate.root != self.trust.root || now >= transaction.exp || now >= certificate.exp {
            return Err(WalletError::Untrusted("the transaction"));
        }
        if !certificate.redirect_uris.contains(&transaction.redirect_uri) && !is_backchannel(&transaction, &certificate)
        {
            return Err(WalletError::Untrusted("the redirect address"));
        }
        let purpose = certificate.purpose(Some(&transaction.purpose)).ok_or(WalletError::Untrusted("the purpose"))?;
        if !transaction
            .answers
            .iter()
            .all(|answer| certificate.entitled.contains(answer) && purpose.answers.contains(answer))
        {
            return Err(WalletError::Refused(hufu_kernel::Refusal::OverAsking));
        }
        Ok(Asked { transaction, certificate, proved: None })
    }

    /// Signs in with the answers the person agreed to; tries another pair if one node fails.
    ///
    /// # Errors
    /// The nodes' refusals; [`WalletError::Untrusted`] if what they signed is not what was agreed.
    pub async fn sign_in(
        &mut self,
        asked: &Asked,
        answers: &[Answer],
        password: Option<&str>,
        first: Pair,
    ) -> Result<SignedIn, WalletError> {
        let mut last = WalletError::State("no pair");
        for pair in std::iter::once(first).chain(Pair::ALL.into_iter().filter(|pair| *pair != first)) {
            match self.sign_in_with(asked, answers, password, pair).await {
                Ok(signed_in) => return Ok(signed_in),
                Err(error) if error.is_about_one_node() => last = error,
                Err(error) => return Err(error),
            }
        }
        match last {
            WalletError::Unreachable { .. } => Err(WalletError::Refused(hufu_kernel::Refusal::NodesUnavailable)),
            other => Err(other),
        }
    }

    /// Signs in with this pair and no other.
    ///
    /// # Errors
    /// As [`Wallet::sign_in`].
    pub async fn sign_in_with(
        &mut self,
        asked: &Asked,
        answers: &[Answer],
        password: Option<&str>,
        pair: Pair,
    ) -> Result<SignedIn, WalletError> {
        let strength = if password.is_some() { Strength::CertificatePassword } else { Strength::Certificate };
        let now = self.clock.now();
        let terms = Terms { answers, strength, s: self.draw(), proved: asked.proved.unwrap_or(now), now };
        let Agreement { consent: agreed, ctx, challenge: chal } =
            Agreement::new(&asked.transaction, &asked.certificate, terms);
        let assertion = self.device.assert(&chal).await?;
        let password = match password {
            Some(password) => Some(Octets(self.password_key(&agreed, &assertion, password, pair).await?.sign(&chal))),
            None => None,
        };
        let begin = BeginSignIn { pair, consent: agreed.clone(), assertion: assertion.clone(), password };
        let offers = self.begin(&begin).await?;
        self.keep_up(&offers).await?;
        let handle = subject_handle(asked, pair, &offers)?;
        let (id_token, payload) = self.finish(asked, &begin, (&ctx, handle.as_ref()), &offers).await?;
        self.state.receipts.push(Receipt {
            certificate: agreed.certificate.clone(),
            consent: agreed.clone(),
            assertion,
            sub: payload.sub.clone(),
        });
        Ok(SignedIn { id_token, payload, s: agreed.s, pair, handle })
    }

    async fn password_key(
        &self,
        agreed: &Consent,
        assertion: &Assertion,
        password: &str,
        pair: Pair,
    ) -> Result<PasswordKey, WalletError> {
        let untrusted = |_| WalletError::Untrusted("a password evaluation");
        let (blind, blinded) = oprf_blind(password.as_bytes(), self.rng.as_ref()).map_err(untrusted)?;
        let request = EvaluatePassword { pair, consent: agreed.clone(), assertion: assertion.clone(), blinded };
        let mut parts = Vec::new();
        let mut records = Vec::new();
        for node in pair.members() {
            let answer: PasswordEvaluation =
                call(&self.transport, Address::Node(node), "/v1/sign-in/password", &request).await?;
            let commitments = assigned(&self.state.commitments.password, pair, node)?;
            parts.push(oprf_verify(&answer.partial, &commitments, &blinded).map_err(untrusted)?);
            records.push((answer.salt, answer.params_id));
        }
        if records[0] != records[1] {
            return Err(WalletError::Untrusted("two nodes give different salts"));
        }
        let evaluated = combine_sum(&parts.iter().collect::<Vec<_>>()).map_err(untrusted)?;
        let y = finalize(password.as_bytes(), &blind, &evaluated).map_err(untrusted)?;
        let params = ParamsId::try_from(records[0].1).map_err(|_| WalletError::Untrusted("stretching parameters"))?;
        harden(&y, &records[0].0.0, params).map_err(untrusted)
    }

    async fn begin(&self, request: &BeginSignIn) -> Result<[SignInOffer; 2], WalletError> {
        let [a, b] = request.pair.members();
        let first = call(&self.transport, Address::Node(a), "/v1/sign-in/begin", request).await?;
        let second = call(&self.transport, Address::Node(b), "/v1/sign-in/begin", request).await?;
        Ok([first, second])
    }

    /// The nodes have moved to new K_A since this wallet learnt their commitments: it takes the new ones, on two nodes' word and only
    /// with the sum that it knows. The sign-in has opened the holder key's quarter of an hour, so that the person is asked for nothing.
    async fn keep_up(&mut self, offers: &[SignInOffer; 2]) -> Result<(), WalletError> {
        let [one, other] = offers.each_ref().map(|offer| offer.generation);
        if one == other && one != self.state.commitments.generation { self.read_anew().await } else { Ok(()) }
    }

    async fn finish(
        &self,
        asked: &Asked,
        begin: &BeginSignIn,
        (ctx, handle): (&[u8; 32], Option<&SubjectHandle>),
        offers: &[SignInOffer; 2],
    ) -> Result<(String, IdToken), WalletError> {
        let members = begin.pair.members();
        let sector = sector_point::<Intl>(&asked.certificate.sector_id);
        let held = &self.state.commitments;
        let (mut pseudonyms, mut epochs) = (Vec::with_capacity(2), Vec::with_capacity(2));
        for (node, offer) in members.into_iter().zip(offers) {
            let committed = (assigned(&held.pseudonym, begin.pair, node)?, assigned(&held.epoch, begin.pair, node)?);
            let (pseudonym, epoch) = verify_both::<Intl>(&offer.evaluation, &committed.0, &committed.1, &sector)
                .map_err(|_| WalletError::Untrusted("a partial evaluation"))?;
            pseudonyms.push(pseudonym);
            epochs.push(epoch);
        }
        let whole = |parts: &[_]| combine::<Intl>(parts).map_err(|_| WalletError::Untrusted("a pseudonym"));
        let (pseudonym, epoch) = (whole(&pseudonyms)?, whole(&epochs)?);
        let mut shares: Vec<SignInShare> = Vec::with_capacity(2);
        for (position, node) in members.into_iter().enumerate() {
            let request = FinishSignIn { session: offers[position].session, peer: offers[1 - position].clone() };
            shares.push(call(&self.transport, Address::Node(node), "/v1/sign-in/finish", &request).await?);
        }
        if shares[0].signing_input != shares[1].signing_input {
            return Err(WalletError::Untrusted("two nodes would sign different tokens"));
        }
        let expected = (sub::<Intl>(&pseudonym), ep::<Intl>(&epoch));
        let payload = check_payload(&shares[0].signing_input, &begin.consent, ctx, &expected)?;
        let registered = !asked.certificate.registration.subject_handle.is_empty();
        if payload.hufu.handle != handle.map(SubjectHandle::hash) || registered != handle.is_some() {
            return Err(WalletError::Untrusted("the subject handle"));
        }
        let alg = asked.certificate.id_token_signed_response_alg;
        let signature = match <&[SignInShare; 2]>::try_from(shares.as_slice()) {
            Ok(shares) => self.signature(alg, members, offers, shares)?,
            Err(_) => return Err(WalletError::Untrusted("a signature share")),
        };
        Ok((jose::assemble(&shares[0].signing_input, &signature), payload))
    }

    fn signature(
        &self,
        alg: Alg,
        members: [NodeIndex; 2],
        offers: &[SignInOffer; 2],
        shares: &[SignInShare; 2],
    ) -> Result<Vec<u8>, WalletError> {
        if alg == Alg::EdDSA {
            return Ok(self.group.add(members, offers, shares)?.0.to_vec());
        }
        let input = shares[0].signing_input.as_bytes();
        let node = self.trust.node(members[0]);
        let key = match alg {
            Alg::ES256 => Some(&node.es256),
            Alg::RS256 => node.rs256.as_ref(),
            _ => None,
        };
        let signature = shares[0].share.0.clone();
        key.and_then(|jwk| jwk.key.verify(alg, input, &signature).ok())
            .map(|()| signature)
            .ok_or(WalletError::Untrusted("a one-key signature"))
    }

    /// Hands the result to the front; the answer says where the browser goes next.
    ///
    /// # Errors
    /// The front's refusals.
    pub async fn complete(&self, asked: &Asked, signed_in: &SignedIn) -> Result<Continue, WalletError> {
        let (id_token, handle) = (signed_in.id_token.clone(), signed_in.handle.clone());
        let request = CompleteSignIn { tx: asked.transaction.tx, id_token, s: signed_in.s, handle };
        call(&self.transport, Address::Front, "/complete", &request).await
    }

    /// Refuses; the platform learns that access was denied and nothing else.
    ///
    /// # Errors
    /// The front's refusals.
    pub async fn refuse(&self, tx: &Octets<32>) -> Result<Continue, WalletError> {
        call(&self.transport, Address::Front, "/refuse", &RefuseSignIn { tx: *tx }).await
    }
}

/// The two nodes' halves, whose length alone a wallet can check. A platform that registered for none gets none, whatever nodes send; of one
/// that did, nodes sign nothing in which a half is missing, and neither is such a token taken.
fn subject_handle(asked: &Asked, pair: Pair, offers: &[SignInOffer; 2]) -> Result<Option<SubjectHandle>, WalletError> {
    match offers.each_ref().map(|offer| offer.handle) {
        [Some(_), _] | [_, Some(_)] if asked.certificate.registration.subject_handle.is_empty() => {
            Err(WalletError::Untrusted("a subject handle that nobody asked for"))
        }
        [Some(one), Some(other)] => Ok(Some(SubjectHandle { pair, halves: [one, other] })),
        _ => Ok(None),
    }
}

/// What the nodes are about to sign must say what the person agreed to, and no more.
fn check_payload(
    signing_input: &str,
    agreed: &Consent,
    ctx: &[u8; 32],
    expected: &(String, String),
) -> Result<IdToken, WalletError> {
    let wrong = WalletError::Untrusted("the token is not what was agreed");
    let payload = signing_input.split_once('.').and_then(|(_, payload)| unb64(payload)).ok_or(wrong.clone())?;
    let token: IdToken = serde_json::from_slice(&payload).map_err(|_| wrong.clone())?;
    let values = serde_json::to_value(&token.hufu.answers).map_err(|_| wrong.clone())?;
    let only_agreed = values
        .as_object()
        .is_some_and(|values| values.keys().all(|name| agreed.answers.iter().any(|answer| answer.as_str() == name)));
    let right = token.iss == agreed.iss
        && token.aud == agreed.client_id
        && token.nonce == agreed.nonce
        && token.iat == agreed.iat
        && token.acr == acr(agreed.strength)
        && token.hufu.ctx.0 == *ctx
        && token.sub == expected.0
        && token.hufu.ep == expected.1
        && token.exp > Timestamp(token.iat.0)
        && only_agreed;
    if right { Ok(token) } else { Err(wrong) }
}

fn read<M: serde::de::DeserializeOwned>(
    key: &Octets<32>,
    typ: &str,
    jws: &str,
    what: &'static str,
) -> Result<M, WalletError> {
    let untrusted = || WalletError::Untrusted(what);
    let compact = Compact::parse(jws.trim()).map_err(|_| untrusted())?;
    if !compact.header().is_typ(typ) {
        return Err(untrusted());
    }
    let key = PublicKey::ed25519(key.0).map(Jwk::bare).map_err(|_| untrusted())?;
    jose::verify(&compact, &key, &[Alg::EdDSA]).and_then(|payload| payload.json()).map_err(|_| untrusted())
}
