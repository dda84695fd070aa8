//! Use cases against their attackers.

mod front;
mod people;
