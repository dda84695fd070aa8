//! The pseudonym function and everything threshold around it (flows 1, 3, 4): suites, partial evaluation with
//! proofs, blind evaluation, challenges, the two threshold OPRFs, the password key, FROST.
//!
//! Only *constructions* are ours (design 5): sums of sub-keys, Chaum-Pedersen proofs, thresholds. Fields, curves, hashes,
//! ciphers and signatures are other people's crates. Every formula has a vector in `vectors/` and an independent check in
//! `conformance/vectors/`. The composition is ours and has not been reviewed outside: see SECURITY.md.

mod blind;
#[cfg(feature = "native")]
mod bls_native;
mod bls_pure;
mod challenge;
mod coin;
mod composite;
mod dkg;
mod dleq;
mod error;
mod frost;
mod group;
mod oprf;
mod password;
mod pseudonym;
mod repair;
mod reshare;
mod ristretto;
mod suite;
mod threshold;

pub use blind::{BlindingFactor, blind, blinded, unblind};
pub use challenge::{Context, challenge, request_direct, statement_context};
pub use coin::{CoinFlip, CoinName, CoinRevealed, key_check_message};
pub use dkg::{Generated, GenerationOpened, GenerationShared, SharesFor, consistent, generation};
pub use error::{FrostError, FrostReason, JointError, JointFault, PairwiseError};
pub use frost::{DealtGroup, GroupKey, KeyShare, Nonces, PreparedGroup, Signer, deal_group_key, deal_group_key_of};
pub use group::Group;
pub use oprf::{
    Blinded, DealtTag, combine_shamir, combine_sum, deal_tag_key, finalize, oprf_blind, oprf_commitment, oprf_evaluate,
    oprf_verify, password_sub_key, sum_sub_keys, tag_input,
};
pub use password::{ParamsId, PasswordKey, PasswordRefusal, check_password, harden, trivial_password, verify_password};
pub use pseudonym::{
    OwnKeys, combine, commitment, element, ep, epoch_message, evaluate, evaluate_both, evaluate_both_keeping, point,
    sector_point, sub, sub_key, sum_scalars, validate_sector_id, verify_both, verify_partial,
};
pub use repair::{Help, HelpCommitments, Helping, help, repaired};
pub use reshare::{moved_commitment, moved_offset, same_sum, way_back, zero_message, zero_sum};
pub use suite::{Intl, Suite, SuiteId};
pub use threshold::{GroupShares, SharedKey, TagShares};

/// The pure-Rust adapter of suite INTL, for tests that hold both adapters equal and for wasm.
pub use bls_pure::IntlPure;
