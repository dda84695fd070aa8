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
            Busy, ClockOff, Internal, NodesDisagree, NotActive, Replayed, SessionGone, SignatureRefused,
            StoreUnavailable, TooMany, UnknownDevice,
        };
        match self {
            Self::Unreachable { .. } | Self::Untrusted(_) => true,
            Self::Refused(refusal) => {
                matches!(refusal, NodesDisagree | SignatureRefused | Internal | StoreUnavailable)
                    // A node that was restarted between the two rounds has forgotten the first.
                    || matches!(refusal, Busy | ClockOff | NotActive | SessionGone | UnknownDevice)
                    // Each node counts by itself what it was asked; and a node that lies can say either, or bring about the second
                    // at another one, with the assertion that it was given. The next pair is shown another.
                    || matches!(refusal, TooMany | Replayed)
            }
            Self::Device(_) | Self::State(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_says_too_many_does_not_end_a_sign_in_and_a_person_who_is_locked_does() {
        for refusal in [Refusal::TooMany, Refusal::Replayed, Refusal::Busy] {
            assert!(WalletError::Refused(refusal).is_about_one_node(), "{refusal}");
        }
        for refusal in [Refusal::Locked, Refusal::PasswordWrong, Refusal::PasswordBlocked, Refusal::AssertionInvalid] {
            assert!(!WalletError::Refused(refusal).is_about_one_node(), "{refusal}");
        }
    }
}
