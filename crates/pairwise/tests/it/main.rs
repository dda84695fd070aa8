//! What must hold of the constructions, what an attacker may try, and the frozen vectors.

mod challenges;
mod composites;
mod frost;
mod joint;
mod oprf;
mod passwords;
mod proofs;
mod pseudonyms;
mod resharing;
mod suites;
mod support;
mod vectors;
