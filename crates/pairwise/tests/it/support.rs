//! A world of three nodes, and generators that a test controls.

use hufu_kernel::{Element, NodeIndex, Pair, Partial, Rng, SeededRng, Subset};
use hufu_pairwise::{Suite, commitment, evaluate, sub_key, sum_scalars};
use std::sync::Mutex;

/// Gives the same byte again and again: a generator that has failed.
pub struct StuckRng(pub u8);

impl Rng for StuckRng {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

/// Gives the bytes it holds, once: published test vectors fix their randomness.
pub struct GivenRng(Mutex<Vec<u8>>);

impl GivenRng {
    /// The 48 bytes from which a scalar below 2^256 is drawn.
    pub fn scalar(big_endian: &[u8; 32]) -> Self {
        Self(Mutex::new([&[0; 16], big_endian.as_slice()].concat()))
    }
}

impl Rng for GivenRng {
    fn fill(&self, out: &mut [u8]) {
        let mut held = self.0.lock().expect("one thread");
        let rest = held.split_off(out.len());
        out.copy_from_slice(&held);
        *held = rest;
    }
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex")).collect()
}

pub fn rng(seed: u64) -> SeededRng {
    SeededRng::new(seed)
}

pub fn node(index: u8) -> NodeIndex {
    NodeIndex::try_from(index).expect("1, 2 or 3")
}

/// One person's sub-keys at the nodes of suite `S`.
pub struct Person<S: Suite> {
    pub e: [S::Scalar; 3],
    pub c: [Element; 3],
}

impl<S: Suite> Person<S> {
    pub fn new(prfs: &[[u8; 32]; 3]) -> Self {
        Self::of(prfs.each_ref().map(|prf| sub_key::<S>(prf, None).expect("no offset")))
    }

    pub fn of(e: [S::Scalar; 3]) -> Self {
        Self { c: e.each_ref().map(|e| commitment::<S>(e)), e }
    }

    /// What node `index` multiplies by when it serves with `pair`.
    pub fn assigned(&self, pair: Pair, index: NodeIndex) -> S::Scalar {
        let parts: Vec<_> = pair.assigned(index).map(|subset| self.e[subset.slot()].clone()).collect();
        sum_scalars::<S>(&parts).expect("every member serves a subset")
    }

    /// The commitments that its part is checked against.
    pub fn commitments(&self, pair: Pair, index: NodeIndex) -> Vec<&Element> {
        pair.assigned(index).map(|subset: Subset| &self.c[subset.slot()]).collect()
    }

    pub fn partial(&self, pair: Pair, index: NodeIndex, base: &S::Point, rng: &dyn Rng) -> Partial {
        evaluate::<S>(&self.assigned(pair, index), base, rng)
    }
}
