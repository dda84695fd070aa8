//! What two nodes sign besides ID tokens: copies of the certificate and passes (flows 9).

use super::Node;
use super::row::{Issued, Private, Row};
use hmac::{Hmac, KeyInit, Mac};
use hufu_kernel::{Bytes, Handle, Octets, Pair, Refusal, Timestamp, b64, framed};
use hufu_pairwise::{Intl, Nonces, Suite as _};
use hufu_wire::api::holder::{BeginPass, FinishSigning, SigningOffer, SigningShares};
use hufu_wire::jose::{self, Alg, Header, Jwk, PublicKey};
use hufu_wire::sd_jwt::{self, Disclosure};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The certificate's type.
pub const VCT: &str = "urn:hufu:certificate:1";

/// A pass's `typ`.
pub const PASS_TYP: &str = "hufu-pass+jwt";

/// Positions in one status list (Token Status List draft 21): a power of two, large enough to hide in.
const STATUS_LIST: u64 = 1 << 20;

/// Ten copies, ready to be signed.
pub(super) struct Copies {
    pub issued: Issued,
    signing: Signing,
}

/// Messages for one signing session.
pub(super) struct Signing {
    inputs: Vec<String>,
    disclosures: Vec<Vec<String>>,
}

impl Copies {
    pub fn into_signing(self) -> Signing {
        self.signing
    }
}

/// What round 2 needs of round 1.
pub struct Begun {
    pair: Pair,
    signing: Signing,
    nonces: Vec<Nonces>,
    own: SigningOffer,
    /// Whose pass it is: a pass says nothing of the row, so that it can be signed on the row as it is after catching up.
    pass: Option<(Handle, Octets<32>)>,
}

impl Node {
    /// Builds the copies' signing inputs from this node's own row: both nodes must arrive at the same bytes. `today` is the
    /// statement's day.
    pub(super) fn certificate_copies(
        &self,
        row: &Row,
        private: &Private,
        keys: &[Bytes],
        seed: &Octets<32>,
        today: Timestamp,
    ) -> Result<Copies, Refusal> {
        if keys.len() != self.rules.certificate.copies {
            return Err(Refusal::Malformed);
        }
        let issued = Issued { until: today + self.rules.certificate.days * 86_400, places: Vec::new() };
        let mut copies = Copies { issued, signing: Signing { inputs: Vec::new(), disclosures: Vec::new() } };
        for (copy, key) in (0u32..).zip(keys) {
            let index = status_index(private, seed, copy, self.rules.certificate.status_lists);
            let (input, disclosures) = self.copy(row, private, today, index, key, &copy_seed(seed, copy))?;
            copies.issued.places.push(index);
            copies.signing.inputs.push(input);
            copies.signing.disclosures.push(disclosures);
        }
        Ok(copies)
    }

