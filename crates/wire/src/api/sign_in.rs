//! Sign-in at level direct (flows 7).

use crate::subject_handle::{HandleHalf, SubjectHandle, none_if_empty};
use crate::webauthn::Assertion;
use hufu_kernel::{Answer, BothPartials, Bytes, Octets, Pair, Partial, Strength, Timestamp};
use serde::{Deserialize, Serialize};

/// What the front tells the wallet about one sign-in: the payload of a JWS with `typ` [`Transaction::TYP`], signed by the front.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// The transaction's one-time name.
    pub tx: Octets<32>,
    /// The issuer.
    pub iss: String,
    /// The platform certificate, a JWS of the registry.
    pub certificate: String,
    /// OAuth `client_id`.
    pub client_id: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// OpenID Connect `nonce`; empty where the platform sent none.
    pub nonce: String,
    /// RFC 7636, S256; empty where the profile allows none.
    pub code_challenge: String,
    /// RFC 9449 thumbprint; empty without DPoP.
    pub dpop_jkt: String,
    /// What the platform asks for, within its entitlement.
    pub answers: Vec<Answer>,
    /// The purpose's id.
    pub purpose: String,
    /// The weakest strength that satisfies the platform's `acr_values`.
    pub strength: Strength,
    /// The transaction ends.
    pub exp: Timestamp,
    /// Whether it was begun on another device than the wallet's: the person is told so, with a warning.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub elsewhere: bool,
    /// What the person is to compare, where `redirect_uri` is the grant of the back channel; `code_challenge` is the base64url of its
    /// SHA-256 there, so that what the device signs binds it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub binding_message: Option<String>,
}

impl Transaction {
    /// The JWS header's `typ`.
    pub const TYP: &'static str = "hufu-tx+jwt";
}

/// What the person agreed to, with everything the challenge binds (flows 4). At level direct the nodes get every part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The platform certificate, a JWS of the registry.
    pub certificate: String,
    /// The issuer.
    pub iss: String,
    /// OAuth `client_id`.
    pub client_id: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// OpenID Connect `nonce`.
    pub nonce: String,
    /// RFC 7636 challenge.
    pub code_challenge: String,
    /// RFC 9449 thumbprint.
    pub dpop_jkt: String,
    /// The transaction.
    pub tx: Octets<32>,
    /// The answers the person agreed to.
    pub answers: Vec<Answer>,
    /// The purpose's id.
    pub purpose: String,
    /// Random, the wallet's.
    pub s: Octets<32>,
    /// The strength of this authentication.
    pub strength: Strength,
    /// When the device signed.
    pub t: Timestamp,
    /// The token's `iat`, proposed by the wallet.
    pub iat: Timestamp,
}

/// Round 0, only with a password: one blinded password for one assertion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EvaluatePassword {
    /// The two nodes the wallet uses.
    pub pair: Pair,
    /// The consent the assertion signs.
    pub consent: Consent,
    /// The device's assertion.
    pub assertion: Assertion,
    /// The blinded password, ristretto255.
    pub blinded: Octets<32>,
}

/// The answer to [`EvaluatePassword`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordEvaluation {
    /// This node's part, for its assigned sub-keys.
    pub partial: Partial,
    /// The person's salt.
    pub salt: Octets<32>,
    /// Stretching parameters.
    pub params_id: u8,
}

/// Round 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BeginSignIn {
    /// The two nodes the wallet uses.
    pub pair: Pair,
    /// What was agreed to.
    pub consent: Consent,
    /// The device's assertion over the challenge.
    pub assertion: Assertion,
    /// The password key's signature over the same challenge.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub password: Option<Octets<64>>,
}

/// A node's (version, status, epoch) as one hash, with a code that only the peer can check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RowState {
    /// Salted with the consent's `s`.
    pub digest: Octets<32>,
    /// HMAC under the pair's channel key.
    pub code: Octets<32>,
}

