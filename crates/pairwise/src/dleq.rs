//! Chaum-Pedersen proofs that a partial evaluation was made with the committed key (flows 1), made non-interactive by
//! Fiat and Shamir's hash.
//!
//! For C = x·G and E = x·B the prover draws k and sends (c, s) with
//!
//! ```text
//! A1 = k·G    A2 = k·B    c = hash_to_field(t, "HUFU-V1-DLEQ-<name>")    s = k − c·x
//! t  = "hufu-v1-dleq" ‖ name ‖ G ‖ C ‖ B ‖ E ‖ A1 ‖ A2                     (‖ of flows 1, points compressed)
//! ```
//!
//! The verifier recomputes A1 = s·G + c·C, A2 = s·B + c·E and c. k is derived from the secret, the statement *and* fresh
//! randomness (tag `HUFU-V1-DLEQ-NONCE-<name>`): a generator that fails or repeats gives no two proofs with one k and
//! different c, which is what would give x away.

use crate::group::tag;
use crate::{Group, PairwiseError};
use hufu_kernel::{Dleq, Octets, Rng, framed};
use zeroize::Zeroizing;

/// What a proof is about, with its encodings.
struct Statement {
    generator: Vec<u8>,
    commitment: Vec<u8>,
    base: Vec<u8>,
    element: Vec<u8>,
}

impl Statement {
    fn challenge<G: Group>(&self, a1: &G::Point, a2: &G::Point) -> G::Scalar {
        let transcript = framed(&[
            b"hufu-v1-dleq",
            G::NAME.as_bytes(),
            &self.generator,
            &self.commitment,
            &self.base,
            &self.element,
            &G::compress(a1),
            &G::compress(a2),
        ]);
        G::hash_to_field(&transcript, &tag("HUFU-V1-DLEQ-", G::NAME))
    }

    fn nonce<G: Group>(&self, x: &G::Scalar, rng: &dyn Rng) -> G::Scalar {
        let mut fresh = Zeroizing::new([0; 32]);
        rng.fill(&mut *fresh);
        let secret = G::scalar_to_bytes(x);
        let input = Zeroizing::new(framed(&[&*secret, &*fresh, &self.commitment, &self.base, &self.element]));
        G::hash_to_field(&input, &tag("HUFU-V1-DLEQ-NONCE-", G::NAME))
    }
}

/// E = x·`base` and the proof of it against x·G.
pub(crate) fn prove<G: Group>(x: &G::Scalar, base: &G::Point, rng: &dyn Rng) -> (G::Point, Dleq) {
    let element = G::mul(x, base);
    let statement = Statement {
        generator: G::compress(&G::generator()),
        commitment: G::compress(&G::mul_generator(x)),
        base: G::compress(base),
        element: G::compress(&element),
    };
    let k = statement.nonce::<G>(x, rng);
    let c = statement.challenge::<G>(&G::mul_generator(&k), &G::mul(&k, base));
    let s = G::scalar_sub_mul(&k, &c, x);
    (element, Dleq { c: Octets(*G::scalar_to_bytes(&c)), s: Octets(*G::scalar_to_bytes(&s)) })
}

/// Whether `proof` shows that `element` and `commitment` were made with one scalar from `base` and G.
///
/// # Errors
/// [`PairwiseError::Identity`], [`PairwiseError::Scalar`] or [`PairwiseError::Proof`].
pub(crate) fn verify<G: Group>(
    proof: &Dleq,
    commitment: &G::Point,
    base: &G::Point,
    element: &G::Point,
) -> Result<(), PairwiseError> {
    if [commitment, base, element].into_iter().any(G::is_identity) {
        return Err(PairwiseError::Identity);
    }
    let c = G::scalar_from_bytes(proof.c.as_slice())?;
    let s = G::scalar_from_bytes(proof.s.as_slice())?;
    let generator = G::generator();
    let a1 = G::sum_mul_public([(&s, &generator), (&c, commitment)]);
    let a2 = G::sum_mul_public([(&s, base), (&c, element)]);
    let statement = Statement {
        generator: G::compress(&generator),
        commitment: G::compress(commitment),
        base: G::compress(base),
        element: G::compress(element),
    };
    if statement.challenge::<G>(&a1, &a2) == c { Ok(()) } else { Err(PairwiseError::Proof) }
}
