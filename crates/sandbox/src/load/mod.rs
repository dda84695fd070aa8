//! The load driver of `hufu bench`: whole sign-ins over real HTTP, one after the other per user, many users at once.
//!
//! A *lane* is one way to sign in at one service: the front alone with the driver as wallet and nodes ([`hufu::Bare`]), its token
//! endpoint alone ([`hufu::Redeemed`]), the whole trust path ([`hufu::Whole`]), a peer ([`peer::PeerLane`]), a floor ([`floor::FloorLane`]). All lanes take the same
//! platforms, the same persons and the same client code; what can be signed before the clock starts is signed before.

pub mod connection;
pub mod flood;
pub mod floor;
pub mod hufu;
pub mod measure;
pub mod paced;
pub mod peer;
pub mod platform;

/// A sentence about what went wrong, with the step.
pub type Failure = String;

/// One way to sign in.
pub trait Lane {
    /// What one sign-in needs and can be made before the clock starts.
    type Ready;
    /// One user's connections.
    type Lines;

    /// Makes what the `number`th sign-in needs. Proofs, assertions and codes in it live for a minute.
    ///
    /// # Errors
    /// A sentence.
    fn ready(&self, number: usize) -> impl Future<Output = Result<Self::Ready, Failure>>;

    /// Opens one user's connections; they are kept alive.
    ///
    /// # Errors
    /// A sentence.
    fn lines(&self) -> impl Future<Output = Result<Self::Lines, Failure>>;

    /// One whole sign-in. With `verify` the platform also checks every signature of the result.
    ///
    /// # Errors
    /// The step that was refused.
    fn sign_in(
        &self,
        lines: &mut Self::Lines,
        ready: Self::Ready,
        verify: bool,
    ) -> impl Future<Output = Result<(), Failure>>;
}

fn text(error: impl std::fmt::Display) -> Failure {
    error.to_string()
}
