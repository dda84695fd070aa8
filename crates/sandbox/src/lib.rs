//! A world to try Hufu in: synthetic persons, invented platforms, and the servers of others that Hufu talks to.
//!
//! Nothing here is real, and nothing made here is accepted outside the sandbox's trust root (design 3).

pub mod adapters;
pub mod agent;
mod bounded;
mod call_centre;
mod html;
pub mod http;
pub mod load;
pub mod ordinary_client;
mod persona_sessions;
pub mod persons;
pub mod phone_simulator;
pub mod platforms;
pub mod register;
pub mod robot;
pub mod sample_client;
pub mod sample_platform;
pub mod told;
pub mod tour;
