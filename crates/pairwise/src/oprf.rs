//! RFC 9497 OPRF(ristretto255, SHA-512), mode 0x00, under threshold keys (flows 3). Bytes in, bytes out.
//!
//! * **Tag**: the key is Shamir-shared 2-of-3 among the taggers: [`combine_shamir`].
//! * **Password**: the key is the sum of three sub-keys, each held by two nodes: [`combine_sum`].
//!
//! Every partial evaluation carries the proof of [`hufu_kernel::Dleq`], against the commitment of the share that made it. The
//! client's side and the finished output are those of the RFC, for the whole key.

use crate::ristretto::{Ristretto, RistrettoScalar};
use crate::{Group, PairwiseError, dleq};
use curve25519_dalek::Scalar;
use curve25519_dalek::ristretto::RistrettoPoint;
use hufu_kernel::{Bytes, Element, NodeIndex, Octets, Partial, Rng, Secret, framed};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

/// RFC 9497 section 3.1: "OPRFV1-" ‖ mode 0x00 ‖ "-" ‖ identifier.
const HASH_TO_GROUP: &[u8] = b"HashToGroup-OPRFV1-\x00-ristretto255-SHA512";

fn element(point: &RistrettoPoint) -> Element {
    Element(Bytes(point.compress().to_bytes().to_vec()))
}

fn point(element: &Element) -> Result<RistrettoPoint, PairwiseError> {
    Ristretto::decompress(&element.0.0)
}

/// The client's secret between [`oprf_blind`] and [`finalize`].
pub struct Blinded(RistrettoScalar);

impl std::fmt::Debug for Blinded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blinded(…)")
    }
}

/// Blinds an input (RFC 9497 section 3.3.1 `Blind`).
///
/// # Errors
/// [`PairwiseError::Input`] for 2^16 bytes and more, or an input that hashes to the identity.
pub fn oprf_blind(input: &[u8], rng: &dyn Rng) -> Result<(Blinded, Octets<32>), PairwiseError> {
    blind_with(input, Ristretto::random(rng))
}

fn blind_with(input: &[u8], r: RistrettoScalar) -> Result<(Blinded, Octets<32>), PairwiseError> {
    u16::try_from(input.len()).map_err(|_| PairwiseError::Input)?;
    let hashed = Ristretto::hash_to_group(input, HASH_TO_GROUP);
    if Ristretto::is_identity(&hashed) {
        return Err(PairwiseError::Input);
    }
    let blinded = Octets(Ristretto::mul(&r, &hashed).compress().to_bytes());
    Ok((Blinded(r), blinded))
}

/// share·G: what the share's partial evaluations are proved against.
///
/// # Errors
/// [`PairwiseError::Scalar`] if the share is not a canonical scalar.
pub fn oprf_commitment(share: &Secret<32>) -> Result<Element, PairwiseError> {
    let share = Ristretto::scalar_from_bytes(share.expose())?;
    Ok(element(&Ristretto::mul_generator(&share)))
}

/// A partial evaluation by one Shamir share or one sum of sub-keys.
///
/// # Errors
/// [`PairwiseError::Scalar`], [`PairwiseError::Point`] or [`PairwiseError::Identity`] for what is not canonical.
pub fn oprf_evaluate(share: &Secret<32>, blinded: &Octets<32>, rng: &dyn Rng) -> Result<Partial, PairwiseError> {
    let share = Ristretto::scalar_from_bytes(share.expose())?;
    let (evaluated, proof) = dleq::prove::<Ristretto>(&share, &Ristretto::decompress(&blinded.0)?, rng);
    Ok(Partial { element: element(&evaluated), proof })
}

/// Checks a partial evaluation against the commitments of what made it (one share, or each assigned sub-key).
///
/// # Errors
/// [`PairwiseError::Parts`] without commitments, [`PairwiseError::Point`], [`PairwiseError::Identity`] or
/// [`PairwiseError::Scalar`] for what is not canonical, [`PairwiseError::Proof`] for a lying office.
pub fn oprf_verify(
    partial: &Partial,
    commitments: &[&Element],
    blinded: &Octets<32>,
) -> Result<Element, PairwiseError> {
    let commitment = sum(commitments)?;
    dleq::verify::<Ristretto>(
        &partial.proof,
        &commitment,
        &Ristretto::decompress(&blinded.0)?,
        &point(&partial.element)?,
    )?;
    Ok(partial.element.clone())
}

/// Unblinds the evaluated element and hashes (RFC 9497 section 3.3.1 `Finalize`).
///
/// # Errors
/// [`PairwiseError::Point`] or [`PairwiseError::Identity`] for an element that is not canonical,
/// [`PairwiseError::Input`] for an input that [`oprf_blind`] would refuse.
pub fn finalize(input: &[u8], blinded: &Blinded, evaluated: &Element) -> Result<Zeroizing<[u8; 64]>, PairwiseError> {
    let input_len = u16::try_from(input.len()).map_err(|_| PairwiseError::Input)?;
    let inverse = Ristretto::scalar_invert(&blinded.0).ok_or(PairwiseError::Scalar)?;
    let unblinded = Ristretto::mul(&inverse, &point(evaluated)?).compress();
    let hash = Sha512::new()
        .chain_update(input_len.to_be_bytes())
        .chain_update(input)
        .chain_update(32_u16.to_be_bytes())
        .chain_update(unblinded.as_bytes())
        .chain_update(b"Finalize")
        .finalize();
    Ok(Zeroizing::new(hash.into()))
}

