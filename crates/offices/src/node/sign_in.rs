//! Sign-in at level direct (flows 7): evaluate and commit, then check the peer and sign.

use super::gate::Certified;
use super::sub_keys::{RowKeys, assigned_commitments};
use super::{Node, Row};
use hufu_domain::consent;
use hufu_domain::holder::credential_hash;
use hufu_kernel::{Bytes, Label, Level, Octets, Pair, Refusal, Strength, framed};
use hufu_pairwise::{
    Context, Group, Intl, Nonces, OwnKeys, challenge, combine, ep, evaluate_both_keeping, oprf_evaluate,
    request_direct, sub, verify_both, verify_password,
};
use hufu_store::Versioned;
use hufu_wire::api::sign_in::{
    BeginSignIn, Consent, EvaluatePassword, FinishSignIn, IdToken, PasswordEvaluation, SignInOffer, SignInShare,
    VerificationResult, acr, amr,
};
use hufu_wire::jose::{self, Alg, Header, Signer as _};
use hufu_wire::subject_handle::{HandleHalf, SubjectHandle};
use hufu_wire::webauthn::Assertion;
use std::sync::Arc;

/// Locks over all persons' passwords; two persons who share one wait for each other for a millisecond.
pub(super) const PASSWORD_TURNS: usize = 64;

/// ID tokens live this long.
const ID_TOKEN_LIFE: i64 = 300;

/// What round 2 needs of round 1.
pub struct Begun {
    pair: Pair,
    consent: Consent,
    credential: Octets<32>,
    ctx: Octets<32>,
    certified: Arc<Certified>,
    /// As it is for this sign-in: not for the store.
    row: Row,
    own: SignInOffer,
    /// The points of `own`: pseudonym, epoch.
    points: [<Intl as Group>::Point; 2],
    nonces: Option<Nonces>,
}

/// A consent and an assertion that passed every check.
struct Checked {
    found: Versioned<Row>,
    certified: Arc<Certified>,
    ctx: [u8; 32],
    chal: [u8; 32],
}

impl Node {
    async fn check_sign_in(&self, agreed: &Consent, assertion: &Assertion) -> Result<Checked, Refusal> {
        self.settled().await?;
        let now = self.fresh(agreed.t)?;
        self.fresh(agreed.iat)?;
        let certified = self.gate.certificate(&agreed.certificate)?;
        if agreed.iss != self.trust.issuer {
            return Err(Refusal::PlatformRequest);
        }
        consent::check(&certified.certificate, self.trust.root, agreed, now)?;
        let ctx = context(agreed, &certified);
        let sector = certified.certificate.sector_id.as_bytes();
        let chal = challenge::<Intl>(Label::SignIn, Some(Level::Direct), sector, &ctx, Some(agreed.strength), agreed.t);
        let credential = credential_hash(&assertion.credential_id.0);
        let found = self.row_of(&credential).await?;
        let device = found.record.holder.device(&credential, now)?;
        self.assertion(&device.key, &chal, assertion)?;
        // Nobody without an assertion of this person's device comes as far, and who was shown one has no more than that.
        self.asks(&found.record.handle, &chal, now)?;
        // After the assertion: only the holder learns the row's standing.
        found.record.holder.usable()?;
        self.gate.open_window(credential, now);
        Ok(Checked { found, certified, ctx, chal })
    }

    /// Round 0: one password evaluation for one assertion; attempts are counted per handle.
    ///
    /// # Errors
    /// The refusals of the assertion and the row; [`Refusal::Replayed`] for a second evaluation under one assertion;
    /// [`Refusal::PasswordBlocked`] while evaluations pause.
    pub async fn evaluate_password(&self, request: &EvaluatePassword) -> Result<PasswordEvaluation, Refusal> {
        let checked = self.check_sign_in(&request.consent, &request.assertion).await?;
        let row = &checked.found.record;
        let record = row.holder.password.as_ref().ok_or(Refusal::PasswordWrong)?;
        if row.paused_until.is_some_and(|until| self.clock.now() < until) {
            return Err(Refusal::PasswordBlocked);
        }
        self.once(b"password", &checked.chal, 2 * super::gate::SKEW + 1).await?;
        let key = self.assigned_password(&self.private(row)?, request.pair)?;
        let partial = oprf_evaluate(&key, &request.blinded, self.rng.as_ref()).map_err(|_| Refusal::Malformed)?;
        Ok(PasswordEvaluation { partial, salt: record.salt, params_id: record.params_id })
    }

