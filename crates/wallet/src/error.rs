//! Why a wallet could not go on.

use hufu_kernel::Refusal;

/// Why a wallet could not go on, and who is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// An office refused.
    #[error("{0}")]
    Refused(Refusal),
    /// An office did not answer, or not in our language.
    #[error("no answer from {office}: {cause}")]
    Unreachable {
        /// Which.
        office: String,
        /// What happened.
        cause: String,
    },
    /// An office's answer does not check out: nothing is built on it.
    #[error("an answer does not check out: {0}")]
    Untrusted(&'static str),
    /// The device did not sign.
    #[error("the device did not sign: {0}")]
    Device(String),
    /// The wallet is not in a state for this: not enrolled yet, or enrolled already.
    #[error("not now: {0}")]
    State(&'static str),
}

impl From<Refusal> for WalletError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl WalletError {
    /// Whether another pair of nodes might serve: a node may be down, lying, behind, or not have the row yet.
    #[must_use]
    pub fn is_about_one_node(&self) -> bool {
        use Refusal::{
            Busy, ClockOff, Internal, NodesDisagree, NotActive, SessionGone, SignatureRefused, StoreUnavailable,
            UnknownDevice,
        };
        match self {
            Self::Unreachable { .. } | Self::Untrusted(_) => true,
            Self::Refused(refusal) => {
                matches!(refusal, NodesDisagree | SignatureRefused | Internal | StoreUnavailable)
                    // A node that was restarted between the two rounds has forgotten the first.
                    || matches!(refusal, Busy | ClockOff | NotActive | SessionGone | UnknownDevice)
            }
            Self::Device(_) | Self::State(_) => false,
        }
    }
}
