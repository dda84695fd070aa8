//! What a person agrees to, as the bytes everybody hashes, and how two nodes' shares become one signature: the two steps of a
//! sign-in that are arithmetic and nothing else. [`crate::Wallet::sign_in`] puts its own checks of the nodes between them.

use crate::WalletError;
use hufu_kernel::{Answer, Label, Level, NodeIndex, Octets, Strength, Timestamp};
use hufu_pairwise::{Context, GroupKey, Intl, PreparedGroup, Suite as _, challenge, request_direct};
use hufu_wire::api::platform::PlatformCertificate;
use hufu_wire::api::sign_in::{Consent, SignInOffer, SignInShare, Transaction};
use hufu_wire::api::trust::Trust;

/// What is the holder's to decide in a sign-in.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The answers the person gives.
    pub answers: &'a [Answer],
    /// How the person proves to be there.
    pub strength: Strength,
    /// Random: the opening of `ctx`.
    pub s: Octets<32>,
    /// When the person proved to be there: the token's `auth_time`.
    pub proved: Timestamp,
    /// The wallet's clock.
    pub now: Timestamp,
}

/// A consent with what is hashed from it (flows 4).
#[derive(Clone, Debug)]
pub struct Agreement {
    /// What the nodes are given.
    pub consent: Consent,
    /// The context commitment.
    pub ctx: [u8; 32],
    /// What the device signs.
    pub challenge: [u8; 32],
}

impl Agreement {
    /// The agreement to what `transaction` asks, under `terms`. Checks nothing: [`crate::Wallet::open`] does.
    #[must_use]
    pub fn new(transaction: &Transaction, certificate: &PlatformCertificate, terms: Terms<'_>) -> Self {
        let Terms { answers, strength, s, proved, now } = terms;
        let consent = Consent {
            certificate: transaction.certificate.clone(),
            iss: transaction.iss.clone(),
            client_id: transaction.client_id.clone(),
            redirect_uri: transaction.redirect_uri.clone(),
            nonce: transaction.nonce.clone(),
            code_challenge: transaction.code_challenge.clone(),
            dpop_jkt: transaction.dpop_jkt.clone(),
            tx: transaction.tx,
            answers: answers.to_vec(),
            purpose: transaction.purpose.clone(),
            s,
            strength,
            t: proved,
            iat: now,
        };
        let ctx = context(&consent, certificate);
        let sector = certificate.sector_id.as_bytes();
        let challenge = challenge::<Intl>(Label::SignIn, Some(Level::Direct), sector, &ctx, Some(strength), consent.t);
        Self { consent, ctx, challenge }
    }
}

/// The device's context commitment (flows 4).
fn context(agreed: &Consent, certificate: &PlatformCertificate) -> [u8; 32] {
    let request =
        request_direct::<Intl>(&agreed.client_id, &agreed.code_challenge, &agreed.dpop_jkt, agreed.tx.as_slice());
    Context {
        s: &agreed.s.0,
        sector_id: &certificate.sector_id,
        nonce: &agreed.nonce,
        redirect_uri: &agreed.redirect_uri,
        certificate_hash: &Intl::hash(agreed.certificate.as_bytes()),
        purpose: &agreed.purpose,
        answers: &agreed.answers,
        request: &request,
    }
    .hash::<Intl>()
}

/// The nodes' group key with its points checked: adds signature shares.
#[derive(Clone, Debug)]
pub struct Group(pub(crate) PreparedGroup);

impl Group {
    /// The group key of a trust root.
    ///
    /// # Errors
    /// [`WalletError::Untrusted`] if it is no key.
    pub fn of(trust: &Trust) -> Result<Self, WalletError> {
        GroupKey { verifying_key: trust.group_key, verifying_shares: trust.group_shares }
            .prepare()
            .map(Self)
            .map_err(|_| WalletError::Untrusted("the group key"))
    }

    /// The one signature that two shares make; it verifies under the group key, or there is none.
    ///
    /// # Errors
    /// [`WalletError::Untrusted`] for a share that does not fit.
    pub fn add(
        &self,
        members: [NodeIndex; 2],
        offers: &[SignInOffer; 2],
        shares: &[SignInShare; 2],
    ) -> Result<Octets<64>, WalletError> {
        let commitments = [0, 1].map(|one| (members[one], offers[one].commitments.clone()));
        let parts = [0, 1].map(|one| (members[one], shares[one].share.clone()));
        self.0
            .aggregate(shares[0].signing_input.as_bytes(), &commitments, &parts)
            .map_err(|_| WalletError::Untrusted("a signature share"))
    }
}
