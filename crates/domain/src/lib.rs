//! The law: who may do what, in which order. Pure functions over data: no I/O, no clock, no randomness.

pub mod agreement;
pub mod consent;
pub mod eligibility;
pub mod enrolment;
pub mod holder;
pub mod rules;