    /// Round 1: check everything, evaluate, commit to signing nonces.
    ///
    /// # Errors
    /// Whichever check fails; nothing is remembered of a refused request but a wrong password.
    pub async fn begin_sign_in(&self, request: &BeginSignIn) -> Result<SignInOffer, Refusal> {
        self.other(request.pair)?;
        let checked = self.check_sign_in(&request.consent, &request.assertion).await?;
        self.check_password(&checked, request).await?;
        let mut row = checked.found.record;
        let mut private = self.private(&row)?;
        // Both nodes are given the same `iat`, whatever their clocks say.
        self.move_to(&mut row, &mut private, self.generations().at(request.consent.iat))?;
        let base = &checked.certified.sector;
        let row_keys = RowKeys::of(&row, &private);
        let pseudonym_key = self.assigned_pseudonym(&row_keys, request.pair)?;
        let epoch_key = self.assigned_epoch(&row_keys, request.pair)?;
        let held = &row.commitments;
        let keys = OwnKeys {
            pseudonym: &pseudonym_key,
            epoch: &epoch_key,
            committed: [
                &assigned_commitments(&held.pseudonym, request.pair, self.index)?,
                &assigned_commitments(&held.epoch, request.pair, self.index)?,
            ],
        };
        let (evaluation, points) = evaluate_both_keeping::<Intl>(&keys, base, self.rng.as_ref());
        let (nonces, commitments) = match checked.certified.certificate.id_token_signed_response_alg {
            Alg::EdDSA => {
                let (nonces, commitments) =
                    self.signer.commit(self.rng.as_ref()).map_err(|error| crate::broken(&error))?;
                (Some(nonces), commitments)
            }
            _ => (None, Bytes::default()),
        };
        let generation = row.generation;
        // Bound to the moment too: `s` is the device's to choose, and it may choose it twice.
        let salt = framed(&[checked.chal.as_slice(), request.consent.iat.to_be_bytes().as_slice()]);
        let handle = self.make_half(&row, &checked.certified.certificate, request.consent.iat)?;
        let besides = handle.as_ref().map(HandleHalf::as_slice);
        let state = self.state(&row.holder, generation, request.pair, (&salt, besides))?;
        let offer = SignInOffer { session: Octets::default(), evaluation, commitments, state, generation, handle };
        let begun = Begun {
            pair: request.pair,
            consent: request.consent.clone(),
            credential: credential_hash(&request.assertion.credential_id.0),
            ctx: Octets(checked.ctx),
            certified: checked.certified,
            row,
            own: offer.clone(),
            points,
            nonces,
        };
        let session = self.sign_ins.open(begun, self.clock.now(), self.rng.as_ref())?;
        Ok(SignInOffer { session, ..offer })
    }

    async fn check_password(&self, checked: &Checked, request: &BeginSignIn) -> Result<(), Refusal> {
        if request.consent.strength == Strength::Certificate {
            return Ok(());
        }
        // One try at a time for each person: a burst is counted try by try, and the pause falls in the middle of it.
        let handle = checked.found.record.handle;
        let [turn, ..] = handle.as_slice() else { return Err(Refusal::Internal) };
        let _turn = self.password_turns[usize::from(*turn) % PASSWORD_TURNS].lock().await;
        let credential = credential_hash(&request.assertion.credential_id.0);
        crate::retrying(|| self.try_password(&credential, &checked.chal, request.password.as_ref())).await
    }

