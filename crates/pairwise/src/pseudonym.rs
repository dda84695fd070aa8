//! The pseudonym function of flows 1: sub-keys, partial evaluations, `sub` and `ep`.

use crate::{PairwiseError, Suite, composite, dleq};
use hufu_kernel::{BothPartials, Bytes, Element, Partial, Rng, b64, framed};

/// The compressed form of a point.
#[must_use]
pub fn element<S: Suite>(point: &S::Point) -> Element {
    Element(Bytes(S::compress(point)))
}

/// The point of a compressed form that came from outside.
///
/// # Errors
/// [`PairwiseError::Identity`] or [`PairwiseError::Point`], as [`crate::Group::decompress`].
pub fn point<S: Suite>(element: &Element) -> Result<S::Point, PairwiseError> {
    S::decompress(&element.0.0)
}

/// e_A = H2S(prf) + d_A. `prf` is HMAC(K_A^gen, root_u), or over [`epoch_message`] for the epoch key; `d` is the
/// re-sharing offset of the node row as a canonical scalar, absent while it is zero.
///
/// # Errors
/// [`PairwiseError::Scalar`] if `d` is not a canonical scalar.
pub fn sub_key<S: Suite>(prf: &[u8; 32], d: Option<&[u8]>) -> Result<S::Scalar, PairwiseError> {
    let fresh = S::hash_to_scalar(prf);
    match d {
        None => Ok(fresh),
        Some(bytes) => Ok(S::scalar_add(&fresh, &S::scalar_from_bytes(bytes)?)),
    }
}

/// What K_A^gen is applied to for the epoch pseudonym: "hufu-v1-epoch" ‖ root_u ‖ epoch.
#[must_use]
pub fn epoch_message(root_u: &[u8], epoch: &[u8]) -> Vec<u8> {
    framed(&[b"hufu-v1-epoch", root_u, epoch])
}

/// The sum of a node's assigned e_A, so that it multiplies once; `None` for none.
#[must_use]
pub fn sum_scalars<S: Suite>(parts: &[S::Scalar]) -> Option<S::Scalar> {
    let (first, rest) = parts.split_first()?;
    Some(rest.iter().fold(first.clone(), |sum, part| S::scalar_add(&sum, part)))
}

/// C = e·G, as node rows hold it for each A.
#[must_use]
pub fn commitment<S: Suite>(e: &S::Scalar) -> Element {
    element::<S>(&S::mul_generator(e))
}

/// H2G(sector_id). It depends on nothing else, so a caller that serves a platform often keeps it.
#[must_use]
pub fn sector_point<S: Suite>(sector_id: &str) -> S::Point {
    S::hash_to_group(sector_id.as_bytes())
}

/// A node's partial evaluation with its proof. `base` is H2G(sector_id) at direct, B at blind.
#[must_use]
pub fn evaluate<S: Suite>(x: &S::Scalar, base: &S::Point, rng: &dyn Rng) -> Partial {
    let (evaluated, proof) = dleq::prove::<S>(x, base, rng);
    Partial { element: element::<S>(&evaluated), proof }
}

/// A node's two partial evaluations of a sign-in on one base, with one proof of both (docs/decisions/0011).
#[must_use]
pub fn evaluate_both<S: Suite>(
    x_pseudonym: &S::Scalar,
    x_epoch: &S::Scalar,
    base: &S::Point,
    rng: &dyn Rng,
) -> BothPartials {
    let keys = OwnKeys { pseudonym: x_pseudonym, epoch: x_epoch, committed: [&[], &[]] };
    evaluate_both_keeping::<S>(&keys, base, rng).0
}

/// A node's assigned sub-keys for one sign-in, with what the person's row says they were committed to.
pub struct OwnKeys<'a, S: Suite> {
    /// The sum for the pseudonym.
    pub pseudonym: &'a S::Scalar,
    /// The sum for the epoch.
    pub epoch: &'a S::Scalar,
    /// The row's C_A of the assigned A: for the pseudonym, for the epoch.
    pub committed: [&'a [&'a Element]; 2],
}

/// [`evaluate_both`] with the points themselves, pseudonym and epoch: reading one's own element back would cost a square root
/// and a subgroup check each. Where one A is assigned its commitment is the row's, which saves two multiplications; a row that
/// is wrong there makes a proof that nobody accepts, as it would refuse everybody else's.
#[must_use]
pub fn evaluate_both_keeping<S: Suite>(
    keys: &OwnKeys<'_, S>,
    base: &S::Point,
    rng: &dyn Rng,
) -> (BothPartials, [S::Point; 2]) {
    let commitments =
        [(keys.pseudonym, keys.committed[0]), (keys.epoch, keys.committed[1])].map(|(x, held)| match held {
            [one] => one.0.0.clone(),
            _ => S::compress(&S::mul_generator(x)),
        });
    let (points, proof) = composite::prove::<S>([keys.pseudonym, keys.epoch], &commitments, base, rng);
    let [pseudonym, epoch] = points.each_ref().map(element::<S>);
    (BothPartials { pseudonym, epoch, proof }, points)
}

