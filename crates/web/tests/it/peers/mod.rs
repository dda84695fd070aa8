//! Offices that are apart: who is believed, who may ask what, and what becomes of a peer that misbehaves.

mod attacks;
mod ceremony;
mod headers;
mod misbehaviour;
mod node_peer;
mod ports;
mod renewal;
mod world;
