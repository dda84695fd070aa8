//! The front: the flow of flows 7 message by message, and every attack it must withstand.

mod client_attacks;
mod code_attacks;
pub mod fixture;
mod flow;
mod request_attacks;
mod wallet_attacks;