    /// On the row as it is now. A right password after wrong ones, and a wrong one, write a row; nothing else does.
    async fn try_password(
        &self,
        credential: &Octets<32>,
        chal: &[u8; 32],
        signature: Option<&Octets<64>>,
    ) -> Result<(), Refusal> {
        let now = self.clock.now();
        let found = self.row_of(credential).await?;
        let mut row = found.record.clone();
        if row.paused_until.is_some_and(|until| now < until) {
            return Err(Refusal::PasswordBlocked);
        }
        let record = row.holder.password.as_ref().ok_or(Refusal::PasswordWrong)?;
        let right = signature.is_some_and(|signature| verify_password(&record.public.0, chal, &signature.0));
        if right {
            if row.failures == 0 {
                return Ok(());
            }
            row.failures = 0;
            row.paused_until = None;
        } else {
            row.failures += 1;
            if row.failures >= self.rules.password.failures {
                row.failures = 0;
                // To the next minute: nothing finer is stored (design 3).
                row.paused_until = Some((now + self.rules.password.pause_s + 59).minute());
            }
        }
        self.put(&row, Some(&found)).await?;
        if right { Ok(()) } else { Err(Refusal::PasswordWrong) }
    }

    /// Round 2: check the peer's part, rebuild the ID token from this node's own row, sign.
    ///
    /// # Errors
    /// [`Refusal::SessionGone`]; [`Refusal::NodesDisagree`] if the rows differ; [`Refusal::SignatureRefused`] if the peer's proof
    /// or code does not verify.
    pub async fn finish_sign_in(&self, request: &FinishSignIn) -> Result<SignInShare, Refusal> {
        let mut begun = self.sign_ins.take(&request.session, self.clock.now())?;
        let peer = &request.peer;
        let besides = peer.handle.as_ref().map(HandleHalf::as_slice);
        match self.agree(&begun.own.state, (&peer.state, besides), begun.pair) {
            Err(Refusal::NodesDisagree) => begun.row = self.agree_anew(&begun).await?,
            agreed => agreed?,
        }
        begun.row = self.with_commitments(begun.row, begun.pair).await?;
        let token = self.token(&begun, peer)?;
        let alg = begun.certified.certificate.id_token_signed_response_alg;
        let header = Header::new(alg).typ("JWT").kid(&self.kid(alg, begun.pair)?);
        let signing_input = jose::signing_input(&header, &token).map_err(|error| crate::broken(&error))?;
        let share = match begun.nonces {
            Some(nonces) => {
                let other = self.other(begun.pair)?;
                let commitments = [(self.index, begun.own.commitments.clone()), (other, peer.commitments.clone())];
                let signed = self.signer.sign(nonces, signing_input.as_bytes(), &commitments);
                self.keys.used("result-share");
                signed.map_err(|_| Refusal::SignatureRefused)?
            }
            None => self.one_key(alg, begun.pair, signing_input.as_bytes())?,
        };
        Ok(SignInShare { signing_input, share })
    }

    /// The two rows differ: the one that is behind fetches what it missed. What was evaluated in round 1 still stands if the epoch and
    /// the keys are the same; then the sign-in goes on, on the row as it is now.
    async fn agree_anew(&self, begun: &Begun) -> Result<Row, Refusal> {
        let mut found = self.level_with(&begun.row.handle, self.other(begun.pair)?).await?.record;
        found.holder.device(&begun.credential, self.clock.now())?;
        found.holder.usable()?;
        if found.holder.epoch != begun.row.holder.epoch {
            return Err(Refusal::NodesDisagree);
        }
        let mut private = self.private(&found)?;
        self.move_to(&mut found, &mut private, begun.row.generation)?;
        Ok(found)
    }

    /// The row with the commitments that the pair's other node answers to: a node that missed their reports asks for them.
    async fn with_commitments(&self, row: Row, pair: Pair) -> Result<Row, Refusal> {
        let other = self.other(pair)?;
        let held = &row.commitments;
        let whole = pair
            .assigned(other)
            .all(|subset| held.pseudonym[subset.slot()].is_some() && held.epoch[subset.slot()].is_some());
        if whole {
            return Ok(row);
        }
        let mut healed = self.healed(&row.handle).await?.record;
        let mut private = self.private(&healed)?;
        self.move_to(&mut healed, &mut private, row.generation)?;
        Ok(healed)
    }

