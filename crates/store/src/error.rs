//! Why a store refuses.

use hufu_kernel::Refusal;

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A version moved, a row is there that must be absent, or an idempotency key was used for another batch.
    /// Nothing was changed: read again and decide again.
    #[error("a row changed since it was read")]
    Conflict,
    /// Another row holds a value of this unique index. Nothing was changed.
    #[error("another row holds this value of the unique index {0}")]
    Duplicate(&'static str),
    /// The batch names rows of two partitions. Nothing was changed.
    #[error("a batch has one partition")]
    Partition,
    /// The database did not answer, or not for certain: the batch may have been applied. Repeat it under the same key.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// For the operator.
        reason: String,
    },
    /// What the database holds cannot have been written by this code.
    #[error("the store is corrupt: {detail}")]
    Corrupt {
        /// For the operator; names no row.
        detail: String,
    },
    /// Since this process opened the store, a newer program has changed its schema, or a backup was put in the place of its rows. It
    /// reads and writes nothing any more: what it knows of the store, and of who may go by its rows, is of before.
    #[error(
        "a newer program has changed this store, or a backup was put back into it, since it was opened; this process reads and writes \
         nothing any more and must be restarted or stopped"
    )]
    Overtaken,
    /// The store was created for another office or another trust root.
    #[error("this store belongs to {found}, not to {wanted}")]
    WrongStore {
        /// What the store says.
        found: String,
        /// What was configured.
        wanted: String,
    },
    /// The calling code is wrong: an undeclared kind or index, a bad name, a row written twice in a batch.
    #[error("the store was misused: {0}")]
    Misuse(String),
}

impl StoreError {
    pub(crate) fn unavailable(reason: impl std::fmt::Display) -> Self {
        Self::Unavailable { reason: reason.to_string() }
    }

    pub(crate) fn corrupt(detail: impl std::fmt::Display) -> Self {
        Self::Corrupt { detail: detail.to_string() }
    }

    pub(crate) fn misuse(detail: impl std::fmt::Display) -> Self {
        Self::Misuse(detail.to_string())
    }
}

/// What a caller may be told when a use case has no better answer of its own.
impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Busy,
            StoreError::WrongStore { .. } => Self::WrongRoot,
            StoreError::Unavailable { .. } | StoreError::Corrupt { .. } | StoreError::Overtaken => {
                Self::StoreUnavailable
            }
            StoreError::Duplicate(_) | StoreError::Partition | StoreError::Misuse(_) => Self::Internal,
        }
    }
}