    fn copy(
        &self,
        row: &Row,
        private: &Private,
        today: Timestamp,
        index: u64,
        key: &Bytes,
        seed: &[u8; 32],
    ) -> Result<(String, Vec<String>), Refusal> {
        let sec1: [u8; 65] = key.0.as_slice().try_into().map_err(|_| Refusal::Malformed)?;
        let jwk = PublicKey::p256(sec1).map(Jwk::bare).map_err(|_| Refusal::Malformed)?;
        let flags = &row.holder.flags;
        let band = flags.band_at(today);
        let values = [
            ("number", json!(private.number.as_str())),
            ("real", json!(flags.real)),
            ("unique", json!(flags.unique)),
            ("alive", json!(flags.alive)),
            ("age_over_18", json!(band == hufu_kernel::AgeBand::Adult)),
            ("age_band", json!(band)),
        ];
        let disclosures = values
            .into_iter()
            .map(|(name, value)| Disclosure::new(&sd_jwt::salt(seed, name), name, value))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| crate::broken(&error))?;
        let mut claims = Map::new();
        claims.insert("iss".into(), Value::String(self.trust.issuer.clone()));
        claims.insert("vct".into(), Value::String(VCT.into()));
        claims.insert("iat".into(), json!(today));
        claims.insert("exp".into(), json!(today + self.rules.certificate.days * 86_400));
        claims.insert("cnf".into(), json!({ "jwk": jwk }));
        let uri = format!("{}/status/{}", self.trust.issuer, index / STATUS_LIST);
        claims.insert("status".into(), json!({ "status_list": { "idx": index % STATUS_LIST, "uri": uri } }));
        let payload = sd_jwt::payload_with(&claims, &disclosures).map_err(|error| crate::broken(&error))?;
        let header = Header::new(Alg::EdDSA).typ(sd_jwt::VC_TYP).kid(&self.group_kid);
        let header = serde_json::to_vec(&header).map_err(|error| crate::broken(&error))?;
        let input = format!("{}.{}", b64(&header), b64(&payload));
        Ok((input, disclosures.iter().map(|disclosure| disclosure.encoded().to_owned()).collect()))
    }

    /// Commits to one pair of nonces a message.
    pub(super) fn begin_signing(&self, row: &Row, pair: Pair, signing: Signing) -> Result<SigningOffer, Refusal> {
        self.begin(row, pair, signing, None)
    }

    fn begin(
        &self,
        row: &Row,
        pair: Pair,
        signing: Signing,
        pass: Option<Octets<32>>,
    ) -> Result<SigningOffer, Refusal> {
        let mut nonces = Vec::with_capacity(signing.inputs.len());
        let mut commitments = Vec::with_capacity(signing.inputs.len());
        for _ in &signing.inputs {
            let (nonce, commitment) = self.signer.commit(self.rng.as_ref()).map_err(|error| crate::broken(&error))?;
            nonces.push(nonce);
            commitments.push(commitment);
        }
        let messages = Intl::hash(&framed(&signing.inputs.iter().map(String::as_bytes).collect::<Vec<_>>()));
        let offer = SigningOffer {
            session: Octets::default(),
            commitments,
            // No sub-key is used: at which generation the row stands says nothing here.
            state: self.state(&row.holder, 0, pair, (&messages, None))?,
        };
        let pass = pass.map(|credential| (row.handle, credential));
        let begun = Begun { pair, signing, nonces, own: offer.clone(), pass };
        let session = self.signings.open(begun, self.clock.now(), self.rng.as_ref())?;
        Ok(SigningOffer { session, ..offer })
    }

    /// Round 2 of a signing session.
    ///
    /// # Errors
    /// [`Refusal::SessionGone`]; [`Refusal::NodesDisagree`]; [`Refusal::SignatureRefused`] for commitments that do not fit.
    pub async fn finish_signing(&self, request: &FinishSigning) -> Result<SigningShares, Refusal> {
        let begun = self.signings.take(&request.session, self.clock.now())?;
        match (self.agree(&begun.own.state, (&request.peer.state, None), begun.pair), &begun.pass) {
            (Err(Refusal::NodesDisagree), Some((handle, credential))) => {
                let found = self.level_with(handle, self.other(begun.pair)?).await?;
                found.record.holder.device(credential, self.clock.now())?;
                found.record.holder.usable()?;
            }
            (agreed, _) => agreed?,
        }
        if request.peer.commitments.len() != begun.nonces.len() {
            return Err(Refusal::SignatureRefused);
        }
        let other = self.other(begun.pair)?;
        let mut shares = Vec::with_capacity(begun.nonces.len());
        for (position, nonces) in begun.nonces.into_iter().enumerate() {
            let commitments = [
                (self.index, begun.own.commitments[position].clone()),
                (other, request.peer.commitments[position].clone()),
            ];
            let message = begun.signing.inputs[position].as_bytes();
            // A certificate has claims to disclose, a pass has none.
            self.keys.used(if begun.signing.disclosures.is_empty() { "pass-share" } else { "certificate-share" });
            shares.push(self.signer.sign(nonces, message, &commitments).map_err(|_| Refusal::SignatureRefused)?);
        }
        Ok(SigningShares { signing_inputs: begun.signing.inputs, shares, disclosures: begun.signing.disclosures })
    }

    /// Round 1 of a pass: a bearer proof of at most 30 s, and its page says so.
    ///
    /// # Errors
    /// The holder key's and the row's refusals; [`Refusal::StaleTime`] for an end further away than the rules allow.
    pub async fn begin_pass(&self, request: &BeginPass) -> Result<SigningOffer, Refusal> {
        self.settled().await?;
        self.other(request.pair)?;
        let bytes = framed(&[b"pass", request.jti.as_slice(), &request.exp.to_be_bytes()]);
        let found = self.by_holder_key(&request.proof, &bytes).await?;
        found.record.holder.usable()?;
        let now = self.clock.now();
        if request.exp <= now || request.exp > now + self.rules.pass.seconds + 5 {
            return Err(Refusal::StaleTime);
        }
        let payload = json!({ "pass": 1, "exp": request.exp, "jti": b64(request.jti.as_slice()) });
        let header = Header::new(Alg::EdDSA).typ(PASS_TYP).kid(&self.group_kid);
        let input = jose::signing_input(&header, &payload).map_err(|error| crate::broken(&error))?;
        let signing = Signing { inputs: vec![input], disclosures: Vec::new() };
        self.begin(&found.record, request.pair, signing, Some(request.proof.credential))
    }
}

/// The same at every node, and a random number to anybody without both root_u, which no wallet has, and the wallet's seed, which the
/// registrar never sees. Another seed gives other positions.
fn status_index(private: &Private, seed: &Octets<32>, copy: u32, lists: u32) -> u64 {
    let code = keyed(private.root_u.as_slice(), &[b"hufu-v1-status", seed.as_slice(), &copy.to_be_bytes()]);
    let [a, b, c, d, e, f, g, h, ..] = code;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) % (u64::from(lists.max(1)) * STATUS_LIST)
}

fn copy_seed(seed: &Octets<32>, copy: u32) -> [u8; 32] {
    keyed(seed.as_slice(), &[b"hufu-v1-copy", &copy.to_be_bytes()])
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    match <Hmac<Sha256> as KeyInit>::new_from_slice(key) {
        Ok(mac) => mac.chain_update(framed(parts)).finalize().into_bytes().into(),
        // HMAC takes keys of any length; this arm cannot be reached.
        Err(_) => Sha256::digest(framed(parts)).into(),
    }
}