    fn token(&self, begun: &Begun, peer: &SignInOffer) -> Result<IdToken, Refusal> {
        let other = self.other(begun.pair)?;
        let base = &begun.certified.sector;
        let held = &begun.row.commitments;
        let theirs = verify_both::<Intl>(
            &peer.evaluation,
            &assigned_commitments(&held.pseudonym, begun.pair, other)?,
            &assigned_commitments(&held.epoch, begun.pair, other)?,
            base,
        )
        .map_err(|_| Refusal::SignatureRefused)?;
        // This node's own points were computed here a moment ago; their proof is for others.
        let [own_pseudonym, own_epoch] = begun.points;
        let whole = |own, theirs| combine::<Intl>(&[own, theirs]).map_err(|_| Refusal::SignatureRefused);
        let pseudonym = whole(own_pseudonym, theirs.0)?;
        let epoch = whole(own_epoch, theirs.1)?;
        let agreed = &begun.consent;
        Ok(IdToken {
            iss: self.trust.issuer.clone(),
            sub: sub::<Intl>(&pseudonym),
            aud: agreed.client_id.clone(),
            nonce: agreed.nonce.clone(),
            iat: agreed.iat,
            exp: agreed.iat + ID_TOKEN_LIFE,
            auth_time: agreed.t,
            acr: acr(agreed.strength).to_owned(),
            amr: amr(agreed.strength),
            hufu: VerificationResult {
                v: 1,
                ep: ep::<Intl>(&epoch),
                ctx: begun.ctx,
                strength: agreed.strength,
                answers: consent::answers(&begun.row.holder.flags, &agreed.answers, agreed.iat),
                handle: self.handle(begun, peer).map(|handle| handle.hash()),
            },
        })
    }

    /// The subject handle of this sign-in, if both nodes made their half.
    fn handle(&self, begun: &Begun, peer: &SignInOffer) -> Option<SubjectHandle> {
        let (own, theirs) = (begun.own.handle?, peer.handle?);
        let halves = if begun.pair.members()[0] == self.index { [own, theirs] } else { [theirs, own] };
        Some(SubjectHandle { pair: begun.pair, halves })
    }

    /// The key an ID token names: the group's, or in one-key mode the lower node's of the pair.
    fn kid(&self, alg: Alg, pair: Pair) -> Result<String, Refusal> {
        let lower = self.trust.node(pair.members()[0]);
        let kid = match alg {
            Alg::EdDSA => Some(self.group_kid.clone()),
            Alg::ES256 => lower.es256.kid.clone(),
            Alg::RS256 => lower.rs256.as_ref().and_then(|jwk| jwk.kid.clone()),
            Alg::PS256 => None,
        };
        kid.ok_or(Refusal::PlatformRequest)
    }

    /// One-key mode: the lower node signs alone, the other gives an empty share. docs/trust.md says what that means.
    fn one_key(&self, alg: Alg, pair: Pair, message: &[u8]) -> Result<Bytes, Refusal> {
        if pair.members()[0] != self.index {
            return Ok(Bytes::default());
        }
        match (alg, &self.rs256) {
            (Alg::ES256, _) => {
                let signature = self.keys.sign_es256("es256", message).map_err(|error| crate::broken(&error))?;
                Ok(Bytes(signature.0.to_vec()))
            }
            (Alg::RS256, Some(key)) => {
                self.keys.used("rs256");
                key.sign(message).map(Bytes).map_err(|error| crate::broken(&error))
            }
            _ => Err(Refusal::PlatformRequest),
        }
    }

    /// Clears signing sessions nobody came back for, who asked a while ago, and requests to persons that have ended.
    pub fn sweep_sessions(&self) {
        let now = self.clock.now();
        self.gate.sweep(now);
        self.sign_ins.sweep(now);
        self.signings.sweep(now);
        self.sweep_asking(now);
        self.requests.sweep(now);
    }
}

fn context(agreed: &Consent, certified: &Certified) -> [u8; 32] {
    let request =
        request_direct::<Intl>(&agreed.client_id, &agreed.code_challenge, &agreed.dpop_jkt, agreed.tx.as_slice());
    Context {
        s: &agreed.s.0,
        sector_id: &certified.certificate.sector_id,
        nonce: &agreed.nonce,
        redirect_uri: &agreed.redirect_uri,
        certificate_hash: &certified.hash.0,
        purpose: &agreed.purpose,
        answers: &agreed.answers,
        request: &request,
    }
    .hash::<Intl>()
}
