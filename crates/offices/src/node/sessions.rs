//! Signing nonces and what they are for: in this process's memory alone, removed before use, gone after 10 s (flows 6).

use hufu_kernel::{Octets, Refusal, Rng, Timestamp, random};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Seconds between round 1 and round 2.
const LIFE: i64 = 10;

/// Round 1 without round 2 is cheap to ask for: beyond this many the oldest seconds are cleared, then new ones refused.
const CAPACITY: usize = 100_000;

/// Sessions by random name.
#[derive(Debug)]
pub struct Sessions<T> {
    open: Mutex<HashMap<Octets<16>, (T, Timestamp)>>,
}

impl<T> Default for Sessions<T> {
    fn default() -> Self {
        Self { open: Mutex::new(HashMap::new()) }
    }
}

impl<T> Sessions<T> {
    /// Keeps `begun` for round 2.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if too many are open.
    pub fn open(&self, begun: T, now: Timestamp, rng: &dyn Rng) -> Result<Octets<16>, Refusal> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= CAPACITY {
            open.retain(|_, (_, expires)| now < *expires);
            if open.len() >= CAPACITY {
                return Err(Refusal::Busy);
            }
        }
        let name = Octets(random(rng));
        open.insert(name, (begun, now + LIFE));
        Ok(name)
    }

    /// Removes a session: whatever happens next, its nonces are spent.
    ///
    /// # Errors
    /// [`Refusal::SessionGone`] if there is none of that name, or it is too old.
    pub fn take(&self, name: &Octets<16>, now: Timestamp) -> Result<T, Refusal> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.remove(name) {
            Some((begun, expires)) if now < expires => Ok(begun),
            _ => Err(Refusal::SessionGone),
        }
    }

    /// Clears what nobody came back for.
    pub fn sweep(&self, now: Timestamp) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, (_, expires)| now < *expires);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::SeededRng;

    #[test]
    fn a_session_is_taken_once_and_not_late() {
        let sessions = Sessions::default();
        let rng = SeededRng::new(1);
        let first = sessions.open("a", Timestamp(0), &rng).unwrap();
        assert_eq!(sessions.take(&first, Timestamp(1)), Ok("a"));
        assert_eq!(sessions.take(&first, Timestamp(1)), Err(Refusal::SessionGone));
        let late = sessions.open("b", Timestamp(0), &rng).unwrap();
        assert_eq!(sessions.take(&late, Timestamp(10)), Err(Refusal::SessionGone));
    }
}
