//! Copies of the certificate, and passes (flows 9).

use crate::call::{Address, call};
use crate::device::{Device, sec1};
use crate::enrol::plain_challenge;
use crate::{Transport, Wallet, WalletError};
use hufu_kernel::{Bytes, Label, NodeIndex, Octets, Pair, Refusal, framed};
use hufu_wire::api::holder::{
    Authority, BeginPass, Change, HolderProof, ReadRow, RowView, SigningOffer, Statement, StatementAccepted,
    SubmitStatement,
};
use hufu_wire::jose::{self, Alg, SoftKey};
use hufu_wire::sd_jwt::{self, Disclosure};
use hufu_wire::webauthn::credential_hash;
use serde::{Deserialize, Serialize};

/// How many copies are asked for.
const COPIES: usize = 10;

/// How often a batch is asked for before giving up.
const TRIES: u32 = 4;

/// Seconds a pass lives.
const PASS_LIFE: i64 = 30;

/// One copy, shown once, with its own key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CertificateCopy {
    /// `<jws>~<disclosure>~…~`.
    pub sd_jwt: String,
    /// The copy's holder key, a private JWK.
    pub key: String,
}

impl<T: Transport, D: Device> Wallet<T, D> {
    /// The holder key's word on `bytes`.
    pub(crate) async fn holder_proof(&self, bytes: &[u8]) -> Result<HolderProof, WalletError> {
        let t = self.clock.now();
        let signature = self.device.sign(&plain_challenge(Label::Pass, bytes, t)).await?;
        Ok(HolderProof { credential: credential_hash(&self.device.credential_id().0), t, signature })
    }

    /// What a node holds about this person.
    ///
    /// # Errors
    /// The node's refusals.
    pub async fn row(&self, node: NodeIndex) -> Result<RowView, WalletError> {
        let request = ReadRow { proof: self.holder_proof(b"row").await? };
        call(&self.transport, Address::Node(node), "/v1/row", &request).await
    }

    /// Ten fresh copies, each with its own key, signed by two nodes and known to all that answer.
    ///
    /// # Errors
    /// The nodes' refusals; [`WalletError::Untrusted`] for a copy that is not this person's.
    pub async fn issue_certificates(&mut self, pair: Pair) -> Result<usize, WalletError> {
        for _ in 1..TRIES {
            match self.issue_once(pair).await {
                // A place in a status list was taken, or another device came first: another seed, and the row as it is now.
                Err(WalletError::Refused(Refusal::VersionConflict)) => {}
                done => return done,
            }
        }
        self.issue_once(pair).await
    }

    async fn issue_once(&mut self, pair: Pair) -> Result<usize, WalletError> {
        let row = self.row(pair.members()[0]).await?;
        let keys: Vec<SoftKey> = (0..COPIES)
            .map(|_| {
                SoftKey::generate(Alg::ES256, self.rng.as_ref()).map_err(|error| WalletError::Device(error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        let change =
            Change::Certificates { batch: row.next_batch, keys: keys.iter().map(sec1).collect(), seed: self.draw() };
        let statement = Statement { version: row.version, head: row.head, t: self.clock.now(), change };
        let bytes = serde_json::to_vec(&statement).map_err(|_| hufu_kernel::Refusal::Malformed)?;
        let authority = Authority::Holder(self.holder_proof(&bytes).await?);
        let request = SubmitStatement { statement: Bytes(bytes), authority, pair: Some(pair) };
        let offers = self.offers(pair, &request).await?;
        let signed = self.finish_signing(pair, &offers).await?;
        let mut copies = Vec::with_capacity(COPIES);
        for (position, key) in keys.iter().enumerate() {
            let disclosures = signed.disclosures.get(position).ok_or(WalletError::Untrusted("a copy is missing"))?;
            let disclosures = disclosures.iter().map(|text| Disclosure::decode(text)).collect::<Result<Vec<_>, _>>();
            let jws = jose::assemble(&signed.inputs[position], signed.signatures[position].as_slice());
            let sd_jwt = sd_jwt::assemble(&jws, &disclosures.map_err(|_| WalletError::Untrusted("a disclosure"))?);
            self.check_copy(&sd_jwt, key)?;
            copies.push(CertificateCopy { sd_jwt, key: key.to_private_jwk().to_string() });
        }
        let count = copies.len();
        self.state.certificates = copies;
        Ok(count)
    }

    /// The pair answers with offers; the third node only keeps the change, and may be down.
    async fn offers(&self, pair: Pair, request: &SubmitStatement) -> Result<[SigningOffer; 2], WalletError> {
        let mut offers = Vec::with_capacity(2);
        for node in pair.members() {
            let accepted: StatementAccepted =
                call(&self.transport, Address::Node(node), "/v1/statements", request).await?;
            offers.push(accepted.offer.ok_or(WalletError::Untrusted("a signing offer is missing"))?);
        }
        for node in NodeIndex::ALL.into_iter().filter(|node| !pair.members().contains(node)) {
            let _later: Result<StatementAccepted, _> =
                call(&self.transport, Address::Node(node), "/v1/statements", request).await;
        }
        <[SigningOffer; 2]>::try_from(offers).map_err(|_| WalletError::Untrusted("a signing offer is missing"))
    }

    fn check_copy(&self, text: &str, key: &SoftKey) -> Result<(), WalletError> {
        let wrong = WalletError::Untrusted("a copy of the certificate");
        let parsed = sd_jwt::parse(text).map_err(|_| wrong.clone())?;
        let claims = parsed.claims().map_err(|_| wrong.clone())?;
        let number = self.state.number.as_ref().map(|number| number.as_str());
        let jwk =
            serde_json::to_value(hufu_wire::jose::Jwk::bare(key.public().key.clone())).map_err(|_| wrong.clone())?;
        let bound = claims.get("cnf").and_then(|cnf| cnf.get("jwk")) == Some(&jwk);
        let own = claims.get("number").and_then(|claim| claim.as_str()) == number;
        if bound && own { Ok(()) } else { Err(wrong) }
    }

    /// What a platform may be shown of a copy: everything but the number, which no platform receives.
    ///
    /// # Errors
    /// [`WalletError::Untrusted`] if the copy does not parse.
    pub fn showing(&self, copy: &CertificateCopy, claims: &[&str]) -> Result<String, WalletError> {
        let parsed = sd_jwt::parse(&copy.sd_jwt).map_err(|_| WalletError::Untrusted("a copy of the certificate"))?;
        Ok(parsed.showing(&|name| name != "number" && claims.contains(&name)).presented())
    }

    /// A pass for the card's dynamic QR: a compact JWS of two nodes.
    ///
    /// # Errors
    /// The nodes' refusals.
    pub async fn pass(&self, pair: Pair) -> Result<String, WalletError> {
        let jti: Octets<16> = self.draw();
        let exp = self.clock.now() + PASS_LIFE;
        let proof = self.holder_proof(&framed(&[b"pass", jti.as_slice(), &exp.to_be_bytes()])).await?;
        let request = BeginPass { proof, pair, jti, exp };
        let mut offers = Vec::with_capacity(2);
        for node in pair.members() {
            offers
                .push(call::<_, SigningOffer>(&self.transport, Address::Node(node), "/v1/pass/begin", &request).await?);
        }
        let offers =
            <[SigningOffer; 2]>::try_from(offers).map_err(|_| WalletError::Untrusted("a signing offer is missing"))?;
        let signed = self.finish_signing(pair, &offers).await?;
        Ok(jose::assemble(&signed.inputs[0], signed.signatures[0].as_slice()))
    }
}
