//! The engine alone: every refusal by name, the platform's checks, and bytes of strangers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod asked;
mod backchannel;
mod fuzz;
mod id_tokens;
mod message_signing;
mod provider_fixture;
mod refusals;
mod rsa_clients;
