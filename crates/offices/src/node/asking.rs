//! How much one person's devices may ask of this node. What counts is the assertion, not how often it comes: whoever was shown one, which
//! is every node of the sign-in, could else bring it to another node until the person is locked out there.

use super::Node;
use super::gate::SKEW;
use crate::buckets::{Buckets, Rate};
use hufu_kernel::{Handle, Refusal, Timestamp};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Persons remembered while they ask more than they regain; about 10 MiB.
const HANDLES: usize = 100_000;
/// Assertions remembered while they are good: two minutes of 2,000 a second; about 40 MiB.
const ASSERTIONS: usize = 250_000;
/// As often one assertion is answered: password and first round with either of a node's pairs, and each of them again when its answer was
/// lost. None comes back while the assertion is good.
const REPEATS: Rate = Rate { burst: 8, every: Duration::from_secs(2 * SKEW.unsigned_abs() + 1) };

/// What has been asked lately.
pub(super) struct Persons {
    asked: Mutex<Asked>,
}

struct Asked {
    persons: Buckets<Handle>,
    /// By challenge.
    assertions: Buckets<[u8; 32]>,
}

impl Persons {
    fn of(rate: Rate) -> Self {
        let (persons, assertions) = (Buckets::new(rate, HANDLES), Buckets::new(REPEATS, ASSERTIONS));
        Self { asked: Mutex::new(Asked { persons, assertions }) }
    }

    fn may(&self, handle: &Handle, chal: &[u8; 32], now: Timestamp) -> Result<(), Refusal> {
        let now = since(now);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.assertions.remembers(chal, now) {
            asked.persons.take(handle, now).map_err(|_| Refusal::TooMany)?;
        }
        asked.assertions.take(chal, now).map_err(|_| Refusal::Replayed)
    }

    fn sweep(&self, now: Timestamp) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.persons.sweep(since(now));
        asked.assertions.sweep(since(now));
    }
}

fn since(now: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now.0).unwrap_or_default())
}

impl Node {
    /// The same node, at which each person's devices may begin so many sign-ins.
    #[must_use]
    pub fn limited(self, handle: Option<Rate>) -> Self {
        Self { asking: handle.map(Persons::of), ..self }
    }

    /// Counts the assertion of a device that has just proved itself: whoever has none of this person's counts nothing against them.
    pub(super) fn asks(&self, handle: &Handle, chal: &[u8; 32], now: Timestamp) -> Result<(), Refusal> {
        self.asking.as_ref().map_or(Ok(()), |asking| asking.may(handle, chal, now))
    }

    /// Forgets who asked, once it makes no difference any more.
    pub(super) fn sweep_asking(&self, now: Timestamp) {
        if let Some(asking) = &self.asking {
            asking.sweep(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::Octets;

    const RATE: Rate = Rate { burst: 3, every: Duration::from_secs(10) };
    const NOW: Timestamp = Timestamp(1_900_000_000);

    #[test]
    fn one_assertion_counts_once_however_often_it_comes_and_is_refused_at_last() {
        let (asking, person) = (Persons::of(RATE), Handle(Octets([7; 16])));
        for _ in 0..8 {
            assert_eq!(asking.may(&person, &[1; 32], NOW), Ok(()));
        }
        for later in 0..=120 {
            assert_eq!(asking.may(&person, &[1; 32], NOW + later), Err(Refusal::Replayed));
        }
        // Two of three are left.
        let later = NOW + 1;
        for chal in [2, 3] {
            assert_eq!(asking.may(&person, &[chal; 32], later), Ok(()));
        }
        assert_eq!(asking.may(&person, &[4; 32], later), Err(Refusal::TooMany), "the control: each of them counts");
        // What was refused was not begun; what was answered may be repeated.
        assert_eq!(asking.may(&person, &[4; 32], later), Err(Refusal::TooMany));
        assert_eq!(asking.may(&person, &[3; 32], later), Ok(()));
        assert_eq!(asking.may(&Handle(Octets([8; 16])), &[4; 32], later), Ok(()), "nobody else waits");
    }

    #[test]
    fn nothing_is_remembered_of_a_person_when_it_makes_no_difference() {
        let (asking, person) = (Persons::of(RATE), Handle(Octets([7; 16])));
        let held = |now| {
            asking.sweep(now);
            let asked = asking.asked.lock().unwrap();
            (asked.persons.len(), asked.assertions.len())
        };
        assert_eq!(asking.may(&person, &[1; 32], NOW), Ok(()));
        assert_eq!(held(NOW + 9), (1, 1));
        assert_eq!(held(NOW + 10), (0, 1));
        assert_eq!(held(NOW + 121), (0, 0));
    }
}
