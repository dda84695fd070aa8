//! The HTTP edge.

pub mod front;
