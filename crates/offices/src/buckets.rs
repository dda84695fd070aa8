//! Token buckets in bounded memory: how often somebody may ask, for many somebodies at once. Time is a parameter.
//!
//! A bucket is one moment: when it will be full again. One that is full is the same as none and is forgotten; so what is kept is who
//! asked lately, and how much.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Whole seconds after which a time is over, 1 at least: what `Retry-After` says (RFC 9110 section 10.2.3).
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// How much a bucket holds, and how fast it fills.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// What may come at once; 1 at least.
    pub burst: u32,
    /// One more after so long.
    pub every: Duration,
}

impl Rate {
    /// So many a minute, of which those of two seconds may come at once, or 20 where that is more (all of them, where they are fewer). Nothing for 0, which stands for no limit.
    #[must_use]
    pub fn a_minute(number: u32) -> Option<Self> {
        (number > 0).then(|| Self { burst: (number / 30).max(20).min(number), every: Duration::from_secs(60) / number })
    }

    /// An empty bucket is full again after so long.
    fn whole(&self) -> Duration {
        self.every.saturating_mul(self.burst.max(1))
    }
}

/// What an office counts by itself; nothing stands for no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Front: requests of one platform that has proved who it is.
    pub client: Option<Rate>,
    /// Node: sign-in questions of one person's device that has proved itself.
    pub handle: Option<Rate>,
}

/// One bucket a key, and never more than so many of them.
#[derive(Clone, Debug)]
pub struct Buckets<K> {
    rate: Rate,
    most: usize,
    full_at: BTreeMap<K, Duration>,
    /// The same, the fullest first.
    by_time: BTreeSet<(Duration, K)>,
}

