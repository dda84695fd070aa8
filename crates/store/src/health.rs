//! What an engine knows of its own database: whether the last write was written, and whether it may be gone by at all.

use crate::StoreError;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Shared by all threads of an engine.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Why nothing is read or written any more: damage, which only another file or a backup mends, or that the store is another one
    /// than was opened. That does not pass while the process lives.
    ended: OnceLock<StoreError>,
    /// Why the last write was not written. Passes with the next one that is.
    failing: Mutex<Option<String>>,
}

impl Health {
    /// Notes how a write ended. A batch that was refused says nothing about the database.
    pub fn note<T>(&self, answer: &Result<T, StoreError>) {
        let failing = match answer {
            Ok(_) => None,
            Err(StoreError::Unavailable { reason }) => Some(reason.clone()),
            Err(_) => return self.note_read(answer),
        };
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = failing;
    }

    /// Notes that a read met damage, or a store that is another one than was opened.
    pub fn note_read<T>(&self, answer: &Result<T, StoreError>) {
        if let Err(error @ (StoreError::Corrupt { .. } | StoreError::Overtaken)) = answer
            && self.ended.set(error.clone()).is_ok()
        {
            tracing::error!(%error, "nothing is read from the store or written to it any more");
        }
    }

    /// Refuses for ever once the database was found damaged, or another one: what it says is not to be acted on.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Overtaken`].
    pub fn sound(&self) -> Result<(), StoreError> {
        self.ended.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Whether the last write was not written, so that the next one is to try the disk.
    pub fn is_failing(&self) -> bool {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What is wrong.
    pub fn ailing(&self) -> Option<StoreError> {
        let failing = || self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.sound().err().or_else(|| failing().map(StoreError::unavailable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_passes_and_damage_does_not() {
        let health = Health::default();
        assert_eq!(health.ailing(), None);
        health.note::<()>(&Err(StoreError::unavailable("full")));
        health.note::<()>(&Err(StoreError::Conflict));
        assert_eq!((health.ailing(), health.is_failing()), (Some(StoreError::unavailable("full")), true));
        health.note(&Ok(()));
        assert_eq!((health.ailing(), health.sound()), (None, Ok(())));
        health.note_read::<()>(&Err(StoreError::unavailable("slow")));
        assert_eq!(health.ailing(), None, "of a read that failed whoever reads is told");
        health.note_read::<()>(&Err(StoreError::corrupt("a page")));
        health.note(&Ok(()));
        assert_eq!(health.ailing(), Some(StoreError::corrupt("a page")));
        assert!(health.sound().is_err());
    }

    #[test]
    fn a_store_that_is_another_one_is_not_gone_by_again() {
        for note in [Health::note::<()>, Health::note_read::<()>] {
            let health = Health::default();
            note(&health, &Err(StoreError::Overtaken));
            health.note(&Ok(()));
            assert_eq!((health.sound(), health.ailing()), (Err(StoreError::Overtaken), Some(StoreError::Overtaken)));
        }
    }
}
