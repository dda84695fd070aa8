//! FROST(Ed25519, SHA-512) of RFC 9591 over `frost-ed25519`, two of three, in bytes: two nodes make one ordinary Ed25519
//! signature, and one alone makes none.
//!
//! Encodings are the RFC's own: a commitment is D ‖ E (64 bytes), a signature share 32 bytes, a key share
//! index ‖ share ‖ group key (65 bytes, [`KeyShare`]).

use crate::error::{FrostError, FrostReason};
use crate::threshold::Adapter;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use frost_ed25519::keys::{IdentifierList, KeyPackage, PublicKeyPackage, SigningShare, VerifyingShare};
use frost_ed25519::round1::{NonceCommitment, SigningCommitments, SigningNonces};
use frost_ed25519::round2::SignatureShare;
use frost_ed25519::{Identifier, Signature, SigningKey, SigningPackage, VerifyingKey};
use hufu_kernel::{Bytes, NodeIndex, Octets, Rng};
use serde::{Deserialize, Serialize};
use sha2_xmd::{Digest as _, Sha512};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

fn identifier(index: NodeIndex) -> Result<Identifier, FrostError> {
    Identifier::try_from(u16::from(index.get())).map_err(|_| FrostError::of(FrostReason::Signers))
}

fn node_of(id: &Identifier) -> Option<NodeIndex> {
    NodeIndex::ALL.into_iter().find(|index| identifier(*index).as_ref() == Ok(id))
}

/// What every platform pins: the group's key, and each node's part of it to name a culprit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupKey {
    /// The Ed25519 public key (RFC 8032) that results verify under.
    pub verifying_key: Octets<32>,
    /// Node i's share times the base point.
    pub verifying_shares: [Octets<32>; 3],
}

/// One node's secret share: index (1 byte) ‖ scalar (32, little-endian) ‖ group key (32).
pub type KeyShare = Zeroizing<Vec<u8>>;

/// A group key as a dealer makes it: sandbox roots only (flows 2).
pub struct DealtGroup {
    /// Share i is node i's.
    pub shares: [KeyShare; 3],
    /// The public part.
    pub key: GroupKey,
}

impl std::fmt::Debug for DealtGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DealtGroup").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Deals a fresh group key, two of three.
///
/// # Errors
/// [`FrostReason::Key`] if the library refuses its own key (never seen).
pub fn deal_group_key(rng: &dyn Rng) -> Result<DealtGroup, FrostError> {
    let whole = SigningKey::new(&mut Adapter(rng));
    deal(&whole, rng)
}

/// Deals the Ed25519 key of this seed (RFC 8032 section 5.1.5), two of three. Whoever has the seed signs alone what otherwise
/// takes two nodes: the trust roots of benches, where a driver plays the nodes, and nothing else.
///
/// # Errors
/// [`FrostReason::Key`] if the library refuses the key (never seen).
pub fn deal_group_key_of(seed: &[u8; 32], rng: &dyn Rng) -> Result<DealtGroup, FrostError> {
    let hashed = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed)));
    let mut low = Zeroizing::new([0; 32]);
    low.copy_from_slice(&hashed[..32]);
    let scalar = Zeroizing::new(Scalar::from_bytes_mod_order(clamp_integer(*low)).to_bytes());
    let whole = SigningKey::deserialize(scalar.as_slice()).map_err(|_| FrostError::of(FrostReason::Key))?;
    deal(&whole, rng)
}

fn deal(whole: &SigningKey, rng: &dyn Rng) -> Result<DealtGroup, FrostError> {
    let failed = || FrostError::of(FrostReason::Key);
    let (shares, public) =
        frost_ed25519::keys::split(whole, 3, 2, IdentifierList::Default, &mut Adapter(rng)).map_err(|_| failed())?;
    let verifying_key = octets(&public.verifying_key().serialize().map_err(|_| failed())?)?;
    let mut key = GroupKey { verifying_key, verifying_shares: [Octets::default(); 3] };
    let mut out: [KeyShare; 3] = Default::default();
    for index in NodeIndex::ALL {
        let id = identifier(index)?;
        let package = KeyPackage::try_from(shares.get(&id).cloned().ok_or_else(failed)?).map_err(|_| failed())?;
        let secret = Zeroizing::new(package.signing_share().serialize());
        key.verifying_shares[index.slot()] = octets(&package.verifying_share().serialize().map_err(|_| failed())?)?;
        out[index.slot()] = Zeroizing::new([&[index.get()], secret.as_slice(), verifying_key.as_slice()].concat());
    }
    Ok(DealtGroup { shares: out, key })
}

