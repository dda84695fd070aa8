//! The HTTP edge: thin. A route is a row of a table, a handler is one call of an office, and everything else a request must pass
//! (size, content type, strict JSON, origin, time) is in one place.

pub mod addresses;
pub mod api;
pub mod front;
pub mod health;
mod listen;
pub mod metrics;
pub mod mutual_tls;
pub mod node;
pub mod pages;
pub mod peers;
mod places;
pub mod registrar;
pub mod reply;
pub mod routes;
pub mod serve;
pub mod traces;
