//! The wire formats against other people's vectors, other people's code, random input and attacks.
#![expect(clippy::unwrap_used, reason = "tests judge by panicking")]

mod dpop;
mod fuzz;
mod fuzz_messages;
mod jose;
mod jose_judged;
mod mutants;
mod webauthn;
mod webauthn_corpus;