fn octets<const N: usize>(bytes: &[u8]) -> Result<Octets<N>, FrostError> {
    Octets::try_from(bytes).map_err(|_| FrostError::of(FrostReason::Key))
}

/// A node's secret nonces for one signature.
///
/// They cannot be copied, stored or used twice: [`Signer::sign`] takes them by value.
///
/// ```
/// # use hufu_pairwise::{Nonces, Signer};
/// fn once(signer: &Signer, nonces: Nonces, c: &[(hufu_kernel::NodeIndex, hufu_kernel::Bytes)]) {
///     let _ = signer.sign(nonces, b"one", c);
/// }
/// ```
/// ```compile_fail,E0382
/// # use hufu_pairwise::{Nonces, Signer};
/// fn twice(signer: &Signer, nonces: Nonces, c: &[(hufu_kernel::NodeIndex, hufu_kernel::Bytes)]) {
///     let _ = signer.sign(nonces, b"one", c);
///     let _ = signer.sign(nonces, b"two", c); // use of moved value
/// }
/// ```
/// ```compile_fail,E0599
/// fn copied(nonces: hufu_pairwise::Nonces) -> hufu_pairwise::Nonces {
///     nonces.clone()
/// }
/// ```
/// ```compile_fail,E0277
/// fn stored<T: serde::Serialize>(_: T) {}
/// fn nonces_are_not_stored(nonces: hufu_pairwise::Nonces) {
///     stored(nonces)
/// }
/// ```
pub struct Nonces {
    nonces: SigningNonces,
    sent: [u8; 64],
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces(…)")
    }
}

/// A node's signing key in process memory; wiped when dropped.
pub struct Signer {
    index: NodeIndex,
    package: KeyPackage,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.index)
    }
}

impl Signer {
    /// Reads a [`KeyShare`].
    ///
    /// # Errors
    /// [`FrostReason::Key`] for any other length, index, scalar or point.
    pub fn from_share(bytes: &[u8]) -> Result<Self, FrostError> {
        let failed = || FrostError::of(FrostReason::Key);
        if bytes.len() != 65 {
            return Err(failed());
        }
        let index = NodeIndex::try_from(bytes[0]).map_err(|_| failed())?;
        let share = SigningShare::deserialize(&bytes[1..33]).map_err(|_| failed())?;
        let group = VerifyingKey::deserialize(&bytes[33..]).map_err(|_| failed())?;
        let package = KeyPackage::new(identifier(index)?, share, VerifyingShare::from(share), group, 2);
        Ok(Self { index, package })
    }

    /// Which node's share this is.
    #[must_use]
    pub fn index(&self) -> NodeIndex {
        self.index
    }

    /// Round 1: fresh nonces (hedged with the share, RFC 9591 section 4.1) and the commitment to send. It depends on no
    /// message, so a node may make some ahead; they stay in process memory (flows 6).
    ///
    /// # Errors
    /// [`FrostReason::Commitment`] if a nonce is zero.
    pub fn commit(&self, rng: &dyn Rng) -> Result<(Nonces, Bytes), FrostError> {
        let (nonces, commitments) = frost_ed25519::round1::commit(self.package.signing_share(), &mut Adapter(rng));
        let failed = |_| FrostError::of(FrostReason::Commitment);
        let mut sent = [0; 64];
        sent[..32].copy_from_slice(&commitments.hiding().serialize().map_err(failed)?);
        sent[32..].copy_from_slice(&commitments.binding().serialize().map_err(failed)?);
        Ok((Nonces { nonces, sent }, Bytes(sent.to_vec())))
    }

    /// Round 2: this node's share of the signature over `message`. `commitments` are those of exactly two nodes, this one
    /// and the other.
    ///
    /// # Errors
    /// [`FrostReason::Signers`] unless there are two different nodes and this is one of them;
    /// [`FrostReason::Commitment`] if one is malformed or this node's is not the one the nonces made.
    pub fn sign(
        &self,
        nonces: Nonces,
        message: &[u8],
        commitments: &[(NodeIndex, Bytes)],
    ) -> Result<Bytes, FrostError> {
        if !commitments.iter().any(|(index, _)| *index == self.index) {
            return Err(FrostError::of(FrostReason::Signers));
        }
        let own = Some((self.index, &nonces));
        let package = signing_package(message, commitments, own)?;
        let share = frost_ed25519::round2::sign(&package, &nonces.nonces, &self.package)
            .map_err(|_| FrostError::of(FrostReason::Commitment))?;
        Ok(Bytes(share.serialize()))
    }
}

