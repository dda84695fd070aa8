//! The holder's side: enrol, keys, sign in, present. The same code in robots, in tests and, compiled to wasm, in browsers:
//! how bytes travel and how a device signs are traits.

mod agreement;
mod call;
mod certificate;
mod device;
mod enrol;
mod error;
mod recover;
mod requests;
mod sign_in;
mod signing;
mod state;
mod statements;

pub use agreement::{Agreement, Group, Terms};
pub use call::{Address, Reply, Transport};
pub use certificate::CertificateCopy;
pub use device::{Device, SoftwareDevice};
pub use enrol::{Details, Enrolling};
pub use error::WalletError;
pub use sign_in::{Asked, Receipt, SignedIn};
pub use state::{Commitments, State};

use hufu_kernel::{Clock, Octets, Pair, Rng, random};
use hufu_wire::api::trust::Trust;
use std::sync::Arc;

/// A wallet: one person's device, its state, and the way to the offices.
pub struct Wallet<T, D> {
    trust: Arc<Trust>,
    transport: T,
    device: D,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    group: Group,
    /// What the wallet remembers; the caller keeps it safe.
    pub state: State,
}

impl<T, D> std::fmt::Debug for Wallet<T, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wallet")
    }
}

impl<T: Transport, D: Device> Wallet<T, D> {
    /// A wallet over its device; `state` is empty before enrolment.
    ///
    /// # Errors
    /// [`WalletError::Untrusted`] if the pinned group key is no key.
    pub fn new(
        trust: Arc<Trust>,
        transport: T,
        device: D,
        state: State,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Self, WalletError> {
        let group = Group::of(&trust)?;
        Ok(Self { trust, transport, device, clock, rng, group, state })
    }

    /// The way to the offices.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// The pinned trust root.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// A pair to begin with: any is as good, and taking turns spreads the load.
    #[must_use]
    pub fn any_pair(&self) -> Pair {
        let [drawn] = random::<1>(self.rng.as_ref());
        Pair::ALL[usize::from(drawn) % 3]
    }

    fn draw<const N: usize>(&self) -> Octets<N> {
        Octets(random(self.rng.as_ref()))
    }
}
