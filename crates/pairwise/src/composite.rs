//! One Chaum-Pedersen proof for the two evaluations of a sign-in (docs/decisions/0011), after the composites of RFC 9497
//! section 2.2: a random combination of the two statements is proven instead of each.
//!
//! For C1 = x1·G, C2 = x2·G, E1 = x1·B, E2 = x2·B (1 the pseudonym, 2 the epoch) the prover draws k and sends (c, s) with
//!
//! ```text
//! t  = "hufu-v1-dleq-both" ‖ name ‖ G ‖ C1 ‖ C2 ‖ B ‖ E1 ‖ E2               (‖ of flows 1, points compressed)
//! w  = hash_to_field(t, "HUFU-V1-DLEQ-WEIGHT-<name>")
//! A1 = k·G    A2 = k·B    c = hash_to_field(t ‖ A1 ‖ A2, "HUFU-V1-DLEQ-BOTH-<name>")    s = k − c·(x1 + w·x2)
//! ```
//!
//! The verifier recomputes w, A1 = s·G + c·(C1 + w·C2), A2 = s·B + c·(E1 + w·E2) and c. Errors E1 + D1, E2 + D2 pass only if
//! D1 + w·D2 = 0, and w is a hash of both elements, so it is known only after they are chosen. k comes from both secrets, t
//! and fresh randomness (tag `HUFU-V1-DLEQ-BOTH-NONCE-<name>`), for the reason given in `dleq.rs`.

use crate::group::tag;
use crate::{Group, PairwiseError};
use hufu_kernel::{Dleq, Octets, Rng, framed};
use zeroize::Zeroizing;

/// The four points a proof is about, besides the base.
pub(crate) struct Two<'a, P> {
    /// The pseudonym's.
    pub pseudonym: &'a P,
    /// The epoch's.
    pub epoch: &'a P,
}

/// t with what is derived from it.
struct Transcript(Vec<u8>);

impl Transcript {
    /// `commitments` compressed.
    fn new<G: Group>(commitments: &[Vec<u8>; 2], base: &G::Point, elements: &Two<'_, G::Point>) -> Self {
        Self(framed(&[
            b"hufu-v1-dleq-both",
            G::NAME.as_bytes(),
            &G::compress(&G::generator()),
            &commitments[0],
            &commitments[1],
            &G::compress(base),
            &G::compress(elements.pseudonym),
            &G::compress(elements.epoch),
        ]))
    }

    fn weight<G: Group>(&self) -> G::Scalar {
        G::hash_to_field(&self.0, &tag("HUFU-V1-DLEQ-WEIGHT-", G::NAME))
    }

    fn challenge<G: Group>(&self, a1: &G::Point, a2: &G::Point) -> G::Scalar {
        let whole = [self.0.as_slice(), &framed(&[&G::compress(a1), &G::compress(a2)])].concat();
        G::hash_to_field(&whole, &tag("HUFU-V1-DLEQ-BOTH-", G::NAME))
    }

    fn nonce<G: Group>(&self, x1: &G::Scalar, x2: &G::Scalar, rng: &dyn Rng) -> G::Scalar {
        let mut fresh = Zeroizing::new([0; 32]);
        rng.fill(&mut *fresh);
        let secrets = [G::scalar_to_bytes(x1), G::scalar_to_bytes(x2)];
        let input = Zeroizing::new(framed(&[&*secrets[0], &*secrets[1], &*fresh, &self.0]));
        G::hash_to_field(&input, &tag("HUFU-V1-DLEQ-BOTH-NONCE-", G::NAME))
    }
}

/// x1·`base`, x2·`base` and the one proof of both against `commitments`: x1·G, x2·G, compressed. A proof over other
/// commitments than these verifies nowhere.
pub(crate) fn prove<G: Group>(
    [x1, x2]: [&G::Scalar; 2],
    commitments: &[Vec<u8>; 2],
    base: &G::Point,
    rng: &dyn Rng,
) -> ([G::Point; 2], Dleq) {
    let [e1, e2] = [x1, x2].map(|x| G::mul(x, base));
    let t = Transcript::new::<G>(commitments, base, &Two { pseudonym: &e1, epoch: &e2 });
    let k = t.nonce::<G>(x1, x2, rng);
    let c = t.challenge::<G>(&G::mul_generator(&k), &G::mul(&k, base));
    let x = G::scalar_add(x1, &G::scalar_mul(&t.weight::<G>(), x2));
    let s = G::scalar_sub_mul(&k, &c, &x);
    ([e1, e2], Dleq { c: Octets(*G::scalar_to_bytes(&c)), s: Octets(*G::scalar_to_bytes(&s)) })
}

/// Whether `proof` shows that each element was made from `base` with its own commitment's scalar.
///
/// # Errors
/// [`PairwiseError::Identity`], [`PairwiseError::Scalar`] or [`PairwiseError::Proof`].
pub(crate) fn verify<G: Group>(
    proof: &Dleq,
    commitments: &Two<'_, G::Point>,
    base: &G::Point,
    elements: &Two<'_, G::Point>,
) -> Result<(), PairwiseError> {
    let points = [commitments.pseudonym, commitments.epoch, base, elements.pseudonym, elements.epoch];
    if points.into_iter().any(G::is_identity) {
        return Err(PairwiseError::Identity);
    }
    let c = G::scalar_from_bytes(proof.c.as_slice())?;
    let s = G::scalar_from_bytes(proof.s.as_slice())?;
    let compressed = [commitments.pseudonym, commitments.epoch].map(G::compress);
    let t = Transcript::new::<G>(&compressed, base, elements);
    let cw = G::scalar_mul(&c, &t.weight::<G>());
    let a1 = G::sum_mul_public([(&s, &G::generator()), (&c, commitments.pseudonym), (&cw, commitments.epoch)]);
    let a2 = G::sum_mul_public([(&s, base), (&c, elements.pseudonym), (&cw, elements.epoch)]);
    if t.challenge::<G>(&a1, &a2) == c { Ok(()) } else { Err(PairwiseError::Proof) }
}
