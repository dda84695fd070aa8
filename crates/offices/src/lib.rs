//! Use cases, one module an office: load, decide, commit, reply. What offices ask of each other are the traits in [`ports`].

pub mod buckets;
pub mod ceremony;
mod forget;
pub mod front;
pub mod hpke;
pub mod keeper;
pub mod key_names;
pub mod keys;
pub mod node;
pub mod ports;
pub mod post;
mod ready;
pub mod registrar;
pub mod registry;
pub mod tagger;
pub mod uniqueness;

pub use forget::Words;

use hufu_kernel::{KeyError, KeyStore, Refusal};
use hufu_wire::api::trust::Trust;
use hufu_wire::api::{Purpose, Signed, SignedError};
use std::future::Future;

/// How often a use case is decided anew after another writer came first.
const ATTEMPTS: u32 = 8;

/// Loads and decides again while another writer comes first; [`Refusal::Busy`] after [`ATTEMPTS`].
async fn retrying<T, F: Future<Output = Result<T, Refusal>>>(mut once: impl FnMut() -> F) -> Result<T, Refusal> {
    for _ in 1..ATTEMPTS {
        match once().await {
            Err(Refusal::Busy) => tokio::task::yield_now().await,
            done => return done,
        }
    }
    once().await
}

/// A failure that nobody outside can mend: the cause goes to the log, the caller learns nothing.
fn broken(cause: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%cause, "internal failure");
    Refusal::Internal
}

/// A stored thing that does not parse: what the parser quotes of it stays out of the log.
fn unreadable(what: &str, error: &serde_json::Error) -> Refusal {
    broken(&format!("{what} does not parse: {:?} at {}:{}", error.classify(), error.line(), error.column()))
}

fn sign<T: Purpose>(keys: &dyn KeyStore, office: &str, message: &T) -> Result<Signed<T>, Refusal> {
    #[derive(Debug)]
    struct Failed(String);
    impl From<SignedError> for Failed {
        fn from(error: SignedError) -> Self {
            Self(error.to_string())
        }
    }
    impl From<KeyError> for Failed {
        fn from(error: KeyError) -> Self {
            Self(error.to_string())
        }
    }
    Signed::make(office, message, |bytes| keys.sign_ed25519("office", bytes).map_err(Failed::from))
        .map_err(|failed| broken(&failed.0))
}

fn open_signed<T: Purpose>(trust: &Trust, office: &str, message: &Signed<T>) -> Result<T, Refusal> {
    message
        .open(|signer, bytes, signature| signer == office && trust.verify(office, bytes, signature))
        .map_err(|_| Refusal::OfficeRefused)
}