/// A node's part of round 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignInOffer {
    /// Names the signing nonces in this node's memory.
    pub session: Octets<16>,
    /// On `H2G(sector_id)`: under the assigned e_A, and under the epoch's; one proof of both.
    pub evaluation: BothPartials,
    /// FROST commitments (RFC 9591 round one); empty in one-key mode.
    pub commitments: Bytes,
    /// Whether the peers' rows agree.
    pub state: RowState,
    /// The generation of K_A that was evaluated under: a wallet that has the commitments of another one knows that it needs these.
    #[serde(skip_serializing_if = "super::is_first", default)]
    pub generation: u32,
    /// This node's half of the subject handle, for platforms that registered for one. `state` vouches for it to the peer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handle: Option<HandleHalf>,
}

/// Round 2: the other node's offer, carried by the wallet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FinishSignIn {
    /// This node's session.
    pub session: Octets<16>,
    /// The peer's offer.
    pub peer: SignInOffer,
}

/// A node's part of round 2.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignInShare {
    /// The JWS signing input both nodes rebuilt: `base64url(header).base64url(payload)`.
    pub signing_input: String,
    /// A FROST signature share (RFC 9591 round two), or in one-key mode the whole signature.
    pub share: Bytes,
}

/// The wallet's answer to the front.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteSignIn {
    /// The transaction.
    pub tx: Octets<32>,
    /// The ID token, signed by two nodes.
    pub id_token: String,
    /// The opening of `ctx`.
    pub s: Octets<32>,
    /// The subject handle whose hash is in the ID token, if one is.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "none_if_empty")]
    pub handle: Option<SubjectHandle>,
}

/// The person refused, or the wallet could not go on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RefuseSignIn {
    /// The transaction.
    pub tx: Octets<32>,
}

/// Where the browser goes next.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Continue {
    /// The platform's redirect address with `code`, `state` and `iss`, or with `error`.
    pub redirect_to: String,
}

/// The payload of an ID token: exactly these members in exactly this order, so that two nodes build the same bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IdToken {
    /// The issuer.
    pub iss: String,
    /// The sector pseudonym.
    pub sub: String,
    /// The `client_id`.
    pub aud: String,
    /// The request's nonce.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub nonce: String,
    /// Issued.
    pub iat: Timestamp,
    /// Ends: 5 minutes after `iat`.
    pub exp: Timestamp,
    /// When the device signed.
    pub auth_time: Timestamp,
    /// The strength as a URN.
    pub acr: String,
    /// RFC 8176.
    pub amr: Vec<String>,
    /// The verification result.
    pub hufu: VerificationResult,
}

/// The `hufu` claim.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerificationResult {
    /// Version of this object: 1.
    pub v: u8,
    /// The epoch pseudonym: when it differs from an earlier token's, older sessions end.
    pub ep: String,
    /// The context commitment of flows 4.
    pub ctx: Octets<32>,
    /// The strength of this authentication.
    pub strength: Strength,
    /// The answers, each only if asked for and agreed to.
    pub answers: Answers,
    /// [`SubjectHandle::hash`] of the handle that the platform gets, if it registered for one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handle: Option<Octets<32>>,
}

/// Values of the answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Answers {
    /// A real person.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub real: Option<bool>,
    /// One person, one root.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unique: Option<bool>,
    /// Not reported dead.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alive: Option<bool>,
    /// 18 or older.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub age_over_18: Option<bool>,
    /// The age band.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub age_band: Option<hufu_kernel::AgeBand>,
    /// A guardian consents to this use.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub guardian_consent: Option<bool>,
}

/// `acr` of a strength.
#[must_use]
pub fn acr(strength: Strength) -> &'static str {
    match strength {
        Strength::Certificate => "urn:hufu:acr:certificate",
        Strength::CertificatePassword => "urn:hufu:acr:certificate+password",
    }
}

/// `amr` (RFC 8176) of a strength. Without attestation no claim about hardware is made: `swk`.
#[must_use]
pub fn amr(strength: Strength) -> Vec<String> {
    let methods: &[&str] = match strength {
        Strength::Certificate => &["swk", "user"],
        Strength::CertificatePassword => &["swk", "user", "pwd", "mfa"],
    };
    methods.iter().map(|m| (*m).to_owned()).collect()
}
