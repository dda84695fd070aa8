//! Use cases against their attackers.

mod ceremony;
mod front;
mod people;