impl<K: Ord + Clone> Buckets<K> {
    /// Full buckets, of which at most `most` are remembered while they are not full; two at least.
    #[must_use]
    pub fn new(rate: Rate, most: usize) -> Self {
        Self { rate, most: most.max(2), full_at: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// Takes one out of the bucket of `key` at `now`, which counts from any fixed moment. Nobody is refused since memory is full: then
    /// the fullest bucket is forgotten, whose owner asked least.
    ///
    /// # Errors
    /// If the bucket is empty: for how long.
    pub fn take(&mut self, key: &K, now: Duration) -> Result<(), Duration> {
        self.forget_full(now);
        // A clock that was set back owes nobody more than an empty bucket.
        let latest = now.saturating_add(self.rate.whole());
        let held = self.full_at.get(key).copied();
        let full_at = held.unwrap_or(now).clamp(now, latest);
        let next = full_at.saturating_add(self.rate.every);
        if next > latest {
            self.set(key, held, full_at);
            return Err(next.saturating_sub(latest));
        }
        if held.is_none() && self.full_at.len() >= self.most {
            self.forget_one();
        }
        self.set(key, held, next);
        Ok(())
    }

    /// Whether something was taken for `key` that is not made up for yet.
    #[must_use]
    pub fn remembers(&self, key: &K, now: Duration) -> bool {
        self.full_at.get(key).is_some_and(|full_at| *full_at > now)
    }

    /// Forgets all buckets that are full again: otherwise the last ones stay until somebody asks.
    pub fn sweep(&mut self, now: Duration) {
        while self.by_time.first().is_some_and(|(full_at, _)| *full_at <= now) {
            self.forget_one();
        }
    }

    /// How many buckets are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether every bucket is full.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }

    fn set(&mut self, key: &K, held: Option<Duration>, to: Duration) {
        if held == Some(to) {
            return;
        }
        if let Some(held) = held {
            self.by_time.remove(&(held, key.clone()));
        }
        self.full_at.insert(key.clone(), to);
        self.by_time.insert((to, key.clone()));
    }

    fn forget_one(&mut self) {
        if let Some((_, key)) = self.by_time.pop_first() {
            self.full_at.remove(&key);
        }
    }

    /// Two at a time: more than come.
    fn forget_full(&mut self, now: Duration) {
        for _ in 0..2 {
            if self.by_time.first().is_none_or(|(full_at, _)| *full_at > now) {
                return;
            }
            self.forget_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { burst: 3, every: Duration::from_millis(100) };

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_bucket_gives_what_it_holds_and_then_one_at_a_time_and_says_how_long_to_wait() {
        let mut buckets = Buckets::new(RATE, 10);
        for _ in 0..3 {
            assert_eq!(buckets.take(&"a", at(1000)), Ok(()));
        }
        assert_eq!(buckets.take(&"a", at(1000)), Err(at(100)));
        assert_eq!(buckets.take(&"a", at(1040)), Err(at(60)));
        assert_eq!(buckets.take(&"b", at(1040)), Ok(()), "another key has its own");
        assert_eq!(buckets.take(&"a", at(1100)), Ok(()));
        assert_eq!(buckets.take(&"a", at(1100)), Err(at(100)));
        // A bucket that is full holds no more than that.
        for _ in 0..3 {
            assert_eq!(buckets.take(&"a", at(9000)), Ok(()));
        }
        assert_eq!(buckets.take(&"a", at(9000)), Err(at(100)));
    }

    #[test]
    fn so_many_a_minute_is_what_two_seconds_bring_at_once_and_none_is_no_limit() {
        assert_eq!(Rate::a_minute(0), None);
        assert_eq!(Rate::a_minute(1), Some(Rate { burst: 1, every: Duration::from_secs(60) }));
        assert_eq!(Rate::a_minute(120), Some(Rate { burst: 20, every: at(500) }));
        assert_eq!(Rate::a_minute(6000), Some(Rate { burst: 200, every: at(10) }));
    }

    #[test]
    fn a_flood_of_fresh_keys_frees_no_key_that_is_exhausted() {
        let mut buckets = Buckets::new(RATE, 50);
        for _ in 0..3 {
            assert_eq!(buckets.take(&0, at(0)), Ok(()));
        }
        for fresh in 1..5000 {
            assert_eq!(buckets.take(&fresh, at(0)), Ok(()), "a newcomer is never refused for want of memory");
            assert!(buckets.len() <= 50);
        }
        assert_eq!(buckets.take(&0, at(0)), Err(at(100)));
        // The control: a key that asked as little as all the others was forgotten.
        assert!(!buckets.full_at.contains_key(&1));
        // Nor does it gain anything while it fills.
        for fresh in 5000..9000 {
            assert_eq!(buckets.take(&fresh, at(99)), Ok(()));
        }
        assert_eq!(buckets.take(&0, at(99)), Err(at(1)));
        assert_eq!(buckets.take(&0, at(100)), Ok(()));
        assert_eq!(buckets.take(&0, at(100)), Err(at(100)));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let mut buckets = Buckets::new(RATE, 10);
        for _ in 0..3 {
            assert_eq!(buckets.take(&0, at(3_600_000)), Ok(()));
        }
        assert_eq!(buckets.take(&0, at(1000)), Err(at(100)));
        assert_eq!(buckets.take(&0, at(1100)), Ok(()));
        assert_eq!(buckets.take(&0, at(1100)), Err(at(100)));
    }

    #[test]
    fn what_is_full_again_is_forgotten() {
        let mut buckets = Buckets::new(RATE, 1000);
        for key in 0..500 {
            assert_eq!(buckets.take(&key, at(0)), Ok(()));
        }
        for _ in 0..500 {
            let _ = buckets.take(&0, at(10_000));
        }
        assert_eq!(buckets.len(), 1);
        assert!(
            buckets.remembers(&0, at(10_299)) && !buckets.remembers(&0, at(10_300)) && !buckets.remembers(&1, at(0))
        );
    }

    #[test]
    fn nobody_stays_in_memory_since_nobody_asked_after_them() {
        let mut buckets = Buckets::new(RATE, 1000);
        for key in 0..500 {
            // Before the first is full again, so that none is forgotten meanwhile.
            assert_eq!(buckets.take(&key, at(key / 10)), Ok(()));
        }
        buckets.sweep(at(99));
        assert_eq!(buckets.len(), 500, "nothing is forgotten that counts");
        buckets.sweep(at(124));
        assert_eq!(
            (buckets.len(), buckets.remembers(&249, at(124)), buckets.remembers(&250, at(124))),
            (250, false, true)
        );
        buckets.sweep(at(149));
        assert!(buckets.is_empty());
    }

    #[test]
    fn who_waits_as_long_as_it_is_told_has_waited_long_enough() {
        for (wait, told) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (60_000, 60)] {
            assert_eq!(whole_seconds(at(wait)), told, "{wait} ms");
        }
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_burst_and_rate_in_any_interval(
            burst in 1_u32..6,
            every in 1_u64..50,
            asked in proptest::collection::vec((0_u8..4, 0_u64..40), 1..200),
        ) {
            let mut buckets = Buckets::new(Rate { burst, every: at(every) }, 4);
            let (mut now, mut taken) = (0, [(); 4].map(|()| Vec::new()));
            for (key, later) in asked {
                now += later;
                match buckets.take(&key, at(now)) {
                    Ok(()) => taken[usize::from(key)].push(now),
                    Err(wait) => {
                        prop_assert!(!wait.is_zero() && wait <= at(every));
                        // Who waits as long as it was told is not refused again, and a moment before is.
                        let (mut again, then) = (buckets.clone(), at(now) + wait);
                        prop_assert!(again.take(&key, then.saturating_sub(Duration::from_nanos(1))).is_err());
                        prop_assert!(again.take(&key, then).is_ok());
                    }
                }
            }
            for taken in &taken {
                for (first, from) in taken.iter().enumerate() {
                    for (last, to) in taken.iter().enumerate().skip(first) {
                        let most = u64::from(burst) + (to - from) / every;
                        prop_assert!(u64::try_from(last - first + 1).unwrap() <= most, "{from}..{to}");
                    }
                }
            }
        }

        #[test]
        fn memory_is_bounded_and_newcomers_are_never_refused(
            most in 2_usize..20,
            asked in proptest::collection::vec((0_u16..60, 0_u64..30), 1..300),
        ) {
            let mut buckets = Buckets::new(RATE, most);
            let (mut now, mut seen) = (0, BTreeSet::new());
            for (key, later) in asked {
                now += later;
                let told = buckets.take(&key, at(now));
                prop_assert!(told.is_ok() || !seen.insert(key), "{key} was refused and had never asked");
                seen.insert(key);
                prop_assert!(buckets.len() <= most);
                prop_assert_eq!(buckets.len(), buckets.by_time.len());
            }
        }
    }
}
