//! The front: the flow of flows 7 message by message, and every attack it must withstand.
#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

mod asked;
mod backchannel;
mod client_attacks;
mod code_attacks;
mod elsewhere;
pub mod fixture;
mod flow;
mod handles;
mod limits;
mod mutual_tls;
mod persona_sessions;
mod refresh;
mod request_attacks;
mod responses;
mod signals;
mod suite;
mod wallet_attacks;