/// The signing package of exactly two different nodes. Reading a commitment costs two subgroup checks, so a signer's own,
/// which it holds already, is compared as bytes.
fn signing_package(
    message: &[u8],
    commitments: &[(NodeIndex, Bytes)],
    own: Option<(NodeIndex, &Nonces)>,
) -> Result<SigningPackage, FrostError> {
    if commitments.len() != 2 || commitments[0].0 == commitments[1].0 {
        return Err(FrostError::of(FrostReason::Signers));
    }
    let mut parsed = BTreeMap::new();
    for (index, bytes) in commitments {
        let commitment = match own {
            Some((mine, nonces)) if mine == *index => {
                if nonces.sent != bytes.0.as_slice() {
                    return Err(FrostError::by(*index, FrostReason::Commitment));
                }
                *nonces.nonces.commitments()
            }
            _ => read_commitment(&bytes.0).ok_or(FrostError::by(*index, FrostReason::Commitment))?,
        };
        parsed.insert(identifier(*index)?, commitment);
    }
    Ok(SigningPackage::new(parsed, message))
}

/// D ‖ E; refuses the identity, points outside the prime-order subgroup and other encodings.
fn read_commitment(bytes: &[u8]) -> Option<SigningCommitments> {
    if bytes.len() != 64 {
        return None;
    }
    let hiding = NonceCommitment::deserialize(&bytes[..32]).ok()?;
    let binding = NonceCommitment::deserialize(&bytes[32..]).ok()?;
    Some(SigningCommitments::new(hiding, binding))
}

/// A [`GroupKey`] whose four points are checked: keep it where many signatures are made.
#[derive(Clone, Debug)]
pub struct PreparedGroup(PublicKeyPackage);

impl GroupKey {
    /// Checks the points once.
    ///
    /// # Errors
    /// [`FrostReason::Key`] for anything that is not a point of the prime-order subgroup.
    pub fn prepare(&self) -> Result<PreparedGroup, FrostError> {
        let failed = |_| FrostError::of(FrostReason::Key);
        let group = VerifyingKey::deserialize(self.verifying_key.as_slice()).map_err(failed)?;
        let mut shares = BTreeMap::new();
        for index in NodeIndex::ALL {
            let bytes = self.verifying_shares[index.slot()];
            let share =
                VerifyingShare::deserialize(bytes.as_slice()).map_err(|_| FrostError::by(index, FrostReason::Key))?;
            shares.insert(identifier(index)?, share);
        }
        Ok(PreparedGroup(PublicKeyPackage::new(shares, group, Some(2))))
    }

    /// [`PreparedGroup::aggregate`] after [`GroupKey::prepare`].
    ///
    /// # Errors
    /// As both.
    pub fn aggregate(
        &self,
        message: &[u8],
        commitments: &[(NodeIndex, Bytes)],
        shares: &[(NodeIndex, Bytes)],
    ) -> Result<Octets<64>, FrostError> {
        self.prepare()?.aggregate(message, commitments, shares)
    }

    /// Whether `signature` is the group's over `message`: an ordinary, strict Ed25519 verification.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Octets<64>) -> bool {
        crate::password::verify_ed25519(&self.verifying_key.0, message, &signature.0)
    }
}

impl PreparedGroup {
    /// Adds two signature shares and verifies the result.
    ///
    /// # Errors
    /// [`FrostReason::Signers`] unless commitments and shares are those of the same two nodes; with the culprit,
    /// [`FrostReason::Commitment`] or [`FrostReason::Share`] for a malformed or lying part.
    pub fn aggregate(
        &self,
        message: &[u8],
        commitments: &[(NodeIndex, Bytes)],
        shares: &[(NodeIndex, Bytes)],
    ) -> Result<Octets<64>, FrostError> {
        let package = signing_package(message, commitments, None)?;
        let mut parsed = BTreeMap::new();
        for (index, bytes) in shares {
            let share =
                SignatureShare::deserialize(&bytes.0).map_err(|_| FrostError::by(*index, FrostReason::Share))?;
            if parsed.insert(identifier(*index)?, share).is_some() {
                return Err(FrostError::of(FrostReason::Signers));
            }
        }
        let signature: Signature = frost_ed25519::aggregate(&package, &parsed, &self.0).map_err(|error| {
            let culprit = error.culprits().first().and_then(node_of);
            let reason = if culprit.is_some() { FrostReason::Share } else { FrostReason::Signers };
            FrostError { culprit, reason }
        })?;
        let bytes = signature.serialize().map_err(|_| FrostError::of(FrostReason::Signature))?;
        Octets::try_from(bytes.as_slice()).map_err(|_| FrostError::of(FrostReason::Signature))
    }
}