// -- tag: Shamir 2-of-3

/// The tag key as a dealer makes it: sandbox roots only (flows 2).
#[derive(Debug)]
pub struct DealtTag {
    /// Share i is f(i), f(0) the key.
    pub shares: [Secret<32>; 3],
    /// Share i times G.
    pub commitments: [Element; 3],
    /// The key times G.
    pub public: Element,
}

/// Deals the tag key: f(x) = a0 + a1·x with random coefficients.
pub fn deal_tag_key(rng: &dyn Rng) -> DealtTag {
    let (a0, a1) = (Ristretto::random(rng), Ristretto::random(rng));
    let shares = NodeIndex::ALL.map(|i| RistrettoScalar(a0.0 + a1.0 * Scalar::from(i.get())));
    DealtTag {
        commitments: shares.each_ref().map(|share| element(&Ristretto::mul_generator(share))),
        public: element(&Ristretto::mul_generator(&a0)),
        shares: shares.map(|share| Secret::new(share.0.to_bytes())),
    }
}

/// Interpolates two or three verified partial evaluations at 0.
///
/// # Errors
/// [`PairwiseError::Parts`] for fewer than two or one tagger twice, [`PairwiseError::Point`] or
/// [`PairwiseError::Identity`] for what is not canonical.
pub fn combine_shamir(parts: &[(NodeIndex, Element)]) -> Result<Element, PairwiseError> {
    if parts.len() < 2 {
        return Err(PairwiseError::Parts);
    }
    let mut total: Option<RistrettoPoint> = None;
    for (i, element) in parts {
        let term = point(element)? * lagrange_at_zero(*i, parts)?;
        total = Some(total.map_or(term, |sum| sum + term));
    }
    result(total)
}

/// Π_{j≠i} j/(j−i) over the indices present.
fn lagrange_at_zero(i: NodeIndex, parts: &[(NodeIndex, Element)]) -> Result<Scalar, PairwiseError> {
    if parts.iter().filter(|(j, _)| *j == i).count() != 1 {
        return Err(PairwiseError::Parts);
    }
    let x = |index: NodeIndex| Scalar::from(index.get());
    let others = || parts.iter().map(|(j, _)| *j).filter(|j| *j != i);
    let numerator: Scalar = others().map(x).product();
    let denominator: Scalar = others().map(|j| x(j) - x(i)).product();
    Ok(numerator * denominator.invert())
}

// -- password: a sum of sub-keys

/// A sub-key of the password key: H2S(HMAC(KP_A, root_u)) to the order of ristretto255, 48 bytes, `expand_message_xmd`
/// with SHA-512, tag `HUFU-V1-H2S-RISTRETTO255`.
#[must_use]
pub fn password_sub_key(prf: &[u8; 32]) -> Secret<32> {
    Secret::new(Ristretto::hash_to_scalar(prf).0.to_bytes())
}

/// The sum of a node's assigned sub-keys, so that it multiplies once.
///
/// # Errors
/// [`PairwiseError::Parts`] for none, [`PairwiseError::Scalar`] for what is not canonical.
pub fn sum_sub_keys(parts: &[&Secret<32>]) -> Result<Secret<32>, PairwiseError> {
    if parts.is_empty() {
        return Err(PairwiseError::Parts);
    }
    let mut sum = RistrettoScalar(Scalar::ZERO);
    for part in parts {
        sum.0 += Ristretto::scalar_from_bytes(part.expose())?.0;
    }
    Ok(Secret::new(sum.0.to_bytes()))
}

/// Adds verified partial evaluations that cover each sub-key once.
///
/// # Errors
/// [`PairwiseError::Parts`] for none, [`PairwiseError::Point`] or [`PairwiseError::Identity`] for what is not canonical.
pub fn combine_sum(parts: &[&Element]) -> Result<Element, PairwiseError> {
    result(Some(sum(parts)?))
}

fn sum(parts: &[&Element]) -> Result<RistrettoPoint, PairwiseError> {
    let (first, rest) = parts.split_first().ok_or(PairwiseError::Parts)?;
    let mut total = point(first)?;
    for part in rest {
        total += point(part)?;
    }
    Ok(total)
}

fn result(total: Option<RistrettoPoint>) -> Result<Element, PairwiseError> {
    let total = total.ok_or(PairwiseError::Parts)?;
    if Ristretto::is_identity(&total) { Err(PairwiseError::Identity) } else { Ok(element(&total)) }
}

/// The tag's input: country ‖ type ‖ number (flows 3). `country` is ISO 3166 alpha-3, `kind` a code of
/// `rules/documents.toml`, `number` without separators.
///
/// # Errors
/// [`PairwiseError::Input`] unless country is three upper-case letters, kind 1 to 32 ASCII letters, digits, `-` or `_`, and
/// number 1 to 64 upper-case ASCII letters and digits.
pub fn tag_input(country: &str, kind: &str, number: &str) -> Result<Zeroizing<Vec<u8>>, PairwiseError> {
    let country_ok = country.len() == 3 && country.bytes().all(|b| b.is_ascii_uppercase());
    let kind_ok =
        (1..=32).contains(&kind.len()) && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let number_ok =
        (1..=64).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if !(country_ok && kind_ok && number_ok) {
        return Err(PairwiseError::Input);
    }
    Ok(Zeroizing::new(framed(&[country.as_bytes(), kind.as_bytes(), number.as_bytes()])))
}