/// Checks another node's part against its commitments C_A (one for each A it was assigned) and gives the point.
///
/// # Errors
/// [`PairwiseError::Parts`] without commitments, [`PairwiseError::Point`], [`PairwiseError::Identity`] or
/// [`PairwiseError::Scalar`] for what is not canonical, [`PairwiseError::Proof`] for a lying node.
pub fn verify_partial<S: Suite>(
    partial: &Partial,
    commitments: &[&Element],
    base: &S::Point,
) -> Result<S::Point, PairwiseError> {
    let evaluated = point::<S>(&partial.element)?;
    dleq::verify::<S>(&partial.proof, &sum_elements::<S>(commitments)?, base, &evaluated)?;
    Ok(evaluated)
}

/// Checks another node's two parts against its commitments for each and gives the points: pseudonym, epoch.
///
/// # Errors
/// As [`verify_partial`]; [`PairwiseError::Proof`] does not say which of the two is wrong.
pub fn verify_both<S: Suite>(
    both: &BothPartials,
    commitments_pseudonym: &[&Element],
    commitments_epoch: &[&Element],
    base: &S::Point,
) -> Result<(S::Point, S::Point), PairwiseError> {
    let elements = (point::<S>(&both.pseudonym)?, point::<S>(&both.epoch)?);
    let committed = (sum_elements::<S>(commitments_pseudonym)?, sum_elements::<S>(commitments_epoch)?);
    composite::verify::<S>(
        &both.proof,
        &composite::Two { pseudonym: &committed.0, epoch: &committed.1 },
        base,
        &composite::Two { pseudonym: &elements.0, epoch: &elements.1 },
    )?;
    Ok(elements)
}

fn sum_elements<S: Suite>(elements: &[&Element]) -> Result<S::Point, PairwiseError> {
    let (first, rest) = elements.split_first().ok_or(PairwiseError::Parts)?;
    rest.iter().try_fold(point::<S>(first)?, |sum, other| Ok(S::add(&sum, &point::<S>(other)?)))
}

/// The whole evaluation: the sum of the parts. The parts must cover each A exactly once ([`hufu_kernel::Pair`]).
///
/// # Errors
/// [`PairwiseError::Parts`] for no parts, [`PairwiseError::Identity`] for a sum that is no pseudonym.
pub fn combine<S: Suite>(parts: &[S::Point]) -> Result<S::Point, PairwiseError> {
    let (first, rest) = parts.split_first().ok_or(PairwiseError::Parts)?;
    let sum = rest.iter().fold(first.clone(), |sum, part| S::add(&sum, part));
    if S::is_identity(&sum) { Err(PairwiseError::Identity) } else { Ok(sum) }
}

/// The sector pseudonym: base64url(H("hufu-v1-sub" ‖ suite ‖ compress(P))), 43 characters.
#[must_use]
pub fn sub<S: Suite>(p: &S::Point) -> String {
    name::<S>(b"hufu-v1-sub", p)
}

/// The epoch pseudonym: base64url(H("hufu-v1-ep" ‖ suite ‖ compress(P_ep))), 43 characters.
#[must_use]
pub fn ep<S: Suite>(p: &S::Point) -> String {
    name::<S>(b"hufu-v1-ep", p)
}

fn name<S: Suite>(purpose: &[u8], p: &S::Point) -> String {
    b64(&S::hash(&framed(&[purpose, S::ID.as_str().as_bytes(), &S::compress(p)])))
}

const URN: &str = "urn:hufu:sector:";

/// Whether `id` is a sector id of flows 1: `https://` and a host of lower-case A-labels (RFC 5890), no port, path, slash or
/// trailing dot, no IP address; or `urn:hufu:sector:` and 1 to 64 of `a`–`z`, `0`–`9`, `-`, `.`, `_`.
///
/// # Errors
/// [`PairwiseError::SectorId`].
pub fn validate_sector_id(id: &str) -> Result<(), PairwiseError> {
    let ok = match (id.strip_prefix("https://"), id.strip_prefix(URN)) {
        (Some(host), _) => is_host(host),
        (None, Some(rest)) => {
            (1..=64).contains(&rest.len())
                && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
        }
        (None, None) => false,
    };
    if ok { Ok(()) } else { Err(PairwiseError::SectorId) }
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A host whose last label is a number is an IPv4 address to a browser (WHATWG URL, "ends in a number").
    let number = |label: &str| {
        label.bytes().all(|b| b.is_ascii_digit())
            || label.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    host.len() <= 253 && host.split('.').all(label) && !host.rsplit('.').next().is_some_and(number)
}
