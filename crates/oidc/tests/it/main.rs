//! The engine alone: every refusal by name, the platform's checks, and bytes of strangers.

mod fuzz;
mod id_tokens;
mod provider_fixture;
mod refusals;
